/* chat.h - conversations to token ids, exactly as the model was trained.
 *
 * A chat format is recognised from the model's chat_template (chat.c has the table; a format is one row and
 * one function); any other template is interpreted (template.h), and so is one whose format writes something
 * else. What cannot be interpreted is refused by the construct, its line and the way out (--chat NAME). A
 * model without a template gets "plain": the text as it is. Special tokens are put by id; what users and
 * models write can never become one.
 */
#ifndef BROOD_CHAT_H
#define BROOD_CHAT_H

#include "base/err.h"
#include "model/tokenizer.h"

enum chat_role { CHAT_SYSTEM, CHAT_USER, CHAT_ASSISTANT };

struct chat_message {
    enum chat_role role;
    struct str content;
};

struct chat_format; /* owned by the model */

/* NULL template_text: plain. The tokenizer must outlive the format, and is the one to render with. */
MUST struct chat_format *chat_open(const char *template_text, const struct tokenizer *t, const char *where,
                                   struct err *e);
/* The format of this name, whatever the template says. */
MUST struct chat_format *chat_open_named(const char *name, const struct tokenizer *t, const char *where,
                                         struct err *e);
void chat_close(struct chat_format *f);
const char *chat_name(const struct chat_format *f);
const char *chat_names(void);                       /* "lab, plain, ...", static */
const char *chat_date(const struct chat_format *f); /* CHAT_DATE, if the format writes a date; else NULL */

bool chat_has_turns(const struct chat_format *f); /* a conversation goes on behind an answer */

/* Templates that write today's date write this one, so that a run can be repeated (Llama 3.1's own default).
 */
#define CHAT_DATE "26 Jul 2024"

/* Appends the ids of the conversation and, if open_answer, of the opening of the assistant's turn. The last
 * message may be an unfinished assistant turn (open_answer false, continue_last true): then nothing closes
 * it. */
MUST bool chat_render(const struct chat_format *f, const struct tokenizer *t,
                      const struct chat_message *messages, size_t n_messages, bool open_answer,
                      bool continue_last, struct tokens *out, struct err *e);
/* Appends the ids that end an answer, what the user says next and the opening of the next answer; for formats
 * that have turns. What stands before the answer does not change them. */
MUST bool chat_render_next(const struct chat_format *f, const struct tokenizer *t, struct str user,
                           struct tokens *out, struct err *e);

/* What stands around the words of a user who says one thing, with the opening of the answer behind them; as
 * text, for words that are put together from parts (prm_profile.h). marks: 1 where special tokens count, as
 * tokenizer_encode_marked takes them. */
struct chat_around {
    struct buf before, before_marks, behind, behind_marks;
};
MUST bool chat_write_around(const struct chat_format *f, const struct tokenizer *t, struct chat_around *out,
                            struct err *e);
void chat_around_fini(struct chat_around *a);

#endif
