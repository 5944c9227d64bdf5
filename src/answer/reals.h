/* reals.h - sets of real numbers as sorted disjoint pieces (private to the room).
 *
 *     (-\infty, 2) \cup [3, 5]   ->   { (NULL,2) open open }, { [3,5] closed closed }
 *
 * Pieces borrow the endpoints from the tree they were made of, or from r->tree; both outlive the list's use.
 */
#ifndef BROOD_ANSWER_REALS_H
#define BROOD_ANSWER_REALS_H

#include "answer/decide.h"

#define REALS_PIECES_MAX 64
#define REALS_DEPTH_MAX  40

struct reals_piece {
    const struct node *lo, *hi; /* NULL: unbounded */
    bool lo_open, hi_open;
};

struct reals_list {
    struct reals_piece p[REALS_PIECES_MAX];
    size_t n;
};

struct reals {
    struct decide *d;
    struct tree tree;
    bool unknown; /* an order could not be decided, or a bound was met */
};

/* False when the tree is not a set of reals with constant ends. Always reals_fini afterwards. */
bool reals_from(struct reals *r, struct decide *d, const struct node *n, struct reals_list *out);
void reals_fini(struct reals *r);

#endif
