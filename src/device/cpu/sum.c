/* Sums of squares or magnitudes in double over tiles of 65536 elements, in tile order, so that sums
 * over parts that begin on tile boundaries chain to the same bits. */
#include "device/cpu/sum.h"
#include "device/cpu/simd.h"
#include "device/cpu/vmath.h"

#define TILE MB_TENSOR_TILE

typedef struct {
    const mb_sum_args_t *args;
    double *partial;
} sum_t;

MB_MULTIVERSION
double mb_cpu_sum_of(const float *x, int64_t count, bool absolute)
{
    double sum = 0.0;
    if (absolute) {
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < count; i++)
            sum += (double)mb_v_abs(x[i]);
        return sum;
    }
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static void sum_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const sum_t *s = context;
    mb_span_t span = mb_span(tile, TILE, s->args->count);
    s->partial[tile] =
        mb_cpu_sum_of(mb_in(s->args->x) + span.begin, span.end - span.begin, s->args->absolute);
}

mb_status_t mb_cpu_sum(mb_exec_t *exec, const mb_sum_args_t *args)
{
    MB_CPU_CHECK(MB_OP_SUM, args->count >= 0, "negative count");
    int64_t tiles = mb_ceil_div(args->count, TILE);
    mb_workspace_t workspace;
    MB_TRY(mb_cpu_workspace(exec, MB_OP_SUM, sizeof(double) * (size_t)tiles, 0, &workspace));
    if (exec->planning)
        return MB_OK;
    sum_t s = {args, (double *)(void *)workspace.shared};
    mb_cpu_tiles(exec, tiles, sum_tile, &s);
    double sum = args->accumulate ? *args->out : 0.0;
    for (int64_t tile = 0; tile < tiles; tile++)
        sum += s.partial[tile];
    *args->out = sum;
    return MB_OK;
}
