/* desk.h - takes calls, has their problems searched, writes their replies.
 *
 * One coordinator carries the problems of all calls; jobs are drawn fairly from clients, then from their
 * problems. A problem that cannot be taken, or a search that comes to nothing, is the error of its own call.
 * A model that fails for good is that of all calls at work, and the next ones are tried again.
 *
 * Threads: desk_run belongs to one thread; desk_prepare, desk_take, desk_wake may be called from any.
 */
#ifndef BROOD_SERVE_DESK_H
#define BROOD_SERVE_DESK_H

#include "run/prices.h"
#include "serve/call.h"
#include "serve/declared.h"
#include "serve/metrics.h"
#include "serve/serve.h"

struct desk;

/* The options are borrowed while the desk is open. */
MUST struct desk *desk_open(const struct serve_options *o, struct metrics *m, struct err *e);
void desk_close(struct desk *d);
const struct policy_info *desk_policy(const struct desk *d);
const struct reward_info *desk_reward(const struct desk *d); /* NULL: none */
const struct declared *desk_declared(const struct desk *d);
const struct prices *desk_prices(const struct desk *d); /* all 0: not known */

/* From the request of the call: the strategy, limits, what the search is to do. */
MUST bool desk_prepare(struct desk *d, struct call *c, struct refusal *why);
/* Puts it into the queue, with a reference of its own. 429 when that is full, 503 when the server ends. */
MUST bool desk_take(struct desk *d, struct call *c, struct refusal *why, int *retry_after);
/* Some call's client is gone. */
void desk_wake(struct desk *d);

/* Until desk_stop, and then until all calls are done or drain_seconds are over: what runs then is answered
 * with what there is. */
void desk_run(struct desk *d);
void desk_stop(struct desk *d); /* from anywhere, signal handlers too */
bool desk_is_stopping(const struct desk *d);

#endif
