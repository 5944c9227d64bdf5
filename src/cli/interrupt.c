/* interrupt.c - see interrupt.h. The only global state of the program: a signal handler has no other. */
#include "cli/interrupt.h"

#include <signal.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static void (*stop_call)(void *ctx);
static void *stop_ctx;
static volatile sig_atomic_t came;

static void on_signal(int number) {
    UNUSED(number);
    came = 1;
    stop_call(stop_ctx);
}

void interrupt_catch(void (*stop)(void *ctx), void *ctx) {
    stop_call = stop;
    stop_ctx = ctx;
    came = 0;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) sigaction(signals[i], &action, NULL);
}

void interrupt_release(void) {
    for (size_t i = 0; i < ARRAY_LEN(signals); i++) signal(signals[i], SIG_DFL);
}

bool interrupt_came(void) {
    return came;
}
