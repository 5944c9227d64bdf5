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
 *
 * allocation=rebase: Wu et al. 2024, "Inference scaling laws" (2408.00724). Rewards lie in [0, 1]; at the
 * default temperature of 0.1 a step that is 0.1 better gets 2.7 times the children. Where we differ from its
 * code: equal siblings share one's children (`distinct`), and the token limit is the solution's, not a
 * step's.
 *
 * allocation=particle: Puri et al. 2025 (2502.01618); its_hub. The n particles are resampled by the odds of
 * their reward. Where we differ: systematic draws, only when the effective number of particles falls below
 * `ess` of them (there: independent draws, every step), and what ended leaves the population for the archive,
 * where it votes (there: it is resampled with the rest and may be lost).
 *
 * allocation=ets: Hooper et al. 2025 (2502.13575): REBASE among those that are worth the memory that their
 * paths hold; ets.h says how, and where we differ.
 *
 * All three write n children at the first level, and none looks at `width`.
 */
#include "search/beam.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "search/ets.h"

enum { TAG_RESAMPLE = 0x62656173, AHEAD = -1 };
enum { CLUSTER_VALUE, CLUSTER_TEXT };

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
    b->distinct = (int)search_spec_get(&s->spec, "distinct");
    b->lookahead = (int)search_spec_get(&s->spec, "lookahead");
    if (search_spec_has(&s->spec, "allocation"))
        b->allocation = (enum beam_allocation)search_spec_get(&s->spec, "allocation");
    b->n_groups = n_groups;
    b->groups = mem_zalloc((size_t)n_groups, sizeof *b->groups);
    int n = (int)search_spec_get(&s->spec, "n");
    for (int i = 0; i < n_groups; i++) {
        int n_children = n / n_groups + (i < n % n_groups);
        b->groups[i].n_slots = n_slots;
        b->groups[i].n_left = n_children;
        b->groups[i].share = n_children / n_slots;
        b->groups[i].spare = n_children % n_slots;
        write_children(b, i, 0, n_children);
    }
}

void beam_fini(struct search *s) {
    struct beam *b = (struct beam *)s;
    for (int i = 0; i < b->n_groups; i++) free(b->groups[i].level);
    free(b->groups);
    free(b->values);
}

/* ---- deciding a level ---- */
static double score_of(const struct beam *b, int node) {
    double score = search_path_reward(&b->search, node, b->aggregate);
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

/* The level's candidates, in path order. */
static size_t collect(struct beam *b, const struct beam_group *g, struct candidate *out) {
    size_t n = 0;
    for (size_t i = 0; i < g->n_level; i++) {
        enum tree_state state = tree_get(&b->search.tree, g->level[i])->state;
        if (state != TREE_OPEN && state != TREE_SOLUTION) continue;
        out[n++] =
            (struct candidate){.node = g->level[i],
                               .is_open = state == TREE_OPEN,
                               .is_twin = is_twin(b, g, i),
                               .score = b->lookahead ? b->values[g->level[i]] : score_of(b, g->level[i])};
    }
    return n;
}

static void share_out(struct beam *b, const struct beam_group *g, struct candidate *c, size_t n) {
    const struct search_spec *spec = &b->search.spec;
    const struct ets_weights weights = {.cost = search_spec_get(spec, "cost"),
                                        .cover = search_spec_get(spec, "cover"),
                                        .temperature = search_spec_get(spec, "softmax"),
                                        .by_text = search_spec_get(spec, "cluster") == CLUSTER_TEXT};
    if (b->allocation == BEAM_ETS)
        ets_allocate(&b->search.tree, c, n, g->n_left, &weights);
    else
        allocate_softmax(c, n, g->n_left, weights.temperature);
}

static void allocate(struct beam *b, struct beam_group *g, struct candidate *c, size_t n) {
    struct tree *t = &b->search.tree;
    if (b->allocation == BEAM_PARTICLE) {
        int depth = n > 0 ? tree_get(t, c[0].node)->depth : 0;
        double unit = rng_unit(rng_child(tree_get(t, 0)->key, TAG_RESAMPLE), (uint64_t)depth);
        allocate_resample(c, n, search_spec_get(&b->search.spec, "ess"), unit);
        return;
    }
    qsort(c, n, sizeof *c, by_rank);
    if (b->allocation == BEAM_REBASE || b->allocation == BEAM_ETS) {
        for (size_t i = 0; i < g->n_level; i++) {
            enum tree_state state = tree_get(t, g->level[i])->state;
            g->n_left -= state == TREE_SOLUTION || state == TREE_CUT;
        }
        share_out(b, g, c, n);
    } else {
        size_t n_ranked = n;
        while (b->distinct == 2 && n_ranked > 0 && c[n_ranked - 1].is_twin) n_ranked--;
        allocate_topk(c, n_ranked, g->n_slots, g->share, g->spare);
        g->n_slots = 0;
        for (size_t i = 0; i < n; i++) g->n_slots += c[i].n_children > 0;
    }
    qsort(c, n, sizeof *c, by_node);
}

static void decide(struct beam *b, int i_group) {
    struct beam_group *g = &b->groups[i_group];
    struct candidate *c = mem_zalloc(MAX(g->n_level, 1), sizeof *c);
    size_t n = collect(b, g, c);
    bool is_enough = search_spec_has(&b->search.spec, "stop") && search_may_stop(&b->search);
    if (!is_enough) allocate(b, g, c, n);
    g->n_level = 0;
    for (size_t i = 0; i < n; i++)
        if (c[i].is_open && c[i].n_children == 0) search_want_prune(&b->search, c[i].node);
    for (size_t i = 0; i < n; i++) write_children(b, i_group, c[i].node, c[i].n_children);
    free(c);
}

static void one_less(struct beam *b, int node) {
    int i_group = tree_get(&b->search.tree, node)->tag;
    if (--b->groups[i_group].n_waiting == 0) decide(b, i_group);
}

/* ---- results, and looking ahead of them ---- */

/* The candidate whose greedy steps lead to `node`, or itself. */
static int candidate_of(struct tree *t, int node) {
    while (tree_get(t, node)->tag == AHEAD) node = tree_get(t, node)->parent;
    return node;
}

/* Nothing more comes below a candidate: `node` is the last that was written. */
static void settle(struct beam *b, int node) {
    struct tree *t = &b->search.tree;
    int candidate = candidate_of(t, node), first = -1;
    if (b->lookahead > 0) {
        for (int i = node; i != candidate; i = tree_get(t, i)->parent) first = i;
        while (node != candidate && tree_get(t, node)->n_rewards < 0) node = tree_get(t, node)->parent;
        MEM_GROW(b->values, b->cap_values, t->n_nodes);
        b->values[candidate] = score_of(b, node);
        if (first >= 0) search_want_drop(&b->search, first);
    }
    one_less(b, candidate);
}

void beam_told_node(struct search *s, int node) {
    enum tree_state state = tree_get(&s->tree, node)->state;
    if (state == TREE_OPEN || state == TREE_SOLUTION)
        search_want_score(s, node);
    else
        settle((struct beam *)s, node);
}

void beam_told_score(struct search *s, int node) {
    struct beam *b = (struct beam *)s;
    const struct tree_node *v = tree_get(&s->tree, node);
    int n_ahead = v->depth - tree_get(&s->tree, candidate_of(&s->tree, node))->depth;
    if (n_ahead < b->lookahead && v->state == TREE_OPEN && v->n_rewards > 0) {
        int ahead = search_want_greedy(s, node, false);
        tree_get(&s->tree, ahead)->tag = AHEAD;
    } else {
        settle(b, node);
    }
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

static const char *const allocations[BEAM_ALLOCATIONS + 1] = {"topk", "rebase", "particle", "ets", NULL};
static const char *const clusters[] = {"value", "text", NULL};

static const struct search_param params[] = {
    BEAM_PARAMS,
    {"allocation", SEARCH_PARAM_CHOICE, BEAM_TOPK, 0, BEAM_ALLOCATIONS - 1, allocations,
     "best ranks go on, or children by softmax of rewards, or resampled particles, or rebase where it is "
     "worth its memory",
     true},
    {"softmax", SEARCH_PARAM_REAL, 0.1, 1e-3, 1e3, NULL, "allocation=rebase, ets: temperature of rewards",
     true},
    {"ess", SEARCH_PARAM_REAL, 0.5, 0, 1, NULL, "allocation=particle: resample below this share", true},
    {"cost", SEARCH_PARAM_REAL, 1, 0, 1e3, NULL, "allocation=ets: what keeping all steps in memory costs",
     true},
    {"cover", SEARCH_PARAM_REAL, 1.5, 0, 1e3, NULL, "allocation=ets: what keeping all kinds of steps brings",
     true},
    {"cluster", SEARCH_PARAM_CHOICE, CLUSTER_VALUE, 0, CLUSTER_TEXT, clusters,
     "allocation=ets: steps are of a kind that come to the same value, or have the same text", true},
    SEARCH_PARAM_STOP,
    SEARCH_SAMPLING_PARAMS,
};

const struct search_strategy search_beam = {
    .name = "beam",
    .summary = "write n steps, keep the n/width that the reward model likes best, go on from those",
    .source = "Snell et al. 2024 (2408.03314); REBASE, 2408.00724; particles, 2502.01618; ETS, 2502.13575",
    .example = "beam:n=16,width=4",
    .needs_reward = true,
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
