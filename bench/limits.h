/* limits.h - loops that do nothing but what the processor can do at most: independent multiply-adds in
 * registers. Each returns the number of operations done, two a multiply-add.
 */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

#include <math.h>
#include <string.h>

static volatile float limits_sink;

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#if defined(__x86_64__)
#include <immintrin.h>

#define PEAK(name, isa, vec, set1, fma, n_sums)                                                              \
    __attribute__((target(isa), noinline)) static void name(int n) {                                         \
        vec sum[n_sums], a = set1(0.999f), b = set1(0.001f);                                                 \
        UNROLL for (int i = 0; i < n_sums; i++) sum[i] = set1((float)i);                                     \
        for (int k = 0; k < n; k++) UNROLL for (int i = 0; i < n_sums; i++) sum[i] = fma(sum[i], a, b);      \
        UNROLL for (int i = 1; i < n_sums; i++) sum[0] += sum[i];                                            \
        limits_sink = sum[0][0];                                                                             \
    }
PEAK(peak_avx2, "avx2,fma", __m256, _mm256_set1_ps, _mm256_fmadd_ps, 12)
PEAK(peak_avx512, "avx512f", __m512, _mm512_set1_ps, _mm512_fmadd_ps, 12)

__attribute__((target("avx512f,avx512bf16"), noinline)) static void peak_bf16_pairs(int n) {
    __m512 sum[12];
    __m512i a = _mm512_set1_epi32(0x3F003F00), b = _mm512_set1_epi32(0x3A003A00);
    UNROLL for (int i = 0; i < 12; i++) sum[i] = _mm512_set1_ps((float)i);
    for (int k = 0; k < n; k++) {
        __asm__ volatile("" : "+v"(a), "+v"(b));
        UNROLL for (int i = 0; i < 12; i++) sum[i] = _mm512_dpbf16_ps(sum[i], (__m512bh)a, (__m512bh)b);
    }
    UNROLL for (int i = 1; i < 12; i++) sum[0] += sum[i];
    limits_sink = sum[0][0];
}

/* Multiply-adds of bytes, summed to 32 bits: what the fastest way of the table does. */
__attribute__((target("avx2"), noinline)) static void peak_bytes_avx2(int n) {
    __m256i sum[10], a = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
    UNROLL for (int i = 0; i < 10; i++) sum[i] = _mm256_set1_epi32(i);
    for (int k = 0; k < n; k++) {
        __asm__ volatile("" : "+x"(a));
        UNROLL for (int i = 0; i < 10; i++) {
            __m256i b = a;
            __asm__ volatile("" : "+x"(b));
            sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), ones));
        }
    }
    UNROLL for (int i = 1; i < 10; i++) sum[0] = _mm256_add_epi32(sum[0], sum[i]);
    limits_sink = (float)_mm256_extract_epi32(sum[0], 0);
}

__attribute__((target("avx512f,avx512vnni"), noinline)) static void peak_bytes_vnni(int n) {
    __m512i sum[16], a = _mm512_set1_epi32(0x03030303), b = a;
    UNROLL for (int i = 0; i < 16; i++) sum[i] = _mm512_set1_epi32(i);
    for (int k = 0; k < n; k++) {
        __asm__ volatile("" : "+v"(a), "+v"(b));
        UNROLL for (int i = 0; i < 16; i++) sum[i] = _mm512_dpbusd_epi32(sum[i], a, b);
    }
    UNROLL for (int i = 1; i < 16; i++) sum[0] = _mm512_add_epi32(sum[0], sum[i]);
    limits_sink = (float)_mm512_reduce_add_epi32(sum[0]);
}
#endif

/* n rounds for the table of this name; 0: the table has no such multiply-add. */
static inline double limits_bytes(const char *table, int n) {
#if defined(__x86_64__)
    if (strcmp(table, "avx512vnni") == 0 || strcmp(table, "avx512bf16") == 0)
        return peak_bytes_vnni(n), 2.0 * n * 16 * 64;
    if (strncmp(table, "avx", 3) == 0) return peak_bytes_avx2(n), 2.0 * n * 10 * 32;
#endif
    (void)table, (void)n;
    return 0;
}

static inline double limits_floats(const char *table, int n);
/* Multiply-adds of BF16; where the table has none of its own, those of F32. */
static inline double limits_bf16(const char *table, int n) {
#if defined(__x86_64__)
    if (strcmp(table, "avx512bf16") == 0) return peak_bf16_pairs(n), 2.0 * n * 12 * 32;
#endif
    return limits_floats(table, n);
}

static inline double limits_floats(const char *table, int n) {
#if defined(__x86_64__)
    if (strncmp(table, "avx512", 6) == 0) return peak_avx512(n), 2.0 * n * 12 * 16;
    if (strcmp(table, "avx2") == 0) return peak_avx2(n), 2.0 * n * 12 * 8;
#endif
    (void)table;
    float x = 1;
    for (int i = 0; i < n; i++) x = fmaf(x, 0.999f, 0.001f);
    limits_sink = x;
    return 2.0 * n;
}

#endif
