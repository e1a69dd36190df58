/* Products with a matrix as it is stored: which way suits, and into which tiles. */
#include "device/cpu/stored_gemm.h"

#define ENOUGH_TILES 8
#define LEAST_COLUMNS 64
#define FEW_ROWS 32 /* up to here it is fastest to decode numbers where they are used */

mb_stored_tiles_t mb_stored_choose_tiles(const mb_stored_gemm_args_t *args, int64_t most_rows,
                                         int64_t most_columns)
{
    int64_t m = args->m, n = args->b.columns;
    mb_stored_tiles_t t = {.columns = most_columns};
    t.tiles_m = mb_ceil_div(m, most_rows);
    t.rows = mb_min_i64(m, (mb_ceil_div(m, t.tiles_m) + 15) / 16 * 16);
    t.tiles_m = mb_ceil_div(m, t.rows);
    while (t.columns > LEAST_COLUMNS && t.tiles_m * mb_ceil_div(n, t.columns) < ENOUGH_TILES)
        t.columns /= 2;
    t.columns = mb_min_i64(t.columns, n);
    t.tiles_n = mb_ceil_div(n, t.columns);
    t.last_rows = m - (t.tiles_m - 1) * t.rows;
    t.last_columns = n - (t.tiles_n - 1) * t.columns;
    return t;
}

mb_stored_tile_t mb_stored_tile(const mb_stored_tiles_t *tiles, int64_t tile)
{
    int64_t i = tile % tiles->tiles_m, j = tile / tiles->tiles_m;
    mb_stored_tile_t t = {.last_m = i == tiles->tiles_m - 1, .last_n = j == tiles->tiles_n - 1};
    t.rows.begin = i * tiles->rows;
    t.rows.end = t.rows.begin + (t.last_m ? tiles->last_rows : tiles->rows);
    t.columns.begin = j * tiles->columns;
    t.columns.end = t.columns.begin + (t.last_n ? tiles->last_columns : tiles->columns);
    return t;
}

/* An empty sum: C is the bias, or zero. */
static void compute_empty(const mb_stored_gemm_args_t *a)
{
    for (int64_t i = 0; i < a->m; i++)
        for (int64_t j = 0; j < a->b.columns; j++)
            mb_out(a->c)[i * a->ldc + j] = a->bias != NULL ? mb_in(a->bias)[j] : 0.0f;
}

static mb_status_t run_plain(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    mb_gemm_args_t plain = {.m = args->m,
                            .n = args->b.columns,
                            .k = args->b.rows,
                            .lda = args->lda,
                            .ldb = args->b.columns,
                            .ldc = args->ldc,
                            .a = args->a,
                            .b = args->b.values,
                            .bias = args->bias,
                            .c = args->c};
    return mb_cpu_gemm(exec, &plain);
}

mb_status_t mb_cpu_stored_gemm(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    const mb_matrix_t *b = &args->b;
    bool scaled = b->block_rows > 0 || b->has_row_scales || b->squared;
    MB_CPU_CHECK(MB_OP_STORED_GEMM, args->m >= 0 && b->rows >= 0 && b->columns >= 0,
                 "negative size");
    MB_CPU_CHECK(MB_OP_STORED_GEMM, args->lda >= b->rows, "leading dimension of A below its row");
    MB_CPU_CHECK(MB_OP_STORED_GEMM, args->ldc >= b->columns,
                 "leading dimension of C below its row");
    MB_CPU_CHECK(MB_OP_STORED_GEMM, b->block_rows == 0 || b->block_columns > 0,
                 "blocks of no columns");
    if (args->m == 0 || b->columns == 0)
        return MB_OK;
    if (b->rows == 0) {
        if (!exec->planning)
            compute_empty(args);
        return MB_OK;
    }
    if (b->number == MB_NUMBER_F32 && !scaled)
        return run_plain(exec, args);
    bool many = args->m >= MB_INTEGER_ROWS;
    if (many && args->integer && mb_stored_is_integer(b))
        return mb_stored_gemm_integer(exec, args);
    if (many && b->number == MB_NUMBER_BF16 && !scaled && mb_dnnl_has_bf16())
        return mb_stored_gemm_bf16(exec, args);
    if (args->m <= FEW_ROWS && !b->squared)
        return mb_cpu_stored_rows(exec, args);
    return mb_stored_gemm_decoded(exec, args);
}
