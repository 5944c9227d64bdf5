/* ets.c - see ets.h. */
#include "search/ets.h"

#include <math.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"

/* ---- the best set ----
 *
 * of(item)[m]: the most that kept candidates below an item bring, at least one, that are credited for the
 * clusters in m, without the item's own cost; -INFINITY: there is no such set. Children are taken in one
 * after the other, the last first; how each was taken in is noted for every m, so that it can be undone. */
enum { TABLE_ENTRIES_MAX = 1 << 20, NOT_TAKEN = -1, ALONE = 1 << 15 };

struct choosing {
    struct ets_item *items;
    int n_items, n_sets;
    double cost, cover;
    int *bit;      /* [n_clusters] in sets, or -1 */
    int *members;  /* [n_clusters] */
    bool *credits; /* [n_items] this one brings its cluster's credit by itself */
    double *best;  /* [n_items][n_sets] */
    int *how; /* [n_items][n_sets] into its parent: NOT_TAKEN, or the set, ALONE if with no other child */
    unsigned *sets; /* [n_items] clusters that occur below */
};

/* Gives the clusters with most members a place in the sets; the rest is credited to one member. */
static void place_clusters(struct choosing *x, int n_clusters, int n_shared_max) {
    int n_shared = 0, n_max = n_shared_max;
    while (n_max > 0 && (long)x->n_items << n_max > TABLE_ENTRIES_MAX) n_max--;
    for (int i = 0; i < x->n_items; i++)
        if (x->items[i].cluster >= 0) x->members[x->items[i].cluster]++;
    for (int k = 0; k < n_clusters; k++) x->bit[k] = -1;
    while (n_shared < n_max) {
        int largest = -1;
        for (int k = 0; k < n_clusters; k++)
            if (x->bit[k] < 0 && x->members[k] > (largest < 0 ? 1 : x->members[largest])) largest = k;
        if (largest < 0) break;
        x->bit[largest] = n_shared++;
    }
    x->n_sets = 1 << n_shared;
    for (int i = 0; i < x->n_items; i++) { /* the first is the best-ranked */
        int k = x->items[i].cluster;
        if (k < 0 || x->bit[k] >= 0 || x->members[k] == 0) continue;
        x->credits[i] = true;
        x->members[k] = 0;
    }
}

/* Takes a child, worth brings[set] at most, into its parent. */
static void take_in(struct choosing *x, int child, const double *brings, double *scratch) {
    int parent = x->items[child].parent;
    double *into = x->best + (size_t)parent * (size_t)x->n_sets;
    int *how = x->how + (size_t)child * (size_t)x->n_sets;
    unsigned all = x->sets[parent] | x->sets[child];
    for (unsigned m = 0; m < (unsigned)x->n_sets; m++) {
        scratch[m] = into[m];
        how[m] = NOT_TAKEN;
        if (m & ~all) continue;
        unsigned within = m & x->sets[child], part = within;
        for (bool more = true; more; part = (part - 1) & within) {
            more = part != 0;
            double with = into[m & ~part] + brings[part];
            if (with > scratch[m]) {
                scratch[m] = with;
                how[m] = (int)part;
            }
            if (part == m && brings[part] > scratch[m]) {
                scratch[m] = brings[part];
                how[m] = (int)part | ALONE;
            }
        }
    }
    for (int m = 0; m < x->n_sets; m++) into[m] = scratch[m];
    x->sets[parent] = all;
}

static void climb(struct choosing *x) {
    double *brings = mem_alloc((size_t)x->n_sets * sizeof *brings);
    double *scratch = mem_alloc((size_t)x->n_sets * sizeof *scratch);
    for (int i = x->n_items - 1; i > 0; i--) {
        const struct ets_item *v = &x->items[i];
        const double *below = x->best + (size_t)i * (size_t)x->n_sets;
        for (int m = 0; m < x->n_sets; m++) brings[m] = below[m] - x->cost;
        if (v->cluster >= 0) {
            int bit = x->bit[v->cluster];
            brings[0] = v->worth - x->cost + (x->credits[i] ? x->cover : 0);
            if (bit >= 0) brings[1 << bit] = brings[0] + x->cover;
            x->sets[i] = bit >= 0 ? 1u << bit : 0;
        }
        take_in(x, i, brings, scratch);
    }
    free(brings);
    free(scratch);
}

/* Undoes the taking in, from the root down: `set` of an item is what is left to be credited below it. */
static void descend(struct choosing *x) {
    int *set = mem_zalloc((size_t)x->n_items, sizeof *set); /* -1: nothing more below it is kept */
    for (int m = 1; m < x->n_sets; m++)
        if (x->best[m] > x->best[set[0]]) set[0] = m;
    x->items[0].is_chosen = x->best[set[0]] > -INFINITY;
    for (int i = 1; i < x->n_items; i++) {
        int *left = &set[x->items[i].parent];
        x->items[i].is_chosen = false;
        if (!x->items[x->items[i].parent].is_chosen || *left < 0) continue;
        int how = x->how[(size_t)i * (size_t)x->n_sets + (size_t)*left];
        if (how == NOT_TAKEN) continue;
        x->items[i].is_chosen = true;
        set[i] = how & ~ALONE;
        *left = how & ALONE ? -1 : *left & ~how;
    }
    free(set);
}

void ets_choose(struct ets_item *items, int n_items, int n_clusters, double cost, double cover,
                int n_shared_max) {
    ASSERT(n_items > 0 && n_shared_max >= 0 && n_shared_max <= ETS_SHARED_MAX);
    struct choosing x = {.items = items, .n_items = n_items, .cost = cost, .cover = cover};
    x.bit = mem_zalloc((size_t)MAX(n_clusters, 1), sizeof *x.bit);
    x.members = mem_zalloc((size_t)MAX(n_clusters, 1), sizeof *x.members);
    x.credits = mem_zalloc((size_t)n_items, sizeof *x.credits);
    x.sets = mem_zalloc((size_t)n_items, sizeof *x.sets);
    place_clusters(&x, n_clusters, n_shared_max);
    size_t n_entries = (size_t)n_items * (size_t)x.n_sets;
    x.best = mem_alloc(n_entries * sizeof *x.best);
    x.how = mem_alloc(n_entries * sizeof *x.how);
    for (size_t i = 0; i < n_entries; i++) x.best[i] = -INFINITY;
    climb(&x);
    descend(&x);
    free(x.bit);
    free(x.members);
    free(x.credits);
    free(x.sets);
    free(x.best);
    free(x.how);
}

/* ---- a level ---- */
struct level {
    const struct tree *tree;
    struct ets_item *items;
    int *nodes, *item_of; /* [n_items] the tree's nodes; [nodes of the tree] their items, 0: none */
    size_t n_items, cap_items, cap_nodes;
};

/* The items from the root to a node. */
static int add_path(struct level *l, int node) {
    if (node == 0 && l->n_items > 0) return 0;
    if (node > 0 && l->item_of[node]) return l->item_of[node];
    int parent = node == 0 ? -1 : add_path(l, l->tree->nodes[node].parent);
    MEM_GROW(l->items, l->cap_items, l->n_items + 1);
    MEM_GROW(l->nodes, l->cap_nodes, l->n_items + 1);
    l->items[l->n_items] = (struct ets_item){.parent = parent, .cluster = -1};
    l->nodes[l->n_items] = node;
    return l->item_of[node] = (int)l->n_items++;
}

static uint64_t meaning(const struct tree_node *v, bool by_text) {
    if (v->value_hash && !by_text) return v->value_hash;
    return v->text_hash ? ~v->text_hash : 0; /* a text is no value */
}

/* Numbers for equal steps; what is not known is equal to nothing else. */
static int cluster_of(struct map *clusters, int *n_clusters, uint64_t meaning) {
    uint32_t k;
    const struct str key = {(const char *)&meaning, sizeof meaning};
    if (meaning && map_get(clusters, key, &k)) return (int)k;
    if (meaning) map_put(clusters, key, (uint32_t)*n_clusters);
    return (*n_clusters)++;
}

void ets_allocate(const struct tree *t, struct candidate *c, size_t n, int n_children,
                  const struct ets_weights *w) {
    struct level l = {.tree = t, .item_of = mem_zalloc(t->n_nodes, sizeof *l.item_of)};
    struct map *clusters = map_new(16);
    const bool twins = allocate_only_twins(c, n);
    int n_clusters = 0, n_given = 0;
    allocate_softmax(c, n, n_children, w->temperature);
    for (size_t i = 0; i < n; i++) n_given += c[i].n_children;
    add_path(&l, 0);
    for (size_t i = 0; i < n; i++)
        if (allocate_takes_part(&c[i], twins)) add_path(&l, t->nodes[c[i].node].parent);
    for (size_t i = 0; i < n; i++) { /* the leaves, in rank order */
        if (!allocate_takes_part(&c[i], twins)) continue;
        int leaf = add_path(&l, c[i].node); /* may move the items */
        struct ets_item *v = &l.items[leaf];
        v->worth = (double)c[i].n_children / MAX(n_given, 1) + ldexp(1e-6, -(int)MIN(i, 1000));
        v->cluster = cluster_of(clusters, &n_clusters, meaning(&t->nodes[c[i].node], w->by_text));
    }
    ets_choose(l.items, (int)l.n_items, n_clusters, w->cost / (double)l.n_items,
               w->cover / MAX(n_clusters, 1), ETS_SHARED_MAX);
    for (size_t i = 0; i < n; i++) {
        c[i].n_children = 0;
        c[i].is_out = !l.items[l.item_of[c[i].node]].is_chosen || l.item_of[c[i].node] == 0;
    }
    allocate_softmax(c, n, n_children, w->temperature);
    map_free(clusters);
    free(l.items);
    free(l.nodes);
    free(l.item_of);
}
