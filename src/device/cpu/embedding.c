/* Rows of a table by number, and their gradient. The gradient is cut by columns: each tile walks
 * all numbers in their order, so equal numbers add in that order. */
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

/* Columns of a tile: whole lines of the cache. */
static int64_t width_block(int64_t width)
{
    return mb_even_block(width, 16, 64);
}

typedef struct {
    const mb_embedding_forward_args_t *args;
    int64_t block;
} forward_t;

static void forward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const forward_t *f = context;
    const mb_embedding_forward_args_t *a = f->args;
    mb_span_t s = mb_span(tile, f->block, a->count);
    for (int64_t i = s.begin; i < s.end; i++)
        memcpy(mb_out(a->y) + i * a->width, a->table + (int64_t)a->ids[i] * a->width,
               sizeof(float) * (size_t)a->width);
}

mb_status_t mb_cpu_embedding_forward(mb_exec_t *exec, const mb_embedding_forward_args_t *args)
{
    MB_CPU_CHECK(MB_OP_EMBEDDING_FORWARD, args->count >= 0 && args->width >= 1,
                 "rows without width");
    if (exec->planning)
        return MB_OK;
    forward_t f = {args, mb_even_rows(args->count, args->width)};
    mb_cpu_tiles(exec, mb_ceil_div(args->count, f.block), forward_tile, &f);
    return MB_OK;
}

MB_MULTIVERSION
static void backward_columns(const mb_embedding_backward_args_t *a, mb_span_t columns)
{
    int64_t n = columns.end - columns.begin;
    for (int64_t row = 0; row < a->vocabulary && !a->accumulate; row++)
        memset(a->dtable + row * a->width + columns.begin, 0, sizeof(float) * (size_t)n);
    for (int64_t i = 0; i < a->count; i++) {
        float *restrict to = a->dtable + (int64_t)a->ids[i] * a->width + columns.begin;
        const float *restrict from = mb_in(a->dy) + i * a->width + columns.begin;
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            to[j] += from[j];
    }
}

static void backward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_embedding_backward_args_t *a = context;
    backward_columns(a, mb_span(tile, width_block(a->width), a->width));
}

mb_status_t mb_cpu_embedding_backward(mb_exec_t *exec, const mb_embedding_backward_args_t *args)
{
    MB_CPU_CHECK(MB_OP_EMBEDDING_BACKWARD, args->count >= 0 && args->width >= 1,
                 "rows without width");
    if (exec->planning)
        return MB_OK;
    mb_embedding_backward_args_t a = *args;
    mb_cpu_tiles(exec, mb_ceil_div(args->width, width_block(args->width)), backward_tile, &a);
    return MB_OK;
}
