/* AVX2, codes of 8 bits: no instruction multiplies unsigned with signed bytes without saturating, so both are
 * taken apart into even and odd 16 bits, without a shuffle, and multiplied in pairs; exact, and with the
 * same sums as VNNI's. */
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

/* Four inputs of each of eight outputs: the even and the odd ones, 16 bits each. */
struct codes {
    __m256i even, odd;
};
/* Four inputs, likewise, the same for all outputs. */
struct inputs {
    __m256i even, odd;
};
#define CODES               struct codes
#define ACC                 __m256i
#define INPUTS              struct inputs
#define acc_begin(start)    _mm256_set1_epi32(*(start))
#define acc_end(acc, start) (acc)

static inline struct codes codes_apart(__m256i bytes) {
    return (struct codes){_mm256_and_si256(bytes, _mm256_set1_epi16(0xFF)), _mm256_srli_epi16(bytes, 8)};
}

static inline struct codes codes_8(const unsigned char *codes, int j) {
    return codes_apart(_mm256_loadu_si256((const __m256i *)(const void *)(codes + j * 64)));
}

#define codes_4(codes, j) codes_8(codes, j) /* no kind has them */

static inline struct inputs inputs_at(const int16_t *q) {
    return (struct inputs){_mm256_set1_epi32(x86_int(q)), _mm256_set1_epi32(x86_int(q + 2))};
}

static inline __m256i acc_add(__m256i acc, struct codes c, struct inputs q) {
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(c.even, q.even));
    __asm__("" : "+x"(acc)); /* now: gcc would hold all products and add them at the end */
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(c.odd, q.odd));
    __asm__("" : "+x"(acc));
    return acc;
}

/* Many rows: codes are taken apart once for all tiles, and four products are had from two multiplications of
 * sums (Winograd 1968: one of two operations is a multiplication, where only half of the pipes multiply):
 *
 *     (x0 + c1)(x1 + c0) = c0 x0 + c1 x1 + x0 x1 + c0 c1
 *
 * What inputs and codes alone make is taken off once a block. */
#define READY_FROM         3
#define READY_TILES(X)     X(3, 2) X(4, 2)
#define acc_zero()         _mm256_setzero_si256()
#define acc_less(acc, own) _mm256_sub_epi32(acc, own)

static inline struct codes ready_codes(const unsigned char *codes, int j) {
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(codes + j * 64));
    __asm__("" : "+x"(bytes)); /* into a register: gcc would read them twice */
    return codes_apart(bytes);
}

/* Likewise: it would read them again for each row. */
static inline struct codes ready_load(const struct codes *ready) {
    struct codes c = *ready;
    __asm__("" : "+x"(c.even), "+x"(c.odd));
    return c;
}

static inline __m256i ready_own(__m256i own, struct codes c) {
    return _mm256_add_epi32(own, _mm256_madd_epi16(c.even, c.odd));
}

static inline __m256i ready_add(__m256i acc, struct codes c, struct inputs q) {
    const __m256i a = _mm256_add_epi16(q.even, c.odd), b = _mm256_add_epi16(q.odd, c.even);
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
    __asm__("" : "+x"(acc));
    return acc;
}

static inline int32_t input_own(const int16_t *q, int s, int n_scales) {
    __m256i sum = _mm256_setzero_si256();
    for (int i = 16 * s; i < (n_scales == 1 ? 32 : 16 * s + 16); i += 16) {
        const __m256i words = _mm256_loadu_si256((const __m256i *)(const void *)(q + i));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(words, _mm256_shuffle_epi32(words, 0xB1)));
    }
    return x86_sum(sum) / 2; /* each was multiplied twice */
}

enum { TILE_ROWS = 4, TILE_VECS = 8, GROUP_VECS = 2 };
#define TILES(X)             X(1, 1) X(1, 2) X(1, 4) X(1, 8) X(2, 1) X(2, 2) X(3, 1) X(3, 2) X(4, 1) X(4, 2)
#define THIN_VECS            2
#define FETCH_ROWS           2 /* one row reads four panels at a time: the processor foresees them better */
#define KINDS(X, rows, vecs) KIND_BYTES(X, rows, vecs)
#define CODED_ROUND          kernels_round_bytes_avx2
#define CODED_FUNCTION       kernels_matmul_bytes_avx2
#include "kernels/kernels_coded.h"

void kernels_round_avx2(void *rounded, int n_rows, int n_in, enum dtype t, const float *x, size_t x_stride,
                        int row, int row_end, int block, int block_end) {
    (dtype_coding(t)->bits == 8 ? kernels_round_bytes_avx2 : kernels_round_halves_avx2)(
        rounded, n_rows, n_in, t, x, x_stride, row, row_end, block, block_end);
}

void kernels_matmul_coded_avx2(float *y, size_t y_stride, const void *rounded, int n_rows,
                               const struct matrix *w, int panel_first, int panel_end) {
    (dtype_coding(w->dtype)->bits == 8 ? kernels_matmul_bytes_avx2 : kernels_matmul_halves_avx2)(
        y, y_stride, rounded, n_rows, w, panel_first, panel_end);
}
#endif
