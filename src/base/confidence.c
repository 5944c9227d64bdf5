/* confidence.c - see confidence.h. */
#include "base/confidence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *const confidence_names[CONFIDENCES + 1] = {"lowest", "tail", "bottom", "mean", NULL};

bool confidence_parse(const char *name, enum confidence *out, struct err *e) {
    for (int c = 0; c < CONFIDENCES; c++) {
        if (strcmp(name, confidence_names[c]) == 0) {
            *out = (enum confidence)c;
            return true;
        }
    }
    return err_set(e, ERR_INPUT, "'%s' is no confidence: use lowest, tail, bottom or mean", name);
}

/* ---- as tokens arrive ---- */
void confidence_run_init(struct confidence_run *r, int window) {
    ASSERT(window > 0);
    *r = (struct confidence_run){.window = window, .lowest = INFINITY};
    MEM_GROW(r->sums, r->cap, 1);
    r->sums[0] = 0;
}

void confidence_run_free(struct confidence_run *r) {
    free(r->sums);
    *r = (struct confidence_run){0};
}

/* Of the group that ends behind the first `end` tokens. */
static double group(const struct confidence_run *r, size_t end) {
    const size_t n = MIN(end, (size_t)r->window);
    return (r->sums[end] - r->sums[end - n]) / (double)n;
}

void confidence_run_add(struct confidence_run *r, const float *tokens, int n) {
    MEM_GROW(r->sums, r->cap, r->n + (size_t)n + 1);
    for (int i = 0; i < n; i++) {
        r->sums[r->n + 1] = r->sums[r->n] + (double)tokens[i];
        r->n++;
        if (r->n >= (size_t)r->window) r->lowest = fmin(r->lowest, group(r, r->n));
    }
}

double confidence_run_lowest(const struct confidence_run *r) {
    if (r->n == 0) return NAN;
    return r->n < (size_t)r->window ? group(r, r->n) : r->lowest;
}

/* ---- of a whole solution ---- */
static int ascending(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double bottom(const struct confidence_run *r) {
    const size_t first = MIN(r->n, (size_t)r->window), n = r->n - first + 1, n_low = MAX(n / 10, 1);
    double *groups = mem_alloc(n * sizeof *groups), sum = 0;
    for (size_t i = 0; i < n; i++) groups[i] = group(r, first + i);
    qsort(groups, n, sizeof *groups, ascending);
    for (size_t i = 0; i < n_low; i++) sum += groups[i];
    free(groups);
    return sum / (double)n_low;
}

double confidence_of(enum confidence c, const float *tokens, int n_tokens, int window) {
    ASSERT((unsigned)c < CONFIDENCES);
    if (n_tokens <= 0) return NAN;
    struct confidence_run r;
    confidence_run_init(&r, window);
    confidence_run_add(&r, tokens, n_tokens);
    const double values[CONFIDENCES] = {
        [CONFIDENCE_MEAN] = r.sums[r.n] / (double)r.n,
        [CONFIDENCE_TAIL] = group(&r, r.n),
        [CONFIDENCE_BOTTOM] = c == CONFIDENCE_BOTTOM ? bottom(&r) : 0,
        [CONFIDENCE_LOWEST] = confidence_run_lowest(&r),
    };
    confidence_run_free(&r);
    return values[c];
}

static int by_length(const void *a, const void *b) {
    const int *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int confidence_window(int *lengths, int n) {
    if (n == 0) return 1;
    qsort(lengths, (size_t)n, sizeof *lengths, by_length);
    return MIN(MAX(lengths[n / 2] / 4, 1), (int)CONFIDENCE_WINDOW_PUBLISHED);
}

double confidence_quantile(double *x, int n, double share) {
    if (n == 0) return NAN;
    qsort(x, (size_t)n, sizeof *x, ascending);
    double at = share * (n - 1);
    if (fabs(at - round(at)) < 1e-9) at = round(at); /* 0.1 is none exactly */
    const int below = (int)at, above = MIN(below + 1, n - 1);
    return x[below] + (at - below) * (x[above] - x[below]);
}
