/* checker.c - see checker.h. */
#include "verify/checker.h"
#include "verify/fence.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"

enum { SEATS_MAX = 64, BATCH_MAX = 256, SAID_MAX = 4 << 20, STARTS_FAILED_MAX = 3, TRIES_MAX = 2 };
static const double start_seconds = 120;

struct seat {
    struct process process;
    bool greeted;
    struct check_memo memo;
    struct check *checks[BATCH_MAX]; /* [n] under way */
    int n, n_runs;
    double heard; /* when it was started, or last said something, or was given work while it had none */
};

struct checker {
    struct verifier base;
    const struct checker_ops *ops;
    struct settings settings; /* with strings of its own */
    char *words[PROCESS_WORDS_MAX + 1];
    struct seat *seats;
    int n_seats, batch;
    struct check *first, *last; /* waiting */
    struct check *again;        /* to be tried alone */
    int n_in_flight, n_starts_failed;
    long n_numbers;
    struct verdict_queue answers;
    struct err failure;
};

/* ---- checks ---- */

static void check_free(struct check *k) {
    free(k->problem_id);
    free(k->prompt);
    free(k->line);
    free(k->solution);
    free(k);
}

static void decide(struct checker *c, struct check *k, struct check_answer *a) {
    const struct verifier_result r = {.id = k->id,
                                      .verdict = a->verdict,
                                      .score = a->score,
                                      .n_executions = k->n_tries,
                                      .seconds = k->began > 0 ? clock_seconds() - k->began : 0};
    if (!k->cancelled) {
        verdict_queue_add(&c->answers, &r, buf_str(&a->feedback));
        c->n_in_flight--;
    }
    buf_free(&a->feedback);
    check_free(k);
}

static void decide_as(struct checker *c, struct check *k, enum verifier_verdict verdict, const char *why) {
    struct check_answer a = {.verdict = verdict, .score = (double)NAN};
    buf_printf(&a.feedback, "%s", why);
    decide(c, k, &a);
}

/* The try came to nothing: once more, alone; then it is over. */
static void try_again(struct checker *c, struct check *k, bool too_slow, const char *why) {
    char text[300];
    k->stage = 0;
    k->alone = true;
    if (k->cancelled) {
        check_free(k);
    } else if (k->n_tries < TRIES_MAX) {
        k->next = c->again;
        c->again = k;
    } else if (too_slow) {
        snprintf(text, sizeof text, "No verdict within %g s.", c->settings.seconds);
        decide_as(c, k, VERIFIER_REJECTED, text);
    } else {
        snprintf(text, sizeof text, "verifier %s: %s, twice", c->ops->name, why);
        decide_as(c, k, VERIFIER_UNKNOWN, text);
    }
}

static void take_off(struct seat *s, const struct check *k) {
    int n = 0;
    for (int i = 0; i < s->n; i++)
        if (s->checks[i] != k) s->checks[n++] = s->checks[i];
    s->n = n;
}

/* ---- seats ---- */

static bool start(struct checker *c, struct seat *s, const struct process_file *files, int n_files) {
    struct process_plan plan = {.words = c->words,
                                .sandbox = c->settings.sandbox,
                                .errors_too = c->ops->errors_too,
                                .memory_bytes = (size_t)c->settings.memory_mib << 20,
                                .n_read = c->settings.n_read,
                                .n_files = n_files};
    for (int i = 0; i < plan.n_read; i++) plan.read[i] = c->settings.read[i];
    for (int i = 0; i < n_files; i++) plan.files[i] = files[i];
    s->greeted = !c->ops->greeted;
    s->n_runs = 0;
    s->memo = (struct check_memo){0};
    s->heard = clock_seconds();
    if (process_start(&s->process, &plan, &c->failure)) return true;
    c->n_starts_failed++;
    return false;
}

/* Ends the process; what was under way is tried again. */
static void fail_seat(struct checker *c, struct seat *s, bool too_slow, const char *why) {
    process_stop(&s->process);
    while (s->n > 0) {
        struct check *k = s->checks[--s->n];
        /* Of several, who broke it is not known: each has its try alone. */
        try_again(c, k, too_slow, why);
    }
}

static void begin_one_shot(struct checker *c, struct seat *s, struct check *k) {
    struct process_file files[PROCESS_FILES_MAX] = {{0}};
    struct check_answer a = {.score = (double)NAN};
    int n_files = 0;
    if (!c->ops->files(&c->settings, k, files, &n_files, &a)) {
        decide(c, k, &a);
        return;
    }
    k->n_tries++;
    if (start(c, s, files, n_files)) {
        s->checks[s->n++] = k;
        c->n_starts_failed = 0;
    } else {
        try_again(c, k, false, c->failure.msg);
    }
    for (int i = 0; i < n_files; i++) free((char *)(uintptr_t)files[i].text.ptr);
}

/* Sends a check's next message. */
static void ask(struct checker *c, struct seat *s, struct check *k) {
    struct check_answer a = {.score = (double)NAN};
    struct buf text = {0};
    if (c->ops->ask(&c->settings, k, &text, &a)) {
        process_send(&s->process, buf_str(&text));
    } else {
        take_off(s, k);
        decide(c, k, &a);
    }
    buf_free(&text);
}

static struct check *next_check(struct checker *c, bool idle) {
    struct check *k = NULL;
    if (c->first) {
        k = c->first;
        c->first = k->next;
        if (!c->first) c->last = NULL;
    } else if (c->again && idle) {
        k = c->again;
        c->again = k->next;
    }
    if (k && !(k->began > 0)) k->began = clock_seconds();
    return k;
}

static void fill_staying(struct checker *c, struct seat *s) {
    if (s->process.pid > 0 && s->n == 0 && c->settings.runs > 0 && s->n_runs >= c->settings.runs)
        process_stop(&s->process);
    if (s->process.pid == 0) {
        if (!c->first && !c->again) return;
        struct buf text = {0};
        if (!start(c, s, NULL, 0)) return;
        if (c->ops->greet) c->ops->greet(&c->settings, &text);
        process_send(&s->process, buf_str(&text));
        buf_free(&text);
    }
    while (s->greeted && s->n < c->batch && (s->n == 0 || !s->checks[0]->alone)) {
        if (c->settings.runs > 0 && s->n_runs >= c->settings.runs) break;
        struct check *k = next_check(c, s->n == 0);
        if (!k) break;
        if (s->n == 0) s->heard = clock_seconds();
        k->n_tries++;
        k->number = ++c->n_numbers;
        k->memo = &s->memo;
        s->n_runs++;
        s->checks[s->n++] = k;
        ask(c, s, k);
    }
}

static void dispatch(struct checker *c) {
    for (int i = 0; i < c->n_seats && c->n_starts_failed < STARTS_FAILED_MAX; i++) {
        struct seat *s = &c->seats[i];
        if (c->ops->stays) {
            fill_staying(c, s);
        } else {
            struct check *k;
            while (s->n == 0 && (k = next_check(c, true))) begin_one_shot(c, s, k);
        }
    }
}

/* ---- what they say ---- */

static void end_one_shot(struct checker *c, struct seat *s) {
    struct check *k = s->checks[0];
    struct check_answer a = {.score = (double)NAN};
    const char *why = "it ended without a verdict";
    const int status = process_stop(&s->process);
    s->n = 0;
    if (!k->cancelled && c->ops->judge(&c->settings, k, status, buf_str(&s->process.out), &a, &why)) {
        decide(c, k, &a);
        return;
    }
    buf_free(&a.feedback);
    try_again(c, k, false, why);
}

/* One message; false with *why where it makes no sense. */
static bool hear(struct checker *c, struct seat *s, const json_t *m, const char **why) {
    struct check_answer a = {.score = (double)NAN};
    if (!s->greeted) {
        s->greeted = c->ops->greeted(m, why);
        if (s->greeted) c->n_starts_failed = 0;
        return s->greeted;
    }
    struct check *k = c->ops->of(s->checks, s->n, m);
    *why = "it answered what it was not asked";
    if (!k) return false;
    const int got = c->ops->hear(&c->settings, k, m, &a, why);
    if (got == 0) ask(c, s, k);
    if (got > 0) {
        take_off(s, k);
        decide(c, k, &a);
    } else {
        buf_free(&a.feedback);
    }
    return got >= 0;
}

static void listen_staying(struct checker *c, struct seat *s) {
    struct buf *out = &s->process.out;
    const char *why = "it talks without end";
    size_t n;
    bool sane = true;
    while (sane && (n = c->ops->message(buf_str(out))) > 0) {
        struct err e;
        const struct str text = str_trim((struct str){out->ptr, n});
        json_t *m = text.len > 0 ? json_parse(text, "message", &e) : NULL;
        why = "it said what is no JSON";
        sane = text.len == 0 || (m && hear(c, s, m, &why));
        json_decref(m);
        s->heard = clock_seconds();
        memmove(out->ptr, out->ptr + n, out->len - n);
        out->len -= n;
    }
    if (sane && !s->process.ended) return;
    if (sane) why = "it ended";
    if (!s->greeted) {
        err_set(&c->failure, ERR_SERVICE, "verifier %s: %s before it was ready", c->ops->name, why);
        c->n_starts_failed++;
    }
    fail_seat(c, s, false, why);
}

static void listen_to(struct checker *c, struct seat *s) {
    if (!process_exchange(&s->process, SAID_MAX))
        fail_seat(c, s, false, "it said more than 4 MiB");
    else if (c->ops->stays)
        listen_staying(c, s);
    else if (s->process.ended)
        end_one_shot(c, s);
}

static double deadline_of(const struct checker *c, const struct seat *s) {
    if (s->n == 0 && s->greeted) return INFINITY;
    return s->heard + (s->greeted ? c->settings.seconds : start_seconds);
}

static void wait_for_events(struct checker *c, double seconds_max) {
    struct pollfd fds[2 * SEATS_MAX];
    double until = clock_seconds() + seconds_max;
    for (int i = 0; i < c->n_seats; i++) {
        const struct seat *s = &c->seats[i];
        const bool runs = s->process.pid > 0;
        fds[2 * i] = (struct pollfd){.fd = runs ? s->process.from : -1, .events = POLLIN};
        fds[2 * i + 1] = (struct pollfd){
            .fd = runs && s->process.n_sent < s->process.unsent.len ? s->process.to : -1, .events = POLLOUT};
        if (runs) until = MIN(until, deadline_of(c, s));
    }
    const double ms = MAX(0, (until - clock_seconds()) * 1000);
    if (poll(fds, (nfds_t)(2 * c->n_seats), (int)MIN(ms + 0.999, 1e6)) < 0) return;
    for (int i = 0; i < c->n_seats; i++) {
        struct seat *s = &c->seats[i];
        if (s->process.pid > 0 && (fds[2 * i].revents || fds[2 * i + 1].revents)) listen_to(c, s);
        if (s->process.pid == 0 || clock_seconds() < deadline_of(c, s)) continue;
        if (!s->greeted) {
            err_set(&c->failure, ERR_SERVICE, "verifier %s: it was not ready within %g s", c->ops->name,
                    start_seconds);
            c->n_starts_failed++;
        }
        fail_seat(c, s, true, "it did not answer in time");
    }
}

/* ---- the service ---- */

static void checker_close(struct verifier *v) {
    struct checker *c = (struct checker *)v;
    for (int i = 0; i < c->n_seats; i++) {
        struct seat *s = &c->seats[i];
        if (s->process.pid > 0) process_stop(&s->process);
        buf_free(&s->process.out);
        for (int j = 0; j < s->n; j++) check_free(s->checks[j]);
    }
    for (struct check *k, *next = c->first; (k = next); check_free(k)) next = k->next;
    for (struct check *k, *next = c->again; (k = next); check_free(k)) next = k->next;
    free(c->seats);
    process_words_free(c->words);
    settings_fini(&c->settings);
    verdict_queue_free(&c->answers);
    free(c);
}

static void checker_submit(struct verifier *v, const struct verifier_job *job) {
    struct checker *c = (struct checker *)v;
    struct check *k = mem_zalloc(1, sizeof *k);
    *k = (struct check){.id = job->id,
                        .problem_id = mem_strdup(job->problem.id),
                        .prompt = mem_strdup(job->problem.prompt),
                        .line = str_dup(job->problem.line),
                        .solution = str_dup(job->solution)};
    if (c->last)
        c->last->next = k;
    else
        c->first = k;
    c->last = k;
    c->n_in_flight++;
}

static bool unlink_check(struct check **list, uint64_t id) {
    for (; *list; list = &(*list)->next) {
        if ((*list)->id != id) continue;
        struct check *k = *list;
        *list = k->next;
        check_free(k);
        return true;
    }
    return false;
}

static void checker_cancel(struct verifier *v, uint64_t id) {
    struct checker *c = (struct checker *)v;
    if (verdict_queue_cancel(&c->answers, id)) return;
    if (unlink_check(&c->first, id)) {
        c->last = c->first;
        while (c->last && c->last->next) c->last = c->last->next;
        c->n_in_flight--;
        return;
    }
    if (unlink_check(&c->again, id)) {
        c->n_in_flight--;
        return;
    }
    for (int i = 0; i < c->n_seats; i++) {
        for (int j = 0; j < c->seats[i].n; j++) {
            if (c->seats[i].checks[j]->id != id || c->seats[i].checks[j]->cancelled) continue;
            c->seats[i].checks[j]->cancelled = true;
            c->n_in_flight--;
            if (!c->ops->stays) fail_seat(c, &c->seats[i], false, "");
            return;
        }
    }
}

static int checker_work(struct verifier *v, double seconds_max, struct err *e) {
    struct checker *c = (struct checker *)v;
    dispatch(c);
    if (c->n_in_flight > 0 && verdict_queue_length(&c->answers) == 0) wait_for_events(c, seconds_max);
    dispatch(c);
    if (c->n_starts_failed >= STARTS_FAILED_MAX) {
        *e = c->failure;
        return -1;
    }
    return c->n_in_flight + (int)verdict_queue_length(&c->answers);
}

static bool checker_next(struct verifier *v, struct verifier_result *out) {
    return verdict_queue_next(&((struct checker *)v)->answers, out);
}

static int checker_in_flight(const struct verifier *v) {
    const struct checker *c = (const struct checker *)v;
    return c->n_in_flight + (int)verdict_queue_length(&c->answers);
}

static const struct verifier_ops checker_verifier_ops = {
    .close = checker_close,
    .submit = checker_submit,
    .cancel = checker_cancel,
    .work = checker_work,
    .next = checker_next,
    .in_flight = checker_in_flight,
};

/* ---- opening ---- */

static uint64_t identity_of(const struct checker *c) {
    uint64_t hash = rng_hash(0, c->ops->name, strlen(c->ops->name));
    for (int i = 0; c->words[i]; i++) hash = rng_hash(hash, c->words[i], strlen(c->words[i]) + 1);
    hash = rng_hash(hash, &c->settings.seconds, sizeof c->settings.seconds);
    return c->settings.accept ? rng_hash(hash, c->settings.accept, strlen(c->settings.accept)) : hash;
}

/* In the sandbox, can anything be started at all? */
static bool try_out(struct checker *c, struct err *e) {
    char *const words[] = {"/bin/true", NULL};
    struct process_plan plan = {.words = words, .sandbox = true};
    struct process p = {.to = -1, .from = -1};
    if (!process_start(&p, &plan, e)) return err_wrap(e, "verifier %s", c->ops->name);
    const double until = clock_seconds() + start_seconds;
    while (!p.ended && clock_seconds() < until) {
        struct pollfd fd = {.fd = p.from, .events = POLLIN};
        if (poll(&fd, 1, 100) < 0 || !process_exchange(&p, SAID_MAX)) break;
    }
    const int status = process_stop(&p);
    const bool ok = status == 0;
    if (!ok)
        err_set(e, ERR_SERVICE,
                "verifier %s: no sandbox by namespaces can be had here (%.120s): sandbox=off runs it without",
                c->ops->name, p.out.len > 0 ? buf_cstr(&p.out) : "mount or setpriv failed");
    buf_free(&p.out);
    return ok;
}

struct verifier *checker_open(const struct checker_ops *ops, const struct settings *s,
                              const struct verifier_options *o, const char *command, struct err *e) {
    struct checker *c = mem_zalloc(1, sizeof *c);
    c->base.ops = &checker_verifier_ops;
    c->ops = ops;
    settings_copy(&c->settings, s);
    const int asked = s->n_workers > 0 ? s->n_workers : o->n_workers;
    c->n_seats = MIN(asked > 0 ? asked : pool_cores(), SEATS_MAX);
    c->batch = ops->stays ? MIN(MAX(s->batch, 1), BATCH_MAX) : 1;
    c->seats = mem_zalloc((size_t)c->n_seats, sizeof *c->seats);
    for (int i = 0; i < c->n_seats; i++) c->seats[i].process = (struct process){.to = -1, .from = -1};
    const struct process_plan plan = {.words = c->words, .sandbox = s->sandbox};
    if (!process_words(s->rest && s->rest[0] ? s->rest : command, c->words, e) ||
        !process_can_run(&plan, e)) {
        err_wrap(e, "verifier %s", ops->name);
    } else if (!s->sandbox || try_out(c, e)) {
        c->base.info.n_wanted = 2 * c->n_seats * c->batch;
        verifier_set_identity(&c->base, identity_of(c));
        return &c->base;
    }
    checker_close(&c->base);
    return NULL;
}

/* ---- what kinds share ---- */

char *checker_field(const struct check *k, const char *key) {
    struct err e;
    json_t *o = k->line[0] ? json_parse(str_from(k->line), k->problem_id, &e) : NULL;
    const char *value = json_string_value(json_object_get(o, key));
    char *text = mem_strdup(value ? value : "");
    json_decref(o);
    return text;
}

struct str checker_block(struct str text) {
    struct str chosen = str_trim(text), block;
    for (size_t at = 0; fence_next(text, &at, STR("```"), &block);) chosen = block;
    return chosen;
}
