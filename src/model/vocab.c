#include "model/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "model/split_patterns.h"
#include "model/tokenizer_impl.h"

/* ---- byte level: written as the tokenizer.json that it was converted from ---- */

enum { PATTERN_PARTS_MAX = 7 };

struct pattern {
    const char *name;
    const char *parts[PATTERN_PARTS_MAX]; /* one after another; none: GPT-2's, which ByteLevel brings along */
    bool nfc, ignore_merges, add_bos;
};

#define DEEPSEEK_LLM                                                                                         \
    { "[\r\n]", SPLIT_DEEPSEEK_WORDS, SPLIT_DEEPSEEK_SIGNS, "\\s+$", SPLIT_DEEPSEEK_HAN, "\\p{N}" }
#define DEEPSEEK_CODER                                                                                       \
    { "[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", SPLIT_DEEPSEEK_HAN, "\\p{N}" }
#define DEEPSEEK3                                                                                            \
    { "\\p{N}{1,3}", SPLIT_DEEPSEEK3_HAN, SPLIT_DEEPSEEK3 }

static const struct pattern patterns[] = {
    {"gpt-2", {NULL}, false, false, false},
    {"smollm", {"\\p{N}", SPLIT_GPT2}, false, false, false},
    {"starcoder", {"\\p{N}", SPLIT_GPT2}, false, false, false},
    {"llama-bpe", {SPLIT_LLAMA3}, false, true, true},
    {"llama3", {SPLIT_LLAMA3}, false, true, true},
    {"llama-v3", {SPLIT_LLAMA3}, false, true, true},
    {"falcon3", {SPLIT_LLAMA3}, false, true, true},
    {"smaug-bpe", {SPLIT_LLAMA3}, false, false, false},
    {"dbrx", {SPLIT_LLAMA3}, false, false, false},
    {"qwen2", {SPLIT_QWEN2}, true, false, false},
    {"deepseek-r1-qwen", {SPLIT_QWEN2}, true, false, false},
    {"qwen35", {SPLIT_QWEN35}, true, false, false},
    {"tekken", {SPLIT_TEKKEN}, false, true, true},
    {"gpt-4o", {SPLIT_GPT4O}, false, false, false},
    {"deepseek-llm", DEEPSEEK_LLM, false, false, false},
    {"deepseek-coder", DEEPSEEK_CODER, false, false, false},
    {"deepseek-v3", DEEPSEEK3, false, false, false},
};

static const char pattern_names[] = "gpt-2, smollm, starcoder, llama-bpe, llama3, llama-v3, falcon3, "
                                    "smaug-bpe, dbrx, qwen2, deepseek-r1-qwen, "
                                    "qwen35, tekken, gpt-4o, deepseek-llm, deepseek-coder and deepseek-v3";

static const struct pattern *find_pattern(struct str name, const char *where, struct err *e) {
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        if (str_equal(name, str_from(patterns[i].name))) return &patterns[i];
    }
    if (name.len == 0)
        err_set(e, ERR_INPUT,
                "%s: the file does not say how its tokenizer splits text (tokenizer.ggml.pre); convert the "
                "model again with a converter that writes it",
                where);
    else
        err_set(e, ERR_INPUT, "%s: the split pattern %.*s (tokenizer.ggml.pre) is not known; these are: %s",
                where, (int)MIN(name.len, 40u), name.ptr, pattern_names);
    return NULL;
}

static json_t *make_splitter(const struct pattern *p) {
    json_t *list = json_array();
    for (int i = 0; i < PATTERN_PARTS_MAX && p->parts[i]; i++)
        json_array_append_new(list, json_pack("{s:s,s:{s:s},s:s,s:b}", "type", "Split", "pattern", "Regex",
                                              p->parts[i], "behavior", "Isolated", "invert", 0));
    json_array_append_new(list, json_pack("{s:s,s:b,s:b}", "type", "ByteLevel", "add_prefix_space", 0,
                                          "use_regex", p->parts[0] == NULL));
    return json_pack("{s:s,s:o}", "type", "Sequence", "pretokenizers", list);
}

static bool refuse_token(size_t id, struct str text, const char *why, const char *where, struct err *e) {
    return err_set(e, ERR_INPUT, "%s: token %zu \"%.*s\" %s", where, id, (int)MIN(text.len, 60u), text.ptr,
                   why);
}

/* Normal tokens into the vocabulary, control and user-defined ones into the added tokens. */
static bool put_tokens(const struct vocab_source *v, json_t *vocab, json_t *added, const char *where,
                       struct err *e) {
    for (size_t i = 0; i < v->n_tokens; i++) {
        struct str text = v->tokens[i];
        enum vocab_type type = v->types[i];
        if (type == VOCAB_UNUSED) continue;
        json_t *string = memchr(text.ptr, 0, text.len) ? NULL : json_stringn(text.ptr, text.len);
        if (!string || text.len == 0) {
            json_decref(string);
            return refuse_token(i, text, "is no text in UTF-8", where, e);
        }
        if (type == VOCAB_BYTE) {
            json_decref(string);
            return refuse_token(i, text, "stands for a byte, which byte-level vocabularies have none of",
                                where, e);
        }
        if (type == VOCAB_NORMAL) {
            bool twice = json_object_getn(vocab, text.ptr, text.len) != NULL;
            json_decref(string);
            if (twice) return refuse_token(i, text, "is there twice", where, e);
            json_object_setn_new_nocheck(vocab, text.ptr, text.len, json_integer((json_int_t)i));
        } else {
            json_array_append_new(added, json_pack("{s:I,s:o,s:b,s:b}", "id", (json_int_t)i, "content",
                                                   string, "special", type != VOCAB_USER, "normalized", 0));
        }
    }
    return true;
}

static bool put_merges(const struct vocab_source *v, json_t *merges, const char *where, struct err *e) {
    for (size_t i = 0; i < v->n_merges; i++) {
        json_t *text = memchr(v->merges[i].ptr, 0, v->merges[i].len)
                           ? NULL
                           : json_stringn(v->merges[i].ptr, v->merges[i].len);
        if (!text) return err_set(e, ERR_INPUT, "%s: merge %zu is no text in UTF-8", where, i);
        json_array_append_new(merges, text);
    }
    return true;
}

static struct tokenizer *make_byte_level(const struct vocab_source *v, const char *where, struct err *e) {
    const struct pattern *p = find_pattern(v->pattern, where, e);
    if (!p) return NULL;
    json_t *vocab = json_object(), *merges = json_array(), *added = json_array();
    bool done = put_tokens(v, vocab, added, where, e) && put_merges(v, merges, where, e);
    json_t *model = json_pack("{s:s,s:b,s:o,s:o}", "type", "BPE", "ignore_merges", p->ignore_merges, "vocab",
                              vocab, "merges", merges);
    json_t *root = json_pack("{s:o,s:o?,s:o,s:o}", "added_tokens", added, "normalizer",
                             p->nfc ? json_pack("{s:s}", "type", "NFC") : NULL, "pre_tokenizer",
                             make_splitter(p), "model", model);
    struct tokenizer *t = done ? tokenizer_parse(root, where, e) : NULL;
    json_decref(root);
    if (t && (v->add_bos == 1 || (v->add_bos < 0 && p->add_bos))) t->bos = v->bos;
    return t;
}

/* ---- SentencePiece ---- */

/* A space goes before each stretch of text between special tokens, as llama.cpp puts it. */
static struct tokenizer *make_pieces(const struct vocab_source *v, const char *where, struct err *e) {
    struct tokenizer *t = tokenizer_from_pieces(v, true, where, e);
    if (t && v->add_bos != 0) t->bos = v->bos;
    return t;
}

/* ---- the door ---- */

static struct tokenizer *make_from_json(const struct vocab_source *v, const char *where, struct err *e) {
    json_t *root = json_parse(v->tokenizer_json, where, e);
    struct tokenizer *t = root ? tokenizer_parse(root, where, e) : NULL;
    json_decref(root);
    if (!t) err_wrap(e, "tokenizer.huggingface.json");
    if (t && v->add_bos == 1 && t->bos < 0) t->bos = v->bos;
    return t;
}

static bool check_ends(const struct tokenizer *t, const struct vocab_source *v, const char *where,
                       struct err *e) {
    const int ids[] = {v->bos, v->eos, t->bos};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        if (ids[i] >= 0 && tokenizer_bytes(t, ids[i]).len == 0)
            return err_set(e, ERR_INPUT, "%s: the %s token %d is not in the vocabulary", where,
                           i == 1 ? "end" : "begin", ids[i]);
    }
    if (v->add_bos == 1 && t->bos < 0)
        return err_set(e, ERR_INPUT, "%s: add_bos_token without a bos_token_id", where);
    return v->add_eos != 1 || err_set(e, ERR_INPUT,
                                      "%s: a token put at the end of every text (add_eos_token) is not "
                                      "supported: this is an embedding model's vocabulary",
                                      where);
}

struct tokenizer *vocab_tokenizer(const struct vocab_source *v, const char *where, struct err *e) {
    struct tokenizer *t = NULL;
    if (v->tokenizer_json.len)
        t = make_from_json(v, where, e);
    else if (v->kind == VOCAB_BYTE_LEVEL)
        t = make_byte_level(v, where, e);
    else
        t = make_pieces(v, where, e);
    if (!t) return NULL;
    if (check_ends(t, v, where, e)) {
        t->bos_token = v->bos;
        t->eos_token = v->eos;
        return t;
    }
    tokenizer_close(t);
    return NULL;
}

void vocab_source_fini(struct vocab_source *v) {
    free(v->tokens);
    free(v->types);
    free(v->scores);
    free(v->merges);
    *v = (struct vocab_source){0};
}
