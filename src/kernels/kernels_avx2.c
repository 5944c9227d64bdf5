/* AVX2, FMA and F16C: 8 lanes, 16 registers: a tile of 6 rows x 1 panel holds 12 sums, enough to hide a
 * latency of 4-5 at two a cycle. */
#include "kernels/kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "kernels/kernels_x86.h"

#define VEC              __m256
#define LANES            8
#define vec_load(p)      _mm256_loadu_ps(p)
#define vec_store(p, v)  _mm256_storeu_ps(p, v)
#define vec_broadcast(p) _mm256_broadcast_ss(p)
#define vec_set1(x)      _mm256_set1_ps(x)
#define vec_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vec_max(a, b)    _mm256_max_ps(a, b)
#define vec_min(a, b)    _mm256_min_ps(a, b)
#define vec_sum16(v)     x86_sum8(_mm256_add_ps((v)[0], (v)[1]))
#define vec_max16(v)     x86_max8(_mm256_max_ps((v)[0], (v)[1]))
#define vec_from_f16(p)  _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define vec_to_f16(p, v)                                                                                     \
    _mm_storeu_si128((__m128i *)(void *)(p), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT))
#define vec_from_bf16(p)                                                                                     \
    _mm256_castsi256_ps(                                                                                     \
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))), 16))

enum {
    TILE_ROWS = 6,
    NARROW_ROWS = 96,
    TILE_PANELS = 4,
    BLOCK_PANELS = 1,
    VALUE_QUERIES = 3,
    VALUE_COLUMNS = 4
};
#define TILES_F32(X, type)                                                                                   \
    X(type, 1, 1)                                                                                            \
    X(type, 1, 2)                                                                                            \
    X(type, 1, 4)                                                                                            \
    X(type, 2, 1) X(type, 2, 2) X(type, 3, 1) X(type, 3, 2) X(type, 4, 1) X(type, 5, 1) X(type, 6, 1)
#define TILES_NARROW(X, type) TILES_F32(X, type)
#define VALUES(X)             X(1, 1) X(1, 2) X(1, 4) X(2, 1) X(2, 2) X(3, 1) X(3, 2)
#include "kernels/kernels_simd.h"
TABLE_OF(kernels_avx2, "avx2", kernels_round_avx2, kernels_matmul_coded_avx2, round_bf16, matmul_bf16)
#endif
