/* model_files.h - small model folders for tests: a temporary folder, tokenizer.json, config.json and weights
 * made on the spot. */
#ifndef BROOD_TESTS_MODEL_FILES_H
#define BROOD_TESTS_MODEL_FILES_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"

#define FILES_QWEN2_PATTERN                                                                                  \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"                                      \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* ---- folders ---- */

static inline char *files_new_dir(void) {
    char *dir = mem_strdup("/tmp/brood-test-XXXXXX");
    ASSERT(mkdtemp(dir));
    return dir;
}

/* Not through file_write_atomic, which waits for the disk. */
static inline void files_put(const char *dir, const char *name, struct str content) {
    char *path = file_join(dir, name);
    FILE *f = fopen(path, "wb");
    ASSERT(f && fwrite(content.len ? content.ptr : "", 1, content.len, f) == content.len && fclose(f) == 0);
    free(path);
}

static inline void files_put_json(const char *dir, const char *name, const json_t *root) {
    char *text = json_line(root);
    files_put(dir, name, str_from(text));
    free(text);
}

static inline void files_remove(const char *dir, const char *name) {
    char *path = file_join(dir, name);
    unlink(path);
    free(path);
}

/* The folder with its files, and its name. */
static inline void files_free_dir(char *dir) {
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));) files_remove(dir, entry->d_name);
    if (d) closedir(d);
    rmdir(dir);
    free(dir);
}

/* ---- tokenizer.json ---- */

/* GPT-2's printable stand-ins for bytes. Owned string. */
static inline char *files_stand_in(struct str bytes) {
    struct buf out = {0};
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned b = (unsigned char)bytes.ptr[i], spare = 0x100;
        for (unsigned c = 0; c < b; c++) spare += c < '!' || (c > '~' && c < 0xa1) || c == 0xad;
        buf_add_utf8(&out, b < '!' || (b > '~' && b < 0xa1) || b == 0xad ? spare : b);
    }
    return buf_take(&out);
}

/* The model part: 256 bytes, then the results of merges in order; `merges` holds pairs of byte strings, ended
 * by NULL. */
static inline json_t *files_bpe(const char *const *merges, bool as_pairs) {
    json_t *vocab = json_object(), *list = json_array();
    for (int b = 0; b < 256; b++) {
        const char c = (char)b;
        char *text = files_stand_in((struct str){&c, 1});
        json_object_set_new(vocab, text, json_integer(b));
        free(text);
    }
    for (size_t i = 0; merges[i]; i += 2) {
        char *left = files_stand_in(str_from(merges[i])), *right = files_stand_in(str_from(merges[i + 1]));
        struct buf joined = {0};
        buf_printf(&joined, "%s%s", left, right);
        if (!json_object_get(vocab, buf_cstr(&joined)))
            json_object_set_new(vocab, buf_cstr(&joined), json_integer((json_int_t)json_object_size(vocab)));
        if (as_pairs) {
            json_array_append_new(list, json_pack("[s,s]", left, right));
        } else {
            buf_clear(&joined);
            buf_printf(&joined, "%s %s", left, right);
            json_array_append_new(list, json_string(buf_cstr(&joined)));
        }
        buf_free(&joined);
        free(left);
        free(right);
    }
    return json_pack("{s:s,s:o,s:o,s:b}", "type", "BPE", "vocab", vocab, "merges", list, "ignore_merges", 0);
}

static inline json_t *files_added(int id, const char *text, bool special, bool normalised) {
    return json_pack("{s:i,s:s,s:b,s:b,s:b,s:b,s:b}", "id", id, "content", text, "special", special,
                     "normalized", normalised, "single_word", 0, "lstrip", 0, "rstrip", 0);
}

static inline json_t *files_splitter(const char *pattern) {
    return json_pack("{s:s,s:[{s:s,s:{s:s},s:s,s:b},{s:s,s:b,s:b}]}", "type", "Sequence", "pretokenizers",
                     "type", "Split", "pattern", "Regex", pattern, "behavior", "Isolated", "invert", 0,
                     "type", "ByteLevel", "add_prefix_space", 0, "use_regex", 0);
}

static inline json_t *files_tokenizer(const char *pattern, const char *const *merges) {
    return json_pack("{s:s,s:[],s:n,s:o,s:n,s:{s:s},s:o}", "version", "1.0", "added_tokens", "normalizer",
                     "pre_tokenizer", files_splitter(pattern), "post_processor", "decoder", "type",
                     "ByteLevel", "model", files_bpe(merges, false));
}

/* A tokenizer with a few merges and the special tokens of the chat formats: 256 + 3 + n ids. */
static inline json_t *files_chat_tokenizer(void) {
    static const char *const merges[] = {"\n", "\n", "h", "e", "he", "r", NULL};
    static const char *const specials[] = {"<|end|>",           "<|im_start|>",        "<|im_end|>",
                                           "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
                                           "<|eot_id|>"};
    json_t *root = files_tokenizer(FILES_QWEN2_PATTERN, merges);
    json_t *added = json_object_get(root, "added_tokens");
    for (size_t i = 0; i < ARRAY_LEN(specials); i++)
        json_array_append_new(added, files_added((int)(259 + i), specials[i], true, false));
    return root;
}
enum { FILES_CHAT_IDS = 259 + 7 };

/* ---- config.json and weights ---- */

/* A tiny Llama: 2 layers, width 8, 2 heads of 4 with 1 key-value head, feed-forward 12. */
static inline json_t *files_config(const char *architecture, int n_vocab) {
    return json_pack("{s:[s],s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:f,s:f,s:b,s:i}", "architectures", architecture,
                     "vocab_size", n_vocab, "hidden_size", 8, "intermediate_size", 12, "num_hidden_layers", 2,
                     "num_attention_heads", 2, "num_key_value_heads", 1, "head_dim", 4,
                     "max_position_embeddings", 64, "rms_norm_eps", 1e-5, "rope_theta", 10000.0,
                     "tie_word_embeddings", 1, "eos_token_id", 259);
}

struct files_weights {
    json_t *header;
    struct buf data;
    int element_bytes;
    const char *dtype;
};

/* Elements are made from the name, so that the same tensor has the same bytes in any file. */
static inline void files_add_tensor(struct files_weights *w, const char *name, int n_dims, int rows,
                                    int columns) {
    size_t n = (size_t)rows * (size_t)(n_dims > 1 ? columns : 1), begin = w->data.len;
    uint64_t key = rng_child_named(7, name);
    for (size_t i = 0; i < n; i++) {
        const float x = (float)(rng_unit(key, i) - 0.5);
        uint32_t bits;
        memcpy(&bits, &x, 4);
        if (w->element_bytes == 2) bits >>= 16;
        if (w->element_bytes == 2 && w->dtype[0] == 'F') bits = 0x3000 | (bits & 0x83ff);
        buf_add(&w->data, &bits, (size_t)w->element_bytes);
    }
    json_t *shape = n_dims > 1 ? json_pack("[i,i]", rows, columns) : json_pack("[i]", rows);
    json_object_set_new(w->header, name,
                        json_pack("{s:s,s:o,s:[I,I]}", "dtype", w->dtype, "shape", shape, "data_offsets",
                                  (json_int_t)begin, (json_int_t)w->data.len));
}

static inline struct files_weights files_new_weights(const char *dtype) {
    return (struct files_weights){
        .header = json_object(), .dtype = dtype, .element_bytes = strcmp(dtype, "F32") ? 2 : 4};
}

/* The bytes of a safetensors file; frees the weights. */
static inline struct buf files_take_weights(struct files_weights *w) {
    struct buf out = {0};
    char *text = json_line(w->header);
    uint64_t n = strlen(text);
    buf_add(&out, &n, 8);
    buf_add(&out, text, n);
    buf_add_str(&out, buf_str(&w->data));
    free(text);
    json_decref(w->header);
    buf_free(&w->data);
    return out;
}

/* What the tiny model has in layers [first, end), and outside of layers if first is 0. */
static inline void files_add_layers(struct files_weights *w, int n_vocab, int first, int end) {
    static const struct {
        const char *name;
        int n_dims, rows, columns;
    } parts[] = {{"input_layernorm", 1, 8, 0},  {"post_attention_layernorm", 1, 8, 0},
                 {"self_attn.q_proj", 2, 8, 8}, {"self_attn.k_proj", 2, 4, 8},
                 {"self_attn.v_proj", 2, 4, 8}, {"self_attn.o_proj", 2, 8, 8},
                 {"mlp.gate_proj", 2, 12, 8},   {"mlp.up_proj", 2, 12, 8},
                 {"mlp.down_proj", 2, 8, 12}};
    char name[96];
    if (first == 0) {
        files_add_tensor(w, "model.embed_tokens.weight", 2, n_vocab, 8);
        files_add_tensor(w, "model.norm.weight", 1, 8, 0);
    }
    for (int l = first; l < end; l++) {
        for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, parts[i].name);
            files_add_tensor(w, name, parts[i].n_dims, parts[i].rows, parts[i].columns);
        }
    }
}

/* A whole folder with the tiny Llama, tied embeddings, and the chat tokenizer. */
static inline char *files_new_model(const char *dtype) {
    char *dir = files_new_dir();
    json_t *config = files_config("LlamaForCausalLM", FILES_CHAT_IDS), *tokenizer = files_chat_tokenizer();
    struct files_weights w = files_new_weights(dtype);
    files_add_layers(&w, FILES_CHAT_IDS, 0, 2);
    struct buf bytes = files_take_weights(&w);
    files_put_json(dir, "config.json", config);
    files_put_json(dir, "tokenizer.json", tokenizer);
    files_put(dir, "model.safetensors", buf_str(&bytes));
    buf_free(&bytes);
    json_decref(config);
    json_decref(tokenizer);
    return dir;
}

#endif
