/* report_coverage.c - coverage beyond its curve: the law, the samples for a target, where selections stay
 * behind. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/report_fill.h"

/* ---- selections behind coverage ---- */

/* Each problem's shares at the i-th point of a curve. */
static const double *at_point(const struct report_run *run, int measure, int i) {
    return run->shares[measure] + (size_t)i * (size_t)run->n_graded;
}

static struct interval gained(const struct report_run *run, int measure, int from, int to) {
    return coverage_difference(at_point(run, measure, to), at_point(run, measure, from), run->n_graded,
                               report_key());
}

static void fill_gap(struct report_run *run, int measure) {
    struct report_gap *gap = &run->gaps[measure];
    const struct report_curve *c = &run->curves[measure];
    const int last = c->n_points - 1;
    for (int i = 0; i <= last; i++) {
        if (c->points[i].k == 1) continue; /* one sample leaves nothing to select */
        gap->behind[i] = coverage_difference(at_point(run, CURVES_COVERAGE, i), at_point(run, measure, i),
                                             run->n_graded, report_key());
        gap->behind[i].low = MAX(gap->behind[i].low, 0); /* no selection is ahead of it */
    }
    if (last == 0) return;
    int from = last;
    while (from > 0 && gained(run, measure, from - 1, last).low <= 0) from--;
    gap->plateau = c->points[from].k;
    from -= from == last;
    gap->gain = gained(run, measure, from, last);
    gap->coverage_gain = gained(run, CURVES_COVERAGE, from, last);
}

void report_fill_gaps(struct report_run *run, const struct curves_set *set) {
    if (set->n == 0) return;
    for (int m = 0; m < CURVES_COVERAGE; m++)
        if (run->curves[m].n_points > 0) fill_gap(run, m);
}

/* ---- the law ---- */

static const double targets[REPORT_TARGETS] = {0.5, 0.8, 0.9, 0.95, 0.99};

static double coverage_at(const struct curves_set *set, int k) {
    double sum = 0;
    for (size_t i = 0; i < set->n; i++) {
        const struct curves_problem *p = &set->problems[i];
        sum += p->n > 0 ? coverage_pass_at_k(p->n, p->n_right, MIN(k, p->n)) : 0;
    }
    return sum / (double)set->n;
}

static int measured(const struct curves_set *set, double coverage) {
    int low = 1, high = set->n_max;
    if (coverage_at(set, high) < coverage) return 0;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (coverage_at(set, middle) >= coverage)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The law over resampled problems: between which values the samples for each target lie. */
static void fill_intervals(struct report_law *l, const struct curves_set *set, const double *ks, int n_ks) {
    enum { B = REPORT_LAW_RESAMPLES };
    double(*samples)[B] = mem_zalloc(REPORT_TARGETS, sizeof *samples);
    double *shares = mem_zalloc(set->n * (size_t)n_ks, sizeof *shares), c[LAW_POINTS];
    for (size_t i = 0; i < set->n; i++) {
        const struct curves_problem *p = &set->problems[i];
        for (int j = 0; j < n_ks && p->n > 0; j++)
            shares[i * (size_t)n_ks + (size_t)j] =
                coverage_pass_at_k(p->n, p->n_right, MIN((int)ks[j], p->n));
    }
    for (int b = 0; b < B; b++) {
        struct law law;
        const uint64_t key = rng_child(rng_child_named(report_key(), "law"), (uint64_t)b);
        for (int j = 0; j < n_ks; j++) c[j] = 0;
        for (size_t i = 0; i < set->n; i++) {
            const double *row = shares + rng_below(key, i, set->n) * (size_t)n_ks;
            for (int j = 0; j < n_ks; j++) c[j] += row[j] / (double)set->n;
        }
        const bool fitted = law_fit(ks, c, n_ks, &law);
        for (int t = 0; t < REPORT_TARGETS; t++)
            samples[t][b] = fitted ? law_samples(&law, targets[t]) : c[0] >= targets[t] ? 1 : INFINITY;
    }
    for (int t = 0; t < REPORT_TARGETS; t++) {
        qsort(samples[t], B, sizeof samples[t][0], by_value);
        l->targets[t].low = samples[t][(int)(0.025 * (B - 1))];
        l->targets[t].high = samples[t][B - 1 - (int)(0.025 * (B - 1))];
    }
    free(shares);
    free(samples);
}

void report_fill_law(struct report_run *run, const struct curves_set *set) {
    struct report_law *l = &run->law;
    int points[LAW_POINTS];
    double ks[LAW_POINTS], c[LAW_POINTS];
    if (!run->independent || set->n == 0) return;
    const int n = law_points(set->n_max, points);
    for (int i = 0; i < n; i++) {
        ks[i] = points[i];
        c[i] = coverage_at(set, points[i]);
    }
    for (size_t i = 0; i < set->n; i++) {
        l->n_never += set->problems[i].n_right == 0;
        l->n_always += set->problems[i].n > 0 && set->problems[i].n_right == set->problems[i].n;
    }
    l->fitted = law_fit(ks, c, n, &l->law);
    if (!l->fitted) return;
    l->if_equal = 1 - pow(1 - c[0], set->n_max);
    l->forecast = law_forecast(ks, c, n, set->n_max / 4.0);
    for (int t = 0; t < REPORT_TARGETS; t++) {
        l->targets[t].coverage = targets[t];
        l->targets[t].measured = measured(set, targets[t]);
        l->targets[t].samples = law_samples(&l->law, targets[t]);
    }
    fill_intervals(l, set, ks, n);
}
