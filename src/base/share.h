/* share.h - where the bundled models and tasks lie.
 *
 * Looked for in this order: $BROOD_SHARE; beside the running program (../share/brood/lab when installed;
 * ../lab, or lab/ beside the folder called build that the program lies in, in a source tree); the
 * installation prefix known at compile time (-DBROOD_PREFIX). The first that has the asked-for file wins.
 */
#ifndef BROOD_SHARE_H
#define BROOD_SHARE_H

#include "base/err.h"

/* The path of a bundled file or folder, e.g. "models/small" or "tasks/story.jsonl". Owned. The error lists
 * where it was looked for. */
MUST char *share_path(const char *name, struct err *e);

#endif
