/* transformer.h - a Llama-family model's weights as the engine multiplies them.
 *
 * Binds tensors by their Hugging Face names, checks shapes, and repacks each matrix into panels
 * (kernels.h). What is read together is stacked:
 *
 *     qkv      q: H*W rows at 0    k: G*W at k_first    v: G*W at v_first     [qkv_width][D]
 *     gate_up  gate: F rows at 0   up: F at up_first                          [2 * up_first][D]
 *                                                (each block starts at a multiple of 16 rows)
 *
 * Matrices keep their type: elements are widened, with the same bits, at use; codes (Q8_0, Q4_K, ...) are
 * multiplied as they are (kernels.h); tensors that are to round their inputs become BF16. Stacked ones of
 * different types become F32, or a part each where one is coded. A weight that is no finite number is refused
 * by its tensor's name.
 *
 * RoPE: inverse frequencies in double, rounded to f32 as every implementation that trains does, angles and
 * their cosines and sines in double, stored as f32. default, linear (Chen et al. 2023), llama3 (Llama 3.1's
 * piecewise scaling, or its factors as a tensor) and yarn (Peng et al. 2023; its attention factor multiplies
 * cosines and sines, as in transformers).
 *
 * Ownership: everything is copied; the model's tensors may be dropped afterwards. Threads: read-only after
 * transformer_init.
 */
#ifndef BROOD_TRANSFORMER_H
#define BROOD_TRANSFORMER_H

#include "base/err.h"
#include "model/model.h"

enum { STACK_PARTS_MAX = 3 };
struct stack { /* outputs one after another; parts begin at panels first[i] */
    struct matrix parts[STACK_PARTS_MAX];
    int first[STACK_PARTS_MAX], n_parts, n_panels;
};

struct layer {
    float *norm_attend, *norm_ffn; /* [D] */
    float *qkv_bias;               /* [qkv_width], or NULL */
    float *q_norm, *k_norm;        /* [W], or NULL */
    struct stack qkv;              /* [qkv_width][D] */
    struct matrix o;               /* [D][H*W] */
    struct stack gate_up;          /* [2 * up_first][D] */
    struct matrix down;            /* [D][F] */
};

struct transformer {
    struct model_config config;
    int q_width, kv_width;           /* H*W, G*W */
    int k_first, v_first, qkv_width; /* columns of a qkv row */
    int up_first;                    /* columns of a gate_up row */
    struct layer *layers;            /* [L] */
    float *norm_final;               /* [D] */
    struct matrix head;              /* [n_head_outputs][D] */
    float *head_bias;                /* [n_head_outputs], or NULL */
    struct matrix head_in;           /* [D][D] before the head, with bias and ReLU; empty: none */
    float *head_in_bias;             /* [D] */
    struct matrix embed;             /* packed like the head, or empty if it is the head itself */
    float *rope_cos, *rope_sin;      /* [n_positions][W / 2] */
    int n_positions;
    size_t layer_bytes, layer_weights; /* of the matrices of one layer */
};

/* Positions up to n_positions will be computed. */
MUST bool transformer_init(struct transformer *t, const struct model *m, int n_positions, struct err *e);
void transformer_fini(struct transformer *t);

/* What transformer_init will take, for the same positions. */
size_t transformer_bytes(const struct model *m, int n_positions);

void transformer_embed(const struct transformer *t, int token, float *out); /* [D] */

static inline int transformer_padded(int n) {
    return (n + MATRIX_PANEL - 1) / MATRIX_PANEL * MATRIX_PANEL;
}

#endif
