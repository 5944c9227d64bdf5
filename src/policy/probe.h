/* probe.h - what the servers behind some URLs are, asked once when the policy is opened.
 *
 *     GET  /v1/models                    the model's name and context
 *     POST /tokenize {messages}          gives ids: then /v1/completions is asked for one token with ids
 *     POST /apply-template, /tokenize,   llama-server
 *          /completion, GET /props
 *          or /v1/completions            ik_llama.cpp's
 *     otherwise                          WIRE_CHAT
 *
 * A server that does not answer now is left to recover later, if another does. Those that answer must have
 * the same model and talk alike.
 */
#ifndef BROOD_POLICY_PROBE_H
#define BROOD_POLICY_PROBE_H

#include "http/render.h"
#include "policy/wire.h"

struct probe_found {
    enum wire_form form;
    char *model;   /* owned */
    int n_context; /* 0: not known */
};

/* model: as asked for; "": the only one that there is. */
MUST bool probe_servers(struct remote *r, int n_servers, const char *model, const char *system,
                        struct probe_found *out, struct err *e);

#endif
