/* Elements of one float type as those of another, through float32 where neither is. */
#include "base/number.h"
#include "device/cpu/cpu.h"

#include <string.h>

enum { BLOCK = 4096 };

static void convert_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const mb_convert_args_t *a = context;
    mb_span_t s = mb_span(tile, BLOCK, a->count);
    const char *from = (const char *)a->x + s.begin * (int64_t)mb_dtype_bytes(a->from);
    char *to = (char *)a->y + s.begin * (int64_t)mb_dtype_bytes(a->type);
    float wide[BLOCK];
    mb_number_decode(mb_number_of(a->from), 0, from, s.end - s.begin, wide);
    if (a->type == MB_F32)
        memcpy(to, wide, (size_t)(s.end - s.begin) * sizeof(float));
    else
        mb_number_encode(mb_number_of(a->type), 0, wide, s.end - s.begin, to);
}

mb_status_t mb_cpu_convert(mb_exec_t *exec, const mb_convert_args_t *args)
{
    MB_CPU_CHECK(MB_OP_CONVERT, args->count >= 0, "negative count");
    MB_CPU_CHECK(MB_OP_CONVERT, mb_dtype_is_float(args->type) && mb_dtype_is_float(args->from),
                 "a type that is no float of 16 or 32 bits");
    if (!exec->planning)
        mb_cpu_tiles(exec, mb_ceil_div(args->count, BLOCK), convert_tile, (void *)args);
    return MB_OK;
}
