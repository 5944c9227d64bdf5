/* engine.h - batched transformer inference over a tree of key-value caches.
 *
 * An engine is a loaded model with its page pool and its scheduler. A branch is one path of its KV tree:
 * the token ids from the root, of which a prefix has been computed. Forking is O(1): a fork shares all
 * that its parent holds, and copies at most one page of KV_PAGE positions when it first grows. Tokens are
 * the truth and pages a cache: pages of idle branches are evicted (least recently used first) when the
 * pool is full and computed again when needed, with the same bits.
 *
 *     root "Q: ..." ─┬─ fork, 12 tokens ─┬─ fork, 9 tokens
 *                    │                   └─ fork, 14 tokens     a shared prefix is stored and computed once
 *                    └─ fork, 10 tokens
 *
 * Work is asked for with engine_generate and engine_read, carried on by engine_step (one forward pass over
 * the rows of many requests: continuous batching), and told by engine_next. A row's result does not depend
 * on the batch it is in, so neither does any token.
 *
 *     struct branch *root = engine_root(en);
 *     branch_append(root, ids, n);
 *     for (i = 0; i < 64; i++)
 *         engine_generate(en, &(struct engine_generate){.branch = branch_fork(root), .key = ..., ...});
 *     while (engine_step(en, &e) > 0)
 *         while (engine_next(en, &event)) ...
 *
 * Ownership: branches belong to their engine and are counted: branch_release drops the caller's reference;
 * shared pages go with their last user, a pruned branch's own pages at once. Requests borrow their branch
 * until their event is told or they are cancelled.
 * Threads: one thread owns an engine and its branches; engine_step uses the engine's own pool inside.
 */
#ifndef BROOD_ENGINE_H
#define BROOD_ENGINE_H

#include "base/cost.h"
#include "base/err.h"
#include "model/model.h"

struct engine;
struct branch;

/* How threads share a forward pass; bits do not depend on it. Other than AUTO for tests and measurements. */
enum engine_sharing { ENGINE_SHARING_AUTO, ENGINE_SHARING_ROWS, ENGINE_SHARING_PANELS };

/* The type in which keys and values are kept: half the bytes for a rounding to 11 bits. AUTO: F16 where any
 * matrix of the model is coded (Q8_0, Q4_0, ...), else F32. Tokens are bit-exact within a type, not between.
 */
enum engine_kv { ENGINE_KV_AUTO, ENGINE_KV_F32, ENGINE_KV_F16 };
/* "auto", "f32" or "f16"; NULL: auto. */
MUST bool engine_kv_parse(const char *name, enum engine_kv *out, struct err *e);

struct engine_options {
    int n_threads; /* 0: all cores */
    enum engine_kv kv;
    size_t kv_bytes; /* page pool; 0: 128 full contexts', at least 64 MiB, at most 2 GiB or half of memory */
    int n_rows_max;  /* rows of one forward pass; 0: 256 */
    enum engine_sharing sharing;
};

/* The model must outlive the engine. Weights are repacked here; refuses with a sentence when memory would
 * not do. The pool is reserved whole and touched as it is used. */
MUST struct engine *engine_open(const struct model *m, const struct engine_options *o, struct err *e);
void engine_close(struct engine *en); /* all branches must have been released, or are released with it */
const struct model *engine_model(const struct engine *en);
const char *engine_isa(const struct engine *en);
const char *engine_kv_name(const struct engine *en); /* "F32" or "F16" */
/* What its answers depend on: the model's content, and how keys and values are kept. */
uint64_t engine_identity(const struct engine *en);

/* ---- branches ---- */
struct branch *engine_root(struct engine *en); /* an empty path */
struct branch *branch_fork(struct branch *b);  /* same path; b must not be generating */
void branch_append(struct branch *b, const int *tokens,
                   size_t n); /* computed when needed; no request in flight */
/* Takes back the last token, an end token that was sampled last and that nothing follows: it has not been
 * computed. */
void branch_take_back(struct branch *b);
void branch_release(struct branch *b); /* no request in flight */
size_t branch_length(const struct branch *b);
size_t branch_computed(const struct branch *b); /* leading positions whose pages are resident */
void branch_tokens(const struct branch *b, size_t first, size_t n, int *out);

/* ---- requests ---- */
struct engine_sampling { /* order of the filters: sampler.h */
    float temperature;   /* 0: greedy (ties: lowest id) */
    int top_k;           /* 0: off */
    float top_p;         /* 0 or 1: off */
    float min_p;         /* 0: off */
};

enum engine_stop {
    ENGINE_STOP_NO,
    ENGINE_STOP_AFTER, /* the token just sampled is the last one of this request */
};

/* Called on the stepping thread for each sampled token; decides whether the request ends with it. It may
 * not call the engine. */
typedef enum engine_stop engine_on_token(void *ctx, int token, float logprob);

struct engine_generate {
    uint64_t id;           /* the caller's */
    struct branch *branch; /* length > 0, no request in flight; grows by the tokens sampled */
    uint64_t key;          /* random stream; token at position t of the branch uses counter t */
    struct engine_sampling sampling;
    int n_tokens_max;          /* > 0; ends also at the model's context */
    int n_top;                 /* > 0: confidences are wanted, over so many tokens (sampler.h) */
    engine_on_token *on_token; /* NULL: only end tokens and n_tokens_max stop */
    void *ctx;
};

struct engine_read {
    uint64_t id;
    struct branch *branch; /* all its uncomputed tokens are computed; not generating */
    const size_t
        *marks; /* [n_marks] ascending positions whose head outputs are wanted, computed already or not */
    size_t n_marks;
    const int *outputs; /* [n_outputs] which head outputs */
    int n_outputs;
};

/* Both copy what they are given. A read is refused when its path is longer than the context or than the
 * whole pool. */
void engine_generate(struct engine *en, const struct engine_generate *g);
MUST bool engine_read(struct engine *en, const struct engine_read *r, struct err *e);
void engine_cancel(struct engine *en, uint64_t id); /* no event follows; the branch keeps what it has */

enum engine_end {
    ENGINE_END_TOKEN,   /* an end token was sampled: it is the branch's last token */
    ENGINE_END_STOPPED, /* on_token stopped */
    ENGINE_END_LENGTH,  /* n_tokens_max or the context is reached */
    ENGINE_END_READ,    /* a read is done */
    ENGINE_END_FAILED,  /* the model's logits were not numbers; the tokens before are good */
};

struct engine_event {
    uint64_t id;
    enum engine_end end;
    int n_tokens;             /* sampled */
    const int *tokens;        /* [n_tokens], valid until the next engine_step or engine_next, like the rest */
    const float *logprobs;    /* [n_tokens] natural logs of the probabilities at temperature 1, unfiltered */
    const float *confidences; /* [n_tokens] where n_top > 0, else NULL */
    const float *outputs;     /* reads: [n_marks][n_outputs] */
    int n_prefilled;          /* tokens computed for this request for the first time, not sampled by it */
    int n_recomputed;         /* tokens computed again because their pages had been evicted */
};

/* One forward pass over what is waiting. Returns the number of rows computed (1 if there were none but
 * events wait to be told), 0 when nothing is in flight, -1 on error: a request needs more pages than the
 * pool has. That request is dropped without an event; the others can go on. */
MUST int engine_step(struct engine *en, struct err *e);
bool engine_next(struct engine *en, struct engine_event *out);
int engine_in_flight(const struct engine *en); /* requests whose event has not been told */
int engine_wanted(const struct engine *en);    /* how many requests in flight keep its batches full */

struct engine_counters {
    uint64_t n_rows, n_steps, n_sampled, n_prefilled, n_recomputed;
    uint64_t n_pages, n_pages_used, n_pages_peak, n_evictions, n_pages_copied;
    uint64_t page_bytes; /* of one */
    double flops; /* model_flops_per_token of every row at its position, with the head outputs computed */
    double flops_recomputed; /* of that, of the n_recomputed, without heads */
};
struct engine_counters engine_counters(const struct engine *en);
/* Of those counters, in the words that services count with. */
struct cost engine_computed(const struct engine *en);
struct cost engine_recomputed(const struct engine *en);
double engine_cache_bytes(const struct engine *en); /* of keys and values, now */

/* Walks the tree, the pool and the queues and ASSERTs every invariant (kv.h lists them). For tests. */
void engine_check(const struct engine *en);

#endif
