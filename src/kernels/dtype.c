#include "kernels/kernels.h"
#include "kernels/kernels_math.h"

size_t dtype_bytes(enum dtype t) {
    return t == DTYPE_F32 ? 4 : 2;
}

const char *dtype_name(enum dtype t) {
    switch (t) {
    case DTYPE_F32:
        return "F32";
    case DTYPE_F16:
        return "F16";
    case DTYPE_BF16:
        return "BF16";
    }
    return "?";
}

void dtype_to_f32(float *out, const void *in, enum dtype t, size_t n) {
    const unsigned char *from = in;
    if (t == DTYPE_F32) {
        memcpy(out, in, n * sizeof *out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, from + i * sizeof h, sizeof h);
        out[i] = t == DTYPE_F16 ? math_from_f16(h) : math_from_bf16(h);
    }
}
