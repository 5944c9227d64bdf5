#include "answer/fold.h"

#define FOLD_CELLS_MAX 100
#define FOLD_DET_MAX   5

static struct node *fold(struct tree *t, struct node *n);

static struct node *matrix(struct tree *t, uint32_t n_cells, uint8_t n_cols) {
    struct node *m = node_new(t, NODE_MATRIX, n_cells);
    m->op = n_cols;
    return m;
}

static struct node *add(struct tree *t, struct node *a, struct node *b) {
    if (a->n_kids != b->n_kids || a->op != b->op) return NULL;
    struct node *m = matrix(t, a->n_kids, a->op);
    for (uint32_t i = 0; i < a->n_kids; i++) m->kids[i] = node_2(t, NODE_ADD, a->kids[i], b->kids[i]);
    return m;
}

static struct node *scale(struct tree *t, struct node *m, enum node_kind kind, struct node *by) {
    struct node *out = matrix(t, m->n_kids, m->op);
    for (uint32_t i = 0; i < m->n_kids; i++)
        out->kids[i] = kind == NODE_NEG ? node_1(t, kind, m->kids[i]) : node_2(t, kind, m->kids[i], by);
    return out;
}

static struct node *multiply(struct tree *t, struct node *a, struct node *b) {
    uint32_t inner = a->op, n_cols = b->op, n_rows = a->n_kids / inner;
    if (b->n_kids / n_cols != inner || n_rows * n_cols * inner > FOLD_CELLS_MAX) return NULL;
    struct node *m = matrix(t, n_rows * n_cols, (uint8_t)n_cols);
    for (uint32_t i = 0; i < n_rows; i++)
        for (uint32_t j = 0; j < n_cols; j++) {
            struct node *sum = node_new(t, NODE_ADD, inner);
            for (uint32_t k = 0; k < inner; k++)
                sum->kids[k] = node_2(t, NODE_MUL, a->kids[i * inner + k], b->kids[k * n_cols + j]);
            m->kids[i * n_cols + j] = sum;
        }
    return m->n_kids == 1 ? m->kids[0] : m;
}

/* Laplace along the first of the remaining rows; `cols` is the set of the remaining columns. */
static struct node *determinant(struct tree *t, const struct node *m, uint32_t row, unsigned cols) {
    uint32_t n = m->op;
    struct node *sum = NULL;
    bool minus = false;
    for (uint32_t j = 0; j < n; j++) {
        if (!(cols >> j & 1)) continue;
        struct node *term = m->kids[row * n + j];
        if (row + 1 < n) term = node_2(t, NODE_MUL, term, determinant(t, m, row + 1, cols & ~(1u << j)));
        if (minus) term = node_1(t, NODE_NEG, term);
        sum = sum ? node_2(t, NODE_ADD, sum, term) : term;
        minus = !minus;
    }
    return sum;
}

static bool is_matrix(const struct node *n) {
    return n->kind == NODE_MATRIX;
}

static struct node *fold_pair(struct tree *t, struct node *n, struct node *a, struct node *b) {
    if (n->kind == NODE_ADD) return is_matrix(a) && is_matrix(b) ? add(t, a, b) : NULL;
    if (n->kind == NODE_MUL) {
        if (is_matrix(a) && is_matrix(b)) return multiply(t, a, b);
        if (is_matrix(a) && node_is_scalar(b)) return scale(t, a, NODE_MUL, b);
        return is_matrix(b) && node_is_scalar(a) ? scale(t, b, NODE_MUL, a) : NULL;
    }
    return is_matrix(a) && node_is_scalar(b) ? scale(t, a, NODE_DIV, b) : NULL;
}

static struct node *fold(struct tree *t, struct node *n) {
    if (n->kind == NODE_NUM || t->full) return n;
    for (uint32_t i = 0; i < n->n_kids; i++) n->kids[i] = fold(t, n->kids[i]);
    struct node *first = n->n_kids ? n->kids[0] : NULL, *result = NULL;
    if (n->kind == NODE_NEG && is_matrix(first)) result = scale(t, first, NODE_NEG, NULL);
    if (n->kind == NODE_FUNC && n->op == FUNC_DET && is_matrix(first) && first->op <= FOLD_DET_MAX &&
        first->n_kids == (uint32_t)first->op * first->op)
        result = determinant(t, first, 0, (1u << first->op) - 1);
    if (n->kind == NODE_ADD || n->kind == NODE_MUL || n->kind == NODE_DIV) {
        bool any = false;
        for (uint32_t i = 0; i < n->n_kids; i++) any |= is_matrix(n->kids[i]);
        result = any ? first : NULL;
        for (uint32_t i = 1; i < n->n_kids && result; i++) result = fold_pair(t, n, result, n->kids[i]);
    }
    return result ? result : n;
}

static bool has_matrix(const struct node *n) {
    if (n->kind == NODE_MATRIX) return true;
    if (n->kind == NODE_NUM) return false;
    for (uint32_t i = 0; i < n->n_kids; i++)
        if (has_matrix(n->kids[i])) return true;
    return false;
}

struct node *fold_matrices(struct tree *t, struct node *n) {
    return has_matrix(n) ? fold(t, n) : n;
}
