/* test_verify_io.c - programs that read standard input and print: what counts as the same output, how they
 * may end, what they leave; languages declared by commands. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "verify/verify.h"

static struct err why_not;
static struct verify *v; /* NULL: no sandbox here */

static void need_sandbox(void) {
    if (v) return;
    print_message("no isolation by namespaces here: %s\n", why_not.msg);
    skip();
}

static struct verify_result run(const struct verify_language *language, const char *program,
                                const struct verify_io *io, size_t n_io, double cpu_seconds) {
    const struct verify_job job = {.language = language,
                                   .program = str_from(program),
                                   .tests = {.io = io, .n_io = n_io},
                                   .limits = {cpu_seconds, 100, (size_t)1 << 30, 16 << 20, 0}};
    struct verify_result r;
    struct err e = {0};
    verify_submit(v, &job);
    while (!verify_next(v, &r)) {
        if (verify_work(v, 1, &e) < 0) fail_msg("%s", e.msg);
    }
    return r;
}

static void expect_in(const struct verify_language *language, const char *program, const char *input,
                      const char *output, enum verify_verdict verdict, const char *text) {
    const struct verify_io io = {.input = str_from(input), .output = str_from(output)};
    const struct verify_result r = run(language, program, &io, 1, 20);
    if (r.verdict != verdict || !strstr(r.text, text))
        fail_msg("%s\n%s: %s, expected %s: %s", program, verify_verdict_names[r.verdict], r.text,
                 verify_verdict_names[verdict], text);
}

static void expect(const char *program, const char *input, const char *output, enum verify_verdict verdict,
                   const char *text) {
    expect_in(NULL, program, input, output, verdict, text);
}

static void test_outputs(void **state) {
    UNUSED(state);
    static const struct {
        const char *printed, *expected;
        bool same;
    } cases[] = {
        {"1 2\n", "1\n2", true},
        {"YES", "yes\n", true},
        {"007", "7", true},
        {"+7", "7", true},
        {"7.0", "7", true},
        {"0.3333333", "0.333333", true},
        {"1e3", "1000", true},
        {"-0", "0", true},
        {"", " \n\t\r\v", true},
        {"1,2", "1,2", true},
        {"\xc3\xa9", "\xc3\xa9", true},
        {"1 2", "1 2 3", false},
        {"1 2 3", "1 2", false},
        {"", "0", false},
        {"1.0001", "1", false},
        {"12", "1 2", false},
        {"1,2", "1,20", false},
        {"nan", "0", false},
        {"inf", "1e999", false},
        {"1_0", "10", false},
        {"0x10", "16", false},
        {"\xd9\xa1", "1", false},
        {"true", "1", false},
        {"123456789012345678901", "123456789012345678902", false},
        {"9007199254740993", "9007199254740992", false},
    };
    need_sandbox();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect("import sys\nsys.stdout.write(sys.stdin.read())\n", cases[i].printed, cases[i].expected,
               cases[i].same ? VERIFY_PASSED : VERIFY_FAILED, "");
}

static void test_ways(void **state) {
    UNUSED(state);
    need_sandbox();
    expect("a, b = map(int, input().split())\nprint(a + b)\n", "3 4\n", "7", VERIFY_PASSED, "");
    expect("a, b = map(int, input().split())\nprint(a - b)\n", "3 4\n", "7", VERIFY_FAILED,
           "word 1 is -1, expected 7");
    expect("import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))\n", "1\n2\n3", "6",
           VERIFY_PASSED, "");
    expect("import os\nos.write(1, os.read(0, 9))\n", "x", "x", VERIFY_PASSED, "");
    expect("if __name__ == '__main__':\n    print(open(0).read())\n", "x", "x", VERIFY_PASSED, "");
    expect("import threading\ndef f():\n    import time\n    time.sleep(0.05)\n    "
           "print(7)\nthreading.Thread(target=f).start()\n",
           "", "7", VERIFY_PASSED, "");
    expect("import atexit, os\natexit.register(lambda: os.write(1, b'7'))\n", "", "7", VERIFY_PASSED, "");
    expect("import sys\nprint(7)\nsys.exit()\n", "", "7", VERIFY_PASSED, "");
    expect("print('x' * 3000000)\n", "", "x", VERIFY_FAILED, "");
    expect("print(7)\n", "unread", "7", VERIFY_PASSED, "");
    /* What was printed is right, but the program does not end well. */
    expect("print(7, flush=True)\n1 / 0\n", "", "7", VERIFY_FAILED, "raised ZeroDivisionError");
    expect("print(7)\nimport sys\nsys.exit(3)\n", "", "7", VERIFY_CRASHED, "exit status 3");
    expect("print(7, flush=True)\nimport os\nos.abort()\n", "", "7", VERIFY_CRASHED, "signal ");
    expect("while True: print('x' * 100000)\n", "", "7", VERIFY_FAILED, "more than 16 MiB");
    expect("print(input()", "", "", VERIFY_FAILED, "SyntaxError");
    expect("input()\n", "", "", VERIFY_FAILED, "raised EOFError");
    expect("open('/etc/passwd')\n", "", "", VERIFY_FAILED, "FileNotFoundError");
    expect("import os\nos.fork()\n", "", "", VERIFY_FAILED, "PermissionError");
    expect("import os\nos.execv('/bin/true', ['true'])\n", "", "", VERIFY_FAILED, "PermissionError");
}

static void test_many_tests(void **state) {
    UNUSED(state);
    need_sandbox();
    const struct verify_io io[] = {{STR("a longer input\n"), STR("A LONGER INPUT"), false},
                                   {STR("b\n"), STR("B"), false},
                                   {STR("cc\n"), STR("CC"), false}};
    struct verify_result r = run(NULL, "print(input().upper())\n", io, 3, 20);
    assert_int_equal(r.verdict, VERIFY_PASSED);
    assert_int_equal(r.n_calls, 3);
    /* In order of size, and none after the first that fails. */
    r = run(NULL, "s = input()\nprint(s if len(s) < 2 else 'no')\n", io, 3, 20);
    assert_int_equal(r.verdict, VERIFY_FAILED);
    assert_int_equal(r.n_calls, 2);
    assert_non_null(strstr(r.text, "test 3: "));
    /* No test sees what another has left. */
    r = run(NULL,
            "import os\nprint(input().upper() if not os.listdir('/tmp') else 'seen')\nopen('/tmp/x', "
            "'w').write('x')\n",
            io, 3, 20);
    assert_int_equal(r.verdict, VERIFY_PASSED);
    /* A time limit is that of each test; a test that ran out of it is tried again. */
    r = run(NULL, "s = input()\nwhile len(s) > 2: pass\nprint(s.upper())\n", io, 3, 0.2);
    assert_int_equal(r.verdict, VERIFY_TIMED_OUT);
    assert_int_equal(r.n_tries, 2);
    assert_non_null(strstr(r.text, "test 1: more than 0.2 s"));
    r = run(NULL,
            "import time\nt = time.process_time()\nwhile time.process_time() < t + 0.3: "
            "pass\nprint(input().upper())\n",
            io, 3, 0.6);
    assert_int_equal(r.verdict, VERIFY_PASSED);
}

static void test_refused(void **state) {
    UNUSED(state);
    need_sandbox();
    const struct verify_io io = {.input = {"\xff", 1}, .output = STR("x")};
    assert_int_equal(run(NULL, "print()\n", &io, 1, 20).verdict, VERIFY_REFUSED);
}

static void test_languages(void **state) {
    UNUSED(state);
    struct verify_language *c, *perl, *shell;
    struct err e = {0};
    need_sandbox();
    assert_true(verify_language_parse("perl", &perl, &e));
    if (access("/usr/bin/perl", X_OK) == 0) {
        expect_in(perl, "$x = <STDIN>; print $x * 2, \"\\n\";", "21\n", "42", VERIFY_PASSED, "");
        expect_in(perl, "die 'on purpose';", "", "", VERIFY_CRASHED, "on purpose");
        expect_in(perl, "print fork() ? 1 : 0;", "", "1", VERIFY_FAILED, "");
        expect_in(perl, "open(F, '>/usr/lib/brood-was-here') or print 'no';", "", "no", VERIFY_PASSED, "");
    }
    verify_language_free(perl);
    assert_true(verify_language_parse("program.sh /bin/sh {source}", &shell, &e));
    expect_in(shell, "read x; echo $((x * 2))", "21\n", "42", VERIFY_PASSED, "");
    expect_in(shell, "/bin/true && echo 42", "", "42", VERIFY_CRASHED, ""); /* may not start what it likes */
    verify_language_free(shell);
    assert_true(verify_language_parse("c", &c, &e));
    if (access("/usr/bin/cc", X_OK) == 0) {
        const struct verify_io io[] = {
            {STR("1 2"), STR("3"), false}, {STR("2 2"), STR("4"), false}, {STR("-1 1"), STR("0"), false}};
        static const char adds[] = "#include <stdio.h>\nint main(void) { int a, b; scanf(\"%d %d\", &a, &b); "
                                   "printf(\"%d\\n\", a + b); }\n";
        const struct verify_result r = run(c, adds, io, 3, 20);
        if (r.verdict != VERIFY_PASSED) fail_msg("%s", r.text);
        assert_int_equal(r.n_calls, 3);
        expect_in(c, "int main(void) { return x; }\n", "", "", VERIFY_FAILED, "error");
        expect_in(c, "int main(void) { return 7; }\n", "", "", VERIFY_CRASHED, "exit status 7");
        expect_in(c, "int main(void) { *(volatile int *)0 = 1; }\n", "", "", VERIFY_CRASHED, "signal 11");
        expect_in(c, "#include \"/etc/passwd\"\nint main(void) { return 0; }\n", "", "", VERIFY_FAILED,
                  "error");
        expect_in(c, "#include <unistd.h>\n#include <stdio.h>\nint main(void) { printf(\"%d\", fork()); }\n",
                  "", "-1", VERIFY_PASSED, "");
        expect_in(c,
                  "#include <sys/socket.h>\n#include <stdio.h>\nint main(void) { printf(\"%d\", socket(2, 1, "
                  "0)); }\n",
                  "", "-1", VERIFY_PASSED, "");
    } else {
        print_message("skip: no /usr/bin/cc\n");
    }
    verify_language_free(c);
    assert_true(verify_language_parse("python", &c, &e));
    assert_null(c);
    static const char *const wrong[] = {"",
                                        "cobol",
                                        "a/b.c /bin/sh {source}",
                                        "p.sh sh {source}",
                                        "p.c /bin/cc ;",
                                        "p.c ; /bin/cc",
                                        "program /bin/sh",
                                        ".. /bin/sh",
                                        "p.sh /bin/no_such_shell {source}",
                                        "p.c /bin/no_such_cc -o {program} {source} ; {program}",
                                        "p.sh /bin/sh",
                                        "p.sh /bin/sh -c{source}",
                                        "p.c /bin/sh ; {program}",
                                        "p.c /bin/sh {source} ; /bin/sh"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (verify_language_parse(wrong[i], &c, &e)) fail_msg("'%s' was taken", wrong[i]);
        assert_int_equal(e.code, ERR_INPUT);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs), cmocka_unit_test(test_ways),      cmocka_unit_test(test_many_tests),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_languages),
    };
    const struct verify_options o = {
        .least = VERIFY_NAMESPACES, .highest = VERIFY_NAMESPACES, .n_workers = 1};
    v = verify_open(&o, &why_not);
    const int status = cmocka_run_group_tests(tests, NULL, NULL);
    verify_close(v);
    return status;
}
