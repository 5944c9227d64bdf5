#include "model/locate.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#define ADAPTER_BYTES_MAX ((size_t)1 << 20)

static bool has(const char *dir, const char *name) {
    char *path = file_join(dir, name);
    const bool found = file_exists(path);
    free(path);
    return found;
}

/* The first name by the alphabet in a folder whose name ends so; owned, or NULL. */
static char *first_ending(const char *dir, struct str ending) {
    char *first = NULL;
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (entry->d_name[0] == '.' || !str_ends(str_from(entry->d_name), ending)) continue;
        if (first && strcmp(first, entry->d_name) < 0) continue;
        free(first);
        first = mem_strdup(entry->d_name);
    }
    if (d) closedir(d);
    return first;
}

/* The first folder by the alphabet in a folder that has config.json; owned, or NULL. */
static char *folder_with_config(const char *dir) {
    char *first = NULL;
    DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (entry->d_name[0] == '.') continue;
        char *path = file_join(dir, entry->d_name);
        if (has(path, "config.json") && (!first || strcmp(path, first) < 0)) {
            free(first);
            first = path;
        } else {
            free(path);
        }
    }
    if (d) closedir(d);
    return first;
}

/* ---- files ---- */

bool locate_is_gguf(const char *path) {
    char magic[4] = {0};
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false; /* reading a pipe would wait */
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    const bool is_read = fread(magic, 1, sizeof magic, f) == sizeof magic;
    fclose(f);
    return str_ends(str_from(path), STR(".gguf")) || (is_read && memcmp(magic, "GGUF", 4) == 0);
}

bool locate_refuse_file(const char *path, struct err *e) {
    const struct str name = str_from(path);
    if (!file_exists(path)) return err_set(e, ERR_INPUT, "%s: no such model folder or GGUF file", path);
    if (str_ends(name, STR(".safetensors")) || str_ends(name, STR(".bin")) || str_ends(name, STR(".json")))
        return err_set(e, ERR_INPUT, "%s: one file of a model; give the folder that holds it and config.json",
                       path);
    return err_set(e, ERR_INPUT, "%s: not a model; give the folder that holds config.json, or a GGUF file",
                   path);
}

bool locate_check_link(const char *dir, const char *name, struct err *e) {
    struct stat st;
    char *path = file_join(dir, name);
    const bool hangs = lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && !file_exists(path);
    if (hangs)
        err_set(e, ERR_INPUT,
                "%s: a link to a file that is not there (hub caches link to their blobs): download the model "
                "again",
                path);
    free(path);
    return !hangs;
}

/* ---- folders ---- */

static bool refuse_adapter(const char *dir, struct err *e) {
    struct err ignored;
    char *path = file_join(dir, "adapter_config.json");
    json_t *root = json_read_file(path, ADAPTER_BYTES_MAX, &ignored);
    const char *base = json_string_value(json_object_get(root, "base_model_name_or_path"));
    err_set(e, ERR_INPUT,
            "%s: an adapter (LoRA) of %.200s, not a whole model; merge it into that one (peft's "
            "merge_and_unload, then save_pretrained) and give the folder of the result",
            dir, base ? base : "another model");
    json_decref(root);
    free(path);
    return false;
}

/* A folder with config.json one level below (a hub's cache keeps models in snapshots/COMMIT) or above; owned,
 * or NULL. */
static char *near_folder(const char *dir) {
    char *snapshots = file_join(dir, "snapshots");
    char *near = folder_with_config(snapshots);
    if (!near) near = folder_with_config(dir);
    if (!near && has(dir, "../config.json")) near = mem_strdup("the folder above");
    free(snapshots);
    return near;
}

bool locate_check_folder(const char *dir, struct err *e) {
    if (has(dir, "config.json")) return true;
    if (!locate_check_link(dir, "config.json", e)) return false;
    if (has(dir, "adapter_config.json")) return refuse_adapter(dir, e);
    char *near = near_folder(dir);
    if (near)
        err_set(e, ERR_INPUT, "%s: no config.json in this folder; there is one in %s: is that the model?",
                dir, near);
    else if (has(dir, "params.json"))
        err_set(e, ERR_INPUT,
                "%s: params.json without config.json: the publisher's own format; take the model's Hugging "
                "Face files (config.json, tokenizer.json, model.safetensors)",
                dir);
    else
        err_set(e, ERR_INPUT,
                "%s: no config.json in this folder, and no GGUF file: not a model's folder, or not all of "
                "it; brood pull brings whole ones",
                dir);
    free(near);
    return false;
}

/* ---- weights ---- */

bool locate_refuse_weights(const char *dir, struct err *e) {
    static const char *const pickled[] = {"pytorch_model.bin", "pytorch_model.bin.index.json"};
    if (!locate_check_link(dir, "model.safetensors", e) ||
        !locate_check_link(dir, "model.safetensors.index.json", e))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(pickled); i++) {
        if (has(dir, pickled[i]))
            return err_set(e, ERR_INPUT,
                           "%s: the weights are PyTorch pickles (%s); brood convert '%s' makes "
                           "model.safetensors of them",
                           dir, pickled[i], dir);
    }
    if (has(dir, "adapter_config.json")) return refuse_adapter(dir, e);
    char *other = first_ending(dir, STR(".safetensors"));
    if (!other) other = first_ending(dir, STR(".onnx"));
    if (!other) other = first_ending(dir, STR(".bin"));
    if (other)
        err_set(e, ERR_INPUT,
                "%s: %.200s is there, but neither model.safetensors nor model.safetensors.index.json, which "
                "names the parts of a set; download what is missing",
                dir, other);
    else
        err_set(e, ERR_INPUT,
                "%s: neither model.safetensors nor model.safetensors.index.json is there: download the "
                "weights, too",
                dir);
    free(other);
    return false;
}
