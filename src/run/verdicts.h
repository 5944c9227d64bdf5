/* verdicts.h - what the verifier says of one problem's solutions (private to the run room).
 *
 * A solution that has ended is asked about at once, and its search is told of it when the verdict is in: the
 * node and its verdict together. Meanwhile it is recorded (RUN_NODE), so that a kill costs the verdict, never
 * the solution. Each different text is asked about once: equal solutions, also those of earlier sessions,
 * share a face with its verdict, score and feedback.
 *
 *     ended ── event RUN_NODE ── verdict_ask ─┬─ recorded, or a face that is known: told at once
 *                                             └─ waits ── verdict_result: event RUN_VERDICT, told
 */
#ifndef BROOD_VERDICTS_H
#define BROOD_VERDICTS_H

#include "base/cost.h"
#include "search/search.h"
#include "verify/verifier.h"

struct trial;
struct map;

struct verdict_face { /* a different text */
    bool asked, known;
    int passed; /* as in struct store_verdict, with the next two */
    double score;
    char *feedback; /* NULL: none */
    int first;      /* node that waits; 0: none. The next is in its wait */
};

struct verdict_wait {
    struct search_told told; /* its confidences are owned */
    int next;
};

struct verdicts {
    struct map *by_text; /* NULL while there is none */
    struct verdict_face *faces;
    size_t n, cap;
    struct verification sum; /* of this session */
};

/* A node's solution has ended: asks, or tells at once. */
MUST bool verdict_ask(struct trial *t, int node, struct str solution, struct search_told *told,
                      struct err *e);
MUST bool verdict_result(struct trial *t, size_t face, const struct verifier_result *r, struct err *e);
void verdict_withdraw(struct trial *t, int node); /* it waits no more, if it did */
/* What waits is told now, without a verdict: the search is about to be stopped. */
void verdicts_give_up(struct trial *t);
/* What the verifier said of the solution that ends at the node, for a revision; "" if nothing. */
struct str verdict_feedback(const struct trial *t, int node);
void verdicts_fini(struct verdicts *v);

#endif
