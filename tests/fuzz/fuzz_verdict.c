/* What a sandbox says to brood, any JSON on either of its lines, in place of a worker that is real: each job
 * has one result with all its parts, "passed" takes the judge's word for just that run, nothing hangs.
 *
 * The input is lines: 'k' or 'j' (keeper, judge) and a message, in which @ stands for the number of what
 * runs; any other first character: the line ends. When the input is over, workers are good ones, whose judge
 * says "failed". The functions of worker.h are defined here: the linker takes these, not worker.c's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "verify/worker.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { JOBS = 5, ROUNDS_MAX = 20000 };

static struct str input;
static bool tame, greeted, opened;
static json_int_t serial;          /* of what was sent last */
static bool owed[WORKER_LINES];    /* a good worker has yet to answer */
static json_int_t passed_of[4096]; /* runs that the judge let pass */
static size_t n_passed_of;

bool python_find(const char *name, struct python *out, struct err *e) {
    UNUSED(name), UNUSED(e);
    *out = (struct python){.path = mem_strdup("/python"), .version = mem_strdup("3")};
    return true;
}

void python_free(struct python *p) {
    free(p->path);
    free(p->version);
    *p = (struct python){0};
}

bool worker_start(struct worker *w, const struct worker_plan *plan, struct err *e) {
    UNUSED(plan), UNUSED(e);
    tame = !opened || input.len == 0;
    greeted = owed[0] = owed[1] = false;
    *w = (struct worker){.pid = 1, .fds = {eventfd(1, 0), eventfd(1, 0)}}; /* always to be read */
    return true;
}

void worker_stop(struct worker *w) {
    for (int i = 0; w->pid && i < WORKER_LINES; i++) close(w->fds[i]);
    *w = (struct worker){.fds = {-1, -1}};
}

static bool take_id(int64_t id) {
    serial = id;
    owed[0] = owed[1] = tame;
    return true;
}

bool worker_send(struct worker *w, enum worker_line line, const json_t *message, int fd) {
    UNUSED(w), UNUSED(line), UNUSED(message), UNUSED(fd);
    return true;
}

bool worker_send_unit(struct worker *w, const struct worker_head *head, const char *entry_point,
                      const char *program, int fd) {
    UNUSED(w), UNUSED(entry_point), UNUSED(program), UNUSED(fd);
    return take_id(head->id);
}

bool worker_send_step(struct worker *w, const struct worker_head *head, const json_t *step, int fd) {
    UNUSED(w), UNUSED(step), UNUSED(fd);
    return take_id(head->id);
}

bool worker_send_end(struct worker *w, int64_t id) {
    UNUSED(w), UNUSED(id);
    return true;
}

const char *worker_last_words(const struct worker *w) {
    UNUSED(w);
    return "";
}

static int say(const char *text, json_t **message) {
    struct err e;
    *message = json_parse(str_from(text), "worker", &e);
    return *message ? 1 : -1;
}

static int say_well(enum worker_line line, json_t **message) {
    char text[200];
    if (line == WORKER_KEEPER && !greeted) {
        greeted = true;
        return say("{\"ready\": true, \"landlock\": true}", message);
    }
    if (!greeted || !owed[line]) return 0;
    owed[line] = false;
    snprintf(text, sizeof text,
             line == WORKER_KEEPER
                 ? "{\"ended\": %lld, \"by\": 0, \"status\": 0, \"cpu_us\": 100, \"memory\": 9}"
                 : "{\"judged\": %lld, \"calls\": 1, \"text\": \"\", \"verdict\": \"%s\"}",
             (long long)serial, opened ? "failed" : "passed");
    return say(text, message);
}

int worker_receive(struct worker *w, enum worker_line line, json_t **message) {
    UNUSED(w);
    if (tame) return say_well(line, message);
    if (input.len == 0) return -1;
    const char *end = memchr(input.ptr, '\n', input.len), kind = input.ptr[0];
    const size_t n = end ? (size_t)(end - input.ptr) : input.len;
    if (kind == (line == WORKER_KEEPER ? 'j' : 'k')) return 0; /* the other line's turn */
    struct buf text = {0};
    for (size_t i = 1; i < n; i++) {
        if (input.ptr[i] == '@')
            buf_printf(&text, "%lld", (long long)serial);
        else
            buf_add_char(&text, input.ptr[i]);
    }
    const size_t n_taken = n + (end != NULL);
    input = (struct str){input.ptr + n_taken, input.len - n_taken};
    const int got = (kind == 'k' || kind == 'j') && text.len > 0 ? say(buf_cstr(&text), message) : -1;
    const char *verdict = got > 0 ? json_string_value(json_object_get(*message, "verdict")) : NULL;
    if (line == WORKER_JUDGE && verdict && strcmp(verdict, "passed") == 0 &&
        json_integer_value(json_object_get(*message, "judged")) == serial &&
        n_passed_of < ARRAY_LEN(passed_of))
        passed_of[n_passed_of++] = serial;
    buf_free(&text);
    return got;
}

static void submit_all(struct verify *v, const struct verify_language *compiled) {
    static const struct verify_io io[2] = {{{"1", 1}, {"2", 1}, false}, {{"3", 1}, {"44", 2}, true}};
    const struct verify_tests function = {.code = STR("assert f(1) == 2"), .entry_point = "f", .tell = true};
    const struct verify_tests prints = {.io = io, .n_io = 2, .tell = true},
                              shows = {.io = io, .n_io = 1, .show = true};
    const struct verify_job jobs[JOBS] = {
        {.id = 0, .program = STR("def f(x): return 2\n"), .tests = function},
        {.id = 1, .program = STR("print(2)"), .tests = prints},
        {.id = 2, .program = STR("x"), .tests = prints, .language = compiled},
        {.id = 3, .program = STR("print(2)"), .tests = shows},
        {.id = 4, .program = STR("def f(x): return 3\n"), .tests = function},
    };
    for (int i = 0; i < JOBS; i++) {
        struct verify_job job = jobs[i];
        job.limits = verify_limits_default;
        verify_submit(v, &job);
    }
}

static void check_result(const struct verify_result *r, unsigned *seen) {
    ASSERT(r->id < JOBS && !(*seen & 1u << r->id) && (int)r->verdict >= 0 && r->verdict < VERIFY_VERDICTS);
    *seen |= 1u << r->id;
    ASSERT(r->exception && r->text && r->detail && r->n_tries >= 1);
    ASSERT(r->verdict == VERIFY_PASSED || r->verdict == VERIFY_FAILED || r->text[0]);
    if (r->verdict == VERIFY_PASSED && r->id != 3) ASSERT(n_passed_of >= (r->id == 1 || r->id == 2 ? 2 : 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct err e = {0};
    struct verify_result r;
    struct verify_language *compiled = NULL;
    unsigned seen = 0;
    opened = false;
    input = (struct str){(const char *)bytes, n};
    serial = 0;
    n_passed_of = 0;
    ASSERT(verify_language_parse("a.x /bin/cc {source} ; {program}", &compiled, &e));
    struct verify *v =
        verify_open(&(struct verify_options){.highest = VERIFY_NAMESPACES, .n_workers = 1}, &e);
    ASSERT(v);
    opened = true;
    tame = n == 0;
    submit_all(v, compiled);
    if (n % 3 == 1) {
        verify_cancel(v, 4);
        seen |= 1u << 4;
    }
    int n_rounds = 0, status;
    while ((status = verify_work(v, 0, &e)) > 0) {
        ASSERT(++n_rounds < ROUNDS_MAX);
        while (verify_next(v, &r)) check_result(&r, &seen);
    }
    if (status < 0)
        ASSERT(e.code == ERR_SERVICE && e.msg[0]);
    else
        ASSERT(seen == (1u << JOBS) - 1 && verify_in_flight(v) == 0);
    verify_close(v);
    verify_language_free(compiled);
    return 0;
}
