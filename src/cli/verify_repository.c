/* verify_repository.c - brood verify where a solution is a patch. */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/verify_values.h"
#include "verify/repository.h"

static const double cpu_seconds_least = 60;
static const char default_command[] = "/usr/bin/python3 -m unittest -v {tests}";

static void stop(void *ctx) {
    *(_Atomic bool *)ctx = true;
}

static bool on_progress(void *ctx, int64_t n_done, int64_t n_all) {
    struct progress *progress = ctx;
    if (progress_due(progress)) {
        char text[80];
        snprintf(text, sizeof text, "%lld of %lld", (long long)n_done, (long long)n_all);
        progress_show(progress, text);
    }
    return !interrupt_came();
}

static void say_trouble(const struct repository *r) {
    for (size_t i = 0; i < r->n_tasks; i++) {
        const struct repository_task *t = &r->tasks[i];
        if (t->trouble)
            fprintf(stderr, "brood: %s%s: left out: %.400s\n", t->instance_id,
                    t->left_out ? " is left out" : "", t->trouble);
    }
}

static bool write_kept(const struct repository *r, const struct verify_values *values, const char *tasks,
                       struct err *e) {
    struct buf kept = {0};
    int n_kept = 0;
    for (size_t i = 0; i < r->n_tasks; i++) n_kept += !r->tasks[i].left_out;
    const bool ok = repository_write_kept(r, tasks, &kept, e) &&
                    verify_keep(values, buf_str(&kept), n_kept, (int)r->n_tasks, e);
    buf_free(&kept);
    return ok;
}

static void print_summary(const struct repository *r, const struct verify_values *values, const char *out) {
    int64_t n_samples = 0, n_passed = 0;
    int n_attempted = 0, n_resolved = 0, n_left_out = 0;
    for (size_t i = 0; i < r->n_tasks; i++) {
        const struct repository_task *t = &r->tasks[i];
        n_samples += t->n_samples;
        n_passed += t->n_passed;
        n_attempted += t->n_samples > 0;
        n_resolved += t->n_passed > 0;
        n_left_out += t->left_out;
    }
    if (values->json) {
        json_t *o =
            json_pack("{s:s, s:I, s:i, s:i, s:i, s:I, s:I}", "results", out, "tasks", (json_int_t)r->n_tasks,
                      "attempted", n_attempted, "resolved", n_resolved, "left_out", n_left_out, "samples",
                      (json_int_t)n_samples, "passed", (json_int_t)n_passed);
        ASSERT(o);
        char *text = json_line(o);
        printf("%s\n", text);
        free(text);
        json_decref(o);
        return;
    }
    printf("%d of %d tasks resolved; %lld of %lld patches pass%s\nresults: %s\n", n_resolved, n_attempted,
           (long long)n_passed, (long long)n_samples, n_left_out ? "; some tasks are left out" : "", out);
}

static bool run(struct repository *r, const struct verify_values *values, const char *tasks,
                const char *samples, const char *out, const char *work, struct err *e) {
    struct verify_options options = {.python = values->python,
                                     .readable = work,
                                     .least = VERIFY_NAMESPACES,
                                     .highest = VERIFY_NAMESPACES,
                                     .n_workers = 1};
    struct progress progress = progress_begin();
    _Atomic bool stopped = false;
    struct repository_way way = {.folder = values->repositories,
                                 .command = values->container ? values->container
                                            : values->run     ? values->run
                                                              : default_command,
                                 .outside = values->container != NULL,
                                 .work = work,
                                 .limits = verify_limits_default,
                                 .kept = samples ? out : values->keep,
                                 .stop = &stopped,
                                 .on_progress = on_progress,
                                 .ctx = &progress};
    struct buf results = {0};
    way.limits.cpu_seconds = MAX(values->seconds, cpu_seconds_least);
    way.limits.wall_seconds = 5 * way.limits.cpu_seconds;
    way.limits.memory_bytes = (size_t)values->memory_mib << 20;
    way.limits.disk_bytes = (size_t)1 << 30;
    way.limits.n_processes = 64;
    bool ok = way.outside || (way.verify = verify_open(&options, e)) != NULL;
    interrupt_catch(stop, &stopped);
    ok = ok && (!values->n_references || repository_check_references(r, (int)values->n_references, &way, e));
    ok = ok && (!samples || repository_run(r, samples, &way, &results, e));
    interrupt_release();
    progress_end(&progress);
    if (ok) say_trouble(r);
    ok = ok && (!values->keep || write_kept(r, values, tasks, e));
    ok = ok && (!samples || file_write_atomic(out, buf_str(&results), e));
    if (ok) repository_done(&way);
    if (ok && samples) print_summary(r, values, out);
    buf_free(&results);
    verify_close(way.verify);
    return ok;
}

bool verify_repository(const struct verify_values *values, const char *tasks, const char *samples,
                       struct err *e) {
    struct repository r;
    struct buf out = {0};
    if (!values->repositories)
        return err_set(e, ERR_INPUT,
                       "%s: its solutions are patches: say where clones lie with --repositories FOLDER",
                       tasks);
    char *folder = realpath(values->repositories, NULL);
    if (!folder || !file_is_dir(folder)) {
        free(folder);
        return err_set(e, ERR_INPUT, "--repositories %s: no such folder", values->repositories);
    }
    bool ok = repository_read(&r, tasks, e);
    struct repository_folder work = {0};
    ok = ok && repository_folder_make(&work, e);
    if (ok) {
        struct verify_values mine = *values;
        mine.repositories = folder;
        buf_printf(&out, "%s_results.jsonl", samples ? samples : "");
        ok = run(&r, &mine, tasks, samples, values->out ? values->out : buf_cstr(&out), work.path, e);
    }
    repository_folder_remove(&work);
    if (r.index) repository_fini(&r);
    buf_free(&out);
    free(folder);
    return ok;
}
