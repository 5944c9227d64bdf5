/* desk.c - see desk.h. */
#include "serve/desk.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "answer/answer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "serve/reply.h"
#include "serve/terms.h"

static const double metrics_seconds = 0.2, text_seconds = 0.01;

struct desk {
    const struct serve_options *options;
    struct metrics *metrics;
    struct policy *policy;
    struct reward *reward; /* NULL: none */
    struct reply_names names;
    struct declared declared;
    struct prices prices;

    /* The thread of desk_run. */
    struct coordinator *coordinator;
    struct call **active; /* [n_active_max] by ordinal; NULL: free */
    int n_active;
    double measured; /* when the metrics were set last */
    double failed;   /* when the models did last; -INFINITY: never */
    bool is_well;

    pthread_mutex_t lock; /* of the following */
    struct queue *queue;
    struct call **waiting; /* [n_waiting], in no order */
    size_t n_waiting, cap_waiting;

    int wake_fd;
    atomic_bool stopping;
};

static bool on_event(void *ctx, const struct run_event *event, struct err *e);

static void renew_coordinator(struct desk *d) {
    coordinator_free(d->coordinator);
    d->coordinator = coordinator_new(d->policy, d->reward, NULL, on_event, d);
    for (int i = 0; i < d->declared.n_verifiers; i++)
        coordinator_add_verifier(d->coordinator, d->declared.verifiers[i].verifier);
    coordinator_share(d->coordinator);
}

struct desk *desk_open(const struct serve_options *o, struct metrics *m, struct err *e) {
    struct desk *d = mem_zalloc(1, sizeof *d);
    const struct policy_options po = {
        .n_threads = o->n_threads, .system = o->system, .chat = o->chat, .weights = o->weights, .kv = o->kv};
    const struct reward_options ro = {.n_threads = o->n_threads, .weights = o->reward_weights, .kv = o->kv};
    d->options = o;
    d->metrics = m;
    d->is_well = true;
    d->failed = -(double)INFINITY;
    d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&d->lock, NULL);
    atomic_init(&d->stopping, false);
    d->queue = queue_new(o->n_queue_max);
    d->active = mem_zalloc((size_t)o->n_active_max, sizeof *d->active);
    if (d->wake_fd < 0) {
        err_set(e, ERR_SERVICE, "no more file descriptors: raise the limit (ulimit -n)");
        goto failed;
    }
    if (!declared_open(&d->declared, o, e)) goto failed;
    d->policy = policy_open(o->policy, &po, e);
    if (!d->policy) goto failed;
    if (o->reward && !(d->reward = reward_open(o->reward, &ro, e))) goto failed;
    d->names =
        (struct reply_names){policy_info(d->policy)->name, d->reward ? reward_info(d->reward)->name : NULL};
    if (o->prices && !prices_parse_for(&d->prices, o->prices, d->names.policy, d->names.reward, e)) {
        err_wrap(e, "--prices");
        goto failed;
    }
    renew_coordinator(d);
    return d;
failed:
    desk_close(d);
    return NULL;
}

void desk_close(struct desk *d) {
    if (!d) return;
    coordinator_free(d->coordinator);
    reward_close(d->reward);
    policy_close(d->policy);
    declared_fini(&d->declared);
    queue_free(d->queue);
    free(d->active);
    free(d->waiting);
    if (d->wake_fd >= 0) close(d->wake_fd);
    pthread_mutex_destroy(&d->lock);
    free(d);
    answer_thread_end();
}

const struct policy_info *desk_policy(const struct desk *d) {
    return policy_info(d->policy);
}

const struct reward_info *desk_reward(const struct desk *d) {
    return d->reward ? reward_info(d->reward) : NULL;
}

const struct declared *desk_declared(const struct desk *d) {
    return &d->declared;
}

const struct prices *desk_prices(const struct desk *d) {
    return &d->prices;
}

bool desk_is_stopping(const struct desk *d) {
    return atomic_load(&d->stopping);
}

void desk_wake(struct desk *d) {
    const uint64_t one = 1;
    if (write(d->wake_fd, &one, sizeof one) < 0) { /* it is awake already */
    }
}

void desk_stop(struct desk *d) {
    atomic_store(&d->stopping, true);
    desk_wake(d);
}

/* ---- on the connections' threads ---- */

static bool refuse_name(struct refusal *why, const char *param, const char *name,
                        const struct declared_thing *things, int n) {
    struct buf list = {0};
    declared_list(things, n, &list);
    refuse(why, 400, param, "invalid_value", "%s: this server has no %.64s; it has: %.300s", param, name,
           buf_cstr(&list));
    buf_free(&list);
    return false;
}

/* What the request names of that which the operator declared. */
static bool settle_declared(struct desk *d, struct call *c, struct verifier **verifier, struct refusal *why) {
    const struct request *r = &c->request;
    const struct declared *x = &d->declared;
    struct brood_request *q = &c->asked;
    *verifier = r->verify ? declared_verifier(x, r->verify) : NULL;
    q->plan = r->plan ? declared_plan(x, r->plan) : NULL;
    if (r->verify && !*verifier)
        return refuse_name(why, "brood.verify", r->verify, x->verifiers, x->n_verifiers);
    if (r->plan && !q->plan) return refuse_name(why, "brood.plan", r->plan, x->plans, x->n_plans);
    q->usd_policy_input = d->prices.policy_input;
    q->usd_policy_output = d->prices.policy_output;
    q->usd_reward_input = d->prices.reward_input;
    if (r->budget.usd > 0 && !prices_are_given(&d->prices))
        return refuse(why, 400, "brood.budget.usd", "invalid_value",
                      "brood.budget.usd: this server knows no prices (--prices)");
    return true;
}

/* A plan may have another n than the request. */
static bool check_samples(const struct desk *d, const struct search_spec *spec, struct refusal *why) {
    if (!search_spec_has(spec, "n") || search_spec_get(spec, "n") <= d->options->n_samples_max) return true;
    return refuse(why, 400, "brood.plan", "invalid_value",
                  "brood.plan: its n=%g is more than the %d that this server allows: give samples",
                  search_spec_get(spec, "n"), d->options->n_samples_max);
}

bool desk_prepare(struct desk *d, struct call *c, struct refusal *why) {
    const struct request *r = &c->request;
    struct verifier *verifier;
    struct err e;
    if (!terms_settle(c, d->options, desk_policy(d)->name, why) || !settle_declared(d, c, &verifier, why))
        return false;
    if (!answering_begin(&c->answering, d->policy, d->reward, verifier != NULL, &c->asked, &e))
        return refuse(why, 400, "brood", "invalid_value", "%s", e.msg);
    if (!check_samples(d, &c->answering.spec, why)) return false;
    struct coordinator_problem *p = &c->answering.problem;
    p->verifier = verifier;
    p->line = str_from(r->line);
    p->stops = (const char *const *)r->stops;
    p->n_stops = r->n_stops;
    p->talk = (struct policy_talk){.system = r->system,
                                   .turns = (const char *const *)r->turns,
                                   .n_turns = r->n_turns,
                                   .raw = !r->is_chat};
    const struct search_spec *spec = &c->answering.spec;
    if (!policy_can_talk(d->policy, &p->talk, &e))
        return refuse(why, 400, r->is_chat ? "messages" : "prompt", "invalid_value", "%s", e.msg);
    if (!coordinator_can(desk_policy(d), spec->strategy->revises, coordinator_tells_confidences(spec), &e))
        return refuse(why, 400, "brood.strategy", "invalid_value", "%s", e.msg);
    const struct search_context context = {.has_reward = d->reward != NULL,
                                           .has_verifier = verifier != NULL,
                                           .plan = p->plan,
                                           .n_tokens_answer_max = p->n_tokens_max};
    if (!search_check(spec, &context, &e))
        return refuse(why, 400, "brood.strategy", "invalid_value", "%s", e.msg);
    return true;
}

/* Under the lock, at each change: who looks sees what is so now. */
static void tell_queue(const struct desk *d) {
    metrics_queue(d->metrics, queue_waiting(d->queue), queue_running(d->queue));
}

bool desk_take(struct desk *d, struct call *c, struct refusal *why, int *retry_after) {
    const double mean = metrics_mean_seconds(d->metrics);
    *retry_after = 1;
    if (desk_is_stopping(d))
        return refuse(why, 503, NULL, "shutting_down", "the server is ending: ask another one, or later");
    pthread_mutex_lock(&d->lock);
    const int n_before = queue_waiting(d->queue);
    const bool is_idle = n_before == 0 && queue_running(d->queue) < d->options->n_active_max;
    const int position = queue_add(d->queue, c->client, &c->place);
    if (position >= 0) {
        MEM_GROW(d->waiting, d->cap_waiting, d->n_waiting + 1);
        d->waiting[d->n_waiting++] = c;
        atomic_fetch_add(&c->n_references, 1);
        if (!is_idle) reply_queued(c, position);
        tell_queue(d);
    }
    pthread_mutex_unlock(&d->lock);
    desk_wake(d);
    if (position >= 0) return true;
    *retry_after = (int)fmin(120, fmax(1, ceil(mean * n_before / d->options->n_active_max)));
    return refuse(why, 429, NULL, "queue_full", "%d requests wait already, the most that this server keeps",
                  n_before);
}

/* ---- on the desk's ---- */

static void leave_queue(struct desk *d, struct call *c) {
    pthread_mutex_lock(&d->lock);
    queue_leave(d->queue, &c->place);
    tell_queue(d);
    pthread_mutex_unlock(&d->lock);
}

/* The call is over; what was to be sent is written. */
static void let_go(struct desk *d, struct call *c) {
    leave_queue(d, c);
    call_close(c);
    call_release(c);
}

static void forget_active(struct desk *d, int ordinal) {
    d->active[ordinal] = NULL;
    d->n_active--;
}

static void refuse_error(struct call *c, const struct err *e) {
    struct refusal why;
    if (e->code == ERR_INPUT)
        refuse(&why, 400, c->request.is_chat ? "messages" : "prompt", "invalid_value", "%s", e->msg);
    else
        refuse(&why, e->code == ERR_CANCELLED ? 503 : 500, NULL, e->code == ERR_CANCELLED ? "stopped" : NULL,
               "%s", e->msg);
    reply_refuse(c, &why);
}

static void end_call(struct desk *d, struct call *c, const struct run_event *event) {
    struct err e;
    metrics_time(d->metrics, c->started - c->arrived, event->seconds);
    c->cost = *event->cost;
    if (answering_end(&c->answering, event, &e))
        reply_answer(c, &d->names);
    else
        refuse_error(c, &e);
}

/* Never fails: what goes wrong with one call is told to its client. */
static bool on_event(void *ctx, const struct run_event *event, struct err *e) {
    struct desk *d = ctx;
    struct call *c = d->active[event->ordinal];
    UNUSED(e);
    if (!c) return true;
    if (event->what != RUN_ENDED) {
        reply_event(c, event, &d->names);
        return true;
    }
    forget_active(d, event->ordinal);
    leave_queue(d, c); /* first: a client that has its answer finds the place free */
    end_call(d, c, event);
    let_go(d, c);
    return true;
}

static bool withdraw(struct desk *d, struct call *c) {
    for (size_t i = 0; i < d->n_waiting; i++) {
        if (d->waiting[i] != c) continue;
        d->waiting[i] = d->waiting[--d->n_waiting];
        return true;
    }
    return false;
}

/* Those that wait and are not to wait longer: gone, or past their deadline. */
static struct call *next_hopeless(struct desk *d, double now) {
    struct call *found = NULL;
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; !found && i < d->n_waiting; i++) {
        struct call *c = d->waiting[i];
        if (atomic_load(&c->gone) || now >= c->deadline) found = c;
    }
    if (found) withdraw(d, found);
    pthread_mutex_unlock(&d->lock);
    return found;
}

static void drop_hopeless(struct desk *d, double now) {
    struct call *c;
    while ((c = next_hopeless(d, now))) {
        struct refusal why;
        refuse(&why, 503, "brood.deadline", "deadline",
               "the deadline came while the request was in the queue");
        if (!atomic_load(&c->gone)) reply_refuse(c, &why);
        let_go(d, c);
    }
}

static struct call *next_call(struct desk *d) {
    struct call *c = NULL;
    pthread_mutex_lock(&d->lock);
    struct queue_place *p = queue_next(d->queue);
    if (p) {
        c = (struct call *)((char *)p - offsetof(struct call, place));
        withdraw(d, c);
        tell_queue(d);
    }
    pthread_mutex_unlock(&d->lock);
    return c;
}

/* The models failed it. */
static void fail_call(struct desk *d, struct call *c, double now, const struct err *e) {
    struct refusal why;
    d->is_well = false;
    d->failed = now;
    refuse(&why, 503, NULL, "models_failed", "%s", e->msg);
    reply_refuse(c, &why);
}

static void admit(struct desk *d, struct call *c, double now) {
    int ordinal = 0;
    struct err e;
    const char *failure = coordinator_verifier_failure(d->coordinator, c->answering.problem.verifier);
    if (failure) {
        err_set(&e, ERR_SERVICE, "the verifier failed: %s", failure);
        refuse_error(c, &e);
        let_go(d, c);
        return;
    }
    while (d->active[ordinal]) ordinal++;
    struct coordinator_problem *p = &c->answering.problem;
    p->ordinal = ordinal;
    p->client = c->place.client;
    p->budget.seconds = fmax(1e-3, fmin(p->budget.seconds, c->deadline - now));
    c->started = now;
    d->active[ordinal] = c;
    d->n_active++;
    if (coordinator_add(d->coordinator, p, &e)) return;
    forget_active(d, ordinal);
    if (e.code == ERR_SERVICE)
        fail_call(d, c, now, &e);
    else
        refuse_error(c, &e);
    let_go(d, c);
}

static void admit_all(struct desk *d, double now) {
    struct call *c;
    while (d->n_active < d->options->n_active_max && (c = next_call(d))) admit(d, c, now);
}

static void end_gone(struct desk *d) {
    for (int i = 0; i < d->options->n_active_max; i++) {
        if (d->active[i] && atomic_load(&d->active[i]->gone)) coordinator_end(d->coordinator, i, RUN_STOPPED);
    }
}

/* The models failed: so do all searches at work, and only those. */
static void fail_all(struct desk *d, double now, const struct err *e) {
    for (int i = 0; i < d->options->n_active_max; i++) {
        struct call *c = d->active[i];
        if (!c) continue;
        forget_active(d, i);
        fail_call(d, c, now, e);
        let_go(d, c);
    }
    renew_coordinator(d);
}

/* A search that writes one solution has nothing to choose: its text is sent while it is written. */
static bool writes_one(const struct call *c) {
    const struct search_spec *spec = &c->answering.spec;
    if (strcmp(spec->strategy->name, "greedy") == 0) return true;
    return strcmp(spec->strategy->name, "sample") == 0 && search_spec_get(spec, "n") <= 1;
}

static void send_text_so_far(struct desk *d, int ordinal, double now) {
    struct call *c = d->active[ordinal];
    struct buf text = {0};
    if (!c->request.stream || !writes_one(c) || now - c->written < text_seconds) return;
    if (coordinator_peek(d->coordinator, ordinal, &text)) reply_text(c, buf_str(&text), &d->names);
    buf_free(&text);
}

static void flush_all(struct desk *d, double now) {
    for (int i = 0; i < d->options->n_active_max; i++) {
        if (!d->active[i]) continue;
        send_text_so_far(d, i, now);
        reply_flush(d->active[i], now);
    }
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < d->n_waiting; i++) reply_flush(d->waiting[i], now);
    pthread_mutex_unlock(&d->lock);
}

/* Nobody sends requests to a server that says it is ill: so it does not say so for ever. */
static bool may_be_well(const struct desk *d, double now) {
    return d->n_active == 0 && now - d->failed > d->options->retry_seconds;
}

static void measure(struct desk *d, double now) {
    if (now - d->measured < metrics_seconds) return;
    d->measured = now;
    struct metrics_now m = {.policy = policy_computed(d->policy),
                            .policy_cache_bytes = policy_cache_bytes(d->policy),
                            .waste = coordinator_waste(d->coordinator),
                            .is_well = d->is_well || may_be_well(d, now)};
    if (d->reward) {
        m.reward = reward_computed(d->reward);
        m.reward_cache_bytes = reward_cache_bytes(d->reward);
    }
    for (int i = 0; i < d->declared.n_verifiers; i++)
        m.n_verifiers_failed +=
            coordinator_verifier_failure(d->coordinator, d->declared.verifiers[i].verifier) != NULL;
    metrics_set(d->metrics, &m);
}

/* One turn; false when nothing is left to do for now. */
static bool turn(struct desk *d) {
    const double now = clock_seconds();
    struct err e;
    int n_left = 0;
    drop_hopeless(d, now);
    admit_all(d, now);
    end_gone(d);
    if (d->n_active > 0) {
        d->is_well = coordinator_step(d->coordinator, &n_left, &e);
        if (!d->is_well) fail_all(d, now, &e);
    }
    flush_all(d, clock_seconds());
    measure(d, clock_seconds());
    return d->n_active > 0;
}

/* Until somebody wakes it, or what is to be sent to those who wait is due. */
static void sleep_a_while(struct desk *d) {
    enum { IDLE_MS = 1000 };
    struct pollfd fd = {d->wake_fd, POLLIN, 0};
    uint64_t n;
    d->measured = 0;
    measure(d, clock_seconds());
    if (poll(&fd, 1, IDLE_MS) > 0 && read(d->wake_fd, &n, sizeof n) < 0) return;
}

static bool nobody_waits(struct desk *d) {
    pthread_mutex_lock(&d->lock);
    const bool nobody = queue_waiting(d->queue) == 0;
    pthread_mutex_unlock(&d->lock);
    return nobody;
}

/* The time for draining is over: answers with what there is. */
static void end_all(struct desk *d) {
    struct err e = {0};
    struct call *c;
    struct refusal why;
    if (!coordinator_stop(d->coordinator, RUN_STOPPED, &e)) fail_all(d, clock_seconds(), &e);
    refuse(&why, 503, NULL, "shutting_down", "the server has ended before this request's turn");
    while ((c = next_call(d))) {
        reply_refuse(c, &why);
        let_go(d, c);
    }
}

void desk_run(struct desk *d) {
    double stopped = (double)INFINITY;
    for (;;) {
        const bool busy = turn(d);
        const double now = clock_seconds();
        if (desk_is_stopping(d) && isinf(stopped)) stopped = now;
        if (!busy && desk_is_stopping(d) && nobody_waits(d)) break;
        if (now - stopped > d->options->drain_seconds) {
            end_all(d);
            break;
        }
        if (!busy && nobody_waits(d)) sleep_a_while(d);
    }
}
