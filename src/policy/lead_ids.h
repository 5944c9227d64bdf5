/* lead_ids.h - leads as token ids, of a model that a server has (private to the room).
 *
 * The server cuts all text: we do not have its tokenizer. A text that goes on is cut as it stands. A turn of
 * the user's is found by two conversations that differ in the answer alone ("a", "b"): what both end with is
 * the end of the answer, the turn and the opening of the next answer, whatever the template. Both depend on
 * the words alone and are asked for once, but for those with feedback in them.
 *
 * An answer's last id is the end that a lead takes back, or it is part of the text: some servers give the end
 * token, some do not. It is the end if the text does not end with its text; where a server tells no token's
 * text, if it is what ends an answer in a conversation. A model thinks between marks if the server cuts the
 * closing one into one token.
 *
 * All of these wait for the server while other asks go on. False with ERR_SERVICE: gone for good; with
 * ERR_INPUT: refused.
 */
#ifndef BROOD_POLICY_LEAD_IDS_H
#define BROOD_POLICY_LEAD_IDS_H

#include "http/render.h"
#include "policy/thought.h"

struct lead_entry {
    char *words;
    bool turn;
    struct wire_ids ids;
};

struct lead_token {
    int id;
    char *text; /* NULL: the server does not tell */
};

struct lead_ids {
    struct remote *remote; /* borrowed, like the rest up to the lists */
    enum wire_form form;
    const char *model, *system;
    double seconds_max; /* of one request */
    struct lead_entry *entries;
    size_t n_entries, cap_entries;
    struct lead_token *tokens;
    size_t n_tokens, cap_tokens;
    bool knows_marks;
    struct thought_marks marks;
};

/* The text of a token, as the server tells it; NULL: it does not. */
MUST bool lead_ids_text(struct lead_ids *l, int id, uint64_t affinity, const char **text, struct err *e);
void lead_ids_free(struct lead_ids *l);
/* Appends the ids of the words, as a text that goes on or as a turn. keep: they will be asked for again. */
MUST bool lead_ids_add(struct lead_ids *l, const char *words, bool turn, bool keep, uint64_t affinity,
                       struct wire_ids *out, struct err *e);
MUST bool lead_ids_marks(struct lead_ids *l, uint64_t affinity, struct thought_marks *out, struct err *e);
/* Whether `id`, the last of an answer that ended with `tail`, is an end token. */
MUST bool lead_ids_is_end(struct lead_ids *l, int id, struct str tail, uint64_t affinity, bool *is_end,
                          struct err *e);

#endif
