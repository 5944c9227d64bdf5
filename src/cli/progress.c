/* progress.c - see progress.h. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

static const double quiet_seconds = 2, redraw_seconds = 0.2, line_seconds = 10, line_seconds_max = 120;

struct progress progress_begin(void) {
    struct progress p = {.terminal = isatty(STDERR_FILENO), .started = clock_seconds()};
    p.wait = p.terminal ? redraw_seconds : line_seconds;
    p.due = p.started + (p.terminal ? quiet_seconds : line_seconds);
    return p;
}

bool progress_due(const struct progress *p) {
    return clock_seconds() >= p->due;
}

/* The first n_columns characters: a live line must not wrap. */
static int bytes_of_columns(const char *text, int n_columns) {
    struct str s = str_from(text);
    size_t at = 0;
    uint32_t scalar;
    for (int n; n_columns > 0 && (n = str_utf8(s, at, &scalar)) > 0; n_columns--) at += (size_t)n;
    return (int)at;
}

void progress_show(struct progress *p, const char *text) {
    if (p->terminal) {
        struct winsize w = {0};
        const int n_columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1 ? w.ws_col - 1 : 79;
        fprintf(stderr, "\r\033[K%.*s", bytes_of_columns(text, n_columns), text);
        fflush(stderr);
    } else {
        fprintf(stderr, "brood: %s\n", text);
        p->wait = MIN(p->wait * 1.5, line_seconds_max);
    }
    p->shown = true;
    p->due = clock_seconds() + p->wait;
}

void progress_end(struct progress *p) {
    if (p->shown && p->terminal) fprintf(stderr, "\r\033[K");
    p->shown = false;
}
