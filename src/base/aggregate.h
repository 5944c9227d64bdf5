/* aggregate.h - one number from the rewards of a solution's steps.
 *
 * Searches rank partial solutions by it, selections rank whole ones. Which is best depends on how the reward
 * model was trained: one that predicts the final outcome says most in its last reward, one that judges each
 * step for itself in the least or the product.
 */
#ifndef BROOD_BASE_AGGREGATE_H
#define BROOD_BASE_AGGREGATE_H

#include "base/err.h"

enum aggregate { AGGREGATE_LAST, AGGREGATE_MIN, AGGREGATE_PROD, AGGREGATE_MEAN, AGGREGATES };

extern const char *const aggregate_names[AGGREGATES + 1]; /* "last", "min", "prod", "mean", NULL */

/* Sums and products run from the first reward to the last, in double. NAN without rewards. Any real numbers
 * will do. */
double aggregate_of(enum aggregate a, const float *rewards, int n_rewards);

MUST bool aggregate_parse(const char *name, enum aggregate *out, struct err *e);

#endif
