/* serve_client.h - for tests: a server in a thread of its own, and a client that sends any bytes it likes. */
#ifndef TESTS_SERVE_CLIENT_H
#define TESTS_SERVE_CLIENT_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "serve/serve.h"

#define TOY "toy:depth=4,branch=4,p=0.7"
/* A search over it takes minutes: it goes on until it is told to end. A small one takes milliseconds. */
#define ENDLESS          "toy:depth=32,slow=50000"
#define ENDLESS_STRATEGY "brood/sample:n=100000"

struct server {
    struct serve *serve;
    pthread_t thread;
    int port;
};

static inline void *run_server(void *ctx) {
    serve_run(ctx);
    return NULL;
}

static inline struct serve_options serve_defaults(void) {
    struct serve_options o = SERVE_DEFAULTS;
    o.policy = TOY;
    o.reward = "toy:depth=4,branch=4,p=0.7,noise=0.1";
    o.port = 0;
    o.n_samples_max = 100000;
    o.drain_seconds = 0;
    return o;
}

static inline void server_start(struct server *s, const struct serve_options *o) {
    struct err e = {0};
    s->serve = serve_open(o, &e);
    if (!s->serve) print_error("%s\n", e.msg);
    assert_non_null(s->serve);
    s->port = (int)strtol(strrchr(serve_address(s->serve), ':') + 1, NULL, 10);
    assert_int_equal(pthread_create(&s->thread, NULL, run_server, s->serve), 0);
}

static inline void server_stop(struct server *s) {
    serve_stop(s->serve);
    pthread_join(s->thread, NULL);
    serve_close(s->serve);
}

/* ---- the client ---- */

static inline int dial(const struct server *s) {
    const struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)s->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static inline void send_all(int fd, struct str bytes) {
    while (bytes.len > 0) {
        const ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n <= 0) return; /* the server may close early: what it said counts */
        bytes.ptr += n;
        bytes.len -= (size_t)n;
    }
}

/* Until `mark` has come, or the other side has closed. */
static inline void receive_until(int fd, const char *mark, struct buf *out) {
    char part[4096];
    ssize_t n;
    while ((!mark || !strstr(buf_cstr(out), mark)) && (n = recv(fd, part, sizeof part, 0)) > 0)
        buf_add(out, part, (size_t)n);
}

static inline void put_request(struct buf *out, const char *method, const char *path, const char *headers,
                               const char *body) {
    buf_printf(out, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s", method, path,
               headers ? headers : "");
    if (body)
        buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
                   body);
    else
        buf_printf(out, "\r\n");
}

struct answer {
    int status; /* 0: none came */
    struct buf all;
    const char *body; /* of `all`; chunks of a stream are taken apart */
};

static inline void undo_chunks(struct answer *a) {
    struct buf plain = {0};
    const char *at = a->body;
    for (;;) {
        char *end;
        const unsigned long n = strtoul(at, &end, 16);
        if (n == 0 || end == at || strlen(end) < n + 2) break;
        buf_add(&plain, end + 2, n);
        at = end + 2 + n + 2;
    }
    const size_t n_head = (size_t)(a->body - buf_cstr(&a->all));
    a->all.len = n_head;
    buf_add(&a->all, buf_cstr(&plain), plain.len);
    a->body = buf_cstr(&a->all) + n_head;
    buf_free(&plain);
}

static inline void take_answer(struct answer *a) {
    const char *all = buf_cstr(&a->all), *end = strstr(all, "\r\n\r\n");
    a->status = strncmp(all, "HTTP/1.1 ", 9) == 0 ? (int)strtol(all + 9, NULL, 10) : 0;
    a->body = end ? end + 4 : all + a->all.len;
    const char *chunked = strcasestr(all, "Transfer-Encoding: chunked");
    if (chunked && chunked < a->body) undo_chunks(a);
}

static inline struct answer send_bytes(const struct server *s, struct str bytes) {
    struct answer a = {0};
    const int fd = dial(s);
    send_all(fd, bytes);
    receive_until(fd, NULL, &a.all);
    close(fd);
    take_answer(&a);
    return a;
}

static inline struct answer ask(const struct server *s, const char *method, const char *path,
                                const char *headers, const char *body) {
    struct buf request = {0};
    put_request(&request, method, path, headers, body);
    struct answer a = send_bytes(s, buf_str(&request));
    buf_free(&request);
    return a;
}

static inline struct answer chat(const struct server *s, const char *body) {
    return ask(s, "POST", "/v1/chat/completions", NULL, body);
}

/* A request on a connection that stays open. */
static inline int begin_chat(const struct server *s, const char *body) {
    struct buf request = {0};
    const int fd = dial(s);
    put_request(&request, "POST", "/v1/chat/completions", NULL, body);
    send_all(fd, buf_str(&request));
    buf_free(&request);
    return fd;
}

static inline void answer_free(struct answer *a) {
    buf_free(&a->all);
}

static inline json_t *json_of(const struct answer *a) {
    struct err e;
    json_t *o = json_parse(str_from(a->body), "the reply", &e);
    if (!o) print_error("%s: %.300s\n", e.msg, a->body);
    assert_non_null(o);
    return o;
}

/* "error.code", "choices.0.message.content" */
static inline const json_t *at_path(const json_t *o, const char *path) {
    char copy[128], *rest = copy;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *key; o && (key = strsep(&rest, "."));)
        o = json_is_array(o) ? json_array_get(o, strtoul(key, NULL, 10)) : json_object_get(o, key);
    return o;
}

static inline const char *string_at(const json_t *o, const char *path) {
    const char *s = json_string_value(at_path(o, path));
    return s ? s : "";
}

static inline double metric(const struct server *s, const char *name) {
    struct answer a = ask(s, "GET", "/metrics", NULL, NULL);
    struct buf line = {0};
    buf_printf(&line, "\nbrood_%s ", name);
    const char *at = strstr(a.body, buf_cstr(&line));
    assert_non_null(at);
    const double x = strtod(at + line.len, NULL);
    buf_free(&line);
    answer_free(&a);
    return x;
}

#endif
