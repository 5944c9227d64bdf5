/* stop.h - when enough samples of one problem have been drawn to know its vote.
 *
 *   certain  whatever the samples still to come say, the vote stays as it is. Exact for the majority, and for
 *            sums of rewards that lie in [0, 1].
 *   beta     with a votes for the first class and b for the second, the chance that the first is really the
 *            more likely one, p > 1/2 under Beta(a+1, b+1). Aggarwal et al. 2023, "Let's sample step by step"
 *            (adaptive consistency, 2305.11860); theirs is an integral, this its closed form.
 *   window   the last samples all gave the same answer. Li et al. 2024, "Escape sky-high cost" (ESC,
 * 2401.10480).
 *
 * Votes are given as classes of equal answers, in path order; -1: no answer, which no rule counts as a vote.
 */
#ifndef BROOD_STOP_H
#define BROOD_STOP_H

#include "base/base.h"

/* worths[n]: what each vote weighs, none negative; NULL: one each. n_left samples of weight <= 1 are to come.
 */
bool stop_certain(const int *classes, const double *worths, int n, int n_left);
double stop_beta(int n_first, int n_second); /* n_first >= n_second */
void stop_two_largest(const int *classes, int n, int *n_first, int *n_second);
bool stop_window(const int *classes, int n); /* all n are the same answer */

#endif
