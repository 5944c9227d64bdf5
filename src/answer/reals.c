#include "answer/decide.h"
#include "answer/eval.h"

bool reals_is(const struct node *n) {
    return n->kind == NODE_INTERVAL;
}

enum answer_verdict reals_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (a->kind != b->kind || a->flags != b->flags) return ANSWER_DIFFERENT;
    enum answer_verdict lo = decide(d, a->kids[0], b->kids[0]), hi = decide(d, a->kids[1], b->kids[1]);
    if (lo == ANSWER_DIFFERENT || hi == ANSWER_DIFFERENT) return ANSWER_DIFFERENT;
    return lo == ANSWER_EQUAL && hi == ANSWER_EQUAL ? ANSWER_EQUAL : ANSWER_CANNOT_TELL;
}
