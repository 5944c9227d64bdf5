/* reliability.h - how well a plan foretells the difficulty of the problems of recorded runs (eval/plan.h),
 * run by run.
 *
 * The plan is the one that is given, or that an adaptive run of the report went by; it is tried on every run
 * of independent samples that has more of them than its pilots look at. The runs must not be those it was
 * fitted to, if the figures are to say anything of other problems.
 */
#ifndef BROOD_RELIABILITY_H
#define BROOD_RELIABILITY_H

#include "eval/plan.h"
#include "eval/report.h"

struct reliability {
    int run;
    int n_pilot; /* samples that the prediction looks at */
    bool scored; /* and their rewards */
    struct plan_reliability figures;
};

struct reliabilities {
    struct reliability *items;
    size_t n, cap;
};

/* plan: its text, NULL: that of the first adaptive run; where none has one, there is nothing to say: n 0. A
 * given plan that no run can be tried with is refused. `where` is for messages. Free with reliabilities_fini
 * in any case. */
MUST bool reliabilities_make(struct reliabilities *out, const struct report *r, const char *plan,
                             const char *where, struct err *e);
void reliabilities_fini(struct reliabilities *l);
json_t *reliabilities_json(const struct reliabilities *l, const struct report *r); /* docs/json.md */

#endif
