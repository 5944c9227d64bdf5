/* html_write.h - the pieces of which the page is put together (private to the room).
 *
 * Text goes in by html_text and html_cell alone, which leave nothing that a browser would interpret: markup
 * is escaped; control characters, and those that change the direction of what follows or cannot be seen, are
 * written out. Numbers are written by their own functions, in the C locale. Every element that is opened here
 * is closed here, or by the caller who opened it: the page is well-formed as XML is, with HTML's empty
 * elements.
 */
#ifndef BROOD_HTML_WRITE_H
#define BROOD_HTML_WRITE_H

#include "eval/report.h"

/* ---- text ---- */
void html_text(struct buf *b, struct str s);  /* also inside a quoted attribute */
void html_cstr(struct buf *b, const char *s); /* NULL: nothing */
/* At most about n_max bytes of it: the beginning and the end, with what is left out counted between. */
void html_text_cut(struct buf *b, struct str s, size_t n_max);
/* One line of at most n_max characters; white space runs become one space. */
void html_excerpt(struct buf *b, struct str s, size_t n_max);

/* ---- numbers ---- */
void html_count(struct buf *b, double x);                       /* 1.29k */
void html_points(struct buf *b, struct interval v, bool signs); /* 41.4, with its interval small beside it */

/* ---- tables: <table> ... rows of cells ... </table> ---- */
void html_th(struct buf *b, const char *text);
void html_td_text(struct buf *b, const char *text);
void html_td_count(struct buf *b, double x);
void html_td_points(struct buf *b, struct interval v, bool signs);

/* ---- charts ---- */
enum html_kind {
    HTML_LINE,  /* a line through marked points, with a band where low and high are given */
    HTML_POINT, /* marks with error bars, no line */
    HTML_LEVEL, /* a line across at y[0] */
    HTML_CURVE, /* a line without marks */
    HTML_GUESS, /* the same, dashed: not measured */
};
enum { HTML_STYLES = 9, HTML_SERIES_MAX = 16, HTML_POINTS_MAX = 64 };

struct html_series {
    const char *name; /* borrowed; in the legend; NULL: not there */
    int style;        /* below HTML_STYLES: colour and mark */
    enum html_kind kind;
    int n;
    double x[HTML_POINTS_MAX], y[HTML_POINTS_MAX];      /* y in [0,1] */
    double low[HTML_POINTS_MAX], high[HTML_POINTS_MAX]; /* equal: no interval */
};

struct html_chart {
    const char *label, *x_title; /* label: what a screen reader says */
    bool doubling;               /* x are samples: ticks at powers of two; else decades */
    const struct html_series *series;
    int n_series;
};

void html_chart(struct buf *b, const struct html_chart *c); /* with its legend */
/* The mark of a style inside a drawing; and a small drawing of it, for legends and tables. */
void html_mark(struct buf *b, int style, double x, double y);
void html_swatch(struct buf *b, int style, enum html_kind kind);

struct html_dot_row {
    const char *name;
    struct interval values[HTML_STYLES]; /* [n] of the columns */
};
/* A row of dots from 0 to 100 % for each name. */
void html_dots(struct buf *b, const char *label, const struct html_dot_row *rows, int n_rows,
               const char *const *names, const int *styles, int n);

struct html_difference {
    const char *name; /* what stands at its left */
    struct interval value;
    int style;
};
/* Differences in points with their intervals, around 0. */
void html_differences(struct buf *b, const char *label, const struct html_difference *rows, int n);

/* The style of a measure, and its name. */
int html_measure_style(int measure);
const char *html_measure_name(int measure);

#endif
