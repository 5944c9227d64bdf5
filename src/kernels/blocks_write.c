/* blocks_write.c - numbers into the blocks that blocks.c reads, by GGUF's reference rule: one pass, no search
 * for better scales.
 *
 *     Q8_0        scale = largest magnitude / 127; the nearest integer, halves away from zero
 *     Q4_0, Q5_0  the element of largest magnitude (the first of equals) becomes -8 (-16), so the scale has
 *                 the other sign of it; up to 7 (15)
 *     Q4_1, Q5_1  from the least to the largest in 15 (31) parts
 *
 * Integers come from the scale in f32, which is stored as F16; a scale of zero gives the integer of zero.
 */
#include <math.h>

#include "kernels/kernels.h"
#include "kernels/kernels_math.h"

static unsigned char *write_f16(unsigned char *to, float x) {
    const uint16_t h = math_to_f16(x);
    to[0] = (unsigned char)h;
    to[1] = (unsigned char)(h >> 8);
    return to + 2;
}

static void write_q8_0(unsigned char *to, const float *x) {
    float most = 0;
    for (int i = 0; i < 32; i++) most = MAX(most, fabsf(x[i]));
    const float d = most / 127, inverse = d != 0 ? 1 / d : 0;
    to = write_f16(to, d);
    for (int i = 0; i < 32; i++) to[i] = (unsigned char)(int8_t)roundf(x[i] * inverse);
}

/* 32 codes of up to 5 bits: the fifth bits, where there are any, then low and high halves. */
static void write_codes(unsigned char *to, const int *codes, int bits) {
    uint32_t fifth = 0;
    for (int i = 0; i < 32; i++) fifth |= ((uint32_t)codes[i] >> 4 & 1u) << i;
    for (int i = 0; bits == 5 && i < 4; i++) *to++ = (unsigned char)(fifth >> (8 * i));
    for (int i = 0; i < 16; i++) to[i] = (unsigned char)((codes[i] & 15) | (codes[i + 16] & 15) << 4);
}

static void write_signed(unsigned char *to, const float *x, int bits) {
    const int half = 1 << (bits - 1);
    float extreme = 0;
    int codes[32];
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(extreme)) extreme = x[i];
    const float d = extreme / (float)-half, inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < 32; i++) {
        const float scaled = x[i] * inverse;
        codes[i] = MIN((int)(scaled + ((float)half + 0.5f)), 2 * half - 1);
    }
    write_codes(write_f16(to, d), codes, bits);
}

static void write_from_least(unsigned char *to, const float *x, int bits) {
    const int top = (1 << bits) - 1;
    float least = x[0], most = x[0];
    int codes[32];
    for (int i = 1; i < 32; i++) {
        least = MIN(least, x[i]);
        most = MAX(most, x[i]);
    }
    const float d = (most - least) / (float)top, inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < 32; i++) {
        const float scaled = (x[i] - least) * inverse;
        codes[i] = MIN((int)(scaled + 0.5f), top);
    }
    write_codes(write_f16(write_f16(to, d), least), codes, bits);
}

static void write_q4_0(unsigned char *to, const float *x) {
    write_signed(to, x, 4);
}

static void write_q5_0(unsigned char *to, const float *x) {
    write_signed(to, x, 5);
}

static void write_q4_1(unsigned char *to, const float *x) {
    write_from_least(to, x, 4);
}

static void write_q5_1(unsigned char *to, const float *x) {
    write_from_least(to, x, 5);
}

static void (*const writers[DTYPE_COUNT])(unsigned char *to, const float *x) = {
    [DTYPE_Q8_0] = write_q8_0, [DTYPE_Q4_0] = write_q4_0, [DTYPE_Q4_1] = write_q4_1,
    [DTYPE_Q5_0] = write_q5_0, [DTYPE_Q5_1] = write_q5_1,
};

bool dtype_is_written(enum dtype t) {
    return writers[t] != NULL;
}

void dtype_from_f32(void *out, enum dtype t, const float *in, size_t n) {
    ASSERT(dtype_is_written(t) && n % CODED_BLOCK == 0);
    const size_t n_bytes = dtype_block_bytes(t);
    unsigned char *to = out;
    for (size_t i = 0; i < n; i += CODED_BLOCK, to += n_bytes) writers[t](to, in + i);
}
