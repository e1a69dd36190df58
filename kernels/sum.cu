/* Sums of squares or magnitudes in double over tiles of 65536 elements, which are added in tile
 * order, so that sums over parts that begin on tile boundaries chain to the same bits; and what a
 * regularizer adds to a gradient. A block takes a tile; one tile needs no second kernel. Bound by
 * memory: every element is read once. */
#include "reduce.h"
#include "runs.h"

namespace
{

constexpr int64_t TILE = 65536;
constexpr int THREADS = 512, ADD_THREADS = 256;

struct square_of {
    __device__ double operator()(float x) const
    {
        return (double)x * (double)x;
    }
};
struct magnitude_of {
    __device__ double operator()(float x) const
    {
        return (double)fabsf(x);
    }
};

/* A run at P, of elements one by one where the address is no multiple of their size. */
template <int N, typename T>
__device__ inline void load_run(const T *p, bool aligned, float (&v)[N])
{
    if (aligned) {
        mb_load_pack(p, v);
        return;
    }
    for (int k = 0; k < N; k++)
        v[k] = mb_load(p, k);
}

/* With one tile the block puts the sum itself. */
template <typename T, typename F>
__global__ void __launch_bounds__(THREADS)
    tile_kernel(int64_t count, const T *x, bool aligned, bool accumulate, F f, double *partial,
                double *out)
{
    constexpr int W = mb_width<T>;
    int64_t first = blockIdx.x * TILE, left = count - first, own = left < TILE ? left : TILE;
    double sum = 0.0;
    mb_each_run_of_row<W>(0, own, (int)threadIdx.x, THREADS, [&](int64_t j, auto run) {
        constexpr int N = decltype(run)::value;
        float v[N];
        load_run(x + first + j, aligned, v);
        for (int k = 0; k < N; k++)
            sum += f(v[k]);
    });
    sum = mb_reduce_block<THREADS>(sum, mb_sum_of());
    if (threadIdx.x != 0)
        return;
    if (gridDim.x == 1)
        *out = (accumulate ? *out : 0.0) + sum;
    else
        partial[blockIdx.x] = sum;
}

/* One thread adds in order what all have fetched. */
__global__ void __launch_bounds__(ADD_THREADS)
    add_kernel(int64_t tiles, bool accumulate, const double *partial, double *out)
{
    __shared__ double fetched[ADD_THREADS];
    double sum = accumulate ? *out : 0.0;
    for (int64_t first = 0; first < tiles; first += ADD_THREADS) {
        int64_t own = first + threadIdx.x;
        int number = (int)(tiles - first < ADD_THREADS ? tiles - first : ADD_THREADS);
        fetched[threadIdx.x] = own < tiles ? partial[own] : 0.0;
        __syncthreads();
#pragma unroll 8
        for (int i = 0; i < number && threadIdx.x == 0; i++)
            sum += fetched[i];
        __syncthreads();
    }
    if (threadIdx.x == 0)
        *out = sum;
}

template <typename T, typename F> mb_status_t sum(mb_exec_t *exec, const mb_sum_args_t &a, F f)
{
    void *partial = NULL;
    int64_t tiles = a.count > TILE ? mb_ceil_div(a.count, TILE) : 1;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_SUM, tiles > 1 ? sizeof(double) * (size_t)tiles : 0,
                             &partial));
    if (exec->planning)
        return MB_OK;
    MB_LAUNCH((tile_kernel<T, F>), (unsigned)tiles, THREADS, 0, mb_cuda_stream(exec), a.count,
              (const T *)a.x, mb_cuda_aligned(a.x), a.accumulate, f, (double *)partial, a.out);
    MB_TRY(mb_cuda_launched(MB_OP_SUM));
    if (tiles > 1)
        MB_LAUNCH(add_kernel, 1, ADD_THREADS, 0, mb_cuda_stream(exec), tiles, a.accumulate,
                  (const double *)partial, a.out);
    return mb_cuda_launched(MB_OP_SUM);
}

/* ---- regularizers: each operation is rounded by itself, as on the CPU */

template <typename T>
__global__ void __launch_bounds__(THREADS)
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
    MB_LAUNCH((regularize_kernel<T>), mb_cuda_run_blocks(runs, a.count, mb_width<T>, THREADS),
              THREADS, 0, mb_cuda_stream(exec), runs, a.count, a.l1, a.l2, (const T *)a.w,
              (T *)a.g);
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
