/* chart.h - curves over samples a problem, in characters.
 *
 *      60 ┤                               ▲
 *         ┤              ▲        ●
 *      40 ┤─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─   a reference line
 *         └┬──────┬──────┬──────┬──────┬
 *          1      2      4      8     16
 *
 * Samples double from mark to mark. Where the locale is not UTF-8, plain ASCII is drawn.
 */
#ifndef BROOD_CLI_CHART_H
#define BROOD_CLI_CHART_H

#include <stdio.h>

#include "base/base.h"

enum { CHART_SERIES_MAX = 8, CHART_POINTS_MAX = 32 };

struct chart_series {
    const char *name;
    int n_points; /* 1, with is_line: a line at that height */
    bool is_line;
    int k[CHART_POINTS_MAX];    /* samples, ascending */
    double y[CHART_POINTS_MAX]; /* in [0,1] */
};

/* n_columns of the whole chart; colours only where they are wanted. */
void chart_print(const struct chart_series *series, int n_series, int n_columns, bool colours, FILE *out);
int chart_columns(void);  /* of the terminal on standard output, from 60 to 100; 80 if it is none */
bool chart_colours(void); /* standard output is a terminal and NO_COLOR is not set */

#endif
