/* format.h - numbers as people read them. Each writes into the given buffer and returns it. */
#ifndef BROOD_BASE_FORMAT_H
#define BROOD_BASE_FORMAT_H

#include "base/base.h"
#include "base/str.h"

enum { FORMAT_MAX = 32 };

const char *format_count(char out[FORMAT_MAX], double x);       /* 950, 12.3k, 4.56M, 7.89G, ... */
const char *format_seconds(char out[FORMAT_MAX], double s);     /* 0.42 s, 12 s, 3 min 20 s, 1 h 05 min */
const char *format_dollars(char out[FORMAT_MAX], double usd);   /* $1.23, $0.0456, $0.00000789 */
const char *format_percent(char out[FORMAT_MAX], double share); /* 48.3 */

/* Columns that a UTF-8 text takes on a terminal, one a character. */
int format_width(struct str s);

#endif
