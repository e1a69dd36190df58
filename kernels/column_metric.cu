/* Sums for each column of what a score by class or by target needs (keras/src/metrics: R2Score,
 * FBetaScore). A block takes a run of rows, some at a time: its warps find the largest element of
 * each, then each thread adds up columns of its own, in the order of rows. What blocks leave is
 * added in their order (cells.h). Bound by memory. */
#include "cells.h"
#include "labels.h"

namespace
{

constexpr int THREADS = MB_CELL_THREADS, ROWS = 32; /* of a chunk */
using team = mb_team<MB_WARP, THREADS>;

__device__ inline void add_moments(const mb_column_metric_args_t &a, double x, double t, double w,
                                   double *sum)
{
    sum[0] += w * t;
    sum[a.columns] += w * t * t;
    sum[2 * a.columns] += w * (t - x) * (t - x);
    sum[3 * a.columns] += w;
}

__device__ inline void add_prediction(const mb_column_metric_args_t &a, bool predicted, double t,
                                      double w, double *sum)
{
    double p = predicted ? 1.0 : 0.0;
    sum[0] += w * p * t;
    sum[a.columns] += w * p * (1.0 - t);
    sum[2 * a.columns] += w * (1.0 - p) * t;
    sum[3 * a.columns] += w * t;
}

template <typename T>
__device__ inline void add_element(const mb_column_metric_args_t &a, int64_t row, int64_t j,
                                   float largest, double *sum)
{
    float x = mb_load((const T *)a.x, row * a.columns + j);
    double t = (double)mb_label_at(a.labels, row, j), w = (double)mb_weight_at(a.weights, row);
    bool predicted = a.kind == MB_COLUMN_ABOVE ? x > a.threshold : x >= largest && fabsf(x) > 1e-9f;
    if (a.kind == MB_COLUMN_MOMENTS)
        add_moments(a, (double)x, t, w, sum);
    else
        add_prediction(a, predicted, t, w, sum);
}

template <typename T>
__device__ inline void find_largest(const mb_column_metric_args_t &a, int64_t first, int64_t end,
                                    float *largest)
{
    const T *x = (const T *)a.x;
    for (int64_t i = first + team::number(); i < end; i += team::teams) {
        int64_t at = mb_largest_at<team>(x, i * a.columns, a.columns);
        if (team::lane() == 0)
            largest[i - first] = mb_load(x, i * a.columns + at);
    }
}

/* partial[blocks][4 columns + 1] */
template <typename T>
__global__ void __launch_bounds__(THREADS)
    column_metric_kernel(mb_cell_blocks blocks, mb_column_metric_args_t a, double *partial)
{
    __shared__ float largest[ROWS];
    int64_t cells = 4 * a.columns + 1;
    int64_t begin = blockIdx.x * blocks.block, end = begin + blocks.block;
    double *sums = partial + blockIdx.x * cells;
    end = end < a.valid ? end : a.valid;
    for (int64_t j = threadIdx.x; j < a.columns; j += THREADS)
        sums[j] = sums[a.columns + j] = sums[2 * a.columns + j] = sums[3 * a.columns + j] = 0.0;
    if (threadIdx.x == 0)
        sums[cells - 1] = end > begin ? (double)(end - begin) : 0.0;
    for (int64_t first = begin; first < end; first += ROWS) {
        int64_t last = first + ROWS < end ? first + ROWS : end;
        if (a.kind == MB_COLUMN_LARGEST)
            find_largest<T>(a, first, last, largest);
        __syncthreads();
        for (int64_t j = threadIdx.x; j < a.columns; j += THREADS) {
            for (int64_t i = first; i < last; i++)
                add_element<T>(a, i, j, largest[i - first], sums + j);
        }
        __syncthreads();
    }
}

template <typename T> mb_status_t column_metric(mb_exec_t *exec, const mb_column_metric_args_t &a)
{
    void *memory = NULL;
    int64_t cells = 4 * a.columns + 1;
    mb_cell_blocks blocks = mb_cell_blocks_of(a.rows, cells);
    MB_TRY(mb_cuda_workspace(exec, MB_OP_COLUMN_METRIC,
                             sizeof(double) * (size_t)(blocks.blocks * cells), &memory));
    if (exec->planning || a.rows == 0)
        return MB_OK;
    double *partial = (double *)memory;
    MB_LAUNCH(column_metric_kernel<T>, (unsigned)blocks.blocks, THREADS, 0, mb_cuda_stream(exec),
              blocks, a, partial);
    MB_TRY(mb_cuda_launched(MB_OP_COLUMN_METRIC));
    return mb_cuda_add_cells(exec, MB_OP_COLUMN_METRIC, cells, blocks.blocks, partial, a.sums);
}

} // namespace

extern "C" mb_status_t mb_cuda_column_metric(mb_exec_t *exec, const mb_column_metric_args_t *args)
{
    if (args->valid < 0 || args->valid > args->rows || args->columns < 1 ||
        !mb_labels_fit(args->labels, args->columns))
        return mb_cuda_refuse(MB_OP_COLUMN_METRIC, "rows without columns or with other labels, or "
                                                   "more valid rows than rows");
    if (!mb_cuda_aligned(args->x))
        return mb_cuda_refuse(MB_OP_COLUMN_METRIC, "an address that is no multiple of 16");
    MB_CUDA_TYPED(MB_OP_COLUMN_METRIC, args->type, return column_metric<T>(exec, *args));
}
