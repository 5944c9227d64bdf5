/* allocate.h - who goes on, and with how many children: what a level of beam search decides.
 *
 *   topk: the best n_slots ranks, ended ones included, keep their slot; the children are shared
 *   equally. Snell et al. 2024 (2408.03314).
 *
 *   softmax: children in proportion to exp(score / temperature), rounded up from the best down: REBASE.
 *   Wu et al. 2024, "Inference scaling laws" (2408.00724).
 *
 *   resample: every open candidate is a particle. While their weights, the odds score / (1 - score), are
 *   even enough, each has one child; otherwise as many are drawn as there are, systematically. Puri et
 *   al. 2025, "A probabilistic inference approach" (2502.01618), who draw independently, every time.
 *
 * ets.h is another, which looks at the tree as well.
 */
#ifndef BROOD_ALLOCATE_H
#define BROOD_ALLOCATE_H

#include "base/base.h"

struct candidate {
    int node;
    bool is_open; /* else a solution: it has no children */
    bool is_twin;
    bool is_out;    /* may not go on: gets no children */
    double score;   /* -INFINITY: could not be scored */
    double weight;  /* scratch */
    int n_children; /* the result; 0 at the start; 0 for an open one: it is given up */
};

double allocate_odds(double score); /* of a score kept away from 0 and 1 */

/* c[n] in rank order. */
void allocate_topk(struct candidate *c, size_t n, int n_slots, int share, int spare);
/* Whether all that may go on are twins; and whether this one takes part then. */
bool allocate_only_twins(const struct candidate *c, size_t n);
bool allocate_takes_part(const struct candidate *c, bool only_twins);
/* c[n] in rank order; n_children to share out, twins get none while another gets some. */
void allocate_softmax(struct candidate *c, size_t n, int n_children, double temperature);
/* c[n] in path order; `ess` is the share of the particles that their effective number must reach, `unit` in
 * [0, 1) the draw. */
void allocate_resample(struct candidate *c, size_t n, double ess, double unit);

#endif
