/* What metrics read beside x: labels of either type, a row's or a column's, and weights. */
#ifndef MB_KERNELS_LABELS_H
#define MB_KERNELS_LABELS_H

#include "reduce.h"
#include "runs.h"

/* The label that column J of a row meets. */
__device__ inline float mb_label_at(const mb_labels_t &labels, int64_t row, int64_t j)
{
    int64_t at = labels.columns == 1 ? row : row * labels.columns + j;
    return labels.whole ? (float)((const int32_t *)labels.values)[at]
                        : ((const float *)labels.values)[at];
}

/* The row's one label as a class. */
__device__ inline int64_t mb_label_class(const mb_labels_t &labels, int64_t row)
{
    return labels.whole ? (int64_t)((const int32_t *)labels.values)[row]
                        : (int64_t)((const float *)labels.values)[row];
}

__device__ inline float mb_weight_at(const float *weights, int64_t row)
{
    return weights == NULL ? 1.0f : weights[row];
}

inline bool mb_labels_fit(const mb_labels_t &labels, int64_t columns)
{
    return labels.columns == 1 || labels.columns == columns;
}

/* In an anonymous namespace because of reduce.h. */
namespace
{

/* BODY(x, j) of each element of a row that begins at FIRST of an aligned array. */
template <typename TEAM, typename T, typename F>
__device__ inline void mb_each_of_row(const T *x, int64_t first, int64_t columns, F body)
{
    mb_each_run_of_row<mb_width<T>>(first, columns, TEAM::lane(), TEAM::lanes,
                                    [&](int64_t j, auto run) {
                                        constexpr int N = decltype(run)::value;
                                        float v[N];
                                        mb_load_pack(x + first + j, v);
                                        for (int k = 0; k < N; k++)
                                            body(v[k], j + k);
                                    });
}

/* The index of a row's first largest element, in all lanes of its team. */
template <typename TEAM, typename T>
__device__ inline int64_t mb_largest_at(const T *x, int64_t first, int64_t columns)
{
    uint64_t best = 0;
    mb_each_of_row<TEAM>(x, first, columns, [&](float v, int64_t j) {
        best = mb_largest_of()(best, mb_first_largest(v, (uint32_t)j));
    });
    return (int64_t)mb_index_of(TEAM::largest(best));
}

template <typename TEAM>
__device__ inline int64_t mb_largest_label_at(const mb_labels_t &labels, int64_t row)
{
    uint64_t best = 0;
    for (int64_t j = TEAM::lane(); j < labels.columns; j += TEAM::lanes)
        best = mb_largest_of()(best, mb_first_largest(mb_label_at(labels, row, j), (uint32_t)j));
    return (int64_t)mb_index_of(TEAM::largest(best));
}

} // namespace

#endif
