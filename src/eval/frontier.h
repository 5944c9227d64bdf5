/* frontier.h - accuracy against cost over many runs: one line a method, its points ever dearer.
 *
 *     accuracy │            ▲ adaptive            a run of independent samples: a line for each selection,
 * points at │      ▲          ● weighted       1, 2, 4, ... samples; majority does not pay the reward model
 *              │   ▲       ●                      other runs: those that differ in nothing but n are one
 * line, each run │  ●  ◆ large greedy               a point, with the answers that it chose itself
 *              └──────────────────── tokens, or FLOP of both models with the prompts
 *
 * All points are measured on the problems that all runs have, so two points are compared over pairs. Problems
 * are grouped by the level that the task gives them, or in five by difficulty: the share of right ones among
 * the samples of the run that has most (Snell et al. 2024, oracle difficulty: for looking back only).
 */
#ifndef BROOD_FRONTIER_H
#define BROOD_FRONTIER_H

#include "eval/report.h"

enum { FRONTIER_LEVELS_MAX = 32 };

struct frontier_point {
    int run, k; /* of the report; samples, or the strategy's n */
    double tokens, flops;
    struct interval accuracy;
    struct interval levels[FRONTIER_LEVELS_MAX]; /* [n_levels] */
    double *shares;                              /* [n_problems] */
};

struct frontier_line {
    char *name;
    struct frontier_point *points; /* [n], ascending FLOP */
    size_t n, cap;
};

/* What a line needs for the accuracy that a point of another has, as a multiple of that point's cost. */
struct frontier_match {
    int line, point, reference; /* indices */
    double tokens, flops;       /* of the reference / of the point; INFINITY: it never gets there */
};

/* A point against the one-sample run of a larger policy. */
struct frontier_gain {
    int line, point, reference, reference_point;
    struct interval gain; /* over pairs */
    double flops;         /* of the point / of the reference */
};

struct frontier {
    struct frontier_line *lines;
    size_t n_lines, cap_lines;
    int n_problems;
    bool by_difficulty;
    int levels[FRONTIER_LEVELS_MAX], n_levels; /* 5 the hardest, where by difficulty */
    int counts[FRONTIER_LEVELS_MAX];           /* problems */
    int *level_of;                             /* [n_problems] index into levels */
    struct frontier_match *matches;
    size_t n_matches, cap_matches;
    struct frontier_gain *gains;
    size_t n_gains, cap_gains;
};

/* Of all runs of the report that have a reckoning. Free with frontier_fini in any case. */
MUST bool frontier_make(struct frontier *f, const struct report *r, bool by_difficulty, struct err *e);
void frontier_fini(struct frontier *f);
json_t *frontier_json(const struct frontier *f, const struct report *r); /* docs/json.md */

#endif
