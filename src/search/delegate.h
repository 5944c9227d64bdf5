/* delegate.h - a search that hands its problem on to another strategy, in its own tree.
 *
 *     outer tree   root ──┬─ 0 ┐ written before: where the inner strategy wants the same, it is told these
 *                         ├─ 1 ┘
 *                         ├─ 2 ┐ child i of the inner root, unless taken from above, is child offset + i here
 *                         └─ 3 ┘
 *
 * The inner search is a whole search of its own: asked at once for all it wants, told what the outer one is
 * told. Its nodes are mapped to nodes of the outer tree, which alone the world sees: budget, records, drops
 * and selection need to know nothing of it. Below the root an inner node has the index of its outer one, so
 * what an inner strategy does is the same node for node; with nothing taken over and nothing before it, so
 * are the random numbers.
 *
 * Ownership: a delegate is part of a strategy's struct and owns the inner search.
 */
#ifndef BROOD_DELEGATE_H
#define BROOD_DELEGATE_H

#include "search/search.h"

struct delegate {
    struct search *outer, *inner; /* inner NULL: nothing is handed on */
    int *outer_of, *inner_of;     /* by node; -1: none */
    size_t n_outer_of, n_inner_of, cap_outer_of, cap_inner_of;
    int offset;   /* what is added to the index of a child of the inner root */
    int n_before; /* children of the outer root when the delegate began */
    bool reuses;
};

/* Begins `spec` on the outer search's problem. With `reuses`, whole solutions that are children of the outer
 * root already are told in the place of those that the inner strategy wants first (it samples the same way);
 * without, its nodes lie after them. The specification must have passed search_check. */
void delegate_begin(struct delegate *d, struct search *outer, const struct search_spec *spec, bool reuses);
void delegate_fini(struct delegate *d);
/* The outer strategy's told_node, told_score and idle, for nodes that are the inner one's. */
void delegate_told_node(struct delegate *d, int node);
void delegate_told_score(struct delegate *d, int node);
void delegate_idle(struct delegate *d);

#endif
