/* plan.c - see plan.h. */
#include "eval/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "eval/plan_parts.h"

enum { CANDIDATES_MAX = 400, BETA_WINDOW = 4, MODES_MAX = 1 + 2 * PLAN_SIZES_MAX, FOLDS = 2, WHOLE = FOLDS };

struct mode { /* a way to look first */
    int n_pilot;
    bool scored;
    struct plan_rows rows;         /* of a pilot */
    struct plan_outcome *outcomes; /* [n_candidates][n_rows] */
    struct plan_pilot fits[FOLDS + 1];
    int *bins[FOLDS + 1]; /* [n_rows] by each fit */
    double *rates[FOLDS]; /* [n_rows] predicted */
};

struct fit {
    struct plan_data data;
    struct plan_options options;
    struct plan_candidate candidates[CANDIDATES_MAX];
    int n_candidates, n_rows;
    struct mode modes[MODES_MAX];
    int n_modes;
    bool *use[FOLDS + 1];      /* [n_problems] what each fit sees: all but its fold; all */
    bool *use_rows[FOLDS + 1]; /* [n_rows] */
    int *known_bins[FOLDS];    /* [n_rows] by the real rate */
    int n_known_bins[FOLDS];
    struct plan_price prices[PLAN_KNOTS_MAX];
    int n_prices;
    double budgets[PLAN_LEVELS_MAX];
    int n_budgets;
};

static int problem_of_row(int row) {
    return row / PLAN_DRAWS;
}

/* ---- candidates ---- */

static void add_candidate(struct fit *f, struct plan_candidate c, const char *family) {
    ASSERT(f->n_candidates < CANDIDATES_MAX);
    c.family = mem_strdup(family);
    f->candidates[f->n_candidates++] = c;
}

static void add_samples(struct fit *f, int n) {
    const bool scored = f->data.runs[f->data.base].scored, is_power = (n & (n - 1)) == 0;
    struct plan_candidate c = {.run = f->data.base, .n = n, .select = SELECT_MAJORITY};
    add_candidate(f, c, "majority");
    if (n > BETA_WINDOW && is_power) {
        c.stop_window = BETA_WINDOW;
        add_candidate(f, c, "majority, stop=beta");
    }
    if (!scored) return;
    c = (struct plan_candidate){.run = f->data.base, .n = n, .scored = true, .select = SELECT_WEIGHTED};
    add_candidate(f, c, "weighted");
    if (n > BETA_WINDOW && is_power) {
        c.stop_window = BETA_WINDOW;
        add_candidate(f, c, "weighted, stop=beta");
        c.stop_window = 0;
    }
    c.select = SELECT_BEST;
    if (n > 1) add_candidate(f, c, "best");
}

static void add_run(struct fit *f, int i_run) {
    const bool scored = f->data.runs[i_run].scored;
    bool single = true;
    for (int p = 0; p < f->data.n_problems; p++) single &= f->data.problems[p].attempts[i_run].n <= 1;
    for (int rule = SELECT_MAJORITY; rule <= SELECT_WEIGHTED; rule++) {
        if (rule != SELECT_MAJORITY && (!scored || single)) continue;
        struct buf family = {0};
        const struct search_spec spec = plan_bare_spec(&f->data, i_run, true);
        search_spec_print(&spec, &family);
        if (!single) buf_printf(&family, ", %s", select_rule_name((enum select_rule)rule));
        add_candidate(f, (struct plan_candidate){.run = i_run, .select = (enum select_rule)rule},
                      buf_cstr(&family));
        buf_free(&family);
    }
}

static void list_candidates(struct fit *f) {
    const int n_max = f->data.n_samples;
    for (int n = 1; n < n_max; n *= 2) {
        add_samples(f, n);
        if (n > 1 && n / 2 * 3 < n_max) add_samples(f, n / 2 * 3);
    }
    add_samples(f, n_max);
    for (int i = 0; i < f->data.n_runs; i++)
        if (i != f->data.base) add_run(f, i);
}

/* ---- playing all of them ---- */

static void play_all(struct fit *f, struct mode *m) {
    int *order = mem_zalloc((size_t)f->data.n_samples, sizeof *order);
    const enum aggregate aggregate = f->data.runs[f->data.base].aggregate;
    m->outcomes = mem_zalloc((size_t)f->n_candidates * (size_t)f->n_rows, sizeof *m->outcomes);
    m->rows = (struct plan_rows){.features = mem_zalloc((size_t)f->n_rows, sizeof *m->rows.features),
                                 .rates = mem_zalloc((size_t)f->n_rows, sizeof *m->rows.rates),
                                 .problems = mem_zalloc((size_t)f->n_rows, sizeof *m->rows.problems),
                                 .n = f->n_rows};
    for (int row = 0; row < f->n_rows; row++) {
        const int p = problem_of_row(row);
        plan_shuffle(&f->data, p, row % PLAN_DRAWS, order);
        m->rows.problems[row] = p;
        m->rows.rates[row] = plan_rate_beside(&f->data, p, order, m->n_pilot);
        if (m->n_pilot > 0)
            plan_pilot_features(&f->data, p, order, m->n_pilot, m->scored, aggregate, m->rows.features[row]);
        for (int c = 0; c < f->n_candidates; c++)
            m->outcomes[(size_t)c * (size_t)f->n_rows + (size_t)row] =
                plan_play(&f->data, &f->candidates[c], p, order, m->n_pilot, m->scored);
    }
    free(order);
}

static void add_mode(struct fit *f, int n_pilot, bool scored) {
    struct mode *m = &f->modes[f->n_modes++];
    *m = (struct mode){.n_pilot = n_pilot, .scored = scored};
    play_all(f, m);
    for (int k = 0; k <= FOLDS; k++) {
        m->bins[k] = mem_zalloc((size_t)f->n_rows, sizeof *m->bins[k]);
        m->fits[k] =
            (struct plan_pilot){.n = n_pilot,
                                .scored = scored,
                                .aggregate = scored ? f->data.runs[f->data.base].aggregate : AGGREGATES,
                                .n_bins = 1};
        if (n_pilot == 0) continue;
        plan_fit_rate(&m->rows, f->use[k], f->options.absolute, &m->fits[k]);
        if (k < FOLDS) m->rates[k] = mem_zalloc((size_t)f->n_rows, sizeof *m->rates[k]);
        for (int row = 0; row < f->n_rows; row++) {
            const double rate = plan_predict(&m->fits[k], m->rows.features[row]);
            m->bins[k][row] = plan_bin(&m->fits[k], rate);
            if (k < FOLDS) m->rates[k][row] = rate;
        }
    }
}

static void play_modes(struct fit *f) {
    const struct plan_options *o = &f->options;
    const bool scored = f->data.runs[f->data.base].scored;
    add_mode(f, 0, false);
    for (int i = 0; i < o->n_sizes; i++) {
        if (2 * o->sizes[i] > f->data.n_samples) continue;
        if (!scored || o->by == PLAN_FLOPS) add_mode(f, o->sizes[i], false); /* rewards cost no tokens */
        if (scored) add_mode(f, o->sizes[i], true);
    }
}

/* ---- who is used for what ---- */

static void deal(struct fit *f) {
    for (int k = 0; k <= FOLDS; k++) {
        f->use[k] = mem_zalloc((size_t)f->data.n_problems, sizeof *f->use[k]);
        f->use_rows[k] = mem_zalloc((size_t)f->n_rows, sizeof *f->use_rows[k]);
        for (int p = 0; p < f->data.n_problems; p++) f->use[k][p] = f->data.problems[p].fold != k;
        for (int row = 0; row < f->n_rows; row++) f->use_rows[k][row] = f->use[k][problem_of_row(row)];
    }
    for (int k = 0; k < FOLDS; k++) {
        double *rates = mem_zalloc((size_t)f->data.n_problems, sizeof *rates);
        struct plan_pilot edges = {0};
        int n = 0;
        for (int p = 0; p < f->data.n_problems; p++)
            if (f->use[k][p]) rates[n++] = f->data.problems[p].rate;
        plan_edges(rates, n, f->options.absolute, &edges);
        f->n_known_bins[k] = edges.n_bins;
        f->known_bins[k] = mem_zalloc((size_t)f->n_rows, sizeof *f->known_bins[k]);
        for (int row = 0; row < f->n_rows; row++)
            f->known_bins[k][row] = plan_bin(&edges, f->data.problems[problem_of_row(row)].rate);
        free(rates);
    }
}

static struct plan_point mean_point(const struct fit *f, const struct mode *m, int candidate) {
    double *right = mem_zalloc((size_t)f->data.n_problems, sizeof *right);
    struct plan_point point = {.budget = NAN};
    for (int row = 0; row < f->n_rows; row++) {
        const struct plan_outcome *o = &m->outcomes[(size_t)candidate * (size_t)f->n_rows + (size_t)row];
        right[problem_of_row(row)] += (double)o->right / PLAN_DRAWS;
        point.tokens += (double)o->tokens / f->n_rows;
        point.flops += (double)o->flops / f->n_rows;
    }
    point.accuracy = coverage_interval(right, f->data.n_problems, rng_child_named(0, "plan"));
    free(right);
    return point;
}

static double cost_of(const struct fit *f, int candidate) {
    const struct plan_point p = mean_point(f, &f->modes[0], candidate);
    return f->options.by == PLAN_FLOPS ? p.flops : p.tokens;
}

/* What n samples cost, scored where there is a reward model: that is what a budget of n samples means. */
static void list_prices(struct fit *f) {
    const bool scored = f->data.runs[f->data.base].scored;
    for (int c = 0; c < f->n_candidates; c++) {
        const struct plan_candidate *x = &f->candidates[c];
        if (x->run != f->data.base || x->stop_window ||
            x->select != (scored ? SELECT_WEIGHTED : SELECT_MAJORITY))
            continue;
        const struct plan_price price = {x->n, cost_of(f, c)};
        const struct plan_price *last = f->n_prices ? &f->prices[f->n_prices - 1] : NULL;
        if (!last || (price.n > last->n && price.cost > last->cost)) f->prices[f->n_prices++] = price;
    }
}

/* Those of 1, 2, 4, ... samples, so that `adaptive` finds a level of its own for each; below them what less
 * than a sample with its rewards can buy; above them doubled until every candidate is affordable. */
static void list_budgets(struct fit *f) {
    double dearest = 0, budget = cost_of(f, 0); /* one sample without rewards */
    for (int c = 0; c < f->n_candidates; c++) dearest = fmax(dearest, cost_of(f, c));
    for (; budget < 0.75 * f->prices[0].cost; budget *= 2) f->budgets[f->n_budgets++] = budget;
    for (int i = 0; i < f->n_prices; i++) {
        const int n = (int)f->prices[i].n;
        if ((n & (n - 1)) == 0) f->budgets[f->n_budgets++] = budget = f->prices[i].cost;
    }
    while (budget < dearest && f->n_budgets < PLAN_LEVELS_MAX) f->budgets[f->n_budgets++] = budget *= 2;
}

/* ---- choosing and judging ---- */

struct picked {
    int mode;
    struct plan_choice choice;
};

static struct plan_table table_of(const struct fit *f, const struct mode *m) {
    return (struct plan_table){m->outcomes, f->n_candidates, f->n_rows, f->options.by == PLAN_FLOPS};
}

/* The best way to look first, and what to do then, by the rows that fit k sees. */
static struct picked pick(const struct fit *f, int k, double budget) {
    struct picked best = {.mode = -1};
    for (int i = 0; i < f->n_modes; i++) {
        const struct mode *m = &f->modes[i];
        const struct plan_table t = table_of(f, m);
        struct plan_choice c;
        if (!plan_choose(&t, f->use_rows[k], m->bins[k], m->fits[k].n_bins, budget, f->options.each, &c))
            continue;
        if (best.mode < 0 || c.right > best.choice.right + 1e-9) best = (struct picked){i, c};
    }
    return best; /* mode -1, cell 0: one sample, where not even that keeps the budget */
}

struct tally {
    double *right; /* [n_problems] */
    struct plan_point point;
};

static void judge(const struct fit *f, const struct mode *m, const int *bins, const int *cells, int fold,
                  struct tally *out) {
    for (int row = 0; row < f->n_rows; row++) {
        if (f->data.problems[problem_of_row(row)].fold != fold) continue;
        const size_t at = (size_t)cells[bins[row]] * (size_t)f->n_rows + (size_t)row;
        out->right[problem_of_row(row)] += (double)m->outcomes[at].right / PLAN_DRAWS;
        out->point.tokens += (double)m->outcomes[at].tokens / f->n_rows;
        out->point.flops += (double)m->outcomes[at].flops / f->n_rows;
    }
}

enum validated { BY_PLAN, BY_KNOWN_DIFFICULTY, BY_ONE_STRATEGY, VALIDATED };
static const char *const validated_names[VALIDATED] = {"plan", "plan, difficulty known", "one strategy"};

/* One point of a cross-validated line: chosen by one half of the problems, judged by the other, both ways. */
static struct plan_point validate(const struct fit *f, enum validated how, double budget) {
    struct tally t = {.right = mem_zalloc((size_t)f->data.n_problems, sizeof *t.right),
                      .point = {.budget = budget}};
    const struct mode *plain = &f->modes[0];
    const struct plan_table table = table_of(f, plain);
    for (int k = 0; k < FOLDS; k++) {
        struct picked p = {.mode = -1};
        bool found = false;
        if (how == BY_PLAN)
            p = pick(f, k, budget);
        else if (how == BY_KNOWN_DIFFICULTY)
            found = plan_choose(&table, f->use_rows[k], f->known_bins[k], f->n_known_bins[k], budget,
                                f->options.each, &p.choice);
        else
            found = plan_choose(&table, f->use_rows[k], plain->bins[k], 1, budget, true, &p.choice);
        if (!found && p.mode < 0) memset(p.choice.cells, 0, sizeof p.choice.cells);
        const struct mode *m = &f->modes[MAX(p.mode, 0)];
        judge(f, m, how == BY_KNOWN_DIFFICULTY ? f->known_bins[k] : m->bins[k], p.choice.cells, k, &t);
    }
    t.point.accuracy = coverage_interval(t.right, f->data.n_problems, rng_child_named(0, "plan"));
    free(t.right);
    return t.point;
}

static struct plan_line *add_line(struct plan_result *r, const char *name, int n_max) {
    r->lines = mem_realloc(r->lines, (size_t)r->n_lines + 1, sizeof *r->lines);
    struct plan_line *l = &r->lines[r->n_lines++];
    *l = (struct plan_line){.name = mem_strdup(name), .points = mem_zalloc((size_t)n_max, sizeof *l->points)};
    return l;
}

static int by_cost(const void *a, const void *b) {
    const struct plan_point *x = a, *y = b;
    return (x->flops > y->flops) - (x->flops < y->flops);
}

static void draw_lines(const struct fit *f, struct plan_result *r) {
    for (int how = 0; how < VALIDATED; how++) {
        struct plan_line *l = add_line(r, validated_names[how], f->n_budgets);
        for (int i = 0; i < f->n_budgets; i++)
            l->points[l->n++] = validate(f, (enum validated)how, f->budgets[i]);
    }
    for (int c = 0; c < f->n_candidates; c++) {
        struct plan_line *l = NULL;
        for (int i = 0; i < r->n_lines && !l; i++)
            if (strcmp(r->lines[i].name, f->candidates[c].family) == 0) l = &r->lines[i];
        if (!l) l = add_line(r, f->candidates[c].family, f->n_candidates);
        l->points[l->n++] = mean_point(f, &f->modes[0], c);
    }
    for (int i = VALIDATED; i < r->n_lines; i++)
        qsort(r->lines[i].points, (size_t)r->lines[i].n, sizeof *r->lines[i].points, by_cost);
}

/* ---- the plan itself ---- */

static void figure(const struct fit *f, const struct mode *m, int bin, int candidate,
                   struct plan_cell_figures *out) {
    double n = 0;
    *out = (struct plan_cell_figures){0};
    for (int row = 0; row < f->n_rows; row++) {
        if (m->bins[WHOLE][row] != bin) continue;
        const struct plan_outcome *o = &m->outcomes[(size_t)candidate * (size_t)f->n_rows + (size_t)row];
        n++;
        out->accuracy += (double)o->right;
        out->tokens += (double)o->tokens;
        out->flops += (double)o->flops;
    }
    out->accuracy /= fmax(n, 1);
    out->tokens /= fmax(n, 1);
    out->flops /= fmax(n, 1);
    out->share = n / f->n_rows;
}

static int pilot_of(struct plan_draft *d, const struct mode *m, int *pilot_of_mode) {
    if (m->n_pilot == 0) return -1;
    if (*pilot_of_mode < 0) {
        d->pilots[d->n_pilots] = m->fits[WHOLE];
        *pilot_of_mode = d->n_pilots++;
    }
    return *pilot_of_mode;
}

static void draft_levels(const struct fit *f, struct plan_draft *d, int *mode_of_pilot) {
    int pilots[MODES_MAX];
    for (int i = 0; i < MODES_MAX; i++) pilots[i] = -1;
    for (int i = 0; i < f->n_budgets; i++) {
        struct picked p = pick(f, WHOLE, f->budgets[i]);
        const struct mode *m = &f->modes[MAX(p.mode, 0)];
        struct plan_draft_level level = {.budget = f->budgets[i],
                                         .pilot = pilot_of(d, m, &pilots[MAX(p.mode, 0)]),
                                         .n_cells = m->fits[WHOLE].n_bins};
        if (level.pilot >= 0) mode_of_pilot[level.pilot] = p.mode;
        memcpy(level.cells, p.choice.cells, sizeof level.cells);
        for (int b = 0; b < level.n_cells; b++) figure(f, m, b, level.cells[b], &level.figures[b]);
        const struct plan_draft_level *before = d->n_levels ? &d->levels[d->n_levels - 1] : NULL;
        const bool same =
            before && before->pilot == level.pilot &&
            memcmp(before->cells, level.cells, (size_t)level.n_cells * sizeof *level.cells) == 0;
        if (!same) d->levels[d->n_levels++] = level; /* more budget that changes nothing is no level */
    }
}

static void keep_cells(struct plan_result *r, const struct plan_draft *d) {
    r->cells = mem_zalloc((size_t)d->n_levels, sizeof *r->cells);
    for (int i = 0; i < d->n_levels; i++)
        r->cells[i] = mem_dup(d->levels[i].figures, sizeof d->levels[i].figures);
}

/* Predictions for problems by the fit that has not seen them. */
static void judge_predictions(const struct fit *f, struct plan_result *r, const struct plan_draft *d,
                              const int *mode_of_pilot) {
    double *predicted = mem_zalloc((size_t)f->n_rows, sizeof *predicted);
    r->reliability = mem_zalloc((size_t)d->n_pilots, sizeof *r->reliability);
    for (int i = 0; i < d->n_pilots; i++) {
        const struct mode *m = &f->modes[mode_of_pilot[i]];
        for (int row = 0; row < f->n_rows; row++)
            predicted[row] = m->rates[f->data.problems[problem_of_row(row)].fold][row];
        plan_measure(predicted, m->rows.rates, f->n_rows, &r->reliability[i]);
        r->reliability[i].n_problems = f->data.n_problems;
    }
    free(predicted);
}

static void describe(const struct fit *f, struct plan_result *r) {
    r->options = f->options;
    r->n_problems = f->data.n_problems;
    r->n_samples = f->data.n_samples;
    r->policy = mem_strdup(f->data.policy);
    r->reward = f->data.reward ? mem_strdup(f->data.reward) : NULL;
    r->n_runs = f->data.n_runs;
    r->runs = mem_zalloc((size_t)f->data.n_runs, sizeof *r->runs);
    for (int i = 0; i < f->data.n_runs; i++) r->runs[i] = mem_strdup(f->data.runs[i].name);
}

static bool draft(const struct fit *f, struct plan_result *r, struct err *e) {
    struct plan_draft *d = mem_zalloc(1, sizeof *d);
    int mode_of_pilot[PLAN_PILOTS_MAX];
    d->data = &f->data;
    d->candidates = f->candidates;
    draft_levels(f, d, mode_of_pilot);
    memcpy(d->prices, f->prices, sizeof d->prices);
    d->n_prices = f->n_prices;
    keep_cells(r, d);
    judge_predictions(f, r, d, mode_of_pilot);
    r->text = plan_write(d, r);
    r->plan = plan_parse(r->text, "the fitted plan", e);
    free(d);
    return r->plan != NULL;
}

static void fit_fini(struct fit *f) {
    for (int i = 0; i < f->n_modes; i++) {
        struct mode *m = &f->modes[i];
        free(m->rows.features);
        free(m->rows.rates);
        free(m->rows.problems);
        free(m->outcomes);
        for (int k = 0; k <= FOLDS; k++) free(m->bins[k]);
        for (int k = 0; k < FOLDS; k++) free(m->rates[k]);
    }
    for (int k = 0; k <= FOLDS; k++) {
        free(f->use[k]);
        free(f->use_rows[k]);
    }
    for (int k = 0; k < FOLDS; k++) free(f->known_bins[k]);
    for (int c = 0; c < f->n_candidates; c++) free(f->candidates[c].family);
    plan_data_fini(&f->data);
    free(f);
}

struct plan_result *plan_fit(const char *const *paths, int n_paths, const struct plan_options *o,
                             struct err *e) {
    struct fit *f = mem_zalloc(1, sizeof *f);
    struct plan_result *r = NULL;
    f->options = *o;
    if (o->n_sizes == 0) {
        static const int sizes[] = {1, 2, 4, 16};
        memcpy(f->options.sizes, sizes, sizeof sizes);
        f->options.n_sizes = (int)ARRAY_LEN(sizes);
    }
    ASSERT(n_paths > 0 && n_paths <= PLAN_RUNS_MAX && o->by != PLAN_SAMPLES);
    if (plan_data_load(&f->data, paths, n_paths, e)) {
        f->n_rows = f->data.n_problems * PLAN_DRAWS;
        list_candidates(f);
        deal(f);
        play_modes(f);
        list_prices(f);
        list_budgets(f);
        r = mem_zalloc(1, sizeof *r);
        describe(f, r);
        draw_lines(f, r);
        if (!draft(f, r, e)) {
            plan_result_free(r);
            r = NULL;
        }
    }
    fit_fini(f);
    return r;
}

void plan_result_free(struct plan_result *r) {
    if (!r) return;
    for (int i = 0; i < r->n_runs; i++) free(r->runs[i]);
    for (int i = 0; i < r->n_lines; i++) {
        free(r->lines[i].name);
        free(r->lines[i].points);
    }
    for (int i = 0; r->plan && i < r->plan->n_levels; i++) free(r->cells[i]);
    free(r->runs);
    free(r->lines);
    free(r->cells);
    free(r->reliability);
    free(r->policy);
    free(r->reward);
    free(r->text);
    plan_free(r->plan);
    free(r);
}

/* ---- on other problems ---- */

bool plan_check(const struct plan *p, const char *path, struct plan_reliability *out, struct err *e) {
    struct plan_data d;
    bool ok = plan_data_load(&d, &path, 1, e);
    const int n_rows = ok ? d.n_problems * PLAN_DRAWS : 0;
    double *predicted = mem_zalloc((size_t)n_rows, sizeof *predicted),
           *real = mem_zalloc((size_t)n_rows, sizeof *real);
    int *order = mem_zalloc(ok ? (size_t)d.n_samples : 0, sizeof *order);
    for (int i = 0; ok && i < p->n_pilots; i++) {
        const struct plan_pilot *pilot = &p->pilots[i];
        const enum aggregate a = pilot->aggregate == AGGREGATES ? d.runs[0].aggregate : pilot->aggregate;
        if (pilot->n >= d.n_samples || (pilot->scored && !d.runs[0].scored))
            ok = err_set(e, ERR_INPUT,
                         "%s: the plan looks at %d %ssamples, and this run has not so many of a problem",
                         path, pilot->n, pilot->scored ? "scored " : "");
        for (int row = 0; ok && row < n_rows; row++) {
            double features[PLAN_FEATURES];
            plan_shuffle(&d, problem_of_row(row), row % PLAN_DRAWS, order);
            plan_pilot_features(&d, problem_of_row(row), order, pilot->n, pilot->scored, a, features);
            predicted[row] = plan_predict(pilot, features);
            real[row] = plan_rate_beside(&d, problem_of_row(row), order, pilot->n);
        }
        if (ok) plan_measure(predicted, real, n_rows, &out[i]);
        if (ok) out[i].n_problems = d.n_problems;
    }
    free(predicted);
    free(real);
    free(order);
    plan_data_fini(&d);
    return ok;
}
