/* speculate.h - steps written ahead of a search that waits for the last of its level (private to the run
 * room).
 *
 * A search over steps goes level by level: while the longest steps of a level are still being written, places
 * in the policy's batch stand empty. What the search will ask for then can be guessed, for the key of a child
 * follows from its path: the next children of those nodes that have ended their step, the best of them first.
 * They are written in the places that are free, and when the search asks for exactly such a child, its text
 * is there, or on its way.
 *
 *     level of 8 steps   ████████ ended, scored .9   ┄┄┄┄ child 0 of it, guessed
 *                        ██████   ended, scored .2   ┄┄┄┄ child 1 of it, guessed
 *                        ███████████████ still being written
 *
 * Liu et al. 2025, "FlashTTS" (2509.00195), speculative beam extension. Where we differ: a guess is a whole
 * step of a child, not the go-on of its parent, and at most one step ahead; it is made by rewards where they
 * are known.
 *
 * The result is the same as without, bit for bit, whatever was guessed: a guess is told only if parent, child
 * index, sampling and end are what the search asked for, and the tokens what its budget grants: no more than
 * granted and ended by itself, or cut off at exactly what is granted. Anything else is thrown away and
 * counted as cancelled (struct waste). Until it is told a guess counts against no budget; so none is made
 * where one in tokens, FLOP or money is set, unless it is asked for (COORDINATOR_SPECULATE_ON).
 *
 * A trial has no more in flight, guesses included, than it had by itself at its widest, and what is asked for
 * goes first: guesses make room when the policy has enough without them.
 */
#ifndef BROOD_SPECULATE_H
#define BROOD_SPECULATE_H

#include "policy/policy.h"
#include "search/search.h"

struct trial;

struct guess {
    uint64_t id; /* of its job */
    int parent, index;
    int n_children_then; /* of the parent, when it was made */
    bool until_end;
    int n_tokens_max;
    int node; /* that awaits it; -1: it was not asked for yet */
    bool is_written;
    struct policy_result result; /* what it points to is owned */
};

struct guesses {
    struct guess *items;
    size_t n, cap;
    uint64_t n_made;
    int n_flying; /* not written, not asked for */
};

/* Guesses have job ids of their own, with the highest bit set. */
bool guess_is_job(uint64_t id);
size_t guess_slot(uint64_t id); /* of its trial */

/* Makes up to n_max guesses and throws away those that can come true no more; returns how many were made. */
int guess_more(struct trial *t, int n_max);
/* Whether the ask was guessed, with so many tokens granted: then the node is told now, or when it is written.
 */
MUST bool guess_answer(struct trial *t, const struct search_ask *ask, int n_tokens, bool *answered,
                       struct err *e);
/* The policy's answer to the guess with this id. */
MUST bool guess_result(struct trial *t, const struct policy_result *r, struct err *e);
/* Gives up the guesses below a node, and the one that the node itself awaits. */
void guess_forget(struct trial *t, int node);
/* Gives up the last one that is being written; false: there is none. */
bool guess_shed(struct trial *t);
void guess_fini(struct trial *t);

#endif
