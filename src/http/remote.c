/* remote.c - see remote.h. */
#include "http/remote.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

enum { SENSELESS_MAX = 12, ALIKE_MAX = 6, TRIES_BEFORE_GONE = 4, WHY_BYTES_MAX = 300 };
static const double backoff_seconds = 0.05, backoff_seconds_max = 30;

struct ask_list {
    struct ask **items;
    size_t n, cap;
};

struct remote {
    struct servers servers;
    struct http *http;
    char *key;
    double patience;
    struct ask_list queued, flying, ended; /* of the ended, the first n_taken have been taken */
    size_t n_taken;
    struct buf url; /* of the request that is being sent */
    struct remote_counters counters;
    int n_failures; /* of all servers, without an answer between them */
    double failing_since;
};

static void list_add(struct ask_list *l, struct ask *a) {
    MEM_GROW(l->items, l->cap, l->n + 1);
    l->items[l->n++] = a;
}

static void list_remove(struct ask_list *l, const struct ask *a) {
    size_t i = 0;
    while (i < l->n && l->items[i] != a) i++;
    ASSERT(i < l->n);
    memmove(l->items + i, l->items + i + 1, (l->n - i - 1) * sizeof(struct ask *));
    l->n--;
}

/* Those in flight have no order. */
static void fly(struct remote *r, struct ask *a) {
    a->i_list = r->flying.n;
    list_add(&r->flying, a);
}

static void land(struct remote *r, struct ask *a) {
    ASSERT(a->i_list < r->flying.n && r->flying.items[a->i_list] == a);
    struct ask *last = r->flying.items[--r->flying.n];
    r->flying.items[a->i_list] = last;
    last->i_list = a->i_list;
}

struct remote *remote_new(const char *const *bases, int n_bases, const struct remote_options *o,
                          struct err *e) {
    struct http *http = http_new(o->key, e);
    if (!http) return NULL;
    struct remote *r = mem_zalloc(1, sizeof *r);
    r->http = http;
    r->key = o->key ? mem_strdup(o->key) : NULL;
    r->patience = o->patience;
    for (int i = 0; i < n_bases; i++) servers_add(&r->servers, bases[i]);
    return r;
}

void remote_free(struct remote *r) {
    if (!r) return;
    http_free(r->http);
    servers_fini(&r->servers);
    free(r->key);
    buf_free(&r->url);
    free(r->queued.items);
    free(r->flying.items);
    free(r->ended.items);
    free(r);
}

void ask_fini(struct ask *a) {
    buf_free(&a->body);
    free(a->why);
    a->why = NULL;
}

void remote_ask(struct remote *r, struct ask *a) {
    ASSERT(a->state == ASK_IDLE || a->state == ASK_DONE);
    a->state = ASK_QUEUED;
    a->n_tries = a->n_senseless = a->n_alike = 0;
    a->not_before = a->failing_since = 0;
    a->avoid = -1;
    list_add(&r->queued, a);
}

void remote_drop(struct remote *r, struct ask *a) {
    if (a->state == ASK_QUEUED) list_remove(&r->queued, a);
    if (a->state == ASK_FLYING) {
        land(r, a);
        http_cancel(r->http, a->call);
        servers_told(&r->servers, a->server, SERVER_DROPPED, a->sent_at, 0, 0, clock_seconds());
    }
    for (size_t i = r->n_taken; i < r->ended.n; i++)
        if (r->ended.items[i] == a) r->ended.items[i] = NULL;
    a->state = ASK_IDLE;
}

/* ---- sending ---- */
static void send_to(struct remote *r, struct ask *a, int server, double now) {
    const struct server *s = &r->servers.items[server];
    struct buf *url = &r->url;
    buf_clear(url);
    buf_add_str(url, str_from(a->at_root ? s->root : s->base));
    buf_add_str(url, str_from(a->path));
    a->server = server;
    a->state = ASK_FLYING;
    a->sent_at = now;
    a->n_tries++;
    r->counters.n_sent++;
    r->counters.n_again += a->n_tries > 1;
    r->counters.tokens_again += a->n_tries > 1 ? a->n_tokens : 0;
    fly(r, a);
    servers_sent(&r->servers, server);
    a->call = http_send(r->http, &(struct http_request){.url = buf_cstr(url),
                                                        .group = server,
                                                        .body = buf_str(&a->body),
                                                        .seconds_max = a->seconds_max,
                                                        .n_bytes_max = a->n_bytes_max,
                                                        .ctx = a});
}

/* Sends what may be sent; *wake becomes the time at which more may be. */
static void dispatch(struct remote *r, double *wake) {
    double now = clock_seconds();
    size_t n_kept = 0;
    bool full = false;
    *wake = servers_wake(&r->servers, now);
    for (size_t i = 0; i < r->queued.n; i++) {
        struct ask *a = r->queued.items[i];
        int server = -1;
        if (now < a->not_before)
            *wake = fmin(*wake, a->not_before);
        else if (a->only >= 0)
            server = a->only;
        else if (!full)
            full = (server = servers_pick(&r->servers, a->affinity, a->avoid, now)) < 0;
        if (server < 0) {
            r->queued.items[n_kept++] = a;
            continue;
        }
        send_to(r, a, server, now);
    }
    r->queued.n = n_kept;
}

/* ---- what comes back ---- */

/* A server that repeats the key in its message does not get it into ours. */
static char *without_key(const struct remote *r, const char *text) {
    struct buf out = {0};
    size_t n_key = r->key ? strlen(r->key) : 0;
    for (const char *p = text; *p && out.len < WHY_BYTES_MAX;) {
        if (n_key > 0 && strncmp(p, r->key, n_key) == 0) {
            buf_add_str(&out, STR("(the key)"));
            p += n_key;
        } else {
            buf_add_char(&out, *p++);
        }
    }
    buf_add_char(&out, '\0');
    out.len--;
    return buf_take(&out);
}

static const char *message_of(const json_t *answer) {
    const json_t *error = json_object_get(answer, "error");
    const char *text = json_string_value(json_object_get(error, "message"));
    if (!text) text = json_string_value(error);
    if (!text) text = json_string_value(json_object_get(answer, "message"));
    if (!text) text = json_string_value(json_object_get(answer, "detail"));
    return text;
}

static void end(struct remote *r, struct ask *a, enum ask_state state) {
    a->state = state;
    list_add(&r->ended, a);
}

static void refuse(struct remote *r, struct ask *a, int status, const char *why) {
    a->status = status;
    free(a->why);
    a->why = without_key(r, why);
    end(r, a, ASK_REFUSED);
}

static bool may_pass(int status) {
    return status == 0 || status == 408 || status == 409 || status == 425 || status == 429 ||
           (status >= 500 && status != 501);
}

static double again_at(const struct ask *a, double retry_after, double now) {
    double most = fmin(backoff_seconds_max, ldexp(backoff_seconds, MIN(a->n_tries, 16)));
    double unit = rng_unit(rng_child(a->affinity, (uint64_t)a->n_tries), (uint64_t)(now * 1e6));
    return now + fmax(unit * most, a->only >= 0 ? retry_after : 0); /* another server may be free earlier */
}

/* This ask was in vain for too long, or everything was. */
static bool is_gone(const struct remote *r, const struct ask *a, double now) {
    return (a->n_tries >= TRIES_BEFORE_GONE && now - a->failing_since > r->patience) ||
           (r->n_failures >= TRIES_BEFORE_GONE && now - r->failing_since > r->patience);
}

/* Puts it back into the queue; false with *e set when that has been in vain for too long. */
static bool again(struct remote *r, struct ask *a, enum server_outcome what, double retry_after,
                  const char *why, struct err *e) {
    double now = clock_seconds();
    const bool waits = what == SERVER_BUSY;
    r->counters.n_busy += waits;
    r->counters.n_failed += !waits;
    if (waits) a->failing_since = 0;
    if (!waits && a->failing_since <= 0) a->failing_since = a->sent_at;
    if (a->tries_max > 0 && a->n_tries >= a->tries_max) {
        refuse(r, a, 0, why);
        return true;
    }
    if (!waits && a->tries_max == 0 && is_gone(r, a, now)) {
        char *safe = without_key(r, why);
        err_set(
            e, ERR_SERVICE,
            "%s: no answer for more than %g seconds: %s; when it is there again, the same command goes on",
            r->servers.items[a->server].base, r->patience, safe);
        free(safe);
        a->state = ASK_IDLE;
        return false;
    }
    a->avoid = a->server;
    a->not_before = again_at(a, retry_after, now);
    a->state = ASK_QUEUED;
    list_add(&r->queued, a);
    return true;
}

/* An answer with status 200: true if the reader took it. */
static bool read_answer(struct ask *a, struct str body, double *n_tokens, struct err *why) {
    if (a->skim && a->skim(a, body, n_tokens)) return true;
    json_t *answer = json_parse(body, "the answer", why);
    bool done = answer && a->read(a, answer, n_tokens, why);
    json_decref(answer);
    return done;
}

/* Counts an answer that the reader did not accept: true if another would be no better. */
static bool is_hopeless(struct ask *a, const char *why) {
    const uint64_t reason = rng_hash(0, why, strlen(why));
    a->n_alike = a->n_senseless > 0 && reason == a->reason ? a->n_alike + 1 : 1;
    a->reason = reason;
    return ++a->n_senseless >= SENSELESS_MAX || a->n_alike >= ALIKE_MAX;
}

static bool on_reply(struct remote *r, const struct http_reply *reply, struct err *e) {
    struct ask *a = reply->ctx;
    struct err why = {0};
    double n_tokens = 0, now = clock_seconds();
    land(r, a);
    a->call = NULL;
    enum server_outcome what = SERVER_ANSWERED;
    bool accepted = false;
    if (reply->status == 200) {
        accepted = read_answer(a, reply->body, &n_tokens, &why);
        if (!accepted) what = SERVER_FAILED;
    } else if (may_pass(reply->status)) {
        const bool busy = reply->status == 429 || reply->status == 503;
        what = busy ? SERVER_BUSY : reply->timed_out ? SERVER_LATE : SERVER_FAILED;
        if (reply->status)
            err_set(&why, ERR_SERVICE, "HTTP status %d", reply->status);
        else
            err_set(&why, ERR_SERVICE, "%s", reply->why);
    }
    servers_told(&r->servers, a->server, what, a->sent_at, reply->retry_after, n_tokens, now);
    if (what == SERVER_ANSWERED || what == SERVER_BUSY)
        r->n_failures = 0;
    else if (r->n_failures++ == 0)
        r->failing_since = a->sent_at;
    if (accepted) {
        end(r, a, ASK_DONE);
    } else if (what == SERVER_ANSWERED) {
        json_t *answer = json_parse(reply->body, "the answer", &why);
        const char *text = answer ? message_of(answer) : NULL;
        if (!text) err_set(&why, ERR_SERVICE, "HTTP status %d", reply->status);
        refuse(r, a, reply->status, text ? text : why.msg);
        json_decref(answer);
    } else if (reply->status == 200 && is_hopeless(a, why.msg)) {
        refuse(r, a, 200, why.msg);
    } else {
        return again(r, a, what, reply->retry_after, why.msg, e);
    }
    return true;
}

int remote_work(struct remote *r, double seconds_max, struct err *e) {
    if (r->queued.n + r->flying.n + r->ended.n == 0) {
        http_work(r->http, 0); /* closes connections that nobody needs */
        return 0;
    }
    double wake;
    dispatch(r, &wake);
    http_work(r->http, fmax(0, fmin(seconds_max, wake - clock_seconds())));
    struct http_reply reply;
    while (http_next(r->http, &reply))
        if (!on_reply(r, &reply, e)) return -1;
    dispatch(r, &wake);
    http_work(r->http, 0);
    return 1;
}

struct ask *remote_next(struct remote *r) {
    while (r->n_taken < r->ended.n) {
        struct ask *a = r->ended.items[r->n_taken++];
        if (a) return a;
    }
    r->n_taken = r->ended.n = 0;
    return NULL;
}

bool remote_wait(struct remote *r, struct ask *a, struct err *e) {
    while (a->state == ASK_QUEUED || a->state == ASK_FLYING) {
        if (remote_work(r, 0.05, e) >= 0) continue;
        remote_drop(r, a);
        return false;
    }
    for (size_t i = r->n_taken; i < r->ended.n; i++)
        if (r->ended.items[i] == a) r->ended.items[i] = NULL;
    return true;
}

int remote_wanted(const struct remote *r) {
    return servers_wanted(&r->servers);
}

struct remote_counters remote_counters(const struct remote *r) {
    return r->counters;
}

const char *remote_server(const struct remote *r, int i) {
    return r->servers.items[i].base;
}
