/* The squared norms of all gradients of a table, in the tiles and the order of sum.c. */
#include "device/cpu/cpu.h"
#include "device/cpu/sum.h"
#include "device/table.h"

typedef struct {
    const mb_table_t *table;
    double *partial;
} norms_t;

static void norm_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const norms_t *norms = context;
    const mb_tensor_t *tensor = mb_table_find(norms->table, tile);
    mb_span_t span = mb_span(tile - tensor->first_tile, MB_TENSOR_TILE, tensor->count);
    norms->partial[tile] = mb_cpu_sum_of(tensor->g + span.begin, span.end - span.begin, false);
}

static double sum_of_tiles(const mb_tensor_t *tensor, const double *partial)
{
    int64_t end = tensor->first_tile + mb_ceil_div(tensor->count, MB_TENSOR_TILE);
    double sum = 0.0;
    for (int64_t tile = tensor->first_tile; tile < end; tile++)
        sum += partial[tile];
    return sum;
}

mb_status_t mb_cpu_norms(mb_exec_t *exec, const mb_norms_args_t *args)
{
    const mb_table_t *table = &args->table;
    mb_workspace_t workspace;
    MB_CPU_CHECK(MB_OP_NORMS, table->n >= 0 && table->tiles >= 0, "negative count");
    MB_TRY(
        mb_cpu_workspace(exec, MB_OP_NORMS, sizeof(double) * (size_t)table->tiles, 0, &workspace));
    if (exec->planning)
        return MB_OK;
    norms_t norms = {table, (double *)(void *)workspace.shared};
    mb_cpu_tiles(exec, table->tiles, norm_tile, &norms);
    for (int64_t i = 0; i < table->n; i++)
        args->out[table->tensors[i].place] = sum_of_tiles(&table->tensors[i], norms.partial);
    return MB_OK;
}
