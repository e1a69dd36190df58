/* A product of bf16: A is rounded once for all tiles, B is read as it is stored, sums are float. */
#include <string.h>
#include "device/cpu/simd.h"
#include "device/cpu/stored_gemm.h"
#include "device/cpu/vmath.h"

#define MOST_ROWS 512
#define MOST_COLUMNS 256
#define ROUNDED 65536 /* elements of A that are rounded at a time */

typedef struct {
    const mb_stored_gemm_args_t *args;
    mb_stored_tiles_t tiles;
    mb_dnnl_packed_t product[2][2]; /* [last row of tiles][last column of tiles] */
    size_t sums_bytes;              /* of a tile */
    uint16_t *rounded;
    mb_workspace_t workspace;
} bf16_t;

static mb_status_t prepare(mb_exec_t *exec, bf16_t *g)
{
    const mb_stored_gemm_args_t *a = g->args;
    g->tiles = mb_stored_choose_tiles(a, MOST_ROWS, MOST_COLUMNS);
    size_t scratch = 0;
    for (int last_m = 0; last_m < 2; last_m++) {
        for (int last_n = 0; last_n < 2; last_n++) {
            mb_dnnl_matmul_t shape = {
                .type = MB_DNNL_BF16,
                .m = last_m ? g->tiles.last_rows : g->tiles.rows,
                .n = last_n ? g->tiles.last_columns : g->tiles.columns,
                .k = a->b.rows,
                .lda = a->b.rows,
                .ldb = a->b.columns,
                .ldc = last_n ? g->tiles.last_columns : g->tiles.columns,
                .bias = a->bias != NULL,
            };
            mb_dnnl_packed_t *product = &g->product[last_m][last_n];
            MB_TRY(mb_dnnl_packed_matmul(mb_cpu_of(exec)->dnnl, &shape, product));
            size_t bytes = mb_stored_packed_bytes(product);
            scratch = bytes > scratch ? bytes : scratch;
        }
    }
    g->sums_bytes = mb_round_64(sizeof(float) * (size_t)(g->tiles.rows * g->tiles.columns));
    MB_TRY(mb_cpu_workspace(exec, MB_OP_STORED_GEMM, sizeof(uint16_t) * (size_t)(a->m * a->b.rows),
                            g->sums_bytes + scratch, &g->workspace));
    g->rounded = (uint16_t *)(void *)g->workspace.shared;
    return MB_OK;
}

/* To the nearest, ties to even; a NaN stays one. */
MB_MULTIVERSION
static void round_row(const float *x, int64_t count, uint16_t *out)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits = mb_v_bits(x[i]);
        uint32_t rounded = (bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16;
        uint32_t quiet = bits >> 16 | 0x40u;
        out[i] = (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
    }
}

static void round_rows(void *context, int64_t tile, int thread)
{
    bf16_t *g = context;
    const mb_stored_gemm_args_t *a = g->args;
    mb_span_t rows = mb_span(tile, mb_rows_block(a->b.rows, ROUNDED), a->m);
    (void)thread;
    for (int64_t i = rows.begin; i < rows.end; i++)
        round_row(mb_in(a->a) + i * a->lda, a->b.rows, g->rounded + i * a->b.rows);
}

static void compute_tile(void *context, int64_t tile, int thread)
{
    bf16_t *g = context;
    const mb_stored_gemm_args_t *a = g->args;
    mb_stored_tile_t t = mb_stored_tile(&g->tiles, tile);
    char *memory = mb_workspace_thread(&g->workspace, thread);
    const float *sums = (const float *)(void *)memory;
    int64_t columns = t.columns.end - t.columns.begin;
    const void *arguments[] = {
        g->rounded + t.rows.begin * a->b.rows,
        (const uint16_t *)a->b.values + t.columns.begin,
        sums,
        a->bias == NULL ? NULL : a->bias + t.columns.begin,
    };
    mb_stored_packed_run(&g->product[t.last_m][t.last_n], thread, arguments,
                         memory + g->sums_bytes);
    for (int64_t i = t.rows.begin; i < t.rows.end; i++)
        memcpy(mb_out(a->c) + i * a->ldc + t.columns.begin, sums + (i - t.rows.begin) * columns,
               sizeof(float) * (size_t)columns);
}

mb_status_t mb_stored_gemm_bf16(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    bf16_t g = {.args = args};
    MB_TRY(prepare(exec, &g));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, mb_ceil_div(args->m, mb_rows_block(args->b.rows, ROUNDED)), round_rows, &g);
    mb_cpu_tiles(exec, g.tiles.tiles_m * g.tiles.tiles_n, compute_tile, &g);
    return mb_dnnl_take_status(mb_cpu_of(exec)->dnnl);
}
