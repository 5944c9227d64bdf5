/* report_json.c - a report as JSON (docs/json.md). */
#include "eval/report.h"

#include <math.h>

static json_t *text_or_null(const char *s) {
    return s ? json_text(str_from(s)) : json_null();
}

static json_t *interval_json(struct interval v) {
    return json_pack("{s:f,s:f,s:f}", "mean", v.mean, "low", v.low, "high", v.high);
}

static json_t *spend_json(struct report_spend s) {
    return json_pack("{s:f,s:f,s:f}", "tokens_generated", s.tokens_generated, "flops_policy", s.flops_policy,
                     "flops_reward", s.flops_reward);
}

static json_t *curve_json(const struct report_run *run, enum curves_measure m) {
    json_t *list = json_array();
    for (int i = 0; i < run->curves[m].n_points; i++) {
        const struct report_point *p = &run->curves[m].points[i];
        json_array_append_new(
            list, json_pack("{s:i,s:o,s:o}", "samples", p->k, "accuracy", interval_json(p->accuracy), "spend",
                            spend_json(report_spend_at(run, p->k, curves_needs_rewards(m)))));
    }
    return list;
}

static json_t *level_json(const struct report_run *run, const struct report_level *l) {
    json_t *o = json_pack("{s:i,s:i,s:o}", "level", l->level, "problems", l->n_problems, "one_sample",
                          interval_json(l->one));
    for (int m = 0; m < CURVES_MEASURES; m++) {
        if (run->curves[m].n_points > 0)
            json_object_set_new(o, curves_measure_name((enum curves_measure)m), interval_json(l->all[m]));
    }
    return o;
}

static json_t *cost_json(const struct cost *c) {
    return json_pack("{s:f,s:f,s:f}", "generated", c->tokens_generated, "read", c->tokens_read, "flops",
                     c->flops);
}

static json_t *costs_json(const struct report_costs *c) {
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "policy_prompt", cost_json(&c->policy_prompt), "policy",
                     cost_json(&c->policy), "policy_pruned", cost_json(&c->policy_pruned), "reward_prompt",
                     cost_json(&c->reward_prompt), "reward", cost_json(&c->reward), "reward_pruned",
                     cost_json(&c->reward_pruned));
}

static json_t *gap_json(const struct report_run *run, int m) {
    const struct report_gap *g = &run->gaps[m];
    json_t *behind = json_array();
    for (int i = 0; i < run->curves[m].n_points; i++) {
        json_t *v = interval_json(g->behind[i]);
        json_object_set_new(v, "samples", json_integer(run->curves[m].points[i].k));
        json_array_append_new(behind, v);
    }
    return json_pack("{s:o,s:o,s:o,s:o}", "plateau", g->plateau ? json_integer(g->plateau) : json_null(),
                     "gain", g->plateau ? interval_json(g->gain) : json_null(), "coverage_gain",
                     g->plateau ? interval_json(g->coverage_gain) : json_null(), "behind", behind);
}

static json_t *finite_or_null(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *law_json(const struct report_law *l) {
    if (!l->fitted) return json_null();
    json_t *list = json_array(), *forecast = json_null();
    for (int t = 0; t < REPORT_TARGETS; t++) {
        const struct report_target *x = &l->targets[t];
        json_array_append_new(list, json_pack("{s:f,s:o,s:o,s:o,s:o}", "coverage", x->coverage, "measured",
                                              x->measured ? json_integer(x->measured) : json_null(),
                                              "samples", finite_or_null(x->samples), "low",
                                              finite_or_null(x->low), "high", finite_or_null(x->high)));
    }
    if (l->forecast.n_later > 0)
        forecast =
            json_pack("{s:f,s:i,s:f,s:f}", "fitted_to", l->forecast.k_fitted, "points", l->forecast.n_later,
                      "error", l->forecast.error, "error_worst", l->forecast.error_worst);
    return json_pack("{s:f,s:f,s:f,s:o,s:o,s:i,s:i,s:f}", "a", l->law.a, "b", l->law.b, "r2", l->law.r2,
                     "forecast", forecast, "targets", list, "never_solved", l->n_never, "always_solved",
                     l->n_always, "if_equal", l->if_equal);
}

static json_t *waste_json(const struct waste *w) {
    return json_pack("{s:o,s:o,s:{s:f,s:f}}", "cancelled", cost_json(&w->cancelled), "recomputed",
                     cost_json(&w->recomputed), "retried", "requests", w->n_retried, "tokens",
                     w->tokens_retried);
}

static json_t *verification_json(const struct verification *v) {
    if (v->n_verdicts <= 0) return json_null();
    return json_pack("{s:f,s:f,s:f,s:f,s:f}", "verdicts", v->n_verdicts, "equal", v->n_equal, "executions",
                     v->n_executions, "seconds", v->seconds, "cpu_seconds", v->cpu_seconds);
}

static json_t *run_json(const struct report_run *run) {
    json_t *o = json_object(), *curves = json_object(), *gaps = json_object(), *levels = json_array();
    for (int m = 0; m < CURVES_MEASURES; m++) {
        if (run->curves[m].n_points > 0)
            json_object_set_new(curves, curves_measure_name((enum curves_measure)m),
                                curve_json(run, (enum curves_measure)m));
        if (run->curves[m].n_points > 0 && m < CURVES_COVERAGE)
            json_object_set_new(gaps, curves_measure_name((enum curves_measure)m), gap_json(run, m));
    }
    for (int l = 0; l < run->n_levels; l++) json_array_append_new(levels, level_json(run, &run->levels[l]));
    json_object_set_new(o, "run", text_or_null(run->path));
    json_object_set_new(o, "task", text_or_null(run->task));
    json_object_set_new(o, "policy", text_or_null(run->policy));
    json_object_set_new(o, "policy_parameters", json_real(run->policy_parameters));
    json_object_set_new(o, "reward", text_or_null(run->reward));
    json_object_set_new(o, "reward_parameters", json_real(run->reward_parameters));
    json_object_set_new(o, "strategy", text_or_null(run->strategy));
    json_object_set_new(o, "seed", text_or_null(run->seed));
    json_object_set_new(o, "select", text_or_null(run->select));
    json_object_set_new(o, "aggregate", json_string(aggregate_names[run->aggregate]));
    json_object_set_new(o, "problems", json_integer(run->n_problems));
    json_object_set_new(o, "done", json_integer(run->n_done));
    json_object_set_new(o, "graded", json_integer(run->n_graded));
    json_object_set_new(o, "samples", json_integer(run->n_max));
    json_object_set_new(o, "independent", json_boolean(run->independent));
    json_object_set_new(o, "curves", curves);
    json_object_set_new(o, "behind_coverage", gaps);
    json_object_set_new(o, "law", law_json(&run->law));
    json_object_set_new(o, "levels", levels);
    json_object_set_new(o, "spend", spend_json(run->total));
    json_object_set_new(o, "costs", costs_json(&run->costs));
    const bool priced = prices_are_given(&run->prices);
    json_object_set_new(o, "usd", priced ? json_real(run->usd) : json_null());
    json_object_set_new(o, "usd_all", priced ? json_real(run->usd_all) : json_null());
    json_object_set_new(o, "wasted", waste_json(&run->waste));
    json_object_set_new(o, "different",
                        json_pack("{s:f,s:f,s:f}", "solutions", run->different.solutions, "texts",
                                  run->different.texts, "answers", run->different.answers));
    json_object_set_new(o, "verifier", verification_json(&run->verification));
    json_object_set_new(o, "tokens_read", json_real(run->tokens_read));
    json_object_set_new(o, "seconds", json_real(run->seconds));
    json_object_set_new(o, "seconds_all", json_real(run->seconds_all));
    json_object_set_new(o, "sessions", json_integer(run->n_sessions));
    return o;
}

json_t *report_json(const struct report *r) {
    json_t *runs = json_array(), *gains = json_array();
    for (size_t i = 0; i < r->n; i++) json_array_append_new(runs, run_json(&r->runs[i]));
    for (size_t i = 0; i < r->n_gains; i++) {
        const struct report_gain *g = &r->gains[i];
        json_array_append_new(gains,
                              json_pack("{s:s,s:s,s:s,s:i,s:o}", "run", r->runs[g->run].path, "over",
                                        r->runs[g->reference].path, "select", curves_measure_name(g->measure),
                                        "problems", g->n_problems, "gain", interval_json(g->gain)));
    }
    return json_pack("{s:o,s:o}", "runs", runs, "gains", gains);
}
