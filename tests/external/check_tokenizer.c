/* check_tokenizer DATA - encodes the recorded cases of DATA/tokenizer/cases.jsonl with the vocabularies that
 * lie beside them.
 *
 * The rank files list tokens only; merges follow from ranks: a token is made from the pair that merging its
 * bytes by ranks below its own ends with. The program writes a tokenizer.json of each vocabulary into a
 * temporary folder and opens that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "gguf_vocabulary.h"

#include "model/tokenizer.h"

/* A rank file, or, without a pattern, a GGUF file. Phi-3's first 32,000 tokens are Llama-2's. */
static const struct vocabulary_case {
    const char *name, *file;
    struct rank_tokenizer kind;
} vocabularies[] = {
    {"llama-bpe", "llama3.tiktoken", {RANK_PATTERN_LLAMA3, true, false, {NULL}, NULL, NULL, false}},
    {"qwen2", "qwen.tiktoken", {RANK_PATTERN_QWEN2, false, true, {NULL}, NULL, NULL, false}},
    {"deepseek-r1-qwen", "qwen.tiktoken", {RANK_PATTERN_QWEN2, false, true, {NULL}, NULL, NULL, false}},
    {"llama-spm", "llama-spm.gguf", {NULL, false, false, {NULL}, NULL, NULL, false}},
    {"phi-3", "llama-spm.gguf", {NULL, false, false, {NULL}, NULL, NULL, false}},
};

static struct tokenizer *open_vocabulary(const char *path, const struct vocabulary_case *v, struct err *e) {
    struct gguf_vocabulary x;
    if (v->kind.pattern) return rank_tokenizer_open(path, &v->kind, e);
    struct tokenizer *t = gguf_vocabulary_open(path, &x, e) ? vocab_tokenizer(&x.v, path, e) : NULL;
    gguf_vocabulary_fini(&x);
    return t;
}

static bool check_case(const struct tokenizer *t, const json_t *item, const char *name, struct err *e) {
    const json_t *ids = json_object_get(item, "ids"), *text = json_object_get(item, "text");
    const struct str s = {json_string_value(text), json_string_length(text)};
    struct tokens got = {0};
    struct buf back = {0};
    if (!tokenizer_encode(t, s, &got, e)) return false;
    bool same = got.len == json_array_size(ids);
    for (size_t i = 0; same && i < got.len; i++)
        same = got.ptr[i] == json_integer_value(json_array_get(ids, i));
    if (!same) printf("DIFFERENT %s %lld\n", name, (long long)json_integer_value(json_object_get(item, "i")));
    tokenizer_decode(t, got.ptr, got.len, false, &back);
    tokens_free(&got);
    buf_free(&back);
    return same || err_set(e, ERR_INPUT, "ids differ");
}

static int check_vocabulary(const char *data, const struct vocabulary_case *v, int *n_cases) {
    struct err e;
    int n_failed = 0;
    char *ranks = file_join(data, v->file), *cases = file_join(data, "cases.jsonl");
    double before = clock_seconds();
    struct tokenizer *t = open_vocabulary(ranks, v, &e);
    if (!t) {
        printf("FAILED %s: %s\n", v->name, e.msg);
        return 1;
    }
    printf("%s: %d tokens, loaded in %.2f s\n", v->name, tokenizer_count(t), clock_seconds() - before);
    struct file_lines *lines = file_lines_open(cases, &e);
    struct str line;
    while (lines && file_lines_next(lines, &line, &e) == 1) {
        json_t *item = json_parse(line, cases, &e);
        const char *name = json_string_value(json_object_get(item, "tokenizer"));
        if (name && strcmp(name, v->name) == 0) {
            (*n_cases)++;
            if (!check_case(t, item, v->name, &e)) n_failed++;
        }
        json_decref(item);
    }
    if (lines) file_lines_close(lines);
    tokenizer_close(t);
    free(ranks);
    free(cases);
    return n_failed;
}

/* Names the tokenizers that have cases, but no vocabulary here. */
static void print_absent(const char *data) {
    struct err e;
    char *cases = file_join(data, "cases.jsonl");
    struct file_lines *lines = file_lines_open(cases, &e);
    struct map *seen = map_new(32);
    struct str line;
    for (size_t i = 0; i < ARRAY_LEN(vocabularies); i++) map_put(seen, str_from(vocabularies[i].name), 0);
    printf("no vocabulary for the cases of");
    while (lines && file_lines_next(lines, &line, &e) == 1) {
        json_t *item = json_parse(line, cases, &e);
        const char *name = json_string_value(json_object_get(item, "tokenizer"));
        if (name && map_put(seen, str_from(name), 0)) printf(" %s", name);
        json_decref(item);
    }
    printf("\n");
    if (lines) file_lines_close(lines);
    map_free(seen);
    free(cases);
}

int main(int argc, char **argv) {
    char *data = file_join(argc > 1 ? argv[1] : ".", "tokenizer");
    int n_cases = 0, n_failed = 0;
    if (!file_is_dir(data)) {
        printf("SKIPPED check_tokenizer: no %s\n", data);
        free(data);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(vocabularies); i++)
        n_failed += check_vocabulary(data, &vocabularies[i], &n_cases);
    print_absent(data);
    printf("check_tokenizer: %d of %d cases have the recorded ids\n", n_cases - n_failed, n_cases);
    free(data);
    return n_failed > 0 || n_cases == 0;
}
