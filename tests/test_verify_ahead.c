/* test_verify_ahead.c - programs that a worker is sent while it is at another: each has its own verdict
 * whatever becomes of the one before it, of the one behind it, and of the worker. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <signal.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/base.h"
#include "verify/verify.h"

enum { N_MAX = 64 };
static const char adds_one[] = "def check(f):\n    for x in (-1, 0, 1, 41): assert f(x) == x + 1\n";
static const char right[] = "def f(x): return x + 1\n", spins[] = "def f(x):\n    while True: pass\n",
                  leaves[] = "import os\nos._exit(3)\n", waits[] = "import time\ntime.sleep(1000)\n";

static struct verify *open_one(void) {
    const struct verify_options o = {.least = VERIFY_FILTERED, .highest = VERIFY_NAMESPACES, .n_workers = 1};
    struct err e;
    struct verify *v = verify_open(&o, &e);
    if (!v) fail_msg("%s", e.msg);
    return v;
}

static void submit(struct verify *v, uint64_t id, const char *program) {
    struct verify_job job = {.id = id,
                             .program = str_from(program),
                             .tests = {.code = str_from(adds_one), .entry_point = "f"},
                             .limits = verify_limits_default};
    job.limits.cpu_seconds = program == spins ? 0.3 : 60;
    job.limits.wall_seconds = 100;
    verify_submit(v, &job);
}

static void work(struct verify *v, double seconds) {
    struct err e;
    if (verify_work(v, seconds, &e) < 0) fail_msg("%s", e.msg);
}

/* Until all have come; the order of their ends in `order`. */
static int collect(struct verify *v, struct verify_result results[N_MAX], uint64_t order[N_MAX]) {
    struct verify_result r;
    int n = 0;
    while (verify_in_flight(v) > 0) {
        work(v, 1);
        for (; verify_next(v, &r); n++) {
            assert_true(r.id < N_MAX && n < N_MAX);
            results[r.id] = r;
            order[n] = r.id;
        }
    }
    return n;
}

static void programs_before_and_behind(void **state) {
    static const char *const programs[] = {right, leaves,
                                           right, "def f(x:\n",
                                           right, "def f(x): return x\n",
                                           right, "raise ValueError(1)\n",
                                           right, "open('/tmp/a', 'w').write('x')\ndef f(x): return x + 1\n",
                                           right};
    struct verify_result results[N_MAX];
    uint64_t order[N_MAX];
    UNUSED(state);
    struct verify *v = open_one();
    for (uint64_t i = 0; i < 5 * ARRAY_LEN(programs); i++) submit(v, i, programs[i % ARRAY_LEN(programs)]);
    assert_int_equal(collect(v, results, order), 5 * ARRAY_LEN(programs));
    for (uint64_t i = 0; i < 5 * ARRAY_LEN(programs); i++) {
        const uint64_t which = i % ARRAY_LEN(programs);
        assert_int_equal(order[i], i); /* one worker: one after another */
        assert_int_equal(results[i].verdict, which % 2 == 0 || which == 9 ? VERIFY_PASSED
                                             : which == 1                 ? VERIFY_CRASHED
                                                                          : VERIFY_FAILED);
        assert_int_equal(results[i].n_tries, 1);
    }
    verify_close(v);
}

/* The second was sent behind the first and is taken back; the first is tried again when all others are over.
 */
static void behind_one_that_lasts(void **state) {
    struct verify_result results[N_MAX];
    uint64_t order[N_MAX];
    UNUSED(state);
    struct verify *v = open_one();
    submit(v, 0, spins);
    for (uint64_t i = 1; i < 4; i++) submit(v, i, right);
    assert_int_equal(collect(v, results, order), 4);
    assert_int_equal(order[3], 0);
    assert_int_equal(results[0].verdict, VERIFY_TIMED_OUT);
    assert_int_equal(results[0].n_tries, 2);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(results[i].verdict, VERIFY_PASSED);
        assert_int_equal(results[i].n_tries, 1);
    }
    verify_close(v);
}

static void cancelled_while_it_waits(void **state) {
    struct verify_result results[N_MAX];
    uint64_t order[N_MAX];
    UNUSED(state);
    struct verify *v = open_one();
    for (int round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 4; i++) submit(v, i, i == 0 ? waits : right);
        work(v, 0); /* sends the first two */
        verify_cancel(v, 1);
        verify_cancel(v, 0);
        assert_int_equal(verify_in_flight(v), 2);
        assert_int_equal(collect(v, results, order), 2);
        assert_int_equal(results[2].verdict, VERIFY_PASSED);
        assert_int_equal(results[3].verdict, VERIFY_PASSED);
    }
    verify_close(v);
}

static pid_t first_child(pid_t pid) {
    char path[64];
    intmax_t child = 0;
    snprintf(path, sizeof path, "/proc/%jd/task/%jd/children", (intmax_t)pid, (intmax_t)pid);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%jd", &child) != 1) child = 0;
    if (f) fclose(f);
    return (pid_t)child;
}

/* With two in it: neither is lost, and neither is blamed for it. */
static void the_worker_ends(void **state) {
    struct verify_result results[N_MAX];
    uint64_t order[N_MAX];
    UNUSED(state);
    if (access("/proc/thread-self/children", R_OK) != 0) skip(); /* so the kernel was built */
    struct verify *v = open_one();
    for (uint64_t i = 0; i < 4; i++) submit(v, i, i == 0 ? spins : right);
    work(v, 0);
    assert_int_equal(kill(first_child(getpid()), SIGKILL), 0);
    assert_int_equal(collect(v, results, order), 4);
    assert_int_equal(results[0].verdict, VERIFY_TIMED_OUT);
    for (int i = 1; i < 4; i++) assert_int_equal(results[i].verdict, VERIFY_PASSED);
    verify_close(v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_before_and_behind),
        cmocka_unit_test(behind_one_that_lasts),
        cmocka_unit_test(cancelled_while_it_waits),
        cmocka_unit_test(the_worker_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
