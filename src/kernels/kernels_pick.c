#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
enum { ARM_HAS_DOTPROD = 1 << 20 }; /* of AT_HWCAP: ASIMDDP */
#endif

#include "kernels/kernels.h"
#include "kernels/kernels_math.h"

#if defined(__x86_64__)
/* __builtin_cpu_supports also asks the operating system whether it saves the wide registers; it does not know
 * F16C in every compiler. */
static bool has_avx2(void) {
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

const struct kernels *kernels_by_name(const char *name) {
    if (strcmp(name, "generic") == 0) return &kernels_generic;
#if defined(__x86_64__)
    if (strcmp(name, "avx2") == 0 && has_avx2()) return &kernels_avx2;
    if (strcmp(name, "avx512") == 0 && has_avx512()) return &kernels_avx512;
    if (strcmp(name, "avx512vnni") == 0 && has_avx512() && __builtin_cpu_supports("avx512vnni"))
        return &kernels_avx512vnni;
    if (strcmp(name, "avx512bf16") == 0 && has_avx512() && __builtin_cpu_supports("avx512vnni") &&
        __builtin_cpu_supports("avx512bf16") && kernels_bf16_as_written())
        return &kernels_avx512bf16;
#elif defined(__aarch64__)
    if (strcmp(name, "neon") == 0) return &kernels_neon;
    if (strcmp(name, "neondot") == 0 && getauxval(AT_HWCAP) & ARM_HAS_DOTPROD) return &kernels_neondot;
#endif
    return NULL;
}

const char *kernels_name(size_t i) {
    static const char *const best_first[] = {
#if defined(__x86_64__)
        "avx512bf16",
        "avx512vnni",
        "avx512",
        "avx2",
#elif defined(__aarch64__)
        "neondot",
        "neon",
#endif
        "generic",
    };
    return i < ARRAY_LEN(best_first) ? best_first[i] : NULL;
}

const struct kernels *kernels_pick(void) {
    const char *forced = getenv("BROOD_ISA");
    if (forced && *forced) return kernels_by_name(forced);
    size_t i = 0;
    while (!kernels_by_name(kernels_name(i))) i++; /* generic runs everywhere */
    return kernels_by_name(kernels_name(i));
}
