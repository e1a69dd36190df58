/* See column_sum.h. */
#include "device/cpu/column_sum.h"

#include <string.h>
#include "device/cpu/simd.h"

#define STRIP 1024 /* columns */

static inline float from_f32(float value)
{
    return value;
}

static inline float from_bf16(uint16_t code)
{
    uint32_t bits = (uint32_t)code << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Along the rows, four at a time, so that memory is read in its order and sums stay near: of a
 * strip they fill a quarter of a cache of the first level. Each is added to row by row. */
#define SUM_ROWS(name, element_t)                                                                  \
    MB_MULTIVERSION                                                                                \
    static void sum_rows_##name(const element_t *a, int64_t rows, int64_t columns, int64_t n,      \
                                double *restrict sum)                                              \
    {                                                                                              \
        int64_t i = 0;                                                                             \
        memset(sum, 0, sizeof(double) * (size_t)n);                                                \
        for (; i + 4 <= rows; i += 4) {                                                            \
            const element_t *restrict r0 = a + i * columns;                                        \
            const element_t *restrict r1 = r0 + columns;                                           \
            const element_t *restrict r2 = r1 + columns;                                           \
            const element_t *restrict r3 = r2 + columns;                                           \
            _Pragma("omp simd") for (int64_t j = 0; j < n; j++)                                    \
            {                                                                                      \
                double two = sum[j] + (double)from_##name(r0[j]) + (double)from_##name(r1[j]);     \
                sum[j] = two + (double)from_##name(r2[j]) + (double)from_##name(r3[j]);            \
            }                                                                                      \
        }                                                                                          \
        for (; i < rows; i++) {                                                                    \
            const element_t *restrict row = a + i * columns;                                       \
            _Pragma("omp simd") for (int64_t j = 0; j < n; j++) sum[j] +=                          \
                (double)from_##name(row[j]);                                                       \
        }                                                                                          \
    }

SUM_ROWS(f32, float)
SUM_ROWS(bf16, uint16_t)

mb_column_blocks_t mb_column_blocks(mb_dtype_t type, int64_t rows, int64_t columns, const void *a)
{
    mb_column_blocks_t b = {.type = type, .a = a, .rows = rows, .columns = columns};
    b.block = mb_max_i64(mb_even_rows(rows, columns), mb_ceil_div(rows, MB_CPU_TEAM));
    b.blocks = mb_ceil_div(rows, b.block);
    return b;
}

size_t mb_column_blocks_bytes(const mb_column_blocks_t *blocks)
{
    return sizeof(double) * (size_t)(blocks->blocks * blocks->columns);
}

void mb_column_blocks_sum(const mb_column_blocks_t *b, int64_t block)
{
    mb_span_t rows = mb_span(block, b->block, b->rows);
    int64_t first = rows.begin * b->columns, n = rows.end - rows.begin;
    double *out = b->partial + block * b->columns;
    for (int64_t column = 0; column < b->columns; column += STRIP) {
        int64_t wide = mb_min_i64(STRIP, b->columns - column), at = first + column;
        if (b->type == MB_BF16)
            sum_rows_bf16((const uint16_t *)b->a + at, n, b->columns, wide, out + column);
        else
            sum_rows_f32((const float *)b->a + at, n, b->columns, wide, out + column);
    }
}

/* A strip's totals stand on the stack, so that partial sums are read along their rows. */
MB_MULTIVERSION
static void add_strip(const double *partial, int64_t partials, int64_t ld, int64_t n,
                      bool accumulate, float *restrict sum)
{
    double total[STRIP];
    for (int64_t j = 0; j < n; j++)
        total[j] = accumulate ? (double)sum[j] : 0.0;
    for (int64_t i = 0; i < partials; i++) {
        const double *restrict row = partial + i * ld;
#pragma omp simd
        for (int64_t j = 0; j < n; j++)
            total[j] += row[j];
    }
    for (int64_t j = 0; j < n; j++)
        sum[j] = (float)total[j];
}

void mb_column_partials_add(const double *partial, int64_t partials, int64_t ld, int64_t columns,
                            bool accumulate, float *sum)
{
    for (int64_t j = 0; j < columns; j += STRIP)
        add_strip(partial + j, partials, ld, mb_min_i64(STRIP, columns - j), accumulate, sum + j);
}

void mb_column_blocks_finish(const mb_column_blocks_t *b, bool accumulate, float *sum)
{
    mb_column_partials_add(b->partial, b->blocks, b->columns, b->columns, accumulate, sum);
}

static void sum_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    mb_column_blocks_sum(context, tile);
}

mb_status_t mb_cpu_column_sum(mb_exec_t *exec, const mb_column_sum_args_t *args)
{
    MB_CPU_CHECK(MB_OP_COLUMN_SUM, args->rows >= 0 && args->columns >= 0, "negative size");
    mb_column_blocks_t blocks = mb_column_blocks(MB_F32, args->rows, args->columns, args->a);
    mb_workspace_t workspace;
    MB_TRY(
        mb_cpu_workspace(exec, MB_OP_COLUMN_SUM, mb_column_blocks_bytes(&blocks), 0, &workspace));
    if (exec->planning)
        return MB_OK;
    blocks.partial = (double *)(void *)workspace.shared;
    mb_cpu_tiles(exec, blocks.blocks, sum_tile, &blocks);
    mb_column_blocks_finish(&blocks, args->accumulate, args->sum);
    return MB_OK;
}
