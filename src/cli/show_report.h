/* show_report.h - a report on the terminal: tables, then charts. */
#ifndef BROOD_CLI_SHOW_REPORT_H
#define BROOD_CLI_SHOW_REPORT_H

#include "eval/report.h"

/* full: with what show_details.h has of each run, and charts of the curves below; else accuracies alone. */
void show_report(const struct report *r, bool full);

#endif
