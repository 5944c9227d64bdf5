/* test_run_verify.c - verifiers in a run: verdicts told, recorded, replayed; each text verified once.
 * Policies and verifiers are toy chains, whose exact verdicts are known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "brood.h"
#include "model/toy_chain.h"
#include "run/replay.h"
#include "run/run.h"
#include "run_toy.h"
#include "scratch.h"
#include "store/rows.h"
#include "store/store.h"
#include "verify/verifier.h"

static const char *const strategies[] = {
    "sample:n=12",
    "sample:n=24,stop=verified,window=3",
    "beam:n=6,width=2,stop=verified",
    "mcts:n=8,width=3,stop=verified",
    "revise:n=12,length=4",
    "revise:n=12,length=4,stop=verified",
    "revise:n=8,length=4,versions=best,feedback=none",
    "revise:n=8,length=4,feedback=rewards",
    "ab-mcts:n=8,width=2,feedback=all",
    "ab-mcts:n=10,width=3",
    "ab-mcts:n=12,width=2,stop=verified",
    "budget-forcing:n=4,waits=2,max=3,answer=1",
    "deepconf:n=12,warmup=4,width=3,keep=0.5,window=2,top=3",
    "dvts:n=4,width=2",
};

static const char toy_verifier[] = "toy:depth=4,seed=3,noise=0.1";

static struct run_options verified_options(const char *task, const char *store, const char *strategy) {
    struct run_options o = options_for(task, store, strategy);
    o.verify = toy_verifier;
    o.select = SELECT_FIRST_VERIFIED;
    return o;
}

/* Whatever is told first, the records are the same: the policy's and the verifier's order are scrambled. The
 * verifier is also slow: most verdicts come while the policy goes on. */
static void test_order_of_arrival_changes_nothing(void **state) {
    UNUSED(state);
    char *task = write_task(10);
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
        struct run_progress p;
        struct run_options o = verified_options(task, ":memory:", strategies[i]);
        char *straight = run_whole(&o, &p);
        assert_true(p.verification.n_verdicts > 0);
        o.policy = "toy:depth=4,seed=3,shuffle=1";
        o.verify = "toy:depth=4,seed=3,noise=0.1,shuffle=1,slow=7";
        char *scrambled = run_whole(&o, &p);
        if (strcmp(records_of(straight), records_of(scrambled)) != 0) fail_msg("%s", strategies[i]);
        free(straight);
        free(scrambled);
    }
    free(task);
}

static void test_killed_runs_arrive_at_the_same_records(void **state) {
    UNUSED(state);
    char *task = write_task(12), *store = scratch_path("killed.brood");
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
        struct run_progress p;
        struct run_options o = verified_options(task, ":memory:", strategies[i]);
        o.verify = "toy:depth=4,seed=3,noise=0.1,slow=5";
        char *whole = run_whole(&o, &p);
        unlink(store);
        o.store = store;
        int n_kills = 0;
        while (!run_until_killed(&o, 1 + (unsigned)rng_below(i, (uint64_t)n_kills, 12)))
            assert_true(++n_kills < 400);
        char *resumed = run_whole(&o, &p); /* finds it finished */
        assert_int_equal(p.n_done_before, 12);
        assert_true(p.verification.n_verdicts == 0);
        assert_string_equal(whole, resumed);
        free(whole);
        free(resumed);
    }
    free(task);
    free(store);
}

/* ---- each verdict is computed once ---- */

struct told {
    struct toy_params params;
    char *text; /* the problem's */
    const struct rows *rows;
    size_t n_verified, n_different;
};

/* By the chain itself: what the verifier must have said of every solution. */
static bool check_problem(void *ctx, const struct store_problem *p) {
    struct told *t = ctx;
    struct toy_chain c;
    toy_chain_init(&c, &t->params, p->text);
    for (size_t i = 0; i < t->rows->n_nodes; i++) {
        const struct rows_node *n = &t->rows->nodes[i];
        assert_int_equal(n->verified, n->finish == STORE_END);
        if (!n->verified) continue;
        struct buf text = {0}, right = {0};
        rows_text(t->rows, n->path, &text);
        toy_chain_write(&c, c.params.depth, c.right[c.params.depth], &right);
        assert_int_equal(n->verdict, str_ends(buf_str(&text), buf_str(&right)));
        t->n_verified++;
        buf_free(&text);
        buf_free(&right);
    }
    return true;
}

static size_t count_different(const struct rows *rows) {
    size_t n = 0;
    for (size_t i = 0; i < rows->n_nodes; i++) {
        bool is_new = rows->nodes[i].finish == STORE_END;
        struct buf mine = {0};
        rows_text(rows, rows->nodes[i].path, &mine);
        for (size_t j = 0; is_new && j < i; j++) {
            struct buf other = {0};
            rows_text(rows, rows->nodes[j].path, &other);
            if (rows->nodes[j].finish == STORE_END && str_equal(buf_str(&mine), buf_str(&other)))
                is_new = false;
            buf_free(&other);
        }
        buf_free(&mine);
        n += is_new;
    }
    return n;
}

static void test_equal_solutions_are_verified_once(void **state) {
    UNUSED(state);
    char *task = write_task(1), *store = scratch_path("once.brood");
    struct run_options o = verified_options(task, store, "sample:n=64");
    struct run_progress p;
    struct err e;
    o.verify = "toy:depth=4,seed=3";
    /* In two sessions: the second knows what the first was told. */
    o.budget.seconds = 0;
    run_until_killed(&o, 2);
    free(run_whole(&o, &p));
    struct store *s = store_open(store, STORE_READ, &e);
    struct rows *rows = rows_load(s, 0, &e);
    struct told t = {.rows = rows};
    assert_true(toy_params_parse(&t.params, "depth=4,seed=3", &e));
    assert_true(store_each_problem(s, check_problem, &t, &e));
    assert_int_equal(t.n_verified, 64);
    struct verification sum;
    assert_true(store_verifications(s, &sum, &e));
    assert_true(sum.n_executions >= p.verification.n_executions);
    assert_int_equal((size_t)sum.n_verdicts, 64);
    /* What was in flight when the process was killed is asked about again, and was never counted. */
    assert_int_equal((size_t)sum.n_executions, count_different(rows));
    assert_int_equal((size_t)sum.n_equal, 64 - count_different(rows));
    assert_true(count_different(rows) < 64);
    rows_free(rows);
    assert_true(store_close(s, &e));
    free(task);
    free(store);
}

/* ---- the choice, and where the search stops ---- */

static bool check_choice(void *ctx, const struct store_choice *c) {
    const struct rows *rows = ctx;
    const char *first = NULL;
    assert_string_equal(c->rule, "first-verified");
    for (size_t i = 0; i < rows->n_solutions && !first; i++)
        if (rows_find(rows, rows->solutions[i].path)->verdict == 1) first = rows->solutions[i].path;
    if (first)
        assert_string_equal(c->path, first);
    else
        assert_null(c->path);
    return true;
}

static void test_the_first_verified_is_chosen_and_stops_the_search(void **state) {
    UNUSED(state);
    char *task = write_task(20), *store = scratch_path("stop.brood");
    struct run_options o = verified_options(task, store, "sample:n=40,stop=verified,window=4");
    struct run_progress p;
    struct err e;
    o.policy = "toy:depth=4,seed=3,p=0.5,q=0.1";
    o.verify = "toy:depth=4,seed=3";
    unlink(store);
    free(run_whole(&o, &p));
    struct store *s = store_open(store, STORE_READ, &e);
    size_t n_early = 0;
    for (int i = 0; i < 20; i++) {
        struct rows *rows = rows_load(s, i, &e);
        assert_true(store_each_choice(s, i, check_choice, rows, &e));
        size_t first = 0;
        while (first < rows->n_solutions && rows_find(rows, rows->solutions[first].path)->verdict != 1)
            first++;
        /* The window that has it is the last one. */
        assert_int_equal(rows->n_solutions, MIN(40, (first / 4 + 1) * 4));
        n_early += rows->n_solutions < 40;
        rows_free(rows);
    }
    assert_true(n_early > 10);
    assert_true(store_close(s, &e));
    free(task);
    free(store);
}

/* Without an answer key the verifier's verdict is the grade, afterwards; with one the key alone grades. */
static void test_grades(void **state) {
    UNUSED(state);
    char *keyless = scratch_write("keyless.jsonl", "{\"id\":\"a\",\"problem\":\"chain 1\"}\n");
    char *wrong = scratch_write("wrong.jsonl", "{\"id\":\"a\",\"problem\":\"chain 1\",\"answer\":\"77\"}\n");
    struct run_progress p;
    struct run_options o = verified_options(keyless, ":memory:", "sample:n=40");
    o.verify = "toy:depth=4,seed=3";
    char *text = run_whole(&o, &p);
    assert_int_equal(p.n_graded, 1);
    assert_int_equal(p.n_right, 1);
    assert_non_null(strstr(text, "\"verified\":true,\"right\":true"));
    assert_non_null(strstr(text, "\"verified\":false,\"right\":false"));
    free(text);
    o.task = wrong;
    text = run_whole(&o, &p);
    assert_int_equal(p.n_right, 0);
    assert_non_null(strstr(text, "\"verified\":true,\"right\":false"));
    assert_null(strstr(text, "\"right\":true"));
    free(text);
    free(keyless);
    free(wrong);
}

static void test_another_verifier_is_refused(void **state) {
    UNUSED(state);
    char *task = write_task(3), *store = scratch_path("config.brood");
    struct run_options o = verified_options(task, store, "sample:n=4");
    struct run_progress p;
    struct err e = {0};
    unlink(store);
    free(run_whole(&o, &p));
    o.verify = "toy:depth=4,seed=4";
    assert_null(run_open(&o, &e));
    assert_non_null(strstr(e.msg, "another verifier"));
    o.verify = NULL;
    assert_null(run_open(&o, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "first-verified needs a verifier"));
    o.select = SELECT_MAJORITY;
    assert_null(run_open(&o, &e));
    assert_non_null(strstr(e.msg, "another"));
    free(task);
    free(store);
}

static void test_tests_need_a_verifier(void **state) {
    UNUSED(state);
    char *task = scratch_write(
        "code.jsonl",
        "{\"task_id\":\"c/0\",\"prompt\":\"def f():\\n\",\"entry_point\":\"f\",\"test\":\"assert f()\","
        "\"canonical_solution\":\"    return 1\"}\n");
    struct err e = {0};
    struct run_options o = options_for(task, ":memory:", "sample:n=4");
    assert_null(run_open(&o, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "--verify tests"));
    struct task *t = task_open(task, 0, &e);
    assert_non_null(t);
    assert_non_null(strstr(t->problems[0].line, "assert f()"));
    assert_null(strstr(t->problems[0].line, "return 1"));
    task_free(t);
    free(task);
}

/* ---- feedback ---- */

/* The words of a revision end with what the verifier said of the version above, and only with feedback. */
static void test_revisions_are_told_what_is_wrong(void **state) {
    UNUSED(state);
    char *task = write_task(6), *store = scratch_path("feedback.brood");
    static const char *const specs[] = {"revise:n=12,length=4", "revise:n=12,length=4,feedback=none",
                                        "ab-mcts:n=12,width=2"};
    for (size_t k = 0; k < ARRAY_LEN(specs); k++) {
        struct run_options o = verified_options(task, store, specs[k]);
        struct run_progress p;
        struct err e;
        size_t n_told = 0;
        unlink(store);
        free(run_whole(&o, &p));
        struct store *s = store_open(store, STORE_READ, &e);
        for (int i = 0; i < 6; i++) {
            struct rows *rows = rows_load(s, i, &e);
            for (size_t j = 0; j < rows->n_nodes; j++) {
                const struct rows_node *n = &rows->nodes[j];
                if (n->lead != STORE_LEAD_REVISE) continue;
                char above[160];
                snprintf(above, sizeof above, "%.*s", (int)(strrchr(n->path, '.') - n->path), n->path);
                const struct rows_node *before = rows_find(rows, above);
                const struct str lead = {n->text, n->n_lead_bytes};
                const bool told =
                    k != 1 && before->feedback && str_find(lead, str_from(before->feedback)) >= 0;
                assert_true(told == (k != 1 && before->feedback));
                assert_true(k != 1 || str_find(lead, STR("is wrong")) < 0);
                n_told += told;
            }
            rows_free(rows);
        }
        assert_true(store_close(s, &e));
        assert_true((n_told > 5) == (k != 1));
    }
    free(task);
    free(store);
}

/* What the rewards of the version above are in words, as they are recorded. */
static void write_scores(const struct rows_node *n, struct buf *out) {
    int lowest = 0;
    for (int i = 0; i < n->n_rewards; i++) {
        buf_printf(out, "%s%.2f", i ? ", " : "Scores of the steps, from 0 to 1: ", (double)n->rewards[i]);
        if (n->rewards[i] < n->rewards[lowest]) lowest = i;
    }
    if (n->n_rewards > 1) buf_printf(out, ". The lowest is that of step %d", lowest + 1);
    if (n->n_rewards > 0) buf_add_char(out, '.');
}

static void test_revisions_are_told_the_rewards(void **state) {
    UNUSED(state);
    char *task = write_task(6), *store = scratch_path("rewards.brood");
    static const char *const specs[] = {"revise:n=12,length=4,feedback=rewards",
                                        "revise:n=12,length=4,feedback=all",
                                        "ab-mcts:n=12,width=2,feedback=rewards"};
    for (size_t k = 0; k < ARRAY_LEN(specs); k++) {
        struct run_options o = verified_options(task, store, specs[k]);
        struct run_progress p;
        struct err e;
        size_t n_told = 0;
        unlink(store);
        free(run_whole(&o, &p));
        struct store *s = store_open(store, STORE_READ, &e);
        for (int i = 0; i < 6; i++) {
            struct rows *rows = rows_load(s, i, &e);
            for (size_t j = 0; j < rows->n_nodes; j++) {
                const struct rows_node *n = &rows->nodes[j];
                if (n->lead != STORE_LEAD_REVISE) continue;
                char above[160];
                struct buf scores = {0};
                snprintf(above, sizeof above, "%.*s", (int)(strrchr(n->path, '.') - n->path), n->path);
                const struct rows_node *before = rows_find(rows, above);
                const struct str lead = {n->text, n->n_lead_bytes};
                write_scores(before, &scores);
                assert_true(scores.len > 0);
                assert_true(str_find(lead, buf_str(&scores)) >= 0);
                assert_true((str_find(lead, STR("is wrong")) >= 0) == (k == 1 && before->feedback));
                buf_free(&scores);
                n_told++;
            }
            rows_free(rows);
        }
        assert_true(store_close(s, &e));
        assert_true(n_told > 5);
    }
    free(task);
    free(store);
}

/* The repair loop in closed form: version i of a chain is right with the chain's value at p and q moved i
 * times by what a told revision moves them, and a chain ends with its first right version. */
static void test_repair_succeeds_as_often_as_it_must(void **state) {
    UNUSED(state);
    enum { N = 600, LENGTH = 4 };
    static const char *const specs[] = {"revise:n=4,length=4", "revise:n=4,length=4,feedback=none"};
    char *task = write_task(N);
    int n_right[2];
    for (int k = 0; k < 2; k++) {
        struct run_options o = options_for(task, ":memory:", specs[k]);
        struct run_progress p;
        struct err e;
        struct toy_params params;
        double expected = 0, variance = 0;
        o.policy = "toy:depth=4,seed=3,p=0.5,q=0.1,repair=0.12";
        o.reward = NULL;
        o.verify = "toy:depth=4,seed=3,p=0.5,q=0.1";
        o.select = SELECT_FIRST_VERIFIED;
        assert_true(toy_params_parse(&params, "depth=4,seed=3,p=0.5,q=0.1,repair=0.12", &e));
        struct run *r = run_open(&o, &e);
        if (!r) fail_msg("%s", e.msg);
        do assert_true(run_step(r, &p, &e));
        while (!p.finished);
        n_right[k] = 0;
        for (int i = 0; i < N; i++) {
            char text[32];
            struct toy_chain c;
            double none = 1;
            snprintf(text, sizeof text, "chain %d", i);
            toy_chain_init(&c, &params, text);
            for (int j = 0; j < LENGTH; j++, toy_chain_revise(&c, k == 0))
                none *= 1 - toy_chain_value(&c, 0, 0);
            expected += 1 - none;
            variance += none * (1 - none);
            struct rows *rows = rows_load(run_store(r), i, &e);
            for (size_t j = 0; j < rows->n_nodes; j++) n_right[k] += rows->nodes[j].verdict == 1;
            rows_free(rows);
        }
        assert_true(fabs(n_right[k] - expected) < 4 * sqrt(variance));
        assert_true(run_close(r, &e));
    }
    assert_true(n_right[0] > n_right[1] + N / 20); /* being told what is wrong pays */
    free(task);
}

/* The report's replay of the records gives every node its place. */
static bool replay_one(void *ctx, const struct store_problem *p) {
    struct store *s = ctx;
    struct err e;
    struct replay *r = replay_open(store_config(s), store_path(s), &e);
    struct rows *rows = rows_load(s, p->ordinal, &e);
    struct replay_log log;
    if (!r || !rows || !replay_problem(r, p, rows, &log, &e)) fail_msg("%s", e.msg);
    replay_log_fini(&log);
    rows_free(rows);
    replay_close(r);
    return true;
}

static void test_records_replay(void **state) {
    UNUSED(state);
    char *task = write_task(5), *store = scratch_path("replay.brood");
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
        struct run_options o = verified_options(task, store, strategies[i]);
        struct run_progress p;
        struct err e;
        unlink(store);
        free(run_whole(&o, &p));
        struct store *s = store_open(store, STORE_READ, &e);
        assert_true(store_each_problem(s, replay_one, s, &e));
        assert_true(store_close(s, &e));
    }
    free(task);
    free(store);
}

/* ---- the library's door ---- */

struct watched {
    struct brood *brood;
    int n_verdicts, n_passed, cancel_after;
};

static int watch(void *ctx, const struct brood_event *event) {
    struct watched *w = ctx;
    if (event->kind != BROOD_EVENT_VERDICT) return 0;
    w->n_verdicts++;
    w->n_passed += event->verified == 1;
    return w->cancel_after > 0 && w->n_verdicts >= w->cancel_after;
}

static void test_the_library_verifies(void **state) {
    UNUSED(state);
    struct brood_error error;
    const struct brood_options options = {.policy = "toy:depth=4,seed=3",
                                          .verify = "toy:depth=4,seed=3,slow=40"};
    struct brood *b = brood_open(&options, &error);
    assert_non_null(b);
    struct watched w = {.brood = b};
    struct brood_request q = {
        .problem = "chain 1", .strategy = "sample:n=32", .on_event = watch, .ctx = &w, .seed = 1};
    struct brood_answer *a = brood_solve(b, &q, &error);
    assert_non_null(a);
    assert_string_equal(a->select, "first-verified");
    assert_int_equal(w.n_verdicts, 32);
    assert_int_equal((int)a->n_verdicts, 32);
    int n_passed = 0, first = -1;
    for (int i = 0; i < a->n_found; i++) {
        n_passed += a->solutions[i].verified == 1;
        if (first < 0 && a->solutions[i].verified == 1) first = i;
    }
    assert_int_equal(n_passed, w.n_passed);
    assert_int_equal(a->chosen, first);
    brood_answer_free(a);
    /* Ended early: what was written is there, verified or not. */
    w = (struct watched){.brood = b, .cancel_after = 1};
    q.select = "majority";
    a = brood_solve(b, &q, &error);
    assert_non_null(a);
    assert_string_equal(a->ended, "stopped");
    assert_true(a->n_found >= 1 && a->chosen >= 0);
    brood_answer_free(a);
    brood_close(b);
}

static void expect_refused(const char *spec, const char *part) {
    struct err e = {0};
    assert_null(verifier_open(spec, NULL, &e));
    assert_int_equal(e.code, ERR_INPUT);
    if (!strstr(e.msg, part)) fail_msg("\"%s\" does not say \"%s\"", e.msg, part);
    assert_null(strchr(e.msg, '\n'));
}

static void test_specs_say_what_is_wrong(void **state) {
    UNUSED(state);
    expect_refused("", "no known kind");
    expect_refused("unheard", "no known kind");
    expect_refused("toy:depth=99", "depth");
    expect_refused("toy,seconds=3", "nothing to set");
    expect_refused("tests,seconds=-1", "seconds above 0");
    expect_refused("tests,workers=x", "whole number");
    expect_refused("tests,isolation=none", "namespaces or filtered");
    expect_refused("tests,colour=red", "it has: ");
    expect_refused("tests:nowhere.py", "entry=NAME");
    expect_refused("tests,entry=f", "name the file");
    expect_refused("tests,entry=f:/nowhere/t.py", "/nowhere/t.py");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_arrival_changes_nothing),
        cmocka_unit_test(test_killed_runs_arrive_at_the_same_records),
        cmocka_unit_test(test_equal_solutions_are_verified_once),
        cmocka_unit_test(test_the_first_verified_is_chosen_and_stops_the_search),
        cmocka_unit_test(test_grades),
        cmocka_unit_test(test_another_verifier_is_refused),
        cmocka_unit_test(test_tests_need_a_verifier),
        cmocka_unit_test(test_revisions_are_told_what_is_wrong),
        cmocka_unit_test(test_revisions_are_told_the_rewards),
        cmocka_unit_test(test_repair_succeeds_as_often_as_it_must),
        cmocka_unit_test(test_records_replay),
        cmocka_unit_test(test_the_library_verifies),
        cmocka_unit_test(test_specs_say_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
