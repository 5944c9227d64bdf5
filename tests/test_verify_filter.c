/* test_verify_filter.c - the seccomp programs: the keeper's with the short one on top of it decide as the
 * long one for a program that starts nothing. They are run here, call by call, as the kernel runs them. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "verify/isolate.h"

enum { INSTRUCTIONS_MAX = 4096 };
struct program {
    struct sock_filter code[INSTRUCTIONS_MAX];
    size_t n;
};

static struct program *make(bool namespaces, enum isolate_starts starts) {
    struct err e = {0};
    char *hex = isolate_filter(namespaces, starts, &e);
    if (!hex) fail_msg("%s", e.msg);
    struct program *p = calloc(1, sizeof *p);
    const size_t n = strlen(hex) / 2;
    assert_true(n > 0 && n % sizeof p->code[0] == 0 && n <= sizeof p->code);
    for (size_t i = 0; i < n; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        ((unsigned char *)p->code)[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    p->n = n / sizeof p->code[0];
    free(hex);
    return p;
}

static size_t jump(const struct sock_filter *f, uint32_t a) {
    switch (BPF_OP(f->code)) {
    case BPF_JA:
        return f->k;
    case BPF_JEQ:
        return a == f->k ? f->jt : f->jf;
    case BPF_JGT:
        return a > f->k ? f->jt : f->jf;
    case BPF_JGE:
        return a >= f->k ? f->jt : f->jf;
    case BPF_JSET:
        return a & f->k ? f->jt : f->jf;
    }
    fail_msg("an unknown jump");
    return 0;
}

static uint32_t decide(const struct program *p, const struct seccomp_data *d) {
    uint32_t a = 0;
    for (size_t at = 0; at < p->n; at++) {
        const struct sock_filter *f = &p->code[at];
        switch (f->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&a, (const char *)d + f->k, 4);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= f->k;
            break;
        case BPF_RET | BPF_K:
            return f->k;
        default:
            assert_int_equal(BPF_CLASS(f->code), BPF_JMP);
            at += jump(f, a);
        }
    }
    fail_msg("ran out of the program");
    return 0;
}

/* The stricter of two decisions counts, the later program's where they are level. */
static uint32_t stricter(uint32_t later, uint32_t earlier) {
    const uint32_t a = later & SECCOMP_RET_ACTION_FULL, b = earlier & SECCOMP_RET_ACTION_FULL;
    return (int32_t)b < (int32_t)a ? earlier : later;
}

static const uint64_t arguments[] = {0,
                                     1,
                                     2,
                                     3,
                                     4,
                                     PR_SET_NAME,
                                     PR_GET_NAME,
                                     PR_SET_SECCOMP,
                                     PR_SET_NO_NEW_PRIVS,
                                     PR_SET_PTRACER,
                                     SIGCHLD,
                                     CLONE_NEWPID | SIGCHLD,
                                     CLONE_NEWPID,
                                     CLONE_NEWUSER | SIGCHLD,
                                     CLONE_VM | CLONE_VFORK | SIGCHLD,
                                     CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD,
                                     CLONE_THREAD,
                                     CLONE_THREAD | CLONE_NEWPID,
                                     CLONE_NEWPID | SIGCHLD | 1ULL << 40,
                                     0x5401,
                                     0x5412,
                                     0x5413,
                                     0x541b,
                                     0x5421,
                                     0x5450,
                                     0x5451,
                                     0xffffffff,
                                     0xffffffffffffffffULL};

static void compare(bool namespaces) {
    struct program *whole = make(namespaces, ISOLATE_NOTHING), *keeper = make(namespaces, ISOLATE_KEEPER),
                   *top = make(namespaces, ISOLATE_ON_KEEPER);
    int n_allowed = 0, n_of_keeper = 0;
    for (int number = -2; number < 1200; number++) {
        for (size_t i = 0; i < ARRAY_LEN(arguments) * ARRAY_LEN(arguments); i++) {
            const uint64_t x = arguments[i % ARRAY_LEN(arguments)], y = arguments[i / ARRAY_LEN(arguments)];
            for (int arch = 0; arch < 2; arch++) {
                const struct seccomp_data d = {.nr = number,
                                               .arch = arch ? 0x40000003 /* i386 */ : seccomp_arch_native(),
                                               .args = {x, y, x, y, x, y}};
                const uint32_t want = decide(whole, &d), below = decide(keeper, &d);
                const uint32_t both = stricter(decide(top, &d), below);
                if (want != both)
                    fail_msg("call %d(%llx, %llx): %x alone, %x in two parts", number, (unsigned long long)x,
                             (unsigned long long)y, want, both);
                n_allowed += want == SECCOMP_RET_ALLOW;
                n_of_keeper += want != SECCOMP_RET_ALLOW && below == SECCOMP_RET_ALLOW;
            }
        }
    }
    assert_true(n_allowed > 0 && n_of_keeper > 0);
    assert_true(top->n < whole->n / 3);
    free(whole);
    free(keeper);
    free(top);
}

static void test_namespaces(void **state) {
    (void)state;
    compare(true);
}

static void test_filtered(void **state) {
    (void)state;
    compare(false);
}

/* What other programs are set up with takes something away from the keeper's, and adds nothing. */
static void test_keeper_allows_all(void **state) {
    (void)state;
    struct program *keeper = make(true, ISOLATE_KEEPER);
    for (int starts = ISOLATE_NOTHING; starts <= ISOLATE_PROCESSES; starts++) {
        struct program *p = make(true, (enum isolate_starts)starts);
        for (int number = 0; number < 1200; number++) {
            for (size_t i = 0; i < ARRAY_LEN(arguments); i++) {
                const struct seccomp_data d = {
                    .nr = number, .arch = seccomp_arch_native(), .args = {arguments[i], arguments[i]}};
                if (decide(p, &d) == SECCOMP_RET_ALLOW && decide(keeper, &d) != SECCOMP_RET_ALLOW)
                    fail_msg("call %d(%llx) is refused to the keeper", number,
                             (unsigned long long)arguments[i]);
            }
        }
        free(p);
    }
    free(keeper);
}

/* The compiler's on top of the keeper's: little, and nothing that a program may not. */
static void test_compiler(void **state) {
    static const int refused[] = {SCMP_SYS(openat), SCMP_SYS(open),   SCMP_SYS(clone),  SCMP_SYS(execve),
                                  SCMP_SYS(kill),   SCMP_SYS(prctl),  SCMP_SYS(mount),  SCMP_SYS(socketpair),
                                  SCMP_SYS(sendto), SCMP_SYS(ptrace), SCMP_SYS(unlink), SCMP_SYS(mprotect)};
    (void)state;
    for (int namespaces = 0; namespaces < 2; namespaces++) {
        struct program *whole = make(namespaces, ISOLATE_NOTHING), *keeper = make(namespaces, ISOLATE_KEEPER),
                       *top = make(namespaces, ISOLATE_COMPILER);
        int n_allowed = 0;
        for (int number = 0; number < 1200; number++) {
            for (size_t i = 0; i < ARRAY_LEN(arguments); i++) {
                const struct seccomp_data d = {
                    .nr = number, .arch = seccomp_arch_native(), .args = {arguments[i], arguments[i]}};
                const bool may = stricter(decide(top, &d), decide(keeper, &d)) == SECCOMP_RET_ALLOW;
                if (may && decide(whole, &d) != SECCOMP_RET_ALLOW) fail_msg("call %d", number);
                for (size_t j = 0; may && j < ARRAY_LEN(refused); j++)
                    assert_int_not_equal(number, refused[j]);
                n_allowed += may && i == 0;
            }
        }
        assert_in_range(n_allowed, 8, 12);
        free(whole);
        free(keeper);
        free(top);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_namespaces), cmocka_unit_test(test_filtered),
                                       cmocka_unit_test(test_keeper_allows_all),
                                       cmocka_unit_test(test_compiler)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
