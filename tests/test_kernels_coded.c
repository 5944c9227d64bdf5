/* Products with coded weights: every table against the definition bit by bit, the definition against a plain
 * sum in double over widened weights and rounded inputs, rows back out of a matrix, whatever else is computed
 * with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/kernels.h"

static const enum dtype types[] = {DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_Q5_0,
                                   DTYPE_Q5_1, DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K};
static uint64_t draws;

static unsigned random_byte(void) {
    return (unsigned)(rng_unit(11, draws++) * 256);
}

/* Any bytes are a block; its F16 scales are made small and finite. */
static unsigned char *random_blocks(enum dtype t, size_t n_blocks) {
    const size_t n_bytes = dtype_block_bytes(t);
    unsigned char *all = mem_alloc(n_blocks * n_bytes);
    for (size_t i = 0; i < n_blocks * n_bytes; i++) all[i] = (unsigned char)random_byte();
    for (size_t i = 0; i < n_blocks; i++) {
        unsigned char *b = all + i * n_bytes;
        if (t == DTYPE_Q6_K) b += 208;
        b[1] = (unsigned char)((b[1] & 0x83) | 0x20); /* 2^-7 or so, any sign */
        if (t == DTYPE_Q4_1 || t == DTYPE_Q5_1 || t == DTYPE_Q4_K || t == DTYPE_Q5_K)
            b[3] = (unsigned char)((b[3] & 0x83) | 0x20);
    }
    return all;
}

static float *random_floats(size_t n) {
    float *x = mem_zalloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)(rng_unit(12, draws++) * 4 - 2);
    return x;
}

static const struct kernels *tables[5];
static size_t n_tables;

static int find_tables(void **state) {
    UNUSED(state);
    tables[n_tables++] = kernels_by_name("generic");
    for (size_t i = 0; kernels_name(i); i++) {
        const struct kernels *k = kernels_by_name(kernels_name(i));
        if (k && k != tables[0]) tables[n_tables++] = k;
    }
    return 0;
}

static struct matrix random_matrix(int n_out, int n_in, enum dtype t, unsigned char **blocks) {
    struct matrix m;
    matrix_init(&m, n_out, n_in, t);
    *blocks = random_blocks(t, (size_t)n_out * (size_t)(n_in / dtype_block(t)));
    matrix_pack_rows(&m, 0, *blocks, n_out);
    return m;
}

static void test_rows_back(void **state) {
    UNUSED(state);
    enum { N_OUT = 37, N_IN = 512 };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        unsigned char *blocks;
        struct matrix m = random_matrix(N_OUT, N_IN, types[i], &blocks);
        const size_t row_bytes = (size_t)(N_IN / dtype_block(types[i])) * dtype_block_bytes(types[i]);
        float want[N_IN], got[N_IN];
        for (int row = 0; row < N_OUT; row++) {
            dtype_to_f32(want, blocks + (size_t)row * row_bytes, types[i], N_IN);
            matrix_row(&m, row, got);
            assert_memory_equal(got, want, sizeof want);
        }
        assert_true(matrix_bytes(N_OUT, N_IN, types[i]) > 0);
        free(blocks);
        matrix_fini(&m);
    }
}

/* What a product should be: rounded inputs as the header says, weights widened, summed in double. */
static double exact_output(const struct matrix *m, int row, const float *x, double *magnitude) {
    float *w = mem_zalloc((size_t)m->n_in, sizeof *w);
    double y = 0;
    *magnitude = 0;
    matrix_row(m, row, w);
    for (int k0 = 0; k0 < m->n_in; k0 += CODED_BLOCK) {
        float most = 0;
        for (int k = 0; k < CODED_BLOCK; k++) most = fmaxf(most, fabsf(x[k0 + k]));
        for (int k = 0; k < CODED_BLOCK && most >= 1e-30f; k++) {
            const double q = nearbyintf(x[k0 + k] * (127.0f / most)), a = (double)(most / 127.0f);
            y += (double)w[k0 + k] * q * a;
            *magnitude += fabs((double)w[k0 + k] * q * a);
        }
    }
    free(w);
    return y;
}

static void check_product(enum dtype t, int n_out, int n_in, int n_rows) {
    unsigned char *blocks;
    struct matrix m = random_matrix(n_out, n_in, t, &blocks);
    const int n_panels = matrix_panels(&m);
    const size_t y_stride = (size_t)n_panels * MATRIX_PANEL + 5, x_stride = (size_t)n_in + 3;
    const size_t n_y = y_stride * (size_t)n_rows;
    float *x = random_floats(x_stride * (size_t)n_rows), *want = mem_zalloc(n_y, sizeof *want),
          *y = mem_zalloc(n_y, sizeof *y);
    for (int k = 0; k < CODED_BLOCK; k++) x[k] = 0; /* a block of zeros, one of tiny numbers */
    for (int k = 0; k < CODED_BLOCK && n_in > CODED_BLOCK; k++) x[CODED_BLOCK + k] = 1e-38f;
    void *scratch = mem_alloc(coded_rounded_bytes(n_rows, n_in));
    for (size_t i = 0; i < n_tables; i++) {
        memset(y, 0, n_y * sizeof *y);
        kernels_multiply(tables[i], y, y_stride, x, x_stride, n_rows, &m, 0, n_panels, scratch);
        if (i == 0) memcpy(want, y, n_y * sizeof *y);
        assert_memory_equal(y, want, n_y * sizeof *y);
        /* in parts: rows apart, panels apart */
        memset(y, 0, n_y * sizeof *y);
        for (int r = 0; r < n_rows; r += 2)
            for (int p = 0; p < n_panels; p += 2)
                kernels_multiply(tables[i], y + (size_t)r * y_stride, y_stride, x + (size_t)r * x_stride,
                                 x_stride, MIN(2, n_rows - r), &m, p, MIN(p + 2, n_panels), scratch);
        assert_memory_equal(y, want, n_y * sizeof *y);
        /* inputs rounded in parts, the last first */
        memset(y, 0, n_y * sizeof *y);
        memset(scratch, 0x55, coded_rounded_bytes(n_rows, n_in));
        for (int r = n_rows - 1; r >= 0; r--)
            for (int end = n_in / CODED_BLOCK, b; end > 0; end = b) {
                b = MAX(end - 3 - r, 0);
                tables[i]->round(scratch, n_rows, n_in, t, x, x_stride, r, r + 1, b, end);
            }
        tables[i]->matmul_coded(y, y_stride, scratch, n_rows, &m, 0, n_panels);
        assert_memory_equal(y, want, n_y * sizeof *y);
    }
    for (int r = 0; r < n_rows; r++)
        for (int n = 0; n < n_out; n += 1 + n_out / 7) {
            double magnitude, exact = exact_output(&m, n, x + (size_t)r * x_stride, &magnitude);
            assert_true(fabs((double)want[(size_t)r * y_stride + (size_t)n] - exact) <=
                        2e-6 * magnitude + 1e-9);
        }
    free(scratch);
    free(blocks);
    free(x);
    free(y);
    free(want);
    matrix_fini(&m);
}

static void test_products(void **state) {
    UNUSED(state);
    static const int rows[] = {1, 2, 3, 4, 5, 6, 7, 9, 13, 17};
    for (size_t t = 0; t < ARRAY_LEN(types); t++)
        for (size_t r = 0; r < ARRAY_LEN(rows); r++)
            check_product(types[t], 16 + (int)r * 13, 256 * (1 + (int)(r + t) % 4), rows[r]);
    for (int n_in = 32; n_in <= 160; n_in += 32) check_product(DTYPE_Q8_0, 40, n_in, 3);
    check_product(DTYPE_Q4_0, 64, 1056, 20); /* slices that do not come out even */
    check_product(DTYPE_Q8_0, 80, 2144, 26);
}

/* All codes at one end, all inputs at theirs: sums as large as they become. */
static void test_extremes(void **state) {
    UNUSED(state);
    enum { N_OUT = 16, N_IN = 64, N_ROWS = 13 };
    static const struct {
        enum dtype type;
        int byte;
    } cases[] = {{DTYPE_Q8_0, 0x80}, {DTYPE_Q8_0, 0x7F}, {DTYPE_Q4_0, 0}, {DTYPE_Q4_0, 0xFF}};
    void *scratch = mem_alloc(coded_rounded_bytes(N_ROWS, N_IN));
    float x[N_ROWS * N_IN], want[N_ROWS * N_OUT], y[N_ROWS * N_OUT];
    for (int i = 0; i < N_ROWS * N_IN; i++) x[i] = i / N_IN % 2 ? 1.0f : -1.0f;
    for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
        const size_t n_bytes = dtype_block_bytes(cases[c].type), n_blocks = N_OUT * N_IN / CODED_BLOCK;
        unsigned char *blocks = mem_alloc(n_blocks * n_bytes);
        memset(blocks, cases[c].byte, n_blocks * n_bytes);
        for (size_t b = 0; b < n_blocks; b++) memcpy(blocks + b * n_bytes, &(uint16_t){0x3C00}, 2); /* 1.0 */
        struct matrix m;
        matrix_init(&m, N_OUT, N_IN, cases[c].type);
        matrix_pack_rows(&m, 0, blocks, N_OUT);
        for (size_t i = 0; i < n_tables; i++) {
            kernels_multiply(tables[i], y, N_OUT, x, N_IN, N_ROWS, &m, 0, 1, scratch);
            if (i == 0) memcpy(want, y, sizeof y);
            assert_memory_equal(y, want, sizeof y);
        }
        float weight[N_IN];
        matrix_row(&m, 0, weight);
        for (int r = 0; r < N_ROWS; r++)
            assert_true(fabsf(want[r * N_OUT] - x[r * N_IN] * weight[0] * N_IN) < 1e-2f);
        free(blocks);
        matrix_fini(&m);
    }
    free(scratch);
}

static void test_no_number(void **state) {
    UNUSED(state);
    unsigned char *blocks;
    struct matrix m = random_matrix(16, 64, DTYPE_Q8_0, &blocks);
    void *scratch = mem_alloc(coded_rounded_bytes(1, 64));
    for (size_t i = 0; i < n_tables; i++)
        for (int k = 0; k < 64; k += 9) {
            float *x = random_floats(64), y[16];
            x[k] = k % 2 ? NAN : -INFINITY;
            kernels_multiply(tables[i], y, 16, x, 64, 1, &m, 0, 1, scratch);
            for (int n = 0; n < 16; n++) assert_true(isnan(y[n]));
            free(x);
        }
    free(scratch);
    free(blocks);
    matrix_fini(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_back),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_no_number),
    };
    return cmocka_run_group_tests(tests, find_tables, NULL);
}
