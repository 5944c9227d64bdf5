/* AVX-512 with BF16: one instruction multiplies 16 pairs of weights with a pair of inputs and adds them to 16
 * sums, twice what it does in F32. The pair's upper halves are multiplied and added first, rounded, then the
 * lower ones: so input k lies in the upper half, k + 1 in the lower, and the sums are those of one
 * multiply-add after the other. A pair is as wide as a float, so that all but the multiply-add is the product
 * of F32 matrices with half as many inputs. */
#include "kernels/kernels.h"

#if defined(__AVX512BF16__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include "kernels/kernels_avx512.h"
#include "kernels/kernels_math.h"

#define vec_fma(a, b, c) _mm512_dpbf16_ps(c, (__m512bh)(a), (__m512bh)(b))
#define vec_weights(p)   bf16_pairs(p)
#define vec_from_f16(p)  _mm512_setzero_ps()
#define vec_from_bf16(p) _mm512_setzero_ps()

/* Inputs k and k + 1 of 16 outputs, as a panel has them: first the one, then the other; as pairs. */
static inline __m512 bf16_pairs(const void *panel) {
    static const uint16_t order[32] = {16, 0, 17, 1, 18, 2,  19, 3,  20, 4,  21, 5,  22, 6,  23, 7,
                                       24, 8, 25, 9, 26, 10, 27, 11, 28, 12, 29, 13, 30, 14, 31, 15};
    return _mm512_castsi512_ps(
        _mm512_permutexvar_epi16(_mm512_loadu_si512(order), _mm512_loadu_si512(panel)));
}

enum { TILE_ROWS = 12, NARROW_ROWS = 0, TILE_PANELS = 8, BLOCK_PANELS = 2 };
#define TILES_NARROW(X, type)
#include "kernels/kernels_simd_products.h"

void kernels_round_bf16(void *rounded, int n_rows, int n_in, enum dtype t, const float *x, size_t x_stride,
                        int row, int row_end, int block, int block_end) {
    UNUSED(n_rows);
    UNUSED(t);
    const __m512i magnitude = _mm512_set1_epi32(0x7FFFFFFF), least = _mm512_set1_epi32((int)MATH_BF16_LEAST);
    for (; row < row_end; row++) {
        const float *from = x + (size_t)row * x_stride;
        float *to = (float *)rounded + (size_t)row * math_bf16_stride(n_in / 2);
        for (int i = block * CODED_BLOCK; i < block_end * CODED_BLOCK; i += CODED_BLOCK) {
            const __m512 a = _mm512_loadu_ps(from + i), b = _mm512_loadu_ps(from + i + 16);
            const __m512i u = _mm512_and_si512(_mm512_castps_si512(a), magnitude),
                          v = _mm512_and_si512(_mm512_castps_si512(b), magnitude);
            const __mmask32 usable = (__mmask32)_mm512_cmpge_epi32_mask(u, least) |
                                     (__mmask32)_mm512_cmpge_epi32_mask(v, least) << 16;
            const __m512i narrow = _mm512_maskz_mov_epi16(usable, (__m512i)_mm512_cvtne2ps_pbh(b, a));
            _mm512_storeu_si512(to + i / 2, _mm512_rol_epi32(narrow, 16));
        }
    }
}

void kernels_matmul_bf16(float *y, size_t y_stride, const void *rounded, int n_rows, const struct matrix *w,
                         int panel_first, int panel_end) {
    const struct matrix pairs = {
        .n_out = w->n_out, .n_in = w->n_in / 2, .dtype = DTYPE_F32, .panels = w->panels};
    matmul(y, y_stride, rounded, math_bf16_stride(pairs.n_in), n_rows, &pairs, panel_first, panel_end);
}

/* Sums that show the order of a pair and the rounding between: 2^24 + 1 is a tie, which goes to 2^24. */
bool kernels_bf16_as_written(void) {
    static const float cases[][3] = {{0x1p24f, 1, 1}, {1, 0x1p24f, 1}, {1, 1, 0x1p24f}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const uint32_t pair = (uint32_t)math_to_bf16(cases[i][0]) << 16 | math_to_bf16(cases[i][1]);
        const __m512 sum =
            _mm512_dpbf16_ps(_mm512_set1_ps(cases[i][2]), (__m512bh)_mm512_set1_epi32((int)pair),
                             (__m512bh)_mm512_set1_epi32(0x3F803F80));
        if (_mm512_cvtss_f32(sum) != fmaf(cases[i][1], 1, fmaf(cases[i][0], 1, cases[i][2]))) return false;
    }
    return true;
}
#endif
