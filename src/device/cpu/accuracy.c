/* Counts rows whose largest element is the right one, a block of rows a tile. */
#include "device/cpu/cpu.h"

typedef struct {
    const mb_accuracy_args_t *args;
    int64_t block;
    double *partial;
} accuracy_t;

static int64_t largest(const float *x, int64_t columns)
{
    int64_t best = 0;
    for (int64_t j = 1; j < columns; j++)
        if (x[j] > x[best])
            best = j;
    return best;
}

static double row_accuracy(const mb_accuracy_args_t *a, int64_t i)
{
    const float *x = mb_in(a->x) + i * a->columns;
    if (a->sparse)
        return largest(x, a->columns) == ((const int32_t *)a->labels)[i] ? 1.0 : 0.0;
    const float *labels = (const float *)a->labels + i * a->columns;
    if (!a->binary)
        return largest(x, a->columns) == largest(labels, a->columns) ? 1.0 : 0.0;
    int64_t matched = 0;
    for (int64_t j = 0; j < a->columns; j++)
        matched += (x[j] > a->threshold ? 1.0f : 0.0f) == labels[j];
    return (double)matched / (double)a->columns;
}

static void accuracy_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const accuracy_t *c = context;
    mb_span_t rows = mb_span(tile, c->block, c->args->valid);
    double sum = 0.0;
    for (int64_t i = rows.begin; i < rows.end; i++)
        sum += row_accuracy(c->args, i);
    c->partial[tile] = sum;
}

mb_status_t mb_cpu_accuracy(mb_exec_t *exec, const mb_accuracy_args_t *args)
{
    MB_CPU_CHECK(MB_OP_ACCURACY,
                 args->valid >= 0 && args->valid <= args->rows && args->columns >= 1,
                 "rows without columns, or more valid rows than rows");
    accuracy_t c = {.args = args, .block = mb_even_rows(args->rows, args->columns)};
    mb_workspace_t workspace;
    /* Planned for all rows: how many are valid changes from step to step. */
    size_t most = (size_t)mb_ceil_div(args->rows, c.block);
    MB_TRY(mb_cpu_workspace(exec, MB_OP_ACCURACY, sizeof(double) * most, 0, &workspace));
    if (exec->planning)
        return MB_OK;
    c.partial = (double *)(void *)workspace.shared;
    int64_t tiles = mb_ceil_div(args->valid, c.block);
    mb_cpu_tiles(exec, tiles, accuracy_tile, &c);
    double sum = 0.0;
    for (int64_t tile = 0; tile < tiles; tile++)
        sum += c.partial[tile];
    *args->count += sum;
    return MB_OK;
}
