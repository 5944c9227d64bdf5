/* report.c - see report.h. */
#include "eval/report_fill.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"

struct report *report_new(void) {
    return mem_zalloc(1, sizeof(struct report));
}

static void run_fini(struct report_run *r) {
    char *const texts[] = {r->path,   r->name,     r->task, r->task_hash, r->policy,
                           r->reward, r->strategy, r->seed, r->select,    r->plan};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) free(texts[i]);
    for (int m = 0; m < CURVES_MEASURES; m++) free(r->shares[m]);
    free(r->levels);
    free(r->score);
}

void report_free(struct report *r) {
    if (!r) return;
    for (size_t i = 0; i < r->n; i++) {
        run_fini(&r->runs[i]);
        curves_set_free(r->sets[i]);
    }
    free(r->runs);
    free(r->sets);
    free(r->gains);
    free(r);
}

/* ---- the configuration ---- */

/* config[outer][inner], or config[outer] where inner is NULL. Owned; NULL if it is not there. */
static char *config_text(const json_t *config, const char *outer, const char *inner) {
    const json_t *v = json_object_get(config, outer);
    if (inner) v = json_object_get(v, inner);
    return json_is_string(v) ? mem_strdup(json_string_value(v)) : NULL;
}

static char *config_text_or(const json_t *config, const char *outer, const char *inner,
                            const char *otherwise) {
    char *text = config_text(config, outer, inner);
    return text ? text : mem_strdup(otherwise);
}

static double config_parameters(const json_t *config, const char *service) {
    return json_number_value(json_object_get(json_object_get(config, service), "parameters"));
}

static char *name_of_path(const char *path) {
    const char *slash = strrchr(path, '/');
    char *name = mem_strdup(slash ? slash + 1 : path);
    char *dot = strrchr(name, '.');
    if (dot && dot != name) *dot = '\0';
    return name;
}

/* Repeated sampling that does not stop by what it has seen. */
static bool is_independent(const char *strategy) {
    if (strcmp(strategy, "greedy") == 0) return true;
    const char *stop = strstr(strategy, "stop=");
    return strncmp(strategy, "sample", 6) == 0 && (!stop || strncmp(stop, "stop=none", 9) == 0);
}

static double config_price(const json_t *config, const char *budget, const char *key) {
    const json_t *prices = json_object_get(json_object_get(config, budget), "prices");
    return json_number_value(json_object_get(prices, key));
}

/* A budget in money was recorded with its prices. */
static struct prices config_prices(const json_t *config) {
    const char *budget =
        json_object_get(json_object_get(config, "budget"), "prices") ? "budget" : "run_budget";
    return (struct prices){config_price(config, budget, "policy_input"),
                           config_price(config, budget, "policy_output"),
                           config_price(config, budget, "reward_input")};
}

static bool read_config(struct report_run *run, const struct store *s, enum aggregate wanted, struct err *e) {
    if (!store_config(s))
        return err_set(e, ERR_INPUT, "%s: a run that was never begun: nothing to report", store_path(s));
    json_t *config = json_parse(str_from(store_config(s)), store_path(s), e);
    if (!config) return false;
    run->path = mem_strdup(store_path(s));
    run->name = name_of_path(run->path);
    run->task = config_text_or(config, "task", "name", "?");
    run->task_hash = config_text_or(config, "task", "hash", "");
    run->policy = config_text_or(config, "policy", "name", "?");
    run->reward = config_text(config, "reward", "name");
    run->strategy = config_text_or(config, "strategy", NULL, "?");
    run->independent = is_independent(run->strategy);
    run->seed = config_text_or(config, "seed", NULL, "?");
    run->select = config_text_or(config, "select", NULL, "?");
    run->policy_parameters = config_parameters(config, "policy");
    run->reward_parameters = config_parameters(config, "reward");
    run->plan = config_text(config, "plan", "text");
    run->prices = config_prices(config);
    run->aggregate = wanted;
    char *aggregate = config_text_or(config, "aggregate", NULL, "last");
    const bool ok = wanted != REPORT_AGGREGATE_OF_RUN || aggregate_parse(aggregate, &run->aggregate, e);
    free(aggregate);
    json_decref(config);
    return ok;
}

/* ---- accuracies ---- */

uint64_t report_key(void) {
    return rng_child_named(0, "report");
}

static void fill_curves(struct report_run *run, const struct curves_set *set) {
    int ks[32];
    int n_ks = set->n > 0 ? curves_ks(set->n_max, ks) : 0;
    if (n_ks > 1 && !run->independent) {
        ks[0] = set->n_max;
        n_ks = 1;
    }
    for (int m = 0; m < CURVES_MEASURES && n_ks > 0; m++) {
        struct report_curve *c = &run->curves[m];
        if (!curves_can_measure(set, (enum curves_measure)m)) continue;
        run->shares[m] = mem_zalloc((size_t)n_ks * set->n, sizeof(double));
        for (int i = 0; i < n_ks; i++) {
            double *x = run->shares[m] + (size_t)i * set->n;
            curves_at_k(set, (enum curves_measure)m, run->aggregate, ks[i], x);
            c->points[c->n_points++] =
                (struct report_point){ks[i], coverage_interval(x, (int)set->n, report_key())};
        }
    }
}

/* The interval of those x whose problem has this level. */
static struct interval of_level(const struct curves_set *set, const double *x, int level) {
    double *y = mem_zalloc(set->n, sizeof *y);
    int n = 0;
    for (size_t i = 0; i < set->n; i++) {
        if (set->problems[i].level == level) y[n++] = x[i];
    }
    const struct interval v = coverage_interval(y, n, report_key());
    free(y);
    return v;
}

static int by_level(const void *a, const void *b) {
    const struct report_level *x = a, *y = b;
    return (x->level > y->level) - (x->level < y->level);
}

static void list_levels(struct report_run *run, const struct curves_set *set) {
    size_t cap = 0;
    for (size_t i = 0; i < set->n; i++) {
        const int level = set->problems[i].level;
        int at = 0;
        while (at < run->n_levels && run->levels[at].level != level) at++;
        if (at == run->n_levels) {
            MEM_GROW(run->levels, cap, (size_t)at + 1);
            run->levels[run->n_levels++] = (struct report_level){.level = level};
        }
        run->levels[at].n_problems++;
    }
    if (run->n_levels > 0) qsort(run->levels, (size_t)run->n_levels, sizeof *run->levels, by_level);
    if (run->n_levels == 1 && run->levels[0].level == 0) run->n_levels = 0; /* the task has none */
}

static void fill_levels(struct report_run *run, const struct curves_set *set) {
    list_levels(run, set);
    if (set->n == 0 || set->n_max == 0) return;
    double *x = mem_zalloc(set->n, sizeof *x);
    curves_at_k(set, CURVES_COVERAGE, run->aggregate, 1, x);
    for (int l = 0; l < run->n_levels; l++) run->levels[l].one = of_level(set, x, run->levels[l].level);
    free(x);
    for (int m = 0; m < CURVES_MEASURES; m++) {
        if (run->curves[m].n_points == 0) continue;
        const double *all = run->shares[m] + (size_t)(run->curves[m].n_points - 1) * set->n;
        for (int l = 0; l < run->n_levels; l++)
            run->levels[l].all[m] = of_level(set, all, run->levels[l].level);
    }
}

/* ---- costs ---- */

static void fill_score(struct report_run *run, const struct curves_set *set) {
    run->score = mem_zalloc((size_t)run->n_max + 1, sizeof *run->score);
    for (int i = 0; i < run->curves[CURVES_COVERAGE].n_points; i++) {
        const int k = run->curves[CURVES_COVERAGE].points[i].k;
        for (size_t p = 0; p < set->n; p++)
            run->score[k] += curves_score(&set->problems[p], k).flops / (double)set->n;
    }
}

static void fill_costs(struct report_run *run, const struct curves_set *set) {
    double n_samples = 0;
    const double n = (double)MAX(set->n, 1);
    struct report_spend all = {0};
    struct report_costs *c = &run->costs;
    for (size_t i = 0; i < set->n; i++) {
        const struct curves_problem *p = &set->problems[i];
        run->prompt.flops_policy += p->policy_root.flops / n;
        run->prompt.flops_reward += p->reward_root.flops / n;
        all.tokens_generated += p->policy.tokens_generated;
        all.flops_policy += p->policy.flops;
        all.flops_reward += p->reward.flops;
        run->tokens_read += (p->policy_root.tokens_read + p->policy.tokens_read + p->reward_root.tokens_read +
                             p->reward.tokens_read) /
                            n;
        n_samples += p->n;
        run->different.texts += p->n_texts;
        run->different.answers += p->n_answers;
        cost_add(&c->policy_prompt, &p->policy_root);
        cost_add(&c->reward_prompt, &p->reward_root);
        cost_add(&c->policy, &p->policy);
        cost_add(&c->reward, &p->reward);
        cost_add(&c->policy_pruned, &p->policy_pruned);
        cost_add(&c->reward_pruned, &p->reward_pruned);
    }
    struct cost *const means[] = {&c->policy_prompt, &c->reward_prompt, &c->policy,
                                  &c->reward,        &c->policy_pruned, &c->reward_pruned};
    for (size_t i = 0; i < ARRAY_LEN(means); i++)
        *means[i] =
            (struct cost){means[i]->tokens_read / n, means[i]->tokens_generated / n, means[i]->flops / n};
    struct cost policy = c->policy, reward = c->reward;
    cost_add(&policy, &c->policy_prompt);
    cost_add(&reward, &c->reward_prompt);
    run->usd = prices_dollars(prices_of(&run->prices, &policy, &reward));
    run->usd_all = run->usd * (double)set->n;
    run->different.solutions = n_samples;
    if (n_samples > 0) {
        run->sample = (struct report_spend){all.tokens_generated / n_samples, all.flops_policy / n_samples,
                                            all.flops_reward / n_samples};
    }
    if (run->independent) fill_score(run, set);
    run->total =
        (struct report_spend){all.tokens_generated / n, all.flops_policy / n + run->prompt.flops_policy,
                              all.flops_reward / n + run->prompt.flops_reward};
}

struct report_spend report_spend_at(const struct report_run *run, int k, bool with_reward) {
    if (!run->independent) return run->total;
    return (struct report_spend){
        .tokens_generated = k * run->sample.tokens_generated,
        .flops_policy = run->prompt.flops_policy + k * run->sample.flops_policy,
        .flops_reward = with_reward ? run->prompt.flops_reward + run->score[MIN(k, run->n_max)] : 0,
    };
}

/* ---- adding ---- */

bool report_add_store(struct report *r, struct store *s, enum aggregate a, struct err *e) {
    struct report_run run = {0};
    struct store_session sessions = {0};
    struct curves_set *set = NULL;
    if (!read_config(&run, s, a, e) || !store_sessions(s, &sessions, &run.n_sessions, e) ||
        !store_verifications(s, &run.verification, e))
        goto failed;
    if (r->prices && !prices_parse_for(&run.prices, r->prices, run.policy, run.reward, e)) {
        err_wrap(e, "--prices");
        goto failed;
    }
    set = curves_load(s, e);
    if (!set) goto failed;
    run.waste = sessions.waste;
    run.n_problems = set->n_problems;
    run.n_done = set->n_done;
    run.n_graded = (int)set->n;
    run.n_max = set->n_max;
    run.has_rewards = set->has_rewards;
    run.seconds_all = sessions.seconds;
    run.seconds = set->n_done > 0 ? sessions.seconds / set->n_done : 0;
    fill_curves(&run, set);
    report_fill_gaps(&run, set);
    report_fill_law(&run, set);
    fill_levels(&run, set);
    fill_costs(&run, set);
    MEM_GROW(r->runs, r->cap, r->n + 1);
    MEM_GROW(r->sets, r->cap_sets, r->n + 1);
    r->sets[r->n] = set;
    r->runs[r->n++] = run;
    return true;
failed:
    run_fini(&run);
    return false;
}

bool report_add(struct report *r, const char *path, enum aggregate a, struct err *e) {
    struct store *s = store_open(path, STORE_READ, e);
    if (!s) return false;
    bool ok = report_add_store(r, s, a, e);
    struct err closing = {0};
    if (!store_close(s, ok ? e : &closing)) ok = false;
    return ok;
}

/* ---- runs against runs ---- */

/* x - y over the problems that both sets have, by id. */
static bool paired_gain(const struct curves_set *a, const double *x, const struct curves_set *b,
                        const double *y, struct report_gain *out) {
    struct map *by_id = map_new(b->n);
    for (size_t i = 0; i < b->n; i++) map_put(by_id, str_from(b->problems[i].id), (uint32_t)i);
    double *ours = mem_zalloc(a->n, sizeof *ours), *theirs = mem_zalloc(a->n, sizeof *theirs);
    for (size_t i = 0; i < a->n; i++) {
        uint32_t j;
        if (!map_get(by_id, str_from(a->problems[i].id), &j)) continue;
        ours[out->n_problems] = x[i];
        theirs[out->n_problems++] = y[j];
    }
    if (out->n_problems > 0) out->gain = coverage_difference(ours, theirs, out->n_problems, report_key());
    free(ours);
    free(theirs);
    map_free(by_id);
    return out->n_problems > 0;
}

static void compare_pair(struct report *r, int run, int reference) {
    const struct curves_set *a = r->sets[run], *b = r->sets[reference];
    double *y = mem_zalloc(b->n, sizeof *y);
    curves_at_k(b, CURVES_COVERAGE, r->runs[reference].aggregate, 1, y);
    for (int m = 0; m < CURVES_COVERAGE; m++) {
        const int n_points = r->runs[run].curves[m].n_points;
        if (n_points == 0) continue;
        struct report_gain g = {.run = run, .reference = reference, .measure = (enum curves_measure)m};
        const double *x = r->runs[run].shares[m] + (size_t)(n_points - 1) * a->n;
        if (!paired_gain(a, x, b, y, &g)) continue;
        MEM_GROW(r->gains, r->cap_gains, r->n_gains + 1);
        r->gains[r->n_gains++] = g;
    }
    free(y);
}

void report_compare(struct report *r) {
    for (size_t i = 0; i < r->n; i++) {
        for (size_t j = 0; j < r->n; j++) {
            if (r->runs[i].n_max > 1 && r->runs[j].n_max == 1) compare_pair(r, (int)i, (int)j);
        }
    }
}
