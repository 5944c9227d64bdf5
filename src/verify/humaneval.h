/* humaneval.h - HumanEval's files as published: problems and samples in, results out.
 *
 *     problems  {"task_id", "prompt", "entry_point", "test", ...}     one a line; gzip is read too
 *     samples   {"task_id", "completion", ...}                        any number a problem, in any order
 *     results   each sample's line with "result" and "passed" added, in the order of the samples
 *
 * A program is prompt + completion; the tests are `test`, which defines check(candidate). "result" is
 * "passed", "timed out" or "failed: why", as human-eval writes it (openai/human-eval, execution.py). Equal
 * programs of a problem are run once; their samples share the verdict.
 */
#ifndef BROOD_HUMANEVAL_H
#define BROOD_HUMANEVAL_H

#include "base/map.h"
#include "base/str.h"
#include "verify/verify.h"

struct humaneval_problem {
    char *task_id, *prompt, *entry_point, *test; /* owned */
    int64_t n_samples, n_passed;                 /* counted by humaneval_run */
};

struct humaneval {
    struct humaneval_problem *problems;
    size_t n_problems, cap;
    struct map *index; /* task_id -> problem */
};

MUST bool humaneval_read(struct humaneval *h, const char *path, struct err *e);
void humaneval_fini(struct humaneval *h); /* a zeroed one is legal */

struct humaneval_counts {
    int64_t n_samples, n_distinct, n_done; /* samples; different programs; of these, decided */
    int64_t n_of[VERIFY_VERDICTS];         /* samples by verdict */
    int64_t n_second_tries;                /* programs that ran out of time once */
    double cpu_seconds, wall_seconds;      /* of programs; from the first to the last */
    double calls;
    size_t memory_bytes_max;
    char refused[200]; /* the first line that says why tests could not be run; "" if none */
};

/* Checks every sample, counts, and puts the results' lines into *results. on_progress (may be NULL) returns
 * false to stop, which is ERR_CANCELLED. */
MUST bool humaneval_run(struct humaneval *h, const char *samples_path, struct verify *v,
                        const struct verify_limits *limits,
                        bool (*on_progress)(void *ctx, const struct humaneval_counts *c), void *ctx,
                        struct humaneval_counts *counts, struct buf *results, struct err *e);

#endif
