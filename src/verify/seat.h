/* seat.h - inside verify.c and outcome.c: a job, the worker that has it, and what was said of it. */
#ifndef BROOD_VERIFY_SEAT_H
#define BROOD_VERIFY_SEAT_H

#include "verify/place.h"
#include "verify/worker.h"

struct test {             /* one input, and what is to be printed */
    char *input, *output; /* owned, may hold NULs */
    size_t n_input, n_output;
    bool hidden;
    int i; /* among those submitted */
};

struct job {
    struct job *next;
    uint64_t id;
    char *program, *setup, *tests, *entry_point; /* owned */
    struct verify_limits limits;
    int n_tries, n_breaks;
    bool cancelled, show, tell;
    bool apart; /* a worker broke while it had this one and another: no more together */
    const struct verify_language *language;
    struct test *tests_io; /* [n_io], owned, by size */
    size_t n_io, n_held;
    double cpu_seconds; /* of the tests that are over */
    size_t memory_bytes;
};

enum seat_state { SEAT_EMPTY, SEAT_STARTING, SEAT_IDLE, SEAT_BUSY };

/* A program that its worker has been sent besides: it goes on with that without waiting for brood. */
struct ahead {
    struct job *job; /* NULL: none */
    int64_t serial;
    json_t *verdict, *report; /* owned */
};

struct seat { /* a worker and what it does */
    enum seat_state state;
    struct worker worker;
    struct place place;
    struct job *job;
    int64_t serial; /* of what was sent, among all that was ever sent */
    int64_t key;    /* serial of the job's first */
    double started, deadline;
    bool wall_over, end_sent, is_compile;
    json_t *verdict, *report; /* what the judge and the keeper said, owned */
    struct ahead ahead;
};

/* What the judge says by that name; "" for nothing. */
const char *outcome_text(const json_t *said, const char *key);
/* What the keeper and the judge said of one run of the program; text holds up to 900 characters. */
void outcome_read(const struct seat *s, struct verify_result *r, const char **exception,
                  char text[static 900]);
/* What failed, in the judge's words, and the line of the program that it blames, as far as that has it. `out`
 * holds what the result then refers to. */
void outcome_detail(const struct seat *s, struct verify_result *r, struct buf *out);

#endif
