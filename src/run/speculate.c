/* speculate.c - see speculate.h. */
#include "run/speculate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "run/trial.h"

static const uint64_t guess_bit = (uint64_t)1 << 63;

bool guess_is_job(uint64_t id) {
    return (id & guess_bit) != 0;
}

size_t guess_slot(uint64_t id) {
    return (size_t)((id & ~guess_bit) >> 33);
}

static const struct tree_node *tree_node(const struct trial *t, int node) {
    return &search_tree(t->search)->nodes[node];
}

/* ---- what has become of a guess ---- */

static void remove_at(struct trial *t, size_t i) {
    struct guesses *g = &t->guesses;
    g->n--;
    memmove(g->items + i, g->items + i + 1, (g->n - i) * sizeof *g->items);
}

static void free_result(struct policy_result *r) {
    free((char *)(uintptr_t)r->text.ptr);
    free((int *)(uintptr_t)r->tokens);
    free((float *)(uintptr_t)r->confidences);
    free((char *)(uintptr_t)r->why);
}

static void count_flying(struct trial *t, int change) {
    t->guesses.n_flying += change;
    coordinator_guessing(t->owner)->n_flying += change;
}

static void throw_away(struct trial *t, size_t i) {
    struct guess *g = &t->guesses.items[i];
    struct policy *policy = coordinator_policy(t->owner);
    if (g->is_written) {
        cost_add(&coordinator_guessing(t->owner)->in_vain, &g->result.cost);
        policy_release(policy, g->result.prefix);
        free_result(&g->result);
    } else if (g->node < 0) {
        policy_cancel(policy, g->id);
        count_flying(t, -1);
    }
    remove_at(t, i);
}

void guess_forget(struct trial *t, int node) {
    for (size_t i = t->guesses.n; i-- > 0;) {
        const struct guess *g = &t->guesses.items[i];
        if (g->node == node || (g->node < 0 && g->parent == node)) throw_away(t, i);
    }
}

bool guess_shed(struct trial *t) {
    for (size_t i = t->guesses.n; i-- > 0;) {
        if (t->guesses.items[i].is_written || t->guesses.items[i].node >= 0) continue;
        throw_away(t, i);
        return true;
    }
    return false;
}

void guess_fini(struct trial *t) {
    while (t->guesses.n > 0) throw_away(t, t->guesses.n - 1);
    free(t->guesses.items);
    t->guesses = (struct guesses){0};
}

static void *copy(const void *bytes, size_t n) {
    return bytes && n > 0 ? mem_dup(bytes, n) : NULL;
}

static void keep(struct guess *g, const struct policy_result *r) {
    g->is_written = true;
    g->result = *r;
    g->result.text.ptr = copy(r->text.ptr, r->text.len);
    g->result.tokens = copy(r->tokens, (size_t)(r->n_lead_tokens + r->n_tokens) * sizeof *r->tokens);
    g->result.confidences = copy(r->confidences, (size_t)r->n_confidences * sizeof *r->confidences);
    g->result.why = r->why ? mem_strdup(r->why) : NULL;
}

bool guess_result(struct trial *t, const struct policy_result *r, struct err *e) {
    size_t i = 0;
    while (i < t->guesses.n && t->guesses.items[i].id != r->id) i++;
    ASSERT(i < t->guesses.n); /* one that was given up was cancelled */
    struct guess *g = &t->guesses.items[i];
    if (g->node < 0) {
        keep(g, r);
        count_flying(t, -1);
        return true;
    }
    const int node = g->node;
    remove_at(t, i);
    return trial_policy_result(t, node, r, e);
}

/* ---- asked for ---- */

static bool same_sampling(const struct trial *t, const struct search_ask *ask) {
    const struct search_ask *s = &t->search->sampling;
    return ask->temperature == s->temperature && ask->top_p == s->top_p && ask->min_p == s->min_p &&
           ask->top_k == s->top_k;
}

/* Whether what was guessed is what a job with these tokens would give. */
static bool comes_true(const struct trial *t, const struct guess *g, const struct search_ask *ask,
                       int n_tokens) {
    if (ask->lead != TREE_LEAD_NONE || ask->n_top > 0 || ask->until_end != g->until_end ||
        !same_sampling(t, ask)) {
        return false;
    }
    if (g->n_tokens_max == n_tokens) return true;
    return g->is_written && g->result.finish != POLICY_LENGTH && g->result.n_tokens <= n_tokens;
}

bool guess_answer(struct trial *t, const struct search_ask *ask, int n_tokens, bool *answered,
                  struct err *e) {
    const int index = tree_node(t, ask->node)->index;
    size_t i = 0;
    while (i < t->guesses.n && (t->guesses.items[i].parent != ask->parent ||
                                t->guesses.items[i].index != index || t->guesses.items[i].node >= 0))
        i++;
    *answered = i < t->guesses.n && comes_true(t, &t->guesses.items[i], ask, n_tokens);
    if (!*answered) {
        if (i < t->guesses.n) throw_away(t, i);
        return true;
    }
    struct guess *g = &t->guesses.items[i];
    coordinator_guessing(t->owner)->n_used++;
    trial_begin_writing(t, ask->node, g->id);
    if (!g->is_written) {
        g->node = ask->node;
        count_flying(t, -1);
        return true;
    }
    struct policy_result r = g->result;
    remove_at(t, i);
    const bool ok = trial_policy_result(t, ask->node, &r, e);
    free_result(&r);
    return ok;
}

/* ---- making guesses ---- */

static double param_or(const struct trial *t, const char *key, double otherwise) {
    const struct search_spec *spec = &t->search->spec;
    return search_spec_has(spec, key) ? search_spec_get(spec, key) : otherwise;
}

struct candidate {
    int node;
    double reward; /* of its path; -INFINITY: not scored yet */
};

static int by_reward(const void *a, const void *b) {
    const struct candidate *x = a, *y = b;
    if (x->reward != y->reward) return x->reward > y->reward ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

/* Steps that have ended and wait for what the search will decide. */
static struct candidate *candidates(const struct trial *t, size_t *n) {
    const struct tree *tree = search_tree(t->search);
    const enum aggregate a = (enum aggregate)param_or(t, "aggregate", AGGREGATE_LAST);
    struct candidate *c = mem_zalloc(MAX(t->n_nodes, 1), sizeof *c);
    *n = 0;
    for (size_t i = 1; i < t->n_nodes; i++) {
        const struct tree_node *v = &tree->nodes[i];
        if (v->state != TREE_OPEN || v->dropped || v->n_live > 0 || !t->nodes[i].policy_prefix) continue;
        const double reward = search_path_reward(t->search, (int)i, a);
        c[(*n)++] = (struct candidate){(int)i, isnan(reward) ? -INFINITY : reward};
    }
    qsort(c, *n, sizeof *c, by_reward);
    return c;
}

static bool is_guessed(const struct trial *t, int parent, int index) {
    for (size_t i = 0; i < t->guesses.n; i++)
        if (t->guesses.items[i].parent == parent && t->guesses.items[i].index == index) return true;
    return false;
}

/* Whether the path of this child was told in an earlier session. */
static bool is_recorded(const struct trial *t, int parent, int index) {
    if (!t->problem.recorded || !t->nodes[parent].path) return t->problem.recorded != NULL;
    struct buf path = {0};
    buf_printf(&path, "%s.%d", t->nodes[parent].path, index);
    const bool is = rows_find(t->problem.recorded, buf_cstr(&path)) != NULL;
    buf_free(&path);
    return is;
}

static void make(struct trial *t, int parent, int index) {
    const struct tree_node *v = tree_node(t, parent);
    struct guess g = {
        .id = guess_bit | t->slot << 33 | (t->guesses.n_made++ & 0x1ffffffffu),
        .parent = parent,
        .index = index,
        .n_children_then = v->n_children,
        .until_end = v->depth + 1 >= (int)param_or(t, "depth", INT32_MAX),
        .n_tokens_max = t->problem.n_tokens_max - v->n_tokens_solution,
        .node = -1,
    };
    const struct search_ask *s = &t->search->sampling;
    const struct search_ask ask = {.op = SEARCH_EXPAND,
                                   .parent = parent,
                                   .until_end = g.until_end,
                                   .temperature = s->temperature,
                                   .top_p = s->top_p,
                                   .min_p = s->min_p,
                                   .top_k = s->top_k};
    MEM_GROW(t->guesses.items, t->guesses.cap, t->guesses.n + 1);
    t->guesses.items[t->guesses.n++] = g;
    count_flying(t, 1);
    coordinator_guessing(t->owner)->n_made++;
    trial_submit(t, &ask, g.id, rng_child(v->key, (uint64_t)index), index, g.n_tokens_max);
}

/* The search has chosen how many children a node gets, or another turn. */
static void throw_away_stale(struct trial *t) {
    for (size_t i = t->guesses.n; i-- > 0;) {
        const struct guess *g = &t->guesses.items[i];
        if (g->node < 0 && tree_node(t, g->parent)->n_children > g->n_children_then) throw_away(t, i);
    }
}

int guess_more(struct trial *t, int n_max) {
    throw_away_stale(t);
    const int n_kept_max = 2 * t->n_writing_max, width = MAX(1, (int)param_or(t, "width", 1));
    int n = 0, n_room = MIN(n_max, t->n_writing_max - t->n_writing - t->guesses.n_flying);
    n_room = MIN(n_room, n_kept_max - (int)t->guesses.n);
    if (n_room <= 0) return 0;
    size_t n_candidates;
    struct candidate *c = candidates(t, &n_candidates);
    for (size_t i = 0; i < n_candidates; i++) {
        const int first = tree_node(t, c[i].node)->n_children;
        for (int k = first; k < first + width && n < n_room; k++) {
            if (is_guessed(t, c[i].node, k) || is_recorded(t, c[i].node, k)) continue;
            make(t, c[i].node, k);
            n++;
        }
    }
    free(c);
    return n;
}
