/* The sum of a tile by a block, and sums of tiles in tile order, for what adds tensors up. */
#ifndef MB_KERNELS_SUM_H
#define MB_KERNELS_SUM_H

#include "reduce.h"
#include "runs.h"

/* In an anonymous namespace because of the __shared__ memory (see tests/cudasim/kernel.h). */
namespace
{

constexpr int MB_SUM_THREADS = 512, MB_ADD_THREADS = 256;

struct square_of {
    __device__ double operator()(float x) const
    {
        return (double)x * (double)x;
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

/* By a block of MB_SUM_THREADS: F of the elements of a tile of COUNT, in double, the same bits for
 * any address; thread 0 has it. */
template <typename T, typename F>
__device__ inline double mb_sum_of_tile(int64_t count, const T *x, bool aligned, int64_t tile, F f)
{
    constexpr int W = mb_width<T>;
    int64_t first = tile * MB_TENSOR_TILE, left = count - first;
    int64_t own = left < MB_TENSOR_TILE ? left : MB_TENSOR_TILE;
    double sum = 0.0;
    mb_each_run_of_row<W>(0, own, (int)threadIdx.x, MB_SUM_THREADS, [&](int64_t j, auto run) {
        constexpr int N = decltype(run)::value;
        float v[N];
        load_run(x + first + j, aligned, v);
        for (int k = 0; k < N; k++)
            sum += f(v[k]);
    });
    return mb_reduce_block<MB_SUM_THREADS>(sum, mb_sum_of());
}

/* By a block of MB_ADD_THREADS: one thread adds to SUM in order what all have fetched. */
__device__ inline double mb_add_in_order(int64_t count, const double *terms, double sum)
{
    __shared__ double fetched[MB_ADD_THREADS];
    for (int64_t first = 0; first < count; first += MB_ADD_THREADS) {
        int64_t own = first + threadIdx.x;
        int number = (int)(count - first < MB_ADD_THREADS ? count - first : MB_ADD_THREADS);
        fetched[threadIdx.x] = own < count ? terms[own] : 0.0;
        __syncthreads();
#pragma unroll 8
        for (int i = 0; i < number && threadIdx.x == 0; i++)
            sum += fetched[i];
        __syncthreads();
    }
    return sum;
}

} // namespace

#endif
