/* equal.c - brood equal: are two mathematical answers equal? */
#include <stdio.h>

#include "answer/answer.h"
#include "cli/commands.h"

struct equal_values {
    bool lenient;
};

static int equal_run(const struct command_line *line, struct err *e) {
    UNUSED(e);
    const struct equal_values *v = line->values;
    const struct answer_options options = {.rules = v->lenient ? ANSWER_QWEN : ANSWER_STRICT};
    struct answer *a = answer_parse(str_from(line->args[0]), &options),
                  *b = answer_parse(str_from(line->args[1]), &options);
    const enum answer_verdict verdict = answer_equal(a, b);
    answer_free(a);
    answer_free(b);
    answer_thread_end();
    printf("%s\n", verdict == ANSWER_EQUAL       ? "equal"
                   : verdict == ANSWER_DIFFERENT ? "different"
                                                 : "cannot tell");
    return verdict == ANSWER_EQUAL ? EXIT_YES : verdict == ANSWER_DIFFERENT ? EXIT_NO : EXIT_CANNOT_TELL;
}

static const struct option equal_options[] = {
    {"lenient", 0, OPTION_FLAG, offsetof(struct equal_values, lenient), NULL,
     "the rules of Qwen2.5-Math's grader, for reproducing published numbers; A is the reference", 0, 0},
};

static const char *const equal_examples[] = {
    "brood equal '\\frac{1}{2}' 0.5",
    "equal, exit status 0",
    "brood equal 'x^2-1' '(x-1)(x+1)'",
    "equal, exit status 0",
    "brood equal 'sqrt(2)' 1.41421356",
    "different, exit status 1",
    NULL,
};

const struct command command_equal = {
    .name = "equal",
    .arguments = "A B",
    .summary = "are two mathematical answers equal? exit status 0 yes, 1 no, 4 cannot tell",
    .about = "Reads LaTeX and plain notation and decides exactly: numbers, radicals, expressions in symbols, "
             "lists, intervals, sets, matrices, equations, units and words. It prints one word: equal, "
             "different or \"cannot tell\". The work is bounded, so any two texts get a verdict.",
    .examples = equal_examples,
    .options = equal_options,
    .n_options = (int)ARRAY_LEN(equal_options),
    .n_args_min = 2,
    .n_args_max = 2,
    .defaults = &(const struct equal_values){0},
    .values_bytes = sizeof(struct equal_values),
    .run = equal_run,
};
