/* its_pf.c - the particle filter as its_hub has it, quirks included; `beam:allocation=particle` is Brood's
 * own.
 *
 * Puri et al. 2025, "A probabilistic inference approach to inference-time scaling of LLMs using
 * particle-based Monte Carlo methods" (2502.01618); its_hub, algorithms/particle_gibbs.py. n particles, all
 * of them resampled after every step:
 *
 *     every particle that has not ended writes one step
 *     n particles are drawn, independently, by the odds of the reward of their path; those that ended are
 * drawn with the rest: they may be doubled, or lost until all have ended; use it with --select best, which
 * takes the particle with the greatest weight
 *
 * Draw k of round d takes number (d, k) of the problem's key. Where we differ: at the last step the answer is
 * written to its end (there it is left as it is), doubles are one solution, and what failed weighs next to
 * nothing.
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/allocate.h"
#include "search/strategies.h"

enum { TAG_DRAW = 0x69747370 };

struct its {
    struct search search;
    int *particles, *drawn; /* [n] nodes, some of them the same where they have ended */
    double *upto;           /* [n] weights, summed */
    int n, n_rounds, n_waiting;
};

static int param(const struct its *x, const char *key) {
    return (int)search_spec_get(&x->search.spec, key);
}

/* Particles that can go on become children of themselves. */
static void propagate(struct its *x) {
    struct tree *t = &x->search.tree;
    x->n_waiting = 0;
    for (int i = 0; i < x->n; i++) {
        const struct tree_node *v = tree_get(t, x->particles[i]);
        if (v->state != TREE_OPEN) continue;
        x->particles[i] = search_want_expand(&x->search, x->particles[i], v->depth + 1 >= param(x, "depth"));
        x->n_waiting++;
    }
}

static int draw(const struct its *x, int k) {
    uint64_t round = rng_child(rng_child(x->search.tree.nodes[0].key, TAG_DRAW), (uint64_t)x->n_rounds);
    double mark = rng_unit(round, (uint64_t)k) * x->upto[x->n - 1];
    int i = 0;
    while (i < x->n - 1 && x->upto[i] <= mark) i++;
    return x->particles[i];
}

static void resample(struct its *x) {
    struct tree *t = &x->search.tree;
    for (int i = 0; i < x->n; i++) {
        double reward =
            search_path_reward(&x->search, x->particles[i], (enum aggregate)param(x, "aggregate"));
        x->upto[i] = (i ? x->upto[i - 1] : 0) + allocate_odds(isnan(reward) ? 0 : reward);
    }
    for (int k = 0; k < x->n; k++) x->drawn[k] = draw(x, k);
    for (int i = 0; i < x->n; i++) {
        bool is_kept = tree_get(t, x->particles[i])->dropped; /* a double that was lost already */
        for (int k = 0; k < x->n && !is_kept; k++) is_kept = x->drawn[k] == x->particles[i];
        if (!is_kept) search_want_prune(&x->search, x->particles[i]);
    }
    for (int k = 0; k < x->n; k++) x->particles[k] = x->drawn[k];
    x->n_rounds++;
    propagate(x);
}

static void init(struct search *s) {
    struct its *x = (struct its *)s;
    x->n = param(x, "n");
    x->particles = mem_zalloc((size_t)x->n, sizeof *x->particles);
    x->drawn = mem_zalloc((size_t)x->n, sizeof *x->drawn);
    x->upto = mem_zalloc((size_t)x->n, sizeof *x->upto);
    propagate(x);
}

static void fini(struct search *s) {
    struct its *x = (struct its *)s;
    free(x->particles);
    free(x->drawn);
    free(x->upto);
}

static void one_less(struct its *x) {
    if (--x->n_waiting == 0) resample(x); /* for the last time too, when all have ended */
}

static void told_node(struct search *s, int node) {
    if (tree_get(&s->tree, node)->state != TREE_FAILED)
        search_want_score(s, node);
    else
        one_less((struct its *)s);
}

static void told_score(struct search *s, int node) {
    UNUSED(node);
    one_less((struct its *)s);
}

static const struct search_ops ops = {
    .size = sizeof(struct its), .init = init, .fini = fini, .told_node = told_node, .told_score = told_score};

static const struct search_param params[] = {
    {"n", SEARCH_PARAM_INT, 8, 1, 4096, NULL, "particles", false},
    {"depth", SEARCH_PARAM_INT, 50, 1, 1000, NULL, "steps at most; the last goes to the end", false},
    {"aggregate", SEARCH_PARAM_CHOICE, NAN, 0, AGGREGATES - 1, aggregate_names, "of a path's rewards", false},
    {"temperature", SEARCH_PARAM_REAL, 0.8, 0, 10, NULL, "0 takes the likeliest token", false},
    {"top_p", SEARCH_PARAM_REAL, 1, 0, 1, NULL, "likeliest tokens that sum to this; 1: all", false},
};

const struct search_strategy search_its_pf = {
    .name = "its-pf",
    .summary =
        "its_hub's particle filter: n particles, drawn anew by the odds of their reward after every step",
    .source = "Puri et al. 2025 (2502.01618); its_hub, particle_gibbs",
    .example = "its-pf:n=16",
    .needs_reward = true,
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
