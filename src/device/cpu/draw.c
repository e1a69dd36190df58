/* Random numbers and transforms of samples; what they are is in device/affine.h. They are few: one
 * thread makes them. */
#include "base/philox.h"
#include "device/affine.h"
#include "device/cpu/cpu.h"

static float unit(const mb_draw_args_t *a, int64_t sample, uint32_t element)
{
    uint32_t index = a->draw == MB_DRAW_WINDOW ? 0 : (uint32_t)sample;
    return mb_random_unit(mb_random_word(&a->random, index, element));
}

mb_status_t mb_cpu_draw(mb_exec_t *exec, const mb_draw_args_t *args)
{
    const char *fault = mb_draw_fault(args);
    MB_CPU_CHECK(MB_OP_DRAW, fault == NULL, fault);
    if (exec->planning)
        return MB_OK;
    for (int64_t s = 0; s < args->samples; s++) {
        float u0 = unit(args, s, 0);
        if (args->draw == MB_DRAW_NUMBER)
            mb_out(args->y)[s] = mb_draw_between(args, 0, u0);
        else
            mb_draw_transform(args, u0, unit(args, s, 1), args->transforms + s * MB_TRANSFORM);
    }
    return MB_OK;
}
