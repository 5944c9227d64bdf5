/* call.h - one request from its arrival to the last byte of its reply.
 *
 * Two threads share it: the one of its connection, which sends, and the desk's, which searches. The desk
 * writes bytes into `out`; the connection waits for them at wake_fd and says by `gone` that nobody reads any
 * more.
 *
 *     desk:        call_write(c, bytes)... call_close(c)
 *     connection:  call_wait(c, socket), call_read(c, ...)
 *
 * Ownership: two references, call_release by each thread. Threads: what is not marked is set before the call
 * is handed to the desk and read by both, or the desk's alone.
 */
#ifndef BROOD_SERVE_CALL_H
#define BROOD_SERVE_CALL_H

#include <pthread.h>
#include <stdatomic.h>

#include "run/answering.h"
#include "serve/queue.h"
#include "serve/request.h"

enum { CALL_OUT_BYTES_MAX = 64 << 20 };

struct call {
    struct request request;
    struct brood_request asked;
    struct buf strategy; /* in full */
    char id[40];
    char *client, *model; /* who asks; the model's name in the reply */
    long long created;    /* seconds since 1970 */
    double arrived;       /* by clock_seconds */
    double deadline;      /* likewise; INFINITY: none */

    /* the desk's */
    struct answering answering;
    struct queue_place place;
    double started;          /* 0: not yet */
    json_t *events;          /* pending; NULL: none */
    double written;          /* when something was sent last */
    struct brood_work spent; /* so far */
    double spent_units;      /* in money, as prices_of */
    int n_nodes, n_solutions, n_pruned;
    bool has_begun;           /* a first chunk was written */
    struct buf shown;         /* of a solution that is sent while it is written */
    int root_read, n_writing; /* tokens of the prompt */
    struct run_cost cost;     /* at the end */

    pthread_mutex_t lock; /* of the following */
    struct buf out;
    size_t n_sent;
    int status; /* 0: nothing was written yet */
    int retry_after;
    bool is_closed;

    int wake_fd;
    atomic_bool gone;
    atomic_int n_references;
};

struct call *call_new(void);
void call_release(struct call *c);

/* The desk's side. The first write decides the status. */
void call_write(struct call *c, int status, struct str bytes);
void call_close(struct call *c);
bool call_has_written(struct call *c);

/* The connection's side. Waits for bytes, the end or the client's going away; false: it is gone. */
bool call_wait(struct call *c, int socket);
/* Bytes that are there, at most n_max; 0: none now; -1: the end. */
ptrdiff_t call_read(struct call *c, char *to, size_t n_max);

#endif
