/* metrics.h - what the server counts, in Prometheus's text format (https://prometheus.io/docs/instrumenting/
 * exposition_formats).
 *
 * Threads: any.
 */
#ifndef BROOD_SERVE_METRICS_H
#define BROOD_SERVE_METRICS_H

#include "base/cost.h"
#include "base/str.h"

struct metrics;

struct metrics_now { /* what is looked at now and then */
    double policy_cache_bytes, reward_cache_bytes;
    struct cost policy, reward; /* computed since the start */
    struct waste waste;
    int n_verifiers_failed;
    bool is_well;
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);
/* A reply with this status, to a request of this kind ("chat", "completions", "other"). */
void metrics_count(struct metrics *m, const char *kind, int status);
void metrics_count_gone(struct metrics *m); /* a client that went before its reply */
/* A search that ended: seconds in the queue, and of the search. */
void metrics_time(struct metrics *m, double queued, double searched);
void metrics_queue(struct metrics *m, int n_waiting, int n_running); /* requests, from now on */
double metrics_mean_seconds(struct metrics *m); /* of the searches of late; 0: none yet */
void metrics_set(struct metrics *m, const struct metrics_now *now);
struct metrics_now metrics_get(struct metrics *m);
void metrics_print(struct metrics *m, struct buf *out);

#endif
