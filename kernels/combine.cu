/* Sums of two multiples, 16 bytes of each operand at a time; each operation rounded by itself.
 * Bound by memory. */
#include "runs.h"

namespace
{

constexpr int THREADS = 256;

template <int N> __device__ inline void combine_run(const mb_combine_args_t &a, float p, int64_t i)
{
    float x[N], z[N] = {};
    mb_load_pack(a.a + i, x);
    if (a.b != NULL)
        mb_load_pack(a.b + i, z);
#pragma unroll
    for (int k = 0; k < N; k++) {
        x[k] = __fmul_rn(p, x[k]);
        if (a.b != NULL)
            x[k] = __fadd_rn(x[k], __fmul_rn(a.q, z[k]));
    }
    mb_store_pack(a.y + i, x);
}

__global__ void __launch_bounds__(THREADS) combine_kernel(mb_combine_args_t a, int64_t runs)
{
    float p = a.scale == NULL ? a.p : __fmul_rn(a.p, *a.scale);
    mb_each_run<mb_width<float>>(
        runs, a.count, [&](int64_t i, auto run) { combine_run<decltype(run)::value>(a, p, i); });
}

} // namespace

extern "C" mb_status_t mb_cuda_combine(mb_exec_t *exec, const mb_combine_args_t *args)
{
    constexpr int W = mb_width<float>;
    if (args->count < 0)
        return mb_cuda_refuse(MB_OP_COMBINE, "negative count");
    if (exec->planning || args->count == 0)
        return MB_OK;
    int64_t runs = mb_cuda_runs(args->count, W, args->a, args->b, args->y);
    MB_LAUNCH(combine_kernel, mb_cuda_run_blocks(runs, args->count, W, THREADS), THREADS, 0,
              mb_cuda_stream(exec), *args, runs);
    return mb_cuda_launched(MB_OP_COMBINE);
}
