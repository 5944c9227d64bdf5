#include "answer/decide.h"

enum answer_verdict poly_equal(const struct node *a, const struct node *b) {
    UNUSED(a);
    UNUSED(b);
    return ANSWER_CANNOT_TELL;
}
