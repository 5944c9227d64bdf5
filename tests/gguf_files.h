/* gguf_files.h - GGUF files written on the spot, well-formed or not. */
#ifndef BROOD_TESTS_GGUF_FILES_H
#define BROOD_TESTS_GGUF_FILES_H

#include "model/gguf.h"
#include "model_files.h"

enum { GGUF_ID_F32 = 0, GGUF_ID_F16 = 1, GGUF_ID_BF16 = 30 };

struct gguf_writer {
    struct buf entries, infos, data;
    uint64_t n_entries, n_tensors;
    size_t alignment; /* 32 unless set before the first tensor */
};

static inline void put_bits(struct buf *b, uint64_t value, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i++) buf_add_char(b, (char)(value >> (8 * i) & 0xff));
}

static inline void put_text(struct buf *b, struct str text) {
    put_bits(b, text.len, 8);
    buf_add_str(b, text);
}

static inline void put_float(struct buf *b, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    put_bits(b, bits, 4);
}

/* Key and type; the value follows. */
static inline struct buf *gguf_entry_of(struct gguf_writer *w, const char *key, enum gguf_type type) {
    w->n_entries++;
    put_text(&w->entries, str_from(key));
    put_bits(&w->entries, type, 4);
    return &w->entries;
}

static inline struct buf *gguf_array_of(struct gguf_writer *w, const char *key, enum gguf_type type,
                                        size_t n) {
    struct buf *b = gguf_entry_of(w, key, GGUF_ARRAY);
    put_bits(b, type, 4);
    put_bits(b, n, 8);
    return b;
}

static inline void gguf_put_int(struct gguf_writer *w, const char *key, uint32_t value) {
    put_bits(gguf_entry_of(w, key, GGUF_U32), value, 4);
}

static inline void gguf_put_float(struct gguf_writer *w, const char *key, float value) {
    put_float(gguf_entry_of(w, key, GGUF_F32), value);
}

static inline void gguf_put_bool(struct gguf_writer *w, const char *key, bool value) {
    put_bits(gguf_entry_of(w, key, GGUF_BOOL), value, 1);
}

static inline void gguf_put_text(struct gguf_writer *w, const char *key, const char *value) {
    put_text(gguf_entry_of(w, key, GGUF_STRING), str_from(value));
}

/* dims: elements of a row first. */
static inline void gguf_put_tensor(struct gguf_writer *w, const char *name, uint32_t type, int n_dims,
                                   const int64_t *dims, struct str bytes) {
    size_t alignment = w->alignment ? w->alignment : 32;
    while (w->data.len % alignment) buf_add_char(&w->data, 0);
    put_text(&w->infos, str_from(name));
    put_bits(&w->infos, (uint64_t)n_dims, 4);
    for (int i = 0; i < n_dims; i++) put_bits(&w->infos, (uint64_t)dims[i], 8);
    put_bits(&w->infos, type, 4);
    put_bits(&w->infos, w->data.len, 8);
    buf_add_str(&w->data, bytes);
    w->n_tensors++;
}

/* The file; frees the writer. */
static inline struct buf gguf_take(struct gguf_writer *w) {
    struct buf out = {0};
    size_t alignment = w->alignment ? w->alignment : 32;
    buf_add_str(&out, STR("GGUF"));
    put_bits(&out, 3, 4);
    put_bits(&out, w->n_tensors, 8);
    put_bits(&out, w->n_entries, 8);
    buf_add_str(&out, buf_str(&w->entries));
    buf_add_str(&out, buf_str(&w->infos));
    while (out.len % alignment) buf_add_char(&out, 0);
    buf_add_str(&out, buf_str(&w->data));
    buf_free(&w->entries);
    buf_free(&w->infos);
    buf_free(&w->data);
    return out;
}

/* ---- the vocabulary of a tokenizer.json, as converters write it ---- */

struct gguf_token {
    const char *text;
    int type;
};

static inline void gguf_put_vocabulary(struct gguf_writer *w, const json_t *tokenizer, const char *pattern,
                                       int n_padded) {
    const json_t *model = json_object_get(tokenizer, "model"), *merges = json_object_get(model, "merges"),
                 *added = json_object_get(tokenizer, "added_tokens");
    const char *text;
    json_t *id;
    size_t i;
    struct gguf_token *tokens = mem_zalloc((size_t)n_padded, sizeof *tokens);
    json_object_foreach(json_object_get(model, "vocab"), text, id) {
        tokens[json_integer_value(id)] = (struct gguf_token){text, 1};
    }
    json_array_foreach(added, i, id) {
        tokens[json_integer_value(json_object_get(id, "id"))] =
            (struct gguf_token){json_string_value(json_object_get(id, "content")),
                                json_is_true(json_object_get(id, "special")) ? 3 : 4};
    }
    gguf_put_text(w, "tokenizer.ggml.model", "gpt2");
    gguf_put_text(w, "tokenizer.ggml.pre", pattern);
    struct buf *b = gguf_array_of(w, "tokenizer.ggml.tokens", GGUF_STRING, (size_t)n_padded);
    for (int k = 0; k < n_padded; k++) {
        char padding[32];
        snprintf(padding, sizeof padding, "[PAD%d]", k);
        put_text(b, str_from(tokens[k].text ? tokens[k].text : padding));
    }
    b = gguf_array_of(w, "tokenizer.ggml.token_type", GGUF_I32, (size_t)n_padded);
    for (int k = 0; k < n_padded; k++) put_bits(b, (uint64_t)(tokens[k].text ? tokens[k].type : 5), 4);
    b = gguf_array_of(w, "tokenizer.ggml.merges", GGUF_STRING, json_array_size(merges));
    json_array_foreach(merges, i, id) {
        put_text(b, str_from(json_string_value(id)));
    }
    free(tokens);
}

/* ---- a model that is a Hugging Face folder already, written again ---- */

static inline uint32_t gguf_type_id(enum dtype t) {
    static const uint32_t ids[] = {[DTYPE_F32] = 0,   [DTYPE_F16] = 1,   [DTYPE_BF16] = 30, [DTYPE_Q8_0] = 8,
                                   [DTYPE_Q4_0] = 2,  [DTYPE_Q4_1] = 3,  [DTYPE_Q5_0] = 6,  [DTYPE_Q5_1] = 7,
                                   [DTYPE_Q4_K] = 12, [DTYPE_Q5_K] = 13, [DTYPE_Q6_K] = 14};
    return ids[t];
}

/* "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight" */
static inline void gguf_name_of(const char *name, char *out, size_t n_out) {
    static const char *const pairs[][2] = {{"model.embed_tokens", "token_embd"},
                                           {"model.norm", "output_norm"},
                                           {"lm_head", "output"},
                                           {"input_layernorm", "attn_norm"},
                                           {"post_attention_layernorm", "ffn_norm"},
                                           {"self_attn.q_proj", "attn_q"},
                                           {"self_attn.k_proj", "attn_k"},
                                           {"self_attn.v_proj", "attn_v"},
                                           {"self_attn.o_proj", "attn_output"},
                                           {"self_attn.q_norm", "attn_q_norm"},
                                           {"self_attn.k_norm", "attn_k_norm"},
                                           {"mlp.gate_proj", "ffn_gate"},
                                           {"mlp.up_proj", "ffn_up"},
                                           {"mlp.down_proj", "ffn_down"}};
    int layer = -1, skip = 0;
    if (sscanf(name, "model.layers.%d.%n", &layer, &skip) == 1) name += skip;
    const char *suffix = strrchr(name, '.');
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (strlen(pairs[i][0]) != (size_t)(suffix - name) ||
            strncmp(pairs[i][0], name, (size_t)(suffix - name)) != 0)
            continue;
        if (layer >= 0)
            snprintf(out, n_out, "blk.%d.%s%s", layer, pairs[i][1], suffix);
        else
            snprintf(out, n_out, "%s%s", pairs[i][1], suffix);
        return;
    }
    ASSERT(!"a tensor without a name in GGUF");
}

/* One tensor; with a head width the rows of each head in pairs, as converters order q and k of llama. */
static inline void gguf_put_model_tensor(struct gguf_writer *w, const struct tensor *t, int head_width) {
    char name[96];
    struct buf bytes = {0};
    gguf_name_of(t->name, name, sizeof name);
    size_t each = tensor_row_bytes(t);
    int64_t half = head_width / 2;
    for (int64_t i = 0; i < t->shape[0]; i++) {
        int64_t k = head_width ? i % head_width : 0, from = i;
        if (head_width) from = i - k + (k % 2) * half + k / 2;
        buf_add(&bytes, (const char *)t->data + (size_t)from * each, each);
    }
    const int64_t dims[] = {t->shape[t->n_dims - 1], t->shape[0]};
    gguf_put_tensor(w, name, gguf_type_id(t->dtype), t->n_dims, dims, buf_str(&bytes));
    buf_free(&bytes);
}

static inline void gguf_put_arch(struct gguf_writer *w, const struct model_config *c, const char *arch) {
    const struct {
        const char *key;
        int value;
    } sizes[] = {{"block_count", c->n_layers},
                 {"context_length", c->n_context},
                 {"embedding_length", c->d_model},
                 {"feed_forward_length", c->d_ffn},
                 {"attention.head_count", c->n_heads},
                 {"attention.head_count_kv", c->n_kv_heads},
                 {"attention.key_length", c->head_width},
                 {"attention.value_length", c->head_width},
                 {"rope.dimension_count", c->head_width}};
    char key[96];
    gguf_put_text(w, "general.architecture", arch);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        snprintf(key, sizeof key, "%s.%s", arch, sizes[i].key);
        gguf_put_int(w, key, (uint32_t)sizes[i].value);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", arch);
    gguf_put_float(w, key, c->norm_eps);
    snprintf(key, sizeof key, "%s.rope.freq_base", arch);
    gguf_put_float(w, key, (float)c->rope.theta);
}

/* Tensors [first, end) of a model in the order of their names. */
static inline void gguf_put_model_tensors(struct gguf_writer *w, const struct model *m, const char *arch,
                                          int first, int end) {
    for (int i = first; i < end; i++) {
        const struct tensor *t = &m->tensors[i];
        bool paired = strcmp(arch, "llama") == 0 && (strstr(t->name, "q_proj") || strstr(t->name, "k_proj"));
        gguf_put_model_tensor(w, t, paired ? m->config.head_width : 0);
    }
}

static inline void gguf_write(struct gguf_writer *w, const char *path) {
    struct buf bytes = gguf_take(w);
    FILE *f = fopen(path, "wb");
    ASSERT(f && fwrite(bytes.ptr, 1, bytes.len, f) == bytes.len && fclose(f) == 0);
    buf_free(&bytes);
}

#endif
