/* confidence.h - one number from the confidences of a solution's tokens (Fu et al. 2025, "Deep think with
 * confidence", DeepConf, 2508.15260).
 *
 * A token's confidence is minus the mean log-probability of the likeliest tokens at its place: high where the
 * distribution is peaked. A group is a window of consecutive tokens, its confidence their mean; groups slide
 * by one token. A solution shorter than a window is one group.
 *
 *     lowest   of the lowest group
 *     tail     of the last group
 *     bottom   of the lowest tenth of all groups (at least one)
 *     mean     of all tokens
 *
 * Searches end traces by the lowest group so far, selections weigh whole solutions by any of them.
 */
#ifndef BROOD_BASE_CONFIDENCE_H
#define BROOD_BASE_CONFIDENCE_H

#include "base/err.h"

enum confidence { CONFIDENCE_LOWEST, CONFIDENCE_TAIL, CONFIDENCE_BOTTOM, CONFIDENCE_MEAN, CONFIDENCES };

extern const char *const confidence_names[CONFIDENCES + 1]; /* "lowest", "tail", "bottom", "mean", NULL */

enum { CONFIDENCE_WINDOW_PUBLISHED = 2048 };

MUST bool confidence_parse(const char *name, enum confidence *out, struct err *e);

/* Sums run from the first token to the last, in double. window > 0. NAN without tokens. */
double confidence_of(enum confidence c, const float *tokens, int n_tokens, int window);

/* A window for solutions of these lengths: a quarter of the median one, from 1 to the published 2048, which
 * is longer than whole answers of small models. Reorders the lengths. */
int confidence_window(int *lengths, int n);

/* The number below which a share of x [n] lies, between neighbours by interpolation (numpy.percentile); NAN
 * for n = 0. Reorders x. */
double confidence_quantile(double *x, int n, double share);

/* ---- as tokens arrive ---- */
struct confidence_run {
    int window;
    double *sums; /* [n + 1] of the first so many tokens */
    size_t n, cap;
    double lowest; /* of full windows so far; INFINITY while there is none */
};
void confidence_run_init(struct confidence_run *r, int window);
void confidence_run_free(struct confidence_run *r);
void confidence_run_add(struct confidence_run *r, const float *tokens, int n);
/* Of all so far, a run shorter than a window being one group; NAN without tokens. */
double confidence_run_lowest(const struct confidence_run *r);

#endif
