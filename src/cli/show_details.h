/* show_details.h - what a full report says of each run beyond its curves: where selections stop to gain, the
 * law of coverage, what was spent on what. */
#ifndef BROOD_CLI_SHOW_DETAILS_H
#define BROOD_CLI_SHOW_DETAILS_H

#include "eval/reliability.h"

/* Title of a column or series: "best-of-N". */
const char *show_measure(int measure);
/* "12.3 [10.0, 14.9]", in points; signed: "+2.6 [-0.4, +5.8]". */
struct table;
void show_interval(struct table *t, struct interval v, bool is_signed);

void show_gaps(const struct report_run *run);
void show_law(const struct report_run *run);
void show_costs(const struct report_run *run);
void show_reliability(const struct report *r, const struct reliability *x);

#endif
