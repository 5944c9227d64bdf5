/* skim.h - a few values out of much JSON, without building any of it: for answers that come by the thousand.
 *
 *     struct skim s = {text.ptr, text.ptr + text.len};
 *     struct str key;
 *     bool first = true;
 *     if (!skim_open(&s, '{')) give up;
 *     while ((got = skim_key(&s, &first, &key)) > 0) { ... take the value, or skim_skip(&s) ... }
 *
 * Whoever skims gives up at the first thing that is not as expected, and reads the text with json.h instead,
 * which decides. So nothing here explains itself: every function says false (or -1), after which the skim is
 * not to be used any more. What is accepted is JSON (RFC 8259), but for keys that come twice.
 */
#ifndef BROOD_SKIM_H
#define BROOD_SKIM_H

#include "base/str.h"

struct skim {
    const char *at, *end;
};

MUST bool skim_open(struct skim *s, char bracket); /* '{' or '[' */
/* 1: a key, whose value comes next (as it stands, without escapes); 0: the object has ended; -1: give up.
 * first: true before the first, set to false. */
int skim_key(struct skim *s, bool *first, struct str *key);
int skim_item(struct skim *s, bool *first); /* likewise of an array */
MUST bool skim_skip(struct skim *s);        /* any value */
MUST bool skim_number(struct skim *s, double *out);
MUST bool skim_count(struct skim *s, int *out); /* from 0 to INT32_MAX, written without point and exponent */
MUST bool skim_text(struct skim *s, struct buf *out); /* a string, appended; gives up at \u and at NUL */
bool skim_null(struct skim *s);                       /* if a null comes next, takes it */
MUST bool skim_end(struct skim *s);                   /* nothing but white space is left */

#endif
