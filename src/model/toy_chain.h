/* toy_chain.h - a small Markov chain over solution steps, every probability of which is known exactly.
 *
 * The policy toy:... writes the chain's steps and the reward model toy:... knows their exact value, so a
 * search's chance of success can be compared with a closed form or an enumeration. A state is (level, value);
 * each level has one right value, drawn from the seed and the problem's text:
 *
 *     level 0      1            2                      depth
 *     prompt --p--> right --p--> right -- ... --p--> right answer: "The answer is \boxed{v}."
 *          \-1-p-> wrong <-----/ 1-p                 a step is "step k: v" and the separator; one token
 *                  wrong --q--> right                (a wrong value is left with probability q)
 *
 * The probability that is not given to the right value is shared among the wrong ones by fixed weights in
 * [0.5, 1.5).
 *
 * Spec, after "toy:", all keys optional:
 *     depth=4    levels, 1 to 32
 *     branch=3   values of a level, 2 to 16
 *     p=0.6      right after right
 *     q=0.15     right after wrong
 *     spread=0   p and q of a problem move by up to this much, both alike
 *     seed=1     of right values, weights and spread
 *     noise=0    reward: added to a value, uniform in [-noise, noise], fixed by the steps; clamped to [0,1]
 *     fail=0     policy: the share of jobs that fail
 *     revise=0   policy: p and q move by this much with each revision (policy/toy.c)
 *     repair=0   policy: by this much more with each revision that is told what was wrong
 *     shuffle=0  policy: 1 gives results in a scrambled order
 *     slow=1     policy: a job takes up to so many turns of work, by its key
 */
#ifndef BROOD_TOY_CHAIN_H
#define BROOD_TOY_CHAIN_H

#include "base/err.h"
#include "base/str.h"

enum { TOY_DEPTH_MAX = 32, TOY_BRANCH_MAX = 16 };

struct toy_params {
    int depth, branch;
    double p, q, spread, noise, fail, revise, repair;
    uint64_t seed;
    bool shuffle;
    int slow;
};

/* Reads "key=value,..." (without "toy:"; may be empty). */
MUST bool toy_params_parse(struct toy_params *params, const char *text, struct err *e);
uint64_t toy_params_hash(const struct toy_params *params);

struct toy_chain { /* a value: copied freely */
    struct toy_params params;
    double p, q; /* of this problem */
    uint64_t key;
    int right[TOY_DEPTH_MAX + 1]; /* the right value of each level; [0] is 0 */
};

void toy_chain_init(struct toy_chain *c, const struct toy_params *params, const char *problem_text);

/* The distribution of the value at level + 1 after `value` at `level` (0 at level 0) into probs[branch]. */
void toy_chain_step(const struct toy_chain *c, int level, int value, double *probs);

void toy_chain_revise(struct toy_chain *c, bool told); /* p and q as they are after one more revision */

/* Draws the value at level + 1 with `unit` in [0,1) at a temperature; *logprob is its log-probability at 1.
 */
int toy_chain_draw(const struct toy_chain *c, int level, int value, double temperature, double unit,
                   double *logprob);

/* The exact probability that a path which stands at (level, value) ends at the right answer, drawn at
 * temperature 1. */
double toy_chain_value(const struct toy_chain *c, int level, int value);

/* Every path with its probability, values[depth]; ASSERTs that there are at most a million. */
typedef void toy_chain_each(void *ctx, const int *values, double probability);
void toy_chain_enumerate(const struct toy_chain *c, toy_chain_each *each, void *ctx);

/* The text of the step that leads to (level, value), level >= 1, and back. The separator is not part of it.
 */
void toy_chain_write(const struct toy_chain *c, int level, int value, struct buf *out);
MUST bool toy_chain_read(const struct toy_chain *c, int level, struct str step, int *value);

#endif
