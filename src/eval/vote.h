/* vote.h - choosing again, offline: every rule with every aggregate over solutions recorded earlier.
 *
 * Answers are put into classes of equal answers anew; grades are those of the file, and where it has none but
 * an answer key, the grader's. Problems without either are left out and counted.
 */
#ifndef BROOD_VOTE_H
#define BROOD_VOTE_H

#include "base/json.h"
#include "eval/curves.h"
#include "select/recorded.h"

struct vote_options {
    int measure;              /* one of enum curves_measure; -1: all that the file has the inputs for */
    enum aggregate aggregate; /* AGGREGATES: all */
    enum confidence by;       /* what makes a solution's confidence; CONFIDENCES: all */
    int window;               /* as in select_confidence */
    int n;                    /* samples a problem; 0: 1, 2, 4, ... */
    bool first;               /* the first n, as published; else the mean over subsets of n */
    bool lenient;             /* grade by Qwen's rules */
};

struct vote_row {
    enum curves_measure measure;
    enum aggregate aggregate;     /* AGGREGATES: does not matter here */
    enum confidence by;           /* CONFIDENCES: likewise */
    struct interval accuracy[32]; /* [n_ks] */
};

struct vote {
    int ks[32], n_ks;
    struct vote_row *rows;
    size_t n_rows, cap;
    int n_problems, n_solutions, n_ungraded; /* n_problems took part */
};

MUST bool vote_count(const struct recorded *r, const struct vote_options *o, struct vote *out, struct err *e);
void vote_fini(struct vote *v);
json_t *vote_json(const struct vote *v); /* docs/json.md */

#endif
