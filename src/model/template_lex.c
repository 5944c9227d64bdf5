/* template_lex.c - a template into tokens, with what Jinja does to the white space beside tags. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/template_impl.h"
#include "model/white.h"

enum { TOKENS_MAX = 1 << 20, NEST_MAX = 256 };

struct lexer {
    struct str s; /* with \n for every line break, without the last one */
    size_t at;
    int line;
    bool line_starts; /* what was read last ends with a line break */
    struct arena *arena;
    struct token_list *out;
    struct err *e;
};

static bool fail(const struct lexer *l, const char *what) {
    return err_set(l->e, ERR_INPUT, "line %d: %s", l->line, what);
}

static bool add(struct lexer *l, enum token_kind kind, struct str text) {
    if (l->out->n == TOKENS_MAX) return fail(l, "too many tokens");
    MEM_GROW(l->out->ptr, l->out->cap, l->out->n + 1);
    l->out->ptr[l->out->n++] = (struct token){kind, l->line, text};
    return true;
}

static void move_to(struct lexer *l, size_t at) {
    for (size_t i = l->at; i < at; i++) l->line += l->s.ptr[i] == '\n';
    if (at > l->at) l->line_starts = l->s.ptr[at - 1] == '\n';
    l->at = at;
}

static struct str slice(const struct lexer *l, size_t from, size_t to) {
    return (struct str){l->s.ptr + from, to - from};
}

static bool starts_at(const struct lexer *l, size_t at, const char *what) {
    size_t n = strlen(what);
    return l->s.len - at >= n && memcmp(l->s.ptr + at, what, n) == 0;
}

static size_t find(const struct lexer *l, size_t from, const char *what) {
    ptrdiff_t at = str_find(slice(l, from, l->s.len), str_from(what));
    return at < 0 ? l->s.len : from + (size_t)at;
}

static size_t skip_space(const struct lexer *l, size_t at) {
    return l->s.len - white_strip(slice(l, at, l->s.len), true, false).len;
}

/* Where reading goes on behind the end mark at `mark` of a tag whose inside begins at `inside`. */
static size_t behind_end(const struct lexer *l, size_t inside, size_t mark) {
    char sign = mark > inside ? l->s.ptr[mark - 1] : 0;
    bool trims = l->s.ptr[mark] != '}';
    if (sign == '-') return skip_space(l, mark + 2);
    bool newline = trims && sign != '+' && mark + 2 < l->s.len && l->s.ptr[mark + 2] == '\n';
    return mark + 2 + newline;
}

/* The text before a tag: its white space goes by the tag's sign, or where the tag is first on its line. */
static struct str text_before(const struct lexer *l, size_t tag) {
    struct str text = slice(l, l->at, tag);
    char sign = tag + 2 < l->s.len ? l->s.ptr[tag + 2] : 0;
    if (sign == '-') return white_strip(text, false, true);
    if (sign == '+' || l->s.ptr[tag + 1] == '{') return text;
    const char *newline = text.len ? memrchr(text.ptr, '\n', text.len) : NULL;
    size_t n_before = newline ? (size_t)(newline - text.ptr) + 1 : 0;
    if (n_before == 0 && !l->line_starts) return text;
    const struct str last = {text.ptr + n_before, text.len - n_before};
    if (white_strip(last, true, false).len == 0) text.len = n_before;
    return text;
}

/* ---- inside of tags ---- */

static int hex(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

/* \xHH, \uHHHH, \UHHHHHHHH; n digits from *p on. */
static bool add_scalar(struct lexer *l, const char **p, const char *end, int n, struct buf *out) {
    uint32_t scalar = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (*p == end || hex(**p) < 0) return fail(l, "a broken escape in a text");
        scalar = scalar << 4 | (uint32_t)hex(**p);
    }
    if (scalar > 0x10ffff || (scalar >= 0xd800 && scalar <= 0xdfff))
        return fail(l, "an escape in a text that is no character");
    buf_add_utf8(out, scalar);
    return true;
}

static bool add_escape(struct lexer *l, const char **p, const char *end, struct buf *out) {
    static const char letters[] = "abfnrtv\\'\"", meant[] = "\a\b\f\n\r\t\v\\'\"";
    char c = *(*p)++;
    const char *found = c ? strchr(letters, c) : NULL;
    if (found) return buf_add_char(out, meant[found - letters]), true;
    if (c == '\n') return true;
    if (c == 'x' || c == 'u' || c == 'U') return add_scalar(l, p, end, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
    if ((c >= '0' && c <= '7') || c == 'N' || (unsigned char)c >= 0x80)
        return fail(l, "an escape in a text that is not supported");
    buf_add_char(out, '\\');
    buf_add_char(out, c);
    return true;
}

static bool lex_string(struct lexer *l) {
    const char quote = l->s.ptr[l->at];
    const char *p = l->s.ptr + l->at + 1, *end = l->s.ptr + l->s.len, *first = p;
    struct buf out = {0};
    bool done = true, escaped = false;
    while (p < end && *p != quote && done) {
        if (*p != '\\') {
            if (escaped) buf_add_char(&out, *p);
            p++;
            continue;
        }
        if (!escaped) buf_add(&out, first, (size_t)(p - first));
        escaped = true;
        done = ++p < end && add_escape(l, &p, end, &out);
    }
    if (done && p == end) done = fail(l, "a text without its closing quote");
    if (!done) {
        buf_free(&out);
        return l->e->code ? false : fail(l, "a text without its closing quote");
    }
    struct str text = {first, (size_t)(p - first)};
    if (escaped) {
        char *copy = arena_alloc(l->arena, out.len + 1);
        if (out.len) memcpy(copy, out.ptr, out.len);
        text = (struct str){copy, out.len};
    }
    buf_free(&out);
    done = add(l, TOKEN_STRING, text);
    move_to(l, (size_t)(p - l->s.ptr) + 1);
    return done;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c);
}

static bool lex_number(struct lexer *l) {
    size_t end = l->at;
    while (end < l->s.len && (is_digit(l->s.ptr[end]) || l->s.ptr[end] == '_')) end++;
    bool field = l->at > 0 && l->s.ptr[l->at - 1] == '.';
    if (!field && end + 1 < l->s.len && l->s.ptr[end] == '.' && is_digit(l->s.ptr[end + 1]))
        return fail(l, "a number with a fraction is not supported");
    if (end < l->s.len && is_name(l->s.ptr[end])) return fail(l, "a number like this is not supported");
    if (end - l->at > 18 || memchr(l->s.ptr + l->at, '_', end - l->at))
        return fail(l, "a number like this is not supported");
    bool done = add(l, TOKEN_NUMBER, slice(l, l->at, end));
    move_to(l, end);
    return done;
}

static bool lex_operator(struct lexer *l, char *nest, int *depth) {
    static const char *const pairs[] = {"//", "**", "==", "!=", ">=", "<="};
    char c = l->s.ptr[l->at];
    size_t n = 1;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (starts_at(l, l->at, pairs[i])) n = 2;
    }
    if (n == 1 && (!c || !strchr("+-/*%~[](){}><=.:|,", c)))
        return err_set(l->e, ERR_INPUT, "line %d: an unexpected character \"%c\"", l->line, c);
    if (n == 1 && strchr("([{", c)) {
        if (*depth == NEST_MAX) return fail(l, "brackets nested too deep");
        nest[(*depth)++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    }
    if (n == 1 && strchr(")]}", c) && (*depth == 0 || nest[--*depth] != c))
        return fail(l, "a bracket that closes nothing");
    bool done = add(l, TOKEN_OPERATOR, slice(l, l->at, l->at + n));
    move_to(l, l->at + n);
    return done;
}

/* The tokens of a tag up to its end mark, which counts outside of brackets. */
static bool lex_inside(struct lexer *l, bool is_tag) {
    char nest[NEST_MAX];
    int depth = 0;
    const size_t inside = l->at;
    for (;;) {
        move_to(l, skip_space(l, l->at));
        if (l->at == l->s.len) return fail(l, is_tag ? "a {% without its %}" : "a {{ without its }}");
        const char c = l->s.ptr[l->at];
        size_t mark = l->at + (c == '-' || (c == '+' && is_tag));
        if (depth == 0 && starts_at(l, mark, is_tag ? "%}" : "}}")) {
            bool done = add(l, is_tag ? TOKEN_TAG_END : TOKEN_PRINT_END, slice(l, mark, mark + 2));
            move_to(l, behind_end(l, inside, mark));
            return done;
        }
        bool done;
        if (is_digit(c)) {
            done = lex_number(l);
        } else if (is_name(c)) {
            size_t end = l->at;
            while (end < l->s.len && is_name(l->s.ptr[end])) end++;
            done = add(l, TOKEN_NAME, slice(l, l->at, end));
            move_to(l, end);
        } else if (c == '\'' || c == '"') {
            done = lex_string(l);
        } else {
            done = lex_operator(l, nest, &depth);
        }
        if (!done) return false;
    }
}

/* ---- the whole ---- */

/* The end mark of {% raw %} or {% endraw %} whose tag begins at `tag`; the length of the source if it is
 * another tag. */
static size_t raw_mark(const struct lexer *l, size_t tag, const char *name) {
    size_t at = tag + 2;
    if (at < l->s.len && (l->s.ptr[at] == '-' || l->s.ptr[at] == '+')) at++;
    at = skip_space(l, at);
    if (!starts_at(l, at, name)) return l->s.len;
    at = skip_space(l, at + strlen(name));
    bool may_keep = name[0] == 'e';
    if (at < l->s.len && (l->s.ptr[at] == '-' || (l->s.ptr[at] == '+' && may_keep))) at++;
    return starts_at(l, at, "%}") ? at : l->s.len;
}

/* What stands between {% raw %} and {% endraw %}, as it is. */
static bool lex_raw(struct lexer *l, size_t mark) {
    move_to(l, l->s.ptr[mark - 1] == '-' ? skip_space(l, mark + 2) : mark + 2);
    size_t end = l->at, end_mark = l->s.len;
    for (; end < l->s.len; end = find(l, end + 1, "{%")) {
        if (starts_at(l, end, "{%") && (end_mark = raw_mark(l, end, "endraw")) < l->s.len) break;
    }
    if (end == l->s.len) return fail(l, "a {% raw %} without its {% endraw %}");
    struct str text = text_before(l, end);
    bool done = text.len == 0 || add(l, TOKEN_DATA, text);
    move_to(l, behind_end(l, end + 2, end_mark));
    return done;
}

static size_t find_tag(const struct lexer *l) {
    for (size_t at = l->at; at + 1 < l->s.len; at++) {
        const char *brace = memchr(l->s.ptr + at, '{', l->s.len - at);
        if (!brace) break;
        at = (size_t)(brace - l->s.ptr);
        if (at + 1 < l->s.len && memchr("{%#", brace[1], 3)) return at;
    }
    return l->s.len;
}

static bool lex_tag(struct lexer *l, size_t tag) {
    const char kind = l->s.ptr[tag + 1];
    size_t raw = kind == '%' ? raw_mark(l, tag, "raw") : l->s.len;
    bool sign = tag + 2 < l->s.len && (l->s.ptr[tag + 2] == '-' || l->s.ptr[tag + 2] == '+');
    size_t inside = tag + 2 + sign;
    move_to(l, tag);
    if (raw < l->s.len) return lex_raw(l, raw);
    if (kind == '#') {
        size_t mark = find(l, inside, "#}");
        if (mark == l->s.len) return fail(l, "a {# without its #}");
        move_to(l, behind_end(l, inside, mark));
        return true;
    }
    if (!add(l, kind == '%' ? TOKEN_TAG_BEGIN : TOKEN_PRINT_BEGIN, slice(l, tag, inside))) return false;
    move_to(l, inside);
    return lex_inside(l, kind == '%');
}

/* Every line break as \n, and the last one gone. */
static struct str copy_source(struct str source, struct arena *a) {
    char *copy = arena_alloc(a, source.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < source.len; i++) {
        if (source.ptr[i] == '\r' && i + 1 < source.len && source.ptr[i + 1] == '\n') continue;
        copy[n++] = source.ptr[i] == '\r' ? '\n' : source.ptr[i];
    }
    if (n && copy[n - 1] == '\n') n--;
    return (struct str){copy, n};
}

bool template_lex(struct str source, struct arena *a, struct token_list *out, struct err *e) {
    struct lexer l = {
        .s = copy_source(source, a), .line = 1, .line_starts = true, .arena = a, .out = out, .e = e};
    *e = (struct err){0};
    while (l.at < l.s.len) {
        size_t tag = find_tag(&l);
        struct str text = tag < l.s.len ? text_before(&l, tag) : slice(&l, l.at, tag);
        if (text.len && !add(&l, TOKEN_DATA, text)) return false;
        if (tag == l.s.len) break;
        if (!lex_tag(&l, tag)) return false;
    }
    return add(&l, TOKEN_END, STR(""));
}
