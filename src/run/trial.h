/* trial.h - one problem being searched: its search, the text and prefixes of its nodes, its budget (private
 * to the run room).
 *
 * A trial turns the search's asks into service jobs and service results into what the search is told. It
 * never waits. Job ids are (slot << 33 | node << 1 | is_score), so that a result finds its trial and node.
 */
#ifndef BROOD_TRIAL_H
#define BROOD_TRIAL_H

#include "run/coordinator.h"
#include "run/speculate.h"
#include "run/verdicts.h"

struct trial_node {
    char *path; /* "" for the root */
    char *text;
    size_t text_len, n_lead_bytes;
    size_t n_over_bytes; /* that the solution ends before the end of its text, with what stands before */
    struct policy_prefix *policy_prefix; /* NULL: not there (yet) */
    struct reward_prefix *reward_prefix;
    const struct rows_node *recorded;
    struct cost written, scored; /* what that cost */
    int twin;                    /* an equal sibling whose rewards it shares; 0: none */
    int payer;                   /* the equal sibling that is charged for this one's score; 0: itself */
    size_t ledger_entry;
    uint64_t job; /* writing: the id of the job */
    struct verdict_wait
        *verdict; /* it ended, and is told when the verifier has spoken; NULL: it does not wait */
    int face;     /* of its solution's text, + 1; 0: not known to the verdicts */
    bool has_entry, writing, scoring;
    bool is_sample; /* ended or was cut off */
};

struct trial {
    struct coordinator *owner;
    uint64_t slot;
    struct coordinator_problem problem;
    struct search *search;
    struct select_classes *classes;
    struct trial_node *nodes; /* by tree node number */
    size_t n_nodes, cap_nodes;
    struct ledger ledger;
    struct search_ask *held; /* [n_held] expansions that wait for their budget, in the order asked */
    size_t n_held, cap_held;
    enum run_why why;
    double deadline, started;
    bool is_read; /* the prompts; nothing is asked for before */
    int n_in_flight;
    int n_writing, n_writing_max; /* of these, expansions: now, and at most */
    struct guesses guesses;
    struct verdicts verdicts;
    struct run_cost cost;
    struct cost
        reward_root; /* what reading the prompt for the reward model costs, where anything is scored */
    int n_failed;
    char *failure;
};

struct trial *trial_new(struct coordinator *owner, uint64_t slot, const struct coordinator_problem *p,
                        struct err *e);
void trial_free(struct trial *t); /* cancels its jobs */

/* Takes asks until one job was submitted (or one recorded result told): true; false when the search wants
 * nothing now. *e is set, and the trial useless, when a service refused a prefix or an event could not be
 * handled. */
MUST bool trial_advance(struct trial *t, bool *did, struct err *e);
MUST bool trial_policy_result(struct trial *t, int node, const struct policy_result *r, struct err *e);
MUST bool trial_reward_result(struct trial *t, int node, const struct reward_result *r, struct err *e);
/* The verifier's answer about a text (verdicts.h). */
MUST bool trial_verdict(struct trial *t, size_t face, const struct verifier_result *r, struct err *e);
/* For verdicts.c: tells the search of a node that was recorded. */
void trial_tell(struct trial *t, int node, struct search_told *told);
struct trial_node *trial_node(struct trial *t, int node);
bool trial_peek(struct trial *t, struct buf *out); /* as coordinator_peek */
bool trial_over(const struct trial *t);
void trial_stop(struct trial *t, enum run_why why);
void trial_fail(struct trial *t, enum run_why why, const char *failure);
/* Gathers the solutions and sends RUN_ENDED. */
MUST bool trial_end(struct trial *t, struct err *e);

/* For guesses (speculate.c): a node is being written by the job with this id; submits the job for an ask. */
void trial_begin_writing(struct trial *t, int node, uint64_t job);
void trial_submit(struct trial *t, const struct search_ask *ask, uint64_t id, uint64_t key, int index,
                  int n_tokens);

/* What the trial uses of its owner. */
struct policy *coordinator_policy(struct coordinator *c);
struct reward *coordinator_reward(struct coordinator *c);
struct verifier *coordinator_verifier(struct coordinator *c);
struct verifier *trial_verifier(const struct trial *t); /* its own, or its owner's; NULL: none */
struct verification *coordinator_verification(struct coordinator *c);
struct coordinator_guessing *coordinator_guessing(struct coordinator *c);
bool coordinator_event(struct coordinator *c, const struct run_event *event, struct err *e);

#endif
