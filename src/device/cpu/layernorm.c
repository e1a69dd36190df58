/* Layer normalization over the last axis (Ba, Kiros, Hinton: "Layer normalization", 2016), and its
 * form without the mean (Zhang, Sennrich: "Root mean square layer normalization", 2019). */
#include <math.h>
#include <string.h>
#include "device/cpu/column_sum.h"
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

#define COLUMNS 64 /* columns whose sums stand on the stack */

typedef struct {
    const mb_layernorm_forward_args_t *args;
    int64_t block;
} forward_t;

MB_MULTIVERSION
static double sum_of(const float *x, int64_t columns)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < columns; j++)
        sum += (double)x[j];
    return sum;
}

MB_MULTIVERSION
static double sum_of_squares(const float *x, float mean, int64_t columns)
{
    double sum = 0.0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < columns; j++) {
        double d = (double)x[j] - (double)mean;
        sum += d * d;
    }
    return sum;
}

MB_MULTIVERSION
static void normalise(const mb_layernorm_forward_args_t *a, const float *x, float *y, float mean,
                      float rstd)
{
    const float *gamma = a->gamma, *beta = a->beta;
    if (gamma != NULL && beta != NULL) {
#pragma omp simd
        for (int64_t j = 0; j < a->columns; j++)
            y[j] = (x[j] - mean) * rstd * gamma[j] + beta[j];
        return;
    }
#pragma omp simd
    for (int64_t j = 0; j < a->columns; j++)
        y[j] = (x[j] - mean) * rstd;
    for (int64_t j = 0; j < a->columns && gamma != NULL; j++)
        y[j] *= gamma[j];
    for (int64_t j = 0; j < a->columns && beta != NULL; j++)
        y[j] += beta[j];
}

MB_MULTIVERSION
static void add(const float *a, const float *b, float *sum, int64_t count)
{
#pragma omp simd
    for (int64_t j = 0; j < count; j++)
        sum[j] = a[j] + b[j];
}

/* The row that is normalised. */
static const float *row_at(const mb_layernorm_forward_args_t *a, int64_t first)
{
    const float *x = mb_in(a->x) + first;
    if (!a->adds)
        return x;
    float *sum = mb_out(a->sum) + first;
    add(x, mb_in(a->residual) + first, sum, a->columns);
    return sum;
}

static void forward_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const forward_t *f = context;
    const mb_layernorm_forward_args_t *a = f->args;
    mb_span_t rows = mb_span(tile, f->block, a->rows);
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const float *x = row_at(a, i * a->columns);
        float mean = a->rms ? 0.0f : (float)(sum_of(x, a->columns) / (double)a->columns);
        double variance = sum_of_squares(x, mean, a->columns) / (double)a->columns;
        float rstd = (float)(1.0 / sqrt(variance + (double)a->epsilon));
        a->mean[i] = mean;
        a->rstd[i] = rstd;
        normalise(a, x, mb_out(a->y) + i * a->columns, mean, rstd);
    }
}

mb_status_t mb_cpu_layernorm_forward(mb_exec_t *exec, const mb_layernorm_forward_args_t *args)
{
    MB_CPU_CHECK(MB_OP_LAYERNORM_FORWARD, args->rows >= 0 && args->columns >= 1,
                 "rows without columns");
    if (exec->planning)
        return MB_OK;
    forward_t f = {args, mb_even_rows(args->rows, args->columns)};
    mb_cpu_tiles(exec, mb_ceil_div(args->rows, f.block), forward_tile, &f);
    return MB_OK;
}

/* dx = rstd (g - mean(g) - xhat mean(g xhat)), g = dy gamma; rms: without mean(g). */
typedef struct {
    const mb_layernorm_backward_input_args_t *args;
    int64_t block;
} input_t;

MB_MULTIVERSION
static void input_row(const mb_layernorm_backward_input_args_t *a, int64_t row)
{
    const float *x = mb_in(a->x) + row * a->columns;
    const float *dy = mb_in(a->dy) + row * a->columns;
    const float *gamma = a->gamma;
    float *dx = mb_out(a->dx) + row * a->columns;
    float mean = a->mean[row], rstd = a->rstd[row];
    double sum = 0.0, product = 0.0;
    if (gamma != NULL) {
#pragma omp simd reduction(+ : sum, product)
        for (int64_t j = 0; j < a->columns; j++) {
            double g = (double)(dy[j] * gamma[j]);
            sum += g;
            product += g * (double)((x[j] - mean) * rstd);
        }
    } else {
#pragma omp simd reduction(+ : sum, product)
        for (int64_t j = 0; j < a->columns; j++) {
            sum += (double)dy[j];
            product += (double)dy[j] * (double)((x[j] - mean) * rstd);
        }
    }
    float mean_g = a->rms ? 0.0f : (float)(sum / (double)a->columns);
    float mean_product = (float)(product / (double)a->columns);
    if (gamma != NULL) {
#pragma omp simd
        for (int64_t j = 0; j < a->columns; j++)
            dx[j] = rstd * (dy[j] * gamma[j] - mean_g - (x[j] - mean) * rstd * mean_product);
    } else {
#pragma omp simd
        for (int64_t j = 0; j < a->columns; j++)
            dx[j] = rstd * (dy[j] - mean_g - (x[j] - mean) * rstd * mean_product);
    }
}

static void input_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const input_t *t = context;
    mb_span_t rows = mb_span(tile, t->block, t->args->rows);
    for (int64_t i = rows.begin; i < rows.end; i++)
        input_row(t->args, i);
}

mb_status_t mb_cpu_layernorm_backward_input(mb_exec_t *exec,
                                            const mb_layernorm_backward_input_args_t *args)
{
    MB_CPU_CHECK(MB_OP_LAYERNORM_BACKWARD_INPUT, args->rows >= 0 && args->columns >= 1,
                 "rows without columns");
    if (exec->planning)
        return MB_OK;
    input_t t = {args, mb_even_rows(args->rows, args->columns)};
    mb_cpu_tiles(exec, mb_ceil_div(args->rows, t.block), input_tile, &t);
    return MB_OK;
}

typedef struct {
    const mb_layernorm_backward_weights_args_t *args;
    int64_t block;
    double *partial; /* [blocks][2][columns]: of dy, of dy xhat */
} weights_t;

MB_MULTIVERSION
static void weights_block(const mb_layernorm_backward_weights_args_t *a, mb_span_t rows,
                          double *out)
{
    double sum[COLUMNS], product[COLUMNS];
    for (int64_t first = 0; first < a->columns; first += COLUMNS) {
        int64_t n = mb_min_i64(COLUMNS, a->columns - first);
        memset(sum, 0, sizeof sum);
        memset(product, 0, sizeof product);
        for (int64_t i = rows.begin; i < rows.end; i++) {
            const float *restrict x = mb_in(a->x) + i * a->columns + first;
            const float *restrict dy = mb_in(a->dy) + i * a->columns + first;
            float mean = a->mean[i], rstd = a->rstd[i];
#pragma omp simd
            for (int64_t j = 0; j < n; j++) {
                sum[j] += (double)dy[j];
                product[j] += (double)(dy[j] * ((x[j] - mean) * rstd));
            }
        }
        memcpy(out + first, sum, sizeof(double) * (size_t)n);
        memcpy(out + a->columns + first, product, sizeof(double) * (size_t)n);
    }
}

static void weights_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const weights_t *w = context;
    weights_block(w->args, mb_span(tile, w->block, w->args->rows),
                  w->partial + tile * 2 * w->args->columns);
}

static void combine(const weights_t *w, int64_t blocks, int64_t which, float *out)
{
    int64_t columns = w->args->columns;
    if (out != NULL)
        mb_column_partials_add(w->partial + which * columns, blocks, 2 * columns, columns,
                               w->args->accumulate, out);
}

mb_status_t mb_cpu_layernorm_backward_weights(mb_exec_t *exec,
                                              const mb_layernorm_backward_weights_args_t *args)
{
    MB_CPU_CHECK(MB_OP_LAYERNORM_BACKWARD_WEIGHTS, args->rows >= 0 && args->columns >= 1,
                 "rows without columns");
    weights_t w = {.args = args};
    w.block =
        mb_max_i64(mb_even_rows(args->rows, args->columns), mb_ceil_div(args->rows, MB_CPU_TEAM));
    int64_t blocks = mb_ceil_div(args->rows, w.block);
    mb_workspace_t workspace;
    MB_TRY(mb_cpu_workspace(exec, MB_OP_LAYERNORM_BACKWARD_WEIGHTS,
                            sizeof(double) * 2 * (size_t)(blocks * args->columns), 0, &workspace));
    if (exec->planning)
        return MB_OK;
    w.partial = (double *)(void *)workspace.shared;
    mb_cpu_tiles(exec, blocks, weights_tile, &w);
    combine(&w, blocks, 0, args->dbeta);
    combine(&w, blocks, 1, args->dgamma);
    return MB_OK;
}
