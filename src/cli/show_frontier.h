/* show_frontier.h - accuracy against cost over many runs, for the terminal. */
#ifndef BROOD_SHOW_FRONTIER_H
#define BROOD_SHOW_FRONTIER_H

#include "eval/frontier.h"

void show_frontier(const struct frontier *f);

#endif
