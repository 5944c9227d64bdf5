/* repository.h - tasks in SWE-bench's sense: a solution is a patch to a repository.
 *
 *     tasks     {"instance_id", "repo", "base_commit", "patch", "test_patch", "FAIL_TO_PASS",
 *               "PASS_TO_PASS"}:
 *               the lists as JSON arrays or, as published, as texts that hold one
 *
 *     samples   {"instance_id", "model_patch"}, any number a task, in any order
 *
 *     results   each sample's line with "result" and "passed" added
 *
 * A patch is right if, on a clean copy of the repository at base_commit with patch and test_patch applied,
 * all tests of both lists pass. The copy is made anew for each patch from a local clone (git clone --shared),
 * its history is taken away, and tests run in the sandbox on a copy of it that can be written, or by a
 * command of the user's outside of it (a container). The sandbox's network is off.
 *
 * What a patch may not do: touch a file that test_patch touches or in which a named test lies, leave the
 * repository (absolute paths, "..", links), touch .git, or carry binary data. It is then not run.
 *
 * A test passes if the command's report says so by name ("PASSED path::name" of pytest -rA, "name (class) ...
 * ok" of unittest -v): leaving early, with any exit status, passes nothing. What is not guarded: code under
 * test shares a process with its tests, so code written to print a forged report passes them, as under
 * SWE-bench's own harness.
 *
 * repository_check_references runs the published patch several times, and no patch once. Tests that pass not
 * always are flaky and left out; of FAIL_TO_PASS those as well that pass without a patch. A task of whose
 * FAIL_TO_PASS none is left is left out.
 */
#ifndef BROOD_REPOSITORY_H
#define BROOD_REPOSITORY_H

#include "base/map.h"
#include "base/str.h"
#include "verify/verify.h"

struct repository_test {
    char *name;                 /* owned */
    bool fails_first, left_out; /* of FAIL_TO_PASS; flaky, or tells nothing */
};

struct repository_task {
    char *instance_id, *repo, *base_commit, *patch, *test_patch; /* owned */
    struct repository_test *tests;                               /* [n_tests], owned */
    size_t n_tests;
    bool left_out;
    char *trouble; /* owned; what repository_check_references found, a line; NULL: nothing */
    int64_t n_samples, n_passed;
};

struct repository {
    struct repository_task *tasks;
    size_t n_tasks, cap;
    struct map *index;
};

struct repository_way {
    const char *folder;    /* of clones: owner__name, owner/name or name */
    const char *command;   /* parted by spaces; {tests} stands for the names, {folder} for the copy's path */
    bool outside;          /* of the sandbox: the command is a container's */
    struct verify *verify; /* NULL if outside; opened with repository_work's folder readable */
    const char *work;      /* folder for copies */
    struct verify_limits limits;
    const char
        *kept; /* what was decided is kept beside this file, which the results go to (kept.h); NULL: not */
    const _Atomic bool *stop; /* true ends what runs soon, with ERR_CANCELLED; may be NULL */
    bool (*on_progress)(void *ctx, int64_t n_done, int64_t n_all); /* false stops; may be NULL */
    void *ctx;
};

/* One task; its patch may be missing, and is then "". *t is zeroed after false. */
MUST bool repository_task_read(struct str line, struct repository_task *t, const char *where, struct err *e);
void repository_task_free(struct repository_task *t);

struct repository_verdict {
    bool passed;
    int n_tests, n_passed; /* 0 of 0: no test ran */
    struct buf why;        /* it did not pass: one line */
};
/* Judges one patch of a task. False says nothing about the patch. */
MUST bool repository_judge(const struct repository_task *t, const char *patch,
                           const struct repository_way *way, struct repository_verdict *out, struct err *e);
void repository_verdict_fini(struct repository_verdict *v);

bool repository_is(const char *path); /* whether the first line is such a task */
MUST bool repository_read(struct repository *r, const char *path, struct err *e);
void repository_fini(struct repository *r);

/* A new empty folder below /var/tmp that the sandbox can show, locked while it is used. Those that processes
 * left behind that were killed are removed by the next that makes one. */
struct repository_folder {
    char *path; /* owned; NULL: none */
    int lock;
};
MUST bool repository_folder_make(struct repository_folder *f, struct err *e);
void repository_folder_remove(struct repository_folder *f); /* none is legal */

MUST bool repository_check_references(struct repository *r, int n_times, const struct repository_way *way,
                                      struct err *e);
/* After it: the lines of the file again, without what was left out: tasks, and tests of the others. */
MUST bool repository_write_kept(const struct repository *r, const char *path, struct buf *out, struct err *e);
/* Checks every sample in turn; equal patches once. Lines go into *results. What was kept is removed by
 * repository_done, once they are written. */
MUST bool repository_run(struct repository *r, const char *samples_path, const struct repository_way *way,
                         struct buf *results, struct err *e);
void repository_done(const struct repository_way *way);

#endif
