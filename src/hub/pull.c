/* pull.c - hub_pull: a list of files, one after another into a folder beside the place, one exchange. */
#include "hub/hub.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "base/mem.h"
#include "hub/fetch.h"
#include "hub/listing.h"
#include "hub/name.h"

static const char default_endpoint[] = "https://huggingface.co", record_name[] = "brood-pull.json";
enum { INDEX_BYTES_MAX = 64 << 20, RECORD_BYTES_MAX = 16 << 20, TOKEN_BYTES_MAX = 4096 };
static const double spare_bytes = 64e6; /* left free on the disk */

struct pull {
    const struct hub_options *o;
    struct hub_name name;
    char *text;                /* hf:... */
    char *repository;          /* OWNER/NAME@REVISION, for messages */
    char *endpoint, *token;    /* token NULL: none */
    char *root, *final, *part; /* folders */
    int lock;
    struct fetch *fetch;
    struct listing listing;
    struct wanted wanted;
    struct hub_progress told;
    double n_bytes_before; /* of the files before the one at work */
};

/* ---- from the environment ---- */

static bool is_loopback(const char *url) {
    static const char *const starts[] = {"http://127.", "http://localhost", "http://[::1]"};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        if (str_starts(str_from(url), str_from(starts[i]))) return true;
    }
    return false;
}

/* The folder or file that a variable names, below it `name`; else below $HOME `fallback`. Owned; NULL: none.
 */
static char *token_place(void) {
    const char *path = getenv("HF_TOKEN_PATH"), *hf = getenv("HF_HOME"), *home = getenv("HOME");
    if (path && path[0]) return mem_strdup(path);
    if (hf && hf[0]) return file_join(hf, "token");
    return home && home[0] ? file_join(home, ".cache/huggingface/token") : NULL;
}

static bool read_token(char **out, struct err *e) {
    const char *token = getenv("HF_TOKEN");
    struct buf text = {0};
    bool done = true;
    if (token && token[0]) {
        buf_add_str(&text, str_from(token));
    } else {
        char *place = token_place();
        if (place && file_exists(place)) done = file_read(place, TOKEN_BYTES_MAX, &text, e);
        free(place);
    }
    const struct str s = str_trim(buf_str(&text));
    for (size_t i = 0; done && i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            done = err_set(e, ERR_INPUT,
                           "the token of HF_TOKEN or its file holds what no token does (blanks, other bytes "
                           "than ASCII)");
    }
    if (done && s.len > 0) *out = str_dup(s);
    if (text.ptr) memset(text.ptr, 0, text.len);
    buf_free(&text);
    return done;
}

static bool read_endpoint(struct pull *p, struct err *e) {
    const char *given = getenv("HF_ENDPOINT");
    p->endpoint = mem_strdup(given && given[0] ? given : default_endpoint);
    for (size_t n = strlen(p->endpoint); n > 0 && p->endpoint[n - 1] == '/'; n--) p->endpoint[n - 1] = '\0';
    if (!str_starts(str_from(p->endpoint), STR("http://")) &&
        !str_starts(str_from(p->endpoint), STR("https://")))
        return err_set(e, ERR_INPUT, "HF_ENDPOINT '%.200s' is no address: it begins with https:// or http://",
                       p->endpoint);
    if (p->token && !str_starts(str_from(p->endpoint), STR("https://")) && !is_loopback(p->endpoint))
        return err_set(e, ERR_INPUT,
                       "HF_ENDPOINT %.200s is not https: a token would be readable on the way; use https, or "
                       "pull without a token",
                       p->endpoint);
    return true;
}

/* ---- folders ---- */

static bool make_folders(const char *path, struct err *e) {
    char *copy = mem_strdup(path);
    bool done = true;
    for (char *at = copy + 1; done && *at; at++) {
        if (*at != '/') continue;
        *at = '\0';
        if (mkdir(copy, 0755) != 0 && errno != EEXIST) done = false;
        *at = '/';
    }
    if (done && mkdir(copy, 0755) != 0 && errno != EEXIST) done = false;
    free(copy);
    return done || err_set(e, ERR_SERVICE, "%s: the folder cannot be made: %s", path, strerror(errno));
}

/* Folders of files alone: what lies deeper is not ours. */
static void remove_folder(const char *dir) {
    DIR *d = opendir(dir);
    for (struct dirent *x; d && (x = readdir(d));) {
        char *path = file_join(dir, x->d_name);
        if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0) unlink(path);
        free(path);
    }
    if (d) closedir(d);
    rmdir(dir);
}

/* The lock is on the folder itself: gone with the process, and void once the folder has another name. */
static bool lock_part(struct pull *p, struct err *e) {
    struct stat here, there;
    if (!make_folders(p->part, e)) return false;
    p->lock = open(p->part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->lock < 0) return err_set(e, ERR_SERVICE, "%s: %s", p->part, strerror(errno));
    if (flock(p->lock, LOCK_EX | LOCK_NB) == 0 && fstat(p->lock, &here) == 0 && stat(p->part, &there) == 0 &&
        here.st_ino == there.st_ino)
        return true;
    return err_set(e, ERR_INPUT, "%s: another pull of it is at work", p->text);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static char *place_of(const char *dir, const struct listed *f) {
    return file_join(dir, base_name(f->path));
}

/* How many bytes of a file are in the folder under way. */
static double bytes_here(const struct pull *p, const struct listed *f) {
    char *whole = place_of(p->part, f);
    struct buf part = {0};
    struct stat st;
    double n = 0;
    buf_printf(&part, "%s.part", whole);
    if (stat(whole, &st) == 0 || stat(buf_cstr(&part), &st) == 0) n = (double)st.st_size;
    buf_free(&part);
    free(whole);
    return MIN(n, (double)f->n_bytes);
}

static bool check_space(const struct pull *p, struct err *e) {
    double missing = 0;
    struct statvfs v;
    char need[FORMAT_MAX], have[FORMAT_MAX];
    for (int i = 0; i < p->wanted.n_files; i++)
        missing += (double)p->wanted.files[i]->n_bytes - bytes_here(p, p->wanted.files[i]);
    if (statvfs(p->part, &v) != 0) return err_set(e, ERR_SERVICE, "%s: %s", p->part, strerror(errno));
    const double free_bytes = (double)v.f_bavail * (double)v.f_frsize;
    if (missing == 0 || missing + spare_bytes <= free_bytes) return true;
    return err_set(e, ERR_INPUT,
                   "%s: %sB are still to come, and %sB are free in %s: make room, or set XDG_CACHE_HOME to a "
                   "larger place",
                   p->text, format_count(need, missing), format_count(have, free_bytes), p->root);
}

/* ---- what a pulled folder says of itself ---- */

static json_t *record_json(const struct pull *p) {
    json_t *files = json_array();
    for (int i = 0; i < p->wanted.n_files; i++) {
        const struct listed *f = p->wanted.files[i];
        json_array_append_new(files,
                              json_pack("{s:s,s:I,s:s}", "path", f->path, "bytes", (json_int_t)f->n_bytes,
                                        f->kind == DIGEST_SHA256 ? "sha256" : "git_blob", f->hash));
    }
    char *repository = NULL;
    struct buf b = {0};
    buf_printf(&b, "%s/%s", p->name.owner, p->name.repository);
    repository = buf_take(&b);
    json_t *o = json_pack("{s:s,s:s,s:s,s:o}", "repository", repository, "revision", p->name.revision,
                          "commit", p->listing.commit, "files", files);
    free(repository);
    return o;
}

/* Whether a folder's record lists a file with the very bytes, and they are there in full length. */
static bool record_has(const json_t *record, const char *dir, const struct listed *f) {
    const json_t *files = json_object_get(record, "files");
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *x = json_array_get(files, i);
        const char *path = json_string_value(json_object_get(x, "path"));
        const char *hash =
            json_string_value(json_object_get(x, f->kind == DIGEST_SHA256 ? "sha256" : "git_blob"));
        if (!path || strcmp(path, f->path) != 0 || !hash || strcmp(hash, f->hash) != 0) continue;
        struct stat st;
        char *place = place_of(dir, f);
        const bool right = stat(place, &st) == 0 && (uint64_t)st.st_size == f->n_bytes;
        free(place);
        return right;
    }
    return false;
}

/* True: the place holds just this. What it holds of it is linked into the folder under way otherwise. */
static bool is_here(struct pull *p) {
    char *path = file_join(p->final, record_name);
    struct err none = {0};
    json_t *record = json_read_file(path, RECORD_BYTES_MAX, &none);
    int n_same = 0;
    for (int i = 0; record && i < p->wanted.n_files; i++)
        n_same += record_has(record, p->final, p->wanted.files[i]);
    const bool same = record && n_same == p->wanted.n_files &&
                      json_array_size(json_object_get(record, "files")) == (size_t)n_same;
    for (int i = 0; record && !same && i < p->wanted.n_files; i++) {
        const struct listed *f = p->wanted.files[i];
        if (!record_has(record, p->final, f)) continue;
        char *from = place_of(p->final, f), *to = place_of(p->part, f);
        const bool linked = link(from, to) == 0; /* if not, it is downloaded */
        UNUSED(linked);
        free(from);
        free(to);
    }
    json_decref(record);
    free(path);
    return same;
}

/* ---- the work ---- */

static bool on_told(void *ctx, uint64_t n_bytes, uint64_t n_came, const char *waits) {
    struct pull *p = ctx;
    p->told.n_bytes = p->n_bytes_before + (p->told.n_files > 0 ? (double)n_bytes : 0);
    p->told.n_bytes_came = (double)n_came;
    p->told.waits = waits;
    return !p->o->progress || p->o->progress(p->o->ctx, &p->told);
}

static bool read_listing(struct pull *p, struct err *e) {
    struct buf url = {0}, text = {0};
    buf_printf(&url, "%s/api/models/%s/%s/revision/", p->endpoint, p->name.owner, p->name.repository);
    name_add_url(&url, p->name.revision, false);
    buf_add_str(&url, STR("?blobs=true"));
    p->told.file = "the list of files";
    const bool done = fetch_text(p->fetch, buf_cstr(&url), p->repository, LISTING_BYTES_MAX, &text, e) &&
                      listing_read(buf_str(&text), p->repository, &p->listing, e);
    buf_free(&url);
    buf_free(&text);
    return done;
}

static char *file_url(const struct pull *p, const char *path) {
    struct buf url = {0};
    buf_printf(&url, "%s/%s/%s/resolve/%s/", p->endpoint, p->name.owner, p->name.repository,
               p->listing.commit);
    name_add_url(&url, path, true);
    return buf_take(&url);
}

/* The index is read before the files are chosen, so it is verified in memory. */
static bool read_index(struct pull *p, const struct listed *f, struct buf *out, struct err *e) {
    char *url = file_url(p, f->path), hash[DIGEST_HEX_MAX];
    bool done = fetch_text(p->fetch, url, f->path, INDEX_BYTES_MAX, out, e);
    if (done && f->hash[0]) {
        struct digest *d = digest_new(f->kind, out->len);
        digest_add(d, out->ptr, out->len);
        digest_end(d, hash);
        if (strcmp(hash, f->hash) != 0)
            done = err_set(e, ERR_SERVICE, "%s: %s: its bytes are not those that the hub lists",
                           p->repository, f->path);
    }
    free(url);
    return done;
}

static bool choose(struct pull *p, struct err *e) {
    struct buf index = {0};
    const struct listed *f = p->name.file ? NULL : listing_index(&p->listing);
    bool done = !f || read_index(p, f, &index, e);
    if (done)
        done = p->name.file ? listing_choose_file(&p->listing, p->name.file, p->repository, &p->wanted, e)
                            : listing_choose(&p->listing, buf_str(&index), p->repository, &p->wanted, e);
    buf_free(&index);
    return done;
}

static bool bring_file(struct pull *p, const struct listed *f, struct err *e) {
    char *url = file_url(p, f->path), *path = place_of(p->part, f);
    struct buf what = {0};
    buf_printf(&what, "%s: %s", p->repository, f->path);
    p->told.file = f->path;
    const bool done = fetch_file(
        p->fetch, url, buf_cstr(&what),
        &(struct fetch_file){.path = path, .n_bytes = f->n_bytes, .kind = f->kind, .hash = f->hash}, e);
    p->n_bytes_before += (double)f->n_bytes;
    buf_free(&what);
    free(url);
    free(path);
    return done;
}

/* Files of an earlier commit that broke off. */
static void remove_strangers(const struct pull *p) {
    DIR *d = opendir(p->part);
    for (struct dirent *x; d && (x = readdir(d));) {
        bool known = strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0;
        for (int i = 0; i < p->wanted.n_files && !known; i++)
            known = strcmp(x->d_name, base_name(p->wanted.files[i]->path)) == 0;
        char *path = file_join(p->part, x->d_name);
        if (!known) unlink(path);
        free(path);
    }
    if (d) closedir(d);
}

/* One rename where nothing is there; else the two folders change places, and the old one goes. */
static bool put_in_place(struct pull *p, struct err *e) {
    char *path = file_join(p->part, record_name);
    json_t *record = record_json(p);
    char *text = json_line(record);
    json_decref(record);
    remove_strangers(p);
    bool done = file_write_atomic(path, str_from(text), e);
    free(text);
    free(path);
    if (!done) return false;
    fsync(p->lock);
    if (renameat2(AT_FDCWD, p->part, AT_FDCWD, p->final, RENAME_NOREPLACE) == 0) return true;
    if (errno == EEXIST && renameat2(AT_FDCWD, p->part, AT_FDCWD, p->final, RENAME_EXCHANGE) == 0) {
        remove_folder(p->part);
        return true;
    }
    return err_set(e, ERR_SERVICE, "%s: cannot be put in its place: %s", p->final, strerror(errno));
}

static bool bring_all(struct pull *p, struct err *e) {
    p->told.n_files = p->wanted.n_files;
    for (int i = 0; i < p->wanted.n_files; i++) p->told.n_bytes_total += (double)p->wanted.files[i]->n_bytes;
    for (int i = 0; i < p->wanted.n_files; i++) {
        p->told.i_file = i;
        if (!bring_file(p, p->wanted.files[i], e)) return false;
    }
    return put_in_place(p, e);
}

static bool prepare(struct pull *p, const char *name, struct err *e) {
    if (!name_parse(name, &p->name, e) || (p->o->file && !name_set_file(&p->name, p->o->file, e)) ||
        !read_token(&p->token, e) || !read_endpoint(p, e) || !(p->root = name_root(e)))
        return false;
    struct buf b = {0};
    buf_printf(&b, "%s/%s@%s", p->name.owner, p->name.repository, p->name.revision);
    p->repository = buf_take(&b);
    p->text = name_text(&p->name);
    p->final = name_folder(&p->name, p->root);
    p->part = name_part(&p->name, p->root);
    const struct fetch_watch watch = {on_told, p, p->o->wait_seconds};
    p->fetch = fetch_new(p->endpoint, p->token, &watch, e);
    return p->fetch != NULL;
}

static void pull_fini(struct pull *p) {
    fetch_free(p->fetch);
    if (p->lock >= 0) close(p->lock);
    if (p->token) memset(p->token, 0, strlen(p->token));
    wanted_fini(&p->wanted);
    listing_fini(&p->listing);
    name_fini(&p->name);
    char *const all[] = {p->text, p->repository, p->endpoint, p->token, p->root, p->final, p->part};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) free(all[i]);
}

bool hub_pull(const char *name, const struct hub_options *o, struct hub_pulled *out, struct err *e) {
    struct pull p = {.o = o, .lock = -1};
    *out = (struct hub_pulled){0};
    bool done = prepare(&p, name, e) && read_listing(&p, e) && choose(&p, e) && lock_part(&p, e);
    if (!done) goto done;
    out->was_here = is_here(&p);
    if (out->was_here)
        remove_folder(p.part);
    else
        done = check_space(&p, e) && bring_all(&p, e);
    if (!done) {
        rmdir(p.part); /* if nothing came */
        goto done;
    }
    out->path = name_model_path(&p.name, p.final);
    out->name = mem_strdup(p.text);
    memcpy(out->commit, p.listing.commit, sizeof out->commit);
    out->n_files = p.wanted.n_files;
    out->is_pickle = p.wanted.is_pickle;
    for (int i = 0; i < p.wanted.n_files; i++) out->n_bytes += (double)p.wanted.files[i]->n_bytes;
    out->n_bytes_came = (double)fetch_bytes_came(p.fetch);
done:
    pull_fini(&p);
    return done;
}

void hub_pulled_fini(struct hub_pulled *p) {
    free(p->path);
    free(p->name);
    *p = (struct hub_pulled){0};
}
