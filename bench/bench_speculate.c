/* bench_speculate [N_PROBLEMS [N_ROUNDS]] - how long one problem takes with and without steps written ahead
 * (run/speculate.h), and that its answer is the same.
 *
 *   http       a server of our own (tests/mock_server.h) that takes time as a GPU does: 50 ms to the first
 * token and 20 ms a token, at a tenth of that so that the bench ends soon; steps of 36 tokens in the median,
 *              log-normal with sigma 0.6 (recorded solutions of Qwen2.5-Math to MATH problems have 36 in the
 *              median; sigma is 0.3 among first steps of the same problem and 0.9 over all). Rewards take no
 *              time.
 *   embedded   the bundled models on all cores, problems of the bundled task from the hardest on.
 *
 * Problems are solved without and with, in turn; medians over problems and rounds, and of the ratios of the
 * pairs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/mock_server.h"
#include "base/clock.h"
#include "brood.h"
#include "run/task.h"

static const char *const strategies[] = {"beam:n=16,width=4", "dvts:n=16,width=4", "mcts:n=16,width=8",
                                         "beam:n=16,allocation=rebase", "its-pf:n=16"};
enum { SPEEDUP = 10, PAIRS_MAX = 4096 };

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n) {
    qsort(x, (size_t)n, sizeof *x, by_value);
    return n == 0 ? 0 : n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

struct pairs {
    double without[PAIRS_MAX], with[PAIRS_MAX], ratio[PAIRS_MAX];
    int n, n_different;
    double n_guessed, n_used;
};

static struct brood_answer *solve(struct brood *b, const char *problem, const char *strategy, uint64_t seed,
                                  enum brood_speculate speculate) {
    struct brood_error error;
    struct brood_answer *a =
        brood_solve(b,
                    &(struct brood_request){
                        .problem = problem, .strategy = strategy, .seed = seed, .speculate = speculate},
                    &error);
    if (!a) fprintf(stderr, "bench_speculate: %s\n", error.message);
    if (!a) exit(error.status);
    return a;
}

static bool same_answer(const struct brood_answer *a, const struct brood_answer *b) {
    bool same = a->n_found == b->n_found && a->tokens_generated == b->tokens_generated;
    for (int i = 0; same && i < a->n_found; i++)
        same = strcmp(a->solutions[i].text, b->solutions[i].text) == 0 &&
               strcmp(a->solutions[i].path, b->solutions[i].path) == 0;
    return same;
}

static void measure(struct brood *b, const char *const *problems, int n_problems, int n_rounds,
                    const char *strategy, double unit) {
    struct pairs *p = mem_zalloc(1, sizeof *p);
    for (int i = 0; i < n_rounds * n_problems && p->n < PAIRS_MAX; i++) {
        const char *problem = problems[i % n_problems];
        const uint64_t seed = (uint64_t)(i / n_problems);
        struct brood_answer *without = solve(b, problem, strategy, seed, BROOD_SPECULATE_OFF);
        struct brood_answer *with = solve(b, problem, strategy, seed, BROOD_SPECULATE_ON);
        p->n_different += !same_answer(without, with);
        p->without[p->n] = without->seconds * unit;
        p->with[p->n] = with->seconds * unit;
        p->ratio[p->n] = with->seconds / without->seconds;
        p->n++;
        p->n_guessed += with->n_guessed;
        p->n_used += with->n_guesses_used;
        brood_answer_free(without);
        brood_answer_free(with);
    }
    printf("  %-28s %8.3f s %8.3f s   x %.2f   %5.1f guessed, %5.1f used a problem%s\n", strategy,
           median(p->without, p->n), median(p->with, p->n), median(p->ratio, p->n), p->n_guessed / p->n,
           p->n_used / p->n, p->n_different ? "   OTHER ANSWERS" : "");
    fflush(stdout);
    if (p->n_different) exit(1);
    free(p);
}

static struct brood *open_models(const char *policy, const char *reward) {
    struct brood_error error;
    struct brood *b = brood_open(&(struct brood_options){.policy = policy, .reward = reward}, &error);
    if (!b) fprintf(stderr, "bench_speculate: %s\n", error.message);
    if (!b) exit(error.status);
    return b;
}

static void heading(const char *what) {
    printf("%-30s %10s %10s   ratio (medians)\n", what, "without", "with");
}

static void bench_http(int n_problems, int n_rounds) {
    static const char *const chains[] = {"chain a", "chain b", "chain c", "chain d",
                                         "chain e", "chain f", "chain g", "chain h"};
    struct mock *m = mock_start(&(struct mock_options){.dialect = MOCK_VLLM,
                                                       .chain = "depth=8,seed=5",
                                                       .first_seconds = 0.05 / SPEEDUP,
                                                       .token_seconds = 0.02 / SPEEDUP,
                                                       .tokens_median = 36,
                                                       .tokens_sigma = 0.6});
    char spec[64];
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1#toy", m->port);
    struct brood *b = open_models(spec, "toy:depth=8,seed=5,noise=0.1");
    heading("http, 8 steps, 20 ms a token");
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++)
        measure(b, chains, MIN(n_problems, (int)ARRAY_LEN(chains)), n_rounds, strategies[i], SPEEDUP);
    brood_close(b);
    mock_stop(m);
}

static void bench_embedded(int n_problems, int n_rounds) {
    struct err e;
    struct task *task = task_open("lab:story", 0, &e);
    if (!task) fprintf(stderr, "bench_speculate: %s\n", e.msg);
    if (!task) exit(2);
    const char **hard = mem_zalloc(task->n_problems, sizeof *hard);
    int n = 0;
    for (int level = 5; level >= 1; level--)
        for (size_t i = 0; i < task->n_problems; i++)
            if (task->problems[i].level == level) hard[n++] = task->problems[i].prompt;
    struct brood *b = open_models("lab:small", "lab:prm");
    heading("embedded, lab:small, lab:prm");
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++)
        measure(b, hard, MIN(n, n_problems), n_rounds, strategies[i], 1);
    brood_close(b);
    free(hard);
    task_free(task);
}

int main(int argc, char **argv) {
    const int n_problems = argc > 1 ? MAX(1, (int)strtol(argv[1], NULL, 10)) : 8;
    const int n_rounds = argc > 2 ? MAX(1, (int)strtol(argv[2], NULL, 10)) : 3;
    bench_http(n_problems, n_rounds);
    bench_embedded(n_problems, n_rounds);
    return 0;
}
