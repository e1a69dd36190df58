/* Activation functions with AVX-512. */
#include <math.h>
#include "device/cpu/activation_kernels.h"
#include "device/cpu/simd.h"

#if defined(__x86_64__) && defined(__GNUC__)

#define MB_V_FMA
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#endif

#include "device/cpu/activation_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const mb_activation_kernels_t *mb_activation_kernels_avx512(void)
{
    bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    return has ? functions : NULL;
}

#else

const mb_activation_kernels_t *mb_activation_kernels_avx512(void)
{
    return NULL;
}

#endif
