/* Every table against double precision with a tolerance, and against the generic table bit for bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/kernels.h"

static const struct kernels *tables[5]; /* tables[0] is the definition */
static size_t n_tables;

static uint64_t draws;
static float random_float(float low, float high) {
    return low + (high - low) * (float)rng_unit(7, draws++);
}

static int random_below(int n) {
    return (int)(rng_unit(7, draws++) * n);
}

static float *random_floats(size_t n, float low, float high) {
    float *x = mem_alloc_aligned(64, (n + 16) * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = random_float(low, high);
    return x;
}

static float *copy_floats(const float *x, size_t n) {
    float *y = mem_alloc_aligned(64, (n + 16) * sizeof *y);
    memcpy(y, x, n * sizeof *y);
    return y;
}

static void assert_near(double got, double want, double tolerance) {
    if (fabs(got - want) > tolerance) fail_msg("got %.9g, want %.9g, tolerance %.3g", got, want, tolerance);
}

static void assert_same(const float *a, const float *b, size_t n, const char *what, const char *table) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s, %s: element %zu of %zu is %.9g (%a), generic gives %.9g (%a)", what, table, i, n,
                     (double)a[i], (double)a[i], (double)b[i], (double)b[i]);
}

/* ---- types and packing ---- */

static double f16_value(unsigned h) {
    double sign = h & 0x8000 ? -1 : 1;
    int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 0x3FF);
    if (exponent == 31) return fraction ? (double)NAN : sign * (double)INFINITY;
    return sign * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

static void test_dtype_widens_every_value_exactly(void **state) {
    UNUSED(state);
    uint16_t *half = mem_zalloc(65536, sizeof *half);
    float *wide = mem_zalloc(65536, sizeof *wide);
    for (unsigned i = 0; i < 65536; i++) half[i] = (uint16_t)i;

    dtype_to_f32(wide, half, DTYPE_F16, 65536);
    for (unsigned i = 0; i < 65536; i++) {
        double want = f16_value(i);
        if (isnan(want))
            assert_true(isnan(wide[i]));
        else
            assert_true((double)wide[i] == want && (signbit(wide[i]) != 0) == (i >= 32768));
    }
    dtype_to_f32(wide, half, DTYPE_BF16, 65536);
    for (unsigned i = 0; i < 65536; i++) {
        uint32_t bits;
        memcpy(&bits, &wide[i], sizeof bits);
        assert_int_equal(bits, i << 16);
    }
    free(half);
    free(wide);
    assert_int_equal(dtype_bytes(DTYPE_F32), 4);
    assert_int_equal(dtype_bytes(DTYPE_BF16), 2);
    assert_string_equal(dtype_name(DTYPE_F16), "F16");
}

/* Weights of every bit pattern of a narrow type: what a table computes with them must be their exact value.
 */
static void test_narrow_weights_of_every_pattern(void **state) {
    UNUSED(state);
    static const enum dtype types[] = {DTYPE_F16, DTYPE_BF16};
    uint16_t *half = mem_zalloc(65536, sizeof *half);
    float *wide = mem_zalloc(65536, sizeof *wide), *y = mem_zalloc(65536 * 16, sizeof *y), x[16];
    for (unsigned i = 0; i < 65536; i++) half[i] = (uint16_t)i;
    for (int r = 0; r < 16; r++) x[r] = 1.0f;
    for (size_t t = 0; t < 2; t++) {
        struct matrix m;
        matrix_init(&m, 65536, 1, types[t]);
        matrix_pack_rows(&m, 0, half, 65536);
        dtype_to_f32(wide, half, types[t], 65536);
        for (size_t i_table = 0; i_table < n_tables; i_table++)
            for (int n_rows = 1; n_rows <= 16; n_rows += 15) {
                tables[i_table]->matmul(y, 65536, x, 1, n_rows, &m, 0, matrix_panels(&m));
                for (size_t i = 0; i < 65536 * (size_t)n_rows; i++) {
                    float w = wide[i % 65536];
                    assert_true(isnan(w) ? isnan(y[i]) : y[i] == w);
                }
            }
        matrix_fini(&m);
    }
    free(half);
    free(wide);
    free(y);
}

static void test_matrix_stacks_blocks(void **state) {
    UNUSED(state);
    float first[2 * 3] = {1, 2, 3, 4, 5, 6}, second[3] = {7, 8, 9};
    struct matrix m;
    matrix_init(&m, 17, 3, DTYPE_F32);
    matrix_pack_rows(&m, 0, first, 2);
    matrix_pack_rows(&m, 16, second, 1);
    assert_int_equal(matrix_panels(&m), 2);
    assert_int_equal(matrix_bytes(17, 3, DTYPE_F32), 2 * 3 * 16 * 4);
    assert_int_equal((uintptr_t)m.panels % 64, 0);
    const float *p = m.panels;
    for (int panel = 0; panel < 2; panel++)
        for (int k = 0; k < 3; k++)
            for (int lane = 0; lane < 16; lane++) {
                int row = panel * 16 + lane;
                float want = row < 2 ? first[row * 3 + k] : row == 16 ? second[k] : 0.0f;
                assert_true(p[(panel * 3 + k) * 16 + lane] == want);
            }
    matrix_fini(&m);
}

/* ---- matrix products ---- */

static uint16_t narrow(float x, enum dtype t) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (t == DTYPE_BF16) return (uint16_t)(bits >> 16);
    uint32_t exponent = bits >> 23 & 255;
    if (exponent < 113)
        return (uint16_t)(bits >> 16 & 0x8000); /* small: to zero is near enough for a test's weights */
    return (uint16_t)((bits >> 16 & 0x8000) | (exponent - 112) << 10 | (bits >> 13 & 0x3FF));
}

static float *random_matrix(struct matrix *m, int n_out, int n_in, enum dtype t) {
    size_t n = (size_t)n_out * (size_t)n_in;
    float *w = random_floats(n, -1, 1);
    matrix_init(m, n_out, n_in, t);
    if (t == DTYPE_F32) {
        matrix_pack_rows(m, 0, w, n_out);
        return w;
    }
    uint16_t *half = mem_zalloc(n, sizeof *half);
    for (size_t i = 0; i < n; i++) half[i] = narrow(w[i], t);
    matrix_pack_rows(m, 0, half, n_out);
    dtype_to_f32(w, half, t, n);
    free(half);
    return w;
}

static void check_matmul(int n_rows, int n_out, int n_in, enum dtype t) {
    struct matrix m;
    float *w = random_matrix(&m, n_out, n_in, t);
    int n_panels = matrix_panels(&m);
    size_t x_stride = (size_t)n_in + 3, y_stride = (size_t)n_panels * MATRIX_PANEL + 5,
           n_y = (size_t)n_rows * y_stride;
    float *x = random_floats((size_t)n_rows * x_stride, -1, 1);
    float *y[ARRAY_LEN(tables)], *part = mem_zalloc(n_y, sizeof *part);
    for (size_t i = 0; i < n_tables; i++) {
        y[i] = mem_zalloc(n_y, sizeof *y[i]);
        memset(y[i], 0x55, n_y * sizeof *y[i]);
        tables[i]->matmul(y[i], y_stride, x, x_stride, n_rows, &m, 0, n_panels);
        assert_same(y[i], y[0], n_y, "matmul (and what lies beside its outputs)", tables[i]->name);
    }
    for (int b = 0; b < n_rows; b++)
        for (int o = 0; o < n_out; o++) {
            double want = 0, size = 0;
            for (int k = 0; k < n_in; k++) {
                double product = (double)x[(size_t)b * x_stride + (size_t)k] *
                                 (double)w[(size_t)o * (size_t)n_in + (size_t)k];
                want += product;
                size += fabs(product);
            }
            assert_near((double)y[0][(size_t)b * y_stride + (size_t)o], want, 1e-6 * size + 1e-30);
        }
    /* In parts, as threads and batches cut it. */
    for (size_t i = 1; i < n_tables; i++) {
        memset(part, 0x55, n_y * sizeof *part);
        int row_cut = n_rows / 3, panel_cut = n_panels * 2 / 3;
        for (int r = 0; r < 2; r++)
            for (int p = 0; p < 2; p++) {
                size_t row = r ? (size_t)row_cut : 0;
                tables[i]->matmul(part + row * y_stride, y_stride, x + row * x_stride, x_stride,
                                  r ? n_rows - row_cut : row_cut, &m, p ? panel_cut : 0,
                                  p ? n_panels : panel_cut);
            }
        assert_same(part, y[0], n_y, "matmul in parts", tables[i]->name);
    }
    for (size_t i = 0; i < n_tables; i++) free(y[i]);
    free(part);
    free(x);
    free(w);
    matrix_fini(&m);
}

static void test_matmul(void **state) {
    UNUSED(state);
    static const int rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 25, 40, 101};
    static const int shapes[][2] = {{1, 1},    {16, 8},   {17, 9},   {64, 64},
                                    {33, 100}, {176, 64}, {250, 31}, {80, 300}};
    for (int t = 0; t < 3; t++) {
        for (size_t r = 0; r < ARRAY_LEN(rows); r++)
            for (size_t s = 0; s < ARRAY_LEN(shapes); s++)
                check_matmul(rows[r], shapes[s][0], shapes[s][1], (enum dtype)t);
        check_matmul(3, 40, 1100, (enum dtype)t);
        check_matmul(13, 40, 1100, (enum dtype)t);
        check_matmul(205, 33, 520,
                     (enum dtype)t); /* more than one group of rows, more than one slice of inputs */
    }
}

/* ---- element by element ---- */

static void test_exp(void **state) {
    UNUSED(state);
    double worst = 0;
    for (float x = -86.9f; x < 88.7f; x += 0.000731f) {
        double want = exp((double)x), relative = fabs((double)kernels_exp(x) - want) / want;
        if (relative > worst) worst = relative;
    }
    print_message("exp: largest relative error %.3g\n", worst);
    assert_true(worst < 1e-7);
    assert_true(kernels_exp(0.0f) == 1.0f && kernels_exp(-0.0f) == 1.0f);
    assert_true(kernels_exp(-87.0f) == 0.0f && kernels_exp(-INFINITY) == 0.0f && kernels_exp(-3e38f) == 0.0f);
    assert_true(isinf(kernels_exp(88.8f)) && isinf(kernels_exp(INFINITY)) && isinf(kernels_exp(3e38f)));
    assert_true(isfinite(kernels_exp(88.72f)) && isnan(kernels_exp(NAN)));
}

static void test_rmsnorm(void **state) {
    UNUSED(state);
    for (int n = 1; n < 300; n += n < 70 ? 1 : 37) {
        size_t n_floats = (size_t)n;
        float *x = random_floats(n_floats, -3, 3), *gain = random_floats(n_floats, 0.5f, 2);
        float *want = mem_zalloc(n_floats, sizeof *want);
        tables[0]->rmsnorm(want, x, gain, n, 1e-5f);
        double squares = 0;
        for (int i = 0; i < n; i++) squares += (double)x[i] * (double)x[i];
        for (int i = 0; i < n; i++) {
            double exact = (double)x[i] / sqrt(squares / n + 1e-5) * (double)gain[i];
            assert_near((double)want[i], exact, 1e-6 * fabs(exact));
        }
        for (size_t t = 1; t < n_tables; t++) {
            float *y = mem_zalloc(n_floats, sizeof *y), *in_place = copy_floats(x, n_floats);
            tables[t]->rmsnorm(y, x, gain, n, 1e-5f);
            tables[t]->rmsnorm(in_place, in_place, gain, n, 1e-5f);
            assert_same(y, want, n_floats, "rmsnorm", tables[t]->name);
            assert_same(in_place, want, n_floats, "rmsnorm in place", tables[t]->name);
            free(y);
            free(in_place);
        }
        free(x);
        free(gain);
        free(want);
    }
}

static void test_rope(void **state) {
    UNUSED(state);
    for (int width = 8; width <= 136; width += 8) {
        size_t half = (size_t)width / 2, n = (size_t)width * 3;
        float *x = random_floats(n, -2, 2), *angle = random_floats(half, 0, 6);
        float *cosine = mem_zalloc(half, sizeof *cosine), *sine = mem_zalloc(half, sizeof *sine);
        for (size_t i = 0; i < half; i++) {
            cosine[i] = cosf(angle[i]);
            sine[i] = sinf(angle[i]);
        }
        float *want = copy_floats(x, n);
        tables[0]->rope(want, 3, width, cosine, sine);
        for (size_t i = 0; i < n; i++) {
            size_t lane = i % (size_t)width, at = lane % half;
            double a = (double)x[i - lane + at], b = (double)x[i - lane + at + half];
            double c = (double)cosine[at], s = (double)sine[at];
            assert_near((double)want[i], lane < half ? a * c - b * s : b * c + a * s, 1e-6);
        }
        for (size_t t = 1; t < n_tables; t++) {
            float *y = copy_floats(x, n);
            tables[t]->rope(y, 3, width, cosine, sine);
            assert_same(y, want, n, "rope", tables[t]->name);
            free(y);
        }
        free(x);
        free(angle);
        free(cosine);
        free(sine);
        free(want);
    }
}

static void test_silu_mul_and_add(void **state) {
    UNUSED(state);
    for (int n = 1; n < 400; n = n * 3 / 2 + 1) {
        size_t n_floats = (size_t)n;
        float *gate = random_floats(n_floats, -12, 12), *up = random_floats(n_floats, -2, 2);
        if (n > 30) {
            static const float extremes[] = {0,   -0.0f, 86.8f, -86.8f, 87,     -87,     89,
                                             -89, 200,   -200,  1e30f,  -1e30f, INFINITY};
            memcpy(gate + 3, extremes, sizeof extremes);
        }
        float *want = copy_floats(gate, n_floats), *sum = copy_floats(gate, n_floats);
        tables[0]->silu_mul(want, up, n);
        tables[0]->add(sum, up, n);
        for (int i = 0; i < n; i++) {
            double exact = (double)gate[i] / (1 + exp(-(double)gate[i])) * (double)up[i];
            if (fabs((double)gate[i]) < 80) assert_near((double)want[i], exact, 1e-6 * fabs(exact) + 1e-30);
            assert_true(sum[i] == gate[i] + up[i]);
        }
        for (size_t t = 1; t < n_tables; t++) {
            float *y = copy_floats(gate, n_floats), *z = copy_floats(gate, n_floats);
            tables[t]->silu_mul(y, up, n);
            tables[t]->add(z, up, n);
            assert_same(y, want, n_floats, "silu_mul", tables[t]->name);
            assert_same(z, sum, n_floats, "add", tables[t]->name);
            free(y);
            free(z);
        }
        free(gate);
        free(up);
        free(want);
        free(sum);
    }
}

static void test_exp_sum(void **state) {
    UNUSED(state);
    for (int n = 1; n < 700; n = n * 4 / 3 + 1)
        for (int hot = 0; hot < 2; hot++) {
            size_t n_floats = (size_t)n;
            float *x = random_floats(n_floats, -30, 30), *want = mem_zalloc(n_floats, sizeof *want);
            if (n > 20) x[n / 2] = -INFINITY; /* what a filter leaves out */
            float factor = hot ? 0.3f : 4.0f, max, sum = tables[0]->exp_sum(want, x, n, factor, &max);
            double exact_max = -INFINITY, exact_sum = 0;
            for (int i = 0; i < n; i++) exact_max = fmax(exact_max, (double)x[i]);
            for (int i = 0; i < n; i++) {
                double exact = exp(((double)x[i] - exact_max) * (double)factor);
                assert_near((double)want[i], exact, 3e-5 * exact + 2e-38);
                exact_sum += exact;
            }
            assert_near((double)sum, exact_sum, 1e-4 * exact_sum);
            assert_true((double)max == exact_max);
            for (size_t t = 1; t < n_tables; t++) {
                float *y = copy_floats(x, n_floats), max_t,
                      sum_t = tables[t]->exp_sum(y, y, n, factor, &max_t);
                assert_same(y, want, n_floats, "exp_sum in place", tables[t]->name);
                assert_same(&sum_t, &sum, 1, "exp_sum's sum", tables[t]->name);
                assert_same(&max_t, &max, 1, "exp_sum's maximum", tables[t]->name);
                free(y);
            }
            free(x);
            free(want);
        }
}

/* ---- attention ---- */

enum { ATTEND_PAGES = 8, ATTEND_OFFSET = 48 };

static double stored(const void *page, enum dtype t, int i) {
    float x;
    dtype_to_f32(&x, (const char *)page + (size_t)(ATTEND_OFFSET + i) * dtype_bytes(t), t, 1);
    return (double)x;
}

static void attend_exactly(double *out, const float *q, int width, enum dtype type, const void *const *pages,
                           int n_tokens, double scale) {
    double max = -INFINITY, total = 0, p[ATTEND_PAGES * KV_PAGE];
    for (int t = 0; t < n_tokens; t++) {
        p[t] = 0;
        for (int w = 0; w < width; w++)
            p[t] += scale * (double)q[w] * stored(pages[t / KV_PAGE], type, w * KV_PAGE + t % KV_PAGE);
        max = fmax(max, p[t]);
    }
    for (int t = 0; t < n_tokens; t++) total += p[t] = exp(p[t] - max);
    for (int w = 0; w < width; w++) {
        out[w] = 0;
        for (int t = 0; t < n_tokens; t++)
            out[w] += p[t] / total * stored(pages[t / KV_PAGE], type, (KV_PAGE + t % KV_PAGE) * width + w);
    }
}

/* Paths over pages that neighbours share, as in a tree: path r goes n_shared pages with path r - 1, then its
 * own way. Each table must give what the definition gives for every path alone. */
enum { ATTEND_PATHS = 32 };

struct tree_case {
    int n_paths, n_queries, width;
    enum dtype dtype;
    struct attend_path paths[ATTEND_PATHS];
    const void *pages[ATTEND_PATHS][ATTEND_PAGES];
    void *memory[ATTEND_PATHS * ATTEND_PAGES];
    int n_memory;
};

static void *new_page(struct tree_case *c, int n_used) {
    const size_t element = dtype_bytes(c->dtype),
                 n_bytes = (ATTEND_OFFSET + kv_head_elements(c->width)) * element;
    char *page = c->memory[c->n_memory++] = mem_alloc_aligned(64, n_bytes);
    memset(page, 0xFF, n_bytes); /* NaN: slots beyond the path may hold anything */
    for (int t = 0; t < n_used; t++) {
        float *k = random_floats((size_t)c->width, -2, 2), *v = random_floats((size_t)c->width, -2, 2);
        tables[0]->kv_store(page + ATTEND_OFFSET * element, c->dtype, t, k, v, c->width);
        free(k);
        free(v);
    }
    return page;
}

static void grow_path(struct tree_case *c, int r, int n_tokens) {
    const int n_pages = (n_tokens + KV_PAGE - 1) / KV_PAGE;
    int n_shared = 0;
    if (r > 0) {
        n_shared = random_below(MIN(n_tokens, c->paths[r - 1].n_tokens) / KV_PAGE + 1);
        c->paths[r - 1].n_shared = n_shared;
    }
    for (int i = 0; i < n_pages; i++)
        c->pages[r][i] =
            i < n_shared ? c->pages[r - 1][i] : new_page(c, MIN(KV_PAGE, n_tokens - i * KV_PAGE));
    c->paths[r] = (struct attend_path){.pages = c->pages[r], .n_tokens = n_tokens};
}

static void check_tree(struct tree_case *c) {
    const size_t n_row = (size_t)(c->n_queries * c->width), stride = n_row + 3,
                 n = stride * (size_t)c->n_paths;
    const float scale = 1.0f / sqrtf((float)c->width);
    float *q = random_floats(n, -2, 2), *alone = mem_zalloc(n, sizeof *alone),
          *out = mem_zalloc(n, sizeof *out);
    const size_t n_scratch = attend_scratch_floats(c->n_paths * c->n_queries, c->width, ATTEND_PAGES);
    double *exact = mem_zalloc((size_t)c->width, sizeof *exact);
    for (int r = 0; r < c->n_paths; r++) {
        float *scratch = mem_zalloc(n_scratch, sizeof *scratch);
        const struct attend a = {.out = alone + (size_t)r * stride,
                                 .q = q + (size_t)r * stride,
                                 .paths = &(struct attend_path){c->pages[r], c->paths[r].n_tokens, 0},
                                 .n_paths = 1,
                                 .n_queries = c->n_queries,
                                 .head_width = c->width,
                                 .dtype = c->dtype,
                                 .offset = ATTEND_OFFSET,
                                 .scale = scale,
                                 .scratch = scratch};
        tables[0]->attend(&a);
        free(scratch);
        for (int i = 0; i < c->n_queries; i++) {
            attend_exactly(exact, a.q + i * c->width, c->width, c->dtype, c->pages[r], c->paths[r].n_tokens,
                           (double)scale);
            for (int w = 0; w < c->width; w++) assert_near((double)a.out[i * c->width + w], exact[w], 1e-5);
        }
    }
    for (size_t i = 0; i < n_tables; i++) {
        float *scratch = mem_zalloc(n_scratch, sizeof *scratch);
        memset(out, 0, n * sizeof *out);
        tables[i]->attend(&(struct attend){.out = out,
                                           .q = q,
                                           .out_stride = stride,
                                           .q_stride = stride,
                                           .paths = c->paths,
                                           .n_paths = c->n_paths,
                                           .n_queries = c->n_queries,
                                           .head_width = c->width,
                                           .dtype = c->dtype,
                                           .offset = ATTEND_OFFSET,
                                           .scale = scale,
                                           .scratch = scratch});
        assert_same(out, alone, n, "attend", tables[i]->name);
        free(scratch);
    }
    for (int i = 0; i < c->n_memory; i++) free(c->memory[i]);
    free(exact);
    free(alone);
    free(out);
    free(q);
}

static void test_attend(void **state) {
    UNUSED(state);
    static const int widths[] = {8, 16, 24, 32, 40, 48, 64, 72, 80, 96, 112, 128};
    static const int tokens[] = {1, 2, 15, 16, 17, 31, 48, 63, 70, 100, 128};
    static const int queries[] = {1, 2, 3, 4, 5, 7, 8, 14};
    for (size_t w = 0; w < ARRAY_LEN(widths); w++)
        for (size_t t = 0; t < ARRAY_LEN(tokens); t++) {
            struct tree_case c = {
                .n_paths = 1, .n_queries = queries[(w + t) % ARRAY_LEN(queries)], .width = widths[w]};
            grow_path(&c, 0, tokens[t]);
            check_tree(&c);
            c.dtype = DTYPE_F16;
            c.n_memory = 0;
            grow_path(&c, 0, tokens[t]);
            check_tree(&c);
        }
}

static void test_attend_tree(void **state) {
    UNUSED(state);
    static const int widths[] = {8, 16, 24, 32, 64, 72, 128}, queries[] = {1, 2, 3, 7, 14};
    for (int k = 0; k < 300; k++) {
        struct tree_case c = {.dtype = k % 2 ? DTYPE_F16 : DTYPE_F32,
                              .n_queries = queries[k % (int)ARRAY_LEN(queries)],
                              .width = widths[k % (int)ARRAY_LEN(widths)]};
        c.n_paths = 2 + random_below(MIN((int)ATTEND_PATHS, ATTEND_QUERIES_MAX / c.n_queries) - 1);
        for (int r = 0; r < c.n_paths; r++) grow_path(&c, r, 1 + random_below(ATTEND_PAGES * KV_PAGE));
        check_tree(&c);
    }
}

/* Only the slot's elements change; F16 ones are the nearest. */
static void test_kv_store(void **state) {
    UNUSED(state);
    static const int widths[] = {8, 24, 40, 128};
    for (size_t i = 0; i < 2 * n_tables * ARRAY_LEN(widths); i++) {
        const struct kernels *table = tables[i / 2 % n_tables];
        const enum dtype type = i % 2 ? DTYPE_F16 : DTYPE_F32;
        const int width = widths[i / 2 / n_tables];
        const size_t n = kv_head_elements(width), element = dtype_bytes(type);
        assert_int_equal(n, 2 * KV_PAGE * width);
        char *block = mem_zalloc(n, element), *want = mem_zalloc(n, element);
        float *k = random_floats((size_t)width, -3, 3), *v = random_floats((size_t)width, -1e-6f, 1e-6f);
        k[3] = 65519.9f; /* the largest that stays finite, the least that does not, ties, what vanishes */
        k[4] = -65520;
        k[5] = 1 + 0x1p-11f;
        k[6] = 1 + 3 * 0x1p-11f;
        v[1] = -0.0f;
        v[2] = 0x1p-25f;
        v[3] = 0x1.8p-25f;
        for (int w = 0; w < width; w++)
            for (int part = 0; part < 2; part++) {
                const float *from = part ? &v[w] : &k[w];
                const int at = part ? (KV_PAGE + 5) * width + w : w * KV_PAGE + 5;
                if (type == DTYPE_F16)
                    dtype_f16_from_f32((uint16_t *)(void *)want + at, from, 1);
                else
                    ((float *)(void *)want)[at] = *from;
            }
        table->kv_store(block, type, 5, k, v, width);
        assert_memory_equal(block, want, n * element);
        free(block);
        free(want);
        free(k);
        free(v);
    }
}

/* ---- choice ---- */

static void test_pick(void **state) {
    UNUSED(state);
    const char *outer = getenv("BROOD_ISA");
    char *kept = outer ? mem_strdup(outer) : NULL;
    unsetenv("BROOD_ISA");
    assert_ptr_equal(kernels_pick(), tables[n_tables > 1]); /* the best first, behind generic */
    for (size_t i = 0; i < n_tables; i++) {
        setenv("BROOD_ISA", tables[i]->name, 1);
        assert_ptr_equal(kernels_pick(), tables[i]);
        assert_ptr_equal(kernels_by_name(tables[i]->name), tables[i]);
    }
    setenv("BROOD_ISA", "mmx", 1);
    assert_null(kernels_pick());
    assert_null(kernels_by_name(""));
    unsetenv("BROOD_ISA");
    if (kept) setenv("BROOD_ISA", kept, 1);
    free(kept);
}

int main(void) {
    tables[n_tables++] = kernels_by_name("generic");
    for (size_t i = 0; kernels_name(i); i++) {
        const struct kernels *k = kernels_by_name(kernels_name(i));
        if (!k)
            printf("SKIPPED: this processor cannot run the %s kernels\n", kernels_name(i));
        else if (k != tables[0])
            tables[n_tables++] = k;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dtype_widens_every_value_exactly),
        cmocka_unit_test(test_narrow_weights_of_every_pattern),
        cmocka_unit_test(test_matrix_stacks_blocks),
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_exp),
        cmocka_unit_test(test_rmsnorm),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_silu_mul_and_add),
        cmocka_unit_test(test_exp_sum),
        cmocka_unit_test(test_attend),
        cmocka_unit_test(test_attend_tree),
        cmocka_unit_test(test_kv_store),
        cmocka_unit_test(test_pick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
