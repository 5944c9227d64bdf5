/* run.h - one strategy over one task with one seed: recorded, resumable.
 *
 * run_open opens the services, the task and the store, and checks that a run that exists already was made
 * with the same configuration; run_step carries it on; whatever ends the process, the next run_open with the
 * same options goes on where it stopped and arrives at the same records.
 *
 *     struct run *r = run_open(&options, &e);
 *     do ok = run_step(r, &progress, &e); while (ok && !progress.finished);
 *     run_close(r, &e);
 *
 * Threads: one thread owns a run. run_stop may be called from a signal handler.
 */
#ifndef BROOD_RUN_H
#define BROOD_RUN_H

#include "policy/policy.h"
#include "reward/reward.h"
#include "run/budget.h"
#include "run/coordinator.h"
#include "run/task.h"
#include "search/search.h"
#include "select/select.h"
#include "verify/verifier.h"

struct run_options {
    const char *task;   /* path or lab:NAME */
    const char *policy; /* SPEC */
    const char *reward; /* SPEC or NULL */
    const char *verify; /* SPEC of a verifier or NULL */
    const char *store;  /* path of the run; ":memory:" keeps nothing */
    struct search_spec spec;
    /* For the strategy adaptive: the text of a plan (search/plan.h); NULL: the built-in one. */
    const char *plan;
    /* For the recorded choice. SELECT_RULES: coordinator_select. AGGREGATES: what suits the reward model,
     * else last. Both: where the search advises one, that (the strategy adaptive). */
    enum select_rule select;
    enum aggregate aggregate;
    struct select_confidence confidence;    /* of a solution, where the selection is by confidence */
    struct budget budget;                   /* of each problem */
    struct budget run_budget;               /* of all of them together: shares.h */
    struct prices prices;                   /* what a budget in money goes by */
    enum coordinator_speculation speculate; /* no part of the configuration: results are the same */
    uint64_t seed;
    int n_tokens_max;  /* longest solution; 0: RUN_TOKENS_DEFAULT, or the policy's context if that is shorter
                        */
    size_t n_problems; /* the first so many; 0: all */
    bool lenient;      /* grade by Qwen's rules */
    int n_threads;
    const char *system, *chat, *separator;             /* as policy_options */
    const char *weights, *reward_weights, *kv;         /* as policy_options and reward_options */
    const char *lead_revise, *lead_wait, *lead_answer; /* likewise */
};

enum { RUN_TOKENS_DEFAULT = 1024 };

struct run_progress {
    int n_problems, n_done;               /* n_done counts those of earlier sessions too */
    int n_done_before;                    /* done when this session began */
    int n_graded, n_right;                /* of the done ones: the recorded choice */
    double n_solutions;                   /* told in this session */
    double tokens_generated, tokens_read; /* computed in this session: policy and reward model */
    struct waste waste;                   /* of that in vain, in this session */
    struct verification verification;     /* likewise: what the verifier did */
    double seconds;                       /* of this session */
    double n_guessed, n_guesses_used;     /* steps written ahead; those that were asked for */
    int n_failed;
    int n_cut_short; /* problems whose budget or deadline ended them, in this session */
    bool finished;
    bool out_of_time; /* the run's own seconds are over: what was not begun is not begun */
};

struct run;
MUST struct run *run_open(const struct run_options *o, struct err *e);
/* One turn, then what has been reached. After run_stop: writes what is there and reports ERR_CANCELLED. */
MUST bool run_step(struct run *r, struct run_progress *p, struct err *e);
void run_stop(struct run *r);
MUST bool run_close(struct run *r, struct err *e);
const char *run_failure(const struct run *r); /* why the first failed expansion or score failed, or NULL */
/* A hash over every token, score and choice of the records, in their order. */
MUST bool run_signature(struct run *r, uint64_t *out, struct err *e);
struct store *run_store(struct run *r); /* borrowed: for reports */

/* Parameters that are not set (NAN) become what the services recommend: sampling by the policy, the aggregate
 * as chosen. */
void run_fill_spec(struct search_spec *spec, const struct policy_info *info, enum aggregate aggregate);

#endif
