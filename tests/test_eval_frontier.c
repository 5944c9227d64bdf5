/* test_eval_frontier.c - accuracy against cost over runs small enough to be counted by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "eval/frontier.h"
#include "scratch.h"
#include "store/store.h"

enum { PROBLEMS = 10 };

struct made { /* a run */
    const char *name, *policy, *strategy, *select;
    int n_parameters, n_samples, n_tokens; /* n_tokens: of each sample */
    bool scored, is_reversed;              /* reversed: the problems in another order, and one more */
};

/* Problem i: the first i samples of ten are right, all later ones wrong; what is chosen is right if i > 4,
 * with a search if i > 2. */
static void put_problem(struct store *s, const struct made *m, int ordinal, int i) {
    struct err e;
    char id[16];
    snprintf(id, sizeof id, "p%d", i);
    const struct store_problem p = {
        .ordinal = ordinal, .id = id, .text = "?", .answer = "7", .level = 1 + i / 5};
    assert_true(store_put_problem(s, &p, &e));
    for (int k = 0; k < m->n_samples; k++) {
        char path[16], text[32];
        const float reward = 0.5f;
        const bool right = k < i;
        snprintf(path, sizeof path, "%d", k);
        snprintf(text, sizeof text, "%s %d", id, k);
        const struct store_node node = {.problem = ordinal,
                                        .path = path,
                                        .text = str_from(text),
                                        .n_tokens = m->n_tokens,
                                        .finish = STORE_END,
                                        .verdict = -1,
                                        .cost = {.tokens_generated = m->n_tokens, .flops = 10 * m->n_tokens}};
        const struct store_score score = {ordinal, path, &reward, 1, {.flops = 30}};
        const struct store_solution v = {
            .problem = ordinal, .path = path, .answer = right ? "7" : "8", .complete = true, .right = right};
        assert_true(store_put_node(s, &node, &e) && (!m->scored || store_put_score(s, &score, &e)) &&
                    store_put_solution(s, &v, &e));
    }
    const bool search = strncmp(m->strategy, "sample", 6) != 0;
    const struct store_choice c = {.problem = ordinal,
                                   .rule = "majority",
                                   .aggregate = "last",
                                   .path = i > (search ? 2 : 4) ? "0" : "9"};
    const struct cost prompt = {.flops = 7}, read = {.flops = m->scored ? 7 : 0};
    assert_true(store_put_choice(s, &c, &e) && store_put_root_costs(s, ordinal, &prompt, &read, &e) &&
                store_put_done(s, ordinal, &e));
}

static const char *make(const struct made *m) {
    static char paths[8][160];
    static int n;
    char *path = paths[n++ % 8];
    struct err e;
    struct buf config = {0};
    snprintf(path, 160, "%s/%s.brood", scratch, m->name);
    unlink(path);
    buf_printf(&config,
               "{\"task\":{\"name\":\"t\",\"hash\":\"h\"},\"policy\":{\"name\":\"%s\",\"parameters\":%d},"
               "\"reward\":%s,"
               "\"strategy\":\"%s\",\"select\":\"%s\",\"aggregate\":\"last\",\"seed\":\"0\"}",
               m->policy, m->n_parameters, m->scored ? "{\"name\":\"r\"}" : "null", m->strategy, m->select);
    struct store *s = store_open(path, STORE_WRITE, &e);
    assert_true(s && store_set_config(s, buf_cstr(&config), &e));
    buf_free(&config);
    for (int i = 0; i < PROBLEMS + m->is_reversed; i++)
        put_problem(s, m, i, m->is_reversed ? PROBLEMS - i : i);
    assert_true(store_close(s, &e));
    return path;
}

static const struct made samples = {"samples", "small", "sample:n=10", "weighted", 100, 10, 4, true, false};
static const struct made beam8 = {
    "beam8", "small", "beam:n=8,width=4,temperature=0.5", "majority", 100, 10, 3, true, true};
static const struct made beam4 = {
    "beam4", "small", "beam:n=4,width=4,temperature=0.5", "majority", 100, 10, 2, true, false};
static const struct made wide = {"wide", "small", "beam:n=4,width=2", "majority", 100, 10, 2, true, false};
static const struct made large = {"large", "big", "greedy", "majority", 1000, 1, 50, false, false};

static struct report *report_of(const struct made *const *runs, int n) {
    struct err e;
    struct report *r = report_new();
    for (int i = 0; i < n; i++)
        if (!report_add(r, make(runs[i]), REPORT_AGGREGATE_OF_RUN, &e)) fail_msg("%s", e.msg);
    return r;
}

static void near(double a, double b) {
    if (fabs(a - b) > 1e-9) fail_msg("%.12g is not %.12g", a, b);
}

static const struct frontier_line *line_of(const struct frontier *f, const char *name) {
    for (size_t i = 0; i < f->n_lines; i++)
        if (strcmp(f->lines[i].name, name) == 0) return &f->lines[i];
    fail_msg("no line '%s'", name);
    return NULL;
}

static void methods_are_lines_and_costs_are_counted(void **state) {
    UNUSED(state);
    const struct made *const runs[] = {&samples, &beam8, &beam4, &wide, &large};
    struct report *r = report_of(runs, 5);
    struct frontier f;
    struct err e = {0};
    assert_true(frontier_make(&f, r, false, &e));
    assert_int_equal(f.n_problems, PROBLEMS); /* the one more of beam8 is not common */
    assert_int_equal(f.n_levels, 2);
    assert_int_equal(f.counts[0], 5);
    assert_int_equal(f.n_lines, 6);
    const struct frontier_line *majority = line_of(&f, "majority"), *weighted = line_of(&f, "weighted");
    assert_int_equal(majority->n, 5); /* 1, 2, 4, 8, 10 */
    near(majority->points[4].flops, 7 + 10 * 40);
    near(weighted->points[4].flops, 7 + 10 * 40 + 7 + 10 * 30);
    near(weighted->points[4].tokens, 40);
    near(majority->points[0].accuracy.mean, 0.45); /* of the first i of ten are right */
    near(majority->points[0].levels[0].mean, 0.2);
    near(majority->points[4].accuracy.mean, 0.5); /* 5 to 5 is a tie for the first: problems 5 to 9 */
    const struct frontier_line *beam = line_of(&f, "beam");
    assert_int_equal(beam->n, 2);
    assert_int_equal(beam->points[0].k, 4); /* the cheaper first */
    near(beam->points[0].tokens, 20);
    near(beam->points[0].accuracy.mean, 0.7); /* what it chose itself: problems 3 to 9 */
    near(beam->points[0].levels[0].mean, 0.4);
    near(beam->points[1].accuracy.mean, 0.7); /* in another order */
    assert_int_equal(line_of(&f, "beam:width=2")->n, 1);
    near(line_of(&f, "big greedy")->points[0].accuracy.mean, 0.7);
    frontier_fini(&f);
    report_free(r);
}

static void lines_are_matched_and_compared(void **state) {
    UNUSED(state);
    const struct made *const runs[] = {&samples, &beam4, &large};
    struct report *r = report_of(runs, 3);
    struct frontier f;
    struct err e = {0};
    assert_true(frontier_make(&f, r, false, &e));
    bool matched = false;
    for (size_t i = 0; i < f.n_matches; i++) { /* votes never get to 0.7 */
        if (strcmp(f.lines[f.matches[i].reference].name, "best") == 0) continue;
        assert_string_equal(f.lines[f.matches[i].line].name, "beam");
        assert_true(isinf(f.matches[i].flops));
        matched = true;
    }
    assert_true(matched);
    bool gained = false;
    for (size_t i = 0; i < f.n_gains; i++) {
        const struct frontier_gain *g = &f.gains[i];
        assert_string_equal(f.lines[g->reference].name, "big greedy");
        if (strcmp(f.lines[g->line].name, "beam") != 0) continue;
        gained = true;
        near(g->gain.mean, 0);
        near(g->flops, (14 + 10 * (20 + 30)) / 507.0);
    }
    assert_true(gained);
    json_t *o = frontier_json(&f, r);
    assert_int_equal(json_array_size(json_object_get(o, "lines")), f.n_lines);
    size_t n_never = 0;
    for (size_t i = 0; i < f.n_matches; i++)
        n_never += json_is_null(json_object_get(json_array_get(json_object_get(o, "matches"), i), "flops"));
    assert_int_equal(n_never, 2);
    json_decref(o);
    frontier_fini(&f);
    report_free(r);
}

/* Between two points of a line costs lie on a straight line over their logarithm. */
static void what_the_same_accuracy_costs(void **state) {
    UNUSED(state);
    const struct made *const runs[] = {&samples, &beam4};
    for (int n_right = 4; n_right <= 6; n_right++) {
        struct report *r = report_of(runs, 2);
        struct frontier f;
        struct err e = {0};
        for (size_t i = 0; i < r->sets[1]->n; i++) r->sets[1]->problems[i].chosen_right = (int)i < n_right;
        assert_true(frontier_make(&f, r, false, &e));
        assert_int_equal(f.n_matches, 3);
        for (size_t i = 0; i < f.n_matches; i++) {
            const struct frontier_line *l = &f.lines[f.matches[i].reference];
            const double accuracy = n_right / 10.0;
            size_t at = 0;
            while (at < l->n && l->points[at].accuracy.mean < accuracy) at++;
            if (at == l->n) {
                assert_true(isinf(f.matches[i].tokens) && isinf(f.matches[i].flops));
                continue;
            }
            const struct frontier_point *b = &l->points[at], *a = at ? b - 1 : b;
            const double part =
                a == b ? 0 : (accuracy - a->accuracy.mean) / (b->accuracy.mean - a->accuracy.mean);
            near(f.matches[i].tokens, a->tokens * pow(b->tokens / a->tokens, part) / 20);
            near(f.matches[i].flops, a->flops * pow(b->flops / a->flops, part) / 514);
        }
        frontier_fini(&f);
        report_free(r);
    }
}

static void difficulty_is_the_share_of_right_samples(void **state) {
    UNUSED(state);
    const struct made *const runs[] = {&beam8, &samples};
    struct report *r = report_of(runs, 2);
    struct frontier f;
    struct err e = {0};
    assert_true(frontier_make(&f, r, true, &e));
    assert_int_equal(f.n_levels, 5);
    for (int i = 0; i < f.n_problems;
         i++) /* in the order of beam8: p10, which samples has not, then p9 down to p0 */
        assert_int_equal(f.level_of[i], i / 2);
    near(line_of(&f, "beam")->points[0].levels[4].mean, 0);
    near(line_of(&f, "beam")->points[0].levels[0].mean, 1);
    near(line_of(&f, "majority")->points[0].levels[0].mean, 0.85);
    frontier_fini(&f);
    report_free(r);
    const struct made *const searches[] = {&beam8, &beam4};
    r = report_of(searches, 2);
    assert_false(frontier_make(&f, r, true, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "difficulty"));
    frontier_fini(&f);
    report_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_are_lines_and_costs_are_counted),
        cmocka_unit_test(lines_are_matched_and_compared),
        cmocka_unit_test(what_the_same_accuracy_costs),
        cmocka_unit_test(difficulty_is_the_share_of_right_samples),
    };
    return cmocka_run_group_tests_name("eval_frontier", tests, scratch_make, scratch_remove);
}
