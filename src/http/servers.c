/* servers.c - see servers.h. */
#include "http/servers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

static const double block_seconds = 0.25, block_seconds_max = 30, retry_after_max = 600;

void servers_add(struct servers *s, const char *base) {
    ASSERT(s->n < SERVERS_MAX);
    struct str url = str_from(base);
    while (str_ends(url, STR("/"))) url.len--;
    struct str root = url;
    if (str_ends(root, STR("/v1"))) root.len -= 3;
    s->items[s->n++] =
        (struct server){.base = str_dup(url), .root = str_dup(root), .window = SERVER_WINDOW_FIRST};
}

void servers_fini(struct servers *s) {
    for (int i = 0; i < s->n; i++) {
        free(s->items[i].base);
        free(s->items[i].root);
    }
    s->n = 0;
}

static bool has_room(const struct server *x, double now) {
    if (now < x->not_before || now < x->blocked_until) return false;
    return x->n_flying < (x->n_failures >= SERVER_FAILURES_MAX ? 1 : (int)x->window);
}

int servers_pick(const struct servers *s, uint64_t affinity, int avoid, double now) {
    int picked = -1;
    uint64_t best = 0;
    for (int i = 0; i < s->n; i++) {
        if (i == avoid || !has_room(&s->items[i], now)) continue;
        uint64_t rank = rng_child_named(affinity, s->items[i].base);
        if (picked >= 0 && rank <= best) continue;
        picked = i;
        best = rank;
    }
    if (picked < 0 && avoid >= 0 && has_room(&s->items[avoid], now)) return avoid;
    return picked;
}

double servers_wake(const struct servers *s, double now) {
    double wake = INFINITY;
    for (int i = 0; i < s->n; i++) {
        double at = fmax(s->items[i].not_before, s->items[i].blocked_until);
        if (at > now) wake = fmin(wake, at);
    }
    return wake;
}

void servers_sent(struct servers *s, int i) {
    struct server *x = &s->items[i];
    x->n_flying++;
    x->epoch_flying_max = MAX(x->epoch_flying_max, x->n_flying);
}

static void new_epoch(struct server *x, double now) {
    x->epoch_began = now;
    x->epoch_tokens = 0;
    x->epoch_answers = 0;
    x->epoch_flying_max = x->n_flying;
}

static void halve(struct server *x, double sent_at, double now) {
    if (sent_at < x->cut_at) return;
    x->window = fmax(1, floor(x->window / 2));
    x->cut_at = now;
    x->best_rate = 0;
    new_epoch(x, now);
}

/* At the end of a window's worth of answers: grows while that brought more tokens a second. The best rate
 * fades, so that growth is tried again now and then. */
static void grow(struct server *x, double n_tokens, double now) {
    if (x->epoch_began <= 0) new_epoch(x, now);
    x->epoch_tokens += n_tokens;
    if (++x->epoch_answers < (int)x->window || now <= x->epoch_began) return;
    double rate = x->epoch_tokens / (now - x->epoch_began);
    if (rate > 1.05 * x->best_rate && x->epoch_flying_max >= (int)x->window / 2)
        x->window = fmin(SERVER_WINDOW_MAX, x->window + fmax(1, floor(x->window / 4)));
    x->best_rate = fmax(rate, 0.98 * x->best_rate);
    new_epoch(x, now);
}

static void fail(struct server *x, double now) {
    if (++x->n_failures < SERVER_FAILURES_MAX || now < x->blocked_until) return;
    x->blocked_until = now + fmin(block_seconds_max, ldexp(block_seconds, MIN(x->n_blocks, 16)));
    x->n_blocks++;
}

void servers_told(struct servers *s, int i, enum server_outcome what, double sent_at, double retry_after,
                  double n_tokens, double now) {
    struct server *x = &s->items[i];
    ASSERT(x->n_flying > 0);
    x->n_flying--;
    if (what == SERVER_BUSY || what == SERVER_LATE) halve(x, sent_at, now);
    if (what == SERVER_FAILED || what == SERVER_LATE) fail(x, now);
    if (what == SERVER_BUSY && retry_after > 0)
        x->not_before = fmax(x->not_before, now + fmin(retry_after, retry_after_max));
    if (what != SERVER_ANSWERED && what != SERVER_BUSY) return;
    x->n_failures = x->n_blocks = 0;
    x->blocked_until = 0;
    if (what == SERVER_ANSWERED) grow(x, n_tokens, now);
}

int servers_wanted(const struct servers *s) {
    double sum = 0;
    for (int i = 0; i < s->n; i++) sum += floor(s->items[i].window);
    return (int)sum;
}
