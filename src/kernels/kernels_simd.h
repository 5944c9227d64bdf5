/* kernels_simd.h - the functions of a table, written once for any vector width. Included at the end of a
 * kernels_<isa>.c that defines
 *
 *     VEC, LANES              a vector of LANES floats; LANES divides 16, and + - * / < work on vectors
 *     vec_load(p) vec_store(p, v) vec_broadcast(p) vec_set1(x) vec_fma(a, b, c)
 *     vec_max(a, b) vec_min(a, b)         b where either is a NaN
 *     vec_sum16(v) vec_max16(v)           of 16 lanes in v[0], v[1], ..., in the order of math_sum16
 *     vec_from_f16(p) vec_from_bf16(p)    LANES narrow floats, widened
 *     vec_to_f16(p, v)                    rounded to the nearest, ties to even
 *     what kernels_simd_products.h wants
 *     VALUE_QUERIES, VALUE_COLUMNS, VALUES(X)   the same for sums over values, X(queries, vectors); all
 * heights up to VALUE_QUERIES x 1 TABLE, TABLE_NAME       the table's symbol and its name
 */
#include "kernels/kernels.h"
#include "kernels/kernels_math.h"
#include "kernels/kernels_simd_products.h"

typedef uint32_t vec_bits __attribute__((vector_size(sizeof(VEC))));

/* ---- products of numbers rounded to BF16: inputs lie as floats, so weights and sums are those of BF16 ----
 */

ALWAYS_INLINE VEC vec_round_bf16(VEC x) {
    const vec_bits u = (vec_bits)x, magnitude = u & 0x7FFFFFFFu;
    const vec_bits usable = (vec_bits)(magnitude >= MATH_BF16_LEAST),
                   nan = (vec_bits)(magnitude > 0x7F800000u), nearest = u + 0x7FFFu + (u >> 16 & 1u);
    return (VEC)(((nearest & ~nan) | ((u | 0x400000u) & nan)) & 0xFFFF0000u & usable);
}

static void round_bf16(void *rounded, int n_rows, int n_in, enum dtype t, const float *x, size_t x_stride,
                       int row, int row_end, int block, int block_end) {
    UNUSED(n_rows);
    UNUSED(t);
    for (; row < row_end; row++) {
        const float *from = x + (size_t)row * x_stride;
        float *to = (float *)rounded + (size_t)row * math_bf16_stride(n_in);
        for (int i = block * CODED_BLOCK; i < block_end * CODED_BLOCK; i += LANES)
            vec_store(to + i, vec_round_bf16(vec_load(from + i)));
    }
}

static void matmul_bf16(float *y, size_t y_stride, const void *rounded, int n_rows, const struct matrix *w,
                        int panel_first, int panel_end) {
    matmul(y, y_stride, rounded, math_bf16_stride(w->n_in), n_rows, w, panel_first, panel_end);
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

#define TABLE_OF(symbol, text, rounded, coded, rounded_bf16, multiplied_bf16)                                \
    const struct kernels symbol = {                                                                          \
        .name = text,                                                                                        \
        .matmul = matmul,                                                                                    \
        .round = rounded,                                                                                    \
        .matmul_coded = coded,                                                                               \
        .round_bf16 = rounded_bf16,                                                                          \
        .matmul_bf16 = multiplied_bf16,                                                                      \
        .rmsnorm = rmsnorm,                                                                                  \
        .rope = rope,                                                                                        \
        .silu_mul = silu_mul,                                                                                \
        .add = add,                                                                                          \
        .attend = attend,                                                                                    \
        .kv_store = kv_store,                                                                                \
        .exp_sum = exp_sum,                                                                                  \
    };
