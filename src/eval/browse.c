/* browse.c - see browse.h. */
#include "eval/browse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

/* ---- the list of problems ---- */

struct listing {
    struct browse *b;
    size_t i_run;
    struct err *e;
    bool failed;
};

static char *dup_or_null(const char *s) {
    return s ? mem_strdup(s) : NULL;
}

/* Tasks may give one id to different problems: those are two. */
static struct browse_problem *find_or_add(struct browse *b, const struct store_problem *p) {
    uint32_t i;
    struct buf key = {0};
    buf_add(&key, p->id, strlen(p->id) + 1);
    buf_add_str(&key, str_from(p->text));
    const bool is_new = map_put(b->by_text, buf_str(&key), (uint32_t)b->n_problems);
    if (!is_new) map_get(b->by_text, buf_str(&key), &i);
    buf_free(&key);
    if (!is_new) return &b->problems[i];
    MEM_GROW(b->problems, b->cap, b->n_problems + 1);
    struct browse_problem *out = &b->problems[b->n_problems++];
    *out = (struct browse_problem){.id = mem_strdup(p->id),
                                   .text = mem_strdup(p->text),
                                   .key = dup_or_null(p->answer),
                                   .level = p->level,
                                   .states = mem_zalloc(b->n_runs, sizeof *out->states)};
    for (size_t r = 0; r < b->n_runs; r++) out->states[r] = (struct browse_state){.ordinal = -1, .right = -1};
    return out;
}

static bool take_choice(void *ctx, const struct store_choice *c) {
    struct browse_state *s = ctx;
    if (s->rule) return true; /* a run has one */
    s->chosen = dup_or_null(c->answer);
    s->rule = mem_strdup(c->rule);
    s->right = c->right;
    return true;
}

static bool count_solution(void *ctx, const struct store_solution *v) {
    struct browse_state *s = ctx;
    s->n_solutions++;
    s->n_right += v->right > 0;
    return true;
}

static bool list_problem(void *ctx, const struct store_problem *p) {
    struct listing *l = ctx;
    struct store *store = l->b->stores[l->i_run];
    struct browse_state *s = &find_or_add(l->b, p)->states[l->i_run];
    if (s->ordinal >= 0) return true;
    s->ordinal = p->ordinal;
    s->done = p->done;
    l->failed = p->done && (!store_each_choice(store, p->ordinal, take_choice, s, l->e) ||
                            !store_each_solution(store, p->ordinal, count_solution, s, l->e));
    return !l->failed;
}

/* By which the run's steps are parted. */
static char *separator_of(const char *config) {
    struct err ignored;
    json_t *o = config ? json_parse(str_from(config), "configuration", &ignored) : NULL;
    const char *s = json_string_value(json_object_get(o, "separator"));
    char *out = mem_strdup(s && s[0] ? s : "\n\n");
    json_decref(o);
    return out;
}

struct browse *browse_open(const struct report *r, struct err *e) {
    struct browse *b = mem_zalloc(1, sizeof *b);
    const size_t n = MAX(r->n, 1);
    *b = (struct browse){.n_runs = r->n,
                         .stores = mem_zalloc(n, sizeof *b->stores),
                         .replays = mem_zalloc(n, sizeof *b->replays),
                         .separators = mem_zalloc(n, sizeof *b->separators),
                         .aggregates = mem_zalloc(n, sizeof *b->aggregates),
                         .by_text = map_new(256)};
    for (size_t i = 0; i < r->n; i++) {
        struct listing l = {.b = b, .i_run = i, .e = e};
        struct err ignored;
        b->aggregates[i] = r->runs[i].aggregate;
        b->stores[i] = store_open(r->runs[i].path, STORE_READ, e);
        if (!b->stores[i] || !store_each_problem(b->stores[i], list_problem, &l, e) || l.failed) {
            browse_close(b);
            return NULL;
        }
        b->separators[i] = separator_of(store_config(b->stores[i]));
        b->replays[i] = replay_open(store_config(b->stores[i]), r->runs[i].path, &ignored);
    }
    return b;
}

void browse_close(struct browse *b) {
    if (!b) return;
    for (size_t i = 0; i < b->n_runs; i++) {
        struct err ignored;
        if (!store_close(b->stores[i], &ignored)) { /* it was only read */
        }
        replay_close(b->replays[i]);
        free(b->separators[i]);
    }
    for (size_t i = 0; i < b->n_problems; i++) {
        struct browse_problem *p = &b->problems[i];
        for (size_t r = 0; r < b->n_runs; r++) {
            free(p->states[r].chosen);
            free(p->states[r].rule);
        }
        free(p->states);
        free(p->id);
        free(p->text);
        free(p->key);
    }
    free(b->problems);
    map_free(b->by_text);
    free(b->stores);
    free(b->replays);
    free(b->separators);
    free(b->aggregates);
    free(b);
}

/* ---- which are worth a look ---- */

/* The first run that has done the problem; NULL: none. */
static const struct browse_state *first_state(const struct browse *b, const struct browse_problem *p) {
    for (size_t r = 0; r < b->n_runs; r++)
        if (p->states[r].done) return &p->states[r];
    return NULL;
}

/* 0: wrong though a solution was right; 1: wrong; 2: right or not graded; -1: nothing to look at. */
static int interest(const struct browse *b, const struct browse_problem *p) {
    const struct browse_state *s = first_state(b, p);
    if (!s || p->picked) return -1;
    return s->right != 0 ? 2 : s->n_right > 0 ? 0 : 1;
}

static struct browse_problem *next_of(const struct browse *b, int level, int kind) {
    for (size_t i = 0; i < b->n_problems; i++)
        if (b->problems[i].level == level && interest(b, &b->problems[i]) == kind) return &b->problems[i];
    return NULL;
}

/* The next of a level: kinds in the given order. */
static bool pick_of(const struct browse *b, int level, bool wrong_first) {
    static const int orders[2][3] = {{2, 0, 1}, {0, 1, 2}};
    for (int i = 0; i < 3; i++) {
        struct browse_problem *p = next_of(b, level, orders[wrong_first][i]);
        if (!p) continue;
        return p->picked = true;
    }
    return false;
}

/* The least level above `level` that a problem has; -1: none. */
static int next_level(const struct browse *b, int level) {
    int next = -1;
    for (size_t i = 0; i < b->n_problems; i++) {
        const int l = b->problems[i].level;
        if (l > level && (next < 0 || l < next)) next = l;
    }
    return next;
}

int browse_pick(struct browse *b, int n, const char *id) {
    int n_picked = 0;
    for (size_t i = 0; id && i < b->n_problems; i++) {
        if (strcmp(b->problems[i].id, id) != 0) continue;
        b->problems[i].picked = true;
        n_picked++;
    }
    if (id) return n_picked;
    bool any = true;
    for (int round = 0; any && n_picked < n; round++) {
        any = false;
        for (int level = next_level(b, -1); level >= 0 && n_picked < n; level = next_level(b, level)) {
            if (!pick_of(b, level, round % 3 != 2)) continue;
            any = true;
            n_picked++;
        }
    }
    return n_picked;
}

/* ---- one tree ---- */

void browse_tree_free(struct browse_tree *t) {
    if (!t) return;
    rows_free(t->rows);
    replay_log_fini(&t->log);
    for (size_t i = 0; i < t->n_classes; i++) free(t->classes[i].answer);
    free(t->classes);
    free(t->parents);
    free(t->n_children);
    free(t->solutions);
    free(t->leads);
    free(t->chosen);
    free(t->worths);
    free(t->rule);
    free(t->aggregate);
    free(t->answer);
    free(t);
}

static int row_of(const struct rows *r, struct str path) {
    char *text = str_dup(path);
    const struct rows_node *n = rows_find(r, text);
    free(text);
    return n ? (int)(n - r->nodes) : -1;
}

static void fill_shape(struct browse_tree *t, enum aggregate a) {
    const struct rows *r = t->rows;
    const size_t n = MAX(r->n_nodes, 1);
    float rewards[4096];
    t->parents = mem_alloc(n * sizeof(int));
    t->n_children = mem_zalloc(n, sizeof(int));
    t->solutions = mem_alloc(n * sizeof(int));
    t->chosen = mem_zalloc(n, sizeof(bool));
    t->worths = mem_alloc(n * sizeof(double));
    t->leads = rows_on_solutions(r);
    for (size_t i = 0; i < r->n_nodes; i++) {
        const char *path = r->nodes[i].path, *dot = strrchr(path, '.');
        t->parents[i] = dot ? row_of(r, (struct str){path, (size_t)(dot - path)}) : -1;
        if (t->parents[i] >= 0) t->n_children[t->parents[i]]++;
        t->solutions[i] = -1;
        const int n_rewards = rows_rewards(r, path, rewards, (int)ARRAY_LEN(rewards));
        t->worths[i] =
            n_rewards > 0 ? aggregate_of(a, rewards, MIN(n_rewards, (int)ARRAY_LEN(rewards))) : NAN;
    }
    for (size_t i = 0; i < r->n_solutions; i++) {
        const int at = row_of(r, str_from(r->solutions[i].path));
        if (at >= 0) t->solutions[at] = (int)i;
    }
}

static int by_votes(const void *a, const void *b) {
    const struct browse_class *x = a, *y = b;
    if (x->n_votes != y->n_votes) return x->n_votes > y->n_votes ? -1 : 1;
    return x->reward != y->reward ? (x->reward > y->reward ? -1 : 1) : strcmp(x->answer, y->answer);
}

static void fill_classes(struct browse_tree *t) {
    struct select_classes *classes = select_classes_new();
    for (size_t i = 0; i < t->rows->n_solutions; i++) {
        const struct rows_solution *v = &t->rows->solutions[i];
        const int c = v->answer ? select_classes_add_answer(classes, str_from(v->answer)) : -1;
        if (c < 0) {
            t->n_unanswered++;
            continue;
        }
        if ((size_t)c == t->n_classes) {
            MEM_GROW(t->classes, t->cap, t->n_classes + 1);
            t->classes[t->n_classes++] =
                (struct browse_class){.answer = mem_strdup(v->answer), .right = v->right};
        }
        const int at = row_of(t->rows, str_from(v->path));
        t->classes[c].n_votes++;
        t->classes[c].chosen = t->classes[c].chosen || (at >= 0 && at == t->i_chosen);
        if (at >= 0 && !isnan(t->worths[at])) t->classes[c].reward += t->worths[at];
    }
    if (t->n_classes > 1) qsort(t->classes, t->n_classes, sizeof *t->classes, by_votes);
    select_classes_free(classes);
}

static bool fill_choice(void *ctx, const struct store_choice *c) {
    struct browse_tree *t = ctx;
    if (t->rule) return true;
    t->rule = mem_strdup(c->rule);
    t->aggregate = mem_strdup(c->aggregate);
    t->answer = dup_or_null(c->answer);
    t->right = c->right;
    t->n_votes = c->n_votes;
    t->score = c->score;
    t->i_chosen = c->path ? row_of(t->rows, str_from(c->path)) : -1;
    for (int i = t->i_chosen; i >= 0; i = t->parents[i]) t->chosen[i] = true;
    return true;
}

struct browse_tree *browse_tree_load(struct browse *b, size_t i_problem, size_t i_run, struct err *e) {
    const struct browse_problem *p = &b->problems[i_problem];
    const struct store_problem row = {.ordinal = p->states[i_run].ordinal, .id = p->id, .text = p->text};
    ASSERT(row.ordinal >= 0);
    struct browse_tree *t = mem_zalloc(1, sizeof *t);
    struct err ignored;
    t->right = t->i_chosen = -1;
    t->rows = rows_load(b->stores[i_run], row.ordinal, e);
    if (!t->rows) goto failed;
    fill_shape(t, b->aggregates[i_run]);
    if (!store_each_choice(b->stores[i_run], row.ordinal, fill_choice, t, e)) goto failed;
    fill_classes(t);
    t->ordered = b->replays[i_run] && replay_problem(b->replays[i_run], &row, t->rows, &t->log, &ignored);
    return t;
failed:
    browse_tree_free(t);
    return NULL;
}
