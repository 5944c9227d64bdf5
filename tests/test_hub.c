/* Models from a hub: names and places, pulls against a server with the hub's layout that misbehaves on
 * purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "hub/digest.h"
#include "hub/hub.h"
#include "hub/listing.h"
#include "hub/name.h"

#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
static const char secret[] = "hf_a-very-secret-token";

/* ---- the server ---- */
struct hub_file {
    const char *path, *bytes;
    size_t n_bytes;
    bool lfs;
};

struct hub_mock {
    struct MHD_Daemon *daemon;
    int port;
    pthread_mutex_t lock;
    /* What it has. */
    const char *commit;
    struct hub_file files[16];
    int n_files;
    /* How it behaves. */
    const char *token;      /* wanted; NULL: none */
    int status;             /* of everything; 0: as it is */
    const char *error_code; /* X-Error-Code */
    struct hub_mock *store; /* large files are there: a redirect */
    int n_bytes_cut;        /* the connection breaks after so many bytes of a file; 0: never */
    int n_bad;              /* 503 so many times */
    bool ignores_ranges, shifts_ranges, flips_a_bit, sends_more, no_hash, loops, huge;
    /* What happened. */
    int n_requests, n_with_token, n_ranges, n_bytes_sent;
    size_t n_bytes_asked; /* of files; a client that goes is still sent some for a while */
};

struct served {
    const struct hub_file *file;
    size_t from, n_max;
    bool flips;
    struct hub_mock *m;
};

static ssize_t serve_bytes(void *ctx, uint64_t at, char *out, size_t max) {
    struct served *s = ctx;
    size_t n = MIN(max, s->n_max - (size_t)at);
    if (n == 0) return MHD_CONTENT_READER_END_WITH_ERROR;
    for (size_t i = 0; i < n; i++) {
        const size_t k = s->from + (size_t)at + i;
        out[i] = k < s->file->n_bytes ? s->file->bytes[k] : '!';
        if (s->flips && k == s->file->n_bytes / 2) out[i] ^= 1;
    }
    pthread_mutex_lock(&s->m->lock);
    s->m->n_bytes_sent += (int)n;
    pthread_mutex_unlock(&s->m->lock);
    return (ssize_t)n;
}

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *text,
                                 const char *name, const char *value) {
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (name) MHD_add_response_header(r, name, value);
    enum MHD_Result done = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return done;
}

static enum MHD_Result send_file(struct hub_mock *m, struct MHD_Connection *c, const struct hub_file *f) {
    const char *range = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
    size_t from = 0;
    if (range && !m->ignores_ranges) assert_int_equal(sscanf(range, "bytes=%zu-", &from), 1);
    m->n_ranges += range != NULL;
    const size_t n = f->n_bytes - from + (m->sends_more ? 5 : 0);
    m->n_bytes_asked += n;
    struct served *s = mem_zalloc(1, sizeof *s);
    *s = (struct served){.file = f, .from = from, .n_max = n, .flips = m->flips_a_bit, .m = m};
    if (m->n_bytes_cut && n > (size_t)m->n_bytes_cut) s->n_max = (size_t)m->n_bytes_cut;
    struct MHD_Response *r = MHD_create_response_from_callback(n, 4096, serve_bytes, s, free);
    char text[80];
    snprintf(text, sizeof text, "bytes %zu-%zu/%zu", from + m->shifts_ranges, f->n_bytes - 1, f->n_bytes);
    if (from > 0) MHD_add_response_header(r, "Content-Range", text);
    enum MHD_Result done = MHD_queue_response(c, from > 0 ? 206 : 200, r);
    MHD_destroy_response(r);
    return done;
}

static void hash_of(const struct hub_file *f, char out[DIGEST_HEX_MAX]) {
    struct digest *d = digest_new(f->lfs ? DIGEST_SHA256 : DIGEST_GIT_BLOB, f->n_bytes);
    digest_add(d, f->bytes, f->n_bytes);
    digest_end(d, out);
}

static enum MHD_Result send_listing(struct hub_mock *m, struct MHD_Connection *c) {
    json_t *files = json_array();
    for (int i = 0; i < m->n_files; i++) {
        const struct hub_file *f = &m->files[i];
        char hash[DIGEST_HEX_MAX];
        hash_of(f, hash);
        const json_int_t size = m->huge ? (json_int_t)1 << 59 : (json_int_t)f->n_bytes;
        json_t *o = json_pack("{s:s,s:I,s:s}", "rfilename", f->path, "size", size, "blobId",
                              f->lfs ? COMMIT_B : hash);
        if (m->no_hash) json_object_del(o, "blobId");
        if (f->lfs)
            json_object_set_new(o, "lfs",
                                json_pack("{s:s,s:I,s:i}", "sha256", hash, "size", size, "pointerSize", 130));
        json_array_append_new(files, o);
    }
    json_t *o = json_pack("{s:s,s:s,s:o}", "id", "some/model", "sha", m->commit, "siblings", files);
    char *text = json_line(o);
    enum MHD_Result done = send_text(c, 200, text, "Content-Type", "application/json");
    free(text);
    json_decref(o);
    return done;
}

static enum MHD_Result answer(struct hub_mock *m, struct MHD_Connection *c, const char *url) {
    static const char api[] = "/api/models/some/model/revision/", resolve[] = "/some/model/resolve/",
                      stored[] = "/stored/";
    const char *token = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    m->n_requests++;
    m->n_with_token += token != NULL;
    if (m->status)
        return send_text(c, (unsigned)m->status, token ? token : "no", m->error_code ? "X-Error-Code" : NULL,
                         m->error_code);
    if (m->n_bad > 0) return m->n_bad--, send_text(c, 503, "busy", NULL, NULL);
    if (m->token && (!token || strncmp(token, "Bearer ", 7) != 0 || strcmp(token + 7, m->token) != 0))
        return send_text(c, 401, token ? token : "who?", NULL, NULL);
    if (m->loops) return send_text(c, 302, "", "Location", url);
    if (strncmp(url, api, strlen(api)) == 0) {
        const char *revision = url + strlen(api); /* MHD has undone the encoding */
        if (strcmp(revision, "main") == 0 || strcmp(revision, "refs/pr/5") == 0) return send_listing(m, c);
        return send_text(c, 404, "no such revision", NULL, NULL);
    }
    const char *path = NULL;
    if (strncmp(url, resolve, strlen(resolve)) == 0 && strncmp(url + strlen(resolve), m->commit, 40) == 0 &&
        url[strlen(resolve) + 40] == '/')
        path = url + strlen(resolve) + 41;
    else if (strncmp(url, stored, strlen(stored)) == 0)
        path = url + strlen(stored);
    for (int i = 0; path && i < m->n_files; i++) {
        if (strcmp(m->files[i].path, path) != 0) continue;
        if (!m->store || !m->files[i].lfs) return send_file(m, c, &m->files[i]);
        char to[200];
        snprintf(to, sizeof to, "http://127.0.0.1:%d/stored/%s", m->store->port, path);
        return send_text(c, 302, "", "Location", to);
    }
    return send_text(c, 404, "no such file", NULL, NULL);
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *bytes, size_t *n_bytes, void **state) {
    struct hub_mock *m = ctx;
    UNUSED(method);
    UNUSED(version);
    UNUSED(bytes);
    UNUSED(n_bytes);
    if (!*state) {
        *state = m;
        return MHD_YES;
    }
    pthread_mutex_lock(&m->lock);
    enum MHD_Result done = answer(m, c, url);
    pthread_mutex_unlock(&m->lock);
    return done;
}

static void add_file(struct hub_mock *m, const char *path, const char *bytes, bool lfs) {
    ASSERT(m->n_files < (int)ARRAY_LEN(m->files));
    m->files[m->n_files++] =
        (struct hub_file){.path = path, .bytes = bytes, .n_bytes = strlen(bytes), .lfs = lfs};
}

static struct hub_mock *mock_hub(void) {
    struct hub_mock *m = mem_zalloc(1, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    m->commit = COMMIT_A;
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    m->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request, m,
                                 MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&at, MHD_OPTION_END);
    ASSERT(m->daemon);
    m->port = MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return m;
}

static void mock_stop(struct hub_mock *m) {
    MHD_stop_daemon(m->daemon);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* ---- a place for each test ---- */
struct place {
    char dir[32];
    char *root, *endpoint;
    struct hub_mock *hub, *store;
    char *weights; /* bytes that no text repeats */
};

static char *many_bytes(size_t n) {
    char *s = mem_alloc(n + 1);
    uint64_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        s[i] = (char)('a' + (x >> 40) % 26);
    }
    s[n] = '\0';
    return s;
}

static void set_endpoint(struct place *p, const char *host) {
    struct buf b = {0};
    buf_printf(&b, "http://%s:%d", host, p->hub->port);
    setenv("HF_ENDPOINT", buf_cstr(&b), 1);
    buf_free(&b);
}

static int set_up(void **state) {
    struct place *p = mem_zalloc(1, sizeof *p);
    snprintf(p->dir, sizeof p->dir, "/tmp/brood-hub-XXXXXX");
    ASSERT(mkdtemp(p->dir));
    setenv("XDG_CACHE_HOME", p->dir, 1);
    setenv("HF_HOME", p->dir, 1);
    unsetenv("HF_TOKEN");
    unsetenv("HF_TOKEN_PATH");
    p->root = file_join(p->dir, "brood/hf/some");
    p->hub = mock_hub();
    p->store = mock_hub();
    set_endpoint(p, "127.0.0.1");
    p->weights = many_bytes(300000);
    add_file(p->hub, "README.md", "# Some model", false);
    add_file(p->hub, "config.json", "{\"architectures\":[]}", false);
    add_file(p->hub, "tokenizer.json", "{\"model\":{}}", false);
    add_file(p->hub, "model.safetensors", p->weights, true);
    add_file(p->store, "model.safetensors", p->weights, true);
    *state = p;
    return 0;
}

static void remove_tree(const char *dir) {
    DIR *d = opendir(dir);
    for (struct dirent *x; d && (x = readdir(d));) {
        if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0) continue;
        char *path = file_join(dir, x->d_name);
        if (file_is_dir(path))
            remove_tree(path);
        else
            unlink(path);
        free(path);
    }
    if (d) closedir(d);
    rmdir(dir);
}

static int tear_down(void **state) {
    struct place *p = *state;
    mock_stop(p->hub);
    mock_stop(p->store);
    remove_tree(p->dir);
    free(p->root);
    free(p->weights);
    free(p);
    return 0;
}

/* What the folder has, one name behind the other, sorted; "" if it is not there. */
static char *list(const struct place *p, const char *name) {
    char *dir = file_join(p->root, name);
    struct dirent **names = NULL;
    struct buf b = {0};
    const int n = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0)
            buf_printf(&b, "%s%s", b.len ? " " : "", names[i]->d_name);
        free(names[i]);
    }
    free(names);
    free(dir);
    buf_add_char(&b, '\0');
    return buf_take(&b);
}

static void has(const struct place *p, const char *name, const char *wanted) {
    char *got = list(p, name);
    assert_string_equal(got, wanted);
    free(got);
}

static void holds(const struct place *p, const char *path, const char *bytes) {
    char *whole = file_join(p->root, path);
    struct buf b = {0};
    struct err e = {0};
    assert_true(file_read(whole, 1 << 22, &b, &e));
    assert_true(str_equal(buf_str(&b), str_from(bytes)));
    buf_free(&b);
    free(whole);
}

static void pulls(const char *name, struct hub_pulled *out) {
    struct err e = {0};
    struct hub_pulled mine;
    const bool done = hub_pull(name, &(struct hub_options){0}, out ? out : &mine, &e);
    if (!done) print_message("%s\n", e.msg);
    assert_true(done);
    if (!out) hub_pulled_fini(&mine);
}

static void pull_fails(const char *name, enum err_code code, const char *says) {
    struct err e = {0};
    struct hub_pulled got;
    assert_false(hub_pull(name, &(struct hub_options){0}, &got, &e));
    hub_pulled_fini(&got);
    if (e.code != code || !strstr(e.msg, says)) print_message("%s\n", e.msg);
    assert_int_equal(e.code, code);
    assert_non_null(strstr(e.msg, says));
    assert_null(strstr(e.msg, secret));
}

/* ---- names ---- */
static void names_are_read_and_places_follow(void **state) {
    UNUSED(state);
    static const struct {
        const char *text, *folder, *file;
    } cases[] = {
        {"hf:a/b", "/r/a/b", NULL},
        {"hf:a/b@main", "/r/a/b", NULL},
        {"hf:a/b@refs/pr/5", "/r/a/b@refs%2Fpr%2F5", NULL},
        {"hf:a/b#x-Q4_K_M.gguf", "/r/a/b#x-Q4_K_M.gguf", "x-Q4_K_M.gguf"},
        {"hf:a/b@v1#q/x y.gguf", "/r/a/b@v1#q%2Fx y.gguf", "x y.gguf"},
    };
    struct err e;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct hub_name n;
        assert_true(name_parse(cases[i].text, &n, &e));
        char *folder = name_folder(&n, "/r"), *path = name_model_path(&n, "/d"), *text = name_text(&n);
        assert_string_equal(folder, cases[i].folder);
        assert_string_equal(path + 2 + (path[2] == '/'), cases[i].file ? cases[i].file : "");
        if (i != 1) assert_string_equal(text, cases[i].text);
        free(folder);
        free(path);
        free(text);
        name_fini(&n);
    }
    static const char *const wrong[] = {
        "a/b",       "hf:",      "hf:a",        "hf:a/",      "hf:/b",      "hf:a/b/c",    "hf:../b",
        "hf:a/..",   "hf:a/b@",  "hf:a/b@../x", "hf:a/b@x//", "hf:a/b#",    "hf:a/b#/etc", "hf:a/b#../x",
        "hf:a/b#.x", "hf:a b/c", "hf:a/b#x%2F", "hf:a/-b",    "hf:a/b#c#d", "hf:a/b\n"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct hub_name n;
        assert_false(name_parse(wrong[i], &n, &e));
        assert_int_equal(e.code, ERR_INPUT);
        name_fini(&n);
    }
}

/* As `git hash-object` and sha256sum say. */
static void digests_are_those_of_git_and_sha256sum(void **state) {
    UNUSED(state);
    char hash[DIGEST_HEX_MAX];
    struct digest *d = digest_new(DIGEST_GIT_BLOB, 6);
    digest_add(d, "hel", 3);
    digest_add(d, "lo\n", 3);
    digest_end(d, hash);
    assert_string_equal(hash, "ce013625030ba8dba906f756967f9e9ca394464a");
    d = digest_new(DIGEST_SHA256, 6);
    digest_add(d, "hello\n", 6);
    digest_end(d, hash);
    assert_string_equal(hash, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    d = digest_new(DIGEST_GIT_BLOB, 0);
    digest_end(d, hash);
    assert_string_equal(hash, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

/* ---- whole pulls ---- */
static void a_model_comes_whole_and_is_found(void **state) {
    struct place *p = *state;
    struct hub_pulled got;
    struct err e = {0};
    assert_null(hub_find("hf:some/model", &e));
    assert_non_null(strstr(e.msg, "brood pull 'hf:some/model'"));
    pulls("hf:some/model", &got);
    has(p, "model", "brood-pull.json config.json model.safetensors tokenizer.json");
    holds(p, "model/model.safetensors", p->weights);
    holds(p, "model/config.json", "{\"architectures\":[]}");
    assert_string_equal(got.commit, COMMIT_A);
    assert_int_equal(got.n_files, 3);
    assert_false(got.was_here);
    char *found = hub_find("hf:some/model", &e);
    assert_string_equal(found, got.path);
    free(found);
    hub_pulled_fini(&got);
    assert_null(hub_find("hf:some/model@v2", &e));
    has(p, ".model.part", "");
    /* Once more: nothing to do, not a byte of a file. */
    const int sent = p->hub->n_bytes_sent;
    pulls("hf:some/model", &got);
    assert_true(got.was_here);
    assert_int_equal(p->hub->n_bytes_sent, sent);
    hub_pulled_fini(&got);
    pulls("hf:some/model@refs/pr/5", NULL);
    has(p, "model@refs%2Fpr%2F5", "brood-pull.json config.json model.safetensors tokenizer.json");
}

static void shards_come_by_the_index(void **state) {
    struct place *p = *state;
    struct hub_mock *m = p->hub;
    m->n_files = 3;
    add_file(m, "model.safetensors.index.json",
             "{\"weight_map\":{\"a\":\"m-1-of-000002.safetensors\",\"b\":\"m-2.safetensors\","
             "\"c\":\"m-2.safetensors\"}}",
             false);
    add_file(m, "m-1-of-000002.safetensors", "one", true);
    add_file(m, "m-2.safetensors", "two", true);
    add_file(m, "m-3.safetensors", "not listed", true);
    add_file(m, "pytorch_model.bin", "not needed", true);
    pulls("hf:some/model", NULL);
    has(p, "model",
        "brood-pull.json config.json m-1-of-000002.safetensors m-2.safetensors "
        "model.safetensors.index.json tokenizer.json");
    m->files[3].bytes = "{\"weight_map\":{\"a\":\"../x.safetensors\"}}";
    m->files[3].n_bytes = strlen(m->files[3].bytes);
    m->commit = COMMIT_B;
    pull_fails("hf:some/model", ERR_SERVICE, "which the repository does not have");
    holds(p, "model/m-2.safetensors", "two");
}

static void pickles_are_said(void **state) {
    struct place *p = *state;
    struct hub_pulled got;
    p->hub->files[3].path = "pytorch_model.bin";
    pulls("hf:some/model", &got);
    assert_true(got.is_pickle);
    hub_pulled_fini(&got);
}

static void one_gguf_file_or_a_set(void **state) {
    struct place *p = *state;
    struct hub_mock *m = p->hub;
    struct hub_pulled got;
    struct err e = {0};
    m->n_files = 1;
    add_file(m, "x-Q4.gguf", "GGUF four", true);
    add_file(m, "x-Q8.gguf", "GGUF eight", true);
    add_file(m, "big/x-00001-of-00002.gguf", "GGUF 1", true);
    add_file(m, "big/x-00002-of-00002.gguf", "GGUF 2", true);
    pull_fails("hf:some/model", ERR_INPUT, "choose one with --file: x-Q4.gguf, x-Q8.gguf, big/x-00001");
    pull_fails("hf:some/model#y.gguf", ERR_INPUT, "has no file y.gguf; it has x-Q4.gguf");
    assert_true(hub_pull("hf:some/model", &(struct hub_options){.file = "x-Q4.gguf"}, &got, &e));
    assert_string_equal(got.name, "hf:some/model#x-Q4.gguf");
    holds(p, "model#x-Q4.gguf/x-Q4.gguf", "GGUF four");
    char *only = hub_find("hf:some/model", &e), *named = hub_find("hf:some/model#x-Q4.gguf", &e);
    assert_string_equal(only, got.path);
    assert_string_equal(named, got.path);
    free(only);
    free(named);
    hub_pulled_fini(&got);
    pulls("hf:some/model#big/x-00001-of-00002.gguf", &got);
    assert_true(str_ends(str_from(got.path), STR("/x-00001-of-00002.gguf")));
    holds(p, "model#big%2Fx-00001-of-00002.gguf/x-00002-of-00002.gguf", "GGUF 2");
    assert_null(hub_find("hf:some/model", &e));
    assert_non_null(strstr(e.msg, "several files"));
    only = hub_find("hf:some/model#big/x-00001-of-00002.gguf", &e);
    assert_string_equal(only, got.path);
    free(only);
    hub_pulled_fini(&got);
}

/* ---- what goes wrong ---- */
static void broken_connections_are_taken_up_again(void **state) {
    struct place *p = *state;
    p->hub->n_bytes_cut = 40000;
    pulls("hf:some/model", NULL);
    holds(p, "model/model.safetensors", p->weights);
    assert_in_range(p->hub->n_ranges, 7, 7); /* 300,000 bytes in eight pieces */
}

static void a_half_file_is_gone_on_from(void **state) {
    struct place *p = *state;
    char *dir = file_join(p->root, ".model.part"), *part = file_join(dir, "model.safetensors.part");
    struct err e = {0};
    for (int i = 0; i < 2; i++) {
        char *path = i ? mem_strdup(dir) : mem_strdup(p->root);
        for (char *at = path + 1;; at++) {
            const char c = *at;
            if (c != '/' && c) continue;
            *at = '\0';
            mkdir(path, 0755);
            *at = c;
            if (!c) break;
        }
        free(path);
    }
    assert_true(file_write_atomic(part, (struct str){p->weights, 250000}, &e));
    pulls("hf:some/model", NULL);
    holds(p, "model/model.safetensors", p->weights);
    assert_int_equal(p->hub->n_ranges, 1);
    assert_in_range(p->hub->n_bytes_sent, 50000, 51000);
    free(dir);
    free(part);
}

/* The half is of other bytes: the whole is wrong, and it is brought once more from the start. */
static void a_half_of_other_bytes_does_not_stay(void **state) {
    struct place *p = *state;
    p->hub->n_bytes_cut = 100000;
    p->hub->n_bad = 0;
    struct err e = {0};
    struct hub_pulled got;
    p->hub->store = p->store; /* which breaks off at once, each time */
    p->store->status = 500;
    assert_false(hub_pull("hf:some/model", &(struct hub_options){0}, &got, &e));
    assert_int_equal(e.code, ERR_SERVICE);
    has(p, ".model.part", "config.json model.safetensors.part tokenizer.json");
    char *part = file_join(p->root, ".model.part/model.safetensors.part");
    assert_true(file_write_atomic(part, STR("something else"), &e));
    free(part);
    p->store->status = 0;
    pulls("hf:some/model", NULL);
    holds(p, "model/model.safetensors", p->weights);
}

static void a_server_without_ranges_sends_it_all_again(void **state) {
    struct place *p = *state;
    p->hub->ignores_ranges = true;
    p->hub->n_bytes_cut = 299000;
    pull_fails("hf:some/model", ERR_SERVICE, "times in a row");
    has(p, "model", "");
    p->hub->n_bytes_cut = 0;
    pulls("hf:some/model", NULL);
    holds(p, "model/model.safetensors", p->weights);
}

static void wrong_bytes_never_get_to_the_place(void **state) {
    struct place *p = *state;
    p->hub->flips_a_bit = true;
    pull_fails("hf:some/model", ERR_SERVICE, "not those that the hub lists (git blob");
    p->hub->flips_a_bit = false;
    p->hub->store = p->store;
    p->store->flips_a_bit = true;
    pull_fails("hf:some/model", ERR_SERVICE, "model.safetensors: its bytes are not those");
    has(p, "model", "");
    has(p, ".model.part", "config.json tokenizer.json");
    p->store->flips_a_bit = false;
    p->store->sends_more = true;
    pull_fails("hf:some/model", ERR_SERVICE, "sends more than it said");
    p->store->sends_more = false;
    p->store->n_bytes_cut = 100000;
    p->store->shifts_ranges = true;
    pull_fails("hf:some/model", ERR_SERVICE, "another part of the file");
    p->store->shifts_ranges = false;
    pulls("hf:some/model", NULL);
    p->hub->no_hash = true;
    pull_fails("hf:some/model", ERR_SERVICE, "cannot be verified");
    has(p, "model", "brood-pull.json config.json model.safetensors tokenizer.json");
}

static void refusals_say_what_to_do(void **state) {
    struct place *p = *state;
    p->hub->status = 401;
    pull_fails("hf:some/model", ERR_INPUT, "or a private one (401 from 127.0.0.1)");
    p->hub->status = 403;
    pull_fails("hf:some/model", ERR_INPUT, "accept the model's terms");
    p->hub->error_code = "GatedRepo";
    p->hub->status = 401;
    pull_fails("hf:some/model", ERR_INPUT, "accept the model's terms");
    p->hub->status = 404;
    pull_fails("hf:some/model", ERR_INPUT, "not found (404");
    p->hub->status = 418;
    pull_fails("hf:some/model", ERR_SERVICE, "status 418");
    setenv("HF_TOKEN", secret, 1);
    p->hub->status = 401;
    p->hub->error_code = NULL;
    pull_fails("hf:some/model", ERR_INPUT, "does not accept the token");
    p->hub->status = 500;
    const int n = p->hub->n_requests;
    pull_fails("hf:some/model", ERR_SERVICE, "status 500, 6 times in a row");
    assert_int_equal(p->hub->n_requests - n, 6);
    p->hub->status = 0;
    pull_fails("hf:some/model@v9", ERR_INPUT, "some/model@v9: not found");
    p->hub->loops = true;
    pull_fails("hf:some/model", ERR_SERVICE, "too many redirects");
    p->hub->loops = false;
    p->hub->huge = true;
    pull_fails("hf:some/model", ERR_INPUT, "make room");
    p->hub->huge = false;
    setenv("HF_TOKEN", "two words", 1);
    pull_fails("hf:some/model", ERR_INPUT, "holds what no token does");
    setenv("HF_TOKEN", secret, 1);
    setenv("HF_ENDPOINT", "http://example.invalid", 1);
    pull_fails("hf:some/model", ERR_INPUT, "not https");
    setenv("HF_ENDPOINT", "example.invalid", 1);
    pull_fails("hf:some/model", ERR_INPUT, "is no address");
    has(p, "model", "");
    has(p, "", "");
}

static void the_token_goes_to_the_endpoint_alone(void **state) {
    struct place *p = *state;
    p->hub->token = secret;
    p->hub->store = p->store; /* another port is another server */
    setenv("HF_TOKEN", secret, 1);
    pulls("hf:some/model", NULL);
    assert_int_equal(p->hub->n_with_token, p->hub->n_requests);
    assert_int_equal(p->store->n_with_token, 0);
    assert_true(p->store->n_requests > 0);
    /* From the file, and for a host of another name, which redirects then name. */
    unsetenv("HF_TOKEN");
    pull_fails("hf:some/model", ERR_INPUT, "401");
    char *place = file_join(p->dir, "token");
    struct err e = {0};
    struct buf line = {0};
    buf_printf(&line, "%s\n", secret);
    assert_true(file_write_atomic(place, buf_str(&line), &e));
    pulls("hf:some/model", NULL);
    p->hub->commit = COMMIT_B;
    p->hub->files[3].bytes = p->store->files[0].bytes = "new weights";
    p->hub->files[3].n_bytes = p->store->files[0].n_bytes = 11;
    set_endpoint(p, "localhost");
    pulls("hf:some/model", NULL);
    assert_int_equal(p->store->n_with_token, 0);
    holds(p, "model/model.safetensors", "new weights");
    buf_free(&line);
    free(place);
}

static void a_newer_commit_takes_the_place_whole(void **state) {
    struct place *p = *state;
    pulls("hf:some/model", NULL);
    p->hub->commit = COMMIT_B;
    p->hub->files[2].bytes = "{\"model\":{\"new\":1}}";
    p->hub->files[2].n_bytes = strlen(p->hub->files[2].bytes);
    const int sent = p->hub->n_bytes_sent;
    p->hub->n_bad = 2; /* and the server is busy for a while */
    pulls("hf:some/model", NULL);
    holds(p, "model/tokenizer.json", "{\"model\":{\"new\":1}}");
    holds(p, "model/model.safetensors", p->weights);
    assert_in_range(p->hub->n_bytes_sent - sent, 1, 100); /* what has not changed is not brought again */
    has(p, "", "model");
}

struct stopping {
    double n_bytes_max;
    int n_told;
};

static bool stop_at(void *ctx, const struct hub_progress *t) {
    struct stopping *s = ctx;
    s->n_told++;
    assert_true(t->n_bytes <= t->n_bytes_total || t->n_files == 0);
    return t->n_bytes < s->n_bytes_max;
}

static void a_stop_keeps_what_came(void **state) {
    struct place *p = *state;
    struct stopping s = {.n_bytes_max = 100000};
    struct hub_pulled got;
    struct err e = {0};
    assert_false(hub_pull("hf:some/model", &(struct hub_options){.progress = stop_at, .ctx = &s}, &got, &e));
    assert_int_equal(e.code, ERR_CANCELLED);
    assert_true(s.n_told > 2);
    has(p, "model", "");
    has(p, ".model.part", "config.json model.safetensors.part tokenizer.json");
    const size_t asked = p->hub->n_bytes_asked;
    pulls("hf:some/model", NULL);
    assert_true(p->hub->n_bytes_asked - asked <= 200100);
    holds(p, "model/model.safetensors", p->weights);
}

/* While a pull is under way its progress is told: a second one of the same model is refused meanwhile. */
static bool pull_again(void *ctx, const struct hub_progress *t) {
    if (t->n_bytes > 0 && !*(bool *)ctx) {
        *(bool *)ctx = true;
        pull_fails("hf:some/model", ERR_INPUT, "another pull of it is at work");
    }
    return true;
}

static void two_pulls_of_one_model_are_refused(void **state) {
    bool tried = false;
    struct hub_pulled got;
    struct err e = {0};
    UNUSED(state);
    assert_true(
        hub_pull("hf:some/model", &(struct hub_options){.progress = pull_again, .ctx = &tried}, &got, &e));
    assert_true(tried);
    hub_pulled_fini(&got);
}

static void listings_that_are_none(void **state) {
    UNUSED(state);
    static const char *const wrong[] = {
        "",
        "[]",
        "{\"sha\":\"x\",\"siblings\":[]}",
        "{\"sha\":\"" COMMIT_A "\"}",
        "{\"sha\":\"" COMMIT_A "\",\"siblings\":[1]}",
        "{\"sha\":\"" COMMIT_A "\",\"siblings\":[{\"size\":1}]}",
        "{\"sha\":\"" COMMIT_A "\",\"siblings\":[{\"rfilename\":\"x\",\"size\":-1}]}",
        "{\"sha\":\"../../" COMMIT_A "\",\"siblings\":[]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct listing l;
        struct err e = {0};
        assert_false(listing_read(str_from(wrong[i]), "hub", &l, &e));
        assert_int_equal(e.code, ERR_SERVICE);
        listing_fini(&l);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_and_places_follow),
        cmocka_unit_test(digests_are_those_of_git_and_sha256sum),
        cmocka_unit_test(listings_that_are_none),
        TEST(a_model_comes_whole_and_is_found),
        TEST(shards_come_by_the_index),
        TEST(pickles_are_said),
        TEST(one_gguf_file_or_a_set),
        TEST(broken_connections_are_taken_up_again),
        TEST(a_half_file_is_gone_on_from),
        TEST(a_half_of_other_bytes_does_not_stay),
        TEST(a_server_without_ranges_sends_it_all_again),
        TEST(wrong_bytes_never_get_to_the_place),
        TEST(refusals_say_what_to_do),
        TEST(the_token_goes_to_the_endpoint_alone),
        TEST(a_newer_commit_takes_the_place_whole),
        TEST(a_stop_keeps_what_came),
        TEST(two_pulls_of_one_model_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
