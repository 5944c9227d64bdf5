/* table.c - see table.h. */
#include "cli/table.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/format.h"

void table_init(struct table *t, int n_columns) {
    *t = (struct table){.n_columns = n_columns};
}

void table_cell(struct table *t, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    MEM_GROW(t->cells, t->cap, t->n + 1);
    t->cells[t->n++] = mem_strdup(text);
}

static int column_width(const struct table *t, int column) {
    int widest = 0;
    for (size_t i = (size_t)column; i < t->n; i += (size_t)t->n_columns)
        widest = MAX(widest, format_width(str_from(t->cells[i])));
    return widest;
}

/* What a line may take: the terminal's width; anything where the table goes to a file. */
static int columns_of(FILE *out) {
    struct winsize w = {0};
    return isatty(fileno(out)) && ioctl(fileno(out), TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col
                                                                                          : INT_MAX;
}

/* The first column beside columns [first, end). */
static void print_columns(const struct table *t, const int *widths, int first, int end, FILE *out) {
    for (size_t row = 0; row < t->n; row += (size_t)t->n_columns) {
        const int last = (int)MIN((size_t)end, t->n - row) - 1;
        fprintf(out, "  %s%*s", t->cells[row],
                last < first ? 0 : widths[0] - format_width(str_from(t->cells[row])), "");
        for (int i = first; i <= last; i++) {
            const char *text = t->cells[row + (size_t)i];
            if (text[0] || i < last)
                fprintf(out, "  %*s%s", widths[i] - format_width(str_from(text)), "", text);
        }
        fputc('\n', out);
    }
}

void table_print(struct table *t, FILE *out) {
    int *widths = mem_zalloc((size_t)t->n_columns, sizeof *widths);
    for (int i = 0; i < t->n_columns; i++) widths[i] = column_width(t, i);
    const int limit = columns_of(out);
    for (int first = 1, end; first < t->n_columns || first == 1; first = end) {
        int used = 2 + widths[0] + 2 + (first < t->n_columns ? widths[first] : 0);
        for (end = first + 1; end < t->n_columns && used + 2 + widths[end] <= limit; end++)
            used += 2 + widths[end];
        if (first > 1) fputc('\n', out);
        print_columns(t, widths, first, MIN(end, t->n_columns), out);
    }
    for (size_t i = 0; i < t->n; i++) free(t->cells[i]);
    free(t->cells);
    free(widths);
    table_init(t, t->n_columns);
}
