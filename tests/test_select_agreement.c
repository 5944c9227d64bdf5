/* test_select_agreement.c - groups of programs by the tests that they pass, beside a slow count. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "select/agreement.h"

/* Three programs say the same of tests 0 and 1; one passes all but stands alone; one passes nothing. */
static void test_by_hand(void **state) {
    const uint8_t passed[] = {1, 0, 0, /**/ 1, 1, 0, /**/ 0, 0, 0, /**/ 1, 1, 0, /**/ 1, 1, 1};
    const int64_t n_solutions[] = {1, 2, 9, 7, 1}, n_copies[] = {4, 2, 1};
    size_t group_of[5], n;
    UNUSED(state);
    struct agreement_group *g =
        agreement_find(AGREEMENT_DUAL, passed, n_solutions, 5, n_copies, 3, group_of, &n);
    assert_int_equal(n, 4);
    assert_int_equal(g[0].first, 1);
    assert_int_equal(g[0].chosen, 3);
    assert_int_equal(g[0].n_solutions, 9);
    assert_int_equal(g[0].n_tests, 6);
    assert_true(g[0].score == 3.0 * 6.0);
    assert_int_equal(g[1].first, 4); /* sqrt(1) * 7 */
    assert_true(g[1].score == 7.0);
    assert_int_equal(g[2].first, 0);
    assert_true(g[2].score == 4.0);
    assert_int_equal(g[3].first, 2);
    assert_true(g[3].score == 0.0);
    const size_t wanted[] = {2, 0, 3, 0, 1};
    for (int i = 0; i < 5; i++) assert_int_equal(group_of[i], wanted[i]);
    free(g);
    g = agreement_find(AGREEMENT_MAJORITY, passed, n_solutions, 5, n_copies, 3, group_of, &n);
    assert_int_equal(g[0].first, 1); /* 9 solutions, as the silent group has, but it comes first */
    assert_int_equal(g[1].first, 2);
    free(g);
}

static bool equal_rows(const uint8_t *passed, size_t n_tests, size_t a, size_t b) {
    return memcmp(passed + a * n_tests, passed + b * n_tests, n_tests) == 0;
}

/* Whatever was drawn: programs are together just if they pass the same tests, scores are what they are said
 * to be, and nothing is put before a better one. */
static void test_at_random(void **state) {
    UNUSED(state);
    for (uint64_t round = 0; round < 300; round++) {
        const uint64_t key = rng_child(7, round);
        uint64_t i_draw = 0;
        const size_t n_programs = 1 + rng_below(key, i_draw++, 30), n_tests = rng_below(key, i_draw++, 6);
        uint8_t passed[30 * 6] = {0};
        int64_t n_solutions[30], n_copies[6];
        size_t group_of[30], n;
        for (size_t i = 0; i < n_programs * n_tests; i++) passed[i] = rng_below(key, i_draw++, 3) == 0;
        for (size_t i = 0; i < n_programs; i++) n_solutions[i] = 1 + (int64_t)rng_below(key, i_draw++, 4);
        for (size_t i = 0; i < n_tests; i++) n_copies[i] = 1 + (int64_t)rng_below(key, i_draw++, 3);
        struct agreement_group *g =
            agreement_find(AGREEMENT_DUAL, passed, n_solutions, n_programs, n_copies, n_tests, group_of, &n);
        for (size_t a = 0; a < n_programs; a++)
            for (size_t b = 0; b < n_programs; b++)
                assert_int_equal(group_of[a] == group_of[b], equal_rows(passed, n_tests, a, b));
        for (size_t i = 0; i < n; i++) {
            int64_t solutions = 0, tests = 0, most = 0;
            for (size_t p = 0; p < n_programs; p++) {
                if (group_of[p] != i) continue;
                solutions += n_solutions[p];
                if (n_solutions[p] > most) most = n_solutions[p];
                assert_true(p >= g[i].first);
            }
            for (size_t t = 0; t < n_tests; t++) tests += passed[g[i].first * n_tests + t] ? n_copies[t] : 0;
            assert_int_equal(solutions, g[i].n_solutions);
            assert_int_equal(tests, g[i].n_tests);
            assert_int_equal(most, n_solutions[g[i].chosen]);
            assert_int_equal(group_of[g[i].chosen], i);
            assert_true(g[i].score == sqrt((double)solutions) * (double)tests);
            if (i > 0) assert_true(g[i - 1].score >= g[i].score);
        }
        free(g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_at_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
