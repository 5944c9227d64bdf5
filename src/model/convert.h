/* convert.h - a folder's PyTorch weights (pytorch_model.bin, or the files that pytorch_model.bin.index.json
 * lists) as one model.safetensors beside them.
 *
 * The new file appears whole or not at all; what was there under its name is not touched before. The tensors
 * of value heads, which some publishers keep under "pretrained_model.", lose that prefix.
 */
#ifndef BROOD_CONVERT_H
#define BROOD_CONVERT_H

#include "base/err.h"

struct convert_told {
    int n_tensors, n_files;
    double n_bytes;
};

/* out: the file to write; NULL: DIR/model.safetensors. */
MUST bool convert_folder(const char *dir, const char *out, struct convert_told *told, struct err *e);

#endif
