/* test_keeper.c - the keeper's turn for a program (src/verify/inside/keeper.c) as the flat machine code that
 * the library carries: mapped and called as runner.py does, programs in place of Python's. Whether a program
 * gets through, is watched and ended, and reported.
 *
 * Where seccomp filters cannot be set (under qemu's emulation of another processor: scripts/check-arm) a
 * program must not run at all: that is looked at instead.
 */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "verify/inside/keeper.c" /* names and order of the state; the code that runs is the flat one */

/* Of the code that is included, which never runs. */
void serve(struct serve *s) {
    fail_msg("%p", (const void *)s);
}
void serve_compiler(const struct serve *s) {
    fail_msg("%p", (const void *)s);
}

enum { N_STATE = 64, ROOM_BYTES = 4096, GONE = 77 };
typedef long keep_fn(syscall_fn *call, long *s, long what);

static keep_fn *flat;
static bool has_filters;
static struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
static struct sock_fprog filter = {1, &allow};

/* ---- a keeper in a process of its own ---- */

struct keeper {
    pid_t pid;
    int line, program, done; /* to brood's side: its line, the program's line, where the judge says "done" */
    int ends;                /* where brood says what is to be ended */
};

/* In place of what Python does first with a program's text. */
typedef object *program_fn(const char *text, long n, const char *errors);

static bool has_compiler;

/* In place of loading the code that the compiler sent. */
static object *say_code(const char *bytes, long n) {
    char said[64];
    const int n_said = snprintf(said, sizeof said, "the code: %.*s", (int)n, bytes);
    _exit(write(3, said, (size_t)n_said) == n_said ? 5 : 6);
}

static struct keeper begin(program_fn *program) {
    static long state[N_STATE];
    static char room[ROOM_BYTES + COMPILE_ANSWER_MAX];
    static struct python python;
    int line[2], done[2], ends[2];
    struct keeper k;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, line), 0);
    assert_int_equal(pipe2(done, O_NONBLOCK), 0);
    assert_int_equal(pipe(ends), 0);
    k.pid = fork();
    if (k.pid == 0) {
        close(line[0]);
        close(done[1]);
        close(ends[1]);
        if (dup2(done[0], 9) != 9 || dup2(ends[0], 10) != 10 || dup2(line[1], 3) != 3)
            _exit(97); /* in the sandbox the line is 3, too */
        state[LINE] = 3;
        state[JUDGED] = 9;
        state[ENDS] = 10;
        state[PASSED_OVER] = -1;
        state[RULESET] = -1;
        state[FLAGS] = SIGCHLD;
        state[FILTER] = (long)&filter;
        state[FIRST_CLOSED] = 4;
        state[MESSAGE] = (long)room;
        state[ROOM] = sizeof room;
        python.decode_utf8 = program;
        python.read_marshal = say_code;
        state[COMPILER_MEMORY] = has_compiler ? 1L << 30 : 0;
        state[FILTER_COMPILER] = (long)&filter;
        state[PYTHON] = (long)&python;
        _exit(flat(syscall, state, NEXT) == KEEP_GONE ? GONE : 98);
    }
    close(line[1]);
    close(done[0]);
    close(ends[0]);
    k.ends = ends[1];
    k.line = line[0];
    k.done = done[1];
    k.program = -1;
    return k;
}

static void put(unsigned char *to, uint64_t value, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) to[i] = (unsigned char)(value >> 8 * i);
}

static uint64_t memory_max = (uint64_t)1 << 40;

/* A unit: its number, so much CPU time, a text; one end of a new line goes with it. */
static void send_unit(struct keeper *k, uint64_t id, uint64_t us, const char *text) {
    const size_t n_text = strlen(text), n = 2 + n_text, n_head = 4 + 8 * N_HEADER;
    unsigned char bytes[512];
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    const uint64_t header[N_HEADER] = {
        [ID] = id, [CPU_US] = us, [MEMORY] = memory_max, [DISK] = 1 << 20, [KIND] = UNIT};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    put(bytes, 8 * N_HEADER + n, 4);
    for (int i = 0; i < N_HEADER; i++) put(bytes + 4 + 8 * i, header[i], 8);
    memcpy(bytes + n_head, "f", 2); /* the entry point, and a NUL */
    memcpy(bytes + n_head + 2, text, n_text);
    struct iovec part = {bytes, n_head + n};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.head.cmsg_len = CMSG_LEN(sizeof(int));
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&control.head), &pair[1], sizeof(int));
    assert_int_equal(sendmsg(k->line, &m, 0), n_head + n);
    close(pair[1]);
    k->program = pair[0];
}

static void read_all(int fd, void *to, size_t n) {
    for (size_t at = 0; at < n;) {
        const ssize_t got = read(fd, (char *)to + at, n - at);
        assert_true(got > 0);
        at += (size_t)got;
    }
}

/* What the keeper says of a program: which, what ended it, its status. */
static void expect_report(struct keeper *k, int id, int by, int status) {
    unsigned char length[4];
    char text[256] = "";
    int got_id, got_by, got_status;
    long us, memory;
    read_all(k->line, length, 4);
    assert_int_equal(length[1], 0);
    read_all(k->line, text, length[0]);
    assert_int_equal(sscanf(text, "{\"ended\":%d,\"by\":%d,\"status\":%d,\"cpu_us\":%ld,\"memory\":%ld}",
                            &got_id, &got_by, &got_status, &us, &memory),
                     5);
    assert_int_equal(got_id, id);
    if (!has_filters) by = BY_ITSELF, status = 99 << 8;
    if (got_by != by || got_status != status) fail_msg("%s", text);
    if (us < 0 || memory < 0) fail_msg("%s", text);
}

/* What the program said; where no filter can be set, that it was not begun. */
static void expect_said(struct keeper *k, const char *said) {
    char text[64] = "";
    const ssize_t n = read(k->program, text, sizeof text - 1);
    const char *want = has_filters ? said : "\xff\xff\xff\xff";
    assert_int_equal(n, strlen(want));
    assert_memory_equal(text, want, strlen(want));
}

static void end(struct keeper *k) {
    int status;
    close(k->line);
    assert_int_equal(waitpid(k->pid, &status, 0), k->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), GONE);
    close(k->done);
    if (k->ends >= 0) close(k->ends);
    if (k->program >= 0) close(k->program);
}

/* ---- programs ---- */

static object *say_text(const char *text, long n, const char *errors) {
    (void)errors;
    const bool all = write(3, text, (size_t)n) == n;
    _exit(all && fcntl(4, F_GETFD) < 0 ? 5 : 6); /* descriptors above 3 are closed */
}

static object *say_nothing(const char *text, long n, const char *errors) {
    (void)text, (void)n, (void)errors;
    return NULL;
}

static object *spin(const char *text, long n, const char *errors) {
    (void)n, (void)errors;
    const volatile char *x = text;
    while (*x != 'e') {
    }
    return NULL;
}

static object *wait_for_ever(const char *text, long n, const char *errors) {
    (void)text, (void)n, (void)errors;
    if (write(3, "here", 4) != 4) return NULL;
    for (;;) pause();
}

static void test_turns(void **state) {
    (void)state;
    struct keeper k = begin(say_text);
    for (int i = 1; i < 4; i++) {
        send_unit(&k, (uint64_t)i, 10000000, i == 2 ? "x" : "its text");
        expect_said(&k, i == 2 ? "x" : "its text");
        expect_report(&k, i, BY_ITSELF, 5 << 8);
        close(k.program);
    }
    k.program = -1;
    end(&k);
}

/* The machine code goes on behind what Python says: it ends the program well. */
static void test_nothing_said(void **state) {
    (void)state;
    struct keeper k = begin(say_nothing);
    send_unit(&k, 3, 10000000, "x");
    expect_said(&k, "");
    expect_report(&k, 3, BY_ITSELF, 0);
    end(&k);
}

static void test_cpu_time(void **state) {
    (void)state;
    struct keeper k = begin(spin);
    send_unit(&k, 9, 20000, "");
    expect_report(&k, 9, BY_CPU, SIGKILL);
    end(&k);
}

/* By the judge; then by brood. The word for another program ends nothing. */
static void test_ended(void **state) {
    const uint64_t other = 6, mine = 7;
    (void)state;
    if (!has_filters) skip();
    struct keeper k = begin(wait_for_ever);
    send_unit(&k, mine, 10000000, "");
    expect_said(&k, "here");
    assert_int_equal(write(k.done, &other, 8), 8);
    assert_int_equal(write(k.done, &mine, 8), 8);
    expect_report(&k, (int)mine, BY_BROOD, SIGKILL);
    close(k.program);
    send_unit(&k, mine, 10000000, "");
    expect_said(&k, "here");
    assert_int_equal(write(k.ends, &other, 8), 8);
    assert_int_equal(write(k.ends, &mine, 8), 8);
    expect_report(&k, (int)mine, BY_BROOD, SIGKILL);
    end(&k);
}

/* Sent while another runs: begun when that is over, or passed over where brood said so meanwhile. */
static void test_ahead(void **state) {
    const uint64_t first = 1, second = 2, third = 3, fourth = 4;
    char byte;
    (void)state;
    if (!has_filters) skip();
    struct keeper k = begin(wait_for_ever);
    send_unit(&k, first, 10000000, "");
    const int line = k.program;
    expect_said(&k, "here");
    send_unit(&k, second, 10000000, "");
    const int line_of_second = k.program;
    send_unit(&k, third, 10000000, "");
    assert_int_equal(write(k.ends, &second, 8), 8);
    assert_int_equal(write(k.ends, &first, 8), 8);
    expect_report(&k, (int)first, BY_BROOD, SIGKILL);
    assert_int_equal(read(line_of_second, &byte, 1), 0);
    expect_said(&k, "here");
    assert_int_equal(write(k.ends, &first, 8), 8); /* it has ended long since */
    assert_int_equal(write(k.done, &third, 8), 8);
    expect_report(&k, (int)third, BY_BROOD, SIGKILL);
    close(k.program);
    close(line);
    close(line_of_second);
    /* The word may come before the keeper looks at anything else. */
    assert_int_equal(write(k.ends, &fourth, 8), 8);
    send_unit(&k, fourth, 10000000, "");
    expect_report(&k, (int)fourth, BY_BROOD, SIGKILL);
    end(&k);
}

/* The program goes with it. */
static void test_brood_gone(void **state) {
    char byte;
    (void)state;
    if (!has_filters) skip();
    struct keeper k = begin(wait_for_ever);
    send_unit(&k, 1, 10000000, "");
    expect_said(&k, "here");
    close(k.ends);
    k.ends = -1;
    assert_int_equal(read(k.program, &byte, 1), 0);
    end(&k);
}

/* ---- the compiler ---- */

/* In the compiler its line keeps messages apart; in a candidate it does not. */
static bool in_compiler(void) {
    int type = 0;
    socklen_t n = sizeof type;
    return getsockopt(3, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET;
}

/* A compiler that the text tells what to do, and then a candidate that says its text. */
static object *obey(const char *text, long n, const char *errors) {
    char next[64];
    if (!in_compiler()) return say_text(text, n, errors);
    for (memcpy(next, text, (size_t)n); n > 0; n = read(3, next, sizeof next)) {
        const char *answer = next; /* the text itself: code */
        if (*next == 's') spin("", 0, "");
        if (*next == 'p') {
            for (;;) pause();
        }
        if (*next == 'a') abort();
        if (*next == 'e') return NULL;
        if (*next == '?') n = 1;
        if (write(3, answer, (size_t)n) != n) break;
    }
    _exit(1);
}

static void expect_run(struct keeper *k, int id, const char *text, const char *said, int status) {
    send_unit(k, (uint64_t)id, 10000000, text);
    expect_said(k, said);
    expect_report(k, id, BY_ITSELF, status);
    close(k->program);
    k->program = -1;
}

/* Whatever becomes of the compiler: the program is run all the same, and the next has one again. */
static void test_compiler(void **state) {
    static const char *const bad[] = {"abort", "end", "spin", "pause", "?"};
    (void)state;
    if (!has_filters) skip();
    has_compiler = true;
    struct keeper k = begin(obey);
    for (int i = 0; i < 5; i++) {
        expect_run(&k, 2 * i, "code", "the code: code", 5 << 8);
        expect_run(&k, 2 * i + 1, bad[i], bad[i], 5 << 8);
    }
    for (int i = 10; i < 10 + 3 * COMPILER_PROGRAMS; i++) expect_run(&k, i, "cc", "the code: cc", 5 << 8);
    end(&k);
    has_compiler = false;
}

/* What cannot be compiled is said in the candidate's place: a length, and the text. */
static void test_compiler_error(void **state) {
    char said[16];
    (void)state;
    if (!has_filters) skip();
    has_compiler = true;
    struct keeper k = begin(obey);
    for (int i = 0; i < 3; i++) {
        send_unit(&k, (uint64_t)i, 10000000, "{error}");
        read_all(k.program, said, 11);
        assert_memory_equal(said, "\7\0\0\0{error}", 11);
        assert_int_equal(read(k.program, said, 1), 0);
        expect_report(&k, i, BY_ITSELF, 0);
        close(k.program);
    }
    /* The judge says of each that it is done; what it says does not pile up. */
    for (uint64_t i = 3; i < 9000; i++) {
        send_unit(&k, i, 10000000, "{error}");
        assert_int_equal(write(k.done, &i, sizeof i), sizeof i);
        expect_report(&k, (int)i, BY_ITSELF, 0);
        close(k.program);
    }
    k.program = -1;
    /* Nobody listens any more: the keeper goes on. */
    send_unit(&k, 3, 10000000, "{error}");
    close(k.program);
    k.program = -1;
    expect_report(&k, 3, BY_ITSELF, 0);
    expect_run(&k, 4, "code", "the code: code", 5 << 8);
    end(&k);
    has_compiler = false;
}

/* A program that may have less memory than the compiler has is compiled where it runs. */
static void test_compiler_memory(void **state) {
    (void)state;
    if (!has_filters) skip();
    has_compiler = true;
    memory_max = 1 << 30;
    struct keeper k = begin(obey);
    expect_run(&k, 1, "code", "the code: code", 5 << 8);
    memory_max--;
    expect_run(&k, 2, "code", "code", 5 << 8);
    end(&k);
    memory_max = (uint64_t)1 << 40;
    has_compiler = false;
}

/* Memory that has become another piece has what it had, this code's own among it. */
static void test_fuse(void **state) {
    static long s[N_STATE];
    const size_t n = (size_t)3 << 20;
    (void)state;
    unsigned char *memory = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    for (size_t i = 0; i < n; i++) memory[i] = (unsigned char)(i * 7 >> 3);
    s[RANGE] = (long)memory;
    s[RANGE_END] = (long)memory + (long)n;
    assert_int_equal(flat(syscall, s, FUSE), 0);
    for (size_t i = 0; i < n; i++) assert_int_equal(memory[i], (unsigned char)(i * 7 >> 3));
    memory[0]++;
    assert_int_equal(munmap(memory, n), 0);
    assert_int_equal(flat(syscall, s, 99), -1);
}

/* ---- */

static bool map_flat(void) {
    const char *build = getenv("BUILD_DIR"); /* as tests/run has it: with or without the variant's folder */
    char path[500];
    const size_t size = 1 << 16;
    snprintf(path, sizeof path, "%s/keeper.bin", build ? build : "build/release");
    FILE *f = fopen(path, "rb");
    if (!f) {
        snprintf(path, sizeof path, "%s/release/keeper.bin", build ? build : "build");
        f = fopen(path, "rb");
    }
    if (!f) return false;
    void *room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const bool ok =
        room != MAP_FAILED && fread(room, 1, size, f) > 0 && mprotect(room, size, PROT_READ | PROT_EXEC) == 0;
    fclose(f);
    flat = (keep_fn *)(uintptr_t)room;
    return ok;
}

static bool can_filter(void) {
    int status = 1;
    const pid_t pid = fork();
    if (pid == 0)
        _exit(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int main(void) {
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(test_turns),          cmocka_unit_test(test_nothing_said),
        cmocka_unit_test(test_cpu_time),       cmocka_unit_test(test_ended),
        cmocka_unit_test(test_ahead),          cmocka_unit_test(test_brood_gone),
        cmocka_unit_test(test_fuse),           cmocka_unit_test(test_compiler),
        cmocka_unit_test(test_compiler_error), cmocka_unit_test(test_compiler_memory),
    };
    if (!map_flat()) {
        fprintf(stderr, "keeper.bin: not there, or it cannot be mapped\n");
        return 1;
    }
    has_filters = can_filter();
    if (!has_filters) print_message("no seccomp here: programs must not be begun\n");
    /* A keeper and its programs have it from here. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 1;
    return cmocka_run_group_tests(cases, NULL, NULL);
}
