/* kernels_coded.h - products with coded weights, written once for any vector width. Included at the end of a
 * kernels_coded_<isa>.c that defines
 *
 *     VEC, LANES              vectors of LANES floats and 32-bit integers; LANES divides 16
 *     vec_... as in kernels_simd.h, and vec_from_int(i)
 *     CODES, codes_8(p, j), codes_4(p, j)   the codes of LANES outputs, inputs [4 j, 4 j + 4) of a block as
 *                             the multiply-add wants them
 *     ACC, acc_begin(start), acc_add(acc, codes, inputs), acc_end(acc, start)   sums of LANES outputs
 *     INPUT, input_most, input_round, INPUTS, inputs_at(q)   rounded inputs
 *     TILE_ROWS, TILE_VECS    the tallest and the widest tile, in vectors
 *     GROUP_VECS              vectors whose codes of a slice are multiplied together where rows are many
 *     CODED_ROUND, CODED_FUNCTION           the names of the two functions
 *     CODES_LESS              what codes_8 takes off a code; 0 if not defined
 *     THIN_VECS               the same where there is one tile of rows; TILE_VECS if not defined
 *     FETCH_ROWS              tiles of so many rows and more fetch what comes next; 1 if not defined
 *     SLICE_BLOCKS            blocks of a slice at most; 32 if not defined
 *     READY_FROM              so many tiles of rows, or more, have a slice's codes made ready for them once;
 *                             never if not defined. With it: ready_codes(p, j), ready_load(p), READY_TILES,
 *                             ready_add(acc, codes, inputs), whose sums hold what inputs alone and codes
 *                             alone add, too: input_own(q, i_scale, n_scales), ready_own(acc, codes);
 *                             acc_zero(), acc_less(acc, b)
 *
 * A tile is rows x vectors of outputs. For each block of 32 inputs the integers are summed in registers, from
 * -bias * sum_q on, so codes stay as they are; then two float operations add the block to the sums, which
 * stay in registers for a slice of the inputs and are parked in y between slices.
 *
 * Rounded inputs lie in the order in which tiles read them, one slice after the other, in it one tile after
 * the other, in it block after block:
 *
 *     q [rows][32] INPUT     scale [rows]     -bias * sum_q [scales a block][rows]
 *     with mins: sum_q * scale [rows]
 *
 * so that a tile reads one stream, at distances known when it is compiled.
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "kernels/kernels_loops.h"
#include "kernels/kernels_math.h"

#if !defined(CODES_LESS)
#define CODES_LESS 0
#endif
#if !defined(FETCH_ROWS)
#define FETCH_ROWS 1
#endif
#if !defined(THIN_VECS)
#define THIN_VECS TILE_VECS
#endif
#if !defined(SLICE_BLOCKS)
#define SLICE_BLOCKS 32 /* a slice of a tile's codes stays in the first-level cache while rows pass */
#endif

#if defined(READY_FROM)
enum { IS_READY_FROM = READY_FROM };
#else
enum { IS_READY_FROM = INT_MAX };
#define input_own(q, s, n_scales) 0
#endif

/* ---- inputs ---- */

/* How rows are dealt to tiles, evenly, the taller ones first, and blocks to slices. */
struct coded_shape {
    int n_rows, n_blocks, n_slice, n_tiles, n_each, n_taller;
    size_t row_bytes; /* of a block of a row */
    bool is_ready;
};

static struct coded_shape shape_of(int n_rows, int n_in, const struct coding *c) {
    const int n_blocks = n_in / CODED_BLOCK, n_tiles = (n_rows + TILE_ROWS - 1) / TILE_ROWS,
              n_slices = n_tiles > 1 ? (n_blocks + SLICE_BLOCKS - 1) / SLICE_BLOCKS : 1;
    return (struct coded_shape){
        .n_rows = n_rows,
        .n_blocks = n_blocks,
        .n_slice = (n_blocks + n_slices - 1) / n_slices,
        .n_tiles = n_tiles,
        .n_each = n_rows / n_tiles,
        .n_taller = n_rows % n_tiles,
        .is_ready = n_tiles >= IS_READY_FROM,
        .row_bytes = CODED_BLOCK * sizeof(INPUT) + (size_t)(1 + c->n_scales + c->has_min) * 4,
    };
}

/* A row's tile: its first row, and how many it has. */
struct coded_place {
    int first, n;
};

static struct coded_place place_of(const struct coded_shape *s, int row) {
    const int n_tall = s->n_taller * (s->n_each + 1);
    if (row < n_tall) return (struct coded_place){row - row % (s->n_each + 1), s->n_each + 1};
    return (struct coded_place){row - (row - n_tall) % s->n_each, s->n_each};
}

/* One block of row i of n of a tile. */
static void round_block(char *at, int i, int n, bool is_ready, const float *x, const struct coding *c) {
    const int bias = c->bias - (c->bits == 8 ? CODES_LESS : 0);
    const float most = input_most(x);
    const bool usable = most >= MATH_CODED_LEAST && most < INFINITY;
    INPUT *q = (INPUT *)(void *)at + i * CODED_BLOCK;
    float *scale = (float *)(void *)(at + (size_t)(n * CODED_BLOCK) * sizeof(INPUT)) + i;
    int32_t *start = (int32_t *)(void *)(scale + n);
    int sums[2];
    input_round(q, x, usable ? 127.0f / most : 0, usable, sums);
    *scale = usable ? most / 127.0f : most;
    if (c->n_scales == 1)
        start[0] = -bias * (sums[0] + sums[1]);
    else
        for (int s = 0; s < 2; s++) start[s * n] = -bias * sums[s];
    for (int s = 0; is_ready && s < c->n_scales; s++) start[s * n] -= input_own(q, s, c->n_scales);
    if (c->has_min) scale[(1 + c->n_scales) * n] = *scale * (float)(sums[0] + sums[1]);
}

void CODED_ROUND(void *rounded, int n_rows, int n_in, enum dtype t, const float *x, size_t x_stride, int row,
                 int row_end, int block_first, int block_end) {
    const struct coding *c = dtype_coding(t);
    const struct coded_shape s = shape_of(n_rows, n_in, c);
    for (; row < row_end; row++) {
        const struct coded_place tile = place_of(&s, row);
        const float *from = x + (size_t)row * x_stride;
        for (int b = block_first, n; b < block_end; b += n) { /* slice by slice */
            const int slice = b / s.n_slice * s.n_slice, n_slice = MIN(s.n_slice, s.n_blocks - slice);
            const size_t i = (size_t)slice * (size_t)n_rows + (size_t)tile.first * (size_t)n_slice +
                             (size_t)(b - slice) * (size_t)tile.n;
            char *at = (char *)rounded + i * s.row_bytes;
            n = MIN(slice + n_slice, block_end) - b;
            for (int j = 0; j < n; j++, at += (size_t)tile.n * s.row_bytes)
                round_block(at, row - tile.first, tile.n, s.is_ready, from + (b + j) * CODED_BLOCK, c);
        }
    }
}

/* ---- tiles ---- */

/* LANES outputs: where their codes, scales and mins of the first block lie. */
struct coded_outputs {
    const unsigned char *codes;
    const char *scales;
    const float *mins;
};

ALWAYS_INLINE VEC scales_at(const struct coded_outputs *o, bool wide, int i) {
    if (wide) return vec_load((const float *)(const void *)o->scales + i * MATRIX_PANEL);
    return vec_from_f16((const uint16_t *)(const void *)o->scales + i * MATRIX_PANEL);
}

/* What is brought into the cache while a tile is multiplied: n_lines lines of each stream with every block.
 */
struct coded_fetch {
    struct {
        const unsigned char *at;
        int n_lines;
    } streams[TILE_VECS];
    int n_streams;
};

ALWAYS_INLINE void fetch_ahead(const struct coded_fetch *f, int i) {
    for (int v = 0; v < f->n_streams; v++) {
        const int n_lines = f->streams[v].n_lines;
        const unsigned char *at = f->streams[v].at + (size_t)(i * n_lines) * 64;
        for (int l = 0; l < n_lines; l++) __builtin_prefetch(at + (size_t)l * 64);
    }
}

/* ---- codes made ready ---- */

/* Of a block: the codes, in the order in which tiles read them; to each scale what codes alone add, and the
 * scale in F32. */
struct ready {
    CODES codes[8][GROUP_VECS];
    ACC own[2][GROUP_VECS];
    VEC scales[2][GROUP_VECS];
};

#if defined(READY_FROM)
ALWAYS_INLINE void make_ready_as(int n_scales, struct ready *ready, const struct coded_outputs *outputs,
                                 const struct coding *c, int first, int n_blocks) {
    const size_t block_bytes = (size_t)(MATRIX_PANEL * CODED_BLOCK / 8 * c->bits);
    const int n_groups = 8 / n_scales;
    for (int b = first; b < first + n_blocks; b++, ready++) {
        EACH(s, n_scales) {
            ACC own[GROUP_VECS];
            EACH(v, GROUP_VECS) own[v] = acc_zero();
            EACH(i, n_groups) EACH(v, GROUP_VECS) {
                const CODES codes = ready_codes(outputs[v].codes + (size_t)b * block_bytes, s * n_groups + i);
                own[v] = ready_own(own[v], codes);
                ready->codes[s * n_groups + i][v] = codes;
            }
            EACH(v, GROUP_VECS) ready->own[s][v] = own[v];
            EACH(v, GROUP_VECS) ready->scales[s][v] = scales_at(&outputs[v], c->wide, b * n_scales + s);
        }
    }
}

static void make_ready(struct ready *ready, const struct coded_outputs *outputs, const struct coding *c,
                       int first, int n_blocks) {
    if (c->n_scales == 1)
        make_ready_as(1, ready, outputs, c, first, n_blocks);
    else
        make_ready_as(2, ready, outputs, c, first, n_blocks);
}
#else
#define ready_load(codes)         (*(codes))
#define ready_add(acc, codes, in) acc_add(acc, codes, in)
#define acc_less(acc, own)        (acc)
#endif

/* ---- a tile ---- */

ALWAYS_INLINE size_t output_at(int v, size_t panel_stride) {
    return (size_t)(v * LANES / MATRIX_PANEL) * panel_stride + (size_t)(v * LANES % MATRIX_PANEL);
}

/* n_blocks blocks from block `first` on, with rounded inputs x. Of one row, the panels' outputs are y_stride
 * apart. is_ready: codes and scales are those of make_ready. */
ALWAYS_INLINE void coded_tile(int bits, int n_scales, bool wide, bool has_min, int n_rows, int n_vecs,
                              bool is_ready, float *y, size_t y_stride, const char *x,
                              const struct coded_outputs *outputs, const struct ready *ready,
                              const struct coded_fetch *fetch, int first, int n_blocks) {
    const size_t block_bytes = (size_t)(MATRIX_PANEL * CODED_BLOCK / 8 * bits),
                 q_bytes = (size_t)(n_rows * CODED_BLOCK) * sizeof(INPUT);
    const int n_groups = 8 / n_scales; /* of four inputs, to a scale */
    const size_t row_stride = n_rows > 1 ? y_stride : 0, panel_stride = n_rows > 1 ? MATRIX_PANEL : y_stride;
    VEC sum[TILE_ROWS][TILE_VECS];
    EACH(r, n_rows)
    EACH(v, n_vecs)
    sum[r][v] = first ? vec_load(y + (size_t)r * row_stride + output_at(v, panel_stride)) : vec_set1(0);
    for (int b = first; b < first + n_blocks; b++) {
        const INPUT *q = (const INPUT *)(const void *)x;
        const float *scales = (const float *)(const void *)(x + q_bytes),
                    *sums = scales + (1 + n_scales) * n_rows;
        const int32_t *starts = (const int32_t *)(const void *)(scales + n_rows);
        fetch_ahead(fetch, b - first);
        EACH(s, n_scales) {
            ACC acc[TILE_ROWS][TILE_VECS];
            EACH(r, n_rows) EACH(v, n_vecs) {
                const ACC start = acc_begin(starts + s * n_rows + r);
                acc[r][v] = is_ready ? acc_less(start, ready->own[s][v]) : start;
            }
            EACH(i, n_groups) {
                const int j = s * n_groups + i;
                CODES codes[TILE_VECS];
                EACH(v, n_vecs) {
                    const unsigned char *at = outputs[v].codes + (size_t)b * block_bytes;
                    codes[v] = is_ready    ? ready_load(&ready->codes[j][v])
                               : bits == 8 ? codes_8(at, j)
                                           : codes_4(at, j);
                }
                EACH(r, n_rows) {
                    const INPUTS in = inputs_at(q + r * CODED_BLOCK + 4 * j);
                    EACH(v, n_vecs)
                    acc[r][v] =
                        is_ready ? ready_add(acc[r][v], codes[v], in) : acc_add(acc[r][v], codes[v], in);
                }
            }
            EACH(v, n_vecs) {
                const VEC scale =
                    is_ready ? ready->scales[s][v] : scales_at(&outputs[v], wide, b * n_scales + s);
                EACH(r, n_rows) {
                    const VEC both = scale * vec_broadcast(scales + r);
                    const VEC whole = vec_from_int(acc_end(acc[r][v], starts + s * n_rows + r));
                    sum[r][v] = vec_fma(whole, both, sum[r][v]);
                }
            }
        }
        if (has_min) EACH(v, n_vecs) {
                const VEC min = vec_load(outputs[v].mins + b * MATRIX_PANEL);
                EACH(r, n_rows) sum[r][v] = vec_fma(min, vec_broadcast(sums + r), sum[r][v]);
            }
        x += q_bytes + (size_t)(n_rows * (1 + n_scales + has_min)) * 4;
        if (is_ready) ready++;
    }
    EACH(r, n_rows)
    EACH(v, n_vecs) vec_store(y + (size_t)r * row_stride + output_at(v, panel_stride), sum[r][v]);
}

typedef void tile_function(float *y, size_t y_stride, const char *x, const struct coded_outputs *outputs,
                           const struct ready *ready, const struct coded_fetch *fetch, int first,
                           int n_blocks);

/* Kinds of coding: name, bits, scales a block, F32 scales, mins. */
#define KIND_BYTES(X, rows, vecs)                                                                            \
    X(bytes, 8, 1, false, false, rows, vecs)                                                                 \
    X(bytes_min, 8, 1, true, true, rows, vecs)                                                               \
    X(bytes_two, 8, 2, true, false, rows, vecs)
#define KIND_HALVES(X, rows, vecs)                                                                           \
    X(halves, 4, 1, false, false, rows, vecs)                                                                \
    X(halves_min, 4, 1, true, true, rows, vecs)
enum kind { KIND_bytes, KIND_bytes_min, KIND_bytes_two, KIND_halves, KIND_halves_min, KINDS_COUNT };

#define TILE_DEFINE_AS(name, bits, n_scales, wide, min, rows, vecs, is_ready)                                \
    static void name(float *y, size_t y_stride, const char *x, const struct coded_outputs *outputs,          \
                     const struct ready *ready, const struct coded_fetch *fetch, int first, int n_blocks) {  \
        coded_tile(bits, n_scales, wide, min, rows, vecs, is_ready, y, y_stride, x, outputs, ready, fetch,   \
                   first, n_blocks);                                                                         \
    }
#define TILE_DEFINE(kind, bits, n_scales, wide, min, rows, vecs)                                             \
    TILE_DEFINE_AS(tile_##kind##_##rows##x##vecs, bits, n_scales, wide, min, rows, vecs, false)
#define TILE_ENTRY(kind, bits, n_scales, wide, min, rows, vecs)                                              \
    [KIND_##kind][rows][vecs] = tile_##kind##_##rows##x##vecs,
#define KINDS_DEFINE(rows, vecs) KINDS(TILE_DEFINE, rows, vecs)
#define KINDS_ENTRY(rows, vecs)  KINDS(TILE_ENTRY, rows, vecs)
TILES(KINDS_DEFINE)
static tile_function *const tiles[KINDS_COUNT][TILE_ROWS + 1][TILE_VECS + 1] = {TILES(KINDS_ENTRY)};

#if defined(READY_FROM)
#define READY_DEFINE(kind, bits, n_scales, wide, min, rows, vecs)                                            \
    TILE_DEFINE_AS(ready_##kind##_##rows##x##vecs, bits, n_scales, wide, min, rows, vecs, true)
#define READY_ENTRY(kind, bits, n_scales, wide, min, rows, vecs)                                             \
    [KIND_##kind][rows][vecs] = ready_##kind##_##rows##x##vecs,
#define READY_KINDS_DEFINE(rows, vecs) KINDS(READY_DEFINE, rows, vecs)
#define READY_KINDS_ENTRY(rows, vecs)  KINDS(READY_ENTRY, rows, vecs)
READY_TILES(READY_KINDS_DEFINE)
static tile_function *const ready_tiles[KINDS_COUNT][TILE_ROWS + 1][TILE_VECS + 1] = {
    READY_TILES(READY_KINDS_ENTRY)};
#endif

static enum kind kind_of(const struct coding *c) {
    if (c->n_scales == 2) return KIND_bytes_two;
    if (c->has_min) return c->bits == 8 ? KIND_bytes_min : KIND_halves_min;
    return c->bits == 8 ? KIND_bytes : KIND_halves;
}

/* ---- the whole ---- */

/* The outputs of vector v of a matrix, counted from its first panel. */
static struct coded_outputs outputs_at(const struct matrix *w, int v) {
    const struct coding *c = dtype_coding(w->dtype);
    const int lane = v * LANES % MATRIX_PANEL;
    const struct matrix panel = matrix_panel(w, v * LANES / MATRIX_PANEL);
    return (struct coded_outputs){
        .codes = (const unsigned char *)panel.panels + (size_t)lane * 4,
        .scales = (const char *)panel.scales + (size_t)lane * (c->wide ? sizeof(float) : sizeof(uint16_t)),
        .mins = panel.mins ? panel.mins + lane : NULL,
    };
}

/* A product that runs: the outputs of one group of panels, and of the one that comes after it. */
struct coded_run {
    struct coded_shape shape;
    tile_function *const (*tile)[TILE_VECS + 1];
    const char *x; /* of the slice */
    struct coded_outputs outputs[TILE_VECS], next[TILE_VECS];
    int n, n_next;                    /* vectors; n_next is 0 at the end */
    int block, n_blocks;              /* of the slice */
    size_t block_bytes, scales_bytes; /* of a block */
};

/* The codes that the next slice wants, in pieces of a line for each block that is multiplied. */
struct coded_ahead {
    const struct coded_outputs *outputs;
    int first, n_blocks;           /* of the next slice */
    int n_lines, n_pieces, n_each; /* pieces of a panel, of all, of one call of a tile */
};

static struct coded_ahead ahead_of(const struct coded_run *r, int n_calls) {
    const int end = r->block + r->n_blocks;
    const bool more = end < r->shape.n_blocks;
    struct coded_ahead a = {.outputs = more ? r->outputs : r->next, .first = more ? end : 0};
    a.n_blocks = MIN(r->shape.n_slice, r->shape.n_blocks - a.first);
    a.n_lines = (int)(r->block_bytes / 64);
    if (r->shape.n_rows >= FETCH_ROWS)
        a.n_pieces = (more ? r->n : r->n_next) / (MATRIX_PANEL / LANES) * a.n_lines;
    a.n_each = (a.n_pieces + n_calls - 1) / n_calls;
    return a;
}

/* In place: a copy in wider pieces than were written would wait for the writes. */
static inline void fetch_of(struct coded_fetch *f, const struct coded_ahead *a, size_t block_bytes,
                            int call) {
    f->n_streams = 0;
    for (int i = call * a->n_each, n, end = MIN(i + a->n_each, a->n_pieces); i < end; i += n) {
        const int panel = i / a->n_lines;
        n = MIN(end, (panel + 1) * a->n_lines) - i;
        f->streams[f->n_streams].n_lines = n;
        f->streams[f->n_streams++].at = a->outputs[panel * (MATRIX_PANEL / LANES)].codes +
                                        (size_t)a->first * block_bytes +
                                        (size_t)((i - panel * a->n_lines) * a->n_blocks) * 64;
    }
}

/* Inlined: compilers take a function that only fetches for one that does nothing. */
ALWAYS_INLINE void fetch_range(const void *from, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes; i += 64) __builtin_prefetch((const char *)from + i);
}

/* Scales and mins that the next slice wants: few, but each would be waited for. */
ALWAYS_INLINE void fetch_scales(const struct coded_run *r, const struct coded_ahead *a) {
    const size_t first = (size_t)a->first, n = (size_t)a->n_blocks;
    for (int v = 0; v < a->n_pieces / a->n_lines * (MATRIX_PANEL / LANES); v += MATRIX_PANEL / LANES) {
        fetch_range(a->outputs[v].scales + first * r->scales_bytes, n * r->scales_bytes);
        if (a->outputs[v].mins)
            fetch_range(a->outputs[v].mins + first * MATRIX_PANEL, n * MATRIX_PANEL * sizeof(float));
    }
}

/* Where the next tile will write. */
ALWAYS_INLINE void fetch_sums(const float *y, size_t y_stride, int n_rows, int n_vecs) {
    for (int row = 0; row < n_rows; row++)
        for (int v = 0; v < n_vecs; v += MATRIX_PANEL / LANES)
            __builtin_prefetch(y + (size_t)row * y_stride + v * LANES, 1);
}

/* A slice against all rows: it stays in the first-level cache from one tile to the next, while the tiles
 * bring in what comes after it. */
static void run_slice(struct coded_run *r, float *y, size_t y_stride, const struct ready *ready) {
    const struct coded_shape *s = &r->shape;
    const float *first_y = y;
    int widest = r->n, call = 0;
    while (!r->tile[s->n_each + (s->n_taller > 0)][widest]) widest--;
    const struct coded_ahead ahead = ahead_of(r, s->n_tiles * ((r->n + widest - 1) / widest));
    fetch_scales(r, &ahead);
    struct coded_fetch fetch;
    for (int i = 0; i < s->n_tiles; i++) {
        const int n = s->n_each + (i < s->n_taller);
        const bool is_last = i + 1 == s->n_tiles;
        if (!is_last || r->n_next > 0)
            fetch_sums(is_last ? first_y + r->n * LANES : y + (size_t)n * y_stride, y_stride, n, r->n);
        for (int v = 0, width; v < r->n; v += width) {
            width = MIN(widest, r->n - v);
            while (!r->tile[n][width]) width--;
            fetch_of(&fetch, &ahead, r->block_bytes, call++);
            r->tile[n][width](y + v * LANES, n > 1 ? y_stride : MATRIX_PANEL, r->x, r->outputs + v, ready,
                              &fetch, r->block, r->n_blocks);
        }
        r->x += (size_t)(n * r->n_blocks) * s->row_bytes;
        y += (size_t)n * y_stride;
    }
}

/* One row uses each weight once. The widest tile reads several streams of panels, each as long as it can be,
 * so that the processor foresees them. Returns how many panels are done. */
static int run_streams(float *y, const void *x, const struct matrix *w, int panel, int n_panels) {
    enum { N_STREAMS = TILE_VECS * LANES / MATRIX_PANEL, PANEL_VECS = MATRIX_PANEL / LANES };
    const struct coded_fetch nothing = {.n_streams = 0};
    const int n_each = n_panels / N_STREAMS;
    tile_function *const tile = tiles[kind_of(dtype_coding(w->dtype))][1][TILE_VECS];
    if (FETCH_ROWS <= 1 || !tile) return 0;
    struct coded_outputs outputs[TILE_VECS];
    for (int v = 0; v < TILE_VECS; v++)
        outputs[v] = outputs_at(w, (panel + v / PANEL_VECS * n_each) * PANEL_VECS + v % PANEL_VECS);
    const struct coded_outputs one = outputs_at(w, 0), two = outputs_at(w, PANEL_VECS); /* a panel later */
    for (int i = 0; i < n_each; i++, panel++) {
        tile(y + (size_t)panel * MATRIX_PANEL, (size_t)n_each * MATRIX_PANEL, x, outputs, NULL, &nothing, 0,
             w->n_in / CODED_BLOCK);
        for (int v = 0; v < TILE_VECS; v++) {
            outputs[v].codes += two.codes - one.codes;
            outputs[v].scales += two.scales - one.scales;
            if (one.mins) outputs[v].mins += two.mins - one.mins;
        }
    }
    return n_each * N_STREAMS;
}

void CODED_FUNCTION(float *y, size_t y_stride, const void *rounded, int n_rows, const struct matrix *w,
                    int panel_first, int panel_end) {
    if (n_rows == 0) return;
    if (n_rows == 1) panel_first += run_streams(y, rounded, w, panel_first, panel_end - panel_first);
    if (panel_first == panel_end) return;
    const struct coding *c = dtype_coding(w->dtype);
    const int v_end = panel_end * (MATRIX_PANEL / LANES),
              n_group = n_rows > TILE_ROWS ? GROUP_VECS : THIN_VECS;
    struct coded_run r = {.shape = shape_of(n_rows, w->n_in, c), .tile = tiles[kind_of(c)]};
#if defined(READY_FROM)
    struct ready ready[SLICE_BLOCKS];
    if (r.shape.is_ready) r.tile = ready_tiles[kind_of(c)];
#else
    const struct ready *const ready = NULL;
#endif
    r.block_bytes = (size_t)(MATRIX_PANEL * CODED_BLOCK / 8 * c->bits);
    r.scales_bytes = (size_t)(MATRIX_PANEL * c->n_scales) * (c->wide ? sizeof(float) : sizeof(uint16_t));
    int v = panel_first * (MATRIX_PANEL / LANES);
    r.n_next = MIN(n_group, v_end - v);
    for (int i = 0; i < r.n_next; i++) r.next[i] = outputs_at(w, v + i);
    for (; v < v_end; v += r.n) {
        r.n = r.n_next;
        memcpy(r.outputs, r.next, sizeof r.outputs);
        r.n_next = MIN(n_group, v_end - v - r.n);
        for (int i = 0; i < r.n_next; i++) r.next[i] = outputs_at(w, v + r.n + i);
        r.x = rounded;
        for (r.block = 0; r.block < r.shape.n_blocks; r.block += r.n_blocks) {
            r.n_blocks = MIN(r.shape.n_slice, r.shape.n_blocks - r.block);
#if defined(READY_FROM)
            if (r.shape.is_ready) make_ready(ready, r.outputs, c, r.block, r.n_blocks);
#endif
            run_slice(&r, y + (size_t)v * LANES, y_stride, ready);
        }
    }
}
