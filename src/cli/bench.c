/* bench.c - brood bench: a run over a task, recorded and resumable. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer/answer.h"
#include "cli/commands.h"
#include "base/format.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/search_options.h"
#include "cli/show_report.h"
#include "run/run.h"
#include "store/store.h"

struct bench_values {
    struct search_values search;
    const char *run, *run_budget;
    uint64_t limit;
    bool lenient, json, signature;
};

/* ---- where the run is kept ---- */

/* Letters, digits, '.', '-' and '_' of the last part of a path or SPEC; '=' is left out, anything else
 * becomes '-'. */
static void add_name(struct buf *b, const char *text, const char *suffix) {
    const char *colon = strncmp(text, "lab:", 4) == 0 ? text + 4 : text;
    struct str s = str_from(colon);
    while (s.len > 1 && s.ptr[s.len - 1] == '/') s.len--;
    for (size_t i = s.len; i-- > 0;) {
        if (s.ptr[i] != '/' || i + 1 == s.len) continue;
        s = (struct str){s.ptr + i + 1, s.len - i - 1};
        break;
    }
    if (str_ends(s, str_from(suffix))) s.len -= strlen(suffix);
    if (b->len) buf_add_char(b, '-');
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        if (c != '=') buf_add_char(b, isalnum((unsigned char)c) || strchr("._-", c) ? c : '-');
    }
}

/* "story-first100-small-prm-sample-n64-seed0.brood" in the current folder. Owned. */
static char *default_path(const struct bench_values *v, const struct run_options *o) {
    struct buf path = {0}, strategy = {0};
    search_spec_print(&o->spec, &strategy);
    add_name(&path, o->task, ".jsonl");
    if (v->limit) buf_printf(&path, "-first%" PRIu64, v->limit);
    add_name(&path, o->policy, "");
    if (o->reward) add_name(&path, o->reward, "");
    if (o->verify) add_name(&path, o->verify, "");
    add_name(&path, buf_cstr(&strategy), "");
    buf_printf(&path, "-seed%" PRIu64 ".brood", o->seed);
    buf_free(&strategy);
    return buf_take(&path);
}

/* A word as a shell would read it back. */
static void print_word(FILE *out, const char *word) {
    if (word[0] &&
        word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%")] == 0) {
        fprintf(out, " %s", word);
        return;
    }
    fprintf(out, " '");
    for (; *word; word++) fprintf(out, *word == '\'' ? "'\\''" : "%c", *word);
    fputc('\'', out);
}

static void print_resume(const struct command_line *line) {
    fprintf(stderr, "brood: to go on from there: brood bench");
    for (int i = 0; i < line->argc; i++) print_word(stderr, line->argv[i]);
    fputc('\n', stderr);
}

/* ---- while it runs ---- */

static void stop(void *run) {
    run_stop(run);
}

static void show_progress(struct progress *progress, const struct run_progress *p) {
    struct buf text = {0};
    char number[FORMAT_MAX];
    const int n_done_now = p->n_done - p->n_done_before;
    buf_printf(&text, "%d of %d problems", p->n_done, p->n_problems);
    if (p->n_graded > 0)
        buf_printf(&text, ", %s %% right", format_percent(number, (double)p->n_right / p->n_graded));
    if (p->seconds > 0)
        buf_printf(&text, ", %s tokens/s",
                   format_count(number, (p->tokens_generated + p->tokens_read) / p->seconds));
    if (n_done_now > 0)
        buf_printf(&text, ", %s left",
                   format_seconds(number, p->seconds / n_done_now * (p->n_problems - p->n_done)));
    if (p->verification.n_verdicts > 0)
        buf_printf(&text, ", %s verdicts", format_count(number, p->verification.n_verdicts));
    if (p->n_failed > 0) buf_printf(&text, ", %d failed", p->n_failed);
    if (p->waste.n_retried > 0)
        buf_printf(&text, ", %s requests asked again", format_count(number, p->waste.n_retried));
    progress_show(progress, buf_cstr(&text));
    buf_free(&text);
}

static void print_verification(const struct verification *v) {
    char verdicts[FORMAT_MAX], equal[FORMAT_MAX], executions[FORMAT_MAX], seconds[FORMAT_MAX];
    if (v->n_verdicts <= 0) return;
    fprintf(stderr, "brood: %s verdicts, %s of them of equal solutions; %s executions took %s\n",
            format_count(verdicts, v->n_verdicts), format_count(equal, v->n_equal),
            format_count(executions, v->n_executions), format_seconds(seconds, v->seconds));
}

static bool carry_on(struct run *r, int *n_problems, struct err *e) {
    struct progress progress = progress_begin();
    struct run_progress p = {0};
    bool ok;
    interrupt_catch(stop, r);
    do {
        ok = run_step(r, &p, e);
        if (ok && !p.finished && progress_due(&progress)) show_progress(&progress, &p);
    } while (ok && !p.finished);
    interrupt_release();
    progress_end(&progress);
    *n_problems = p.n_problems;
    if (ok && p.n_failed > 0)
        fprintf(stderr, "brood: %d piece%s of work failed; the first: %s\n", p.n_failed,
                p.n_failed == 1 ? "" : "s", run_failure(r) ? run_failure(r) : "no reason given");
    if (ok && p.waste.n_retried > 0) {
        char requests[FORMAT_MAX], tokens[FORMAT_MAX];
        fprintf(stderr, "brood: %s requests to servers were asked again, which carried %s tokens\n",
                format_count(requests, p.waste.n_retried), format_count(tokens, p.waste.tokens_retried));
    }
    if (ok) print_verification(&p.verification);
    if (ok && p.n_guessed > 0)
        fprintf(stderr, "brood: %.0f steps were written ahead, %.0f of them were asked for\n", p.n_guessed,
                p.n_guesses_used);
    if (ok && p.n_cut_short > 0)
        fprintf(stderr, "brood: %d problem%s ended early, by budget or deadline, with what there was\n",
                p.n_cut_short, p.n_cut_short == 1 ? "" : "s");
    if (ok && p.out_of_time)
        fprintf(stderr, "brood: the run's seconds are over: %d of %d problems are done\n", p.n_done,
                p.n_problems);
    return ok;
}

/* ---- what it came to ---- */

static bool print_result(const struct bench_values *v, struct run *r, struct err *e) {
    if (v->signature) {
        uint64_t signature;
        if (!run_signature(r, &signature, e)) return false;
        printf("%016" PRIx64 "\n", signature);
        return true;
    }
    struct report *report = report_new();
    const bool ok = report_add_store(report, run_store(r), REPORT_AGGREGATE_OF_RUN, e);
    if (ok && v->json) {
        json_t *o = report_json(report);
        char *text = json_line(o);
        printf("%s\n", text);
        free(text);
        json_decref(o);
    } else if (ok) {
        show_report(report, false);
    }
    report_free(report);
    return ok;
}

struct decided {
    int64_t n; /* verdicts up to the first that decides */
    bool any;
    char why[300];
};

static bool on_verdict(void *ctx, const struct store_verdict *v) {
    struct decided *d = ctx;
    d->n++;
    d->any = v->passed >= 0;
    if (!d->why[0]) snprintf(d->why, sizeof d->why, "%s", v->feedback);
    return !d->any;
}

/* A verifier that decided nothing in the whole run has failed for good; the records stay. */
static bool check_verdicts(struct run *r, int n_problems, struct err *e) {
    struct decided d = {0};
    for (int i = 0; i < n_problems && !d.any; i++)
        if (!store_each_verdict(run_store(r), i, on_verdict, &d, e)) return false;
    return d.any || d.n == 0 ||
           err_set(e, ERR_SERVICE, "the verifier could decide on none of %lld solutions: %s", (long long)d.n,
                   d.why);
}

/* ---- the command ---- */

/* A fixed tiny run on the bundled models: whatever changes a token, a score or a choice changes its hash. */
static const struct run_options signature_run = {.task = "lab:story",
                                                 .policy = "lab:small",
                                                 .reward = "lab:prm",
                                                 .store = ":memory:",
                                                 .seed = 1,
                                                 .n_problems = 8};

static bool read_run_budget(const struct bench_values *v, struct run_options *o, struct err *e) {
    if (v->run_budget && !budget_parse(&o->run_budget, v->run_budget, e)) return err_wrap(e, "--run-budget");
    return o->run_budget.usd <= 0 || v->search.prices ||
           err_set(e, ERR_INPUT, "--run-budget usd=%g: say with --prices what tokens cost",
                   o->run_budget.usd);
}

/* *plan is what they borrow; free it in any case. */
static bool read_options(const struct command_line *line, struct run_options *o, char **plan, struct err *e) {
    const struct bench_values *v = line->values;
    o->select = SELECT_RULES;
    o->aggregate = AGGREGATES;
    o->n_threads = (int)v->search.n_threads;
    if (v->signature) {
        if (line->n_args > 0)
            return err_set(e, ERR_INPUT, "--signature has a task of its own: leave TASK out");
        const int n_threads = o->n_threads;
        *o = signature_run;
        o->select = SELECT_WEIGHTED;
        o->aggregate = AGGREGATE_LAST;
        o->n_threads = n_threads;
        return search_spec_parse(&o->spec, "sample:n=4,temperature=0.8,top_p=1,min_p=0,top_k=0", e);
    }
    if (line->n_args == 0)
        return err_set(e, ERR_INPUT,
                       "no task: give a file of problems or a bundled one, as in: brood bench lab:story");
    o->task = line->args[0];
    o->seed = v->search.seed;
    o->n_problems = v->limit;
    o->n_tokens_max = (int)v->search.n_tokens_max;
    o->lenient = v->lenient;
    o->system = v->search.system;
    o->chat = v->search.chat;
    o->verify = v->search.verify;
    o->lead_revise = v->search.lead_revise;
    o->lead_wait = v->search.lead_wait;
    o->lead_answer = v->search.lead_answer;
    search_options_weights(&v->search, &o->weights, &o->reward_weights);
    o->kv = v->search.kv;
    search_options_models(&v->search, &o->policy, &o->reward);
    if (!search_options_plan(&v->search, plan, e)) return false;
    o->plan = *plan;
    if (v->search.select && !select_rule_parse(v->search.select, &o->select, e))
        return err_wrap(e, "--select");
    if (v->search.aggregate && !aggregate_parse(v->search.aggregate, &o->aggregate, e))
        return err_wrap(e, "--aggregate");
    if (v->search.confidence && !select_confidence_parse(v->search.confidence, &o->confidence, e))
        return err_wrap(e, "--confidence");
    return search_options_spec(&v->search, &o->spec, e) &&
           search_options_budget(&v->search, &o->budget, &o->prices, e) && read_run_budget(v, o, e) &&
           search_options_speculate(&v->search, &o->speculate, e);
}

static int bench_run(const struct command_line *line, struct err *e) {
    const struct bench_values *v = line->values;
    struct run_options options = {0};
    char *plan = NULL; /* what options.plan borrows */
    if (!read_options(line, &options, &plan, e)) {
        free(plan);
        return -1;
    }
    char *path = v->signature ? NULL : v->run ? NULL : default_path(v, &options);
    if (!v->signature) options.store = path ? path : v->run;
    struct run *r = run_open(&options, e);
    bool ok = r != NULL, goes_on = true;
    int n_problems = 0;
    if (ok && path) fprintf(stderr, "brood: the run is kept in %s\n", path);
    ok = ok && carry_on(r, &n_problems, e) && print_result(v, r, e);
    if (ok && options.verify) ok = goes_on = check_verdicts(r, n_problems, e);
    struct err closing = {0};
    const bool was_open = r != NULL;
    if (!run_close(r, ok ? e : &closing)) ok = false;
    answer_thread_end();
    free(path);
    free(plan);
    if (ok) return 0;
    if (was_open && goes_on && !v->signature && e->code != ERR_INPUT) {
        fprintf(stderr, "brood: %s\n", e->msg);
        print_resume(line);
        return err_exit_status(e->code);
    }
    return -1;
}

static const struct option bench_options[] = {
    {"run", 0, OPTION_TEXT, offsetof(struct bench_values, run), "FILE",
     "where the run is kept (default a file in the current folder, named after task, models, strategy and "
     "seed)",
     0, 0},
    {"run-budget", 0, OPTION_TEXT, offsetof(struct bench_values, run_budget), "LIMITS",
     "the most that the whole run may cost, as --budget: what those before leave is shared out evenly", 0, 0},
    {"limit", 0, OPTION_COUNT, offsetof(struct bench_values, limit), "N", "only the first N problems", 1,
     1e9},
    {"lenient", 0, OPTION_FLAG, offsetof(struct bench_values, lenient), NULL,
     "grade by Qwen2.5-Math's rules, for reproducing published numbers", 0, 0},
    {"signature", 0, OPTION_FLAG, offsetof(struct bench_values, signature), NULL,
     "a fixed tiny run on the bundled models: prints one hash over every token, score and choice", 0, 0},
    {"json", 0, OPTION_FLAG, offsetof(struct bench_values, json), NULL,
     "the report as one JSON object (docs/json.md)", 0, 0},
};

static const char *const bench_examples[] = {
    "brood bench lab:story -n 64 --limit 200",
    "the bundled small policy with 64 samples a problem and the bundled reward model",
    "brood bench lab:story --policy lab:large --strategy greedy --run large.brood",
    "what the larger policy answers at once",
    "brood bench math500.jsonl --policy models/Llama-3.2-1B-Instruct -n 16 --select majority",
    "a task and a model of your own",
    "brood bench lab:story --plan plan.json -n 64",
    "64 samples' worth of compute a problem, spent as a plan says that 'brood plan' has fitted",
    NULL,
};

const struct command command_bench = {
    .name = "bench",
    .arguments = "TASK",
    .summary = "a run over a task: progress, accuracy, coverage, cost; resumes where it stopped",
    .about = "TASK is a file of JSON lines with a prompt and an answer each (GSM8K, MATH-500, AIME and AMC "
             "are read as they are published), or a bundled one: lab:story (test) or lab:story-calibration; "
             "lab:code, small Python functions with unit tests, with --policy lab:code --verify tests.\n"
             "Every sample is recorded as it is told. Ended by Ctrl-C or killed at any instant, the same "
             "command goes on where it stopped and arrives at the same records.",
    .examples = bench_examples,
    .options = bench_options,
    .n_options = (int)ARRAY_LEN(bench_options),
    .shared = search_options,
    .n_shared = SEARCH_OPTIONS,
    .n_args_max = 1,
    .lists_strategies = true,
    .defaults = &(const struct bench_values){.search = SEARCH_DEFAULTS},
    .values_bytes = sizeof(struct bench_values),
    .run = bench_run,
};
