/* Which of some ranges a number falls into: by halves over their boundaries. */
#include "device/cpu/cpu.h"

/* How many boundaries are at most x. */
static int32_t place_of(const mb_digitize_args_t *a, float x)
{
    int64_t low = 0, high = a->n;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (x < a->boundaries[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return (int32_t)low;
}

static void tile_of(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_digitize_args_t *a = context;
    mb_span_t s = mb_span(tile, MB_CPU_BLOCK, a->count);
    for (int64_t i = s.begin; i < s.end; i++)
        a->y[i] = place_of(a, mb_in(a->x)[i]);
}

mb_status_t mb_cpu_digitize(mb_exec_t *exec, const mb_digitize_args_t *args)
{
    MB_CPU_CHECK(MB_OP_DIGITIZE, args->count >= 0 && args->n >= 0 && args->n <= INT32_MAX,
                 "a size that is none");
    if (exec->planning)
        return MB_OK;
    mb_digitize_args_t a = *args;
    mb_cpu_tiles(exec, mb_ceil_div(args->count, MB_CPU_BLOCK), tile_of, &a);
    return MB_OK;
}
