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

static const char *const id_keys[] = {"id", "task_id", "unique_id", NULL};
static const char *const prompt_keys[] = {"prompt", "problem", "question", "Problem", "Question", NULL};
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

char *task_public_line(const json_t *line) {
    json_t *o = json_copy((json_t *)(uintptr_t)line); /* shallow */
    for (const char *const *key = answer_keys; *key; key++) json_object_del(o, *key);
    for (const char *const *key = reference_keys; *key; key++) json_object_del(o, *key);
    char *text = json_line(o);
    json_decref(o);
    return text;
}

static bool read_problem(struct task *t, const json_t *line, size_t number, const char *where,
                         struct err *e) {
    if (!json_is_object(line)) return err_set(e, ERR_INPUT, "%s: a problem is a JSON object", where);
    const json_t *id = first_of(line, id_keys), *prompt = first_of(line, prompt_keys),
                 *answer = first_of(line, answer_keys);
    if (!json_is_string(prompt))
        return err_set(e, ERR_INPUT, "%s: no prompt: a problem needs \"prompt\", \"problem\" or \"question\"",
                       where);
    struct task_problem p = {
        .prompt = mem_strdup(json_string_value(prompt)),
        .has_tests = !answer && (json_object_get(line, "entry_point") || json_object_get(line, "tests") ||
                                 json_object_get(line, "test")),
    };
    if (str_trim(str_from(p.prompt)).len == 0) {
        free(p.prompt);
        return err_set(e, ERR_INPUT, "%s: the prompt is empty", where);
    }
    if (!read_level(line, &p.level, where, e)) {
        free(p.prompt);
        return false;
    }
    p.id = id ? scalar_text(id) : NULL;
    if (!p.id) {
        struct buf b = {0};
        buf_printf(&b, "line %zu", number);
        p.id = buf_take(&b);
    }
    p.answer = answer ? scalar_text(answer) : NULL;
    if (p.answer) p.answer = answer_key_of(p.answer);
    p.line = task_public_line(line);
    MEM_GROW(t->problems, t->cap, t->n_problems + 1);
    t->problems[t->n_problems++] = p;
    return true;
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
        json_t *v = json_parse(line, buf_cstr(&where), e);
        ok = v && read_problem(t, v, file_lines_number(f), buf_cstr(&where), e);
        if (ok && !map_put(ids, str_from(t->problems[t->n_problems - 1].id), 0)) {
            ok = err_set(e, ERR_INPUT, "%s: the id \"%s\" appears twice", buf_cstr(&where),
                         t->problems[t->n_problems - 1].id);
        }
        json_decref(v);
        buf_free(&where);
    }
    map_free(ids);
    file_lines_close(f);
    if (ok && got >= 0 && t->n_problems == 0) ok = err_set(e, ERR_INPUT, "%s: no problems in it", path);
    return ok && got >= 0;
}

struct task *task_open(const char *spec, size_t n_max, struct err *e) {
    char *path;
    if (strncmp(spec, "lab:", 4) == 0) {
        struct buf name = {0};
        buf_printf(&name, "tasks/%s.jsonl", spec + 4);
        path = share_path(buf_cstr(&name), e);
        buf_free(&name);
        if (!path) return NULL;
    } else {
        path = mem_strdup(spec);
    }
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
