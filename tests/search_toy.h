/* search_toy.h - strategies played on a chain whose every probability is known, with its exact value as
 * reward: how often they find the right answer, to be compared with what is computed by hand.
 *
 * A step of the chain is right with probability p after a right one and q after a wrong one, whatever the
 * wrong value is. So the reward has two values a level, and what a strategy decides depends only on how many
 * of its nodes are right (or on which, where the order of paths counts). A revision begins the chain anew
 * with p and q moved.
 *
 * The tolerance is four standard errors of the binomial. The seeds are fixed: a test that passes keeps
 * passing.
 */
#ifndef BROOD_SEARCH_TOY_H
#define BROOD_SEARCH_TOY_H

#include <math.h>
#include <stdio.h>

#include "model/toy_chain.h"
#include "search_script.h"

enum { NODES_MAX = 512, LEVELS_MAX = 8 };

static struct toy_chain chain;
static float chain_values[LEVELS_MAX][TOY_BRANCH_MAX]; /* what the reward model says */

static inline void set_revised_chain(int depth, int branch, double p, double q, double revise) {
    struct toy_params params;
    struct err e;
    char text[120];
    snprintf(text, sizeof text, "depth=%d,branch=%d,p=%g,q=%g,revise=%g", depth, branch, p, q, revise);
    bool parsed = toy_params_parse(&params, text, &e);
    ASSERT(parsed);
    toy_chain_init(&chain, &params, "a problem");
    for (int level = 1; level <= depth; level++)
        for (int v = 0; v < branch; v++) chain_values[level][v] = (float)toy_chain_value(&chain, level, v);
}

static inline void set_chain(int depth, int branch, double p, double q) {
    set_revised_chain(depth, branch, p, q, 0);
}

/* ---- the strategies, played ---- */

struct outcome {
    int n_nodes, n_solutions, n_revised;
    bool found;    /* some solution is right */
    bool majority; /* the most frequent answer is, the first of equals */
};

struct place {
    int level, value, n_revisions;
};

static struct search_told write_from(const struct place *from, uint64_t key, bool until_end,
                                     double temperature, struct place *at, float *rewards) {
    struct search_told told = {.finish = SEARCH_STEP, .answer_class = -1};
    struct toy_chain revised = chain;
    *at = *from;
    for (int i = 0; i < at->n_revisions; i++) toy_chain_revise(&revised, false);
    do {
        double logprob;
        at->value = toy_chain_draw(&revised, at->level, at->value, temperature,
                                   rng_unit(key, (uint64_t)at->level), &logprob);
        at->level++;
        told.logprob += logprob;
        told.value_hash = 1 + (uint64_t)at->value;
        rewards[told.n_tokens++] = chain_values[at->level][at->value];
        if (at->level < chain.params.depth) continue;
        told.finish = SEARCH_END;
        told.answer_class = at->value;
    } while (until_end && told.finish == SEARCH_STEP);
    return told;
}

static void judge(const struct tree *t, struct outcome *out) {
    int n_votes[TOY_BRANCH_MAX] = {0}, first[TOY_BRANCH_MAX], best = -1;
    struct script_node nodes[NODES_MAX];
    for (size_t i = 0; i < t->n_nodes; i++) nodes[i] = (struct script_node){t, (int)i};
    qsort(nodes, t->n_nodes, sizeof *nodes, script_by_path);
    out->n_nodes = (int)t->n_nodes - 1;
    for (size_t i = 0; i < t->n_nodes; i++) {
        const struct tree_node *v = &t->nodes[nodes[i].node];
        out->n_revised += v->lead == TREE_LEAD_REVISE;
        if (v->state != TREE_SOLUTION || v->dropped || v->outvoted) continue;
        if (n_votes[v->answer_class]++ == 0) first[v->answer_class] = out->n_solutions;
        out->n_solutions++;
    }
    for (int c = 0; c < chain.params.branch; c++) {
        if (n_votes[c] == 0) continue;
        if (best < 0 || n_votes[c] > n_votes[best] || (n_votes[c] == n_votes[best] && first[c] < first[best]))
            best = c;
    }
    out->found = n_votes[chain.right[chain.params.depth]] > 0;
    out->majority = best == chain.right[chain.params.depth];
}

static struct outcome play(const struct search_spec *spec, uint64_t seed) {
    const struct search_context context = {.problem_key = rng_child(1234, seed),
                                           .has_reward = true,
                                           .plan = script_plan,
                                           .n_tokens_answer_max = 1000};
    struct place places[NODES_MAX] = {{0}};
    struct outcome out = {0};
    struct search_ask ask;
    struct err e;
    float rewards[NODES_MAX][LEVELS_MAX];
    struct search *s = search_new(spec, &context, &e);
    ASSERT(s);
    while (search_ask(s, &ask)) {
        const struct tree_node *v = &search_tree(s)->nodes[ask.node];
        ASSERT(ask.node < NODES_MAX);
        if (ask.op == SEARCH_EXPAND) {
            struct place from = places[ask.parent];
            if (ask.lead == TREE_LEAD_REVISE) from = (struct place){.n_revisions = from.n_revisions + 1};
            struct search_told told = write_from(&from, v->key, ask.until_end, (double)ask.temperature,
                                                 &places[ask.node], rewards[ask.node]);
            search_tell_node(s, ask.node, &told);
        } else if (ask.op == SEARCH_SCORE) {
            search_tell_score(s, ask.node, rewards[ask.node], v->n_tokens);
        }
        if (seed < 3) tree_check(search_tree(s));
    }
    ASSERT(search_done(s));
    judge(search_tree(s), &out);
    search_free(s);
    return out;
}

static struct search_spec spec_of(const char *text) {
    struct search_spec spec = script_spec(text);
    if (search_spec_has(&spec, "temperature")) {
        struct err e;
        bool set = search_spec_set(&spec, "temperature", 1, &e);
        ASSERT(set);
    }
    return spec;
}

struct frequency {
    double found, majority, n_nodes, n_nodes_squared, n_revised;
    int n;
};

static inline struct frequency play_many(const char *text, int n_seeds) {
    struct search_spec spec = spec_of(text);
    struct frequency f = {.n = n_seeds};
    for (int i = 0; i < n_seeds; i++) {
        struct outcome o = play(&spec, (uint64_t)i);
        f.found += o.found;
        f.majority += o.majority;
        f.n_nodes += o.n_nodes;
        f.n_revised += o.n_revised;
        f.n_nodes_squared += (double)o.n_nodes * o.n_nodes;
    }
    f.found /= n_seeds;
    f.majority /= n_seeds;
    f.n_nodes /= n_seeds;
    f.n_revised /= n_seeds;
    f.n_nodes_squared /= n_seeds;
    return f;
}

static inline void assert_probability(const char *text, const char *what, double seen, double exact, int n) {
    double error = sqrt(exact * (1 - exact) / n);
    if (fabs(seen - exact) > 4 * error + 1e-12)
        fail_msg("%s, %s: %.4f of %d, exactly %.4f +- %.4f", text, what, seen, n, exact, error);
}

/* ---- by hand ---- */

static inline double choose(int n, int k) {
    double c = 1;
    for (int i = 0; i < k; i++) c = c * (n - i) / (i + 1);
    return c;
}

static inline double binomial(int n, int k, double p) {
    return choose(n, k) * pow(p, k) * pow(1 - p, n - k);
}

/* k right ones among a children of right nodes and b of wrong ones. */
static inline double n_right(int a, int b, int k) {
    double sum = 0;
    for (int i = MAX(0, k - b); i <= MIN(a, k); i++)
        sum += binomial(a, i, chain.p) * binomial(b, k - i, chain.q);
    return sum;
}

/* The chance that a path at `level`, right or wrong there, ends right. */
static inline double value(int level, bool right) {
    if (level == chain.params.depth) return right;
    double p = right ? chain.p : chain.q;
    return p * value(level + 1, true) + (1 - p) * value(level + 1, false);
}

static const struct {
    int depth, branch;
    double p, q;
} chains[] = {{4, 3, 0.6, 0.15}, {3, 4, 0.5, 0.3}, {6, 2, 0.7, 0.1}};

/* Over all sequences of n answers: how probable it is that the right one wins, the first of equals. */
static inline double majority_is_right(const double *answers, int n, int *votes, int *first, int at) {
    int b = chain.params.branch;
    double sum = 0;
    if (at == n) {
        int best = -1;
        for (int c = 0; c < b; c++)
            if (votes[c] &&
                (best < 0 || votes[c] > votes[best] || (votes[c] == votes[best] && first[c] < first[best])))
                best = c;
        return best == chain.right[chain.params.depth];
    }
    for (int c = 0; c < b; c++) {
        if (votes[c]++ == 0) first[c] = at;
        sum += answers[c] * majority_is_right(answers, n, votes, first, at + 1);
        votes[c]--;
    }
    return sum;
}

#endif
