/* A matrix rounded to what a format would store, operation by operation as quant/ does it: the
 * scale is the block's largest magnitude divided by the largest code, rounded up to the number that
 * scales are stored in; a code is the nearest whole number to the quotient. A NaN stays one. */
#include <math.h>
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

#define COLUMNS 256 /* of a tile, where blocks run down the columns */

typedef struct {
    const mb_fake_quantize_args_t *args;
    float high; /* the largest code */
    int64_t tile_rows, tiles_n, elements;
    float *largest; /* one block for all: of each tile */
} fake_t;

/* The smallest number of 8 mantissa bits that is not below SCALE. */
static float round_up_bf16(float scale)
{
    uint32_t bits;
    memcpy(&bits, &scale, sizeof bits);
    bits = (bits + 0xFFFF) & 0xFFFF0000;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

static float scale_of(const fake_t *f, float largest)
{
    float scale = largest / f->high;
    return f->args->format.scale_number == MB_NUMBER_BF16 ? round_up_bf16(scale) : scale;
}

/* Ties to even: the last place of a sum near 1.5 * 2^23 is 1. */
static inline float nearest(float value, float scale, float high)
{
    const float last_place_is_one = 12582912.0f;
    float code = value / scale;
    code = code < high ? code : high;
    code = code > -high ? code : -high;
    code = (code + last_place_is_one) - last_place_is_one;
    float rounded = scale > 0.0f ? scale * code : 0.0f;
    return value == value ? rounded : value;
}

MB_MULTIVERSION
static float largest_of(const float *x, int64_t count)
{
    float largest = 0.0f;
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < count; i++)
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    return largest;
}

MB_MULTIVERSION
static void round_run(const float *x, float *y, int64_t count, float scale, float high)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = nearest(x[i], scale, high);
}

MB_MULTIVERSION
static void raise_each(float *restrict largest, const float *restrict x, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        largest[i] = fabsf(x[i]) > largest[i] ? fabsf(x[i]) : largest[i];
}

MB_MULTIVERSION
static void round_each(const float *x, float *y, int64_t count, const float *scales, float high)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = nearest(x[i], scales[i], high);
}

/* A row of blocks that are one column wide, some columns of it. */
static void columns_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const fake_t *f = context;
    const mb_fake_quantize_args_t *a = f->args;
    const mb_matrix_t *m = &a->format;
    mb_span_t rows = mb_span(tile / f->tiles_n, m->block_rows, m->rows);
    mb_span_t columns = mb_span(tile % f->tiles_n, COLUMNS, m->columns);
    int64_t count = columns.end - columns.begin;
    float scales[COLUMNS] = {0};
    for (int64_t r = rows.begin; r < rows.end; r++)
        raise_each(scales, a->x + r * m->columns + columns.begin, count);
    for (int64_t c = 0; c < count; c++)
        scales[c] = scale_of(f, scales[c]);
    for (int64_t r = rows.begin; r < rows.end; r++) {
        int64_t at = r * m->columns + columns.begin;
        round_each(mb_in(a->x) + at, mb_out(a->y) + at, count, scales, f->high);
    }
}

static void round_block(const fake_t *f, mb_span_t rows, mb_span_t columns)
{
    const mb_fake_quantize_args_t *a = f->args;
    int64_t count = columns.end - columns.begin, width = a->format.columns;
    float largest = 0.0f;
    for (int64_t r = rows.begin; r < rows.end; r++)
        largest = fmaxf(largest, largest_of(a->x + r * width + columns.begin, count));
    float scale = scale_of(f, largest);
    for (int64_t r = rows.begin; r < rows.end; r++) {
        int64_t at = r * width + columns.begin;
        round_run(mb_in(a->x) + at, mb_out(a->y) + at, count, scale, f->high);
    }
}

/* Rows of blocks that are wider than a column. */
static void rows_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const fake_t *f = context;
    const mb_matrix_t *m = &f->args->format;
    mb_span_t s = mb_span(tile, f->tile_rows, mb_matrix_scale_rows(m));
    for (int64_t i = s.begin; i < s.end; i++)
        for (int64_t j = 0; j < mb_matrix_scale_columns(m); j++)
            round_block(f, mb_span(i, m->block_rows, m->rows),
                        mb_span(j, m->block_columns, m->columns));
}

static void largest_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const fake_t *f = context;
    mb_span_t s = mb_span(tile, MB_CPU_BLOCK, f->elements);
    f->largest[tile] = largest_of(f->args->x + s.begin, s.end - s.begin);
}

static void tensor_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const fake_t *f = context;
    mb_span_t s = mb_span(tile, MB_CPU_BLOCK, f->elements);
    round_run(mb_in(f->args->x) + s.begin, mb_out(f->args->y) + s.begin, s.end - s.begin,
              f->largest[0], f->high);
}

static mb_status_t round_tensor(mb_exec_t *exec, fake_t *f)
{
    int64_t tiles = mb_ceil_div(f->elements, MB_CPU_BLOCK);
    mb_workspace_t workspace;
    MB_TRY(
        mb_cpu_workspace(exec, MB_OP_FAKE_QUANTIZE, sizeof(float) * (size_t)tiles, 0, &workspace));
    if (exec->planning)
        return MB_OK;
    f->largest = (float *)(void *)workspace.shared;
    mb_cpu_tiles(exec, tiles, largest_tile, f);
    f->largest[0] = scale_of(f, largest_of(f->largest, tiles));
    mb_cpu_tiles(exec, tiles, tensor_tile, f);
    return MB_OK;
}

mb_status_t mb_cpu_fake_quantize(mb_exec_t *exec, const mb_fake_quantize_args_t *args)
{
    const mb_matrix_t *m = &args->format;
    MB_CPU_CHECK(MB_OP_FAKE_QUANTIZE, m->number == MB_NUMBER_I8 || m->number == MB_NUMBER_I4,
                 "a format that is not symmetric whole numbers");
    MB_CPU_CHECK(MB_OP_FAKE_QUANTIZE, m->block_rows >= 1 && m->block_columns >= 1,
                 "a format without blocks");
    MB_CPU_CHECK(MB_OP_FAKE_QUANTIZE, !m->squared && !m->has_row_scales,
                 "a format with more than one scale for each block");
    fake_t f = {.args = args,
                .high = m->number == MB_NUMBER_I8 ? 127.0f : 7.0f,
                .tiles_n = mb_ceil_div(m->columns, COLUMNS),
                .tile_rows = mb_rows_block(m->block_rows * m->columns, MB_CPU_BLOCK),
                .elements = m->rows * m->columns};
    if (f.elements == 0)
        return MB_OK;
    if (m->block_columns > 1 && mb_matrix_scales(m) == 1)
        return round_tensor(exec, &f);
    if (exec->planning)
        return MB_OK;
    int64_t scale_rows = mb_matrix_scale_rows(m);
    if (m->block_columns == 1)
        mb_cpu_tiles(exec, scale_rows * f.tiles_n, columns_tile, &f);
    else
        mb_cpu_tiles(exec, mb_ceil_div(scale_rows, f.tile_rows), rows_tile, &f);
    return MB_OK;
}
