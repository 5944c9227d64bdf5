/* html_overview.c - the runs one beside the other: one chart, levels, pairs. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/html_page.h"
#include "eval/html_write.h"

/* ---- all runs in one chart ---- */

/* The strategy without its n: runs that differ in nothing else make one line. */
static void add_family(struct buf *b, const struct report_run *run) {
    buf_printf(b, "%s\n%s\n%s\n", run->policy, run->reward ? run->reward : "", run->select);
    const char *n = strstr(run->strategy, ":n=");
    if (!n) n = strstr(run->strategy, ",n=");
    if (!n) {
        buf_add_str(b, str_from(run->strategy));
        return;
    }
    buf_add(b, run->strategy, (size_t)(n - run->strategy));
    n += strcspn(n + 1, ",") + 1;
    buf_add_str(b, str_from(n));
}

static bool same_family(const struct report_run *x, const struct report_run *y) {
    struct buf a = {0}, b = {0};
    add_family(&a, x);
    add_family(&b, y);
    const bool same = str_equal(buf_str(&a), buf_str(&b)) && !x->independent && !y->independent;
    buf_free(&a);
    buf_free(&b);
    return same;
}

struct beside {
    const struct report *r;
    struct html_series *series; /* [HTML_SERIES_MAX] */
    char *names[HTML_SERIES_MAX];
    int runs[HTML_SERIES_MAX]; /* the first of each series */
    int n;
};

/* Points of a line in ascending order of spend. */
static void sort_points(struct html_series *s) {
    for (int i = 1; i < s->n; i++) {
        for (int j = i; j > 0 && s->x[j] < s->x[j - 1]; j--) {
            const double t[4] = {s->x[j], s->y[j], s->low[j], s->high[j]};
            s->x[j] = s->x[j - 1], s->y[j] = s->y[j - 1], s->low[j] = s->low[j - 1],
            s->high[j] = s->high[j - 1];
            s->x[j - 1] = t[0], s->y[j - 1] = t[1], s->low[j - 1] = t[2], s->high[j - 1] = t[3];
        }
    }
}

static void add_run(struct beside *d, size_t i_run, enum html_axis axis) {
    const struct report_run *run = &d->r->runs[i_run];
    const int m = html_main_measure(run);
    int at = 0;
    while (at < d->n && !same_family(&d->r->runs[d->runs[at]], run)) at++;
    if (at == HTML_SERIES_MAX) return;
    struct html_series *s = &d->series[at];
    const bool is_new = at == d->n;
    if (is_new) {
        *s = (struct html_series){.style = at % HTML_STYLES, .kind = HTML_LINE};
        d->runs[d->n++] = (int)i_run;
    }
    for (int i = 0; i < run->curves[m].n_points && s->n < HTML_POINTS_MAX; i++) {
        const int k = run->curves[m].points[i].k;
        html_put_point(s, html_spend(run, k, axis, curves_needs_rewards((enum curves_measure)m)),
                       run->curves[m].points[i].accuracy);
    }
    struct buf name = {0};
    if (is_new)
        buf_add_str(&name, str_from(run->name));
    else
        buf_printf(&name, "%.*s of %s", (int)strcspn(run->strategy, ":"), run->strategy, run->policy);
    if (run->n_max > 1) buf_printf(&name, ": %s", html_measure_name(m));
    free(d->names[at]);
    d->names[at] = buf_take(&name);
}

static void draw_beside(void *ctx, struct buf *b, enum html_axis axis) {
    const struct report *r = ctx;
    struct beside d = {.r = r, .series = mem_zalloc(2 * HTML_SERIES_MAX, sizeof(struct html_series))};
    for (size_t i = 0; i < r->n; i++)
        if (html_is_measured(&r->runs[i]) && html_has_axis(&r->runs[i], axis)) add_run(&d, i, axis);
    int n = d.n;
    for (int i = 0; i < d.n; i++) {
        struct html_series *s = &d.series[i];
        s->name = d.names[i];
        sort_points(s);
        if (s->n > 1) continue;
        s->kind = HTML_POINT;
        struct html_series *level = &d.series[n++]; /* a line across, to compare with */
        *level = (struct html_series){.style = s->style, .kind = HTML_LEVEL};
        html_put_point(level, s->x[0], (struct interval){s->y[0], s->y[0], s->y[0]});
    }
    const struct html_chart c = {.label = "accuracy of the runs against what they spend",
                                 .x_title = html_axis_titles[axis],
                                 .doubling = axis == HTML_SAMPLES,
                                 .series = d.series,
                                 .n_series = n};
    html_chart(b, &c);
    for (int i = 0; i < d.n; i++) free(d.names[i]);
    free(d.series);
}

static void overview_row(struct buf *b, const struct report *r, size_t i) {
    const struct report_run *run = &r->runs[i];
    const int m = html_main_measure(run);
    const bool many = run->n_max > 1;
    buf_add_str(b, STR("<tr><th scope=\"row\">"));
    if (html_has_section(r, i)) buf_printf(b, "<a href=\"#run-%zu\">", i);
    html_cstr(b, run->name);
    buf_printf(b, "%s</th><td>", html_has_section(r, i) ? "</a>" : "");
    html_model(b, run->policy, run->policy_parameters);
    buf_add_str(b, STR("</td><td>"));
    html_text(b, (struct str){run->strategy, strcspn(run->strategy, ":")});
    buf_printf(b, "</td><td>%d</td>", run->n_max);
    if (!html_is_measured(run)) {
        buf_add_str(b, STR("<td colspan=\"5\">nothing to measure yet</td></tr>"));
        return;
    }
    const int last = run->curves[m].n_points - 1;
    html_td_points(b, run->curves[m].points[last].accuracy, false);
    html_td_text(b, many ? html_measure_name(m) : "the one");
    if (many)
        html_td_points(b, run->curves[CURVES_COVERAGE].points[last].accuracy, false);
    else
        html_td_text(b, "");
    html_td_count(b, run->total.tokens_generated);
    html_td_count(b, run->total.flops_policy + run->total.flops_reward);
    buf_add_str(b, STR("</tr>"));
}

/* ---- levels, a run a dot ---- */

static const struct report_level *level_of(const struct report_run *run, int level) {
    for (int i = 0; i < run->n_levels; i++)
        if (run->levels[i].level == level) return &run->levels[i];
    return NULL;
}

/* Of the runs over the first run's task. */
static void runs_by_level(struct buf *b, const struct report *r) {
    const struct report_run *first = &r->runs[0];
    const char *names[HTML_STYLES];
    int styles[HTML_STYLES], runs[HTML_STYLES], n = 0;
    for (size_t i = 0; i < r->n && n < HTML_STYLES; i++) {
        const struct report_run *run = &r->runs[i];
        bool has_all = html_is_measured(run) && strcmp(run->task_hash, first->task_hash) == 0;
        for (int l = 0; l < first->n_levels; l++) has_all = has_all && level_of(run, first->levels[l].level);
        if (!has_all) continue;
        names[n] = run->name;
        styles[n] = n;
        runs[n++] = (int)i;
    }
    if (n < 2 || first->n_levels == 0) return;
    struct html_dot_row *rows = mem_zalloc((size_t)first->n_levels, sizeof *rows);
    char(*titles)[24] = mem_zalloc((size_t)first->n_levels, sizeof *titles);
    for (int l = 0; l < first->n_levels; l++) {
        rows[l].name = html_level_name(titles[l], sizeof titles[l], first->levels[l].level);
        for (int i = 0; i < n; i++) {
            const struct report_run *run = &r->runs[runs[i]];
            rows[l].values[i] = level_of(run, first->levels[l].level)->all[html_main_measure(run)];
        }
    }
    buf_add_str(b, STR("<h4>By level</h4>"));
    html_dots(b, "accuracy of the runs by level", rows, first->n_levels, names, styles, n);
    free(rows);
    free(titles);
}

void html_overview(struct buf *b, const struct report *r) {
    static const char *const heads[] = {"run",       "policy",     "strategy", "samples", "right %",
                                        "chosen by", "coverage %", "tokens",   "FLOP"};
    bool shown[HTML_AXES] = {false}, any = false;
    for (size_t i = 0; i < r->n; i++) {
        any = any || html_is_measured(&r->runs[i]);
        for (int a = 0; a < HTML_AXES; a++)
            shown[a] =
                shown[a] || (html_is_measured(&r->runs[i]) && html_has_axis(&r->runs[i], (enum html_axis)a));
    }
    buf_add_str(b, STR("<section id=\"overview\"><h2>The runs</h2>"));
    if (any && r->n > 1) {
        buf_add_str(
            b,
            STR("<p>Share of problems answered right, by the selection of each run; bands and bars are 95 % "
                "intervals over problems.</p>"));
        html_tabs(b, "beside", shown, draw_beside, (void *)(uintptr_t)r);
    }
    buf_add_str(b, STR("<div class=\"scroll\"><table><thead><tr>"));
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) html_th(b, heads[i]);
    buf_add_str(b, STR("</tr></thead><tbody>"));
    for (size_t i = 0; i < r->n; i++) overview_row(b, r, i);
    buf_add_str(b, STR("</tbody></table></div><p class=\"facts\">Tokens are those generated; FLOP are those "
                       "of the policy "
                       "and the reward model, prompts included: both a problem.</p>"));
    if (r->n > 1) runs_by_level(b, r);
    buf_add_str(b, STR("</section>"));
}

void html_gains(struct buf *b, const struct report *r) {
    if (r->n_gains == 0) return;
    struct html_difference *rows = mem_zalloc(r->n_gains, sizeof *rows);
    buf_add_str(
        b, STR("<section id=\"gains\"><h2>The same problems side by side</h2><p>How many points more each "
               "selection solves than a run of one sample, over pairs: the interval tells whether more than "
               "chance is there.</p>"));
    for (size_t i = 0; i < r->n_gains; i++) {
        const struct report_gain *g = &r->gains[i];
        struct buf name = {0};
        buf_printf(&name, "%s, %s of %d over %s", r->runs[g->run].name, html_measure_name((int)g->measure),
                   r->runs[g->run].n_max, r->runs[g->reference].name);
        rows[i] = (struct html_difference){buf_take(&name), g->gain, html_measure_style((int)g->measure)};
    }
    html_differences(b, "points gained over one sample", rows, (int)r->n_gains);
    buf_add_str(b, STR("<div class=\"scroll\"><table><thead><tr>"));
    html_th(b, "");
    html_th(b, "points gained");
    html_th(b, "problems");
    buf_add_str(b, STR("</tr></thead><tbody>"));
    for (size_t i = 0; i < r->n_gains; i++) {
        buf_add_str(b, STR("<tr><th scope=\"row\">"));
        html_cstr(b, rows[i].name);
        buf_add_str(b, STR("</th>"));
        html_td_points(b, r->gains[i].gain, true);
        buf_printf(b, "<td>%d</td></tr>", r->gains[i].n_problems);
        free((char *)(uintptr_t)rows[i].name);
    }
    buf_add_str(b, STR("</tbody></table></div></section>"));
    free(rows);
}
