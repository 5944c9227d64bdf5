/* clock.h - seconds, for the coordinator, the progress line and benchmarks. Searches never see a clock. */
#ifndef BROOD_CLOCK_H
#define BROOD_CLOCK_H

double clock_seconds(void);     /* monotonic, arbitrary origin */
double clock_cpu_seconds(void); /* CPU time of this process, all threads */

#endif
