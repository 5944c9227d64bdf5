#include "model/config.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "model/family.h"

static bool want_int(const json_t *root, const char *key, int64_t max, int *out, const char *where,
                     struct err *e) {
    int64_t n;
    if (!json_want_int(root, key, 1, max, &n, where, e)) return false;
    *out = (int)n;
    return true;
}

static bool get_int(const json_t *root, const char *key, int def, int64_t max, int *out, const char *where,
                    struct err *e) {
    int64_t n;
    if (!json_get_int(root, key, def, 1, max, &n, where, e)) return false;
    *out = (int)n;
    return true;
}

static bool parse_family(const json_t *root, const char *where, struct model_config *c, struct err *e) {
    const json_t *names = json_object_get(root, "architectures");
    const char *name = json_string_value(json_array_get(names, 0));
    if (!name || json_array_size(names) != 1)
        return err_set(e, ERR_INPUT, "%s: \"architectures\" must name one architecture; these work: %s",
                       where, family_names());
    const struct family *f = family_find(name);
    if (!f)
        return err_set(e, ERR_INPUT, "%s: architecture %.80s is not supported; these are: %s", where, name,
                       family_names());
    c->family = f->name;
    c->head = f->head;
    c->n_head_outputs = f->n_outputs;
    c->qkv_bias = f->qkv_bias;
    c->qk_norm = f->qk_norm;
    c->is_fused = f->is_fused;
    return true;
}

static bool parse_sizes(const json_t *root, const char *where, struct model_config *c, struct err *e) {
    if (!want_int(root, "num_hidden_layers", 1024, &c->n_layers, where, e) ||
        !want_int(root, "hidden_size", 1 << 17, &c->d_model, where, e) ||
        !want_int(root, "intermediate_size", 1 << 20, &c->d_ffn, where, e) ||
        !want_int(root, "num_attention_heads", 4096, &c->n_heads, where, e) ||
        !want_int(root, "vocab_size", 1 << 22, &c->n_vocab, where, e) ||
        !want_int(root, "max_position_embeddings", 1 << 27, &c->n_context, where, e) ||
        !get_int(root, "num_key_value_heads", c->n_heads, 4096, &c->n_kv_heads, where, e) ||
        !get_int(root, "head_dim", MAX(c->d_model / c->n_heads, 1), 4096, &c->head_width, where, e))
        return false;
    double eps;
    if (!json_get_real(root, "rms_norm_eps", 1e-6, &eps, where, e)) return false;
    c->norm_eps = (float)eps;
    return config_check(c, where, e) &&
           json_get_bool(root, "tie_word_embeddings", false, &c->tied_embeddings, where, e);
}

bool config_check(const struct model_config *c, const char *where, struct err *e) {
    if (c->n_heads % c->n_kv_heads)
        return err_set(e, ERR_INPUT, "%s: %d attention heads cannot share %d key-value heads", where,
                       c->n_heads, c->n_kv_heads);
    if (c->head_width % 2)
        return err_set(e, ERR_INPUT, "%s: a head width of %d cannot be rotated in pairs", where,
                       c->head_width);
    return (c->norm_eps >= 0 && c->norm_eps < 1) ||
           err_set(e, ERR_INPUT, "%s: rms_norm_eps is %g", where, (double)c->norm_eps);
}

static bool parse_head(const json_t *root, const char *where, struct model_config *c, struct err *e) {
    if (c->n_head_outputs > 0) return true;
    c->n_head_outputs = c->n_vocab;
    if (c->head == MODEL_HEAD_LM) return true;
    const json_t *labels = json_object_get(root, "id2label");
    size_t n_labels = json_is_object(labels) ? MIN(json_object_size(labels), 1024u) : 2;
    return get_int(root, "num_labels", (int)MAX(n_labels, 1u), 1024, &c->n_head_outputs, where, e);
}

/* What a family may switch on and this program does not compute. */
static bool refuse_options(const json_t *root, const char *where, const struct model_config *c,
                           struct err *e) {
    const json_t *q = json_object_get(root, "quantization_config");
    const char *method = json_string_value(json_object_get(q, "quant_method"));
    if (q && !json_is_null(q))
        return err_set(e, ERR_INPUT,
                       "%s: the weights are quantised (quantization_config: %.40s); take the original "
                       "checkpoint (F32, F16, BF16), which --weights quantises, or a GGUF file",
                       where, method ? method : "of no name");
    const char *act;
    if (!json_get_string(root, "hidden_act", "silu", &act, where, e)) return false;
    if (strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0)
        return err_set(e, ERR_INPUT, "%s: activation %.40s is not supported; silu is", where, act);
    bool biased, mlp_biased;
    if (!json_get_bool(root, "attention_bias", false, &biased, where, e) ||
        !json_get_bool(root, "mlp_bias", false, &mlp_biased, where, e))
        return false;
    if (mlp_biased || (biased && !c->qkv_bias))
        return err_set(e, ERR_INPUT, "%s: %s is true, which is not supported for %s models", where,
                       mlp_biased ? "mlp_bias" : "attention_bias", c->family);
    return true;
}

/* The part of each head that positions rotate; the newer dialect has it among the RoPE parameters. */
static bool parse_rotated(const json_t *root, const char *where, struct model_config *c, struct err *e) {
    double rotated;
    const json_t *rope = json_object_get(root, "rope_parameters");
    if (!json_get_real(root, "partial_rotary_factor", 1, &rotated, where, e) ||
        (json_is_object(rope) && !json_get_real(rope, "partial_rotary_factor", rotated, &rotated, where, e)))
        return false;
    const int n_rotated = rotated > 0 && rotated <= 1 ? (int)(c->head_width * rotated) : 0;
    c->n_unrotated = c->head_width - n_rotated;
    if (n_rotated < 2 || n_rotated % 2 || (rotated != 1 && strcmp(c->family, "phi3") != 0))
        return err_set(e, ERR_INPUT,
                       "%s: partial_rotary_factor %g is not supported for %s models of head width %d", where,
                       rotated, c->family, c->head_width);
    return true;
}

/* Mistral's configuration without the key has a window; with null it has none. */
static int64_t window_if_absent(const json_t *root, const struct model_config *c) {
    return strcmp(c->family, "mistral") == 0 && !json_object_get(root, "sliding_window") ? 4096 : 0;
}

/* Up to its window, attention with a sliding window is attention to everything: the context ends there. */
static bool parse_window(const json_t *root, const char *where, struct model_config *c, struct err *e) {
    int64_t window;
    bool used;
    const bool slides_always = strcmp(c->family, "mistral") == 0 || strcmp(c->family, "phi3") == 0;
    if (!json_get_int(root, "sliding_window", window_if_absent(root, c), 0, INT64_MAX, &window, where, e) ||
        !json_get_bool(root, "use_sliding_window", slides_always, &used, where, e))
        return false;
    const json_t *types = json_object_get(root, "layer_types");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        bool slides = type && strcmp(type, "sliding_attention") == 0;
        if (!type || !(slides || strcmp(type, "full_attention") == 0))
            return err_set(e, ERR_INPUT,
                           "%s: layer %zu has attention %.40s; full_attention and sliding_attention are "
                           "supported",
                           where, i, type ? type : "of no name");
        if (slides && window == 0)
            return err_set(e, ERR_INPUT, "%s: layer %zu has sliding_attention without a sliding_window",
                           where, i);
        used |= slides;
    }
    if (used) config_limit_window(c, window);
    return true;
}

void config_limit_window(struct model_config *c, int64_t window) {
    if (window <= 0 || window >= c->n_context) return;
    c->n_context = c->n_window = (int)window;
}

static bool want_factor(const json_t *rope, const char *key, double min, double *out, const char *where,
                        struct err *e) {
    if (!json_get_real(rope, key, NAN, out, where, e)) return false;
    if (!(*out >= min && *out <= 1e6))
        return err_set(e, ERR_INPUT, "%s: RoPE scaling needs \"%s\" from %g to 1e6", where, key, min);
    return true;
}

/* Peng et al. 2023, as transformers computes it: factor, beta_fast, beta_slow, and how much attention is
 * sharpened: attention_factor, else by mscale and mscale_all_dim, else 0.1 ln(factor) + 1. */
static bool parse_yarn(const json_t *rope, const char *where, struct model_config *c, struct err *e) {
    double mscale, mscale_all;
    c->rope.kind = ROPE_YARN;
    if (!want_factor(rope, "factor", 1, &c->rope.factor, where, e) ||
        !json_get_real(rope, "beta_fast", 32, &c->rope.beta_fast, where, e) ||
        !json_get_real(rope, "beta_slow", 1, &c->rope.beta_slow, where, e) ||
        !json_get_real(rope, "mscale", 0, &mscale, where, e) ||
        !json_get_real(rope, "mscale_all_dim", 0, &mscale_all, where, e) ||
        !json_get_bool(rope, "truncate", true, &c->rope.is_truncated, where, e) ||
        !get_int(rope, "original_max_position_embeddings", c->n_context, 1 << 27, &c->rope.n_context_original,
                 where, e))
        return false;
    double sharper = 0.1 * log(c->rope.factor), usual = config_yarn_attention(c->rope.factor);
    if (mscale > 0 && mscale_all > 0) usual = (mscale * sharper + 1) / (mscale_all * sharper + 1);
    if (!json_get_real(rope, "attention_factor", usual, &c->rope.attention_factor, where, e)) return false;
    return config_finish_yarn(c, where, e);
}

double config_yarn_attention(double factor) {
    return 0.1 * log(factor) + 1;
}

bool config_finish_yarn(struct model_config *c, const char *where, struct err *e) {
    if (!(c->rope.beta_slow > 0 && c->rope.beta_slow <= c->rope.beta_fast && c->rope.beta_fast <= 1e6))
        return err_set(e, ERR_INPUT, "%s: yarn needs 0 < beta_slow <= beta_fast <= 1e6", where);
    if (!(c->rope.attention_factor > 0 && c->rope.attention_factor <= 100))
        return err_set(e, ERR_INPUT, "%s: yarn's attention factor is %g", where, c->rope.attention_factor);
    double longest = c->rope.factor * c->rope.n_context_original;
    c->n_context = (int)fmin(fmax(c->n_context, longest), 1 << 27);
    return true;
}

/* Ding et al. 2024, as transformers computes it: up to the original length each frequency is divided by a
 * number of its own, "short_factor"; beyond it by others, so the context ends there, and what is computed is
 * exact. */
static bool parse_longrope(const json_t *root, const json_t *rope, const char *where, struct model_config *c,
                           struct err *e) {
    const json_t *factors = json_object_get(rope, "short_factor");
    const size_t n = (size_t)(c->head_width - c->n_unrotated) / 2;
    double ratio, usual = 1;
    if (json_array_size(factors) != n || n > ARRAY_LEN(c->rope.short_factors))
        return err_set(e, ERR_INPUT, "%s: longrope needs a short_factor of %zu numbers, at most %zu", where,
                       n, ARRAY_LEN(c->rope.short_factors));
    for (size_t i = 0; i < n; i++)
        c->rope.short_factors[i] = (float)json_number_value(json_array_get(factors, i));
    if (!get_int(root, "original_max_position_embeddings", c->n_context, 1 << 27, &c->rope.n_context_original,
                 where, e) ||
        !get_int(rope, "original_max_position_embeddings", c->rope.n_context_original, 1 << 27,
                 &c->rope.n_context_original, where, e) ||
        !json_get_real(rope, "factor", (double)c->n_context / c->rope.n_context_original, &ratio, where, e))
        return false;
    if (ratio > 1 && c->rope.n_context_original > 1)
        usual = sqrt(1 + log(ratio) / log(c->rope.n_context_original));
    if (!json_get_real(rope, "attention_factor", usual, &c->rope.attention_factor, where, e)) return false;
    return config_finish_longrope(c, where, e);
}

bool config_finish_longrope(struct model_config *c, const char *where, struct err *e) {
    c->rope.kind = ROPE_LONGROPE;
    if (!(c->rope.attention_factor > 0 && c->rope.attention_factor <= 100))
        return err_set(e, ERR_INPUT, "%s: longrope's attention factor is %g", where,
                       c->rope.attention_factor);
    for (int i = 0; i < (c->head_width - c->n_unrotated) / 2; i++) {
        const double x = (double)c->rope.short_factors[i];
        if (!(x >= 1e-6 && x <= 1e6))
            return err_set(e, ERR_INPUT, "%s: longrope's short factor %d is %g, not from 1e-6 to 1e6", where,
                           i, x);
    }
    c->n_context = MIN(c->n_context, c->rope.n_context_original);
    return true;
}

static bool parse_rope_kind(const json_t *root, const json_t *rope, const char *type, const char *where,
                            struct model_config *c, struct err *e) {
    if (strcmp(type, "default") == 0) return true;
    if (strcmp(type, "linear") == 0) {
        c->rope.kind = ROPE_LINEAR;
        return want_factor(rope, "factor", 1, &c->rope.factor, where, e);
    }
    if (strcmp(type, "llama3") == 0) {
        c->rope.kind = ROPE_LLAMA3;
        if (!want_factor(rope, "factor", 1, &c->rope.factor, where, e) ||
            !want_factor(rope, "low_freq_factor", 1e-6, &c->rope.low_freq_factor, where, e) ||
            !want_factor(rope, "high_freq_factor", 1e-6, &c->rope.high_freq_factor, where, e) ||
            !want_int(rope, "original_max_position_embeddings", 1 << 27, &c->rope.n_context_original, where,
                      e))
            return false;
        return c->rope.low_freq_factor < c->rope.high_freq_factor ||
               err_set(e, ERR_INPUT, "%s: low_freq_factor must be below high_freq_factor", where);
    }
    if (strcmp(type, "yarn") == 0) return parse_yarn(rope, where, c, e);
    if (strcmp(type, "longrope") == 0 || strcmp(type, "su") == 0)
        return parse_longrope(root, rope, where, c, e);
    return err_set(e, ERR_INPUT,
                   "%s: RoPE scaling %.40s is not supported; default, linear, llama3, yarn and longrope are",
                   where, type);
}

static bool parse_rope(const json_t *root, const char *where, struct model_config *c, struct err *e) {
    const json_t *rope = json_object_get(root, "rope_parameters");
    if (!json_is_object(rope)) rope = json_object_get(root, "rope_scaling");
    c->rope.kind = ROPE_DEFAULT;
    c->rope.factor = c->rope.attention_factor = 1;
    if (!json_get_real(root, "rope_theta", 10000, &c->rope.theta, where, e)) return false;
    if (json_is_object(rope)) {
        const char *type, *old_type;
        if (!json_get_real(rope, "rope_theta", c->rope.theta, &c->rope.theta, where, e) ||
            !json_get_string(rope, "type", "default", &old_type, where, e) ||
            !json_get_string(rope, "rope_type", old_type, &type, where, e))
            return false;
        if (json_object_get(rope, "full_attention") || json_object_get(rope, "sliding_attention"))
            return err_set(e, ERR_INPUT, "%s: RoPE that differs between layers is not supported", where);
        if (!parse_rope_kind(root, rope, type, where, c, e)) return false;
    } else if (rope && !json_is_null(rope)) {
        return err_set(e, ERR_INPUT, "%s: RoPE scaling must be an object", where);
    }
    return config_check_theta(c, where, e);
}

bool config_check_theta(const struct model_config *c, const char *where, struct err *e) {
    bool sane =
        c->rope.theta >= 1 && c->rope.theta <= 1e12 && (c->rope.kind != ROPE_YARN || c->rope.theta > 1);
    return sane || err_set(e, ERR_INPUT, "%s: rope_theta is %g", where, c->rope.theta);
}

bool config_parse(const json_t *root, const char *where, struct model_config *out, struct err *e) {
    *out = (struct model_config){0};
    if (!json_is_object(root)) return err_set(e, ERR_INPUT, "%s: not an object", where);
    return parse_family(root, where, out, e) && parse_sizes(root, where, out, e) &&
           parse_head(root, where, out, e) && refuse_options(root, where, out, e) &&
           parse_rotated(root, where, out, e) && parse_rope(root, where, out, e) &&
           parse_window(root, where, out, e);
}

bool config_parse_ends(const json_t *root, const char *where, int n_vocab, struct config_ends *out,
                       struct err *e) {
    const json_t *ids = json_object_get(root, "eos_token_id");
    out->n = 0;
    if (!ids || json_is_null(ids)) return true;
    size_t n = json_is_array(ids) ? json_array_size(ids) : 1;
    if (n > CONFIG_ENDS_MAX)
        return err_set(e, ERR_INPUT, "%s: more than %d end tokens", where, CONFIG_ENDS_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(ids) ? json_array_get(ids, i) : ids;
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= n_vocab)
            return err_set(e, ERR_INPUT, "%s: eos_token_id must be ids below vocab_size %d", where, n_vocab);
        out->ids[out->n++] = (int)json_integer_value(id);
    }
    return true;
}

bool config_parse_sampling(const json_t *root, const char *where, struct model_sampling *out, struct err *e) {
    double temperature, top_p, min_p;
    int64_t top_k;
    if (!json_get_real(root, "temperature", 1, &temperature, where, e) ||
        !json_get_real(root, "top_p", 1, &top_p, where, e) ||
        !json_get_real(root, "min_p", 0, &min_p, where, e) ||
        !json_get_int(root, "top_k", 0, INT64_MIN, INT64_MAX, &top_k, where, e))
        return false;
    return config_make_sampling(temperature, top_p, min_p, top_k, where, out, e);
}

bool config_make_sampling(double temperature, double top_p, double min_p, int64_t top_k, const char *where,
                          struct model_sampling *out, struct err *e) {
    if (!(temperature >= 0 && temperature <= 100) || !(top_p > 0 && top_p <= 1) ||
        !(min_p >= 0 && min_p <= 1))
        return err_set(e, ERR_INPUT, "%s: temperature %g, top_p %g or min_p %g makes no sense", where,
                       temperature, top_p, min_p);
    *out = (struct model_sampling){.temperature = (float)temperature,
                                   .top_p = (float)top_p,
                                   .min_p = (float)min_p,
                                   .top_k = top_k > 0 && top_k < 1 << 22 ? (int)top_k : 0};
    return true;
}
