/* Sums over rows: two levels, see columns.h. */
#include "columns.h"

namespace
{

template <typename T> struct add_row {
    const T *a;
    int64_t columns;

    template <int W>
    __device__ void operator()(int64_t row, int64_t column, float (&sum)[1][W]) const
    {
        float v[W];
        mb_load_pack(a + row * columns + column, v);
        for (int k = 0; k < W; k++)
            sum[0][k] += v[k];
    }
};

struct put_sum {
    float *sum;
    bool accumulate;

    __device__ void operator()(int64_t column, const double (&total)[1]) const
    {
        sum[column] = (float)((accumulate ? (double)sum[column] : 0.0) + total[0]);
    }
};

template <typename T> mb_status_t column_sum(mb_exec_t *exec, const mb_column_sum_args_t &a)
{
    mb_columns c = mb_columns_to_reduce(a.rows, a.columns, mb_columns_width<T>(a.columns));
    void *partial = NULL;
    MB_TRY(
        mb_cuda_workspace(exec, MB_OP_COLUMN_SUM, mb_columns_partial_bytes<1, float>(c), &partial));
    if (exec->planning)
        return MB_OK;
    add_row<T> add = {(const T *)a.a, a.columns};
    put_sum put = {a.sum, a.accumulate};
    MB_CUDA_WIDE(
        T, a.columns,
        return (mb_cuda_columns_sum<1, float, W>(exec, MB_OP_COLUMN_SUM, c, add, put, partial)));
}

} // namespace

extern "C" mb_status_t mb_cuda_column_sum(mb_exec_t *exec, const mb_column_sum_args_t *args)
{
    if (args->rows < 0 || args->columns < 0)
        return mb_cuda_refuse(MB_OP_COLUMN_SUM, "negative size");
    if (!mb_cuda_aligned(args->a))
        return mb_cuda_refuse(MB_OP_COLUMN_SUM, "an address that is no multiple of 16");
    if (args->columns == 0)
        return MB_OK;
    MB_CUDA_TYPED(MB_OP_COLUMN_SUM, args->type, return column_sum<T>(exec, *args));
}
