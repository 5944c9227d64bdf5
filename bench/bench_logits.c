/* bench_logits.c - what the engine computes for a prompt, as numbers for others to compare
 * (bench/compare_logits.py).
 *
 *     bench_logits MODEL N_MARKS N_GREEDY OUT [KV] <ids   logits of the last N_MARKS prompt positions, then
 *                                                     N_GREEDY tokens; KV: f32 or f16 (default f32)
 *     bench_logits MODEL - <text                      the ids of a text
 *     bench_logits MODEL answers N END <lines         for each line of ids, how many first, a line of greedy
 *                                                     tokens: N, or up to the token END
 *
 * BENCH_WEIGHTS=TYPE in the environment is --weights TYPE of brood.
 *
 * OUT: i32 n_marks, n_vocab, n_greedy | f32 logits [n_marks][n_vocab] | i32 tokens [n_greedy]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "model/quantise.h"

enum { IDS_MAX = 1 << 20 };

static int fail(const char *what) {
    fprintf(stderr, "bench_logits: %s\n", what);
    return 2;
}

static struct engine_event wait_for(struct engine *en, struct err *e) {
    struct engine_event event = {0};
    while (!engine_next(en, &event)) {
        if (engine_step(en, e) <= 0) exit(fail(e->msg));
    }
    return event;
}

static void write_logits(struct engine *en, struct branch *b, int n_marks, FILE *out, struct err *e) {
    int n_vocab = engine_model(en)->config.n_head_outputs,
        *outputs = mem_zalloc((size_t)n_vocab, sizeof *outputs);
    for (int i = 0; i < n_vocab; i++) outputs[i] = i;
    for (int i = 0; i < n_marks; i++) { /* one at a time: all outputs of many positions are large */
        size_t mark = branch_length(b) - (size_t)(n_marks - i);
        struct engine_read r = {
            .branch = b, .marks = &mark, .n_marks = 1, .outputs = outputs, .n_outputs = n_vocab};
        if (!engine_read(en, &r, e)) exit(fail(e->msg));
        struct engine_event event = wait_for(en, e);
        fwrite(event.outputs, sizeof(float), (size_t)n_vocab, out);
    }
    free(outputs);
}

static void write_greedy(struct engine *en, struct branch *b, int n, FILE *out, struct err *e) {
    for (int left = n; left > 0;) { /* an end token ends a request, not the comparison */
        struct engine_generate g = {.branch = b, .n_tokens_max = left};
        engine_generate(en, &g);
        struct engine_event event = wait_for(en, e);
        if (event.n_tokens == 0) exit(fail("no token was drawn"));
        fwrite(event.tokens, sizeof(int), (size_t)event.n_tokens, out);
        left -= event.n_tokens;
    }
}

static int print_ids(const struct model *m, struct err *e) {
    struct buf text = {0};
    struct tokens ids = {0};
    if (!file_read("-", 1 << 24, &text, e) || !tokenizer_encode(m->tokenizer, buf_str(&text), &ids, e))
        return fail(e->msg);
    for (size_t i = 0; i < ids.len; i++) printf("%d\n", ids.ptr[i]);
    buf_free(&text);
    tokens_free(&ids);
    return 0;
}

static int compute(const struct model *m, int n_marks, int n_greedy, const char *path, const char *kv,
                   struct err *e) {
    struct tokens ids = {0};
    for (int id; scanf("%d", &id) == 1 && ids.len < IDS_MAX;) tokens_add(&ids, id);
    if (n_marks < 1 || (size_t)n_marks > ids.len || n_greedy < 0)
        return fail("not so many ids on standard input");
    struct engine_options o = {.kv_bytes = (size_t)256 << 20};
    if (!engine_kv_parse(kv, &o.kv, e)) return fail(e->msg);
    struct engine *en = engine_open(m, &o, e);
    if (!en) return fail(e->msg);
    FILE *out = fopen(path, "wb");
    if (!out) return fail("cannot write");
    const int head[] = {n_marks, m->config.n_head_outputs, n_greedy};
    struct branch *b = engine_root(en);
    branch_append(b, ids.ptr, ids.len);
    fwrite(head, sizeof head, 1, out);
    write_logits(en, b, n_marks, out, e);
    write_greedy(en, b, n_greedy, out, e);
    branch_release(b);
    engine_close(en);
    tokens_free(&ids);
    return fclose(out) == 0 ? 0 : fail("cannot write");
}

static bool answer_one(struct engine *en, const struct tokens *ids, int n, int end, struct err *e) {
    struct branch *b = engine_root(en);
    branch_append(b, ids->ptr, ids->len);
    for (bool ended = false; n > 0 && !ended;) {
        engine_generate(en, &(struct engine_generate){.branch = b, .n_tokens_max = n});
        struct engine_event event = wait_for(en, e);
        for (int i = 0; i < event.n_tokens && !ended; i++) {
            ended = event.tokens[i] == end;
            if (!ended) printf("%d ", event.tokens[i]);
        }
        if (event.n_tokens == 0) return err_set(e, ERR_INPUT, "no token was drawn");
        n -= event.n_tokens;
    }
    printf("\n");
    branch_release(b);
    return true;
}

static int answer_all(const struct model *m, int n_tokens, int end, struct err *e) {
    struct engine *en = engine_open(
        m, &(struct engine_options){.kv = ENGINE_KV_F32, .n_threads = 1, .kv_bytes = (size_t)64 << 20}, e);
    if (!en) return fail(e->msg);
    struct tokens ids = {0};
    for (int n; scanf("%d", &n) == 1; ids.len = 0) {
        for (int id; n > 0 && scanf("%d", &id) == 1; n--) tokens_add(&ids, id);
        if (n != 0 || ids.len == 0) return fail("how many ids a line has stands first");
        if (!answer_one(en, &ids, n_tokens, end, e)) return fail(e->msg);
    }
    tokens_free(&ids);
    engine_close(en);
    return 0;
}

int main(int argc, char **argv) {
    struct err e = {0};
    bool text = argc == 3 && argv[2][0] == '-';
    bool answers = argc == 5 && strcmp(argv[2], "answers") == 0;
    if (argc != 5 && argc != 6 && !text)
        return fail(
            "MODEL N_MARKS N_GREEDY OUT [KV] <ids, or MODEL - <text, or MODEL answers N END <lines of ids");
    struct model *m = model_open(argv[1], &e);
    if (!m || !quantise_named(m, getenv("BENCH_WEIGHTS"), 0, &e)) return fail(e.msg);
    int status = text      ? print_ids(m, &e)
                 : answers ? answer_all(m, (int)strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10), &e)
                           : compute(m, (int)strtol(argv[2], NULL, 10), (int)strtol(argv[3], NULL, 10),
                                     argv[4], argc == 6 ? argv[5] : "f32", &e);
    model_close(m);
    return status;
}
