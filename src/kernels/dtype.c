#include "kernels/kernels.h"
#include "kernels/kernels_math.h"

static const struct {
    const char *name;
    int block;
    size_t block_bytes;
} types[] = {
    [DTYPE_F32] = {"F32", 1, 4},       [DTYPE_F16] = {"F16", 1, 2},       [DTYPE_BF16] = {"BF16", 1, 2},
    [DTYPE_Q8_0] = {"Q8_0", 32, 34},   [DTYPE_Q4_0] = {"Q4_0", 32, 18},   [DTYPE_Q4_1] = {"Q4_1", 32, 20},
    [DTYPE_Q5_0] = {"Q5_0", 32, 22},   [DTYPE_Q5_1] = {"Q5_1", 32, 24},   [DTYPE_Q4_K] = {"Q4_K", 256, 144},
    [DTYPE_Q5_K] = {"Q5_K", 256, 176}, [DTYPE_Q6_K] = {"Q6_K", 256, 210},
};

int dtype_block(enum dtype t) {
    return types[t].block;
}

size_t dtype_block_bytes(enum dtype t) {
    return types[t].block_bytes;
}

size_t dtype_bytes(enum dtype t) {
    ASSERT(types[t].block == 1);
    return types[t].block_bytes;
}

const char *dtype_name(enum dtype t) {
    return types[t].name;
}

/* math_from_f16 without branches, for a loop that is made of vectors. Products with 2^112 are exact, of
 * subnormal numbers, too. */
static inline float f16_value(uint16_t h) {
    const uint32_t magnitude = (uint32_t)(h & 0x7FFFu) << 13, sign = (uint32_t)(h & 0x8000u) << 16;
    const uint32_t finite = math_bits(math_float(magnitude) * 0x1p112f),
                   other = magnitude | 0x7F800000u | (magnitude > 0x0F800000u ? 0x400000u : 0);
    return math_float(sign | (magnitude >= 0x0F800000u ? other : finite));
}

static void f16_to_f32(float *restrict out, const unsigned char *restrict from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, from + i * sizeof h, sizeof h);
        out[i] = f16_value(h);
    }
}

static void bf16_to_f32(float *restrict out, const unsigned char *restrict from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, from + i * sizeof h, sizeof h);
        out[i] = math_from_bf16(h);
    }
}

void dtype_to_f32(float *out, const void *in, enum dtype t, size_t n) {
    const unsigned char *from = in;
    if (t == DTYPE_F32) {
        memcpy(out, in, n * sizeof *out);
        return;
    }
    if (types[t].block > 1) {
        blocks_to_f32(out, in, t, n);
        return;
    }
    (t == DTYPE_F16 ? f16_to_f32 : bf16_to_f32)(out, from, n);
}

void dtype_f16_from_f32(uint16_t *out, const float *in, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = math_to_f16(in[i]);
}

void dtype_bf16_from_f32(uint16_t *restrict out, const float *restrict in, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = math_to_bf16(in[i]);
}

/* The largest magnitude decides, so that the loops have no branch. */
static bool is_finite32(const unsigned char *in, size_t n) {
    uint32_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, in + i * sizeof u, sizeof u);
        u &= 0x7FFFFFFFu;
        most = u > most ? u : most;
    }
    return most < 0x7F800000u;
}

static bool is_finite16(const unsigned char *in, size_t n, uint16_t infinity) {
    uint16_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint16_t u;
        memcpy(&u, in + i * sizeof u, sizeof u);
        u &= 0x7FFF;
        most = u > most ? u : most;
    }
    return most < infinity;
}

bool dtype_is_finite(const void *in, enum dtype t, size_t n) {
    if (types[t].block > 1) return blocks_are_finite(in, t, n);
    return t == DTYPE_F32 ? is_finite32(in, n) : is_finite16(in, n, t == DTYPE_F16 ? 0x7C00 : 0x7F80);
}
