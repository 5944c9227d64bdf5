/* table.h - text in columns. Cells are added row by row; the first column is set left, all others right. */
#ifndef BROOD_CLI_TABLE_H
#define BROOD_CLI_TABLE_H

#include <stdio.h>

#include "base/str.h"

struct table {
    int n_columns;
    char **cells;
    size_t n, cap;
};

void table_init(struct table *t, int n_columns);
void table_cell(struct table *t, const char *format, ...) PRINTF_LIKE(2, 3);
/* Prints with two spaces before every column, and forgets the cells. On a terminal that is too narrow,
 * columns that do not fit follow below, with the first one beside them again. */
void table_print(struct table *t, FILE *out);

#endif
