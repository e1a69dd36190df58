/* The factors that clipping by norm puts on gradients. Source: keras/src/optimizers/
 * base_optimizer.py, _clip_by_norm and clip_by_global_norm; the norms come from double sums. */
#include <math.h>
#include "device/cpu/cpu.h"

static float global_scale(const mb_clip_args_t *a)
{
    double sum = 0.0;
    for (int64_t i = 0; i < a->n; i++)
        sum += a->squares[i];
    float norm = (float)sqrt(sum);
    float finite = a->clip * fminf(1.0F / norm, 1.0F / a->clip);
    return finite + (norm - norm); /* an infinite or NaN norm makes NaN */
}

static float own_scale(const mb_clip_args_t *a, int64_t i)
{
    return a->clip / fmaxf((float)sqrt(a->squares[i]), a->clip);
}

mb_status_t mb_cpu_clip(mb_exec_t *exec, const mb_clip_args_t *args)
{
    MB_CPU_CHECK(MB_OP_CLIP, args->n >= 0, "negative count");
    MB_CPU_CHECK(MB_OP_CLIP, args->clip > 0.0F, "nothing to clip to");
    if (exec->planning)
        return MB_OK;
    float all = args->global ? global_scale(args) : 0.0F;
    for (int64_t i = 0; i < args->n; i++)
        args->scale[i] = args->global ? all : own_scale(args, i);
    return MB_OK;
}
