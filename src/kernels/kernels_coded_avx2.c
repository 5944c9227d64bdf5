/* AVX2, codes of 8 bits: no instruction multiplies unsigned with signed bytes without saturating, so both are
 * widened to 16 bits and multiplied in pairs; exact, and with the same sums as VNNI's. Eight outputs are two
 * vectors of pairs, added up once a block. */
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

#define INPUT       int16_t
#define input_round x86_round_words

struct codes {
    __m256i a, b; /* outputs 0 1 4 5 and 2 3 6 7, four inputs each, 16 bits */
};
struct acc {
    __m256i a, b; /* two sums an output */
};
#define CODES struct codes
#define ACC   struct acc

static inline struct codes codes_widen(__m256i bytes) {
    const __m256i order = _mm256_permute4x64_epi64(bytes, 0xD8);
    return (struct codes){_mm256_cvtepu8_epi16(_mm256_castsi256_si128(order)),
                          _mm256_cvtepu8_epi16(_mm256_extracti128_si256(order, 1))};
}

static inline struct codes codes_8(const unsigned char *codes, int j) {
    return codes_widen(_mm256_loadu_si256((const __m256i *)(const void *)(codes + j * 64)));
}

#define codes_4(codes, j) codes_8(codes, j) /* no kind has them */

static inline struct acc acc_begin(const int32_t *start) {
    const __m256i low = _mm256_set1_epi64x((int64_t)(uint32_t)*start);
    return (struct acc){low, low};
}

#define INPUTS __m256i
static inline __m256i inputs_at(const int16_t *q) {
    int64_t four;
    memcpy(&four, q, sizeof four);
    return _mm256_set1_epi64x(four);
}

static inline struct acc acc_add(struct acc acc, struct codes c, __m256i inputs) {
    acc.a = _mm256_add_epi32(acc.a, _mm256_madd_epi16(c.a, inputs));
    acc.b = _mm256_add_epi32(acc.b, _mm256_madd_epi16(c.b, inputs));
    __asm__(""
            : "+x"(acc.a),
              "+x"(acc.b)); /* one after another: gcc would hold all products and add them at the end */
    return acc;
}

#define acc_end(acc, start) _mm256_hadd_epi32((acc).a, (acc).b)

enum { TILE_ROWS = 4, TILE_VECS = 2 };
#define TILES(X)             X(1, 1) X(1, 2) X(2, 1) X(3, 1) X(4, 1)
#define KINDS(X, rows, vecs) KIND_BYTES(X, rows, vecs)
#define CODED_FUNCTION       kernels_matmul_bytes_avx2
#include "kernels/kernels_coded.h"

void kernels_matmul_coded_avx2(float *y, size_t y_stride, const float *x, size_t x_stride, int n_rows,
                               const struct matrix *w, int panel_first, int panel_end, void *scratch) {
    (dtype_coding(w->dtype)->bits == 8 ? kernels_matmul_bytes_avx2 : kernels_matmul_halves_avx2)(
        y, y_stride, x, x_stride, n_rows, w, panel_first, panel_end, scratch);
}
#endif
