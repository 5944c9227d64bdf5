/* lead_ids.h - leads as token ids, of a model that a server has (private to the room).
 *
 * The server cuts all text: we do not have its tokenizer. A text that goes on is cut as it stands. A turn of
 * the user's is found by two conversations that differ in the answer alone ("a", "b"): what both end with is
 * the end of the answer, the turn and the opening of the next answer, whatever the template. Both depend on
 * the words alone and are asked for once; those with feedback in them belong to the job that needs them.
 *
 * An answer's last id is the end that a lead takes back, or it is part of the text: some servers give the end
 * token, some do not. It is the end if the text does not end with its text; where a server tells no token's
 * text, if it is what ends an answer in a conversation. A model thinks between marks if the server cuts the
 * closing one into one token.
 *
 * Nothing here waits: RENDER_ASKED says that the server has been asked, and that the same question is to be
 * put again later. RENDER_REFUSED sets *e (ERR_INPUT).
 */
#ifndef BROOD_POLICY_LEAD_IDS_H
#define BROOD_POLICY_LEAD_IDS_H

#include "http/render.h"
#include "policy/thought.h"

struct lead_words { /* all zero: not asked for */
    char *words;
    bool turn;
    struct rendering both[2]; /* of a text, the first alone */
};

struct lead_token {
    int id;
    struct rendering text;
};

struct lead_ids {
    struct render_at at;
    const char *system; /* borrowed; NULL: none */
    struct lead_words **kept;
    size_t n_kept, cap_kept;
    struct lead_token **tokens;
    size_t n_tokens, cap_tokens;
};

void lead_ids_free(struct lead_ids *l);
/* Appends the ids of the words, as a text that goes on or as a turn. own: where they are looked up; NULL:
 * among those that are kept, for they will be asked for again. */
enum render_state lead_ids_add(struct lead_ids *l, const char *words, bool turn, struct lead_words *own,
                               uint64_t affinity, struct wire_ids *out, struct err *e);
void lead_words_fini(struct lead_words *x); /* all zero is legal */
/* The text of a token, as the server tells it; NULL: it does not. Never refused. */
enum render_state lead_ids_text(struct lead_ids *l, int id, uint64_t affinity, const char **text);
enum render_state lead_ids_marks(struct lead_ids *l, uint64_t affinity, struct thought_marks *out,
                                 struct err *e);
/* Whether `id`, the last of an answer that ended with `tail`, is an end token. */
enum render_state lead_ids_is_end(struct lead_ids *l, int id, struct str tail, uint64_t affinity,
                                  bool *is_end, struct err *e);

#endif
