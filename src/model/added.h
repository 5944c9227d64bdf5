/* added.h - added tokens in text: the leftmost, and of those the longest, as Hugging Face's tokenizers match
 * them.
 *
 * Special tokens take part in the matching, so that the others fall where Hugging Face puts them, but a
 * special token that is found stays plain text, unless special tokens are asked for.
 */
#ifndef BROOD_ADDED_H
#define BROOD_ADDED_H

#include "base/str.h"

struct added_token {
    char *text; /* owned */
    size_t len;
    int id;
    bool special;
    bool lstrip, rstrip; /* takes the white space before it, behind it */
    bool single_word;    /* not where a word goes on before or behind it */
};

struct added {
    struct added_token *items; /* sorted by text after added_finish */
    size_t n, cap;
    bool is_first[256]; /* bytes that some token starts with */
};

/* t->text and t->len are not looked at: text is copied and not empty. */
void added_put(struct added *a, struct str text, const struct added_token *t);
void added_finish(struct added *a);
void added_fini(struct added *a);

/* The next token at or after `from`, with the white space that it takes; false if there is none. Without
 * marks those that are not special. With marks [text.len] the special ones, where each of their bytes is
 * marked. */
bool added_next(const struct added *a, struct str text, const char *marks, size_t from, size_t *begin,
                size_t *end, int *id);

#endif
