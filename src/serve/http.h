/* http.h - the server's side of HTTP: connections, routes, keys, headers; private to the room.
 *
 * Each connection has a thread of libmicrohttpd's (https://www.gnu.org/software/libmicrohttpd/), which reads
 * a request, hands a call to the desk and sends what comes back. While it waits it watches the socket, so
 * that the work of a client that went is given up at once.
 */
#ifndef BROOD_SERVE_HTTP_H
#define BROOD_SERVE_HTTP_H

#include "serve/desk.h"
#include "serve/keys.h"

struct http;

struct http_options {
    const struct serve_options *serve;
    struct desk *desk;
    struct metrics *metrics;
    const struct keys *keys;
    bool is_local; /* only this machine can reach it: names in Host are checked (DNS rebinding) */
    long long created;
};

/* Takes over the listening socket. */
MUST struct http *http_open(const struct http_options *o, int socket, struct err *e);
void http_quiesce(struct http *h); /* no new connections */
/* Requests that are being answered. */
int http_in_flight(const struct http *h);
void http_close(struct http *h); /* ends all connections; NULL is legal */

#endif
