#include "engine/transformer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- tensors by name ---- */

enum { NAME_MAX_BYTES = 96 };

struct binder {
    const struct model *m;
    struct err *e;
};

static const struct tensor *want(const struct binder *b, const char *name, int64_t rows, int64_t columns) {
    int64_t shape[2] = {rows, columns};
    return model_want_tensor(b->m, name, columns ? 2 : 1, shape, b->e);
}

static void layer_name(char out[NAME_MAX_BYTES], int i_layer, const char *rest) {
    snprintf(out, NAME_MAX_BYTES, "model.layers.%d.%s", i_layer, rest);
}

/* A vector of n floats into `out`, which has room. */
static bool bind_vector_into(const struct binder *b, const char *name, int n, float *out) {
    const struct tensor *t = want(b, name, n, 0);
    if (!t) return false;
    dtype_to_f32(out, t->data, t->dtype, (size_t)n);
    return true;
}

static bool bind_vector(const struct binder *b, const char *name, int n, float **out) {
    *out = mem_zalloc((size_t)n, sizeof **out);
    return bind_vector_into(b, name, n, *out);
}

struct block { /* rows of a stacked matrix */
    const char *name;
    int first, n_rows;
};

static void pack_widened(struct matrix *m, const struct block *block, const struct tensor *t) {
    enum { ROWS = MATRIX_PANEL };
    float *rows = mem_zalloc((size_t)ROWS * (size_t)m->n_in, sizeof *rows);
    size_t row_bytes = (size_t)m->n_in * dtype_bytes(t->dtype);
    for (int i = 0; i < block->n_rows; i += ROWS) {
        int n = MIN(ROWS, block->n_rows - i);
        dtype_to_f32(rows, (const char *)t->data + (size_t)i * row_bytes, t->dtype,
                     (size_t)n * (size_t)m->n_in);
        matrix_pack_rows(m, block->first + i, rows, n);
    }
    free(rows);
}

/* Stacks blocks, whose starts are multiples of MATRIX_PANEL; they keep their type if it is one and the
 * model is not small. */
static bool bind_matrix(const struct binder *b, struct matrix *m, int n_out, int n_in,
                        const struct block *blocks, int n) {
    const struct tensor *tensors[3];
    ASSERT(n > 0 && n <= (int)ARRAY_LEN(tensors));
    bool widen = false;
    for (int i = 0; i < n; i++) {
        tensors[i] = want(b, blocks[i].name, blocks[i].n_rows, n_in);
        if (!tensors[i]) return false;
        widen |= tensors[i]->dtype != tensors[0]->dtype;
    }
    matrix_init(m, n_out, n_in, widen ? DTYPE_F32 : tensors[0]->dtype);
    for (int i = 0; i < n; i++)
        if (tensors[i]->dtype != m->dtype)
            pack_widened(m, &blocks[i], tensors[i]);
        else
            matrix_pack_rows(m, blocks[i].first, tensors[i]->data, blocks[i].n_rows);
    return true;
}

/* ---- layers ---- */

static bool bind_attention(const struct binder *b, const struct transformer *t, struct layer *l, int i) {
    const struct model_config *c = &t->config;
    char q[NAME_MAX_BYTES], k[NAME_MAX_BYTES], v[NAME_MAX_BYTES];
    layer_name(q, i, "self_attn.q_proj.weight");
    layer_name(k, i, "self_attn.k_proj.weight");
    layer_name(v, i, "self_attn.v_proj.weight");
    struct block qkv[] = {{q, 0, t->q_width}, {k, t->k_first, t->kv_width}, {v, t->v_first, t->kv_width}};
    if (!bind_matrix(b, &l->qkv, t->qkv_width, c->d_model, qkv, 3)) return false;
    if (c->qkv_bias) {
        l->qkv_bias = mem_zalloc((size_t)t->qkv_width, sizeof *l->qkv_bias);
        layer_name(q, i, "self_attn.q_proj.bias");
        layer_name(k, i, "self_attn.k_proj.bias");
        layer_name(v, i, "self_attn.v_proj.bias");
        for (int j = 0; j < 3; j++)
            if (!bind_vector_into(b, qkv[j].name, qkv[j].n_rows, l->qkv_bias + qkv[j].first)) return false;
    }
    if (c->qk_norm) {
        layer_name(q, i, "self_attn.q_norm.weight");
        layer_name(k, i, "self_attn.k_norm.weight");
        if (!bind_vector(b, q, c->head_width, &l->q_norm) || !bind_vector(b, k, c->head_width, &l->k_norm))
            return false;
    }
    layer_name(q, i, "self_attn.o_proj.weight");
    return bind_matrix(b, &l->o, c->d_model, t->q_width, &(struct block){q, 0, c->d_model}, 1);
}

static bool bind_layer(const struct binder *b, const struct transformer *t, struct layer *l, int i) {
    const struct model_config *c = &t->config;
    char name[NAME_MAX_BYTES], up[NAME_MAX_BYTES];
    if (!bind_attention(b, t, l, i)) return false;
    layer_name(name, i, "input_layernorm.weight");
    if (!bind_vector(b, name, c->d_model, &l->norm_attend)) return false;
    layer_name(name, i, "post_attention_layernorm.weight");
    if (!bind_vector(b, name, c->d_model, &l->norm_ffn)) return false;
    layer_name(name, i, "mlp.gate_proj.weight");
    layer_name(up, i, "mlp.up_proj.weight");
    struct block gate_up[] = {{name, 0, c->d_ffn}, {up, t->up_first, c->d_ffn}};
    if (!bind_matrix(b, &l->gate_up, 2 * t->up_first, c->d_model, gate_up, 2)) return false;
    layer_name(name, i, "mlp.down_proj.weight");
    return bind_matrix(b, &l->down, c->d_model, c->d_ffn, &(struct block){name, 0, c->d_model}, 1);
}

static bool bind_ends(const struct binder *b, struct transformer *t) {
    const struct model_config *c = &t->config;
    struct block embed = {"model.embed_tokens.weight", 0, c->n_vocab}, head = embed;
    bool lm = c->head == MODEL_HEAD_LM, shared = lm && c->tied_embeddings;
    if (!shared) {
        head = (struct block){lm ? "lm_head.weight" : "score.weight", 0, c->n_head_outputs};
        if (!bind_matrix(b, &t->embed, c->n_vocab, c->d_model, &embed, 1)) return false;
    }
    if (!bind_matrix(b, &t->head, c->n_head_outputs, c->d_model, &head, 1)) return false;
    if (!lm && model_tensor(b->m, "score.bias") &&
        !bind_vector(b, "score.bias", c->n_head_outputs, &t->head_bias))
        return false;
    return bind_vector(b, "model.norm.weight", c->d_model, &t->norm_final);
}

/* ---- positions ---- */

static double scaled_frequency(const struct model_config *c, double frequency) {
    double factor = c->rope.factor;
    if (c->rope.kind == ROPE_LINEAR) return frequency / factor;
    if (c->rope.kind != ROPE_LLAMA3) return frequency;
    double length = c->rope.n_context_original, low = c->rope.low_freq_factor,
           high = c->rope.high_freq_factor;
    double wave = 2 * M_PI / frequency;
    if (wave < length / high) return frequency;
    if (wave > length / low) return frequency / factor;
    double s = (length / wave - low) / (high - low);
    return (1 - s) * frequency / factor + s * frequency;
}

static bool init_rope(struct transformer *t, struct err *e) {
    const struct model_config *c = &t->config;
    if (c->rope.kind != ROPE_DEFAULT && c->rope.kind != ROPE_LINEAR && c->rope.kind != ROPE_LLAMA3)
        return err_set(e, ERR_INPUT,
                       "this RoPE scaling is not computed by the engine: default, linear and llama3 are");
    size_t half = (size_t)c->head_width / 2, n = (size_t)t->n_positions * half;
    t->rope_cos = mem_alloc_aligned(64, n * sizeof(float));
    t->rope_sin = mem_alloc_aligned(64, n * sizeof(float));
    for (size_t i = 0; i < half; i++) {
        double plain = (float)(1 / pow(c->rope.theta, (double)(2 * i) / c->head_width));
        double frequency = (float)scaled_frequency(c, plain);
        for (size_t position = 0; position < (size_t)t->n_positions; position++) {
            double angle = (double)position * frequency;
            t->rope_cos[position * half + i] = (float)cos(angle);
            t->rope_sin[position * half + i] = (float)sin(angle);
        }
    }
    return true;
}

/* ---- the whole ---- */

size_t transformer_bytes(const struct model *m) {
    size_t n = 0;
    for (int i = 0; i < m->n_tensors; i++) n += m->tensors[i].n_bytes;
    return n;
}

bool transformer_init(struct transformer *t, const struct model *m, int n_positions, struct err *e) {
    const struct model_config *c = &m->config;
    *t = (struct transformer){.config = *c, .n_positions = n_positions};
    t->q_width = c->n_heads * c->head_width;
    t->kv_width = c->n_kv_heads * c->head_width;
    t->k_first = transformer_padded(t->q_width);
    t->v_first = t->k_first + transformer_padded(t->kv_width);
    t->qkv_width = t->v_first + transformer_padded(t->kv_width);
    t->up_first = transformer_padded(c->d_ffn);
    t->layers = mem_zalloc((size_t)c->n_layers, sizeof *t->layers);
    struct binder b = {m, e};
    bool done = bind_ends(&b, t) && init_rope(t, e);
    for (int i = 0; done && i < c->n_layers; i++) done = bind_layer(&b, t, &t->layers[i], i);
    if (!done) {
        transformer_fini(t);
        return false;
    }
    const struct layer *l = &t->layers[0];
    const struct matrix *all[] = {&l->qkv, &l->o, &l->gate_up, &l->down};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        t->layer_bytes += matrix_bytes(all[i]->n_out, all[i]->n_in, all[i]->dtype);
        t->layer_weights += (size_t)all[i]->n_out * (size_t)all[i]->n_in;
    }
    return true;
}

void transformer_fini(struct transformer *t) {
    for (int i = 0; t->layers && i < t->config.n_layers; i++) {
        struct layer *l = &t->layers[i];
        float *vectors[] = {l->norm_attend, l->norm_ffn, l->qkv_bias, l->q_norm, l->k_norm};
        for (size_t j = 0; j < ARRAY_LEN(vectors); j++) free(vectors[j]);
        matrix_fini(&l->qkv);
        matrix_fini(&l->o);
        matrix_fini(&l->gate_up);
        matrix_fini(&l->down);
    }
    free(t->layers);
    free(t->norm_final);
    free(t->head_bias);
    free(t->rope_cos);
    free(t->rope_sin);
    matrix_fini(&t->head);
    matrix_fini(&t->embed);
    *t = (struct transformer){0};
}

void transformer_embed(const struct transformer *t, int token, float *out) {
    const struct matrix *m = t->embed.panels ? &t->embed : &t->head;
    ASSERT(token >= 0 && token < m->n_out);
    size_t item = dtype_bytes(m->dtype), stride = MATRIX_PANEL * item;
    const char *from = (const char *)m->panels + (size_t)(token / MATRIX_PANEL) * stride * (size_t)m->n_in;
    from += (size_t)(token % MATRIX_PANEL) * item;
    unsigned char row[64 * sizeof(float)]; /* a piece of it, gathered */
    for (int k = 0; k < m->n_in; k += 64) {
        int n = MIN(64, m->n_in - k);
        for (int i = 0; i < n; i++) memcpy(row + (size_t)i * item, from + (size_t)(k + i) * stride, item);
        dtype_to_f32(out + k, row, m->dtype, (size_t)n);
    }
}
