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

/* How a kind puts its leads: all as text that goes on; REVISE as a turn of the user's; all as turns. */
enum policy_lead_style { POLICY_LEADS_TEXT, POLICY_LEADS_REVISE_TURN, POLICY_LEADS_TURNS };
/* Fills info.leads by the style and the options, and has_leads. */
void policy_set_leads(struct policy *p, enum policy_lead_style style, const struct policy_options *o);
/* The words of a lead behind a text that ends with so many line breaks, appended. */
void policy_write_lead(const struct policy *p, enum policy_lead lead, struct str feedback, int n_line_breaks,
                       struct buf *out);
/* How many line breaks a text ends with. */
int policy_line_breaks(struct str text);

/* Writes a hash as info.identity. */
void policy_set_identity(struct policy *p, uint64_t hash);

/* ---- jobs of kinds that compute nothing: first in, first out (or keyed order) ---- */
struct policy_queued {
    struct policy_job job; /* its feedback is owned */
    uint64_t due;          /* the turn in which it may be answered */
};

struct policy_queue {
    struct policy_queued *items; /* [n_jobs]; the first n_ready may be answered */
    size_t n_jobs, n_ready, cap;
    int n_turns_max; /* a job takes one turn of work; above 1: up to so many, by its key */
    uint64_t n_turns;
    char *feedback; /* of the job taken last */
};

void policy_queue_add(struct policy_queue *q, const struct policy_job *job);
void policy_queue_cancel(struct policy_queue *q, uint64_t id);
int policy_queue_work(struct policy_queue *q); /* one turn; how many jobs there are */
bool policy_queue_take(struct policy_queue *q, bool shuffle,
                       struct policy_job *out); /* shuffle: lowest key first */
void policy_queue_free(struct policy_queue *q);

#endif
