#include "answer/parse.h"

#include <stdlib.h>
#include <string.h>

static enum func inverse_of(enum func f) {
    switch (f) {
    case FUNC_SIN:
        return FUNC_ASIN;
    case FUNC_COS:
        return FUNC_ACOS;
    case FUNC_TAN:
        return FUNC_ATAN;
    case FUNC_SINH:
        return FUNC_ASINH;
    case FUNC_COSH:
        return FUNC_ACOSH;
    case FUNC_TANH:
        return FUNC_ATANH;
    default:
        return FUNC_NONE;
    }
}

/* What a function without parentheses applies to: \sin 2x, \ln xy, \sin \frac\pi3; it ends before the next
 * function or operator. */
static struct node *parse_bare_argument(struct parse *p, bool trig) {
    bool negative = false;
    while (parse_is_char(p, '-')) negative ^= p->t[p->at++].op == '-';
    if (!parse_starts_primary(p)) return parse_fail(p);
    struct node *n = parse_power(p);
    while (!p->failed && parse_starts_primary(p) && !parse_is(p, LEX_FUNC, -1) && !parse_is_char(p, '(') &&
           !parse_is_char(p, '[')) {
        if (parse_is(p, LEX_NUM, -1)) return parse_fail(p);
        n = node_2(p->tree, NODE_MUL, n, parse_power(p));
    }
    if (trig && !p->failed && !node_has_symbol(n) && n->kind != NODE_DEGREE && parse_take_char(p, '/'))
        n = node_2(p->tree, NODE_DIV, n, parse_power(p)); /* \sin \pi/6 */
    return negative ? node_1(p->tree, NODE_NEG, n) : n;
}

static struct node *parse_sqrt(struct parse *p, enum func f) {
    struct node *index = NULL;
    if (f == FUNC_ROOT)
        index = node_num_si(p->tree, 3); /* cbrt */
    else if (parse_is_char(p, '[')) {
        p->at++;
        index = parse_sum(p);
        if (!parse_take_char(p, ']')) return parse_fail(p);
    }
    struct node *x;
    if (parse_is_char(p, '{'))
        x = parse_argument(p);
    else
        x = parse_primary(p);
    if (index && !node_is_num_si(index, 2)) return node_func_2(p->tree, FUNC_ROOT, x, index);
    return node_func(p->tree, FUNC_SQRT, x);
}

static bool takes_list(enum func f) {
    return f == FUNC_GCD || f == FUNC_LCM || f == FUNC_MIN || f == FUNC_MAX || f == FUNC_BINOMIAL;
}

static struct node *apply(struct parse *p, enum func f, struct node *arg, struct node *base) {
    if (takes_list(f)) {
        struct node *n = arg->kind == NODE_LIST || arg->kind == NODE_TUPLE || arg->kind == NODE_SET
                             ? arg
                             : node_1(p->tree, NODE_FUNC, arg);
        n->kind = NODE_FUNC;
        n->op = (uint8_t)f;
        n->flags = 0;
        if (f == FUNC_BINOMIAL && n->n_kids != 2) return parse_fail(p);
        return n->n_kids ? n : parse_fail(p);
    }
    if (f == FUNC_LOG)
        return base ? node_func_2(p->tree, FUNC_LOG, arg, base) : node_func(p->tree, FUNC_LOG, arg);
    return node_func(p->tree, f, arg);
}

struct node *parse_function(struct parse *p) {
    enum func f = p->t[p->at++].op;
    if (f == FUNC_SQRT || f == FUNC_ROOT) return parse_sqrt(p, f);
    struct node *base = NULL, *power = NULL;
    while (!p->failed && (parse_is_char(p, '_') || parse_is_char(p, '^'))) {
        struct node **slot = parse_is_char(p, '_') ? &base : &power;
        p->at++;
        if (*slot) return parse_fail(p);
        *slot = parse_is_char(p, '{') ? parse_argument(p) : parse_primary(p);
        if (slot == &power && parse_is(p, LEX_DEGREE, -1)) return parse_fail(p);
    }
    if (base && f != FUNC_LOG) return parse_fail(p);
    if (power && power->kind == NODE_NEG && node_is_num_si(power->kids[0], 1)) {
        f = inverse_of(f);
        power = NULL;
        if (f == FUNC_NONE) return parse_fail(p);
    }
    struct node *arg;
    if (parse_is_char(p, '(') || parse_is_char(p, '[')) {
        char close = p->t[p->at++].op == '(' ? ')' : ']';
        int bars = p->n_bars;
        p->n_bars = 0;
        arg = parse_list(p, false);
        p->n_bars = bars;
        if (p->failed || !parse_take_char(p, close)) return parse_fail(p);
    } else if (parse_is(p, LEX_BRACE, '{') && takes_list(f))
        arg = parse_primary(p);
    else if (parse_is_char(p, '{'))
        arg = parse_argument(p);
    else
        arg = parse_bare_argument(p, f >= FUNC_SIN && f <= FUNC_ATANH);
    if (p->failed) return parse_fail(p);
    if (f == FUNC_LOG && arg->kind == NODE_LIST && arg->n_kids == 2 && !base) { /* log(8, 2) */
        base = arg->kids[1];
        arg = arg->kids[0];
    }
    struct node *n = apply(p, f, arg, base);
    return power ? node_2(p->tree, NODE_POW, n, power) : n;
}
