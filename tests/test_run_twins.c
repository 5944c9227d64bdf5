/* test_run_twins.c - equal siblings through services, store, kill and resume: each text below a parent is
 * read once by the reward model, and charged to the first of them in path order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "run_toy.h"
#include "scratch.h"
#include "store/rows.h"

static const char *const strategies[] = {
    "sample:n=12",
    "beam:n=8,width=4",
    "beam:n=8,allocation=rebase,distinct=0",
    "beam:n=8,width=2,lookahead=2",
    "dvts:n=12,width=4,distinct=0",
    "mcts:n=12,width=4",
};

static bool are_siblings(const char *a, const char *b) {
    const char *end_a = strrchr(a, '.'), *end_b = strrchr(b, '.');
    const size_t n_a = end_a ? (size_t)(end_a - a) : 0, n_b = end_b ? (size_t)(end_b - b) : 0;
    return n_a == n_b && memcmp(a, b, n_a) == 0;
}

struct reading {
    double recorded; /* tokens, prompts included */
    int n_scores, n_twins;
};

/* Rewards of equal siblings are equal and the first alone is charged. */
static bool check_problem(void *ctx, const struct store_problem *p) {
    struct err e;
    struct reading *sum = ((void **)ctx)[0];
    struct rows *r = rows_load(((void **)ctx)[1], p->ordinal, &e);
    assert_non_null(r);
    sum->recorded += p->policy_root.tokens_read + p->reward_root.tokens_read;
    for (size_t i = 0; i < r->n_nodes; i++) {
        const struct rows_node *v = &r->nodes[i], *first = v;
        sum->recorded += v->cost.tokens_read + (v->scored ? v->score_cost.tokens_read : 0);
        for (size_t k = 0; k < i && first == v; k++)
            if (r->nodes[k].scored && are_siblings(r->nodes[k].path, v->path) &&
                strcmp(r->nodes[k].text, v->text) == 0)
                first = &r->nodes[k];
        if (!v->scored) continue;
        assert_int_equal(v->n_rewards, first->n_rewards);
        for (int k = 0; k < v->n_rewards; k++) assert_true(v->rewards[k] == first->rewards[k]);
        assert_true((v->score_cost.tokens_read > 0) == (v == first));
        assert_true((v->score_cost.flops > 0) == (v == first));
        *(v == first ? &sum->n_scores : &sum->n_twins) += 1;
    }
    rows_free(r);
    return true;
}

static struct reading check_run(struct store *s) {
    struct reading sum = {0};
    struct err e;
    void *ctx[2] = {&sum, s};
    assert_true(store_each_problem(s, check_problem, ctx, &e));
    return sum;
}

static void every_text_is_read_once(void **state) {
    UNUSED(state);
    char *task = write_task(10), *path = scratch_path("twins.brood");
    for (size_t i = 0; i < 2 * ARRAY_LEN(strategies); i++) {
        struct run_options o = options_for(task, path, strategies[i / 2]);
        if (i % 2) o.policy = "toy:depth=4,seed=3,shuffle=1";
        struct run_progress p;
        struct err e;
        struct store_session session;
        int n_sessions;
        unlink(path);
        free(run_whole(&o, &p));
        struct store *s = store_open(path, STORE_READ, &e);
        assert_non_null(s);
        const struct reading sum = check_run(s);
        assert_true(sum.n_twins > 10 && sum.n_scores > 20);
        assert_true(store_sessions(s, &session, &n_sessions, &e) && n_sessions == 1);
        assert_true(session.tokens_read == sum.recorded);
        assert_true(store_close(s, &e));
    }
    unlink(path);
    free(path);
    free(task);
}

static void order_and_kills_change_no_record(void **state) {
    UNUSED(state);
    char *task = write_task(12), *path = scratch_path("killed.brood");
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
        struct run_options o = options_for(task, ":memory:", strategies[i]);
        struct run_progress p;
        char *whole = run_whole(&o, &p);
        o.policy = "toy:depth=4,seed=3,shuffle=1";
        char *scrambled = run_whole(&o, &p);
        assert_string_equal(records_of(whole), records_of(scrambled));
        o.store = path;
        int n_kills = 0;
        while (!run_until_killed(&o, 1 + (unsigned)rng_below(i, (uint64_t)n_kills, 6)))
            assert_true(++n_kills < 400);
        char *resumed = run_whole(&o, &p);
        assert_string_equal(scrambled, resumed);
        free(whole);
        free(scrambled);
        free(resumed);
        unlink(path);
    }
    free(path);
    free(task);
}

static void budgets_hold_with_twins(void **state) {
    UNUSED(state);
    char *task = write_task(4);
    for (int i = 0; i < 60; i++) {
        struct run_options o = options_for(task, ":memory:", strategies[(size_t)i % ARRAY_LEN(strategies)]);
        *(i % 2 ? &o.budget.flops : &o.budget.tokens) = 5 + 4 * i;
        struct run_progress p;
        char *straight = run_whole(&o, &p);
        o.policy = "toy:depth=4,seed=3,shuffle=1";
        char *scrambled = run_whole(&o, &p);
        assert_string_equal(records_of(straight), records_of(scrambled));
        free(straight);
        free(scrambled);
    }
    free(task);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_text_is_read_once),
        cmocka_unit_test(order_and_kills_change_no_record),
        cmocka_unit_test(budgets_hold_with_twins),
    };
    return cmocka_run_group_tests_name("run_twins", tests, scratch_make, scratch_remove);
}
