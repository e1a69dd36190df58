/* Reductions within a block, in an order that is fixed by the number of threads: a tree of
 * shuffles, whose two sides are exchanged, so that all lanes get the same bits; warps meet in
 * shared memory. */
#ifndef MB_KERNELS_REDUCE_H
#define MB_KERNELS_REDUCE_H

#include "kernel.h"

/* In an anonymous namespace because of the __shared__ memory (see tests/cudasim/kernel.h). */
namespace
{

struct mb_sum_of {
    template <typename V> __device__ V operator()(V a, V b) const
    {
        return a + b;
    }
};

/* A NaN gives way to a number. */
struct mb_largest_of {
    __device__ float operator()(float a, float b) const
    {
        return fmaxf(a, b);
    }
    __device__ uint64_t operator()(uint64_t a, uint64_t b) const
    {
        return a > b ? a : b;
    }
};

/* Over LANES neighbouring lanes, a power of two; MASK holds the lanes that call. */
template <int LANES, typename V, typename F>
__device__ inline V mb_reduce_lanes(unsigned mask, V value, F f)
{
#pragma unroll
    for (int step = LANES / 2; step > 0; step /= 2)
        value = f(value, __shfl_xor_sync(mask, value, step));
    return value;
}

template <int THREADS, typename V, typename F> __device__ inline V mb_reduce_block(V value, F f)
{
    constexpr int WARPS = THREADS / MB_WARP;
    __shared__ V warps[WARPS];
    value = mb_reduce_lanes<MB_WARP>(~0u, value, f);
    if (threadIdx.x % MB_WARP == 0)
        warps[threadIdx.x / MB_WARP] = value;
    __syncthreads();
    value = mb_reduce_lanes<WARPS>(~0u, warps[threadIdx.x % WARPS], f);
    __syncthreads();
    return value;
}

/* A team of LANES threads of a block of THREADS, which share a row: a part of a warp, a warp, or
 * the block. */
template <int LANES, int THREADS> struct mb_team {
    static_assert(LANES <= MB_WARP || LANES == THREADS, "no team of a few warps");
    static constexpr int lanes = LANES, threads = THREADS, teams = THREADS / LANES;

    static __device__ int lane()
    {
        return (int)threadIdx.x % LANES;
    }
    static __device__ int number()
    {
        return (int)threadIdx.x / LANES;
    }
    template <typename V, typename F> static __device__ V reduce(V value, F f)
    {
        if constexpr (LANES > MB_WARP)
            return mb_reduce_block<THREADS>(value, f);
        else
            return mb_reduce_lanes<LANES>(mask(), value, f);
    }
    template <typename V> static __device__ V sum(V value)
    {
        return reduce(value, mb_sum_of());
    }
    template <typename V> static __device__ V largest(V value)
    {
        return reduce(value, mb_largest_of());
    }
    /* What a lane read lies before what another one writes from here on. */
    static __device__ void sync()
    {
        if constexpr (LANES > MB_WARP)
            __syncthreads();
        else
            __syncwarp(mask());
    }

  private:
    static __device__ unsigned mask()
    {
        constexpr unsigned own = LANES >= MB_WARP ? ~0u : (1u << LANES % MB_WARP) - 1;
        return own << (threadIdx.x % MB_WARP / LANES * LANES) % MB_WARP;
    }
};

/* Runs BODY with TEAM the team that suits rows of COLUMNS. The largest one keeps few rows under way
 * at a time, so that what is read twice is still in the cache. */
#define MB_CUDA_TEAMED(COLUMNS, ...)                                                               \
    do {                                                                                           \
        if ((COLUMNS) <= 64) {                                                                     \
            using TEAM = mb_team<8, 256>;                                                          \
            __VA_ARGS__;                                                                           \
        } else if ((COLUMNS) <= 2048) {                                                            \
            using TEAM = mb_team<32, 256>;                                                         \
            __VA_ARGS__;                                                                           \
        } else if ((COLUMNS) <= 8192) {                                                            \
            using TEAM = mb_team<256, 256>;                                                        \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            using TEAM = mb_team<1024, 1024>;                                                      \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)

/* Value and index in one number, of which the largest belongs to the first of the largest values:
 * the value's bits in the order of numbers, above the index counted down. As a loop that goes on
 * only past what is smaller: a NaN at index 0 stays, other NaNs never win, and zeros are equal. */
__device__ inline uint64_t mb_first_largest(float value, uint32_t index)
{
    uint32_t bits = __float_as_uint(value + 0.0f);
    bits ^= bits >> 31 != 0 ? 0xFFFFFFFFu : 0x80000000u;
    if (value != value)
        bits = index == 0 ? 0xFFFFFFFFu : 0;
    return (uint64_t)bits << 32 | (0xFFFFFFFFu - index);
}

__device__ inline uint32_t mb_index_of(uint64_t first_largest)
{
    return 0xFFFFFFFFu - (uint32_t)first_largest;
}

} // namespace

#endif
