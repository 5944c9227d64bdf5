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
struct str worker_keeper(void); /* machine code of inside/keeper.c */

struct worker_plan {
    struct python python;
    enum verify_level level;
    const char *readable;                    /* another folder; NULL: none */
    char *filter_keeper, *filter;            /* hexadecimal: the keeper's, and a program's on top of it */
    char *filter_compiler;                   /* on top of the keeper's as well */
    char *filter_command, *filter_processes; /* that may start a command, and processes; NULL below
                                                VERIFY_NAMESPACES */
};

enum worker_line { WORKER_KEEPER, WORKER_JUDGE, WORKER_LINES };

struct worker {
    pid_t pid; /* 0: none */
    int fds[WORKER_LINES];
    int ends; /* a line on which its keeper hears what is to be ended, and nothing else */
    struct buf in[WORKER_LINES];
};

/* Starts it; its keeper's first message says {"ready":...}. */
MUST bool worker_start(struct worker *w, const struct worker_plan *plan, struct err *e);
void worker_stop(struct worker *w); /* kills and reaps it, and all that it started; none is legal */

/* Each gives false if the worker has gone; fd < 0: none. */
bool worker_send(struct worker *w, enum worker_line line, const json_t *message, int fd);

/* What the keeper is sent, except its first message: a header, and what is to be run. */
enum worker_kind { WORKER_UNIT, WORKER_STEP };
struct worker_head {
    enum worker_kind kind;
    int64_t id;
    struct verify_limits limits; /* those of the clock are brood's */
};
bool worker_send_unit(struct worker *w, const struct worker_head *head, const char *entry_point,
                      const char *program, int fd);
bool worker_send_step(struct worker *w, const struct worker_head *head, const json_t *step, int fd);
/* Ends that program; one that the keeper has not begun is passed over. */
bool worker_send_end(struct worker *w, int64_t id);

/* "by" of the keeper's reports. */
enum worker_ended { WORKER_ENDED_BY_ITSELF, WORKER_ENDED_BY_CPU, WORKER_ENDED_BY_BROOD };

/* Reads what is there: 1 with a message (owned, json_decref), 0 nothing whole yet, -1 the line has ended. */
int worker_receive(struct worker *w, enum worker_line line, json_t **message);
/* What it had written as plain text before it ended, one line; "" if nothing. Valid until worker_stop. */
const char *worker_last_words(const struct worker *w);

#endif
