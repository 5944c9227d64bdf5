/* selftest.c - see selftest.h. */
#include "verify/selftest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

enum { TESTS_MAX = 400, BROKEN_MAX = 5, TEXT_MAX = 4096, COPIES_MAX = 1000000 };
/* Those that wait for their second try, alone after all others, are not to keep the others out. */
enum { WAIT_MAX = 1000 };

/* selftest.py, as it lies in the program */
__asm__(".section .rodata\n"
        "brood_selftest_begin: .incbin \"src/verify/selftest.py\"\n"
        "brood_selftest_end: .byte 0\n"
        ".previous\n");
extern const char selftest_begin[] __asm__("brood_selftest_begin"), selftest_end[] __asm__(
                                                                        "brood_selftest_end");

void selftests_init(struct selftests *s, const struct humaneval *h) {
    *s = (struct selftests){.h = h,
                            .problems = mem_zalloc(MAX(h->n_problems, (size_t)1), sizeof *s->problems),
                            .programs = map_new(1024),
                            .tests = map_new(1024)};
}

void selftests_fini(struct selftests *s) {
    for (size_t i = 0; s->h && i < s->h->n_problems; i++) {
        struct selftest_problem *p = &s->problems[i];
        for (size_t j = 0; j < p->n_programs; j++) free(p->programs[j].text);
        for (size_t j = 0; j < p->n_tests; j++) free(p->tests[j]);
        free(p->programs);
        free(p->tests);
        free(p->n_copies);
        free(p->passed);
    }
    free(s->problems);
    map_free(s->programs);
    map_free(s->tests);
    *s = (struct selftests){0};
}

/* ---- files ---- */

typedef bool (*line_reader)(struct selftests *s, uint32_t problem, const json_t *o, const char *where,
                            struct err *e);

struct reading {
    struct selftests *s;
    line_reader read;
};

static bool on_line(void *ctx, struct str line, const char *where, struct err *e) {
    const struct reading *r = ctx;
    const char *id;
    uint32_t problem;
    json_t *o = json_parse(line, where, e);
    bool ok = o && json_want_string(o, "task_id", &id, where, e);
    if (ok && !map_get(r->s->h->index, str_from(id), &problem))
        ok = err_set(e, ERR_INPUT, "%s: task_id '%.80s' is not among the problems", where, id);
    if (ok && !r->s->h->problems[problem].entry_point[0])
        ok = err_set(e, ERR_INPUT, "%s: problem '%.80s' names no function that tests could call", where, id);
    ok = ok && r->read(r->s, problem, o, where, e);
    json_decref(o);
    return ok;
}

static bool read_lines(struct selftests *s, const char *path, line_reader read, struct err *e) {
    struct reading reading = {s, read};
    return file_lines_each(path, on_line, &reading, e);
}

/* Of "problem:text", the value that the map has, or n, which is put there. */
static uint32_t find_or_put(struct map *m, uint32_t problem, const char *text, size_t n) {
    struct buf key = {0};
    uint32_t at = (uint32_t)n;
    buf_printf(&key, "%u:", problem);
    buf_add_str(&key, str_from(text));
    if (!map_put(m, buf_str(&key), at)) map_get(m, buf_str(&key), &at);
    buf_free(&key);
    return at;
}

static void add_program(struct selftests *s, uint32_t problem, const char *text, const json_t *right) {
    struct selftest_problem *p = &s->problems[problem];
    const uint32_t at = find_or_put(s->programs, problem, text, p->n_programs);
    if (at == p->n_programs) {
        MEM_GROW(p->programs, p->programs_cap, p->n_programs + 1);
        p->programs[p->n_programs++] = (struct selftest_program){.text = mem_strdup(text)};
    }
    p->programs[at].n_solutions++;
    p->programs[at].n_graded += json_is_boolean(right);
    p->programs[at].n_right += json_is_true(right);
}

static bool read_sample(struct selftests *s, uint32_t problem, const json_t *o, const char *where,
                        struct err *e) {
    const json_t *texts = json_object_get(o, "completions"), *right = json_object_get(o, "passed"), *text;
    const char *one;
    size_t i;
    if (!texts) {
        if (!json_want_string(o, "completion", &one, where, e)) return false;
        add_program(s, problem, one, right);
        return true;
    }
    if (!json_is_array(texts) || (json_is_array(right) && json_array_size(right) != json_array_size(texts)))
        return err_set(e, ERR_INPUT, "%s: \"completions\" is a list of texts, \"passed\" one as long", where);
    json_array_foreach(texts, i, text) {
        if (!json_is_string(text))
            return err_set(e, ERR_INPUT, "%s: \"completions\"[%zu] is not a text", where, i);
        add_program(s, problem, json_string_value(text), json_array_get(right, i));
    }
    return true;
}

bool selftests_read_samples(struct selftests *s, const char *path, struct err *e) {
    if (!read_lines(s, path, read_sample, e)) return false;
    return map_count(s->programs) > 0 ||
           err_set(e, ERR_INPUT, "%s: no samples in it: a line needs \"task_id\" and \"completion\"", path);
}

static bool read_tests(struct selftests *s, uint32_t problem, const json_t *o, const char *where,
                       struct err *e) {
    struct selftest_problem *p = &s->problems[problem];
    const json_t *tests = json_object_get(o, "tests"), *test;
    size_t i;
    if (!json_is_array(tests))
        return err_set(e, ERR_INPUT, "%s: no \"tests\": a list of assert statements", where);
    json_array_foreach(tests, i, test) {
        const char *text = json_string_value(test);
        int64_t n = 1;
        if (json_is_object(test) && (!json_want_string(test, "test", &text, where, e) ||
                                     !json_get_int(test, "count", 1, 1, COPIES_MAX, &n, where, e)))
            return false;
        if (!text) return err_set(e, ERR_INPUT, "%s: \"tests\"[%zu] is not a text", where, i);
        if (strlen(text) > TEXT_MAX) continue;
        const uint32_t at = find_or_put(s->tests, problem, text, p->n_tests);
        if (at == p->n_tests) {
            MEM_GROW(p->tests, p->tests_cap, p->n_tests + 1);
            MEM_GROW(p->n_copies, p->copies_cap, p->n_tests + 1);
            p->n_copies[p->n_tests] = 0;
            p->tests[p->n_tests++] = mem_strdup(text);
        }
        p->n_copies[at] += n;
    }
    return true;
}

bool selftests_read_tests(struct selftests *s, const char *path, struct err *e) {
    if (!read_lines(s, path, read_tests, e)) return false;
    return map_count(s->tests) > 0 ||
           err_set(e, ERR_INPUT, "%s: no tests in it: a line needs \"task_id\" and \"tests\"", path);
}

/* ---- execution ---- */

struct job { /* tests [first, first + n) of a program */
    uint32_t problem, program, first, n;
};

struct queue {
    struct job *jobs; /* the id of a job is its place */
    size_t n, cap, n_submitted;
};

static void add_job(struct queue *q, struct job job) {
    MEM_GROW(q->jobs, q->cap, q->n + 1);
    q->jobs[q->n++] = job;
}

/* TESTS, ENTRY and selftest.py. What JSON writes for a text, Python reads as the same text. */
static void write_tests(const struct selftests *s, const struct job *job, struct buf *out) {
    const struct selftest_problem *p = &s->problems[job->problem];
    json_t *texts = json_array(), *entry = json_text(str_from(s->h->problems[job->problem].entry_point));
    for (uint32_t t = 0; t < job->n; t++)
        json_array_append_new(texts, json_text(str_from(p->tests[job->first + t])));
    char *list = json_dumps(texts, JSON_COMPACT), *name = json_dumps(entry, JSON_COMPACT | JSON_ENCODE_ANY);
    ASSERT(list && name);
    buf_clear(out);
    buf_printf(out, "TESTS = %s\nENTRY = %s\n", list, name);
    buf_add(out, selftest_begin, (size_t)(selftest_end - selftest_begin));
    free(list);
    free(name);
    json_decref(texts);
    json_decref(entry);
}

static void submit(const struct selftests *s, const struct queue *q, size_t id, struct verify *v,
                   const struct verify_limits *limits) {
    const struct job *job = &q->jobs[id];
    const struct humaneval_problem *problem = &s->h->problems[job->problem];
    struct buf text = {0}, tests = {0};
    buf_add_str(&text, str_from(problem->prompt));
    buf_printf(&text, "%s\n", s->problems[job->problem].programs[job->program].text);
    write_tests(s, job, &tests);
    const struct verify_job out = {.id = id,
                                   .program = buf_str(&text),
                                   .tests = {.setup = str_from(problem->setup),
                                             .code = buf_str(&tests),
                                             .entry_point = problem->entry_point},
                                   .limits = *limits};
    verify_submit(v, &out);
    buf_free(&text);
    buf_free(&tests);
}

/* Digits count only if the tests were run: a program may raise what looks like them while it is loaded. */
static bool is_told(const struct verify_result *r, uint32_t n) {
    return r->verdict == VERIFY_FAILED && r->n_calls > 0 && strcmp(r->exception, "AssertionError") == 0 &&
           strlen(r->text) == n && strspn(r->text, "01") == n;
}

static void take(struct selftests *s, struct queue *q, const struct verify_result *r,
                 struct selftest_counts *c) {
    const struct job job = q->jobs[r->id];
    struct selftest_problem *p = &s->problems[job.problem];
    struct selftest_program *program = &p->programs[job.program];
    const bool broke =
        r->verdict == VERIFY_TIMED_OUT || r->verdict == VERIFY_CRASHED || r->verdict == VERIFY_BROKEN;
    uint8_t *row = p->passed + job.program * p->n_tests + job.first;
    c->n_done++;
    c->cpu_seconds += r->cpu_seconds;
    if (is_told(r, job.n)) {
        for (uint32_t t = 0; t < job.n; t++) row[t] = r->text[t] == '1';
    } else if (broke) {
        c->n_broken++;
        if (job.n == 1 || ++program->n_broken > BROKEN_MAX) return;
        const uint32_t half = job.n / 2;
        add_job(q, (struct job){job.problem, job.program, job.first, half});
        add_job(q, (struct job){job.problem, job.program, job.first + half, job.n - half});
    }
}

static void plan(struct selftests *s, struct queue *q, struct selftest_counts *c) {
    for (uint32_t i = 0; i < s->h->n_problems; i++) {
        struct selftest_problem *p = &s->problems[i];
        c->n_programs += (int64_t)p->n_programs;
        c->n_tests += (int64_t)p->n_tests;
        free(p->passed);
        p->passed = mem_zalloc(MAX(p->n_programs * p->n_tests, (size_t)1), 1);
        for (uint32_t j = 0; j < p->n_programs; j++) {
            p->programs[j].n_broken = 0;
            for (uint32_t t = 0; t < p->n_tests; t += TESTS_MAX)
                add_job(q, (struct job){i, j, t, (uint32_t)MIN(p->n_tests - t, (size_t)TESTS_MAX)});
        }
    }
}

bool selftests_run(struct selftests *s, struct verify *v, const struct verify_limits *limits,
                   bool (*on_progress)(void *ctx, const struct selftest_counts *c), void *ctx,
                   struct selftest_counts *c, struct err *e) {
    struct queue q = {0};
    struct verify_result got;
    bool ok = true;
    *c = (struct selftest_counts){0};
    plan(s, &q, c);
    while (ok && c->n_done < (int64_t)q.n) {
        c->n_jobs = (int64_t)q.n;
        while (q.n_submitted < q.n && verify_in_flight(v) < verify_info(v)->n_wanted + WAIT_MAX)
            submit(s, &q, q.n_submitted++, v, limits);
        ok = verify_work(v, 0.2, e) >= 0;
        while (ok && verify_next(v, &got)) take(s, &q, &got, c);
        if (ok && on_progress && !on_progress(ctx, c))
            ok = err_set(e, ERR_CANCELLED,
                         "interrupted: %lld of %lld programs were run, no choices are written",
                         (long long)c->n_done, (long long)c->n_jobs);
    }
    c->n_jobs = (int64_t)q.n;
    free(q.jobs);
    return ok;
}
