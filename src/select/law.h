/* law.h - how coverage grows with the number of samples: the exponentiated power law, fitted.
 *
 *     coverage(k) = exp(a k^b)     a < 0, b < 0
 *
 * Brown et al. 2024, "Large Language Monkeys" (2407.21787), section 3: a good description of many tasks over
 * four orders of magnitude of samples, a bad one of some. It is a law of the mean over a set of problems: one
 * problem's failures fall exponentially, and the mean falls more slowly only because problems differ; so what
 * it says beyond the samples that were drawn rests on problems that no sample has solved yet.
 *
 * Fitted by least squares on the coverage itself, from a weighted linear fit of ln(-ln c) over ln k on, by
 * damped Gauss-Newton steps: all in doubles and in one order, so the same points give the same law.
 */
#ifndef BROOD_LAW_H
#define BROOD_LAW_H

#include "base/base.h"

struct law {
    double a, b;
    double r2; /* share of the points' variance that the law explains */
};

/* Through points (k[i], c[i]), k ascending. False where there is nothing to fit: fewer than three points, or
 * fewer than two different values strictly between 0 and 1. */
bool law_fit(const double *k, const double *c, int n, struct law *out);
double law_coverage(const struct law *l, double k);
/* Samples at which the law reaches a coverage in (0, 1): a real number, at least 1; INFINITY beyond 1e15. */
double law_samples(const struct law *l, double coverage);

/* How well the law foretells: fitted on the points up to k_fitted alone, compared with the later ones. */
struct law_forecast {
    struct law law;
    double k_fitted;
    int n_later;               /* points after it; 0: no forecast could be made */
    double error, error_worst; /* |law - point|: their mean and the largest of them */
};
struct law_forecast law_forecast(const double *k, const double *c, int n, double k_fitted);

/* 1, ..., n_max in even steps of the logarithm, as the paper takes them: at most LAW_POINTS, ascending, none
 * twice; returns how many. */
enum { LAW_POINTS = 40 };
int law_points(int n_max, int ks[LAW_POINTS]);

#endif
