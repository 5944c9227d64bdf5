/* str.h - borrowed slices of bytes, and a growable buffer.
 *
 * A slice does not end in NUL and owns nothing. A buffer owns its bytes, which always end in a NUL that len
 * does not count.
 */
#ifndef BROOD_STR_H
#define BROOD_STR_H

#include "base/base.h"

struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
struct str str_from(const char *s); /* s may be NULL: empty */
bool str_equal(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s);                          /* ASCII white space on both ends */
ptrdiff_t str_find(struct str hay, struct str needle);      /* first offset, or -1 */
ptrdiff_t str_find_last(struct str hay, struct str needle); /* last offset, or -1 */
char *str_dup(struct str s);                                /* owned, NUL-terminated */

/* Decodes one UTF-8 scalar at s[at]; returns its byte length (1..4), or 0 if ill-formed or at the end. */
int str_utf8(struct str s, size_t at, uint32_t *scalar);

struct buf {
    char *ptr; /* NULL while empty and never written */
    size_t len, cap;
};

void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_add_char(struct buf *b, char c);
void buf_add_utf8(struct buf *b, uint32_t scalar); /* ill-formed scalars become U+FFFD */
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_free(struct buf *b);
struct str buf_str(const struct buf *b);
const char *buf_cstr(const struct buf *b); /* never NULL */
char *buf_take(struct buf *b);             /* owned NUL-terminated bytes; the buffer is empty afterwards */

#endif
