/* test_speculate.c - steps written ahead: the same records with and without, whatever was guessed; what is
 * not used is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/rng.h"
#include "brood.h"
#include "mock_server.h"
#include "run_toy.h"
#include "scratch.h"

/* Jobs take up to six turns, so that levels have stragglers. */
static const char slow_policy[] = "toy:depth=5,seed=3,slow=6";

static const char *const variants[] = {
    "beam:n=8,width=4",
    "beam:n=8,width=4,depth=3",
    "beam:n=6,allocation=rebase",
    "beam:n=6,allocation=particle,ess=0.9",
    "beam:n=4,width=2,lookahead=2",
    "dvts:n=8,width=4",
    "mcts:n=10,width=5",
    "sal-beam:n=8,width=2",
    "its-pf:n=6",
    "beam:n=6,allocation=ets,softmax=0.3",
    "revise:n=8,length=3",
    "ab-mcts:n=8,width=3",
    "sample:n=8",
};

static size_t list_strategies(const char *out[64]) {
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(variants); i++) out[n++] = variants[i];
    for (size_t i = 0; search_strategies[i]; i++) {
        assert_true(n < 64);
        out[n++] = search_strategies[i]->example;
    }
    return n;
}

static struct run_options slow_options(const char *task, const char *strategy) {
    struct run_options o = options_for(task, ":memory:", strategy);
    o.policy = slow_policy;
    o.reward = "toy:depth=5,seed=3,noise=0.1";
    return o;
}

static void test_records_are_the_same(void **state) {
    UNUSED(state);
    char *task = write_task(7);
    const char *all[64];
    const size_t n_all = list_strategies(all);
    double n_guessed = 0, n_used = 0, n_in_vain = 0;
    for (size_t i = 0; i < n_all; i++) {
        for (int k = 0; k < 4; k++) {
            struct run_progress p;
            struct run_options o = slow_options(task, all[i]);
            o.seed = 100 + i;
            if (k == 1) o.budget.tokens = 1 + (double)rng_below(1, i, 50);
            if (k == 2) o.budget.flops = 2 + (double)rng_below(2, i, 150);
            if (k == 3) o.budget.samples = 1 + (double)rng_below(3, i, 6);
            o.speculate = COORDINATOR_SPECULATE_OFF;
            char *without = run_whole(&o, &p);
            assert_true(p.n_guessed == 0 && p.waste.cancelled.tokens_generated == 0);
            o.speculate = COORDINATOR_SPECULATE_ON;
            char *with = run_whole(&o, &p);
            if (strcmp(without, with) != 0) fail_msg("%s, budget %d: other records", all[i], k);
            n_guessed += p.n_guessed;
            n_used += p.n_guesses_used;
            n_in_vain += p.waste.cancelled.tokens_generated;
            assert_true(p.n_guesses_used <= p.n_guessed);
            assert_true(p.waste.cancelled.tokens_generated <= 5 * (p.n_guessed - p.n_guesses_used));
            free(without);
            free(with);
        }
    }
    if (n_guessed < 500 || n_used < 100 || n_used >= n_guessed || n_in_vain < 10)
        fail_msg("%g guesses, %g of them used, %g tokens in vain", n_guessed, n_used, n_in_vain);
    free(task);
}

/* Without being asked no guess is made for a policy at home, nor where a budget binds what is really spent.
 */
static void test_auto_guesses_for_servers_alone(void **state) {
    UNUSED(state);
    char *task = write_task(3);
    struct run_options o = slow_options(task, "beam:n=8,width=4");
    struct run_progress p;
    free(run_whole(&o, &p));
    assert_true(p.n_guessed == 0);
    free(task);
}

/* Behind a server guesses are made unasked; how many depends on when its answers come, the records do not. */
static void test_records_are_the_same_over_http(void **state) {
    UNUSED(state);
    char *task = write_task(4), spec[64];
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM, .chain = "depth=5,seed=3"});
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1#toy", m->port);
    for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
        struct run_progress p;
        struct run_options o = slow_options(task, variants[i]);
        o.policy = spec;
        o.speculate = COORDINATOR_SPECULATE_OFF;
        char *without = run_whole(&o, &p);
        assert_true(p.n_guessed == 0);
        o.speculate = COORDINATOR_SPECULATE_AUTO;
        char *with = run_whole(&o, &p);
        assert_string_equal(without, with);
        free(with);
        o.budget.tokens = 1e9;
        with = run_whole(&o, &p);
        assert_true(p.n_guessed == 0); /* a budget binds what is really spent */
        assert_string_equal(records_of(without), records_of(with));
        free(without);
        free(with);
    }
    mock_stop(m);
    free(task);
}

/* The bundled models, with problems whose steps differ in length. */
static void test_records_are_the_same_on_bundled_models(void **state) {
    UNUSED(state);
    static const char *const some[] = {"beam:n=8,width=4", "dvts:n=8,width=4", "mcts:n=6,width=4"};
    double n_used = 0;
    for (size_t i = 0; i < ARRAY_LEN(some); i++) {
        struct run_progress p;
        struct run_options o = options_for("lab:story", ":memory:", some[i]);
        o.policy = "lab:small";
        o.reward = "lab:prm";
        o.n_problems = 8;
        o.speculate = COORDINATOR_SPECULATE_OFF;
        char *without = run_whole(&o, &p);
        o.speculate = COORDINATOR_SPECULATE_ON;
        char *with = run_whole(&o, &p);
        assert_string_equal(without, with);
        n_used += p.n_guesses_used;
        free(without);
        free(with);
    }
    assert_true(n_used > 0);
}

static void test_killed_runs_arrive_at_the_same_records(void **state) {
    UNUSED(state);
    char *task = write_task(8), *store = scratch_path("guessing.brood");
    for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
        struct run_progress p;
        struct run_options o = slow_options(task, variants[i]);
        o.speculate = COORDINATOR_SPECULATE_OFF;
        char *whole = run_whole(&o, &p);
        o.speculate = COORDINATOR_SPECULATE_ON;
        unlink(store);
        o.store = store;
        int n_kills = 0;
        while (!run_until_killed(&o, 1 + (unsigned)rng_below(i, (uint64_t)n_kills, 25)))
            assert_true(++n_kills < 400);
        char *resumed = run_whole(&o, &p);
        assert_string_equal(whole, resumed);
        free(whole);
        free(resumed);
    }
    free(task);
    free(store);
}

/* ---- through the library's door ---- */

static int stop_after(void *ctx, const struct brood_event *event) {
    int *n_left = ctx;
    *n_left -= event->kind == BROOD_EVENT_NODE;
    return *n_left <= 0;
}

static void test_library_says_what_was_guessed(void **state) {
    UNUSED(state);
    struct brood_error error;
    struct brood *b =
        brood_open(&(struct brood_options){.policy = slow_policy, .reward = "toy:depth=5,seed=3"}, &error);
    assert_non_null(b);
    struct brood_request q = {.problem = "chain", .strategy = "beam:n=16,width=4"};
    struct brood_answer *plain = brood_solve(b, &q, &error);
    q.speculate = BROOD_SPECULATE_ON;
    struct brood_answer *ahead = brood_solve(b, &q, &error);
    assert_string_equal(plain->solution, ahead->solution);
    assert_true(plain->tokens_generated == ahead->tokens_generated && plain->n_guessed == 0);
    assert_true(ahead->n_guesses_used > 0 && ahead->n_guesses_used < ahead->n_guessed);
    /* Written and not asked for: one token each, for the toy writes nothing of a job that is given up. */
    assert_true(ahead->cancelled.tokens_generated <= ahead->n_guessed - ahead->n_guesses_used);
    brood_answer_free(plain);
    brood_answer_free(ahead);
    for (int n = 1; n < 30; n++) { /* stopped with guesses under way */
        int n_left = n;
        q.on_event = stop_after;
        q.ctx = &n_left;
        brood_answer_free(brood_solve(b, &q, &error));
    }
    q.speculate = (enum brood_speculate)7;
    assert_null(brood_solve(b, &q, &error));
    assert_int_equal(error.status, 2);
    brood_close(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_are_the_same),
        cmocka_unit_test(test_auto_guesses_for_servers_alone),
        cmocka_unit_test(test_records_are_the_same_over_http),
        cmocka_unit_test(test_records_are_the_same_on_bundled_models),
        cmocka_unit_test(test_killed_runs_arrive_at_the_same_records),
        cmocka_unit_test(test_library_says_what_was_guessed),
    };
    return cmocka_run_group_tests_name("speculate", tests, scratch_make, scratch_remove);
}
