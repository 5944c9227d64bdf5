/* added.h - added tokens in text: the leftmost, and of those the longest, as Hugging Face's tokenizers match
 * them.
 *
 * Special tokens take part in the matching, so that the others fall where Hugging Face puts them, but a
 * special token that is found stays plain text.
 */
#ifndef BROOD_ADDED_H
#define BROOD_ADDED_H

#include "base/str.h"

struct added_token {
    char *text; /* owned */
    size_t len;
    int id;
    bool special;
};

struct added {
    struct added_token *items; /* sorted by text after added_finish */
    size_t n, cap;
    bool is_first[256]; /* bytes that some token starts with */
};

void added_put(struct added *a, struct str text, int id, bool special); /* text is copied and not empty */
void added_finish(struct added *a);
void added_fini(struct added *a);

/* The next token that is not special, at or after `from`; false if there is none. */
bool added_next(const struct added *a, struct str text, size_t from, size_t *begin, size_t *end, int *id);

#endif
