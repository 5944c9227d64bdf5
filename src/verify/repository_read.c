/* repository_read.c - SWE-bench's records, and names of tests in lists and reports. */
#include "verify/repository_read.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"

enum { TESTS_MAX = 20000 };

/* ---- names ---- */

static bool is_dotted(struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        if (!isalnum((unsigned char)s.ptr[i]) && s.ptr[i] != '_' && s.ptr[i] != '.') return false;
    }
    return s.len > 0;
}

/* "name (module.Class)" and, since Python 3.11, "name (module.Class.name)" as "module.Class.name"; false:
 * neither. */
static bool read_unittest(struct str text, struct buf *out, size_t *n_taken) {
    buf_clear(out);
    size_t n = 0;
    while (n < text.len && (isalnum((unsigned char)text.ptr[n]) || text.ptr[n] == '_')) n++;
    if (n == 0 || n + 3 > text.len || text.ptr[n] != ' ' || text.ptr[n + 1] != '(') return false;
    const char *close = memchr(text.ptr + n, ')', text.len - n);
    if (!close) return false;
    const struct str name = {text.ptr, n}, place = {text.ptr + n + 2, (size_t)(close - text.ptr) - n - 2};
    if (!is_dotted(place)) return false;
    buf_add_str(out, place);
    const bool has = place.len > n && place.ptr[place.len - n - 1] == '.' &&
                     str_equal((struct str){place.ptr + place.len - n, n}, name);
    if (!has) {
        buf_add_char(out, '.');
        buf_add_str(out, name);
    }
    *n_taken = (size_t)(close + 1 - text.ptr);
    return true;
}

char *repository_test_argument(const char *name) {
    struct buf out = {0};
    size_t n;
    if (read_unittest(str_from(name), &out, &n) && n == strlen(name)) return buf_take(&out);
    buf_free(&out);
    return mem_strdup(name);
}

bool repository_test_lies_in(const char *name, struct str path) {
    const char *colons = strstr(name, "::");
    if (colons) return str_equal((struct str){name, (size_t)(colons - name)}, path);
    char *dotted = repository_test_argument(name);
    bool lies = false;
    if (str_ends(
            path,
            STR(".py"))) { /* a module of it: a.b.C.t lies in a/b.py, a/b/__init__.py and below src/, too */
        struct buf module = {0};
        buf_add(&module, path.ptr, path.len - 3);
        for (size_t i = 0; i < module.len; i++) {
            if (module.ptr[i] == '/') module.ptr[i] = '.';
        }
        if (str_ends(buf_str(&module), STR(".__init__"))) module.len -= 9;
        struct str m = buf_str(&module);
        for (;;) {
            const size_t n = strlen(dotted);
            lies |= m.len < n && memcmp(dotted, m.ptr, m.len) == 0 && dotted[m.len] == '.';
            const char *dot = memchr(m.ptr, '.', m.len);
            if (!dot) break;
            m = (struct str){dot + 1, m.len - (size_t)(dot + 1 - m.ptr)};
        }
        buf_free(&module);
    }
    free(dotted);
    return lies;
}

/* ---- reports ---- */

enum word { NOTHING, GOOD, BAD };

/* "PASSED path::name", and "FAILED path::name - why". */
static enum word read_pytest(struct str line, const char *name) {
    static const struct {
        const char *head;
        enum word word;
    } heads[] = {{"PASSED ", GOOD}, {"FAILED ", BAD}, {"ERROR ", BAD}, {"XFAIL ", BAD}, {"SKIPPED ", BAD}};
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        const struct str head = str_from(heads[i].head);
        if (!str_starts(line, head)) continue;
        const struct str rest = str_trim((struct str){line.ptr + head.len, line.len - head.len});
        const size_t n = strlen(name);
        if (str_starts(rest, str_from(name)) &&
            (rest.len == n || (rest.len > n + 2 && !memcmp(rest.ptr + n, " - ", 3))))
            return heads[i].word;
    }
    return NOTHING;
}

/* "name (place) ... ok"; with a docstring the status stands on the line behind. `of` is kept from line to
 * line. */
static enum word read_unittest_line(struct str line, const char *dotted, struct buf *of) {
    struct buf here = {0};
    size_t n;
    enum word word = NOTHING;
    if (read_unittest(line, &here, &n)) {
        buf_clear(of);
        buf_add_str(of, buf_str(&here));
    }
    const ptrdiff_t dots = str_find_last(line, STR(" ... "));
    if (dots >= 0) {
        if (of->len && str_equal(buf_str(of), str_from(dotted)))
            word = str_equal((struct str){line.ptr + dots + 5, line.len - (size_t)dots - 5}, STR("ok")) ? GOOD
                                                                                                        : BAD;
        buf_clear(of);
    }
    buf_free(&here);
    return word;
}

bool repository_test_passed(struct str report, const char *name) {
    struct buf of = {0};
    char *dotted = repository_test_argument(name);
    bool good = false, bad = false;
    while (report.len > 0) {
        const char *end = memchr(report.ptr, '\n', report.len);
        const size_t n = end ? (size_t)(end - report.ptr) : report.len;
        const struct str line = str_trim((struct str){report.ptr, n});
        const enum word word =
            strstr(name, "::") ? read_pytest(line, name) : read_unittest_line(line, dotted, &of);
        good |= word == GOOD;
        bad |= word == BAD;
        report = (struct str){report.ptr + n + (end != NULL), report.len - n - (end != NULL)};
    }
    free(dotted);
    buf_free(&of);
    return good && !bad;
}

/* ---- records ---- */

static bool add_tests(struct repository_task *t, const json_t *list, bool fails_first) {
    const json_t *name;
    size_t i;
    struct err e;
    if (json_is_string(list)) {
        json_t *inner = json_parse((struct str){json_string_value(list), json_string_length(list)}, "", &e);
        const bool ok = inner && json_is_array(inner) && add_tests(t, inner, fails_first);
        json_decref(inner);
        return ok;
    }
    if (!json_is_array(list) || t->n_tests + json_array_size(list) > TESTS_MAX) return false;
    t->tests = mem_realloc(t->tests, t->n_tests + json_array_size(list) + 1, sizeof *t->tests);
    json_array_foreach(list, i, name) {
        const char *text = json_string_value(name);
        if (!text || !text[0] || text[0] == '-') return false; /* no option of the command */
        t->tests[t->n_tests++] =
            (struct repository_test){.name = mem_strdup(text), .fails_first = fails_first};
    }
    return true;
}

void repository_task_free(struct repository_task *t) {
    char *const owned[] = {t->instance_id, t->repo, t->base_commit, t->patch, t->test_patch, t->trouble};
    for (size_t i = 0; i < ARRAY_LEN(owned); i++) free(owned[i]);
    for (size_t i = 0; i < t->n_tests; i++) free(t->tests[i].name);
    free(t->tests);
    *t = (struct repository_task){0};
}

static bool is_commit(const char *s) {
    const size_t n = strspn(s, "0123456789abcdef");
    return n >= 7 && s[n] == '\0';
}

static bool is_repo(const char *s) {
    return s[0] && s[0] != '/' && s[0] != '-' && !strstr(s, "..");
}

static bool read_task(struct repository_task *t, const json_t *o, bool has_patch, const char *where,
                      struct err *e) {
    const char *text[5];
    static const char *const keys[] = {"instance_id", "repo", "base_commit", "test_patch", "patch"};
    *t = (struct repository_task){0};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const bool is_wanted = has_patch || i < 4;
        if (is_wanted ? !json_want_string(o, keys[i], &text[i], where, e)
                      : !json_get_string(o, keys[i], "", &text[i], where, e))
            return false;
    }
    if (!is_commit(text[2]))
        return err_set(e, ERR_INPUT, "%s: base_commit '%.60s' is no commit", where, text[2]);
    if (!is_repo(text[1]))
        return err_set(e, ERR_INPUT, "%s: repo '%.60s': expected owner/name", where, text[1]);
    t->instance_id = mem_strdup(text[0]);
    t->repo = mem_strdup(text[1]);
    t->base_commit = mem_strdup(text[2]);
    t->test_patch = mem_strdup(text[3]);
    t->patch = mem_strdup(text[4]);
    const json_t *passing = json_object_get(o, "PASS_TO_PASS");
    if (add_tests(t, json_object_get(o, "FAIL_TO_PASS"), true) && t->n_tests > 0 &&
        (!passing || add_tests(t, passing, false)))
        return true;
    repository_task_free(t);
    return err_set(e, ERR_INPUT, "%s: FAIL_TO_PASS and PASS_TO_PASS are to be lists of names of tests",
                   where);
}

bool repository_task_read(struct str line, struct repository_task *t, const char *where, struct err *e) {
    *t = (struct repository_task){0};
    json_t *o = json_parse(line, where, e);
    const bool ok = o && read_task(t, o, false, where, e);
    json_decref(o);
    return ok;
}

static bool take_task(struct repository *r, const json_t *o, const char *where, struct err *e) {
    struct repository_task t;
    if (!read_task(&t, o, true, where, e)) return false;
    if (!map_put(r->index, str_from(t.instance_id), (uint32_t)r->n_tasks)) {
        err_set(e, ERR_INPUT, "%s: instance_id '%.80s' was there before", where, t.instance_id);
        repository_task_free(&t);
        return false;
    }
    MEM_GROW(r->tasks, r->cap, r->n_tasks + 1);
    r->tasks[r->n_tasks++] = t;
    return true;
}

bool repository_is(const char *path) {
    struct err e;
    struct str line;
    struct file_lines *lines = file_lines_open(path, &e);
    bool is = false;
    if (lines && file_lines_next(lines, &line, &e) > 0) {
        json_t *o = json_parse(line, path, &e);
        is = o && json_object_get(o, "instance_id") && json_object_get(o, "base_commit");
        json_decref(o);
    }
    file_lines_close(lines);
    return is;
}

static bool on_task(void *ctx, struct str line, const char *where, struct err *e) {
    json_t *o = json_parse(line, where, e);
    const bool ok = o && take_task(ctx, o, where, e);
    json_decref(o);
    return ok;
}

bool repository_read(struct repository *r, const char *path, struct err *e) {
    *r = (struct repository){.index = map_new(64)};
    bool ok = file_lines_each(path, on_task, r, e);
    if (ok && r->n_tasks == 0) ok = err_set(e, ERR_INPUT, "%s: no tasks in it", path);
    if (!ok) repository_fini(r);
    return ok;
}

void repository_fini(struct repository *r) {
    for (size_t i = 0; i < r->n_tasks; i++) repository_task_free(&r->tasks[i]);
    free(r->tasks);
    map_free(r->index);
    *r = (struct repository){0};
}

/* ---- records without what was left out ---- */

struct keeping {
    const struct repository *r;
    struct buf *out;
};

static json_t *kept_tests(const struct repository_task *t, bool fails_first) {
    json_t *names = json_array();
    for (size_t i = 0; i < t->n_tests; i++) {
        if (t->tests[i].fails_first == fails_first && !t->tests[i].left_out)
            json_array_append_new(names, json_text(str_from(t->tests[i].name)));
    }
    return names;
}

static bool keep_task(void *ctx, struct str line, const char *where, struct err *e) {
    struct keeping *k = ctx;
    const char *id = NULL;
    uint32_t at = 0;
    json_t *o = json_parse(line, where, e);
    const bool ok = o && json_want_string(o, "instance_id", &id, where, e);
    if (ok && map_get(k->r->index, str_from(id), &at) && !k->r->tasks[at].left_out) {
        json_object_set_new(o, "FAIL_TO_PASS", kept_tests(&k->r->tasks[at], true));
        json_object_set_new(o, "PASS_TO_PASS", kept_tests(&k->r->tasks[at], false));
        char *text = json_line(o);
        buf_printf(k->out, "%s\n", text);
        free(text);
    }
    json_decref(o);
    return ok;
}

bool repository_write_kept(const struct repository *r, const char *path, struct buf *out, struct err *e) {
    struct keeping k = {r, out};
    return file_lines_each(path, keep_task, &k, e);
}
