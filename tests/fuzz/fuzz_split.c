/* Split patterns: those that are cut by hand, against the same in a group, which is cut by the pattern alone;
 * every byte lies in one piece.
 *
 * The input is text, made well-formed: bytes that belong to no character become U+FFFD.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/split.h"
#include "model/split_fast.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { PATTERNS = 5 };

struct pieces {
    size_t *ends, n, cap;
};

static void add_piece(void *ctx, struct str piece) {
    struct pieces *p = ctx;
    MEM_GROW(p->ends, p->cap, p->n + 1);
    p->ends[p->n] = (p->n ? p->ends[p->n - 1] : 0) + piece.len;
    ASSERT(piece.len > 0);
    p->n++;
}

static struct split *open_one(const char *pattern) {
    struct split *s = split_new();
    struct err e;
    ASSERT(split_add(s, str_from(pattern), "fuzz", &e));
    return s;
}

static void check(const struct split *fast, const struct split *general, struct str text) {
    struct pieces a = {0}, b = {0};
    struct err e;
    ASSERT(split_run(fast, text, add_piece, &a, &e) && split_run(general, text, add_piece, &b, &e));
    ASSERT(a.n == b.n && (a.n == 0 || memcmp(a.ends, b.ends, a.n * sizeof *a.ends) == 0));
    ASSERT((a.n ? a.ends[a.n - 1] : 0) == text.len);
    free(a.ends);
    free(b.ends);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static struct split *fast[PATTERNS], *general[PATTERNS];
    const struct str input = {(const char *)bytes, n};
    struct buf text = {0};
    uint32_t scalar;
    for (size_t at = 0; at < n;) {
        int n_bytes = str_utf8(input, at, &scalar);
        buf_add_utf8(&text, n_bytes ? scalar : 0xfffd);
        at += n_bytes ? (size_t)n_bytes : 1;
    }
    for (size_t i = 0; i < PATTERNS; i++) {
        ASSERT(split_fast_patterns[i]);
        if (!fast[i]) {
            struct buf group = {0};
            buf_printf(&group, "(?:%s)", split_fast_patterns[i]);
            fast[i] = open_one(split_fast_patterns[i]);
            general[i] = open_one(buf_cstr(&group));
            buf_free(&group);
        }
        check(fast[i], general[i], buf_str(&text));
    }
    buf_free(&text);
    return 0;
}
