/* verifier.h - the verifier service as a search sees it: something that passes or rejects a solution without
 * the answer key.
 *
 *     v = verifier_open("tests", &options, &e)
 *     verifier_submit(v, &job)                  any number in flight
 *     while (verifier_work(v, 0.1, &e) > 0)
 *         while (verifier_next(v, &result))     passed or rejected, with what is wrong
 *
 * SPEC is KIND[,key=value...][:REST]. The kinds are rows of one table (verifier.c) and one file each: `tests`
 * (programs against unit tests, verify.h), `toy` (model/toy_chain.h), ... A new kind fills struct
 * verifier_ops. docs/verifiers.md says what each reads, and the contract of commands.
 *
 * What a verifier is shown: the problem's id and prompt, the fields of its line in the task but for those
 * that hold the answer key or a reference solution (run/task.h), and the solution's text.
 *
 * Determinism: verdict, score and feedback are to be functions of (verifier, problem, solution): they are
 * recorded, told to the search and replayed. VERIFIER_UNKNOWN says that the verifier could not do its work;
 * it says nothing about the solution.
 *
 * Ownership: submit copies. Threads: one thread owns a verifier; kinds may start processes: open it before
 * services that have threads. Nothing blocks beyond seconds_max.
 */
#ifndef BROOD_VERIFIER_H
#define BROOD_VERIFIER_H

#include "base/err.h"
#include "base/str.h"

struct verifier;

struct verifier_options {
    int n_workers; /* 0: one a core; a spec's workers=N comes first */
};

struct verifier_problem {
    const char *id, *prompt;
    struct str line; /* a JSON object, as above; empty: there is no task */
};

struct verifier_job {
    uint64_t id; /* the caller's, unique among jobs in flight */
    struct verifier_problem problem;
    struct str solution;
};

enum verifier_verdict { VERIFIER_REJECTED, VERIFIER_PASSED, VERIFIER_UNKNOWN };

enum { VERIFIER_FEEDBACK_MAX = 2000 }; /* bytes; what is longer is cut */

struct verifier_result {
    uint64_t id;
    enum verifier_verdict verdict;
    double score;         /* a share in [0,1], if the verifier gives one; else NAN */
    const char *feedback; /* rejected: what is wrong, UTF-8, for a revision to read; unknown: why; else "".
                             Valid until verifier_work or verifier_next */
    int n_executions;     /* programs, proofs or commands run for it */
    double seconds;       /* by the clock, of these */
    double cpu_seconds;   /* 0 where it is not known */
};

struct verifier_info {
    const char *name, *kind;
    char identity[32]; /* of everything that verdicts depend on, as far as it can be seen from here */
    int n_wanted;      /* jobs in flight that keep it busy */
};

MUST struct verifier *verifier_open(const char *spec, const struct verifier_options *o, struct err *e);
void verifier_close(struct verifier *v); /* ends what still runs; NULL is legal */
const struct verifier_info *verifier_info(const struct verifier *v);

void verifier_submit(struct verifier *v, const struct verifier_job *job);
void verifier_cancel(struct verifier *v, uint64_t id); /* no result follows; an unknown id is ignored */
/* > 0: something is in flight; 0: nothing is; -1: failed for good. */
MUST int verifier_work(struct verifier *v, double seconds_max, struct err *e);
bool verifier_next(struct verifier *v, struct verifier_result *out);
int verifier_in_flight(const struct verifier *v); /* jobs submitted whose result has not been taken */

/* The kinds, for help: the last has no name. */
struct verifier_kind {
    const char *name, *syntax, *help;
};
extern const struct verifier_kind verifier_kinds[];

#endif
