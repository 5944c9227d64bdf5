/* ways.h - the ways in which servers score text: what is asked, and what may come back.
 *
 *     way         one request holds             POST                             a reward is
 *     pooling     the steps so far, as ids      /pooling (vLLM)                  a row of probabilities a
 * step, or a token: those of closings classify    the steps so far, as ids      /classify (vLLM; SGLang) the
 * class's probability; the logistic of SGLang's number logprob     the steps so far, as ids /v1/completions
 * (vLLM),          good / (good + bad) of two /generate (SGLang),              tokens' probabilities
 *                                               /completion (llama-server; ik_llama.cpp's:
 *                                               /v1/completions)
 *     score       problem, solutions so far     /v1/score                        as given
 *     rerank      problem, solutions so far     /v1/rerank                       as given; the logistic of
 *                                                                                llama-server's number
 *     judge       problem, steps, a question    /v1/chat/completions             "SCORE: N" on the last line,
 *                                                                                N of 0 to 100
 *
 * pooling, score and rerank give the rewards of several steps in one answer; of the others each step is a
 * request. A reward is in [0,1], or the answer makes no sense: a server that gives logits where probabilities
 * were asked for is not guessed at.
 *
 * logprob: a token that is not among those that the server tells (20 of vLLM's, 100 of llama-server's, 10 of
 * ik_llama.cpp's, which fails where one of more is no UTF-8) counts as impossible; where neither is, the
 * answer makes no sense.
 */
#ifndef BROOD_REWARD_WAYS_H
#define BROOD_REWARD_WAYS_H

#include "http/wire.h"

enum way { WAY_POOLING, WAY_CLASSIFY, WAY_LOGPROB, WAY_SCORE, WAY_RERANK, WAY_JUDGE };
enum way_server { WAY_VLLM, WAY_SGLANG, WAY_LLAMA, WAY_OTHER, WAY_IK };

struct ways_ask {
    enum way way;
    enum way_server server;
    const char *model;
    struct wire_ids ids; /* pooling, classify, logprob: what is read */
    const size_t *ends;  /* pooling: [n] places of the last ids of the closings of the steps asked about */
    int n;               /* rewards asked for */
    int n_steps;         /* pooling: steps in all, those before included */
    int good, bad;       /* logprob: tokens */
    const char *query;   /* score, rerank: the problem; judge: the whole question */
    char *const *texts;  /* score, rerank: [n] solutions so far */
    const char *system;  /* judge; NULL: none */
    int n_try;           /* judge: from 0; each has another seed, the first is greedy */
};

enum { WAYS_JUDGE_TOKENS_MAX = 2048 };

const char *ways_path(enum way way, enum way_server server, bool *at_root);
void ways_put(const struct ways_ask *a, struct buf *out);

struct ways_answer {
    float *rewards;  /* [n] filled by ways_take */
    double n_tokens; /* read and written, as the server counts them; 0: it does not say */
    double n_written;
    bool unread; /* judge: a sensible answer that ends with no score */
};
MUST bool ways_take(const struct ways_ask *a, const json_t *answer, struct ways_answer *out, struct err *e);

/* The score of a judge's reply: its last line that is not blank is exactly "SCORE: N". False: it has none. */
MUST bool ways_judged(const char *reply, float *reward);

#endif
