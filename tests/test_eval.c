/* test_eval.c - what reports and votes say about runs small enough to be counted by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "eval/report.h"
#include "eval/score.h"
#include "eval/vote.h"
#include "hand_run.h"

static const struct sample tied[4] = {
    {"7", 0.9f, true}, {"7.0", 0.8f, true}, {"3", 0.1f, false}, {"3", 0.2f, false}};
static const struct sample outvoted[4] = {
    {"5", 0.1f, false}, {"5", 0.1f, false}, {"5", 0.1f, false}, {"1/2", 0.9f, true}};

static void make_two_problems(const char *name) {
    struct store *s = begin_run(name, "sample:n=4");
    put_problem(s, 0, "a", 1, "7", tied, 4);
    put_problem(s, 1, "b", 2, "1/2", outvoted, 4);
    end_run(s);
}

static struct report *report_of(const char *name) {
    struct err e;
    struct report *r = report_new();
    assert_true(report_add(r, path_of(name), REPORT_AGGREGATE_OF_RUN, &e));
    return r;
}

static double accuracy(const struct report_run *run, enum curves_measure m, int i) {
    return run->curves[m].points[i].accuracy.mean;
}

static void near(double a, double b) {
    assert_true(fabs(a - b) < 1e-12);
}

/* ---- reports ---- */

static void test_curves(void **state) {
    UNUSED(state);
    make_two_problems("two.brood");
    struct report *r = report_of("two.brood");
    const struct report_run *run = &r->runs[0];
    assert_int_equal(run->curves[CURVES_COVERAGE].n_points, 3); /* 1, 2, 4 */
    assert_int_equal(run->curves[CURVES_FIRST_VERIFIED].n_points, 0);
    assert_int_equal(run->curves[CURVES_CONFIDENT].n_points, 0);
    assert_int_equal(run->curves[CURVES_BEST].points[1].k, 2);
    for (int m = 0; m < CURVES_MEASURES; m++) {
        if (run->curves[m].n_points > 0) near(accuracy(run, (enum curves_measure)m, 0), (0.5 + 0.25) / 2);
    }
    near(accuracy(run, CURVES_COVERAGE, 1), (5.0 / 6 + 1.0 / 2) / 2); /* 1 - C(n-c,2)/C(4,2) */
    near(accuracy(run, CURVES_COVERAGE, 2), 1);
    near(accuracy(run, CURVES_MAJORITY, 1), (5.0 / 6 + 0) / 2); /* ties go to who came first */
    near(accuracy(run, CURVES_MAJORITY, 2), 0.5);
    near(accuracy(run, CURVES_WEIGHTED, 1), (5.0 / 6 + 1.0 / 2) / 2);
    near(accuracy(run, CURVES_WEIGHTED, 2), 1);
    near(accuracy(run, CURVES_BEST, 2), 1);
    const struct interval *v = &run->curves[CURVES_MAJORITY].points[2].accuracy;
    near(v->low, 0);
    near(v->high, 1);
    report_free(r);
}

static void test_levels(void **state) {
    UNUSED(state);
    make_two_problems("two.brood");
    struct report *r = report_of("two.brood");
    const struct report_run *run = &r->runs[0];
    assert_int_equal(run->n_levels, 2);
    assert_int_equal(run->levels[0].level, 1);
    assert_int_equal(run->levels[1].n_problems, 1);
    near(run->levels[0].one.mean, 0.5);
    near(run->levels[1].one.mean, 0.25);
    near(run->levels[0].all[CURVES_MAJORITY].mean, 1);
    near(run->levels[1].all[CURVES_MAJORITY].mean, 0);
    report_free(r);
}

static void test_costs(void **state) {
    UNUSED(state);
    make_two_problems("two.brood");
    struct report *r = report_of("two.brood");
    const struct report_run *run = &r->runs[0];
    const struct report_spend two = report_spend_at(run, 2, true), plain = report_spend_at(run, 2, false);
    near(two.tokens_generated, 20);
    near(two.flops_policy, 50 + 2 * 100);
    near(two.flops_reward, 20 + 2 * 30);
    near(plain.flops_reward, 0);
    near(run->total.flops_policy, 50 + 4 * 100);
    near(run->tokens_read, 7 + 8 + 4 * 5);
    near(run->seconds, 1.5);
    assert_int_equal(run->n_sessions, 1);
    assert_string_equal(run->name, "two");
    assert_int_equal(run->aggregate, AGGREGATE_MIN);
    near(run->different.solutions, 8);
    near(run->different.texts, 1 + 1); /* those of a problem have one text here */
    near(run->different.answers, 2 + 2);
    near(run->verification.n_verdicts, 0);
    report_free(r);
}

/* Equal samples are read once: k of them cost what their different texts do, over all choices of k. */
static void test_costs_of_equal_samples(void **state) {
    UNUSED(state);
    static const struct sample right = {"7", 0.9f, true}, unscored = {"8", -1, false};
    static const char *const texts[6] = {"a", "bcd", "a", "ef", "bcd", "a"};
    struct store *s = begin_run("equal.brood", "sample:n=6");
    put_problem(s, 0, "a", 1, "7", NULL, 0);
    for (int i = 0; i < 6; i++)
        put_written(s, 0, i, i == 3 ? &unscored : &right, texts[i],
                    i < 2 ? 10 * (double)strlen(texts[i]) : 0);
    end_run(s);
    struct report *r = report_of("equal.brood");
    const struct report_curve *curve = &r->runs[0].curves[CURVES_COVERAGE];
    assert_int_equal(curve->n_points, 4);
    for (int i = 0; i < curve->n_points; i++) {
        const int k = curve->points[i].k;
        double sum = 0;
        int n_sets = 0;
        for (unsigned set = 0; set < 64; set++) {
            if (__builtin_popcount(set) != k) continue;
            n_sets++;
            sum += 10 * ((set & 0x25) != 0) + 30 * ((set & 0x12) != 0); /* the fourth is not scored */
        }
        near(report_spend_at(&r->runs[0], k, true).flops_reward, 20 + sum / n_sets);
        near(report_spend_at(&r->runs[0], k, true).flops_policy, 50 + 100 * k);
    }
    report_free(r);
}

static void test_who_counts(void **state) {
    UNUSED(state);
    struct err e;
    struct store *s = begin_run("some.brood", "sample:n=2");
    const struct sample one[] = {{"7", -1, true}}, none[] = {{NULL, -1, false}, {NULL, -1, false}};
    put_problem(s, 0, "one", 0, "7", one, 1);
    put_problem(s, 1, "no answers", 0, "7", none, 2);
    put_problem(s, 2, "no solutions", 0, "7", NULL, 0);
    put_problem(s, 3, "no key", 0, NULL, one, 1);
    const struct store_problem open = {.ordinal = 4, .id = "open", .text = "?", .answer = "7"};
    assert_true(store_put_problem(s, &open, &e));
    end_run(s);
    struct report *r = report_of("some.brood");
    const struct report_run *run = &r->runs[0];
    assert_int_equal(run->n_problems, 5);
    assert_int_equal(run->n_done, 4);
    assert_int_equal(run->n_graded, 3);
    assert_int_equal(run->n_levels, 0);
    assert_false(run->has_rewards);
    assert_int_equal(run->curves[CURVES_WEIGHTED].n_points, 0);
    near(accuracy(run, CURVES_COVERAGE, 1), 1.0 / 3); /* with two samples: who has one counts with one */
    near(accuracy(run, CURVES_MAJORITY, 1), 1.0 / 3);
    report_free(r);
}

static void test_gains(void **state) {
    UNUSED(state);
    struct err e;
    make_two_problems("two.brood");
    const struct sample wrong[] = {{"1", -1, false}}, right[] = {{"7", -1, true}};
    struct store *s = begin_run("greedy.brood", "greedy");
    put_problem(s, 0, "b", 2, "1/2", wrong, 1);
    put_problem(s, 1, "a", 1, "7", right, 1);
    put_problem(s, 2, "elsewhere", 1, "7", right, 1);
    end_run(s);
    struct report *r = report_of("two.brood");
    assert_true(report_add(r, path_of("greedy.brood"), REPORT_AGGREGATE_OF_RUN, &e));
    report_compare(r);
    assert_int_equal(r->n_gains, 3); /* majority, best, weighted */
    assert_int_equal(r->gains[0].n_problems, 2);
    near(r->gains[0].gain.mean, 0); /* majority: a alone, as greedy */
    near(r->gains[2].gain.mean, 0.5);
    json_t *o = report_json(r);
    assert_int_equal(json_array_size(json_object_get(o, "runs")), 2);
    assert_int_equal(json_array_size(json_object_get(o, "gains")), 3);
    json_decref(o);
    report_free(r);
}

static void test_searches_have_one_point(void **state) {
    UNUSED(state);
    static const char *const strategies[] = {"beam:n=4,width=2", "sample:n=4,stop=certain",
                                             "sample:n=4,stop=none", "sample:n=4"};
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
        struct store *s = begin_run("search.brood", strategies[i]);
        put_problem(s, 0, "a", 1, "7", tied, 4);
        end_run(s);
        struct report *r = report_of("search.brood");
        const struct report_curve *c = &r->runs[0].curves[CURVES_MAJORITY];
        assert_int_equal(c->n_points, i < 2 ? 1 : 3);
        assert_int_equal(c->points[c->n_points - 1].k, 4);
        near(report_spend_at(&r->runs[0], 4, true).flops_policy, 450);
        report_free(r);
    }
}

static void test_same_numbers_again(void **state) {
    UNUSED(state);
    struct store *s = begin_run("many.brood", "sample:n=40");
    struct sample samples[40];
    for (int p = 0; p < 8; p++) {
        for (int i = 0; i < 40; i++) {
            const bool right = (i * 7 + p * 5) % 11 < 4;
            samples[i] = (struct sample){right         ? "1"
                                         : (i + p) % 3 ? "2"
                                                       : "3",
                                         (float)(i * 13 % 17) / 17, right};
        }
        char id[16];
        snprintf(id, sizeof id, "p%d", p);
        put_problem(s, p, id, 1 + p % 2, "1", samples, 40);
    }
    end_run(s);
    struct report *a = report_of("many.brood"), *b = report_of("many.brood");
    assert_int_equal(a->runs[0].curves[CURVES_BEST].n_points, 7); /* 1 2 4 8 16 32 40 */
    for (int m = 0; m < CURVES_MEASURES; m++)
        assert_memory_equal(&a->runs[0].curves[m], &b->runs[0].curves[m], sizeof a->runs[0].curves[m]);
    for (int i = 1; i < 7; i++)
        assert_true(accuracy(&a->runs[0], CURVES_COVERAGE, i) >=
                    accuracy(&a->runs[0], CURVES_COVERAGE, i - 1));
    report_free(a);
    report_free(b);
}

static void test_ks(void **state) {
    UNUSED(state);
    int ks[32];
    assert_int_equal(curves_ks(0, ks), 0);
    assert_int_equal(curves_ks(1, ks), 1);
    assert_int_equal(curves_ks(8, ks), 4);
    assert_int_equal(ks[3], 8);
    assert_int_equal(curves_ks(10, ks), 5);
    assert_int_equal(ks[4], 10);
    assert_int_equal(curves_ks(INT32_MAX, ks), 32);
    assert_int_equal(ks[31], INT32_MAX);
}

static void test_no_run(void **state) {
    UNUSED(state);
    struct err e;
    struct report *r = report_new();
    assert_false(report_add(r, path_of("missing.brood"), REPORT_AGGREGATE_OF_RUN, &e));
    assert_int_equal(e.code, ERR_INPUT);
    struct store *s = store_open(path_of("empty.brood"), STORE_WRITE, &e);
    assert_non_null(s);
    assert_true(store_close(s, &e));
    assert_false(report_add(r, path_of("empty.brood"), REPORT_AGGREGATE_OF_RUN, &e));
    assert_int_equal(r->n, 0);
    report_free(r);
}

/* ---- votes ---- */

static const char *const recorded_lines[] = {
    "{\"id\":\"a\",\"ground_truth\":\"7\",\"answers\":[\"3\",\"7\",\"7\"],\"responses\":[\"\\\\boxed{3}\","
    "\"\\\\boxed{7}\",\"\\\\boxed{7.0}\"],\"reward\":[0.5,0.4,0.3],\"correct\":[false,true,true]}",
    "{\"id\":\"b\",\"ground_truth\":\"1/"
    "2\",\"responses\":[\"\\\\boxed{0.5}\",\"\\\\boxed{2}\",\"\\\\boxed{2}\"],"
    "\"reward\":[0.9,0.1,0.2]}",
    "{\"problem\":\"c\",\"text\":\"\\\\boxed{1}\"}",
};

static void count_votes(const struct vote_options *o, struct vote *v) {
    struct err e;
    struct recorded r;
    recorded_init(&r);
    for (size_t i = 0; i < ARRAY_LEN(recorded_lines); i++)
        assert_true(recorded_add_line(&r, str_from(recorded_lines[i]), "test", &e));
    assert_true(vote_count(&r, o, v, &e));
    recorded_fini(&r);
}

static const struct vote_row *row_of(const struct vote *v, enum curves_measure m, enum aggregate a) {
    for (size_t i = 0; i < v->n_rows; i++) {
        if (v->rows[i].measure == m && v->rows[i].aggregate == a) return &v->rows[i];
    }
    fail();
    return NULL;
}

static void test_votes(void **state) {
    UNUSED(state);
    struct vote v;
    count_votes(&(struct vote_options){.measure = -1, .aggregate = AGGREGATES, .first = true}, &v);
    assert_int_equal(v.n_problems, 2); /* c has neither grade nor key */
    assert_int_equal(v.n_ungraded, 1);
    assert_int_equal(v.n_ks, 3); /* 1, 2, 3 */
    assert_int_equal(v.n_rows, 1 + 4 + 4 + 1);
    near(row_of(&v, CURVES_MAJORITY, AGGREGATES)->accuracy[0].mean,
         0.5); /* a's first is wrong, b's is right */
    near(row_of(&v, CURVES_MAJORITY, AGGREGATES)->accuracy[2].mean, 0.5); /* a right, b outvoted */
    near(row_of(&v, CURVES_BEST, AGGREGATE_LAST)->accuracy[2].mean, 0.5);
    near(row_of(&v, CURVES_WEIGHTED, AGGREGATE_MEAN)->accuracy[2].mean, 1);
    near(row_of(&v, CURVES_COVERAGE, AGGREGATES)->accuracy[1].mean, 1);
    json_t *o = vote_json(&v);
    assert_int_equal(json_array_size(json_object_get(o, "rows")), 10);
    json_decref(o);
    vote_fini(&v);
    count_votes(&(struct vote_options){.measure = CURVES_WEIGHTED, .aggregate = AGGREGATE_MIN, .n = 1}, &v);
    assert_int_equal(v.n_rows, 1);
    near(v.rows[0].accuracy[0].mean, (2.0 / 3 + 1.0 / 3) / 2);
    vote_fini(&v);
}

static void test_votes_refused(void **state) {
    UNUSED(state);
    struct err e;
    struct vote v;
    struct recorded r;
    recorded_init(&r);
    assert_true(recorded_add_line(&r, str_from(recorded_lines[2]), "test", &e));
    assert_false(vote_count(&r, &(struct vote_options){.measure = -1, .aggregate = AGGREGATES}, &v, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_true(recorded_add_line(&r, str_from(recorded_lines[0]), "test", &e));
    assert_false(
        vote_count(&r, &(struct vote_options){.measure = -1, .aggregate = AGGREGATES, .n = 9}, &v, &e));
    assert_non_null(strstr(e.msg, "9"));
    recorded_fini(&r);
}

/* ---- scores ---- */

static char *score_text(const char *lines, struct score_progress *p, struct err *e) {
    struct reward *reward = reward_open("toy:depth=3", &(struct reward_options){0}, e);
    char *out = NULL;
    size_t n = 0;
    assert_non_null(reward);
    assert_true(file_write_atomic(path_of("in.jsonl"), str_from(lines), e));
    FILE *f = open_memstream(&out, &n);
    const bool ok = score_file(path_of("in.jsonl"), reward, f, NULL, NULL, p, e);
    fclose(f);
    reward_close(reward);
    if (ok) return out;
    free(out);
    return NULL;
}

static void test_scores(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct score_progress p;
    char *out = score_text("{\"configuration\":{}}\n"
                           "{\"prompt\":\"x\",\"solutions\":[{\"text\":\"step 1: 0\\n\\nstep 2: "
                           "1\\n\\n\",\"right\":true},{\"text\":"
                           "\"step 1: 2\\n\\n\"}]}\n\n"
                           "{\"question\":\"x\",\"responses\":[\"step 1: 0\\n\\n\",\"step 1: 1\\n\\n\"]}\n"
                           "{\"problem\":\"x\",\"text\":\"step 1: 2\\n\\n\"}\n",
                           &p, &e);
    assert_non_null(out);
    assert_int_equal(p.n_solutions, 5);
    assert_int_equal(p.n_lines, 4);
    json_t *lines[4];
    char *at = out;
    for (int i = 0; i < 4; i++) {
        char *end = strchr(at, '\n');
        lines[i] = json_parse((struct str){at, (size_t)(end - at)}, "out", &e);
        assert_non_null(lines[i]);
        at = end + 1;
    }
    assert_int_equal(*at, '\0');
    const json_t *solutions = json_object_get(lines[1], "solutions");
    assert_int_equal(json_array_size(json_object_get(json_array_get(solutions, 0), "rewards")), 2);
    assert_true(json_is_true(json_object_get(json_array_get(solutions, 0), "right")));
    const json_t *lists = json_object_get(lines[2], "rewards");
    assert_int_equal(json_array_size(lists), 2);
    assert_true(json_equal(json_object_get(lines[3], "rewards"),
                           json_object_get(json_array_get(solutions, 1), "rewards")));
    for (int i = 0; i < 4; i++) json_decref(lines[i]);
    free(out);
}

static void test_scores_refused(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct score_progress p;
    assert_null(score_text("{\"text\":\"step 1: 0\\n\\n\"}\n", &p, &e));
    assert_non_null(strstr(e.msg, ":1: no problem text"));
    assert_null(score_text("{\"prompt\":\"x\",\"text\":\"step 1: 0\\n\\n\"}\n[]\n", &p, &e));
    assert_non_null(strstr(e.msg, ":2:"));
    assert_null(score_text("{\"prompt\":\"x\",\"solutions\":[{\"txt\":1}]}\n", &p, &e));
    assert_null(score_text("{\"prompt\":\"x\",\"responses\":[1]}\n", &p, &e));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_curves),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_costs),
        cmocka_unit_test(test_costs_of_equal_samples),
        cmocka_unit_test(test_who_counts),
        cmocka_unit_test(test_gains),
        cmocka_unit_test(test_searches_have_one_point),
        cmocka_unit_test(test_same_numbers_again),
        cmocka_unit_test(test_ks),
        cmocka_unit_test(test_no_run),
        cmocka_unit_test(test_votes),
        cmocka_unit_test(test_votes_refused),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_scores_refused),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
