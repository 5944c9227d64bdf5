#include "engine/transformer.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* ---- tensors by name ---- */

enum { NAME_MAX_BYTES = 96 };
#define USED_BYTES ((size_t)4 << 20)

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
    for (int i = 0; i < n; i++) dtype_to_f32(out + i, tensor_row(t, i), t->dtype, 1);
    if (dtype_is_finite(out, DTYPE_F32, (size_t)n)) return true;
    return err_set(b->e, ERR_INPUT,
                   "%s: tensor %s has a weight that is not a finite number: the file is damaged, download it "
                   "again",
                   b->m->path, name);
}

static bool bind_vector(const struct binder *b, const char *name, int n, float **out) {
    *out = mem_zalloc((size_t)n, sizeof **out);
    return bind_vector_into(b, name, n, *out);
}

struct block { /* rows of a stacked matrix */
    const char *name;
    int first, n_rows;
};

static size_t row_bytes_of(enum dtype t, size_t n) {
    return n / (size_t)dtype_block(t) * dtype_block_bytes(t);
}

/* As what a tensor is multiplied. */
static enum dtype held_type(const struct tensor *t) {
    return t->rounds_inputs ? DTYPE_BF16 : t->dtype;
}

/* One matrix where all have one type or none takes rounded inputs (different ones become F32); else a part
 * each. */
static bool is_one_matrix(const struct tensor *const *tensors, int n, enum dtype *type) {
    bool same = true, rounded = false;
    for (int i = 0; i < n; i++) {
        same &= held_type(tensors[i]) == held_type(tensors[0]) &&
                tensors[i]->rounds_inputs == tensors[0]->rounds_inputs;
        rounded |= tensors[i]->rounds_inputs || dtype_coding(tensors[i]->dtype) != NULL;
    }
    *type = same ? held_type(tensors[0]) : DTYPE_F32;
    return same || !rounded;
}

/* Row i of t as the matrix has it; spare: [n]. */
static void convert_row(char *to, enum dtype type, const struct tensor *t, int64_t i, size_t n,
                        float *spare) {
    const void *from = tensor_row(t, i);
    if (t->rounds_inputs) {
        dtype_to_f32(spare, from, t->dtype, n);
        dtype_bf16_from_f32((uint16_t *)(void *)to, spare, n);
    } else if (type == t->dtype) {
        memcpy(to, from, row_bytes_of(type, n));
    } else {
        dtype_to_f32((float *)(void *)to, from, t->dtype, n);
    }
}

static bool refuse_value(const struct binder *b, const struct tensor *t, int64_t row) {
    return err_set(b->e, ERR_INPUT,
                   "%s: tensor %s has a weight in row %lld that is not a finite number: the file is damaged, "
                   "download it again",
                   b->m->path, t->name, (long long)row);
}

/* Panel by panel: rows are brought into order and type, looked at and packed while they are in the cache. */
static bool pack_block(const struct binder *b, struct matrix *m, int first, const struct block *block,
                       const struct tensor *t) {
    const size_t n = (size_t)m->n_in, row_bytes = row_bytes_of(m->dtype, n);
    char *rows = mem_alloc_aligned(64, MATRIX_PANEL * row_bytes);
    float *spare = mem_alloc(n * sizeof *spare);
    bool done = true;
    int i_used = 0; /* what is packed leaves memory in larger pieces: not the model twice */
    for (int i = 0; done && i < block->n_rows; i += MATRIX_PANEL) {
        int n_rows = MIN(MATRIX_PANEL, block->n_rows - i);
        for (int k = 0; k < n_rows; k++) {
            char *row = rows + (size_t)k * row_bytes;
            convert_row(row, m->dtype, t, i + k, n, spare);
            if (done && !dtype_is_finite(row, m->dtype, n)) done = refuse_value(b, t, i + k);
        }
        matrix_pack_rows(m, first + i, rows, n_rows);
        if ((size_t)(i + n_rows - i_used) * row_bytes < USED_BYTES && i + n_rows < block->n_rows) continue;
        model_rows_used(b->m, t, i_used, i + n_rows - i_used);
        i_used = i + n_rows;
    }
    free(spare);
    free(rows);
    return done;
}

static void init_matrix(struct matrix *m, int n_out, int n_in, enum dtype type, const struct tensor *t) {
    matrix_init(m, n_out, n_in, type);
    m->rounds_inputs = t->rounds_inputs;
}

/* Stacks blocks, whose starts are multiples of MATRIX_PANEL. */
static bool bind_stack(const struct binder *b, struct stack *s, int n_out, int n_in,
                       const struct block *blocks, int n) {
    const struct tensor *tensors[STACK_PARTS_MAX] = {0};
    enum dtype type;
    ASSERT(n > 0 && n <= STACK_PARTS_MAX);
    for (int i = 0; i < n; i++) {
        tensors[i] = want(b, blocks[i].name, blocks[i].n_rows, n_in);
        if (!tensors[i]) return false;
    }
    s->n_panels = transformer_padded(n_out) / MATRIX_PANEL;
    s->n_parts = is_one_matrix(tensors, n, &type) ? 1 : n;
    if (s->n_parts == 1) init_matrix(&s->parts[0], n_out, n_in, type, tensors[0]);
    for (int i = 0; i < n; i++) {
        struct matrix *m = &s->parts[MIN(i, s->n_parts - 1)];
        int first = blocks[i].first;
        if (s->n_parts > 1) {
            init_matrix(m, blocks[i].n_rows, n_in, held_type(tensors[i]), tensors[i]);
            s->first[i] = first / MATRIX_PANEL;
            first = 0;
        }
        if (!pack_block(b, m, first, &blocks[i], tensors[i])) return false;
    }
    return true;
}

static bool bind_matrix(const struct binder *b, struct matrix *m, int n_out, int n_in,
                        const struct block *block) {
    struct stack s = {0};
    const bool done = bind_stack(b, &s, n_out, n_in, block, 1);
    *m = s.parts[0];
    return done;
}

/* ---- layers ---- */

static bool bind_attention(const struct binder *b, const struct transformer *t, struct layer *l, int i) {
    const struct model_config *c = &t->config;
    char q[NAME_MAX_BYTES], k[NAME_MAX_BYTES], v[NAME_MAX_BYTES];
    layer_name(q, i, "self_attn.q_proj.weight");
    layer_name(k, i, "self_attn.k_proj.weight");
    layer_name(v, i, "self_attn.v_proj.weight");
    struct block qkv[] = {{q, 0, t->q_width}, {k, t->k_first, t->kv_width}, {v, t->v_first, t->kv_width}};
    if (!bind_stack(b, &l->qkv, t->qkv_width, c->d_model, qkv, 3)) return false;
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
    return bind_matrix(b, &l->o, c->d_model, t->q_width, &(struct block){q, 0, c->d_model});
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
    if (!bind_stack(b, &l->gate_up, 2 * t->up_first, c->d_model, gate_up, 2)) return false;
    layer_name(name, i, "mlp.down_proj.weight");
    return bind_matrix(b, &l->down, c->d_model, c->d_ffn, &(struct block){name, 0, c->d_model});
}

/* Where the head's tensors stand; in_weight: what comes before it, or NULL. */
static const struct head_names {
    const char *weight, *bias, *in_weight, *in_bias;
} head_names[] = {
    [MODEL_HEAD_LM] = {"lm_head.weight", NULL, NULL, NULL},
    [MODEL_HEAD_CLASS] = {"score.weight", "score.bias", NULL, NULL},
    [MODEL_HEAD_SEQUENCE] = {"score.weight", "score.bias", NULL, NULL},
    [MODEL_HEAD_MLP] = {"score.2.weight", "score.2.bias", "score.0.weight", "score.0.bias"},
    [MODEL_HEAD_VALUE] = {"v_head.summary.weight", "v_head.summary.bias", NULL, NULL},
};

static bool bind_head(const struct binder *b, struct transformer *t) {
    const struct model_config *c = &t->config;
    const struct head_names *n = &head_names[c->head];
    if (!bind_matrix(b, &t->head, c->n_head_outputs, c->d_model,
                     &(struct block){n->weight, 0, c->n_head_outputs}))
        return false;
    if (n->bias && model_tensor(b->m, n->bias) && !bind_vector(b, n->bias, c->n_head_outputs, &t->head_bias))
        return false;
    return !n->in_weight || (bind_matrix(b, &t->head_in, c->d_model, c->d_model,
                                         &(struct block){n->in_weight, 0, c->d_model}) &&
                             bind_vector(b, n->in_bias, c->d_model, &t->head_in_bias));
}

static bool bind_ends(const struct binder *b, struct transformer *t) {
    const struct model_config *c = &t->config;
    const struct block embed = {"model.embed_tokens.weight", 0, c->n_vocab};
    const bool shared = c->head == MODEL_HEAD_LM && c->tied_embeddings;
    return bind_matrix(b, shared ? &t->head : &t->embed, c->n_vocab, c->d_model, &embed) &&
           (shared || bind_head(b, t)) && bind_vector(b, "model.norm.weight", c->d_model, &t->norm_final);
}

/* ---- positions ---- */

/* Llama 3.1: long waves are slowed by the factor, short ones kept, those between mixed. */
static double llama3_frequency(const struct model_config *c, double frequency) {
    double length = c->rope.n_context_original, low = c->rope.low_freq_factor,
           high = c->rope.high_freq_factor;
    double wave = 2 * M_PI / frequency;
    if (wave < length / high) return frequency;
    if (wave > length / low) return frequency / c->rope.factor;
    double s = (length / wave - low) / (high - low);
    return (1 - s) * frequency / c->rope.factor + s * frequency;
}

/* The pair that turns so many times over the original context. */
static double yarn_bound(const struct model_config *c, double turns) {
    return (c->head_width - c->n_unrotated) * log(c->rope.n_context_original / (turns * 2 * M_PI)) /
           (2 * log(c->rope.theta));
}

/* Yarn: pairs below the first bound are kept, above the second slowed, a ramp between. */
static double yarn_frequency(const struct model_config *c, double frequency, size_t i) {
    double low = yarn_bound(c, c->rope.beta_fast), high = yarn_bound(c, c->rope.beta_slow);
    if (c->rope.is_truncated) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, c->head_width - c->n_unrotated - 1);
    if (low == high) high += 0.001;
    double ramp = fmin(fmax(((double)i - low) / (high - low), 0), 1);
    return frequency / c->rope.factor * ramp + frequency * (1 - ramp);
}

static double scaled_frequency(const struct model_config *c, double frequency, size_t i,
                               const float *factors) {
    switch (c->rope.kind) {
    case ROPE_DEFAULT:
        return frequency;
    case ROPE_LINEAR:
        return frequency / c->rope.factor;
    case ROPE_LLAMA3:
        return llama3_frequency(c, frequency);
    case ROPE_YARN:
        return yarn_frequency(c, frequency, i);
    case ROPE_LONGROPE:
        return frequency / (double)c->rope.short_factors[i];
    case ROPE_FACTORS:
        return frequency / (double)factors[i];
    }
    return frequency;
}

static bool bind_factors(const struct binder *b, const struct transformer *t, float **out) {
    static const char name[] = "rope_freqs.weight";
    int half = t->config.head_width / 2;
    if (t->config.rope.kind != ROPE_FACTORS) return true;
    if (!bind_vector(b, name, half, out)) return false;
    for (int i = 0; i < half; i++) {
        if (!((*out)[i] >= 1e-6f && (*out)[i] <= 1e6f))
            return err_set(b->e, ERR_INPUT, "%s: tensor %s: factor %d is %g, not from 1e-6 to 1e6",
                           b->m->path, name, i, (double)(*out)[i]);
    }
    return true;
}

static bool init_rope(const struct binder *b, struct transformer *t) {
    const struct model_config *c = &t->config;
    size_t half = (size_t)c->head_width / 2, n = (size_t)t->n_positions * half;
    float *factors = NULL;
    bool done = bind_factors(b, t, &factors);
    t->rope_cos = mem_alloc_aligned(64, n * sizeof(float));
    t->rope_sin = mem_alloc_aligned(64, n * sizeof(float));
    const bool is_scaled = c->rope.kind == ROPE_YARN || c->rope.kind == ROPE_LONGROPE;
    const int n_rotated = c->head_width - c->n_unrotated;
    for (size_t i = 0; done && i < half; i++) {
        const bool is_rotated = i < (size_t)n_rotated / 2;
        const double scale = is_scaled && is_rotated ? c->rope.attention_factor : 1;
        double plain = (float)(1 / pow(c->rope.theta, (double)(2 * i) / n_rotated));
        double frequency = is_rotated ? (float)scaled_frequency(c, plain, i, factors) : 0;
        for (size_t position = 0; position < (size_t)t->n_positions; position++) {
            double angle = (double)position * frequency;
            t->rope_cos[position * half + i] = (float)(cos(angle) * scale);
            t->rope_sin[position * half + i] = (float)(sin(angle) * scale);
        }
    }
    free(factors);
    return done;
}

/* ---- the whole ---- */

/* Of a matrix that stacks these tensors; one that is missing will be refused when it is bound. */
static size_t stacked_bytes(const struct model *m, int i_layer, const char *const *names, int n) {
    const struct tensor *tensors[STACK_PARTS_MAX] = {0};
    size_t n_bytes = 0;
    enum dtype type;
    char name[NAME_MAX_BYTES];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s", names[i]);
        if (i_layer >= 0) layer_name(name, i_layer, names[i]);
        tensors[i] = model_tensor(m, name);
        if (!tensors[i] || tensors[i]->n_dims != 2) return 0;
    }
    const bool one = is_one_matrix(tensors, n, &type);
    for (int i = 0; i < n; i++)
        n_bytes +=
            matrix_bytes(tensors[i]->shape[0], tensors[i]->shape[1], one ? type : held_type(tensors[i]));
    return n_bytes;
}

size_t transformer_bytes(const struct model *m, int n_positions) {
    static const char *const qkv[] = {"self_attn.q_proj.weight", "self_attn.k_proj.weight",
                                      "self_attn.v_proj.weight"};
    static const char *const gate_up[] = {"mlp.gate_proj.weight", "mlp.up_proj.weight"};
    static const char *const o = "self_attn.o_proj.weight", *const down = "mlp.down_proj.weight";
    static const char *const embed = "model.embed_tokens.weight";
    const struct model_config *c = &m->config;
    size_t n = stacked_bytes(m, -1, &embed, 1);
    const struct head_names *names = &head_names[c->head];
    if (c->head != MODEL_HEAD_LM || !c->tied_embeddings) n += stacked_bytes(m, -1, &names->weight, 1);
    if (names->in_weight) n += stacked_bytes(m, -1, &names->in_weight, 1);
    for (int i = 0; i < c->n_layers; i++) {
        n += stacked_bytes(m, i, qkv, 3) + stacked_bytes(m, i, &o, 1) + stacked_bytes(m, i, gate_up, 2) +
             stacked_bytes(m, i, &down, 1);
        n += (size_t)(2 * c->d_model + 2 * c->head_width) * sizeof(float);
    }
    return n + (size_t)n_positions * (size_t)c->head_width * sizeof(float);
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
    bool done = bind_ends(&b, t) && init_rope(&b, t);
    for (int i = 0; done && i < c->n_layers; i++) done = bind_layer(&b, t, &t->layers[i], i);
    if (!done) {
        transformer_fini(t);
        return false;
    }
    const struct layer *l = &t->layers[0];
    const struct matrix *all[] = {&l->qkv.parts[0],     &l->qkv.parts[1],     &l->qkv.parts[2], &l->o,
                                  &l->gate_up.parts[0], &l->gate_up.parts[1], &l->down};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i]->n_out == 0) continue;
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
        for (int j = 0; j < STACK_PARTS_MAX; j++) matrix_fini(&l->qkv.parts[j]);
        for (int j = 0; j < STACK_PARTS_MAX; j++) matrix_fini(&l->gate_up.parts[j]);
        matrix_fini(&l->o);
        matrix_fini(&l->down);
    }
    free(t->layers);
    free(t->norm_final);
    free(t->head_bias);
    free(t->head_in_bias);
    matrix_fini(&t->head_in);
    free(t->rope_cos);
    free(t->rope_sin);
    matrix_fini(&t->head);
    matrix_fini(&t->embed);
    *t = (struct transformer){0};
}

void transformer_embed(const struct transformer *t, int token, float *out) {
    const struct matrix *m = t->embed.panels ? &t->embed : &t->head;
    matrix_row(m, token, out);
}
