/* process.h - a verifier's process: started in the sandbox or outside it, fed and listened to without
 * waiting.
 *
 * In the sandbox: namespaces as isolate.h has them, a private working folder (/work), no network, no
 * capabilities, address space limited; of the file system /usr, /lib, /bin and the paths that were named,
 * read only. A word of the command that names a file or a folder is such a path. Outside: a folder of its own
 * below /tmp, removed when the process is; everything else is as for any program that you start.
 *
 * The files are written into the working folder first; a command may name them. What the process writes to
 * standard output comes back, and to standard error too where that is asked for.
 */
#ifndef BROOD_PROCESS_H
#define BROOD_PROCESS_H

#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

enum { PROCESS_WORDS_MAX = 64, PROCESS_FILES_MAX = 6, PROCESS_READ_MAX = 12 };

/* "prog 'an argument' {file}": words as a shell parts them, quotes and backslashes without the rest of a
 * shell. Each is owned; NULL-terminated. */
MUST bool process_words(const char *text, char *words[PROCESS_WORDS_MAX + 1], struct err *e);
void process_words_free(char *words[PROCESS_WORDS_MAX + 1]);

struct process_file {
    const char *name;
    struct str text;
};

struct process_plan {
    char *const *words; /* NULL-terminated; words[0] is a program of the PATH or a path */
    bool sandbox, errors_too;
    size_t memory_bytes; /* 0: no limit */
    const char *read[PROCESS_READ_MAX];
    int n_read;
    struct process_file files[PROCESS_FILES_MAX]; /* the first is its standard input too */
    int n_files;                                  /* 0: standard input is what process_send sends */
};

/* Whether words[0] can be run at all: refuses with one line. */
MUST bool process_can_run(const struct process_plan *plan, struct err *e);

struct process {
    pid_t pid; /* 0: none */
    int to, from;
    struct buf unsent, out; /* not yet taken by it; said by it */
    size_t n_sent;
    bool ended;   /* it has closed its output */
    char *folder; /* outside the sandbox; NULL: none */
    bool sandbox;
};

MUST bool process_start(struct process *p, const struct process_plan *plan, struct err *e);
void process_send(struct process *p, struct str text);
/* Sends and reads what can be without waiting; false if it has said more than n_bytes_max. */
bool process_exchange(struct process *p, size_t n_bytes_max);
/* Kills and reaps it and all that it started; as waitpid tells. What it said stays until the next start. */
int process_stop(struct process *p);

#endif
