#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/config.h"
#include "model/family.h"
#include "model/safetensors.h"
#include "model/tokenizer_config.h"
#include "model/weights.h"

enum { SAMPLE_BYTES = 4096, N_SAMPLES = 4 };

struct opening { /* what model_open gathers on the way */
    struct model *m;
    json_t *config, *generation;
    char *config_path, *generation_path;
    struct tokenizer_config tokenizer_config;
};

static bool check_path(const char *path, struct err *e) {
    if (file_is_dir(path)) return true;
    if (str_ends(str_from(path), STR(".gguf")))
        return err_set(e, ERR_INPUT, "%s: GGUF files are not supported; a Hugging Face folder is", path);
    return err_set(e, ERR_INPUT, "%s: %s", path,
                   file_exists(path) ? "not a model; give the folder that holds config.json"
                                     : "no such model folder");
}

static bool read_configs(struct opening *o, struct err *e) {
    o->config_path = file_join(o->m->path, "config.json");
    o->generation_path = file_join(o->m->path, "generation_config.json");
    o->config = json_read_file(o->config_path, CONFIG_BYTES_MAX, e);
    if (!o->config || !config_parse(o->config, o->config_path, &o->m->config, e)) return false;
    if (!file_exists(o->generation_path)) return true;
    o->generation = json_read_file(o->generation_path, CONFIG_BYTES_MAX, e);
    return o->generation != NULL;
}

static bool read_tokenizer(struct opening *o, const char *chat_name, struct err *e) {
    struct model *m = o->m;
    m->tokenizer = tokenizer_open(m->path, e);
    if (!m->tokenizer) return false;
    if (tokenizer_count(m->tokenizer) > m->config.n_vocab)
        return err_set(
            e, ERR_INPUT,
            "%s: the tokenizer has %d ids but the model only %d embeddings; are they of one model?", m->path,
            tokenizer_count(m->tokenizer), m->config.n_vocab);
    if (!tokenizer_config_read(m->path, &o->tokenizer_config, e)) return false;
    m->chat = chat_name ? chat_open_named(chat_name, m->tokenizer, m->path, e)
                        : chat_open(o->tokenizer_config.chat_template, m->tokenizer, m->path, e);
    return m->chat != NULL;
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
    m->end_tokens = mem_dup(ends.ids, (size_t)ends.n * sizeof *ends.ids);
    m->n_end_tokens = ends.n;
    m->sampling = (struct model_sampling){.temperature = 1, .top_p = 1};
    return !o->generation || config_parse_sampling(o->generation, o->generation_path, &m->sampling, e);
}

static bool read_weights(struct model *m, struct err *e) {
    struct weights *w = mem_zalloc(1, sizeof *w);
    m->mappings = w;
    if (!safetensors_open(m->path, w, e)) return false;
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

static uint64_t hash_content(const struct opening *o) {
    const struct model *m = o->m;
    const json_t *configs[] = {o->config, o->generation};
    uint64_t h = tokenizer_hash(m->tokenizer);
    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        char *line = configs[i] ? json_dumps(configs[i], JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        if (line) h = rng_hash(h, line, strlen(line));
        free(line);
    }
    const char *chat = o->tokenizer_config.chat_template;
    if (chat) h = rng_hash(h, chat, strlen(chat));
    h = rng_hash(h, chat_name(m->chat), strlen(chat_name(m->chat)));
    const int begins[] = {tokenizer_bos(m->tokenizer), tokenizer_bos_token(m->tokenizer)};
    h = rng_hash(h, begins, sizeof begins);
    for (int i = 0; i < m->n_tensors; i++) h = hash_tensor(h, &m->tensors[i]);
    return h;
}

struct model *model_open_chat(const char *path, const char *chat_name_or_null, struct err *e) {
    struct opening o = {.m = mem_zalloc(1, sizeof *o.m)};
    o.m->path = mem_strdup(path);
    bool done = check_path(path, e) && read_configs(&o, e) && read_tokenizer(&o, chat_name_or_null, e) &&
                read_ends(&o, e) && read_weights(o.m, e) && prm_profile_detect(o.m, &o.m->prm, e);
    if (done) o.m->content_hash = hash_content(&o);
    json_decref(o.config);
    json_decref(o.generation);
    free(o.config_path);
    free(o.generation_path);
    tokenizer_config_fini(&o.tokenizer_config);
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
    err_set(e, ERR_INPUT, "%s: tensor %s is [%s], but config.json makes it [%s]", m->path, name,
            buf_cstr(&found), buf_cstr(&wanted));
    buf_free(&found);
    buf_free(&wanted);
    return NULL;
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
        if (!family_ignores(&m->config, t->name)) n += (int64_t)(t->n_bytes / dtype_bytes(t->dtype));
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
