/* One row of a loss on the CPU: what its kind is given, and the kinds. Each returns the row's loss
 * and, where dx is not NULL, writes the gradient times scale; dx may be x. */
#ifndef MB_DEVICE_CPU_LOSS_H
#define MB_DEVICE_CPU_LOSS_H

#include "device/ops.h"

#define MB_LOSS_TINY 1e-7f                       /* Keras' epsilon */
#define MB_LOSS_NEARLY_ONE ((float)(1.0 - 1e-7)) /* rounded as Keras' clip rounds it */

typedef struct {
    const mb_loss_args_t *args;
    const float *x;
    const float *labels; /* float kinds */
    int32_t label;       /* sparse kinds */
    float *dx;
    float scale; /* the arguments' times the row's weight */
} mb_loss_row_t;

/* loss_elements.c: sums and means of what each element and its label give. */
double mb_cpu_loss_squared(const mb_loss_row_t *row);
double mb_cpu_loss_absolute(const mb_loss_row_t *row);
double mb_cpu_loss_percentage(const mb_loss_row_t *row);
double mb_cpu_loss_squared_log(const mb_loss_row_t *row);
double mb_cpu_loss_huber(const mb_loss_row_t *row);
double mb_cpu_loss_log_cosh(const mb_loss_row_t *row);
double mb_cpu_loss_poisson(const mb_loss_row_t *row);
double mb_cpu_loss_divergence(const mb_loss_row_t *row);
double mb_cpu_loss_hinge(const mb_loss_row_t *row);
double mb_cpu_loss_squared_hinge(const mb_loss_row_t *row);
double mb_cpu_loss_binary_logits(const mb_loss_row_t *row);
double mb_cpu_loss_binary_probability(const mb_loss_row_t *row);
double mb_cpu_loss_binary_focal_logits(const mb_loss_row_t *row);
double mb_cpu_loss_binary_focal_probability(const mb_loss_row_t *row);

/* loss_focal.c, loss_rows.c: what a row gives as a whole. */
double mb_cpu_loss_focal_logits(const mb_loss_row_t *row);
double mb_cpu_loss_focal_probability(const mb_loss_row_t *row);
double mb_cpu_loss_categorical_hinge(const mb_loss_row_t *row);
double mb_cpu_loss_cosine(const mb_loss_row_t *row);
double mb_cpu_loss_overlap(const mb_loss_row_t *row);
double mb_cpu_loss_generalized(const mb_loss_row_t *row);

/* Keras' label smoothing: towards the uniform distribution. */
static inline float mb_loss_smoothed(const mb_loss_args_t *a, float label, float uniform)
{
    return label * (1.0f - a->label_smoothing) + a->label_smoothing * uniform;
}

static inline float mb_loss_clipped(float q)
{
    return q < MB_LOSS_TINY ? MB_LOSS_TINY : q > MB_LOSS_NEARLY_ONE ? MB_LOSS_NEARLY_ONE : q;
}

static inline bool mb_loss_inside(float q)
{
    return q >= MB_LOSS_TINY && q <= MB_LOSS_NEARLY_ONE;
}

/* The slope of max(x, 0), at 0 the mean of both sides' as in Keras' maximum; NaN stays. */
static inline double mb_loss_positive(double x)
{
    return x > 0.0 ? 1.0 : x < 0.0 ? 0.0 : x + 0.5;
}

static inline double mb_loss_at_least(double x, double least)
{
    return x < least ? least : x;
}

#endif
