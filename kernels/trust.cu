/* How far a tensor goes along its direction, from the norms of both (device/ops.h). A thread a
 * tensor: there are as many as a model has parameters. Sources: keras/src/optimizers/lamb.py,
 * adafactor.py, muon.py. */
#include "kernel.h"

namespace
{

constexpr int THREADS = 128;

__device__ inline float root_of(double square)
{
    return (float)sqrt(square);
}

__device__ inline float lamb(const mb_trust_args_t &a, int place)
{
    float w = root_of(a.weights[place]), u = root_of(a.directions[place]);
    return w > 0.0f && u > 0.0f ? __fmul_rn(__fdiv_rn(w, u), a.lr) : a.lr;
}

__device__ inline float adafactor(const mb_trust_args_t &a, const mb_tensor_t &tensor)
{
    double count = tensor.count > 1 ? (double)tensor.count : 1.0;
    float w = root_of(a.weights[tensor.place] / count);
    float u = __fdiv_rn(root_of(a.directions[tensor.place] / count), a.threshold);
    float alpha = __fmul_rn(w > a.epsilon ? w : a.epsilon, a.lr);
    return __fdiv_rn(alpha, u > 1.0f ? u : 1.0f);
}

__device__ inline float muon(const mb_trust_args_t &a, int place)
{
    return __fdiv_rn(1.0f, __fadd_rn(root_of(a.directions[place]), a.epsilon));
}

__global__ void __launch_bounds__(THREADS) trust_kernel(mb_trust_args_t a)
{
    for (int64_t i = mb_first(); i < a.table.n; i += mb_stride()) {
        const mb_tensor_t &tensor = a.table.tensors[i];
        a.scale[tensor.place] = a.trust == MB_TRUST_LAMB        ? lamb(a, tensor.place)
                                : a.trust == MB_TRUST_ADAFACTOR ? adafactor(a, tensor)
                                                                : muon(a, tensor.place);
    }
}

} // namespace

extern "C" mb_status_t mb_cuda_trust(mb_exec_t *exec, const mb_trust_args_t *args)
{
    if (args->table.n < 0)
        return mb_cuda_refuse(MB_OP_TRUST, "negative count");
    if (exec->planning || args->table.n == 0)
        return MB_OK;
    MB_LAUNCH(trust_kernel, mb_cuda_blocks(args->table.n, THREADS), THREADS, 0,
              mb_cuda_stream(exec), *args);
    return mb_cuda_launched(MB_OP_TRUST);
}
