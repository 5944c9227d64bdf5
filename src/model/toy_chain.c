/* toy_chain.c - see toy_chain.h. */
#include "model/toy_chain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

/* ---- the spec ---- */
struct toy_key {
    const char *name;
    double min, max;
    bool whole;
};

enum {
    KEY_DEPTH,
    KEY_BRANCH,
    KEY_P,
    KEY_Q,
    KEY_SPREAD,
    KEY_NOISE,
    KEY_FAIL,
    KEY_REVISE,
    KEY_REPAIR,
    KEY_SEED,
    KEY_SHUFFLE,
    KEY_SLOW,
    N_KEYS
};

static const struct toy_key toy_keys[N_KEYS] = {
    [KEY_DEPTH] = {"depth", 1, TOY_DEPTH_MAX, true},
    [KEY_BRANCH] = {"branch", 2, TOY_BRANCH_MAX, true},
    [KEY_P] = {"p", 0, 1, false},
    [KEY_Q] = {"q", 0, 1, false},
    [KEY_SPREAD] = {"spread", 0, 1, false},
    [KEY_NOISE] = {"noise", 0, 1, false},
    [KEY_FAIL] = {"fail", 0, 1, false},
    [KEY_REVISE] = {"revise", -1, 1, false},
    [KEY_REPAIR] = {"repair", -1, 1, false},
    [KEY_SEED] = {"seed", 0, 4294967295.0, true},
    [KEY_SHUFFLE] = {"shuffle", 0, 1, true},
    [KEY_SLOW] = {"slow", 1, 100000, true},
};

/* One "key=value" into values[]. */
static bool read_pair(struct str pair, double *values, struct err *e) {
    ptrdiff_t equals = str_find(pair, STR("="));
    struct str name = {pair.ptr, equals < 0 ? pair.len : (size_t)equals};
    for (int i = 0; i < N_KEYS; i++) {
        const struct toy_key *k = &toy_keys[i];
        if (!str_equal(name, str_from(k->name))) continue;
        char number[40] = "", *end = number;
        size_t n = equals < 0 ? 0 : pair.len - (size_t)equals - 1;
        if (n > 0 && n < sizeof number) memcpy(number, pair.ptr + equals + 1, n);
        double x = strtod(number, &end);
        if (end == number || *end || !(x >= k->min && x <= k->max) || (k->whole && x != floor(x)))
            return err_set(e, ERR_INPUT, "toy: %s must be a %s from %g to %g", k->name,
                           k->whole ? "whole number" : "number", k->min, k->max);
        values[i] = x;
        return true;
    }
    return err_set(
        e, ERR_INPUT,
        "toy: unknown key '%.*s'; known: depth, branch, p, q, spread, noise, fail, revise, repair, "
        "seed, shuffle, slow",
        (int)MIN(name.len, 40), name.ptr);
}

bool toy_params_parse(struct toy_params *params, const char *text, struct err *e) {
    double v[N_KEYS] = {
        [KEY_DEPTH] = 4, [KEY_BRANCH] = 3, [KEY_P] = 0.6, [KEY_Q] = 0.15, [KEY_SEED] = 1, [KEY_SLOW] = 1};
    struct str rest = str_from(text);
    while (rest.len > 0) {
        ptrdiff_t comma = str_find(rest, STR(","));
        struct str pair = {rest.ptr, comma < 0 ? rest.len : (size_t)comma};
        if (!read_pair(pair, v, e)) return false;
        size_t n_used = pair.len + (comma >= 0);
        rest = (struct str){rest.ptr + n_used, rest.len - n_used};
    }
    *params = (struct toy_params){.depth = (int)v[KEY_DEPTH],
                                  .branch = (int)v[KEY_BRANCH],
                                  .p = v[KEY_P],
                                  .q = v[KEY_Q],
                                  .spread = v[KEY_SPREAD],
                                  .noise = v[KEY_NOISE],
                                  .fail = v[KEY_FAIL],
                                  .revise = v[KEY_REVISE],
                                  .repair = v[KEY_REPAIR],
                                  .seed = (uint64_t)v[KEY_SEED],
                                  .shuffle = v[KEY_SHUFFLE] != 0,
                                  .slow = (int)v[KEY_SLOW]};
    return true;
}

uint64_t toy_params_hash(const struct toy_params *p) {
    const double v[] = {p->depth, p->branch, p->p, p->q, p->spread, p->noise, p->fail, (double)p->seed};
    uint64_t hash = rng_hash(0, v, sizeof v);
    if (p->revise != 0) hash = rng_hash(hash, &p->revise, sizeof p->revise);
    return p->repair != 0 ? rng_hash(hash, &p->repair, sizeof p->repair) : hash;
}

/* ---- the chain ---- */
enum { TAG_RIGHT = 1, TAG_WEIGHT = 2, TAG_SPREAD = 3 };

static double clamp_unit(double x) {
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

void toy_chain_init(struct toy_chain *c, const struct toy_params *params, const char *problem_text) {
    *c = (struct toy_chain){.params = *params, .key = rng_child_named(params->seed, problem_text)};
    uint64_t key = rng_child(c->key, TAG_RIGHT);
    for (int level = 1; level <= params->depth; level++)
        c->right[level] = (int)rng_below(key, (uint64_t)level, (uint64_t)params->branch);
    double shift = params->spread * (2 * rng_unit(rng_child(c->key, TAG_SPREAD), 0) - 1);
    c->p = clamp_unit(params->p + shift);
    c->q = clamp_unit(params->q + shift);
}

void toy_chain_revise(struct toy_chain *c, bool told) {
    const double better = c->params.revise + (told ? c->params.repair : 0);
    c->p = clamp_unit(c->p + better);
    c->q = clamp_unit(c->q + better);
}

void toy_chain_step(const struct toy_chain *c, int level, int value, double *probs) {
    int n = c->params.branch, right = c->right[level + 1];
    ASSERT(level >= 0 && level < c->params.depth && value >= 0 && value < n);
    uint64_t key = rng_child(c->key, TAG_WEIGHT);
    uint64_t row = ((uint64_t)level * TOY_BRANCH_MAX + (uint64_t)value) * TOY_BRANCH_MAX;
    double p_right = value == c->right[level] ? c->p : c->q, sum = 0;
    for (int v = 0; v < n; v++) {
        probs[v] = v == right ? 0 : 0.5 + rng_unit(key, row + (uint64_t)v);
        sum += probs[v];
    }
    for (int v = 0; v < n; v++) probs[v] = v == right ? p_right : (1 - p_right) * probs[v] / sum;
}

static int most_probable(const double *probs, int n) {
    int best = 0;
    for (int v = 1; v < n; v++)
        if (probs[v] > probs[best]) best = v;
    return best;
}

int toy_chain_draw(const struct toy_chain *c, int level, int value, double temperature, double unit,
                   double *logprob) {
    double probs[TOY_BRANCH_MAX], weights[TOY_BRANCH_MAX], sum = 0;
    int n = c->params.branch;
    toy_chain_step(c, level, value, probs);
    int drawn = most_probable(probs, n);
    if (temperature > 0) {
        for (int v = 0; v < n; v++)
            sum += weights[v] =
                probs[v] > 0 ? (temperature == 1 ? probs[v] : pow(probs[v] / probs[drawn], 1 / temperature))
                             : 0;
        double mark = unit * sum, upto = 0;
        for (int v = 0; v < n; v++) { /* the last value of weight > 0 that begins at or before the mark */
            if (weights[v] > 0 && upto <= mark) drawn = v;
            upto += weights[v];
        }
    }
    *logprob = log(probs[drawn]);
    return drawn;
}

double toy_chain_value(const struct toy_chain *c, int level, int value) {
    double values[TOY_BRANCH_MAX] = {0}, before[TOY_BRANCH_MAX], probs[TOY_BRANCH_MAX];
    int n = c->params.branch, depth = c->params.depth;
    ASSERT(level >= 0 && level <= depth && value >= 0 && value < n);
    values[c->right[depth]] = 1;
    for (int l = depth - 1; l >= level; l--) {
        for (int from = 0; from < n; from++) {
            toy_chain_step(c, l, from, probs);
            before[from] = 0;
            for (int to = 0; to < n; to++) before[from] += probs[to] * values[to];
        }
        memcpy(values, before, sizeof values[0] * (size_t)n);
    }
    return values[value];
}

void toy_chain_enumerate(const struct toy_chain *c, toy_chain_each *each, void *ctx) {
    int depth = c->params.depth, n = c->params.branch, values[TOY_DEPTH_MAX] = {0};
    double n_paths = pow(n, depth), probs[TOY_BRANCH_MAX];
    ASSERT(n_paths <= 1e6);
    for (int path = 0; path < (int)n_paths; path++) {
        double probability = 1;
        for (int l = 0, digits = path; l < depth; l++, digits /= n) {
            values[l] = digits % n;
            toy_chain_step(c, l, l > 0 ? values[l - 1] : 0, probs);
            probability *= probs[values[l]];
        }
        each(ctx, values, probability);
    }
}

/* ---- text ---- */
void toy_chain_write(const struct toy_chain *c, int level, int value, struct buf *out) {
    if (level < c->params.depth)
        buf_printf(out, "step %d: %d", level, value);
    else
        buf_printf(out, "The answer is \\boxed{%d}.", value);
}

bool toy_chain_read(const struct toy_chain *c, int level, struct str step, int *value) {
    if (level < 1 || level > c->params.depth) return false;
    step = str_trim(step);
    bool found = false;
    struct buf text = {0};
    for (int v = 0; v < c->params.branch && !found; v++) {
        buf_clear(&text);
        toy_chain_write(c, level, v, &text);
        found = str_equal(step, buf_str(&text));
        if (found) *value = v;
    }
    buf_free(&text);
    return found;
}
