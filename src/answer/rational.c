#include "answer/eval.h"

static slong bits(const fmpq_t q) {
    return (slong)(fmpz_bits(fmpq_numref(q)) + fmpz_bits(fmpq_denref(q)));
}

static bool is_integer(const fmpq_t q) {
    return fmpz_is_one(fmpq_denref(q));
}

static bool root_of_fmpz(fmpz_t x, slong n) {
    fmpz_t r;
    fmpz_init(r);
    bool exact = fmpz_root(r, x, n) != 0; /* non-negative x, or odd n */
    if (exact) fmpz_swap(x, r);
    fmpz_clear(r);
    return exact;
}

/* The exact n-th root, n >= 1; false when it is irrational or not real. */
static bool root(fmpq_t x, slong n) {
    if (n == 1) return true;
    if (n > 64 || (fmpq_sgn(x) < 0 && n % 2 == 0)) return false;
    return root_of_fmpz(fmpq_numref(x), n) && root_of_fmpz(fmpq_denref(x), n);
}

static bool power(fmpq_t out, const fmpq_t base, const fmpq_t e) {
    if (fmpq_is_zero(base)) {
        if (fmpq_sgn(e) < 0) return false;
        fmpq_set_si(out, fmpq_is_zero(e) ? 1 : 0, 1);
        return true;
    }
    if (is_integer(base) && fmpz_is_pm1(fmpq_numref(base)) && is_integer(e)) {
        bool minus = fmpz_sgn(fmpq_numref(base)) < 0 && fmpz_is_odd(fmpq_numref(e));
        fmpq_set_si(out, minus ? -1 : 1, 1);
        return true;
    }
    if (!fmpz_fits_si(fmpq_numref(e)) || !fmpz_fits_si(fmpq_denref(e))) return false;
    slong p = fmpz_get_si(fmpq_numref(e)), q = fmpz_get_si(fmpq_denref(e));
    if (p > EVAL_BITS_MAX || p < -EVAL_BITS_MAX || bits(base) * (p < 0 ? -p : p) > EVAL_BITS_MAX)
        return false;
    if (q != 1 && fmpq_sgn(base) < 0) return false; /* principal or real root: left open */
    fmpq_set(out, base);
    if (!root(out, q)) return false;
    fmpq_pow_si(out, out, p);
    return true;
}

static bool to_small(const fmpq_t q, slong max, slong *out) {
    if (!is_integer(q) || !fmpz_fits_si(fmpq_numref(q))) return false;
    *out = fmpz_get_si(fmpq_numref(q));
    return *out >= 0 && *out <= max;
}

/* The gcd is the largest rational of which both are integer multiples. */
static bool gcd_lcm(fmpq_t out, const fmpq_t a, const fmpq_t b, bool lcm) {
    fmpq_t g, product;
    fmpq_init(g);
    fmpq_init(product);
    fmpq_gcd(g, a, b);
    fmpq_mul(product, a, b);
    fmpq_abs(product, product);
    if (!lcm)
        fmpq_set(out, g);
    else if (fmpq_is_zero(product))
        fmpq_zero(out);
    else
        fmpq_div(out, product, g);
    fmpq_clear(g);
    fmpq_clear(product);
    return true;
}

static bool binomial(fmpq_t out, const fmpq_t a, const fmpq_t b) {
    slong n, k;
    if (!to_small(a, 4000, &n) || !to_small(b, 4000, &k)) return false;
    fmpz_bin_uiui(fmpq_numref(out), (ulong)n, (ulong)k);
    fmpz_one(fmpq_denref(out));
    return true;
}

static bool modulo(fmpq_t out, const fmpq_t a, const fmpq_t b) {
    if (fmpq_is_zero(b)) return false;
    fmpq_t q;
    fmpq_init(q);
    fmpq_div(q, a, b);
    fmpz_fdiv_q(fmpq_numref(q), fmpq_numref(q), fmpq_denref(q));
    fmpz_one(fmpq_denref(q));
    fmpq_mul(q, q, b);
    fmpq_sub(out, a, q);
    fmpq_clear(q);
    return true;
}

static bool combine(enum func f, fmpq_t acc, const fmpq_t x) {
    switch (f) {
    case FUNC_GCD:
    case FUNC_LCM:
        return gcd_lcm(acc, acc, x, f == FUNC_LCM);
    case FUNC_MIN:
    case FUNC_MAX:
        if ((fmpq_cmp(x, acc) < 0) == (f == FUNC_MIN)) fmpq_set(acc, x);
        return true;
    case FUNC_BINOMIAL:
        return binomial(acc, acc, x);
    case FUNC_MOD:
        return modulo(acc, acc, x);
    case FUNC_ROOT: {
        slong n;
        return to_small(x, 64, &n) && n >= 1 && root(acc, n);
    }
    default:
        return false;
    }
}

static bool unary(enum func f, fmpq_t x) {
    slong n;
    switch (f) {
    case FUNC_SQRT:
        return root(x, 2);
    case FUNC_ABS:
        fmpq_abs(x, x);
        return true;
    case FUNC_FLOOR:
        fmpz_fdiv_q(fmpq_numref(x), fmpq_numref(x), fmpq_denref(x));
        fmpz_one(fmpq_denref(x));
        return true;
    case FUNC_CEIL:
        fmpz_cdiv_q(fmpq_numref(x), fmpq_numref(x), fmpq_denref(x));
        fmpz_one(fmpq_denref(x));
        return true;
    case FUNC_FACTORIAL:
        if (!to_small(x, 1500, &n)) return false;
        fmpz_fac_ui(fmpq_numref(x), (ulong)n);
        return true;
    case FUNC_GCD:
    case FUNC_LCM:
    case FUNC_MIN:
    case FUNC_MAX:
    case FUNC_RE:
    case FUNC_CONJ:
        return true;
    case FUNC_IM:
        fmpq_zero(x);
        return true;
    default:
        return false;
    }
}

static bool binary(const struct node *n, fmpq_t acc, const fmpq_t x) {
    if (bits(acc) + bits(x) > EVAL_BITS_MAX) return false;
    switch (n->kind) {
    case NODE_ADD:
        fmpq_add(acc, acc, x);
        return true;
    case NODE_MUL:
        fmpq_mul(acc, acc, x);
        return true;
    case NODE_DIV:
        if (fmpq_is_zero(x)) return false;
        fmpq_div(acc, acc, x);
        return true;
    case NODE_POW:
        return power(acc, acc, x);
    default:
        return combine(n->op, acc, x);
    }
}

bool eval_rational(const struct node *n, fmpq_t out) {
    switch (n->kind) {
    case NODE_NUM:
        fmpq_set(out, n->value);
        return true;
    case NODE_NEG:
        if (!eval_rational(n->kids[0], out)) return false;
        fmpq_neg(out, out);
        return true;
    case NODE_PERCENT:
        if (!eval_rational(n->kids[0], out)) return false;
        fmpq_div_fmpz(out, out, (fmpz[1]){100});
        return true;
    case NODE_ADD:
    case NODE_MUL:
    case NODE_DIV:
    case NODE_POW:
    case NODE_FUNC:
        break;
    default:
        return false;
    }
    if (!eval_rational(n->kids[0], out)) return false;
    if (n->kind == NODE_FUNC && n->n_kids == 1) return unary(n->op, out);
    fmpq_t x;
    fmpq_init(x);
    bool ok = true;
    for (uint32_t i = 1; i < n->n_kids && ok; i++) ok = eval_rational(n->kids[i], x) && binary(n, out, x);
    fmpq_clear(x);
    return ok;
}
