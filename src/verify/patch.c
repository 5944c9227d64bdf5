/* patch.c - which files a unified diff touches, and whether it may. */
#include "verify/patch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { FILES_MAX = 10000 };

void patch_free(struct patch_files *f) {
    for (size_t i = 0; i < f->n; i++) free(f->paths[i]);
    free(f->paths);
    *f = (struct patch_files){0};
}

static void add_path(struct patch_files *f, struct str path) {
    for (size_t i = 0; i < f->n; i++) {
        if (str_equal(str_from(f->paths[i]), path)) return;
    }
    MEM_GROW(f->paths, f->cap, f->n + 1);
    f->paths[f->n++] = str_dup(path);
}

static bool leaves(struct str path) {
    if (path.len == 0 || path.ptr[0] == '/' || memchr(path.ptr, '\0', path.len)) return true;
    for (size_t at = 0; at <= path.len;) {
        size_t n = 0;
        while (at + n < path.len && path.ptr[at + n] != '/') n++;
        const struct str part = {path.ptr + at, n};
        if (n == 0 || str_equal(part, STR(".")) || str_equal(part, STR("..")) ||
            (n == 4 && strncasecmp(part.ptr, ".git", 4) == 0))
            return true;
        at += n + 1;
    }
    return false;
}

/* The path of a header's rest: "a/path", perhaps a tab and a date; empty: /dev/null. */
static bool take_path(struct str rest, bool has_side, struct str *path) {
    const char *tab = memchr(rest.ptr, '\t', rest.len);
    if (tab) rest.len = (size_t)(tab - rest.ptr);
    rest = str_trim(rest);
    *path = (struct str){0};
    if (has_side && str_equal(rest, STR("/dev/null"))) return true;
    if (rest.len == 0 || rest.ptr[0] == '"') return false; /* quoted: strange characters */
    if (has_side) {
        if (rest.len < 3 || rest.ptr[1] != '/') return false;
        rest = (struct str){rest.ptr + 2, rest.len - 2};
    }
    *path = rest;
    return !leaves(rest);
}

static bool next_line(struct str *text, struct str *line) {
    if (text->len == 0) return false;
    const char *end = memchr(text->ptr, '\n', text->len);
    const size_t n = end ? (size_t)(end - text->ptr) : text->len;
    *line = (struct str){text->ptr, n};
    *text = (struct str){text->ptr + n + (end != NULL), text->len - n - (end != NULL)};
    return true;
}

/* Lines of a hunk by its head "@@ -a,b +c,d @@": how many old and new ones follow. */
static bool hunk_sizes(struct str line, long *n_old, long *n_new) {
    char head[120];
    snprintf(head, sizeof head, "%.*s", (int)MIN(line.len, sizeof head - 1), line.ptr);
    long a, b = 1, c, d = 1;
    if (sscanf(head, "@@ -%9ld,%9ld +%9ld,%9ld @@", &a, &b, &c, &d) != 4) {
        b = d = 1;
        if (sscanf(head, "@@ -%9ld +%9ld,%9ld @@", &a, &c, &d) != 3) {
            b = d = 1;
            if (sscanf(head, "@@ -%9ld,%9ld +%9ld @@", &a, &b, &c) != 3) {
                b = d = 1;
                if (sscanf(head, "@@ -%9ld +%9ld @@", &a, &c) != 2) return false;
            }
        }
    }
    *n_old = b;
    *n_new = d;
    return b >= 0 && d >= 0;
}

static const char *read_header(struct str line, struct patch_files *out, int *n_sides) {
    static const struct {
        const char *head;
        bool has_side;
    } heads[] = {{"--- ", true},        {"+++ ", true},        {"rename from ", false},
                 {"rename to ", false}, {"copy from ", false}, {"copy to ", false}};
    struct str path;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        const struct str head = str_from(heads[i].head);
        if (!str_starts(line, head)) continue;
        if (!take_path((struct str){line.ptr + head.len, line.len - head.len}, heads[i].has_side, &path))
            return "it names a file outside of the repository";
        if (path.len) add_path(out, path);
        *n_sides += i < 2;
        return NULL;
    }
    if (str_starts(line, STR("GIT binary patch")) || str_starts(line, STR("Binary files ")))
        return "it carries binary data";
    if (str_ends(line, STR(" mode 120000")) || str_ends(line, STR(" mode 160000"))) return "it makes a link";
    if (str_starts(line, STR("index ")) && (str_ends(line, STR(" 120000")) || str_ends(line, STR(" 160000"))))
        return "it changes a link";
    return NULL;
}

const char *patch_read(struct str patch, struct patch_files *out) {
    long n_old = 0, n_new = 0;
    int n_sides = 0;
    const char *why = NULL;
    *out = (struct patch_files){0};
    for (struct str line; !why && next_line(&patch, &line);) {
        const char c = line.len ? line.ptr[0] : ' ';
        if (n_old > 0 || n_new > 0) { /* inside a hunk nothing is a header */
            n_old -= c == ' ' || c == '-';
            n_new -= c == ' ' || c == '+';
            if (c != ' ' && c != '-' && c != '+' && c != '\\') why = "a hunk of it is shorter than it says";
        } else if (str_starts(line, STR("@@ "))) {
            if (n_sides == 0 || !hunk_sizes(line, &n_old, &n_new)) why = "it is no unified diff";
        } else {
            why = read_header(line, out, &n_sides);
        }
        if (out->n > FILES_MAX) why = "it touches more than 10,000 files";
    }
    if (!why && out->n == 0) why = "it is no patch: it changes no file";
    return why;
}

bool patch_touches(const struct patch_files *f, struct str path) {
    for (size_t i = 0; i < f->n; i++) {
        if (str_equal(str_from(f->paths[i]), path)) return true;
    }
    return false;
}
