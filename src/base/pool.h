/* pool.h - a fixed team of threads for short parallel loops.
 *
 * pool_run calls job(ctx, i_worker, n_workers) once on every worker, the caller being worker 0, and returns
 * when all are done. Workers spin for a few tens of microseconds, then sleep, so that consecutive small jobs
 * start at once and an idle program costs nothing; with more workers than cores they sleep at once. What the
 * caller wrote before pool_run is seen by the jobs, and the other way round. One caller at a time; jobs must
 * not call pool_run.
 */
#ifndef BROOD_POOL_H
#define BROOD_POOL_H

#include "base/base.h"

struct pool;
typedef void pool_job(void *ctx, int i_worker, int n_workers);

/* n_workers >= 1; 1 makes no thread. pool_size is less than asked for above POOL_WORKERS_MAX, and where the
 * system refuses threads. The threads take no signals. */
struct pool *pool_new(int n_workers);
void pool_free(struct pool *p);
void pool_run(struct pool *p, pool_job *job, void *ctx);
int pool_size(const struct pool *p);
int pool_cores(void); /* cores this process may use: its affinity, and the CPU quota of a container */

/* The part [*begin,*end) of n items that worker i of n_workers takes; parts are multiples of `grain` but the
 * last. */
void pool_share(int64_t n, int64_t grain, int i_worker, int n_workers, int64_t *begin, int64_t *end);

#define POOL_WORKERS_MAX 256

#endif
