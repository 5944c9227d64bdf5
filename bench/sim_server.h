/* sim_server.h - a server for bench_http.c: speaks as vLLM does, takes as long as a GPU would, and costs
 * little itself. It runs in a process of its own: one thread, one epoll, a heap of due answers.
 *
 * An answer has n tokens, n of a log-normal distribution by the request's seed (36 in the median, sigma 0.6),
 * and comes after 50 ms and 20 ms a token, sped up. Its JSON has all that vLLM sends: ids, log-probabilities,
 * the likeliest token of each place, offsets. Bodies are made once for each n.
 */
#ifndef BROOD_BENCH_SIM_SERVER_H
#define BROOD_BENCH_SIM_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

enum { SIM_TOKENS_MAX = 200, SIM_CONNECTIONS_MAX = 8192 };

struct sim_connection {
    int fd;
    struct buf in, out;
    size_t n_sent;
};

struct sim_due {
    double at;
    struct sim_connection *to;
    int n_tokens;
};

struct sim {
    int epoll, listener;
    double speedup;
    struct buf bodies[SIM_TOKENS_MAX + 1];
    struct sim_due heap[SIM_CONNECTIONS_MAX]; /* a connection waits for one answer */
    int n_due;
};

static inline void sim_fill_body(struct buf *out, int n) {
    static const char *const parts[] = {"token_ids", "token_logprobs", "top_logprobs", "tokens",
                                        "text_offset"};
    struct buf b = {0};
    buf_printf(
        &b, "{\"id\":\"cmpl-0\",\"object\":\"text_completion\",\"created\":1,\"model\":\"sim\",\"choices\":[{"
            "\"index\":0,\"text\":\"");
    for (int i = 0; i < n; i++) buf_printf(&b, "tok ");
    buf_printf(&b, "\\n\\n\",\"finish_reason\":\"stop\",\"stop_reason\":\"\\n\\n\",");
    for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
        if (k == 1) buf_printf(&b, "\"logprobs\":{");
        buf_printf(&b, "\"%s\":[", parts[k]);
        for (int i = 0; i < n; i++) {
            if (i) buf_add_char(&b, ',');
            if (k == 0) buf_printf(&b, "%d", 1000 + 37 * i);
            if (k == 1) buf_printf(&b, "-0.%d", 123456789 + i);
            if (k == 2) buf_printf(&b, "{\"tok %d\":-0.%d}", i, 123456789 + i);
            if (k == 3) buf_printf(&b, "\"tok %d\"", i);
            if (k == 4) buf_printf(&b, "%d", 4 * i);
        }
        buf_printf(&b, "]%s", k == 4 ? "}" : ",");
    }
    buf_printf(&b,
               "}],\"usage\":{\"prompt_tokens\":120,\"total_tokens\":%d,\"completion_tokens\":%d,"
               "\"prompt_tokens_details\":{\"cached_tokens\":112}}}",
               120 + n, n);
    buf_printf(
        out,
        "HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n",
        b.len);
    buf_add_str(out, buf_str(&b));
    buf_free(&b);
}

static inline void sim_watch(struct sim *s, struct sim_connection *c, int op, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    ASSERT(epoll_ctl(s->epoll, op, c->fd, &e) == 0);
}

static inline void sim_flush(struct sim *s, struct sim_connection *c) {
    while (c->n_sent < c->out.len) {
        const ssize_t n = send(c->fd, c->out.ptr + c->n_sent, c->out.len - c->n_sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            sim_watch(s, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
            return;
        }
        if (n <= 0) return; /* it went: reading says so */
        c->n_sent += (size_t)n;
    }
    buf_clear(&c->out);
    c->n_sent = 0;
}

static inline void sim_say(struct sim *s, struct sim_connection *c, const char *body) {
    buf_printf(&c->out, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
               strlen(body), body);
    sim_flush(s, c);
}

static inline void sim_push(struct sim *s, struct sim_due x) {
    ASSERT(s->n_due < SIM_CONNECTIONS_MAX);
    int i = s->n_due++;
    for (; i > 0 && s->heap[(i - 1) / 2].at > x.at; i = (i - 1) / 2) s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = x;
}

static inline struct sim_due sim_pop(struct sim *s) {
    const struct sim_due first = s->heap[0], last = s->heap[--s->n_due];
    int i = 0;
    for (int k; (k = 2 * i + 1) < s->n_due; i = k) {
        if (k + 1 < s->n_due && s->heap[k + 1].at < s->heap[k].at) k++;
        if (s->heap[k].at >= last.at) break;
        s->heap[i] = s->heap[k];
    }
    s->heap[i] = last;
    return first;
}

static inline void sim_completion(struct sim *s, struct sim_connection *c, const char *body) {
    const char *at = strstr(body, "\"seed\":");
    const uint64_t seed = at ? strtoull(at + 7, NULL, 10) : 0;
    const double radius = sqrt(-2 * log(1 - rng_unit(seed, 1))),
                 angle = 6.283185307179586 * rng_unit(seed, 2);
    const char *most = strstr(body, "\"max_tokens\":");
    const int n_max = most ? (int)strtol(most + 13, NULL, 10) : SIM_TOKENS_MAX;
    const int n = MIN(MAX(1, (int)(36 * exp(0.6 * radius * cos(angle)))), MIN(n_max, SIM_TOKENS_MAX));
    sim_push(s, (struct sim_due){clock_seconds() + (0.05 + 0.02 * n) / s->speedup, c, n});
}

/* Whole requests from what has come. False: hung up, or nonsense. */
static inline bool sim_requests(struct sim *s, struct sim_connection *c) {
    for (;;) {
        buf_add_char(&c->in, '\0');
        c->in.len--;
        char *end = c->in.len ? strstr(c->in.ptr, "\r\n\r\n") : NULL;
        if (!end) return c->in.len < 1 << 20;
        const char *length = strcasestr(c->in.ptr, "\r\ncontent-length:");
        const size_t n_body = length && length < end ? (size_t)strtoull(length + 17, NULL, 10) : 0;
        const size_t n = (size_t)(end + 4 - c->in.ptr) + n_body;
        if (c->in.len < n) return true;
        const char *path = strchr(c->in.ptr, ' ');
        if (!path) return false;
        if (strncmp(path, " /v1/completions", 16) == 0)
            sim_completion(s, c, end + 4);
        else if (strncmp(path, " /v1/models", 11) == 0)
            sim_say(s, c, "{\"data\":[{\"id\":\"sim\",\"owned_by\":\"vllm\",\"max_model_len\":8192}]}");
        else
            sim_say(s, c, "{\"tokens\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]}");
        memmove(c->in.ptr, c->in.ptr + n, c->in.len - n);
        c->in.len -= n;
    }
}

static inline void sim_close(struct sim *s, struct sim_connection *c) {
    int n = 0;
    for (int i = 0; i < s->n_due; i++)
        if (s->heap[i].to != c) s->heap[n++] = s->heap[i];
    const int n_all = n;
    s->n_due = 0;
    for (int i = 0; i < n_all; i++) sim_push(s, s->heap[i]);
    close(c->fd);
    buf_free(&c->in);
    buf_free(&c->out);
    free(c);
}

static inline void sim_accept(struct sim *s) {
    for (;;) {
        const int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK), on = 1;
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        struct sim_connection *c = mem_zalloc(1, sizeof *c);
        c->fd = fd;
        sim_watch(s, c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static inline void sim_read(struct sim *s, struct sim_connection *c) {
    char bytes[16384];
    const ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0) buf_add(&c->in, bytes, (size_t)n);
    if (n <= 0 || !sim_requests(s, c)) sim_close(s, c);
}

static inline void sim_run(struct sim *s) {
    struct epoll_event events[256];
    for (;;) {
        const double wait = s->n_due ? (s->heap[0].at - clock_seconds()) * 1000 : 1000;
        const int n = epoll_wait(s->epoll, events, (int)ARRAY_LEN(events), wait < 0 ? 0 : (int)ceil(wait));
        for (int i = 0; i < n; i++) {
            struct sim_connection *c = events[i].data.ptr;
            if (!c) {
                sim_accept(s);
                continue;
            }
            if (events[i].events & EPOLLOUT) sim_flush(s, c);
            if (events[i].events & ~(uint32_t)EPOLLOUT) sim_read(s, c);
        }
        while (s->n_due && s->heap[0].at <= clock_seconds()) {
            const struct sim_due x = sim_pop(s);
            buf_add_str(&x.to->out, buf_str(&s->bodies[x.n_tokens]));
            sim_flush(s, x.to);
        }
    }
}

/* Its port; the process ends with this one. */
static inline int sim_start(double speedup, pid_t *pid) {
    struct sim *s = mem_zalloc(1, sizeof *s);
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->speedup = speedup;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ASSERT(s->listener >= 0 && bind(s->listener, (struct sockaddr *)&at, n) == 0);
    ASSERT(listen(s->listener, 4096) == 0 && getsockname(s->listener, (struct sockaddr *)&at, &n) == 0);
    *pid = fork();
    ASSERT(*pid >= 0);
    if (*pid > 0) {
        close(s->listener);
        free(s);
        return ntohs(at.sin_port);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    s->epoll = epoll_create1(0);
    for (int i = 1; i <= SIM_TOKENS_MAX; i++) sim_fill_body(&s->bodies[i], i);
    struct epoll_event e = {.events = EPOLLIN};
    ASSERT(epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &e) == 0);
    sim_run(s);
    return 0;
}

#endif
