/* render.h - conversations and texts into token ids, by the server that has the model.
 *
 *     POST /tokenize {messages}          vLLM, SGLang
 *     POST /apply-template, /tokenize    llama-server
 *     POST /tokenize {prompt|content}    of a plain text
 *     POST /detokenize {tokens}
 *
 * All of these wait for the server while other asks go on. False with ERR_SERVICE: gone for good; with
 * ERR_INPUT: refused (too long, no such page).
 */
#ifndef BROOD_HTTP_RENDER_H
#define BROOD_HTTP_RENDER_H

#include "http/question.h"
#include "http/wire.h"

/* The ids of a conversation; WIRE_IDS and WIRE_LLAMA. only: that server, as a probe; -1: any, until it is
 * answered, in requests of at most seconds_max each. */
MUST bool render_turns(struct remote *r, int only, enum wire_form form, const char *model, const char *system,
                       const char *const *turns, size_t n_turns, uint64_t affinity, double seconds_max,
                       struct wire_ids *ids, struct err *e);
/* The ids of a text that stands inside of another; likewise, of any server. */
MUST bool render_cut(struct remote *r, enum wire_form form, const char *model, const char *text,
                     uint64_t affinity, double seconds_max, struct wire_ids *ids, struct err *e);
/* The text of a token, owned; *text NULL: the server does not tell. */
MUST bool render_token_text(struct remote *r, const char *model, int id, uint64_t affinity,
                            double seconds_max, char **text, struct err *e);

#endif
