/* check_agree DATA - dual execution agreement on programs and tests that others' policy wrote. Takes minutes.
 *
 *   replay/humaneval_codegen16b_100.jsonl     8,200 samples of CodeGen-16B-mono, graded
 *   replay/humaneval_codegen16b_tests.jsonl   its own tests of the same 82 problems
 *
 * The paper (Chen et al. 2022, CodeT, 2207.10397) says in its abstract of another, larger policy
 * (code-davinci-002), on all 164 problems: 65.8 by agreement, 18.8 more than by one sample.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "select/agreement.h"
#include "select/coverage.h"
#include "verify/selftest.h"

static const uint64_t key = 0x636f646574U;

struct sums {
    double *one, *agree;
    int n;
};

static void add_problem(const struct selftest_problem *p, struct sums *s) {
    int64_t *n_solutions = mem_zalloc(p->n_programs, sizeof *n_solutions), n = 0, n_right = 0, best = 0,
            best_right = 0;
    size_t *group_of = mem_zalloc(p->n_programs, sizeof *group_of), n_groups;
    for (size_t i = 0; i < p->n_programs; i++) n_solutions[i] = p->programs[i].n_solutions;
    free(agreement_find(AGREEMENT_DUAL, p->passed, n_solutions, p->n_programs, p->n_copies, p->n_tests,
                        group_of, &n_groups));
    for (size_t i = 0; i < p->n_programs; i++) {
        n += n_solutions[i];
        n_right += p->programs[i].n_right;
        best += group_of[i] == 0 ? n_solutions[i] : 0;
        best_right += group_of[i] == 0 ? p->programs[i].n_right : 0;
    }
    s->one[s->n] = (double)n_right / (double)n;
    s->agree[s->n++] = (double)best_right / (double)best;
    free(n_solutions);
    free(group_of);
}

static int check(const struct selftests *t, const struct selftest_counts *c) {
    struct sums s = {.one = mem_zalloc(t->h->n_problems, sizeof(double)),
                     .agree = mem_zalloc(t->h->n_problems, sizeof(double))};
    for (size_t i = 0; i < t->h->n_problems; i++)
        if (t->problems[i].n_programs > 0) add_problem(&t->problems[i], &s);
    const struct interval one = coverage_interval(s.one, s.n, key);
    const struct interval agree = coverage_interval(s.agree, s.n, key);
    const struct interval gain = coverage_difference(s.agree, s.one, s.n, key);
    printf("%d problems, %lld programs, %lld tests: one sample %.1f [%.1f, %.1f], by agreement %.1f [%.1f, "
           "%.1f], gain %+.1f [%+.1f, %+.1f]; %lld broke, %.0f s of CPU\n",
           s.n, (long long)c->n_programs, (long long)c->n_tests, 100 * one.mean, 100 * one.low,
           100 * one.high, 100 * agree.mean, 100 * agree.low, 100 * agree.high, 100 * gain.mean,
           100 * gain.low, 100 * gain.high, (long long)c->n_broken, c->cpu_seconds);
    free(s.one);
    free(s.agree);
    const bool ok = s.n == 82 && gain.low > 0;
    if (!ok) printf("FAIL agreement gains over one sample\n");
    printf("%d passed, %d failed\n", ok, !ok);
    return !ok;
}

int main(int argc, char **argv) {
    const char *dir = argc > 1 ? argv[1] : "../shared/data";
    char *problems = file_join(dir, "bench/humaneval.jsonl");
    char *samples = file_join(dir, "replay/humaneval_codegen16b_100.jsonl");
    char *tests = file_join(dir, "replay/humaneval_codegen16b_tests.jsonl");
    const struct verify_options options = {.least = VERIFY_FILTERED, .highest = VERIFY_NAMESPACES};
    struct selftest_way way = {.limits = verify_limits_default};
    struct humaneval h = {0};
    struct selftests s = {0};
    struct selftest_counts c;
    struct verify *v = NULL;
    struct err e = {0};
    int status = 0;
    way.limits.cpu_seconds = 0.1; /* as the authors: it is milliseconds that they take */
    if (!file_exists(problems) || !file_exists(samples) || !file_exists(tests)) {
        printf("skip: not all of %s, %s and %s are there\n", problems, samples, tests);
    } else if (!(v = verify_open(&options, &e))) {
        printf("skip: %s\n", e.msg);
    } else if (!humaneval_read(&h, problems, NULL, &e)) {
        printf("FAIL %s\n", e.msg);
        status = 1;
    } else {
        selftests_init(&s, &h);
        if (selftests_read_samples(&s, samples, &e) && selftests_read_tests(&s, tests, &e) &&
            selftests_run(&s, v, &way, &c, &e)) {
            status = check(&s, &c);
        } else {
            printf("FAIL %s\n", e.msg);
            status = 1;
        }
    }
    selftests_fini(&s);
    humaneval_fini(&h);
    verify_close(v);
    free(problems);
    free(samples);
    free(tests);
    return status;
}
