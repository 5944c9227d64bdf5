/* shake.c - preloaded into the test programs (make check-shaken): threads lose their turn at random places.
 *
 * A test of several threads that passes only because one of them is usually faster fails sooner or later on
 * a machine that is slower, or busy. Here every lock, unlock, read and write sleeps now and then, so that
 * orders that are rare become common. SHAKE: the seed; another one shakes elsewhere.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_ONE_IN = 300, LOCK_MICROSECONDS = 2000, CALL_ONE_IN = 16, CALL_MICROSECONDS = 20000 };

static atomic_uint n_threads;
static _Thread_local uint64_t state;

static uint64_t draw(void) {
    if (!state) {
        const char *seed = getenv("SHAKE");
        state = (seed ? strtoull(seed, NULL, 10) : 1) * 0x9e3779b97f4a7c15u +
                (uint64_t)getpid() * 0xbf58476d1ce4e5b9u + atomic_fetch_add(&n_threads, 1) * 2 + 1;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1du >> 16;
}

static void shake(unsigned one_in, unsigned microseconds) {
    const int error = errno;
    if (draw() % one_in == 0) {
        const struct timespec t = {0, (long)(draw() % microseconds) * 1000};
        nanosleep(&t, NULL);
    }
    errno = error;
}

/* The function that `name` is without this file. */
#define REAL(name) ((__typeof__(&name))real(&found_##name, #name))

static void *real(void *_Atomic *found, const char *name) {
    void *p = atomic_load(found);
    if (!p) atomic_store(found, p = dlsym(RTLD_NEXT, name));
    return p;
}

#define SHAKEN(result, name, one_in, microseconds, params, args)                                             \
    static void *_Atomic found_##name;                                                                       \
    __attribute__((visibility("default"))) result name params {                                              \
        shake(one_in, microseconds);                                                                         \
        const result r = REAL(name) args;                                                                    \
        shake(one_in, microseconds);                                                                         \
        return r;                                                                                            \
    }
#define LOCK         LOCK_ONE_IN, LOCK_MICROSECONDS
#define CALL         CALL_ONE_IN, CALL_MICROSECONDS
#define SHAKEN_(...) SHAKEN(__VA_ARGS__)

SHAKEN_(int, pthread_mutex_lock, LOCK, (pthread_mutex_t * m), (m))
SHAKEN_(int, pthread_mutex_unlock, LOCK, (pthread_mutex_t * m), (m))
SHAKEN_(ssize_t, read, CALL, (int fd, void *to, size_t n), (fd, to, n))
SHAKEN_(ssize_t, write, CALL, (int fd, const void *from, size_t n), (fd, from, n))
SHAKEN_(ssize_t, recv, CALL, (int fd, void *to, size_t n, int flags), (fd, to, n, flags))
SHAKEN_(ssize_t, send, CALL, (int fd, const void *from, size_t n, int flags), (fd, from, n, flags))
SHAKEN_(ssize_t, sendmsg, CALL, (int fd, const struct msghdr *m, int flags), (fd, m, flags))
SHAKEN_(ssize_t, recvmsg, CALL, (int fd, struct msghdr *m, int flags), (fd, m, flags))
SHAKEN_(int, poll, CALL, (struct pollfd * fds, nfds_t n, int ms), (fds, n, ms))
SHAKEN_(int, close, CALL, (int fd), (fd))
