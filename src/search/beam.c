/* beam.c - beam search over steps, guided by a process reward model; and what DVTS shares with it (beam.h).
 *
 * Snell et al. 2024, "Scaling LLM test-time compute optimally", section 5.2 (2408.03314); Hugging Face's
 * search-and-learn. n children are written a level, the n/width best survive, each gets width children. Where
 * we differ from search-and-learn:
 *   - what ended competes with what goes on, and takes its slot with it (there: only the others are ranked,
 * and n beams stay live however many have ended);
 *   - all that ended are solutions (there: the first n to finish, padded by copies of them);
 *   - what was cut off by a length limit has not ended (there: it has), and there are no empty steps;
 *   - equal siblings rank last (there: an option that removes them), see `distinct`;
 *   - n need not be a multiple of width: the best ranks get the children left over.
 */
#include "search/beam.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

struct candidate {
    int node, n_children;
    bool is_twin, is_pruned;
    double score;
};

int beam_slots(const struct search *s) {
    return MAX(1, (int)search_spec_get(&s->spec, "n") / (int)search_spec_get(&s->spec, "width"));
}

static void write_children(struct beam *b, int i_group, int parent, int n_children) {
    struct beam_group *g = &b->groups[i_group];
    bool until_end = tree_get(&b->search.tree, parent)->depth + 1 >= b->depth;
    MEM_GROW(g->level, g->cap, g->n_level + (size_t)n_children);
    for (int i = 0; i < n_children; i++) {
        int node = search_want_expand(&b->search, parent, until_end);
        tree_get(&b->search.tree, node)->tag = i_group;
        g->level[g->n_level++] = node;
    }
    g->n_waiting += n_children;
}

void beam_start(struct search *s, int n_groups, int n_slots) {
    struct beam *b = (struct beam *)s;
    b->aggregate = (enum aggregate)search_spec_get(&s->spec, "aggregate");
    b->depth = (int)search_spec_get(&s->spec, "depth");
    b->distinct = search_spec_get(&s->spec, "distinct") != 0;
    b->n_groups = n_groups;
    b->groups = mem_zalloc((size_t)n_groups, sizeof *b->groups);
    int n = (int)search_spec_get(&s->spec, "n");
    for (int i = 0; i < n_groups; i++) {
        int n_children = n / n_groups + (i < n % n_groups);
        b->groups[i].n_slots = n_slots;
        b->groups[i].share = n_children / n_slots;
        b->groups[i].spare = n_children % n_slots;
        write_children(b, i, 0, n_children);
    }
}

void beam_fini(struct search *s) {
    struct beam *b = (struct beam *)s;
    for (int i = 0; i < b->n_groups; i++) free(b->groups[i].level);
    free(b->groups);
    free(b->rewards);
}

/* ---- deciding a level ---- */
static double score_of(struct beam *b, int node) {
    const struct tree *t = &b->search.tree;
    int n = tree_path_rewards(t, node, NULL, 0);
    MEM_GROW(b->rewards, b->cap_rewards, (size_t)n);
    tree_path_rewards(t, node, b->rewards, n);
    double score =
        tree_get(&b->search.tree, node)->n_rewards < 0 ? NAN : aggregate_of(b->aggregate, b->rewards, n);
    return isnan(score) ? -INFINITY : score; /* what could not be scored ranks last */
}

/* Siblings lie side by side in a level. */
static bool is_twin(struct beam *b, const struct beam_group *g, size_t i) {
    const struct tree_node *v = tree_get(&b->search.tree, g->level[i]);
    if (!b->distinct || v->text_hash == 0) return false;
    while (i-- > 0) {
        const struct tree_node *before = tree_get(&b->search.tree, g->level[i]);
        if (before->parent != v->parent) return false;
        if (before->text_hash == v->text_hash) return true;
    }
    return false;
}

static int by_rank(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    if (x->is_twin != y->is_twin) return x->is_twin ? 1 : -1;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node); /* path order, within a level */
}

static int by_node(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    return (x->node > y->node) - (x->node < y->node);
}

static size_t rank(struct beam *b, const struct beam_group *g, struct candidate *out) {
    size_t n = 0;
    for (size_t i = 0; i < g->n_level; i++) {
        enum tree_state state = tree_get(&b->search.tree, g->level[i])->state;
        if (state != TREE_OPEN && state != TREE_SOLUTION) continue;
        out[n++] = (struct candidate){
            .node = g->level[i], .is_twin = is_twin(b, g, i), .score = score_of(b, g->level[i])};
    }
    qsort(out, n, sizeof *out, by_rank);
    return n;
}

/* Drops the node, or the largest branch that it was the last of. */
static void prune(struct beam *b, int node) {
    struct tree *t = &b->search.tree;
    for (;;) {
        int parent = tree_get(t, node)->parent;
        if (parent == 0 || tree_get(t, parent)->n_live > 1) break;
        node = parent;
    }
    search_want_drop(&b->search, node);
}

static void decide(struct beam *b, int i_group) {
    struct beam_group *g = &b->groups[i_group];
    struct candidate *candidates = mem_alloc(MAX(g->n_level, 1) * sizeof *candidates);
    size_t n = rank(b, g, candidates);
    int n_slots = 0;
    for (size_t i = 0; i < n; i++) {
        struct candidate *c = &candidates[i];
        if (tree_get(&b->search.tree, c->node)->state != TREE_OPEN) continue;
        c->is_pruned = i >= (size_t)g->n_slots;
        if (c->is_pruned) continue;
        c->n_children = g->share + (i < (size_t)g->spare);
        n_slots++;
    }
    g->n_slots = n_slots;
    g->n_level = 0;
    qsort(candidates, n, sizeof *candidates, by_node);
    for (size_t i = 0; i < n; i++)
        if (candidates[i].is_pruned) prune(b, candidates[i].node);
    for (size_t i = 0; i < n; i++) write_children(b, i_group, candidates[i].node, candidates[i].n_children);
    free(candidates);
}

static void one_less(struct search *s, int node) {
    struct beam *b = (struct beam *)s;
    int i_group = tree_get(&s->tree, node)->tag;
    if (--b->groups[i_group].n_waiting == 0) decide(b, i_group);
}

void beam_told_node(struct search *s, int node) {
    enum tree_state state = tree_get(&s->tree, node)->state;
    if (state == TREE_OPEN || state == TREE_SOLUTION)
        search_want_score(s, node);
    else
        one_less(s, node);
}

void beam_told_score(struct search *s, int node) {
    one_less(s, node);
}

/* ---- the strategy ---- */
static void init(struct search *s) {
    beam_start(s, 1, beam_slots(s));
}

static const struct search_ops ops = {.size = sizeof(struct beam),
                                      .init = init,
                                      .fini = beam_fini,
                                      .told_node = beam_told_node,
                                      .told_score = beam_told_score};

const struct search_param beam_params[BEAM_PARAMS] = {
    {"n", SEARCH_PARAM_INT, 16, 1, 4096, NULL, "children written a level", false},
    {"width", SEARCH_PARAM_INT, 4, 1, 4096, NULL, "children of each survivor: n/width survive", false},
    {"depth", SEARCH_PARAM_INT, 40, 1, 1000, NULL, "steps at most; the last goes to the end", false},
    {"aggregate", SEARCH_PARAM_CHOICE, NAN, 0, AGGREGATES - 1, aggregate_names, "of a path's rewards", false},
    {"distinct", SEARCH_PARAM_INT, 1, 0, 1, NULL, "1: equal siblings rank after all others", false},
    SEARCH_SAMPLING_PARAMS,
};

const struct search_strategy search_beam = {
    .name = "beam",
    .summary = "write n steps, keep the n/width that the reward model likes best, go on from those",
    .source = "Snell et al. 2024 (2408.03314); search-and-learn",
    .example = "beam:n=16,width=4",
    .needs_reward = true,
    .params = beam_params,
    .n_params = BEAM_PARAMS,
    .ops = &ops,
};
