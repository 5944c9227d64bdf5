/* The definition: what each function computes, one element at a time. The other tables give the same bits,
 * faster. On x86-64 without FMA in the compiler's flags each fmaf is a call into libm: right, and slow. */
#include "kernels/kernels.h"
#include "kernels/kernels_math.h"

static float weight(const void *panel, enum dtype t, size_t i) {
    switch (t) {
    case DTYPE_F16:
        return math_from_f16(((const uint16_t *)panel)[i]);
    case DTYPE_BF16:
        return math_from_bf16(((const uint16_t *)panel)[i]);
    default:
        return ((const float *)panel)[i];
    }
}

static void matmul(float *y, size_t y_stride, const float *x, size_t x_stride, int n_rows,
                   const struct matrix *w, int panel_first, int panel_end) {
    for (int p = panel_first; p < panel_end; p++) {
        const char *panel =
            (const char *)w->panels + (size_t)p * matrix_bytes(MATRIX_PANEL, w->n_in, w->dtype);
        for (int b = 0; b < n_rows; b++) {
            const float *xb = x + (size_t)b * x_stride;
            for (int lane = 0; lane < MATRIX_PANEL; lane++) {
                float sum = 0;
                for (int k = 0; k < w->n_in; k++)
                    sum = fmaf(xb[k], weight(panel, w->dtype, (size_t)k * MATRIX_PANEL + (size_t)lane), sum);
                y[(size_t)b * y_stride + (size_t)p * MATRIX_PANEL + (size_t)lane] = sum;
            }
        }
    }
}

/* ---- coded weights ---- */

struct coded_input { /* a block of 32 inputs, rounded */
    float scale;     /* a */
    int8_t q[CODED_BLOCK];
};

static void round_block(struct coded_input *out, const float *x) {
    uint32_t most = 0; /* as bits: the order of absolute values, NaN above all */
    for (int i = 0; i < CODED_BLOCK; i++) most = MAX(most, math_bits(x[i]) & 0x7FFFFFFFu);
    const bool usable = most >= math_bits(MATH_CODED_LEAST) && most < 0x7F800000u;
    const float factor = usable ? 127.0f / math_float(most) : 0;
    out->scale = usable ? math_float(most) / 127.0f : math_float(most);
    for (int i = 0; i < CODED_BLOCK; i++) out->q[i] = usable ? (int8_t)nearbyintf(x[i] * factor) : 0;
}

static int code_of(const struct matrix *panel, const struct coding *c, int k, int lane) {
    const unsigned char *codes = panel->panels;
    if (c->bits == 8) return codes[(k / 4 * MATRIX_PANEL + lane) * 4 + k % 4];
    const int pair = codes[(k / 8 * MATRIX_PANEL + lane) * 4 + k % 4];
    return k % 8 < 4 ? pair & 15 : pair >> 4;
}

static float scale_of(const struct matrix *panel, const struct coding *c, int i, int lane) {
    const int at = i * MATRIX_PANEL + lane;
    return c->wide ? ((const float *)panel->scales)[at]
                   : math_from_f16(((const uint16_t *)panel->scales)[at]);
}

/* y with block j of one output added. */
static float coded_block(float y, const struct matrix *panel, const struct coding *c,
                         const struct coded_input *in, int j, int lane) {
    const int n_each = CODED_BLOCK / c->n_scales;
    int sum_q = 0;
    for (int i = 0; i < c->n_scales; i++) {
        int sum = 0;
        for (int k = i * n_each; k < (i + 1) * n_each; k++) {
            sum += (code_of(panel, c, j * CODED_BLOCK + k, lane) - c->bias) * in->q[k];
            sum_q += in->q[k];
        }
        y = fmaf((float)sum, scale_of(panel, c, j * c->n_scales + i, lane) * in->scale, y);
    }
    return c->has_min ? fmaf(panel->mins[j * MATRIX_PANEL + lane], in->scale * (float)sum_q, y) : y;
}

static void round_inputs(void *rounded, int n_rows, int n_in, enum dtype t, const float *x, size_t x_stride,
                         int row, int row_end, int block, int block_end) {
    struct coded_input *out = rounded; /* [n_rows][n_in / 32] */
    UNUSED(n_rows);
    UNUSED(t);
    for (; row < row_end; row++)
        for (int j = block; j < block_end; j++)
            round_block(out + (size_t)row * (size_t)(n_in / CODED_BLOCK) + j,
                        x + (size_t)row * x_stride + (size_t)j * CODED_BLOCK);
}

static void matmul_coded(float *y, size_t y_stride, const void *rounded, int n_rows, const struct matrix *w,
                         int panel_first, int panel_end) {
    const struct coding *c = dtype_coding(w->dtype);
    const struct coded_input *in = rounded;
    const int n_blocks = w->n_in / CODED_BLOCK;
    for (int b = 0; b < n_rows; b++, y += y_stride, in += n_blocks)
        for (int i = panel_first * MATRIX_PANEL; i < panel_end * MATRIX_PANEL; i++) {
            const struct matrix panel = matrix_panel(w, i / MATRIX_PANEL);
            y[i] = 0;
            for (int j = 0; j < n_blocks; j++)
                y[i] = coded_block(y[i], &panel, c, &in[j], j, i % MATRIX_PANEL);
        }
}

/* ---- weights and inputs rounded to BF16 ---- */

static void round_bf16(void *rounded, int n_rows, int n_in, enum dtype t, const float *x, size_t x_stride,
                       int row, int row_end, int block, int block_end) {
    uint16_t *out = rounded; /* [n_rows][n_in] */
    UNUSED(n_rows);
    UNUSED(t);
    for (; row < row_end; row++)
        for (int k = block * CODED_BLOCK; k < block_end * CODED_BLOCK; k++)
            out[(size_t)row * (size_t)n_in + (size_t)k] = math_to_bf16(x[(size_t)row * x_stride + (size_t)k]);
}

static void matmul_bf16(float *y, size_t y_stride, const void *rounded, int n_rows, const struct matrix *w,
                        int panel_first, int panel_end) {
    const uint16_t *x = rounded;
    for (int b = 0; b < n_rows; b++, y += y_stride, x += w->n_in)
        for (int i = panel_first * MATRIX_PANEL; i < panel_end * MATRIX_PANEL; i++) {
            const struct matrix panel = matrix_panel(w, i / MATRIX_PANEL);
            const uint16_t *weights = panel.panels;
            y[i] = 0;
            for (int k = 0; k < w->n_in; k++)
                y[i] = fmaf(math_from_bf16(x[k]),
                            math_from_bf16(weights[k * MATRIX_PANEL + i % MATRIX_PANEL]), y[i]);
        }
}

static void rmsnorm(float *y, const float *x, const float *gain, int n, float eps) {
    float stripe[16] = {0};
    for (int i = 0; i < n; i++) stripe[i % 16] = fmaf(x[i], x[i], stripe[i % 16]);
    float scale = 1.0f / sqrtf(math_sum16(stripe) / (float)n + eps);
    for (int i = 0; i < n; i++) y[i] = x[i] * scale * gain[i];
}

static void rope(float *x, int n_heads, int head_width, const float *cos, const float *sin) {
    int half = head_width / 2;
    for (int h = 0; h < n_heads; h++, x += head_width)
        for (int i = 0; i < half; i++) math_rotate(&x[i], &x[i + half], cos[i], sin[i]);
}

static void silu_mul(float *gate, const float *up, int n) {
    for (int i = 0; i < n; i++) gate[i] = math_silu_mul(gate[i], up[i]);
}

static void add(float *x, const float *y, int n) {
    for (int i = 0; i < n; i++) x[i] += y[i];
}

static void attend_one(float *out, const float *q, const struct attend *a, const struct attend_path *path) {
    const int width = a->head_width, n_tokens = path->n_tokens;
    const size_t keys = a->offset, values = keys + (size_t)width * KV_PAGE;
    float max = -INFINITY, stripe[16] = {0}, *p = a->scratch;
    for (int t = 0; t < n_tokens; t++) {
        const void *page = path->pages[t / KV_PAGE];
        float dot = 0;
        for (int w = 0; w < width; w++)
            dot = fmaf(q[w], weight(page, a->dtype, keys + (size_t)(w * KV_PAGE + t % KV_PAGE)), dot);
        p[t] = dot * a->scale;
        if (p[t] > max) max = p[t];
    }
    for (int t = 0; t < n_tokens; t++) {
        p[t] = math_exp(p[t] - max);
        stripe[t % 16] += p[t];
    }
    float total = math_sum16(stripe);
    for (int w = 0; w < width; w++) {
        float sum[2] = {0, 0};
        for (int t = 0; t < n_tokens; t++) {
            const size_t at = values + (size_t)(t % KV_PAGE * width + w);
            sum[t % 2] = fmaf(p[t], weight(path->pages[t / KV_PAGE], a->dtype, at), sum[t % 2]);
        }
        out[w] = (sum[0] + sum[1]) / total;
    }
}

static void attend(const struct attend *a) {
    for (int r = 0; r < a->n_paths; r++)
        for (int i = 0; i < a->n_queries; i++)
            attend_one(a->out + (size_t)r * a->out_stride + i * a->head_width,
                       a->q + (size_t)r * a->q_stride + i * a->head_width, a, &a->paths[r]);
}

static void store(void *block, enum dtype t, int i, float x) {
    if (t == DTYPE_F16)
        ((uint16_t *)block)[i] = math_to_f16(x);
    else
        ((float *)block)[i] = x;
}

static void kv_store(void *block, enum dtype t, int slot, const float *k, const float *v, int head_width) {
    for (int w = 0; w < head_width; w++) {
        store(block, t, w * KV_PAGE + slot, k[w]);
        store(block, t, (KV_PAGE + slot) * head_width + w, v[w]);
    }
}

static float exp_sum(float *out, const float *x, int n, float inv_temperature, float *max_out) {
    float max = -INFINITY, stripe[16] = {0};
    for (int i = 0; i < n; i++)
        if (x[i] > max) max = x[i];
    for (int i = 0; i < n; i++) {
        out[i] = math_exp((x[i] - max) * inv_temperature);
        stripe[i % 16] += out[i];
    }
    *max_out = max;
    return math_sum16(stripe);
}

const struct kernels kernels_generic = {
    .name = "generic",
    .matmul = matmul,
    .round = round_inputs,
    .matmul_coded = matmul_coded,
    .round_bf16 = round_bf16,
    .matmul_bf16 = matmul_bf16,
    .rmsnorm = rmsnorm,
    .rope = rope,
    .silu_mul = silu_mul,
    .add = add,
    .attend = attend,
    .kv_store = kv_store,
    .exp_sum = exp_sum,
};
