#include "model/family.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static const struct family families[] = {
    {"LlamaForCausalLM", "llama", MODEL_HEAD_LM, false, false, false, 0},
    {"LlamaForTokenClassification", "llama", MODEL_HEAD_CLASS, false, false, false, 0},
    {"LlamaForSequenceClassification", "llama", MODEL_HEAD_SEQUENCE, false, false, false, 0},
    {"MistralForCausalLM", "mistral", MODEL_HEAD_LM, false, false, false, 0},
    {"Qwen2ForCausalLM", "qwen2", MODEL_HEAD_LM, true, false, false, 0},
    {"Qwen2ForTokenClassification", "qwen2", MODEL_HEAD_CLASS, true, false, false, 0},
    {"Qwen2ForSequenceClassification", "qwen2", MODEL_HEAD_SEQUENCE, true, false, false, 0},
    {"Qwen2ForProcessRewardModel", "qwen2", MODEL_HEAD_MLP, true, false, false, 2},
    {"Qwen2ForRewardModel", "qwen2", MODEL_HEAD_MLP, true, false, false, 1},
    {"Qwen2ForPrmModel", "qwen2", MODEL_HEAD_VALUE, true, false, false, 1},
    {"Qwen3ForCausalLM", "qwen3", MODEL_HEAD_LM, false, true, false, 0},
    {"Qwen3ForSequenceClassification", "qwen3", MODEL_HEAD_SEQUENCE, false, true, false, 0},
    {"Phi3ForCausalLM", "phi3", MODEL_HEAD_LM, false, false, true, 0},
};

enum need { ALWAYS, QKV_BIAS, QK_NORM, UNTIED, CLASS, CLASS_MAYBE, MLP, VALUE, VALUE_MAYBE, FACTORS };

struct row {
    const char *name; /* in a layer: after "model.layers.N." */
    const char *shape;
    enum need need;
};

static const struct row layer_rows[] = {
    {"input_layernorm.weight", "D", ALWAYS},   {"post_attention_layernorm.weight", "D", ALWAYS},
    {"self_attn.q_proj.weight", "QD", ALWAYS}, {"self_attn.k_proj.weight", "KD", ALWAYS},
    {"self_attn.v_proj.weight", "KD", ALWAYS}, {"self_attn.o_proj.weight", "DQ", ALWAYS},
    {"self_attn.q_proj.bias", "Q", QKV_BIAS},  {"self_attn.k_proj.bias", "K", QKV_BIAS},
    {"self_attn.v_proj.bias", "K", QKV_BIAS},  {"self_attn.q_norm.weight", "W", QK_NORM},
    {"self_attn.k_norm.weight", "W", QK_NORM}, {"mlp.gate_proj.weight", "FD", ALWAYS},
    {"mlp.up_proj.weight", "FD", ALWAYS},      {"mlp.down_proj.weight", "DF", ALWAYS},
};

static const struct row other_rows[] = {
    {"model.embed_tokens.weight", "VD", ALWAYS},
    {"model.norm.weight", "D", ALWAYS},
    {"lm_head.weight", "VD", UNTIED},
    {"score.weight", "CD", CLASS},
    {"score.bias", "C", CLASS_MAYBE},
    {"score.0.weight", "DD", MLP},
    {"score.0.bias", "D", MLP},
    {"score.2.weight", "CD", MLP},
    {"score.2.bias", "C", MLP},
    {"v_head.summary.weight", "CD", VALUE},
    {"v_head.summary.bias", "C", VALUE_MAYBE},
    {"rope_freqs.weight", "P", FACTORS},
};

const struct family *family_find(const char *architecture) {
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        if (strcmp(families[i].architecture, architecture) == 0) return &families[i];
    }
    return NULL;
}

const char *family_names(void) {
    return "LlamaForCausalLM, LlamaForTokenClassification, LlamaForSequenceClassification, "
           "MistralForCausalLM, Qwen2ForCausalLM, Qwen2ForTokenClassification, "
           "Qwen2ForSequenceClassification, Qwen2ForProcessRewardModel, Qwen2ForRewardModel, "
           "Qwen2ForPrmModel, Qwen3ForCausalLM, Qwen3ForSequenceClassification, Phi3ForCausalLM";
}

int family_count(void) {
    return (int)ARRAY_LEN(families);
}

static bool is_needed(const struct model_config *c, enum need need) {
    switch (need) {
    case ALWAYS:
        return true;
    case QKV_BIAS:
        return c->qkv_bias;
    case QK_NORM:
        return c->qk_norm;
    case UNTIED:
        return c->head == MODEL_HEAD_LM && !c->tied_embeddings;
    case CLASS:
    case CLASS_MAYBE:
        return c->head == MODEL_HEAD_CLASS || c->head == MODEL_HEAD_SEQUENCE;
    case MLP:
        return c->head == MODEL_HEAD_MLP;
    case VALUE:
    case VALUE_MAYBE:
        return c->head == MODEL_HEAD_VALUE;
    case FACTORS:
        return c->rope.kind == ROPE_FACTORS;
    }
    return false;
}

int64_t family_length(const struct model_config *c, char letter) {
    switch (letter) {
    case 'D':
        return c->d_model;
    case 'Q':
        return (int64_t)c->n_heads * c->head_width;
    case 'K':
        return (int64_t)c->n_kv_heads * c->head_width;
    case 'W':
        return c->head_width;
    case 'F':
        return c->d_ffn;
    case 'P':
        return c->head_width / 2;
    case 'V':
        return c->n_vocab;
    }
    ASSERT(letter == 'C');
    return c->n_head_outputs;
}

bool family_ignores(const struct model_config *c, const char *name) {
    struct str s = str_from(name);
    if (str_ends(s, STR(".rotary_emb.inv_freq"))) return true;
    if (c->rope.kind == ROPE_LONGROPE && str_starts(s, STR("rope_factors_"))) return true;
    return strcmp(name, "lm_head.weight") == 0 && (c->tied_embeddings || c->head != MODEL_HEAD_LM);
}

static bool check_row(const struct model *m, const struct row *r, const char *name, struct err *e) {
    int64_t shape[4];
    int n_dims = (int)strlen(r->shape);
    for (int i = 0; i < n_dims; i++) shape[i] = family_length(&m->config, r->shape[i]);
    if ((r->need == CLASS_MAYBE || r->need == VALUE_MAYBE) && !model_tensor(m, name)) return true;
    const struct tensor *t = model_want_tensor(m, name, n_dims, shape, e);
    if (!t || n_dims > 1 || dtype_block(t->dtype) == 1) return t != NULL;
    return err_set(e, ERR_INPUT, "%s: tensor %s is of type %s; such vectors are F32, F16 or BF16", m->path,
                   name, dtype_name(t->dtype));
}

/* Every tensor that the tables ask for. */
static bool check_wanted(const struct model *m, struct err *e) {
    char name[128];
    for (size_t i = 0; i < ARRAY_LEN(other_rows); i++) {
        const struct row *r = &other_rows[i];
        if (is_needed(&m->config, r->need) && !check_row(m, r, r->name, e)) return false;
    }
    for (int l = 0; l < m->config.n_layers; l++) {
        for (size_t i = 0; i < ARRAY_LEN(layer_rows); i++) {
            const struct row *r = &layer_rows[i];
            snprintf(name, sizeof name, "model.layers.%d.%s", l, r->name);
            if (is_needed(&m->config, r->need) && !check_row(m, r, name, e)) return false;
        }
    }
    return true;
}

static bool is_wanted(const struct model_config *c, const char *name) {
    static const char layers[] = "model.layers.";
    const struct row *rows = other_rows;
    size_t n_rows = ARRAY_LEN(other_rows);
    if (strncmp(name, layers, sizeof layers - 1) == 0) {
        const char *number = name + sizeof layers - 1;
        char *end;
        long l = strtol(number, &end, 10);
        bool canonical = number[0] >= '0' && number[0] <= '9' && (number[0] != '0' || end == number + 1);
        if (!canonical || l >= c->n_layers || *end != '.') return false;
        name = end + 1;
        rows = layer_rows;
        n_rows = ARRAY_LEN(layer_rows);
    }
    for (size_t i = 0; i < n_rows; i++) {
        if (strcmp(rows[i].name, name) == 0) return is_needed(c, rows[i].need);
    }
    return false;
}

bool family_check_tensors(const struct model *m, struct err *e) {
    if (!check_wanted(m, e)) return false;
    for (int i = 0; i < m->n_tensors; i++) {
        const char *name = m->tensors[i].name;
        if (is_wanted(&m->config, name) || family_ignores(&m->config, name)) continue;
        return err_set(
            e, ERR_INPUT,
            "%s: tensor %.200s is not part of a %s model of %d layers; is its configuration that of another?",
            m->path, name, m->config.family, m->config.n_layers);
    }
    return true;
}
