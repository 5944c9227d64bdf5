/* select.h - choosing the answer among solutions, live or recorded.
 *
 * Works on any set of solutions of one problem: those of a search that has just ended, those of a store,
 * those of a file. Votes are counted over classes of mathematically equal answers (answer room), never over
 * raw strings.
 *
 *   majority        the class with most solutions                               (Wang et al. 2022,
 * "Self-consistency") best            the solution with the highest aggregate reward weighted        the
 * class with the highest sum of aggregate rewards   (Li et al. 2023; Snell et al. 2024, 2408.03314)
 *   first-verified  the first solution (in order) that the verifier passed; chooses none if none was
 *   confident       the class with the highest sum of confidences (base/confidence.h); confident-low and
 * -high count only those above the 90th and the 10th percentile: their best 10 % and 90 % (Fu et al. 2025,
 * DeepConf, 2508.15260)
 *
 * Who takes part (first-verified looks at all): solutions that are complete and have an answer; where there
 * is none, those cut off that have an answer; where no solution has an answer, the complete ones; else the
 * rest. So an unparsable answer wins only where nothing else was said, and a cut-off one only where no
 * complete one says anything.
 *
 * Ties go to the class, then the solution, that comes first in the given order: put solutions in path order
 * to be deterministic (sums of rewards are taken in that order too). Class numbers are only compared for
 * equality. Within the winning class of majority and weighted the representative is the solution with the
 * highest aggregate (the first without rewards). Rewards may be any real numbers; a solution without any adds
 * nothing to a sum and loses to all that have one. A grader's verdict has no place here: see recorded.h for
 * where it is kept.
 */
#ifndef BROOD_SELECT_H
#define BROOD_SELECT_H

#include "base/aggregate.h"
#include "base/confidence.h"
#include "base/err.h"
#include "base/str.h"

enum select_rule {
    SELECT_MAJORITY,
    SELECT_BEST,
    SELECT_WEIGHTED,
    SELECT_FIRST_VERIFIED,
    SELECT_CONFIDENT,
    SELECT_CONFIDENT_LOW,
    SELECT_CONFIDENT_HIGH,
    SELECT_RULES
};
enum select_verified { SELECT_UNKNOWN, SELECT_REJECTED, SELECT_VERIFIED };

const char *select_rule_name(enum select_rule r);
MUST bool select_rule_parse(const char *name, enum select_rule *out, struct err *e);
bool select_needs_rewards(enum select_rule r);
bool select_needs_confidences(enum select_rule r);

struct select_solution {
    int answer_class;     /* from select_classes, or -1: no parsable answer */
    bool complete;        /* the policy ended it itself */
    const float *rewards; /* [n_rewards] step rewards, borrowed; NULL without a reward model */
    int n_rewards;
    enum select_verified verified;
    bool has_confidence;
    double confidence; /* from those of its tokens (select_set_confidences) */
};

struct select_choice {
    int solution;     /* index into the given solutions; -1: nothing to choose from */
    int answer_class; /* -1 if no answer was parsable */
    int n_solutions;  /* that took part */
    int n_classes;
    int n_votes;  /* solutions in the winning class; 1 if the winner is in none */
    double score; /* what the rule compared: votes, aggregate or sum of aggregates; 0 for first-verified */
    double runner_up; /* the same for the best other class (best: best solution of another class); 0 if there
                         is none */
    double margin;    /* score - runner_up; for majority and weighted over the sum of all classes' absolute
                         scores */
};

/* Chooses among solutions[order[0..n-1]] (order NULL: 0..n-1). Linear in n, the highest class and index. */
struct select_choice select_choose(enum select_rule r, enum aggregate a,
                                   const struct select_solution *solutions, const int *order, int n);

/* Marks those of the solutions [n] that take part (first-verified: all). */
void select_participants(enum select_rule r, const struct select_solution *solutions, int n, bool *out);

/* ---- confidences ---- */
struct select_confidence { /* what makes one of a solution's tokens */
    enum confidence by;
    int window; /* tokens of a group; 0: by the lengths of the solutions (confidence_window) */
};

struct select_tokens {
    const float *confidences; /* [n]; NULL: not known */
    int n;
};

/* "lowest", "tail:512", ...: how, and the window. */
MUST bool select_confidence_parse(const char *text, struct select_confidence *out, struct err *e);
/* Sets the confidence of each of the solutions [n] of a problem from its tokens. */
void select_set_confidences(struct select_solution *solutions, const struct select_tokens *tokens, int n,
                            const struct select_confidence *how);

/* ---- classes of equal answers, built as solutions arrive ---- */
struct select_classes;
struct select_classes *select_classes_new(void);
void select_classes_free(struct select_classes *c);
/* Extracts the answer of a solution's text (as it declares it: a last number that nobody called the answer is
 * none) and returns its class, -1 if there is none or it cannot be parsed. Classes are numbered as they first
 * appear; add in path order where the numbers are to be repeatable. An answer that "cannot be told" from a
 * class founds its own. An answer is compared with the classes in its bucket only: N cost near O(N). */
int select_classes_add(struct select_classes *c, struct str solution_text);
int select_classes_add_answer(struct select_classes *c, struct str answer_text); /* already extracted */
/* As first written; lives as long as c. */
struct str select_classes_answer(const struct select_classes *c, int answer_class);
int select_classes_count(const struct select_classes *c);

#endif
