/* search.h - strategies as ask/tell state machines.
 *
 * A search is asked what it wants done (search_ask) and told results (search_tell_*). It never blocks, has no I/O, threads, clock or
 * model, and is a pure function of (strategy, parameters, problem key, what it was told): what it decides does not depend on the order of the telling.
 *
 *     while (search_ask(s, &ask)) dispatch(ask);              any number of asks may be open
 *     search_tell_node(s, node, &told);                       ... as results arrive
 *     search_done(s)                                          true once it wants nothing more and nothing is open
 *
 * A strategy is one file and one row of the table in strategies.c: {name, one line, paper, parameters, functions}. Parameters are declared there with type,
 * default, bounds and help, so `brood solve --help`, the parser and the run's record all read the same table.
 */
#ifndef BROOD_SEARCH_H
#define BROOD_SEARCH_H

#include "base/err.h"
#include "base/str.h"
#include "search/tree.h"

/* ---- a strategy with its parameters: "sample:n=64,temperature=0.8" ---- */
enum search_param_type { SEARCH_PARAM_INT, SEARCH_PARAM_REAL };

struct search_param {
    const char *name;
    enum search_param_type type;
    double def; /* NAN: taken from the policy's recommendation (sampling parameters) */
    double min, max;
    const char *help;
};

enum { SEARCH_PARAMS_MAX = 16 };

struct search_strategy {
    const char *name, *summary, *source, *example;
    bool needs_reward; /* refuses to run without a reward model */
    const struct search_param *params;
    int n_params;
    const struct search_ops *ops;
};

extern const struct search_strategy *const search_strategies[]; /* NULL-terminated */

struct search_spec {
    const struct search_strategy *strategy;
    double values[SEARCH_PARAMS_MAX]; /* in the order of strategy->params */
};

/* Parses "NAME[:key=value,...]"; unknown names and keys are refused with the list of known ones. */
MUST bool search_spec_parse(struct search_spec *spec, const char *text, struct err *e);
/* Sets one parameter if the strategy has it (the -n, --temperature ... options); false with a message if it has not, or out of bounds. */
MUST bool search_spec_set(struct search_spec *spec, const char *key, double value, struct err *e);
double search_spec_get(const struct search_spec *spec, const char *key); /* ASSERTs that it exists */
bool search_spec_has(const struct search_spec *spec, const char *key);
/* Every parameter spelled out, canonical: what a run records. */
void search_spec_print(const struct search_spec *spec, struct buf *out);

/* ---- a running search ---- */
enum search_op {
    SEARCH_EXPAND, /* write child `node` of `parent` */
    SEARCH_SCORE,  /* score the steps of `node` (its ancestors are scored or asked for) */
    SEARCH_DROP,   /* `node` and all below will never be used again: cancel what is in flight, free its pages */
};

struct search_ask {
    enum search_op op;
    int node, parent;
    bool until_end;    /* EXPAND: to the end of the answer; else one step */
    int n_tokens_max;  /* EXPAND */
    float temperature, top_p, min_p; /* EXPAND */
    int top_k;
    int priority;      /* lower first among all open asks of all searches; 0 as a rule */
};

enum search_finish { SEARCH_STEP, SEARCH_END, SEARCH_LENGTH, SEARCH_FAILED };

struct search_told {
    enum search_finish finish;
    int n_tokens;
    double logprob;
    int answer_class; /* SEARCH_END: class of equal answers within this problem, -1 if unparsable */
};

struct search_context {
    uint64_t problem_key;
    bool has_reward;
    int n_tokens_answer_max; /* the longest solution */
};

struct search;
MUST struct search *search_new(const struct search_spec *spec, const struct search_context *c, struct err *e);
void search_free(struct search *s);
bool search_ask(struct search *s, struct search_ask *out);
void search_tell_node(struct search *s, int node, const struct search_told *told);
void search_tell_score(struct search *s, int node, const float *rewards, int n_rewards); /* n_rewards -1: could not be scored */
void search_stop(struct search *s); /* the budget is spent: asks for nothing more, expects nothing more to be told */
bool search_done(const struct search *s);
const struct tree *search_tree(const struct search *s);

/* ---- what a strategy implements ---- */
struct search { /* first member of every strategy's own struct */
    const struct search_ops *ops;
    struct search_spec spec;
    struct search_context context;
    struct tree tree;
    int n_open; /* asks not told yet; kept by search.c */
    bool stopped;
};

struct search_ops {
    size_t size;                                    /* of the strategy's struct */
    void (*init)(struct search *s);                 /* after the base is filled */
    void (*fini)(struct search *s);                 /* may be NULL */
    bool (*ask)(struct search *s, struct search_ask *out); /* the next ask, or false: nothing now */
    void (*told_node)(struct search *s, int node);  /* the tree holds it already */
    void (*told_score)(struct search *s, int node);
    bool (*done)(const struct search *s);           /* wants nothing more (search.c checks n_open) */
};

#endif
