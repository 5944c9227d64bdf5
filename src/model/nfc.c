#include "model/nfc.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"

enum { FIRST_MARK = 0x300, DECOMPOSED_MAX = 32 };

bool nfc_is_plain(struct str text) {
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0xcc) return false; /* U+0300 is CC 80 */
    }
    return true;
}

static int class_of(int32_t scalar) {
    return scalar < FIRST_MARK ? 0 : (int)utf8proc_get_property(scalar)->combining_class;
}

/* Counting sort by combining class: stable and linear. */
static void sort_marks(int32_t *marks, size_t n, int32_t *spare) {
    size_t start[257] = {0};
    for (size_t i = 0; i < n; i++) start[class_of(marks[i]) + 1]++;
    for (size_t c = 0; c < 256; c++) start[c + 1] += start[c];
    for (size_t i = 0; i < n; i++) spare[start[class_of(marks[i])]++] = marks[i];
    memcpy(marks, spare, n * sizeof *marks);
}

/* Each run of marks (class not 0) in the order of their classes. */
static void order_marks(int32_t *scalars, size_t n) {
    int32_t *spare = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t first = i;
        bool ordered = true;
        int before = 0;
        for (int c; i < n && (c = class_of(scalars[i])) != 0; i++) {
            ordered &= c >= before;
            before = c;
        }
        if (ordered) continue;
        if (!spare) spare = mem_alloc(n * sizeof *spare);
        sort_marks(scalars + first, i - first, spare);
    }
    free(spare);
}

void nfc_add(struct buf *out, struct str text) {
    int32_t *scalars = NULL;
    size_t n = 0, cap = 0;
    for (size_t at = 0; at < text.len;) {
        uint32_t scalar;
        int n_bytes = str_utf8(text, at, &scalar), boundary = 0;
        ASSERT(n_bytes > 0);
        MEM_GROW(scalars, cap, n + DECOMPOSED_MAX);
        utf8proc_ssize_t got = utf8proc_decompose_char((int32_t)scalar, scalars + n, DECOMPOSED_MAX,
                                                       UTF8PROC_STABLE | UTF8PROC_COMPOSE, &boundary);
        ASSERT(got >= 0 && got <= DECOMPOSED_MAX);
        n += (size_t)got;
        at += (size_t)n_bytes;
    }
    order_marks(scalars, n);
    utf8proc_ssize_t left =
        utf8proc_normalize_utf32(scalars, (utf8proc_ssize_t)n, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    ASSERT(left >= 0);
    for (utf8proc_ssize_t i = 0; i < left; i++) buf_add_utf8(out, (uint32_t)scalars[i]);
    free(scalars);
}
