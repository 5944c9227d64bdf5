/* test_run.c - runs over tasks: resumed after kills, in any order of arrival, inside budgets; the library's
 * door. Policies are toy chains. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "brood.h"
#include "run/run.h"
#include "run/task.h"
#include "run_toy.h"
#include "scratch.h"
#include "store/rows.h"
#include "store/store.h"

static const char *const strategies[] = {
    "greedy",
    "sample:n=8",
    "beam:n=4,width=2",
    "beam:n=6,allocation=rebase",
    "beam:n=6,allocation=particle,ess=0.9",
    "dvts:n=4,width=2",
    "dvts:n=4,width=2,lookahead=2",
    "mcts:n=6,width=3",
    "sal-beam:n=4,width=2",
    "its-pf:n=4",
    "beam:n=6,allocation=ets,softmax=0.3",
    "revise:n=8,length=3",
    "revise:n=8,length=4,versions=best",
    "ab-mcts:n=10,width=3",
    "ab-mcts:n=10,width=1,prior=beta",
    "sample:n=12,stop=certain,window=3",
    "sample:n=12,stop=beta,window=1,threshold=0.8",
    "sample:n=12,stop=window,window=3",
    "deepconf:n=12,warmup=4,width=3,keep=0.5,window=2,top=3",
    "budget-forcing:n=4,waits=2,max=3,answer=1",
    "adaptive:n=12",
    "adaptive:n=20,pilot=6",
};

static void test_order_of_arrival_changes_nothing(void **state) {
    UNUSED(state);
    char *task = write_task(12);
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
        struct run_progress p;
        struct run_options o = options_for(task, ":memory:", strategies[i]);
        char *straight = run_whole(&o, &p);
        o.policy = "toy:depth=4,seed=3,shuffle=1";
        char *scrambled = run_whole(&o, &p);
        assert_string_equal(records_of(straight), records_of(scrambled));
        free(straight);
        free(scrambled);
    }
    free(task);
}

static void test_killed_runs_arrive_at_the_same_records(void **state) {
    UNUSED(state);
    char *task = write_task(15), *store = scratch_path("killed.brood");
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
        struct run_progress p;
        struct run_options o = options_for(task, ":memory:", strategies[i]);
        char *whole = run_whole(&o, &p);
        unlink(store);
        o.store = store;
        int n_kills = 0;
        while (!run_until_killed(&o, 1 + (unsigned)rng_below(i, (uint64_t)n_kills, 12)))
            assert_true(++n_kills < 400);
        char *resumed = run_whole(&o, &p); /* finds it finished */
        assert_int_equal(p.n_done_before, 15);
        assert_string_equal(whole, resumed);
        free(whole);
        free(resumed);
    }
    free(task);
    free(store);
}

static void test_another_configuration_is_refused(void **state) {
    UNUSED(state);
    char *task = write_task(3), *store = scratch_path("config.brood");
    struct run_options o = options_for(task, store, "sample:n=4");
    struct run_progress p;
    free(run_whole(&o, &p));
    struct err e = {0};
    o.seed = 8;
    assert_null(run_open(&o, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "another seed"));
    o = options_for(task, store, "sample:n=5");
    assert_null(run_open(&o, &e));
    assert_non_null(strstr(e.msg, "another strategy"));
    free(task);
    task = write_task(4);
    o = options_for(task, store, "sample:n=4");
    assert_null(run_open(&o, &e));
    assert_non_null(strstr(e.msg, "another task"));
    free(task);
    free(store);
}

/* Two samples by votes alone; then nothing more, or four scored samples in all and the best of them. */
static const char small_plan[] =
    "{\"brood_plan\":1,\"unit\":\"samples\",\"prices\":[[1,1],[2,2]],\"pilots\":[{\"samples\":2,\"bias\":0,"
    "\"weights\":{\"agreement\":1},\"calibration\":[[0,0],[1,1]],\"edges\":[0.75]}],\"levels\":[{\"budget\":"
    "1,"
    "\"pilot\":0,\"bins\":[{\"strategy\":\"sample:n=4\",\"select\":\"best\",\"aggregate\":\"min\"},"
    "{\"strategy\":\"sample:n=2,score=0\",\"select\":\"majority\"}]}]}";

/* Every kind of strategy behind a pilot, by how much its rewards are. */
static const char plan_of_kinds[] =
    "{\"brood_plan\":1,\"unit\":\"samples\",\"prices\":[[1,1],[2,2]],\"pilots\":[{\"samples\":3,\"scored\":"
    "true,"
    "\"bias\":0,\"weights\":{\"reward_mean\":1},\"calibration\":[[0,0],[1,1]],\"edges\":[0.15,0.3,0.4,0.5,0."
    "6,0.7]}],"
    "\"levels\":[{\"budget\":1,\"pilot\":0,\"bins\":[{\"strategy\":\"revise:n=6,length=2\"},{\"strategy\":"
    "\"beam:n=6,width=2\"},{\"strategy\":\"deepconf:n=12,warmup=4,width=3,keep=0.5,window=2,top=3\"},{"
    "\"strategy\":"
    "\"ab-mcts:n=6\"},{\"strategy\":\"budget-forcing:n=4,waits=2,max=3,answer=1\"},{\"strategy\":\"dvts:n=4,"
    "width=2,"
    "lookahead=1\"},{\"strategy\":\"sample:n=8,stop=beta\"}]}]}";

static void test_plans_of_every_kind_replay(void **state) {
    UNUSED(state);
    char *task = write_task(40), *store = scratch_path("kinds.brood");
    struct run_progress p;
    struct run_options o = options_for(task, ":memory:", "adaptive");
    o.plan = plan_of_kinds;
    char *straight = run_whole(&o, &p);
    o.policy = "toy:depth=4,seed=3,shuffle=1";
    char *scrambled = run_whole(&o, &p);
    assert_string_equal(records_of(straight), records_of(scrambled));
    o.policy = "toy:depth=4,seed=3";
    o.store = store;
    int n_kills = 0;
    while (!run_until_killed(&o, 1 + (unsigned)rng_below(77, (uint64_t)n_kills, 8)))
        assert_true(++n_kills < 400);
    char *resumed = run_whole(&o, &p);
    assert_string_equal(straight, resumed);
    assert_true(n_kills > 3);
    free(straight);
    free(scrambled);
    free(resumed);
    free(task);
    free(store);
}

struct plan_seen {
    int n_nodes, n_scores;
    struct cost reward_root;
    const char *rule, *aggregate;
};

static bool count_node(void *ctx, const struct store_node *n) {
    UNUSED(n);
    ((struct plan_seen *)ctx)->n_nodes++;
    return true;
}

static bool count_score(void *ctx, const struct store_score *c) {
    UNUSED(c);
    ((struct plan_seen *)ctx)->n_scores++;
    return true;
}

static bool note_choice(void *ctx, const struct store_choice *c) {
    struct plan_seen *s = ctx;
    s->rule = strcmp(c->rule, "best") == 0       ? "best"
              : strcmp(c->rule, "majority") == 0 ? "majority"
                                                 : "another";
    s->aggregate = strcmp(c->aggregate, "min") == 0 ? "min" : "last";
    return true;
}

static bool note_root(void *ctx, const struct store_problem *p) {
    ((struct plan_seen *)ctx)[p->ordinal].reward_root = p->reward_root;
    return true;
}

static void test_a_plan_decides_strategy_and_selection(void **state) {
    UNUSED(state);
    char *task = write_task(20), *store = scratch_path("plan.brood");
    struct run_options o = options_for(task, store, "adaptive");
    struct run_progress p;
    struct err e = {0};
    int n_more = 0;
    o.plan = small_plan;
    o.select = SELECT_RULES;
    o.aggregate = AGGREGATES;
    char *whole = run_whole(&o, &p);
    assert_non_null(strstr(whole, "\"select\":\"plan\""));
    struct plan_seen seen[20] = {{0}};
    struct store *s = store_open(store, STORE_READ, &e);
    assert_true(store_each_problem(s, note_root, seen, &e));
    for (int i = 0; i < 20; i++) {
        assert_true(store_each_node(s, i, count_node, &seen[i], &e) &&
                    store_each_score(s, i, count_score, &seen[i], &e) &&
                    store_each_choice(s, i, note_choice, &seen[i], &e));
        bool more = seen[i].n_nodes == 4;
        assert_int_equal(seen[i].n_nodes, more ? 4 : 2);
        assert_int_equal(seen[i].n_scores, more ? 4 : 0);
        assert_true((seen[i].reward_root.tokens_read > 0) == more); /* what is not scored is not read */
        assert_string_equal(seen[i].rule, more ? "best" : "majority");
        assert_string_equal(seen[i].aggregate, more ? "min" : "last");
        n_more += more;
    }
    assert_true(n_more > 2 && n_more < 18);
    assert_true(store_close(s, &e));
    o.plan = NULL; /* the built-in plan is another configuration */
    assert_null(run_open(&o, &e));
    assert_non_null(strstr(e.msg, "another plan"));
    o.plan = small_plan;
    o.select = SELECT_MAJORITY; /* and so is a selection that was asked for */
    assert_null(run_open(&o, &e));
    assert_non_null(strstr(e.msg, "another select"));
    o = options_for(task, ":memory:", "sample:n=4");
    o.plan = small_plan;
    assert_null(run_open(&o, &e));
    assert_non_null(strstr(e.msg, "adaptive"));
    o = options_for(task, ":memory:", "adaptive");
    o.plan = "{}";
    assert_null(run_open(&o, &e));
    assert_int_equal(e.code, ERR_INPUT);
    free(whole);
    free(task);
    free(store);
}

static void test_a_stopped_run_keeps_what_it_has(void **state) {
    UNUSED(state);
    char *task = write_task(30), *store = scratch_path("stopped.brood");
    struct run_options o = options_for(task, ":memory:", "sample:n=8");
    struct run_progress p;
    char *whole = run_whole(&o, &p);
    o.store = store;
    struct err e = {0};
    struct run *r = run_open(&o, &e);
    for (int i = 0; i < 5; i++) assert_true(run_step(r, &p, &e));
    run_stop(r);
    assert_false(run_step(r, &p, &e));
    assert_int_equal(e.code, ERR_CANCELLED);
    assert_true(run_close(r, &e));
    char *resumed = run_whole(&o, &p);
    assert_string_equal(whole, resumed);
    free(whole);
    free(resumed);
    free(task);
    free(store);
}

static void test_few_problems_are_open_at_once(void **state) {
    UNUSED(state);
    enum { N = 150 };
    char *task = write_task(40);
    struct run_options o = options_for(task, ":memory:", "sample:n=150,score=0");
    struct run_progress p;
    struct err e = {0};
    o.reward = NULL;
    o.select = SELECT_MAJORITY;
    struct run *r = run_open(&o, &e);
    if (!r) fail_msg("%s", e.msg);
    do {
        assert_true(run_step(r, &p, &e));
        assert_true(p.n_solutions / N - p.n_done <
                    4); /* what is told belongs to problems done, or to a few */
    } while (!p.finished);
    assert_int_equal(p.n_done, 40);
    assert_true(run_close(r, &e));
    free(task);
}

static void test_failures_are_counted_and_do_not_end_the_run(void **state) {
    UNUSED(state);
    char *task = write_task(10);
    struct run_options o = options_for(task, ":memory:", "sample:n=8");
    o.policy = "toy:depth=4,seed=3,fail=0.3";
    struct run_progress p;
    char *text = run_whole(&o, &p);
    assert_true(p.n_failed > 5 && p.n_failed < 60);
    assert_non_null(strstr(text, "\"finish\":\"failed\""));
    free(text);
    free(task);
}

static void expect_task_refused(const char *text, const char *part) {
    struct err e = {0};
    char *path = scratch_write("bad.jsonl", text);
    assert_null(task_open(path, 0, &e));
    assert_int_equal(e.code, ERR_INPUT);
    if (!strstr(e.msg, part)) fail_msg("\"%s\" does not say \"%s\"", e.msg, part);
    free(path);
}

static void test_tasks_say_what_is_wrong_and_where(void **state) {
    UNUSED(state);
    expect_task_refused("", "no problems");
    expect_task_refused("{\"problem\":\"1+1\"}\n{\"id\":3}\n", "bad.jsonl:2: no prompt");
    expect_task_refused("{\"problem\":\"1+1\"}\nnonsense\n", "bad.jsonl:2");
    expect_task_refused("[1]\n", "bad.jsonl:1: a problem is a JSON object");
    expect_task_refused("{\"id\":\"x\",\"problem\":\"a\"}\n{\"id\":\"x\",\"problem\":\"b\"}\n",
                        "appears twice");
    expect_task_refused("{\"problem\":\"  \"}\n", "empty");
    expect_task_refused("{\"problem\":\"a\",\"level\":[1]}\n", "level");
}

static void test_published_layouts_are_read(void **state) {
    UNUSED(state);
    struct err e = {0};
    char *path = scratch_write(
        "layouts.jsonl",
        "{\"question\":\"How many?\",\"answer\":\"So 6*7.\\n#### 42\"}\n"
        "{\"problem\":\"x?\",\"answer\":\"\\\\frac{1}{2}\",\"level\":4,\"unique_id\":\"t/1.json\"}\n"
        "\n"
        "{\"id\":60,\"Problem\":\"AIME\",\"Answer\":204}\n"
        "{\"problem\":\"MATH\",\"level\":\"Level 3\"}\n");
    struct task *t = task_open(path, 0, &e);
    if (!t) fail_msg("%s", e.msg);
    assert_int_equal(t->n_problems, 4);
    assert_string_equal(t->problems[0].answer, "42");
    assert_string_equal(t->problems[0].id, "line 1");
    assert_string_equal(t->problems[1].id, "t/1.json");
    assert_int_equal(t->problems[1].level, 4);
    assert_string_equal(t->problems[2].answer, "204");
    assert_string_equal(t->problems[2].id, "60");
    assert_null(t->problems[3].answer);
    assert_int_equal(t->problems[3].level, 3);
    task_free(t);
    t = task_open(path, 2, &e);
    assert_int_equal(t->n_problems, 2);
    task_free(t);
    free(path);
    assert_true(task_grade(STR("0.5"), "\\frac{1}{2}", false));
    assert_false(task_grade(STR("0.51"), "\\frac{1}{2}", false));
}

/* Tasks that a verifier decides: ids, prompts, what the verifier is shown and what it is not. */
static void test_layouts_of_verified_tasks_are_read(void **state) {
    UNUSED(state);
    static const struct {
        const char *line, *id, *prompt, *verify, *shown, *hidden;
    } cases[] = {
        {"{\"task_id\":11,\"text\":\"Double.\",\"code\":\"def double(x): return "
         "2*x\",\"test_list\":[\"assert "
         "double(1) == 2\",\"assert double(2) == 4\"]}",
         "11", "Double.\nYour code should pass these tests:\n\nassert double(1) == 2\nassert double(2) == 4",
         "tests", "test_list", "return 2*x"},
        {"{\"task_id\":\"P/1\",\"prompt\":\"def "
         "f(x):\",\"entry_point\":\"f\",\"canonical_solution\":\"return x\","
         "\"base_input\":[[123456789012345678901234567890]],\"plus_input\":[[\"]\", 2]]}",
         "P/1", "def f(x):", "tests",
         "\"base_input\":[[123456789012345678901234567890]],\"plus_input\":[[\"]\", 2]]}", "secret"},
        {"{\"task_id\":\"P/1\",\"prompt\":\"def f(x):\",\"plus_input\" : "
         "[[1]],\"canonical_solution\":\"return "
         "x\",\"entry_point\":\"f\"}",
         "P/1", "def f(x):", "tests", "\"canonical_solution\":\"return x\"", "secret"},
        {"{\"name\":\"1_A. Sum\",\"description\":\"Add.\",\"public_tests\":{\"input\":[\"1 "
         "2\"],\"output\":[\"3\"]},"
         "\"solutions\":{\"language\":[3],\"solution\":[\"secret\"]}}",
         "1_A. Sum", "Add.", "tests", "public_tests", "secret"},
        {"{\"instance_id\":\"o__r-1\",\"problem_statement\":\"mean is "
         "wrong\",\"patch\":\"secret\",\"test_patch\":"
         "\"diff\",\"FAIL_TO_PASS\":\"[]\"}",
         "o__r-1", "mean is wrong", "patch,clones=FOLDER", "test_patch", "secret"},
        {"{\"name\":\"t\",\"split\":\"test\",\"header\":\"import Mathlib\\n\",\"formal_statement\":\"theorem "
         "t : 1 + 1 = "
         "2 := by sorry\",\"formal_proof\":\"secret\"}",
         "t", "import Mathlib\n\ntheorem t : 1 + 1 = 2 := by sorry", "lean:COMMAND", "formal_statement",
         "secret"},
        {"{\"theorem\":\"u\",\"name\":\"u\",\"statement\":\"theorem u : True := by sorry\"}", "u",
         "theorem u : True := by sorry", "lean:COMMAND", "statement", "secret"},
        {"{\"name\":\"not its id\",\"prompt\":\"Prove it\",\"statement\":\"True\"}", "line 1", "Prove it",
         NULL, "True", "secret"},
        {"{\"prompt\":\"1+1\",\"answer\":2,\"tests\":[]}", "line 1", "1+1", NULL, "1+1", "answer"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        char *path = scratch_write("verified.jsonl", cases[i].line);
        struct task *t = task_open(path, 0, &e);
        if (!t) fail_msg("%s", e.msg);
        const struct task_problem *p = &t->problems[0];
        assert_string_equal(p->id, cases[i].id);
        assert_string_equal(p->prompt, cases[i].prompt);
        assert_true(!p->verify == !cases[i].verify && (!p->verify || !strcmp(p->verify, cases[i].verify)));
        if (!strstr(p->line, cases[i].shown)) fail_msg("%s is not in %s", cases[i].shown, p->line);
        if (strstr(p->line, cases[i].hidden)) fail_msg("%s is in %s", cases[i].hidden, p->line);
        task_free(t);
        free(path);
    }
    expect_task_refused("{\"prompt\":7,\"statement\":\"True\"}\n", "no prompt");
}

/* ---- the library ---- */

struct watched {
    struct brood *brood;
    int n_nodes, n_scores, cancel_after;
};

static int watch(void *ctx, const struct brood_event *event) {
    struct watched *w = ctx;
    w->n_nodes += event->kind == BROOD_EVENT_NODE;
    w->n_scores += event->kind == BROOD_EVENT_SCORE;
    if (event->kind == BROOD_EVENT_NODE) assert_true(event->text[0] && event->path[0]);
    return w->cancel_after > 0 && w->n_nodes >= w->cancel_after;
}

static void test_library_solves_and_tells(void **state) {
    UNUSED(state);
    struct brood_error error;
    struct brood *b = brood_open(
        &(struct brood_options){.policy = "toy:depth=3,p=0.8", .reward = "toy:depth=3,p=0.8"}, &error);
    if (!b) fail_msg("%s", error.message);
    struct watched w = {.brood = b};
    const struct brood_request q = {
        .problem = "a chain", .strategy = "sample:n=10", .seed = 5, .on_event = watch, .ctx = &w};
    struct brood_answer *a = brood_solve(b, &q, &error);
    if (!a) fail_msg("%s", error.message);
    assert_int_equal(w.n_nodes, 10);
    assert_int_equal(w.n_scores, 10);
    assert_int_equal(a->n_solutions, 10);
    assert_non_null(a->answer);
    assert_non_null(strstr(a->solution, "\\boxed"));
    assert_string_equal(a->select, "weighted");
    assert_string_equal(a->ended, "finished");
    int n_votes = 0;
    for (int i = 0; i < a->n_classes; i++) n_votes += a->classes[i].n_votes;
    assert_int_equal(n_votes, 10);
    assert_true(a->tokens_generated == 30);
    struct brood_answer *again = brood_solve(b, &q, &error);
    assert_string_equal(a->solution, again->solution);
    brood_answer_free(a);
    brood_answer_free(again);
    struct brood_request planned = {
        .problem = "a chain", .strategy = "adaptive", .plan = small_plan, .seed = 5};
    for (planned.seed = 0; planned.seed < 8; planned.seed++) {
        a = brood_solve(b, &planned, &error);
        if (!a) fail_msg("%s", error.message);
        assert_int_equal(a->n_found, strcmp(a->select, "best") == 0 ? 4 : 2);
        brood_answer_free(a);
    }
    planned.select = "weighted"; /* what is asked for holds */
    a = brood_solve(b, &planned, &error);
    assert_string_equal(a->select, "weighted");
    brood_answer_free(a);
    brood_close(b);
}

static void test_library_cancels_with_what_it_has(void **state) {
    UNUSED(state);
    struct brood_error error;
    struct brood *b = brood_open(&(struct brood_options){.policy = "toy:depth=3"}, &error);
    struct watched w = {.brood = b, .cancel_after = 3};
    struct brood_answer *a = brood_solve(
        b,
        &(struct brood_request){.problem = "x", .strategy = "sample:n=50000", .on_event = watch, .ctx = &w},
        &error);
    assert_non_null(a);
    assert_string_equal(a->ended, "stopped");
    assert_true(a->n_solutions >= 3 && a->n_solutions < 50000);
    brood_answer_free(a);
    brood_cancel(b);
    assert_null(brood_solve(b, &(struct brood_request){.problem = "x"}, &error));
    assert_int_equal(error.status, 130);
    brood_close(b);
}

static void expect_solve_refused(struct brood *b, struct brood_request q, const char *part) {
    struct brood_error error;
    assert_null(brood_solve(b, &q, &error));
    assert_int_equal(error.status, 2);
    if (!strstr(error.message, part)) fail_msg("\"%s\" does not say \"%s\"", error.message, part);
}

static void test_library_refuses_in_one_line(void **state) {
    UNUSED(state);
    struct brood_error error;
    assert_null(brood_open(&(struct brood_options){.policy = "/no/such/folder"}, &error));
    assert_int_equal(error.status, 2);
    assert_non_null(strstr(error.message, "/no/such/folder"));
    struct brood *b = brood_open(&(struct brood_options){.policy = "toy:"}, &error);
    expect_solve_refused(b, (struct brood_request){.problem = " \n"}, "empty");
    expect_solve_refused(b, (struct brood_request){0}, "empty");
    expect_solve_refused(b, (struct brood_request){.problem = "x", .strategy = "simple"}, "sample");
    expect_solve_refused(b, (struct brood_request){.problem = "x", .strategy = "sample:m=3"}, "m");
    expect_solve_refused(b, (struct brood_request){.problem = "x", .select = "weighted"}, "reward model");
    expect_solve_refused(b, (struct brood_request){.problem = "x", .select = "first-verified"}, "verified");
    expect_solve_refused(b, (struct brood_request){.problem = "x", .strategy = "beam"}, "reward model");
    brood_close(b);
}

static void test_library_budgets(void **state) {
    UNUSED(state);
    struct brood_error error;
    struct brood *b = brood_open(&(struct brood_options){.policy = "toy:depth=4"}, &error);
    struct brood_answer *a = brood_solve(
        b, &(struct brood_request){.problem = "x", .strategy = "sample:n=100", .budget_tokens = 50}, &error);
    assert_non_null(a);
    assert_true(a->tokens_generated == 48); /* the last two tokens make no stub */
    assert_int_equal(a->n_solutions, 12);
    assert_string_equal(a->ended, "budget");
    brood_answer_free(a);
    a = brood_solve(
        b, &(struct brood_request){.problem = "x", .strategy = "sample:n=100", .budget_samples = 7}, &error);
    assert_int_equal(a->n_solutions, 7);
    brood_answer_free(a);
    brood_close(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_arrival_changes_nothing),
        cmocka_unit_test(test_killed_runs_arrive_at_the_same_records),
        cmocka_unit_test(test_another_configuration_is_refused),
        cmocka_unit_test(test_plans_of_every_kind_replay),
        cmocka_unit_test(test_a_plan_decides_strategy_and_selection),
        cmocka_unit_test(test_a_stopped_run_keeps_what_it_has),
        cmocka_unit_test(test_few_problems_are_open_at_once),
        cmocka_unit_test(test_failures_are_counted_and_do_not_end_the_run),
        cmocka_unit_test(test_tasks_say_what_is_wrong_and_where),
        cmocka_unit_test(test_published_layouts_are_read),
        cmocka_unit_test(test_layouts_of_verified_tasks_are_read),
        cmocka_unit_test(test_library_solves_and_tells),
        cmocka_unit_test(test_library_cancels_with_what_it_has),
        cmocka_unit_test(test_library_refuses_in_one_line),
        cmocka_unit_test(test_library_budgets),
    };
    return cmocka_run_group_tests_name("run", tests, scratch_make, scratch_remove);
}
