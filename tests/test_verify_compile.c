/* test_verify_compile.c - programs whose text is compiled in the compiler give what those give that a
 * candidate compiles itself: verdict, exception, message, the line that is told. A first line that is long
 * enough sends a program past the compiler. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "children.h"
#include "verify/inside/serve.h"
#include "verify/verify.h"

static const char tests[] = "def check(f):\n    for x in (-1, 0, 1, 41): assert f(x) == x + 1\n";
static const char right[] = "def f(x): return x + 1\n";
static const char *const expected_names[] = {"-", "passed", "failed", "SyntaxError"};

/* What comes of it in every Python; or it depends. */
enum is { DEPENDS, PASSES, FAILS, IS_WRONG };
static const struct source {
    const char *text;
    enum is is;
} sources[] = {
    {right, PASSES},
    {"", FAILS},
    {"f = 1", FAILS},
    {"def f(x: return 1", IS_WRONG},
    {"def f(x):\nreturn x + 1", IS_WRONG},
    {"def f(x):\n\tif x:\n        return 1\n", IS_WRONG},
    {"def f(x):\n    return x + 1\n  # dedent\n  g = 1\n", IS_WRONG},
    {"def f(x): '''", IS_WRONG},
    {"def f(x): return 'a", IS_WRONG},
    {"def f(x): return (x + 1]", IS_WRONG},
    {"def f(x): return x +\\", IS_WRONG},
    {"def f(x): return x + 1 \\ \n", IS_WRONG},
    {"return 1\n", IS_WRONG},
    {"def f(x):\n    x = 1\n    global x\n", IS_WRONG},
    {"def f(x):\n    nonlocal y\n", IS_WRONG},
    {"def f(x):\n    break\n", IS_WRONG},
    {"def f(x, x): return x\n", IS_WRONG},
    {"def f(x): return f'{x +}'\n", IS_WRONG},
    {"def f(x): return '\\N{no such name}'\n", IS_WRONG},
    {"def f(x): return x \xe2\x80\x9c\n", IS_WRONG},
    {"def f(x): await x\n", IS_WRONG},
    {"def f(x): print x\n", IS_WRONG},
    {"from __future__ import braces\n", IS_WRONG},
    {"x = 1\nfrom __future__ import annotations\n", IS_WRONG},
    {"from __future__ import annotations\ndef f(x: No) -> Such: return x + (f.__annotations__['x'] == "
     "'No')\n",
     PASSES},
    {"def f(x: No) -> Such: return x + 1\n", FAILS}, /* the future of the one before is not this one's */
    {"# -*- coding: latin-1 -*-\ndef f(x): return x + len('\xc3\xa9')\n", PASSES},
    {"# -*- coding: no-such -*-\ndef f(x): return x + 1\n", PASSES},
    {"def f(x):\f return x + 1\n", PASSES},
    {"def f(x):\r\n    return x + 1\r\n", PASSES},
    {"def f(\xc3\xa9): return \xc3\xa9 + 1", PASSES},
    {"def f(x): return x + len('\\ud800')\n", PASSES},
    {"def f(x): return x + (x is not 'a') + (0 if '\\d' else 1)\n", PASSES}, /* warned of */
    {"def f(x):\n    for y in {8, 0, 16, 'a', 24, -8}:\n        if y == 8 or y == 0: return x + 1\n", PASSES},
    {"A = [y for y in {8, 0}]\nB = []\nfor y in {8, 0}: B.append(y)\ndef f(x): return B\n", FAILS},
    {"B = []\nfor y in {24, 16, 8, 0}: B.append(y)\ndef f(x): raise ValueError(B)\n", FAILS},
    {"def g(): return 10 ** 20, 'a b', (1, 2.5)\ndef h(): return 10 ** 20, 'a b', (1, 2.5)\n"
     "def f(x): return x + (g()[1] is h()[1]) + (g()[0] is not h()[0])\n",
     DEPENDS},
    {"def f(x): raise ValueError([id(c) > 0 for c in f.__code__.co_consts], f.__code__.co_filename, "
     "f.__code__.co_firstlineno, list(f.__code__.co_lines()), f.__code__.co_code, f.__qualname__)\n",
     FAILS},
    {"import traceback\ndef f(x):\n    try:\n        1 / 0\n    except ZeroDivisionError:\n"
     "        raise ValueError(traceback.format_exc())\n",
     FAILS},
    {"import inspect\ndef f(x): return inspect.getsource(f)\n", FAILS},
    {"def f(x):\n    'A text'\n    raise ValueError(f.__doc__, 0.0, -0.0, 1e400, 2j, b'\\0', ..., None)\n",
     FAILS},
    {"class A:\n    def __m(self): return 1\n    class B: pass\ndef f(x): raise ValueError(dir(A)[:3], "
     "A.B)\n",
     FAILS},
    {"def f(x):\n\n\n    raise KeyError(x)\n", FAILS},
    {"raise KeyError('above')\n", FAILS},
    {"import os\nos._exit(3)\n", DEPENDS},
    {"def f(x): return eval('x +')\n", IS_WRONG},
    {"def f(x): return eval('x + 1')\n", PASSES},
};

/* Long ones: so often the piece, between what is before and behind. */
static const struct {
    const char *before, *piece, *behind;
    int n;
} long_ones[] = {
    {"def f(x): return x + 1 + 0 * ", "(", "", 90},
    {"def f(x): return x + 1 + 0 * ", "(", "", 201},
    {"def f(x): return x + 1 + 0 * ", "-", "1", 900},
    {"def f(x): return x + 1 + 0 * ", "-", "1", 9000},
    {"def f(x): return x + 1 + 0 * ", "-", "1", 30000},
    {"def f(x): return x + 1 ", "+ 0 ", "", 1500},
    {"def f(x): return x + 1 ", "+ 0 ", "", 8000},
    {"def f(x): return x", ".a", "", 15000},
    {"def f(x): return x", "[0]", "", 2990},
    {"def f(x): return x", "[0]", "", 9000},
    {"def f(x): return ", "not ", "x", 3000},
    {"def f(x): return ", "lambda: ", "x", 1000},
    {"def f(x): return ", "x if x else ", "x", 2000},
    {"def f(x): return x + 1\ny = [", "1,", "]", 15000},
    {"def f(x): return x + 1\ny = 0x", "f", "", 30000},
    {"def f(x): return x + 1\ny = ", "9", "", 4301},
    {"def f(x): return x + 1\ny = 1", "0", "", 30000},
    {"def f(x): return x + 1\ny = '", "a", "' * 100000 * 100000", 4000},
    {"def f(x): return x + 1\ny = 0", " or 0", "", 6000},
    {"def f(x): return x + 1\ny = f'", "{x}", "'", 10},
    {"def f(x): return x + 1\n", "y=1\n", "", 8000},
    {"def f(x): return x + 1\n", "def g(): pass\n", "", 2000},
    {"def f(x): return x + 1\ny = ", "{", "", 12},
    {"def f(x): return x + 1\ny = ", "a(", "", 20},
};

static struct verify *verifier;

static int set_up(void **state) {
    static const enum verify_level levels[] = {VERIFY_NAMESPACES, VERIFY_FILTERED};
    struct err e = {0};
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(levels) && !verifier; i++) {
        const struct verify_options o = {.least = levels[i], .highest = levels[i], .n_workers = 1};
        verifier = verify_open(&o, &e);
    }
    if (!verifier) print_message("no sandbox here: %s\n", e.msg);
    return 0;
}

static int tear_down(void **state) {
    UNUSED(state);
    verify_close(verifier);
    return 0;
}

/* What is said of it, in one line; owned. `passed_by`: its first line is too long for the compiler. */
static char *run(const char *text, bool passed_by, enum verify_verdict *verdict) {
    struct buf program = {0}, said = {0};
    struct verify_result r;
    struct err e = {0};
    buf_printf(&program, "#%*s\n%s", passed_by ? COMPILE_TEXT_MAX : 1, "", text);
    const struct verify_job job = {.program = buf_str(&program),
                                   .tests = {.code = str_from(tests), .entry_point = "f", .tell = true},
                                   .limits = {5, 60, (size_t)1 << 30, 1 << 20, 0}};
    verify_submit(verifier, &job);
    while (!verify_next(verifier, &r)) {
        if (verify_work(verifier, 1, &e) < 0) fail_msg("%s", e.msg);
    }
    buf_printf(&said, "%s %s: %s\n%s\n%d calls, %d tries", verify_verdict_names[r.verdict], r.exception,
               r.text, r.detail, r.n_calls, r.n_tries);
    *verdict = r.verdict;
    buf_free(&program);
    return buf_take(&said);
}

static void compare(const char *text, enum is is) {
    enum verify_verdict verdicts[2];
    char *compiled = run(text, false, &verdicts[0]), *by_itself = run(text, true, &verdicts[1]);
    if (strcmp(compiled, by_itself) != 0) fail_msg("%.300s\n-- %s\n-- %s", text, compiled, by_itself);
    if ((is == PASSES) != (verdicts[0] == VERIFY_PASSED) && is != DEPENDS)
        fail_msg("%.300s\n-- %s, expected %s", text, compiled, expected_names[is]);
    if (is == IS_WRONG && !strstr(compiled, "SyntaxError") && !strstr(compiled, "IndentationError") &&
        !strstr(compiled, "TabError"))
        fail_msg("%.300s\n-- %s, expected %s", text, compiled, expected_names[is]);
    free(compiled);
    free(by_itself);
}

static void test_the_same(void **state) {
    UNUSED(state);
    if (!verifier) skip();
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) compare(sources[i].text, sources[i].is);
}

/* After each that may have ended the compiler, a program is compiled as ever. */
static void test_long_ones(void **state) {
    UNUSED(state);
    if (!verifier) skip();
    for (size_t i = 0; i < ARRAY_LEN(long_ones); i++) {
        struct buf text = {0};
        buf_add_str(&text, str_from(long_ones[i].before));
        for (int j = 0; j < long_ones[i].n; j++) buf_add_str(&text, str_from(long_ones[i].piece));
        buf_add_str(&text, str_from(long_ones[i].behind));
        compare(buf_cstr(&text), DEPENDS);
        buf_free(&text);
        compare(right, PASSES);
    }
}

/* Besides the keeper and the judge. */
static void test_there_is_one(void **state) {
    enum verify_verdict verdict;
    UNUSED(state);
    if (!verifier || children_count(getpid()) == 0) skip();
    free(run(right, false, &verdict));
    assert_int_equal(verdict, VERIFY_PASSED);
    assert_int_equal(children_count(getpid()), 3);
}

int main(void) {
    const struct CMUnitTest cases[] = {cmocka_unit_test(test_there_is_one), cmocka_unit_test(test_the_same),
                                       cmocka_unit_test(test_long_ones)};
    return cmocka_run_group_tests(cases, set_up, tear_down);
}
