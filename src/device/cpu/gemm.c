/* Products of matrices: the result is cut into tiles over m and n, never over k, each computed by a
 * one-thread kernel of oneDNN. A and B are float32, or bfloat16 where C is float32 (narrow.c brings
 * others to that). The sums of B's columns are further tiles behind the product's.
 *
 * A tile is activated in place by the thread that has it in its cache. Where what it was before is
 * kept, the function goes over whole rows behind all tiles instead: the rows of a tile in a second
 * array, each in pages of its own, cost up to 4 % of a product more than that pass
 * (bench/epilogue.c). */
#include "device/cpu/activation.h"
#include "device/cpu/column_sum.h"

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
    mb_act_forward_args_t act; /* from where the product goes to C */
    mb_column_blocks_t sums;
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
    size_t partial = mb_gemm_sums_columns(a) ? mb_column_blocks_bytes(&g->sums) : 0;
    return mb_cpu_workspace(exec, MB_OP_GEMM, partial, scratch, &g->workspace);
}

static const void *at(const mb_gemm_args_t *args, const void *factor, int64_t offset)
{
    return (const char *)factor + offset * (int64_t)mb_dtype_bytes(args->type);
}

static void activate_tile(const gemm_t *g, mb_span_t rows, mb_span_t columns)
{
    int64_t n = g->args->n;
    mb_cpu_runs_t runs = {rows.begin * n + columns.begin, rows.end - rows.begin,
                          columns.end - columns.begin, n};
    if (g->act.act != MB_ACT_LINEAR && g->args->pre == NULL)
        mb_cpu_activate(&g->act, runs);
}

static void *target_of(const mb_gemm_args_t *args)
{
    return args->pre != NULL ? args->pre : args->c;
}

static void multiply_tile(gemm_t *g, int64_t tile, int thread)
{
    const mb_gemm_args_t *a = g->args;
    int64_t tile_i = tile / g->tiles_n, tile_j = tile % g->tiles_n;
    mb_span_t rows = mb_span(tile_i, g->tile_m, a->m), columns = mb_span(tile_j, g->tile_n, a->n);
    int64_t i = rows.begin, j = columns.begin;
    const void *arguments[] = {
        at(a, a->a, a->transpose_a ? i : i * a->lda),
        at(a, a->b, a->transpose_b ? j * a->ldb : j),
        mb_out(target_of(a)) + i * a->ldc + j,
        a->bias == NULL ? NULL : mb_in(a->bias) + j,
    };
    mb_dnnl_run(g->kernel[tile_i == g->tiles_m - 1][tile_j == g->tiles_n - 1], thread, arguments,
                mb_workspace_thread(&g->workspace, thread));
    activate_tile(g, rows, columns);
}

static void compute_tile(void *context, int64_t tile, int thread)
{
    gemm_t *g = context;
    int64_t products = g->tiles_m * g->tiles_n;
    if (tile < products)
        multiply_tile(g, tile, thread);
    else
        mb_column_blocks_sum(&g->sums, tile - products);
}

static void multiply(mb_exec_t *exec, gemm_t *g)
{
    int64_t products = g->tiles_m * g->tiles_n;
    g->sums.partial = (double *)(void *)g->workspace.shared;
    mb_cpu_tiles(exec, products + (g->args->dbias != NULL ? g->sums.blocks : 0), compute_tile, g);
}

/* An empty sum: C is the bias, or zero. */
static void fill_empty(const gemm_t *g)
{
    const mb_gemm_args_t *a = g->args;
    float *to = target_of(a);
    for (int64_t i = 0; i < a->m && !a->accumulate; i++)
        for (int64_t j = 0; j < a->n; j++)
            to[i * a->ldc + j] = a->bias != NULL ? mb_in(a->bias)[j] : 0.0f;
    activate_tile(g, (mb_span_t){0, a->m}, (mb_span_t){0, a->n});
}

static mb_status_t finish(mb_exec_t *exec, const gemm_t *g)
{
    const mb_gemm_args_t *a = g->args;
    if (a->dbias != NULL)
        mb_column_blocks_finish(&g->sums, a->accumulate, a->dbias);
    return a->pre != NULL ? mb_cpu_act_forward(exec, &g->act) : MB_OK;
}

static mb_status_t check_shape(const mb_gemm_args_t *args)
{
    MB_CPU_CHECK(MB_OP_GEMM, args->m >= 0 && args->n >= 0 && args->k >= 0, "negative size");
    MB_CPU_CHECK(MB_OP_GEMM, args->lda >= (args->transpose_a ? args->m : args->k),
                 "leading dimension of A below its row");
    MB_CPU_CHECK(MB_OP_GEMM, args->ldb >= (args->transpose_b ? args->k : args->n),
                 "leading dimension of B below its row");
    MB_CPU_CHECK(MB_OP_GEMM, args->ldc >= args->n, "leading dimension of C below its row");
    return MB_OK;
}

static mb_status_t check_epilogue(const mb_gemm_args_t *args)
{
    bool linear = args->act == MB_ACT_LINEAR;
    MB_CPU_CHECK(MB_OP_GEMM, args->bias == NULL || !args->accumulate,
                 "a bias together with accumulation");
    MB_CPU_CHECK(MB_OP_GEMM, (unsigned)args->act < MB_ACT_COUNT, "unknown function");
    MB_CPU_CHECK(MB_OP_GEMM, linear || (!args->accumulate && args->ldc == args->n),
                 "an activation of what is accumulated, or of rows apart");
    MB_CPU_CHECK(MB_OP_GEMM, !linear || args->pre == NULL, "the input of no activation");
    MB_CPU_CHECK(MB_OP_GEMM,
                 args->dbias == NULL || (mb_gemm_sums_columns(args) && args->bias == NULL),
                 "the gradient of a bias of this shape");
    return MB_OK;
}

mb_status_t mb_cpu_gemm(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    MB_TRY(check_shape(args));
    MB_TRY(check_epilogue(args));
    if (args->m == 0 || args->n == 0)
        return MB_OK;
    gemm_t gemm = {.args = args,
                   .act = {.count = args->m * args->n,
                           .act = args->act,
                           .p0 = args->p0,
                           .p1 = args->p1,
                           .p2 = args->p2,
                           .x = target_of(args),
                           .y = args->c},
                   .sums = mb_column_blocks(args->type, args->k, args->n, args->b)};
    if (args->k > 0)
        MB_TRY(prepare(exec, &gemm));
    if (exec->planning)
        return MB_OK;
    if (args->k > 0)
        multiply(exec, &gemm);
    else
        fill_empty(&gemm);
    MB_TRY(finish(exec, &gemm));
    return mb_dnnl_take_status(mb_cpu_of(exec)->dnnl);
}
