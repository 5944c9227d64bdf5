/* Recorded solutions: lines in, choices out. What was read must be usable whatever it was. */
#include <stdlib.h>
#include <string.h>

#include "select/recorded.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void choose(const struct recorded_problem *p) {
    struct select_classes *c = select_classes_new();
    struct select_solution *view = recorded_view(p, c);
    int n = (int)p->n_solutions;
    ASSERT(p->id);
    for (int i = 0; i < n; i++) {
        ASSERT(p->solutions[i].path && (p->solutions[i].text || p->solutions[i].answer));
        ASSERT(view[i].answer_class >= -1 && view[i].answer_class < select_classes_count(c));
    }
    recorded_set_confidences(p, &(struct select_confidence){(enum confidence)(n % CONFIDENCES), n % 3}, view);
    for (int r = 0; r < SELECT_RULES; r++) {
        for (int a = 0; a < AGGREGATES; a++) {
            struct select_choice s = select_choose((enum select_rule)r, (enum aggregate)a, view, NULL, n);
            ASSERT(s.solution >= -1 && s.solution < n && s.n_votes <= n);
            if (r != SELECT_FIRST_VERIFIED) ASSERT((s.solution < 0) == (n == 0));
        }
    }
    free(view);
    select_classes_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct recorded r;
    recorded_init(&r);
    while (n > 0) {
        const uint8_t *end = memchr(bytes, '\n', n);
        size_t length = end ? (size_t)(end - bytes) : n;
        struct err e = {0};
        if (!recorded_add_line(&r, (struct str){(const char *)bytes, length}, "fuzz", &e))
            ASSERT(e.code == ERR_INPUT && e.msg[0]);
        length += end != NULL;
        bytes += length;
        n -= length;
    }
    for (size_t i = 0; i < r.n_problems; i++) choose(&r.problems[i]);
    recorded_fini(&r);
    return 0;
}
