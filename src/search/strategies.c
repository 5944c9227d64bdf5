/* strategies.c - the table of strategies: a new one is a file of its own and a row here. */
#include "search/strategies.h"

const struct search_strategy *const search_strategies[] = {
    &search_greedy,
    &search_sample,
    &search_beam,
    &search_dvts,
    &search_mcts,
    &search_revise,
    &search_ab_mcts,
    &search_deepconf,
    &search_budget_forcing,
    &search_sal_beam,
    &search_its_pf,
    &search_adaptive,
    NULL,
};
