/* brood.h - Brood as a library: a small language model that answers like a larger one by searching.
 *
 *     struct brood_error error;
 *     const struct brood_options options = {.policy = "lab:small", .reward = "lab:prm"};
 *     const struct brood_request request = {.problem = "...", .strategy = "sample:n=16"};
 *     struct brood *b = brood_open(&options, &error);
 *     struct brood_answer *a = brood_solve(b, &request, &error);
 *     printf("%s (%d of %d votes)", a->answer, a->n_votes, a->n_solutions);
 *     brood_answer_free(a);
 *     brood_close(b);
 *
 * examples/solve.c is a whole program. Link with -lbrood.
 *
 * Results are a function of (models, request): the same request gives the same answer on any number of
 * threads, bit for bit, unless a budget in seconds or brood_cancel ends it.
 *
 * Errors: functions return NULL and fill the error: one line that says what, where and what to do. status
 * is 2 for bad input, 3 when a model or server failed for good, 130 when cancelled before there was anything
 * to answer with. Out of memory ends the process, status 3.
 *
 * Ownership: an answer and all it holds live until brood_answer_free, independent of the handle; what a
 * request or an event points to is borrowed for the call.
 *
 * Threads: a handle is used by one thread at a time; brood_cancel may be called from any thread or a signal
 * handler.
 */
#ifndef BROOD_H
#define BROOD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define BROOD_API __attribute__((visibility("default")))
#else
#define BROOD_API
#endif

struct brood;

struct brood_error {
    int status; /* 2, 3 or 130 */
    char message[600];
};

struct brood_options {
    const char
        *policy; /* SPEC: a Hugging Face folder, a .gguf file, lab:NAME, replay:FILE; NULL: lab:small */
    const char *reward; /* SPEC; NULL: lab:prm with the default policy, else none; "none": none */
    const char *verify; /* SPEC of a verifier (docs/verifiers.md); NULL: none */
    const char *system; /* system message; NULL: none */
    const char *chat;   /* chat format by name; NULL: the model's own */
    int n_threads;      /* 0: all cores */
    const char *weights, *reward_weights; /* "q8_0", ..., "bf16" (folders, files); NULL: as they are */
    const char *kv; /* their keys and values: "f16", "f32" or NULL: f16 where weights are quantised */
    /* What asks for a revised solution, makes a thought go on, ends it and begins the answer, for strategies
     * that do so; NULL: what suits the policy. */
    const char *revise_text, *wait_text, *answer_text;
};

enum brood_event_kind {
    BROOD_EVENT_NODE,    /* a piece of solution was written */
    BROOD_EVENT_SCORE,   /* its steps were scored */
    BROOD_EVENT_VERDICT, /* a verifier judged the solution that ends there */
    BROOD_EVENT_DROP,    /* it was pruned, with all below */
    BROOD_EVENT_RETRY,   /* the policy's servers had to be asked again: n_retried, and no path */
};

struct brood_event {
    enum brood_event_kind kind;
    const char *path;     /* of child indices from the prompt, "0.3.1" */
    const char *text;     /* NODE */
    int n_lead_bytes;     /* NODE: of the text, put there by the strategy and not written by the policy */
    int ended;            /* NODE: the solution is complete */
    int n_tokens;         /* NODE */
    const float *rewards; /* SCORE: [n_rewards] in [0,1] */
    int n_rewards;
    double n_retried;     /* RETRY: requests asked again so far */
    int verified;         /* VERDICT: 1 passed, 0 rejected, -1 the verifier could not tell */
    const char *feedback; /* VERDICT: what is wrong, or "" */
};

/* Borrowed for the call. Not zero: stop the search and answer with what there is. */
typedef int brood_on_event(void *ctx, const struct brood_event *event);

enum brood_speculate {
    BROOD_SPECULATE_AUTO, /* for policies behind servers, without a budget in tokens, FLOP or dollars */
    BROOD_SPECULATE_ON,
    BROOD_SPECULATE_OFF,
};

struct brood_request {
    const char *problem;
    const char *problem_id; /* keys the random numbers, finds recorded samples; NULL: "problem" */
    const char *strategy;   /* "sample:n=16,temperature=0.8"; NULL: sample */
    const char *plan; /* for the strategy adaptive: the JSON text of a plan (docs/plan.md); NULL: built in */
    /* majority, best, weighted, first-verified, confident, confident-low, confident-high; NULL:
     * first-verified with a verifier, confident where the strategy goes by it (deepconf), weighted with a
     * reward model, else majority */
    const char *select;
    const char *confidence; /* what confident goes by: lowest, tail, bottom or mean, as in "tail:512"; NULL:
                               lowest */
    const char *aggregate;  /* last, min, prod, mean; NULL: what suits the reward model */
    uint64_t seed;
    int n_tokens_max; /* longest solution; 0: 1024 or the model's context */
    double budget_samples, budget_tokens, budget_flops, budget_seconds; /* 0: none */
    double budget_usd;                                                  /* by the prices; 0: none */
    /* What tokens cost, in dollars a million: read and generated by the policy, read by the reward model. */
    double usd_policy_input, usd_policy_output, usd_reward_input;
    /* Steps guessed ahead while a search waits for the last of its level: the same answer, sooner where the
     * policy has room. */
    enum brood_speculate speculate;
    brood_on_event *on_event;
    void *ctx;
};

struct brood_solution {
    const char *path; /* of child indices from the prompt, as in events */
    const char *text;
    const char *answer;       /* NULL: none was found in it */
    const char *const *steps; /* [n_steps] of the text, without what parts them */
    const float *rewards;     /* [n_rewards] one a step; NULL: not scored */
    int n_steps, n_rewards, n_tokens;
    int complete;      /* ended by the policy itself, not cut off */
    int n_class;       /* place in classes; -1: no answer that could be read */
    double score;      /* aggregate of its rewards; 0 if not scored */
    double logprob;    /* of its tokens */
    double confidence; /* as the request asked for; NAN where the strategy told none */
    int verified;      /* by the verifier: 1 passed, 0 rejected, -1 not asked or not known */
};

struct brood_class {    /* equal answers */
    const char *answer; /* as first written */
    int n_votes;
    double score; /* sum of aggregate rewards, or of confidences if those chose; 0 without either */
};

struct brood_work {
    double tokens_generated, tokens_read, flops; /* of both models */
};

struct brood_answer {
    char *answer;                     /* NULL: no solution had one */
    char *solution;                   /* the text it was taken from; NULL: none */
    const char *select, *aggregate;   /* what chose */
    const char *ended;                /* why the search ended: finished, budget, deadline, stopped */
    const char *ran_out;              /* budget: of what, samples, tokens, flops or usd; else NULL */
    struct brood_solution *solutions; /* [n_found] all of them, in path order */
    int n_found, chosen;              /* solutions[chosen] has the answer; -1: none */
    struct brood_class *classes;      /* [n_classes] of the answers that took part, best first by the rule */
    int n_classes;
    int n_solutions; /* that took part */
    int n_votes;     /* equal to the answer */
    double score;    /* of the choice: votes, sum of aggregates or best aggregate */
    double margin;   /* its lead over the next best class; for majority and weighted as a share of all */
    double tokens_generated, tokens_read; /* by both models, prompts included */
    double flops_policy, flops_reward, seconds;
    double usd;               /* of all this, by the request's prices */
    struct brood_work pruned; /* of all this, for steps that led to no solution: pruned, or open at the end */
    /* On top of it: work that was given up before anything was told of it, and work done again for want of
     * memory; requests to servers that were asked again, and the tokens that those carried. */
    struct brood_work cancelled, recomputed;
    double n_retried, tokens_retried;
    double n_guessed, n_guesses_used; /* steps written ahead of the search; those that it then asked for */
    int n_failed;                     /* pieces of work that a service could not do */
    const char *failure;              /* why it could not do the first of them; NULL: none failed */
    /* Verdicts told, of these taken from an equal solution; what the verifier ran for them. */
    double n_verdicts, n_equal, n_executions, seconds_verifier;
};

BROOD_API struct brood *brood_open(const struct brood_options *options, struct brood_error *error);
BROOD_API void brood_close(struct brood *b);
BROOD_API struct brood_answer *brood_solve(struct brood *b, const struct brood_request *request,
                                           struct brood_error *error);
BROOD_API void brood_answer_free(struct brood_answer *a);
/* The solve in progress, or the next one, ends soon with what it has. */
BROOD_API void brood_cancel(struct brood *b);
BROOD_API const char *brood_version(void);

#ifdef __cplusplus
}
#endif

#endif
