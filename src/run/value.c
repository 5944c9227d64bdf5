/* value.c - see value.h. */
#include "run/value.h"

#include "answer/extract.h"
#include "base/rng.h"

uint64_t value_hash(struct str text) {
    struct str value;
    if (!answer_extract(text, ANSWER_TRY_MATH | ANSWER_TRY_NUMBER, &value, NULL)) return 0;
    return MAX(rng_hash(0, value.ptr, value.len), 1);
}
