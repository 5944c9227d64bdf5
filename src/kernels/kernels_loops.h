/* kernels_loops.h - loops that are unrolled whole, as tiles of sums held in registers need them. */
#ifndef BROOD_KERNELS_LOOPS_H
#define BROOD_KERNELS_LOOPS_H

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define EACH(i, n)    UNROLL for (int i = 0; i < (n); i++) /* n is a constant once inlined */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

#endif
