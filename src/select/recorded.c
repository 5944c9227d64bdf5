/* recorded.c - see recorded.h. A line is parsed, its layout seen, each solution's fields looked up under all
 * their names. */
#include "select/recorded.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"

/* A list of names for one field ends in NULL; the first that is there and not null counts. */
static const char *const problem_names[] = {"problem", "problem_id", "id", "unique_id",
                                            "task_id", "idx",        NULL};
static const char *const gold_names[] = {"gold", "ground_truth", NULL};
static const char *const text_names[] = {"text", "response", "completion", "solution", "sample", NULL};
static const char *const texts_names[] = {"texts", "responses", "completions", "samples", NULL};
static const char *const rewards_names[] = {"rewards", "reward", "scores", "score", NULL};
static const char *const verified_names[] = {"verified", "passed", NULL};
static const char *const right_names[] = {"right", "correct", "is_correct", NULL};

static const json_t *field(const json_t *object, const char *const *names, const char **name) {
    for (; *names; names++) {
        const json_t *v = json_object_get(object, *names);
        *name = *names;
        if (v && !json_is_null(v)) return v;
    }
    return NULL;
}

static bool wrong(const char *where, const char *name, const char *wanted, struct err *e) {
    return err_set(e, ERR_INPUT, "%s: \"%s\" must be %s", where, name, wanted);
}

/* ---- one field each; a value of NULL is a field that is not there ---- */
static bool take_string(const json_t *v, const char *name, char **out, const char *where, struct err *e) {
    if (!v || json_is_null(v)) return true;
    char number[32];
    const char *text = json_string_value(v);
    if (json_is_integer(v)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
        text = number;
    }
    if (!text) return wrong(where, name, "a string", e);
    if (!*out) *out = mem_strdup(text);
    return true;
}

static bool take_bool(const json_t *v, const char *name, int *out, const char *where, struct err *e) {
    if (!v || json_is_null(v)) return true;
    if (json_is_boolean(v))
        *out = json_is_true(v);
    else if (json_is_integer(v) && (json_integer_value(v) == 0 || json_integer_value(v) == 1))
        *out = (int)json_integer_value(v);
    else
        return wrong(where, name, "true, false or null", e);
    return true;
}

static bool take_reward(const json_t *v, const char *name, float *out, const char *where, struct err *e) {
    if (!json_is_number(v)) return wrong(where, name, "a number or a list of numbers", e);
    *out = (float)json_number_value(v);
    if (isfinite(*out)) return true;
    return err_set(e, ERR_INPUT, "%s: \"%s\" holds a number that is too large", where, name);
}

/* A number is one of the whole solution: a reward of one step. */
static bool take_reals(const json_t *v, const char *name, float **out, int *n_out, const char *where,
                       struct err *e) {
    if (!v || json_is_null(v)) return true;
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n == 0) return true;
    *out = mem_alloc(n * sizeof **out);
    *n_out = (int)n; /* a line has 64 MiB at most */
    for (size_t i = 0; i < n; i++)
        if (!take_reward(json_is_array(v) ? json_array_get(v, i) : v, name, &(*out)[i], where, e))
            return false;
    return true;
}

static bool take_rewards(const json_t *v, const char *name, struct recorded_solution *s, const char *where,
                         struct err *e) {
    return take_reals(v, name, &s->rewards, &s->n_rewards, where, e);
}

static bool take_confidences(const json_t *v, struct recorded_solution *s, const char *where, struct err *e) {
    return take_reals(v, "confidences", &s->confidences, &s->n_confidences, where, e);
}

/* 3, or "Level 3". */
static bool take_level(const json_t *v, int *out, const char *where, struct err *e) {
    if (!v || json_is_null(v)) return true;
    json_int_t level = json_integer_value(v);
    if (json_is_string(v)) {
        const char *text = json_string_value(v);
        while (*text && (*text < '0' || *text > '9')) text++;
        level = *text ? strtol(text, NULL, 10) : 0;
    } else if (!json_is_integer(v)) {
        return wrong(where, "level", "a whole number, or text like \"Level 3\"", e);
    }
    if (level < 0 || level > 1000000) return wrong(where, "level", "from 0 to 1000000", e);
    *out = (int)level;
    return true;
}

/* ---- problems and solutions ---- */
void recorded_init(struct recorded *r) {
    *r = (struct recorded){.by_id = map_new(16)};
}

static void solution_fini(struct recorded_solution *s) {
    free(s->path);
    free(s->text);
    free(s->answer);
    free(s->rewards);
    free(s->confidences);
}

void recorded_fini(struct recorded *r) {
    for (size_t i = 0; i < r->n_problems; i++) {
        struct recorded_problem *p = &r->problems[i];
        for (size_t k = 0; k < p->n_solutions; k++) solution_fini(&p->solutions[k]);
        free(p->solutions);
        free(p->id);
        free(p->gold);
    }
    free(r->problems);
    map_free(r->by_id);
    *r = (struct recorded){0};
}

static struct recorded_problem *problem_of(struct recorded *r, const json_t *line, const char *where,
                                           struct err *e) {
    const char *name;
    char *id = NULL;
    const json_t *v = field(line, problem_names, &name);
    if (!v) {
        err_set(e, ERR_INPUT, "%s: no problem is named: expected \"problem\" or \"id\"", where);
        return NULL;
    }
    if (!take_string(v, name, &id, where, e)) return NULL;
    uint32_t at;
    if (!map_get(r->by_id, str_from(id), &at)) {
        ASSERT(r->n_problems < UINT32_MAX);
        at = (uint32_t)r->n_problems;
        bool is_new = map_put(r->by_id, str_from(id), at);
        ASSERT(is_new);
        MEM_GROW(r->problems, r->cap, r->n_problems + 1);
        r->problems[r->n_problems++] = (struct recorded_problem){.id = id};
    } else {
        free(id);
    }
    struct recorded_problem *p = &r->problems[at];
    v = field(line, gold_names, &name);
    if (!take_string(v, name, &p->gold, where, e)) return NULL;
    return take_level(json_object_get(line, "level"), &p->level, where, e) ? p : NULL;
}

/* Takes ownership of what s holds. */
static bool add_solution(struct recorded_problem *p, struct recorded_solution *s, const char *where,
                         struct err *e) {
    if (!s->text && !s->answer) {
        solution_fini(s);
        return err_set(e, ERR_INPUT, "%s: a solution has neither \"text\" nor \"answer\"", where);
    }
    if (!s->path) {
        char place[24];
        snprintf(place, sizeof place, "%zu", p->n_solutions);
        s->path = mem_strdup(place);
    }
    MEM_GROW(p->solutions, p->cap, p->n_solutions + 1);
    p->solutions[p->n_solutions++] = *s;
    return true;
}

static void set_flags(struct recorded_solution *s, int complete, int verified, int right) {
    s->complete = complete != 0;
    s->verified = verified < 0 ? SELECT_UNKNOWN : verified ? SELECT_VERIFIED : SELECT_REJECTED;
    s->right = (enum recorded_right)right;
}

/* ---- the layouts ---- */
static bool add_object(struct recorded_problem *p, const json_t *o, const char *where, struct err *e) {
    struct recorded_solution s = {0};
    int complete = 1, verified = -1, right = -1;
    const char *name;
    const json_t *v = field(o, text_names, &name);
    bool ok = take_string(v, name, &s.text, where, e);
    ok = ok && take_string(json_object_get(o, "path"), "path", &s.path, where, e);
    ok = ok && take_string(json_object_get(o, "answer"), "answer", &s.answer, where, e);
    v = field(o, rewards_names, &name);
    ok = ok && take_rewards(v, name, &s, where, e);
    ok = ok && take_confidences(json_object_get(o, "confidences"), &s, where, e);
    ok = ok && take_bool(json_object_get(o, "complete"), "complete", &complete, where, e);
    v = field(o, verified_names, &name);
    ok = ok && take_bool(v, name, &verified, where, e);
    v = field(o, right_names, &name);
    ok = ok && take_bool(v, name, &right, where, e);
    if (!ok) {
        solution_fini(&s);
        return false;
    }
    set_flags(&s, complete, verified, right);
    return add_solution(p, &s, where, e);
}

static bool add_objects(struct recorded_problem *p, const json_t *line, const char *where, struct err *e) {
    const json_t *list = json_object_get(line, "solutions");
    char here[300];
    if (!take_string(json_object_get(line, "answer"), "answer", &p->gold, where, e)) return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        snprintf(here, sizeof here, "%.240s, solution %zu", where, i);
        if (!json_is_object(o)) return err_set(e, ERR_INPUT, "%s: expected an object", here);
        if (!add_object(p, o, here, e)) return false;
    }
    return true;
}

enum { TEXTS, ANSWERS, REWARDS, CONFIDENCE_LISTS, COMPLETE, VERIFIED, RIGHT, COLUMNS };

struct columns {
    const json_t *list[COLUMNS];
    const char *name[COLUMNS];
};

/* The lists of a line whose solutions are columns; they must be equally long. */
static bool find_columns(const json_t *line, struct columns *c, size_t *n, const char *where, struct err *e) {
    static const char *const answers[] = {"answers", NULL}, *const complete[] = {"complete", NULL};
    static const char *const confidences[] = {"confidences", NULL};
    const char *const *const names[COLUMNS] = {[TEXTS] = texts_names,     [ANSWERS] = answers,
                                               [REWARDS] = rewards_names, [CONFIDENCE_LISTS] = confidences,
                                               [COMPLETE] = complete,     [VERIFIED] = verified_names,
                                               [RIGHT] = right_names};
    bool any = false;
    for (int i = 0; i < COLUMNS; i++) {
        c->list[i] = field(line, names[i], &c->name[i]);
        if (!c->list[i]) continue;
        if (!json_is_array(c->list[i])) return wrong(where, c->name[i], "a list, as the solutions are", e);
        size_t length = json_array_size(c->list[i]);
        if (any && length != *n)
            return err_set(e, ERR_INPUT, "%s: \"%s\" has %zu entries where others have %zu", where,
                           c->name[i], length, *n);
        *n = length;
        any = true;
    }
    return true;
}

static bool add_column(struct recorded_problem *p, const struct columns *c, size_t i, const char *where,
                       struct err *e) {
    struct recorded_solution s = {0};
    int complete = 1, verified = -1, right = -1;
    const json_t *v[COLUMNS];
    for (int k = 0; k < COLUMNS; k++) v[k] = c->list[k] ? json_array_get(c->list[k], i) : NULL;
    bool ok = take_string(v[TEXTS], c->name[TEXTS], &s.text, where, e) &&
              take_string(v[ANSWERS], c->name[ANSWERS], &s.answer, where, e) &&
              take_rewards(v[REWARDS], c->name[REWARDS], &s, where, e) &&
              take_confidences(v[CONFIDENCE_LISTS], &s, where, e) &&
              take_bool(v[COMPLETE], c->name[COMPLETE], &complete, where, e) &&
              take_bool(v[VERIFIED], c->name[VERIFIED], &verified, where, e) &&
              take_bool(v[RIGHT], c->name[RIGHT], &right, where, e);
    if (!ok) {
        solution_fini(&s);
        return false;
    }
    set_flags(&s, complete, verified, right);
    return add_solution(p, &s, where, e);
}

static bool add_columns(struct recorded_problem *p, const json_t *line, const char *where, struct err *e) {
    struct columns c;
    size_t n = 0;
    char here[300];
    if (!take_string(json_object_get(line, "answer"), "answer", &p->gold, where, e)) return false;
    if (!find_columns(line, &c, &n, where, e)) return false;
    for (size_t i = 0; i < n; i++) {
        snprintf(here, sizeof here, "%.240s, solution %zu", where, i);
        if (!add_column(p, &c, i, here, e)) return false;
    }
    return true;
}

bool recorded_add_line(struct recorded *r, struct str line, const char *where, struct err *e) {
    json_t *o = json_parse(line, where, e);
    bool ok = false;
    const char *name;
    if (!o) return false;
    if (!json_is_object(o)) {
        err_set(e, ERR_INPUT, "%s: expected an object: a problem with its solutions, or one solution", where);
        goto done;
    }
    ok = json_is_object(json_object_get(o, "configuration")); /* an export's first line has no solutions */
    struct recorded_problem *p = ok ? NULL : problem_of(r, o, where, e);
    if (!p) goto done;
    if (json_is_array(json_object_get(o, "solutions")))
        ok = add_objects(p, o, where, e);
    else if (json_is_array(json_object_get(o, "answers")) || json_is_array(field(o, texts_names, &name)))
        ok = add_columns(p, o, where, e);
    else
        ok = add_object(p, o, where, e);
done:
    json_decref(o);
    return ok;
}

bool recorded_read(struct recorded *r, const char *path, struct err *e) {
    struct file_lines *f = file_lines_open(path, e);
    struct str line;
    char where[300];
    int more;
    if (!f) return false;
    while ((more = file_lines_next(f, &line, e)) > 0) {
        if (str_trim(line).len == 0) continue;
        snprintf(where, sizeof where, "%.250s:%zu", path, file_lines_number(f));
        if (!recorded_add_line(r, line, where, e)) {
            more = -1;
            break;
        }
    }
    file_lines_close(f);
    return more == 0;
}

struct select_solution *recorded_view(const struct recorded_problem *p, struct select_classes *c) {
    struct select_solution *view = mem_zalloc(p->n_solutions, sizeof *view);
    for (size_t i = 0; i < p->n_solutions; i++) {
        const struct recorded_solution *s = &p->solutions[i];
        view[i] = (struct select_solution){
            .answer_class = s->answer ? select_classes_add_answer(c, str_from(s->answer))
                                      : select_classes_add(c, str_from(s->text)),
            .complete = s->complete,
            .rewards = s->rewards,
            .n_rewards = s->n_rewards,
            .verified = s->verified,
        };
    }
    return view;
}

void recorded_set_confidences(const struct recorded_problem *p, const struct select_confidence *how,
                              struct select_solution *view) {
    struct select_tokens *tokens = mem_zalloc(p->n_solutions, sizeof *tokens);
    for (size_t i = 0; i < p->n_solutions; i++)
        tokens[i] = (struct select_tokens){p->solutions[i].confidences, p->solutions[i].n_confidences};
    select_set_confidences(view, tokens, (int)p->n_solutions, how);
    free(tokens);
}
