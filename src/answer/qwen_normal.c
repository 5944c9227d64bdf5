#include "answer/qwen.h"

#include <stdlib.h>
#include <string.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
static bool is_word(char c) {
    return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80;
}

static void assign(struct buf *b, struct buf *from) {
    struct buf t = *b;
    *b = *from;
    *from = t;
    buf_clear(from);
}

static void replace(struct buf *b, const char *what, const char *with) {
    struct str s = buf_str(b), w = str_from(what), by = str_from(with);
    if (str_find(s, w) < 0) return;
    struct buf out = {0};
    for (ptrdiff_t at; (at = str_find(s, w)) >= 0;) {
        buf_add(&out, s.ptr, (size_t)at);
        buf_add_str(&out, by);
        s = (struct str){s.ptr + at + w.len, s.len - (size_t)at - w.len};
    }
    buf_add_str(&out, s);
    assign(b, &out);
    buf_free(&out);
}

/* Removes `head`, what follows up to `tail`, and `tail`; with keep_inner only head and tail go. */
static void unwrap(struct buf *b, const char *head, const char *tail, const char *with, bool keep_inner) {
    struct str s = buf_str(b), h = str_from(head), t = str_from(tail);
    if (str_find(s, h) < 0) return;
    struct buf out = {0};
    for (ptrdiff_t at; (at = str_find(s, h)) >= 0;) {
        struct str rest = {s.ptr + at + h.len, s.len - (size_t)at - h.len};
        ptrdiff_t end = str_find(rest, t);
        if (end < 0) break;
        buf_add(&out, s.ptr, (size_t)at);
        buf_add_str(&out, str_from(with));
        if (keep_inner) buf_add(&out, rest.ptr, (size_t)end);
        s = (struct str){rest.ptr + end + t.len, rest.len - (size_t)end - t.len};
    }
    buf_add_str(&out, s);
    assign(b, &out);
    buf_free(&out);
}

/* ---- units ---- */

/* Words that the grader takes for units, in its order; a full stop stands for any character. Each also with
 * an "s". */
static const char *const UNITS[] = {
    "east",         "degree", "mph",     "kmph",     "ft",        "m sqaure", " m east",
    "sq m",         "deg",    "mile",    "q .",      "monkey",    "prime",    "ratio",
    "profit of rs", "rd",     "o",       "gm",       "p . m",     "lb",       "tile",
    "per",          "dm",     "lt",      "gain",     "ab",        "way",      "west",
    "a .",          "b .",    "c .",     "d .",      "e .",       "f .",      "g .",
    "h .",          "t",      "a",       "h",        "no change", "men",      "soldier",
    "pie",          "bc",     "excess",  "st",       "inches",    "noon",     "percent",
    "by",           "gal",    "kmh",     "c",        "acre",      "rise",     "a . m",
    "th",           "sq",     "mark",    "l",        "toy",       "coin",     "sq . m",
    "gallon",       "profit", "minw",    "yr",       "women",     "feet",     "am",
    "pm",           "hr",     "cu cm",   "square",   "are",       "rupee",    "rounds",
    "cubic",        "cc",     "mtr",     "s",        "ohm",       "number",   "day",
    "hour",         "minute", "min",     "second",   "man",       "woman",    "sec",
    "cube",         "mt",     "sq inch", "mp",       "hectare",   "more",     "unit",
    "cu . m",       "cm 2",   "rs .",    "rs",       "kg",        "g",        "month",
    "km",           "m",      "cm",      "mm",       "apple",     "liter",    "loss",
    "yard",         "pure",   "year",    "increase", "decrease",  "d",        "less",
    "Surface",      "litre",  "pi sq m", "s .",      "metre",     "meter",    "inch",
};

/* The length of `unit` (with plural "s") at s[at], 0 if it is not there. */
static size_t unit_at(struct str s, size_t at, const char *unit, bool plural) {
    size_t n = strlen(unit);
    if (at + n + plural > s.len) return 0;
    for (size_t i = 0; i < n; i++)
        if (unit[i] != '.' && s.ptr[at + i] != unit[i]) return 0;
    if (plural && s.ptr[at + n] != 's') return 0;
    size_t end = at + n + plural;
    return end == s.len || !is_word(s.ptr[end]) ? n + plural : 0;
}

static void remove_unit(struct buf *b, const char *unit, bool plural) {
    struct str s = buf_str(b);
    if (unit[0] != '.' && !memchr(s.ptr ? s.ptr : "", unit[0], s.len)) return;
    struct buf out = {0};
    for (size_t i = 0; i < s.len;) {
        size_t n = i == 0 ? unit_at(s, 0, unit, plural) : 0, head = 0;
        if (!n && !is_word(s.ptr[i])) n = unit_at(s, i + 1, unit, plural), head = 1;
        if (!n) {
            buf_add_char(&out, s.ptr[i++]);
            continue;
        }
        buf_add(&out, s.ptr + i, head);
        i += head + n;
        if (i < s.len) buf_add_char(&out, s.ptr[i++]); /* the character behind is used up by the match */
    }
    if (out.len) assign(b, &out);
    buf_free(&out);
}

static void remove_units(struct buf *b) {
    for (int round = 0; round < 2; round++)
        for (int plural = 0; plural < 2; plural++)
            for (size_t i = 0; i < ARRAY_LEN(UNITS); i++) remove_unit(b, UNITS[i], plural);
}

/* ---- number words ---- */

static long word_value(struct str w) {
    static const char *const SMALL[] = {"zero",    "one",     "two",       "three",    "four",
                                        "five",    "six",     "seven",     "eight",    "nine",
                                        "ten",     "eleven",  "twelve",    "thirteen", "fourteen",
                                        "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
    static const char *const TENS[] = {"twenty", "thirty",  "forty",  "fifty",
                                       "sixty",  "seventy", "eighty", "ninety"};
    for (size_t i = 0; i < ARRAY_LEN(SMALL); i++)
        if (str_equal(w, str_from(SMALL[i]))) return (long)i;
    for (size_t i = 0; i < ARRAY_LEN(TENS); i++)
        if (str_equal(w, str_from(TENS[i]))) return 20 + 10 * (long)i;
    if (str_equal(w, STR("hundred"))) return 100;
    if (str_equal(w, STR("thousand"))) return 1000;
    return str_equal(w, STR("million")) ? 1000000 : -1;
}

/* "twenty one", "two hundred": the words that are numbers, whatever stands between them. */
static void number_words(struct buf *b) {
    struct str s = buf_str(b);
    if (s.len > 200) return;
    long total = 0, part = 0;
    bool any = false;
    for (size_t i = 0; i < s.len;) {
        char w[16];
        size_t n = 0, from = i;
        while (i < s.len && s.ptr[i] != ' ' && s.ptr[i] != '-') {
            char c = s.ptr[i++];
            if (n < sizeof w) w[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
        }
        if (i == from) i++;
        long v = n ? word_value((struct str){w, n}) : -1;
        if (v < 0) continue;
        any = true;
        if (v == 100)
            part = MAX(part, 1) * 100;
        else if (v >= 1000)
            total += MAX(part, 1) * v, part = 0;
        else
            part += v;
        if (total > 1000000000 || part > 1000000) return;
    }
    if (!any) return;
    buf_clear(b);
    buf_printf(b, "%ld", total + part);
}

/* ---- numbers and fractions ---- */

/* 3.00 -> 3, where no digit follows */
static void drop_zero_decimals(struct buf *b) {
    struct str s = buf_str(b);
    struct buf out = {0};
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '.' && i > 0 && is_digit(s.ptr[i - 1])) {
            size_t j = i + 1;
            while (j < s.len && s.ptr[j] == '0') j++;
            if (j == s.len || !is_digit(s.ptr[j])) {
                i = j - 1;
                continue;
            }
        }
        buf_add_char(&out, s.ptr[i]);
    }
    assign(b, &out);
    buf_free(&out);
}

/* \sqrt3 -> \sqrt{3} */
static void brace_roots(struct buf *b) {
    struct str s = buf_str(b), root = STR("\\sqrt");
    struct buf out = {0};
    for (size_t i = 0; i < s.len;) {
        if (!str_starts((struct str){s.ptr + i, s.len - i}, root)) {
            buf_add_char(&out, s.ptr[i++]);
            continue;
        }
        size_t j = i + root.len, from = j;
        while (j < s.len && is_word(s.ptr[j])) j++;
        buf_add_str(&out, root);
        if (j > from) buf_add_char(&out, '{');
        buf_add(&out, s.ptr + from, j - from);
        if (j > from) buf_add_char(&out, '}');
        i = j;
    }
    assign(b, &out);
    buf_free(&out);
}

/* \frac12 -> \frac{1}{2}; gives up, changing nothing, where fewer than two characters follow */
static void brace_fractions(struct buf *b) {
    struct str s = buf_str(b), frac = STR("\\frac");
    struct buf out = {0};
    for (size_t i = 0; i < s.len;) {
        if (!str_starts((struct str){s.ptr + i, s.len - i}, frac)) {
            buf_add_char(&out, s.ptr[i++]);
            continue;
        }
        i += frac.len;
        buf_add_str(&out, frac);
        if (i < s.len && s.ptr[i] == '{') continue;
        if (i + 2 > s.len) {
            buf_free(&out);
            return;
        }
        buf_printf(&out, "{%c}", s.ptr[i]);
        if (s.ptr[i + 1] == '{')
            buf_add_char(&out, '{');
        else
            buf_printf(&out, "{%c}", s.ptr[i + 1]);
        i += 2;
    }
    assign(b, &out);
    buf_free(&out);
}

static bool all_digits(struct str s) {
    size_t i = s.len && s.ptr[0] == '-';
    if (i == s.len || (s.ptr[i] == '0' && s.len > i + 1)) return false;
    for (; i < s.len; i++)
        if (!is_digit(s.ptr[i])) return false;
    return true;
}

static void slash_to_fraction(struct buf *b) {
    struct str s = buf_str(b);
    ptrdiff_t at = str_find(s, STR("/"));
    if (at < 0 || at != str_find_last(s, STR("/"))) return;
    struct str x = {s.ptr, (size_t)at}, y = {s.ptr + at + 1, s.len - (size_t)at - 1};
    bool x_ok = str_find(x, STR("sqrt")) >= 0 || all_digits(x),
         y_ok = str_find(y, STR("sqrt")) >= 0 || all_digits(y);
    if (!x_ok || !y_ok) return;
    struct buf out = {0};
    buf_printf(&out, "\\frac{%.*s}{%.*s}", (int)x.len, x.ptr, (int)y.len, y.ptr);
    assign(b, &out);
    buf_free(&out);
}

/* ---- the whole ---- */

/* A \text{...} that reaches to the end goes, unless nothing would be left. */
static void drop_trailing_text(struct buf *b) {
    struct str s = buf_str(b);
    ptrdiff_t at = str_find(s, STR("\\text{"));
    if (at < 0 || !str_ends(s, STR("}"))) return;
    struct str head = str_trim((struct str){s.ptr, (size_t)at});
    if (!head.len) return;
    struct buf out = {0};
    buf_add_str(&out, head);
    assign(b, &out);
    buf_free(&out);
}

static void drop_short_label(struct buf *b) {
    struct str s = buf_str(b);
    ptrdiff_t at = str_find(s, STR("="));
    if (at < 0 || at > 2 || at != str_find_last(s, STR("="))) return;
    struct buf out = {0};
    buf_add(&out, s.ptr + at + 1, s.len - (size_t)at - 1);
    assign(b, &out);
    buf_free(&out);
}

static void replace_all(struct buf *b, const char *const (*pairs)[2], size_t n) {
    for (size_t i = 0; i < n; i++) replace(b, pairs[i][0], pairs[i][1]);
}

void qwen_normalise(struct str text, struct buf *out) {
    static const char *const LAYOUT[][2] = {
        {"\\end{array}", "\\end{pmatrix}"},
        {"bmatrix", "pmatrix"},
        {"tfrac", "frac"},
        {"dfrac", "frac"},
        {"\\neq", "\\ne"},
        {"\\leq", "\\le"},
        {"\\geq", "\\ge"},
        {"\\left", ""},
        {"\\right", ""},
        {"\\{", "{"},
        {"\\}", "}"},
    };
    static const char *const SIGNS[][2] = {{"^{\\circ}", ""}, {"^\\circ", ""}, {"\\$", ""},
                                           {"$", ""},         {"\\(", ""},     {"\\)", ""}};
    static const char *const LABELS[][2] = {
        {"x=", ""},
        {"y=", ""},
        {"z=", ""},
        {"x\\in", ""},
        {"y\\in", ""},
        {"z\\in", ""},
        {"x\\to", ""},
        {"y\\to", ""},
        {"z\\to", ""},
        {"\\emptyset", "{}"},
        {"(-\\infty,\\infty)", "\\mathbb{R}"},
        {"\\%", ""},
        {"%", ""},
        {" .", " 0."},
        {"{.", "{0."},
        {"infinity", "\\infty"},
    };
    struct buf b = {0};
    buf_add_str(&b, str_trim(text));
    replace(&b, "\n", "");
    while (b.len && b.ptr[b.len - 1] == '.') b.ptr[--b.len] = '\0';
    replace(&b, "\\!", "");
    unwrap(&b, "\\begin{array}{", "}", "\\begin{pmatrix}", false);
    replace_all(&b, LAYOUT, ARRAY_LEN(LAYOUT));
    drop_trailing_text(&b);
    remove_units(&b);
    replace_all(&b, SIGNS, ARRAY_LEN(SIGNS));
    number_words(&b);
    unwrap(&b, "\\text{", "}", "", true);
    replace_all(&b, LABELS, ARRAY_LEN(LABELS));
    if (str_find(buf_str(&b), STR("\\infty")) < 0) replace(&b, "inf", "\\infty");
    replace(&b, "and", "");
    replace(&b, "\\mathbf", "");
    unwrap(&b, "\\mbox{", "}", "", false);
    if (str_find(buf_str(&b), STR("i")) < 0) replace(&b, "j", "i");
    drop_zero_decimals(&b);
    if (b.len && b.ptr[0] == '.') buf_add_char(out, '0');
    drop_short_label(&b);
    brace_roots(&b);
    replace(&b, " ", "");
    brace_fractions(&b);
    slash_to_fraction(&b);
    buf_add_str(out, buf_str(&b));
    buf_free(&b);
}
