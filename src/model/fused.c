#include "model/fused.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/family.h"

enum { PARTS_MAX = 3 };

static const struct {
    const char *name, *parts[PARTS_MAX];
    const char *rows; /* a shape letter (family.h) a part */
} fused_names[] = {
    {"self_attn.qkv_proj", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}, "QKK"},
    {"mlp.gate_up_proj", {"mlp.gate_proj", "mlp.up_proj"}, "FF"},
};

static bool add_parts(struct weights *w, const struct model_config *c, size_t k, struct str prefix,
                      struct str suffix, const struct tensor *t) {
    const char *rows = fused_names[k].rows;
    const unsigned char *data = t->data;
    int64_t n_rows = 0;
    for (const char *r = rows; *r; r++) n_rows += family_length(c, *r);
    if (t->n_dims < 1 || t->n_dims > 2 || t->shape[0] != n_rows) return false;
    if (t->n_dims == 1 && dtype_block(t->dtype) > 1) return false;
    for (size_t i = 0; rows[i]; i++) {
        char name[WEIGHTS_NAME_MAX + 1];
        struct tensor part = *t;
        part.name = name;
        part.shape[0] = family_length(c, rows[i]);
        part.data = data;
        part.n_bytes = (size_t)part.shape[0] * tensor_row_bytes(t);
        data += part.n_bytes;
        snprintf(name, sizeof name, "%.*s%s%.*s", (int)prefix.len, prefix.ptr, fused_names[k].parts[i],
                 (int)suffix.len, suffix.ptr);
        weights_add(w, &part);
    }
    return true;
}

bool fused_add(struct weights *w, const struct model_config *c, const char *fused, struct str prefix,
               struct str suffix, const struct tensor *t) {
    for (size_t k = 0; k < ARRAY_LEN(fused_names); k++)
        if (strcmp(fused_names[k].name, fused) == 0) return add_parts(w, c, k, prefix, suffix, t);
    return false;
}

/* Where the name of a fused tensor stands in t's: "model.layers.3." "mlp.gate_up_proj" ".weight"; -1:
 * nowhere. */
static ptrdiff_t find_fused(const struct tensor *t, size_t *k) {
    for (*k = 0; *k < ARRAY_LEN(fused_names); ++*k) {
        const ptrdiff_t at = str_find(str_from(t->name), str_from(fused_names[*k].name));
        if (at >= 0) return at;
    }
    return -1;
}

static bool split_one(struct weights *w, const struct model_config *c, const struct tensor *t, bool *is_split,
                      const char *where, struct err *e) {
    size_t k;
    const ptrdiff_t at = find_fused(t, &k);
    *is_split = at >= 0;
    if (at < 0) return true;
    const struct str name = str_from(t->name);
    const size_t end = (size_t)at + strlen(fused_names[k].name);
    int64_t n_rows = 0;
    if (add_parts(w, c, k, (struct str){name.ptr, (size_t)at}, (struct str){name.ptr + end, name.len - end},
                  t))
        return true;
    for (const char *r = fused_names[k].rows; *r; r++) n_rows += family_length(c, *r);
    return err_set(e, ERR_INPUT, "%s: tensor %s has %lld rows, but the configuration makes it %lld", where,
                   t->name, t->n_dims ? (long long)t->shape[0] : 0, (long long)n_rows);
}

bool fused_split(struct weights *w, const struct model_config *c, const char *where, struct err *e) {
    size_t n_kept = 0;
    const size_t n_whole = w->n_tensors;
    for (size_t i = 0; i < n_whole; i++) {
        const struct tensor t = w->tensors[i];
        bool is_split;
        if (!split_one(w, c, &t, &is_split, where, e)) return false;
        if (is_split) continue;
        w->tensors[i] = w->tensors[n_kept];
        w->tensors[n_kept++] = t;
    }
    for (size_t i = n_kept; i < n_whole; i++) free((char *)w->tensors[i].name);
    memmove(w->tensors + n_kept, w->tensors + n_whole, (w->n_tensors - n_whole) * sizeof *w->tensors);
    w->n_tensors -= n_whole - n_kept;
    return weights_finish(w, where, e);
}
