/* coq.c - the verifier `coq`: a solution proves the theorem that was asked, of Coq, without axioms.
 *
 * The problem's line:  statement    a proposition, "forall n : nat, n + 0 = n"
 *                      imports      may be missing: lines such as "Require Import Arith."
 *                      definitions  may be missing: what the statement speaks of
 *                      name         may be missing: what the solution calls the theorem ("solution")
 * The solution, or the last block of code in it, defines the name, or is the proof of it alone.
 *
 * Three files, compiled one after the other, so that nothing in the solution can change what was asked, what
 * is checked, or what is said of it:
 *
 *     BroodGoal.v      imports, definitions, Definition goal : Prop := (statement).
 *     BroodSolution.v  imports, Require Import BroodGoal., the solution
 *     BroodCheck.v     Require BroodGoal BroodSolution.  Definition check : goal := BroodSolution.NAME.
 *                      Print Assumptions check.
 *
 * What counts is the last one's output alone: Coq's kernel has found NAME to be a proof of the goal as it
 * stood before the solution was read, and "Closed under the global context" says that no axiom, no Admitted
 * and no switched-off check is below it. The solution's notations are not imported there. Commands that reach
 * out of the proof (Load, Redirect, Extraction, Declare ML Module, Drop, ...) are refused before anything
 * runs.
 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "verify/checker.h"

/* In the working folder. Exit status 0 comes from the last file's coqc alone. */
static const char script[] = "coqc -q -Q . \"\" BroodGoal.v >out 2>&1 || { head -c 1500 out; exit 3; }\n"
                             "coqc -q -Q . \"\" BroodSolution.v >out 2>&1 || { head -c 1500 out; exit 1; }\n"
                             "coqc -q -Q . \"\" BroodCheck.v >out 2>&1 || { head -c 1500 out; exit 2; }\n"
                             "cat out\n";

static const char *const forbidden[] = {"Load",  "Redirect", "Extraction", "Extract", "Declare", "Drop",
                                        "Quit",  "Cd",       "Pwd",        "Add",     "Remove",  "Reset",
                                        "Write", "Back",     "Restart",    "External"};

static bool is_name_char(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '\'';
}

/* The forbidden word that the text has as a word; NULL if there is none. */
static const char *find_forbidden(struct str text) {
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
        const size_t n = strlen(forbidden[i]);
        for (size_t at = 0; at + n <= text.len; at++) {
            if (memcmp(text.ptr + at, forbidden[i], n) != 0) continue;
            const bool begins = at == 0 || !is_name_char(text.ptr[at - 1]);
            if (begins && (at + n == text.len || !is_name_char(text.ptr[at + n]))) return forbidden[i];
        }
    }
    return NULL;
}

static bool is_name(const char *s) {
    const char *c = s;
    while (*c && is_name_char(*c)) c++;
    return *s && !*c && !isdigit((unsigned char)*s) && *s != '\'';
}

/* Whether the solution says what it proves itself. */
static bool states(struct str text, const char *name) {
    static const char *const words[] = {"Theorem", "Lemma",       "Corollary", "Fact",   "Definition",
                                        "Remark",  "Proposition", "Fixpoint",  "Example"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        struct buf head = {0};
        buf_printf(&head, "%s %s", words[i], name);
        const ptrdiff_t at = str_find(text, buf_str(&head));
        const bool found =
            at >= 0 && (size_t)at + head.len < text.len && !is_name_char(text.ptr[(size_t)at + head.len]);
        buf_free(&head);
        if (found) return true;
    }
    return false;
}

static void add_file(struct process_file *files, int *n_files, const char *name, struct buf *text) {
    const size_t n = text->len;
    files[(*n_files)++] = (struct process_file){name, {buf_take(text), n}};
}

static void write_files(struct process_file *files, int *n_files, const char *imports,
                        const char *definitions, const char *statement, const char *name, struct str proof) {
    struct buf goal = {0}, solution = {0}, check = {0}, run = {0};
    buf_add_str(&run, str_from(script));
    buf_printf(&goal, "%s\n%s\nDefinition goal : Prop := (%s).\n", imports, definitions, statement);
    buf_printf(&solution, "%s\nRequire Import BroodGoal.\n", imports);
    if (!states(proof, name)) buf_printf(&solution, "Theorem %s : (%s).\n", name, statement);
    buf_add_str(&solution, proof);
    buf_add_char(&solution, '\n');
    buf_printf(&check,
               "Require BroodGoal BroodSolution.\nDefinition check : BroodGoal.goal := BroodSolution.%s.\n"
               "Print Assumptions check.\n",
               name);
    add_file(files, n_files, "run.sh", &run);
    add_file(files, n_files, "BroodGoal.v", &goal);
    add_file(files, n_files, "BroodSolution.v", &solution);
    add_file(files, n_files, "BroodCheck.v", &check);
}

static bool coq_files(const struct settings *s, const struct check *k,
                      struct process_file files[PROCESS_FILES_MAX], int *n_files, struct check_answer *out) {
    char *statement = checker_field(k, "statement"), *imports = checker_field(k, "imports"),
         *definitions = checker_field(k, "definitions"), *name = checker_field(k, "name");
    const struct str proof = checker_block(str_from(k->solution));
    const char *word = find_forbidden(proof);
    UNUSED(s);
    out->verdict = VERIFIER_UNKNOWN;
    bool ok = statement[0] != 0;
    if (!ok) {
        buf_printf(&out->feedback, "the problem has no \"statement\" of Coq's to prove");
    } else if (name[0] && !is_name(name)) {
        ok = false;
        buf_printf(&out->feedback, "the problem's \"name\" is no name of Coq's");
    } else if (word) {
        ok = false;
        out->verdict = VERIFIER_REJECTED;
        buf_printf(&out->feedback, "A proof may not use %s.", word);
    } else {
        write_files(files, n_files, imports, definitions, statement, name[0] ? name : "solution", proof);
    }
    free(statement);
    free(imports);
    free(definitions);
    free(name);
    return ok;
}

static bool coq_judge(const struct settings *s, const struct check *k, int status, struct str said,
                      struct check_answer *out, const char **why) {
    UNUSED(s);
    UNUSED(k);
    said = str_trim(said);
    *why = "coqc was ended by a signal (memory=N gives it more)";
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 3) return false;
    out->verdict = VERIFIER_REJECTED;
    switch (WEXITSTATUS(status)) {
    case 0:
        if (str_equal(said, STR("Closed under the global context"))) {
            out->verdict = VERIFIER_PASSED;
            return true;
        }
        buf_printf(&out->feedback, "The proof rests on what is not proved: ");
        break;
    case 1:
        buf_printf(&out->feedback, "Coq does not accept it: ");
        break;
    case 2:
        buf_printf(&out->feedback, "It does not prove the theorem that was asked: ");
        break;
    case 3:
        out->verdict = VERIFIER_UNKNOWN;
        buf_printf(&out->feedback, "the problem's own statement is wrong: ");
        break;
    }
    buf_add_str(&out->feedback, said);
    return true;
}

const struct checker_ops checker_coq = {
    .name = "coq", .errors_too = true, .files = coq_files, .judge = coq_judge};

struct verifier *verifier_open_coq(const struct settings *s, const struct verifier_options *o,
                                   struct err *e) {
    char *const words[] = {"coqc", NULL};
    const struct process_plan plan = {.words = words, .sandbox = s->sandbox};
    struct settings mine = *s;
    mine.rest = NULL;
    if (s->rest) {
        err_set(e, ERR_INPUT, "verifier coq: it takes no command: leave ':%.60s' out", s->rest);
        return NULL;
    }
    if (!process_can_run(&plan, e)) {
        err_wrap(e, "verifier coq");
        return NULL;
    }
    static const char *const needed[] = {"/etc/ocamlfind.conf", "/etc/ocamlfind.conf.d"}; /* coqc looks */
    for (size_t i = 0; i < ARRAY_LEN(needed) && mine.n_read < SETTINGS_READ_MAX; i++)
        if (access(needed[i], R_OK) == 0) mine.read[mine.n_read++] = needed[i];
    return checker_open(&checker_coq, &mine, o, "sh run.sh", e);
}
