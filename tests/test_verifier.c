/* test_verifier.c - verifiers that are processes: the contract, what breaks it, and the adapters. Coq and z3
 * run where they are installed and are skipped aloud where not; the Lean REPL is a recorded one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "scratch.h"
#include "verify/process.h"
#include "verify/verifier.h"

struct said {
    enum verifier_verdict verdict;
    double score;
    char feedback[300];
    int n_executions;
};

enum { SOLUTIONS_MAX = 64 };

/* What a verifier says of each of the solutions, all in flight at once. */
static void verify_all(const char *spec, const char *line, const char *const *solutions, int n,
                       struct said *out) {
    struct err e = {0};
    struct verifier *v = verifier_open(spec, &(struct verifier_options){.n_workers = 2}, &e);
    struct verifier_result r;
    if (!v) fail_msg("%s", e.msg);
    for (int i = 0; i < n; i++) {
        const struct verifier_job job = {.id = 100 + (uint64_t)i,
                                         .problem = {"p", "a prompt", str_from(line)},
                                         .solution = str_from(solutions[i])};
        verifier_submit(v, &job);
        out[i].n_executions = -1;
    }
    assert_int_equal(verifier_in_flight(v), n);
    for (int n_left = n; n_left > 0;) {
        if (verifier_work(v, 1, &e) < 0) fail_msg("%s", e.msg);
        while (verifier_next(v, &r)) {
            struct said *s = &out[r.id - 100];
            assert_int_equal(s->n_executions, -1); /* told once */
            *s = (struct said){.verdict = r.verdict, .score = r.score, .n_executions = r.n_executions};
            snprintf(s->feedback, sizeof s->feedback, "%s", r.feedback);
            n_left--;
        }
    }
    assert_int_equal(verifier_in_flight(v), 0);
    assert_int_equal(verifier_work(v, 0, &e), 0);
    verifier_close(v);
}

static struct said verify_one(const char *spec, const char *line, const char *solution) {
    struct said s;
    verify_all(spec, line, &solution, 1, &s);
    return s;
}

static void expect(const struct said *s, enum verifier_verdict verdict, const char *part) {
    if (s->verdict != verdict || !strstr(s->feedback, part))
        fail_msg("verdict %d, \"%s\": expected %d, \"%s\"", (int)s->verdict, s->feedback, (int)verdict, part);
}

/* ---- one-shot ---- */

static char *spec_of(const char *kind, const char *path) {
    char *spec = mem_alloc(300);
    snprintf(spec, 300, "%s:/usr/bin/python3 %s", kind, path);
    return spec;
}

static const char judge[] =
    "import json, sys\n"
    "text = sys.stdin.read()\n"
    "problem = json.load(open(sys.argv[2]))\n"
    "assert open(sys.argv[1]).read() == text\n"
    "print('noise')\n"
    "ok = text.strip() == problem['wants']\n"
    "print(json.dumps({'verdict': 'pass' if ok else 'fail', 'score': 1 if ok else 0.25,\n"
    "                  'feedback': '' if ok else 'expected ' + problem['wants'] + ' of ' + "
    "problem['id']}))\n";

static void test_a_command_judges(void **state) {
    UNUSED(state);
    char *path = scratch_write("judge.py", judge), spec[300];
    static const char *const solutions[] = {"blue", "red", "blue\n", ""};
    static const char *const settings[] = {"", ",sandbox=off", ",suffix=.in"};
    struct said s[4];
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        snprintf(spec, sizeof spec, "command,seconds=100%s:/usr/bin/python3 %s {file} {problem}", settings[i],
                 path);
        verify_all(spec, "{\"wants\":\"blue\"}", solutions, 4, s);
        expect(&s[0], VERIFIER_PASSED, "");
        expect(&s[1], VERIFIER_REJECTED, "expected blue of p");
        expect(&s[2], VERIFIER_PASSED, "");
        expect(&s[3], VERIFIER_REJECTED, "expected blue");
        assert_true(s[0].score == 1 && s[1].score == 0.25);
        assert_int_equal(s[0].n_executions, 1);
    }
    free(path);
}

static void test_exit_statuses_count_only_where_declared(void **state) {
    UNUSED(state);
    static const char *const solutions[] = {"true", "false; echo", "exit 7", "echo why; exit 1",
                                            "kill -9 $$"};
    struct said s[5];
    verify_all("command,accept=exit,seconds=100:/bin/sh {file}", "{}", solutions, 4, s);
    expect(&s[0], VERIFIER_PASSED, "");
    expect(&s[1], VERIFIER_PASSED, "");
    expect(&s[2], VERIFIER_UNKNOWN, "exit status was neither 0 nor 1, twice");
    expect(&s[3], VERIFIER_REJECTED, "why");
    assert_int_equal(s[2].n_executions, 2);
    verify_all("command,seconds=100:/bin/sh {file}", "{}", solutions, 1, s);
    expect(&s[0], VERIFIER_UNKNOWN, "last line was no verdict");
    /* In its namespace a process cannot kill itself so. */
    verify_all("command,accept=exit,sandbox=off,seconds=100:/bin/sh {file}", "{}", solutions + 4, 1, s);
    expect(&s[0], VERIFIER_UNKNOWN, "ended by a signal");
}

/* What a wrong verifier does is one line, and no verdict. */
static void test_wrong_commands(void **state) {
    UNUSED(state);
    static const struct {
        const char *script, *why;
    } cases[] = {
        {"exit 0", "last line was no verdict"},
        {"echo pass", "last line was no verdict"},
        {"echo '{\"verdict\":\"yes\"}'", "none of pass, fail and error"},
        {"echo '{\"verdict\":\"pass\",\"score\":7}'", "score"},
        {"echo '{\"verdict\":\"pass\",\"feedback\":7}'", "feedback"},
        {"echo '{\"verdict\":'", "no verdict"},
        {"echo '{\"verdict\":\"pass\"}'; echo more", "no verdict"},
        {"echo '{\"verdict\":\"error\",\"feedback\":\"no licence\"}'", "no licence"},
        {"head -c 6000000 /dev/zero", "more than 4 MiB"},
        {"printf '\\377\\376'", "no verdict"},
    };
    const char *solutions[ARRAY_LEN(cases)] = {0};
    struct said s[ARRAY_LEN(cases)] = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) solutions[i] = cases[i].script;
    verify_all("command,seconds=100:/bin/sh {file}", "{}", solutions, ARRAY_LEN(cases), s);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect(&s[i], VERIFIER_UNKNOWN, cases[i].why);
        assert_null(strchr(s[i].feedback, '\n'));
    }
    /* A verdict is a verdict whatever the exit status. */
    const struct said ok =
        verify_one("command,seconds=100:/bin/sh {file}", "{}", "echo '{\"verdict\":\"pass\"}'; exit 9");
    expect(&ok, VERIFIER_PASSED, "");
    const struct said slow = verify_one("command,seconds=0.3:/bin/sh {file}", "{}", "sleep 1000");
    expect(&slow, VERIFIER_REJECTED, "No verdict within 0.3 s.");
}

/* In the sandbox there is no network device, no foreign file, no capability, and nothing stays. */
static void test_the_sandbox_of_commands(void **state) {
    UNUSED(state);
    char *secret = scratch_write("secret", "1"), script[600];
    snprintf(script, sizeof script,
             "[ -e '%s' ] && exit 1\n[ -e /etc/passwd ] && exit 1\n[ -e /proc/self ] && exit 1\n"
             "touch /usr/brood 2>/dev/null && exit 1\nmount -t tmpfs x /tmp 2>/dev/null && exit 1\n"
             "[ \"$(id -u)\" = 0 ] || exit 1\necho here > mine && [ -s mine ] || exit 1\n"
             "(sleep 1000 &) ; exit 0\n",
             secret);
    const struct said s = verify_one("command,accept=exit,seconds=100:/bin/sh {file}", "{}", script);
    expect(&s, VERIFIER_PASSED, "");
    free(secret);
}

static void expect_refused(const char *spec, const char *part) {
    struct err e = {0};
    assert_null(verifier_open(spec, NULL, &e));
    if (!strstr(e.msg, part)) fail_msg("\"%s\" does not say \"%s\"", e.msg, part);
    assert_null(strchr(e.msg, '\n'));
}

static void test_specs(void **state) {
    UNUSED(state);
    expect_refused("command", "name the command");
    expect_refused("command:", "name the command");
    expect_refused("command:'open", "quote is not closed");
    expect_refused("command:no-such-program-here", "no such program");
    expect_refused("command:/no/such/program", "/no/such/program");
    expect_refused("command,batch=3:true", "it has no 'batch'");
    expect_refused("command,accept=regex:true", "json or exit");
    expect_refused("command,read=etc:true", "absolute path");
    expect_refused("worker", "name the command");
    expect_refused("lean", "REPL");
    expect_refused("coq:coqc", "takes no command");
    expect_refused("smt:z3", "takes no command");
    char *words[PROCESS_WORDS_MAX + 1];
    struct err e;
    assert_true(process_words(" a 'b c'  d\\ e \"f'g\" '' ", words, &e));
    static const char *const wanted[] = {"a", "b c", "d e", "f'g", ""};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) assert_string_equal(words[i], wanted[i]);
    assert_null(words[ARRAY_LEN(wanted)]);
    process_words_free(words);
}

/* ---- staying ---- */

static const char worker[] =
    "import json, os, sys, time\n"
    "print(json.dumps({'ready': True, 'name': 'test'}), flush=True)\n"
    "held = []\n"
    "for line in sys.stdin:\n"
    "    m = json.loads(line)\n"
    "    s = m['solution']\n"
    "    if s == 'die': os._exit(1)\n"
    "    if s == 'hang': time.sleep(1000)\n"
    "    if s == 'babble': print('not json', flush=True); continue\n"
    "    if s == 'other': print(json.dumps({'id': 10**9, 'verdict': 'pass'}), flush=True); continue\n"
    "    v = {'id': m['id'], 'verdict': 'pass' if s.startswith('ok') else 'fail', 'score': 0.5,\n"
    "         'feedback': m['problem']['id'] + ' ' + str(os.getpid())}\n"
    "    held.append(v)\n"
    "    if s == 'ok wait' and len(held) < 2: continue\n"
    "    for v in reversed(held): print(json.dumps(v), flush=True)\n"
    "    held = []\n";

static void test_a_worker_judges_and_is_started_again(void **state) {
    UNUSED(state);
    char *path = scratch_write("worker.py", worker);
    char *spec = spec_of("worker,seconds=30,workers=1,batch=4", path);
    static const char *const solutions[] = {"ok 1", "wrong", "die",  "ok 2", "babble",
                                            "ok 3", "other", "ok 4", "bad",  "ok 5"};
    struct said s[10];
    verify_all(spec, "{}", solutions, 10, s);
    for (int i = 0; i < 10; i++) {
        if (solutions[i][0] == 'o' && solutions[i][1] == 'k')
            expect(&s[i], VERIFIER_PASSED, "p ");
        else if (solutions[i][0] == 'w' || strcmp(solutions[i], "bad") == 0)
            expect(&s[i], VERIFIER_REJECTED, "p ");
    }
    expect(&s[2], VERIFIER_UNKNOWN, "it ended, twice");
    expect(&s[4], VERIFIER_UNKNOWN, "no JSON");
    expect(&s[6], VERIFIER_UNKNOWN, "answered what it was not asked");
    free(spec);
    /* Answers in any order, and one that never comes. */
    spec = spec_of("worker,seconds=0.5,workers=1,batch=2", path);
    static const char *const slow[] = {"ok wait", "ok 1", "hang"};
    verify_all(spec, "{}", slow, 3, s);
    expect(&s[0], VERIFIER_PASSED, "");
    expect(&s[1], VERIFIER_PASSED, "");
    expect(&s[2], VERIFIER_REJECTED, "No verdict within 0.5 s.");
    free(spec);
    free(path);
}

/* With batch=1 nothing else is sent before there is an answer: what waits for a second solution waits in
 * vain. */
static void test_a_batch_is_as_large_as_declared(void **state) {
    UNUSED(state);
    char *path = scratch_write("batch.py", worker);
    static const char *const solutions[] = {"ok wait", "ok 1"};
    struct said s[2];
    char *spec = spec_of("worker,seconds=0.5,workers=1,batch=1", path);
    verify_all(spec, "{}", solutions, 2, s);
    expect(&s[0], VERIFIER_REJECTED, "No verdict within 0.5 s.");
    expect(&s[1], VERIFIER_PASSED, "");
    free(spec);
    spec = spec_of("worker,seconds=100,workers=1,batch=2", path);
    verify_all(spec, "{}", solutions, 2, s);
    expect(&s[0], VERIFIER_PASSED, "");
    expect(&s[1], VERIFIER_PASSED, "");
    free(spec);
    free(path);
}

static void test_workers_are_started_anew_after_their_runs(void **state) {
    UNUSED(state);
    char *path = scratch_write("runs.py", worker);
    char *spec = spec_of("worker,seconds=100,workers=1,runs=2,sandbox=off", path);
    static const char *const solutions[] = {"ok 1", "ok 2", "ok 3", "ok 4", "ok 5"};
    struct said s[5];
    verify_all(spec, "{}", solutions, 5, s);
    assert_string_equal(s[0].feedback, s[1].feedback);
    assert_string_equal(s[2].feedback, s[3].feedback);
    assert_string_not_equal(s[1].feedback, s[2].feedback);
    assert_string_not_equal(s[3].feedback, s[4].feedback);
    free(spec);
    free(path);
}

/* A worker that never becomes one ends the service, with one line. */
static void test_workers_that_are_none(void **state) {
    UNUSED(state);
    static const struct {
        const char *spec, *why;
    } cases[] = {{"worker:/bin/true", "it ended before it was ready"},
                 {"worker:/bin/echo '{\"ready\": 1}'", "first line was not"},
                 {"worker:/bin/echo hello", "no JSON"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {0};
        struct verifier *v = verifier_open(cases[i].spec, NULL, &e);
        if (!v) fail_msg("%s", e.msg);
        verifier_submit(
            v, &(struct verifier_job){.id = 1, .problem = {"p", "q", STR("{}")}, .solution = STR("s")});
        int status;
        while ((status = verifier_work(v, 1, &e)) > 0) continue;
        assert_int_equal(status, -1);
        if (!strstr(e.msg, cases[i].why)) fail_msg("\"%s\" does not say \"%s\"", e.msg, cases[i].why);
        verifier_close(v);
    }
}

static void test_what_is_cancelled_is_not_told(void **state) {
    UNUSED(state);
    struct err e = {0};
    struct verifier_result r;
    struct verifier *v = verifier_open("command,workers=1,seconds=100:/bin/sh {file}", NULL, &e);
    assert_non_null(v);
    for (uint64_t i = 0; i < 4; i++)
        verifier_submit(v, &(struct verifier_job){.id = i,
                                                  .problem = {"p", "q", STR("{}")},
                                                  .solution = i == 1 ? STR("sleep 1000")
                                                                     : STR("echo '{\"verdict\":\"pass\"}'")});
    verifier_cancel(v, 3); /* waiting */
    verifier_cancel(v, 77);
    uint64_t seen = 0;
    while (verifier_in_flight(v) > 0) {
        assert_true(verifier_work(v, 1, &e) > 0);
        while (verifier_next(v, &r)) {
            seen |= 1u << r.id;
            if (r.id != 0) continue;
            assert_true(verifier_work(v, 0, &e) > 0); /* the second is running */
            verifier_cancel(v, 1);
        }
    }
    assert_int_equal(seen, 5);
    verifier_close(v);
}

/* ---- Coq, z3 ---- */

static bool there_is(const char *program) {
    char path[64];
    snprintf(path, sizeof path, "/usr/bin/%s", program);
    if (access(path, X_OK) == 0) return true;
    print_message("skipped: %s is not installed\n", program);
    return false;
}

struct wanted {
    const char *solution;
    enum verifier_verdict verdict;
    const char *part;
};

static void verify_cases(const char *spec, const char *line, const struct wanted *cases, int n) {
    const char *solutions[SOLUTIONS_MAX] = {0};
    struct said s[SOLUTIONS_MAX] = {0};
    for (int i = 0; i < n; i++) solutions[i] = cases[i].solution;
    verify_all(spec, line, solutions, n, s);
    for (int i = 0; i < n; i++) expect(&s[i], cases[i].verdict, cases[i].part);
}

static void test_coq(void **state) {
    UNUSED(state);
    if (!there_is("coqc")) skip();
    static const struct wanted cases[] = {
        {"Proof. intros n. unfold dbl. simpl. rewrite <- plus_n_O. reflexivity. Qed.", VERIFIER_PASSED, ""},
        {"So:\n```coq\nLemma h : forall n, dbl n = 2 * n.\nProof. intros. unfold dbl. simpl. now rewrite "
         "<- plus_n_O. Qed.\nDefinition twice := h.\n```\n",
         VERIFIER_PASSED, ""},
        {"Proof. Admitted.", VERIFIER_REJECTED, "rests on what is not proved"},
        {"Axiom a : forall P : Prop, P.\nTheorem twice : forall n, dbl n = 2 * n. Proof. apply a. Qed.",
         VERIFIER_REJECTED, "rests on what is not proved"},
        {"Unset Guard Checking.\nFixpoint f (n : nat) : False := f n.\nTheorem twice : forall n, dbl n = 2 * "
         "n."
         " Proof. destruct (f 0). Qed.",
         VERIFIER_REJECTED, "rests on what is not proved"},
        /* another statement, by redefinition, notation, name or type */
        {"Definition dbl (n : nat) := 2 * n.\nTheorem twice : forall n, dbl n = 2 * n. Proof. reflexivity. "
         "Qed.",
         VERIFIER_REJECTED, "not prove the theorem that was asked"},
        {"Notation \"a = b\" := True.\nTheorem twice : forall n : nat, dbl n = 2 * n. Proof. intro; exact I. "
         "Qed.",
         VERIFIER_REJECTED, ""},
        {"Theorem twice : True. Proof. exact I. Qed.", VERIFIER_REJECTED, "not prove the theorem"},
        {"Theorem other : True. Proof. exact I. Qed.", VERIFIER_REJECTED, ""},
        {"Module BroodGoal. Definition goal := True. End BroodGoal.\nTheorem twice : True. Proof. exact I. "
         "Qed.",
         VERIFIER_REJECTED, ""},
        /* forged output, reaching out */
        {"Theorem twice : True. Proof. idtac \"Closed under the global context\". exact I. Qed.",
         VERIFIER_REJECTED, ""},
        {"Redirect \"BroodGoal\" Print nat. Definition twice := I.", VERIFIER_REJECTED,
         "may not use Redirect"},
        {"Drop.", VERIFIER_REJECTED, "may not use Drop"},
        {"Theorem twice : True. Proof. exact I. Qed. (* never closed", VERIFIER_REJECTED, "not accept"},
        {"Proof. reflexivity. Qed.", VERIFIER_REJECTED, "not accept"},
        {"", VERIFIER_REJECTED, "not accept"},
        {"\377\376", VERIFIER_REJECTED, ""},
    };
    verify_cases("coq,seconds=200",
                 "{\"definitions\":\"Definition dbl (n : nat) := n + n.\",\"name\":\"twice\","
                 "\"statement\":\"forall n : nat, dbl n = 2 * n\"}",
                 cases, (int)ARRAY_LEN(cases));
    static const struct wanted own[] = {
        {"Proof. exact I. Qed.", VERIFIER_UNKNOWN, "the problem's own statement"}};
    verify_cases("coq,seconds=200", "{\"statement\":\"forall n, n + \"}", own, 1);
    static const struct wanted missing[] = {{"Proof.", VERIFIER_UNKNOWN, "no \"statement\""}};
    verify_cases("coq,seconds=200", "{}", missing, 1);
}

static void test_smt(void **state) {
    UNUSED(state);
    if (!there_is("z3")) skip();
    static const struct wanted sat[] = {
        {"(define-fun x () Int 3) (define-fun y () Int 7)", VERIFIER_PASSED, ""},
        {"sat\n(model (define-fun y () Int 12)\n (define-fun x () Int 8) ; so\n)", VERIFIER_REJECTED,
         "no model"},
        {"(model (define-fun x () Int (- 3)))", VERIFIER_REJECTED, "no model"},
        {"(define-fun x () Int 4)", VERIFIER_PASSED, ""}, /* it extends to a model */
        {"Because of this:\n```\nunsat\n```", VERIFIER_REJECTED, "There is a model"},
        {"(define-fun z () Int 3)", VERIFIER_REJECTED, "does not declare"},
        {"(define-fun x ((a Int)) Int 3)", VERIFIER_REJECTED, "with arguments"},
        {"(define-fun x () Int y)", VERIFIER_REJECTED, "no literal"},
        {"(define-fun x () Int 3)) (reset) (", VERIFIER_REJECTED, "nothing but"},
        {"(define-fun x () Int 3", VERIFIER_REJECTED, "not closed"},
        {"(define-fun x () Int \"a\")", VERIFIER_REJECTED, "no literal"},
        {"(define-fun x () Int true)", VERIFIER_REJECTED, "z3 says"},
        {"sat", VERIFIER_REJECTED, "neither unsat nor a model"},
        {"", VERIFIER_REJECTED, "neither unsat nor a model"},
    };
    verify_cases(
        "smt,seconds=200",
        "{\"smt\":\"(declare-const x Int)(declare-fun y () Int)(assert (and (> x 2) (= (+ x y) 10)))\"}", sat,
        (int)ARRAY_LEN(sat));
    static const struct wanted unsat[] = {
        {"unsat", VERIFIER_PASSED, ""},
        {"(define-fun b () (_ BitVec 8) #x10)", VERIFIER_REJECTED, "no model"},
        {"(define-fun b () (_ BitVec 8) (_ bv16 8))", VERIFIER_REJECTED, ""}};
    verify_cases("smt,seconds=200", "{\"smt\":\"(declare-const b (_ BitVec 8))(assert (distinct b b))\"}",
                 unsat, 3);
    static const struct wanted broken[] = {{"unsat", VERIFIER_UNKNOWN, "z3 says"}};
    verify_cases("smt,seconds=200", "{\"smt\":\"(assert (= nothing 1))\"}", broken, 1);
}

/* ---- Lean ---- */

/* As the REPL answers; written after its README and the messages of Lean 4. */
static const char transcript[] =
    "[[\"import Mathlib\\nopen Nat\", null, {\"env\": 0}],\n"
    " [\"namespace BroodGoal\\ntheorem t (n : Nat) : n + 0 = n := by sorry\\nend BroodGoal\", 0,\n"
    "  {\"sorries\": [{\"pos\": {\"line\": 2, \"column\": 40}, \"goal\": \"n : Nat\\n⊢ n + 0 = n\", "
    "\"proofState\": 0}],\n"
    "   \"messages\": [{\"severity\": \"warning\", \"data\": \"declaration uses 'sorry'\"}], \"env\": 1}],\n"
    " [\"theorem t (n : Nat) : n + 0 = n := by\\n  simp\", 1, {\"env\": 2}],\n"
    " [\"example : type_of% @BroodGoal.t := @t\\n#print axioms t\", 2,\n"
    "  {\"messages\": [{\"severity\": \"info\", \"data\": \"'t' depends on axioms: [propext, "
    "Quot.sound]\"}], \"env\": 3}],\n"
    " [\"theorem t (n : Nat) : n + 0 = n := by\\n  rfl\", 1, {\"env\": 4}],\n"
    " [\"example : type_of% @BroodGoal.t := @t\\n#print axioms t\", 4,\n"
    "  {\"messages\": [{\"severity\": \"info\", \"data\": \"'t' does not depend on any axioms\"}], \"env\": "
    "5}],\n"
    " [\"theorem t (n : Nat) : n + 0 = n := by\\n  native_decide\", 1, {\"env\": 6}],\n"
    " [\"example : type_of% @BroodGoal.t := @t\\n#print axioms t\", 6,\n"
    "  {\"messages\": [{\"severity\": \"info\", \"data\": \"'t' depends on axioms: [propext, "
    "Lean.ofReduceBool]\"}],"
    " \"env\": 7}],\n"
    " [\"theorem t (n : Nat) : n + 0 = n := by\\n  exact BroodGoal.t n\", 1, {\"env\": 8}],\n"
    " [\"example : type_of% @BroodGoal.t := @t\\n#print axioms t\", 8,\n"
    "  {\"messages\": [{\"severity\": \"info\", \"data\": \"'t' depends on axioms: [sorryAx]\"}], \"env\": "
    "9}],\n"
    " [\"theorem t (n : Nat) : n + 0 = n := by\\n  sorry\", 1,\n"
    "  {\"sorries\": [{\"goal\": \"n : Nat\\n⊢ n + 0 = n\"}],\n"
    "   \"messages\": [{\"severity\": \"warning\", \"data\": \"declaration uses 'sorry'\"}], \"env\": 10}],\n"
    " [\"theorem t (n : Nat) : n + 0 = n := by\\n  linarith\", 1,\n"
    "  {\"messages\": [{\"severity\": \"error\", \"pos\": {\"line\": 2, \"column\": 2}, \"data\": \"linarith "
    "failed\"}],"
    " \"env\": 11}],\n"
    " [\"theorem t (n : Nat) : n + 0 = n := by\\n  skip\", 1, {\"env\": 12}],\n"
    " [\"example : type_of% @BroodGoal.t := @t\\n#print axioms t\", 12,\n"
    "  {\"messages\": [{\"severity\": \"error\", \"data\": \"type mismatch\"}], \"env\": 13}],\n"
    " [\"theorem t (n : Nat) : n + 0 = n := by\\n  slow\", 1, \"hang\"],\n"
    " [\"theorem t (n : Nat) : n + 0 = n := by\\n  crash\", 1, \"die\"]]\n";

static void test_lean(void **state) {
    UNUSED(state);
    const char *source = getenv("BROOD_TESTS") ? getenv("BROOD_TESTS") : "tests";
    char *records = scratch_write("transcript.json", transcript), spec[400];
    static const char line[] = "{\"header\":\"import Mathlib\\nopen Nat\",\"split\":\"test\","
                               "\"formal_statement\":\"theorem t (n : Nat) : n + 0 = n := by sorry\"}";
    static const struct wanted cases[] = {
        {"simp", VERIFIER_PASSED, ""},
        {"  rfl", VERIFIER_REJECTED, "not in the transcript"}, /* replaced below */
        {"Like this:\n```lean4\ntheorem t (n : Nat) : n + 0 = n := by\n  simp\n```", VERIFIER_PASSED, ""},
        {"by\n  simp", VERIFIER_PASSED, ""},
        {"native_decide", VERIFIER_REJECTED, "axiom Lean.ofReduceBool"},
        {"exact BroodGoal.t n", VERIFIER_REJECTED, "axiom sorryAx"},
        {"sorry", VERIFIER_REJECTED, "leaves something out"},
        {"linarith", VERIFIER_REJECTED, "linarith failed"},
        {"skip", VERIFIER_REJECTED, "not prove the theorem that was asked: type mismatch"},
        {"simp\naxiom cheat : False", VERIFIER_REJECTED, "begins with axiom"},
        {"simp\n  set_option maxHeartbeats 0", VERIFIER_REJECTED, "begins with set_option"},
        {"simp\n#eval 1", VERIFIER_REJECTED, "begins with #"},
        {"run_tac do Lean.logInfo m!\"\"", VERIFIER_REJECTED, "may not use run_tac"},
        {"native_decide elab \"#print\" \"axioms\" ident : command => pure ()", VERIFIER_REJECTED,
         "may not use elab"},
        {"exact (by_elab pure default)", VERIFIER_REJECTED, "may not use by_elab"},
        {"trivial; #eval 1", VERIFIER_REJECTED, "may not use #eval"},
        {"trivial @[simp] def f := 1", VERIFIER_REJECTED, "may not use @["},
        {"trivial -- \"\n /- macro -/", VERIFIER_REJECTED,
         "may not use macro"}, /* a quote: no comment is known */
        {"-/- -/ axiom", VERIFIER_REJECTED, "may not use axiom"},
        {"-- no axiom, notation or macro\n  simp /- nor /- run_tac -/ elab -/ -- prefix", VERIFIER_UNKNOWN,
         "not in the transcript"}, /* it is asked: comments may say anything */
        {"simp [List.prefix_append, h.prefix]", VERIFIER_UNKNOWN, "not in the transcript"},
        {"simp\n@[simp] theorem u : True := trivial", VERIFIER_REJECTED, "begins with @["},
        {"crash", VERIFIER_UNKNOWN, "it ended, twice"},
        {"unheard", VERIFIER_UNKNOWN, "not in the transcript"},
    };
    snprintf(spec, sizeof spec, "lean,seconds=100,workers=1:/usr/bin/python3 %s/fake_repl.py %s", source,
             records);
    const char *solutions[ARRAY_LEN(cases)] = {0};
    struct said s[ARRAY_LEN(cases)] = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) solutions[i] = i == 1 ? "rfl" : cases[i].solution;
    verify_all(spec, line, solutions, ARRAY_LEN(cases), s);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (i == 1)
            expect(&s[i], VERIFIER_PASSED, "");
        else
            expect(&s[i], cases[i].verdict, cases[i].part);
    }
    snprintf(spec, sizeof spec, "lean,seconds=1,workers=1,runs=1:/usr/bin/python3 %s/fake_repl.py %s", source,
             records);
    static const struct wanted slow[] = {{"slow", VERIFIER_REJECTED, "No verdict within 1 s."}};
    verify_cases(spec, line, slow, 1);
    static const struct wanted none[] = {{"simp", VERIFIER_UNKNOWN, "no \"formal_statement\""}};
    verify_cases(spec, "{}", none, 1);
    free(records);
}

/* How often the REPL was told the text. */
static int count_notes(const char *path, const char *part) {
    struct buf text = {0};
    struct err e;
    int n = 0;
    assert_true(file_read(path, 1 << 20, &text, &e));
    for (const char *at = buf_cstr(&text); (at = strstr(at, part)); at++) n++;
    buf_free(&text);
    return n;
}

/* The header is read once a process; a process is started anew after `runs` solutions, and when it has died;
 * "statement" serves where there is no "formal_statement". */
static void test_lean_restarts(void **state) {
    UNUSED(state);
    const char *source = getenv("BROOD_TESTS") ? getenv("BROOD_TESTS") : "tests";
    char *records = scratch_write("restarts.json", transcript), spec[500];
    static const char line[] = "{\"header\":\"import Mathlib\\nopen Nat\",\"name\":\"t\",\"theorem\":\"t\","
                               "\"statement\":\"theorem t (n : Nat) : n + 0 = n := by sorry\"}";
    static const struct wanted cases[] = {{"simp", VERIFIER_PASSED, ""},
                                          {"rfl", VERIFIER_PASSED, ""},
                                          {"sorry", VERIFIER_REJECTED, "leaves something out"}};
    static const struct { int runs, n_headers; } plans[] = {{100, 1}, {1, 3}, {2, 2}};
    for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
        char *notes = scratch_write("notes", "");
        snprintf(spec, sizeof spec,
                 "lean,seconds=100,workers=1,runs=%d,sandbox=off:/usr/bin/python3 %s/fake_repl.py %s %s",
                 plans[i].runs, source, records, notes);
        verify_cases(spec, line, cases, (int)ARRAY_LEN(cases));
        assert_int_equal(count_notes(notes, "import Mathlib"), plans[i].n_headers);
        free(notes);
    }
    /* One that dies takes its process with it, twice: the others go on in a third. */
    char *notes = scratch_write("notes", "");
    static const struct wanted dying[] = {{"crash", VERIFIER_UNKNOWN, "it ended, twice"},
                                          {"simp", VERIFIER_PASSED, ""}};
    snprintf(spec, sizeof spec,
             "lean,seconds=100,workers=1,sandbox=off:/usr/bin/python3 %s/fake_repl.py %s %s", source, records,
             notes);
    verify_cases(spec, line, dying, 2);
    assert_in_range(count_notes(notes, "import Mathlib"), 2, 3);
    free(notes);
    free(records);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_command_judges),
        cmocka_unit_test(test_exit_statuses_count_only_where_declared),
        cmocka_unit_test(test_wrong_commands),
        cmocka_unit_test(test_the_sandbox_of_commands),
        cmocka_unit_test(test_specs),
        cmocka_unit_test(test_a_worker_judges_and_is_started_again),
        cmocka_unit_test(test_a_batch_is_as_large_as_declared),
        cmocka_unit_test(test_workers_are_started_anew_after_their_runs),
        cmocka_unit_test(test_workers_that_are_none),
        cmocka_unit_test(test_what_is_cancelled_is_not_told),
        cmocka_unit_test(test_coq),
        cmocka_unit_test(test_smt),
        cmocka_unit_test(test_lean),
        cmocka_unit_test(test_lean_restarts),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
