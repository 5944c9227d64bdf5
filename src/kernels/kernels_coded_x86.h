/* kernels_coded_x86.h - rounding of inputs to 8 bits, for both coded tables. */
#ifndef BROOD_KERNELS_CODED_X86_H
#define BROOD_KERNELS_CODED_X86_H

#include <immintrin.h>
#include <string.h>

static inline int32_t x86_int(const void *four_bytes) {
    int32_t i;
    memcpy(&i, four_bytes, sizeof i);
    return i;
}

/* The largest absolute value of a block of 32, by its bits: NaN above all. */
static inline float input_most(const float *x) {
    const __m256i mask = _mm256_set1_epi32(0x7FFFFFFF);
    __m256i most = _mm256_setzero_si256();
    for (int i = 0; i < 32; i += 8) {
        const __m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)(x + i));
        most = _mm256_max_epi32(most, _mm256_and_si256(bits, mask));
    }
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4E));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xB1));
    return _mm_cvtss_f32(_mm_castsi128_ps(m));
}

/* Eight inputs as integers, to the nearest, ties to even. */
static inline __m256i x86_round8(const float *x, float factor) {
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), _mm256_set1_ps(factor)));
}

static inline int32_t x86_sum(__m256i v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
    return _mm_cvtsi128_si32(s);
}

/* Sixteen inputs as 16-bit integers, in order; *sum becomes their sum. */
static inline __m256i x86_round16(const float *x, float factor, int *sum) {
    const __m256i words =
        _mm256_permute4x64_epi64(_mm256_packs_epi32(x86_round8(x, factor), x86_round8(x + 8, factor)), 0xD8);
    *sum = x86_sum(_mm256_madd_epi16(words, _mm256_set1_epi16(1)));
    return words;
}

/* A block of 32; the sums of its halves. Not usable: zeros. */
static inline void x86_round_bytes(int8_t *q, const float *x, float factor, bool usable, int sums[2]) {
    sums[0] = sums[1] = 0;
    __m256i bytes = _mm256_setzero_si256();
    if (usable) {
        const __m256i low = x86_round16(x, factor, &sums[0]), high = x86_round16(x + 16, factor, &sums[1]);
        bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xD8);
    }
    _mm256_storeu_si256((__m256i *)(void *)q, bytes);
}

/* The same in 16 bits, of each four inputs the even ones before the odd ones. */
static inline __m256i x86_even_first(__m256i words) {
    return _mm256_shufflehi_epi16(_mm256_shufflelo_epi16(words, 0xD8), 0xD8);
}

static inline void x86_round_words(int16_t *q, const float *x, float factor, bool usable, int sums[2]) {
    sums[0] = sums[1] = 0;
    __m256i low = _mm256_setzero_si256(), high = low;
    if (usable) {
        low = x86_even_first(x86_round16(x, factor, &sums[0]));
        high = x86_even_first(x86_round16(x + 16, factor, &sums[1]));
    }
    _mm256_storeu_si256((__m256i *)(void *)q, low);
    _mm256_storeu_si256((__m256i *)(void *)(q + 16), high);
}

#endif
