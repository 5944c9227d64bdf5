/* plan_rate.c - from what a pilot shows to the chance that a sample is right, for plan.c.
 *
 * A logistic regression on standardised features, by Newton's method with a small ridge; the pass rates
 * themselves are its targets. What it says is then calibrated: rates that rise with the score (isotonic
 * regression of group means, by pooling adjacent violators; Zadrozny and Elkan 2002).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/plan_parts.h"

enum { N_COEFFICIENTS = PLAN_FEATURES + 1, NEWTON_STEPS = 25, GROUPS = 20 };

static const double ridge = 1e-3; /* times the number of rows */

struct scaling {
    double mean[PLAN_FEATURES], deviation[PLAN_FEATURES]; /* deviation 0: left out */
};

static bool leaves_out(const struct plan_pilot *p, int feature) {
    return plan_feature_needs_reward((enum plan_feature)feature) && !p->scored;
}

static struct scaling scale(const struct plan_rows *rows, const bool *use, const struct plan_pilot *p) {
    struct scaling s = {0};
    double n = 0;
    for (int i = 0; i < rows->n; i++) {
        if (!use[rows->problems[i]]) continue;
        n++;
        for (int f = 0; f < PLAN_FEATURES; f++) s.mean[f] += rows->features[i][f];
    }
    for (int f = 0; f < PLAN_FEATURES; f++) s.mean[f] /= fmax(n, 1);
    for (int i = 0; i < rows->n; i++) {
        if (!use[rows->problems[i]]) continue;
        for (int f = 0; f < PLAN_FEATURES; f++) s.deviation[f] += pow(rows->features[i][f] - s.mean[f], 2);
    }
    for (int f = 0; f < PLAN_FEATURES; f++) {
        const double deviation = sqrt(s.deviation[f] / fmax(n, 1));
        s.deviation[f] = leaves_out(p, f) || deviation < 1e-9 ? 0 : deviation;
    }
    return s;
}

static void standardise(const struct scaling *s, const double *features, double *out) {
    out[0] = 1;
    for (int f = 0; f < PLAN_FEATURES; f++)
        out[f + 1] = s->deviation[f] > 0 ? (features[f] - s->mean[f]) / s->deviation[f] : 0;
}

/* Solves a x = b for a symmetric positive definite a, by Cholesky; both are overwritten, b by x. */
static void solve(double a[N_COEFFICIENTS][N_COEFFICIENTS], double b[N_COEFFICIENTS]) {
    for (int j = 0; j < N_COEFFICIENTS; j++) {
        for (int k = 0; k < j; k++) a[j][j] -= a[j][k] * a[j][k];
        a[j][j] = sqrt(fmax(a[j][j], 1e-12));
        for (int i = j + 1; i < N_COEFFICIENTS; i++) {
            for (int k = 0; k < j; k++) a[i][j] -= a[i][k] * a[j][k];
            a[i][j] /= a[j][j];
        }
    }
    for (int i = 0; i < N_COEFFICIENTS; i++) {
        for (int k = 0; k < i; k++) b[i] -= a[i][k] * b[k];
        b[i] /= a[i][i];
    }
    for (int i = N_COEFFICIENTS; i-- > 0;) {
        for (int k = i + 1; k < N_COEFFICIENTS; k++) b[i] -= a[k][i] * b[k];
        b[i] /= a[i][i];
    }
}

/* One step of Newton's method on the regularised log-likelihood; returns how far it went. */
static double newton_step(const struct plan_rows *rows, const bool *use, const struct scaling *s, double *w) {
    double hessian[N_COEFFICIENTS][N_COEFFICIENTS] = {{0}}, gradient[N_COEFFICIENTS] = {0}, x[N_COEFFICIENTS],
           n = 0;
    for (int i = 0; i < rows->n; i++) {
        if (!use[rows->problems[i]]) continue;
        n++;
        standardise(s, rows->features[i], x);
        double z = 0;
        for (int k = 0; k < N_COEFFICIENTS; k++) z += w[k] * x[k];
        const double q = 1 / (1 + exp(-z)), weight = fmax(q * (1 - q), 1e-6);
        for (int k = 0; k < N_COEFFICIENTS; k++) {
            gradient[k] += (rows->rates[i] - q) * x[k];
            for (int l = 0; l <= k; l++) hessian[k][l] += weight * x[k] * x[l];
        }
    }
    for (int k = 0; k < N_COEFFICIENTS; k++) {
        gradient[k] -= k ? ridge * n * w[k] : 0;
        hessian[k][k] += ridge * n + 1e-9;
    }
    solve(hessian, gradient);
    double far = 0;
    for (int k = 0; k < N_COEFFICIENTS; k++) {
        w[k] += gradient[k];
        far = fmax(far, fabs(gradient[k]));
    }
    return far;
}

/* ---- calibration ---- */

struct scored_rate {
    double score, rate;
};

static int by_score(const void *a, const void *b) {
    const struct scored_rate *x = a, *y = b;
    return (x->score > y->score) - (x->score < y->score);
}

struct block {
    double score, rate, n;
};

/* Means of groups of equal size, then pooled until they rise. */
static void calibrate(struct scored_rate *x, int n, struct plan_pilot *out) {
    struct block blocks[GROUPS];
    int n_blocks = 0, n_groups = MIN(GROUPS, MAX(n / 4, 1));
    qsort(x, (size_t)n, sizeof *x, by_score);
    for (int g = 0; g < n_groups; g++) {
        const int from = (int)((int64_t)n * g / n_groups), to = (int)((int64_t)n * (g + 1) / n_groups);
        struct block b = {.n = to - from};
        for (int i = from; i < to; i++) {
            b.score += x[i].score / b.n;
            b.rate += x[i].rate / b.n;
        }
        blocks[n_blocks++] = b;
        while (n_blocks > 1 && (blocks[n_blocks - 2].rate >= blocks[n_blocks - 1].rate ||
                                blocks[n_blocks - 2].score >= blocks[n_blocks - 1].score)) {
            struct block *p = &blocks[n_blocks - 2], *q = p + 1;
            const double both = p->n + q->n;
            *p = (struct block){(p->score * p->n + q->score * q->n) / both,
                                (p->rate * p->n + q->rate * q->n) / both, both};
            n_blocks--;
        }
    }
    out->n_knots = n_blocks;
    for (int i = 0; i < n_blocks; i++)
        out->knots[i] =
            (struct plan_knot){blocks[i].score, fmin(blocks[i].rate, 1)}; /* a mean of ones may be more */
}

double plan_predict(const struct plan_pilot *p, const double features[PLAN_FEATURES]) {
    return plan_rate(p, plan_score(p, features));
}

static int by_value(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void plan_edges(double *rates, int n, bool absolute, struct plan_pilot *out) {
    const double fixed[] = {0.1, 0.5};
    const int n_edges = absolute ? 2 : 4;
    int n_kept = 0;
    qsort(rates, (size_t)n, sizeof *rates, by_value);
    for (int i = 0; i < n_edges; i++) {
        const double edge = absolute ? fixed[i] : rates[(int64_t)n * (i + 1) / (n_edges + 1)];
        if (absolute || (edge > rates[0] && (n_kept == 0 || edge > out->edges[n_kept - 1])))
            out->edges[n_kept++] = edge;
    }
    out->n_bins = n_kept + 1;
}

void plan_fit_rate(const struct plan_rows *rows, const bool *use, bool absolute, struct plan_pilot *out) {
    const struct scaling s = scale(rows, use, out);
    double w[N_COEFFICIENTS] = {0};
    for (int i = 0; i < NEWTON_STEPS && newton_step(rows, use, &s, w) > 1e-9; i++) {
    }
    out->bias = w[0];
    for (int f = 0; f < PLAN_FEATURES; f++) {
        out->weights[f] = s.deviation[f] > 0 ? w[f + 1] / s.deviation[f] : 0;
        out->bias -= out->weights[f] * s.mean[f];
    }
    struct scored_rate *scored = mem_zalloc((size_t)rows->n, sizeof *scored);
    double *rates = mem_zalloc((size_t)rows->n, sizeof *rates);
    int n = 0;
    for (int i = 0; i < rows->n; i++)
        if (use[rows->problems[i]])
            scored[n++] = (struct scored_rate){plan_score(out, rows->features[i]), rows->rates[i]};
    calibrate(scored, n, out);
    for (int i = 0; i < n; i++) rates[i] = plan_rate(out, scored[i].score);
    plan_edges(rates, n, absolute, out);
    free(scored);
    free(rates);
}

/* ---- reliability ---- */

void plan_measure(const double *predicted, const double *real, int n, struct plan_reliability *out) {
    struct scored_rate *x = mem_zalloc((size_t)n, sizeof *x);
    double mean = 0;
    *out = (struct plan_reliability){.n_rows = MIN(PLAN_RELIABILITY_ROWS, n)};
    for (int i = 0; i < n; i++) {
        x[i] = (struct scored_rate){predicted[i], real[i]};
        mean += real[i] / n;
    }
    for (int i = 0; i < n; i++) {
        const double r = real[i], q = predicted[i];
        out->brier += (r * (1 - q) * (1 - q) + (1 - r) * q * q) / n;
        out->brier_constant += (r * (1 - mean) * (1 - mean) + (1 - r) * mean * mean) / n;
        out->brier_known += r * (1 - r) / n;
    }
    qsort(x, (size_t)n, sizeof *x, by_score);
    for (int g = 0; g < out->n_rows; g++) {
        const int from = (int)((int64_t)n * g / out->n_rows), to = (int)((int64_t)n * (g + 1) / out->n_rows);
        struct plan_reliability_row *row = &out->rows[g];
        row->n = to - from;
        for (int i = from; i < to; i++) {
            row->predicted += x[i].score / row->n;
            row->real += x[i].rate / row->n;
        }
        out->ece += fabs(row->predicted - row->real) * row->n / n;
    }
    free(x);
}
