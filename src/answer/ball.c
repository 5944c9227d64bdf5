#include "answer/eval.h"

#include "base/rng.h"

struct place {
    slong prec;
    unsigned i_point;
    struct eval_notes notes;
};

static bool ball(const struct node *n, acb_t out, struct place *at);

/* A rational n / 2^16 whose size is between 1/16 and 4: fixed by name and point. */
static void sample(acb_t out, uint64_t key, unsigned i_point) {
    uint64_t r = rng_u64(key, i_point);
    slong n = (slong)(r & 0xffff) + 4096;
    slong shift = i_point == 2 || i_point == 3 ? 17 : 15;
    if (i_point == 3 || i_point == 2) n -= 2048;
    if (i_point >= 4 && (r >> 40) & 1) n = -n;
    acb_set_si(out, n);
    acb_mul_2exp_si(out, out, -shift);
}

static bool below(const acb_t x, slong log2_max) {
    if (!acb_is_finite(x)) return false;
    mag_t m;
    mag_init(m);
    acb_get_mag(m, x);
    bool ok = mag_cmp_2exp_si(m, log2_max) < 0;
    mag_clear(m);
    return ok;
}

/* Neither so small that it could hide beside other terms, nor so large that they could hide beside it. */
static bool is_moderate(const acb_t x) {
    if (!below(x, EVAL_MODERATE_BITS)) return false;
    mag_t m;
    mag_init(m);
    acb_get_mag_lower(m, x);
    bool ok = mag_cmp_2exp_si(m, -EVAL_MODERATE_BITS) > 0;
    mag_clear(m);
    return ok;
}

static bool apply_rational_power(acb_t out, const acb_t base, const fmpq_t e, slong prec) {
    if (fmpz_is_one(fmpq_denref(e))) {
        if (fmpz_bits(fmpq_numref(e)) > 40 || !below(base, 1 << 16)) return false;
        if (fmpz_sgn(fmpq_numref(e)) < 0 && acb_contains_zero(base)) return false;
        acb_pow_fmpz(out, base, fmpq_numref(e), prec);
        return true;
    }
    if (acb_is_real(base) && !arb_is_positive(acb_realref(base)) && fmpz_is_odd(fmpq_denref(e))) {
        if (!arb_is_zero(acb_realref(base)) || fmpq_sgn(e) < 0) return false;
        acb_zero(out);
        return true;
    }
    if (fmpz_bits(fmpq_numref(e)) > 30 || !below(base, 1 << 16)) return false;
    acb_t x;
    acb_init(x);
    acb_set_fmpq(x, e, prec);
    acb_pow(out, base, x, prec);
    acb_clear(x);
    return true;
}

static bool eval_power(const struct node *n, acb_t out, struct place *at) {
    fmpq_t e;
    fmpq_init(e);
    bool ok;
    if (n->kids[0]->kind == NODE_E) {
        ok = ball(n->kids[1], out, at) && below(out, 30);
        if (ok) acb_exp(out, out, at->prec);
    } else if (eval_rational(n->kids[1], e)) {
        ok = ball(n->kids[0], out, at) && apply_rational_power(out, out, e, at->prec);
    } else {
        acb_t x;
        acb_init(x);
        ok = ball(n->kids[0], out, at) && ball(n->kids[1], x, at) && below(out, 1 << 16) && below(x, 30) &&
             !acb_contains_zero(out);
        if (ok) acb_pow(out, out, x, at->prec);
        acb_clear(x);
    }
    fmpq_clear(e);
    return ok;
}

static bool nth_root(acb_t x, const acb_t index, slong prec) {
    fmpz_t n;
    fmpz_init(n);
    bool ok = arb_get_unique_fmpz(n, acb_realref(index)) && acb_is_int(index) && fmpz_cmp_si(n, 1) >= 0 &&
              fmpz_cmp_si(n, 1000) <= 0;
    slong k = ok ? fmpz_get_si(n) : 1;
    fmpz_clear(n);
    if (!ok) return false;
    if (k == 1 || acb_is_zero(x)) return true;
    if (acb_is_real(x) && k % 2 == 1) { /* the real root */
        bool minus = arb_is_negative(acb_realref(x));
        if (!minus && !arb_is_positive(acb_realref(x))) return false;
        if (minus) acb_neg(x, x);
        arb_root_ui(acb_realref(x), acb_realref(x), (ulong)k, prec);
        if (minus) acb_neg(x, x);
        return true;
    }
    acb_root_ui(x, x, (ulong)k, prec);
    return true;
}

static bool round_to_integer(arb_t x, bool ceil, slong prec) {
    if (ceil) arb_neg(x, x);
    fmpz_t k;
    fmpz_init(k);
    arb_floor(x, x, prec);
    bool ok = arb_get_unique_fmpz(k, x) != 0;
    if (ok) arb_set_fmpz(x, k);
    fmpz_clear(k);
    if (ceil) arb_neg(x, x);
    return ok;
}

/* cot, sec, csc and the inverses that only acb has */
static bool trig(enum func f, acb_t x, slong prec) {
    switch (f) {
    case FUNC_SIN:
        acb_sin(x, x, prec);
        break;
    case FUNC_COS:
        acb_cos(x, x, prec);
        break;
    case FUNC_TAN:
        acb_tan(x, x, prec);
        break;
    case FUNC_COT:
        acb_cot(x, x, prec);
        break;
    case FUNC_SEC:
        acb_sec(x, x, prec);
        break;
    case FUNC_CSC:
        acb_csc(x, x, prec);
        break;
    case FUNC_ASIN:
        acb_asin(x, x, prec);
        break;
    case FUNC_ACOS:
        acb_acos(x, x, prec);
        break;
    case FUNC_ATAN:
        acb_atan(x, x, prec);
        break;
    case FUNC_SINH:
        acb_sinh(x, x, prec);
        break;
    case FUNC_COSH:
        acb_cosh(x, x, prec);
        break;
    case FUNC_TANH:
        acb_tanh(x, x, prec);
        break;
    case FUNC_ASINH:
        acb_asinh(x, x, prec);
        break;
    case FUNC_ACOSH:
        acb_acosh(x, x, prec);
        break;
    case FUNC_ATANH:
        acb_atanh(x, x, prec);
        break;
    default:
        return false;
    }
    return true;
}

static bool unary(enum func f, acb_t x, slong prec) {
    switch (f) {
    case FUNC_SQRT:
        acb_sqrt(x, x, prec);
        return true;
    case FUNC_ABS:
        acb_abs(acb_realref(x), x, prec);
        arb_zero(acb_imagref(x));
        return true;
    case FUNC_FLOOR:
    case FUNC_CEIL:
        return acb_is_real(x) && below(x, prec) && round_to_integer(acb_realref(x), f == FUNC_CEIL, prec);
    case FUNC_FACTORIAL:
        if (!below(x, 20)) return false;
        acb_add_ui(x, x, 1, prec);
        acb_gamma(x, x, prec);
        return true;
    case FUNC_EXP:
        if (!below(x, 30)) return false;
        acb_exp(x, x, prec);
        return true;
    case FUNC_LN:
    case FUNC_LOG:
        if (acb_contains_zero(x)) return false;
        acb_log(x, x, prec);
        if (f == FUNC_LOG) {
            acb_t ten;
            acb_init(ten);
            acb_set_ui(ten, 10);
            acb_log(ten, ten, prec);
            acb_div(x, x, ten, prec);
            acb_clear(ten);
        }
        return true;
    case FUNC_RE:
        arb_zero(acb_imagref(x));
        return true;
    case FUNC_IM:
        arb_swap(acb_realref(x), acb_imagref(x));
        arb_zero(acb_imagref(x));
        return true;
    case FUNC_CONJ:
        acb_conj(x, x);
        return true;
    case FUNC_MIN:
    case FUNC_MAX:
        return true;
    default:
        return below(x, 30) && trig(f, x, prec);
    }
}

static bool combine(const struct node *n, acb_t acc, const acb_t x, slong prec) {
    switch (n->kind) {
    case NODE_ADD:
        acb_add(acc, acc, x, prec);
        return true;
    case NODE_MUL:
        acb_mul(acc, acc, x, prec);
        return true;
    case NODE_DIV:
        if (acb_contains_zero(x)) return false;
        acb_div(acc, acc, x, prec);
        return true;
    default:
        break;
    }
    switch (n->op) {
    case FUNC_ROOT:
        return nth_root(acc, x, prec);
    case FUNC_LOG: {
        acb_t d;
        acb_init(d);
        bool ok = !acb_contains_zero(x) && !acb_contains_zero(acc);
        if (ok) {
            acb_log(d, x, prec);
            acb_log(acc, acc, prec);
            ok = !acb_contains_zero(d);
            if (ok) acb_div(acc, acc, d, prec);
        }
        acb_clear(d);
        return ok;
    }
    case FUNC_MIN:
    case FUNC_MAX:
        if (!acb_is_real(acc) || !acb_is_real(x)) return false;
        if (n->op == FUNC_MIN)
            arb_min(acb_realref(acc), acb_realref(acc), acb_realref(x), prec);
        else
            arb_max(acb_realref(acc), acb_realref(acc), acb_realref(x), prec);
        return true;
    default:
        return false;
    }
}

/* An unknown function of known arguments: a number that depends on its name and the (rounded) arguments. */
static bool eval_apply(const struct node *n, acb_t out, struct place *at) {
    uint64_t key = rng_hash(1, n->name.ptr, n->name.len);
    for (uint32_t i = 0; i < n->n_kids; i++) {
        if (!ball(n->kids[i], out, at) || !below(out, 60)) return false;
        double re = arf_get_d(arb_midref(acb_realref(out)), ARF_RND_NEAR),
               im = arf_get_d(arb_midref(acb_imagref(out)), ARF_RND_NEAR);
        float parts[2] = {(float)re + 0.0f, (float)im + 0.0f};
        key = rng_hash(key, parts, sizeof parts);
    }
    sample(out, key, at->i_point);
    return true;
}

static bool eval_kids(const struct node *n, acb_t out, struct place *at) {
    if (!ball(n->kids[0], out, at)) return false;
    if (n->kind == NODE_FUNC && n->n_kids == 1) return unary(n->op, out, at->prec);
    acb_t x;
    acb_init(x);
    bool ok = true;
    for (uint32_t i = 1; i < n->n_kids && ok; i++)
        ok = ball(n->kids[i], x, at) && combine(n, out, x, at->prec);
    acb_clear(x);
    return ok;
}

static bool ball(const struct node *n, acb_t out, struct place *at) {
    bool ok = true;
    switch (n->kind) {
    case NODE_NUM:
        acb_set_fmpq(out, n->value, at->prec);
        break;
    case NODE_SYM:
        sample(out, rng_hash(0, n->name.ptr, n->name.len), at->i_point);
        break;
    case NODE_APPLY:
        ok = eval_apply(n, out, at);
        break;
    case NODE_PI:
        acb_const_pi(out, at->prec);
        break;
    case NODE_E:
        arb_const_e(acb_realref(out), at->prec);
        arb_zero(acb_imagref(out));
        break;
    case NODE_I:
        acb_onei(out);
        break;
    case NODE_NEG:
        ok = ball(n->kids[0], out, at);
        acb_neg(out, out);
        break;
    case NODE_PERCENT:
        ok = ball(n->kids[0], out, at);
        acb_div_ui(out, out, 100, at->prec);
        break;
    case NODE_DEGREE: {
        acb_t pi;
        acb_init(pi);
        acb_const_pi(pi, at->prec);
        ok = ball(n->kids[0], out, at);
        acb_mul(out, out, pi, at->prec);
        acb_div_ui(out, out, 180, at->prec);
        acb_clear(pi);
        break;
    }
    case NODE_POW:
        ok = eval_power(n, out, at);
        break;
    case NODE_ADD:
    case NODE_MUL:
    case NODE_DIV:
    case NODE_FUNC: {
        fmpq_t q; /* factorials, binomials, gcd ... exactly, whatever their size */
        fmpq_init(q);
        bool exact = n->kind == NODE_FUNC && eval_rational(n, q);
        if (exact)
            acb_set_fmpq(out, q, at->prec);
        else
            ok = eval_kids(n, out, at);
        fmpq_clear(q);
        break;
    }
    default:
        ok = false;
        break;
    }
    if (!acb_is_real(out)) at->notes.left_reals = true;
    if (!acb_is_zero(out) && !is_moderate(out)) at->notes.wild = true;
    return ok && acb_is_finite(out);
}

bool eval_ball(const struct node *n, acb_t out, slong prec, unsigned i_point) {
    struct eval_notes notes;
    return eval_ball_noted(n, out, prec, i_point, &notes);
}

bool eval_ball_noted(const struct node *n, acb_t out, slong prec, unsigned i_point,
                     struct eval_notes *notes) {
    struct place at = {.prec = prec, .i_point = i_point};
    bool ok = ball(n, out, &at);
    *notes = at.notes;
    return ok;
}

int eval_infinity(const struct node *n) {
    switch (n->kind) {
    case NODE_INF:
        return 1;
    case NODE_NEG:
        return -eval_infinity(n->kids[0]);
    case NODE_PERCENT:
        return eval_infinity(n->kids[0]);
    default:
        return 0;
    }
}
