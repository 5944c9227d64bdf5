/* peer_logits.c - the same numbers as bench_logits.c, from an engine that has llama.cpp's C interface
 * (llama.h).
 *
 * Compiled by bench/compare_logits.py against the headers and libraries that it is pointed at; no part of the
 * build. Keys and values are kept as F32, as here; attention is computed step by step (no flash attention).
 * PEER_THREADS=N in the environment: with so many threads, else as many as the engine takes by itself.
 */
#include <llama.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PEER_TOKENIZE
#define PEER_TOKENIZE llama_tokenize
#endif
enum { IDS_MAX = 1 << 20, TEXT_MAX = 1 << 24 };

static int fail(const char *what) {
    fprintf(stderr, "peer_logits: %s\n", what);
    return 2;
}

static void quiet(enum ggml_log_level level, const char *text, void *data) {
    (void)data;
    if (level == GGML_LOG_LEVEL_ERROR) fputs(text, stderr);
}

static int read_ids(int *ids) {
    int n = 0;
    while (n < IDS_MAX && scanf("%d", &ids[n]) == 1) n++;
    return n;
}

static int print_ids(const struct llama_model *m) {
    char *text = malloc(TEXT_MAX);
    int *ids = malloc(IDS_MAX * sizeof *ids);
    int n = PEER_TOKENIZE(llama_model_get_vocab(m), text, (int)fread(text, 1, TEXT_MAX, stdin), ids, IDS_MAX,
                          false, false);
    for (int i = 0; i < n; i++) printf("%d\n", ids[i]);
    return n < 0;
}

/* Decodes ids at positions from `first` on; logits of the last n_marks. */
static int decode(struct llama_context *ctx, const int *ids, int n, int first, int n_marks) {
    struct llama_batch batch = llama_batch_init(n, 0, 1);
    for (int i = 0; i < n; i++) {
        batch.token[i] = ids[i];
        batch.pos[i] = first + i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = i >= n - n_marks;
    }
    batch.n_tokens = n;
    int status = llama_decode(ctx, batch);
    llama_batch_free(batch);
    return status;
}

static int largest(const float *x, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static struct llama_context *open_context(struct llama_model *m, int n_tokens) {
    struct llama_context_params p = llama_context_default_params();
    p.n_ctx = (unsigned)n_tokens + 8;
    p.n_batch = p.n_ubatch = (unsigned)(n_tokens > 512 ? n_tokens : 512);
    p.type_k = p.type_v = GGML_TYPE_F32;
    const char *n_threads = getenv("PEER_THREADS");
    if (n_threads) p.n_threads = p.n_threads_batch = (int)strtol(n_threads, NULL, 10);
#ifdef PEER_FLASH_TYPE
    p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
#else
    p.flash_attn = false;
#endif
    struct llama_context *ctx = llama_init_from_model(m, p);
    if (!ctx) { /* some take F16 values only */
        fputs("peer_logits: values are kept as F16: differences of 1e-4 are the peer's own\n", stderr);
        p.type_v = GGML_TYPE_F16;
        ctx = llama_init_from_model(m, p);
    }
    return ctx;
}

/* A line of ids in (how many first), a line of greedy tokens out, up to the one that ends an answer. */
static int answer_all(struct llama_model *m, int n_tokens, int end) {
    int *ids = malloc(IDS_MAX * sizeof *ids), n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(m));
    for (int n; scanf("%d", &n) == 1;) {
        if (n < 1 || n > IDS_MAX) return fail("how many ids a line has stands first");
        for (int i = 0; i < n; i++)
            if (scanf("%d", &ids[i]) != 1) return fail("a line ends early");
        struct llama_context *ctx = open_context(m, n + n_tokens);
        if (!ctx || decode(ctx, ids, n, 0, 1)) return fail("cannot decode the prompt");
        for (int i = 0; i < n_tokens; i++) {
            int token = largest(llama_get_logits_ith(ctx, i == 0 ? n - 1 : 0), n_vocab);
            if (token == end) break;
            printf("%d ", token);
            if (decode(ctx, &token, 1, n + i, 1)) return fail("cannot decode a token");
        }
        printf("\n");
        llama_free(ctx);
    }
    free(ids);
    return 0;
}

/* Of n_ids ids the likeliest is drawn: padding of the vocabulary is not. */
static int compute(struct llama_model *m, int n_marks, int n_greedy, const char *path, int n_ids) {
    int *ids = malloc(IDS_MAX * sizeof *ids), n = read_ids(ids),
        n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(m));
    struct llama_context *ctx = open_context(m, n + n_greedy);
    FILE *out = fopen(path, "wb");
    if (!ctx || !out || n_marks > n || decode(ctx, ids, n, 0, n_marks))
        return fail("cannot decode the prompt");
    const int head[] = {n_marks, n_vocab, n_greedy};
    fwrite(head, sizeof head, 1, out);
    for (int i = 0; i < n_marks; i++)
        fwrite(llama_get_logits_ith(ctx, n - n_marks + i), sizeof(float), (size_t)n_vocab, out);
    int at = n - 1;
    for (int i = 0; i < n_greedy; i++) {
        int token = largest(llama_get_logits_ith(ctx, i == 0 ? at : 0), n_ids > 0 ? n_ids : n_vocab);
        fwrite(&token, sizeof token, 1, out);
        if (decode(ctx, &token, 1, n + i, 1)) return fail("cannot decode a token");
    }
    llama_free(ctx);
    return fclose(out) != 0;
}

int main(int argc, char **argv) {
    if (argc != 3 && argc != 5 && argc != 6)
        return fail(
            "MODEL N_MARKS N_GREEDY OUT N_IDS <ids, or MODEL - <text, or MODEL answers N END <lines of ids");
    llama_log_set(quiet, NULL);
    llama_backend_init();
    struct llama_model *m = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (!m) return fail("cannot open the model");
    if (argc == 5) return answer_all(m, (int)strtol(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10));
    return argc == 3 ? print_ids(m)
                     : compute(m, (int)strtol(argv[2], NULL, 10), (int)strtol(argv[3], NULL, 10), argv[4],
                               (int)strtol(argv[5], NULL, 10));
}
