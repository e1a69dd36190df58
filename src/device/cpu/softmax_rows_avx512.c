/* Rows of exponentials with AVX-512. */
#include "device/cpu/softmax_rows.h"
#include <stdbool.h>
#include <stddef.h>

#if defined(__x86_64__) && defined(__GNUC__)

#define MB_V_FMA
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v4"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4")
#endif

#include "device/cpu/softmax_rows_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const mb_softmax_rows_t *mb_softmax_rows_avx512(void)
{
    bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    return has ? &rows : NULL;
}

#else

const mb_softmax_rows_t *mb_softmax_rows_avx512(void)
{
    return NULL;
}

#endif
