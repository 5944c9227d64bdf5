/* tests.c - the verifier `tests`: a solution is a Python program, run in the sandbox against unit tests.
 *
 * The tests are those of the problem's line in the task ("test" and "entry_point", as HumanEval has them, or
 * EvalPlus's, MBPP's or CodeContests' fields, layout.h), or of one file for every problem
 * (tests,entry=NAME:FILE). Programs that print may be in another language, declared by its commands
 * (tests,language=c).
 *
 * From a solution to a program. Chat models put code between lines of ```: of such blocks the last that
 * defines the entry point counts, else the last. What defines the entry point is a program of its own, run
 * behind the prompt where that is code (it holds imports and helpers); what does not goes on from the prompt,
 * to the first line that begins anything else (the stops of Chen et al. 2021, 2107.03374).
 *
 * Feedback quotes the test that failed: the given ones, of contests the public ones (show=none: none). Of
 * others it says in words of ours that one failed, and nothing that a program could have put there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "verify/fence.h"
#include "verify/kinds.h"
#include "verify/layout.h"
#include "verify/verify.h"

enum { TESTS_BYTES_MAX = 1 << 20 };
static const char no_tests[] = "the problem has no unit tests: give them with --verify tests,entry=NAME:FILE";

/* A problem's line as it was read last: lines of contests have megabytes, and thousands of solutions. */
struct reading {
    char *id, *line; /* owned; NULL: none */
    size_t n_bytes;
    char *refused;                  /* owned; why its solutions cannot be verified; NULL: they can */
    char *test, *entry;             /* owned; of HumanEval's layout; NULL: of another, below */
    struct humaneval_problem other; /* owned */
};

enum { READINGS = 8 }; /* problems that are open at once, more or less */

struct tests {
    struct verifier base;
    struct verify *verify;
    struct verify_limits limits;
    struct verdict_queue answers;
    char *code, *entry;                /* of tests:FILE; NULL: the problem's */
    struct verify_language *language;  /* of programs that print; NULL: Python */
    bool tells;                        /* feedback says what failed */
    struct reading readings[READINGS]; /* [i_next]: the oldest */
    int i_next;
};

static void reading_fini(struct reading *r) {
    free(r->id);
    free(r->line);
    free(r->refused);
    free(r->test);
    free(r->entry);
    layout_free(&r->other);
    *r = (struct reading){0};
}

static void tests_close(struct verifier *v) {
    struct tests *t = (struct tests *)v;
    verify_close(t->verify);
    verdict_queue_free(&t->answers);
    for (int i = 0; i < READINGS; i++) reading_fini(&t->readings[i]);
    free(t->code);
    free(t->entry);
    verify_language_free(t->language);
    free(t);
}

/* ---- programs ---- */

/* Whether a line of the code begins the definition of the function. */
static bool defines(struct str code, const char *entry) {
    struct buf head = {0};
    if (!entry[0]) return false;
    buf_printf(&head, "def %s", entry);
    bool found = false;
    for (size_t at = 0; !found && at < code.len;) {
        const struct str rest = {code.ptr + at, code.len - at};
        const ptrdiff_t n = str_find(rest, buf_str(&head));
        if (n < 0) break;
        const size_t begin = at + (size_t)n, end = begin + head.len;
        const bool ends = end < code.len && (code.ptr[end] == '(' || code.ptr[end] == ' ');
        found = ends && (begin == 0 || code.ptr[begin - 1] == '\n' || code.ptr[begin - 1] == ' ');
        at = end;
    }
    buf_free(&head);
    return found;
}

/* The block of code that counts, or all of it where there are none. */
static struct str code_of(struct str text, const char *entry) {
    struct str chosen = text, block;
    bool any = false, chosen_defines = false;
    for (size_t at = 0; fence_next(text, &at, STR("```"), &block); any = true) {
        const bool does = defines(block, entry);
        if (any && !does && chosen_defines) continue;
        chosen = block;
        chosen_defines = does;
    }
    return chosen;
}

static struct str to_first_stop(struct str code) {
    static const char *const stops[] = {"\nclass ", "\ndef ", "\n#", "\nif ", "\nprint("};
    for (size_t i = 0; i < ARRAY_LEN(stops); i++) {
        const ptrdiff_t at = str_find(code, str_from(stops[i]));
        if (at >= 0) code.len = (size_t)at;
    }
    return code;
}

/* A prompt that ends in the definition's first line, with no body (no docstring), is no code of its own: what
 * stands before that line. */
static struct str without_open_head(struct str prompt, const char *entry) {
    const struct str text = str_trim(prompt);
    const ptrdiff_t line = str_find_last(text, STR("\n"));
    const size_t at = line < 0 ? 0 : (size_t)line + 1;
    const struct str last = {text.ptr + at, text.len - at};
    return defines(last, entry) ? (struct str){text.ptr, at} : prompt;
}

static void write_program(struct buf *out, struct str prompt, const char *entry, struct str solution) {
    const struct str code = code_of(solution, entry);
    const bool whole = defines(code, entry), begun = defines(prompt, entry);
    if (begun) buf_add_str(out, whole ? without_open_head(prompt, entry) : prompt);
    if (begun && whole) buf_add_char(out, '\n');
    buf_add_str(out, whole || !begun ? code : to_first_stop(code));
    buf_add_char(out, '\n');
}

/* ---- jobs ---- */

static void refuse(struct tests *t, uint64_t id, const char *why) {
    verdict_queue_add(&t->answers,
                      &(struct verifier_result){.id = id, .verdict = VERIFIER_UNKNOWN, .score = (double)NAN},
                      str_from(why));
}

static void submit_program(struct tests *t, const struct verifier_job *job, struct str prompt,
                           const char *entry, const char *setup, const char *test, bool may_tell) {
    struct buf program = {0};
    write_program(&program, prompt, entry, job->solution);
    const struct verify_job run = {.id = job->id,
                                   .program = buf_str(&program),
                                   .tests = {.setup = str_from(setup),
                                             .code = str_from(test),
                                             .entry_point = entry,
                                             .tell = may_tell && t->tells},
                                   .limits = t->limits};
    verify_submit(t->verify, &run);
    buf_free(&program);
}

static void submit_function(struct tests *t, const struct verifier_job *job, const char *test,
                            const char *entry) {
    const struct str prompt = str_from(job->problem.prompt);
    submit_program(t, job, prompt, entry, defines(prompt, entry) ? job->problem.prompt : "", test, true);
}

/* A line as EvalPlus, MBPP or CodeContests publishes it. */
static bool is_published(struct str text, const json_t *line) {
    static const char *const keys[] = {"test_list", "public_tests", "private_tests"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (json_object_get(line, keys[i])) return true;
    }
    return json_list_text(text, "base_input").len || json_list_text(text, "plus_input").len;
}

static void submit_prints(struct tests *t, const struct verifier_job *job,
                          const struct humaneval_problem *p) {
    struct verify_job run = {
        .id = job->id,
        .language = t->language,
        .program = code_of(job->solution, ""),
        .tests = {.entry_point = p->entry_point, .io = p->io, .n_io = p->n_io, .tell = t->tells},
        .limits = t->limits};
    run.limits.cpu_seconds = MAX(run.limits.cpu_seconds, p->cpu_seconds);
    run.limits.wall_seconds = MAX(run.limits.wall_seconds, 5 * p->cpu_seconds);
    run.limits.memory_bytes = MAX(run.limits.memory_bytes, p->memory_bytes);
    verify_submit(t->verify, &run);
}

static void submit_published(struct tests *t, const struct verifier_job *job,
                             const struct humaneval_problem *p) {
    if (p->n_io > 0)
        submit_prints(t, job, p);
    else
        submit_program(t, job, str_from(p->prompt), p->entry_point, p->setup, p->test, !p->hidden);
}

/* Reads a problem's line: *r is filled, or says why it cannot be verified. */
static void read_line(const struct tests *t, const struct verifier_problem *problem, struct reading *r) {
    const struct str text = problem->line;
    struct err e = {0};
    const char *test = NULL, *entry = NULL, *why = NULL;
    json_t *line = text.len > 0 ? json_parse_without(text, json_list_text(text, "base_input"),
                                                     json_list_text(text, "plus_input"), problem->id, &e)
                                : NULL;
    const bool published = line && (t->language || is_published(text, line));
    if (!line || (!json_object_get(line, "test") && !published))
        why = no_tests;
    else if (published)
        why = !layout_read(text, t->language, &r->other, problem->id, &e) ? e.msg : r->other.unfit;
    else if (!json_want_string(line, "test", &test, problem->id, &e) ||
             !json_want_string(line, "entry_point", &entry, problem->id, &e))
        why = e.msg;
    if (why) r->refused = mem_strdup(why);
    if (!why && !published) {
        r->test = mem_strdup(test);
        r->entry = mem_strdup(entry);
    }
    json_decref(line);
}

static const struct reading *reading_of(struct tests *t, const struct verifier_problem *problem) {
    for (int i = 0; i < READINGS; i++) {
        const struct reading *r = &t->readings[i];
        if (r->line && strcmp(r->id, problem->id) == 0 &&
            str_equal((struct str){r->line, r->n_bytes}, problem->line))
            return r;
    }
    struct reading *r = &t->readings[t->i_next];
    t->i_next = (t->i_next + 1) % READINGS;
    reading_fini(r);
    r->id = mem_strdup(problem->id);
    r->line = str_dup(problem->line);
    r->n_bytes = problem->line.len;
    read_line(t, problem, r);
    return r;
}

static void tests_submit(struct verifier *v, const struct verifier_job *job) {
    struct tests *t = (struct tests *)v;
    if (t->code) {
        submit_function(t, job, t->code, t->entry);
        return;
    }
    const struct reading *r = reading_of(t, &job->problem);
    if (r->refused)
        refuse(t, job->id, r->refused);
    else if (r->test)
        submit_function(t, job, r->test, r->entry);
    else
        submit_published(t, job, &r->other);
}

static void tests_cancel(struct verifier *v, uint64_t id) {
    struct tests *t = (struct tests *)v;
    if (!verdict_queue_cancel(&t->answers, id)) verify_cancel(t->verify, id);
}

/* Without control characters but line breaks, and with nothing that a server could read as a special token of
 * a model's. */
static void make_safe(struct str text, struct buf *out) {
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];
        const char next = i + 1 < text.len ? text.ptr[i + 1] : 0;
        const bool sos = text.len - i >= 3 && memcmp(text.ptr + i, "<s>", 3) == 0;
        buf_add_char(out, (c < ' ' && c != '\n') || c == 0x7f ? ' ' : (char)c);
        if ((c == '<' && (next == '|' || next == '/' || sos)) || (c == '[' && next == '/'))
            buf_add_char(out, ' ');
    }
}

static void take(struct tests *t, const struct verify_result *got) {
    static const char *const by_verdict[VERIFY_VERDICTS] = {
        [VERIFY_FAILED] = "The tests failed: ",
        [VERIFY_TIMED_OUT] = "The program was too slow: ",
        [VERIFY_CRASHED] = "The program ended before the tests had: ",
        [VERIFY_REFUSED] = "the tests cannot be run: ",
        [VERIFY_BROKEN] = "",
    };
    /* Nothing of a program's own choosing: an exception's name may carry what a hidden test passed. */
    static const char *const unseen[VERIFY_VERDICTS] = {
        [VERIFY_FAILED] = "a result was wrong, or an exception was raised",
        [VERIFY_TIMED_OUT] = "it was too slow",
        [VERIFY_CRASHED] = "it ended before the tests had",
    };
    const bool unknown = got->verdict == VERIFY_REFUSED || got->verdict == VERIFY_BROKEN;
    const struct verifier_result r = {
        .id = got->id,
        .verdict = got->verdict == VERIFY_PASSED ? VERIFIER_PASSED
                   : unknown                     ? VERIFIER_UNKNOWN
                                                 : VERIFIER_REJECTED,
        .score = (double)NAN,
        .n_executions = got->n_tries,
        .seconds = got->wall_seconds,
        .cpu_seconds = got->cpu_seconds,
    };
    struct buf text = {0}, safe = {0};
    if (r.verdict == VERIFIER_REJECTED && got->hidden) {
        buf_printf(&text, "The program failed tests that are not shown: %s", unseen[got->verdict]);
    } else if (by_verdict[got->verdict]) {
        const bool is_named = got->exception[0] && strncmp(got->text, got->exception, strlen(got->exception));
        buf_printf(&text, "%s%s%s%s%s%s", by_verdict[got->verdict], is_named ? got->exception : "",
                   is_named && got->text[0] ? ": " : "", got->text, got->detail[0] ? "\n" : "", got->detail);
    }
    make_safe(buf_str(&text), &safe);
    verdict_queue_add(&t->answers, &r, buf_str(&safe));
    buf_free(&text);
    buf_free(&safe);
}

static int tests_work(struct verifier *v, double seconds_max, struct err *e) {
    struct tests *t = (struct tests *)v;
    struct verify_result got;
    if (verdict_queue_length(&t->answers) > 0) seconds_max = 0;
    const int status = verify_work(t->verify, seconds_max, e);
    if (status < 0) return -1;
    while (verify_next(t->verify, &got)) take(t, &got);
    return (int)verdict_queue_length(&t->answers) + verify_in_flight(t->verify);
}

static bool tests_next(struct verifier *v, struct verifier_result *out) {
    return verdict_queue_next(&((struct tests *)v)->answers, out);
}

static int tests_in_flight(const struct verifier *v) {
    const struct tests *t = (const struct tests *)v;
    return (int)verdict_queue_length(&t->answers) + verify_in_flight(t->verify);
}

/* ---- opening ---- */

static const struct verifier_ops tests_ops = {
    .close = tests_close,
    .submit = tests_submit,
    .cancel = tests_cancel,
    .work = tests_work,
    .next = tests_next,
    .in_flight = tests_in_flight,
};

static bool read_tests(struct tests *t, const struct settings *s, struct err *e) {
    struct buf text = {0};
    if (!s->rest) {
        return !s->entry ||
               err_set(e, ERR_INPUT,
                       "verifier tests: entry=%s is the function that tests of a file call: name "
                       "the file, as in tests,entry=%s:FILE",
                       s->entry, s->entry);
    }
    if (!s->entry)
        return err_set(e, ERR_INPUT,
                       "verifier tests:%s: say which function the tests call, as in tests,entry=NAME:%s",
                       s->rest, s->rest);
    if (!file_read(s->rest, TESTS_BYTES_MAX, &text, e)) {
        buf_free(&text);
        return false;
    }
    t->code = buf_take(&text);
    t->entry = mem_strdup(s->entry);
    return true;
}

static bool read_language(struct tests *t, const struct settings *s, struct err *e) {
    if (!s->language) return true;
    if (!verify_language_parse(s->language, &t->language, e)) return err_wrap(e, "verifier tests");
    if (t->language && s->isolation && strcmp(s->isolation, "filtered") == 0)
        return err_set(e, ERR_INPUT, "verifier tests: language=%.60s needs isolation by namespaces",
                       s->language);
    return !t->language || !s->rest ||
           err_set(e, ERR_INPUT,
                   "verifier tests:%s: tests in a file call a function: they are for Python, not for "
                   "language=%.60s",
                   s->rest, s->language);
}

static uint64_t identity_of(const struct tests *t, const struct settings *s) {
    const double limits[] = {t->limits.cpu_seconds, t->limits.wall_seconds, (double)t->limits.memory_bytes};
    uint64_t hash = rng_hash(0x7465737473, limits, sizeof limits);
    hash = rng_hash(hash, &t->tells, sizeof t->tells);
    if (t->code) hash = rng_hash(hash, t->code, strlen(t->code));
    if (t->language) hash = rng_hash(hash, s->language, strlen(s->language));
    return t->entry ? rng_hash(hash, t->entry, strlen(t->entry)) : hash;
}

struct verifier *verifier_open_tests(const struct settings *s, const struct verifier_options *o,
                                     struct err *e) {
    struct tests *t = mem_zalloc(1, sizeof *t);
    const bool filtered = s->isolation && strcmp(s->isolation, "filtered") == 0;
    const struct verify_options options = {.least = filtered ? VERIFY_FILTERED : VERIFY_NAMESPACES,
                                           .highest = VERIFY_NAMESPACES,
                                           .n_workers = s->n_workers > 0 ? s->n_workers : o->n_workers};
    t->base.ops = &tests_ops;
    t->tells = !s->show || strcmp(s->show, "given") == 0;
    t->limits = verify_limits_default;
    t->limits.wall_seconds = s->seconds;
    if (s->cpu > 0) t->limits.cpu_seconds = s->cpu;
    if (s->memory_mib > 0) t->limits.memory_bytes = (size_t)s->memory_mib << 20;
    if (read_tests(t, s, e) && read_language(t, s, e)) t->verify = verify_open(&options, e);
    if (!t->verify) {
        tests_close(&t->base);
        return NULL;
    }
    t->base.info.n_wanted = verify_info(t->verify)->n_wanted;
    verifier_set_identity(&t->base, identity_of(t, s));
    return &t->base;
}
