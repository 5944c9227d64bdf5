#include "model/weights.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool weights_count(const int64_t *shape, int n_dims, enum dtype t, size_t *n_bytes) {
    size_t n = dtype_bytes(t);
    for (int i = 0; i < n_dims; i++) {
        if (shape[i] < 0 || __builtin_mul_overflow(n, (size_t)shape[i], &n)) return false;
    }
    *n_bytes = n;
    return n <= SIZE_MAX / 2;
}

void weights_add(struct weights *w, const struct tensor *t) {
    MEM_GROW(w->tensors, w->cap_tensors, w->n_tensors + 1);
    w->tensors[w->n_tensors] = *t;
    w->tensors[w->n_tensors++].name = mem_strdup(t->name);
}

void weights_add_map(struct weights *w, struct file_map map) {
    MEM_GROW(w->maps, w->cap_maps, w->n_maps + 1);
    w->maps[w->n_maps++] = map;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

bool weights_finish(struct weights *w, const char *where, struct err *e) {
    if (w->n_tensors) qsort(w->tensors, w->n_tensors, sizeof *w->tensors, compare_names);
    for (size_t i = 1; i < w->n_tensors; i++) {
        if (strcmp(w->tensors[i - 1].name, w->tensors[i].name) == 0)
            return err_set(e, ERR_INPUT, "%s: tensor %s is there twice; download the model again", where,
                           w->tensors[i].name);
    }
    return true;
}

const struct tensor *weights_find(const struct tensor *sorted, size_t n, const char *name) {
    const struct tensor key = {.name = name};
    return n ? bsearch(&key, sorted, n, sizeof *sorted, compare_names) : NULL;
}

void weights_used(const struct weights *w, const void *data, size_t n_bytes) {
    const unsigned char *at = data;
    for (size_t i = 0; w && i < w->n_maps; i++) {
        const struct file_map *m = &w->maps[i];
        if (at >= m->ptr && at < m->ptr + m->n_bytes) file_map_used(m, data, n_bytes);
    }
}

void weights_unmap(struct weights *w) {
    for (size_t i = 0; i < w->n_tensors; i++) w->tensors[i].data = NULL;
    for (size_t i = 0; i < w->n_maps; i++) file_unmap(&w->maps[i]);
    w->n_maps = 0;
}

void weights_fini(struct weights *w) {
    weights_unmap(w);
    for (size_t i = 0; i < w->n_tensors; i++) free((char *)w->tensors[i].name);
    free(w->tensors);
    free(w->maps);
    *w = (struct weights){0};
}
