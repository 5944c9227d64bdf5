/* The law of coverage: given back where it holds, against a plain search over its two numbers where it does
 * not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/rng.h"
#include "select/coverage.h"
#include "select/law.h"

#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

struct points {
    double k[LAW_POINTS], c[LAW_POINTS];
    int n;
};

static void fill_law(struct points *p, int n_max, double a, double b) {
    int ks[LAW_POINTS];
    p->n = law_points(n_max, ks);
    for (int i = 0; i < p->n; i++) {
        p->k[i] = ks[i];
        p->c[i] = exp(a * pow(ks[i], b));
    }
}

/* pass@k of a set of problems whose chances differ widely. */
static void fill_problems(struct points *p, int n_max, uint64_t key) {
    int ks[LAW_POINTS];
    p->n = law_points(n_max, ks);
    for (int i = 0; i < p->n; i++) {
        p->k[i] = ks[i];
        p->c[i] = 0;
        for (uint64_t j = 0; j < 60; j++) {
            const double chance = pow(rng_unit(key, j), 4);
            p->c[i] += coverage_pass_at_k(n_max, (int64_t)(chance * n_max), ks[i]) / 60;
        }
    }
}

static void points_are_even_in_the_logarithm(void **state) {
    UNUSED(state);
    int ks[LAW_POINTS];
    assert_int_equal(law_points(0, ks), 0);
    assert_int_equal(law_points(1, ks), 1);
    const int n = law_points(10000, ks);
    assert_in_range(n, 30, LAW_POINTS);
    assert_int_equal(ks[0], 1);
    assert_int_equal(ks[n - 1], 10000);
    for (int i = 1; i < n; i++) {
        assert_true(ks[i] > ks[i - 1]);
        if (ks[i] > 100) assert_near((double)ks[i] / ks[i - 1], pow(10, 4.0 / 39), 0.02);
    }
    assert_int_equal(law_points(16, ks), 16);
    assert_int_equal(law_points(INT32_MAX, ks), LAW_POINTS);
    assert_int_equal(ks[LAW_POINTS - 1], INT32_MAX);
}

static void a_law_is_given_back(void **state) {
    UNUSED(state);
    static const double as[] = {-0.2, -1, -4, -9}, bs[] = {-0.05, -0.3, -0.9};
    for (size_t i = 0; i < ARRAY_LEN(as); i++) {
        for (size_t j = 0; j < ARRAY_LEN(bs); j++) {
            struct points p;
            struct law l;
            fill_law(&p, 1000, as[i], bs[j]);
            assert_true(law_fit(p.k, p.c, p.n, &l));
            assert_near(l.a, as[i], 1e-6 * fabs(as[i]));
            assert_near(l.b, bs[j], 1e-6);
            assert_near(l.r2, 1, 1e-9);
            for (int k = 0; k < p.n; k++) assert_near(law_coverage(&l, p.k[k]), p.c[k], 1e-7);
        }
    }
}

static double squares(const struct points *p, double u, double b) {
    double sum = 0;
    for (int i = 0; i < p->n; i++) sum += pow(p->c[i] - exp(-exp(u) * pow(p->k[i], b)), 2);
    return sum;
}

/* The best of a grid, then of a finer one around it, and so on. */
static double least_squares(const struct points *p) {
    double u = 0, b = -0.5, width_u = 6, width_b = 1, best = INFINITY;
    for (int round = 0; round < 60; round++) {
        double next_u = u, next_b = b;
        for (int i = -10; i <= 10; i++) {
            for (int j = -10; j <= 10; j++) {
                const double s = squares(p, u + width_u * i / 10, b + width_b * j / 10);
                if (s >= best) continue;
                best = s;
                next_u = u + width_u * i / 10;
                next_b = b + width_b * j / 10;
            }
        }
        u = next_u;
        b = next_b;
        width_u *= 0.7;
        width_b *= 0.7;
    }
    return best;
}

static void no_other_law_fits_better(void **state) {
    UNUSED(state);
    for (uint64_t key = 0; key < 8; key++) {
        struct points p;
        struct law l;
        fill_problems(&p, key % 2 ? 100 : 3000, key);
        assert_true(law_fit(p.k, p.c, p.n, &l));
        const double ours = squares(&p, log(-l.a), l.b), best = least_squares(&p);
        assert_true(ours <= best * (1 + 1e-6) + 1e-15);
        assert_true(l.a < 0 && l.b < 0 && l.r2 > 0.9 && l.r2 <= 1);
    }
}

static void samples_for_a_coverage(void **state) {
    UNUSED(state);
    const struct law l = {.a = -2, .b = -0.4};
    for (double c = 0.2; c < 0.999; c += 0.05) {
        const double k = law_samples(&l, c);
        assert_near(law_coverage(&l, k), c, 1e-12);
        assert_true(k > 1);
    }
    assert_true(law_samples(&l, 0.1) == 1); /* one sample does more */
    assert_true(isinf(law_samples(&(struct law){.a = -2, .b = -0.01}, 0.999)));
    assert_true(isinf(law_samples(&(struct law){.a = -2, .b = 0}, 0.9)));
}

static void what_cannot_be_fitted(void **state) {
    UNUSED(state);
    struct law l;
    const double k[] = {1, 2, 4, 8}, none[] = {0, 0, 0, 0}, all[] = {1, 1, 1, 1}, flat[] = {.5, .5, .5, .5},
                 once[] = {0.5, 1, 1, 1}, rises[] = {0.5, 0.6, 0.7, 0.8};
    assert_false(law_fit(k, none, 4, &l));
    assert_false(law_fit(k, all, 4, &l));
    assert_false(law_fit(k, flat, 4, &l));
    assert_false(law_fit(k, once, 4, &l));
    assert_false(law_fit(k, rises, 2, &l));
    assert_false(law_fit(k, NULL, 0, &l));
    assert_true(law_fit(k, rises, 4, &l));
}

static void a_law_foretells_itself(void **state) {
    UNUSED(state);
    struct points p;
    fill_law(&p, 1000, -3, -0.3);
    struct law_forecast f = law_forecast(p.k, p.c, p.n, 250);
    assert_true(f.n_later > 3 && f.error < 1e-6 && f.error_worst < 1e-6);
    for (int i = 0; i < p.n; i++)
        if (p.k[i] > 250) p.c[i] += i == p.n - 1 ? 0.03 : 0.01;
    f = law_forecast(p.k, p.c, p.n, 250);
    assert_near(f.error_worst, 0.03, 1e-6);
    assert_near(f.error, (0.01 * (f.n_later - 1) + 0.03) / f.n_later, 1e-6);
    assert_int_equal(law_forecast(p.k, p.c, p.n, 1000).n_later, 0);
    assert_int_equal(law_forecast(p.k, p.c, p.n, 2).n_later, 0); /* two points carry no law */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_are_even_in_the_logarithm),
        cmocka_unit_test(a_law_is_given_back),
        cmocka_unit_test(no_other_law_fits_better),
        cmocka_unit_test(samples_for_a_coverage),
        cmocka_unit_test(what_cannot_be_fitted),
        cmocka_unit_test(a_law_foretells_itself),
    };
    return cmocka_run_group_tests_name("select_law", tests, NULL, NULL);
}
