/* listing.c - see listing.h. */
#include "hub/listing.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "hub/name.h"

/* What the room `model` reads, beside the weights. */
static const char *const model_files[] = {
    "config.json",     "generation_config.json", "tokenizer.json",      "tokenizer_config.json",
    "tokenizer.model", "added_tokens.json",      "chat_template.jinja",
};
/* Weights, best first: one file, or an index of several. */
static const char *const weights_files[] = {"model.safetensors", "pytorch_model.bin"};
static const char *const weights_indices[] = {"model.safetensors.index.json", "pytorch_model.bin.index.json"};

static const int64_t file_bytes_max = (int64_t)1 << 60;

/* A hash in lower-case hexadecimal of exactly so many digits; else out is "". */
static void copy_hash(const char *hash, size_t n_digits, char out[DIGEST_HEX_MAX]) {
    out[0] = '\0';
    if (!hash || strlen(hash) != n_digits || strspn(hash, "0123456789abcdef") != n_digits) return;
    memcpy(out, hash, n_digits + 1);
}

static bool read_file(const json_t *o, struct listed *f, const char *where, struct err *e) {
    const char *path = NULL, *hash = NULL;
    const json_t *lfs = json_object_get(o, "lfs");
    int64_t size = -1;
    if (!json_is_object(o)) return err_set(e, ERR_SERVICE, "%s: a file in its list is no object", where);
    if (!json_want_string(o, "rfilename", &path, where, e) ||
        !json_get_int(o, "size", -1, 0, file_bytes_max, &size, where, e))
        return false;
    f->path = mem_strdup(path);
    if (json_is_object(lfs)) {
        if (!json_get_string(lfs, "sha256", NULL, &hash, where, e) ||
            !json_get_int(lfs, "size", size, 0, file_bytes_max, &size, where, e))
            return false;
        f->kind = DIGEST_SHA256;
        copy_hash(hash, 64, f->hash);
    } else {
        if (!json_get_string(o, "blobId", NULL, &hash, where, e)) return false;
        f->kind = DIGEST_GIT_BLOB;
        copy_hash(hash, 40, f->hash);
    }
    if (size < 0) f->hash[0] = '\0';
    f->n_bytes = size < 0 ? 0 : (uint64_t)size;
    return true;
}

static bool is_commit(const char *s) {
    const size_t n = strlen(s);
    return (n == 40 || n == 64) && strspn(s, "0123456789abcdef") == n;
}

bool listing_read(struct str text, const char *where, struct listing *out, struct err *e) {
    *out = (struct listing){0};
    json_t *o = json_parse(text, where, e);
    const char *commit = NULL;
    bool done = false;
    const json_t *files = o ? json_object_get(o, "siblings") : NULL;
    if (!o || !json_want_string(o, "sha", &commit, where, e)) goto done;
    if (!is_commit(commit)) {
        err_set(e, ERR_SERVICE, "%s: the commit '%.80s' is none", where, commit);
        goto done;
    }
    memcpy(out->commit, commit, strlen(commit) + 1);
    const size_t n = json_array_size(files);
    if (!json_is_array(files) || n > LISTING_FILES_MAX) {
        err_set(e, ERR_SERVICE, "%s: no list of files (or more than %d)", where, LISTING_FILES_MAX);
        goto done;
    }
    out->files = mem_zalloc(n, sizeof *out->files);
    for (size_t i = 0; i < n; i++) {
        out->n_files = (int)i + 1;
        if (!read_file(json_array_get(files, i), &out->files[i], where, e)) goto done;
    }
    done = true;
done:
    if (!done && e->code == ERR_INPUT) e->code = ERR_SERVICE; /* the hub's words, not the user's */
    json_decref(o);
    return done;
}

void listing_fini(struct listing *l) {
    for (int i = 0; i < l->n_files; i++) free(l->files[i].path);
    free(l->files);
    *l = (struct listing){0};
}

const struct listed *listing_find(const struct listing *l, const char *path) {
    for (int i = 0; i < l->n_files; i++) {
        if (strcmp(l->files[i].path, path) == 0) return &l->files[i];
    }
    return NULL;
}

const struct listed *listing_index(const struct listing *l) {
    for (size_t i = 0; i < ARRAY_LEN(weights_files); i++) {
        if (listing_find(l, weights_files[i])) return NULL;
        const struct listed *index = listing_find(l, weights_indices[i]);
        if (index) return index;
    }
    return NULL;
}

/* Once each; that it can be verified is checked here. */
static bool want(struct wanted *w, const struct listed *f, const char *repository, struct err *e) {
    for (int i = 0; i < w->n_files; i++) {
        if (w->files[i] == f) return true;
    }
    if (!f->hash[0])
        return err_set(e, ERR_SERVICE, "%s: the hub gives no size and hash for %s, so it cannot be verified",
                       repository, f->path);
    if (w->n_files == LISTING_WANTED_MAX)
        return err_set(e, ERR_SERVICE, "%s: more than %d files of weights", repository, LISTING_WANTED_MAX);
    if (!w->files) w->files = mem_zalloc(LISTING_WANTED_MAX, sizeof *w->files);
    w->files[w->n_files++] = f;
    return true;
}

static bool want_indexed(const struct listing *l, struct str text, const char *repository, struct wanted *w,
                         struct err *e) {
    json_t *o = json_parse(text, repository, e);
    bool done = false;
    json_t *map = o ? json_object_get(o, "weight_map") : NULL;
    const char *tensor;
    json_t *file;
    if (!o) goto done;
    if (!json_is_object(map) || json_object_size(map) == 0) {
        err_set(e, ERR_SERVICE, "%s: its index of weights has no weight_map", repository);
        goto done;
    }
    json_object_foreach(map, tensor, file) {
        const char *path = json_string_value(file);
        const struct listed *f = path && !strchr(path, '/') ? listing_find(l, path) : NULL;
        if (!f || !name_is_path(str_from(path))) {
            err_set(e, ERR_SERVICE,
                    "%s: its index of weights says that %.100s is in %.100s, which the repository does not "
                    "have",
                    repository, tensor, path ? path : "no file");
            goto done;
        }
        if (!want(w, f, repository, e)) goto done;
    }
    done = true;
done:
    if (!done && e->code == ERR_INPUT) e->code = ERR_SERVICE;
    json_decref(o);
    return done;
}

/* "a.gguf, b.gguf, ...": what could be asked for. */
static void list_gguf(const struct listing *l, struct buf *out) {
    enum { SHOWN_MAX = 12 };
    int n = 0;
    for (int i = 0; i < l->n_files; i++) {
        if (!str_ends(str_from(l->files[i].path), STR(".gguf"))) continue;
        if (n++ < SHOWN_MAX) buf_printf(out, "%s%s", n > 1 ? ", " : "", l->files[i].path);
    }
    if (n > SHOWN_MAX) buf_printf(out, " and %d more", n - SHOWN_MAX);
}

static bool refuse_without_weights(const struct listing *l, const char *repository, struct err *e) {
    struct buf files = {0};
    list_gguf(l, &files);
    if (files.len > 0)
        err_set(e, ERR_INPUT, "%s holds GGUF files: choose one with --file: %s", repository,
                buf_cstr(&files));
    else
        err_set(e, ERR_INPUT,
                "%s holds no model that Brood reads: config.json with model.safetensors (or "
                "pytorch_model.bin), or a GGUF file",
                repository);
    buf_free(&files);
    return false;
}

bool listing_choose(const struct listing *l, struct str index, const char *repository, struct wanted *out,
                    struct err *e) {
    *out = (struct wanted){0};
    const struct listed *weights = NULL;
    for (size_t i = 0; i < ARRAY_LEN(weights_files) && !weights; i++) {
        weights = listing_find(l, weights_files[i]);
        if (!weights) weights = listing_find(l, weights_indices[i]);
        out->is_pickle = weights && i > 0;
    }
    if (!weights || !listing_find(l, "config.json")) return refuse_without_weights(l, repository, e);
    for (size_t i = 0; i < ARRAY_LEN(model_files); i++) {
        const struct listed *f = listing_find(l, model_files[i]);
        if (f && !want(out, f, repository, e)) return false;
    }
    if (!want(out, weights, repository, e)) return false;
    return weights != listing_index(l) || want_indexed(l, index, repository, out, e);
}

/* Length of NAME in NAME-00001-of-00003.gguf, and how many parts; 0: not such a name. */
static size_t split_name(struct str s, int *n_parts) {
    enum { TAIL = 20 }; /* -00001-of-00003.gguf */
    static const char form[] = "-00000-of-00000.gguf";
    if (s.len <= TAIL) return 0;
    const char *tail = s.ptr + s.len - TAIL;
    for (size_t i = 0; i < TAIL; i++) {
        const bool digit = tail[i] >= '0' && tail[i] <= '9';
        if (form[i] == '0' ? !digit : tail[i] != form[i]) return 0;
    }
    *n_parts = (int)strtol(tail + 10, NULL, 10);
    return s.len - TAIL;
}

bool listing_choose_file(const struct listing *l, const char *path, const char *repository,
                         struct wanted *out, struct err *e) {
    *out = (struct wanted){0};
    const struct str s = str_from(path);
    int n_parts = 0;
    const size_t n_stem = split_name(s, &n_parts);
    if (!str_ends(s, STR(".gguf")))
        return err_set(e, ERR_INPUT, "--file %s: only a GGUF file is a model by itself", path);
    if (n_stem == 0 || n_parts < 1) {
        const struct listed *f = listing_find(l, path);
        if (f) return want(out, f, repository, e);
        struct buf files = {0};
        list_gguf(l, &files);
        err_set(e, ERR_INPUT, "%s has no file %s%s%s", repository, path, files.len ? "; it has " : "",
                buf_cstr(&files));
        buf_free(&files);
        return false;
    }
    for (int i = 1; i <= n_parts; i++) {
        struct buf part = {0};
        buf_printf(&part, "%.*s-%05d-of-%05d.gguf", (int)n_stem, path, i, n_parts);
        const struct listed *f = listing_find(l, buf_cstr(&part));
        if (!f) err_set(e, ERR_INPUT, "%s has no file %s", repository, buf_cstr(&part));
        buf_free(&part);
        if (!f || !want(out, f, repository, e)) return false;
    }
    return true;
}

void wanted_fini(struct wanted *w) {
    free(w->files);
    *w = (struct wanted){0};
}
