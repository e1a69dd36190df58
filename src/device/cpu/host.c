/* A function of a plugin's over tiles of rows. Each tile leaves its sums in an array of its own,
 * and these are added in the order of the tiles. */
#include <string.h>
#include "device/cpu/cpu.h"

enum { TILE_ELEMENTS = 4096, MOST_TILES = 64 };

typedef struct {
    const mb_host_args_t *args;
    int64_t block, tiles;
    int64_t kept;    /* doubles of a tile: its sums, one behind the other, and its total */
    double *partial; /* [tiles, kept] */
} host_t;

static int64_t row_elements(const mb_host_args_t *a)
{
    int64_t elements = 0;
    for (int i = 0; i < a->n_reads; i++)
        elements += a->read_columns[i];
    for (int i = 0; i < a->n_writes; i++)
        elements += a->write_columns[i];
    return elements;
}

static host_t cut(const mb_host_args_t *a)
{
    host_t host = {.args = a, .kept = 1};
    host.block =
        mb_max_i64(mb_rows_block(row_elements(a), TILE_ELEMENTS), mb_ceil_div(a->rows, MOST_TILES));
    host.tiles = mb_ceil_div(a->rows, host.block);
    for (int i = 0; i < a->n_sums; i++)
        host.kept += a->sum_columns[i];
    return host;
}

/* Float and int32 elements are of one size. */
static const void *read_at(const mb_host_args_t *a, int i, int64_t row)
{
    return (const float *)a->reads[i] + row * a->read_columns[i];
}

static void run_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const host_t *h = context;
    const mb_host_args_t *a = h->args;
    mb_span_t rows = mb_span(tile, h->block, a->rows);
    double *partial = h->partial + tile * h->kept, *sums = partial + 1;
    mb_host_tile_t t = {.args = a, .rows = rows.end - rows.begin};
    t.valid = mb_max_i64(0, mb_min_i64(a->valid, rows.end) - rows.begin);
    memset(partial, 0, sizeof *partial * (size_t)h->kept);
    for (int i = 0; i < a->n_reads; i++)
        t.reads[i] = a->reads[i] == NULL ? NULL : read_at(a, i, rows.begin);
    for (int i = 0; i < a->n_writes; i++)
        t.writes[i] =
            a->writes[i] == NULL ? NULL : mb_out(a->writes[i]) + rows.begin * a->write_columns[i];
    for (int i = 0; i < a->n_sums; sums += a->sum_columns[i], i++)
        t.sums[i] = sums;
    a->function(&t);
    partial[0] = t.total;
}

static double over_tiles(const host_t *h, int64_t at)
{
    double sum = 0.0;
    for (int64_t tile = 0; tile < h->tiles; tile++)
        sum += h->partial[tile * h->kept + at];
    return sum;
}

static void finish(const host_t *h)
{
    const mb_host_args_t *a = h->args;
    int64_t at = 1;
    if (a->total != NULL)
        *a->total += over_tiles(h, 0);
    for (int i = 0; i < a->n_sums; i++) {
        for (int64_t j = 0; j < a->sum_columns[i]; j++, at++) {
            float sum = (float)over_tiles(h, at);
            if (a->sums[i] != NULL)
                a->sums[i][j] = a->accumulate ? a->sums[i][j] + sum : sum;
        }
    }
}

mb_status_t mb_cpu_host(mb_exec_t *exec, const mb_host_args_t *args)
{
    host_t host = cut(args);
    mb_workspace_t workspace;
    MB_CPU_CHECK(MB_OP_HOST, args->valid >= 0 && args->valid <= args->rows,
                 "more valid rows than rows");
    size_t bytes = sizeof(double) * (size_t)(host.tiles * host.kept);
    MB_TRY(mb_cpu_workspace(exec, MB_OP_HOST, bytes, 0, &workspace));
    if (exec->planning)
        return MB_OK;
    host.partial = (double *)(void *)workspace.shared;
    mb_cpu_tiles(exec, host.tiles, run_tile, &host);
    finish(&host);
    return MB_OK;
}
