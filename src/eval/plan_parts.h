/* plan_parts.h - what fitting a plan is made of (private to plan*.c).
 *
 *   plan_data.c   recorded runs, problem by problem, answers in classes across all runs
 *   plan_play.c   a strategy played with recorded solutions: right or wrong, and the cost
 *   plan_rate.c   features to pass rates: logistic regression, calibration, reliability
 *   plan_table.c  which strategy in which bin at which budget
 *   plan.c        folds, lines, the plan
 *   plan_write.c  the plan and the result as JSON
 */
#ifndef BROOD_EVAL_PLAN_PARTS_H
#define BROOD_EVAL_PLAN_PARTS_H

#include "eval/plan.h"
#include "select/select.h"
#include "store/store.h"

/* ---- recorded runs ---- */
struct plan_spent {
    double tokens, flops_policy, flops_reward;
};

struct plan_solution {
    struct select_solution view; /* rewards owned */
    bool right;
    double logprob;
    int n_tokens;
    struct plan_spent spent; /* independent samples: of this one; scoring it counts once for equal texts */
    int face;                /* the first solution with this text */
};

struct plan_attempt { /* of one run at one problem */
    bool there;
    struct plan_solution *solutions; /* [n] in path order */
    int n;
    struct plan_spent spent;  /* in all, prompts apart */
    struct plan_spent prompt; /* flops_reward 0: nothing was scored */
};

struct plan_problem {
    char *id;
    struct select_classes *classes;
    struct plan_attempt *attempts; /* [n_runs] */
    double rate;                   /* share of right ones among the samples */
    int n_right;
    int fold;
};

struct plan_run {
    char *path, *name;
    struct search_spec spec;
    bool independent; /* samples that are drawn without regard to each other */
    bool scored;
    enum aggregate aggregate;
};

struct plan_data {
    struct plan_run *runs;
    int n_runs, base; /* base: the run of most independent samples */
    struct plan_problem *problems;
    int n_problems, n_samples; /* that every problem has in the base run */
    char *policy, *reward;     /* names; reward NULL: none */
    struct map *by_id;
};

MUST bool plan_data_load(struct plan_data *d, const char *const *paths, int n_paths, struct err *e);
void plan_data_fini(struct plan_data *d);
bool plan_is_sampling(const char *key); /* temperature, top_p, min_p, top_k */
/* A run's strategy without the sampling that it has in common with the base, and without its n. */
struct search_spec plan_bare_spec(const struct plan_data *d, int i_run, bool without_n);

/* ---- playing ---- */
struct plan_candidate {
    int run;         /* of the data; the base: samples, n of them */
    int n;           /* samples */
    bool scored;     /* samples: by the reward model */
    int stop_window; /* samples: > 0: stop=beta, so many at a time */
    enum select_rule select;
    char *family; /* "majority", "best", ..., or what the run is called: candidates of one line */
};

struct plan_outcome {
    float right, tokens, flops;
};

enum { PLAN_DRAWS = 8 }; /* pilots of each problem, from apart places of one shuffle of its samples */

/* One look at one problem: the samples in the order in which this draw has them. */
void plan_shuffle(const struct plan_data *d, int i_problem, int draw, int *order /* [n_samples] */);
/* After a pilot of n_pilot samples (0: none) the candidate, as `adaptive` would. */
struct plan_outcome plan_play(const struct plan_data *d, const struct plan_candidate *c, int i_problem,
                              const int *order, int n_pilot, bool pilot_scored);
void plan_pilot_features(const struct plan_data *d, int i_problem, const int *order, int n_pilot, bool scored,
                         enum aggregate aggregate, double out[PLAN_FEATURES]);
/* The share of right ones among the samples that are not in the pilot. */
double plan_rate_beside(const struct plan_data *d, int i_problem, const int *order, int n_pilot);

/* ---- rates ---- */
struct plan_rows { /* pilots */
    double (*features)[PLAN_FEATURES];
    double *rates; /* that was seen beside each */
    int *problems; /* index */
    int n;
};

/* Fits weights, calibration and edges to the rows whose problem passes; `out` says n, scored, aggregate. */
void plan_fit_rate(const struct plan_rows *rows, const bool *use, bool absolute, struct plan_pilot *out);
double plan_predict(const struct plan_pilot *p, const double features[PLAN_FEATURES]);
void plan_measure(const double *predicted, const double *real, int n, struct plan_reliability *out);
void plan_edges(double *rates, int n, bool absolute, struct plan_pilot *out); /* sorts the rates */

/* ---- tables ---- */
struct plan_table {
    const struct plan_outcome *outcomes; /* [n_candidates][n_rows] */
    int n_candidates, n_rows;
    bool by_flops;
};

struct plan_choice {
    int cells[PLAN_BINS_MAX]; /* candidates */
    double right, cost;       /* means over the rows that were used */
};

/* The best choice for rows whose `use` holds; bins[n_rows] in [0, n_bins). False: nothing keeps the budget.
 */
bool plan_choose(const struct plan_table *t, const bool *use, const int *bins, int n_bins, double budget,
                 bool each, struct plan_choice *out);

/* ---- writing ---- */
struct plan_draft_level {
    double budget;
    int pilot; /* -1: none */
    int cells[PLAN_BINS_MAX], n_cells;
    struct plan_cell_figures figures[PLAN_BINS_MAX];
};

struct plan_draft {
    const struct plan_data *data;
    const struct plan_candidate *candidates;
    struct plan_pilot pilots[PLAN_PILOTS_MAX];
    int n_pilots;
    struct plan_draft_level levels[PLAN_LEVELS_MAX];
    int n_levels;
    struct plan_price prices[PLAN_KNOTS_MAX];
    int n_prices;
};

/* The plan with what it was fitted to; owned. */
char *plan_write(const struct plan_draft *d, const struct plan_result *r);

#endif
