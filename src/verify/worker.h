/* worker.h - one worker: a sandbox with its keeper and its judge (runner.py), and the lines to both. */
#ifndef BROOD_WORKER_H
#define BROOD_WORKER_H

#include <sys/types.h>

#include "base/json.h"
#include "verify/verify.h"

/* What a Python is and needs: its path without links, and the folders that hold it. */
struct python {
    char *path, *version;
    char *folders[8]; /* NULL-terminated */
};
MUST bool python_find(const char *name, struct python *out, struct err *e); /* NULL: python3 */
void python_free(struct python *p);

struct str worker_script(void); /* runner.py */

struct worker_plan {
    struct python python;
    enum verify_level level;
    const char *readable;                    /* another folder; NULL: none */
    char *filter;                            /* hexadecimal */
    char *filter_command, *filter_processes; /* that may start a command, and processes; NULL below
                                                VERIFY_NAMESPACES */
};

enum worker_line { WORKER_KEEPER, WORKER_JUDGE, WORKER_LINES };

struct worker {
    pid_t pid; /* 0: none */
    int fds[WORKER_LINES];
    struct buf in[WORKER_LINES];
};

/* Starts it; its keeper's first message says {"ready":...}. */
MUST bool worker_start(struct worker *w, const struct worker_plan *plan, struct err *e);
void worker_stop(struct worker *w); /* kills and reaps it, and all that it started; none is legal */

/* fd < 0: none. False if the worker has gone. */
bool worker_send(struct worker *w, enum worker_line line, const json_t *message, int fd);

/* Reads what is there: 1 with a message (owned, json_decref), 0 nothing whole yet, -1 the line has ended. */
int worker_receive(struct worker *w, enum worker_line line, json_t **message);
/* What it had written as plain text before it ended, one line; "" if nothing. Valid until worker_stop. */
const char *worker_last_words(const struct worker *w);

#endif
