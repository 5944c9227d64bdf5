#include "answer/parse.h"

#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

static void ten_to(fmpz_t out, ulong n) {
    fmpz_set_ui(out, 10);
    fmpz_pow_ui(out, out, n);
}

/* digits[.digits][(digits)][e[sign]digits] into an exact rational; false when it is over a bound. */
static bool number_value(struct str s, fmpq_t out) {
    char digits[1100];
    size_t i = 0, n = 0, n_frac = 0, n_rep = 0;
    bool point = false, rep = false;
    long exponent = 0;
    for (; i < s.len && s.ptr[i] != 'e'; i++) {
        char c = s.ptr[i];
        if (c == '.')
            point = true;
        else if (c == '(')
            rep = true;
        else if (c != ')') {
            if (n >= sizeof digits - 1) return false;
            digits[n++] = c;
            if (rep)
                n_rep++;
            else if (point)
                n_frac++;
        }
    }
    digits[n] = '\0';
    if (n == 0) return false;
    if (i < s.len)
        exponent = strtol(s.ptr + i + 1, NULL, 10); /* the lexer allows six digits; the text ends in NUL */
    if (exponent > 2000 || exponent < -2000) return false;
    fmpz_t all, head, ten;
    fmpz_init(all);
    fmpz_init(head);
    fmpz_init(ten);
    fmpz_set_str(all, digits, 10);
    if (n_rep) {
        digits[n - n_rep] = '\0';
        if (n > n_rep) fmpz_set_str(head, digits, 10);
        fmpz_sub(all, all, head); /* 0.1(6) = (16 - 1) / 90 */
        ten_to(ten, n_rep);
        fmpz_sub_ui(ten, ten, 1);
    } else
        fmpz_one(ten);
    ten_to(head, n_frac);
    fmpz_mul(ten, ten, head);
    fmpq_set_fmpz_frac(out, all, ten);
    ten_to(head, (ulong)labs(exponent));
    if (exponent > 0)
        fmpq_mul_fmpz(out, out, head);
    else if (exponent < 0)
        fmpq_div_fmpz(out, out, head);
    fmpz_clear(all);
    fmpz_clear(head);
    fmpz_clear(ten);
    return true;
}

/* 204_5: digits in base five. */
static bool take_base(struct parse *p, const struct lex_token *t, struct node *n) {
    if (!parse_is_char(p, '_')) return true;
    size_t at = p->at + 1;
    bool brace = p->t[at].kind == LEX_CHAR && p->t[at].op == '{';
    at += brace;
    if (p->t[at].kind != LEX_NUM || p->t[at].text.len > 2) return false;
    long base = strtol(p->t[at].text.ptr, NULL, 10);
    at++;
    if (brace && !(p->t[at].kind == LEX_CHAR && p->t[at].op == '}')) return false;
    p->at = at + brace;
    if (base < 2 || base > 36 || memchr(t->text.ptr, '.', t->text.len) ||
        memchr(t->text.ptr, 'e', t->text.len))
        return false;
    for (size_t i = 0; i < t->text.len; i++)
        if (t->text.ptr[i] - '0' >= base) return false;
    fmpz_set_str(fmpq_numref(n->value), t->text.ptr, (int)base);
    fmpz_one(fmpq_denref(n->value));
    n->flags |= NODE_BASED;
    n->name = t->text;
    return true;
}

static bool is_proper_fraction(const struct node *n) {
    if (n->kind != NODE_DIV || n->kids[0]->kind != NODE_NUM || n->kids[1]->kind != NODE_NUM) return false;
    const struct node *a = n->kids[0], *b = n->kids[1];
    return fmpz_is_one(fmpq_denref(a->value)) && fmpz_is_one(fmpq_denref(b->value)) &&
           !((a->flags | b->flags) & NODE_DECIMAL) && fmpz_sgn(fmpq_numref(a->value)) > 0 &&
           fmpz_cmp(fmpq_numref(a->value), fmpq_numref(b->value)) < 0;
}

static bool is_integer_token(const struct lex_token *t) {
    return t->kind == LEX_NUM && !memchr(t->text.ptr, '.', t->text.len) &&
           !memchr(t->text.ptr, 'e', t->text.len);
}

static struct node *parse_frac(struct parse *p) {
    p->at++;
    struct node *num = parse_argument(p);
    struct node *den = p->failed ? num : parse_argument(p);
    return node_2(p->tree, NODE_DIV, num, den);
}

static struct node *parse_number(struct parse *p) {
    const struct lex_token *t = &p->t[p->at++];
    struct node *n = node_new(p->tree, NODE_NUM, 0);
    if (!number_value(t->text, n->value)) return parse_fail(p);
    if (memchr(t->text.ptr, '.', t->text.len)) n->flags |= NODE_DECIMAL;
    if (!take_base(p, t, n)) return parse_fail(p);
    if (!is_integer_token(t)) return n;
    const struct lex_token *u = &p->t[p->at];
    size_t back = p->at;
    if (u->kind == LEX_FRAC) { /* 3 \frac12 */
        struct node *f = parse_frac(p);
        if (!p->failed && is_proper_fraction(f)) return node_2(p->tree, NODE_ADD, n, f);
        if (!p->failed) return node_2(p->tree, NODE_MUL, n, f);
        return f;
    }
    if (is_integer_token(u) && (u->flags & LEX_SPACE) && u[1].kind == LEX_CHAR && u[1].op == '/' &&
        is_integer_token(&u[2])) {
        struct node *a = node_new(p->tree, NODE_NUM, 0), *b = node_new(p->tree, NODE_NUM, 0); /* 3 1/2 */
        if (!number_value(u->text, a->value) || !number_value(u[2].text, b->value)) return parse_fail(p);
        p->at += 3;
        struct node *f = node_2(p->tree, NODE_DIV, a, b);
        if (is_proper_fraction(f)) return node_2(p->tree, NODE_ADD, n, f);
    }
    p->at = back;
    return n;
}

/* ---- symbols ---- */

/* Adds the tokens of a subscript to a name: x_1, a_{37}, x_{i,j}, h_\theta. */
static bool take_subscript(struct parse *p, struct buf *name) {
    buf_add_char(name, '_');
    bool brace = parse_take_char(p, '{');
    for (size_t n = 0; n < 40; n++) {
        const struct lex_token *t = &p->t[p->at];
        if (brace && t->kind == LEX_CHAR && t->op == '}') {
            p->at++;
            return true;
        }
        if (t->kind == LEX_END) return false;
        if (t->kind == LEX_CHAR)
            buf_add_char(name, (char)t->op);
        else
            buf_add_str(name, t->text.len ? t->text : STR("?"));
        p->at++;
        if (!brace)
            return t->kind == LEX_SYM || t->kind == LEX_NUM || t->kind == LEX_CONST || t->kind == LEX_WORD;
    }
    return false;
}

static bool is_function_name(struct str name) {
    return name.len >= 1 && strchr("fghFGH", name.ptr[0]) &&
           (name.len == 1 || name.ptr[1] == '_' || name.ptr[1] == '\'');
}

static struct node *parse_symbol(struct parse *p, struct str prefix) {
    struct buf name = {0};
    buf_add_str(&name, prefix);
    buf_add_str(&name, p->t[p->at++].text);
    bool ok = true;
    if (parse_take_char(p, '_')) ok = take_subscript(p, &name);
    while (parse_take_char(p, '\'')) buf_add_char(&name, '\'');
    struct node *n = node_sym(p->tree, node_str(p->tree, buf_str(&name)));
    buf_free(&name);
    if (!ok) return parse_fail(p);
    if (is_function_name(n->name) && parse_is_char(p, '(') && !(p->t[p->at].flags & LEX_SPACE)) {
        p->at++;
        struct node *args = parse_list(p, false);
        if (p->failed || !parse_take_char(p, ')')) return parse_fail(p);
        struct node *f = args->kind == NODE_LIST ? args : node_1(p->tree, NODE_APPLY, args);
        f->kind = NODE_APPLY;
        f->op = 0;
        f->name = n->name;
        return f;
    }
    return n;
}

static struct node *parse_accent(struct parse *p) {
    const struct lex_token *t = &p->t[p->at++];
    struct str name = t->text.len ? t->text : STR("accent");
    bool brace = parse_take_char(p, '{');
    struct buf b = {0};
    buf_add_str(&b, name);
    buf_add_char(&b, ' ');
    bool ok = false;
    while (parse_is(p, LEX_SYM, -1) || parse_is(p, LEX_CONST, -1) || parse_is(p, LEX_NUM, -1)) {
        buf_add_str(&b, p->t[p->at++].text);
        ok = true;
        if (!brace) break;
    }
    if (brace && !parse_take_char(p, '}')) ok = false;
    if (ok && parse_take_char(p, '_')) ok = take_subscript(p, &b);
    struct node *n = node_sym(p->tree, node_str(p->tree, buf_str(&b)));
    buf_free(&b);
    return ok ? n : parse_fail(p);
}

/* ---- groups ---- */

struct node *parse_argument(struct parse *p) {
    if (p->failed || !parse_enter(p)) return parse_fail(p);
    struct node *n;
    struct lex_token *t = &p->t[p->at];
    if (parse_take_char(p, '{')) {
        int bars = p->n_bars;
        p->n_bars = 0;
        n = parse_list(p, true);
        p->n_bars = bars;
        if (!parse_take_char(p, '}')) n = parse_fail(p);
    } else if (t->kind == LEX_NUM && t->text.len > 1) { /* \frac12: one digit at a time */
        struct lex_token digit = *t;
        n = node_num_si(p->tree, digit.text.ptr[0] - '0');
        t->text.ptr++;
        t->text.len--;
        if (digit.text.ptr[0] == '.') n = parse_fail(p);
    } else if (parse_is_char(p, '-')) {
        p->at++;
        n = node_1(p->tree, NODE_NEG, parse_primary(p));
    } else
        n = parse_primary(p);
    p->depth--;
    return n;
}

static bool closer(const struct parse *p, char c) {
    return parse_is_char(p, c);
}

/* ( ... ), [ ... ], ( ... ], ] ... [ */
static struct node *parse_bracket(struct parse *p) {
    char open = (char)p->t[p->at++].op;
    int bars = p->n_bars;
    p->n_bars = 0;
    struct node *n = parse_list(p, false);
    p->n_bars = bars;
    if (p->failed || !(closer(p, ')') || closer(p, ']') || closer(p, '['))) return parse_fail(p);
    char close = (char)p->t[p->at++].op;
    if (n->kind != NODE_LIST) return (open == '(') == (close == ')') && close != '[' ? n : parse_fail(p);
    if (open == '(' && close == ')') {
        n->kind = NODE_TUPLE;
        return n;
    }
    if (n->n_kids == 2) {
        n->kind = NODE_INTERVAL;
        n->flags = (uint16_t)((open == '[' ? 0 : NODE_LO_OPEN) | (close == ']' ? 0 : NODE_HI_OPEN));
        return n;
    }
    if (open != '[' || close != ']') return parse_fail(p);
    n->kind = NODE_TUPLE;
    n->flags |= NODE_SQUARE;
    return n;
}

/* \{x \mid condition\}, \{x \in \mathbb{R} : condition\}: stands at the condition when true. */
static bool take_set_builder(struct parse *p) {
    const struct lex_token *t = &p->t[p->at];
    size_t n = 1;
    if (t[0].kind != LEX_SYM) return false;
    if (t[1].kind == LEX_REL && t[1].op == 'E' && t[2].kind == LEX_NUMBERS && t[2].text.ptr[0] == 'R') n = 3;
    if (t[n].kind != LEX_CHAR || (t[n].op != '|' && t[n].op != ':')) return false;
    p->at += n + 1;
    return true;
}

static struct node *parse_braces(struct parse *p) {
    p->at++;
    if (parse_is(p, LEX_BRACE, '}')) {
        p->at++;
        return node_new(p->tree, NODE_SET, 0);
    }
    bool builder = take_set_builder(p);
    struct node *n = parse_list(p, false);
    if (p->failed || !(parse_is(p, LEX_BRACE, '}') || parse_is_char(p, '}'))) return parse_fail(p);
    p->at++;
    if (builder) return n->kind == NODE_REL || n->kind == NODE_CHAIN ? n : parse_fail(p);
    n = parse_expand_plusminus(p, n);
    if (n->kind == NODE_LIST) {
        n->kind = NODE_SET;
        n->op = 0;
        return n;
    }
    return node_1(p->tree, NODE_SET, n);
}

static struct node *parse_fenced(struct parse *p, enum func f, int close_kind, int close_op) {
    p->at++;
    p->n_bars += close_kind == LEX_CHAR;
    struct node *n = parse_list(p, false);
    p->n_bars -= close_kind == LEX_CHAR;
    if (p->failed || !parse_is(p, close_kind, close_op)) return parse_fail(p);
    p->at++;
    return node_func(p->tree, f, n);
}

static bool is_matrix(struct str env) {
    return str_ends(env, STR("matrix")) || str_equal(env, STR("array"));
}

static struct node *parse_environment(struct parse *p) {
    struct str env = p->t[p->at++].text;
    if (!is_matrix(env)) return parse_fail(p);
    struct node_vec v = {0};
    size_t n_cols = 0, n_row = 0;
    bool ok = true;
    while (!p->failed && ok && !parse_is(p, LEX_FINISH, -1)) {
        node_vec_add(&v, parse_item(p));
        n_row++;
        if (parse_take_char(p, '&')) continue;
        if (!parse_take_char(p, 'N') && !parse_is(p, LEX_FINISH, -1)) ok = false;
        if (n_cols == 0) n_cols = n_row;
        ok = ok && n_row == n_cols;
        n_row = 0;
    }
    bool done = !p->failed && ok && n_row == 0 && v.n > 0 && n_cols < 200;
    struct node *n = node_from_vec(p->tree, NODE_MATRIX, &v);
    if (!done) return parse_fail(p);
    p->at++;
    n->op = (uint8_t)n_cols;
    return str_equal(env, STR("vmatrix")) ? node_func(p->tree, FUNC_DET, n) : n;
}

static struct node *parse_const(struct parse *p) {
    const struct lex_token *t = &p->t[p->at];
    if ((t->op == NODE_E || t->op == NODE_I) && t[1].kind == LEX_CHAR && t[1].op == '_')
        return parse_symbol(p, (struct str){0});
    p->at++;
    return node_new(p->tree, t->op, 0);
}

static struct node *parse_char(struct parse *p) {
    switch (p->t[p->at].op) {
    case '(':
    case '[':
    case ']':
        return parse_bracket(p);
    case '{':
        if (p->t[p->at + 1].kind == LEX_CHAR && p->t[p->at + 1].op == '}') { /* {} means nothing */
            p->at += 2;
            return parse_starts_primary(p) ? parse_primary(p) : parse_fail(p);
        }
        return parse_argument(p);
    case '|':
        return parse_fenced(p, FUNC_ABS, LEX_CHAR, '|');
    default:
        return parse_fail(p);
    }
}

/* mod(7, 3) */
static struct node *parse_modulo(struct parse *p) {
    p->at++;
    if (!parse_is_char(p, '(')) return parse_fail(p);
    struct node *n = parse_primary(p);
    if (p->failed || n->kind != NODE_TUPLE || n->n_kids != 2) return parse_fail(p);
    return node_func_2(p->tree, FUNC_MOD, n->kids[0], n->kids[1]);
}

static struct node *parse_leaf(struct parse *p) {
    const struct lex_token *t = &p->t[p->at++];
    struct node *n = node_new(p->tree, t->kind == LEX_EMPTY ? NODE_SET : NODE_NUMBERS, 0);
    n->name = t->text;
    return n;
}

static struct node *parse_any(struct parse *p) {
    const struct lex_token *t = &p->t[p->at];
    switch (t->kind) {
    case LEX_NUM:
        return parse_number(p);
    case LEX_SYM:
        return parse_symbol(p, (struct str){0});
    case LEX_CONST:
        return parse_const(p);
    case LEX_FUNC:
        return parse_function(p);
    case LEX_FRAC:
        return parse_frac(p);
    case LEX_BEGIN:
        return parse_environment(p);
    case LEX_BRACE:
        return t->op == '{' ? parse_braces(p) : parse_fail(p);
    case LEX_CHAR:
        return parse_char(p);
    case LEX_ACCENT:
        return parse_accent(p);
    case LEX_MOD:
        return parse_modulo(p);
    case LEX_NUMBERS:
    case LEX_EMPTY:
        return parse_leaf(p);
    case LEX_BINOM: {
        p->at++;
        struct node *n = parse_argument(p);
        return node_func_2(p->tree, FUNC_BINOMIAL, n, parse_argument(p));
    }
    case LEX_FENCE:
        if (t->op == 'f') return parse_fenced(p, FUNC_FLOOR, LEX_FENCE, 'F');
        if (t->op == 'c') return parse_fenced(p, FUNC_CEIL, LEX_FENCE, 'C');
        return t->op == '|' ? parse_fenced(p, FUNC_ABS, LEX_FENCE, '!') : parse_fail(p);
    case LEX_CURRENCY:
        p->at++;
        p->currency = t->text;
        return parse_primary(p);
    default:
        return parse_fail(p);
    }
}

struct node *parse_primary(struct parse *p) {
    if (p->failed || !parse_enter(p)) return parse_fail(p);
    struct node *n = parse_any(p);
    p->depth--;
    return n;
}
