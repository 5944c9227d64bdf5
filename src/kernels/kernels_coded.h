/* kernels_coded.h - products with coded weights, written once for AVX2 and AVX-512 VNNI. Included at the end
 * of a kernels_coded_<isa>.c that defines
 *
 *     VEC, IVEC, LANES        vectors of LANES floats and 32-bit integers; LANES divides 16
 *     vec_... as in kernels_simd.h, and vec_from_int(i), ivec_set1(i)
 *     CODES, codes_8(p, j), codes_4(p, j)   the codes of LANES outputs, inputs [4 j, 4 j + 4) of a block as
 * the multiply-add wants them ACC, acc_zero(start), acc_add(acc, codes, inputs), acc_int(acc)   sums of LANES
 * outputs INPUT, input_round      type of a rounded input TILE_ROWS, TILE_VECS    the tallest and the widest
 * tile, in vectors CODED_FUNCTION          the name of the function
 *     CODES_LESS              what codes_8 takes off a code; 0 if not defined
 *     FETCH_ROWS              tiles of so many rows and more fetch what comes next; 1 if not defined
 *
 * Inputs are rounded once a call, row by row, into scratch:
 *
 *     q [n_in] INPUT     scale [n_in / 32]     sum_q * scale [n_in / 32]     -bias * sum_q [n_in / 32][scales
 * a block]
 *
 * A tile is rows x vectors of outputs. For each block of 32 inputs the integers are summed in registers, from
 * -bias * sum_q on, so codes stay as they are; then two float operations add the block to the sums, which
 * stay in registers for a slice of the inputs and are parked in y between slices.
 */
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "kernels/kernels_math.h"

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define EACH(i, n)    UNROLL for (int i = 0; i < (n); i++) /* n is a constant once inlined */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

#if !defined(CODES_LESS)
#define CODES_LESS 0
#endif
#if !defined(FETCH_ROWS)
#define FETCH_ROWS 1
#endif

enum { SLICE_BLOCKS = 16 }; /* a slice of a tile's codes stays in the first-level cache while rows pass */

/* ---- inputs ---- */

struct coded_rows {
    const INPUT *q;
    const float *scale, *scaled_sum;
    const int32_t *start;
    size_t q_stride, block_stride,
        start_stride; /* the distance of two rows: of q, of the next two, of start */
};

static void round_row(const float *x, int n_in, const struct coding *c, INPUT *q, float *scale,
                      float *scaled_sum, int32_t *start) {
    const int bias = c->bias - (c->bits == 8 ? CODES_LESS : 0);
    for (int j = 0; j < n_in / CODED_BLOCK; j++, x += CODED_BLOCK, q += CODED_BLOCK) {
        const float most = input_most(x);
        const bool usable = most >= MATH_CODED_LEAST && most < INFINITY;
        int sums[2];
        input_round(q, x, usable ? 127.0f / most : 0, usable, sums);
        scale[j] = usable ? most / 127.0f : most;
        scaled_sum[j] = scale[j] * (float)(sums[0] + sums[1]);
        if (c->n_scales == 1)
            start[j] = -bias * (sums[0] + sums[1]);
        else
            for (int s = 0; s < 2; s++) start[2 * j + s] = -bias * sums[s];
    }
}

static struct coded_rows round_rows(const float *x, size_t x_stride, int n_rows, int n_in,
                                    const struct coding *c, void *scratch) {
    const size_t n = (size_t)n_in, n_blocks = n / CODED_BLOCK, rows = (size_t)n_rows;
    const size_t n_starts = n_blocks * (size_t)c->n_scales;
    char *at = (char *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
    INPUT *q = (INPUT *)(void *)at;
    float *scale = (float *)(void *)(at + rows * n * sizeof *q), *scaled_sum = scale + rows * n_blocks;
    int32_t *start = (int32_t *)(void *)(scaled_sum + rows * n_blocks);
    for (size_t r = 0; r < rows; r++)
        round_row(x + r * x_stride, n_in, c, q + r * n, scale + r * n_blocks, scaled_sum + r * n_blocks,
                  start + r * n_starts);
    return (struct coded_rows){q, scale, scaled_sum, start, n, n_blocks, n_starts};
}

/* ---- tiles ---- */

/* LANES outputs: where their codes, scales and mins of the first block lie. */
struct coded_outputs {
    const unsigned char *codes;
    const char *scales;
    const float *mins;
};

ALWAYS_INLINE VEC scales_at(const struct coded_outputs *o, bool wide, int i) {
    if (wide) return vec_load((const float *)(const void *)o->scales + i * MATRIX_PANEL);
    return vec_from_f16((const uint16_t *)(const void *)o->scales + i * MATRIX_PANEL);
}

/* The codes of the slice that comes next, a block of them at a time, while this slice is multiplied. */
ALWAYS_INLINE void fetch_ahead(const unsigned char *ahead, size_t block_bytes, int block) {
    for (size_t i = 0; i < block_bytes; i += 64) __builtin_prefetch(ahead + (size_t)block * block_bytes + i);
}

/* n_blocks blocks from block `first` on, for n_rows rows from x's first on. ahead: of each vector what comes
 * next, or NULL. */
ALWAYS_INLINE void coded_tile(int bits, int n_scales, bool wide, bool has_min, int n_rows, int n_vecs,
                              float *y, size_t y_stride, const struct coded_rows *x,
                              const struct coded_outputs *outputs, const unsigned char *const *ahead,
                              int first, int n_blocks) {
    const size_t block_bytes = (size_t)(MATRIX_PANEL * CODED_BLOCK / 8 * bits);
    const int n_groups = 8 / n_scales; /* of four inputs, to a scale */
    VEC sum[TILE_ROWS][TILE_VECS];
    EACH(r, n_rows)
    EACH(v, n_vecs) sum[r][v] = first ? vec_load(y + (size_t)r * y_stride + v * LANES) : vec_set1(0);
    for (int b = first; b < first + n_blocks; b++) {
        if (ahead && n_rows >= FETCH_ROWS) EACH(v, n_vecs) fetch_ahead(ahead[v], block_bytes, b - first);
        EACH(s, n_scales) {
            const int32_t *start = x->start + b * n_scales + s;
            ACC acc[TILE_ROWS][TILE_VECS];
            EACH(r, n_rows) EACH(v, n_vecs) acc[r][v] = acc_begin(start + (size_t)r * x->start_stride);
            EACH(i, n_groups) {
                const int j = s * n_groups + i;
                CODES codes[TILE_VECS];
                EACH(v, n_vecs) {
                    const unsigned char *at = outputs[v].codes + (size_t)b * block_bytes;
                    codes[v] = bits == 8 ? codes_8(at, j) : codes_4(at, j);
                }
                EACH(r, n_rows) {
                    const INPUTS q = inputs_at(x->q + (size_t)r * x->q_stride + b * CODED_BLOCK + 4 * j);
                    EACH(v, n_vecs) acc[r][v] = acc_add(acc[r][v], codes[v], q);
                }
            }
            EACH(v, n_vecs) {
                const VEC scale = scales_at(&outputs[v], wide, b * n_scales + s);
                EACH(r, n_rows) {
                    const VEC both = scale * vec_broadcast(x->scale + (size_t)r * x->block_stride + b);
                    const VEC whole = vec_from_int(acc_end(acc[r][v], start + (size_t)r * x->start_stride));
                    sum[r][v] = vec_fma(whole, both, sum[r][v]);
                }
            }
        }
        if (has_min) EACH(v, n_vecs) {
                const VEC min = vec_load(outputs[v].mins + b * MATRIX_PANEL);
                EACH(r, n_rows)
                sum[r][v] =
                    vec_fma(min, vec_broadcast(x->scaled_sum + (size_t)r * x->block_stride + b), sum[r][v]);
            }
    }
    EACH(r, n_rows) EACH(v, n_vecs) vec_store(y + (size_t)r * y_stride + v * LANES, sum[r][v]);
}

typedef void tile_function(float *y, size_t y_stride, const struct coded_rows *x,
                           const struct coded_outputs *outputs, const unsigned char *const *ahead, int first,
                           int n_blocks);

/* Kinds of coding: name, bits, scales a block, F32 scales, mins. */
#define KIND_BYTES(X, rows, vecs)                                                                            \
    X(bytes, 8, 1, false, false, rows, vecs)                                                                 \
    X(bytes_min, 8, 1, true, true, rows, vecs)                                                               \
    X(bytes_two, 8, 2, true, false, rows, vecs)
#define KIND_HALVES(X, rows, vecs)                                                                           \
    X(halves, 4, 1, false, false, rows, vecs)                                                                \
    X(halves_min, 4, 1, true, true, rows, vecs)
enum kind { KIND_bytes, KIND_bytes_min, KIND_bytes_two, KIND_halves, KIND_halves_min, KINDS_COUNT };

#define TILE_DEFINE(kind, bits, n_scales, wide, min, rows, vecs)                                             \
    static void tile_##kind##_##rows##x##vecs(float *y, size_t y_stride, const struct coded_rows *x,         \
                                              const struct coded_outputs *outputs,                           \
                                              const unsigned char *const *ahead, int first, int n_blocks) {  \
        coded_tile(bits, n_scales, wide, min, rows, vecs, y, y_stride, x, outputs, ahead, first, n_blocks);  \
    }
#define TILE_ENTRY(kind, bits, n_scales, wide, min, rows, vecs)                                              \
    [KIND_##kind][rows][vecs] = tile_##kind##_##rows##x##vecs,
#define KINDS_DEFINE(rows, vecs) KINDS(TILE_DEFINE, rows, vecs)
#define KINDS_ENTRY(rows, vecs)  KINDS(TILE_ENTRY, rows, vecs)
TILES(KINDS_DEFINE)
static tile_function *const tiles[KINDS_COUNT][TILE_ROWS + 1][TILE_VECS + 1] = {TILES(KINDS_ENTRY)};

static enum kind kind_of(const struct coding *c) {
    if (c->n_scales == 2) return KIND_bytes_two;
    if (c->has_min) return c->bits == 8 ? KIND_bytes_min : KIND_halves_min;
    return c->bits == 8 ? KIND_bytes : KIND_halves;
}

/* ---- the whole ---- */

/* The outputs of vector v of a matrix, counted from its first panel. */
static struct coded_outputs outputs_at(const struct matrix *w, int v) {
    const struct coding *c = dtype_coding(w->dtype);
    const int lane = v * LANES % MATRIX_PANEL;
    const struct matrix panel = matrix_panel(w, v * LANES / MATRIX_PANEL);
    return (struct coded_outputs){
        .codes = (const unsigned char *)panel.panels + (size_t)lane * 4,
        .scales = (const char *)panel.scales + (size_t)lane * (c->wide ? sizeof(float) : sizeof(uint16_t)),
        .mins = panel.mins ? panel.mins + lane : NULL,
    };
}

/* A slice against all rows: it stays in the first-level cache from one tile to the next, while the first tile
 * brings in what comes after it. */
static void coded_slice(tile_function *const (*tile)[TILE_VECS + 1], float *y, size_t y_stride,
                        const struct coded_rows *x, int n_rows, const struct coded_outputs *outputs,
                        int n_vecs, const unsigned char *const *ahead, int first, int n_blocks) {
    const int n_tiles = (n_rows + TILE_ROWS - 1) / TILE_ROWS;
    struct coded_rows at = *x;
    for (int i = 0, n; i < n_tiles; i++, y += (size_t)n * y_stride, n_rows -= n) {
        n = (n_rows + n_tiles - i - 1) / (n_tiles - i); /* dealt evenly */
        for (int v = 0, width; v < n_vecs; v += width) {
            width = n_vecs - v;
            while (!tile[n][width]) width--;
            tile[n][width](y + v * LANES, y_stride, &at, outputs + v, i == 0 && ahead ? ahead + v : NULL,
                           first, n_blocks);
        }
        at.q += (size_t)n * at.q_stride;
        at.scale += (size_t)n * at.block_stride;
        at.scaled_sum += (size_t)n * at.block_stride;
        at.start += (size_t)n * at.start_stride;
    }
}

/* Outputs of vectors [v, v + n), all inputs. next: the outputs that come after them; NULL at the end. */
static void coded_outputs_run(tile_function *const (*tile)[TILE_VECS + 1], float *y, size_t y_stride,
                              const struct coded_rows *x, int n_rows, const struct coded_outputs *outputs,
                              const struct coded_outputs *next, int n_vecs, size_t block_bytes,
                              int n_blocks) {
    const int slice = n_rows > TILE_ROWS ? SLICE_BLOCKS : n_blocks;
    for (int b = 0; b < n_blocks; b += slice) {
        const unsigned char *ahead[TILE_VECS];
        const bool more = b + slice < n_blocks;
        for (int v = 0; v < n_vecs; v++)
            ahead[v] = more   ? outputs[v].codes + (size_t)(b + slice) * block_bytes
                       : next ? next[v].codes
                              : NULL;
        coded_slice(tile, y, y_stride, x, n_rows, outputs, n_vecs, more || next ? ahead : NULL, b,
                    MIN(slice, n_blocks - b));
    }
}

void CODED_FUNCTION(float *y, size_t y_stride, const float *x, size_t x_stride, int n_rows,
                    const struct matrix *w, int panel_first, int panel_end, void *scratch) {
    if (n_rows == 0 || panel_first == panel_end) return;
    const struct coding *c = dtype_coding(w->dtype);
    const struct coded_rows rows = round_rows(x, x_stride, n_rows, w->n_in, c, scratch);
    const size_t block_bytes = (size_t)(MATRIX_PANEL * CODED_BLOCK / 8 * c->bits);
    const int v_end = panel_end * (MATRIX_PANEL / LANES);
    struct coded_outputs outputs[TILE_VECS], next[TILE_VECS];
    int v = panel_first * (MATRIX_PANEL / LANES), n = MIN((int)TILE_VECS, v_end - v);
    for (int i = 0; i < n; i++) next[i] = outputs_at(w, v + i);
    for (; v < v_end; v += n) {
        n = MIN((int)TILE_VECS, v_end - v);
        memcpy(outputs, next, sizeof outputs);
        const bool more = v + 2 * n <= v_end;
        for (int i = 0; more && i < n; i++) next[i] = outputs_at(w, v + n + i);
        for (int i = 0; !more && i < v_end - v - n; i++) next[i] = outputs_at(w, v + n + i);
        coded_outputs_run(tiles[kind_of(c)], y + (size_t)v * LANES, y_stride, &rows, n_rows, outputs,
                          more ? next : NULL, n, block_bytes, w->n_in / CODED_BLOCK);
    }
}
