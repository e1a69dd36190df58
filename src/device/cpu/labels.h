/* What metrics read beside x: labels of either type, a row's or a column's, and weights. */
#ifndef MB_DEVICE_CPU_LABELS_H
#define MB_DEVICE_CPU_LABELS_H

#include "device/cpu/cpu.h"

static inline bool mb_labels_fit(const mb_labels_t *labels, int64_t columns)
{
    return labels->columns == 1 || labels->columns == columns;
}

/* The label that column J of a row meets. */
static inline float mb_label_at(const mb_labels_t *labels, int64_t row, int64_t j)
{
    int64_t at = labels->columns == 1 ? row : row * labels->columns + j;
    return labels->whole ? (float)((const int32_t *)labels->values)[at]
                         : ((const float *)labels->values)[at];
}

/* The row's one label as a class. */
static inline int64_t mb_label_class(const mb_labels_t *labels, int64_t row)
{
    return labels->whole ? (int64_t)((const int32_t *)labels->values)[row]
                         : (int64_t)((const float *)labels->values)[row];
}

static inline double mb_weight_at(const float *weights, int64_t row)
{
    return weights == NULL ? 1.0 : (double)weights[row];
}

static inline int64_t mb_first_largest(const float *x, int64_t columns)
{
    int64_t best = 0;
    for (int64_t j = 1; j < columns; j++)
        best = x[j] > x[best] ? j : best;
    return best;
}

static inline int64_t mb_first_largest_label(const mb_labels_t *labels, int64_t row)
{
    int64_t best = 0;
    for (int64_t j = 1; j < labels->columns; j++)
        best = mb_label_at(labels, row, j) > mb_label_at(labels, row, best) ? j : best;
    return best;
}

#endif
