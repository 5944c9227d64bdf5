/* html_chart.c - curves and rows of dots as inline SVG. Colours and sizes of type come from the style sheet.
 */
#include <math.h>

#include "base/format.h"
#include "eval/html_write.h"

enum { WIDTH = 640, HEIGHT = 360, LEFT = 46, RIGHT = 14, TOP = 12, BOTTOM = 44 };

/* ---- marks ---- */

void html_mark(struct buf *b, int style, double x, double y) {
    switch (style % 4) {
    case 0:
        buf_printf(b, "<circle class=\"m\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>", x, y);
        break;
    case 1:
        buf_printf(b, "<rect class=\"m\" x=\"%.1f\" y=\"%.1f\" width=\"7\" height=\"7\"/>", x - 3.5, y - 3.5);
        break;
    case 2:
        buf_printf(b, "<path class=\"m\" d=\"M%.1f %.1fl4.6 8h-9.2z\"/>", x, y - 4.8);
        break;
    default:
        buf_printf(b, "<path class=\"m\" d=\"M%.1f %.1fl5 5l-5 5l-5 -5z\"/>", x, y - 5);
    }
}

static const char *class_of(enum html_kind kind) {
    return kind == HTML_GUESS ? "line guess" : kind == HTML_LEVEL ? "line level" : "line";
}

void html_swatch(struct buf *b, int style, enum html_kind kind) {
    buf_printf(
        b, "<svg class=\"swatch s%d\" width=\"26\" height=\"12\" viewBox=\"0 0 26 12\" aria-hidden=\"true\">",
        style);
    if (kind != HTML_POINT) buf_printf(b, "<path class=\"%s\" d=\"M1 6H25\"/>", class_of(kind));
    if (kind == HTML_POINT || kind == HTML_LINE) html_mark(b, style, 13, 6);
    buf_add_str(b, STR("</svg>"));
}

/* ---- where things go ---- */

struct frame {
    double x_low, x_high, y_low, y_high; /* logarithms; shares */
};

static double place_x(const struct frame *f, double x) {
    const double t = (log2(x) - f->x_low) / (f->x_high - f->x_low);
    return LEFT + t * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct frame *f, double y) {
    return TOP + (f->y_high - y) / (f->y_high - f->y_low) * (HEIGHT - TOP - BOTTOM);
}

static struct frame frame_of(const struct html_chart *c) {
    struct frame f = {INFINITY, -INFINITY, 1, 0};
    for (int i = 0; i < c->n_series; i++) {
        const struct html_series *s = &c->series[i];
        for (int j = 0; j < s->n; j++) {
            if (s->kind != HTML_LEVEL) {
                f.x_low = MIN(f.x_low, log2(s->x[j]));
                f.x_high = MAX(f.x_high, log2(s->x[j]));
            }
            f.y_low = MIN(f.y_low, MIN(s->y[j], s->low[j]));
            f.y_high = MAX(f.y_high, MAX(s->y[j], s->high[j]));
        }
    }
    if (f.x_low > f.x_high) f.x_low = f.x_high = 0;
    const double edge = MAX(0.25, 0.03 * (f.x_high - f.x_low));
    f.x_low -= edge;
    f.x_high += edge;
    f.y_low = MAX(0, floor(f.y_low * 10 - 1e-9) / 10);
    f.y_high = MIN(1, ceil(f.y_high * 10 + 1e-9) / 10);
    if (f.y_high - f.y_low < 0.195) f.y_low >= 0.2 ? (f.y_low -= 0.2) : (f.y_high += 0.2);
    return f;
}

/* ---- axes ---- */

static void y_axis(struct buf *b, const struct frame *f) {
    const int step = f->y_high - f->y_low > 0.65 ? 20 : 10;
    const int last = (int)lround(100 * f->y_high);
    for (int y = (int)lround(100 * f->y_low); y <= last; y++) {
        if (y % step != 0) continue;
        const double at = place_y(f, y / 100.0);
        buf_printf(b, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, at, WIDTH - RIGHT);
        buf_printf(b, "<text class=\"y\" x=\"%d\" y=\"%.1f\">%d%s</text>", LEFT - 7, at + 4, y,
                   y == last ? " %" : "");
    }
}

/* 512, 1.02k, 2G: without zeros at the end. */
static void tick_label(struct buf *b, double x) {
    static const char units[] = " kMGTPE";
    int i = 0;
    for (; x >= 1000 && units[i + 1]; i++) x /= 1000;
    buf_printf(b, "%.3g", x);
    if (i > 0) buf_add_char(b, units[i]);
}

static void x_tick(struct buf *b, const struct frame *f, double x) {
    const double at = place_x(f, x);
    buf_printf(b, "<path class=\"tick\" d=\"M%.1f %dv5\"/>", at, HEIGHT - BOTTOM);
    buf_printf(b, "<text class=\"x\" x=\"%.1f\" y=\"%d\">", at, HEIGHT - BOTTOM + 19);
    tick_label(b, x);
    buf_add_str(b, STR("</text>"));
}

/* Powers of two, every second one where there are many; or 1, 2, 5 in each decade, fewer where there are
 * many. */
static void x_axis(struct buf *b, const struct html_chart *c, const struct frame *f) {
    buf_printf(b, "<path class=\"axis\" d=\"M%d %dH%d\"/>", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT);
    if (c->doubling) {
        const int first = (int)ceil(f->x_low), last = (int)floor(f->x_high), step = 1 + (last - first) / 10;
        for (int i = first; i <= last; i += step) x_tick(b, f, exp2(i));
    } else {
        static const double parts[] = {1, 2, 5};
        const double low = f->x_low * log10(2), high = f->x_high * log10(2);
        const int step = high - low > 8 ? 2 : 1;
        const bool has_parts = high - low < 3;
        for (int d = (int)floor(low); d <= (int)ceil(high); d += step) {
            for (int i = 0; i < (has_parts ? 3 : 1); i++) {
                const double x = parts[i] * pow(10, d);
                if (log10(x) >= low && log10(x) <= high) x_tick(b, f, x);
            }
        }
    }
    buf_printf(b, "<text class=\"xt\" x=\"%d\" y=\"%d\">", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4);
    html_cstr(b, c->x_title);
    buf_add_str(b, STR("</text>"));
}

/* ---- series ---- */

static bool has_interval(const struct html_series *s, int i) {
    return s->high[i] > s->low[i];
}

static void band(struct buf *b, const struct frame *f, const struct html_series *s) {
    bool any = false;
    for (int i = 0; i < s->n; i++) any = any || has_interval(s, i);
    if (s->n < 2 || !any) return;
    buf_add_str(b, STR("<path class=\"band\" d=\""));
    for (int i = 0; i < s->n; i++)
        buf_printf(b, "%c%.1f %.1f", i ? 'L' : 'M', place_x(f, s->x[i]), place_y(f, s->high[i]));
    for (int i = s->n - 1; i >= 0; i--)
        buf_printf(b, "L%.1f %.1f", place_x(f, s->x[i]), place_y(f, s->low[i]));
    buf_add_str(b, STR("z\"/>"));
}

static void line(struct buf *b, const struct frame *f, const struct html_series *s) {
    if (s->kind == HTML_LEVEL) {
        buf_printf(b, "<path class=\"line level\" d=\"M%d %.1fH%d\"/>", LEFT, place_y(f, s->y[0]),
                   WIDTH - RIGHT);
        return;
    }
    buf_printf(b, "<path class=\"%s\" d=\"", class_of(s->kind));
    for (int i = 0; i < s->n; i++)
        buf_printf(b, "%c%.1f %.1f", i ? 'L' : 'M', place_x(f, s->x[i]), place_y(f, s->y[i]));
    buf_add_str(b, STR("\"/>"));
}

/* A mark says its numbers where the pointer rests. */
static void point(struct buf *b, const struct frame *f, const struct html_chart *c,
                  const struct html_series *s, int i, bool bar) {
    char text[FORMAT_MAX];
    const double x = place_x(f, s->x[i]);
    buf_add_str(b, STR("<g><title>"));
    html_cstr(b, s->name);
    buf_printf(b, ", %s %s: %.1f %%", format_count(text, s->x[i]), c->doubling ? "samples" : "",
               100 * s->y[i]);
    if (has_interval(s, i)) buf_printf(b, " (%.1f to %.1f)", 100 * s->low[i], 100 * s->high[i]);
    buf_add_str(b, STR("</title>"));
    if (bar && has_interval(s, i))
        buf_printf(b, "<path class=\"bar\" d=\"M%.1f %.1fV%.1fM%.1f %.1fh8M%.1f %.1fh8\"/>", x,
                   place_y(f, s->low[i]), place_y(f, s->high[i]), x - 4, place_y(f, s->low[i]), x - 4,
                   place_y(f, s->high[i]));
    html_mark(b, s->style, x, place_y(f, s->y[i]));
    buf_add_str(b, STR("</g>"));
}

static void series(struct buf *b, const struct frame *f, const struct html_chart *c,
                   const struct html_series *s) {
    buf_printf(b, "<g class=\"s%d\">", s->style);
    if (s->kind == HTML_LINE) band(b, f, s);
    if (s->kind != HTML_POINT) line(b, f, s);
    if (s->kind == HTML_POINT || s->kind == HTML_LINE)
        for (int i = 0; i < s->n; i++) point(b, f, c, s, i, s->kind == HTML_POINT || s->n == 1);
    buf_add_str(b, STR("</g>"));
}

static void legend(struct buf *b, const struct html_chart *c) {
    buf_add_str(b, STR("<ul class=\"legend\">"));
    for (int i = 0; i < c->n_series; i++) {
        const struct html_series *s = &c->series[i];
        if (!s->name) continue;
        buf_add_str(b, STR("<li>"));
        html_swatch(b, s->style, s->kind == HTML_LINE && s->n == 1 ? HTML_POINT : s->kind);
        html_cstr(b, s->name);
        buf_add_str(b, STR("</li>"));
    }
    buf_add_str(b, STR("</ul>"));
}

void html_chart(struct buf *b, const struct html_chart *c) {
    const struct frame f = frame_of(c);
    buf_printf(b, "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    html_cstr(b, c->label);
    buf_add_str(b, STR("\">"));
    y_axis(b, &f);
    x_axis(b, c, &f);
    for (int i = 0; i < c->n_series; i++)
        if (c->series[i].n > 0) series(b, &f, c, &c->series[i]);
    buf_add_str(b, STR("</svg>"));
    legend(b, c);
}

/* ---- rows of dots ---- */

enum { DOTS_LEFT = 78, DOTS_ROW = 34, DOTS_BOTTOM = 30 };

static double place_share(double share) {
    return DOTS_LEFT + share * (WIDTH - DOTS_LEFT - RIGHT - 8);
}

static void dots_row(struct buf *b, const struct html_dot_row *r, double y, const char *const *names,
                     const int *styles, int n) {
    double least = 1, most = 0;
    buf_printf(b, "<text class=\"y\" x=\"%d\" y=\"%.1f\">", DOTS_LEFT - 12, y + 4);
    html_cstr(b, r->name);
    buf_add_str(b, STR("</text>"));
    for (int i = 0; i < n; i++) {
        least = MIN(least, r->values[i].mean);
        most = MAX(most, r->values[i].mean);
    }
    buf_printf(b, "<path class=\"span\" d=\"M%.1f %.1fH%.1f\"/>", place_share(least), y, place_share(most));
    for (int i = 0; i < n; i++) {
        const struct interval *v = &r->values[i];
        buf_printf(b, "<g class=\"s%d\"><title>", styles[i]);
        html_cstr(b, names[i]);
        buf_printf(b, ": %.1f %% (%.1f to %.1f)</title>", 100 * v->mean, 100 * v->low, 100 * v->high);
        html_mark(b, styles[i], place_share(v->mean), y);
        buf_add_str(b, STR("</g>"));
    }
}

void html_dots(struct buf *b, const char *label, const struct html_dot_row *rows, int n_rows,
               const char *const *names, const int *styles, int n) {
    const int height = TOP + n_rows * DOTS_ROW + DOTS_BOTTOM, bottom = height - DOTS_BOTTOM;
    buf_printf(b, "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, height);
    html_cstr(b, label);
    buf_add_str(b, STR("\">"));
    for (int x = 0; x <= 100; x += 20) {
        buf_printf(b, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>", place_share(x / 100.0), TOP, bottom);
        buf_printf(b, "<text class=\"x\" x=\"%.1f\" y=\"%d\">%d%s</text>", place_share(x / 100.0),
                   bottom + 20, x, x == 100 ? " %" : "");
    }
    for (int i = 0; i < n_rows; i++) dots_row(b, &rows[i], TOP + (i + 0.5) * DOTS_ROW, names, styles, n);
    buf_add_str(b, STR("</svg><ul class=\"legend\">"));
    for (int i = 0; i < n; i++) {
        buf_add_str(b, STR("<li>"));
        html_swatch(b, styles[i], HTML_POINT);
        html_cstr(b, names[i]);
        buf_add_str(b, STR("</li>"));
    }
    buf_add_str(b, STR("</ul>"));
}

/* ---- differences around 0 ---- */

enum { DIFFERENCES_LEFT = 270, DIFFERENCES_ROW = 26 };

static double place_difference(double x, double most) {
    return DIFFERENCES_LEFT + (x + most) / (2 * most) * (WIDTH - DIFFERENCES_LEFT - RIGHT - 8);
}

static void difference(struct buf *b, const struct html_difference *r, double y, double most) {
    const double x = place_difference(r->value.mean, most), low = place_difference(r->value.low, most),
                 high = place_difference(r->value.high, most);
    buf_printf(b, "<text class=\"y\" x=\"%d\" y=\"%.1f\">", DIFFERENCES_LEFT - 10, y + 4);
    html_excerpt(b, str_from(r->name), 42);
    buf_printf(b, "</text><g class=\"s%d\"><title>", r->style);
    html_cstr(b, r->name);
    buf_printf(b, ": %+.1f points (%+.1f to %+.1f)</title>", 100 * r->value.mean, 100 * r->value.low,
               100 * r->value.high);
    buf_printf(b, "<path class=\"bar\" d=\"M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8\"/>", low, y, high, low,
               y - 4, high, y - 4);
    html_mark(b, r->style, x, y);
    buf_add_str(b, STR("</g>"));
}

void html_differences(struct buf *b, const char *label, const struct html_difference *rows, int n) {
    const int height = TOP + n * DIFFERENCES_ROW + DOTS_BOTTOM, bottom = height - DOTS_BOTTOM;
    double most = 0.05;
    for (int i = 0; i < n; i++) most = MAX(most, MAX(fabs(rows[i].value.low), fabs(rows[i].value.high)));
    const double step = most > 0.5 ? 0.5 : most > 0.2 ? 0.2 : most > 0.1 ? 0.1 : 0.05;
    most = ceil(most / step - 1e-9) * step;
    buf_printf(b, "<svg class=\"chart wide\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH,
               height);
    html_cstr(b, label);
    buf_add_str(b, STR("\">"));
    for (int i = (int)lround(-most / step); i <= (int)lround(most / step); i++) {
        const double x = place_difference(i * step, most);
        buf_printf(b, "<path class=\"%s\" d=\"M%.1f %dV%d\"/>", i ? "grid" : "axis", x, TOP, bottom);
        buf_printf(b, "<text class=\"x\" x=\"%.1f\" y=\"%d\">%s%.0f</text>", x, bottom + 20, i > 0 ? "+" : "",
                   100 * i * step);
    }
    for (int i = 0; i < n; i++) difference(b, &rows[i], TOP + (i + 0.5) * DIFFERENCES_ROW, most);
    buf_add_str(b, STR("</svg>"));
}
