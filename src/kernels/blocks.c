/* blocks.c - weights coded in blocks, as GGUF files hold them, widened to f32.
 *
 * A block is a run of elements of one row with common scales; d, m and dmin are F16, little-endian; q are
 * small integers. All is packed without padding.
 *
 *     type   elements  bytes
 *     Q8_0         32  d, q[32] signed                         d q
 *     Q4_0         32  d, low/high                             d (q - 8)
 *     Q4_1         32  d, m, low/high                          d q + m
 *     Q5_0         32  d, fifth[4], low/high                   d (q - 16)
 *     Q5_1         32  d, m, fifth[4], low/high                d q + m
 *     Q4_K        256  d, dmin, scales[12], low/high[128]      (d s) q - (dmin o)
 *     Q5_K        256  d, dmin, scales[12], fifth[32], ...     the same
 *     Q6_K        256  low[128], top[64], s[16] signed, d      (d s) (q - 32)
 *
 * low/high[16]: byte i holds the four low bits of element i (low half) and of element i + 16 (high half); bit
 * i of `fifth` is the fifth bit of element i. The K types have sub-blocks of 32 (Q6_K: 16) elements with
 * 6-bit (8-bit) scales s and offsets o of their own. Products are rounded to f32 in the order of the
 * brackets.
 */
#include "kernels/kernels.h"
#include "kernels/kernels_math.h"

static float read_f16(const unsigned char *from) {
    return math_from_f16((uint16_t)(from[0] | from[1] << 8));
}

/* ---- blocks of 32 ---- */

static void q8_0(struct blocks_codes *out, const unsigned char *b) {
    out->scales[0] = read_f16(b);
    for (int i = 0; i < 32; i++) out->codes[i] = (unsigned char)(b[2 + i] ^ 0x80); /* signed, plus 128 */
}

static void low_high(unsigned char *codes, const unsigned char *halves) {
    for (int i = 0; i < 16; i++) {
        codes[i] = halves[i] & 15;
        codes[i + 16] = halves[i] >> 4;
    }
}

static void q4_0(struct blocks_codes *out, const unsigned char *b) {
    out->scales[0] = read_f16(b);
    low_high(out->codes, b + 2);
}

static void q4_1(struct blocks_codes *out, const unsigned char *b) {
    out->scales[0] = read_f16(b);
    out->mins[0] = read_f16(b + 2);
    low_high(out->codes, b + 4);
}

static void add_fifth(unsigned char *codes, const unsigned char *fifth) {
    for (int i = 0; i < 32; i++) codes[i] |= (unsigned char)((fifth[i / 8] >> (i % 8) & 1) << 4);
}

static void q5_0(struct blocks_codes *out, const unsigned char *b) {
    out->scales[0] = read_f16(b);
    low_high(out->codes, b + 6);
    add_fifth(out->codes, b + 2);
}

static void q5_1(struct blocks_codes *out, const unsigned char *b) {
    out->scales[0] = read_f16(b);
    out->mins[0] = read_f16(b + 2);
    low_high(out->codes, b + 8);
    add_fifth(out->codes, b + 4);
}

/* ---- blocks of 256 ---- */

/* Scale and offset of sub-block i of 8, 6 bits each, from 12 bytes: the last four have their two top bits in
 * the first eight bytes. */
static void sub_scales(const unsigned char *q, int i, int *scale, int *offset) {
    if (i < 4) {
        *scale = q[i] & 63;
        *offset = q[i + 4] & 63;
    } else {
        *scale = (q[i + 4] & 15) | q[i - 4] >> 6 << 4;
        *offset = q[i + 4] >> 4 | q[i] >> 6 << 4;
    }
}

/* fifth: NULL for Q4_K. */
static void q45_k(struct blocks_codes *out, const unsigned char *b, const unsigned char *fifth,
                  const unsigned char *halves) {
    const float d = read_f16(b), dmin = read_f16(b + 2);
    for (int i = 0; i < 8; i++) {
        int scale, offset, shift = i % 2 * 4;
        sub_scales(b + 4, i, &scale, &offset);
        out->scales[i] = d * (float)scale;
        out->mins[i] = -(dmin * (float)offset);
        const unsigned char *from = halves + i / 2 * 32;
        for (int k = 0; k < 32; k++) {
            int q = from[k] >> shift & 15;
            if (fifth) q |= (fifth[k] >> i & 1) << 4;
            out->codes[i * 32 + k] = (unsigned char)q;
        }
    }
}

static void q4_k(struct blocks_codes *out, const unsigned char *b) {
    q45_k(out, b, NULL, b + 16);
}

static void q5_k(struct blocks_codes *out, const unsigned char *b) {
    q45_k(out, b, b + 16, b + 48);
}

/* Two halves of 128; in each, element 32 j + k has its low bits in low[32 (j % 2) + k], low half for j < 2,
 * and its top bits at 2 j of top[k]. */
static void q6_k(struct blocks_codes *out, const unsigned char *b) {
    const float d = read_f16(b + 208);
    for (int i = 0; i < 16; i++) out->scales[i] = d * (float)(int8_t)b[192 + i];
    for (int half = 0; half < 2; half++) {
        const unsigned char *low = b + half * 64, *top = b + 128 + half * 32;
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 32; k++)
                out->codes[half * 128 + j * 32 + k] =
                    (unsigned char)((low[j % 2 * 32 + k] >> (j / 2 * 4) & 15) | (top[k] >> (2 * j) & 3) << 4);
    }
}

/* ---- the table ---- */

typedef void read_block(struct blocks_codes *out, const unsigned char *block);

static const struct {
    read_block *read;
    int scales[2]; /* where the F16 scales stand; -1: none */
    struct coding coding;
} layouts[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = {q8_0, {0, -1}, {8, 128, 1, false, false}},
    [DTYPE_Q4_0] = {q4_0, {0, -1}, {4, 8, 1, false, false}},
    [DTYPE_Q4_1] = {q4_1, {0, 2}, {4, 0, 1, true, true}},
    [DTYPE_Q5_0] = {q5_0, {0, -1}, {8, 16, 1, false, false}},
    [DTYPE_Q5_1] = {q5_1, {0, 2}, {8, 0, 1, true, true}},
    [DTYPE_Q4_K] = {q4_k, {0, 2}, {4, 0, 1, true, true}},
    [DTYPE_Q5_K] = {q5_k, {0, 2}, {8, 0, 1, true, true}},
    [DTYPE_Q6_K] = {q6_k, {208, -1}, {8, 32, 2, true, false}},
};

const struct coding *dtype_coding(enum dtype t) {
    return layouts[t].read ? &layouts[t].coding : NULL;
}

void blocks_read(struct blocks_codes *out, const void *block, enum dtype t) {
    layouts[t].read(out, block);
}

static void widen(float *out, const struct blocks_codes *b, const struct coding *c, size_t n) {
    const size_t n_each = CODED_BLOCK / (size_t)c->n_scales;
    for (size_t k = 0; k < n; k++) {
        out[k] = b->scales[k / n_each] * (float)(b->codes[k] - c->bias);
        if (c->has_min) out[k] += b->mins[k / CODED_BLOCK];
    }
}

void blocks_to_f32(float *out, const void *in, enum dtype t, size_t n) {
    const unsigned char *from = in;
    const size_t n_block = (size_t)dtype_block(t), n_bytes = dtype_block_bytes(t);
    ASSERT(n % n_block == 0);
    struct blocks_codes b;
    for (size_t i = 0; i < n; i += n_block, from += n_bytes) {
        layouts[t].read(&b, from);
        widen(out + i, &b, &layouts[t].coding, n_block);
    }
}

bool blocks_are_finite(const void *in, enum dtype t, size_t n) {
    const unsigned char *from = in;
    size_t n_block = (size_t)dtype_block(t), n_bytes = dtype_block_bytes(t);
    const int *scales = layouts[t].scales;
    unsigned most = 0;
    ASSERT(n % n_block == 0);
    for (size_t i = 0; i < n; i += n_block, from += n_bytes) {
        for (int k = 0; k < 2 && scales[k] >= 0; k++) {
            unsigned top = from[scales[k] + 1] & 0x7Fu;
            most = top > most ? top : most;
        }
    }
    return most < 0x7C;
}
