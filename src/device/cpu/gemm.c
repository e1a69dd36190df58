/* Products of matrices: the result is cut into tiles over m and n, each computed by a one-thread
 * kernel of oneDNN, and the inner dimension only where copies of factors would grow large; then
 * the parts are added in their order. A and B are float32, or bfloat16 where C is float32 (narrow.c
 * brings others to that). A factor that kernels read slowly as it lies is copied once for all tiles
 * (gemm_pack.h). The sums of B's columns are further tiles behind the product's.
 *
 * A tile is activated in place by the thread that has it in its cache. Where what it was before is
 * kept, the function goes over whole rows behind all tiles instead: the rows of a tile in a second
 * array, each in pages of its own, cost up to 4 % of a product more than that pass
 * (bench/epilogue.c). */
#include "device/cpu/activation.h"
#include "device/cpu/column_sum.h"
#include "device/cpu/gemm_pack.h"
#include "device/cpu/gemm_row.h"
#include "device/cpu/gemm_tiles.h"

/* A factor is copied where the other has this many rows or columns to share the copy. */
#define LEAST_SHARING 128
#define LEAST_PACKED 64    /* columns of the factor, and depth */
#define MOST_PACKED 32.0e6 /* bytes of all copies */
#define LEAST_DEPTH 256

enum { FIRST, MIDDLE, LAST, PARTS };

typedef struct {
    const mb_gemm_args_t *args;
    mb_gemm_tiles_t tiles;
    int64_t depth, parts; /* of the inner dimension */
    bool packs_a, packs_b;
    mb_panels_t a, b;
    mb_dnnl_kernel_t *kernel[PARTS][4]; /* 2 in the last row of tiles, +1 in the last column */
    mb_workspace_t workspace;
    mb_act_forward_args_t act; /* from where the product goes to C */
    mb_column_blocks_t sums;
    int64_t part; /* the one that is computed */
} gemm_t;

static void choose_packing(gemm_t *g)
{
    const mb_gemm_args_t *a = g->args;
    bool deep = a->type == MB_F32 && a->k >= LEAST_PACKED;
    g->packs_a = deep && a->transpose_a && a->n >= LEAST_SHARING && a->m >= LEAST_PACKED &&
                 mb_panels_pay(a->lda, false);
    g->packs_b = deep && a->m >= LEAST_SHARING && a->n >= LEAST_PACKED &&
                 mb_panels_pay(a->ldb, a->transpose_b);
    g->a = (mb_panels_t){.columns = a->m, .width = g->tiles.m, .ld = a->lda, .from = a->a};
    g->b = (mb_panels_t){.columns = a->n,
                         .width = g->tiles.n,
                         .ld = a->ldb,
                         .transposed = a->transpose_b,
                         .from = a->b};
}

static size_t packed_bytes(bool packs, const mb_panels_t *panels, int64_t depth)
{
    return packs ? mb_round_64(mb_panels_bytes(panels->columns, panels->width, depth)) : 0;
}

/* Parts of the inner dimension so that copies stay small. */
static void choose_depth(gemm_t *g)
{
    int64_t k = g->args->k;
    double bytes =
        (double)(packed_bytes(g->packs_a, &g->a, 1) + packed_bytes(g->packs_b, &g->b, 1));
    g->parts = 1 + (int64_t)(bytes * (double)k / MOST_PACKED);
    g->parts = mb_max_i64(1, mb_min_i64(g->parts, k / LEAST_DEPTH));
    g->depth = mb_min_i64(k, (mb_ceil_div(k, g->parts) + 15) / 16 * 16);
    g->parts = mb_ceil_div(k, g->depth);
}

/* Kernels of the part of the inner dimension, which are those of all in the middle. */
static mb_dnnl_kernel_t **kernels_of(gemm_t *g, int64_t part)
{
    return g->kernel[part == 0 ? FIRST : part == g->parts - 1 ? LAST : MIDDLE];
}

static mb_dnnl_matmul_t shape_of(const gemm_t *g, int64_t part, bool last_m, bool last_n)
{
    const mb_gemm_args_t *a = g->args;
    const mb_gemm_tiles_t *t = &g->tiles;
    mb_span_t depth = mb_span(part, g->depth, a->k);
    mb_dnnl_matmul_t shape = {
        .type = a->type == MB_BF16 ? MB_DNNL_BF16 : MB_DNNL_F32,
        .m = last_m ? a->m - (t->tiles_m - 1) * t->m : t->m,
        .n = last_n ? a->n - (t->tiles_n - 1) * t->n : t->n,
        .k = depth.end - depth.begin,
        .ldc = a->ldc,
        .transpose_a = a->transpose_a,
        .transpose_b = a->transpose_b && !g->packs_b,
        .accumulate = a->accumulate || part > 0,
        .bias = a->bias != NULL && part == 0,
    };
    shape.lda = g->packs_a ? mb_panel_ld(shape.m) : a->lda;
    shape.ldb = g->packs_b ? mb_panel_ld(shape.n) : a->ldb;
    return shape;
}

static mb_status_t prepare_part(mb_exec_t *exec, gemm_t *g, int64_t part, size_t *scratch)
{
    mb_dnnl_kernel_t **kernels = kernels_of(g, part);
    for (int i = 0; i < 4; i++) {
        mb_dnnl_matmul_t shape = shape_of(g, part, i / 2, i % 2);
        MB_TRY(mb_dnnl_matmul(mb_cpu_of(exec)->dnnl, &shape, &kernels[i]));
        size_t bytes = mb_dnnl_scratch_bytes(kernels[i]);
        *scratch = bytes > *scratch ? bytes : *scratch;
    }
    return MB_OK;
}

/* Shared memory holds the copies, then the partial sums of columns. */
static mb_status_t take_workspace(mb_exec_t *exec, gemm_t *g, size_t scratch)
{
    size_t a = packed_bytes(g->packs_a, &g->a, g->depth);
    size_t b = packed_bytes(g->packs_b, &g->b, g->depth);
    size_t sums = mb_gemm_sums_columns(g->args) ? mb_column_blocks_bytes(&g->sums) : 0;
    MB_TRY(mb_cpu_workspace(exec, MB_OP_GEMM, a + b + sums, scratch, &g->workspace));
    if (exec->planning)
        return MB_OK;
    char *shared = g->workspace.shared;
    g->a.to = (float *)(void *)shared;
    g->b.to = (float *)(void *)(shared + a);
    g->sums.partial = (double *)(void *)(shared + a + b);
    return MB_OK;
}

static mb_status_t prepare(mb_exec_t *exec, gemm_t *g)
{
    const mb_gemm_args_t *a = g->args;
    size_t scratch = 0;
    g->tiles = mb_gemm_tiles(a->type, a->m, a->n, a->k);
    choose_packing(g);
    choose_depth(g);
    MB_TRY(prepare_part(exec, g, 0, &scratch));
    if (g->parts > 2)
        MB_TRY(prepare_part(exec, g, 1, &scratch));
    if (g->parts > 1)
        MB_TRY(prepare_part(exec, g, g->parts - 1, &scratch));
    return take_workspace(exec, g, scratch);
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

/* The tile's rows of A and columns of B, of the part that is computed. */
static const void *a_of(const gemm_t *g, int64_t tile_i, mb_span_t depth)
{
    const mb_gemm_args_t *a = g->args;
    int64_t i = tile_i * g->tiles.m, l = depth.begin;
    if (g->packs_a)
        return mb_panel_at(&g->a, tile_i, depth.end - l);
    return at(a, a->a, a->transpose_a ? l * a->lda + i : i * a->lda + l);
}

static const void *b_of(const gemm_t *g, int64_t tile_j, mb_span_t depth)
{
    const mb_gemm_args_t *a = g->args;
    int64_t j = tile_j * g->tiles.n, l = depth.begin;
    if (g->packs_b)
        return mb_panel_at(&g->b, tile_j, depth.end - l);
    return at(a, a->b, a->transpose_b ? j * a->ldb + l : l * a->ldb + j);
}

/* Neighbours, which one thread gets, have rows of A and C in common, or columns of B where it is
 * larger than both: what several threads read is less. */
static bool goes_by_columns(const mb_gemm_args_t *a)
{
    return a->k * a->n > a->m * (a->k + a->n);
}

static void multiply_tile(gemm_t *g, int64_t tile, int thread)
{
    const mb_gemm_args_t *a = g->args;
    const mb_gemm_tiles_t *t = &g->tiles;
    bool by_columns = goes_by_columns(a);
    int64_t tile_i = by_columns ? tile % t->tiles_m : tile / t->tiles_n;
    int64_t tile_j = by_columns ? tile / t->tiles_m : tile % t->tiles_n;
    mb_span_t rows = mb_span(tile_i, t->m, a->m), columns = mb_span(tile_j, t->n, a->n);
    mb_span_t depth = mb_span(g->part, g->depth, a->k);
    const void *arguments[] = {
        a_of(g, tile_i, depth),
        b_of(g, tile_j, depth),
        mb_out(target_of(a)) + rows.begin * a->ldc + columns.begin,
        a->bias == NULL ? NULL : mb_in(a->bias) + columns.begin,
    };
    int which = 2 * (tile_i == t->tiles_m - 1) + (tile_j == t->tiles_n - 1);
    mb_dnnl_run(kernels_of(g, g->part)[which], thread, arguments,
                mb_workspace_thread(&g->workspace, thread));
    if (g->part == g->parts - 1)
        activate_tile(g, rows, columns);
}

static int64_t copies_of(bool packs, const mb_panels_t *panels, mb_span_t depth)
{
    return packs ? mb_panels_blocks(panels, depth.end - depth.begin) : 0;
}

static void copy_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const gemm_t *g = context;
    mb_span_t depth = mb_span(g->part, g->depth, g->args->k);
    int64_t of_a = copies_of(g->packs_a, &g->a, depth);
    if (tile < of_a)
        mb_panels_copy(&g->a, depth.begin, depth.end - depth.begin, tile);
    else
        mb_panels_copy(&g->b, depth.begin, depth.end - depth.begin, tile - of_a);
}

static void compute_tile(void *context, int64_t tile, int thread)
{
    gemm_t *g = context;
    int64_t products = g->tiles.tiles_m * g->tiles.tiles_n;
    if (tile < products)
        multiply_tile(g, tile, thread);
    else
        mb_column_blocks_sum(&g->sums, tile - products);
}

static void multiply(mb_exec_t *exec, gemm_t *g)
{
    int64_t products = g->tiles.tiles_m * g->tiles.tiles_n;
    for (g->part = 0; g->part < g->parts; g->part++) {
        mb_span_t depth = mb_span(g->part, g->depth, g->args->k);
        bool sums = g->args->dbias != NULL && g->part == g->parts - 1;
        int64_t copies = copies_of(g->packs_a, &g->a, depth) + copies_of(g->packs_b, &g->b, depth);
        if (copies > 0)
            mb_cpu_tiles(exec, copies, copy_tile, g);
        mb_cpu_tiles(exec, products + (sums ? g->sums.blocks : 0), compute_tile, g);
    }
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

static void multiply_row(const mb_gemm_args_t *args)
{
    mb_act_forward_args_t act = {.count = args->n,
                                 .act = args->act,
                                 .p0 = args->p0,
                                 .p1 = args->p1,
                                 .p2 = args->p2,
                                 .x = target_of(args),
                                 .y = args->c};
    mb_gemm_row(args, target_of(args));
    if (args->act != MB_ACT_LINEAR)
        mb_cpu_activate(&act, (mb_cpu_runs_t){0, 1, args->n, 0});
}

mb_status_t mb_cpu_gemm(mb_exec_t *exec, const mb_gemm_args_t *args)
{
    MB_TRY(check_shape(args));
    MB_TRY(check_epilogue(args));
    if (args->m == 0 || args->n == 0)
        return MB_OK;
    if (mb_gemm_is_row(args)) {
        if (!exec->planning)
            multiply_row(args);
        return MB_OK;
    }
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
