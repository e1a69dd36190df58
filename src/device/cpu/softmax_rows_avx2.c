/* Rows of exponentials with AVX2 and FMA. */
#include "device/cpu/softmax_rows.h"
#include <stdbool.h>
#include <stddef.h>

#if defined(__x86_64__) && defined(__GNUC__)

#define MB_V_FMA
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("arch=x86-64-v3"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#endif

#include "device/cpu/softmax_rows_body.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const mb_softmax_rows_t *mb_softmax_rows_avx2(void)
{
    bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    return has ? &rows : NULL;
}

#else

const mb_softmax_rows_t *mb_softmax_rows_avx2(void)
{
    return NULL;
}

#endif
