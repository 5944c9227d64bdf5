/* bench_http [IN_FLIGHT [REQUESTS [SPEEDUP]]] - what it costs to keep so many requests to a server in flight.
 *
 * The server (sim_server.h) takes 50 ms and 20 ms a token, steps of 36 tokens in the median, divided by
 * SPEEDUP. A policy over it is kept busy with IN_FLIGHT jobs until REQUESTS have been answered; each answer's
 * prefix is gone on from, up to eight steps, then comes another problem. Printed is the processor time of
 * this process alone (the server's is another's), and the memory that it came to hold: processor time does
 * not depend on what else the machine does, but for what others leave of its caches.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "policy/policy.h"
#include "sim_server.h"

enum { PROBLEMS = 64, STEPS = 8 };

struct place { /* one of the jobs that are kept in flight */
    struct policy_prefix *at, *root;
    int depth;
};

static double cpu_seconds(double *system) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    *system = (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec * 1e-6;
    return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec * 1e-6 + *system;
}

static double peak_bytes(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss * 1024;
}

static void stop(const struct err *e) {
    fprintf(stderr, "bench_http: %s\n", e->msg);
    exit(3);
}

static void submit(struct policy *p, struct place *places, size_t i, uint64_t key) {
    policy_submit(p, &(struct policy_job){.id = i,
                                          .from = places[i].at ? places[i].at : places[i].root,
                                          .key = key,
                                          .until = POLICY_UNTIL_STEP,
                                          .n_tokens_max = SIM_TOKENS_MAX,
                                          .sampling = {.temperature = 1, .top_p = 1}});
}

static void go_on(struct policy *p, struct place *x, struct policy_prefix *next) {
    policy_release(p, x->at);
    x->at = next;
    if (++x->depth % STEPS != 0) return;
    policy_release(p, x->at);
    x->at = NULL;
}

int main(int argc, char **argv) {
    const size_t n_flying = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 2000;
    const long n_requests = argc > 2 ? strtol(argv[2], NULL, 10) : 40000;
    const double speedup = argc > 3 ? strtod(argv[3], NULL) : 1;
    struct err e = {0};
    pid_t pid;
    char spec[64], problem[64];
    const int port = sim_start(speedup, &pid);
    snprintf(spec, sizeof spec, "http://127.0.0.1:%d/v1#sim", port);
    const double before = peak_bytes();
    struct policy *p = policy_open(spec, NULL, &e);
    if (!p) stop(&e);
    struct policy_prefix *roots[PROBLEMS];
    for (int i = 0; i < PROBLEMS; i++) {
        snprintf(problem, sizeof problem, "problem %d", i);
        roots[i] = policy_root(p, &(struct policy_prompt){.id = problem, .text = problem}, &e);
        if (!roots[i]) stop(&e);
    }
    struct place *places = mem_zalloc(n_flying, sizeof *places);
    uint64_t key = 0;
    for (size_t i = 0; i < n_flying; i++) {
        places[i].root = roots[i % PROBLEMS];
        submit(p, places, i, key++);
    }
    double system0 = 0, system1 = 0, cpu0 = 0, began = 0, n_tokens = 0, sum_flying = 0;
    long n_warm = (long)n_flying * 4, n_done = -n_warm, n_failed = 0, n_turns = 0;
    while (n_done < n_requests) {
        struct policy_result r;
        if (policy_work(p, 0.05, &e) < 0) stop(&e);
        n_turns++;
        while (policy_next(p, &r)) {
            if (++n_done == 0) {
                cpu0 = cpu_seconds(&system0);
                began = clock_seconds();
                n_turns = 0;
            }
            n_failed += r.finish == POLICY_FAILED;
            n_tokens += n_done > 0 ? r.n_tokens : 0;
            sum_flying += n_done > 0 ? fmin(policy_in_flight(p), policy_info(p)->n_wanted) : 0;
            const size_t id = r.id;
            go_on(p, &places[id], r.prefix);
            submit(p, places, id, key++);
        }
    }
    const double cpu = cpu_seconds(&system1) - cpu0, seconds = clock_seconds() - began, n = (double)n_done;
    printf("%.0f requests in flight on average, %.0f a second, %.1f tokens each, %ld failed\n",
           sum_flying / n, n / seconds, n_tokens / n, n_failed);
    printf("%.1f us of processor time a request (%.1f in the kernel): %.1f %% of a core for 1,000 requests a "
           "second; %.1f requests a turn\n",
           cpu / n * 1e6, (system1 - system0) / n * 1e6, cpu / n * 1e5, n / (double)n_turns);
    printf("%.1f MB of memory more than at the start\n", (peak_bytes() - before) / 1e6);
    for (size_t i = 0; i < n_flying; i++) {
        policy_cancel(p, i);
        policy_release(p, places[i].at);
    }
    for (int i = 0; i < PROBLEMS; i++) policy_release(p, roots[i]);
    policy_close(p);
    free(places);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return 0;
}
