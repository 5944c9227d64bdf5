/* coordinator.h - carries jobs from searches to services and results back.
 *
 * Any number of problems are searched at once, each by its own search. The coordinator asks the searches for
 * jobs in the order in which the problems were added, keeps as many in flight as fill the services' batches,
 * tells each result to its search, and reports it as an event. Results that a store already has are told from
 * there without computing: that is how a run resumes.
 *
 *     search A ─┐                      ┌─> policy ──┐
 *     search B ─┼─ asks ─> coordinator ┼─> reward ──┼─ results ─> tell, event
 *     search C ─┘    (budget, deadline)└─> verifier ┘
 *
 * With a verifier, a solution goes there as soon as it has ended, and the search is told of it when the
 * verdict is in; the policy goes on writing meanwhile. Each different text of a problem is verified once.
 *
 * While coordinator_hungry() says so the batches are not full: add another problem. What a search decides,
 * and so every event's content, does not depend on what else is in flight; only the order of events does.
 *
 * Ownership: services are borrowed and must outlive the coordinator; a problem's strings are borrowed until
 * its RUN_ENDED event. Threads: one thread owns a coordinator.
 */
#ifndef BROOD_COORDINATOR_H
#define BROOD_COORDINATOR_H

#include "policy/policy.h"
#include "reward/reward.h"
#include "run/budget.h"
#include "run/solutions.h"
#include "search/search.h"
#include "store/rows.h"
#include "verify/verifier.h"

struct coordinator;

struct coordinator_problem {
    int ordinal;
    const char *id, *text;
    struct str line; /* for the verifier: its fields without the answer key, as JSON; empty: none */
    uint64_t key;    /* of the problem: rng_child_named(seed, id) */
    const struct search_spec *spec;
    const char *plan; /* of the strategy adaptive, as text; NULL: the built-in one */
    struct budget budget;
    struct prices prices;                /* what a budget in money goes by */
    int n_tokens_max;                    /* longest solution, > 0 */
    struct select_confidence confidence; /* of the solutions, for the selection */
    const struct rows *recorded;         /* what a store knows already; NULL: nothing */
    /* What a server adds; all may be zero. Texts that end a solution: it is cut before the first of them. */
    const char *const *stops; /* [n_stops], none empty */
    size_t n_stops;
    struct policy_talk talk;   /* said before the text */
    int client;                /* of equal share under coordinator_share */
    struct verifier *verifier; /* of its own: one that was added; NULL: the coordinator's */
};

enum run_what {
    RUN_NODE,       /* `node` was told */
    RUN_SCORE,      /* `score` was told */
    RUN_SCORE_COST, /* of a score told before: an equal sibling, earlier in path order, is charged instead */
    RUN_VERDICT,    /* `verdict` was told: of a solution that was a RUN_NODE before */
    RUN_DROP,       /* the node at `path` and all below were pruned */
    RUN_ENDED,      /* the search of this problem is over */
};

enum run_why {
    RUN_FINISHED,
    RUN_BUDGET,
    RUN_DEADLINE,
    RUN_STOPPED,
    RUN_UNUSABLE,   /* a service cannot take the problem: `failure` says why; there are no solutions */
    RUN_UNVERIFIED, /* the verifier of its own failed for good: `failure` says why */
};

struct run_cost {
    struct cost policy_root, reward_root, policy, reward; /* prompts; everything told after them */
    struct cost policy_pruned, reward_pruned; /* of the latter, nodes of no solution: pruned or left open */
};

struct run_event {
    enum run_what what;
    int ordinal;
    bool recorded; /* told from the store, not computed now */
    const char *path;
    const struct store_node *node;
    const struct store_score *score;
    const struct store_verdict *verdict;
    struct str solution; /* RUN_NODE that ended: the whole text up to it; else empty */
    /* RUN_ENDED */
    enum run_why why;
    enum budget_unit ran_out;          /* RUN_BUDGET: of what there was too little */
    struct search_advice advice;       /* names live as long as the call */
    const struct solutions *solutions; /* valid during the call */
    const struct run_cost *cost;
    const struct verification *verification; /* what the verifier did for it */
    int n_failed;                            /* expansions, scores or verdicts that a service could not do */
    const char *failure;                     /* why the first of them failed, or NULL */
    double seconds;
};

/* Called during coordinator_step. False stops stepping with *e set (a store that cannot be written). */
typedef bool coordinator_on_event(void *ctx, const struct run_event *event, struct err *e);

/* Steps guessed ahead, of all searches (speculate.h). */
enum coordinator_speculation {
    COORDINATOR_SPECULATE_AUTO, /* policies behind servers, and no budget in tokens, FLOP or money */
    COORDINATOR_SPECULATE_ON,
    COORDINATOR_SPECULATE_OFF,
};

struct coordinator_guessing {
    int n_flying;          /* being written now, and not asked for */
    double n_made, n_used; /* so far: guesses, and those that were what a search asked for */
    struct cost in_vain;   /* of guesses that were written and not asked for */
};

/* reward and verifier may be NULL. */
struct coordinator *coordinator_new(struct policy *policy, struct reward *reward, struct verifier *verifier,
                                    coordinator_on_event *on_event, void *ctx);
void coordinator_free(struct coordinator *c); /* cancels what is in flight */

/* Verifiers beside the coordinator's, for problems that name one. One that fails for good ends its own
 * problems alone, those to come included. Borrowed, as services are. */
void coordinator_add_verifier(struct coordinator *c, struct verifier *v);
/* What a verifier that was added failed with; NULL: it is well. */
const char *coordinator_verifier_failure(const struct coordinator *c, const struct verifier *v);

/* Refuses what a policy cannot do: leads, confidences. */
MUST bool coordinator_can(const struct policy_info *policy, bool leads, bool confidences, struct err *e);
/* Whether a strategy asks for the confidences of all tokens. */
bool coordinator_tells_confidences(const struct search_spec *spec);
/* What to choose by where nobody said: the verdicts, if there are any; else what the strategy is made for;
 * else by rewards if there are any. */
enum select_rule coordinator_select(const struct search_spec *spec, bool has_reward, bool has_verifier);
MUST bool coordinator_add(struct coordinator *c, const struct coordinator_problem *p, struct err *e);
bool coordinator_hungry(const struct coordinator *c);
/* Draws asks from the problems in hand, as every step does first: what is hungry then needs one more. */
MUST bool coordinator_fill(struct coordinator *c, struct err *e);
/* From now on jobs are drawn from the client with the fewest expansions in flight, and of its problems from
 * the one with the fewest, not from the oldest problem: a large search does not keep small ones waiting. What
 * is told to a search does not depend on it. */
void coordinator_share(struct coordinator *c);
/* Whether steps are guessed ahead where the policy has room; false while more problems are to come. */
void coordinator_speculate(struct coordinator *c, enum coordinator_speculation how);
void coordinator_expect(struct coordinator *c, bool more_problems);
struct coordinator_guessing coordinator_guessed(const struct coordinator *c);
/* One turn: ask, submit, one slice of work, tell. *n_active becomes the number of problems not ended. */
MUST bool coordinator_step(struct coordinator *c, int *n_active, struct err *e);
struct verification coordinator_verified(const struct coordinator *c); /* so far, of all problems */
/* What the services, and guesses, computed in vain so far. */
struct waste coordinator_waste(const struct coordinator *c);
/* Appends what the one job of a search that writes only one solution has so far, with what stands before it
 * and up to a stop text; false where that is not known. */
bool coordinator_peek(struct coordinator *c, int ordinal, struct buf *out);
/* Ends one search with what it has: RUN_ENDED follows in the next step. An ordinal that is not there is
 * ignored. */
void coordinator_end(struct coordinator *c, int ordinal, enum run_why why);
/* Ends every search now with what it has. */
MUST bool coordinator_stop(struct coordinator *c, enum run_why why, struct err *e);

#endif
