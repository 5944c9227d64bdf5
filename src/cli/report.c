/* report.c - brood report: tables and a chart of recorded runs; their records as JSON lines. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/show_report.h"

enum { RUNS_MAX = 64 };

struct report_values {
    const char *aggregate, *prices;
    bool json, jsonl;
};

static int export_run(const char *path, struct err *e) {
    struct store *s = store_open(path, STORE_READ, e);
    if (!s) return -1;
    const bool ok = store_export(s, stdout, e);
    struct err closing = {0};
    return store_close(s, ok ? e : &closing) && ok ? 0 : -1;
}

static void print_json(const struct report *r) {
    json_t *o = report_json(r);
    char *line = json_line(o);
    printf("%s\n", line);
    free(line);
    json_decref(o);
}

static int report_run(const struct command_line *line, struct err *e) {
    const struct report_values *v = line->values;
    enum aggregate a = REPORT_AGGREGATE_OF_RUN;
    if (v->aggregate && !aggregate_parse(v->aggregate, &a, e)) return -1;
    if (v->json && v->jsonl) {
        err_set(e, ERR_INPUT, "--json is the report, --jsonl the records: give one of them");
        return -1;
    }
    if (v->jsonl && line->n_args > 1) {
        err_set(e, ERR_INPUT, "--jsonl exports one run: give one, not %d", line->n_args);
        return -1;
    }
    if (v->jsonl) return export_run(line->args[0], e);
    struct report *r = report_new();
    bool ok = !v->prices || prices_parse(&r->prices, v->prices, e) || err_wrap(e, "--prices");
    for (int i = 0; ok && i < line->n_args; i++) ok = report_add(r, line->args[i], a, e);
    if (ok) {
        report_compare(r);
        if (v->json)
            print_json(r);
        else
            show_report(r, true);
    }
    report_free(r);
    return ok ? 0 : -1;
}

static const struct option report_options[] = {
    {"prices", 0, OPTION_TEXT, offsetof(struct report_values, prices), "PRICES",
     "what tokens cost, as for solve and bench: then costs are in dollars, too (default: those of a run with "
     "a "
     "budget in money)",
     0, 0},
    {"aggregate", 0, OPTION_TEXT, offsetof(struct report_values, aggregate), "RULE",
     "one number from step rewards: last, min, prod, mean (default the run's own)", 0, 0},
    {"json", 0, OPTION_FLAG, offsetof(struct report_values, json), NULL,
     "the report as one JSON object (docs/json.md)", 0, 0},
    {"jsonl", 0, OPTION_FLAG, offsetof(struct report_values, jsonl), NULL,
     "the records of one run as JSON lines (docs/records.md)", 0, 0},
};

static const char *const report_examples[] = {
    "brood report small.brood large-greedy.brood",
    "the curves of the small policy beside the larger one's greedy answers",
    "brood report --jsonl small.brood | gzip > small.jsonl.gz",
    "everything that was recorded",
    NULL,
};

const struct command command_report = {
    .name = "report",
    .arguments = "RUN...",
    .summary = "what recorded runs show: accuracy against samples, by level, costs",
    .about = "RUN is a file that 'brood bench' wrote; a run that is still going on may be looked at. "
             "Accuracy at k samples is "
             "the mean over subsets of k of the recorded solutions; coverage is the unbiased pass@k. Runs of "
             "one sample a "
             "problem, such as greedy ones, become rows of one table and lines in the charts of the others.",
    .examples = report_examples,
    .options = report_options,
    .n_options = (int)ARRAY_LEN(report_options),
    .n_args_min = 1,
    .n_args_max = RUNS_MAX,
    .defaults = &(const struct report_values){0},
    .values_bytes = sizeof(struct report_values),
    .run = report_run,
};
