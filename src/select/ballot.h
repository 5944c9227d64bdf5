/* ballot.h - many choices among the same solutions (private to the room): aggregates are computed once,
 * tallies reused.
 *
 * Coverage draws hundreds of subsets of one problem's solutions and chooses from each; select_choose is a
 * ballot for one.
 */
#ifndef BROOD_BALLOT_H
#define BROOD_BALLOT_H

#include "select/select.h"

struct tally {
    int n_votes; /* 0 between choices */
    bool seen;
    double score; /* votes, sum of rewards, or best reward: what the rule compares */
    int best;     /* the class's best solution */
    double best_worth;
};

struct ballot {
    const struct select_solution *solutions; /* borrowed */
    double *worths;                          /* aggregate of each; -INFINITY where there are no rewards */
    double *sorted;                          /* room for all: of confidences */
    struct tally *tallies;                   /* by class number */
};

/* Readies solutions[order[0..n-1]] (order NULL: 0..n-1). */
void ballot_init(struct ballot *b, enum aggregate a, const struct select_solution *solutions,
                 const int *order, int n);
void ballot_fini(struct ballot *b);
/* As select_choose, among solutions that were readied. */
struct select_choice ballot_choose(struct ballot *b, enum select_rule r, const int *order, int n);

#endif
