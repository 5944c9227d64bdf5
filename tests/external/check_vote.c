/* check_vote DATA - selection and coverage against figures that others published, on recorded samples.
 *
 *   replay/qwen_math_cot_100x8_rm.jsonl      Qwen2.5-Math's rm_maj_eval: accuracy of the first k samples in
 * percent replay/tot_game24_cot_100.jsonl          Tree of Thoughts: mean and any-of-100
 *   grader/lighteval_metric_cases.jsonl      lighteval's cases of pass@k, avg@k, maj@k
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "select/coverage.h"
#include "select/recorded.h"

static int n_passed, n_failed;

static void check(const char *what, double got, double expected, double tolerance) {
    bool ok = fabs(got - expected) <= tolerance;
    *(ok ? &n_passed : &n_failed) += 1;
    if (!ok) printf("FAIL %s: %g, published %g\n", what, got, expected);
}

/* NULL, said aloud, if the file is not there. */
static char *find(const char *dir, const char *name) {
    char *path = file_join(dir, name);
    if (file_exists(path)) return path;
    printf("skip %s: not there\n", path);
    free(path);
    return NULL;
}

static bool read_all(struct recorded *r, const char *path) {
    struct err e;
    recorded_init(r);
    if (recorded_read(r, path, &e)) return true;
    printf("FAIL %s\n", e.msg);
    n_failed++;
    return false;
}

/* ---- Qwen2.5-Math ---- */

enum { N_KS = 4 };
static const int ks[N_KS] = {1, 2, 4, 8};

static void check_qwen(const char *path) {
    static const double published[][N_KS] = {[SELECT_MAJORITY] = {90, 90, 93, 93},
                                             [SELECT_BEST] = {90, 93, 93, 94},
                                             [SELECT_WEIGHTED] = {90, 93, 93, 94}};
    double right[SELECT_RULES][N_KS] = {0}, mean = 0, any = 0;
    struct recorded r;
    char what[100];
    if (!read_all(&r, path)) return;
    for (size_t i = 0; i < r.n_problems; i++) {
        const struct recorded_problem *p = &r.problems[i];
        struct select_classes *c = select_classes_new();
        struct select_solution *view = recorded_view(p, c);
        int n = (int)p->n_solutions, n_right = 0;
        for (int k = 0; k < n; k++) n_right += p->solutions[k].right == RECORDED_RIGHT;
        mean += 100.0 * n_right / n / (double)r.n_problems;
        any += coverage_pass_at_k(n, n_right, 8);
        for (int rule = SELECT_MAJORITY; rule <= SELECT_WEIGHTED; rule++) {
            for (int k = 0; k < N_KS; k++) {
                struct select_choice s =
                    select_choose((enum select_rule)rule, AGGREGATE_LAST, view, NULL, ks[k]);
                right[rule][k] += p->solutions[s.solution].right == RECORDED_RIGHT;
            }
        }
        free(view);
        select_classes_free(c);
    }
    check("qwen problems", (double)r.n_problems, 100, 0);
    check("qwen mean", mean, 91.0, 0.05);
    check("qwen pass@8", any, 96, 0);
    printf("qwen: mean %.1f, pass@8 %g", mean, any);
    for (int rule = SELECT_MAJORITY; rule <= SELECT_WEIGHTED; rule++) {
        printf(", %s@1,2,4,8", select_rule_name((enum select_rule)rule));
        for (int k = 0; k < N_KS; k++) {
            snprintf(what, sizeof what, "qwen %s@%d", select_rule_name((enum select_rule)rule), ks[k]);
            check(what, right[rule][k], published[rule][k], 0);
            printf(" %g", right[rule][k]);
        }
    }
    printf("\n");
    recorded_fini(&r);
}

/* ---- Tree of Thoughts, game of 24 ---- */

static void check_game24(const char *path) {
    struct recorded r;
    double mean = 0, any = 0;
    if (!read_all(&r, path)) return;
    for (size_t i = 0; i < r.n_problems; i++) {
        const struct recorded_problem *p = &r.problems[i];
        int n = (int)p->n_solutions, n_right = 0;
        for (int k = 0; k < n; k++) n_right += p->solutions[k].right == RECORDED_RIGHT;
        mean += 100 * coverage_pass_at_k(n, n_right, 1) / (double)r.n_problems;
        any += 100 * coverage_pass_at_k(n, n_right, n) / (double)r.n_problems;
    }
    check("game24 problems", (double)r.n_problems, 100, 0);
    check("game24 mean", mean, 4.03, 0.005);
    check("game24 any of 100", any, 49, 1e-9);
    printf("game24: mean %.2f %%, any of 100 %.0f %%\n", mean, any);
    recorded_fini(&r);
}

/* ---- lighteval ---- */

struct metric_case {
    const char *class;
    const json_t *texts;
    const char *gold;
    int k;
    double expected, tolerance;
};

static const char *text_at(const struct metric_case *c, int i) {
    return json_string_value(json_array_get(c->texts, (size_t)i));
}

/* The metric's value, or NAN if it is about extraction and not about counting. */
static double metric_of(const struct metric_case *c) {
    int n = (int)json_array_size(c->texts), n_right = 0, n_right_in_k = 0;
    bool letters = true;
    for (int i = 0; i < n; i++) {
        bool right = strcmp(text_at(c, i), c->gold) == 0;
        n_right += right;
        n_right_in_k += right && i < c->k;
        letters = letters && strlen(text_at(c, i)) == 1;
    }
    if (strcmp(c->class, "avg_at_k") == 0 || strcmp(c->class, "avg_at_k_math") == 0)
        return (double)n_right_in_k / c->k;
    if (strcmp(c->class, "pass_at_k") == 0 || strcmp(c->class, "pass_at_k_math") == 0 ||
        strcmp(c->class, "g_pass_at_k") == 0 || (strcmp(c->class, "gpqa_instruct_pass_at_k") == 0 && letters))
        return coverage_pass_at_k(n, n_right, c->k);
    if (strcmp(c->class, "maj_at_k") != 0) return NAN;
    struct select_classes *classes = select_classes_new();
    struct select_solution solutions[64] = {0};
    for (int i = 0; i < MIN(c->k, 64); i++)
        solutions[i] = (struct select_solution){
            .answer_class = select_classes_add_answer(classes, str_from(text_at(c, i))), .complete = true};
    struct select_choice s = select_choose(SELECT_MAJORITY, AGGREGATE_LAST, solutions, NULL, MIN(c->k, 64));
    select_classes_free(classes);
    return s.solution >= 0 && strcmp(text_at(c, s.solution), c->gold) == 0;
}

/* Of several gold answers they take the first; of several figures (g-pass) ours is the first, at threshold 0.
 */
static double check_case(const json_t *o, const char *id) {
    const json_t *doc = json_object_get(o, "doc"), *gold = json_object_get(doc, "gold_index");
    if (json_is_array(gold)) gold = json_array_get(gold, 0);
    struct metric_case c = {
        .class = json_string_value(json_object_get(o, "metric_class")),
        .texts = json_object_get(json_object_get(o, "model_response"), "text"),
        .gold = json_string_value(
            json_array_get(json_object_get(doc, "choices"), (size_t)json_integer_value(gold))),
        .k = (int)json_integer_value(json_object_get(json_object_get(o, "metric_params"), "k")),
        .expected = NAN,
        .tolerance = json_number_value(json_object_get(o, "tolerance")),
    };
    json_t *expected = json_object_get(o, "expected_output");
    c.expected = json_number_value(json_object_iter_value(json_object_iter(expected)));
    if (!c.class || !c.gold || c.k < 1 || (int)json_array_size(c.texts) < c.k) return NAN;
    double got = metric_of(&c);
    if (!isnan(got)) check(id, got, c.expected, c.tolerance);
    return got;
}

static void check_lighteval(const char *path) {
    struct err e;
    struct str line;
    struct file_lines *f = file_lines_open(path, &e);
    int n_cases = 0, n_other = 0, more = f ? 1 : -1;
    while (f && (more = file_lines_next(f, &line, &e)) > 0) {
        json_t *o = json_parse(line, path, &e);
        const char *id = json_string_value(json_object_get(o, "id"));
        bool done = id && !isnan(check_case(o, id));
        *(done ? &n_cases : &n_other) += 1;
        json_decref(o);
    }
    if (more < 0) printf("FAIL %s\n", e.msg);
    n_failed += more < 0;
    if (f) file_lines_close(f);
    printf("lighteval: %d cases of pass@k, avg@k, maj@k; skip %d of how it finds answers in text\n", n_cases,
           n_other);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(const char *path);
    } checks[] = {{"replay/qwen_math_cot_100x8_rm.jsonl", check_qwen},
                  {"replay/tot_game24_cot_100.jsonl", check_game24},
                  {"grader/lighteval_metric_cases.jsonl", check_lighteval}};
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        char *path = find(argc > 1 ? argv[1] : ".", checks[i].name);
        if (path) checks[i].run(path);
        free(path);
    }
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed > 0;
}
