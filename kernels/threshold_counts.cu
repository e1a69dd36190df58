/* Counts elements by whether their label is positive and by how many thresholds they exceed
 * (cells.h). Where thresholds are evenly apart, Keras multiplies instead of comparing, and so does
 * this (keras/src/metrics/metrics_utils.py). Where only a row's k largest count, a kernel in front
 * finds the least of them, by k readings of the row. */
#include "cells.h"
#include "labels.h"

namespace
{

/* What each row's element must reach (mb_first_largest) to be among the k largest. */
template <typename TEAM, typename T>
__global__ void __launch_bounds__(TEAM::threads)
    least_kernel(mb_threshold_counts_args_t a, uint64_t *least)
{
    const T *x = (const T *)a.x;
    int64_t step = (int64_t)gridDim.x * TEAM::teams;
    for (int64_t i = (int64_t)blockIdx.x * TEAM::teams + TEAM::number(); i < a.valid; i += step) {
        uint64_t last = ~(uint64_t)0;
        for (int64_t k = 0; k < a.top_k; k++) {
            uint64_t best = 0;
            mb_each_of_row<TEAM>(x, i * a.columns, a.columns, [&](float v, int64_t j) {
                uint64_t own = mb_first_largest(v, (uint32_t)j);
                best = own < last && own > best ? own : best;
            });
            last = TEAM::largest(best);
        }
        if (TEAM::lane() == 0)
            least[i] = last;
    }
}

__device__ inline int exceeded_evenly(const mb_threshold_counts_args_t &a, float x)
{
    float inside = x < 0.0f ? 0.0f : x > 1.0f ? 1.0f : x;
    int exceeded = x == x ? (int)ceilf(inside * (float)(a.n - 1)) : 0;
    return a.above_first && exceeded < 1 ? 1 : exceeded;
}

/* How many of the sorted thresholds lie below x: by halving. */
__device__ inline int exceeded(const mb_threshold_counts_args_t &a, float x)
{
    int64_t low = 0, high = a.n;
    if (a.even)
        return exceeded_evenly(a, x);
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (x > a.thresholds[middle])
            low = middle + 1;
        else
            high = middle;
    }
    return (int)low;
}

template <typename T>
__device__ inline mb_item<1> item_of(const mb_threshold_counts_args_t &a, const uint64_t *least,
                                     int64_t row, int64_t j)
{
    float x = mb_load((const T *)a.x, row * a.columns + j);
    float value = a.logits ? 1.0f / (1.0f + expf(-x)) : x;
    int64_t positive = mb_label_at(a.labels, row, j) != 0.0f ? 1 : 0;
    bool counts = least == NULL || mb_first_largest(x, (uint32_t)j) >= least[row];
    int64_t cell = ((a.apart ? 2 * j : 0) + positive) * (a.n + 1);
    float weight = mb_weight_at(a.weights, row) * mb_weight_at(a.column_weights, j);
    return {{(int)(cell + (counts ? exceeded(a, value) : 0))}, weight};
}

/* partial[blocks][cells]; the items are the elements of WIDTH columns from A.column on, or of all
 */
template <typename T>
__global__ void __launch_bounds__(MB_CELL_THREADS)
    threshold_counts_kernel(mb_cell_blocks blocks, mb_threshold_counts_args_t a, int64_t width,
                            int64_t cells, const uint64_t *least, double *partial)
{
    int64_t begin = blockIdx.x * blocks.block, end = begin + blocks.block;
    int64_t valid = a.valid * width, first = a.column < 0 ? 0 : a.column;
    mb_fill_cells<1>(begin, end < valid ? end : valid, cells, partial + blockIdx.x * cells,
                     [&](int64_t i) { return item_of<T>(a, least, i / width, first + i % width); });
}

template <typename T>
mb_status_t find_least(mb_exec_t *exec, const mb_threshold_counts_args_t &a, uint64_t *least)
{
    using TEAM = mb_team<32, 256>;
    MB_LAUNCH((least_kernel<TEAM, T>), mb_cuda_blocks(a.rows, TEAM::teams), TEAM::threads, 0,
              mb_cuda_stream(exec), a, least);
    return mb_cuda_launched(MB_OP_THRESHOLD_COUNTS);
}

template <typename T>
mb_status_t threshold_counts(mb_exec_t *exec, const mb_threshold_counts_args_t &a)
{
    void *memory = NULL;
    int64_t width = a.column < 0 ? a.columns : 1;
    int64_t cells = (a.apart ? a.columns : 1) * 2 * (a.n + 1);
    mb_cell_blocks blocks = mb_cell_blocks_of(a.rows * width, cells);
    size_t sums = (size_t)(blocks.blocks * cells), keys = a.top_k > 0 ? (size_t)a.rows : 0;
    MB_TRY(mb_cuda_workspace(exec, MB_OP_THRESHOLD_COUNTS,
                             sums * sizeof(double) + keys * sizeof(uint64_t), &memory));
    if (exec->planning || a.rows == 0)
        return MB_OK;
    double *partial = (double *)memory;
    uint64_t *least = a.top_k > 0 ? (uint64_t *)(partial + sums) : NULL;
    if (least != NULL)
        MB_TRY(find_least<T>(exec, a, least));
    MB_LAUNCH(threshold_counts_kernel<T>, (unsigned)blocks.blocks, MB_CELL_THREADS, 0,
              mb_cuda_stream(exec), blocks, a, width, cells, (const uint64_t *)least, partial);
    MB_TRY(mb_cuda_launched(MB_OP_THRESHOLD_COUNTS));
    return mb_cuda_add_cells(exec, MB_OP_THRESHOLD_COUNTS, cells, blocks.blocks, partial, a.counts);
}

bool is_sound(const mb_threshold_counts_args_t *a)
{
    return a->valid >= 0 && a->valid <= a->rows && a->columns >= 1 &&
           a->labels.columns == a->columns && a->column < a->columns && a->top_k <= a->columns &&
           a->n >= 1;
}

} // namespace

extern "C" mb_status_t mb_cuda_threshold_counts(mb_exec_t *exec,
                                                const mb_threshold_counts_args_t *args)
{
    if (!is_sound(args))
        return mb_cuda_refuse(MB_OP_THRESHOLD_COUNTS,
                              "labels, a column or thresholds that do not fit the rows");
    if (!mb_cuda_aligned(args->x))
        return mb_cuda_refuse(MB_OP_THRESHOLD_COUNTS, "an address that is no multiple of 16");
    MB_CUDA_TYPED(MB_OP_THRESHOLD_COUNTS, args->type, return threshold_counts<T>(exec, *args));
}
