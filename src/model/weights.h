/* weights.h - the tensors of a checkpoint, whatever file format they came from.
 *
 * A reader (safetensors.c) maps its files, adds one entry a tensor, and calls weights_finish. Offsets and
 * sizes are the reader's to check; names are checked here.
 *
 * Ownership: owns the mappings and the names; the tensors' data point into the mappings.
 */
#ifndef BROOD_WEIGHTS_H
#define BROOD_WEIGHTS_H

#include "base/err.h"
#include "base/file.h"
#include "model/model.h"

struct weights {
    struct tensor *tensors; /* sorted by name after weights_finish */
    size_t n_tensors, cap_tensors;
    struct file_map *maps;
    size_t n_maps, cap_maps;
};

enum { WEIGHTS_TENSORS_MAX = 1 << 20, WEIGHTS_NAME_MAX = 512 };

/* Bytes of a shape whose elements are not in blocks: false if negative or over what fits a size_t. */
bool weights_count(const int64_t *shape, int n_dims, enum dtype t, size_t *n_bytes);

void weights_add(struct weights *w, const struct tensor *t);  /* the name is copied */
void weights_add_map(struct weights *w, struct file_map map); /* takes the mapping */

/* Sorts by name and refuses a name that occurs twice. */
MUST bool weights_finish(struct weights *w, const char *where, struct err *e);

const struct tensor *weights_find(const struct tensor *sorted, size_t n,
                                  const char *name);                          /* NULL if absent */
void weights_used(const struct weights *w, const void *data, size_t n_bytes); /* as file_map_used */
void weights_unmap(struct weights *w);                                        /* data become NULL */
void weights_fini(struct weights *w);

#endif
