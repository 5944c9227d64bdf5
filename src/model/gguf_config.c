/* gguf_config.c - a GGUF file's metadata into the numbers that config.json would give. */
#include <stdio.h>
#include <string.h>

#include "model/config.h"
#include "model/family.h"
#include "model/gguf_model.h"

static const struct {
    const char *name, *architecture;
} architectures[] = {
    {"llama", "LlamaForCausalLM"},
    {"qwen2", "Qwen2ForCausalLM"},
    {"qwen3", "Qwen3ForCausalLM"},
    {"phi3", "Phi3ForCausalLM"},
};

struct asking {
    const struct gguf *g;
    const char *prefix; /* the architecture's name */
    char key[128];
    struct err *e;
};

static const char *key_of(struct asking *a, const char *rest) {
    snprintf(a->key, sizeof a->key, "%s.%s", a->prefix, rest);
    return a->key;
}

static bool want_size(struct asking *a, const char *rest, int64_t max, int *out) {
    int64_t n;
    if (!gguf_want_int(a->g, key_of(a, rest), 1, max, &n, a->e)) return false;
    *out = (int)n;
    return true;
}

static bool get_size(struct asking *a, const char *rest, int64_t def, int64_t max, int *out) {
    int64_t n;
    if (!gguf_get_int(a->g, key_of(a, rest), def, 1, max, &n, a->e)) return false;
    *out = (int)n;
    return true;
}

static bool get_real(struct asking *a, const char *rest, double def, double *out) {
    return gguf_get_real(a->g, key_of(a, rest), def, out, a->e);
}

/* ---- family ---- */

static bool read_family(struct asking *a, struct model_config *c) {
    struct str name, kind;
    if (!gguf_get_string(a->g, "general.type", &kind, a->e) ||
        !gguf_get_string(a->g, "general.architecture", &name, a->e))
        return false;
    if (kind.len && !str_equal(kind, STR("model")))
        return err_set(a->e, ERR_INPUT, "%s: this file holds a %.*s, not a model", a->g->where,
                       (int)MIN(kind.len, 40u), kind.ptr);
    if (name.len == 0)
        return err_set(a->e, ERR_INPUT, "%s: metadata general.architecture is missing", a->g->where);
    for (size_t i = 0; i < ARRAY_LEN(architectures); i++) {
        if (!str_equal(name, str_from(architectures[i].name))) continue;
        const struct family *f = family_find(architectures[i].architecture);
        ASSERT(f && f->head == MODEL_HEAD_LM);
        a->prefix = architectures[i].name;
        c->family = f->name;
        c->head = f->head;
        c->qkv_bias = f->qkv_bias;
        c->qk_norm = f->qk_norm;
        c->is_fused = f->is_fused;
        return true;
    }
    return err_set(a->e, ERR_INPUT,
                   "%s: architecture %.*s is not supported; in GGUF files llama (Mistral too), qwen2, "
                   "qwen3 and phi3 are",
                   a->g->where, (int)MIN(name.len, 40u), name.ptr);
}

/* Metadata of the architecture that are read here, or change nothing. */
static const char *const known_keys[] = {
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "vocab_size",
    "tensor_data_layout",
    "pooling_type",
    "expert_count",
    "expert_used_count",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.causal",
    "attention.sliding_window",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.attn_factor",
    "rope.scaling.original_context_length",
    "rope.scaling.finetuned",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
};

static bool refuse_unknown(const struct asking *a) {
    size_t n = strlen(a->prefix);
    for (size_t i = 0; i < a->g->n_entries; i++) {
        struct str key = a->g->entries[i].key;
        if (key.len <= n || memcmp(key.ptr, a->prefix, n) != 0 || key.ptr[n] != '.') continue;
        const struct str rest = {key.ptr + n + 1, key.len - n - 1};
        bool known = false;
        for (size_t k = 0; k < ARRAY_LEN(known_keys); k++) known |= str_equal(rest, str_from(known_keys[k]));
        if (!known)
            return err_set(a->e, ERR_INPUT,
                           "%s: metadata %.*s is not known here and may change what the model computes; take "
                           "the model's Hugging Face folder",
                           a->g->where, (int)MIN(key.len, 100u), key.ptr);
    }
    return true;
}

/* What must be as it is for a plain language model. */
static bool refuse_options(struct asking *a) {
    int64_t pooling, experts;
    int causal;
    if (!gguf_get_int(a->g, key_of(a, "pooling_type"), 0, INT32_MIN, INT32_MAX, &pooling, a->e) ||
        !gguf_get_int(a->g, key_of(a, "expert_count"), 0, 0, INT32_MAX, &experts, a->e) ||
        !gguf_get_bool(a->g, key_of(a, "attention.causal"), 1, &causal, a->e))
        return false;
    const char *what = pooling > 0   ? "an embedding or ranking model (pooling_type)"
                       : experts > 0 ? "a mixture of experts"
                       : !causal     ? "an encoder (attention.causal is false)"
                                     : NULL;
    return !what ||
           err_set(a->e, ERR_INPUT, "%s: %s is not supported; a plain language model is", a->g->where, what);
}

/* ---- sizes ---- */

static const struct gguf_tensor *find_tensor(const struct gguf_model *m, const char *name) {
    for (int p = 0; p < m->n_parts; p++) {
        for (size_t i = 0; i < m->parts[p].g.n_tensors; i++) {
            const struct gguf_tensor *t = &m->parts[p].g.tensors[i];
            if (str_equal(t->name, str_from(name))) return t;
        }
    }
    return NULL;
}

static bool read_vocabulary_size(struct asking *a, const struct gguf_model *m, struct model_config *c) {
    const struct gguf_tensor *embed = find_tensor(m, "token_embd.weight");
    if (!embed || embed->t.n_dims != 2 || embed->t.shape[0] > 1 << 22)
        return err_set(a->e, ERR_INPUT, "%s: tensor token_embd.weight is %s", a->g->where,
                       embed ? "no table of embeddings" : "missing: is this all of the model?");
    c->n_vocab = c->n_head_outputs = (int)embed->t.shape[0];
    c->tied_embeddings = !find_tensor(m, "output.weight");
    return true;
}

static bool read_sizes(struct asking *a, struct model_config *c) {
    int value_width, n_rotated;
    double eps;
    if (!want_size(a, "block_count", 1024, &c->n_layers) ||
        !want_size(a, "embedding_length", 1 << 17, &c->d_model) ||
        !want_size(a, "feed_forward_length", 1 << 20, &c->d_ffn) ||
        !want_size(a, "attention.head_count", 4096, &c->n_heads) ||
        !want_size(a, "context_length", 1 << 27, &c->n_context) ||
        !get_size(a, "attention.head_count_kv", c->n_heads, 4096, &c->n_kv_heads) ||
        !get_size(a, "attention.key_length", MAX(c->d_model / c->n_heads, 1), 4096, &c->head_width) ||
        !get_size(a, "attention.value_length", c->head_width, 4096, &value_width) ||
        !get_size(a, "rope.dimension_count", c->head_width, 4096, &n_rotated) ||
        !get_real(a, "attention.layer_norm_rms_epsilon", -1, &eps))
        return false;
    c->n_unrotated = c->head_width - n_rotated;
    const bool is_partial = strcmp(c->family, "phi3") == 0 && n_rotated < c->head_width && n_rotated % 2 == 0;
    if (value_width != c->head_width || (n_rotated != c->head_width && !is_partial))
        return err_set(a->e, ERR_INPUT, "%s: heads of %d with %s %d are not supported; they must be equal",
                       a->g->where, c->head_width,
                       value_width != c->head_width ? "values of" : "a rotated part of",
                       value_width != c->head_width ? value_width : n_rotated);
    if (eps < 0)
        return err_set(a->e, ERR_INPUT, "%s: metadata %s is missing or negative", a->g->where, a->key);
    c->norm_eps = (float)eps;
    return config_check(c, a->g->where, a->e);
}

/* ---- positions ---- */

static bool read_yarn(struct asking *a, struct model_config *c) {
    double sharpened, more, extrapolation;
    c->rope.kind = ROPE_YARN;
    c->rope.is_truncated = true;
    if (!get_real(a, "rope.scaling.yarn_beta_fast", 32, &c->rope.beta_fast) ||
        !get_real(a, "rope.scaling.yarn_beta_slow", 1, &c->rope.beta_slow) ||
        !get_real(a, "rope.scaling.attn_factor", 1, &sharpened) ||
        !get_real(a, "rope.scaling.yarn_attn_factor", 1, &more) ||
        !get_real(a, "rope.scaling.yarn_ext_factor", 1, &extrapolation) ||
        !get_size(a, "rope.scaling.original_context_length", c->n_context, 1 << 27,
                  &c->rope.n_context_original))
        return false;
    if (extrapolation != 1 && extrapolation != -1) /* -1: the reader's own choice, which is 1 */
        return err_set(a->e, ERR_INPUT, "%s: yarn with an ext_factor of %g is not supported; 1 is",
                       a->g->where, extrapolation);
    c->rope.attention_factor = config_yarn_attention(c->rope.factor) * sharpened * more;
    return config_finish_yarn(c, a->g->where, a->e);
}

/* Longrope lies in tensors; up to the original length the short factors count (config.c). */
static bool read_longrope(struct asking *a, const struct gguf_model *m, struct model_config *c) {
    const struct gguf_tensor *short_factors = find_tensor(m, "rope_factors_short.weight");
    const int n = (c->head_width - c->n_unrotated) / 2;
    if (!short_factors) return true;
    const struct tensor *t = &short_factors->t;
    if (t->dtype != DTYPE_F32 || t->n_dims != 1 || t->shape[0] != n || n > ROPE_SHORT_FACTORS_MAX)
        return err_set(a->e, ERR_INPUT, "%s: tensor rope_factors_short.weight is not %d numbers of type F32",
                       a->g->where, n);
    memcpy(c->rope.short_factors, t->data, (size_t)n * sizeof(float));
    if (!get_real(a, "rope.scaling.attn_factor", 1, &c->rope.attention_factor) ||
        !get_size(a, "rope.scaling.original_context_length", c->n_context, 1 << 27,
                  &c->rope.n_context_original))
        return false;
    return config_finish_longrope(c, a->g->where, a->e);
}

static bool read_rope(struct asking *a, const struct gguf_model *m, struct model_config *c) {
    struct str type;
    double legacy;
    bool factors = find_tensor(m, "rope_freqs.weight") != NULL;
    c->rope.kind = factors ? ROPE_FACTORS : ROPE_DEFAULT;
    c->rope.attention_factor = 1;
    if (!get_real(a, "rope.freq_base", 10000, &c->rope.theta) ||
        !get_real(a, "rope.scale_linear", 1, &legacy) ||
        !get_real(a, "rope.scaling.factor", legacy, &c->rope.factor) ||
        !gguf_get_string(a->g, key_of(a, "rope.scaling.type"), &type, a->e))
        return false;
    if (c->rope.factor == 0) c->rope.factor = 1; /* written where nothing is scaled */
    if (!(c->rope.factor >= 1 && c->rope.factor <= 1e6))
        return err_set(a->e, ERR_INPUT, "%s: a RoPE scaling factor of %g", a->g->where, c->rope.factor);
    bool none = str_equal(type, STR("none")), linear = str_equal(type, STR("linear")) || type.len == 0,
         yarn = str_equal(type, STR("yarn"));
    if (!none && !linear && !yarn)
        return err_set(a->e, ERR_INPUT, "%s: RoPE scaling %.*s is not supported; none, linear and yarn are",
                       a->g->where, (int)MIN(type.len, 40u), type.ptr);
    if (none) c->rope.factor = 1;
    if (strcmp(c->family, "phi3") == 0 && !read_longrope(a, m, c)) return false;
    if (factors && (yarn || c->rope.factor != 1))
        return err_set(a->e, ERR_INPUT, "%s: RoPE scaling %.*s and the tensor rope_freqs.weight at once",
                       a->g->where, (int)type.len, type.ptr);
    if (yarn && !read_yarn(a, c)) return false;
    if (linear && c->rope.factor != 1) c->rope.kind = ROPE_LINEAR;
    return config_check_theta(c, a->g->where, a->e);
}

/* ---- the whole ---- */

bool gguf_read_config(const struct gguf_model *m, struct model_config *out, struct err *e) {
    struct asking a = {.g = &m->parts[0].g, .e = e};
    int64_t window;
    *out = (struct model_config){0};
    if (!read_family(&a, out) || !refuse_unknown(&a) || !refuse_options(&a) || !read_sizes(&a, out) ||
        !read_vocabulary_size(&a, m, out) || !read_rope(&a, m, out) ||
        !gguf_get_int(a.g, key_of(&a, "attention.sliding_window"), 0, 0, INT64_MAX, &window, e))
        return false;
    config_limit_window(out, window);
    return true;
}

bool gguf_read_sampling(const struct gguf *g, struct model_sampling *out, struct err *e) {
    double temperature, top_p, min_p;
    int64_t top_k;
    return gguf_get_real(g, "general.sampling.temp", 1, &temperature, e) &&
           gguf_get_real(g, "general.sampling.top_p", 1, &top_p, e) &&
           gguf_get_real(g, "general.sampling.min_p", 0, &min_p, e) &&
           gguf_get_int(g, "general.sampling.top_k", 0, INT64_MIN, INT64_MAX, &top_k, e) &&
           config_make_sampling(temperature, top_p, min_p, top_k, g->where, out, e);
}
