/* Elements of one float type, or integers, as those of a float type, through float32. */
#include "device/cpu/cpu.h"
#include "device/cpu/widen.h"

#include <string.h>

enum { BLOCK = 4096 };

static void widen(const mb_convert_args_t *a, int64_t first, int64_t count, float *wide)
{
    if (a->from == MB_F32) {
        memcpy(wide, (const float *)a->x + first, (size_t)count * sizeof(float));
        return;
    }
    if (a->from != MB_I32) {
        mb_cpu_widen(mb_number_of(a->from), (const uint16_t *)a->x + first, count, wide);
        return;
    }
    for (int64_t i = 0; i < count; i++)
        wide[i] = (float)((const int32_t *)a->x)[first + i];
}

static void convert_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_convert_args_t *a = context;
    mb_span_t s = mb_span(tile, BLOCK, a->count);
    float wide[BLOCK];
    widen(a, s.begin, s.end - s.begin, wide);
    if (a->type == MB_F32)
        memcpy((float *)a->y + s.begin, wide, (size_t)(s.end - s.begin) * sizeof(float));
    else
        mb_cpu_round(mb_number_of(a->type), wide, s.end - s.begin, (uint16_t *)a->y + s.begin);
}

mb_status_t mb_cpu_convert(mb_exec_t *exec, const mb_convert_args_t *args)
{
    MB_CPU_CHECK(MB_OP_CONVERT, args->count >= 0, "negative count");
    MB_CPU_CHECK(MB_OP_CONVERT,
                 mb_dtype_is_float(args->type) &&
                     (mb_dtype_is_float(args->from) || args->from == MB_I32),
                 "a type that is no float of 16 or 32 bits");
    if (!exec->planning)
        mb_cpu_tiles(exec, mb_ceil_div(args->count, BLOCK), convert_tile, (void *)args);
    return MB_OK;
}
