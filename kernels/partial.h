/* The second level of a sum in double: *out += what the blocks of the first level left, by one
 * block. */
#ifndef MB_KERNELS_PARTIAL_H
#define MB_KERNELS_PARTIAL_H

#include "reduce.h"

namespace
{

/* Rows of teams in blocks, each of which leaves one partial sum. Depends on shape alone. */
struct mb_row_blocks {
    int64_t rows, block, blocks;
};

inline mb_row_blocks mb_row_blocks_of(int64_t rows, int teams)
{
    constexpr int64_t MOST = 4096;
    int64_t block = mb_ceil_div(rows > 0 ? mb_ceil_div(rows, MOST) : 1, teams) * teams;
    return {rows, block, mb_ceil_div(rows, block)};
}

constexpr int MB_PARTIAL_THREADS = 512;

__global__ void __launch_bounds__(MB_PARTIAL_THREADS)
    mb_add_partial_kernel(int64_t count, const double *partial, double *out)
{
    double sum = 0.0;
    for (int64_t i = threadIdx.x; i < count; i += MB_PARTIAL_THREADS)
        sum += partial[i];
    sum = mb_reduce_block<MB_PARTIAL_THREADS>(sum, mb_sum_of());
    if (threadIdx.x == 0)
        *out += sum;
}

inline mb_status_t mb_cuda_add_partial(mb_exec_t *exec, mb_op_t op, int64_t count,
                                       const double *partial, double *out)
{
    MB_LAUNCH(mb_add_partial_kernel, 1, MB_PARTIAL_THREADS, 0, mb_cuda_stream(exec), count, partial,
              out);
    return mb_cuda_launched(op);
}

} // namespace

#endif
