/* verify.h - the verifier service: decides, without the answer key, whether a program is right.
 *
 * Programs of unknown origin are run against unit tests in a sandbox. Jobs run on several workers at once;
 * verdicts come as they fall. Nothing here blocks for long: verify_work does one slice.
 *
 *     v = verify_open(&options, &e)           starts the workers, measures the isolation reached
 *     verify_submit(v, &job)                  any number in flight
 *     while (verify_work(v, 0.1, &e) > 0)
 *         while (verify_next(v, &result))     passed, failed, timed out, ...
 *
 * Why a verdict can be believed. A program never runs in the process that holds the tests:
 *
 *     brood ---- keeper -- forks --> candidate    a pid namespace of its own, no capabilities, seccomp,
 *        \       (Python, warm)         | |       Landlock, limits, an empty /tmp; one per program
 *         \                     argument| |value
 *          ----- judge -----------------+-+       runs the tests; calls reach the candidate as data
 *
 * The judge sends arguments and gets values back: numbers, texts, bytes, lists, tuples, sets, dictionaries,
 * what iterators gave. It rebuilds them as plain built-in objects and compares with its own operators. So
 * "passed" takes every assertion of the tests to hold for values that really came back; exit statuses,
 * output, atexit, patched equality or a forged message in the candidate's process decide nothing. The judge's
 * line to brood is in no process of a candidate. What is not guarded: a program that recognises the arguments
 * of a test and answers them alone passes that test, as under any tests. What differs from running both in
 * one interpreter: an object of a class of the candidate's comes back as something equal to nothing (or as
 * the built-in it derives from); arguments are copies, so what a program does to them stays with it; names
 * that the tests use are those of `setup`, except the entry point.
 *
 * The first call of the tests is sent before the program says that it is loaded, which it says with its
 * first answer: nothing rests on it. What it raises before that, no test catches.
 *
 * Programs that read standard input and print are given each input in a process and a /tmp of their own; the
 * judge compares what was printed. That a process ends well is asked for besides, never instead.
 *
 * Time is CPU time, so a busy machine changes no verdict: a program that runs out of it is run once more,
 * alone, after all others, and only then counts as timed out. A wall clock ends programs that sleep.
 *
 * The keeper's turn for a program is machine code (inside/keeper.c), and its memory is one piece of huge
 * pages where there are some: a fork then costs a third. What a candidate does besides its program is machine
 * code, too (inside/serve.c). A program has a copy of its own of all that and shares nothing with the keeper.
 *
 * Python's compiler reads a program's text in a process that stays for some 256 programs, because it is slow
 * in a new one (inside/keeper.c, "the compiler"). Nothing of a program runs there. It is shut in as a
 * candidate, may besides only read and write its line, and what it gives is run by the candidate or taken as
 * an exception of the candidate's. Where it ends, takes long or wants memory the candidate compiles itself,
 * so that no text changes its own verdict that way, or another's. What is not guarded: a text that took over
 * Python's compiler by an error in it could give other code to the programs that follow it there; tests it
 * could not reach.
 *
 * A worker is sent its next program while it is at one, so that it need not wait for brood in between: that
 * lies in the keeper's line, which no program has, until the keeper has reaped the processes of the one
 * before. A program that lasts keeps none waiting: what was sent is taken back, and another worker has it.
 * Two that were with a worker which broke are not sent together again, so a break that counts is a program's
 * own.
 *
 * After each verdict all processes of the program are dead and reaped (its pid namespace has ended), and its
 * /tmp is replaced if anything was made in it.
 *
 * Ownership: submit copies. Threads: one thread owns a verifier. verify_open forks: call it before threads
 * that hold locks across a fork. Hash seeds and random numbers of the interpreter are fixed: verdicts repeat.
 */
#ifndef BROOD_VERIFY_H
#define BROOD_VERIFY_H

#include "base/err.h"
#include "base/str.h"

struct verify;

enum verify_level {
    VERIFY_FILTERED,   /* seccomp, Landlock, limits: no file can be written, no process or socket made */
    VERIFY_NAMESPACES, /* these, and user, pid, mount, net, ipc and uts namespaces with a private /tmp */
    VERIFY_LEVELS,
};
extern const char *const verify_level_names[VERIFY_LEVELS + 1]; /* "filtered", "namespaces", NULL */

struct verify_options {
    const char *python;   /* program to run; NULL: python3 */
    const char *readable; /* a folder that programs may read besides, not below /tmp; NULL: none */
    enum verify_level least, highest; /* refuse below `least`; do not try above `highest` */
    int n_workers;                    /* 0: one a core */
};

struct verify_limits {
    double cpu_seconds;  /* of the program, loading it included */
    double wall_seconds; /* of the program and its tests */
    size_t memory_bytes; /* address space of each process */
    size_t disk_bytes;   /* of /tmp */
    int n_processes; /* that it may start; 0: none (threads are free). Memory and CPU are limits of each */
};
extern const struct verify_limits verify_limits_default; /* 3 s, 15 s, 1 GiB, 16 MiB, 0 */

/* A language other than the preloaded Python, declared by its commands. Needs VERIFY_NAMESPACES. The words
 * {source} and {program} stand for the file with the program and for the file that `compile` makes of it,
 * once a program, inside the sandbox. Both lie in /tmp, which each test finds as new. */
struct verify_language {
    char source[32]; /* "program.c": no folder */
    char **compile;  /* owned, NULL-terminated; [0] absolute; NULL: nothing is made */
    char **run;
};
/* By name ("c", "c++", "perl", "python") or as commands, parted by spaces: "SOURCE RUN" and "SOURCE COMPILE ;
 * RUN". *out is NULL for the preloaded Python. */
MUST bool verify_language_parse(const char *text, struct verify_language **out, struct err *e);
void verify_language_free(struct verify_language *l);

struct verify_io { /* a program reads `input` and is to print `output`, by CodeContests' rules */
    struct str input, output;
    bool hidden; /* never told of; with `tell` those that are not come first */
};

struct verify_tests {
    struct str setup;        /* run before the tests: what they may name, e.g. helpers and imports */
    struct str code;         /* the tests: defines check(candidate), or asserts at top level */
    const char *entry_point; /* the candidate's function */
    /* n_io > 0: instead of the above, each in a process of its own, in order of their size. Words are
     * compared: the same but for case, the same whole number, or numbers within 1e-5. The limits are those of
     * one test. */
    const struct verify_io *io;
    size_t n_io;
    bool tell; /* the result says in `detail` what failed: for tests that the program's author may see */
    bool show; /* n_io = 1: nothing is compared; the result's text is what was printed on both outputs, its
                  last 256 KiB, and "passed" says that it ended well: no evidence of anything */
};

struct verify_job {
    uint64_t id;                            /* the caller's, unique among jobs in flight */
    const struct verify_language *language; /* for n_io > 0; borrowed until its result; NULL: Python */
    struct str program;
    struct verify_tests tests;
    struct verify_limits limits;
};

enum verify_verdict {
    VERIFY_PASSED,    /* every assertion held */
    VERIFY_FAILED,    /* an assertion did not hold, or the program raised an exception */
    VERIFY_TIMED_OUT, /* twice, the second time alone */
    VERIFY_CRASHED,   /* its process ended before the tests had: exit, signal */
    VERIFY_REFUSED,   /* the tests cannot be run: they are wrong, or pass what cannot be carried */
    VERIFY_BROKEN,    /* the sandbox failed twice; says nothing about the program */
    VERIFY_VERDICTS,
};
extern const char *const verify_verdict_names[VERIFY_VERDICTS + 1]; /* "passed", ..., "timed out" */

struct verify_result {
    uint64_t id;
    enum verify_verdict verdict;
    const char *exception; /* failed: its class, "AssertionError", ...; else "" */
    const char *text;      /* its message, or one line that says what happened; both valid until verify_work
                              or verify_next */
    /* With `tell`, unless passed: lines such as "Call: f([1, 2])", quoted, printable and cut; else "". What a
     * program has a hand in is data here: it cannot change the verdict, nor what the lines are called. */
    const char *detail;
    bool hidden; /* without `tell`, or of a hidden test: text and exception may have its input in them */
    int n_calls; /* of the candidate by the tests; programs that print: how often it ran */
    int n_tries;
    double cpu_seconds, wall_seconds; /* of the last try */
    size_t memory_bytes;              /* its largest resident set */
};

struct verify_info {
    const char *python;  /* resolved path */
    const char *version; /* "3.11.2" */
    enum verify_level level;
    bool landlock; /* also in force */
    int n_workers;
    int n_wanted; /* jobs in flight that keep it busy */
};

MUST struct verify *verify_open(const struct verify_options *o, struct err *e);
void verify_close(struct verify *v); /* kills and reaps what still runs; NULL is legal */
const struct verify_info *verify_info(const struct verify *v);

void verify_submit(struct verify *v, const struct verify_job *job);
void verify_cancel(struct verify *v, uint64_t id); /* no result follows; an unknown id is ignored */
/* > 0: something is in flight; 0: nothing is; -1: failed for good. */
MUST int verify_work(struct verify *v, double seconds_max, struct err *e);
bool verify_next(struct verify *v, struct verify_result *out);
int verify_in_flight(const struct verify *v); /* jobs submitted whose result has not been taken */

#endif
