/* check_coverage DATA - coverage, its law, intervals and offers on samples that other people's models wrote.
 *
 *   replay/tot_game24_cot_100.jsonl        Tree of Thoughts: 100 samples for each of 100 problems
 *   replay/gsm8k_model_solutions.jsonl     Cobbe et al. 2021: 4 models on the 1,319 test problems
 *
 * Beside each number stands one that was come by in another way: a grid search, plain resamples, counts.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/offers.h"
#include "select/recorded.h"

static int n_passed, n_failed;

static void check(const char *what, double got, double expected, double tolerance) {
    const bool ok = fabs(got - expected) <= tolerance;
    *(ok ? &n_passed : &n_failed) += 1;
    if (!ok) printf("FAIL %s: %g, expected %g\n", what, got, expected);
}

/* NULL, said aloud, if the file is not there. */
static char *find(const char *dir, const char *name) {
    char *path = file_join(dir, name);
    if (file_exists(path)) return path;
    printf("skip %s: not there\n", path);
    free(path);
    return NULL;
}

/* ---- the law on Tree of Thoughts' samples ---- */

struct points {
    double k[LAW_POINTS], c[LAW_POINTS];
    int n;
};

static double squares(const struct points *p, double u, double b) {
    double sum = 0;
    for (int i = 0; i < p->n; i++) sum += pow(p->c[i] - exp(-exp(u) * pow(p->k[i], b)), 2);
    return sum;
}

/* The least squares by search over ever finer grids. */
static double least_squares(const struct points *p) {
    double u = 0, b = -0.5, width_u = 6, width_b = 1, best = INFINITY;
    for (int round = 0; round < 60; round++) {
        double next_u = u, next_b = b;
        for (int i = -10; i <= 10; i++) {
            for (int j = -10; j <= 10; j++) {
                const double s = squares(p, u + width_u * i / 10, b + width_b * j / 10);
                if (s >= best) continue;
                best = s;
                next_u = u + width_u * i / 10;
                next_b = b + width_b * j / 10;
            }
        }
        u = next_u;
        b = next_b;
        width_u *= 0.7;
        width_b *= 0.7;
    }
    return best;
}

static void check_law(const struct recorded *r, const int *n_right) {
    int ks[LAW_POINTS];
    struct points p = {.n = law_points(100, ks)};
    for (int i = 0; i < p.n; i++) {
        p.k[i] = ks[i];
        for (size_t j = 0; j < r->n_problems; j++)
            p.c[i] += coverage_pass_at_k(100, n_right[j], ks[i]) / (double)r->n_problems;
    }
    struct law l;
    if (!law_fit(p.k, p.c, p.n, &l)) {
        check("game24: a law", 0, 1, 0);
        return;
    }
    const struct law_forecast f = law_forecast(p.k, p.c, p.n, 25);
    check("game24: nothing fits better", sqrt(squares(&p, log(-l.a), l.b)), sqrt(least_squares(&p)), 1e-7);
    check("game24: the law at 1", law_coverage(&l, 1), 0.0403, 0.02);
    check("game24: the law at 100", law_coverage(&l, 100), 0.49, 0.02);
    check("game24: samples for 49 %", law_coverage(&l, law_samples(&l, 0.49)), 0.49, 1e-9);
    check("game24: R2 above 0.99", l.r2 > 0.99, 1, 0);
    printf("game24: coverage(k) = exp(%.4g k^%.4g), R2 %.4f; on up to 25 samples alone it misses later ones "
           "by %.1f "
           "points, %.1f at worst; 80 %% with %.0f samples\n",
           l.a, l.b, l.r2, 100 * f.error, 100 * f.error_worst, law_samples(&l, 0.8));
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Percentiles of plain resamples by another stream of numbers. */
static void check_interval(const char *what, const double *x, int n, struct interval v) {
    enum { B = 8000 };
    double *means = mem_zalloc(B, sizeof *means), mean = 0, var = 0;
    for (int b = 0; b < B; b++) {
        for (int i = 0; i < n; i++)
            means[b] += x[(int)(rng_unit(1234, (uint64_t)b * (uint64_t)n + (uint64_t)i) * n)] / n;
    }
    for (int i = 0; i < n; i++) mean += x[i] / n;
    for (int i = 0; i < n; i++) var += (x[i] - mean) * (x[i] - mean) / (n - 1.0) / n;
    qsort(means, B, sizeof *means, by_value);
    const double se = sqrt(var);
    char name[120];
    snprintf(name, sizeof name, "%s: lower end by plain resamples", what);
    check(name, v.low, means[(int)(0.025 * B)], 0.2 * se); /* 2,000 resamples tell an end to 0.06 se */
    snprintf(name, sizeof name, "%s: upper end by plain resamples", what);
    check(name, v.high, means[(int)(0.975 * B)], 0.2 * se);
    snprintf(name, sizeof name, "%s: width by the standard error", what);
    check(name, v.high - v.low, 2 * 1.96 * se, 0.3 * se);
    free(means);
}

static void check_game24(const char *path) {
    struct recorded r;
    struct err e;
    recorded_init(&r);
    if (!recorded_read(&r, path, &e)) {
        printf("FAIL %s\n", e.msg);
        n_failed++;
        recorded_fini(&r);
        return;
    }
    int *n_right = mem_zalloc(r.n_problems, sizeof *n_right);
    double *x = mem_zalloc(r.n_problems, sizeof *x);
    for (size_t i = 0; i < r.n_problems; i++)
        for (size_t j = 0; j < r.problems[i].n_solutions; j++)
            n_right[i] += r.problems[i].solutions[j].right == RECORDED_RIGHT;
    static const int ks[] = {1, 10, 50};
    for (size_t k = 0; k < ARRAY_LEN(ks); k++) {
        char what[60];
        for (size_t i = 0; i < r.n_problems; i++) x[i] = coverage_pass_at_k(100, n_right[i], ks[k]);
        const struct interval v = coverage_interval(x, (int)r.n_problems, 1);
        snprintf(what, sizeof what, "game24 pass@%d", ks[k]);
        check_interval(what, x, (int)r.n_problems, v);
        printf("%s: %.1f [%.1f, %.1f]\n", what, 100 * v.mean, 100 * v.low, 100 * v.high);
    }
    check_law(&r, n_right);
    free(x);
    free(n_right);
    recorded_fini(&r);
}

/* ---- offers on GSM8K: two samples of 6B models against one of 175B ---- */

static const char *const models[] = {"6b_finetuning", "6b_verification", "175b_finetuning",
                                     "175b_verification"};
static const int published[] = {286, 515, 458, 742}; /* right answers of 1,319 */

struct answers {
    struct map *by_id;
    char **ids;
    bool (*right)[4];
    size_t n, cap_ids, cap;
};

static bool read_answers(struct answers *a, const char *path) {
    struct err e;
    struct str line;
    struct file_lines *f = file_lines_open(path, &e);
    int more = f ? 1 : -1;
    a->by_id = map_new(2000);
    while (f && (more = file_lines_next(f, &line, &e)) > 0) {
        json_t *o = json_parse(line, path, &e);
        const char *id = json_string_value(json_object_get(o, "id")),
                   *model = json_string_value(json_object_get(o, "model"));
        uint32_t at = (uint32_t)a->n;
        size_t m = 0;
        while (model && m < 4 && strcmp(models[m], model) != 0) m++;
        if (id && map_put(a->by_id, str_from(id), at)) {
            MEM_GROW(a->ids, a->cap_ids, a->n + 1);
            MEM_GROW(a->right, a->cap, a->n + 1);
            a->ids[a->n] = mem_strdup(id);
            memset(a->right[a->n++], 0, sizeof *a->right);
        }
        if (id && m < 4 && map_get(a->by_id, str_from(id), &at))
            a->right[at][m] = json_is_true(json_object_get(o, "is_correct"));
        json_decref(o);
    }
    if (f) file_lines_close(f);
    if (more < 0) printf("FAIL %s\n", e.msg);
    n_failed += more < 0;
    return more == 0;
}

/* A run with these models' solutions as its samples; a sample costs as many tokens as the model has billions.
 */
static bool write_run(const char *path, const struct answers *a, int first, int n, double tokens,
                      struct err *e) {
    unlink(path);
    struct store *s = store_open(path, STORE_WRITE, e);
    bool ok =
        s && store_set_config(s,
                              n > 1 ? "{\"policy\":{\"name\":\"6b\"},\"strategy\":\"sample:n=2\",\"select\":"
                                      "\"majority\",\"seed\":\"0\",\"aggregate\":\"last\"}"
                                    : "{\"policy\":{\"name\":\"175b\"},\"strategy\":\"greedy\",\"select\":"
                                      "\"majority\",\"seed\":\"0\",\"aggregate\":\"last\"}",
                              e);
    for (size_t i = 0; ok && i < a->n; i++) {
        const struct store_problem p = {.ordinal = (int)i, .id = a->ids[i], .text = "?", .answer = "1"};
        const struct cost none = {0};
        ok = store_put_problem(s, &p, e) && store_put_root_costs(s, (int)i, &none, &none, e);
        for (int j = 0; ok && j < n; j++) {
            const bool right = a->right[i][first + j];
            const struct store_node node = {.problem = (int)i,
                                            .path = j ? "1" : "0",
                                            .text = j ? STR("b") : STR("a"),
                                            .verdict = -1,
                                            .n_tokens = (int)tokens,
                                            .finish = STORE_END,
                                            .cost = {.tokens_generated = tokens}};
            const struct store_solution v = {.problem = (int)i,
                                             .path = node.path,
                                             .answer = right ? "1" : "0",
                                             .complete = true,
                                             .right = right};
            ok = store_put_node(s, &node, e) && store_put_solution(s, &v, e);
        }
        ok = ok && store_put_done(s, (int)i, e);
    }
    struct err closing = {0};
    return store_close(s, ok ? e : &closing) && ok;
}

static void check_offers(const struct answers *a, const char *cheap, const char *dear) {
    struct err e;
    struct offers o = {0};
    struct report *r = report_new();
    double any = 0, one = 0, sum = 0, squared = 0;
    for (size_t i = 0; i < a->n; i++) {
        const double d = (a->right[i][0] || a->right[i][1]) - (double)a->right[i][2];
        any += a->right[i][0] || a->right[i][1];
        one += a->right[i][2];
        sum += d;
        squared += d * d;
    }
    const double n = (double)a->n, se = sqrt((squared / n - sum / n * sum / n) / n);
    if (!report_add(r, cheap, REPORT_AGGREGATE_OF_RUN, &e) ||
        !report_add(r, dear, REPORT_AGGREGATE_OF_RUN, &e) || !offers_make(&o, r, (const int[]){2, 1}, &e)) {
        printf("FAIL %s\n", e.msg);
        n_failed++;
    } else {
        const struct offer *both = &o.items[1], *single = &o.items[2];
        const struct offer_pair *p = &o.pairs[o.n_pairs - 1];
        check("gsm8k: any of two 6B", both->solved.mean, any / n, 1e-12);
        check("gsm8k: one 175B", single->solved.mean, one / n, 1e-12);
        check("gsm8k: tokens for each solved by 6B", both->per_solved[OFFER_TOKENS].mean, 12 * n / any, 1e-9);
        check("gsm8k: tokens for each solved by 175B", single->per_solved[OFFER_TOKENS].mean, 175 * n / one,
              1e-9);
        check("gsm8k: gain over pairs", p->gain.mean, sum / n, 1e-12);
        check("gsm8k: width of the gain", p->gain.high - p->gain.low, 2 * 1.96 * se, 0.2 * se);
        check("gsm8k: cost ratio", p->ratio[OFFER_TOKENS], 12.0 / 175, 1e-12);
        printf("gsm8k: any of two 6B models %.1f %%, one of 175B %.1f %%: %+.1f [%+.1f, %+.1f]\n",
               100 * any / n, 100 * one / n, 100 * p->gain.mean, 100 * p->gain.low, 100 * p->gain.high);
    }
    offers_fini(&o);
    report_free(r);
}

static void check_gsm8k(const char *path) {
    struct answers a = {0};
    struct err e;
    char dir[] = "/tmp/brood-external-XXXXXX";
    if (!read_answers(&a, path) || !mkdtemp(dir)) return;
    check("gsm8k problems", (double)a.n, 1319, 0);
    for (int m = 0; m < 4; m++) {
        int n = 0;
        for (size_t i = 0; i < a.n; i++) n += a.right[i][m];
        check(models[m], n, published[m], 0);
    }
    char *cheap = file_join(dir, "cheap.brood"), *dear = file_join(dir, "dear.brood");
    if (write_run(cheap, &a, 0, 2, 6, &e) && write_run(dear, &a, 2, 1, 175, &e)) {
        check_offers(&a, cheap, dear);
    } else {
        printf("FAIL %s\n", e.msg);
        n_failed++;
    }
    char command[80];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0) printf("skip %s: cannot be removed\n", dir);
    free(cheap);
    free(dear);
    for (size_t i = 0; i < a.n; i++) free(a.ids[i]);
    free(a.ids);
    free(a.right);
    map_free(a.by_id);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(const char *path);
    } checks[] = {{"replay/tot_game24_cot_100.jsonl", check_game24},
                  {"replay/gsm8k_model_solutions.jsonl", check_gsm8k}};
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        char *path = find(argc > 1 ? argv[1] : ".", checks[i].name);
        if (path) checks[i].run(path);
        free(path);
    }
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed > 0;
}
