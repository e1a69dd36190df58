/* The sums over rows and columns of a confusion matrix of classes, and its diagonal: what an
 * intersection over union needs of it (keras/src/metrics/iou_metrics.py). A part of a warp or a
 * warp finds a row's two classes, which are counted then (cells.h). Bound by reading the rows. */
#include "cells.h"
#include "labels.h"

namespace
{

struct classes_of {
    int right, found; /* -1: none */
};

/* Without WHOLE Keras looks whether the number itself is inside, and cuts then. */
__device__ inline int class_of(const mb_class_counts_args_t &a, float value)
{
    float seen = a.whole ? truncf(value) : value;
    return seen >= 0.0f && seen < (float)a.classes ? (int)seen : -1;
}

template <typename TEAM, typename T>
__device__ inline int class_of_x(const mb_class_counts_args_t &a, int64_t row)
{
    const T *x = (const T *)a.x;
    if (a.x_is == MB_CLASS_LARGEST)
        return class_of(a, (float)mb_largest_at<TEAM>(x, row * a.columns, a.columns));
    float value = mb_load(x, row);
    return class_of(a, a.x_is == MB_CLASS_ABOVE ? (value >= a.threshold ? 1.0f : 0.0f) : value);
}

/* The ignored label may lie outside the classes: it is looked for among the numbers themselves. */
template <typename TEAM>
__device__ inline int class_of_label(const mb_class_counts_args_t &a, int64_t row)
{
    float value = a.label_is == MB_CLASS_LARGEST ? (float)mb_largest_label_at<TEAM>(a.labels, row)
                                                 : mb_label_at(a.labels, row, 0);
    float seen = a.whole ? truncf(value) : value;
    return a.has_ignore && seen == (float)a.ignore_label ? -1 : class_of(a, value);
}

template <typename TEAM, typename T>
__global__ void __launch_bounds__(TEAM::threads)
    find_classes_kernel(mb_class_counts_args_t a, classes_of *classes)
{
    int64_t step = (int64_t)gridDim.x * TEAM::teams;
    for (int64_t i = (int64_t)blockIdx.x * TEAM::teams + TEAM::number(); i < a.valid; i += step) {
        classes_of own = {class_of_label<TEAM>(a, i), class_of_x<TEAM, T>(a, i)};
        if (TEAM::lane() == 0)
            classes[i] = own;
    }
}

/* partial[blocks][3][classes] */
__global__ void __launch_bounds__(MB_CELL_THREADS)
    class_counts_kernel(mb_cell_blocks blocks, mb_class_counts_args_t a, const classes_of *classes,
                        double *partial)
{
    int64_t begin = blockIdx.x * blocks.block, end = begin + blocks.block;
    mb_fill_cells<3>(begin, end < a.valid ? end : a.valid, a.classes,
                     partial + blockIdx.x * 3 * a.classes, [&](int64_t i) {
                         classes_of of = classes[i];
                         float weight = mb_weight_at(a.weights, i / a.per_weight);
                         bool counts = of.right >= 0 && of.found >= 0;
                         return mb_item<3>{{counts ? of.right : -1, counts ? of.found : -1,
                                            counts && of.right == of.found ? of.right : -1},
                                           a.whole ? truncf(weight) : weight};
                     });
}

template <typename TEAM, typename T>
mb_status_t class_counts(mb_exec_t *exec, const mb_class_counts_args_t &a)
{
    void *memory = NULL;
    int64_t cells = 3 * a.classes;
    mb_cell_blocks blocks = mb_cell_blocks_of(a.rows, cells);
    size_t sums = (size_t)(blocks.blocks * cells);
    MB_TRY(mb_cuda_workspace(exec, MB_OP_CLASS_COUNTS,
                             sums * sizeof(double) + (size_t)a.rows * sizeof(classes_of), &memory));
    if (exec->planning || a.rows == 0)
        return MB_OK;
    double *partial = (double *)memory;
    classes_of *classes = (classes_of *)(partial + sums);
    MB_LAUNCH((find_classes_kernel<TEAM, T>), mb_cuda_blocks(a.rows, TEAM::teams), TEAM::threads, 0,
              mb_cuda_stream(exec), a, classes);
    MB_TRY(mb_cuda_launched(MB_OP_CLASS_COUNTS));
    MB_LAUNCH(class_counts_kernel, (unsigned)blocks.blocks, MB_CELL_THREADS, 0,
              mb_cuda_stream(exec), blocks, a, (const classes_of *)classes, partial);
    MB_TRY(mb_cuda_launched(MB_OP_CLASS_COUNTS));
    return mb_cuda_add_cells(exec, MB_OP_CLASS_COUNTS, cells, blocks.blocks, partial, a.counts);
}

template <typename T> mb_status_t run_teamed(mb_exec_t *exec, const mb_class_counts_args_t &a)
{
    if (a.columns <= 64)
        return class_counts<mb_team<8, 256>, T>(exec, a);
    return class_counts<mb_team<32, 256>, T>(exec, a);
}

bool is_sound(const mb_class_counts_args_t *a)
{
    bool one_x = a->x_is == MB_CLASS_LARGEST || a->columns == 1;
    bool one_label = a->label_is == MB_CLASS_LARGEST || a->labels.columns == 1;
    return a->valid >= 0 && a->valid <= a->rows && a->columns >= 1 && a->classes >= 1 && one_x &&
           one_label && a->per_weight >= 1;
}

} // namespace

extern "C" mb_status_t mb_cuda_class_counts(mb_exec_t *exec, const mb_class_counts_args_t *args)
{
    if (!is_sound(args))
        return mb_cuda_refuse(MB_OP_CLASS_COUNTS, "rows that do not say one class each");
    if (!mb_cuda_aligned(args->x))
        return mb_cuda_refuse(MB_OP_CLASS_COUNTS, "an address that is no multiple of 16");
    MB_CUDA_TYPED(MB_OP_CLASS_COUNTS, args->type, return run_teamed<T>(exec, *args));
}
