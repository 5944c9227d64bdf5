/* html_axis.c - what a run spends, as the x of a chart; and what the sections about runs share. */
#include <stdio.h>
#include <string.h>

#include "eval/html_page.h"
#include "eval/html_write.h"

static const char *const axis_names[HTML_AXES] = {"samples", "generated tokens", "FLOP"};
const char *const html_axis_titles[HTML_AXES] = {"samples a problem", "generated tokens a problem",
                                                 "FLOP a problem: policy, and rewards where they are used"};

double html_spend(const struct report_run *run, int k, enum html_axis axis, bool with_reward) {
    const struct report_spend s = report_spend_at(run, k, with_reward);
    return axis == HTML_SAMPLES  ? k
           : axis == HTML_TOKENS ? s.tokens_generated
                                 : s.flops_policy + s.flops_reward;
}

bool html_has_axis(const struct report_run *run, enum html_axis axis) {
    return html_spend(run, 1, axis, false) > 0;
}

void html_tabs(struct buf *b, const char *id, const bool shown[HTML_AXES],
               void (*draw)(void *ctx, struct buf *b, enum html_axis axis), void *ctx) {
    buf_add_str(b, STR("<div class=\"tabs\">"));
    for (int a = 0; a < HTML_AXES; a++) {
        if (!shown[a]) continue;
        buf_printf(b, "<input type=\"radio\" name=\"%s\" id=\"%s-%d\"%s/><label for=\"%s-%d\">%s</label>", id,
                   id, a, a == 0 ? " checked=\"\"" : "", id, a, axis_names[a]);
    }
    for (int a = 0; a < HTML_AXES; a++) {
        if (!shown[a]) continue;
        buf_add_str(b, STR("<div class=\"pane\">"));
        draw(ctx, b, (enum html_axis)a);
        buf_add_str(b, STR("</div>"));
    }
    buf_add_str(b, STR("</div>"));
}

void html_put_point(struct html_series *s, double x, struct interval v) {
    ASSERT(s->n < HTML_POINTS_MAX);
    s->x[s->n] = x;
    s->y[s->n] = v.mean;
    s->low[s->n] = v.low;
    s->high[s->n++] = v.high;
}

int html_main_measure(const struct report_run *run) {
    static const int best_first[] = {CURVES_WEIGHTED, CURVES_BEST, CURVES_FIRST_VERIFIED, CURVES_MAJORITY};
    for (int m = 0; m < CURVES_COVERAGE; m++)
        if (run->curves[m].n_points > 0 &&
            strcmp(run->select, curves_measure_name((enum curves_measure)m)) == 0)
            return m;
    for (size_t i = 0; i < ARRAY_LEN(best_first); i++)
        if (run->curves[best_first[i]].n_points > 0) return best_first[i];
    return CURVES_COVERAGE;
}

bool html_is_measured(const struct report_run *run) {
    return run->curves[CURVES_COVERAGE].n_points > 0;
}

void html_model(struct buf *b, const char *name, double n_parameters) {
    html_cstr(b, name);
    if (n_parameters <= 0) return;
    buf_add_str(b, STR(" <small>"));
    html_count(b, n_parameters);
    buf_add_str(b, STR(" parameters</small>"));
}

bool html_has_section(const struct report *r, size_t i_run) {
    return r->n == 1 || r->runs[i_run].n_max > 1;
}

const char *html_level_name(char *out, size_t n_max, int level) {
    if (level)
        snprintf(out, n_max, "level %d", level);
    else
        snprintf(out, n_max, "none");
    return out;
}
