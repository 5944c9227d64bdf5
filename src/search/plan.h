/* plan.h - the compute-optimal choice as data: how difficult a problem looks after a few samples, and what to
 * do then with a budget. The strategy `adaptive` acts on a plan; `brood plan` fits one (eval/plan.h);
 * docs/plan.md has the JSON text.
 *
 *     pilot: n samples ─> features ─> score = bias + sum of weight * feature ─> predicted pass rate ─> bin
 *
 *                          bin 0 (hardest)    bin 1          ...    bin 4 (easiest)
 *     level, budget 1x     sample:n=1                (no pilot: one cell for all)
 *     level, budget 8x     sample:n=8         beam:n=4       ...    sample:n=4
 *     level, budget 64x    beam:n=64          dvts:n=64      ...    sample:n=8
 *
 * The rate is predicted without the answer key, from votes, rewards and likelihoods alone. What the pilot
 * costs is part of the level's budget, and its samples stay solutions.
 *
 * Snell, Lee, Xu, Kumar 2024, "Scaling LLM test-time compute optimally" (2408.03314), section 3; Liu et al.
 * 2025 (2502.06703) for absolute bins; Damani et al. 2024, "Learning how hard to think" (2410.04707), for
 * budgets that are kept on average. Where we differ from Snell et al.: their predicted difficulty takes 2,048
 * samples that are charged to nobody.
 *
 * Ownership: a plan owns all it holds. Threads: a plan is not changed after plan_parse; any may read it.
 */
#ifndef BROOD_SEARCH_PLAN_H
#define BROOD_SEARCH_PLAN_H

#include "search/search.h"

/* What budgets are counted in: samples, generated tokens, or FLOP of policy and reward model with the
 * prompts. */
enum plan_unit { PLAN_SAMPLES, PLAN_TOKENS, PLAN_FLOPS, PLAN_UNITS };

enum plan_feature {
    PLAN_AGREEMENT, /* share of the pilot that gave its most frequent answer */
    PLAN_ENTROPY,   /* of the votes, as a share of the most that they can have; no answer is one of its own */
    PLAN_ENDED,     /* share that ended with an answer */
    PLAN_REWARD_BEST,   /* the largest aggregate reward; a solution without one counts as 0 */
    PLAN_REWARD_MEAN,   /* their mean */
    PLAN_REWARD_SPREAD, /* their standard deviation */
    PLAN_REWARD_SHARE,  /* share of all reward that the answer with most of it has */
    PLAN_LOGPROB,       /* mean natural log-probability of a token */
    PLAN_LENGTH,        /* natural log of 1 + the mean number of tokens */
    PLAN_FEATURES
};

extern const char *const plan_unit_names[PLAN_UNITS + 1], *const plan_feature_names[PLAN_FEATURES + 1];
bool plan_feature_needs_reward(enum plan_feature f);

enum {
    PLAN_PILOTS_MAX = 16,
    PLAN_LEVELS_MAX = 64,
    PLAN_BINS_MAX = 16,
    PLAN_KNOTS_MAX = 64,
    PLAN_SAMPLES_MAX = 4096
};

struct plan_knot {
    double score, rate;
};

struct plan_pilot {
    int n;
    bool scored; /* by the reward model */
    enum aggregate aggregate;
    double bias, weights[PLAN_FEATURES];
    struct plan_knot knots[PLAN_KNOTS_MAX]; /* ascending in both; straight lines between, level outside */
    int n_knots;
    double edges[PLAN_BINS_MAX - 1]; /* ascending: bin b holds the rates in [edges[b - 1], edges[b]) */
    int n_bins;
};

struct plan_cell {
    char *strategy;           /* as search_spec_parse reads it */
    char *select;             /* the selection that suits; NULL: as without a plan */
    enum aggregate aggregate; /* likewise; AGGREGATES: as without */
    double share;             /* > 0: the strategy's n is this share of what adaptive may spend, in samples */
};

struct plan_level {
    double budget;           /* what its cells spend at most, on average, in the plan's unit */
    int pilot;               /* index into pilots; -1: none, and one cell for all problems */
    struct plan_cell *cells; /* [n_cells], hardest bin first */
    int n_cells;
};

/* What n samples cost on average, in the plan's unit. */
struct plan_price {
    double n, cost;
};

struct plan {
    enum plan_unit unit;
    struct plan_price prices[PLAN_KNOTS_MAX]; /* rising; straight lines between and beyond */
    int n_prices;
    char *sampling; /* "temperature=0.6,...": what it was fitted with; NULL: nothing said */
    struct plan_pilot *pilots;
    struct plan_level *levels; /* ascending budgets */
    int n_pilots, n_levels;
};

/* Parses the JSON text; `where` ("plan.json") begins the messages. NULL with *e set: not a plan. */
MUST struct plan *plan_parse(const char *text, const char *where, struct err *e);
void plan_free(struct plan *p);
/* The built-in plan that holds where none is given (docs/plan.md). */
const char *plan_default(bool has_reward);

/* What n samples cost by the plan's prices; and the level with the largest budget that does not exceed
 * `spend`, or the first. */
double plan_spend(const struct plan *p, double n);
const struct plan_level *plan_level_for(const struct plan *p, double spend);

/* Recommends to the specification of `adaptive` what the plan was fitted with (search_spec_recommend). */
MUST bool plan_recommend(const char *text, const char *where, struct search_spec *spec, struct err *e);

/* ---- how difficult a problem looks ---- */
struct plan_sample {
    int answer_class; /* -1: none */
    bool ended, scored;
    double reward; /* aggregate, where scored */
    double logprob;
    int n_tokens;
};

void plan_features(const struct plan_sample *samples, int n, double out[PLAN_FEATURES]);
double plan_score(const struct plan_pilot *p, const double features[PLAN_FEATURES]);
double plan_rate(const struct plan_pilot *p, double score); /* predicted pass rate */
int plan_bin(const struct plan_pilot *p, double rate);      /* 0: hardest */

#endif
