/* plan_write.c - a fitted plan, and what is known of it, as JSON (docs/plan.md, docs/json.md). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/plan_parts.h"

/* "temperature=0.6,...": the base run's parameters of that kind. */
static void print_sampling(const struct search_spec *base, struct buf *out) {
    struct search_spec spec = *base;
    struct buf text = {0};
    for (int i = 0; i < spec.strategy->n_params; i++) {
        const struct search_param *p = &spec.strategy->params[i];
        if (!plan_is_sampling(p->name)) spec.values[i] = p->optional ? p->def : NAN;
    }
    search_spec_print(&spec, &text);
    const char *colon = strchr(buf_cstr(&text), ':');
    if (colon) buf_add_str(out, str_from(colon + 1));
    buf_free(&text);
}

static void print_strategy(const struct plan_data *d, const struct plan_candidate *c, int n_pilot,
                           struct buf *out) {
    if (c->run == d->base) {
        buf_printf(out, "sample:n=%d", MAX(c->n, n_pilot));
        if (c->stop_window) buf_printf(out, ",stop=beta,window=%d", c->stop_window);
        if (!c->scored && d->runs[d->base].scored) buf_printf(out, ",score=0");
        return;
    }
    const struct search_spec spec = plan_bare_spec(d, c->run, false);
    search_spec_print(&spec, out);
}

static json_t *cell_json(const struct plan_draft *d, const struct plan_draft_level *l, int bin) {
    const struct plan_candidate *c = &d->candidates[l->cells[bin]];
    const struct plan_cell_figures *f = &l->figures[bin];
    struct buf strategy = {0};
    print_strategy(d->data, c, l->pilot < 0 ? 0 : d->pilots[l->pilot].n, &strategy);
    json_t *o =
        json_pack("{s:s,s:s}", "strategy", buf_cstr(&strategy), "select", select_rule_name(c->select));
    if (select_needs_rewards(c->select))
        json_object_set_new(o, "aggregate",
                            json_string(aggregate_names[d->data->runs[d->data->base].aggregate]));
    json_object_set_new(o, "accuracy", json_real(f->accuracy));
    json_object_set_new(o, "tokens", json_real(f->tokens));
    json_object_set_new(o, "flops", json_real(f->flops));
    json_object_set_new(o, "problems", json_real(f->share));
    buf_free(&strategy);
    return o;
}

static json_t *level_json(const struct plan_draft *d, const struct plan_draft_level *l) {
    json_t *o = json_pack("{s:f}", "budget", l->budget), *bins = json_array();
    if (l->pilot >= 0) json_object_set_new(o, "pilot", json_integer(l->pilot));
    for (int b = 0; b < l->n_cells; b++) json_array_append_new(bins, cell_json(d, l, b));
    json_object_set_new(o, "bins", bins);
    return o;
}

static json_t *pilot_json(const struct plan_pilot *p) {
    json_t *o = json_pack("{s:i,s:b}", "samples", p->n, "scored", p->scored), *weights = json_object();
    json_t *knots = json_array(), *edges = json_array();
    if (p->aggregate != AGGREGATES)
        json_object_set_new(o, "aggregate", json_string(aggregate_names[p->aggregate]));
    json_object_set_new(o, "bias", json_real(p->bias));
    for (int f = 0; f < PLAN_FEATURES; f++)
        if (p->weights[f] != 0) json_object_set_new(weights, plan_feature_names[f], json_real(p->weights[f]));
    for (int i = 0; i < p->n_knots; i++)
        json_array_append_new(knots, json_pack("[f,f]", p->knots[i].score, p->knots[i].rate));
    for (int i = 0; i + 1 < p->n_bins; i++) json_array_append_new(edges, json_real(p->edges[i]));
    json_object_set_new(o, "weights", weights);
    json_object_set_new(o, "calibration", knots);
    json_object_set_new(o, "edges", edges);
    return o;
}

static json_t *fitted_json(const struct plan_result *r) {
    json_t *runs = json_array();
    for (int i = 0; i < r->n_runs; i++) json_array_append_new(runs, json_text(str_from(r->runs[i])));
    return json_pack("{s:o,s:i,s:i,s:o,s:o,s:s,s:s}", "runs", runs, "problems", r->n_problems, "samples",
                     r->n_samples, "policy", json_text(str_from(r->policy)), "reward",
                     r->reward ? json_text(str_from(r->reward)) : json_null(), "bins",
                     r->options.absolute ? "absolute" : "quintile", "keeps",
                     r->options.each ? "each" : "mean");
}

char *plan_write(const struct plan_draft *d, const struct plan_result *r) {
    struct buf sampling = {0};
    print_sampling(&d->data->runs[d->data->base].spec, &sampling);
    json_t *o = json_pack("{s:i,s:s,s:s}", "brood_plan", 1, "unit", plan_unit_names[r->options.by],
                          "sampling", buf_cstr(&sampling));
    json_t *prices = json_array(), *pilots = json_array(), *levels = json_array();
    for (int i = 0; i < d->n_prices; i++)
        json_array_append_new(prices, json_pack("[f,f]", d->prices[i].n, d->prices[i].cost));
    for (int i = 0; i < d->n_pilots; i++) json_array_append_new(pilots, pilot_json(&d->pilots[i]));
    for (int i = 0; i < d->n_levels; i++) json_array_append_new(levels, level_json(d, &d->levels[i]));
    json_object_set_new(o, "prices", prices);
    json_object_set_new(o, "pilots", pilots);
    json_object_set_new(o, "levels", levels);
    json_object_set_new(o, "fitted", fitted_json(r));
    char *text = json_dumps(o, JSON_INDENT(1));
    ASSERT(text);
    json_decref(o);
    buf_free(&sampling);
    return text;
}

/* ---- the result ---- */

json_t *plan_reliability_json(const struct plan_reliability *r) {
    json_t *rows = json_array();
    for (int i = 0; i < r->n_rows; i++)
        json_array_append_new(rows, json_pack("{s:f,s:f,s:i}", "predicted", r->rows[i].predicted, "real",
                                              r->rows[i].real, "pilots", r->rows[i].n));
    return json_pack("{s:i,s:f,s:f,s:f,s:f,s:o}", "problems", r->n_problems, "brier", r->brier,
                     "brier_constant", r->brier_constant, "brier_known", r->brier_known, "ece", r->ece,
                     "rows", rows);
}

static json_t *line_json(const struct plan_line *l) {
    json_t *points = json_array();
    for (int i = 0; i < l->n; i++) {
        const struct plan_point *p = &l->points[i];
        json_array_append_new(points,
                              json_pack("{s:o,s:f,s:f,s:{s:f,s:f,s:f}}", "budget",
                                        isnan(p->budget) ? json_null() : json_real(p->budget), "tokens",
                                        p->tokens, "flops", p->flops, "accuracy", "mean", p->accuracy.mean,
                                        "low", p->accuracy.low, "high", p->accuracy.high));
    }
    return json_pack("{s:s,s:o}", "name", l->name, "points", points);
}

json_t *plan_result_json(const struct plan_result *r) {
    json_t *lines = json_array(), *reliability = json_array();
    for (int i = 0; i < r->n_lines; i++) json_array_append_new(lines, line_json(&r->lines[i]));
    for (int i = 0; i < r->plan->n_pilots; i++)
        json_array_append_new(reliability, plan_reliability_json(&r->reliability[i]));
    return json_pack("{s:o,s:o,s:o}", "plan", json_loads(r->text, 0, NULL), "reliability", reliability,
                     "lines", lines);
}
