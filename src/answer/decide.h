/* decide.h - verdicts on pairs of expression trees (private to the room).
 *
 *     scalar.c   two scalars: rationals, balls, then proof (exact.c by Calcium, poly.c by canonical forms)
 *     reals.c    sets of real numbers: intervals, unions, inequalities in one variable
 *     compare.c  everything else, by structure
 */
#ifndef BROOD_ANSWER_DECIDE_H
#define BROOD_ANSWER_DECIDE_H

#include "answer/answer.h"
#include "answer/node.h"

struct decide {
    int n_decimals;
    bool generous;
    long n_steps_left; /* comparisons of scalars that may still be made: the budget of one answer_equal */
};

#define DECIDE_STEPS       20000
#define DECIDE_EXACT_COST  400 /* steps that a proof by Calcium counts for */
#define DECIDE_POINTS_COST 40  /* and one by points */
#define DECIDE_ITEMS_MAX   400 /* elements of a list or set that is compared without regard to order */

enum answer_verdict decide(struct decide *d, const struct node *a, const struct node *b);
enum answer_verdict decide_scalar(struct decide *d, const struct node *a, const struct node *b);

/* EQUAL when p = c q for a constant c (c > 0 if positive), from the eight points; c is not zero. Never
 * DIFFERENT unless proved. */
enum answer_verdict decide_proportional(const struct node *p, const struct node *q, bool positive);

/* Constants without symbols, whose balls overlap: is the difference zero? */
enum answer_verdict exact_equal(const struct node *a, const struct node *b);

/* Rational functions in symbols over the rationals: EQUAL or DIFFERENT when both are, else CANNOT_TELL. */
enum answer_verdict poly_equal(const struct node *a, const struct node *b);
/* The same for p = c q with a constant c (c > 0 if positive). */
enum answer_verdict poly_proportional(const struct node *p, const struct node *q, bool positive);

/* Is the tree a set of reals, or readable as one: interval, union, R, inequality in one variable? */
bool reals_is(const struct node *n);
/* EQUAL, DIFFERENT or CANNOT_TELL for two trees of which one reals_is and the other is a set, a pair (an open
 * interval) or reals_is too. */
enum answer_verdict reals_equal(struct decide *d, const struct node *a, const struct node *b);

/* The bucket of a tree; see answer_key. */
uint64_t key_of(const struct node *n);

#endif
