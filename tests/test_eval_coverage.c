/* test_eval_coverage.c - where selections stop to gain, the law in a report, what was spent on what, and
 * offers: on runs made by hand. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/offers.h"
#include "hand_run.h"

static void near(double a, double b) {
    assert_true(fabs(a - b) < 1e-9);
}

static struct report *report_of(const char *const *names, int n) {
    struct err e;
    struct report *r = report_new();
    for (int i = 0; i < n; i++) assert_true(report_add(r, path_of(names[i]), REPORT_AGGREGATE_OF_RUN, &e));
    return r;
}

/* n samples a problem, of which the first n_right[i] are right; all wrong ones agree and outvote them or not.
 */
static void make_run(const char *name, const char *strategy, int n, const int *n_right, int n_problems) {
    struct store *s = begin_run(name, strategy);
    struct sample samples[64];
    for (int p = 0; p < n_problems; p++) {
        char id[16];
        for (int i = 0; i < n; i++)
            samples[i] =
                (struct sample){i < n_right[p] ? "7" : "3", i < n_right[p] ? 0.9f : 0.2f, i < n_right[p]};
        snprintf(id, sizeof id, "p%d", p);
        put_problem(s, p, id, 0, "7", samples, n);
    }
    end_run(s);
}

/* ---- gaps ---- */

static void gaps_are_paired_differences(void **state) {
    UNUSED(state);
    static const int n_right[] = {8, 8, 7, 7, 6, 6, 3, 2, 2, 1, 1, 0, 8, 7, 6, 2, 1, 1, 0, 3};
    make_run("gap.brood", "sample:n=8", 8, n_right, 20);
    struct report *r = report_of((const char *const[]){"gap.brood"}, 1);
    const struct report_run *run = &r->runs[0];
    for (int m = 0; m < CURVES_FIRST_VERIFIED; m++) {
        const struct report_gap *g = &run->gaps[m];
        for (int i = 0; i < run->curves[m].n_points; i++) {
            const double behind =
                run->curves[CURVES_COVERAGE].points[i].accuracy.mean - run->curves[m].points[i].accuracy.mean;
            near(g->behind[i].mean, behind);
            assert_true(g->behind[i].low >= 0 && g->behind[i].low <= behind + 1e-12);
            assert_true(g->behind[i].high >= behind - 1e-12);
        }
        near(g->behind[0].high, 0); /* one sample leaves nothing to select */
    }
    /* Rewards tell right from wrong: best of N is coverage, and gains as long as it does. */
    near(run->gaps[CURVES_BEST].behind[3].mean, 0);
    assert_int_equal(run->gaps[CURVES_BEST].plateau, 8);
    assert_true(run->gaps[CURVES_BEST].gain.low > 0);
    near(run->gaps[CURVES_BEST].gain.mean, run->gaps[CURVES_BEST].coverage_gain.mean);
    /* The majority of a problem with one right of eight is wrong for good. */
    const struct report_gap *majority = &run->gaps[CURVES_MAJORITY];
    assert_true(majority->plateau < 8 && majority->gain.low <= 0 && majority->coverage_gain.low > 0);
    near(majority->behind[3].mean, 18.0 / 20 - 9.0 / 20);
    json_t *o = report_json(r), *run_json = json_array_get(json_object_get(o, "runs"), 0);
    const json_t *gap = json_object_get(json_object_get(run_json, "behind_coverage"), "best");
    assert_int_equal(json_integer_value(json_object_get(gap, "plateau")), 8);
    assert_int_equal(json_array_size(json_object_get(gap, "behind")), 4);
    json_decref(o);
    report_free(r);
}

/* ---- the law ---- */

static void the_law_is_that_of_the_curve(void **state) {
    UNUSED(state);
    static const int n_right[] = {64, 60, 50, 40, 30, 20, 12, 8, 5, 3, 2, 1, 1, 0, 0, 45};
    make_run("law.brood", "sample:n=64", 64, n_right, 16);
    struct report *r = report_of((const char *const[]){"law.brood"}, 1);
    const struct report_law *l = &r->runs[0].law;
    assert_true(l->fitted && l->law.a < 0 && l->law.b < 0 && l->law.r2 > 0.95);
    assert_int_equal(l->n_never, 2);
    assert_int_equal(l->n_always, 1);
    const struct report_curve *c = &r->runs[0].curves[CURVES_COVERAGE];
    for (int i = 0; i < c->n_points; i++)
        assert_true(fabs(law_coverage(&l->law, c->points[i].k) - c->points[i].accuracy.mean) < 0.04);
    near(l->if_equal, 1 - pow(1 - c->points[0].accuracy.mean, 64));
    near(l->forecast.k_fitted, 16);
    assert_true(l->forecast.n_later > 3 && l->forecast.error < 0.05);
    for (int t = 0; t < REPORT_TARGETS; t++) {
        const struct report_target *x = &l->targets[t];
        near(x->samples, law_samples(&l->law, x->coverage));
        assert_true(x->low <= x->samples && x->samples <= x->high);
        assert_int_equal(x->measured > 0, x->coverage <= 14.0 / 16);
        double before = 0, at = 0;
        for (int p = 0; p < 16 && x->measured > 0; p++) {
            at += coverage_pass_at_k(64, n_right[p], x->measured) / 16;
            before += coverage_pass_at_k(64, n_right[p], x->measured - 1) / 16;
        }
        if (x->measured > 0) assert_true(at >= x->coverage && (x->measured == 1 || before < x->coverage));
    }
    report_free(r);
}

static void no_law_without_a_curve(void **state) {
    UNUSED(state);
    static const int some[] = {2, 1, 0}, all[] = {4, 4, 4};
    make_run("beam.brood", "beam:n=4", 4, some, 3);
    make_run("all.brood", "sample:n=4", 4, all, 3);
    struct report *r = report_of((const char *const[]){"beam.brood"}, 1);
    struct err e;
    assert_true(report_add(r, path_of("all.brood"), REPORT_AGGREGATE_OF_RUN, &e));
    assert_false(r->runs[0].law.fitted); /* a search has one point */
    assert_false(r->runs[1].law.fitted); /* nothing grows */
    assert_int_equal(r->runs[0].gaps[CURVES_MAJORITY].plateau, 0);
    json_t *o = report_json(r);
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(o, "runs"), 1), "law")));
    json_decref(o);
    report_free(r);
}

/* ---- costs ---- */

/* Of two steps, one leads to a solution. */
static void what_was_given_up_is_counted_apart(void **state) {
    UNUSED(state);
    struct err e;
    struct store *s = begin_run("given.brood", "beam:n=2,width=2");
    put_problem(s, 0, "a", 0, "7", NULL, 0);
    static const char *const paths[] = {"0", "1", "0.0", "1.0"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const float reward = 0.5f;
        const struct store_node node = {.path = paths[i],
                                        .text = STR("x"),
                                        .verdict = -1,
                                        .n_tokens = 10,
                                        .finish = i == 2 ? STORE_END : STORE_STEP,
                                        .cost = {.tokens_generated = 10, .flops = 100}};
        const struct store_score score = {0, paths[i], &reward, 1, {.tokens_read = 5, .flops = 30}};
        assert_true(store_put_node(s, &node, &e) && (i == 3 || store_put_score(s, &score, &e)));
    }
    const struct store_solution v = {.path = "0.0", .answer = "7", .complete = true, .right = 1};
    assert_true(store_put_solution(s, &v, &e));
    end_run(s);
    struct report *r = report_of((const char *const[]){"given.brood"}, 1);
    const struct report_costs *c = &r->runs[0].costs;
    near(c->policy.tokens_generated, 40);
    near(c->policy_pruned.tokens_generated, 20);
    near(c->policy_pruned.flops, 200);
    near(c->reward.tokens_read, 15);
    near(c->reward_pruned.tokens_read, 5);
    near(c->policy_prompt.tokens_read, 7);
    near(c->reward_prompt.flops, 20);
    report_free(r);
}

/* ---- offers ---- */

static const char *const pair[] = {"cheap.brood", "dear.brood"};

static struct report *two_runs(void) {
    static const int cheap[] = {4, 2, 1, 0}, dear[] = {1, 1, 0, 1};
    make_run(pair[0], "sample:n=4", 4, cheap, 4);
    make_run(pair[1], "greedy", 1, dear, 4);
    return report_of(pair, 2);
}

static const struct offer *find_offer(const struct offers *o, int run, bool any) {
    for (size_t i = 0; i < o->n; i++)
        if (o->items[i].run == run && (o->items[i].measure == CURVES_COVERAGE) == any) return &o->items[i];
    fail();
    return NULL;
}

static void offers_cost_what_their_samples_cost(void **state) {
    UNUSED(state);
    struct err e;
    struct offers o;
    struct report *r = two_runs();
    r->runs[0].prices = (struct prices){.policy_input = 1, .policy_output = 2, .reward_input = 3};
    r->runs[1].prices = (struct prices){.policy_input = 10, .policy_output = 20};
    assert_true(offers_make(&o, r, (const int[]){2, 1}, &e));
    assert_int_equal(o.n, 3); /* weighted and any of 2; the one */
    assert_int_equal(o.n_problems, 4);
    const struct offer *weighted = find_offer(&o, 0, false), *any = find_offer(&o, 0, true),
                       *dear = find_offer(&o, 1, true);
    assert_int_equal(weighted->measure, CURVES_WEIGHTED);
    near(any->solved.mean, (1 + 5.0 / 6 + 0.5 + 0) / 4);
    near(dear->solved.mean, 0.75);
    near(any->costs[OFFER_TOKENS], 20);
    near(any->costs[OFFER_FLOPS], 50 + 2 * 100); /* a verifier needs no rewards */
    near(weighted->costs[OFFER_FLOPS], 50 + 2 * 100 + 20 + 2 * 30);
    near(any->costs[OFFER_DOLLARS], (7 * 1 + 20 * 2) * 1e-6);
    near(weighted->costs[OFFER_DOLLARS], (7 * 1 + 20 * 2 + (8 + 2 * 5) * 3) * 1e-6);
    near(dear->costs[OFFER_DOLLARS], (7 * 10 + 10 * 20) * 1e-6);
    near(dear->per_solved[OFFER_TOKENS].mean, 10 / 0.75);
    assert_true(dear->per_solved[OFFER_TOKENS].low < 10 / 0.75 &&
                dear->per_solved[OFFER_TOKENS].high > 10 / 0.75);
    assert_int_equal(o.n_pairs, 2); /* the one stands for both */
    for (size_t i = 0; i < o.n_pairs; i++) {
        const struct offer *a = &o.items[o.pairs[i].a], *b = &o.items[o.pairs[i].b];
        near(o.pairs[i].gain.mean, a->solved.mean - b->solved.mean);
        near(o.pairs[i].ratio[OFFER_TOKENS], 2);
        assert_true(o.pairs[i].gain.low <= o.pairs[i].gain.mean &&
                    o.pairs[i].gain.mean <= o.pairs[i].gain.high);
    }
    json_t *json = offers_json(&o, r);
    assert_int_equal(json_array_size(json_object_get(json, "offers")), 3);
    assert_int_equal(json_array_size(json_object_get(json, "pairs")), 2);
    json_decref(json);
    offers_fini(&o);
    report_free(r);
}

static void offers_without_prices_and_beyond(void **state) {
    UNUSED(state);
    struct err e;
    struct offers o;
    struct report *r = two_runs();
    assert_true(offers_make(&o, r, (const int[]){0, 0}, &e)); /* all */
    assert_int_equal(find_offer(&o, 0, true)->k, 4);
    assert_true(isnan(find_offer(&o, 0, true)->costs[OFFER_DOLLARS]) && !o.has_dollars);
    offers_fini(&o);
    assert_false(offers_make(&o, r, (const int[]){5, 1}, &e));
    assert_non_null(strstr(e.msg, "4 samples"));
    offers_fini(&o);
    report_free(r);
    static const int some[] = {2, 1};
    make_run("beam.brood", "beam:n=4", 4, some, 2);
    r = report_of((const char *const[]){"beam.brood"}, 1);
    assert_false(offers_make(&o, r, (const int[]){2}, &e));
    offers_fini(&o);
    assert_true(offers_make(&o, r, (const int[]){4}, &e));
    near(find_offer(&o, 0, true)->costs[OFFER_FLOPS],
         50 + 4 * 100 + 20 + 4 * 30); /* the search needed its rewards */
    offers_fini(&o);
    report_free(r);
}

static void nothing_solved_costs_without_end(void **state) {
    UNUSED(state);
    static const int none[] = {0, 0, 0};
    struct err e;
    struct offers o;
    make_run("none.brood", "sample:n=2", 2, none, 3);
    struct report *r = report_of((const char *const[]){"none.brood"}, 1);
    assert_true(offers_make(&o, r, (const int[]){2}, &e));
    assert_true(isinf(o.items[0].per_solved[OFFER_TOKENS].mean));
    json_t *json = offers_json(&o, r);
    const json_t *first = json_array_get(json_object_get(json, "offers"), 0);
    const json_t *each = json_object_get(json_object_get(first, "cost_per_solved"), "tokens");
    assert_true(json_is_null(json_object_get(each, "mean")));
    json_decref(json);
    offers_fini(&o);
    report_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_are_paired_differences),
        cmocka_unit_test(the_law_is_that_of_the_curve),
        cmocka_unit_test(no_law_without_a_curve),
        cmocka_unit_test(what_was_given_up_is_counted_apart),
        cmocka_unit_test(offers_cost_what_their_samples_cost),
        cmocka_unit_test(offers_without_prices_and_beyond),
        cmocka_unit_test(nothing_solved_costs_without_end),
    };
    return cmocka_run_group_tests_name("eval_coverage", tests, scratch_make, scratch_remove);
}
