/* isolate.h - starting a process in namespaces of its own, and the seccomp programs of candidates.
 *
 * With namespaces: user, pid, mount, net, ipc, uts. Its root is a read-only tmpfs with the listed paths bound
 * read-only, /dev/null, /dev/zero, /dev/urandom, an empty /tmp and an empty /work; no /proc, no network
 * device up. Root on the outside becomes nobody; inside, the process is root of its own user namespace and
 * can do nothing outside it.
 */
#ifndef BROOD_ISOLATE_H
#define BROOD_ISOLATE_H

#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

enum { ISOLATE_PATHS_MAX = 24 };

struct isolate_plan {
    bool namespaces;
    const char *paths[ISOLATE_PATHS_MAX]; /* absolute, no links in them; NULL-terminated */
    char *const *argv;                    /* argv[0] is an absolute path */
    const char *setting;                  /* of the environment, NAME=VALUE; NULL: none */
    int lines[2];                         /* become descriptors 3 and 4; 0 to 2 are /dev/null */
    bool see_itself; /* /proc as it is outside becomes descriptor 5, if there is one: to be closed early */
};

/* The process id, or -1. It is reaped by the caller; killing it ends all that it started (namespaces). A
 * failure inside it, before the program runs, ends it with a line "brood: why" on descriptor 3. */
MUST pid_t isolate_start(const struct isolate_plan *plan, struct err *e);

/* A BPF program of the kernel's struct sock_filter, as hexadecimal text; owned. Everything that is not listed
 * is refused. With namespaces, signals may be sent (they stay in the pid namespace). */
enum isolate_starts {
    ISOLATE_NOTHING,
    ISOLATE_COMMAND,   /* execve */
    ISOLATE_PROCESSES, /* and more processes */
    /* Setting up a program costs as much as its filter is long, so the keeper holds a long one that allows
     * what any program may and itself needs; what is set on top of it for a program that starts nothing is
     * short, refuses the rest, and both together are ISOLATE_NOTHING. */
    ISOLATE_KEEPER,
    ISOLATE_ON_KEEPER,
    /* On top of the keeper's, too: its one line and memory, not even files. */
    ISOLATE_COMPILER,
};
MUST char *isolate_filter(bool namespaces, enum isolate_starts starts, struct err *e);

char *isolate_hex(const void *data, size_t n); /* owned */

#endif
