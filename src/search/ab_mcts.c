/* ab_mcts.c - adaptive branching: whole solutions, each a fresh one or a revision of an earlier one, wherever
 * the scores so far make that look best.
 *
 * Inoue et al. 2025, "Wider or deeper? Scaling LLM inference-time compute with adaptive branching tree
 * search" (2503.04412), AB-MCTS-A, as in TreeQuest. Every node of the tree is a solution, below another a
 * revision of it (TREE_LEAD_REVISE). Every decision writes one node and begins at the root:
 *
 *     at a node without children: write one here (wider: a fresh one at the root, else a revision)
 *     otherwise draw from what is believed of GEN and of CONT here, and take the larger
 *         GEN    write another child here
 *         CONT   draw for each child, enter that of the largest draw (deeper), and decide again
 *
 *     a new node's score is seen by GEN of its parent and by itself; by every node on the path to its
 *     parent, the root excepted, and by CONT of the node above each of them
 *
 * Beliefs are those of posterior.h, all with the same prior. Decision d draws its numbers from stream d of
 * the problem's key, GEN before CONT, children in order. `width` decisions are made side by side, by what was
 * known before any of them (TreeQuest's ask_batch); the next when all are told and scored, so the tree is the
 * same in whatever order results arrive. Draws differ, so that the decisions do.
 *
 * The score is the reward model's of the whole solution, 1 where a verifier passed it, and 0 where neither
 * says anything. Where we differ from TreeQuest: one policy with one kind of revision (there several actions
 * may compete); what was cut off scores 0, what failed is not counted; at `depth` a solution is not revised
 * any more, so GEN is all there is above it. All solutions are candidates for the answer.
 */
#include <math.h>
#include <stdlib.h>

#include "base/aggregate.h"
#include "base/mem.h"
#include "base/rng.h"
#include "search/posterior.h"
#include "search/strategies.h"

enum { TAG_DECISION = 0x61626d63 };
enum { PRIOR_GAUSSIAN, PRIOR_BETA };

static const char *const priors[] = {"gaussian", "beta", NULL};

struct arms { /* of a node */
    struct posterior itself, gen, cont;
};

struct ab {
    struct search search;
    struct posterior_prior prior;
    struct arms *arms; /* [nodes] */
    size_t cap_arms;
    int *round; /* [width] nodes that were asked for side by side */
    int n_round, n_waiting, n_decisions;
};

static double param(const struct ab *x, const char *key) {
    return search_spec_get(&x->search.spec, key);
}

static struct arms *arms_of(struct ab *x, int node) {
    size_t had = x->cap_arms;
    MEM_GROW(x->arms, x->cap_arms, (size_t)node + 1);
    for (size_t i = had; i < x->cap_arms; i++) x->arms[i] = (struct arms){0};
    return &x->arms[node];
}

/* ---- a decision ---- */
static double draw(const struct ab *x, const struct posterior *p, struct posterior_stream *s) {
    const struct posterior_prior belief = posterior_belief(&x->prior, p);
    return posterior_draw(&belief, s);
}

static bool is_known(const struct tree_node *v) {
    return v->state == TREE_SOLUTION || v->state == TREE_CUT;
}

static bool has_children(const struct tree *t, int node) {
    int n_left = t->nodes[node].n_children;
    for (size_t i = (size_t)node + 1; n_left > 0; i++) {
        if (t->nodes[i].parent != node) continue;
        if (is_known(&t->nodes[i])) return true;
        n_left--;
    }
    return false;
}

/* The child with the largest draw. */
static int enter(struct ab *x, int node, struct posterior_stream *s) {
    const struct tree *t = &x->search.tree;
    int n_left = t->nodes[node].n_children, chosen = -1;
    double largest = 0;
    for (int i = node + 1; n_left > 0; i++) {
        if (t->nodes[i].parent != node) continue;
        n_left--;
        if (!is_known(&t->nodes[i])) continue;
        double value = draw(x, &arms_of(x, i)->itself, s);
        if (chosen >= 0 && value <= largest) continue;
        largest = value;
        chosen = i;
    }
    return chosen;
}

/* The node below which the next one is written. */
static int decide(struct ab *x) {
    const struct tree *t = &x->search.tree;
    struct posterior_stream s = {
        .key = rng_child(rng_child(t->nodes[0].key, TAG_DECISION), (uint64_t)x->n_decisions++)};
    int node = 0;
    while (t->nodes[node].depth + 1 < (int)param(x, "depth") && has_children(t, node)) {
        double gen = draw(x, &arms_of(x, node)->gen, &s), cont = draw(x, &arms_of(x, node)->cont, &s);
        if (cont <= gen) break;
        node = enter(x, node, &s);
    }
    return node;
}

/* ---- rounds ---- */
static double score_of(const struct ab *x, int node) {
    const struct tree_node *v = &x->search.tree.nodes[node];
    if (v->verdict == 1) return 1;
    if (v->state != TREE_SOLUTION || !x->search.context.has_reward) return 0;
    double reward = search_path_reward(&x->search, node, (enum aggregate)param(x, "aggregate"));
    return isnan(reward) ? 0 : fmin(fmax(reward, 0), 1);
}

static void learn(struct ab *x, int node) {
    const struct tree *t = &x->search.tree;
    if (!is_known(&t->nodes[node])) return;
    double score = score_of(x, node);
    posterior_observe(&arms_of(x, node)->itself, score);
    posterior_observe(&arms_of(x, t->nodes[node].parent)->gen, score);
    for (int i = t->nodes[node].parent; i > 0; i = t->nodes[i].parent) {
        posterior_observe(&arms_of(x, i)->itself, score);
        posterior_observe(&arms_of(x, t->nodes[i].parent)->cont, score);
    }
}

static void next_round(struct ab *x) {
    int n_left = (int)param(x, "n") - x->n_decisions;
    for (int i = 0; i < x->n_round; i++) learn(x, x->round[i]);
    x->n_round = 0;
    if (search_may_stop(&x->search)) return;
    for (int i = 0; i < MIN(n_left, (int)param(x, "width")); i++) {
        int node = decide(x);
        x->round[x->n_round++] = node ? search_want_lead(&x->search, node, true, TREE_LEAD_REVISE)
                                      : search_want_expand(&x->search, 0, true);
        if (node) search_want_feedback(&x->search);
    }
    x->n_waiting = x->n_round;
}

/* ---- the strategy ---- */
static void init(struct search *s) {
    struct ab *x = (struct ab *)s;
    x->prior = (struct posterior_prior){.is_beta = param(x, "prior") == PRIOR_BETA,
                                        .mean = param(x, "mean"),
                                        .kappa = param(x, "kappa"),
                                        .nu = param(x, "nu"),
                                        .tau2 = param(x, "tau2"),
                                        .a = param(x, "a"),
                                        .b = param(x, "b")};
    x->round = mem_zalloc((size_t)param(x, "width"), sizeof *x->round);
    next_round(x);
}

static void fini(struct search *s) {
    struct ab *x = (struct ab *)s;
    free(x->arms);
    free(x->round);
}

static void one_less(struct ab *x) {
    if (--x->n_waiting == 0) next_round(x);
}

static void told_node(struct search *s, int node) {
    if (s->context.has_reward && tree_get(&s->tree, node)->state == TREE_SOLUTION)
        search_want_score(s, node);
    else
        one_less((struct ab *)s);
}

static void told_score(struct search *s, int node) {
    UNUSED(node);
    one_less((struct ab *)s);
}

static const struct search_ops ops = {
    .size = sizeof(struct ab), .init = init, .fini = fini, .told_node = told_node, .told_score = told_score};

static const struct search_param params[] = {
    {"n", SEARCH_PARAM_INT, 16, 1, 4096, NULL, "solutions, revisions among them", false},
    {"width", SEARCH_PARAM_INT, 4, 1, 1024, NULL,
     "decisions side by side; more fill the batch, fewer learn more", false},
    {"depth", SEARCH_PARAM_INT, 8, 1, 1000, NULL, "versions one below the other, at most", false},
    {"prior", SEARCH_PARAM_CHOICE, PRIOR_GAUSSIAN, 0, PRIOR_BETA, priors, "what scores are like", false},
    {"mean", SEARCH_PARAM_REAL, 0, 0, 1, NULL, "prior=gaussian: expected score", true},
    {"kappa", SEARCH_PARAM_REAL, 1, 1e-6, 1e6, NULL, "prior=gaussian: scores that this counts for", true},
    {"nu", SEARCH_PARAM_REAL, 1, 1e-3, 1e6, NULL, "prior=gaussian: scores that tau2 counts for", true},
    {"tau2", SEARCH_PARAM_REAL, 0.1, 1e-9, 1e3, NULL, "prior=gaussian: expected variance", true},
    {"a", SEARCH_PARAM_REAL, 0.5, 1e-3, 1e6, NULL, "prior=beta: successes seen before", true},
    {"b", SEARCH_PARAM_REAL, 0.5, 1e-3, 1e6, NULL, "prior=beta: failures seen before", true},
    {"aggregate", SEARCH_PARAM_CHOICE, NAN, 0, AGGREGATES - 1, aggregate_names, "of a solution's rewards",
     false},
    SEARCH_PARAM_STOP,
    SEARCH_PARAM_FEEDBACK,
    SEARCH_SAMPLING_PARAMS,
};

const struct search_strategy search_ab_mcts = {
    .name = "ab-mcts",
    .summary = "n solutions, each a fresh one or a revision of another, wherever scores make that look best",
    .source = "Inoue et al. 2025 (2503.04412), AB-MCTS-A, as in TreeQuest",
    .example = "ab-mcts:n=16,width=4",
    .needs_scores = true,
    .revises = true,
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
