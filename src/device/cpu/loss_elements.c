/* Losses of which each element and its label give a part by themselves; a row's is their sum or
 * mean. In double, rounded once. Source: keras/src/losses/losses.py, backend/torch/nn.py. */
#include "device/cpu/loss.h"

#include <math.h>

typedef struct {
    double loss, slope;
} element_t;

static inline element_t squared(const mb_loss_args_t *a, float x, float t)
{
    (void)a;
    float d = x - t;
    return (element_t){(double)d * (double)d, 2.0 * (double)d};
}

static inline element_t absolute(const mb_loss_args_t *a, float x, float t)
{
    (void)a;
    float d = x - t;
    return (element_t){fabs((double)d), d > 0.0f ? 1.0 : d < 0.0f ? -1.0 : 0.0};
}

static inline element_t percentage(const mb_loss_args_t *a, float x, float t)
{
    element_t e = absolute(a, x, t);
    double unit = 100.0 / fmax(fabs((double)t), (double)MB_LOSS_TINY);
    return (element_t){e.loss * unit, e.slope * unit};
}

static inline element_t squared_log(const mb_loss_args_t *a, float x, float t)
{
    (void)a;
    double tiny = (double)MB_LOSS_TINY, y = mb_loss_at_least((double)x, tiny);
    double d = log1p(y) - log1p(mb_loss_at_least((double)t, tiny));
    return (element_t){d * d, 2.0 * d / (1.0 + y) * mb_loss_positive((double)x - tiny)};
}

static inline element_t huber(const mb_loss_args_t *a, float x, float t)
{
    double d = (double)x - (double)t, delta = (double)a->p0;
    if (fabs(d) <= delta)
        return (element_t){0.5 * d * d, d};
    return (element_t){delta * fabs(d) - 0.5 * delta * delta, d > 0.0   ? delta
                                                              : d < 0.0 ? -delta
                                                                        : d};
}

static inline element_t log_cosh(const mb_loss_args_t *a, float x, float t)
{
    (void)a;
    double d = (double)x - (double)t;
    return (element_t){fabs(d) + log1p(exp(-2.0 * fabs(d))) - log(2.0), tanh(d)};
}

static inline element_t poisson(const mb_loss_args_t *a, float x, float t)
{
    (void)a;
    double y = (double)(x + MB_LOSS_TINY);
    return (element_t){(double)x - (double)t * log(y), 1.0 - (double)t / y};
}

static inline double to_one(float x)
{
    return x < MB_LOSS_TINY ? (double)MB_LOSS_TINY : x > 1.0f ? 1.0 : (double)x;
}

static inline element_t divergence(const mb_loss_args_t *a, float x, float t)
{
    (void)a;
    double q = to_one(x), p = to_one(t);
    return (element_t){p * log(p / q), x >= MB_LOSS_TINY && x <= 1.0f ? -p / q : 0.0};
}

/* Keras takes labels for -1 and 1 where a whole batch has none but 0 and 1: then, and where there
 * is no 0, that is this. */
static inline double side(float t)
{
    return t == 0.0f ? -1.0 : (double)t;
}

static inline element_t hinge(const mb_loss_args_t *a, float x, float t)
{
    (void)a;
    double s = side(t), margin = 1.0 - s * (double)x;
    return (element_t){mb_loss_at_least(margin, 0.0), -s * mb_loss_positive(margin)};
}

static inline element_t squared_hinge(const mb_loss_args_t *a, float x, float t)
{
    (void)a;
    double s = side(t), margin = mb_loss_at_least(1.0 - s * (double)x, 0.0);
    return (element_t){margin * margin, -2.0 * s * margin};
}

static inline element_t binary_logits(const mb_loss_args_t *a, float label, float of)
{
    double t = (double)mb_loss_smoothed(a, of, 0.5f), x = (double)label;
    return (element_t){fmax(x, 0.0) - x * t + log1p(exp(-fabs(x))), 1.0 / (1.0 + exp(-x)) - t};
}

/* Of a probability, with 1 - p given apart. */
static inline element_t entropy(double p, double rest, double t)
{
    double least = (double)MB_LOSS_TINY, most = (double)MB_LOSS_NEARLY_ONE;
    if (!(p >= least && p <= most)) {
        double bound = p < least ? least : p > most ? most : p;
        return (element_t){-t * log(bound) - (1.0 - t) * log(1.0 - bound), 0.0};
    }
    return (element_t){-t * log(p) - (1.0 - t) * log(rest), (p - t) / (p * rest)};
}

static inline element_t binary_probability(const mb_loss_args_t *a, float x, float label)
{
    return entropy((double)x, 1.0 - (double)x, (double)mb_loss_smoothed(a, label, 0.5f));
}

/* The same with the focal factor (Lin et al., "Focal Loss for Dense Object Detection", 2017). */
static inline element_t focal(const mb_loss_args_t *a, double p, double rest, double t)
{
    element_t plain = entropy(p, rest, t);
    double gamma = (double)a->p0, wrong = t * rest + (1.0 - t) * p;
    double weight = t * (double)a->p1 + (1.0 - t) * (double)a->p2, factor = pow(wrong, gamma);
    double bend = a->p0 == 0.0f ? 0.0 : gamma * pow(wrong, gamma - 1.0) * (1.0 - 2.0 * t);
    return (element_t){weight * factor * plain.loss,
                       weight * (bend * plain.loss + factor * plain.slope)};
}

static inline element_t binary_focal_probability(const mb_loss_args_t *a, float x, float label)
{
    double t = (double)mb_loss_smoothed(a, label, 0.5f);
    return focal(a, (double)x, 1.0 - (double)x, t);
}

static inline element_t binary_focal_logits(const mb_loss_args_t *a, float x, float label)
{
    double t = (double)mb_loss_smoothed(a, label, 0.5f);
    double p = 1.0 / (1.0 + exp(-(double)x)), rest = 1.0 / (1.0 + exp((double)x));
    element_t e = focal(a, p, rest, t);
    return (element_t){e.loss, e.slope * p * rest};
}

/* SHARE of its COLUMNS: one for a sum, 1 / columns for a mean. */
#define OF_ELEMENTS(name, share)                                                                   \
    double mb_cpu_loss_##name(const mb_loss_row_t *row)                                            \
    {                                                                                              \
        int64_t columns = row->args->columns;                                                      \
        double loss = 0.0, scale = (double)row->scale * (share);                                   \
        for (int64_t j = 0; j < columns; j++) {                                                    \
            element_t e = name(row->args, row->x[j], row->labels[j]);                              \
            loss += e.loss;                                                                        \
            if (row->dx != NULL)                                                                   \
                row->dx[j] = (float)(scale * e.slope);                                             \
        }                                                                                          \
        return loss * (share);                                                                     \
    }
#define MEAN_OF(name) OF_ELEMENTS(name, 1.0 / (double)columns)

MEAN_OF(squared)
MEAN_OF(absolute)
MEAN_OF(percentage)
MEAN_OF(squared_log)
MEAN_OF(huber)
MEAN_OF(log_cosh)
MEAN_OF(poisson)
OF_ELEMENTS(divergence, 1.0)
MEAN_OF(hinge)
MEAN_OF(squared_hinge)
MEAN_OF(binary_logits)
MEAN_OF(binary_probability)
MEAN_OF(binary_focal_logits)
MEAN_OF(binary_focal_probability)
