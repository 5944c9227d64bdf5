/* bpe.h - byte-pair merging: the pair of lowest rank first, the leftmost among equals, until no pair has a
 * rank.
 *
 * Symbols are token ids; what they stand for is the tokenizer's business. Merging n symbols takes O(n log n)
 * whatever the text: a linked list of symbols and a heap of (rank, position), as in Hugging Face's
 * tokenizers; short pieces are scanned.
 *
 * Threads: a table is read-only once filled; each thread has its own struct bpe_work.
 */
#ifndef BROOD_BPE_H
#define BROOD_BPE_H

#include "base/base.h"

struct bpe;

enum { BPE_MERGES_MAX = 1 << 23 };

struct bpe *bpe_new(size_t n_merges);
void bpe_free(struct bpe *b);
/* left + right -> result; a pair put again takes the later rank. Ids are >= 0. */
void bpe_put(struct bpe *b, int left, int right, uint32_t rank, int result);
bool bpe_get(const struct bpe *b, int left, int right, uint32_t *rank, int *result);

struct bpe_work { /* scratch; zero-initialised, bpe_work_fini when done */
    uint32_t *next, *prev;
    uint64_t *heap;
    size_t cap_next, cap_prev, cap_heap, n_heap;
};
void bpe_work_fini(struct bpe_work *w);

/* Merges ids[n] in place and returns how many are left. n < 2^31. */
size_t bpe_merge(const struct bpe *b, struct bpe_work *w, int *ids, size_t n);

#endif
