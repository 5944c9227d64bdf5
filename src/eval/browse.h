/* browse.h - the problems of several runs, one beside the other, and the search tree of any of them as data.
 *
 *     struct browse *b = browse_open(report, &e);              opens the runs of a report again, to read them
 *     browse_pick(b, 50, NULL)                                 which problems are worth a look
 *     struct browse_tree *t = browse_tree_load(b, i_problem, i_run, &e);
 *     browse_close(b);
 *
 * Ownership: everything belongs to the browse or to the tree. Threads: one thread owns a browse.
 */
#ifndef BROOD_BROWSE_H
#define BROOD_BROWSE_H

#include "eval/report.h"
#include "run/replay.h"
#include "store/rows.h"

/* What a run made of a problem. */
struct browse_state {
    int ordinal; /* in the run; -1: the run has not this problem */
    bool done;
    char *chosen, *rule; /* the recorded choice: its answer and rule; NULL: none */
    int right;           /* of the choice: 1, 0; -1 not graded or not there */
    int n_solutions, n_right;
};

struct browse_problem {
    char *id, *text, *key;       /* key: the answer; NULL: unknown */
    int level;                   /* 0: none */
    struct browse_state *states; /* [n_runs] */
    bool picked;
};

struct browse {
    size_t n_runs;
    struct store **stores;   /* [n_runs] */
    struct replay **replays; /* [n_runs]; NULL: the run's search cannot be told again here */
    char **separators;       /* [n_runs] of steps */
    enum aggregate *aggregates;
    struct browse_problem *problems; /* of all runs, in the order of the first that has them */
    size_t n_problems, cap;
    struct map *by_text; /* id and text to a place in problems */
};

MUST struct browse *browse_open(const struct report *r, struct err *e);
void browse_close(struct browse *b);

/* Marks at most n problems that are done in some run: level by level in turn; in each, of three the first two
 * are ones that the first run got wrong (those that a solution of it got right before the others), the third
 * is one that it got right; each in the order of the task. With an id, that problem alone. Returns how many.
 */
int browse_pick(struct browse *b, int n, const char *id);

/* Equal answers, the one with most votes first. */
struct browse_class {
    char *answer;
    int n_votes;
    double reward; /* sum of the aggregates of its solutions that have rewards */
    int right;     /* as graded; -1: not */
    bool chosen;   /* the chosen solution gives it */
};

struct browse_tree {
    struct rows *rows; /* the nodes, parents before children */
    int *parents;      /* [n_nodes] rows; -1: the prompt */
    int *n_children;
    int *solutions; /* [n_nodes] index of the solution that ends here; -1: none */
    bool *leads;    /* [n_nodes] to a solution */
    bool *chosen;   /* [n_nodes] on the path of the chosen solution */
    int i_chosen;   /* where that solution ends; -1: none was chosen */
    double *worths; /* [n_nodes] aggregate of the rewards of the solution so far; NAN: not scored */
    struct browse_class *classes;
    size_t n_classes, cap;
    int n_unanswered; /* solutions without an answer */
    bool ordered;     /* log holds: the search could be told again */
    struct replay_log log;
    char *rule, *aggregate, *answer; /* of the recorded choice; NULL: none */
    int right, n_votes;
    double score;
};

/* NULL with *e set if the store cannot be read; the run must have the problem. */
MUST struct browse_tree *browse_tree_load(struct browse *b, size_t i_problem, size_t i_run, struct err *e);
void browse_tree_free(struct browse_tree *t);

#endif
