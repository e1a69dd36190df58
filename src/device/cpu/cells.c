/* See cells.h. */
#include "device/cpu/cells.h"

#include <string.h>

enum { MOST_TILES = 64, MOST_SUMS = 1 << 20 };

static void cells_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_cells_t *c = context;
    mb_span_t rows = mb_span(tile, c->block, c->valid);
    double *sums = c->partial + tile * c->count;
    memset(sums, 0, sizeof(double) * (size_t)c->count);
    for (int64_t i = rows.begin; i < rows.end; i++)
        c->add(c, i, sums);
}

mb_status_t mb_cells_run(mb_exec_t *exec, mb_op_t op, mb_cells_t *cells, double *out)
{
    mb_workspace_t workspace;
    int64_t tiles_at_most = mb_min_i64(MOST_TILES, mb_max_i64(1, MOST_SUMS / cells->count));
    cells->block = mb_max_i64(mb_rows_block(cells->columns, MB_CPU_BLOCK),
                              mb_ceil_div(cells->rows, tiles_at_most));
    size_t most = (size_t)(mb_ceil_div(cells->rows, cells->block) * cells->count);
    MB_TRY(mb_cpu_workspace(exec, op, sizeof(double) * most, 0, &workspace));
    if (exec->planning)
        return MB_OK;
    cells->partial = (double *)(void *)workspace.shared;
    int64_t tiles = mb_ceil_div(cells->valid, cells->block);
    mb_cpu_tiles(exec, tiles, cells_tile, cells);
    for (int64_t tile = 0; tile < tiles; tile++) {
        for (int64_t k = 0; k < cells->count; k++)
            out[k] += cells->partial[tile * cells->count + k];
    }
    return MB_OK;
}
