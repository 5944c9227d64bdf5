/* kernels_neon.h - what both tables of 64-bit ARM share: the float vectors, and the rounding of inputs to 8
 * bits. */
#ifndef BROOD_KERNELS_NEON_H
#define BROOD_KERNELS_NEON_H

#include <arm_neon.h>
#include <string.h>

#define VEC              float32x4_t
#define LANES            4
#define vec_load(p)      vld1q_f32(p)
#define vec_store(p, v)  vst1q_f32(p, v)
#define vec_broadcast(p) vld1q_dup_f32(p)
#define vec_set1(x)      vdupq_n_f32(x)
#define vec_fma(a, b, c) vfmaq_f32(c, a, b)
#define vec_from_f16(p)  vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)))
#define vec_to_f16(p, v) vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)))
#define vec_from_int(i)  vcvtq_f32_s32(i)

/* ---- coded products ---- */

#define INPUT       int8_t
#define INPUTS      int8x16_t
#define input_round neon_round_bytes

/* Four inputs, the same for all outputs. */
static inline int8x16_t inputs_at(const int8_t *q) {
    int32_t four;
    memcpy(&four, q, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

/* The largest absolute value of a block of 32, by its bits: NaN above all. */
static inline float input_most(const float *x) {
    uint32x4_t most = vdupq_n_u32(0);
    for (int i = 0; i < 32; i += 4) {
        const uint32x4_t bits = vreinterpretq_u32_f32(vld1q_f32(x + i));
        most = vmaxq_u32(most, vandq_u32(bits, vdupq_n_u32(0x7FFFFFFF)));
    }
    const uint32_t m = vmaxvq_u32(most);
    float f;
    memcpy(&f, &m, sizeof f);
    return f;
}

/* Eight inputs as 16-bit integers, to the nearest, ties to even. */
static inline int16x8_t neon_round8(const float *x, float factor) {
    const int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), factor));
    const int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4), factor));
    return vcombine_s16(vmovn_s32(a), vmovn_s32(b));
}

/* A block of 32; the sums of its halves. Not usable: zeros. */
static inline void neon_round_bytes(int8_t *q, const float *x, float factor, _Bool usable, int sums[2]) {
    sums[0] = sums[1] = 0;
    memset(q, 0, 32);
    if (!usable) return;
    for (int i = 0; i < 32; i += 16) {
        const int16x8_t a = neon_round8(x + i, factor), b = neon_round8(x + i + 8, factor);
        vst1q_s8(q + i, vcombine_s8(vmovn_s16(a), vmovn_s16(b)));
        sums[i / 16] = vaddlvq_s16(a) + vaddlvq_s16(b);
    }
}

/* Codes of 4 outputs, four inputs each. Those of 8 bits become signed: CODES_LESS is taken off. */
#define CODES      int8x16_t
#define CODES_LESS 128

static inline int8x16_t codes_8(const unsigned char *codes, int j) {
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(codes + j * 64), vdupq_n_u8(128)));
}

static inline int8x16_t codes_4(const unsigned char *codes, int j) {
    const uint8x16_t both = vld1q_u8(codes + j / 2 * 64);
    return vreinterpretq_s8_u8(j % 2 ? vshrq_n_u8(both, 4) : vandq_u8(both, vdupq_n_u8(15)));
}

#endif
