/* err.c - see err.h. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Formats apart from e->msg, because an argument may point into it, then stores what a terminal can show on
 * one line. */
static void store(struct err *e, const char *raw) {
    struct str s = str_from(raw);
    size_t n = 0;
    for (size_t at = 0; at < s.len && n < sizeof e->msg - 1;) {
        uint32_t scalar;
        int n_bytes = str_utf8(s, at, &scalar);
        bool shown = n_bytes > 0 && scalar >= 0x20 && !(scalar >= 0x7f && scalar < 0xa0);
        if (n_bytes < 1) n_bytes = 1;
        if (!shown) {
            e->msg[n++] = '?';
        } else {
            if (n + (size_t)n_bytes >= sizeof e->msg) break;
            memcpy(e->msg + n, s.ptr + at, (size_t)n_bytes);
            n += (size_t)n_bytes;
        }
        at += (size_t)n_bytes;
    }
    e->msg[n] = '\0';
}

bool err_set(struct err *e, enum err_code code, const char *format, ...) {
    ASSERT(e && code != ERR_NONE);
    char raw[sizeof e->msg];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    e->code = code;
    store(e, raw);
    return false;
}

bool err_wrap(struct err *e, const char *format, ...) {
    ASSERT(e && e->code != ERR_NONE);
    char raw[2 * sizeof e->msg + 4];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof e->msg, format, args);
    va_end(args);
    size_t n = strlen(raw);
    snprintf(raw + n, sizeof raw - n, ": %s", e->msg);
    store(e, raw);
    return false;
}

int err_exit_status(enum err_code code) {
    switch (code) {
    case ERR_NONE:
        return 0;
    case ERR_INPUT:
        return 2;
    case ERR_SERVICE:
        return 3;
    case ERR_CANCELLED:
        return 130;
    }
    ASSERT(code == ERR_NONE); /* not a code */
    return 3;
}
