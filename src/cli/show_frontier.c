/* show_frontier.c - see show_frontier.h. */
#include "cli/show_frontier.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/format.h"
#include "cli/show_details.h"
#include "cli/table.h"

static void count_cell(struct table *t, double x) {
    char text[FORMAT_MAX];
    table_cell(t, "%s", format_count(text, x));
}

static void print_lines(const struct frontier *f) {
    struct table t;
    printf("\n  right answers against cost, %d problems%s\n", f->n_problems,
           f->by_difficulty ? "; levels are fifths by difficulty, 1 the easiest" : "");
    table_init(&t, 5 + f->n_levels);
    table_cell(&t, "method");
    table_cell(&t, "n");
    table_cell(&t, "tokens");
    table_cell(&t, "FLOP");
    table_cell(&t, "right");
    for (int l = 0; l < f->n_levels; l++) table_cell(&t, "level %d", f->levels[l]);
    for (size_t i = 0; i < f->n_lines; i++) {
        for (size_t k = 0; k < f->lines[i].n; k++) {
            const struct frontier_point *p = &f->lines[i].points[k];
            table_cell(&t, "%s", f->lines[i].name);
            table_cell(&t, "%d", p->k);
            count_cell(&t, p->tokens);
            count_cell(&t, p->flops);
            show_interval(&t, p->accuracy, false);
            for (int l = 0; l < f->n_levels; l++) show_interval(&t, p->levels[l], false);
        }
    }
    table_print(&t, stdout);
}

static void times_cell(struct table *t, double x) {
    if (isinf(x))
        table_cell(t, "never");
    else
        table_cell(t, "%.2f", x);
}

static bool is_shown(const struct frontier *f, const struct frontier_match *m) {
    const char *name = f->lines[m->reference].name;
    return strcmp(name, "weighted") == 0 || strcmp(name, "best") == 0;
}

static void print_matches(const struct frontier *f) {
    struct table t;
    size_t n = 0;
    for (size_t i = 0; i < f->n_matches; i++) n += is_shown(f, &f->matches[i]);
    if (n == 0) return;
    printf("\n  how many times the cost choosing among samples needs to be as often right\n");
    table_init(&t, 6);
    table_cell(&t, "method");
    table_cell(&t, "n");
    table_cell(&t, "right");
    table_cell(&t, "beside");
    table_cell(&t, "tokens");
    table_cell(&t, "FLOP");
    for (size_t i = 0; i < f->n_matches; i++) {
        const struct frontier_match *m = &f->matches[i];
        const struct frontier_point *p = &f->lines[m->line].points[m->point];
        char text[FORMAT_MAX];
        if (!is_shown(f, m)) continue;
        table_cell(&t, "%s", f->lines[m->line].name);
        table_cell(&t, "%d", p->k);
        table_cell(&t, "%s", format_percent(text, p->accuracy.mean));
        table_cell(&t, "%s", f->lines[m->reference].name);
        times_cell(&t, m->tokens);
        times_cell(&t, m->flops);
    }
    table_print(&t, stdout);
}

/* Of each line the cheapest point that is surely ahead. */
static void print_gains(const struct frontier *f) {
    struct table t;
    if (f->n_gains == 0) return;
    printf("\n  the least that is ahead of a larger policy's one answer: points gained on the same problems, "
           "and the share of its FLOP\n");
    table_init(&t, 5);
    table_cell(&t, "method");
    table_cell(&t, "n");
    table_cell(&t, "over");
    table_cell(&t, "gained");
    table_cell(&t, "FLOP");
    for (size_t i = 0; i < f->n_gains; i++) {
        const struct frontier_gain *g = &f->gains[i];
        bool is_least = g->gain.low > 0;
        for (size_t k = 0; is_least && k < i; k++)
            is_least = !(f->gains[k].line == g->line && f->gains[k].reference == g->reference &&
                         f->gains[k].reference_point == g->reference_point && f->gains[k].gain.low > 0);
        if (!is_least) continue;
        table_cell(&t, "%s", f->lines[g->line].name);
        table_cell(&t, "%d", f->lines[g->line].points[g->point].k);
        table_cell(&t, "%s", f->lines[g->reference].name);
        show_interval(&t, g->gain, true);
        table_cell(&t, "%.2f", g->flops);
    }
    table_print(&t, stdout);
}

void show_frontier(const struct frontier *f) {
    print_lines(f);
    print_matches(f);
    print_gains(f);
}
