/* task.c - task files and the grader. */
#include "run/task.h"

#include <stdlib.h>
#include <string.h>

#include "answer/answer.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/share.h"

static const char *const id_keys[] = {"id", "task_id", "unique_id", "instance_id", NULL};
static const char *const prompt_keys[] = {
    "prompt", "problem", "question", "Problem", "Question", "description", "problem_statement", "text", NULL};
static const char *const answer_keys[] = {"answer", "Answer", "final_answer", NULL};

/* Where published tasks keep solutions of their own. */
static const char *const reference_keys[] = {
    "solution",       "solutions", "canonical_solution", "code", "reference", "proof", "formal_proof",
    "informal_proof", "patch",     "gold_patch",         NULL};

static const json_t *first_of(const json_t *object, const char *const *keys) {
    for (; *keys; keys++) {
        const json_t *v = json_object_get(object, *keys);
        if (v && !json_is_null(v)) return v;
    }
    return NULL;
}

/* A string, or a number as it would be written. Owned; NULL for other types. */
static char *scalar_text(const json_t *v) {
    if (json_is_string(v)) return mem_strdup(json_string_value(v));
    return json_is_number(v) ? json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
}

/* GSM8K's answers end in "#### 42"; others are the answer itself. */
static char *answer_key_of(char *text) {
    const struct str s = str_from(text);
    const ptrdiff_t at = str_find_last(s, STR("####"));
    if (at < 0) return text;
    char *key = str_dup(str_trim((struct str){s.ptr + at + 4, s.len - (size_t)at - 4}));
    free(text);
    return key;
}

static bool read_level(const json_t *line, int *level, const char *where, struct err *e) {
    const json_t *v = json_object_get(line, "level");
    *level = 0;
    if (!v || json_is_null(v)) return true;
    if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < 1000) {
        *level = (int)json_integer_value(v);
        return true;
    }
    if (json_is_string(v)) { /* "Level 3"; "Level ?" of MATH has no level */
        const char *s = json_string_value(v);
        s += strcspn(s, "0123456789");
        *level = *s ? (int)strtol(s, NULL, 10) % 1000 : 0;
        return true;
    }
    return err_set(e, ERR_INPUT, "%s: level is neither a number nor like \"Level 3\"", where);
}

/* What decides a problem without an answer, by the fields that it has. */
static const struct {
    const char *key, *verify, *has;
    bool is_named; /* its id is its name */
} deciders[] = {
    {"entry_point", "tests", "unit tests", false},
    {"tests", "tests", "unit tests", false},
    {"test", "tests", "unit tests", false},
    {"test_list", "tests", "unit tests", false},
    {"public_tests", "tests", "tests", true},
    {"private_tests", "tests", "tests", true},
    {"FAIL_TO_PASS", "patch,clones=FOLDER", "tests of a repository", false},
    {"formal_statement", "lean:COMMAND", "a theorem", true},
    {"theorem", "lean:COMMAND", "a theorem", true},
};

/* Whether the problem's id is its name. */
static bool take_decider(const json_t *line, struct task_problem *p) {
    for (size_t i = 0; i < ARRAY_LEN(deciders); i++) {
        if (!json_object_get(line, deciders[i].key)) continue;
        p->verify = deciders[i].verify;
        p->has = deciders[i].has;
        return deciders[i].is_named;
    }
    return false;
}

/* Owned; NULL if there is none. */
static char *prompt_of(const json_t *line) {
    const json_t *prompt = first_of(line, prompt_keys), *tests = json_object_get(line, "test_list"), *test;
    const char *header = json_string_value(json_object_get(line, "header"));
    struct buf text = {0};
    size_t i;
    if (prompt) {
        if (!json_is_string(prompt)) return NULL;
        buf_add_str(&text, str_from(json_string_value(prompt)));
    } else {
        const char *statement = json_string_value(json_object_get(line, "formal_statement"));
        if (!statement) statement = json_string_value(json_object_get(line, "statement"));
        if (!statement) return NULL;
        const struct str before = str_trim(str_from(header ? header : ""));
        buf_add_str(&text, before);
        buf_printf(&text, "%s%s", before.len ? "\n\n" : "", statement);
    }
    if (json_array_size(tests) > 0 && !json_object_get(line, "entry_point")) {
        buf_printf(&text, "\nYour code should pass these tests:\n");
        json_array_foreach(tests, i, test) {
            if (json_is_string(test)) buf_printf(&text, "\n%s", json_string_value(test));
        }
    }
    buf_add(&text, "", 0);
    return buf_take(&text);
}

/* Owned. The lists are those of EvalPlus, whose numbers may be of any size: they go on as they were. */
static char *public_line(const json_t *line, struct str base, struct str plus) {
    json_t *o = json_copy((json_t *)(uintptr_t)line); /* shallow */
    const bool by_reference = base.len || plus.len;
    for (const char *const *key = answer_keys; *key; key++) json_object_del(o, *key);
    for (const char *const *key = reference_keys; *key; key++) {
        if (!by_reference || strcmp(*key, "canonical_solution") != 0) json_object_del(o, *key);
    }
    if (base.len) json_object_del(o, "base_input");
    if (plus.len) json_object_del(o, "plus_input");
    char *text = json_line(o);
    json_decref(o);
    if (!by_reference) return text;
    struct buf all = {0};
    buf_add(&all, text, strlen(text) - 1);
    const char *comma = strlen(text) > 2 ? "," : "";
    if (base.len) buf_printf(&all, "%s\"base_input\":", comma);
    buf_add_str(&all, base);
    if (plus.len) buf_printf(&all, "%s\"plus_input\":", base.len ? "," : comma);
    buf_add_str(&all, plus);
    buf_add_char(&all, '}');
    free(text);
    return buf_take(&all);
}

char *task_public_line(const json_t *line) {
    return public_line(line, (struct str){0}, (struct str){0});
}

static char *id_of(const json_t *line, size_t number, bool is_named) {
    const json_t *id = first_of(line, id_keys);
    if (!id && is_named) id = json_object_get(line, "name");
    char *text = id ? scalar_text(id) : NULL;
    if (text) return text;
    struct buf b = {0};
    buf_printf(&b, "line %zu", number);
    return buf_take(&b);
}

static bool read_problem(struct task *t, struct str text, size_t number, const char *where, struct err *e) {
    const struct str base = json_list_text(text, "base_input"), plus = json_list_text(text, "plus_input");
    struct task_problem p = {0};
    json_t *line = json_parse_without(text, base, plus, where, e);
    bool ok = line != NULL;
    if (ok && !json_is_object(line)) ok = err_set(e, ERR_INPUT, "%s: a problem is a JSON object", where);
    if (ok && !(p.prompt = prompt_of(line)))
        ok = err_set(e, ERR_INPUT, "%s: no prompt: a problem needs \"prompt\", \"problem\" or \"question\"",
                     where);
    if (ok && str_trim(str_from(p.prompt)).len == 0)
        ok = err_set(e, ERR_INPUT, "%s: the prompt is empty", where);
    ok = ok && read_level(line, &p.level, where, e);
    if (ok) {
        const json_t *answer = first_of(line, answer_keys);
        const bool is_named = take_decider(line, &p);
        if (answer) p.verify = NULL;
        p.id = id_of(line, number, is_named);
        p.answer = answer ? scalar_text(answer) : NULL;
        if (p.answer) p.answer = answer_key_of(p.answer);
        p.line = public_line(line, base, plus);
        MEM_GROW(t->problems, t->cap, t->n_problems + 1);
        t->problems[t->n_problems++] = p;
    } else {
        free(p.prompt);
    }
    json_decref(line);
    return ok;
}

static uint64_t hash_text(uint64_t h, const char *s) {
    return s ? rng_hash(h, s, strlen(s) + 1) : rng_hash(h, "\1", 1);
}

static bool read_lines(struct task *t, const char *path, size_t n_max, struct err *e) {
    struct file_lines *f = file_lines_open(path, e);
    if (!f) return false;
    struct map *ids = map_new(1024);
    struct str line;
    int got = 1;
    bool ok = true;
    while (ok && (n_max == 0 || t->n_problems < n_max) && (got = file_lines_next(f, &line, e)) == 1) {
        if (str_trim(line).len == 0) continue;
        struct buf where = {0};
        buf_printf(&where, "%s:%zu", path, file_lines_number(f));
        ok = read_problem(t, line, file_lines_number(f), buf_cstr(&where), e);
        if (ok && !map_put(ids, str_from(t->problems[t->n_problems - 1].id), 0)) {
            ok = err_set(e, ERR_INPUT, "%s: the id \"%s\" appears twice", buf_cstr(&where),
                         t->problems[t->n_problems - 1].id);
        }
        buf_free(&where);
    }
    map_free(ids);
    file_lines_close(f);
    if (ok && got >= 0 && t->n_problems == 0) ok = err_set(e, ERR_INPUT, "%s: no problems in it", path);
    return ok && got >= 0;
}

char *task_path(const char *spec, struct err *e) {
    if (strncmp(spec, "lab:", 4) != 0) return mem_strdup(spec);
    struct buf name = {0};
    buf_printf(&name, "tasks/%s.jsonl", spec + 4);
    char *path = share_path(buf_cstr(&name), e);
    buf_free(&name);
    return path;
}

struct task *task_open(const char *spec, size_t n_max, struct err *e) {
    char *path = task_path(spec, e);
    if (!path) return NULL;
    struct task *t = mem_zalloc(1, sizeof *t);
    t->name = mem_strdup(spec);
    const bool ok = read_lines(t, path, n_max, e);
    free(path);
    if (!ok) {
        task_free(t);
        return NULL;
    }
    for (size_t i = 0; i < t->n_problems; i++) {
        const struct task_problem *p = &t->problems[i];
        t->hash = hash_text(hash_text(hash_text(t->hash, p->id), p->prompt), p->answer);
        t->hash = rng_hash(t->hash, &p->level, sizeof p->level);
        t->line_hash = hash_text(t->line_hash, p->line);
    }
    return t;
}

void task_free(struct task *t) {
    if (!t) return;
    for (size_t i = 0; i < t->n_problems; i++) {
        free(t->problems[i].id);
        free(t->problems[i].prompt);
        free(t->problems[i].answer);
        free(t->problems[i].line);
    }
    free(t->problems);
    free(t->name);
    free(t);
}

bool task_grade(struct str answer, const char *key, bool lenient) {
    const struct answer_options options = {.rules = lenient ? ANSWER_QWEN : ANSWER_STRICT};
    struct answer *gold = answer_parse(str_from(key), &options), *given = answer_parse(answer, &options);
    const bool right = answer_equal(gold, given) == ANSWER_EQUAL;
    answer_free(gold);
    answer_free(given);
    return right;
}
