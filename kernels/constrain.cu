/* Constraints on weights after a step (keras/src/constraints), over a weight seen as [outer, axis,
 * inner]. A block takes a tile of the inner vectors of one outer index (columns.h, with an outer
 * index for a run of rows), sums their squares down the axis in double, and reads them again, from
 * the cache, to scale them. Bound by memory. */
#include "columns.h"

namespace
{

constexpr int THREADS = MB_COLUMNS_THREADS;
constexpr float TINY = 1e-7f; /* Keras' epsilon */

__device__ inline float clip(float value, float low, float high)
{
    return value < low ? low : value > high ? high : value;
}

__device__ inline float factor_of(const mb_constrain_args_t &a, float norm)
{
    if (a.limit == MB_LIMIT_UNITNORM)
        return 1.0f / (TINY + norm);
    if (a.limit == MB_LIMIT_MAXNORM)
        return clip(norm, 0.0f, a.high) / (TINY + norm);
    return (a.rate * clip(norm, a.low, a.high) + (1.0f - a.rate) * norm) / (TINY + norm);
}

template <int W>
__global__ void __launch_bounds__(THREADS) norm_kernel(mb_columns c, mb_constrain_args_t a)
{
    mb_columns_place at = mb_columns_here<W>(c);
    double sum[W] = {};
    float v[W], factor[W];
    for (int64_t row = at.row; row < at.end && at.column < c.columns; row += at.step) {
        mb_load_pack(a.w + row * c.columns + at.column, v);
        for (int k = 0; k < W; k++)
            sum[k] += (double)v[k] * (double)v[k];
    }
    mb_columns_combine(c, sum, mb_sum_of());
    for (int k = 0; k < W; k++)
        factor[k] = factor_of(a, (float)sqrt(sum[k]));
    for (int64_t row = at.row; row < at.end && at.column < c.columns; row += at.step) {
        mb_load_pack(a.w + row * c.columns + at.column, v);
        for (int k = 0; k < W; k++)
            v[k] *= factor[k];
        mb_store_pack(a.w + row * c.columns + at.column, v);
    }
}

/* Zero in the place of what is negative. */
__global__ void __launch_bounds__(THREADS) clear_kernel(int64_t runs, int64_t count, float *w)
{
    mb_each_run<mb_width<float>>(runs, count, [=](int64_t i, auto run) {
        float v[decltype(run)::value];
        mb_load_pack(w + i, v);
        for (float &value : v)
            value = value < 0.0f ? 0.0f : value;
        mb_store_pack(w + i, v);
    });
}

mb_status_t clear_negative(mb_exec_t *exec, const mb_constrain_args_t &a)
{
    constexpr int W = mb_width<float>;
    int64_t count = a.outer * a.axis * a.inner, runs = mb_cuda_runs(count, W, a.w);
    MB_LAUNCH(clear_kernel, mb_cuda_run_blocks(runs, count, W, THREADS), THREADS, 0,
              mb_cuda_stream(exec), runs, count, a.w);
    return mb_cuda_launched(MB_OP_CONSTRAIN);
}

mb_status_t limit_norm(mb_exec_t *exec, const mb_constrain_args_t &a)
{
    if (!mb_cuda_aligned(a.w))
        return mb_cuda_refuse(MB_OP_CONSTRAIN, "an address that is no multiple of 16");
    MB_CUDA_WIDE(
        float, a.inner, mb_columns c = mb_columns_of(a.outer * a.axis, a.inner, W, a.axis);
        MB_LAUNCH((norm_kernel<W>), mb_columns_grid(c), THREADS, 0, mb_cuda_stream(exec), c, a));
    return mb_cuda_launched(MB_OP_CONSTRAIN);
}

} // namespace

extern "C" mb_status_t mb_cuda_constrain(mb_exec_t *exec, const mb_constrain_args_t *args)
{
    const mb_constrain_args_t &a = *args;
    if (a.outer < 0 || a.axis < 0 || a.inner < 0)
        return mb_cuda_refuse(MB_OP_CONSTRAIN, "negative size");
    if ((unsigned)a.limit > MB_LIMIT_MINMAX)
        return mb_cuda_refuse(MB_OP_CONSTRAIN, "unknown limit");
    if (exec->planning || a.outer == 0 || a.axis == 0 || a.inner == 0)
        return MB_OK;
    return a.limit == MB_LIMIT_NONNEG ? clear_negative(exec, a) : limit_norm(exec, a);
}
