/* html_diagram.c - a search tree drawn: a dot a step, left to right, coloured by its reward. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "eval/html_tree_parts.h"
#include "eval/html_write.h"

enum {
    ROW = 20,
    ROW_BARE = 12,
    MARGIN = 14,
    LABEL = 150,
    COLUMNS_WIDE = 30,
    WIDTH_MAX = 1000,
    LEAVES_MAX = 160
};

struct diagram {
    struct tree_view *v;
    double *y;   /* [n_nodes] */
    int *end;    /* [n_nodes] column of the last step; the prompt is column 0 */
    bool *drawn; /* [n_nodes] */
    int n_columns, n_leaves, n_left;
    double dx, height;
};

static int n_dots(const struct tree_view *v, int node) {
    return (int)MIN(v->first[node + 1] - v->first[node], (size_t)TREE_NODE_STEPS_MAX);
}

static double x_of(const struct diagram *d, int column) {
    return MARGIN + column * d->dx;
}

/* The column behind a node: a solution that was gone on from has its label above the line. */
static int after(const struct diagram *d, int node) {
    const bool labelled = d->v->t->solutions[node] >= 0 && d->v->child[node] >= 0;
    return d->end[node] + (labelled ? 2 : 0);
}

/* Leaves get rows in path order, what is above them the middle of its children. */
static void lay_out(struct diagram *d) {
    const struct tree_view *v = d->v;
    const size_t n = v->t->rows->n_nodes;
    bool was_bare = false;
    d->height = MARGIN + 6;
    for (size_t i = 0; i < n; i++) {
        if (!v->kept[i]) continue;
        const int parent = v->t->parents[i];
        d->end[i] = (parent >= 0 ? after(d, parent) : 0) + n_dots(v, (int)i);
        if (v->child[i] >= 0) continue;
        if (d->n_leaves == LEAVES_MAX) {
            d->n_left++;
            continue;
        }
        const bool is_bare = v->t->solutions[i] < 0; /* has no label beside it */
        if (d->n_leaves++ > 0) d->height += is_bare && was_bare ? ROW_BARE : ROW;
        was_bare = is_bare;
        d->y[i] = d->height;
        for (int up = (int)i; up >= 0 && !d->drawn[up]; up = v->t->parents[up]) d->drawn[up] = true;
        d->n_columns = MAX(d->n_columns, d->end[i]);
    }
    for (size_t i = n; i-- > 0;) {
        double first = NAN, last = NAN;
        for (int c = d->drawn[i] ? v->child[i] : -1; c >= 0; c = v->next[c]) {
            if (!d->drawn[c]) continue;
            if (isnan(first)) first = d->y[c];
            last = d->y[c];
        }
        if (!isnan(first)) d->y[i] = (first + last) / 2;
    }
    d->dx = MIN(COLUMNS_WIDE, MAX(7, (double)WIDTH_MAX / MAX(d->n_columns, 1)));
}

static void edge(const struct diagram *d, int node, double x0, double y0) {
    struct buf *b = d->v->b;
    const int n = n_dots(d->v, node);
    const double x1 = x_of(d, d->end[node] - n + 1), x2 = x_of(d, d->end[node]), y = d->y[node];
    if (fabs(y - y0) < 0.05)
        buf_printf(b, "<path d=\"M%.1f %.1fH%.1f\"/>", x0, y, x2);
    else if (n > 1)
        buf_printf(b, "<path d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1fH%.1f\"/>", x0, y0, (x0 + x1) / 2,
                   y0, (x0 + x1) / 2, y, x1, y, x2);
    else
        buf_printf(b, "<path d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\"/>", x0, y0, (x0 + x1) / 2, y0,
                   (x0 + x1) / 2, y, x1, y);
}

static void dots(const struct diagram *d, int node) {
    const struct tree_view *v = d->v;
    const int n = n_dots(v, node);
    for (int i = 0; i < n; i++) {
        const double reward = tree_reward(v, node, (size_t)i);
        buf_printf(v->b, "<circle class=\"");
        tree_reward_class(v->b, reward);
        buf_printf(v->b, "\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"/>", x_of(d, d->end[node] - n + 1 + i),
                   d->y[node], d->dx < 14 ? "3" : "5");
    }
}

static void end_label(const struct diagram *d, int node) {
    const struct browse_tree *t = d->v->t;
    const struct rows_node *r = &t->rows->nodes[node];
    struct buf *b = d->v->b;
    const int s = t->solutions[node];
    const bool is_inside = d->v->child[node] >= 0;
    if (is_inside && s < 0) return;
    buf_printf(b, "<text x=\"%.1f\" y=\"%.1f\"", x_of(d, d->end[node]) + (is_inside ? -6 : 11),
               d->y[node] + (is_inside ? -7 : 4));
    if (s >= 0) {
        const struct rows_solution *x = &t->rows->solutions[s];
        buf_printf(b, " class=\"%s\">", x->right > 0 ? "ok" : x->right == 0 ? "no" : "un");
        if (x->answer)
            html_excerpt(b, str_from(x->answer), 14);
        else
            buf_add_str(b, STR("no answer"));
        buf_printf(b, "%s%s",
                   x->right > 0    ? " ✓"
                   : x->right == 0 ? " ✗"
                                   : "",
                   node == t->i_chosen ? " ★" : "");
    } else {
        buf_printf(b, " class=\"un\">%s", r->finish == STORE_FAILED ? "failed" : "");
    }
    buf_add_str(b, STR("</text>"));
}

static void draw_node(const struct diagram *d, int node) {
    const struct tree_view *v = d->v;
    const int parent = v->t->parents[node];
    const double x0 = x_of(d, parent >= 0 ? d->end[parent] : 0),
                 y0 = parent >= 0 ? d->y[parent] : d->y[v->t->rows->n_nodes];
    buf_printf(v->b, "<g class=\"n%s%s\"", v->t->chosen[node] ? " c" : "",
               tree_given_up(v, node) ? " d" : "");
    tree_times(v->b, v, node);
    buf_printf(v->b, "><a href=\"#%s%d\" tabindex=\"-1\">", v->id, node);
    buf_add_str(v->b, STR("<title>"));
    html_cstr(v->b, v->t->rows->nodes[node].path);
    if (!isnan(v->t->worths[node])) buf_printf(v->b, ": rewards so far come to %.3f", v->t->worths[node]);
    buf_add_str(v->b, STR("</title>"));
    edge(d, node, x0, y0);
    dots(d, node);
    end_label(d, node);
    buf_add_str(v->b, STR("</a></g>"));
}

/* The prompt stands in the middle of its children. */
static void place_prompt(struct diagram *d) {
    const struct tree_view *v = d->v;
    const size_t n = v->t->rows->n_nodes;
    double first = NAN, last = MARGIN;
    for (int c = v->child[n]; c >= 0; c = v->next[c]) {
        if (!d->drawn[c]) continue;
        if (isnan(first)) first = d->y[c];
        last = d->y[c];
    }
    d->y[n] = ((isnan(first) ? last : first) + last) / 2;
}

void tree_diagram(struct tree_view *v) {
    const size_t n = v->t->rows->n_nodes;
    struct diagram d = {.v = v,
                        .y = mem_zalloc(n + 1, sizeof(double)),
                        .end = mem_zalloc(n + 1, sizeof(int)),
                        .drawn = mem_zalloc(n + 1, sizeof(bool))};
    lay_out(&d);
    place_prompt(&d);
    const double width = x_of(&d, d.n_columns) + LABEL, height = d.height + MARGIN;
    buf_add_str(v->b,
                STR("<div class=\"scroll diagram\" tabindex=\"0\" role=\"region\" aria-label=\"tree\">"));
    buf_printf(v->b,
               "<svg width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%d "
               "branches of the search\">",
               width, height, width, height, d.n_leaves);
    for (int pass = 0; pass < 2; pass++) /* the chosen path on top */
        for (size_t i = 0; i < n; i++)
            if (d.drawn[i] && v->t->chosen[i] == (pass == 1)) draw_node(&d, (int)i);
    buf_printf(v->b,
               "<rect class=\"prompt\" x=\"%d\" y=\"%.1f\" width=\"10\" height=\"10\" rx=\"2\"/></svg></div>",
               MARGIN - 5, d.y[n] - 5);
    if (d.n_left > 0)
        buf_printf(v->b, "<p class=\"facts\">The drawing leaves out %d more branches.</p>", d.n_left);
    free(d.y);
    free(d.end);
    free(d.drawn);
}
