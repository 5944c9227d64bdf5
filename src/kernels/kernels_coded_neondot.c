/* NEON with the dot product (ARMv8.2 and later): one instruction multiplies 16 codes with 16 inputs and adds
 * them to 4 sums. */
#include "kernels/kernels.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include "kernels/kernels_neon.h"

#define ACC                 int32x4_t
#define acc_begin(start)    vdupq_n_s32(*(start))
#define acc_end(acc, start) (acc)
#define acc_add(acc, c, q)  vdotq_s32(acc, c, q)

enum { TILE_ROWS = 4, TILE_VECS = 4, GROUP_VECS = 4 };
#define TILES(X)                                                                                             \
    X(1, 1) X(1, 2) X(1, 4) X(2, 1) X(2, 2) X(2, 4) X(3, 1) X(3, 2) X(3, 4) X(4, 1) X(4, 2) X(4, 4)
#define KINDS(X, rows, vecs) KIND_BYTES(X, rows, vecs) KIND_HALVES(X, rows, vecs)
#define CODED_ROUND          kernels_round_neondot
#define CODED_FUNCTION       kernels_matmul_coded_neondot
#include "kernels/kernels_coded.h"
#endif
