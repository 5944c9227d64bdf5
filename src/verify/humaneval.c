/* humaneval.c - see humaneval.h. */
#include "verify/humaneval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

/* ---- problems ---- */

static bool take_problem(struct humaneval *h, const json_t *o, const char *where, struct err *e) {
    const char *id, *prompt, *entry_point, *test;
    if (!json_want_string(o, "task_id", &id, where, e) || !json_want_string(o, "prompt", &prompt, where, e) ||
        !json_want_string(o, "entry_point", &entry_point, where, e) ||
        !json_want_string(o, "test", &test, where, e))
        return false;
    if (!map_put(h->index, str_from(id), (uint32_t)h->n_problems))
        return err_set(e, ERR_INPUT, "%s: task_id '%.80s' was there before", where, id);
    MEM_GROW(h->problems, h->cap, h->n_problems + 1);
    h->problems[h->n_problems++] = (struct humaneval_problem){.task_id = mem_strdup(id),
                                                              .prompt = mem_strdup(prompt),
                                                              .entry_point = mem_strdup(entry_point),
                                                              .test = mem_strdup(test)};
    return true;
}

/* Calls each(ctx, object, where) for every line that is not blank. */
static bool each_line(const char *path, bool (*each)(void *ctx, json_t *o, const char *where, struct err *e),
                      void *ctx, struct err *e) {
    struct file_lines *lines = file_lines_open(path, e);
    struct buf where = {0};
    struct str line;
    bool ok = lines != NULL;
    int got = 0;
    while (ok && (got = file_lines_next(lines, &line, e)) > 0) {
        if (str_trim(line).len == 0) continue;
        buf_clear(&where);
        buf_printf(&where, "%s:%zu", path, file_lines_number(lines));
        json_t *o = json_parse(line, buf_cstr(&where), e);
        ok = o && each(ctx, o, buf_cstr(&where), e);
        json_decref(o);
    }
    buf_free(&where);
    file_lines_close(lines);
    return ok && got == 0;
}

static bool on_problem(void *ctx, json_t *o, const char *where, struct err *e) {
    return take_problem(ctx, o, where, e);
}

bool humaneval_read(struct humaneval *h, const char *path, struct err *e) {
    *h = (struct humaneval){.index = map_new(256)};
    bool ok = each_line(path, on_problem, h, e);
    if (ok && h->n_problems == 0)
        ok = err_set(e, ERR_INPUT,
                     "%s: no problems in it: a line needs \"task_id\", \"prompt\", \"entry_point\" and "
                     "\"test\"",
                     path);
    if (!ok) humaneval_fini(h);
    return ok;
}

void humaneval_fini(struct humaneval *h) {
    for (size_t i = 0; i < h->n_problems; i++) {
        free(h->problems[i].task_id);
        free(h->problems[i].prompt);
        free(h->problems[i].entry_point);
        free(h->problems[i].test);
    }
    free(h->problems);
    map_free(h->index);
    *h = (struct humaneval){0};
}

/* ---- samples ---- */

struct program { /* of one problem, with all samples that are this text */
    uint32_t problem;
    char *completion; /* owned until it has been submitted */
    enum verify_verdict verdict;
    char *result; /* owned; NULL: not decided */
};

struct run {
    struct humaneval *h;
    struct program *programs;
    size_t n_programs, cap;
    struct map *index; /* problem and completion -> program */
    struct {
        json_t *line; /* owned */
        uint32_t program;
    } * samples;
    size_t n_samples, samples_cap;
};

static bool on_sample(void *ctx, json_t *o, const char *where, struct err *e) {
    struct run *r = ctx;
    const char *id, *completion;
    uint32_t problem, program = (uint32_t)r->n_programs;
    if (!json_want_string(o, "task_id", &id, where, e) ||
        !json_want_string(o, "completion", &completion, where, e))
        return false;
    if (!map_get(r->h->index, str_from(id), &problem))
        return err_set(e, ERR_INPUT, "%s: task_id '%.80s' is not among the problems", where, id);
    struct buf key = {0};
    buf_printf(&key, "%u:", problem);
    buf_add_str(&key, str_from(completion));
    if (map_put(r->index, buf_str(&key), program)) {
        MEM_GROW(r->programs, r->cap, r->n_programs + 1);
        r->programs[r->n_programs++] =
            (struct program){.problem = problem, .completion = mem_strdup(completion)};
    } else {
        map_get(r->index, buf_str(&key), &program);
    }
    buf_free(&key);
    MEM_GROW(r->samples, r->samples_cap, r->n_samples + 1);
    r->samples[r->n_samples].line = json_incref(o);
    r->samples[r->n_samples++].program = program;
    return true;
}

static void submit_program(struct run *r, size_t i, struct verify *v, const struct verify_limits *limits) {
    struct program *p = &r->programs[i];
    const struct humaneval_problem *problem = &r->h->problems[p->problem];
    struct buf text = {0};
    buf_add_str(&text, str_from(problem->prompt));
    buf_add_str(&text, str_from(p->completion));
    buf_add_char(&text, '\n');
    const struct verify_job job = {
        .id = i,
        .program = buf_str(&text),
        .tests = {str_from(problem->prompt), str_from(problem->test), problem->entry_point},
        .limits = *limits};
    verify_submit(v, &job);
    buf_free(&text);
    free(p->completion);
    p->completion = NULL;
}

static void take_result(struct run *r, const struct verify_result *got, struct humaneval_counts *c) {
    struct program *p = &r->programs[got->id];
    struct buf text = {0};
    p->verdict = got->verdict;
    if (got->verdict == VERIFY_PASSED || got->verdict == VERIFY_TIMED_OUT)
        buf_printf(&text, "%s", verify_verdict_names[got->verdict]);
    else
        buf_printf(&text, "failed: %s", got->text);
    p->result = buf_take(&text);
    c->n_done++;
    c->n_second_tries += got->n_tries > 1;
    c->cpu_seconds += got->cpu_seconds;
    c->calls += got->n_calls;
    c->memory_bytes_max = MAX(c->memory_bytes_max, got->memory_bytes);
    if (got->verdict == VERIFY_REFUSED && !c->refused[0])
        snprintf(c->refused, sizeof c->refused, "%s: %s", r->h->problems[p->problem].task_id, got->text);
}

static bool decide_all(struct run *r, struct verify *v, const struct verify_limits *limits,
                       bool (*on_progress)(void *ctx, const struct humaneval_counts *c), void *ctx,
                       struct humaneval_counts *c, struct err *e) {
    struct verify_result got;
    size_t n_submitted = 0;
    while (c->n_done < c->n_distinct) {
        while (n_submitted < r->n_programs && verify_in_flight(v) < verify_info(v)->n_wanted)
            submit_program(r, n_submitted++, v, limits);
        if (verify_work(v, 0.2, e) < 0) return false;
        while (verify_next(v, &got)) take_result(r, &got, c);
        if (on_progress && !on_progress(ctx, c))
            return err_set(e, ERR_CANCELLED,
                           "interrupted: %lld of %lld programs were decided, no results are written",
                           (long long)c->n_done, (long long)c->n_distinct);
    }
    return true;
}

static void write_results(const struct run *r, struct humaneval_counts *c, struct buf *results) {
    for (size_t i = 0; i < r->n_samples; i++) {
        const struct program *p = &r->programs[r->samples[i].program];
        struct humaneval_problem *problem = &r->h->problems[p->problem];
        json_t *line = r->samples[i].line;
        json_object_set_new(line, "result", json_text(str_from(p->result)));
        json_object_set_new(line, "passed", json_boolean(p->verdict == VERIFY_PASSED));
        char *text = json_line(line);
        buf_printf(results, "%s\n", text);
        free(text);
        problem->n_samples++;
        problem->n_passed += p->verdict == VERIFY_PASSED;
        c->n_of[p->verdict]++;
    }
}

static void run_fini(struct run *r) {
    for (size_t i = 0; i < r->n_programs; i++) {
        free(r->programs[i].completion);
        free(r->programs[i].result);
    }
    for (size_t i = 0; i < r->n_samples; i++) json_decref(r->samples[i].line);
    free(r->programs);
    free(r->samples);
    map_free(r->index);
}

bool humaneval_run(struct humaneval *h, const char *samples_path, struct verify *v,
                   const struct verify_limits *limits,
                   bool (*on_progress)(void *ctx, const struct humaneval_counts *c), void *ctx,
                   struct humaneval_counts *counts, struct buf *results, struct err *e) {
    struct run r = {.h = h, .index = map_new(1024)};
    *counts = (struct humaneval_counts){0};
    for (size_t i = 0; i < h->n_problems; i++) h->problems[i].n_samples = h->problems[i].n_passed = 0;
    bool ok = each_line(samples_path, on_sample, &r, e);
    if (ok && r.n_samples == 0)
        ok = err_set(e, ERR_INPUT, "%s: no samples in it: a line needs \"task_id\" and \"completion\"",
                     samples_path);
    if (ok) {
        const double started = clock_seconds();
        counts->n_samples = (int64_t)r.n_samples;
        counts->n_distinct = (int64_t)r.n_programs;
        ok = decide_all(&r, v, limits, on_progress, ctx, counts, e);
        counts->wall_seconds = clock_seconds() - started;
    }
    if (ok) write_results(&r, counts, results);
    run_fini(&r);
    return ok;
}
