/* mcts.c - Monte-Carlo tree search over steps: n descents from the root, each to the end of a solution,
 * guided by the rewards of steps and by how earlier descents ended.
 *
 * Kocsis and Szepesvari 2006; PUCT as in AlphaZero (Silver et al. 2017, 1712.01815) and OpenR's vanila_mcts
 * (2410.09671); progressive widening, Coulom 2007. A descent that stands at node v, passed N times (descents
 * under way included), does one of two things:
 *
 *     v has fewer than widen * sqrt(N) children, or none that is open:  a new child is written, scored,
 * entered otherwise it enters the open child with the greatest Q + c * P * sqrt(N) / (1 + n) Q = (reward of
 * the child + rewards of the ends reached through it) / (1 + n) P = exp(mean logprob of the child's tokens),
 * over the sum of those of its open siblings n = ends reached through it + descents under way through it
 * (each a virtual loss: an end worth 0)
 *
 * `width` descents are under way side by side. They move in rounds: all steps of a round are told and scored
 * before the next, ends are counted and moves chosen in the order of the descents, so the tree is the same
 * in whatever order results arrive. A descent that has ended makes place for the next.
 *
 * Where we differ from OpenR: priors are normalised; children are written one at a time where they are
 * wanted, not all at once; a child that has ended is not entered again, its siblings are (an end cannot be
 * improved: every descent pays for one new solution, or for none only where the policy failed); all ends are
 * solutions. What was cut off counts 0, what could not be scored too; what failed is not counted. Nothing is
 * dropped.
 */
#include <math.h>
#include <stdlib.h>

#include "base/aggregate.h"
#include "base/mem.h"
#include "search/strategies.h"

struct visits {
    int n_ends, n_under_way; /* through this node */
    double sum;              /* of the ends */
    double reward;           /* what the reward model says of the path to this node */
};

struct descent {
    bool live;
    int node; /* where it stands */
};

struct mcts {
    struct search search;
    struct visits *visits; /* [nodes] */
    size_t cap_visits;
    struct descent *descents; /* [width] */
    int width, n_started, n_waiting;
    double c, widen;
};

static double param(const struct mcts *m, const char *key) {
    return search_spec_get(&m->search.spec, key);
}

static struct visits *visits_of(struct mcts *m, int node) {
    size_t had = m->cap_visits;
    MEM_GROW(m->visits, m->cap_visits, (size_t)node + 1);
    for (size_t i = had; i < m->cap_visits; i++) m->visits[i] = (struct visits){0};
    return &m->visits[node];
}

/* ---- going down ---- */
static double likelihood(const struct tree_node *v) {
    return exp(v->logprob / MAX(v->n_tokens, 1));
}

/* The open child to enter, or -1. Children of a node are numbered in order, but not side by side. */
static int choose(struct mcts *m, int parent, int n_passed) {
    struct tree *t = &m->search.tree;
    double all = 0, best = -INFINITY;
    int chosen = -1;
    for (int pass = 0; pass < 2; pass++) {
        int n_left = tree_get(t, parent)->n_children;
        for (int i = parent + 1; n_left > 0; i++) {
            const struct tree_node *v = tree_get(t, i);
            if (v->parent != parent) continue;
            n_left--;
            if (v->state != TREE_OPEN) continue;
            if (pass == 0) {
                all += likelihood(v);
                continue;
            }
            const struct visits *x = visits_of(m, i);
            double n = x->n_ends + x->n_under_way, prior = all > 0 ? likelihood(v) / all : 0;
            double worth = (x->reward + x->sum) / (1 + n) + m->c * prior * sqrt(n_passed) / (1 + n);
            if (worth <= best) continue;
            best = worth;
            chosen = i;
        }
    }
    return chosen;
}

/* Moves until something has to be written. */
static void go_on(struct mcts *m, struct descent *d) {
    struct tree *t = &m->search.tree;
    for (;;) {
        const struct visits *x = visits_of(m, d->node);
        int n_passed = x->n_ends + x->n_under_way, next = -1;
        if (tree_get(t, d->node)->n_children >= m->widen * sqrt(n_passed))
            next = choose(m, d->node, n_passed);
        bool is_new = next < 0;
        if (is_new) {
            bool until_end = tree_get(t, d->node)->depth + 1 >= (int)param(m, "depth");
            next = search_want_expand(&m->search, d->node, until_end);
            m->n_waiting++;
        }
        d->node = next;
        visits_of(m, next)->n_under_way++;
        if (is_new) return;
    }
}

/* Counts the end that a descent has come to. */
static void count(struct mcts *m, struct descent *d) {
    struct tree *t = &m->search.tree;
    enum tree_state state = tree_get(t, d->node)->state;
    double reward = state == TREE_SOLUTION ? visits_of(m, d->node)->reward : 0;
    for (int i = d->node; i >= 0; i = tree_get(t, i)->parent) {
        struct visits *x = visits_of(m, i);
        x->n_under_way--;
        if (state == TREE_FAILED) continue;
        x->n_ends++;
        x->sum += reward;
    }
    d->live = false;
}

static void next_round(struct mcts *m) {
    struct tree *t = &m->search.tree;
    for (int i = 0; i < m->width; i++) {
        struct descent *d = &m->descents[i];
        if (d->live && tree_get(t, d->node)->state != TREE_OPEN) count(m, d);
    }
    if (search_may_stop(&m->search)) return;
    for (int i = 0; i < m->width; i++) {
        struct descent *d = &m->descents[i];
        if (!d->live) {
            if (m->n_started == (int)param(m, "n")) continue;
            m->n_started++;
            *d = (struct descent){.live = true, .node = 0};
            visits_of(m, 0)->n_under_way++;
        }
        go_on(m, d);
    }
}

/* ---- the strategy ---- */
static void init(struct search *s) {
    struct mcts *m = (struct mcts *)s;
    m->width = (int)param(m, "width");
    m->c = param(m, "c");
    m->widen = param(m, "widen");
    m->descents = mem_zalloc((size_t)m->width, sizeof *m->descents);
    next_round(m);
}

static void fini(struct search *s) {
    struct mcts *m = (struct mcts *)s;
    free(m->visits);
    free(m->descents);
}

static void one_less(struct mcts *m) {
    if (--m->n_waiting == 0) next_round(m);
}

static void told_node(struct search *s, int node) {
    enum tree_state state = tree_get(&s->tree, node)->state;
    if (state == TREE_OPEN || state == TREE_SOLUTION)
        search_want_score(s, node);
    else
        one_less((struct mcts *)s);
}

static void told_score(struct search *s, int node) {
    struct mcts *m = (struct mcts *)s;
    double reward = search_path_reward(s, node, (enum aggregate)param(m, "aggregate"));
    visits_of(m, node)->reward = isnan(reward) ? 0 : reward;
    one_less(m);
}

static const struct search_ops ops = {.size = sizeof(struct mcts),
                                      .init = init,
                                      .fini = fini,
                                      .told_node = told_node,
                                      .told_score = told_score};

static const struct search_param params[] = {
    {"n", SEARCH_PARAM_INT, 16, 1, 4096, NULL, "descents, each to the end of a solution", false},
    {"width", SEARCH_PARAM_INT, 4, 1, 1024, NULL, "descents under way side by side", false},
    {"c", SEARCH_PARAM_REAL, 1.25, 0, 1000, NULL, "how much is explored that seems worse", false},
    {"widen", SEARCH_PARAM_REAL, 2, 0.01, 1000, NULL, "children of a node: this times the root of its visits",
     false},
    {"depth", SEARCH_PARAM_INT, 40, 1, 1000, NULL, "steps at most; the last goes to the end", false},
    {"aggregate", SEARCH_PARAM_CHOICE, NAN, 0, AGGREGATES - 1, aggregate_names, "of a path's rewards", false},
    SEARCH_PARAM_STOP,
    SEARCH_SAMPLING_PARAMS,
};

const struct search_strategy search_mcts = {
    .name = "mcts",
    .summary =
        "n descents to the end, each going where steps were rewarded and ends were good, or somewhere new",
    .source = "AlphaZero's PUCT (1712.01815) as in OpenR (2410.09671)",
    .example = "mcts:n=16,width=4",
    .needs_reward = true,
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
