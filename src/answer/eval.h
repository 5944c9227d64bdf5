/* eval.h - what a scalar expression is worth: exactly as a rational, or enclosed in a ball (private to the
 * room).
 *
 * Conventions: \sqrt[n]{x} with odd n and negative x is the real root; x^{p/q} of a negative x with odd q is
 * left open (no value), since the principal and the real root are both in use; otherwise principal values.
 * Degrees are pi/180, percent is 1/100, \log is base ten, 0^0 is one.
 */
#ifndef BROOD_ANSWER_EVAL_H
#define BROOD_ANSWER_EVAL_H

#include "answer/node.h"

/* True with the value when the expression is a rational that can be computed within EVAL_BITS_MAX bits. */
bool eval_rational(const struct node *n, fmpq_t out);

/* Encloses the value, symbols standing for fixed pseudo-random rationals that depend on their name and on
 * i_point. False when it is undefined, left open, infinite or over a bound. Costs at most a few milliseconds
 * at prec <= EVAL_PREC_MAX. */
bool eval_ball(const struct node *n, acb_t out, slong prec, unsigned i_point);

struct eval_notes {
    bool left_reals; /* a part of the expression was not real there, as in sqrt(x) sqrt(y) of negative x and y
                      */
    bool wild;       /* a part was not zero, but below 2^-200 or above 2^200 */
};

/* The same, saying more. */
bool eval_ball_noted(const struct node *n, acb_t out, slong prec, unsigned i_point, struct eval_notes *notes);

/* +1 or -1 for an infinity, else 0. */
int eval_infinity(const struct node *n);

#define EVAL_BITS_MAX      20000
#define EVAL_PREC_MAX      1024
#define EVAL_MODERATE_BITS 200
#define EVAL_POINTS        8 /* 0..3 all positive (2, 3 below one), 4..7 of either sign */

#endif
