/* template_eval.c - a template run on a conversation. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/template_impl.h"

struct template {
    struct arena arena;
    struct node *body;
};

struct binding {
    struct binding *next;
    struct str name;
    const struct value *value;
};

struct scope { /* names inside of a statement; what it does not have, the outer one may */
    struct scope *outer;
    struct binding *bindings;
};

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

static const struct value *eval(struct run *r, const struct node *n, struct scope *s);
static enum flow run_body(struct run *r, const struct node *n, struct scope *s);

/* ---- failing and limits ---- */

void run_fail(struct run *r, const char *format, ...) {
    char what[400];
    va_list args;
    if (r->failed) return;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    r->failed = true;
    err_set(r->e, ERR_INPUT, "line %d: %s", r->line, what);
}

bool run_charge(struct run *r, size_t n_bytes) {
    r->n_steps += 1 + n_bytes / 64;
    if (r->n_steps > TEMPLATE_STEPS_MAX) run_fail(r, "the template takes too long");
    return !r->failed;
}

/* One level down; whoever fails does not come up again. */
static bool run_enter(struct run *r) {
    if (++r->depth > TEMPLATE_RUN_DEPTH_MAX) run_fail(r, "macros and expressions are nested too deep");
    return !r->failed;
}

/* ---- scopes ---- */

static struct scope *scope_new(struct run *r, struct scope *outer) {
    static struct scope spare;
    struct scope *s = run_alloc(r, 1, sizeof *s);
    if (!s) return &spare;
    s->outer = outer;
    return s;
}

static void scope_set(struct run *r, struct scope *s, struct str name, const struct value *v) {
    for (struct binding *b = s->bindings; b; b = b->next) {
        if (str_equal(b->name, name)) {
            b->value = v;
            return;
        }
    }
    struct binding *b = run_alloc(r, 1, sizeof *b);
    if (!b) return;
    *b = (struct binding){s->bindings, name, v};
    s->bindings = b;
}

static const struct value *scope_get(struct run *r, const struct scope *s, struct str name) {
    for (; s; s = s->outer) {
        for (const struct binding *b = s->bindings; b; b = b->next) {
            if (str_equal(b->name, name)) return b->value;
        }
    }
    return value_undefined(r, name);
}

/* ---- operators ---- */

static const struct value *overflow(struct run *r) {
    return run_fail(r, "a number grows too large"), value_none();
}

static int64_t power(struct run *r, int64_t a, int64_t b) {
    int64_t result = 1;
    if (b < 0 || b > 64) return run_fail(r, "this power is not supported"), 0;
    for (; b > 0; b--) {
        if (__builtin_mul_overflow(result, a, &result)) return overflow(r), 0;
    }
    return result;
}

/* Division and its remainder round down, as in Python. */
static const struct value *divide(struct run *r, char op, int64_t a, int64_t b) {
    if (b == 0) return run_fail(r, "division by zero"), value_none();
    if (b == -1) return op == '%' ? value_int(r, 0) : a == INT64_MIN ? overflow(r) : value_int(r, -a);
    int64_t quotient = a / b, rest = a % b;
    bool down = rest != 0 && (rest < 0) != (b < 0);
    return value_int(r, op == '%' ? rest + (down ? b : 0) : quotient - down);
}

static const struct value *calculate(struct run *r, struct str op, int64_t a, int64_t b) {
    int64_t c = 0;
    if (str_equal(op, STR("//"))) return divide(r, '/', a, b);
    if (str_equal(op, STR("%"))) return divide(r, '%', a, b);
    if (str_equal(op, STR("**"))) return value_int(r, power(r, a, b));
    bool over = op.ptr[0] == '+'   ? __builtin_add_overflow(a, b, &c)
                : op.ptr[0] == '-' ? __builtin_sub_overflow(a, b, &c)
                                   : __builtin_mul_overflow(a, b, &c);
    return over ? overflow(r) : value_int(r, c);
}

static const struct value *join_lists(struct run *r, const struct value *a, const struct value *b) {
    struct value *v = value_list(r, a->list, a->n + b->n);
    for (size_t i = 0; i < v->n; i++) v->items[i] = i < a->n ? a->items[i] : b->items[i - a->n];
    return v;
}

static const struct value *repeat(struct run *r, const struct value *v, int64_t n) {
    size_t len = v->kind == VALUE_TEXT ? v->text.len : v->n;
    if (n < 0) n = 0;
    if (len && (size_t)n > TEMPLATE_ARENA_MAX / 64 / len)
        return run_fail(r, "too much is repeated"), value_none();
    if (v->kind == VALUE_TEXT) {
        struct text *parts = run_alloc(r, (size_t)n + 2, sizeof *parts);
        for (int64_t i = 0; parts && i < n; i++) parts[i] = v->text;
        for (int64_t i = n; parts && i < n + 2; i++) parts[i] = TEXT_LITERAL("");
        return parts ? value_text(r, text_join(r, parts, (size_t)n + 2, TEXT_LITERAL(""))) : value_none();
    }
    struct value *list = value_list(r, v->list, len * (size_t)n);
    for (size_t i = 0; i < list->n; i++) list->items[i] = v->items[i % len];
    return list;
}

static bool is_safe(const struct value *v) {
    return v->kind == VALUE_TEXT && v->flag;
}

static bool is_sequence(const struct value *v) {
    return (v->kind == VALUE_TEXT && !v->flag) || (v->kind == VALUE_LIST && v->list < LIST_VIEW);
}

const struct value *eval_binary(struct run *r, struct str op, const struct value *a, const struct value *b) {
    if (str_equal(op, STR("~"))) {
        if (is_safe(a) || is_safe(b))
            return run_fail(r, "~ with a text marked as safe is not supported"), value_none();
        struct text parts[] = {value_str(r, a), value_str(r, b)};
        return value_text(r, text_join(r, parts, 2, TEXT_LITERAL("")));
    }
    if (str_equal(op, STR("/"))) return run_fail(r, "/ is not supported (// is)"), value_none();
    if (value_is_number(a) && value_is_number(b)) return calculate(r, op, a->integer, b->integer);
    const bool ranges = a->list == LIST_RANGE || b->list == LIST_RANGE;
    bool same = !ranges && is_sequence(a) && is_sequence(b) && a->kind == b->kind && a->list == b->list;
    if (op.ptr[0] == '+' && same && a->kind == VALUE_TEXT) {
        struct text parts[] = {a->text, b->text};
        return value_text(r, text_join(r, parts, 2, TEXT_LITERAL("")));
    }
    if (op.ptr[0] == '+' && same) return join_lists(r, a, b);
    if (str_equal(op, STR("*")) && !ranges && is_sequence(a) && value_is_number(b))
        return repeat(r, a, b->integer);
    if (str_equal(op, STR("*")) && !ranges && is_sequence(b) && value_is_number(a))
        return repeat(r, b, a->integer);
    if (a->kind == VALUE_UNDEFINED || b->kind == VALUE_UNDEFINED) {
        const struct text name = a->kind == VALUE_UNDEFINED ? a->text : b->text;
        run_fail(r, "\"%.*s\" is not defined, and %.*s needs it", (int)MIN(name.len, 60u), name.ptr,
                 (int)op.len, op.ptr);
    }
    run_fail(r, "%.*s with %s and %s is not supported", (int)op.len, op.ptr, value_type(a), value_type(b));
    return value_none();
}

static bool contains(struct run *r, const struct value *in, const struct value *v) {
    if (in->kind == VALUE_TEXT) {
        struct text t;
        return value_want_text(r, v, "in a text", &t) && run_charge(r, in->text.len) &&
               str_find(text_str(in->text), text_str(t)) >= 0;
    }
    if (in->kind == VALUE_DICT && !value_want_key(r, v)) return false;
    const struct value *items = value_items(r, in);
    for (size_t i = 0; i < items->n && run_charge(r, 64); i++) {
        if (value_equal(items->items[i], v)) return true;
    }
    return false;
}

bool eval_compare(struct run *r, struct str op, const struct value *a, const struct value *b) {
    if (str_equal(op, STR("=="))) return value_equal(a, b);
    if (str_equal(op, STR("!="))) return !value_equal(a, b);
    if (str_equal(op, STR("in"))) return contains(r, b, a);
    if (str_equal(op, STR("not in"))) return !contains(r, b, a);
    int64_t order;
    if (value_is_number(a) && value_is_number(b)) {
        order = a->integer < b->integer ? -1 : a->integer > b->integer;
    } else if (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT) {
        size_t n = MIN(a->text.len, b->text.len);
        order = n ? memcmp(a->text.ptr, b->text.ptr, n) : 0;
        if (order == 0) order = a->text.len < b->text.len ? -1 : a->text.len > b->text.len;
    } else {
        run_fail(r, "%.*s between %s and %s is not supported", (int)op.len, op.ptr, value_type(a),
                 value_type(b));
        return false;
    }
    if (op.len == 2 && order == 0) return true;
    return op.ptr[0] == '<' ? order < 0 : order > 0;
}

/* ---- fields and items ---- */

static const struct value *loop_attr(struct run *r, const struct value *v, struct str name) {
    const struct loop *l = v->loop;
    const size_t n = l->list->n;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {{"index", (int64_t)l->i + 1},
                   {"index0", (int64_t)l->i},
                   {"revindex", (int64_t)(n - l->i)},
                   {"revindex0", (int64_t)(n - l->i) - 1},
                   {"length", (int64_t)n},
                   {"depth", 1},
                   {"depth0", 0}};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (str_equal(name, str_from(numbers[i].name))) return value_int(r, numbers[i].value);
    }
    if (str_equal(name, STR("first"))) return value_bool(l->i == 0);
    if (str_equal(name, STR("last"))) return value_bool(l->i + 1 == n);
    if (str_equal(name, STR("previtem")) && l->i > 0) return l->list->items[l->i - 1];
    if (str_equal(name, STR("nextitem")) && l->i + 1 < n) return l->list->items[l->i + 1];
    return value_undefined(r, name);
}

static void want_defined(struct run *r, const struct value *v, struct str field) {
    if (v->kind == VALUE_UNDEFINED)
        run_fail(r, "\"%.*s\" is not defined, so it has no \"%.*s\"", (int)MIN(v->text.len, 60u), v->text.ptr,
                 (int)MIN(field.len, 60u), field.ptr);
}

const struct value *eval_attr(struct run *r, const struct value *v, struct str name) {
    const struct value *found = NULL;
    want_defined(r, v, name);
    if (name.ptr[0] == '_') return value_undefined(r, name);
    if (method_exists(v, name)) return value_named(r, VALUE_METHOD, name, v);
    if (v->kind == VALUE_DICT || v->kind == VALUE_NAMESPACE) found = value_dict_get(v, name);
    if (v->kind == VALUE_LOOP) return loop_attr(r, v, name);
    return found ? found : value_undefined(r, name);
}

/* The place that a Python index means, or -1. */
static int64_t place(int64_t index, size_t n) {
    if (index < 0) index += (int64_t)n;
    return index >= 0 && index < (int64_t)n ? index : -1;
}

const struct value *eval_item(struct run *r, const struct value *v, const struct value *key) {
    const struct str name = key->kind == VALUE_TEXT ? text_str(key->text) : STR("an item");
    want_defined(r, v, name);
    if (v->kind == VALUE_DICT) {
        for (size_t i = 0; i < v->n && run_charge(r, 16); i++) {
            if (value_equal(v->pairs[i].key, key)) return v->pairs[i].value;
        }
    }
    bool counts = (v->kind == VALUE_LIST && v->list < LIST_VIEW) || v->kind == VALUE_TEXT;
    if (counts && value_is_number(key)) {
        size_t n = v->kind == VALUE_LIST ? v->n : text_length(v->text);
        int64_t at = place(key->integer, n);
        if (at < 0) return value_undefined(r, name);
        if (v->kind == VALUE_LIST) return v->items[at];
        size_t from = text_offset(v->text, (size_t)at);
        return run_charge(r, v->text.len)
                   ? value_text(r, text_slice(v->text, from, from + text_char(v->text, from)))
                   : value_none();
    }
    return key->kind == VALUE_TEXT && key->text.len ? eval_attr(r, v, name) : value_undefined(r, name);
}

/* One end of a slice as Python reads it: within 0..n, or -1..n-1 going backwards. */
static int64_t bound(struct run *r, const struct value *v, int64_t n, bool back, int64_t otherwise) {
    int64_t at, low = back ? -1 : 0, high = back ? n - 1 : n;
    if (!v || v->kind == VALUE_NONE) return otherwise;
    if (!value_want_int(r, v, "a slice", &at)) return 0;
    if (at < 0) at = at < -n ? low : at + n;
    return at < low ? low : at > high ? high : at;
}

static const struct value *slice_text(struct run *r, struct text t, int64_t from, int64_t step, size_t n) {
    struct text *parts = run_alloc(r, n + 2, sizeof *parts);
    size_t *starts = run_alloc(r, text_length(t) + 1, sizeof *starts), k = 0;
    if (!parts || !starts) return value_none();
    if (step == 1) {
        size_t first = text_offset(t, (size_t)from);
        size_t end = first + text_offset(text_slice(t, first, t.len), n);
        return value_text(r, text_slice(t, first, end));
    }
    for (size_t at = 0; at < t.len; at += text_char(t, at)) starts[k++] = at;
    for (size_t i = 0; i < n; i++, from += step)
        parts[i] = text_slice(t, starts[from], starts[from] + text_char(t, starts[from]));
    parts[n] = parts[n + 1] = TEXT_LITERAL("");
    return value_text(r, text_join(r, parts, n + 2, TEXT_LITERAL("")));
}

const struct value *eval_slice(struct run *r, const struct value *v, const struct value *const bounds[3]) {
    int64_t step = 1;
    want_defined(r, v, STR("a slice"));
    if (!is_sequence(v)) {
        run_fail(r, "a slice of %s is not supported", value_type(v));
        return value_none();
    }
    if (bounds[2] && bounds[2]->kind != VALUE_NONE && !value_want_int(r, bounds[2], "a slice", &step))
        return value_none();
    if (step == 0) return run_fail(r, "a slice with step 0"), value_none();
    int64_t n = (int64_t)(v->kind == VALUE_TEXT ? text_length(v->text) : v->n);
    int64_t from = bound(r, bounds[0], n, step < 0, step < 0 ? n - 1 : 0);
    int64_t to = bound(r, bounds[1], n, step < 0, step < 0 ? -1 : n);
    int64_t span = step < 0 ? from - to : to - from, stride = step == INT64_MIN ? INT64_MAX
                                                              : step < 0        ? -step
                                                                                : step;
    size_t count = span <= 0 ? 0 : (size_t)((span - 1) / stride) + 1;
    if (v->kind == VALUE_TEXT) return slice_text(r, v->text, from, step, count);
    struct value *list = value_list(r, v->list, count);
    for (size_t i = 0; i < list->n; i++) list->items[i] = v->items[from + (int64_t)i * step];
    return list;
}

/* ---- calls ---- */

const struct value *args_get(const struct args *a, size_t i, const char *name) {
    if (i < a->n && a->names[i].len == 0) return a->items[i];
    for (size_t k = 0; k < a->n; k++) {
        if (name[0] && str_equal(a->names[k], str_from(name))) return a->items[k];
    }
    return NULL;
}

bool args_check(struct run *r, const struct args *a, size_t n, const char *const *names, const char *what) {
    for (size_t i = 0; i < a->n && !r->failed; i++) {
        bool known = a->names[i].len == 0 && i < n;
        for (size_t k = 0; names[k] && a->names[i].len; k++)
            known |= str_equal(a->names[i], str_from(names[k]));
        if (!known && a->names[i].len)
            run_fail(r, "%s does not take \"%.*s\" here", what, (int)MIN(a->names[i].len, 40u),
                     a->names[i].ptr);
        else if (!known)
            run_fail(r, "%s takes %zu arguments at most", what, n);
    }
    return !r->failed;
}

/* Runs a body with its output caught. */
static struct text run_caught(struct run *r, const struct node *body, struct scope *s) {
    struct template_output caught = {0}, *out = r->out;
    r->out = &caught;
    if (run_body(r, body, s) != FLOW_ON) run_fail(r, "a break or continue outside of its loop");
    r->out = out;
    struct text t = {caught.text.ptr, caught.marks.ptr, caught.text.len};
    t = text_join(r, (const struct text[]){t, TEXT_LITERAL("")}, 2, TEXT_LITERAL(""));
    template_output_fini(&caught);
    return t;
}

static const struct value *call_macro(struct run *r, const struct value *macro, const struct args *args) {
    const struct node *n = macro->macro;
    struct scope *s = scope_new(r, macro->scope);
    size_t n_taken = 0;
    for (size_t i = 1; i < n->n && !r->failed; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)MIN(n->names[i].len, sizeof name - 1), n->names[i].ptr);
        const struct value *v = args_get(args, i - 1, name);
        n_taken += v != NULL;
        if (!v) v = n->kids[i] ? eval(r, n->kids[i], s) : value_undefined(r, n->names[i]);
        scope_set(r, s, n->names[i], v);
    }
    if (n_taken < args->n)
        run_fail(r, "macro \"%.*s\" is given an argument that it does not take", (int)MIN(n->text.len, 60u),
                 n->text.ptr);
    return value_text(r, r->failed ? TEXT_LITERAL("") : run_caught(r, n->kids[0], s));
}

const struct value *eval_call(struct run *r, const struct value *callee, const struct args *args) {
    if (r->failed) return value_none();
    switch (callee->kind) {
    case VALUE_MACRO:
        return call_macro(r, callee, args);
    case VALUE_FUNCTION:
        return function_run(r, text_str(callee->text), args);
    case VALUE_METHOD:
        return method_run(r, callee->self, text_str(callee->text), args);
    case VALUE_UNDEFINED:
        run_fail(r, "the function or method \"%.*s\" is not supported", (int)MIN(callee->text.len, 60u),
                 callee->text.ptr);
        return value_none();
    default:
        run_fail(r, "%s cannot be called", value_type(callee));
        return value_none();
    }
}

/* ---- expressions ---- */

static void eval_args(struct run *r, const struct node *n, struct scope *s, struct args *args) {
    args->n = 0;
    for (size_t i = 1; i < n->n; i++) {
        args->items[args->n] = eval(r, n->kids[i], s);
        args->names[args->n++] = n->names[i];
    }
}

static const struct value *eval_compared(struct run *r, const struct node *n, struct scope *s,
                                         const struct value **right) {
    const struct value *left;
    if (n->flag) {
        if (!value_true(eval_compared(r, n->kids[0], s, &left))) return value_bool(false);
    } else {
        left = eval(r, n->kids[0], s);
    }
    *right = eval(r, n->kids[1], s);
    return value_bool(!r->failed && eval_compare(r, n->text, left, *right));
}

static const struct value *eval_parts(struct run *r, const struct node *n, struct scope *s) {
    if (n->kind == NODE_DICT) {
        struct value *v = value_dict(r, n->n / 2);
        for (size_t i = 0; i + 1 < n->n && !r->failed; i += 2) {
            const struct value *key = eval(r, n->kids[i], s);
            if (value_want_key(r, key)) value_dict_put(r, v, key, eval(r, n->kids[i + 1], s));
        }
        return v;
    }
    struct value *v = value_list(r, n->kind == NODE_TUPLE ? LIST_TUPLE : LIST_LIST, n->n);
    for (size_t i = 0; i < v->n && !r->failed; i++) v->items[i] = eval(r, n->kids[i], s);
    return v;
}

static const struct value *eval_sign(struct run *r, const struct node *n, struct scope *s) {
    int64_t i;
    if (!value_want_int(r, eval(r, n->kids[0], s), "a sign", &i)) return value_none();
    return value_int(r, n->kind == NODE_MINUS && i > INT64_MIN ? -i : i);
}

static const struct value *eval_applied(struct run *r, const struct node *n, struct scope *s,
                                        const struct value *v) {
    struct args args;
    eval_args(r, n, s, &args);
    r->line = n->line;
    if (r->failed) return value_none();
    if (n->kind == NODE_FILTER) return filter_run(r, n->text, v, &args);
    if (n->kind == NODE_TEST) return value_bool(test_run(r, n->text, v, &args) != n->flag);
    return eval_call(r, v, &args);
}

static const struct value *eval_sliced(struct run *r, const struct node *n, struct scope *s) {
    const struct value *parts[4] = {NULL};
    for (size_t i = 0; i < 4; i++) parts[i] = n->kids[i] ? eval(r, n->kids[i], s) : NULL;
    return r->failed ? value_none() : eval_slice(r, parts[0], parts + 1);
}

static const struct value *eval_node(struct run *r, const struct node *n, struct scope *s) {
    const struct value *v, *w;
    switch (n->kind) {
    case NODE_TEXT:
        return value_text(r, (struct text){n->text.ptr, TEXT_OWN, n->text.len});
    case NODE_INT:
        return value_int(r, n->integer);
    case NODE_CONST:
        return n->integer == VALUE_NONE ? value_none() : value_bool(n->flag);
    case NODE_NAME:
        return scope_get(r, s, n->text);
    case NODE_LIST:
    case NODE_TUPLE:
    case NODE_DICT:
        return eval_parts(r, n, s);
    case NODE_NOT:
        return value_bool(!value_true(eval(r, n->kids[0], s)));
    case NODE_MINUS:
    case NODE_PLUS:
        return eval_sign(r, n, s);
    case NODE_AND:
        v = eval(r, n->kids[0], s);
        return value_true(v) ? eval(r, n->kids[1], s) : v;
    case NODE_OR:
        v = eval(r, n->kids[0], s);
        return value_true(v) ? v : eval(r, n->kids[1], s);
    case NODE_BINARY:
        v = eval(r, n->kids[0], s);
        w = eval(r, n->kids[1], s);
        return r->failed ? value_none() : eval_binary(r, n->text, v, w);
    case NODE_COMPARE:
        return eval_compared(r, n, s, &w);
    case NODE_CHOICE:
        if (value_true(eval(r, n->kids[0], s))) return eval(r, n->kids[1], s);
        return n->n > 2 ? eval(r, n->kids[2], s) : value_undefined(r, STR("the else of an inline if"));
    case NODE_ATTR:
        v = eval(r, n->kids[0], s);
        return r->failed ? value_none() : eval_attr(r, v, n->text);
    case NODE_ITEM:
        v = eval(r, n->kids[0], s);
        w = eval(r, n->kids[1], s);
        return r->failed ? value_none() : eval_item(r, v, w);
    case NODE_SLICE:
        return eval_sliced(r, n, s);
    case NODE_CALL:
    case NODE_FILTER:
    case NODE_TEST:
        return eval_applied(r, n, s, eval(r, n->kids[0], s));
    default:
        ASSERT(!"an expression");
        return value_none();
    }
}

static const struct value *eval(struct run *r, const struct node *n, struct scope *s) {
    r->line = n->line;
    if (!run_charge(r, 0) || !run_enter(r)) return value_none();
    const struct value *v = eval_node(r, n, s);
    r->depth--;
    r->line = n->line;
    return v;
}

/* ---- statements ---- */

static void assign(struct run *r, const struct node *target, const struct value *v, struct scope *s) {
    if (target->kind == NODE_NAME) {
        scope_set(r, s, target->text, v);
    } else if (target->kind == NODE_ATTR) {
        const struct value *space = eval(r, target->kids[0], s);
        if (space->kind != VALUE_NAMESPACE)
            run_fail(r, "a field of %s is set, which only a namespace allows", value_type(space));
        else
            value_dict_put(r, (struct value *)space,
                           value_text(r, (struct text){target->text.ptr, TEXT_OWN, target->text.len}), v);
    } else {
        const struct value *items = value_items(r, v);
        if (items->n != target->n) run_fail(r, "%zu names are set to %zu values", target->n, items->n);
        for (size_t i = 0; i < target->n && !r->failed; i++) assign(r, target->kids[i], items->items[i], s);
    }
}

/* Filters of a body, from the first on, over its text. */
static const struct value *apply_filters(struct run *r, const struct node *filter, const struct value *v,
                                         struct scope *s) {
    if (!filter) return v;
    return eval_applied(r, filter, s, apply_filters(r, filter->kids[0], v, s));
}

static void run_set_body(struct run *r, const struct node *n, struct scope *s) {
    struct text t = run_caught(r, n->kids[2], scope_new(r, s));
    assign(r, n->kids[0], apply_filters(r, n->kids[1], value_text(r, t), s), s);
}

static void run_print(struct run *r, const struct value *v) {
    struct text t = value_str(r, v);
    if (run_charge(r, t.len)) output_add(r->out, t);
    if (r->out->text.len > TOKENIZER_TEXT_MAX)
        run_fail(r, "the template writes over %zu MB", TOKENIZER_TEXT_MAX >> 20);
}

/* Those items that the loop's condition lets through. */
static const struct value *choose_items(struct run *r, const struct node *n, const struct value *items,
                                        struct scope *s) {
    struct value *chosen = value_list(r, LIST_LIST, items->n);
    size_t k = 0;
    for (size_t i = 0; i < chosen->n && !r->failed; i++) {
        struct scope *inner = scope_new(r, s);
        assign(r, n->kids[0], items->items[i], inner);
        if (value_true(eval(r, n->kids[2], inner))) chosen->items[k++] = items->items[i];
    }
    if (chosen->n) chosen->n = k;
    return chosen;
}

static enum flow run_for(struct run *r, const struct node *n, struct scope *s) {
    const struct value *list = eval(r, n->kids[1], s), *items = value_items(r, list);
    enum flow flow = FLOW_ON;
    if (n->kids[2] && !r->failed) items = choose_items(r, n, items, s);
    if (r->failed) return FLOW_ON;
    if (items->n == 0) return n->kids[4] ? run_body(r, n->kids[4], scope_new(r, s)) : FLOW_ON;
    struct loop *loop = run_alloc(r, 1, sizeof *loop);
    struct value *v = run_alloc(r, 1, sizeof *v);
    if (!loop || !v) return FLOW_ON;
    loop->list = items;
    *v = (struct value){.kind = VALUE_LOOP, .loop = loop};
    for (; loop->i < items->n && !r->failed && flow != FLOW_BREAK; loop->i++) {
        struct scope *inner = scope_new(r, s);
        scope_set(r, inner, STR("loop"), v);
        assign(r, n->kids[0], items->items[loop->i], inner);
        if (!r->failed) flow = run_body(r, n->kids[3], inner);
    }
    return FLOW_ON;
}

static enum flow run_if(struct run *r, const struct node *n, struct scope *s) {
    size_t i = 0;
    for (; i + 1 < n->n && !r->failed; i += 2) {
        if (value_true(eval(r, n->kids[i], s))) return r->failed ? FLOW_ON : run_body(r, n->kids[i + 1], s);
    }
    return i < n->n && !r->failed ? run_body(r, n->kids[i], s) : FLOW_ON;
}

static enum flow run_with(struct run *r, const struct node *n, struct scope *s) {
    struct scope *inner = scope_new(r, s);
    for (size_t i = 1; i + 1 < n->n && !r->failed; i += 2)
        assign(r, n->kids[i], eval(r, n->kids[i + 1], s), inner);
    return r->failed ? FLOW_ON : run_body(r, n->kids[0], inner);
}

static void define_macro(struct run *r, const struct node *n, struct scope *s) {
    struct value *v = run_alloc(r, 1, sizeof *v);
    if (!v) return;
    *v = (struct value){.kind = VALUE_MACRO, .macro = n, .scope = s};
    scope_set(r, s, n->text, v);
}

static enum flow run_statement(struct run *r, const struct node *n, struct scope *s) {
    r->line = n->line;
    switch (n->kind) {
    case NODE_DATA:
        run_print(r, value_text(r, (struct text){n->text.ptr, TEXT_OWN, n->text.len}));
        return FLOW_ON;
    case NODE_PRINT:
        run_print(r, eval(r, n->kids[0], s));
        return FLOW_ON;
    case NODE_SET:
        assign(r, n->kids[0], eval(r, n->kids[1], s), s);
        return FLOW_ON;
    case NODE_SET_BODY:
        run_set_body(r, n, s);
        return FLOW_ON;
    case NODE_IF:
        return run_if(r, n, s);
    case NODE_FOR:
        return run_for(r, n, s);
    case NODE_MACRO:
        define_macro(r, n, s);
        return FLOW_ON;
    case NODE_WITH:
        return run_with(r, n, s);
    case NODE_FILTERED: {
        const struct value *v = value_text(r, run_caught(r, n->kids[1], scope_new(r, s)));
        run_print(r, apply_filters(r, n->kids[0], v, s));
        return FLOW_ON;
    }
    case NODE_SCOPE:
        return run_body(r, n->kids[0], scope_new(r, s));
    case NODE_BREAK:
        return FLOW_BREAK;
    case NODE_CONTINUE:
        return FLOW_CONTINUE;
    default:
        ASSERT(!"a statement");
        return FLOW_ON;
    }
}

static enum flow run_body(struct run *r, const struct node *n, struct scope *s) {
    enum flow flow = FLOW_ON;
    if (!run_enter(r)) return flow;
    for (size_t i = 0; i < n->n && flow == FLOW_ON && run_charge(r, 0); i++)
        flow = run_statement(r, n->kids[i], s);
    r->depth--;
    return flow;
}

/* ---- the door ---- */

struct template *template_new(struct str source, struct err *e) {
    struct template *t = mem_zalloc(1, sizeof *t);
    struct token_list tokens = {0};
    bool done = source.len <= TEMPLATE_BYTES_MAX ||
                err_set(e, ERR_INPUT, "%zu bytes are over the %zu allowed", source.len, TEMPLATE_BYTES_MAX);
    if (done && template_lex(source, &t->arena, &tokens, e)) t->body = template_parse(&tokens, &t->arena, e);
    free(tokens.ptr);
    if (t->body) return t;
    template_free(t);
    return NULL;
}

void template_free(struct template *t) {
    if (!t) return;
    arena_fini(&t->arena);
    free(t);
}

void template_output_fini(struct template_output *o) {
    buf_free(&o->text);
    buf_free(&o->marks);
}

static const struct value *make_messages(struct run *r, const struct template_input *in) {
    static const struct text roles[] = {[CHAT_SYSTEM] = TEXT_LITERAL("system"),
                                        [CHAT_USER] = TEXT_LITERAL("user"),
                                        [CHAT_ASSISTANT] = TEXT_LITERAL("assistant")};
    struct value *list = value_list(r, LIST_LIST, in->n_messages);
    for (size_t i = 0; i < list->n; i++) {
        const struct chat_message *m = &in->messages[i];
        struct value *message = value_dict(r, 2);
        const struct text content = {m->content.ptr, TEXT_FOREIGN, m->content.len};
        value_dict_put(r, message, value_text(r, TEXT_LITERAL("role")), value_text(r, roles[m->role]));
        value_dict_put(r, message, value_text(r, TEXT_LITERAL("content")), value_text(r, content));
        list->items[i] = message;
    }
    return list;
}

/* What Hugging Face defines; tools and documents are there, but none. */
static struct scope *make_globals(struct run *r, const struct template_input *in) {
    static const char *const functions[] = {"raise_exception", "strftime_now", "range", "namespace", "dict"};
    const struct {
        struct str name, value;
    } tokens[] = {{STR("bos_token"), in->bos},
                  {STR("eos_token"), in->eos},
                  {STR("unk_token"), in->unk},
                  {STR("pad_token"), in->pad}};
    struct scope *s = scope_new(r, NULL);
    for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
        const struct str name = str_from(functions[i]);
        scope_set(r, s, name, value_named(r, VALUE_FUNCTION, name, NULL));
    }
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        const struct text t = {tokens[i].value.ptr, TEXT_OWN, tokens[i].value.len};
        if (t.ptr) scope_set(r, s, tokens[i].name, value_text(r, t));
    }
    scope_set(r, s, STR("tools"), value_none());
    scope_set(r, s, STR("documents"), value_none());
    scope_set(r, s, STR("add_generation_prompt"), value_bool(in->open_answer));
    scope_set(r, s, STR("messages"), make_messages(r, in));
    return s;
}

bool template_render(const struct template *t, const struct template_input *in, struct template_output *out,
                     struct err *e) {
    struct run r = {.out = out, .line = 1, .e = e};
    buf_clear(&out->text);
    buf_clear(&out->marks);
    struct scope *s = scope_new(&r, make_globals(&r, in));
    if (run_body(&r, t->body, s) != FLOW_ON) run_fail(&r, "a break or continue outside of its loop");
    arena_fini(&r.arena);
    if (r.failed) buf_clear(&out->text);
    if (r.failed) buf_clear(&out->marks);
    return !r.failed;
}
