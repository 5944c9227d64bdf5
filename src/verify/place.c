/* place.c - see place.h. */
#include "verify/place.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>

enum { DEPTH_MAX = 8 };
static const double free_seconds = 1;

/* A process and those that it has begun; what is begun meanwhile is like what began it. */
static void move(pid_t pid, const cpu_set_t *cores, int depth) {
    char path[64];
    intmax_t child;
    if (sched_setaffinity(pid, sizeof *cores, cores) != 0 || depth == DEPTH_MAX) return;
    snprintf(path, sizeof path, "/proc/%jd/task/%jd/children", (intmax_t)pid, (intmax_t)pid);
    FILE *f = fopen(path, "re");
    while (f && fscanf(f, "%jd", &child) == 1) move((pid_t)child, cores, depth + 1);
    if (f) fclose(f);
}

void place_choose(struct place *p, int i, int n) {
    cpu_set_t mine;
    *p = (struct place){.core = -1};
    if (n < 2 || sched_getaffinity(0, sizeof mine, &mine) != 0 || CPU_COUNT(&mine) != n) return;
    for (int core = 0; core < CPU_SETSIZE && p->core < 0; core++)
        if (CPU_ISSET((size_t)core, &mine) && i-- == 0) p->core = core;
}

void place_hold(struct place *p, pid_t pid, double now) {
    cpu_set_t one;
    if (p->core < 0 || p->held || now < p->free_until) return;
    CPU_ZERO(&one);
    CPU_SET((size_t)p->core, &one);
    move(pid, &one, 0);
    p->held = true;
}

void place_let_go(struct place *p, pid_t pid, double now) {
    cpu_set_t mine;
    if (!p->held || sched_getaffinity(0, sizeof mine, &mine) != 0) return;
    move(pid, &mine, 0);
    p->held = false;
    p->free_until = now + free_seconds;
}
