/* sal_beam.c - beam search as search-and-learn does it, quirks included; `beam` is Brood's own.
 *
 * Beeching, Tunstall, Rush 2024, "Scaling test-time compute with open models"; search-and-learn,
 * search/beam_search.py. n beams are always live:
 *
 *     every beam writes one step; those that end leave as completed, whatever their reward
 *     of the others the n/width with the highest reward stay, of equals the later ones
 *     copies of them, in turn, in the order of the list, make up n beams again
 *     the answers are the first n to be completed
 *
 * A step that was cut off counts as completed. Where we differ: the search ends when n are completed (there
 * it goes on, at full cost, with what it then throws away), and fewer than n are not filled up with copies.
 * What was completed beyond n in the last round is dropped.
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "search/strategies.h"

struct sal {
    struct search search;
    int *beams; /* [n_beams] in the order of the list */
    int n, n_keep, n_beams, n_waiting, n_completed;
};

struct active {
    int node, place;
    double reward;
};

static int param(const struct sal *x, const char *key) {
    return (int)search_spec_get(&x->search.spec, key);
}

/* Every beam becomes a child of one of the parents, in turn. */
static void extend(struct sal *x, const int *parents, int n_parents) {
    bool until_end = tree_get(&x->search.tree, parents[0])->depth + 1 >= param(x, "depth");
    for (int i = 0; i < x->n; i++)
        x->beams[i] = search_want_expand(&x->search, parents[i % n_parents], until_end);
    x->n_waiting = x->n_beams = x->n;
}

static int by_reward(const void *a, const void *b) {
    const struct active *x = a, *y = b;
    if (x->reward != y->reward) return x->reward < y->reward ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

static int by_place(const void *a, const void *b) {
    const struct active *x = a, *y = b;
    return (x->place > y->place) - (x->place < y->place);
}

/* Takes the completed beams out of the list; returns how many are active. */
static int complete(struct sal *x, struct active *active) {
    struct search *s = &x->search;
    int n = 0;
    for (int i = 0; i < x->n_beams; i++) {
        int node = x->beams[i];
        enum tree_state state = tree_get(&s->tree, node)->state;
        if (state == TREE_SOLUTION || state == TREE_CUT) {
            if (x->n_completed < x->n)
                x->n_completed++;
            else
                search_want_prune(s, node);
        } else if (state == TREE_OPEN) {
            double reward = search_path_reward(s, node, (enum aggregate)param(x, "aggregate"));
            active[n++] = (struct active){node, i, isnan(reward) ? -INFINITY : reward};
        }
    }
    return n;
}

static void decide(struct sal *x) {
    struct active *active = mem_zalloc((size_t)x->n_beams, sizeof *active);
    int *parents = mem_zalloc((size_t)x->n_beams, sizeof *parents);
    int n = complete(x, active);
    bool done = x->n_completed == x->n;
    int n_pruned = done ? n : MAX(0, n - x->n_keep);
    qsort(active, (size_t)n, sizeof *active, by_reward);
    qsort(active, (size_t)n_pruned, sizeof *active, by_place);
    for (int i = 0; i < n_pruned; i++) search_want_prune(&x->search, active[i].node);
    qsort(active + n_pruned, (size_t)(n - n_pruned), sizeof *active, by_place);
    for (int i = n_pruned; i < n; i++) parents[i - n_pruned] = active[i].node;
    if (n > n_pruned) extend(x, parents, n - n_pruned);
    free(active);
    free(parents);
}

static void init(struct search *s) {
    struct sal *x = (struct sal *)s;
    const int root = 0;
    x->n = param(x, "n");
    x->n_keep = MAX(1, x->n / param(x, "width"));
    x->beams = mem_zalloc((size_t)x->n, sizeof *x->beams);
    extend(x, &root, 1);
}

static void fini(struct search *s) {
    free(((struct sal *)s)->beams);
}

static void one_less(struct sal *x) {
    if (--x->n_waiting == 0) decide(x);
}

static void told_node(struct search *s, int node) {
    enum tree_state state = tree_get(&s->tree, node)->state;
    if (state == TREE_OPEN || state == TREE_SOLUTION)
        search_want_score(s, node);
    else
        one_less((struct sal *)s);
}

static void told_score(struct search *s, int node) {
    UNUSED(node);
    one_less((struct sal *)s);
}

static const struct search_ops ops = {
    .size = sizeof(struct sal), .init = init, .fini = fini, .told_node = told_node, .told_score = told_score};

static const struct search_param params[] = {
    {"n", SEARCH_PARAM_INT, 4, 1, 4096, NULL, "beams, and solutions", false},
    {"width", SEARCH_PARAM_INT, 4, 1, 4096, NULL, "n/width beams survive a step", false},
    {"depth", SEARCH_PARAM_INT, 40, 1, 1000, NULL, "steps at most; the last goes to the end", false},
    {"aggregate", SEARCH_PARAM_CHOICE, AGGREGATE_LAST, 0, AGGREGATES - 1, aggregate_names,
     "of a path's rewards", false},
    {"temperature", SEARCH_PARAM_REAL, 0.8, 0, 10, NULL, "0 takes the likeliest token", false},
    {"top_p", SEARCH_PARAM_REAL, 1, 0, 1, NULL, "likeliest tokens that sum to this; 1: all", false},
};

const struct search_strategy search_sal_beam = {
    .name = "sal-beam",
    .summary = "search-and-learn's beam search: n live beams until n have ended, whichever ended first",
    .source = "Beeching, Tunstall and Rush 2024; search-and-learn, beam_search",
    .example = "sal-beam:n=16",
    .needs_reward = true,
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
