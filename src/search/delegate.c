/* delegate.c - see delegate.h. */
#include "search/delegate.h"

#include <stdlib.h>

#include "base/mem.h"

static void set(int **map, size_t *n, size_t *cap, int at, int value) {
    const size_t need = (size_t)at + 1;
    MEM_GROW(*map, *cap, need);
    while (*n < need) (*map)[(*n)++] = -1;
    (*map)[at] = value;
}

static void pair(struct delegate *d, int inner, int outer) {
    set(&d->outer_of, &d->n_outer_of, &d->cap_outer_of, inner, outer);
    set(&d->inner_of, &d->n_inner_of, &d->cap_inner_of, outer, inner);
}

static int inner_of(const struct delegate *d, int outer) {
    return (size_t)outer < d->n_inner_of ? d->inner_of[outer] : -1;
}

/* ---- telling ---- */

static void tell_node(struct delegate *d, int inner, int outer) {
    static const enum search_finish finish[] = {[TREE_OPEN] = SEARCH_STEP,
                                                [TREE_SOLUTION] = SEARCH_END,
                                                [TREE_CUT] = SEARCH_LENGTH,
                                                [TREE_FAILED] = SEARCH_FAILED};
    const struct tree_node *v = tree_get(&d->outer->tree, outer);
    ASSERT(v->state != TREE_ASKED);
    const struct search_told told = {.finish = finish[v->state],
                                     .n_tokens = v->n_tokens,
                                     .logprob = v->logprob,
                                     .answer_class = v->answer_class,
                                     .verdict = v->verdict,
                                     .confidences = v->confidences,
                                     .n_confidences = v->n_confidences,
                                     .text_hash = v->text_hash,
                                     .value_hash = v->value_hash};
    search_tell_node(d->inner, inner, &told);
}

static void tell_score(struct delegate *d, int inner, int outer) {
    const struct tree_node *v = tree_get(&d->outer->tree, outer);
    search_tell_score(d->inner, inner, v->rewards, v->n_rewards);
}

/* ---- asking ---- */

/* The outer child of the root that is what the inner search asks for, or -1. */
static int written_before(const struct delegate *d, const struct search_ask *ask) {
    const struct tree *t = &d->outer->tree;
    const int index = d->inner->tree.nodes[ask->node].index;
    if (!d->reuses || ask->parent != 0 || index >= d->n_before) return -1;
    ASSERT(ask->until_end && ask->lead == TREE_LEAD_NONE && ask->n_top == 0);
    for (size_t i = 1; i < t->n_nodes; i++)
        if (t->nodes[i].parent == 0 && t->nodes[i].index == index) return (int)i;
    return -1;
}

/* What the inner strategy wanted and gave up before anybody heard of it leaves a gap among its siblings. */
static void fill_gap(struct delegate *d, int outer_parent, int index, const struct search_ask *ask) {
    while (tree_get(&d->outer->tree, outer_parent)->n_children < index)
        search_want_drop(d->outer, search_want_as(d->outer, outer_parent, ask));
}

static void pass_expand(struct delegate *d, const struct search_ask *ask) {
    const int before = written_before(d, ask);
    if (before >= 0) {
        pair(d, ask->node, before);
        tell_node(d, ask->node, before);
        return;
    }
    const int index = d->inner->tree.nodes[ask->node].index;
    fill_gap(d, d->outer_of[ask->parent], index + (ask->parent == 0 ? d->offset : 0), ask);
    pair(d, ask->node, search_want_as(d->outer, d->outer_of[ask->parent], ask));
}

static void pass_score(struct delegate *d, const struct search_ask *ask) {
    const int outer = d->outer_of[ask->node];
    if (tree_get(&d->outer->tree, outer)->score_asked)
        tell_score(d, ask->node, outer);
    else
        search_want_score(d->outer, outer);
}

/* Hands on all that waits in the inner queue. The queue is looked at first: an inner search that is asked
 * with nothing in it speculates, and whether there is room for that the outer one hears (delegate_idle). */
static void pump(struct delegate *d) {
    struct search_ask ask;
    while (d->inner->i_queue < d->inner->n_queue && search_ask(d->inner, &ask)) {
        switch (ask.op) {
        case SEARCH_EXPAND:
            pass_expand(d, &ask);
            break;
        case SEARCH_SCORE:
            pass_score(d, &ask);
            break;
        case SEARCH_DROP:
            search_want_drop(d->outer, d->outer_of[ask.node]);
            break;
        }
    }
}

/* ---- the delegate ---- */

void delegate_begin(struct delegate *d, struct search *outer, const struct search_spec *spec, bool reuses) {
    struct err e;
    struct search_context context = outer->context;
    context.plan = NULL;
    context.in_turns = false; /* the outer search's */
    const int n_before = tree_get(&outer->tree, 0)->n_children;
    *d = (struct delegate){
        .outer = outer, .offset = reuses ? 0 : n_before, .n_before = n_before, .reuses = reuses};
    d->inner = search_new(spec, &context, &e);
    ASSERT(d->inner);
    pair(d, 0, 0);
    pump(d);
}

void delegate_fini(struct delegate *d) {
    search_free(d->inner);
    free(d->outer_of);
    free(d->inner_of);
    *d = (struct delegate){0};
}

void delegate_told_node(struct delegate *d, int node) {
    ASSERT(inner_of(d, node) >= 0);
    tell_node(d, inner_of(d, node), node);
    pump(d);
}

void delegate_told_score(struct delegate *d, int node) {
    ASSERT(inner_of(d, node) >= 0);
    tell_score(d, inner_of(d, node), node);
    pump(d);
}

void delegate_idle(struct delegate *d) {
    if (!d->inner || !d->inner->ops->idle || d->inner->i_queue < d->inner->n_queue) return;
    d->inner->ops->idle(d->inner);
    pump(d);
}
