/* http.c - see http.h. */
#include "serve/http.h"

#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "serve/api.h"
#include "serve/assets.h"
#include "serve/reply.h"

enum { IDLE_SECONDS = 30, HTTP_STACK_BYTES = 512 << 10, HTTP_BUFFER_BYTES = 32 << 10 };
static const double body_seconds = 60; /* that a request may take to arrive */

struct http {
    struct http_options o;
    struct MHD_Daemon *daemon;
    atomic_int n_in_flight;
    atomic_uint_fast64_t n_calls;
    uint64_t salt;
};

struct visit { /* one request on a connection */
    struct http *http;
    struct MHD_Connection *connection;
    const struct route *route;
    struct buf body;
    double began;
    struct call *call; /* NULL: none was made of it */
    bool is_counted;
};

typedef enum MHD_Result handler(struct visit *v, const char *url);

struct route {
    const char *method, *path; /* a path that ends in '/' begins longer ones */
    handler *run;
    const char *kind; /* in the metrics */
    bool is_open;     /* needs no key */
};

/* ---- replies ---- */

static const char csp[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                          "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static enum MHD_Result send_response(struct visit *v, int status, struct MHD_Response *r, const char *type) {
    static const char *const headers[][2] = {{"Content-Security-Policy", csp},
                                             {"X-Content-Type-Options", "nosniff"},
                                             {"Referrer-Policy", "no-referrer"},
                                             {"Cross-Origin-Opener-Policy", "same-origin"},
                                             {"Cross-Origin-Resource-Policy", "same-origin"},
                                             {"Cache-Control", "no-store"}};
    if (!r) return MHD_NO;
    MHD_add_response_header(r, "Content-Type", type);
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) MHD_add_response_header(r, headers[i][0], headers[i][1]);
    if (v->call) MHD_add_response_header(r, "X-Request-Id", v->call->id);
    if (desk_is_stopping(v->http->o.desk)) MHD_add_response_header(r, "Connection", "close");
    MHD_set_connection_option(v->connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)IDLE_SECONDS);
    const enum MHD_Result ok = MHD_queue_response(v->connection, (unsigned)status, r);
    MHD_destroy_response(r);
    metrics_count(v->http->o.metrics, v->route ? v->route->kind : "other", status);
    return ok;
}

/* Takes the text over. */
static struct MHD_Response *response_of(char *text, size_t n) {
    struct MHD_Response *r = MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE);
    if (!r) free(text);
    return r;
}

static enum MHD_Result send_json(struct visit *v, int status, json_t *o) {
    struct buf text = {0};
    char *line = json_line(o);
    buf_printf(&text, "%s\n", line);
    free(line);
    json_decref(o);
    const size_t n = text.len;
    return send_response(v, status, response_of(buf_take(&text), n), "application/json");
}

static enum MHD_Result send_refusal(struct visit *v, const struct refusal *why, int retry_after) {
    char *text = reply_error_text(why);
    struct MHD_Response *r = response_of(text, strlen(text));
    if (!r) return MHD_NO;
    char number[16];
    snprintf(number, sizeof number, "%d", retry_after);
    if (retry_after > 0) MHD_add_response_header(r, "Retry-After", number);
    if (why->status == 401) MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
    return send_response(v, why->status, r, "application/json");
}

/* ---- calls ---- */

static int socket_of(struct visit *v) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(v->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* The address of the other side, and whom it says it asks for. */
static char *client_of(struct visit *v, const char *user) {
    char host[NI_MAXHOST];
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(v->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *a = info ? info->client_addr : NULL;
    const socklen_t n =
        a && a->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    const bool known = a && getnameinfo(a, n, host, sizeof host, NULL, 0, NI_NUMERICHOST) == 0;
    struct buf b = {0};
    buf_printf(&b, "%s %s", known ? host : "?", user ? user : "");
    return buf_take(&b);
}

static struct call *new_call(struct visit *v) {
    struct http *h = v->http;
    struct call *c = call_new();
    const uint64_t number = atomic_fetch_add(&h->n_calls, 1);
    snprintf(c->id, sizeof c->id, "%s-%016llx%08llx",
             strcmp(v->route->kind, "chat") == 0 ? "chatcmpl" : "cmpl",
             (unsigned long long)rng_child(h->salt, number), (unsigned long long)number & 0xffffffffu);
    c->created = (long long)time(NULL);
    c->arrived = v->began;
    return c;
}

static enum MHD_Result give_up(struct visit *v) {
    metrics_count_gone(v->http->o.metrics);
    atomic_store(&v->call->gone, true);
    desk_wake(v->http->o.desk);
    return MHD_NO;
}

/* A slow reader has a limit; one that waits for us has none. */
static void wait_without_limit(struct visit *v, bool unlimited) {
    MHD_set_connection_option(v->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              unlimited ? 0u : (unsigned)IDLE_SECONDS);
}

static ssize_t read_stream(void *ctx, uint64_t at, char *to, size_t n_max) {
    struct visit *v = ctx;
    UNUSED(at);
    for (;;) {
        const ptrdiff_t n = call_read(v->call, to, n_max);
        if (n > 0) return n;
        if (n < 0) return MHD_CONTENT_READER_END_OF_STREAM;
        wait_without_limit(v, true);
        const bool there = call_wait(v->call, socket_of(v));
        wait_without_limit(v, false);
        if (!there) {
            give_up(v);
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
    }
}

static int status_of(struct call *c, bool *closed) {
    pthread_mutex_lock(&c->lock);
    const int status = c->status;
    *closed = c->is_closed;
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* Waits for the whole reply; of a stream, for its beginning. */
static enum MHD_Result send_call(struct visit *v) {
    struct call *c = v->call;
    struct buf text = {0};
    char part[4096];
    bool closed = false;
    wait_without_limit(v, true);
    for (;;) {
        if (!call_wait(c, socket_of(v))) {
            buf_free(&text);
            return give_up(v);
        }
        const int status = status_of(c, &closed);
        if (c->request.stream && status == 200)
            return send_response(v, status,
                                 MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, HTTP_BUFFER_BYTES / 2,
                                                                   read_stream, v, NULL),
                                 "text/event-stream; charset=utf-8");
        ptrdiff_t n;
        while ((n = call_read(c, part, sizeof part)) > 0) buf_add(&text, part, (size_t)n);
        if (n == 0) continue;
        const size_t length = text.len;
        return send_response(v, status, response_of(buf_take(&text), length), "application/json");
    }
}

static enum MHD_Result run_call(struct visit *v, const char *url) {
    struct http *h = v->http;
    struct refusal why = {0};
    int retry_after = 0;
    UNUSED(url);
    struct call *c = v->call = new_call(v);
    const bool is_chat = strcmp(v->route->kind, "chat") == 0;
    if (c->wake_fd < 0) {
        refuse(&why, 503, NULL, "no_descriptors", "no more file descriptors: raise the limit (ulimit -n)");
        return send_refusal(v, &why, 1);
    }
    if (!request_parse(&c->request, is_chat, (struct str){buf_cstr(&v->body), v->body.len}, &why) ||
        !desk_prepare(h->o.desk, c, &why))
        return send_refusal(v, &why, 0);
    buf_free(&v->body);
    c->client = client_of(v, c->request.user);
    if (!desk_take(h->o.desk, c, &why, &retry_after)) return send_refusal(v, &why, retry_after);
    return send_call(v);
}

/* ---- the other routes ---- */

static enum MHD_Result run_models(struct visit *v, const char *url) {
    UNUSED(url);
    const struct http_options *o = &v->http->o;
    return send_json(v, 200, api_models(o->desk, o->serve, o->created));
}

static enum MHD_Result run_model(struct visit *v, const char *url) {
    const struct http_options *o = &v->http->o;
    const char *name = url + strlen(v->route->path);
    json_t *model = api_model(o->desk, o->serve, o->created, name);
    struct refusal why;
    if (model) return send_json(v, 200, model);
    refuse(&why, 404, "model", "model_not_found", "there is no model %.100s: GET /v1/models lists them",
           name);
    return send_refusal(v, &why, 0);
}

static enum MHD_Result run_health(struct visit *v, const char *url) {
    UNUSED(url);
    const bool stopping = desk_is_stopping(v->http->o.desk), well = metrics_get(v->http->o.metrics).is_well;
    return send_json(v, stopping || !well ? 503 : 200,
                     json_pack("{s:s}", "status",
                               stopping ? "stopping"
                               : well   ? "ok"
                                        : "models failed"));
}

static enum MHD_Result run_metrics(struct visit *v, const char *url) {
    struct buf text = {0};
    UNUSED(url);
    metrics_print(v->http->o.metrics, &text);
    const size_t n = text.len;
    return send_response(v, 200, response_of(buf_take(&text), n), "text/plain; version=0.0.4; charset=utf-8");
}

static enum MHD_Result run_options(struct visit *v, const char *url) {
    const struct http_options *o = &v->http->o;
    UNUSED(url);
    return send_json(v, 200, api_options(o->desk, o->serve, o->keys->n > 0));
}

static enum MHD_Result run_runs(struct visit *v, const char *url) {
    UNUSED(url);
    return send_json(v, 200, api_runs(v->http->o.serve));
}

static enum MHD_Result run_run(struct visit *v, const char *url) {
    struct refusal why;
    json_t *report = api_run(v->http->o.serve, url + strlen(v->route->path), &why);
    return report ? send_json(v, 200, report) : send_refusal(v, &why, 0);
}

static enum MHD_Result run_asset(struct visit *v, const char *url) {
    struct asset a;
    struct refusal why;
    if (asset_find(url, &a))
        return send_response(
            v, 200,
            MHD_create_response_from_buffer(a.length, (void *)(uintptr_t)a.bytes, MHD_RESPMEM_PERSISTENT),
            a.type);
    refuse(&why, 404, NULL, "not_found", "there is no %.100s", url);
    return send_refusal(v, &why, 0);
}

static const struct route routes[] = {
    {"POST", "/v1/chat/completions", run_call, "chat", false},
    {"POST", "/v1/completions", run_call, "completions", false},
    {"GET", "/v1/models", run_models, "other", false},
    {"GET", "/v1/models/", run_model, "other", false},
    {"GET", "/health", run_health, "other", true},
    {"GET", "/metrics", run_metrics, "other", false},
    {"GET", "/api/options", run_options, "other", false},
    {"GET", "/api/runs", run_runs, "other", false},
    {"GET", "/api/runs/", run_run, "other", false},
    {"GET", "/assets/", run_asset, "other", true},
    {"GET", "/", run_asset, "other", true},
};

static bool matches(const struct route *r, const char *url) {
    const size_t n = strlen(r->path);
    const bool begins_longer = n > 1 && r->path[n - 1] == '/';
    return begins_longer ? strncmp(url, r->path, n) == 0 && url[n] : strcmp(url, r->path) == 0;
}

static const struct route *find_route(const char *method, const char *url, struct refusal *why) {
    const struct route *other = NULL;
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (!matches(&routes[i], url)) continue;
        if (strcmp(method, routes[i].method) == 0 ||
            (strcmp(method, "HEAD") == 0 && strcmp(routes[i].method, "GET") == 0))
            return &routes[i];
        other = &routes[i];
    }
    if (other)
        refuse(why, 405, NULL, "method_not_allowed", "%.100s: %s is asked for here, not %.20s", url,
               other->method, method);
    else
        refuse(why, 404, NULL, "not_found", "there is no %.100s", url);
    return NULL;
}

/* ---- who may ask ---- */

static const char *header(struct visit *v, const char *name) {
    return MHD_lookup_connection_value(v->connection, MHD_HEADER_KIND, name);
}

/* "localhost:8080", "127.0.0.1", "[::1]:8080": this machine's own names. */
static bool is_local_name(const char *host) {
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const size_t n = strlen(names[i]);
        if (strncasecmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':')) return true;
    }
    return false;
}

/* A page from elsewhere that a browser of this machine shows is no client. */
static bool comes_from_elsewhere(struct visit *v) {
    const char *host = header(v, "Host"), *origin = header(v, "Origin");
    if (v->http->o.is_local && host && !is_local_name(host)) return true;
    if (!origin) return false;
    const char *name = strstr(origin, "://");
    return !name || !host || strcasecmp(name + 3, host) != 0;
}

static bool may_ask(struct visit *v, struct refusal *why) {
    if (comes_from_elsewhere(v))
        return refuse(why, 403, NULL, "origin_not_allowed",
                      "a page of another origin may not ask this server");
    if (v->route->is_open || keys_allow(v->http->o.keys, header(v, "Authorization"))) return true;
    return refuse(why, 401, NULL, "invalid_api_key",
                  "this server needs a key: send the header Authorization: Bearer KEY");
}

/* A form of a page from elsewhere cannot say that it is JSON. */
static bool is_json(struct visit *v, struct refusal *why) {
    static const char json[] = "application/json";
    const char *type = header(v, "Content-Type");
    const size_t n = strlen(json);
    if (type && strncasecmp(type, json, n) == 0 && (!type[n] || type[n] == ';' || type[n] == ' '))
        return true;
    return refuse(why, 415, NULL, "unsupported_media_type", "send Content-Type: application/json");
}

static bool may_be_long(struct visit *v, struct refusal *why) {
    const char *length = header(v, "Content-Length");
    const unsigned long long most = v->http->o.serve->body_bytes_max;
    if (!length || strtoull(length, NULL, 10) <= most) return true;
    return refuse(why, 413, NULL, "request_too_large",
                  "the body is longer than the %llu bytes that are allowed", most);
}

/* ---- libmicrohttpd ---- */

static void *begin_visit(void *ctx, const char *uri, struct MHD_Connection *connection) {
    struct visit *v = mem_zalloc(1, sizeof *v);
    UNUSED(uri);
    *v = (struct visit){.http = ctx, .connection = connection, .began = clock_seconds()};
    return v;
}

static enum MHD_Result refuse_visit(struct visit *v, const struct refusal *why) {
    return send_refusal(v, why, 0);
}

static enum MHD_Result first_look(struct visit *v, const char *url, const char *method) {
    struct refusal why = {0};
    v->is_counted = true;
    atomic_fetch_add(&v->http->n_in_flight, 1);
    v->route = find_route(method, url, &why);
    if (!v->route || !may_ask(v, &why)) return refuse_visit(v, &why);
    if (v->route->run == run_call && (!is_json(v, &why) || !may_be_long(v, &why)))
        return refuse_visit(v, &why);
    return MHD_YES;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data, size_t *n_data,
                                  void **state) {
    struct visit *v = *state;
    struct refusal why = {0};
    UNUSED(ctx);
    UNUSED(connection);
    UNUSED(version);
    if (!v->is_counted) return first_look(v, url, method);
    if (*n_data > 0) {
        const size_t n = *n_data;
        *n_data = 0;
        if (v->body.len + n > v->http->o.serve->body_bytes_max || clock_seconds() - v->began > body_seconds)
            return MHD_NO; /* in chunks, too long; or too slow */
        buf_add(&v->body, data, n);
        return MHD_YES;
    }
    if (!v->route) return refuse_visit(v, &why);
    return v->route->run(v, url);
}

static void end_visit(void *ctx, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code) {
    struct visit *v = *state;
    UNUSED(ctx);
    UNUSED(connection);
    *state = NULL;
    if (!v) return;
    if (v->call && code != MHD_REQUEST_TERMINATED_COMPLETED_OK && !atomic_exchange(&v->call->gone, true)) {
        metrics_count_gone(v->http->o.metrics);
        desk_wake(v->http->o.desk);
    }
    if (v->is_counted) atomic_fetch_sub(&v->http->n_in_flight, 1);
    call_release(v->call);
    buf_free(&v->body);
    free(v);
}

struct http *http_open(const struct http_options *o, int socket, struct err *e) {
    struct http *h = mem_zalloc(1, sizeof *h);
    h->o = *o;
    atomic_init(&h->n_in_flight, 0);
    atomic_init(&h->n_calls, 0);
    h->salt = rng_child((uint64_t)o->created, (uint64_t)getpid());
    h->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC, 0, NULL,
        NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)o->serve->n_connections_max, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_BUFFER_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)HTTP_STACK_BYTES, MHD_OPTION_URI_LOG_CALLBACK, begin_visit, h, MHD_OPTION_NOTIFY_COMPLETED,
        end_visit, NULL, MHD_OPTION_END);
    if (h->daemon) return h;
    close(socket);
    free(h);
    err_set(e, ERR_SERVICE,
            "the HTTP server could not be started: are there enough threads and descriptors?");
    return NULL;
}

void http_quiesce(struct http *h) {
    const int socket = MHD_quiesce_daemon(h->daemon);
    if (socket >= 0) close(socket);
}

int http_in_flight(const struct http *h) {
    return atomic_load((atomic_int *)(uintptr_t)&h->n_in_flight);
}

void http_close(struct http *h) {
    if (!h) return;
    MHD_stop_daemon(h->daemon);
    free(h);
}
