/* check_minif2f DATA - miniF2F's published statements as a task and before the verifier `lean`.
 *
 *   minif2f/lean4.jsonl   488 theorems of Lean 4, each with its header
 *
 * Lean is not packaged here, so the REPL is one that notes what it is told and accepts everything: what is
 * asked of it has to be the published statement, to the letter, and each problem has to come with its header.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "run/task.h"
#include "verify/verifier.h"

static const char repl[] = "import json, sys\n"
                           "notes, n, message = open(sys.argv[1], 'w'), 0, ''\n"
                           "for line in sys.stdin:\n"
                           "    if line.strip():\n"
                           "        message += line\n"
                           "    elif message:\n"
                           "        asked, message = json.loads(message), ''\n"
                           "        print(json.dumps(asked), file=notes, flush=True)\n"
                           "        said = {'env': n}\n"
                           "        n += 1\n"
                           "        if '#print axioms' in asked['cmd']:\n"
                           "            name = asked['cmd'].split('#print axioms ')[1].strip()\n"
                           "            said['messages'] = [{'severity': 'info', 'data': \"'%s' does not "
                           "depend on any axioms\" % name}]\n"
                           "        print(json.dumps(said) + '\\n', flush=True)\n";

static int n_passed, n_failed;

static void check(bool ok, const char *what, const char *id) {
    *(ok ? &n_passed : &n_failed) += 1;
    if (!ok) printf("FAIL %s: %s\n", id, what);
}

/* Submits a proof of each and counts what passes. */
static int prove_all(const struct task *t, const char *spec, struct err *e) {
    struct verifier *v = verifier_open(spec, &(struct verifier_options){.n_workers = 1}, e);
    struct verifier_result r;
    int n = 0, status = 1;
    if (!v) return -1;
    for (size_t i = 0; i < t->n_problems; i++)
        verifier_submit(v, &(struct verifier_job){.id = i,
                                                  .problem = {t->problems[i].id, t->problems[i].prompt,
                                                              str_from(t->problems[i].line)},
                                                  .solution = STR("norm_num")});
    while (status > 0 && (status = verifier_work(v, 1, e)) >= 0) {
        while (verifier_next(v, &r)) {
            n += r.verdict == VERIFIER_PASSED;
            if (r.verdict != VERIFIER_PASSED) printf("%s: %s\n", t->problems[r.id].id, r.feedback);
        }
    }
    verifier_close(v);
    return status < 0 ? -1 : n;
}

/* In the order of the task each theorem is asked thrice: as published, with the proof, for its axioms. */
static void check_asked(const struct task *t, const char *notes) {
    struct file_lines *f;
    struct str line;
    struct err e;
    size_t i = 0;
    if (!(f = file_lines_open(notes, &e))) return;
    while (i < t->n_problems && file_lines_next(f, &line, &e) > 0) {
        json_t *asked = json_parse(line, notes, &e),
               *problem = json_parse(str_from(t->problems[i].line), "", &e);
        const char *said = json_string_value(json_object_get(asked, "cmd"));
        const char *statement = json_string_value(json_object_get(problem, "statement"));
        if (said && strncmp(said, "namespace BroodGoal\n", 20) == 0) {
            struct buf wanted = {0};
            buf_printf(&wanted, "namespace BroodGoal\n%s\nend BroodGoal", statement ? statement : "");
            check(strcmp(buf_cstr(&wanted), said) == 0, "the statement that is asked is the published one",
                  t->problems[i].id);
            buf_free(&wanted);
            i++;
        }
        json_decref(asked);
        json_decref(problem);
    }
    file_lines_close(f);
    check(i == t->n_problems, "every statement is asked", notes);
}

int main(int argc, char **argv) {
    char *path = file_join(argc > 1 ? argv[1] : "../shared/data", "minif2f/lean4.jsonl");
    char dir[] = "/tmp/check_minif2f.XXXXXX", spec[300];
    struct err e = {0};
    if (!file_exists(path)) {
        printf("skip %s: not there\n", path);
        free(path);
        return 0;
    }
    struct task *t = task_open(path, 0, &e);
    if (!t || !mkdtemp(dir)) {
        printf("FAIL %s\n", e.msg);
        return 1;
    }
    check(t->n_problems == 488, "488 problems", path);
    for (size_t i = 0; i < t->n_problems; i++)
        check(t->problems[i].verify && strstr(t->problems[i].prompt, "theorem ") &&
                  strstr(t->problems[i].line, "\"header\""),
              "a theorem with its header", t->problems[i].id);
    char *program = file_join(dir, "repl.py"), *notes = file_join(dir, "notes");
    snprintf(spec, sizeof spec, "lean,workers=1,runs=100000,sandbox=off:python3 %s %s", program, notes);
    const bool ok = file_write_atomic(program, str_from(repl), &e);
    const int n = ok ? prove_all(t, spec, &e) : -1;
    if (n < 0) printf("FAIL %s\n", e.msg);
    check(n == 488, "every theorem can be asked and answered", path);
    if (n >= 0) check_asked(t, notes);
    unlink(program);
    unlink(notes);
    rmdir(dir);
    free(program);
    free(notes);
    task_free(t);
    free(path);
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed > 0;
}
