/* test_eval_confidence.c - votes by confidence: offline against plain counting, and the same in a run, in its
 * report and in its export. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/confidence.h"
#include "base/rng.h"
#include "eval/report.h"
#include "eval/vote.h"
#include "run_toy.h"
#include "scratch.h"

enum { PROBLEMS = 40, SOLUTIONS = 12, TOKENS = 40, CLASSES = 3 };

/* ---- records that this test makes ---- */
struct made {
    int n_tokens[SOLUTIONS], answers[SOLUTIONS];
    float confidences[SOLUTIONS][TOKENS];
};

static struct made make(uint64_t key) {
    struct made m;
    for (int i = 0; i < SOLUTIONS; i++) {
        const uint64_t k = rng_child(key, (uint64_t)i);
        m.answers[i] = (int)rng_below(k, 1000, CLASSES);
        m.n_tokens[i] = 3 + (int)rng_below(k, 1001, TOKENS - 3);
        for (int j = 0; j < m.n_tokens[i]; j++) /* exact in decimals of few digits */
            m.confidences[i][j] =
                (float)(1 + rng_below(k, (uint64_t)j, 64) + (uint64_t)(4 * m.answers[i])) / 8;
    }
    return m;
}

static void write_line(const struct made *m, int problem, struct buf *out) {
    buf_printf(out, "{\"problem\":\"p%d\",\"solutions\":[", problem);
    for (int i = 0; i < SOLUTIONS; i++) {
        buf_printf(out, "%s{\"answer\":\"%d\",\"right\":%s,\"confidences\":[", i ? "," : "", m->answers[i],
                   m->answers[i] == 1 ? "true" : "false");
        for (int j = 0; j < m->n_tokens[i]; j++)
            buf_printf(out, "%s%g", j ? "," : "", (double)m->confidences[i][j]);
        buf_add_str(out, STR("]}"));
    }
    buf_add_str(out, STR("]}\n"));
}

/* The class with the highest sum of confidences of those that are not below `bar`. */
static bool is_right(const struct made *m, const double *confidences, double bar) {
    double sums[CLASSES] = {0};
    int first[CLASSES] = {SOLUTIONS, SOLUTIONS, SOLUTIONS}, best = 0;
    for (int i = 0; i < SOLUTIONS; i++) {
        if (confidences[i] < bar) continue;
        sums[m->answers[i]] += confidences[i];
        first[m->answers[i]] = MIN(first[m->answers[i]], i);
    }
    for (int c = 1; c < CLASSES; c++)
        if (sums[c] > sums[best] || (sums[c] == sums[best] && first[c] < first[best])) best = c;
    return best == 1;
}

static void test_votes_are_counted_plainly(void **state) {
    UNUSED(state);
    static struct made all[PROBLEMS];
    struct recorded r;
    struct buf line = {0};
    struct err e;
    recorded_init(&r);
    for (int p = 0; p < PROBLEMS; p++) {
        all[p] = make(rng_child(8, (uint64_t)p));
        buf_clear(&line);
        write_line(&all[p], p, &line);
        if (!recorded_add_line(&r, str_trim(buf_str(&line)), "made", &e)) fail_msg("%s", e.msg);
    }
    struct vote v;
    const struct vote_options o = {
        .measure = -1, .aggregate = AGGREGATES, .by = CONFIDENCES, .window = 7, .n = SOLUTIONS};
    assert_true(vote_count(&r, &o, &v, &e));
    int n_rows = 0;
    double most = 0, least = 1;
    for (size_t i = 0; i < v.n_rows; i++) {
        const struct vote_row *row = &v.rows[i];
        if (!curves_needs_confidences(row->measure)) continue;
        double n_right = 0;
        for (int p = 0; p < PROBLEMS; p++) {
            double confidences[SOLUTIONS], sorted[SOLUTIONS];
            for (int k = 0; k < SOLUTIONS; k++)
                confidences[k] = confidence_of(row->by, all[p].confidences[k], all[p].n_tokens[k], 7);
            memcpy(sorted, confidences, sizeof sorted);
            const double share = row->measure == CURVES_CONFIDENT_LOW    ? 0.9
                                 : row->measure == CURVES_CONFIDENT_HIGH ? 0.1
                                                                         : 0;
            n_right += is_right(&all[p], confidences, confidence_quantile(sorted, SOLUTIONS, share));
        }
        assert_true(fabs(row->accuracy[0].mean - n_right / PROBLEMS) < 1e-12);
        most = fmax(most, n_right / PROBLEMS);
        least = fmin(least, n_right / PROBLEMS);
        n_rows++;
    }
    assert_int_equal(n_rows, 3 * CONFIDENCES);
    assert_true(most > least);
    json_t *json = vote_json(&v);
    char *text = json_line(json);
    assert_non_null(strstr(text, "\"confidence\":\"bottom\""));
    free(text);
    json_decref(json);
    vote_fini(&v);
    buf_free(&line);
    recorded_fini(&r);
}

static void test_bad_confidences_are_refused(void **state) {
    UNUSED(state);
    struct recorded r;
    struct err e = {0};
    recorded_init(&r);
    assert_false(recorded_add_line(&r, STR("{\"problem\":\"p\",\"answer\":\"1\",\"confidences\":[1,null]}"),
                                   "made", &e));
    assert_non_null(strstr(e.msg, "confidences"));
    recorded_fini(&r);
    struct select_confidence how;
    static const char *const bad[] = {"median", "tail:", "tail:0", "tail:x", "tail:9999999", "tail:-3", ""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_false(select_confidence_parse(bad[i], &how, &e));
    assert_true(select_confidence_parse("tail:512", &how, &e));
    assert_true(how.by == CONFIDENCE_TAIL && how.window == 512);
    assert_true(select_confidence_parse("mean", &how, &e));
    assert_true(how.by == CONFIDENCE_MEAN && how.window == 0);
}

/* ---- a run ---- */
static const struct vote_row *row_of(const struct vote *v, enum curves_measure m, enum confidence by) {
    for (size_t i = 0; i < v->n_rows; i++)
        if (v->rows[i].measure == m && v->rows[i].by == by) return &v->rows[i];
    fail();
    return NULL;
}

static void check_run(const char *strategy, enum select_rule rule, enum curves_measure measure,
                      struct select_confidence how) {
    char *task = write_task(30), *store = scratch_path("confident.brood");
    struct run_options o = options_for(task, store, strategy);
    struct run_progress p;
    struct err e;
    o.reward = NULL;
    o.select = rule;
    o.confidence = how;
    char *export = run_whole(&o, &p);
    assert_non_null(strstr(export, "\"confidence\":\""));
    assert_int_equal(p.n_graded, 30);

    struct report *report = report_new();
    assert_true(report_add(report, store, REPORT_AGGREGATE_OF_RUN, &e));
    const struct report_curve *c = &report->runs[0].curves[measure];
    assert_true(c->n_points > 0);
    assert_true(fabs(c->points[c->n_points - 1].accuracy.mean - p.n_right / 30.0) < 1e-12);
    report_free(report);

    struct recorded r;
    struct vote v;
    recorded_init(&r);
    for (char *line = export, *end; (end = strchr(line, '\n')); line = end + 1)
        assert_true(recorded_add_line(&r, (struct str){line, (size_t)(end - line)}, "export", &e));
    const struct vote_options vo = {
        .measure = (int)measure, .aggregate = AGGREGATES, .by = how.by, .window = how.window, .first = true};
    assert_true(vote_count(&r, &vo, &v, &e));
    assert_true(fabs(row_of(&v, measure, how.by)->accuracy[v.n_ks - 1].mean - p.n_right / 30.0) < 1e-12);
    vote_fini(&v);
    recorded_fini(&r);

    o.confidence.window++;
    assert_null(run_open(&o, &e));
    assert_non_null(strstr(e.msg, "another confidence"));
    free(export);
    unlink(store);
    free(task);
    free(store);
}

static void test_a_run_its_report_and_its_export_agree(void **state) {
    UNUSED(state);
    check_run("sample:n=20,top=3", SELECT_CONFIDENT_LOW, CURVES_CONFIDENT_LOW,
              (struct select_confidence){CONFIDENCE_BOTTOM, 2});
    check_run("sample:n=9,top=2", SELECT_CONFIDENT_HIGH, CURVES_CONFIDENT_HIGH,
              (struct select_confidence){CONFIDENCE_TAIL, 0});
    check_run("deepconf:n=24,warmup=6,keep=0.5,window=2,top=3", SELECT_RULES, CURVES_CONFIDENT,
              (struct select_confidence){CONFIDENCE_LOWEST, 2});
}

static void test_selections_need_their_numbers(void **state) {
    UNUSED(state);
    char *task = write_task(2);
    struct run_options o = options_for(task, ":memory:", "sample:n=4");
    struct err e = {0};
    o.select = SELECT_CONFIDENT;
    assert_null(run_open(&o, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "sample:top=20"));
    free(task);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_votes_are_counted_plainly),
        cmocka_unit_test(test_bad_confidences_are_refused),
        cmocka_unit_test(test_a_run_its_report_and_its_export_agree),
        cmocka_unit_test(test_selections_need_their_numbers),
    };
    return cmocka_run_group_tests_name("eval_confidence", tests, scratch_make, scratch_remove);
}
