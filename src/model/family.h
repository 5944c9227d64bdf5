/* family.h - the model families: one row an architecture, one row a tensor.
 *
 * A row of the first table says what the name in config.json's "architectures" means; a row of the second,
 * which tensors a family has and their shapes. A new family that differs by these flags is one row; one that
 * computes differently needs the engine, too.
 *
 * Shape letters: D model width, Q heads x head width, K key-value heads x head width, W head width, P pairs
 * of a head, F feed-forward width, V vocabulary, C head outputs.
 */
#ifndef BROOD_FAMILY_H
#define BROOD_FAMILY_H

#include "base/err.h"
#include "model/model.h"

struct family {
    const char *architecture; /* "LlamaForCausalLM" */
    const char *name;         /* "llama" */
    enum model_head head;
    bool qkv_bias;
    bool qk_norm;
    bool is_fused; /* q, k and v are one tensor, gate and up another (fused.h) */
    int n_outputs; /* of its head, whatever config.json says; 0: as that says */
};

const struct family *family_find(const char *architecture); /* NULL if unknown */
const char *family_names(void);                             /* "A, B, ...": those that would work; static */
int family_count(void);

/* Sees that exactly the tensors of the family are there, each with its shape. Ones that older exports carry
 * along and nothing reads (inv_freq, a tied lm_head) are passed over. */
MUST bool family_check_tensors(const struct model *m, struct err *e);

/* The number behind a shape letter. */
int64_t family_length(const struct model_config *c, char letter);

/* A tensor that takes no part in the computation. */
bool family_ignores(const struct model_config *c, const char *name);

#endif
