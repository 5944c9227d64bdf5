/* fold.h - sums, multiples, products and determinants of written-out matrices become matrices or scalars
 * (private to the room). Bounded by the tree: a product or determinant over the bound stays as it is. */
#ifndef BROOD_ANSWER_FOLD_H
#define BROOD_ANSWER_FOLD_H

#include "answer/node.h"

struct node *fold_matrices(struct tree *t, struct node *n);

#endif
