/* http.h - many HTTP requests at once from one thread, over libcurl.
 *
 *     call = http_send(h, &request)       at once; any number in flight, each on a connection of its own
 *     http_work(h, 0.05)                  moves bytes; waits at most so long for something to happen
 *     while (http_next(h, &reply)) ...    answers, in the order in which they ended
 *
 * Connections (HTTP/1.1) are kept for the next request, for a quarter of a second: many servers lend a thread
 * to each connection for as long as it lasts, and have few. Where such a server has fewer than we have
 * requests in flight, some of these wait on connections that nobody reads yet; one that sees as many later
 * requests answered as are in flight gets another connection closed for it, which frees that one's thread.
 *
 * A reply is whole or it is none: a connection that broke, a body shorter than announced, one longer than
 * allowed and a passed deadline have status 0 and a reason. Redirects are not followed. The key goes into the
 * Authorization header and nowhere else.
 *
 * Ownership: a request's body is borrowed until its reply or http_cancel; a reply's body and reason are valid
 * until the next http_next or http_work. Threads: one thread owns it.
 */
#ifndef BROOD_HTTP_HTTP_H
#define BROOD_HTTP_HTTP_H

#include "base/err.h"
#include "base/str.h"

struct http;
struct http_call;

enum { HTTP_GROUPS = 64 };

struct http_request {
    const char *url;
    int group;          /* of requests to the same server, below HTTP_GROUPS: they share connections */
    struct str body;    /* JSON to POST; ptr NULL: GET */
    double seconds_max; /* from sending to the whole answer */
    size_t n_bytes_max; /* of the answer */
    void *ctx;          /* comes back with the reply */
};

struct http_reply {
    void *ctx;
    int status; /* 0: no whole answer, `why` says it */
    const char *why;
    bool timed_out;     /* status 0: the deadline passed */
    double retry_after; /* seconds that the server asks to wait; 0: it does not say */
    struct str body;
};

MUST struct http *http_new(const char *key, struct err *e); /* key NULL: none */
void http_free(struct http *h);                             /* cancels what is in flight; NULL is legal */
struct http_call *http_send(struct http *h, const struct http_request *r);
void http_cancel(struct http *h, struct http_call *call); /* no reply follows */
void http_work(struct http *h, double seconds_max);
bool http_next(struct http *h, struct http_reply *out);

#endif
