/* call.c - see call.h. */
#include "serve/call.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

struct call *call_new(void) {
    struct call *c = mem_zalloc(1, sizeof *c);
    c->deadline = (double)INFINITY;
    c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&c->lock, NULL);
    atomic_init(&c->gone, false);
    atomic_init(&c->n_references, 1);
    return c;
}

void call_release(struct call *c) {
    if (!c || atomic_fetch_sub(&c->n_references, 1) > 1) return;
    if (c->wake_fd >= 0) close(c->wake_fd);
    pthread_mutex_destroy(&c->lock);
    answering_free_answer(c->answering.answer);
    request_fini(&c->request);
    buf_free(&c->strategy);
    buf_free(&c->shown);
    buf_free(&c->out);
    json_decref(c->events);
    free(c->client);
    free(c->model);
    free(c);
}

static void wake(struct call *c) {
    const uint64_t one = 1;
    if (write(c->wake_fd, &one, sizeof one) < 0) { /* it is awake already */
    }
}

void call_write(struct call *c, int status, struct str bytes) {
    pthread_mutex_lock(&c->lock);
    if (c->status == 0) c->status = status;
    buf_add_str(&c->out, bytes);
    const bool too_slow = c->out.len > CALL_OUT_BYTES_MAX;
    pthread_mutex_unlock(&c->lock);
    if (too_slow) atomic_store(&c->gone, true); /* who reads so slowly is as good as gone */
    wake(c);
}

void call_close(struct call *c) {
    pthread_mutex_lock(&c->lock);
    c->is_closed = true;
    pthread_mutex_unlock(&c->lock);
    wake(c);
}

bool call_has_written(struct call *c) {
    pthread_mutex_lock(&c->lock);
    const bool has = c->status != 0;
    pthread_mutex_unlock(&c->lock);
    return has;
}

static bool has_news(struct call *c) {
    pthread_mutex_lock(&c->lock);
    const bool has = c->is_closed || c->out.len > c->n_sent;
    pthread_mutex_unlock(&c->lock);
    return has;
}

bool call_wait(struct call *c, int socket) {
    while (!has_news(c)) {
        struct pollfd fds[] = {{c->wake_fd, POLLIN, 0}, {socket, POLLRDHUP, 0}};
        if (poll(fds, ARRAY_LEN(fds), -1) < 0) continue;
        if (fds[1].revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) return false;
        uint64_t n;
        if (read(c->wake_fd, &n, sizeof n) < 0) continue;
    }
    return !atomic_load(&c->gone);
}

ptrdiff_t call_read(struct call *c, char *to, size_t n_max) {
    pthread_mutex_lock(&c->lock);
    const size_t n = MIN(n_max, c->out.len - c->n_sent);
    const bool is_over = n == 0 && c->is_closed;
    if (n > 0) memcpy(to, c->out.ptr + c->n_sent, n);
    c->n_sent += n;
    if (c->n_sent == c->out.len) {
        buf_clear(&c->out);
        c->n_sent = 0;
    }
    pthread_mutex_unlock(&c->lock);
    return is_over ? -1 : (ptrdiff_t)n;
}
