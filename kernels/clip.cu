/* The factors that clipping by norm puts on gradients. One block: there are as many as a model has
 * parameters, and the norm over all of them is added in order. Source: keras/src/optimizers/
 * base_optimizer.py, _clip_by_norm and clip_by_global_norm. */
#include "sum.h"

namespace
{

/* An infinite or NaN norm makes NaN. */
__device__ inline float global_scale(double square, float clip)
{
    float norm = (float)sqrt(square);
    float least = fminf(__fdiv_rn(1.0f, norm), __fdiv_rn(1.0f, clip));
    return __fadd_rn(__fmul_rn(clip, least), __fsub_rn(norm, norm));
}

__device__ inline float own_scale(double square, float clip)
{
    return __fdiv_rn(clip, fmaxf((float)sqrt(square), clip));
}

__global__ void __launch_bounds__(MB_ADD_THREADS)
    clip_kernel(int64_t n, bool global, float clip, const double *squares, float *scale)
{
    __shared__ float all;
    if (global) {
        double sum = mb_add_in_order(n, squares, 0.0);
        if (threadIdx.x == 0)
            all = global_scale(sum, clip);
        __syncthreads();
    }
    for (int64_t i = threadIdx.x; i < n; i += MB_ADD_THREADS)
        scale[i] = global ? all : own_scale(squares[i], clip);
}

} // namespace

extern "C" mb_status_t mb_cuda_clip(mb_exec_t *exec, const mb_clip_args_t *args)
{
    if (args->n < 0)
        return mb_cuda_refuse(MB_OP_CLIP, "negative count");
    if (!(args->clip > 0.0f))
        return mb_cuda_refuse(MB_OP_CLIP, "nothing to clip to");
    if (exec->planning || args->n == 0)
        return MB_OK;
    MB_LAUNCH(clip_kernel, 1, MB_ADD_THREADS, 0, mb_cuda_stream(exec), args->n, args->global,
              args->clip, args->squares, args->scale);
    return mb_cuda_launched(MB_OP_CLIP);
}
