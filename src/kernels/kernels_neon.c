/* NEON, every 64-bit ARM: 4 lanes, 32 registers: a tile of 6 rows x 1 panel holds 24 sums. */
#include "kernels/kernels.h"

#if defined(__aarch64__)
#include "kernels/kernels_math.h"
#include "kernels/kernels_neon.h"

/* b where either is a NaN: vmaxq would give the NaN. */
#define vec_max(a, b)    vbslq_f32(vcgtq_f32(a, b), a, b)
#define vec_min(a, b)    vbslq_f32(vcltq_f32(a, b), a, b)
#define vec_from_bf16(p) vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16))

/* i + (i+8), i + (i+4), i + (i+2), i + (i+1) */
static inline float vec_sum16(const float32x4_t *v) {
    const float32x4_t four = vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

static inline float vec_max16(const float32x4_t *v) {
    const float32x4_t a = vec_max(v[0], v[2]), b = vec_max(v[1], v[3]), c = vec_max(a, b);
    const float low = c[0] > c[2] ? c[0] : c[2], high = c[1] > c[3] ? c[1] : c[3];
    return low > high ? low : high;
}

enum {
    TILE_ROWS = 6,
    NARROW_ROWS = 24,
    TILE_PANELS = 4,
    BLOCK_PANELS = 1,
    VALUE_QUERIES = 3,
    VALUE_COLUMNS = 4
};
#define TILES_F32(X, type)                                                                                   \
    X(type, 1, 1)                                                                                            \
    X(type, 1, 2)                                                                                            \
    X(type, 1, 4)                                                                                            \
    X(type, 2, 1) X(type, 2, 2) X(type, 3, 1) X(type, 4, 1) X(type, 5, 1) X(type, 6, 1)
#define TILES_NARROW(X, type) TILES_F32(X, type)
#define VALUES(X)             X(1, 1) X(1, 2) X(1, 4) X(2, 1) X(2, 2) X(2, 4) X(3, 1) X(3, 2) X(3, 4)
#include "kernels/kernels_simd.h"
TABLE_OF(kernels_neon, "neon", kernels_round_neon, kernels_matmul_coded_neon, round_bf16, matmul_bf16)
TABLE_OF(kernels_neondot, "neondot", kernels_round_neondot, kernels_matmul_coded_neondot, round_bf16,
         matmul_bf16)
#endif
