/* coverage.h - what k of n samples are worth: unbiased estimators and their intervals.
 *
 * pass@k of one problem with c right among n samples: 1 - C(n-c, k) / C(n, k)  (Chen et al. 2021, "Evaluating
 * large language models trained on code"), the expected value over all subsets of k; computed as a product,
 * exact in double for n up to 1e6. Over problems: the mean, with a 95 % percentile bootstrap over problems
 * (the unit that varies), seeded and so repeatable.
 */
#ifndef BROOD_COVERAGE_H
#define BROOD_COVERAGE_H

#include "base/base.h"
#include "select/select.h"

double coverage_pass_at_k(int64_t n, int64_t n_right, int64_t k); /* k <= n */

/* Expected accuracy of a selection when only k of the n solutions had been drawn: the mean over n_draws
 * subsets (each drawn without replacement, order kept, keyed by `key`; exactly one evaluation when k == n;
 * all n when k == 1). right[i] says whether solution i's answer is right. Standard error of the drawing
 * through *se (may be NULL). */
double coverage_select_at_k(enum select_rule r, enum aggregate a, const struct select_solution *solutions,
                            const bool *right, int n, int k, int n_draws, uint64_t key, double *se);

struct interval {
    double mean, low, high;
};
/* Mean of x[n] and its 95 % interval: bootstrap percentiles of 2,000 resamples; where all values are 0 or all
 * are 1, Wilson's interval instead. */
struct interval coverage_interval(const double *x, int n, uint64_t key);
/* The same for the mean of x[i] - y[i], two measures of the same n problems. Where none differs, up to
 * Wilson's width either way. */
struct interval coverage_difference(const double *x, const double *y, int n, uint64_t key);
/* sum of x / sum of y, what is spent for each that is solved; INFINITY where y sums to 0, in the mean or in
 * too many of the resamples. */
struct interval coverage_ratio(const double *x, const double *y, int n, uint64_t key);

#endif
