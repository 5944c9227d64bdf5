/* value.h - what a step comes to: the last value that its text names, as a hash.
 *
 *     "8*25 = 200.\n\n", "25*8 = 200, so 200 nuts.\n\n"   the same: 200
 *
 * The value is what answer_extract finds: a declared answer, else the last mathematics, else the last number.
 * Values are compared as text, so 0.5 and 1/2 differ. 0: the text names none.
 */
#ifndef BROOD_VALUE_H
#define BROOD_VALUE_H

#include "base/str.h"

uint64_t value_hash(struct str text);

#endif
