/* endpoint.c - see endpoint.h. */
#include "http/endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { KEY_BYTES_MAX = 4096 };

/* *key: owned, NULL if there is none. */
static bool read_key(bool own, char **key, struct err *e) {
    static const char *const names[][2] = {{"BROOD_API_KEY", "BROOD_API_KEY_FILE"},
                                           {"BROOD_REWARD_API_KEY", "BROOD_REWARD_API_KEY_FILE"}};
    own = own && (getenv(names[1][0]) || getenv(names[1][1]));
    const char *const *name = names[own];
    const char *value = getenv(name[0]), *path = getenv(name[1]);
    struct buf text = {0};
    *key = NULL;
    if (value) buf_add_str(&text, str_from(value));
    if (!value && path && !file_read(path, KEY_BYTES_MAX, &text, e)) return err_wrap(e, "%s", name[1]);
    struct str line = str_trim(buf_str(&text));
    ptrdiff_t end = str_find(line, STR("\n"));
    if (end >= 0) line.len = (size_t)end;
    line = str_trim(line);
    bool fine = true;
    for (size_t i = 0; i < line.len; i++) fine = fine && line.ptr[i] > ' ' && line.ptr[i] <= '~';
    if (fine && line.len > 0) *key = str_dup(line);
    buf_free(&text);
    if (fine) return true;
    return err_set(e, ERR_INPUT, "the key of %s holds what no key does (blanks, other bytes than ASCII)",
                   value ? name[0] : path);
}

static bool read_seconds(const char *name, double def, double *out, struct err *e) {
    const char *text = getenv(name);
    char *end;
    *out = text && text[0] ? strtod(text, &end) : def;
    if (!text || !text[0] || (*end == '\0' && *out > 0 && *out <= 86400)) return true;
    return err_set(e, ERR_INPUT, "%s=%.40s: give a number of seconds, up to 86400", name, text);
}

static bool check_url(const char *what, const char *url, struct err *e) {
    struct str s = str_from(url);
    size_t n_scheme = str_starts(s, STR("https://")) ? 8 : str_starts(s, STR("http://")) ? 7 : 0;
    if (n_scheme == 0 || s.len == n_scheme || url[n_scheme] == '/')
        return err_set(e, ERR_INPUT, "%s server '%.100s': give http://host:port/v1#model", what, url);
    for (size_t i = 0; i < s.len; i++) {
        if (url[i] > ' ' && url[i] <= '~' && !strchr("@?\\\"", url[i])) continue;
        if (url[i] == '@') /* not shown: there may be a password in it */
            return err_set(e, ERR_INPUT,
                           "%s server: a URL with '@' is refused, for it is recorded with the run: give "
                           "the key in BROOD_API_KEY or BROOD_API_KEY_FILE",
                           what);
        return err_set(e, ERR_INPUT, "%s server '%.100s': give http://host:port/v1#model", what, url);
    }
    return true;
}

/* Parts "URL,URL#model". *text owned: the URLs point into it. */
static bool parse_spec(const char *what, const char *spec, char **text, const char *urls[], int *n_urls,
                       const char **model, struct err *e) {
    *text = mem_strdup(spec);
    *n_urls = 0;
    char *hash = strchr(*text, '#');
    *model = hash ? hash + 1 : "";
    if (hash) *hash = '\0';
    for (char *p = *text; p;) {
        char *comma = strchr(p, ',');
        if (comma) *comma = '\0';
        if (*n_urls == SERVERS_MAX)
            return err_set(e, ERR_INPUT, "more than %d %s servers", SERVERS_MAX, what);
        if (!check_url(what, p, e)) return false;
        urls[(*n_urls)++] = p;
        p = comma ? comma + 1 : NULL;
    }
    return true;
}

bool endpoint_open(const char *what, const char *spec, struct endpoint *out, struct err *e) {
    const char *urls[SERVERS_MAX], *model = "";
    char *text = NULL, *key = NULL;
    struct remote_options ro = {0};
    *out = (struct endpoint){0};
    bool done = parse_spec(what, spec, &text, urls, &out->n_servers, &model, e) &&
                read_key(strcmp(what, "policy") != 0, &key, e) &&
                read_seconds("BROOD_RETRY_SECONDS", 120, &ro.patience, e) &&
                read_seconds("BROOD_REQUEST_SECONDS", 0, &out->request_seconds, e);
    ro.key = key;
    done = done && (out->remote = remote_new(urls, out->n_servers, &ro, e)) != NULL;
    out->model = mem_strdup(model);
    free(text);
    free(key);
    if (!done) endpoint_close(out);
    return done;
}

void endpoint_close(struct endpoint *x) {
    remote_free(x->remote);
    free(x->model);
    *x = (struct endpoint){0};
}
