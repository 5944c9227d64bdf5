/* store.h - the run store: one SQLite file that holds everything a run was told, and its exact configuration.
 *
 *   meta(key, value)                                   format version, configuration (JSON), its hash
 *   problem(ordinal, id, text, level, answer, done, root costs)      answer is the key: only the grader reads
 * it node(problem, path, text, tokens, n_tokens, logprob, finish, tokens_generated, tokens_read, flops, why,
 *        lead, n_lead_bytes, n_lead_tokens, confidences, verdict)
 *   score(problem, path, rewards, tokens_read, flops)                step rewards of that node's text
 *   choice(problem, rule, aggregate, path, answer, votes, classes, score, margin)
 *   solution(problem, path, answer, complete)          the extracted answer of each solution
 *   grade(problem, path, right)                        written after the search has ended; never read by one
 *   session(ordinal, started, seconds, cpu_seconds, ...)   what each process that worked on the run spent:
 * not part of the result
 *   waste(session, what, value)                        and of that in vain; the table is made when there is
 * any
 *   verdict(problem, path, passed, score, feedback)    of a verifier on the solution that ends there; passed
 * NULL: it could not tell. This table and the next are made when there is a verifier
 *   verification(session, verdicts, equal, executions, seconds, cpu_seconds)      what asking it cost: no
 * part of the result
 *
 * A node is named by (problem ordinal, path of child indices "0.3.1"). Rows are appended as results are told,
 * in transactions of store_flush; a process killed at any instant loses at most what was told since the last
 * flush, and resumes by being told again from here. All tables but session, waste and verification are a
 * function of the configuration: store_export writes them in a fixed order, equal for equal runs.
 *
 * Format 2 added what follows `why` in node. Files of format 1 are read as they are; who writes to one makes
 * it format 2.
 *
 * Writers hold an advisory lock on the file: a second writer is refused; readers may look at any time.
 * Ownership: strings handed to callbacks are borrowed for the call. Threads: one thread owns a store.
 */
#ifndef BROOD_STORE_H
#define BROOD_STORE_H

#include <stdio.h>

#include "base/cost.h"
#include "base/err.h"
#include "base/str.h"

struct store;

enum store_mode { STORE_READ, STORE_WRITE };

/* STORE_WRITE creates the file if it is missing; ":memory:" keeps it in memory. A file that is no run, or a
 * newer format, is refused. */
MUST struct store *store_open(const char *path, enum store_mode mode, struct err *e);
MUST bool store_close(struct store *s, struct err *e); /* flushes; NULL is legal */
const char *store_path(const struct store *s);

/* The configuration is set once, before anything else; NULL while unset. */
const char *store_config(const struct store *s);
MUST bool store_set_config(struct store *s, const char *json, struct err *e);

struct store_problem {
    int ordinal;
    const char *id, *text, *answer; /* answer NULL: unknown */
    int level;                      /* 0: none */
    bool done;
    struct cost policy_root, reward_root; /* what reading the prompt cost; zero until charged */
};

enum store_finish { STORE_STEP, STORE_END, STORE_LENGTH, STORE_FAILED };

enum store_lead { STORE_LEAD_NONE, STORE_LEAD_REVISE, STORE_LEAD_WAIT, STORE_LEAD_ANSWER };
const char *store_lead_name(enum store_lead l); /* "none", "revise", "wait", "answer" */

struct store_node {
    int problem;
    const char *path;
    enum store_lead lead;
    size_t n_lead_bytes; /* the first of the text */
    int n_lead_tokens;   /* the first of the tokens, not counted in n_tokens */
    struct str text;
    const int *tokens; /* [n_tokens_known], may be NULL */
    int n_tokens_known;
    int n_tokens;
    const float *confidences; /* [n_confidences], may be NULL */
    int n_confidences;
    int verdict;    /* of a verifier: 1 passed, 0 rejected; -1 not known */
    double logprob; /* NAN: unknown */
    enum store_finish finish;
    struct cost cost;
    const char *why; /* NULL unless failed */
};

struct store_score {
    int problem;
    const char *path;
    const float *rewards; /* [n_rewards]; n_rewards -1: the reward model failed on it */
    int n_rewards;
    struct cost cost;
};

struct store_verdict {
    int problem;
    const char *path;
    int passed;           /* 1, 0; -1: the verifier could not tell */
    double score;         /* NAN: it gave none */
    const char *feedback; /* "": none */
};

struct store_solution {
    int problem;
    const char *path;
    const char *answer; /* extracted; NULL: none */
    bool complete;
    int right; /* 1, 0; -1 not graded. From the grade table. */
};

struct store_choice {
    int problem;
    const char *rule, *aggregate;
    const char *path, *answer; /* NULL: nothing chosen */
    int n_solutions, n_classes, n_votes;
    double score, margin;
    int right; /* as above */
};

struct store_session {
    double seconds, cpu_seconds;
    double n_jobs, tokens_generated, tokens_read; /* really computed, repetitions included */
    struct waste waste;                           /* of both models */
};

MUST bool store_put_problem(struct store *s, const struct store_problem *p,
                            struct err *e); /* ignored if the ordinal is there */
MUST bool store_put_root_costs(struct store *s, int problem, const struct cost *policy,
                               const struct cost *reward, struct err *e);
MUST bool store_put_node(struct store *s, const struct store_node *n, struct err *e);
MUST bool store_put_score(struct store *s, const struct store_score *c, struct err *e);
MUST bool store_put_verdict(struct store *s, const struct store_verdict *v, struct err *e);
MUST bool store_put_solution(struct store *s, const struct store_solution *v,
                             struct err *e); /* with its grade, if any */
MUST bool store_put_choice(struct store *s, const struct store_choice *c, struct err *e);
MUST bool store_put_done(struct store *s, int problem, struct err *e);
/* Adds to the row of this process's session. */
MUST bool store_put_session(struct store *s, const struct store_session *t, struct err *e);
/* Likewise; behind it. */
MUST bool store_put_verification(struct store *s, const struct verification *v, struct err *e);
MUST bool store_flush(struct store *s, struct err *e); /* commits what was put since the last one */

/* Readers: each calls back in ordinal and path order (paths by their numbers); a callback that returns false
 * stops the walk (not an error). */
typedef bool store_on_problem(void *ctx, const struct store_problem *p);
typedef bool store_on_node(void *ctx, const struct store_node *n);
typedef bool store_on_score(void *ctx, const struct store_score *c);
typedef bool store_on_solution(void *ctx, const struct store_solution *v);
typedef bool store_on_verdict(void *ctx, const struct store_verdict *v);
typedef bool store_on_choice(void *ctx, const struct store_choice *c);
MUST bool store_each_problem(struct store *s, store_on_problem *on, void *ctx, struct err *e);
MUST bool store_each_node(struct store *s, int problem, store_on_node *on, void *ctx, struct err *e);
MUST bool store_each_score(struct store *s, int problem, store_on_score *on, void *ctx, struct err *e);
MUST bool store_each_solution(struct store *s, int problem, store_on_solution *on, void *ctx, struct err *e);
MUST bool store_each_choice(struct store *s, int problem, store_on_choice *on, void *ctx, struct err *e);
MUST bool store_each_verdict(struct store *s, int problem, store_on_verdict *on, void *ctx, struct err *e);
MUST bool store_verifications(struct store *s, struct verification *sum, struct err *e);
MUST bool store_sessions(struct store *s, struct store_session *sum, int *n_sessions, struct err *e);
MUST bool store_count_done(struct store *s, int *n_problems, int *n_done, struct err *e);

/* The records as JSON lines (docs/records.md), all but sessions: equal runs give equal bytes. */
MUST bool store_export(struct store *s, FILE *out, struct err *e);

#endif
