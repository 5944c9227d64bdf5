/* reply.h - what a client is sent: OpenAI's replies, chunks and errors, with what Brood adds (docs/serve.md).
 *
 * The desk's thread calls these as a search goes on; a call that nobody reads any more is written to in vain,
 * harmlessly.
 */
#ifndef BROOD_SERVE_REPLY_H
#define BROOD_SERVE_REPLY_H

#include "serve/call.h"

/* Of the services, for `begin`; reward NULL: none. */
struct reply_names {
    const char *policy, *reward;
};

void reply_queued(struct call *c, int position);
/* Another node, score or drop of its search. */
void reply_event(struct call *c, const struct run_event *event, const struct reply_names *names);
/* Text that the only solution of the search has so far. */
void reply_text(struct call *c, struct str so_far, const struct reply_names *names);
/* Sends what is due at `now`. */
void reply_flush(struct call *c, double now);
/* c->answering.answer is there: sends it all and closes. */
void reply_answer(struct call *c, const struct reply_names *names);
void reply_refuse(struct call *c, const struct refusal *why);

/* {"error":{...}}, owned, free(). */
char *reply_error_text(const struct refusal *why);

#endif
