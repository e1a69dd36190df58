/* Dropout: each element is kept with its scale, or zero, by a number of its own. */
#include "device/cpu/cpu.h"
#include "device/cpu/random.h"
#include "device/cpu/simd.h"

#define BLOCK 4096 /* elements whose factors stand on the stack */

typedef struct {
    const mb_dropout_args_t *args;
    int64_t repeats, tiles_a_run;
    mb_keep_run_t keep;
} dropout_t;

MB_MULTIVERSION
static void scale(const float *x, const float *factor, float *y, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = x[i] * factor[i];
}

static void dropout_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const dropout_t *d = context;
    const mb_dropout_args_t *a = d->args;
    int64_t run = tile / d->tiles_a_run, sample = run / d->repeats;
    mb_span_t s = mb_span(tile % d->tiles_a_run, BLOCK, a->elements);
    float factor[BLOCK];
    int64_t at = run * a->elements + s.begin;
    mb_cpu_keep_factors(d->keep, &a->random, (uint32_t)sample, s.begin, s.end - s.begin, a->rate,
                        1.0f / (1.0f - a->rate), factor);
    scale(mb_in(a->x) + at, factor, mb_out(a->y) + at, s.end - s.begin);
}

mb_status_t mb_cpu_dropout(mb_exec_t *exec, const mb_dropout_args_t *args)
{
    MB_CPU_CHECK(MB_OP_DROPOUT, args->samples >= 0 && args->elements >= 0 && args->repeats >= 0,
                 "negative size");
    MB_CPU_CHECK(MB_OP_DROPOUT, args->rate >= 0.0f && args->rate <= 1.0f, "a rate outside 0 to 1");
    MB_CPU_CHECK(MB_OP_DROPOUT, args->elements <= INT64_C(1) << 32,
                 "more than 2^32 elements a sample, which have no numbers of their own");
    if (exec->planning)
        return MB_OK;
    if (args->rate >= 1.0f) {
        mb_zero_args_t zero = {4 * mb_dropout_runs(args) * args->elements, args->y};
        return mb_cpu_zero(exec, &zero);
    }
    dropout_t d = {args, mb_max_i64(1, args->repeats), mb_ceil_div(args->elements, BLOCK),
                   mb_cpu_keep_run()};
    mb_cpu_tiles(exec, mb_dropout_runs(args) * d.tiles_a_run, dropout_tile, &d);
    return MB_OK;
}
