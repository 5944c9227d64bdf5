/* html_tree_parts.h - what the diagram and the text of a tree have in common (private to html_tree*.c). */
#ifndef BROOD_HTML_TREE_PARTS_H
#define BROOD_HTML_TREE_PARTS_H

#include "eval/browse.h"

struct tree_view {
    const struct browse_tree *t;
    const char *id;
    struct buf *b;
    struct str *steps; /* of all nodes */
    size_t *first;     /* [n_nodes + 1] of steps */
    size_t n_steps, cap_steps;
    bool *kept; /* [n_nodes] shown */
    int n_kept;
    size_t n_kept_steps;
    int *child,
        *next; /* [n_nodes + 1] first shown child, next shown sibling, -1: none; the last is the prompt */
    size_t n_text_max; /* of a step */
};

enum { TREE_NODE_STEPS_MAX = 120 }; /* of a longer node, the first and the last */

double tree_reward(const struct tree_view *v, int node, size_t i_step);
void tree_reward_class(struct buf *b, double reward);
void tree_times(struct buf *b, const struct tree_view *v, int node);
bool tree_given_up(const struct tree_view *v, int node);

void tree_diagram(struct tree_view *v);
void tree_steps(struct tree_view *v);

#endif
