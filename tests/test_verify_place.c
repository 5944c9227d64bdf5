/* test_verify_place.c - the core that a worker's processes share: held, let go, held again a second later. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "verify/place.h"

static int n_cores;
static cpu_set_t mine;

/* A process that begins another, which begins a third; each waits until this one ends. */
static pid_t begin_three(pid_t pids[3], int *line) {
    int said[2], held[2];
    assert_int_equal(pipe(said), 0);
    assert_int_equal(pipe(held), 0);
    const pid_t first = fork();
    if (first == 0) {
        close(held[1]);
        for (int i = 0; i < 3; i++) {
            const pid_t self = getpid();
            if (write(said[1], &self, sizeof self) != sizeof self) _exit(1);
            if (i < 2 && fork() != 0) break;
        }
        char byte;
        _exit(read(held[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(held[0]);
    for (int i = 0; i < 3; i++) assert_int_equal(read(said[0], &pids[i], sizeof pids[i]), sizeof pids[i]);
    close(said[0]);
    close(said[1]);
    *line = held[1];
    return first;
}

static void expect_cores(const pid_t pids[3], const cpu_set_t *cores) {
    for (int i = 0; i < 3; i++) {
        cpu_set_t its;
        assert_int_equal(sched_getaffinity(pids[i], sizeof its, &its), 0);
        assert_true(CPU_EQUAL(&its, cores));
    }
}

static void a_worker_is_held_and_let_go_with_all_that_it_began(void **state) {
    UNUSED(state);
    if (n_cores < 2) skip();
    if (access("/proc/thread-self/children", R_OK) != 0) skip(); /* so the kernel was built */
    struct place p;
    pid_t pids[3];
    int line;
    cpu_set_t one;
    const pid_t first = begin_three(pids, &line);
    assert_int_equal(first, pids[0]);
    place_choose(&p, n_cores - 1, n_cores);
    assert_true(CPU_ISSET((size_t)p.core, &mine));
    CPU_ZERO(&one);
    CPU_SET((size_t)p.core, &one);
    expect_cores(pids, &mine);
    place_hold(&p, first, 100);
    expect_cores(pids, &one);
    place_let_go(&p, first, 100.1);
    expect_cores(pids, &mine);
    place_hold(&p, first, 101); /* too soon */
    expect_cores(pids, &mine);
    place_hold(&p, first, 101.2);
    expect_cores(pids, &one);
    close(line);
    assert_int_equal(waitpid(first, NULL, 0), first);
}

static void each_worker_has_a_core_or_none_has(void **state) {
    UNUSED(state);
    cpu_set_t taken;
    struct place p;
    CPU_ZERO(&taken);
    for (int i = 0; i < n_cores && n_cores > 1; i++) {
        place_choose(&p, i, n_cores);
        assert_false(CPU_ISSET((size_t)p.core, &taken));
        CPU_SET((size_t)p.core, &taken);
    }
    if (n_cores > 1) assert_true(CPU_EQUAL(&taken, &mine));
    place_choose(&p, 0, n_cores + 1);
    assert_int_equal(p.core, -1);
    place_hold(&p, getpid(), 100);
    place_let_go(&p, getpid(), 100);
    assert_int_equal(sched_getaffinity(0, sizeof taken, &taken), 0);
    assert_true(CPU_EQUAL(&taken, &mine));
    place_choose(&p, 0, 1);
    assert_int_equal(p.core, -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_worker_is_held_and_let_go_with_all_that_it_began),
        cmocka_unit_test(each_worker_has_a_core_or_none_has),
    };
    if (sched_getaffinity(0, sizeof mine, &mine) != 0) return 1;
    n_cores = CPU_COUNT(&mine);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
