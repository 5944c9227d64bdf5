/* wire.h - what a job asks of a server, and what may come back.
 *
 * Four ways to talk, found out when the policy is opened (openai.c):
 *
 *     WIRE_IDS     vLLM, SGLang: POST /v1/completions with token ids, and ids come back
 *     WIRE_LLAMA   llama-server: POST /completion, its own endpoint, likewise with ids
 *     WIRE_IK      ik_llama.cpp: POST /v1/completions, ids among the log-probabilities
 *     WIRE_CHAT    anything else: POST /v1/chat/completions, whole answers as text
 *
 * Where a step ended. The separator is a stop text, which the server is asked to keep
 * (include_stop_str_in_output, no_stop_trim); llama-server never keeps it and names it, and it is put back.
 * A text that stopped is a step if the server names the separator as what matched (stop_reason,
 * matched_stop, stopping_word), or if it ends with the separator: a server that stops at the separator cannot
 * write one and go on. Any other stop is the end of the answer.
 *
 * The ids of a step hold its last token whole. Where that token goes on behind the separator ("\n\n\n"), the
 * text is cut and the ids are not: the next step continues the ids, which are what the model wrote.
 *
 * Answers are foreign: counts are bounded, ids are not negative, texts are UTF-8.
 */
#ifndef BROOD_POLICY_WIRE_H
#define BROOD_POLICY_WIRE_H

#include "http/wire.h"
#include "policy/policy.h"

struct wire_job {
    enum wire_form form;
    const char *model;
    const char *system, *const *turns; /* of WIRE_CHAT: as wire_put_messages */
    size_t n_turns;
    const int *ids, *more; /* the prompt: ids[n_ids], then more[n_more] */
    size_t n_ids, n_more;
    const char *separator; /* stop there; NULL: at the end alone */
    int n_tokens_max;
    int n_top;     /* > 0: confidences are wanted, over so many tokens */
    uint32_t seed; /* 31 bits: what every server takes */
    struct policy_sampling sampling;
};
const char *wire_path(enum wire_form form, bool *at_root);
void wire_put_job(struct buf *out, const struct wire_job *job);

struct wire_answer {
    struct buf text;
    struct wire_ids ids; /* none of WIRE_CHAT */
    float *confidences;  /* [n_confidences] one a token, the last may lack; NULL: the server told none */
    size_t n_confidences;
    enum policy_finish finish;
    bool is_unsure;  /* WIRE_IK: it stopped at its last id, which ends the answer or a step: wire_decide */
    int n_tokens;    /* generated, end token included where the server counts it; 0: not known */
    double logprob;  /* NAN: not known */
    double n_read;   /* prompt tokens that the server computed */
    double n_prompt; /* those that it counted, from its cache or not; 0: not said */
};
/* separator, n_tokens_max, n_top: as in the job. False: the answer makes no sense. Free with wire_answer_free
 * in any case. */
MUST bool wire_take_job(enum wire_form form, const json_t *answer, const char *separator, int n_tokens_max,
                        int n_top, struct wire_answer *out, struct err *e);
/* The same as wire_take_job of WIRE_IDS and n_top 0, from the text itself, several times as fast. False: it
 * is not the common answer, and wire_take_job decides. Free *out in any case. */
MUST bool wire_skim_job(struct str body, const char *separator, int n_tokens_max, struct wire_answer *out);
/* last: the text of the last id. It ends a step if it has the separator in it, or is the end of one. */
void wire_decide(struct wire_answer *a, const char *last, const char *separator);
void wire_answer_free(struct wire_answer *a);

/* An answer that is not expected to be longer than this: n_tokens_max tokens with their log-probabilities. */
size_t wire_bytes_max(int n_tokens_max, int n_top);

#endif
