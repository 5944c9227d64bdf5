#include "model/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/locate.h"

enum { SHARDS_MAX = 4096 };
#define INDEX_BYTES_MAX ((size_t)64 << 20)

struct span {
    size_t begin, end;
    const char *name;
};

static bool parse_dtype(const char *text, enum dtype *out) {
    static const enum dtype known[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(text, dtype_name(known[i])) == 0) return *out = known[i], true;
    }
    return false;
}

static bool parse_shape(const json_t *list, struct tensor *t, const char *where, struct err *e) {
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n > ARRAY_LEN(t->shape))
        return err_set(e, ERR_INPUT, "%s: tensor %s: shape must be a list of at most %zu numbers", where,
                       t->name, ARRAY_LEN(t->shape));
    t->n_dims = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return err_set(e, ERR_INPUT, "%s: tensor %s: shape[%zu] is not a whole number", where, t->name,
                           i);
        t->shape[i] = json_integer_value(item);
    }
    return true;
}

static bool parse_offsets(const json_t *list, size_t n_data, struct span *s, const char *where,
                          struct err *e) {
    const json_t *begin = json_array_get(list, 0), *end = json_array_get(list, 1);
    if (json_array_size(list) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return err_set(e, ERR_INPUT, "%s: tensor %s: data_offsets must be two whole numbers", where, s->name);
    int64_t b = json_integer_value(begin), f = json_integer_value(end);
    if (b < 0 || b > f)
        return err_set(e, ERR_INPUT, "%s: tensor %s: data_offsets [%lld,%lld] are not a range", where,
                       s->name, (long long)b, (long long)f);
    if ((uint64_t)f > n_data)
        return err_set(
            e, ERR_INPUT,
            "%s: tensor %s ends at byte %lld of the data, but the file holds %zu: it is cut short, "
            "download it again",
            where, s->name, (long long)f, n_data);
    s->begin = (size_t)b;
    s->end = (size_t)f;
    return true;
}

static bool parse_tensor(const char *name, const json_t *entry, const unsigned char *data, size_t n_data,
                         struct span *s, struct tensor *t, const char *where, struct err *e) {
    const char *dtype = NULL;
    if (!json_is_object(entry) || strlen(name) > WEIGHTS_NAME_MAX)
        return err_set(e, ERR_INPUT, "%s: header entry %.80s does not describe a tensor", where, name);
    *t = (struct tensor){.name = name};
    s->name = name;
    if (!json_want_string(entry, "dtype", &dtype, where, e)) return err_wrap(e, "tensor %s", name);
    if (!parse_dtype(dtype, &t->dtype))
        return err_set(
            e, ERR_INPUT,
            "%s: tensor %s has type %.20s; F32, F16 and BF16 are read, quantised checkpoints are not: take "
            "the original one",
            where, name, dtype);
    if (!parse_shape(json_object_get(entry, "shape"), t, where, e)) return false;
    if (!parse_offsets(json_object_get(entry, "data_offsets"), n_data, s, where, e)) return false;
    if (!weights_count(t->shape, t->n_dims, t->dtype, &t->n_bytes) || t->n_bytes != s->end - s->begin)
        return err_set(e, ERR_INPUT, "%s: tensor %s: shape and type do not fill its %zu bytes", where, name,
                       s->end - s->begin);
    t->data = data + s->begin;
    return true;
}

static int compare_spans(const void *a, const void *b) {
    const struct span *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end == y->end ? 0 : x->end < y->end ? -1 : 1;
}

static bool check_cover(struct span *spans, size_t n, size_t n_data, const char *where, struct err *e) {
    size_t at = 0;
    if (n) qsort(spans, n, sizeof *spans, compare_spans);
    for (size_t i = 0; i < n; i++) {
        if (spans[i].begin != at)
            return err_set(
                e, ERR_INPUT, "%s: tensor %s starts at byte %zu of the data, where %zu was due: %s", where,
                spans[i].name, spans[i].begin, at, spans[i].begin < at ? "it overlaps" : "there is a hole");
        at = spans[i].end;
    }
    if (at != n_data)
        return err_set(e, ERR_INPUT, "%s: %zu bytes of the data belong to no tensor", where, n_data - at);
    return true;
}

static bool parse_header(const json_t *header, const unsigned char *data, size_t n_data, const char *where,
                         struct weights *out, struct err *e) {
    size_t n = 0;
    bool done = false;
    struct span *spans = mem_zalloc(json_object_size(header) + 1, sizeof *spans);
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)header, name, entry) {
        struct tensor t;
        if (strcmp(name, "__metadata__") == 0) continue;
        if (!parse_tensor(name, entry, data, n_data, &spans[n], &t, where, e)) goto done;
        if (out->n_tensors >= WEIGHTS_TENSORS_MAX) {
            err_set(e, ERR_INPUT, "%s: more than %d tensors", where, WEIGHTS_TENSORS_MAX);
            goto done;
        }
        weights_add(out, &t);
        n++;
    }
    done = check_cover(spans, n, n_data, where, e);
done:
    free(spans);
    return done;
}

bool safetensors_parse(const unsigned char *bytes, size_t n_bytes, const char *where, struct weights *out,
                       struct err *e) {
    if (!file_check_pointer((struct str){(const char *)bytes, n_bytes}, where, e)) return false;
    if (n_bytes < 8) return err_set(e, ERR_INPUT, "%s: %zu bytes are no safetensors file", where, n_bytes);
    uint64_t n_header = 0;
    for (int i = 0; i < 8; i++) n_header |= (uint64_t)bytes[i] << (8 * i);
    if (n_header > SAFETENSORS_HEADER_MAX)
        return err_set(e, ERR_INPUT, "%s: a header of %llu bytes: not a safetensors file", where,
                       (unsigned long long)n_header);
    if (n_header > n_bytes - 8)
        return err_set(e, ERR_INPUT, "%s: the header is cut short (%zu of %llu bytes); download it again",
                       where, n_bytes - 8, (unsigned long long)n_header);
    const struct str text = {(const char *)bytes + 8, (size_t)n_header};
    if (text.len == 0 || text.ptr[0] != '{')
        return err_set(e, ERR_INPUT, "%s: no safetensors header; is it another kind of file?", where);
    json_t *header = json_parse(text, where, e);
    if (!header) return false;
    bool done = json_is_object(header) ? parse_header(header, bytes + 8 + n_header,
                                                      n_bytes - 8 - (size_t)n_header, where, out, e)
                                       : err_set(e, ERR_INPUT, "%s: the header is not an object", where);
    json_decref(header);
    return done;
}

static bool open_file(const char *dir, const char *name, struct weights *out, struct err *e) {
    char *path = file_join(dir, name);
    struct file_map map = {0};
    bool done = file_map(path, &map, e);
    if (done) {
        weights_add_map(out, map);
        done = safetensors_parse(map.ptr, map.n_bytes, path, out, e);
    }
    free(path);
    return done;
}

static bool check_shard_name(const char *name, const char *where, struct err *e) {
    size_t n = strlen(name);
    if (n == 0 || n > 255 || name[0] == '.' || strchr(name, '/') || strchr(name, '\\'))
        return err_set(e, ERR_INPUT, "%s: weight_map names %.80s, which is not a file of this folder", where,
                       name);
    return true;
}

static bool open_shard(const char *dir, const char *name, const char *where, struct weights *out,
                       struct err *e) {
    char *path = file_join(dir, name);
    const bool is_there = file_exists(path);
    free(path);
    if (!is_there)
        return err_set(e, ERR_INPUT, "%s: %s, one of its files, is missing: download it", where, name);
    return open_file(dir, name, out, e);
}

/* Opens each file that the map names, once, then sees that every tensor listed is there. */
static bool open_shards(const char *dir, const json_t *weight_map, const char *where, struct weights *out,
                        struct err *e) {
    struct map *seen = map_new(64);
    bool done = false;
    const char *tensor;
    json_t *file;
    json_object_foreach((json_t *)weight_map, tensor, file) {
        const char *name = json_string_value(file);
        if (!name) {
            err_set(e, ERR_INPUT, "%s: weight_map: %.80s has no file name", where, tensor);
            goto done;
        }
        if (!check_shard_name(name, where, e)) goto done;
        if (!map_put(seen, str_from(name), 0)) continue;
        if (map_count(seen) > SHARDS_MAX) {
            err_set(e, ERR_INPUT, "%s: more than %d files", where, SHARDS_MAX);
            goto done;
        }
        if (!open_shard(dir, name, where, out, e)) goto done;
    }
    if (!weights_finish(out, where, e)) goto done;
    json_object_foreach((json_t *)weight_map, tensor, file) {
        if (!weights_find(out->tensors, out->n_tensors, tensor)) {
            err_set(e, ERR_INPUT, "%s: tensor %.200s is not in %.200s", where, tensor,
                    json_string_value(file));
            goto done;
        }
    }
    done = true;
done:
    map_free(seen);
    return done;
}

static bool open_index(const char *dir, const char *path, struct weights *out, struct err *e) {
    json_t *index = json_read_file(path, INDEX_BYTES_MAX, e);
    if (!index) return false;
    const json_t *weight_map = json_object_get(index, "weight_map");
    bool done = json_is_object(weight_map) ? open_shards(dir, weight_map, path, out, e)
                                           : err_set(e, ERR_INPUT, "%s: no weight_map in it", path);
    json_decref(index);
    return done;
}

bool safetensors_open(const char *dir, struct weights *out, struct err *e) {
    static const char single_name[] = "model.safetensors";
    char *single = file_join(dir, single_name), *index = file_join(dir, "model.safetensors.index.json");
    bool done;
    *out = (struct weights){0};
    if (file_exists(single))
        done = open_file(dir, single_name, out, e) && weights_finish(out, single, e);
    else if (file_exists(index))
        done = open_index(dir, index, out, e);
    else
        done = locate_refuse_weights(dir, e);
    if (!done) weights_fini(out);
    free(single);
    free(index);
    return done;
}
