/* template_test.c - what stands behind an `is` in a template. */
#include <string.h>

#include "model/template_impl.h"

static bool is_iterable(const struct value *v) {
    return v->kind == VALUE_TEXT || v->kind == VALUE_LIST || v->kind == VALUE_DICT ||
           v->kind == VALUE_UNDEFINED || v->kind == VALUE_LOOP;
}

static bool is_sequence(const struct value *v) {
    return v->kind == VALUE_UNDEFINED || v->kind == VALUE_TEXT || v->kind == VALUE_DICT ||
           (v->kind == VALUE_LIST && v->list < LIST_VIEW);
}

static bool is_kind(const struct value *v, const char *name) {
    static const struct {
        const char *name;
        enum value_kind kind;
    } kinds[] = {{"none", VALUE_NONE},    {"string", VALUE_TEXT}, {"mapping", VALUE_DICT},
                 {"boolean", VALUE_BOOL}, {"integer", VALUE_INT}, {"undefined", VALUE_UNDEFINED}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(name, kinds[i].name) == 0) return v->kind == kinds[i].kind;
    }
    if (strcmp(name, "defined") == 0) return v->kind != VALUE_UNDEFINED;
    if (strcmp(name, "true") == 0) return v->kind == VALUE_BOOL && v->flag;
    if (strcmp(name, "false") == 0) return v->kind == VALUE_BOOL && !v->flag;
    if (strcmp(name, "number") == 0) return value_is_number(v);
    if (strcmp(name, "iterable") == 0) return is_iterable(v);
    if (strcmp(name, "sequence") == 0) return is_sequence(v);
    return v->kind == VALUE_UNDEFINED || v->kind >= VALUE_MACRO; /* callable; calling the former fails */
}

static bool is_divisible(struct run *r, const struct value *v, int64_t by) {
    int64_t n;
    if (!value_want_int(r, v, "this test", &n)) return false;
    if (by == 0) return run_fail(r, "division by zero"), false;
    return by == -1 || n % by == 0;
}

/* A text in lower (upper) case: with some letter, and none in the other case. */
static bool is_case(struct run *r, const struct value *v, enum text_case how, enum text_case other) {
    struct text t = value_str(r, v), same = text_change_case(r, t, how),
                changed = text_change_case(r, t, other);
    return str_equal(text_str(t), text_str(same)) && !str_equal(text_str(t), text_str(changed));
}

static const char *const kinds[] = {"defined",  "undefined", "none",    "string", "mapping",
                                    "boolean",  "integer",   "true",    "false",  "number",
                                    "iterable", "sequence",  "callable"};

static const struct {
    const char *name, *operator;
} comparisons[] = {{"==", "=="},         {"eq", "=="}, {"equalto", "=="}, {"!=", "!="},
                   {"ne", "!="},         {"<", "<"},   {"lt", "<"},       {"lessthan", "<"},
                   {"<=", "<="},         {"le", "<="}, {">", ">"},        {"gt", ">"},
                   {"greaterthan", ">"}, {">=", ">="}, {"ge", ">="},      {"in", "in"}};

static bool test_alone(struct run *r, struct str name, const struct value *v, bool *found) {
    *found = true;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (str_equal(name, str_from(kinds[i]))) return is_kind(v, kinds[i]);
    }
    if (str_equal(name, STR("even"))) return is_divisible(r, v, 2);
    if (str_equal(name, STR("odd"))) return !is_divisible(r, v, 2) && !r->failed;
    if (str_equal(name, STR("lower"))) return is_case(r, v, CASE_LOWER, CASE_UPPER);
    if (str_equal(name, STR("upper"))) return is_case(r, v, CASE_UPPER, CASE_LOWER);
    return *found = false;
}

bool test_run(struct run *r, struct str name, const struct value *v, const struct args *args) {
    bool found;
    if (r->failed) return false;
    bool is = test_alone(r, name, v, &found);
    if (found && args->n == 0) return is;
    const struct value *other = args->n == 1 ? args->items[0] : NULL;
    for (size_t i = 0; i < ARRAY_LEN(comparisons) && other; i++) {
        if (str_equal(name, str_from(comparisons[i].name)))
            return eval_compare(r, str_from(comparisons[i].operator), v, other);
    }
    if (other && str_equal(name, STR("sameas"))) return v->kind == other->kind && value_equal(v, other);
    if (other && str_equal(name, STR("divisibleby"))) {
        int64_t by;
        return value_want_int(r, other, "divisibleby", &by) && is_divisible(r, v, by);
    }
    run_fail(r, "the test \"%.*s\" with %zu arguments is not supported", (int)MIN(name.len, 40u), name.ptr,
             args->n);
    return false;
}
