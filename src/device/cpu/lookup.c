/* Whole numbers by a list of those that are known; see device/naming.h. */
#include "device/cpu/cpu.h"
#include "device/naming.h"

static void tile_of(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_lookup_args_t *a = context;
    mb_span_t s = mb_span(tile, MB_CPU_BLOCK, a->count);
    for (int64_t i = s.begin; i < s.end; i++)
        a->y[i] = mb_place_of(a, a->x[i]);
}

mb_status_t mb_cpu_lookup(mb_exec_t *exec, const mb_lookup_args_t *args)
{
    MB_CPU_CHECK(MB_OP_LOOKUP, args->count >= 0 && args->n >= 0, "a size that is none");
    MB_CPU_CHECK(MB_OP_LOOKUP, args->rule == MB_OTHERS_ONE || args->others >= 1,
                 "no places for what is not listed");
    if (exec->planning)
        return MB_OK;
    mb_lookup_args_t a = *args;
    mb_cpu_tiles(exec, mb_ceil_div(args->count, MB_CPU_BLOCK), tile_of, &a);
    return MB_OK;
}
