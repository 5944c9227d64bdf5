/* pool.c - workers watch a round counter: first spinning, then asleep on a condition variable.
 *
 * Two threads can never miss each other: a sleeper announces itself (n_asleep) before it looks at the counter
 * a last time, and whoever changes the counter looks for sleepers afterwards; both sides are sequentially
 * consistent.
 */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define SPIN_SECONDS 40e-6

struct pool {
    int n_workers;
    double spin_seconds; /* 0 where there are more workers than cores */
    pool_job *job;       /* written before round changes, read after */
    void *ctx;
    bool stop;
    pthread_t *threads; /* [n_workers - 1] */
    pthread_mutex_t lock;
    pthread_cond_t round_began, round_ended;
    _Alignas(64) atomic_uint round;
    atomic_int n_asleep;            /* workers that wait for round_began */
    _Alignas(64) atomic_int n_busy; /* workers other than the caller that have not finished this round */
    atomic_bool caller_asleep;
};

struct worker {
    struct pool *pool;
    int i_worker;
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Spins until *round differs from seen; false when the time is up. */
static bool spin_for_round(struct pool *p, unsigned seen) {
    for (double end = clock_seconds() + p->spin_seconds; clock_seconds() < end;)
        for (int i = 0; i < 32; i++, relax())
            if (atomic_load(&p->round) != seen) return true;
    return atomic_load(&p->round) != seen;
}

static void wait_for_round(struct pool *p, unsigned seen) {
    if (spin_for_round(p, seen)) return;
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->n_asleep, 1);
    while (atomic_load(&p->round) == seen) pthread_cond_wait(&p->round_began, &p->lock);
    atomic_fetch_sub(&p->n_asleep, 1);
    pthread_mutex_unlock(&p->lock);
}

static bool spin_for_end(struct pool *p) {
    for (double end = clock_seconds() + p->spin_seconds; clock_seconds() < end;)
        for (int i = 0; i < 32; i++, relax())
            if (atomic_load(&p->n_busy) == 0) return true;
    return atomic_load(&p->n_busy) == 0;
}

static void wait_for_end(struct pool *p) {
    if (spin_for_end(p)) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_asleep, true);
    while (atomic_load(&p->n_busy) != 0) pthread_cond_wait(&p->round_ended, &p->lock);
    atomic_store(&p->caller_asleep, false);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *arg) {
    struct worker w = *(struct worker *)arg;
    free(arg);
    struct pool *p = w.pool;
    for (unsigned seen = 0;; seen++) {
        wait_for_round(p, seen);
        if (p->stop) return NULL;
        p->job(p->ctx, w.i_worker, p->n_workers);
        if (atomic_fetch_sub(&p->n_busy, 1) == 1 && atomic_load(&p->caller_asleep)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->round_ended);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static void begin_round(struct pool *p) {
    atomic_store(&p->n_busy, p->n_workers - 1);
    atomic_fetch_add(&p->round, 1);
    if (atomic_load(&p->n_asleep) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->round_began);
        pthread_mutex_unlock(&p->lock);
    }
}

/* Starts the threads with every signal blocked: signals are the main thread's business. Returns how many
 * started. */
static int start_threads(struct pool *p, int n_wanted) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int n = 0;
    for (; n < n_wanted; n++) {
        struct worker *w = mem_zalloc(1, sizeof *w);
        *w = (struct worker){p, n + 1};
        if (pthread_create(&p->threads[n], NULL, worker_main, w) != 0) {
            free(w);
            break;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return n;
}

struct pool *pool_new(int n_workers) {
    ASSERT(n_workers >= 1);
    n_workers = MIN(n_workers, POOL_WORKERS_MAX);
    struct pool *p = mem_alloc_aligned(64, sizeof *p);
    p->spin_seconds = n_workers <= pool_cores() ? SPIN_SECONDS : 0;
    p->threads = mem_zalloc((size_t)n_workers, sizeof *p->threads);
    ASSERT(pthread_mutex_init(&p->lock, NULL) == 0);
    ASSERT(pthread_cond_init(&p->round_began, NULL) == 0);
    ASSERT(pthread_cond_init(&p->round_ended, NULL) == 0);
    p->n_workers = 1 + start_threads(p, n_workers - 1);
    return p;
}

void pool_free(struct pool *p) {
    if (!p) return;
    p->stop = true;
    begin_round(p);
    for (int i = 0; i < p->n_workers - 1; i++) pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->round_ended);
    pthread_cond_destroy(&p->round_began);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}

void pool_run(struct pool *p, pool_job *job, void *ctx) {
    if (p->n_workers == 1) {
        job(ctx, 0, 1);
        return;
    }
    p->job = job;
    p->ctx = ctx;
    begin_round(p);
    job(ctx, 0, p->n_workers);
    wait_for_end(p);
}

int pool_size(const struct pool *p) {
    return p->n_workers;
}

/* The CPU quota of a container, in cores rounded up; INT32_MAX when there is none. */
static int quota_cores(void) {
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f) return INT32_MAX;
    long long quota = 0, period = 0;
    bool limited = fscanf(f, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0;
    fclose(f);
    if (!limited || quota / period >= POOL_WORKERS_MAX) return INT32_MAX;
    return (int)((quota + period - 1) / period);
}

int pool_cores(void) {
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : sysconf(_SC_NPROCESSORS_ONLN);
    n = MIN(n, quota_cores());
    return (int)MIN(MAX(n, 1), POOL_WORKERS_MAX);
}

void pool_share(int64_t n, int64_t grain, int i_worker, int n_workers, int64_t *begin, int64_t *end) {
    ASSERT(n >= 0 && grain >= 1 && n_workers >= 1 && i_worker >= 0 && i_worker < n_workers);
    int64_t n_grains = n / grain + (n % grain != 0);
    int64_t each = n_grains / n_workers, extra = n_grains % n_workers;
    int64_t first = i_worker * each + MIN(i_worker, extra);
    int64_t last = first + each + (i_worker < extra);
    *begin = first >= n_grains ? n : first * grain;
    *end = last >= n_grains ? n : last * grain;
}
