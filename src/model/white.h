/* white.h - white space as Python's str.isspace() and str.strip() see it, which chat templates rely on. */
#ifndef BROOD_WHITE_H
#define BROOD_WHITE_H

#include "base/str.h"

bool white_is_space(uint32_t scalar);
struct str white_strip(struct str s, bool left, bool right);

#endif
