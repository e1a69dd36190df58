/* Adafactor's direction of matrices (Shazeer, Stern, arXiv 1804.04235, algorithm 2). Source:
 * keras/src/optimizers/adafactor.py. Rows are summed by whoever has them, columns in blocks of
 * columns over all rows, the rows' mean by one thread a matrix: an order that shape alone fixes. */
#include <math.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

enum { COLUMNS = 256 /* of a block */, LANES = 8 };

typedef struct {
    const mb_factor_args_t *args;
    int64_t row_block, row_blocks; /* rows of a block, and blocks, of all matrices */
    int64_t column_blocks;         /* of one matrix */
    float *mean;                   /* [matrices] of its rows */
} factor_t;

static float moved(const mb_factor_args_t *a, float before, double mean)
{
    return a->rho * before + (1.0f - a->rho) * (float)mean;
}

/* In lanes that any processor can keep apart, added in order. */
MB_MULTIVERSION
static double sum_of_squares(const float *g, int64_t count, float epsilon)
{
    double lane[LANES] = {0.0}, sum = 0.0;
    for (int64_t i = 0; i + LANES <= count; i += LANES) {
        for (int k = 0; k < LANES; k++)
            lane[k] += (double)(g[i + k] * g[i + k] + epsilon);
    }
    for (int64_t i = count - count % LANES; i < count; i++)
        sum += (double)(g[i] * g[i] + epsilon);
    for (int k = 0; k < LANES; k++)
        sum += lane[k];
    return sum;
}

static void average_rows(void *context, int64_t block, int thread)
{
    (void)thread;
    const factor_t *f = context;
    const mb_factor_args_t *a = f->args;
    mb_span_t s = mb_span(block, f->row_block, a->matrices * a->rows);
    for (int64_t r = s.begin; r < s.end; r++) {
        double sum = sum_of_squares(a->g + r * a->columns, a->columns, a->epsilon);
        a->row[r] = moved(a, a->row[r], sum / (double)a->columns);
    }
}

MB_MULTIVERSION
static void add_squares(const float *restrict g, int64_t count, float epsilon, double *restrict sum)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        sum[i] += (double)(g[i] * g[i] + epsilon);
}

static void average_columns(void *context, int64_t block, int thread)
{
    (void)thread;
    const factor_t *f = context;
    const mb_factor_args_t *a = f->args;
    int64_t matrix = block / f->column_blocks;
    mb_span_t s = mb_span(block % f->column_blocks, COLUMNS, a->columns);
    const float *g = a->g + matrix * a->rows * a->columns + s.begin;
    float *column = a->column + matrix * a->columns + s.begin;
    double sum[COLUMNS] = {0.0};
    for (int64_t r = 0; r < a->rows; r++)
        add_squares(g + r * a->columns, s.end - s.begin, a->epsilon, sum);
    for (int64_t i = 0; i < s.end - s.begin; i++)
        column[i] = moved(a, column[i], sum[i] / (double)a->rows);
}

static void average_of_rows(void *context, int64_t matrix, int thread)
{
    (void)thread;
    const factor_t *f = context;
    const mb_factor_args_t *a = f->args;
    double sum = 0.0;
    for (int64_t r = 0; r < a->rows; r++)
        sum += (double)a->row[matrix * a->rows + r];
    f->mean[matrix] = (float)(sum / (double)a->rows);
}

MB_MULTIVERSION
static void direct_row(float *restrict g, float *restrict velocity, const float *restrict column,
                       int64_t count, float share)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float v = share * column[i];
        velocity[i] = v;
        g[i] = g[i] == 0.0f ? 0.0f : g[i] / sqrtf(v);
    }
}

static void direct_rows(void *context, int64_t block, int thread)
{
    (void)thread;
    const factor_t *f = context;
    const mb_factor_args_t *a = f->args;
    mb_span_t s = mb_span(block, f->row_block, a->matrices * a->rows);
    for (int64_t r = s.begin; r < s.end; r++) {
        int64_t matrix = r / a->rows, at = r * a->columns;
        direct_row(a->g + at, a->velocity + at, a->column + matrix * a->columns, a->columns,
                   a->row[r] / f->mean[matrix]);
    }
}

mb_status_t mb_cpu_factor(mb_exec_t *exec, const mb_factor_args_t *args)
{
    mb_workspace_t workspace;
    MB_CPU_CHECK(MB_OP_FACTOR, args->matrices >= 0 && args->rows >= 0 && args->columns >= 0,
                 "negative count");
    MB_TRY(mb_cpu_workspace(exec, MB_OP_FACTOR, sizeof(float) * (size_t)args->matrices, 0,
                            &workspace));
    if (exec->planning || args->matrices * args->rows * args->columns == 0)
        return MB_OK;
    factor_t f = {.args = args,
                  .row_block = mb_rows_block(args->columns, MB_CPU_BLOCK),
                  .column_blocks = mb_ceil_div(args->columns, COLUMNS),
                  .mean = (float *)(void *)workspace.shared};
    f.row_blocks = mb_ceil_div(args->matrices * args->rows, f.row_block);
    mb_cpu_tiles(exec, f.row_blocks, average_rows, &f);
    mb_cpu_tiles(exec, args->matrices * f.column_blocks, average_columns, &f);
    mb_cpu_tiles(exec, args->matrices, average_of_rows, &f);
    mb_cpu_tiles(exec, f.row_blocks, direct_rows, &f);
    return MB_OK;
}
