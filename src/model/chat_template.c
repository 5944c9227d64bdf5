#include "model/chat_template.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { FIELD_MAX = 40, LITERAL_MAX = 16384 };

static bool is_tag_start(const char *p) {
    return p[0] == '{' && (p[1] == '{' || p[1] == '%' || p[1] == '#');
}

static bool is_tag_end(const char *p, char kind) {
    return p[0] == (kind == '{' ? '}' : kind) && p[1] == '}';
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Whether a stretch of text writes something, by Jinja's rules with trim_blocks and lstrip_blocks. `before`
 * is the end mark of the tag before it, `after` the next tag: NULL at either end of the template. */
static bool writes_text(const char *text, const char *end, const char *before, const char *after) {
    bool after_block = before && before[0] != '}', before_block = after && after[1] != '{';
    for (const char *p = text; p < end; p++) {
        if (!is_blank(*p)) return true;
    }
    if ((before && before[-1] == '-') || (after && after[2] == '-')) return false;
    if (after_block && text < end && *text == '\n') text++;
    if (!after && text < end && end[-1] == '\n') end--; /* the line break that ends a file */
    const char *line = end;
    while (line > text && line[-1] != '\n') line--;
    bool starts_line = line > text || !before || line[-1] == '\n';
    return text < (starts_line && before_block ? line : end);
}

/* Copies one tag, from its {{ or {% or {#; returns its end. */
static const char *copy_tag(const char *p, struct buf *out) {
    char kind = p[1], quote = 0;
    buf_add(out, p, 2);
    for (p += 2; *p && (quote || !is_tag_end(p, kind)); p++) {
        if (quote && *p == '\n') {
            buf_add(out, "\\n", 2);
            continue;
        }
        if (quote && *p == '\\' && p[1] && p[1] != '\n')
            buf_add_char(out, *p++);
        else if (*p == quote)
            quote = 0;
        else if (!quote && kind != '#' && (*p == '\'' || *p == '"'))
            quote = *p;
        buf_add_char(out, *p);
    }
    return p;
}

static char *unify(const char *text, bool *has_text) {
    struct buf out = {0};
    const char *before = NULL;
    *has_text = false;
    for (const char *p = text;;) {
        const char *first = p;
        while (*p && !is_tag_start(p)) p++;
        buf_add(&out, first, (size_t)(p - first));
        *has_text |= writes_text(first, p, before, *p ? p : NULL);
        if (!*p) break;
        before = p = copy_tag(p, &out);
        size_t n = strnlen(p, 2);
        buf_add(&out, p, n);
        p += n;
    }
    return buf_take(&out);
}

static char *normalise(const char *text) {
    struct buf out = {0};
    for (const char *p = text; *p; p++) {
        if (strchr(" \t\r\n", *p)) continue;
        buf_add_char(&out, *p == '"' ? '\'' : *p);
    }
    char *squeezed = buf_take(&out);
    for (const char *p = squeezed; *p; p++) {
        bool is_field = strncmp(p, "['", 2) == 0;
        const char *close = is_field ? memmem(p + 2, strnlen(p + 2, FIELD_MAX), "']", 2) : NULL;
        if (close) {
            buf_add_char(&out, '.');
            buf_add(&out, p + 2, (size_t)(close - p - 2));
            p = close + 1;
        } else {
            buf_add_char(&out, *p);
        }
    }
    free(squeezed);
    return buf_take(&out);
}

struct chat_template chat_template_read(const char *text) {
    struct chat_template t = {.raw = text};
    t.unified = unify(text, &t.writes_text);
    t.normal = normalise(t.unified);
    return t;
}

void chat_template_fini(struct chat_template *t) {
    free(t->unified);
    free(t->normal);
    *t = (struct chat_template){0};
}

/* The inside of a string literal up to `tail`: NULL if the literal ends before. */
static char *read_literal(const char *p, struct str tail) {
    struct buf out = {0};
    for (; *p && out.len < LITERAL_MAX && strncmp(p, tail.ptr, tail.len) != 0; p++) {
        if (*p == '\'' || *p == '"') break;
        if (*p == '\\' && p[1]) {
            p++;
            buf_add_char(&out, *p == 'n' ? '\n' : *p == 't' ? '\t' : *p);
        } else {
            buf_add_char(&out, *p);
        }
    }
    if (strncmp(p, tail.ptr, tail.len) == 0) return buf_take(&out);
    buf_free(&out);
    return NULL;
}

char *chat_template_literal(const struct chat_template *t, const char *head, const char *tail) {
    for (const char *p = strstr(t->unified, head); p; p = strstr(p + 1, head)) {
        char *text = read_literal(p + strlen(head), str_from(tail));
        if (text) return text;
    }
    return NULL;
}
