#include "model/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { NAME_BYTES_MAX = 256, KEY_BYTES_MAX = 65535, ENTRY_BYTES_MIN = 13, TENSOR_BYTES_MIN = 32 };

/* ---- reading forward ---- */

struct reader {
    const unsigned char *bytes;
    size_t n, at;
    const char *where;
    struct err *e;
};

static bool refuse_cut(const struct reader *r, const char *what) {
    return err_set(r->e, ERR_INPUT, "%s: the file ends within %s: it is cut short, download it again",
                   r->where, what);
}

static uint64_t bits_at(const unsigned char *p, size_t n_bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < n_bytes; i++) value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static bool read_bits(struct reader *r, size_t n_bytes, uint64_t *out, const char *what) {
    *out = 0;
    if (r->n - r->at < n_bytes) return refuse_cut(r, what);
    *out = bits_at(r->bytes + r->at, n_bytes);
    r->at += n_bytes;
    return true;
}

static bool read_string(struct reader *r, struct str *out, const char *what) {
    uint64_t n;
    if (!read_bits(r, 8, &n, what)) return false;
    if (n > r->n - r->at)
        return err_set(r->e, ERR_INPUT,
                       "%s: %s of %llu bytes at byte %zu, where %zu are left: the file is damaged or cut "
                       "short, download it again",
                       r->where, what, (unsigned long long)n, r->at, r->n - r->at);
    *out = (struct str){(const char *)r->bytes + r->at, (size_t)n};
    r->at += (size_t)n;
    return true;
}

/* ---- metadata ---- */

static size_t scalar_bytes(enum gguf_type t) {
    static const unsigned char sizes[GGUF_TYPES] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
        [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};
    return sizes[t];
}

static bool read_type(struct reader *r, struct str key, enum gguf_type *out) {
    uint64_t type;
    if (!read_bits(r, 4, &type, "the metadata")) return false;
    if (type >= GGUF_TYPES)
        return err_set(r->e, ERR_INPUT, "%s: metadata %.*s has the unknown type %llu", r->where,
                       (int)MIN(key.len, 80u), key.ptr, (unsigned long long)type);
    *out = (enum gguf_type)type;
    return true;
}

static bool read_items(struct reader *r, struct gguf_entry *entry) {
    struct str text;
    size_t each = scalar_bytes(entry->type);
    if (entry->type == GGUF_STRING) {
        for (uint64_t i = 0; i < entry->n; i++) {
            if (!read_string(r, &text, "a text in the metadata")) return false;
        }
        return true;
    }
    if (entry->n > (r->n - r->at) / each) return refuse_cut(r, "the metadata");
    r->at += (size_t)entry->n * each;
    return true;
}

static bool read_entry(struct reader *r, struct gguf_entry *entry) {
    *entry = (struct gguf_entry){.n = 1};
    if (!read_string(r, &entry->key, "a key in the metadata")) return false;
    if (entry->key.len == 0 || entry->key.len > KEY_BYTES_MAX)
        return err_set(r->e, ERR_INPUT, "%s: a metadata key of %zu bytes", r->where, entry->key.len);
    if (!read_type(r, entry->key, &entry->type)) return false;
    if (entry->type == GGUF_ARRAY) {
        entry->is_array = true;
        if (!read_type(r, entry->key, &entry->type) || !read_bits(r, 8, &entry->n, "the metadata"))
            return false;
        if (entry->type == GGUF_ARRAY || entry->n > GGUF_ARRAY_MAX)
            return err_set(r->e, ERR_INPUT, "%s: metadata %.*s is %s", r->where,
                           (int)MIN(entry->key.len, 80u), entry->key.ptr,
                           entry->type == GGUF_ARRAY ? "an array of arrays" : "an array of over 16777216");
    }
    entry->value = r->bytes + r->at;
    return read_items(r, entry);
}

static int compare_strings(struct str a, struct str b) {
    int order = memcmp(a.ptr, b.ptr, MIN(a.len, b.len));
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_entries(const void *a, const void *b) {
    return compare_strings(((const struct gguf_entry *)a)->key, ((const struct gguf_entry *)b)->key);
}

static bool read_metadata(struct reader *r, struct gguf *g) {
    g->entries = mem_zalloc(g->n_entries + 1, sizeof *g->entries);
    for (size_t i = 0; i < g->n_entries; i++) {
        if (!read_entry(r, &g->entries[i])) return false;
    }
    qsort(g->entries, g->n_entries, sizeof *g->entries, compare_entries);
    for (size_t i = 1; i < g->n_entries; i++) {
        struct str key = g->entries[i].key;
        if (str_equal(g->entries[i - 1].key, key))
            return err_set(r->e, ERR_INPUT, "%s: metadata %.*s is there twice", r->where,
                           (int)MIN(key.len, 80u), key.ptr);
    }
    return true;
}

/* ---- tensors ---- */

static const struct {
    const char *name;
    bool read;
    enum dtype dtype;
} tensor_types[] = {
    [0] = {"F32", true, DTYPE_F32},    [1] = {"F16", true, DTYPE_F16},    [2] = {"Q4_0", true, DTYPE_Q4_0},
    [3] = {"Q4_1", true, DTYPE_Q4_1},  [6] = {"Q5_0", true, DTYPE_Q5_0},  [7] = {"Q5_1", true, DTYPE_Q5_1},
    [8] = {"Q8_0", true, DTYPE_Q8_0},  [12] = {"Q4_K", true, DTYPE_Q4_K}, [13] = {"Q5_K", true, DTYPE_Q5_K},
    [14] = {"Q6_K", true, DTYPE_Q6_K}, [30] = {"BF16", true, DTYPE_BF16}, [4] = {"Q4_2", false, 0},
    [5] = {"Q4_3", false, 0},          [9] = {"Q8_1", false, 0},          [10] = {"Q2_K", false, 0},
    [11] = {"Q3_K", false, 0},         [15] = {"Q8_K", false, 0},         [16] = {"IQ2_XXS", false, 0},
    [17] = {"IQ2_XS", false, 0},       [18] = {"IQ3_XXS", false, 0},      [19] = {"IQ1_S", false, 0},
    [20] = {"IQ4_NL", false, 0},       [21] = {"IQ3_S", false, 0},        [22] = {"IQ2_S", false, 0},
    [23] = {"IQ4_XS", false, 0},       [24] = {"I8", false, 0},           [25] = {"I16", false, 0},
    [26] = {"I32", false, 0},          [27] = {"I64", false, 0},          [28] = {"F64", false, 0},
    [29] = {"IQ1_M", false, 0},        [31] = {"Q4_0_4_4", false, 0},     [32] = {"Q4_0_4_8", false, 0},
    [33] = {"Q4_0_8_8", false, 0},     [34] = {"TQ1_0", false, 0},        [35] = {"TQ2_0", false, 0},
    [39] = {"MXFP4", false, 0},
};

static bool refuse_tensor_type(const struct reader *r, struct str name, uint64_t type) {
    const char *known = type < ARRAY_LEN(tensor_types) ? tensor_types[type].name : NULL;
    char number[32];
    snprintf(number, sizeof number, "number %llu", (unsigned long long)type);
    return err_set(
        r->e, ERR_INPUT,
        "%s: tensor %.*s has type %s; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and "
        "Q6_K are read: take a file of one of these (Q8_0, Q4_K_M, ...)",
        r->where, (int)name.len, name.ptr, known ? known : number);
}

/* dims come elements of a row first; ours come last. */
static bool read_shape(struct reader *r, struct str name, struct tensor *t) {
    uint64_t n_dims, dim, n = 1;
    if (!read_bits(r, 4, &n_dims, "the list of tensors")) return false;
    if (n_dims < 1 || n_dims > ARRAY_LEN(t->shape))
        return err_set(r->e, ERR_INPUT, "%s: tensor %.*s has %llu dimensions, not 1 to 4", r->where,
                       (int)name.len, name.ptr, (unsigned long long)n_dims);
    t->n_dims = (int)n_dims;
    for (int i = t->n_dims - 1; i >= 0; i--) {
        if (!read_bits(r, 8, &dim, "the list of tensors")) return false;
        if (dim == 0 || __builtin_mul_overflow(n, dim, &n) || n > INT64_MAX / 8)
            return err_set(r->e, ERR_INPUT, "%s: tensor %.*s: sizes that no tensor can have", r->where,
                           (int)name.len, name.ptr);
        t->shape[i] = (int64_t)dim;
    }
    return true;
}

/* The offset is kept in data, to be resolved where the data begin. */
static bool read_tensor(struct reader *r, struct gguf_tensor *x, uint64_t *offset) {
    uint64_t type;
    if (!read_string(r, &x->name, "a tensor's name")) return false;
    if (x->name.len == 0 || x->name.len > NAME_BYTES_MAX || memchr(x->name.ptr, 0, x->name.len))
        return err_set(r->e, ERR_INPUT, "%s: a tensor's name of %zu bytes, or with a NUL in it", r->where,
                       x->name.len);
    if (!read_shape(r, x->name, &x->t) || !read_bits(r, 4, &type, "the list of tensors") ||
        !read_bits(r, 8, offset, "the list of tensors"))
        return false;
    if (type >= ARRAY_LEN(tensor_types) || !tensor_types[type].read)
        return refuse_tensor_type(r, x->name, type);
    x->t.dtype = tensor_types[type].dtype;
    int block = dtype_block(x->t.dtype);
    if (x->t.shape[x->t.n_dims - 1] % block)
        return err_set(r->e, ERR_INPUT, "%s: tensor %.*s: rows of %lld do not divide into %s blocks of %d",
                       r->where, (int)x->name.len, x->name.ptr, (long long)x->t.shape[x->t.n_dims - 1],
                       tensor_types[type].name, block);
    uint64_t n = 1;
    for (int i = 0; i < x->t.n_dims; i++) n *= (uint64_t)x->t.shape[i];
    x->t.n_bytes = (size_t)(n / (uint64_t)block) * dtype_block_bytes(x->t.dtype);
    return true;
}

static int compare_tensors(const void *a, const void *b) {
    return compare_strings(((const struct gguf_tensor *)a)->name, ((const struct gguf_tensor *)b)->name);
}

static int compare_places(const void *a, const void *b) {
    const struct gguf_tensor *const *x = a, *const *y = b;
    const unsigned char *p = (*x)->t.data, *q = (*y)->t.data;
    return (p > q) - (p < q);
}

static bool check_overlaps(const struct reader *r, const struct gguf *g) {
    const struct gguf_tensor **by_place = mem_zalloc(g->n_tensors + 1, sizeof *by_place);
    bool done = true;
    for (size_t i = 0; i < g->n_tensors; i++) by_place[i] = &g->tensors[i];
    qsort(by_place, g->n_tensors, sizeof *by_place, compare_places);
    for (size_t i = 1; done && i < g->n_tensors; i++) {
        const struct gguf_tensor *a = by_place[i - 1], *b = by_place[i];
        if ((size_t)((const unsigned char *)b->t.data - (const unsigned char *)a->t.data) < a->t.n_bytes)
            done = err_set(r->e, ERR_INPUT, "%s: tensors %.*s and %.*s lie over each other", r->where,
                           (int)a->name.len, a->name.ptr, (int)b->name.len, b->name.ptr);
    }
    free(by_place);
    return done;
}

static bool place_tensors(const struct reader *r, struct gguf *g, const uint64_t *offsets,
                          uint64_t alignment) {
    size_t first = r->at + (size_t)((alignment - r->at % alignment) % alignment);
    g->n_header_bytes = MIN(first, r->n);
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *x = &g->tensors[i];
        if (offsets[i] % alignment)
            return err_set(r->e, ERR_INPUT, "%s: tensor %.*s is at offset %llu, no multiple of %llu",
                           r->where, (int)x->name.len, x->name.ptr, (unsigned long long)offsets[i],
                           (unsigned long long)alignment);
        if (first > r->n || offsets[i] > r->n - first || x->t.n_bytes > r->n - first - (size_t)offsets[i])
            return err_set(
                r->e, ERR_INPUT,
                "%s: tensor %.*s (%zu bytes at offset %llu) ends beyond the file's %zu bytes of data: it "
                "is cut short, download it again",
                r->where, (int)x->name.len, x->name.ptr, x->t.n_bytes, (unsigned long long)offsets[i],
                first > r->n ? 0 : r->n - first);
        x->t.data = r->bytes + first + offsets[i];
    }
    if (!check_overlaps(r, g)) return false;
    qsort(g->tensors, g->n_tensors, sizeof *g->tensors, compare_tensors);
    for (size_t i = 1; i < g->n_tensors; i++) {
        struct str name = g->tensors[i].name;
        if (str_equal(g->tensors[i - 1].name, name))
            return err_set(r->e, ERR_INPUT, "%s: tensor %.*s is there twice", r->where, (int)name.len,
                           name.ptr);
    }
    return true;
}

static bool read_tensors(struct reader *r, struct gguf *g) {
    int64_t alignment;
    if (!gguf_get_int(g, "general.alignment", 32, 8, 1 << 20, &alignment, r->e)) return false;
    if (alignment % 8)
        return err_set(r->e, ERR_INPUT, "%s: general.alignment %lld is no multiple of 8", r->where,
                       (long long)alignment);
    uint64_t *offsets = mem_zalloc(g->n_tensors + 1, sizeof *offsets);
    g->tensors = mem_zalloc(g->n_tensors + 1, sizeof *g->tensors);
    bool done = true;
    for (size_t i = 0; done && i < g->n_tensors; i++) done = read_tensor(r, &g->tensors[i], &offsets[i]);
    done = done && place_tensors(r, g, offsets, (uint64_t)alignment);
    free(offsets);
    return done;
}

/* ---- the whole ---- */

static bool check_version(const struct reader *r, uint64_t version) {
    if (version == 2 || version == 3) return true;
    if (version == 0x02000000 || version == 0x03000000)
        return err_set(r->e, ERR_INPUT,
                       "%s: a big-endian GGUF file is not supported; take a little-endian one", r->where);
    return err_set(r->e, ERR_INPUT,
                   "%s: GGUF version %llu is not supported; 2 and 3 are: convert the model again", r->where,
                   (unsigned long long)version);
}

static bool check_count(const struct reader *r, uint64_t n, size_t max, size_t each, const char *what) {
    if (n > max)
        return err_set(r->e, ERR_INPUT, "%s: %llu %s are over the %zu allowed", r->where,
                       (unsigned long long)n, what, max);
    return n <= (r->n - r->at) / each || refuse_cut(r, what);
}

static bool read_all(struct reader *r, struct gguf *g) {
    static const char magic[4] = {'G', 'G', 'U', 'F'};
    uint64_t version, n_tensors, n_entries;
    if (!file_check_pointer((struct str){(const char *)r->bytes, r->n}, r->where, r->e)) return false;
    if (r->n < sizeof magic || memcmp(r->bytes, magic, sizeof magic) != 0)
        return err_set(r->e, ERR_INPUT, "%s: not a GGUF file, whatever its name: %s", r->where,
                       r->n == 0            ? "it is empty; download it again"
                       : r->bytes[0] == '<' ? "it is a web page; download the file itself"
                                            : "it begins with other bytes");
    r->at = sizeof magic;
    if (!read_bits(r, 4, &version, "its first bytes") || !check_version(r, version) ||
        !read_bits(r, 8, &n_tensors, "its first bytes") || !read_bits(r, 8, &n_entries, "its first bytes") ||
        !check_count(r, n_entries, GGUF_ENTRIES_MAX, ENTRY_BYTES_MIN, "metadata entries") ||
        !check_count(r, n_tensors, GGUF_TENSORS_MAX, TENSOR_BYTES_MIN, "tensors"))
        return false;
    g->n_entries = (size_t)n_entries;
    g->n_tensors = (size_t)n_tensors;
    return read_metadata(r, g) && read_tensors(r, g);
}

bool gguf_parse(const unsigned char *bytes, size_t n_bytes, const char *where, struct gguf *out,
                struct err *e) {
    struct reader r = {.bytes = bytes, .n = n_bytes, .where = where, .e = e};
    *out = (struct gguf){.where = where};
    if (read_all(&r, out)) return true;
    gguf_fini(out);
    return false;
}

void gguf_fini(struct gguf *g) {
    free(g->entries);
    free(g->tensors);
    *g = (struct gguf){0};
}
