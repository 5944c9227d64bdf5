/* Rational functions over the rationals as quotients of polynomials in FLINT's canonical form. Every symbol
 * is a variable; pi and e are variables too (they are transcendental, and a formal identity stays true for
 * them). Bounds on degrees and terms are checked before each product, so nothing explodes. */
#include "answer/decide.h"
#include "answer/eval.h"

#define VARS_MAX       6
#define TERMS_MAX      200
#define POWER_MAX      24
#define DEGREE_MAX     40
#define COEFF_BITS_MAX 4000

struct poly {
    struct str names[VARS_MAX];
    slong n_vars;
    fmpz_mpoly_ctx_t ctx;
};

static const struct str PI_NAME = {"\\pi", 3}, E_NAME = {"\\e", 2};

static bool collect(struct poly *p, const struct node *n) {
    struct str name = n->kind == NODE_SYM  ? n->name
                      : n->kind == NODE_PI ? PI_NAME
                      : n->kind == NODE_E  ? E_NAME
                                           : STR("");
    if (name.len) {
        for (slong i = 0; i < p->n_vars; i++)
            if (str_equal(p->names[i], name)) return true;
        if (p->n_vars == VARS_MAX) return false;
        p->names[p->n_vars++] = name;
        return true;
    }
    if (n->kind == NODE_NUM) return true;
    if (n->kind == NODE_I || n->kind == NODE_INF || n->kind == NODE_APPLY || n->kind == NODE_DEGREE)
        return false;
    for (uint32_t i = 0; i < n->n_kids; i++)
        if (!collect(p, n->kids[i])) return false;
    return true;
}

static bool is_small(struct poly *p, const fmpz_mpoly_t f) {
    if (fmpz_mpoly_length(f, p->ctx) > TERMS_MAX) return false;
    if (fmpz_mpoly_is_zero(f, p->ctx)) return true;
    return fmpz_mpoly_total_degree_fits_si(f, p->ctx) &&
           fmpz_mpoly_total_degree_si(f, p->ctx) <= DEGREE_MAX && fmpz_mpoly_max_bits(f) <= COEFF_BITS_MAX &&
           fmpz_mpoly_max_bits(f) >= -COEFF_BITS_MAX;
}

static bool is_small_q(struct poly *p, const fmpz_mpoly_q_t f) {
    return is_small(p, fmpz_mpoly_q_numref(f)) && is_small(p, fmpz_mpoly_q_denref(f));
}

static slong size(struct poly *p, const fmpz_mpoly_q_t f) {
    return fmpz_mpoly_length(fmpz_mpoly_q_numref(f), p->ctx) +
           fmpz_mpoly_length(fmpz_mpoly_q_denref(f), p->ctx);
}

static bool convert(struct poly *p, const struct node *n, fmpz_mpoly_q_t out);

static bool variable(struct poly *p, struct str name, fmpz_mpoly_q_t out) {
    for (slong i = 0; i < p->n_vars; i++)
        if (str_equal(p->names[i], name)) {
            fmpz_mpoly_q_gen(out, i, p->ctx);
            return true;
        }
    return false;
}

static bool power(struct poly *p, const struct node *n, fmpz_mpoly_q_t out) {
    fmpq_t e;
    fmpq_init(e);
    bool ok = eval_rational(n->kids[1], e) && fmpz_is_one(fmpq_denref(e)) &&
              fmpz_cmp_si(fmpq_numref(e), POWER_MAX) <= 0 && fmpz_cmp_si(fmpq_numref(e), -POWER_MAX) >= 0 &&
              convert(p, n->kids[0], out);
    slong k = ok ? fmpz_get_si(fmpq_numref(e)) : 0;
    fmpq_clear(e);
    if (!ok || (k < 0 && fmpz_mpoly_q_is_zero(out, p->ctx))) return false;
    if (k < 0) fmpz_mpoly_q_inv(out, out, p->ctx);
    fmpz_mpoly_q_t acc;
    fmpz_mpoly_q_init(acc, p->ctx);
    fmpz_mpoly_q_one(acc, p->ctx);
    for (slong i = 0; i < (k < 0 ? -k : k) && ok; i++) {
        ok = size(p, acc) * size(p, out) <= 20 * TERMS_MAX;
        if (ok) fmpz_mpoly_q_mul(acc, acc, out, p->ctx);
        ok = ok && is_small_q(p, acc);
    }
    fmpz_mpoly_q_swap(out, acc, p->ctx);
    fmpz_mpoly_q_clear(acc, p->ctx);
    return ok;
}

static bool combine(struct poly *p, const struct node *n, fmpz_mpoly_q_t out) {
    if (!convert(p, n->kids[0], out)) return false;
    fmpz_mpoly_q_t x;
    fmpz_mpoly_q_init(x, p->ctx);
    bool ok = true;
    for (uint32_t i = 1; i < n->n_kids && ok; i++) {
        ok = convert(p, n->kids[i], x) && size(p, out) * size(p, x) <= 20 * TERMS_MAX &&
             !(n->kind == NODE_DIV && fmpz_mpoly_q_is_zero(x, p->ctx));
        if (!ok) break;
        if (n->kind == NODE_ADD)
            fmpz_mpoly_q_add(out, out, x, p->ctx);
        else if (n->kind == NODE_MUL)
            fmpz_mpoly_q_mul(out, out, x, p->ctx);
        else
            fmpz_mpoly_q_div(out, out, x, p->ctx);
        ok = is_small_q(p, out);
    }
    fmpz_mpoly_q_clear(x, p->ctx);
    return ok;
}

static bool convert(struct poly *p, const struct node *n, fmpz_mpoly_q_t out) {
    switch (n->kind) {
    case NODE_SYM:
        return variable(p, n->name, out);
    case NODE_PI:
        return variable(p, PI_NAME, out);
    case NODE_E:
        return variable(p, E_NAME, out);
    case NODE_ADD:
    case NODE_MUL:
    case NODE_DIV:
        return combine(p, n, out);
    case NODE_POW:
        if (node_has_symbol(n) || n->kids[0]->kind == NODE_PI) return power(p, n, out);
        break;
    case NODE_NEG:
        if (!convert(p, n->kids[0], out)) return false;
        fmpz_mpoly_q_neg(out, out, p->ctx);
        return true;
    case NODE_PERCENT: {
        if (!convert(p, n->kids[0], out)) return false;
        fmpz_t hundred;
        fmpz_init_set_ui(hundred, 100);
        fmpz_mpoly_q_div_fmpz(out, out, hundred, p->ctx);
        fmpz_clear(hundred);
        return true;
    }
    default:
        break;
    }
    fmpq_t q;
    fmpq_init(q);
    bool ok = eval_rational(n, q) && fmpz_bits(fmpq_numref(q)) <= COEFF_BITS_MAX &&
              fmpz_bits(fmpq_denref(q)) <= COEFF_BITS_MAX;
    if (ok) fmpz_mpoly_q_set_fmpq(out, q, p->ctx);
    fmpq_clear(q);
    return ok;
}

/* Two formally different functions of pi and e might still be equal; of one of them not: it is
 * transcendental. */
static bool is_free(const struct poly *p) {
    bool pi = false, e = false;
    for (slong i = 0; i < p->n_vars; i++) {
        pi |= str_equal(p->names[i], PI_NAME);
        e |= str_equal(p->names[i], E_NAME);
    }
    return !(pi && e);
}

static enum answer_verdict proportional(struct poly *p, const fmpz_mpoly_q_t x, const fmpz_mpoly_q_t y,
                                        bool positive) {
    if (fmpz_mpoly_q_is_zero(x, p->ctx) || fmpz_mpoly_q_is_zero(y, p->ctx)) return ANSWER_CANNOT_TELL;
    if (size(p, x) * size(p, y) > 20 * TERMS_MAX) return ANSWER_CANNOT_TELL;
    fmpz_mpoly_q_t r;
    fmpz_mpoly_q_init(r, p->ctx);
    fmpz_mpoly_q_div(r, x, y, p->ctx);
    fmpz_mpoly_struct *num = fmpz_mpoly_q_numref(r), *den = fmpz_mpoly_q_denref(r);
    enum answer_verdict v = ANSWER_EQUAL;
    for (slong i = 0; i < p->n_vars && v == ANSWER_EQUAL; i++) {
        bool constant = str_equal(p->names[i], PI_NAME) || str_equal(p->names[i], E_NAME);
        if (fmpz_mpoly_degree_si(num, i, p->ctx) <= 0 && fmpz_mpoly_degree_si(den, i, p->ctx) <= 0) continue;
        v = !constant ? ANSWER_DIFFERENT : ANSWER_CANNOT_TELL;
    }
    if (v == ANSWER_EQUAL && positive) {
        fmpz_t n, d;
        fmpz_init(n);
        fmpz_init(d);
        fmpz_mpoly_get_fmpz(n, num, p->ctx);
        fmpz_mpoly_get_fmpz(d, den, p->ctx);
        if (fmpz_sgn(n) * fmpz_sgn(d) < 0) v = ANSWER_DIFFERENT;
        fmpz_clear(n);
        fmpz_clear(d);
    }
    fmpz_mpoly_q_clear(r, p->ctx);
    return v == ANSWER_DIFFERENT && !is_free(p) ? ANSWER_CANNOT_TELL : v;
}

enum poly_question { POLY_EQUAL, POLY_PROPORTIONAL, POLY_POSITIVE };

static enum answer_verdict decide_poly(const struct node *a, const struct node *b,
                                       enum poly_question question) {
    struct poly p = {.n_vars = 0};
    if (!collect(&p, a) || !collect(&p, b) || p.n_vars == 0) return ANSWER_CANNOT_TELL;
    fmpz_mpoly_ctx_init(p.ctx, p.n_vars, ORD_LEX);
    fmpz_mpoly_q_t x, y;
    fmpz_mpoly_q_init(x, p.ctx);
    fmpz_mpoly_q_init(y, p.ctx);
    enum answer_verdict v = ANSWER_CANNOT_TELL;
    if (convert(&p, a, x) && convert(&p, b, y)) {
        if (question != POLY_EQUAL)
            v = proportional(&p, x, y, question == POLY_POSITIVE);
        else if (fmpz_mpoly_q_equal(x, y, p.ctx))
            v = ANSWER_EQUAL;
        else if (is_free(&p))
            v = ANSWER_DIFFERENT;
    }
    fmpz_mpoly_q_clear(x, p.ctx);
    fmpz_mpoly_q_clear(y, p.ctx);
    fmpz_mpoly_ctx_clear(p.ctx);
    return v;
}

enum answer_verdict poly_equal(const struct node *a, const struct node *b) {
    return decide_poly(a, b, POLY_EQUAL);
}

enum answer_verdict poly_proportional(const struct node *p, const struct node *q, bool positive) {
    return decide_poly(p, q, positive ? POLY_POSITIVE : POLY_PROPORTIONAL);
}
