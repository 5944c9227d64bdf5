/* Samples and self-written tests of any bytes: programs and tests with their copies, or one line that says
 * what is wrong. The bytes are read as both. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "verify/selftest.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void write_file(int *fd, const void *bytes, size_t n, char path[64]) {
    if (*fd < 0) *fd = memfd_create("lines", 0);
    ASSERT(*fd >= 0 && ftruncate(*fd, 0) == 0 && pwrite(*fd, bytes, n, 0) == (ssize_t)n);
    snprintf(path, 64, "/proc/self/fd/%d", *fd);
}

static void check_problem(const struct selftest_problem *p) {
    for (size_t i = 0; i < p->n_programs; i++) {
        const struct selftest_program *program = &p->programs[i];
        ASSERT(program->text && program->n_solutions > 0 && program->n_graded <= program->n_solutions);
        ASSERT(program->n_right >= 0 && program->n_right <= program->n_graded);
    }
    for (size_t i = 0; i < p->n_tests; i++) ASSERT(p->tests[i] && p->n_copies[i] > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static const char problems[] =
        "{\"task_id\":\"a\",\"prompt\":\"def f(x):\\n\",\"entry_point\":\"f\",\"test\":\"\"}\n"
        "{\"task_id\":\"b\",\"prompt\":\"def g(x):\\n\",\"entry_point\":\"g\",\"test\":\"\"}\n";
    static int fd = -1, problems_fd = -1;
    char path[64], problems_path[64];
    struct humaneval h;
    struct selftests s;
    write_file(&fd, bytes, n, path);
    write_file(&problems_fd, problems, sizeof problems - 1, problems_path);
    struct err e = {0}, samples_error = {0}, tests_error = {0};
    ASSERT(humaneval_read(&h, problems_path, NULL, &e));
    selftests_init(&s, &h);
    if (!selftests_read_samples(&s, path, &samples_error)) ASSERT(samples_error.code == ERR_INPUT);
    if (!selftests_read_tests(&s, path, &tests_error)) ASSERT(tests_error.code == ERR_INPUT);
    ASSERT(!strchr(samples_error.msg, '\n') && !strchr(tests_error.msg, '\n'));
    for (size_t i = 0; i < h.n_problems; i++) check_problem(&s.problems[i]);
    selftests_fini(&s);
    humaneval_fini(&h);
    return 0;
}
