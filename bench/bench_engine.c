/* bench_engine - one measurement of the engine, as one JSON object; bench/peer_engine.c takes the same
 * arguments and does the same with a peer's library. bench/compare_engine.py runs both.
 *
 *     bench_engine MODEL THREADS read N_TOKENS             a prompt, with the logits of its end
 *
 *     bench_engine MODEL THREADS sample N_PROMPT N_TOKENS N
 *                                                          N continuations of a prompt, temperature 1
 *
 *     bench_engine MODEL THREADS tree TRACE                a search tree (trace.h), written and scored
 *
 *     bench_engine MODEL THREADS about                     sizes
 *
 * BENCH_WEIGHTS=TYPE in the environment is --weights TYPE of brood.
 *
 * The tree's steps are scored by the same model, which has a second root for it: two outputs at the end of
 * each step, as reward models with a language model's head are read. Seconds are those of the work named,
 * after the model was opened and a few positions were computed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/plan.h"
#include "model/quantise.h"
#include "trace.h"

struct bench {
    struct model *m;
    struct engine *en;
    int n_threads;
    double seconds, cpu_seconds, prompt_seconds;
    double first, last; /* seconds of the first and the last eighth */
    double n_tokens;
};

static int fail(const char *what) {
    fprintf(stderr, "bench_engine: %s\n", what);
    exit(2);
}

static int number(const char *s) {
    long n = strtol(s, NULL, 10);
    return n > 0 && n < 1 << 24 ? (int)n : fail("a number was expected");
}

/* A cache that holds so many tokens in branches of their own beside those of a prompt. */
static void open_engine(struct bench *b, double n_branches, int n_each, int n_prompt, int n_rows) {
    struct err e = {0};
    struct engine_options o = {.n_threads = b->n_threads, .n_rows_max = n_rows};
    size_t page = engine_plan_make(b->m, &o).page_bytes;
    double pages = n_branches * (n_each / KV_PAGE + 2) + n_prompt / (double)KV_PAGE + 8;
    o.kv_bytes = (size_t)(pages * (double)page);
    b->en = engine_open(b->m, &o, &e);
    if (!b->en) fail(e.msg);
    model_drop_tensors(b->m);
}

static void append(struct branch *b, int first, int n) {
    int *ids = mem_zalloc((size_t)n, sizeof *ids);
    for (int i = 0; i < n; i++) ids[i] = trace_token(first + i);
    branch_append(b, ids, (size_t)n);
    free(ids);
}

static void run(struct bench *b, void (*told)(void *ctx, const struct engine_event *event), void *ctx) {
    struct engine_event event;
    struct err e = {0};
    while (engine_in_flight(b->en)) {
        if (engine_step(b->en, &e) < 0) fail(e.msg);
        while (engine_next(b->en, &event))
            if (told) told(ctx, &event);
    }
}

static void ask_read(struct bench *b, struct branch *branch, uint64_t id, int n_outputs) {
    struct err e = {0};
    size_t mark = branch_length(branch) - 1;
    int *outputs = mem_zalloc((size_t)n_outputs + 1, sizeof *outputs);
    for (int i = 0; i < n_outputs; i++) outputs[i] = i;
    struct engine_read r = {
        .id = id, .branch = branch, .marks = &mark, .n_marks = n_outputs > 0, .outputs = outputs};
    r.n_outputs = n_outputs;
    if (!engine_read(b->en, &r, &e)) fail(e.msg);
    free(outputs);
}

static void warm(struct bench *b) {
    struct branch *root = engine_root(b->en);
    append(root, 12345, 8);
    ask_read(b, root, 0, 1);
    run(b, NULL, NULL);
    branch_release(root);
}

static void begin(struct bench *b) {
    b->seconds = clock_seconds();
    b->cpu_seconds = clock_cpu_seconds();
}

static void end(struct bench *b) {
    b->seconds = clock_seconds() - b->seconds;
    b->cpu_seconds = clock_cpu_seconds() - b->cpu_seconds;
}

static void bench_read(struct bench *b, int n) {
    open_engine(b, 2, n, 0, 0);
    warm(b);
    struct branch *root = engine_root(b->en);
    append(root, 0, n);
    begin(b);
    ask_read(b, root, 1, b->m->config.n_head_outputs);
    run(b, NULL, NULL);
    end(b);
    b->n_tokens = n;
    branch_release(root);
}

static void generate(struct bench *b, struct branch *branch, uint64_t id, int n_tokens) {
    struct engine_generate g = {.id = id, .branch = branch, .key = id, .n_tokens_max = n_tokens};
    g.sampling.temperature = 1;
    engine_generate(b->en, &g);
}

static void bench_sample(struct bench *b, int n_prompt, int n_tokens, int n) {
    struct err e = {0};
    open_engine(b, n, n_tokens, n_prompt, n > 256 ? n : 0);
    warm(b);
    struct branch *root = engine_root(b->en), **all = mem_zalloc((size_t)n, sizeof(*all));
    append(root, 0, n_prompt);
    double start = clock_seconds();
    ask_read(b, root, 1, 0);
    run(b, NULL, NULL);
    b->prompt_seconds = clock_seconds() - start;
    begin(b);
    for (int i = 0; i < n; i++) generate(b, all[i] = branch_fork(root), (uint64_t)i, n_tokens);
    int eighth = n_tokens / 8;
    struct engine_event event;
    for (int i = 0; engine_in_flight(b->en); i++) { /* one step a token */
        double step = clock_seconds();
        if (engine_step(b->en, &e) < 0) fail(e.msg);
        step = clock_seconds() - step;
        if (i < eighth) b->first += step;
        if (i >= n_tokens - eighth && i < n_tokens) b->last += step;
        while (engine_next(b->en, &event)) b->n_tokens += event.n_tokens;
    }
    end(b);
    for (int i = 0; i < n; i++) branch_release(all[i]);
    branch_release(root);
    free(all);
}

struct play {
    const struct trace *t;
    struct branch **policy, **reward; /* [n_nodes] */
};

static void append_step(void *ctx, const struct engine_event *event) {
    struct play *p = ctx;
    branch_append(p->reward[event->id], event->tokens, (size_t)event->n_tokens);
}

static void play_round(struct bench *b, struct play *p, struct branch *policy, struct branch *reward,
                       int round) {
    const struct trace *t = p->t;
    for (int i = 0; i < t->n_nodes; i++) {
        const struct trace_node *n = &t->nodes[i];
        if (n->round != round) continue;
        p->policy[i] = branch_fork(n->parent < 0 ? policy : p->policy[n->parent]);
        p->reward[i] = branch_fork(n->parent < 0 ? reward : p->reward[n->parent]);
        generate(b, p->policy[i], (uint64_t)i, n->n_tokens);
        b->n_tokens += n->n_tokens;
    }
    run(b, append_step, p);
    for (int i = 0; i < t->n_nodes; i++)
        if (t->nodes[i].round == round) ask_read(b, p->reward[i], (uint64_t)i, 2);
    run(b, NULL, NULL);
    for (int i = 0; i < t->n_nodes; i++) {
        if (t->nodes[i].last_used != round) continue;
        branch_release(p->policy[i]);
        branch_release(p->reward[i]);
    }
}

static void bench_tree(struct bench *b, const char *path) {
    struct trace t;
    if (!trace_read(path, &t)) exit(2);
    int longest = 0;
    for (int i = 0; i < t.n_nodes; i++) longest = MAX(longest, t.nodes[i].n_tokens);
    open_engine(b, 2.0 * t.n_nodes, longest, 2 * t.n_prompt, 0);
    warm(b);
    struct play p = {.t = &t};
    p.policy = mem_zalloc((size_t)t.n_nodes, sizeof(*p.policy));
    p.reward = mem_zalloc((size_t)t.n_nodes, sizeof(*p.reward));
    begin(b);
    struct branch *policy = engine_root(b->en), *reward = engine_root(b->en);
    append(policy, 0, t.n_prompt);
    append(reward, 0, t.n_prompt);
    for (int r = 0; r < t.n_rounds; r++) play_round(b, &p, policy, reward, r);
    end(b);
    branch_release(policy);
    branch_release(reward);
    free(p.policy);
    free(p.reward);
    free(t.nodes);
}

/* Bytes and weights that a token is multiplied with: the layers, and the head. */
static void about(const struct model *m) {
    double body = (double)model_parameters_computed(m), bytes = 0;
    double head = (double)m->config.d_model * m->config.n_head_outputs;
    for (int i = 0; i < m->n_tensors; i++) {
        bool embedding = strcmp(m->tensors[i].name, "model.embed_tokens.weight") == 0;
        if (!embedding || m->config.tied_embeddings) bytes += (double)m->tensors[i].n_bytes;
    }
    printf("{\"body\": %.0f, \"head\": %.0f, \"bytes\": %.0f, \"layers\": %d, \"coded\": %s, \"attend\": "
           "%.0f}\n",
           body, head, bytes, m->config.n_layers,
           dtype_coding(m->tensors[0].dtype) || m->n_tensors < 2 ? "true" : "false",
           4.0 * m->config.n_layers * m->config.n_heads * m->config.head_width);
}

static void print(const struct bench *b, double open_seconds) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    struct engine_counters c = engine_counters(b->en);
    printf("{\"seconds\": %.6f, \"cpu\": %.6f, \"tokens\": %.0f, \"prompt\": %.6f, \"first\": %.6f, "
           "\"last\": %.6f, ",
           b->seconds, b->cpu_seconds, b->n_tokens, b->prompt_seconds, b->first, b->last);
    printf("\"open\": %.3f, \"peak\": %ld, \"cache\": %.0f, \"isa\": \"%s\"}\n", open_seconds,
           r.ru_maxrss * 1024, (double)c.n_pages_peak * (double)c.page_bytes, engine_isa(b->en));
}

int main(int argc, char **argv) {
    struct err e = {0};
    if (argc < 4) fail("MODEL THREADS read N | sample N_PROMPT N_TOKENS N | tree TRACE | about");
    double open_seconds = clock_seconds();
    struct bench b = {.m = model_open(argv[1], &e), .n_threads = number(argv[2])};
    if (!b.m || !quantise_named(b.m, getenv("BENCH_WEIGHTS"), b.n_threads, &e)) fail(e.msg);
    if (strcmp(argv[3], "about") == 0) return about(b.m), model_close(b.m), 0;
    b.m->n_end_tokens = 0;
    if (strcmp(argv[3], "read") == 0 && argc == 5)
        bench_read(&b, number(argv[4]));
    else if (strcmp(argv[3], "sample") == 0 && argc == 7)
        bench_sample(&b, number(argv[4]), number(argv[5]), number(argv[6]));
    else if (strcmp(argv[3], "tree") == 0 && argc == 5)
        bench_tree(&b, argv[4]);
    else
        fail("read N | sample N_PROMPT N_TOKENS N | tree TRACE | about");
    print(&b, clock_seconds() - open_seconds - b.seconds - b.prompt_seconds);
    engine_close(b.en);
    model_close(b.m);
    return 0;
}
