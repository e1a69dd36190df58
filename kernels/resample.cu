/* Resampling of an axis. A first kernel writes the matrix's weights, a row by a thread; in the
 * second a thread sums a run of columns of one row of the result. Bound by memory: the rows that
 * neighbouring threads read overlap in the cache. */
#include "device/resample.h"

#include "columns.h"

namespace
{

constexpr int THREADS = MB_COLUMNS_THREADS;

__global__ void __launch_bounds__(THREADS) weights_kernel(mb_resample_t r, float *weights)
{
    for (int64_t j = mb_first(); j < r.out; j += mb_stride())
        mb_resample_weights(&r, j, weights + j * r.taps);
}

template <int W, typename T>
__device__ inline void add_row(const T *x, float weight, float (&sum)[W])
{
    float v[W];
    mb_load_pack(x, v);
    for (int k = 0; k < W; k++)
        sum[k] += v[k] * weight;
}

template <int W, typename T>
__global__ void __launch_bounds__(THREADS)
    forward_kernel(mb_columns c, mb_resample_t r, const float *weights, const T *x, T *y)
{
    mb_columns_place at = mb_columns_here<W>(c);
    for (int64_t row = at.row; row < at.end && at.column < c.columns; row += at.step) {
        int64_t image = row / r.out, j = row - image * r.out, first = mb_resample_first(&r, j);
        const T *from = x + (image * r.in + first) * c.columns + at.column;
        float sum[W] = {};
        for (int64_t k = 0; k < r.taps && first + k < r.in; k++)
            add_row(from + k * c.columns, weights[j * r.taps + k], sum);
        mb_store_pack(y + row * c.columns + at.column, sum);
    }
}

template <int W, typename T>
__global__ void __launch_bounds__(THREADS)
    transposed_kernel(mb_columns c, mb_resample_t r, const float *weights, const T *x, T *y)
{
    mb_columns_place at = mb_columns_here<W>(c);
    for (int64_t row = at.row; row < at.end && at.column < c.columns; row += at.step) {
        int64_t image = row / r.in, i = row - image * r.in, begin, end;
        const T *from = x + image * r.out * c.columns + at.column;
        float sum[W] = {};
        mb_resample_seen(&r, i, &begin, &end);
        for (int64_t j = begin; j < end; j++) {
            int64_t k = i - mb_resample_first(&r, j);
            if (k >= 0 && k < r.taps)
                add_row(from + j * c.columns, weights[j * r.taps + k], sum);
        }
        mb_store_pack(y + row * c.columns + at.column, sum);
    }
}

template <typename T>
mb_status_t run(mb_exec_t *exec, const mb_resample_args_t &a, const mb_resample_t &r,
                float *weights)
{
    MB_LAUNCH(weights_kernel, mb_cuda_blocks(r.out, THREADS), THREADS, 0, mb_cuda_stream(exec), r,
              weights);
    int64_t rows = a.outer * (a.transposed ? a.in : a.out);
    MB_CUDA_WIDE(
        T, a.inner, mb_columns c = mb_columns_to_walk(rows, a.inner, W); if (a.transposed)
            MB_LAUNCH((transposed_kernel<W, T>), mb_columns_grid(c), THREADS, 0,
                      mb_cuda_stream(exec), c, r, (const float *)weights, (const T *)a.x, (T *)a.y);
        else MB_LAUNCH((forward_kernel<W, T>), mb_columns_grid(c), THREADS, 0, mb_cuda_stream(exec),
                       c, r, (const float *)weights, (const T *)a.x, (T *)a.y));
    return mb_cuda_launched(MB_OP_RESAMPLE);
}

} // namespace

extern "C" mb_status_t mb_cuda_resample(mb_exec_t *exec, const mb_resample_args_t *args)
{
    void *weights;
    if (args->filter >= MB_FILTER_COUNT)
        return mb_cuda_refuse(MB_OP_RESAMPLE, "an unknown filter");
    if (args->outer < 0 || args->in < 1 || args->out < 1 || args->inner < 1)
        return mb_cuda_refuse(MB_OP_RESAMPLE, "empty images");
    if (!mb_cuda_aligned(args->x, args->y))
        return mb_cuda_refuse(MB_OP_RESAMPLE, "an address that is no multiple of 16");
    mb_resample_t r = mb_resample_of(args);
    MB_TRY(mb_cuda_workspace(exec, MB_OP_RESAMPLE, sizeof(float) * (size_t)(r.out * r.taps),
                             &weights));
    if (exec->planning || args->outer == 0)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_RESAMPLE, args->type, return run<T>(exec, *args, r, (float *)weights));
}
