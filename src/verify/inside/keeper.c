/* keeper.c - the turn of the keeper that is made for every program, as machine code that Python calls.
 *
 * Whatever page the keeper writes to after it has forked costs a copy, and so does whatever the candidate
 * writes to before its program begins. An interpreter writes to many pages for the least thing, this to two
 * or three. It is linked as one flat piece without data of its own, carried in the library as bytes
 * (runner.c) and mapped by runner.py, so it needs no file in the sandbox and no C library: `call` is the C
 * library's syscall.
 *
 *     keep(call, s, NEXT)      takes messages and runs the programs in them (serve.c); gives a KEEP_ code
 *     keep(call, s, RUN)       the same, with the message that is in s first
 *     keep(call, s, BECOME)    this process gives up what a candidate must not have; 0, or -1
 *     keep(call, s, WATCH)     until the process s[PID] has ended; 0, or -1 if brood has gone
 *     keep(call, s, CLEAN)     remembers /tmp as it is: clean; 0, or -1
 *     keep(call, s, IS_CLEAN)  whether it still is
 *     keep(call, s, FUSE)      s[RANGE] to s[RANGE_END] becomes one piece of huge pages; 0, or -1
 *     keep(call, s, SERVE)     runs the program in s on the line s[FD], here
 *
 * A message: its length (4 bytes), the header (longs), then for UNIT the entry point, a NUL and the
 * program; for STEP JSON, which is left in the line for runner.py. The next may lie in the line while one
 * runs. What is to be ended comes on a line of its own, as an ID (8 bytes); IDs ascend. One that has not
 * begun is passed over: its line is closed, and nothing reported.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>

#include "verify/inside/serve.h"

/* Names and order are those of STATE in runner.py. */
enum state {
    ID, /* the message: its header */
    CPU_US,
    MEMORY,
    DISK,
    N_PROCESSES,
    KIND,
    FD, /* that came with it */
    N_MESSAGE,
    MESSAGE, /* what follows the header, and the room for it */
    ROOM,
    N_DIRTY,
    LINE,        /* descriptors */
    ENDS,        /* where brood says which are to end, and nothing else */
    PASSED_OVER, /* that it said, and may be still to come */
    JUDGED,      /* where the judge says which are done; a read does not wait */
    RULESET,
    FLAGS, /* of clone */
    NAMESPACES,
    FILTER,
    FILTER_COMMAND, /* of steps */
    FILTER_PROCESSES,
    FIRST_CLOSED,
    PID, /* of the process watched, and how it ended */
    ENDED_BY,
    STATUS,
    USED_US,
    USED_KIB,
    RANGE, /* of memory to FUSE */
    RANGE_END,
    PYTHON, /* struct python, and the names of a program */
    NAMES,
    COMPILER, /* its line, process (0: none), how many programs it still takes, CPU time seen */
    COMPILER_PID,
    COMPILER_LEFT,
    COMPILER_US,
    COMPILER_MEMORY, /* that it may have; 0: there is to be no compiler */
    FILTER_COMPILER,
    CODE, /* what it said of the program, and the time that took */
    N_CODE,
    COMPILED_US,
    TMP_BYTES, /* /tmp: its size, and what was seen when it was clean */
    TMP,
};
enum { N_HEADER = KIND + 1, N_SEEN = 7 };
enum {
    COMPILER_PROGRAMS = 256,
    COMPILER_CPU_US_MAX = 50000,
    COMPILER_CPU_S = 60,
    COMPILER_WAITS = 50,
    WAIT_US = 20000
};
enum kind { UNIT, STEP };
enum what { NEXT, RUN, BECOME, WATCH, CLEAN, IS_CLEAN, FUSE, SERVE };
enum { KEEP_RENEW, KEEP_STEP, KEEP_GONE, KEEP_FAILED };
enum by { BY_ITSELF, BY_CPU, BY_BROOD };
enum { PIDFD_OPEN = 434, CLOSE_RANGE = 436, LANDLOCK_RESTRICT = 446 };

/* ---- messages ---- */

static int take(syscall_fn *call, long fd, char *to, long n) {
    for (long at = 0; at < n;) {
        const long got = call(SYS_read, fd, to + at, n - at);
        if (got <= 0) return 0;
        at += got;
    }
    return 1;
}

/* The length of what follows, or -1. */
static long take_header(syscall_fn *call, long fd, long header[static N_HEADER], long *fd_taken) {
    unsigned char bytes[4 + 8 * N_HEADER];
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {bytes, sizeof bytes};
    struct msghdr m;
    uint64_t n = 0;
    m.msg_name = 0;
    m.msg_namelen = 0;
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = &control;
    m.msg_controllen = sizeof control;
    m.msg_flags = 0;
    const long got = call(SYS_recvmsg, fd, &m, MSG_CMSG_CLOEXEC);
    if (got <= 0) return -1;
    const int has_fd = m.msg_controllen >= CMSG_LEN(sizeof(int)) && control.head.cmsg_type == SCM_RIGHTS;
    *fd_taken = has_fd ? *(int *)CMSG_DATA(&control.head) : -1;
    if (!take(call, fd, (char *)bytes + got, (long)sizeof bytes - got)) return -1;
    for (int i = 0; i < N_HEADER; i++) {
        uint64_t value = 0;
        for (int byte = 7; byte >= 0; byte--) value = value << 8 | bytes[4 + 8 * i + byte];
        header[i] = (long)value;
    }
    for (int byte = 3; byte >= 0; byte--) n = n << 8 | bytes[byte];
    return (long)n - 8 * N_HEADER;
}

/* A program's text; what the one before has left behind it is wiped. */
static int take_program(syscall_fn *call, long *s) {
    volatile char *message = (char *)s[MESSAGE];
    if (s[N_MESSAGE] > s[ROOM]) return 0;
    for (long i = s[N_MESSAGE]; i < s[N_DIRTY]; i++) message[i] = 0;
    s[N_DIRTY] = s[N_MESSAGE];
    return take(call, s[LINE], (char *)s[MESSAGE], s[N_MESSAGE]);
}

static char *add_text(char *at, const char *text) {
    while (*text) *at++ = *text++;
    return at;
}

static char *add_number(char *at, const char *name, long value) {
    char digits[24];
    int n = 0;
    at = add_text(at, name);
    do digits[n++] = (char)('0' + value % 10);
    while (value /= 10);
    while (n > 0) *at++ = digits[--n];
    return at;
}

static int send_report(syscall_fn *call, const long *s) {
    char text[300], *at = text + 4;
    at = add_number(at, "{\"ended\":", s[ID]);
    at = add_number(at, ",\"by\":", s[ENDED_BY]);
    at = add_number(at, ",\"status\":", s[STATUS]);
    at = add_number(at, ",\"cpu_us\":", s[USED_US]);
    at = add_number(at, ",\"memory\":", 1024 * s[USED_KIB]);
    at = add_text(at, "}");
    const long n = at - text;
    for (int i = 0; i < 4; i++) text[i] = (char)((n - 4) >> 8 * i & 255);
    return call(SYS_write, s[LINE], text, n) == n;
}

/* ---- /tmp ---- */

static int look_at_tmp(syscall_fn *call, long seen[static N_SEEN]) {
    struct statfs fs;
    struct stat st;
    if (call(SYS_statfs, "/tmp", &fs) != 0 || call(SYS_newfstatat, AT_FDCWD, "/tmp", &st, 0) != 0) return 0;
    seen[0] = (long)(fs.f_blocks - fs.f_bfree);
    seen[1] = (long)(fs.f_files - fs.f_ffree);
    seen[2] = (long)st.st_mode;
    seen[3] = (long)st.st_mtim.tv_sec;
    seen[4] = (long)st.st_mtim.tv_nsec;
    seen[5] = (long)st.st_ctim.tv_sec;
    seen[6] = (long)st.st_ctim.tv_nsec;
    return 1;
}

static int is_tmp_clean(syscall_fn *call, const long *s) {
    long seen[N_SEEN];
    if (!look_at_tmp(call, seen)) return 0;
    for (int i = 0; i < N_SEEN; i++) {
        if (seen[i] != s[TMP + i]) return 0;
    }
    return 1;
}

/* ---- the candidate ---- */

static int limit(syscall_fn *call, long what, long amount) {
    struct rlimit old, new;
    if (call(SYS_prlimit64, 0, what, 0, &old) != 0) return 0;
    new.rlim_cur = (rlim_t)amount < old.rlim_max ? (rlim_t)amount : old.rlim_max;
    new.rlim_max = new.rlim_cur;
    return call(SYS_prlimit64, 0, what, &new, 0) == 0;
}

/* Closing is last but for the filter: what is closed may be the rule set. */
static int shut_in(syscall_fn *call, const long *s, const char *folder) {
    const uint32_t capabilities[8] = {0x20080522};
    const long filter = s[N_PROCESSES] > 0 ? s[FILTER_PROCESSES] : s[FILTER];
    call(SYS_setpgid, 0, 0); /* a session of its own would cost a scheduling group */
    call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    const long n_others = 3 + (s[COMPILER_PID] > 0);
    return call(SYS_chdir, folder) == 0 && limit(call, RLIMIT_CPU, s[CPU_US] / 1000000 + 2) &&
           limit(call, RLIMIT_AS, s[MEMORY]) && limit(call, RLIMIT_FSIZE, s[DISK]) &&
           (!s[N_PROCESSES] || !s[NAMESPACES] || limit(call, RLIMIT_NPROC, n_others + s[N_PROCESSES])) &&
           call(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
           (s[RULESET] < 0 || call(LANDLOCK_RESTRICT, s[RULESET], 0) == 0) &&
           (!s[NAMESPACES] || call(SYS_capset, capabilities, capabilities + 2) == 0) &&
           call(CLOSE_RANGE, s[FIRST_CLOSED], 0xffffffffL, 0) == 0 &&
           call(SYS_prctl, PR_SET_SECCOMP, 2, filter, 0, 0) == 0;
}

static int become_candidate(syscall_fn *call, const long *s) {
    return shut_in(call, s, s[NAMESPACES] ? "/tmp" : "/");
}

static struct serve serve_of(syscall_fn *call, const long *s, int fd) {
    struct serve it;
    it.call = call;
    it.py = (const struct python *)s[PYTHON];
    it.names = (object *)s[NAMES];
    it.room = (char *)s[MESSAGE];
    it.n = s[N_MESSAGE];
    it.n_room = s[ROOM];
    it.fd = fd;
    it.code = (const char *)s[CODE];
    it.n_code = s[N_CODE];
    it.silent = 0;
    return it;
}

static void serve_here(syscall_fn *call, const long *s) {
    struct serve it = serve_of(call, s, (int)s[FD]);
    serve(&it);
}

/* It has descriptor 3 alone. The judge reads a length that is none where it could not be shut in. */
static void run_candidate(syscall_fn *call, const long *s) {
    if (call(SYS_dup3, s[FD], 3, 0) == 3 && become_candidate(call, s)) {
        struct serve it = serve_of(call, s, 3);
        serve(&it);
        call(SYS_exit_group, 0);
    }
    call(SYS_write, 3, "\xff\xff\xff\xff", 4);
    call(SYS_exit_group, 99);
}

static long cpu_us(syscall_fn *call, long pid) {
    struct timespec t;
    if (call(SYS_clock_gettime, ~pid << 3 | 2, &t) != 0) return 0;
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- the compiler ----
 *
 * Python's compiler writes to some fifty pages, which each candidate would copy anew; this process has them.
 * It is shut in as a candidate, and more: it may read and write its line and have memory, nothing else. What
 * it gives is code that a candidate runs, or what is said to the judge in a candidate's place, no more. Where
 * it gives neither, ends, or takes long, the candidate compiles, as if there were no compiler; its limits are
 * lower than a candidate's, so what it can compile a candidate could. After some programs a new one takes its
 * place. */

static void stop_compiler(syscall_fn *call, long *s) {
    int status;
    if (s[COMPILER_PID] <= 0) return;
    call(SYS_kill, s[COMPILER_PID], SIGKILL);
    call(SYS_wait4, s[COMPILER_PID], &status, 0, 0);
    call(SYS_close, s[COMPILER]);
    s[COMPILER_PID] = 0;
}

static void run_compiler(syscall_fn *call, long *s, int fd) {
    s[CPU_US] = (long)COMPILER_CPU_S * 1000000;
    s[MEMORY] = s[COMPILER_MEMORY];
    s[DISK] = s[N_PROCESSES] = 0;
    s[FILTER] = s[FILTER_COMPILER];
    if (call(SYS_dup3, fd, 3, 0) == 3 && shut_in(call, s, "/")) {
        const struct serve it = serve_of(call, s, 3);
        serve_compiler(&it);
    }
    call(SYS_exit_group, 0);
}

static int start_compiler(syscall_fn *call, long *s) {
    int ends[2];
    struct timeval patience;
    patience.tv_sec = 0;
    patience.tv_usec = WAIT_US;
    if (call(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return 0;
    call(SYS_setsockopt, ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    call(SYS_setsockopt, ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const long pid = call(SYS_clone, s[FLAGS], 0, 0, 0, 0);
    if (pid == 0) run_compiler(call, s, ends[1]);
    call(SYS_close, ends[1]);
    if (pid < 0) return call(SYS_close, ends[0]), 0;
    s[COMPILER] = ends[0];
    s[COMPILER_PID] = pid;
    s[COMPILER_LEFT] = COMPILER_PROGRAMS;
    s[COMPILER_US] = 0;
    return 1;
}

/* What it says, at most `room` bytes; 0: it has ended, or takes too long. */
static long hear_compiler(syscall_fn *call, long *s, char *to, long room) {
    for (int i = 0; i < COMPILER_WAITS; i++) {
        const long got = call(SYS_read, s[COMPILER], to, room), us = cpu_us(call, s[COMPILER_PID]);
        const long used = us - s[COMPILER_US];
        if (got == 0) return 0;
        if (got > 0) {
            s[COMPILER_US] = us;
            s[COMPILED_US] = used;
            return got;
        }
        if (used > COMPILER_CPU_US_MAX) return 0;
    }
    return 0;
}

/* What it says of the program in s, where there can be something. */
static void compile(syscall_fn *call, long *s) {
    const char *message = (const char *)s[MESSAGE];
    long at = 0, got = 0;
    while (at < s[N_MESSAGE] && message[at]) at++;
    const long n = s[N_MESSAGE] - at - 1, behind = (s[N_MESSAGE] + 19) & -16L;
    s[N_CODE] = s[COMPILED_US] = 0;
    if (!s[COMPILER_MEMORY] || s[MEMORY] < s[COMPILER_MEMORY] || n < 1 || n > COMPILE_TEXT_MAX ||
        s[ROOM] - behind < COMPILE_ANSWER_MAX)
        return;
    if (s[COMPILER_LEFT] == 0) stop_compiler(call, s);
    if (s[COMPILER_PID] <= 0 && !start_compiler(call, s)) return;
    s[COMPILER_LEFT]--;
    s[CODE] = s[MESSAGE] + behind;
    if (call(SYS_write, s[COMPILER], message + at + 1, n) == n)
        got = hear_compiler(call, s, (char *)s[CODE], COMPILE_ANSWER_MAX);
    if (got == 0) stop_compiler(call, s);
    if (got > 0) s[N_DIRTY] = behind + got;
    if (got > 0 && *(const char *)s[CODE] != COMPILE_NOT) s[N_CODE] = got;
    if (s[N_CODE] == 0) s[COMPILED_US] = 0; /* the candidate's own time will have it */
}

/* Of a program that cannot be compiled: no process begins it. */
static int say_error(syscall_fn *call, long *s) {
    char *said = (char *)s[CODE] - 4; /* behind the program there is room */
    long judged[64];
    while (call(SYS_read, s[JUDGED], judged, sizeof judged) > 0) { /* of those before: nobody else takes it */
    }
    for (int i = 0; i < 4; i++) said[i] = (char)(s[N_CODE] >> 8 * i & 255);
    s[ENDED_BY] = BY_ITSELF;
    s[STATUS] = s[USED_KIB] = 0;
    s[USED_US] = s[COMPILED_US];
    for (long at = 0; at < s[N_CODE] + 4;) {
        const long put = call(SYS_sendto, s[FD], said + at, s[N_CODE] + 4 - at, MSG_NOSIGNAL, 0, 0);
        if (put <= 0) break; /* the judge has gone, or listens no more */
        at += put;
    }
    call(SYS_close, s[FD]);
    return send_report(call, s) ? -1 : KEEP_GONE;
}

/* ---- the watch ---- */

/* Whether it is this program that brood wants to end; -1: brood has gone. */
static int hear(syscall_fn *call, long *s) {
    unsigned char bytes[8];
    uint64_t id = 0;
    if (!take(call, s[ENDS], (char *)bytes, sizeof bytes)) return -1;
    for (int byte = 7; byte >= 0; byte--) id = id << 8 | bytes[byte];
    if ((long)id > s[ID]) s[PASSED_OVER] = (long)id; /* they ascend */
    return (long)id == s[ID];
}

static int wait_for_end(syscall_fn *call, long *s, int pidfd) {
    struct pollfd fds[3] = {{pidfd, POLLIN, 0}, {(int)s[JUDGED], POLLIN, 0}, {(int)s[ENDS], POLLIN, 0}};
    uint64_t judged;
    s[ENDED_BY] = BY_CPU;
    for (long left; (left = s[CPU_US] - s[COMPILED_US] - cpu_us(call, s[PID])) > 0;) {
        const long us = left / 2 > 10000 ? left / 2 : 10000;
        struct timespec t;
        t.tv_sec = us / 1000000;
        t.tv_nsec = us % 1000000 * 1000;
        if (call(SYS_ppoll, fds, 3, &t, 0, 8) <= 0) continue;
        if (fds[0].revents) return (s[ENDED_BY] = BY_ITSELF, 0);
        if (fds[1].revents && call(SYS_read, s[JUDGED], &judged, 8) != 8) return -1;
        if (fds[1].revents && (long)judged == s[ID]) return (s[ENDED_BY] = BY_BROOD, 0);
        const int heard = fds[2].revents ? hear(call, s) : 0;
        if (heard) return heard < 0 ? -1 : (s[ENDED_BY] = BY_BROOD, 0);
    }
    return 0;
}

static int watch(syscall_fn *call, long *s) {
    int status = 0;
    struct rusage used;
    const long pidfd = call(PIDFD_OPEN, s[PID], 0);
    const int ended = pidfd < 0 ? -1 : wait_for_end(call, s, (int)pidfd);
    call(SYS_kill, s[PID], SIGKILL);
    const long reaped = call(SYS_wait4, s[PID], &status, 0, &used);
    if (pidfd >= 0) call(SYS_close, pidfd);
    s[STATUS] = status;
    s[USED_US] = s[COMPILED_US] + (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 +
                 used.ru_utime.tv_usec + used.ru_stime.tv_usec;
    s[USED_KIB] = used.ru_maxrss;
    return reaped == s[PID] ? ended : -1;
}

/* ---- memory that forks fast ----
 *
 * A fork copies the mappings of a process one by one, of which an interpreter with its libraries has 200, and
 * the entries of its page tables, but huge pages at one stroke; what lies in files the new process finds
 * again by faults. So all of it is copied into one anonymous piece, which then takes the place of the old,
 * this code and the interpreter that called it included. Nothing writes to it between the copy and the
 * exchange: there is one thread, and the stack stays where it is. It may be executed and written to, which
 * gives a program nothing that it could not map itself; the judge keeps its mappings. */

/* What has been written there is to be executed: caches of instructions may not see it by themselves. */
static void show_as_code(long from, long end) {
#ifdef __aarch64__
    uint64_t lines;
    __asm__("mrs %0, ctr_el0" : "=r"(lines));
    const long data = 4L << (lines >> 16 & 15), code = 4L << (lines & 15);
    for (long at = from & -data; at < end; at += data) __asm__ volatile("dc cvau, %0" ::"r"(at) : "memory");
    __asm__ volatile("dsb ish" ::: "memory");
    for (long at = from & -code; at < end; at += code) __asm__ volatile("ic ivau, %0" ::"r"(at) : "memory");
    __asm__ volatile("dsb ish\n\tisb" ::: "memory");
#else
    (void)from, (void)end;
#endif
}

static int fuse(syscall_fn *call, long from, long size) {
    const long huge = 2 << 20, room = size + 2 * huge;
    const long mapped = call(SYS_mmap, 0, room, PROT_READ | PROT_WRITE | PROT_EXEC,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == -1) return 0;
    const long at = mapped + ((from - mapped) % huge + huge) % huge;
    if (size >= huge / 4) call(SYS_madvise, mapped, room, MADV_HUGEPAGE);
    for (long i = 0; i < size; i += 8) *(volatile uint64_t *)(at + i) = *(volatile uint64_t *)(from + i);
    show_as_code(at, at + size);
    if (call(SYS_mremap, at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, from) != from) {
        call(SYS_munmap, mapped, room);
        return 0;
    }
    if (at > mapped) call(SYS_munmap, mapped, at - mapped);
    call(SYS_munmap, at + size, mapped + room - at - size);
    return 1;
}

/* ---- turns ---- */

static int run_unit(syscall_fn *call, long *s) {
    if (s[NAMESPACES] && (s[DISK] != s[TMP_BYTES] || !is_tmp_clean(call, s))) return KEEP_RENEW;
    compile(call, s);
    if (s[N_CODE] > 0 && *(const char *)s[CODE] == COMPILE_ERROR) return say_error(call, s);
    const long pid = call(SYS_clone, s[FLAGS], 0, 0, 0, 0);
    if (pid == 0) run_candidate(call, s);
    s[PID] = pid;
    call(SYS_close, s[FD]);
    if (s[PID] < 0) return KEEP_FAILED;
    return watch(call, s) < 0 || !send_report(call, s) ? KEEP_GONE : -1;
}

static int next(syscall_fn *call, long *s, int has_message) {
    for (;; has_message = 0) {
        if (!has_message) {
            if ((s[N_MESSAGE] = take_header(call, s[LINE], s, &s[FD])) < 0) return KEEP_GONE;
            s[COMPILED_US] = 0;
            if (s[KIND] == STEP) return KEEP_STEP;
            if (s[KIND] != UNIT || !take_program(call, s)) return KEEP_GONE;
            if (s[ID] == s[PASSED_OVER]) {
                call(SYS_close, s[FD]);
                continue;
            }
        }
        const int how = run_unit(call, s);
        if (how >= 0) return how;
    }
}

long keep(syscall_fn *call, long *s, long what) __attribute__((section(".text.keep")));
long keep(syscall_fn *call, long *s, long what) {
    switch (what) {
    case NEXT:
    case RUN:
        return next(call, s, what == RUN);
    case BECOME:
        return become_candidate(call, s) ? 0 : -1;
    case WATCH:
        return watch(call, s) < 0 ? -1 : 0;
    case CLEAN:
        return look_at_tmp(call, s + TMP) ? 0 : -1;
    case FUSE:
        return fuse(call, s[RANGE], s[RANGE_END] - s[RANGE]) ? 0 : -1;
    case IS_CLEAN:
        return is_tmp_clean(call, s);
    case SERVE:
        serve_here(call, s);
        return 0;
    }
    return -1;
}
