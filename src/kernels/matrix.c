#include <stdlib.h>

#include "base/mem.h"
#include "kernels/kernels.h"
#include "kernels/kernels_math.h"

int matrix_panels(const struct matrix *m) {
    return (m->n_out + MATRIX_PANEL - 1) / MATRIX_PANEL;
}

/* ---- sizes: bytes of one panel ---- */

static size_t panel_bytes(int64_t n_in, enum dtype t) {
    const struct coding *c = dtype_coding(t);
    return (size_t)MATRIX_PANEL * (size_t)n_in * (c ? (size_t)c->bits : 8 * dtype_bytes(t)) / 8;
}

static size_t scales_bytes(int64_t n_in, enum dtype t) {
    const struct coding *c = dtype_coding(t);
    return c ? (size_t)MATRIX_PANEL * (size_t)(n_in / CODED_BLOCK) * (size_t)c->n_scales * (c->wide ? 4 : 2)
             : 0;
}

static size_t mins_floats(int64_t n_in, enum dtype t) {
    const struct coding *c = dtype_coding(t);
    return c && c->has_min ? (size_t)MATRIX_PANEL * (size_t)(n_in / CODED_BLOCK) : 0;
}

size_t matrix_bytes(int64_t n_out, int64_t n_in, enum dtype t) {
    size_t n_panels = ((size_t)n_out + MATRIX_PANEL - 1) / MATRIX_PANEL;
    return n_panels * (panel_bytes(n_in, t) + scales_bytes(n_in, t) + mins_floats(n_in, t) * sizeof(float));
}

void matrix_init(struct matrix *m, int n_out, int n_in, enum dtype t) {
    ASSERT(n_out > 0 && n_in > 0 && n_in % dtype_block(t) == 0);
    *m = (struct matrix){.n_out = n_out, .n_in = n_in, .dtype = t};
    const size_t n = (size_t)matrix_panels(m);
    m->panels = mem_alloc_aligned(64, n * panel_bytes(n_in, t));
    if (scales_bytes(n_in, t)) m->scales = mem_alloc_aligned(64, n * scales_bytes(n_in, t));
    if (mins_floats(n_in, t)) m->mins = mem_alloc_aligned(64, n * mins_floats(n_in, t) * sizeof(float));
}

struct matrix matrix_panel(const struct matrix *m, int panel) {
    const size_t p = (size_t)panel;
    struct matrix view = {
        .n_out = MATRIX_PANEL, .n_in = m->n_in, .dtype = m->dtype, .rounds_inputs = m->rounds_inputs};
    view.panels = (char *)m->panels + p * panel_bytes(m->n_in, m->dtype);
    if (m->scales) view.scales = (char *)m->scales + p * scales_bytes(m->n_in, m->dtype);
    if (m->mins) view.mins = m->mins + p * mins_floats(m->n_in, m->dtype);
    return view;
}

/* ---- lane `lane` of a panel takes one row of inputs ---- */

static void pack_row16(uint16_t *panel, const void *row, int n_in, int lane) {
    for (int k = 0; k < n_in; k++)
        memcpy(panel + (size_t)k * MATRIX_PANEL + lane, (const char *)row + (size_t)k * 2, 2);
}

static void pack_row32(float *panel, const void *row, int n_in, int lane) {
    for (int k = 0; k < n_in; k++)
        memcpy(panel + (size_t)k * MATRIX_PANEL + lane, (const char *)row + (size_t)k * 4, 4);
}

static void set_scale(void *scales, const struct coding *c, size_t i, float scale) {
    if (c->wide)
        ((float *)scales)[i] = scale;
    else
        ((uint16_t *)scales)[i] = math_to_f16(scale); /* it came from an F16 */
}

static float get_scale(const void *scales, const struct coding *c, size_t i) {
    return c->wide ? ((const float *)scales)[i] : math_from_f16(((const uint16_t *)scales)[i]);
}

/* Where input k of lane `lane` lies: 8 bits, or half of 8. */
static size_t code_at(const struct coding *c, int k, int lane) {
    const int group = c->bits == 8 ? 4 : 8;
    return ((size_t)(k / group) * MATRIX_PANEL + (size_t)lane) * 4 + (size_t)(k % 4);
}

static void pack_row_coded(const struct matrix *panel, const void *row, int lane) {
    const struct coding *c = dtype_coding(panel->dtype);
    const int n_block = dtype_block(panel->dtype);
    unsigned char *codes = panel->panels;
    for (int k0 = 0; k0 < panel->n_in; k0 += n_block) {
        struct blocks_codes b;
        blocks_read(&b, (const char *)row + (size_t)(k0 / n_block) * dtype_block_bytes(panel->dtype),
                    panel->dtype);
        for (int k = 0; k < n_block; k++) {
            unsigned char *at = codes + code_at(c, k0 + k, lane);
            if (c->bits == 8)
                *at = b.codes[k];
            else if (k % 8 < 4)
                *at = (unsigned char)((*at & 0xF0u) | b.codes[k]);
            else
                *at = (unsigned char)((*at & 0x0Fu) | (unsigned)b.codes[k] << 4);
        }
        const size_t block = (size_t)(k0 / CODED_BLOCK);
        for (int i = 0; i < n_block / CODED_BLOCK; i++) {
            for (int j = 0; j < c->n_scales; j++)
                set_scale(panel->scales, c,
                          ((block + (size_t)i) * (size_t)c->n_scales + (size_t)j) * MATRIX_PANEL +
                              (size_t)lane,
                          b.scales[i * c->n_scales + j]);
            if (c->has_min) panel->mins[(block + (size_t)i) * MATRIX_PANEL + (size_t)lane] = b.mins[i];
        }
    }
}

void matrix_pack_rows(struct matrix *m, int row_first, const void *rows, int n_rows) {
    ASSERT(row_first >= 0 && row_first % MATRIX_PANEL == 0 && n_rows <= m->n_out - row_first);
    const size_t row_bytes = (size_t)(m->n_in / dtype_block(m->dtype)) * dtype_block_bytes(m->dtype);
    for (int i = 0; i < n_rows; i++) {
        const int row = row_first + i, lane = row % MATRIX_PANEL;
        const char *from = (const char *)rows + (size_t)i * row_bytes;
        struct matrix panel = matrix_panel(m, row / MATRIX_PANEL);
        if (m->scales)
            pack_row_coded(&panel, from, lane);
        else if (m->dtype == DTYPE_F32)
            pack_row32(panel.panels, from, m->n_in, lane);
        else
            pack_row16(panel.panels, from, m->n_in, lane);
    }
}

void matrix_fini(struct matrix *m) {
    free(m->panels);
    free(m->scales);
    free(m->mins);
    *m = (struct matrix){0};
}

/* ---- a row back ---- */

static void row_coded(const struct matrix *panel, int lane, float *out) {
    const struct coding *c = dtype_coding(panel->dtype);
    const unsigned char *codes = panel->panels;
    for (int k = 0; k < panel->n_in; k++) {
        int code = codes[code_at(c, k, lane)];
        if (c->bits == 4) code = k % 8 < 4 ? code & 15 : code >> 4;
        const size_t block = (size_t)(k / CODED_BLOCK),
                     sub = (size_t)(k % CODED_BLOCK * c->n_scales / CODED_BLOCK);
        const float scale =
            get_scale(panel->scales, c, (block * (size_t)c->n_scales + sub) * MATRIX_PANEL + (size_t)lane);
        out[k] = scale * (float)(code - c->bias);
        if (c->has_min) out[k] += panel->mins[block * MATRIX_PANEL + (size_t)lane];
    }
}

void matrix_row(const struct matrix *m, int row, float *out) {
    ASSERT(row >= 0 && row < m->n_out);
    const struct matrix panel = matrix_panel(m, row / MATRIX_PANEL);
    const int lane = row % MATRIX_PANEL;
    if (m->scales) {
        row_coded(&panel, lane, out);
        return;
    }
    const size_t item = dtype_bytes(m->dtype), stride = MATRIX_PANEL * item;
    const char *from = (const char *)panel.panels + (size_t)lane * item;
    for (int k = 0; k < m->n_in; k++) dtype_to_f32(out + k, from + (size_t)k * stride, m->dtype, 1);
}
