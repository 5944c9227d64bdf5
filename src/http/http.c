/* http.c - see http.h. */
#include "http/http.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "base/mem.h"

enum { CONNECT_MS = 5000, CONNECTIONS_MAX = 8192, EVENTS_MAX = 256, LANES = 32 };
static const double kept_seconds = 0.25;

/* libcurl looks for an idle connection among all that a host has, one after the other: in lanes of their own
 * they are few. */
struct lane {
    struct http *owner;
    CURLM *multi;
    double timer_at; /* when curl wants to be called; INFINITY: not */
    int n_flying;
};

struct connection { /* that is open */
    struct lane *lane;
    int fd, group;
    struct http_call *call; /* that uses it, or is to; NULL: nobody */
    bool has_answered, is_idle;
    struct connection *prev, *next; /* among the idle */
    double idle_since;
};

struct http_call {
    CURL *easy;
    struct lane *lane;
    int group;
    struct connection *connection; /* NULL: not yet, or no more */
    bool waits;                    /* on a connection that has not answered anything */
    uint64_t n_due;                /* with so many answers of its group it has been overtaken */
    struct http_call *wait_prev, *wait_next;
    struct buf answer;
    size_t n_bytes_max;
    void *ctx;
    bool ended, too_long;
    CURLcode code;
    char reason[CURL_ERROR_SIZE];
    struct http_call *prev, *next; /* in flight, or ended and not yet taken */
};

struct call_list {
    struct http_call *first, *last;
};

struct group {                                 /* of requests to one server */
    struct connection *idle_first, *idle_last; /* in the order in which they were left */
    struct http_call *wait_first, *wait_last;  /* in the order in which they are due */
    uint64_t n_answers;
    int n_flying;
};

struct http {
    struct lane lanes[LANES];
    int epoll; /* what curl waits for: one that grows with what happens, not with what is in flight */
    struct group groups[HTTP_GROUPS];
    struct connection **connections; /* [n_fds] by their sockets; NULL: none of ours */
    size_t n_fds, cap_fds;
    struct curl_slist *headers;
    struct call_list flying, ended;
    struct http_call *told; /* of the last reply: its body is being read */
    CURL **spare;           /* [n_spare] handles to use again */
    size_t n_spare, cap;
};

static void list_add(struct call_list *l, struct http_call *c) {
    c->prev = l->last;
    c->next = NULL;
    *(l->last ? &l->last->next : &l->first) = c;
    l->last = c;
}

static void list_remove(struct call_list *l, struct http_call *c) {
    *(c->prev ? &c->prev->next : &l->first) = c->next;
    *(c->next ? &c->next->prev : &l->last) = c->prev;
}

/* ---- connections ---- */
static struct connection *connection_at(const struct http *h, curl_socket_t fd) {
    return fd >= 0 && (size_t)fd < h->n_fds ? h->connections[fd] : NULL;
}

static void put_idle(struct http *h, struct connection *k) {
    struct group *g = &h->groups[k->group];
    k->call = NULL;
    if (!k->has_answered) return; /* still connecting, or broken */
    k->is_idle = true;
    k->idle_since = clock_seconds();
    k->prev = g->idle_last;
    k->next = NULL;
    *(g->idle_last ? &g->idle_last->next : &g->idle_first) = k;
    g->idle_last = k;
}

static void take_idle(struct http *h, struct connection *k) {
    struct group *g = &h->groups[k->group];
    if (!k->is_idle) return;
    *(k->prev ? &k->prev->next : &g->idle_first) = k->next;
    *(k->next ? &k->next->prev : &g->idle_last) = k->prev;
    k->is_idle = false;
}

/* curl may use another one of the lane than the one that was meant. */
static void use(struct http *h, struct connection *k, struct http_call *c) {
    if (k->call == c) return;
    if (c->connection) put_idle(h, c->connection);
    if (k->call) k->call->connection = NULL;
    take_idle(h, k);
    k->call = c;
    c->connection = k;
}

static void forget(struct http *h, curl_socket_t fd) {
    struct connection *k = connection_at(h, fd);
    if (!k) return;
    take_idle(h, k);
    if (k->call) k->call->connection = NULL;
    h->connections[fd] = NULL;
    free(k);
}

static curl_socket_t on_open(void *ctx, curlsocktype purpose, struct curl_sockaddr *address) {
    struct http_call *c = ctx;
    struct http *h = c->lane->owner;
    UNUSED(purpose);
    const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) return CURL_SOCKET_BAD;
    MEM_GROW(h->connections, h->cap_fds, (size_t)fd + 1);
    while (h->n_fds <= (size_t)fd) h->connections[h->n_fds++] = NULL;
    forget(h, fd); /* curl does not tell of all that it closes, such as what was never connected */
    struct connection *k = h->connections[fd] = mem_zalloc(1, sizeof *k);
    *k = (struct connection){.lane = c->lane, .fd = fd, .group = c->group};
    return fd;
}

static int on_close(void *ctx, curl_socket_t fd) {
    forget(ctx, fd);
    return close(fd);
}

/* Their servers' threads are free at once. curl finds them shut when it looks for one to use, and closes
 * them: it has no way to close one that is idle. */
static void shut_idle(struct http *h) {
    const double now = clock_seconds();
    for (int i = 0; i < HTTP_GROUPS; i++) {
        for (struct connection *k; (k = h->groups[i].idle_first) && now - k->idle_since > kept_seconds;) {
            take_idle(h, k);
            shutdown(k->fd, SHUT_RDWR);
        }
    }
}

/* ---- who waits for a connection to be read ---- */
static void wait_begin(struct http_call *c) {
    struct group *g = &c->lane->owner->groups[c->group];
    c->waits = true;
    c->n_due = g->n_answers + 2 * (uint64_t)g->n_flying; /* those before it, and as many behind it */
    c->wait_prev = g->wait_last;
    c->wait_next = NULL;
    *(g->wait_last ? &g->wait_last->wait_next : &g->wait_first) = c;
    g->wait_last = c;
}

static void wait_end(struct http_call *c) {
    struct group *g = &c->lane->owner->groups[c->group];
    if (!c->waits) return;
    *(c->wait_prev ? &c->wait_prev->wait_next : &g->wait_first) = c->wait_next;
    *(c->wait_next ? &c->wait_next->wait_prev : &g->wait_last) = c->wait_prev;
    c->waits = false;
}

/* The connection of an answer that is coming is closed behind it for one that was overtaken. */
static void make_room(struct http_call *c) {
    const struct group *g = &c->lane->owner->groups[c->group];
    struct http_call *first = g->wait_first;
    if (!first || g->n_answers < first->n_due) return;
    wait_end(first);
    wait_begin(first);
    curl_easy_setopt(c->easy, CURLOPT_FORBID_REUSE, 1L);
}

/* ---- what curl calls ---- */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *known) {
    struct lane *lane = ctx;
    const int epoll = lane->owner->epoll;
    struct connection *k = connection_at(lane->owner, fd);
    struct http_call *c = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&c);
    struct epoll_event x = {.data.u64 = (uint64_t)(lane - lane->owner->lanes) << 32 | (uint32_t)fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL); /* it may be closed already */
        curl_multi_assign(lane->multi, fd, NULL);
        return 0;
    }
    if (k && c) use(lane->owner, k, c);
    if (k && c && !k->has_answered && !c->waits && c->answer.len == 0) wait_begin(c);
    x.events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (epoll_ctl(epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &x) != 0)
        epoll_ctl(epoll, known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &x);
    curl_multi_assign(lane->multi, fd, lane);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *ctx) {
    struct lane *lane = ctx;
    UNUSED(multi);
    lane->timer_at = ms < 0 ? INFINITY : clock_seconds() + (double)ms / 1000;
    return 0;
}

static void lane_init(struct lane *lane, struct http *h) {
    *lane = (struct lane){.owner = h, .multi = curl_multi_init(), .timer_at = INFINITY};
    ASSERT(lane->multi);
    curl_multi_setopt(lane->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
    curl_multi_setopt(lane->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(lane->multi, CURLMOPT_SOCKETDATA, lane);
    curl_multi_setopt(lane->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(lane->multi, CURLMOPT_TIMERDATA, lane);
}

struct http *http_new(const char *key, struct err *e) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        err_set(e, ERR_SERVICE, "libcurl cannot be used");
        return NULL;
    }
    struct http *h = mem_zalloc(1, sizeof *h);
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    ASSERT(h->epoll >= 0);
    for (int i = 0; i < LANES; i++) lane_init(&h->lanes[i], h);
    static const char *const lines[] = {"Content-Type: application/json", "Accept: application/json",
                                        "Expect:"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) h->headers = curl_slist_append(h->headers, lines[i]);
    if (key) {
        struct buf line = {0};
        buf_printf(&line, "Authorization: Bearer %s", key);
        h->headers = curl_slist_append(h->headers, buf_cstr(&line));
        memset(line.ptr, 0, line.len);
        buf_free(&line);
    }
    return h;
}

static void keep_spare(struct http *h, CURL *easy) {
    MEM_GROW(h->spare, h->cap, h->n_spare + 1);
    h->spare[h->n_spare++] = easy;
}

/* It is no longer in flight; its connection is idle, unless it broke. */
static void leave_lane(struct http_call *c, bool is_whole) {
    struct http *h = c->lane->owner;
    struct group *g = &h->groups[c->group];
    struct connection *k = c->connection;
    wait_end(c);
    c->lane->n_flying--;
    g->n_flying--;
    g->n_answers += is_whole;
    c->connection = NULL;
    if (!k) return;
    k->has_answered = is_whole;
    put_idle(h, k);
}

static void call_free(struct http *h, struct http_call *c) {
    if (!c) return;
    keep_spare(h, c->easy);
    buf_free(&c->answer);
    free(c);
}

void http_cancel(struct http *h, struct http_call *c) {
    if (!c->ended) {
        curl_multi_remove_handle(c->lane->multi, c->easy);
        leave_lane(c, false);
    }
    list_remove(c->ended ? &h->ended : &h->flying, c);
    call_free(h, c);
}

void http_free(struct http *h) {
    if (!h) return;
    while (h->flying.first) http_cancel(h, h->flying.first);
    while (h->ended.first) http_cancel(h, h->ended.first);
    call_free(h, h->told);
    for (size_t i = 0; i < h->n_spare; i++) curl_easy_cleanup(h->spare[i]);
    free(h->spare);
    for (int i = 0; i < LANES; i++) curl_multi_cleanup(h->lanes[i].multi);
    for (size_t i = 0; i < h->n_fds; i++) forget(h, (curl_socket_t)i);
    free(h->connections);
    close(h->epoll);
    curl_slist_free_all(h->headers);
    curl_global_cleanup();
    free(h);
}

static size_t on_bytes(char *bytes, size_t one, size_t n, void *ctx) {
    struct http_call *c = ctx;
    UNUSED(one);
    c->too_long = c->too_long || n > c->n_bytes_max - c->answer.len;
    if (c->too_long) return 0;
    wait_end(c);
    if (c->answer.len == 0) make_room(c);
    buf_add(&c->answer, bytes, n);
    return n;
}

/* What is the same for all requests. */
static CURL *new_easy(struct http *h) {
    CURL *x = curl_easy_init();
    ASSERT(x);
    curl_easy_setopt(x, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(x, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* one request a connection */
    curl_easy_setopt(x, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(x, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(x, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(x, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(x, CURLOPT_CLOSESOCKETDATA, h);
    /* Servers close idle connections after five seconds (uvicorn): one that is used just then would fail. */
    curl_easy_setopt(x, CURLOPT_MAXAGE_CONN, 4L);
    curl_easy_setopt(x, CURLOPT_WRITEFUNCTION, on_bytes);
    return x;
}

/* One that has an idle connection, the last that was left; or the one with the fewest in flight. */
static struct lane *pick_lane(struct http *h, struct http_call *c) {
    struct connection *idle = h->groups[c->group].idle_last;
    if (idle) use(h, idle, c);
    if (idle) return idle->lane;
    struct lane *best = &h->lanes[0];
    for (int i = 1; i < LANES; i++)
        if (h->lanes[i].n_flying < best->n_flying) best = &h->lanes[i];
    return best;
}

struct http_call *http_send(struct http *h, const struct http_request *r) {
    struct http_call *c = mem_zalloc(1, sizeof *c);
    c->n_bytes_max = r->n_bytes_max;
    c->ctx = r->ctx;
    c->easy = h->n_spare > 0 ? h->spare[--h->n_spare] : new_easy(h);
    CURL *x = c->easy;
    curl_easy_setopt(x, CURLOPT_URL, r->url);
    if (r->body.ptr) {
        curl_easy_setopt(x, CURLOPT_POST, 1L);
        curl_easy_setopt(x, CURLOPT_POSTFIELDS, r->body.ptr);
        curl_easy_setopt(x, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
    } else {
        curl_easy_setopt(x, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(x, CURLOPT_TIMEOUT_MS, (long)(r->seconds_max * 1000) + 1);
    curl_easy_setopt(x, CURLOPT_ERRORBUFFER, c->reason);
    curl_easy_setopt(x, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(x, CURLOPT_PRIVATE, c);
    curl_easy_setopt(x, CURLOPT_OPENSOCKETDATA, c);
    curl_easy_setopt(x, CURLOPT_FORBID_REUSE, 0L);
    c->group = r->group;
    c->lane = pick_lane(h, c);
    c->lane->n_flying++;
    h->groups[c->group].n_flying++;
    ASSERT(curl_multi_add_handle(c->lane->multi, x) == CURLM_OK);
    list_add(&h->flying, c);
    return c;
}

/* Moves what has ended from one list to the other. */
static void collect(struct http *h, struct lane *lane) {
    int n_left;
    for (CURLMsg *m; (m = curl_multi_info_read(lane->multi, &n_left));) {
        if (m->msg != CURLMSG_DONE) continue;
        struct http_call *c = NULL;
        CURLcode code = m->data.result; /* *m is gone with its handle */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        curl_multi_remove_handle(lane->multi, c->easy);
        c->code = code;
        c->ended = true;
        leave_lane(c, code == CURLE_OK);
        list_remove(&h->flying, c);
        list_add(&h->ended, c);
    }
}

static void run_timers(struct http *h) {
    const double now = clock_seconds();
    for (int i = 0; i < LANES; i++) {
        struct lane *lane = &h->lanes[i];
        int n_running;
        if (now < lane->timer_at) continue;
        lane->timer_at = INFINITY; /* curl sets it anew if it wants to */
        curl_multi_socket_action(lane->multi, CURL_SOCKET_TIMEOUT, 0, &n_running);
        collect(h, lane);
    }
}

/* What has happened on connections; waits so long for something. */
static void run_events(struct http *h, double seconds_max) {
    struct epoll_event events[EVENTS_MAX];
    double timer_at = INFINITY;
    for (int i = 0; i < LANES && seconds_max > 0; i++) timer_at = fmin(timer_at, h->lanes[i].timer_at);
    const double seconds = seconds_max > 0 ? fmin(seconds_max, fmax(0, timer_at - clock_seconds())) : 0;
    const int n = epoll_wait(h->epoll, events, EVENTS_MAX, (int)ceil(seconds * 1000));
    for (int i = 0; i < n; i++) {
        struct lane *lane = &h->lanes[events[i].data.u64 >> 32];
        int n_running;
        const uint32_t got = events[i].events;
        const int what = (got & EPOLLIN ? CURL_CSELECT_IN : 0) | (got & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                         (got & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        curl_multi_socket_action(lane->multi, (int)(events[i].data.u64 & 0xffffffff), what, &n_running);
        collect(h, lane);
    }
}

void http_work(struct http *h, double seconds_max) {
    shut_idle(h);
    run_timers(h);
    run_events(h, 0);
    if (h->ended.first || seconds_max <= 0) return;
    run_events(h, seconds_max);
    run_timers(h);
}

bool http_next(struct http *h, struct http_reply *out) {
    call_free(h, h->told);
    struct http_call *c = h->told = h->ended.first;
    if (!c) return false;
    list_remove(&h->ended, c);
    long status = 0;
    curl_off_t wait = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &wait);
    *out = (struct http_reply){.ctx = c->ctx, .retry_after = (double)wait, .body = buf_str(&c->answer)};
    out->timed_out = c->code == CURLE_OPERATION_TIMEDOUT;
    if (c->code == CURLE_OK)
        out->status = (int)status;
    else if (c->too_long)
        out->why = "the answer is longer than it may be";
    else
        out->why = c->reason[0] ? c->reason : curl_easy_strerror(c->code);
    return true;
}
