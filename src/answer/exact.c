/* Calcium decides whether an expression without symbols is zero. Its options are turned down so that work
 * stays bounded: small degrees of algebraic numbers, small precision, few relations; and expressions with
 * many irrational parts are not even tried. */
#include "answer/decide.h"
#include "answer/eval.h"

#define N_PARTS_MAX    12
#define INPUT_BITS_MAX 400
#define POWER_MAX      40

struct exact {
    ca_ctx_t ctx;
    int n_parts; /* irrational nodes met so far */
};

static bool eval_exact(struct exact *x, const struct node *n, ca_t out);

static bool is_usable(struct exact *x, const ca_t v) {
    return !ca_is_special(v, x->ctx);
}

static bool divide(struct exact *x, ca_t out, const ca_t by) {
    if (ca_check_is_zero(by, x->ctx) != T_FALSE) return false;
    ca_div(out, out, by, x->ctx);
    return true;
}

static bool exact_power(struct exact *x, const struct node *n, ca_t out) {
    fmpq_t e;
    fmpq_init(e);
    bool ok = false;
    if (n->kids[0]->kind == NODE_E) {
        ok = eval_exact(x, n->kids[1], out);
        if (ok) ca_exp(out, out, x->ctx);
    } else if (eval_rational(n->kids[1], e) && fmpz_cmpabs(fmpq_numref(e), (fmpz[1]){POWER_MAX}) <= 0 &&
               fmpz_cmp_si(fmpq_denref(e), POWER_MAX) <= 0 && eval_exact(x, n->kids[0], out)) {
        truth_t zero = ca_check_is_zero(out, x->ctx);
        ok = zero == T_FALSE || (zero == T_TRUE && fmpq_sgn(e) > 0);
        if (ok && !fmpz_is_one(fmpq_denref(e)))
            ok = !fmpz_is_odd(fmpq_denref(e)) ||
                 (zero == T_FALSE && ca_check_is_negative_real(out, x->ctx) == T_FALSE);
        if (ok) ca_pow_fmpq(out, out, e, x->ctx);
    }
    fmpq_clear(e);
    return ok;
}

static bool exact_root(struct exact *x, const struct node *n, ca_t out) {
    fmpq_t e;
    fmpq_init(e);
    bool ok = eval_rational(n->kids[1], e) && fmpz_is_one(fmpq_denref(e)) && fmpq_sgn(e) > 0 &&
              fmpz_cmp_si(fmpq_numref(e), POWER_MAX) <= 0 && eval_exact(x, n->kids[0], out);
    if (ok) {
        bool odd = fmpz_is_odd(fmpq_numref(e));
        fmpq_inv(e, e);
        truth_t negative = odd ? ca_check_is_negative_real(out, x->ctx) : T_FALSE;
        ok = negative != T_UNKNOWN;
        if (ok && negative == T_TRUE) ca_neg(out, out, x->ctx);
        if (ok) ca_pow_fmpq(out, out, e, x->ctx);
        if (ok && negative == T_TRUE) ca_neg(out, out, x->ctx);
    }
    fmpq_clear(e);
    return ok;
}

static bool exact_log(struct exact *x, ca_t out, ca_t base) {
    if (ca_check_is_zero(out, x->ctx) != T_FALSE || ca_check_is_zero(base, x->ctx) != T_FALSE) return false;
    ca_log(out, out, x->ctx);
    ca_log(base, base, x->ctx);
    return divide(x, out, base);
}

/* sinh and cosh through exp: (e^x - sign e^-x) / 2 */
static bool hyperbolic(struct exact *x, enum func f, ca_t v) {
    ca_t up, down, sum;
    ca_init(up, x->ctx);
    ca_init(down, x->ctx);
    ca_init(sum, x->ctx);
    ca_exp(up, v, x->ctx);
    ca_neg(v, v, x->ctx);
    ca_exp(down, v, x->ctx);
    ca_add(sum, up, down, x->ctx);
    ca_sub(v, up, down, x->ctx);
    bool ok = true;
    if (f == FUNC_TANH)
        ok = divide(x, v, sum);
    else
        ca_div_ui(v, f == FUNC_SINH ? v : sum, 2, x->ctx);
    ca_clear(up, x->ctx);
    ca_clear(down, x->ctx);
    ca_clear(sum, x->ctx);
    return ok;
}

/* tan, cot, sec, csc through sine and cosine */
static bool quotient(struct exact *x, enum func f, ca_t v) {
    ca_t s, c;
    ca_init(s, x->ctx);
    ca_init(c, x->ctx);
    ca_sin_cos(s, c, v, x->ctx);
    bool by_sine = f == FUNC_COT || f == FUNC_CSC, ok;
    ca_set(v, f == FUNC_TAN ? s : c, x->ctx);
    if (f == FUNC_SEC || f == FUNC_CSC) ca_one(v, x->ctx);
    ok = divide(x, v, by_sine ? s : c);
    ca_clear(s, x->ctx);
    ca_clear(c, x->ctx);
    return ok;
}

static bool log_ten(struct exact *x, ca_t v) {
    ca_t ten;
    ca_init(ten, x->ctx);
    ca_set_ui(ten, 10, x->ctx);
    bool ok = exact_log(x, v, ten);
    ca_clear(ten, x->ctx);
    return ok;
}

static bool exact_unary(struct exact *x, enum func f, ca_t v) {
    switch (f) {
    case FUNC_SQRT:
        ca_sqrt(v, v, x->ctx);
        return true;
    case FUNC_ABS:
        ca_abs(v, v, x->ctx);
        return true;
    case FUNC_FLOOR:
        ca_floor(v, v, x->ctx);
        return true;
    case FUNC_CEIL:
        ca_ceil(v, v, x->ctx);
        return true;
    case FUNC_EXP:
        ca_exp(v, v, x->ctx);
        return true;
    case FUNC_LN:
        if (ca_check_is_zero(v, x->ctx) != T_FALSE) return false;
        ca_log(v, v, x->ctx);
        return true;
    case FUNC_LOG:
        return log_ten(x, v);
    case FUNC_SIN:
        ca_sin(v, v, x->ctx);
        return true;
    case FUNC_COS:
        ca_cos(v, v, x->ctx);
        return true;
    case FUNC_TAN:
    case FUNC_COT:
    case FUNC_SEC:
    case FUNC_CSC:
        return quotient(x, f, v);
    case FUNC_ASIN:
        ca_asin(v, v, x->ctx);
        return true;
    case FUNC_ACOS:
        ca_acos(v, v, x->ctx);
        return true;
    case FUNC_ATAN:
        ca_atan(v, v, x->ctx);
        return true;
    case FUNC_SINH:
    case FUNC_COSH:
    case FUNC_TANH:
        return hyperbolic(x, f, v);
    case FUNC_RE:
        ca_re(v, v, x->ctx);
        return true;
    case FUNC_IM:
        ca_im(v, v, x->ctx);
        return true;
    case FUNC_CONJ:
        ca_conj(v, v, x->ctx);
        return true;
    default:
        return false;
    }
}

static bool exact_kids(struct exact *x, const struct node *n, ca_t out) {
    if (!eval_exact(x, n->kids[0], out)) return false;
    if (n->kind == NODE_FUNC && n->n_kids == 1) return exact_unary(x, n->op, out);
    ca_t v;
    ca_init(v, x->ctx);
    bool ok = true;
    for (uint32_t i = 1; i < n->n_kids && ok; i++) {
        ok = eval_exact(x, n->kids[i], v);
        if (!ok) break;
        if (n->kind == NODE_ADD)
            ca_add(out, out, v, x->ctx);
        else if (n->kind == NODE_MUL)
            ca_mul(out, out, v, x->ctx);
        else if (n->kind == NODE_DIV)
            ok = divide(x, out, v);
        else
            ok = n->op == FUNC_LOG && exact_log(x, out, v);
    }
    ca_clear(v, x->ctx);
    return ok;
}

static bool exact_rational(const struct node *n, ca_t out, struct exact *x, bool *known) {
    fmpq_t q;
    fmpq_init(q);
    *known = eval_rational(n, q);
    bool ok =
        *known && fmpz_bits(fmpq_numref(q)) <= INPUT_BITS_MAX && fmpz_bits(fmpq_denref(q)) <= INPUT_BITS_MAX;
    if (ok) ca_set_fmpq(out, q, x->ctx);
    fmpq_clear(q);
    return ok;
}

static bool eval_exact(struct exact *x, const struct node *n, ca_t out) {
    bool rational, ok = exact_rational(n, out, x, &rational);
    if (rational) return ok;
    if ((n->kind == NODE_POW || n->kind == NODE_FUNC || n->kind == NODE_DEGREE) && ++x->n_parts > N_PARTS_MAX)
        return false;
    switch (n->kind) {
    case NODE_PI:
        ca_pi(out, x->ctx);
        return true;
    case NODE_E:
        ca_one(out, x->ctx);
        ca_exp(out, out, x->ctx);
        return true;
    case NODE_I:
        ca_i(out, x->ctx);
        return true;
    case NODE_NEG:
        if (!eval_exact(x, n->kids[0], out)) return false;
        ca_neg(out, out, x->ctx);
        return true;
    case NODE_PERCENT:
        if (!eval_exact(x, n->kids[0], out)) return false;
        ca_div_ui(out, out, 100, x->ctx);
        return true;
    case NODE_DEGREE: {
        if (!eval_exact(x, n->kids[0], out)) return false;
        ca_t pi;
        ca_init(pi, x->ctx);
        ca_pi(pi, x->ctx);
        ca_mul(out, out, pi, x->ctx);
        ca_div_ui(out, out, 180, x->ctx);
        ca_clear(pi, x->ctx);
        return true;
    }
    case NODE_POW:
        ok = exact_power(x, n, out);
        break;
    case NODE_FUNC:
        ok = n->op == FUNC_ROOT ? exact_root(x, n, out) : exact_kids(x, n, out);
        break;
    case NODE_ADD:
    case NODE_MUL:
    case NODE_DIV:
        ok = exact_kids(x, n, out);
        break;
    default:
        return false;
    }
    return ok && is_usable(x, out);
}

enum answer_verdict exact_equal(const struct node *a, const struct node *b) {
    struct exact x = {.n_parts = 0};
    ca_ctx_init(x.ctx);
    ca_ctx_set_option(x.ctx, CA_OPT_PREC_LIMIT, 1024);
    ca_ctx_set_option(x.ctx, CA_OPT_QQBAR_DEG_LIMIT, 24);
    ca_ctx_set_option(x.ctx, CA_OPT_LLL_PREC, 128);
    ca_ctx_set_option(x.ctx, CA_OPT_POW_LIMIT, 12);
    ca_ctx_set_option(x.ctx, CA_OPT_GROEBNER_LENGTH_LIMIT, 20);
    ca_ctx_set_option(x.ctx, CA_OPT_GROEBNER_POLY_LENGTH_LIMIT, 100);
    ca_ctx_set_option(x.ctx, CA_OPT_GROEBNER_POLY_BITS_LIMIT, 1000);
    ca_ctx_set_option(x.ctx, CA_OPT_VIETA_LIMIT, 4);
    ca_t u, v;
    ca_init(u, x.ctx);
    ca_init(v, x.ctx);
    truth_t same = T_UNKNOWN;
    if (eval_exact(&x, a, u) && eval_exact(&x, b, v)) same = ca_check_equal(u, v, x.ctx);
    ca_clear(u, x.ctx);
    ca_clear(v, x.ctx);
    ca_ctx_clear(x.ctx);
    return same == T_TRUE ? ANSWER_EQUAL : same == T_FALSE ? ANSWER_DIFFERENT : ANSWER_CANNOT_TELL;
}
