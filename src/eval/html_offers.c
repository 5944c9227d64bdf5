/* html_offers.c - what so many samples of each run buy. */
#include <math.h>
#include <stdlib.h>

#include "base/format.h"
#include "base/mem.h"
#include "eval/html_page.h"
#include "eval/html_write.h"

static const char *const cost_titles[OFFER_COSTS] = {"tokens", "FLOP", "dollars"};

static void name_of(struct buf *b, const struct report *r, const struct offer *o) {
    buf_printf(b, "%d of %s", o->k, r->runs[o->run].name);
    if (o->k > 1)
        buf_printf(b, ", %s",
                   o->measure == CURVES_COVERAGE ? "any right" : html_measure_name((int)o->measure));
}

static void money_or_count(struct buf *b, enum offer_cost kind, double x) {
    char text[FORMAT_MAX];
    if (kind == OFFER_DOLLARS && isfinite(x))
        html_cstr(b, format_dollars(text, x));
    else
        html_count(b, x);
}

static void cost_cells(struct buf *b, enum offer_cost kind, double cost, struct interval each) {
    buf_add_str(b, STR("<td>"));
    money_or_count(b, kind, cost);
    buf_add_str(b, STR("</td><td>"));
    money_or_count(b, kind, each.mean);
    if (isfinite(each.mean) && each.low < each.high) {
        buf_add_str(b, STR(" <small>"));
        money_or_count(b, kind, each.low);
        buf_add_str(b, STR("–"));
        money_or_count(b, kind, each.high);
        buf_add_str(b, STR("</small>"));
    }
    buf_add_str(b, STR("</td>"));
}

static void offers_table(struct buf *b, const struct report *r, const struct offers *o, int n_costs) {
    buf_add_str(b, STR("<div class=\"scroll\"><table><thead><tr>"));
    html_th(b, "samples a problem");
    html_th(b, "solved %");
    for (int k = 0; k < n_costs; k++) {
        html_th(b, cost_titles[k]);
        html_th(b, "for each solved");
    }
    buf_add_str(b, STR("</tr></thead><tbody>"));
    for (size_t i = 0; i < o->n; i++) {
        struct buf name = {0};
        name_of(&name, r, &o->items[i]);
        buf_add_str(b, STR("<tr><th scope=\"row\">"));
        html_text(b, buf_str(&name));
        buf_add_str(b, STR("</th>"));
        html_td_points(b, o->items[i].solved, false);
        for (int k = 0; k < n_costs; k++)
            cost_cells(b, (enum offer_cost)k, o->items[i].costs[k], o->items[i].per_solved[k]);
        buf_add_str(b, STR("</tr>"));
        buf_free(&name);
    }
    buf_add_str(b, STR("</tbody></table></div>"));
}

static void pairs_table(struct buf *b, const struct offers *o, const struct html_difference *rows,
                        int n_costs) {
    buf_add_str(b, STR("<div class=\"scroll\"><table><thead><tr>"));
    html_th(b, "");
    html_th(b, "points gained");
    for (int k = 0; k < n_costs; k++) html_th(b, cost_titles[k]);
    buf_add_str(b, STR("</tr></thead><tbody>"));
    for (size_t i = 0; i < o->n_pairs; i++) {
        buf_add_str(b, STR("<tr><th scope=\"row\">"));
        html_cstr(b, rows[i].name);
        buf_add_str(b, STR("</th>"));
        html_td_points(b, o->pairs[i].gain, true);
        for (int k = 0; k < n_costs; k++) {
            if (isfinite(o->pairs[i].ratio[k]))
                buf_printf(b, "<td>× %.3g</td>", o->pairs[i].ratio[k]);
            else
                buf_add_str(b, STR("<td>–</td>"));
        }
        buf_add_str(b, STR("</tr>"));
    }
    buf_add_str(b, STR("</tbody></table></div>"));
}

void html_offers(struct buf *b, const struct report *r, const struct offers *o) {
    const int n_costs = o->has_dollars ? OFFER_COSTS : OFFER_DOLLARS;
    buf_printf(
        b,
        "<section id=\"offers\"><h2>What samples buy</h2><p>On the %d problems that all runs have: what is "
        "solved, what a problem costs, and what each solved one costs. \"Any right\" is what a verifier that "
        "is "
        "always right would find.</p>",
        o->n_problems);
    offers_table(b, r, o, n_costs);
    if (o->n_pairs > 0) {
        struct html_difference *rows = mem_zalloc(o->n_pairs, sizeof *rows);
        for (size_t i = 0; i < o->n_pairs; i++) {
            const struct offer_pair *p = &o->pairs[i];
            struct buf name = {0};
            name_of(&name, r, &o->items[p->a]);
            buf_add_str(&name, STR(" over "));
            name_of(&name, r, &o->items[p->b]);
            rows[i] = (struct html_difference){buf_take(&name), p->gain,
                                               html_measure_style((int)o->items[p->a].measure)};
        }
        html_differences(b, "points gained, offer over offer", rows, (int)o->n_pairs);
        pairs_table(b, o, rows, n_costs);
        for (size_t i = 0; i < o->n_pairs; i++) free((char *)(uintptr_t)rows[i].name);
        free(rows);
    }
    buf_add_str(b, STR("</section>"));
}
