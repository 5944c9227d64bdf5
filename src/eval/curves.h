/* curves.h - what the solutions of many problems are worth at k samples a problem.
 *
 * A set holds, for every problem, its solutions in path order with their classes of equal answers, step
 * rewards and grades. curves_at_k gives one number a problem: the chance that a measure is right when only k
 * of the n solutions had been drawn (coverage.h), exact where the subsets can be counted out, else the mean
 * of CURVES_DRAWS random subsets whose numbers are keyed by the problem's id: the same set gives the same
 * numbers.
 *
 * A problem with fewer than k solutions counts with all it has; one without any counts as wrong.
 * Ownership: the set owns everything. Threads: one thread owns a set.
 */
#ifndef BROOD_CURVES_H
#define BROOD_CURVES_H

#include "select/coverage.h"
#include "select/select.h"
#include "store/store.h"

enum curves_measure {
    CURVES_MAJORITY,
    CURVES_BEST,
    CURVES_WEIGHTED,
    CURVES_FIRST_VERIFIED,
    CURVES_CONFIDENT,
    CURVES_CONFIDENT_LOW,
    CURVES_CONFIDENT_HIGH,
    CURVES_COVERAGE, /* any of the k is right: pass@k */
    CURVES_MEASURES
};

enum { CURVES_DRAWS = 200 };

const char *curves_measure_name(enum curves_measure m);
bool curves_needs_rewards(enum curves_measure m); /* and so depends on the aggregate */
bool curves_needs_confidences(enum curves_measure m);

/* What scoring a sample cost, of equal samples together: they are read once. */
struct curves_charge {
    struct cost cost;
    int n_equal;
};

struct curves_problem {
    char *id;
    int ordinal, level;                /* level 0: none */
    struct select_solution *solutions; /* [n] */
    bool *right;                       /* [n] */
    int n, n_right;
    int n_texts, n_answers; /* different solutions, by text; different answers among them */
    int chosen_right;       /* the choice that the run recorded: 1 right, 0 wrong; -1: none recorded */
    struct cost policy_root, reward_root, policy, reward; /* prompts, and everything after them */
    struct cost policy_pruned, reward_pruned;             /* of that, on no solution's path */
    struct curves_charge *charges;                        /* [n_charges] of the steps below the prompt */
    size_t n_charges, cap_charges;
    int n_written; /* steps below the prompt: the samples, where they are independent */
};

struct curves_set {
    struct curves_problem *problems; /* done and graded, in the order of the task */
    size_t n, cap;
    int n_max;                      /* most solutions that a problem has */
    bool has_rewards, has_verified; /* a solution is scored; is verified or rejected */
    bool has_confidences;           /* those of a solution's tokens are known */
    int n_problems, n_done, n_ungraded;
};

/* The problems of a run that are done. */
MUST struct curves_set *curves_load(struct store *s, struct err *e);
struct curves_set *curves_set_new(void);
void curves_set_free(struct curves_set *s);
/* Appends a problem; its arrays are filled in by curves_add_solution. */
struct curves_problem *curves_add_problem(struct curves_set *s, const char *id, int ordinal, int level);
/* To the problem added last; its rewards are copied. */
void curves_add_solution(struct curves_set *s, const struct select_solution *solution, bool right);

/* What scoring k of the samples costs, on average over all choices of k; all of them if there are fewer. */
struct cost curves_score(const struct curves_problem *p, int k);

bool curves_can_measure(const struct curves_set *s, enum curves_measure m);
void curves_at_k(const struct curves_set *s, enum curves_measure m, enum aggregate a, int k,
                 double *out /* [n] */);
/* The first k solutions of each problem in their order, as some papers count: 0 or 1 a problem. */
void curves_first_k(const struct curves_set *s, enum curves_measure m, enum aggregate a, int k, double *out);

/* 1, 2, 4, ... up to n_max, which comes last: returns how many, at most 32. */
int curves_ks(int n_max, int ks[32]);

#endif
