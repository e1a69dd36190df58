/* How threads share elements: in runs of W, 16 bytes of them, wherever addresses are multiples of
 * that, and one at a time elsewhere. A body is called with the index of its first element and, as
 * a constant, the number of elements (mb_load_pack<N> and mb_store_pack<N> move so many). Which
 * thread gets an element depends on shape alone. */
#ifndef MB_KERNELS_RUNS_H
#define MB_KERNELS_RUNS_H

#include <type_traits>

#include "kernel.h"

template <int N> using mb_run = std::integral_constant<int, N>;

/* All of POINTERS are multiples of 16; NULL is one. */
template <typename... P> inline bool mb_cuda_aligned(P... pointers)
{
    return ((uintptr_t)0 | ... | (uintptr_t)pointers) % 16 == 0;
}

/* Runs of W that COUNT elements behind POINTERS are taken in; what is left over goes one by one. */
template <typename... P> inline int64_t mb_cuda_runs(int64_t count, int width, P... pointers)
{
    return mb_cuda_aligned(pointers...) ? count / width : 0;
}

/* A grid over COUNT elements, the first RUNS * W of them in runs. */
template <int W, typename F> __device__ inline void mb_each_run(int64_t runs, int64_t count, F body)
{
    for (int64_t i = mb_first(); i < runs; i += mb_stride())
        body(i * W, mb_run<W>());
    for (int64_t i = runs * W + mb_first(); i < count; i += mb_stride())
        body(i, mb_run<1>());
}

/* Blocks for mb_each_run. */
inline unsigned mb_cuda_run_blocks(int64_t runs, int64_t count, int width, int threads)
{
    int64_t singles = count - runs * width;
    return mb_cuda_blocks(runs > singles ? runs : singles, threads);
}

/* LANES lanes over a row of COLUMNS elements that begins at element FIRST of an aligned array: what
 * lies in front of the row's first multiple of W and behind its last goes one by one, first. Bodies
 * count from the row's beginning. */
template <int W, typename F>
__device__ inline void mb_each_run_of_row(int64_t first, int64_t columns, int lane, int lanes,
                                          F body)
{
    int64_t head = -first & (W - 1);
    head = head < columns ? head : columns;
    int64_t runs = (columns - head) / W;
#pragma unroll 1
    for (int64_t i = lane; i < columns - runs * W; i += lanes)
        body(i < head ? i : i + runs * W, mb_run<1>());
    for (int64_t i = lane; i < runs; i += lanes)
        body(head + i * W, mb_run<W>());
}

#endif
