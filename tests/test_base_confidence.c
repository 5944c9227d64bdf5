/* test_base_confidence.c - group confidences against every group summed for itself. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/confidence.h"
#include "base/rng.h"

enum { N = 200 };

static int ascending(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* All groups, each from its own tokens, then what is asked of them. */
static double slow(enum confidence c, const float *tokens, int n, int window) {
    double groups[N], sum = 0;
    int n_groups = 0;
    for (int end = window < n ? window : n; end <= n; end++) {
        double g = 0;
        const int n_in = window < end ? window : end;
        for (int i = end - n_in; i < end; i++) g += (double)tokens[i];
        groups[n_groups++] = g / n_in;
    }
    for (int i = 0; i < n; i++) sum += (double)tokens[i];
    const double tail = groups[n_groups - 1];
    qsort(groups, (size_t)n_groups, sizeof *groups, ascending);
    double low = 0;
    const int n_low = n_groups >= 10 ? n_groups / 10 : 1;
    for (int i = 0; i < n_low; i++) low += groups[i] / n_low;
    return c == CONFIDENCE_MEAN     ? sum / n
           : c == CONFIDENCE_TAIL   ? tail
           : c == CONFIDENCE_BOTTOM ? low
                                    : groups[0];
}

static void test_groups_are_the_slow_ones(void **state) {
    UNUSED(state);
    float tokens[N];
    for (uint64_t round = 0; round < 3000; round++) {
        const uint64_t key = rng_child(4, round);
        const int n = 1 + (int)rng_below(key, 1000, N), window = 1 + (int)rng_below(key, 1001, 2 * N);
        for (int i = 0; i < n; i++) tokens[i] = (float)(20 * rng_unit(key, (uint64_t)i));
        for (int c = 0; c < CONFIDENCES; c++)
            assert_true(fabs(confidence_of((enum confidence)c, tokens, n, window) -
                             slow((enum confidence)c, tokens, n, window)) < 1e-9);
        struct confidence_run r; /* in pieces */
        confidence_run_init(&r, window);
        for (int at = 0; at < n;) {
            const int n_more = (int)rng_below(key, 2000 + (uint64_t)at, (uint64_t)(n - at) + 1);
            confidence_run_add(&r, tokens + at, n_more);
            at += n_more;
            assert_true(at == 0 ? isnan(confidence_run_lowest(&r))
                                : fabs(confidence_run_lowest(&r) -
                                       slow(CONFIDENCE_LOWEST, tokens, at, window)) < 1e-9);
            assert_int_equal(isinf(r.lowest), at < window);
            if (n_more == 0 && at < n) confidence_run_add(&r, tokens + at, 1), at++;
        }
        confidence_run_free(&r);
    }
    assert_true(isnan(confidence_of(CONFIDENCE_MEAN, tokens, 0, 3)));
}

/* numpy.percentile([15, 20, 35, 40, 50], ...) */
static void test_quantiles_are_interpolated(void **state) {
    UNUSED(state);
    static const struct {
        double share, value;
    } cases[] = {{0, 15}, {0.05, 16}, {0.3, 23}, {0.4, 29}, {0.5, 35}, {0.9, 46}, {1, 50}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double x[] = {35, 50, 15, 40, 20};
        assert_true(fabs(confidence_quantile(x, 5, cases[i].share) - cases[i].value) < 1e-9);
    }
    double one = 7;
    assert_true(confidence_quantile(&one, 1, 0.9) == 7);
    assert_true(isnan(confidence_quantile(&one, 0, 0.9)));
}

static void test_windows_follow_the_lengths(void **state) {
    UNUSED(state);
    int lengths[] = {400, 100, 4000, 200, 300}, short_ones[] = {2, 1, 3}, long_ones[] = {90000};
    assert_int_equal(confidence_window(lengths, 5), 75);
    assert_int_equal(confidence_window(short_ones, 3), 1);
    assert_int_equal(confidence_window(long_ones, 1), 2048);
    assert_int_equal(confidence_window(NULL, 0), 1);
}

static void test_names(void **state) {
    UNUSED(state);
    struct err e = {0};
    for (int c = 0; c < CONFIDENCES; c++) {
        enum confidence back;
        assert_true(confidence_parse(confidence_names[c], &back, &e));
        assert_int_equal(back, c);
    }
    enum confidence none;
    assert_false(confidence_parse("median", &none, &e));
    assert_non_null(strstr(e.msg, "bottom"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups_are_the_slow_ones),
        cmocka_unit_test(test_quantiles_are_interpolated),
        cmocka_unit_test(test_windows_follow_the_lengths),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("base_confidence", tests, NULL, NULL);
}
