/* posterior.h - what is believed of a score after some were seen, and draws from it (Thompson sampling).
 *
 * gaussian: scores are normal with unknown mean and variance; the belief is normal-inverse-gamma. With prior
 * mean m, weights kappa and nu, and variance tau2, after n scores of mean y and squared deviations S:
 *
 *     kappa' = kappa + n      nu' = nu + n      m' = (kappa m + n y) / kappa'
 *     nu' tau2' = nu tau2 + S + n kappa (m - y)^2 / kappa'
 *
 *     a draw: variance = nu' tau2' / 2 over Gamma(nu' / 2), then the mean ~ Normal(m', variance / kappa')
 *
 * (Murphy, Probabilistic Machine Learning: Advanced Topics, section 3.4.3.3.) beta: scores in [0, 1] are
 * shares of successes; the belief is Beta(a + sum, b + n - sum), and a draw is one of it.
 *
 * Draws take their numbers from one stream, in order (base/rng.h). Gamma by Marsaglia and Tsang 2000.
 */
#ifndef BROOD_POSTERIOR_H
#define BROOD_POSTERIOR_H

#include "base/base.h"

struct posterior_prior {
    bool is_beta;
    double mean, kappa, nu, tau2; /* the last three > 0 */
    double a, b;                  /* > 0 */
};

struct posterior { /* zeroed: nothing was seen */
    int n;
    double mean, squares; /* of the scores; summed squares of what they are off it */
};

struct posterior_stream {
    uint64_t key, counter;
};

void posterior_observe(struct posterior *p, double score);
/* The prior of what comes after: its parameters are those of the belief. */
struct posterior_prior posterior_belief(const struct posterior_prior *prior, const struct posterior *p);
double posterior_draw(const struct posterior_prior *belief, struct posterior_stream *s);

#endif
