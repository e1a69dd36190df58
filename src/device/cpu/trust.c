/* How far a tensor goes along its direction, from the norms of both. Sources: keras/src/optimizers/
 * lamb.py, adafactor.py, muon.py; the norms come from double sums. */
#include <math.h>
#include "device/cpu/cpu.h"

static float root_of(double square)
{
    return (float)sqrt(square);
}

static float lamb(const mb_trust_args_t *a, int32_t place)
{
    float w = root_of(a->weights[place]), u = root_of(a->directions[place]);
    return w > 0.0f && u > 0.0f ? w / u * a->lr : a->lr;
}

static float adafactor(const mb_trust_args_t *a, const mb_tensor_t *tensor)
{
    double count = (double)mb_max_i64(tensor->count, 1);
    float w = root_of(a->weights[tensor->place] / count);
    float u = root_of(a->directions[tensor->place] / count) / a->threshold;
    float alpha = (w > a->epsilon ? w : a->epsilon) * a->lr;
    return alpha / (u > 1.0f ? u : 1.0f);
}

static float scale_of(const mb_trust_args_t *a, const mb_tensor_t *tensor)
{
    if (a->trust == MB_TRUST_LAMB)
        return lamb(a, tensor->place);
    if (a->trust == MB_TRUST_ADAFACTOR)
        return adafactor(a, tensor);
    return 1.0f / (root_of(a->directions[tensor->place]) + a->epsilon);
}

mb_status_t mb_cpu_trust(mb_exec_t *exec, const mb_trust_args_t *args)
{
    MB_CPU_CHECK(MB_OP_TRUST, args->table.n >= 0, "negative count");
    for (int64_t i = 0; i < args->table.n && !exec->planning; i++) {
        const mb_tensor_t *tensor = &args->table.tensors[i];
        args->scale[tensor->place] = scale_of(args, tensor);
    }
    return MB_OK;
}
