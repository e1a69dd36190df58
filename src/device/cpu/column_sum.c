/* Sums over rows: blocks of rows give partial sums in double, which are added in their order. */
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

#define COLUMNS 64 /* columns whose sums stand on the stack */
#define MOST_BLOCKS 64

typedef struct {
    const mb_column_sum_args_t *args;
    int64_t block;
    double *partial; /* [blocks][columns] */
} sum_t;

MB_MULTIVERSION
static void sum_rows(const float *a, int64_t rows, int64_t columns, double *out)
{
    double sum[COLUMNS];
    for (int64_t first = 0; first < columns; first += COLUMNS) {
        int64_t n = mb_min_i64(COLUMNS, columns - first);
        memset(sum, 0, sizeof sum);
        for (int64_t i = 0; i < rows; i++) {
            const float *restrict row = a + i * columns + first;
#pragma omp simd
            for (int64_t j = 0; j < n; j++)
                sum[j] += (double)row[j];
        }
        memcpy(out + first, sum, sizeof(double) * (size_t)n);
    }
}

static void sum_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const sum_t *s = context;
    const mb_column_sum_args_t *a = s->args;
    mb_span_t rows = mb_span(tile, s->block, a->rows);
    sum_rows(mb_in(a->a) + rows.begin * a->columns, rows.end - rows.begin, a->columns,
             s->partial + tile * a->columns);
}

mb_status_t mb_cpu_column_sum(mb_exec_t *exec, const mb_column_sum_args_t *args)
{
    MB_CPU_CHECK(MB_OP_COLUMN_SUM, args->rows >= 0 && args->columns >= 0, "negative size");
    sum_t s = {.args = args};
    s.block = mb_max_i64(mb_rows_block(args->columns, MB_CPU_BLOCK),
                         mb_ceil_div(args->rows, MOST_BLOCKS));
    int64_t blocks = mb_ceil_div(args->rows, s.block);
    mb_workspace_t workspace;
    MB_TRY(mb_cpu_workspace(exec, MB_OP_COLUMN_SUM,
                            sizeof(double) * (size_t)(blocks * args->columns), 0, &workspace));
    if (exec->planning)
        return MB_OK;
    s.partial = (double *)(void *)workspace.shared;
    mb_cpu_tiles(exec, blocks, sum_tile, &s);
    for (int64_t j = 0; j < args->columns; j++) {
        double sum = args->accumulate ? (double)args->sum[j] : 0.0;
        for (int64_t block = 0; block < blocks; block++)
            sum += s.partial[block * args->columns + j];
        args->sum[j] = (float)sum;
    }
    return MB_OK;
}
