/* test_run_replay.c - a recorded search told again: what it dropped is what the live one dropped, in one
 * order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "run/coordinator.h"
#include "run/replay.h"
#include "run/run.h"

static const char *const strategies[] = {
    "greedy",
    "sample:n=8",
    "sample:n=12,stop=certain,window=3",
    "beam:n=6,width=3",
    "beam:n=6,width=3,distinct=2",
    "beam:n=6,allocation=rebase",
    "beam:n=6,allocation=particle,ess=0.9",
    "beam:n=4,width=2,lookahead=2",
    "dvts:n=4,width=2",
    "mcts:n=8,width=3",
    "sal-beam:n=4,width=2",
    "its-pf:n=4",
    "beam:n=6,allocation=ets",
    "revise:n=6,length=2",
    "revise:n=6,length=3,versions=best",
    "ab-mcts:n=8",
    "deepconf:n=12,warmup=4,keep=0.3",
    "budget-forcing:n=4",
    "adaptive:n=16",
    "adaptive:n=16",
};
enum { N_PROBLEMS = 6, SEED = 7, TOKENS_MAX = 60 };

/* ---- a live run that keeps what it was told, and what was dropped ---- */

struct live {
    struct store *store;
    struct map *dropped; /* "ordinal path" of each DROP */
    struct map *ended;   /* "ordinal path" of each solution */
    int n_drops;
    struct buf strategy; /* as a run records it */
};

static void note(struct map *m, int ordinal, const char *path) {
    struct buf key = {0};
    buf_printf(&key, "%d %s", ordinal, path);
    map_put(m, buf_str(&key), 1);
    buf_free(&key);
}

static bool noted(const struct map *m, int ordinal, struct str path) {
    struct buf key = {0};
    uint32_t ignored;
    buf_printf(&key, "%d %.*s", ordinal, (int)path.len, path.ptr);
    const bool there = map_get(m, buf_str(&key), &ignored);
    buf_free(&key);
    return there;
}

static bool on_event(void *ctx, const struct run_event *event, struct err *e) {
    struct live *l = ctx;
    switch (event->what) {
    case RUN_NODE:
        return store_put_node(l->store, event->node, e);
    case RUN_SCORE:
    case RUN_SCORE_COST:
        return store_put_score(l->store, event->score, e);
    case RUN_VERDICT:
        return store_put_verdict(l->store, event->verdict, e);
    case RUN_DROP:
        note(l->dropped, event->ordinal, event->path);
        l->n_drops++;
        return true;
    case RUN_ENDED:
        for (size_t i = 0; i < event->solutions->n; i++)
            note(l->ended, event->ordinal, event->solutions->items[i].path);
    }
    return true;
}

static void run_live(struct live *l, const char *strategy, const char *policy_spec,
                     const struct budget *budget) {
    struct err e;
    struct search_spec spec;
    char ids[N_PROBLEMS][16];
    *l = (struct live){.dropped = map_new(64), .ended = map_new(64)};
    l->store = store_open(":memory:", STORE_WRITE, &e);
    struct policy *policy = policy_open(policy_spec, &(struct policy_options){0}, &e);
    struct reward *reward = reward_open("toy:depth=4,seed=3,noise=0.1", &(struct reward_options){0}, &e);
    assert_true(l->store && policy && reward && search_spec_parse(&spec, strategy, &e));
    run_fill_spec(&spec, policy_info(policy), AGGREGATE_LAST);
    search_spec_print(&spec, &l->strategy);
    struct coordinator *c = coordinator_new(policy, reward, NULL, on_event, l);
    for (int i = 0; i < N_PROBLEMS; i++) {
        snprintf(ids[i], sizeof ids[i], "p%d", i);
        const struct coordinator_problem p = {.ordinal = i,
                                              .id = ids[i],
                                              .text = "chain",
                                              .key = rng_child_named(SEED, ids[i]),
                                              .spec = &spec,
                                              .budget = *budget,
                                              .n_tokens_max = TOKENS_MAX};
        if (!coordinator_add(c, &p, &e)) fail_msg("%s", e.msg);
    }
    int n_active = 1;
    while (n_active > 0)
        if (!coordinator_step(c, &n_active, &e)) fail_msg("%s", e.msg);
    coordinator_free(c);
    reward_close(reward);
    policy_close(policy);
    assert_true(store_flush(l->store, &e));
}

static void end_live(struct live *l) {
    struct err e;
    assert_true(store_close(l->store, &e));
    map_free(l->dropped);
    map_free(l->ended);
    buf_free(&l->strategy);
}

static struct replay *replay_for(const char *strategy) {
    struct err e;
    char config[400];
    snprintf(config, sizeof config,
             "{\"strategy\":\"%s\",\"seed\":\"%016x\",\"tokens_max\":%d,\"reward\":{}}", strategy, SEED,
             TOKENS_MAX);
    struct replay *r = replay_open(config, "test", &e);
    if (!r) fail_msg("%s", e.msg);
    return r;
}

/* ---- checks ---- */

static bool dropped_live(const struct live *l, int ordinal, const char *path) {
    const size_t len = strlen(path);
    for (size_t n = 1; n <= len; n++)
        if ((n == len || path[n] == '.') && noted(l->dropped, ordinal, (struct str){path, n})) return true;
    return false;
}

static void check_order(const struct rows *rows, const struct replay_log *log) {
    bool *seen = mem_zalloc((size_t)log->n_events + 1, sizeof *seen);
    for (size_t i = 0; i < rows->n_nodes; i++) {
        const char *dot = strrchr(rows->nodes[i].path, '.');
        char *up = str_dup((struct str){rows->nodes[i].path, dot ? (size_t)(dot - rows->nodes[i].path) : 0});
        const struct rows_node *parent = rows_find(rows, up);
        assert_true(log->written[i] > 0 && !seen[log->written[i]]);
        seen[log->written[i]] = true;
        if (parent) assert_true(log->written[parent - rows->nodes] < log->written[i]);
        if (log->scored[i]) assert_true(log->scored[i] > log->written[i] && !seen[log->scored[i]]);
        if (log->scored[i]) seen[log->scored[i]] = true;
        if (log->dropped[i]) assert_true(log->dropped[i] > log->written[i]);
        if (parent && log->dropped[parent - rows->nodes]) assert_true(log->dropped[i] > 0);
        free(up);
    }
    free(seen);
}

static int check_problem(const struct live *l, struct replay *r, int ordinal) {
    struct err e;
    struct replay_log log;
    char id[16];
    int n_dropped = 0;
    snprintf(id, sizeof id, "p%d", ordinal);
    struct rows *rows = rows_load(l->store, ordinal, &e);
    const struct store_problem p = {.ordinal = ordinal, .id = id, .text = "chain"};
    if (!replay_problem(r, &p, rows, &log, &e)) fail_msg("%s", e.msg);
    assert_int_equal(log.n_nodes, rows->n_nodes);
    check_order(rows, &log);
    for (size_t i = 0; i < rows->n_nodes; i++) {
        const struct rows_node *n = &rows->nodes[i];
        assert_int_equal(log.dropped[i] > 0, dropped_live(l, ordinal, n->path));
        assert_int_equal(log.scored[i] > 0, n->scored);
        if (noted(l->ended, ordinal, str_from(n->path))) assert_int_equal(log.dropped[i], 0);
        n_dropped += log.dropped[i] > 0;
    }
    replay_log_fini(&log);
    rows_free(rows);
    return n_dropped;
}

static void drops_are_those_of_the_live_search(void **state) {
    UNUSED(state);
    static const struct budget budgets[] = {{0}, {.tokens = 120}, {.samples = 3}};
    int n_dropped = 0;
    for (size_t s = 0; s < ARRAY_LEN(strategies); s++) {
        for (size_t b = 0; b < ARRAY_LEN(budgets); b++) {
            for (int shuffle = 0; shuffle < 2; shuffle++) {
                struct live l;
                run_live(&l, strategies[s], shuffle ? "toy:depth=4,seed=3,shuffle=1" : "toy:depth=4,seed=3",
                         &budgets[b]);
                struct replay *r = replay_for(buf_cstr(&l.strategy));
                for (int i = 0; i < N_PROBLEMS; i++) n_dropped += check_problem(&l, r, i);
                replay_close(r);
                end_live(&l);
            }
        }
    }
    assert_true(n_dropped > 500);
}

static void arrival_does_not_change_the_order(void **state) {
    UNUSED(state);
    for (size_t s = 0; s < ARRAY_LEN(strategies); s++) {
        struct live l[2];
        struct err e;
        run_live(&l[0], strategies[s], "toy:depth=4,seed=3", &(struct budget){0});
        run_live(&l[1], strategies[s], "toy:depth=4,seed=3,shuffle=1", &(struct budget){0});
        struct replay *r = replay_for(buf_cstr(&l[0].strategy));
        for (int i = 0; i < N_PROBLEMS; i++) {
            struct replay_log logs[2];
            struct rows *rows[2];
            char id[16];
            snprintf(id, sizeof id, "p%d", i);
            const struct store_problem p = {.ordinal = i, .id = id, .text = "chain"};
            for (int j = 0; j < 2; j++) {
                rows[j] = rows_load(l[j].store, i, &e);
                assert_true(replay_problem(r, &p, rows[j], &logs[j], &e));
            }
            /* Results that arrived for dropped nodes may differ: whatever both have is in the same order. */
            int last[2] = {0, 0};
            assert_int_equal(rows[0]->n_solutions, rows[1]->n_solutions);
            for (size_t k = 0; k < rows[0]->n_nodes; k++) {
                const struct rows_node *same = rows_find(rows[1], rows[0]->nodes[k].path);
                if (same)
                    assert_int_equal(logs[0].dropped[k] > 0, logs[1].dropped[same - rows[1]->nodes] > 0);
            }
            if (rows[0]->n_nodes == rows[1]->n_nodes) {
                assert_memory_equal(logs[0].written, logs[1].written, rows[0]->n_nodes * sizeof(int));
                assert_memory_equal(logs[0].dropped, logs[1].dropped, rows[0]->n_nodes * sizeof(int));
                assert_memory_equal(logs[0].scored, logs[1].scored, rows[0]->n_nodes * sizeof(int));
                last[0] = logs[0].n_events;
                last[1] = logs[1].n_events;
            }
            assert_int_equal(last[0], last[1]);
            for (int j = 0; j < 2; j++) {
                replay_log_fini(&logs[j]);
                rows_free(rows[j]);
            }
        }
        replay_close(r);
        end_live(&l[0]);
        end_live(&l[1]);
    }
}

static void foreign_records_are_refused(void **state) {
    UNUSED(state);
    struct live l;
    struct err e;
    struct replay_log log;
    run_live(&l, "beam:n=6,width=3", "toy:depth=4,seed=3", &(struct budget){0});
    struct replay *other = replay_for("sample:n=2,temperature=1,top_p=1,min_p=0,top_k=0");
    struct rows *rows = rows_load(l.store, 0, &e);
    const struct store_problem p = {.ordinal = 0, .id = "p0", .text = "chain"};
    assert_false(replay_problem(other, &p, rows, &log, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "p0"));
    rows_free(rows);
    replay_close(other);
    end_live(&l);
    assert_null(replay_open("{\"strategy\":\"beam\",\"seed\":\"0\"}", "test", &e));
    assert_null(replay_open("{\"strategy\":\"no such\",\"seed\":\"0\",\"tokens_max\":9}", "test", &e));
    assert_null(replay_open("[", "test", &e));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drops_are_those_of_the_live_search),
        cmocka_unit_test(arrival_does_not_change_the_order),
        cmocka_unit_test(foreign_records_are_refused),
    };
    return cmocka_run_group_tests_name("run_replay", tests, NULL, NULL);
}
