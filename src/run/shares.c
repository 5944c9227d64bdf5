/* shares.c - see shares.h. */
#include "run/shares.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* A limit of nothing: a budget of 0 would be none. */
static const double nothing = 1e-9;

void shares_init(struct shares *s, const struct budget *run, const struct budget *each, int n_problems) {
    *s = (struct shares){.run = *run, .each = *each, .n_problems = n_problems};
    s->n_window = MAX(SHARES_WINDOW_MIN, MIN(n_problems / 4, SHARES_WINDOW_MAX));
    s->items = mem_zalloc((size_t)n_problems, sizeof *s->items);
}

void shares_fini(struct shares *s) {
    free(s->items);
    *s = (struct shares){0};
}

static double *field_of(struct budget *b, enum budget_unit u) {
    double *const fields[BUDGET_UNITS] = {&b->samples, &b->tokens, &b->flops, &b->usd};
    return fields[u];
}

bool shares_take(struct shares *s, int i, struct budget *out) {
    ASSERT(i == s->n_limits && i < s->n_problems);
    while (s->n_ended < i - s->n_window && s->items[s->n_ended].has_ended)
        spending_add(&s->real, &s->items[s->n_ended++].real);
    if (s->n_ended < i - s->n_window) return false;
    struct spending before = s->real;
    for (int j = s->n_ended; j < i; j++) spending_add(&before, &s->items[j].limit);
    *out = s->each;
    for (int k = 0; k < BUDGET_UNITS; k++) {
        const enum budget_unit u = (enum budget_unit)k;
        const double all = budget_limit(&s->run, u), own = budget_limit(&s->each, u);
        if (all <= 0) continue;
        double share = fmax(0, floor((all - before.of[u]) / (s->n_problems - i)));
        if (own > 0) share = fmin(share, own);
        s->items[i].limit.of[u] = share;
        *field_of(out, u) = fmax(share, nothing) * (u == BUDGET_USD ? 1e-12 : 1);
    }
    s->n_limits++;
    return true;
}

void shares_end(struct shares *s, int i, const struct spending *real) {
    ASSERT(i >= 0 && i < s->n_problems && !s->items[i].has_ended);
    s->items[i].real = *real;
    s->items[i].has_ended = true;
}
