/* serve.c - see serve.h. */
#include "serve/serve.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "serve/http.h"

/* What was written is given so long to be sent, once all searches have ended. */
static const double last_seconds = 5;

struct serve {
    struct serve_options options;
    struct metrics *metrics;
    struct desk *desk;
    struct http *http;
    struct keys keys;
    char address[NI_MAXHOST + 64];
    bool is_local;
};

static bool is_loopback(const struct sockaddr *a) {
    if (a->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24) == 127;
    return a->sa_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

static void note_address(struct serve *s, int socket) {
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    char host[NI_MAXHOST] = "?", port[NI_MAXSERV] = "?";
    if (getsockname(socket, (struct sockaddr *)&a, &n) == 0)
        getnameinfo((struct sockaddr *)&a, n, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    const bool six = strchr(host, ':') != NULL;
    snprintf(s->address, sizeof s->address, "http://%s%s%s:%s", six ? "[" : "", host, six ? "]" : "", port);
}

/* A listening socket at the first address that takes one; -1 with *e set. */
static int listen_at(struct serve *s, struct err *e) {
    const struct serve_options *o = &s->options;
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    char port[16];
    int fd = -1, error = 0;
    snprintf(port, sizeof port, "%d", o->port);
    const int status = getaddrinfo(o->host, port, &hints, &list);
    if (status != 0) {
        err_set(e, ERR_INPUT, "--host %.100s: %s", o->host, gai_strerror(status));
        return -1;
    }
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        const int yes = 1;
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (fd >= 0 && bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0) {
            s->is_local = is_loopback(a->ai_addr);
            break;
        }
        error = errno;
        if (fd >= 0) close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    if (fd < 0)
        err_set(e, ERR_INPUT, "cannot listen at %.100s, port %d: %s: choose another with --port or --host",
                o->host, o->port, strerror(error));
    else
        note_address(s, fd);
    return fd;
}

static bool read_keys(struct serve *s, struct err *e) {
    const struct serve_options *o = &s->options;
    if (o->key_file && !keys_read(&s->keys, o->key_file, e)) return false;
    return !o->key || keys_add(&s->keys, str_from(o->key), "BROOD_SERVE_KEY", e);
}

struct serve *serve_open(const struct serve_options *o, struct err *e) {
    struct serve *s = mem_zalloc(1, sizeof *s);
    s->options = *o;
    s->metrics = metrics_new();
    if (!read_keys(s, e)) goto failed;
    const int socket = listen_at(s, e);
    if (socket < 0) goto failed;
    if (!s->is_local && s->keys.n == 0 && !o->no_key) {
        err_set(
            e, ERR_INPUT,
            "%s can be reached from other machines: give --key-file F, or --no-key if all of them may ask",
            s->address);
        close(socket);
        goto failed;
    }
    s->desk = desk_open(&s->options, s->metrics, e);
    if (!s->desk) {
        close(socket);
        goto failed;
    }
    const struct http_options ho = {.serve = &s->options,
                                    .desk = s->desk,
                                    .metrics = s->metrics,
                                    .keys = &s->keys,
                                    .is_local = s->is_local,
                                    .created = (long long)time(NULL)};
    s->http = http_open(&ho, socket, e);
    if (s->http) return s;
failed:
    serve_close(s);
    return NULL;
}

const char *serve_address(const struct serve *s) {
    return s->address;
}

void serve_run(struct serve *s) {
    desk_run(s->desk);
    http_quiesce(s->http);
    const double ended = clock_seconds();
    while (http_in_flight(s->http) > 0 && clock_seconds() - ended < last_seconds) {
        const struct timespec a_while = {0, 5000000};
        nanosleep(&a_while, NULL);
    }
}

void serve_stop(struct serve *s) {
    desk_stop(s->desk);
}

void serve_close(struct serve *s) {
    if (!s) return;
    http_close(s->http);
    desk_close(s->desk);
    metrics_free(s->metrics);
    keys_fini(&s->keys);
    free(s);
}
