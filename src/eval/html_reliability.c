/* html_reliability.c - how well difficulty is foretold: predicted beside real pass rates. */
#include "eval/html_page.h"
#include "eval/html_write.h"

enum { SIDE = 360, LEFT = 50, TOP = 12, BOTTOM = 48, ALL = 440 };

static double place_x(double rate) {
    return LEFT + rate * SIDE;
}

static double place_y(double rate) {
    return TOP + (1 - rate) * SIDE;
}

/* On the diagonal the prediction is right. */
static void axes(struct buf *b) {
    for (int i = 0; i <= 100; i += 20) {
        buf_printf(b, "<path class=\"grid\" d=\"M%d %.1fh%dM%.1f %dv%d\"/>", LEFT, place_y(i / 100.0), SIDE,
                   place_x(i / 100.0), TOP, SIDE);
        buf_printf(b, "<text class=\"y\" x=\"%d\" y=\"%.1f\">%d%s</text>", LEFT - 7, place_y(i / 100.0) + 4,
                   i, i == 100 ? " %" : "");
        buf_printf(b, "<text class=\"x\" x=\"%.1f\" y=\"%d\">%d</text>", place_x(i / 100.0), TOP + SIDE + 19,
                   i);
    }
    buf_printf(b, "<path class=\"axis\" d=\"M%.1f %.1fL%.1f %.1f\"/>", place_x(0), place_y(0), place_x(1),
               place_y(1));
    buf_printf(b,
               "<text class=\"xt\" x=\"%.1f\" y=\"%d\">predicted pass rate %%, against the real one</text>",
               place_x(0.5), TOP + SIDE + BOTTOM - 8);
}

static void chart(struct buf *b, const struct plan_reliability *f) {
    buf_printf(
        b,
        "<svg class=\"chart square\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"predicted and real "
        "pass rates\">",
        ALL, TOP + SIDE + BOTTOM);
    axes(b);
    buf_add_str(b, STR("<g class=\"s0\"><path class=\"line\" d=\""));
    for (int i = 0; i < f->n_rows; i++)
        buf_printf(b, "%c%.1f %.1f", i ? 'L' : 'M', place_x(f->rows[i].predicted), place_y(f->rows[i].real));
    buf_add_str(b, STR("\"/>"));
    for (int i = 0; i < f->n_rows; i++) {
        const struct plan_reliability_row *r = &f->rows[i];
        buf_printf(b, "<g><title>predicted %.1f %%, real %.1f %%, %d pilots</title>", 100 * r->predicted,
                   100 * r->real, r->n);
        html_mark(b, 0, place_x(r->predicted), place_y(r->real));
        buf_add_str(b, STR("</g>"));
    }
    buf_add_str(b, STR("</g></svg>"));
}

static void table(struct buf *b, const struct plan_reliability *f) {
    buf_add_str(b, STR("<div class=\"scroll\"><table><thead><tr>"));
    html_th(b, "predicted %");
    html_th(b, "real %");
    html_th(b, "pilots");
    buf_add_str(b, STR("</tr></thead><tbody>"));
    for (int i = 0; i < f->n_rows; i++)
        buf_printf(b, "<tr><th scope=\"row\">%.1f</th><td>%.1f</td><td>%d</td></tr>",
                   100 * f->rows[i].predicted, 100 * f->rows[i].real, f->rows[i].n);
    buf_add_str(b, STR("</tbody></table></div>"));
}

void html_reliabilities(struct buf *b, const struct report *r, const struct reliabilities *l) {
    buf_add_str(
        b,
        STR("<section id=\"difficulty\"><h2>How well difficulty is predicted</h2><p>Without the answer key, "
            "from a few samples: their votes, rewards and likelihoods. Groups of equal size in the order of "
            "the prediction; on the diagonal it is right.</p>"));
    for (size_t i = 0; i < l->n; i++) {
        const struct reliability *x = &l->items[i];
        buf_add_str(b, STR("<h4>"));
        html_cstr(b, r->runs[x->run].name);
        buf_printf(b, ": from %d %ssample%s, %d problems</h4><div class=\"pair\"><figure>", x->n_pilot,
                   x->scored ? "scored " : "", x->n_pilot == 1 ? "" : "s", x->figures.n_problems);
        chart(b, &x->figures);
        buf_add_str(b, STR("</figure><div>"));
        table(b, &x->figures);
        buf_printf(b,
                   "<p class=\"facts\">Calibration error %.3f; Brier score %.4f, where the mean rate for all "
                   "problems "
                   "has %.4f and knowing every rate %.4f.</p></div></div>",
                   x->figures.ece, x->figures.brier, x->figures.brier_constant, x->figures.brier_known);
    }
    buf_add_str(b, STR("</section>"));
}
