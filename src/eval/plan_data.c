/* plan_data.c - recorded runs for plan.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "eval/plan_parts.h"
#include "store/rows.h"

enum { PLAN_REWARDS_MAX = 4096 };

struct loading {
    struct plan_data *data;
    struct store *store;
    struct err *e;
    int run;
    bool failed;
};

/* ---- configurations ---- */

static const char *text_at(const json_t *config, const char *outer, const char *inner) {
    const json_t *v = json_object_get(config, outer);
    return json_string_value(inner ? json_object_get(v, inner) : v);
}

/* What all runs must share; *first is what the first run had. */
static bool same(const struct store *s, const char *what, const char *value, char **first, int i_run,
                 struct err *e) {
    if (i_run == 0) *first = mem_strdup(value ? value : "");
    if (strcmp(*first, value ? value : "") == 0) return true;
    return err_set(e, ERR_INPUT, "%s: the %s is not that of the first run: a plan is fitted to runs of one",
                   store_path(s), what);
}

struct shared {
    char *task, *policy, *reward;
};

static bool read_config(struct plan_data *d, const struct store *s, struct shared *shared, int i_run,
                        struct err *e) {
    struct plan_run *run = &d->runs[i_run];
    if (!store_config(s)) return err_set(e, ERR_INPUT, "%s: a run that was never begun", store_path(s));
    json_t *config = json_parse(str_from(store_config(s)), store_path(s), e);
    if (!config) return false;
    const char *strategy, *aggregate = text_at(config, "aggregate", NULL);
    const char *reward = text_at(config, "reward", "identity");
    bool ok = json_want_string(config, "strategy", &strategy, store_path(s), e) &&
              same(s, "task", text_at(config, "task", "hash"), &shared->task, i_run, e) &&
              same(s, "policy", text_at(config, "policy", "identity"), &shared->policy, i_run, e) &&
              (!reward || !shared->reward || same(s, "reward model", reward, &shared->reward, 1, e)) &&
              aggregate_parse(aggregate ? aggregate : "last", &run->aggregate, e) &&
              (search_spec_parse(&run->spec, strategy, e) || err_wrap(e, "%s", store_path(s)));
    if (ok) {
        const char *slash = strrchr(store_path(s), '/');
        run->path = mem_strdup(store_path(s));
        run->name = mem_strdup(slash ? slash + 1 : store_path(s));
        run->independent =
            strcmp(run->spec.strategy->name, "sample") == 0 && search_spec_get(&run->spec, "stop") == 0;
        if (reward && !shared->reward) {
            shared->reward = mem_strdup(reward);
            d->reward = mem_strdup(text_at(config, "reward", "name"));
        }
        if (i_run == 0) d->policy = mem_strdup(text_at(config, "policy", "name"));
    }
    json_decref(config);
    return ok;
}

/* ---- problems ---- */

static struct plan_problem *problem_of(struct plan_data *d, const char *id, int i_run) {
    uint32_t i;
    if (map_get(d->by_id, str_from(id), &i)) return &d->problems[i];
    if (i_run > 0) return NULL; /* only problems that all runs have count */
    map_put(d->by_id, str_from(id), (uint32_t)d->n_problems);
    d->problems = mem_realloc(d->problems, (size_t)d->n_problems + 1, sizeof *d->problems);
    struct plan_problem *p = &d->problems[d->n_problems++];
    *p = (struct plan_problem){.id = mem_strdup(id),
                               .classes = select_classes_new(),
                               .attempts = mem_zalloc((size_t)d->n_runs, sizeof *p->attempts)};
    return p;
}

static void add_solution(struct plan_problem *p, struct plan_attempt *a, const struct rows *r,
                         const struct rows_solution *v, struct map *faces) {
    float rewards[PLAN_REWARDS_MAX];
    struct buf text = {0};
    const struct rows_node *node = rows_find(r, v->path);
    const int n_rewards = MIN(rows_rewards(r, v->path, rewards, PLAN_REWARDS_MAX), PLAN_REWARDS_MAX);
    struct plan_solution *x = &a->solutions[a->n];
    uint32_t face = (uint32_t)a->n;
    rows_text(r, v->path, &text);
    if (!map_put(faces, buf_str(&text), face)) map_get(faces, buf_str(&text), &face);
    buf_free(&text);
    *x = (struct plan_solution){
        .view = {.answer_class = v->answer ? select_classes_add_answer(p->classes, str_from(v->answer)) : -1,
                 .complete = v->complete,
                 .rewards = n_rewards > 0 ? mem_dup(rewards, (size_t)n_rewards * sizeof *rewards) : NULL,
                 .n_rewards = MAX(n_rewards, 0)},
        .right = v->right > 0,
        .logprob = node ? node->logprob : 0,
        .n_tokens = node ? node->n_tokens : 0,
        .face = (int)face,
    };
    if (node) {
        x->spent = (struct plan_spent){node->cost.tokens_generated, node->cost.flops, 0};
        double *charge = &a->solutions[face].spent.flops_reward; /* one of the equal ones was charged */
        if (node->scored && node->score_cost.flops > *charge) *charge = node->score_cost.flops;
    }
    a->n++;
}

static void add_attempt(struct plan_problem *p, struct plan_attempt *a, const struct rows *r,
                        const struct store_problem *problem) {
    struct map *faces = map_new(r->n_solutions);
    a->there = true;
    a->solutions = mem_zalloc(r->n_solutions, sizeof *a->solutions);
    for (size_t i = 0; i < r->n_solutions; i++) add_solution(p, a, r, &r->solutions[i], faces);
    map_free(faces);
    for (size_t i = 0; i < r->n_nodes; i++) {
        a->spent.tokens += r->nodes[i].cost.tokens_generated;
        a->spent.flops_policy += r->nodes[i].cost.flops;
        if (r->nodes[i].scored) a->spent.flops_reward += r->nodes[i].score_cost.flops;
    }
    a->prompt.flops_policy = problem->policy_root.flops;
    a->prompt.flops_reward = problem->reward_root.flops;
}

static bool load_problem(void *ctx, const struct store_problem *problem) {
    struct loading *l = ctx;
    if (!problem->done || !problem->answer) return true;
    struct plan_problem *p = problem_of(l->data, problem->id, l->run);
    if (!p) return true;
    struct rows *r = rows_load(l->store, problem->ordinal, l->e);
    l->failed = !r;
    if (!r) return false;
    struct plan_attempt *a = &p->attempts[l->run];
    add_attempt(p, a, r, problem);
    for (int i = 0; i < a->n; i++) l->data->runs[l->run].scored |= a->solutions[i].view.rewards != NULL;
    rows_free(r);
    return true;
}

static void free_problem(struct plan_data *d, struct plan_problem *p) {
    for (int i = 0; i < d->n_runs; i++) {
        for (int k = 0; k < p->attempts[i].n; k++)
            free((float *)(uintptr_t)p->attempts[i].solutions[k].view.rewards);
        free(p->attempts[i].solutions);
    }
    free(p->attempts);
    free(p->id);
    select_classes_free(p->classes);
}

void plan_data_fini(struct plan_data *d) {
    for (int i = 0; i < d->n_problems; i++) free_problem(d, &d->problems[i]);
    for (int i = 0; d->runs && i < d->n_runs; i++) {
        free(d->runs[i].path);
        free(d->runs[i].name);
    }
    free(d->problems);
    free(d->runs);
    free(d->policy);
    free(d->reward);
    map_free(d->by_id);
    *d = (struct plan_data){0};
}

/* ---- after the last run ---- */

static bool choose_base(struct plan_data *d, struct err *e) {
    int most = 1;
    d->base = -1;
    for (int i = 0; i < d->n_runs; i++) {
        const int n = d->runs[i].independent ? (int)search_spec_get(&d->runs[i].spec, "n") : 0;
        if (n <= most) continue;
        most = n;
        d->base = i;
    }
    return d->base >= 0 ||
           err_set(e, ERR_INPUT,
                   "no run of independent samples: a plan needs one, as 'brood bench TASK -n 64' makes it");
}

/* Only problems that all runs have done stay, with as many samples as the base was asked for. */
static void keep_common(struct plan_data *d) {
    int n = 0;
    d->n_samples = (int)search_spec_get(&d->runs[d->base].spec, "n");
    for (int i = 0; i < d->n_problems; i++) {
        struct plan_problem *p = &d->problems[i];
        const struct plan_attempt *a = &p->attempts[d->base];
        bool keep = a->n == d->n_samples;
        for (int k = 0; keep && k < d->n_runs; k++) keep = p->attempts[k].there;
        if (!keep) {
            free_problem(d, p);
            continue;
        }
        for (int k = 0; k < a->n; k++) p->n_right += a->solutions[k].right;
        p->rate = (double)p->n_right / a->n;
        d->problems[n++] = *p;
    }
    d->n_problems = n;
}

static int by_rate(const void *a, const void *b, void *data) {
    const struct plan_problem *p = ((const struct plan_data *)data)->problems;
    const struct plan_problem *x = &p[*(const int *)a], *y = &p[*(const int *)b];
    if (x->rate != y->rate) return x->rate < y->rate ? -1 : 1;
    const uint64_t i = rng_child_named(0, x->id), j = rng_child_named(0, y->id);
    return (i > j) - (i < j);
}

/* Two folds with problems of the same difficulty: of each two neighbours by rate, one goes into each. */
static void deal_folds(struct plan_data *d) {
    int *order = mem_zalloc((size_t)d->n_problems, sizeof *order);
    for (int i = 0; i < d->n_problems; i++) order[i] = i;
    qsort_r(order, (size_t)d->n_problems, sizeof *order, by_rate, d);
    const uint64_t key = rng_child_named(0, "folds");
    for (int i = 0; i < d->n_problems; i++)
        d->problems[order[i]].fold = (int)((rng_u64(key, (uint64_t)i / 2) ^ (uint64_t)i) & 1);
    free(order);
}

static bool load_run(struct plan_data *d, const char *path, struct shared *shared, int i_run, struct err *e) {
    struct store *s = store_open(path, STORE_READ, e);
    if (!s) return false;
    struct loading l = {.data = d, .store = s, .e = e, .run = i_run};
    bool ok = read_config(d, s, shared, i_run, e) && store_each_problem(s, load_problem, &l, e) && !l.failed;
    struct err closing = {0};
    return store_close(s, ok ? e : &closing) && ok;
}

bool plan_data_load(struct plan_data *d, const char *const *paths, int n_paths, struct err *e) {
    *d = (struct plan_data){
        .n_runs = n_paths, .runs = mem_zalloc((size_t)n_paths, sizeof *d->runs), .by_id = map_new(1024)};
    struct shared shared = {0};
    bool ok = true;
    for (int i = 0; ok && i < n_paths; i++) ok = load_run(d, paths[i], &shared, i, e);
    free(shared.task);
    free(shared.policy);
    free(shared.reward);
    if (!ok || !choose_base(d, e)) return false;
    keep_common(d);
    deal_folds(d);
    return d->n_problems >= 4 ||
           err_set(e, ERR_INPUT, "%d problems with answer keys are done in all runs: a plan needs more",
                   d->n_problems);
}

bool plan_is_sampling(const char *key) {
    static const char *const keys[] = {"temperature", "top_p", "min_p", "top_k"};
    bool is_one = false;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) is_one |= strcmp(key, keys[i]) == 0;
    return is_one;
}

struct search_spec plan_bare_spec(const struct plan_data *d, int i_run, bool without_n) {
    struct search_spec spec = d->runs[i_run].spec;
    const struct search_spec *base = &d->runs[d->base].spec;
    for (int i = 0; i < spec.strategy->n_params; i++) {
        const char *key = spec.strategy->params[i].name;
        const bool shared = plan_is_sampling(key) && search_spec_get(base, key) == spec.values[i];
        if (shared || (without_n && strcmp(key, "n") == 0)) spec.values[i] = NAN;
    }
    return spec;
}
