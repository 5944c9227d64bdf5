/* shares.h - the budget of a whole run, shared out among its problems so that it is never exceeded and
 * replays exactly.
 *
 * Every problem may spend an equal share of what those before it leave, and no more than its own budget:
 *
 *     limit(i) = min(budget of one problem,
 *                    (budget of the run - real(0) - ... - real(i-1-w) - limit(i-w) - ... - limit(i-1)) / (n -
 * i))
 *
 *     real(j)   what problem j did spend, in the order of the task
 *     w         problems that may be under way at once: n / 4, between 8 and 64
 *
 * So a limit depends on what the problems before i - w really cost, and on the worst case of the w before it:
 * problem i begins when all those before i - w have ended, w of them run side by side, and neither the order
 * in which they end nor a kill and a resume changes any limit. What a problem leaves goes to those after it.
 * By induction the limits and the real costs before them never add up to more than the budget. Samples,
 * tokens and FLOP are shared out in whole numbers, money in units of 1e-12 dollars.
 *
 * A problem whose share buys nothing ends with nothing. Seconds are not shared out: when they are over, what
 * is under way ends with what it has, and what was not begun is not begun.
 */
#ifndef BROOD_SHARES_H
#define BROOD_SHARES_H

#include "run/budget.h"

enum { SHARES_WINDOW_MIN = 8, SHARES_WINDOW_MAX = 64 };

struct shares {
    struct budget run, each;
    int n_problems, n_window;
    struct share *items; /* [n_problems] */
    int n_limits;        /* the first so many have limits */
    int n_ended;         /* the first so many have ended, and are in real */
    struct spending real;
};

struct share {
    struct spending limit, real;
    bool has_ended;
};

void shares_init(struct shares *s, const struct budget *run, const struct budget *each, int n_problems);
void shares_fini(struct shares *s);
/* The budget of problem i, whose turn it is: that of problem i - 1 has been asked for. False: problems before
 * it must end first. */
bool shares_take(struct shares *s, int i, struct budget *out);
/* Problem i has ended; this session or another one. */
void shares_end(struct shares *s, int i, const struct spending *real);

#endif
