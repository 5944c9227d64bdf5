/* heads.h - from final states to drawn tokens and read outputs.
 *
 * Logits are computed only for states that something samples from, once for all who sample from the same
 * state, and a chunk of rows at a time so that a large vocabulary does not need n_rows_max rows of logits.
 * Reads compute only the outputs they list: the one panel each lies in.
 *
 * Threads: called by the engine's thread, uses its pool. Nothing is allocated after heads_init.
 */
#ifndef BROOD_HEADS_H
#define BROOD_HEADS_H

#include "engine/forward.h"
#include "engine/sampler.h"

struct head_draw {
    int i_head; /* row of forward.hidden */
    const struct engine_sampling *how;
    uint64_t key, counter;
    int n_top; /* > 0: confidence is wanted */
    int token; /* out */
    float logprob, confidence;
    bool failed; /* the logits were not numbers */
};

struct head_read {
    int i_head;
    const int *outputs; /* [n_outputs] */
    int n_outputs;
    float *out; /* [n_outputs] */
};

struct heads {
    const struct forward *f;
    struct pool *pool;
    int n_allowed; /* token ids below this can be drawn */
    int n_chunk;   /* rows of logits */
    size_t stride;
    float *logits;            /* [n_chunk][stride] */
    struct sampler *samplers; /* [workers] */
    float *inner;             /* [x_stride] what comes before the head, where there is something */
    /* the chunk that runs */
    struct head_draw *draws;
    int n_draws, first, end;
};

#define HEADS_LOGITS_BYTES ((size_t)40 << 20) /* 64 rows of 152,000 tokens in one */

void heads_init(struct heads *h, const struct forward *f, struct pool *pool, int n_rows_max, int n_allowed);
void heads_fini(struct heads *h);
size_t heads_bytes(const struct model_config *c, int n_rows_max, int n_workers); /* what heads_init takes */

/* States 0 .. n_drawn-1 are those that draws refer to. */
void heads_draw(struct heads *h, struct head_draw *draws, int n_draws, int n_drawn);
void heads_read(const struct heads *h, const struct head_read *r);

#endif
