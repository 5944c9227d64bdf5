/* template_method.c - methods of texts, objects, lists and loops, and the functions of templates. */
#include <stdio.h>
#include <string.h>

#include "model/chat.h"
#include "model/template_impl.h"

enum { RANGE_MAX = 100000 };

typedef const struct value *method(struct run *r, const struct value *self, const struct args *a);

static const char *const no_names[] = {NULL};

/* ---- texts ---- */

/* An optional text: *out is NULL where it is missing or none. */
static bool get_text(struct run *r, const struct args *a, size_t i, const char *name, struct text *store,
                     const struct text **out) {
    const struct value *v = args_get(a, i, name);
    *out = NULL;
    if (!v || v->kind == VALUE_NONE) return true;
    *out = store;
    return value_want_text(r, v, "a method of texts", store);
}

static bool get_int(struct run *r, const struct args *a, size_t i, const char *name, int64_t *out) {
    const struct value *v = args_get(a, i, name);
    return !v || value_want_int(r, v, "a method of texts", out);
}

static const struct value *strip(struct run *r, const struct value *self, const struct args *a, bool left,
                                 bool right) {
    struct text store;
    const struct text *chars;
    if (!args_check(r, a, 1, no_names, "strip") || !get_text(r, a, 0, "", &store, &chars))
        return value_none();
    return value_text(r, text_strip(self->text, chars, left, right));
}

static const struct value *text_strip_both(struct run *r, const struct value *self, const struct args *a) {
    return strip(r, self, a, true, true);
}
static const struct value *text_lstrip(struct run *r, const struct value *self, const struct args *a) {
    return strip(r, self, a, true, false);
}
static const struct value *text_rstrip(struct run *r, const struct value *self, const struct args *a) {
    return strip(r, self, a, false, true);
}

static const struct value *split(struct run *r, const struct value *self, const struct args *a,
                                 bool from_end) {
    static const char *const names[] = {"sep", "maxsplit", NULL};
    struct text store;
    const struct text *by;
    int64_t count = -1;
    if (!args_check(r, a, 2, names, "split") || !get_text(r, a, 0, "sep", &store, &by) ||
        !get_int(r, a, 1, "maxsplit", &count))
        return value_none();
    return text_split(r, self->text, by, count, from_end);
}

static const struct value *text_split_left(struct run *r, const struct value *self, const struct args *a) {
    return split(r, self, a, false);
}
static const struct value *text_rsplit(struct run *r, const struct value *self, const struct args *a) {
    return split(r, self, a, true);
}

/* startswith, endswith: one text, or a tuple of which one fits. */
static const struct value *has_end(struct run *r, const struct value *self, const struct args *a,
                                   bool start) {
    const struct value *v = args_get(a, 0, "");
    if (!args_check(r, a, 1, no_names, "startswith or endswith")) return value_none();
    if (!v) return run_fail(r, "startswith and endswith need a text"), value_none();
    bool many = v->kind == VALUE_LIST && v->list == LIST_TUPLE, found = false;
    for (size_t i = 0; i < (many ? v->n : 1) && !r->failed; i++) {
        struct text t;
        if (!value_want_text(r, many ? v->items[i] : v, "startswith or endswith", &t)) break;
        found |= start ? str_starts(text_str(self->text), text_str(t))
                       : str_ends(text_str(self->text), text_str(t));
    }
    return value_bool(found);
}

static const struct value *text_startswith(struct run *r, const struct value *self, const struct args *a) {
    return has_end(r, self, a, true);
}
static const struct value *text_endswith(struct run *r, const struct value *self, const struct args *a) {
    return has_end(r, self, a, false);
}

static const struct value *text_replaced(struct run *r, const struct value *self, const struct args *a) {
    struct text stores[2];
    const struct text *from, *to;
    int64_t count = -1;
    if (!args_check(r, a, 3, no_names, "replace") || !get_text(r, a, 0, "", &stores[0], &from) ||
        !get_text(r, a, 1, "", &stores[1], &to) || !get_int(r, a, 2, "", &count))
        return value_none();
    if (!from || !to) return run_fail(r, "replace needs two texts"), value_none();
    return value_text(r, text_replace(r, self->text, *from, *to, count));
}

static const struct value *change_case(struct run *r, const struct value *self, const struct args *a,
                                       enum text_case how) {
    if (!args_check(r, a, 0, no_names, "a change of case")) return value_none();
    return value_text(r, text_change_case(r, self->text, how));
}

static const struct value *text_upper(struct run *r, const struct value *self, const struct args *a) {
    return change_case(r, self, a, CASE_UPPER);
}
static const struct value *text_lower(struct run *r, const struct value *self, const struct args *a) {
    return change_case(r, self, a, CASE_LOWER);
}
static const struct value *text_title(struct run *r, const struct value *self, const struct args *a) {
    return change_case(r, self, a, CASE_TITLE);
}
static const struct value *text_capitalize(struct run *r, const struct value *self, const struct args *a) {
    return change_case(r, self, a, CASE_CAPITAL);
}

static const struct value *text_joined(struct run *r, const struct value *self, const struct args *a) {
    const struct value *v = args_get(a, 0, "");
    if (!args_check(r, a, 1, no_names, "join")) return value_none();
    if (!v) return run_fail(r, "join needs a list"), value_none();
    const struct value *items = value_items(r, v);
    struct text *parts = run_alloc(r, items->n + 1, sizeof *parts);
    for (size_t i = 0; parts && i < items->n && !r->failed; i++)
        if (!value_want_text(r, items->items[i], "join", &parts[i])) break;
    if (items->n == 0 || r->failed) return value_text(r, TEXT_LITERAL(""));
    return value_text(r, text_join(r, parts, items->n, self->text));
}

/* Where a text is found, in characters, or -1. */
static const struct value *find(struct run *r, const struct value *self, const struct args *a,
                                bool from_end) {
    struct text store;
    const struct text *what;
    if (!args_check(r, a, 1, no_names, "find") || !get_text(r, a, 0, "", &store, &what)) return value_none();
    if (!what) return run_fail(r, "find needs a text"), value_none();
    const struct str in = text_str(self->text);
    ptrdiff_t at = from_end ? str_find_last(in, text_str(*what)) : str_find(in, text_str(*what));
    return value_int(r, at < 0 ? -1 : (int64_t)text_length(text_slice(self->text, 0, (size_t)at)));
}

static const struct value *text_find(struct run *r, const struct value *self, const struct args *a) {
    return find(r, self, a, false);
}
static const struct value *text_rfind(struct run *r, const struct value *self, const struct args *a) {
    return find(r, self, a, true);
}

static const struct value *text_count(struct run *r, const struct value *self, const struct args *a) {
    struct text store, t = self->text;
    const struct text *what;
    int64_t n = 0;
    if (!args_check(r, a, 1, no_names, "count") || !get_text(r, a, 0, "", &store, &what)) return value_none();
    if (!what) return run_fail(r, "count needs a text"), value_none();
    if (what->len == 0) return value_int(r, (int64_t)text_length(t) + 1);
    for (ptrdiff_t at; (at = str_find(text_str(t), text_str(*what))) >= 0; n++)
        t = text_slice(t, (size_t)at + what->len, t.len);
    return value_int(r, n);
}

static const struct value *text_splitlines(struct run *r, const struct value *self, const struct args *a) {
    static const char *const names[] = {"keepends", NULL};
    const struct value *keep = args_get(a, 0, "keepends");
    if (!args_check(r, a, 1, names, "splitlines")) return value_none();
    return text_lines(r, self->text, keep && value_true(keep));
}

static const struct value *without_end(struct run *r, const struct value *self, const struct args *a,
                                       bool start) {
    struct text store, t = self->text;
    const struct text *end;
    if (!args_check(r, a, 1, no_names, "removeprefix or removesuffix") ||
        !get_text(r, a, 0, "", &store, &end))
        return value_none();
    if (!end) return run_fail(r, "removeprefix and removesuffix need a text"), value_none();
    if (start && str_starts(text_str(t), text_str(*end))) t = text_slice(t, end->len, t.len);
    if (!start && str_ends(text_str(t), text_str(*end))) t = text_slice(t, 0, t.len - end->len);
    return value_text(r, t);
}

static const struct value *text_removeprefix(struct run *r, const struct value *self, const struct args *a) {
    return without_end(r, self, a, true);
}
static const struct value *text_removesuffix(struct run *r, const struct value *self, const struct args *a) {
    return without_end(r, self, a, false);
}

/* ---- objects and lists ---- */

static const struct value *dict_get(struct run *r, const struct value *self, const struct args *a) {
    const struct value *key = args_get(a, 0, ""), *otherwise = args_get(a, 1, "");
    if (!args_check(r, a, 2, no_names, "get")) return value_none();
    if (!key) return run_fail(r, "get needs a key"), value_none();
    if (!value_want_key(r, key)) return value_none();
    for (size_t i = 0; i < self->n && run_charge(r, 16); i++) {
        if (value_equal(self->pairs[i].key, key)) return self->pairs[i].value;
    }
    return otherwise ? otherwise : value_none();
}

enum side { SIDE_KEYS, SIDE_VALUES, SIDE_BOTH };

static const struct value *view(struct run *r, const struct value *self, const struct args *a,
                                enum side side) {
    if (!args_check(r, a, 0, no_names, "a view of an object")) return value_none();
    struct value *v = value_list(r, LIST_VIEW, self->n);
    for (size_t i = 0; i < v->n; i++) {
        const struct pair p = self->pairs[i];
        struct value *both = side == SIDE_BOTH ? value_list(r, LIST_TUPLE, 2) : NULL;
        if (both && both->n == 2) {
            both->items[0] = p.key;
            both->items[1] = p.value;
        }
        v->items[i] = both ? both : side == SIDE_KEYS ? p.key : p.value;
    }
    return v;
}

static const struct value *dict_keys(struct run *r, const struct value *self, const struct args *a) {
    return view(r, self, a, SIDE_KEYS);
}
static const struct value *dict_values(struct run *r, const struct value *self, const struct args *a) {
    return view(r, self, a, SIDE_VALUES);
}
static const struct value *dict_items(struct run *r, const struct value *self, const struct args *a) {
    return view(r, self, a, SIDE_BOTH);
}

static const struct value *list_count(struct run *r, const struct value *self, const struct args *a) {
    int64_t n = 0;
    if (!args_check(r, a, 1, no_names, "count")) return value_none();
    for (size_t i = 0; a->n && i < self->n && run_charge(r, 64); i++)
        n += value_equal(self->items[i], a->items[0]);
    return value_int(r, n);
}

static const struct value *list_index(struct run *r, const struct value *self, const struct args *a) {
    if (!args_check(r, a, 1, no_names, "index")) return value_none();
    for (size_t i = 0; a->n && i < self->n && run_charge(r, 64); i++) {
        if (value_equal(self->items[i], a->items[0])) return value_int(r, (int64_t)i);
    }
    return run_fail(r, "index of what is not in the list"), value_none();
}

static const struct value *no_change(struct run *r, const struct value *self, const struct args *a) {
    (void)a;
    return run_fail(r, "a template cannot change %s", value_type(self)), value_none();
}

/* ---- loops ---- */

static const struct value *loop_cycle(struct run *r, const struct value *self, const struct args *a) {
    if (a->n == 0) return run_fail(r, "loop.cycle needs something"), value_none();
    return a->items[self->loop->i % a->n];
}

static const struct value *loop_changed(struct run *r, const struct value *self, const struct args *a) {
    struct value *given = value_list(r, LIST_TUPLE, a->n);
    for (size_t i = 0; i < given->n; i++) given->items[i] = a->items[i];
    bool changed = !self->loop->changed || !value_equal(self->loop->changed, given);
    self->loop->changed = given;
    return value_bool(changed);
}

/* ---- the table ---- */

static const struct {
    enum value_kind kind;
    const char *name;
    method *run;
} methods[] = {
    {VALUE_TEXT, "capitalize", text_capitalize},
    {VALUE_TEXT, "count", text_count},
    {VALUE_TEXT, "endswith", text_endswith},
    {VALUE_TEXT, "find", text_find},
    {VALUE_TEXT, "join", text_joined},
    {VALUE_TEXT, "lower", text_lower},
    {VALUE_TEXT, "lstrip", text_lstrip},
    {VALUE_TEXT, "removeprefix", text_removeprefix},
    {VALUE_TEXT, "removesuffix", text_removesuffix},
    {VALUE_TEXT, "replace", text_replaced},
    {VALUE_TEXT, "rfind", text_rfind},
    {VALUE_TEXT, "rsplit", text_rsplit},
    {VALUE_TEXT, "rstrip", text_rstrip},
    {VALUE_TEXT, "split", text_split_left},
    {VALUE_TEXT, "splitlines", text_splitlines},
    {VALUE_TEXT, "startswith", text_startswith},
    {VALUE_TEXT, "strip", text_strip_both},
    {VALUE_TEXT, "title", text_title},
    {VALUE_TEXT, "upper", text_upper},
    {VALUE_DICT, "clear", no_change},
    {VALUE_DICT, "get", dict_get},
    {VALUE_DICT, "items", dict_items},
    {VALUE_DICT, "keys", dict_keys},
    {VALUE_DICT, "pop", no_change},
    {VALUE_DICT, "popitem", no_change},
    {VALUE_DICT, "setdefault", no_change},
    {VALUE_DICT, "update", no_change},
    {VALUE_DICT, "values", dict_values},
    {VALUE_LIST, "append", no_change},
    {VALUE_LIST, "clear", no_change},
    {VALUE_LIST, "count", list_count},
    {VALUE_LIST, "extend", no_change},
    {VALUE_LIST, "index", list_index},
    {VALUE_LIST, "insert", no_change},
    {VALUE_LIST, "pop", no_change},
    {VALUE_LIST, "remove", no_change},
    {VALUE_LIST, "reverse", no_change},
    {VALUE_LIST, "sort", no_change},
    {VALUE_LOOP, "changed", loop_changed},
    {VALUE_LOOP, "cycle", loop_cycle},
};

static method *find_method(const struct value *v, struct str name) {
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (methods[i].kind == v->kind && str_equal(name, str_from(methods[i].name))) return methods[i].run;
    }
    return NULL;
}

bool method_exists(const struct value *v, struct str name) {
    return find_method(v, name) != NULL;
}

const struct value *method_run(struct run *r, const struct value *self, struct str name,
                               const struct args *args) {
    if (self->kind == VALUE_TEXT && self->flag) {
        run_fail(r, "methods of a text marked as safe are not supported");
        return value_none();
    }
    if (!run_charge(r, self->kind == VALUE_TEXT ? 4 * self->text.len : 0)) return value_none();
    return find_method(self, name)(r, self, args);
}

/* ---- functions ---- */

static const struct value *raise_exception(struct run *r, const struct args *a) {
    const struct value *v = args_get(a, 0, "message");
    struct text t = v ? value_str(r, v) : TEXT_LITERAL("");
    run_fail(r, "the template refuses this conversation: %.*s", (int)MIN(t.len, 200u), t.ptr ? t.ptr : "");
    return value_none();
}

/* The date of CHAT_DATE at midnight, by the directives that dates are written with. */
static const struct value *strftime_now(struct run *r, const struct args *a) {
    static const struct {
        char directive;
        const char *text;
    } parts[] = {{'a', "Fri"}, {'A', "Friday"}, {'d', "26"},   {'b', "Jul"}, {'B', "July"},
                 {'m', "07"},  {'y', "24"},     {'Y', "2024"}, {'H', "00"},  {'I', "12"},
                 {'M', "00"},  {'S', "00"},     {'p', "AM"},   {'j', "208"}, {'%', "%"}};
    struct template_output out = {0};
    struct text format;
    if (a->n != 1 || !value_want_text(r, a->items[0], "strftime_now", &format)) {
        run_fail(r, "strftime_now takes one text");
        return value_none();
    }
    for (size_t i = 0; i < format.len && !r->failed; i++) {
        const char *text = NULL;
        bool directive = format.ptr[i] == '%';
        char c = directive && i + 1 < format.len ? format.ptr[++i] : 0;
        for (size_t k = 0; k < ARRAY_LEN(parts) && directive; k++) {
            if (parts[k].directive == c) text = parts[k].text;
        }
        if (directive && !text) run_fail(r, "strftime_now with %%%c is not supported", c ? c : '%');
        output_add(&out, text ? (struct text){text, TEXT_OWN, strlen(text)} : text_slice(format, i, i + 1));
    }
    struct text t = {out.text.ptr, out.marks.ptr, out.text.len};
    t = text_join(r, (const struct text[]){t, TEXT_LITERAL("")}, 2, TEXT_LITERAL(""));
    template_output_fini(&out);
    return value_text(r, t);
}

static const struct value *range(struct run *r, const struct args *a) {
    int64_t bounds[3] = {0, 0, 1};
    if (a->n < 1 || !args_check(r, a, 3, no_names, "range"))
        return run_fail(r, "range needs a number"), value_none();
    for (size_t i = 0; i < a->n; i++) {
        if (!value_want_int(r, a->items[i], "range", &bounds[a->n == 1 ? 1 : i])) return value_none();
    }
    const int64_t from = bounds[0], to = bounds[1], step = bounds[2], far = (int64_t)1 << 40;
    if (step == 0 || from < -far || from > far || to < -far || to > far || step < -far || step > far)
        return run_fail(r, "range with these numbers is not supported"), value_none();
    int64_t span = step > 0 ? to - from : from - to, stride = step > 0 ? step : -step;
    int64_t n = span <= 0 ? 0 : (span - 1) / stride + 1;
    if (n > RANGE_MAX) return run_fail(r, "range is over %d long", RANGE_MAX), value_none();
    struct value *list = value_list(r, LIST_RANGE, (size_t)n);
    for (size_t i = 0; i < list->n; i++) list->items[i] = value_int(r, from + (int64_t)i * step);
    return list;
}

/* namespace(a=1), dict(a=1) */
static const struct value *collect(struct run *r, const struct args *a, enum value_kind kind) {
    struct value *v = value_dict(r, a->n + 4);
    for (size_t i = 0; i < a->n && !r->failed; i++) {
        const struct text name = {a->names[i].ptr, TEXT_OWN, a->names[i].len};
        if (name.len == 0) run_fail(r, "namespace and dict take arguments by name only");
        value_dict_put(r, v, value_text(r, name), a->items[i]);
    }
    if (!r->failed) v->kind = kind;
    return v;
}

const struct value *function_run(struct run *r, struct str name, const struct args *args) {
    if (str_equal(name, STR("raise_exception"))) return raise_exception(r, args);
    if (str_equal(name, STR("strftime_now"))) return strftime_now(r, args);
    if (str_equal(name, STR("range"))) return range(r, args);
    return collect(r, args, str_equal(name, STR("namespace")) ? VALUE_NAMESPACE : VALUE_DICT);
}
