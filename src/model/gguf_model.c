#include "model/gguf_model.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/fused.h"

/* ---- which files ---- */

/* "...-00002-of-00005.gguf": where the part's number begins, or -1; both numbers. */
static ptrdiff_t split_of(const char *path, int *no, int *count) {
    static const char form[] = "-00001-of-00001.gguf";
    size_t n = strlen(path), n_form = sizeof form - 1;
    if (n < n_form) return -1;
    const char *tail = path + n - n_form;
    for (size_t i = 0; i < n_form; i++) {
        bool digit = form[i] == '0' || form[i] == '1';
        if (digit ? tail[i] < '0' || tail[i] > '9' : tail[i] != form[i]) return -1;
    }
    *no = *count = 0;
    for (int i = 0; i < 5; i++) {
        *no = 10 * *no + (tail[1 + i] - '0');
        *count = 10 * *count + (tail[10 + i] - '0');
    }
    return (ptrdiff_t)(n - n_form) + 1;
}

struct listing {
    char *first; /* of the files and sets by name; owned */
    int n;       /* files and sets; parts of a set other than its first do not count */
    bool any;
};

static struct listing list_folder(const char *dir) {
    struct listing l = {0};
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        int no = 1, count;
        if (!str_ends(str_from(entry->d_name), STR(".gguf"))) continue;
        l.any = true;
        split_of(entry->d_name, &no, &count);
        if (no != 1) continue;
        l.n++;
        if (l.first && strcmp(l.first, entry->d_name) < 0) continue;
        free(l.first);
        l.first = mem_strdup(entry->d_name);
    }
    if (d) closedir(d);
    return l;
}

static bool has_file(const char *dir, const char *name) {
    char *path = file_join(dir, name);
    bool found = file_exists(path);
    free(path);
    return found;
}

bool gguf_is_folder(const char *dir) {
    struct listing l = list_folder(dir);
    free(l.first);
    return l.any && !(has_file(dir, "config.json") &&
                      (has_file(dir, "model.safetensors") || has_file(dir, "model.safetensors.index.json")));
}

/* The one file, or the first of the one set, in a folder. Owned. */
static char *choose_file(const char *dir, struct err *e) {
    struct listing l = list_folder(dir);
    char *path = NULL;
    if (l.n == 1)
        path = file_join(dir, l.first);
    else if (l.n > 1)
        err_set(e, ERR_INPUT, "%s: %d GGUF models are in this folder; name one of them, like %s/%s", dir, l.n,
                dir, l.first);
    else
        err_set(e, ERR_INPUT, "%s: the first part (-00001-of-...) of a split GGUF model is missing", dir);
    free(l.first);
    return path;
}

/* ---- opening ---- */

static bool open_part(struct gguf_model *m, char *path, struct err *e) {
    struct gguf_part *part = &m->parts[m->n_parts++];
    part->path = path;
    return file_map(path, &part->map, e) && gguf_parse(part->map.ptr, part->map.n_bytes, path, &part->g, e);
}

static bool check_part(const struct gguf_part *part, int no, int n_parts, struct err *e) {
    int64_t its_no, its_count;
    if (!gguf_get_int(&part->g, "split.no", 0, 0, 65535, &its_no, e) ||
        !gguf_get_int(&part->g, "split.count", 0, 0, 65535, &its_count, e))
        return false;
    if (n_parts == 1 && its_count <= 1) return true;
    return (its_no == no && its_count == n_parts) ||
           err_set(e, ERR_INPUT, "%s: it says that it is part %lld of %lld, not %d of %d", part->path,
                   (long long)its_no + 1, (long long)its_count, no + 1, n_parts);
}

static bool check_tensor_count(const struct gguf_model *m, struct err *e) {
    int64_t wanted, n = 0;
    if (!gguf_get_int(&m->parts[0].g, "split.tensors.count", -1, 0, INT32_MAX, &wanted, e)) return false;
    for (int i = 0; i < m->n_parts; i++) n += (int64_t)m->parts[i].g.n_tensors;
    return wanted < 0 || n == wanted ||
           err_set(e, ERR_INPUT, "%s: %lld tensors in its %d parts, but it says %lld", m->parts[0].path,
                   (long long)n, m->n_parts, (long long)wanted);
}

/* Takes path. */
static bool open_parts(struct gguf_model *m, char *path, struct err *e) {
    int no = 1, count = 1;
    ptrdiff_t number = split_of(path, &no, &count);
    m->parts = mem_zalloc(1, sizeof *m->parts);
    if (number >= 0 && (no != 1 || count < 1 || count > GGUF_PARTS_MAX)) {
        m->parts[m->n_parts++].path = path;
        return err_set(e, ERR_INPUT, "%s: part %d of %d; name the first part (-00001-of-%05d.gguf)", path, no,
                       count, count);
    }
    m->parts = mem_realloc(m->parts, (size_t)count, sizeof *m->parts);
    memset(m->parts, 0, (size_t)count * sizeof *m->parts);
    if (!open_part(m, path, e) || !check_part(&m->parts[0], 0, count, e)) return false;
    for (int i = 1; i < count; i++) {
        char *next = mem_strdup(path), digits[16];
        snprintf(digits, sizeof digits, "%05d", i + 1);
        memcpy(next + number, digits, 5);
        if (!open_part(m, next, e) || !check_part(&m->parts[i], i, count, e)) return false;
    }
    return check_tensor_count(m, e);
}

bool gguf_model_open(const char *path, struct gguf_model *out, struct err *e) {
    *out = (struct gguf_model){0};
    char *file = file_is_dir(path) ? choose_file(path, e) : mem_strdup(path);
    if (file && open_parts(out, file, e)) return true;
    gguf_model_fini(out);
    return false;
}

void gguf_model_fini(struct gguf_model *m) {
    for (int i = 0; i < m->n_parts; i++) {
        gguf_fini(&m->parts[i].g);
        file_unmap(&m->parts[i].map);
        free(m->parts[i].path);
    }
    free(m->parts);
    *m = (struct gguf_model){0};
}

/* ---- tensors under their Hugging Face names ---- */

struct renaming {
    const char *from, *to;
    char paired; /* 'Q', 'K': its rows are those of heads, to be rotated */
};

static const struct renaming layer_names[] = {
    {"attn_norm", "input_layernorm", 0},    {"ffn_norm", "post_attention_layernorm", 0},
    {"attn_q", "self_attn.q_proj", 'Q'},    {"attn_k", "self_attn.k_proj", 'K'},
    {"attn_v", "self_attn.v_proj", 0},      {"attn_output", "self_attn.o_proj", 0},
    {"attn_q_norm", "self_attn.q_norm", 0}, {"attn_k_norm", "self_attn.k_norm", 0},
    {"ffn_gate", "mlp.gate_proj", 0},       {"ffn_up", "mlp.up_proj", 0},
    {"ffn_down", "mlp.down_proj", 0},
};

static const struct renaming other_names[] = {
    {"token_embd", "model.embed_tokens", 0},
    {"output_norm", "model.norm", 0},
    {"output", "lm_head", 0},
};

static const struct renaming *find_name(const struct renaming *table, size_t n, struct str name) {
    for (size_t i = 0; i < n; i++) {
        if (str_equal(name, str_from(table[i].from))) return &table[i];
    }
    return NULL;
}

struct taking {
    const struct model_config *c;
    struct weights *out;
    char name[512];
};

/* Rows of q and k: those of a head are to be rotated. */
static void mark_rotated(const struct taking *k, struct tensor *t) {
    t->paired = strcmp(k->c->family, "llama") == 0 ? k->c->head_width : 0;
}

static void take(struct taking *k, struct tensor t, char paired) {
    t.name = k->name;
    if (paired) mark_rotated(k, &t);
    weights_add(k->out, &t);
}

/* A tensor of several parts (fused.h); false: it is none, or does not add up and is to be refused by its
 * name. */
static bool take_fused(struct taking *k, struct str layer, struct str part, struct str suffix,
                       const struct tensor *t) {
    const size_t first = k->out->n_tensors;
    const char *fused = str_equal(part, STR("attn_qkv"))                   ? "self_attn.qkv_proj"
                        : k->c->is_fused && str_equal(part, STR("ffn_up")) ? "mlp.gate_up_proj"
                                                                           : NULL;
    snprintf(k->name, sizeof k->name, "model.layers.%.*s.", (int)layer.len, layer.ptr);
    if (!fused || !fused_add(k->out, k->c, fused, str_from(k->name), suffix, t)) return false;
    for (size_t i = first; i < first + 2 && fused[0] == 's'; i++) mark_rotated(k, &k->out->tensors[i]);
    return true;
}

/* blk.N.PART.weight and PART.weight; names that are not known are kept, to be refused. */
static void take_tensor(struct taking *k, const struct gguf_tensor *x) {
    struct str name = x->name, layer = {0};
    ptrdiff_t dot = str_find_last(name, STR("."));
    struct str suffix = dot < 0 ? STR("") : (struct str){name.ptr + dot, name.len - (size_t)dot},
               part = {name.ptr, name.len - suffix.len};
    const struct renaming *r = NULL;
    if (str_starts(part, STR("blk."))) {
        layer = (struct str){part.ptr + 4, part.len - 4};
        ptrdiff_t end = str_find(layer, STR("."));
        if (end > 0) {
            part = (struct str){layer.ptr + end + 1, layer.len - (size_t)end - 1};
            layer.len = (size_t)end;
            if (take_fused(k, layer, part, suffix, &x->t)) return;
            r = find_name(layer_names, ARRAY_LEN(layer_names), part);
        }
        if (r)
            snprintf(k->name, sizeof k->name, "model.layers.%.*s.%s%.*s", (int)layer.len, layer.ptr, r->to,
                     (int)suffix.len, suffix.ptr);
    } else if ((r = find_name(other_names, ARRAY_LEN(other_names), part))) {
        snprintf(k->name, sizeof k->name, "%s%.*s", r->to, (int)suffix.len, suffix.ptr);
    }
    if (!r) snprintf(k->name, sizeof k->name, "%.*s", (int)name.len, name.ptr);
    take(k, x->t, r ? r->paired : 0);
}

bool gguf_take_weights(struct gguf_model *m, const struct model_config *c, struct weights *out,
                       struct err *e) {
    struct taking k = {.c = c, .out = out};
    *out = (struct weights){0};
    for (int p = 0; p < m->n_parts; p++) {
        const struct gguf *g = &m->parts[p].g;
        for (size_t i = 0; i < g->n_tensors; i++) take_tensor(&k, &g->tensors[i]);
    }
    if (!weights_finish(out, m->parts[0].path, e)) {
        weights_fini(out);
        return false;
    }
    for (int p = 0; p < m->n_parts; p++) {
        weights_add_map(out, m->parts[p].map);
        m->parts[p].map = (struct file_map){0};
    }
    return true;
}
