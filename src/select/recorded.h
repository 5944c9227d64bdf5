/* recorded.h - solutions that were written and scored earlier, read from JSON lines, to be chosen from
 * offline.
 *
 * Three layouts, told apart by their keys line by line; docs/records.md has them in full:
 *
 *     {"problem": "p1", "level": 3, "answer": "42",            a problem: what `brood report --jsonl` writes
 *      "solutions": [{"path": "0", "text": "...", "rewards": [0.9, 0.8], "right": true}, ...]}
 *     {"id": "p1", "ground_truth": "42",                       a problem, its solutions as columns
 *      "responses": ["...", ...], "reward": [3.5, ...], "correct": [true, ...]}
 *     {"problem": "p1", "text": "...", "rewards": [0.9, 0.8], "right": true}      one solution
 *
 * Lines of the same problem are put together, in the order of the file. `right` is what a grader said: it
 * lies beside the solutions, never in them, so that no selection can see it.
 */
#ifndef BROOD_RECORDED_H
#define BROOD_RECORDED_H

#include "select/select.h"

enum recorded_right { RECORDED_UNGRADED = -1, RECORDED_WRONG, RECORDED_RIGHT };

struct recorded_solution {
    char *path;          /* never NULL: its place among the problem's solutions if the record names none */
    char *text, *answer; /* NULL: not recorded; at least one of them is */
    float *rewards;      /* [n_rewards]; NULL: not scored */
    int n_rewards;
    float *confidences; /* [n_confidences] of its tokens; NULL: not recorded */
    int n_confidences;
    bool complete; /* true unless the record says otherwise */
    enum select_verified verified;
    enum recorded_right right;
};

struct recorded_problem {
    char *id;
    char *gold; /* the answer key; NULL: not recorded */
    int level;  /* 0: none */
    struct recorded_solution *solutions;
    size_t n_solutions, cap;
};

struct recorded {
    struct recorded_problem *problems; /* in the order in which they first appear */
    size_t n_problems, cap;
    struct map *by_id;
};

void recorded_init(struct recorded *r);
void recorded_fini(struct recorded *r);
/* Adds the file's lines ("-": standard input; blank lines are skipped). Errors name the line. */
MUST bool recorded_read(struct recorded *r, const char *path, struct err *e);
MUST bool recorded_add_line(struct recorded *r, struct str line, const char *where, struct err *e);

/* The problem's solutions as select_choose takes them, rewards borrowed; answers that are not recorded are
 * extracted from the text. Owned by the caller, free(). */
struct select_solution *recorded_view(const struct recorded_problem *p, struct select_classes *c);
/* Sets the confidences of such a view. */
void recorded_set_confidences(const struct recorded_problem *p, const struct select_confidence *how,
                              struct select_solution *view);

#endif
