/* html_tree.h - one search tree on the page: votes, a diagram, and the steps as text (private to the room).
 */
#ifndef BROOD_HTML_TREE_H
#define BROOD_HTML_TREE_H

#include "eval/browse.h"

/* A big tree is shown in part: chosen solution first, then one of each answer, other solutions, and what was
 * given up, up to these; longer steps are cut. */
enum { HTML_NODES_MAX = 320, HTML_STEPS_MAX = 1500, HTML_STEP_TEXT_MAX = 8000, HTML_TREE_TEXT_MAX = 1 << 18 };

/* `id` begins the ids of its elements: letters, digits and dashes. */
void html_tree(struct buf *b, const struct browse_tree *t, const char *separator, const char *id);

#endif
