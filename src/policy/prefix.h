/* prefix.h - prefixes of policies behind servers (private to the room): prompt and solution so far, as token
 * ids, or as turns of a conversation where the server takes no ids.
 *
 * A prefix is there at once; what the server has to be asked for its ids, to render a prompt, or to say which
 * token an answer ended with where a lead goes on behind it, is an ask among the others:
 *
 *     root, behind a lead that is recorded   RENDER_ASKED   until the server has said it (prefixes_work)
 *     behind one that is not read            RENDER_ASKED   until that is
 *     all others                             RENDER_DONE
 *
 * A prefix that was refused (RENDER_REFUSED, with why) refuses all behind it.
 */
#ifndef BROOD_POLICY_PREFIX_H
#define BROOD_POLICY_PREFIX_H

#include "policy/lead_ids.h"
#include "policy/policy.h"

enum { PREFIX_TAIL_BYTES_MAX = 64 };

struct policy_prefix {
    enum render_state state;
    char *why;                   /* RENDER_REFUSED */
    int n_users;                 /* who received it, and prefixes behind it that are not read */
    struct rendering *rendering; /* of a root: the prompt, until it is read */
    struct policy_prefix *from;  /* what it goes on from, until it is read */
    enum policy_lead lead;       /* behind `from` */
    size_t n_lead_tokens;        /* of the ids, which are the piece's alone until it is read */
    struct wire_ids ids;         /* prompt and solution so far */
    char *system;                /* of this conversation; NULL: the policy's */
    char **turns;                /* WIRE_CHAT: [n_turns] what was said, the user first */
    size_t n_turns, cap;
    char tail[PREFIX_TAIL_BYTES_MAX]; /* the last of the solution's text */
    size_t n_tail;
    size_t begin;      /* where its answer begins, among the ids */
    uint64_t affinity; /* of its problem */
    bool ended;
};

struct prefixes {
    const struct policy_info *info; /* borrowed: name, context */
    struct lead_ids leads;
    const char *system;            /* borrowed; NULL: none */
    struct policy_prefix **unread; /* [n_unread] in the order in which they were made */
    size_t n_unread, cap;
};

void prefixes_fini(struct prefixes *p);
/* Reads what can be read now. */
void prefixes_work(struct prefixes *p);
struct policy_prefix *prefix_root(struct prefixes *p, const struct policy_prompt *prompt);
/* Behind a recorded piece, whose ids are known but for WIRE_CHAT. */
struct policy_prefix *prefix_extend(struct prefixes *p, struct policy_prefix *from,
                                    const struct policy_piece *piece);
/* Behind `from`, which is read: made of these ids, and so much text. */
struct policy_prefix *prefix_after(const struct prefixes *p, const struct policy_prefix *from,
                                   const struct wire_ids *ids, enum policy_lead lead, struct str words,
                                   struct str written, bool ended);
void prefix_release(struct prefixes *p, struct policy_prefix *prefix); /* NULL is legal */
/* What a lead is put behind: an end token is taken back, of WAIT the end of a thought and all behind it too.
 * Appended when RENDER_DONE. *is_open: it ends inside of a thought. */
enum render_state prefix_head(struct prefixes *p, const struct policy_prefix *from, enum policy_lead lead,
                              struct wire_ids *head, bool *is_open, struct err *e);
/* Tokens that a request from it carries; of one that is not read, at most what is known of it. */
double prefix_carries(const struct prefixes *p, const struct policy_prefix *prefix);
bool prefixes_full(const struct prefixes *p, size_t n_ids); /* the context is */

#endif
