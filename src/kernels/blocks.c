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

static void q8_0(float *out, const unsigned char *b) {
    const float d = read_f16(b);
    for (int i = 0; i < 32; i++) out[i] = d * (float)(int8_t)b[2 + i];
}

static void q4(float *out, const unsigned char *halves, float d, int bias, float m) {
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((halves[i] & 15) - bias) + m;
        out[i + 16] = d * (float)((halves[i] >> 4) - bias) + m;
    }
}

static void q4_0(float *out, const unsigned char *b) {
    q4(out, b + 2, read_f16(b), 8, 0);
}

static void q4_1(float *out, const unsigned char *b) {
    q4(out, b + 4, read_f16(b), 0, read_f16(b + 2));
}

static void q5(float *out, const unsigned char *fifth, float d, int bias, float m) {
    const unsigned char *halves = fifth + 4;
    for (int i = 0; i < 16; i++) {
        int low = (fifth[i / 8] >> (i % 8) & 1) << 4, high = (fifth[2 + i / 8] >> (i % 8) & 1) << 4;
        out[i] = d * (float)(((halves[i] & 15) | low) - bias) + m;
        out[i + 16] = d * (float)(((halves[i] >> 4) | high) - bias) + m;
    }
}

static void q5_0(float *out, const unsigned char *b) {
    q5(out, b + 2, read_f16(b), 16, 0);
}

static void q5_1(float *out, const unsigned char *b) {
    q5(out, b + 4, read_f16(b), 0, read_f16(b + 2));
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
static void q45_k(float *out, const unsigned char *b, const unsigned char *fifth,
                  const unsigned char *halves) {
    const float d = read_f16(b), dmin = read_f16(b + 2);
    for (int i = 0; i < 8; i++) {
        int scale, offset, shift = i % 2 * 4;
        sub_scales(b + 4, i, &scale, &offset);
        const float each = d * (float)scale, least = dmin * (float)offset;
        const unsigned char *from = halves + i / 2 * 32;
        for (int k = 0; k < 32; k++) {
            int q = from[k] >> shift & 15;
            if (fifth) q |= (fifth[k] >> i & 1) << 4;
            out[i * 32 + k] = each * (float)q - least;
        }
    }
}

static void q4_k(float *out, const unsigned char *b) {
    q45_k(out, b, NULL, b + 16);
}

static void q5_k(float *out, const unsigned char *b) {
    q45_k(out, b, b + 16, b + 48);
}

/* Two halves of 128; in each, element 32 j + k has its low bits in low[32 (j % 2) + k], low half for j < 2,
 * and its top bits at 2 j of top[k]. */
static void q6_k(float *out, const unsigned char *b) {
    const float d = read_f16(b + 208);
    for (int half = 0; half < 2; half++) {
        const unsigned char *low = b + half * 64, *top = b + 128 + half * 32, *scales = b + 192 + half * 8;
        for (int j = 0; j < 4; j++) {
            for (int k = 0; k < 32; k++) {
                const float each = d * (float)(int8_t)scales[j * 2 + k / 16];
                int q = (low[j % 2 * 32 + k] >> (j / 2 * 4) & 15) | (top[k] >> (2 * j) & 3) << 4;
                out[half * 128 + j * 32 + k] = each * (float)(q - 32);
            }
        }
    }
}

/* ---- the table ---- */

typedef void widen_block(float *out, const unsigned char *block);

static const struct {
    widen_block *widen;
    int scales[2]; /* where the F16 scales stand; -1: none */
} layouts[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = {q8_0, {0, -1}}, [DTYPE_Q4_0] = {q4_0, {0, -1}},   [DTYPE_Q4_1] = {q4_1, {0, 2}},
    [DTYPE_Q5_0] = {q5_0, {0, -1}}, [DTYPE_Q5_1] = {q5_1, {0, 2}},    [DTYPE_Q4_K] = {q4_k, {0, 2}},
    [DTYPE_Q5_K] = {q5_k, {0, 2}},  [DTYPE_Q6_K] = {q6_k, {208, -1}},
};

void blocks_to_f32(float *out, const void *in, enum dtype t, size_t n) {
    const unsigned char *from = in;
    size_t n_block = (size_t)dtype_block(t), n_bytes = dtype_block_bytes(t);
    ASSERT(n % n_block == 0);
    for (size_t i = 0; i < n; i += n_block, from += n_bytes) layouts[t].widen(out + i, from);
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
