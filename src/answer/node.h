/* node.h - the expression tree inside an answer (private to the room).
 *
 * Nodes live in an arena that belongs to one answer and are never changed after parsing. Numbers are exact
 * rationals.
 *
 *     3 \frac12 \text{ cm}   ->  UNIT "cm" (NUM 7/2)
 *     x = 1, y = 2           ->  LIST (LABEL "x" (NUM 1), LABEL "y" (NUM 2))
 *     [0, \infty)            ->  INTERVAL closed-open (NUM 0, INF)
 */
#ifndef BROOD_ANSWER_NODE_H
#define BROOD_ANSWER_NODE_H

#include "base/str.h"
#include "answer/flint.h"

enum node_kind {
    NODE_NUM, /* value; flags NODE_DECIMAL, NODE_BASED */
    NODE_SYM, /* name */
    NODE_PI,
    NODE_E,
    NODE_I,
    NODE_INF,
    NODE_ADD, /* n kids */
    NODE_MUL, /* n kids */
    NODE_NEG,
    NODE_DIV,
    NODE_POW,
    NODE_FUNC,     /* op = enum func, kids = arguments */
    NODE_APPLY,    /* name(kids): a function that we do not know */
    NODE_PM,       /* op '+' for \pm, '-' for \mp; one or two kids; gone after parsing */
    NODE_PERCENT,  /* kid / 100 */
    NODE_DEGREE,   /* kid * pi / 180 */
    NODE_TUPLE,    /* (a, b, ...): ordered */
    NODE_LIST,     /* a, b, ...: bare enumeration */
    NODE_SET,      /* \{a, b\} */
    NODE_INTERVAL, /* two kids; flags NODE_LO_OPEN, NODE_HI_OPEN */
    NODE_NUMBERS,  /* \mathbb{name}: N Z Q R C */
    NODE_UNION,
    NODE_INTERSECT,
    NODE_MINUS,  /* set difference */
    NODE_MATRIX, /* op = number of columns; kids row by row */
    NODE_REL,    /* op = enum rel, two kids */
    NODE_CHAIN,  /* a < b < c: ops in name, one character per relation */
    NODE_LABEL,  /* name = kid; flag NODE_FUNCTIONAL for f(x) = kid */
    NODE_UNIT,   /* kid with unit name */
    NODE_RATIO,  /* a : b : c */
    NODE_TEXT,   /* name: lower-case words, one space apart */
    NODE_KIND_COUNT,
};

#define NODE_DECIMAL    1u /* written with a decimal point */
#define NODE_BASED      2u /* written in another base than ten */
#define NODE_LO_OPEN    4u
#define NODE_HI_OPEN    8u
#define NODE_FUNCTIONAL 16u
#define NODE_LOOSE      32u  /* words that were not marked as text */
#define NODE_SQUARE     64u  /* a tuple written with square brackets */
#define NODE_PLUSMINUS  128u /* a list made by \pm: its order never mattered */
#define NODE_CLOCK      256u /* a ratio that looks like a time of day */

enum func {
    FUNC_NONE,
    FUNC_SQRT,
    FUNC_ROOT,
    FUNC_ABS,
    FUNC_FLOOR,
    FUNC_CEIL,
    FUNC_FACTORIAL,
    FUNC_BINOMIAL,
    FUNC_GCD,
    FUNC_LCM,
    FUNC_MIN,
    FUNC_MAX,
    FUNC_MOD,
    FUNC_EXP,
    FUNC_LN,
    FUNC_LOG,
    FUNC_SIN,
    FUNC_COS,
    FUNC_TAN,
    FUNC_COT,
    FUNC_SEC,
    FUNC_CSC,
    FUNC_ASIN,
    FUNC_ACOS,
    FUNC_ATAN,
    FUNC_SINH,
    FUNC_COSH,
    FUNC_TANH,
    FUNC_ASINH,
    FUNC_ACOSH,
    FUNC_ATANH,
    FUNC_RE,
    FUNC_IM,
    FUNC_CONJ,
    FUNC_DET,
    FUNC_COUNT,
};

enum rel { REL_EQ = '=', REL_NE = '#', REL_LT = '<', REL_LE = 'l', REL_GT = '>', REL_GE = 'g' };

struct node {
    uint8_t kind;
    uint8_t op;
    uint16_t flags;
    uint32_t n_kids;
    struct node **kids;
    struct str name;
    fmpq_t value; /* initialised in NODE_NUM alone */
};

struct tree_block;
struct tree {
    struct tree_block *blocks;
    struct node *nums; /* the NODE_NUMs, linked through their unused kids */
    size_t n_nodes, n_bytes;
    bool full; /* over a bound: everything made since is a placeholder, and the parse fails */
};

#define TREE_NODES_MAX 6000
#define TREE_BYTES_MAX ((size_t)2 << 20)

void node_tree_init(struct tree *t);
void node_tree_fini(struct tree *t);
void *node_alloc(struct tree *t, size_t n_bytes); /* zeroed */
struct str node_str(struct tree *t, struct str s);

struct node *node_new(struct tree *t, enum node_kind kind, size_t n_kids);
struct node *node_num_si(struct tree *t, long v);
struct node *node_sym(struct tree *t, struct str name);
struct node *node_1(struct tree *t, enum node_kind kind, struct node *a);
struct node *node_2(struct tree *t, enum node_kind kind, struct node *a, struct node *b);
struct node *node_func(struct tree *t, enum func f, struct node *a);
struct node *node_func_2(struct tree *t, enum func f, struct node *a, struct node *b);

/* The same tree: the same formula, whatever it means. */
bool node_same(const struct node *a, const struct node *b);
bool node_is_scalar(const struct node *n); /* an expression that has a value (number or symbols), not a set,
                                              tuple, relation ... */
bool node_has(const struct node *n, enum node_kind kind);
bool node_has_symbol(const struct node *n);
bool node_has_decimal(const struct node *n);
/* No symbol but one, whose name is put into *name (empty before); false also for unknown functions. */
bool node_one_symbol(const struct node *n, struct str *name);
bool node_is_num_si(const struct node *n, long v);

#endif
