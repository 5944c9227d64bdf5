/* command.c - see command.h. */
#include "verify/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

enum { OUTPUT_MAX = 1 << 20 };

/* A git that reads nobody's settings, asks nobody, and minds no owner of a local clone. */
static char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                    "HOME=/nonexistent",
                                    "LC_ALL=C.UTF-8",
                                    "GIT_CONFIG_NOSYSTEM=1",
                                    "GIT_TERMINAL_PROMPT=0",
                                    "GIT_CONFIG_COUNT=2",
                                    "GIT_CONFIG_KEY_0=safe.directory",
                                    "GIT_CONFIG_VALUE_0=*",
                                    "GIT_CONFIG_KEY_1=core.hooksPath",
                                    "GIT_CONFIG_VALUE_1=/dev/null",
                                    NULL};

static bool start(char *const *argv, int in, int out, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, out, 2);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int status = posix_spawnp(pid, argv[0], &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    errno = status;
    return status == 0;
}

/* True once all has been read; false when time is over, or it is to stop. */
static bool read_until(int from, double until, const _Atomic bool *stop, struct buf *output) {
    char part[1 << 16];
    for (;;) {
        struct pollfd fd = {.fd = from, .events = POLLIN};
        const double left = until - clock_seconds();
        if (left <= 0 || (stop && *stop)) return false;
        if (poll(&fd, 1, (int)MIN(left * 1000 + 1, stop ? 100 : 1e6)) <= 0) continue;
        const ssize_t n = read(from, part, sizeof part);
        if (n == 0 || (n < 0 && errno != EINTR)) return true;
        if (n > 0) buf_add(output, part, (size_t)n);
        if (output->len > 2 * OUTPUT_MAX) {
            memmove(output->ptr, output->ptr + output->len - OUTPUT_MAX, OUTPUT_MAX);
            output->len = OUTPUT_MAX;
        }
    }
}

bool command_run(char *const *argv, struct str input, double seconds, const _Atomic bool *stop,
                 struct buf *output, int *status, struct err *e) {
    int ends[2];
    pid_t pid;
    buf_clear(output);
    const int in = memfd_create("input", MFD_CLOEXEC);
    bool ok = in >= 0 && pipe2(ends, O_CLOEXEC) == 0;
    if (!ok) {
        if (in >= 0) close(in);
        return err_set(e, ERR_SERVICE, "%s: cannot be run: %s", argv[0], strerror(errno));
    }
    ok = pwrite(in, input.ptr ? input.ptr : "", input.len, 0) == (ssize_t)input.len &&
         start(argv, in, ends[1], &pid);
    const int why = errno;
    close(in);
    close(ends[1]);
    if (ok) {
        const bool over = !read_until(ends[0], clock_seconds() + seconds, stop, output);
        if (over) kill(-pid, SIGKILL);
        while (waitpid(pid, status, 0) < 0 && errno == EINTR) {
        }
        kill(-pid, SIGKILL); /* what it has left behind */
        if (over) *status = -1;
    }
    close(ends[0]);
    if (!ok) return err_set(e, ERR_SERVICE, "%s: cannot be run: %s", argv[0], strerror(why));
    return !stop || !*stop || err_set(e, ERR_CANCELLED, "interrupted");
}
