/* What a program says to the judge that runs its tests (runner.py): bytes of any kind on the line on which
 * values come back, or on standard output. Nothing that a program says passes, unless it is what the tests
 * ask for; and the judge lives: each input has a verdict about the program, none about the sandbox, and an
 * honest program passes now and then in between.
 *
 * The input is lines: 'm' and a message, sent with its length before it; 'r' and bytes, sent as they are; 'p'
 * and bytes that are printed. A first line 'p' makes it a program that prints. Needs the sandbox: FILTERED.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "verify/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { BYTES_MAX = 16 << 10, HONEST_EVERY = 64 };

/* No input holds what f(2) is to be. */
static const char tests[] =
    "import itertools\n"
    "def check(f):\n"
    "    for x in ([1, 2.5], {'a': (2, None)}, 'x', {1}):\n"
    "        try:\n"
    "            got = f(x)\n"
    "            got == x, x == got, repr(got)[:99], bool(got), isinstance(got, int)\n"
    "            list(itertools.islice(got, 9)), got in (1, 'a'), len(got), got < x\n"
    "        except Exception as e:\n"
    "            str(e), repr(e)[:99]\n"
    "    assert f(2) == ['3f1c9a', 87178291199, (b'5', 'e')]\n";
static const char honest[] = "def f(x): return ['3f1c9a', 87178291199, (b'5', 'e')] if x == 2 else x\n";

static struct verify *the_verifier(void) {
    static struct verify *v;
    struct err e = {0};
    const struct verify_options o = {.least = VERIFY_FILTERED, .highest = VERIFY_NAMESPACES, .n_workers = 1};
    if (!v && !(v = verify_open(&o, &e))) {
        fprintf(stderr, "no sandbox here: %s\n", e.msg);
        exit(1);
    }
    return v;
}

static void add_hex(struct buf *out, struct str data) {
    for (size_t i = 0; i < data.len; i++) buf_printf(out, "%02x", (unsigned char)data.ptr[i]);
}

/* What the input's lines say, as hexadecimal digits. */
static void write_said(struct buf *out, struct str input) {
    while (input.len > 0) {
        const char *end = memchr(input.ptr, '\n', input.len);
        const size_t n = end ? (size_t)(end - input.ptr) : input.len;
        const struct str said = {input.ptr + (n > 0), n - (n > 0)};
        if (input.ptr[0] == 'm')
            for (int i = 0; i < 4; i++) buf_printf(out, "%02x", (unsigned)(said.len >> 8 * i & 255));
        add_hex(out, said);
        input = (struct str){input.ptr + n + (end != NULL), input.len - n - (end != NULL)};
    }
}

static enum verify_verdict run(struct verify *v, struct str program, bool prints) {
    static const struct verify_io io = {STR("7"), STR("7 12.5"), false};
    struct verify_job job = {
        .program = program,
        .tests = {.setup = STR(""), .code = STR(tests), .entry_point = "f", .tell = true},
        .limits = {2, 4, 512 << 20, 1 << 20, 0}};
    if (prints) job.tests = (struct verify_tests){.entry_point = "", .io = &io, .n_io = 1, .tell = true};
    struct verify_result r;
    struct err e = {0};
    verify_submit(v, &job);
    while (!verify_next(v, &r)) ASSERT(verify_work(v, 1, &e) > 0);
    ASSERT(r.exception && r.text && r.detail);
    for (const char *c = r.detail; *c; c++) ASSERT((unsigned char)*c >= ' ' || *c == '\n');
    return r.verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    static unsigned n_inputs;
    if (n > BYTES_MAX) return -1;
    struct verify *v = the_verifier();
    const bool prints = n > 0 && bytes[0] == 'p';
    struct buf program = {0};
    buf_printf(&program, "import os\nos.write(%d, bytes.fromhex('", prints ? 1 : 3);
    write_said(&program, (struct str){(const char *)bytes, n});
    buf_printf(&program, "'))\nos._exit(0)\n");
    const enum verify_verdict verdict = run(v, buf_str(&program), prints);
    ASSERT(verdict != VERIFY_BROKEN && verdict != VERIFY_REFUSED);
    if (verdict == VERIFY_PASSED) ASSERT(prints && memchr(bytes, '7', n) && memchr(bytes, '1', n));
    buf_free(&program);
    if (n_inputs++ % HONEST_EVERY == 0) ASSERT(run(v, STR(honest), false) == VERIFY_PASSED);
    return 0;
}
