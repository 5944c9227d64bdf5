/* kernels_simd.h - the functions of a table, written once for any vector width. Included at the end of a
 * kernels_<isa>.c that defines
 *
 *     VEC, LANES              a vector of LANES floats; LANES divides 16, and + - * / < work on vectors
 *     vec_load(p) vec_store(p, v) vec_broadcast(p) vec_set1(x) vec_fma(a, b, c)
 *     vec_max(a, b) vec_min(a, b)         b where either is a NaN
 *     vec_sum16(v) vec_max16(v)           of 16 lanes in v[0], v[1], ..., in the order of math_sum16
 *     vec_from_f16(p) vec_from_bf16(p)    LANES narrow floats, widened
 *     vec_to_f16(p, v)                    rounded to the nearest, ties to even
 *     TILE_ROWS, TILE_PANELS  the tallest and the widest tile
 *     TILES_F32, TILES_NARROW (X, type)   the tiles to build, X(type, rows, panels); every height x 1
 *     NARROW_ROWS             up to so many rows, narrow weights are widened in registers, above in slices
 *     BLOCK_PANELS            panels that share a pass over many rows
 *     VALUE_QUERIES, VALUE_COLUMNS, VALUES(X)   the same for sums over values, X(queries, vectors); all
 * heights up to VALUE_QUERIES x 1 TABLE, TABLE_NAME       the table's symbol and its name
 *
 * A tile is rows x panels of sums held in registers while k runs over a slice of the inputs:
 *
 *               panel 0      panel 1
 *     row 0     ########     ########       each k: load the panels' 16 weights once, broadcast
 *     row 1     ########     ########       each row's x[k], one fused multiply-add a vector
 *
 * Since k runs in order and partial sums are parked in y unrounded, neither the tile's shape nor the slices
 * change a bit.
 */
#include "kernels/kernels.h"
#include "kernels/kernels_math.h"

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define EACH(i, n)    UNROLL for (int i = 0; i < (n); i++) /* n is a constant once inlined */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum {
    PANEL_VECS = MATRIX_PANEL / LANES,
    SLICE_K = 256,    /* inputs of a slice: 16 KiB of floats a panel stay in the first-level cache */
    STREAM_ROWS = 24, /* up to so many rows, weights are read in the order in which they lie */
    GROUP_ROWS = 192, /* rows of a group: their slice stays in the second-level cache while panels pass */
};

typedef uint32_t vec_bits __attribute__((vector_size(sizeof(VEC))));

/* ---- matrix products ---- */

typedef void tile_function(float *y, size_t y_stride, const float *x, size_t x_stride,
                           const void *const *panels, const void *ahead, int n_k, bool resume);

ALWAYS_INLINE VEC tile_weights(const void *panel, enum dtype t, size_t i) {
    if (t == DTYPE_F16) return vec_from_f16((const uint16_t *)panel + i);
    if (t == DTYPE_BF16) return vec_from_bf16((const uint16_t *)panel + i);
    return vec_load((const float *)panel + i);
}

/* y[r][p*16..] = (resume ? y : 0) + sum over k of x[r][k] * panels[p][k][..]; only n_k and resume vary once
 * this is inlined. Of one row, the panels' outputs are y_stride apart. Whichever are fewer, broadcasts or
 * weights, are held; the others are read where used. The n_k * 16 weights at `ahead` are brought into the
 * cache meanwhile. */
ALWAYS_INLINE void tile_run(enum dtype t, int n_rows, int n_panels, float *y, size_t y_stride, const float *x,
                            size_t x_stride, const void *const *panels, const void *ahead, int n_k,
                            bool resume) {
    const size_t row_stride = n_rows > 1 ? y_stride : 0, panel_stride = n_rows > 1 ? MATRIX_PANEL : y_stride;
    VEC sum[TILE_ROWS][TILE_PANELS][PANEL_VECS], xk[TILE_ROWS], w[TILE_PANELS][PANEL_VECS];
    EACH(r, n_rows) EACH(p, n_panels) EACH(v, PANEL_VECS) {
        const float *from = y + (size_t)r * row_stride + (size_t)p * panel_stride + v * LANES;
        sum[r][p][v] = resume ? vec_load(from) : vec_set1(0);
    }
    for (int k = 0; k < n_k; k++) {
        size_t at = (size_t)k * MATRIX_PANEL;
        if (n_rows > 3) __builtin_prefetch((const char *)ahead + at * (t == DTYPE_F32 ? 4 : 2));
        if (n_rows <= n_panels * PANEL_VECS) {
            EACH(r, n_rows) xk[r] = vec_broadcast(x + (size_t)r * x_stride + k);
            EACH(p, n_panels) EACH(v, PANEL_VECS) {
                w[p][v] = tile_weights(panels[p], t, at + (size_t)(v * LANES));
                EACH(r, n_rows) sum[r][p][v] = vec_fma(xk[r], w[p][v], sum[r][p][v]);
            }
        } else {
            EACH(p, n_panels)
            EACH(v, PANEL_VECS) w[p][v] = tile_weights(panels[p], t, at + (size_t)(v * LANES));
            EACH(r, n_rows) {
                xk[r] = vec_broadcast(x + (size_t)r * x_stride + k);
                EACH(p, n_panels) EACH(v, PANEL_VECS) sum[r][p][v] = vec_fma(xk[r], w[p][v], sum[r][p][v]);
            }
        }
    }
    EACH(r, n_rows)
    EACH(p, n_panels)
    EACH(v, PANEL_VECS)
    vec_store(y + (size_t)r * row_stride + (size_t)p * panel_stride + v * LANES, sum[r][p][v]);
}

#define TILE_DEFINE(type, rows, panels_)                                                                     \
    static void tile_##type##_##rows##x##panels_(float *y, size_t y_stride, const float *x, size_t x_stride, \
                                                 const void *const *panels, const void *ahead, int n_k,      \
                                                 bool resume) {                                              \
        tile_run(DTYPE_##type, rows, panels_, y, y_stride, x, x_stride, panels, ahead, n_k, resume);         \
    }
#define TILE_ENTRY(type, rows, panels_) [DTYPE_##type][rows][panels_] = tile_##type##_##rows##x##panels_,

TILES_F32(TILE_DEFINE, F32)
TILES_NARROW(TILE_DEFINE, F16)
TILES_NARROW(TILE_DEFINE, BF16)
static tile_function *const tiles[3][TILE_ROWS + 1][TILE_PANELS + 1] = {
    TILES_F32(TILE_ENTRY, F32) TILES_NARROW(TILE_ENTRY, F16) TILES_NARROW(TILE_ENTRY, BF16)};

/* n_rows <= TILE_ROWS rows with n_panels panels, as wide as there are tiles. */
static void tile_panels(enum dtype t, float *y, size_t y_stride, const float *x, size_t x_stride, int n_rows,
                        const void *const *panels, int n_panels, const void *ahead, int n_k, bool resume) {
    for (int p = 0, n; p < n_panels; p += n) {
        n = MIN(n_panels - p, (int)TILE_PANELS);
        while (!tiles[t][n_rows][n]) n--;
        tiles[t][n_rows][n](y + p * MATRIX_PANEL, n_rows > 1 ? y_stride : MATRIX_PANEL, x, x_stride,
                            panels + p, p + n < n_panels ? panels[p + n] : ahead, n_k, resume);
    }
}

static const void *matrix_at(const struct matrix *w, int panel, int k) {
    size_t at = ((size_t)panel * (size_t)w->n_in + (size_t)k) * MATRIX_PANEL;
    return (const char *)w->panels + at * dtype_bytes(w->dtype);
}

/* One row: the widest tile reads several streams of panels, each as long as it can be, so that the processor
 * foresees them. Returns how many panels are done. */
static int matmul_streams(float *y, const float *x, const struct matrix *w, int panel, int n_panels) {
    const int n_each = n_panels / TILE_PANELS;
    for (int i = 0; i < n_each; i++, panel++) {
        const void *panels[TILE_PANELS];
        for (int s = 0; s < TILE_PANELS; s++) panels[s] = matrix_at(w, panel + s * n_each, 0);
        tiles[w->dtype][1][TILE_PANELS](y + (size_t)panel * MATRIX_PANEL, (size_t)n_each * MATRIX_PANEL, x, 0,
                                        panels, NULL, w->n_in, false);
    }
    return n_each * TILE_PANELS;
}

/* Up to TILE_ROWS rows: each weight is used once, in the order in which panels lie. */
static void matmul_thin(float *y, size_t y_stride, const float *x, size_t x_stride, int n_rows,
                        const struct matrix *w, int panel_first, int panel_end) {
    if (n_rows == 1) panel_first += matmul_streams(y, x, w, panel_first, panel_end - panel_first);
    for (int p = panel_first; p < panel_end; p += TILE_PANELS) {
        const void *panels[TILE_PANELS];
        int n = MIN((int)TILE_PANELS, panel_end - p);
        for (int i = 0; i < n; i++) panels[i] = matrix_at(w, p + i, 0);
        tile_panels(w->dtype, y + (size_t)p * MATRIX_PANEL, y_stride, x, x_stride, n_rows, panels, n,
                    p + n < panel_end ? matrix_at(w, p + n, 0) : panels[0], w->n_in, false);
    }
}

/* A slice of a block: inputs [k, k_end) of panels [panel, panel_end). */
struct slice {
    int panel, panel_end, k, k_end;
};

static void widen(float *out, const void *in, enum dtype t, size_t n) {
    for (size_t i = 0; i < n; i += LANES) vec_store(out + i, tile_weights(in, t, i));
}

/* One slice against a group of rows. The slice stays in the first-level cache from one tile to the next while
 * the tiles bring in the slice `next`, a panel each. */
static void matmul_slice(float *y, size_t y_stride, const float *x, size_t x_stride, int n_rows,
                         const struct matrix *w, struct slice s, struct slice next) {
    _Alignas(64) float floats[BLOCK_PANELS][SLICE_K * MATRIX_PANEL];
    const void *panels[BLOCK_PANELS];
    const bool wide = w->dtype != DTYPE_F32 && n_rows > NARROW_ROWS;
    const int n_panels = s.panel_end - s.panel, n_tiles = (n_rows + TILE_ROWS - 1) / TILE_ROWS;
    for (int i = 0; i < n_panels; i++) {
        panels[i] = matrix_at(w, s.panel + i, s.k);
        if (!wide) continue;
        widen(floats[i], panels[i], w->dtype, (size_t)(s.k_end - s.k) * MATRIX_PANEL);
        panels[i] = floats[i];
    }
    y += (size_t)s.panel * MATRIX_PANEL;
    for (int i = 0, n; i < n_tiles; i++, y += (size_t)n * y_stride, x += (size_t)n * x_stride) {
        const void *ahead = panels[0];
        if (next.panel + i < next.panel_end) ahead = matrix_at(w, next.panel + i, next.k);
        n = (n_rows - i + n_tiles - 1) / n_tiles; /* dealt evenly */
        tile_panels(wide ? DTYPE_F32 : w->dtype, y, y_stride, x + s.k, x_stride, n, panels, n_panels, ahead,
                    s.k_end - s.k, s.k > 0);
    }
}

/* The slice after s in a range of panels: panel by panel for few rows, as the weights lie in memory; for more
 * rows all panels of a slice of inputs, so that the rows' inputs stay in the second-level cache. */
static struct slice slice_after(struct slice s, bool few_rows, int n_in, int panel_first, int panel_end) {
    bool last_k = s.k_end == n_in, last_panel = s.panel_end == panel_end;
    if (few_rows ? last_k : !last_panel) {
        s.panel = s.panel_end;
        s.k = few_rows ? 0 : s.k;
    } else {
        s.k = s.k_end;
        s.panel = few_rows ? s.panel : panel_first;
    }
    s.panel_end = MIN(s.panel + (int)BLOCK_PANELS, panel_end);
    s.k_end = MIN(s.k + (int)SLICE_K, n_in);
    return s;
}

static void matmul_group(float *y, size_t y_stride, const float *x, size_t x_stride, int n_rows,
                         const struct matrix *w, int panel_first, int panel_end) {
    struct slice s = {panel_first, MIN(panel_first + (int)BLOCK_PANELS, panel_end), 0,
                      MIN((int)SLICE_K, w->n_in)};
    while (s.panel < panel_end && s.k < w->n_in) {
        struct slice next = slice_after(s, n_rows <= STREAM_ROWS, w->n_in, panel_first, panel_end);
        matmul_slice(y, y_stride, x, x_stride, n_rows, w, s, next);
        s = next;
    }
}

static void matmul(float *y, size_t y_stride, const float *x, size_t x_stride, int n_rows,
                   const struct matrix *w, int panel_first, int panel_end) {
    if (n_rows <= TILE_ROWS) {
        if (n_rows > 0) matmul_thin(y, y_stride, x, x_stride, n_rows, w, panel_first, panel_end);
        return;
    }
    int n_groups = (n_rows + GROUP_ROWS - 1) / GROUP_ROWS;
    for (int i = 0, n; i < n_groups; i++, y += (size_t)n * y_stride, x += (size_t)n * x_stride) {
        n = (n_rows - i + n_groups - 1) / n_groups;
        matmul_group(y, y_stride, x, x_stride, n, w, panel_first, panel_end);
    }
}

/* ---- element by element ---- */

ALWAYS_INLINE VEC vec_exp(VEC x) {
    vec_bits keep = (vec_bits) ~(x < vec_set1(MATH_EXP_ZERO_BELOW));
    x = vec_min(vec_set1(MATH_EXP_TOP), x);
    VEC shifted = vec_fma(x, vec_set1(MATH_EXP_LOG2E), vec_set1(MATH_EXP_SHIFT));
    VEC t = shifted - vec_set1(MATH_EXP_SHIFT);
    VEC r = vec_fma(t, vec_set1(-MATH_EXP_LN2_HIGH), x);
    r = vec_fma(t, vec_set1(-MATH_EXP_LN2_LOW), r);
    VEC q = vec_fma(vec_set1(MATH_EXP_C0), r, vec_set1(MATH_EXP_C1));
    q = vec_fma(q, r, vec_set1(MATH_EXP_C2));
    q = vec_fma(q, r, vec_set1(MATH_EXP_C3));
    q = vec_fma(q, r, vec_set1(MATH_EXP_C4));
    q = vec_fma(q, r, vec_set1(MATH_EXP_C5));
    VEC y = vec_fma(q, r * r, r) + vec_set1(1.0f);
    y = (y + y) * (VEC)(((vec_bits)shifted << 23) + (126u << 23));
    return (VEC)((vec_bits)y & keep);
}

static void rmsnorm(float *y, const float *x, const float *gain, int n, float eps) {
    VEC sum[PANEL_VECS];
    EACH(v, PANEL_VECS) sum[v] = vec_set1(0);
    int i = 0;
    for (; i + 16 <= n; i += 16) EACH(v, PANEL_VECS) {
            VEC a = vec_load(x + i + v * LANES);
            sum[v] = vec_fma(a, a, sum[v]);
        }
    float stripe[16];
    EACH(v, PANEL_VECS) vec_store(stripe + v * LANES, sum[v]);
    for (; i < n; i++) stripe[i % 16] = fmaf(x[i], x[i], stripe[i % 16]);

    float scale = 1.0f / sqrtf(math_sum16(stripe) / (float)n + eps);
    for (i = 0; i + LANES <= n; i += LANES)
        vec_store(y + i, vec_load(x + i) * vec_set1(scale) * vec_load(gain + i));
    for (; i < n; i++) y[i] = x[i] * scale * gain[i];
}

static void rope(float *x, int n_heads, int head_width, const float *cos, const float *sin) {
    int half = head_width / 2;
    for (int h = 0; h < n_heads; h++, x += head_width) {
        int i = 0;
        for (; i + LANES <= half; i += LANES) {
            VEC a = vec_load(x + i), b = vec_load(x + i + half), c = vec_load(cos + i), s = vec_load(sin + i);
            vec_store(x + i, vec_fma(a, c, -(b * s)));
            vec_store(x + i + half, vec_fma(b, c, a * s));
        }
        for (; i < half; i++) math_rotate(&x[i], &x[i + half], cos[i], sin[i]);
    }
}

static void silu_mul(float *gate, const float *up, int n) {
    int i = 0;
    for (; i + LANES <= n; i += LANES) {
        VEC g = vec_load(gate + i);
        vec_store(gate + i, g / (vec_set1(1.0f) + vec_exp(-g)) * vec_load(up + i));
    }
    for (; i < n; i++) gate[i] = math_silu_mul(gate[i], up[i]);
}

static void add(float *x, const float *y, int n) {
    int i = 0;
    for (; i + LANES <= n; i += LANES) vec_store(x + i, vec_load(x + i) + vec_load(y + i));
    for (; i < n; i++) x[i] += y[i];
}

static float max_of(const float *x, int n) {
    VEC max[PANEL_VECS];
    EACH(v, PANEL_VECS) max[v] = vec_set1(-INFINITY);
    int i = 0;
    for (; i + 16 <= n; i += 16) EACH(v, PANEL_VECS) max[v] = vec_max(vec_load(x + i + v * LANES), max[v]);
    float m = vec_max16(max);
    for (; i < n; i++)
        if (x[i] > m) m = x[i];
    return m;
}

/* out[i] = exp((x[i] - max) * factor) for n elements, a multiple of 16; their sums, striped by i % 16. */
ALWAYS_INLINE void exp_stripes(VEC *sum, float *out, const float *x, int n, float max, float factor) {
    EACH(v, PANEL_VECS) sum[v] = vec_set1(0);
    for (int i = 0; i < n; i += 16) EACH(v, PANEL_VECS) {
            VEC e = vec_exp((vec_load(x + i + v * LANES) - vec_set1(max)) * vec_set1(factor));
            vec_store(out + i + v * LANES, e);
            sum[v] = sum[v] + e;
        }
}

static float exp_sum(float *out, const float *x, int n, float inv_temperature, float *max_out) {
    VEC sum[PANEL_VECS];
    float max = max_of(x, n), stripe[16];
    int i = n / 16 * 16;
    exp_stripes(sum, out, x, i, max, inv_temperature);
    EACH(v, PANEL_VECS) vec_store(stripe + v * LANES, sum[v]);
    for (; i < n; i++) {
        out[i] = math_exp((x[i] - max) * inv_temperature);
        stripe[i % 16] += out[i];
    }
    *max_out = max;
    return math_sum16(stripe);
}

/* The n_tokens dot products in s (whole pages) become exp(dot * scale - max); returns their sum. Lanes beyond
 * n_tokens become 0 and so add nothing. */
static float softmax(float *s, int n_tokens, float scale) {
    static const float lane[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    VEC sum[PANEL_VECS], max[PANEL_VECS];
    EACH(v, PANEL_VECS) max[v] = vec_set1(-INFINITY);
    int t = 0;
    for (; t + KV_PAGE <= n_tokens; t += KV_PAGE) EACH(v, PANEL_VECS) {
            VEC a = vec_load(s + t + v * LANES) * vec_set1(scale);
            vec_store(s + t + v * LANES, a);
            max[v] = vec_max(a, max[v]);
        }
    if (t < n_tokens) {
        VEC n_left = vec_set1((float)(n_tokens - t));
        EACH(v, PANEL_VECS) {
            vec_bits used = (vec_bits)(vec_load(lane + v * LANES) < n_left);
            VEC a = vec_load(s + t + v * LANES) * vec_set1(scale);
            a = (VEC)(((vec_bits)a & used) | ((vec_bits)vec_set1(-INFINITY) & ~used));
            vec_store(s + t + v * LANES, a);
            max[v] = vec_max(a, max[v]);
        }
        t += KV_PAGE;
    }
    exp_stripes(sum, s, s, t, vec_max16(max), 1.0f);
    return vec_sum16(sum);
}

#include "kernels/kernels_simd_attend.h"

#define TABLE_OF(symbol, text, rounded, coded)                                                               \
    const struct kernels symbol = {                                                                          \
        .name = text,                                                                                        \
        .matmul = matmul,                                                                                    \
        .round = rounded,                                                                                    \
        .matmul_coded = coded,                                                                               \
        .rmsnorm = rmsnorm,                                                                                  \
        .rope = rope,                                                                                        \
        .silu_mul = silu_mul,                                                                                \
        .add = add,                                                                                          \
        .attend = attend,                                                                                    \
        .kv_store = kv_store,                                                                                \
        .exp_sum = exp_sum,                                                                                  \
    };
