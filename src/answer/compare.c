#include "answer/decide.h"
#include "answer/eval.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* The worse of two findings about parts that all have to be equal. */
static enum answer_verdict both(enum answer_verdict a, enum answer_verdict b) {
    if (a == ANSWER_DIFFERENT || b == ANSWER_DIFFERENT) return ANSWER_DIFFERENT;
    return a == ANSWER_EQUAL && b == ANSWER_EQUAL ? ANSWER_EQUAL : ANSWER_CANNOT_TELL;
}

/* Equal but for something that one side leaves out: too much to say, unless the benefit of the doubt is
 * given. */
static enum answer_verdict doubtful(const struct decide *d, enum answer_verdict v) {
    return v == ANSWER_EQUAL && !d->generous ? ANSWER_CANNOT_TELL : v;
}

static bool is_collection(const struct node *n) {
    return n->kind == NODE_TUPLE || n->kind == NODE_LIST || n->kind == NODE_SET;
}

/* ---- collections ---- */

static enum answer_verdict in_order(struct decide *d, const struct node *a, const struct node *b) {
    if (a->n_kids != b->n_kids) return ANSWER_DIFFERENT;
    enum answer_verdict v = ANSWER_EQUAL;
    for (uint32_t i = 0; i < a->n_kids && v != ANSWER_DIFFERENT; i++)
        v = both(v, decide(d, a->kids[i], b->kids[i]));
    return v;
}

/* Does every element of a have an equal in b? With `once`, each element of b serves one element only. */
static enum answer_verdict contained(struct decide *d, const struct node *a, const struct node *b,
                                     bool once) {
    bool used[DECIDE_ITEMS_MAX] = {false};
    enum answer_verdict all = ANSWER_EQUAL;
    for (uint32_t i = 0; i < a->n_kids; i++) {
        enum answer_verdict best = ANSWER_DIFFERENT;
        for (uint32_t j = 0; j < b->n_kids && best != ANSWER_EQUAL; j++) {
            enum answer_verdict v = decide(d, a->kids[i], b->kids[j]);
            if (v == ANSWER_EQUAL && !used[j])
                used[j] = once, best = v;
            else if (v != ANSWER_DIFFERENT)
                best = ANSWER_CANNOT_TELL; /* its equal is taken already */
        }
        all = both(all, best);
        if (all == ANSWER_DIFFERENT) break;
    }
    return all;
}

static enum answer_verdict as_sets(struct decide *d, const struct node *a, const struct node *b) {
    if (a->n_kids > DECIDE_ITEMS_MAX || b->n_kids > DECIDE_ITEMS_MAX) return ANSWER_CANNOT_TELL;
    enum answer_verdict v = contained(d, a, b, false);
    return v == ANSWER_DIFFERENT ? v : both(v, contained(d, b, a, false));
}

static enum answer_verdict as_multisets(struct decide *d, const struct node *a, const struct node *b) {
    if (a->n_kids > DECIDE_ITEMS_MAX || b->n_kids > DECIDE_ITEMS_MAX) return ANSWER_CANNOT_TELL;
    if (a->n_kids != b->n_kids) return ANSWER_DIFFERENT;
    enum answer_verdict v = contained(d, a, b, true);
    return v == ANSWER_CANNOT_TELL ? contained(d, b, a, true) : v;
}

static bool of_tuples(const struct node *list) {
    for (uint32_t i = 0; i < list->n_kids; i++)
        if (list->kids[i]->kind != NODE_TUPLE) return false;
    return true;
}

static bool may_repeat(struct decide *d, const struct node *list) {
    if (list->n_kids > 100) return true;
    for (uint32_t i = 1; i < list->n_kids; i++)
        for (uint32_t j = 0; j < i; j++)
            if (decide(d, list->kids[i], list->kids[j]) != ANSWER_DIFFERENT) return true;
    return false;
}

/* Lists without regard to order. In a list repetition counts, unless it cannot be anything but a set of
 * solutions. */
static enum answer_verdict lists_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (a->kind == NODE_SET || b->kind == NODE_SET || (of_tuples(a) && of_tuples(b))) {
        enum answer_verdict v = as_sets(d, a, b);
        const struct node *list = a->kind == NODE_SET ? b : a;
        bool sets = list->kind == NODE_SET || of_tuples(list);
        return v != ANSWER_EQUAL || sets || !may_repeat(d, list) ? v : ANSWER_CANNOT_TELL;
    }
    enum answer_verdict v = as_multisets(d, a, b);
    if (v == ANSWER_DIFFERENT) v = doubtful(d, as_sets(d, a, b)); /* "1, 1, 2" and "1, 2" */
    return v;
}

/* Every element has a label of its own. */
static bool all_labelled(const struct node *n) {
    for (uint32_t i = 0; i < n->n_kids; i++) {
        if (n->kids[i]->kind != NODE_LABEL || n->n_kids > 50) return false;
        for (uint32_t j = 0; j < i; j++)
            if (str_equal(n->kids[i]->name, n->kids[j]->name)) return false;
    }
    return n->n_kids > 1;
}

/* x = 1, y = 2: every label of one is looked up in the other. */
static enum answer_verdict assignments_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (a->n_kids != b->n_kids) return ANSWER_DIFFERENT;
    enum answer_verdict all = ANSWER_EQUAL;
    for (uint32_t i = 0; i < a->n_kids && all != ANSWER_DIFFERENT; i++) {
        const struct node *x = a->kids[i], *found = NULL;
        for (uint32_t j = 0; j < b->n_kids && !found; j++)
            if (str_equal(x->name, b->kids[j]->name)) found = b->kids[j];
        all = both(all, found ? decide(d, x->kids[0], found->kids[0]) : ANSWER_CANNOT_TELL);
    }
    return all == ANSWER_CANNOT_TELL ? doubtful(d, as_multisets(d, a, b)) : all;
}

/* (1, 2) beside {1, 2}; x = 1, y = 2 beside 1, 2: one of them says more. */
static enum answer_verdict order_left_out(struct decide *d, const struct node *a, const struct node *b) {
    if (in_order(d, a, b) == ANSWER_EQUAL) return doubtful(d, ANSWER_EQUAL);
    return as_sets(d, a, b) == ANSWER_DIFFERENT ? ANSWER_DIFFERENT : ANSWER_CANNOT_TELL;
}

static enum answer_verdict collections_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (a->kind == NODE_TUPLE && b->kind == NODE_TUPLE) return in_order(d, a, b);
    bool la = all_labelled(a), lb = all_labelled(b);
    if (la && lb) return assignments_equal(d, a, b);
    if (a->kind == NODE_TUPLE || b->kind == NODE_TUPLE || la || lb) return order_left_out(d, a, b);
    return lists_equal(d, a, b);
}

static enum answer_verdict matrices_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (a->op != b->op) return ANSWER_DIFFERENT;
    return in_order(d, a, b);
}

/* A vector as a column or row beside (1, 2, 3). */
static enum answer_verdict vector_equal(struct decide *d, const struct node *m, const struct node *tuple) {
    if (m->op != 1 && m->op != m->n_kids) return ANSWER_DIFFERENT;
    return doubtful(d, in_order(d, m, tuple));
}

/* ---- ratios, relations ---- */

static enum answer_verdict ratios_equal(struct decide *d, const struct node *a, const struct node *b) {
    enum answer_verdict v = in_order(d, a, b);
    if (v == ANSWER_EQUAL || a->n_kids != b->n_kids) return v;
    if ((a->flags | b->flags) & NODE_CLOCK)
        return a->n_kids == 2 && (a->flags & b->flags & NODE_CLOCK) ? v : ANSWER_CANNOT_TELL;
    struct tree t; /* a : b = c : d when every pair has a d = b c */
    node_tree_init(&t);
    v = ANSWER_EQUAL;
    for (uint32_t i = 1; i < a->n_kids; i++)
        v = both(v, decide_scalar(d, node_2(&t, NODE_MUL, a->kids[0], b->kids[i]),
                                  node_2(&t, NODE_MUL, a->kids[i], b->kids[0])));
    node_tree_fini(&t);
    return v;
}

static const struct node *difference(struct tree *t, const struct node *n) {
    struct node *copy = node_2(t, NODE_ADD, n->kids[0], node_1(t, NODE_NEG, n->kids[1]));
    if (n->op == REL_GT || n->op == REL_GE) {
        copy->kids[0] = n->kids[1];
        copy->kids[1] = node_1(t, NODE_NEG, n->kids[0]);
    }
    return copy;
}

static int direction(const struct node *n) {
    return n->op == REL_GT ? REL_LT : n->op == REL_GE ? REL_LE : n->op;
}

static bool is_scalar_relation(const struct node *n) {
    return node_is_scalar(n->kids[0]) && node_is_scalar(n->kids[1]);
}

static void symbols_of(const struct node *n, uint64_t *set) {
    if (n->kind == NODE_SYM || n->kind == NODE_APPLY)
        for (size_t i = 0; i < n->name.len; i++) *set |= UINT64_C(1) << ((unsigned char)n->name.ptr[i] & 63);
    if (n->kind == NODE_NUM) return;
    for (uint32_t i = 0; i < n->n_kids; i++) symbols_of(n->kids[i], set);
}

/* Linear in everything: then other than proportional means another solution set. */
static bool is_linear(const struct node *n) {
    switch (n->kind) {
    case NODE_ADD:
    case NODE_NEG:
        for (uint32_t i = 0; i < n->n_kids; i++)
            if (!is_linear(n->kids[i])) return false;
        return true;
    case NODE_MUL:
        return is_linear(n->kids[0]) && is_linear(n->kids[1]) &&
               !(node_has_symbol(n->kids[0]) && node_has_symbol(n->kids[1]));
    case NODE_DIV:
        return is_linear(n->kids[0]) && !node_has_symbol(n->kids[1]);
    case NODE_SYM:
        return true;
    default:
        return !node_has_symbol(n);
    }
}

static enum answer_verdict relations_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (!is_scalar_relation(a) || !is_scalar_relation(b))
        return node_same(a, b) ? ANSWER_EQUAL : ANSWER_CANNOT_TELL;
    uint64_t in_a = 0, in_b = 0;
    symbols_of(a, &in_a);
    symbols_of(b, &in_b);
    if (direction(a) != direction(b) || in_a != in_b) return ANSWER_DIFFERENT;
    if (--d->n_steps_left < 0) return ANSWER_CANNOT_TELL;
    struct tree t;
    node_tree_init(&t);
    const struct node *p = difference(&t, a), *q = difference(&t, b);
    enum answer_verdict v = decide_proportional(p, q, direction(a) == REL_LT || direction(a) == REL_LE);
    if (v == ANSWER_DIFFERENT && !(is_linear(p) && is_linear(q))) v = ANSWER_CANNOT_TELL;
    node_tree_fini(&t);
    return v;
}

/* f(2) < f(1) < f(4) against f(4) > f(1) > f(2) */
static enum answer_verdict chains_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (a->n_kids != b->n_kids) return ANSWER_CANNOT_TELL;
    uint32_t n = a->n_kids;
    for (int reversed = 0; reversed < 2; reversed++) {
        bool same = true;
        for (uint32_t i = 0; i + 1 < n && same; i++) {
            char x = a->name.ptr[i], y = b->name.ptr[reversed ? n - 2 - i : i];
            if (reversed)
                y = y == REL_LT   ? REL_GT
                    : y == REL_GT ? REL_LT
                    : y == REL_LE ? REL_GE
                    : y == REL_GE ? REL_LE
                                  : y;
            same = x == y;
        }
        if (!same) continue;
        enum answer_verdict v = ANSWER_EQUAL;
        for (uint32_t i = 0; i < n; i++)
            v = both(v, decide(d, a->kids[i], b->kids[reversed ? n - 1 - i : i]));
        return v;
    }
    return ANSWER_DIFFERENT;
}

/* ---- labels ---- */

static const struct node *as_equation(struct tree *t, const struct node *n) {
    if (n->kind != NODE_LABEL) return n;
    struct node *e = node_2(t, NODE_REL, node_sym(t, n->name), n->kids[0]);
    e->op = REL_EQ;
    return e;
}

static enum answer_verdict labels_equal(struct decide *d, const struct node *a, const struct node *b) {
    const struct node *x = a->kind == NODE_LABEL ? a->kids[0] : a,
                      *y = b->kind == NODE_LABEL ? b->kids[0] : b;
    bool symbolic = (node_is_scalar(x) && node_has_symbol(x)) || (node_is_scalar(y) && node_has_symbol(y));
    bool functional = (a->kind != NODE_LABEL || (a->flags & NODE_FUNCTIONAL)) &&
                      (b->kind != NODE_LABEL || (b->flags & NODE_FUNCTIONAL));
    if (a->kind == NODE_REL || b->kind == NODE_REL || (a->kind == b->kind && symbolic && !functional)) {
        if (a->kind == b->kind && str_equal(a->name, b->name)) return decide(d, x, y);
        if (a->flags & b->flags & NODE_FUNCTIONAL) return ANSWER_CANNOT_TELL;
        struct tree t;
        node_tree_init(&t);
        enum answer_verdict v = relations_equal(d, as_equation(&t, a), as_equation(&t, b));
        node_tree_fini(&t);
        return v;
    }
    if (a->kind == NODE_LABEL && b->kind == NODE_LABEL && symbolic && !str_equal(a->name, b->name))
        return doubtful(d, decide(d, x, y));
    enum answer_verdict v = decide(d, x, y);
    return symbolic && !functional ? doubtful(d, v) : v; /* is y = 2x the same answer as 2x? */
}

/* ---- units, degrees, percent ---- */

struct unit {
    const char *name;
    char dimension;
    long num, den;
};

static const struct unit UNITS[] = {
    {"mm", 'L', 1, 1000},      {"cm", 'L', 1, 100},      {"m", 'L', 1, 1},         {"km", 'L', 1000, 1},
    {"inch", 'L', 254, 10000}, {"ft", 'L', 3048, 10000}, {"yd", 'L', 9144, 10000}, {"mi", 'L', 1609344, 1000},
    {"s", 'T', 1, 1},          {"min", 'T', 60, 1},      {"h", 'T', 3600, 1},      {"day", 'T', 86400, 1},
    {"am", 'a', 1, 1},         {"pm", 'p', 1, 1},        {"week", 'T', 604800, 1}, {"g", 'M', 1, 1},
    {"kg", 'M', 1000, 1},      {"mg", 'M', 1, 1000},     {"cent", '$', 1, 100},    {"dollar", '$', 1, 1},
};

static const struct unit *find_unit(struct str name) {
    for (size_t i = 0; i < ARRAY_LEN(UNITS); i++)
        if (str_equal(name, str_from(UNITS[i].name))) return &UNITS[i];
    return NULL;
}

static struct node *scaled(struct tree *t, const struct node *n, const struct unit *u) {
    struct node *factor = node_num_si(t, u->num);
    fmpz_set_si(fmpq_denref(factor->value), u->den);
    fmpq_canonicalise(factor->value);
    return node_2(t, NODE_MUL, (struct node *)(uintptr_t)n, factor);
}

static enum answer_verdict units_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (a->kind != NODE_UNIT || b->kind != NODE_UNIT)
        return decide(d, a->kind == NODE_UNIT ? a->kids[0] : a, b->kind == NODE_UNIT ? b->kids[0] : b);
    if (str_equal(a->name, b->name)) return decide(d, a->kids[0], b->kids[0]);
    const struct unit *u = find_unit(a->name), *v = find_unit(b->name);
    if (!u || !v) return doubtful(d, decide(d, a->kids[0], b->kids[0]));
    if (u->dimension != v->dimension) return ANSWER_DIFFERENT;
    struct tree t;
    node_tree_init(&t);
    enum answer_verdict same = decide(d, scaled(&t, a->kids[0], u), scaled(&t, b->kids[0], v));
    node_tree_fini(&t);
    return same;
}

/* 90 degrees is pi/2, and people also leave the sign out. */
static enum answer_verdict degrees_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (a->kind == NODE_DEGREE && b->kind == NODE_DEGREE) return decide(d, a->kids[0], b->kids[0]);
    if (!node_is_scalar(a) || !node_is_scalar(b)) return ANSWER_DIFFERENT;
    bool first = a->kind == NODE_DEGREE;
    enum answer_verdict v = decide(d, first ? a->kids[0] : a, first ? b : b->kids[0]);
    return v == ANSWER_EQUAL ? v : decide_scalar(d, a, b);
}

static enum answer_verdict percents_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (a->kind == NODE_PERCENT && b->kind == NODE_PERCENT) return decide(d, a->kids[0], b->kids[0]);
    if (!node_is_scalar(a) || !node_is_scalar(b)) return ANSWER_DIFFERENT;
    enum answer_verdict v = decide_scalar(d, a, b);
    if (v != ANSWER_DIFFERENT) return v;
    bool first = a->kind == NODE_PERCENT;
    return doubtful(d, decide(d, first ? a->kids[0] : a,
                              first ? b : b->kids[0])); /* 50% and 50: was "percent" asked for? */
}

/* ---- words ---- */

static void letter_counts(struct str s, int counts[26]) {
    memset(counts, 0, 26 * sizeof *counts);
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] >= 'a' && s.ptr[i] <= 'z') counts[s.ptr[i] - 'a']++;
}

static enum answer_verdict words_equal(const struct decide *d, const struct node *a, const struct node *b) {
    if (str_equal(a->name, b->name)) return ANSWER_EQUAL;
    if (str_find(a->name, b->name) >= 0 || str_find(b->name, a->name) >= 0)
        return ANSWER_CANNOT_TELL; /* "ellipse", "an ellipse" */
    static const struct str YES[2] = {{"yes", 3}, {"true", 4}}, NO[2] = {{"no", 2}, {"false", 5}};
    for (int i = 0; i < 2; i++)
        if ((str_equal(a->name, YES[i]) && str_equal(b->name, YES[1 - i])) ||
            (str_equal(a->name, NO[i]) && str_equal(b->name, NO[1 - i])))
            return doubtful(d, ANSWER_EQUAL);
    int x[26], y[26];
    letter_counts(a->name, x);
    letter_counts(b->name, y);
    bool one_word = str_find(a->name, STR(" ")) < 0 && str_find(b->name, STR(" ")) < 0;
    if (((a->flags | b->flags) & NODE_LOOSE) && memcmp(x, y, sizeof x) == 0)
        return ANSWER_CANNOT_TELL; /* perhaps products of symbols */
    return one_word ? ANSWER_DIFFERENT : ANSWER_CANNOT_TELL;
}

static bool means_a_number(struct str word) {
    static const char *const WORDS[] = {
        "zero",     "one",     "two",     "three",     "four",     "five",     "six",
        "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
        "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
        "thirty",   "forty",   "fifty",   "hundred",   "thousand", "million",  "half",
        "third",    "quarter", "dozen",   "infinite",  "none",     "undefined"};
    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++)
        if (str_equal(word, str_from(WORDS[i]))) return true;
    return false;
}

static enum answer_verdict word_beside(const struct node *word, const struct node *other) {
    bool plain = str_find(word->name, STR(" ")) < 0 && other->kind != NODE_SET && other->kind != NODE_SYM &&
                 other->kind != NODE_MUL && other->kind != NODE_REL;
    return plain && !means_a_number(word->name) ? ANSWER_DIFFERENT : ANSWER_CANNOT_TELL;
}

/* "15 39/40, or 639/40": one value in two forms. */
static enum answer_verdict said_again(struct decide *d, const struct node *list, const struct node *value) {
    enum answer_verdict all = ANSWER_EQUAL;
    for (uint32_t i = 0; i < list->n_kids; i++) all = both(all, decide(d, list->kids[i], value));
    return all;
}

/* ---- what a form leaves open ---- */

static bool is_letter(const struct node *n, char *c) {
    if (n->kind == NODE_E || n->kind == NODE_I)
        *c = n->kind == NODE_E ? 'e' : 'i';
    else if (n->kind == NODE_SYM && n->name.len == 1)
        *c = n->name.ptr[0];
    else
        return false;
    return true;
}

/* b and B: a choice, or two quantities? */
static bool same_letter_but_for_case(const struct node *a, const struct node *b) {
    char x, y;
    return is_letter(a, &x) && is_letter(b, &y) && x != y && (x ^ y) == 32;
}

/* 204 beside 204_5 */
static bool base_left_out(const struct node *based, const struct node *plain) {
    if (based->kind != NODE_NUM || plain->kind != NODE_NUM || !(based->flags & NODE_BASED) ||
        (plain->flags & NODE_BASED) || !fmpz_is_one(fmpq_denref(plain->value)))
        return false;
    char *digits = fmpz_get_str(NULL, 10, fmpq_numref(plain->value));
    bool same = str_equal(str_from(digits), based->name);
    flint_free(digits);
    return same;
}

/* "5 m" without \text: a product or a unit? */
static bool unit_left_out(struct decide *d, const struct node *with, const struct node *plain) {
    char c;
    return with->kind == NODE_MUL && is_letter(with->kids[1], &c) && strchr("msghLlNJWVKAc", c) &&
           !node_has_symbol(with->kids[0]) && !node_has_symbol(plain) &&
           decide_scalar(d, with->kids[0], plain) == ANSWER_EQUAL;
}

static enum answer_verdict scalars_equal(struct decide *d, const struct node *a, const struct node *b) {
    if (same_letter_but_for_case(a, b)) return doubtful(d, ANSWER_EQUAL);
    enum answer_verdict v = decide_scalar(d, a, b);
    if (v != ANSWER_DIFFERENT) return v;
    bool open =
        base_left_out(a, b) || base_left_out(b, a) || unit_left_out(d, a, b) || unit_left_out(d, b, a);
    return open ? doubtful(d, ANSWER_EQUAL) : v;
}

/* An equation in one unknown may have the other answer as its solution. */
static bool is_unsolved(const struct node *n) {
    struct str name = {0};
    return n->kind == NODE_REL && n->op == REL_EQ && node_one_symbol(n, &name) && name.len;
}

/* ---- everything ---- */

static bool either(const struct node *a, const struct node *b, enum node_kind kind) {
    return a->kind == kind || b->kind == kind;
}

static enum answer_verdict decide_ordered(struct decide *d, const struct node *a, const struct node *b) {
    if (either(a, b, NODE_TEXT)) {
        if (a->kind == b->kind) return words_equal(d, a, b);
        return a->kind == NODE_TEXT ? word_beside(a, b) : word_beside(b, a);
    }
    if (reals_is(a) || reals_is(b)) return reals_equal(d, a, b);
    if (either(a, b, NODE_LABEL)) return labels_equal(d, a, b);
    if (either(a, b, NODE_UNIT)) return units_equal(d, a, b);
    if (either(a, b, NODE_DEGREE)) return degrees_equal(d, a, b);
    if (either(a, b, NODE_PERCENT)) return percents_equal(d, a, b);
    if (a->kind == NODE_SET && a->n_kids == 1 && b->kind != NODE_SET) return decide(d, a->kids[0], b);
    if (b->kind == NODE_SET && b->n_kids == 1 && a->kind != NODE_SET) return decide(d, a, b->kids[0]);
    if (is_collection(a) && is_collection(b)) return collections_equal(d, a, b);
    if (a->kind == NODE_LIST && a->op == 'o' && node_is_scalar(b)) return said_again(d, a, b);
    if (b->kind == NODE_LIST && b->op == 'o' && node_is_scalar(a)) return said_again(d, b, a);
    if (a->kind == NODE_MATRIX && b->kind == NODE_MATRIX) return matrices_equal(d, a, b);
    if (a->kind == NODE_MATRIX && b->kind == NODE_TUPLE) return vector_equal(d, a, b);
    if (b->kind == NODE_MATRIX && a->kind == NODE_TUPLE) return vector_equal(d, b, a);
    if (a->kind == NODE_RATIO && b->kind == NODE_RATIO) return ratios_equal(d, a, b);
    if (either(a, b, NODE_RATIO)) return ANSWER_CANNOT_TELL; /* 1 : 2 and 1/2 */
    if (a->kind == NODE_REL && b->kind == NODE_REL) return relations_equal(d, a, b);
    if (a->kind == NODE_CHAIN && b->kind == NODE_CHAIN) return chains_equal(d, a, b);
    bool sa = node_is_scalar(a), sb = node_is_scalar(b);
    if (sa && sb) return scalars_equal(d, a, b);
    if (is_unsolved(a) || is_unsolved(b)) return ANSWER_CANNOT_TELL;
    bool known_a = sa || is_collection(a) || a->kind == NODE_MATRIX || a->kind == NODE_REL;
    bool known_b = sb || is_collection(b) || b->kind == NODE_MATRIX || b->kind == NODE_REL;
    return known_a && known_b ? ANSWER_DIFFERENT : ANSWER_CANNOT_TELL;
}

enum answer_verdict decide(struct decide *d, const struct node *a, const struct node *b) {
    if (--d->n_steps_left < 0) return ANSWER_CANNOT_TELL;
    if (node_same(a, b)) return ANSWER_EQUAL;
    return decide_ordered(d, a, b);
}
