/* split.h - cutting text into the pieces that byte-pair merging works on, by the patterns of tokenizer.json.
 *
 * Patterns are written for Oniguruma and run by PCRE2 (UTF, UCP): what the two read alike is taken, `\s` and
 * `\S` are spelled out as Unicode's White_Space, ^ and $ mean the ends of lines, and every construct that
 * they read differently is refused when the pattern is added. Published patterns are cut by hand where ASCII
 * decides (split_fast.h). Several patterns cut one after another, each within the pieces of the former. Every
 * byte of the text lies in one piece, except what a pattern's behaviour removes.
 *
 * Threads: read-only once filled.
 */
#ifndef BROOD_SPLIT_H
#define BROOD_SPLIT_H

#include "base/err.h"
#include "base/str.h"

struct split;

struct split *split_new(void);
void split_free(struct split *s);

/* Each match is a piece, and so is each stretch between matches ("Isolated"). */
MUST bool split_add(struct split *s, struct str pattern, const char *where, struct err *e);

/* What becomes of delimiters: matches, or where `invert` the stretches between them. */
enum split_behaviour {
    SPLIT_ISOLATED,    /* a piece each */
    SPLIT_REMOVED,     /* no piece: their text is gone */
    SPLIT_TO_PREVIOUS, /* the end of the piece before, but for a delimiter behind another */
    SPLIT_TO_NEXT,     /* the beginning of the piece behind, but for a delimiter before another */
    SPLIT_CONTIGUOUS,  /* neighbours that are both delimiters, or both not, are one piece */
};
MUST bool split_add_as(struct split *s, struct str pattern, enum split_behaviour behaviour, bool invert,
                       const char *where, struct err *e);

typedef void split_piece(void *ctx, struct str piece);

/* Tells the pieces of well-formed UTF-8 in order. Fails only where a pattern exceeds its bound of work. */
MUST bool split_run(const struct split *s, struct str text, split_piece *piece, void *ctx, struct err *e);

bool split_is_empty(const struct split *s); /* no pattern has been added: a text is one piece */
uint64_t split_hash(const struct split *s);

/* The rewritten pattern, as it is given to PCRE2. For tests. */
MUST bool split_rewrite(struct str pattern, struct buf *out, const char *where, struct err *e);

#endif
