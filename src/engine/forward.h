/* forward.h - one forward pass over a ragged batch of rows.
 *
 * A row is one position of one path. Its keys and values go to its slot of the path's pages, and it sees
 * the positions up to its own: rows of one path may be in one batch (a prompt being read), because a layer
 * stores the keys and values of all rows before any row attends.
 *
 *     embed -> L x ( norm, qkv, rope, store | attend, o, add, norm, gate_up, silu, down, add ) -> final norm
 *                                           ^ the only point where rows meet            (of rows with a head)
 *
 * Two ways to share the work, with the same bits: by rows (each worker carries its rows through whole
 * layers; workers meet once a layer, or never when no path has two rows) where a layer's weights fit a
 * core's cache, by panels of outputs where they do not.
 *
 * Rows are put in the order of their pages, so that those whose paths share a prefix lie side by side and
 * attend to it together. No bit depends on that.
 *
 * Threads: forward_run is called by the engine's thread and uses its pool. Nothing is allocated after
 * forward_init.
 */
#ifndef BROOD_FORWARD_H
#define BROOD_FORWARD_H

#include "base/pool.h"
#include "engine/engine.h"
#include "engine/transformer.h"

struct forward_row {
    int token, position;
    const void *const *pages; /* of the path up to position */
    void *store; /* the page that holds position, or NULL if its keys and values are there already */
    int i_head;  /* row of `hidden`, or -1 */
};

struct forward {
    const struct transformer *t;
    const struct kernels *k;
    struct pool *pool;
    enum engine_sharing sharing;
    enum dtype kv; /* of keys and values */
    int n_rows_max, n_path_pages_max;
    size_t x_stride, qkv_stride, mixed_stride, ffn_stride;
    float *x;       /* [B][x_stride] the residual stream */
    float *norm;    /* [B][x_stride] */
    float *out;     /* [B][x_stride] what is added to x */
    float *qkv;     /* [B][qkv_stride] */
    float *mixed;   /* [B][mixed_stride] attention's output */
    float *ffn;     /* [B][ffn_stride] gate and up */
    float *hidden;  /* [B][x_stride] normed states of the rows that have a head */
    float *scratch; /* [workers][scratch_floats] of attention and of products with coded weights */
    size_t scratch_floats;
    char *rounded;                            /* [B] inputs of coded products: normed states */
    char *rounded_wide;                       /* [B] the same: attention's output, or ffn */
    size_t rounded_bytes, rounded_wide_bytes; /* of a row */
    struct forward_row *rows;  /* [B] of the pass that runs, those that share pages side by side */
    int *order, *order_spare;  /* [B] for sorting them */
    struct attend_path *paths; /* [B] */
    int n_rows;
    int i_layer;
};

void forward_init(struct forward *f, const struct transformer *t, const struct kernels *k, struct pool *pool,
                  enum dtype kv, int n_rows_max, enum engine_sharing sharing, int n_path_pages_max);
void forward_fini(struct forward *f);
void *forward_scratch(const struct forward *f, int i_worker); /* free between two jobs of the pool */
size_t forward_bytes(const struct model_config *c, int n_rows_max, int n_workers,
                     int n_path_pages_max); /* what forward_init takes */

/* independent: no row reads a page that another row of this batch stores into. Leaves f->hidden. */
void forward_run(struct forward *f, const struct forward_row *rows, int n_rows, bool independent);

#endif
