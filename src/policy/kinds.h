/* kinds.h - inside the room: how policy.c opens each kind, and what kinds share.
 *
 * An open function gets what follows the kind's prefix in the spec ("FILE" of "replay:FILE") and fills ops
 * and info but for the name, which policy.c keeps.
 */
#ifndef BROOD_POLICY_KINDS_H
#define BROOD_POLICY_KINDS_H

#include "policy/policy.h"

typedef struct policy *policy_open_kind(const char *rest, const struct policy_options *o, struct err *e);
policy_open_kind policy_open_embedded; /* a folder */
policy_open_kind policy_open_lab;      /* the name of a bundled model */
policy_open_kind policy_open_replay;
policy_open_kind policy_open_toy;
policy_open_kind policy_open_openai; /* gets the whole spec: http://... */

/* The step separator that the options ask for. */
struct str policy_separator(const struct policy_options *o);

/* Writes a hash as info.identity. */
void policy_set_identity(struct policy *p, uint64_t hash);

/* ---- jobs of kinds that answer at once: first in, first out (or keyed order) ---- */
struct policy_queue {
    struct policy_job *jobs; /* [n_jobs]; the first n_ready may be answered */
    size_t n_jobs, n_ready, cap;
};

void policy_queue_add(struct policy_queue *q, const struct policy_job *job);
void policy_queue_cancel(struct policy_queue *q, uint64_t id);
int policy_queue_work(struct policy_queue *q); /* makes all ready; how many became so, or 0 */
bool policy_queue_take(struct policy_queue *q, bool shuffle,
                       struct policy_job *out); /* shuffle: lowest key first */
void policy_queue_free(struct policy_queue *q);

#endif
