#include "model/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void added_put(struct added *a, struct str text, int id, bool special) {
    ASSERT(text.len > 0);
    MEM_GROW(a->items, a->cap, a->n + 1);
    a->items[a->n++] = (struct added_token){str_dup(text), text.len, id, special};
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

bool added_next(const struct added *a, struct str text, size_t from, size_t *begin, size_t *end, int *id) {
    if (a->n == 0) return false;
    for (size_t i = from; i < text.len; i++) {
        if (!a->is_first[(unsigned char)text.ptr[i]]) continue;
        const struct added_token *t = longest(a, text, i);
        if (!t) continue;
        if (t->special) {
            i += t->len - 1;
            continue;
        }
        *begin = i;
        *end = i + t->len;
        *id = t->id;
        return true;
    }
    return false;
}
