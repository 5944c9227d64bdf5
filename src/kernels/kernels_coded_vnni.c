/* AVX-512 with VNNI: one instruction multiplies 64 codes with 64 inputs and adds them to 16 sums. */
#include "kernels/kernels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <string.h>

#include "kernels/kernels_avx512.h"

#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vec_from_f16(p)  _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define vec_from_int(i)  _mm512_cvtepi32_ps(i)

#define INPUT       int8_t
#define input_round vnni_round

#define CODES               __m512i
#define ACC                 __m512i
#define acc_begin(start)    _mm512_set1_epi32(*(start))
#define acc_end(acc, start) (acc)
#define acc_add(acc, c, q)  _mm512_dpbusd_epi32(acc, c, q)
#define INPUTS              __m512i
#define inputs_at(q)        _mm512_set1_epi32(vnni_int(q))

static inline int32_t vnni_int(const void *four_bytes) {
    int32_t i;
    memcpy(&i, four_bytes, sizeof i);
    return i;
}

/* The largest absolute value of a block of 32, by its bits: NaN above all. */
static inline float input_most(const float *x) {
    const __m512i mask = _mm512_set1_epi32(0x7FFFFFFF), a = _mm512_castps_si512(_mm512_loadu_ps(x)),
                  b = _mm512_castps_si512(_mm512_loadu_ps(x + 16));
    const __m512i most = _mm512_max_epi32(_mm512_and_si512(a, mask), _mm512_and_si512(b, mask));
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(_mm512_reduce_max_epi32(most))));
}

/* A block of 32, to the nearest, ties to even; the sums of its halves. Not usable: zeros. */
static inline void vnni_round(int8_t *q, const float *x, float factor, _Bool usable, int sums[2]) {
    const __mmask16 all = usable ? 0xFFFF : 0; /* what is infinite or NaN becomes zero, too */
    const __m512 f = _mm512_set1_ps(factor);
    const __m512i a = _mm512_maskz_cvtps_epi32(all, _mm512_mul_ps(_mm512_loadu_ps(x), f)),
                  b = _mm512_maskz_cvtps_epi32(all, _mm512_mul_ps(_mm512_loadu_ps(x + 16), f));
    const __m256i bytes =
        _mm256_inserti128_si256(_mm256_castsi128_si256(_mm512_cvtepi32_epi8(a)), _mm512_cvtepi32_epi8(b), 1);
    __m256i s = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), bytes);
    s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0x4E));
    s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0xB1));
    _mm256_storeu_si256((__m256i *)(void *)q, bytes);
    sums[0] = _mm256_cvtsi256_si32(s);
    sums[1] = _mm_cvtsi128_si32(_mm256_extracti128_si256(s, 1));
}

static inline __m512i codes_8(const unsigned char *codes, int j) {
    return _mm512_loadu_si512(codes + j * 64);
}

static inline __m512i codes_4(const unsigned char *codes, int j) {
    const __m512i both = _mm512_loadu_si512(codes + j / 2 * 64), low = _mm512_set1_epi8(15);
    return _mm512_and_si512(j % 2 ? _mm512_srli_epi16(both, 4) : both, low);
}

enum { TILE_ROWS = 6, TILE_VECS = 4, GROUP_VECS = 2 };
#define FETCH_ROWS 2 /* one row reads four panels side by side: the processor foresees that better */
#define TILES(X)                                                                                             \
    X(1, 1) X(1, 2) X(1, 4) X(2, 1) X(2, 2) X(3, 1) X(3, 2) X(4, 1) X(4, 2) X(5, 1) X(5, 2) X(6, 1) X(6, 2)
#define KINDS(X, rows, vecs) KIND_BYTES(X, rows, vecs) KIND_HALVES(X, rows, vecs)
#define CODED_ROUND          kernels_round_vnni
#define CODED_FUNCTION       kernels_matmul_coded_vnni
#include "kernels/kernels_coded.h"
#endif
