/* Rows of whole numbers as the counts of each of them. */
#include <string.h>
#include "device/cpu/cpu.h"

typedef struct {
    const mb_encode_args_t *args;
    int64_t block;
} encode_t;

static void encode_row(const mb_encode_args_t *a, int64_t row)
{
    float *y = mb_out(a->y) + row * a->depth;
    memset(y, 0, sizeof *y * (size_t)a->depth);
    for (int64_t c = 0; c < a->columns; c++) {
        int32_t x = a->x[row * a->columns + c];
        if (x >= 0 && x < a->depth)
            y[x] = a->counts ? y[x] + 1.0f : 1.0f;
    }
}

static void tile_of(void *context, int64_t tile, int thread)
{
    (void)thread;
    const encode_t *e = context;
    mb_span_t s = mb_span(tile, e->block, e->args->rows);
    for (int64_t row = s.begin; row < s.end; row++)
        encode_row(e->args, row);
}

mb_status_t mb_cpu_encode(mb_exec_t *exec, const mb_encode_args_t *args)
{
    MB_CPU_CHECK(MB_OP_ENCODE, args->rows >= 0 && args->columns >= 0 && args->depth >= 1,
                 "a size that is none");
    if (exec->planning)
        return MB_OK;
    encode_t e = {args, mb_rows_block(args->depth + args->columns, MB_CPU_BLOCK)};
    mb_cpu_tiles(exec, mb_ceil_div(args->rows, e.block), tile_of, &e);
    return MB_OK;
}
