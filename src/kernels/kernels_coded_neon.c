/* NEON without the dot product: bytes are multiplied into 16 bits and added to the sums in pairs. Four
 * outputs are two vectors of pairs, added up once a block. */
#include "kernels/kernels.h"

#if defined(__aarch64__)
#include "kernels/kernels_neon.h"

struct acc {
    int32x4_t low, high; /* outputs 0 0 1 1 and 2 2 3 3 */
};
#define ACC                 struct acc
#define acc_end(acc, start) vpaddq_s32((acc).low, (acc).high)

static inline struct acc acc_begin(const int32_t *start) {
    const int32x4_t v = vreinterpretq_s32_s64(vdupq_n_s64((int64_t)(uint32_t)*start));
    return (struct acc){v, v};
}

static inline struct acc acc_add(struct acc acc, int8x16_t codes, int8x16_t inputs) {
    acc.low = vpadalq_s16(acc.low, vmull_s8(vget_low_s8(codes), vget_low_s8(inputs)));
    acc.high = vpadalq_s16(acc.high, vmull_high_s8(codes, inputs));
    return acc;
}

enum { TILE_ROWS = 4, TILE_VECS = 4, GROUP_VECS = 4 };
#define TILES(X)             X(1, 1) X(1, 2) X(1, 4) X(2, 1) X(2, 2) X(3, 1) X(3, 2) X(4, 1) X(4, 2)
#define KINDS(X, rows, vecs) KIND_BYTES(X, rows, vecs) KIND_HALVES(X, rows, vecs)
#define CODED_ROUND          kernels_round_neon
#define CODED_FUNCTION       kernels_matmul_coded_neon
#include "kernels/kernels_coded.h"
#endif
