#include "model/convert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "model/pickle.h"

enum { INDEX_BYTES_MAX = 64 << 20 };

static bool read_file(const char *dir, const char *name, struct weights *w, struct err *e) {
    char *path = file_join(dir, name);
    struct file_map map;
    bool done = file_map(path, &map, e);
    if (done) {
        weights_add_map(w, map);
        done = file_check_pointer((struct str){(const char *)map.ptr, map.n_bytes}, path, e) &&
               pickle_parse(map.ptr, map.n_bytes, path, w, e);
    }
    free(path);
    return done;
}

static bool is_plain_name(const char *name) {
    return name && name[0] && name[0] != '.' && !strchr(name, '/') && !strchr(name, '\\');
}

/* Every file that the index names, once. */
static bool read_index(const char *dir, const char *index, struct weights *w, struct convert_told *told,
                       struct err *e) {
    json_t *root = json_read_file(index, INDEX_BYTES_MAX, e), *seen = json_object(), *value;
    const char *key;
    bool done = root != NULL;
    json_t *map = json_object_get(root, "weight_map");
    if (done && !json_is_object(map))
        done = err_set(e, ERR_INPUT, "%s: there is no \"weight_map\" in it", index);
    if (done) {
        json_object_foreach(map, key, value) {
            const char *name = json_string_value(value);
            if (!is_plain_name(name))
                done = err_set(e, ERR_INPUT, "%s: %.80s is in no file of this folder", index, key);
            if (!done) break;
            if (json_object_get(seen, name)) continue;
            json_object_set_new(seen, name, json_true());
            told->n_files++;
            done = read_file(dir, name, w, e);
            if (!done) break;
        }
    }
    json_decref(root);
    json_decref(seen);
    return done;
}

static void drop_prefix(struct weights *w) {
    static const char prefix[] = "pretrained_model.";
    for (size_t i = 0; i < w->n_tensors; i++) {
        const char *name = w->tensors[i].name;
        if (!str_starts(str_from(name), str_from(prefix))) continue;
        w->tensors[i].name = mem_strdup(name + strlen(prefix));
        free((char *)(uintptr_t)name);
    }
}

/* ---- writing ---- */

static const char *type_name(enum dtype t) {
    return t == DTYPE_F32 ? "F32" : t == DTYPE_F16 ? "F16" : "BF16";
}

static void make_header(const struct weights *w, struct buf *out) {
    size_t at = 0;
    json_t *root = json_object();
    json_object_set_new(root, "__metadata__", json_pack("{s:s}", "format", "pt"));
    for (size_t i = 0; i < w->n_tensors; i++) {
        const struct tensor *t = &w->tensors[i];
        json_t *shape = json_array();
        for (int k = 0; k < t->n_dims; k++) json_array_append_new(shape, json_integer(t->shape[k]));
        json_object_set_new(root, t->name,
                            json_pack("{s:s,s:o,s:[I,I]}", "dtype", type_name(t->dtype), "shape", shape,
                                      "data_offsets", (json_int_t)at, (json_int_t)(at + t->n_bytes)));
        at += t->n_bytes;
    }
    char *text = json_line(root);
    buf_add_str(out, str_from(text));
    while (out->len % 8) buf_add_char(out, ' ');
    free(text);
    json_decref(root);
}

static bool put(FILE *f, const void *bytes, size_t n) {
    return n == 0 || fwrite(bytes, 1, n, f) == n;
}

static bool write_all(FILE *f, const struct weights *w) {
    struct buf header = {0};
    make_header(w, &header);
    unsigned char length[8];
    for (int i = 0; i < 8; i++) length[i] = (unsigned char)((uint64_t)header.len >> (8 * i));
    bool done = put(f, length, sizeof length) && put(f, buf_cstr(&header), header.len);
    for (size_t i = 0; done && i < w->n_tensors; i++)
        done = put(f, w->tensors[i].data, w->tensors[i].n_bytes);
    buf_free(&header);
    return done;
}

/* Beside its place first, then renamed into it. */
static bool write_file(const char *path, const struct weights *w, struct err *e) {
    struct buf beside = {0};
    buf_printf(&beside, "%s.%ld.part", path, (long)getpid());
    FILE *f = fopen(buf_cstr(&beside), "wb");
    bool done = f && write_all(f, w) && fflush(f) == 0 && fsync(fileno(f)) == 0;
    if (f && fclose(f) != 0) done = false;
    if (done) done = rename(buf_cstr(&beside), path) == 0;
    if (!done) {
        err_set(e, ERR_INPUT, "%s: cannot be written: %s", path, strerror(errno));
        if (f) unlink(buf_cstr(&beside));
    }
    buf_free(&beside);
    return done;
}

bool convert_folder(const char *dir, const char *out, struct convert_told *told, struct err *e) {
    struct weights w = {0};
    char *index = file_join(dir, "pytorch_model.bin.index.json"),
         *single = file_join(dir, "pytorch_model.bin"),
         *place = out ? mem_strdup(out) : file_join(dir, "model.safetensors");
    bool done = true;
    *told = (struct convert_told){0};
    if (!out && file_exists(place))
        done = err_set(e, ERR_INPUT, "%s is there already: nothing needs converting (or say --output FILE)",
                       place);
    else if (file_exists(index))
        done = read_index(dir, index, &w, told, e);
    else if (file_exists(single))
        done = read_file(dir, "pytorch_model.bin", &w, e), told->n_files = 1;
    else
        done = err_set(e, ERR_INPUT, "%s: there is no pytorch_model.bin (or its index) in it", dir);
    if (done) {
        drop_prefix(&w);
        done = weights_finish(&w, dir, e) && write_file(place, &w, e);
    }
    told->n_tensors = (int)w.n_tensors;
    for (size_t i = 0; i < w.n_tensors; i++) told->n_bytes += (double)w.tensors[i].n_bytes;
    weights_fini(&w);
    free(index);
    free(single);
    free(place);
    return done;
}
