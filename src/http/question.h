/* question.h - a thing asked of servers once: what they are, how they cut a text into tokens. question_ask
 * waits, and is for what is found out when a model is opened, before anything runs.
 *
 *     q = question_at(server)      that server alone, given up after a few tries: a probe
 *     q = question_to_any(...)     of any server, until it is answered
 *     question_ask(r, &q, ...)     false: the servers are gone for good; q.answer is set if it was answered
 *     question_fini(&q)
 */
#ifndef BROOD_HTTP_QUESTION_H
#define BROOD_HTTP_QUESTION_H

#include "http/remote.h"

struct question {
    struct ask ask; /* first; its body is set by the caller and used up by question_ask */
    json_t *answer; /* owned; NULL: refused, or not answered */
};

struct question question_at(int server);
struct question question_to_any(uint64_t affinity, double seconds_max);
/* Fills in the rest of an ask that question_at or question_to_any began, and sends it. */
void question_send(struct remote *r, struct ask *a, const char *path, bool at_root, ask_read *read);
/* Sends and waits; other asks go on meanwhile. */
MUST bool question_ask(struct remote *r, struct question *q, const char *path, bool at_root, ask_read *read,
                       struct err *e);
void question_fini(struct question *q);

/* Readers: any answer is kept; one that has the right shape (else "no `what`"). */
MUST bool question_keep(struct ask *a, const json_t *answer, double *n_tokens, struct err *e);
MUST bool question_keep_if(bool fits, const char *what, struct ask *a, const json_t *answer, double *n_tokens,
                           struct err *e);
/* Why there is no answer, into *e; returns false. No answer, or only senseless ones, is the server's failure;
 * a refusal is about what was asked. To a probe, senseless answers say that the server does not talk so. */
bool question_refused(const struct remote *r, const struct question *q, struct err *e);

/* ---- which model a server has: GET /v1/models ---- */
struct question_model {
    bool there;     /* the server answered */
    char *name;     /* owned by the caller */
    char owner[16]; /* "vllm", "sglang", "llamacpp", ...; "": it does not say */
    int n_context;  /* 0: not known */
};
/* model: as asked for; "": the only one that there is. A server that does not answer is not there, with the
 * reason in *e, and true is returned; false: a wrong key, URL or name. */
MUST bool question_which_model(struct remote *r, int server, const char *model, struct question_model *out,
                               struct err *e);

#endif
