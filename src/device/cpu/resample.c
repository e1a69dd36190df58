/* Resampling of an axis: each row of the result is a sum of a few rows, `inner` numbers that lie
 * together, times weights that are computed once for all. */
#include "device/resample.h"
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

#define TILE_ELEMENTS 32768

typedef struct {
    const mb_resample_args_t *args;
    mb_resample_t shape;
    float *weights; /* [out, taps] */
    int64_t rows, tile_outer;
} resample_t;

MB_MULTIVERSION
static void add_row(float *restrict y, const float *restrict x, float weight, int64_t columns)
{
#pragma omp simd
    for (int64_t c = 0; c < columns; c++)
        y[c] += x[c] * weight;
}

/* Row J of M x: a gather. */
static void forward_row(const resample_t *r, const float *x, int64_t j, float *y)
{
    int64_t inner = r->args->inner, first = mb_resample_first(&r->shape, j);
    for (int64_t k = 0; k < r->shape.taps && first + k < r->shape.in; k++)
        add_row(y, x + (first + k) * inner, r->weights[j * r->shape.taps + k], inner);
}

/* Row I of M^T x, from the rows of M that have a weight for it, in their order. */
static void backward_row(const resample_t *r, const float *x, int64_t i, float *y)
{
    int64_t inner = r->args->inner, begin, end;
    mb_resample_seen(&r->shape, i, &begin, &end);
    for (int64_t j = begin; j < end; j++) {
        int64_t k = i - mb_resample_first(&r->shape, j);
        if (k >= 0 && k < r->shape.taps)
            add_row(y, x + j * inner, r->weights[j * r->shape.taps + k], inner);
    }
}

static void tile_of(void *context, int64_t tile, int thread)
{
    (void)thread;
    const resample_t *r = context;
    const mb_resample_args_t *a = r->args;
    mb_span_t outer = mb_span(tile, r->tile_outer, a->outer);
    int64_t from = a->transposed ? a->out : a->in;
    for (int64_t o = outer.begin; o < outer.end; o++) {
        const float *x = mb_in(a->x) + o * from * a->inner;
        float *y = mb_out(a->y) + o * r->rows * a->inner;
        memset(y, 0, sizeof(float) * (size_t)(r->rows * a->inner));
        for (int64_t row = 0; row < r->rows; row++, y += a->inner)
            (a->transposed ? backward_row : forward_row)(r, x, row, y);
    }
}

mb_status_t mb_cpu_resample(mb_exec_t *exec, const mb_resample_args_t *args)
{
    MB_CPU_CHECK(MB_OP_RESAMPLE, args->filter < MB_FILTER_COUNT, "an unknown filter");
    MB_CPU_CHECK(MB_OP_RESAMPLE,
                 args->outer >= 0 && args->in >= 1 && args->out >= 1 && args->inner >= 1,
                 "empty images");
    resample_t r = {.args = args, .shape = mb_resample_of(args)};
    mb_workspace_t workspace;
    MB_TRY(mb_cpu_workspace(exec, MB_OP_RESAMPLE,
                            sizeof(float) * (size_t)(args->out * r.shape.taps), 0, &workspace));
    if (exec->planning)
        return MB_OK;
    r.weights = (float *)(void *)workspace.shared;
    for (int64_t j = 0; j < args->out; j++)
        mb_resample_weights(&r.shape, j, r.weights + j * r.shape.taps);
    r.rows = args->transposed ? args->in : args->out;
    r.tile_outer = mb_rows_block(r.rows * args->inner, TILE_ELEMENTS);
    mb_cpu_tiles(exec, mb_ceil_div(args->outer, r.tile_outer), tile_of, &r);
    return MB_OK;
}
