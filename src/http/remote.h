/* remote.h - questions to servers that overload, break and lie: each is asked again until it is answered.
 *
 * An ask is one POST (or GET) whose answer a reader accepts or not. What may pass is tried again, elsewhere
 * if there is an elsewhere, after an exponential wait with full jitter (0.05 s doubling up to 30 s) or when
 * the server said (Retry-After):
 *
 *     no whole answer (refused, hung up, half a body, late), 408, 409, 425, 429, 5xx but 501
 *     an answer that its reader does not accept (malformed, wrong count, aborted)
 *
 * Any other status is the server's last word: ASK_REFUSED. When an ask, or all of them, went without an
 * answer for `patience` seconds, the servers are gone for good: remote_work then returns -1 with ERR_SERVICE.
 * Being told to wait (429, 503) is an answer in this. Six answers to one ask that are unacceptable for the
 * same reason, one after the other, refuse it: the request would get the same once more. So do 12 for any
 * reasons; fewer may be chance where a server often fails (six of them in one of 100,000 asks, if 12 % of its
 * answers make no sense).
 *
 * A late answer never reaches anybody: its connection was closed. So each ask ends exactly once.
 *
 * Ownership: asks belong to the caller and stay where they are from remote_ask until remote_next or
 * remote_drop; their body is owned by the ask (ask_fini). Threads: one thread owns a remote.
 */
#ifndef BROOD_HTTP_REMOTE_H
#define BROOD_HTTP_REMOTE_H

#include "base/json.h"
#include "http/http.h"
#include "http/servers.h"

struct ask;

/* Takes the parsed answer; false with a reason (*e) if it makes no sense. *n_tokens: generated, for the rate.
 */
typedef bool ask_read(struct ask *a, const json_t *answer, double *n_tokens, struct err *e);

/* Takes the answer from its text, where it is the common one; false: it is parsed, and ask_read decides. */
typedef bool ask_skim(struct ask *a, struct str body, double *n_tokens);

enum ask_state { ASK_IDLE, ASK_QUEUED, ASK_FLYING, ASK_DONE, ASK_REFUSED };

struct ask {
    /* set by the caller */
    const char *path; /* "/completions" */
    bool at_root;     /* below the server's root, not below .../v1 */
    struct buf body;  /* empty: GET */
    uint64_t affinity;
    int only;      /* this server alone; -1: any */
    int tries_max; /* then refused; 0: no such limit */
    double seconds_max;
    size_t n_bytes_max;
    double n_tokens; /* that it carries: for the counters */
    ask_read *read;
    ask_skim *skim; /* NULL: none */
    void *ctx;
    /* the outcome */
    enum ask_state state;
    int status; /* refused: of HTTP; 0: tries_max were in vain */
    char *why;  /* refused: one line, owned by the ask */
    int server; /* that gave the last answer */
    /* on the way */
    struct http_call *call;
    int n_tries, avoid;
    int n_senseless, n_alike; /* answers that the reader did not accept; the last ones, for one reason */
    uint64_t reason;          /* hash of it */
    size_t i_list;            /* where it stands among those in flight */
    double sent_at, not_before, failing_since; /* 0: not failing */
};

struct remote_options {
    const char *key; /* NULL: none */
    double patience; /* seconds */
};

struct remote_counters {
    double n_sent, n_again;  /* requests; those that were repetitions */
    double tokens_again;     /* that the repetitions carried */
    double n_busy, n_failed; /* told to wait; without a sensible answer */
};

struct remote;
/* bases: URLs that end in /v1. */
MUST struct remote *remote_new(const char *const *bases, int n_bases, const struct remote_options *o,
                               struct err *e);
void remote_free(struct remote *r); /* what is in flight is cancelled; NULL is legal */
void remote_ask(struct remote *r, struct ask *a);
void remote_drop(struct remote *r, struct ask *a); /* legal in every state */
void ask_fini(struct ask *a);
/* > 0: did something; 0: nothing to do; -1: gone for good. Waits at most seconds_max for an answer, also
 * while others have ended and were not taken. */
MUST int remote_work(struct remote *r, double seconds_max, struct err *e);
struct ask *remote_next(struct remote *r); /* one that has ended; NULL: none */
/* Works until that one, which was asked, has ended; others go on meanwhile. False: gone for good. Nothing
 * that runs waits so: an interrupt would not be heeded. */
MUST bool remote_wait(struct remote *r, struct ask *a, struct err *e);
int remote_wanted(const struct remote *r);
struct remote_counters remote_counters(const struct remote *r);
const char *remote_server(const struct remote *r, int i); /* its base URL */

#endif
