/* tiny_model.h - writes a random Llama model of a few kilobytes as a Hugging Face folder: a policy or a
 * reward model.
 *
 * Byte-level tokenizer: ids 0-255 are the bytes, 256 a blank line, 257 a full stop with a blank line, 258 a
 * blank line with "A", 259 <|end|>, 260 <|other|>. The first hidden width is about constant, so that column 0
 * of the head works as a bias: letters, blank lines and now and then the end are likely, and steps are short.
 */
#ifndef BROOD_TINY_MODEL_H
#define BROOD_TINY_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

enum { TINY_BREAK = 256, TINY_END = 259, TINY_VOCAB = 261, TINY_CONTEXT = 256, TINY_WIDTH = 32 };

struct tiny_writer {
    const char *dir;
    struct buf header, data;
    uint64_t key;
    int n_tensors;
};

static inline void tiny_file(const char *dir, const char *name, struct str content) {
    struct err e = {0};
    char *path = file_join(dir, name);
    bool done = file_write_atomic(path, content, &e);
    ASSERT(done);
    free(path);
}

/* A byte as byte-level BPE spells it (GPT-2's bytes_to_unicode). */
static inline void tiny_spell(struct buf *out, int byte) {
    int n_moved = 0;
    for (int b = 0; b < byte; b++) n_moved += !((b >= 33 && b <= 126) || (b >= 161 && b != 173));
    bool plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    if (byte == '"' || byte == '\\') buf_add_char(out, '\\');
    buf_add_utf8(out, plain ? (uint32_t)byte : (uint32_t)(256 + n_moved));
}

static inline void tiny_tokenizer(const char *dir) {
    struct buf text = {0};
    buf_add_str(&text, STR("{\"version\": \"1.0\", \"added_tokens\": ["));
    for (int id = TINY_END; id < TINY_VOCAB; id++)
        buf_printf(&text,
                   "%s{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, "
                   "\"rstrip\": false, "
                   "\"normalized\": false, \"special\": true}",
                   id > TINY_END ? ", " : "", id, id == TINY_END ? "<|end|>" : "<|other|>");
    buf_add_str(
        &text, STR("], \"normalizer\": null, \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": ["
                   "{\"type\": \"Split\", \"pattern\": {\"Regex\": \"[\\\\p{L}]+|\\\\p{N}| "
                   "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+\"}, \"behavior\": "
                   "\"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                   "\"trim_offsets\": false, \"use_regex\": false}]}, \"post_processor\": null, \"decoder\": "
                   "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": false, "
                   "\"use_regex\": false}, \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": "
                   "null, \"byte_fallback\": false, \"ignore_merges\": false, \"vocab\": {"));
    for (int b = 0; b < 256; b++) {
        buf_add_char(&text, '"');
        tiny_spell(&text, b);
        buf_printf(&text, "\": %d, ", b);
    }
    buf_add_str(
        &text,
        STR("\"\xc4\x8a\xc4\x8a\": 256, \".\xc4\x8a\xc4\x8a\": 257, \"\xc4\x8a\xc4\x8a"
            "A\": 258}, \"merges\": [\"\xc4\x8a \xc4\x8a\", \". \xc4\x8a\xc4\x8a\", \"\xc4\x8a\xc4\x8a "
            "A\"]}}"));
    tiny_file(dir, "tokenizer.json", buf_str(&text));
    tiny_file(dir, "tokenizer_config.json", STR("{\"eos_token\": \"<|end|>\", \"add_bos_token\": false}"));
    buf_free(&text);
}

/* A tensor of uniform numbers within +-scale; its first column is bias(row) if there is one. */
static inline void tiny_tensor(struct tiny_writer *w, const char *name, int n_rows, int n_columns,
                               double scale, double (*bias)(int row)) {
    bool to_residual = strstr(name, "o_proj") || strstr(name, "down_proj"); /* leaves the first width alone */
    uint64_t key = rng_child(w->key, (uint64_t)w->n_tensors);
    size_t begin = w->data.len;
    for (int i = 0; i < n_rows * MAX(n_columns, 1); i++) {
        float x = (float)(scale * (2 * rng_unit(key, (uint64_t)i) - 1));
        if (n_columns == 0) x = 1 + x;
        if (to_residual && i < n_columns) x = 0;
        if (bias && i % n_columns == 0) x = (float)bias(i / n_columns);
        buf_add(&w->data, &x, sizeof x);
    }
    buf_printf(&w->header, "%s\"%s\": {\"dtype\": \"F32\", \"shape\": [%d", w->n_tensors++ ? ", " : "", name,
               n_rows);
    if (n_columns) buf_printf(&w->header, ", %d", n_columns);
    buf_printf(&w->header, "], \"data_offsets\": [%zu, %zu]}", begin, w->data.len);
}

static inline double tiny_constant(int row) {
    UNUSED(row);
    return 4;
}

static inline double tiny_head_bias(int id) {
    if (id == 0) return -9; /* tests keep texts as C strings */
    if (id == TINY_BREAK || id == 257) return 1.0;
    if (id == '\n' || id == 258) return 0.8;
    if (id == TINY_END) return 0.5;
    return (id >= 'a' && id <= 'z') || id == ' ' || id == '.' ? 0.6 : -0.3;
}

/* The tensors of the head that an architecture has; identity: a language model whose first outputs are the
 * final state itself. */
static inline double tiny_identity(int row, int column) {
    return row == column;
}

static inline void tiny_head(struct tiny_writer *w, const char *architecture, int n_labels, bool identity) {
    if (strstr(architecture, "TokenClassification")) {
        tiny_tensor(w, "score.weight", n_labels, TINY_WIDTH, 0.5, NULL);
    } else if (strstr(architecture, "SequenceClassification")) {
        tiny_tensor(w, "score.weight", 1, TINY_WIDTH, 0.5, NULL);
    } else if (strstr(architecture, "ProcessReward")) {
        tiny_tensor(w, "score.0.weight", TINY_WIDTH, TINY_WIDTH, 0.5, NULL);
        tiny_tensor(w, "score.0.bias", TINY_WIDTH, 0, 0.5, NULL);
        tiny_tensor(w, "score.2.weight", 2, TINY_WIDTH, 0.5, NULL);
        tiny_tensor(w, "score.2.bias", 2, 0, 0.5, NULL);
    } else if (strstr(architecture, "PrmModel")) {
        tiny_tensor(w, "v_head.summary.weight", 1, TINY_WIDTH, 0.5, NULL);
        tiny_tensor(w, "v_head.summary.bias", 1, 0, 0.5, NULL);
    } else {
        tiny_tensor(w, "lm_head.weight", TINY_VOCAB, TINY_WIDTH, 0.3, tiny_head_bias);
        float *head = (float *)(void *)(w->data.ptr + w->data.len) - TINY_VOCAB * TINY_WIDTH;
        for (int i = 0; identity && i < TINY_VOCAB * TINY_WIDTH; i++)
            head[i] = (float)tiny_identity(i / TINY_WIDTH, i % TINY_WIDTH);
    }
}

static inline void tiny_weights(const char *dir, uint64_t seed, const char *architecture, int n_labels,
                                bool identity) {
    struct tiny_writer w = {.dir = dir, .key = rng_child(seed, 77)};
    buf_add_char(&w.header, '{');
    tiny_tensor(&w, "model.embed_tokens.weight", TINY_VOCAB, TINY_WIDTH, 1, tiny_constant);
    for (int layer = 0; layer < 2; layer++) {
        static const struct {
            const char *name;
            int n_rows, n_columns;
            double scale;
        } parts[] = {
            {"input_layernorm", TINY_WIDTH, 0, 0.1},   {"self_attn.q_proj", 32, TINY_WIDTH, 0.5},
            {"self_attn.k_proj", 16, TINY_WIDTH, 0.5}, {"self_attn.v_proj", 16, TINY_WIDTH, 0.5},
            {"self_attn.o_proj", TINY_WIDTH, 32, 0.3}, {"post_attention_layernorm", TINY_WIDTH, 0, 0.1},
            {"mlp.gate_proj", 48, TINY_WIDTH, 0.4},    {"mlp.up_proj", 48, TINY_WIDTH, 0.4},
            {"mlp.down_proj", TINY_WIDTH, 48, 0.2},
        };
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
            char name[80];
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, parts[i].name);
            tiny_tensor(&w, name, parts[i].n_rows, parts[i].n_columns, parts[i].scale, NULL);
            if (strncmp(architecture, "Qwen2", 5) != 0 || i < 1 || i > 3) continue;
            snprintf(name, sizeof name, "model.layers.%d.%s.bias", layer, parts[i].name);
            tiny_tensor(&w, name, parts[i].n_rows, 0, 0.2, NULL);
        }
    }
    tiny_tensor(&w, "model.norm.weight", TINY_WIDTH, 0, 0.1, NULL);
    tiny_head(&w, architecture, n_labels, identity);
    buf_add_char(&w.header, '}');
    while (w.header.len % 8) buf_add_char(&w.header, ' ');
    struct buf file = {0};
    for (int i = 0; i < 8; i++) buf_add_char(&file, (char)((uint64_t)w.header.len >> (8 * i) & 0xff));
    buf_add_str(&file, buf_str(&w.header));
    buf_add_str(&file, buf_str(&w.data));
    tiny_file(dir, "model.safetensors", buf_str(&file));
    buf_free(&file);
    buf_free(&w.header);
    buf_free(&w.data);
}

/* Writes the model into a directory that exists. */
static inline void tiny_model_write_labels(const char *dir, uint64_t seed, const char *architecture,
                                           int n_labels, bool identity) {
    struct buf config = {0};
    buf_printf(
        &config,
        "{\"architectures\": [\"%s\"], \"model_type\": \"llama\", \"vocab_size\": %d, \"hidden_size\": %d, "
        "\"intermediate_size\": 48, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
        "\"num_key_value_heads\": 2, \"head_dim\": 8, \"hidden_act\": \"silu\", "
        "\"max_position_embeddings\": %d, \"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0, "
        "\"tie_word_embeddings\": false, \"eos_token_id\": %d, \"torch_dtype\": \"float32\", \"num_labels\": "
        "%d}",
        architecture, TINY_VOCAB, TINY_WIDTH, TINY_CONTEXT, TINY_END, n_labels);
    tiny_file(dir, "config.json", buf_str(&config));
    buf_free(&config);
    tiny_tokenizer(dir);
    tiny_weights(dir, seed, architecture, n_labels, identity);
}

static inline void tiny_model_write_as(const char *dir, uint64_t seed, const char *architecture,
                                       bool identity) {
    tiny_model_write_labels(dir, seed, architecture, strstr(architecture, "Sequence") ? 1 : 2, identity);
}

static inline void tiny_model_write(const char *dir, uint64_t seed, bool reward) {
    tiny_model_write_as(dir, seed, reward ? "LlamaForTokenClassification" : "LlamaForCausalLM", false);
}

static inline void tiny_model_remove(const char *dir) {
    static const char *const names[] = {"config.json", "tokenizer.json", "tokenizer_config.json",
                                        "model.safetensors"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = file_join(dir, names[i]);
        unlink(path);
        free(path);
    }
    rmdir(dir);
}

#endif
