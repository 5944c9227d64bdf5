/* file.c - see file.h. zlib's reader passes plain bytes through, so one path reads both. */
#include "base/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/rng.h"

#define CHUNK_BYTES ((size_t)128 << 10)

static const char *shown_name(const char *path) {
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static gzFile open_reader(const char *path, struct err *e) {
    int fd =
        strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_set(e, ERR_INPUT, "%s: cannot open: %m", shown_name(path));
        return NULL;
    }
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        err_set(e, ERR_INPUT, "%s: is a folder, expected a file", shown_name(path));
        return NULL;
    }
    gzFile gz = gzdopen(fd, "rb");
    ASSERT(gz);
    return gz;
}

/* Up to n bytes; 0 at the end, -1 with *e set for disk errors and damaged or cut-off gzip content. */
static ptrdiff_t read_some(gzFile gz, const char *path, void *into, size_t n, struct err *e) {
    int got = gzread(gz, into, (unsigned)MIN(n, (size_t)1 << 30));
    if (got > 0) return got;
    int code;
    const char *why = gzerror(gz, &code);
    if (code == Z_OK || code == Z_STREAM_END) return 0;
    if (code == Z_ERRNO)
        err_set(e, ERR_INPUT, "%s: cannot read: %m", shown_name(path));
    else
        err_set(e, ERR_INPUT, "%s: damaged gzip content: %s", shown_name(path), why);
    return -1;
}

bool file_read(const char *path, size_t n_bytes_max, struct buf *out, struct err *e) {
    gzFile gz = open_reader(path, e);
    if (!gz) return false;
    char *chunk = mem_alloc(CHUNK_BYTES);
    buf_clear(out);
    ptrdiff_t got;
    while ((got = read_some(gz, path, chunk, CHUNK_BYTES, e)) > 0) {
        if ((size_t)got > n_bytes_max - out->len) {
            got = -1;
            err_set(e, ERR_INPUT, "%s: larger than the %zu bytes allowed here", shown_name(path),
                    n_bytes_max);
            break;
        }
        buf_add(out, chunk, (size_t)got);
    }
    free(chunk);
    gzclose_r(gz);
    if (got < 0) buf_free(out);
    return got == 0;
}

bool file_write_all(int fd, struct str content) {
    for (size_t done = 0; done < content.len;) {
        ssize_t n = write(fd, content.ptr + done, content.len - done);
        if (n < 0 && errno != EINTR) return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* A rename is on disk once its folder is; not every file system can sync a folder, so this is a best effort.
 */
static void sync_folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    char *dir = slash ? str_dup((struct str){path, (size_t)(slash - path) + 1}) : mem_strdup(".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!fsync(fd);
        close(fd);
    }
    free(dir);
}

/* A new file beside path, with the name in *name. */
static int open_beside(const char *path, struct buf *name) {
    for (int i_try = 0; i_try < 1000; i_try++) {
        buf_clear(name);
        buf_printf(name, "%s.%ld-%d.tmp", path, (long)getpid(), i_try);
        int fd = open(buf_cstr(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

static bool replace(const char *path, const struct stat *old, struct str content, struct err *e) {
    struct buf name = {0};
    int fd = open_beside(path, &name);
    if (fd < 0) {
        err_set(e, ERR_INPUT, "%s: cannot write here: %m", path);
        buf_free(&name);
        return false;
    }
    bool done =
        (!old || fchmod(fd, old->st_mode & 07777) == 0) && file_write_all(fd, content) && fsync(fd) == 0;
    int why = errno;
    if (close(fd) != 0 && done) done = false, why = errno;
    if (done && rename(buf_cstr(&name), path) != 0) done = false, why = errno;
    if (done) {
        sync_folder_of(path);
    } else {
        unlink(buf_cstr(&name));
        errno = why;
        err_set(e, ERR_SERVICE, "%s: cannot write: %m", path);
    }
    buf_free(&name);
    return done;
}

bool file_write_atomic(const char *path, struct str content, struct err *e) {
    struct stat st;
    if (stat(path, &st) != 0) return replace(path, NULL, content, e);
    if (S_ISREG(st.st_mode)) {
        char *target = realpath(path, NULL);
        bool done = replace(target ? target : path, &st, content, e);
        free(target);
        return done;
    }
    if (S_ISDIR(st.st_mode)) return err_set(e, ERR_INPUT, "%s: is a folder, expected a file to write", path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return err_set(e, ERR_INPUT, "%s: cannot write here: %m", path);
    bool done = file_write_all(fd, content) || err_set(e, ERR_SERVICE, "%s: cannot write: %m", path);
    close(fd);
    return done;
}

static uint64_t identity_of(const struct stat *st) {
    const int64_t parts[] = {(int64_t)st->st_dev,          (int64_t)st->st_ino,
                             (int64_t)st->st_size,         (int64_t)st->st_mtim.tv_sec,
                             (int64_t)st->st_mtim.tv_nsec, (int64_t)st->st_ctim.tv_sec,
                             (int64_t)st->st_ctim.tv_nsec};
    return rng_hash(0, parts, sizeof parts);
}

bool file_map(const char *path, struct file_map *out, struct err *e) {
    *out = (struct file_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not waited for */
    if (fd < 0) return err_set(e, ERR_INPUT, "%s: cannot open: %m", path);
    struct stat st;
    bool done = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (!done) err_set(e, ERR_INPUT, "%s: is not a regular file", path);
    if (done && st.st_size > 0) {
        void *ptr = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (ptr == MAP_FAILED)
            done = err_set(e, ERR_INPUT, "%s: cannot map %lld bytes: %m", path, (long long)st.st_size);
        else
            *out = (struct file_map){ptr, (size_t)st.st_size, identity_of(&st)};
    }
    close(fd);
    return done;
}

void file_unmap(struct file_map *m) {
    if (m->ptr) munmap((void *)(uintptr_t)m->ptr, m->n_bytes);
    *m = (struct file_map){0};
}

void file_map_used(const struct file_map *m, const void *ptr, size_t n_bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = ((uintptr_t)ptr + page - 1) / page * page,
                    end = ((uintptr_t)ptr + n_bytes) / page * page;
    ASSERT((const unsigned char *)ptr >= m->ptr && n_bytes <= m->n_bytes);
    if (begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED); /* advice: it may be ignored */
}

bool file_check_pointer(struct str content, const char *path, struct err *e) {
    if (!str_starts(content, STR("version https://git-lfs"))) return true;
    return err_set(e, ERR_INPUT,
                   "%s: this is a Git LFS pointer, not the file: run 'git lfs pull' in its folder", path);
}

bool file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

bool file_is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *file_join(const char *dir, const char *name) {
    struct buf b = {0};
    buf_add_str(&b, str_from(dir));
    if (b.len && b.ptr[b.len - 1] != '/') buf_add_char(&b, '/');
    buf_add_str(&b, str_from(name));
    return buf_take(&b);
}

struct file_lines {
    gzFile gz;
    char *path;
    char *data; /* [at, len) is read but not yet returned */
    size_t at, len, cap;
    size_t number;
    bool at_end, begun;
    bool of_list, closed; /* elements of one JSON list stand for lines; its bracket has come */
};

struct file_lines *file_lines_open(const char *path, struct err *e) {
    gzFile gz = open_reader(path, e);
    if (!gz) return NULL;
    struct file_lines *f = mem_zalloc(1, sizeof *f);
    f->gz = gz;
    f->path = mem_strdup(path);
    return f;
}

/* Reads one more chunk behind the data at hand. */
static bool refill(struct file_lines *f, struct err *e) {
    if (f->at > 0) {
        memmove(f->data, f->data + f->at, f->len - f->at);
        f->len -= f->at;
        f->at = 0;
    }
    MEM_GROW(f->data, f->cap, f->len + CHUNK_BYTES);
    ptrdiff_t got = read_some(f->gz, f->path, f->data + f->len, CHUNK_BYTES, e);
    if (got < 0) return err_wrap(e, "after line %zu", f->number);
    f->at_end = got == 0;
    f->len += (size_t)got;
    return true;
}

/* What people give in place of lines of JSON, by its first bytes. */
static const struct {
    const char *magic, *what;
} others[] = {
    {"PAR1", "a Parquet file: write it as JSON lines first, in Python: "
             "pandas.read_parquet(FILE).to_json('task.jsonl', orient='records', lines=True)"},
    {"PK\3\4", "a zip archive: unpack it first"},
    {"\x28\xb5\x2f\xfd", "compressed (zstd): unpack it first; gzip alone is read as it is"},
    {"\xfd"
     "7zXZ",
     "compressed (xz): unpack it first; gzip alone is read as it is"},
    {"BZh", "compressed (bzip2): unpack it first; gzip alone is read as it is"},
    {"SQLite format 3", "a SQLite file, such as a run: not lines of JSON (brood report reads runs)"},
    {"<!", "a web page, not the file: fetch its raw content"},
};

/* Looks at the first bytes: a byte order mark is skipped, a list begins, or the file is something else. */
static bool begin(struct file_lines *f, struct err *e) {
    while (!f->at_end && f->len - f->at < 64)
        if (!refill(f, e)) return false;
    const struct str head = {f->data + f->at, f->len - f->at};
    if (!file_check_pointer(head, shown_name(f->path), e)) return false;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (str_starts(head, str_from(others[i].magic)))
            return err_set(e, ERR_INPUT, "%s: is %s", shown_name(f->path), others[i].what);
    if (str_starts(head, STR("\xef\xbb\xbf"))) f->at += 3;
    const struct str text = str_trim((struct str){f->data + f->at, f->len - f->at});
    f->of_list = str_starts(text, STR("["));
    if (f->of_list) f->at = (size_t)(text.ptr - f->data) + 1;
    f->begun = true;
    return true;
}

static int next_line(struct file_lines *f, struct str *line, struct err *e) {
    const char *end;
    size_t n, n_seen = 0;
    for (;; n_seen = n) {
        n = f->len - f->at;
        end = n > n_seen ? memchr(f->data + f->at + n_seen, '\n', n - n_seen) : NULL;
        if (end) n = (size_t)(end - f->data) - f->at;
        if (n > FILE_LINE_MAX) {
            err_set(e, ERR_INPUT, "%s:%zu: line longer than %zu MiB", shown_name(f->path), f->number + 1,
                    FILE_LINE_MAX >> 20);
            return -1;
        }
        if (end || f->at_end) break;
        if (!refill(f, e)) return -1;
    }
    if (!end && n == 0) return 0;
    *line = (struct str){f->data + f->at, n};
    if (n > 0 && line->ptr[n - 1] == '\r') line->len--;
    f->at += n + (end != NULL);
    f->number++;
    return 1;
}

/* How far an element of a list has been read. */
struct element {
    size_t n; /* bytes */
    int depth;
    bool in_text, escaped;
};

/* Goes on through what is at hand; true at the comma or bracket behind the element. Line breaks, which stand
 * between its parts, become blanks: what is given on is one line. */
static bool scan_element(struct file_lines *f, struct element *x) {
    for (; f->at + x->n < f->len; x->n++) {
        char *c = &f->data[f->at + x->n];
        if (*c == '\n' || *c == '\r') *c = ' ';
        if (x->in_text) {
            x->in_text = x->escaped || *c != '"';
            x->escaped = !x->escaped && *c == '\\';
        } else if (*c == '"') {
            x->in_text = true;
        } else if (*c == '{' || *c == '[') {
            x->depth++;
        } else if (x->depth <= 0 && (*c == ',' || *c == ']')) {
            return true;
        } else if (*c == '}' || *c == ']') {
            x->depth--;
        }
    }
    return false;
}

/* 0 if nothing stands behind the list. */
static int end_list(struct file_lines *f, struct err *e) {
    for (;; f->at++) {
        while (f->at == f->len && !f->at_end)
            if (!refill(f, e)) return -1;
        if (f->at == f->len) return 0;
        if (isspace((unsigned char)f->data[f->at])) continue;
        err_set(e, ERR_INPUT, "%s: something stands behind the list of %zu elements that it begins with",
                shown_name(f->path), f->number);
        return -1;
    }
}

static int next_element(struct file_lines *f, struct str *line, struct err *e) {
    struct element x = {0};
    if (f->closed) return end_list(f, e);
    while (!scan_element(f, &x)) {
        if (x.n > FILE_LINE_MAX || f->at_end) {
            err_set(e, ERR_INPUT,
                    f->at_end
                        ? "%s: the list that it begins with does not end: the file is cut off, or not JSON"
                        : "%s: element %zu of the list is longer than %zu MiB",
                    shown_name(f->path), f->number + 1, FILE_LINE_MAX >> 20);
            return -1;
        }
        if (!refill(f, e)) return -1;
    }
    *line = str_trim((struct str){f->data + f->at, x.n});
    const bool last = f->data[f->at + x.n] == ']', empty = line->len == 0;
    f->at += x.n + 1;
    f->closed = last;
    if (empty && last && f->number == 0) return end_list(f, e);
    f->number++;
    return 1;
}

int file_lines_next(struct file_lines *f, struct str *line, struct err *e) {
    if (!f->begun && !begin(f, e)) return -1;
    return f->of_list ? next_element(f, line, e) : next_line(f, line, e);
}

size_t file_lines_number(const struct file_lines *f) {
    return f->number;
}

void file_lines_close(struct file_lines *f) {
    if (!f) return;
    gzclose_r(f->gz);
    free(f->path);
    free(f->data);
    free(f);
}

bool file_lines_each(const char *path,
                     bool (*take)(void *ctx, struct str line, const char *where, struct err *e), void *ctx,
                     struct err *e) {
    struct file_lines *lines = file_lines_open(path, e);
    struct buf where = {0};
    struct str line;
    bool ok = lines != NULL;
    int got = 0;
    while (ok && (got = file_lines_next(lines, &line, e)) > 0) {
        if (str_trim(line).len == 0) continue;
        buf_clear(&where);
        buf_printf(&where, "%s:%zu", path, file_lines_number(lines));
        ok = take(ctx, line, buf_cstr(&where), e);
    }
    buf_free(&where);
    file_lines_close(lines);
    return ok && got == 0;
}
