/* chat_template.h - a Jinja chat template in forms that can be compared: what chat.c recognises formats by.
 *
 * Nothing is interpreted. A template is cut into tags and the text between them; what Jinja takes as the same
 * is made the same.
 */
#ifndef BROOD_CHAT_TEMPLATE_H
#define BROOD_CHAT_TEMPLATE_H

#include "base/base.h"

struct chat_template {
    const char *raw;  /* borrowed */
    char *unified;    /* line breaks inside of string literals as \n */
    char *normal;     /* besides: white space gone, one kind of quotes and of field access */
    bool writes_text; /* it has text outside of tags, other than white space that Jinja drops */
};

struct chat_template chat_template_read(const char *text);
void chat_template_fini(struct chat_template *t);

/* What stands between `head` (in the unified form) and `tail` within one string literal, its escapes undone.
 * Owned; NULL: nowhere. */
char *chat_template_literal(const struct chat_template *t, const char *head, const char *tail);

#endif
