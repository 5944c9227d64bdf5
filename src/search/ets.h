/* ets.h - who goes on when memory is what a search costs: ETS.
 *
 * Hooper et al. 2025, "ETS: Efficient tree search for inference-time scaling" (2502.13575). Steps whose paths
 * share much keep few tokens in the policy's cache; steps that say the same are worth little together. Among
 * the candidates of a level the set S is kept for which
 *
 *     sum of W over S  -  cost * nodes on paths of S / nodes on all paths
 *                      +  cover * clusters in S / clusters
 *
 * is largest, at least one; W is a candidate's share of the children that REBASE would give it. Then REBASE
 * shares all children out among S alone.
 *
 *                 root           S = {a, d}: 5 nodes of 8 and 2 of the 3 clusters A, B, C
 *                /    \
 *              x        y        a set of two paths may cost less than its parts: x is paid for once;
 *             / \     / | \      of equal steps (d, e) the second covers nothing
 *            aA  bA  cC dB eB
 *
 * The best set is found exactly, by dynamic programming over the tree: what a subtree is worth at most, for
 * each set of clusters that it is credited for. Only clusters with several members need to be told apart; at
 * most ETS_SHARED_MAX of them are (fewer in trees of more than a thousand nodes). Of further ones only the
 * best-ranked member earns the credit: that makes the choice inexact, and can only happen among more than
 * 2 * ETS_SHARED_MAX candidates. Of equally good sets the one with the better ranks is taken.
 *
 * Where we differ. A cluster there is one of embeddings of the last step's text, of a model trained on
 * mathematics, by average linkage at a cosine distance of 0.05. Brood has no such model in its searches:
 * steps are equal that come to the same value, the last that their text names (search.h, value_hash), or,
 * where they name none or cluster=text asks for it, that have the same text. That finds "3 * 4 = 12" and
 * "four threes are 12" alike, which is what the paper is after, but takes 12 apples for 12 pears; and it
 * finds nothing in steps without numbers that are only worded differently. Its solver is an integer program
 * (CBC), ours the above; both exact but for the bound. Its code has cost=0 mean a small bonus for every node.
 */
#ifndef BROOD_ETS_H
#define BROOD_ETS_H

#include "search/allocate.h"
#include "search/tree.h"

enum { ETS_SHARED_MAX = 10 };

struct ets_item {   /* of a tree: item 0 is the root, parents come before children */
    int parent;     /* -1 for the root */
    double worth;   /* of a candidate: a leaf; others have none */
    int cluster;    /* its cluster, from 0; -1: it is no candidate */
    bool is_chosen; /* the result: on the path of one that is kept */
};

struct ets_weights {
    double cost, cover; /* none negative */
    double temperature; /* of REBASE's softmax */
    bool by_text;       /* clusters: equal texts only */
};

/* Chooses among the candidates of items[n_items]; n_clusters > 0 if there are any. `cost` and `cover` are of
 * one node and one cluster; candidates are in rank order by index. n_shared_max <= ETS_SHARED_MAX. */
void ets_choose(struct ets_item *items, int n_items, int n_clusters, double cost, double cover,
                int n_shared_max);

/* c[n] in rank order, n_children to share out, as allocate_softmax. */
void ets_allocate(const struct tree *t, struct candidate *c, size_t n, int n_children,
                  const struct ets_weights *w);

#endif
