/* search.h - strategies as ask/tell state machines.
 *
 * A search is asked what it wants done (search_ask) and told results (search_tell_*). It never blocks, has no
 * I/O, threads, clock or model, and is a pure function of (strategy, parameters, problem key, what it was
 * told): what it decides does not depend on the order of the telling.
 *
 *     while (search_ask(s, &ask)) dispatch(ask);      any number of asks may be open
 *     search_tell_node(s, node, &told);               ... as results arrive, in any order
 *     search_done(s)                                  true once it wants nothing more and nothing is open
 *
 * Protocol (misuse is a bug and ASSERTs): only what was handed out is told, once. A handed-out DROP closes
 * all asks that were open in its subtree: nothing of it may be told afterwards. A result told before that, of
 * a node that the search has given up, is recorded and ignored. A DROP may name a subtree of which parts were
 * dropped earlier. What may be freed without a DROP: the policy's prefix of a node that ended, was cut or
 * failed, once it is told (it cannot be continued), and the reward model's prefix of such a node once it is
 * scored.
 *
 * Equal siblings (same parent, same text_hash) are scored once: the first that is asked for is scored, the
 * SCORE of the others is handed out when it is told, with `twin` set. A service that scores them all the same
 * tells the same rewards.
 *
 * The solutions of a search are the nodes in state TREE_SOLUTION that are not dropped; nodes in state
 * TREE_CUT, not dropped, are unfinished candidates for where there is no solution. Put them in path order
 * (tree_compare) to select.
 *
 * A strategy is one file and one row of the table in strategies.c: {name, one line, paper, parameters,
 * functions}. Parameters are declared there with type, default, bounds and help, so `brood solve --help`, the
 * parser and the run's record all read the same table.
 */
#ifndef BROOD_SEARCH_H
#define BROOD_SEARCH_H

#include "base/aggregate.h"
#include "base/err.h"
#include "base/str.h"
#include "search/tree.h"

/* ---- a strategy with its parameters: "sample:n=64,temperature=0.8" ---- */
enum search_param_type { SEARCH_PARAM_INT, SEARCH_PARAM_REAL, SEARCH_PARAM_CHOICE };

struct search_param {
    const char *name;
    enum search_param_type type;
    double def; /* NAN: what the policy or the reward model recommends (search_spec_recommend) */
    double min, max;
    const char *const *choices; /* SEARCH_PARAM_CHOICE: NULL-terminated names; the value is an index */
    const char *help;
    bool optional; /* left unsaid while it has its default, which never changes and means "as if there were no
                      such parameter": records made before there was one stay what they are */
};

enum { SEARCH_PARAMS_MAX = 20 };

struct search_strategy {
    const char *name, *summary, *source, *example;
    bool needs_reward; /* refuses to run without a reward model */
    bool needs_scores; /* refuses to run with neither a reward model nor a verifier */
    bool revises; /* goes on from ended nodes: their policy prefixes are kept until they are dropped or all is
                     over. Refuses to run on a policy that has no leads */
    bool needs_confidences; /* refuses to run on a policy that has none */
    const struct search_param *params;
    int n_params;
    const struct search_ops *ops;
};

extern const struct search_strategy *const search_strategies[]; /* NULL-terminated */

/* A strategy with parameters under the name by which others know it: "sal-dvts:n=64" is what `spec` says,
 * with n=64. Where a name needs rules of its own it is a strategy. */
struct search_preset {
    const char *name, *summary, *source, *spec;
};

extern const struct search_preset search_presets[]; /* the last has no name */

struct search_spec {
    const struct search_strategy *strategy;
    double values[SEARCH_PARAMS_MAX]; /* in the order of strategy->params; NAN while not set */
};

/* Parses "NAME[:key=value,...]", NAME of a strategy or a preset; unknown names and keys are refused with the
 * list of known ones. */
MUST bool search_spec_parse(struct search_spec *spec, const char *text, struct err *e);
/* Sets one parameter if the strategy has it (the -n, --temperature ... options); false with a message if it
 * has not, or out of bounds. */
MUST bool search_spec_set(struct search_spec *spec, const char *key, double value, struct err *e);
MUST bool search_spec_set_text(struct search_spec *spec, const char *key, const char *value, struct err *e);
/* Fills in a parameter that the strategy has and nobody has set, clamped into its bounds; otherwise does
 * nothing. */
void search_spec_recommend(struct search_spec *spec, const char *key, double value);
double search_spec_get(const struct search_spec *spec, const char *key); /* ASSERTs that it exists */
bool search_spec_has(const struct search_spec *spec, const char *key);
/* Every parameter that has a value spelled out (optional ones if they differ from their default), canonical:
 * what a run records. search_spec_parse reads it back. */
void search_spec_print(const struct search_spec *spec, struct buf *out);

/* ---- a running search ---- */
enum search_op {
    SEARCH_EXPAND, /* write child `node` of `parent` */
    SEARCH_SCORE,  /* score the steps of `node` (its ancestors are scored or asked for) */
    SEARCH_DROP, /* `node` and all below are not wanted any more: cancel what is in flight, free its pages */
};

/* What a revision is told of the solution above it; bits. */
enum search_feedback {
    SEARCH_FEEDBACK_NONE,
    SEARCH_FEEDBACK_VERIFIER = 1, /* what the verifier found */
    SEARCH_FEEDBACK_REWARDS = 2,  /* the rewards of its steps */
    SEARCH_FEEDBACK_ALL = 3,
};

struct search_ask {
    enum search_op op;
    int node, parent;
    bool until_end;                  /* EXPAND: to the end of the answer; else one step */
    enum tree_lead lead;             /* EXPAND: what comes first */
    enum search_feedback feedback;   /* EXPAND: REVISE: with what is known of the solution above */
    int n_top;                       /* EXPAND: > 0: tell confidences, each over so many likeliest tokens */
    int n_tokens_max;                /* EXPAND: > 0 */
    float temperature, top_p, min_p; /* EXPAND */
    int top_k;
    int twin; /* SCORE: >= 0: nothing is to be computed. An equal sibling of the node, scored already, whose
                 rewards are to be told again; else -1 */
};

enum search_finish { SEARCH_STEP, SEARCH_END, SEARCH_LENGTH, SEARCH_FAILED };

struct search_told {
    enum search_finish finish; /* SEARCH_STEP only where a step was asked for */
    int n_tokens;
    double logprob;
    int answer_class; /* SEARCH_END: class of equal answers within this problem, -1 if unparsable */
    int verdict;      /* SEARCH_END, where there is a verifier: it was asked before the telling; else -1 */
    /* [n_confidences] where the ask wanted them and the policy knows them, one a token; copied. Of a token:
     * minus the mean natural log-probability of the n_top likeliest tokens at its place (Fu et al. 2025,
     * DeepConf, 2508.15260): high where the distribution is peaked. */
    const float *confidences;
    int n_confidences;
    uint64_t text_hash;  /* hash of the text, by which twins among siblings are seen; 0: not known */
    uint64_t value_hash; /* hash of what the text comes to, the last value that it names; 0: it names none */
};

struct search_context {
    uint64_t problem_key;
    bool has_reward, has_verifier;
    /* Expansions are handed out in an order that does not depend on that of the telling either, for budgets
     * that are granted in that order: in turns, each sorted by path, the next when all of one is told and
     * scored. Without it parts of a search that know nothing of each other need not wait for each other. */
    bool in_turns;
    const char *plan;        /* the text of a plan (plan.h), for the strategy `adaptive`; NULL: none */
    int n_tokens_answer_max; /* the longest solution, > 0 */
};

struct search;
/* Whether search_new would begin it. */
MUST bool search_check(const struct search_spec *spec, const struct search_context *c, struct err *e);
MUST struct search *search_new(const struct search_spec *spec, const struct search_context *c, struct err *e);
void search_free(struct search *s);
bool search_ask(struct search *s, struct search_ask *out);
void search_tell_node(struct search *s, int node, const struct search_told *told);
/* One reward for each step in the node's text; n_rewards -1: could not be scored. Copied. */
void search_tell_score(struct search *s, int node, const float *rewards, int n_rewards);
/* The budget is spent: asks for nothing more, ignores what is still told. */
void search_stop(struct search *s);
bool search_done(const struct search *s);
const struct tree *search_tree(const struct search *s);

/* The selection that the strategy would have, where nobody has said one. */
struct search_advice {
    const char *select;       /* as select_rule_parse reads it, lives as long as the search; NULL: any */
    enum aggregate aggregate; /* AGGREGATES: any */
};
struct search_advice search_advice(const struct search *s);
bool search_revises(const struct search *s); /* from now on, as struct search_strategy says */

/* ---- what a strategy implements, and what it may use ---- */
struct search_ops {
    size_t size; /* of the strategy's struct */
    /* May be NULL. What search_new refuses beyond needs_reward and parameters without a value. */
    bool (*check)(const struct search_spec *spec, const struct search_context *c, struct err *e);
    void (*init)(struct search *s); /* after the base is filled: want the first things */
    void (*fini)(struct search *s); /* may be NULL */
    /* The tree holds it already. Not called for dropped nodes. */
    void (*told_node)(struct search *s, int node);
    void (*told_score)(struct search *s, int node);
    /* May be NULL. Nothing is queued and the services could take more: speculate. */
    void (*idle)(struct search *s);
};

struct map;
struct search_face { /* a text below one parent */
    int node;        /* whose SCORE computes it */
    int first, last; /* nodes that wait for its rewards, linked by next_waiting; -1: none */
};

struct search { /* first member of every strategy's own struct */
    const struct search_ops *ops;
    struct search_spec spec;
    struct search_context context;
    struct tree tree;
    struct search_ask *queue; /* [n_queue] wanted; handed out up to i_queue */
    size_t i_queue, n_queue, cap_queue;
    struct search_ask *turns; /* [n_turns] with in_turns, expansions: handed out up to i_turn */
    size_t i_turn, n_turn, n_turns, cap_turns; /* n_turn: the end of those whose turn it is */
    struct search_ask sampling;                /* what every EXPAND has in common */
    int n_open;                                /* asks handed out and not told */
    struct search_advice advice;
    bool revises; /* as its strategy says, or the one it has delegated to */
    bool stopped;
    struct map *face_of;       /* parent and text to a number in faces; NULL while there is none */
    struct search_face *faces; /* [n_faces] texts below one parent that are scored */
    size_t n_faces, cap_faces;
    int *paths; /* [n_paths] nodes whose score is wanted when what is before them is told */
    size_t n_paths, cap_paths;
};

/* These put asks into the queue. An EXPAND makes the new node and returns its number; it is sampled as the
 * strategy's parameters say (SEARCH_SAMPLING_PARAMS; without them greedily) and may use all tokens that the
 * solution has left. */
int search_want_expand(struct search *s, int parent, bool until_end);
int search_want_greedy(struct search *s, int parent, bool until_end); /* the same at temperature 0 */
/* With a lead, below an ended node too (the strategy `revises`). */
int search_want_lead(struct search *s, int parent, bool until_end, enum tree_lead lead);
void search_want_feedback(struct search *s); /* with the one that was wanted last, a revision */
/* As another search's EXPAND says. */
int search_want_as(struct search *s, int parent, const struct search_ask *ask);
void search_want_confidences(struct search *s,
                             int n_top); /* of the node whose expansion was wanted last; 0: none */
void search_want_tokens(struct search *s, int n_max); /* likewise: that it have no more than these, > 0 */
void search_want_score(struct search *s, int node);
/* And all of its solution above it, each when the one before is told: what is read once need not be read
 * again for what follows. */
void search_want_score_path(struct search *s, int node);
/* Marks the subtree dropped at once; asks of it that wait in the queue are withdrawn. */
void search_want_drop(struct search *s, int node);
void search_want_prune(struct search *s, int node); /* or the largest branch that the node was the last of */
/* Whether some solution that is not dropped was verified. */
bool search_is_verified(const struct search *s);
/* Of the rewards along the path; NAN if the node could not be scored. */
double search_path_reward(const struct search *s, int node, enum aggregate a);

/* stop=verified of strategies that have nothing else to stop for: a row of their tables, refused without a
 * verifier (search_new). */
extern const char *const search_stops[];
enum { SEARCH_STOP_NONE, SEARCH_STOP_VERIFIED };
#define SEARCH_PARAM_STOP                                                                                    \
    {                                                                                                        \
        "stop", SEARCH_PARAM_CHOICE, SEARCH_STOP_NONE, 0, SEARCH_STOP_VERIFIED, search_stops,                \
            "go on to the end, or not beyond the round in which a solution is verified", true                \
    }
/* Whether that parameter says that it is enough. */
bool search_may_stop(const struct search *s);

extern const char *const search_feedbacks[]; /* in the order of enum search_feedback */
#define SEARCH_PARAM_FEEDBACK                                                                                \
    {                                                                                                        \
        "feedback", SEARCH_PARAM_CHOICE, SEARCH_FEEDBACK_VERIFIER, 0, SEARCH_FEEDBACK_ALL, search_feedbacks, \
            "what a revision is told: what the verifier found, the steps' rewards, or both", true            \
    }

/* The parameters that every sampling strategy has: rows of its table. */
#define SEARCH_PARAM_TEMPERATURE                                                                             \
    {                                                                                                        \
        .name = "temperature", .type = SEARCH_PARAM_REAL, .def = NAN, .max = 10,                             \
        .help = "0 takes the likeliest token; default: what suits the policy"                                \
    }
#define SEARCH_PARAM_TOP_P                                                                                   \
    { "top_p", SEARCH_PARAM_REAL, NAN, 0, 1, NULL, "likeliest tokens that sum to this; 1: all", false }
#define SEARCH_PARAM_MIN_P                                                                                   \
    { "min_p", SEARCH_PARAM_REAL, NAN, 0, 1, NULL, "least share of the likeliest token; 0: off", false }
#define SEARCH_PARAM_TOP_K                                                                                   \
    { "top_k", SEARCH_PARAM_INT, NAN, 0, 1 << 20, NULL, "so many likeliest tokens; 0: all", false }
#define SEARCH_SAMPLING_PARAMS                                                                               \
    SEARCH_PARAM_TEMPERATURE, SEARCH_PARAM_TOP_P, SEARCH_PARAM_MIN_P, SEARCH_PARAM_TOP_K

#endif
