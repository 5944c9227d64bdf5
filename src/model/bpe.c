#include "model/bpe.h"

#include <stdlib.h>

#include "base/mem.h"

enum { SCAN_MAX = 24 }; /* symbols up to which scanning beats the heap */
#define NO_PAIR UINT64_MAX
#define NONE    UINT32_MAX

struct slot {
    uint64_t pair; /* left << 32 | right; NO_PAIR: free */
    uint32_t rank;
    int result;
};

struct bpe {
    struct slot *slots; /* open addressing, at most half full */
    size_t mask;
};

struct bpe *bpe_new(size_t n_merges) {
    ASSERT(n_merges <= BPE_MERGES_MAX);
    struct bpe *b = mem_zalloc(1, sizeof *b);
    size_t n = 16;
    while (n < 2 * n_merges + 2) n *= 2;
    b->mask = n - 1;
    b->slots = mem_zalloc(n, sizeof *b->slots);
    for (size_t i = 0; i < n; i++) b->slots[i].pair = NO_PAIR;
    return b;
}

void bpe_free(struct bpe *b) {
    if (!b) return;
    free(b->slots);
    free(b);
}

static inline struct slot *find(const struct bpe *b, int left, int right) {
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right, h = pair;
    h = (h ^ h >> 31) * 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 29) * 0xbf58476d1ce4e5b9u;
    size_t i = (size_t)(h ^ h >> 32) & b->mask;
    while (b->slots[i].pair != pair && b->slots[i].pair != NO_PAIR) i = (i + 1) & b->mask;
    return &b->slots[i];
}

void bpe_put(struct bpe *b, int left, int right, uint32_t rank, int result) {
    struct slot *s = find(b, left, right);
    s->pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    s->rank = rank;
    s->result = result;
}

bool bpe_get(const struct bpe *b, int left, int right, uint32_t *rank, int *result) {
    const struct slot *s = find(b, left, right);
    if (s->pair == NO_PAIR) return false;
    *rank = s->rank;
    *result = s->result;
    return true;
}

void bpe_work_fini(struct bpe_work *w) {
    free(w->next);
    free(w->prev);
    free(w->heap);
    *w = (struct bpe_work){0};
}

/* Ranks of neighbours are kept beside the symbols, so a merge looks up two pairs only. */
static size_t merge_scanning(const struct bpe *b, int *ids, size_t n) {
    uint64_t ranks[SCAN_MAX]; /* of (i, i+1); NO_PAIR where there is no merge */
    for (size_t i = 0; i + 1 < n; i++) {
        const struct slot *s = find(b, ids[i], ids[i + 1]);
        ranks[i] = s->pair == NO_PAIR ? NO_PAIR : s->rank;
    }
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++) {
            if (ranks[i] < ranks[best]) best = i;
        }
        if (ranks[best] == NO_PAIR) break;
        ids[best] = find(b, ids[best], ids[best + 1])->result;
        n--;
        for (size_t i = best + 1; i < n; i++) ids[i] = ids[i + 1];
        for (size_t i = best; i + 1 < n; i++) ranks[i] = ranks[i + 1];
        for (size_t i = best ? best - 1 : 0; i <= best && i + 1 < n; i++) {
            const struct slot *s = find(b, ids[i], ids[i + 1]);
            ranks[i] = s->pair == NO_PAIR ? NO_PAIR : s->rank;
        }
    }
    return n;
}

static void heap_push(struct bpe_work *w, uint64_t key) {
    MEM_GROW(w->heap, w->cap_heap, w->n_heap + 1);
    size_t i = w->n_heap++;
    while (i > 0 && w->heap[(i - 1) / 2] > key) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = key;
}

static uint64_t heap_pop(struct bpe_work *w) {
    uint64_t top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->n_heap; i = child) {
        if (child + 1 < w->n_heap && w->heap[child + 1] < w->heap[child]) child++;
        if (w->heap[child] >= last) break;
        w->heap[i] = w->heap[child];
    }
    if (w->n_heap) w->heap[i] = last;
    return top;
}

static void push_pair(const struct bpe *b, struct bpe_work *w, const int *ids, uint32_t at) {
    const struct slot *s = find(b, ids[at], ids[w->next[at]]);
    if (s->pair != NO_PAIR) heap_push(w, (uint64_t)s->rank << 32 | at);
}

/* A heap entry is stale unless the pair that now starts at its position still has its rank. */
static size_t merge_heap(const struct bpe *b, struct bpe_work *w, int *ids, size_t n) {
    MEM_GROW(w->next, w->cap_next, n);
    MEM_GROW(w->prev, w->cap_prev, n);
    w->n_heap = 0;
    for (uint32_t i = 0; i < n; i++) {
        w->next[i] = i + 1 < n ? i + 1 : NONE;
        w->prev[i] = i ? i - 1 : NONE;
    }
    for (uint32_t i = 0; i + 1 < n; i++) push_pair(b, w, ids, i);
    while (w->n_heap) {
        uint64_t key = heap_pop(w);
        uint32_t at = (uint32_t)key, right = w->next[at];
        if (ids[at] < 0 || right == NONE) continue;
        const struct slot *s = find(b, ids[at], ids[right]);
        if (s->pair == NO_PAIR || s->rank != key >> 32) continue;
        ids[at] = s->result;
        ids[right] = -1;
        w->next[at] = w->next[right];
        if (w->next[at] != NONE) {
            w->prev[w->next[at]] = at;
            push_pair(b, w, ids, at);
        }
        if (w->prev[at] != NONE) push_pair(b, w, ids, w->prev[at]);
    }
    size_t n_left = 0;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] >= 0) ids[n_left++] = ids[i];
    }
    return n_left;
}

size_t bpe_merge(const struct bpe *b, struct bpe_work *w, int *ids, size_t n) {
    ASSERT(n < INT32_MAX);
    return n <= SCAN_MAX ? merge_scanning(b, ids, n) : merge_heap(b, w, ids, n);
}
