/* run_toy.h - runs over toy chains, for tests: a task, options, a run to its end or to a kill. */
#ifndef BROOD_TESTS_RUN_TOY_H
#define BROOD_TESTS_RUN_TOY_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "run/run.h"
#include "scratch.h"
#include "store/store.h"

static char *write_task(int n_problems) {
    struct buf b = {0};
    for (int i = 0; i < n_problems; i++) {
        buf_printf(&b, "{\"id\":\"p%d\",\"problem\":\"chain %d\",\"answer\":%d,\"level\":%d}\n", i, i, i % 3,
                   1 + i % 5);
    }
    char *path = scratch_write("task.jsonl", buf_cstr(&b));
    buf_free(&b);
    return path;
}

static struct run_options options_for(const char *task, const char *store, const char *strategy) {
    struct err e;
    struct run_options o = {.task = task,
                            .policy = "toy:depth=4,seed=3",
                            .reward = "toy:depth=4,seed=3,noise=0.1",
                            .store = store,
                            .select = SELECT_WEIGHTED,
                            .aggregate = AGGREGATE_LAST,
                            .seed = 7};
    if (!search_spec_parse(&o.spec, strategy, &e)) fail_msg("%s", e.msg);
    return o;
}

static char *export_run(struct store *s) {
    struct err e;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_true(store_export(s, f, &e));
    fclose(f);
    return text;
}

/* Runs to the end and returns the export; checks that all is done. */
static char *run_whole(const struct run_options *o, struct run_progress *p) {
    struct err e = {0};
    struct run *r = run_open(o, &e);
    if (!r) fail_msg("%s", e.msg);
    do {
        if (!run_step(r, p, &e)) fail_msg("%s", e.msg);
    } while (!p->finished);
    assert_int_equal(p->n_done, p->n_problems);
    char *text = export_run(run_store(r));
    assert_true(run_close(r, &e));
    return text;
}

/* The export without its first line: the configuration names the policy, which differs where only the order
 * of arrival should. */
static inline const char *records_of(const char *export) {
    return strchr(export, '\n') + 1;
}

/* A child carries the run on for some steps and is killed without warning. Returns whether it had finished.
 */
static inline bool run_until_killed(const struct run_options *o, unsigned n_steps) {
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct err e;
        struct run_progress p;
        struct run *r = run_open(o, &e);
        if (!r) _exit(3);
        for (unsigned i = 0; i < n_steps; i++) {
            if (!run_step(r, &p, &e)) _exit(4);
            if (p.finished) _exit(run_close(r, &e) ? 0 : 5);
            if (i % 3 == 0 && !store_flush(run_store(r), &e)) _exit(6);
        }
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);
    return WIFEXITED(status);
}

#endif
