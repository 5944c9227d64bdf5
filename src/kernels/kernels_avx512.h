/* kernels_avx512.h - what the files for processors with AVX-512 share: vectors of 16 floats, and the tiles of
 * sums that 32 registers hold. */
#ifndef BROOD_KERNELS_AVX512_H
#define BROOD_KERNELS_AVX512_H

#include <immintrin.h>

#define VEC              __m512
#define LANES            16
#define vec_load(p)      _mm512_loadu_ps(p)
#define vec_store(p, v)  _mm512_storeu_ps(p, v)
#define vec_broadcast(p) _mm512_set1_ps(*(p))
#define vec_set1(x)      _mm512_set1_ps(x)
#define TILES_F32(X, type)                                                                                   \
    X(type, 1, 1)                                                                                            \
    X(type, 1, 2)                                                                                            \
    X(type, 1, 4)                                                                                            \
    X(type, 1, 8)                                                                                            \
    X(type, 2, 1) X(type, 2, 2) X(type, 2, 4) X(type, 2, 8) X(type, 3, 1) X(type, 3, 2) X(type, 3, 4)        \
        X(type, 4, 1) X(type, 4, 2) X(type, 4, 4) X(type, 5, 1) X(type, 5, 2) X(type, 5, 4) X(type, 6, 1)    \
            X(type, 6, 2) X(type, 6, 4) X(type, 7, 1) X(type, 7, 2) X(type, 8, 1) X(type, 8, 2)              \
                X(type, 9, 1) X(type, 9, 2) X(type, 10, 1) X(type, 10, 2) X(type, 11, 1) X(type, 11, 2)      \
                    X(type, 12, 1) X(type, 12, 2)

#endif
