/* render.h - conversations and texts into token ids, by the server that has the model.
 *
 *     POST /tokenize {messages}          vLLM, SGLang
 *     POST /apply-template, /tokenize    llama-server
 *     POST /tokenize {prompt|content}    of a plain text
 *     POST /detokenize {tokens}          the text of one token
 *
 * A rendering is an ask among the others, or two, one after the other:
 *
 *     rendering_turns(&x, &at, ...)                     RENDER_ASKED
 *     while ((a = remote_next(remote)))
 *         if (a->ctx) rendering_over(a->ctx)            RENDER_DONE: x.ids or x.text; RENDER_REFUSED: x.why
 *     rendering_fini(&x)                                in any state
 *
 * It stays where it is until rendering_fini. render_* wait for it, while other asks go on: for what is found
 * out when a model is opened.
 */
#ifndef BROOD_HTTP_RENDER_H
#define BROOD_HTTP_RENDER_H

#include "http/question.h"
#include "http/wire.h"

/* Servers with a model, and so with its tokenizer. */
struct render_at {
    struct remote *remote; /* borrowed, like the model's name */
    enum wire_form form;
    const char *model;
    double seconds_max; /* of one request; 0: a probe of one server, given up after a few tries */
    int only;           /* of a probe: that server */
};

enum render_state { RENDER_ASKED, RENDER_DONE, RENDER_REFUSED };

struct rendering {
    struct ask ask;      /* first; its ctx is the rendering */
    struct render_at at; /* who is asked */
    enum render_state state;
    struct wire_ids ids; /* not empty, but of rendering_token */
    char *text;          /* of rendering_token: owned; NULL: the server does not tell */
    char *template_text; /* that is cut next */
    struct err why;      /* refused: ERR_INPUT; ERR_SERVICE: only senseless answers came */
};

/* A conversation (as wire_put_messages), opened for the next answer; WIRE_IDS, WIRE_LLAMA, WIRE_IK. */
void rendering_turns(struct rendering *x, const struct render_at *at, const char *system,
                     const char *const *turns, size_t n_turns, uint64_t affinity);
/* A text that stands inside of another; one that begins there, with what the tokenizer puts before it. */
void rendering_cut(struct rendering *x, const struct render_at *at, const char *text, uint64_t affinity);
void rendering_begun(struct rendering *x, const struct render_at *at, const char *text, uint64_t affinity);
void rendering_token(struct rendering *x, const struct render_at *at, int id, uint64_t affinity);
/* Its ask has ended (remote_next): the next is made, or the state says how it came out. */
void rendering_over(struct rendering *x);
void rendering_fini(struct rendering *x); /* all zero is legal */

/* Waits. False with ERR_SERVICE: gone for good, or only senseless answers; with ERR_INPUT: refused (too long,
 * no such page). */
MUST bool rendering_wait(struct rendering *x, struct err *e);
MUST bool render_turns(const struct render_at *at, const char *system, const char *const *turns,
                       size_t n_turns, struct wire_ids *ids, struct err *e);
MUST bool render_cut(const struct render_at *at, const char *text, struct wire_ids *ids, struct err *e);
MUST bool render_begun(const struct render_at *at, const char *text, struct wire_ids *ids, struct err *e);

#endif
