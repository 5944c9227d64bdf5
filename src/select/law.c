/* law.c - see law.h. */
#include "select/law.h"

#include <math.h>

/* With x = ln k and z = exp(u + b x), the law is c = exp(-z): u = ln(-a). */
struct fit {
    const double *k, *c;
    int n;
    double u, b;
};

static double value(double u, double b, double k) {
    return exp(-exp(u + b * log(k)));
}

static double squares(const struct fit *f, double u, double b) {
    double sum = 0;
    for (int i = 0; i < f->n; i++) {
        const double d = f->c[i] - value(u, b, f->k[i]);
        sum += d * d;
    }
    return sum;
}

static bool is_inside(double c) {
    return c > 0 && c < 1;
}

/* ln(-ln c) is a line over ln k; an error of c weighs dc = z exp(-z) du. */
static bool begin(struct fit *f) {
    double w = 0, wx = 0, wy = 0, wxx = 0, wxy = 0;
    int n = 0;
    bool differ = false;
    double first = 0;
    for (int i = 0; i < f->n; i++) {
        if (!is_inside(f->c[i])) continue;
        if (n++ == 0) first = f->c[i];
        differ = differ || f->c[i] != first;
        const double x = log(f->k[i]), z = -log(f->c[i]), weight = z * z * f->c[i] * f->c[i];
        w += weight;
        wx += weight * x;
        wy += weight * log(z);
        wxx += weight * x * x;
        wxy += weight * x * log(z);
    }
    const double spread = w * wxx - wx * wx;
    if (!differ || f->n < 3 || !(spread > 0)) return false;
    f->b = (w * wxy - wx * wy) / spread;
    f->u = (wy - f->b * wx) / w;
    return isfinite(f->u) && isfinite(f->b);
}

/* One Gauss-Newton step damped by `damping`; false if it leads nowhere better. */
static bool improve(struct fit *f, double damping) {
    double uu = 0, ub = 0, bb = 0, gu = 0, gb = 0;
    for (int i = 0; i < f->n; i++) {
        const double x = log(f->k[i]), z = exp(f->u + f->b * x), c = exp(-z), slope = -z * c;
        const double d = f->c[i] - c;
        uu += slope * slope;
        ub += slope * slope * x;
        bb += slope * slope * x * x;
        gu += slope * d;
        gb += slope * x * d;
    }
    uu *= 1 + damping;
    bb *= 1 + damping;
    const double det = uu * bb - ub * ub;
    if (!(det > 0)) return false;
    const double u = f->u + (bb * gu - ub * gb) / det, b = f->b + (uu * gb - ub * gu) / det;
    if (!isfinite(u) || !isfinite(b) || !(squares(f, u, b) < squares(f, f->u, f->b))) return false;
    f->u = u;
    f->b = b;
    return true;
}

static double variance_explained(const struct fit *f) {
    double mean = 0, all = 0;
    for (int i = 0; i < f->n; i++) mean += f->c[i] / f->n;
    for (int i = 0; i < f->n; i++) all += (f->c[i] - mean) * (f->c[i] - mean);
    return 1 - squares(f, f->u, f->b) / all;
}

bool law_fit(const double *k, const double *c, int n, struct law *out) {
    struct fit f = {.k = k, .c = c, .n = n};
    if (!begin(&f)) return false;
    double damping = 1e-3;
    for (int i = 0; i < 200 && damping < 1e12; i++) damping *= improve(&f, damping) ? 0.1 : 10;
    *out = (struct law){.a = -exp(f.u), .b = f.b, .r2 = variance_explained(&f)};
    return true;
}

double law_coverage(const struct law *l, double k) {
    return exp(l->a * pow(k, l->b));
}

double law_samples(const struct law *l, double coverage) {
    ASSERT(coverage > 0 && coverage < 1);
    if (law_coverage(l, 1) >= coverage) return 1;
    if (!(l->b < 0)) return INFINITY;
    const double k = pow(log(coverage) / l->a, 1 / l->b);
    return k <= 1e15 ? k : INFINITY;
}

struct law_forecast law_forecast(const double *k, const double *c, int n, double k_fitted) {
    struct law_forecast f = {.k_fitted = k_fitted};
    int n_before = 0;
    while (n_before < n && k[n_before] <= k_fitted) n_before++;
    if (n_before == n || !law_fit(k, c, n_before, &f.law)) return f;
    f.n_later = n - n_before;
    for (int i = n_before; i < n; i++) {
        const double error = fabs(law_coverage(&f.law, k[i]) - c[i]);
        f.error += error / f.n_later;
        f.error_worst = MAX(f.error_worst, error);
    }
    return f;
}

int law_points(int n_max, int ks[LAW_POINTS]) {
    int n = 0;
    for (int i = 0; n_max > 0 && i < LAW_POINTS; i++) {
        const int k = i == LAW_POINTS - 1 ? n_max : (int)lround(pow(n_max, i / (LAW_POINTS - 1.0)));
        if (n == 0 || k > ks[n - 1]) ks[n++] = k;
    }
    return n;
}
