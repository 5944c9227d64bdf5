/* rng.c - see rng.h. The third counter word keeps the purposes of one key apart. */
#include "base/rng.h"

#include <string.h>

enum { DRAW = 0, CHILD = 1, NAMED = 2 };

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int i_round = 0; i_round < 10; i_round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0;
        uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

static uint64_t number(uint64_t key, uint64_t counter, uint32_t purpose) {
    const uint32_t c[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), purpose, 0};
    const uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    uint32_t out[4];
    rng_philox(c, k, out);
    return (uint64_t)out[1] << 32 | out[0];
}

uint64_t rng_child(uint64_t key, uint64_t index) {
    return number(key, index, CHILD);
}

uint64_t rng_child_named(uint64_t key, const char *name) {
    return number(key, rng_hash(0, name, strlen(name)), NAMED);
}

uint64_t rng_u64(uint64_t key, uint64_t counter) {
    return number(key, counter, DRAW);
}

double rng_unit(uint64_t key, uint64_t counter) {
    return (double)(rng_u64(key, counter) >> 11) * 0x1p-53;
}

uint64_t rng_below(uint64_t key, uint64_t counter, uint64_t bound) {
    ASSERT(bound > 0);
    return (uint64_t)((unsigned __int128)rng_u64(key, counter) * bound >> 64);
}

uint64_t rng_hash(uint64_t seed, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    uint64_t h = 0xcbf29ce484222325u ^ seed;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
    return h ^ h >> 33;
}
