/* kept.c - see kept.h. */
#include "verify/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static const size_t bytes_max = (size_t)1 << 32;

struct kept {
    int fd;        /* -1: nothing is kept */
    char *path;    /* owned */
    json_t **said; /* [n], each owned or NULL */
    size_t n;
};

static char *path_of(const char *path, const char *ending) {
    struct buf text = {0};
    buf_printf(&text, "%s%s", path, ending);
    return buf_take(&text);
}

static bool take(struct kept *k, json_t *list) {
    const json_t *number = json_array_get(list, 0);
    const json_int_t i = json_is_integer(number) ? json_integer_value(number) : -1;
    if (i < 0 || (size_t)i >= k->n) return false;
    json_decref(k->said[i]);
    k->said[i] = list;
    return true;
}

static void write_head(struct buf *head, uint64_t check) {
    buf_printf(head, "{\"check\":\"%016" PRIx64 "\"}\n", check);
}

/* How many bytes of the file are whole lines of this check. */
static size_t read_lines(struct kept *k, struct str text, struct str head) {
    if (!str_starts(text, head)) return 0;
    size_t at = head.len;
    while (at < text.len) {
        struct err ignored;
        const char *end = memchr(text.ptr + at, '\n', text.len - at);
        if (!end) break;
        const size_t next = (size_t)(end - text.ptr) + 1;
        json_t *list = json_parse((struct str){text.ptr + at, next - at - 1}, k->path, &ignored);
        if (!list || !take(k, list)) {
            json_decref(list);
            break;
        }
        at = next;
    }
    return at;
}

static bool begin(struct kept *k, uint64_t check, struct err *e) {
    struct buf text = {0}, head = {0};
    write_head(&head, check);
    if (flock(k->fd, LOCK_EX | LOCK_NB) != 0)
        return buf_free(&head), err_set(e, ERR_INPUT, "%s: another process is at the same check", k->path);
    bool ok = file_read(k->path, bytes_max, &text, e);
    const size_t n = ok ? read_lines(k, buf_str(&text), buf_str(&head)) : 0;
    ok = ok && ((ftruncate(k->fd, (off_t)n) == 0 && (n > 0 || file_write_all(k->fd, buf_str(&head)))) ||
                err_set(e, ERR_SERVICE, "%s: cannot write: %m", k->path));
    buf_free(&text);
    buf_free(&head);
    return ok;
}

bool kept_open(struct kept **out, const char *path, const char *ending, uint64_t check, size_t n,
               struct err *e) {
    struct kept *k = *out = mem_zalloc(1, sizeof *k);
    struct stat st;
    k->fd = -1;
    k->n = n;
    k->said = mem_zalloc(n, sizeof *k->said);
    if (!path || (stat(path, &st) == 0 && !S_ISREG(st.st_mode))) return true;
    k->path = path_of(path, ending);
    k->fd = open(k->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    const bool ok =
        k->fd >= 0 ? begin(k, check, e) : err_set(e, ERR_INPUT, "%s: cannot write here: %m", k->path);
    if (ok) return true;
    kept_close(k);
    *out = NULL;
    return false;
}

const json_t *kept_get(const struct kept *k, size_t i) {
    return i < k->n ? k->said[i] : NULL;
}

bool kept_add(struct kept *k, size_t i, json_t *list, struct err *e) {
    ASSERT(json_integer_value(json_array_get(list, 0)) == (json_int_t)i);
    struct buf line = {0};
    char *text = json_line(list);
    buf_printf(&line, "%s\n", text);
    free(text);
    json_decref(list);
    const bool ok = k->fd < 0 || file_write_all(k->fd, buf_str(&line)) ||
                    err_set(e, ERR_SERVICE, "%s: cannot write: %m", k->path);
    buf_free(&line);
    return ok;
}

bool kept_lasts(const struct kept *k) {
    return k->fd >= 0;
}

void kept_close(struct kept *k) {
    if (!k) return;
    for (size_t i = 0; i < k->n; i++) json_decref(k->said[i]);
    if (k->fd >= 0) close(k->fd);
    free(k->said);
    free(k->path);
    free(k);
}

void kept_remove(const char *path, const char *ending) {
    char *whole = path_of(path, ending);
    unlink(whole);
    free(whole);
}
