/* test_search_adaptive.c - plans as text, what they predict, and the strategy that acts on them: a plan that
 * names one strategy is that strategy, node for node. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <math.h>
#include <stdio.h>

#include "search/plan.h"
#include "search_script.h"

#define WEIGHTS   "\"weights\":{\"agreement\":1},\"calibration\":[[0,0],[1,1]]"
#define HEAD      "{\"brood_plan\":1,\"unit\":\"samples\",\"prices\":[[1,1],[2,2]],"
#define ONE_LEVEL "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"sample:n=4\"}]}]}"

/* ---- the text ---- */

static void refused(const char *text, const char *part) {
    struct err e = {0};
    struct plan *p = plan_parse(text, "p.json", &e);
    assert_null(p);
    assert_int_equal(e.code, ERR_INPUT);
    if (!strstr(e.msg, part) || !strstr(e.msg, "p.json")) fail_msg("\"%s\" does not say \"%s\"", e.msg, part);
}

static void plans_say_what_is_wrong(void **state) {
    UNUSED(state);
    refused("", "JSON");
    refused("[]", "object");
    refused("{}", "brood_plan");
    refused("{\"brood_plan\":2}", "brood_plan");
    refused(HEAD "\"levels\":[]}", "levels");
    refused("{\"brood_plan\":1,\"prices\":[[1,1],[2,2]]," ONE_LEVEL, "unit");
    refused("{\"brood_plan\":1,\"unit\":\"miles\",\"prices\":[[1,1],[2,2]]," ONE_LEVEL,
            "samples, tokens, flops");
    refused("{\"brood_plan\":1,\"unit\":\"tokens\",\"prices\":[[1,2],[2,2]]," ONE_LEVEL, "prices");
    refused(HEAD "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"simple\"}]}]}", "simple");
    refused(HEAD "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"sample:m=3\"}]}]}", "m");
    refused(HEAD "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"adaptive\"}]}]}", "adaptive");
    refused(HEAD "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"greedy\",\"share\":1}]}]}", "no n");
    refused(HEAD "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"sample\",\"select\":\"worst\"}]}]}",
            "majority, best, weighted");
    refused(HEAD "\"levels\":[{\"budget\":1,\"bins\":[]}]}", "1 \"bins\", not 0");
    refused(HEAD "\"levels\":[{\"budget\":1,\"pilot\":0,\"bins\":[{\"strategy\":\"sample\"}]}]}", "pilot");
    refused(HEAD "\"levels\":[{\"budget\":2,\"bins\":[{\"strategy\":\"sample\"}]},"
                 "{\"budget\":2,\"bins\":[{\"strategy\":\"sample\"}]}]}",
            "rise");
    refused(HEAD "\"pilots\":[{\"samples\":0,\"bias\":0," WEIGHTS "}]," ONE_LEVEL, "samples");
    refused(
        HEAD
        "\"pilots\":[{\"samples\":4,\"bias\":0,\"weights\":{\"luck\":1},\"calibration\":[[0,0]]}]," ONE_LEVEL,
        "luck");
    refused(HEAD "\"pilots\":[{\"samples\":4,\"bias\":0,\"weights\":{\"reward_mean\":1},\"calibration\":[[0,"
                 "0]]}]," ONE_LEVEL,
            "scored");
    refused(HEAD "\"pilots\":[{\"samples\":4,\"bias\":0,\"weights\":{},\"calibration\":[]}]," ONE_LEVEL,
            "calibration");
    refused(HEAD
            "\"pilots\":[{\"samples\":4,\"bias\":0,\"weights\":{},\"calibration\":[[0,1],[1,0]]}]," ONE_LEVEL,
            "fall");
    refused(HEAD
            "\"pilots\":[{\"samples\":4,\"bias\":0,\"weights\":{},\"calibration\":[[1,0],[1,1]]}]," ONE_LEVEL,
            "rising");
    refused(HEAD "\"pilots\":[{\"samples\":4,\"bias\":0," WEIGHTS ",\"edges\":[0.5,0.5]}]," ONE_LEVEL,
            "rising");
    refused(HEAD "\"pilots\":[{\"samples\":4,\"bias\":0," WEIGHTS ",\"edges\":\"a\"}]," ONE_LEVEL, "edges");
}

static struct plan *parsed(const char *text) {
    struct err e;
    struct plan *p = plan_parse(text, "test", &e);
    if (!p) fail_msg("%s", e.msg);
    return p;
}

static void built_in_plans_are_plans(void **state) {
    UNUSED(state);
    for (int has_reward = 0; has_reward < 2; has_reward++) {
        struct plan *p = parsed(plan_default(has_reward));
        assert_int_equal(p->unit, PLAN_SAMPLES);
        assert_int_equal(p->n_levels, 2);
        assert_int_equal(p->n_pilots, has_reward);
        plan_free(p);
    }
}

static void levels_are_looked_up_by_budget(void **state) {
    UNUSED(state);
    struct plan *p =
        parsed("{\"brood_plan\":1,\"unit\":\"flops\",\"prices\":[[1,100.1],[2,100.2]],\"levels\":["
               "{\"budget\":100.1,\"bins\":[{\"strategy\":\"greedy\"}]},"
               "{\"budget\":100.3,\"bins\":[{\"strategy\":\"sample:n=3\",\"select\":\"best\"}]},"
               "{\"budget\":200,\"bins\":[{\"strategy\":\"sample:n=4\",\"aggregate\":\"prod\"}]}]}");
    assert_true(plan_spend(p, 3) > 100.29 && plan_spend(p, 3) < 100.31);
    assert_ptr_equal(plan_level_for(p, 5), &p->levels[0]);
    assert_ptr_equal(plan_level_for(p, plan_spend(p, 2)), &p->levels[0]);
    assert_ptr_equal(plan_level_for(p, plan_spend(p, 3)),
                     &p->levels[1]); /* 100 + 3 * 0.1 is not quite 100.3 */
    assert_ptr_equal(plan_level_for(p, 199.9), &p->levels[1]);
    assert_ptr_equal(plan_level_for(p, 1e300), &p->levels[2]);
    assert_string_equal(p->levels[1].cells[0].select, "best");
    assert_int_equal(p->levels[1].cells[0].aggregate, AGGREGATES);
    assert_int_equal(p->levels[2].cells[0].aggregate, AGGREGATE_PROD);
    plan_free(p);
}

static void what_a_plan_was_fitted_with_is_recommended(void **state) {
    UNUSED(state);
    struct search_spec spec;
    struct err e;
    assert_true(search_spec_parse(&spec, "adaptive:top_p=0.5", &e));
    assert_true(plan_recommend(HEAD "\"sampling\":\"temperature=0.3,top_p=1,aggregate=prod\"," ONE_LEVEL, "p",
                               &spec, &e));
    search_spec_recommend(&spec, "temperature", 0.9);
    assert_true(search_spec_get(&spec, "temperature") == 0.3);
    assert_true(search_spec_get(&spec, "top_p") == 0.5); /* what the user said holds */
    assert_true(search_spec_get(&spec, "aggregate") == AGGREGATE_PROD);
    assert_true(isnan(search_spec_get(&spec, "top_k")));
    assert_false(plan_recommend(HEAD "\"sampling\":\"heat=1\"," ONE_LEVEL, "p", &spec, &e));
    assert_non_null(strstr(e.msg, "heat"));
}

/* ---- difficulty ---- */

static void near(double a, double b) {
    if (fabs(a - b) > 1e-9) fail_msg("%.12g is not %.12g", a, b);
}

static void features_are_as_counted_by_hand(void **state) {
    UNUSED(state);
    const struct plan_sample samples[4] = {{0, true, true, 0.9, -1, 10},
                                           {1, true, true, 0.2, -2, 20},
                                           {0, true, true, 0.5, -3, 30},
                                           {-1, false, false, 0, NAN, 40}};
    double f[PLAN_FEATURES];
    plan_features(samples, 4, f);
    near(f[PLAN_AGREEMENT], 0.5);
    near(f[PLAN_ENTROPY], (0.5 * log(2) + 0.5 * log(4)) / log(4));
    near(f[PLAN_ENDED], 0.75);
    near(f[PLAN_REWARD_BEST], 0.9);
    near(f[PLAN_REWARD_MEAN], 0.4);
    near(f[PLAN_REWARD_SPREAD], sqrt((0.25 + 0.04 + 0.01 + 0.16) / 4));
    near(f[PLAN_REWARD_SHARE], 1.4 / 1.6);
    near(f[PLAN_LOGPROB], -6.0 / 100);
    near(f[PLAN_LENGTH], log(26));
    plan_features(samples + 3, 1, f); /* nothing but what was cut off */
    for (int i = 0; i < PLAN_LENGTH; i++) near(f[i], 0);
    plan_features(samples, 1, f);
    near(f[PLAN_AGREEMENT], 1);
    near(f[PLAN_ENTROPY], 0);
    near(f[PLAN_REWARD_SHARE], 1);
}

static void rates_follow_the_calibration(void **state) {
    UNUSED(state);
    struct plan *p =
        parsed(HEAD "\"pilots\":[{\"samples\":4,\"scored\":true,\"bias\":-1,"
                    "\"weights\":{\"agreement\":2,\"reward_mean\":4},"
                    "\"calibration\":[[-1,0.1],[0,0.2],[2,0.2],[3,0.8]],\"edges\":[0.2,0.5]}]," ONE_LEVEL);
    const struct plan_pilot *x = &p->pilots[0];
    double f[PLAN_FEATURES] = {0};
    f[PLAN_AGREEMENT] = 0.5;
    f[PLAN_REWARD_MEAN] = 0.25;
    near(plan_score(x, f), 1);
    near(plan_rate(x, -7), 0.1);
    near(plan_rate(x, -0.5), 0.15);
    near(plan_rate(x, 1), 0.2);
    near(plan_rate(x, 2.5), 0.5);
    near(plan_rate(x, 99), 0.8);
    for (double a = -3; a < 4; a += 0.01) assert_true(plan_rate(x, a) <= plan_rate(x, a + 0.01));
    assert_int_equal(plan_bin(x, 0.19), 0);
    assert_int_equal(plan_bin(x, 0.2), 1);
    assert_int_equal(plan_bin(x, 0.5), 2);
    assert_int_equal(plan_bin(x, 1), 2);
    plan_free(p);
}

/* ---- the strategy ---- */

static const struct script mixed = {.seed = 3,
                                    .end_percent = 25,
                                    .cut_percent = 5,
                                    .fail_percent = 5,
                                    .unscored_percent = 5,
                                    .n_values = 9,
                                    .n_texts = 5,
                                    .n_tokens = 9};

static char *dump_of(const char *text, const struct script *c, uint64_t order) {
    struct script_run run = {0};
    script_run(text, c, order, &run);
    return buf_take(&run.dump);
}

static const char *const strategies[] = {
    "greedy",
    "sample:n=9",
    "sample:n=20,stop=window,window=2",
    "beam:n=8,width=2",
    "beam:n=7,allocation=rebase",
    "beam:n=8,allocation=particle,ess=0.9",
    "dvts:n=8,width=4,lookahead=2",
    "mcts:n=9,width=3",
    "sal-beam:n=8,width=4",
    "its-pf:n=6",
    "revise:n=6,length=2",
    "ab-mcts:n=8",
    "deepconf:n=12,warmup=4,width=3,keep=0.5,window=2,top=3",
};

static void a_plan_without_pilot_is_its_strategy(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
        char plan[300];
        snprintf(plan, sizeof plan, HEAD "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"%s\"}]}]}",
                 strategies[i]);
        struct script script = mixed;
        for (script.seed = 0; script.seed < 20; script.seed++) {
            script.drops_solutions = true;
            char *plain = dump_of(strategies[i], &script, 1);
            script_plan = plan;
            char *adaptive = dump_of("adaptive", &script, script.seed);
            script_plan = NULL;
            assert_string_equal(plain, adaptive);
            free(plain);
            free(adaptive);
        }
    }
}

static const char *one_pilot(const char *pilot, const char *cell) {
    static char plan[600];
    snprintf(plan, sizeof plan,
             HEAD "\"pilots\":[{%s,\"bias\":0," WEIGHTS "}],"
                  "\"levels\":[{\"budget\":1,\"pilot\":0,\"bins\":[{%s}]}]}",
             pilot, cell);
    return plan;
}

/* Where the plan goes on sampling the pilot is the first of the samples: one tree, whatever was scored when.
 */
static void a_pilot_counts_as_samples(void **state) {
    UNUSED(state);
    static const struct {
        const char *pilot, *cell, *plain;
    } cases[] = {
        {"\"samples\":3,\"scored\":true", "\"strategy\":\"sample:n=9\"", "sample:n=9"},
        {"\"samples\":3", "\"strategy\":\"sample:n=9\"", "sample:n=9"},
        {"\"samples\":3", "\"strategy\":\"sample:n=9,score=0\"", "sample:n=9,score=0"},
        {"\"samples\":9,\"scored\":true", "\"strategy\":\"sample:n=9\"", "sample:n=9"},
        {"\"samples\":9,\"scored\":true", "\"strategy\":\"sample:n=2\"", "sample:n=9"},
        {"\"samples\":5", "\"strategy\":\"sample\",\"share\":0.75",
         "sample:n=12"}, /* of the 16 of adaptive */
        {"\"samples\":2,\"scored\":true", "\"strategy\":\"sample:n=24,stop=beta,window=2\"",
         "sample:n=24,stop=beta,window=2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct script script = mixed;
        for (script.seed = 0; script.seed < 20; script.seed++) {
            char *plain = dump_of(cases[i].plain, &script, 1);
            script_plan = one_pilot(cases[i].pilot, cases[i].cell);
            char *adaptive = dump_of("adaptive", &script, script.seed);
            script_plan = NULL;
            assert_string_equal(plain, adaptive);
            free(plain);
            free(adaptive);
        }
    }
}

/* Without the lines of the first n children of the root and what is below; the others count from 0 again. */
static char *without_first(const char *dump, int n) {
    struct buf out = {0};
    for (const char *line = dump, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        const char *path = strncmp(line, "drop ", 5) == 0 ? line + 5 : line;
        if (isdigit((unsigned char)*path)) {
            char *rest;
            long index = strtol(path, &rest, 10);
            if (index < n) continue;
            buf_add(&out, line, (size_t)(path - line));
            buf_printf(&out, "%ld", index - n);
            buf_add(&out, rest, (size_t)(end - rest + 1));
        } else { /* the root, which has n children fewer */
            const char *children = strstr(line, "children=") + 9;
            char *rest;
            long n_children = strtol(children, &rest, 10);
            buf_add(&out, line, (size_t)(children - line));
            buf_printf(&out, "%ld", n_children - n);
            buf_add(&out, rest, (size_t)(end - rest + 1));
        }
    }
    return buf_take(&out);
}

/* With the same results, a search beside a pilot is what it is alone. */
static void beside_a_pilot_a_search_is_what_it_is_alone(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
        char cell[100];
        if (strncmp(strategies[i], "sample", 6) == 0) continue;
        snprintf(cell, sizeof cell, "\"strategy\":\"%s\"", strategies[i]);
        struct script script = mixed;
        for (script.seed = 0; script.seed < 20; script.seed++) {
            script.drops_solutions = true;
            script.shift = 0;
            char *plain = dump_of(strategies[i], &script, 1);
            script_plan = one_pilot("\"samples\":3,\"scored\":true", cell);
            script.shift = 3;
            char *adaptive = dump_of("adaptive", &script, script.seed);
            script_plan = NULL;
            char *rest = without_first(adaptive, 3);
            assert_string_equal(plain, rest);
            free(plain);
            free(adaptive);
            free(rest);
        }
    }
}

/* Sampling at another temperature is not what the pilot did: it has n of its own. */
static void another_temperature_reuses_nothing(void **state) {
    UNUSED(state);
    script_plan = one_pilot("\"samples\":3", "\"strategy\":\"sample:n=5,temperature=0.1\"");
    struct script_run run = {0};
    script_run("adaptive", &mixed, 1, &run);
    assert_int_equal(run.n_expands, 8);
    buf_free(&run.dump);
    script_plan = one_pilot("\"samples\":3", "\"strategy\":\"sample:n=5,temperature=0.8\"");
    run = (struct script_run){0};
    script_run("adaptive", &mixed, 1, &run);
    assert_int_equal(run.n_expands, 5);
    buf_free(&run.dump);
    script_plan = NULL;
}

static const char *const plan_of_all = HEAD
    "\"pilots\":[{\"samples\":4,\"scored\":true,\"bias\":0,\"weights\":{\"agreement\":0.5,\"reward_mean\":0."
    "5},"
    "\"calibration\":[[0,0],[1,1]],\"edges\":[0.3,0.35,0.4,0.45,0.5,0.55]}],"
    "\"levels\":[{\"budget\":1,\"pilot\":0,\"bins\":[{\"strategy\":\"beam:n=8\"},{\"strategy\":\"mcts:n=6\"},"
    "{\"strategy\":\"dvts:n=8,lookahead=1\"},{\"strategy\":\"its-pf:n=5\"},{\"strategy\":\"greedy\"},"
    "{\"strategy\":\"sample:n=9\"},{\"strategy\":\"sample:n=4\"}]}]}";

static void any_order_gives_the_same_tree(void **state) {
    UNUSED(state);
    const char *const plans[] = {NULL, plan_of_all};
    for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
        struct script script = mixed;
        uint32_t kinds = 0; /* by the number of the root's children: what the plan chose */
        script.drops_solutions = true;
        for (script.seed = 0; script.seed < 60; script.seed++) {
            script_plan = plans[i];
            char *first = dump_of("adaptive:n=24", &script, 1);
            kinds |= 1u << strtoul(strstr(first, "children=") + 9, NULL, 10);
            for (uint64_t order = 2; order < 6; order++) {
                char *again = dump_of("adaptive:n=24", &script, order);
                assert_string_equal(first, again);
                free(again);
            }
            free(first);
        }
        if (plans[i])
            assert_true((kinds & (1u << 4 | 1u << 5 | 1u << 9 | 1u << 12)) ==
                        (1u << 4 | 1u << 5 | 1u << 9 | 1u << 12));
    }
    script_plan = NULL;
}

static void a_stop_at_any_time_is_kept(void **state) {
    UNUSED(state);
    struct script script = mixed;
    script.drops_solutions = true;
    for (int n = 1; n < 60; n++) {
        struct script_run run = {.n_told_max = n};
        script_plan = n % 2 ? plan_of_all : NULL;
        script.seed = (uint64_t)n;
        script_run("adaptive:n=24", &script, (uint64_t)n, &run);
        buf_free(&run.dump);
    }
    script_plan = NULL;
}

static struct search *begin(const char *text, const char *plan, bool has_reward, struct err *e) {
    const struct search_spec spec = script_spec(text);
    const struct search_context c = {
        .problem_key = 1, .has_reward = has_reward, .plan = plan, .n_tokens_answer_max = 100};
    return search_new(&spec, &c, e);
}

static void what_cannot_be_done_is_refused(void **state) {
    UNUSED(state);
    static const struct {
        const char *plan, *part;
    } cases[] = {
        {"nonsense", "JSON"},
        {HEAD "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"beam:n=8\"}]}]}", "reward model"},
        {HEAD "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"sample\",\"select\":\"weighted\"}]}]}",
         "weighted"},
        {HEAD "\"pilots\":[{\"samples\":4,\"scored\":true,\"bias\":0," WEIGHTS
              "}],\"levels\":[{\"budget\":1,\"pilot\":0,"
              "\"bins\":[{\"strategy\":\"sample\"}]}]}",
         "scored"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        assert_null(begin("adaptive", cases[i].plan, false, &e));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, cases[i].part)) fail_msg("\"%s\" does not say \"%s\"", e.msg, cases[i].part);
    }
    struct err e = {0}; /* a level that this budget does not come to needs nothing */
    struct search *s = begin("adaptive:n=1",
                             HEAD "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"greedy\"}]},"
                                  "{\"budget\":2,\"bins\":[{\"strategy\":\"beam\"}]}]}",
                             false, &e);
    assert_non_null(s);
    assert_int_equal(search_tree(s)->n_nodes, 2);
    search_free(s);
}

static void a_cell_advises_its_selection(void **state) {
    UNUSED(state);
    struct err e;
    struct search *s = begin("adaptive",
                             HEAD "\"levels\":[{\"budget\":1,\"bins\":[{\"strategy\":\"sample:n=4,score=0\","
                                  "\"select\":\"majority\",\"aggregate\":\"prod\"}]}]}",
                             true, &e);
    assert_string_equal(search_advice(s).select, "majority");
    assert_int_equal(search_advice(s).aggregate, AGGREGATE_PROD);
    search_free(s);
    s = begin("adaptive:n=64", NULL, true, &e); /* nothing chosen yet */
    assert_null(search_advice(s).select);
    assert_int_equal(search_advice(s).aggregate, AGGREGATES);
    search_free(s);
    s = begin("sample", NULL, true, &e);
    assert_null(search_advice(s).select);
    search_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_say_what_is_wrong),
        cmocka_unit_test(built_in_plans_are_plans),
        cmocka_unit_test(levels_are_looked_up_by_budget),
        cmocka_unit_test(what_a_plan_was_fitted_with_is_recommended),
        cmocka_unit_test(features_are_as_counted_by_hand),
        cmocka_unit_test(rates_follow_the_calibration),
        cmocka_unit_test(a_plan_without_pilot_is_its_strategy),
        cmocka_unit_test(a_pilot_counts_as_samples),
        cmocka_unit_test(beside_a_pilot_a_search_is_what_it_is_alone),
        cmocka_unit_test(another_temperature_reuses_nothing),
        cmocka_unit_test(any_order_gives_the_same_tree),
        cmocka_unit_test(a_stop_at_any_time_is_kept),
        cmocka_unit_test(what_cannot_be_done_is_refused),
        cmocka_unit_test(a_cell_advises_its_selection),
    };
    return cmocka_run_group_tests_name("search_adaptive", tests, NULL, NULL);
}
