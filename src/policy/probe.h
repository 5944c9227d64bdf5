/* probe.h - what the servers behind some URLs are, asked once when the policy is opened.
 *
 *     GET  /v1/models                    the model's name and context
 *     POST /tokenize {messages}          gives ids: then /v1/completions is asked for one token with ids
 *     POST /apply-template, /tokenize,   llama-server
 *          /completion, GET /props
 *     otherwise                          WIRE_CHAT
 *
 * A server that does not answer now is left to recover later, if another does. Those that answer must have
 * the same model and talk alike.
 */
#ifndef BROOD_POLICY_PROBE_H
#define BROOD_POLICY_PROBE_H

#include "policy/remote.h"
#include "policy/wire.h"

struct probe_found {
    enum wire_form form;
    char *model;   /* owned */
    int n_context; /* 0: not known */
};

/* model: as asked for; "": the only one that there is. */
MUST bool probe_servers(struct remote *r, int n_servers, const char *model, const char *system,
                        struct probe_found *out, struct err *e);

/* The ids of a conversation; WIRE_IDS and WIRE_LLAMA. A refusal (too long) is ERR_INPUT. only: that server,
 * as a probe; -1: any, until it is answered, in requests of at most seconds_max each. */
MUST bool probe_render(struct remote *r, int only, enum wire_form form, const char *model, const char *system,
                       const char *const *turns, size_t n_turns, uint64_t affinity, double seconds_max,
                       struct wire_ids *ids, struct err *e);
/* The ids of a text that stands inside of another; likewise, of any server. */
MUST bool probe_cut(struct remote *r, enum wire_form form, const char *model, const char *text,
                    uint64_t affinity, double seconds_max, struct wire_ids *ids, struct err *e);
/* The text of a token, owned; *text NULL: the server does not tell. */
MUST bool probe_token_text(struct remote *r, const char *model, int id, uint64_t affinity, double seconds_max,
                           char **text, struct err *e);

#endif
