/* rng.h - counter-based random numbers: key and counter give the number, whatever the order of work.
 *
 * Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011), tested
 * against the published vectors. A stream is a 64-bit key; keys of children are derived from their parent's,
 * so a node's path decides its numbers:
 *
 *     run seed -> problem -> node -> child i -> ... ; number = f(key of the node, position)
 */
#ifndef BROOD_RNG_H
#define BROOD_RNG_H

#include "base/base.h"

void rng_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* The key of child `index` below `key`; also used with fixed tags to separate purposes. */
uint64_t rng_child(uint64_t key, uint64_t index);

/* The key of a named thing (a problem id) below `key`. */
uint64_t rng_child_named(uint64_t key, const char *name);

uint64_t rng_u64(uint64_t key, uint64_t counter);
double rng_unit(uint64_t key, uint64_t counter); /* [0,1), 53 bits */

/* In [0,bound), bound > 0; the bias is below 2^-32 for bounds below 2^32. */
uint64_t rng_below(uint64_t key, uint64_t counter, uint64_t bound);

/* A plain 64-bit hash of bytes (FNV-1a, finalised), for signatures and tables; `seed` chains calls. Not for
 * adversaries. */
uint64_t rng_hash(uint64_t seed, const void *bytes, size_t n);

#endif
