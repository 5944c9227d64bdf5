/* humaneval.h - files of problems with tests as they are published, samples of programs in, results out.
 *
 *     problems  one a line, gzip is read too; each line in any of these layouts:
 *
 *       HumanEval     {"task_id", "prompt", "entry_point", "test", "canonical_solution"?}
 *
 *       EvalPlus      {"task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input",
 *                     "atol"?}
 *
 *       MBPP          {"task_id", "test_list", "code", "test_setup_code"? or "test_imports"?}
 *
 *       CodeContests  {"name", "public_tests", "private_tests", "generated_tests", "time_limit", ...}:
 *                     programs that read standard input and print
 *
 *     samples   {"task_id", "completion"} or {"task_id", "solution"}, any number a problem, in any order
 *
 *     results   each sample's line with "result" and "passed" added, in the order of the samples
 *
 * A program is prompt + completion, or the solution alone; MBPP and CodeContests have no prompt that belongs
 * to it. "result" is "passed", "timed out" or "failed: why", as human-eval writes it (openai/human-eval,
 * execution.py). Equal programs of a problem are run once; their samples share the verdict. Tests that can be
 * told apart go from the shortest to the longest, up to the first that does not hold.
 *
 * EvalPlus's expectations are what the reference gives, within atol (1e-6 where it gives floats) and a
 * relative 1e-7; which arguments of MBPP+ are tuples, and what it takes as equal sets, is in evalplus.py.
 *
 * A reference is a solution that comes with the problem. humaneval_check_references runs each several times:
 * a problem whose reference fails, or passes only sometimes, cannot tell right from wrong and is left out of
 * counts.
 */
#ifndef BROOD_HUMANEVAL_H
#define BROOD_HUMANEVAL_H

#include "base/map.h"
#include "base/str.h"
#include "verify/verify.h"

enum humaneval_trust { HUMANEVAL_UNKNOWN, HUMANEVAL_HOLDS, HUMANEVAL_FAILS, HUMANEVAL_FLAKY };

struct humaneval_problem {
    char *task_id, *prompt, *entry_point, *test; /* owned; prompt: what stands before a completion */
    char *setup;                                 /* owned; run before the tests */
    char *reference;                             /* owned; a whole program that is right; NULL: none */
    bool reference_is_cpp;                       /* else it is Python's, whatever samples are */
    struct verify_io *io;                        /* [n_io], owned; their texts are, too */
    size_t n_io;
    double cpu_seconds;  /* 0: not said by the problem; else at least so much */
    size_t memory_bytes; /* as well */
    bool hidden;         /* what its tests expect is not for those who write programs; n_io: see there */
    char *unfit;         /* owned; why its programs cannot be run here; NULL: they can */
    enum humaneval_trust trust;
    char *trouble;               /* owned; what its reference ran into */
    int64_t n_samples, n_passed; /* counted by humaneval_run; not of problems that fail or are flaky */
};

struct humaneval {
    struct humaneval_problem *problems;
    size_t n_problems, cap;
    struct map *index; /* task_id -> problem */
};

/* language: that of samples, NULL: Python; if CodeContests' problems have a solution in it, this is the
 * reference. */
MUST bool humaneval_read(struct humaneval *h, const char *path, const struct verify_language *language,
                         struct err *e);
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

struct humaneval_way {
    const struct verify_language *language; /* NULL: Python */
    struct verify_limits limits;
    const char *
        kept; /* verdicts of samples are kept beside this file, which the results go to (kept.h); NULL: not */
    bool (*on_progress)(void *ctx,
                        const struct humaneval_counts *c); /* false stops: ERR_CANCELLED; may be NULL */
    void *ctx;
};

/* Runs every reference n_times, in its own language, and fills trust and trouble. */
MUST bool humaneval_check_references(struct humaneval *h, int n_times, struct verify *v,
                                     const struct humaneval_way *way, struct err *e);
/* After it: the lines of the file that was read, but for the problems that fail or are flaky. */
MUST bool humaneval_write_kept(const struct humaneval *h, const char *path, struct buf *out, struct err *e);
/* Checks every sample, counts, and puts the results' lines into *results. What was kept is removed by
 * humaneval_done, once they are written. */
MUST bool humaneval_run(struct humaneval *h, const char *samples_path, struct verify *v,
                        const struct humaneval_way *way, struct humaneval_counts *counts, struct buf *results,
                        struct err *e);
void humaneval_done(const struct humaneval_way *way);

#endif
