/* offers.c - see offers.h. */
#include "eval/offers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "eval/common.h"
#include "eval/report_fill.h"

/* ---- one offer ---- */

/* What k of a problem's n samples cost; a search always costs all. */
static void spent(const struct curves_problem *p, const struct report_run *run, int k, bool with_reward,
                  struct cost *policy, struct cost *reward) {
    const double share = run->independent && p->n > 0 ? (double)MIN(k, p->n) / p->n : 1;
    *policy = (struct cost){share * p->policy.tokens_read, share * p->policy.tokens_generated,
                            share * p->policy.flops};
    *reward = run->independent ? curves_score(p, k) : p->reward;
    cost_add(policy, &p->policy_root);
    cost_add(reward, &p->reward_root);
    if (!with_reward && run->independent) *reward = (struct cost){0};
}

struct workings { /* [n problems] */
    double *solved, *costs[OFFER_COSTS];
};

static void fill_offer(struct offer *o, struct workings *w, const struct report *r, const struct common *c,
                       bool has_dollars) {
    const struct report_run *run = &r->runs[o->run];
    const struct curves_set *set = r->sets[o->run];
    const bool with_reward = curves_needs_rewards(o->measure);
    double *shares = mem_zalloc(MAX(set->n, 1), sizeof *shares);
    curves_at_k(set, o->measure, run->aggregate, o->k, shares);
    for (size_t i = 0; i < c->n; i++) {
        const size_t at = c->rows[o->run][i];
        struct cost policy, reward;
        spent(&set->problems[at], run, o->k, with_reward, &policy, &reward);
        w->solved[i] = shares[at];
        w->costs[OFFER_TOKENS][i] = policy.tokens_generated;
        w->costs[OFFER_FLOPS][i] = policy.flops + reward.flops;
        w->costs[OFFER_DOLLARS][i] =
            has_dollars ? prices_dollars(prices_of(&run->prices, &policy, &reward)) : NAN;
    }
    free(shares);
    o->solved = coverage_interval(w->solved, (int)c->n, report_key());
    for (int k = 0; k < OFFER_COSTS; k++) {
        double sum = 0;
        for (size_t i = 0; i < c->n; i++) sum += w->costs[k][i];
        o->costs[k] = sum > 0 ? sum / (double)c->n : NAN; /* what costs nothing was not counted */
        o->per_solved[k] = isnan(o->costs[k])
                               ? (struct interval){NAN, NAN, NAN}
                               : coverage_ratio(w->costs[k], w->solved, (int)c->n, report_key());
    }
}

/* The run's own selection, or the best that can be measured. */
static enum curves_measure selection_of(const struct report_run *run) {
    static const enum curves_measure others[] = {CURVES_WEIGHTED, CURVES_BEST, CURVES_FIRST_VERIFIED};
    for (int m = 0; m < CURVES_COVERAGE; m++)
        if (run->curves[m].n_points > 0 &&
            strcmp(run->select, curves_measure_name((enum curves_measure)m)) == 0)
            return (enum curves_measure)m;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (run->curves[others[i]].n_points > 0) return others[i];
    return CURVES_MAJORITY;
}

static void add_offer(struct offers *out, int run, int k, enum curves_measure m) {
    MEM_GROW(out->items, out->cap, out->n + 1);
    out->items[out->n++] = (struct offer){.run = run, .k = k, .measure = m};
}

static bool list_offers(struct offers *out, const struct report *r, const int *ks, struct err *e) {
    for (size_t i = 0; i < r->n; i++) {
        const struct report_run *run = &r->runs[i];
        const int k = ks[i] ? ks[i] : run->n_max;
        if (run->n_max == 0) return err_set(e, ERR_INPUT, "%s: nothing is solved or graded yet", run->path);
        if (k > run->n_max)
            return err_set(e, ERR_INPUT, "%s has %d samples a problem, not %d", run->path, run->n_max, k);
        if (k < run->n_max && !run->independent)
            return err_set(e, ERR_INPUT,
                           "%s: only all %d samples of a search like this can be offered (0: all)", run->path,
                           run->n_max);
        if (k > 1) add_offer(out, (int)i, k, selection_of(run));
        add_offer(out, (int)i, k, CURVES_COVERAGE);
    }
    return true;
}

/* ---- offers against offers ---- */

/* One sample leaves nothing to select: its offer stands for both. */
static bool comparable(const struct offer *a, const struct offer *b) {
    if (a->run >= b->run) return false;
    if (a->k == 1 || b->k == 1) return true;
    return (a->measure == CURVES_COVERAGE) == (b->measure == CURVES_COVERAGE);
}

static void compare(struct offers *out, const struct workings *w, int n_problems) {
    for (size_t a = 0; a < out->n; a++) {
        for (size_t b = 0; b < out->n; b++) {
            if (!comparable(&out->items[a], &out->items[b])) continue;
            struct offer_pair p = {
                .a = a,
                .b = b,
                .gain = coverage_difference(w[a].solved, w[b].solved, n_problems, report_key())};
            for (int k = 0; k < OFFER_COSTS; k++)
                p.ratio[k] = out->items[a].costs[k] / out->items[b].costs[k];
            MEM_GROW(out->pairs, out->cap_pairs, out->n_pairs + 1);
            out->pairs[out->n_pairs++] = p;
        }
    }
}

bool offers_make(struct offers *out, const struct report *r, const int *ks, struct err *e) {
    *out = (struct offers){.has_dollars = r->n > 0};
    for (size_t i = 0; i < r->n; i++)
        out->has_dollars = out->has_dollars && prices_are_given(&r->runs[i].prices);
    if (!list_offers(out, r, ks, e)) return false;
    struct common c;
    common_init(&c, r);
    out->n_problems = (int)c.n;
    const bool ok = c.n > 0 || err_set(e, ERR_INPUT, "the runs have no problem in common");
    struct workings *w = mem_zalloc(out->n, sizeof *w);
    for (size_t i = 0; ok && i < out->n; i++) {
        w[i].solved = mem_zalloc(c.n, sizeof(double));
        for (int k = 0; k < OFFER_COSTS; k++) w[i].costs[k] = mem_zalloc(c.n, sizeof(double));
        fill_offer(&out->items[i], &w[i], r, &c, out->has_dollars);
    }
    if (ok) compare(out, w, out->n_problems);
    for (size_t i = 0; i < out->n; i++) {
        free(w[i].solved);
        for (int k = 0; k < OFFER_COSTS; k++) free(w[i].costs[k]);
    }
    free(w);
    common_fini(&c);
    return ok;
}

void offers_fini(struct offers *o) {
    free(o->items);
    free(o->pairs);
    *o = (struct offers){0};
}

/* ---- as JSON ---- */

static json_t *number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *interval(struct interval v) {
    return json_pack("{s:o,s:o,s:o}", "mean", number(v.mean), "low", number(v.low), "high", number(v.high));
}

static const char *const cost_names[OFFER_COSTS] = {"tokens", "flops", "dollars"};

json_t *offers_json(const struct offers *o, const struct report *r) {
    json_t *offers = json_array(), *pairs = json_array();
    for (size_t i = 0; i < o->n; i++) {
        const struct offer *x = &o->items[i];
        json_t *costs = json_object(), *each = json_object();
        for (int k = 0; k < OFFER_COSTS; k++) {
            json_object_set_new(costs, cost_names[k], number(x->costs[k]));
            json_object_set_new(each, cost_names[k], interval(x->per_solved[k]));
        }
        json_array_append_new(offers, json_pack("{s:o,s:i,s:s,s:o,s:o,s:o}", "run",
                                                json_text(str_from(r->runs[x->run].path)), "samples", x->k,
                                                "select", curves_measure_name(x->measure), "solved",
                                                interval(x->solved), "cost", costs, "cost_per_solved", each));
    }
    for (size_t i = 0; i < o->n_pairs; i++) {
        const struct offer_pair *p = &o->pairs[i];
        json_t *ratio = json_object();
        for (int k = 0; k < OFFER_COSTS; k++) json_object_set_new(ratio, cost_names[k], number(p->ratio[k]));
        json_array_append_new(pairs, json_pack("{s:i,s:i,s:o,s:o}", "offer", (int)p->a, "over", (int)p->b,
                                               "gain", interval(p->gain), "cost_ratio", ratio));
    }
    return json_pack("{s:i,s:o,s:o}", "problems", o->n_problems, "offers", offers, "pairs", pairs);
}
