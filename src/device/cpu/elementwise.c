/* Sums, products, copies and fills. */
#include <string.h>
#include "device/cpu/cpu.h"
#include "device/cpu/simd.h"

MB_MULTIVERSION
static void add(const float *a, const float *b, float *y, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = a[i] + b[i];
}

MB_MULTIVERSION
static void multiply(const float *a, const float *b, float *y, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = a[i] * b[i];
}

MB_MULTIVERSION
static void add_f64(const double *a, const double *b, double *y, int64_t count)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        y[i] = a[i] + b[i];
}

MB_MULTIVERSION
static void divide(float *x, int64_t count, float divisor)
{
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
        x[i] /= divisor;
}

static void add_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_add_args_t *a = context;
    mb_span_t s = mb_span(tile, mb_elements_block(a->count), a->count);
    add(mb_in(a->a) + s.begin, mb_in(a->b) + s.begin, mb_out(a->y) + s.begin, s.end - s.begin);
}

static void multiply_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_multiply_args_t *a = context;
    mb_span_t s = mb_span(tile, mb_elements_block(a->count), a->count);
    multiply(mb_in(a->a) + s.begin, mb_in(a->b) + s.begin, mb_out(a->y) + s.begin, s.end - s.begin);
}

static void divide_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_divide_args_t *a = context;
    mb_span_t s = mb_span(tile, mb_elements_block(a->count), a->count);
    divide(mb_out(a->x) + s.begin, s.end - s.begin, a->divisor);
}

static void add_f64_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_add_f64_args_t *a = context;
    mb_span_t s = mb_span(tile, mb_elements_block(a->count), a->count);
    add_f64(a->a + s.begin, a->b + s.begin, a->y + s.begin, s.end - s.begin);
}

static void fill_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_fill_args_t *a = context;
    mb_span_t s = mb_span(tile, mb_elements_block(a->count), a->count);
    for (int64_t i = s.begin; i < s.end; i++)
        mb_out(a->y)[i] = a->value;
}

static int64_t zero_block(int64_t bytes)
{
    return 4 * mb_elements_block(mb_ceil_div(bytes, 4));
}

static void zero_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_zero_args_t *a = context;
    mb_span_t s = mb_span(tile, zero_block(a->bytes), a->bytes);
    memset((char *)a->y + s.begin, 0, (size_t)(s.end - s.begin));
}

/* A tile is a block of rows, or of one row where rows are long. */
typedef struct {
    const mb_copy_rows_args_t *args;
    int64_t rows_block, columns_block, tiles_a_row;
} copy_t;

static void copy_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const copy_t *c = context;
    const mb_copy_rows_args_t *a = c->args;
    mb_span_t rows = mb_span(tile / c->tiles_a_row, c->rows_block, a->rows);
    mb_span_t columns = mb_span(tile % c->tiles_a_row, c->columns_block, a->columns);
    int64_t bytes = (int64_t)mb_dtype_bytes(a->type);
    for (int64_t i = rows.begin; i < rows.end; i++)
        memcpy((char *)a->to + bytes * (i * a->ld_to + columns.begin),
               (const char *)a->from + bytes * (i * a->ld_from + columns.begin),
               (size_t)(bytes * (columns.end - columns.begin)));
}

mb_status_t mb_cpu_copy_rows(mb_exec_t *exec, const mb_copy_rows_args_t *args)
{
    MB_CPU_CHECK(MB_OP_COPY_ROWS, args->rows >= 0 && args->columns >= 0, "negative size");
    if (exec->planning || args->rows == 0 || args->columns == 0)
        return MB_OK;
    copy_t c = {.args = args};
    c.rows_block = mb_even_rows(args->rows, args->columns);
    c.columns_block = mb_min_i64(args->columns, MB_CPU_BLOCK);
    c.tiles_a_row = mb_ceil_div(args->columns, c.columns_block);
    mb_cpu_tiles(exec, mb_ceil_div(args->rows, c.rows_block) * c.tiles_a_row, copy_tile, &c);
    return MB_OK;
}

static mb_status_t run(mb_exec_t *exec, mb_op_t op, int64_t count, int64_t block,
                       mb_tile_fn_t compute, void *args)
{
    MB_CPU_CHECK(op, count >= 0, "negative count");
    if (!exec->planning)
        mb_cpu_tiles(exec, mb_ceil_div(count, block), compute, args);
    return MB_OK;
}

mb_status_t mb_cpu_add(mb_exec_t *exec, const mb_add_args_t *args)
{
    mb_add_args_t a = *args;
    return run(exec, MB_OP_ADD, a.count, mb_elements_block(a.count), add_tile, &a);
}

mb_status_t mb_cpu_multiply(mb_exec_t *exec, const mb_multiply_args_t *args)
{
    mb_multiply_args_t a = *args;
    return run(exec, MB_OP_MULTIPLY, a.count, mb_elements_block(a.count), multiply_tile, &a);
}

mb_status_t mb_cpu_divide(mb_exec_t *exec, const mb_divide_args_t *args)
{
    mb_divide_args_t a = *args;
    return run(exec, MB_OP_DIVIDE, a.count, mb_elements_block(a.count), divide_tile, &a);
}

mb_status_t mb_cpu_add_f64(mb_exec_t *exec, const mb_add_f64_args_t *args)
{
    mb_add_f64_args_t a = *args;
    return run(exec, MB_OP_ADD_F64, a.count, mb_elements_block(a.count), add_f64_tile, &a);
}

mb_status_t mb_cpu_fill(mb_exec_t *exec, const mb_fill_args_t *args)
{
    mb_fill_args_t a = *args;
    return run(exec, MB_OP_FILL, a.count, mb_elements_block(a.count), fill_tile, &a);
}

mb_status_t mb_cpu_zero(mb_exec_t *exec, const mb_zero_args_t *args)
{
    mb_zero_args_t a = *args;
    return run(exec, MB_OP_ZERO, a.bytes, zero_block(a.bytes), zero_tile, &a);
}
