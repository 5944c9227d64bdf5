/* bench_limits [N_THREADS [SECONDS]] - what the machine can do at most with so many threads at once: reading
 * memory, F32 multiply-adds, byte multiply-adds, BF16 multiply-adds, for the instruction set that the engine
 * would use (BROOD_ISA forces one). Prints one JSON object; the best of rounds that take SECONDS (0.6)
 * together.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "kernels/kernels.h"
#include "limits.h"

enum { THREADS_MAX = 256, STREAMS = 4, N_LIMITS = 4 };
#define READ_BYTES ((size_t)192 << 20)

typedef float vec __attribute__((vector_size(64)));

struct worker {
    pthread_t thread;
    pthread_barrier_t *barrier;
    const char *table;
    float *memory;                           /* READ_BYTES */
    double begun[N_LIMITS], ended[N_LIMITS]; /* by the clock */
    double done[N_LIMITS];                   /* bytes, operations, ... of the last round */
};

static double read_all(const float *memory) {
    const size_t n = READ_BYTES / sizeof(vec) / STREAMS;
    const vec *m = (const vec *)(const void *)memory;
    vec sum[STREAMS] = {0};
    for (size_t i = 0; i < n; i++) {
        UNROLL for (size_t s = 0; s < STREAMS; s++) sum[s] += m[s * n + i];
    }
    limits_sink = sum[0][0] + sum[1][1] + sum[2][2] + sum[3][3];
    return (double)READ_BYTES;
}

static void *work(void *arg) {
    struct worker *w = arg;
    for (size_t i = 0; i < READ_BYTES / sizeof(float); i++) w->memory[i] = 1;
    for (int what = 0; what < N_LIMITS; what++) {
        pthread_barrier_wait(w->barrier);
        w->begun[what] = clock_seconds();
        if (what == 0)
            w->done[0] = read_all(w->memory);
        else if (what == 1)
            w->done[1] = limits_floats(w->table, 1000000);
        else if (what == 2)
            w->done[2] = limits_bytes(w->table, 1000000);
        else
            w->done[3] = limits_bf16(w->table, 1000000);
        w->ended[what] = clock_seconds();
    }
    return NULL;
}

static void measure(struct worker *all, int n, double *best) {
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, (unsigned)n);
    for (int i = 0; i < n; i++) {
        all[i].barrier = &barrier;
        if (pthread_create(&all[i].thread, NULL, work, &all[i])) exit(2);
    }
    for (int i = 0; i < n; i++) pthread_join(all[i].thread, NULL);
    for (int what = 0; what < N_LIMITS; what++) { /* from the first that begins to the last that ends */
        double begun = INFINITY, ended = 0, sum = 0;
        for (int i = 0; i < n; i++) {
            begun = fmin(begun, all[i].begun[what]);
            ended = fmax(ended, all[i].ended[what]);
            sum += all[i].done[what];
        }
        best[what] = fmax(best[what], sum / (ended - begun) * 1e-9);
    }
    pthread_barrier_destroy(&barrier);
}

int main(int argc, char **argv) {
    int n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : pool_cores();
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 0.6, best[N_LIMITS] = {0}, start = clock_seconds();
    const struct kernels *k = kernels_pick();
    if (n < 1 || n > THREADS_MAX || !k) return fprintf(stderr, "bench_limits: [N_THREADS [SECONDS]]\n"), 2;
    struct worker *all = mem_zalloc((size_t)n, sizeof *all);
    for (int i = 0; i < n; i++) {
        all[i].table = k->name;
        all[i].memory = mem_alloc_aligned(64, READ_BYTES);
    }
    do measure(all, n, best);
    while (clock_seconds() - start < seconds);
    printf(
        "{\"isa\": \"%s\", \"threads\": %d, \"read\": %.2f, \"f32\": %.1f, \"int8\": %.1f, \"bf16\": %.1f}\n",
        k->name, n, best[0], best[1], best[2], best[3]);
    for (int i = 0; i < n; i++) free(all[i].memory);
    free(all);
    return 0;
}
