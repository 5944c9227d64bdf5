/* plan_table.c - which candidate in which bin, for plan.c.
 *
 * With `each`, the best of a bin among those whose mean cost in the bin keeps the budget. Else the budget is
 * one for all bins: along the upper hull of (cost, accuracy) of every bin, the steps that gain most for their
 * cost are taken first, wherever they are, until the next one does not fit. On the hulls that is the best
 * there is.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/plan_parts.h"

struct mean {
    double right, cost; /* right: shrunk */
    double error;       /* squared standard error of the difference to the reference */
    int n;              /* rows */
};

struct cells {
    struct mean *means; /* [n_bins][n_candidates] */
    int n_bins, n_candidates;
    double n_rows;
};

static struct mean *cell(const struct cells *c, int bin, int candidate) {
    return &c->means[(size_t)bin * (size_t)c->n_candidates + (size_t)candidate];
}

static const struct plan_outcome *outcomes_of(const struct plan_table *t, int candidate) {
    return &t->outcomes[(size_t)candidate * (size_t)t->n_rows];
}

static struct cells average(const struct plan_table *t, const bool *use, const int *bins, int n_bins) {
    struct cells c = {.means = mem_zalloc((size_t)n_bins * (size_t)t->n_candidates, sizeof *c.means),
                      .n_bins = n_bins,
                      .n_candidates = t->n_candidates};
    for (int i = 0; i < t->n_candidates; i++) {
        const struct plan_outcome *outcomes = outcomes_of(t, i);
        for (int k = 0; k < t->n_rows; k++) {
            if (!use[k]) continue;
            struct mean *m = cell(&c, bins[k], i);
            m->right += (double)outcomes[k].right;
            m->cost += (double)(t->by_flops ? outcomes[k].flops : outcomes[k].tokens);
            m->n++;
        }
    }
    for (int b = 0; b < n_bins; b++) {
        for (int i = 0; i < t->n_candidates; i++) {
            struct mean *m = cell(&c, b, i);
            m->right /= MAX(m->n, 1);
            m->cost /= MAX(m->n, 1);
        }
        c.n_rows += cell(&c, b, 0)->n;
    }
    return c;
}

/* ---- shrinking ---- */

/* Errors of the differences of candidate i to the reference: problems are independent, a problem's rows are
 * not. */
static void estimate_errors(const struct plan_table *t, const bool *use, const int *bins,
                            const struct cells *c, int i, int reference) {
    const struct plan_outcome *x = outcomes_of(t, i), *y = outcomes_of(t, reference);
    for (int from = 0; from < t->n_rows; from += PLAN_DRAWS) {
        double sums[PLAN_BINS_MAX] = {0};
        bool seen[PLAN_BINS_MAX] = {0};
        for (int k = from; k < from + PLAN_DRAWS; k++) {
            if (!use[k]) continue;
            const int b = bins[k];
            const double mean = cell(c, b, i)->right - cell(c, b, reference)->right;
            sums[b] += ((double)x[k].right - (double)y[k].right - mean) / cell(c, b, i)->n;
            seen[b] = true;
        }
        for (int b = 0; b < c->n_bins; b++)
            if (seen[b]) cell(c, b, i)->error += sums[b] * sums[b];
    }
}

/* The candidate that is right most often over all bins. */
static int best_overall(const struct cells *c) {
    int best = 0;
    double best_right = -1;
    for (int i = 0; i < c->n_candidates; i++) {
        double right = 0;
        for (int b = 0; b < c->n_bins; b++) right += cell(c, b, i)->right * cell(c, b, i)->n;
        if (right > best_right) best_right = right, best = i;
    }
    return best;
}

static void shrink_candidate(const struct cells *c, int i, const double *reference) {
    double difference[PLAN_BINS_MAX], mean = 0, between = 0, within = 0;
    for (int b = 0; b < c->n_bins; b++) {
        const struct mean *m = cell(c, b, i);
        difference[b] = m->right - reference[b];
        mean += difference[b] * m->n / c->n_rows;
    }
    for (int b = 0; b < c->n_bins; b++) {
        const struct mean *m = cell(c, b, i);
        between += pow(difference[b] - mean, 2) * m->n / c->n_rows;
        within += m->error * m->n / c->n_rows * (1 - m->n / c->n_rows);
    }
    const double spread = fmax(between - within, 0); /* of the true differences */
    for (int b = 0; b < c->n_bins; b++) {
        struct mean *m = cell(c, b, i);
        const double keep = spread + m->error > 0 ? spread / (spread + m->error) : 1;
        if (m->n > 0) m->right = reference[b] + mean + keep * (difference[b] - mean);
    }
}

static void shrink(const struct plan_table *t, const bool *use, const int *bins, const struct cells *c) {
    const int reference = best_overall(c);
    double right[PLAN_BINS_MAX];
    for (int b = 0; b < c->n_bins; b++) right[b] = cell(c, b, reference)->right;
    for (int i = 0; i < c->n_candidates; i++) {
        if (i == reference) continue;
        estimate_errors(t, use, bins, c, i, reference);
        shrink_candidate(c, i, right);
    }
}

/* ---- choosing ---- */

static bool is_better(const struct mean *a, const struct mean *b) {
    return a->right > b->right + 1e-12 || (a->right > b->right - 1e-12 && a->cost < b->cost);
}

static bool choose_each(const struct cells *c, double budget, struct plan_choice *out) {
    for (int b = 0; b < c->n_bins; b++) {
        int best = -1;
        for (int i = 0; i < c->n_candidates; i++) {
            const struct mean *m = cell(c, b, i);
            if (m->n > 0 && m->cost <= budget && (best < 0 || is_better(m, cell(c, b, best)))) best = i;
        }
        if (best < 0 && cell(c, b, 0)->n > 0) return false;
        out->cells[b] = best;
    }
    return true;
}

/* The next candidate on the hull after `from` (-1: the cheapest), or -1: the steepest gain. */
static int next_on_hull(const struct cells *c, int bin, int from) {
    int best = -1;
    double best_slope = 0;
    for (int i = 0; i < c->n_candidates; i++) {
        const struct mean *m = cell(c, bin, i);
        if (from < 0) {
            if (best < 0 || m->cost < cell(c, bin, best)->cost ||
                (m->cost == cell(c, bin, best)->cost && m->right > cell(c, bin, best)->right))
                best = i;
            continue;
        }
        const double more = m->cost - cell(c, bin, from)->cost, gain = m->right - cell(c, bin, from)->right;
        if (!(more > 0 && gain > 1e-12)) continue;
        if (best < 0 || gain / more > best_slope ||
            (gain / more == best_slope && m->cost > cell(c, bin, best)->cost)) {
            best = i;
            best_slope = gain / more;
        }
    }
    return best;
}

static double slope_to(const struct cells *c, int bin, int from, int to) {
    return (cell(c, bin, to)->right - cell(c, bin, from)->right) /
           (cell(c, bin, to)->cost - cell(c, bin, from)->cost);
}

static bool choose_together(const struct cells *c, double budget, struct plan_choice *out) {
    double spent = 0;
    for (int b = 0; b < c->n_bins; b++) {
        const double share = cell(c, b, 0)->n / c->n_rows;
        out->cells[b] = share > 0 ? next_on_hull(c, b, -1) : -1;
        if (share > 0) spent += share * cell(c, b, out->cells[b])->cost;
    }
    if (spent > budget * (1 + 1e-9)) return false;
    bool full[PLAN_BINS_MAX] = {0};
    for (;;) {
        int best = -1, best_next = -1;
        for (int b = 0; b < c->n_bins; b++) {
            const int next = full[b] || out->cells[b] < 0 ? -1 : next_on_hull(c, b, out->cells[b]);
            if (next < 0) continue;
            if (best >= 0 &&
                slope_to(c, b, out->cells[b], next) <= slope_to(c, best, out->cells[best], best_next))
                continue;
            best = b;
            best_next = next;
        }
        if (best < 0) return true;
        const double share = cell(c, best, 0)->n / c->n_rows;
        const double more = share * (cell(c, best, best_next)->cost - cell(c, best, out->cells[best])->cost);
        full[best] = spent + more > budget * (1 + 1e-9);
        if (full[best]) continue;
        spent += more;
        out->cells[best] = best_next;
    }
}

/* A bin that no row fell into goes with its neighbour. */
static void fill_empty(const struct cells *c, struct plan_choice *out) {
    for (int b = 1; b < c->n_bins; b++)
        if (out->cells[b] < 0) out->cells[b] = out->cells[b - 1];
    for (int b = c->n_bins - 1; b-- > 0;)
        if (out->cells[b] < 0) out->cells[b] = out->cells[b + 1];
}

bool plan_choose(const struct plan_table *t, const bool *use, const int *bins, int n_bins, double budget,
                 bool each, struct plan_choice *out) {
    struct cells c = average(t, use, bins, n_bins);
    if (n_bins > 1) shrink(t, use, bins, &c);
    *out = (struct plan_choice){0};
    bool ok = each ? choose_each(&c, budget, out) : choose_together(&c, budget, out);
    for (int b = 0; ok && b < n_bins; b++) {
        if (out->cells[b] < 0) continue;
        const struct mean *m = cell(&c, b, out->cells[b]);
        out->right += m->right * m->n / c.n_rows;
        out->cost += m->cost * m->n / c.n_rows;
    }
    if (ok) fill_empty(&c, out);
    free(c.means);
    return ok;
}
