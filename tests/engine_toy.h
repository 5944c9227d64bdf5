/* engine_toy.h - small random models in memory, and what they compute by the textbook: a whole prefix at a
 * time, in double, without a cache.
 *
 * Weights are multiples of 1/128 below 1, times a power of two, so F32, F16 and BF16 hold them exactly and
 * one reference serves all types.
 */
#ifndef BROOD_TEST_ENGINE_TOY_H
#define BROOD_TEST_ENGINE_TOY_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/model.h"

enum { TOY_TENSORS_MAX = 128 };

struct toy {
    struct model m;
    struct tensor tensors[TOY_TENSORS_MAX];
    char names[TOY_TENSORS_MAX][96];
    uint64_t key;
    enum dtype dtype;
    bool mixed; /* each tensor of another type */
    bool half;  /* toy_outputs: keys and values are rounded to F16 */
};

static inline void toy_store(void *data, size_t i, enum dtype t, float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    uint16_t h = (uint16_t)(u >> 16);
    if (t == DTYPE_F16) {
        int exponent = (int)((u >> 23) & 255) - 127 + 15;
        h = (uint16_t)((u >> 16) & 0x8000u);
        if (x != 0) h = (uint16_t)((unsigned)h | ((unsigned)exponent << 10) | ((u >> 13) & 0x3FFu));
    }
    if (t == DTYPE_F32)
        memcpy((char *)data + 4 * i, &x, 4);
    else
        memcpy((char *)data + 2 * i, &h, 2);
}

/* Values center + range * [-127..127]/128. */
static inline void toy_tensor(struct toy *t, const char *name, int64_t rows, int64_t columns, float center,
                              float range) {
    int n = t->m.n_tensors++;
    ASSERT(n < TOY_TENSORS_MAX);
    snprintf(t->names[n], sizeof t->names[n], "%s", name);
    size_t n_items = (size_t)(rows * (columns ? columns : 1));
    enum dtype type = t->mixed ? (enum dtype)(n % 3) : t->dtype;
    void *data = malloc(n_items * dtype_bytes(type) + 1);
    t->key = rng_child(t->key, 1);
    for (size_t i = 0; i < n_items; i++) {
        float x = center + range * (float)((int)rng_below(t->key, i, 255) - 127) / 128.0f;
        toy_store(data, i, type, center != 0 ? center : x);
    }
    t->tensors[n] = (struct tensor){
        .name = t->names[n], .dtype = type, .n_dims = columns ? 2 : 1, .shape = {rows, columns}};
    t->tensors[n].data = data;
    t->tensors[n].n_bytes = n_items * dtype_bytes(type);
}

static inline int toy_by_name(const void *a, const void *b) {
    return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

/* A power of two near 1 / sqrt(n). */
static inline float toy_range(int n) {
    return ldexpf(1, -(int)lround(log2(sqrt(n)) - 1));
}

static inline void toy_layer(struct toy *t, int i) {
    const struct model_config *c = &t->m.config;
    int q = c->n_heads * c->head_width, k = c->n_kv_heads * c->head_width;
    struct {
        const char *name;
        int rows, columns;
        float center, range;
    } all[] = {
        {"input_layernorm.weight", c->d_model, 0, 0, 1},
        {"post_attention_layernorm.weight", c->d_model, 0, 0, 1},
        {"self_attn.q_proj.weight", q, c->d_model, 0, 2 * toy_range(c->d_model)},
        {"self_attn.k_proj.weight", k, c->d_model, 0, 2 * toy_range(c->d_model)},
        {"self_attn.v_proj.weight", k, c->d_model, 0, toy_range(c->d_model)},
        {"self_attn.o_proj.weight", c->d_model, q, 0, toy_range(q)},
        {"mlp.gate_proj.weight", c->d_ffn, c->d_model, 0, toy_range(c->d_model)},
        {"mlp.up_proj.weight", c->d_ffn, c->d_model, 0, toy_range(c->d_model)},
        {"mlp.down_proj.weight", c->d_model, c->d_ffn, 0, toy_range(c->d_ffn)},
        {"self_attn.q_proj.bias", c->qkv_bias ? q : 0, 0, 0, 1},
        {"self_attn.k_proj.bias", c->qkv_bias ? k : 0, 0, 0, 1},
        {"self_attn.v_proj.bias", c->qkv_bias ? k : 0, 0, 0, 1},
        {"self_attn.q_norm.weight", c->qk_norm ? c->head_width : 0, 0, 0, 2},
        {"self_attn.k_norm.weight", c->qk_norm ? c->head_width : 0, 0, 0, 2},
    };
    char name[96];
    for (size_t j = 0; j < ARRAY_LEN(all); j++) {
        snprintf(name, sizeof name, "model.layers.%d.%s", i, all[j].name);
        if (all[j].rows) toy_tensor(t, name, all[j].rows, all[j].columns, all[j].center, all[j].range);
    }
}

static inline void toy_init(struct toy *t, const struct model_config *c, enum dtype dtype, bool mixed,
                            uint64_t seed) {
    *t = (struct toy){.key = seed, .dtype = dtype, .mixed = mixed};
    t->m.config = *c;
    t->m.path = "toy";
    t->m.tensors = t->tensors;
    toy_tensor(t, "model.embed_tokens.weight", c->n_vocab, c->d_model, 0, c->tied_embeddings ? 0.5f : 1);
    toy_tensor(t, "model.norm.weight", c->d_model, 0, 0, 1);
    if (c->head == MODEL_HEAD_CLASS) {
        toy_tensor(t, "score.weight", c->n_head_outputs, c->d_model, 0, 0.5f);
        toy_tensor(t, "score.bias", c->n_head_outputs, 0, 0, 1);
    } else if (!c->tied_embeddings) {
        toy_tensor(t, "lm_head.weight", c->n_vocab, c->d_model, 0, 0.5f);
    }
    for (int i = 0; i < c->n_layers; i++) toy_layer(t, i);
    qsort(t->tensors, (size_t)t->m.n_tensors, sizeof t->tensors[0], toy_by_name);
}

static inline void toy_fini(struct toy *t) {
    for (int i = 0; i < t->m.n_tensors; i++) free((void *)(uintptr_t)t->tensors[i].data);
}

/* ---- the textbook ---- */

static inline double *toy_wide(const struct toy *t, int layer, const char *rest) {
    char name[96];
    if (layer >= 0)
        snprintf(name, sizeof name, "model.layers.%d.%s", layer, rest);
    else
        snprintf(name, sizeof name, "%s", rest);
    for (int i = 0; i < t->m.n_tensors; i++) {
        const struct tensor *x = &t->tensors[i];
        if (strcmp(x->name, name) != 0) continue;
        size_t n = x->n_bytes / dtype_block_bytes(x->dtype) * (size_t)dtype_block(x->dtype);
        float *f = malloc(n * sizeof *f);
        double *d = malloc(n * sizeof *d);
        dtype_to_f32(f, x->data, x->dtype, n);
        for (size_t j = 0; j < n; j++) d[j] = (double)f[j];
        free(f);
        return d;
    }
    return NULL;
}

static inline void toy_norm(double *y, const double *x, const double *gain, int n, double eps) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    for (int i = 0; i < n; i++) y[i] = x[i] / sqrt(sum / n + eps) * gain[i];
}

/* y [n_out] = W x + b, both freed by the caller; b may be NULL. */
static inline void toy_product(double *y, const double *w, const double *b, const double *x, int n_out,
                               int n_in) {
    for (int o = 0; o < n_out; o++) {
        y[o] = b ? b[o] : 0;
        for (int i = 0; i < n_in; i++) y[o] += w[(size_t)o * (size_t)n_in + (size_t)i] * x[i];
    }
}

/* The share of yarn's slowed frequency in pair i: 0 up to the pair that turns beta_fast times in the original
 * context, 1 from the one that turns beta_slow times. */
static inline double toy_yarn_share(const struct model_config *c, int i) {
    double pair[2], turns[] = {c->rope.beta_fast, c->rope.beta_slow};
    for (int k = 0; k < 2; k++) /* theta^(-2 pair / W) L = 2 pi turns */
        pair[k] = c->head_width / 2.0 * log(c->rope.n_context_original / (2 * M_PI * turns[k])) /
                  log(c->rope.theta);
    if (c->rope.is_truncated) pair[0] = floor(pair[0]), pair[1] = ceil(pair[1]);
    if (pair[0] < 0) pair[0] = 0;
    if (pair[1] > c->head_width - 1) pair[1] = c->head_width - 1;
    return i <= pair[0] ? 0 : i >= pair[1] ? 1 : (i - pair[0]) / (pair[1] - pair[0]);
}

static inline double toy_frequency(const struct model_config *c, int i) {
    double f = pow(c->rope.theta, -2.0 * i / c->head_width);
    if (c->rope.kind == ROPE_YARN) {
        double share = toy_yarn_share(c, i);
        return share * f / c->rope.factor + (1 - share) * f;
    }
    if (c->rope.kind == ROPE_LINEAR) return f / c->rope.factor;
    if (c->rope.kind != ROPE_LLAMA3) return f;
    double wave = 2 * M_PI / f, length = c->rope.n_context_original;
    if (wave < length / c->rope.high_freq_factor) return f;
    if (wave > length / c->rope.low_freq_factor) return f / c->rope.factor;
    double s =
        (length / wave - c->rope.low_freq_factor) / (c->rope.high_freq_factor - c->rope.low_freq_factor);
    return (1 - s) * f / c->rope.factor + s * f;
}

static inline void toy_rotate(const struct model_config *c, double *head, int position) {
    int half = c->head_width / 2;
    double scale = c->rope.kind == ROPE_YARN ? c->rope.attention_factor : 1;
    for (int i = 0; i < half; i++) {
        double a = scale * head[i], b = scale * head[i + half], angle = position * toy_frequency(c, i);
        head[i] = a * cos(angle) - b * sin(angle);
        head[i + half] = b * cos(angle) + a * sin(angle);
    }
}

/* Rotated queries and keys, and values, of one position. */
static inline void toy_qkv(const struct toy *t, int l, const double *normed, int position, double *q,
                           double *k, double *v) {
    const struct model_config *c = &t->m.config;
    double *to[] = {q, k, v};
    static const char *const names[] = {"q", "k", "v"};
    char name[64];
    for (int j = 0; j < 3; j++) {
        int heads = j ? c->n_kv_heads : c->n_heads;
        snprintf(name, sizeof name, "self_attn.%s_proj.weight", names[j]);
        double *w = toy_wide(t, l, name);
        snprintf(name, sizeof name, "self_attn.%s_proj.bias", names[j]);
        double *b = toy_wide(t, l, name);
        toy_product(to[j], w, b, normed, heads * c->head_width, c->d_model);
        free(w);
        free(b);
        if (j == 2) continue;
        snprintf(name, sizeof name, "self_attn.%s_norm.weight", names[j]);
        double *gain = toy_wide(t, l, name);
        for (int h = 0; h < heads; h++) {
            double *head = to[j] + h * c->head_width;
            if (gain) toy_norm(head, head, gain, c->head_width, (double)c->norm_eps);
            toy_rotate(c, head, position);
        }
        free(gain);
    }
}

static inline void toy_attend(const struct model_config *c, double *out, const double *q, const double *k,
                              const double *v, int n) {
    int per = c->n_heads / c->n_kv_heads, w = c->head_width, kv = c->n_kv_heads * w;
    double *p = malloc((size_t)n * sizeof *p);
    for (int h = 0; h < c->n_heads; h++) {
        double max = -INFINITY, sum = 0;
        for (int t = 0; t < n; t++) {
            p[t] = 0;
            for (int i = 0; i < w; i++) p[t] += q[h * w + i] * k[t * kv + h / per * w + i] / sqrt(w);
            max = fmax(max, p[t]);
        }
        for (int t = 0; t < n; t++) sum += p[t] = exp(p[t] - max);
        for (int i = 0; i < w; i++) {
            out[h * w + i] = 0;
            for (int t = 0; t < n; t++) out[h * w + i] += p[t] / sum * v[t * kv + h / per * w + i];
        }
    }
    free(p);
}

static inline void toy_ffn(const struct toy *t, int l, double *x, double *normed, double *wide) {
    const struct model_config *c = &t->m.config;
    double *gain = toy_wide(t, l, "post_attention_layernorm.weight"),
           *gate = toy_wide(t, l, "mlp.gate_proj.weight");
    double *up = toy_wide(t, l, "mlp.up_proj.weight"), *down = toy_wide(t, l, "mlp.down_proj.weight");
    toy_norm(normed, x, gain, c->d_model, (double)c->norm_eps);
    toy_product(wide, gate, NULL, normed, c->d_ffn, c->d_model);
    toy_product(wide + c->d_ffn, up, NULL, normed, c->d_ffn, c->d_model);
    for (int i = 0; i < c->d_ffn; i++) wide[i] = wide[i] / (1 + exp(-wide[i])) * wide[c->d_ffn + i];
    toy_product(normed, down, NULL, wide, c->d_model, c->d_ffn);
    for (int i = 0; i < c->d_model; i++) x[i] += normed[i];
    free(gain);
    free(gate);
    free(up);
    free(down);
}

/* The nearest number with 11 bits, as F16 has from 2^-14 to 65504. */
static inline double toy_half(double x) {
    int e;
    frexp(x, &e);
    const double unit = ldexp(1, (e > -13 ? e : -13) - 11);
    return nearbyint(x / unit) * unit;
}

/* Head outputs of every position, [n][n_head_outputs]. Owned. */
static inline double *toy_outputs(const struct toy *t, const int *tokens, int n) {
    const struct model_config *c = &t->m.config;
    int d = c->d_model, q_width = c->n_heads * c->head_width, kv = c->n_kv_heads * c->head_width;
    size_t rows = (size_t)n;
    double *x = calloc(rows * (size_t)d, sizeof *x), *q = calloc(rows * (size_t)q_width, sizeof *q);
    double *k = calloc(rows * (size_t)kv, sizeof *k), *v = calloc(rows * (size_t)kv, sizeof *v);
    double *scratch = calloc((size_t)(d + q_width + 2 * c->d_ffn), sizeof *scratch), *mixed = scratch + d;
    double *out = calloc(rows * (size_t)c->n_head_outputs, sizeof *out),
           *embed = toy_wide(t, -1, "model.embed_tokens.weight");
    for (int i = 0; i < n; i++) memcpy(x + i * d, embed + tokens[i] * d, (size_t)d * sizeof *x);
    for (int l = 0; l < c->n_layers; l++) {
        double *gain = toy_wide(t, l, "input_layernorm.weight"),
               *o = toy_wide(t, l, "self_attn.o_proj.weight");
        for (int i = 0; i < n; i++) {
            toy_norm(scratch, x + i * d, gain, d, (double)c->norm_eps);
            toy_qkv(t, l, scratch, i, q + i * q_width, k + i * kv, v + i * kv);
            for (int j = 0; t->half && j < kv; j++) {
                k[i * kv + j] = toy_half(k[i * kv + j]);
                v[i * kv + j] = toy_half(v[i * kv + j]);
            }
        }
        for (int i = 0; i < n; i++) {
            toy_attend(c, mixed, q + i * q_width, k, v, i + 1);
            toy_product(scratch, o, NULL, mixed, d, q_width);
            for (int j = 0; j < d; j++) x[i * d + j] += scratch[j];
            toy_ffn(t, l, x + i * d, scratch, mixed + q_width);
        }
        free(gain);
        free(o);
    }
    bool lm = c->head == MODEL_HEAD_LM;
    double *gain = toy_wide(t, -1, "model.norm.weight"), *bias = lm ? NULL : toy_wide(t, -1, "score.bias");
    double *head = lm && c->tied_embeddings ? toy_wide(t, -1, "model.embed_tokens.weight")
                                            : toy_wide(t, -1, lm ? "lm_head.weight" : "score.weight");
    for (int i = 0; i < n; i++) {
        toy_norm(scratch, x + i * d, gain, d, (double)c->norm_eps);
        toy_product(out + i * c->n_head_outputs, head, bias, scratch, c->n_head_outputs, d);
    }
    double *all[] = {x, q, k, v, scratch, embed, gain, bias, head};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) free(all[i]);
    return out;
}

#endif
