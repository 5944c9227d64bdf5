/* template_text.c - texts whose bytes know who wrote them, and Python's methods on them. */
#include <string.h>
#include <utf8proc.h>

#include "model/template_impl.h"
#include "model/white.h"

const char template_foreign[1] = {0};

static char mark_at(struct text t, size_t at) {
    return t.marks == TEXT_OWN ? 1 : t.marks == TEXT_FOREIGN ? 0 : t.marks[at];
}

struct str text_str(struct text t) {
    return (struct str){t.ptr, t.len};
}

struct text text_slice(struct text t, size_t from, size_t to) {
    bool each = t.marks != TEXT_OWN && t.marks != TEXT_FOREIGN;
    return (struct text){t.ptr + from, each ? t.marks + from : t.marks, to - from};
}

void output_add(struct template_output *o, struct text t) {
    buf_add(&o->text, t.ptr, t.len);
    if (t.marks != TEXT_OWN && t.marks != TEXT_FOREIGN) {
        buf_add(&o->marks, t.marks, t.len);
        return;
    }
    for (size_t i = 0; i < t.len; i++) buf_add_char(&o->marks, t.marks == TEXT_OWN);
}

/* ---- joining ---- */

/* Room for n bytes with their marks; false once failed. */
static bool make_room(struct run *r, size_t n, char **bytes, char **marks) {
    *bytes = run_alloc(r, n + 1, 1);
    *marks = run_alloc(r, n + 1, 1);
    return *bytes && *marks;
}

static void copy_into(char *bytes, char *marks, struct text t) {
    if (t.len == 0) return;
    memcpy(bytes, t.ptr, t.len);
    if (t.marks != TEXT_OWN && t.marks != TEXT_FOREIGN)
        memcpy(marks, t.marks, t.len);
    else
        memset(marks, t.marks == TEXT_OWN, t.len);
}

struct text text_join(struct run *r, const struct text *parts, size_t n, struct text between) {
    size_t len = 0, at = 0;
    char *bytes, *marks;
    if (n == 1) return parts[0];
    for (size_t i = 0; i < n; i++) len += parts[i].len + (i ? between.len : 0);
    if (!make_room(r, len, &bytes, &marks)) return TEXT_LITERAL("");
    for (size_t i = 0; i < n; i++) {
        if (i) copy_into(bytes + at, marks + at, between);
        if (i) at += between.len;
        copy_into(bytes + at, marks + at, parts[i]);
        at += parts[i].len;
    }
    return (struct text){bytes, marks, len};
}

/* ---- characters ---- */

size_t text_char(struct text t, size_t at) {
    uint32_t scalar;
    int n = str_utf8(text_str(t), at, &scalar);
    return n > 0 ? (size_t)n : 1; /* a byte that belongs to none stands for itself */
}

size_t text_length(struct text t) {
    size_t n = 0;
    for (size_t at = 0; at < t.len; at += text_char(t, at)) n++;
    return n;
}

size_t text_offset(struct text t, size_t i_char) {
    size_t at = 0;
    for (; i_char > 0 && at < t.len; i_char--) at += text_char(t, at);
    return at;
}

struct text text_reverse(struct run *r, struct text t) {
    char *bytes, *marks;
    if (!make_room(r, t.len, &bytes, &marks)) return TEXT_LITERAL("");
    for (size_t at = 0, n; at < t.len; at += n) {
        n = text_char(t, at);
        copy_into(bytes + t.len - at - n, marks + t.len - at - n, text_slice(t, at, at + n));
    }
    return (struct text){bytes, marks, t.len};
}

/* ---- strip, replace, split ---- */

/* The bytes of the character that ends at `end`. */
static size_t char_before(struct text t, size_t end) {
    uint32_t c;
    for (size_t n = 1; n <= MIN(end, 4u); n++) {
        if (str_utf8(text_str(t), end - n, &c) == (int)n) return n;
    }
    return 1;
}

static bool is_among(struct text t, size_t at, size_t n, struct text chars) {
    for (size_t i = 0; i < chars.len; i += text_char(chars, i)) {
        if (text_char(chars, i) == n && memcmp(chars.ptr + i, t.ptr + at, n) == 0) return true;
    }
    return false;
}

struct text text_strip(struct text t, const struct text *chars, bool left, bool right) {
    size_t from = 0, to = t.len;
    if (!chars) {
        struct str s = white_strip(text_str(t), left, right);
        from = (size_t)(s.ptr - t.ptr);
        return text_slice(t, from, from + s.len);
    }
    while (left && from < to && is_among(t, from, text_char(t, from), *chars)) from += text_char(t, from);
    while (right && to > from && is_among(t, to - char_before(t, to), char_before(t, to), *chars))
        to -= char_before(t, to);
    return text_slice(t, from, MAX(from, to));
}

static ptrdiff_t find_from(struct text t, size_t from, struct text what) {
    ptrdiff_t at = str_find((struct str){t.ptr + from, t.len - from}, text_str(what));
    return at < 0 ? -1 : (ptrdiff_t)from + at;
}

/* An empty text stands before each character, and at the end. */
static struct text replace_empty(struct run *r, struct text t, struct text to, int64_t count) {
    struct template_output out = {0};
    size_t at = 0;
    for (bool more = true; more && !r->failed && run_charge(r, to.len);) {
        if (count != 0) output_add(&out, to);
        count -= count > 0;
        more = at < t.len;
        size_t n = more ? text_char(t, at) : 0;
        output_add(&out, text_slice(t, at, at + n));
        at += n;
    }
    struct text copy = {out.text.ptr, out.marks.ptr, out.text.len};
    copy = text_join(r, (const struct text[]){copy, TEXT_LITERAL("")}, 2, TEXT_LITERAL(""));
    template_output_fini(&out);
    return copy;
}

struct text text_replace(struct run *r, struct text t, struct text from, struct text to, int64_t count) {
    size_t n = 0, at = 0, out = 0;
    char *bytes, *marks;
    if (from.len == 0) return replace_empty(r, t, to, count);
    for (ptrdiff_t hit; (count < 0 || (int64_t)n < count) && (hit = find_from(t, at, from)) >= 0; n++)
        at = (size_t)hit + from.len;
    if (n == 0) return t;
    if (to.len && n > TEMPLATE_ARENA_MAX / to.len) return run_fail(r, "a text grows too long"), t;
    size_t len = t.len - n * from.len + n * to.len;
    if (!make_room(r, len, &bytes, &marks)) return t;
    at = 0;
    for (size_t i = 0; i <= n; i++) {
        size_t end = i < n ? (size_t)find_from(t, at, from) : t.len;
        copy_into(bytes + out, marks + out, text_slice(t, at, end));
        out += end - at;
        if (i < n) copy_into(bytes + out, marks + out, to);
        if (i < n) out += to.len;
        at = end + from.len;
    }
    return (struct text){bytes, marks, len};
}

struct part_list { /* parts of one text while they are found */
    struct text *ptr;
    size_t n, cap;
};

static bool add_part(struct run *r, struct part_list *l, struct text t) {
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        struct text *grown = run_alloc(r, cap, sizeof *grown);
        if (!grown) return false;
        if (l->n) memcpy(grown, l->ptr, l->n * sizeof *grown);
        l->ptr = grown;
        l->cap = cap;
    }
    l->ptr[l->n++] = t;
    return true;
}

static const struct value *take_parts(struct run *r, const struct part_list *l, bool reverse) {
    struct value *v = value_list(r, LIST_LIST, l->n);
    for (size_t i = 0; i < v->n; i++) v->items[i] = value_text(r, l->ptr[reverse ? l->n - 1 - i : i]);
    return v;
}

static void split_white(struct run *r, struct text t, int64_t count, struct part_list *l) {
    for (;; count--) {
        t = text_strip(t, NULL, true, false);
        if (t.len == 0) return;
        size_t end = count > 0 ? 0 : t.len;
        for (uint32_t c; end < t.len; end += text_char(t, end)) {
            if (str_utf8(text_str(t), end, &c) > 0 && white_is_space(c)) break;
        }
        if (!add_part(r, l, text_slice(t, 0, end))) return;
        t = text_slice(t, end, t.len);
    }
}

static void split_white_back(struct run *r, struct text t, int64_t count, struct part_list *l) {
    for (;; count--) {
        t = text_strip(t, NULL, false, true);
        if (t.len == 0) return;
        size_t begin = count > 0 ? t.len : 0;
        for (uint32_t c; begin > 0; begin -= char_before(t, begin)) {
            if (str_utf8(text_str(t), begin - char_before(t, begin), &c) > 0 && white_is_space(c)) break;
        }
        if (!add_part(r, l, text_slice(t, begin, t.len))) return;
        t = text_slice(t, 0, begin);
    }
}

const struct value *text_split(struct run *r, struct text t, const struct text *by, int64_t count,
                               bool from_end) {
    struct part_list l = {0};
    if (count < 0) count = INT64_MAX;
    if (!by) {
        if (from_end)
            split_white_back(r, t, count, &l);
        else
            split_white(r, t, count, &l);
        return take_parts(r, &l, from_end);
    }
    if (by->len == 0) return run_fail(r, "a text is split by an empty one"), value_none();
    while (!r->failed && count-- > 0) {
        ptrdiff_t at = from_end ? str_find_last(text_str(t), text_str(*by)) : find_from(t, 0, *by);
        if (at < 0) break;
        struct text left = text_slice(t, 0, (size_t)at), right = text_slice(t, (size_t)at + by->len, t.len);
        if (!add_part(r, &l, from_end ? right : left)) break;
        t = from_end ? left : right;
    }
    add_part(r, &l, t);
    return take_parts(r, &l, from_end);
}

static bool ends_line(uint32_t c) {
    return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

const struct value *text_lines(struct run *r, struct text t, bool keep_ends) {
    struct part_list l = {0};
    uint32_t c;
    for (size_t at = 0, first = 0; at < t.len;) {
        size_t n = text_char(t, at);
        bool ends = str_utf8(text_str(t), at, &c) > 0 && ends_line(c);
        if (ends && c == '\r' && at + 1 < t.len && t.ptr[at + 1] == '\n') n = 2;
        at += n;
        if (!ends && at < t.len) continue;
        if (!add_part(r, &l, text_slice(t, first, ends && !keep_ends ? at - n : at))) break;
        first = at;
    }
    return take_parts(r, &l, false);
}

/* ---- upper and lower case ---- */

/* Whether Python changes the character by more than one for one: then it is left to nobody. */
static bool is_plain_case(uint32_t c) {
    utf8proc_int32_t folded[4];
    int boundary = 0;
    return c < 0x80 ||
           (c != 0x130 && c != 0x3a3 &&
            utf8proc_decompose_char((utf8proc_int32_t)c, folded, 4, UTF8PROC_CASEFOLD, &boundary) == 1);
}

static bool is_cased(uint32_t c) {
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k == UTF8PROC_CATEGORY_LU || k == UTF8PROC_CATEGORY_LL || k == UTF8PROC_CATEGORY_LT;
}

struct text text_change_case(struct run *r, struct text t, enum text_case how) {
    struct template_output out = {0};
    bool upper = how != CASE_LOWER;
    uint32_t c;
    for (size_t at = 0, n; at < t.len && !r->failed; at += n) {
        n = text_char(t, at);
        if (str_utf8(text_str(t), at, &c) == 0) c = 0xfffd;
        if (!is_plain_case(c)) run_fail(r, "upper and lower case of U+%04X are not supported", c);
        utf8proc_int32_t changed = !upper ? utf8proc_tolower((utf8proc_int32_t)c)
                                   : how == CASE_TITLE || how == CASE_CAPITAL
                                       ? utf8proc_totitle((utf8proc_int32_t)c)
                                       : utf8proc_toupper((utf8proc_int32_t)c);
        struct buf one = {0};
        if (c == 0xfffd)
            buf_add(&one, t.ptr + at, n);
        else
            buf_add_utf8(&one, (uint32_t)changed);
        bool own = mark_at(t, at);
        output_add(&out, (struct text){one.ptr, own ? TEXT_OWN : TEXT_FOREIGN, one.len});
        buf_free(&one);
        if (how == CASE_CAPITAL) upper = false;
        if (how == CASE_TITLE) upper = !is_cased(c);
        if (how == CASE_TITLE_FILTER) upper = white_is_space(c) || (c && c < 0x80 && strchr("-({[<", (int)c));
    }
    struct text copy = {out.text.ptr, out.marks.ptr, out.text.len};
    copy = text_join(r, (const struct text[]){copy, TEXT_LITERAL("")}, 2, TEXT_LITERAL(""));
    template_output_fini(&out);
    return copy;
}
