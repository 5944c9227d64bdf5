/* show_report.h - a report on the terminal: tables, then a chart. */
#ifndef BROOD_CLI_SHOW_REPORT_H
#define BROOD_CLI_SHOW_REPORT_H

#include "eval/report.h"

/* with_chart: curves of several samples are drawn below. */
void show_report(const struct report *r, bool with_chart);

#endif
