/* test_budget.c - budgets hold in every unit with every strategy, replay in any order of arrival, and end a
 * search with what it has; prices. Policies are toy chains. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/rng.h"
#include "brood.h"
#include "run/budget.h"
#include "run/shares.h"
#include "run_toy.h"
#include "scratch.h"

/* ---- the ledger ---- */

static void test_ledger_grants_do_not_depend_on_order(void **state) {
    UNUSED(state);
    for (uint64_t seed = 0; seed < 200; seed++) {
        const struct budget b = {.tokens = 40};
        const struct ledger_worst worst = {.a_token = {{[BUDGET_TOKENS] = 1}}};
        int granted[2][16];
        for (int order = 0; order < 2; order++) {
            struct ledger l;
            ledger_init(&l, &b);
            size_t entry[16];
            int n = 0, n_settled = 0, cost[16];
            bool settled[16] = {0};
            while (n < 16) {
                const int got = ledger_grant(&l, 12, &worst, &entry[n]);
                if (got == BUDGET_SPENT) break;
                if (got > 0) {
                    granted[order][n] = got;
                    cost[n] = 1 + (int)rng_below(seed, (uint64_t)n, (uint64_t)got);
                    n++;
                    continue;
                }
                /* settle one: the oldest, or the newest */
                int i = order ? n - 1 : 0;
                while (settled[i]) i += order ? -1 : 1;
                settled[i] = true;
                n_settled++;
                ledger_settle(&l, entry[i], &(struct spending){{[BUDGET_TOKENS] = cost[i]}});
            }
            double sum = 0;
            for (int i = 0; i < n; i++) sum += cost[i];
            assert_true(sum <= 40);
            granted[order][n < 16 ? n : 15] = n < 16 ? -1 : granted[order][15];
            assert_true(n_settled <= n);
            ledger_fini(&l);
        }
        for (int i = 0; i < 16; i++) {
            assert_int_equal(granted[0][i], granted[1][i]);
            if (granted[0][i] < 0) break;
        }
    }
}

/* A job has a part that does not depend on its length, in another unit than the one that runs out. */
static void test_ledger_counts_in_every_unit(void **state) {
    UNUSED(state);
    const struct budget b = {.samples = 3, .usd = 100e-12};
    const struct ledger_worst worst = {.once = {{[BUDGET_SAMPLES] = 1, [BUDGET_USD] = 10}},
                                       .a_token = {{[BUDGET_TOKENS] = 1, [BUDGET_USD] = 2}}};
    struct ledger l;
    size_t a, z;
    ledger_init(&l, &b);
    ledger_charge(&l, &(struct spending){{[BUDGET_USD] = 4}});
    assert_int_equal(ledger_grant(&l, 10, &worst, &a), 10); /* 30 of 96 */
    assert_int_equal(ledger_grant(&l, 25, &worst, &z), 25); /* 60 of 66 */
    size_t none;
    assert_int_equal(ledger_grant(&l, 1, &worst, &none), BUDGET_WAIT);
    ledger_settle(&l, z, &(struct spending){{[BUDGET_SAMPLES] = 1, [BUDGET_TOKENS] = 5, [BUDGET_USD] = 20}});
    /* Worst case 50 of 96 by now: a small job fits, a large one waits for the first to be settled. */
    assert_int_equal(ledger_grant(&l, 30, &worst, &none), BUDGET_WAIT);
    ledger_settle(&l, a, &(struct spending){{[BUDGET_TOKENS] = 10, [BUDGET_USD] = 30}});
    assert_int_equal(ledger_grant(&l, 30, &worst, &a), 18); /* 46 are left: once 10, and 18 tokens */
    ledger_settle(&l, a, &(struct spending){{[BUDGET_SAMPLES] = 1, [BUDGET_TOKENS] = 1, [BUDGET_USD] = 12}});
    assert_int_equal(ledger_grant(&l, 11, &worst, &a), 11);
    ledger_settle(&l, a, &(struct spending){{[BUDGET_SAMPLES] = 1, [BUDGET_TOKENS] = 1}});
    assert_int_equal(ledger_grant(&l, 1, &worst, &a), BUDGET_SPENT);
    assert_int_equal(l.ran_out, BUDGET_SAMPLES);
    ledger_fini(&l);
}

/* ---- prices ---- */

static void expect_prices_refused(const char *text, const char *part) {
    struct prices p;
    struct err e = {0};
    if (prices_parse(&p, text, &e)) fail_msg("\"%s\" is taken", text);
    assert_int_equal(e.code, ERR_INPUT);
    if (!strstr(e.msg, part)) fail_msg("\"%s\" does not say \"%s\"", e.msg, part);
}

static void test_prices_by_models(void **state) {
    UNUSED(state);
    struct prices p;
    struct err e;
    char *path = scratch_write("table.json", "{\"small\": {\"input\": 0.1, \"output\": 0.4},\n"
                                             " \"prm\": {\"input\": 0.2, \"output\": 9}, \"free\": {}}");
    assert_true(prices_parse_for(&p, path, "small", "prm", &e));
    assert_true(p.policy_input == 0.1 && p.policy_output == 0.4 && p.reward_input == 0.2);
    assert_true(prices_parse_for(&p, path, "small", NULL, &e) && p.reward_input == 0);
    assert_true(prices_parse_for(&p, path, "free", "prm", &e) && p.policy_output == 0);
    assert_false(prices_parse_for(&p, path, "large", NULL, &e));
    assert_non_null(strstr(e.msg, "large"));
    assert_false(prices_parse_for(&p, path, "small", "other", &e));
    assert_true(prices_parse_for(&p, "policy_input=2", "whatever", NULL, &e) && p.policy_input == 2);
    free(path);
    path = scratch_write("table.json", "{\"small\": {\"inputs\": 0.1}}");
    assert_false(prices_parse_for(&p, path, "small", NULL, &e));
    free(path);
    path = scratch_write("table.json", "{\"policy\": {\"input\": 3}}"); /* the layout of a single run */
    assert_true(prices_parse_for(&p, path, "small", "prm", &e) && p.policy_input == 3);
    free(path);
}

static void test_prices_are_read_and_checked(void **state) {
    UNUSED(state);
    struct prices p;
    struct err e = {0};
    assert_true(prices_parse(&p, "policy_output=0.6,policy_input=0.15", &e));
    assert_true(p.policy_input == 0.15 && p.policy_output == 0.6 && p.reward_input == 0);
    char *path = scratch_write("prices.json", "{\"policy\": {\"input\": 2.5, \"output\": 10},\n"
                                              " \"reward\": {\"input\": 0.000001}}\n");
    assert_true(prices_parse(&p, path, &e));
    assert_true(p.policy_input == 2.5 && p.policy_output == 10 && p.reward_input == 1e-6);
    /* By hand: 1000 read and 200 generated at 2.5 and 10 dollars a million, 1200 read at 0.000001. */
    const struct cost policy = {.tokens_read = 1000, .tokens_generated = 200}, reward = {.tokens_read = 1200};
    assert_true(prices_of(&p, &policy, &reward) == 2500e6 + 2000e6 + 1200);
    assert_true(fabs(prices_dollars(4500001200) - 0.0045000012) < 1e-18);
    free(path);
    expect_prices_refused("policy_input=-1", "from 0");
    expect_prices_refused("policy_input=1e9", "from 0");
    expect_prices_refused("policy_input=nan", "from 0");
    expect_prices_refused("policy_input=0.1234567", "six decimals");
    expect_prices_refused("policy_input=x", "not a number");
    expect_prices_refused("policy_input=0", "no price above 0");
    expect_prices_refused("reward_output=1", "policy_output=");
    expect_prices_refused("policy_input", "No such file");
    static const char *const files[][2] = {{"[1]", "JSON object"},
                                           {"{\"policy\": 1}", "no object"},
                                           {"{\"policy\": {\"input\": \"1\"}}", "not a price"},
                                           {"{\"policy\": {\"cost\": 1}}", "nothing is called"},
                                           {"{\"reward\": {\"output\": 1}}", "nothing is called"},
                                           {"{}", "no price above 0"},
                                           {"{\"policy\"", "prices.json"}};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        path = scratch_write("prices.json", files[i][0]);
        expect_prices_refused(path, files[i][1]);
        free(path);
    }
}

/* ---- whole runs ---- */

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
    "revise:n=8,length=3,versions=best",
    "ab-mcts:n=8,width=3",
    "sample:n=12,stop=certain,window=3",
    "sample:n=12,stop=beta,window=1,threshold=0.8",
    "sample:n=12,stop=window,window=3",
};

static const struct prices toy_prices = {.policy_input = 3, .policy_output = 7, .reward_input = 2};

struct spent {
    struct cost policy, reward;
    double n_samples;
};

static bool add_node_cost(void *ctx, const struct store_node *n) {
    struct spent *s = ctx;
    cost_add(&s->policy, &n->cost);
    s->n_samples += n->finish == STORE_END || n->finish == STORE_LENGTH;
    return true;
}

static bool add_score_cost(void *ctx, const struct store_score *c) {
    cost_add(&((struct spent *)ctx)->reward, &c->cost);
    return true;
}

static bool add_root_cost(void *ctx, const struct store_problem *p) {
    struct spent *s = ctx;
    cost_add(&s[p->ordinal].policy, &p->policy_root);
    cost_add(&s[p->ordinal].reward, &p->reward_root);
    return true;
}

enum { BUDGET_PROBLEMS = 6, PROBLEMS_MAX = 40 };

/* What a run has spent on each problem, by its records. */
static void spent_of(struct run *r, struct spending *out, int n) {
    struct err e;
    struct spent s[PROBLEMS_MAX] = {0};
    assert_true(store_each_problem(run_store(r), add_root_cost, s, &e));
    for (int i = 0; i < n; i++) {
        assert_true(store_each_node(run_store(r), i, add_node_cost, &s[i], &e));
        assert_true(store_each_score(run_store(r), i, add_score_cost, &s[i], &e));
        out[i] = spending_of(&toy_prices, &s[i].policy, &s[i].reward);
        out[i].of[BUDGET_SAMPLES] = s[i].n_samples;
    }
}

static void set_limit(struct budget *b, enum budget_unit u, double limit) {
    double *const fields[] = {&b->samples, &b->tokens, &b->flops, &b->usd};
    *fields[u] = u == BUDGET_USD ? limit * 1e-12 : limit;
}

/* Parameters that change how a search goes, and the example of every one that there is. */
static size_t list_strategies(const char *out[64]) {
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) out[n++] = strategies[i];
    for (size_t i = 0; search_strategies[i]; i++) {
        assert_true(n < 64);
        out[n++] = search_strategies[i]->example;
    }
    return n;
}

static void test_budgets_hold_and_replay(void **state) {
    UNUSED(state);
    char *task = write_task(BUDGET_PROBLEMS);
    const char *all[64];
    const size_t n_all = list_strategies(all);
    for (size_t i = 0; i < 5 * n_all; i++) {
        const enum budget_unit u = (enum budget_unit)(i % BUDGET_UNITS);
        static const double scale[BUDGET_UNITS] = {0.5, 1, 3, 12e6};
        const double limit = ceil((1 + (double)rng_below(11, i, 60)) * scale[u]);
        struct run_options o = options_for(task, ":memory:", all[i % n_all]);
        o.prices = toy_prices;
        set_limit(&o.budget, u, limit);
        struct err e = {0};
        struct run *r = run_open(&o, &e);
        if (!r) fail_msg("%s", e.msg);
        struct run_progress p;
        do assert_true(run_step(r, &p, &e));
        while (!p.finished);
        struct spending s[BUDGET_PROBLEMS];
        spent_of(r, s, BUDGET_PROBLEMS);
        for (int j = 0; j < BUDGET_PROBLEMS; j++) {
            if (s[j].of[u] > limit)
                fail_msg("%s: %g of %g %s", all[i % n_all], s[j].of[u], limit, budget_unit_name(u));
        }
        char *straight = export_run(run_store(r));
        assert_true(run_close(r, &e));
        o.policy = "toy:depth=4,seed=3,shuffle=1";
        char *scrambled = run_whole(&o, &p);
        assert_string_equal(records_of(straight), records_of(scrambled));
        free(straight);
        free(scrambled);
    }
    free(task);
}

/* ---- the budget of a run ---- */

/* Problems end in any order within the window and cost whatever they like below their limits. */
static void test_shares_hold_in_any_order(void **state) {
    UNUSED(state);
    for (uint64_t seed = 0; seed < 300; seed++) {
        const int n = 1 + (int)rng_below(seed, 1, 120);
        const struct budget all = {.tokens = 1 + (double)rng_below(seed, 2, 5000), .usd = 1e-9};
        const struct budget each = {.tokens = seed % 3 ? 40 : 0};
        double limits[2][120], sum[2] = {0};
        for (int order = 0; order < 2; order++) {
            struct shares s;
            shares_init(&s, &all, &each, n);
            bool under_way[120] = {0};
            int n_begun = 0, n_ended = 0;
            while (n_ended < n) {
                struct budget b;
                if (n_begun < n && shares_take(&s, n_begun, &b)) {
                    limits[order][n_begun] = b.tokens;
                    under_way[n_begun++] = true;
                    assert_true(n_begun - n_ended <= s.n_window + 1 || order == 1);
                    continue;
                }
                int i = order ? n_begun - 1 : 0; /* the newest or the oldest ends */
                while (!under_way[i]) i += order ? -1 : 1;
                under_way[i] = false;
                n_ended++;
                const double cost = floor(rng_unit(seed + 99, (uint64_t)i) * (limits[order][i] + 0.99));
                assert_true(cost <= limits[order][i] && (each.tokens <= 0 || cost <= 40));
                sum[order] += cost;
                shares_end(&s, i, &(struct spending){{[BUDGET_TOKENS] = cost}});
            }
            assert_true(sum[order] <= all.tokens);
            shares_fini(&s);
        }
        assert_memory_equal(limits[0], limits[1], (size_t)n * sizeof(double));
    }
}

/* What early problems leave is spent by later ones: near all of the budget is used where each would use more.
 */
static void test_shares_pass_on_what_is_left(void **state) {
    UNUSED(state);
    struct shares s;
    const struct budget all = {.tokens = 10000}, none = {0};
    double sum = 0;
    shares_init(&s, &all, &none, 400);
    for (int i = 0; i < 400; i++) {
        struct budget b;
        assert_true(shares_take(&s, i, &b));
        const double cost = i < 200 ? 5 : b.tokens; /* easy ones, then hard ones */
        sum += cost;
        shares_end(&s, i, &(struct spending){{[BUDGET_TOKENS] = cost}});
    }
    assert_true(sum > 9900 && sum <= 10000);
    shares_fini(&s);
}

static void test_run_budgets_hold_replay_and_resume(void **state) {
    UNUSED(state);
    char *task = write_task(40), *store = scratch_path("shared.brood");
    static const char *const some[] = {"sample:n=8", "beam:n=4,width=2", "mcts:n=6,width=3",
                                       "sample:n=12,stop=beta,window=1,threshold=0.8"};
    static const double limits[BUDGET_UNITS] = {150, 400, 1200, 4000e6};
    int n_kills_all = 0;
    for (int i = 0; i < 2 * BUDGET_UNITS; i++) {
        const enum budget_unit u = (enum budget_unit)(i % BUDGET_UNITS);
        struct run_options o = options_for(task, ":memory:", some[i % (int)ARRAY_LEN(some)]);
        struct run_progress p;
        struct err e = {0};
        o.prices = toy_prices;
        if (i >= BUDGET_UNITS) o.budget.tokens = 29;
        set_limit(&o.run_budget, u, limits[u]);
        char *whole = run_whole(&o, &p);
        if (i < BUDGET_UNITS) assert_true(p.n_cut_short > 0);
        o.policy = "toy:depth=4,seed=3,shuffle=1";
        char *scrambled = run_whole(&o, &p);
        assert_string_equal(records_of(whole), records_of(scrambled));
        o.policy = "toy:depth=4,seed=3";
        unlink(store);
        o.store = store;
        int n_kills = 0;
        while (!run_until_killed(&o, 1 + (unsigned)rng_below(5, (uint64_t)n_kills, 5)))
            assert_true(++n_kills < 400);
        n_kills_all += n_kills;
        char *resumed = run_whole(&o, &p);
        assert_string_equal(whole, resumed);
        struct run *r = run_open(&o, &e);
        struct spending sum = {0}, s[40];
        spent_of(r, s, 40);
        for (int j = 0; j < 40; j++) spending_add(&sum, &s[j]);
        assert_true(sum.of[u] <= limits[u]);
        if (i < BUDGET_UNITS) assert_true(sum.of[u] > 0.5 * limits[u]);
        assert_true(run_close(r, &e));
        free(whole);
        free(scrambled);
        free(resumed);
    }
    if (n_kills_all <= 20) fail_msg("%d kills", n_kills_all);
    free(task);
    free(store);
}

/* Time that is over before the run begins: nothing is begun, and what was done stays done. */
static void test_run_seconds_end_a_run(void **state) {
    UNUSED(state);
    char *task = write_task(20), *store = scratch_path("seconds.brood");
    struct run_options o = options_for(task, store, "sample:n=4");
    struct run_progress p;
    struct err e = {0};
    unlink(store);
    o.run_budget.seconds = 1e-9;
    for (int session = 0; session < 2; session++) {
        struct run *r = run_open(&o, &e);
        if (!r) fail_msg("%s", e.msg);
        assert_true(run_step(r, &p, &e));
        assert_true(p.finished && p.out_of_time && p.n_done == 0);
        assert_true(run_close(r, &e));
    }
    o.run_budget.seconds = 2e-9;
    assert_null(run_open(&o, &e));
    assert_non_null(strstr(e.msg, "another run_budget"));
    unlink(store);
    o.run_budget.seconds = 1e6;
    free(run_whole(&o, &p));
    assert_true(!p.out_of_time && p.n_done == 20);
    free(task);
    free(store);
}

/* ---- however a search ends, it has its best answer so far, and says why it ended ---- */

struct watched {
    struct map *ended, *dropped; /* paths */
    int n_nodes, n_ended, cancel_after;
};

static int watch(void *ctx, const struct brood_event *event) {
    struct watched *w = ctx;
    w->n_nodes += event->kind == BROOD_EVENT_NODE;
    if (event->kind == BROOD_EVENT_NODE && event->ended) {
        map_put(w->ended, str_from(event->path), 1);
        w->n_ended++;
    }
    if (event->kind == BROOD_EVENT_DROP) map_put(w->dropped, str_from(event->path), 1);
    return w->cancel_after > 0 && w->n_nodes >= w->cancel_after;
}

static bool is_dropped(const struct watched *w, const char *path) {
    uint32_t ignored;
    for (size_t n = 1; n <= strlen(path); n++) {
        if ((path[n] == '.' || !path[n]) && map_get(w->dropped, (struct str){path, n}, &ignored)) return true;
    }
    return false;
}

/* The answer is what its rule makes of the solutions that were told and not given up. */
static void check_answer(const struct brood_answer *a, const struct watched *w, const char *why) {
    uint32_t ignored;
    int n_complete = 0, best = -1;
    assert_string_equal(a->ended, why);
    for (int i = 0; i < a->n_found; i++) {
        const struct brood_solution *x = &a->solutions[i];
        if (!x->complete) continue;
        n_complete++;
        assert_true(map_get(w->ended, str_from(x->path), &ignored) && !is_dropped(w, x->path));
        if (x->answer && (best < 0 || x->score > a->solutions[best].score)) best = i;
    }
    assert_true(n_complete <= w->n_ended);
    assert_true(best < 0 || a->chosen >= 0);
    if (best >= 0) assert_true(a->solutions[a->chosen].score == a->solutions[best].score);
    if (best >= 0) assert_string_equal(a->answer, a->solutions[a->chosen].answer);
}

static void solve_and_end(struct brood *b, struct brood_request *q, int cancel_after, const char *why,
                          int *n_with_answer) {
    struct brood_error error;
    struct watched w = {.ended = map_new(64), .dropped = map_new(64), .cancel_after = cancel_after};
    q->problem = "a chain";
    q->select = "best";
    q->on_event = watch;
    q->ctx = &w;
    struct brood_answer *a = brood_solve(b, q, &error);
    if (a) {
        /* With little in the way a search may end by itself before. */
        check_answer(a, &w, strcmp(a->ended, "finished") == 0 ? "finished" : why);
        if (strcmp(a->ended, "budget") == 0) assert_non_null(a->ran_out);
        if (strcmp(a->ended, "budget") != 0) assert_null(a->ran_out);
        *n_with_answer += strcmp(a->ended, "finished") != 0 && a->answer;
    } else {
        assert_int_equal(error.status, 130);
        assert_string_equal(why, "stopped");
        assert_int_equal(w.n_ended, 0);
    }
    brood_answer_free(a);
    map_free(w.ended);
    map_free(w.dropped);
}

static void test_every_strategy_can_be_ended_at_any_time(void **state) {
    UNUSED(state);
    struct brood_error error;
    const char *all[64];
    const size_t n_all = list_strategies(all);
    struct brood *b = brood_open(
        &(struct brood_options){.policy = "toy:depth=4,seed=3", .reward = "toy:depth=4,seed=3,noise=0.1"},
        &error);
    assert_non_null(b);
    int n_stopped = 0, n_spent = 0, n_late = 0;
    for (size_t i = 0; i < n_all; i++) {
        for (int k = 1; k <= 40; k += 3) {
            struct brood_request q = {.strategy = all[i], .seed = (uint64_t)k};
            solve_and_end(b, &q, k, "stopped", &n_stopped);
            q = (struct brood_request){.strategy = all[i], .seed = (uint64_t)k, .budget_tokens = k};
            solve_and_end(b, &q, 0, "budget", &n_spent);
            q = (struct brood_request){.strategy = all[i], .budget_flops = 2.5 * k};
            solve_and_end(b, &q, 0, "budget", &n_spent);
            q = (struct brood_request){
                .strategy = all[i], .budget_usd = k * 12e-6, .usd_policy_output = 7, .usd_reward_input = 2};
            solve_and_end(b, &q, 0, "budget", &n_spent);
            q = (struct brood_request){.strategy = all[i], .budget_samples = k};
            solve_and_end(b, &q, 0, "budget", &n_spent);
        }
        struct brood_request q = {.strategy = all[i], .budget_seconds = 1e-9};
        solve_and_end(b, &q, 0, "deadline", &n_late);
    }
    brood_close(b);
    assert_true(n_stopped > 20 && n_spent > 100 && n_late > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ledger_grants_do_not_depend_on_order),
        cmocka_unit_test(test_ledger_counts_in_every_unit),
        cmocka_unit_test(test_prices_by_models),
        cmocka_unit_test(test_prices_are_read_and_checked),
        cmocka_unit_test(test_budgets_hold_and_replay),
        cmocka_unit_test(test_shares_hold_in_any_order),
        cmocka_unit_test(test_shares_pass_on_what_is_left),
        cmocka_unit_test(test_run_budgets_hold_replay_and_resume),
        cmocka_unit_test(test_run_seconds_end_a_run),
        cmocka_unit_test(test_every_strategy_can_be_ended_at_any_time),
    };
    return cmocka_run_group_tests_name("budget", tests, scratch_make, scratch_remove);
}
