/* pickle.h - the tensors of a PyTorch checkpoint (pytorch_model.bin), read without running anything.
 *
 * A checkpoint is a ZIP archive of data.pkl, a program for Python's pickle machine that builds a dictionary
 * of tensors, and one file of bytes for each storage. Pickle can call anything; this reader knows the
 * operations that build dictionaries, lists, tuples, texts and numbers, and exactly these names:
 * collections.OrderedDict, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter and the storages
 * of F32, F16 and BF16. Everything else is refused by its name. Tensors must lie contiguously; anything in
 * the dictionary that is no tensor is passed over.
 *
 * `brood convert` is the only user: models are opened from safetensors and GGUF.
 */
#ifndef BROOD_PICKLE_H
#define BROOD_PICKLE_H

#include "base/err.h"
#include "model/weights.h"

/* Adds the tensors of the checkpoint in `bytes` to *w; their data point into the bytes. */
MUST bool pickle_parse(const unsigned char *bytes, size_t n, const char *where, struct weights *w,
                       struct err *e);

#endif
