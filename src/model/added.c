#include "model/added.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"

void added_put(struct added *a, struct str text, const struct added_token *t) {
    ASSERT(text.len > 0);
    MEM_GROW(a->items, a->cap, a->n + 1);
    struct added_token *item = &a->items[a->n++];
    *item = *t;
    item->text = str_dup(text);
    item->len = text.len;
    a->is_first[(unsigned char)text.ptr[0]] = true;
}

static int compare(const void *x, const void *y) {
    const struct added_token *a = x, *b = y;
    int order = memcmp(a->text, b->text, MIN(a->len, b->len));
    return order ? order : a->len < b->len ? -1 : a->len > b->len;
}

void added_finish(struct added *a) {
    if (a->n) qsort(a->items, a->n, sizeof *a->items, compare);
}

void added_fini(struct added *a) {
    for (size_t i = 0; i < a->n; i++) free(a->items[i].text);
    free(a->items);
    *a = (struct added){0};
}

/* First item of [lo,hi), all equal up to `at`, whose byte there is not below `byte`. An ended item sorts
 * first. */
static size_t lower_bound(const struct added *a, size_t lo, size_t hi, size_t at, int byte) {
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct added_token *t = &a->items[mid];
        int its = at < t->len ? (unsigned char)t->text[at] : -1;
        if (its < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The longest token that starts text[from..], by narrowing the sorted list byte by byte. */
static const struct added_token *longest(const struct added *a, struct str text, size_t from) {
    const struct added_token *best = NULL;
    size_t lo = 0, hi = a->n;
    for (size_t at = 0; lo < hi; at++) {
        if (a->items[lo].len == at) best = &a->items[lo];
        if (from + at == text.len) break;
        int byte = (unsigned char)text.ptr[from + at];
        lo = lower_bound(a, lo, hi, at, byte);
        hi = lower_bound(a, lo, hi, at, byte + 1);
    }
    return best;
}

/* ---- what stands beside a token ---- */

/* Unicode White_Space. */
static bool is_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0d) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

/* Letters, marks, digits, connecting punctuation, joiners, and letters in circles and squares. */
static bool is_word(uint32_t c) {
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
               (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
    }
}

/* The character that ends at `end`, and where it begins; false at the start of the text. */
static bool char_before(struct str text, size_t end, uint32_t *c, size_t *begin) {
    for (size_t back = 1; back <= MIN(end, 4u); back++) {
        if (str_utf8(text, end - back, c) == (int)back) return *begin = end - back, true;
    }
    return false;
}

static bool joins_words(struct str text, size_t begin, size_t end) {
    uint32_t c;
    size_t at;
    return (char_before(text, begin, &c, &at) && is_word(c)) || (str_utf8(text, end, &c) > 0 && is_word(c));
}

bool added_next(const struct added *a, struct str text, const char *marks, size_t from, size_t *begin,
                size_t *end, int *id) {
    uint32_t c;
    if (a->n == 0) return false;
    for (size_t i = from; i < text.len; i++) {
        if (!a->is_first[(unsigned char)text.ptr[i]]) continue;
        const struct added_token *t = longest(a, text, i);
        /* What is not marked throughout hides no token that begins in the midst of it. */
        if (!t || (marks && memchr(marks + i, 0, t->len))) continue;
        if (t->special != (marks != NULL) || (t->single_word && joins_words(text, i, i + t->len))) {
            i += t->len - 1;
            continue;
        }
        *begin = i;
        *end = i + t->len;
        *id = t->id;
        for (size_t at; t->lstrip && *begin > from && char_before(text, *begin, &c, &at) && is_space(c);)
            *begin = MAX(at, from);
        for (int n; t->rstrip && (n = str_utf8(text, *end, &c)) > 0 && is_space(c);) *end += (size_t)n;
        return true;
    }
    return false;
}
