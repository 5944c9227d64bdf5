/* quantise.h - a model's weights in blocks of fewer bits, made once and kept on disk; or as BF16.
 *
 * Matrices of F32, F16 or BF16 become the type that is asked for, by GGUF's reference rule (kernels.h,
 * dtype_from_f32), so that the model computes the same bits as a GGUF file quantised by that rule. Embeddings
 * and a language model's head get 8 bits where the type has fewer (they are a quarter of a small model's
 * work, and the most sensitive); what has rows that are no whole blocks, vectors and the head of a reward
 * model stay as they are.
 *
 *     $XDG_CACHE_HOME/brood/weights (~/.cache/brood/weights) / KEY-q8_0.gguf
 *
 * A cached file is a GGUF container that holds the tensors under their Hugging Face names, and its key. It
 * is written beside its place under a lock, synced and renamed: readers see none or the whole; two processes
 * make it once. What cannot be parsed, has another version or key, or not the tensors expected is made again.
 *
 * KEY is a hash of the model's content hash (names, shapes, types, configuration, and 16 KiB of each tensor),
 * of its files' identities (device, inode, size, time of the last change) and of the rule's version. Not of
 * every byte: to read them all would take as long as to quantise them. A file that is written to in place
 * changes its times, one that is replaced its inode, so a stale key would need the same size, the same
 * sampled bytes and a clock set back. A copy of a model elsewhere is quantised again.
 *
 * bf16: the same matrices, embeddings and head too, are rounded to BF16 whenever the model is loaded (where
 * they are BF16 they stay), and the inputs of their products are rounded to BF16, too, as others run such
 * models; sums stay F32. Nothing is kept on disk: rounding takes no longer than reading. kernels.h has the
 * rule.
 *
 * Threads: quantise_watch is global and set once at the start; all else as model.h.
 */
#ifndef BROOD_QUANTISE_H
#define BROOD_QUANTISE_H

#include "model/model.h"

enum { QUANTISE_VERSION = 1 };

/* "bf16", "q8_0", "q4_0", "q4_1", "q5_0" or "q5_1", in any case. */
MUST bool quantise_parse(const char *name, enum dtype *out, struct err *e);

/* Replaces the tensors of an opened model and its content hash. A model that has such matrices of another
 * coded type already is refused; one that has this type already stays as it is. */
MUST bool quantise_model(struct model *m, enum dtype type, int n_threads, struct err *e);

/* Likewise by name; NULL and "file" leave the model as it is. */
MUST bool quantise_named(struct model *m, const char *name, int n_threads, struct err *e);

/* Told now and then while a model is quantised, done from 0 to 1; NULL: nobody. */
typedef void quantise_told(void *ctx, const char *path, double done);
void quantise_watch(quantise_told *told, void *ctx);

#endif
