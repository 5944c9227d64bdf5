/* bench_tokenizer DATA - texts encoded a second with real vocabularies, on one thread, beside Hugging Face's
 * tokenizers (npm package "tokenizers"; NODE_PATH names where it is).
 *
 * Texts are the problems and solutions of DATA/bench, one call each; the vocabularies are those of
 * DATA/tokenizer. Time is processor time, the best of five passes over all texts; both have read the
 * vocabulary before.
 */
#include <time.h>

#include "../tests/external/gguf_vocabulary.h"
#include "../tests/external/peer.h"

enum { PASSES = 5 };

static const struct vocabulary {
    const char *name, *file;
    struct rank_tokenizer kind;
} vocabularies[] = {
    {"Llama 3 (byte level)",
     "llama3.tiktoken",
     {RANK_PATTERN_LLAMA3, true, false, {NULL}, NULL, NULL, false}},
    {"Qwen 2 (byte level, NFC)",
     "qwen.tiktoken",
     {RANK_PATTERN_QWEN2, false, true, {NULL}, NULL, NULL, false}},
    {"Llama 2 (SentencePiece)", "llama-spm.gguf", {NULL, false, false, {NULL}, NULL, NULL, false}},
};

static double seconds_used(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void add_texts(json_t *texts, const char *data, const char *file, const char *const *keys) {
    char *path = file_join(data, file);
    struct err e;
    struct file_lines *lines = file_lines_open(path, &e);
    struct str line;
    while (lines && file_lines_next(lines, &line, &e) == 1) {
        json_t *item = json_parse(line, path, &e);
        for (size_t i = 0; keys[i]; i++) {
            json_t *text = json_object_get(item, keys[i]);
            if (json_is_string(text)) json_array_append(texts, text);
        }
        json_decref(item);
    }
    if (lines) file_lines_close(lines);
    free(path);
}

static double our_speed(const struct tokenizer *t, const json_t *texts, size_t *n_tokens) {
    double best = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        size_t i, n_bytes = 0;
        json_t *item;
        struct tokens ids = {0};
        struct err e;
        double before = seconds_used();
        *n_tokens = 0;
        json_array_foreach((json_t *)texts, i, item) {
            const struct str text = {json_string_value(item), json_string_length(item)};
            ids.len = 0;
            ASSERT(tokenizer_encode(t, text, &ids, &e));
            *n_tokens += ids.len;
            n_bytes += text.len;
        }
        best = MAX(best, (double)n_bytes / (seconds_used() - before) / 1e6);
        tokens_free(&ids);
    }
    return best;
}

static bool write_folder(const char *path, const struct vocabulary *v, const char *dir, struct err *e) {
    struct gguf_vocabulary x;
    if (v->kind.pattern) return rank_write(path, &v->kind, dir, e);
    bool done = gguf_vocabulary_open(path, &x, e) && gguf_write_json(&x.v, NULL, false, json_array(), dir, e);
    gguf_vocabulary_fini(&x);
    return done;
}

static void measure(const char *data, const struct vocabulary *v, const json_t *texts, bool peer) {
    char *path = file_join(data, v->file), *dir = rank_new_dir();
    struct err e = {0};
    size_t n_tokens;
    struct tokenizer *t = write_folder(path, v, dir, &e) ? tokenizer_open(dir, &e) : NULL;
    if (t) {
        double ours = our_speed(t, texts, &n_tokens), theirs = peer ? peer_speed(dir, texts) : 0;
        printf("%-26s %8.1f MB/s", v->name, ours);
        if (theirs > 0) printf("   peer %6.1f MB/s   %5.1f times", theirs, ours / theirs);
        printf("   (%zu tokens)\n", n_tokens);
    } else {
        printf("FAILED %s: %s\n", v->name, e.msg);
    }
    tokenizer_close(t);
    rank_free_dir(dir);
    free(path);
}

int main(int argc, char **argv) {
    static const char *const gsm[] = {"question", "solution", NULL}, *const math[] = {"problem", "solution",
                                                                                      NULL};
    const char *data = argc > 1 ? argv[1] : ".";
    char *bench = file_join(data, "bench"), *tokenizer = file_join(data, "tokenizer");
    json_t *texts = json_array();
    add_texts(texts, bench, "gsm8k_test.jsonl", gsm);
    add_texts(texts, bench, "math500.jsonl", math);
    if (json_array_size(texts) == 0 || !file_is_dir(tokenizer)) {
        printf("SKIPPED bench_tokenizer: no texts and vocabularies in %s\n", data);
    } else {
        bool peer = peer_is_there("the peer");
        printf("%zu texts\n", json_array_size(texts));
        for (size_t i = 0; i < ARRAY_LEN(vocabularies); i++)
            measure(tokenizer, &vocabularies[i], texts, peer);
    }
    json_decref(texts);
    free(bench);
    free(tokenizer);
    return 0;
}
