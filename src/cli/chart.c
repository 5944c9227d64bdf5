/* chart.c - see chart.h. */
#include "cli/chart.h"

#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/format.h"

enum { CHART_ROWS = 17, CHART_LEFT = 7 };

/* What a cell holds: 0 nothing, 1 + series a mark, LINE + series a line, DOT + series a dot between marks. */
enum { CELL_LINE = 100, CELL_DOT = 200 };

struct canvas {
    int n_columns, n_rows; /* of the plot itself */
    double low, high;      /* share at the lowest and the highest row */
    double doublings;      /* from the left to the right end */
    unsigned char *cells;
    bool utf8, colours;
    const char *const *marks, *const *lines; /* [CHART_SERIES_MAX] */
};

static const char *const utf8_marks[CHART_SERIES_MAX] = {"●", "■", "▲", "◆", "○", "□", "△", "◇"};
static const char *const ascii_marks[CHART_SERIES_MAX] = {"o", "x", "*", "#", "+", "@", "%", "&"};
static const char *const utf8_lines[CHART_SERIES_MAX] = {"─", "┄", "─", "┄", "─", "┄", "─", "┄"};
static const char *const ascii_lines[CHART_SERIES_MAX] = {"-", "=", "-", "=", "-", "=", "-", "="};
static const int colour_codes[CHART_SERIES_MAX] = {36, 33, 32, 35, 31, 34, 37, 90};

int chart_columns(void) {
    struct winsize w = {0};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0) return 80;
    return MIN(MAX(w.ws_col - 20, 60), 100); /* the axis has its name beside it */
}

bool chart_colours(void) {
    const char *no = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(no && no[0]);
}

/* ---- where things go ---- */

static int column_of(const struct canvas *c, int k) {
    if (c->doublings <= 0) return 0;
    return (int)lround(log2(k) / c->doublings * (c->n_columns - 1));
}

static int row_of(const struct canvas *c, double y) {
    return c->n_rows - 1 - (int)lround((y - c->low) / (c->high - c->low) * (c->n_rows - 1));
}

static unsigned char *cell(const struct canvas *c, int row, int column) {
    return &c->cells[row * c->n_columns + column];
}

/* Round limits around all values, at least 10 points apart. */
static void set_limits(struct canvas *c, const struct chart_series *series, int n) {
    double low = 1, high = 0;
    int k_max = 1;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < series[i].n_points; j++) {
            low = fmin(low, series[i].y[j]);
            high = fmax(high, series[i].y[j]);
            if (!series[i].is_line) k_max = MAX(k_max, series[i].k[j]);
        }
    }
    c->low = fmax(0, floor(low * 10 - 0.2) / 10);
    c->high = fmin(1, ceil(high * 10 + 0.2) / 10);
    if (c->high - c->low < 0.1) c->high = c->low + 0.1;
    c->doublings = log2(k_max);
}

static void draw_line(const struct canvas *c, const struct chart_series *s, int number) {
    for (int x = 0; x < c->n_columns; x++)
        *cell(c, row_of(c, s->y[0]), x) = (unsigned char)(CELL_LINE + number);
}

static void draw_dots(const struct canvas *c, const struct chart_series *s, int number) {
    for (int i = 0; i + 1 < s->n_points; i++) {
        const int from = column_of(c, s->k[i]), to = column_of(c, s->k[i + 1]);
        for (int x = from + 2; x < to - 1; x += 2) {
            const double t = (double)(x - from) / (to - from);
            unsigned char *at = cell(c, row_of(c, s->y[i] + t * (s->y[i + 1] - s->y[i])), x);
            if (*at == 0 || *at >= CELL_LINE) *at = (unsigned char)(CELL_DOT + number);
        }
    }
}

static void draw_marks(const struct canvas *c, const struct chart_series *s, int number) {
    for (int i = 0; i < s->n_points; i++)
        *cell(c, row_of(c, s->y[i]), column_of(c, s->k[i])) = (unsigned char)(1 + number);
}

static void draw(const struct canvas *c, const struct chart_series *series, int n) {
    for (int i = 0; i < n; i++) {
        if (series[i].is_line) draw_line(c, &series[i], i);
    }
    for (int i = 0; i < n; i++) {
        if (!series[i].is_line) draw_dots(c, &series[i], i);
    }
    for (int i = n - 1; i >= 0; i--) { /* the first lies on top */
        if (!series[i].is_line) draw_marks(c, &series[i], i);
    }
}

/* ---- printing ---- */

static const char *glyph(const struct canvas *c, int what) {
    if (what == 0) return " ";
    if (what >= CELL_DOT) return c->utf8 ? "·" : ".";
    if (what >= CELL_LINE) return c->lines[what - CELL_LINE];
    return c->marks[what - 1];
}

static int series_of(int what) {
    return what >= CELL_DOT ? what - CELL_DOT : what >= CELL_LINE ? what - CELL_LINE : what - 1;
}

static void put(const struct canvas *c, int what, FILE *out) {
    if (c->colours && what)
        fprintf(out, "\033[%dm%s\033[0m", colour_codes[series_of(what)], glyph(c, what));
    else
        fputs(glyph(c, what), out);
}

static void print_rows(const struct canvas *c, FILE *out) {
    double labelled = NAN;
    for (int y = 0; y < c->n_rows; y++) {
        const double share = c->high - (c->high - c->low) * y / (c->n_rows - 1);
        const double tenth = round(share * 20) / 20; /* a label on the row nearest to every 5 % */
        const bool label = row_of(c, tenth) == y && tenth != labelled && tenth <= c->high + 1e-9;
        if (label) {
            labelled = tenth;
            fprintf(out, "%*.0f%% ", CHART_LEFT - 3, 100 * tenth);
        } else {
            fprintf(out, "%*s", CHART_LEFT - 1, "");
        }
        fputs(c->utf8 ? (label ? "┤" : "│") : "|", out);
        int last = c->n_columns - 1;
        while (last >= 0 && *cell(c, y, last) == 0) last--;
        for (int x = 0; x <= last; x++) put(c, *cell(c, y, x), out);
        fputc('\n', out);
    }
}

static void print_axis(const struct canvas *c, FILE *out) {
    char *labels = mem_alloc((size_t)c->n_columns + 16);
    memset(labels, ' ', (size_t)c->n_columns + 15);
    labels[c->n_columns + 15] = '\0';
    fprintf(out, "%*s%s", CHART_LEFT - 1, "", c->utf8 ? "└" : "+");
    int next = 0;
    for (int x = 0; x < c->n_columns; x++) {
        const bool tick = next <= (int)c->doublings && column_of(c, 1 << next) == x;
        fputs(tick ? (c->utf8 ? "┬" : "+") : (c->utf8 ? "─" : "-"), out);
        if (tick) {
            char number[16];
            const int n = snprintf(number, sizeof number, "%d", 1 << next++);
            memcpy(labels + x, number, (size_t)n);
        }
    }
    for (char *end = labels + strlen(labels); end > labels && end[-1] == ' ';) *--end = '\0';
    fprintf(out, "\n%*s%s  samples a problem\n", CHART_LEFT, "", labels);
    free(labels);
}

static void print_legend(const struct canvas *c, const struct chart_series *series, int n, FILE *out) {
    for (int i = 0; i < n; i++) {
        const int what = series[i].is_line ? CELL_LINE + i : 1 + i;
        char percent[FORMAT_MAX];
        fprintf(out, "%*s", CHART_LEFT, "");
        put(c, what, out);
        if (series[i].is_line) put(c, what, out);
        fprintf(out, "%s %s  %s%%\n", series[i].is_line ? "" : " ", series[i].name,
                format_percent(percent, series[i].y[series[i].n_points - 1]));
    }
}

void chart_print(const struct chart_series *series, int n_series, int n_columns, bool colours, FILE *out) {
    ASSERT(n_series > 0 && n_series <= CHART_SERIES_MAX);
    struct canvas c = {.n_columns = MAX(n_columns - CHART_LEFT - 2, 20),
                       .n_rows = CHART_ROWS,
                       .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0,
                       .colours = colours};
    c.marks = c.utf8 ? utf8_marks : ascii_marks;
    c.lines = c.utf8 ? utf8_lines : ascii_lines;
    c.cells = mem_zalloc((size_t)(c.n_columns * c.n_rows), sizeof *c.cells);
    set_limits(&c, series, n_series);
    draw(&c, series, n_series);
    print_rows(&c, out);
    print_axis(&c, out);
    print_legend(&c, series, n_series, out);
    free(c.cells);
}
