/* safetensors.h - the safetensors container, one file or sharded by an index.
 *
 *     u64 N, little-endian | N bytes of JSON, padded with spaces | bytes of the tensors
 *     {"name": {"dtype": "BF16", "shape": [r, c], "data_offsets": [begin, end]}, ..., "__metadata__": {...}}
 *
 * Offsets count from the end of the header; tensors are row-major, little-endian, unaligned, and together
 * cover the bytes without hole or overlap. F32, F16 and BF16 are read; other types are refused by name.
 * Everything in the header is checked before the first byte of a tensor is touched: a hostile file costs one
 * line.
 */
#ifndef BROOD_SAFETENSORS_H
#define BROOD_SAFETENSORS_H

#include "model/weights.h"

#define SAFETENSORS_HEADER_MAX ((size_t)16 << 20)

/* Maps dir/model.safetensors, or the files that dir/model.safetensors.index.json lists. On failure *out is
 * empty. */
MUST bool safetensors_open(const char *dir, struct weights *out, struct err *e);

/* Adds the tensors of one file's bytes, which must outlive *out. */
MUST bool safetensors_parse(const unsigned char *bytes, size_t n_bytes, const char *where,
                            struct weights *out, struct err *e);

#endif
