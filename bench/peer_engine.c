/* peer_engine.c - bench_engine.c's measurements with an engine that has llama.cpp's C interface (llama.h).
 *
 *     peer_engine MODEL THREADS read N | sample N_PROMPT N_TOKENS N | tree TRACE whole|kept
 *     peer_engine MODEL THREADS quantize OUT TYPE       TYPE: Q8_0, Q4_0, ...
 *
 * Compiled by bench/compare_engine.py against the headers and libraries that it is pointed at; no part of the
 * build. The loops are those of the peer's own llama-batched-bench (a shared prompt, then a batch of one
 * token for each sequence) and llama-bench: nothing is sampled, so the peer is spared that work. Flash
 * attention is on, keys and values are F16, weights are repacked where the peer can. PEER_KV=unified keeps
 * all sequences in one cache where there is a choice. A tree is driven with whole prefixes, each read again
 * in every round as by programs that hand whole texts to an engine, or kept: a sequence is copied from its
 * parent's.
 */
#include <llama.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "trace.h"

#ifdef PEER_MEMORY
#define seq_cp(c, a, b) llama_memory_seq_cp(llama_get_memory(c), a, b, -1, -1)
#define seq_rm(c, s)    llama_memory_seq_rm(llama_get_memory(c), s, -1, -1)
#define clear_all(c)    llama_memory_clear(llama_get_memory(c), false)
#else
#define seq_cp(c, a, b) llama_kv_cache_seq_cp(c, a, b, -1, -1)
#define seq_rm(c, s)    llama_kv_cache_seq_rm(c, s, -1, -1)
#define clear_all(c)    llama_kv_cache_clear(c)
#endif
enum { BATCH = 2048, MICRO_BATCH = 512 };

struct bench {
    struct llama_model *m;
    struct llama_context *ctx;
    struct llama_batch batch;
    int n_threads;
    double seconds, cpu_seconds, prompt_seconds, first, last, n_tokens;
};

static int fail(const char *what) {
    fprintf(stderr, "peer_engine: %s\n", what);
    exit(2);
}

static int number(const char *s) {
    long n = strtol(s, NULL, 10);
    return n > 0 && n < 1 << 24 ? (int)n : fail("a number was expected");
}

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void begin(struct bench *b) {
    b->seconds = now(CLOCK_MONOTONIC);
    b->cpu_seconds = now(CLOCK_PROCESS_CPUTIME_ID);
}

static void end(struct bench *b) {
    b->seconds = now(CLOCK_MONOTONIC) - b->seconds;
    b->cpu_seconds = now(CLOCK_PROCESS_CPUTIME_ID) - b->cpu_seconds;
}

static void quiet(enum ggml_log_level level, const char *text, void *data) {
    (void)data;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static void open_model(struct bench *b, const char *path) {
    struct llama_model_params p = llama_model_default_params();
#ifdef PEER_REPACK
    p.repack_tensors = true; /* wants weights that are not mapped */
    p.use_mmap = false;
#endif
    b->m = llama_model_load_from_file(path, p);
    if (!b->m) fail("cannot open the model");
}

/* Room for n_seq sequences of n_each tokens of their own after n_shared in common. */
static void open_context(struct bench *b, int n_seq, int n_shared, int n_each) {
    struct llama_context_params p = llama_context_default_params();
    p.n_batch = BATCH;
    p.n_ubatch = MICRO_BATCH;
    p.n_seq_max = (unsigned)n_seq;
    p.n_threads = p.n_threads_batch = (uint32_t)b->n_threads;
    p.n_ctx = (unsigned)(n_shared + n_seq * n_each + 64);
#ifdef PEER_STREAMS
    const char *kv = getenv("PEER_KV");
    p.kv_unified = kv && strcmp(kv, "unified") == 0;
    if (!p.kv_unified) p.n_ctx = (unsigned)(n_seq * ((n_shared + n_each + 255) / 256 * 256));
    p.no_perf = true;
#endif
#ifdef PEER_FLASH_TYPE
    p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
#else
    p.flash_attn = true;
#endif
    b->ctx = llama_init_from_model(b->m, p);
    if (!b->ctx) fail("cannot make a context");
    b->batch = llama_batch_init(BATCH, 0, 1);
}

static void flush(struct bench *b) {
    if (b->batch.n_tokens && llama_decode(b->ctx, b->batch)) fail("cannot decode");
    b->batch.n_tokens = 0;
}

static void add(struct bench *b, int token, int position, int seq, bool logits) {
    int i = b->batch.n_tokens++;
    b->batch.token[i] = token;
    b->batch.pos[i] = position;
    b->batch.n_seq_id[i] = 1;
    b->batch.seq_id[i][0] = seq;
    b->batch.logits[i] = logits;
    if (b->batch.n_tokens == BATCH) flush(b);
}

static void add_prompt(struct bench *b, int seq, int first, int end, bool logits) {
    for (int i = first; i < end; i++) add(b, trace_token(i), i, seq, logits && i == end - 1);
}

static void wait_for(struct bench *b) {
    flush(b);
    llama_synchronize(b->ctx);
}

static void warm(struct bench *b) {
    add_prompt(b, 0, 0, 8, true);
    wait_for(b);
    clear_all(b->ctx);
}

static void bench_read(struct bench *b, int n) {
    open_context(b, 1, n, 0);
    warm(b);
    begin(b);
    add_prompt(b, 0, 0, n, true);
    wait_for(b);
    end(b);
    b->n_tokens = n;
}

static void bench_sample(struct bench *b, int n_prompt, int n_tokens, int n) {
    open_context(b, n, n_prompt, n_tokens);
    warm(b);
    double start = now(CLOCK_MONOTONIC);
    add_prompt(b, 0, 0, n_prompt, true);
    wait_for(b);
    for (int s = 1; s < n; s++) seq_cp(b->ctx, 0, s);
    b->prompt_seconds = now(CLOCK_MONOTONIC) - start;
    begin(b);
    int eighth = n_tokens / 8;
    for (int i = 0; i < n_tokens; i++) {
        double step = now(CLOCK_MONOTONIC);
        for (int s = 0; s < n; s++) add(b, trace_token(i * n + s), n_prompt + i, s, true);
        wait_for(b);
        step = now(CLOCK_MONOTONIC) - step;
        if (i < eighth) b->first += step;
        if (i >= n_tokens - eighth) b->last += step;
    }
    end(b);
    b->n_tokens = (double)n_tokens * n;
}

/* ---- trees ---- */

struct play {
    const struct trace *t;
    bool whole;
    int *seqs; /* [n_nodes] */
    int *free_seqs, n_free;
};

static int take_seq(struct play *p) {
    return p->n_free > 0 ? p->free_seqs[--p->n_free] : fail("too many sequences live at once");
}

/* The text before a node's step: read, or copied from its parent's sequence. Sequence 0 is the prompt. */
static void prefix(struct bench *b, struct play *p, int i) {
    const struct trace_node *n = &p->t->nodes[i];
    p->seqs[i] = take_seq(p);
    if (p->whole)
        add_prompt(b, p->seqs[i], 0, n->n_before, false);
    else
        seq_cp(b->ctx, n->parent < 0 ? 0 : p->seqs[n->parent], p->seqs[i]);
}

static void drop(struct bench *b, struct play *p, int i) {
    seq_rm(b->ctx, p->seqs[i]);
    p->free_seqs[p->n_free++] = p->seqs[i];
}

static void drop_done(struct bench *b, struct play *p, int round) {
    for (int i = 0; i < p->t->n_nodes; i++) {
        const struct trace_node *n = &p->t->nodes[i];
        if (p->whole ? n->round == round : n->last_used == round) drop(b, p, i);
    }
}

static void write_round(struct bench *b, struct play *p, int round) {
    const struct trace *t = p->t;
    for (int i = 0; i < t->n_nodes; i++)
        if (t->nodes[i].round == round) prefix(b, p, i);
    flush(b);
    for (int k = 0, n = 1; n > 0; k++) {
        n = 0;
        for (int i = 0; i < t->n_nodes; i++) {
            const struct trace_node *x = &t->nodes[i];
            if (x->round != round || k >= x->n_tokens) continue;
            add(b, trace_token(i + k), x->n_before + k, p->seqs[i], true);
            n++;
        }
        wait_for(b);
        b->n_tokens += n;
    }
    drop_done(b, p, round);
}

/* Whole texts one after another, so that none attends past another's. */
static void score_round(struct bench *b, struct play *p, int round) {
    const struct trace *t = p->t;
    for (int i = 0; i < t->n_nodes; i++) {
        const struct trace_node *n = &t->nodes[i];
        if (n->round != round) continue;
        prefix(b, p, i);
        add_prompt(b, p->seqs[i], n->n_before, n->n_before + n->n_tokens, true);
        if (p->whole) {
            wait_for(b);
            drop(b, p, i);
        }
    }
    wait_for(b);
    if (!p->whole) drop_done(b, p, round);
}

static struct play play_init(const struct trace *t, bool whole, int n_seq) {
    struct play p = {.t = t, .whole = whole, .n_free = n_seq - 1};
    p.seqs = calloc((size_t)t->n_nodes, sizeof *p.seqs);
    p.free_seqs = calloc((size_t)n_seq, sizeof *p.free_seqs);
    if (!p.seqs || !p.free_seqs) fail("out of memory");
    for (int s = 1; s < n_seq; s++) p.free_seqs[s - 1] = n_seq - s;
    return p;
}

/* The policy's tree and the reward model's in contexts of their own. */
static void bench_tree(struct bench *b, const char *path, bool whole) {
    struct trace t;
    if (!trace_read(path, &t)) exit(2);
    int most = 0, longest = 0;
    for (int r = 0; r < t.n_rounds; r++) {
        int live = 0;
        for (int i = 0; i < t.n_nodes; i++) live += t.nodes[i].round <= r && t.nodes[i].last_used >= r;
        if (live > most) most = live;
    }
    for (int i = 0; i < t.n_nodes; i++) {
        int n = t.nodes[i].n_before + t.nodes[i].n_tokens - (whole ? 0 : t.n_prompt);
        if (n > longest) longest = n;
    }
    struct bench reward = *b;
    open_context(b, most + 1, whole ? 0 : t.n_prompt, longest);
    open_context(&reward, most + 1, whole ? 0 : t.n_prompt, longest);
    warm(b);
    warm(&reward);
    struct play policy_play = play_init(&t, whole, most + 1), reward_play = play_init(&t, whole, most + 1);
    begin(b);
    if (!whole) {
        add_prompt(b, 0, 0, t.n_prompt, false);
        add_prompt(&reward, 0, 0, t.n_prompt, false);
        flush(b);
        flush(&reward);
    }
    for (int r = 0; r < t.n_rounds; r++) {
        write_round(b, &policy_play, r);
        score_round(&reward, &reward_play, r);
    }
    end(b);
    llama_free(reward.ctx);
}

/* ---- files ---- */

static int quantize(const char *from, const char *to, const char *name, int n_threads) {
    static const struct {
        const char *name;
        enum llama_ftype type;
    } types[] = {{"F16", LLAMA_FTYPE_MOSTLY_F16},   {"Q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
                 {"Q4_0", LLAMA_FTYPE_MOSTLY_Q4_0}, {"Q4_1", LLAMA_FTYPE_MOSTLY_Q4_1},
                 {"Q5_0", LLAMA_FTYPE_MOSTLY_Q5_0}, {"Q5_1", LLAMA_FTYPE_MOSTLY_Q5_1}};
    struct llama_model_quantize_params p = llama_model_quantize_default_params();
    p.nthread = n_threads;
    p.pure = true; /* every matrix has the type that is named */
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, name) != 0) continue;
        p.ftype = types[i].type;
        return llama_model_quantize(from, to, &p) ? fail("cannot quantise") : 0;
    }
    return fail("TYPE is one of F16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1");
}

int main(int argc, char **argv) {
    if (argc < 5) fail("MODEL THREADS read N | sample N_PROMPT N_TOKENS N | tree TRACE whole|kept");
    struct bench b = {.n_threads = number(argv[2])};
    struct rusage r;
    llama_log_set(quiet, NULL);
    llama_backend_init();
    if (strcmp(argv[3], "quantize") == 0 && argc == 6)
        return quantize(argv[1], argv[4], argv[5], b.n_threads);
    double open_seconds = now(CLOCK_MONOTONIC);
    open_model(&b, argv[1]);
    if (strcmp(argv[3], "read") == 0 && argc == 5)
        bench_read(&b, number(argv[4]));
    else if (strcmp(argv[3], "sample") == 0 && argc == 7)
        bench_sample(&b, number(argv[4]), number(argv[5]), number(argv[6]));
    else if (strcmp(argv[3], "tree") == 0 && argc == 6)
        bench_tree(&b, argv[4], strcmp(argv[5], "whole") == 0);
    else
        fail("read N | sample N_PROMPT N_TOKENS N | tree TRACE whole|kept");
    open_seconds = now(CLOCK_MONOTONIC) - open_seconds - b.seconds - b.prompt_seconds;
    getrusage(RUSAGE_SELF, &r);
    printf("{\"seconds\": %.6f, \"cpu\": %.6f, \"tokens\": %.0f, \"prompt\": %.6f, \"first\": %.6f, "
           "\"last\": %.6f, ",
           b.seconds, b.cpu_seconds, b.n_tokens, b.prompt_seconds, b.first, b.last);
    printf("\"open\": %.3f, \"peak\": %ld}\n", open_seconds, r.ru_maxrss * 1024);
    llama_batch_free(b.batch);
    llama_free(b.ctx);
    return 0;
}
