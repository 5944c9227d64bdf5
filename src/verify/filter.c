/* filter.c - isolate_filter: the system calls that a candidate may make. */
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "verify/isolate.h"

#define CALL(name) SCMP_SYS(name)

static const int always[] = {
    /* files: what they reach is decided by the mounts, Landlock and permissions */
    CALL(read), CALL(write), CALL(readv), CALL(writev), CALL(pread64), CALL(pwrite64), CALL(preadv),
    CALL(pwritev), CALL(open), CALL(openat), CALL(close), CALL(close_range), CALL(creat), CALL(stat),
    CALL(fstat), CALL(lstat), CALL(newfstatat), CALL(statx), CALL(statfs), CALL(fstatfs), CALL(access),
    CALL(faccessat), CALL(faccessat2), CALL(lseek), CALL(getdents64), CALL(getcwd), CALL(chdir), CALL(fchdir),
    CALL(mkdir), CALL(mkdirat), CALL(rmdir), CALL(unlink), CALL(unlinkat), CALL(rename), CALL(renameat),
    CALL(renameat2), CALL(link), CALL(linkat), CALL(symlink), CALL(symlinkat), CALL(readlink),
    CALL(readlinkat), CALL(chmod), CALL(fchmod), CALL(fchmodat), CALL(truncate), CALL(ftruncate),
    CALL(fallocate), CALL(fsync), CALL(fdatasync), CALL(flock), CALL(utimensat), CALL(umask), CALL(dup),
    CALL(dup2), CALL(dup3), CALL(fcntl), CALL(pipe), CALL(pipe2), CALL(sendfile), CALL(copy_file_range),
    CALL(fadvise64),
    /* memory */
    CALL(brk), CALL(mmap), CALL(munmap), CALL(mremap), CALL(mprotect), CALL(madvise), CALL(msync),
    CALL(mincore), CALL(membarrier), CALL(rseq),
    /* waiting, time, threads */
    CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(epoll_create), CALL(epoll_create1),
    CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait), CALL(eventfd2), CALL(timerfd_create),
    CALL(timerfd_settime), CALL(timerfd_gettime), CALL(nanosleep), CALL(clock_nanosleep), CALL(clock_gettime),
    CALL(clock_getres), CALL(gettimeofday), CALL(time), CALL(times), CALL(getitimer), CALL(setitimer),
    CALL(alarm), CALL(pause), CALL(futex), CALL(set_robust_list), CALL(get_robust_list),
    CALL(set_tid_address), CALL(sched_yield), CALL(sched_getaffinity), CALL(sched_getparam),
    CALL(sched_getscheduler), CALL(getcpu), CALL(exit), CALL(exit_group), CALL(restart_syscall),
    CALL(arch_prctl),
    /* signals to itself */
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigpending), CALL(rt_sigsuspend),
    CALL(rt_sigtimedwait), CALL(sigaltstack),
    /* who am I */
    CALL(getpid), CALL(getppid), CALL(gettid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid),
    CALL(getresuid), CALL(getresgid), CALL(getgroups), CALL(getpgid), CALL(getpgrp), CALL(getsid),
    CALL(getrlimit), CALL(setrlimit), CALL(getrusage), CALL(uname), CALL(sysinfo), CALL(getrandom),
    CALL(getpriority), CALL(capget),
    /* its one line to the judge, and pairs of its own (asyncio) */
    CALL(recvfrom), CALL(sendto), CALL(recvmsg), CALL(sendmsg), CALL(shutdown), CALL(socketpair),
    CALL(getsockopt), CALL(setsockopt), CALL(getsockname), CALL(getpeername)};

static const int in_pid_namespace[] = {CALL(kill), CALL(tkill), CALL(tgkill)};
static const int with_processes[] = {CALL(fork),   CALL(vfork),  CALL(wait4),
                                     CALL(waitid), CALL(setsid), CALL(setpgid)};
static const int of_compiler[] = {CALL(read),       CALL(write),  CALL(brk),          CALL(mmap),
                                  CALL(munmap),     CALL(mremap), CALL(madvise),      CALL(exit),
                                  CALL(exit_group), CALL(futex),  CALL(rt_sigreturn), CALL(restart_syscall)};
static const int of_keeper[] = {CALL(memfd_create),
                                CALL(mount),
                                CALL(umount2),
                                CALL(landlock_create_ruleset),
                                CALL(landlock_add_rule),
                                CALL(landlock_restrict_self),
                                CALL(capset),
                                CALL(pidfd_open)};
static const unsigned long terminal_free[] = {TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX};
static const unsigned long prctls[] = {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE};
static const unsigned long prctls_of_keeper[] = {PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP};

static bool rule(scmp_filter_ctx f, uint32_t action, const int *calls, size_t n) {
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        const int rc = seccomp_rule_add(f, action, calls[i], 0);
        ok &= rc == 0 || rc == -EDOM; /* this machine does not have that call */
    }
    return ok;
}

static bool allow(scmp_filter_ctx f, const int *calls, size_t n) {
    return rule(f, SCMP_ACT_ALLOW, calls, n);
}

/* A call where (argument & mask) == value. */
static bool rule_where(scmp_filter_ctx f, uint32_t action, int call, unsigned arg, scmp_datum_t mask,
                       scmp_datum_t value) {
    const struct scmp_arg_cmp where = {
        .arg = arg, .op = SCMP_CMP_MASKED_EQ, .datum_a = mask, .datum_b = value};
    return seccomp_rule_add_array(f, action, call, 1, &where) == 0;
}

static bool allow_where(scmp_filter_ctx f, int call, unsigned arg, scmp_datum_t mask, scmp_datum_t value) {
    return rule_where(f, SCMP_ACT_ALLOW, call, arg, mask, value);
}

/* Besides what a candidate may that starts processes. */
static bool add_rules_of_keeper(scmp_filter_ctx f) {
    bool ok = allow(f, of_keeper, ARRAY_LEN(of_keeper)) && allow(f, in_pid_namespace, 1);
    for (size_t i = 0; i < ARRAY_LEN(prctls_of_keeper); i++)
        ok &= allow_where(f, CALL(prctl), 0, 0xffffffff, prctls_of_keeper[i]);
    return ok && allow_where(f, CALL(clone), 0, CLONE_THREAD, CLONE_THREAD) &&
           allow_where(f, CALL(clone), 0, 0xffffffff, CLONE_NEWPID | SIGCHLD);
}

/* What the keeper's filter lets through beyond that of a candidate which starts nothing. */
static bool add_rules_on_keeper(scmp_filter_ctx f, bool namespaces) {
    const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
    bool ok = rule(f, refuse, of_keeper, ARRAY_LEN(of_keeper)) &&
              rule(f, refuse, with_processes, ARRAY_LEN(with_processes)) &&
              rule(f, refuse, (const int[]){CALL(execve)}, 1) &&
              (namespaces || rule(f, refuse, in_pid_namespace, ARRAY_LEN(in_pid_namespace)));
    for (size_t i = 0; i < ARRAY_LEN(prctls_of_keeper); i++)
        ok &= rule_where(f, refuse, CALL(prctl), 0, 0xffffffff, prctls_of_keeper[i]);
    return ok && rule_where(f, refuse, CALL(clone), 0, CLONE_THREAD, 0);
}

static bool add_rules(scmp_filter_ctx f, bool namespaces, enum isolate_starts starts) {
    const bool processes = starts >= ISOLATE_PROCESSES;
    const scmp_datum_t new_spaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE;
    bool ok = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0;
    if (starts == ISOLATE_ON_KEEPER) return ok && add_rules_on_keeper(f, namespaces);
    if (starts == ISOLATE_COMPILER) return ok && allow(f, of_compiler, ARRAY_LEN(of_compiler));
    if (starts == ISOLATE_KEEPER) ok &= add_rules_of_keeper(f);
    ok &= allow(f, always, ARRAY_LEN(always));
    if (namespaces) ok &= allow(f, in_pid_namespace, ARRAY_LEN(in_pid_namespace));
    if (starts != ISOLATE_NOTHING) ok &= allow(f, (const int[]){CALL(execve)}, 1);
    if (processes) ok &= allow(f, with_processes, ARRAY_LEN(with_processes));
    for (size_t i = 0; i < ARRAY_LEN(terminal_free); i++)
        ok &= allow_where(f, CALL(ioctl), 1, 0xffffffff, terminal_free[i]);
    for (size_t i = 0; i < ARRAY_LEN(prctls); i++)
        ok &= allow_where(f, CALL(prctl), 0, 0xffffffff, prctls[i]);
    ok &= allow_where(f, CALL(prlimit64), 0, 0xffffffff, 0); /* its own alone */
    ok &= processes ? allow_where(f, CALL(clone), 0, new_spaces, 0)
                    : allow_where(f, CALL(clone), 0, CLONE_THREAD, CLONE_THREAD);
    /* Its arguments cannot be seen; the C library then falls back to clone. */
    return ok && seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0) == 0;
}

char *isolate_hex(const void *data, size_t n) {
    const unsigned char *bytes = data;
    static const char digits[] = "0123456789abcdef";
    char *text = mem_alloc(2 * n + 1);
    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * n] = '\0';
    return text;
}

char *isolate_filter(bool namespaces, enum isolate_starts starts, struct err *e) {
    unsigned char program[32768];
    char *hex = NULL;
    const int fd = memfd_create("filter", MFD_CLOEXEC);
    scmp_filter_ctx f = seccomp_init(starts == ISOLATE_ON_KEEPER ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM));
    if (fd >= 0 && f && add_rules(f, namespaces, starts) && seccomp_export_bpf(f, fd) == 0) {
        const ssize_t n = pread(fd, program, sizeof program, 0);
        if (n > 0 && n < (ssize_t)sizeof program) hex = isolate_hex(program, (size_t)n);
    }
    if (!hex) err_set(e, ERR_SERVICE, "sandbox: cannot make the system call filter");
    if (f) seccomp_release(f);
    if (fd >= 0) close(fd);
    return hex;
}
