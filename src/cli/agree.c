/* agree.c - brood agree: choosing among programs by tests that the policy wrote itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/format.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "cli/verify_values.h"
#include "select/agreement.h"
#include "run/task.h"
#include "select/coverage.h"
#include "verify/selftest.h"

static const uint64_t interval_key = 0x61677265652e6300U;

struct agree_values {
    const char *python, *isolation, *out;
    double seconds;
    uint64_t n_workers;
    bool json;
};

/* What a selection is worth on the problems whose samples are all graded. */
enum { ONE, BEHAVIOUR, AGREE, ANY, MEASURES };
static const char *const measure_names[MEASURES] = {"one sample", "most frequent behaviour",
                                                    "agreement with tests", "any sample"};
static const char *const measure_keys[MEASURES] = {"one", "behaviour", "agreement", "any"};

struct agree {
    struct humaneval h;
    struct selftests s;
    struct selftest_counts counts;
    double *right[MEASURES]; /* [n_graded] */
    int n_graded, n_attempted;
    struct buf lines;
};

static void stop(void *ctx) {
    UNUSED(ctx);
}

static bool on_progress(void *ctx, const struct selftest_counts *c) {
    struct progress *progress = ctx;
    if (progress_due(progress)) {
        char text[120];
        snprintf(text, sizeof text, "%lld of %lld programs against their tests", (long long)c->n_done,
                 (long long)c->n_jobs);
        progress_show(progress, text);
    }
    return !interrupt_came();
}

/* Share of right solutions among those of group 0: what one of them, drawn at random, is worth. */
static double group_right(const struct selftest_problem *p, const size_t *group_of) {
    int64_t n = 0, n_right = 0;
    for (size_t i = 0; i < p->n_programs; i++) {
        if (group_of[i] != 0) continue;
        n += p->programs[i].n_solutions;
        n_right += p->programs[i].n_right;
    }
    return (double)n_right / (double)n;
}

static void grade(struct agree *a, const struct selftest_problem *p, double behaviour, double agree) {
    int64_t n = 0, n_graded = 0, n_right = 0;
    for (size_t i = 0; i < p->n_programs; i++) {
        n += p->programs[i].n_solutions;
        n_graded += p->programs[i].n_graded;
        n_right += p->programs[i].n_right;
    }
    if (n_graded < n) return;
    a->right[ONE][a->n_graded] = (double)n_right / (double)n;
    a->right[BEHAVIOUR][a->n_graded] = behaviour;
    a->right[AGREE][a->n_graded] = agree;
    a->right[ANY][a->n_graded++] = n_right > 0;
}

static void choose(struct agree *a, size_t i) {
    const struct selftest_problem *p = &a->s.problems[i];
    int64_t *n_solutions = mem_zalloc(p->n_programs, sizeof *n_solutions);
    size_t *group_of = mem_zalloc(p->n_programs, sizeof *group_of), n_groups;
    for (size_t j = 0; j < p->n_programs; j++) n_solutions[j] = p->programs[j].n_solutions;
    free(agreement_find(AGREEMENT_MAJORITY, p->passed, n_solutions, p->n_programs, p->n_copies, p->n_tests,
                        group_of, &n_groups));
    const double behaviour = group_right(p, group_of);
    struct agreement_group *groups = agreement_find(AGREEMENT_DUAL, p->passed, n_solutions, p->n_programs,
                                                    p->n_copies, p->n_tests, group_of, &n_groups);
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:f, s:I}", "task_id", a->h.problems[i].task_id, "completion",
                  p->programs[groups[0].chosen].text, "solutions", (json_int_t)groups[0].n_solutions, "tests",
                  (json_int_t)groups[0].n_tests, "score", groups[0].score, "groups", (json_int_t)n_groups);
    ASSERT(o);
    char *line = json_line(o);
    buf_printf(&a->lines, "%s\n", line);
    free(line);
    json_decref(o);
    a->n_attempted++;
    grade(a, p, behaviour, group_right(p, group_of));
    free(groups);
    free(group_of);
    free(n_solutions);
}

static void print_json(const struct agree *a, const char *out) {
    json_t *right = json_object();
    for (int m = 0; m < MEASURES && a->n_graded > 0; m++) {
        const struct interval at = coverage_interval(a->right[m], a->n_graded, interval_key);
        json_object_set_new(right, measure_keys[m],
                            json_pack("{s:f, s:[f, f]}", "mean", at.mean, "interval", at.low, at.high));
    }
    json_t *o = json_pack("{s:s, s:i, s:i, s:I, s:I, s:I, s:f, s:o}", "choices", out, "problems",
                          a->n_attempted, "graded", a->n_graded, "programs", (json_int_t)a->counts.n_programs,
                          "tests", (json_int_t)a->counts.n_tests, "broken", (json_int_t)a->counts.n_broken,
                          "cpu_seconds", a->counts.cpu_seconds, "right", right);
    ASSERT(o);
    char *text = json_line(o);
    printf("%s\n", text);
    free(text);
    json_decref(o);
}

static void print_report(const struct agree *a, const char *out) {
    char cpu[FORMAT_MAX];
    struct table t;
    printf("%lld different programs and %lld different tests of %d problems\n",
           (long long)a->counts.n_programs, (long long)a->counts.n_tests, a->n_attempted);
    if (a->n_graded > 0) {
        printf(
            "right, in %%, on the %d problems whose samples are graded; [95 %% interval over problems]\n\n",
            a->n_graded);
        table_init(&t, 4);
        table_cell(&t, "chosen by");
        table_cell(&t, "right");
        table_cell(&t, "%s", "");
        table_cell(&t, "over one sample");
        for (int m = 0; m < MEASURES; m++) {
            const struct interval at = coverage_interval(a->right[m], a->n_graded, interval_key);
            const struct interval gain =
                coverage_difference(a->right[m], a->right[ONE], a->n_graded, interval_key);
            table_cell(&t, "%s", measure_names[m]);
            table_cell(&t, "%.1f", 100 * at.mean);
            table_cell(&t, "[%.1f, %.1f]", 100 * at.low, 100 * at.high);
            if (m == ONE)
                table_cell(&t, "%s", "");
            else
                table_cell(&t, "%+.1f [%+.1f, %+.1f]", 100 * gain.mean, 100 * gain.low, 100 * gain.high);
        }
        table_print(&t, stdout);
        printf("\n");
    }
    printf("%s CPU time of programs; %lld times one ended or ran out of time under its tests\nchoices: %s\n",
           format_seconds(cpu, a->counts.cpu_seconds), (long long)a->counts.n_broken, out);
}

static bool execute(const struct agree_values *values, struct selftest_way *way, struct agree *a,
                    struct err *e) {
    struct verify_options options = {
        .python = values->python, .highest = VERIFY_NAMESPACES, .n_workers = (int)values->n_workers};
    if (!verify_parse_isolation(values->isolation, &options.least, e)) return false;
    way->limits = verify_limits_default;
    way->limits.cpu_seconds = values->seconds;
    way->limits.wall_seconds = 5 + 5 * values->seconds;
    struct verify *v = verify_open(&options, e);
    if (!v) return false;
    struct progress progress = progress_begin();
    way->on_progress = on_progress;
    way->ctx = &progress;
    interrupt_catch(stop, NULL);
    const bool ok = selftests_run(&a->s, v, way, &a->counts, e);
    interrupt_release();
    progress_end(&progress);
    way->ctx = NULL;
    verify_close(v);
    return ok;
}

static int agree_run(const struct command_line *line, struct err *e) {
    const struct agree_values *values = line->values;
    struct agree a = {0};
    struct buf path = {0};
    char *task = task_path(line->args[0], e);
    const bool read = task && humaneval_read(&a.h, task, NULL, e);
    free(task);
    if (!read) return -1;
    selftests_init(&a.s, &a.h);
    for (int m = 0; m < MEASURES; m++) a.right[m] = mem_zalloc(a.h.n_problems, sizeof *a.right[m]);
    buf_printf(&path, "%s_choices.jsonl", line->args[1]);
    const char *out = values->out ? values->out : buf_cstr(&path);
    struct selftest_way way = {.kept = out};
    bool ok = selftests_read_samples(&a.s, line->args[1], e) &&
              selftests_read_tests(&a.s, line->args[2], e) && execute(values, &way, &a, e);
    for (size_t i = 0; ok && i < a.h.n_problems; i++)
        if (a.s.problems[i].n_programs > 0) choose(&a, i);
    ok = ok && file_write_atomic(out, buf_str(&a.lines), e);
    if (ok) selftests_done(&way);
    if (ok && values->json) print_json(&a, out);
    if (ok && !values->json) print_report(&a, out);
    for (int m = 0; m < MEASURES; m++) free(a.right[m]);
    buf_free(&a.lines);
    buf_free(&path);
    selftests_fini(&a.s);
    humaneval_fini(&a.h);
    return ok ? 0 : -1;
}

static const struct option agree_options[] = {
    {"out", 'o', OPTION_TEXT, offsetof(struct agree_values, out), "FILE",
     "where the choices go, one a problem (default SAMPLES.jsonl_choices.jsonl)", 0, 0},
    {"seconds", 0, OPTION_REAL, offsetof(struct agree_values, seconds), "S",
     "CPU time of a program for all its tests, five times as much and 5 s more by the clock (default 1); "
     "what takes longer is tried with half of them",
     0.01, 3600},
    {"isolation", 0, OPTION_TEXT, offsetof(struct agree_values, isolation), "LEVEL",
     "refuse to run below: namespaces (the default), or filtered: seccomp and Landlock are enough", 0, 0},
    {"workers", 0, OPTION_COUNT, offsetof(struct agree_values, n_workers), "N",
     "programs at once (default one a core)", 1, 64},
    {"python", 0, OPTION_TEXT, offsetof(struct agree_values, python), "PROGRAM",
     "the Python that runs them (default python3)", 0, 0},
    {"json", 0, OPTION_FLAG, offsetof(struct agree_values, json), NULL, "one JSON object (docs/json.md)", 0,
     0},
};

static const char *const agree_examples[] = {
    "brood agree HumanEval.jsonl samples.jsonl tests.jsonl",
    "writes samples.jsonl_choices.jsonl: a program a problem, by agreement with tests of the policy's own",
    "brood verify HumanEval.jsonl samples.jsonl && brood agree HumanEval.jsonl samples.jsonl_results.jsonl "
    "tests.jsonl",
    "the same, and what the choices are worth beside one sample and all",
    NULL,
};

const struct command command_agree = {
    .name = "agree",
    .arguments = "TASK SAMPLES.jsonl TESTS.jsonl",
    .summary = "choose among programs by tests that the policy wrote itself",
    .about =
        "CodeT's dual execution agreement: runs every program of a problem against every test that the "
        "policy wrote for it, puts programs that pass the same tests together, and chooses from the group "
        "with the highest root of its solutions times its tests. TASK is HumanEval's; its own tests are not "
        "looked at. SAMPLES are lines of task_id and completion (or completions), TESTS of task_id and "
        "tests, a list of assert statements. Where samples say whether they passed, as 'brood verify' writes "
        "them, the choices are graded. Programs run in the sandbox of 'brood verify'. What each passes is "
        "kept in FILE.part beside the choices: killed at any moment, the same command goes on where it "
        "stopped.",
    .examples = agree_examples,
    .options = agree_options,
    .n_options = (int)ARRAY_LEN(agree_options),
    .n_args_min = 3,
    .n_args_max = 3,
    .defaults = &(const struct agree_values){.isolation = "namespaces", .seconds = 1},
    .values_bytes = sizeof(struct agree_values),
    .run = agree_run,
};
