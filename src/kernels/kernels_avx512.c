/* AVX-512 (F, BW, VL, DQ): 16 lanes, 32 registers: a panel is one vector, a tile of 12 rows x 2 panels holds
 * 24 sums. */
#include "kernels/kernels.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "kernels/kernels_avx512.h"
#include "kernels/kernels_x86.h"

#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vec_max(a, b)    _mm512_max_ps(a, b)
#define vec_min(a, b)    _mm512_min_ps(a, b)
#define vec_high(v)      _mm512_extractf32x8_ps(v, 1)
#define vec_sum16(v)     x86_sum8(_mm256_add_ps(_mm512_castps512_ps256((v)[0]), vec_high((v)[0])))
#define vec_max16(v)     x86_max8(_mm256_max_ps(_mm512_castps512_ps256((v)[0]), vec_high((v)[0])))
#define vec_from_f16(p)  _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define vec_to_f16(p, v)                                                                                     \
    _mm256_storeu_si256((__m256i *)(void *)(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT))
#define vec_from_bf16(p)                                                                                     \
    _mm512_castsi512_ps(_mm512_slli_epi32(                                                                   \
        _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p))), 16))

enum {
    TILE_ROWS = 12,
    NARROW_ROWS = 96,
    TILE_PANELS = 8,
    BLOCK_PANELS = 2,
    VALUE_QUERIES = 12,
    VALUE_COLUMNS = 4
};
#define TILES_NARROW(X, type) TILES_F32(X, type)
#define VALUES(X)                                                                                            \
    X(1, 1)                                                                                                  \
    X(1, 2)                                                                                                  \
    X(1, 4)                                                                                                  \
    X(2, 1)                                                                                                  \
    X(2, 2) X(2, 4) X(3, 1) X(3, 2) X(3, 4) X(4, 1) X(4, 2) X(5, 1) X(5, 2) X(6, 1) X(6, 2) X(7, 1) X(8, 1)  \
        X(9, 1) X(10, 1) X(11, 1) X(12, 1)
#include "kernels/kernels_simd.h"
TABLE_OF(kernels_avx512, "avx512", kernels_round_avx2, kernels_matmul_coded_avx2, round_bf16, matmul_bf16)
TABLE_OF(kernels_avx512vnni, "avx512vnni", kernels_round_vnni, kernels_matmul_coded_vnni, round_bf16,
         matmul_bf16)
TABLE_OF(kernels_avx512bf16, "avx512bf16", kernels_round_vnni, kernels_matmul_coded_vnni, kernels_round_bf16,
         kernels_matmul_bf16)
#endif
