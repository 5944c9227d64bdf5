/* Sets of reals as sorted, disjoint pieces. Endpoints are constants, compared by decide_scalar and ordered by
 * balls. */
#include "answer/decide.h"
#include "answer/eval.h"
#include "answer/reals.h"

#include <string.h>

static bool is_constant(const struct node *n) {
    return node_is_scalar(n) && !node_has_symbol(n);
}

/* ---- order ---- */

/* -1, 0, 1; sets r->unknown when the balls do not say. NULL is minus infinity for lows, plus infinity for
 * highs. */
static int order(struct reals *r, const struct node *x, const struct node *y) {
    if (x == y) return 0;
    enum answer_verdict v = decide_scalar(r->d, x, y);
    if (v == ANSWER_EQUAL) return 0;
    acb_t a, b;
    acb_init(a);
    acb_init(b);
    int sign = 0;
    bool known = v == ANSWER_DIFFERENT;
    for (slong prec = 128; known && sign == 0 && prec <= EVAL_PREC_MAX; prec *= 2) {
        known = eval_ball(x, a, prec, 0) && eval_ball(y, b, prec, 0) && acb_is_real(a) && acb_is_real(b);
        if (known && !arb_overlaps(acb_realref(a), acb_realref(b)))
            sign = arb_lt(acb_realref(a), acb_realref(b)) ? -1 : 1;
    }
    acb_clear(a);
    acb_clear(b);
    if (sign == 0) r->unknown = true;
    return sign;
}

static int order_low(struct reals *r, const struct reals_piece *x, const struct reals_piece *y) {
    if (!x->lo || !y->lo) return (x->lo != NULL) - (y->lo != NULL);
    int c = order(r, x->lo, y->lo);
    return c ? c : (int)x->lo_open - (int)y->lo_open;
}

static int order_high(struct reals *r, const struct reals_piece *x, const struct reals_piece *y) {
    if (!x->hi || !y->hi) return (x->hi == NULL) - (y->hi == NULL);
    int c = order(r, x->hi, y->hi);
    return c ? c : (int)y->hi_open - (int)x->hi_open;
}

static bool is_empty(struct reals *r, const struct reals_piece *p) {
    if (!p->lo || !p->hi) return false;
    int c = order(r, p->lo, p->hi);
    return c > 0 || (c == 0 && (p->lo_open || p->hi_open));
}

/* ---- lists of pieces ---- */

static void add(struct reals *r, struct reals_list *l, struct reals_piece p) {
    if (l->n >= REALS_PIECES_MAX) r->unknown = true;
    if (r->unknown || is_empty(r, &p)) return;
    l->p[l->n++] = p;
}

/* Sorts by low ends and merges what overlaps or touches. */
static void tidy(struct reals *r, struct reals_list *l) {
    for (size_t i = 1; i < l->n && !r->unknown; i++)
        for (size_t j = i; j > 0 && !r->unknown && order_low(r, &l->p[j], &l->p[j - 1]) < 0; j--) {
            struct reals_piece t = l->p[j];
            l->p[j] = l->p[j - 1];
            l->p[j - 1] = t;
        }
    size_t n = 0;
    for (size_t i = 0; i < l->n && !r->unknown; i++) {
        struct reals_piece *last = n ? &l->p[n - 1] : NULL;
        bool joins = last && (!last->hi || !l->p[i].lo);
        if (last && !joins) {
            int c = order(r, l->p[i].lo, last->hi);
            joins = c < 0 || (c == 0 && !(l->p[i].lo_open && last->hi_open));
        }
        if (!joins)
            l->p[n++] = l->p[i];
        else if (order_high(r, &l->p[i], last) > 0) {
            last->hi = l->p[i].hi;
            last->hi_open = l->p[i].hi_open;
        }
    }
    l->n = n;
}

static void intersect(struct reals *r, const struct reals_list *a, const struct reals_list *b,
                      struct reals_list *out) {
    out->n = 0;
    for (size_t i = 0; i < a->n && !r->unknown; i++)
        for (size_t j = 0; j < b->n && !r->unknown; j++) {
            const struct reals_piece *lo = order_low(r, &a->p[i], &b->p[j]) >= 0 ? &a->p[i] : &b->p[j];
            const struct reals_piece *hi = order_high(r, &a->p[i], &b->p[j]) <= 0 ? &a->p[i] : &b->p[j];
            add(r, out, (struct reals_piece){lo->lo, hi->hi, lo->lo_open, hi->hi_open});
        }
    tidy(r, out);
}

static void complement(struct reals *r, const struct reals_list *a, struct reals_list *out) {
    out->n = 0;
    struct reals_piece gap = {.lo_open = true, .hi_open = true};
    bool to_the_end = true;
    for (size_t i = 0; i < a->n; i++) {
        gap.hi = a->p[i].lo;
        gap.hi_open = !a->p[i].lo_open;
        if (gap.hi) add(r, out, gap);
        gap.lo = a->p[i].hi;
        gap.lo_open = !a->p[i].hi_open;
        to_the_end = gap.lo != NULL;
    }
    gap.hi = NULL;
    gap.hi_open = true;
    if (to_the_end) add(r, out, gap);
}

/* ---- inequalities ---- */

/* n = a x + b with rational a; b is built in the tree. */
static bool linear_form(struct tree *t, const struct node *n, fmpq_t a, struct node **b) {
    fmpq_zero(a);
    *b = (struct node *)(uintptr_t)n;
    if (!node_has_symbol(n)) return true;
    fmpq_t c;
    fmpq_init(c);
    struct node *part;
    bool ok = true;
    switch (n->kind) {
    case NODE_SYM:
        fmpq_one(a);
        *b = node_num_si(t, 0);
        break;
    case NODE_NEG:
        ok = linear_form(t, n->kids[0], a, b);
        fmpq_neg(a, a);
        *b = node_1(t, NODE_NEG, *b);
        break;
    case NODE_ADD:
        *b = node_num_si(t, 0);
        for (uint32_t i = 0; i < n->n_kids && ok; i++) {
            ok = linear_form(t, n->kids[i], c, &part);
            fmpq_add(a, a, c);
            *b = node_2(t, NODE_ADD, *b, part);
        }
        break;
    case NODE_MUL:
    case NODE_DIV: {
        uint32_t k = n->kind == NODE_MUL && !node_has_symbol(n->kids[0]) ? 0 : 1;
        ok = n->n_kids == 2 && eval_rational(n->kids[k], c) && !fmpq_is_zero(c) &&
             linear_form(t, n->kids[1 - k], a, b);
        if (!ok) break;
        if (n->kind == NODE_MUL)
            fmpq_mul(a, a, c);
        else
            fmpq_div(a, a, c);
        *b = node_2(t, n->kind, *b, n->kids[k]);
        break;
    }
    default:
        ok = false;
        break;
    }
    fmpq_clear(c);
    return ok && !t->full;
}

/* lhs op rhs, linear in its only symbol, into one or two pieces. */
static bool solve(struct reals *r, const struct node *lhs, char op, const struct node *rhs,
                  struct reals_list *out) {
    struct str name = {0};
    if (op == REL_EQ || !node_is_scalar(lhs) || !node_is_scalar(rhs)) return false;
    if (!node_one_symbol(lhs, &name) || !node_one_symbol(rhs, &name) || !name.len) return false;
    struct tree *t = &r->tree;
    struct node *diff = node_2(t, NODE_ADD, (struct node *)(uintptr_t)lhs,
                               node_1(t, NODE_NEG, (struct node *)(uintptr_t)rhs));
    fmpq_t a;
    fmpq_init(a);
    struct node *b;
    bool ok = linear_form(t, diff, a, &b) && !fmpq_is_zero(a);
    if (ok) {
        struct node *slope = node_num_si(t, 0);
        fmpq_neg(slope->value, a);
        struct node *bound = node_2(t, NODE_DIV, b, slope);
        fmpq_t exact;
        fmpq_init(exact);
        if (eval_rational(bound, exact)) {
            bound = node_num_si(t, 0);
            fmpq_set(bound->value, exact);
        }
        fmpq_clear(exact);
        bool below = (op == REL_LT || op == REL_LE) == (fmpq_sgn(a) > 0), open = op != REL_LE && op != REL_GE;
        if (node_has_decimal(lhs) || node_has_decimal(rhs)) bound->flags |= NODE_DECIMAL;
        out->n = 0;
        if (op == REL_NE || below) add(r, out, (struct reals_piece){NULL, bound, true, open});
        if (op == REL_NE || !below) add(r, out, (struct reals_piece){bound, NULL, open, true});
    }
    fmpq_clear(a);
    return ok;
}

/* ---- trees into pieces ---- */

static bool from(struct reals *r, const struct node *n, struct reals_list *out, int depth);

static bool from_interval(struct reals *r, const struct node *n, struct reals_list *out) {
    const struct node *lo = n->kids[0], *hi = n->kids[1];
    if (!is_constant(lo) || !is_constant(hi)) return false;
    struct reals_piece p = {lo, hi, n->kind == NODE_TUPLE || (n->flags & NODE_LO_OPEN),
                            n->kind == NODE_TUPLE || (n->flags & NODE_HI_OPEN)};
    int lo_inf = eval_infinity(lo), hi_inf = eval_infinity(hi);
    if (lo_inf > 0 || hi_inf < 0) return false;
    if (lo_inf) p.lo = NULL, p.lo_open = true;
    if (hi_inf) p.hi = NULL, p.hi_open = true;
    if (p.lo && p.hi && order(r, p.lo, p.hi) > 0) return false;
    out->n = 0;
    add(r, out, p);
    return !r->unknown;
}

static bool from_points(struct reals *r, const struct node *n, struct reals_list *out) {
    out->n = 0;
    for (uint32_t i = 0; i < n->n_kids; i++) {
        const struct node *k = n->kids[i];
        if (!is_constant(k) || eval_infinity(k)) return false;
        add(r, out, (struct reals_piece){k, k, false, false});
    }
    tidy(r, out);
    return !r->unknown;
}

static bool from_pair(struct reals *r, const struct node *n, struct reals_list *out, int depth) {
    struct reals_list a, b;
    if (!from(r, n->kids[0], &a, depth + 1) || !from(r, n->kids[1], &b, depth + 1)) return false;
    if (n->kind == NODE_UNION) {
        *out = a;
        for (size_t i = 0; i < b.n; i++) add(r, out, b.p[i]);
        tidy(r, out);
    } else if (n->kind == NODE_INTERSECT)
        intersect(r, &a, &b, out);
    else {
        struct reals_list c;
        complement(r, &b, &c);
        intersect(r, &a, &c, out);
    }
    return !r->unknown;
}

static bool from_chain(struct reals *r, const struct node *n, struct reals_list *out) {
    struct reals_list step, both;
    for (uint32_t i = 0; i + 1 < n->n_kids; i++) {
        if (!solve(r, n->kids[i], n->name.ptr[i], n->kids[i + 1], i ? &step : out)) return false;
        if (i == 0) continue;
        intersect(r, out, &step, &both);
        *out = both;
    }
    return !r->unknown;
}

/* "x < 1 or x > 2", "x > 1 and x < 2", and lists of x != c, which all hold at once. */
static bool from_list(struct reals *r, const struct node *n, struct reals_list *out, int depth) {
    struct reals_list part, both;
    bool all_ne = true;
    for (uint32_t i = 0; i < n->n_kids; i++)
        all_ne = all_ne && n->kids[i]->kind == NODE_REL && n->kids[i]->op == REL_NE;
    if (n->op != 'o' && n->op != 'a' && !all_ne) return false;
    for (uint32_t i = 0; i < n->n_kids; i++) {
        const struct node *k = n->kids[i]->kind == NODE_LABEL ? n->kids[i]->kids[0] : n->kids[i];
        if (is_constant(k) && !eval_infinity(k)) {
            part.n = 0;
            add(r, &part, (struct reals_piece){k, k, false, false});
        } else if (!from(r, k, &part, depth + 1))
            return false;
        if (i == 0)
            *out = part;
        else if (n->op == 'o' && !all_ne)
            for (size_t j = 0; j < part.n; j++) add(r, out, part.p[j]);
        else {
            intersect(r, out, &part, &both);
            *out = both;
        }
    }
    tidy(r, out);
    return !r->unknown;
}

static bool from(struct reals *r, const struct node *n, struct reals_list *out, int depth) {
    if (depth > REALS_DEPTH_MAX || r->unknown) return false;
    out->n = 0;
    switch (n->kind) {
    case NODE_LABEL:
        return from(r, n->kids[0], out, depth + 1);
    case NODE_INTERVAL:
        return from_interval(r, n, out);
    case NODE_TUPLE:
        return n->n_kids == 2 && !(n->flags & NODE_SQUARE) && from_interval(r, n, out);
    case NODE_SET:
        return from_points(r, n, out);
    case NODE_NUMBERS:
        if (!str_equal(n->name, STR("R"))) return false;
        add(r, out, (struct reals_piece){NULL, NULL, true, true});
        return true;
    case NODE_UNION:
    case NODE_INTERSECT:
    case NODE_MINUS:
        return from_pair(r, n, out, depth);
    case NODE_REL:
        return solve(r, n->kids[0], (char)n->op, n->kids[1], out) && !r->unknown;
    case NODE_CHAIN:
        return from_chain(r, n, out);
    case NODE_LIST:
        return from_list(r, n, out, depth);
    default:
        return false;
    }
}

bool reals_from(struct reals *r, struct decide *d, const struct node *n, struct reals_list *out) {
    *r = (struct reals){.d = d};
    node_tree_init(&r->tree);
    return from(r, n, out, 0);
}

void reals_fini(struct reals *r) {
    node_tree_fini(&r->tree);
}

bool reals_is(const struct node *n) {
    switch (n->kind) {
    case NODE_INTERVAL:
    case NODE_UNION:
    case NODE_INTERSECT:
    case NODE_MINUS:
        return true;
    case NODE_NUMBERS:
        return str_equal(n->name, STR("R"));
    case NODE_LABEL:
        return reals_is(n->kids[0]);
    case NODE_REL: {
        if (n->op == REL_EQ) return false;
        struct decide d = {.n_steps_left = 100};
        struct reals r;
        struct reals_list l;
        bool ok = reals_from(&r, &d, n, &l);
        reals_fini(&r);
        return ok;
    }
    case NODE_CHAIN: {
        struct str name = {0};
        return node_one_symbol(n, &name);
    }
    case NODE_LIST:
        for (uint32_t i = 0; i < n->n_kids; i++)
            if ((n->op == 'o' || n->op == 'a' || n->kids[i]->op == REL_NE) &&
                n->kids[i]->kind != NODE_LABEL && reals_is(n->kids[i]))
                return true;
        return false;
    default:
        return false;
    }
}

/* Symbols in the ends: end by end. */
static enum answer_verdict intervals_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (a->kind != NODE_INTERVAL || b->kind != NODE_INTERVAL) return ANSWER_CANNOT_TELL;
    if (a->flags != b->flags) return ANSWER_DIFFERENT;
    enum answer_verdict lo = decide(d, a->kids[0], b->kids[0]), hi = decide(d, a->kids[1], b->kids[1]);
    if (lo == ANSWER_DIFFERENT || hi == ANSWER_DIFFERENT) return ANSWER_DIFFERENT;
    return lo == ANSWER_EQUAL && hi == ANSWER_EQUAL ? ANSWER_EQUAL : ANSWER_CANNOT_TELL;
}

static const struct node *bare(const struct node *n) {
    return n->kind == NODE_LABEL ? n->kids[0] : n;
}

enum answer_verdict reals_equal(struct decide *d, const struct node *a, const struct node *b) {
    a = bare(a);
    b = bare(b);
    if (node_is_scalar(a) || node_is_scalar(b)) {
        const struct node *other = node_is_scalar(a) ? b : a;
        return other->kind == NODE_INTERVAL || other->kind == NODE_NUMBERS || other->kind == NODE_REL
                   ? ANSWER_DIFFERENT
                   : ANSWER_CANNOT_TELL;
    }
    struct reals ra, rb;
    struct reals_list x, y;
    bool known = reals_from(&ra, d, a, &x), known_b = reals_from(&rb, d, b, &y);
    enum answer_verdict v = ANSWER_CANNOT_TELL;
    if (known && known_b) {
        v = x.n == y.n ? ANSWER_EQUAL : ANSWER_DIFFERENT;
        for (size_t i = 0; i < x.n && v == ANSWER_EQUAL; i++)
            if (order_low(&ra, &x.p[i], &y.p[i]) || order_high(&ra, &x.p[i], &y.p[i])) v = ANSWER_DIFFERENT;
        if (ra.unknown) v = ANSWER_CANNOT_TELL;
    } else
        v = intervals_equal(d, a, b);
    reals_fini(&ra);
    reals_fini(&rb);
    return v;
}
