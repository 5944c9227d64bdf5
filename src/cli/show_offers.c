/* show_offers.c - see show_offers.h. */
#include "cli/show_offers.h"

#include <math.h>
#include <stdio.h>

#include "base/format.h"
#include "cli/show_details.h"
#include "cli/table.h"

static const char *const cost_titles[OFFER_COSTS] = {"tokens", "FLOP", "dollars"};

static const char *format_cost(char out[FORMAT_MAX], enum offer_cost kind, double x) {
    return kind == OFFER_DOLLARS ? format_dollars(out, x) : format_count(out, x);
}

static void cost_cell(struct table *t, enum offer_cost kind, double x) {
    char text[FORMAT_MAX];
    table_cell(t, "%s", isnan(x) ? "-" : isinf(x) ? "none solved" : format_cost(text, kind, x));
}

static void interval_of_cost(struct table *t, enum offer_cost kind, struct interval v) {
    char mean[FORMAT_MAX], low[FORMAT_MAX], high[FORMAT_MAX];
    if (!isfinite(v.mean))
        cost_cell(t, kind, v.mean);
    else
        table_cell(t, "%s [%s, %s]", format_cost(mean, kind, v.mean), format_cost(low, kind, v.low),
                   isinf(v.high) ? "..." : format_cost(high, kind, v.high));
}

/* "weighted of 5 from small" */
static void name_cell(struct table *t, const struct report *r, const struct offer *o) {
    const char *run = r->runs[o->run].name;
    if (o->k == 1)
        table_cell(t, "1 of %s", run);
    else if (o->measure == CURVES_COVERAGE)
        table_cell(t, "%d of %s, any right", o->k, run);
    else
        table_cell(t, "%d of %s, %s", o->k, run, show_measure((int)o->measure));
}

static void show_pairs(const struct report *r, const struct offers *o) {
    struct table t;
    const int n_costs = o->has_dollars ? OFFER_COSTS : OFFER_DOLLARS;
    if (o->n_pairs == 0) return;
    printf("\n  side by side: points gained, and how many times the cost\n");
    table_init(&t, 3 + n_costs);
    table_cell(&t, "%s", "");
    table_cell(&t, "over");
    table_cell(&t, "gained");
    for (int k = 0; k < n_costs; k++) table_cell(&t, "%s", cost_titles[k]);
    for (size_t i = 0; i < o->n_pairs; i++) {
        const struct offer_pair *p = &o->pairs[i];
        name_cell(&t, r, &o->items[p->a]);
        name_cell(&t, r, &o->items[p->b]);
        show_interval(&t, p->gain, true);
        for (int k = 0; k < n_costs; k++) {
            if (isnan(p->ratio[k]))
                table_cell(&t, "-");
            else
                table_cell(&t, "x %.3g", p->ratio[k]);
        }
    }
    table_print(&t, stdout);
}

void show_offers(const struct report *r, const struct offers *o) {
    struct table t;
    const int n_costs = o->has_dollars ? OFFER_COSTS : OFFER_DOLLARS;
    printf("\nwhat samples buy, on the %d problems that all runs have: %% solved and cost a problem, and "
           "cost for each that is solved\n",
           o->n_problems);
    table_init(&t, 2 + 2 * n_costs);
    table_cell(&t, "samples a problem");
    table_cell(&t, "solved");
    for (int k = 0; k < n_costs; k++) {
        table_cell(&t, "%s", cost_titles[k]);
        table_cell(&t, "for each solved");
    }
    for (size_t i = 0; i < o->n; i++) {
        const struct offer *x = &o->items[i];
        name_cell(&t, r, x);
        show_interval(&t, x->solved, false);
        for (int k = 0; k < n_costs; k++) {
            cost_cell(&t, (enum offer_cost)k, x->costs[k]);
            interval_of_cost(&t, (enum offer_cost)k, x->per_solved[k]);
        }
    }
    table_print(&t, stdout);
    show_pairs(r, o);
}
