/* coverage.c - see coverage.h. */
#include "select/coverage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "select/ballot.h"

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

/* A random subset of k of n, ascending (Floyd's algorithm). marks[n] are false before and after. */
static void draw_subset(int *chosen, bool *marks, int n, int k, uint64_t key) {
    for (int i = n - k; i < n; i++) {
        int card = (int)rng_below(key, (uint64_t)i, (uint64_t)i + 1);
        marks[marks[card] ? i : card] = true;
    }
    for (int i = 0, n_chosen = 0; n_chosen < k; i++) {
        if (marks[i]) chosen[n_chosen++] = i;
        marks[i] = false;
    }
}

double coverage_select_at_k(enum select_rule r, enum aggregate a, const struct select_solution *solutions,
                            const bool *right, int n, int k, int n_draws, uint64_t key, double *se) {
    ASSERT(n > 0 && k > 0 && k <= n && n_draws > 0);
    double most = MAX(n, n_draws);
    bool every = combinations(n, k, most) <= most;
    struct ballot ballot;
    ballot_init(&ballot, a, solutions, NULL, n);
    int *chosen = mem_alloc((size_t)k * sizeof *chosen);
    bool *marks = mem_zalloc((size_t)n, sizeof *marks);
    for (int i = 0; i < k; i++) chosen[i] = i;
    int64_t n_tried = 0, n_right = 0;
    do {
        if (!every) draw_subset(chosen, marks, n, k, rng_child(key, (uint64_t)n_tried));
        struct select_choice c = ballot_choose(&ballot, r, chosen, k);
        n_right += c.solution >= 0 && right[c.solution];
        n_tried++;
    } while (every ? next_subset(chosen, n, k) : n_tried < n_draws);
    ballot_fini(&ballot);
    free(chosen);
    free(marks);
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
    if (isinf(sorted[below + 1])) return sorted[below + 1];
    return sorted[below] + (place - below) * (sorted[below + 1] - sorted[below]);
}

/* Four numbers of 32 bits from each block: this is where the time of a report goes. */
static double resampled_mean(const double *x, int n, uint64_t key) {
    const uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    uint32_t counter[4] = {0}, words[4];
    double total = 0;
    for (int i = 0; i < n; i++) {
        if (i % 4 == 0) {
            rng_philox(counter, k, words);
            counter[0]++;
        }
        total += x[(uint64_t)words[i % 4] * (uint64_t)n >> 32];
    }
    return total / n;
}

/* Wilson's interval at its ends; z of 95 %. */
static double wilson_width(int n) {
    const double z2 = 1.959963984540054 * 1.959963984540054;
    return z2 / (n + z2);
}

/* Sorts the resamples and takes their percentiles. */
static void set_bounds(struct interval *v, double *resamples) {
    qsort(resamples, N_RESAMPLES, sizeof *resamples, by_value);
    v->low = percentile(resamples, N_RESAMPLES, 0.025);
    v->high = percentile(resamples, N_RESAMPLES, 0.975);
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
    if (all_0 || all_1) {
        result.low = all_1 ? 1 - wilson_width(n) : 0;
        result.high = all_1 ? 1 : wilson_width(n);
        return result;
    }
    double means[N_RESAMPLES];
    for (int b = 0; b < N_RESAMPLES; b++) means[b] = resampled_mean(x, n, rng_child(key, (uint64_t)b));
    set_bounds(&result, means);
    return result;
}

struct interval coverage_difference(const double *x, const double *y, int n, uint64_t key) {
    double *d = mem_alloc((size_t)n * sizeof *d);
    bool differ = false;
    for (int i = 0; i < n; i++) {
        d[i] = x[i] - y[i];
        differ = differ || d[i] != 0;
    }
    struct interval result = coverage_interval(d, n, key);
    if (!differ) result.low = -result.high;
    free(d);
    return result;
}

struct interval coverage_ratio(const double *x, const double *y, int n, uint64_t key) {
    ASSERT(n > 0);
    double sum_x = 0, sum_y = 0, ratios[N_RESAMPLES];
    for (int i = 0; i < n; i++) {
        sum_x += x[i];
        sum_y += y[i];
    }
    for (int b = 0; b < N_RESAMPLES; b++) {
        const uint64_t k = rng_child(key, (uint64_t)b);
        const double below = resampled_mean(y, n, k);
        ratios[b] = below > 0 ? resampled_mean(x, n, k) / below : INFINITY;
    }
    struct interval result = {.mean = sum_y > 0 ? sum_x / sum_y : INFINITY};
    set_bounds(&result, ratios);
    return result;
}
