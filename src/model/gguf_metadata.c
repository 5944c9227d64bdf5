/* gguf_metadata.c - asking a GGUF file's metadata, with types checked. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/gguf.h"

static const char *const type_names[GGUF_TYPES] = {
    "a small integer", "a small integer", "an integer", "an integer", "an integer", "an integer", "a number",
    "a truth value",   "a text",          "an array",   "an integer", "an integer", "a number"};

const struct gguf_entry *gguf_find(const struct gguf *g, const char *key) {
    size_t low = 0, high = g->n_entries;
    struct str wanted = str_from(key);
    while (low < high) {
        size_t middle = (low + high) / 2;
        struct str found = g->entries[middle].key;
        int order = memcmp(found.ptr, wanted.ptr, MIN(found.len, wanted.len));
        if (order == 0 && found.len == wanted.len) return &g->entries[middle];
        if (order < 0 || (order == 0 && found.len < wanted.len))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool refuse_type(const struct gguf *g, const char *key, const struct gguf_entry *found,
                        const char *wanted, struct err *e) {
    return err_set(e, ERR_INPUT, "%s: metadata %s is %s%s, not %s", g->where, key,
                   found->is_array ? "an array of which each is " : "", type_names[found->type], wanted);
}

static uint64_t bits_at(const unsigned char *p, size_t n_bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < n_bytes; i++) value |= (uint64_t)p[i] << (8 * i);
    return value;
}

/* Item i as an integer; false if the type is none, or the number is over what an int64_t holds. */
static bool int_at(const struct gguf_entry *x, size_t i, int64_t *out) {
    uint64_t bits;
    switch (x->type) {
    case GGUF_U8:
        *out = x->value[i];
        return true;
    case GGUF_I8:
        *out = (int8_t)x->value[i];
        return true;
    case GGUF_U16:
        *out = (uint16_t)bits_at(x->value + 2 * i, 2);
        return true;
    case GGUF_I16:
        *out = (int16_t)bits_at(x->value + 2 * i, 2);
        return true;
    case GGUF_U32:
        *out = (uint32_t)bits_at(x->value + 4 * i, 4);
        return true;
    case GGUF_I32:
        *out = (int32_t)bits_at(x->value + 4 * i, 4);
        return true;
    case GGUF_I64:
        *out = (int64_t)bits_at(x->value + 8 * i, 8);
        return true;
    case GGUF_U64:
        bits = bits_at(x->value + 8 * i, 8);
        *out = (int64_t)bits;
        return bits <= INT64_MAX;
    default:
        return false;
    }
}

static float float_at(const unsigned char *p) {
    uint32_t bits = (uint32_t)bits_at(p, 4);
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

bool gguf_get_int(const struct gguf *g, const char *key, int64_t def, int64_t min, int64_t max, int64_t *out,
                  struct err *e) {
    const struct gguf_entry *x = gguf_find(g, key);
    *out = def;
    if (!x) return true;
    if (x->is_array && x->n == 0) return err_set(e, ERR_INPUT, "%s: metadata %s is empty", g->where, key);
    if (!int_at(x, 0, out)) return refuse_type(g, key, x, "an integer", e);
    for (size_t i = 1; x->is_array && i < x->n; i++) {
        int64_t other;
        if (!int_at(x, i, &other) || other != *out)
            return err_set(e, ERR_INPUT, "%s: metadata %s differs between layers, which is not supported",
                           g->where, key);
    }
    return (*out >= min && *out <= max) ||
           err_set(e, ERR_INPUT, "%s: metadata %s is %lld, not from %lld to %lld", g->where, key,
                   (long long)*out, (long long)min, (long long)max);
}

bool gguf_want_int(const struct gguf *g, const char *key, int64_t min, int64_t max, int64_t *out,
                   struct err *e) {
    if (!gguf_find(g, key)) return err_set(e, ERR_INPUT, "%s: metadata %s is missing", g->where, key);
    return gguf_get_int(g, key, 0, min, max, out, e);
}

bool gguf_get_real(const struct gguf *g, const char *key, double def, double *out, struct err *e) {
    const struct gguf_entry *x = gguf_find(g, key);
    int64_t whole;
    *out = def;
    if (!x) return true;
    if (x->is_array) return refuse_type(g, key, x, "a number", e);
    if (x->type == GGUF_F32) {
        *out = (double)float_at(x->value);
    } else if (x->type == GGUF_F64) {
        uint64_t bits = bits_at(x->value, 8);
        memcpy(out, &bits, sizeof *out);
    } else if (int_at(x, 0, &whole)) {
        *out = (double)whole;
    } else {
        return refuse_type(g, key, x, "a number", e);
    }
    return isfinite(*out) || err_set(e, ERR_INPUT, "%s: metadata %s is not finite", g->where, key);
}

bool gguf_get_bool(const struct gguf *g, const char *key, int def, int *out, struct err *e) {
    const struct gguf_entry *x = gguf_find(g, key);
    *out = def;
    if (!x) return true;
    if (x->is_array || x->type != GGUF_BOOL) return refuse_type(g, key, x, "a truth value", e);
    *out = x->value[0] != 0;
    return true;
}

bool gguf_get_string(const struct gguf *g, const char *key, struct str *out, struct err *e) {
    const struct gguf_entry *x = gguf_find(g, key);
    *out = STR("");
    if (!x) return true;
    if (x->is_array || x->type != GGUF_STRING) return refuse_type(g, key, x, "a text", e);
    *out = (struct str){(const char *)x->value + 8, (size_t)bits_at(x->value, 8)};
    return true;
}

/* ---- arrays; their bytes were measured when the file was parsed ---- */

static const struct gguf_entry *find_array(const struct gguf *g, const char *key, bool *wrong,
                                           struct err *e) {
    const struct gguf_entry *x = gguf_find(g, key);
    *wrong = x && !x->is_array;
    if (*wrong) err_set(e, ERR_INPUT, "%s: metadata %s is no array", g->where, key);
    return x;
}

bool gguf_get_strings(const struct gguf *g, const char *key, struct str **out, size_t *n, struct err *e) {
    bool wrong;
    const struct gguf_entry *x = find_array(g, key, &wrong, e);
    *out = NULL;
    *n = 0;
    if (!x || wrong) return !wrong;
    if (x->type != GGUF_STRING) return refuse_type(g, key, x, "a text", e);
    *n = (size_t)x->n;
    *out = mem_zalloc(*n + 1, sizeof **out);
    const unsigned char *at = x->value;
    for (size_t i = 0; i < *n; i++) {
        (*out)[i] = (struct str){(const char *)at + 8, (size_t)bits_at(at, 8)};
        at += 8 + (*out)[i].len;
    }
    return true;
}

bool gguf_get_floats(const struct gguf *g, const char *key, float **out, size_t *n, struct err *e) {
    bool wrong;
    const struct gguf_entry *x = find_array(g, key, &wrong, e);
    *out = NULL;
    *n = 0;
    if (!x || wrong) return !wrong;
    if (x->type != GGUF_F32) return refuse_type(g, key, x, "a number of 32 bits", e);
    *n = (size_t)x->n;
    *out = mem_zalloc(*n + 1, sizeof **out);
    for (size_t i = 0; i < *n; i++) (*out)[i] = float_at(x->value + 4 * i);
    return true;
}

bool gguf_get_ints(const struct gguf *g, const char *key, int64_t **out, size_t *n, struct err *e) {
    bool wrong;
    const struct gguf_entry *x = find_array(g, key, &wrong, e);
    *out = NULL;
    *n = 0;
    if (!x || wrong) return !wrong;
    int64_t *items = mem_zalloc((size_t)x->n + 1, sizeof *items);
    for (size_t i = 0; i < x->n; i++) {
        if (int_at(x, i, &items[i])) continue;
        free(items);
        return refuse_type(g, key, x, "an integer", e);
    }
    *out = items;
    *n = (size_t)x->n;
    return true;
}
