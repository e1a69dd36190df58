/* Normally distributed numbers, each a function of its key and its element. */
#include "device/cpu/cpu.h"
#include "device/cpu/random.h"

#define BLOCK 4096

typedef struct {
    const mb_normal_args_t *args;
    int64_t tiles_a_sample;
} normal_t;

static void normal_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const normal_t *n = context;
    const mb_normal_args_t *a = n->args;
    int64_t sample = tile / n->tiles_a_sample;
    mb_span_t s = mb_span(tile % n->tiles_a_sample, BLOCK, a->elements);
    mb_cpu_normals(&a->random, (uint32_t)sample, s.begin, s.end - s.begin, a->mean, a->deviation,
                   mb_out(a->y) + sample * a->elements + s.begin);
}

mb_status_t mb_cpu_normal(mb_exec_t *exec, const mb_normal_args_t *args)
{
    MB_CPU_CHECK(MB_OP_NORMAL, args->samples >= 0 && args->elements >= 0, "negative size");
    MB_CPU_CHECK(MB_OP_NORMAL, args->elements <= INT64_C(1) << 32,
                 "more than 2^32 elements a sample, which have no numbers of their own");
    if (exec->planning)
        return MB_OK;
    normal_t n = {args, mb_ceil_div(args->elements, BLOCK)};
    mb_cpu_tiles(exec, args->samples * n.tiles_a_sample, normal_tile, &n);
    return MB_OK;
}
