/* fence.h - blocks between lines of ``` in what a policy wrote: code, a proof, a patch. */
#ifndef BROOD_FENCE_H
#define BROOD_FENCE_H

#include "base/str.h"

/* The next block from *at on (0 first), without its fences; a view into the text. `closing` ends it: "```",
 * or "\n```" where ``` may stand inside of a line; without one it goes on to the end. False: no more. */
bool fence_next(struct str text, size_t *at, struct str closing, struct str *block);

#endif
