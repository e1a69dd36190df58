/* A product in whole numbers: rows of A are encoded once for all tiles; a tile's sums stay in its
 * thread's memory until they are scaled. */
#include "device/cpu/stored_gemm.h"

#define MOST_ROWS 512
#define MOST_COLUMNS 256
#define ENCODED 65536 /* elements of A that are encoded at a time */

typedef struct {
    const mb_stored_gemm_args_t *args;
    mb_stored_tiles_t tiles;
    mb_integer_product_t product[2][2]; /* [last row of tiles][last column of tiles] */
    size_t sums_bytes;
    uint8_t *encoded;
    mb_row_code_t *codes;
    mb_workspace_t workspace;
} integer_t;

static mb_status_t prepare(mb_exec_t *exec, integer_t *g)
{
    const mb_stored_gemm_args_t *a = g->args;
    g->tiles = mb_stored_choose_tiles(a, MOST_ROWS, MOST_COLUMNS);
    size_t scratch = 0;
    for (int last_m = 0; last_m < 2; last_m++) {
        for (int last_n = 0; last_n < 2; last_n++) {
            mb_integer_shape_t shape = {
                .m = last_m ? g->tiles.last_rows : g->tiles.rows,
                .n = last_n ? g->tiles.last_columns : g->tiles.columns,
                .k = a->b.rows,
                .lda = a->b.rows,
                .ldb = a->b.columns,
                .ldc = last_n ? g->tiles.last_columns : g->tiles.columns,
            };
            mb_integer_product_t *product = &g->product[last_m][last_n];
            MB_TRY(mb_stored_integer_prepare(exec, &shape, product));
            scratch = product->scratch_bytes > scratch ? product->scratch_bytes : scratch;
        }
    }
    g->sums_bytes = mb_round_64(sizeof(int32_t) * (size_t)(g->tiles.rows * g->tiles.columns));
    size_t encoded = mb_round_64((size_t)(a->m * a->b.rows));
    MB_TRY(mb_cpu_workspace(exec, MB_OP_STORED_GEMM, encoded + sizeof(mb_row_code_t) * (size_t)a->m,
                            g->sums_bytes + scratch, &g->workspace));
    g->encoded = (uint8_t *)g->workspace.shared;
    g->codes = exec->planning ? NULL : (mb_row_code_t *)(void *)(g->workspace.shared + encoded);
    return MB_OK;
}

static void encode_rows(void *context, int64_t tile, int thread)
{
    integer_t *g = context;
    const mb_stored_gemm_args_t *a = g->args;
    const float *factors = a->b.has_row_scales ? a->b.row_scales : NULL;
    mb_span_t rows = mb_span(tile, mb_rows_block(a->b.rows, ENCODED), a->m);
    (void)thread;
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const float *x = mb_in(a->a) + i * a->lda;
        g->codes[i] = mb_stored_row_code(x, factors, a->b.rows);
        mb_stored_row_encode(x, factors, a->b.rows, g->codes[i], g->encoded + i * a->b.rows);
    }
}

static void compute_tile(void *context, int64_t tile, int thread)
{
    integer_t *g = context;
    const mb_stored_gemm_args_t *a = g->args;
    mb_stored_tile_t t = mb_stored_tile(&g->tiles, tile);
    char *memory = mb_workspace_thread(&g->workspace, thread);
    int32_t *sums = (int32_t *)(void *)memory;
    mb_stored_integer_run(
        &g->product[t.last_m][t.last_n], thread, g->encoded + t.rows.begin * a->b.rows,
        (const int8_t *)a->b.values + t.columns.begin, sums, memory + g->sums_bytes);
    mb_integer_scale_t scale = {
        .matrix = &a->b,
        .first = t.columns.begin,
        .rows = t.rows.end - t.rows.begin,
        .columns = t.columns.end - t.columns.begin,
        .ld_sums = t.columns.end - t.columns.begin,
        .ldc = a->ldc,
        .sums = sums,
        .codes = g->codes + t.rows.begin,
        .code_step = 1,
        .bias = a->bias == NULL ? NULL : a->bias + t.columns.begin,
        .c = mb_out(a->c) + t.rows.begin * a->ldc + t.columns.begin,
    };
    mb_stored_integer_scale(&scale);
}

mb_status_t mb_stored_gemm_integer(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    integer_t g = {.args = args};
    MB_TRY(prepare(exec, &g));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, mb_ceil_div(args->m, mb_rows_block(args->b.rows, ENCODED)), encode_rows, &g);
    mb_cpu_tiles(exec, g.tiles.tiles_m * g.tiles.tiles_n, compute_tile, &g);
    return mb_dnnl_take_status(mb_cpu_of(exec)->dnnl);
}
