/* servers.h - which of several servers gets the next request, and how many each may have.
 *
 * Pure bookkeeping: it is told what was sent and what came of it, with the time; nothing here waits or talks.
 *
 *   affinity   Requests of one problem prefer one server, which then holds its prefix: rendezvous hashing
 *              (Thaler, Ravishankar: "Using name-based mappings to increase hit rates", 1998), so that a
 *              server that goes moves only its own problems. One that is full passes to the next in rank.
 *   window     Requests in flight at a server. It starts at 16 and grows by a quarter at the end of every
 *              window in which tokens a second rose; it is halved by 429, 503 and passed deadlines, at most
 *              once for what was sent before the last halving. Retry-After is honoured (up to ten minutes).
 *   breaker    After 5 failures without an answer between them a server gets nothing for a while (0.25 s,
 *              doubling up to 30 s), then a single request, which decides.
 */
#ifndef BROOD_HTTP_SERVERS_H
#define BROOD_HTTP_SERVERS_H

#include "base/base.h"

enum { SERVERS_MAX = 64, SERVER_WINDOW_FIRST = 16, SERVER_WINDOW_MAX = 4096, SERVER_FAILURES_MAX = 5 };

struct server {
    char *base, *root; /* owned: "http://h:1/v1" and "http://h:1" */
    double window;
    int n_flying;
    double not_before; /* Retry-After */
    double blocked_until;
    int n_failures, n_blocks; /* without an answer since */
    double cut_at;            /* when the window was last halved */
    double epoch_began, epoch_tokens, best_rate;
    int epoch_answers, epoch_flying_max; /* answers may come many at once */
};

struct servers {
    struct server items[SERVERS_MAX];
    int n;
};

enum server_outcome {
    SERVER_ANSWERED,
    SERVER_BUSY,    /* 429, 503 */
    SERVER_FAILED,  /* no answer, or none that makes sense */
    SERVER_LATE,    /* the deadline passed: both */
    SERVER_DROPPED, /* the request was cancelled */
};

/* base: "http://host:port/v1"; a final slash is dropped. */
void servers_add(struct servers *s, const char *base);
void servers_fini(struct servers *s);

/* The server for a request, or -1: none may get one now. avoid: one that has just failed it, taken only where
 * no other has room; -1: none. */
int servers_pick(const struct servers *s, uint64_t affinity, int avoid, double now);
/* When one that may get none now may get one again, as far as time alone decides; INFINITY: never. */
double servers_wake(const struct servers *s, double now);
void servers_sent(struct servers *s, int i);
void servers_told(struct servers *s, int i, enum server_outcome what, double sent_at, double retry_after,
                  double n_tokens, double now);
/* Sum of the windows. */
int servers_wanted(const struct servers *s);

#endif
