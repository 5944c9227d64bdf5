/* coverage.c - see coverage.h. */
#include "select/coverage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

double coverage_pass_at_k(int64_t n, int64_t n_right, int64_t k) {
    ASSERT(n_right >= 0 && n_right <= n && k >= 0 && k <= n);
    if (n_right > n - k) return 1;
    /* C(n-c,k)/C(n,k) is symmetric in c and k: take the shorter product. */
    int64_t c = MAX(n_right, k), n_terms = MIN(n_right, k);
    double none = 1;
    for (int64_t i = 0; i < n_terms; i++) none *= (double)(n - c - i) / (double)(n - i);
    return 1 - none;
}

/* C(n, k), or more than `most` if it is more than that. */
static double combinations(int n, int k, double most) {
    double c = 1;
    for (int i = 1; i <= MIN(k, n - k) && c <= most; i++) c = c * (n - i + 1) / i;
    return c;
}

/* The next subset of k of n in lexicographic order; false after the last. */
static bool next_subset(int *chosen, int n, int k) {
    int i = k - 1;
    while (i >= 0 && chosen[i] == n - k + i) i--;
    if (i < 0) return false;
    chosen[i]++;
    for (int j = i + 1; j < k; j++) chosen[j] = chosen[j - 1] + 1;
    return true;
}

static int by_number(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* A random subset into the first k places of deck[n], ascending. */
static void draw_subset(int *deck, int n, int k, uint64_t key) {
    for (int i = 0; i < k; i++) {
        int j = i + (int)rng_below(key, (uint64_t)i, (uint64_t)(n - i));
        int card = deck[i];
        deck[i] = deck[j];
        deck[j] = card;
    }
    qsort(deck, (size_t)k, sizeof *deck, by_number);
}

double coverage_select_at_k(enum select_rule r, enum aggregate a, const struct select_solution *solutions,
                            const bool *right, int n, int k, int n_draws, uint64_t key, double *se) {
    ASSERT(n > 0 && k > 0 && k <= n && n_draws > 0);
    double most = MAX(n, n_draws);
    bool every = combinations(n, k, most) <= most;
    int *deck = mem_alloc((size_t)n * sizeof *deck);
    for (int i = 0; i < n; i++) deck[i] = i;
    int64_t n_tried = 0, n_right = 0;
    do {
        if (!every) {
            for (int i = 0; i < n; i++) /* a draw must not depend on the one before */
                deck[i] = i;
            draw_subset(deck, n, k, rng_child(key, (uint64_t)n_tried));
        }
        struct select_choice c = select_choose(r, a, solutions, deck, k);
        n_right += c.solution >= 0 && right[c.solution];
        n_tried++;
    } while (every ? next_subset(deck, n, k) : n_tried < n_draws);
    free(deck);
    double mean = (double)n_right / (double)n_tried;
    if (se) *se = every ? 0 : sqrt(mean * (1 - mean) / (double)n_tried);
    return mean;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { N_RESAMPLES = 2000 };

/* The value below which `share` of the sorted values lie, interpolated. */
static double percentile(const double *sorted, int n, double share) {
    double place = share * (n - 1);
    int below = (int)place;
    if (below >= n - 1) return sorted[n - 1];
    return sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]);
}

struct interval coverage_interval(const double *x, int n, uint64_t key) {
    ASSERT(n > 0);
    double sum = 0;
    bool all_0 = true, all_1 = true;
    for (int i = 0; i < n; i++) {
        sum += x[i];
        all_0 = all_0 && x[i] == 0;
        all_1 = all_1 && x[i] == 1;
    }
    struct interval result = {.mean = sum / n};
    if (all_0 || all_1) { /* Wilson's interval at its ends; z of 95 % */
        const double z2 = 1.959963984540054 * 1.959963984540054, width = z2 / (n + z2);
        result.low = all_1 ? 1 - width : 0;
        result.high = all_1 ? 1 : width;
        return result;
    }
    double means[N_RESAMPLES];
    for (int b = 0; b < N_RESAMPLES; b++) {
        uint64_t draw = rng_child(key, (uint64_t)b);
        double total = 0;
        for (int i = 0; i < n; i++) total += x[rng_below(draw, (uint64_t)i, (uint64_t)n)];
        means[b] = total / n;
    }
    qsort(means, N_RESAMPLES, sizeof *means, by_value);
    result.low = percentile(means, N_RESAMPLES, 0.025);
    result.high = percentile(means, N_RESAMPLES, 0.975);
    return result;
}
