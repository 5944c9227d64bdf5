#include "answer/parse.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void node_vec_add(struct node_vec *v, struct node *n) {
    if (v->n + 1 > v->cap) MEM_GROW(v->items, v->cap, v->n + 1);
    v->items[v->n++] = n;
}

struct node *node_from_vec(struct tree *t, enum node_kind kind, struct node_vec *v) {
    struct node *n = node_new(t, kind, v->n);
    if (v->n) memcpy(n->kids, v->items, v->n * sizeof *v->items);
    free(v->items);
    *v = (struct node_vec){0};
    return n;
}

struct node *parse_fail(struct parse *p) {
    p->failed = true;
    return node_new(p->tree, NODE_TEXT, 0);
}

bool parse_is(const struct parse *p, int kind, int op) {
    return p->t[p->at].kind == kind && (op < 0 || p->t[p->at].op == op);
}

bool parse_is_char(const struct parse *p, char c) {
    return parse_is(p, LEX_CHAR, c);
}

bool parse_take_char(struct parse *p, char c) {
    if (!parse_is_char(p, c)) return false;
    p->at++;
    return true;
}

bool parse_enter(struct parse *p) {
    p->depth++;
    if (p->depth > PARSE_DEPTH_MAX || p->tree->full) p->failed = true;
    return !p->failed;
}

/* A '[' that closes: ]a, b[ */
static bool closes_like_french(const struct parse *p) {
    const struct lex_token *t = &p->t[p->at];
    if (t->kind != LEX_CHAR || t->op != '[') return false;
    int next = t[1].kind;
    return next == LEX_END || next == LEX_SETOP || next == LEX_AND || next == LEX_OR ||
           (next == LEX_CHAR && strchr(",;.", t[1].op));
}

bool parse_starts_primary(const struct parse *p) {
    const struct lex_token *t = &p->t[p->at];
    switch (t->kind) {
    case LEX_NUM:
    case LEX_SYM:
    case LEX_CONST:
    case LEX_FUNC:
    case LEX_FRAC:
    case LEX_BINOM:
    case LEX_BEGIN:
    case LEX_NUMBERS:
    case LEX_EMPTY:
    case LEX_ACCENT:
        return true;
    case LEX_BRACE:
        return t->op == '{';
    case LEX_FENCE:
        return t->op == 'f' || t->op == 'c' || t->op == '|';
    case LEX_CHAR:
        if (t->op == '|') return p->n_bars == 0;
        if (t->op == '[') return !closes_like_french(p);
        return t->op == '(' || t->op == '{';
    default:
        return false;
    }
}

static struct node *parse_exponent(struct parse *p) {
    bool negative = false;
    while (parse_is_char(p, '-') || parse_is_char(p, '+')) negative ^= p->t[p->at++].op == '-';
    struct node *e;
    if (parse_is_char(p, '{'))
        e = parse_argument(p);
    else
        e = parse_primary(p);
    if (parse_is_char(p, '^') && !p->failed && parse_enter(p)) {
        p->at++;
        e = node_2(p->tree, NODE_POW, e, parse_exponent(p));
        p->depth--;
    }
    return negative ? node_1(p->tree, NODE_NEG, e) : e;
}

/* "^\circ" and "^{\circ}"; also "^\prime", which changes nothing in an answer's value but its name. */
static bool take_degree_exponent(struct parse *p) {
    size_t at = p->at + 1;
    bool brace = p->t[at].kind == LEX_CHAR && p->t[at].op == '{';
    at += brace;
    if (p->t[at].kind != LEX_DEGREE) return false;
    at++;
    if (brace && !(p->t[at].kind == LEX_CHAR && p->t[at].op == '}')) return false;
    p->at = at + brace;
    return true;
}

static struct node *parse_postfix(struct parse *p, struct node *n) {
    while (!p->failed) {
        if (parse_is_char(p, '!')) {
            p->at++;
            if (parse_is_char(p, '!'))
                return parse_fail(p); /* n!! is another function, or (n!)!: nobody knows */
            n = node_func(p->tree, FUNC_FACTORIAL, n);
        } else if (parse_is(p, LEX_PERCENT, -1)) {
            p->at++;
            n = n->kind == NODE_PERCENT ? n : node_1(p->tree, NODE_PERCENT, n);
        } else if (parse_is(p, LEX_DEGREE, -1)) {
            p->at++;
            n = node_1(p->tree, NODE_DEGREE, n);
        } else if (parse_is_char(p, '^')) {
            if (take_degree_exponent(p)) {
                n = node_1(p->tree, NODE_DEGREE, n);
                continue;
            }
            p->at++;
            if (n->kind == NODE_POW)
                return parse_fail(p); /* a^b^c without braces at this level: a double superscript */
            n = node_2(p->tree, NODE_POW, n, parse_exponent(p));
        } else
            break;
        if (n->kind == NODE_POW && parse_is_char(p, '^')) return parse_fail(p);
    }
    return n;
}

struct node *parse_power(struct parse *p) {
    if (!parse_enter(p)) return parse_fail(p);
    struct node *n = parse_postfix(p, parse_primary(p));
    p->depth--;
    return n;
}

static bool is_plain_number(const struct node *n) {
    return n->kind == NODE_NUM;
}

static struct node *times(struct tree *t, struct node *a, struct node *b) {
    return node_2(t, NODE_MUL, a, b);
}

static struct node *parse_signed_power(struct parse *p) {
    bool negative = false;
    while (parse_is_char(p, '-') || parse_is_char(p, '+')) negative ^= p->t[p->at++].op == '-';
    struct node *n = parse_power(p);
    return negative ? node_1(p->tree, NODE_NEG, n) : n;
}

static struct node *parse_product(struct parse *p) {
    struct node *n = parse_power(p), *factor = n;
    while (!p->failed) {
        const struct lex_token *t = &p->t[p->at];
        if (parse_take_char(p, '*')) {
            factor = parse_signed_power(p);
            n = times(p->tree, n, factor);
        } else if (parse_take_char(p, '/')) {
            factor = parse_signed_power(p);
            n = node_2(p->tree, NODE_DIV, n, factor);
        } else if (t->kind == LEX_MOD) {
            p->at++;
            factor = parse_signed_power(p);
            n = node_func_2(p->tree, FUNC_MOD, n, factor);
        } else if (parse_starts_primary(p)) {
            if (t->kind == LEX_NUM && is_plain_number(factor)) return parse_fail(p); /* "2 3" */
            if (parse_is_unit_letter(t) && !node_has_symbol(n)) break;
            factor = parse_power(p);
            n = times(p->tree, n, factor);
        } else
            break;
    }
    return n;
}

static struct node *parse_signed_product(struct parse *p) {
    if (parse_is_char(p, '-') || parse_is_char(p, '+') || parse_is(p, LEX_PM, -1)) {
        const struct lex_token *t = &p->t[p->at++];
        if (!parse_enter(p)) return parse_fail(p);
        struct node *n = parse_signed_product(p);
        p->depth--;
        if (t->kind == LEX_PM) {
            n = node_1(p->tree, NODE_PM, n);
            n->op = t->op;
            return n;
        }
        return t->op == '-' ? node_1(p->tree, NODE_NEG, n) : n;
    }
    return parse_product(p);
}

struct node *parse_sum(struct parse *p) {
    if (!parse_enter(p)) return parse_fail(p);
    struct node_vec v = {0};
    struct node *n = parse_signed_product(p);
    node_vec_add(&v, n);
    while (!p->failed) {
        const struct lex_token *t = &p->t[p->at];
        if (parse_take_char(p, '+'))
            node_vec_add(&v, parse_signed_product(p));
        else if (parse_take_char(p, '-'))
            node_vec_add(&v, node_1(p->tree, NODE_NEG, parse_signed_product(p)));
        else if (t->kind == LEX_PM) {
            p->at++;
            struct node *left = v.n == 1 ? v.items[0] : node_from_vec(p->tree, NODE_ADD, &v);
            struct node *pm = node_2(p->tree, NODE_PM, left, parse_signed_product(p));
            pm->op = t->op;
            v.n = 0;
            node_vec_add(&v, pm);
        } else
            break;
    }
    p->depth--;
    if (v.n == 1) {
        n = v.items[0];
        free(v.items);
        return n;
    }
    return node_from_vec(p->tree, NODE_ADD, &v);
}

static struct node *parse_ratio(struct parse *p) {
    struct node *n = parse_sum(p);
    if (!p->failed && parse_is_char(p, ':')) {
        struct node_vec v = {0};
        node_vec_add(&v, n);
        const struct lex_token *first = &p->t[p->at - 1];
        while (!p->failed && parse_take_char(p, ':')) node_vec_add(&v, parse_sum(p));
        bool clock = first[0].kind == LEX_NUM && first[2].kind == LEX_NUM && first[0].text.len <= 2 &&
                     first[2].text.len == 2;
        n = node_from_vec(p->tree, NODE_RATIO, &v);
        if (clock) n->flags |= NODE_CLOCK;
    }
    struct str currency = p->currency, unit = (struct str){0};
    bool loose_word = parse_is(p, LEX_WORD, -1) && !(p->t[p->at].flags & LEX_IN_TEXT);
    if (!p->failed && !(loose_word && node_has_symbol(n))) unit = parse_unit(p);
    p->currency = (struct str){0};
    if (!unit.len) unit = currency;
    if (unit.len && (node_is_scalar(n) || n->kind == NODE_PM || (n->flags & NODE_CLOCK))) {
        n = node_1(p->tree, NODE_UNIT, n);
        n->name = unit;
    }
    return n;
}

struct node *parse_set(struct parse *p) {
    struct node *n = parse_ratio(p);
    while (!p->failed && parse_is(p, LEX_SETOP, -1)) {
        enum node_kind kind = p->t[p->at++].op;
        n = node_2(p->tree, kind, n, parse_ratio(p));
    }
    return n;
}
