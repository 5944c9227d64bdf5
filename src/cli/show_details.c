/* show_details.c - see show_details.h. */
#include "cli/show_details.h"

#include <math.h>
#include <stdio.h>

#include "base/format.h"
#include "cli/table.h"

static const char *const titles[CURVES_MEASURES] = {
    [CURVES_MAJORITY] = "majority",
    [CURVES_BEST] = "best-of-N",
    [CURVES_WEIGHTED] = "weighted",
    [CURVES_FIRST_VERIFIED] = "first verified",
    [CURVES_CONFIDENT] = "confident",
    [CURVES_CONFIDENT_LOW] = "confident-low",
    [CURVES_CONFIDENT_HIGH] = "confident-high",
    [CURVES_COVERAGE] = "coverage",
};

const char *show_measure(int measure) {
    ASSERT(measure >= 0 && measure < CURVES_MEASURES);
    return titles[measure];
}

void show_interval(struct table *t, struct interval v, bool is_signed) {
    table_cell(t, is_signed ? "%+.1f [%+.1f, %+.1f]" : "%.1f [%.1f, %.1f]", 100 * v.mean, 100 * v.low,
               100 * v.high);
}

static void gap_row(struct table *t, const struct report_run *run, int measure) {
    const struct report_gap *g = &run->gaps[measure];
    table_cell(t, "%s", titles[measure]);
    if (g->plateau < run->n_max)
        table_cell(t, "%d", g->plateau);
    else
        table_cell(t, "gains still");
    show_interval(t, g->gain, true);
    show_interval(t, g->coverage_gain, true);
    show_interval(t, g->behind[run->curves[measure].n_points - 1], false);
}

void show_gaps(const struct report_run *run) {
    struct table t;
    if (run->curves[CURVES_COVERAGE].n_points < 2) return;
    printf("\n  where selections stop to gain, in points over the same problems\n");
    table_init(&t, 5);
    table_cell(&t, "selection");
    table_cell(&t, "no gain shows from");
    table_cell(&t, "gain to %d", run->n_max);
    table_cell(&t, "coverage meanwhile");
    table_cell(&t, "behind coverage at %d", run->n_max);
    for (int m = 0; m < CURVES_COVERAGE; m++)
        if (run->gaps[m].plateau > 0) gap_row(&t, run, m);
    table_print(&t, stdout);
}

static void samples_cell(struct table *t, double k) {
    char text[FORMAT_MAX];
    if (isinf(k))
        table_cell(t, "never");
    else if (k < 999.5)
        table_cell(t, "%.*f", k < 9.95, k);
    else
        table_cell(t, "%s", format_count(text, k));
}

static void show_targets(const struct report_run *run) {
    struct table t;
    table_init(&t, 5);
    table_cell(&t, "for a coverage of");
    table_cell(&t, "samples measured");
    table_cell(&t, "by the law");
    table_cell(&t, "95 %% from");
    table_cell(&t, "to");
    for (int i = 0; i < REPORT_TARGETS; i++) {
        const struct report_target *x = &run->law.targets[i];
        table_cell(&t, "%.0f %%", 100 * x->coverage);
        if (x->measured)
            table_cell(&t, "%d", x->measured);
        else
            table_cell(&t, "more than %d", run->n_max);
        samples_cell(&t, x->samples);
        samples_cell(&t, x->low);
        samples_cell(&t, x->high);
    }
    table_print(&t, stdout);
}

void show_law(const struct report_run *run) {
    const struct report_law *l = &run->law;
    if (!l->fitted) return;
    printf("\n  coverage is near exp(a k^b) with a = %.4g, b = %.4g (R2 %.4f)", l->law.a, l->law.b,
           l->law.r2);
    if (l->forecast.n_later > 0)
        printf("; fitted on up to %g samples alone, it misses later ones by\n  %.1f points, %.1f at worst",
               floor(l->forecast.k_fitted), 100 * l->forecast.error, 100 * l->forecast.error_worst);
    printf("\n");
    show_targets(run);
    printf("  %d of %d problems were never solved in %d samples, %d always; were all equally difficult, "
           "coverage would be\n  %.1f %%: the law is about the mean of unequal problems, and a guess beyond "
           "%d samples\n",
           l->n_never, run->n_graded, run->n_max, l->n_always, 100 * l->if_equal, run->n_max);
}

/* ---- costs ---- */

static void cost_row(struct table *t, const char *what, const struct cost *c, double flops_all, double usd) {
    char text[FORMAT_MAX];
    table_cell(t, "%s", what);
    table_cell(t, "%s", format_count(text, c->tokens_generated));
    table_cell(t, "%s", format_count(text, c->tokens_read));
    table_cell(t, "%s", format_count(text, c->flops));
    if (flops_all > 0)
        table_cell(t, "%.1f", 100 * c->flops / flops_all);
    else
        table_cell(t, "%s", "");
    table_cell(t, "%s", usd > 0 ? format_dollars(text, usd) : "");
}

/* What the records do not show, because it came to nothing. */
static void show_waste(const struct waste *w) {
    char x[FORMAT_MAX], y[FORMAT_MAX];
    const double read = w->cancelled.tokens_read + w->recomputed.tokens_read;
    if (w->cancelled.tokens_generated + read > 0)
        printf("  and in vain, in all sessions: %s tokens written in what was given up, %s read again\n",
               format_count(x, w->cancelled.tokens_generated), format_count(y, read));
    if (w->n_retried > 0)
        printf("  asked again: %s requests to servers, which carried %s tokens\n",
               format_count(x, w->n_retried), format_count(y, w->tokens_retried));
}

static void show_different(const struct report_run *run) {
    char all[FORMAT_MAX], texts[FORMAT_MAX], answers[FORMAT_MAX];
    const struct report_different *d = &run->different;
    if (run->n_max < 2 || d->solutions <= 0) return;
    printf("  %s of %s solutions are different (%.3g %%), with %s different answers a problem\n",
           format_count(texts, d->texts), format_count(all, d->solutions), 100 * d->texts / d->solutions,
           format_count(answers, d->answers / MAX(run->n_graded, 1)));
}

static void show_verification(const struct verification *v) {
    char verdicts[FORMAT_MAX], equal[FORMAT_MAX], runs[FORMAT_MAX], clock[FORMAT_MAX], cpu[FORMAT_MAX];
    if (v->n_verdicts <= 0) return;
    printf("  %s verdicts, %s of them taken from equal solutions; %s executions took %s by the clock, ",
           format_count(verdicts, v->n_verdicts), format_count(equal, v->n_equal),
           format_count(runs, v->n_executions), format_seconds(clock, v->seconds));
    printf("%s of CPU time\n",
           v->cpu_seconds > 0 ? format_seconds(cpu, v->cpu_seconds) : "an unknown amount");
}

void show_costs(const struct report_run *run) {
    const struct report_costs *c = &run->costs;
    const struct {
        const char *what;
        const struct cost *cost;
        bool shown, is_reward;
    } rows[] = {{"policy: prompt", &c->policy_prompt, true, false},
                {"policy: solutions", &c->policy, true, false},
                {"  of that given up", &c->policy_pruned, c->policy_pruned.tokens_generated > 0, false},
                {"rewards: prompt", &c->reward_prompt, c->reward_prompt.tokens_read > 0, true},
                {"rewards: solutions", &c->reward, c->reward.tokens_read > 0, true},
                {"  of that given up", &c->reward_pruned, c->reward_pruned.tokens_read > 0, true}};
    const struct cost none = {0};
    const double all = c->policy_prompt.flops + c->policy.flops + c->reward_prompt.flops + c->reward.flops;
    struct table t;
    table_init(&t, 6);
    printf("\n  what was spent, a problem\n");
    table_cell(&t, "%s", "");
    table_cell(&t, "tokens generated");
    table_cell(&t, "read");
    table_cell(&t, "FLOP");
    table_cell(&t, "%s", all > 0 ? "% of all" : "");
    table_cell(&t, "%s", prices_are_given(&run->prices) ? "dollars" : "");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!rows[i].shown) continue;
        const struct cost *policy = rows[i].is_reward ? &none : rows[i].cost;
        const struct cost *reward = rows[i].is_reward ? rows[i].cost : &none;
        cost_row(&t, rows[i].what, rows[i].cost, all,
                 prices_dollars(prices_of(&run->prices, policy, reward)));
    }
    table_print(&t, stdout);
    if (prices_are_given(&run->prices)) {
        char each[FORMAT_MAX], sum[FORMAT_MAX];
        printf("  %s a problem, %s in all\n", format_dollars(each, run->usd),
               format_dollars(sum, run->usd_all));
    }
    show_waste(&run->waste);
    show_different(run);
    show_verification(&run->verification);
}

/* ---- difficulty ---- */

void show_reliability(const struct report *r, const struct reliability *x) {
    const struct plan_reliability *f = &x->figures;
    struct table t;
    printf("\n%s: difficulty as predicted from %d %ssample%s, %d problems, groups of equal size\n",
           r->runs[x->run].name, x->n_pilot, x->scored ? "scored " : "", x->n_pilot == 1 ? "" : "s",
           f->n_problems);
    table_init(&t, f->n_rows + 1);
    table_cell(&t, "pass rate predicted, %%");
    for (int i = 0; i < f->n_rows; i++) table_cell(&t, "%.1f", 100 * f->rows[i].predicted);
    table_cell(&t, "real, %%");
    for (int i = 0; i < f->n_rows; i++) table_cell(&t, "%.1f", 100 * f->rows[i].real);
    table_print(&t, stdout);
    printf(
        "  calibration error %.3f; Brier score %.4f (%.4f by the mean rate, %.4f if the rates were known)\n",
        f->ece, f->brier, f->brier_constant, f->brier_known);
}
