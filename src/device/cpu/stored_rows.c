/* Few rows times a stored matrix. Such a product is as fast as the codes come from memory, so they
 * are read once, in tiles of columns and rows; a tile keeps the sums of its block of scales beside
 * what the blocks so far have given, and the tiles above each other are added in order. What a tile
 * computes for a row of A does not depend on how many rows there are. */
#include "device/cpu/stored_rows.h"
#include <math.h>
#include <string.h>
#include "device/cpu/simd.h"
#include "device/cpu/stored.h"

/* A page of each row, so that rows which lie apart cost no more than those that touch. */
#define TILE_ROW_BYTES 4096
#define TILE_BYTES (1 << 19)
/* Every tile has sums of its own: of a large matrix tiles grow, so that their sums stay small
 * beside it. */
#define MOST_TILES 16

#define ZERO_OF_U4 8.0f /* what its steps take off */

typedef struct {
    const mb_stored_gemm_args_t *args;
    mb_rows_step_fn_t step;
    int64_t tile_columns, tile_rows, tiles_n, tiles_k;
    int64_t width; /* of a tile's memory: whole groups of columns */
    const float *a;
    int64_t lda;
    mb_workspace_t workspace;
    float *totals; /* [tiles_k][tiles_n][m][width] */
} rows_t;

/* A tile's place, and its thread's memory. */
typedef struct {
    const rows_t *rows;
    mb_span_t columns, k;
    int64_t groups; /* whole groups of columns */
    float *totals, *sums, *scales, *zeros, *sums_of_a;
    uint8_t *tail; /* the codes of the last columns, in a group of their own */
} tile_t;

static mb_rows_step_fn_t choose_step(mb_number_t number)
{
    mb_rows_step_fn_t step = mb_rows_step_avx512(number);
    if (step == NULL)
        step = mb_rows_step_avx2(number);
    return step != NULL ? step : mb_rows_step_plain(number);
}

static void choose_tiles(rows_t *w)
{
    const mb_matrix_t *b = &w->args->b;
    int64_t columns = TILE_ROW_BYTES * 8 / mb_number_bits(b->number);
    w->tile_columns = mb_min_i64(columns, b->columns);
    w->tiles_n = mb_ceil_div(b->columns, w->tile_columns);
    w->width = mb_ceil_div(w->tile_columns, MB_STEP_COLUMNS) * MB_STEP_COLUMNS;
    int64_t bytes = mb_max_i64(TILE_BYTES, mb_matrix_value_bytes(b) / MOST_TILES);
    int64_t rows = bytes / mb_number_bytes(b->number, w->tile_columns);
    rows = mb_max_i64(MB_STEP_ROWS, rows / MB_STEP_ROWS * MB_STEP_ROWS);
    w->tile_rows = mb_min_i64(rows, b->rows);
    w->tiles_k = mb_ceil_div(b->rows, w->tile_rows);
}

static size_t floats(int64_t count)
{
    return mb_round_64(sizeof(float) * (size_t)count);
}

static size_t tail_bytes(const mb_matrix_t *b)
{
    return (size_t)(MB_STEP_ROWS * mb_number_bytes(b->number, MB_STEP_COLUMNS));
}

static mb_status_t prepare(mb_exec_t *exec, rows_t *w)
{
    const mb_stored_gemm_args_t *a = w->args;
    choose_tiles(w);
    size_t totals = floats(w->tiles_k * w->tiles_n * a->m * w->width);
    size_t scaled = a->b.has_row_scales ? floats(a->m * a->b.rows) : 0;
    size_t thread =
        floats(a->m * w->width) + 2 * floats(w->width) + floats(a->m) + tail_bytes(&a->b);
    MB_TRY(mb_cpu_workspace(exec, MB_OP_STORED_GEMM, totals + scaled, thread, &w->workspace));
    w->totals = (float *)(void *)w->workspace.shared;
    w->a = a->a;
    w->lda = a->lda;
    return MB_OK;
}

/* The scales of rows go to the numbers that those rows are multiplied by. */
static void scale_a(rows_t *w)
{
    const mb_stored_gemm_args_t *a = w->args;
    int64_t k = a->b.rows;
    float *scaled =
        (float *)(void *)(w->workspace.shared + floats(w->tiles_k * w->tiles_n * a->m * w->width));
    for (int64_t i = 0; i < a->m; i++)
        for (int64_t r = 0; r < k; r++)
            scaled[i * k + r] = mb_in(a->a)[i * a->lda + r] * a->b.row_scales[r];
    w->a = scaled;
    w->lda = k;
}

static tile_t tile_of(const rows_t *w, int64_t tile, int thread)
{
    const mb_matrix_t *b = &w->args->b;
    int64_t m = w->args->m;
    tile_t t = {.rows = w,
                .columns = mb_span(tile % w->tiles_n, w->tile_columns, b->columns),
                .k = mb_span(tile / w->tiles_n, w->tile_rows, b->rows),
                .totals = w->totals + tile * m * w->width};
    t.groups = (t.columns.end - t.columns.begin) / MB_STEP_COLUMNS;
    char *memory = mb_workspace_thread(&w->workspace, thread);
    t.sums = (float *)(void *)memory;
    memory += floats(m * w->width);
    t.scales = (float *)(void *)memory;
    memory += floats(w->width);
    t.zeros = (float *)(void *)memory;
    memory += floats(w->width);
    t.sums_of_a = (float *)(void *)memory;
    memory += floats(m);
    t.tail = (uint8_t *)memory;
    memset(t.totals, 0, floats(m * w->width));
    memset(t.sums, 0, floats(m * w->width));
    memset(t.sums_of_a, 0, floats(m));
    memset(t.tail, 0, tail_bytes(b));
    return t;
}

static void step_samples(const tile_t *t, mb_rows_step_t step)
{
    int64_t m = t->rows->args->m;
    const float *a = step.a;
    float *sums = step.sums;
    for (int64_t i = 0; i < m; i += MB_STEP_SAMPLES) {
        step.samples = (int)mb_min_i64(MB_STEP_SAMPLES, m - i);
        step.a = a + i * step.lda;
        step.sums = sums + i * step.ld_sums;
        t->rows->step(&step);
    }
}

/* The products of ROWS rows from row R on. */
static void add_rows(const tile_t *t, int64_t r, int64_t rows, float *sums)
{
    const rows_t *w = t->rows;
    const mb_matrix_t *b = &w->args->b;
    int64_t row_bytes = mb_matrix_row_bytes(b);
    int64_t group_bytes = mb_number_bytes(b->number, MB_STEP_COLUMNS);
    const uint8_t *codes =
        (const uint8_t *)b->values + r * row_bytes + mb_number_bytes(b->number, t->columns.begin);
    mb_rows_step_t step = {.rows = (int)rows,
                           .groups = t->groups,
                           .codes = codes,
                           .row_bytes = row_bytes,
                           .lda = w->lda,
                           .ld_sums = w->width,
                           .a = w->a + r,
                           .sums = sums};
    if (step.groups > 0)
        step_samples(t, step);
    int64_t done = t->groups * MB_STEP_COLUMNS, left = t->columns.end - t->columns.begin - done;
    if (left == 0)
        return;
    for (int64_t i = 0; i < rows; i++)
        memcpy(t->tail + i * group_bytes, codes + i * row_bytes + t->groups * group_bytes,
               (size_t)mb_number_bytes(b->number, left));
    step.groups = 1;
    step.codes = t->tail;
    step.row_bytes = group_bytes;
    step.sums = sums + done;
    step_samples(t, step);
}

MB_MULTIVERSION
static void widen_bf16(float *restrict to, const uint16_t *restrict from, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        union {
            uint32_t bits;
            float value;
        } upper = {(uint32_t)from[i] << 16};
        to[i] = upper.value;
    }
}

MB_MULTIVERSION
static void widen_zeros(float *restrict to, const uint8_t *restrict from, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        to[i] = (float)from[i] - ZERO_OF_U4;
}

static float scale_at(const mb_matrix_t *b, int64_t at)
{
    return b->scale_number == MB_NUMBER_BF16 ? mb_bf16_decode(((const uint16_t *)b->scales)[at])
                                             : ((const float *)b->scales)[at];
}

/* Blocks that are wider than a column. */
static const float *repeat_scales(const tile_t *t, int64_t first)
{
    const mb_matrix_t *b = &t->rows->args->b;
    for (int64_t c = t->columns.begin; c < t->columns.end; c++) {
        int64_t at = first + c / b->block_columns;
        t->scales[c - t->columns.begin] = scale_at(b, at);
        if (b->has_zeros)
            t->zeros[c - t->columns.begin] = (float)b->zeros[at] - ZERO_OF_U4;
    }
    return t->scales;
}

/* The block's scale and zero of each of the tile's columns. */
static const float *scales_of(const tile_t *t, int64_t block)
{
    const mb_matrix_t *b = &t->rows->args->b;
    int64_t first = block * mb_matrix_scale_columns(b), count = t->columns.end - t->columns.begin;
    if (b->block_columns > 1)
        return repeat_scales(t, first);
    first += t->columns.begin;
    if (b->has_zeros)
        widen_zeros(t->zeros, b->zeros + first, count);
    if (b->scale_number == MB_NUMBER_F32)
        return (const float *)b->scales + first;
    widen_bf16(t->scales, (const uint16_t *)b->scales + first, count);
    return t->scales;
}

MB_MULTIVERSION
static void add_scaled(float *restrict totals, float *restrict sums, const float *restrict scales,
                       int64_t count)
{
#pragma omp simd
    for (int64_t c = 0; c < count; c++) {
        totals[c] += scales[c] * sums[c];
        sums[c] = 0.0f;
    }
}

MB_MULTIVERSION
static void take_zeros(float *restrict sums, const float *restrict zeros, float sum_of_a,
                       int64_t count)
{
#pragma omp simd
    for (int64_t c = 0; c < count; c++)
        sums[c] -= zeros[c] * sum_of_a;
}

/* What the block of scales has summed goes to the totals. */
static void end_block(const tile_t *t, int64_t block)
{
    const rows_t *w = t->rows;
    int64_t count = t->columns.end - t->columns.begin;
    const float *scales = scales_of(t, block);
    for (int64_t i = 0; i < w->args->m; i++) {
        float *sums = t->sums + i * w->width;
        if (w->args->b.has_zeros)
            take_zeros(sums, t->zeros, t->sums_of_a[i], count);
        t->sums_of_a[i] = 0.0f;
        add_scaled(t->totals + i * w->width, sums, scales, count);
    }
}

static void sum_a(const tile_t *t, int64_t r, int64_t rows)
{
    const rows_t *w = t->rows;
    for (int64_t i = 0; i < w->args->m; i++) {
        float sum = 0.0f;
        for (int64_t j = r; j < r + rows; j++)
            sum += w->a[i * w->lda + j];
        t->sums_of_a[i] += sum;
    }
}

static void compute_tile(void *context, int64_t tile, int thread)
{
    const rows_t *w = context;
    const mb_matrix_t *b = &w->args->b;
    tile_t t = tile_of(w, tile, thread);
    bool scaled = b->block_rows > 0;
    for (int64_t r = t.k.begin; r < t.k.end;) {
        int64_t block = scaled ? r / b->block_rows : 0;
        int64_t end = scaled ? mb_min_i64(t.k.end, (block + 1) * b->block_rows) : t.k.end;
        int64_t rows = mb_min_i64(MB_STEP_ROWS, end - r);
        add_rows(&t, r, rows, scaled ? t.sums : t.totals);
        if (b->has_zeros)
            sum_a(&t, r, rows);
        r += rows;
        if (scaled && r == end)
            end_block(&t, block);
    }
}

/* The tiles of rows added up, with the factor that E3M4's steps leave out, and the bias. */
MB_MULTIVERSION
static void finish_row(float *restrict c, const float *restrict totals, int64_t parts,
                       int64_t stride, float factor, const float *restrict bias, int64_t count)
{
#pragma omp simd
    for (int64_t j = 0; j < count; j++) {
        float sum = totals[j];
        for (int64_t part = 1; part < parts; part++)
            sum += totals[part * stride + j];
        sum *= factor;
        c[j] = bias == NULL ? sum : sum + bias[j];
    }
}

static void finish_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const rows_t *w = context;
    const mb_stored_gemm_args_t *a = w->args;
    mb_span_t s = mb_span(tile, w->tile_columns, a->b.columns);
    int64_t stride = w->tiles_n * a->m * w->width;
    float factor = a->b.number == MB_NUMBER_E3M4 ? ldexpf(1.0f, 15 - a->b.bias) : 1.0f;
    for (int64_t i = 0; i < a->m; i++)
        finish_row(mb_out(a->c) + i * a->ldc + s.begin, w->totals + (tile * a->m + i) * w->width,
                   w->tiles_k, stride, factor, a->bias == NULL ? NULL : a->bias + s.begin,
                   s.end - s.begin);
}

mb_status_t mb_cpu_stored_rows(mb_exec_t *exec, const mb_stored_gemm_args_t *args)
{
    rows_t rows = {.args = args, .step = choose_step(args->b.number)};
    MB_CPU_CHECK(MB_OP_STORED_GEMM,
                 rows.step != NULL && !args->b.squared &&
                     args->b.has_zeros == (args->b.number == MB_NUMBER_U4),
                 "a matrix of numbers that are no weights");
    MB_TRY(prepare(exec, &rows));
    if (exec->planning)
        return MB_OK;
    if (args->b.has_row_scales)
        scale_a(&rows);
    mb_cpu_tiles(exec, rows.tiles_k * rows.tiles_n, compute_tile, &rows);
    mb_cpu_tiles(exec, rows.tiles_n, finish_tile, &rows);
    return MB_OK;
}
