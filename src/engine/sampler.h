/* sampler.h - one token from one row of logits.
 *
 * Order of the filters, each over what the one before left: temperature, min-p, top-k, top-p (vLLM's
 * order, which the papers sampled with; llama.cpp applies temperature last). Then the inverse of the
 * cumulative distribution at one random number in [0,1):
 *
 *     no filter   ids in ascending order; nothing is sorted
 *     a filter    survivors by falling probability, ties by id, taken from a heap as long as the filters keep
 *
 * min-p: p >= min_p * largest. top-k: exactly k; ties at the edge go to lower ids. top-p: the fewest whose
 * sum reaches top_p of what is left. Temperature below 1e-5 is greedy: the largest logit, ties to the
 * lowest id.
 *
 * The log-probability told is the model's: temperature 1, no filter. Sums of probabilities are in double
 * and in a written order. So is the confidence: minus the mean log-probability of the n_top likeliest tokens
 * (Fu et al. 2025, DeepConf, 2508.15260), high where the distribution is peaked.
 */
#ifndef BROOD_SAMPLER_H
#define BROOD_SAMPLER_H

#include "engine/engine.h"

struct sampler {
    float *p;               /* [n_vocab] */
    double *sums;           /* of blocks of p */
    struct candidate *heap; /* [n_vocab] */
    double log_total;       /* of the last draw: ln of the sum of exp(logits) */
};

struct candidate {
    float p;
    int id;
};

void sampler_init(struct sampler *s, int n_vocab);
void sampler_fini(struct sampler *s);

/* Draws one of the first n_allowed of n_vocab tokens. False if the logits are not numbers. */
MUST bool sampler_draw(struct sampler *s, const struct kernels *k, const float *logits, int n_vocab,
                       int n_allowed, const struct engine_sampling *how, double unit, int *token,
                       float *logprob);

/* The confidence of the logits that were drawn from last. The fewer of n_top and n_vocab count. */
float sampler_confidence(struct sampler *s, const float *logits, int n_vocab, int n_top);

/* ln x for finite x >= 1 with a fixed sequence of double operations; error below 1e-15 relative to max(1,
 * ln x). */
double sampler_log(double x);

#endif
