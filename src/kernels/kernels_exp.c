#include "kernels/kernels.h"
#include "kernels/kernels_math.h"

float kernels_exp(float x) {
    return math_exp(x);
}
