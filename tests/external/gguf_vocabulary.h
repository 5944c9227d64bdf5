/* gguf_vocabulary.h - the vocabulary of a GGUF file as a tokenizer, and as the tokenizer.json that Hugging
 * Face's converter makes of such pieces and scores. */
#ifndef BROOD_GGUF_VOCABULARY_H
#define BROOD_GGUF_VOCABULARY_H

#include "model/gguf.h"
#include "model/gguf_model.h"
#include "model/vocab.h"
#include "rank_file.h"

#define GGUF_SPACE "\xe2\x96\x81"

struct gguf_vocabulary {
    struct file_map map;
    struct gguf g;
    struct vocab_source v;
};

static inline bool gguf_vocabulary_open(const char *path, struct gguf_vocabulary *out, struct err *e) {
    *out = (struct gguf_vocabulary){0};
    return file_map(path, &out->map, e) && gguf_parse(out->map.ptr, out->map.n_bytes, path, &out->g, e) &&
           gguf_read_vocab(&out->g, &out->v, e);
}

static inline void gguf_vocabulary_fini(struct gguf_vocabulary *x) {
    vocab_source_fini(&x->v);
    gguf_fini(&x->g);
    file_unmap(&x->map);
}

struct gguf_merge {
    struct str left, right;
    float score;
    size_t i; /* as it was found */
};

static inline int gguf_compare_merges(const void *a, const void *b) {
    const struct gguf_merge *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

/* Every cut of a piece into two pieces, by the piece's score. */
static inline json_t *gguf_merges(const struct vocab_source *v) {
    struct map *ids = map_new(v->n_tokens);
    struct gguf_merge *merges = NULL;
    size_t n = 0, cap = 0;
    uint32_t id;
    for (size_t i = 0; i < v->n_tokens; i++) map_put(ids, v->tokens[i], (uint32_t)i);
    for (size_t i = 0; i < v->n_tokens; i++) {
        for (size_t at = 1; at < v->tokens[i].len; at++) {
            const struct str left = {v->tokens[i].ptr, at},
                             right = {v->tokens[i].ptr + at, v->tokens[i].len - at};
            if (v->types[i] != VOCAB_NORMAL || !map_get(ids, left, &id) || !map_get(ids, right, &id))
                continue;
            MEM_GROW(merges, cap, n + 1);
            merges[n] = (struct gguf_merge){left, right, v->scores[i], n};
            n++;
        }
    }
    qsort(merges, n, sizeof *merges, gguf_compare_merges);
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("[s%,s%]", merges[i].left.ptr, merges[i].left.len,
                                              merges[i].right.ptr, merges[i].right.len));
    free(merges);
    map_free(ids);
    return list;
}

static inline json_t *gguf_added(int id, const char *text, bool special, bool lstrip, bool rstrip,
                                 bool single_word, bool normalised) {
    return json_pack("{s:i,s:s,s:b,s:b,s:b,s:b,s:b}", "id", id, "content", text, "special", special, "lstrip",
                     lstrip, "rstrip", rstrip, "single_word", single_word, "normalized", normalised);
}

static inline json_t *gguf_replace(const char *from, const char *to) {
    return json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "String", from, "content", to);
}

/* scheme: NULL for the older dialect (Prepend and Replace), else that of a Metaspace. more_added: a list to
 * which the special tokens are added; taken. */
static inline bool gguf_write_json(const struct vocab_source *v, const char *scheme, bool cut,
                                   json_t *more_added, const char *dir, struct err *e) {
    json_t *vocab = json_object(), *normaliser = json_null(), *splitter = json_null();
    for (size_t i = 0; i < v->n_tokens; i++) {
        char *text = str_dup(v->tokens[i]);
        json_object_set_new(vocab, text, json_integer((json_int_t)i));
        if (v->types[i] == VOCAB_CONTROL || v->types[i] == VOCAB_UNKNOWN)
            json_array_append_new(more_added, gguf_added((int)i, text, true, false, false, false, false));
        free(text);
    }
    if (scheme)
        splitter = json_pack("{s:s,s:s,s:s,s:b}", "type", "Metaspace", "replacement", GGUF_SPACE,
                             "prepend_scheme", scheme, "split", cut);
    else
        normaliser = json_pack("{s:s,s:[{s:s,s:s},o]}", "type", "Sequence", "normalizers", "type", "Prepend",
                               "prepend", GGUF_SPACE, gguf_replace(" ", GGUF_SPACE));
    json_t *root = json_pack("{s:s,s:n,s:n,s:o,s:o,s:o,s:n,s:n,s:{s:s,s:n,s:s,s:b,s:b,s:o,s:o}}", "version",
                             "1.0", "truncation", "padding", "added_tokens", more_added, "normalizer",
                             normaliser, "pre_tokenizer", splitter, "post_processor", "decoder", "model",
                             "type", "BPE", "dropout", "unk_token", "<unk>", "fuse_unk", 1, "byte_fallback",
                             1, "vocab", vocab, "merges", gguf_merges(v));
    char *text = json_line(root), *path = file_join(dir, "tokenizer.json");
    bool done = file_write_atomic(path, str_from(text), e);
    free(text);
    free(path);
    json_decref(root);
    return done;
}

#endif
