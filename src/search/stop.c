/* stop.c - see stop.h. */
#include "search/stop.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* Sums of rewards are rounded: a lead must be larger than what that can amount to. */
static const double ROUNDING = 1e-6;

struct tally {
    double sum;
    int first; /* sample that founded the class; -1: none yet */
};

/* *n_classes tallies, owned by the caller. */
static struct tally *count(const int *classes, const double *worths, int n, int *n_classes) {
    int most = -1;
    for (int i = 0; i < n; i++) most = MAX(most, classes[i]);
    *n_classes = most + 1;
    struct tally *t = mem_zalloc((size_t)MAX(*n_classes, 1), sizeof *t);
    for (int c = 0; c < *n_classes; c++) t[c].first = -1;
    for (int i = 0; i < n; i++) {
        if (classes[i] < 0) continue;
        struct tally *x = &t[classes[i]];
        if (x->first < 0) x->first = i;
        x->sum += worths ? worths[i] : 1;
    }
    return t;
}

bool stop_certain(const int *classes, const double *worths, int n, int n_left) {
    int n_classes, best = -1;
    struct tally *t = count(classes, worths, n, &n_classes);
    for (int c = 0; c < n_classes; c++) {
        if (t[c].first < 0) continue;
        if (best < 0 || t[c].sum > t[best].sum || (t[c].sum == t[best].sum && t[c].first < t[best].first))
            best = c;
    }
    double rounding = worths ? ROUNDING : 0;
    bool certain =
        best >= 0 && t[best].sum >= n_left + rounding; /* a class not seen yet comes later: loses ties */
    for (int c = 0; certain && c < n_classes; c++) {
        if (c == best || t[c].first < 0) continue;
        double lead = t[best].sum - t[c].sum - n_left;
        certain = lead > rounding || (!worths && lead == 0 && t[best].first < t[c].first);
    }
    free(t);
    return certain;
}

void stop_two_largest(const int *classes, int n, int *n_first, int *n_second) {
    int n_classes;
    struct tally *t = count(classes, NULL, n, &n_classes);
    *n_first = *n_second = 0;
    for (int c = 0; c < n_classes; c++) {
        int votes = (int)t[c].sum;
        if (votes > *n_first) {
            *n_second = *n_first;
            *n_first = votes;
        } else {
            *n_second = MAX(*n_second, votes);
        }
    }
    free(t);
}

/* 1 - 2^-n * sum of C(n, j) for j = 0..b, where n = a + b + 1. The sum is kept as sum * 2^exponent. */
double stop_beta(int n_first, int n_second) {
    ASSERT(n_first >= n_second && n_second >= 0 && n_first <= (1 << 28));
    int n = n_first + n_second + 1, exponent = 0;
    double term = 1, sum = 0;
    for (int j = 0; j <= n_second; j++) {
        sum += term;
        term *= (double)(n - j) / (j + 1);
        if (term < 0x1p400) continue;
        term *= 0x1p-400;
        sum *= 0x1p-400;
        exponent += 400;
    }
    return 1 - ldexp(sum, exponent - n);
}

bool stop_window(const int *classes, int n) {
    for (int i = 0; i < n; i++)
        if (classes[i] < 0 || classes[i] != classes[0]) return false;
    return n > 0;
}
