/* name.c - see name.h; and hub_find. */
#include "hub/name.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "hub/hub.h"

enum { NAME_MAX_BYTES = 96, PATH_MAX_BYTES = 200 };

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* One segment: does not begin with a dot or a dash, holds letters and what is in `also`. */
static bool is_segment(struct str s, const char *also) {
    if (s.len == 0 || s.ptr[0] == '.' || s.ptr[0] == '-') return false;
    for (size_t i = 0; i < s.len; i++) {
        if (!is_letter(s.ptr[i]) && (s.ptr[i] == '\0' || !strchr(also, s.ptr[i]))) return false;
    }
    return true;
}

static bool are_segments(struct str path, const char *also) {
    if (path.len > PATH_MAX_BYTES) return false;
    for (;;) {
        const ptrdiff_t end = str_find(path, STR("/"));
        const size_t n = end < 0 ? path.len : (size_t)end;
        if (!is_segment((struct str){path.ptr, n}, also)) return false;
        if (end < 0) return true;
        path.ptr += n + 1;
        path.len -= n + 1;
    }
}

bool name_is_path(struct str path) {
    return are_segments(path, "._-+=,()[]~ ");
}

static bool parse_parts(struct str s, struct hub_name *out) {
    const ptrdiff_t hash = str_find(s, STR("#"));
    const struct str file = hash < 0 ? STR("") : (struct str){s.ptr + hash + 1, s.len - (size_t)hash - 1};
    if (hash >= 0) s.len = (size_t)hash;
    const ptrdiff_t at = str_find(s, STR("@"));
    const struct str revision = at < 0 ? STR("main") : (struct str){s.ptr + at + 1, s.len - (size_t)at - 1};
    if (at >= 0) s.len = (size_t)at;
    const ptrdiff_t slash = str_find(s, STR("/"));
    if (slash < 0) return false;
    const struct str owner = {s.ptr, (size_t)slash},
                     repository = {s.ptr + slash + 1, s.len - (size_t)slash - 1};
    if (!is_segment(owner, "._-") || !is_segment(repository, "._-") || owner.len > NAME_MAX_BYTES ||
        repository.len > NAME_MAX_BYTES || !are_segments(revision, "._-+") ||
        (hash >= 0 && !name_is_path(file)))
        return false;
    out->owner = str_dup(owner);
    out->repository = str_dup(repository);
    out->revision = str_dup(revision);
    if (hash >= 0) out->file = str_dup(file);
    return true;
}

bool name_parse(const char *text, struct hub_name *out, struct err *e) {
    *out = (struct hub_name){0};
    const struct str s = str_from(text), prefix = STR(HUB_PREFIX);
    if (str_starts(s, prefix) && parse_parts((struct str){s.ptr + prefix.len, s.len - prefix.len}, out))
        return true;
    return err_set(e, ERR_INPUT,
                   "'%.200s' names no model on a hub: write hf:OWNER/NAME, hf:OWNER/NAME@REVISION or "
                   "hf:OWNER/NAME#FILE.gguf",
                   text);
}

bool name_set_file(struct hub_name *n, const char *file, struct err *e) {
    if (n->file && strcmp(n->file, file) != 0)
        return err_set(e, ERR_INPUT, "the name says the file %s, and --file says %.200s: give one", n->file,
                       file);
    if (!name_is_path(str_from(file)))
        return err_set(e, ERR_INPUT, "'%.200s' is no path of a file in a repository", file);
    free(n->file);
    n->file = mem_strdup(file);
    return true;
}

void name_fini(struct hub_name *n) {
    free(n->owner);
    free(n->repository);
    free(n->revision);
    free(n->file);
    *n = (struct hub_name){0};
}

char *name_text(const struct hub_name *n) {
    struct buf b = {0};
    buf_printf(&b, HUB_PREFIX "%s/%s", n->owner, n->repository);
    if (strcmp(n->revision, "main") != 0) buf_printf(&b, "@%s", n->revision);
    if (n->file) buf_printf(&b, "#%s", n->file);
    return buf_take(&b);
}

char *name_root(struct err *e) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (cache && cache[0] == '/') return file_join(cache, "brood/hf"); /* a relative one is to be ignored */
    if (home && home[0] == '/') return file_join(home, ".cache/brood/hf");
    err_set(e, ERR_INPUT,
            "no place for pulled models: set XDG_CACHE_HOME to a folder (its whole path), or HOME");
    return NULL;
}

static void add_key(struct buf *b, const char *text) {
    for (; *text; text++) {
        if (*text == '/')
            buf_add_str(b, STR("%2F"));
        else
            buf_add_char(b, *text);
    }
}

static char *place(const struct hub_name *n, const char *root, const char *before, const char *behind) {
    struct buf b = {0};
    buf_printf(&b, "%s/%s/%s%s", root, n->owner, before, n->repository);
    if (strcmp(n->revision, "main") != 0) {
        buf_add_char(&b, '@');
        add_key(&b, n->revision);
    }
    if (n->file) {
        buf_add_char(&b, '#');
        add_key(&b, n->file);
    }
    buf_add_str(&b, str_from(behind));
    return buf_take(&b);
}

char *name_folder(const struct hub_name *n, const char *root) {
    return place(n, root, "", "");
}

char *name_part(const struct hub_name *n, const char *root) {
    return place(n, root, ".", ".part");
}

char *name_model_path(const struct hub_name *n, const char *dir) {
    if (!n->file) return mem_strdup(dir);
    const char *slash = strrchr(n->file, '/');
    return file_join(dir, slash ? slash + 1 : n->file);
}

void name_add_url(struct buf *out, const char *text, bool keep_slashes) {
    for (; *text; text++) {
        if (is_letter(*text) || strchr("._-~", *text) || (keep_slashes && *text == '/'))
            buf_add_char(out, *text);
        else
            buf_printf(out, "%%%02X", (unsigned char)*text);
    }
}

/* ---- what was pulled ---- */

/* The folder of the only file that was pulled of this repository and revision; NULL: none or several, which
 * are then listed. Owned. */
static char *find_only_file(const char *whole, struct buf *several) {
    char *dir = str_dup((struct str){whole, (size_t)(strrchr(whole, '/') - whole)});
    struct buf start = {0};
    buf_printf(&start, "%s#", strrchr(whole, '/') + 1);
    DIR *d = opendir(dir);
    char *found = NULL;
    int n = 0;
    for (struct dirent *x; d && (x = readdir(d));) {
        if (!str_starts(str_from(x->d_name), buf_str(&start))) continue;
        buf_printf(several, "%s#%s", n ? ", " : "", x->d_name + start.len);
        if (n++ == 0) found = file_join(dir, x->d_name);
    }
    if (d) closedir(d);
    if (n > 1) {
        free(found);
        found = NULL;
    }
    if (n < 2) buf_clear(several);
    buf_free(&start);
    free(dir);
    return found;
}

/* A folder "...#FILE" to the file in it. Takes dir. */
static char *file_of_folder(char *dir) {
    const char *file = strrchr(dir, '#') + 1;
    for (const char *next; (next = strstr(file, "%2F"));) file = next + 3;
    char *path = file_join(dir, file);
    free(dir);
    return path;
}

char *hub_find(const char *text, struct err *e) {
    struct hub_name n;
    struct buf several = {0};
    char *root = NULL, *dir = NULL, *found = NULL, *only = NULL;
    if (!name_parse(text, &n, e) || !(root = name_root(e))) goto done;
    dir = name_folder(&n, root);
    if (file_is_dir(dir))
        found = name_model_path(&n, dir);
    else if (!n.file && (only = find_only_file(dir, &several)))
        found = file_of_folder(only);
    else if (several.len > 0)
        err_set(e, ERR_INPUT, "%s: several files of it were pulled: add one of %s", text, buf_cstr(&several));
    else
        err_set(e, ERR_INPUT, "%s is not on this machine (%s): brood pull '%s' brings it", text, root, text);
done:
    buf_free(&several);
    name_fini(&n);
    free(root);
    free(dir);
    return found;
}
