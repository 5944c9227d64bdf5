/* selftest.h - programs against tests that a policy wrote itself (select/agreement.h chooses by them).
 *
 *     samples  {"task_id", "completion"}, or {"task_id", "completions": [...]}; what a grader said may stand
 *              beside, as "passed": true, or "passed": [...]
 *     tests    {"task_id", "tests": ["assert f(1) == 2", ...]}; a test may be {"test": "...", "count": 3}
 *
 * Problems are HumanEval's (humaneval.h). Equal completions of a problem are one program, equal tests one
 * test, with their copies counted. A test is one assert statement of plain expressions: names without a
 * leading underscore, a few methods, no statements; anything else passes nothing, and is never run. Programs
 * run as in verify.h, each against all its tests at once; one that ends or runs out of time under them is
 * tried again with each half, a few times, so that one bad test does not hide the others. What a program
 * passes is kept as it is decided (kept.h).
 */
#ifndef BROOD_SELFTEST_H
#define BROOD_SELFTEST_H

#include "verify/humaneval.h"

struct selftest_program {
    char *text;          /* the completion; owned */
    int64_t n_solutions; /* copies */
    int64_t n_graded, n_right;
};

struct selftest_problem {
    struct selftest_program *programs;
    char **tests;      /* owned */
    int64_t *n_copies; /* [n_tests] */
    size_t n_programs, programs_cap, n_tests, tests_cap, copies_cap;
    uint8_t *passed; /* [n_programs][n_tests], after selftests_run */
};

struct selftests {
    const struct humaneval *h;
    struct selftest_problem *problems; /* as in h */
    struct map *programs, *tests;
};

struct selftest_counts {
    int64_t n_jobs, n_done; /* programs with tests; of these, decided */
    int64_t n_programs, n_tests, n_broken;
    double cpu_seconds;
};

void selftests_init(struct selftests *s, const struct humaneval *h); /* borrows h */
void selftests_fini(struct selftests *s);
MUST bool selftests_read_samples(struct selftests *s, const char *path, struct err *e);
MUST bool selftests_read_tests(struct selftests *s, const char *path, struct err *e);
struct selftest_way {
    struct verify_limits limits;
    const char *kept; /* kept beside this file, which the choices go to; NULL: not */
    bool (*on_progress)(void *ctx,
                        const struct selftest_counts *c); /* false stops: ERR_CANCELLED; may be NULL */
    void *ctx;
};

/* What was kept is removed by selftests_done, once the choices are written. */
MUST bool selftests_run(struct selftests *s, struct verify *v, const struct selftest_way *way,
                        struct selftest_counts *c, struct err *e);
void selftests_done(const struct selftest_way *way);

#endif
