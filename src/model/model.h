/* model.h - a model as it lies on disk: configuration, tensors, tokenizer, chat format, step-reading profile.
 *
 * model_open reads a Hugging Face folder (config.json, generation_config.json, tokenizer.json,
 * tokenizer_config.json, *.safetensors) or a GGUF file, which brings all of that itself: the file, the first
 * of a split set, or a folder with one of these. Tensors stay mapped from the file; the engine repacks what
 * it needs and the mapping may then be dropped by model_drop_tensors. Anything that is not understood is
 * refused by name, with what would work: a model that loads is computed right.
 *
 * A family is one row in a table (family.c); a file format is one file that fills the same structs. Tensors
 * have their Hugging Face names whatever file they came from.
 *
 * Ownership: a model owns everything reachable from it. Threads: read-only after model_open.
 */
#ifndef BROOD_MODEL_H
#define BROOD_MODEL_H

#include "base/err.h"
#include "kernels/kernels.h"
#include "model/tokenizer.h"
#include "model/chat.h"
#include "model/prm_profile.h"

enum model_head {
    MODEL_HEAD_LM,       /* lm_head or tied embeddings: n_vocab outputs                    */
    MODEL_HEAD_CLASS,    /* score.weight (+ bias): n_classes outputs for every token */
    MODEL_HEAD_SEQUENCE, /* the same, read at the end of a whole conversation */
    MODEL_HEAD_MLP,      /* score.0, ReLU, score.2, both with bias: n_classes outputs */
    MODEL_HEAD_VALUE,    /* v_head.summary (+ bias): one output */
};

enum rope_kind {
    ROPE_DEFAULT,
    ROPE_LINEAR,
    ROPE_LLAMA3,
    ROPE_YARN,
    ROPE_LONGROPE, /* up to the original length: each frequency is divided by its short factor */
    ROPE_FACTORS,  /* each frequency is divided by its number in tensor rope_freqs.weight: llama3, in GGUF */
};

enum { ROPE_SHORT_FACTORS_MAX = 256 };

struct model_config {
    const char *family; /* "llama", ... : a static name from the table */
    int n_layers, d_model, n_heads, n_kv_heads, head_width, d_ffn, n_vocab;
    int n_context; /* max_position_embeddings, or the attention window where that is shorter */
    int n_window;  /* the window that ended the context; 0: none did */
    float norm_eps;
    bool tied_embeddings;
    bool qkv_bias;
    bool qk_norm;
    bool is_fused;   /* in the file: family.h */
    int n_unrotated; /* of the head width, at its end: those that no position rotates */
    struct {
        enum rope_kind kind;
        double theta, factor, low_freq_factor, high_freq_factor, attention_factor, beta_fast, beta_slow;
        bool is_truncated; /* yarn: the bounds of its ramp are whole numbers */
        int n_context_original;
        float short_factors[ROPE_SHORT_FACTORS_MAX]; /* [n_rotated / 2]: ROPE_LONGROPE */
    } rope;
    enum model_head head;
    int n_head_outputs; /* n_vocab or n_classes */
};

struct tensor {
    const char *name;
    enum dtype dtype;
    int n_dims;
    int64_t shape[4]; /* row-major; blocks run along rows */
    const void *data; /* mapped, unaligned */
    size_t n_bytes;
    bool rounds_inputs; /* to be held as BF16 and multiplied with inputs rounded to BF16 (quantise.h) */
    int paired; /* 0, or the head width W where a file keeps the rows of each head in pairs (llama in GGUF):
                   its row 2i + j of a head is row i + j W/2. tensor_row undoes it */
    int head_width,
        n_rotated; /* 0, or rows of heads of which only the first n_rotated are rotated: tensor_row
       puts these where pairs are sought, half a head apart, and the others between and behind */
};

struct model_sampling { /* generation_config.json's recommendation */
    float temperature, top_p, min_p;
    int top_k;
};

struct model {
    char *path;
    struct model_config config;
    struct tokenizer *tokenizer;
    struct chat_format *chat;
    struct prm_profile prm; /* .kind PRM_NONE unless the model scores steps */
    struct model_sampling sampling;
    int *end_tokens; /* ids that end an answer (eos_token_id of the generation configuration, else of
                        config.json) */
    int n_end_tokens;
    struct tensor *tensors; /* sorted by name */
    int n_tensors;
    uint64_t content_hash; /* over the bytes of config, tokenizer and weights files' headers, sizes and
                              sampled content: names the model in a store */
    void *mappings;
};

/* Whether model_open is what a path wants: a folder, or a GGUF file by its name or its first bytes. */
bool model_is_path(const char *path);

MUST struct model *model_open(const char *path, struct err *e);
/* The same with a chat format of this name (chat_names), whatever the model's template says; NULL: as
 * model_open. */
MUST struct model *model_open_chat(const char *path, const char *chat, struct err *e);
void model_close(struct model *m);
void model_drop_tensors(
    struct model *m); /* unmaps the weights; tensors keep their names and shapes, data become NULL */

/* Rows [first, first + n) of a tensor have been read for good: their pages may leave memory. */
void model_rows_used(const struct model *m, const struct tensor *t, int64_t first, int64_t n);

const struct tensor *model_tensor(const struct model *m, const char *name); /* NULL if absent */
/* The tensor with this name and exactly this shape (n_dims numbers), or an error that names what was found.
 */
MUST const struct tensor *model_want_tensor(const struct model *m, const char *name, int n_dims,
                                            const int64_t *shape, struct err *e);

/* The bytes of row i (of a tensor of one dimension: of element i), in Hugging Face's order. */
const void *tensor_row(const struct tensor *t, int64_t i);
size_t tensor_row_bytes(const struct tensor *t);
int64_t tensor_elements(const struct tensor *t);

bool model_is_end(const struct model *m, int token);
int64_t model_parameters(const struct model *m); /* all, tied ones once */
int64_t
model_parameters_computed(const struct model *m); /* those of every token: without embeddings and head */
/* Floating-point operations for one token at a context of n_context tokens: 2 per computed parameter, plus 4
 * * L * H * W * n_context for attention, plus 2 * D for each of the n_outputs head outputs that are computed
 * (0 when only reading). */
double model_flops_per_token(const struct model_config *c, double n_context, int64_t n_outputs);

#endif
