/* verify.c - brood verify: existing samples against unit tests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "base/format.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "run/task.h"
#include "select/coverage.h"
#include "cli/verify_values.h"
#include "verify/humaneval.h"
#include "verify/repository.h"

enum { N_KS = 3 };
static const int64_t ks[N_KS] = {1, 10, 100};
static const uint64_t interval_key = 0x7665726966792e6bU;

static void stop(void *ctx) {
    UNUSED(ctx);
}

static bool on_progress(void *ctx, const struct humaneval_counts *c) {
    struct progress *progress = ctx;
    if (progress_due(progress)) {
        char text[120];
        snprintf(text, sizeof text, "%lld of %lld different programs, %lld second tries",
                 (long long)c->n_done, (long long)c->n_distinct, (long long)c->n_second_tries);
        progress_show(progress, text);
    }
    return !interrupt_came();
}

bool verify_parse_isolation(const char *name, enum verify_level *out, struct err *e) {
    for (int i = 0; i < VERIFY_LEVELS; i++) {
        if (strcmp(name, verify_level_names[i]) != 0) continue;
        *out = (enum verify_level)i;
        return true;
    }
    return err_set(e, ERR_INPUT, "--isolation '%.60s': expected namespaces or filtered", name);
}

/* pass@k over the problems that have samples; false if one of them has fewer than k. */
static bool pass_at(const struct humaneval *h, int64_t k, struct interval *out) {
    double *x = malloc((h->n_problems + 1) * sizeof *x);
    int n = 0;
    bool ok = x != NULL;
    for (size_t i = 0; ok && i < h->n_problems; i++) {
        const struct humaneval_problem *p = &h->problems[i];
        if (p->n_samples == 0) continue;
        ok = p->n_samples >= k;
        if (ok) x[n++] = coverage_pass_at_k(p->n_samples, p->n_passed, k);
    }
    if (ok) *out = coverage_interval(x, n, interval_key);
    free(x);
    return ok;
}

static int count_attempted(const struct humaneval *h) {
    int n = 0;
    for (size_t i = 0; i < h->n_problems; i++) n += h->problems[i].n_samples > 0;
    return n;
}

static int count_left_out(const struct humaneval *h) {
    int n = 0;
    for (size_t i = 0; i < h->n_problems; i++)
        n += h->problems[i].trust == HUMANEVAL_FAILS || h->problems[i].trust == HUMANEVAL_FLAKY;
    return n;
}

static void print_json(const struct humaneval *h, const struct humaneval_counts *c,
                       const struct verify_info *info, const char *out) {
    json_t *passes = json_object(), *verdicts = json_object();
    for (int i = 0; i < N_KS; i++) {
        struct interval at;
        char key[24];
        if (!pass_at(h, ks[i], &at)) continue;
        snprintf(key, sizeof key, "pass@%lld", (long long)ks[i]);
        json_object_set_new(passes, key,
                            json_pack("{s:f, s:[f, f]}", "mean", at.mean, "interval", at.low, at.high));
    }
    for (int i = 0; i < VERIFY_VERDICTS; i++)
        json_object_set_new(verdicts, verify_verdict_names[i], json_integer(c->n_of[i]));
    json_t *o =
        json_pack("{s:s, s:I, s:i, s:I, s:I, s:o, s:o, s:I, s:f, s:f, s:f, s:I, s:{s:s, s:b, s:s, s:i}}",
                  "results", out, "problems", (json_int_t)h->n_problems, "attempted", count_attempted(h),
                  "samples", (json_int_t)c->n_samples, "programs", (json_int_t)c->n_distinct, "pass", passes,
                  "verdicts", verdicts, "second_tries", (json_int_t)c->n_second_tries, "cpu_seconds",
                  c->cpu_seconds, "wall_seconds", c->wall_seconds, "calls", c->calls, "memory_bytes_max",
                  (json_int_t)c->memory_bytes_max, "sandbox", "isolation", verify_level_names[info->level],
                  "landlock", info->landlock, "python", info->version, "workers", info->n_workers);
    ASSERT(o);
    json_object_set_new(o, "left_out", json_integer(count_left_out(h)));
    char *text = json_line(o);
    printf("%s\n", text);
    free(text);
    json_decref(o);
}

static void print_report(const struct humaneval *h, const struct humaneval_counts *c,
                         const struct verify_info *info, const char *out) {
    struct table t;
    char a[FORMAT_MAX], b[FORMAT_MAX];
    printf("%lld samples (%lld different programs) of %d problems%s\n\n", (long long)c->n_samples,
           (long long)c->n_distinct, count_attempted(h),
           count_attempted(h) < (int)h->n_problems ? "; the other problems have no samples and are left out"
                                                   : "");
    table_init(&t, 3);
    for (int i = 0; i < N_KS; i++) {
        struct interval at;
        if (!pass_at(h, ks[i], &at)) continue;
        table_cell(&t, "pass@%lld", (long long)ks[i]);
        table_cell(&t, "%.1f %%", 100 * at.mean);
        table_cell(&t, "[%.1f, %.1f]", 100 * at.low, 100 * at.high);
    }
    for (int i = 0; i < VERIFY_VERDICTS; i++) {
        if (c->n_of[i] == 0) continue;
        table_cell(&t, "%s", verify_verdict_names[i]);
        table_cell(&t, "%lld", (long long)c->n_of[i]);
        table_cell(&t, "%s", "");
    }
    table_print(&t, stdout);
    printf("\n%s CPU time of programs, %s by the clock, %.0f calls, at most %.0f MiB; %lld second tries\n",
           format_seconds(a, c->cpu_seconds), format_seconds(b, c->wall_seconds), c->calls,
           (double)c->memory_bytes_max / (1 << 20), (long long)c->n_second_tries);
    printf("sandbox: %s%s, Python %s, %d at once\nresults: %s\n", verify_level_names[info->level],
           info->landlock ? " and Landlock" : "", info->version, info->n_workers, out);
}

/* Says which problems cannot tell right from wrong, and of how many it was not asked. */
static void say_trouble(const struct humaneval *h) {
    const char *unchecked = NULL;
    int n_unchecked = 0;
    static const char *const words[] = {
        [HUMANEVAL_FAILS] = "fails its own tests", [HUMANEVAL_FLAKY] = "passes only sometimes"};
    for (size_t i = 0; i < h->n_problems; i++) {
        const struct humaneval_problem *p = &h->problems[i];
        if (p->trust == HUMANEVAL_FAILS || p->trust == HUMANEVAL_FLAKY)
            fprintf(stderr, "brood: %s is left out: its reference %s: %.200s\n", p->task_id, words[p->trust],
                    p->trouble);
        if (p->trust == HUMANEVAL_UNKNOWN && n_unchecked++ == 0) unchecked = p->task_id;
    }
    if (n_unchecked > 0)
        fprintf(stderr,
                "brood: %d of %zu problems come without a solution that could be run, in Python or C++ "
                "(%.80s is the "
                "first): they were not checked\n",
                n_unchecked, h->n_problems, unchecked);
}

bool verify_keep(const struct verify_values *values, struct str kept, int n_kept, int n_all, struct err *e) {
    if (!file_write_atomic(values->keep, kept, e)) return false;
    fprintf(stderr, "brood: %d of %d problems are kept: %s\n", n_kept, n_all, values->keep);
    return true;
}

static bool write_kept(const struct verify_values *values, const struct humaneval *h, const char *task,
                       struct err *e) {
    struct buf kept = {0};
    const int n_all = (int)h->n_problems;
    const bool ok = humaneval_write_kept(h, task, &kept, e) &&
                    verify_keep(values, buf_str(&kept), n_all - count_left_out(h), n_all, e);
    buf_free(&kept);
    return ok;
}

static bool check_samples(const struct verify_values *values, struct humaneval *h, const char *task,
                          const char *samples, const struct verify_language *language, const char *out,
                          struct err *e) {
    struct verify_options options = {
        .python = values->python, .highest = VERIFY_NAMESPACES, .n_workers = (int)values->n_workers};
    struct progress progress;
    struct humaneval_way way = {.language = language,
                                .limits = verify_limits_default,
                                .kept = out,
                                .on_progress = on_progress,
                                .ctx = &progress};
    struct humaneval_counts counts = {0};
    struct buf results = {0};
    options.least = VERIFY_NAMESPACES;
    if (values->isolation && !verify_parse_isolation(values->isolation, &options.least, e)) return false;
    way.limits.cpu_seconds = values->seconds;
    way.limits.wall_seconds = 5 * values->seconds;
    way.limits.memory_bytes = (size_t)values->memory_mib << 20;
    struct verify *v = verify_open(&options, e);
    if (!v) return false;
    progress = progress_begin();
    interrupt_catch(stop, NULL);
    bool ok = !values->n_references || humaneval_check_references(h, (int)values->n_references, v, &way, e);
    ok = ok && (!samples || humaneval_run(h, samples, v, &way, &counts, &results, e));
    interrupt_release();
    progress_end(&progress);
    if (ok && values->n_references) say_trouble(h);
    ok = ok && (!values->keep || write_kept(values, h, task, e));
    ok = ok && (!samples || file_write_atomic(out, buf_str(&results), e));
    if (ok && samples && values->json) print_json(h, &counts, verify_info(v), out);
    if (ok && samples && !values->json) print_report(h, &counts, verify_info(v), out);
    if (ok && counts.refused[0]) fprintf(stderr, "brood: tests could not be run: %s\n", counts.refused);
    if (ok && counts.n_of[VERIFY_BROKEN] > 0)
        ok = err_set(e, ERR_SERVICE, "the sandbox broke on %lld samples: they are marked \"failed\" in %s",
                     (long long)counts.n_of[VERIFY_BROKEN], out);
    if (ok && samples) humaneval_done(&way);
    buf_free(&results);
    verify_close(v);
    return ok;
}

/* Options that would do nothing are refused. */
static bool check_fit(const struct verify_values *v, const char *task, bool patches, struct err *e) {
    const struct {
        const char *name;
        bool given, of_patches;
    } options[] = {{"repositories", v->repositories, true}, {"run", v->run, true},
                   {"container", v->container, true},       {"language", v->language, false},
                   {"isolation", v->isolation, false},      {"workers", v->n_workers > 0, false}};
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (options[i].given && options[i].of_patches != patches)
            return err_set(e, ERR_INPUT, "--%s is for tasks whose solutions are %s; those of %s are %s",
                           options[i].name, patches ? "programs" : "patches", task,
                           patches ? "patches, which run one after the other in namespaces" : "programs");
    return !v->run || !v->container ||
           err_set(e, ERR_INPUT, "--run is in the sandbox, --container outside of it: give one of them");
}

static int verify_programs(const struct verify_values *values, const char *task, const char *samples,
                           struct err *e) {
    struct verify_language *language;
    struct humaneval h;
    struct buf out = {0};
    if (!verify_language_parse(values->language ? values->language : "python", &language, e)) return -1;
    bool ok = humaneval_read(&h, task, language, e);
    if (ok) {
        buf_printf(&out, "%s_results.jsonl", samples ? samples : "");
        ok =
            check_samples(values, &h, task, samples, language, values->out ? values->out : buf_cstr(&out), e);
        buf_free(&out);
        humaneval_fini(&h);
    }
    verify_language_free(language);
    return ok ? 0 : -1;
}

static int verify_run(const struct command_line *line, struct err *e) {
    const struct verify_values *values = line->values;
    const char *samples = line->n_args > 1 ? line->args[1] : NULL;
    if (values->keep && !values->n_references) {
        err_set(e, ERR_INPUT,
                "--keep %s: say with --references N how often each problem's own solution is run",
                values->keep);
        return -1;
    }
    if (!samples && !values->keep) {
        err_set(e, ERR_INPUT, "too few arguments: TASK SAMPLES.jsonl (TASK alone goes with --keep FILE)");
        return -1;
    }
    if (strcmp(line->args[0], "-") == 0) {
        err_set(e, ERR_INPUT, "-: the task is read more than once: give a file, not standard input");
        return -1;
    }
    if (samples && strcmp(samples, "-") == 0 && !values->out) {
        err_set(e, ERR_INPUT,
                "-: samples come from standard input: say with --out FILE where the results go");
        return -1;
    }
    char *task = task_path(line->args[0], e);
    if (!task) return -1;
    const bool patches = repository_is(task);
    int status = -1;
    if (!file_exists(task))
        err_set(e, ERR_INPUT, "%s: cannot open: %m", task);
    else if (check_fit(values, line->args[0], patches, e))
        status = patches ? verify_repository(values, task, samples, e) ? 0 : -1
                         : verify_programs(values, task, samples, e);
    free(task);
    return status;
}

static const struct option verify_options[] = {
    {"out", 'o', OPTION_TEXT, offsetof(struct verify_values, out), "FILE",
     "where the results go (default SAMPLES.jsonl_results.jsonl)", 0, 0},
    {"seconds", 0, OPTION_REAL, offsetof(struct verify_values, seconds), "S",
     "CPU time of a program, or of each test of one that prints; five times as much by the clock (default 3; "
     "more where the problem says so)",
     0.01, 86400},
    {"memory", 0, OPTION_COUNT, offsetof(struct verify_values, memory_mib), "MIB",
     "address space of a program in MiB (default 1024)", 64, 1 << 20},
    {"language", 0, OPTION_TEXT, offsetof(struct verify_values, language), "LANGUAGE",
     "of programs that read standard input and print: python (the default), c, c++, perl, or a file name and "
     "commands: 'program.rb /usr/bin/ruby {source}', 'program.c /usr/bin/cc -o {program} {source} ; "
     "{program}'",
     0, 0},
    {"references", 0, OPTION_COUNT, offsetof(struct verify_values, n_references), "N",
     "first run each problem's own solution N times; leave out, aloud, the problems where it fails or is "
     "flaky",
     1, 100},
    {"keep", 0, OPTION_TEXT, offsetof(struct verify_values, keep), "FILE",
     "with --references: writes TASK without the problems, and tests of a repository, that were left out; no "
     "samples are needed then",
     0, 0},
    {"repositories", 0, OPTION_TEXT, offsetof(struct verify_values, repositories), "FOLDER",
     "tasks whose solution is a patch: where clones of their repositories lie, as owner__name, owner/name or "
     "name",
     0, 0},
    {"run", 0, OPTION_TEXT, offsetof(struct verify_values, run), "COMMAND",
     "what runs a patched repository's tests, in the sandbox; {tests} stands for their names (default "
     "/usr/bin/python3 -m unittest -v {tests})",
     0, 0},
    {"container", 0, OPTION_TEXT, offsetof(struct verify_values, container), "COMMAND",
     "runs them outside of the sandbox instead, for example in a container; {folder} is the patched copy", 0,
     0},
    {"isolation", 0, OPTION_TEXT, offsetof(struct verify_values, isolation), "LEVEL",
     "refuse to run below: namespaces (the default), or filtered: seccomp and Landlock are enough", 0, 0},
    {"workers", 0, OPTION_COUNT, offsetof(struct verify_values, n_workers), "N",
     "programs at once (default one a core)", 1, 64},
    {"python", 0, OPTION_TEXT, offsetof(struct verify_values, python), "PROGRAM",
     "the Python that runs them (default python3); its standard library alone can be imported", 0, 0},
    {"json", 0, OPTION_FLAG, offsetof(struct verify_values, json), NULL, "one JSON object (docs/json.md)", 0,
     0},
};

static const char *const verify_examples[] = {
    "brood verify HumanEval.jsonl.gz samples.jsonl",
    "writes samples.jsonl_results.jsonl, prints pass@1, pass@10 and pass@100 as far as there are samples",
    "brood verify --language c --references 3 code_contests.jsonl samples.jsonl",
    "programs in C, compiled inside the sandbox; problems whose own solution fails or is flaky are left out",
    "brood verify --repositories clones --references 3 SWE-bench.jsonl predictions.jsonl",
    "patches, against the named tests of each task",
    NULL,
};

const struct command command_verify = {
    .name = "verify",
    .arguments = "TASK [SAMPLES.jsonl]",
    .summary = "check existing programs against unit tests, in a sandbox",
    .about =
        "Reads problems as HumanEval, EvalPlus, MBPP and CodeContests publish them, samples as HumanEval and "
        "EvalPlus do (task_id and completion, or solution: a whole program), and writes each sample with "
        "\"result\" and \"passed\" added. Programs run in namespaces of their own without network, files, "
        "processes and privileges; the tests run elsewhere and see only the values that come back, so "
        "neither exit status nor output nor anything a program does to its interpreter can pass them. Time "
        "is CPU time, and a program that runs out of it is tried once more, alone. Equal programs run once. "
        "Programs that print are compared by CodeContests' rules: words, but for case; numbers within 1e-5. "
        "Tasks as SWE-bench publishes them (samples: instance_id and model_patch) are patches: each is "
        "applied to a clean copy of the repository at its commit, and the named tests have to pass by name "
        "in the command's report; at least 60 s of CPU time.",
    .examples = verify_examples,
    .options = verify_options,
    .n_options = (int)ARRAY_LEN(verify_options),
    .n_args_min = 1,
    .n_args_max = 2,
    .defaults = &(const struct verify_values){.seconds = 3, .memory_mib = 1024},
    .values_bytes = sizeof(struct verify_values),
    .run = verify_run,
};
