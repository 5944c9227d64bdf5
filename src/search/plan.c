/* plan.c - plans as JSON text, and what they predict. */
#include "search/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

const char *const plan_unit_names[PLAN_UNITS + 1] = {"samples", "tokens", "flops", NULL};
const char *const plan_feature_names[PLAN_FEATURES + 1] = {
    "agreement",     "entropy",      "ended",   "reward_best", "reward_mean",
    "reward_spread", "reward_share", "logprob", "length",      NULL};

/* The rules that a plan may name (select/select.h). */
static const char *const select_names[] = {"majority", "best", "weighted", NULL};

bool plan_feature_needs_reward(enum plan_feature f) {
    return f >= PLAN_REWARD_BEST && f <= PLAN_REWARD_SHARE;
}

/* ---- the built-in plan ---- */

/* Difficulty by what a pilot of four shows; the thresholds and rules of thumb of Liu et al. 2025: sampling
 * where the policy is right every other time, trees that do not compete where it seldom is, beams where it
 * hardly ever is. The weights are not fitted to anything: rewards of a sound reward model lie near the chance
 * of being right. */
#define WITHOUT_PILOT "{\"budget\": 1, \"bins\": [{\"strategy\": \"sample\", \"share\": 1}]}"
#define EASY          "{\"strategy\": \"sample:stop=beta\", \"share\": 1}"

static const char default_with_reward[] =
    "{\"brood_plan\": 1, \"unit\": \"samples\", \"prices\": [[1, 1], [2, 2]],"
    " \"pilots\": [{\"samples\": 4, \"scored\": true, \"bias\": 0,"
    "   \"weights\": {\"agreement\": 0.5, \"reward_mean\": 0.5},"
    "   \"calibration\": [[0, 0], [1, 1]], \"edges\": [0.1, 0.5]}],"
    " \"levels\": [" WITHOUT_PILOT ", {\"budget\": 12, \"pilot\": 0, \"bins\": ["
    "   {\"strategy\": \"beam:width=4\", \"share\": 1}, {\"strategy\": \"dvts:width=4\", \"share\": 1}, " EASY
    "]}]}";

static const char default_without_reward[] =
    "{\"brood_plan\": 1, \"unit\": \"samples\", \"prices\": [[1, 1], [2, 2]], \"pilots\": [],"
    " \"levels\": [" WITHOUT_PILOT ", {\"budget\": 5, \"bins\": [" EASY "]}]}";

const char *plan_default(bool has_reward) {
    return has_reward ? default_with_reward : default_without_reward;
}

/* ---- reading ---- */

struct reader {
    const char *where;
    struct err *e;
};

static bool number(const struct reader *r, const json_t *object, const char *key, double min, double max,
                   double *out) {
    if (!json_get_real(object, key, NAN, out, r->where, r->e)) return false;
    if (*out >= min && *out <= max) return true;
    return err_set(r->e, ERR_INPUT, "%s: \"%s\" must be a number from %g to %g", r->where, key, min, max);
}

/* An optional array of at most n_max; *n 0 where it is absent. */
static bool list(const struct reader *r, const json_t *object, const char *key, size_t n_max, json_t **out,
                 int *n) {
    *out = json_object_get(object, key);
    if (json_is_null(*out)) *out = NULL;
    if (*out && (!json_is_array(*out) || json_array_size(*out) > n_max))
        return err_set(r->e, ERR_INPUT, "%s: \"%s\" must be an array of at most %zu", r->where, key, n_max);
    *n = (int)json_array_size(*out);
    return true;
}

/* An optional name of a list; *out the list's length where it is absent. */
static bool name(const struct reader *r, const json_t *object, const char *key, const char *const *names,
                 int *out) {
    const char *text;
    if (!json_get_string(object, key, NULL, &text, r->where, r->e)) return false;
    for (*out = 0; names[*out] && text; ++*out)
        if (strcmp(names[*out], text) == 0) return true;
    if (!text) {
        while (names[*out]) ++*out;
        return true;
    }
    struct buf known = {0};
    for (int i = 0; names[i]; i++) buf_printf(&known, "%s%s", i ? ", " : "", names[i]);
    err_set(r->e, ERR_INPUT, "%s: \"%s\" cannot be '%.60s'; known: %s", r->where, key, text,
            buf_cstr(&known));
    buf_free(&known);
    return false;
}

static bool read_weights(const struct reader *r, const json_t *object, struct plan_pilot *out) {
    const json_t *weights = json_object_get(object, "weights");
    const char *key;
    json_t *value;
    if (!json_is_object(weights))
        return err_set(r->e, ERR_INPUT, "%s: a pilot needs \"weights\", an object of features", r->where);
    json_object_foreach((json_t *)(uintptr_t)weights, key, value) {
        int f = 0;
        while (f < PLAN_FEATURES && strcmp(key, plan_feature_names[f]) != 0) f++;
        if (f == PLAN_FEATURES)
            return err_set(r->e, ERR_INPUT, "%s: unknown feature '%.60s' in \"weights\"", r->where, key);
        if (plan_feature_needs_reward((enum plan_feature)f) && !out->scored)
            return err_set(r->e, ERR_INPUT, "%s: feature '%s' needs a pilot that is scored", r->where, key);
        if (!number(r, weights, key, -1e9, 1e9, &out->weights[f])) return false;
    }
    return true;
}

static bool read_knots(const struct reader *r, const json_t *object, struct plan_pilot *out) {
    json_t *knots;
    if (!list(r, object, "calibration", PLAN_KNOTS_MAX, &knots, &out->n_knots)) return false;
    if (out->n_knots == 0)
        return err_set(r->e, ERR_INPUT, "%s: a pilot needs \"calibration\": [[score, rate], ...]", r->where);
    for (int i = 0; i < out->n_knots; i++) {
        const json_t *knot = json_array_get(knots, (size_t)i);
        const struct plan_knot now = {json_number_value(json_array_get(knot, 0)),
                                      json_number_value(json_array_get(knot, 1))};
        const struct plan_knot before = i ? out->knots[i - 1] : (struct plan_knot){-INFINITY, 0};
        if (!json_is_number(json_array_get(knot, 0)) || !json_is_number(json_array_get(knot, 1)) ||
            !(now.score > before.score && now.rate >= before.rate && now.rate <= 1))
            return err_set(
                r->e, ERR_INPUT,
                "%s: \"calibration\" must be pairs of rising scores and rates that do not fall, from 0 to 1",
                r->where);
        out->knots[i] = now;
    }
    return true;
}

static bool read_pilot(const struct reader *r, const json_t *object, struct plan_pilot *out) {
    int64_t n;
    int aggregate, n_edges;
    json_t *edges;
    if (!json_want_int(object, "samples", 1, PLAN_SAMPLES_MAX, &n, r->where, r->e) ||
        !json_get_bool(object, "scored", false, &out->scored, r->where, r->e) ||
        !name(r, object, "aggregate", aggregate_names, &aggregate) ||
        !number(r, object, "bias", -1e9, 1e9, &out->bias) || !read_weights(r, object, out) ||
        !read_knots(r, object, out) || !list(r, object, "edges", PLAN_BINS_MAX - 1, &edges, &n_edges))
        return false;
    out->n = (int)n;
    out->aggregate = (enum aggregate)aggregate;
    out->n_bins = n_edges + 1;
    for (int i = 0; i < n_edges; i++) {
        const json_t *edge = json_array_get(edges, (size_t)i);
        out->edges[i] = json_number_value(edge);
        if (!json_is_number(edge) || (i && out->edges[i] <= out->edges[i - 1]))
            return err_set(r->e, ERR_INPUT, "%s: \"edges\" must be rising numbers", r->where);
    }
    return true;
}

static bool read_cell(const struct reader *r, const json_t *object, struct plan_cell *out) {
    const char *strategy;
    struct search_spec spec;
    int aggregate, rule;
    if (!json_want_string(object, "strategy", &strategy, r->where, r->e) ||
        !name(r, object, "select", select_names, &rule) ||
        !name(r, object, "aggregate", aggregate_names, &aggregate))
        return false;
    out->strategy = mem_strdup(strategy);
    out->select = select_names[rule] ? mem_strdup(select_names[rule]) : NULL;
    out->aggregate = (enum aggregate)aggregate;
    if (json_object_get(object, "share") && !number(r, object, "share", 1e-6, 1e6, &out->share)) return false;
    if (!search_spec_parse(&spec, strategy, r->e)) return err_wrap(r->e, "%s", r->where);
    if (strcmp(spec.strategy->name, "adaptive") == 0)
        return err_set(r->e, ERR_INPUT, "%s: a plan cannot name the strategy adaptive", r->where);
    if (out->share > 0 && !search_spec_has(&spec, "n"))
        return err_set(r->e, ERR_INPUT, "%s: strategy '%s' has no n: leave \"share\" out", r->where,
                       strategy);
    return true;
}

static bool read_level(const struct reader *r, const json_t *object, struct plan *p) {
    struct plan_level *out = &p->levels[p->n_levels++];
    int64_t pilot;
    json_t *cells;
    int n_cells;
    if (!number(r, object, "budget", 0, 1e300, &out->budget) ||
        !json_get_int(object, "pilot", -1, -1, p->n_pilots - 1, &pilot, r->where, r->e) ||
        !list(r, object, "bins", PLAN_BINS_MAX, &cells, &n_cells))
        return false;
    out->pilot = (int)pilot;
    int n_bins = pilot < 0 ? 1 : p->pilots[pilot].n_bins;
    if (n_cells != n_bins)
        return err_set(r->e, ERR_INPUT, "%s: the level of budget %g must have %d \"bins\", not %d", r->where,
                       out->budget, n_bins, n_cells);
    if (out != p->levels && out->budget <= out[-1].budget)
        return err_set(r->e, ERR_INPUT, "%s: the budgets of the levels must rise: %g does not", r->where,
                       out->budget);
    out->cells = mem_zalloc((size_t)n_cells, sizeof *out->cells);
    for (int i = 0; i < n_cells; i++)
        if (!read_cell(r, json_array_get(cells, (size_t)i), &out->cells[out->n_cells++])) return false;
    return true;
}

static bool read_prices(const struct reader *r, const json_t *object, struct plan *p) {
    json_t *prices;
    if (!list(r, object, "prices", PLAN_KNOTS_MAX, &prices, &p->n_prices)) return false;
    for (int i = 0; i < p->n_prices; i++) {
        const json_t *n = json_array_get(json_array_get(prices, (size_t)i), 0);
        const json_t *cost = json_array_get(json_array_get(prices, (size_t)i), 1);
        p->prices[i] = (struct plan_price){json_number_value(n), json_number_value(cost)};
        const struct plan_price before = i ? p->prices[i - 1] : (struct plan_price){0};
        if (!json_is_number(n) || !json_is_number(cost) || !(p->prices[i].n > before.n) ||
            !(p->prices[i].cost > before.cost))
            return err_set(r->e, ERR_INPUT,
                           "%s: \"prices\" must be pairs of rising samples and costs above 0", r->where);
    }
    return p->n_prices > 1 ||
           err_set(r->e, ERR_INPUT, "%s: no \"prices\": [[samples, cost], ...], two at least", r->where);
}

static bool read_plan(const struct reader *r, const json_t *object, struct plan *p) {
    json_t *pilots, *levels;
    int n_pilots, n_levels, unit;
    int64_t version;
    const char *sampling;
    if (!json_want_int(object, "brood_plan", 1, 1, &version, r->where, r->e) ||
        !name(r, object, "unit", plan_unit_names, &unit) || !read_prices(r, object, p) ||
        !json_get_string(object, "sampling", NULL, &sampling, r->where, r->e) ||
        !list(r, object, "pilots", PLAN_PILOTS_MAX, &pilots, &n_pilots) ||
        !list(r, object, "levels", PLAN_LEVELS_MAX, &levels, &n_levels))
        return false;
    if (unit == PLAN_UNITS)
        return err_set(r->e, ERR_INPUT, "%s: no \"unit\": samples, tokens or flops", r->where);
    if (n_levels == 0) return err_set(r->e, ERR_INPUT, "%s: no \"levels\": nothing is planned", r->where);
    p->unit = (enum plan_unit)unit;
    p->sampling = sampling ? mem_strdup(sampling) : NULL;
    p->pilots = mem_zalloc((size_t)n_pilots, sizeof *p->pilots);
    p->levels = mem_zalloc((size_t)n_levels, sizeof *p->levels);
    while (p->n_pilots < n_pilots) {
        const json_t *pilot = json_array_get(pilots, (size_t)p->n_pilots);
        if (!read_pilot(r, pilot, &p->pilots[p->n_pilots++])) return false;
    }
    while (p->n_levels < n_levels)
        if (!read_level(r, json_array_get(levels, (size_t)p->n_levels), p)) return false;
    return true;
}

struct plan *plan_parse(const char *text, const char *where, struct err *e) {
    const struct reader r = {where, e};
    json_t *object = json_parse(str_from(text), where, e);
    if (!object) return NULL;
    struct plan *p = mem_zalloc(1, sizeof *p);
    if (!read_plan(&r, object, p)) {
        plan_free(p);
        p = NULL;
    }
    json_decref(object);
    return p;
}

void plan_free(struct plan *p) {
    if (!p) return;
    for (int i = 0; i < p->n_levels; i++) {
        for (int k = 0; k < p->levels[i].n_cells; k++) {
            free(p->levels[i].cells[k].strategy);
            free(p->levels[i].cells[k].select);
        }
        free(p->levels[i].cells);
    }
    free(p->levels);
    free(p->pilots);
    free(p->sampling);
    free(p);
}

bool plan_recommend(const char *text, const char *where, struct search_spec *spec, struct err *e) {
    struct plan *p = plan_parse(text, where, e);
    if (!p) return false;
    struct search_spec fitted;
    struct buf same = {0};
    buf_printf(&same, "%s:%s", spec->strategy->name, p->sampling ? p->sampling : "");
    const bool ok = search_spec_parse(&fitted, buf_cstr(&same), e) || err_wrap(e, "%s: \"sampling\"", where);
    for (int i = 0; ok && i < fitted.strategy->n_params; i++)
        search_spec_recommend(spec, fitted.strategy->params[i].name, fitted.values[i]);
    buf_free(&same);
    plan_free(p);
    return ok;
}

/* ---- looking up ---- */

double plan_spend(const struct plan *p, double n) {
    int i = 0;
    while (i + 2 < p->n_prices && p->prices[i + 1].n < n) i++;
    const struct plan_price *a = &p->prices[i], *b = a + 1;
    return a->cost + (b->cost - a->cost) * ((n - a->n) / (b->n - a->n));
}

const struct plan_level *plan_level_for(const struct plan *p, double spend) {
    int i = 0; /* a budget that n samples just fill is not missed by a rounding */
    while (i + 1 < p->n_levels && p->levels[i + 1].budget <= spend * (1 + 1e-9)) i++;
    return &p->levels[i];
}

/* ---- difficulty ---- */

/* The largest and the total of the sums of `weight` over equal answers, and their entropy in nats. */
static void tally(const struct plan_sample *samples, const double *weight, int n, double *largest,
                  double *total, double *entropy) {
    double sum = 0, logs = 0;
    *largest = *total = 0;
    for (int i = 0; i < n; i++) {
        double votes = 0;
        bool seen = false;
        for (int k = 0; k < n; k++) {
            bool equal = k == i ||
                         (samples[i].answer_class >= 0 && samples[k].answer_class == samples[i].answer_class);
            seen = seen || (equal && k < i);
            votes += equal ? weight[k] : 0;
        }
        if (seen) continue;
        if (samples[i].answer_class >= 0) *largest = fmax(*largest, votes);
        sum += votes;
        logs += votes > 0 ? votes * log(votes) : 0;
    }
    *total = sum;
    *entropy = sum > 0 ? fmax(log(sum) - logs / sum, 0) : 0;
}

void plan_features(const struct plan_sample *samples, int n, double out[PLAN_FEATURES]) {
    ASSERT(n > 0 && n <= PLAN_SAMPLES_MAX);
    double *weight = mem_zalloc((size_t)n, sizeof *weight);
    double largest, total, entropy, tokens = 0, logprob = 0, mean = 0, best = 0, squares = 0;
    int n_ended = 0;
    for (int i = 0; i < n; i++) weight[i] = 1;
    tally(samples, weight, n, &largest, &total, &entropy);
    out[PLAN_AGREEMENT] = largest / n;
    out[PLAN_ENTROPY] = n > 1 ? entropy / log(n) : 0;
    for (int i = 0; i < n; i++) {
        weight[i] = samples[i].scored ? samples[i].reward : 0;
        best = fmax(best, weight[i]);
        mean += weight[i] / n;
        n_ended += samples[i].ended && samples[i].answer_class >= 0;
        tokens += samples[i].n_tokens;
        logprob += isnan(samples[i].logprob) ? 0 : samples[i].logprob;
    }
    for (int i = 0; i < n; i++) squares += (weight[i] - mean) * (weight[i] - mean);
    out[PLAN_ENDED] = (double)n_ended / n;
    out[PLAN_REWARD_BEST] = best;
    out[PLAN_REWARD_MEAN] = mean;
    out[PLAN_REWARD_SPREAD] = sqrt(squares / n);
    for (int i = 0; i < n; i++) weight[i] = fmax(weight[i], 0);
    tally(samples, weight, n, &largest, &total, &entropy);
    out[PLAN_REWARD_SHARE] = total > 0 ? largest / total : 0;
    out[PLAN_LOGPROB] = tokens > 0 ? logprob / tokens : 0;
    out[PLAN_LENGTH] = log1p(tokens / n);
    free(weight);
}

double plan_score(const struct plan_pilot *p, const double features[PLAN_FEATURES]) {
    double score = p->bias;
    for (int f = 0; f < PLAN_FEATURES; f++) score += p->weights[f] * features[f];
    return score;
}

double plan_rate(const struct plan_pilot *p, double score) {
    const struct plan_knot *k = p->knots;
    int i = 0;
    if (score <= k[0].score) return k[0].rate;
    while (i + 1 < p->n_knots && k[i + 1].score < score) i++;
    if (i + 1 == p->n_knots) return k[i].rate;
    return k[i].rate + (k[i + 1].rate - k[i].rate) * ((score - k[i].score) / (k[i + 1].score - k[i].score));
}

int plan_bin(const struct plan_pilot *p, double rate) {
    int bin = 0;
    while (bin < p->n_bins - 1 && rate >= p->edges[bin]) bin++;
    return bin;
}
