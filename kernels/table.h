/* How blocks share the tensors of a table (device/ops.h): a block finds its tile's tensor by
 * bisection in the tiles' running numbers; all its threads read the same few lines. */
#ifndef MB_KERNELS_TABLE_H
#define MB_KERNELS_TABLE_H

#include "runs.h"

/* The tensor that TILE is one of; an empty tensor has its successor's first tile. */
__device__ inline const mb_tensor_t &mb_find_tensor(const mb_table_t &table, int64_t tile)
{
    int64_t low = 0, high = table.n - 1;
    while (low < high) {
        int64_t middle = (low + high + 1) / 2;
        if (table.tensors[middle].first_tile <= tile)
            low = middle;
        else
            high = middle - 1;
    }
    return table.tensors[low];
}

/* A block over elements FIRST ... END-1 of arrays that are multiples of 16 bytes (ALIGNED) and
 * FIRST of W; one by one where they are not. */
template <int W, int THREADS, typename F>
__device__ inline void mb_each_run_of_tile(bool aligned, int64_t first, int64_t end, F body)
{
    int64_t runs = aligned ? (end - first) / W : 0;
    for (int64_t i = threadIdx.x; i < runs; i += THREADS)
        body(first + i * W, mb_run<W>());
    for (int64_t i = first + runs * W + threadIdx.x; i < end; i += THREADS)
        body(i, mb_run<1>());
}

template <typename... P> __device__ inline bool mb_aligned(P... pointers)
{
    return ((uintptr_t)0 | ... | (uintptr_t)pointers) % 16 == 0;
}

#endif
