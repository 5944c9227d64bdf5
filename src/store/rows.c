/* rows.c - one problem's rows in memory. */
#include "store/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

static char *dup_or_null(const char *s) {
    return s ? mem_strdup(s) : NULL;
}

static bool add_node(void *ctx, const struct store_node *n) {
    struct rows *r = ctx;
    MEM_GROW(r->nodes, r->cap_nodes, r->n_nodes + 1);
    struct rows_node *out = &r->nodes[r->n_nodes];
    *out = (struct rows_node){
        .path = mem_strdup(n->path),
        .lead = n->lead,
        .n_lead_bytes = n->n_lead_bytes,
        .n_lead_tokens = n->n_lead_tokens,
        .text = str_dup(n->text),
        .text_len = n->text.len,
        .tokens = n->tokens ? mem_dup(n->tokens, (size_t)n->n_tokens_known * sizeof(int)) : NULL,
        .n_tokens_known = n->n_tokens_known,
        .n_tokens = n->n_tokens,
        .logprob = n->logprob,
        .confidences =
            n->n_confidences > 0 ? mem_dup(n->confidences, (size_t)n->n_confidences * sizeof(float)) : NULL,
        .n_confidences = n->n_confidences,
        .verdict = n->verdict,
        .finish = n->finish,
        .cost = n->cost,
        .why = dup_or_null(n->why),
    };
    map_put(r->by_path, str_from(out->path), (uint32_t)r->n_nodes++);
    return true;
}

static bool add_score(void *ctx, const struct store_score *c) {
    struct rows *r = ctx;
    uint32_t i;
    if (!map_get(r->by_path, str_from(c->path), &i)) return true;
    struct rows_node *n = &r->nodes[i];
    n->scored = true;
    n->n_rewards = c->n_rewards;
    n->rewards = c->n_rewards > 0 ? mem_dup(c->rewards, (size_t)c->n_rewards * sizeof(float)) : NULL;
    n->score_cost = c->cost;
    return true;
}

static bool add_verdict(void *ctx, const struct store_verdict *v) {
    struct rows *r = ctx;
    uint32_t i;
    if (!map_get(r->by_path, str_from(v->path), &i)) return true;
    struct rows_node *n = &r->nodes[i];
    n->verified = true;
    n->verdict = v->passed;
    n->verifier_score = v->score;
    n->feedback = v->feedback[0] ? mem_strdup(v->feedback) : NULL;
    return true;
}

static bool add_solution(void *ctx, const struct store_solution *v) {
    struct rows *r = ctx;
    MEM_GROW(r->solutions, r->cap_solutions, r->n_solutions + 1);
    r->solutions[r->n_solutions++] = (struct rows_solution){
        .path = mem_strdup(v->path),
        .answer = dup_or_null(v->answer),
        .complete = v->complete,
        .right = v->right,
    };
    return true;
}

struct rows *rows_load(struct store *s, int problem, struct err *e) {
    struct rows *r = mem_zalloc(1, sizeof *r);
    r->by_path = map_new(64);
    if (store_each_node(s, problem, add_node, r, e) && store_each_score(s, problem, add_score, r, e) &&
        store_each_verdict(s, problem, add_verdict, r, e) &&
        store_each_solution(s, problem, add_solution, r, e)) {
        return r;
    }
    rows_free(r);
    return NULL;
}

void rows_free(struct rows *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n_nodes; i++) {
        struct rows_node *n = &r->nodes[i];
        free(n->path);
        free(n->text);
        free(n->tokens);
        free(n->why);
        free(n->confidences);
        free(n->rewards);
        free(n->feedback);
    }
    for (size_t i = 0; i < r->n_solutions; i++) {
        free(r->solutions[i].path);
        free(r->solutions[i].answer);
    }
    free(r->nodes);
    free(r->solutions);
    map_free(r->by_path);
    free(r);
}

static const struct rows_node *find(const struct rows *r, struct str path) {
    uint32_t i;
    return map_get(r->by_path, path, &i) ? &r->nodes[i] : NULL;
}

const struct rows_node *rows_find(const struct rows *r, const char *path) {
    return find(r, str_from(path));
}

/* Where the name of the node ends at which the solution begins: the last on the path that revises, or the
 * topmost. */
static size_t beginning(const struct rows *r, const char *path) {
    const size_t len = strlen(path);
    size_t first = 1;
    for (size_t i = 1; i <= len; i++) {
        if (i < len && path[i] != '.') continue;
        const struct rows_node *n = find(r, (struct str){path, i});
        if (n && n->lead == STORE_LEAD_REVISE) first = i;
    }
    return first;
}

/* The nodes along a path from the beginning of the solution: calls each on "0", "0.3", "0.3.1". False if each
 * did, or if a node is missing. */
static bool along(const struct rows *r, const char *path, bool (*each)(void *ctx, const struct rows_node *n),
                  void *ctx) {
    const size_t len = strlen(path);
    for (size_t i = beginning(r, path); i <= len; i++) {
        if (i < len && path[i] != '.') continue;
        const struct rows_node *n = find(r, (struct str){path, i});
        if (!n || !each(ctx, n)) return false;
    }
    return true;
}

static bool append_text(void *ctx, const struct rows_node *n) {
    const size_t n_skipped = n->lead == STORE_LEAD_REVISE ? MIN(n->n_lead_bytes, n->text_len) : 0;
    buf_add(ctx, n->text + n_skipped, n->text_len - n_skipped);
    return true;
}

void rows_text(const struct rows *r, const char *path, struct buf *out) {
    along(r, path, append_text, out);
}

struct reward_list {
    float *out;
    int n, n_max;
};

static bool append_rewards(void *ctx, const struct rows_node *n) {
    struct reward_list *l = ctx;
    if (!n->scored || n->n_rewards < 0) return false;
    for (int i = 0; i < n->n_rewards && l->n < l->n_max; i++) l->out[l->n++] = n->rewards[i];
    return true;
}

struct confidence_list {
    float *items;
    size_t n, cap;
};

static bool append_confidences(void *ctx, const struct rows_node *n) {
    struct confidence_list *l = ctx;
    if (n->n_confidences == 0) return n->n_tokens == 0;
    MEM_GROW(l->items, l->cap, l->n + (size_t)n->n_confidences);
    memcpy(l->items + l->n, n->confidences, (size_t)n->n_confidences * sizeof *l->items);
    l->n += (size_t)n->n_confidences;
    return true;
}

float *rows_confidences(const struct rows *r, const char *path, int *n) {
    struct confidence_list l = {0};
    const bool all = along(r, path, append_confidences, &l) && l.n > 0;
    *n = all ? (int)l.n : 0;
    if (all) return l.items;
    free(l.items);
    return NULL;
}

int rows_rewards(const struct rows *r, const char *path, float *rewards, int n_max) {
    struct reward_list l = {.out = rewards, .n_max = n_max};
    return along(r, path, append_rewards, &l) ? l.n : -1;
}

static void mark_path(const struct rows *r, const char *path, bool *on) {
    const size_t len = strlen(path);
    for (size_t i = 1; i <= len; i++) {
        const struct rows_node *n = i == len || path[i] == '.' ? find(r, (struct str){path, i}) : NULL;
        if (n) on[n - r->nodes] = true;
    }
}

bool *rows_on_solutions(const struct rows *r) {
    bool *on = mem_zalloc(MAX(r->n_nodes, 1), sizeof *on);
    for (size_t i = 0; i < r->n_solutions; i++) mark_path(r, r->solutions[i].path, on);
    return on;
}
