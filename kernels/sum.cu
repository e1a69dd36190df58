/* Sums of squares or magnitudes in double over tiles of 65536 elements, which are added in tile
 * order, so that sums over parts that begin on tile boundaries chain to the same bits; and what a
 * regularizer adds to a gradient. A block takes a tile; one tile needs no second kernel. Bound by
 * memory: every element is read once. */
#include "sum.h"

namespace
{

struct magnitude_of {
    __device__ double operator()(float x) const
    {
        return (double)fabsf(x);
    }
};

/* With one tile the block puts the sum itself. */
template <typename T, typename F>
__global__ void __launch_bounds__(MB_SUM_THREADS)
    tile_kernel(int64_t count, const T *x, bool aligned, bool accumulate, F f, double *partial,
                double *out)
{
    double sum = mb_sum_of_tile(count, x, aligned, blockIdx.x, f);
    if (threadIdx.x != 0)
        return;
    if (gridDim.x == 1)
        *out = (accumulate ? *out : 0.0) + sum;
    else
        partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(MB_ADD_THREADS)
    add_kernel(int64_t tiles, bool accumulate, const double *partial, double *out)
{
    double sum = mb_add_in_order(tiles, partial, accumulate ? *out : 0.0);
    if (threadIdx.x == 0)
        *out = sum;
}

template <typename T, typename F> mb_status_t sum(mb_exec_t *exec, const mb_sum_args_t &a, F f)
{
    void *partial = NULL;
    int64_t tiles = a.count > MB_TENSOR_TILE ? mb_ceil_div(a.count, MB_TENSOR_TILE) : 1;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_SUM, tiles > 1 ? sizeof(double) * (size_t)tiles : 0,
                             &partial));
    if (exec->planning)
        return MB_OK;
    MB_LAUNCH((tile_kernel<T, F>), (unsigned)tiles, MB_SUM_THREADS, 0, mb_cuda_stream(exec),
              a.count, (const T *)a.x, mb_cuda_aligned(a.x), a.accumulate, f, (double *)partial,
              a.out);
    MB_TRY(mb_cuda_launched(MB_OP_SUM));
    if (tiles > 1)
        MB_LAUNCH(add_kernel, 1, MB_ADD_THREADS, 0, mb_cuda_stream(exec), tiles, a.accumulate,
                  (const double *)partial, a.out);
    return mb_cuda_launched(MB_OP_SUM);
}

/* ---- regularizers: each operation is rounded by itself, as on the CPU */

template <typename T>
__global__ void __launch_bounds__(MB_SUM_THREADS)
    regularize_kernel(int64_t runs, int64_t count, float l1, float l2, const T *w, T *g)
{
    mb_each_run<mb_width<T>>(runs, count, [=](int64_t i, auto run) {
        constexpr int N = decltype(run)::value;
        float value[N], gradient[N];
        mb_load_pack(w + i, value);
        mb_load_pack(g + i, gradient);
        for (int k = 0; k < N; k++) {
            float sign = value[k] > 0.0f ? 1.0f : value[k] < 0.0f ? -1.0f : 0.0f;
            float square = __fmul_rn(2.0f * l2, value[k]);
            gradient[k] = __fadd_rn(gradient[k], __fadd_rn(l1 * sign, square));
        }
        mb_store_pack(g + i, gradient);
    });
}

template <typename T> mb_status_t regularize(mb_exec_t *exec, const mb_regularize_args_t &a)
{
    int64_t runs = mb_cuda_runs(a.count, mb_width<T>, a.w, a.g);
    if (exec->planning || a.count == 0)
        return MB_OK;
    MB_LAUNCH((regularize_kernel<T>),
              mb_cuda_run_blocks(runs, a.count, mb_width<T>, MB_SUM_THREADS), MB_SUM_THREADS, 0,
              mb_cuda_stream(exec), runs, a.count, a.l1, a.l2, (const T *)a.w, (T *)a.g);
    return mb_cuda_launched(MB_OP_REGULARIZE);
}

} // namespace

extern "C" mb_status_t mb_cuda_sum(mb_exec_t *exec, const mb_sum_args_t *args)
{
    if (args->count < 0)
        return mb_cuda_refuse(MB_OP_SUM, "negative count");
    MB_CUDA_TYPED(MB_OP_SUM, args->type,
                  return args->absolute ? sum<T>(exec, *args, magnitude_of())
                                        : sum<T>(exec, *args, square_of()));
}

extern "C" mb_status_t mb_cuda_regularize(mb_exec_t *exec, const mb_regularize_args_t *args)
{
    if (args->count < 0)
        return mb_cuda_refuse(MB_OP_REGULARIZE, "negative count");
    MB_CUDA_TYPED(MB_OP_REGULARIZE, args->type, return regularize<T>(exec, *args));
}
