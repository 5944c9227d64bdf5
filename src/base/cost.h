/* cost.h - what work has cost. Counted where it is done, added up on the way, never estimated afterwards. */
#ifndef BROOD_COST_H
#define BROOD_COST_H

struct cost {
    double tokens_read;      /* prefilled or scored: computed without sampling */
    double tokens_generated; /* sampled */
    double flops;            /* as model_flops_per_token counts them; 0 where the service cannot know */
};

static inline void cost_add(struct cost *sum, const struct cost *c) {
    sum->tokens_read += c->tokens_read;
    sum->tokens_generated += c->tokens_generated;
    sum->flops += c->flops;
}

#endif
