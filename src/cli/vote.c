/* vote.c - brood vote: choosing again among recorded solutions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/table.h"
#include "eval/vote.h"

struct vote_values {
    const char *select, *aggregate, *confidence;
    uint64_t n;
    bool first, lenient, json;
};

static bool parse_measure(const char *name, int *out, struct err *e) {
    for (int m = 0; m < CURVES_MEASURES; m++) {
        if (strcmp(name, curves_measure_name((enum curves_measure)m)) == 0) {
            *out = m;
            return true;
        }
    }
    return err_set(e, ERR_INPUT,
                   "--select '%.60s': expected majority, best, weighted, first-verified, confident, "
                   "confident-low, confident-high or coverage",
                   name);
}

static bool read_options(const struct vote_values *v, struct vote_options *o, struct err *e) {
    struct select_confidence how = {.by = CONFIDENCES};
    if (v->confidence && !select_confidence_parse(v->confidence, &how, e)) return err_wrap(e, "--confidence");
    *o = (struct vote_options){.measure = -1,
                               .aggregate = AGGREGATES,
                               .by = how.by,
                               .window = how.window,
                               .n = (int)v->n,
                               .first = v->first,
                               .lenient = v->lenient};
    return (!v->select || parse_measure(v->select, &o->measure, e)) &&
           (!v->aggregate || aggregate_parse(v->aggregate, &o->aggregate, e));
}

static void print_table(const struct vote *v, const struct vote_options *o) {
    struct table t;
    printf("%d problems, %d solutions; right answers in %%, %s%s\n\n", v->n_problems, v->n_solutions,
           o->first ? "of the first n solutions" : "mean over subsets of n solutions",
           "; [95 % interval over problems] at the last n");
    if (v->n_ungraded > 0)
        printf("%d problems are left out: neither graded nor with an answer key\n\n", v->n_ungraded);
    table_init(&t, 3 + v->n_ks);
    table_cell(&t, "select");
    table_cell(&t, "aggregate");
    for (int k = 0; k < v->n_ks; k++) table_cell(&t, "n=%d", v->ks[k]);
    table_cell(&t, "%s", "");
    for (size_t i = 0; i < v->n_rows; i++) {
        const struct vote_row *row = &v->rows[i];
        const struct interval *last = &row->accuracy[v->n_ks - 1];
        table_cell(&t, "%s", curves_measure_name(row->measure));
        table_cell(&t, "%s",
                   row->by != CONFIDENCES         ? confidence_names[row->by]
                   : row->aggregate == AGGREGATES ? "-"
                                                  : aggregate_names[row->aggregate]);
        for (int k = 0; k < v->n_ks; k++) table_cell(&t, "%.1f", 100 * row->accuracy[k].mean);
        table_cell(&t, "[%.1f, %.1f]", 100 * last->low, 100 * last->high);
    }
    table_print(&t, stdout);
}

static int vote_run(const struct command_line *line, struct err *e) {
    const struct vote_values *values = line->values;
    struct vote_options options;
    struct recorded recorded;
    struct vote vote = {0};
    if (!read_options(values, &options, e)) return -1;
    recorded_init(&recorded);
    const bool ok = recorded_read(&recorded, line->args[0], e) && vote_count(&recorded, &options, &vote, e);
    if (ok && values->json) {
        json_t *o = vote_json(&vote);
        char *text = json_line(o);
        printf("%s\n", text);
        free(text);
        json_decref(o);
    } else if (ok) {
        print_table(&vote, &options);
    }
    vote_fini(&vote);
    recorded_fini(&recorded);
    return ok ? 0 : -1;
}

static const struct option vote_options[] = {
    {"select", 0, OPTION_TEXT, offsetof(struct vote_values, select), "RULE",
     "only majority, best, weighted, first-verified, confident, confident-low, confident-high or coverage "
     "(default all)",
     0, 0},
    {"aggregate", 0, OPTION_TEXT, offsetof(struct vote_values, aggregate), "RULE",
     "only last, min, prod or mean of the step rewards (default all)", 0, 0},
    {"confidence", 0, OPTION_TEXT, offsetof(struct vote_values, confidence), "HOW",
     "only lowest, tail, bottom or mean of the tokens' confidences (default all); :N for groups of N tokens, "
     "as in tail:512 (default by their lengths)",
     0, 0},
    {"samples", 'n', OPTION_COUNT, offsetof(struct vote_values, n), "N",
     "only N solutions a problem (default 1, 2, 4, ... and all)", 1, 1e6},
    {"first", 0, OPTION_FLAG, offsetof(struct vote_values, first), NULL,
     "the first n solutions, as papers count them (default the mean over subsets of n)", 0, 0},
    {"lenient", 0, OPTION_FLAG, offsetof(struct vote_values, lenient), NULL,
     "where the file has no grades: grade by Qwen2.5-Math's rules", 0, 0},
    {"json", 0, OPTION_FLAG, offsetof(struct vote_values, json), NULL, "one JSON object (docs/json.md)", 0,
     0},
};

static const char *const vote_examples[] = {
    "brood report --jsonl small.brood | brood vote -",
    "every selection with every aggregate over a run",
    "brood vote --first --select weighted --aggregate last scored.jsonl",
    "weighted best-of-N of the first 1, 2, 4, ... solutions",
    "brood vote --select confident-low --confidence tail:2048 traces.jsonl",
    "votes of the most confident tenth, weighed by the last 2048 tokens (DeepConf)",
    NULL,
};

const struct command command_vote = {
    .name = "vote",
    .arguments = "SOLUTIONS.jsonl",
    .summary = "choose again among recorded solutions: every selection x aggregate x n",
    .about = "Reads solutions as 'brood report --jsonl' writes them and as others publish them "
             "(docs/records.md; - is standard input), puts equal answers together and says how many problems "
             "each selection would get right with n solutions a problem. No model is run.",
    .examples = vote_examples,
    .options = vote_options,
    .n_options = (int)ARRAY_LEN(vote_options),
    .n_args_min = 1,
    .n_args_max = 1,
    .defaults = &(const struct vote_values){0},
    .values_bytes = sizeof(struct vote_values),
    .run = vote_run,
};
