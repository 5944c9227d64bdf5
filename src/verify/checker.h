/* checker.h - verifiers that are processes: a pool of them, one-shot or staying (private to the room).
 *
 *     one-shot   a process for each solution: files in, what it says and its exit status out
 *     staying    a process for many: messages in, messages out, up to `batch` solutions under way at once
 *
 * A kind says what the messages are (struct checker_ops). What goes wrong on the way is decided here, alike
 * for all: a process that ends or talks nonsense is started anew and its solutions are tried once more, each
 * alone; twice is VERIFIER_UNKNOWN with one line that says why. No verdict within `seconds` is, the second
 * time and alone, a rejection: the solution took too long. Staying processes are also started anew after
 * `runs` solutions.
 */
#ifndef BROOD_CHECKER_H
#define BROOD_CHECKER_H

#include "verify/kinds.h"
#include "verify/process.h"

struct check_memo { /* of a staying process: what the kind wants to remember of it */
    bool is_set;
    uint64_t key;
    int64_t value;
};

struct check { /* a solution under way */
    struct check *next;
    uint64_t id;
    char *problem_id, *prompt, *line, *solution; /* owned; line "": none */
    int stage; /* the kind's own, 0 at first of each try; with the next one */
    int64_t environment;
    struct check_memo *memo; /* staying: of its process */
    long number;
    int n_tries, seat; /* -1: none */
    bool alone, cancelled;
    double began;
    const char *broken; /* why the last try broke; NULL: it did not */
};

struct check_answer {
    enum verifier_verdict verdict;
    double score;
    struct buf feedback;
};

struct checker_ops {
    const char *name;
    bool stays, errors_too;
    /* One-shot: the files of a solution, texts owned by the caller (free). False: decided at once. */
    bool (*files)(const struct settings *s, const struct check *k,
                  struct process_file files[PROCESS_FILES_MAX], int *n_files, struct check_answer *out);
    /* One-shot: how it ended. False: that says nothing (it is tried again), *why says how. */
    bool (*judge)(const struct settings *s, const struct check *k, int status, struct str said,
                  struct check_answer *out, const char **why);
    /* Staying: what is sent to a new process ("" for nothing). */
    void (*greet)(const struct settings *s, struct buf *out);
    /* The length of the first whole message in what was said; 0: there is none yet. */
    size_t (*message)(struct str said);
    /* Whether the greeting's answer is right; *why if not. */
    bool (*greeted)(const json_t *message, const char **why);
    /* The next message for a check; false: decided at once. */
    bool (*ask)(const struct settings *s, struct check *k, struct buf *send, struct check_answer *out);
    /* The check that a message answers, among those under way; NULL: of none, which breaks the process. */
    struct check *(*of)(struct check *const *under_way, int n, const json_t *message);
    /* 1: decided; 0: another ask; -1: nonsense, *why. */
    int (*hear)(const struct settings *s, struct check *k, const json_t *message, struct check_answer *out,
                const char **why);
};

extern const struct checker_ops checker_command, checker_worker, checker_coq, checker_smt, checker_lean;

/* Takes the settings' rest as the command, or `command` where there is none. Settings are copied. */
MUST struct verifier *checker_open(const struct checker_ops *ops, const struct settings *s,
                                   const struct verifier_options *o, const char *command, struct err *e);

/* A field of the problem's line, "" if it has none or that is no text; owned. */
char *checker_field(const struct check *k, const char *key);
/* The block between lines of ``` that comes last; else all of the text. */
struct str checker_block(struct str text);

#endif
