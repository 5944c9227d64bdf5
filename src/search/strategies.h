/* strategies.h - the rows of the table in strategies.c, one a file. */
#ifndef BROOD_STRATEGIES_H
#define BROOD_STRATEGIES_H

#include "search/search.h"

extern const struct search_strategy search_greedy, search_sample, search_beam, search_dvts, search_mcts,
    search_revise, search_ab_mcts, search_sal_beam, search_its_pf, search_deepconf, search_budget_forcing,
    search_adaptive;

#endif
