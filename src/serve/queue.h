/* queue.h - who is next: a bounded queue that is fair between clients.
 *
 * Each client has a line of its own. The next request is that of the client with the fewest running; of
 * those, of the one that was served, or came, longest ago. So one client with a thousand requests delays
 * another's one by no more than what runs already and one of them more.
 *
 *     queue_add(q, "10.0.0.7 ann", &call->place)      at most n_max wait in all
 *     queue_next(q)                                   runs from now on
 *     queue_leave(q, &call->place)                    gave up waiting, or has ended
 *
 * Ownership: places are the caller's and stay where they are until they have left. Threads: one at a time.
 */
#ifndef BROOD_SERVE_QUEUE_H
#define BROOD_SERVE_QUEUE_H

#include "base/base.h"

struct queue;

struct queue_place { /* to be zeroed before queue_add; client may be read */
    struct queue_place *next;
    int client; /* its number among those that wait or run */
    enum { QUEUE_OUT, QUEUE_WAITS, QUEUE_RUNS } state;
};

struct queue *queue_new(int n_max);
void queue_free(struct queue *q);
/* How many wait in all before it; -1: the queue is full. */
int queue_add(struct queue *q, const char *client, struct queue_place *p);
struct queue_place *queue_next(struct queue *q); /* NULL: nobody waits */
void queue_leave(struct queue *q, struct queue_place *p);
int queue_waiting(const struct queue *q);
int queue_running(const struct queue *q);

#endif
