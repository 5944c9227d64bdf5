/* selftest.c - see selftest.h. */
#include "verify/selftest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "verify/kept.h"

enum { TESTS_MAX = 400, BROKEN_MAX = 5, TEXT_MAX = 4096, COPIES_MAX = 1000000 };
/* Those that wait for their second try, alone after all others, are not to keep the others out. */
enum { WAIT_MAX = 1000 };

static const char kept_ending[] = ".part";

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
    uint32_t at, first, n;
};

struct state { /* of a program that has tests */
    uint32_t problem, program;
    int n_left;   /* its jobs that are under way or wait; 0: decided */
    int n_halved; /* tries with several tests that it did not survive */
    int n_broken; /* all that it did not survive */
    bool unsure;  /* the sandbox broke: nothing to keep */
    double cpu_seconds;
};

struct queue {
    struct selftests *s;
    const struct selftest_way *way;
    struct selftest_counts *c;
    struct kept *kept;
    struct state *states; /* by their number in what is kept */
    struct job *jobs;     /* the id of a job is its place */
    size_t n_states, states_cap, n, cap, n_submitted;
};

static struct selftest_problem *problem_of(const struct queue *q, const struct state *t) {
    return &q->s->problems[t->problem];
}

static uint8_t *row_of(const struct queue *q, const struct state *t) {
    const struct selftest_problem *p = problem_of(q, t);
    return p->passed + t->program * p->n_tests;
}

static void add_job(struct queue *q, struct job job) {
    MEM_GROW(q->jobs, q->cap, q->n + 1);
    q->jobs[q->n++] = job;
    q->states[job.at].n_left++;
}

/* TESTS, ENTRY and selftest.py. What JSON writes for a text, Python reads as the same text. */
static void write_tests(const struct queue *q, const struct job *job, struct buf *out) {
    const struct state *t = &q->states[job->at];
    const struct selftest_problem *p = problem_of(q, t);
    json_t *texts = json_array(), *entry = json_text(str_from(q->s->h->problems[t->problem].entry_point));
    for (uint32_t i = 0; i < job->n; i++)
        json_array_append_new(texts, json_text(str_from(p->tests[job->first + i])));
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

static void submit(const struct queue *q, size_t id, struct verify *v) {
    const struct job *job = &q->jobs[id];
    const struct state *t = &q->states[job->at];
    const struct humaneval_problem *problem = &q->s->h->problems[t->problem];
    struct buf text = {0}, tests = {0};
    buf_add_str(&text, str_from(problem->prompt));
    buf_printf(&text, "%s\n", problem_of(q, t)->programs[t->program].text);
    write_tests(q, job, &tests);
    const struct verify_job out = {.id = id,
                                   .program = buf_str(&text),
                                   .tests = {.setup = str_from(problem->setup),
                                             .code = buf_str(&tests),
                                             .entry_point = problem->entry_point},
                                   .limits = q->way->limits};
    verify_submit(v, &out);
    buf_free(&text);
    buf_free(&tests);
}

/* Digits count only if the tests were run: a program may raise what looks like them while it is loaded. */
static bool is_told(const struct verify_result *r, uint32_t n) {
    return r->verdict == VERIFY_FAILED && r->n_calls > 0 && strcmp(r->exception, "AssertionError") == 0 &&
           strlen(r->text) == n && strspn(r->text, "01") == n;
}

/* [number, "0110", tries that it did not survive, CPU time] */
static bool keep(const struct queue *q, size_t at, struct err *e) {
    const struct state *t = &q->states[at];
    const size_t n = problem_of(q, t)->n_tests;
    const uint8_t *row = row_of(q, t);
    struct buf digits = {0};
    if (t->unsure) return true;
    for (size_t i = 0; i < n; i++) buf_add_char(&digits, row[i] ? '1' : '0');
    json_t *list =
        json_pack("[I,s,i,f]", (json_int_t)at, buf_cstr(&digits), t->n_broken, t->cpu_seconds);
    ASSERT(list);
    buf_free(&digits);
    return kept_add(q->kept, at, list, e);
}

static void count(const struct queue *q, const struct state *t) {
    q->c->n_done++;
    q->c->n_broken += t->n_broken;
    q->c->cpu_seconds += t->cpu_seconds;
}

/* What an earlier process has found; false if there is nothing. */
static bool take_kept(const struct queue *q, size_t at) {
    json_t *list = (json_t *)(uintptr_t)kept_get(q->kept, at);
    struct state *t = &q->states[at];
    const size_t n = problem_of(q, t)->n_tests;
    const char *digits;
    json_int_t number;
    int n_broken;
    double cpu_seconds;
    if (!list || json_unpack(list, "[I,s,i,F]", &number, &digits, &n_broken, &cpu_seconds) != 0 ||
        strlen(digits) != n || strspn(digits, "01") != n)
        return false;
    for (size_t i = 0; i < n; i++) row_of(q, t)[i] = digits[i] == '1';
    t->n_broken = n_broken;
    t->cpu_seconds = cpu_seconds;
    count(q, t);
    return true;
}

static bool take(struct queue *q, const struct verify_result *r, struct err *e) {
    const struct job job = q->jobs[r->id];
    struct state *t = &q->states[job.at];
    const bool broke =
        r->verdict == VERIFY_TIMED_OUT || r->verdict == VERIFY_CRASHED || r->verdict == VERIFY_BROKEN;
    uint8_t *row = row_of(q, t) + job.first;
    t->n_left--;
    t->cpu_seconds += r->cpu_seconds;
    t->n_broken += broke;
    t->unsure |= r->verdict == VERIFY_BROKEN;
    if (is_told(r, job.n)) {
        for (uint32_t i = 0; i < job.n; i++) row[i] = r->text[i] == '1';
    } else if (broke && job.n > 1 && ++t->n_halved <= BROKEN_MAX) {
        const uint32_t half = job.n / 2;
        add_job(q, (struct job){job.at, job.first, half});
        add_job(q, (struct job){job.at, job.first + half, job.n - half});
    }
    if (t->n_left > 0) return true;
    count(q, t);
    return keep(q, job.at, e);
}

static void list_programs(struct queue *q) {
    for (uint32_t i = 0; i < q->s->h->n_problems; i++) {
        struct selftest_problem *p = &q->s->problems[i];
        q->c->n_programs += (int64_t)p->n_programs;
        q->c->n_tests += (int64_t)p->n_tests;
        free(p->passed);
        p->passed = mem_zalloc(MAX(p->n_programs * p->n_tests, (size_t)1), 1);
        for (uint32_t j = 0; p->n_tests > 0 && j < p->n_programs; j++) {
            MEM_GROW(q->states, q->states_cap, q->n_states + 1);
            q->states[q->n_states++] = (struct state){.problem = i, .program = j};
        }
    }
    q->c->n_jobs = (int64_t)q->n_states;
}

static void plan(struct queue *q) {
    for (uint32_t at = 0; at < q->n_states; at++) {
        const size_t n = problem_of(q, &q->states[at])->n_tests;
        if (take_kept(q, at)) continue;
        for (uint32_t i = 0; i < n; i += TESTS_MAX)
            add_job(q, (struct job){at, i, (uint32_t)MIN(n - i, (size_t)TESTS_MAX)});
    }
}

static uint64_t hash_text(uint64_t h, const char *s) {
    return rng_hash(h, s ? s : "", s ? strlen(s) + 1 : 1);
}

/* Everything that has a say in what a program passes: programs, tests, limits, Python. */
static uint64_t identity_of(const struct queue *q, const struct verify *v) {
    const struct verify_limits *l = &q->way->limits;
    const double limits[] = {l->cpu_seconds, l->wall_seconds, (double)l->memory_bytes};
    uint64_t h = hash_text(rng_hash(0x61677265, limits, sizeof limits), verify_info(v)->version);
    h = rng_hash(h, selftest_begin, (size_t)(selftest_end - selftest_begin));
    for (size_t i = 0; i < q->s->h->n_problems; i++) {
        const struct humaneval_problem *problem = &q->s->h->problems[i];
        const struct selftest_problem *p = &q->s->problems[i];
        const size_t sizes[] = {p->n_programs, p->n_tests};
        h = hash_text(hash_text(hash_text(h, problem->prompt), problem->setup), problem->entry_point);
        h = rng_hash(h, sizes, sizeof sizes);
        for (size_t j = 0; j < p->n_programs; j++) h = hash_text(h, p->programs[j].text);
        for (size_t j = 0; j < p->n_tests; j++) h = hash_text(h, p->tests[j]);
    }
    return h;
}

static bool cancelled(const struct queue *q, struct err *e) {
    return err_set(e, ERR_CANCELLED, "interrupted: %lld of %lld programs were run%s", (long long)q->c->n_done,
                   (long long)q->c->n_jobs,
                   kept_lasts(q->kept) ? " and are kept: the same command goes on"
                                       : ", no choices are written");
}

static bool run_all(struct queue *q, struct verify *v, struct err *e) {
    const struct selftest_way *way = q->way;
    struct verify_result got;
    while (q->c->n_done < q->c->n_jobs) {
        while (q->n_submitted < q->n && verify_in_flight(v) < verify_info(v)->n_wanted + WAIT_MAX)
            submit(q, q->n_submitted++, v);
        if (verify_work(v, 0.2, e) < 0) return false;
        while (verify_next(v, &got))
            if (!take(q, &got, e)) return false;
        if (way->on_progress && !way->on_progress(way->ctx, q->c)) return cancelled(q, e);
    }
    return true;
}

bool selftests_run(struct selftests *s, struct verify *v, const struct selftest_way *way,
                   struct selftest_counts *c, struct err *e) {
    struct queue q = {.s = s, .way = way, .c = c};
    *c = (struct selftest_counts){0};
    list_programs(&q);
    bool ok = kept_open(&q.kept, way->kept, kept_ending, identity_of(&q, v), q.n_states, e);
    if (ok) plan(&q);
    ok = ok && run_all(&q, v, e);
    kept_close(q.kept);
    free(q.states);
    free(q.jobs);
    return ok;
}

void selftests_done(const struct selftest_way *way) {
    if (way->kept) kept_remove(way->kept, kept_ending);
}
