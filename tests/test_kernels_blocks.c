/* Weights coded in blocks beside a slow restatement of their layouts; F16 rounding; looking for numbers that
 * are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kernels/kernels.h"

static const enum dtype coded[] = {DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_Q5_0,
                                   DTYPE_Q5_1, DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K};

static double half_at(const unsigned char *b, size_t at) {
    unsigned h = (unsigned)(b[at] | b[at + 1] << 8);
    int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 0x3FF);
    double magnitude = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h & 0x8000 ? -magnitude : magnitude;
}

static unsigned bits_at(const unsigned char *b, size_t first_bit, unsigned n) {
    unsigned value = 0;
    for (unsigned i = 0; i < n; i++)
        value |= (unsigned)(b[(first_bit + i) / 8] >> ((first_bit + i) % 8) & 1) << i;
    return value;
}

/* Element i of a block of 32, where the low four bits start at byte `halves`. */
static unsigned nibble32(const unsigned char *b, size_t halves, unsigned i) {
    return i < 16 ? bits_at(b, 8 * (halves + i), 4) : bits_at(b, 8 * (halves + i - 16) + 4, 4);
}

/* The 6-bit numbers of the K types: 0-7 scales, 8-15 offsets. The first four of each stand in bytes 0-3 and
 * 4-7, six bits each; the others have four bits in bytes 8-11 and their two top bits above those six. */
static unsigned six_bits(const unsigned char *q, unsigned which, unsigned i) {
    if (i < 4) return bits_at(q, 8 * (which * 4 + i), 6);
    return bits_at(q, 8 * (8 + i - 4) + which * 4, 4) + 16 * bits_at(q, 8 * (which * 4 + i - 4) + 6, 2);
}

/* The exact value of element i of a block, in double; every product is exact there. */
static double slow_element(enum dtype t, const unsigned char *b, unsigned i) {
    switch (t) {
    case DTYPE_Q8_0:
        return half_at(b, 0) * (signed char)b[2 + i];
    case DTYPE_Q4_0:
        return half_at(b, 0) * ((int)nibble32(b, 2, i) - 8);
    case DTYPE_Q4_1:
        return half_at(b, 0) * nibble32(b, 4, i) + half_at(b, 2);
    case DTYPE_Q5_0:
        return half_at(b, 0) * ((int)(nibble32(b, 6, i) + 16 * bits_at(b, 16 + i, 1)) - 16);
    case DTYPE_Q5_1:
        return half_at(b, 0) * (nibble32(b, 8, i) + 16 * bits_at(b, 32 + i, 1)) + half_at(b, 2);
    case DTYPE_Q4_K:
    case DTYPE_Q5_K: {
        unsigned sub = i / 32, k = i % 32, five = t == DTYPE_Q5_K;
        unsigned q = bits_at(b, 8 * (16 + 32 * five + sub / 2 * 32 + k) + 4 * (sub % 2), 4);
        if (five) q += 16 * bits_at(b, 8 * (16 + k) + sub, 1);
        return half_at(b, 0) * six_bits(b + 4, 0, sub) * q - half_at(b, 2) * six_bits(b + 4, 1, sub);
    }
    case DTYPE_Q6_K: {
        unsigned half = i / 128, quarter = i % 128 / 32, k = i % 32;
        unsigned q = bits_at(b, 8 * (half * 64 + quarter % 2 * 32 + k) + quarter / 2 * 4, 4) +
                     16 * bits_at(b, 8 * (128 + half * 32 + k) + quarter * 2, 2);
        return half_at(b, 208) * (signed char)b[192 + i / 16] * ((int)q - 32);
    }
    default:
        fail();
        return 0;
    }
}

/* Random bytes with scales of usual size, so that no sum is inexact in double. */
static void fill(unsigned char *b, enum dtype t, size_t n_bytes, uint64_t key) {
    for (size_t i = 0; i < n_bytes; i++) b[i] = (unsigned char)rng_below(key, i, 256);
    for (size_t at = 0; at < n_bytes; at += dtype_block_bytes(t)) {
        size_t d = t == DTYPE_Q6_K ? 209 : 1;
        bool has_second = t == DTYPE_Q4_1 || t == DTYPE_Q5_1 || t == DTYPE_Q4_K || t == DTYPE_Q5_K;
        b[at + d] = (unsigned char)(b[at + d] & 0xBF);
        if (has_second) b[at + 3] = (unsigned char)(b[at + 3] & 0xBF);
    }
}

static void test_blocks_beside_their_layout(void **state) {
    enum { BLOCKS = 500 };
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(coded); i++) {
        enum dtype t = coded[i];
        unsigned n_block = (unsigned)dtype_block(t);
        size_t n_bytes = dtype_block_bytes(t), n = (size_t)BLOCKS * n_block;
        unsigned char *bytes = mem_alloc(BLOCKS * n_bytes + 1), *blocks = bytes + 1; /* unaligned */
        float *wide = mem_zalloc(n, sizeof *wide);
        fill(blocks, t, BLOCKS * n_bytes, 100 + i);
        dtype_to_f32(wide, blocks, t, n);
        for (size_t k = 0; k < n; k++) {
            float want = (float)slow_element(t, blocks + k / n_block * n_bytes, (unsigned)(k % n_block));
            if (wide[k] != want)
                fail_msg("%s: element %zu is %.9g, not %.9g", dtype_name(t), k, (double)wide[k],
                         (double)want);
        }
        free(bytes);
        free(wide);
    }
}

static void test_block_sizes(void **state) {
    static const struct {
        const char *name;
        int block;
        size_t bytes;
    } want[] = {{"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},    {"Q8_0", 32, 34},
                {"Q4_0", 32, 18},   {"Q4_1", 32, 20},   {"Q5_0", 32, 22},  {"Q5_1", 32, 24},
                {"Q4_K", 256, 144}, {"Q5_K", 256, 176}, {"Q6_K", 256, 210}};
    UNUSED(state);
    assert_int_equal(ARRAY_LEN(want), DTYPE_COUNT);
    for (int t = 0; t < DTYPE_COUNT; t++) {
        assert_string_equal(dtype_name((enum dtype)t), want[t].name);
        assert_int_equal(dtype_block((enum dtype)t), want[t].block);
        assert_int_equal(dtype_block_bytes((enum dtype)t), want[t].bytes);
    }
}

static float widened(uint16_t h) {
    float x;
    dtype_to_f32(&x, &h, DTYPE_F16, 1);
    return x;
}

/* Of all finite F16 numbers the nearest, the even one of two: searched for. */
static uint16_t nearest_half(float x) {
    uint16_t sign = signbit(x) ? 0x8000 : 0, low = 0, high = 0x7C00; /* infinity stands for 65536 here */
    double magnitude = fabs((double)x);
    while (high - low > 1) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if ((double)widened(middle) <= magnitude)
            low = middle;
        else
            high = middle;
    }
    double below = magnitude - (double)widened(low),
           above = (high == 0x7C00 ? 65536 : (double)widened(high)) - magnitude;
    return sign | (below < above || (below == above && low % 2 == 0) ? low : high);
}

static void test_f16_rounds_to_the_nearest(void **state) {
    UNUSED(state);
    for (unsigned h = 0; h < 65536; h++) { /* every F16 number, and its neighbourhood half-way to the next */
        if ((h & 0x7FFF) > 0x7C00) continue;
        uint16_t same;
        float x = widened((uint16_t)h);
        dtype_f16_from_f32(&same, &x, 1);
        assert_int_equal(same, h);
        if ((h & 0x7FFF) >= 0x7C00) continue;
        float next = (h & 0x7FFF) == 0x7BFF ? copysignf(65536, x) : widened((uint16_t)(h + 1));
        float half = (x + next) / 2,
              around[] = {nextafterf(half, 0), half, nextafterf(half, copysignf(INFINITY, x))};
        for (size_t i = 0; i < 3; i++) {
            uint16_t got;
            dtype_f16_from_f32(&got, &around[i], 1);
            assert_int_equal(got, nearest_half(around[i]));
        }
    }
    const float odd[] = {1e30f, -1e30f, 1e-30f, INFINITY, NAN};
    uint16_t got[5];
    dtype_f16_from_f32(got, odd, 5);
    assert_true(got[0] == 0x7C00 && got[1] == 0xFC00 && got[2] == 0 && got[3] == 0x7C00);
    assert_true(isnan(widened(got[4])));
}

static void test_what_is_no_number_is_found(void **state) {
    static const uint16_t bad[] = {0x7C00, 0xFC00, 0x7E00, 0xFFFF, 0x7C01};
    UNUSED(state);
    for (int i = 0; i < DTYPE_COUNT; i++) {
        enum dtype t = (enum dtype)i;
        enum { BLOCKS = 37 };
        size_t n_bytes = dtype_block_bytes(t), n = (size_t)BLOCKS * (size_t)dtype_block(t);
        unsigned char *b = mem_alloc(BLOCKS * n_bytes);
        memset(b, 0x3b, BLOCKS * n_bytes);
        assert_true(dtype_is_finite(b, t, n));
        for (size_t at = 0; at < BLOCKS; at++) {
            for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
                uint16_t h = t == DTYPE_BF16 && k != 4 ? (uint16_t)(bad[k] | 0x7F80) : bad[k];
                if (t == DTYPE_BF16 && k == 4) continue; /* 0x7C01 is a number there */
                unsigned char *to = b + at * n_bytes + (t == DTYPE_Q6_K ? 208 : t == DTYPE_F32 ? 2 : 0);
                if (t == DTYPE_F32) h |= 0x7F80;
                memcpy(to, &h, 2);
                assert_false(dtype_is_finite(b, t, n));
                memset(to, 0x3b, 2);
            }
            if (t == DTYPE_Q4_1 || t == DTYPE_Q5_1 || t == DTYPE_Q4_K || t == DTYPE_Q5_K) {
                memcpy(b + at * n_bytes + 2, &bad[at % 4], 2);
                assert_false(dtype_is_finite(b, t, n));
                memset(b + at * n_bytes + 2, 0x3b, 2);
            }
        }
        assert_true(dtype_is_finite(b, t, n));
        free(b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_beside_their_layout),
        cmocka_unit_test(test_block_sizes),
        cmocka_unit_test(test_f16_rounds_to_the_nearest),
        cmocka_unit_test(test_what_is_no_number_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
