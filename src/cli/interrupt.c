/* interrupt.c - see interrupt.h. The only global state of the program: a signal handler has no other. */
#include "cli/interrupt.h"

#include <signal.h>

#include "base/clock.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static const double same_seconds = 0.5;
static void (*stop_call)(void *ctx);
static void *stop_ctx;
static volatile sig_atomic_t came;
static volatile double came_at;

/* Some senders signal a process and then its group: what comes at once is one interruption. */
static void on_signal(int number) {
    if (!came) {
        came = 1;
        came_at = clock_seconds();
        stop_call(stop_ctx);
    } else if (clock_seconds() - came_at > same_seconds) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

void interrupt_catch(void (*stop)(void *ctx), void *ctx) {
    stop_call = stop;
    stop_ctx = ctx;
    came = 0;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) sigaction(signals[i], &action, NULL);
}

void interrupt_release(void) {
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) signal(signals[i], SIG_DFL);
}

bool interrupt_came(void) {
    return came;
}
