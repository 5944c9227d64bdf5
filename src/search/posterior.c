/* posterior.c - see posterior.h. */
#include "search/posterior.h"

#include <math.h>

#include "base/rng.h"

void posterior_observe(struct posterior *p, double score) {
    double off = score - p->mean; /* Welford 1962 */
    p->n++;
    p->mean += off / p->n;
    p->squares += off * (score - p->mean);
}

struct posterior_prior posterior_belief(const struct posterior_prior *prior, const struct posterior *p) {
    struct posterior_prior q = *prior;
    const double n = p->n, off = prior->mean - p->mean;
    q.a += n * p->mean;
    q.b += n * (1 - p->mean);
    q.kappa += n;
    q.nu += n;
    q.mean = (prior->kappa * prior->mean + n * p->mean) / q.kappa;
    q.tau2 = (prior->nu * prior->tau2 + p->squares + n * prior->kappa * off * off / q.kappa) / q.nu;
    return q;
}

/* ---- draws ---- */
static double unit(struct posterior_stream *s) { /* (0, 1] */
    return 1 - rng_unit(s->key, s->counter++);
}

static double normal(struct posterior_stream *s) { /* Box and Muller 1958 */
    double radius = sqrt(-2 * log(unit(s)));
    return radius * cos(2 * 3.14159265358979323846 * unit(s));
}

static double gamma_of(double shape, struct posterior_stream *s) {
    if (shape < 1) {
        double more = gamma_of(shape + 1, s);
        return more * pow(unit(s), 1 / shape);
    }
    const double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = normal(s), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(unit(s)) < x * x / 2 + d - d * v + d * log(v)) return d * v;
    }
}

double posterior_draw(const struct posterior_prior *belief, struct posterior_stream *s) {
    if (belief->is_beta) {
        double x = gamma_of(belief->a, s), y = gamma_of(belief->b, s);
        return x + y > 0 ? x / (x + y)
                         : belief->a / (belief->a + belief->b); /* both too small for a double */
    }
    double variance = belief->nu * belief->tau2 / 2 / gamma_of(belief->nu / 2, s);
    return belief->mean + sqrt(variance / belief->kappa) * normal(s);
}
