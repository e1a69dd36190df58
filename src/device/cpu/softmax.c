/* Softmax over rows, and its logarithm. */
#include <math.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"
#include "device/cpu/vmath.h"

typedef struct {
    int64_t rows, columns, block;
    bool logarithm;
    const float *x, *y, *dy;
    float *out;
} softmax_t;

MB_MULTIVERSION
static void forward_row(const float *x, float *y, int64_t columns)
{
    float largest = x[0];
#pragma omp simd reduction(max : largest)
    for (int64_t j = 0; j < columns; j++)
        largest = x[j] > largest ? x[j] : largest;
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < columns; j++) {
        float e = mb_v_exp(x[j] - largest);
        y[j] = e;
        sum += (double)e;
    }
    float total = (float)sum;
#pragma omp simd
    for (int64_t j = 0; j < columns; j++)
        y[j] /= total;
}

MB_MULTIVERSION
static void logarithm_row(const float *x, float *y, int64_t columns)
{
    float largest = x[0];
#pragma omp simd reduction(max : largest)
    for (int64_t j = 0; j < columns; j++)
        largest = x[j] > largest ? x[j] : largest;
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < columns; j++)
        sum += (double)mb_v_exp(x[j] - largest);
    float taken_off = (float)log(sum);
#pragma omp simd
    for (int64_t j = 0; j < columns; j++)
        y[j] = x[j] - largest - taken_off;
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

MB_MULTIVERSION
static void logarithm_backward_row(const float *y, const float *dy, float *dx, int64_t columns)
{
    double total = 0.0;
#pragma omp simd reduction(+ : total)
    for (int64_t j = 0; j < columns; j++)
        total += (double)dy[j];
    float sum = (float)total;
#pragma omp simd
    for (int64_t j = 0; j < columns; j++)
        dx[j] = dy[j] - mb_v_exp(y[j]) * sum;
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const softmax_t *s = context;
    mb_span_t rows = mb_span(tile, s->block, s->rows);
    for (int64_t i = rows.begin; i < rows.end; i++)
        (s->logarithm ? logarithm_row : forward_row)(s->x + i * s->columns, s->out + i * s->columns,
                                                     s->columns);
}

static void backward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const softmax_t *s = context;
    mb_span_t rows = mb_span(tile, s->block, s->rows);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        int64_t at = i * s->columns;
        (s->logarithm ? logarithm_backward_row : backward_row)(s->y + at, s->dy + at, s->out + at,
                                                               s->columns);
    }
}

static mb_status_t run(mb_exec_t *exec, mb_op_t op, softmax_t *s, mb_tile_fn_t compute)
{
    MB_CPU_CHECK(op, s->rows >= 0 && s->columns >= 1, "rows without columns");
    if (exec->planning)
        return MB_OK;
    s->block = mb_rows_block(s->columns, MB_CPU_BLOCK);
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
