/* tree.c - see tree.h. */
#include "search/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

void tree_init(struct tree *t, uint64_t problem_key) {
    *t = (struct tree){0};
    MEM_GROW(t->nodes, t->cap, 1);
    t->nodes[0] = (struct tree_node){.parent = -1,
                                     .key = problem_key,
                                     .state = TREE_OPEN,
                                     .answer_class = -1,
                                     .verdict = -1,
                                     .face = -1,
                                     .next_waiting = -1};
    t->n_nodes = 1;
}

void tree_fini(struct tree *t) {
    for (size_t i = 0; i < t->n_nodes; i++) {
        free(t->nodes[i].rewards);
        free(t->nodes[i].confidences);
    }
    free(t->nodes);
    *t = (struct tree){0};
}

struct tree_node *tree_get(struct tree *t, int node) {
    ASSERT(node >= 0 && (size_t)node < t->n_nodes);
    return &t->nodes[node];
}

static const struct tree_node *look(const struct tree *t, int node) {
    ASSERT(node >= 0 && (size_t)node < t->n_nodes);
    return &t->nodes[node];
}

/* A node that cannot be continued as it is can be with a lead. */
static bool may_follow(const struct tree_node *parent, enum tree_lead lead) {
    switch (parent->state) {
    case TREE_OPEN:
        return lead != TREE_LEAD_REVISE;
    case TREE_SOLUTION:
        return lead != TREE_LEAD_NONE;
    case TREE_CUT:
        return lead == TREE_LEAD_REVISE || lead == TREE_LEAD_ANSWER;
    case TREE_ASKED:
    case TREE_FAILED:
        break;
    }
    return false;
}

int tree_add(struct tree *t, int parent) {
    return tree_add_lead(t, parent, TREE_LEAD_NONE);
}

int tree_add_lead(struct tree *t, int parent, enum tree_lead lead) {
    ASSERT(t->n_nodes < INT32_MAX);
    MEM_GROW(t->nodes, t->cap, t->n_nodes + 1);
    struct tree_node *p = tree_get(t, parent);
    ASSERT(may_follow(p, lead) && !p->dropped);
    int index = p->n_children++;
    p->n_live++;
    t->nodes[t->n_nodes] = (struct tree_node){
        .parent = parent,
        .index = index,
        .depth = p->depth + 1,
        .key = rng_child(p->key, (uint64_t)index),
        .state = TREE_ASKED,
        .lead = lead,
        .n_tokens_path = p->n_tokens_path,
        .n_tokens_solution = lead == TREE_LEAD_REVISE ? 0 : p->n_tokens_solution,
        .n_rewards = -1,
        .answer_class = -1,
        .verdict = -1,
        .face = -1,
        .next_waiting = -1,
    };
    return (int)t->n_nodes++;
}

void tree_drop(struct tree *t, int node) {
    struct tree_node *top = tree_get(t, node);
    ASSERT(top->parent >= 0 && !top->dropped);
    top->dropped = true;
    t->nodes[top->parent].n_live--;
    if (top->n_live == 0) return;
    top->n_live = 0;
    for (size_t i = (size_t)node + 1; i < t->n_nodes; i++) {
        if (!t->nodes[t->nodes[i].parent].dropped) continue;
        t->nodes[i].dropped = true;
        t->nodes[i].n_live = 0;
    }
}

/* Where the solution that `node` is part of goes on towards the root; -1: it begins here. */
static int before(const struct tree *t, int node) {
    return look(t, node)->lead == TREE_LEAD_REVISE ? -1 : t->nodes[node].parent;
}

int tree_path_rewards(const struct tree *t, int node, float *out, int n_max) {
    int n = 0;
    for (int i = node; i >= 0; i = before(t, i)) n += MAX(look(t, i)->n_rewards, 0);
    int at = n; /* where the rewards of nodes nearer the root end */
    for (int i = node; i >= 0; i = before(t, i)) {
        const struct tree_node *v = &t->nodes[i];
        for (int k = v->n_rewards - 1; k >= 0; k--)
            if (--at < n_max) out[at] = v->rewards[k];
    }
    return n;
}

size_t tree_path(const struct tree *t, int node, char *out, size_t n_max) {
    size_t n = 0;
    for (int i = node; look(t, i)->parent >= 0; i = t->nodes[i].parent)
        n += (size_t)snprintf(NULL, 0, "%d", t->nodes[i].index) + (n > 0);
    size_t end = n;
    for (int i = node; t->nodes[i].parent >= 0; i = t->nodes[i].parent) {
        char digits[16];
        size_t n_digits = (size_t)snprintf(digits, sizeof digits, "%d", t->nodes[i].index);
        end -= n_digits;
        for (size_t k = 0; k < n_digits; k++)
            if (end + k < n_max) out[end + k] = digits[k];
        if (end > 0 && --end < n_max) out[end] = '.';
    }
    if (n_max > 0) out[MIN(n, n_max - 1)] = '\0';
    return n;
}

float *tree_path_confidences(const struct tree *t, int node, int *n) {
    bool known = true;
    *n = 0;
    for (int i = node; i >= 0; i = before(t, i)) {
        known = known && (t->nodes[i].n_confidences > 0 || t->nodes[i].n_tokens == 0);
        *n += t->nodes[i].n_confidences;
    }
    if (!known || *n == 0) {
        *n = 0;
        return NULL;
    }
    float *out = mem_alloc((size_t)*n * sizeof *out);
    int at = *n;
    for (int i = node; i >= 0; i = before(t, i)) {
        const struct tree_node *v = &t->nodes[i];
        at -= v->n_confidences;
        if (v->n_confidences > 0) memcpy(out + at, v->confidences, (size_t)v->n_confidences * sizeof *out);
    }
    return out;
}

/* Of the same solution: marks those that `node` replaces, or the node itself if one that ended stands before
 * it. */
static void mark_replaced(const struct tree *t, int node, bool *replaced) {
    const bool ended = t->nodes[node].state == TREE_SOLUTION;
    for (int i = before(t, node); i > 0; i = before(t, i)) {
        const bool stands = !ended && t->nodes[i].state == TREE_SOLUTION;
        replaced[stands ? node : i] = true;
    }
}

static int compare_nodes(const void *a, const void *b, void *tree) {
    return tree_compare(tree, *(const int *)a, *(const int *)b);
}

int tree_candidates(const struct tree *t, int *out) {
    bool *replaced = mem_zalloc(t->n_nodes, sizeof *replaced);
    int n = 0, n_kept = 0;
    for (size_t i = 1; i < t->n_nodes; i++) {
        const struct tree_node *v = &t->nodes[i];
        if (v->dropped || (v->state != TREE_SOLUTION && v->state != TREE_CUT)) continue;
        mark_replaced(t, (int)i, replaced);
        out[n++] = (int)i;
    }
    for (int i = 0; i < n; i++)
        if (!replaced[out[i]] && !t->nodes[out[i]].outvoted) out[n_kept++] = out[i];
    free(replaced);
    qsort_r(out, (size_t)n_kept, sizeof *out, compare_nodes, (void *)(uintptr_t)t);
    return n_kept;
}

int tree_compare(const struct tree *t, int a, int b) {
    int depth_a = look(t, a)->depth, depth_b = look(t, b)->depth;
    for (int d = depth_a; d > depth_b; d--) a = t->nodes[a].parent;
    for (int d = depth_b; d > depth_a; d--) b = t->nodes[b].parent;
    if (a == b) return (depth_a > depth_b) - (depth_a < depth_b);
    while (t->nodes[a].parent != t->nodes[b].parent) {
        a = t->nodes[a].parent;
        b = t->nodes[b].parent;
    }
    return t->nodes[a].index < t->nodes[b].index ? -1 : 1;
}

static void check_node(const struct tree *t, int node) {
    const struct tree_node *v = &t->nodes[node], *p = &t->nodes[v->parent];
    ASSERT(v->index >= 0 && v->index < p->n_children);
    ASSERT(v->depth == p->depth + 1);
    ASSERT(v->key == rng_child(p->key, (uint64_t)v->index));
    ASSERT(may_follow(p, v->lead) && (!p->until_end || v->lead != TREE_LEAD_NONE));
    ASSERT(!p->dropped || v->dropped);
    ASSERT(v->n_tokens >= 0 && v->n_tokens_path == p->n_tokens_path + v->n_tokens);
    ASSERT(v->state == TREE_OPEN || v->state == TREE_SOLUTION || v->state == TREE_CUT || v->n_children == 0);
    ASSERT(v->n_tokens_solution ==
           (v->lead == TREE_LEAD_REVISE ? v->n_tokens : p->n_tokens_solution + v->n_tokens));
    ASSERT(!v->outvoted || v->state == TREE_SOLUTION || v->state == TREE_CUT);
    ASSERT(v->verdict >= -1 && v->verdict <= 1 && (v->verdict == -1 || v->state == TREE_SOLUTION));
    ASSERT(v->n_confidences >= 0 && (v->n_confidences == 0 || v->confidences));
    ASSERT(v->state != TREE_OPEN || !v->until_end);
    ASSERT(v->state != TREE_ASKED || (v->n_tokens == 0 && !v->score_asked));
    ASSERT(!v->writing || v->state == TREE_ASKED);
    ASSERT(!v->scoring || (v->score_asked && v->n_rewards == -1));
    ASSERT(!v->scored || (v->score_asked && !v->scoring));
    ASSERT(!v->score_asked || p->score_asked || v->parent == 0 || v->lead == TREE_LEAD_REVISE);
    ASSERT(v->n_rewards >= -1 && (v->n_rewards <= 0 || (v->rewards && v->score_asked)));
    ASSERT(v->answer_class >= -1 && (v->answer_class == -1 || v->state >= TREE_SOLUTION));
}

void tree_check(const struct tree *t) {
    ASSERT(t->n_nodes > 0 && t->nodes[0].parent == -1 && t->nodes[0].state == TREE_OPEN &&
           !t->nodes[0].dropped);
    int *n_seen = mem_zalloc(t->n_nodes, sizeof *n_seen);
    int *n_live = mem_zalloc(t->n_nodes, sizeof *n_live);
    for (size_t i = 1; i < t->n_nodes; i++) {
        int parent = t->nodes[i].parent;
        ASSERT(parent >= 0 && (size_t)parent < i);
        ASSERT(t->nodes[i].index == n_seen[parent]++);
        n_live[parent] += !t->nodes[i].dropped;
        check_node(t, (int)i);
    }
    for (size_t i = 0; i < t->n_nodes; i++)
        ASSERT(t->nodes[i].n_children == n_seen[i] && t->nodes[i].n_live == n_live[i]);
    free(n_seen);
    free(n_live);
}
