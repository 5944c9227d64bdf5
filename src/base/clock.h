/* clock.h - seconds. Searches never see a clock; only the coordinator, the progress line and benchmarks do. */
#ifndef BROOD_CLOCK_H
#define BROOD_CLOCK_H

double clock_seconds(void);     /* monotonic, arbitrary origin */
double clock_cpu_seconds(void); /* CPU time of this process, all threads */

#endif
