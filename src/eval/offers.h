/* offers.h - what so many samples of each run buy: "5 samples of the cheap policy against 1 of the expensive
 * one".
 *
 * An offer is a run with k samples a problem and one way to come to an answer: its selection, or any of the k
 * (coverage: what a verifier that is always right would find). Every offer is measured on the problems that
 * all runs have, so differences are over pairs. Money is counted by the user's prices (run/prices.h); without
 * prices there is none.
 *
 * Brown et al. 2024, "Large Language Monkeys" (2407.21787), table 1, is such a comparison.
 */
#ifndef BROOD_OFFERS_H
#define BROOD_OFFERS_H

#include "eval/report.h"

enum offer_cost { OFFER_TOKENS, OFFER_FLOPS, OFFER_DOLLARS, OFFER_COSTS };

struct offer {
    int run, k;
    enum curves_measure measure; /* CURVES_COVERAGE: any of the k */
    struct interval solved;      /* share of the problems */
    double costs[OFFER_COSTS]; /* a problem: tokens generated, FLOP of both models, dollars; NAN: not known */
    struct interval per_solved[OFFER_COSTS]; /* the same for each that is solved; INFINITY: none is */
};

struct offer_pair {
    size_t a, b;               /* offers of different runs, both by selection or both by coverage */
    struct interval gain;      /* solved by a beyond b, over pairs */
    double ratio[OFFER_COSTS]; /* cost of a / cost of b; NAN: not known */
};

struct offers {
    struct offer *items;
    struct offer_pair *pairs;
    size_t n, cap, n_pairs, cap_pairs;
    int n_problems;
    bool has_dollars;
};

/* ks[i] samples of run i, 0: all. A search over steps, or one that stops when it knows enough, has only all.
 * Money is counted where every run has prices. Free with offers_fini in any case. */
MUST bool offers_make(struct offers *out, const struct report *r, const int *ks, struct err *e);
void offers_fini(struct offers *o);
json_t *offers_json(const struct offers *o, const struct report *r); /* docs/json.md */

#endif
