/* report.h - what recorded runs show, as data: the terminal, JSON and later pages print the same numbers.
 *
 *     struct report *r = report_new();
 *     report_add(r, "small.brood", REPORT_AGGREGATE_OF_RUN, &e)      one call a run
 *     r->runs[0].curves[CURVES_WEIGHTED].points[6].accuracy.mean
 *     report_free(r);
 *
 * Accuracies are shares of problems with 95 % intervals over problems (coverage_interval, seeded: the same
 * runs give the same report). Costs are means a problem, prompts included, counted when the work was done
 * (docs/costs.md). Ownership: the report owns everything. Threads: one thread owns a report.
 */
#ifndef BROOD_REPORT_H
#define BROOD_REPORT_H

#include "base/json.h"
#include "eval/curves.h"
#include "run/prices.h"
#include "select/law.h"

struct report_point {
    int k; /* samples a problem */
    struct interval accuracy;
};

struct report_curve { /* n_points 0: cannot be measured on this run */
    struct report_point points[32];
    int n_points;
};

struct report_level {
    int level, n_problems;
    struct interval one;                  /* a single sample */
    struct interval all[CURVES_MEASURES]; /* at n_max samples */
};

struct report_spend { /* a problem */
    double tokens_generated, flops_policy, flops_reward;
};

/* What a problem costs, by who did it for what: means a problem. */
struct report_costs {
    struct cost policy_prompt, reward_prompt; /* reading the prompt */
    struct cost policy, reward;               /* writing and scoring */
    struct cost policy_pruned, reward_pruned; /* of that, on no solution's path: given up, or failed */
};

/* Of the solutions counted, in all: how many there are, and how many different ones. */
struct report_different {
    double solutions, texts, answers; /* answers: different ones of each problem, summed */
};

/* Samples at which a coverage is reached. */
struct report_target {
    double coverage;
    int measured;              /* the least that reaches it in this run; 0: all of them do not */
    double samples, low, high; /* by the law, with its 95 % interval over problems; INFINITY: never */
};

enum { REPORT_TARGETS = 5, REPORT_LAW_RESAMPLES = 400 };

struct report_law {
    bool fitted;                  /* else nothing of the law holds: too few samples, or all the same */
    struct law law;               /* through all points */
    struct law_forecast forecast; /* from a quarter of the samples on; n_later 0: too few */
    struct report_target targets[REPORT_TARGETS];
    int n_never, n_always; /* problems of which no sample is right, and of which every one is */
    double if_equal;       /* coverage with n_max samples, were all problems equally difficult */
};

/* How far a selection stays behind coverage, and where it stops to gain. */
struct report_gap {
    struct interval behind[32]; /* coverage - accuracy, over pairs, at each point of the curves */
    /* From so many samples on no gain shows: the interval of (accuracy with all samples - accuracy here) has
     * 0 in it. n_max: it still gains. 0: there is one point only. */
    int plateau;
    struct interval gain, coverage_gain; /* from there, or from the last point but one, to n_max */
};

struct report_run {
    char *path, *name; /* the file; its name without folder and ending */
    char *task, *task_hash, *policy, *reward, *strategy, *seed,
        *select;              /* as configured; reward NULL: none */
    char *plan;               /* the text of the plan that `adaptive` went by; NULL: none */
    enum aggregate aggregate; /* used here */
    double policy_parameters, reward_parameters; /* 0: not known */
    int n_problems, n_done, n_graded;
    int n_max; /* most solutions a problem */
    /* The solutions are independent samples: k of them are what k samples would have given. Those of a search
     * over steps are not, and its curves have one point, with all of them. */
    bool independent;
    bool has_rewards;
    struct report_curve curves[CURVES_MEASURES];
    double *shares[CURVES_MEASURES]; /* [n_points][n_graded] of each problem; NULL where not measured */
    struct report_gap gaps[CURVES_COVERAGE];
    struct report_law law; /* independent samples only */
    struct report_costs costs;
    struct report_level *levels; /* [n_levels], ascending; none where the task has no levels */
    int n_levels;
    struct report_spend prompt, sample; /* k independent samples cost prompt + k * sample, and score[k] */
    double *score; /* [n_max + 1] FLOP of the reward model for k of them: equal ones are read once */
    struct report_spend total;
    double tokens_read; /* a problem, by both models */
    double seconds;     /* wall time a done problem, over all sessions */
    double seconds_all; /* and in all */
    int n_sessions;
    struct prices prices; /* the report's, or those that a budget of the run in money went by */
    double usd, usd_all;  /* a problem, and of all that are counted; 0 without prices */
    struct waste waste;   /* of all sessions: done in vain, beyond what the records cost */
    struct report_different different;
    struct verification verification; /* of all sessions; nothing without a verifier */
};

/* The share of problems that one run's selection solves beyond another's, over the problems both have. */
struct report_gain {
    int run, reference; /* indices of runs */
    enum curves_measure measure;
    int n_problems;
    struct interval gain; /* of means; the interval is over pairs */
};

struct report {
    struct report_run *runs;
    struct curves_set **sets; /* of each run */
    struct report_gain *gains;
    size_t n, cap, cap_sets, n_gains, cap_gains;
    const char *prices; /* as prices_parse_for takes them; set before runs are added, NULL: each run's own */
};

/* Instead of an aggregate: the one with which the run was made. */
#define REPORT_AGGREGATE_OF_RUN AGGREGATES

struct report *report_new(void);
void report_free(struct report *r);
MUST bool report_add(struct report *r, const char *path, enum aggregate a, struct err *e);
MUST bool report_add_store(struct report *r, struct store *s, enum aggregate a, struct err *e);
/* After the last run: every run of several samples against every run of one. */
void report_compare(struct report *r);

struct report_spend report_spend_at(const struct report_run *run, int k, bool with_reward);
/* Docs/json.md describes it. Owned. */
json_t *report_json(const struct report *r);

#endif
