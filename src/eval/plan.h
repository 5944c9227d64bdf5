/* plan.h - fits a compute-optimal plan (search/plan.h) to recorded runs, and says how far to trust it.
 *
 *     runs on a calibration set            for each problem, again and again:
 *     sample:n=256  ─┐  pilots drawn from    pilot ─> features ─> predicted pass rate ─> bin
 *     beam:n=16     ─┼─ the samples          pilot + strategy ─> right or wrong, tokens, FLOP
 *     dvts:n=64     ─┘                       bin x budget ─> the strategy that was right most often
 *
 * One run of many independent samples stands for all smaller numbers of them; runs of searches count as they
 * are. Whatever is planned is played with the recorded solutions exactly as `adaptive` would act, pilot and
 * its cost included. Grades are used here and nowhere else: what the plan says of a problem at solve time
 * depends on votes, rewards and likelihoods.
 *
 * Snell et al. 2024 (2408.03314): two-fold cross-validation inside bins, quintiles of difficulty. Liu et al.
 * 2025 (2502.06703): absolute bins. Damani et al. 2024 (2410.04707): a budget kept on average over problems.
 * Where we differ from all three: what the prediction costs is charged, and its own folds are kept apart,
 * too.
 */
#ifndef BROOD_EVAL_PLAN_H
#define BROOD_EVAL_PLAN_H

#include "base/json.h"
#include "search/plan.h"
#include "select/coverage.h"

enum { PLAN_SIZES_MAX = 4, PLAN_RELIABILITY_ROWS = 10, PLAN_RUNS_MAX = 64 };

struct plan_options {
    enum plan_unit by; /* PLAN_TOKENS, PLAN_FLOPS */
    bool absolute;     /* bins at pass rates of 0.1 and 0.5; else quintiles */
    bool each;         /* every bin keeps the budget for itself; else all problems together do, on average */
    int sizes[PLAN_SIZES_MAX], n_sizes; /* of pilots that are tried; 0: 1, 2, 4 and 16 */
};

/* Pilots in the order of their predicted pass rate, in groups of equal size. */
struct plan_reliability_row {
    double predicted,
        real; /* mean pass rates: predicted from the pilots, real of their problems' other samples */
    int n;    /* pilots */
};

struct plan_reliability {
    struct plan_reliability_row rows[PLAN_RELIABILITY_ROWS];
    int n_rows, n_problems;
    double brier;          /* mean squared error of the prediction that a sample is right: 0 best */
    double brier_constant; /* of predicting every problem's rate by the mean of all */
    double brier_known;    /* of knowing every problem's rate: the least there is */
    double ece;            /* mean distance of predicted and real over the rows */
};

struct plan_point {
    double budget;        /* in the plan's unit; NAN where the strategy is what it is */
    double tokens, flops; /* spent a problem */
    struct interval accuracy;
};

struct plan_line {
    char *name;
    struct plan_point *points; /* [n], ascending cost */
    int n;
};

struct plan_cell_figures {                 /* in the runs that it was fitted to */
    double accuracy, tokens, flops, share; /* share of the pilots that fall into the bin */
};

struct plan_result {
    char **runs; /* [n_runs] names */
    int n_runs, n_problems, n_samples;
    char *policy, *reward; /* reward NULL: none */
    struct plan_options options;
    char *text; /* the plan */
    struct plan *plan;
    struct plan_cell_figures **cells;     /* [levels][bins] */
    struct plan_reliability *reliability; /* [pilots] of predictions for problems that were not fitted to */
    /* Cross-validated: "plan"; "plan, difficulty known" (in advance and for nothing, from the grades); "one
     * strategy" (the best for all problems alike). As recorded: "majority", "weighted", ... of so many
     * samples; each search. */
    struct plan_line *lines;
    int n_lines;
};

/* The runs must be of one policy, one reward model and one task; one at least of independent samples. */
MUST struct plan_result *plan_fit(const char *const *paths, int n_paths, const struct plan_options *o,
                                  struct err *e);
void plan_result_free(struct plan_result *r);
/* How reliable the predictions of a plan are on the problems of another run of independent samples:
 * out[n_pilots]. */
MUST bool plan_check(const struct plan *p, const char *path, struct plan_reliability *out, struct err *e);
json_t *plan_reliability_json(const struct plan_reliability *r);
json_t *plan_result_json(const struct plan_result *r); /* docs/json.md */

#endif
