/* test_eval_plan.c - plans fitted to runs whose truth is known; what is played with recorded solutions is
 * what the strategy adaptive does; tables beside all possible ones. Looks into the room's parts
 * (plan_parts.h): what a plan promises must be what is kept. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/plan.h"
#include "eval/plan_parts.h"
#include "run/run.h"
#include "scratch.h"
#include "store/store.h"

static void near(double a, double b, double tolerance) {
    if (!(fabs(a - b) <= tolerance)) fail_msg("%.9g is not %.9g (within %g)", a, b, tolerance);
}

/* ---- a calibration set whose truth is known ---- */

enum { PROBLEMS = 240, SAMPLES = 64 };

static struct store *begin(const char *name, const char *strategy, const char *policy) {
    struct err e;
    struct buf config = {0};
    buf_printf(&config,
               "{\"task\":{\"name\":\"t\",\"hash\":\"h\"},\"policy\":{\"name\":\"p\",\"identity\":\"%s\"},"
               "\"reward\":{\"name\":\"r\",\"identity\":\"q\"},\"strategy\":\"%s\",\"select\":\"weighted\","
               "\"aggregate\":\"last\",\"seed\":\"0\"}",
               policy, strategy);
    char *path = scratch_path(name);
    struct store *s = store_open(path, STORE_WRITE, &e);
    assert_non_null(s);
    assert_true(store_set_config(s, buf_cstr(&config), &e));
    buf_free(&config);
    free(path);
    return s;
}

static void put(struct store *s, int problem, int i, bool right, float reward, int n_tokens) {
    struct err e;
    char path[16], text[40], answer[16];
    snprintf(path, sizeof path, "%d", i);
    snprintf(answer, sizeof answer, "%d", right ? 7 : 100 + i % 5);
    snprintf(text, sizeof text, "way %d to %s", i, answer);
    const struct store_node node = {.problem = problem,
                                    .path = path,
                                    .text = str_from(text),
                                    .n_tokens = n_tokens,
                                    .logprob = -n_tokens,
                                    .finish = STORE_END,
                                    .verdict = -1,
                                    .cost = {.tokens_generated = n_tokens, .flops = 10 * n_tokens}};
    const struct store_score score = {problem, path, &reward, 1, {.flops = 100 * n_tokens}};
    const struct store_solution v = {
        .problem = problem, .path = path, .answer = answer, .complete = true, .right = right};
    assert_true(store_put_node(s, &node, &e) && store_put_score(s, &score, &e) &&
                store_put_solution(s, &v, &e));
}

static void put_problem(struct store *s, int i) {
    struct err e;
    char id[16];
    snprintf(id, sizeof id, "p%d", i);
    const struct store_problem p = {.ordinal = i, .id = id, .text = "?", .answer = "7", .level = 1};
    assert_true(store_put_problem(s, &p, &e));
}

static void end_problem(struct store *s, int i) {
    struct err e;
    const struct cost policy = {.tokens_read = 5, .flops = 50}, reward = {.tokens_read = 5, .flops = 500};
    assert_true(store_put_root_costs(s, i, &policy, &reward, &e) && store_put_done(s, i, &e));
}

static double unit(int problem, int i, int what) {
    return rng_unit(rng_child(rng_child(99, (uint64_t)problem), (uint64_t)what), (uint64_t)i);
}

/* Two problems of three are easy: a sample is right with 0.8. The others are hard: no sample is, and samples
 * are longer. Rewards say nothing. A beam of 4 is right on all hard problems and on half of the easy ones. */
static bool is_easy(int problem) {
    return problem % 3 > 0;
}

static void make_samples(const char *name, const char *policy) {
    struct err e;
    struct store *s = begin(name, "sample:n=64,temperature=0.6,top_p=1,min_p=0,top_k=0", policy);
    for (int p = 0; p < PROBLEMS; p++) {
        put_problem(s, p);
        for (int i = 0; i < SAMPLES; i++) {
            const bool right = is_easy(p) && unit(p, i, 1) < 0.8;
            put(s, p, i, right, 0.5f, is_easy(p) ? 10 : 20);
        }
        end_problem(s, p);
    }
    assert_true(store_close(s, &e));
}

static void make_beam(const char *name, const char *policy) {
    struct err e;
    struct store *s = begin(name, "beam:n=4,width=2,temperature=0.6,top_p=1,min_p=0,top_k=0", policy);
    for (int p = 0; p < PROBLEMS; p++) {
        put_problem(s, p);
        for (int i = 0; i < 8; i++) put(s, p, i, is_easy(p) ? p % 2 : true, 0.99f, 10);
        end_problem(s, p);
    }
    assert_true(store_close(s, &e));
}

static struct plan_result *fitted(const char *const *paths, int n, const struct plan_options *o) {
    struct err e = {0};
    struct plan_result *r = plan_fit(paths, n, o, &e);
    if (!r) fail_msg("%s", e.msg);
    return r;
}

static const struct plan_line *line_of(const struct plan_result *r, const char *name) {
    for (int i = 0; i < r->n_lines; i++)
        if (strcmp(r->lines[i].name, name) == 0) return &r->lines[i];
    fail_msg("no line %s", name);
    return NULL;
}

static void a_plan_sends_hard_problems_to_the_beam(void **state) {
    UNUSED(state);
    make_samples("s.brood", "p");
    make_beam("b.brood", "p");
    char samples[160], beam[160];
    snprintf(samples, sizeof samples, "%s/s.brood", scratch);
    snprintf(beam, sizeof beam, "%s/b.brood", scratch);
    const char *const paths[] = {samples, beam};
    const struct plan_options o = {.by = PLAN_TOKENS, .absolute = true, .sizes = {4}, .n_sizes = 1};
    struct plan_result *r = fitted(paths, 2, &o);
    assert_int_equal(r->n_problems, PROBLEMS);
    assert_int_equal(r->plan->n_pilots, 1);
    assert_true(r->plan->pilots[0].scored);
    assert_non_null(strstr(r->plan->sampling, "temperature=0.6"));
    const struct plan_level *last = &r->plan->levels[r->plan->n_levels - 1];
    assert_int_equal(last->n_cells, 3); /* below 0.1, below 0.5, above */
    assert_string_equal(last->cells[0].strategy, "beam:n=4,width=2,depth=40,distinct=1");
    assert_int_equal(strncmp(last->cells[2].strategy, "sample:", 7), 0);
    /* Whoever knows the truth gets nearly everything right; no single strategy does. */
    const struct plan_line *plan = line_of(r, "plan"), *one = line_of(r, "one strategy");
    const struct plan_line *known = line_of(r, "plan, difficulty known");
    const int end = plan->n - 1;
    assert_true(plan->points[end].accuracy.mean > 0.97 && known->points[end].accuracy.mean > 0.97);
    assert_true(one->points[end].accuracy.mean < 0.75);
    assert_true(line_of(r, "majority")->n > 5 &&
                line_of(r, "beam:width=2,depth=40,distinct=1, weighted")->n == 1);
    near(line_of(r, "beam:width=2,depth=40,distinct=1, weighted")->points[0].tokens, 80, 1e-9);
    for (int i = 0; i < plan->n; i++) assert_true(plan->points[i].tokens <= 1.1 * plan->points[i].budget);
    /* What n samples cost: 13 1/3 tokens each. */
    near(plan_spend(r->plan, 1), 40.0 / 3, 1e-6);
    near(plan_spend(r->plan, 48), 48 * 40.0 / 3, 1e-3);
    assert_true(r->reliability[0].ece < 0.03 &&
                r->reliability[0].brier < 1.1 * r->reliability[0].brier_known);
    plan_result_free(r);
}

static void budgets_in_flop_count_the_reward_model(void **state) {
    UNUSED(state);
    char samples[160];
    snprintf(samples, sizeof samples, "%s/s.brood", scratch);
    const char *const paths[] = {samples};
    const struct plan_options o = {.by = PLAN_FLOPS, .sizes = {4, 8}, .n_sizes = 2};
    struct plan_result *r = fitted(paths, 1, &o);
    const struct plan_line *majority = line_of(r, "majority"), *weighted = line_of(r, "weighted");
    near(majority->points[0].flops, 50 + 400.0 / 3, 1e-3);
    near(weighted->points[0].flops, 50 + 500 + 4400.0 / 3, 1e-2);
    assert_true(r->plan->unit == PLAN_FLOPS);
    near(plan_spend(r->plan, 1), weighted->points[0].flops, 1e-2);
    for (int i = 0; i < r->plan->n_levels; i++) { /* rewards that say nothing are not paid for */
        const struct plan_level *l = &r->plan->levels[i];
        for (int b = 0; b < l->n_cells; b++) assert_non_null(strstr(l->cells[b].strategy, "score=0"));
        assert_true(l->pilot < 0 || !r->plan->pilots[l->pilot].scored);
    }
    /* A search would begin with any of it. */
    struct search_spec spec;
    struct err e;
    assert_true(search_spec_parse(&spec, "adaptive:aggregate=last", &e));
    assert_true(plan_recommend(r->text, "fitted", &spec, &e));
    const struct search_context c = {.has_reward = true, .plan = r->text, .n_tokens_answer_max = 100};
    for (double n = 1; n < 1000; n *= 2) {
        assert_true(search_spec_set(&spec, "n", n, &e));
        if (!search_check(&spec, &c, &e)) fail_msg("%s", e.msg);
    }
    struct plan_reliability checked[PLAN_PILOTS_MAX];
    assert_true(plan_check(r->plan, samples, checked, &e));
    assert_int_equal(checked[0].n_problems, PROBLEMS);
    assert_true(checked[0].brier < checked[0].brier_constant);
    plan_result_free(r);
}

static void runs_that_do_not_belong_together_are_refused(void **state) {
    UNUSED(state);
    make_beam("other.brood", "another");
    char samples[160], beam[160], other[160];
    snprintf(samples, sizeof samples, "%s/s.brood", scratch);
    snprintf(beam, sizeof beam, "%s/b.brood", scratch);
    snprintf(other, sizeof other, "%s/other.brood", scratch);
    struct err e = {0};
    const struct plan_options o = {.by = PLAN_TOKENS};
    assert_null(plan_fit((const char *const[]){samples, other}, 2, &o, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "policy"));
    assert_null(plan_fit((const char *const[]){beam}, 1, &o, &e));
    assert_non_null(strstr(e.msg, "independent samples"));
    assert_null(plan_fit((const char *const[]){"/no/such/run.brood"}, 1, &o, &e));
    assert_int_equal(e.code, ERR_INPUT);
}

/* ---- playing is what adaptive does ---- */

static void write_task(const char *path, int n) {
    FILE *f = fopen(path, "w");
    for (int i = 0; i < n; i++)
        fprintf(f, "{\"id\":\"p%d\",\"problem\":\"chain %d\",\"answer\":%d}\n", i, i, i % 3);
    fclose(f);
}

static struct run_options toy_options(const char *task, const char *store, const char *strategy,
                                      const char *plan) {
    struct err e;
    struct run_options o = {.task = task,
                            .policy = "toy:depth=4,seed=3",
                            .reward = "toy:depth=4,seed=3,noise=0.2",
                            .store = store,
                            .plan = plan,
                            .select = SELECT_RULES,
                            .aggregate = AGGREGATES,
                            .seed = 7};
    if (!search_spec_parse(&o.spec, strategy, &e)) fail_msg("%s", e.msg);
    return o;
}

static void run_whole(const struct run_options *o) {
    struct err e = {0};
    struct run_progress p;
    struct run *r = run_open(o, &e);
    if (!r) fail_msg("%s", e.msg);
    do {
        if (!run_step(r, &p, &e)) fail_msg("%s", e.msg);
    } while (!p.finished);
    assert_true(run_close(r, &e));
}

static bool see_node(void *ctx, const struct store_node *n) {
    struct plan_outcome *o = ctx;
    o->tokens += (float)n->cost.tokens_generated;
    o->flops += (float)n->cost.flops;
    return true;
}

static bool see_score(void *ctx, const struct store_score *c) {
    ((struct plan_outcome *)ctx)->flops += (float)c->cost.flops;
    return true;
}

static bool see_choice(void *ctx, const struct store_choice *c) {
    ((struct plan_outcome *)ctx)->right = c->right > 0;
    return true;
}

static bool see_problem(void *ctx, const struct store_problem *p) {
    ((struct plan_outcome *)ctx)[p->ordinal].flops += (float)(p->policy_root.flops + p->reward_root.flops);
    return true;
}

enum { PLAYED = 30 };

struct play_case {
    struct plan_candidate candidate;
    const char *cell;
    int n_pilot;
    bool scored;
};

static const struct play_case play_cases[] = {
    {{.n = 12, .select = SELECT_MAJORITY}, "sample:n=12,score=0\",\"select\":\"majority", 4, false},
    {{.n = 12, .select = SELECT_MAJORITY}, "sample:n=12,score=0\",\"select\":\"majority", 4, true},
    {{.n = 12, .select = SELECT_WEIGHTED, .scored = true}, "sample:n=12\",\"select\":\"weighted", 4, false},
    {{.n = 12, .select = SELECT_BEST, .scored = true}, "sample:n=12\",\"select\":\"best", 4, true},
    {{.n = 2, .select = SELECT_WEIGHTED, .scored = true}, "sample:n=5\",\"select\":\"weighted", 5, false},
    {{.n = 16, .select = SELECT_MAJORITY, .stop_window = 4},
     "sample:n=16,stop=beta,window=4,score=0\",\"select\":\"majority",
     4,
     false},
    {{.n = 16, .select = SELECT_WEIGHTED, .stop_window = 4, .scored = true},
     "sample:n=16,stop=beta,window=4\",\"select\":\"weighted",
     8,
     false},
    {{.n = 16, .select = SELECT_WEIGHTED, .stop_window = 4, .scored = true},
     "sample:n=16,stop=beta,window=4\",\"select\":\"weighted",
     3,
     true},
};

/* What a run of `adaptive` by a plan that names the case's strategy for all problems came to. */
static void run_adaptive(const char *task, const struct play_case *c, struct plan_outcome *real) {
    char plan[600], store[160];
    struct err e = {0};
    snprintf(store, sizeof store, "%s/toy-adaptive.brood", scratch);
    snprintf(plan, sizeof plan,
             "{\"brood_plan\":1,\"unit\":\"samples\",\"prices\":[[1,1],[2,2]],\"pilots\":[{\"samples\":%d,"
             "\"scored\":%s,"
             "\"bias\":0,\"weights\":{},\"calibration\":[[0,0.5]]}],\"levels\":[{\"budget\":1,\"pilot\":0,"
             "\"bins\":[{"
             "\"strategy\":\"%s\"}]}]}",
             c->n_pilot, c->scored ? "true" : "false", c->cell);
    unlink(store);
    const struct run_options o = toy_options(task, store, "adaptive", plan);
    run_whole(&o);
    struct store *s = store_open(store, STORE_READ, &e);
    assert_true(store_each_problem(s, see_problem, real, &e));
    for (int p = 0; p < PLAYED; p++)
        assert_true(store_each_node(s, p, see_node, &real[p], &e) &&
                    store_each_score(s, p, see_score, &real[p], &e) &&
                    store_each_choice(s, p, see_choice, &real[p], &e));
    assert_true(store_close(s, &e));
}

static void what_is_played_is_what_adaptive_does(void **state) {
    UNUSED(state);
    char task[160], samples[160];
    struct err e = {0};
    struct plan_data d;
    int order[16], n_right = 0;
    snprintf(task, sizeof task, "%s/toy.jsonl", scratch);
    snprintf(samples, sizeof samples, "%s/toy-samples.brood", scratch);
    write_task(task, PLAYED);
    const struct run_options o = toy_options(task, samples, "sample:n=16", NULL);
    run_whole(&o);
    if (!plan_data_load(&d, (const char *const[]){samples}, 1, &e)) fail_msg("%s", e.msg);
    assert_int_equal(d.n_problems, PLAYED);
    for (int i = 0; i < 16; i++) order[i] = i;
    for (size_t i = 0; i < ARRAY_LEN(play_cases); i++) {
        const struct play_case *c = &play_cases[i];
        struct plan_outcome real[PLAYED] = {{0}};
        run_adaptive(task, c, real);
        for (int p = 0; p < PLAYED; p++) {
            const struct plan_outcome x = plan_play(&d, &c->candidate, p, order, c->n_pilot, c->scored),
                                      *y = &real[p];
            if (x.right != y->right || x.tokens != y->tokens || x.flops != y->flops)
                fail_msg("case %zu, problem %d: played %g right, %g tokens, %g FLOP; adaptive %g, %g, %g", i,
                         p, (double)x.right, (double)x.tokens, (double)x.flops, (double)y->right,
                         (double)y->tokens, (double)y->flops);
            n_right += x.right > 0;
        }
    }
    assert_true(n_right > 20 && n_right < (int)ARRAY_LEN(play_cases) * PLAYED - 20);
    plan_data_fini(&d);
}

/* ---- rates ---- */

static void regression_finds_what_made_the_rates(void **state) {
    UNUSED(state);
    enum { N = 3000 };
    struct plan_rows rows = {.features = mem_zalloc(N, sizeof *rows.features),
                             .rates = mem_zalloc(N, sizeof *rows.rates),
                             .problems = mem_zalloc(N, sizeof *rows.problems),
                             .n = N};
    bool use[N];
    for (int i = 0; i < N; i++) {
        for (int f = 0; f < PLAN_FEATURES; f++) rows.features[i][f] = unit(i, f, 3);
        rows.rates[i] =
            1 / (1 + exp(1 - 3 * rows.features[i][PLAN_AGREEMENT] + 2 * rows.features[i][PLAN_LENGTH]));
        rows.problems[i] = i;
        use[i] = i % 2 == 0;
    }
    struct plan_pilot p = {.n = 4, .scored = true};
    plan_fit_rate(&rows, use, false, &p);
    near(p.weights[PLAN_AGREEMENT], 3, 0.1);
    near(p.weights[PLAN_LENGTH], -2, 0.1);
    near(p.weights[PLAN_REWARD_MEAN], 0, 0.05);
    near(p.bias, -1, 0.1);
    assert_int_equal(p.n_bins, 5);
    double error = 0;
    int n_bin[5] = {0};
    for (int i = 1; i < N; i += 2) { /* those it has not seen */
        const double rate = plan_predict(&p, rows.features[i]);
        error += fabs(rate - rows.rates[i]) / (N / 2);
        n_bin[plan_bin(&p, rate)]++;
    }
    assert_true(error < 0.01);
    for (int b = 0; b < 5; b++) assert_true(n_bin[b] > N / 2 / 5 * 0.85 && n_bin[b] < N / 2 / 5 * 1.15);
    p = (struct plan_pilot){.n = 4};
    plan_fit_rate(&rows, use, true, &p);
    assert_true(p.weights[PLAN_REWARD_MEAN] == 0 && p.n_bins == 3 && p.edges[0] == 0.1 && p.edges[1] == 0.5);
    free(rows.features);
    free(rows.rates);
    free(rows.problems);
}

static void calibration_rises_whatever_it_is_given(void **state) {
    UNUSED(state);
    for (int seed = 0; seed < 50; seed++) {
        const int n = 1 + seed * 3;
        struct plan_rows rows = {.features = mem_zalloc((size_t)n, sizeof *rows.features),
                                 .rates = mem_zalloc((size_t)n, sizeof *rows.rates),
                                 .problems = mem_zalloc((size_t)n, sizeof *rows.problems),
                                 .n = n};
        bool use[200];
        for (int i = 0; i < n; i++) {
            for (int f = 0; f < PLAN_FEATURES; f++) rows.features[i][f] = seed % 3 ? unit(i, f, seed) : 1;
            rows.rates[i] = floor(unit(i, 0, 1000 + seed) * 3) / 2; /* noise */
            rows.problems[i] = i;
            use[i] = true;
        }
        struct plan_pilot p = {.n = 4, .scored = true};
        plan_fit_rate(&rows, use, false, &p);
        assert_true(p.n_knots >= 1 && p.n_bins >= 1 && isfinite(p.bias));
        for (int i = 1; i < p.n_knots; i++)
            assert_true(p.knots[i].score > p.knots[i - 1].score && p.knots[i].rate > p.knots[i - 1].rate);
        for (int i = 0; i + 2 < p.n_bins; i++) assert_true(p.edges[i] < p.edges[i + 1]);
        free(rows.features);
        free(rows.rates);
        free(rows.problems);
    }
}

static void reliability_is_as_counted_by_hand(void **state) {
    UNUSED(state);
    const double predicted[] = {0.2, 0.8, 0.4, 0.6}, real[] = {0, 1, 0.5, 0.5};
    struct plan_reliability r;
    plan_measure(predicted, real, 4, &r);
    assert_int_equal(r.n_rows, 4);
    near(r.rows[1].predicted, 0.4, 1e-12);
    near(r.rows[1].real, 0.5, 1e-12);
    near(r.ece, (0.2 + 0.2 + 0.1 + 0.1) / 4, 1e-12);
    near(r.brier, (0.04 + 0.04 + 0.5 * (0.36 + 0.16) + 0.5 * (0.16 + 0.36)) / 4, 1e-12);
    near(r.brier_constant, 0.25, 1e-12);
    near(r.brier_known, 0.125, 1e-12);
}

/* ---- tables ---- */

enum { TABLE_BINS = 3, TABLE_CANDIDATES = 5, TABLE_ROWS = 24 * PLAN_DRAWS };

/* Outcomes that are the same for all problems of a bin: nothing is chance, nothing shrinks. */
static void fill_table(struct plan_outcome *outcomes, int *bins, int seed) {
    for (int i = 0; i < TABLE_ROWS; i++) bins[i] = i / PLAN_DRAWS % TABLE_BINS;
    for (int c = 0; c < TABLE_CANDIDATES; c++)
        for (int i = 0; i < TABLE_ROWS; i++)
            outcomes[c * TABLE_ROWS + i] =
                (struct plan_outcome){.right = (float)unit(bins[i], c, seed),
                                      .tokens = (float)(1 + 20 * unit(bins[i], c, seed + 5000))};
}

static void tables_are_the_best_that_budgets_allow(void **state) {
    UNUSED(state);
    static struct plan_outcome outcomes[TABLE_CANDIDATES * TABLE_ROWS];
    static int bins[TABLE_ROWS];
    bool use[TABLE_ROWS];
    for (int i = 0; i < TABLE_ROWS; i++) use[i] = true;
    int n_found = 0, n_optimal = 0;
    for (int seed = 0; seed < 200; seed++) {
        fill_table(outcomes, bins, seed);
        const struct plan_table t = {outcomes, TABLE_CANDIDATES, TABLE_ROWS, false};
        double last = -1;
        for (double budget = 1; budget < 25; budget *= 1.3) {
            struct plan_choice each, together;
            double best_each = -1, best_together = -1, dearest_step = 0;
            for (int code = 0; code < 125; code++) { /* all tables */
                const int cells[TABLE_BINS] = {code % 5, code / 5 % 5, code / 25};
                double right = 0, cost = 0, most = 0;
                for (int b = 0; b < TABLE_BINS; b++) {
                    const struct plan_outcome *o = &outcomes[cells[b] * TABLE_ROWS + b * PLAN_DRAWS];
                    right += (double)o->right / TABLE_BINS;
                    cost += (double)o->tokens / TABLE_BINS;
                    most = fmax(most, (double)o->tokens);
                    dearest_step = fmax(dearest_step, (double)o->tokens / TABLE_BINS);
                }
                if (most <= budget) best_each = fmax(best_each, right);
                if (cost <= budget) best_together = fmax(best_together, right);
            }
            const bool found = plan_choose(&t, use, bins, TABLE_BINS, budget, true, &each);
            assert_int_equal(found, best_each >= 0);
            if (found) near(each.right, best_each, 1e-6);
            const bool fits = plan_choose(&t, use, bins, TABLE_BINS, budget, false, &together);
            assert_int_equal(fits, best_together >= 0);
            if (!fits) continue;
            assert_true(together.cost <= budget * (1 + 1e-6) && together.right <= best_together + 1e-6);
            assert_true(together.right >= last - 1e-9); /* more budget is never worse */
            last = together.right;
            n_found++;
            n_optimal += together.right > best_together - 1e-6;
            /* Relaxed by one step of the dearest kind the hulls reach the optimum. */
            struct plan_choice more;
            assert_true(plan_choose(&t, use, bins, TABLE_BINS, budget + dearest_step, false, &more));
            assert_true(more.right >= best_together - 1e-6);
        }
    }
    assert_true(n_found > 1000 && n_optimal > n_found * 0.7);
}

/* A candidate that was lucky on a few problems of one bin and is worse overall is not taken for it. */
static void luck_in_one_bin_is_not_believed(void **state) {
    UNUSED(state);
    enum { BINS = 5, PER_BIN = 6, ROWS = BINS * PER_BIN * PLAN_DRAWS };
    static struct plan_outcome outcomes[2 * ROWS];
    static int bins[ROWS];
    bool use[ROWS];
    for (int i = 0; i < ROWS; i++) {
        const int problem = i / PLAN_DRAWS, b = problem / PER_BIN, within = problem % PER_BIN;
        bins[i] = b;
        use[i] = true;
        outcomes[i] = (struct plan_outcome){.right = within < 3, .tokens = 1};
        /* The other: one more in the first bin, fewer elsewhere. Which ones differ changes: chance. */
        const int n_other = b == 0 ? 4 : 2;
        outcomes[ROWS + i] = (struct plan_outcome){.right = (within + b) % PER_BIN < n_other, .tokens = 1};
    }
    struct plan_choice c;
    const struct plan_table t = {outcomes, 2, ROWS, false};
    assert_true(plan_choose(&t, use, bins, BINS, 2, true, &c));
    for (int b = 0; b < BINS; b++) assert_int_equal(c.cells[b], 0);
    /* The same in every bin of many problems is no luck. */
    for (int i = 0; i < ROWS; i++)
        outcomes[ROWS + i].right = outcomes[i].right > 0 ? 1 : (float)(bins[i] == 0);
    assert_true(plan_choose(&t, use, bins, BINS, 2, true, &c));
    assert_int_equal(c.cells[0], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_sends_hard_problems_to_the_beam),
        cmocka_unit_test(budgets_in_flop_count_the_reward_model),
        cmocka_unit_test(runs_that_do_not_belong_together_are_refused),
        cmocka_unit_test(what_is_played_is_what_adaptive_does),
        cmocka_unit_test(regression_finds_what_made_the_rates),
        cmocka_unit_test(calibration_rises_whatever_it_is_given),
        cmocka_unit_test(reliability_is_as_counted_by_hand),
        cmocka_unit_test(tables_are_the_best_that_budgets_allow),
        cmocka_unit_test(luck_in_one_bin_is_not_believed),
    };
    return cmocka_run_group_tests_name("eval_plan", tests, scratch_make, scratch_remove);
}
