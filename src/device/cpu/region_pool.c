/* Pooling over regions of an axis, a few images a tile. Rows are `inner` numbers that lie together:
 * a region is so many of them. */
#include <math.h>
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

#define TILE_ELEMENTS 32768
#define COLUMNS 64 /* whose gradient stands on the stack */

typedef struct {
    int64_t outer, in, out, inner, tile_outer;
    bool average;
    const float *x, *y, *dy;
    float *result;
} pool_t;

static mb_span_t region_of(const pool_t *p, int64_t j)
{
    return (mb_span_t){j * p->in / p->out, mb_ceil_div((j + 1) * p->in, p->out)};
}

MB_MULTIVERSION
static void mean_of(const float *x, int64_t rows, int64_t columns, float *restrict y)
{
    memset(y, 0, sizeof(float) * (size_t)columns);
    for (int64_t i = 0; i < rows; i++, x += columns)
#pragma omp simd
        for (int64_t c = 0; c < columns; c++)
            y[c] += x[c];
    float count = (float)rows;
    for (int64_t c = 0; c < columns; c++)
        y[c] /= count;
}

MB_MULTIVERSION
static void largest_of(const float *x, int64_t rows, int64_t columns, float *restrict y)
{
    for (int64_t c = 0; c < columns; c++)
        y[c] = -INFINITY;
    for (int64_t i = 0; i < rows; i++, x += columns)
#pragma omp simd
        for (int64_t c = 0; c < columns; c++)
            y[c] = x[c] > y[c] || x[c] != x[c] ? x[c] : y[c];
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const pool_t *p = context;
    mb_span_t outer = mb_span(tile, p->tile_outer, p->outer);
    for (int64_t o = outer.begin; o < outer.end; o++) {
        for (int64_t j = 0; j < p->out; j++) {
            mb_span_t r = region_of(p, j);
            const float *x = p->x + (o * p->in + r.begin) * p->inner;
            float *y = p->result + (o * p->out + j) * p->inner;
            (p->average ? mean_of : largest_of)(x, r.end - r.begin, p->inner, y);
        }
    }
}

MB_MULTIVERSION
static void spread_mean(const float *restrict dy, int64_t rows, int64_t columns, float *dx)
{
    float count = (float)rows;
    for (int64_t i = 0; i < rows; i++, dx += columns)
#pragma omp simd
        for (int64_t c = 0; c < columns; c++)
            dx[c] += dy[c] / count;
}

/* Gives dy to the first row whose x is the largest, for up to COLUMNS columns of rows that are
 * STRIDE apart. */
MB_MULTIVERSION
static void give_to_first(const float *x, const float *restrict y, const float *dy, int64_t rows,
                          int64_t columns, int64_t stride, float *dx)
{
    float left[COLUMNS];
    memcpy(left, dy, sizeof(float) * (size_t)columns);
    for (int64_t i = 0; i < rows; i++, x += stride, dx += stride) {
#pragma omp simd
        for (int64_t c = 0; c < columns; c++) {
            dx[c] += x[c] == y[c] ? left[c] : 0.0f;
            left[c] = x[c] == y[c] ? 0.0f : left[c];
        }
    }
}

static void backward_region(const pool_t *p, int64_t o, int64_t j)
{
    mb_span_t r = region_of(p, j);
    int64_t rows = r.end - r.begin, first = (o * p->in + r.begin) * p->inner;
    int64_t row = (o * p->out + j) * p->inner;
    if (p->average) {
        spread_mean(p->dy + row, rows, p->inner, p->result + first);
        return;
    }
    for (int64_t c = 0; c < p->inner; c += COLUMNS)
        give_to_first(p->x + first + c, p->y + row + c, p->dy + row + c, rows,
                      mb_min_i64(COLUMNS, p->inner - c), p->inner, p->result + first + c);
}

static void backward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const pool_t *p = context;
    mb_span_t outer = mb_span(tile, p->tile_outer, p->outer);
    int64_t image = p->in * p->inner;
    memset(p->result + outer.begin * image, 0,
           sizeof(float) * (size_t)((outer.end - outer.begin) * image));
    for (int64_t o = outer.begin; o < outer.end; o++)
        for (int64_t j = 0; j < p->out; j++)
            backward_region(p, o, j);
}

static mb_status_t run(mb_exec_t *exec, mb_op_t op, pool_t *p, mb_tile_fn_t compute)
{
    MB_CPU_CHECK(op, p->outer >= 0 && p->in >= 1 && p->out >= 1 && p->inner >= 1, "empty images");
    if (exec->planning)
        return MB_OK;
    p->tile_outer = mb_rows_block(p->in * p->inner, TILE_ELEMENTS);
    mb_cpu_tiles(exec, mb_ceil_div(p->outer, p->tile_outer), compute, p);
    return MB_OK;
}

mb_status_t mb_cpu_region_pool_forward(mb_exec_t *exec, const mb_region_pool_forward_args_t *args)
{
    pool_t p = {.outer = args->outer,
                .in = args->in,
                .out = args->out,
                .inner = args->inner,
                .average = args->average,
                .x = args->x,
                .result = args->y};
    return run(exec, MB_OP_REGION_POOL_FORWARD, &p, forward_tile);
}

mb_status_t mb_cpu_region_pool_backward(mb_exec_t *exec, const mb_region_pool_backward_args_t *args)
{
    pool_t p = {.outer = args->outer,
                .in = args->in,
                .out = args->out,
                .inner = args->inner,
                .average = args->average,
                .x = args->x,
                .y = args->y,
                .dy = args->dy,
                .result = args->dx};
    return run(exec, MB_OP_REGION_POOL_BACKWARD, &p, backward_tile);
}
