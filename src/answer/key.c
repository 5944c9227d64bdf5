/* Buckets. A scalar's key is its value at point 0, cut to about 40 bits on a grid whose lines no exact value
 * hits; where the ball touches a line all the same, the key is a constant. What equals must meet: a label or
 * unit that may be left out does not enter, collections add up the keys of their parts, an equation has the
 * key of the ratio of its values at two points, a set of reals that of its ends, so that (2, 4) as a pair and
 * as an interval agree. */
#include "answer/decide.h"
#include "answer/eval.h"
#include "answer/reals.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>

#define KEY_NONE UINT64_C(0x9e3779b97f4a7c15)

enum { TAG_PARTS = 1, TAG_MATRIX, TAG_EQUATION, TAG_OTHER, TAG_WORDS, TAG_RATIO, TAG_INFINITY, TAG_TUPLE };

static uint64_t mix(uint64_t a, uint64_t b) {
    return rng_hash(a, &b, sizeof b);
}

/* floor(asinh(x) 2^40 + sqrt 3): monotone, so equal values meet whatever their size. */
static bool cut(const arb_t x, uint64_t *key) {
    arb_t y, offset;
    fmpz_t k;
    arb_init(y);
    arb_init(offset);
    fmpz_init(k);
    arb_asinh(y, x, 128);
    arb_mul_2exp_si(y, y, 40);
    arb_sqrt_ui(offset, 3, 64);
    arb_add(y, y, offset, 128);
    arb_floor(y, y, 128);
    bool ok = arb_get_unique_fmpz(k, y) && fmpz_fits_si(k);
    if (ok) *key = (uint64_t)fmpz_get_si(k);
    arb_clear(y);
    arb_clear(offset);
    fmpz_clear(k);
    return ok;
}

static bool cut_complex(const acb_t x, uint64_t *key) {
    uint64_t re, im;
    if (!cut(acb_realref(x), &re) || !cut(acb_imagref(x), &im)) return false;
    *key = mix(re, im);
    return true;
}

static uint64_t key_of_scalar(const struct node *n) {
    int inf = eval_infinity(n);
    if (inf) return mix(TAG_INFINITY, (uint64_t)(inf + 1));
    acb_t x;
    acb_init(x);
    uint64_t key = KEY_NONE;
    if (!eval_ball(n, x, 160, 0) || !cut_complex(x, &key)) key = KEY_NONE;
    acb_clear(x);
    return key;
}

/* The ratio of lhs - rhs at two points: the same for every multiple of an equation. */
static uint64_t key_of_equation(const struct node *lhs, const struct node *rhs, uint64_t tag) {
    if (!node_is_scalar(lhs) || !node_is_scalar(rhs)) return mix(tag, 1);
    acb_t v[2], r;
    acb_init(v[0]);
    acb_init(v[1]);
    acb_init(r);
    uint64_t key = KEY_NONE;
    bool ok = true;
    for (unsigned i = 0; i < 2 && ok; i++) {
        ok = eval_ball(lhs, v[i], 160, i) && eval_ball(rhs, r, 160, i);
        if (ok) acb_sub(v[i], v[i], r, 160);
    }
    if (ok && !acb_contains_zero(v[1])) {
        acb_div(v[0], v[0], v[1], 160);
        if (!cut_complex(v[0], &key)) key = KEY_NONE;
    }
    acb_clear(v[0]);
    acb_clear(v[1]);
    acb_clear(r);
    return mix(tag, key);
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The sum of the keys of the parts, of distinct ones only where repetition does not count. */
static uint64_t key_of_parts(const struct node *n, bool distinct) {
    uint64_t sum = 0, *keys = mem_alloc((n->n_kids + 1) * sizeof *keys);
    for (uint32_t i = 0; i < n->n_kids; i++) keys[i] = key_of(n->kids[i]);
    qsort(keys, n->n_kids, sizeof *keys, by_value);
    for (uint32_t i = 0; i < n->n_kids; i++)
        if (!distinct || i == 0 || keys[i] != keys[i - 1]) sum += keys[i];
    free(keys);
    return sum;
}

/* In order: a pair and the open interval that it may be have the same key. */
static uint64_t key_of_tuple(const struct node *n) {
    uint64_t key = TAG_TUPLE;
    for (uint32_t i = 0; i < n->n_kids; i++) key = mix(key, key_of(n->kids[i]));
    return key;
}

static uint64_t key_of_collection(const struct node *n) {
    bool tuples = n->n_kids > 0, one_value = n->kind == NODE_SET || n->op == 'o';
    for (uint32_t i = 0; i < n->n_kids; i++) tuples = tuples && n->kids[i]->kind == NODE_TUPLE;
    uint64_t sum = key_of_parts(n, n->kind == NODE_SET || tuples || n->op == 'o');
    if (one_value && n->n_kids > 0) { /* one element, or one value said several times */
        uint64_t first = key_of(n->kids[0]);
        if (sum == first) return first;
    }
    return mix(TAG_PARTS, sum);
}

static uint64_t key_of_reals(const struct node *n) {
    struct decide d = {.n_steps_left = DECIDE_STEPS};
    struct reals r;
    struct reals_list l;
    uint64_t key = mix(TAG_OTHER, 2), piece = 0, sum = 0;
    if (reals_from(&r, &d, n, &l)) {
        for (size_t i = 0; i < l.n; i++) {
            const struct node *lo = l.p[i].lo, *hi = l.p[i].hi;
            uint64_t from = lo ? key_of_scalar(lo) : mix(TAG_INFINITY, 0);
            uint64_t to = hi ? key_of_scalar(hi) : mix(TAG_INFINITY, 2);
            piece = lo && lo == hi ? from : mix(mix(TAG_TUPLE, from), to);
            sum += piece;
        }
        key = l.n == 1 ? piece : mix(TAG_PARTS, sum);
    } else if (n->kind == NODE_INTERVAL)
        key = key_of_tuple(n);
    reals_fini(&r);
    return key;
}

static uint64_t key_of_label(const struct node *n) {
    const struct node *value = n->kids[0];
    if (!node_is_scalar(value) || !node_has_symbol(value) || (n->flags & NODE_FUNCTIONAL))
        return key_of(value);
    struct tree t;
    node_tree_init(&t);
    uint64_t key = key_of_equation(node_sym(&t, n->name), value, TAG_EQUATION);
    node_tree_fini(&t);
    return key;
}

uint64_t key_of(const struct node *n) {
    if (reals_is(n)) return key_of_reals(n);
    if (node_is_scalar(n)) return key_of_scalar(n->kind == NODE_DEGREE ? n->kids[0] : n);
    switch (n->kind) {
    case NODE_LABEL:
        return key_of_label(n);
    case NODE_UNIT:
        return key_of(n->kids[0]);
    case NODE_TEXT:
        return rng_hash(TAG_WORDS, n->name.ptr, n->name.len);
    case NODE_TUPLE:
        return key_of_tuple(n);
    case NODE_SET:
    case NODE_LIST:
        return key_of_collection(n);
    case NODE_MATRIX:
        return mix(TAG_MATRIX, key_of_parts(n, false));
    case NODE_REL:
        return n->op == REL_EQ || n->op == REL_NE
                   ? key_of_equation(n->kids[0], n->kids[1], TAG_EQUATION + 100 * (n->op == REL_NE))
                   : mix(TAG_OTHER, 3);
    case NODE_RATIO:
        return mix(TAG_RATIO, n->n_kids);
    default:
        return mix(TAG_OTHER, 4);
    }
}
