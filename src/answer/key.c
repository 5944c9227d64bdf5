/* Buckets. A scalar's key is its value at point 0, cut to about 40 bits on a grid whose lines no exact value
 * hits; where the ball touches a line all the same, the key is a constant. Collections add up the keys of
 * their parts, so order does not matter. */
#include "answer/decide.h"
#include "answer/eval.h"

#include "base/rng.h"

#include <string.h>

#define KEY_NONE UINT64_C(0x9e3779b97f4a7c15)

/* floor(asinh(x) 2^40 + offset): monotone, so equal values meet whatever their size. */
static bool cut(const arb_t x, uint64_t *key) {
    arb_t y, offset;
    fmpz_t k;
    arb_init(y);
    arb_init(offset);
    fmpz_init(k);
    arb_asinh(y, x, 128);
    arb_mul_2exp_si(y, y, 40);
    arb_set_ui(offset, 3);
    arb_sqrt(offset, offset, 64);
    arb_add(y, y, offset, 128);
    arb_floor(y, y, 128);
    bool ok = arb_get_unique_fmpz(k, y) && fmpz_fits_si(k);
    if (ok) *key = (uint64_t)fmpz_get_si(k);
    arb_clear(y);
    arb_clear(offset);
    fmpz_clear(k);
    return ok;
}

static uint64_t mix(uint64_t a, uint64_t b) {
    return rng_hash(a, &b, sizeof b);
}

static uint64_t key_of_scalar(const struct node *n) {
    int inf = eval_infinity(n);
    if (inf) return mix(11, (uint64_t)(int64_t)inf);
    acb_t x;
    acb_init(x);
    uint64_t re = 0, im = 0, key = KEY_NONE;
    for (unsigned i = 0; i < 2 && key == KEY_NONE; i++)
        if (eval_ball(n, x, 160, i) && cut(acb_realref(x), &re) && cut(acb_imagref(x), &im))
            key = mix(re, im);
    acb_clear(x);
    return key;
}

static uint64_t key_of_parts(const struct node *n) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n->n_kids; i++) sum += key_of(n->kids[i]);
    return sum;
}

uint64_t key_of(const struct node *n) {
    if (node_is_scalar(n)) {
        if (n->kind == NODE_DEGREE || n->kind == NODE_PERCENT)
            return key_of_scalar(n->kind == NODE_DEGREE ? n->kids[0] : n);
        return key_of_scalar(n);
    }
    switch (n->kind) {
    case NODE_LABEL:
    case NODE_UNIT:
        return key_of(n->kids[0]);
    case NODE_TEXT:
        return rng_hash(5, n->name.ptr, n->name.len);
    case NODE_SET:
        if (n->n_kids == 1) return key_of(n->kids[0]);
        return mix(1, key_of_parts(n));
    case NODE_TUPLE:
    case NODE_LIST:
        return mix(1, key_of_parts(n));
    case NODE_MATRIX:
        return mix(2, key_of_parts(n));
    default:
        return mix(3, n->kind == NODE_REL ? 0 : 1);
    }
}
