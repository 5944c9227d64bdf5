/* answer_json.h - a struct brood_answer as JSON: what `brood solve --json` prints and a server replies
 * (docs/json.md). */
#ifndef BROOD_ANSWER_JSON_H
#define BROOD_ANSWER_JSON_H

#include "base/json.h"
#include "brood.h"

/* strategy: in full. Owned. */
json_t *answer_json(const struct brood_answer *a, const char *problem, const char *strategy,
                    bool with_solutions);
json_t *answer_json_classes(const struct brood_answer *a); /* owned */

json_t *answer_json_text(const char *s); /* null for NULL; owned */
json_t *answer_json_real(double x);      /* null unless finite; owned */

#endif
