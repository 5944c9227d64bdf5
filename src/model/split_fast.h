/* split_fast.h - the published split patterns by hand, where ASCII alone decides.
 *
 * A piece that a character beyond ASCII takes part in, or stands right behind where it might belong to it, is
 * left to the pattern itself: so nothing here knows Unicode, and both ways cut alike on any version of its
 * tables.
 */
#ifndef BROOD_SPLIT_FAST_H
#define BROOD_SPLIT_FAST_H

#include "base/str.h"

struct split_rules;

/* The rules of a pattern that is one of the published ones, byte for byte; else NULL. */
const struct split_rules *split_fast_find(struct str pattern);

/* Bytes of the piece that text (not empty) begins with; 0: the pattern must say. */
size_t split_fast_piece(const struct split_rules *r, struct str text);

/* Those patterns, ended by NULL. For tests. */
extern const char *const split_fast_patterns[];

#endif
