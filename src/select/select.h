/* select.h - choosing the answer among solutions, live or recorded.
 *
 * Works on any set of solutions of one problem: those of a search that has just ended, those of a store, those of a file. Votes are counted over classes of
 * mathematically equal answers (answer room), never over raw strings; a solution without a parsable answer is in no class and can
 * win only where no solution has one.
 *
 *   majority        the class with most solutions
 *   best            the solution with the highest aggregate reward
 *   weighted        the class with the highest sum of aggregate rewards       (weighted best-of-N: Li et al. 2023; Snell et al. 2024)
 *   first-verified  the first solution (in order) that the verifier passed; refuses (chooses none) if none was
 *
 *   aggregate: one number from step rewards: last, min, prod, mean.
 *
 * Ties go to the class, then the solution, that comes first in the given order: put solutions in path order to be deterministic. Within the winning class of
 * majority and weighted the representative is the solution with the highest aggregate (the first without rewards).
 * Solutions that were cut off take part only if none is complete.
 */
#ifndef BROOD_SELECT_H
#define BROOD_SELECT_H

#include "base/err.h"
#include "base/str.h"

enum select_rule { SELECT_MAJORITY, SELECT_BEST, SELECT_WEIGHTED, SELECT_FIRST_VERIFIED, SELECT_RULES };
enum select_aggregate { SELECT_LAST, SELECT_MIN, SELECT_PROD, SELECT_MEAN, SELECT_AGGREGATES };
enum select_verified { SELECT_UNKNOWN, SELECT_REJECTED, SELECT_VERIFIED };

const char *select_rule_name(enum select_rule r);
const char *select_aggregate_name(enum select_aggregate a);
MUST bool select_rule_parse(const char *name, enum select_rule *out, struct err *e);
MUST bool select_aggregate_parse(const char *name, enum select_aggregate *out, struct err *e);

struct select_solution {
    int answer_class;      /* from select_classes, or -1: no parsable answer */
    bool complete;         /* the policy ended it itself */
    const float *rewards;  /* [n_rewards] step rewards, borrowed; NULL without a reward model */
    int n_rewards;
    enum select_verified verified;
};

struct select_choice {
    int solution;      /* index into the given solutions; -1: nothing to choose from */
    int answer_class;  /* -1 if no answer was parsable */
    int n_solutions;   /* that took part */
    int n_classes;
    int n_votes;       /* solutions in the winning class */
    double score;      /* what the rule compared: votes, aggregate or sum of aggregates */
    double runner_up;  /* the same for the best other class (best: best solution of another class); 0 if there is none */
    double margin;     /* (score - runner_up) / total over classes for majority and weighted; score - runner_up for best */
};

double select_aggregate(enum select_aggregate a, const float *rewards, int n_rewards); /* NAN if n_rewards is 0 */
bool select_needs_rewards(enum select_rule r);

/* Chooses among solutions[order[0..n-1]] (order NULL: 0..n-1). */
struct select_choice select_choose(enum select_rule r, enum select_aggregate a, const struct select_solution *solutions, const int *order,
                                   int n);

/* ---- classes of equal answers, built as solutions arrive ---- */
struct select_classes;
struct select_classes *select_classes_new(void);
void select_classes_free(struct select_classes *c);
/* Extracts the answer of a solution's text and returns its class, -1 if there is none or it cannot be parsed. Classes are numbered as they first
 * appear. An answer that "cannot be told" from a class founds its own. */
int select_classes_add(struct select_classes *c, struct str solution_text);
int select_classes_add_answer(struct select_classes *c, struct str answer_text); /* already extracted */
struct str select_classes_answer(const struct select_classes *c, int answer_class); /* as first written; valid as long as c */
int select_classes_count(const struct select_classes *c);

#endif
