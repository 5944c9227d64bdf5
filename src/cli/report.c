/* report.c - brood report: tables and charts of recorded runs, in the terminal or as a page; their records.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "cli/commands.h"
#include "cli/show_details.h"
#include "cli/show_frontier.h"
#include "cli/show_offers.h"
#include "cli/show_report.h"
#include "eval/html.h"

enum { RUNS_MAX = 64, PLAN_BYTES_MAX = 16 << 20 };

struct report_values {
    const char *aggregate, *html, *problem, *at, *prices, *plan, *frontier;
    uint64_t n_trees;
    bool json, jsonl;
};

static int export_run(const char *path, struct err *e) {
    struct store *s = store_open(path, STORE_READ, e);
    if (!s) return -1;
    const bool ok = store_export(s, stdout, e);
    struct err closing = {0};
    return store_close(s, ok ? e : &closing) && ok ? 0 : -1;
}

static void print_json(const struct report *r, const struct html_extras *extras, const struct frontier *f) {
    json_t *o = report_json(r);
    if (f) json_object_set_new(o, "frontier", frontier_json(f, r));
    if (extras->offers) json_object_set_new(o, "offers", offers_json(extras->offers, r));
    if (extras->reliabilities->n > 0)
        json_object_set_new(o, "reliability", reliabilities_json(extras->reliabilities, r));
    char *line = json_line(o);
    printf("%s\n", line);
    free(line);
    json_decref(o);
}

/* "5,1": one number a run. */
static bool parse_at(const char *text, int *ks, size_t n_runs, struct err *e) {
    for (size_t i = 0; i < n_runs; i++) {
        char *end;
        const long k = strtol(text, &end, 10);
        if (end == text || k < 0 || k > INT32_MAX || *end != (i + 1 < n_runs ? ',' : '\0'))
            return err_set(
                e, ERR_INPUT,
                "--at: give so many samples of each of the %zu runs, as in --at 5,1 (0: all it has)", n_runs);
        ks[i] = (int)k;
        text = end + 1;
    }
    return true;
}

static bool make_offers(struct offers *out, const struct report *r, const struct report_values *v,
                        struct err *e) {
    int ks[RUNS_MAX] = {0};
    *out = (struct offers){0};
    return parse_at(v->at, ks, r->n, e) && offers_make(out, r, ks, e);
}

static bool write_page(const char *path, struct str page, const struct html_facts *facts, struct err *e) {
    char size[FORMAT_MAX];
    if (strcmp(path, "-") == 0) {
        fwrite(page.ptr, 1, page.len, stdout);
        return fflush(stdout) == 0 || err_set(e, ERR_SERVICE, "standard output: cannot write the page");
    }
    if (!file_write_atomic(path, page, e)) return false;
    printf("%s: %sB, with the search trees of %d of %d problems\n", path,
           format_count(size, (double)page.len), facts->n_trees, facts->n_problems);
    return true;
}

static bool print_html(const struct report *r, const struct html_extras *extras,
                       const struct report_values *v, struct err *e) {
    struct buf page = {0};
    struct html_facts facts;
    struct browse *b = browse_open(r, e);
    if (!b) return false;
    const int n_picked = browse_pick(b, (int)v->n_trees, v->problem);
    bool ok = !v->problem || n_picked > 0 ||
              err_set(e, ERR_INPUT, "--problem %s: no run has a problem of that name", v->problem);
    ok = ok && html_report(r, extras, b, &page, &facts, e) && write_page(v->html, buf_str(&page), &facts, e);
    browse_close(b);
    buf_free(&page);
    return ok;
}

static bool check_values(const struct report_values *v, int n_runs, struct err *e) {
    if (v->json && v->jsonl)
        return err_set(e, ERR_INPUT, "--json is the report, --jsonl the records: give one of them");
    if (v->jsonl && n_runs > 1)
        return err_set(e, ERR_INPUT, "--jsonl exports one run: give one, not %d", n_runs);
    if (v->html && (v->json || v->jsonl))
        return err_set(e, ERR_INPUT, "--html is a page, --json and --jsonl are lines: give one of them");
    if (v->frontier && strcmp(v->frontier, "level") != 0 && strcmp(v->frontier, "difficulty") != 0)
        return err_set(e, ERR_INPUT, "--frontier '%.40s': expected level or difficulty", v->frontier);
    if (!v->html && v->problem)
        return err_set(e, ERR_INPUT, "--problem names the tree for a page: give --html FILE with it");
    return true;
}

static bool make_reliabilities(struct reliabilities *out, const struct report *r,
                               const struct report_values *v, struct err *e) {
    struct buf text = {0};
    *out = (struct reliabilities){0};
    const bool ok = (!v->plan || file_read(v->plan, PLAN_BYTES_MAX, &text, e)) &&
                    reliabilities_make(out, r, v->plan ? buf_cstr(&text) : NULL,
                                       v->plan ? v->plan : "the plan of an adaptive run", e);
    buf_free(&text);
    return ok;
}

/* The report in the form that was asked for. */
static bool print_report(const struct report *r, const struct report_values *v, struct err *e) {
    struct offers offers = {0};
    struct reliabilities reliabilities = {0};
    struct frontier frontier = {0};
    const struct html_extras extras = {v->at ? &offers : NULL, &reliabilities};
    bool ok = (!v->at || make_offers(&offers, r, v, e)) && make_reliabilities(&reliabilities, r, v, e);
    ok = ok && (!v->frontier || frontier_make(&frontier, r, strcmp(v->frontier, "difficulty") == 0, e));
    if (ok && v->html) {
        ok = print_html(r, &extras, v, e);
    } else if (ok && v->json) {
        print_json(r, &extras, v->frontier ? &frontier : NULL);
    } else if (ok) {
        if (v->frontier)
            show_frontier(&frontier);
        else
            show_report(r, true);
        if (v->at) show_offers(r, &offers);
        for (size_t i = 0; i < reliabilities.n; i++) show_reliability(r, &reliabilities.items[i]);
    }
    offers_fini(&offers);
    frontier_fini(&frontier);
    reliabilities_fini(&reliabilities);
    return ok;
}

static int report_run(const struct command_line *line, struct err *e) {
    const struct report_values *v = line->values;
    enum aggregate a = REPORT_AGGREGATE_OF_RUN;
    if (v->aggregate && !aggregate_parse(v->aggregate, &a, e)) return -1;
    if (!check_values(v, line->n_args, e)) return -1;
    if (v->jsonl) return export_run(line->args[0], e);
    struct report *r = report_new();
    bool ok = true;
    r->prices = v->prices;
    for (int i = 0; ok && i < line->n_args; i++) ok = report_add(r, line->args[i], a, e);
    if (ok) {
        report_compare(r);
        ok = print_report(r, v, e);
    }
    report_free(r);
    return ok ? 0 : -1;
}

static const struct option report_options[] = {
    {"html", 0, OPTION_TEXT, offsetof(struct report_values, html), "FILE",
     "the report as one self-contained page, with search trees to browse (-: to standard output)", 0, 0},
    {"trees", 0, OPTION_COUNT, offsetof(struct report_values, n_trees), "N",
     "--html: the trees of so many problems: all levels, wrong ones first (default 50); the page stays below "
     "16 MB",
     0, 1 << 20},
    {"problem", 0, OPTION_TEXT, offsetof(struct report_values, problem), "ID",
     "--html: the tree of this problem alone", 0, 0},
    {"aggregate", 0, OPTION_TEXT, offsetof(struct report_values, aggregate), "RULE",
     "one number from step rewards: last, min, prod, mean (default the run's own)", 0, 0},
    {"frontier", 0, OPTION_TEXT, offsetof(struct report_values, frontier), "BY",
     "accuracy against tokens and FLOP instead, a line for each method over all runs, by level (the task's) "
     "or difficulty (fifths by the share of right samples)",
     0, 0},
    {"at", 0, OPTION_TEXT, offsetof(struct report_values, at), "K,...",
     "what K samples of each run buy, side by side: solved, cost, cost for each solved (0: all it has)", 0,
     0},
    {"prices", 0, OPTION_TEXT, offsetof(struct report_values, prices), "PRICES",
     "what tokens cost, as for solve and bench, or a JSON file by models (docs/costs.md): then costs are in "
     "dollars, too (default: those of a run with a budget in money)",
     0, 0},
    {"plan", 0, OPTION_TEXT, offsetof(struct report_values, plan), "FILE",
     "how well this plan predicts the difficulty of the problems of these runs (default the plan of an "
     "adaptive run among them)",
     0, 0},
    {"json", 0, OPTION_FLAG, offsetof(struct report_values, json), NULL,
     "the report as one JSON object (docs/json.md)", 0, 0},
    {"jsonl", 0, OPTION_FLAG, offsetof(struct report_values, jsonl), NULL,
     "the records of one run as JSON lines (docs/records.md)", 0, 0},
};

static const char *const report_examples[] = {
    "brood report small.brood large-greedy.brood",
    "the curves of the small policy beside the larger one's greedy answers",
    "brood report small.brood beam.brood --html report.html",
    "the same with drawings, and every step of 50 problems to look at in a browser",
    "brood report small.brood large.brood --at 5,1 --prices prices.json",
    "5 samples of the small policy against 1 of the large one: solved, tokens, FLOP and money",
    "brood report --jsonl small.brood | gzip > small.jsonl.gz",
    "everything that was recorded",
    NULL,
};

const struct command command_report = {
    .name = "report",
    .arguments = "RUN...",
    .summary = "what recorded runs show: accuracy against samples, by level, costs",
    .about = "RUN is a file that 'brood bench' wrote; a run that is still going on may be looked at. "
             "Accuracy at k samples is the mean over subsets of k of the recorded solutions; coverage is the "
             "unbiased pass@k. Runs of one sample a problem, such as greedy ones, become rows of one table "
             "and lines in the charts of the others.",
    .examples = report_examples,
    .options = report_options,
    .n_options = (int)ARRAY_LEN(report_options),
    .n_args_min = 1,
    .n_args_max = RUNS_MAX,
    .defaults = &(const struct report_values){.n_trees = 50},
    .values_bytes = sizeof(struct report_values),
    .run = report_run,
};
