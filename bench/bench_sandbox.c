/* bench_sandbox [N [PYTHON]] - programs checked a second: Brood's verifier in namespaces, and a plain Python
 * harness that starts a manager and a process for each program as openai/human-eval does
 * (bench/human_eval_way.py), without any isolation. The same programs and tests, in turns, on the same cores.
 * The last line is the figure.
 *
 * N programs a turn for the harness, 10 N for Brood (default 60, 600).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "verify/verify.h"

enum { TURNS = 3, TIMES = 10 };

struct problem {
    const char *program, *tests;
    bool right;
};

static const struct problem PROBLEMS[] = {
    {"from typing import List\ndef f(xs: List[float], t: float) -> bool:\n    for i, x in enumerate(xs):\n"
     "        for j, y in enumerate(xs):\n            if i != j and abs(x - y) < t: return True\n    return "
     "False\n",
     "def check(f):\n    assert f([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.3) == True\n"
     "    assert f([1.0, 2.0, 3.9, 4.0, 5.0, 2.2], 0.05) == False\n    assert f([1.0, 2.0, 5.9, 4.0, 5.0], "
     "0.95) == "
     "True\n    assert f([1.1, 2.2, 3.1], 0.5) == False\n",
     true},
    {"def f(s):\n    return s[::-1]\n",
     "def check(f):\n    assert f('') == ''\n    assert f('abc') == 'cba'\n    assert f('a' * 50) == 'a' * "
     "50\n",
     true},
    {"def f(s):\n    return s\n", "def check(f):\n    assert f('') == ''\n    assert f('abc') == 'cba'\n",
     false},
    {"import math\ndef f(n):\n    return [p for p in range(2, n) if all(p % q for q in range(2, "
     "math.isqrt(p) + 1))]\n",
     "def check(f):\n    assert f(10) == [2, 3, 5, 7]\n    assert f(2) == []\n    assert len(f(1000)) == "
     "168\n",
     true},
    {"def f(n):\n    return undefined + n\n", "def check(f):\n    assert f(1) == 2\n", false},
    {"from collections import Counter\ndef f(s):\n    return dict(Counter(s.split()))\n",
     "def check(f):\n    assert f('a b a') == {'a': 2, 'b': 1}\n    assert f('') == {}\n", true},
    {"def f(n:\n    return n\n", "def check(f):\n    assert f(1) == 1\n", false},
    {"def f(a, b):\n    while b: a, b = b, a % b\n    return a\n",
     "def check(f):\n    for a, b, c in ((3, 5, 1), (10, 15, 5), (49, 14, 7), (144, 60, 12)): assert f(a, b) "
     "== c\n",
     true},
};

struct sum {
    double seconds, cpu;
    int n, n_wrong;
};

static double children_cpu(void) {
    struct rusage r;
    getrusage(RUSAGE_CHILDREN, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
           1e-6 * (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static bool take_results(struct verify *v, struct sum *sum) {
    struct verify_result r;
    struct err e = {0};
    if (verify_work(v, 1, &e) < 0) {
        printf("%s\n", e.msg);
        return false;
    }
    while (verify_next(v, &r)) {
        sum->n++;
        sum->n_wrong += (r.verdict == VERIFY_PASSED) != PROBLEMS[r.id % ARRAY_LEN(PROBLEMS)].right;
    }
    return true;
}

/* A turn of Brood: opening and closing are not in its seconds, but in its CPU time. */
static bool turn_of_brood(int n, const char *python, struct sum *sum) {
    const struct verify_options o = {
        .python = python, .least = VERIFY_FILTERED, .highest = VERIFY_NAMESPACES};
    struct err e = {0};
    const double cpu = children_cpu() + clock_cpu_seconds(), opening = clock_seconds();
    struct verify *v = verify_open(&o, &e);
    if (!v) {
        printf("%s\n", e.msg);
        return false;
    }
    const double started = clock_seconds();
    if (sum->n == 0)
        printf("sandbox: %s%s, Python %s, %d at once, opened in %.2f s\n",
               verify_level_names[verify_info(v)->level], verify_info(v)->landlock ? " and Landlock" : "",
               verify_info(v)->version, verify_info(v)->n_workers, started - opening);
    bool ok = true;
    for (int i = 0; ok && (i < n || verify_in_flight(v) > 0);) {
        for (; i < n && verify_in_flight(v) < verify_info(v)->n_wanted; i++) {
            const struct problem *p = &PROBLEMS[(size_t)i % ARRAY_LEN(PROBLEMS)];
            const struct verify_job job = {.id = (uint64_t)i,
                                           .program = str_from(p->program),
                                           .tests = {.code = str_from(p->tests), .entry_point = "f"},
                                           .limits = verify_limits_default};
            verify_submit(v, &job);
        }
        ok = take_results(v, sum);
    }
    sum->seconds += clock_seconds() - started;
    verify_close(v);
    sum->cpu += children_cpu() + clock_cpu_seconds() - cpu;
    return ok;
}

static bool write_problems(const char *path) {
    FILE *f = fopen(path, "w");
    if (!f) return false;
    for (size_t i = 0; i < ARRAY_LEN(PROBLEMS); i++) {
        json_t *o = json_pack("{s:s, s:s, s:s, s:b}", "program", PROBLEMS[i].program, "tests",
                              PROBLEMS[i].tests, "entry_point", "f", "right", PROBLEMS[i].right);
        char *line = json_line(o);
        fprintf(f, "%s\n", line);
        free(line);
        json_decref(o);
    }
    return fclose(f) == 0;
}

static bool turn_of_harness(int n, const char *python, const char *problems, struct sum *sum) {
    char command[1000];
    double seconds, cpu;
    int n_wrong;
    snprintf(command, sizeof command, "'%s' bench/human_eval_way.py %d <'%s'", python ? python : "python3", n,
             problems);
    FILE *f = popen(command, "r");
    if (!f) return false;
    const bool ok = fscanf(f, "%lf %lf %d", &seconds, &cpu, &n_wrong) == 3;
    if (pclose(f) != 0 || !ok) return false;
    sum->seconds += seconds;
    sum->cpu += cpu;
    sum->n += n;
    sum->n_wrong += n_wrong;
    return true;
}

static void print_sum(const char *name, const struct sum *s) {
    printf("%-28s %6d programs in %7.2f s: %7.1f a second, %6.2f ms of CPU each, %d wrong verdicts\n", name,
           s->n, s->seconds, s->n / s->seconds, 1000 * s->cpu / s->n, s->n_wrong);
}

int main(int argc, char **argv) {
    const int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 60;
    const char *python = argc > 2 ? argv[2] : NULL;
    char problems[] = "/tmp/bench_sandbox.XXXXXX";
    struct sum brood = {0}, harness = {0};
    const int fd = mkstemp(problems);
    bool ok = n > 0 && fd >= 0 && write_problems(problems);
    for (int turn = 0; ok && turn < TURNS; turn++)
        ok = turn_of_brood(TIMES * n, python, &brood) && turn_of_harness(n, python, problems, &harness);
    if (fd >= 0) close(fd);
    unlink(problems);
    if (!ok) {
        printf("the benchmark could not be run: it needs Python 3.9 and a sandbox\n");
        return 1;
    }
    print_sum("brood, isolated", &brood);
    print_sum("as human-eval, not isolated", &harness);
    printf("CPU time: %.1f times less a program\n", (harness.cpu / harness.n) / (brood.cpu / brood.n));
    printf("%.1f times the programs a second\n", (brood.n / brood.seconds) / (harness.n / harness.seconds));
    return brood.n_wrong + harness.n_wrong > 0;
}
