/* solve.c - brood solve: one problem in, an answer out. Built on brood.h alone, but for the options'
 * spelling. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "brood.h"
#include "cli/commands.h"
#include "base/format.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/search_options.h"
#include "run/answer_json.h"

enum { PROBLEM_BYTES_MAX = 1 << 20, OTHERS_SHOWN = 5 };

struct solve_values {
    struct search_values search;
    const char *file;
    bool json, all;
};

/* ---- the problem ---- */

static bool check_text(struct str text, const char *where, struct err *e) {
    uint32_t scalar;
    int n;
    if (str_trim(text).len == 0)
        return err_set(e, ERR_INPUT, "%s: the problem is empty: give its text", where);
    for (size_t at = 0; at < text.len; at += (size_t)n) {
        n = str_utf8(text, at, &scalar);
        if (n < 1 || scalar == 0)
            return err_set(e, ERR_INPUT, "%s: byte %zu is not UTF-8 text: convert it first (iconv -t UTF-8)",
                           where, at + 1);
    }
    return true;
}

/* Owned. */
static char *read_problem(const struct command_line *line, const struct solve_values *v, struct err *e) {
    const bool from_stdin = line->n_args == 1 && strcmp(line->args[0], "-") == 0;
    if (v->file && line->n_args > 0) {
        err_set(e, ERR_INPUT, "a problem and --file %s: give one of them", v->file);
        return NULL;
    }
    if (!v->file && line->n_args == 0) {
        err_set(e, ERR_INPUT, "no problem: give its text in quotes, - for standard input, or --file F");
        return NULL;
    }
    if (!v->file && !from_stdin) {
        const struct str text = str_from(line->args[0]);
        return check_text(text, "PROBLEM", e) ? str_dup(str_trim(text)) : NULL;
    }
    struct buf text = {0};
    char *problem = NULL;
    if (file_read(from_stdin ? "-" : v->file, PROBLEM_BYTES_MAX, &text, e) &&
        check_text(buf_str(&text), from_stdin ? "standard input" : v->file, e)) {
        problem = str_dup(str_trim(buf_str(&text)));
    }
    buf_free(&text);
    return problem;
}

/* ---- while it runs ---- */

struct watch {
    struct progress progress;
    int n_nodes, n_ended;
    double n_tokens, n_retried;
};

static int on_event(void *ctx, const struct brood_event *event) {
    struct watch *w = ctx;
    if (event->kind == BROOD_EVENT_NODE) {
        w->n_nodes++;
        w->n_ended += event->ended;
        w->n_tokens += event->n_tokens;
    }
    if (event->kind == BROOD_EVENT_RETRY) w->n_retried = event->n_retried;
    if (progress_due(&w->progress)) {
        char number[FORMAT_MAX], text[160];
        int n = snprintf(text, sizeof text, "%d solutions, %s tokens", w->n_ended,
                         format_count(number, w->n_tokens));
        if (w->n_retried > 0)
            snprintf(text + n, sizeof text - (size_t)n, ", %s requests asked again",
                     format_count(number, w->n_retried));
        progress_show(&w->progress, text);
    }
    return 0;
}

static void cancel(void *brood) {
    brood_cancel(brood);
}

/* ---- printing ---- */

static const char *or_none(const char *answer) {
    return answer ? answer : "(none)";
}

/* A model's text: what is no UTF-8 or would steer the terminal is shown as U+FFFD. */
static void print_indented(const char *text, int indent) {
    const struct str s = str_from(text);
    uint32_t c;
    for (size_t at = 0; at < s.len;) {
        const int n = str_utf8(s, at, &c);
        const bool shown =
            n > 0 && ((c >= ' ' && c != 0x7f && !(c >= 0x80 && c < 0xa0)) || c == '\n' || c == '\t');
        if (shown)
            fwrite(s.ptr + at, 1, (size_t)n, stdout);
        else
            fputs("\xef\xbf\xbd", stdout);
        if (s.ptr[at] == '\n') printf("%*s", indent, "");
        at += n > 0 ? (size_t)n : 1;
    }
    putchar('\n');
}

static void print_steps(const struct brood_solution *x) {
    for (int i = 0; i < x->n_steps; i++) {
        if (i < x->n_rewards)
            printf("  %.3f  ", (double)x->rewards[i]);
        else
            printf("         ");
        print_indented(x->steps[i], 9);
    }
}

/* Solutions on which the verifier came to a verdict. */
static int count_decided(const struct brood_answer *a) {
    int n = 0;
    for (int i = 0; i < a->n_found; i++) n += a->solutions[i].verified >= 0;
    return n;
}

static bool by_verifier(const struct brood_answer *a) {
    return strcmp(a->select, "first-verified") == 0;
}

static const char *no_answer(const struct brood_answer *a) {
    if (a->n_found == 0) return "(no solution)";
    if (by_verifier(a) && a->chosen < 0)
        return count_decided(a) > 0 ? "(no answer: the verifier passed no solution)"
                                    : "(no answer: the verifier could decide on no solution)";
    return a->chosen >= 0 ? "(this solution marks no answer)" : "(no solution has an answer)";
}

static bool chose_by_confidence(const struct brood_answer *a) {
    return strncmp(a->select, "confident", strlen("confident")) == 0;
}

static void print_support(const struct brood_answer *a) {
    printf("\nsupport: %d of %d solutions", a->n_votes, a->n_solutions);
    if (by_verifier(a))
        printf("; %s\n", a->chosen >= 0 ? "the first that the verifier passed" : "the verifier passed none");
    else if (strcmp(a->select, "majority") == 0)
        printf("; chosen by majority, margin %.2f\n", a->margin);
    else if (chose_by_confidence(a))
        printf("; chosen by confidences (%s), sum %.3f, margin %.2f\n", a->select, a->score, a->margin);
    else
        printf("; chosen by %s rewards (%s), score %.3f, margin %.2f\n", a->select, a->aggregate, a->score,
               a->margin);
    if (a->chosen >= 0 && !a->solutions[a->chosen].complete)
        printf("no solution came to its end with an answer: this one was cut off (see --max-tokens, "
               "--budget)\n");
    for (int i = 1; i < a->n_classes && i <= OTHERS_SHOWN; i++) {
        const struct brood_class *c = &a->classes[i];
        printf("%s%s (%d", i == 1 ? "others: " : ", ", c->answer, c->n_votes);
        if (chose_by_confidence(a))
            printf(", confidences %.3f", c->score);
        else if (a->flops_reward > 0)
            printf(", rewards %.3f", c->score);
        printf(")");
    }
    if (a->n_classes > OTHERS_SHOWN + 1) printf(", and %d more", a->n_classes - 1 - OTHERS_SHOWN);
    if (a->n_classes > 1) putchar('\n');
}

/* What was spent on nothing that the answer rests on. */
static void print_waste(const struct brood_answer *a) {
    char x[FORMAT_MAX], y[FORMAT_MAX], z[FORMAT_MAX];
    const double flops = a->flops_policy + a->flops_reward;
    const struct brood_work *d = &a->pruned, *c = &a->cancelled, *r = &a->recomputed;
    if (d->tokens_generated > 0) {
        printf("of that for steps that led to no solution: %s tokens written, %s read",
               format_count(x, d->tokens_generated), format_count(y, d->tokens_read));
        if (flops > 0) printf(", %s %% of the FLOP", format_percent(z, d->flops / flops));
        putchar('\n');
    }
    if (c->tokens_generated + c->tokens_read + r->tokens_read > 0)
        printf("on top of that: %s tokens written in what was given up, %s read again\n",
               format_count(x, c->tokens_generated), format_count(y, c->tokens_read + r->tokens_read));
    if (a->n_guessed > 0)
        printf("written ahead: %.0f steps, %.0f of them were asked for\n", a->n_guessed, a->n_guesses_used);
    if (a->n_retried > 0)
        printf("asked again: %s request%s to servers, which carried %s tokens\n",
               format_count(x, a->n_retried), a->n_retried > 1 ? "s" : "",
               format_count(y, a->tokens_retried));
}

static void print_cost(const struct brood_answer *a) {
    char generated[FORMAT_MAX], read[FORMAT_MAX], policy[FORMAT_MAX], reward[FORMAT_MAX], seconds[FORMAT_MAX];
    printf("\ncost: %d solution%s, %s tokens written, %s read; %sFLOP by the policy", a->n_found,
           a->n_found == 1 ? "" : "s", format_count(generated, a->tokens_generated),
           format_count(read, a->tokens_read), format_count(policy, a->flops_policy));
    if (a->flops_reward > 0) printf(", %sFLOP by the reward model", format_count(reward, a->flops_reward));
    if (a->usd > 0) printf("; %s", format_dollars(generated, a->usd));
    printf("; %s\n", format_seconds(seconds, a->seconds));
    if (a->n_verdicts > 0)
        printf("verified: %.0f solutions, %.0f of them equal to others; %.0f executions, %s\n", a->n_verdicts,
               a->n_equal, a->n_executions, format_seconds(seconds, a->seconds_verifier));
    print_waste(a);
    if (a->n_failed > 0)
        printf("%d piece%s of work failed; the first: %s\n", a->n_failed, a->n_failed == 1 ? "" : "s",
               a->failure);
    if (a->ran_out)
        printf("the search ended early: %s (%s)\n", a->ended, a->ran_out);
    else if (strcmp(a->ended, "finished") != 0)
        printf("the search ended early: %s\n", a->ended);
}

static void print_all(const struct brood_answer *a) {
    for (int i = 0; i < a->n_found; i++) {
        const struct brood_solution *x = &a->solutions[i];
        printf("\n%s%s: answer %s, %d tokens, log-probability %.2f", i == a->chosen ? "* " : "", x->path,
               or_none(x->answer), x->n_tokens, x->logprob);
        if (x->n_rewards > 0) printf(", score %.3f", x->score);
        if (!isnan(x->confidence)) printf(", confidence %.3f", x->confidence);
        if (x->verified >= 0) printf(", %s by the verifier", x->verified ? "passed" : "rejected");
        printf("%s\n", x->complete ? "" : ", cut off");
        print_steps(x);
    }
}

static void print_answer(const struct brood_answer *a, bool all) {
    print_indented(a->answer ? a->answer : no_answer(a), 0);
    putchar('\n');
    if (a->chosen >= 0) print_steps(&a->solutions[a->chosen]);
    print_support(a);
    print_cost(a);
    if (all) print_all(a);
}

static void print_json(const struct brood_answer *a, const char *problem, const char *strategy) {
    json_t *o = answer_json(a, problem, strategy, true);
    char *line = json_line(o);
    printf("%s\n", line);
    free(line);
    json_decref(o);
}

/* ---- the command ---- */

static bool take_error(const struct brood_error *error, struct err *e) {
    const enum err_code code = error->status == 2     ? ERR_INPUT
                               : error->status == 130 ? ERR_CANCELLED
                                                      : ERR_SERVICE;
    return err_set(e, code, "%s", error->message);
}

/* The options but for the problem and what is watched; the strategy's text is kept in *strategy. */
static bool read_request(const struct solve_values *v, struct buf *strategy, struct brood_request *out,
                         struct err *e) {
    struct search_spec spec;
    struct budget budget;
    struct prices prices;
    enum coordinator_speculation speculate;
    if (!search_options_spec(&v->search, &spec, e) ||
        !search_options_budget(&v->search, &budget, &prices, e) ||
        !search_options_speculate(&v->search, &speculate, e)) {
        return false;
    }
    search_spec_print(&spec, strategy);
    *out = (struct brood_request){.strategy = buf_cstr(strategy),
                                  .select = v->search.select,
                                  .aggregate = v->search.aggregate,
                                  .confidence = v->search.confidence,
                                  .seed = v->search.seed,
                                  .n_tokens_max = (int)v->search.n_tokens_max,
                                  .budget_samples = budget.samples,
                                  .budget_tokens = budget.tokens,
                                  .budget_flops = budget.flops,
                                  .budget_seconds = budget.seconds,
                                  .budget_usd = budget.usd,
                                  .usd_policy_input = prices.policy_input,
                                  .usd_policy_output = prices.policy_output,
                                  .usd_reward_input = prices.reward_input,
                                  .speculate = (enum brood_speculate)speculate};
    return true;
}

static struct brood_answer *search(const struct solve_values *v, struct brood_request *request,
                                   struct err *e) {
    struct brood_error error;
    const char *weights, *reward_weights;
    search_options_weights(&v->search, &weights, &reward_weights);
    const struct brood_options options = {.policy = v->search.policy,
                                          .revise_text = v->search.lead_revise,
                                          .wait_text = v->search.lead_wait,
                                          .answer_text = v->search.lead_answer,
                                          .reward = v->search.reward,
                                          .verify = v->search.verify,
                                          .system = v->search.system,
                                          .chat = v->search.chat,
                                          .weights = weights,
                                          .reward_weights = reward_weights,
                                          .kv = v->search.kv,
                                          .n_threads = (int)v->search.n_threads};
    struct brood *b = brood_open(&options, &error);
    if (!b) {
        take_error(&error, e);
        return NULL;
    }
    struct watch watch = {.progress = progress_begin()};
    request->on_event = on_event;
    request->ctx = &watch;
    interrupt_catch(cancel, b);
    struct brood_answer *a = brood_solve(b, request, &error);
    interrupt_release();
    progress_end(&watch.progress);
    brood_close(b);
    if (!a) take_error(&error, e);
    return a;
}

/* A verifier that decided nothing has failed for good. */
static bool check_verdicts(const struct brood_answer *a, struct err *e) {
    return !by_verifier(a) || a->n_verdicts == 0 || count_decided(a) > 0 ||
           err_set(e, ERR_SERVICE, "the verifier could decide on none of %d solutions: %s", a->n_found,
                   a->failure);
}

static int solve_run(const struct command_line *line, struct err *e) {
    const struct solve_values *v = line->values;
    struct brood_request request;
    struct buf strategy = {0};
    int status = -1;
    char *problem = read_problem(line, v, e), *plan = NULL;
    if (problem && search_options_plan(&v->search, &plan, e) && read_request(v, &strategy, &request, e)) {
        request.problem = problem;
        request.plan = plan;
        struct brood_answer *a = search(v, &request, e);
        if (a && v->json)
            print_json(a, problem, buf_cstr(&strategy));
        else if (a)
            print_answer(a, v->all);
        if (a) status = strcmp(a->ended, "stopped") == 0 ? INTERRUPT_STATUS : check_verdicts(a, e) ? 0 : -1;
        brood_answer_free(a);
    }
    buf_free(&strategy);
    free(problem);
    free(plan);
    return status;
}

static const struct option solve_options[] = {
    {"file", 0, OPTION_TEXT, offsetof(struct solve_values, file), "F", "read the problem from a file", 0, 0},
    {"all", 'v', OPTION_FLAG, offsetof(struct solve_values, all), NULL,
     "every solution, not only the chosen one", 0, 0},
    {"json", 0, OPTION_FLAG, offsetof(struct solve_values, json), NULL,
     "one JSON object on standard output (docs/json.md)", 0, 0},
};

static const char *const solve_examples[] = {
    "brood solve 'Ida has 25 nuts. Now Ida has 8 times as many. Ida keeps half of them. How many nuts does "
    "Ida have now?'",
    "with the bundled models, 16 samples weighted by the reward model",
    "echo 'Tom has 12 jars. Tom sells 5 of them. How many jars does Tom have now?' | brood solve -n 64 "
    "--json -",
    "64 samples, for a program to read",
    "brood solve --policy lab:large --strategy greedy --file problem.txt",
    "one solution by the larger policy",
    "brood solve --budget seconds=2,tokens=20000 -n 256 --file problem.txt",
    "as many of 256 samples as the budget allows",
    "brood solve --strategy adaptive:n=64 --file problem.txt",
    "looks at four samples first: easy problems end there, hard ones go on with a search over steps",
    NULL,
};

const struct command command_solve = {
    .name = "solve",
    .arguments = "[PROBLEM | - | --file F]",
    .summary = "answer one problem: the answer, its support, and what it cost",
    .about = "The answer comes first, then the chosen solution step by step, each step with its reward if "
             "there is a reward model, then how much speaks for the answer and what it cost. Ctrl-C ends the "
             "search with the best answer so far, and with exit status 130.",
    .examples = solve_examples,
    .options = solve_options,
    .n_options = (int)ARRAY_LEN(solve_options),
    .shared = search_options,
    .n_shared = SEARCH_OPTIONS,
    .n_args_max = 1,
    .lists_strategies = true,
    .defaults = &(const struct solve_values){.search = SEARCH_DEFAULTS},
    .values_bytes = sizeof(struct solve_values),
    .run = solve_run,
};
