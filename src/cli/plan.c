/* plan.c - brood plan: the compute-optimal plan fitted to recorded runs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/answer.h"
#include "base/file.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "eval/plan.h"

struct plan_values {
    const char *out, *by, *bins, *pilots, *check;
    bool each, json;
};

/* ---- options ---- */

static bool parse_pilots(const char *text, struct plan_options *o, struct err *e) {
    for (const char *p = text; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        char *end;
        const long n = strtol(p, &end, 10);
        if (end == p || (*end && *end != ',') || n < 1 || n > PLAN_SAMPLES_MAX ||
            o->n_sizes == PLAN_SIZES_MAX)
            return err_set(e, ERR_INPUT,
                           "--pilots '%.40s': give 1 to %d sizes from 1 to %d, as in --pilots 4,16", text,
                           PLAN_SIZES_MAX, PLAN_SAMPLES_MAX);
        o->sizes[o->n_sizes++] = (int)n;
    }
    return true;
}

static bool one_of(const char *option, const char *text, const char *a, const char *b, bool *is_b,
                   struct err *e) {
    *is_b = text && strcmp(text, b) == 0;
    return !text || *is_b || strcmp(text, a) == 0 ||
           err_set(e, ERR_INPUT, "%s '%.40s': expected %s or %s", option, text, a, b);
}

static bool read_options(const struct plan_values *v, struct plan_options *o, struct err *e) {
    bool by_flops;
    *o = (struct plan_options){.each = v->each};
    if (!one_of("--by", v->by, "tokens", "flops", &by_flops, e) ||
        !one_of("--bins", v->bins, "quintile", "absolute", &o->absolute, e))
        return false;
    o->by = by_flops ? PLAN_FLOPS : PLAN_TOKENS;
    return !v->pilots || parse_pilots(v->pilots, o, e);
}

/* ---- tables ---- */

static void share_cell(struct table *t, double share) {
    char text[FORMAT_MAX];
    table_cell(t, "%s", format_percent(text, share));
}

static void print_reliability(const struct plan_reliability *r, const struct plan_pilot *p, const char *of) {
    struct table t;
    printf("\npredicted and real pass rate after %d %ssample%s, %d %s in groups of equal size\n", p->n,
           p->scored ? "scored " : "", p->n == 1 ? "" : "s", r->n_problems, of);
    table_init(&t, r->n_rows + 1);
    table_cell(&t, "predicted, %%");
    for (int i = 0; i < r->n_rows; i++) share_cell(&t, r->rows[i].predicted);
    table_cell(&t, "real, %%");
    for (int i = 0; i < r->n_rows; i++) share_cell(&t, r->rows[i].real);
    table_cell(&t, "pilots");
    for (int i = 0; i < r->n_rows; i++) table_cell(&t, "%d", r->rows[i].n);
    table_print(&t, stdout);
    printf(
        "  calibration error %.3f; Brier score %.4f (%.4f by the mean rate, %.4f if the rates were known)\n",
        r->ece, r->brier, r->brier_constant, r->brier_known);
}

/* "beam 16 weighted": the file has all of it. */
static void strategy_cell(struct table *t, const struct plan_cell *c, const struct plan_cell_figures *f) {
    struct search_spec spec;
    struct err e;
    char text[FORMAT_MAX];
    struct buf cell = {0};
    if (search_spec_parse(&spec, c->strategy, &e)) {
        const bool stops = strstr(c->strategy, "stop=beta") != NULL;
        buf_add_str(&cell, str_from(spec.strategy->name));
        if (search_spec_has(&spec, "n"))
            buf_printf(&cell, " %s%.0f", stops ? "<=" : "", search_spec_get(&spec, "n"));
        buf_printf(&cell, " %s", c->select);
    }
    if (f->share > 0) buf_printf(&cell, " (%s)", format_percent(text, f->accuracy));
    table_cell(t, "%s", buf_cstr(&cell));
    buf_free(&cell);
}

static void print_levels(const struct plan_result *r) {
    struct table t;
    char text[FORMAT_MAX];
    int n_bins = 1;
    for (int i = 0; i < r->plan->n_levels; i++) n_bins = MAX(n_bins, r->plan->levels[i].n_cells);
    printf("\nthe plan: what follows the pilot, by predicted difficulty (right answers there, in %%)\n");
    table_init(&t, 2 + n_bins);
    table_cell(&t, "%s a problem", r->options.by == PLAN_FLOPS ? "FLOP" : "tokens");
    table_cell(&t, "pilot");
    for (int b = 0; b < n_bins; b++)
        table_cell(&t, "%s", n_bins == 1 ? "all" : b == 0 ? "hardest" : b == n_bins - 1 ? "easiest" : "");
    for (int i = 0; i < r->plan->n_levels; i++) {
        const struct plan_level *l = &r->plan->levels[i];
        const struct plan_pilot *p = l->pilot >= 0 ? &r->plan->pilots[l->pilot] : NULL;
        table_cell(&t, "%s", format_count(text, l->budget));
        if (p)
            table_cell(&t, "%d%s", p->n, p->scored ? " scored" : "");
        else
            table_cell(&t, "none");
        for (int b = 0; b < n_bins; b++) {
            if (b < l->n_cells)
                strategy_cell(&t, &l->cells[b], &r->cells[i][b]);
            else
                table_cell(&t, "%s", "");
        }
    }
    table_print(&t, stdout);
}

static double spent(const struct plan_result *r, const struct plan_point *p) {
    return r->options.by == PLAN_FLOPS ? p->flops : p->tokens;
}

/* The best point that the budget allows, or NULL. */
static const struct plan_point *best_within(const struct plan_result *r, const struct plan_line *l,
                                            double budget) {
    const struct plan_point *best = NULL;
    for (int i = 0; i < l->n; i++) {
        const struct plan_point *p = &l->points[i];
        if (spent(r, p) <= budget * 1.001 && (!best || p->accuracy.mean > best->accuracy.mean)) best = p;
    }
    return best;
}

enum { VALIDATED_LINES = 3 };

static bool is_shown(const struct plan_line *l) {
    const char *comma =
        strrchr(l->name, ','); /* of a search, one selection: with many it is plain which is best */
    return !comma || strcmp(comma, ", weighted") == 0 || strncmp(comma, ", stop", 6) == 0;
}

static void print_lines(const struct plan_result *r) {
    struct table t;
    char text[FORMAT_MAX];
    int n_shown = 0;
    for (int i = 0; i < r->n_lines; i++) n_shown += is_shown(&r->lines[i]) && i != 1 && i != 2;
    printf(
        "\nright answers in %% within a budget; the first three cross-validated (chosen by one half of the "
        "problems, judged by the other), the rest the best of a kind\n");
    table_init(&t, 3 + n_shown);
    table_cell(&t, "%s", r->options.by == PLAN_FLOPS ? "FLOP" : "tokens");
    for (int i = 0; i < r->n_lines; i++)
        if (is_shown(&r->lines[i]) || i < VALIDATED_LINES) table_cell(&t, "%s", r->lines[i].name);
    for (int b = 0; b < r->lines[0].n; b++) {
        const double budget = r->lines[0].points[b].budget;
        table_cell(&t, "%s", format_count(text, budget));
        for (int i = 0; i < r->n_lines; i++) {
            const struct plan_line *l = &r->lines[i];
            const struct plan_point *p = i < VALIDATED_LINES ? &l->points[b] : best_within(r, l, budget);
            if (i >= VALIDATED_LINES && !is_shown(l)) continue;
            if (!p)
                table_cell(&t, "%s", "");
            else if (i == 0)
                table_cell(&t, "%.1f [%.1f, %.1f]", 100 * p->accuracy.mean, 100 * p->accuracy.low,
                           100 * p->accuracy.high);
            else
                table_cell(&t, "%.1f", 100 * p->accuracy.mean);
        }
    }
    table_print(&t, stdout);
}

static void print_result(const struct plan_result *r) {
    printf("fitted to %d run%s over %d problems, %d samples of each; policy %s, reward model %s\n", r->n_runs,
           r->n_runs == 1 ? "" : "s", r->n_problems, r->n_samples, r->policy, r->reward ? r->reward : "none");
    for (int i = 0; i < r->plan->n_pilots; i++)
        print_reliability(&r->reliability[i], &r->plan->pilots[i], "problems not fitted to,");
    print_levels(r);
    print_lines(r);
}

/* ---- the command ---- */

static void print_json(const struct plan_result *r, const struct plan_reliability *checked) {
    json_t *o = plan_result_json(r), *list = checked ? json_array() : json_null();
    for (int i = 0; checked && i < r->plan->n_pilots; i++)
        json_array_append_new(list, plan_reliability_json(&checked[i]));
    json_object_set_new(o, "checked", list);
    char *text = json_line(o);
    printf("%s\n", text);
    free(text);
    json_decref(o);
}

static int plan_run(const struct command_line *line, struct err *e) {
    const struct plan_values *v = line->values;
    struct plan_options options;
    struct plan_reliability checked[PLAN_PILOTS_MAX];
    if (!read_options(v, &options, e)) return -1;
    struct plan_result *r = plan_fit(line->args, line->n_args, &options, e);
    const bool ok = r && (!v->check || plan_check(r->plan, v->check, checked, e)) &&
                    (!v->out || file_write_atomic(v->out, str_from(r->text), e));
    if (ok && v->json) {
        print_json(r, v->check ? checked : NULL);
    } else if (ok) {
        print_result(r);
        for (int i = 0; v->check && i < r->plan->n_pilots; i++)
            print_reliability(&checked[i], &r->plan->pilots[i], "problems of the other run,");
    }
    plan_result_free(r);
    answer_thread_end();
    return ok ? 0 : -1;
}

static const struct option plan_options[] = {
    {"out", 'o', OPTION_TEXT, offsetof(struct plan_values, out), "FILE",
     "where the plan goes, for 'brood solve --plan' and 'brood bench --plan'", 0, 0},
    {"by", 0, OPTION_TEXT, offsetof(struct plan_values, by), "UNIT",
     "what budgets are counted in: tokens (generated, the default) or flops (of both models, prompts "
     "included)",
     0, 0},
    {"bins", 0, OPTION_TEXT, offsetof(struct plan_values, bins), "KIND",
     "quintile: five bins of equal size (default); absolute: predicted pass rates below 0.1, below 0.5, "
     "above",
     0, 0},
    {"each", 0, OPTION_FLAG, offsetof(struct plan_values, each), NULL,
     "every bin keeps the budget; otherwise all problems do on average, and hard ones may have what easy "
     "ones leave",
     0, 0},
    {"pilots", 0, OPTION_TEXT, offsetof(struct plan_values, pilots), "N,...",
     "how many samples to look at first: sizes to try (default 1,2,4,16)", 0, 0},
    {"check", 0, OPTION_TEXT, offsetof(struct plan_values, check), "RUN",
     "samples of other problems: how reliably the plan predicts their difficulty", 0, 0},
    {"json", 0, OPTION_FLAG, offsetof(struct plan_values, json), NULL, "one JSON object (docs/json.md)", 0,
     0},
};

static const char *const plan_examples[] = {
    "brood bench lab:story-calibration -n 256 --run samples.brood",
    "first, samples of a calibration set: they stand for all smaller numbers of samples, too",
    "brood bench lab:story-calibration --strategy beam:n=16 --run beam.brood",
    "and any other strategies that the plan may choose",
    "brood plan samples.brood beam.brood --by flops -o plan.json",
    "the plan: which of them at what difficulty and budget",
    "brood bench lab:story --plan plan.json -n 64",
    "put to use on other problems",
    NULL,
};

const struct command command_plan = {
    .name = "plan",
    .arguments = "RUN...",
    .summary = "which strategy for which difficulty and budget: a plan fitted to recorded runs",
    .about = "RUN is a file that 'brood bench' wrote; all are of one policy and one task with answer keys, "
             "and at least one is of independent samples. A few samples of a problem, the pilot, say how "
             "difficult it looks; the plan says what to do then. Everything is played with the recorded "
             "solutions as the strategy adaptive would act, the pilot's cost included, and judged on "
             "problems that were not fitted to. docs/plan.md has the file's format and the method.",
    .examples = plan_examples,
    .options = plan_options,
    .n_options = (int)ARRAY_LEN(plan_options),
    .n_args_min = 1,
    .n_args_max = PLAN_RUNS_MAX,
    .defaults = &(const struct plan_values){0},
    .values_bytes = sizeof(struct plan_values),
    .run = plan_run,
};
