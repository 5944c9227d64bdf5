#include "engine/heads.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

/* Below this many weights the head is shared by rows: each worker multiplies and samples its own. Below this
 * many multiply-adds it is not shared. */
#define HEADS_ROWS_WEIGHTS (1 << 20)
#define HEADS_ALONE_BELOW  (1 << 19)

static int chunk_rows(const struct model_config *c, int n_rows_max) {
    size_t row_bytes = (size_t)transformer_padded(c->n_vocab) * sizeof(float);
    return (int)MIN((size_t)n_rows_max, MAX(16, HEADS_LOGITS_BYTES / row_bytes));
}

size_t heads_bytes(const struct model_config *c, int n_rows_max, int n_workers) {
    if (c->head != MODEL_HEAD_LM) return 0;
    size_t row_bytes = (size_t)transformer_padded(c->n_vocab) * sizeof(float);
    return (size_t)chunk_rows(c, n_rows_max) * row_bytes +
           (size_t)n_workers * (size_t)c->n_vocab * (sizeof(float) + sizeof(struct candidate));
}

void heads_init(struct heads *h, const struct forward *f, struct pool *pool, int n_rows_max, int n_allowed) {
    const struct model_config *c = &f->t->config;
    *h = (struct heads){.f = f, .pool = pool, .n_allowed = n_allowed};
    if (f->t->head_in.panels) h->inner = mem_alloc_aligned(64, f->x_stride * sizeof *h->inner);
    if (c->head != MODEL_HEAD_LM) return;
    h->stride = (size_t)transformer_padded(c->n_vocab);
    h->n_chunk = chunk_rows(c, n_rows_max);
    h->logits = mem_alloc_aligned(64, (size_t)h->n_chunk * h->stride * sizeof(float));
    h->samplers = mem_zalloc((size_t)pool_size(pool), sizeof *h->samplers);
    for (int i = 0; i < pool_size(pool); i++) sampler_init(&h->samplers[i], c->n_vocab);
}

void heads_fini(struct heads *h) {
    for (int i = 0; h->samplers && i < pool_size(h->pool); i++) sampler_fini(&h->samplers[i]);
    free(h->samplers);
    free(h->logits);
    free(h->inner);
    *h = (struct heads){0};
}

static void multiply(const struct heads *h, int first, int end, int p, int q, int i_worker) {
    const struct forward *f = h->f;
    kernels_multiply(f->k, h->logits + (size_t)(first - h->first) * h->stride, h->stride,
                     f->hidden + (size_t)first * f->x_stride, f->x_stride, end - first, &f->t->head, p, q,
                     forward_scratch(f, i_worker));
}

static void draw(struct heads *h, struct head_draw *d, int i_worker) {
    const float *logits = h->logits + (size_t)(d->i_head - h->first) * h->stride;
    d->failed = !sampler_draw(&h->samplers[i_worker], h->f->k, logits, h->f->t->config.n_vocab, h->n_allowed,
                              d->how, rng_unit(d->key, d->counter), &d->token, &d->logprob);
    if (d->n_top > 0 && !d->failed)
        d->confidence = sampler_confidence(&h->samplers[i_worker], logits, h->f->t->config.n_vocab, d->n_top);
}

static void job_rows(void *ctx, int i_worker, int n_workers) {
    struct heads *h = ctx;
    int64_t begin, end;
    pool_share(h->end - h->first, 1, i_worker, n_workers, &begin, &end);
    if (begin == end) return;
    int first = h->first + (int)begin, last = h->first + (int)end - 1;
    multiply(h, first, last + 1, 0, matrix_panels(&h->f->t->head), i_worker);
    for (int i = 0; i < h->n_draws; i++)
        if (h->draws[i].i_head >= first && h->draws[i].i_head <= last) draw(h, &h->draws[i], i_worker);
}

static void job_panels(void *ctx, int i_worker, int n_workers) {
    struct heads *h = ctx;
    int64_t begin, end;
    pool_share(matrix_panels(&h->f->t->head), 1, i_worker, n_workers, &begin, &end);
    if (begin < end) multiply(h, h->first, h->end, (int)begin, (int)end, i_worker);
}

static void job_draws(void *ctx, int i_worker, int n_workers) {
    struct heads *h = ctx;
    int64_t begin, end;
    pool_share(h->n_draws, 1, i_worker, n_workers, &begin, &end);
    for (int64_t i = begin; i < end; i++)
        if (h->draws[i].i_head >= h->first && h->draws[i].i_head < h->end) draw(h, &h->draws[i], i_worker);
}

void heads_draw(struct heads *h, struct head_draw *draws, int n_draws, int n_drawn) {
    const struct matrix *m = &h->f->t->head;
    h->draws = draws;
    h->n_draws = n_draws;
    enum engine_sharing sharing = h->f->sharing;
    bool automatic = sharing == ENGINE_SHARING_AUTO;
    int64_t n_weights = (int64_t)m->n_out * m->n_in;
    if (n_drawn == 0) return;                                     /* nor is there any room for logits */
    const int n_chunks = (n_drawn + h->n_chunk - 1) / h->n_chunk; /* dealt evenly: few rows are dear */
    h->first = 0;
    for (int i = 0; i < n_chunks; i++, h->first = h->end) {
        h->end = h->first + (n_drawn - h->first + n_chunks - i - 1) / (n_chunks - i);
        bool by_rows = sharing == ENGINE_SHARING_ROWS || (automatic && n_weights < HEADS_ROWS_WEIGHTS);
        bool alone = automatic && n_weights * (h->end - h->first) < HEADS_ALONE_BELOW;
        if (pool_size(h->pool) == 1 || alone) {
            job_rows(h, 0, 1);
        } else if (by_rows) {
            pool_run(h->pool, job_rows, h);
        } else {
            pool_run(h->pool, job_panels, h);
            pool_run(h->pool, job_draws, h);
        }
    }
}

enum { READ_PANELS = 16 };

/* What the head is multiplied with: the state, or what the layer before the head makes of it. */
static const float *head_input(const struct heads *h, const float *state) {
    const struct forward *f = h->f;
    const struct matrix *m = &f->t->head_in;
    if (!m->panels) return state;
    kernels_multiply(f->k, h->inner, f->x_stride, state, f->x_stride, 1, m, 0, matrix_panels(m),
                     forward_scratch(f, 0));
    for (int i = 0; i < m->n_out; i++) h->inner[i] = fmaxf(h->inner[i] + f->t->head_in_bias[i], 0);
    return h->inner;
}

/* The panels that the outputs from i on want, as long as they are neighbours: [*first, returned). */
static int panels_from(const struct head_read *r, int i, int *first) {
    int end = *first = r->outputs[i] / MATRIX_PANEL;
    for (end++, i++; i < r->n_outputs; i++) {
        const int panel = r->outputs[i] / MATRIX_PANEL;
        if (panel == end && end - *first < READ_PANELS)
            end++;
        else if (panel < *first || panel >= end)
            break;
    }
    return end;
}

void heads_read(const struct heads *h, const struct head_read *r) {
    const struct forward *f = h->f;
    const struct matrix *m = &f->t->head;
    const float *x = head_input(h, f->hidden + (size_t)r->i_head * f->x_stride);
    void *rounded = forward_scratch(f, 0);
    float y[READ_PANELS * MATRIX_PANEL];
    int first = 0, end = 0; /* panels whose outputs y has */
    if (matrix_takes_rounded(m))
        kernels_round(f->k, rounded, 1, m, x, f->x_stride, 0, 1, 0, m->n_in / CODED_BLOCK);
    for (int i = 0; i < r->n_outputs; i++) {
        const int output = r->outputs[i];
        if (output / MATRIX_PANEL < first || output / MATRIX_PANEL >= end) {
            end = panels_from(r, i, &first);
            const struct matrix from_first = matrix_panel(m, first);
            if (matrix_takes_rounded(m))
                kernels_multiply_rounded(f->k, y, sizeof y / sizeof *y, rounded, 1, &from_first, 0,
                                         end - first);
            else
                f->k->matmul(y, sizeof y / sizeof *y, x, f->x_stride, 1, &from_first, 0, end - first);
        }
        r->out[i] = y[output - first * MATRIX_PANEL] + (f->t->head_bias ? f->t->head_bias[output] : 0);
    }
}
