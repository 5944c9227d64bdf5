/* gguf_model.h - a GGUF file, or a split set of them, into the parts of a model.
 *
 * What the metadata say becomes the same model_config as config.json's; tensors get their Hugging Face names.
 *
 *     blk.3.attn_q.weight -> model.layers.3.self_attn.q_proj.weight      output.weight -> lm_head.weight
 *
 * Two things differ from Hugging Face's files. Converters for the architecture "llama" order the rows of q
 * and k for a rotation of neighbours: such tensors are marked (tensor.paired) and tensor_row puts them back.
 * And llama3's RoPE scaling comes as a tensor of factors, rope_freqs.weight. Metadata of the architecture
 * that are not known are refused: they could change the computation.
 *
 * Ownership: owns its mappings until gguf_take_weights hands them on; what is borrowed from it lives as long
 * as they do.
 */
#ifndef BROOD_GGUF_MODEL_H
#define BROOD_GGUF_MODEL_H

#include "base/file.h"
#include "model/gguf.h"
#include "model/vocab.h"
#include "model/weights.h"

enum { GGUF_PARTS_MAX = 999 };

struct gguf_part {
    char *path;
    struct file_map map;
    struct gguf g;
};

struct gguf_model {
    struct gguf_part *parts; /* the first has the metadata */
    int n_parts;
};

/* Whether a folder is to be read as GGUF: it holds such files, and no Hugging Face weights beside
 * config.json. */
bool gguf_is_folder(const char *dir);

/* A file (the first of a split set), or a folder that holds one file or set. */
MUST bool gguf_model_open(const char *path, struct gguf_model *out, struct err *e);
void gguf_model_fini(struct gguf_model *m);

MUST bool gguf_read_config(const struct gguf_model *m, struct model_config *out, struct err *e);
MUST bool gguf_read_vocab(const struct gguf *g, struct vocab_source *out, struct err *e);
MUST bool gguf_read_sampling(const struct gguf *g, struct model_sampling *out, struct err *e);

/* Tensors under their new names, sorted; takes the mappings. */
MUST bool gguf_take_weights(struct gguf_model *m, const struct model_config *c, struct weights *out,
                            struct err *e);

#endif
