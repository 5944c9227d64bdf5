/* plan.h - the memory that an engine will take, from a model's configuration and tensors, before anything
 * heavy is begun.
 *
 *     weights    matrices as they are packed, and the table of positions           (touched at once)
 *     work       activations of one forward pass, logits, scores of attention      (touched as used)
 *     cache      the pool of key-value pages                                       (touched as used)
 *
 * The cache that is used by default shrinks to what the machine has left, down to 64 MiB or the positions of
 * one context (4096 at most); one that was asked for does not. Positions that the cache cannot hold are not
 * planned.
 */
#ifndef BROOD_PLAN_H
#define BROOD_PLAN_H

#include "engine/engine.h"

struct engine_plan {
    size_t weights, work, cache; /* bytes */
    size_t available;            /* what the machine has left, and SIZE_MAX if nobody can tell */
    size_t page_bytes;
    enum dtype kv; /* of keys and values */
    int n_pages, n_rows_max, n_threads, n_positions;
};

static inline size_t engine_plan_bytes(const struct engine_plan *p) {
    size_t n = p->weights + p->work;
    return p->cache > SIZE_MAX - n ? SIZE_MAX : n + p->cache;
}

struct engine_plan engine_plan_make(const struct model *m, const struct engine_options *o);

/* Refuses in one sentence what does not fit. */
MUST bool engine_plan_check(const struct engine_plan *p, const struct model *m, struct err *e);

#endif
