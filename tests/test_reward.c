/* The reward service: how it is opened, steps of a text, and the toy chain's exact values. The engine's kind
 * has a test of its own, test_reward_embedded.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "model/toy_chain.h"
#include "reward/reward.h"

static struct reward *open_or_fail(const char *spec, const struct reward_options *o) {
    struct err e = {0};
    struct reward *r = reward_open(spec, o, &e);
    if (!r) fail_msg("%s: %s", spec, e.msg);
    assert_string_equal(reward_info(r)->name, spec);
    return r;
}

static struct reward_result run_one(struct reward *r, struct reward_prefix *from, const char *text) {
    struct err e = {0};
    struct reward_result result, none;
    reward_submit(r, &(struct reward_job){.id = 9, .from = from, .text = str_from(text)});
    assert_int_equal(reward_in_flight(r), 1);
    assert_true(reward_work(r, 0, &e) > 0);
    assert_true(reward_next(r, &result));
    assert_int_equal(result.id, 9);
    assert_int_equal(reward_in_flight(r), 0);
    assert_false(reward_next(r, &none));
    return result;
}

static void refusals_say_what_would_work(void **state) {
    UNUSED(state);
    static const struct {
        const char *spec, *says;
    } cases[] = {
        {"", "lab:NAME"},
        {"no/such/folder", "no such folder"},
        {"lab:no-such-model", "no-such-model"},
        {"toy:noise=2", "noise must be a number from 0 to 1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        assert_null(reward_open(cases[i].spec, NULL, &e));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, cases[i].says)) fail_msg("'%s' says: %s", cases[i].spec, e.msg);
    }
    struct err e = {0};
    assert_null(reward_open("toy:", &(struct reward_options){.separator = ""}, &e));
    assert_non_null(strstr(e.msg, "separator"));
    reward_close(NULL);
}

static void join_step(void *ctx, struct str step) {
    struct buf *all = ctx;
    buf_add_str(all, step);
    buf_add_char(all, '|');
}

static void texts_split_into_steps_without_phantoms(void **state) {
    UNUSED(state);
    static const struct {
        const char *text, *separator, *steps;
    } cases[] = {
        {"", "\n\n", ""},
        {"A", "\n\n", "A|"},
        {"A\n\nB", "\n\n", "A|B|"},
        {"A\n\nB\n\n", "\n\n", "A|B|"},
        {"\n\n A \n\n\n B\n\n\t\n\n\n", "\n\n", "A|B|"},
        {"\n\n", "\n\n", ""},
        {" \n ", "\n\n", ""},
        {"A\nB", "\n\n", "A\nB|"},
        {"A##B###", "##", "A|B|#|"},
        {"aXbXX", "X", "a|b|"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf all = {0};
        struct str text = str_from(cases[i].text), separator = str_from(cases[i].separator);
        int n = reward_split_steps(text, separator, join_step, &all);
        assert_string_equal(buf_cstr(&all), cases[i].steps);
        assert_int_equal(n, reward_split_steps(text, separator, NULL, NULL));
        buf_free(&all);
    }
}

static struct toy_chain chain_of(const char *text, const char *problem) {
    struct err e = {0};
    struct toy_params params;
    struct toy_chain c;
    if (!toy_params_parse(&params, text, &e)) fail_msg("%s", e.msg);
    toy_chain_init(&c, &params, problem);
    return c;
}

/* The text of a path of the chain. */
static char *text_of(const struct toy_chain *c, const int *values, int n) {
    struct buf text = {0};
    for (int level = 1; level <= n; level++) {
        toy_chain_write(c, level, values[level - 1], &text);
        if (level < c->params.depth) buf_add_str(&text, STR("\n\n"));
    }
    return buf_take(&text);
}

struct sums {
    const struct toy_chain *c;
    const int *fixed; /* the path must begin with these */
    int n_fixed;
    double all, right;
};

static void add_path(void *ctx, const int *values, double probability) {
    struct sums *s = ctx;
    if (memcmp(values, s->fixed, sizeof *values * (size_t)s->n_fixed) != 0) return;
    s->all += probability;
    if (values[s->c->params.depth - 1] == s->c->right[s->c->params.depth]) s->right += probability;
}

static void toy_rewards_are_the_exact_values(void **state) {
    UNUSED(state);
    struct reward *r = open_or_fail("toy:depth=4,branch=3", NULL);
    struct toy_chain c = chain_of("depth=4,branch=3", "a problem");
    struct err e = {0};
    struct reward_prefix *root = reward_root(r, "a problem", &e);
    for (int path = 0; path < 81; path++) {
        const int values[] = {path % 3, path / 3 % 3, path / 9 % 3, path / 27};
        char *text = text_of(&c, values, 4);
        struct reward_result result = run_one(r, root, text);
        assert_false(result.failed);
        assert_int_equal(result.n_rewards, 4);
        assert_true(result.cost.tokens_read == 4);
        for (int n = 1; n <= 4; n++) {
            struct sums s = {.c = &c, .fixed = values, .n_fixed = n};
            toy_chain_enumerate(&c, add_path, &s);
            assert_true(fabs((double)result.rewards[n - 1] - s.right / s.all) < 1e-6);
        }
        reward_release(r, result.prefix);
        free(text);
    }
    reward_release(r, root);
    reward_close(r);
}

static void step_by_step_gives_the_same_rewards(void **state) {
    UNUSED(state);
    static const char spec[] = "toy:depth=5,noise=0.3,fail=0.5,shuffle=1";
    struct reward *r = open_or_fail(spec, NULL);
    struct toy_chain c = chain_of(spec + 4, "a problem");
    struct err e = {0};
    struct reward_prefix *root = reward_root(r, "a problem", &e);
    static const int values[] = {0, 2, 1, 1, 0};
    char *text = text_of(&c, values, 5);
    float whole[5];
    bool noisy = false;
    struct reward_result result = run_one(r, root, text);
    assert_int_equal(result.n_rewards, 5);
    memcpy(whole, result.rewards, sizeof whole);
    reward_release(r, result.prefix);
    struct reward_prefix *at = root;
    for (int level = 1; level <= 5; level++) {
        struct buf step = {0};
        toy_chain_write(&c, level, values[level - 1], &step);
        result = run_one(r, at, buf_cstr(&step));
        assert_int_equal(result.n_rewards, 1);
        assert_true(result.rewards[0] == whole[level - 1] && whole[level - 1] >= 0 && whole[level - 1] <= 1);
        noisy =
            noisy || fabs((double)whole[level - 1] - toy_chain_value(&c, level, values[level - 1])) > 1e-3;
        reward_release(r, result.prefix);
        struct reward_prefix *next = reward_extend(r, at, buf_str(&step), &e);
        assert_non_null(next);
        if (at != root) reward_release(r, at);
        at = next;
        buf_free(&step);
    }
    assert_true(noisy);
    reward_release(r, at);
    reward_release(r, root);
    reward_close(r);
    free(text);
}

static void foreign_texts_fail_and_blank_ones_score_nothing(void **state) {
    UNUSED(state);
    struct reward *r = open_or_fail("toy:depth=2", NULL);
    struct err e = {0};
    struct reward_prefix *root = reward_root(r, "a problem", &e);
    static const char *const foreign[] = {"step 2: 0\n\n", "step 1: 3\n\n", "step 1: 0\n\nstep 2: 0\n\n",
                                          "hello"};
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        struct reward_result result = run_one(r, root, foreign[i]);
        assert_true(result.failed && result.why && !result.prefix);
        assert_int_equal(result.n_rewards, 0);
        assert_null(reward_extend(r, root, str_from(foreign[i]), &e));
    }
    struct reward_result blank = run_one(r, root, "\n\n \n");
    assert_false(blank.failed);
    assert_int_equal(blank.n_rewards, 0);
    struct reward_result after = run_one(r, blank.prefix, "step 1: 0\n\n");
    assert_int_equal(after.n_rewards, 1);
    reward_release(r, after.prefix);
    reward_release(r, blank.prefix);
    reward_release(r, root);
    reward_close(r);
}

static void cancelled_jobs_are_not_told(void **state) {
    UNUSED(state);
    struct reward *r = open_or_fail("toy:", NULL);
    struct err e = {0};
    struct reward_prefix *root = reward_root(r, "a problem", &e);
    for (uint64_t i = 0; i < 10; i++)
        reward_submit(r, &(struct reward_job){.id = i, .from = root, .text = STR("step 1: 0\n\n")});
    reward_cancel(r, 3);
    reward_cancel(r, 99);
    assert_int_equal(reward_work(r, 0, &e), 9);
    reward_cancel(r, 4);
    struct reward_result result;
    int n = 0;
    for (; reward_next(r, &result); n++) {
        assert_true(result.id != 3 && result.id != 4);
        reward_release(r, result.prefix);
    }
    assert_int_equal(n, 8);
    assert_true(reward_computed(r).tokens_read == 9); /* the root and eight steps */
    reward_submit(r, &(struct reward_job){.id = 1, .from = root, .text = STR("open at the end")});
    reward_release(r, root);
    reward_close(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_say_what_would_work),
        cmocka_unit_test(texts_split_into_steps_without_phantoms),
        cmocka_unit_test(toy_rewards_are_the_exact_values),
        cmocka_unit_test(step_by_step_gives_the_same_rewards),
        cmocka_unit_test(foreign_texts_fail_and_blank_ones_score_nothing),
        cmocka_unit_test(cancelled_jobs_are_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
