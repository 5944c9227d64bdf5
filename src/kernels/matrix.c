#include <stdlib.h>

#include "base/mem.h"
#include "kernels/kernels.h"
#include "kernels/kernels_math.h"

int matrix_panels(const struct matrix *m) {
    return (m->n_out + MATRIX_PANEL - 1) / MATRIX_PANEL;
}

size_t matrix_bytes(int n_out, int n_in, enum dtype t) {
    size_t n_panels = ((size_t)n_out + MATRIX_PANEL - 1) / MATRIX_PANEL;
    return n_panels * MATRIX_PANEL * (size_t)n_in * dtype_bytes(t);
}

void matrix_init(struct matrix *m, int n_out, int n_in, enum dtype t) {
    ASSERT(n_out > 0 && n_in > 0);
    *m = (struct matrix){.n_out = n_out, .n_in = n_in, .dtype = t};
    m->panels = mem_alloc_aligned(64, matrix_bytes(n_out, n_in, t));
}

/* Lane `lane` of a panel takes one row of inputs. */
static void pack_row16(uint16_t *panel, const void *row, int n_in, int lane) {
    for (int k = 0; k < n_in; k++)
        memcpy(panel + (size_t)k * MATRIX_PANEL + lane, (const char *)row + (size_t)k * 2, 2);
}

static void pack_row32(float *panel, const void *row, int n_in, int lane) {
    for (int k = 0; k < n_in; k++)
        memcpy(panel + (size_t)k * MATRIX_PANEL + lane, (const char *)row + (size_t)k * 4, 4);
}

void matrix_pack_rows(struct matrix *m, int row_first, const void *rows, int n_rows) {
    ASSERT(row_first >= 0 && row_first % MATRIX_PANEL == 0 && n_rows <= m->n_out - row_first);
    size_t row_bytes = (size_t)m->n_in * dtype_bytes(m->dtype);
    for (int i = 0; i < n_rows; i++) {
        int row = row_first + i;
        const char *from = (const char *)rows + (size_t)i * row_bytes;
        char *panel = (char *)m->panels + (size_t)(row / MATRIX_PANEL) * MATRIX_PANEL * row_bytes;
        if (m->dtype == DTYPE_F32)
            pack_row32((float *)(void *)panel, from, m->n_in, row % MATRIX_PANEL);
        else
            pack_row16((uint16_t *)(void *)panel, from, m->n_in, row % MATRIX_PANEL);
    }
}

void matrix_fini(struct matrix *m) {
    free(m->panels);
    *m = (struct matrix){0};
}
