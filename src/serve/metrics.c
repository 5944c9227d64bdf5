/* metrics.c - see metrics.h. */
#include "serve/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

static const double bounds[] = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};

struct histogram {
    double counts[ARRAY_LEN(bounds)], count, sum;
};

struct reply_count {
    char kind[16];
    int status;
    double n;
};

struct metrics {
    pthread_mutex_t lock;
    struct reply_count replies[64]; /* kinds and statuses are few: both are the server's own */
    size_t n_replies;
    double n_gone, started, recent;
    int n_waiting, n_running;
    struct histogram queued, searched;
    struct metrics_now now;
};

struct metrics *metrics_new(void) {
    struct metrics *m = mem_zalloc(1, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    m->started = clock_seconds();
    m->now.is_well = true;
    return m;
}

void metrics_free(struct metrics *m) {
    if (!m) return;
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void metrics_count(struct metrics *m, const char *kind, int status) {
    pthread_mutex_lock(&m->lock);
    size_t i = 0;
    while (i < m->n_replies && (m->replies[i].status != status || strcmp(m->replies[i].kind, kind) != 0)) i++;
    if (i == m->n_replies && i < ARRAY_LEN(m->replies)) {
        snprintf(m->replies[i].kind, sizeof m->replies[i].kind, "%s", kind);
        m->replies[i].status = status;
        m->n_replies++;
    }
    if (i < m->n_replies) m->replies[i].n++;
    pthread_mutex_unlock(&m->lock);
}

void metrics_count_gone(struct metrics *m) {
    pthread_mutex_lock(&m->lock);
    m->n_gone++;
    pthread_mutex_unlock(&m->lock);
}

void metrics_queue(struct metrics *m, int n_waiting, int n_running) {
    pthread_mutex_lock(&m->lock);
    m->n_waiting = n_waiting;
    m->n_running = n_running;
    pthread_mutex_unlock(&m->lock);
}

static void add(struct histogram *h, double x) {
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) h->counts[i] += x <= bounds[i];
    h->count++;
    h->sum += x;
}

void metrics_time(struct metrics *m, double queued, double searched) {
    pthread_mutex_lock(&m->lock);
    add(&m->queued, queued);
    add(&m->searched, searched);
    m->recent += (searched - m->recent) / (m->searched.count < 16 ? m->searched.count : 16);
    pthread_mutex_unlock(&m->lock);
}

double metrics_mean_seconds(struct metrics *m) {
    pthread_mutex_lock(&m->lock);
    const double recent = m->recent;
    pthread_mutex_unlock(&m->lock);
    return recent;
}

void metrics_set(struct metrics *m, const struct metrics_now *now) {
    pthread_mutex_lock(&m->lock);
    m->now = *now;
    pthread_mutex_unlock(&m->lock);
}

struct metrics_now metrics_get(struct metrics *m) {
    pthread_mutex_lock(&m->lock);
    const struct metrics_now now = m->now;
    pthread_mutex_unlock(&m->lock);
    return now;
}

/* ---- printing ---- */

static void head(struct buf *out, const char *name, const char *type, const char *help) {
    buf_printf(out, "# HELP brood_%s %s\n# TYPE brood_%s %s\n", name, help, name, type);
}

static void number(struct buf *out, const char *name, const char *type, const char *help, double x) {
    head(out, name, type, help);
    buf_printf(out, "brood_%s %.17g\n", name, x);
}

static void print_histogram(struct buf *out, const char *name, const char *help, const struct histogram *h) {
    head(out, name, "histogram", help);
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
        buf_printf(out, "brood_%s_bucket{le=\"%g\"} %.17g\n", name, bounds[i], h->counts[i]);
    buf_printf(out, "brood_%s_bucket{le=\"+Inf\"} %.17g\nbrood_%s_sum %.17g\nbrood_%s_count %.17g\n", name,
               h->count, name, h->sum, name, h->count);
}

static double resident_bytes(void) {
    double pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*f %lf", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return pages * (double)sysconf(_SC_PAGESIZE);
}

static void print_tokens(struct buf *out, const struct metrics_now *n) {
    head(out, "tokens_total", "counter", "Tokens computed, by model and kind; work done in vain included.");
    buf_printf(out,
               "brood_tokens_total{model=\"policy\",kind=\"generated\"} %.17g\n"
               "brood_tokens_total{model=\"policy\",kind=\"read\"} %.17g\n"
               "brood_tokens_total{model=\"reward\",kind=\"read\"} %.17g\n",
               n->policy.tokens_generated, n->policy.tokens_read, n->reward.tokens_read);
    head(out, "wasted_tokens_total", "counter",
         "Of those, given up before they were told, or computed again.");
    buf_printf(out,
               "brood_wasted_tokens_total{kind=\"cancelled\"} %.17g\n"
               "brood_wasted_tokens_total{kind=\"recomputed\"} %.17g\n",
               n->waste.cancelled.tokens_generated + n->waste.cancelled.tokens_read,
               n->waste.recomputed.tokens_generated + n->waste.recomputed.tokens_read);
    head(out, "cache_bytes", "gauge", "Of key-value cache, by model.");
    buf_printf(out, "brood_cache_bytes{model=\"policy\"} %.17g\nbrood_cache_bytes{model=\"reward\"} %.17g\n",
               n->policy_cache_bytes, n->reward_cache_bytes);
}

void metrics_print(struct metrics *m, struct buf *out) {
    pthread_mutex_lock(&m->lock);
    head(out, "replies_total", "counter", "Replies, by kind of request and HTTP status.");
    for (size_t i = 0; i < m->n_replies; i++)
        buf_printf(out, "brood_replies_total{kind=\"%s\",status=\"%d\"} %.17g\n", m->replies[i].kind,
                   m->replies[i].status, m->replies[i].n);
    number(out, "clients_gone_total", "counter", "Clients that went before their reply was sent.", m->n_gone);
    number(out, "requests_waiting", "gauge", "Requests in the queue.", m->n_waiting);
    number(out, "requests_running", "gauge", "Requests whose search goes on.", m->n_running);
    number(out, "models_well", "gauge", "0 after the models failed, until they do again.", m->now.is_well);
    number(out, "verifiers_failed", "gauge", "Of those declared at the start, failed for good.",
           m->now.n_verifiers_failed);
    print_tokens(out, &m->now);
    print_histogram(out, "queue_seconds", "From the arrival of a request to the start of its search.",
                    &m->queued);
    print_histogram(out, "search_seconds", "From the start of a search to its end.", &m->searched);
    number(out, "resident_bytes", "gauge", "Memory of the process.", resident_bytes());
    number(out, "uptime_seconds", "gauge", "Since the start.", clock_seconds() - m->started);
    pthread_mutex_unlock(&m->lock);
}
