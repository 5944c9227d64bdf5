/* check_tokenizer_peer DATA - encodes texts at random with the vocabularies of DATA/tokenizer, by this
 * library and by Hugging Face's tokenizers (npm package "tokenizers"): the ids are to be equal.
 *
 * Byte-level BPE with and without NFC; SentencePiece-style BPE in both dialects and from tokenizer arrays;
 * added tokens with all their flags. Skips aloud where node or the package is not there (NODE_PATH names
 * where it is).
 */
#include <utf8proc.h>

#include "base/rng.h"
#include "gguf_vocabulary.h"
#include "peer.h"

enum { TEXTS = 10000 };

/* Added behind each vocabulary. The special ones stand in texts that are a template's alone: a peer finds
 * them anywhere. */
static const struct added_case {
    const char *text;
    bool lstrip, rstrip, single_word, normalised, special;
} added_cases[] = {{"<x>", false, true, false, false, false},     {"<y>", true, false, false, false, false},
                   {"wqrd", false, false, true, false, false},    {"<n>", false, false, false, true, false},
                   {"\xc3\xa9!!", true, true, true, true, false}, {"<|a|>", false, false, false, false, true},
                   {"<|r|>", false, true, false, false, true},    {"<|l|>", true, false, false, false, true},
                   {"<|b|>", true, true, false, false, true},     {"<|w|>", false, false, true, false, true}};

static const char *const words[] = {"the",
                                    "of",
                                    "and",
                                    "is",
                                    "x",
                                    "12",
                                    "345",
                                    "wqrd",
                                    "wqrds",
                                    "swqrd",
                                    "<x>",
                                    "<y>",
                                    "<n>",
                                    "\xc3\xa9!!",
                                    "hello",
                                    "world",
                                    "equation",
                                    "\\frac",
                                    "{2}",
                                    "(",
                                    ")",
                                    "=",
                                    ",",
                                    ".",
                                    "\n",
                                    "\n\n",
                                    "\r\n",
                                    "\t",
                                    "\xe2\x96\x81",
                                    "\xe3\x80\x80",
                                    "e\xcc\x81",
                                    "q\xcc\x87\xcc\xa3",
                                    "\xe4\xb8\xad\xe6\x96\x87",
                                    "\xf0\x9f\x98\x80",
                                    "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7",
                                    "\xe1\xa0\x8e",
                                    "\xe2\x80\x8d",
                                    "\xc5\xbf",
                                    "\xe2\x84\xaa",
                                    "'ll",
                                    "'s",
                                    "'S",
                                    "'\xc5\xbf",
                                    "12345678",
                                    "---",
                                    "__",
                                    "##",
                                    "**",
                                    "\xc3\x9f",
                                    "na\xc3\xafve",
                                    "\xce\xa9\xce\xbc",
                                    "\xed\x95\x9c\xea\xb8\x80",
                                    "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab",
                                    "\x01",
                                    "\x7f",
                                    "\xc2\xad",
                                    "\xef\xbb\xbf",
                                    "\xe2\x84\xa6",
                                    "\xd9\xa3",
                                    "HelloWorld",
                                    "HTTPServer"};

/* Characters that newer tables of Unicode alone know are classed differently by the two. */
static void add_assigned(uint32_t c, struct buf *out) {
    const uint32_t newer = 0xcf3; /* which utf8proc knows already, PCRE2 10.42 not yet */
    if (utf8proc_category((utf8proc_int32_t)c) != UTF8PROC_CATEGORY_CN && c != newer) buf_add_utf8(out, c);
}

static void make_text(uint64_t key, bool special, struct buf *out) {
    static const char *const specials[] = {"<|a|>", "<|r|>", "<|l|>", "<|b|>", "<|w|>"};
    static const char *const gaps[] = {"", " ", " ", "  "};
    uint64_t n = rng_below(key, 0, 14);
    buf_clear(out);
    for (uint64_t i = 1; i <= n; i++) {
        uint64_t kind = rng_below(key, 5 * i, 10);
        if (kind < 3 && special)
            buf_add_str(out, str_from(specials[rng_below(key, 5 * i + 1, ARRAY_LEN(specials))]));
        else if (kind < 8)
            buf_add_str(out, str_from(words[rng_below(key, 5 * i + 1, ARRAY_LEN(words))]));
        else if (kind == 8)
            add_assigned(0xa0 + (uint32_t)rng_below(key, 5 * i + 2, 0x3000), out);
        for (uint64_t k = 0; kind == 9 && k < 6; k++)
            buf_add_char(out, (char)('a' + rng_below(key, 100 * i + k, 26)));
        buf_add_str(out, str_from(gaps[rng_below(key, 5 * i + 3, ARRAY_LEN(gaps))]));
    }
}

static json_t *added_list(int first_id) {
    json_t *list = json_array();
    for (size_t i = 0; i < ARRAY_LEN(added_cases); i++) {
        const struct added_case *a = &added_cases[i];
        json_array_append_new(list, gguf_added(first_id + (int)i, a->text, a->special, a->lstrip, a->rstrip,
                                               a->single_word, a->normalised));
    }
    return list;
}

static bool same_ids(const struct tokens *ids, const json_t *theirs) {
    if (ids->len != json_array_size(theirs)) return false;
    for (size_t i = 0; i < ids->len; i++) {
        if (ids->ptr[i] != json_integer_value(json_array_get(theirs, i))) return false;
    }
    return true;
}

static struct tokens encode(const struct tokenizer *t, struct str text, bool special) {
    struct tokens ids = {0};
    struct buf marks = {0};
    struct err e;
    for (size_t i = 0; i < text.len; i++) buf_add_char(&marks, 1);
    if (special)
        ASSERT(tokenizer_encode_marked(t, text, buf_cstr(&marks), TOKENIZER_START, &ids, &e));
    else
        ASSERT(tokenizer_encode(t, text, &ids, &e));
    buf_free(&marks);
    return ids;
}

/* Ours by t, theirs by the folder. */
static int compare(const char *name, const struct tokenizer *t, const char *dir, bool special) {
    json_t *texts = json_array();
    struct buf text = {0};
    int n_differ = 0;
    for (uint64_t i = 0; i < TEXTS; i++) {
        make_text(rng_child(special, i), special, &text);
        json_array_append_new(texts, json_stringn(text.ptr ? text.ptr : "", text.len));
    }
    json_t *answers = peer_encode(dir, texts);
    for (size_t i = 0; i < TEXTS; i++) {
        const json_t *item = json_array_get(texts, i);
        const struct str s = {json_string_value(item), json_string_length(item)};
        struct tokens ids = encode(t, s, special);
        if (!same_ids(&ids, json_array_get(answers, i)) && n_differ++ < 5)
            printf("DIFFERENT %s: %s\n", name, json_string_value(item));
        tokens_free(&ids);
    }
    printf("%s%s: %d texts, %d differ\n", name, special ? ", special tokens" : "", TEXTS, n_differ);
    json_decref(texts);
    json_decref(answers);
    buf_free(&text);
    return n_differ;
}

static int compare_folder(const char *name, char *dir, bool written, struct err *e) {
    struct tokenizer *t = written ? tokenizer_open(dir, e) : NULL;
    if (!t) printf("FAILED %s: %s\n", name, e->msg);
    int n = t ? compare(name, t, dir, false) + compare(name, t, dir, true) : 1;
    tokenizer_close(t);
    rank_free_dir(dir);
    return n;
}

/* A rank file, with the added tokens. */
static int check_ranks(const char *data, const char *file, const char *name, const struct rank_tokenizer *k) {
    char *path = file_join(data, file), *dir = rank_new_dir(), *json_path = file_join(dir, "tokenizer.json");
    struct err e = {0};
    bool written = rank_write(path, k, dir, &e);
    json_t *root = written ? json_read_file(json_path, (size_t)64 << 20, &e) : NULL;
    if (root) {
        int n_ids = (int)json_object_size(json_object_get(json_object_get(root, "model"), "vocab"));
        json_object_set_new(root, "added_tokens", added_list(n_ids));
        char *text = json_line(root);
        written = file_write_atomic(json_path, str_from(text), &e);
        free(text);
        json_decref(root);
    }
    free(json_path);
    free(path);
    return compare_folder(name, dir, written, &e);
}

static int check_pieces(const char *data) {
    static const struct {
        const char *name, *scheme;
        bool cut;
    } dialects[] = {{"Llama-2, Prepend", NULL, false},
                    {"Llama-2, Metaspace first", "first", false},
                    {"Llama-2, Metaspace always, cut", "always", true},
                    {"Llama-2, Metaspace never", "never", false}};
    char *path = file_join(data, "llama-spm.gguf");
    struct gguf_vocabulary x;
    struct err e = {0};
    int n = 0;
    if (!gguf_vocabulary_open(path, &x, &e)) {
        printf("FAILED %s\n", e.msg);
        free(path);
        return 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
        char *dir = rank_new_dir();
        bool written = gguf_write_json(&x.v, dialects[i].scheme, dialects[i].cut,
                                       added_list((int)x.v.n_tokens), dir, &e);
        n += compare_folder(dialects[i].name, dir, written, &e);
    }
    char *dir = rank_new_dir(); /* the arrays by scores, against the older dialect by merges */
    struct tokenizer *t = vocab_tokenizer(&x.v, path, &e);
    if (!t || !gguf_write_json(&x.v, NULL, false, json_array(), dir, &e))
        n++, printf("FAILED %s\n", e.msg);
    else
        n += compare("Llama-2, scores", t, dir, false);
    rank_free_dir(dir);
    tokenizer_close(t);
    gguf_vocabulary_fini(&x);
    free(path);
    return n;
}

/* What a splitter does with delimiters, over patterns that leave stretches between their matches. */
static int check_behaviours(const char *data) {
    static const char *const names[] = {"Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    static const char *const patterns[] = {"\\s+", "\\p{L}+|\\p{N}", "\\s", "[^\\s\\p{L}]"};
    int n = 0;
    for (size_t i = 0; i < 2 * ARRAY_LEN(names); i++) {
        const struct rank_tokenizer k = {
            .pattern = patterns[i / 2], .ignore_merges = true, .behaviour = names[i / 2], .invert = i % 2};
        char name[64];
        snprintf(name, sizeof name, "%s of %s%s", names[i / 2], k.pattern, k.invert ? ", inverted" : "");
        n += check_ranks(data, "llama3.tiktoken", name, &k);
    }
    return n;
}

int main(int argc, char **argv) {
    static const struct rank_tokenizer llama3 = {RANK_PATTERN_LLAMA3, true, false, {NULL}, NULL, NULL, false},
                                       qwen2 = {RANK_PATTERN_QWEN2, false, true, {NULL}, NULL, NULL, false},
                                       tekken = {SPLIT_TEKKEN, true, false, {NULL}, NULL, NULL, false},
                                       deepseek = {SPLIT_DEEPSEEK3, false, false, {NULL}, NULL, NULL, false},
                                       tiktoken = {.pattern = RANK_PATTERN_LLAMA3,
                                                   .behaviour = "Removed",
                                                   .invert = true};
    char *data = file_join(argc > 1 ? argv[1] : ".", "tokenizer");
    int n = 0;
    if (!file_is_dir(data)) {
        printf("SKIPPED check_tokenizer_peer: no %s\n", data);
    } else if (peer_is_there("check_tokenizer_peer")) {
        n += check_ranks(data, "llama3.tiktoken", "Llama 3", &llama3);
        n += check_ranks(data, "qwen.tiktoken", "Qwen 2", &qwen2);
        n += check_ranks(data, "llama3.tiktoken", "Llama 3 cut as Tekken", &tekken);
        n += check_ranks(data, "qwen.tiktoken", "Qwen 2 cut as DeepSeek 3", &deepseek);
        n += check_ranks(data, "llama3.tiktoken", "Llama 3 as brought over from tiktoken", &tiktoken);
        n += check_behaviours(data);
        n += check_pieces(data);
        printf("check_tokenizer_peer: %d texts differ\n", n);
    }
    free(data);
    return n > 0;
}
