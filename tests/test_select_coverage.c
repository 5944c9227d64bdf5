/* Coverage: pass@k and selection@k against all subsets, intervals against what is known of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "select/coverage.h"

/* cmocka compares in single precision. */
#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

static int count_bits(unsigned mask) {
    return __builtin_popcount(mask);
}

static void pass_at_k_is_the_mean_over_all_subsets(void **state) {
    UNUSED(state);
    for (int n = 1; n <= 12; n++) {
        for (int c = 0; c <= n; c++) {
            for (int k = 1; k <= n; k++) {
                int n_subsets = 0, n_passed = 0;
                for (unsigned mask = 0; mask < 1u << n; mask++) {
                    if (count_bits(mask) != k) continue;
                    n_subsets++;
                    n_passed += (mask & ((1u << c) - 1)) != 0;
                }
                assert_near(coverage_pass_at_k(n, c, k), (double)n_passed / n_subsets, 1e-14);
            }
        }
    }
}

static void pass_at_k_has_the_known_values(void **state) {
    UNUSED(state);
    assert_near(coverage_pass_at_k(10, 3, 5), 11.0 / 12, 1e-15);
    assert_near(coverage_pass_at_k(200, 1, 100), 0.5, 1e-15);
    assert_near(coverage_pass_at_k(10000, 2, 1000), 0.1900090009, 1e-10);
    assert_true(coverage_pass_at_k(5, 5, 3) == 1);
    assert_true(coverage_pass_at_k(4, 0, 4) == 0);
    assert_true(coverage_pass_at_k(7, 3, 0) == 0);
    assert_near(coverage_pass_at_k(1000000, 1, 250000), 0.25, 1e-12);
    for (int c = 0; c <= 50; c++) {
        assert_near(coverage_pass_at_k(50, c, 1), c / 50.0, 1e-15);
        assert_true(coverage_pass_at_k(50, c, 50) == (c > 0));
        for (int k = 2; k <= 50; k++) {
            assert_true(coverage_pass_at_k(50, c, k) >= coverage_pass_at_k(50, c, k - 1));
            /* 1 - C(n-c,k)/C(n,k) is symmetric in c and k */
            if (c > 0) assert_near(coverage_pass_at_k(50, c, k), coverage_pass_at_k(50, k, c), 1e-14);
        }
    }
}

enum { N = 11 };

struct sample {
    struct select_solution solutions[N];
    float rewards[N];
    bool right[N];
};

static void fill(struct sample *s, uint64_t key) {
    for (int i = 0; i < N; i++) {
        uint64_t k = rng_child(key, (uint64_t)i);
        s->rewards[i] = (float)rng_below(k, 0, 8) / 8;
        s->solutions[i] = (struct select_solution){.answer_class = (int)rng_below(k, 1, 4) - 1,
                                                   .complete = rng_below(k, 2, 5) > 0,
                                                   .rewards = &s->rewards[i],
                                                   .n_rewards = 1,
                                                   .verified = (enum select_verified)rng_below(k, 3, 3)};
        s->right[i] = s->solutions[i].answer_class == 0;
    }
}

static double over_all_subsets(const struct sample *s, enum select_rule r, int k) {
    int n_subsets = 0, n_right = 0, order[N];
    for (unsigned mask = 0; mask < 1u << N; mask++) {
        if (count_bits(mask) != k) continue;
        int n = 0;
        for (int i = 0; i < N; i++)
            if (mask >> i & 1) order[n++] = i;
        struct select_choice c = select_choose(r, AGGREGATE_LAST, s->solutions, order, k);
        n_right += c.solution >= 0 && s->right[c.solution];
        n_subsets++;
    }
    return (double)n_right / n_subsets;
}

static void selection_at_k_is_the_mean_over_subsets(void **state) {
    UNUSED(state);
    struct sample s;
    int n_far = 0, n_drawn = 0;
    for (uint64_t key = 0; key < 40; key++) {
        fill(&s, key);
        for (enum select_rule r = 0; r < SELECT_RULES; r++) {
            for (int k = 1; k <= N; k++) {
                double expected = over_all_subsets(&s, r, k), se;
                double exact =
                    coverage_select_at_k(r, AGGREGATE_LAST, s.solutions, s.right, N, k, 462, key, &se);
                assert_true(fabs(exact - expected) < 1e-14 && se == 0);
                double drawn =
                    coverage_select_at_k(r, AGGREGATE_LAST, s.solutions, s.right, N, k, 40, key, &se);
                assert_true(drawn == coverage_select_at_k(r, AGGREGATE_LAST, s.solutions, s.right, N, k, 40,
                                                          key, NULL));
                if (k == 1 || k >= N - 1) assert_true(drawn == exact && se == 0);
                if (se == 0) continue;
                n_drawn++;
                n_far += fabs(drawn - expected) > 3 * se;
            }
        }
    }
    assert_true(n_drawn > 200 && n_far <= n_drawn / 25);
}

static void intervals_hold_their_mean(void **state) {
    UNUSED(state);
    double x[200];
    int n_held = 0;
    for (uint64_t key = 0; key < 60; key++) {
        for (int i = 0; i < 200; i++) x[i] = rng_unit(key, (uint64_t)i) < 0.3;
        struct interval a = coverage_interval(x, 200, key), b = coverage_interval(x, 200, key);
        assert_true(a.mean == b.mean && a.low == b.low && a.high == b.high);
        assert_true(a.low < a.mean && a.mean < a.high && a.low >= 0 && a.high <= 1);
        double half = 1.96 * sqrt(a.mean * (1 - a.mean) / 200);
        assert_near(a.high - a.low, 2 * half, 0.35 * half);
        n_held += a.low <= 0.3 && 0.3 <= a.high;
    }
    assert_in_range(n_held, 52, 60);
}

static void certain_results_have_wilson_s_interval(void **state) {
    UNUSED(state);
    double none[50] = {0}, all[50];
    for (int i = 0; i < 50; i++) all[i] = 1;
    struct interval a = coverage_interval(none, 50, 1), b = coverage_interval(all, 50, 1);
    assert_true(a.mean == 0 && a.low == 0 && b.mean == 1 && b.high == 1);
    assert_near(a.high, 0.07135, 1e-4);
    assert_near(b.low, 1 - 0.07135, 1e-4);
    double half = 0.5;
    struct interval c = coverage_interval(&half, 1, 1);
    assert_true(c.mean == 0.5 && c.low == 0.5 && c.high == 0.5);
}

static void differences_are_over_pairs(void **state) {
    UNUSED(state);
    double x[60], y[60], d[60];
    for (int i = 0; i < 60; i++) {
        x[i] = rng_unit(1, (uint64_t)i) < 0.6;
        y[i] = rng_unit(2, (uint64_t)i) < 0.3;
        d[i] = x[i] - y[i];
    }
    struct interval a = coverage_difference(x, y, 60, 5), b = coverage_interval(d, 60, 5);
    assert_true(a.mean == b.mean && a.low == b.low && a.high == b.high);
    struct interval none = coverage_difference(x, x, 60, 5);
    assert_true(none.mean == 0 && none.low == -none.high && none.high > 0 && none.high < 0.07);
}

/* Against many plain resamples by another stream of numbers. */
static void ratios_vary_as_plain_resamples_do(void **state) {
    UNUSED(state);
    enum { N_PROBLEMS = 80, B = 4000 };
    double cost[N_PROBLEMS], solved[N_PROBLEMS], ratios[B];
    int n_below = 0, n_above = 0;
    for (int i = 0; i < N_PROBLEMS; i++) {
        cost[i] = 1 + 3 * rng_unit(3, (uint64_t)i);
        solved[i] = rng_unit(4, (uint64_t)i) < 0.4;
    }
    struct interval v = coverage_ratio(cost, solved, N_PROBLEMS, 9);
    for (int b = 0; b < B; b++) {
        double sum_cost = 0, sum_solved = 0;
        for (int i = 0; i < N_PROBLEMS; i++) {
            int j = (int)(rng_unit(77, (uint64_t)(b * N_PROBLEMS + i)) * N_PROBLEMS);
            sum_cost += cost[j];
            sum_solved += solved[j];
        }
        ratios[b] = sum_cost / sum_solved;
        n_below += ratios[b] < v.low;
        n_above += ratios[b] > v.high;
    }
    assert_in_range(n_below, B / 40 - 40, B / 40 + 40); /* 2.5 % either way */
    assert_in_range(n_above, B / 40 - 40, B / 40 + 40);
    for (int i = 0; i < N_PROBLEMS; i++) solved[i] = 0;
    v = coverage_ratio(cost, solved, N_PROBLEMS, 9);
    assert_true(isinf(v.mean) && isinf(v.high));
    solved[0] = 1; /* in a third of the resamples it is not there */
    v = coverage_ratio(cost, solved, N_PROBLEMS, 9);
    assert_true(isfinite(v.mean) && isfinite(v.low) && isinf(v.high));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pass_at_k_is_the_mean_over_all_subsets),
        cmocka_unit_test(pass_at_k_has_the_known_values),
        cmocka_unit_test(selection_at_k_is_the_mean_over_subsets),
        cmocka_unit_test(intervals_hold_their_mean),
        cmocka_unit_test(certain_results_have_wilson_s_interval),
        cmocka_unit_test(differences_are_over_pairs),
        cmocka_unit_test(ratios_vary_as_plain_resamples_do),
    };
    return cmocka_run_group_tests_name("select_coverage", tests, NULL, NULL);
}
