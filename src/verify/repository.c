/* repository.c - see repository.h. */
#include "verify/repository.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "verify/command.h"
#include "verify/kept.h"
#include "verify/patch.h"
#include "verify/repository_read.h"

enum { WORDS_MAX = 4096 };
static const double git_seconds = 600;

/* ---- folders ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at) {
    UNUSED(st);
    UNUSED(kind);
    UNUSED(at);
    return remove(path);
}

static void remove_tree(const char *path) {
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The lock of a folder, taken; -1: another process has it, or it is gone. */
static int lock_folder(const char *path) {
    struct stat here, there;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &here) == 0 && lstat(path, &there) == 0 &&
        here.st_ino == there.st_ino && here.st_uid == geteuid())
        return fd;
    close(fd);
    return -1;
}

static void remove_left(void) {
    glob_t found;
    if (glob("/var/tmp/brood.??????", GLOB_NOSORT, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++) {
            const int lock = lock_folder(found.gl_pathv[i]);
            if (lock < 0) continue;
            remove_tree(found.gl_pathv[i]);
            close(lock);
        }
    }
    globfree(&found);
}

bool repository_folder_make(struct repository_folder *f, struct err *e) {
    remove_left();
    do { /* until no other process has taken it for one that was left */
        char name[] = "/var/tmp/brood.XXXXXX";
        *f = (struct repository_folder){.lock = -1};
        if (!mkdtemp(name) || chmod(name, 0755) != 0)
            return err_set(e, ERR_SERVICE, "/var/tmp: cannot make a folder for copies: %s", strerror(errno));
        if ((f->lock = lock_folder(name)) >= 0) f->path = mem_strdup(name);
    } while (f->lock < 0);
    return true;
}

void repository_folder_remove(struct repository_folder *f) {
    if (!f->path) return;
    remove_tree(f->path);
    close(f->lock);
    free(f->path);
    f->path = NULL;
}

static char *find_clone(const char *folder, const char *repo) {
    struct buf path = {0};
    const char *slash = strchr(repo, '/');
    for (int i = 0; i < 3; i++) {
        buf_clear(&path);
        if (i == 0 && slash)
            buf_printf(&path, "%s/%.*s__%s", folder, (int)(slash - repo), repo, slash + 1);
        else
            buf_printf(&path, "%s/%s", folder, i == 1 || !slash ? repo : slash + 1);
        if (file_is_dir(buf_cstr(&path))) return buf_take(&path);
    }
    buf_free(&path);
    return NULL;
}

/* ---- a clean copy ---- */

static bool run_git(const struct repository_way *way, const char *folder, char *const *words,
                    struct str input, const char *what, struct err *e) {
    char *argv[16] = {"git", "-C", (char *)folder};
    struct buf output = {0};
    int n = 3, status = 0;
    for (; words[n - 3]; n++) argv[n] = words[n - 3];
    bool ok = command_run(argv, input, git_seconds, way->stop, &output, &status, e);
    if (ok && status != 0) {
        const struct str said = str_trim(buf_str(&output));
        const char *end = memchr(said.ptr, '\n', said.len);
        ok = err_set(e, ERR_INPUT, "%s: %.*s", what,
                     (int)MIN(end ? end - said.ptr : (ptrdiff_t)said.len, 200), said.ptr);
    }
    buf_free(&output);
    return ok;
}

static bool apply(const struct repository_way *way, const char *tree, const char *patch, const char *what,
                  struct err *e) {
    char *const words[] = {"apply", "--whitespace=nowarn", "-", NULL};
    return str_trim(str_from(patch)).len == 0 || run_git(way, tree, words, str_from(patch), what, e);
}

/* The repository at its commit in `tree`, which is new, with both patches applied and no history. *bad says
 * whether the failure is the patch's. */
static bool make_copy(const struct repository_task *t, const struct repository_way *way, const char *patch,
                      const char *tree, bool *bad, struct err *e) {
    char *clone = find_clone(way->folder, t->repo);
    *bad = false;
    if (!clone)
        return err_set(e, ERR_INPUT, "%s: no clone of %s in %s (looked for owner__name, owner/name and name)",
                       t->instance_id, t->repo, way->folder);
    char *const cloning[] = {"clone", "-q", "--shared", "--no-checkout", "--", clone, (char *)tree, NULL};
    char *const checking[] = {"checkout", "-q", "--detach", t->base_commit, "--", NULL};
    bool ok = run_git(way, way->work, cloning, STR(""), t->instance_id, e) &&
              run_git(way, tree, checking, STR(""), t->instance_id, e);
    if (ok && !(ok = apply(way, tree, patch, "the patch does not apply", e))) *bad = e->code == ERR_INPUT;
    ok = ok && apply(way, tree, t->test_patch, "test_patch does not apply", e);
    if (ok) {
        char *git = file_join(tree, ".git");
        remove_tree(git);
        free(git);
    }
    free(clone);
    return ok;
}

/* ---- tests ---- */

/* The words of the command, {tests} and {folder} replaced; owned, as the list is. */
static char **expand_command(const char *command, const struct repository_task *t, const char *tree,
                             bool in_sandbox) {
    static const char copies[] = "cp -r \"$0\" /tmp/repository && cd /tmp/repository && exec \"$@\"";
    struct buf word = {0};
    char **words = mem_zalloc(t->n_tests + strlen(command) + 8, sizeof *words);
    size_t n = 0;
    if (in_sandbox) {
        words[n++] = mem_strdup("/bin/sh");
        words[n++] = mem_strdup("-c");
        words[n++] = mem_strdup(copies);
        words[n++] = mem_strdup(tree);
    }
    for (const char *at = command; *at;) {
        at += strspn(at, " ");
        const struct str w = {at, strcspn(at, " ")};
        at += w.len;
        if (str_equal(w, STR("{tests}"))) {
            for (size_t i = 0; i < t->n_tests; i++) {
                if (!t->tests[i].left_out) words[n++] = repository_test_argument(t->tests[i].name);
            }
        } else if (w.len) {
            buf_clear(&word);
            const ptrdiff_t place = str_find(w, STR("{folder}"));
            buf_add(&word, w.ptr, place < 0 ? w.len : (size_t)place);
            if (place >= 0) {
                buf_add_str(&word, str_from(tree));
                buf_add(&word, w.ptr + place + 8, w.len - (size_t)place - 8);
            }
            words[n++] = str_dup(buf_str(&word));
        }
    }
    buf_free(&word);
    return words;
}

/* What the command printed, in the sandbox. */
static bool run_inside(const struct repository_way *way, char **words, struct buf *output, bool *over,
                       struct err *e) {
    struct verify_language language = {.source = "none.txt"};
    const struct verify_io nothing = {.input = STR("")};
    struct verify_result r;
    size_t n = 0;
    while (words[n]) n++;
    language.run = words;
    const struct verify_job job = {.language = &language,
                                   .program = STR(""),
                                   .tests = {.io = &nothing, .n_io = 1, .show = true},
                                   .limits = way->limits};
    verify_submit(way->verify, &job);
    while (!verify_next(way->verify, &r)) {
        if (way->stop && *way->stop) {
            verify_cancel(way->verify, job.id);
            return err_set(e, ERR_CANCELLED, "interrupted");
        }
        if (verify_work(way->verify, way->stop ? 0.1 : 1, e) < 0) return false;
    }
    if (r.verdict == VERIFY_BROKEN || r.verdict == VERIFY_REFUSED)
        return err_set(e, ERR_SERVICE, "the tests cannot be run: %s", r.text);
    *over = r.verdict == VERIFY_TIMED_OUT;
    buf_add_str(output, str_from(r.text));
    return true;
}

/* Runs all tests that are not left out on a copy with the patch: passed[i] of each. *why: the patch's
 * trouble, "" if tests ran. */
static bool run_tests(const struct repository_task *t, const struct repository_way *way, const char *patch,
                      bool *passed, char why[static 700], struct err *e) {
    struct buf output = {0};
    char *tree = file_join(way->work, "copy");
    bool bad, over = false;
    why[0] = '\0';
    memset(passed, 0, t->n_tests * sizeof *passed);
    bool ok = make_copy(t, way, patch, tree, &bad, e);
    if (!ok && bad) {
        snprintf(why, 700, "%s", e->msg);
        ok = true;
    } else if (ok) {
        char **words = expand_command(way->command, t, tree, !way->outside);
        int status = 0;
        if (way->outside) {
            ok = command_run(words, STR(""), way->limits.wall_seconds, way->stop, &output, &status, e);
            over = status == -1;
        } else {
            ok = run_inside(way, words, &output, &over, e);
        }
        for (size_t i = 0; words[i]; i++) free(words[i]);
        free(words);
        if (over) snprintf(why, 700, "timed out");
        for (size_t i = 0; ok && !over && i < t->n_tests; i++)
            passed[i] = repository_test_passed(buf_str(&output), t->tests[i].name);
    }
    remove_tree(tree);
    free(tree);
    buf_free(&output);
    return ok;
}

/* ---- references ---- */

static void note(struct repository_task *t, const char *what, const char *name) {
    struct buf text = {0};
    if (t->trouble) buf_printf(&text, "%s; ", t->trouble);
    buf_printf(&text, "%s %s", name, what);
    free(t->trouble);
    t->trouble = buf_take(&text);
}

static bool check_reference(struct repository_task *t, int n_times, const struct repository_way *way,
                            struct err *e) {
    int *n_passed = mem_zalloc(t->n_tests + 1, sizeof *n_passed);
    bool *passed = mem_zalloc(t->n_tests + 1, sizeof *passed), ok = true;
    char why[700] = "";
    for (int time = 0; ok && !why[0] && time < n_times; time++) {
        ok = run_tests(t, way, t->patch, passed, why, e);
        for (size_t i = 0; i < t->n_tests; i++) n_passed[i] += passed[i];
    }
    if (ok && why[0]) note(t, why, "the published patch:");
    const bool ran = ok && !why[0];
    ok = ok && run_tests(t, way, "", passed, why, e);
    size_t n_left = 0;
    for (size_t i = 0; ok && i < t->n_tests; i++) {
        struct repository_test *test = &t->tests[i];
        const char *what = !ran                             ? ""
                           : n_passed[i] == 0               ? "fails with the published patch"
                           : n_passed[i] < n_times          ? "is flaky"
                           : test->fails_first && passed[i] ? "passes without a patch"
                                                            : NULL;
        test->left_out = what != NULL;
        if (what && what[0]) note(t, what, test->name);
        n_left += test->fails_first && !test->left_out;
    }
    t->left_out = n_left == 0;
    free(n_passed);
    free(passed);
    return ok;
}

static const char kept_references[] = ".references.part", kept_samples[] = ".part";

static bool interrupted(const struct kept *k, size_t n_done, size_t n_all, struct err *e) {
    return err_set(e, ERR_CANCELLED, "interrupted: %zu of %zu were decided%s", n_done, n_all,
                   kept_lasts(k) ? " and are kept: the same command goes on" : ", no results are written");
}

static bool go_on(const struct repository_way *way, const struct kept *k, size_t n_done, size_t n_all,
                  struct err *e) {
    return !way->on_progress || way->on_progress(way->ctx, (int64_t)n_done, (int64_t)n_all) ||
           interrupted(k, n_done, n_all, e);
}

static uint64_t hash_text(uint64_t h, const char *s) {
    return rng_hash(h, s, strlen(s) + 1);
}

/* Everything that has a say in what tests of these tasks do. */
static uint64_t identity_of(const struct repository *r, const struct repository_way *way) {
    const double limits[] = {way->limits.cpu_seconds, way->limits.wall_seconds,
                             (double)way->limits.memory_bytes, (double)way->outside};
    uint64_t h = hash_text(hash_text(rng_hash(0x6b657074, limits, sizeof limits), way->command), way->folder);
    for (size_t i = 0; i < r->n_tasks; i++) {
        const struct repository_task *t = &r->tasks[i];
        h = hash_text(hash_text(hash_text(h, t->repo), t->base_commit), t->patch);
        h = hash_text(h, t->test_patch);
        for (size_t j = 0; j < t->n_tests; j++) {
            const unsigned char flags[] = {t->tests[j].fails_first, t->tests[j].left_out};
            h = rng_hash(hash_text(h, t->tests[j].name), flags, sizeof flags);
        }
    }
    return h;
}

/* What a reference showed, as [number, trouble, whether each test is left out, whether the task is]. */
static bool keep_reference(struct kept *k, size_t i, const struct repository_task *t, struct err *e) {
    json_t *tests = json_array();
    for (size_t j = 0; j < t->n_tests; j++) json_array_append_new(tests, json_boolean(t->tests[j].left_out));
    json_t *trouble = t->trouble ? json_text(str_from(t->trouble)) : json_null();
    return kept_add(k, i, json_pack("[I,o,o,b]", (json_int_t)i, trouble, tests, t->left_out), e);
}

static bool take_reference(const struct kept *k, size_t i, struct repository_task *t) {
    const json_t *list = kept_get(k, i), *tests = json_array_get(list, 2);
    const char *trouble = json_string_value(json_array_get(list, 1));
    if (!list || json_array_size(tests) != t->n_tests) return false;
    for (size_t j = 0; j < t->n_tests; j++) t->tests[j].left_out = json_is_true(json_array_get(tests, j));
    t->left_out = json_is_true(json_array_get(list, 3));
    t->trouble = trouble ? mem_strdup(trouble) : NULL;
    return true;
}

bool repository_check_references(struct repository *r, int n_times, const struct repository_way *way,
                                 struct err *e) {
    struct kept *kept;
    bool ok =
        kept_open(&kept, way->kept, kept_references, identity_of(r, way) + (uint64_t)n_times, r->n_tasks, e);
    for (size_t i = 0; ok && i < r->n_tasks; i++) {
        struct repository_task *t = &r->tasks[i];
        if (take_reference(kept, i, t)) continue;
        ok = check_reference(t, n_times, way, e);
        if (!ok && e->code == ERR_CANCELLED) (void)interrupted(kept, i, r->n_tasks, e);
        ok = ok && keep_reference(kept, i, t, e) && go_on(way, kept, i + 1, r->n_tasks, e);
    }
    kept_close(kept);
    return ok;
}

/* ---- samples ---- */

/* NULL, or why the patch may not be applied. */
static const char *forbidden(const struct repository_task *t, const char *patch) {
    struct patch_files own, tests;
    const char *why = patch_read(str_from(patch), &own);
    const char *ignored = patch_read(str_from(t->test_patch), &tests);
    UNUSED(ignored);
    for (size_t i = 0; !why && i < own.n; i++) {
        const struct str path = str_from(own.paths[i]);
        bool is_test = patch_touches(&tests, path);
        for (size_t j = 0; j < t->n_tests; j++) is_test |= repository_test_lies_in(t->tests[j].name, path);
        if (is_test) why = "it touches the tests";
    }
    patch_free(&own);
    patch_free(&tests);
    return why;
}

void repository_verdict_fini(struct repository_verdict *v) {
    buf_free(&v->why);
}

bool repository_judge(const struct repository_task *t, const char *patch, const struct repository_way *way,
                      struct repository_verdict *out, struct err *e) {
    bool *passed = mem_zalloc(t->n_tests + 1, sizeof *passed), ok = true;
    char why[700] = "";
    const char *refused = forbidden(t, patch);
    size_t first = t->n_tests;
    *out = (struct repository_verdict){0};
    if (refused)
        snprintf(why, sizeof why, "the patch is not applied: %s", refused);
    else
        ok = run_tests(t, way, patch, passed, why, e);
    for (size_t i = 0; !why[0] && i < t->n_tests; i++) {
        if (t->tests[i].left_out) continue;
        out->n_tests++;
        out->n_passed += passed[i];
        if (!passed[i] && first == t->n_tests) first = i;
    }
    out->passed = ok && !why[0] && out->n_tests > 0 && out->n_passed == out->n_tests;
    if (why[0])
        buf_printf(&out->why, "%s", why);
    else if (out->n_tests == 0)
        buf_printf(&out->why, "no test is left");
    else if (!out->passed)
        buf_printf(&out->why, "%d of %d tests pass; %s does not", out->n_passed, out->n_tests,
                   t->tests[first].name);
    free(passed);
    return ok;
}

static bool judge_patch(const struct repository_task *t, const char *patch, const struct repository_way *way,
                        struct buf *result, struct err *e) {
    struct repository_verdict v;
    const bool ok = repository_judge(t, patch, way, &v, e);
    buf_clear(result);
    if (v.passed)
        buf_printf(result, "passed");
    else if (ok && str_equal(buf_str(&v.why), STR("timed out")))
        buf_printf(result, "timed out");
    else
        buf_printf(result, "failed: %s", buf_cstr(&v.why));
    repository_verdict_fini(&v);
    return ok;
}

struct sample {
    json_t *line; /* owned */
    uint32_t task;
    size_t same;  /* the first sample of this task with this patch; itself */
    char *result; /* owned, of the first */
};

struct samples {
    struct repository *r;
    struct sample *items;
    size_t n, cap;
    struct map *index;
    struct kept *kept;
};

static bool take_sample(struct samples *s, json_t *o, const char *where, struct err *e) {
    const char *id, *patch;
    uint32_t task, same = (uint32_t)s->n;
    if (!json_want_string(o, "instance_id", &id, where, e) ||
        !json_get_string(o, "model_patch", "", &patch, where, e))
        return false;
    if (!map_get(s->r->index, str_from(id), &task))
        return err_set(e, ERR_INPUT, "%s: instance_id '%.80s' is not among the tasks", where, id);
    struct buf key = {0};
    buf_printf(&key, "%u:%s", task, patch);
    if (!map_put(s->index, buf_str(&key), same)) map_get(s->index, buf_str(&key), &same);
    buf_free(&key);
    MEM_GROW(s->items, s->cap, s->n + 1);
    s->items[s->n++] = (struct sample){.line = json_incref(o), .task = task, .same = same};
    return true;
}

static bool on_sample(void *ctx, struct str line, const char *where, struct err *e) {
    json_t *o = json_parse(line, where, e);
    const bool ok = o && take_sample(ctx, o, where, e);
    json_decref(o);
    return ok;
}

static bool read_samples(struct samples *s, const char *path, struct err *e) {
    if (!file_lines_each(path, on_sample, s, e)) return false;
    return s->n > 0 ||
           err_set(e, ERR_INPUT, "%s: no samples in it: a line needs \"instance_id\" and \"model_patch\"",
                   path);
}

/* The verdict on a patch that is not equal to an earlier one. */
static bool decide(struct samples *s, size_t i, const struct repository_way *way, struct err *e) {
    struct sample *sample = &s->items[i];
    const char *kept = json_string_value(json_array_get(kept_get(s->kept, i), 1));
    const char *patch = json_string_value(json_object_get(sample->line, "model_patch"));
    struct buf result = {0};
    if (kept) {
        sample->result = mem_strdup(kept);
        return true;
    }
    if (!judge_patch(&s->r->tasks[sample->task], patch ? patch : "", way, &result, e)) {
        buf_free(&result);
        return e->code == ERR_CANCELLED ? interrupted(s->kept, i, s->n, e) : false;
    }
    json_t *said = json_text(buf_str(&result));
    sample->result = buf_take(&result);
    return kept_add(s->kept, i, json_pack("[I,o]", (json_int_t)i, said), e) &&
           go_on(way, s->kept, i + 1, s->n, e);
}

static void write_result(struct samples *s, const struct sample *sample, struct buf *results) {
    struct repository_task *t = &s->r->tasks[sample->task];
    const char *said = s->items[sample->same].result;
    const bool passed = strcmp(said, "passed") == 0;
    json_object_set_new(sample->line, "result", json_text(str_from(said)));
    json_object_set_new(sample->line, "passed", json_boolean(passed));
    char *text = json_line(sample->line);
    buf_printf(results, "%s\n", text);
    free(text);
    if (t->left_out) return;
    t->n_samples++;
    t->n_passed += passed;
}

static uint64_t identity_with(const struct samples *s, const struct repository_way *way) {
    uint64_t h = identity_of(s->r, way);
    for (size_t i = 0; i < s->n; i++) {
        const char *patch = json_string_value(json_object_get(s->items[i].line, "model_patch"));
        h = hash_text(rng_hash(h, &s->items[i].task, sizeof s->items[i].task), patch ? patch : "");
    }
    return h;
}

bool repository_run(struct repository *r, const char *samples_path, const struct repository_way *way,
                    struct buf *results, struct err *e) {
    struct samples s = {.r = r, .index = map_new(64)};
    bool ok = read_samples(&s, samples_path, e) &&
              kept_open(&s.kept, way->kept, kept_samples, identity_with(&s, way), s.n, e);
    for (size_t i = 0; i < r->n_tasks; i++) r->tasks[i].n_samples = r->tasks[i].n_passed = 0;
    for (size_t i = 0; ok && i < s.n; i++) {
        ok = s.items[i].same != i || decide(&s, i, way, e);
        if (ok) write_result(&s, &s.items[i], results);
    }
    for (size_t i = 0; i < s.n; i++) {
        json_decref(s.items[i].line);
        free(s.items[i].result);
    }
    free(s.items);
    map_free(s.index);
    kept_close(s.kept);
    return ok;
}

void repository_done(const struct repository_way *way) {
    if (!way->kept) return;
    kept_remove(way->kept, kept_references);
    kept_remove(way->kept, kept_samples);
}
