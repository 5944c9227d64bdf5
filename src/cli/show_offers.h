/* show_offers.h - what so many samples of each run buy, on the terminal. */
#ifndef BROOD_CLI_SHOW_OFFERS_H
#define BROOD_CLI_SHOW_OFFERS_H

#include "eval/offers.h"

void show_offers(const struct report *r, const struct offers *o);

#endif
