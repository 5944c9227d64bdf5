/* kernels.h - the arithmetic of a transformer: one table of functions for each instruction set, chosen at
 * start-up.
 *
 * Contract: every output element is a fixed sequence of f32 operations (fused multiply-adds in the order
 * written below) that does not depend on how many rows are computed together, which thread computes them, or
 * which instruction set does it. The plain C table is the definition; the AVX2 and AVX-512 tables give the
 * same bits and tests/test_kernels.c says so. This is what makes a run replay.
 *
 * Shapes: B rows, D width, N outputs, K inputs, H heads, G key-value heads, W head width, T tokens. All float
 * arrays are row-major.
 *
 * Weights are repacked once at load into panels of MATRIX_PANEL outputs so that lanes are outputs and the sum
 * over inputs runs in order, one fused multiply-add an input, without horizontal sums:
 *
 *     panel p, input k: W[p*16 + 0][k] W[p*16 + 1][k] ... W[p*16 + 15][k]
 *
 * n_out is padded to a multiple of 16 with zeros.
 *
 * Keys and values live in pages of KV_PAGE positions; position t of a path is always slot t % KV_PAGE of its
 * page t / KV_PAGE. Within a page, for layer l and key-value head g (see kv_head_elements):
 *
 *     K transposed [W][KV_PAGE], then V [KV_PAGE][W]                            (F32 or F16)
 *
 * F16: rounded to the nearest (ties to even) when stored, widened exactly when used; all sums stay f32.
 * so scores of 16 positions are 16 lanes summed over the head width in order (a page's keys are a panel), and
 * outputs are W lanes summed over positions, even and odd ones apart: one chain alone would wait for each
 * sum's latency. Neither order depends on KV_PAGE.
 *
 * Infinities behave as IEEE 754 says; a NaN in gives a NaN out, but its bits are not promised.
 * Threads: all functions are pure but for their outputs and may run on any thread.
 */
#ifndef BROOD_KERNELS_H
#define BROOD_KERNELS_H

#include "base/base.h"

enum { MATRIX_PANEL = 16, KV_PAGE = 16 };

enum dtype {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    /* coded in blocks of 32 or 256 elements of a row (blocks.c has the layouts) */
    DTYPE_Q8_0,
    DTYPE_Q4_0,
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q4_K,
    DTYPE_Q5_K,
    DTYPE_Q6_K,
    DTYPE_COUNT
};
int dtype_block(enum dtype t); /* elements of a block: 1, 32 or 256 */
size_t dtype_block_bytes(enum dtype t);
size_t dtype_bytes(enum dtype t);     /* of an element; not for types with blocks */
const char *dtype_name(enum dtype t); /* "F32", ... */

/* Exact widening, subnormals and infinities too (a signalling F16 NaN becomes quiet); blocks as blocks.c
 * says. n elements (whole blocks), any alignment. */
void dtype_to_f32(float *out, const void *in, enum dtype t, size_t n);

/* The nearest F16 (ties to even); beyond 65504 infinite. A NaN stays one. */
void dtype_f16_from_f32(uint16_t *out, const float *in, size_t n);

/* The nearest BF16 (ties to even), as a matrix that rounds its inputs wants it: what is smaller than 2^-56
 * becomes zero. A NaN stays one. */
void dtype_bf16_from_f32(uint16_t *out, const float *in, size_t n);

/* Whether dtype_from_f32 writes it: types in blocks of 32. n finite elements (whole blocks), by GGUF's
 * reference rule (blocks_write.c). */
bool dtype_is_written(enum dtype t);
void dtype_from_f32(void *out, enum dtype t, const float *in, size_t n);

/* No NaN and no infinity among n elements (whole blocks): of blocks, among their scales. */
bool dtype_is_finite(const void *in, enum dtype t, size_t n);

/* A weight matrix [n_out][n_in] in panels; elements stay in their type and are widened exactly when used.
 *
 * Coded ones keep their integers: block j of 32 inputs of output n has the weights scale (code - bias) + min
 * with the codes of 8 or 4 bits. A panel lies as the multiply-add of four bytes wants it:
 *
 *     8 bits: codes [n_in / 4][16][4]          4 bits: [n_in / 8][16][4], input 8 i + b in the low, 8 i + 4 +
 * b in scales, mins [n_in / 32][16]             the high half of byte b
 *
 *     Q8_0: bias 128, F16 scales    Q5_0: bias 16, F16 scales    Q4_0: 4 bits, bias 8, F16 scales
 *     Q5_1, Q5_K: F32 scales, mins  Q4_1, Q4_K: 4 bits, F32 scales, mins
 *     Q6_K: bias 32, two F32 scales a block: [n_in / 32][2][16] */
struct matrix {
    int n_out, n_in;
    enum dtype dtype;
    void *panels; /* [ceil(n_out/16)][n_in][16] elements or codes, 64-byte aligned, owned */
    void *scales; /* coded: likewise; else NULL */
    float *mins;
    bool rounds_inputs; /* BF16 from dtype_bf16_from_f32: multiplied with inputs rounded the same way; set
                           after matrix_init; n_in is a multiple of CODED_BLOCK */
};

/* Whether a product takes inputs that round or round_bf16 made. */
static inline bool matrix_takes_rounded(const struct matrix *m) {
    return m->scales || m->rounds_inputs;
}

struct coding {               /* how a coded dtype lies in a matrix */
    int bits, bias, n_scales; /* of a block of 32 */
    bool wide, has_min;       /* wide: scales are F32, else F16 */
};
enum { CODED_BLOCK = 32 };
const struct coding *dtype_coding(enum dtype t); /* NULL: elements */

int matrix_panels(const struct matrix *m); /* ceil(n_out / MATRIX_PANEL) */
size_t matrix_bytes(int64_t n_out, int64_t n_in, enum dtype t);
void matrix_init(struct matrix *m, int n_out, int n_in, enum dtype t); /* zero-filled */
/* Packs row-major `rows` [n_rows][n_in] as outputs row_first, ...; several blocks can be stacked into one
 * matrix (QKV, gate+up). A block starts at a multiple of MATRIX_PANEL rows. */
void matrix_pack_rows(struct matrix *m, int row_first, const void *rows, int n_rows);
void matrix_fini(struct matrix *m);
/* Row `row`, widened: what dtype_to_f32 gives for it. */
void matrix_row(const struct matrix *m, int row, float *out /* [n_in] */);
struct matrix matrix_panel(const struct matrix *m, int panel); /* a view of one panel; borrowed */

/* Elements of one key-value head in one page: K and V. A page holds [L][G] such blocks. */
static inline size_t kv_head_elements(int head_width) {
    return (size_t)2 * KV_PAGE * (size_t)head_width;
}

/* The positions that a query sees. */
struct attend_path {
    const void *const *pages; /* [ceil(n_tokens / KV_PAGE)] */
    int n_tokens;             /* > 0 */
    int n_shared; /* leading pages, whole for both, that are those of the next path too; the last's is not
                     read */
};

enum { ATTEND_QUERIES_MAX = 64 }; /* n_paths * n_queries at most, unless n_paths is 1 */

struct attend {
    float *out; /* row r: [n_queries][W] at out + r * out_stride; likewise q */
    const float *q;
    size_t out_stride, q_stride;
    const struct attend_path *paths; /* [n_paths] */
    int n_paths, n_queries, head_width;
    enum dtype dtype; /* of keys and values: F32 or F16 */
    size_t offset;    /* of the (layer, key-value head) block in a page, in elements */
    float scale;
    float *scratch; /* attend_scratch_floats */
};

/* For up to n_queries_all = n_paths * n_queries queries over paths of up to n_pages pages. */
static inline size_t attend_scratch_floats(int n_queries_all, int head_width, int n_pages) {
    return (size_t)n_queries_all * ((size_t)n_pages * KV_PAGE + (size_t)3 * (size_t)head_width + 1);
}

typedef void kernels_round_function(void *rounded, int n_rows, int n_in, enum dtype t, const float *x,
                                    size_t x_stride, int row, int row_end, int block, int block_end);
typedef void kernels_coded_function(float *y, size_t y_stride, const void *rounded, int n_rows,
                                    const struct matrix *w, int panel_first, int panel_end);

struct kernels {
    const char *name; /* "generic", "avx2", "avx512", "avx512vnni", "avx512bf16", ... */

    /* y[b][n] = sum over k in order of x[b][k] * W[n][k], for outputs n of panels [panel_first, panel_end); y
     * and x rows are y_stride and x_stride floats apart. Writes whole panels: y rows must have room for n_out
     * rounded up to MATRIX_PANEL. */
    void (*matmul)(float *y, size_t y_stride, const float *x, size_t x_stride, int n_rows,
                   const struct matrix *w, int panel_first, int panel_end);

    /* The same for a coded matrix, in two steps. Inputs are rounded to 8 bits, a block of 32 at a time:
     *
     *     a = max |x| / 127;  q = x * (127 / max |x|), to the nearest, ties to even  (where max |x| is
     *     below 1e-30 or not finite: q = 0, a = max |x|)
     *     y = 0; for block j, for each of its scales:  y = fmaf(sum of (code - bias) q, scale * a, y)
     *            then, with mins:                      y = fmaf(min, a * sum of q, y)
     *
     * Sums of integers are exact, so their order is free.
     *
     * round takes blocks [block, block_end) of rows [row, row_end) of x, whose row 0 and input 0 x points at,
     * into `rounded` (coded_rounded_bytes, aligned as a float): n_rows rows of n_in inputs, in an order of
     * the table's own, for products with matrices of type t. Blocks may be rounded on different threads. */
    kernels_round_function *round;
    kernels_coded_function *matmul_coded;

    /* The same two steps where a matrix rounds its inputs: to BF16, the nearest, ties to even, what is
     * smaller than 2^-56 to zero; then y = fmaf(x, weight, y), input after input. A product of two such
     * numbers is a multiple of 2^-126 and exact but for its end far below, so no sum is ever subnormal and it
     * is all the same that instructions for pairs of BF16 take subnormal numbers for zero. */
    kernels_round_function *round_bf16;
    kernels_coded_function *matmul_bf16;

    /* y[i] = x[i] * (1 / sqrt(mean(x^2) + eps)) * gain[i]. The sum of squares: 16 striped partial sums, then
     * a fixed tree. y may be x. */
    void (*rmsnorm)(float *y, const float *x, const float *gain, int n, float eps);

    /* Rotates pairs (i, i + W/2) of each head in place, the Hugging Face layout; cos and sin are [W/2] of the
     * row's position. */
    void (*rope)(float *x, int n_heads, int head_width, const float *cos, const float *sin);

    /* gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i], with kernels_exp. */
    void (*silu_mul)(float *gate, const float *up, int n);

    /* x[i] += y[i] */
    void (*add)(float *x, const float *y, int n);

    /* Attention of the heads that share one key-value head, for n_paths rows. For each query q of a path:
     *
     *     s[t] = scale * (q . K[t]);  m = max of s;  p[t] = exp(s[t] - m)
     *     out = (sum over even t of p[t] V[t] + sum over odd t of p[t] V[t]) / total
     *     total = sum of p, striped by t % 16, then a fixed tree
     *
     * Pages that neighbouring paths share are read once for all their queries, as the panels of a product;
     * this changes no order of operations. What pages hold beyond a path's n_tokens is never used. */
    void (*attend)(const struct attend *a);

    /* Stores k[W] and v[W] of one position into its slot of a (layer, head) block. */
    void (*kv_store)(void *block, enum dtype t, int slot, const float *k, const float *v, int head_width);

    /* out[i] = exp((x[i] - max) * inv_temperature); out may be x. Returns the sum (striped by i % 16, then a
     * fixed tree) and the maximum of x through *max_out. */
    float (*exp_sum)(float *out, const float *x, int n, float inv_temperature, float *max_out);
};

static inline size_t coded_rounded_bytes(int n_rows, int n_in) {
    return (size_t)n_rows * ((size_t)n_in + MATRIX_PANEL) *
           sizeof(float); /* BF16 as floats; codes take less */
}

static inline void kernels_round(const struct kernels *k, void *rounded, int n_rows, const struct matrix *w,
                                 const float *x, size_t x_stride, int row, int row_end, int block,
                                 int block_end) {
    (w->rounds_inputs ? k->round_bf16 : k->round)(rounded, n_rows, w->n_in, w->dtype, x, x_stride, row,
                                                  row_end, block, block_end);
}

static inline void kernels_multiply_rounded(const struct kernels *k, float *y, size_t y_stride,
                                            const void *rounded, int n_rows, const struct matrix *w,
                                            int panel_first, int panel_end) {
    (w->rounds_inputs ? k->matmul_bf16 : k->matmul_coded)(y, y_stride, rounded, n_rows, w, panel_first,
                                                          panel_end);
}

/* Either product, by the matrix's type. scratch: coded_rounded_bytes. */
static inline void kernels_multiply(const struct kernels *k, float *y, size_t y_stride, const float *x,
                                    size_t x_stride, int n_rows, const struct matrix *w, int panel_first,
                                    int panel_end, void *scratch) {
    if (matrix_takes_rounded(w)) {
        kernels_round(k, scratch, n_rows, w, x, x_stride, 0, n_rows, 0, w->n_in / CODED_BLOCK);
        kernels_multiply_rounded(k, y, y_stride, scratch, n_rows, w, panel_first, panel_end);
    } else {
        k->matmul(y, y_stride, x, x_stride, n_rows, w, panel_first, panel_end);
    }
}

/* exp as every table computes it: a polynomial with fixed operations, relative error < 1e-7, 0 below about
 * -87, +inf above 88.7. */
float kernels_exp(float x);

/* The best table that this processor runs; BROOD_ISA=NAME in the environment forces one (unknown or
 * unsupported: NULL, and the caller says so). The choice is made once per call; callers keep the pointer. */
const struct kernels *kernels_pick(void);
/* Name i of those that this program was built with, the best first; NULL at the end. The last is generic. */
const char *kernels_name(size_t i);
const struct kernels *kernels_by_name(const char *name); /* NULL if unknown or not supported here */

#endif
