/* force.c - a thinking budget: a thought that ends too early is made to go on, one that does not end is made
 * to answer (Muennighoff et al. 2025, "s1: Simple test-time scaling", budget forcing, 2501.19393).
 *
 *     thought of `max` tokens at most ── ended, fewer than `min` tokens and `waits` left ──> WAIT, and on
 *                                     └─ cut off ──> ANSWER, `answer` tokens at most
 *
 * min=0 makes every thought go on `waits` times, which is what s1 reports. `n` samples think each for
 * themselves; the vote is the selection's. What was made to go on is replaced by what it became (tree.h,
 * tree_candidates); where that failed, it stands.
 *
 * Where we differ. s1 suppresses the token that ends the thought as it is drawn; here the answer has been
 * written when its end is seen, and is taken back with the mark that ends the thought (policy.h), or alone by
 * policies that have no such mark: then the whole solution is the thought, and `max` counts all of it. s1's
 * minimum has no limit of waits; ours is `waits`.
 */
#include <math.h>

#include "search/strategies.h"

static int param(const struct search *s, const char *key) {
    return (int)search_spec_get(&s->spec, key);
}

/* Tokens kept for the answer; those that thinking may use. */
static int answer_tokens(const struct search *s) {
    return MIN(param(s, "answer"), s->context.n_tokens_answer_max - 1);
}

static int thought_tokens(const struct search *s) {
    const int n_most = s->context.n_tokens_answer_max - answer_tokens(s), max = param(s, "max");
    return max > 0 ? MIN(max, n_most) : n_most;
}

/* tag: how often the thought was made to go on. */
static void think(struct search *s, int parent, enum tree_lead lead, int n_waits) {
    const int n_used = tree_get(&s->tree, parent)->n_tokens_solution;
    const int node = search_want_lead(s, parent, true, lead);
    search_want_tokens(s, lead == TREE_LEAD_ANSWER ? answer_tokens(s) : thought_tokens(s) - n_used);
    tree_get(&s->tree, node)->tag = n_waits;
}

static void init(struct search *s) {
    for (int i = 0; i < param(s, "n"); i++) think(s, 0, TREE_LEAD_NONE, 0);
}

/* The sample is over: its last solution is what counts. */
static void stand(struct search *s, int node) {
    while (node > 0 && tree_get(&s->tree, node)->state != TREE_SOLUTION)
        node = tree_get(&s->tree, node)->parent;
    if (s->context.has_reward) search_want_score_path(s, node);
}

static void told_node(struct search *s, int node) {
    const struct tree_node v = *tree_get(&s->tree, node);
    const int n_thought = v.n_tokens_solution, min = param(s, "min");
    const bool short_of = min == 0 || n_thought < min;
    if (v.lead == TREE_LEAD_ANSWER)
        stand(s, node);
    else if (v.state == TREE_CUT && answer_tokens(s) > 0)
        think(s, node, TREE_LEAD_ANSWER, v.tag);
    else if (v.state == TREE_SOLUTION && v.tag < param(s, "waits") && short_of &&
             n_thought < thought_tokens(s))
        think(s, node, TREE_LEAD_WAIT, v.tag + 1);
    else
        stand(s, node);
}

static void told_score(struct search *s, int node) {
    UNUSED(s);
    UNUSED(node);
}

static const struct search_ops ops = {
    .size = sizeof(struct search), .init = init, .told_node = told_node, .told_score = told_score};

static const struct search_param params[] = {
    {"n", SEARCH_PARAM_INT, 1, 1, 100000, NULL, "samples, each with a thought of its own", false},
    {"waits", SEARCH_PARAM_INT, 1, 0, 1000, NULL, "how often a thought that ended is made to go on, at most",
     false},
    {"min", SEARCH_PARAM_INT, 0, 0, 1 << 24, NULL,
     "tokens of thought; only one with fewer goes on; 0: every one does", false},
    {"max", SEARCH_PARAM_INT, 0, 0, 1 << 24, NULL,
     "tokens of thought, at most; 0: what --max-tokens and answer leave", false},
    {"answer", SEARCH_PARAM_INT, 64, 0, 1 << 20, NULL, "tokens for the answer that is forced then", false},
    SEARCH_SAMPLING_PARAMS,
};

const struct search_strategy search_budget_forcing = {
    .name = "budget-forcing",
    .summary = "thoughts of a set length: made to go on when they end early, made to answer at the limit",
    .source = "Muennighoff et al. 2025, s1 (2501.19393)",
    .example = "budget-forcing:n=8,waits=2,max=512",
    .revises = true,
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
