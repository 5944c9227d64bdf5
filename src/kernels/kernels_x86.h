/* kernels_x86.h - sums and maxima over the lanes of a vector, in the order of math_sum16: for both tables. */
#ifndef BROOD_KERNELS_X86_H
#define BROOD_KERNELS_X86_H

#include <immintrin.h>

/* i + (i+4), i + (i+2), i + (i+1) */
static inline float x86_sum8(__m256 v) {
    __m128 t = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    t = _mm_add_ps(t, _mm_movehl_ps(t, t));
    return _mm_cvtss_f32(_mm_add_ss(t, _mm_movehdup_ps(t)));
}

static inline float x86_max8(__m256 v) {
    __m128 t = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    t = _mm_max_ps(t, _mm_movehl_ps(t, t));
    return _mm_cvtss_f32(_mm_max_ss(t, _mm_movehdup_ps(t)));
}

#endif
