/* outcome.c - see seat.h: what a program's end means. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "verify/seat.h"

enum { LINE_SHOWN_MAX = 160 }; /* bytes of a line of the program */

const char *outcome_text(const json_t *said, const char *key) {
    const char *s = json_string_value(json_object_get(said, key));
    return s ? s : "";
}

static void say_how_ended(int status, char out[static 900]) {
    if (WIFSIGNALED(status))
        snprintf(out, 900, "ended before the tests had: killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(out, 900, "ended before the tests had: exit status %d", WEXITSTATUS(status));
}

/* How a program that prints has ended, and what that says. */
static void read_end(const struct seat *s, int status, struct verify_result *r, const char **exception,
                     char text[static 900]) {
    const bool ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    const char *said = outcome_text(s->report, "said"), *verdict = outcome_text(s->verdict, "verdict");
    if (s->is_compile) {
        r->verdict =
            ended_well && json_is_true(json_object_get(s->report, "made")) ? VERIFY_PASSED : VERIFY_FAILED;
        *exception = r->verdict == VERIFY_PASSED ? "" : "CompileError";
        if (r->verdict != VERIFY_PASSED && !text[0]) snprintf(text, 900, "no program was made");
    } else if (strcmp(verdict, "flood") == 0) {
        r->verdict = VERIFY_FAILED; /* it was ended for that, however it took it */
        *exception = "WrongOutput";
    } else if (!ended_well) {
        const size_t n = strcspn(said, ":");
        const bool raised =
            !s->job->language && WIFEXITED(status) && n > 0 && n < 60 && !memchr(said, ' ', n);
        r->verdict = raised ? VERIFY_FAILED : VERIFY_CRASHED;
        if (raised)
            snprintf(text, 900, "raised %s", said);
        else if (WIFSIGNALED(status))
            snprintf(text, 900, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
        else
            snprintf(text, 900, "exit status %d%s%s", WEXITSTATUS(status), said[0] ? ": " : "", said);
        *exception = raised ? "RuntimeError" : "";
    } else {
        r->verdict = strcmp(verdict, "passed") == 0 ? VERIFY_PASSED : VERIFY_FAILED;
        *exception = r->verdict == VERIFY_PASSED ? "" : "WrongOutput";
    }
}

void outcome_read(const struct seat *s, struct verify_result *r, const char **exception,
                  char text[static 900]) {
    const struct job *j = s->job;
    const char *said = outcome_text(s->verdict, "verdict");
    const json_int_t by = json_integer_value(json_object_get(s->report, "by"));
    const int status = (int)json_integer_value(json_object_get(s->report, "status"));
    *r = (struct verify_result){
        .verdict = VERIFY_CRASHED,
        .n_calls = (int)json_integer_value(json_object_get(s->verdict, "calls")),
        .cpu_seconds = 1e-6 * (double)json_integer_value(json_object_get(s->report, "cpu_us")),
        .wall_seconds = clock_seconds() - s->started,
        .memory_bytes = (size_t)json_integer_value(json_object_get(s->report, "memory"))};
    const bool out_of_cpu =
        by == WORKER_ENDED_BY_CPU ||
        (WIFSIGNALED(status) && by == WORKER_ENDED_BY_ITSELF && r->cpu_seconds >= j->limits.cpu_seconds);
    const bool decided = !j->n_io; /* programs that print have to end well, too */
    *exception = outcome_text(s->verdict, "exception");
    snprintf(text, 900, "%s", outcome_text(s->verdict, "text"));
    if (decided && strcmp(said, "passed") == 0) {
        r->verdict = VERIFY_PASSED;
    } else if (decided && strcmp(said, "failed") == 0) {
        r->verdict = VERIFY_FAILED;
    } else if (strcmp(said, "refused") == 0) {
        r->verdict = VERIFY_REFUSED;
    } else if (out_of_cpu || s->wall_over) {
        r->verdict = VERIFY_TIMED_OUT;
        snprintf(text, 900, out_of_cpu ? "more than %g s of CPU time" : "more than %g s by the clock",
                 out_of_cpu ? j->limits.cpu_seconds : j->limits.wall_seconds);
    } else if (!decided) {
        read_end(s, status, r, exception, text);
    } else if (by == WORKER_ENDED_BY_ITSELF || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        /* Where brood wanted it to end it may have been ending already: its status says so. */
        say_how_ended(status, text);
    }
}

void outcome_detail(const struct seat *s, struct verify_result *r, struct buf *out) {
    const struct job *j = s->job;
    r->hidden = !j->tell || (j->n_io > 0 && !s->is_compile && j->tests_io[j->n_held].hidden);
    r->detail = "";
    if (r->hidden || r->verdict == VERIFY_PASSED) return;
    const json_int_t n = json_integer_value(json_object_get(j->n_io ? s->report : s->verdict, "line"));
    const char *line = j->program;
    buf_printf(out, "%s", outcome_text(s->verdict, "detail"));
    for (json_int_t i = 1; i < n && line; i++) line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
    const struct str shown = str_trim((struct str){line, n > 0 && line ? strcspn(line, "\n") : 0});
    if (shown.len > 0)
        buf_printf(out, "%sLine: %.*s", out->len ? "\n" : "", (int)MIN(shown.len, LINE_SHOWN_MAX), shown.ptr);
    r->detail = buf_cstr(out);
}
