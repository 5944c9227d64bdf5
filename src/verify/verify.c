/* verify.c - see verify.h: which job runs when, on which worker, and what its end means. */
#include "verify/verify.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "verify/isolate.h"
#include "verify/seat.h"

enum {
    TRIES_MAX = 2,
    BREAKS_MAX = 2,
    STARTS_FAILED_MAX = 5,
    WORKERS_MAX = 64,
    PROGRAM_MAX = 8 << 20,
    IO_MAX = 16 << 20,
    AHEAD_MAX = 16 << 10, /* bytes of a job that a line takes while nobody reads it */
};
static const double start_seconds = 60, judge_grace_seconds = 2;

const char *const verify_level_names[] = {"filtered", "namespaces", NULL};
const char *const verify_verdict_names[] = {"passed",  "failed", "timed out", "crashed",
                                            "refused", "broken", NULL};
const struct verify_limits verify_limits_default = {
    .cpu_seconds = 3, .wall_seconds = 15, .memory_bytes = (size_t)1 << 30, .disk_bytes = 16 << 20};

struct jobs { /* a queue */
    struct job *first, *last;
    int n;
};

struct finished {
    struct finished *next;
    struct verify_result result;
    char *exception, *text, *detail; /* owned */
};

struct verify {
    struct verify_info info;
    struct worker_plan plan;
    struct seat *seats; /* [info.n_workers] */
    struct jobs fresh, again;
    struct finished *first, *last, *taken;
    int64_t n_serials;
    int n_in_flight, n_busy, n_starts_failed;
    bool alone; /* a second try is running */
    struct err failure;
};

/* ---- queues ---- */

static void jobs_push_first(struct jobs *q, struct job *j) {
    j->next = q->first;
    q->first = j;
    if (!q->last) q->last = j;
    q->n++;
}

static void jobs_push(struct jobs *q, struct job *j) {
    j->next = NULL;
    if (q->last)
        q->last->next = j;
    else
        q->first = j;
    q->last = j;
    q->n++;
}

static struct job *jobs_pop(struct jobs *q) {
    struct job *j = q->first;
    if (!j) return NULL;
    q->first = j->next;
    if (!q->first) q->last = NULL;
    q->n--;
    return j;
}

static bool jobs_remove(struct jobs *q, uint64_t id, struct job **out) {
    struct job *before = NULL;
    for (struct job *j = q->first; j; before = j, j = j->next) {
        if (j->id != id) continue;
        *(before ? &before->next : &q->first) = j->next;
        if (q->last == j) q->last = before;
        q->n--;
        *out = j;
        return true;
    }
    return false;
}

static void job_free(struct job *j) {
    if (!j) return;
    free(j->program);
    free(j->setup);
    free(j->tests);
    free(j->entry_point);
    for (size_t i = 0; i < j->n_io; i++) {
        free(j->tests_io[i].input);
        free(j->tests_io[i].output);
    }
    free(j->tests_io);
    free(j);
}

static void finished_free(struct finished *f) {
    if (!f) return;
    free(f->exception);
    free(f->text);
    free(f->detail);
    free(f);
}

/* ---- verdicts ---- */

static void seat_go_on(struct verify *v, struct seat *s, bool compile);

/* The job is over, one way or the other; r without id and text. Frees the job. */
static void conclude(struct verify *v, struct job *j, struct verify_result r, const char *exception,
                     const char *text) {
    if (j->cancelled) {
        job_free(j);
        return;
    }
    struct finished *f = mem_zalloc(1, sizeof *f);
    f->exception = mem_strdup(exception);
    f->text = mem_strdup(text);
    f->result = r;
    f->result.id = j->id;
    f->result.n_tries = MAX(j->n_tries, 1);
    f->result.exception = f->exception;
    f->result.text = f->text;
    f->detail = mem_strdup(r.detail ? r.detail : "");
    f->result.detail = f->detail;
    if (v->last)
        v->last->next = f;
    else
        v->first = f;
    v->last = f;
    job_free(j);
}

static void leave_seat(struct verify *v, struct seat *s) {
    json_decref(s->verdict);
    json_decref(s->report);
    s->verdict = s->report = NULL;
    s->job = NULL;
    s->state = SEAT_IDLE;
    v->n_busy--;
    v->alone = false;
}

/* The job that its worker was sent besides is another's again, as if it had not been sent. */
static void take_back(struct verify *v, struct seat *s) {
    struct ahead *a = &s->ahead;
    if (!a->job) return;
    jobs_push_first(&v->fresh, a->job);
    json_decref(a->verdict);
    json_decref(a->report);
    *a = (struct ahead){0};
}

/* Its worker may have begun the next already: from now on that is its job. */
static void go_on_to_ahead(struct verify *v, struct seat *s) {
    const struct ahead a = s->ahead;
    if (!a.job || s->state != SEAT_IDLE) return;
    s->ahead = (struct ahead){0};
    s->job = a.job;
    s->serial = s->key = a.serial;
    s->verdict = a.verdict;
    s->report = a.report;
    s->state = SEAT_BUSY;
    v->n_busy++;
    s->started = clock_seconds();
    s->deadline = s->started + (s->report ? judge_grace_seconds : s->job->limits.wall_seconds);
    s->wall_over = s->is_compile = s->end_sent = false;
    place_hold(&s->place, s->worker.pid, s->started);
}

/* A second try, alone, for what ran out of time; else it is over. */
static void settle(struct verify *v, struct seat *s, const struct verify_result *r, const char *exception,
                   const char *text) {
    struct job *j = s->job;
    j->n_tries++;
    if (r->verdict == VERIFY_TIMED_OUT && j->n_tries < TRIES_MAX && !j->cancelled)
        jobs_push(&v->again, j);
    else
        conclude(v, j, *r, exception, text);
    leave_seat(v, s);
}

/* One test of a program that prints, or that it was compiled. */
static void judge_io(struct verify *v, struct seat *s, struct verify_result r, const char *exception,
                     const char *text) {
    struct job *j = s->job;
    char where[1000];
    if (j->show && r.verdict != VERIFY_TIMED_OUT && !s->is_compile) {
        const int status = (int)json_integer_value(json_object_get(s->report, "status"));
        r.verdict = status == 0 ? VERIFY_PASSED : VERIFY_FAILED;
        settle(v, s, &r, "", outcome_text(s->verdict, "text"));
        return;
    }
    r.cpu_seconds = j->cpu_seconds += r.cpu_seconds;
    r.memory_bytes = j->memory_bytes = MAX(r.memory_bytes, j->memory_bytes);
    if (r.verdict == VERIFY_PASSED && !s->is_compile) j->n_held++;
    r.n_calls = (int)j->n_held + (r.verdict != VERIFY_PASSED && !s->is_compile);
    if (r.verdict == VERIFY_PASSED && j->n_held < j->n_io && !j->cancelled) {
        json_decref(s->verdict);
        json_decref(s->report);
        s->verdict = s->report = NULL;
        if (!s->is_compile) j->n_tries = 0; /* the next test has two tries of its own */
        seat_go_on(v, s, false);
        return;
    }
    snprintf(where, sizeof where, "test %d: %s",
             r.verdict == VERIFY_PASSED ? 0 : j->tests_io[j->n_held].i + 1, text);
    settle(v, s, &r, exception, r.verdict == VERIFY_PASSED || s->is_compile ? text : where);
}

/* Both have spoken, or the keeper alone: the judge is stuck in the tests. */
static void judge_seat(struct verify *v, struct seat *s) {
    struct verify_result r;
    struct buf detail = {0};
    const char *exception;
    char text[900];
    outcome_read(s, &r, &exception, text);
    outcome_detail(s, &r, &detail);
    if (s->job->n_io)
        judge_io(v, s, r, exception, text);
    else
        settle(v, s, &r, exception, text);
    buf_free(&detail);
}

/* The worker has ended or talks nonsense: its job has another try on a new one. */
static void break_seat(struct verify *v, struct seat *s) {
    struct job *j = s->job;
    if (s->ahead.job) s->ahead.job->apart = j->apart = true; /* whichever it was, the next time it is seen */
    take_back(v, s);
    if (j) {
        if (++j->n_breaks < BREAKS_MAX && !j->cancelled)
            jobs_push(&v->fresh, j);
        else
            conclude(v, j, (struct verify_result){.verdict = VERIFY_BROKEN}, "", "the sandbox ended twice");
        leave_seat(v, s);
    }
    worker_stop(&s->worker);
    s->state = SEAT_EMPTY;
}

/* ---- workers ---- */

static void seat_start(struct verify *v, struct seat *s) {
    if (worker_start(&s->worker, &v->plan, &v->failure)) {
        s->state = SEAT_STARTING;
        place_choose(&s->place, (int)(s - v->seats), v->info.n_workers);
        s->deadline = clock_seconds() + start_seconds;
    } else {
        v->n_starts_failed++;
    }
}

static void on_start_failed(struct verify *v, struct seat *s, const char *why) {
    err_set(&v->failure, ERR_SERVICE, "sandbox: %s", why[0] ? why : "its Python ended at once");
    v->n_starts_failed++;
    worker_stop(&s->worker);
    s->state = SEAT_EMPTY;
}

static void send_end(struct seat *s) {
    if (s->end_sent || s->report) return;
    worker_send_end(&s->worker, s->serial);
    s->end_sent = true;
}

/* The worker passes over it, or ends it where it has begun. */
static void withdraw(struct verify *v, struct seat *s) {
    if (!s->ahead.job) return;
    worker_send_end(&s->worker, s->ahead.serial);
    take_back(v, s);
}

static const struct verify_limits compile_limits = {.cpu_seconds = 30,
                                                    .wall_seconds = 120,
                                                    .memory_bytes = (size_t)4 << 30,
                                                    .disk_bytes = 64 << 20,
                                                    .n_processes = 16};

static json_t *command_of(char *const *words, const struct verify_language *l) {
    char source[64];
    json_t *command = json_array();
    snprintf(source, sizeof source, "/tmp/%s", l->source);
    for (int i = 0; words[i]; i++)
        json_array_append_new(command, json_string(strcmp(words[i], "{source}") == 0    ? source
                                                   : strcmp(words[i], "{program}") == 0 ? "/tmp/program"
                                                                                        : words[i]));
    return command;
}

/* One step of a program that prints: what the keeper is told besides its limits. */
static json_t *describe_step(const struct seat *s, const char *step) {
    const struct job *j = s->job;
    json_t *run =
        json_pack("{s:I, s:s, s:s}", "key", (json_int_t)s->key, "step", step, "program", j->program);
    if (j->language) {
        const struct verify_language *l = j->language;
        json_object_set_new(run, "source", json_string(l->source));
        json_object_set_new(run, "compiled", json_boolean(l->compile != NULL));
        json_object_set_new(run, "command", command_of(s->is_compile ? l->compile : l->run, l));
    }
    return run;
}

static json_t *describe_unit_tests(const struct job *j, int64_t serial) {
    return json_pack("{s:I, s:s, s:s, s:s, s:b}", "id", (json_int_t)serial, "setup", j->setup, "tests",
                     j->tests, "entry_point", j->entry_point, "tell", (int)j->tell);
}

static json_t *describe_tests(const struct seat *s, const char *step) {
    const struct job *j = s->job;
    const struct test *t = &j->tests_io[j->n_held];
    return json_pack("{s:I, s:s, s:b, s:o, s:o}", "id", (json_int_t)s->serial, "step", step, "tell",
                     (int)(j->tell && !t->hidden && !s->is_compile), "input",
                     s->is_compile ? json_string("") : json_stringn(t->input, t->n_input), "output",
                     s->is_compile ? json_string("") : json_stringn(t->output, t->n_output));
}

static bool send_unit(struct seat *s, const struct job *j, int64_t serial, const int pair[2]) {
    const struct worker_head head = {WORKER_UNIT, serial, j->limits};
    json_t *tests = describe_unit_tests(j, serial);
    ASSERT(tests);
    const bool ok = worker_send_unit(&s->worker, &head, j->entry_point, j->program, pair[0]) &&
                    worker_send(&s->worker, WORKER_JUDGE, tests, pair[1]);
    json_decref(tests);
    return ok;
}

static bool send_step(struct seat *s, const int pair[2]) {
    const char *step = s->is_compile ? "compile" : s->job->show ? "show" : "run";
    const struct worker_head head = {WORKER_STEP, s->serial, s->is_compile ? compile_limits : s->job->limits};
    json_t *run = describe_step(s, step), *tests = describe_tests(s, step);
    ASSERT(run && tests);
    const bool ok = worker_send_step(&s->worker, &head, run, pair[0]) &&
                    worker_send(&s->worker, WORKER_JUDGE, tests, pair[1]);
    json_decref(run);
    json_decref(tests);
    return ok;
}

/* True if both messages have gone out. */
static bool send_job(struct seat *s, const struct job *j, int64_t serial) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return false;
    const bool ok = j->n_io ? send_step(s, pair) : send_unit(s, j, serial, pair);
    close(pair[0]);
    close(pair[1]);
    return ok;
}

/* Sends its job, or the next step of it. */
static void seat_go_on(struct verify *v, struct seat *s, bool compile) {
    const struct verify_limits *limits = compile ? &compile_limits : &s->job->limits;
    s->is_compile = compile;
    s->serial = ++v->n_serials;
    s->started = clock_seconds();
    s->deadline = s->started + limits->wall_seconds;
    s->wall_over = s->end_sent = false;
    if (!send_job(s, s->job, s->serial)) break_seat(v, s);
}

static void seat_begin(struct verify *v, struct seat *s, struct job *j) {
    s->job = j;
    s->state = SEAT_BUSY;
    s->key = v->n_serials + 1;
    v->n_busy++;
    place_hold(&s->place, s->worker.pid, clock_seconds());
    seat_go_on(v, s, j->language && j->language->compile);
}

/* Whether its worker may be sent this one while it is at another: what it need not be asked about, and what
 * fits into its lines. A program that lasts keeps none waiting. */
static bool can_go_ahead(const struct seat *s, const struct job *j, double now) {
    return s->state == SEAT_BUSY && !s->ahead.job && !s->job->n_io && !j->n_io && !s->end_sent &&
           !s->job->apart && !j->apart && now < s->started + PLACE_SECONDS &&
           strlen(j->program) + strlen(j->setup) + strlen(j->tests) <= AHEAD_MAX;
}

static void send_ahead(struct verify *v, struct seat *s) {
    s->ahead = (struct ahead){.job = jobs_pop(&v->fresh), .serial = ++v->n_serials};
    if (!send_job(s, s->ahead.job, s->ahead.serial)) break_seat(v, s);
}

/* Second tries wait until nothing else runs or could run, and run one at a time. */
static void dispatch(struct verify *v) {
    for (int i = 0; i < v->info.n_workers; i++) {
        struct seat *s = &v->seats[i];
        if (s->state == SEAT_EMPTY && v->n_starts_failed < STARTS_FAILED_MAX) seat_start(v, s);
        if (s->state != SEAT_IDLE || v->alone) continue;
        if (v->fresh.n > 0) {
            seat_begin(v, s, jobs_pop(&v->fresh));
        } else if (v->again.n > 0 && v->n_busy == 0) {
            v->alone = true;
            seat_begin(v, s, jobs_pop(&v->again));
        }
    }
    const double now = v->fresh.n > 0 ? clock_seconds() : 0;
    for (int i = 0; i < v->info.n_workers && v->fresh.n > 0 && !v->alone; i++)
        if (can_go_ahead(&v->seats[i], v->fresh.first, now)) send_ahead(v, &v->seats[i]);
}

/* ---- events ---- */

static void on_message(struct verify *v, struct seat *s, enum worker_line line, json_t *m) {
    const char *key = line == WORKER_KEEPER ? "ended" : "judged";
    if (s->state == SEAT_STARTING && line == WORKER_KEEPER) {
        if (json_is_true(json_object_get(m, "ready"))) {
            s->state = SEAT_IDLE;
            v->n_starts_failed = 0;
            v->info.landlock = json_is_true(json_object_get(m, "landlock"));
        } else {
            on_start_failed(v, s, outcome_text(m, "error"));
        }
    } else if (s->state == SEAT_BUSY && json_integer_value(json_object_get(m, key)) == s->serial) {
        json_t **slot = line == WORKER_KEEPER ? &s->report : &s->verdict;
        if (!*slot) *slot = json_incref(m);
        if (line == WORKER_KEEPER && !s->verdict) s->deadline = clock_seconds() + judge_grace_seconds;
        while (s->state == SEAT_BUSY && s->verdict && s->report) {
            judge_seat(v, s);
            go_on_to_ahead(v, s);
        }
    } else if (s->ahead.job && json_integer_value(json_object_get(m, key)) == s->ahead.serial) {
        json_t **slot = line == WORKER_KEEPER ? &s->ahead.report : &s->ahead.verdict;
        if (!*slot) *slot = json_incref(m);
    }
    json_decref(m);
}

static void on_deadline(struct verify *v, struct seat *s) {
    if (s->state == SEAT_STARTING) {
        on_start_failed(v, s, "its Python does not start");
    } else if (s->report) { /* the judge has had its grace */
        s->wall_over = true;
        take_back(v, s);
        judge_seat(v, s);
        worker_stop(&s->worker);
        s->state = SEAT_EMPTY;
    } else if (s->wall_over) { /* the keeper does not answer */
        break_seat(v, s);
    } else {
        s->wall_over = true;
        s->deadline = clock_seconds() + start_seconds;
        send_end(s);
    }
}

static void listen_to(struct verify *v, struct seat *s, enum worker_line line) {
    json_t *m;
    int got = 0;
    while (s->state != SEAT_EMPTY && (got = worker_receive(&s->worker, line, &m)) > 0)
        on_message(v, s, line, m);
    if (got >= 0 || s->state == SEAT_EMPTY) return;
    if (s->state == SEAT_STARTING)
        on_start_failed(v, s, worker_last_words(&s->worker));
    else
        break_seat(v, s);
}

static void wait_for_events(struct verify *v, double seconds_max) {
    struct pollfd fds[WORKERS_MAX * WORKER_LINES];
    const double now = clock_seconds();
    double until = now + seconds_max;
    for (int i = 0; i < v->info.n_workers; i++) {
        const struct seat *s = &v->seats[i];
        for (int line = 0; line < WORKER_LINES; line++)
            fds[i * WORKER_LINES + line] =
                (struct pollfd){.fd = s->state == SEAT_EMPTY ? -1 : s->worker.fds[line], .events = POLLIN};
        if (s->state == SEAT_STARTING || s->state == SEAT_BUSY) until = MIN(until, s->deadline);
        if (s->state == SEAT_BUSY && (s->place.held || s->ahead.job))
            until = MIN(until, s->started + PLACE_SECONDS);
    }
    const double ms = MAX(0, (until - now) * 1000);
    if (poll(fds, (nfds_t)(v->info.n_workers * WORKER_LINES), (int)MIN(ms + 0.999, 1e6)) < 0) return;
    for (int i = 0; i < v->info.n_workers; i++) {
        struct seat *s = &v->seats[i];
        for (int line = 0; line < WORKER_LINES; line++) {
            if (fds[i * WORKER_LINES + line].revents) listen_to(v, s, (enum worker_line)line);
        }
        const double then = clock_seconds();
        if (s->state == SEAT_BUSY && then >= s->started + PLACE_SECONDS) {
            place_let_go(&s->place, s->worker.pid, then);
            withdraw(v, s);
        }
        if ((s->state == SEAT_STARTING || s->state == SEAT_BUSY) && then >= s->deadline) on_deadline(v, s);
    }
}

/* ---- the service ---- */

static bool has_worker(const struct verify *v, bool all) {
    int n = 0;
    for (int i = 0; i < v->info.n_workers; i++)
        n += v->seats[i].state == SEAT_IDLE || v->seats[i].state == SEAT_BUSY;
    return all ? n == v->info.n_workers : n > 0;
}

/* One known program through the whole machinery: what it says is that the sandbox can be set up. */
static bool try_out(struct verify *v, struct err *e) {
    const struct verify_job job = {
        .program = STR("def f(x): return x + 1\n"),
        .tests = {.code = STR("def check(f):\n    assert f(1) == 2 and f(-1) == 0\n"), .entry_point = "f"},
        .limits = {60, 60, (size_t)1 << 30, 16 << 20, 0}};
    struct verify_result r;
    verify_submit(v, &job);
    while (!verify_next(v, &r)) {
        if (verify_work(v, 1, e) < 0) return false;
    }
    if (r.verdict == VERIFY_PASSED) return true;
    return err_set(e, ERR_SERVICE, "sandbox: a program that is right %s: %s", verify_verdict_names[r.verdict],
                   r.text);
}

static bool open_at(struct verify *v, enum verify_level level, struct err *e) {
    const bool namespaces = level == VERIFY_NAMESPACES;
    v->info.level = v->plan.level = level;
    v->n_starts_failed = 0;
    if (!(v->plan.filter_keeper = isolate_filter(namespaces, ISOLATE_KEEPER, e)) ||
        !(v->plan.filter_compiler = isolate_filter(namespaces, ISOLATE_COMPILER, e)) ||
        !(v->plan.filter = isolate_filter(namespaces, ISOLATE_ON_KEEPER, e)))
        return false;
    if (namespaces && (!(v->plan.filter_command = isolate_filter(true, ISOLATE_COMMAND, e)) ||
                       !(v->plan.filter_processes = isolate_filter(true, ISOLATE_PROCESSES, e))))
        return false;
    while (!has_worker(v, true)) {
        for (int i = 0; i < v->info.n_workers; i++) {
            if (v->seats[i].state == SEAT_EMPTY) seat_start(v, &v->seats[i]);
        }
        if (v->n_starts_failed > 0) {
            *e = v->failure;
            return false;
        }
        wait_for_events(v, 1);
    }
    if (level == VERIFY_FILTERED && !v->info.landlock)
        return err_set(e, ERR_SERVICE, "sandbox: this kernel has no Landlock");
    return try_out(v, e);
}

static void close_workers(struct verify *v) {
    for (int i = 0; i < v->info.n_workers; i++) {
        struct seat *s = &v->seats[i];
        job_free(s->job);
        job_free(s->ahead.job);
        json_decref(s->ahead.verdict);
        json_decref(s->ahead.report);
        json_decref(s->verdict);
        json_decref(s->report);
        if (s->state != SEAT_EMPTY) worker_stop(&s->worker);
        *s = (struct seat){0};
    }
    char **const filters[] = {&v->plan.filter_keeper, &v->plan.filter, &v->plan.filter_command,
                              &v->plan.filter_processes, &v->plan.filter_compiler};
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        free(*filters[i]);
        *filters[i] = NULL;
    }
    for (struct job *j; (j = jobs_pop(&v->fresh)) || (j = jobs_pop(&v->again));) job_free(j);
    for (struct finished *f; (f = v->first); finished_free(f)) v->first = f->next;
    finished_free(v->taken);
    v->last = v->taken = NULL;
    v->n_in_flight = v->n_busy = 0;
    v->alone = false;
}

struct verify *verify_open(const struct verify_options *o, struct err *e) {
    struct verify *v = mem_zalloc(1, sizeof *v);
    struct err first = {0};
    ASSERT(o->least <= o->highest && o->highest < VERIFY_LEVELS);
    v->info.n_workers = MIN(o->n_workers > 0 ? o->n_workers : pool_cores(), WORKERS_MAX);
    v->info.n_wanted = 3 * v->info.n_workers;
    v->seats = mem_zalloc((size_t)v->info.n_workers, sizeof *v->seats);
    v->plan.readable = o->readable;
    bool ok = python_find(o->python, &v->plan.python, e);
    if (!ok) goto done;
    v->info.python = v->plan.python.path;
    v->info.version = v->plan.python.version;
    int level = (int)o->highest;
    while (!(ok = open_at(v, (enum verify_level)level, e))) {
        close_workers(v);
        if (!first.code) first = *e;
        if (--level < (int)o->least) break;
    }
    if (!ok)
        err_set(e, ERR_SERVICE, "isolation '%s' cannot be reached: %s%s", verify_level_names[o->highest],
                first.msg,
                o->least > VERIFY_FILTERED ? "; --isolation filtered accepts less (seccomp and Landlock)"
                                           : "");
done:
    if (!ok) {
        verify_close(v);
        v = NULL;
    }
    return v;
}

void verify_close(struct verify *v) {
    if (!v) return;
    close_workers(v);
    python_free(&v->plan.python);
    free(v->seats);
    free(v);
}

const struct verify_info *verify_info(const struct verify *v) {
    return &v->info;
}

static bool is_text(struct str s) {
    json_t *o = json_stringn(s.ptr ? s.ptr : "", s.len);
    json_decref(o);
    return o != NULL;
}

/* Why it cannot be run here at all; NULL if it can. */
static const char *unfit(const struct verify *v, const struct verify_job *job) {
    if (job->program.len > PROGRAM_MAX) return "the program is longer than 8 MiB";
    if (memchr(job->program.ptr, 0, job->program.len)) return "the program has a NUL character in it";
    if (job->limits.n_processes > 0 && v->info.level < VERIFY_NAMESPACES)
        return "programs that start processes need isolation by namespaces";
    if (job->language && v->info.level < VERIFY_NAMESPACES)
        return "programs in declared languages need isolation by namespaces";
    for (size_t i = 0; i < job->tests.n_io; i++) {
        const struct verify_io *t = &job->tests.io[i];
        if (t->input.len > IO_MAX || t->output.len > IO_MAX) return "a test is longer than 16 MiB";
        if (!is_text(t->input) || !is_text(t->output)) return "a test is no UTF-8 text";
    }
    return NULL;
}

static int compare_sizes(const void *a, const void *b) {
    const struct test *x = a, *y = b;
    const size_t m = x->n_input + x->n_output, n = y->n_input + y->n_output;
    if (x->hidden != y->hidden) return x->hidden ? 1 : -1;
    return m < n ? -1 : m > n ? 1 : x->i - y->i;
}

static void take_io(struct job *j, const struct verify_tests *t) {
    j->n_io = t->n_io;
    j->tests_io = mem_zalloc(t->n_io + 1, sizeof *j->tests_io);
    for (size_t i = 0; i < t->n_io; i++)
        j->tests_io[i] =
            (struct test){str_dup(t->io[i].input), str_dup(t->io[i].output),   t->io[i].input.len,
                          t->io[i].output.len,     t->tell && t->io[i].hidden, (int)i};
    qsort(j->tests_io, j->n_io, sizeof *j->tests_io, compare_sizes);
}

void verify_submit(struct verify *v, const struct verify_job *job) {
    ASSERT(job->tests.n_io > 0 || (!job->language && job->tests.entry_point));
    ASSERT(job->limits.cpu_seconds > 0 && job->limits.wall_seconds > 0);
    struct job *j = mem_zalloc(1, sizeof *j);
    j->id = job->id;
    j->program = str_dup(job->program);
    j->setup = str_dup(job->tests.setup);
    j->tests = str_dup(job->tests.code);
    j->entry_point = mem_strdup(job->tests.entry_point ? job->tests.entry_point : "");
    j->limits = job->limits;
    j->language = job->language;
    j->show = job->tests.show;
    j->tell = job->tests.tell;
    v->n_in_flight++;
    const char *why = unfit(v, job);
    if (!why) take_io(j, &job->tests);
    if (why)
        conclude(v, j, (struct verify_result){.verdict = VERIFY_REFUSED}, "", why);
    else
        jobs_push(&v->fresh, j);
}

void verify_cancel(struct verify *v, uint64_t id) {
    struct job *j;
    for (int i = 0; i < v->info.n_workers; i++) {
        struct seat *s = &v->seats[i];
        if (s->ahead.job && s->ahead.job->id == id) withdraw(v, s); /* to those that wait */
    }
    if (jobs_remove(&v->fresh, id, &j) || jobs_remove(&v->again, id, &j)) {
        job_free(j);
        v->n_in_flight--;
        return;
    }
    for (int i = 0; i < v->info.n_workers; i++) {
        struct seat *s = &v->seats[i];
        if (!s->job || s->job->id != id || s->job->cancelled) continue;
        s->job->cancelled = true;
        send_end(s);
        v->n_in_flight--;
        return;
    }
    struct finished *before = NULL;
    for (struct finished *f = v->first; f; before = f, f = f->next) {
        if (f->result.id != id) continue;
        *(before ? &before->next : &v->first) = f->next;
        if (v->last == f) v->last = before;
        finished_free(f);
        v->n_in_flight--;
        return;
    }
}

int verify_work(struct verify *v, double seconds_max, struct err *e) {
    dispatch(v);
    if (v->n_in_flight == 0) return 0;
    if (v->first) return 1; /* there is something to take */
    if (v->n_starts_failed >= STARTS_FAILED_MAX && !has_worker(v, false)) {
        *e = v->failure;
        return -1;
    }
    wait_for_events(v, seconds_max);
    dispatch(v);
    return 1;
}

bool verify_next(struct verify *v, struct verify_result *out) {
    finished_free(v->taken);
    struct finished *f = v->taken = v->first;
    if (!f) return false;
    v->first = f->next;
    if (!v->first) v->last = NULL;
    v->n_in_flight--;
    *out = f->result;
    return true;
}

int verify_in_flight(const struct verify *v) {
    return v->n_in_flight;
}
