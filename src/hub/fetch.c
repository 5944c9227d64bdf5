/* fetch.c - see fetch.h. */
#include "hub/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

enum {
    CONNECT_MS = 20000,
    STALL_SECONDS = 60, /* without a byte: the connection counts as broken */
    REDIRECTS_MAX = 8,
    TRIES_MAX = 6, /* in a row that brought no byte further */
    READ_BYTES = 1 << 18,
    SLICE_MS = 100, /* of waiting, between looks at whether to stop */
};
static const double wait_seconds_max = 30, retry_after_max = 120;

enum outcome { OUTCOME_DONE, OUTCOME_AGAIN, OUTCOME_FAILED };

/* What one request's bytes do. */
struct sink {
    struct buf *text; /* into memory, n_bytes_max at most; else: */
    size_t n_bytes_max;
    int fd;
    const struct fetch_file *file;
    struct digest *digest;
    uint64_t at;            /* bytes of the file that are here */
    bool begun, too_long;   /* the answer's first byte was looked at */
    const char *misbehaved; /* the answer does not fit what was asked for */
    int write_errno;
};

struct fetch {
    CURL *easy;
    struct curl_slist *plain, *with_token;
    char *endpoint;
    bool has_token, stopped;
    struct fetch_watch watch;
    struct sink *sink;
    uint64_t n_came;
    double retry_after;
    char reason[CURL_ERROR_SIZE];
};

static bool stopped(struct fetch *f, const char *waits) {
    const uint64_t at = f->sink ? f->sink->text ? f->sink->text->len : f->sink->at : 0;
    f->stopped = f->stopped || !f->watch.told(f->watch.ctx, at, f->n_came, waits);
    return f->stopped;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    UNUSED(a);
    UNUSED(b);
    UNUSED(c);
    UNUSED(d);
    return stopped(ctx, NULL);
}

struct fetch *fetch_new(const char *endpoint, const char *token, const struct fetch_watch *w, struct err *e) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        err_set(e, ERR_SERVICE, "libcurl cannot be used");
        return NULL;
    }
    struct fetch *f = mem_zalloc(1, sizeof *f);
    f->easy = curl_easy_init();
    ASSERT(f->easy);
    f->endpoint = mem_strdup(endpoint);
    f->watch = *w;
    if (token) {
        struct buf line = {0};
        buf_printf(&line, "Authorization: Bearer %s", token);
        f->with_token = curl_slist_append(NULL, buf_cstr(&line));
        f->has_token = true;
        memset(line.ptr, 0, line.len);
        buf_free(&line);
    }
    return f;
}

void fetch_free(struct fetch *f) {
    if (!f) return;
    curl_easy_cleanup(f->easy);
    if (f->with_token) memset(f->with_token->data, 0, strlen(f->with_token->data));
    curl_slist_free_all(f->with_token);
    curl_global_cleanup();
    free(f->endpoint);
    free(f);
}

uint64_t fetch_bytes_came(const struct fetch *f) {
    return f->n_came;
}

/* ---- where the token may go ---- */

static char *url_part(const char *url, CURLUPart part) {
    CURLU *u = curl_url();
    char *text = NULL, *copy = NULL;
    if (curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK)
        copy = mem_strdup(text);
    curl_free(text);
    curl_url_cleanup(u);
    return copy;
}

/* Scheme, host and port. */
static bool same_origin(const char *a, const char *b) {
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    bool same = true;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char *x = url_part(a, parts[i]), *y = url_part(b, parts[i]);
        same = same && x && y && strcasecmp(x, y) == 0;
        free(x);
        free(y);
    }
    return same;
}

static bool is_https(const char *url) {
    return strncasecmp(url, "https://", 8) == 0;
}

/* ---- bytes ---- */

static const char *header(struct fetch *f, const char *name) {
    struct curl_header *h = NULL;
    return curl_easy_header(f->easy, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

static bool restart(struct sink *s) {
    digest_free(s->digest);
    s->digest = digest_new(s->file->kind, s->file->n_bytes);
    s->at = 0;
    if (ftruncate(s->fd, 0) == 0 && lseek(s->fd, 0, SEEK_SET) == 0) return true;
    s->write_errno = errno;
    return false;
}

/* The first bytes of the body that was asked for: a server may send the whole although a part was asked for.
 */
static bool begin_file(struct fetch *f, struct sink *s, long status) {
    s->begun = true;
    if (status == 200) return s->at == 0 || restart(s);
    const char *range = header(f, "Content-Range");
    uint64_t from = 0;
    if (range && sscanf(range, " bytes %" SCNu64 "-", &from) == 1 && from == s->at) return true;
    s->misbehaved = "it sent another part of the file than was asked for";
    return false;
}

static bool write_all(struct sink *s, const char *bytes, size_t n) {
    for (size_t done = 0; done < n;) {
        const ssize_t k = write(s->fd, bytes + done, n - done);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return s->write_errno = errno, false;
        done += (size_t)k;
    }
    return true;
}

static size_t on_bytes(char *bytes, size_t one, size_t n, void *ctx) {
    struct fetch *f = ctx;
    struct sink *s = f->sink;
    long status = 0;
    UNUSED(one);
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206) return n; /* a page about an error, or a redirect's: not ours */
    if (s->text) {
        s->too_long = n > s->n_bytes_max - s->text->len;
        if (s->too_long) return 0;
        buf_add(s->text, bytes, n);
        return n;
    }
    if (!s->begun && !begin_file(f, s, status)) return 0;
    s->too_long = n > s->file->n_bytes - s->at;
    if (s->too_long || !write_all(s, bytes, n)) return 0;
    digest_add(s->digest, bytes, n);
    s->at += n;
    f->n_came += n;
    return n;
}

/* ---- one request, with its redirects ---- */

static void set_up(struct fetch *f, const char *url, const char *range) {
    CURL *x = f->easy;
    curl_easy_reset(x);
    curl_easy_setopt(x, CURLOPT_URL, url);
    curl_easy_setopt(x, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(x, CURLOPT_USERAGENT, "brood/" BROOD_VERSION);
    if (f->has_token && same_origin(url, f->endpoint)) curl_easy_setopt(x, CURLOPT_HTTPHEADER, f->with_token);
    if (range) curl_easy_setopt(x, CURLOPT_RANGE, range);
    curl_easy_setopt(x, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(x, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(x, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(x, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    curl_easy_setopt(x, CURLOPT_ERRORBUFFER, f->reason);
    curl_easy_setopt(x, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(x, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(x, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(x, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(x, CURLOPT_XFERINFODATA, f);
}

/* Where a redirect leads, owned; NULL with *why set if it is not followed. */
static char *next_url(struct fetch *f, const char *url, const char **why) {
    char *to = NULL;
    curl_easy_getinfo(f->easy, CURLINFO_REDIRECT_URL, &to);
    if (!to)
        *why = "a redirect leads nowhere";
    else if (is_https(url) && !is_https(to))
        *why = "a redirect leads from https to an unprotected address";
    else
        return mem_strdup(to);
    return NULL;
}

static bool is_redirect(long status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* The status of the answer; 0 with f->reason if there was none. */
static long request(struct fetch *f, const char *url, const char *range) {
    char *here = mem_strdup(url);
    long status = 0;
    for (int i = 0;; i++) {
        const char *why = NULL;
        f->reason[0] = '\0';
        set_up(f, here, range);
        const CURLcode code = curl_easy_perform(f->easy);
        status = 0;
        curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
        if (code != CURLE_OK) {
            if (!f->reason[0]) snprintf(f->reason, sizeof f->reason, "%s", curl_easy_strerror(code));
            status = 0;
            break;
        }
        if (!is_redirect(status)) break;
        char *next = i < REDIRECTS_MAX ? next_url(f, here, &why) : NULL;
        free(here);
        here = next;
        if (next) continue;
        if (!why) why = "too many redirects";
        if (f->sink) f->sink->misbehaved = why;
        status = 0;
        break;
    }
    free(here);
    curl_off_t after = 0;
    curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &after);
    f->retry_after = (double)after;
    return status;
}

static enum outcome refuse(struct fetch *f, long status, const char *url, const char *what, struct err *e) {
    const char *code = header(f, "X-Error-Code");
    char *host = url_part(url, CURLUPART_HOST);
    const bool is_gated = code && strcmp(code, "GatedRepo") == 0;
    if (status == 401 && !is_gated && f->has_token)
        err_set(e, ERR_INPUT, "%s: %s does not accept the token (401), or there is no such repository", what,
                host);
    else if (status == 401 && !is_gated)
        err_set(e, ERR_INPUT,
                "%s: no such repository, or a private one (401 from %s): check the name, or set HF_TOKEN",
                what, host);
    else if (status == 401 || status == 403)
        err_set(e, ERR_INPUT,
                "%s: access is refused (%ld from %s): accept the model's terms on its page there, and set "
                "HF_TOKEN to a token that may read it",
                what, status, host);
    else if (status == 404)
        err_set(e, ERR_INPUT, "%s: not found (404 from %s): check the name, the revision and the file", what,
                host);
    else
        err_set(e, ERR_SERVICE, "%s: %s answers with status %ld", what, host, status);
    free(host);
    return OUTCOME_FAILED;
}

/* AGAIN: another try may help; f->reason says what happened. */
static enum outcome judge(struct fetch *f, long status, const char *url, const char *what, struct err *e) {
    const struct sink *s = f->sink;
    if (f->stopped) {
        err_set(e, ERR_CANCELLED, "interrupted");
        return OUTCOME_FAILED;
    }
    if (s->write_errno) {
        err_set(e, ERR_SERVICE, "%s: cannot write: %s", s->file->path, strerror(s->write_errno));
        return OUTCOME_FAILED;
    }
    if (s->misbehaved || s->too_long) {
        err_set(e, ERR_SERVICE, "%s: the server cannot be used: %s", what,
                s->misbehaved ? s->misbehaved : "it sends more than it said there was");
        return OUTCOME_FAILED;
    }
    if (status == 200 || status == 206) return OUTCOME_DONE;
    if (status == 0) return OUTCOME_AGAIN;
    snprintf(f->reason, sizeof f->reason, "status %ld", status);
    if (status == 408 || status == 429 || status >= 500) return OUTCOME_AGAIN;
    return refuse(f, status, url, what, e);
}

/* False: stopped. */
static bool wait_before(struct fetch *f, int i_try, struct err *e) {
    double seconds = f->watch.wait_seconds;
    for (int i = 0; i < i_try && seconds < wait_seconds_max; i++) seconds *= 2;
    seconds = MAX(MIN(seconds, wait_seconds_max), MIN(f->retry_after, retry_after_max));
    char why[CURL_ERROR_SIZE + 16];
    snprintf(why, sizeof why, "%s", f->reason);
    for (const double end = clock_seconds() + seconds; !stopped(f, why) && clock_seconds() < end;)
        nanosleep(&(struct timespec){0, SLICE_MS * 1000000L}, NULL);
    return !f->stopped || err_set(e, ERR_CANCELLED, "interrupted");
}

static bool give_up(const struct fetch *f, const char *what, struct err *e) {
    return err_set(e, ERR_SERVICE, "%s: %s, %d times in a row; the same command goes on from here later",
                   what, f->reason, TRIES_MAX);
}

bool fetch_text(struct fetch *f, const char *url, const char *what, size_t n_bytes_max, struct buf *out,
                struct err *e) {
    struct sink s = {.text = out, .n_bytes_max = n_bytes_max, .fd = -1};
    enum outcome outcome = OUTCOME_AGAIN;
    f->sink = &s;
    for (int i = 0; outcome == OUTCOME_AGAIN; i++) {
        if (i == TRIES_MAX) {
            give_up(f, what, e);
            break;
        }
        if (i > 0 && !wait_before(f, i - 1, e)) break;
        buf_clear(out);
        outcome = judge(f, request(f, url, NULL), url, what, e);
    }
    f->sink = NULL;
    return outcome == OUTCOME_DONE;
}

/* ---- files ---- */

/* Hashes what is in the file already, up to n_bytes; how many that are, or -1. */
static int64_t read_into_digest(struct fetch *f, int fd, uint64_t n_bytes_max, struct digest *d) {
    char *bytes = mem_alloc(READ_BYTES);
    uint64_t n = 0;
    ssize_t k = 0;
    while (n < n_bytes_max && !stopped(f, NULL)) {
        k = read(fd, bytes, MIN((uint64_t)READ_BYTES, n_bytes_max - n));
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) break;
        digest_add(d, bytes, (size_t)k);
        n += (uint64_t)k;
        f->sink->at = n;
    }
    free(bytes);
    return k < 0 || f->stopped ? -1 : (int64_t)n;
}

/* Whether a whole file is there and right; one that is wrong is removed. */
static bool is_there(struct fetch *f, const struct fetch_file *file) {
    const int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    struct digest *d = digest_new(file->kind, file->n_bytes);
    char hash[DIGEST_HEX_MAX], more;
    struct sink s = {.fd = -1, .file = file};
    f->sink = &s;
    const int64_t n = read_into_digest(f, fd, file->n_bytes, d);
    f->sink = NULL;
    digest_end(d, hash);
    const bool right =
        n == (int64_t)file->n_bytes && read(fd, &more, 1) == 0 && strcmp(hash, file->hash) == 0;
    close(fd);
    if (!right && !f->stopped) unlink(file->path);
    return right;
}

/* Everything up to the last byte; the connection may break as often as it brings something each time. */
static bool fill(struct fetch *f, const char *url, const char *what, struct sink *s, struct err *e) {
    uint64_t reached = s->at;
    for (int n_vain = 0; s->at < s->file->n_bytes || (s->file->n_bytes == 0 && !s->begun);) {
        char range[32];
        snprintf(range, sizeof range, "%" PRIu64 "-", s->at);
        s->begun = false;
        const long status = request(f, url, s->at > 0 ? range : NULL);
        const enum outcome outcome = judge(f, status, url, what, e);
        if (outcome == OUTCOME_FAILED) return false;
        if (outcome == OUTCOME_DONE && s->at == s->file->n_bytes) return true;
        if (outcome == OUTCOME_DONE) snprintf(f->reason, sizeof f->reason, "the answer is too short");
        n_vain = s->at > reached ? 0 : n_vain + 1;
        reached = MAX(reached, s->at);
        if (n_vain == TRIES_MAX) return give_up(f, what, e);
        if (!wait_before(f, n_vain, e)) return false;
    }
    return true;
}

/* Goes on from the part that is there, or anew. *resumed: something was there. */
static bool fill_part(struct fetch *f, const char *url, const char *what, const struct fetch_file *file,
                      const char *part, bool *resumed, char hash[DIGEST_HEX_MAX], struct err *e) {
    struct sink s = {.file = file, .digest = digest_new(file->kind, file->n_bytes)};
    bool done = false;
    s.fd = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (s.fd < 0) {
        err_set(e, ERR_SERVICE, "%s: cannot write: %s", part, strerror(errno));
        goto done;
    }
    f->sink = &s;
    const int64_t n = read_into_digest(f, s.fd, file->n_bytes, s.digest);
    if (f->stopped) {
        err_set(e, ERR_CANCELLED, "interrupted");
        goto done;
    }
    if (n < 0 || ftruncate(s.fd, n) != 0) {
        err_set(e, ERR_SERVICE, "%s: cannot be read: %s", part, strerror(errno));
        goto done;
    }
    *resumed = n > 0;
    done = fill(f, url, what, &s, e);
    if (done && fsync(s.fd) != 0)
        done = err_set(e, ERR_SERVICE, "%s: cannot write: %s", part, strerror(errno));
    if (done) digest_end(s.digest, hash), s.digest = NULL;
done:
    f->sink = NULL;
    if (s.fd >= 0) close(s.fd);
    digest_free(s.digest);
    return done;
}

bool fetch_file(struct fetch *f, const char *url, const char *what, const struct fetch_file *file,
                struct err *e) {
    if (is_there(f, file)) return true;
    if (f->stopped) return err_set(e, ERR_CANCELLED, "interrupted");
    struct buf part = {0};
    char hash[DIGEST_HEX_MAX];
    bool resumed = true, done = false;
    buf_printf(&part, "%s.part", file->path);
    while (resumed) { /* what was there may have been of other bytes: then once more from the start */
        if (!fill_part(f, url, what, file, buf_cstr(&part), &resumed, hash, e)) goto done;
        if (strcmp(hash, file->hash) == 0) break;
        unlink(buf_cstr(&part));
        if (resumed) continue;
        err_set(
            e, ERR_SERVICE,
            "%s: its bytes are not those that the hub lists (%s %s, not %s): nothing was kept; try again, "
            "or another endpoint",
            what, file->kind == DIGEST_SHA256 ? "SHA-256" : "git blob", hash, file->hash);
        goto done;
    }
    done = rename(buf_cstr(&part), file->path) == 0 ||
           err_set(e, ERR_SERVICE, "%s: cannot be renamed: %s", buf_cstr(&part), strerror(errno));
done:
    buf_free(&part);
    return done;
}
