/* sample.c - n independent solutions, written to their end; a reward model scores each as it arrives. With
 * stop= only as many of them as the vote needs.
 *
 * Repeated sampling (Brown et al. 2024, "Large Language Monkeys", 2407.21787). What is made of the solutions
 * is the selection's business: majority (self-consistency, 2203.11171), best (best-of-N), weighted (weighted
 * best-of-N). Solution i is child i of the root, so a run with a smaller n, or one that stops, writes the
 * first of the same solutions. Those cut off are not scored: they take part only where no solution is
 * complete.
 *
 * A search that may stop writes `window` solutions at a time and applies its rule (stop.h) when all of them
 * are told. So everything that is written is known to the decision, the answer and its cost replay exactly,
 * and nothing is thrown away; a larger window keeps the batch fuller and overshoots by at most its size less
 * one. stop=verified is such a rule too: the first verified solution in path order is that of all n.
 *
 * Where we differ from the papers: adaptive consistency looks after every sample (window=1 is that);
 * unparsable answers are no votes, and a window that has one does not agree. The rules know the vote, not the
 * reward: with --select best no rule is exact.
 */
#include <math.h>
#include <stdlib.h>

#include "base/aggregate.h"
#include "base/mem.h"
#include "search/stop.h"
#include "search/strategies.h"

enum { STOP_NONE, STOP_CERTAIN, STOP_BETA, STOP_WINDOW, STOP_VERIFIED };
enum { VOTE_ALL, VOTE_MAJORITY, VOTE_LAST, VOTES = VOTE_LAST + AGGREGATES };

static const char *const stops[] = {"none", "certain", "beta", "window", "verified", NULL};
static const char *const votes[VOTES + 1] = {"all", "majority", "last", "min", "prod", "mean", NULL};

struct sample {
    struct search search;
    int n_asked, n_waiting; /* of those asked, not told or not scored */
};

static double param(const struct sample *x, const char *key) {
    return search_spec_get(&x->search.spec, key);
}

static bool scores(const struct sample *x) {
    return x->search.context.has_reward && param(x, "score") > 0;
}

static void ask_more(struct sample *x) {
    int n_left = (int)param(x, "n") - x->n_asked;
    int n = param(x, "stop") == STOP_NONE ? n_left : MIN(n_left, (int)param(x, "window"));
    for (int i = 0; i < n; i++) {
        search_want_expand(&x->search, 0, true);
        search_want_confidences(&x->search, (int)param(x, "top"));
    }
    x->n_asked += n;
    x->n_waiting += n;
}

static void init(struct search *s) {
    ask_more((struct sample *)s);
}

/* ---- is it enough? ---- */
static double worth(const struct tree_node *v, int aggregate) {
    double w = aggregate_of((enum aggregate)aggregate, v->rewards, v->n_rewards);
    return isnan(w) ? 0 : w;
}

static bool is_certain(struct sample *x, const int *classes) {
    int n = x->n_asked, n_left = (int)param(x, "n") - n, vote = (int)param(x, "vote");
    if (vote <= VOTE_MAJORITY && !stop_certain(classes, NULL, n, n_left)) return false;
    if (vote == VOTE_MAJORITY || !scores(x)) return true;
    double *worths = mem_zalloc((size_t)n, sizeof *worths);
    bool certain = true;
    for (int a = 0; certain && a < AGGREGATES; a++) {
        if (vote != VOTE_ALL && vote != VOTE_LAST + a) continue;
        for (int i = 0; i < n; i++) worths[i] = worth(tree_get(&x->search.tree, i + 1), a);
        certain = stop_certain(classes, worths, n, n_left);
    }
    free(worths);
    return certain;
}

static bool is_enough(struct sample *x) {
    int n = x->n_asked, n_window = MIN(n, (int)param(x, "window")), n_first, n_second;
    int *classes = mem_zalloc((size_t)n, sizeof *classes);
    for (int i = 0; i < n; i++) { /* child i of the root is node i + 1 */
        const struct tree_node *v = tree_get(&x->search.tree, i + 1);
        classes[i] = v->state == TREE_SOLUTION ? v->answer_class : -1;
    }
    bool enough = false;
    switch ((int)param(x, "stop")) {
    case STOP_CERTAIN:
        enough = is_certain(x, classes);
        break;
    case STOP_BETA:
        stop_two_largest(classes, n, &n_first, &n_second);
        enough = n_first > 0 && stop_beta(n_first, n_second) >= param(x, "threshold");
        break;
    case STOP_WINDOW:
        enough = stop_window(classes + n - n_window, n_window);
        break;
    case STOP_VERIFIED:
        enough = search_is_verified(&x->search);
        break;
    }
    free(classes);
    return enough;
}

static void one_less(struct sample *x) {
    if (--x->n_waiting == 0 && x->n_asked < (int)param(x, "n") && !is_enough(x)) ask_more(x);
}

static void told_node(struct search *s, int node) {
    if (scores((struct sample *)s) && tree_get(&s->tree, node)->state == TREE_SOLUTION)
        search_want_score(s, node);
    else
        one_less((struct sample *)s);
}

static void told_score(struct search *s, int node) {
    UNUSED(node);
    one_less((struct sample *)s);
}

static const struct search_ops ops = {
    .size = sizeof(struct sample), .init = init, .told_node = told_node, .told_score = told_score};

static const struct search_param params[] = {
    {"n", SEARCH_PARAM_INT, 16, 1, 100000, NULL, "solutions, at most", false},
    {"stop", SEARCH_PARAM_CHOICE, STOP_NONE, 0, STOP_VERIFIED, stops,
     "as soon as the vote is certain, likely (beta), a window agrees, or a solution is verified", true},
    {"threshold", SEARCH_PARAM_REAL, 0.95, 0.5, 1, NULL, "stop=beta: how likely the leader must be", true},
    {"window", SEARCH_PARAM_INT, 4, 1, 4096, NULL, "with stop: solutions written between two looks", true},
    {"vote", SEARCH_PARAM_CHOICE, VOTE_ALL, 0, VOTES - 1, votes,
     "stop=certain: the vote meant; or weighted by this aggregate", true},
    {"top", SEARCH_PARAM_INT, 0, 0, 1000, NULL,
     "tells confidences, over so many likeliest tokens, to choose by; 0: none", true},
    {"score", SEARCH_PARAM_INT, 1, 0, 1, NULL, "0: the reward model is not asked, for majority votes", true},
    SEARCH_SAMPLING_PARAMS,
};

const struct search_strategy search_sample = {
    .name = "sample",
    .summary = "n independent solutions, to vote on or to choose the best of",
    .source = "Brown et al. 2024 (2407.21787); Wang et al. 2022 (2203.11171)",
    .example = "sample:n=64,temperature=0.8,stop=certain",
    .params = params,
    .n_params = (int)ARRAY_LEN(params),
    .ops = &ops,
};
