/* kept.h - what a long check has decided so far, in a file beside its results: killed at any moment, the same
 * command goes on from there.
 *
 *     {"check": "9f3a..."}        which check it is: everything that has a say in a verdict, hashed
 *     [17, "passed", ...]         a thing that was decided, by its number; one write each
 *
 * A file of another check is begun anew, a last line that was cut off is dropped. Ownership: values that are
 * got are borrowed until close. One process at a time: the file is locked.
 */
#ifndef BROOD_KEPT_H
#define BROOD_KEPT_H

#include "base/err.h"
#include "base/json.h"

struct kept;

/* path NULL, or a result that goes to what is no regular file (/dev/null): nothing is kept. n things are to
 * be decided; `ending` is put behind the path. */
MUST bool kept_open(struct kept **out, const char *path, const char *ending, uint64_t check, size_t n,
                    struct err *e);
const json_t *kept_get(const struct kept *k, size_t i); /* the line's list; NULL: not decided */
MUST bool kept_add(struct kept *k, size_t i, json_t *list,
                   struct err *e);                      /* takes the list, which begins with i */
bool kept_lasts(const struct kept *k);                  /* false: nothing is kept */
void kept_close(struct kept *k);                        /* NULL is legal; the file stays */
void kept_remove(const char *path, const char *ending); /* once the results are written */

#endif
