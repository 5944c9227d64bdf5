/* chat_interpreted.h - a chat format that its template itself writes, interpreted (template.h).
 *
 * What a template writes around the contents of messages may be special tokens; what users and models wrote
 * never is. A template that drops a user's message, or refuses one alone, is refused when it is opened.
 */
#ifndef BROOD_CHAT_INTERPRETED_H
#define BROOD_CHAT_INTERPRETED_H

#include "model/chat.h"

struct interpreted;

/* The source is copied, the tokenizer borrowed. */
MUST struct interpreted *interpreted_open(const char *source, const struct tokenizer *t, struct err *e);
void interpreted_close(struct interpreted *f);

bool interpreted_has_date(const struct interpreted *f); /* it asks for today's date, and gets CHAT_DATE */
bool interpreted_has_turns(const struct interpreted *f);

/* What it writes as text, and where that is its own. */
MUST bool interpreted_write(const struct interpreted *f, const struct chat_message *messages,
                            size_t n_messages, bool open_answer, struct buf *text, struct buf *marks,
                            struct err *e);
/* As chat_render and chat_render_next. */
MUST bool interpreted_render(const struct interpreted *f, const struct chat_message *messages,
                             size_t n_messages, bool open_answer, bool continue_last, struct tokens *out,
                             struct err *e);
MUST bool interpreted_render_next(const struct interpreted *f, struct str user, struct tokens *out,
                                  struct err *e);

#endif
