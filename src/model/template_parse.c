/* template_parse.c - tokens into nodes, by the grammar of Jinja's own parser. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/template_impl.h"

enum { KIDS_MAX = 1 << 16 };

struct parser {
    const struct token *at;
    struct arena *arena;
    int depth;
    struct err *e;
};

static struct node *parse_expression(struct parser *p);
static struct node *parse_or(struct parser *p);
static struct node *parse_unary(struct parser *p, bool with_filter);
static struct node *parse_body(struct parser *p, const char *const *ends);

/* ---- helpers ---- */

static struct node *fail(struct parser *p, const char *format, ...) PRINTF_LIKE(2, 3);
static struct node *fail(struct parser *p, const char *format, ...) {
    char what[200];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    err_set(p->e, ERR_INPUT, "line %d: %s", p->at->line, what);
    return NULL;
}

static struct node *unexpected(struct parser *p) {
    if (p->at->kind == TOKEN_END) return fail(p, "the template ends in the midst of something");
    return fail(p, "unexpected \"%.*s\"", (int)MIN(p->at->text.len, 40u), p->at->text.ptr);
}

static struct node *make(struct parser *p, enum node_kind kind) {
    struct node *n = arena_alloc(p->arena, sizeof *n);
    n->kind = kind;
    n->line = p->at->line;
    return n;
}

/* A list of kids while it grows; it becomes the node's in the arena. */
struct kids {
    struct node **ptr;
    struct str *names;
    size_t n, cap, cap_names;
};

static void kids_add(struct kids *k, struct node *kid, struct str name) {
    MEM_GROW(k->ptr, k->cap, k->n + 1);
    MEM_GROW(k->names, k->cap_names, k->n + 1);
    k->ptr[k->n] = kid;
    k->names[k->n++] = name;
}

/* The node with its kids, or NULL (done false); the list is freed. */
static struct node *kids_take(struct parser *p, struct kids *k, struct node *n, bool done) {
    if (done && k->n > KIDS_MAX) done = fail(p, "too many parts in one place") != NULL;
    if (done && k->n) {
        n->kids = arena_alloc(p->arena, k->n * sizeof *n->kids);
        n->names = arena_alloc(p->arena, k->n * sizeof *n->names);
        memcpy(n->kids, k->ptr, k->n * sizeof *n->kids);
        memcpy(n->names, k->names, k->n * sizeof *n->names);
        n->n = k->n;
    }
    free(k->ptr);
    free(k->names);
    *k = (struct kids){0};
    return done ? n : NULL;
}

/* A node with these kids; NULL if a needed one is. */
static struct node *with_kids(struct parser *p, struct node *n, size_t n_kids, struct node *const *kids) {
    n->kids = arena_alloc(p->arena, n_kids * sizeof *n->kids);
    memcpy(n->kids, kids, n_kids * sizeof *kids);
    n->n = n_kids;
    return n;
}

static struct node *with_two(struct parser *p, struct node *n, struct node *a, struct node *b) {
    struct node *const kids[] = {a, b};
    return a && b ? with_kids(p, n, 2, kids) : NULL;
}

static bool is_operator(const struct token *t, const char *text) {
    return t->kind == TOKEN_OPERATOR && str_equal(t->text, str_from(text));
}

static bool is_name(const struct token *t, const char *text) {
    return t->kind == TOKEN_NAME && str_equal(t->text, str_from(text));
}

static bool skip_operator(struct parser *p, const char *text) {
    bool found = is_operator(p->at, text);
    p->at += found;
    return found;
}

static bool skip_name(struct parser *p, const char *text) {
    bool found = is_name(p->at, text);
    p->at += found;
    return found;
}

static bool want_operator(struct parser *p, const char *text) {
    return skip_operator(p, text) || unexpected(p);
}

static bool want_kind(struct parser *p, enum token_kind kind) {
    if (p->at->kind != kind) return unexpected(p);
    p->at++;
    return true;
}

static bool enter(struct parser *p) {
    return ++p->depth <= TEMPLATE_DEPTH_MAX || fail(p, "nested over %d deep", TEMPLATE_DEPTH_MAX);
}

/* ---- what expressions are made of ---- */

static struct node *parse_name(struct parser *p) {
    struct node *n = make(p, NODE_CONST);
    const struct str name = p->at->text;
    n->flag = str_equal(name, STR("true")) || str_equal(name, STR("True"));
    n->integer =
        n->flag || str_equal(name, STR("false")) || str_equal(name, STR("False")) ? VALUE_BOOL : VALUE_NONE;
    if (n->integer == VALUE_NONE && !str_equal(name, STR("none")) && !str_equal(name, STR("None"))) {
        n->kind = NODE_NAME;
        n->text = name;
    }
    p->at++;
    return n;
}

/* Texts that stand side by side are one. */
static struct node *parse_text(struct parser *p) {
    struct node *n = make(p, NODE_TEXT);
    const struct token *first = p->at;
    size_t len = 0;
    for (; p->at->kind == TOKEN_STRING; p->at++) len += p->at->text.len;
    n->text = first->text;
    if (p->at == first + 1) return n;
    char *copy = arena_alloc(p->arena, len + 1);
    n->text = (struct str){copy, len};
    for (const struct token *t = first; t < p->at; t++) {
        if (t->text.len) memcpy(copy, t->text.ptr, t->text.len);
        copy += t->text.len;
    }
    return n;
}

static struct node *parse_number(struct parser *p) {
    struct node *n = make(p, NODE_INT);
    for (size_t i = 0; i < p->at->text.len; i++) n->integer = n->integer * 10 + (p->at->text.ptr[i] - '0');
    p->at++;
    return n;
}

/* a, b, c up to `close`, which is taken; a comma may end it. */
static struct node *parse_list(struct parser *p, enum node_kind kind, const char *close) {
    struct node *n = make(p, kind);
    struct kids kids = {0};
    bool done = true;
    p->at++;
    while (done && !is_operator(p->at, close)) {
        struct node *item = parse_expression(p);
        done = item != NULL;
        if (done) kids_add(&kids, item, STR(""));
        if (done && kind == NODE_DICT) {
            struct node *value = want_operator(p, ":") ? parse_expression(p) : NULL;
            done = value != NULL;
            if (done) kids_add(&kids, value, STR(""));
        }
        if (done && !skip_operator(p, ",")) break;
    }
    done = done && want_operator(p, close);
    return kids_take(p, &kids, n, done);
}

static bool ends_tuple(const struct parser *p) {
    return p->at->kind == TOKEN_PRINT_END || p->at->kind == TOKEN_TAG_END || is_operator(p->at, ")") ||
           is_name(p->at, "in") || is_name(p->at, "recursive");
}

/* One expression, or several with commas between: a tuple. */
static struct node *parse_tuple(struct parser *p, struct node *parse(struct parser *), bool may_be_empty) {
    struct node *n = make(p, NODE_TUPLE), *only = NULL;
    struct kids kids = {0};
    bool done = true, is_tuple = false;
    while (done && !ends_tuple(p)) {
        only = parse(p);
        done = only != NULL;
        if (!done) break;
        kids_add(&kids, only, STR(""));
        if (!skip_operator(p, ",")) break;
        is_tuple = true;
    }
    if (done && !is_tuple && (kids.n || !may_be_empty)) {
        bool found = kids.n == 1;
        kids_take(p, &kids, n, false);
        return found ? only : unexpected(p);
    }
    return kids_take(p, &kids, n, done);
}

static struct node *parse_primary(struct parser *p) {
    struct node *n = NULL;
    if (!enter(p)) return NULL;
    switch (p->at->kind) {
    case TOKEN_NAME:
        n = parse_name(p);
        break;
    case TOKEN_STRING:
        n = parse_text(p);
        break;
    case TOKEN_NUMBER:
        n = parse_number(p);
        break;
    default:
        if (is_operator(p->at, "[")) {
            n = parse_list(p, NODE_LIST, "]");
        } else if (is_operator(p->at, "{")) {
            n = parse_list(p, NODE_DICT, "}");
        } else if (skip_operator(p, "(")) {
            n = parse_tuple(p, parse_expression, true);
            if (n && !want_operator(p, ")")) n = NULL;
        } else {
            n = unexpected(p);
        }
    }
    p->depth--;
    return n;
}

/* ---- postfixes: calls, fields, items, filters, tests ---- */

/* (a, b, c=d): arguments behind the kid that is there already. */
static struct node *parse_arguments(struct parser *p, struct node *n, struct node *kid) {
    struct kids kids = {0};
    bool done = true, named = false;
    kids_add(&kids, kid, STR(""));
    if (!is_operator(p->at, "(")) return kids_take(p, &kids, n, true);
    p->at++;
    while (done && !is_operator(p->at, ")")) {
        struct str name = STR("");
        if (is_operator(p->at, "*") || is_operator(p->at, "**")) {
            done = fail(p, "arguments unpacked by * or ** are not supported") != NULL;
            break;
        }
        if (p->at->kind == TOKEN_NAME && is_operator(p->at + 1, "=")) {
            name = p->at->text;
            named = true;
            p->at += 2;
        } else if (named) {
            done = unexpected(p) != NULL;
            break;
        }
        struct node *value = parse_expression(p);
        done = value != NULL;
        if (done) kids_add(&kids, value, name);
        if (done && kids.n > TEMPLATE_ARGS_MAX)
            done = fail(p, "more than %d arguments", TEMPLATE_ARGS_MAX - 1) != NULL;
        if (done && !skip_operator(p, ",")) break;
    }
    done = done && want_operator(p, ")");
    return kids_take(p, &kids, n, done);
}

/* from:to:step, each may be missing; or one expression. */
static struct node *parse_subscript(struct parser *p, struct node *of) {
    struct node *item = make(p, NODE_ITEM), *bounds[4] = {of};
    int n_colons = 0;
    p->at++;
    for (;;) {
        if (!is_operator(p->at, ":") && !is_operator(p->at, "]")) {
            bounds[n_colons + 1] = parse_expression(p);
            if (!bounds[n_colons + 1]) return NULL;
        }
        if (n_colons == 2 || !skip_operator(p, ":")) break;
        n_colons++;
    }
    if (n_colons == 0 && !bounds[1]) return unexpected(p);
    if (!want_operator(p, "]")) return NULL;
    if (n_colons == 0) return with_two(p, item, of, bounds[1]);
    item->kind = NODE_SLICE;
    return with_kids(p, item, 4, bounds);
}

static struct node *parse_field(struct parser *p, struct node *of) {
    struct node *n = make(p, NODE_ATTR);
    p->at++;
    if (p->at->kind == TOKEN_NUMBER) {
        n->kind = NODE_ITEM;
        return with_two(p, n, of, parse_number(p));
    }
    if (p->at->kind != TOKEN_NAME) return unexpected(p);
    n->text = (p->at++)->text;
    return with_kids(p, n, 1, &of);
}

static struct node *parse_postfix(struct parser *p, struct node *n) {
    while (n) {
        if (is_operator(p->at, "."))
            n = parse_field(p, n);
        else if (is_operator(p->at, "["))
            n = parse_subscript(p, n);
        else if (is_operator(p->at, "("))
            n = parse_arguments(p, make(p, NODE_CALL), n);
        else
            break;
    }
    return n;
}

static struct node *parse_filter(struct parser *p, struct node *of) {
    struct node *n = make(p, NODE_FILTER);
    if (p->at->kind != TOKEN_NAME) return unexpected(p);
    n->text = (p->at++)->text;
    return parse_arguments(p, n, of);
}

static bool begins_argument(const struct token *t) {
    if (t->kind == TOKEN_NAME) return !is_name(t, "else") && !is_name(t, "or") && !is_name(t, "and");
    return t->kind == TOKEN_STRING || t->kind == TOKEN_NUMBER || is_operator(t, "[") || is_operator(t, "{");
}

/* x is [not] name, name(arguments), or name argument */
static struct node *parse_test(struct parser *p, struct node *of) {
    struct node *n = make(p, NODE_TEST);
    p->at++;
    n->flag = skip_name(p, "not");
    if (p->at->kind != TOKEN_NAME) return unexpected(p);
    n->text = (p->at++)->text;
    if (!begins_argument(p->at)) return parse_arguments(p, n, of);
    if (is_name(p->at, "is")) return unexpected(p);
    struct node *argument = parse_primary(p);
    if (argument) argument = parse_postfix(p, argument);
    n = with_two(p, n, of, argument);
    if (n) n->names = arena_alloc(p->arena, 2 * sizeof *n->names);
    return n;
}

static struct node *parse_filters(struct parser *p, struct node *n) {
    while (n) {
        if (skip_operator(p, "|"))
            n = parse_filter(p, n);
        else if (is_name(p->at, "is"))
            n = parse_test(p, n);
        else if (is_operator(p->at, "("))
            n = parse_arguments(p, make(p, NODE_CALL), n);
        else
            break;
    }
    return n;
}

/* ---- operators, from the tightest on ---- */

static struct node *parse_unary(struct parser *p, bool with_filter) {
    struct node *n;
    if (!enter(p)) return NULL;
    if (is_operator(p->at, "-") || is_operator(p->at, "+")) {
        n = make(p, is_operator(p->at, "-") ? NODE_MINUS : NODE_PLUS);
        p->at++;
        struct node *of = parse_unary(p, false);
        n = of ? with_kids(p, n, 1, &of) : NULL;
    } else {
        n = parse_primary(p);
    }
    n = parse_postfix(p, n);
    if (with_filter) n = parse_filters(p, n);
    p->depth--;
    return n;
}

/* a op b op c, from the left; the levels bind tighter downwards. */
static struct node *parse_level(struct parser *p, size_t level) {
    static const char *const levels[][5] = {{"+", "-"}, {"~"}, {"*", "/", "//", "%"}, {"**"}};
    if (level == ARRAY_LEN(levels)) return parse_unary(p, true);
    struct node *left = parse_level(p, level + 1);
    while (left) {
        bool found = false;
        for (size_t i = 0; levels[level][i]; i++) found |= is_operator(p->at, levels[level][i]);
        if (!found) break;
        struct node *n = make(p, NODE_BINARY);
        n->text = (p->at++)->text;
        left = with_two(p, n, left, parse_level(p, level + 1));
    }
    return left;
}

/* a < b < c is (a < b) and (b < c), with b worked out once: the outer one is flagged. */
static struct node *parse_compare(struct parser *p) {
    static const char *const operators[] = {"==", "!=", "<=", ">=", "<", ">"};
    struct node *left = parse_level(p, 0);
    for (bool chained = false; left; chained = true) {
        struct node *n = make(p, NODE_COMPARE);
        n->flag = chained;
        for (size_t i = 0; i < ARRAY_LEN(operators) && n->text.len == 0; i++) {
            if (skip_operator(p, operators[i])) n->text = str_from(operators[i]);
        }
        if (n->text.len == 0 && skip_name(p, "in")) n->text = STR("in");
        if (n->text.len == 0 && is_name(p->at, "not") && is_name(p->at + 1, "in")) {
            n->text = STR("not in");
            p->at += 2;
        }
        if (n->text.len == 0) break;
        left = with_two(p, n, left, parse_level(p, 0));
    }
    return left;
}

static struct node *parse_not(struct parser *p) {
    if (!is_name(p->at, "not")) return parse_compare(p);
    struct node *n = make(p, NODE_NOT);
    p->at++;
    struct node *of = enter(p) ? parse_not(p) : NULL;
    p->depth--;
    return of ? with_kids(p, n, 1, &of) : NULL;
}

static struct node *parse_and(struct parser *p) {
    struct node *left = parse_not(p);
    while (left && is_name(p->at, "and")) {
        struct node *n = make(p, NODE_AND);
        p->at++;
        left = with_two(p, n, left, parse_not(p));
    }
    return left;
}

static struct node *parse_or(struct parser *p) {
    struct node *left = parse_and(p);
    while (left && is_name(p->at, "or")) {
        struct node *n = make(p, NODE_OR);
        p->at++;
        left = with_two(p, n, left, parse_and(p));
    }
    return left;
}

/* a if b else c */
static struct node *parse_expression(struct parser *p) {
    if (!enter(p)) return NULL;
    struct node *value = parse_or(p);
    while (value && is_name(p->at, "if")) {
        struct node *n = make(p, NODE_CHOICE);
        p->at++;
        struct node *kids[3] = {parse_or(p), value, NULL};
        bool has_else = kids[0] && skip_name(p, "else");
        if (has_else) kids[2] = parse_expression(p);
        value = kids[0] && (kids[2] || !has_else) ? with_kids(p, n, has_else ? 3 : 2, kids) : NULL;
    }
    p->depth--;
    return value;
}

/* ---- statements ---- */

static bool end_tag(struct parser *p) {
    skip_operator(p, ":"); /* as in Python */
    return want_kind(p, TOKEN_TAG_END);
}

/* What is put into: a name, several, or a field of a namespace. */
static struct node *parse_target(struct parser *p, bool with_field) {
    if (with_field && p->at->kind == TOKEN_NAME && is_operator(p->at + 1, ".")) {
        struct node *name = parse_name(p);
        return name->kind == NODE_NAME ? parse_field(p, name) : unexpected(p);
    }
    struct node *n = parse_tuple(p, parse_primary, false);
    if (!n || n->kind == NODE_NAME) return n;
    bool names = n->kind == NODE_TUPLE && n->n > 0;
    for (size_t i = 0; names && i < n->n; i++) names = n->kids[i]->kind == NODE_NAME;
    return names ? n : fail(p, "only names, and fields of a namespace, can be set");
}

static struct node *parse_set(struct parser *p) {
    static const char *const ends[] = {"endset", NULL};
    struct node *n = make(p, NODE_SET), *target = parse_target(p, true);
    if (!target) return NULL;
    if (skip_operator(p, "=")) {
        struct node *value = parse_tuple(p, parse_expression, false);
        return value && end_tag(p) ? with_two(p, n, target, value) : NULL;
    }
    struct node *filter = NULL;
    while (skip_operator(p, "|")) {
        filter = parse_filter(p, filter);
        if (!filter) return NULL;
    }
    n->kind = NODE_SET_BODY;
    struct node *kids[] = {target, filter, end_tag(p) ? parse_body(p, ends) : NULL};
    if (!kids[2]) return NULL;
    p->at++;
    return end_tag(p) ? with_kids(p, n, 3, kids) : NULL;
}

static struct node *parse_if(struct parser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const last[] = {"endif", NULL};
    struct node *n = make(p, NODE_IF);
    struct kids kids = {0};
    bool done = true, more = true;
    while (done && more) {
        struct node *condition = parse_tuple(p, parse_or, false);
        struct node *body = condition && end_tag(p) ? parse_body(p, ends) : NULL;
        done = body != NULL;
        if (!done) break;
        kids_add(&kids, condition, STR(""));
        kids_add(&kids, body, STR(""));
        more = is_name(p->at, "elif");
        if (more) p->at++;
    }
    if (done && is_name(p->at, "else")) {
        p->at++;
        struct node *body = end_tag(p) ? parse_body(p, last) : NULL;
        done = body != NULL;
        if (done) kids_add(&kids, body, STR(""));
    }
    if (done) p->at++; /* endif */
    done = done && end_tag(p);
    return kids_take(p, &kids, n, done);
}

static struct node *parse_for(struct parser *p) {
    static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
    struct node *n = make(p, NODE_FOR), *kids[5] = {parse_target(p, false)};
    if (!kids[0]) return NULL;
    if (!skip_name(p, "in")) return unexpected(p);
    kids[1] = parse_tuple(p, parse_or, false);
    if (!kids[1]) return NULL;
    if (skip_name(p, "if") && !(kids[2] = parse_expression(p))) return NULL;
    if (is_name(p->at, "recursive")) return fail(p, "a recursive for is not supported");
    kids[3] = end_tag(p) ? parse_body(p, ends) : NULL;
    if (!kids[3]) return NULL;
    if (is_name(p->at, "else")) {
        p->at++;
        kids[4] = end_tag(p) ? parse_body(p, last) : NULL;
        if (!kids[4]) return NULL;
    }
    p->at++; /* endfor */
    return end_tag(p) ? with_kids(p, n, 5, kids) : NULL;
}

/* (a, b=1): names with defaults, behind the kid for the body. */
static bool parse_parameters(struct parser *p, struct kids *kids) {
    bool has_default = false;
    if (!want_operator(p, "(")) return false;
    while (!is_operator(p->at, ")")) {
        const struct str name = p->at->text;
        struct node *value = NULL;
        if (!want_kind(p, TOKEN_NAME)) return false;
        if (skip_operator(p, "=")) {
            has_default = true;
            value = parse_expression(p);
            if (!value) return false;
        } else if (has_default) {
            return unexpected(p);
        }
        kids_add(kids, value, name);
        if (kids->n > TEMPLATE_ARGS_MAX) return fail(p, "more than %d parameters", TEMPLATE_ARGS_MAX - 1);
        if (!skip_operator(p, ",")) break;
    }
    return want_operator(p, ")");
}

static struct node *parse_macro(struct parser *p) {
    static const char *const ends[] = {"endmacro", NULL};
    struct node *n = make(p, NODE_MACRO);
    struct kids kids = {0};
    n->text = p->at->text;
    if (!want_kind(p, TOKEN_NAME)) return NULL;
    kids_add(&kids, NULL, STR(""));
    bool done = parse_parameters(p, &kids) && end_tag(p) && (kids.ptr[0] = parse_body(p, ends));
    if (done) p->at++;
    done = done && end_tag(p);
    return kids_take(p, &kids, n, done);
}

static struct node *parse_with(struct parser *p) {
    static const char *const ends[] = {"endwith", NULL};
    struct node *n = make(p, NODE_WITH);
    struct kids kids = {0};
    bool done = true;
    kids_add(&kids, NULL, STR(""));
    while (done && p->at->kind != TOKEN_TAG_END) {
        struct node *target = kids.n == 1 || want_operator(p, ",") ? parse_primary(p) : NULL;
        if (target && target->kind != NODE_NAME) target = unexpected(p);
        struct node *value = target && want_operator(p, "=") ? parse_expression(p) : NULL;
        done = value != NULL;
        if (!done) break;
        kids_add(&kids, target, STR(""));
        kids_add(&kids, value, STR(""));
    }
    done = done && end_tag(p) && (kids.ptr[0] = parse_body(p, ends));
    if (done) p->at++;
    done = done && end_tag(p);
    return kids_take(p, &kids, n, done);
}

static struct node *parse_filtered(struct parser *p) {
    static const char *const ends[] = {"endfilter", NULL};
    struct node *n = make(p, NODE_FILTERED), *filter = parse_filter(p, NULL);
    while (filter && skip_operator(p, "|")) filter = parse_filter(p, filter);
    struct node *body = filter && end_tag(p) ? parse_body(p, ends) : NULL;
    if (!body) return NULL;
    p->at++;
    return end_tag(p) ? with_two(p, n, filter, body) : NULL;
}

static struct node *parse_generation(struct parser *p) {
    static const char *const ends[] = {"endgeneration", NULL};
    struct node *n = make(p, NODE_SCOPE), *body = end_tag(p) ? parse_body(p, ends) : NULL;
    if (!body) return NULL;
    p->at++;
    return end_tag(p) ? with_kids(p, n, 1, &body) : NULL;
}

static struct node *parse_break(struct parser *p) {
    struct node *n = make(p, NODE_BREAK);
    return end_tag(p) ? n : NULL;
}

static struct node *parse_continue(struct parser *p) {
    struct node *n = make(p, NODE_CONTINUE);
    return end_tag(p) ? n : NULL;
}

static struct node *parse_statement(struct parser *p) {
    static const struct {
        const char *name;
        struct node *(*parse)(struct parser *);
    } statements[] = {{"set", parse_set},
                      {"if", parse_if},
                      {"for", parse_for},
                      {"macro", parse_macro},
                      {"with", parse_with},
                      {"filter", parse_filtered},
                      {"break", parse_break},
                      {"continue", parse_continue},
                      {"generation", parse_generation}};
    if (p->at->kind != TOKEN_NAME) return unexpected(p);
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        if (skip_name(p, statements[i].name)) return statements[i].parse(p);
    }
    return fail(p, "the tag \"%.*s\" is not supported here", (int)MIN(p->at->text.len, 40u), p->at->text.ptr);
}

static struct node *parse_print(struct parser *p) {
    struct node *n = make(p, NODE_PRINT), *value = parse_tuple(p, parse_expression, false);
    return value && want_kind(p, TOKEN_PRINT_END) ? with_kids(p, n, 1, &value) : NULL;
}

/* Statements up to a tag with one of the names, which is where reading stands then; NULL: up to the end. */
static struct node *parse_body(struct parser *p, const char *const *ends) {
    struct node *n = make(p, NODE_BODY);
    struct kids kids = {0};
    bool done = enter(p), ended = false;
    while (done && !ended && p->at->kind != TOKEN_END) {
        struct node *kid = NULL;
        if (p->at->kind == TOKEN_DATA) {
            kid = make(p, NODE_DATA);
            kid->text = (p->at++)->text;
        } else if (p->at->kind == TOKEN_PRINT_BEGIN) {
            p->at++;
            kid = parse_print(p);
        } else {
            p->at++; /* a tag: nothing else can stand here */
            for (size_t i = 0; ends && ends[i]; i++) ended |= is_name(p->at, ends[i]);
            if (!ended) kid = parse_statement(p);
        }
        done = kid || ended;
        if (kid) kids_add(&kids, kid, STR(""));
    }
    if (done && ends && !ended) {
        while (ends[1]) ends++; /* the one that must come */
        done = fail(p, "a tag \"%s\" is missing", ends[0]) != NULL;
    }
    p->depth--;
    return kids_take(p, &kids, n, done);
}

struct node *template_parse(const struct token_list *tokens, struct arena *a, struct err *e) {
    struct parser p = {.at = tokens->ptr, .arena = a, .e = e};
    return parse_body(&p, NULL);
}
