/* template_filter.c - what stands behind a | in a template. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/template_impl.h"

/* A field by its path (a.b.0), as filters name it. */
static const struct value *get_path(struct run *r, const struct value *v, const struct value *path) {
    if (path->kind != VALUE_TEXT) return eval_item(r, v, path);
    for (struct str rest = text_str(path->text); rest.len && !r->failed;) {
        const char *dot = memchr(rest.ptr, '.', rest.len);
        struct str part = {rest.ptr, dot ? (size_t)(dot - rest.ptr) : rest.len};
        int64_t number = 0;
        bool is_number = part.len > 0 && part.len < 10;
        for (size_t i = 0; i < part.len; i++) {
            is_number = is_number && part.ptr[i] >= '0' && part.ptr[i] <= '9';
            number = is_number ? number * 10 + (part.ptr[i] - '0') : 0;
        }
        const struct text text = {part.ptr, TEXT_OWN, part.len};
        v = eval_item(r, v, is_number ? value_int(r, number) : value_text(r, text));
        rest = (struct str){rest.ptr + part.len + (dot != NULL), rest.len - part.len - (dot != NULL)};
    }
    return v;
}

/* Arguments from i on, those by name included. */
static struct args rest_of(const struct args *a, size_t i) {
    struct args rest = {.n = 0};
    for (; i < a->n; i++) {
        rest.items[rest.n] = a->items[i];
        rest.names[rest.n++] = a->names[i];
    }
    return rest;
}

/* ---- lists ---- */

/* select, reject, selectattr, rejectattr: those items whose (field's) test, or truth, is as wanted. */
static const struct value *choose(struct run *r, const struct value *v, const struct args *a, bool by_field,
                                  bool wanted) {
    const struct value *items = value_true(v) ? value_items(r, v) : value_list(r, LIST_LIST, 0);
    const struct value *field = by_field ? args_get(a, 0, "") : NULL, *test = args_get(a, by_field, "");
    struct value *chosen = value_list(r, LIST_LAZY, items->n);
    const struct args rest = rest_of(a, (size_t)by_field + 1);
    size_t n = 0;
    struct text name = TEXT_LITERAL("");
    if (by_field && !field) run_fail(r, "selectattr and rejectattr need a field");
    if (test && !value_want_text(r, test, "a test by name", &name)) return value_none();
    for (size_t i = 0; i < chosen->n && !r->failed; i++) {
        const struct value *item = field ? get_path(r, items->items[i], field) : items->items[i];
        bool is = test ? test_run(r, text_str(name), item, &rest) : value_true(item);
        if (is == wanted) chosen->items[n++] = items->items[i];
    }
    if (chosen->n) chosen->n = n;
    return chosen;
}

static const struct value *run_map(struct run *r, const struct value *v, const struct args *a) {
    const struct value *field = args_get(a, SIZE_MAX, "attribute"),
                       *otherwise = args_get(a, SIZE_MAX, "default"), *filter = args_get(a, 0, "");
    const struct value *items = value_true(v) ? value_items(r, v) : value_list(r, LIST_LIST, 0);
    struct value *mapped = value_list(r, LIST_LAZY, items->n);
    const struct args rest = rest_of(a, 1);
    struct text name = TEXT_LITERAL("");
    if (!field && !filter) return run_fail(r, "map needs a filter or attribute="), value_none();
    if (filter && !value_want_text(r, filter, "a filter by name", &name)) return value_none();
    for (size_t i = 0; i < mapped->n && !r->failed; i++) {
        if (filter) {
            mapped->items[i] = filter_run(r, text_str(name), items->items[i], &rest);
            continue;
        }
        mapped->items[i] = get_path(r, items->items[i], field);
        if (otherwise && mapped->items[i]->kind == VALUE_UNDEFINED) mapped->items[i] = otherwise;
    }
    return mapped;
}

static const struct value *run_list(struct run *r, const struct value *v, const struct args *a) {
    const struct value *items = value_items(r, v);
    struct value *list = value_list(r, LIST_LIST, items->n);
    (void)a;
    for (size_t i = 0; i < list->n; i++) list->items[i] = items->items[i];
    return list;
}

static const struct value *run_join(struct run *r, const struct value *v, const struct args *a) {
    static const char *const names[] = {"d", "attribute", NULL};
    const struct value *between = args_get(a, 0, "d"), *field = args_get(a, 1, "attribute");
    const struct value *items = value_items(r, v);
    if (!args_check(r, a, 2, names, "join")) return value_none();
    struct text *parts = run_alloc(r, items->n + 2, sizeof *parts);
    if (!parts) return value_none();
    for (size_t i = 0; i < items->n && !r->failed; i++)
        parts[i] = value_str(r, field ? get_path(r, items->items[i], field) : items->items[i]);
    if (items->n == 0) return value_text(r, TEXT_LITERAL(""));
    struct text d = between ? value_str(r, between) : TEXT_LITERAL("");
    return r->failed ? value_none() : value_text(r, text_join(r, parts, items->n, d));
}

static const struct value *run_reverse(struct run *r, const struct value *v, const struct args *a) {
    (void)a;
    if (v->kind == VALUE_TEXT) return value_text(r, text_reverse(r, v->text));
    const struct value *items = value_items(r, v);
    struct value *list = value_list(r, LIST_LAZY, items->n);
    for (size_t i = 0; i < list->n; i++) list->items[i] = items->items[items->n - 1 - i];
    return list;
}

static const struct value *run_first(struct run *r, const struct value *v, const struct args *a) {
    (void)a;
    const struct value *items = value_items(r, v);
    return items->n ? items->items[0] : value_undefined(r, STR("the first item of nothing"));
}

static const struct value *run_last(struct run *r, const struct value *v, const struct args *a) {
    (void)a;
    if (v->kind == VALUE_LIST && v->list == LIST_LAZY) {
        run_fail(r, "last of what goes through a list is not supported; make a list of it (|list)");
        return value_none();
    }
    const struct value *items = value_items(r, v);
    return items->n ? items->items[items->n - 1] : value_undefined(r, STR("the last item of nothing"));
}

static const struct value *run_length(struct run *r, const struct value *v, const struct args *a) {
    (void)a;
    if (v->kind == VALUE_UNDEFINED) return value_int(r, 0);
    if (v->kind == VALUE_TEXT) return value_int(r, (int64_t)text_length(v->text));
    if (v->kind == VALUE_DICT || (v->kind == VALUE_LIST && v->list != LIST_LAZY))
        return value_int(r, (int64_t)v->n);
    run_fail(r, "%s has no length", v->kind == VALUE_LIST ? "what goes through a list" : value_type(v));
    return value_none();
}

/* ---- sorting ---- */

struct sorting {
    const struct value *item, *key;
};

static int compare_texts(struct text a, struct text b) {
    size_t n = MIN(a.len, b.len);
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return order ? order : a.len < b.len ? -1 : a.len > b.len;
}

static bool goes_before(const struct value *a, const struct value *b) {
    return a->kind == VALUE_TEXT ? compare_texts(a->text, b->text) < 0 : a->integer < b->integer;
}

/* By merging, so that equal ones keep their order; backwards, too. */
static void sort_range(struct sorting *s, struct sorting *spare, size_t n, bool back) {
    size_t half = n / 2, i = 0, k = half, to = 0;
    if (n < 2) return;
    sort_range(s, spare, half, back);
    sort_range(s + half, spare, n - half, back);
    while (i < half || k < n) {
        bool right = i == half ||
                     (k < n && (back ? goes_before(s[i].key, s[k].key) : goes_before(s[k].key, s[i].key)));
        spare[to++] = s[right ? k++ : i++];
    }
    memcpy(s, spare, n * sizeof *s);
}

static const struct value *sort_key(struct run *r, const struct value *v, bool cased) {
    if (v->kind != VALUE_TEXT || cased) return v;
    return value_text(r, text_change_case(r, v->text, CASE_LOWER));
}

static const struct value *sorted(struct run *r, const struct value *items, const struct value *field,
                                  bool cased, bool back) {
    struct sorting *s = run_alloc(r, items->n + 1, sizeof *s),
                   *spare = run_alloc(r, items->n + 1, sizeof *spare);
    struct value *list = value_list(r, LIST_LIST, items->n);
    for (size_t i = 0; i < list->n && s && spare && !r->failed; i++) {
        const struct value *key = field ? get_path(r, items->items[i], field) : items->items[i];
        s[i] = (struct sorting){items->items[i], sort_key(r, key, cased)};
        bool fits = value_is_number(s[i].key) ? value_is_number(s[0].key)
                                              : s[i].key->kind == VALUE_TEXT && s[0].key->kind == VALUE_TEXT;
        if (!fits)
            run_fail(r, "sorting %s among %s is not supported", value_type(s[i].key), value_type(s[0].key));
    }
    if (r->failed || !run_charge(r, items->n * 1024)) return value_none();
    sort_range(s, spare, items->n, back);
    for (size_t i = 0; i < list->n; i++) list->items[i] = s[i].item;
    return list;
}

static bool is_set(const struct args *a, size_t i, const char *name) {
    const struct value *v = args_get(a, i, name);
    return v && value_true(v);
}

static const struct value *run_sort(struct run *r, const struct value *v, const struct args *a) {
    static const char *const names[] = {"reverse", "case_sensitive", "attribute", NULL};
    if (!args_check(r, a, 3, names, "sort")) return value_none();
    return sorted(r, value_items(r, v), args_get(a, 2, "attribute"), is_set(a, 1, "case_sensitive"),
                  is_set(a, 0, "reverse"));
}

static const struct value *pairs_of(struct run *r, const struct value *v, enum list_kind kind) {
    struct value *list = value_list(r, kind, v->n);
    for (size_t i = 0; i < list->n; i++) {
        struct value *pair = value_list(r, LIST_TUPLE, 2);
        if (pair->n < 2) break;
        pair->items[0] = v->pairs[i].key;
        pair->items[1] = v->pairs[i].value;
        list->items[i] = pair;
    }
    return list;
}

static const struct value *run_dictsort(struct run *r, const struct value *v, const struct args *a) {
    static const char *const names[] = {"case_sensitive", "by", "reverse", NULL};
    const struct value *by = args_get(a, 1, "by");
    if (!args_check(r, a, 3, names, "dictsort")) return value_none();
    if (v->kind != VALUE_DICT) return run_fail(r, "dictsort of %s", value_type(v)), value_none();
    bool by_value = by && by->kind == VALUE_TEXT && str_equal(text_str(by->text), STR("value"));
    return sorted(r, pairs_of(r, v, LIST_LIST), value_int(r, by_value), is_set(a, 0, "case_sensitive"),
                  is_set(a, 2, "reverse"));
}

static const struct value *run_items(struct run *r, const struct value *v, const struct args *a) {
    (void)a;
    if (v->kind == VALUE_UNDEFINED) return value_list(r, LIST_LAZY, 0);
    if (v->kind != VALUE_DICT) return run_fail(r, "items of %s", value_type(v)), value_none();
    return pairs_of(r, v, LIST_LAZY);
}

/* ---- texts ---- */

static const struct value *run_trim(struct run *r, const struct value *v, const struct args *a) {
    static const char *const names[] = {"chars", NULL};
    const struct value *given = args_get(a, 0, "chars");
    struct text chars, t = value_str(r, v);
    if (!args_check(r, a, 1, names, "trim")) return value_none();
    if (given && given->kind != VALUE_NONE && !value_want_text(r, given, "trim", &chars)) return value_none();
    t = text_strip(t, given && given->kind != VALUE_NONE ? &chars : NULL, true, true);
    return v->kind == VALUE_TEXT && v->flag ? value_safe(r, t) : value_text(r, t);
}

static const struct value *run_case(struct run *r, const struct value *v, enum text_case how) {
    if (v->kind == VALUE_TEXT && v->flag)
        return run_fail(r, "upper and lower case of a text marked as safe are not supported"), value_none();
    return value_text(r, text_change_case(r, value_str(r, v), how));
}

static const struct value *run_upper(struct run *r, const struct value *v, const struct args *a) {
    return (void)a, run_case(r, v, CASE_UPPER);
}
static const struct value *run_lower(struct run *r, const struct value *v, const struct args *a) {
    return (void)a, run_case(r, v, CASE_LOWER);
}
static const struct value *run_title(struct run *r, const struct value *v, const struct args *a) {
    return (void)a, run_case(r, v, CASE_TITLE_FILTER);
}
static const struct value *run_capitalize(struct run *r, const struct value *v, const struct args *a) {
    return (void)a, run_case(r, v, CASE_CAPITAL);
}

static const struct value *run_string(struct run *r, const struct value *v, const struct args *a) {
    (void)a;
    return v->kind == VALUE_TEXT ? v : value_text(r, value_str(r, v));
}

static const struct value *run_safe(struct run *r, const struct value *v, const struct args *a) {
    (void)a;
    return value_safe(r, value_str(r, v));
}

static const struct value *run_replace(struct run *r, const struct value *v, const struct args *a) {
    static const char *const names[] = {"old", "new", "count", NULL};
    const struct value *from = args_get(a, 0, "old"), *to = args_get(a, 1, "new"),
                       *count = args_get(a, 2, "count");
    int64_t n = -1;
    if (!args_check(r, a, 3, names, "replace")) return value_none();
    if (!from || !to || (v->kind == VALUE_TEXT && v->flag))
        return run_fail(r, "replace needs two texts, and one that is not marked as safe"), value_none();
    if (count && count->kind != VALUE_NONE && !value_want_int(r, count, "replace", &n)) return value_none();
    return value_text(r, text_replace(r, value_str(r, v), value_str(r, from), value_str(r, to), n));
}

/* Lines behind the first are indented, unless they are empty. */
static const struct value *run_indent(struct run *r, const struct value *v, const struct args *a) {
    static const char *const names[] = {"width", "first", "blank", NULL};
    const struct value *width = args_get(a, 0, "width");
    bool first = is_set(a, 1, "first"), blank = is_set(a, 2, "blank");
    int64_t n = 4;
    struct text t, indent;
    if (!args_check(r, a, 3, names, "indent") || !value_want_text(r, v, "indent", &t)) return value_none();
    if (width && width->kind != VALUE_TEXT && !value_want_int(r, width, "indent", &n)) return value_none();
    indent = width && width->kind == VALUE_TEXT
                 ? width->text
                 : eval_binary(r, STR("*"), value_text(r, TEXT_LITERAL(" ")), value_int(r, n))->text;
    struct text with_end[] = {t, TEXT_LITERAL("\n")};
    const struct value *lines = text_lines(r, text_join(r, with_end, 2, TEXT_LITERAL("")), false);
    struct text *parts = run_alloc(r, lines->n + 1, sizeof *parts);
    for (size_t i = 0; parts && i < lines->n && !r->failed; i++) {
        struct text line = lines->items[i]->text, both[] = {indent, line};
        bool indents = i == 0 ? first : blank || line.len > 0;
        parts[i] = indents ? text_join(r, both, 2, TEXT_LITERAL("")) : line;
    }
    return r->failed ? value_none() : value_text(r, text_join(r, parts, lines->n, TEXT_LITERAL("\n")));
}

/* ---- others ---- */

static const struct value *run_default(struct run *r, const struct value *v, const struct args *a) {
    static const char *const names[] = {"default_value", "boolean", NULL};
    const struct value *otherwise = args_get(a, 0, "default_value");
    if (!args_check(r, a, 2, names, "default")) return value_none();
    bool missing = v->kind == VALUE_UNDEFINED || (is_set(a, 1, "boolean") && !value_true(v));
    return !missing ? v : otherwise ? otherwise : value_text(r, TEXT_LITERAL(""));
}

static const struct value *run_int(struct run *r, const struct value *v, const struct args *a) {
    static const char *const names[] = {"default", NULL};
    const struct value *otherwise = args_get(a, 0, "default");
    if (!args_check(r, a, 1, names, "int")) return value_none();
    if (v->kind == VALUE_UNDEFINED) return run_fail(r, "int of what is not defined"), value_none();
    if (value_is_number(v)) return value_int(r, v->integer);
    struct text t = v->kind == VALUE_TEXT ? text_strip(v->text, NULL, true, true) : TEXT_LITERAL("");
    size_t at = t.len && (t.ptr[0] == '-' || t.ptr[0] == '+');
    int64_t n = 0;
    bool digits = t.len > at && t.len - at <= 18;
    for (size_t i = at; digits && i < t.len; i++) {
        digits = t.ptr[i] >= '0' && t.ptr[i] <= '9';
        n = n * 10 + (t.ptr[i] - '0');
    }
    if (!digits && t.len && (t.ptr[at] == '_' || (t.ptr[at] >= '0' && t.ptr[at] <= '9')))
        return run_fail(r, "int of \"%.*s\" is not supported", (int)MIN(t.len, 40u), t.ptr), value_none();
    if (digits) return value_int(r, t.ptr[0] == '-' ? -n : n);
    return otherwise ? otherwise : value_int(r, 0);
}

static const struct value *run_tojson(struct run *r, const struct value *v, const struct args *a) {
    return value_text(r, value_json(r, v, a));
}

static const struct value *run_select(struct run *r, const struct value *v, const struct args *a) {
    return choose(r, v, a, false, true);
}
static const struct value *run_reject(struct run *r, const struct value *v, const struct args *a) {
    return choose(r, v, a, false, false);
}
static const struct value *run_selectattr(struct run *r, const struct value *v, const struct args *a) {
    return choose(r, v, a, true, true);
}
static const struct value *run_rejectattr(struct run *r, const struct value *v, const struct args *a) {
    return choose(r, v, a, true, false);
}

static const struct filter {
    const char *name;
    const struct value *(*run)(struct run *r, const struct value *v, const struct args *a);
    bool takes_none; /* no arguments at all */
} filters[] = {
    {"capitalize", run_capitalize, true},
    {"count", run_length, true},
    {"d", run_default, false},
    {"default", run_default, false},
    {"dictsort", run_dictsort, false},
    {"first", run_first, true},
    {"indent", run_indent, false},
    {"int", run_int, false},
    {"items", run_items, true},
    {"join", run_join, false},
    {"last", run_last, true},
    {"length", run_length, true},
    {"list", run_list, true},
    {"lower", run_lower, true},
    {"map", run_map, false},
    {"reject", run_reject, false},
    {"rejectattr", run_rejectattr, false},
    {"replace", run_replace, false},
    {"reverse", run_reverse, true},
    {"safe", run_safe, true},
    {"select", run_select, false},
    {"selectattr", run_selectattr, false},
    {"sort", run_sort, false},
    {"string", run_string, true},
    {"title", run_title, true},
    {"tojson", run_tojson, false},
    {"trim", run_trim, false},
    {"upper", run_upper, true},
};

const struct value *filter_run(struct run *r, struct str name, const struct value *v,
                               const struct args *args) {
    static const char *const no_names[] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        if (!str_equal(name, str_from(filters[i].name))) continue;
        if (filters[i].takes_none && !args_check(r, args, 0, no_names, filters[i].name)) return value_none();
        return run_charge(r, v->kind == VALUE_TEXT ? v->text.len : v->n) ? filters[i].run(r, v, args)
                                                                         : value_none();
    }
    run_fail(r, "the filter \"%.*s\" is not supported", (int)MIN(name.len, 40u), name.ptr);
    return value_none();
}
