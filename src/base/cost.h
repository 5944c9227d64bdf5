/* cost.h - what work has cost. Counted where it is done, added up on the way, never estimated afterwards. */
#ifndef BROOD_COST_H
#define BROOD_COST_H

#include <stdbool.h>

struct cost {
    double tokens_read;      /* prefilled or scored: computed without sampling */
    double tokens_generated; /* sampled */
    double flops;            /* as model_flops_per_token counts them; 0 where the service cannot know */
};

/* What a service did that is in no result's cost. */
struct waste {
    struct cost cancelled;            /* by jobs that were given up before they were told */
    struct cost recomputed;           /* computed again because it had been evicted */
    double n_retried, tokens_retried; /* requests to servers asked again; tokens that those carried */
};

struct verification {  /* of solutions by a verifier: sums */
    double n_verdicts; /* told, those of equal solutions included */
    double n_equal;    /* of these, taken from an equal solution */
    double n_executions;
    double seconds, cpu_seconds; /* of the executions */
};

static inline void cost_add(struct cost *sum, const struct cost *c) {
    sum->tokens_read += c->tokens_read;
    sum->tokens_generated += c->tokens_generated;
    sum->flops += c->flops;
}

static inline void cost_subtract(struct cost *from, const struct cost *c) {
    from->tokens_read -= c->tokens_read;
    from->tokens_generated -= c->tokens_generated;
    from->flops -= c->flops;
}

static inline void waste_add(struct waste *sum, const struct waste *w) {
    cost_add(&sum->cancelled, &w->cancelled);
    cost_add(&sum->recomputed, &w->recomputed);
    sum->n_retried += w->n_retried;
    sum->tokens_retried += w->tokens_retried;
}

static inline void waste_subtract(struct waste *from, const struct waste *w) {
    cost_subtract(&from->cancelled, &w->cancelled);
    cost_subtract(&from->recomputed, &w->recomputed);
    from->n_retried -= w->n_retried;
    from->tokens_retried -= w->tokens_retried;
}

static inline bool cost_equal(const struct cost *a, const struct cost *b) {
    return a->tokens_read == b->tokens_read && a->tokens_generated == b->tokens_generated &&
           a->flops == b->flops;
}

static inline void verification_add(struct verification *sum, const struct verification *v, double sign) {
    sum->n_verdicts += sign * v->n_verdicts;
    sum->n_equal += sign * v->n_equal;
    sum->n_executions += sign * v->n_executions;
    sum->seconds += sign * v->seconds;
    sum->cpu_seconds += sign * v->cpu_seconds;
}

#endif
