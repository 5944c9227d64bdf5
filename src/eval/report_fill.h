/* report_fill.h - the parts of a report that are filled in from its curves (private to the room). */
#ifndef BROOD_REPORT_FILL_H
#define BROOD_REPORT_FILL_H

#include "eval/report.h"

uint64_t report_key(void); /* of the resampling */
/* After the curves. */
void report_fill_gaps(struct report_run *run, const struct curves_set *set);
void report_fill_law(struct report_run *run, const struct curves_set *set);

#endif
