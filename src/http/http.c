/* http.c - see http.h. */
#include "http/http.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/mem.h"

enum { CONNECT_MS = 5000, IDLE_CONNECTIONS_MAX = 256, KEPT_SECONDS = 4 };

struct http_call {
    CURL *easy;
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

struct http {
    CURLM *multi;
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

struct http *http_new(const char *key, struct err *e) {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        err_set(e, ERR_SERVICE, "libcurl cannot be used");
        return NULL;
    }
    struct http *h = mem_zalloc(1, sizeof *h);
    h->multi = curl_multi_init();
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS_MAX);
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
    curl_easy_reset(easy);
    MEM_GROW(h->spare, h->cap, h->n_spare + 1);
    h->spare[h->n_spare++] = easy;
}

static void call_free(struct http *h, struct http_call *c) {
    if (!c) return;
    keep_spare(h, c->easy);
    buf_free(&c->answer);
    free(c);
}

void http_cancel(struct http *h, struct http_call *c) {
    if (!c->ended) curl_multi_remove_handle(h->multi, c->easy);
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
    curl_multi_cleanup(h->multi);
    curl_slist_free_all(h->headers);
    curl_global_cleanup();
    free(h);
}

static size_t on_bytes(char *bytes, size_t one, size_t n, void *ctx) {
    struct http_call *c = ctx;
    UNUSED(one);
    c->too_long = c->too_long || n > c->n_bytes_max - c->answer.len;
    if (c->too_long) return 0;
    buf_add(&c->answer, bytes, n);
    return n;
}

struct http_call *http_send(struct http *h, const struct http_request *r) {
    struct http_call *c = mem_zalloc(1, sizeof *c);
    c->n_bytes_max = r->n_bytes_max;
    c->ctx = r->ctx;
    c->easy = h->n_spare > 0 ? h->spare[--h->n_spare] : curl_easy_init();
    ASSERT(c->easy);
    CURL *x = c->easy;
    curl_easy_setopt(x, CURLOPT_URL, r->url);
    curl_easy_setopt(x, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(x, CURLOPT_HTTPHEADER, h->headers);
    if (r->body.ptr) {
        curl_easy_setopt(x, CURLOPT_POSTFIELDS, r->body.ptr);
        curl_easy_setopt(x, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
    }
    curl_easy_setopt(x, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(x, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(x, CURLOPT_TIMEOUT_MS, (long)(r->seconds_max * 1000) + 1);
    /* Servers close idle connections after five seconds (uvicorn): one that is used just then would fail. */
    curl_easy_setopt(x, CURLOPT_MAXAGE_CONN, (long)KEPT_SECONDS);
    curl_easy_setopt(x, CURLOPT_ERRORBUFFER, c->reason);
    curl_easy_setopt(x, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(x, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(x, CURLOPT_PRIVATE, c);
    ASSERT(curl_multi_add_handle(h->multi, x) == CURLM_OK);
    list_add(&h->flying, c);
    return c;
}

/* Moves what has ended from one list to the other; how many. */
static int collect(struct http *h) {
    int n = 0, n_left;
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &n_left));) {
        if (m->msg != CURLMSG_DONE) continue;
        struct http_call *c = NULL;
        CURLcode code = m->data.result; /* *m is gone with its handle */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        curl_multi_remove_handle(h->multi, c->easy);
        c->code = code;
        c->ended = true;
        list_remove(&h->flying, c);
        list_add(&h->ended, c);
        n++;
    }
    return n;
}

void http_work(struct http *h, double seconds_max) {
    int n_running;
    curl_multi_perform(h->multi, &n_running);
    if (collect(h) > 0 || h->ended.first || seconds_max <= 0) return;
    curl_multi_poll(h->multi, NULL, 0, (int)(seconds_max * 1000) + 1, NULL);
    curl_multi_perform(h->multi, &n_running);
    collect(h);
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
