/* Largest and mean over all positions of a sample. A block takes a tile of a sample's channels and
 * walks down its positions (columns.h, with a sample for a run of rows). Bound by memory, but for a
 * few samples with many positions, which leave most of the device idle. */
#include "columns.h"

namespace
{

constexpr int THREADS = MB_COLUMNS_THREADS;

/* NaN wins. */
struct largest_of {
    __device__ float operator()(float a, float b) const
    {
        return a > b || a != a ? a : b;
    }
};

struct largest {
    using sum = float;
    using combine = largest_of;
    static __device__ float start()
    {
        return -INFINITY;
    }
    static __device__ float finish(float value, int64_t)
    {
        return value;
    }
};

struct mean {
    using sum = double;
    using combine = mb_sum_of;
    static __device__ double start()
    {
        return 0.0;
    }
    static __device__ float finish(double value, int64_t positions)
    {
        return (float)(value / (double)positions);
    }
};

template <typename KIND, int W, typename T>
__global__ void __launch_bounds__(THREADS, 3) forward_kernel(mb_columns c, const T *x, T *y)
{
    mb_columns_place at = mb_columns_here<W>(c);
    typename KIND::combine combine;
    typename KIND::sum sum[W];
    float v[W];
    for (int k = 0; k < W; k++)
        sum[k] = KIND::start();
#pragma unroll 2
    for (int64_t row = at.row; row < at.end && at.column < c.columns; row += at.step) {
        mb_load_pack(x + row * c.columns + at.column, v);
        for (int k = 0; k < W; k++)
            sum[k] = combine((typename KIND::sum)v[k], sum[k]);
    }
    mb_columns_combine(c, sum, combine);
    if (threadIdx.x >> c.lanes_log2 != 0 || at.column >= c.columns)
        return;
    for (int k = 0; k < W; k++)
        v[k] = KIND::finish(sum[k], c.rows_block);
    mb_store_pack(y + at.block * c.columns + at.column, v);
}

template <int W, typename T>
__global__ void __launch_bounds__(THREADS) spread_mean_kernel(mb_columns c, const T *dy, T *dx)
{
    mb_columns_place at = mb_columns_here<W>(c);
    float v[W];
    if (at.column >= c.columns)
        return;
    mb_load_pack(dy + at.block * c.columns + at.column, v);
    for (int k = 0; k < W; k++)
        v[k] /= (float)c.rows_block;
    for (int64_t row = at.row; row < at.end; row += at.step)
        mb_store_pack(dx + row * c.columns + at.column, v);
}

/* How many positions of the sample have the largest value, for each of the thread's channels. */
template <int W, typename T>
__device__ inline void count_equal(const mb_columns &c, const mb_columns_place &at, const T *x,
                                   const float (&top)[W], float (&equal)[W])
{
    for (int64_t row = at.row; row < at.end && at.column < c.columns; row += at.step) {
        float v[W];
        mb_load_pack(x + row * c.columns + at.column, v);
        for (int k = 0; k < W; k++)
            equal[k] += v[k] == top[k] ? 1.0f : 0.0f;
    }
    mb_columns_combine(c, equal, mb_sum_of());
}

/* Each of the equal largest ones gets an equal part. */
template <int W, typename T>
__global__ void __launch_bounds__(THREADS)
    spread_largest_kernel(mb_columns c, const T *x, const T *y, const T *dy, T *dx)
{
    mb_columns_place at = mb_columns_here<W>(c);
    int64_t own = at.block * c.columns + at.column;
    float top[W] = {}, share[W] = {}, equal[W] = {};
    if (at.column < c.columns) {
        mb_load_pack(y + own, top);
        mb_load_pack(dy + own, share);
    }
    count_equal(c, at, x, top, equal);
    for (int k = 0; k < W; k++)
        share[k] /= equal[k];
    for (int64_t row = at.row; row < at.end && at.column < c.columns; row += at.step) {
        float v[W];
        mb_load_pack(x + row * c.columns + at.column, v);
        for (int k = 0; k < W; k++)
            v[k] = v[k] == top[k] ? share[k] : 0.0f;
        mb_store_pack(dx + row * c.columns + at.column, v);
    }
}

struct sizes {
    int64_t samples, positions, channels;
};

mb_columns columns_of(const sizes &s, int width)
{
    return mb_columns_of(s.samples * s.positions, s.channels, width, s.positions);
}

template <typename KIND, typename T>
mb_status_t forward(mb_exec_t *exec, const mb_global_pool_forward_args_t &a)
{
    if (exec->planning || a.samples == 0)
        return MB_OK;
    MB_CUDA_WIDE(T, a.channels, mb_columns c = columns_of({a.samples, a.positions, a.channels}, W);
                 MB_LAUNCH((forward_kernel<KIND, W, T>), mb_columns_grid(c), THREADS, 0,
                           mb_cuda_stream(exec), c, (const T *)a.x, (T *)a.y));
    return mb_cuda_launched(MB_OP_GLOBAL_POOL_FORWARD);
}

template <int W, typename T>
mb_status_t spread(mb_exec_t *exec, const mb_global_pool_backward_args_t &a)
{
    mb_columns c = columns_of({a.samples, a.positions, a.channels}, W);
    if (a.average)
        MB_LAUNCH((spread_mean_kernel<W, T>), mb_columns_grid(c), THREADS, 0, mb_cuda_stream(exec),
                  c, (const T *)a.dy, (T *)a.dx);
    else
        MB_LAUNCH((spread_largest_kernel<W, T>), mb_columns_grid(c), THREADS, 0,
                  mb_cuda_stream(exec), c, (const T *)a.x, (const T *)a.y, (const T *)a.dy,
                  (T *)a.dx);
    return mb_cuda_launched(MB_OP_GLOBAL_POOL_BACKWARD);
}

template <typename T> mb_status_t backward(mb_exec_t *exec, const mb_global_pool_backward_args_t &a)
{
    if (exec->planning || a.samples == 0)
        return MB_OK;
    MB_CUDA_WIDE(T, a.channels, return (spread<W, T>(exec, a)));
}

mb_status_t check(mb_op_t op, const sizes &s, bool aligned)
{
    if (s.samples < 0 || s.positions < 1 || s.channels < 1)
        return mb_cuda_refuse(op, "empty samples");
    return aligned ? MB_OK : mb_cuda_refuse(op, "an address that is no multiple of 16");
}

} // namespace

extern "C" mb_status_t mb_cuda_global_pool_forward(mb_exec_t *exec,
                                                   const mb_global_pool_forward_args_t *args)
{
    const mb_global_pool_forward_args_t &a = *args;
    MB_TRY(check(MB_OP_GLOBAL_POOL_FORWARD, {a.samples, a.positions, a.channels},
                 mb_cuda_aligned(a.x, a.y)));
    MB_CUDA_TYPED(MB_OP_GLOBAL_POOL_FORWARD, a.type,
                  return a.average ? (forward<mean, T>(exec, a)) : (forward<largest, T>(exec, a)));
}

extern "C" mb_status_t mb_cuda_global_pool_backward(mb_exec_t *exec,
                                                    const mb_global_pool_backward_args_t *args)
{
    const mb_global_pool_backward_args_t &a = *args;
    MB_TRY(check(MB_OP_GLOBAL_POOL_BACKWARD, {a.samples, a.positions, a.channels},
                 mb_cuda_aligned(a.x, a.y, a.dy, a.dx)));
    MB_CUDA_TYPED(MB_OP_GLOBAL_POOL_BACKWARD, a.type, return backward<T>(exec, a));
}
