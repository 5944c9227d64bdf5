/* patches.c - the verifier `patch`: a solution is a patch to a repository at a commit, and named tests have
 * to pass (repository.h): patch,clones=FOLDER[:COMMAND].
 *
 * The named tests are those by which SWE-bench grades, and nobody who writes a patch is shown them: of a
 * patch that fails them, feedback says that it does, in the same words whatever it did, and there is no
 * score. What is wrong with the patch itself (it does not apply, it touches the tests) is said. show=given:
 * for tasks whose tests may be known, feedback names the first that fails, and the score is the share that
 * passes.
 *
 * The problem's line is a task of SWE-bench; its own `patch` is not shown. The solution is a unified diff:
 * the last block between lines of ``` that has one, or all from its first header on. COMMAND runs the tests
 * on a copy, in the sandbox; with sandbox=off outside of it, as a container's.
 *
 * A copy and its tests take seconds: each of `workers` threads has a folder, a sandbox and one patch at a
 * time. What they share lies under one lock. A patch whose task cannot be run (no clone, no such commit) is
 * VERIFIER_UNKNOWN; a sandbox that fails three times in a row ends the service.
 */
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "verify/fence.h"
#include "verify/kinds.h"
#include "verify/repository.h"

enum { DESKS_MAX = 64, FAILURES_MAX = 3 };
static const char default_command[] = "/usr/bin/python3 -m unittest -v {tests}";
static const double default_cpu_seconds = 60;
static const char unseen[] = "The patch applies, but tests of the task that are not shown do not pass.";

struct order { /* a patch to be judged */
    struct order *next;
    uint64_t id;
    char *problem_id, *line, *patch; /* owned */
};

struct desk { /* a thread with what it needs */
    struct patches *owner;
    pthread_t thread;
    bool has_thread;
    struct repository_way way;
    struct repository_folder work;
    _Atomic bool stop;   /* the patch at hand is not wanted any more */
    struct order *order; /* at hand; NULL: none. Under the lock, as all below */
};

struct patches {
    struct verifier base;
    struct desk *desks; /* [n_desks] */
    int n_desks;
    char *clones, *command; /* owned */
    pthread_mutex_t lock;
    pthread_cond_t wanted, decided;
    struct order *first, *last; /* waiting */
    struct verdict_queue answers;
    int n_in_flight, n_failures; /* not decided yet; of the sandbox, in a row */
    bool closing, tells;         /* tells: feedback names tests */
    struct err failure;
};

static void order_free(struct order *o) {
    if (!o) return;
    free(o->problem_id);
    free(o->line);
    free(o->patch);
    free(o);
}

/* ---- from a solution to a patch ---- */

/* Where a line of the text begins that heads a diff; -1: nowhere. */
static ptrdiff_t find_diff(struct str text) {
    for (size_t at = 0; at < text.len;) {
        const struct str rest = {text.ptr + at, text.len - at};
        if (str_starts(rest, STR("diff --git ")) || str_starts(rest, STR("--- "))) return (ptrdiff_t)at;
        const char *end = memchr(rest.ptr, '\n', rest.len);
        if (!end) break;
        at = (size_t)(end - text.ptr) + 1;
    }
    return -1;
}

/* Owned. */
static char *patch_of(struct str text) {
    struct str chosen = text, block;
    for (size_t at = 0; fence_next(text, &at, STR("\n```"), &block);)
        if (find_diff(block) >= 0) chosen = block;
    const ptrdiff_t from = find_diff(chosen);
    struct buf out = {0};
    if (from > 0) chosen = (struct str){chosen.ptr + from, chosen.len - (size_t)from};
    buf_add_str(&out, chosen);
    if (out.len > 0 && out.ptr[out.len - 1] != '\n') buf_add_char(&out, '\n');
    buf_add(&out, "", 0);
    return buf_take(&out);
}

/* ---- the threads ---- */

/* Judges the desk's order; without the lock. False: it was not wanted any more. */
static bool judge(struct desk *d, struct verifier_result *r, struct buf *feedback, struct err *failure) {
    struct repository_task task;
    struct repository_verdict verdict = {0};
    struct err e = {0};
    const double began = clock_seconds();
    *failure = (struct err){0};
    *r = (struct verifier_result){.id = d->order->id, .verdict = VERIFIER_UNKNOWN, .score = (double)NAN};
    bool ok = repository_task_read(str_from(d->order->line), &task, d->order->problem_id, &e);
    if (ok) {
        ok = repository_judge(&task, d->order->patch, &d->way, &verdict, &e);
        repository_task_free(&task);
    }
    r->n_executions = 1;
    r->seconds = clock_seconds() - began;
    if (ok) {
        const bool ran = verdict.n_tests > 0;
        r->verdict = verdict.passed ? VERIFIER_PASSED : VERIFIER_REJECTED;
        if (d->owner->tells && ran) r->score = (double)verdict.n_passed / verdict.n_tests;
        if (!verdict.passed)
            buf_add_str(feedback, d->owner->tells || !ran ? buf_str(&verdict.why) : STR(unseen));
    } else {
        if (e.code == ERR_SERVICE) *failure = e;
        buf_printf(feedback, "%s", e.msg);
    }
    repository_verdict_fini(&verdict);
    return ok || e.code != ERR_CANCELLED;
}

static void take_order(struct patches *p, struct desk *d) {
    d->order = p->first;
    p->first = d->order->next;
    if (!p->first) p->last = NULL;
    d->stop = false;
}

static void *sit(void *ctx) {
    struct desk *d = ctx;
    struct patches *p = d->owner;
    pthread_mutex_lock(&p->lock);
    while (!p->closing) {
        if (!p->first) {
            pthread_cond_wait(&p->wanted, &p->lock);
            continue;
        }
        struct verifier_result r;
        struct buf feedback = {0};
        struct err failure;
        take_order(p, d);
        pthread_mutex_unlock(&p->lock);
        const bool done = judge(d, &r, &feedback, &failure);
        pthread_mutex_lock(&p->lock);
        if (done && !d->stop) {
            verdict_queue_add(&p->answers, &r, buf_str(&feedback));
            p->n_in_flight--;
            p->n_failures = failure.code ? p->n_failures + 1 : 0;
            if (failure.code) p->failure = failure;
        }
        order_free(d->order);
        d->order = NULL;
        buf_free(&feedback);
        pthread_cond_signal(&p->decided);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- the service ---- */

static void patches_close(struct verifier *v) {
    struct patches *p = (struct patches *)v;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    for (int i = 0; i < p->n_desks; i++) p->desks[i].stop = true;
    pthread_cond_broadcast(&p->wanted);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_desks; i++) {
        struct desk *d = &p->desks[i];
        if (d->has_thread) pthread_join(d->thread, NULL);
        verify_close(d->way.verify);
        repository_folder_remove(&d->work);
    }
    for (struct order *o, *next = p->first; (o = next); order_free(o)) next = o->next;
    verdict_queue_free(&p->answers);
    pthread_cond_destroy(&p->wanted);
    pthread_cond_destroy(&p->decided);
    pthread_mutex_destroy(&p->lock);
    free(p->desks);
    free(p->clones);
    free(p->command);
    free(p);
}

static void patches_submit(struct verifier *v, const struct verifier_job *job) {
    struct patches *p = (struct patches *)v;
    struct order *o = mem_zalloc(1, sizeof *o);
    *o = (struct order){.id = job->id,
                        .problem_id = mem_strdup(job->problem.id),
                        .line = str_dup(job->problem.line),
                        .patch = patch_of(job->solution)};
    pthread_mutex_lock(&p->lock);
    *(p->last ? &p->last->next : &p->first) = o;
    p->last = o;
    p->n_in_flight++;
    pthread_cond_signal(&p->wanted);
    pthread_mutex_unlock(&p->lock);
}

/* Under the lock. */
static bool unlink_order(struct patches *p, uint64_t id) {
    struct order *before = NULL;
    for (struct order *o = p->first; o; before = o, o = o->next) {
        if (o->id != id) continue;
        *(before ? &before->next : &p->first) = o->next;
        if (p->last == o) p->last = before;
        order_free(o);
        return true;
    }
    return false;
}

static void patches_cancel(struct verifier *v, uint64_t id) {
    struct patches *p = (struct patches *)v;
    pthread_mutex_lock(&p->lock);
    if (!verdict_queue_cancel(&p->answers, id)) {
        bool found = unlink_order(p, id);
        for (int i = 0; i < p->n_desks && !found; i++) {
            struct desk *d = &p->desks[i];
            found = d->order && d->order->id == id && !d->stop;
            if (found) d->stop = true;
        }
        p->n_in_flight -= found;
    }
    pthread_mutex_unlock(&p->lock);
}

static int patches_work(struct verifier *v, double seconds_max, struct err *e) {
    struct patches *p = (struct patches *)v;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const double nanos = (double)until.tv_nsec + 1e9 * fmod(seconds_max, 1);
    until.tv_sec += (time_t)seconds_max + (nanos >= 1e9);
    until.tv_nsec = (long)fmod(nanos, 1e9);
    pthread_mutex_lock(&p->lock);
    if (p->n_in_flight > 0 && verdict_queue_length(&p->answers) == 0)
        pthread_cond_timedwait(&p->decided, &p->lock, &until);
    const bool failed = p->n_failures >= FAILURES_MAX;
    if (failed) *e = p->failure;
    const int n = p->n_in_flight + (int)verdict_queue_length(&p->answers);
    pthread_mutex_unlock(&p->lock);
    return failed ? -1 : n;
}

static bool patches_next(struct verifier *v, struct verifier_result *out) {
    struct patches *p = (struct patches *)v;
    pthread_mutex_lock(&p->lock);
    const bool is = verdict_queue_next(&p->answers, out);
    pthread_mutex_unlock(&p->lock);
    return is;
}

static int patches_in_flight(const struct verifier *v) {
    struct patches *p = (struct patches *)(uintptr_t)v;
    pthread_mutex_lock(&p->lock);
    const int n = p->n_in_flight + (int)verdict_queue_length(&p->answers);
    pthread_mutex_unlock(&p->lock);
    return n;
}

/* ---- opening ---- */

static const struct verifier_ops patches_ops = {
    .close = patches_close,
    .submit = patches_submit,
    .cancel = patches_cancel,
    .work = patches_work,
    .next = patches_next,
    .in_flight = patches_in_flight,
};

static bool read_settings(struct patches *p, const struct settings *s, struct err *e) {
    const bool has_command = s->rest && s->rest[0];
    if (!s->clones)
        return err_set(e, ERR_INPUT,
                       "verifier patch: say where clones of the repositories lie, as in patch,clones=FOLDER");
    if (!file_is_dir(s->clones) || !(p->clones = realpath(s->clones, NULL)))
        return err_set(e, ERR_INPUT, "verifier patch: clones=%s: no such folder", s->clones);
    if (!s->sandbox && !has_command)
        return err_set(
            e, ERR_INPUT,
            "verifier patch: without the sandbox name the command, as in "
            "patch,clones=%s,sandbox=off:'docker run --rm --network none -v {folder}:/work -w /work "
            "IMAGE pytest -rA {tests}'",
            s->clones);
    p->command = mem_strdup(has_command ? s->rest : default_command);
    return true;
}

static bool open_desk(struct patches *p, struct desk *d, const struct settings *s, struct err *e) {
    sigset_t all, before;
    *d = (struct desk){.owner = p};
    if (!repository_folder_make(&d->work, e)) return false;
    struct verify_options options = {
        .readable = d->work.path, .least = VERIFY_NAMESPACES, .highest = VERIFY_NAMESPACES, .n_workers = 1};
    d->way = (struct repository_way){.folder = p->clones,
                                     .command = p->command,
                                     .outside = !s->sandbox,
                                     .work = d->work.path,
                                     .limits = verify_limits_default,
                                     .stop = &d->stop};
    d->way.limits.cpu_seconds = s->cpu > 0 ? s->cpu : default_cpu_seconds;
    d->way.limits.wall_seconds = s->seconds;
    if (s->memory_mib > 0) d->way.limits.memory_bytes = (size_t)s->memory_mib << 20;
    d->way.limits.disk_bytes = (size_t)1 << 30;
    d->way.limits.n_processes = 64;
    if (s->sandbox && !(d->way.verify = verify_open(&options, e))) return false;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    d->has_thread = pthread_create(&d->thread, NULL, sit, d) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return d->has_thread || err_set(e, ERR_SERVICE, "verifier patch: no thread can be had");
}

static uint64_t identity_of(const struct patches *p) {
    const struct repository_way *way = &p->desks[0].way;
    const double limits[] = {way->limits.cpu_seconds, way->limits.wall_seconds,
                             (double)way->limits.memory_bytes, way->outside};
    const uint64_t hash = rng_hash(0x7061746368, limits, sizeof limits);
    return rng_hash(rng_hash(hash, &p->tells, sizeof p->tells), p->command, strlen(p->command));
}

struct verifier *verifier_open_patch(const struct settings *s, const struct verifier_options *o,
                                     struct err *e) {
    struct patches *p = mem_zalloc(1, sizeof *p);
    pthread_condattr_t monotonic;
    const int asked = s->n_workers > 0 ? s->n_workers : o->n_workers;
    const int n = MIN(asked > 0 ? asked : pool_cores(), DESKS_MAX);
    p->base.ops = &patches_ops;
    p->desks = mem_zalloc((size_t)n, sizeof *p->desks);
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wanted, NULL);
    pthread_cond_init(&p->decided, &monotonic);
    pthread_condattr_destroy(&monotonic);
    p->tells = s->show && strcmp(s->show, "given") == 0;
    bool ok = read_settings(p, s, e);
    for (int i = 0; ok && i < n; i++) {
        p->n_desks = i + 1;
        ok = open_desk(p, &p->desks[i], s, e);
    }
    if (!ok) {
        patches_close(&p->base);
        return NULL;
    }
    p->base.info.n_wanted = 2 * n;
    verifier_set_identity(&p->base, identity_of(p));
    return &p->base;
}
