#include "model/quantise.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "model/family.h"
#include "model/gguf.h"
#include "model/weights.h"

#define CHUNK_BYTES ((size_t)8 << 20)
enum { ALIGNMENT = 32, WORKERS_MAX = 64 };
static const char version_key[] = "brood.weights.version", name_key[] = "brood.weights.key";

static struct {
    quantise_told *told;
    void *ctx;
} watch;

void quantise_watch(quantise_told *told, void *ctx) {
    watch.told = told;
    watch.ctx = ctx;
}

bool quantise_parse(const char *name, enum dtype *out, struct err *e) {
    for (int t = 0; t < DTYPE_COUNT; t++) {
        *out = (enum dtype)t;
        if ((dtype_is_written(*out) || t == DTYPE_BF16) && strcasecmp(name, dtype_name(*out)) == 0)
            return true;
    }
    return err_set(e, ERR_INPUT,
                   "weights %s: give bf16, q8_0, q5_1, q5_0, q4_1, q4_0, or file for those of the file",
                   name);
}

/* ---- what becomes what ---- */

struct job {
    struct model *m;
    enum dtype type;
    uint64_t key;
    char *path;     /* of the cached file */
    int *tensors;   /* [n] which tensors are quantised, by name */
    enum dtype *to; /* [n] */
    int n;
    double n_bytes, n_done; /* of the source */
    int n_threads;
    struct pool *pool;
};

static bool is_outer(const struct tensor *t) {
    return strcmp(t->name, "model.embed_tokens.weight") == 0 || strcmp(t->name, "lm_head.weight") == 0;
}

static bool is_layer(const struct tensor *t) {
    return strncmp(t->name, "model.layers.", 13) == 0;
}

static enum dtype type_of(const struct tensor *t, enum dtype wanted) {
    return is_outer(t) ? DTYPE_Q8_0 : wanted;
}

static bool list_tensors(struct job *j, struct err *e) {
    const struct model *m = j->m;
    j->tensors = mem_zalloc((size_t)m->n_tensors + 1, sizeof *j->tensors);
    j->to = mem_zalloc((size_t)m->n_tensors + 1, sizeof *j->to);
    for (int i = 0; i < m->n_tensors; i++) {
        const struct tensor *t = &m->tensors[i];
        if (family_ignores(&m->config, t->name) || t->n_dims != 2 || (!is_outer(t) && !is_layer(t)) ||
            t->shape[1] % CODED_BLOCK != 0)
            continue;
        if (dtype_coding(t->dtype)) {
            if (t->dtype == j->type || is_outer(t)) continue;
            return err_set(e, ERR_INPUT,
                           "%s: its weights are coded already (%s is %s); take them as they are", m->path,
                           t->name, dtype_name(t->dtype));
        }
        j->tensors[j->n] = i;
        j->to[j->n++] = type_of(t, j->type);
        j->n_bytes += (double)t->n_bytes;
    }
    return true;
}

static size_t coded_bytes(const struct tensor *t, enum dtype to) {
    return (size_t)t->shape[0] * (size_t)(t->shape[1] / CODED_BLOCK) * dtype_block_bytes(to);
}

static uint64_t key_of(const struct model *m, enum dtype type) {
    const struct weights *w = m->mappings;
    const int rule[] = {QUANTISE_VERSION, (int)type};
    uint64_t h = rng_hash(m->content_hash, rule, sizeof rule);
    for (size_t i = 0; i < w->n_maps; i++) h = rng_hash(h, &w->maps[i].identity, sizeof w->maps[i].identity);
    return h;
}

/* ---- where ---- */

static bool make_folders(char *path, struct err *e) {
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        const bool made = mkdir(path, 0777) == 0 || errno == EEXIST;
        if (!made) err_set(e, ERR_INPUT, "%s: cannot make this folder for quantised weights: %m", path);
        *slash = '/';
        if (!made) return false;
    }
    return true;
}

static bool find_place(struct job *j, struct err *e) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const bool has_cache = cache && cache[0] == '/', has_home = home && home[0] == '/';
    if (!has_cache && !has_home)
        return err_set(
            e, ERR_INPUT,
            "no place for quantised weights: set XDG_CACHE_HOME to a folder (its whole path), or HOME");
    struct buf path = {0};
    buf_printf(&path, "%s%s/brood/weights/%016llx-", has_cache ? cache : home, has_cache ? "" : "/.cache",
               (unsigned long long)j->key);
    for (const char *c = dtype_name(j->type); *c; c++)
        buf_add_char(&path, (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c));
    buf_add_str(&path, STR(".gguf"));
    j->path = buf_take(&path);
    return make_folders(j->path, e);
}

/* ---- reading ---- */

static bool has_key(const struct gguf *g, uint64_t key) {
    struct err e;
    int64_t version;
    struct str text;
    char wanted[24];
    snprintf(wanted, sizeof wanted, "%016llx", (unsigned long long)key);
    return gguf_want_int(g, version_key, 0, INT32_MAX, &version, &e) && version == QUANTISE_VERSION &&
           gguf_get_string(g, name_key, &text, &e) && str_equal(text, str_from(wanted));
}

/* The data of each tensor; false if any is missing or not as expected. */
static bool match(const struct job *j, const struct gguf *g, const struct tensor **found) {
    if (!has_key(g, j->key) || g->n_tensors != (size_t)j->n) return false;
    for (int i = 0; i < j->n; i++) { /* both are sorted by name */
        const struct tensor *t = &j->m->tensors[j->tensors[i]], *x = &g->tensors[i].t;
        if (!str_equal(g->tensors[i].name, str_from(t->name)) || x->dtype != j->to[i] || x->n_dims != 2 ||
            x->shape[0] != t->shape[0] || x->shape[1] != t->shape[1])
            return false;
        found[i] = x;
    }
    return true;
}

/* Takes the cached file if it is there and good. */
static bool take_cached(struct job *j) {
    struct err e;
    struct file_map map;
    struct gguf g;
    if (!file_exists(j->path) || !file_map(j->path, &map, &e)) return false;
    if (!gguf_parse(map.ptr, map.n_bytes, j->path, &g, &e)) {
        file_unmap(&map);
        return false;
    }
    const struct tensor **found = mem_zalloc((size_t)j->n + 1, sizeof(*found));
    const bool good = match(j, &g, found);
    for (int i = 0; good && i < j->n; i++) {
        struct tensor *t = &j->m->tensors[j->tensors[i]];
        t->dtype = found[i]->dtype;
        t->data = found[i]->data;
        t->n_bytes = found[i]->n_bytes;
    }
    free((void *)found);
    gguf_fini(&g);
    if (good)
        weights_add_map(j->m->mappings, map);
    else
        file_unmap(&map);
    return good;
}

/* ---- writing ---- */

static void add_u32(struct buf *b, uint32_t x) {
    buf_add(b, &x, sizeof x);
}

static void add_u64(struct buf *b, uint64_t x) {
    buf_add(b, &x, sizeof x);
}

static void add_text(struct buf *b, const char *s) {
    add_u64(b, strlen(s));
    buf_add_str(b, str_from(s));
}

static size_t aligned(size_t n) {
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The header, up to the data. */
static void put_header(const struct job *j, struct buf *b) {
    static const uint32_t numbers[] = {
        [DTYPE_Q4_0] = 2, [DTYPE_Q4_1] = 3, [DTYPE_Q5_0] = 6, [DTYPE_Q5_1] = 7, [DTYPE_Q8_0] = 8};
    char key[24];
    uint64_t at = 0;
    snprintf(key, sizeof key, "%016llx", (unsigned long long)j->key);
    buf_add_str(b, STR("GGUF"));
    add_u32(b, 3);
    add_u64(b, (uint64_t)j->n);
    add_u64(b, 2);
    add_text(b, version_key);
    add_u32(b, GGUF_U32);
    add_u32(b, QUANTISE_VERSION);
    add_text(b, name_key);
    add_u32(b, GGUF_STRING);
    add_text(b, key);
    for (int i = 0; i < j->n; i++) {
        const struct tensor *t = &j->m->tensors[j->tensors[i]];
        add_text(b, t->name);
        add_u32(b, 2);
        add_u64(b, (uint64_t)t->shape[1]);
        add_u64(b, (uint64_t)t->shape[0]);
        add_u32(b, numbers[j->to[i]]);
        add_u64(b, at);
        at += aligned(coded_bytes(t, j->to[i]));
    }
    while (b->len % ALIGNMENT) buf_add_char(b, 0);
}

static bool write_all(int fd, const void *bytes, size_t n) {
    for (const char *at = bytes; n > 0;) {
        const ssize_t done = write(fd, at, MIN(n, (size_t)1 << 30));
        if (done < 0 && errno != EINTR) return false;
        at += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

struct rows { /* of one tensor, as the file has them */
    const struct tensor *t;
    enum dtype to;
    int64_t first, n;
    unsigned char *out;
    int64_t bad[WORKERS_MAX]; /* the first row with no finite numbers, or -1 */
};

static void quantise_rows(void *ctx, int i_worker, int n_workers) {
    struct rows *r = ctx;
    const size_t n_in = (size_t)r->t->shape[1], from = tensor_row_bytes(r->t),
                 to = n_in / CODED_BLOCK * dtype_block_bytes(r->to);
    float *x = mem_alloc(n_in * sizeof *x);
    int64_t begin, end;
    pool_share(r->n, 1, i_worker, n_workers, &begin, &end);
    r->bad[i_worker] = -1;
    for (int64_t i = begin; i < end && r->bad[i_worker] < 0; i++) {
        dtype_to_f32(x, (const char *)r->t->data + (size_t)(r->first + i) * from, r->t->dtype, n_in);
        if (dtype_is_finite(x, DTYPE_F32, n_in))
            dtype_from_f32(r->out + (size_t)i * to, r->to, x, n_in);
        else
            r->bad[i_worker] = r->first + i;
    }
    free(x);
}

static bool check_rows(const struct job *j, const struct rows *r, struct err *e) {
    for (int i = 0; i < pool_size(j->pool); i++) {
        if (r->bad[i] < 0) continue;
        return err_set(e, ERR_INPUT,
                       "%s: tensor %s has a weight in row %lld that is not a finite number: the file is "
                       "damaged, download it again",
                       j->m->path, r->t->name, (long long)r->bad[i]);
    }
    return true;
}

static bool refuse_write(const struct job *j, struct err *e) {
    return err_set(e, ERR_SERVICE,
                   "%s: cannot write the quantised weights: %m; free some room, or set XDG_CACHE_HOME to a "
                   "folder that has it",
                   j->path);
}

static bool write_tensor(struct job *j, int fd, const struct tensor *t, enum dtype to, unsigned char *buffer,
                         struct err *e) {
    const size_t row = (size_t)(t->shape[1] / CODED_BLOCK) * dtype_block_bytes(to);
    const int64_t n_at_once = MAX((int64_t)(CHUNK_BYTES / row), 1);
    static const char zeros[ALIGNMENT] = {0};
    const size_t n_bytes = coded_bytes(t, to);
    for (int64_t i = 0; i < t->shape[0]; i += n_at_once) {
        struct rows r = {.t = t, .to = to, .first = i, .n = MIN(n_at_once, t->shape[0] - i), .out = buffer};
        pool_run(j->pool, quantise_rows, &r);
        model_rows_used(j->m, t, i, r.n);
        if (!check_rows(j, &r, e)) return false;
        if (!write_all(fd, buffer, (size_t)r.n * row)) return refuse_write(j, e);
        j->n_done += (double)r.n * (double)tensor_row_bytes(t);
        if (watch.told) watch.told(watch.ctx, j->m->path, j->n_done / j->n_bytes);
    }
    return write_all(fd, zeros, aligned(n_bytes) - n_bytes) || refuse_write(j, e);
}

static bool write_file(struct job *j, int fd, struct err *e) {
    struct buf header = {0};
    size_t n_total = 0, n_row = 0;
    put_header(j, &header);
    for (int i = 0; i < j->n; i++) {
        const struct tensor *t = &j->m->tensors[j->tensors[i]];
        n_total += aligned(coded_bytes(t, j->to[i]));
        n_row = MAX(n_row, (size_t)(t->shape[1] / CODED_BLOCK) * dtype_block_bytes(j->to[i]));
    }
    unsigned char *buffer = mem_alloc(MAX(CHUNK_BYTES, n_row));
    errno = posix_fallocate(fd, 0, (off_t)(header.len + n_total)); /* a full disk is known at once */
    bool done = errno == 0 || errno == EOPNOTSUPP || errno == EINVAL || refuse_write(j, e);
    done = done && (write_all(fd, header.ptr, header.len) || refuse_write(j, e));
    for (int i = 0; done && i < j->n; i++)
        done = write_tensor(j, fd, &j->m->tensors[j->tensors[i]], j->to[i], buffer, e);
    done = done && (fsync(fd) == 0 || refuse_write(j, e));
    buf_free(&header);
    free(buffer);
    return done;
}

/* Opens and locks the file that becomes the cached one; -1 on failure. The lock may have been waited for
 * while another process made the cached file: then the locked one is no longer where it was. */
static int lock_part(const char *part) {
    for (;;) {
        const int fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        struct stat mine, there;
        if (fd < 0) return -1;
        if (flock(fd, LOCK_EX) == 0 && fstat(fd, &mine) == 0 && stat(part, &there) == 0 &&
            mine.st_ino == there.st_ino && mine.st_dev == there.st_dev)
            return fd;
        close(fd);
    }
}

static bool make_cached(struct job *j, struct err *e) {
    struct buf part = {0};
    buf_printf(&part, "%s.part", j->path);
    const int fd = lock_part(buf_cstr(&part));
    bool done = fd >= 0 || refuse_write(j, e);
    if (done && !take_cached(j)) {
        j->pool = pool_new(MIN(j->n_threads, WORKERS_MAX));
        done = (ftruncate(fd, 0) == 0 || refuse_write(j, e)) && write_file(j, fd, e) &&
               (rename(buf_cstr(&part), j->path) == 0 || refuse_write(j, e));
        pool_free(j->pool);
        if (done && !take_cached(j))
            done = err_set(e, ERR_SERVICE, "%s: what was just written there cannot be read", j->path);
    }
    if (fd >= 0 && file_exists(buf_cstr(&part))) unlink(buf_cstr(&part));
    if (fd >= 0) close(fd);
    buf_free(&part);
    return done;
}

static bool take_or_make(struct job *j, struct err *e) {
    j->key = key_of(j->m, j->type);
    return find_place(j, e) && (take_cached(j) || make_cached(j, e));
}

static void mark_tensors(const struct job *j) {
    for (int i = 0; i < j->n; i++) j->m->tensors[j->tensors[i]].rounds_inputs = true;
}

bool quantise_model(struct model *m, enum dtype type, int n_threads, struct err *e) {
    struct job j = {.m = m, .type = type, .n_threads = n_threads > 0 ? n_threads : pool_cores()};
    bool done = list_tensors(&j, e);
    if (done && j.n > 0) {
        if (type == DTYPE_BF16)
            mark_tensors(&j);
        else
            done = take_or_make(&j, e);
        if (done)
            m->content_hash =
                rng_hash(m->content_hash, &(int[]){QUANTISE_VERSION, (int)type}, 2 * sizeof(int));
    }
    free(j.tensors);
    free(j.to);
    free(j.path);
    return done;
}

bool quantise_named(struct model *m, const char *name, int n_threads, struct err *e) {
    enum dtype type;
    if (!name || strcasecmp(name, "file") == 0) return true;
    return quantise_parse(name, &type, e) && quantise_model(m, type, n_threads, e);
}
