#include "answer/node.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 4000

struct tree_block {
    struct tree_block *next;
    size_t used, cap;
    _Alignas(16) unsigned char bytes[];
};

void node_tree_init(struct tree *t) {
    *t = (struct tree){0};
}

void node_tree_fini(struct tree *t) {
    for (struct node *n = t->nums; n;) {
        struct node *next = (struct node *)(void *)n->kids;
        fmpq_clear(n->value);
        n = next;
    }
    for (struct tree_block *b = t->blocks; b;) {
        struct tree_block *next = b->next;
        free(b);
        b = next;
    }
    *t = (struct tree){0};
}

void *node_alloc(struct tree *t, size_t n_bytes) {
    n_bytes = (n_bytes + 15) & ~(size_t)15;
    if (!t->blocks || t->blocks->cap - t->blocks->used < n_bytes) {
        size_t cap = MAX(n_bytes, (size_t)BLOCK_BYTES);
        struct tree_block *b = mem_alloc(sizeof *b + cap);
        *b = (struct tree_block){.next = t->blocks, .cap = cap};
        t->blocks = b;
    }
    void *p = t->blocks->bytes + t->blocks->used;
    t->blocks->used += n_bytes;
    t->n_bytes += n_bytes;
    if (t->n_bytes > TREE_BYTES_MAX) t->full = true;
    return memset(p, 0, n_bytes);
}

struct str node_str(struct tree *t, struct str s) {
    char *p = node_alloc(t, s.len + 1);
    if (s.len) memcpy(p, s.ptr, s.len);
    return (struct str){p, s.len};
}

struct node *node_new(struct tree *t, enum node_kind kind, size_t n_kids) {
    struct node *n = node_alloc(t, sizeof *n);
    n->kind = (uint8_t)kind;
    n->n_kids = (uint32_t)n_kids;
    if (n_kids) n->kids = node_alloc(t, n_kids * sizeof *n->kids);
    if (kind == NODE_NUM) {
        fmpq_init(n->value);
        n->kids = (struct node **)(void *)t->nums;
        t->nums = n;
    }
    if (++t->n_nodes > TREE_NODES_MAX) t->full = true;
    return n;
}

struct node *node_num_si(struct tree *t, long v) {
    struct node *n = node_new(t, NODE_NUM, 0);
    fmpz_set_si(fmpq_numref(n->value), v);
    return n;
}

struct node *node_sym(struct tree *t, struct str name) {
    struct node *n = node_new(t, NODE_SYM, 0);
    n->name = name;
    return n;
}

struct node *node_1(struct tree *t, enum node_kind kind, struct node *a) {
    struct node *n = node_new(t, kind, 1);
    n->kids[0] = a;
    return n;
}

struct node *node_2(struct tree *t, enum node_kind kind, struct node *a, struct node *b) {
    struct node *n = node_new(t, kind, 2);
    n->kids[0] = a;
    n->kids[1] = b;
    return n;
}

struct node *node_func(struct tree *t, enum func f, struct node *a) {
    struct node *n = node_1(t, NODE_FUNC, a);
    n->op = (uint8_t)f;
    return n;
}

struct node *node_func_2(struct tree *t, enum func f, struct node *a, struct node *b) {
    struct node *n = node_2(t, NODE_FUNC, a, b);
    n->op = (uint8_t)f;
    return n;
}

bool node_same(const struct node *a, const struct node *b) {
    if (a->kind != b->kind || a->op != b->op || a->n_kids != b->n_kids) return false;
    if (((a->flags ^ b->flags) & (NODE_LO_OPEN | NODE_HI_OPEN | NODE_FUNCTIONAL | NODE_SQUARE)) != 0)
        return false;
    if (a->kind == NODE_NUM) return fmpq_equal(a->value, b->value);
    if (!str_equal(a->name, b->name)) return false;
    for (uint32_t i = 0; i < a->n_kids; i++)
        if (!node_same(a->kids[i], b->kids[i])) return false;
    return true;
}

bool node_is_scalar(const struct node *n) {
    switch (n->kind) {
    case NODE_NUM:
    case NODE_SYM:
    case NODE_PI:
    case NODE_E:
    case NODE_I:
    case NODE_INF:
        return true;
    case NODE_ADD:
    case NODE_MUL:
    case NODE_NEG:
    case NODE_DIV:
    case NODE_POW:
    case NODE_FUNC:
    case NODE_APPLY:
    case NODE_PERCENT:
    case NODE_DEGREE:
        for (uint32_t i = 0; i < n->n_kids; i++)
            if (!node_is_scalar(n->kids[i])) return false;
        return true;
    default:
        return false;
    }
}

static bool any_node(const struct node *n, bool (*test)(const struct node *)) {
    if (test(n)) return true;
    if (n->kind == NODE_NUM) return false;
    for (uint32_t i = 0; i < n->n_kids; i++)
        if (any_node(n->kids[i], test)) return true;
    return false;
}

static bool is_symbol(const struct node *n) {
    return n->kind == NODE_SYM || n->kind == NODE_APPLY;
}

static bool is_decimal(const struct node *n) {
    return n->kind == NODE_NUM && (n->flags & NODE_DECIMAL);
}

bool node_has(const struct node *n, enum node_kind kind) {
    if (n->kind == kind) return true;
    if (n->kind == NODE_NUM) return false;
    for (uint32_t i = 0; i < n->n_kids; i++)
        if (node_has(n->kids[i], kind)) return true;
    return false;
}

bool node_has_symbol(const struct node *n) {
    return any_node(n, is_symbol);
}

bool node_has_decimal(const struct node *n) {
    return any_node(n, is_decimal);
}

bool node_is_num_si(const struct node *n, long v) {
    return n->kind == NODE_NUM && fmpz_is_one(fmpq_denref(n->value)) &&
           fmpz_equal_si(fmpq_numref(n->value), v);
}

bool node_one_symbol(const struct node *n, struct str *name) {
    if (n->kind == NODE_NUM) return true;
    if (n->kind == NODE_APPLY) return false;
    if (n->kind == NODE_SYM) {
        if (name->len && !str_equal(*name, n->name)) return false;
        *name = n->name;
        return true;
    }
    for (uint32_t i = 0; i < n->n_kids; i++)
        if (!node_one_symbol(n->kids[i], name)) return false;
    return true;
}
