/* clock.c - see clock.h. */
#include "base/clock.h"

#include <time.h>

#include "base/base.h"

static double seconds_of(clockid_t id) {
    struct timespec t;
    ASSERT(clock_gettime(id, &t) == 0);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_seconds(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

double clock_cpu_seconds(void) {
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}
