/* search_script.h - a made-up policy and reward model for tests of searches: what a node gets is a function
 * of its parent's key and its index; its rewards one of its parent's key and its text, where texts are known.
 *
 * script_run drives a search to its end, telling what is open in an order of its own choice, and checks on
 * the way what every strategy must keep: the protocol, the tree's invariants, the count of open asks.
 */
#ifndef BROOD_SEARCH_SCRIPT_H
#define BROOD_SEARCH_SCRIPT_H

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/search.h"

enum { SCRIPT_TOKENS_MAX = 60 };
#define SCRIPT_PROBLEM_KEY 0x5eedu

struct script {
    uint64_t seed;
    bool drops_solutions; /* the strategy may give up what ended */
    bool no_reward;       /* there is no reward model */
    bool in_turns;
    int end_percent, cut_percent, fail_percent, unscored_percent;
    int verified_percent; /* of what ended; 0: there is no verifier */
    int n_values;         /* rewards are i / n_values: few values make many ties */
    int n_texts;          /* different texts that siblings may have: few make many twins; 0: not known */
    int n_meanings;       /* what texts may come to, 0 included: nothing */
    bool hides_texts;     /* the search does not hear of them */
    int n_tokens;         /* of a step, at most */
    int shift;            /* child shift + i of the root gets what child i would */
};

struct script_result {
    struct search_told told;
    float rewards[4];
    int n_rewards; /* -1: cannot be scored */
};

/* What child `index` of the node with that key gets. */
static struct script_result script_result(const struct script *c, uint64_t parent_key, int index,
                                          bool until_end, int n_tokens_max) {
    struct script_result r = {.told = {.answer_class = -1}};
    uint64_t k = rng_child(rng_child(parent_key, (uint64_t)index), c->seed), text = k;
    int percent = (int)rng_below(k, 0, 100);
    if (percent < c->fail_percent) {
        r.told.finish = SEARCH_FAILED;
        return r;
    }
    percent -= c->fail_percent;
    r.told.n_tokens = MIN(n_tokens_max, 1 + (int)rng_below(k, 1, (uint64_t)c->n_tokens));
    if (percent < c->cut_percent)
        r.told.finish = SEARCH_LENGTH;
    else
        r.told.finish = until_end || percent - c->cut_percent < c->end_percent ? SEARCH_END : SEARCH_STEP;
    if (r.told.finish == SEARCH_END) r.told.answer_class = (int)rng_below(k, 2, 4) - 1;
    r.told.verdict = r.told.finish != SEARCH_END || c->verified_percent == 0
                         ? -1
                         : (int)rng_below(k, 12, 100) < c->verified_percent;
    if (c->n_texts) {
        r.told.text_hash = 1 + 2 * rng_below(k, 3, (uint64_t)c->n_texts) + until_end;
        text = rng_child(rng_child(parent_key, c->seed), 1000 + r.told.text_hash);
    }
    r.told.value_hash = c->n_meanings ? rng_below(text, 11, (uint64_t)c->n_meanings) : 0;
    r.told.logprob = -rng_unit(k, 4);
    r.n_rewards = until_end ? (int)rng_below(text, 5, 5) : 1;
    for (int i = 0; i < r.n_rewards; i++)
        r.rewards[i] =
            (float)rng_below(text, 6 + (uint64_t)i, (uint64_t)c->n_values + 1) / (float)c->n_values;
    if ((int)rng_below(text, 10, 100) < c->unscored_percent) r.n_rewards = -1;
    if (c->hides_texts) r.told.text_hash = 0;
    return r;
}

struct script_run {
    int n_told_max; /* in: search_stop after so many results; 0: never */
    int n_expands, n_scores, n_drops, n_told;
    int n_twins; /* SCOREs of which nothing is to be computed; not among n_scores */
    int n_solutions;
    struct buf expands; /* with in_turns: what was expanded, in that order */
    struct buf dump;    /* all nodes in path order, a line each, then the drops in path order */
};

/* A parsed strategy with what a policy and a reward model would recommend. */
static struct search_spec script_spec(const char *text) {
    struct search_spec spec;
    struct err e;
    bool parsed = search_spec_parse(&spec, text, &e);
    ASSERT(parsed);
    search_spec_recommend(&spec, "temperature", 0.8);
    search_spec_recommend(&spec, "top_p", 1);
    search_spec_recommend(&spec, "min_p", 0);
    search_spec_recommend(&spec, "top_k", 0);
    search_spec_recommend(&spec, "aggregate", 0);
    return spec;
}

static const char *script_plan; /* of the searches that follow */

static struct search *script_search_for(const char *text, const struct script *c) {
    struct search_spec spec = script_spec(text);
    struct search_context context = {.problem_key = SCRIPT_PROBLEM_KEY,
                                     .has_reward = !c->no_reward,
                                     .has_verifier = c->verified_percent > 0,
                                     .in_turns = c->in_turns,
                                     .plan = script_plan,
                                     .n_tokens_answer_max = SCRIPT_TOKENS_MAX};
    struct err e;
    struct search *s = search_new(&spec, &context, &e);
    ASSERT(s);
    return s;
}

static inline struct search *script_search(const char *text) {
    return script_search_for(text, &(const struct script){0});
}

static inline bool script_is_below(const struct tree *t, int node, int top) {
    while (node > top) node = t->nodes[node].parent;
    return node == top;
}

/* That a node may have. */
static inline int script_tokens_left(const struct tree *t, int node) {
    const struct tree_node *v = &t->nodes[node];
    return SCRIPT_TOKENS_MAX - (v->lead == TREE_LEAD_REVISE ? 0 : t->nodes[v->parent].n_tokens_solution);
}

static inline void script_check_ask(const struct script *c, const struct tree *t,
                                    const struct search_ask *ask) {
    const struct tree_node *v = &t->nodes[ask->node], *p = &t->nodes[v->parent];
    ASSERT(ask->parent == v->parent);
    if (ask->op == SEARCH_EXPAND) {
        ASSERT(!v->dropped && v->state == TREE_ASKED && v->writing && ask->lead == v->lead);
        ASSERT(p->state == TREE_OPEN || (ask->lead && p->state != TREE_ASKED && p->state != TREE_FAILED));
        ASSERT(ask->n_tokens_max == script_tokens_left(t, ask->node) && ask->n_tokens_max > 0);
    } else if (ask->op == SEARCH_SCORE) {
        ASSERT(!v->dropped && v->state != TREE_ASKED && v->state != TREE_FAILED && v->scoring);
        ASSERT(v->parent == 0 || p->score_asked || v->lead == TREE_LEAD_REVISE);
        const struct tree_node *twin = ask->twin < 0 ? NULL : &t->nodes[ask->twin];
        ASSERT(!twin || (twin->scored && twin->parent == v->parent && twin->text_hash == v->text_hash));
        ASSERT(!twin || (v->text_hash && ask->twin != ask->node));
    } else {
        ASSERT(v->dropped && (c->drops_solutions || v->state != TREE_SOLUTION));
    }
}

struct script_node {
    const struct tree *tree;
    int node;
};

static int script_by_path(const void *a, const void *b) {
    const struct script_node *x = a, *y = b;
    return tree_compare(x->tree, x->node, y->node);
}

static inline void script_dump(const struct tree *t, const struct script_node *drops, int n_drops,
                               struct buf *out) {
    struct script_node *nodes = mem_alloc(t->n_nodes * sizeof *nodes);
    char path[400];
    for (size_t i = 0; i < t->n_nodes; i++) nodes[i] = (struct script_node){t, (int)i};
    qsort(nodes, t->n_nodes, sizeof *nodes, script_by_path);
    for (size_t i = 0; i < t->n_nodes; i++) {
        const struct tree_node *v = &t->nodes[nodes[i].node];
        tree_path(t, nodes[i].node, path, sizeof path);
        buf_printf(out, "%s state=%d%s%s%s%s tokens=%d class=%d children=%d rewards=%d:", path, (int)v->state,
                   v->dropped ? " dropped" : "", v->outvoted ? " outvoted" : "",
                   v->verdict == 1 ? " verified" : "", v->until_end ? " until-end" : "", v->n_tokens,
                   v->answer_class, v->n_children, v->n_rewards);
        for (int k = 0; k < v->n_rewards; k++) buf_printf(out, " %g", (double)v->rewards[k]);
        buf_add_char(out, '\n');
    }
    for (int i = 0; i < n_drops; i++) {
        tree_path(t, drops[i].node, path, sizeof path);
        buf_printf(out, "drop %s\n", path);
    }
    free(nodes);
}

static inline int script_index(const struct script *c, const struct tree_node *v) {
    return v->parent == 0 && c->shift ? (v->index + 100000 - c->shift) % 100000 : v->index;
}

static inline uint64_t script_key(const struct script *c, const struct tree *t, int node) {
    const struct tree_node *v = &t->nodes[node];
    return node == 0 ? v->key : rng_child(script_key(c, t, v->parent), (uint64_t)script_index(c, v));
}

/* Tells the open ask number i and takes it out of the list. */
static inline void script_tell(struct search *s, const struct script *c, struct search_ask *open, int *n_open,
                               int i) {
    struct search_ask ask = open[i];
    const struct tree_node *v = &search_tree(s)->nodes[ask.node];
    int n_tokens_left = script_tokens_left(search_tree(s), ask.node);
    struct script_result r = script_result(c, script_key(c, search_tree(s), ask.parent), script_index(c, v),
                                           v->until_end, n_tokens_left);
    open[i] = open[--*n_open];
    if (ask.op == SEARCH_EXPAND)
        search_tell_node(s, ask.node, &r.told);
    else if (ask.twin < 0)
        search_tell_score(s, ask.node, r.rewards, r.n_rewards);
    else
        search_tell_score(s, ask.node, search_tree(s)->nodes[ask.twin].rewards,
                          search_tree(s)->nodes[ask.twin].n_rewards);
}

/* Nodes whose score was told, but of equal siblings one. */
static inline int script_count_scored(const struct tree *t) {
    int n = 0;
    for (size_t i = 1; i < t->n_nodes; i++) {
        const struct tree_node *v = &t->nodes[i];
        bool is_first = v->scored;
        for (size_t k = (size_t)v->parent + 1; is_first && v->text_hash && k < i; k++)
            is_first = !t->nodes[k].scored || t->nodes[k].parent != v->parent ||
                       t->nodes[k].text_hash != v->text_hash;
        n += is_first;
    }
    return n;
}

/* text: the strategy; order: decides when what is asked and told. */
static inline void script_run(const char *text, const struct script *c, uint64_t order,
                              struct script_run *run) {
    struct search *s = script_search_for(text, c);
    const struct tree *t = search_tree(s);
    struct search_ask *open = NULL, ask;
    struct script_node *drops = NULL;
    size_t cap_open = 0, cap_drops = 0;
    int n_open = 0;
    for (uint64_t turn = 0; !search_done(s); turn++) {
        uint64_t n_asks_max = rng_below(order, 2 * turn, 4) ? UINT64_MAX : rng_below(order, 2 * turn + 1, 5);
        for (uint64_t i = 0; i < n_asks_max && search_ask(s, &ask); i++) {
            script_check_ask(c, t, &ask);
            if (ask.op == SEARCH_DROP) {
                MEM_GROW(drops, cap_drops, (size_t)run->n_drops + 1);
                drops[run->n_drops++] = (struct script_node){t, ask.node};
                for (int k = n_open - 1; k >= 0; k--)
                    if (script_is_below(t, open[k].node, ask.node)) open[k] = open[--n_open];
                continue;
            }
            *(ask.op == SEARCH_EXPAND ? &run->n_expands : ask.twin < 0 ? &run->n_scores : &run->n_twins) += 1;
            if (ask.op == SEARCH_EXPAND && c->in_turns) {
                char path[400];
                tree_path(t, ask.node, path, sizeof path);
                buf_printf(&run->expands, "%s\n", path);
            }
            MEM_GROW(open, cap_open, (size_t)n_open + 1);
            open[n_open++] = ask;
        }
        ASSERT(n_open == s->n_open);
        if (n_open == 0) continue;
        script_tell(s, c, open, &n_open, (int)rng_below(rng_child(order, 1), turn, (uint64_t)n_open));
        tree_check(t);
        if (++run->n_told == run->n_told_max) {
            search_stop(s);
            ASSERT(search_done(s) && !search_ask(s, &ask));
            while (n_open > 0) /* late results are ignored */
                script_tell(s, c, open, &n_open, 0);
        }
    }
    ASSERT(!search_ask(s, &ask));
    tree_check(t);
    ASSERT(run->n_told_max || run->n_scores == script_count_scored(t));
    for (size_t i = 0; i < t->n_nodes; i++)
        run->n_solutions += t->nodes[i].state == TREE_SOLUTION && !t->nodes[i].dropped;
    if (run->n_drops) qsort(drops, (size_t)run->n_drops, sizeof *drops, script_by_path);
    script_dump(t, drops, run->n_drops, &run->dump);
    free(drops);
    free(open);
    search_free(s);
}

#endif
