/* kernels_simd_attend.h - attention over the pages of a tree, written once for any vector width. Included by
 * kernels_simd.h, whose tiles it uses.
 *
 * The queries of all paths lie one below the other. Where neighbouring paths share pages, the queries of a
 * whole range of paths go through them together, then the range splits where the paths part:
 *
 *     pages        0   1   2   3   4
 *     path 0     [ .   . ] .   .           range 0-3: pages 0, 1
 *     path 1     [ .   . ][.] .            range 1-2: page 2, then each alone
 *     path 2     [ .   . ][.] .   .
 *     path 3     [ .   . ] .               alone from page 2 on
 *
 * Scores: a page's keys are a panel of 16 outputs. Values: sums over positions are held in registers while a
 * range of pages passes, and parked unrounded between ranges, so every query's sums run over its positions in
 * order whoever its neighbours are.
 */

/* What one call works with; query i of path r is number r * n_queries + i. */
struct attending {
    const struct attend *a;
    const float *q; /* [n][W], q_stride floats apart */
    float *p;       /* [n][p_stride] dot products, then probabilities not yet divided by their total */
    float *sums;    /* [n][2][W] over even and odd positions so far */
    float *totals;  /* [n] */
    size_t q_stride, p_stride;
};

/* ---- sums over values ---- */

ALWAYS_INLINE const void *element(const void *page, enum dtype t, size_t i) {
    return (const char *)page + i * (t == DTYPE_F32 ? sizeof(float) : sizeof(uint16_t));
}

/* Positions [0, n_tokens) of pages, in order, for n_queries rows of p and of sums and n_columns vectors. */
ALWAYS_INLINE void values_run(enum dtype type, int n_queries, int n_columns, float *sums, size_t width,
                              const float *p, size_t p_stride, const void *const *pages, size_t offset,
                              int n_tokens, bool resume) {
    VEC sum[VALUE_QUERIES][VALUE_COLUMNS][2];
    EACH(i, n_queries) EACH(c, n_columns) EACH(odd, 2) {
        const float *from = sums + ((size_t)i * 2 + (size_t)odd) * width + c * LANES;
        sum[i][c][odd] = resume ? vec_load(from) : vec_set1(0);
    }
    for (int t0 = 0; t0 < n_tokens; t0 += KV_PAGE) {
        const void *v = element(pages[t0 / KV_PAGE], type, offset);
        const float *weights = p + t0;
        int t = 0, t_end = MIN(KV_PAGE, n_tokens - t0);
        for (; t + 2 <= t_end; t += 2, v = element(v, type, 2 * width)) EACH(odd, 2) EACH(i, n_queries) {
                VEC weight = vec_broadcast(weights + (size_t)i * p_stride + t + odd);
                EACH(c, n_columns) {
                    VEC value = tile_weights(v, type, (size_t)odd * width + (size_t)(c * LANES));
                    sum[i][c][odd] = vec_fma(weight, value, sum[i][c][odd]);
                }
            }
        if (t < t_end) EACH(i, n_queries) EACH(c, n_columns) {
                VEC weight = vec_broadcast(weights + (size_t)i * p_stride + t);
                sum[i][c][0] = vec_fma(weight, tile_weights(v, type, (size_t)(c * LANES)), sum[i][c][0]);
            }
    }
    EACH(i, n_queries)
    EACH(c, n_columns)
    EACH(odd, 2) vec_store(sums + ((size_t)i * 2 + (size_t)odd) * width + c * LANES, sum[i][c][odd]);
}

typedef void values_function(float *sums, size_t width, const float *p, size_t p_stride,
                             const void *const *pages, size_t offset, int n_tokens, bool resume);
#define VALUES_OF(type, queries, columns)                                                                    \
    static void values_##type##_##queries##x##columns(float *sums, size_t width, const float *p,             \
                                                      size_t p_stride, const void *const *pages,             \
                                                      size_t offset, int n_tokens, bool resume) {            \
        values_run(DTYPE_##type, queries, columns, sums, width, p, p_stride, pages, offset, n_tokens,        \
                   resume);                                                                                  \
    }
#define VALUES_DEFINE(queries, columns) VALUES_OF(F32, queries, columns) VALUES_OF(F16, queries, columns)
#define VALUES_ENTRY(queries, columns)                                                                       \
    [DTYPE_F32][queries][columns] = values_F32_##queries##x##columns,                                        \
    [DTYPE_F16][queries][columns] = values_F16_##queries##x##columns,
VALUES(VALUES_DEFINE)
static values_function *const values_tiles[2][VALUE_QUERIES + 1][VALUE_COLUMNS + 1] = {VALUES(VALUES_ENTRY)};

/* A column that does not fill a vector. */
static void values_rest(enum dtype type, float *sums, size_t width, const float *p, const void *const *pages,
                        size_t offset, int n_tokens, bool resume) {
    float sum[2] = {resume ? sums[0] : 0, resume ? sums[width] : 0}, value;
    for (int t = 0; t < n_tokens; t++) {
        const void *v = element(pages[t / KV_PAGE], type, offset + (size_t)(t % KV_PAGE) * width);
        value = type == DTYPE_F16 ? math_from_f16(*(const uint16_t *)v) : *(const float *)v;
        sum[t % 2] = fmaf(p[t], value, sum[t % 2]);
    }
    sums[0] = sum[0];
    sums[width] = sum[1];
}

/* ---- ranges: queries [first, end) over the pages [page, page_end), of which they see n_tokens ---- */

typedef void attend_range(const struct attending *x, int first, int end, const void *const *pages, int page,
                          int page_end, int n_tokens);

static void range_scores(const struct attending *x, int first, int end, const void *const *pages, int page,
                         int page_end, int n_tokens) {
    UNUSED(n_tokens); /* softmax puts nothing where nothing is seen */
    const int width = x->a->head_width;
    const enum dtype type = x->a->dtype;
    for (int n; page < page_end; page += n) {
        const void *keys[TILE_PANELS];
        n = MIN(page_end - page, (int)TILE_PANELS);
        for (int j = 0; j < n; j++) keys[j] = element(pages[page + j], type, x->a->offset);
        for (int i = first, n_rows; i < end; i += n_rows) {
            int n_tiles = (end - i + TILE_ROWS - 1) / TILE_ROWS;
            n_rows = (end - i + n_tiles - 1) / n_tiles; /* dealt evenly */
            tile_panels(type, x->p + (size_t)i * x->p_stride + page * KV_PAGE, x->p_stride,
                        x->q + (size_t)i * x->q_stride, x->q_stride, n_rows, keys, n, keys[0], width, false);
        }
    }
}

static void range_values(const struct attending *x, int first, int end, const void *const *pages, int page,
                         int page_end, int n_tokens) {
    UNUSED(page_end);
    const size_t width = (size_t)x->a->head_width, offset = x->a->offset + width * KV_PAGE;
    const enum dtype type = x->a->dtype;
    const bool resume = page > 0;
    for (int i = first, n; i < end; i += n) {
        int n_tiles = (end - i + VALUE_QUERIES - 1) / VALUE_QUERIES;
        n = (end - i + n_tiles - 1) / n_tiles;
        const float *p = x->p + (size_t)i * x->p_stride + page * KV_PAGE;
        float *sums = x->sums + (size_t)i * 2 * width;
        size_t w = 0;
        for (int n_columns; w + LANES <= width; w += (size_t)n_columns * LANES) {
            n_columns = MIN((int)(width - w) / LANES, (int)VALUE_COLUMNS);
            while (!values_tiles[type][n][n_columns]) n_columns--;
            values_tiles[type][n][n_columns](sums + w, width, p, x->p_stride, pages + page, offset + w,
                                             n_tokens, resume);
        }
        for (; w < width; w++)
            for (int j = 0; j < n; j++)
                values_rest(type, sums + (size_t)j * 2 * width + w, width, p + (size_t)j * x->p_stride,
                            pages + page, offset + w, n_tokens, resume);
    }
}

/* The paths [first, end) from `page` on, which they share up to there. */
static void walk(const struct attending *x, attend_range *range, int first, int end, int page) {
    const struct attend_path *paths = x->a->paths;
    const int n = x->a->n_queries;
    if (end - first == 1) {
        const int n_tokens = paths[first].n_tokens, page_end = (n_tokens + KV_PAGE - 1) / KV_PAGE;
        if (page < page_end)
            range(x, first * n, end * n, paths[first].pages, page, page_end, n_tokens - page * KV_PAGE);
        return;
    }
    int page_end = paths[first].n_shared;
    for (int r = first + 1; r < end - 1; r++) page_end = MIN(page_end, paths[r].n_shared);
    if (page < page_end)
        range(x, first * n, end * n, paths[first].pages, page, page_end, (page_end - page) * KV_PAGE);
    for (int r = first + 1; r <= end; r++) {
        if (r < end && paths[r - 1].n_shared > page_end) continue;
        walk(x, range, first, r, page_end);
        first = r;
    }
}

static void attend(const struct attend *a) {
    const int n = a->n_paths * a->n_queries;
    const size_t width = (size_t)a->head_width;
    int n_tokens_max = 0;
    for (int r = 0; r < a->n_paths; r++) n_tokens_max = MAX(n_tokens_max, a->paths[r].n_tokens);
    struct attending x = {.a = a, .q = a->q, .q_stride = a->q_stride, .p = a->scratch};
    x.p_stride = (size_t)(n_tokens_max + KV_PAGE - 1) / KV_PAGE * KV_PAGE;
    x.sums = x.p + (size_t)n * x.p_stride;
    x.totals = x.sums + (size_t)n * 2 * width;
    if (a->n_queries > 1) { /* so that all queries are equally far apart */
        float *q = x.totals + n;
        for (int r = 0; r < a->n_paths; r++)
            memcpy(q + (size_t)(r * a->n_queries) * width, a->q + (size_t)r * a->q_stride,
                   (size_t)a->n_queries * width * sizeof *q);
        x.q = q;
        x.q_stride = width;
    }
    walk(&x, range_scores, 0, a->n_paths, 0);
    for (int i = 0; i < n; i++)
        x.totals[i] = softmax(x.p + (size_t)i * x.p_stride, a->paths[i / a->n_queries].n_tokens, a->scale);
    walk(&x, range_values, 0, a->n_paths, 0);
    for (int i = 0; i < n; i++) {
        float *out = a->out + (size_t)(i / a->n_queries) * a->out_stride + (size_t)(i % a->n_queries) * width;
        const float *even = x.sums + (size_t)i * 2 * width, *odd = even + width;
        size_t w = 0;
        for (; w + LANES <= width; w += LANES)
            vec_store(out + w, (vec_load(even + w) + vec_load(odd + w)) / vec_set1(x.totals[i]));
        for (; w < width; w++) out[w] = (even[w] + odd[w]) / x.totals[i];
    }
}

static void kv_store(void *block, enum dtype t, int slot, const float *k, const float *v, int head_width) {
    const size_t width = (size_t)head_width, v_first = (size_t)(KV_PAGE + slot) * width;
    if (t == DTYPE_F32) {
        float *to = block;
        for (size_t w = 0; w < width; w++) to[w * KV_PAGE + (size_t)slot] = k[w];
        memcpy(to + v_first, v, width * sizeof *v);
        return;
    }
    uint16_t *to = block, keys[LANES];
    size_t w = 0;
    for (; w + LANES <= width; w += LANES) {
        vec_to_f16(keys, vec_load(k + w));
        for (size_t i = 0; i < LANES; i++) to[(w + i) * KV_PAGE + (size_t)slot] = keys[i];
        vec_to_f16(to + v_first + w, vec_load(v + w));
    }
    for (; w < width; w++) {
        to[w * KV_PAGE + (size_t)slot] = math_to_f16(k[w]);
        to[v_first + w] = math_to_f16(v[w]);
    }
}
