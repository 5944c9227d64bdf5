/* adaptive.c - the compute-optimal choice: looks at a few samples, predicts how difficult the problem is, and
 * goes on with the strategy that a plan names for that difficulty and budget.
 *
 * Snell, Lee, Xu, Kumar 2024, "Scaling LLM test-time compute optimally" (2408.03314), section 3; Liu et al.
 * 2025 (2502.06703). plan.h says what a plan holds and how difficulty is predicted without the answer key.
 * Where we differ: the samples that the prediction takes are few, charged to the budget, and kept: all
 * solutions of the tree are voted on, and where the plan goes on sampling they are the first of its n.
 *
 * The budget is what n samples cost on average by the plan's prices, or `spend` in the plan's
 * own unit; the level of the plan with the largest budget not above it holds. That is a mean over problems,
 * by the runs that the plan was fitted to; --budget is kept in any case.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "search/delegate.h"
#include "search/plan.h"
#include "search/strategies.h"

struct adaptive {
    struct search search;
    struct plan *plan;
    const struct plan_level *level;
    struct plan_pilot pilot; /* of the level, with n and aggregate as they are used here; n 0: none */
    int n_waiting;           /* of the pilot, not told or not scored */
    struct delegate delegate;
};

/* ---- the plan ---- */

static struct plan *plan_of(const struct search_context *c, struct err *e) {
    return plan_parse(c->plan ? c->plan : plan_default(c->has_reward), c->plan ? "plan" : "built-in plan", e);
}

static const struct plan_level *level_of(const struct plan *p, const struct search_spec *spec) {
    const double spend = search_spec_get(spec, "spend");
    return plan_level_for(p, spend > 0 ? spend : plan_spend(p, search_spec_get(spec, "n")));
}

static int pilot_size(const struct plan *p, const struct plan_level *l, const struct search_spec *spec) {
    const int said = (int)search_spec_get(spec, "pilot");
    if (l->pilot < 0) return 0;
    return said > 0 ? said : p->pilots[l->pilot].n;
}

/* What samples as the pilot does is told of the pilot first. */
static bool counts_pilot(const struct search_spec *cell, const struct search_spec *spec) {
    static const char *const sampling[] = {"temperature", "top_p", "min_p", "top_k"};
    bool same = cell->strategy == &search_sample;
    for (size_t i = 0; same && i < ARRAY_LEN(sampling); i++)
        same = search_spec_get(cell, sampling[i]) == search_spec_get(spec, sampling[i]);
    return same;
}

/* The strategy of a cell with all that it leaves to others. */
static bool cell_spec(const struct plan_cell *cell, const struct search_spec *spec, int n_pilot,
                      struct search_spec *out, struct err *e) {
    if (!search_spec_parse(out, cell->strategy, e)) return false;
    for (int i = 0; i < spec->strategy->n_params; i++) {
        const char *key = spec->strategy->params[i].name;
        if (strcmp(key, "n") != 0) search_spec_recommend(out, key, spec->values[i]);
    }
    if (!search_spec_has(out, "n")) return true;
    double n = search_spec_get(out, "n");
    const int n_apart = counts_pilot(out, spec) ? 0 : n_pilot; /* written beside the strategy's n */
    if (cell->share > 0) n = floor(cell->share * search_spec_get(spec, "n")) - n_apart;
    return search_spec_set(out, "n", fmax(n, 1), e);
}

static bool check(const struct search_spec *spec, const struct search_context *c, struct err *e) {
    struct plan *p = plan_of(c, e);
    if (!p) return false;
    const struct plan_level *l = level_of(p, spec);
    bool ok = true;
    if (l->pilot >= 0 && p->pilots[l->pilot].scored && !c->has_reward)
        ok = err_set(e, ERR_INPUT,
                     "the plan's pilot is scored: give a reward model with --reward, or another plan");
    for (int i = 0; ok && i < l->n_cells; i++) {
        const struct plan_cell *cell = &l->cells[i];
        struct search_spec inner;
        const bool weighs = cell->select && strcmp(cell->select, "majority") != 0;
        ok = (cell_spec(cell, spec, pilot_size(p, l, spec), &inner, e) && search_check(&inner, c, e)) ||
             err_wrap(e, "plan");
        if (ok && weighs && !c->has_reward)
            ok = err_set(e, ERR_INPUT, "plan: selection %s needs a reward model: give one with --reward",
                         cell->select);
    }
    plan_free(p);
    return ok;
}

/* ---- pilot, then the rest ---- */

static struct plan_sample sample_of(const struct adaptive *x, const struct tree_node *v) {
    const double reward = v->n_rewards > 0 ? aggregate_of(x->pilot.aggregate, v->rewards, v->n_rewards) : NAN;
    return (struct plan_sample){.answer_class = v->state == TREE_SOLUTION ? v->answer_class : -1,
                                .ended = v->state == TREE_SOLUTION,
                                .scored = v->n_rewards > 0,
                                .reward = reward,
                                .logprob = v->logprob,
                                .n_tokens = v->n_tokens};
}

static int bin_of(struct adaptive *x) {
    struct plan_sample samples[PLAN_SAMPLES_MAX];
    double features[PLAN_FEATURES];
    for (int i = 0; i < x->pilot.n; i++) /* child i of the root is node i + 1 */
        samples[i] = sample_of(x, tree_get(&x->search.tree, i + 1));
    plan_features(samples, x->pilot.n, features);
    return plan_bin(&x->pilot, plan_rate(&x->pilot, plan_score(&x->pilot, features)));
}

static void go_on(struct adaptive *x, int bin) {
    struct search *s = &x->search;
    const struct plan_cell *cell = &x->level->cells[bin];
    struct search_spec inner;
    struct err e;
    const bool checked = cell_spec(cell, &s->spec, x->pilot.n, &inner, &e);
    ASSERT(checked);
    s->advice = (struct search_advice){cell->select, cell->aggregate};
    s->revises = inner.strategy->revises;
    delegate_begin(&x->delegate, s, &inner, counts_pilot(&inner, &s->spec));
}

static void init(struct search *s) {
    struct adaptive *x = (struct adaptive *)s;
    struct err e;
    x->plan = plan_of(&s->context, &e);
    ASSERT(x->plan);
    x->level = level_of(x->plan, &s->spec);
    const int n = pilot_size(x->plan, x->level, &s->spec);
    if (n == 0) {
        go_on(x, 0);
        return;
    }
    x->pilot = x->plan->pilots[x->level->pilot];
    x->pilot.n = x->n_waiting = n;
    if (x->pilot.aggregate == AGGREGATES)
        x->pilot.aggregate = (enum aggregate)search_spec_get(&s->spec, "aggregate");
    for (int i = 0; i < n; i++) search_want_expand(s, 0, true);
}

static void one_less(struct adaptive *x) {
    if (--x->n_waiting == 0) go_on(x, bin_of(x));
}

static void told_node(struct search *s, int node) {
    struct adaptive *x = (struct adaptive *)s;
    if (x->delegate.inner)
        delegate_told_node(&x->delegate, node);
    else if (x->pilot.scored && tree_get(&s->tree, node)->state == TREE_SOLUTION)
        search_want_score(s, node);
    else
        one_less(x);
}

static void told_score(struct search *s, int node) {
    struct adaptive *x = (struct adaptive *)s;
    if (x->delegate.inner)
        delegate_told_score(&x->delegate, node);
    else
        one_less(x);
}

static void idle(struct search *s) {
    delegate_idle(&((struct adaptive *)s)->delegate);
}

static void fini(struct search *s) {
    struct adaptive *x = (struct adaptive *)s;
    delegate_fini(&x->delegate);
    plan_free(x->plan);
}

static const struct search_ops ops = {.size = sizeof(struct adaptive),
                                      .check = check,
                                      .init = init,
                                      .fini = fini,
                                      .told_node = told_node,
                                      .told_score = told_score,
                                      .idle = idle};

static const struct search_param params[] = {
    {"n", SEARCH_PARAM_INT, 16, 1, 100000, NULL, "may cost what so many samples cost, on average", false},
    {"spend", SEARCH_PARAM_REAL, 0, 0, 1e18, NULL, "instead: so much, in the plan's own unit", true},
    {"pilot", SEARCH_PARAM_INT, 0, 0, PLAN_SAMPLES_MAX, NULL, "samples to look at first; 0: as the plan says",
     true},
    {"aggregate", SEARCH_PARAM_CHOICE, NAN, 0, AGGREGATES - 1, aggregate_names, "of a path's rewards", false},
    SEARCH_SAMPLING_PARAMS,
};

const struct search_strategy search_adaptive = {
    .name = "adaptive",
    .summary = "looks at a few samples, then goes on with what a plan (--plan) names for that difficulty",
    .source = "Snell et al. 2024 (2408.03314); Liu et al. 2025 (2502.06703)",
    .example = "adaptive:n=64",
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
