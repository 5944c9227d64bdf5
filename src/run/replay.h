/* replay.h - the order of events in a recorded search: what was written, scored and dropped when.
 *
 * A search is a pure function of what it was told, so telling it the records again shows what it did with
 * them; nothing is computed and no model is opened. A store holds no order, and the one in which results
 * arrived is nobody's choice: here every ask is answered at once, so the order is that of the asking, the
 * same whatever machine the run was made on.
 *
 *     struct replay *r = replay_open(store_config(s), store_path(s), &e);
 *     if (replay_problem(r, &problem, rows, &log, &e)) ... log.dropped[i] ...
 *     replay_log_fini(&log);
 *     replay_close(r);
 *
 * Threads: one thread owns a replay.
 */
#ifndef BROOD_REPLAY_H
#define BROOD_REPLAY_H

#include "store/rows.h"

struct replay;

struct replay_log {
    int n_events;
    /* [n_nodes] of the rows: the number of the event, from 1; 0: it never happened. What lies below a dropped
     * node is dropped with it. */
    int *written, *scored, *dropped;
    size_t n_nodes;
};

/* From a run's configuration; `where` is for messages. */
MUST struct replay *replay_open(const char *config, const char *where, struct err *e);
void replay_close(struct replay *r);
/* False if the records do not belong to the configuration: the search did not ask for all of them. */
MUST bool replay_problem(struct replay *r, const struct store_problem *p, const struct rows *rows,
                         struct replay_log *out, struct err *e);
void replay_log_fini(struct replay_log *log);

#endif
