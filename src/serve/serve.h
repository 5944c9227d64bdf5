/* serve.h - `brood serve`: an HTTP server before the coordinator (docs/serve.md).
 *
 *     clients ── a thread each ──> queue ──> desk: one coordinator, one batch ──> replies
 *
 * All searches share one engine: the thread that calls serve_run steps the coordinator; connections only read
 * requests and send what the desk wrote for them. What a search decides does not depend on the others.
 *
 *     struct serve *s = serve_open(&options, &e);
 *     printf("%s", serve_address(s));
 *     serve_run(s);                          until serve_stop
 *     serve_close(s);
 *
 * Threads: one thread owns a server; serve_stop may be called from any thread or a signal handler.
 */
#ifndef BROOD_SERVE_H
#define BROOD_SERVE_H

#include "base/err.h"

struct serve;

struct serve_options {
    const char *policy, *reward;          /* reward NULL: none */
    const char *strategy;                 /* where a request names none; NULL: sample */
    const char *system, *chat;            /* NULL: none, the model's own */
    const char *weights, *reward_weights; /* as policy_options and reward_options */
    const char *kv;                       /* likewise */
    int n_threads;                        /* 0: all cores */
    const char *host;                     /* NULL: 127.0.0.1 */
    int port;                             /* 0: any free one */
    const char *key_file;                 /* one key a line; NULL: see key */
    const char *key;                      /* NULL: none */
    bool no_key;                          /* other addresses than this machine's need no key */
    const char *runs;                     /* folder of run files; NULL: none */
    const char *const *plans;             /* [n_plans] "NAME=FILE" that requests may name (declared.h) */
    const char *const *verifiers;         /* [n_verifiers] "NAME=SPEC", likewise */
    int n_plans, n_verifiers;
    const char *prices;            /* what tokens cost, as prices_parse_for; NULL: not known */
    int n_active_max, n_queue_max; /* searches at once; requests that wait */
    int n_connections_max;
    size_t body_bytes_max;
    int n_samples_max, n_tokens_max; /* of a request */
    double seconds_max;              /* that a search may take */
    double drain_seconds;            /* what runs may go on for, after serve_stop */
    double retry_seconds;            /* after the models failed: until /health says that they may be tried */
};

#define SERVE_DEFAULTS                                                                                       \
    {                                                                                                        \
        .host = "127.0.0.1", .port = 8080, .n_active_max = 32, .n_queue_max = 256,                           \
        .n_connections_max = 1024, .body_bytes_max = 1 << 20, .n_samples_max = 1024, .n_tokens_max = 4096,   \
        .seconds_max = 600, .drain_seconds = 30, .retry_seconds = 10                                         \
    }

MUST struct serve *serve_open(const struct serve_options *o, struct err *e);
const char *serve_address(const struct serve *s); /* "http://127.0.0.1:8080" */
void serve_run(struct serve *s);
void serve_stop(struct serve *s);  /* takes no new requests, ends when those at work are done or time is up */
void serve_close(struct serve *s); /* NULL is legal */

#endif
