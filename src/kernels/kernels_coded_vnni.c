/* AVX-512 with VNNI: one instruction multiplies 64 codes with 64 inputs and adds them to 16 sums. */
#include "kernels/kernels.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#include "kernels/kernels_coded_x86.h"

#define VEC              __m512
#define LANES            16
#define vec_load(p)      _mm512_loadu_ps(p)
#define vec_store(p, v)  _mm512_storeu_ps(p, v)
#define vec_broadcast(p) _mm512_set1_ps(*(p))
#define vec_set1(x)      _mm512_set1_ps(x)
#define vec_fma(a, b, c) _mm512_fmadd_ps(a, b, c)
#define vec_from_f16(p)  _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define vec_from_int(i)  _mm512_cvtepi32_ps(i)

#define INPUT       int8_t
#define input_round x86_round_bytes

#define CODES               __m512i
#define ACC                 __m512i
#define acc_begin(start)    _mm512_set1_epi32(*(start))
#define acc_end(acc, start) (acc)
#define acc_add(acc, c, q)  _mm512_dpbusd_epi32(acc, c, q)
#define INPUTS              __m512i
#define inputs_at(q)        _mm512_set1_epi32(x86_int(q))

static inline __m512i codes_8(const unsigned char *codes, int j) {
    return _mm512_loadu_si512(codes + j * 64);
}

static inline __m512i codes_4(const unsigned char *codes, int j) {
    const __m512i both = _mm512_loadu_si512(codes + j / 2 * 64), low = _mm512_set1_epi8(15);
    return _mm512_and_si512(j % 2 ? _mm512_srli_epi16(both, 4) : both, low);
}

enum { TILE_ROWS = 6, TILE_VECS = 4 };
#define FETCH_ROWS 2 /* one row reads four panels side by side: the processor foresees that better */
#define TILES(X)                                                                                             \
    X(1, 1) X(1, 2) X(1, 4) X(2, 1) X(2, 2) X(3, 1) X(3, 2) X(4, 1) X(4, 2) X(5, 1) X(5, 2) X(6, 1) X(6, 2)
#define KINDS(X, rows, vecs) KIND_BYTES(X, rows, vecs) KIND_HALVES(X, rows, vecs)
#define CODED_FUNCTION       kernels_matmul_coded_vnni
#include "kernels/kernels_coded.h"
#endif
