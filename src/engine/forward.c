#include "engine/forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Below this many multiply-adds a batch is not worth waking a second worker. */
#define FORWARD_ALONE_BELOW 1e6
/* A layer up to this size stays in a core's cache while rows pass by. */
#define FORWARD_ROWS_LAYER_BYTES ((size_t)4 << 20)
/* With fewer rows a worker, sharing by rows leaves the kernels' register blocks empty. */
enum { FORWARD_ROWS_PER_WORKER = 4 };

static float *rows_of(int n_rows, size_t stride) {
    return mem_alloc_aligned(64, (size_t)n_rows * stride * sizeof(float));
}

/* Rows a multiple of 1 KiB apart would meet in few sets of the caches. */
static size_t stride_of(int n) {
    return (size_t)(n % 256 == 0 ? n + MATRIX_PANEL : n);
}

static void set_strides(struct forward *f, const struct model_config *c, int n_rows_max,
                        int n_path_pages_max) {
    int q_width = transformer_padded(c->n_heads * c->head_width),
        kv_width = transformer_padded(c->n_kv_heads * c->head_width);
    f->x_stride = stride_of(transformer_padded(c->d_model));
    f->qkv_stride = stride_of(q_width + 2 * kv_width);
    f->mixed_stride = stride_of(q_width);
    f->ffn_stride = stride_of(2 * transformer_padded(c->d_ffn));
    const size_t n_rows = (size_t)n_rows_max, narrow = (size_t)MAX(c->d_model, c->n_heads * c->head_width);
    const size_t attend = attend_scratch_floats(MAX(c->n_heads / c->n_kv_heads, (int)ATTEND_QUERIES_MAX),
                                                c->head_width, n_path_pages_max);
    const size_t coded = n_rows * coded_rounded_bytes(1, (int)narrow) / sizeof(float) + 1;
    f->scratch_floats = (MAX(attend, coded) + 15) / 16 * 16;
    f->rounded_bytes = coded_rounded_bytes(1, c->d_model);
    f->rounded_wide_bytes = coded_rounded_bytes(1, MAX((int)narrow, c->d_ffn));
}

size_t forward_bytes(const struct model_config *c, int n_rows_max, int n_workers, int n_path_pages_max) {
    struct forward f;
    set_strides(&f, c, n_rows_max, n_path_pages_max);
    size_t row = 4 * f.x_stride + f.qkv_stride + f.mixed_stride + f.ffn_stride;
    return ((size_t)n_rows_max * row + (size_t)n_workers * f.scratch_floats) * sizeof(float) +
           (size_t)n_rows_max * (f.rounded_bytes + f.rounded_wide_bytes) +
           (size_t)n_rows_max * (sizeof *f.rows + sizeof *f.paths + 2 * sizeof *f.order);
}

void forward_init(struct forward *f, const struct transformer *t, const struct kernels *k, struct pool *pool,
                  enum dtype kv, int n_rows_max, enum engine_sharing sharing, int n_path_pages_max) {
    *f = (struct forward){.t = t, .k = k, .pool = pool, .sharing = sharing, .kv = kv};
    f->n_rows_max = n_rows_max;
    f->n_path_pages_max = n_path_pages_max;
    set_strides(f, &t->config, n_rows_max, n_path_pages_max);
    f->x = rows_of(n_rows_max, f->x_stride);
    f->norm = rows_of(n_rows_max, f->x_stride);
    f->out = rows_of(n_rows_max, f->x_stride);
    f->hidden = rows_of(n_rows_max, f->x_stride);
    f->qkv = rows_of(n_rows_max, f->qkv_stride);
    f->mixed = rows_of(n_rows_max, f->mixed_stride);
    f->ffn = rows_of(n_rows_max, f->ffn_stride);
    f->scratch = rows_of(pool_size(pool), f->scratch_floats);
    f->rounded = mem_alloc_aligned(64, (size_t)n_rows_max * f->rounded_bytes);
    f->rounded_wide = mem_alloc_aligned(64, (size_t)n_rows_max * f->rounded_wide_bytes);
    f->rows = mem_zalloc((size_t)n_rows_max, sizeof *f->rows);
    f->paths = mem_zalloc((size_t)n_rows_max, sizeof *f->paths);
    f->order = mem_zalloc((size_t)n_rows_max, sizeof *f->order);
    f->order_spare = mem_zalloc((size_t)n_rows_max, sizeof *f->order_spare);
}

void forward_fini(struct forward *f) {
    float *all[] = {f->x, f->norm, f->out, f->hidden, f->qkv, f->mixed, f->ffn, f->scratch};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) free(all[i]);
    free(f->rounded);
    free(f->rounded_wide);
    free(f->rows);
    free(f->paths);
    free(f->order);
    free(f->order_spare);
    *f = (struct forward){0};
}

/* ---- stages, each over rows [a, b) and, where it multiplies, panels [p, q) ---- */

struct share {
    int a, b, p, q, i_worker;
};

void *forward_scratch(const struct forward *f, int i_worker) {
    return f->scratch + (size_t)i_worker * f->scratch_floats;
}

static void embed(struct forward *f, int a, int b) {
    for (int i = a; i < b; i++) transformer_embed(f->t, f->rows[i].token, f->x + (size_t)i * f->x_stride);
}

static void add(struct forward *f, int a, int b) {
    for (int i = a; i < b; i++)
        f->k->add(f->x + (size_t)i * f->x_stride, f->out + (size_t)i * f->x_stride, f->t->config.d_model);
}

/* Inputs of products that take them rounded are rounded where they are made, once for all workers and parts.
 */
static void *narrow_of(const struct forward *f, struct share s) {
    return f->rounded + (size_t)s.a * f->rounded_bytes;
}

static void *wide_of(const struct forward *f, struct share s) {
    return f->rounded_wide + (size_t)s.a * f->rounded_wide_bytes;
}

/* Columns [column, column_end) of rows [a, b) of x, which has all rows; s: the product's rows. */
static void round_for(const struct forward *f, void *rounded, const struct matrix *w, const float *x,
                      size_t x_stride, struct share s, int a, int b, int column, int column_end) {
    kernels_round(f->k, rounded, s.b - s.a, w, x + (size_t)s.a * x_stride, x_stride, a - s.a, b - s.a,
                  column / CODED_BLOCK, column_end / CODED_BLOCK);
}

static bool is_rounded(const struct stack *w) { /* parts of different types round for themselves */
    for (int i = 0; i < w->n_parts; i++)
        if (!matrix_takes_rounded(&w->parts[i]) || w->parts[i].dtype != w->parts[0].dtype) return false;
    return true;
}

/* rounded: NULL if x is not yet. */
static void multiply(const struct forward *f, float *y, size_t y_stride, const float *x, size_t x_stride,
                     const void *rounded, const struct matrix *w, struct share s) {
    y += (size_t)s.a * y_stride;
    if (rounded)
        kernels_multiply_rounded(f->k, y, y_stride, rounded, s.b - s.a, w, s.p, s.q);
    else
        kernels_multiply(f->k, y, y_stride, x + (size_t)s.a * x_stride, x_stride, s.b - s.a, w, s.p, s.q,
                         forward_scratch(f, s.i_worker));
}

/* Of normed states. */
static void multiply_stack(const struct forward *f, float *y, size_t y_stride, const struct stack *w,
                           struct share s) {
    const void *rounded = is_rounded(w) ? narrow_of(f, s) : NULL;
    for (int i = 0; i < w->n_parts; i++) {
        const int first = w->first[i], end = i + 1 < w->n_parts ? w->first[i + 1] : w->n_panels;
        struct share part = s;
        part.p = MAX(s.p, first) - first;
        part.q = MIN(s.q, end) - first;
        if (part.p < part.q)
            multiply(f, y + (size_t)first * MATRIX_PANEL, y_stride, f->norm, f->x_stride, rounded,
                     &w->parts[i], part);
    }
}

/* Rows [a, b), for the product w of rows s. */
static void norm(struct forward *f, const float *gain, const struct stack *w, struct share s, int a, int b) {
    const struct model_config *c = &f->t->config;
    for (int i = a; i < b; i++)
        f->k->rmsnorm(f->norm + (size_t)i * f->x_stride, f->x + (size_t)i * f->x_stride, gain, c->d_model,
                      c->norm_eps);
    if (is_rounded(w))
        round_for(f, narrow_of(f, s), &w->parts[0], f->norm, f->x_stride, s, a, b, 0, c->d_model);
}

static void qkv(struct forward *f, const struct layer *l, struct share s) {
    multiply_stack(f, f->qkv, f->qkv_stride, &l->qkv, s);
}

static void head_norms(const struct forward *f, float *x, const float *gain, int n_heads) {
    const struct model_config *c = &f->t->config;
    for (int h = 0; h < n_heads; h++, x += c->head_width)
        f->k->rmsnorm(x, x, gain, c->head_width, c->norm_eps);
}

static void rope_and_store(struct forward *f, const struct layer *l, int a, int b) {
    const struct transformer *t = f->t;
    const struct model_config *c = &t->config;
    const size_t head_bytes = kv_head_elements(c->head_width) * dtype_bytes(f->kv);
    for (int i = a; i < b; i++) {
        const struct forward_row *row = &f->rows[i];
        float *q = f->qkv + (size_t)i * f->qkv_stride, *k = q + t->k_first, *v = q + t->v_first;
        size_t angle = (size_t)row->position * (size_t)(c->head_width / 2);
        if (l->qkv_bias) f->k->add(q, l->qkv_bias, t->qkv_width);
        if (l->q_norm) head_norms(f, q, l->q_norm, c->n_heads);
        if (l->k_norm) head_norms(f, k, l->k_norm, c->n_kv_heads);
        f->k->rope(q, c->n_heads, c->head_width, t->rope_cos + angle, t->rope_sin + angle);
        if (!row->store) continue;
        f->k->rope(k, c->n_kv_heads, c->head_width, t->rope_cos + angle, t->rope_sin + angle);
        char *block = (char *)row->store + (size_t)(l - t->layers) * (size_t)c->n_kv_heads * head_bytes;
        for (int g = 0; g < c->n_kv_heads; g++, block += head_bytes)
            f->k->kv_store(block, f->kv, row->position % KV_PAGE, k + g * c->head_width,
                           v + g * c->head_width, c->head_width);
    }
}

/* Whether the outputs of one key-value head are whole blocks of the product that takes them. */
static bool is_mixed_rounded(const struct forward *f, const struct layer *l) {
    const struct model_config *c = &f->t->config;
    return matrix_takes_rounded(&l->o) && c->n_heads / c->n_kv_heads * c->head_width % CODED_BLOCK == 0;
}

/* Rows [a, b) with one key-value head; s: the rows that are multiplied together. */
static void attend_head(struct forward *f, const struct layer *l, int g, int a, int b, struct share s) {
    const struct model_config *c = &f->t->config;
    const int row = a, row_end = b;
    const int n_queries = c->n_heads / c->n_kv_heads,
              n_paths_max = MAX((int)ATTEND_QUERIES_MAX / n_queries, 1);
    const size_t column = (size_t)(g * n_queries * c->head_width),
                 block = (size_t)((l - f->t->layers) * c->n_kv_heads + g);
    struct attend call = {
        .out_stride = f->mixed_stride,
        .q_stride = f->qkv_stride,
        .n_queries = n_queries,
        .head_width = c->head_width,
        .dtype = f->kv,
        .offset = block * kv_head_elements(c->head_width),
        .scale = 1.0f / sqrtf((float)c->head_width),
        .scratch = forward_scratch(f, s.i_worker),
    };
    for (; a < b; a += call.n_paths) {
        call.n_paths = MIN(b - a, n_paths_max);
        call.out = f->mixed + (size_t)a * f->mixed_stride + column;
        call.q = f->qkv + (size_t)a * f->qkv_stride + column;
        call.paths = f->paths + a;
        f->k->attend(&call);
    }
    if (is_mixed_rounded(f, l))
        round_for(f, wide_of(f, s), &l->o, f->mixed, f->mixed_stride, s, row, row_end, (int)column,
                  (int)column + n_queries * c->head_width);
}

/* Items are (key-value head, row) pairs, head first. */
static void attend_items(struct forward *f, const struct layer *l, int item, int item_end, struct share s) {
    for (int end; item < item_end; item = end) {
        const int g = item / f->n_rows;
        end = MIN(item_end, (g + 1) * f->n_rows);
        attend_head(f, l, g, item - g * f->n_rows, end - g * f->n_rows, s);
    }
}

static void attend_out(struct forward *f, const struct layer *l, struct share s) {
    multiply(f, f->out, f->x_stride, f->mixed, f->mixed_stride, is_mixed_rounded(f, l) ? wide_of(f, s) : NULL,
             &l->o, s);
}

/* Panels of the gate, each with the panel of `up` that it meets; whole blocks of the product that takes them.
 */
static void gate_up(struct forward *f, const struct layer *l, struct share s) {
    int up = f->t->up_first / MATRIX_PANEL, column = s.p * MATRIX_PANEL,
        column_end = MIN(s.q * MATRIX_PANEL, f->t->config.d_ffn);
    struct share ups = s;
    ups.p += up;
    ups.q += up;
    multiply_stack(f, f->ffn, f->ffn_stride, &l->gate_up, s);
    multiply_stack(f, f->ffn, f->ffn_stride, &l->gate_up, ups);
    for (int i = s.a; i < s.b; i++) {
        float *gate = f->ffn + (size_t)i * f->ffn_stride + column;
        f->k->silu_mul(gate, gate + f->t->up_first, column_end - column);
        if (matrix_takes_rounded(&l->down))
            round_for(f, wide_of(f, s), &l->down, f->ffn, f->ffn_stride, s, i, i + 1, column, column_end);
    }
}

static void down(struct forward *f, const struct layer *l, struct share s) {
    multiply(f, f->out, f->x_stride, f->ffn, f->ffn_stride,
             matrix_takes_rounded(&l->down) ? wide_of(f, s) : NULL, &l->down, s);
}

static void final_norm(struct forward *f, int a, int b) {
    const struct model_config *c = &f->t->config;
    for (int i = a; i < b; i++)
        if (f->rows[i].i_head >= 0)
            f->k->rmsnorm(f->hidden + (size_t)f->rows[i].i_head * f->x_stride, f->x + (size_t)i * f->x_stride,
                          f->t->norm_final, c->d_model, c->norm_eps);
}

/* ---- by rows ---- */

static void enter_layer(struct forward *f, const struct layer *l, int a, int b, int i_worker) {
    const struct share s = {a, b, 0, l->qkv.n_panels, i_worker};
    norm(f, l->norm_attend, &l->qkv, s, a, b);
    qkv(f, l, s);
    rope_and_store(f, l, a, b);
}

static void leave_layer(struct forward *f, const struct layer *l, int a, int b, int i_worker) {
    const struct share o = {a, b, 0, matrix_panels(&l->o), i_worker},
                       gates = {a, b, 0, f->t->up_first / MATRIX_PANEL, i_worker};
    for (int g = 0; g < f->t->config.n_kv_heads; g++) attend_head(f, l, g, a, b, o);
    attend_out(f, l, o);
    add(f, a, b);
    norm(f, l->norm_ffn, &l->gate_up, gates, a, b);
    gate_up(f, l, gates);
    down(f, l, (struct share){a, b, 0, matrix_panels(&l->down), i_worker});
    add(f, a, b);
}

static void share_rows(const struct forward *f, int i_worker, int n_workers, int *a, int *b) {
    int64_t begin, end;
    pool_share(f->n_rows, 1, i_worker, n_workers, &begin, &end);
    *a = (int)begin;
    *b = (int)end;
}

/* What lies between two meetings: the end of layer i_layer - 1 and the beginning of layer i_layer. */
static void job_between(void *ctx, int i_worker, int n_workers) {
    struct forward *f = ctx;
    int a, b;
    share_rows(f, i_worker, n_workers, &a, &b);
    if (a == b) return;
    if (f->i_layer == 0)
        embed(f, a, b);
    else
        leave_layer(f, &f->t->layers[f->i_layer - 1], a, b, i_worker);
    if (f->i_layer < f->t->config.n_layers)
        enter_layer(f, &f->t->layers[f->i_layer], a, b, i_worker);
    else
        final_norm(f, a, b);
}

static void job_whole(void *ctx, int i_worker, int n_workers) {
    struct forward *f = ctx;
    int a, b;
    share_rows(f, i_worker, n_workers, &a, &b);
    if (a == b) return;
    embed(f, a, b);
    for (int i = 0; i < f->t->config.n_layers; i++) {
        enter_layer(f, &f->t->layers[i], a, b, i_worker);
        leave_layer(f, &f->t->layers[i], a, b, i_worker);
    }
    final_norm(f, a, b);
}

/* ---- by panels: one meeting after each stage ---- */

enum stage {
    STAGE_BEGIN,
    STAGE_QKV,
    STAGE_ROPE,
    STAGE_ATTEND,
    STAGE_O,
    STAGE_MIDDLE,
    STAGE_GATE_UP,
    STAGE_DOWN,
    STAGE_END
};

struct stage_job {
    struct forward *f;
    const struct layer *l;
    enum stage stage;
};

static void job_stage(void *ctx, int i_worker, int n_workers) {
    const struct stage_job *job = ctx;
    struct forward *f = job->f;
    const struct layer *l = job->l;
    const struct model_config *c = &f->t->config;
    int n_gate = f->t->up_first / MATRIX_PANEL;
    const int n_items[] = {
        [STAGE_BEGIN] = f->n_rows,        [STAGE_QKV] = l->qkv.n_panels,
        [STAGE_ROPE] = f->n_rows,         [STAGE_ATTEND] = f->n_rows * c->n_kv_heads,
        [STAGE_O] = matrix_panels(&l->o), [STAGE_MIDDLE] = f->n_rows,
        [STAGE_GATE_UP] = n_gate,         [STAGE_DOWN] = matrix_panels(&l->down),
        [STAGE_END] = f->n_rows,
    };
    int64_t begin, end;
    pool_share(n_items[job->stage], job->stage == STAGE_GATE_UP ? CODED_BLOCK / MATRIX_PANEL : 1, i_worker,
               n_workers, &begin, &end);
    if (begin == end) return;
    int a = (int)begin, b = (int)end;
    const struct share share = {0, f->n_rows, a, b, i_worker}; /* of a product: panels [a, b) of all rows */
    switch (job->stage) {
    case STAGE_BEGIN:
        if (l == f->t->layers)
            embed(f, a, b);
        else
            add(f, a, b);
        norm(f, l->norm_attend, &l->qkv, share, a, b);
        break;
    case STAGE_QKV:
        qkv(f, l, share);
        break;
    case STAGE_ROPE:
        rope_and_store(f, l, a, b);
        break;
    case STAGE_ATTEND:
        attend_items(f, l, a, b, share);
        break;
    case STAGE_O:
        attend_out(f, l, share);
        break;
    case STAGE_MIDDLE:
        add(f, a, b);
        norm(f, l->norm_ffn, &l->gate_up, share, a, b);
        break;
    case STAGE_GATE_UP:
        gate_up(f, l, share);
        break;
    case STAGE_DOWN:
        down(f, l, share);
        break;
    case STAGE_END:
        add(f, a, b);
        final_norm(f, a, b);
        break;
    }
}

static void run_by_panels(struct forward *f) {
    struct stage_job job = {.f = f};
    for (int i = 0; i < f->t->config.n_layers; i++) {
        job.l = &f->t->layers[i];
        for (job.stage = STAGE_BEGIN; job.stage < STAGE_END; job.stage++) pool_run(f->pool, job_stage, &job);
    }
    pool_run(f->pool, job_stage, &job);
}

/* ---- the order of rows ---- */

/* How many of the first n pages two paths share. Paths part once: a page is one node's, and what lies before
 * it is that node's path. */
static int n_shared(const void *const *a, const void *const *b, int n) {
    int low = 0, high = n; /* pages below low are shared, from high on they are not */
    if (a == b || (n > 0 && a[n - 1] == b[n - 1])) return n;
    while (low < high) {
        const int middle = (low + high) / 2;
        if (a[middle] == b[middle])
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* By their pages from the root on: paths that share a prefix come together, the longer after its own prefix.
 */
static bool in_order(const struct forward_row *x, const struct forward_row *y) {
    const int n = MIN(x->position, y->position) / KV_PAGE + 1, i = n_shared(x->pages, y->pages, n);
    if (i < n) return (uintptr_t)x->pages[i] < (uintptr_t)y->pages[i];
    return x->position <= y->position;
}

/* Merge sort that leaves alone what is in order: it allocates nothing (qsort may), and rows come from one
 * step to the next almost in order. */
static void sort_rows(struct forward *f, const struct forward_row *rows, int n_rows) {
    int *from = f->order, *to = f->order_spare;
    for (int i = 0; i < n_rows; i++) from[i] = i;
    for (int width = 1; width < n_rows; width *= 2) {
        for (int a = 0; a < n_rows; a += 2 * width) {
            const int middle = MIN(a + width, n_rows), end = MIN(a + 2 * width, n_rows);
            if (middle == end || in_order(&rows[from[middle - 1]], &rows[from[middle]])) {
                memcpy(to + a, from + a, (size_t)(end - a) * sizeof *to);
                continue;
            }
            for (int i = a, j = middle, k = a; k < end; k++) {
                const bool left = i < middle && (j == end || in_order(&rows[from[i]], &rows[from[j]]));
                to[k] = left ? from[i++] : from[j++];
            }
        }
        int *spare = from;
        from = to;
        to = spare;
    }
    for (int i = 0; i < n_rows; i++) f->rows[i] = rows[from[i]];
}

static void order_rows(struct forward *f, const struct forward_row *rows, int n_rows) {
    sort_rows(f, rows, n_rows);
    for (int i = n_rows - 1; i >= 0; i--) {
        struct attend_path *path = &f->paths[i];
        *path = (struct attend_path){.pages = f->rows[i].pages, .n_tokens = f->rows[i].position + 1};
        if (i + 1 < n_rows) /* pages that are whole for both */
            path->n_shared =
                n_shared(path->pages, path[1].pages, MIN(path->n_tokens, path[1].n_tokens) / KV_PAGE);
    }
    f->n_rows = n_rows;
}

void forward_run(struct forward *f, const struct forward_row *rows, int n_rows, bool independent) {
    ASSERT(n_rows > 0 && n_rows <= f->n_rows_max);
    order_rows(f, rows, n_rows);
    int n_workers = pool_size(f->pool), n_layers = f->t->config.n_layers;
    double n_products = (double)f->t->layer_weights * n_layers * n_rows;
    bool automatic = f->sharing == ENGINE_SHARING_AUTO;
    bool by_rows =
        f->sharing == ENGINE_SHARING_ROWS || (automatic && f->t->layer_bytes <= FORWARD_ROWS_LAYER_BYTES &&
                                              n_rows >= FORWARD_ROWS_PER_WORKER * n_workers);
    if (n_workers == 1 || (automatic && n_products < FORWARD_ALONE_BELOW)) {
        job_whole(f, 0, 1);
    } else if (!by_rows) {
        run_by_panels(f);
    } else if (independent) {
        pool_run(f->pool, job_whole, f);
    } else {
        for (f->i_layer = 0; f->i_layer <= n_layers; f->i_layer++) pool_run(f->pool, job_between, f);
    }
}
