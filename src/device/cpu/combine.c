/* Sums of two multiples. */
#include <stddef.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

MB_MULTIVERSION
static void scaled(const float *a, float p, float *y, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = p * a[i];
}

MB_MULTIVERSION
static void combined(const float *a, float p, const float *b, float q, float *y, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = p * a[i] + q * b[i];
}

static void combine_block(void *context, int64_t block, int thread)
{
    (void)thread;
    const mb_combine_args_t *a = context;
    mb_span_t s = mb_span(block, MB_CPU_BLOCK, a->count);
    float p = a->scale == NULL ? a->p : a->p * *a->scale;
    if (a->b == NULL)
        scaled(a->a + s.begin, p, a->y + s.begin, s.end - s.begin);
    else
        combined(a->a + s.begin, p, a->b + s.begin, a->q, a->y + s.begin, s.end - s.begin);
}

mb_status_t mb_cpu_combine(mb_exec_t *exec, const mb_combine_args_t *args)
{
    MB_CPU_CHECK(MB_OP_COMBINE, args->count >= 0, "negative count");
    mb_combine_args_t a = *args;
    if (!exec->planning)
        mb_cpu_tiles(exec, mb_ceil_div(args->count, MB_CPU_BLOCK), combine_block, &a);
    return MB_OK;
}
