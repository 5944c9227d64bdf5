/* engine.h - batched transformer inference over a tree of key-value caches.
 *
 * An engine is a loaded model with its page pool and its scheduler. A branch is one path of its KV tree: the token ids from the root, of which
 * a prefix has been computed. Forking is O(1): a fork shares all that its parent holds, and copies at most one page of KV_PAGE positions when it
 * first grows. Tokens are the truth and pages a cache: pages of idle branches are evicted (least recently used first) when the pool is full and
 * computed again when needed, with the same bits.
 *
 *     root "Q: ..." ──┬── fork, 12 tokens ──┬── fork, 9 tokens
 *                     │                     └── fork, 14 tokens        shared prefixes are stored and computed once
 *                     └── fork, 10 tokens
 *
 * Work is asked for with engine_generate and engine_read, carried on by engine_step (one forward pass over the rows of many requests: continuous
 * batching), and told by engine_next. A row's result does not depend on the batch it is in, so neither does any token.
 *
 *     struct branch *root = engine_root(en);
 *     branch_append(root, ids, n);
 *     for (i = 0; i < 64; i++) engine_generate(en, &(struct engine_generate){.branch = branch_fork(root), .key = ..., ...});
 *     while (engine_step(en, &e) > 0)
 *         while (engine_next(en, &event)) ...
 *
 * Ownership: branches belong to their engine and are counted: branch_release drops the caller's reference; shared pages go with their last user,
 * a pruned branch's own pages at once. Requests borrow their branch until their event is told or they are cancelled.
 * Threads: one thread owns an engine and its branches; engine_step uses the engine's own pool inside.
 */
#ifndef BROOD_ENGINE_H
#define BROOD_ENGINE_H

#include "base/err.h"
#include "model/model.h"

struct engine;
struct branch;

struct engine_options {
    int n_threads;      /* 0: all cores */
    size_t kv_bytes;    /* page pool; 0: what 32 full contexts need, at least 64 MiB, at most 2 GiB */
    int n_rows_max;     /* rows of one forward pass; 0: 256 */
};

/* The model must outlive the engine. Weights are repacked here; refuses with a sentence when memory would not do. */
MUST struct engine *engine_open(const struct model *m, const struct engine_options *o, struct err *e);
void engine_close(struct engine *en); /* all branches must have been released, or are released with it */
const struct model *engine_model(const struct engine *en);
const char *engine_isa(const struct engine *en);

/* ---- branches ---- */
struct branch *engine_root(struct engine *en);        /* an empty path */
struct branch *branch_fork(struct branch *b);         /* same path; b must not have a request in flight */
void branch_append(struct branch *b, const int *tokens, size_t n); /* to be computed when needed */
void branch_release(struct branch *b);
size_t branch_length(const struct branch *b);
size_t branch_computed(const struct branch *b);       /* leading positions whose pages are resident */
void branch_tokens(const struct branch *b, size_t first, size_t n, int *out);

/* ---- requests ---- */
struct engine_sampling {
    float temperature; /* 0: greedy (ties: lowest id) */
    int top_k;         /* 0: off */
    float top_p;       /* 1: off */
    float min_p;       /* 0: off */
};

enum engine_stop {
    ENGINE_STOP_NO,
    ENGINE_STOP_AFTER, /* the token just sampled is the last one of this request */
};

/* Called on the stepping thread for each sampled token; decides whether the request ends with it. */
typedef enum engine_stop engine_on_token(void *ctx, int token, float logprob);

struct engine_generate {
    uint64_t id;           /* the caller's */
    struct branch *branch; /* length > 0; grows by the tokens sampled */
    uint64_t key;          /* random stream; token at position t of the branch uses counter t */
    struct engine_sampling sampling;
    int n_tokens_max;      /* > 0; ends also at the model's context */
    engine_on_token *on_token; /* NULL: only end tokens and n_tokens_max stop */
    void *ctx;
};

struct engine_read {
    uint64_t id;
    struct branch *branch;  /* all its uncomputed tokens are computed; */
    const size_t *marks;    /* positions (ascending, >= branch_computed at submission or evicted: always allowed) whose head outputs are wanted */
    size_t n_marks;
    const int *outputs;     /* which head outputs, [n_outputs] */
    int n_outputs;
};

void engine_generate(struct engine *en, const struct engine_generate *g);
MUST bool engine_read(struct engine *en, const struct engine_read *r, struct err *e); /* refuses paths longer than the context */
void engine_cancel(struct engine *en, uint64_t id); /* no event follows; the branch keeps what it has */

enum engine_end { ENGINE_END_TOKEN, ENGINE_END_STOPPED, ENGINE_END_LENGTH, ENGINE_END_READ };

struct engine_event {
    uint64_t id;
    enum engine_end end;     /* end token sampled (it is the branch's last token) | on_token stopped | limit | a read is done */
    int n_tokens;            /* sampled */
    const int *tokens;       /* [n_tokens], valid until the next engine_step or engine_next */
    const float *logprobs;   /* [n_tokens] natural log of each token's probability under the model at temperature 1, unfiltered */
    const float *outputs;    /* reads: [n_marks][n_outputs] */
    int n_prefilled;         /* tokens read (computed without sampling) for this request, without re-computing evicted pages */
    int n_recomputed;        /* tokens computed again because their pages had been evicted */
};

/* One forward pass over what is waiting. Returns the number of rows computed, 0 when nothing is in flight, -1 on error (a request that can
 * never fit the pool). */
MUST int engine_step(struct engine *en, struct err *e);
bool engine_next(struct engine *en, struct engine_event *out);
int engine_in_flight(const struct engine *en);
int engine_wanted(const struct engine *en); /* how many requests in flight keep its batches full */

struct engine_counters {
    uint64_t n_rows, n_steps, n_sampled, n_prefilled, n_recomputed;
    uint64_t n_pages, n_pages_used, n_pages_peak, n_evictions, n_pages_copied;
    double flops;
};
struct engine_counters engine_counters(const struct engine *en);

/* Walks the tree, the pool and the queue and ASSERTs every invariant (kv.h lists them). For tests. */
void engine_check(const struct engine *en);

#endif
