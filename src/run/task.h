/* task.h - a set of problems, read from JSON lines.
 *
 * Fields of a line, the first present of each list counts:
 *
 *     id        id, task_id, unique_id, instance_id; of CodeContests and miniF2F name; else "line N"
 *
 *     prompt    prompt, problem, question, Problem, Question, description, problem_statement, text; of a
 *               theorem without any its header and its formal_statement (or statement)
 *
 *     answer    answer, Answer, final_answer (string or number; of GSM8K's the text after "####"); may be
 *               missing: then nothing is graded
 *
 *     level     level (an integer, or "Level 3"); may be missing
 *
 * This reads the published layouts of GSM8K, MATH-500, AIME and AMC as they are, and those of tasks that a
 * verifier decides: HumanEval, EvalPlus, MBPP, CodeContests, SWE-bench, miniF2F. MBPP's prompt is followed
 * by its tests, which alone say what the function is called (Austin et al. 2021, 2108.07732). `line` keeps
 * the fields that a verifier may see: all but those of the answer, and those in which published tasks keep
 * reference solutions. EvalPlus's keeps its canonical_solution: its tests are what that gives.
 *
 * `lab:NAME` names a bundled task. Ownership: the task owns all its strings. Threads: read-only after
 * loading.
 */
#ifndef BROOD_TASK_H
#define BROOD_TASK_H

#include "base/err.h"
#include "base/json.h"

struct task_problem {
    char *id, *prompt;
    char *answer;       /* NULL: unknown. For the grader only. */
    int level;          /* 0: none */
    char *line;         /* a JSON object */
    const char *verify; /* no answer: the verifier that can tell; NULL: none is known */
    const char *has;    /* what that goes by: "unit tests" */
};

struct task {
    char *name;
    struct task_problem *problems;
    size_t n_problems, cap;
    uint64_t line_hash; /* of what verifiers see */
    uint64_t hash;      /* of ids, prompts, levels and answers: what a resumed run must find again */
};

/* The file that "lab:NAME" or a path stands for. Owned. */
MUST char *task_path(const char *spec, struct err *e);

/* Reads at most n_max problems (0: all). An empty task, a duplicate id or a malformed line is an error that
 * names the line. */
MUST struct task *task_open(const char *spec, size_t n_max, struct err *e);
void task_free(struct task *t);

/* Of a problem's line, what a verifier may see. Owned, free(). */
char *task_public_line(const json_t *line);

/* The grader: does the solution's answer equal the key? Both are answers, already extracted; `lenient`
 * follows Qwen's grader. */
bool task_grade(struct str answer, const char *key, bool lenient);

#endif
