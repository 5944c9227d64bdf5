/* humaneval.c - see humaneval.h. */
#include "verify/humaneval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "verify/kept.h"
#include "verify/layout.h"

static const char kept_ending[] = ".part";

/* ---- problems ---- */

struct reading {
    struct humaneval *h;
    const struct verify_language *language;
};

static bool on_problem(void *ctx, struct str line, const char *where, struct err *e) {
    struct reading *r = ctx;
    struct humaneval *h = r->h;
    struct humaneval_problem p;
    bool ok = layout_read(line, r->language, &p, where, e);
    if (ok && !map_put(h->index, str_from(p.task_id), (uint32_t)h->n_problems))
        ok = err_set(e, ERR_INPUT, "%s: task_id '%.80s' was there before", where, p.task_id);
    if (!ok) {
        layout_free(&p);
        return false;
    }
    MEM_GROW(h->problems, h->cap, h->n_problems + 1);
    h->problems[h->n_problems++] = p;
    return true;
}

bool humaneval_read(struct humaneval *h, const char *path, const struct verify_language *language,
                    struct err *e) {
    *h = (struct humaneval){.index = map_new(256)};
    struct reading reading = {h, language};
    bool ok = file_lines_each(path, on_problem, &reading, e);
    if (ok && h->n_problems == 0)
        ok = err_set(e, ERR_INPUT,
                     "%s: no problems in it: a line needs \"task_id\", \"prompt\", \"entry_point\" and "
                     "\"test\", or the fields of EvalPlus, MBPP or CodeContests",
                     path);
    if (!ok) humaneval_fini(h);
    return ok;
}

void humaneval_fini(struct humaneval *h) {
    for (size_t i = 0; i < h->n_problems; i++) layout_free(&h->problems[i]);
    free(h->problems);
    map_free(h->index);
    *h = (struct humaneval){0};
}

/* ---- samples ---- */

struct program { /* of one problem, with all samples that are this text */
    uint32_t problem;
    char *text;                             /* owned until it has been submitted */
    const struct verify_language *language; /* borrowed; NULL: Python */
    enum verify_verdict verdict;
    char *result; /* owned; NULL: not decided */
};

struct run {
    struct humaneval *h;
    const struct humaneval_way *way;
    struct kept *kept; /* NULL: of references */
    struct program *programs;
    size_t n_programs, cap;
    struct map *index; /* problem and program -> number */
    struct {
        json_t *line; /* owned */
        uint32_t program;
    } * samples;
    size_t n_samples, samples_cap;
};

/* The number of a problem's program; owned text is taken. */
static uint32_t add_program(struct run *r, uint32_t problem, char *text,
                            const struct verify_language *language, bool once) {
    uint32_t program = (uint32_t)r->n_programs;
    struct buf key = {0};
    buf_printf(&key, "%u:", problem);
    buf_add_str(&key, str_from(text));
    if (!once || map_put(r->index, buf_str(&key), program)) {
        MEM_GROW(r->programs, r->cap, r->n_programs + 1);
        r->programs[r->n_programs++] =
            (struct program){.problem = problem, .text = text, .language = language};
    } else {
        map_get(r->index, buf_str(&key), &program);
        free(text);
    }
    buf_free(&key);
    return program;
}

static bool take_sample(struct run *r, json_t *o, const char *where, struct err *e) {
    const json_t *task_id = json_object_get(o, "task_id"),
                 *id = task_id ? task_id : json_object_get(o, "name");
    const char *completion, *solution;
    char number[32];
    uint32_t problem;
    if (!json_get_string(o, "completion", NULL, &completion, where, e) ||
        !json_get_string(o, "solution", NULL, &solution, where, e))
        return false;
    if (!completion == !solution)
        return err_set(e, ERR_INPUT, "%s: needs \"completion\" or \"solution\"", where);
    if (!json_is_string(id) && !json_is_integer(id))
        return err_set(e, ERR_INPUT, "%s: needs \"task_id\", a text or a number", where);
    snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
    const char *name = json_is_string(id) ? json_string_value(id) : number;
    if (!map_get(r->h->index, str_from(name), &problem))
        return err_set(e, ERR_INPUT, "%s: task_id '%.80s' is not among the problems", where, name);
    struct buf text = {0};
    if (completion) buf_add_str(&text, str_from(r->h->problems[problem].prompt));
    buf_printf(&text, "%s\n", completion ? completion : solution);
    MEM_GROW(r->samples, r->samples_cap, r->n_samples + 1);
    r->samples[r->n_samples].line = json_incref(o);
    r->samples[r->n_samples++].program = add_program(r, problem, buf_take(&text), r->way->language, true);
    return true;
}

static bool on_sample(void *ctx, struct str line, const char *where, struct err *e) {
    json_t *o = json_parse(line, where, e);
    const bool ok = o && take_sample(ctx, o, where, e);
    json_decref(o);
    return ok;
}

static void submit_program(struct run *r, size_t i, struct verify *v) {
    struct program *p = &r->programs[i];
    const struct humaneval_problem *problem = &r->h->problems[p->problem];
    struct verify_job job = {.id = i,
                             .language = p->language,
                             .program = str_from(p->text),
                             .tests = {.setup = str_from(problem->setup),
                                       .code = str_from(problem->test),
                                       .entry_point = problem->entry_point,
                                       .io = problem->io,
                                       .n_io = problem->n_io},
                             .limits = r->way->limits};
    job.limits.cpu_seconds = MAX(job.limits.cpu_seconds, problem->cpu_seconds);
    job.limits.wall_seconds = MAX(job.limits.wall_seconds, 5 * problem->cpu_seconds);
    job.limits.memory_bytes = MAX(job.limits.memory_bytes, problem->memory_bytes);
    verify_submit(v, &job);
}

static void count_result(const struct run *r, const struct program *p, const struct verify_result *got,
                         struct humaneval_counts *c) {
    c->n_done++;
    c->n_second_tries += got->n_tries > 1;
    c->cpu_seconds += got->cpu_seconds;
    c->calls += got->n_calls;
    c->memory_bytes_max = MAX(c->memory_bytes_max, got->memory_bytes);
    if (got->verdict == VERIFY_REFUSED && !c->refused[0])
        snprintf(c->refused, sizeof c->refused, "%s: %s", r->h->problems[p->problem].task_id, got->text);
}

/* What the sandbox broke on is tried again by the next process. */
static bool keep_result(const struct run *r, const struct verify_result *got, struct err *e) {
    if (!r->kept || got->verdict == VERIFY_BROKEN) return true;
    json_t *list = json_pack("[I,s,o,i,f,i,I]", (json_int_t)got->id, verify_verdict_names[got->verdict],
                             json_text(str_from(got->text)), got->n_tries, got->cpu_seconds, got->n_calls,
                             (json_int_t)got->memory_bytes);
    ASSERT(list);
    return kept_add(r->kept, got->id, list, e);
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
    count_result(r, p, got, c);
    free(p->text);
    p->text = NULL;
}

/* A verdict of an earlier process; false if there is none. */
static bool take_kept(struct run *r, size_t i, struct humaneval_counts *c) {
    json_t *list = r->kept ? (json_t *)(uintptr_t)kept_get(r->kept, i) : NULL;
    struct verify_result got = {.id = i};
    const char *verdict;
    json_int_t number, memory;
    if (!list || json_unpack(list, "[I,s,s,i,F,i,I]", &number, &verdict, &got.text, &got.n_tries,
                             &got.cpu_seconds, &got.n_calls, &memory) != 0)
        return false;
    while (got.verdict < VERIFY_VERDICTS && strcmp(verdict, verify_verdict_names[got.verdict]) != 0)
        got.verdict++;
    if (got.verdict == VERIFY_VERDICTS) return false;
    got.memory_bytes = (size_t)memory;
    take_result(r, &got, c);
    return true;
}

/* Decides a program without running it, if that can be. */
static bool decide_at_once(struct run *r, size_t i, struct humaneval_counts *c) {
    const char *unfit = r->h->problems[r->programs[i].problem].unfit;
    if (!unfit) return take_kept(r, i, c);
    take_result(r, &(struct verify_result){.id = i, .verdict = VERIFY_REFUSED, .text = unfit}, c);
    return true;
}

static bool cancelled(const struct run *r, const struct humaneval_counts *c, struct err *e) {
    const bool kept = r->kept && kept_lasts(r->kept);
    return err_set(e, ERR_CANCELLED, "interrupted: %lld of %lld programs were decided%s",
                   (long long)c->n_done, (long long)c->n_distinct,
                   kept ? " and are kept: the same command goes on" : ", no results are written");
}

static bool decide_all(struct run *r, struct verify *v, struct humaneval_counts *c, struct err *e) {
    struct verify_result got;
    size_t n_submitted = 0;
    while (c->n_done < c->n_distinct) {
        for (; n_submitted < r->n_programs && verify_in_flight(v) < verify_info(v)->n_wanted; n_submitted++) {
            if (!decide_at_once(r, n_submitted, c)) submit_program(r, n_submitted, v);
        }
        if (verify_work(v, 0.2, e) < 0) return false;
        while (verify_next(v, &got)) {
            if (!keep_result(r, &got, e)) return false;
            take_result(r, &got, c);
        }
        if (r->way->on_progress && !r->way->on_progress(r->way->ctx, c)) return cancelled(r, c, e);
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
        c->n_of[p->verdict]++;
        if (problem->trust == HUMANEVAL_FAILS || problem->trust == HUMANEVAL_FLAKY) continue;
        problem->n_samples++;
        problem->n_passed += p->verdict == VERIFY_PASSED;
    }
}

static void run_fini(struct run *r) {
    for (size_t i = 0; i < r->n_programs; i++) {
        free(r->programs[i].text);
        free(r->programs[i].result);
    }
    for (size_t i = 0; i < r->n_samples; i++) json_decref(r->samples[i].line);
    free(r->programs);
    free(r->samples);
    map_free(r->index);
    kept_close(r->kept);
}

static uint64_t hash_text(uint64_t h, const char *s) {
    return rng_hash(h, s ? s : "", s ? strlen(s) + 1 : 1);
}

static uint64_t hash_words(uint64_t h, char *const *words) {
    for (size_t i = 0; words && words[i]; i++) h = hash_text(h, words[i]);
    return hash_text(h, "");
}

/* Everything that has a say in a verdict: programs, tests, limits, Python, language. */
static uint64_t identity_of(const struct run *r, const struct verify *v) {
    const struct verify_limits *l = &r->way->limits;
    const double limits[] = {l->cpu_seconds, l->wall_seconds, (double)l->memory_bytes};
    uint64_t h = hash_text(rng_hash(0x6b657074, limits, sizeof limits), verify_info(v)->version);
    for (size_t i = 0; i < r->h->n_problems; i++) {
        const struct humaneval_problem *p = &r->h->problems[i];
        const double own[] = {p->cpu_seconds, (double)p->memory_bytes, (double)p->n_io};
        h = rng_hash(hash_text(hash_text(hash_text(h, p->setup), p->test), p->entry_point), own, sizeof own);
        for (size_t j = 0; j < p->n_io; j++) {
            const struct verify_io *io = &p->io[j];
            h = rng_hash(rng_hash(h, io->input.ptr, io->input.len), io->output.ptr, io->output.len);
        }
    }
    for (size_t i = 0; i < r->n_programs; i++)
        h = hash_text(rng_hash(h, &r->programs[i].problem, sizeof(uint32_t)), r->programs[i].text);
    const struct verify_language *language = r->way->language;
    return language ? hash_words(hash_words(hash_text(h, language->source), language->compile), language->run)
                    : h;
}

void humaneval_done(const struct humaneval_way *way) {
    if (way->kept) kept_remove(way->kept, kept_ending);
}

bool humaneval_run(struct humaneval *h, const char *samples_path, struct verify *v,
                   const struct humaneval_way *way, struct humaneval_counts *counts, struct buf *results,
                   struct err *e) {
    struct run r = {.h = h, .way = way, .index = map_new(1024)};
    *counts = (struct humaneval_counts){0};
    for (size_t i = 0; i < h->n_problems; i++) h->problems[i].n_samples = h->problems[i].n_passed = 0;
    bool ok = file_lines_each(samples_path, on_sample, &r, e);
    if (ok && r.n_samples == 0)
        ok = err_set(e, ERR_INPUT, "%s: no samples in it: a line needs \"task_id\" and \"completion\"",
                     samples_path);
    ok = ok && kept_open(&r.kept, way->kept, kept_ending, identity_of(&r, v), r.n_programs, e);
    if (ok) {
        const double started = clock_seconds();
        counts->n_samples = (int64_t)r.n_samples;
        counts->n_distinct = (int64_t)r.n_programs;
        ok = decide_all(&r, v, counts, e);
        counts->wall_seconds = clock_seconds() - started;
    }
    if (ok) write_results(&r, counts, results);
    run_fini(&r);
    return ok;
}

/* ---- references ---- */

static void judge_reference(struct humaneval_problem *p, const struct program *runs, int n_times) {
    int n_passed = 0, failed = -1;
    for (int i = 0; i < n_times; i++) {
        if (runs[i].verdict == VERIFY_PASSED)
            n_passed++;
        else if (failed < 0)
            failed = i;
    }
    p->trust = n_passed == n_times ? HUMANEVAL_HOLDS : n_passed == 0 ? HUMANEVAL_FAILS : HUMANEVAL_FLAKY;
    free(p->trouble);
    p->trouble = failed < 0 ? NULL : mem_strdup(runs[failed].result);
}

/* For references in C++, if there are any and it is not the samples' language; *out is NULL otherwise. */
static bool open_cpp(const struct humaneval *h, struct verify_language **out, struct err *e) {
    bool wanted = false;
    *out = NULL;
    for (size_t i = 0; i < h->n_problems; i++)
        wanted |= h->problems[i].reference && h->problems[i].reference_is_cpp;
    return !wanted || verify_language_parse("c++", out, e);
}

bool humaneval_check_references(struct humaneval *h, int n_times, struct verify *v,
                                const struct humaneval_way *way, struct err *e) {
    struct run r = {.h = h, .way = way, .index = map_new(1024)};
    struct humaneval_counts counts = {0};
    struct verify_language *cpp;
    bool ok = open_cpp(h, &cpp, e);
    for (size_t i = 0; ok && i < h->n_problems; i++) {
        const struct humaneval_problem *p = &h->problems[i];
        for (int time = 0; p->reference && time < n_times; time++)
            add_program(&r, (uint32_t)i, mem_strdup(p->reference), p->reference_is_cpp ? cpp : NULL, false);
    }
    counts.n_samples = counts.n_distinct = (int64_t)r.n_programs;
    ok = ok && decide_all(&r, v, &counts, e);
    for (size_t i = 0; ok && i < r.n_programs; i += (size_t)n_times)
        judge_reference(&h->problems[r.programs[i].problem], &r.programs[i], n_times);
    run_fini(&r);
    verify_language_free(cpp);
    return ok;
}

struct keeping {
    const struct humaneval *h;
    size_t i;
    struct buf *out;
};

static bool keep_problem(void *ctx, struct str line, const char *where, struct err *e) {
    struct keeping *k = ctx;
    if (k->i == k->h->n_problems) return err_set(e, ERR_INPUT, "%s: the file has changed", where);
    const enum humaneval_trust trust = k->h->problems[k->i++].trust;
    if (trust != HUMANEVAL_FAILS && trust != HUMANEVAL_FLAKY) {
        buf_add_str(k->out, line);
        buf_add_char(k->out, '\n');
    }
    return true;
}

bool humaneval_write_kept(const struct humaneval *h, const char *path, struct buf *out, struct err *e) {
    struct keeping k = {h, 0, out};
    return file_lines_each(path, keep_problem, &k, e);
}
