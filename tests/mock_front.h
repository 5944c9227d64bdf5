/* mock_front.h - a door with few threads before a server, for tests: each thread carries one connection, for
 * as long as that lasts, however long it is silent; others wait at the door.
 */
#ifndef BROOD_TESTS_MOCK_FRONT_H
#define BROOD_TESTS_MOCK_FRONT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { FRONT_THREADS_MAX = 16 };

struct front {
    int listener, port, target, end[2]; /* end: readable when it is over */
    int n_threads;
    pthread_t threads[FRONT_THREADS_MAX];
};

static inline struct sockaddr_in front_address(int port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

/* What one side says goes to the other; false: it says no more. */
static inline bool front_carry(int from, int to) {
    char bytes[4096];
    const ssize_t n = recv(from, bytes, sizeof bytes, 0);
    for (ssize_t at = 0, k; at < n; at += k)
        if ((k = send(to, bytes + at, (size_t)(n - at), MSG_NOSIGNAL)) <= 0) return false;
    return n > 0;
}

static inline void front_serve(const struct front *f, int client) {
    const struct sockaddr_in at = front_address(f->target);
    const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = connect(server, (const struct sockaddr *)&at, sizeof at) == 0;
    while (open) {
        struct pollfd fds[] = {{client, POLLIN, 0}, {server, POLLIN, 0}, {f->end[0], POLLIN, 0}};
        open = poll(fds, 3, -1) > 0 && !fds[2].revents;
        if (open && fds[0].revents) open = front_carry(client, server);
        if (open && fds[1].revents) open = front_carry(server, client);
    }
    close(server);
    close(client);
}

static inline void *front_run(void *ctx) {
    const struct front *f = ctx;
    for (;;) {
        struct pollfd fds[] = {{f->listener, POLLIN, 0}, {f->end[0], POLLIN, 0}};
        if (poll(fds, 2, -1) > 0 && fds[1].revents) return NULL;
        const int client = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC); /* another may have taken it */
        if (client >= 0) front_serve(f, client);
    }
}

static inline struct front *front_start(int n_threads, int target) {
    struct front *f = mem_zalloc(1, sizeof *f);
    struct sockaddr_in at = front_address(0);
    socklen_t n = sizeof at;
    f->target = target;
    f->n_threads = n_threads;
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ASSERT(pipe(f->end) == 0 && bind(f->listener, (const struct sockaddr *)&at, n) == 0);
    ASSERT(listen(f->listener, 256) == 0 && getsockname(f->listener, (struct sockaddr *)&at, &n) == 0);
    f->port = ntohs(at.sin_port);
    for (int i = 0; i < n_threads; i++) ASSERT(pthread_create(&f->threads[i], NULL, front_run, f) == 0);
    return f;
}

static inline void front_stop(struct front *f) {
    close(f->end[1]);
    for (int i = 0; i < f->n_threads; i++) pthread_join(f->threads[i], NULL);
    close(f->end[0]);
    close(f->listener);
    free(f);
}

#endif
