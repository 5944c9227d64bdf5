/* frontier.c - see frontier.h. */
#include "eval/frontier.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/common.h"
#include "eval/report_fill.h"
#include "search/plan.h"

/* ---- levels ---- */

static int by_number(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

static void levels_of_task(struct frontier *f, const struct report *r, const struct common *c) {
    for (size_t i = 0; i < c->n; i++) {
        const int level = r->sets[0]->problems[c->rows[0][i]].level;
        int at = 0;
        while (at < f->n_levels && f->levels[at] != level) at++;
        if (at == FRONTIER_LEVELS_MAX) at--; /* what does not fit counts with the last */
        if (at == f->n_levels) f->levels[f->n_levels++] = level;
    }
    qsort(f->levels, (size_t)f->n_levels, sizeof *f->levels, by_number);
    for (size_t i = 0; i < c->n; i++) {
        const int level = r->sets[0]->problems[c->rows[0][i]].level;
        while (f->level_of[i] + 1 < f->n_levels && f->levels[f->level_of[i]] != level) f->level_of[i]++;
    }
}

struct ranked {
    double rate;
    size_t i;
};

/* The easiest first; equal rates in the order of the task. */
static int by_rate(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->rate != y->rate) return x->rate > y->rate ? -1 : 1;
    return (x->i > y->i) - (x->i < y->i);
}

static bool levels_by_difficulty(struct frontier *f, const struct report *r, const struct common *c,
                                 struct err *e) {
    int most = -1;
    for (size_t i = 0; i < r->n; i++)
        if (r->runs[i].independent && r->runs[i].n_max > 1 &&
            (most < 0 || r->runs[i].n_max > r->runs[most].n_max))
            most = (int)i;
    if (most < 0)
        return err_set(e, ERR_INPUT, "no run of several independent samples: difficulty is not known");
    struct ranked *x = mem_zalloc(c->n, sizeof *x);
    for (size_t i = 0; i < c->n; i++) {
        const struct curves_problem *p = &r->sets[most]->problems[c->rows[most][i]];
        x[i] = (struct ranked){(double)p->n_right / MAX(p->n, 1), i};
    }
    qsort(x, c->n, sizeof *x, by_rate);
    f->n_levels = 5;
    for (int l = 0; l < 5; l++) f->levels[l] = l + 1;
    for (size_t i = 0; i < c->n; i++) f->level_of[x[i].i] = (int)(5 * i / c->n);
    free(x);
    return true;
}

/* ---- lines ---- */

static bool is_common_param(const char *key) {
    static const char *const keys[] = {"n", "spend", "temperature", "top_p", "min_p", "top_k", "aggregate"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(key, keys[i]) == 0) return true;
    return false;
}

/* "beam:allocation=rebase": the strategy with what is not its default, but for sizes and sampling. Owned. */
static char *name_of(const struct report *r, const struct report_run *run) {
    struct search_spec spec;
    struct err e;
    struct buf name = {0};
    if (strcmp(run->policy, r->runs[0].policy) != 0) buf_printf(&name, "%s ", run->policy);
    if (!search_spec_parse(&spec, run->strategy, &e)) {
        buf_add_str(&name, str_from(run->strategy));
        return buf_take(&name);
    }
    for (int i = 0; i < spec.strategy->n_params; i++) {
        const struct search_param *p = &spec.strategy->params[i];
        if (is_common_param(p->name) || spec.values[i] == p->def) spec.values[i] = p->optional ? p->def : NAN;
    }
    search_spec_print(&spec, &name);
    struct plan *plan = run->plan ? plan_parse(run->plan, run->name, &e) : NULL;
    if (plan) buf_printf(&name, " by %s", plan_unit_names[plan->unit]);
    plan_free(plan);
    return buf_take(&name);
}

static int size_of(const struct report_run *run) {
    struct search_spec spec;
    struct err e;
    if (!search_spec_parse(&spec, run->strategy, &e) || !search_spec_has(&spec, "n")) return 1;
    return (int)search_spec_get(&spec, "n");
}

/* Until the next is asked for. */
static struct frontier_line *line_named(struct frontier *f, const char *name) {
    for (size_t i = 0; i < f->n_lines; i++)
        if (strcmp(f->lines[i].name, name) == 0) return &f->lines[i];
    MEM_GROW(f->lines, f->cap_lines, f->n_lines + 1);
    f->lines[f->n_lines] = (struct frontier_line){.name = mem_strdup(name)};
    return &f->lines[f->n_lines++];
}

static struct frontier_point *add_point(struct frontier_line *l, int run, int k, struct report_spend spend,
                                        size_t n_problems) {
    MEM_GROW(l->points, l->cap, l->n + 1);
    struct frontier_point *p = &l->points[l->n++];
    *p = (struct frontier_point){.run = run,
                                 .k = k,
                                 .tokens = spend.tokens_generated,
                                 .flops = spend.flops_policy + spend.flops_reward,
                                 .shares = mem_zalloc(n_problems, sizeof *p->shares)};
    return p;
}

static void finish_point(const struct frontier *f, struct frontier_point *p) {
    double *x = mem_zalloc((size_t)f->n_problems, sizeof *x);
    p->accuracy = coverage_interval(p->shares, f->n_problems, report_key());
    for (int l = 0; l < f->n_levels; l++) {
        int n = 0;
        for (int i = 0; i < f->n_problems; i++)
            if (f->level_of[i] == l) x[n++] = p->shares[i];
        p->levels[l] = coverage_interval(x, n, report_key());
    }
    free(x);
}

/* A line for each selection of independent samples. */
static void add_samples(struct frontier *f, const struct report *r, const struct common *c, int run) {
    const struct report_run *x = &r->runs[run];
    for (int m = 0; m < CURVES_COVERAGE; m++) {
        const struct report_curve *curve = &x->curves[m];
        if (curve->n_points == 0) continue;
        struct buf name = {0};
        if (strcmp(x->policy, r->runs[0].policy) != 0) buf_printf(&name, "%s ", x->policy);
        buf_add_str(&name, str_from(curves_measure_name((enum curves_measure)m)));
        struct frontier_line *l = line_named(f, buf_cstr(&name));
        buf_free(&name);
        for (int i = 0; i < curve->n_points; i++) {
            const bool with_reward = curves_needs_rewards((enum curves_measure)m);
            const int k = curve->points[i].k;
            struct frontier_point *p = add_point(l, run, k, report_spend_at(x, k, with_reward), c->n);
            for (size_t j = 0; j < c->n; j++)
                p->shares[j] = x->shares[m][(size_t)i * r->sets[run]->n + c->rows[run][j]];
            finish_point(f, p);
        }
    }
}

static void add_run(struct frontier *f, const struct report *r, const struct common *c, int run) {
    const struct report_run *x = &r->runs[run];
    char *name = name_of(r, x);
    struct frontier_line *l = line_named(f, name);
    free(name);
    struct frontier_point *p = add_point(l, run, size_of(x), x->total, c->n);
    for (size_t j = 0; j < c->n; j++) p->shares[j] = r->sets[run]->problems[c->rows[run][j]].chosen_right > 0;
    finish_point(f, p);
}

static int by_cost(const void *a, const void *b) {
    const struct frontier_point *x = a, *y = b;
    if (x->flops != y->flops) return x->flops > y->flops ? 1 : -1;
    return (x->tokens > y->tokens) - (x->tokens < y->tokens);
}

/* ---- comparisons ---- */

static double cost(const struct frontier_point *p, bool flops) {
    return flops ? p->flops : p->tokens;
}

/* Where the line first reaches the accuracy: straight between points over the logarithm of cost. */
static double cost_at(const struct frontier_line *l, double accuracy, bool flops) {
    for (size_t i = 0; i < l->n; i++) {
        if (l->points[i].accuracy.mean < accuracy) continue;
        if (i == 0) return cost(&l->points[0], flops);
        const struct frontier_point *a = &l->points[i - 1], *b = &l->points[i];
        const double part = (accuracy - a->accuracy.mean) / (b->accuracy.mean - a->accuracy.mean);
        return exp(log(cost(a, flops)) + part * (log(cost(b, flops)) - log(cost(a, flops))));
    }
    return INFINITY;
}

static bool is_samples(const struct frontier_line *l, const struct report *r) {
    return r->runs[l->points[0].run].independent && r->runs[l->points[0].run].n_max > 1;
}

/* Searches beside each kind of choice among samples. */
static void match_lines(struct frontier *f, const struct report *r) {
    for (size_t i = 0; i < f->n_lines; i++) {
        for (size_t j = 0; j < f->n_lines; j++) {
            if (is_samples(&f->lines[i], r) || !is_samples(&f->lines[j], r)) continue;
            for (size_t k = 0; k < f->lines[i].n; k++) {
                const struct frontier_point *p = &f->lines[i].points[k];
                if (r->runs[p->run].n_max <= 1 || p->tokens <= 0 || p->flops <= 0) continue;
                MEM_GROW(f->matches, f->cap_matches, f->n_matches + 1);
                f->matches[f->n_matches++] = (struct frontier_match){
                    .line = (int)i,
                    .point = (int)k,
                    .reference = (int)j,
                    .tokens = cost_at(&f->lines[j], p->accuracy.mean, false) / p->tokens,
                    .flops = cost_at(&f->lines[j], p->accuracy.mean, true) / p->flops};
            }
        }
    }
}

static void gain_over(struct frontier *f, int line, int point, int reference, int reference_point) {
    const struct frontier_point *p = &f->lines[line].points[point],
                                *q = &f->lines[reference].points[reference_point];
    double *d = mem_zalloc((size_t)f->n_problems, sizeof *d);
    for (int i = 0; i < f->n_problems; i++) d[i] = p->shares[i] - q->shares[i];
    MEM_GROW(f->gains, f->cap_gains, f->n_gains + 1);
    f->gains[f->n_gains++] = (struct frontier_gain){.line = line,
                                                    .point = point,
                                                    .reference = reference,
                                                    .reference_point = reference_point,
                                                    .gain = coverage_interval(d, f->n_problems, report_key()),
                                                    .flops = p->flops / q->flops};
    free(d);
}

/* Every point against every single sample of a policy that is larger. */
static void gain_lines(struct frontier *f, const struct report *r) {
    for (size_t j = 0; j < f->n_lines; j++) {
        for (size_t q = 0; q < f->lines[j].n; q++) {
            const struct report_run *large = &r->runs[f->lines[j].points[q].run];
            if (large->n_max != 1 || f->lines[j].points[q].flops <= 0) continue;
            for (size_t i = 0; i < f->n_lines; i++)
                for (size_t k = 0; k < f->lines[i].n; k++)
                    if (r->runs[f->lines[i].points[k].run].policy_parameters < large->policy_parameters)
                        gain_over(f, (int)i, (int)k, (int)j, (int)q);
        }
    }
}

/* ---- the whole ---- */

bool frontier_make(struct frontier *f, const struct report *r, bool by_difficulty, struct err *e) {
    struct common c;
    *f = (struct frontier){.by_difficulty = by_difficulty};
    if (r->n == 0) return err_set(e, ERR_INPUT, "no runs to compare");
    common_init(&c, r);
    f->n_problems = (int)c.n;
    f->level_of = mem_zalloc(c.n, sizeof *f->level_of);
    bool ok = c.n > 0 || err_set(e, ERR_INPUT, "the runs have no graded problem in common");
    if (ok && by_difficulty)
        ok = levels_by_difficulty(f, r, &c, e);
    else if (ok)
        levels_of_task(f, r, &c);
    for (size_t i = 0; ok && i < c.n; i++) f->counts[f->level_of[i]]++;
    for (size_t i = 0; ok && i < r->n; i++) {
        if (r->runs[i].independent && r->runs[i].n_max > 1)
            add_samples(f, r, &c, (int)i);
        else
            add_run(f, r, &c, (int)i);
    }
    for (size_t i = 0; ok && i < f->n_lines; i++)
        qsort(f->lines[i].points, f->lines[i].n, sizeof *f->lines[i].points, by_cost);
    if (ok) match_lines(f, r);
    if (ok) gain_lines(f, r);
    common_fini(&c);
    return ok;
}

void frontier_fini(struct frontier *f) {
    for (size_t i = 0; i < f->n_lines; i++) {
        for (size_t k = 0; k < f->lines[i].n; k++) free(f->lines[i].points[k].shares);
        free(f->lines[i].points);
        free(f->lines[i].name);
    }
    free(f->lines);
    free(f->level_of);
    free(f->matches);
    free(f->gains);
    *f = (struct frontier){0};
}

/* ---- as JSON ---- */

static json_t *interval_json(struct interval v) {
    return json_pack("{s:f,s:f,s:f}", "mean", v.mean, "low", v.low, "high", v.high);
}

static json_t *finite_json(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *point_json(const struct frontier *f, const struct report *r, const struct frontier_point *p) {
    json_t *levels = json_array();
    for (int l = 0; l < f->n_levels; l++) json_array_append_new(levels, interval_json(p->levels[l]));
    return json_pack("{s:s,s:i,s:f,s:f,s:o,s:o}", "run", r->runs[p->run].name, "n", p->k, "tokens", p->tokens,
                     "flops", p->flops, "accuracy", interval_json(p->accuracy), "levels", levels);
}

json_t *frontier_json(const struct frontier *f, const struct report *r) {
    json_t *lines = json_array(), *levels = json_array(), *matches = json_array(), *gains = json_array();
    for (size_t i = 0; i < f->n_lines; i++) {
        const struct frontier_line *l = &f->lines[i];
        json_t *points = json_array();
        for (size_t k = 0; k < l->n; k++) json_array_append_new(points, point_json(f, r, &l->points[k]));
        json_array_append_new(lines, json_pack("{s:s,s:o}", "name", l->name, "points", points));
    }
    for (int l = 0; l < f->n_levels; l++)
        json_array_append_new(levels,
                              json_pack("{s:i,s:i}", "level", f->levels[l], "problems", f->counts[l]));
    for (size_t i = 0; i < f->n_matches; i++) {
        const struct frontier_match *m = &f->matches[i];
        json_array_append_new(matches, json_pack("{s:i,s:i,s:i,s:o,s:o}", "line", m->line, "point", m->point,
                                                 "reference", m->reference, "tokens", finite_json(m->tokens),
                                                 "flops", finite_json(m->flops)));
    }
    for (size_t i = 0; i < f->n_gains; i++) {
        const struct frontier_gain *g = &f->gains[i];
        json_array_append_new(gains,
                              json_pack("{s:i,s:i,s:i,s:i,s:o,s:f}", "line", g->line, "point", g->point,
                                        "reference", g->reference, "reference_point", g->reference_point,
                                        "gain", interval_json(g->gain), "flops", g->flops));
    }
    return json_pack("{s:i,s:b,s:o,s:o,s:o,s:o}", "problems", f->n_problems, "by_difficulty",
                     f->by_difficulty, "levels", levels, "lines", lines, "matches", matches, "gains", gains);
}
