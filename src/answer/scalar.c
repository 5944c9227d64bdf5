#include "answer/decide.h"
#include "answer/eval.h"

#define PREC_LOW        128
#define PREC_POINTS     160
#define POINTS_MIN      4
#define AGREE_BITS      100
#define AGREE_BITS_SURE 700

/* Do two numbers round (half away from zero) to the same value with n decimals? */
static bool same_rounded(const fmpq_t a, const fmpq_t b, int n) {
    fmpz_t scale, x, y, two_den;
    fmpz_init(scale);
    fmpz_init(x);
    fmpz_init(y);
    fmpz_init(two_den);
    fmpz_set_ui(scale, 10);
    fmpz_pow_ui(scale, scale, (ulong)n);
    const fmpq *in[2] = {a, b};
    fmpz *out[2] = {x, y};
    for (int i = 0; i < 2; i++) { /* floor((2 |v| scale + 1) / 2) */
        fmpz_mul(out[i], fmpq_numref(in[i]), scale);
        int sign = fmpz_sgn(out[i]);
        fmpz_abs(out[i], out[i]);
        fmpz_mul_2exp(out[i], out[i], 1);
        fmpz_add(out[i], out[i], fmpq_denref(in[i]));
        fmpz_mul_2exp(two_den, fmpq_denref(in[i]), 1);
        fmpz_fdiv_q(out[i], out[i], two_den);
        if (sign < 0) fmpz_neg(out[i], out[i]);
    }
    bool same = fmpz_equal(x, y);
    fmpz_clear(scale);
    fmpz_clear(x);
    fmpz_clear(y);
    fmpz_clear(two_den);
    return same;
}

/* A rational close enough to a real ball that rounding cannot tell the difference; false when it could. */
static bool rounded_source(const struct node *n, fmpq_t out) {
    if (eval_rational(n, out)) return true;
    acb_t x;
    acb_init(x);
    bool ok = eval_ball(n, x, PREC_LOW, 0) && acb_is_real(x) &&
              mag_cmp_2exp_si(arb_radref(acb_realref(x)), -60) < 0;
    if (ok) arf_get_fmpq(out, arb_midref(acb_realref(x)));
    acb_clear(x);
    return ok;
}

static bool agree_rounded(const struct node *a, const struct node *b, int n_decimals) {
    fmpq_t x, y;
    fmpq_init(x);
    fmpq_init(y);
    bool same = rounded_source(a, x) && rounded_source(b, y) && same_rounded(x, y, n_decimals);
    fmpq_clear(x);
    fmpq_clear(y);
    return same;
}

/* 1 equal, 0 different, -1 not both rational. */
static int rational_equal(const struct node *a, const struct node *b) {
    if (a->kind == NODE_NUM && b->kind == NODE_NUM) return fmpq_equal(a->value, b->value);
    fmpq_t x, y;
    fmpq_init(x);
    fmpq_init(y);
    int same = eval_rational(a, x) && eval_rational(b, y) ? fmpq_equal(x, y) : -1;
    fmpq_clear(x);
    fmpq_clear(y);
    return same;
}

enum point { POINT_NONE, POINT_APART, POINT_TOGETHER, POINT_DOMAIN };

static bool is_narrow(const acb_t x) {
    return acb_rel_accuracy_bits(x) >= AGREE_BITS ||
           (mag_cmp_2exp_si(arb_radref(acb_realref(x)), -AGREE_BITS) < 0 &&
            mag_cmp_2exp_si(arb_radref(acb_imagref(x)), -AGREE_BITS) < 0);
}

/* One point. Without i in the formulas only the reals count: where one side leaves them, nothing is said of
 * the values. */
static enum point compare_at(const struct node *a, const struct node *b, bool complex, slong prec,
                             unsigned i_point) {
    acb_t x, y;
    acb_init(x);
    acb_init(y);
    enum point result = POINT_NONE;
    struct eval_notes in_a, in_b;
    if (eval_ball_noted(a, x, prec, i_point, &in_a) && eval_ball_noted(b, y, prec, i_point, &in_b)) {
        bool left_a = in_a.left_reals && !complex, left_b = in_b.left_reals && !complex;
        if (!acb_overlaps(x, y))
            result = left_a || left_b ? POINT_DOMAIN : POINT_APART;
        else if (left_a != left_b)
            result = POINT_DOMAIN;
        else if (is_narrow(x) && is_narrow(y))
            result = POINT_TOGETHER;
    }
    acb_clear(x);
    acb_clear(y);
    return result;
}

static enum answer_verdict constants_equal(struct decide *d, const struct node *a, const struct node *b) {
    acb_t x, y;
    acb_init(x);
    acb_init(y);
    enum answer_verdict v = ANSWER_CANNOT_TELL;
    bool known = eval_ball(a, x, PREC_LOW, 0) && eval_ball(b, y, PREC_LOW, 0);
    if (known && !acb_overlaps(x, y))
        v = ANSWER_DIFFERENT;
    else if (known) {
        d->n_steps_left -= DECIDE_EXACT_COST;
        v = exact_equal(a, b);
        if (v == ANSWER_CANNOT_TELL && eval_ball(a, x, EVAL_PREC_MAX, 0) &&
            eval_ball(b, y, EVAL_PREC_MAX, 0) && !acb_overlaps(x, y))
            v = ANSWER_DIFFERENT;
    }
    acb_clear(x);
    acb_clear(y);
    return v;
}

/* At more bits: apart is DIFFERENT; EQUAL when the values, or the ratios to that at point 0, agree to
 * AGREE_BITS_SURE bits, and nothing can hide in them. */
static enum answer_verdict confirm(const struct node *a, const struct node *b, bool ratios) {
    acb_t x, y, first;
    acb_init(x);
    acb_init(y);
    acb_init(first);
    enum answer_verdict v = ANSWER_EQUAL;
    for (unsigned i = 0; i < 2 && v == ANSWER_EQUAL; i++) {
        struct eval_notes in_a, in_b;
        v = ANSWER_CANNOT_TELL;
        if (!eval_ball_noted(a, x, EVAL_PREC_MAX, i, &in_a) ||
            !eval_ball_noted(b, y, EVAL_PREC_MAX, i, &in_b))
            break;
        if (ratios) {
            acb_div(x, x, y, EVAL_PREC_MAX);
            if (i == 0) acb_set(first, x);
            acb_set(y, first);
        }
        bool narrow =
            acb_rel_accuracy_bits(x) >= AGREE_BITS_SURE && acb_rel_accuracy_bits(y) >= AGREE_BITS_SURE;
        if (!acb_is_finite(x) || in_a.left_reals != in_b.left_reals) break;
        if (!acb_overlaps(x, y))
            v = ANSWER_DIFFERENT;
        else if (narrow && !in_a.wild && !in_b.wild)
            v = ANSWER_EQUAL;
    }
    acb_clear(x);
    acb_clear(y);
    acb_clear(first);
    return v;
}

/* Rational functions by proof. For the rest the one rule without: agreement at four points or more, none
 * apart. */
static enum answer_verdict symbols_equal(struct decide *d, const struct node *a, const struct node *b) {
    d->n_steps_left -= DECIDE_POINTS_COST;
    unsigned n_together = 0;
    bool domain = false, complex = node_has(a, NODE_I) || node_has(b, NODE_I);
    for (unsigned i = 0; i < EVAL_POINTS; i++) {
        enum point at = compare_at(a, b, complex, PREC_POINTS, i);
        if (at == POINT_APART) return ANSWER_DIFFERENT;
        n_together += at == POINT_TOGETHER;
        domain |= at == POINT_DOMAIN;
        if (i > 0) continue;
        enum answer_verdict proved = poly_equal(a, b);
        if (proved != ANSWER_CANNOT_TELL) return proved;
    }
    if (n_together < POINTS_MIN || (domain && !d->generous)) return ANSWER_CANNOT_TELL;
    return confirm(a, b, false);
}

enum answer_verdict decide_scalar(struct decide *d, const struct node *a, const struct node *b) {
    if (--d->n_steps_left < 0) return ANSWER_CANNOT_TELL;
    if (node_same(a, b)) return ANSWER_EQUAL;
    int rational = rational_equal(a, b);
    if (rational == 1) return ANSWER_EQUAL;
    if (d->n_decimals > 0 && (node_has_decimal(a) || node_has_decimal(b)) && !node_has_symbol(a) &&
        !node_has_symbol(b) && agree_rounded(a, b, d->n_decimals))
        return ANSWER_EQUAL;
    if (rational == 0) return ANSWER_DIFFERENT;
    int inf_a = eval_infinity(a), inf_b = eval_infinity(b);
    if (inf_a && inf_b) return inf_a == inf_b ? ANSWER_EQUAL : ANSWER_DIFFERENT;
    if (inf_a || inf_b) {
        acb_t x;
        acb_init(x);
        bool finite = eval_ball(inf_a ? b : a, x, PREC_LOW, 0);
        acb_clear(x);
        return finite ? ANSWER_DIFFERENT : ANSWER_CANNOT_TELL;
    }
    if (!node_has_symbol(a) && !node_has_symbol(b)) return constants_equal(d, a, b);
    return symbols_equal(d, a, b);
}

enum answer_verdict decide_proportional(const struct node *p, const struct node *q, bool positive) {
    enum answer_verdict proved = poly_proportional(p, q, positive);
    if (proved != ANSWER_CANNOT_TELL) return proved;
    acb_t x, y, ratio, first;
    acb_init(x);
    acb_init(y);
    acb_init(ratio);
    acb_init(first);
    unsigned n = 0;
    bool apart = false, ok = true;
    for (unsigned i = 0; i < EVAL_POINTS && !apart && ok; i++) {
        if (!eval_ball(p, x, PREC_POINTS, i) || !eval_ball(q, y, PREC_POINTS, i) || acb_contains_zero(y) ||
            acb_contains_zero(x))
            continue;
        acb_div(ratio, x, y, PREC_POINTS);
        if (!is_narrow(ratio)) continue;
        if (n++ == 0) acb_set(first, ratio);
        apart = !acb_overlaps(first, ratio);
        if (positive) ok = ok && acb_is_real(ratio) && arb_is_positive(acb_realref(ratio));
    }
    acb_clear(x);
    acb_clear(y);
    acb_clear(ratio);
    acb_clear(first);
    if (apart || !ok) return ANSWER_DIFFERENT;
    return n >= POINTS_MIN ? confirm(p, q, true) : ANSWER_CANNOT_TELL;
}
