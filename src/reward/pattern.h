/* pattern.h - a profile's texts (model/prm_profile.h) as token ids, cut by the server that has the tokenizer.
 *
 *     opening: ids | "text {problem} text" or the conversation | ids
 *     step:    ids | "text STEP text"                          | ids
 *
 * What does not change is cut once, when the reward model is opened; what lies around the problem or a step
 * goes to the server with it, as one text, so that the ids are those of the embedded reader. {token:...} is
 * taken for one token as the server cuts it. What users and models wrote can never become an added token: a
 * blank is put behind the first byte of "<|", "<s>", "</s>" and of every token that the profile names.
 *
 * A tokenizer that puts a blank before each text (SentencePiece) is found out by two questions; texts inside
 * of others are then cut behind a line break, which is taken off again.
 */
#ifndef BROOD_REWARD_PATTERN_H
#define BROOD_REWARD_PATTERN_H

#include "http/render.h"
#include "model/prm_profile.h"

enum pattern_slot { PATTERN_NOTHING, PATTERN_TEXT, PATTERN_CHAT };

struct pattern {
    struct wire_ids before, after;
    char *head, *tail; /* PATTERN_TEXT: around what is filled in */
    enum pattern_slot slot;
    bool inside; /* the text stands behind other text, not behind a special token */
};

struct patterns {
    struct pattern opening, first, next, closing; /* closing: with `aside` alone */
    bool aside, one_line;
    char **names; /* [n_names] tokens that the profile names */
    size_t n_names, cap;
    struct wire_ids
        line_break; /* what texts inside of others are cut behind; none: they are cut as they are */
};

/* Waits for the server. False: refused (ERR_INPUT), or gone (ERR_SERVICE). */
MUST bool patterns_open(const struct render_at *at, const struct prm_profile *p, struct patterns *out,
                        struct err *e);
/* The token that a word at the beginning of a text ends with. */
MUST bool pattern_word(const struct render_at *at, const char *word, int *id, struct err *e);
void patterns_fini(struct patterns *p);

/* The request's body that cuts what is filled in; its path is /tokenize at the root. Of PATTERN_CHAT behind
 * llama-server: the body for /apply-template, whose answer's prompt goes through wire_put_content. */
void pattern_put(const struct patterns *p, const struct pattern *x, const struct render_at *at,
                 struct str filled_in, struct buf *out);
/* The ids of the whole pattern from the answer, appended. */
MUST bool pattern_take(const struct patterns *p, const struct pattern *x, const json_t *answer,
                       struct wire_ids *out, struct err *e);
/* Text of a user's or a model's that cannot become an added token, and has one line if it must. */
void pattern_put_plain(const struct patterns *p, struct str text, struct buf *out);

#endif
