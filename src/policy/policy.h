/* policy.h - the policy service: something that continues text.
 *
 * A policy holds prefixes (a prompt and the solution so far) and is given jobs: continue this prefix up to
 * the next step or to the end. Jobs run together in one batch; results come as they end. Nothing here blocks
 * for long: policy_work does one slice.
 *
 *     root = policy_root(p, &prompt)          the prompt, read once however many continuations it gets; a
 *                                             server may take its time over it: jobs from it wait
 *     policy_submit(p, &job)                  continue job.from; any number in flight
 *     while (policy_work(p, 0.1, &e) > 0)     one forward pass (embedded) or one round of waiting (servers)
 *         while (policy_next(p, &result))     the new text, and the prefix that it makes
 *
 * The kinds: embedded.c (our engine; a folder, or lab:NAME), openai.c (http://host:port/v1#model, a server),
 * replay.c (replay:FILE, recorded samples), toy.c (toy:..., an exact small Markov chain for tests). A new
 * kind is one file that fills struct policy_ops and one row in policy.c.
 *
 * A step is text up to and including the separator, and holds a character that is not blank: separators
 * before it belong to it.
 *
 * Determinism: for a given model, the tokens of a job are a function of (prefix, job.key, sampling), whatever
 * else is in flight. A job that continues a step with the key that wrote it goes on as if it had never
 * stopped.
 * Ownership: a prefix is owned by who received it (policy_release) and must outlive the jobs that continue
 * it; its ancestors may be released before it.
 * Threads: one thread owns a policy.
 */
#ifndef BROOD_POLICY_H
#define BROOD_POLICY_H

#include "base/cost.h"
#include "base/err.h"
#include "base/str.h"

struct policy;
struct policy_prefix;

struct policy_options {
    int n_threads;         /* embedded: 0 all cores */
    const char *separator; /* ends a step; NULL: "\n\n" */
    const char *system;    /* system message, or NULL */
    const char *chat;      /* chat format by name, overriding the model's; NULL: the model's */
    const char *weights;   /* embedded: "q8_0", ... (model/quantise.h); NULL or "file": as they are */
    const char *kv;        /* embedded: how keys and values are kept: "f16", "f32", "auto"; NULL: auto */
    /* Words of the leads below; NULL: what suits the policy (info.leads). */
    const char *lead_revise, *lead_wait, *lead_answer;
};

/* What comes before a prompt's text, of policies that can take it (info.can_talk, info.can_continue). */
struct policy_talk {
    const char *system; /* system message in place of the option's; NULL: that */
    const char *const
        *turns;     /* [n_turns] said before: the user first, then by turns; the last the policy's */
    size_t n_turns; /* even */
    bool raw;       /* the text is no message: the policy goes on from it as it is */
};

struct policy_prompt {
    const char *id;   /* the problem's; replay finds its samples by it */
    const char *text; /* what the user says */
    struct policy_talk talk;
};

struct policy_sampling {
    float temperature; /* 0: greedy */
    float top_p;       /* 1: off */
    float min_p;       /* 0: off */
    int top_k;         /* 0: off */
};

enum policy_until { POLICY_UNTIL_STEP, POLICY_UNTIL_END };

/* What is put before the text of a job. It is read, not sampled, and charged as tokens read. The words are
 * the policy's: options may replace them; a chat model is asked in a new user's turn to revise. A lead may
 * follow a prefix that ended: the end token is taken back where the text goes on (WAIT, ANSWER, and REVISE
 * without turns). Of models that think between "<think>" and "</think>", WAIT takes back the end of the
 * thought and the answer behind it, and ANSWER ends a thought that is open. Line breaks that a lead begins
 * with are left out as far as the text before it ends with them; feedback goes behind them, with a line break
 * after it. */
enum policy_lead {
    POLICY_LEAD_NONE,
    POLICY_LEAD_REVISE, /* look at the solution above again and write a whole new one; `feedback` says what is
                           wrong */
    POLICY_LEAD_WAIT,   /* the thought goes on: "Wait" (s1, Muennighoff et al. 2025, 2501.19393) */
    POLICY_LEAD_ANSWER, /* the thought ends here; now the answer */
    POLICY_LEADS,
};

struct policy_job {
    uint64_t id; /* the caller's, unique among jobs in flight */
    struct policy_prefix *from;
    uint64_t key; /* of the new node: decides its random numbers */
    int index;    /* which child of `from` this is, from 0 */
    enum policy_until until;
    enum policy_lead lead;
    struct str feedback; /* REVISE: about the solution above; may be empty; copied */
    int n_tokens_max;    /* > 0; the lead not counted */
    double n_read_max;   /* > 0: reading more tokens than this for one job cuts it off (policy_reads) */
    int n_top;           /* > 0: the result has confidences over so many likeliest tokens (search.h) */
    struct policy_sampling sampling;
};

enum policy_finish {
    POLICY_STEP,   /* the separator was written */
    POLICY_END,    /* the model ended its answer */
    POLICY_LENGTH, /* n_tokens_max or the context was reached: cut off */
    POLICY_FAILED, /* no text: `why` says it; the search goes on without this node */
};

struct policy_result {
    uint64_t id;
    enum policy_finish finish;
    /* Lead (of a turn: the user's words), then what was written, separator included; valid until policy_work
     * or policy_next. */
    struct str text;
    size_t n_lead_bytes; /* of the text */
    /* [n_lead_tokens + n_tokens] likewise; end token included; NULL where ids are not known */
    const int *tokens;
    int n_lead_tokens;
    int n_tokens;             /* sampled; 0 where not known (replay of texts alone) */
    const float *confidences; /* [n_confidences] likewise, one a token; NULL where not asked for */
    int n_confidences;        /* n_tokens, or fewer where a server leaves out the end token */
    double logprob; /* sum over tokens of the natural log-probability at temperature 1; NAN where not known */
    struct policy_prefix *prefix; /* owned by the receiver; NULL if failed */
    struct cost cost;
    const char *why; /* failed: one line, valid likewise */
};

struct policy_info {
    const char *name;                /* as the user gave it */
    const char *kind;                /* "embedded", "openai", "replay", "toy" */
    char identity[32];               /* changes when the answers would: content hash of the model or file */
    const char *kv;                  /* embedded: "F32" or "F16", how keys and values are kept; else NULL */
    double n_parameters;             /* 0 if not known */
    double flops_per_token;          /* of one generated token at an empty context; 0 if not known */
    double flops_per_position;       /* what each position of context adds to that */
    int n_context;                   /* 0: no limit known */
    int n_wanted;                    /* jobs in flight that keep it busy */
    struct policy_sampling sampling; /* the model's recommendation */
    const char *chat_date;           /* that prompts say it is, where the chat format writes one; else NULL */
    const char *talks;               /* openai: how its servers are talked to; NULL: there are none */
    bool whole_answers_only;         /* jobs up to the next step cannot be done */
    bool has_leads, has_confidences; /* can do jobs with a lead; with n_top */
    bool has_system, can_talk;       /* prompts with a system message of their own; with turns before them */
    bool can_continue;               /* raw ones */
    struct {
        const char *text; /* as the options have it, or as it suits the policy; NULL: has_leads is false */
        bool replaced;    /* the options have another than what suits it */
    } leads[POLICY_LEADS];
};

/* What a job had written, as recorded. */
struct policy_piece {
    int index; /* which child of its parent it was, as its job had said */
    enum policy_lead lead;
    bool ended;      /* it was the answer's end (POLICY_END) */
    struct str text; /* used where ids are not known */
    size_t n_lead_bytes;
    const int *tokens; /* [n_lead_tokens + n_tokens]; NULL: not known */
    int n_lead_tokens, n_tokens;
};

/* spec: lab:NAME, a Hugging Face folder, a .gguf file, http://host:port/v1#model, replay:FILE, toy:... An
 * unusable one is refused in one line that says what would work. */
MUST struct policy *policy_open(const char *spec, const struct policy_options *o, struct err *e);
void policy_close(struct policy *p); /* all prefixes must have been released; NULL is legal */
const struct policy_info *policy_info(const struct policy *p);

MUST struct policy_prefix *policy_root(struct policy *p, const struct policy_prompt *prompt, struct err *e);
/* Whether it is known what a prefix holds. Others find that out when it is made; behind servers it is asked
 * for, while policy_work is called. What policy_reads says of it is exact once it is read. */
enum policy_reading {
    POLICY_READ,
    POLICY_READING,
    POLICY_UNREADABLE, /* too long, or refused: *e says why (ERR_INPUT), and every job from it fails */
};
enum policy_reading policy_reading(struct policy *p, const struct policy_prefix *prefix, struct err *e);
/* Whether it can take such prompts. Reads the policy's info alone. */
MUST bool policy_can_talk(const struct policy *p, const struct policy_talk *talk, struct err *e);
/* What reading the prompt costs, once, however many continuations share it. Results charge only what comes
 * after the prompt, so that costs are a function of the tree and not of which job came first or how often the
 * run was resumed (work done again is in the services' own counters). */
struct cost policy_root_cost(const struct policy *p, const struct policy_prefix *root);
/* The most tokens that a job from here is charged for reading (cost.tokens_read of its result), a lead aside:
 * 0 where prefixes are kept, the whole prefix, once or twice, where every request carries it to a server. */
double policy_reads(const struct policy *p, const struct policy_prefix *from, enum policy_until until);
/* The most tokens that a lead has; 0 for none. */
double policy_lead_reads(const struct policy *p, enum policy_lead lead, struct str feedback);
/* The prefix that a recorded result had made: how a resumed run gets its tree back without computing. */
MUST struct policy_prefix *policy_extend(struct policy *p, struct policy_prefix *from,
                                         const struct policy_piece *piece, struct err *e);
void policy_release(struct policy *p, struct policy_prefix *prefix); /* NULL is legal */

void policy_submit(struct policy *p, const struct policy_job *job);
void policy_cancel(struct policy *p,
                   uint64_t id); /* no result follows; an id that is not in flight is ignored */
/* > 0: did something; 0: nothing in flight; -1: failed for good. */
MUST int policy_work(struct policy *p, double seconds_max, struct err *e);
bool policy_next(struct policy *p, struct policy_result *out);
/* Appends what a job in flight has written so far, in whole characters; false where that is not known. */
bool policy_peek(struct policy *p, uint64_t id, struct buf *out);
/* Jobs submitted whose result has not been taken, and prefixes that are being read. */
int policy_in_flight(const struct policy *p);
/* What has really been computed since the policy was opened, work done again or thrown away included. */
struct cost policy_computed(const struct policy *p);
/* Of that, what is in no result; and what servers had to be asked again. What a server wrote for a request
 * that was cancelled or came to nothing it does not say. */
struct waste policy_waste(const struct policy *p);
/* Of key-value cache that prefixes and jobs hold now; 0 where there is none of ours. */
double policy_cache_bytes(const struct policy *p);

/* ---- what a kind implements: each function as the one of the same name above ---- */
struct policy_ops {
    void (*close)(struct policy *p);
    struct policy_prefix *(*root)(struct policy *p, const struct policy_prompt *prompt, struct err *e);
    enum policy_reading (*reading)(struct policy *p, const struct policy_prefix *prefix,
                                   struct err *e); /* NULL: all are read */
    struct policy_prefix *(*extend)(struct policy *p, struct policy_prefix *from,
                                    const struct policy_piece *piece, struct err *e);
    struct cost (*root_cost)(const struct policy *p, const struct policy_prefix *root);
    double (*reads)(const struct policy *p, const struct policy_prefix *from,
                    enum policy_until until); /* NULL: 0 */
    void (*release)(struct policy *p, struct policy_prefix *prefix);
    void (*submit)(struct policy *p, const struct policy_job *job);
    void (*cancel)(struct policy *p, uint64_t id);
    int (*work)(struct policy *p, double seconds_max, struct err *e);
    bool (*next)(struct policy *p, struct policy_result *out);
    bool (*peek)(struct policy *p, uint64_t id, struct buf *out); /* NULL: never known */
    int (*in_flight)(const struct policy *p);
    struct cost (*computed)(const struct policy *p);
    struct waste (*waste)(const struct policy *p); /* NULL: there is none */
    double (*cache_bytes)(const struct policy *p); /* NULL: 0 */
};

struct policy { /* first member of every kind's own struct */
    const struct policy_ops *ops;
    char *name;                /* the spec, owned by policy.c; info.name */
    char *leads[POLICY_LEADS]; /* owned by policy.c; info.leads[].text */
    struct policy_info info;
};

#endif
