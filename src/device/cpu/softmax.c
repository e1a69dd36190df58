/* Softmax over rows, and its logarithm. */
#include <math.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"
#include "device/cpu/softmax_rows.h"

typedef struct {
    int64_t rows, columns, block;
    bool logarithm;
    const float *x, *y, *dy;
    float *out;
    const mb_softmax_rows_t *row;
} softmax_t;

const mb_softmax_rows_t *mb_softmax_rows(void)
{
    const mb_softmax_rows_t *best = mb_softmax_rows_avx512();
    if (best == NULL)
        best = mb_softmax_rows_avx2();
    return best == NULL ? mb_softmax_rows_plain() : best;
}

MB_MULTIVERSION
static void divide_row(float *y, int64_t columns, float divisor)
{
#pragma omp simd
    for (int64_t j = 0; j < columns; j++)
        y[j] /= divisor;
}

MB_MULTIVERSION
static void subtract_from(const float *x, float *y, int64_t columns, float first, float second)
{
#pragma omp simd
    for (int64_t j = 0; j < columns; j++)
        y[j] = x[j] - first - second;
}

static void forward_row(const softmax_t *s, const float *x, float *y)
{
    float largest = s->row->largest(x, s->columns);
    if (s->logarithm)
        subtract_from(x, y, s->columns, largest, (float)log(s->row->sum(x, largest, s->columns)));
    else
        divide_row(y, s->columns, (float)s->row->exponentials(x, largest, y, s->columns));
}

MB_MULTIVERSION
static void backward_row(const float *y, const float *dy, float *dx, int64_t columns)
{
    double dot = 0.0;
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < columns; j++)
        dot += (double)y[j] * (double)dy[j];
    float mean = (float)dot;
#pragma omp simd
    for (int64_t j = 0; j < columns; j++)
        dx[j] = y[j] * (dy[j] - mean);
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const softmax_t *s = context;
    mb_span_t rows = mb_span(tile, s->block, s->rows);
    for (int64_t i = rows.begin; i < rows.end; i++)
        forward_row(s, s->x + i * s->columns, s->out + i * s->columns);
}

static void backward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const softmax_t *s = context;
    mb_span_t rows = mb_span(tile, s->block, s->rows);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        int64_t at = i * s->columns;
        (s->logarithm ? s->row->logarithm_backward : backward_row)(s->y + at, s->dy + at,
                                                                   s->out + at, s->columns);
    }
}

static mb_status_t run(mb_exec_t *exec, mb_op_t op, softmax_t *s, mb_tile_fn_t compute)
{
    MB_CPU_CHECK(op, s->rows >= 0 && s->columns >= 1, "rows without columns");
    if (exec->planning)
        return MB_OK;
    s->block = mb_even_rows(s->rows, s->columns);
    s->row = mb_softmax_rows();
    mb_cpu_tiles(exec, mb_ceil_div(s->rows, s->block), compute, s);
    return MB_OK;
}

mb_status_t mb_cpu_softmax_forward(mb_exec_t *exec, const mb_softmax_forward_args_t *args)
{
    softmax_t s = {.rows = args->rows,
                   .columns = args->columns,
                   .logarithm = args->logarithm,
                   .x = args->x,
                   .out = args->y};
    return run(exec, MB_OP_SOFTMAX_FORWARD, &s, forward_tile);
}

mb_status_t mb_cpu_softmax_backward(mb_exec_t *exec, const mb_softmax_backward_args_t *args)
{
    softmax_t s = {.rows = args->rows,
                   .columns = args->columns,
                   .logarithm = args->logarithm,
                   .y = args->y,
                   .dy = args->dy,
                   .out = args->dx};
    return run(exec, MB_OP_SOFTMAX_BACKWARD, &s, backward_tile);
}
