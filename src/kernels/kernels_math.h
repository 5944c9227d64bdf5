/* kernels_math.h - the scalar definitions that every table follows, for this room only.
 *
 * exp(x): t = round(x / ln 2) by adding and subtracting 1.5 * 2^23, r = x - t ln 2 in two steps (Cody and
 * Waite), a polynomial of degree 7 in r (Cephes expf), times 2^t taken from the low bits of the shifted sum.
 * kernels_simd.h does the same on vectors; the constants and the order of operations are the contract. A NaN
 * gives a NaN whose bits are not promised.
 */
#ifndef BROOD_KERNELS_MATH_H
#define BROOD_KERNELS_MATH_H

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"

#define MATH_EXP_ZERO_BELOW (-86.9f)    /* keeps 2^(t-1) a normal number */
#define MATH_EXP_TOP        89.0f       /* anything above overflows to infinity in the last product */
#define MATH_EXP_SHIFT      12582912.0f /* 1.5 * 2^23: bits 0x4B400000, whose low 9 bits shift out cleanly */
#define MATH_EXP_LOG2E      1.44269504088896341f
#define MATH_EXP_LN2_HIGH   0.693359375f
#define MATH_EXP_LN2_LOW    (-2.12194440e-4f)
#define MATH_EXP_C0         1.9875691500e-4f
#define MATH_EXP_C1         1.3981999507e-3f
#define MATH_EXP_C2         8.3334519073e-3f
#define MATH_EXP_C3         4.1665795894e-2f
#define MATH_EXP_C4         1.6666665459e-1f
#define MATH_EXP_C5         5.0000001201e-1f
#define MATH_CODED_LEAST    1e-30f      /* inputs of a block that are all smaller count as zero */
#define MATH_BF16_LEAST     0x23800000u /* 2^-56, as bits: smaller ones count as zero */

static inline uint32_t math_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float math_float(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static inline float math_exp(float x) {
    if (x < MATH_EXP_ZERO_BELOW) return 0.0f;
    x = MATH_EXP_TOP < x ? MATH_EXP_TOP : x;
    float shifted = fmaf(x, MATH_EXP_LOG2E, MATH_EXP_SHIFT);
    float t = shifted - MATH_EXP_SHIFT;
    float r = fmaf(t, -MATH_EXP_LN2_HIGH, x);
    r = fmaf(t, -MATH_EXP_LN2_LOW, r);
    float q = fmaf(MATH_EXP_C0, r, MATH_EXP_C1);
    q = fmaf(q, r, MATH_EXP_C2);
    q = fmaf(q, r, MATH_EXP_C3);
    q = fmaf(q, r, MATH_EXP_C4);
    q = fmaf(q, r, MATH_EXP_C5);
    float y = fmaf(q, r * r, r) + 1.0f;
    return (y + y) * math_float((math_bits(shifted) << 23) + (126u << 23));
}

static inline float math_silu_mul(float gate, float up) {
    return gate / (1.0f + math_exp(-gate)) * up;
}

/* Rotation of one pair: (a, b) -> (a cos - b sin, b cos + a sin). */
static inline void math_rotate(float *a, float *b, float cos, float sin) {
    float a0 = *a, b0 = *b;
    *a = fmaf(a0, cos, -(b0 * sin));
    *b = fmaf(b0, cos, a0 * sin);
}

/* The fixed tree over 16 stripes: i + (i+8), then i + (i+4), i + (i+2), i + (i+1). */
static inline float math_sum16(const float s[16]) {
    float t[8];
    for (int i = 0; i < 8; i++) t[i] = s[i] + s[i + 8];
    for (int half = 4; half > 0; half /= 2)
        for (int i = 0; i < half; i++) t[i] = t[i] + t[i + half];
    return t[0];
}

/* Exact; a signalling NaN becomes quiet, as the F16C instructions make it. */
static inline float math_from_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 0x3FFu;
    if (exponent == 31) return math_float(sign | 0x7F800000u | (fraction << 13) | (fraction ? 0x400000u : 0));
    if (exponent == 0) return math_float(sign | math_bits((float)fraction * 0x1p-24f));
    return math_float(sign | ((exponent + 112u) << 23) | (fraction << 13));
}

static inline float math_from_bf16(uint16_t h) {
    return math_float((uint32_t)h << 16);
}

/* Rounded to the nearest, ties to even; what is smaller than 2^-56 becomes zero. */
static inline uint16_t math_to_bf16(float x) {
    const uint32_t u = math_bits(x), magnitude = u & 0x7FFFFFFFu;
    const uint32_t nearest = (u + 0x7FFFu + (u >> 16 & 1u)) >> 16,
                   number = magnitude > 0x7F800000u ? u >> 16 | 0x40u : nearest;
    return (uint16_t)(magnitude < MATH_BF16_LEAST ? 0 : number);
}

/* Floats from one row of inputs rounded to BF16 to the next: not a multiple of 1 KiB, where rows would meet
 * in few sets of the caches. */
static inline size_t math_bf16_stride(int n) {
    return (size_t)(n % 256 == 0 ? n + MATRIX_PANEL : n);
}

/* Rounded to the nearest, ties to even. */
static inline uint16_t math_to_f16(float x) {
    uint32_t u = math_bits(x), sign = (u >> 16) & 0x8000u, magnitude = u & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u);
    if (magnitude >= 0x47800000u) return (uint16_t)(sign | 0x7C00u); /* 2^16 and more */
    if (magnitude < 0x38800000u) /* below the normal numbers: adding 0.5 puts units of 2^-24 last */
        return (uint16_t)(sign | (math_bits(math_float(magnitude) + 0.5f) - math_bits(0.5f)));
    return (uint16_t)(sign | ((magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13));
}

/* blocks.c: elements of whole blocks. */
void blocks_to_f32(float *out, const void *in, enum dtype t, size_t n);
bool blocks_are_finite(const void *in, enum dtype t, size_t n);

/* One block taken apart: element k is scales[..] * (codes[k] - bias) + mins[k / 32]. */
struct blocks_codes {
    unsigned char codes[256];
    float scales[16], mins[8];
};
void blocks_read(struct blocks_codes *out, const void *block, enum dtype t);

extern const struct kernels kernels_generic;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512, kernels_avx512vnni, kernels_avx512bf16;
kernels_round_function kernels_round_avx2;
kernels_coded_function kernels_matmul_coded_avx2;
kernels_round_function kernels_round_bytes_avx2;
kernels_coded_function kernels_matmul_bytes_avx2;
kernels_round_function kernels_round_halves_avx2;
kernels_coded_function kernels_matmul_halves_avx2;
kernels_round_function kernels_round_vnni;
kernels_coded_function kernels_matmul_coded_vnni;
kernels_round_function kernels_round_bf16;
kernels_coded_function kernels_matmul_bf16;
bool kernels_bf16_as_written(void); /* whether this processor multiplies pairs as kernels.h says */
#elif defined(__aarch64__)
extern const struct kernels kernels_neon, kernels_neondot;
kernels_round_function kernels_round_neon;
kernels_coded_function kernels_matmul_coded_neon;
kernels_round_function kernels_round_neondot;
kernels_coded_function kernels_matmul_coded_neondot;
#endif

#endif
