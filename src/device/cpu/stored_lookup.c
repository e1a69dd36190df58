/* Rows of a table as it is stored, by number. */
#include "device/cpu/stored.h"

typedef struct {
    const mb_stored_lookup_args_t *args;
    int64_t block;
} lookup_t;

static void lookup_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const lookup_t *l = context;
    const mb_stored_lookup_args_t *a = l->args;
    int64_t width = a->table.columns;
    mb_span_t s = mb_span(tile, l->block, a->count);
    for (int64_t i = s.begin; i < s.end; i++)
        mb_stored_decode(&a->table, (mb_span_t){a->ids[i], a->ids[i] + 1}, (mb_span_t){0, width},
                         mb_out(a->y) + i * width, width);
}

mb_status_t mb_cpu_stored_lookup(mb_exec_t *exec, const mb_stored_lookup_args_t *args)
{
    MB_CPU_CHECK(MB_OP_STORED_LOOKUP, args->count >= 0 && args->table.columns >= 1,
                 "rows without width");
    if (exec->planning)
        return MB_OK;
    lookup_t l = {args, mb_rows_block(args->table.columns, MB_CPU_BLOCK)};
    mb_cpu_tiles(exec, mb_ceil_div(args->count, l.block), lookup_tile, &l);
    return MB_OK;
}
