/* allocate.c - see allocate.h. */
#include "search/allocate.h"

#include <math.h>

void allocate_topk(struct candidate *c, size_t n, int n_slots, int share, int spare) {
    for (size_t i = 0; i < n && i < (size_t)n_slots; i++)
        if (c[i].is_open) c[i].n_children = share + (i < (size_t)spare);
}

/* ---- REBASE ---- */
bool allocate_takes_part(const struct candidate *c, bool only_twins) {
    return c->is_open && !c->is_out && (only_twins || !c->is_twin);
}

bool allocate_only_twins(const struct candidate *c, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (allocate_takes_part(&c[i], false)) return false;
    return true;
}

void allocate_softmax(struct candidate *c, size_t n, int n_children, double temperature) {
    double best = -INFINITY, sum = 0;
    const bool twins = allocate_only_twins(c, n);
    for (size_t i = 0; i < n; i++)
        if (allocate_takes_part(&c[i], twins)) best = fmax(best, c[i].score);
    for (size_t i = n; i-- > 0;) { /* weight: of it and all after it, summed from the least up */
        if (allocate_takes_part(&c[i], twins))
            sum += isinf(best) ? 1 : exp((c[i].score - best) / temperature);
        c[i].weight = sum;
    }
    for (size_t i = 0; i < n && n_children > 0; i++) {
        if (!allocate_takes_part(&c[i], twins)) continue;
        double share = isinf(best) ? 1 : exp((c[i].score - best) / temperature);
        double exact = c[i].weight > 0 ? n_children * share / c[i].weight : 0;
        c[i].n_children = MIN(n_children, (int)ceil(exact - 1e-9)); /* whole but for its rounding */
        n_children -= c[i].n_children;
    }
}

/* ---- particles ---- */
double allocate_odds(double score) {
    double p = fmin(fmax(score, 1e-7), 1 - 1e-7);
    return p / (1 - p);
}

void allocate_resample(struct candidate *c, size_t n, double ess, double unit) {
    double sum = 0, squares = 0, below = 0;
    int n_open = 0, n_drawn = 0;
    for (size_t i = 0; i < n; i++) {
        if (!c[i].is_open) continue;
        double w = allocate_odds(c[i].score);
        sum += w;
        squares += w * w;
        n_open++;
    }
    bool even = n_open == 0 || sum * sum >= ess * n_open * squares;
    struct candidate *last = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!c[i].is_open) continue;
        last = &c[i];
        below += allocate_odds(c[i].score);
        if (even) c[i].n_children = 1;
        for (; !even && n_drawn < n_open && (n_drawn + unit) / n_open < below / sum; n_drawn++)
            c[i].n_children++;
    }
    if (last && !even) last->n_children += n_open - n_drawn; /* below / sum may round to less than 1 */
}
