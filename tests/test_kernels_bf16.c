/* Products of weights and inputs rounded to BF16: the rounding of every kind of number, every table against
 * the definition bit by bit, the definition against a sum in double, whatever else is computed with them. */
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

static const struct kernels *tables[5]; /* tables[0] is the definition */
static size_t n_tables;
static uint64_t draws;

static uint32_t random_bits(void) {
    return (uint32_t)(rng_unit(13, draws++) * 0x1p32);
}

static float from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float widened(uint16_t h) {
    return from_bits((uint32_t)h << 16);
}

static int find_tables(void **state) {
    UNUSED(state);
    tables[n_tables++] = kernels_by_name("generic");
    for (size_t i = 0; kernels_name(i); i++) {
        const struct kernels *k = kernels_by_name(kernels_name(i));
        if (k && k != tables[0]) {
            assert_true(n_tables < ARRAY_LEN(tables));
            tables[n_tables++] = k;
        }
    }
    return 0;
}

/* The nearest of the numbers with 8 bits, by doubles, which hold all that is compared here. */
static float nearest(float x) {
    if (fabsf(x) < 0x1p-56f) return 0;
    int exponent;
    const double part = (frexp((double)x, &exponent), ldexp(1, exponent - 8)),
                 rounded = nearbyint((double)x / part) * part;
    return fabs(rounded) > 0x1.fep127 ? copysignf(INFINITY, x) : (float)rounded;
}

static void test_rounding(void **state) {
    UNUSED(state);
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = random_bits();
        if (i % 4 == 1) bits = (bits & 0xFFFF0000u) | 0x8000u;     /* a tie */
        if (i % 4 == 2) bits = (bits & 0x800FFFFFu) | 0x23700000u; /* about 2^-56 */
        if (i % 64 == 3) bits |= 0x7F700000u;
        const float x = from_bits(bits);
        uint16_t got;
        dtype_bf16_from_f32(&got, &x, 1);
        if (isnan(x))
            assert_true(isnan(widened(got)));
        else
            assert_true(widened(got) == nearest(x));
        const float whole = widened((uint16_t)(bits >> 16));
        uint16_t again;
        dtype_bf16_from_f32(&again, &whole, 1);
        if (isfinite(whole) && fabsf(whole) >= 0x1p-56f) assert_int_equal(again, bits >> 16); /* it stays */
    }
}

enum kind { ORDINARY, ANY_SIZE, ENDS };

/* ANY_SIZE: products of 2^-126 up to 2^126, and what becomes zero; ENDS: subnormal numbers, too, and the
 * largest. */
static float random_number(enum kind kind) {
    if (kind == ORDINARY) return (float)(rng_unit(14, draws++) * 4 - 2);
    const uint32_t bits = random_bits(), low = kind == ENDS ? 0 : 60, n = kind == ENDS ? 255 : 120;
    return from_bits((bits & 0x807FFFFFu) | (low + bits % n) << 23);
}

static struct matrix random_matrix(int n_out, int n_in, enum kind kind) {
    struct matrix m;
    const size_t n = (size_t)n_out * (size_t)n_in;
    uint16_t *rows = mem_zalloc(n, sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        const float x = random_number(kind);
        dtype_bf16_from_f32(&rows[i], &x, 1);
        if (!isfinite(widened(rows[i]))) rows[i] = 0x7F7F;
    }
    matrix_init(&m, n_out, n_in, DTYPE_BF16);
    m.rounds_inputs = true;
    matrix_pack_rows(&m, 0, rows, n_out);
    free(rows);
    return m;
}

static void assert_same(const float *y, const float *want, size_t n, const char *what, const char *table) {
    for (size_t i = 0; i < n; i++) /* the bits of a NaN are not promised */
        if (memcmp(&y[i], &want[i], sizeof *y) != 0 && !(isnan(y[i]) && isnan(want[i])))
            fail_msg("%s, %s: element %zu of %zu is %a, generic gives %a", what, table, i, n, (double)y[i],
                     (double)want[i]);
}

static void check_near(const struct matrix *m, const float *x, const float *y) {
    float *w = mem_zalloc((size_t)m->n_in, sizeof *w);
    for (int n = 0; n < m->n_out; n += 1 + m->n_out / 5) {
        double want = 0, magnitude = 0;
        matrix_row(m, n, w);
        for (int k = 0; k < m->n_in; k++) {
            const double product = (double)w[k] * (double)nearest(x[k]);
            want += product;
            magnitude += fabs(product);
        }
        assert_true(fabs((double)y[n] - want) <= 4e-6 * magnitude);
    }
    free(w);
}

static void check_product(int n_rows, int n_out, int n_in, enum kind kind) {
    struct matrix m = random_matrix(n_out, n_in, kind);
    const int n_panels = matrix_panels(&m);
    const size_t y_stride = (size_t)n_panels * MATRIX_PANEL + 5, x_stride = (size_t)n_in + 3,
                 n_y = y_stride * (size_t)n_rows, n_scratch = coded_rounded_bytes(n_rows, n_in);
    float *x = mem_zalloc(x_stride * (size_t)n_rows, sizeof *x), *want = mem_zalloc(n_y, sizeof *want),
          *y = mem_zalloc(n_y, sizeof *y);
    for (size_t i = 0; i < x_stride * (size_t)n_rows; i++) x[i] = random_number(kind);
    if (kind == ENDS) x[n_in / 2] = INFINITY;
    void *scratch = mem_alloc_aligned(64, n_scratch);
    for (size_t i = 0; i < n_tables; i++) {
        memset(y, 0x55, n_y * sizeof *y);
        kernels_multiply(tables[i], y, y_stride, x, x_stride, n_rows, &m, 0, n_panels, scratch);
        if (i == 0) memcpy(want, y, n_y * sizeof *y);
        assert_same(y, want, n_y, "the whole (and what lies beside its outputs)", tables[i]->name);
        /* in parts: rows apart, panels apart */
        memset(y, 0x55, n_y * sizeof *y);
        for (int r = 0; r < n_rows; r += 2)
            for (int p = 0; p < n_panels; p += 2)
                kernels_multiply(tables[i], y + (size_t)r * y_stride, y_stride, x + (size_t)r * x_stride,
                                 x_stride, MIN(2, n_rows - r), &m, p, MIN(p + 2, n_panels), scratch);
        assert_same(y, want, n_y, "in parts", tables[i]->name);
        /* inputs rounded in parts, the last first */
        memset(y, 0x55, n_y * sizeof *y);
        memset(scratch, 0x55, n_scratch);
        for (int r = n_rows - 1; r >= 0; r--)
            for (int end = n_in / CODED_BLOCK, b; end > 0; end = b) {
                b = MAX(end - 3 - r, 0);
                kernels_round(tables[i], scratch, n_rows, &m, x, x_stride, r, r + 1, b, end);
            }
        kernels_multiply_rounded(tables[i], y, y_stride, scratch, n_rows, &m, 0, n_panels);
        assert_same(y, want, n_y, "inputs rounded in parts", tables[i]->name);
        /* one panel by itself */
        const struct matrix panel = matrix_panel(&m, n_panels - 1);
        kernels_multiply(tables[i], y, MATRIX_PANEL, x, x_stride, 1, &panel, 0, 1, scratch);
        assert_same(y, want + (n_panels - 1) * MATRIX_PANEL, MATRIX_PANEL, "a panel", tables[i]->name);
    }
    for (int r = 0; kind == ORDINARY && r < n_rows; r += 1 + n_rows / 5)
        check_near(&m, x + (size_t)r * x_stride, want + (size_t)r * y_stride);
    free(scratch);
    free(x);
    free(y);
    free(want);
    matrix_fini(&m);
}

static void test_products(void **state) {
    UNUSED(state);
    static const int rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 17, 25, 40};
    for (size_t r = 0; r < ARRAY_LEN(rows); r++)
        for (int s = 0; s < 5; s++)
            check_product(rows[r], 16 + s * 45, 32 * (1 + (int)r % 3 + 3 * s), ORDINARY);
    check_product(1, 300, 1120, ORDINARY);
    check_product(13, 40, 1120, ORDINARY);
    check_product(205, 33, 544, ORDINARY); /* more than one group of rows, more than one slice of inputs */
}

static void test_sizes(void **state) {
    UNUSED(state);
    for (int i = 0; i < 60; i++) {
        check_product(1 + i % 14, 16 + i, 32 * (1 + i % 5), ANY_SIZE);
        check_product(1 + i % 14, 16 + i, 32 * (1 + i % 5), ENDS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, find_tables, NULL);
}
