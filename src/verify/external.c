/* external.c - the verifiers `command` and `worker`: any program by the contract of docs/verifiers.md.
 *
 *     command   reads the solution on standard input (or {file}, with {problem} beside it) and ends; its last
 *               line is {"verdict": "pass" | "fail" | "error", "score": 0..1, "feedback": "..."}; with
 *               accept=exit its exit status says it: 0 pass, 1 fail, anything else error
 *     worker    stays: its first line is {"ready": true}, then a line in for each solution, {"id", "problem",
 *               "solution"}, and a line out, {"id", "verdict", ...}, in any order
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "verify/checker.h"

static json_t *problem_json(const struct check *k) {
    struct err e;
    json_t *o = k->line[0] ? json_parse(str_from(k->line), k->problem_id, &e) : NULL;
    if (!o) o = json_object();
    json_object_set_new(o, "id", json_text(str_from(k->problem_id)));
    json_object_set_new(o, "prompt", json_text(str_from(k->prompt)));
    return o;
}

/* {"verdict", "score", "feedback"} into *out; false with *why. */
static bool read_verdict(const json_t *o, struct check_answer *out, const char **why) {
    static const struct {
        const char *name;
        enum verifier_verdict verdict;
    } verdicts[] = {{"pass", VERIFIER_PASSED}, {"fail", VERIFIER_REJECTED}, {"error", VERIFIER_UNKNOWN}};
    const char *said = json_string_value(json_object_get(o, "verdict"));
    const json_t *score = json_object_get(o, "score"), *feedback = json_object_get(o, "feedback");
    size_t i = 0;
    while (i < ARRAY_LEN(verdicts) && (!said || strcmp(said, verdicts[i].name) != 0)) i++;
    *why = "its \"verdict\" is none of pass, fail and error";
    if (i == ARRAY_LEN(verdicts)) return false;
    *why = "its \"score\" is no number from 0 to 1";
    if (score && !(json_is_number(score) && json_number_value(score) >= 0 && json_number_value(score) <= 1))
        return false;
    *why = "its \"feedback\" is no text";
    if (feedback && !json_is_string(feedback)) return false;
    out->verdict = verdicts[i].verdict;
    out->score = score ? json_number_value(score) : (double)NAN;
    if (feedback) buf_add_str(&out->feedback, str_from(json_string_value(feedback)));
    if (!feedback && out->verdict == VERIFIER_UNKNOWN) buf_add_str(&out->feedback, STR("it said: error"));
    return true;
}

/* ---- one-shot ---- */

static bool command_files(const struct settings *s, const struct check *k,
                          struct process_file files[PROCESS_FILES_MAX], int *n_files,
                          struct check_answer *out) {
    UNUSED(out);
    json_t *problem = problem_json(k);
    char *line = json_line(problem);
    json_decref(problem);
    files[0] = (struct process_file){s->suffix ? s->suffix : "solution.txt",
                                     {mem_strdup(k->solution), strlen(k->solution)}};
    files[1] = (struct process_file){"problem.json", {line, strlen(line)}};
    *n_files = 2;
    return true;
}

static struct str last_line(struct str said) {
    said = str_trim(said);
    const ptrdiff_t at = str_find_last(said, STR("\n"));
    return at < 0 ? said : (struct str){said.ptr + at + 1, said.len - (size_t)at - 1};
}

static bool judge_exit(int status, struct str said, struct check_answer *out, const char **why) {
    *why = "it was ended by a signal";
    if (!WIFEXITED(status)) return false;
    *why = "its exit status was neither 0 nor 1";
    if (WEXITSTATUS(status) > 1) return false;
    out->verdict = WEXITSTATUS(status) == 0 ? VERIFIER_PASSED : VERIFIER_REJECTED;
    const struct str text = str_trim(said);
    const size_t n = MIN(text.len, (size_t)VERIFIER_FEEDBACK_MAX); /* what it said last is what counts */
    if (out->verdict == VERIFIER_REJECTED) buf_add(&out->feedback, text.ptr + text.len - n, n);
    return true;
}

static bool command_judge(const struct settings *s, const struct check *k, int status, struct str said,
                          struct check_answer *out, const char **why) {
    struct err e;
    UNUSED(k);
    if (s->accept && strcmp(s->accept, "exit") == 0) return judge_exit(status, said, out, why);
    *why = "its exit status was not 0 and its last line no verdict (accept=exit goes by the status)";
    const struct str line = last_line(said);
    json_t *o = line.len > 0 && line.ptr[0] == '{' ? json_parse(line, "verdict", &e) : NULL;
    if (!o && WIFEXITED(status) && WEXITSTATUS(status) == 0) *why = "its last line was no verdict";
    if (!o && !WIFEXITED(status)) *why = "it was ended by a signal before there was a verdict";
    const bool ok = o && read_verdict(o, out, why);
    json_decref(o);
    return ok;
}

const struct checker_ops checker_command = {
    .name = "command", .files = command_files, .judge = command_judge};

/* {file} and {problem} are names in the working folder. Owned. */
static char *with_names(const char *command, const char *file) {
    const char *const names[][2] = {{"{file}", file}, {"{problem}", "problem.json"}};
    struct buf out = {0};
    for (const char *at = command; *at;) {
        size_t i = 0;
        while (i < ARRAY_LEN(names) && strncmp(at, names[i][0], strlen(names[i][0])) != 0) i++;
        if (i == ARRAY_LEN(names)) {
            buf_add_char(&out, *at++);
            continue;
        }
        buf_add_str(&out, str_from(names[i][1]));
        at += strlen(names[i][0]);
    }
    buf_add(&out, "", 0);
    return buf_take(&out);
}

struct verifier *verifier_open_command(const struct settings *s, const struct verifier_options *o,
                                       struct err *e) {
    char file[40];
    if (!s->rest || !s->rest[0]) {
        err_set(e, ERR_INPUT, "verifier command: name the command, as in command:'python3 check.py'");
        return NULL;
    }
    snprintf(file, sizeof file, "solution%s", s->suffix ? s->suffix : ".txt");
    struct settings mine = *s;
    char *command = with_names(s->rest, file);
    mine.rest = command;
    mine.suffix = file; /* from here on the whole name */
    struct verifier *v = checker_open(&checker_command, &mine, o, command, e);
    free(command);
    return v;
}

/* ---- staying ---- */

static size_t worker_message(struct str said) {
    const void *end = said.len > 0 ? memchr(said.ptr, '\n', said.len) : NULL;
    return end ? (size_t)((const char *)end - said.ptr) + 1 : 0;
}

static bool worker_greeted(const json_t *m, const char **why) {
    *why = "its first line was not {\"ready\": true}";
    return json_is_true(json_object_get(m, "ready"));
}

static bool worker_ask(const struct settings *s, struct check *k, struct buf *send,
                       struct check_answer *out) {
    UNUSED(s);
    UNUSED(out);
    json_t *o = json_pack("{s:I,s:o,s:o}", "id", (json_int_t)k->number, "problem", problem_json(k),
                          "solution", json_text(str_from(k->solution)));
    char *line = json_line(o);
    buf_printf(send, "%s\n", line);
    free(line);
    json_decref(o);
    return true;
}

static struct check *worker_of(struct check *const *under_way, int n, const json_t *m) {
    const json_t *id = json_object_get(m, "id");
    for (int i = 0; i < n && json_is_integer(id); i++)
        if (under_way[i]->number == json_integer_value(id)) return under_way[i];
    return NULL;
}

static int worker_hear(const struct settings *s, struct check *k, const json_t *m, struct check_answer *out,
                       const char **why) {
    UNUSED(s);
    UNUSED(k);
    return read_verdict(m, out, why) ? 1 : -1;
}

const struct checker_ops checker_worker = {
    .name = "worker",
    .stays = true,
    .message = worker_message,
    .greeted = worker_greeted,
    .ask = worker_ask,
    .of = worker_of,
    .hear = worker_hear,
};

struct verifier *verifier_open_worker(const struct settings *s, const struct verifier_options *o,
                                      struct err *e) {
    if (s->rest && s->rest[0]) return checker_open(&checker_worker, s, o, s->rest, e);
    err_set(e, ERR_INPUT, "verifier worker: name the command, as in worker:'python3 checker.py'");
    return NULL;
}
