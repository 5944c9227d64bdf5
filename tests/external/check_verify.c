/* check_verify DATA - the verifier against HumanEval and against verdicts that others' data carry. Takes
 * minutes.
 *
 *   bench/humaneval.jsonl                        all canonical solutions pass; mutated ones fail
 *   grader/codecontests_output_match.jsonl       what counts as the same output
 *   replay/humaneval_codegen16b_100.jsonl        8,200 samples of CodeGen-16B: the recorded flags, sample by
 * sample
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "verify/humaneval.h"

static int n_passed, n_failed;

static void check(bool ok, const char *what) {
    *(ok ? &n_passed : &n_failed) += 1;
    if (!ok) printf("FAIL %s\n", what);
}

/* NULL, said aloud, if the file is not there. */
static char *find(const char *dir, const char *name) {
    char *path = file_join(dir, name);
    if (file_exists(path)) return path;
    printf("skip %s: not there\n", path);
    free(path);
    return NULL;
}

static void add_sample(struct buf *out, const char *task_id, const char *completion) {
    json_t *o = json_pack("{s:s, s:s}", "task_id", task_id, "completion", completion);
    char *line = json_line(o);
    buf_printf(out, "%s\n", line);
    free(line);
    json_decref(o);
}

/* The solution with its last "return E" made "return not E"; false if there is none. */
static bool mutate(const char *solution, struct buf *out) {
    const struct str s = str_from(solution);
    const ptrdiff_t at = str_find_last(s, STR("return "));
    buf_clear(out);
    if (at < 0) return false;
    buf_add(out, solution, (size_t)at + 7);
    buf_printf(out, "not %s", solution + at + 7);
    return true;
}

/* Runs samples; *results holds one object a sample. */
static bool run(struct verify *v, struct humaneval *h, const struct buf *samples, json_t *results,
                struct humaneval_counts *counts) {
    char path[] = "/tmp/check_verify.XXXXXX";
    struct buf lines = {0};
    struct err e = {0};
    const int fd = mkstemp(path);
    if (fd < 0) return false;
    bool ok = write(fd, samples->ptr, samples->len) == (ssize_t)samples->len;
    const struct humaneval_way way = {.limits = verify_limits_default};
    ok = ok && humaneval_run(h, path, v, &way, counts, &lines, &e);
    for (char *line = lines.ptr, *end; ok && line && (end = strchr(line, '\n')); line = end + 1) {
        json_t *o = json_parse((struct str){line, (size_t)(end - line)}, path, &e);
        ok = o && json_array_append_new(results, o) == 0;
    }
    if (!ok) printf("FAIL %s\n", e.msg);
    close(fd);
    unlink(path);
    buf_free(&lines);
    return ok;
}

static bool passed(const json_t *results, size_t i) {
    return json_is_true(json_object_get(json_array_get(results, i), "passed"));
}

static void check_canonical(struct verify *v, struct humaneval *h, const char *path) {
    struct file_lines *f;
    struct buf samples = {0}, mutant = {0};
    struct str line;
    struct humaneval_counts counts;
    struct err e = {0};
    json_t *results = json_array();
    int n_right = 0, n_empty_failed = 0, n_mutants = 0, n_mutants_failed = 0;
    if (!(f = file_lines_open(path, &e))) return;
    while (file_lines_next(f, &line, &e) > 0) {
        json_t *o = json_parse(line, path, &e);
        const char *id = json_string_value(json_object_get(o, "task_id"));
        const char *solution = json_string_value(json_object_get(o, "canonical_solution"));
        if (!id || !solution) continue;
        add_sample(&samples, id, solution);
        add_sample(&samples, id, "    return None\n");
        n_mutants += mutate(solution, &mutant);
        add_sample(&samples, id, mutant.len ? buf_cstr(&mutant) : "    pass\n");
        json_decref(o);
    }
    file_lines_close(f);
    if (run(v, h, &samples, results, &counts)) {
        for (size_t i = 0; i + 2 < json_array_size(results); i += 3) {
            n_right += passed(results, i);
            n_empty_failed += !passed(results, i + 1);
            n_mutants_failed += !passed(results, i + 2);
        }
    }
    const int n = (int)h->n_problems;
    printf("canonical solutions: %d of %d pass; emptied: %d fail; last return negated: %d fail\n", n_right, n,
           n_empty_failed, n_mutants_failed);
    check(n == 164 && n_right == n, "canonical solutions pass");
    check(n_empty_failed == n, "solutions that return None fail");
    /* HumanEval/137: no test has its first argument the larger, where the mutant differs. */
    check(n_mutants > 150 && n_mutants_failed == n - 1,
          "mutated solutions fail, but for one that no test reaches");
    json_decref(results);
    buf_free(&samples);
    buf_free(&mutant);
}

/* Samples of all lines; what was recorded goes, in the same order, into flags and reasons. */
static void read_recorded(const char *path, struct buf *samples, json_t *flags, json_t *reasons) {
    struct err e = {0};
    struct str line;
    struct file_lines *f = file_lines_open(path, &e);
    while (f && file_lines_next(f, &line, &e) > 0) {
        json_t *o = json_parse(line, path, &e), *completion;
        size_t i;
        json_array_foreach(json_object_get(o, "completions"), i, completion) {
            add_sample(samples, json_string_value(json_object_get(o, "task_id")),
                       json_string_value(completion));
            json_array_append(flags, json_array_get(json_object_get(o, "passed"), i));
            json_array_append(reasons, json_array_get(json_object_get(o, "result"), i));
        }
        json_decref(o);
    }
    file_lines_close(f);
}

static void check_recorded(struct verify *v, struct humaneval *h, const char *path) {
    struct buf samples = {0};
    struct humaneval_counts c;
    json_t *flags = json_array(), *reasons = json_array(), *results = json_array();
    int n_differ = 0, n_near_limit = 0, n_timed_out = 0;
    read_recorded(path, &samples, flags, reasons);
    const size_t n = json_array_size(flags);
    const bool ran = run(v, h, &samples, results, &c);
    for (size_t i = 0; ran && i < n; i++) {
        const json_t *sample = json_array_get(results, i);
        const char *was = json_string_value(json_array_get(reasons, i));
        const char *result = json_string_value(json_object_get(sample, "result"));
        const bool now_over = strcmp(result, "timed out") == 0, was_over = was && strstr(was, "time");
        n_timed_out += now_over;
        if (passed(results, i) == json_is_true(json_array_get(flags, i))) continue;
        n_differ++;
        n_near_limit += now_over || was_over;
        printf("differs: %s sample %zu: recorded %s, here %.100s\n",
               json_string_value(json_object_get(sample, "task_id")), i % 100, was ? was : "?", result);
    }
    if (ran)
        printf("recorded samples: %zu (%lld different), %d flags differ, %d of them by the time limit; %d "
               "timed out; "
               "%.0f s, %.0f s of CPU\n",
               n, (long long)c.n_distinct, n_differ, n_near_limit, n_timed_out, c.wall_seconds,
               c.cpu_seconds);
    check(ran && n == 8200 && n_differ == n_near_limit, "recorded flags, but for the time limit");
    check(ran && n_differ <= 8, "recorded flags");
    json_decref(flags);
    json_decref(reasons);
    json_decref(results);
    buf_free(&samples);
}

/* Each case as a program that prints `a`, of which `b` is expected. */
static void check_outputs(struct verify *v, const char *path) {
    struct err e = {0};
    struct str line;
    struct verify_result r;
    int n = 0, n_agree = 0;
    struct file_lines *f = file_lines_open(path, &e);
    while (f && file_lines_next(f, &line, &e) > 0) {
        json_t *o = json_parse(line, path, &e);
        const char *a = json_string_value(json_object_get(o, "a")),
                   *b = json_string_value(json_object_get(o, "b"));
        const struct verify_io io = {.input = str_from(a ? a : ""), .output = str_from(b ? b : "")};
        const struct verify_job job = {.program = STR("import sys\nsys.stdout.write(sys.stdin.read())\n"),
                                       .tests = {.io = &io, .n_io = 1},
                                       .limits = verify_limits_default};
        verify_submit(v, &job);
        while (!verify_next(v, &r)) {
            if (verify_work(v, 1, &e) < 0) break;
        }
        n++;
        n_agree += (r.verdict == VERIFY_PASSED) == json_is_true(json_object_get(o, "expected"));
        json_decref(o);
    }
    file_lines_close(f);
    printf("CodeContests' output comparison: %d of %d cases agree\n", n_agree, n);
    check(n == 13 && n_agree == n, "outputs are compared as CodeContests does");
}

int main(int argc, char **argv) {
    const char *dir = argc > 1 ? argv[1] : "../shared/data";
    const struct verify_options options = {.least = VERIFY_FILTERED, .highest = VERIFY_NAMESPACES};
    struct humaneval h = {0};
    struct err e = {0};
    char *problems = find(dir, "bench/humaneval.jsonl");
    char *outputs = find(dir, "grader/codecontests_output_match.jsonl");
    char *recorded = find(dir, "replay/humaneval_codegen16b_100.jsonl");
    struct verify *v = problems ? verify_open(&options, &e) : NULL;
    if (problems && !v) printf("skip: %s\n", e.msg);
    if (v && !humaneval_read(&h, problems, NULL, &e)) {
        printf("FAIL %s\n", e.msg);
        n_failed++;
    } else if (v) {
        check_canonical(v, &h, problems);
        if (outputs) check_outputs(v, outputs);
        if (recorded) check_recorded(v, &h, recorded);
    }
    humaneval_fini(&h);
    verify_close(v);
    free(problems);
    free(recorded);
    free(outputs);
    printf("%d passed, %d failed\n", n_passed, n_failed);
    return n_failed > 0;
}
