/* greedy.c - one solution, always the likeliest token. Nothing is scored: there is nothing to choose from. */
#include "search/strategies.h"

static void init(struct search *s) {
    search_want_expand(s, 0, true);
}

static void told(struct search *s, int node) {
    UNUSED(s);
    UNUSED(node);
}

static const struct search_ops ops = {
    .size = sizeof(struct search), .init = init, .told_node = told, .told_score = told};

const struct search_strategy search_greedy = {
    .name = "greedy",
    .summary = "one solution at temperature 0",
    .source = "the usual baseline",
    .example = "greedy",
    .ops = &ops,
};
