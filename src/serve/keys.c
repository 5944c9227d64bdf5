/* keys.c - see keys.h. */
#include "serve/keys.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"

bool keys_add(struct keys *k, struct str key, const char *where, struct err *e) {
    if (k->n == KEYS_MAX) return err_set(e, ERR_INPUT, "%s: more than %d keys", where, KEYS_MAX);
    if (key.len < KEYS_BYTES_MIN || key.len > KEYS_BYTES_MAX)
        return err_set(e, ERR_INPUT,
                       "%s: a key has %d to %d characters: make one with 'openssl rand -hex 24'", where,
                       KEYS_BYTES_MIN, KEYS_BYTES_MAX);
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] <= ' ' || key.ptr[i] > '~')
            return err_set(e, ERR_INPUT, "%s: a key is made of printable ASCII without blanks", where);
    }
    k->items[k->n++] = str_dup(key);
    return true;
}

bool keys_read(struct keys *k, const char *path, struct err *e) {
    struct stat st;
    if (stat(path, &st) == 0 && (st.st_mode & (S_IRGRP | S_IROTH)))
        return err_set(e, ERR_INPUT, "%s: others can read this file of keys: chmod 600 it", path);
    struct file_lines *f = file_lines_open(path, e);
    struct str line;
    bool ok = f != NULL;
    while (ok) {
        const int more = file_lines_next(f, &line, e);
        if (more <= 0) {
            ok = more == 0;
            break;
        }
        line = str_trim(line);
        if (line.len > 0 && line.ptr[0] != '#') ok = keys_add(k, line, path, e);
    }
    file_lines_close(f);
    if (ok && k->n == 0) return err_set(e, ERR_INPUT, "%s: there is no key in it: one a line", path);
    return ok;
}

void keys_fini(struct keys *k) {
    for (size_t i = 0; i < k->n; i++) {
        explicit_bzero(k->items[i], strlen(k->items[i]));
        free(k->items[i]);
    }
    *k = (struct keys){0};
}

/* How long it takes depends on what was given alone. */
static bool is_key(const char *given, const char *key) {
    const size_t n = strlen(given), n_key = strlen(key);
    size_t differs = n ^ n_key;
    for (size_t i = 0; i < n; i++)
        differs |= (size_t)((unsigned char)given[i] ^ (unsigned char)key[i % n_key]);
    return differs == 0;
}

bool keys_allow(const struct keys *k, const char *header) {
    static const char scheme[] = "Bearer ";
    bool allowed = k->n == 0;
    if (!header || strncasecmp(header, scheme, strlen(scheme)) != 0) return allowed;
    const char *given = header + strlen(scheme);
    while (*given == ' ') given++;
    for (size_t i = 0; i < k->n; i++) allowed |= is_key(given, k->items[i]);
    return allowed;
}
