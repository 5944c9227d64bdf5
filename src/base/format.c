/* format.c - see format.h. */
#include "base/format.h"

#include <math.h>
#include <stdio.h>

const char *format_count(char out[FORMAT_MAX], double x) {
    static const char units[] = " kMGTPE";
    int i = 0;
    double y = fabs(x);
    while (y >= 999.5 && units[i + 1]) {
        y /= 1000;
        i++;
    }
    if (i == 0)
        snprintf(out, FORMAT_MAX, x == floor(x) ? "%.0f" : "%.1f", x);
    else
        snprintf(out, FORMAT_MAX, "%.*f%c", y < 9.995 ? 2 : y < 99.95 ? 1 : 0, x < 0 ? -y : y, units[i]);
    return out;
}

const char *format_seconds(char out[FORMAT_MAX], double s) {
    if (s < 0.0995)
        snprintf(out, FORMAT_MAX, "%.3f s", s);
    else if (s < 9.95)
        snprintf(out, FORMAT_MAX, "%.2g s", s);
    else if (s < 119.5)
        snprintf(out, FORMAT_MAX, "%.0f s", s);
    else if (s < 3599.5)
        snprintf(out, FORMAT_MAX, "%d min %02d s", (int)(s + 0.5) / 60, (int)(s + 0.5) % 60);
    else
        snprintf(out, FORMAT_MAX, "%d h %02d min", (int)((s + 30) / 3600), (int)((s + 30) / 60) % 60);
    return out;
}

const char *format_dollars(char out[FORMAT_MAX], double usd) {
    int n_decimals = 2; /* three digits that count, below a dollar */
    for (double x = usd; x > 0 && x < 1 && n_decimals < 12; x *= 10) n_decimals++;
    snprintf(out, FORMAT_MAX, "$%.*f", n_decimals, usd);
    return out;
}

const char *format_percent(char out[FORMAT_MAX], double share) {
    snprintf(out, FORMAT_MAX, "%.1f", 100 * share);
    return out;
}

int format_width(struct str s) {
    int n = 0;
    for (size_t i = 0; i < s.len; i++) n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}
