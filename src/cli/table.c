/* table.c - see table.h. */
#include "cli/table.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/mem.h"
#include "cli/format.h"

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

void table_print(struct table *t, FILE *out) {
    int *widths = mem_zalloc((size_t)t->n_columns, sizeof *widths);
    for (int i = 0; i < t->n_columns; i++) widths[i] = column_width(t, i);
    for (size_t i = 0; i < t->n; i++) {
        const int column = (int)(i % (size_t)t->n_columns);
        const int pad = widths[column] - format_width(str_from(t->cells[i]));
        const bool ends = column == t->n_columns - 1 || i == t->n - 1;
        if (column == 0)
            fprintf(out, "  %s%*s", t->cells[i], ends ? 0 : pad, "");
        else if (t->cells[i][0] || !ends)
            fprintf(out, "  %*s%s", pad, "", t->cells[i]);
        if (ends) fputc('\n', out);
        free(t->cells[i]);
    }
    free(t->cells);
    free(widths);
    table_init(t, t->n_columns);
}
