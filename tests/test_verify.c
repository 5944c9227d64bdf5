/* test_verify.c - the verifier service: verdicts of honest, wrong and hostile programs, and what they leave.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "children.h"
#include "verify/verify.h"

static const char adds_one[] = "def check(f):\n    for x in (-1, 0, 1, 41): assert f(x) == x + 1\n";
static struct err why_not; /* no sandbox here, and why */
static bool have[VERIFY_LEVELS];

static struct verify *open_at(enum verify_level level, int n_workers) {
    const struct verify_options o = {.least = level, .highest = level, .n_workers = n_workers};
    struct err e = {0};
    if (!have[level]) {
        print_message("no isolation '%s' here: %s\n", verify_level_names[level], why_not.msg);
        skip();
    }
    struct verify *v = verify_open(&o, &e);
    if (!v) fail_msg("%s", e.msg);
    return v;
}

static struct verify_job job_of(const char *program, const char *tests) {
    return (struct verify_job){
        .program = str_from(program),
        .tests = {.setup = STR("import math\n"), .code = str_from(tests), .entry_point = "f"},
        .limits = verify_limits_default};
}

/* Runs one job and gives its result, which lasts until the next. */
static struct verify_result run_one(struct verify *v, const struct verify_job *job) {
    struct verify_result r;
    struct err e = {0};
    verify_submit(v, job);
    while (!verify_next(v, &r)) {
        if (verify_work(v, 1, &e) < 0) fail_msg("%s", e.msg);
    }
    assert_int_equal(r.id, job->id);
    return r;
}

static void expect(struct verify *v, const char *program, const char *tests, enum verify_verdict verdict,
                   const char *exception) {
    const struct verify_job job = job_of(program, tests);
    const struct verify_result r = run_one(v, &job);
    if (r.verdict != verdict || (exception && strcmp(r.exception, exception) != 0))
        fail_msg("%s\n%s: %s %s: %s", program, tests, verify_verdict_names[r.verdict], r.exception, r.text);
}

/* ---- processes and files that are left ---- */

/* As a subreaper we inherit whoever outlives a worker: they are dead or about to be. */
static void check_nobody_stays(void) {
    alarm(60);
    while (waitpid(-1, NULL, 0) > 0) {
    }
    alarm(0);
}

static bool left_behind(void) {
    static const char *const names[] = {"/tmp/brood-left", "/tmp/a/b/brood-left", "/tmp/stays",
                                        "/brood-was-here", "/usr/brood-was-here", "/usr/lib/brood-was-here"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (access(names[i], F_OK) == 0) return true;
    }
    return false;
}

/* ---- what goes to a candidate and comes back ---- */

static const char values[] = "import math, decimal, fractions, collections\n"
                             "deep = []\n"
                             "for _ in range(90): deep = [deep, ()]\n"
                             "VALUES = [None, True, False, 0, -1, 1 << 62, -(1 << 63), (1 << 63) - 1, 1 << "
                             "63, -(1 << 64), 10 ** 40, 0.0, -0.0, 0.1, "
                             "1e300, 5e-324, 1e16, 123456789.125, math.inf, -math.inf, math.nan, '', 'a', "
                             "'\"', '\\\\', '\\n\\t\\r\\x00\\x1f\\x7f', 'h\u00e9', "
                             "'\u20ac\U0001f600', '\\ud800', '[\"l\", 1]', 'x' * 70000, b'', b'\\x00\\xff', "
                             "bytearray(b'ab'), [], (), {}, [1, 2.5, 'x'], "
                             "[[1], (2, [3])], (1,), {'a': 1, 'b': [2]}, {1: 'x', (1, 2): None, 'z': {}}, "
                             "{2, 1}, frozenset((3,)), [{1}], "
                             "range(3), 1 + 2j, decimal.Decimal('1.10'), fractions.Fraction(1, 3), "
                             "collections.deque([1]), list(range(20000)), "
                             "['\\n' * 9, {'k': ('v', b'w')}], deep]\n";

/* Each kind of value as an argument and as what a program makes, with its types all the way down. */
static void test_carried(void **state) {
    UNUSED(state);
    struct verify *v = open_at(VERIFY_NAMESPACES, 1);
    static const char tests[] = "def check(f):\n    for i, x in enumerate(VALUES):\n"
                                "        for y in (f(i, None), f(-1, x), f(number=-1, value=x)):\n"
                                "            assert type(x) is type(y) and repr(x) == repr(y), i\n"
                                "    assert list(f(-2, [1, 2])) == [1, 2] and f(-3, 1) is None\n";
    struct buf program = {0};
    buf_printf(
        &program,
        "%sdef f(number, value):\n    if number == -2: return iter(value)\n    if number == -3: return\n"
        "    return value if number < 0 else VALUES[number]\n",
        values);
    struct verify_job job = job_of(buf_cstr(&program), tests);
    job.tests.setup = str_from(values);
    const struct verify_result r = run_one(v, &job);
    if (r.verdict != VERIFY_PASSED) fail_msg("%s: %s", r.exception, r.text);
    buf_free(&program);
    verify_close(v);
    check_nobody_stays();
}

static const struct raising {
    const char *program, *exception, *text;
} raisings[] = {
    {"def f(x): raise ValueError('a \"b\" \\\\ \\n')", "ValueError", "a \"b\" \\ \n"},
    {"def f(x): raise KeyError(('k', 1))", "KeyError", "('k', 1)"},
    {"def f(x): raise OSError(2, 'gone', 'h\u00e9')", "FileNotFoundError", "[Errno 2] gone: 'h\u00e9'"},
    {"class Mine(LookupError):\n    def __str__(self): return 'mine'\ndef f(x): raise Mine({1})", "Mine",
     "mine"},
    {"class Meta(type):\n    pass\nclass Odd(Exception, metaclass=Meta): pass\ndef f(x): raise "
     "Odd('odd')",
     "Odd", "odd"},
    {"class Mute(Exception):\n    def __str__(self): return 1\ndef f(x): raise Mute", "Mute", ""},
    {"def f(x): raise SystemExit", "SystemExit", ""},
    {"def f(x): raise Exception(object)", "Exception", "<class 'object'>"},
    {"def f(x): return y", "NameError", "name 'y' is not defined"},
    {"def f(x: return 1", "SyntaxError", NULL},
    {"g = 1", "NameError", "name 'f' is not defined"},
    {"f = None", "NameError", "name 'f' is not defined"},
    {"def f(x): return f(x)", "RecursionError", NULL},
};

static void test_raised(void **state) {
    UNUSED(state);
    struct verify *v = open_at(VERIFY_NAMESPACES, 1);
    for (size_t i = 0; i < ARRAY_LEN(raisings); i++) {
        const struct raising *c = &raisings[i];
        const struct verify_job job = job_of(c->program, adds_one);
        const struct verify_result r = run_one(v, &job);
        if (r.verdict != VERIFY_FAILED || strcmp(r.exception, c->exception) != 0 ||
            (c->text && strcmp(r.text, c->text) != 0))
            fail_msg("%s\n%s %s: %s", c->program, verify_verdict_names[r.verdict], r.exception, r.text);
    }
    expect(v, "def f(x):\n    raise ValueError('y' * 5000)", adds_one, VERIFY_FAILED, "ValueError");
    expect(v, "def f(x):\n    raise ValueError(x)",
           "def check(f):\n    try: f(5)\n    except ValueError as e: assert e.args == (5,)\n    else: "
           "assert False\n",
           VERIFY_PASSED, NULL);
    expect(v, "class E(KeyError): pass\ndef f(x):\n    raise E(1, [2, ('3',)])",
           "def check(f):\n    try: f(5)\n    except KeyError as e: assert e.args == (1, [2, ('3',)])\n    "
           "else: assert False\n",
           VERIFY_PASSED, NULL);
    verify_close(v);
    check_nobody_stays();
}

/* What a program raises before it is loaded is no test's to catch, and comes before what the tests raise. */
static void test_not_loaded(void **state) {
    static const char raises[] = "def f(x): return x + 1\nraise ValueError(7)\n", syntax[] = "def f(x:\n",
                      lacks[] = "g = 1\n", leaves[] = "import os\nos._exit(0)\n",
                      right[] = "def f(x): return x + 1\n";
    static const char *const tests[] = {
        "def check(f):\n    try: f(1)\n    except ValueError: pass\n",
        "def check(f):\n    try: f(1)\n    except BaseException: pass\n    try: f(1)\n    except: pass\n",
        "def check(f):\n    try: f(object())\n    except: pass\n", /* cannot be carried */
        "def check(f):\n    f('x' * (4 << 20))\n",                 /* more than a line takes */
        "def check(f): pass\n",
        "def check(f): raise KeyError(1)\n",
        "raise KeyError(1)\n",
    };
    UNUSED(state);
    struct verify *v = open_at(VERIFY_NAMESPACES, 1);
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        expect(v, raises, tests[i], VERIFY_FAILED, "ValueError");
        expect(v, syntax, tests[i], VERIFY_FAILED, "SyntaxError");
        expect(v, lacks, tests[i], VERIFY_FAILED, "NameError");
        expect(v, leaves, tests[i], VERIFY_CRASHED, NULL);
        if (i == 1) expect(v, right, tests[i], VERIFY_PASSED, NULL);
        if (i == 2 || i > 3) expect(v, right, tests[i], VERIFY_REFUSED, NULL);
    }
    const struct verify_job job = job_of(raises, adds_one);
    assert_int_equal(run_one(v, &job).n_calls, 0);
    /* It has said that it was loaded, and has read what comes, before it is: it calls itself failed, no more.
     */
    expect(v, "import os\nos.write(3, b'\\2\\0\\0\\0{}')\nos.read(3, 1000)\nraise ValueError(7)\n", adds_one,
           VERIFY_FAILED, "ValueError");
    expect(v, "import os\nos.write(3, b'\\2\\0\\0\\0{}' * 2)\ndef f(x): return x + 1\n", adds_one,
           VERIFY_FAILED, "AssertionError");
    verify_close(v);
    check_nobody_stays();
}

/* ---- the corpus ---- */

struct hostile {
    char name[100], expected[120], exception[120];
    int n_processes;
    struct str program;
};

/* "### name: expected words [Exception] [processes=N]" and the program up to the next; false at the end. */
static bool next_hostile(struct str *text, struct hostile *h) {
    const ptrdiff_t at = str_find(*text, STR("\n### "));
    if (at < 0) return false;
    const struct str rest = {text->ptr + at + 5, text->len - (size_t)at - 5};
    const size_t line = (size_t)str_find(rest, STR("\n")), colon = (size_t)str_find(rest, STR(": "));
    const struct str body = {rest.ptr + line, rest.len - line};
    const ptrdiff_t end = str_find(body, STR("\n### "));
    char words[120];
    *h = (struct hostile){.program = {body.ptr, end < 0 ? body.len : (size_t)end + 1}};
    snprintf(h->name, sizeof h->name, "%.*s", (int)colon, rest.ptr);
    snprintf(words, sizeof words, "%.*s", (int)(line - colon - 2), rest.ptr + colon + 2);
    const char *processes = strstr(words, " processes=");
    if (processes) {
        h->n_processes = (int)strtol(processes + 11, NULL, 10);
        words[processes - words] = '\0';
    }
    const size_t upper = strcspn(words, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    snprintf(h->exception, sizeof h->exception, "%s", words + upper);
    snprintf(h->expected, sizeof h->expected, "%s", words);
    for (size_t n = upper; n > 0 && (h->expected[n] == ' ' || n >= upper); n--) h->expected[n] = '\0';
    *text = body;
    return true;
}

static void test_hostile(void **state) {
    UNUSED(state);
    struct verify *v = open_at(VERIFY_NAMESPACES, 1);
    struct buf file = {0};
    struct err e = {0};
    struct hostile h;
    int n = 0, n_wrong = 0;
    if (!file_read("tests/hostile/programs.py", 1 << 20, &file, &e)) fail_msg("%s", e.msg);
    const int n_processes = children_count(getpid());
    for (struct str text = buf_str(&file); next_hostile(&text, &h); n++) {
        struct verify_job job = {.id = (uint64_t)n,
                                 .program = h.program,
                                 .tests = {.code = str_from(adds_one), .entry_point = "f"},
                                 .limits = {20, 100, 256 << 20, 16 << 20, h.n_processes}};
        if (strcmp(h.expected, "timed out") == 0) job.limits.cpu_seconds = 0.2, job.limits.wall_seconds = 1;
        const struct verify_result r = run_one(v, &job);
        const int n_now = children_count(getpid());
        if (strcmp(verify_verdict_names[r.verdict], h.expected) != 0 ||
            (h.exception[0] && strcmp(h.exception, r.exception) != 0) || n_now > n_processes ||
            left_behind()) {
            print_message("%s: %s %s (%.150s), expected %s %s; %d processes\n", h.name,
                          verify_verdict_names[r.verdict], r.exception, r.text, h.expected, h.exception,
                          n_now);
            n_wrong++;
        }
    }
    print_message("%d hostile programs\n", n);
    buf_free(&file);
    verify_close(v);
    assert_int_equal(waitpid(-1, NULL, WNOHANG),
                     -1); /* as a subreaper we would have inherited any that stayed */
    assert_true(n >= 80);
    assert_int_equal(n_wrong, 0);
}

/* ---- values, tests that cannot be run ---- */

static void test_values(void **state) {
    UNUSED(state);
    struct verify *v = open_at(VERIFY_NAMESPACES, 1);
    expect(v, "def f(x): return x\n",
           "def check(f):\n"
           "    for x in (None, True, 0, -1, 1 << 63, -(1 << 200), 10 ** 4000, 0.1, -0.0, float('inf'), "
           "1e-320, '',\n"
           "              'a\\0b\\ud800\\U0001f600', b'\\0\\xff', 2 + 3j, range(1, 9, 3), [], [1, [2, "
           "(3,)]], (), (1,),\n"
           "              {}, {(1, 'a'): [None], None: {2: 3}, 1.5: set()}, {1, 'b'}, frozenset({(1, 2)})):\n"
           "        y = f(x)\n"
           "        assert y == x and type(y) is type(x) and repr(y) == repr(x), x\n"
           "    assert f(1 << 99999) == 1 << 99999\n"
           "    y = f(float('nan'))\n"
           "    assert y != y\n"
           "    assert f(1) is not True and f(True) is True\n",
           VERIFY_PASSED, NULL);
    expect(v, "import collections\ndef f(x): return collections.Counter(x)\n",
           "def check(f):\n    assert f('aab') == {'a': 2, 'b': 1}\n", VERIFY_PASSED, NULL);
    expect(v, "def f(x): return (i * i for i in range(x))\n",
           "def check(f):\n    assert list(f(3)) == [0, 1, 4]\n    assert f(3) != [0, 1, 4]\n", VERIFY_PASSED,
           NULL);
    expect(v, "def f(a, *, b=2): return a + b\n", "assert f(1) == 3\nassert f(1, b=5) == 6\n", VERIFY_PASSED,
           NULL);
    expect(v, "def f(x): raise ValueError('no', 7)\n",
           "def check(f):\n    try: f(1)\n    except ValueError as e: assert e.args == ('no', 7)\n    else: "
           "assert 0\n",
           VERIFY_PASSED, NULL);
    expect(v, "def f(x): return math.sqrt(x)\n", "def check(f):\n    assert f(4) == math.sqrt(4)\n",
           VERIFY_FAILED, "NameError"); /* the setup is the tests', not the program's */
    expect(v, "def f(x): return lambda: x\n", "def check(f):\n    assert f(1)() == 1\n", VERIFY_FAILED,
           "TypeError");
    verify_close(v);
}

static void test_refused(void **state) {
    UNUSED(state);
    struct verify *v = open_at(VERIFY_NAMESPACES, 1);
    static const char right[] = "def f(x): return x + 1\n";
    expect(v, right, "def check(f:\n", VERIFY_REFUSED, NULL);
    expect(v, right, "def check(f): pass\n", VERIFY_REFUSED, NULL);
    expect(v, right, "def check(f): f(print)\n", VERIFY_REFUSED, NULL);
    expect(v, right, "def check(f):\n    try: f(object())\n    except: pass\n", VERIFY_REFUSED, NULL);
    expect(v, right, "def check(f):\n    assert f(1) == 3, 'three'\n", VERIFY_FAILED, "AssertionError");
    expect(v, "import os\ndef f(x): os._exit(0)\n",
           "def check(f):\n    try: f(1)\n    except: pass\n    try: f(1)\n    except BaseException: pass\n",
           VERIFY_CRASHED, NULL);
    struct verify_job job = job_of(right, "assert f(1) == 2\n");
    job.program = (struct str){"a\0b", 3};
    assert_int_equal(run_one(v, &job).verdict, VERIFY_REFUSED);
    job = job_of("def f(x): return x\n", "def check(f):\n    while f(1): pass\n"); /* the tests do not end */
    job.limits.wall_seconds = 0.5;
    struct verify_result r = run_one(v, &job);
    assert_int_equal(r.verdict, VERIFY_TIMED_OUT);
    assert_int_equal(r.n_tries, 2);
    job = job_of("def f(x): return x\n", "def check(f):\n    f(1)\n    while True: pass\n");
    job.limits.wall_seconds = 0.5;
    assert_int_equal(run_one(v, &job).verdict, VERIFY_TIMED_OUT);
    expect(v, right, "assert f(1) == 2\n", VERIFY_PASSED, NULL); /* on a new worker */
    verify_close(v);
}

/* ---- the service ---- */

static void test_many(void **state) {
    UNUSED(state);
    enum { N = 120 };
    struct verify *v = open_at(VERIFY_NAMESPACES, 3);
    char program[80];
    bool seen[N] = {0};
    struct verify_result r;
    struct err e = {0};
    int n = 0;
    for (int i = 0; i < N; i++) {
        snprintf(program, sizeof program, "def f(x): return x + %d\n", i % 3);
        struct verify_job job = job_of(program, "assert f(1) == 2\n");
        job.id = (uint64_t)i;
        verify_submit(v, &job);
    }
    verify_cancel(v, 7);
    verify_cancel(v, 7777);
    assert_int_equal(verify_in_flight(v), N - 1);
    while (verify_work(v, 1, &e) > 0) {
        while (verify_next(v, &r)) {
            assert_true(r.id < N && !seen[r.id]);
            seen[r.id] = true;
            assert_int_equal(r.verdict, r.id % 3 == 1 ? VERIFY_PASSED : VERIFY_FAILED);
            if (n++ == 3) verify_cancel(v, r.id); /* taken: no longer known */
        }
    }
    assert_int_equal(n, N - 1);
    assert_false(seen[7]);
    assert_int_equal(verify_in_flight(v), 0);
    verify_close(v);
}

static void test_cancel_running(void **state) {
    UNUSED(state);
    struct verify *v = open_at(VERIFY_NAMESPACES, 1);
    struct verify_job job = job_of("while True: pass\n", "assert f(1) == 2\n");
    struct err e = {0};
    struct verify_result r;
    verify_submit(v, &job);
    assert_int_equal(verify_work(v, 0, &e), 1);
    verify_cancel(v, 0);
    assert_int_equal(verify_in_flight(v), 0);
    assert_false(verify_next(v, &r));
    expect(v, "def f(x): return x + 1\n", "assert f(1) == 2\n", VERIFY_PASSED, NULL);
    job = job_of("while True: pass\n", "assert f(1) == 2\n"); /* one that is left running when it closes */
    verify_submit(v, &job);
    assert_int_equal(verify_work(v, 0, &e), 1);
    verify_close(v);
    check_nobody_stays();
}

static void test_filtered(void **state) {
    UNUSED(state);
    struct verify *v = open_at(VERIFY_FILTERED, 1);
    static const char tests[] = "assert f(1) == 2\n";
    assert_int_equal(verify_info(v)->level, VERIFY_FILTERED);
    expect(v, "def f(x): return x + 1\n", tests, VERIFY_PASSED, NULL);
    expect(v, "def f(x): open('/tmp/brood-left', 'w')\n", tests, VERIFY_FAILED, "PermissionError");
    expect(v, "def f(x): return open('/etc/passwd').read()\n", tests, VERIFY_FAILED, "PermissionError");
    expect(v, "def f(x): return open('/proc/self/status').read()\n", tests, VERIFY_FAILED, "PermissionError");
    expect(v, "import os\ndef f(x): return os.fork()\n", tests, VERIFY_FAILED, "PermissionError");
    expect(v, "import os\ndef f(x): os.kill(os.getppid(), 9)\n", tests, VERIFY_FAILED, "PermissionError");
    expect(v, "import socket\ndef f(x): socket.socket()\n", tests, VERIFY_FAILED, "PermissionError");
    expect(v, "import os\nos._exit(0)\n", tests, VERIFY_CRASHED, NULL);
    expect(v, "def f(x): return [0] * (1 << 40)\n", tests, VERIFY_FAILED, "MemoryError");
    struct verify_job job = job_of("def f(x): return x + 1\n", tests);
    job.limits.n_processes = 1;
    assert_int_equal(run_one(v, &job).verdict, VERIFY_REFUSED);
    assert_false(left_behind());
    verify_close(v);
    check_nobody_stays();
}

static void test_no_python(void **state) {
    UNUSED(state);
    const struct verify_options o = {
        .python = "no-such-python", .least = VERIFY_FILTERED, .highest = VERIFY_FILTERED};
    struct err e = {0};
    assert_null(verify_open(&o, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "no-such-python"));
    const struct verify_options wrong = {.python = "/bin/true", .highest = VERIFY_NAMESPACES};
    assert_null(verify_open(&wrong, &e));
    assert_int_equal(e.code, ERR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_many),     cmocka_unit_test(test_cancel_running),
        cmocka_unit_test(test_filtered), cmocka_unit_test(test_no_python),
        cmocka_unit_test(test_hostile),  cmocka_unit_test(test_carried),
        cmocka_unit_test(test_raised),   cmocka_unit_test(test_not_loaded),
    };
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (int i = 0; i < VERIFY_LEVELS; i++) {
        const struct verify_options o = {
            .least = (enum verify_level)i, .highest = (enum verify_level)i, .n_workers = 1};
        struct verify *v = verify_open(&o, &why_not);
        have[i] = v != NULL;
        verify_close(v);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
