/* tree.h - the nodes of one search: what was asked for and what has been told of it.
 *
 * A node is a piece of solution text below its parent: one step, or all the rest ("until end"). Node 0 is the
 * root: the prompt. Nodes are numbered as the search thought of them, which may depend on the order of
 * telling; what identifies a node for good is its path of child indices ("0.3.1"), from which its random key
 * is derived, so the same run gives the same tree in whatever order results arrive. The tree holds no text:
 * searches decide by numbers and by classes of equal answers.
 */
#ifndef BROOD_TREE_H
#define BROOD_TREE_H

#include "base/base.h"

/* What is put before the text of a node, by the policy and in its words (policy.h, enum policy_lead). */
enum tree_lead {
    TREE_LEAD_NONE,
    TREE_LEAD_REVISE, /* below a solution: look at it again and write a whole new one. The new solution begins
                         here: answer, rewards and length limit count from this node on */
    TREE_LEAD_WAIT,   /* below a solution or a node: its end is taken back, the thought goes on ("Wait") */
    TREE_LEAD_ANSWER, /* below any node: the thought is ended, the answer is asked for */
};

enum tree_state {
    TREE_ASKED,    /* expansion wanted, not told yet */
    TREE_OPEN,     /* told; can be continued */
    TREE_SOLUTION, /* told; the answer ended here. Only children with a lead go on from it */
    TREE_CUT, /* told; cut off by a length limit: is no solution. Only children with a lead go on from it */
    TREE_FAILED, /* told; the policy could not */
};

struct tree_node {
    int parent; /* -1 for the root */
    int index;  /* which child of its parent */
    int depth;  /* root 0 */
    uint64_t key;
    enum tree_state state;
    bool dropped;  /* no longer wanted, as all below it */
    bool outvoted; /* another solution stands for this one: it is no candidate for the answer */
    enum tree_lead lead;
    bool until_end;   /* asked for to the end of the answer */
    bool writing;     /* its EXPAND is handed out and not told */
    bool score_asked; /* a SCORE is wanted or was */
    bool scoring;     /* its SCORE is handed out and not told */
    bool scored;      /* its SCORE was told */
    int n_children;   /* thought of so far */
    int n_live;       /* children that are not dropped */
    int n_tokens;
    int n_tokens_path;     /* root..node */
    int n_tokens_solution; /* of them, those since the solution began: the root, or the last TREE_LEAD_REVISE
                            */
    double logprob;
    uint64_t text_hash;  /* equal among siblings with equal text; 0 unknown */
    uint64_t value_hash; /* equal where the text comes to the same value; 0 none */
    float *rewards;      /* [n_rewards] of this node's steps, owned by the tree; NULL until told */
    int n_rewards;       /* -1 until told, or if it could not be scored; the root has 0 */
    int answer_class;    /* equal answers share a number; -1 none (unparsable) */
    int verdict;         /* of a solution, by a verifier: 1 passed, 0 rejected, -1 not known */
    float *confidences;  /* [n_confidences] one a token, where they were asked for; owned by the tree */
    int n_confidences;
    int face, next_waiting; /* of search.c: equal siblings, those that wait for one's rewards; -1: none */
    int tag;                /* the strategy's own */
};

struct tree {
    struct tree_node *nodes;
    size_t n_nodes, cap;
};

void tree_init(struct tree *t, uint64_t problem_key);
void tree_fini(struct tree *t);
int tree_add(struct tree *t, int parent); /* next child of parent, TREE_ASKED; returns its number */
int tree_add_lead(struct tree *t, int parent, enum tree_lead lead); /* likewise, below an ended node too */
struct tree_node *tree_get(struct tree *t, int node);               /* valid until the next tree_add */
void tree_drop(struct tree *t, int node);                           /* marks it and all below */
/* Rewards of the solution that ends at node, in order, into out (room for n_max); returns how many there are.
 * They are those along the path, from the root or from the last TREE_LEAD_REVISE on. */
int tree_path_rewards(const struct tree *t, int node, float *out, int n_max);
/* Confidences of the tokens of the same solution, in order: owned by the caller, *n of them; NULL where a
 * node has tokens and no confidences. */
float *tree_path_confidences(const struct tree *t, int node, int *n);
/* The nodes that are candidates for the answer, in path order, into out[n_nodes]; returns how many. They are
 * those that ended or were cut off and are neither dropped nor outvoted; of what goes on from one another (by
 * WAIT or ANSWER) only the last that ended, or the last if none did. A version that was revised stays a
 * candidate. */
int tree_candidates(const struct tree *t, int *out);
/* The path as text, "0.3.1" (the root is ""), into out[n_max]; returns the length it needs, as snprintf does.
 */
size_t tree_path(const struct tree *t, int node, char *out, size_t n_max);
/* Path order: < 0 if a comes before b, that is, at the first difference has the lower index; ancestors come
 * first. */
int tree_compare(const struct tree *t, int a, int b);
/* ASSERTs the invariants: parents before children, indices consecutive, keys of paths, states consistent. */
void tree_check(const struct tree *t);

#endif
