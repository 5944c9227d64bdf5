/* reward.h - the reward service: something that scores the steps of a solution.
 *
 * As with the policy, prefixes hold what has been read, jobs run in one batch, and nothing blocks. A job
 * gives the text that was added to a prefix: one step, or several; each step that is not blank gets exactly
 * one reward in [0,1], in order. A reward model that works on tokens reads each of them once: scoring a child
 * reads only the child's text.
 *
 *     "2+3 = 5.\n\n5*4 = 20.\n\n"  ->  two steps, two rewards; a trailing separator makes no phantom step
 *
 * The kinds: embedded.c (our engine with a scoring head), served.c (models behind servers), toy.c (exact
 * values of policy/toy.c's chain, for tests). A new kind is one file that fills struct reward_ops and one row
 * in reward.c.
 *
 * Determinism: a reward is a function of (model, prompt, the steps so far), whatever else is in flight.
 * Ownership and threads: as policy.h.
 */
#ifndef BROOD_REWARD_H
#define BROOD_REWARD_H

#include "base/cost.h"
#include "base/err.h"
#include "base/str.h"

struct reward;
struct reward_prefix;

struct reward_options {
    int n_threads;
    const char *separator; /* NULL: "\n\n" */
    const char *weights;   /* embedded: "q8_0", ... (model/quantise.h); NULL or "file": as they are */
    const char *kv;        /* of models that run here, as in policy_options */
};

struct reward_job {
    uint64_t id;
    struct reward_prefix *from;
    struct str text; /* copied */
};

struct reward_result {
    uint64_t id;
    bool failed;
    const float *rewards; /* [n_rewards], valid until reward_work or reward_next; one for each step that is
                             not blank of the job's text */
    int n_rewards;
    struct reward_prefix *prefix; /* owned by the receiver; NULL if failed */
    struct cost cost;
    const char *why;
};

struct reward_info {
    const char *name, *kind;
    char identity[32];
    const char *kv; /* as in policy_info */
    double n_parameters;
    double flops_per_token, flops_per_position; /* of one token read, as in policy_info */
    int n_context, n_wanted;
    int n_tokens_step; /* read with each step beyond its own text, at most; > 0 */
    const char *talks; /* http: how its servers are asked; NULL: there are none */
    char aggregate[8]; /* what this reward model is best used with: last, min, prod, mean */
};

MUST struct reward *reward_open(const char *spec, const struct reward_options *o, struct err *e);
void reward_close(struct reward *r); /* all prefixes must have been released; NULL is legal */
const struct reward_info *reward_info(const struct reward *r);

MUST struct reward_prefix *reward_root(struct reward *r, const char *problem_text, struct err *e);
/* What reading the problem costs, once; results charge only their own text (as policy_root_cost). */
struct cost reward_root_cost(const struct reward *r, const struct reward_prefix *root);
/* The prefix after `text`, without computing or scoring it (resume). */
MUST struct reward_prefix *reward_extend(struct reward *r, struct reward_prefix *from, struct str text,
                                         struct err *e);
void reward_release(struct reward *r, struct reward_prefix *prefix);

void reward_submit(struct reward *r, const struct reward_job *job);
void reward_cancel(struct reward *r, uint64_t id);
MUST int reward_work(struct reward *r, double seconds_max, struct err *e);
bool reward_next(struct reward *r, struct reward_result *out);
int reward_in_flight(const struct reward *r);
struct cost reward_computed(const struct reward *r); /* as policy_computed */
struct waste reward_waste(const struct reward *r);   /* as policy_waste */
double reward_cache_bytes(const struct reward *r);   /* as policy_cache_bytes */

/* The steps of a text: splits at the separator, trims, drops blanks. Calls each(ctx, step) in order (each may
 * be NULL); returns how many. */
int reward_split_steps(struct str text, struct str separator, void (*each)(void *ctx, struct str step),
                       void *ctx);

struct reward_ops {
    void (*close)(struct reward *r);
    struct reward_prefix *(*root)(struct reward *r, const char *problem_text, struct err *e);
    struct reward_prefix *(*extend)(struct reward *r, struct reward_prefix *from, struct str text,
                                    struct err *e);
    struct cost (*root_cost)(const struct reward *r, const struct reward_prefix *root);
    void (*release)(struct reward *r, struct reward_prefix *prefix);
    void (*submit)(struct reward *r, const struct reward_job *job);
    void (*cancel)(struct reward *r, uint64_t id);
    int (*work)(struct reward *r, double seconds_max, struct err *e);
    bool (*next)(struct reward *r, struct reward_result *out);
    int (*in_flight)(const struct reward *r);
    struct cost (*computed)(const struct reward *r);
    struct waste (*waste)(const struct reward *r); /* NULL: there is none */
    double (*cache_bytes)(const struct reward *r); /* NULL: 0 */
};

struct reward { /* first member of every kind's own struct */
    const struct reward_ops *ops;
    char *name; /* the spec, owned by reward.c; info.name */
    struct reward_info info;
};

#endif
