/* sample.c - n independent solutions, written to their end; a reward model scores each as it arrives.
 *
 * Repeated sampling (Brown et al. 2024, "Large Language Monkeys", 2407.21787). What is made of the solutions
 * is the selection's business: majority (self-consistency, 2203.11171), best (best-of-N), weighted (weighted
 * best-of-N). Solution i is child i of the root, so a run with a smaller n writes the first n of the same
 * solutions. Those cut off are not scored: they take part only where no solution is complete.
 */
#include <math.h>

#include "search/strategies.h"

static void init(struct search *s) {
    int n = (int)search_spec_get(&s->spec, "n");
    for (int i = 0; i < n; i++) search_want_expand(s, 0, true);
}

static void told_node(struct search *s, int node) {
    if (s->context.has_reward && tree_get(&s->tree, node)->state == TREE_SOLUTION) search_want_score(s, node);
}

static void told_score(struct search *s, int node) {
    UNUSED(s);
    UNUSED(node);
}

static const struct search_ops ops = {
    .size = sizeof(struct search), .init = init, .told_node = told_node, .told_score = told_score};

static const struct search_param params[] = {
    {"n", SEARCH_PARAM_INT, 16, 1, 100000, NULL, "solutions"},
    SEARCH_SAMPLING_PARAMS,
};

const struct search_strategy search_sample = {
    .name = "sample",
    .summary = "n independent solutions, to vote on or to choose the best of",
    .source = "Brown et al. 2024 (2407.21787); Wang et al. 2022 (2203.11171)",
    .example = "sample:n=64,temperature=0.8",
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
