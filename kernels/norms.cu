/* The squared norms of all gradients of a table, in two launches: a block a tile, then a block a
 * tensor adds its tiles in order. The bits are those of sum.cu. Bound by memory: every element is
 * read once. */
#include "sum.h"
#include "table.h"

namespace
{

__global__ void __launch_bounds__(MB_SUM_THREADS) tiles_kernel(mb_table_t table, double *partial)
{
    const mb_tensor_t &tensor = mb_find_tensor(table, blockIdx.x);
    double sum = mb_sum_of_tile((int64_t)tensor.count, (const float *)tensor.g,
                                mb_aligned(tensor.g), blockIdx.x - tensor.first_tile, square_of());
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(MB_ADD_THREADS)
    tensors_kernel(mb_table_t table, const double *partial, double *out)
{
    const mb_tensor_t &tensor = table.tensors[blockIdx.x];
    int64_t tiles = mb_ceil_div(tensor.count, MB_TENSOR_TILE);
    double sum = mb_add_in_order(tiles, partial + tensor.first_tile, 0.0);
    if (threadIdx.x == 0)
        out[tensor.place] = sum;
}

} // namespace

extern "C" mb_status_t mb_cuda_norms(mb_exec_t *exec, const mb_norms_args_t *args)
{
    const mb_table_t &table = args->table;
    void *partial = NULL;
    if (table.n < 0 || table.tiles < 0)
        return mb_cuda_refuse(MB_OP_NORMS, "negative count");
    MB_TRY(mb_cuda_workspace(exec, MB_OP_NORMS, sizeof(double) * (size_t)table.tiles, &partial));
    if (exec->planning || table.n == 0)
        return MB_OK;
    if (table.tiles > 0)
        MB_LAUNCH(tiles_kernel, (unsigned)table.tiles, MB_SUM_THREADS, 0, mb_cuda_stream(exec),
                  table, (double *)partial);
    MB_TRY(mb_cuda_launched(MB_OP_NORMS));
    MB_LAUNCH(tensors_kernel, (unsigned)table.n, MB_ADD_THREADS, 0, mb_cuda_stream(exec), table,
              (const double *)partial, args->out);
    return mb_cuda_launched(MB_OP_NORMS);
}
