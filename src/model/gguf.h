/* gguf.h - the GGUF container: metadata and tensors of one file's bytes, versions 2 and 3.
 *
 *     "GGUF" | u32 version | u64 n_tensors | u64 n_entries | entries | tensors | padding | data
 *     entry:  string key, u32 type, value          string: u64 n, n bytes
 *     tensor: string name, u32 n_dims, u64 dims[] (elements of a row first), u32 type, u64 offset in data
 *
 * Everything is little-endian and unaligned; data and each tensor start at multiples of general.alignment
 * (32). All of it is checked before the first byte of a tensor is touched, and nothing is copied: a hostile
 * file costs one line, and memory in proportion to its own size at most.
 *
 * Ownership: entries, names and data point into the bytes, which must outlive the struct.
 */
#ifndef BROOD_GGUF_H
#define BROOD_GGUF_H

#include "base/err.h"
#include "base/str.h"
#include "model/model.h"

enum { GGUF_ENTRIES_MAX = 1 << 16, GGUF_TENSORS_MAX = 1 << 16, GGUF_ARRAY_MAX = 1 << 24 };

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPES
};

struct gguf_entry {
    struct str key;
    enum gguf_type type; /* of the items, if it is an array */
    bool is_array;
    uint64_t n; /* items of an array */
    const unsigned char *value;
};

struct gguf_tensor {
    struct str name;
    struct tensor t; /* t.name is NULL; shape is [rows][elements of a row], as safetensors have it */
};

struct gguf {
    const char *where;          /* borrowed: the file's name, for messages */
    struct gguf_entry *entries; /* sorted by key */
    size_t n_entries;
    struct gguf_tensor *tensors; /* sorted by name */
    size_t n_tensors;
    size_t n_header_bytes; /* up to the data */
};

MUST bool gguf_parse(const unsigned char *bytes, size_t n_bytes, const char *where, struct gguf *out,
                     struct err *e);
void gguf_fini(struct gguf *g);

/* ---- metadata; a key that is absent gives the default, a wrong type is an error ---- */

const struct gguf_entry *gguf_find(const struct gguf *g, const char *key); /* NULL if absent */

/* Any integer type; for an array of equal numbers, their value (sizes may be given for each layer). */
MUST bool gguf_get_int(const struct gguf *g, const char *key, int64_t def, int64_t min, int64_t max,
                       int64_t *out, struct err *e);
MUST bool gguf_want_int(const struct gguf *g, const char *key, int64_t min, int64_t max, int64_t *out,
                        struct err *e);
MUST bool gguf_get_real(const struct gguf *g, const char *key, double def, double *out, struct err *e);
MUST bool gguf_get_bool(const struct gguf *g, const char *key, int def, int *out, struct err *e);
MUST bool gguf_get_string(const struct gguf *g, const char *key, struct str *out, struct err *e); /* empty */

/* Arrays of strings, of F32, of integers; NULL and 0 if absent. Owned by the caller; strings borrowed from
 * the bytes. */
MUST bool gguf_get_strings(const struct gguf *g, const char *key, struct str **out, size_t *n, struct err *e);
MUST bool gguf_get_floats(const struct gguf *g, const char *key, float **out, size_t *n, struct err *e);
MUST bool gguf_get_ints(const struct gguf *g, const char *key, int64_t **out, size_t *n, struct err *e);

#endif
