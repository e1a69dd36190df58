/* Products of matrices: the result is cut into tiles over m and n, never over k, each computed by a
 * one-thread kernel of oneDNN. A and B are float32, or bfloat16 where C is float32 (narrow.c brings
 * others to that). */
#include "device/cpu/cpu.h"

/* Every tile packs its part of A and B again, so tiles are as large as leaves enough of them for
 * the cores: MANY, or FEW where they would become slivers. */
#define MANY 16
#define FEW 4
#define TILE_SIDE 128
#define SLIVER_SIDE 64
#define TILE_WORK 4e6 /* floating-point operations, about 20 us */
#define LONG_WORK 3e8 /* more than this is cut even where there are many */

typedef struct {
    const mb_gemm_args_t *args;
    int64_t tile_m, tile_n, tiles_m, tiles_n;
    mb_dnnl_kernel_t *kernel[2][2]; /* [last row of tiles][last column of tiles] */
    mb_workspace_t workspace;
} gemm_t;

static bool wants_cut(int64_t tiles, double work, int64_t side)
{
    if (work < 2.0 * TILE_WORK || side < 2 * SLIVER_SIDE)
        return false;
    if (side < 2 * TILE_SIDE)
        return tiles < FEW;
    return tiles < MANY || work > LONG_WORK;
}

/* Halves the longer side as long as that pays. Kernels compute 16 columns and 8 rows at a time. */
static void choose_tiles(gemm_t *g)
{
    const mb_gemm_args_t *a = g->args;
    int64_t cuts_m = 1, cuts_n = 1;
    for (;;) {
        int64_t side_m = a->m / cuts_m, side_n = a->n / cuts_n;
        int64_t *cuts = side_m > side_n ? &cuts_m : &cuts_n;
        double work = 2.0 * (double)side_m * (double)side_n * (double)a->k;
        if (!wants_cut(cuts_m * cuts_n, work, side_m > side_n ? side_m : side_n))
            break;
        *cuts *= 2;
    }
    g->tile_m = mb_min_i64(a->m, (mb_ceil_div(a->m, cuts_m) + 7) / 8 * 8);
    g->tile_n = mb_min_i64(a->n, (mb_ceil_div(a->n, cuts_n) + 15) / 16 * 16);
    g->tiles_m = mb_ceil_div(a->m, g->tile_m);
    g->tiles_n = mb_ceil_div(a->n, g->tile_n);
}

static mb_status_t prepare(mb_exec_t *exec, gemm_t *g)
{
    const mb_gemm_args_t *a = g->args;
    choose_tiles(g);
    size_t scratch = 0;
    for (int last_m = 0; last_m < 2; last_m++) {
        for (int last_n = 0; last_n < 2; last_n++) {
            mb_dnnl_matmul_t shape = {
                .type = a->type == MB_BF16 ? MB_DNNL_BF16 : MB_DNNL_F32,
                .m = last_m ? a->m - (g->tiles_m - 1) * g->tile_m : g->tile_m,
                .n = last_n ? a->n - (g->tiles_n - 1) * g->tile_n : g->tile_n,
                .k = a->k,
                .lda = a->lda,
                .ldb = a->ldb,
                .ldc = a->ldc,
                .transpose_a = a->transpose_a,
                .transpose_b = a->transpose_b,
                .accumulate = a->accumulate,
                .bias = a->bias != NULL,
            };
            MB_TRY(mb_dnnl_matmul(mb_cpu_of(exec)->dnnl, &shape, &g->kernel[last_m][last_n]));
            size_t bytes = mb_dnnl_scratch_bytes(g->kernel[last_m][last_n]);
            scratch = bytes > scratch ? bytes : scratch;
        }
    }
    return mb_cpu_workspace(exec, MB_OP_GEMM, 0, scratch, &g->workspace);
}

static const void *at(const mb_gemm_args_t *args, const void *factor, int64_t offset)
{
    return (const char *)factor + offset * (int64_t)mb_dtype_bytes(args->type);
}

static void compute_tile(void *context, int64_t tile, int thread)
{
    gemm_t *g = context;
    const mb_gemm_args_t *a = g->args;
    int64_t tile_i = tile / g->tiles_n, tile_j = tile % g->tiles_n;
    int64_t i = tile_i * g->tile_m, j = tile_j * g->tile_n;
    const void *arguments[] = {
        at(a, a->a, a->transpose_a ? i : i * a->lda),
        at(a, a->b, a->transpose_b ? j * a->ldb : j),
        mb_out(a->c) + i * a->ldc + j,
        a->bias == NULL ? NULL : mb_in(a->bias) + j,
    };
    mb_dnnl_run(g->kernel[tile_i == g->tiles_m - 1][tile_j == g->tiles_n - 1], thread, arguments,
                mb_workspace_thread(&g->workspace, thread));
}

/* An empty sum: C is the bias, or zero. */
static void compute_empty(const mb_gemm_args_t *a)
{
    for (int64_t i = 0; i < a->m && !a->accumulate; i++)
        for (int64_t j = 0; j < a->n; j++)
            mb_out(a->c)[i * a->ldc + j] = a->bias != NULL ? mb_in(a->bias)[j] : 0.0f;
}

mb_status_t mb_cpu_gemm(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    MB_CPU_CHECK(MB_OP_GEMM, args->m >= 0 && args->n >= 0 && args->k >= 0, "negative size");
    MB_CPU_CHECK(MB_OP_GEMM, args->lda >= (args->transpose_a ? args->m : args->k),
                 "leading dimension of A below its row");
    MB_CPU_CHECK(MB_OP_GEMM, args->ldb >= (args->transpose_b ? args->k : args->n),
                 "leading dimension of B below its row");
    MB_CPU_CHECK(MB_OP_GEMM, args->ldc >= args->n, "leading dimension of C below its row");
    MB_CPU_CHECK(MB_OP_GEMM, args->bias == NULL || !args->accumulate,
                 "a bias together with accumulation");
    if (args->m == 0 || args->n == 0)
        return MB_OK;
    if (args->k == 0) {
        if (!exec->planning)
            compute_empty(args);
        return MB_OK;
    }
    gemm_t gemm = {.args = args};
    MB_TRY(prepare(exec, &gemm));
    if (exec->planning)
        return MB_OK;
    mb_cpu_tiles(exec, gemm.tiles_m * gemm.tiles_n, compute_tile, &gemm);
    return mb_dnnl_take_status(mb_cpu_of(exec)->dnnl);
}
