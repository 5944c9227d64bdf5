/* mem.c - see mem.h. */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The one place where memory runs out. It writes and leaves without allocating or running exit handlers. */
static _Noreturn void out_of_memory(size_t n_items, size_t item_bytes) {
    char line[160];
    int n =
        snprintf(line, sizeof line, "brood: out of memory (asked for %zu x %zu bytes); use a smaller %s\n",
                 n_items, item_bytes, "model, batch or budget");
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0) _exit(3);
    _exit(3);
}

static size_t product(size_t n_items, size_t item_bytes) {
    size_t n_bytes;
    if (__builtin_mul_overflow(n_items, item_bytes, &n_bytes)) out_of_memory(n_items, item_bytes);
    return n_bytes;
}

void *mem_alloc(size_t n_bytes) {
    void *p = malloc(n_bytes ? n_bytes : 1);
    if (!p) out_of_memory(1, n_bytes);
    return p;
}

void *mem_zalloc(size_t n_items, size_t item_bytes) {
    void *p = product(n_items, item_bytes) ? calloc(n_items, item_bytes) : calloc(1, 1);
    if (!p) out_of_memory(n_items, item_bytes);
    return p;
}

void *mem_realloc(void *p, size_t n_items, size_t item_bytes) {
    size_t n_bytes = product(n_items, item_bytes);
    void *grown = realloc(p, n_bytes ? n_bytes : 1);
    if (!grown) out_of_memory(n_items, item_bytes);
    return grown;
}

void *mem_alloc_aligned(size_t alignment, size_t n_bytes) {
    ASSERT(alignment >= 8 && (alignment & (alignment - 1)) == 0);
    void *p = NULL;
    if (posix_memalign(&p, alignment, n_bytes ? n_bytes : 1) != 0) out_of_memory(1, n_bytes);
    return memset(p, 0, n_bytes);
}

char *mem_strdup(const char *s) {
    return mem_dup(s, strlen(s) + 1);
}

void *mem_dup(const void *p, size_t n_bytes) {
    void *copy = mem_alloc(n_bytes);
    if (n_bytes) memcpy(copy, p, n_bytes);
    return copy;
}

void *mem_grow(void *p, size_t *cap, size_t n_items, size_t item_bytes) {
    if (n_items <= *cap) return p;
    size_t wanted = *cap > SIZE_MAX / 2 ? n_items : *cap * 2;
    wanted = MAX(MAX(wanted, n_items), 16);
    p = mem_realloc(p, wanted, item_bytes);
    *cap = wanted;
    return p;
}
