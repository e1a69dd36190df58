/* Constraints on weights after a step (keras/src/constraints), a few vectors a tile. */
#include <math.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

#define TINY 1e-7f /* Keras' epsilon */

typedef struct {
    const mb_constrain_args_t *args;
    int64_t block;
} constrain_t;

static float clip(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

static float factor_of(const mb_constrain_args_t *a, float norm)
{
    switch (a->limit) {
    case MB_LIMIT_MAXNORM:
        return clip(norm, 0.0f, a->high) / (TINY + norm);
    case MB_LIMIT_UNITNORM:
        return 1.0f / (TINY + norm);
    case MB_LIMIT_MINMAX:
        return (a->rate * clip(norm, a->low, a->high) + (1.0f - a->rate) * norm) / (TINY + norm);
    case MB_LIMIT_NONNEG:
        break;
    }
    return 1.0f;
}

static void constrain_vector(const mb_constrain_args_t *a, float *w)
{
    double sum = 0.0;
    for (int64_t i = 0; i < a->axis; i++)
        sum += (double)w[i * a->inner] * (double)w[i * a->inner];
    float factor = factor_of(a, (float)sqrt(sum));
    for (int64_t i = 0; i < a->axis; i++)
        w[i * a->inner] *= factor;
}

static void vectors_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const constrain_t *c = context;
    const mb_constrain_args_t *a = c->args;
    mb_span_t s = mb_span(tile, c->block, a->outer * a->inner);
    for (int64_t i = s.begin; i < s.end; i++)
        constrain_vector(a, a->w + i / a->inner * a->axis * a->inner + i % a->inner);
}

static void elements_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_constrain_args_t *a = ((const constrain_t *)context)->args;
    mb_span_t s = mb_span(tile, MB_CPU_BLOCK, a->outer * a->axis * a->inner);
    for (int64_t i = s.begin; i < s.end; i++)
        a->w[i] = a->w[i] < 0.0f ? 0.0f : a->w[i];
}

mb_status_t mb_cpu_constrain(mb_exec_t *exec, const mb_constrain_args_t *args)
{
    MB_CPU_CHECK(MB_OP_CONSTRAIN, args->outer >= 0 && args->axis >= 0 && args->inner >= 0,
                 "negative size");
    MB_CPU_CHECK(MB_OP_CONSTRAIN, (unsigned)args->limit <= MB_LIMIT_MINMAX, "unknown limit");
    if (exec->planning)
        return MB_OK;
    constrain_t c = {args, mb_rows_block(args->axis, MB_CPU_BLOCK)};
    if (args->limit == MB_LIMIT_NONNEG)
        mb_cpu_tiles(exec, mb_ceil_div(args->outer * args->axis * args->inner, MB_CPU_BLOCK),
                     elements_tile, &c);
    else
        mb_cpu_tiles(exec, mb_ceil_div(args->outer * args->inner, c.block), vectors_tile, &c);
    return MB_OK;
}
