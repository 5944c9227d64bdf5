/* score.h - step rewards for solutions that exist already.
 *
 * Reads JSON lines of a problem and its solutions in the layouts of select/recorded.h, each line with the
 * problem's text under "prompt", "question" or "problem" (the first that is there), and writes the same lines
 * with rewards filled in:
 *
 *     {"prompt": "...", "solutions": [{"text": "..."}]}   every solution gets "rewards": [one a step]
 *     {"question": "...", "responses": ["...", ...]}      the line gets "rewards": [[one a step], ...]
 *     {"prompt": "...", "text": "..."}                    the line gets "rewards": [one a step]
 *
 * A solution that the reward model cannot score (it or its problem is too long) gets null. All else is kept,
 * so choices that a run recorded stay those that were made with its own rewards. Lines without a solution
 * pass unchanged.
 */
#ifndef BROOD_SCORE_H
#define BROOD_SCORE_H

#include <stdio.h>

#include "reward/reward.h"

struct score_progress {
    int n_lines, n_solutions, n_failed;
    double tokens_read, flops;
    struct err failure; /* why the first that failed did; code ERR_NONE: none has */
};

/* Called now and then; false stops (ERR_CANCELLED). */
typedef bool score_on_progress(void *ctx, const struct score_progress *p);

MUST bool score_file(const char *path, struct reward *reward, FILE *out, score_on_progress *on, void *ctx,
                     struct score_progress *p, struct err *e);

#endif
