/* replay.c - see replay.h. */
#include "run/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "run/value.h"
#include "search/search.h"
#include "select/select.h"

struct replay {
    char *where, *plan;
    struct search_spec spec;
    uint64_t seed;
    int n_tokens_max;
    bool has_reward, has_verifier;
};

void replay_close(struct replay *r) {
    if (!r) return;
    free(r->where);
    free(r->plan);
    free(r);
}

struct replay *replay_open(const char *config, const char *where, struct err *e) {
    struct replay *r = mem_zalloc(1, sizeof *r);
    const char *strategy, *seed;
    int64_t n_tokens_max = 0;
    r->where = mem_strdup(where);
    json_t *o = json_parse(str_from(config), where, e);
    bool ok = o && json_want_string(o, "strategy", &strategy, where, e) &&
              json_want_string(o, "seed", &seed, where, e) &&
              json_want_int(o, "tokens_max", 1, INT32_MAX, &n_tokens_max, where, e) &&
              search_spec_parse(&r->spec, strategy, e);
    if (ok) {
        r->seed = strtoull(seed, NULL, 16);
        r->n_tokens_max = (int)n_tokens_max;
        const char *plan = json_string_value(json_object_get(json_object_get(o, "plan"), "text"));
        r->plan = plan ? mem_strdup(plan) : NULL;
        r->has_reward = json_is_object(json_object_get(o, "reward"));
        r->has_verifier = json_is_object(json_object_get(o, "verifier"));
    }
    json_decref(o);
    if (ok) return r;
    replay_close(r);
    return NULL;
}

void replay_log_fini(struct replay_log *log) {
    free(log->written);
    free(log->scored);
    free(log->dropped);
    *log = (struct replay_log){0};
}

/* ---- one problem ---- */

struct telling {
    const struct rows *rows;
    struct search *search;
    struct select_classes *classes;
    struct replay_log *log;
    ptrdiff_t *row_of; /* [n_known] of each tree node: -1 not recorded */
    size_t n_known, cap;
};

/* The row of a node of the tree, or -1. */
static ptrdiff_t row_of(struct telling *t, int node) {
    const struct tree *tree = search_tree(t->search);
    while (t->n_known <= (size_t)node) {
        MEM_GROW(t->row_of, t->cap, t->n_known + 1);
        const size_t need = tree_path(tree, (int)t->n_known, NULL, 0) + 1;
        char *path = mem_alloc(need);
        tree_path(tree, (int)t->n_known, path, need);
        const struct rows_node *r = t->n_known > 0 ? rows_find(t->rows, path) : NULL;
        t->row_of[t->n_known++] = r ? r - t->rows->nodes : -1;
        free(path);
    }
    return t->row_of[node];
}

/* Whether a search could have been told this: records of another one are not. */
static bool can_be_told(const struct telling *t, const struct search_ask *ask, const struct rows_node *r) {
    const struct tree_node *v = &search_tree(t->search)->nodes[ask->node];
    return !(r->finish == STORE_STEP && ask->until_end) && r->n_tokens >= 0 &&
           r->n_tokens <= INT32_MAX - v->n_tokens_path;
}

static void tell_node(struct telling *t, const struct search_ask *ask) {
    const ptrdiff_t i = row_of(t, ask->node);
    if (i < 0) return; /* dropped on its way, or the search was ended before */
    const struct rows_node *r = &t->rows->nodes[i];
    if (!can_be_told(t, ask, r)) return;
    struct search_told told = {.finish = (enum search_finish)r->finish,
                               .n_tokens = r->n_tokens,
                               .logprob = r->logprob,
                               .text_hash = rng_hash(0, r->text, r->text_len),
                               .value_hash = value_hash((struct str){r->text, r->text_len}),
                               .confidences = r->confidences,
                               .n_confidences = r->n_confidences,
                               .answer_class = -1,
                               .verdict = r->verdict};
    if (r->finish == STORE_END) {
        struct buf text = {0};
        rows_text(t->rows, r->path, &text);
        told.answer_class = select_classes_add(t->classes, buf_str(&text));
        buf_free(&text);
    }
    t->log->written[i] = ++t->log->n_events;
    search_tell_node(t->search, ask->node, &told);
}

static void tell_score(struct telling *t, const struct search_ask *ask) {
    const ptrdiff_t i = row_of(t, ask->node), twin = ask->twin >= 0 ? row_of(t, ask->twin) : -1;
    if (i < 0) return;
    const struct rows_node *r = &t->rows->nodes[i];
    if (!r->scored && twin >= 0) r = &t->rows->nodes[twin]; /* nothing was computed for it */
    if (!r->scored) return;
    t->log->scored[i] = ++t->log->n_events;
    search_tell_score(t->search, ask->node, r->rewards, r->n_rewards);
}

static void drop(struct telling *t, int node) {
    const struct tree *tree = search_tree(t->search);
    const int event = ++t->log->n_events;
    bool *below = mem_zalloc(tree->n_nodes, sizeof *below); /* parents come before children */
    for (size_t n = (size_t)node; n < tree->n_nodes; n++) {
        below[n] = (int)n == node || (tree->nodes[n].parent >= 0 && below[tree->nodes[n].parent]);
        const ptrdiff_t i = below[n] ? row_of(t, (int)n) : -1;
        if (i >= 0 && !t->log->dropped[i]) t->log->dropped[i] = event;
    }
    free(below);
}

static void answer_asks(struct telling *t) {
    struct search_ask ask;
    while (search_ask(t->search, &ask)) {
        switch (ask.op) {
        case SEARCH_EXPAND:
            tell_node(t, &ask);
            break;
        case SEARCH_SCORE:
            tell_score(t, &ask);
            break;
        case SEARCH_DROP:
            drop(t, ask.node);
            break;
        }
    }
}

static bool check_all_told(const struct replay *r, const struct store_problem *p, const struct rows *rows,
                           const struct replay_log *log, struct err *e) {
    for (size_t i = 0; i < rows->n_nodes; i++) {
        if (log->written[i] && (log->scored[i] || !rows->nodes[i].scored)) continue;
        return err_set(e, ERR_INPUT,
                       "%s: problem %s: node %s does not belong to a search by this configuration", r->where,
                       p->id, rows->nodes[i].path);
    }
    return true;
}

/* Whether a verifier took part: only then are verdicts known. */
static bool has_verdicts(const struct rows *rows) {
    for (size_t i = 0; i < rows->n_nodes; i++)
        if (rows->nodes[i].verdict >= 0) return true;
    return false;
}

bool replay_problem(struct replay *r, const struct store_problem *p, const struct rows *rows,
                    struct replay_log *out, struct err *e) {
    const size_t n = MAX(rows->n_nodes, 1);
    *out = (struct replay_log){.written = mem_zalloc(n, sizeof(int)),
                               .scored = mem_zalloc(n, sizeof(int)),
                               .dropped = mem_zalloc(n, sizeof(int)),
                               .n_nodes = rows->n_nodes};
    const struct search_context context = {.problem_key = rng_child_named(r->seed, p->id),
                                           .has_reward = r->has_reward,
                                           .has_verifier = r->has_verifier || has_verdicts(rows),
                                           .plan = r->plan,
                                           .n_tokens_answer_max = r->n_tokens_max};
    struct telling t = {.rows = rows, .log = out, .search = search_new(&r->spec, &context, e)};
    if (!t.search) {
        replay_log_fini(out);
        return false;
    }
    t.classes = select_classes_new();
    answer_asks(&t);
    select_classes_free(t.classes);
    search_free(t.search);
    free(t.row_of);
    if (check_all_told(r, p, rows, out, e)) return true;
    replay_log_fini(out);
    return false;
}
