/* wire.h - what all that goes over the wire to OpenAI-compatible servers shares: token ids, conversations,
 * and how servers cut text into tokens.
 *
 * Four kinds of servers, found out by asking:
 *
 *     WIRE_IDS     vLLM, SGLang: /tokenize takes messages and texts, /v1/completions token ids
 *     WIRE_LLAMA   llama-server: /apply-template and /tokenize, its own /completion with token ids
 *     WIRE_IK      ik_llama.cpp's llama-server: the same, but ids stand only among the log-probabilities of
 * its /v1/completions WIRE_CHAT    anything else: messages in, text out
 *
 * Requests are appended to a buffer as JSON. Answers are foreign: counts are bounded, ids are not negative.
 */
#ifndef BROOD_HTTP_WIRE_H
#define BROOD_HTTP_WIRE_H

#include "base/json.h"

enum wire_form { WIRE_IDS, WIRE_LLAMA, WIRE_CHAT, WIRE_IK };

/* Renders conversations to text (/apply-template) before it cuts them. */
static inline bool wire_is_llama(enum wire_form form) {
    return form == WIRE_LLAMA || form == WIRE_IK;
}

struct wire_ids {
    int *ptr;
    size_t len, cap;
};
void wire_ids_add(struct wire_ids *ids, const int *more, size_t n);
void wire_ids_free(struct wire_ids *ids);

/* A conversation to be rendered: {model, messages, add_generation_prompt}. system may be NULL. turns: what
 * was said, the user first, then by turns. */
void wire_put_messages(struct buf *out, const char *model, const char *system, const char *const *turns,
                       size_t n_turns);
/* Text to be cut into tokens, special ones included (llama-server). */
void wire_put_content(struct buf *out, const char *text);
/* Text to be cut into tokens as it stands, without any put before it. */
void wire_put_plain(struct buf *out, enum wire_form form, const char *model, const char *text);
/* Likewise, with what the tokenizer puts before a text. */
void wire_put_begun(struct buf *out, enum wire_form form, const char *model, const char *text);
/* A token whose text is asked for, and its text; NULL: none in the answer. */
void wire_put_token(struct buf *out, const char *model, int id);
const char *wire_token_text(const json_t *answer);
/* "tokens": a list of ids, not empty. */
MUST bool wire_take_ids(const json_t *answer, struct wire_ids *ids, struct err *e);

/* Pieces of a request: a string with its quotes; "1,2,3"; "messages":[...]; {"model":"...",  (with the
 * comma). */
void wire_put_string(struct buf *out, const char *s);
void wire_put_ids(struct buf *out, const int *ids, size_t n, bool first); /* first: no comma before them */
void wire_put_conversation(struct buf *out, const char *system, const char *const *turns, size_t n_turns);
void wire_put_model(struct buf *out, const char *model);

/* Sets *e: the answer makes no sense, for `what`; returns false. */
bool wire_senseless(struct err *e, const char *what);
/* At most n_max ids are appended. */
MUST bool wire_take_list(const json_t *list, size_t n_max, struct wire_ids *ids, struct err *e);
double wire_count(const json_t *object, const char *key); /* a count; 0 where there is none */

#endif
