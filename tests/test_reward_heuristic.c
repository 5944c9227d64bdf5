/* test_reward_heuristic.c - rewards by rules: known values, step by step as at once, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "reward/reward.h"

static const char problem[] = "Pia has 60 maps. Ned has 1,471 cups. Pia buys 111 maps.";

static struct reward *open_or_fail(const char *spec) {
    struct err e = {0};
    struct reward *r = reward_open(spec, NULL, &e);
    if (!r) fail_msg("%s: %s", spec, e.msg);
    assert_string_equal(reward_info(r)->kind, "heuristic");
    return r;
}

static struct reward_result score(struct reward *r, struct reward_prefix *from, struct str text) {
    struct err e = {0};
    struct reward_result got;
    reward_submit(r, &(struct reward_job){.id = 3, .from = from, .text = text});
    assert_int_equal(reward_in_flight(r), 1);
    assert_true(reward_work(r, 0, &e) > 0);
    assert_true(reward_next(r, &got));
    assert_int_equal(got.id, 3);
    assert_false(got.failed);
    assert_true(got.cost.tokens_read == 0 && got.cost.flops == 0);
    return got;
}

static void test_known_values(void **state) {
    UNUSED(state);
    static const struct {
        const char *spec, *text;
        int n;
        double rewards[4];
    } cases[] = {
        {"format", "2+2 = 4.\n\nThe answer is \\boxed{4}.", 2, {0, 1}},
        {"format", "It is 4.\n\n#### 4", 2, {0, 1}},
        {"format", "\\boxed{4", 1, {0}},
        {"repetition", "a b c d e", 1, {1}},
        {"repetition", "a b c d\n\na b c d", 2, {1, 4 / 5.}}, /* abcd bcda cdab dabc abcd */
        {"repetition", "a a a a a a a", 1, {1 / 4.}},
        {"repetition", "a b", 1, {1}},
        {"short", "one two three\n\nfour", 2, {100 / 103., 100 / 104.}},
        {"complex", "one\ntwo\n\nthree", 2, {2 / 10., 3 / 11.}},
        {"arithmetic",
         "2+2 = 4.\n\n3*5 = 16.\n\n3*5 = 15.\n111-60 = 52.\n\nNothing to see: x = 4",
         4,
         {1, 0, 0, 1}},
        {"arithmetic", "He pays $1,200 / 4 = $300 a week.\n\nThat is <<2*3=6>>6 jars.", 2, {1, 1}},
        {"arithmetic",
         "10/3 = 3.33\n\n10/3 = 3.34\n\n2*(3+4) = 14 = 7*2\n\n2*(3+4) = 14 = 7*3",
         4,
         {1, 0, 1, 0}},
        {"arithmetic",
         "He has 5 - 2 = 3 and -2 + 5 = 3.\n\n2^10 = 1024\n\n1/0 = 7\n\na+1 = 4, = 5 =",
         4,
         {1, 1, 1, 1}},
        {"arithmetic", "Step 3. 4+5 = 9.\n\n12. 4+5 = 8", 2, {1, 0}},
        {"grounded", "60+111 = 171.\n\n171*2 = 342.\n\n1,471-342 = 1129 and 60", 3, {1, 2 / 3., 1}},
        {"grounded", "no number", 1, {1}},
        {"grounded", "6+1 = 7", 1, {1 / 3.}}, /* parts of numbers are none */
        {"arithmetic+grounded", "60+111 = 171.\n\n171*2 = 342.\n\n60+60 = 121", 3, {1, 2 / 3., 0}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char spec[64];
        struct err e;
        snprintf(spec, sizeof spec, "heuristic:%s", cases[i].spec);
        struct reward *r = open_or_fail(spec);
        struct reward_prefix *root = reward_root(r, problem, &e);
        const struct reward_result got = score(r, root, str_from(cases[i].text));
        assert_int_equal(got.n_rewards, cases[i].n);
        for (int k = 0; k < got.n_rewards; k++) {
            if (fabs((double)got.rewards[k] - cases[i].rewards[k]) > 1e-6)
                fail_msg("%s of \"%s\": step %d has %g, not %g", spec, cases[i].text, k + 1,
                         (double)got.rewards[k], cases[i].rewards[k]);
        }
        reward_release(r, got.prefix);
        reward_release(r, root);
        reward_close(r);
    }
}

/* Whole, step by step, and after a part that was read without being judged: the same bits. */
static void test_step_by_step_as_at_once(void **state) {
    UNUSED(state);
    static const char *const names[] = {"format",
                                        "repetition",
                                        "short",
                                        "complex",
                                        "arithmetic",
                                        "grounded",
                                        "format+repetition+short+complex+arithmetic+grounded"};
    static const char *const steps[] = {"60+111 = 171. So 171 of 171.\n\n", "171*2 = 343.\n\n",
                                        "171*2 = 342 and 343 and 342 and 343.\n\n",
                                        "The answer is \\boxed{342}."};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char spec[100];
        struct buf text = {0};
        struct err e;
        float whole[4];
        snprintf(spec, sizeof spec, "heuristic:%s", names[i]);
        struct reward *r = open_or_fail(spec);
        struct reward_prefix *root = reward_root(r, problem, &e), *at = root;
        for (size_t k = 0; k < ARRAY_LEN(steps); k++) buf_add_str(&text, str_from(steps[k]));
        struct reward_result got = score(r, root, buf_str(&text));
        assert_int_equal(got.n_rewards, 4);
        memcpy(whole, got.rewards, sizeof whole);
        reward_release(r, got.prefix);
        for (size_t k = 0; k < ARRAY_LEN(steps); k++) {
            got = score(r, at, str_from(steps[k]));
            assert_int_equal(got.n_rewards, 1);
            assert_memory_equal(got.rewards, &whole[k], sizeof whole[k]);
            if (at != root) reward_release(r, at);
            at = got.prefix;
        }
        reward_release(r, at);
        const size_t n_two = strlen(steps[0]) + strlen(steps[1]);
        at = reward_extend(r, root, (struct str){text.ptr, n_two}, &e);
        got = score(r, at, (struct str){text.ptr + n_two, text.len - n_two});
        assert_int_equal(got.n_rewards, 2);
        assert_memory_equal(got.rewards, whole + 2, 2 * sizeof *whole);
        reward_release(r, got.prefix);
        reward_release(r, at);
        reward_release(r, root);
        reward_close(r);
        buf_free(&text);
    }
}

static void test_refusals_and_ends(void **state) {
    UNUSED(state);
    static const char *const wrong[] = {"heuristic:", "heuristic:colour", "heuristic:short+",
                                        "heuristic:short+colour", "heuristic:short,complex"};
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_null(reward_open(wrong[i], NULL, &e));
        assert_int_equal(e.code, ERR_INPUT);
        assert_non_null(strstr(e.msg, "format, repetition, short"));
    }
    struct reward *r = open_or_fail("heuristic:grounded");
    assert_string_equal(reward_info(r)->aggregate, "min");
    struct reward_prefix *root = reward_root(r, problem, &e);
    struct reward_result got;
    reward_submit(r, &(struct reward_job){.id = 1, .from = root, .text = STR("1")});
    reward_submit(r, &(struct reward_job){.id = 2, .from = root, .text = STR("2")});
    reward_cancel(r, 1);
    reward_cancel(r, 7);
    assert_int_equal(reward_in_flight(r), 1);
    assert_true(reward_work(r, 0, &e) > 0);
    reward_submit(r, &(struct reward_job){.id = 3, .from = root, .text = STR("3")});
    assert_true(reward_next(r, &got));
    assert_int_equal(got.id, 2);
    reward_release(r, got.prefix);
    assert_false(reward_next(r, &got)); /* not yet worked on */
    struct buf long_text = {0};
    for (int i = 0; i < 4200; i++) buf_add_str(&long_text, STR("x\n\n"));
    reward_submit(r, &(struct reward_job){.id = 4, .from = root, .text = buf_str(&long_text)});
    assert_true(reward_work(r, 0, &e) > 0);
    while (reward_next(r, &got) && got.id != 4) reward_release(r, got.prefix);
    assert_true(got.failed);
    assert_non_null(strstr(got.why, "4096"));
    reward_submit(r, &(struct reward_job){.id = 5, .from = root, .text = STR("5")}); /* left there */
    reward_release(r, root);
    reward_close(r);
    buf_free(&long_text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_step_by_step_as_at_once),
        cmocka_unit_test(test_refusals_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
