#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/config.h"
#include "model/family.h"
#include "model/fused.h"
#include "model/gguf_model.h"
#include "model/locate.h"
#include "model/safetensors.h"
#include "model/tokenizer_config.h"
#include "model/weights.h"

enum { SAMPLE_BYTES = 4096, N_SAMPLES = 4 };

struct opening { /* what model_open gathers on the way */
    struct model *m;
    const char *chat_name; /* or NULL: what the template says */
    char *chat_template;   /* or NULL */
    uint64_t hash;         /* of all but the tensors and the chat format */
    /* a Hugging Face folder's */
    json_t *config, *generation;
    char *config_path, *generation_path;
    struct tokenizer_config tokenizer_config;
    /* a GGUF file's */
    struct gguf_model gguf;
    struct vocab_source vocab;
};

static bool read_configs(struct opening *o, struct err *e) {
    o->config_path = file_join(o->m->path, "config.json");
    o->generation_path = file_join(o->m->path, "generation_config.json");
    o->config = json_read_file(o->config_path, CONFIG_BYTES_MAX, e);
    if (!o->config || !config_parse(o->config, o->config_path, &o->m->config, e)) return false;
    if (!file_exists(o->generation_path)) return true;
    o->generation = json_read_file(o->generation_path, CONFIG_BYTES_MAX, e);
    return o->generation != NULL;
}

static bool check_tokenizer(const struct model *m, struct err *e) {
    if (tokenizer_count(m->tokenizer) <= m->config.n_vocab) return true;
    return err_set(e, ERR_INPUT,
                   "%s: the tokenizer has %d ids but the model only %d embeddings; are they of one model?",
                   m->path, tokenizer_count(m->tokenizer), m->config.n_vocab);
}

static bool open_chat(struct opening *o, struct err *e) {
    struct model *m = o->m;
    m->chat = o->chat_name ? chat_open_named(o->chat_name, m->tokenizer, m->path, e)
                           : chat_open(o->chat_template, m->tokenizer, m->path, e);
    return m->chat != NULL;
}

static bool read_tokenizer(struct opening *o, struct err *e) {
    struct model *m = o->m;
    m->tokenizer = tokenizer_open(m->path, e);
    if (!m->tokenizer || !check_tokenizer(m, e) || !tokenizer_config_read(m->path, &o->tokenizer_config, e))
        return false;
    o->chat_template = o->tokenizer_config.chat_template;
    return open_chat(o, e);
}

static void put_ends(struct model *m, const int *ids, int n) {
    m->end_tokens = mem_dup(ids, (size_t)n * sizeof *ids);
    m->n_end_tokens = n;
}

/* End tokens: of generation_config.json, else of config.json, else the tokenizer's eos_token. */
static bool read_ends(struct opening *o, struct err *e) {
    struct model *m = o->m;
    struct config_ends ends = {0};
    if (o->generation && !config_parse_ends(o->generation, o->generation_path, m->config.n_vocab, &ends, e))
        return false;
    if (ends.n == 0 && !config_parse_ends(o->config, o->config_path, m->config.n_vocab, &ends, e))
        return false;
    if (ends.n == 0 && tokenizer_eos_token(m->tokenizer) >= 0)
        ends.ids[ends.n++] = tokenizer_eos_token(m->tokenizer);
    put_ends(m, ends.ids, ends.n);
    m->sampling = (struct model_sampling){.temperature = 1, .top_p = 1};
    return !o->generation || config_parse_sampling(o->generation, o->generation_path, &m->sampling, e);
}

static struct weights *new_weights(struct model *m) {
    return m->mappings = mem_zalloc(1, sizeof(struct weights));
}

/* Rows of q and k of which only a part is rotated. */
static void mark_partial(struct weights *w, const struct model_config *c) {
    static const char *const names[] = {"self_attn.q_proj.", "self_attn.k_proj."};
    for (size_t i = 0; i < w->n_tensors && c->n_unrotated > 0; i++) {
        struct tensor *t = &w->tensors[i];
        for (size_t k = 0; k < ARRAY_LEN(names); k++) {
            if (str_find(str_from(t->name), str_from(names[k])) < 0) continue;
            t->head_width = c->head_width;
            t->n_rotated = c->head_width - c->n_unrotated;
        }
    }
}

static bool put_weights(struct model *m, struct err *e) {
    struct weights *w = m->mappings;
    if (m->config.is_fused && !fused_split(w, &m->config, m->path, e)) return false;
    mark_partial(w, &m->config);
    m->tensors = w->tensors;
    m->n_tensors = (int)w->n_tensors;
    return family_check_tensors(m, e);
}

/* ---- names in a store ---- */

static uint64_t hash_tensor(uint64_t h, const struct tensor *t) {
    const int64_t head[] = {(int64_t)t->dtype, t->n_dims, t->shape[0], t->shape[1], t->shape[2], t->shape[3]};
    h = rng_hash(h, t->name, strlen(t->name));
    h = rng_hash(h, head, sizeof head);
    if (t->n_bytes <= (size_t)2 * N_SAMPLES * SAMPLE_BYTES) return rng_hash(h, t->data, t->n_bytes);
    size_t stride = (t->n_bytes - SAMPLE_BYTES) / (N_SAMPLES - 1);
    for (size_t i = 0; i < N_SAMPLES; i++) h = rng_hash(h, (const char *)t->data + i * stride, SAMPLE_BYTES);
    return h;
}

static void hash_folder(struct opening *o) {
    const json_t *configs[] = {o->config, o->generation};
    o->hash = tokenizer_hash(o->m->tokenizer);
    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        char *line = configs[i] ? json_dumps(configs[i], JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        if (line) o->hash = rng_hash(o->hash, line, strlen(line));
        free(line);
    }
    if (o->chat_template) o->hash = rng_hash(o->hash, o->chat_template, strlen(o->chat_template));
}

static uint64_t hash_content(const struct opening *o) {
    const struct model *m = o->m;
    uint64_t h = rng_hash(o->hash, chat_name(m->chat), strlen(chat_name(m->chat)));
    const int begins[] = {tokenizer_bos(m->tokenizer), tokenizer_bos_token(m->tokenizer)};
    h = rng_hash(h, begins, sizeof begins);
    for (int i = 0; i < m->n_tensors; i++) h = hash_tensor(h, &m->tensors[i]);
    return h;
}

/* ---- opening ---- */

static bool open_folder(struct opening *o, struct err *e) {
    if (!locate_check_folder(o->m->path, e) || !read_configs(o, e) || !read_tokenizer(o, e) ||
        !read_ends(o, e) || !safetensors_open(o->m->path, new_weights(o->m), e))
        return false;
    hash_folder(o);
    return true;
}

/* The header has the configuration, the vocabulary and the template. */
static bool open_gguf(struct opening *o, struct err *e) {
    struct model *m = o->m;
    if (!gguf_model_open(m->path, &o->gguf, e)) return false;
    const struct gguf_part *first = &o->gguf.parts[0];
    if (!gguf_read_config(&o->gguf, &m->config, e) || !gguf_read_vocab(&first->g, &o->vocab, e) ||
        !gguf_read_sampling(&first->g, &m->sampling, e))
        return false;
    m->tokenizer = vocab_tokenizer(&o->vocab, first->path, e);
    if (!m->tokenizer || !check_tokenizer(m, e)) return false;
    if (o->vocab.chat_template.len) o->chat_template = str_dup(o->vocab.chat_template);
    put_ends(m, o->vocab.ends, o->vocab.n_ends);
    o->hash = rng_hash(0, first->map.ptr, first->g.n_header_bytes);
    return open_chat(o, e) && gguf_take_weights(&o->gguf, &m->config, new_weights(m), e);
}

bool model_is_path(const char *path) {
    return file_is_dir(path) || locate_is_gguf(path);
}

static bool open_any(struct opening *o, struct err *e) {
    const char *path = o->m->path;
    bool is_dir = file_is_dir(path);
    if (!model_is_path(path)) return locate_refuse_file(path, e);
    if (!(is_dir && !gguf_is_folder(path) ? open_folder(o, e) : open_gguf(o, e))) return false;
    if (!put_weights(o->m, e)) return false;
    prm_profile_detect(o->m, &o->m->prm);
    return true;
}

struct model *model_open_chat(const char *path, const char *chat_name_or_null, struct err *e) {
    struct opening o = {.m = mem_zalloc(1, sizeof *o.m), .chat_name = chat_name_or_null};
    o.m->path = mem_strdup(path);
    bool done = open_any(&o, e);
    if (done) o.m->content_hash = hash_content(&o);
    if (o.chat_template != o.tokenizer_config.chat_template) free(o.chat_template);
    json_decref(o.config);
    json_decref(o.generation);
    free(o.config_path);
    free(o.generation_path);
    tokenizer_config_fini(&o.tokenizer_config);
    vocab_source_fini(&o.vocab);
    gguf_model_fini(&o.gguf);
    if (done) return o.m;
    model_close(o.m);
    return NULL;
}

struct model *model_open(const char *path, struct err *e) {
    return model_open_chat(path, NULL, e);
}

void model_close(struct model *m) {
    if (!m) return;
    chat_close(m->chat);
    tokenizer_close(m->tokenizer);
    if (m->mappings) weights_fini(m->mappings);
    free(m->mappings);
    free(m->end_tokens);
    free(m->path);
    free(m);
}

void model_drop_tensors(struct model *m) {
    weights_unmap(m->mappings);
}

void model_rows_used(const struct model *m, const struct tensor *t, int64_t first, int64_t n) {
    const size_t row = tensor_row_bytes(t);
    weights_used(m->mappings, (const char *)t->data + (size_t)first * row, (size_t)n * row);
}

/* ---- asking ---- */

const struct tensor *model_tensor(const struct model *m, const char *name) {
    return weights_find(m->tensors, (size_t)m->n_tensors, name);
}

static void print_shape(struct buf *out, int n_dims, const int64_t *shape) {
    for (int i = 0; i < n_dims; i++) buf_printf(out, "%s%lld", i ? "," : "", (long long)shape[i]);
}

const struct tensor *model_want_tensor(const struct model *m, const char *name, int n_dims,
                                       const int64_t *shape, struct err *e) {
    const struct tensor *t = model_tensor(m, name);
    if (!t) {
        err_set(e, ERR_INPUT, "%s: tensor %s is missing", m->path, name);
        return NULL;
    }
    bool same = t->n_dims == n_dims;
    for (int i = 0; same && i < n_dims; i++) same = t->shape[i] == shape[i];
    if (same) return t;
    struct buf found = {0}, wanted = {0};
    print_shape(&found, t->n_dims, t->shape);
    print_shape(&wanted, n_dims, shape);
    err_set(e, ERR_INPUT, "%s: tensor %s is [%s], but the configuration makes it [%s]", m->path, name,
            buf_cstr(&found), buf_cstr(&wanted));
    buf_free(&found);
    buf_free(&wanted);
    return NULL;
}

size_t tensor_row_bytes(const struct tensor *t) {
    if (t->n_dims == 1) return dtype_bytes(t->dtype);
    int64_t n = 1;
    for (int i = 1; i < t->n_dims; i++) n *= t->shape[i];
    return (size_t)(n / dtype_block(t->dtype)) * dtype_block_bytes(t->dtype);
}

/* Where row i of a head lies in a file whose first n_rotated rows are rotated, n_rotated / 2 apart. */
static int64_t partial_row(const struct tensor *t, int64_t i) {
    const int64_t half = t->head_width / 2, turned = t->n_rotated / 2;
    const bool is_second = i >= half;
    const int64_t at = i - (is_second ? half : 0);
    if (at < turned) return at + (is_second ? turned : 0);
    return t->n_rotated + (at - turned) + (is_second ? half - turned : 0);
}

const void *tensor_row(const struct tensor *t, int64_t i) {
    if (t->paired) {
        int64_t w = t->paired, in_head = i % w, half = w / 2;
        i += (in_head < half ? 2 * in_head : 2 * (in_head - half) + 1) - in_head;
    }
    if (t->n_rotated) i += partial_row(t, i % t->head_width) - i % t->head_width;
    return (const char *)t->data + (size_t)i * tensor_row_bytes(t);
}

int64_t tensor_elements(const struct tensor *t) {
    return (int64_t)(t->n_bytes / dtype_block_bytes(t->dtype)) * dtype_block(t->dtype);
}

bool model_is_end(const struct model *m, int token) {
    for (int i = 0; i < m->n_end_tokens; i++) {
        if (m->end_tokens[i] == token) return true;
    }
    return false;
}

/* ---- sizes ---- */

int64_t model_parameters(const struct model *m) {
    int64_t n = 0;
    for (int i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensors[i];
        if (!family_ignores(&m->config, t->name)) n += tensor_elements(t);
    }
    return n;
}

/* Weights of the layers and the last norm: what every token is multiplied with, whether its head outputs are
 * wanted or not. */
static int64_t count_body(const struct model_config *c) {
    int64_t d = c->d_model, w = c->head_width, q = c->n_heads * w, kv = c->n_kv_heads * w;
    int64_t layer = 2 * d + 2 * d * q + 2 * d * kv + 3 * d * c->d_ffn;
    if (c->qkv_bias) layer += q + 2 * kv;
    if (c->qk_norm) layer += 2 * w;
    return c->n_layers * layer + d;
}

int64_t model_parameters_computed(const struct model *m) {
    return count_body(&m->config);
}

double model_flops_per_token(const struct model_config *c, double n_context, int64_t n_outputs) {
    double attention = 4.0 * c->n_layers * c->n_heads * c->head_width * n_context;
    return 2.0 * (double)count_body(c) + attention + 2.0 * (double)n_outputs * c->d_model;
}
