/* gguf_vocab.c - a GGUF file's vocabulary, as vocab.h has it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "model/bpe.h"
#include "model/gguf_model.h"
#include "model/tokenizer_impl.h"

#define PREFIX "tokenizer.ggml."

static bool read_kind(const struct gguf *g, struct vocab_source *v, struct err *e) {
    struct str model;
    if (!gguf_get_string(g, PREFIX "model", &model, e) || !gguf_get_string(g, PREFIX "pre", &v->pattern, e))
        return false;
    if (str_equal(model, STR("gpt2"))) return v->kind = VOCAB_BYTE_LEVEL, true;
    if (str_equal(model, STR("llama"))) return v->kind = VOCAB_SENTENCEPIECE, true;
    if (model.len == 0)
        return err_set(e, ERR_INPUT, "%s: there is no vocabulary in it (tokenizer.ggml.model)", g->where);
    return err_set(e, ERR_INPUT,
                   "%s: tokenizer model %.*s is not supported; gpt2 (byte-level BPE) and llama "
                   "(SentencePiece-style BPE) are",
                   g->where, (int)MIN(model.len, 40u), model.ptr);
}

static bool read_types(const struct gguf *g, struct vocab_source *v, struct err *e) {
    int64_t *types;
    size_t n;
    if (!gguf_get_ints(g, PREFIX "token_type", &types, &n, e)) return false;
    bool done = true;
    if (types && n != v->n_tokens)
        done = err_set(e, ERR_INPUT, "%s: %zu tokens, but %zu token types", g->where, v->n_tokens, n);
    v->types = mem_zalloc(v->n_tokens + 1, sizeof *v->types);
    for (size_t i = 0; done && i < v->n_tokens; i++) {
        int64_t type = types ? types[i] : VOCAB_NORMAL;
        if (type < VOCAB_NORMAL || type > VOCAB_BYTE)
            done = err_set(e, ERR_INPUT, "%s: token %zu has type %lld, not 1 to 6", g->where, i,
                           (long long)type);
        else
            v->types[i] = (uint8_t)type;
    }
    free(types);
    return done;
}

static bool read_scores(const struct gguf *g, struct vocab_source *v, struct err *e) {
    size_t n;
    if (!gguf_get_floats(g, PREFIX "scores", &v->scores, &n, e)) return false;
    if (!v->scores)
        return v->kind == VOCAB_BYTE_LEVEL ||
               err_set(e, ERR_INPUT, "%s: metadata " PREFIX "scores is missing", g->where);
    if (n != v->n_tokens)
        return err_set(e, ERR_INPUT, "%s: %zu tokens, but %zu scores", g->where, v->n_tokens, n);
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v->scores[i]))
            return err_set(e, ERR_INPUT, "%s: the score of token %zu is not a number", g->where, i);
    }
    return true;
}

static bool read_arrays(const struct gguf *g, struct vocab_source *v, struct err *e) {
    if (!gguf_get_strings(g, PREFIX "tokens", &v->tokens, &v->n_tokens, e)) return false;
    if (v->n_tokens == 0 || v->n_tokens > TOKENIZER_IDS_MAX)
        return err_set(e, ERR_INPUT, "%s: a vocabulary of %zu tokens, not 1 to %d", g->where, v->n_tokens,
                       TOKENIZER_IDS_MAX);
    for (size_t i = 0; i < v->n_tokens; i++) {
        if (v->tokens[i].len > TOKENIZER_TOKEN_BYTES_MAX)
            return err_set(e, ERR_INPUT, "%s: token %zu has %zu bytes", g->where, i, v->tokens[i].len);
    }
    if (!read_types(g, v, e) || !read_scores(g, v, e) ||
        !gguf_get_strings(g, PREFIX "merges", &v->merges, &v->n_merges, e))
        return false;
    if (v->kind == VOCAB_BYTE_LEVEL && !v->merges)
        return err_set(e, ERR_INPUT, "%s: metadata " PREFIX "merges is missing", g->where);
    return v->n_merges <= BPE_MERGES_MAX || err_set(e, ERR_INPUT, "%s: %zu merges are over the %d allowed",
                                                    g->where, v->n_merges, BPE_MERGES_MAX);
}

static bool read_id(const struct gguf *g, const char *key, const struct vocab_source *v, int *out,
                    struct err *e) {
    int64_t id;
    if (!gguf_get_int(g, key, -1, -1, UINT32_MAX, &id, e)) return false;
    if (id == UINT32_MAX) id = -1; /* how some writers say "none" */
    *out = (int)id;
    return id < (int64_t)v->n_tokens ||
           err_set(e, ERR_INPUT, "%s: metadata %s is %lld, but there are %zu tokens", g->where, key,
                   (long long)id, v->n_tokens);
}

static void add_end(struct vocab_source *v, int id) {
    for (int i = 0; i < v->n_ends; i++) {
        if (v->ends[i] == id) return;
    }
    if (id >= 0 && v->n_ends < VOCAB_ENDS_MAX) v->ends[v->n_ends++] = id;
}

/* The file names one end token, or two; where a turn may end otherwise, only the tokens' texts say so. */
static bool read_ends(const struct gguf *g, struct vocab_source *v, struct err *e) {
    static const char *const names[] = {"<|eot_id|>",
                                        "<|im_end|>",
                                        "<|end|>",
                                        "<|end_of_text|>",
                                        "<|eom_id|>",
                                        "<|endoftext|>",
                                        "<end_of_turn>",
                                        "</s>",
                                        "<EOT>",
                                        "_<EOT>",
                                        "[EOS]",
                                        "[EOT]",
                                        "<|return|>",
                                        "<end_of_utterance>",
                                        "<\357\275\234end\342\226\201of\342\226\201sentence\357\275\234>"};
    int eot, eom;
    if (!read_id(g, PREFIX "eot_token_id", v, &eot, e) || !read_id(g, PREFIX "eom_token_id", v, &eom, e))
        return false;
    add_end(v, v->eos);
    add_end(v, eot);
    add_end(v, eom);
    struct map *ends = map_new(ARRAY_LEN(names));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) map_put(ends, str_from(names[i]), 0);
    for (size_t i = 0; i < v->n_tokens; i++) {
        uint32_t found;
        if (v->types[i] == VOCAB_CONTROL && map_get(ends, v->tokens[i], &found)) add_end(v, (int)i);
    }
    map_free(ends);
    return true;
}

static bool read_all(const struct gguf *g, struct vocab_source *v, struct err *e) {
    int remove_extra;
    if (!read_kind(g, v, e) || !read_arrays(g, v, e) || !read_id(g, PREFIX "bos_token_id", v, &v->bos, e) ||
        !read_id(g, PREFIX "eos_token_id", v, &v->eos, e) ||
        !read_id(g, PREFIX "unknown_token_id", v, &v->unknown, e) || !read_ends(g, v, e) ||
        !gguf_get_bool(g, PREFIX "add_bos_token", -1, &v->add_bos, e) ||
        !gguf_get_bool(g, PREFIX "add_eos_token", -1, &v->add_eos, e) ||
        !gguf_get_bool(g, PREFIX "add_space_prefix", -1, &v->add_space_prefix, e) ||
        !gguf_get_bool(g, PREFIX "remove_extra_whitespaces", 0, &remove_extra, e) ||
        !gguf_get_string(g, "tokenizer.chat_template", &v->chat_template, e) ||
        !gguf_get_string(g, "tokenizer.huggingface.json", &v->tokenizer_json, e))
        return false;
    v->remove_extra_whitespace = remove_extra == 1;
    return !memchr(v->chat_template.ptr, 0, v->chat_template.len) ||
           err_set(e, ERR_INPUT, "%s: metadata tokenizer.chat_template has a NUL in it", g->where);
}

bool gguf_read_vocab(const struct gguf *g, struct vocab_source *out, struct err *e) {
    *out = (struct vocab_source){0};
    if (read_all(g, out, e)) return true;
    vocab_source_fini(out);
    return false;
}
