/* AVX2, codes of 4 bits: the unsigned-with-signed product of bytes does not saturate for them, and the sums
 * of a whole block fit 16 bits: 32 / 2 * 15 * 127 = 30480. */
#include "kernels/kernels.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "kernels/kernels_coded_x86.h"

#define VEC              __m256
#define LANES            8
#define vec_load(p)      _mm256_loadu_ps(p)
#define vec_store(p, v)  _mm256_storeu_ps(p, v)
#define vec_broadcast(p) _mm256_broadcast_ss(p)
#define vec_set1(x)      _mm256_set1_ps(x)
#define vec_fma(a, b, c) _mm256_fmadd_ps(a, b, c)
#define vec_from_f16(p)  _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define vec_from_int(i)  _mm256_cvtepi32_ps(i)

#define INPUT       int8_t
#define input_round x86_round_bytes

#define CODES            __m256i
#define ACC              __m256i
#define acc_begin(start) _mm256_setzero_si256()
#define INPUTS           __m256i
#define inputs_at(q)     _mm256_set1_epi32(x86_int(q))
#define acc_end(acc, start)                                                                                  \
    _mm256_add_epi32(_mm256_madd_epi16(acc, _mm256_set1_epi16(1)), _mm256_set1_epi32(*(start)))
#define codes_8(codes, j) codes_4(codes, j) /* no kind has them */

static inline __m256i acc_add(__m256i acc, __m256i codes, __m256i inputs) {
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(codes, inputs));
    __asm__("" : "+x"(acc)); /* now: gcc would hold all products and add them at the end */
    return acc;
}

static inline __m256i codes_4(const unsigned char *codes, int j) {
    const __m256i both = _mm256_loadu_si256((const __m256i *)(const void *)(codes + j / 2 * 64));
    return _mm256_and_si256(j % 2 ? _mm256_srli_epi16(both, 4) : both, _mm256_set1_epi8(15));
}

/* Many rows: codes are taken apart once for all tiles. */
#define READY_FROM                    3
#define READY_TILES(X)                X(3, 2) X(4, 2)
#define ready_codes(codes, j)         codes_4(codes, j)
#define ready_own(own, codes)         (own)
#define ready_add(acc, codes, inputs) acc_add(acc, codes, inputs)
#define input_own(q, s, n_scales)     0
#define acc_zero()                    _mm256_setzero_si256()
#define acc_less(acc, own)            (acc)

/* Into a register: gcc would read it again for each row. */
static inline __m256i ready_load(const __m256i *ready) {
    __m256i codes = *ready;
    __asm__("" : "+x"(codes));
    return codes;
}

enum { TILE_ROWS = 4, TILE_VECS = 8, GROUP_VECS = 2 };
#define TILES(X)             X(1, 1) X(1, 2) X(1, 4) X(1, 8) X(2, 1) X(2, 2) X(3, 1) X(3, 2) X(4, 1) X(4, 2)
#define THIN_VECS            2
#define FETCH_ROWS           2 /* one row reads four panels at a time: the processor foresees them better */
#define KINDS(X, rows, vecs) KIND_HALVES(X, rows, vecs)
#define CODED_ROUND          kernels_round_halves_avx2
#define CODED_FUNCTION       kernels_matmul_halves_avx2
#include "kernels/kernels_coded.h"
#endif
