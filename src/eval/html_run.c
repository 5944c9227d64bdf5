/* html_run.c - the section of one run: curves, where selections stop to gain, the law, levels, costs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/format.h"
#include "base/mem.h"
#include "eval/html_page.h"
#include "eval/html_write.h"

/* ---- the curves of a run ---- */

static void draw_curves(void *ctx, struct buf *b, enum html_axis axis) {
    const struct report_run *run = ctx;
    struct html_series *series = mem_zalloc(HTML_SERIES_MAX, sizeof *series);
    int n = 0;
    for (int m = CURVES_MEASURES - 1; m >= 0; m--) {
        const struct report_curve *c = &run->curves[m];
        if (c->n_points == 0) continue;
        struct html_series *s = &series[n++];
        *s = (struct html_series){
            .name = html_measure_name(m), .style = html_measure_style(m), .kind = HTML_LINE};
        for (int i = 0; i < c->n_points; i++)
            html_put_point(
                s, html_spend(run, c->points[i].k, axis, curves_needs_rewards((enum curves_measure)m)),
                c->points[i].accuracy);
    }
    const struct html_chart c = {.label = "accuracy and coverage against what is spent",
                                 .x_title = html_axis_titles[axis],
                                 .doubling = axis == HTML_SAMPLES,
                                 .series = series,
                                 .n_series = n};
    html_chart(b, &c);
    free(series);
}

static void curves_table(struct buf *b, const struct report_run *run) {
    buf_add_str(b, STR("<div class=\"scroll\"><table><thead><tr>"));
    html_th(b, "samples");
    for (int m = 0; m < CURVES_MEASURES; m++)
        if (run->curves[m].n_points > 0) html_th(b, html_measure_name(m));
    html_th(b, "tokens");
    html_th(b, "FLOP, policy");
    if (run->has_rewards) html_th(b, "FLOP, rewards");
    buf_add_str(b, STR("</tr></thead><tbody>"));
    for (int i = 0; i < run->curves[CURVES_COVERAGE].n_points; i++) {
        const int k = run->curves[CURVES_COVERAGE].points[i].k;
        const struct report_spend s = report_spend_at(run, k, run->has_rewards);
        buf_printf(b, "<tr><th scope=\"row\">%d</th>", k);
        for (int m = 0; m < CURVES_MEASURES; m++)
            if (run->curves[m].n_points > 0) html_td_points(b, run->curves[m].points[i].accuracy, false);
        html_td_count(b, s.tokens_generated);
        html_td_count(b, s.flops_policy);
        if (run->has_rewards) html_td_count(b, s.flops_reward);
        buf_add_str(b, STR("</tr>"));
    }
    buf_add_str(b, STR("</tbody></table></div>"));
}

static void write_gaps(struct buf *b, const struct report_run *run) {
    if (run->curves[CURVES_COVERAGE].n_points < 2) return;
    buf_add_str(b, STR("<ul class=\"says\">"));
    for (int m = 0; m < CURVES_COVERAGE; m++) {
        const struct report_gap *g = &run->gaps[m];
        if (g->plateau == 0) continue;
        buf_printf(b, "<li>");
        html_swatch(b, html_measure_style(m), HTML_POINT);
        buf_printf(b, "<span><b>%s</b> ", html_measure_name(m));
        if (g->plateau < run->n_max)
            buf_printf(b, "gains nothing more that shows from %d samples on (", g->plateau);
        else
            buf_printf(b, "still gains at %d samples (", run->n_max);
        html_points(b, g->gain, true);
        buf_add_str(b, STR("), while coverage gains "));
        html_points(b, g->coverage_gain, true);
        buf_printf(b, "; with %d samples it is ", run->n_max);
        html_points(b, g->behind[run->curves[m].n_points - 1], false);
        buf_add_str(b, STR(" points behind coverage.</span></li>"));
    }
    buf_add_str(b, STR("</ul>"));
}

/* ---- the law ---- */

static void law_chart(struct buf *b, const struct report_run *run) {
    const struct report_law *l = &run->law;
    const struct report_curve *c = &run->curves[CURVES_COVERAGE];
    struct html_series *s = mem_zalloc(3, sizeof *s);
    const double end = 64.0 * run->n_max;
    s[0] = (struct html_series){
        .name = "measured", .style = html_measure_style(CURVES_COVERAGE), .kind = HTML_LINE};
    s[1] = (struct html_series){.name = "law", .style = 5, .kind = HTML_CURVE};
    s[2] = (struct html_series){.name = "law, beyond the samples", .style = 5, .kind = HTML_GUESS};
    for (int i = 0; i < c->n_points; i++) html_put_point(&s[0], c->points[i].k, c->points[i].accuracy);
    for (int i = 0; i < HTML_POINTS_MAX / 2; i++) {
        const double t = i / (HTML_POINTS_MAX / 2 - 1.0);
        const double k = pow(run->n_max, t), beyond = run->n_max * pow(end / run->n_max, t);
        const double y = law_coverage(&l->law, k), z = law_coverage(&l->law, beyond);
        html_put_point(&s[1], k, (struct interval){y, y, y});
        html_put_point(&s[2], beyond, (struct interval){z, z, z});
    }
    const struct html_chart chart = {.label = "coverage and its law",
                                     .x_title = html_axis_titles[HTML_SAMPLES],
                                     .doubling = true,
                                     .series = s,
                                     .n_series = 3};
    html_chart(b, &chart);
    free(s);
}

static void samples_cell(struct buf *b, double k) {
    char text[FORMAT_MAX];
    buf_add_str(b, STR("<td>"));
    if (isinf(k))
        buf_add_str(b, STR("never"));
    else if (k < 999.5)
        buf_printf(b, "%.*f", k < 9.95, k);
    else
        html_cstr(b, format_count(text, k));
    buf_add_str(b, STR("</td>"));
}

static void law_table(struct buf *b, const struct report_run *run) {
    static const char *const heads[] = {"coverage", "samples measured", "by the law", "95 % from", "to"};
    buf_add_str(b, STR("<div class=\"scroll\"><table><thead><tr>"));
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) html_th(b, heads[i]);
    buf_add_str(b, STR("</tr></thead><tbody>"));
    for (int i = 0; i < REPORT_TARGETS; i++) {
        const struct report_target *t = &run->law.targets[i];
        buf_printf(b, "<tr><th scope=\"row\">%.0f %%</th>", 100 * t->coverage);
        if (t->measured)
            buf_printf(b, "<td>%d</td>", t->measured);
        else
            buf_printf(b, "<td>more than %d</td>", run->n_max);
        samples_cell(b, t->samples);
        samples_cell(b, t->low);
        samples_cell(b, t->high);
        buf_add_str(b, STR("</tr>"));
    }
    buf_add_str(b, STR("</tbody></table></div>"));
}

static void write_law(struct buf *b, const struct report_run *run) {
    const struct report_law *l = &run->law;
    if (!l->fitted) return;
    buf_add_str(b, STR("<h4>The law of coverage</h4><div class=\"pair\"><figure>"));
    law_chart(b, run);
    buf_printf(b,
               "</figure><div><p>Coverage with k samples is near exp(a k<sup>b</sup>), a = %.4g, b = %.4g, "
               "R<sup>2</sup> = %.4f.",
               l->law.a, l->law.b, l->law.r2);
    if (l->forecast.n_later > 0)
        buf_printf(b,
                   " Fitted on up to %.0f samples alone it misses later ones by %.1f points, %.1f at worst.",
                   floor(l->forecast.k_fitted), 100 * l->forecast.error, 100 * l->forecast.error_worst);
    buf_add_str(b, STR("</p>"));
    law_table(b, run);
    buf_printf(
        b,
        "<p class=\"facts\">It is a law of the mean of unequal problems: %d of %d were never solved in %d "
        "samples, %d always; were all equally difficult, coverage would be %.1f %%. Beyond %d samples it is "
        "a "
        "guess about problems that no sample has solved yet.</p></div></div>",
        l->n_never, run->n_graded, run->n_max, l->n_always, 100 * l->if_equal, run->n_max);
}

/* ---- levels ---- */

static void write_levels(struct buf *b, const struct report_run *run) {
    const char *names[HTML_STYLES] = {"one sample"};
    int styles[HTML_STYLES] = {8}, measures[HTML_STYLES] = {0}, n = 1;
    if (run->n_levels == 0) return;
    for (int m = 0; m < CURVES_MEASURES && run->n_max > 1; m++) {
        if (run->curves[m].n_points == 0) continue;
        measures[n] = m;
        styles[n] = html_measure_style(m);
        names[n++] = html_measure_name(m);
    }
    struct html_dot_row *rows = mem_zalloc((size_t)run->n_levels, sizeof *rows);
    char(*titles)[24] = mem_zalloc((size_t)run->n_levels, sizeof *titles);
    for (int i = 0; i < run->n_levels; i++) {
        rows[i].name = html_level_name(titles[i], sizeof titles[i], run->levels[i].level);
        rows[i].values[0] = run->levels[i].one;
        for (int j = 1; j < n; j++) rows[i].values[j] = run->levels[i].all[measures[j]];
    }
    buf_printf(b, "<h4>By level, with %d samples</h4><div class=\"pair\"><figure>", run->n_max);
    html_dots(b, "accuracy by level", rows, run->n_levels, names, styles, n);
    buf_add_str(b, STR("</figure><div class=\"scroll\"><table><thead><tr>"));
    html_th(b, "level");
    html_th(b, "problems");
    for (int j = 0; j < n; j++) html_th(b, names[j]);
    buf_add_str(b, STR("</tr></thead><tbody>"));
    for (int i = 0; i < run->n_levels; i++) {
        buf_printf(b, "<tr><th scope=\"row\">%s</th><td>%d</td>", titles[i], run->levels[i].n_problems);
        for (int j = 0; j < n; j++) html_td_points(b, rows[i].values[j], false);
        buf_add_str(b, STR("</tr>"));
    }
    buf_add_str(b, STR("</tbody></table></div></div>"));
    free(rows);
    free(titles);
}

/* ---- costs ---- */

struct cost_line {
    const char *what;
    const struct cost *cost;
    bool shown, is_part, is_reward;
};

static void dollars_cell(struct buf *b, const struct report_run *run, const struct cost_line *l) {
    const struct cost none = {0};
    char text[FORMAT_MAX];
    const double usd = prices_dollars(
        prices_of(&run->prices, l->is_reward ? &none : l->cost, l->is_reward ? l->cost : &none));
    html_td_text(b, usd > 0 ? format_dollars(text, usd) : "");
}

static void cost_row(struct buf *b, const struct report_run *run, const struct cost_line *l,
                     double flops_all) {
    buf_printf(b, "<tr%s><th scope=\"row\">%s</th>", l->is_part ? " class=\"part\"" : "", l->what);
    html_td_count(b, l->cost->tokens_generated);
    html_td_count(b, l->cost->tokens_read);
    html_td_count(b, l->cost->flops);
    if (prices_are_given(&run->prices)) dollars_cell(b, run, l);
    if (flops_all > 0) {
        const double percent = 100 * l->cost->flops / flops_all;
        buf_printf(b,
                   "<td>%.1f <svg class=\"share\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" "
                   "aria-hidden=\"true\"><rect width=\"%.1f\" height=\"10\"/></svg></td>",
                   percent, percent);
    }
    buf_add_str(b, STR("</tr>"));
}

/* What the records do not show, because it came to nothing. */
static void write_waste(struct buf *b, const struct waste *w) {
    const double read = w->cancelled.tokens_read + w->recomputed.tokens_read;
    if (w->cancelled.tokens_generated + read > 0) {
        buf_add_str(b, STR(" In vain, in all sessions: "));
        html_count(b, w->cancelled.tokens_generated);
        buf_add_str(b, STR(" tokens written in what was given up, "));
        html_count(b, read);
        buf_add_str(b, STR(" read again."));
    }
    if (w->n_retried > 0) {
        buf_add_str(b, STR(" Asked again: "));
        html_count(b, w->n_retried);
        buf_add_str(b, STR(" requests to servers, which carried "));
        html_count(b, w->tokens_retried);
        buf_add_str(b, STR(" tokens."));
    }
}

static void write_different(struct buf *b, const struct report_run *run) {
    const struct report_different *d = &run->different;
    if (run->n_max < 2 || d->solutions <= 0) return;
    buf_add_str(b, STR(" Different: "));
    html_count(b, d->texts);
    buf_add_str(b, STR(" of "));
    html_count(b, d->solutions);
    buf_printf(b, " solutions (%.3g %%), ", 100 * d->texts / d->solutions);
    html_count(b, d->answers / MAX(run->n_graded, 1));
    buf_add_str(b, STR(" answers a problem."));
}

static void write_verification(struct buf *b, const struct verification *v) {
    char clock[FORMAT_MAX], cpu[FORMAT_MAX];
    if (v->n_verdicts <= 0) return;
    buf_add_char(b, ' ');
    html_count(b, v->n_verdicts);
    buf_add_str(b, STR(" verdicts, "));
    html_count(b, v->n_equal);
    buf_add_str(b, STR(" of them taken from equal solutions; "));
    html_count(b, v->n_executions);
    buf_printf(b, " executions took %s by the clock, %s of CPU time.", format_seconds(clock, v->seconds),
               v->cpu_seconds > 0 ? format_seconds(cpu, v->cpu_seconds) : "an unknown amount");
}

static void write_costs(struct buf *b, const struct report_run *run) {
    const struct report_costs *c = &run->costs;
    const struct cost_line lines[] = {
        {"policy: prompt", &c->policy_prompt, true, false, false},
        {"policy: solutions", &c->policy, true, false, false},
        {"of that given up", &c->policy_pruned, c->policy_pruned.tokens_generated > 0, true, false},
        {"rewards: prompt", &c->reward_prompt, c->reward_prompt.tokens_read > 0, false, true},
        {"rewards: solutions", &c->reward, c->reward.tokens_read > 0, false, true},
        {"of that given up", &c->reward_pruned, c->reward_pruned.tokens_read > 0, true, true},
    };
    const double all = c->policy_prompt.flops + c->policy.flops + c->reward_prompt.flops + c->reward.flops;
    const bool priced = prices_are_given(&run->prices);
    char each[FORMAT_MAX], whole[FORMAT_MAX];
    buf_add_str(
        b, STR("<h4>What was spent, a problem</h4><div class=\"scroll\"><table class=\"costs\"><thead><tr>"));
    html_th(b, "");
    html_th(b, "tokens generated");
    html_th(b, "tokens read");
    html_th(b, "FLOP");
    if (priced) html_th(b, "dollars");
    if (all > 0) html_th(b, "% of all");
    buf_add_str(b, STR("</tr></thead><tbody>"));
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (lines[i].shown) cost_row(b, run, &lines[i], all);
    buf_printf(b, "</tbody></table></div><p class=\"facts\">Time: %s a problem, %s in all.",
               format_seconds(each, run->seconds), format_seconds(whole, run->seconds_all));
    if (priced)
        buf_printf(b, " Money: %s a problem, %s in all.", format_dollars(each, run->usd),
                   format_dollars(whole, run->usd_all));
    write_waste(b, &run->waste);
    write_different(b, run);
    write_verification(b, &run->verification);
    buf_add_str(b, STR("</p>"));
}

/* ---- a run ---- */

static void facts(struct buf *b, const struct report_run *run) {
    buf_add_str(b, STR("<p class=\"facts\">"));
    html_cstr(b, run->task);
    buf_printf(b, ", %d problems; policy ", run->n_graded);
    html_model(b, run->policy, run->policy_parameters);
    if (run->reward) {
        buf_add_str(b, STR("; reward model "));
        html_model(b, run->reward, run->reward_parameters);
        buf_printf(b, ", aggregate %s", aggregate_names[run->aggregate]);
    }
    buf_add_str(b, STR("<br/><code>"));
    html_cstr(b, run->strategy);
    buf_add_str(b, STR("</code>"));
    if (run->n_done < run->n_problems)
        buf_printf(b, "<br/>Not finished: %d of %d problems are done, only these are counted.", run->n_done,
                   run->n_problems);
    if (run->n_graded < run->n_done)
        buf_printf(b, "<br/>%d problems have no answer key: they are not counted.",
                   run->n_done - run->n_graded);
    buf_add_str(b, STR("</p>"));
}

void html_run(struct buf *b, const struct report *r, size_t i_run) {
    const struct report_run *run = &r->runs[i_run];
    bool shown[HTML_AXES];
    char id[32];
    if (!html_has_section(r, i_run)) return;
    buf_printf(b, "<section id=\"run-%zu\"><h3>", i_run);
    html_cstr(b, run->name);
    buf_add_str(b, STR("</h3>"));
    facts(b, run);
    if (html_is_measured(run)) {
        for (int a = 0; a < HTML_AXES; a++) shown[a] = html_has_axis(run, (enum html_axis)a);
        snprintf(id, sizeof id, "axis-%zu", i_run);
        if (run->independent && run->n_max > 1) html_tabs(b, id, shown, draw_curves, (void *)(uintptr_t)run);
        curves_table(b, run);
        write_gaps(b, run);
        write_law(b, run);
        write_levels(b, run);
        write_costs(b, run);
    }
    buf_add_str(b, STR("</section>"));
}
