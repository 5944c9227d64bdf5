/* common.h - the problems that all runs of a report have (private to the room). */
#ifndef BROOD_COMMON_H
#define BROOD_COMMON_H

#include "eval/report.h"

struct common {
    size_t **rows; /* rows[run][i]: the place of the i-th common problem in that run's set */
    size_t n_runs, n;
};

/* Of a report with a run at least, in the order of its first. */
void common_init(struct common *c, const struct report *r);
void common_fini(struct common *c);

#endif
