/* show_report.c - see show_report.h. */
#include "cli/show_report.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/chart.h"
#include "base/format.h"
#include "cli/show_details.h"
#include "cli/table.h"

static void count_cell(struct table *t, double x) {
    char text[FORMAT_MAX];
    table_cell(t, "%s", format_count(text, x));
}

static bool shows(const struct report_run *run, int measure) {
    return run->curves[measure].n_points > 0;
}

static int count_curves(const struct report_run *run) {
    int n = 0;
    for (int m = 0; m < CURVES_MEASURES; m++) n += shows(run, m);
    return n;
}

/* "lab:small (113k parameters)" */
static void print_model(const char *name, double n_parameters) {
    char text[FORMAT_MAX];
    printf("%s", name);
    if (n_parameters > 0) printf(" (%s parameters)", format_count(text, n_parameters));
}

static void print_heading(const struct report_run *run) {
    char each[FORMAT_MAX], all[FORMAT_MAX];
    printf("\n%s: %s, %d problems, policy ", run->name, run->task, run->n_graded);
    print_model(run->policy, run->policy_parameters);
    if (run->reward) {
        printf(", reward model ");
        print_model(run->reward, run->reward_parameters);
    }
    printf("\n  %s; aggregate %s; %s a problem, %s in all\n", run->strategy, aggregate_names[run->aggregate],
           format_seconds(each, run->seconds), format_seconds(all, run->seconds_all));
    if (run->n_done < run->n_problems)
        printf("  not finished: %d of %d problems are done, only these are counted\n", run->n_done,
               run->n_problems);
    if (run->n_graded < run->n_done)
        printf("  %d problems have no answer key: they are not counted\n", run->n_done - run->n_graded);
}

static void print_curves(const struct report_run *run) {
    struct table t;
    table_init(&t, 4 + count_curves(run));
    table_cell(&t, "samples");
    for (int m = 0; m < CURVES_MEASURES; m++) {
        if (shows(run, m)) table_cell(&t, "%s", show_measure(m));
    }
    table_cell(&t, "tokens");
    table_cell(&t, "FLOP");
    table_cell(&t, "%s", run->has_rewards ? "and rewards" : "");
    for (int i = 0; i < run->curves[CURVES_COVERAGE].n_points; i++) {
        const int k = run->curves[CURVES_COVERAGE].points[i].k;
        const struct report_spend spend = report_spend_at(run, k, run->has_rewards);
        table_cell(&t, "%d", k);
        for (int m = 0; m < CURVES_MEASURES; m++) {
            if (shows(run, m)) show_interval(&t, run->curves[m].points[i].accuracy, false);
        }
        count_cell(&t, spend.tokens_generated);
        count_cell(&t, spend.flops_policy);
        if (run->has_rewards)
            count_cell(&t, spend.flops_reward);
        else
            table_cell(&t, "%s", "");
    }
    table_print(&t, stdout);
}

static void print_levels(const struct report_run *run) {
    struct table t;
    table_init(&t, 3 + count_curves(run));
    printf("\n  by level, with %d samples\n", run->n_max);
    table_cell(&t, "level");
    table_cell(&t, "problems");
    table_cell(&t, "one sample");
    for (int m = 0; m < CURVES_MEASURES; m++) {
        if (shows(run, m)) table_cell(&t, "%s", show_measure(m));
    }
    for (int i = 0; i < run->n_levels; i++) {
        const struct report_level *l = &run->levels[i];
        if (l->level)
            table_cell(&t, "%d", l->level);
        else
            table_cell(&t, "none");
        table_cell(&t, "%d", l->n_problems);
        show_interval(&t, l->one, false);
        for (int m = 0; m < CURVES_MEASURES; m++) {
            if (shows(run, m)) show_interval(&t, l->all[m], false);
        }
    }
    table_print(&t, stdout);
}

/* ---- runs of one sample are rows of one table ---- */

static bool is_single(const struct report_run *run) {
    return run->n_max <= 1;
}

static int count_levels(const struct report *r) {
    int n = 0;
    for (size_t i = 0; i < r->n; i++) n = is_single(&r->runs[i]) ? MAX(n, r->runs[i].n_levels) : n;
    return n;
}

static void single_row(struct table *t, const struct report_run *run, int n_levels) {
    char text[FORMAT_MAX];
    table_cell(t, "%s", run->name);
    table_cell(t, "%s", run->policy);
    table_cell(t, "%d", run->n_graded);
    show_interval(t, run->curves[CURVES_COVERAGE].points[0].accuracy, false);
    for (int l = 0; l < n_levels; l++) {
        if (l < run->n_levels)
            table_cell(t, "%s", format_percent(text, run->levels[l].one.mean));
        else
            table_cell(t, "%s", "");
    }
    count_cell(t, run->total.tokens_generated);
    count_cell(t, run->total.flops_policy);
    table_cell(t, "%s", format_seconds(text, run->seconds));
}

static void print_singles(const struct report *r) {
    struct table t;
    const int n_levels = count_levels(r);
    table_init(&t, 7 + n_levels);
    int n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct report_run *run = &r->runs[i];
        if (!is_single(run) || !shows(run, CURVES_COVERAGE)) continue;
        if (n++ == 0) {
            table_cell(&t, "one solution a problem");
            table_cell(&t, "policy");
            table_cell(&t, "problems");
            table_cell(&t, "right");
            for (int l = 0; l < n_levels; l++) {
                if (l < run->n_levels)
                    table_cell(&t, "level %d", run->levels[l].level);
                else
                    table_cell(&t, "%s", "");
            }
            table_cell(&t, "tokens");
            table_cell(&t, "FLOP");
            table_cell(&t, "time");
        }
        single_row(&t, run, n_levels);
    }
    if (n == 0) return;
    putchar('\n');
    table_print(&t, stdout);
}

static void print_gains(const struct report *r) {
    if (r->n_gains == 0) return;
    printf("\n  the same problems side by side: points gained\n");
    struct table t;
    table_init(&t, 4);
    for (size_t i = 0; i < r->n_gains; i++) {
        const struct report_gain *g = &r->gains[i];
        table_cell(&t, "%s, %s of %d", r->runs[g->run].name, show_measure((int)g->measure),
                   r->runs[g->run].n_max);
        table_cell(&t, "over %s", r->runs[g->reference].name);
        show_interval(&t, g->gain, true);
        table_cell(&t, "%d problems", g->n_problems);
    }
    table_print(&t, stdout);
}

/* ---- the chart ---- */

static bool is_curve(const struct report_run *run) {
    return run->independent && !is_single(run) && shows(run, CURVES_COVERAGE);
}

/* What a run without a curve comes to: its one solution, or what its own selection chose. */
static const struct interval *height_of(const struct report_run *run) {
    if (is_single(run)) return &run->curves[CURVES_COVERAGE].points[0].accuracy;
    for (int m = 0; m < CURVES_MEASURES; m++) {
        if (shows(run, m) && strcmp(run->select, curves_measure_name((enum curves_measure)m)) == 0)
            return &run->curves[m].points[0].accuracy;
    }
    return NULL;
}

static void print_chart(const struct report *r, const struct report_run *run) {
    struct chart_series series[CHART_SERIES_MAX];
    int n = 0;
    for (int m = 0; m < CURVES_MEASURES; m++) {
        if (!shows(run, m)) continue;
        struct chart_series *s = &series[n++];
        *s = (struct chart_series){.name = show_measure(m), .n_points = run->curves[m].n_points};
        for (int i = 0; i < s->n_points; i++) {
            s->k[i] = run->curves[m].points[i].k;
            s->y[i] = run->curves[m].points[i].accuracy.mean;
        }
    }
    for (size_t i = 0; i < r->n && n < CHART_SERIES_MAX; i++) {
        const struct report_run *other = &r->runs[i];
        if (is_curve(other) || !shows(other, CURVES_COVERAGE) || !height_of(other)) continue;
        series[n++] = (struct chart_series){
            .name = other->name, .is_line = true, .n_points = 1, .y = {height_of(other)->mean}};
    }
    printf("\n  right answers of %s, %% of %d problems\n\n", run->name, run->n_graded);
    chart_print(series, n, chart_columns(), chart_colours(), stdout);
}

static void warn_different(const struct report *r) {
    for (size_t i = 1; i < r->n; i++) {
        if (strcmp(r->runs[i].task_hash, r->runs[0].task_hash) != 0) {
            printf("\n  the runs are over different problems: compare with care\n");
            return;
        }
    }
}

void show_report(const struct report *r, bool full) {
    printf("accuracy in %% [95 %% interval over problems]; tokens and FLOP a problem, prompts included\n");
    warn_different(r);
    for (size_t i = 0; i < r->n; i++) {
        const struct report_run *run = &r->runs[i];
        if (is_single(run) && shows(run, CURVES_COVERAGE) && r->n > 1) continue;
        print_heading(run);
        if (!shows(run, CURVES_COVERAGE)) {
            printf("  nothing to measure yet\n");
            continue;
        }
        print_curves(run);
        if (run->n_levels > 0) print_levels(run);
        if (!full) continue;
        show_gaps(run);
        show_law(run);
        show_costs(run);
    }
    if (r->n > 1) print_singles(r);
    print_gains(r);
    for (size_t i = 0; i < r->n && full; i++) {
        if (is_curve(&r->runs[i])) print_chart(r, &r->runs[i]);
    }
}
