/* kernels_simd_products.h - products of matrices whose elements are floats of any width, written once for any
 * vector width. Included by kernels_simd.h, and by a kernels_<isa>.c that has another multiply-add
 * (kernels_avx512bf16.c). Wants
 *
 *     VEC, LANES              a vector of LANES floats; LANES divides 16
 *     vec_load(p) vec_store(p, v) vec_broadcast(p) vec_set1(x) vec_fma(a, b, c)
 *     vec_from_f16(p) vec_from_bf16(p)    LANES narrow floats, widened
 *     vec_weights(p)          LANES weights as wide as a float; vec_load if not defined
 *     TILE_ROWS, TILE_PANELS  the tallest and the widest tile
 *     TILES_F32, TILES_NARROW (X, type)   the tiles to build, X(type, rows, panels); every height x 1
 *     NARROW_ROWS             up to so many rows, narrow weights are widened in registers, above in slices
 *     BLOCK_PANELS            panels that share a pass over many rows
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
#ifndef BROOD_KERNELS_SIMD_PRODUCTS_H
#define BROOD_KERNELS_SIMD_PRODUCTS_H

#include "kernels/kernels.h"
#include "kernels/kernels_loops.h"
#include "kernels/kernels_math.h"

#if !defined(vec_weights)
#define vec_weights(p) vec_load(p)
#endif

enum {
    PANEL_VECS = MATRIX_PANEL / LANES,
    SLICE_K = 256,    /* inputs of a slice: 16 KiB of floats a panel stay in the first-level cache */
    STREAM_ROWS = 24, /* up to so many rows, weights are read in the order in which they lie */
    GROUP_ROWS = 192, /* rows of a group: their slice stays in the second-level cache while panels pass */
};

typedef void tile_function(float *y, size_t y_stride, const float *x, size_t x_stride,
                           const void *const *panels, const void *ahead, int n_k, bool resume);

ALWAYS_INLINE VEC tile_weights(const void *panel, enum dtype t, size_t i) {
    if (t == DTYPE_F16) return vec_from_f16((const uint16_t *)panel + i);
    if (t == DTYPE_BF16) return vec_from_bf16((const uint16_t *)panel + i);
    return vec_weights((const float *)panel + i);
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
    const float
        *at_row[(TILE_ROWS + 2) / 3]; /* every third row's input: a pointer for each is more than there are */
    EACH(r, (n_rows + 2) / 3) at_row[r] = x + (size_t)(3 * r) * x_stride;
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
                xk[r] = vec_broadcast(at_row[r / 3] + (size_t)(r % 3) * x_stride);
                EACH(p, n_panels) EACH(v, PANEL_VECS) sum[r][p][v] = vec_fma(xk[r], w[p][v], sum[r][p][v]);
            }
            EACH(r, (n_rows + 2) / 3) {
                at_row[r]++;
                if (n_rows > 6)
                    __asm__("" : "+r"(at_row[r])); /* gcc would make them pointers of all rows again */
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

/* Where the next tile begins its sums. */
ALWAYS_INLINE void fetch_sums(const float *y, size_t y_stride, int n_rows, int n_panels) {
    for (int r = 0; r < n_rows; r++)
        for (int p = 0; p < n_panels; p++) __builtin_prefetch(y + (size_t)r * y_stride + p * MATRIX_PANEL, 1);
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
    const float *next_y = y + (size_t)next.panel * MATRIX_PANEL;
    y += (size_t)s.panel * MATRIX_PANEL;
    for (int i = 0, n; i < n_tiles; i++, y += (size_t)n * y_stride, x += (size_t)n * x_stride) {
        const void *ahead = panels[0];
        if (next.panel + i < next.panel_end) ahead = matrix_at(w, next.panel + i, next.k);
        n = (n_rows - i + n_tiles - 1) / n_tiles; /* dealt evenly */
        if (TILE_ROWS > 6 && n_rows > STREAM_ROWS)
            fetch_sums(i + 1 < n_tiles ? y + (size_t)n * y_stride : next_y, y_stride, n, n_panels);
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

#endif
