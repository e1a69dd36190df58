/* Sums in many cells, of items that each name at most one cell of each of PARTS parts. Atomics
 * would add in any order, which weights would show. So a block takes a run of items, a chunk at a
 * time: each thread says what one item's cells are, then each thread adds up cells of its own, over
 * the items in their order. What blocks leave is added in their order by a second kernel. Bound by
 * reading the chunk from shared memory, once for each cell that a thread has. */
#ifndef MB_KERNELS_CELLS_H
#define MB_KERNELS_CELLS_H

#include "kernel.h"

namespace
{

constexpr int MB_CELL_THREADS = 256;

/* Items in blocks, few enough that their partial sums of CELLS stay small. Depends on shape
 * alone. */
struct mb_cell_blocks {
    int64_t items, block, blocks;
};

inline mb_cell_blocks mb_cell_blocks_of(int64_t items, int64_t cells)
{
    constexpr int64_t MOST_BLOCKS = 256, MOST_SUMS = 1 << 21;
    int64_t chunks = mb_ceil_div(items > 0 ? items : 1, MB_CELL_THREADS);
    int64_t most = MOST_SUMS / cells < 1 ? 1 : MOST_SUMS / cells;
    most = most < MOST_BLOCKS ? most : MOST_BLOCKS;
    int64_t block = mb_ceil_div(chunks, most) * MB_CELL_THREADS;
    return {items, block, mb_ceil_div(items > 0 ? items : 1, block)};
}

template <int PARTS> struct mb_item {
    int cell[PARTS]; /* in each part; -1: none */
    float weight;
};

/* partial[part][cell] of this block: ITEM(i) gives the items [BEGIN, END). */
template <int PARTS, typename F>
__device__ inline void mb_fill_cells(int64_t begin, int64_t end, int64_t cells, double *partial,
                                     F item)
{
    __shared__ int chosen[PARTS][MB_CELL_THREADS];
    __shared__ float weights[MB_CELL_THREADS];
    int64_t all = PARTS * cells;
    for (int64_t c = threadIdx.x; c < all; c += MB_CELL_THREADS)
        partial[c] = 0.0;
    for (int64_t first = begin; first < end; first += MB_CELL_THREADS) {
        int64_t i = first + threadIdx.x;
        mb_item<PARTS> own = {};
        if (i < end)
            own = item(i);
        for (int p = 0; p < PARTS; p++)
            chosen[p][threadIdx.x] = i < end ? own.cell[p] : -1;
        weights[threadIdx.x] = own.weight;
        __syncthreads();
        for (int64_t c = threadIdx.x; c < all; c += MB_CELL_THREADS) {
            const int *of_part = chosen[c / cells];
            int cell = (int)(c % cells);
            double sum = partial[c];
            for (int k = 0; k < MB_CELL_THREADS; k++)
                sum += of_part[k] == cell ? (double)weights[k] : 0.0;
            partial[c] = sum;
        }
        __syncthreads();
    }
}

__global__ void __launch_bounds__(MB_CELL_THREADS)
    mb_add_cells_kernel(int64_t cells, int64_t blocks, const double *partial, double *out)
{
    for (int64_t c = mb_first(); c < cells; c += mb_stride()) {
        double sum = 0.0;
        for (int64_t b = 0; b < blocks; b++)
            sum += partial[b * cells + c];
        out[c] += sum;
    }
}

/* out[cells] += partial[blocks][cells], in the order of blocks. */
inline mb_status_t mb_cuda_add_cells(mb_exec_t *exec, mb_op_t op, int64_t cells, int64_t blocks,
                                     const double *partial, double *out)
{
    MB_LAUNCH(mb_add_cells_kernel, mb_cuda_blocks(cells, MB_CELL_THREADS), MB_CELL_THREADS, 0,
              mb_cuda_stream(exec), cells, blocks, partial, out);
    return mb_cuda_launched(op);
}

} // namespace

#endif
