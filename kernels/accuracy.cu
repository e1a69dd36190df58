/* Counts rows whose largest element is the right one. A part of a warp, a warp or a block takes a
 * row, by its length; a block takes a run of rows and leaves their sum, which a second kernel adds
 * up. Bound by memory: every element is read once. */
#include "partial.h"
#include "runs.h"

namespace
{

/* The index of the first largest element of the row that begins at FIRST. */
template <typename TEAM, typename T>
__device__ inline int64_t largest(const T *x, int64_t first, int64_t columns)
{
    uint64_t best = 0;
    mb_each_run_of_row<mb_width<T>>(
        first, columns, TEAM::lane(), TEAM::lanes, [&](int64_t j, auto run) {
            constexpr int N = decltype(run)::value;
            float v[N];
            mb_load_pack(x + first + j, v);
            for (int k = 0; k < N; k++)
                best = mb_largest_of()(best, mb_first_largest(v[k], (uint32_t)(j + k)));
        });
    return (int64_t)mb_index_of(TEAM::largest(best));
}

/* Columns in which x, seen as above the threshold or not, is the label. */
template <typename TEAM, typename T>
__device__ inline int64_t matched(const T *x, const float *labels, float threshold, int64_t first,
                                  int64_t columns)
{
    int64_t count = 0;
    mb_each_run_of_row<mb_width<T>>(
        first, columns, TEAM::lane(), TEAM::lanes, [&](int64_t j, auto run) {
            constexpr int N = decltype(run)::value;
            float v[N], t[N];
            mb_load_pack(x + first + j, v);
            mb_load_pack(labels + first + j, t);
            for (int k = 0; k < N; k++)
                count += (v[k] > threshold ? 1.0f : 0.0f) == t[k] ? 1 : 0;
        });
    return TEAM::sum(count);
}

template <typename TEAM, typename T>
__device__ inline double row_accuracy(const mb_accuracy_args_t &a, int64_t i)
{
    int64_t first = i * a.columns;
    const T *x = (const T *)a.x;
    const float *labels = (const float *)a.labels;
    if (a.sparse)
        return largest<TEAM>(x, first, a.columns) == ((const int32_t *)a.labels)[i] ? 1.0 : 0.0;
    if (!a.binary)
        return largest<TEAM>(x, first, a.columns) == largest<TEAM>(labels, first, a.columns) ? 1.0
                                                                                             : 0.0;
    return (double)matched<TEAM>(x, labels, a.threshold, first, a.columns) / (double)a.columns;
}

template <typename TEAM, typename T>
__global__ void __launch_bounds__(TEAM::threads)
    accuracy_kernel(mb_row_blocks rows, mb_accuracy_args_t a, double *partial)
{
    int64_t begin = blockIdx.x * rows.block, end = begin + rows.block;
    double sum = 0.0;
    end = end < a.valid ? end : a.valid;
    for (int64_t i = begin + TEAM::number(); i < end; i += TEAM::teams) {
        double row = row_accuracy<TEAM, T>(a, i);
        sum += TEAM::lane() == 0 ? row : 0.0;
    }
    sum = mb_reduce_block<TEAM::threads>(sum, mb_sum_of());
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

template <typename TEAM, typename T>
mb_status_t accuracy(mb_exec_t *exec, const mb_accuracy_args_t &a)
{
    void *partial = NULL;
    mb_row_blocks rows = mb_row_blocks_of(a.rows, TEAM::teams);
    MB_TRY(mb_cuda_workspace(exec, MB_OP_ACCURACY, sizeof(double) * (size_t)rows.blocks, &partial));
    if (exec->planning || a.rows == 0)
        return MB_OK;
    MB_LAUNCH((accuracy_kernel<TEAM, T>), (unsigned)rows.blocks, TEAM::threads, 0,
              mb_cuda_stream(exec), rows, a, (double *)partial);
    MB_TRY(mb_cuda_launched(MB_OP_ACCURACY));
    return mb_cuda_add_partial(exec, MB_OP_ACCURACY, rows.blocks, (const double *)partial, a.count);
}

} // namespace

extern "C" mb_status_t mb_cuda_accuracy(mb_exec_t *exec, const mb_accuracy_args_t *args)
{
    if (args->valid < 0 || args->valid > args->rows || args->columns < 1)
        return mb_cuda_refuse(MB_OP_ACCURACY, "rows without columns, or more valid rows than rows");
    if (!mb_cuda_aligned(args->x, args->labels))
        return mb_cuda_refuse(MB_OP_ACCURACY, "an address that is no multiple of 16");
    MB_CUDA_TYPED(MB_OP_ACCURACY, args->type,
                  MB_CUDA_TEAMED(args->columns, return (accuracy<TEAM, T>(exec, *args))));
}
