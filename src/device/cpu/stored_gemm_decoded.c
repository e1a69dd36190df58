/* A product with floats: a tile takes its columns of B in blocks of rows, decodes each block once
 * for all its rows of A, and adds the blocks' products in order. */
#include <string.h>
#include "device/cpu/stored_gemm.h"

#define MOST_ROWS 1024
#define MOST_COLUMNS 256
#define LEAST_COLUMNS 64
#define BLOCK 131072 /* numbers of a block: they should stay in the second cache */
#define MOST_K 4096  /* rows of B that are one block: a kernel is fastest where A has no gaps */
#define BLOCK_K 512

enum { FIRST, MIDDLE, LAST, BLOCKS };

typedef struct {
    const mb_stored_gemm_args_t *args;
    mb_stored_tiles_t tiles;
    int64_t block_k;
    mb_dnnl_kernel_t *kernel[2][2][BLOCKS]; /* [last row of tiles][last column of tiles] */
    size_t block_bytes, sums_bytes;
    mb_workspace_t workspace;
} decoded_t;

static mb_status_t prepare_kernels(mb_exec_t *exec, decoded_t *g, int last_m, int last_n,
                                   size_t *scratch)
{
    const mb_stored_gemm_args_t *a = g->args;
    for (int block = FIRST; block < BLOCKS; block++) {
        int64_t rest = a->b.rows - (a->b.rows - 1) / g->block_k * g->block_k;
        mb_dnnl_matmul_t shape = {
            .m = last_m ? g->tiles.last_rows : g->tiles.rows,
            .n = last_n ? g->tiles.last_columns : g->tiles.columns,
            .k = block == LAST ? rest : g->block_k,
            .lda = a->lda,
            .ldb = last_n ? g->tiles.last_columns : g->tiles.columns,
            .ldc = last_n ? g->tiles.last_columns : g->tiles.columns,
            .accumulate = block != FIRST,
            .bias = block == FIRST && a->bias != NULL,
        };
        mb_dnnl_kernel_t **kernel = &g->kernel[last_m][last_n][block];
        MB_TRY(mb_dnnl_matmul(mb_cpu_of(exec)->dnnl, &shape, kernel));
        size_t bytes = mb_dnnl_scratch_bytes(*kernel);
        *scratch = bytes > *scratch ? bytes : *scratch;
    }
    return MB_OK;
}

static mb_status_t prepare(mb_exec_t *exec, decoded_t *g)
{
    const mb_stored_gemm_args_t *a = g->args;
    g->block_k = a->b.rows <= MOST_K ? a->b.rows : BLOCK_K;
    int64_t most_columns = MOST_COLUMNS;
    while (most_columns > LEAST_COLUMNS && most_columns * g->block_k > BLOCK)
        most_columns /= 2;
    g->tiles = mb_stored_choose_tiles(a, MOST_ROWS, most_columns);
    size_t scratch = 0;
    for (int last_m = 0; last_m < 2; last_m++)
        for (int last_n = 0; last_n < 2; last_n++)
            MB_TRY(prepare_kernels(exec, g, last_m, last_n, &scratch));
    g->block_bytes = mb_round_64(sizeof(float) * (size_t)(g->block_k * g->tiles.columns));
    g->sums_bytes = mb_round_64(sizeof(float) * (size_t)(g->tiles.rows * g->tiles.columns));
    return mb_cpu_workspace(exec, MB_OP_STORED_GEMM, 0, g->block_bytes + g->sums_bytes + scratch,
                            &g->workspace);
}

static void compute_tile(void *context, int64_t tile, int thread)
{
    decoded_t *g = context;
    const mb_stored_gemm_args_t *a = g->args;
    mb_stored_tile_t t = mb_stored_tile(&g->tiles, tile);
    char *memory = mb_workspace_thread(&g->workspace, thread);
    float *block = (float *)(void *)memory, *sums = (float *)(void *)(memory + g->block_bytes);
    int64_t columns = t.columns.end - t.columns.begin;
    for (int64_t k = 0; k < a->b.rows; k += g->block_k) {
        mb_span_t rows = {k, mb_min_i64(k + g->block_k, a->b.rows)};
        mb_stored_decode(&a->b, rows, t.columns, block, columns);
        const void *arguments[] = {
            mb_in(a->a) + t.rows.begin * a->lda + k,
            block,
            sums,
            a->bias == NULL ? NULL : a->bias + t.columns.begin,
        };
        int which = k == 0 ? FIRST : rows.end == a->b.rows ? LAST : MIDDLE;
        mb_dnnl_run(g->kernel[t.last_m][t.last_n][which], thread, arguments,
                    memory + g->block_bytes + g->sums_bytes);
    }
    for (int64_t i = t.rows.begin; i < t.rows.end; i++)
        memcpy(mb_out(a->c) + i * a->ldc + t.columns.begin, sums + (i - t.rows.begin) * columns,
               sizeof(float) * (size_t)columns);
}

mb_status_t mb_stored_gemm_decoded(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    decoded_t g = {.args = args};
    MB_TRY(prepare(exec, &g));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, g.tiles.tiles_m * g.tiles.tiles_n, compute_tile, &g);
    return mb_dnnl_take_status(mb_cpu_of(exec)->dnnl);
}
