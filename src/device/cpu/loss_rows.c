/* Losses that take a row as a whole: in double, by a first reading for what the loss and all
 * gradients share and a second that writes these. Source: keras/src/losses/losses.py. */
#include "device/cpu/loss.h"

#include <math.h>

/* max(1 + max((1 - t) x) - sum(t x), 0): the largest ones share what goes to them, as Keras' amax
 * does. */
double mb_cpu_loss_categorical_hinge(const mb_loss_row_t *r)
{
    double own = 0.0, equals = 0.0;
    float other = -INFINITY;
    for (int64_t j = 0; j < r->args->columns; j++) {
        float x = r->x[j], v = (1.0f - r->labels[j]) * x;
        own += (double)r->labels[j] * (double)x;
        equals = v > other ? 1.0 : v == other ? equals + 1.0 : equals;
        other = v > other ? v : other;
    }
    double margin = (double)other - own + 1.0;
    double scale = (double)r->scale * mb_loss_positive(margin);
    for (int64_t j = 0; j < r->args->columns && r->dx != NULL; j++) {
        double t = (double)r->labels[j];
        bool largest = (1.0f - r->labels[j]) * r->x[j] == other;
        r->dx[j] = (float)(scale * ((largest ? (1.0 - t) / equals : 0.0) - t));
    }
    return mb_loss_at_least(margin, 0.0);
}

/* One over a norm that is never taken for less than Keras' epsilon. */
static double inverse_norm(double square, bool *bounded)
{
    double most = 1.0 / (double)MB_LOSS_TINY, inverse = 1.0 / sqrt(square);
    *bounded = inverse > most;
    return *bounded ? most : inverse;
}

double mb_cpu_loss_cosine(const mb_loss_row_t *r)
{
    double xx = 0.0, tt = 0.0, xt = 0.0;
    bool bounded, ignored;
    for (int64_t j = 0; j < r->args->columns; j++) {
        double x = (double)r->x[j], t = (double)r->labels[j];
        xx += x * x;
        tt += t * t;
        xt += x * t;
    }
    double of_x = inverse_norm(xx, &bounded), of_t = inverse_norm(tt, &ignored);
    double cosine = xt * of_x * of_t, along = bounded ? 0.0 : cosine * of_x * of_x;
    for (int64_t j = 0; j < r->args->columns && r->dx != NULL; j++)
        r->dx[j] = (float)((double)r->scale *
                           ((double)r->x[j] * along - (double)r->labels[j] * of_x * of_t));
    return -cosine;
}

/* Tversky's index (Salehi et al., 2017) of a row; Dice is that of halves. */
double mb_cpu_loss_overlap(const mb_loss_row_t *r)
{
    const mb_loss_args_t *a = r->args;
    double both = 0.0, missed = 0.0, wrong = 0.0, alpha = (double)a->p0, beta = (double)a->p1;
    for (int64_t j = 0; j < a->columns; j++) {
        double x = (double)r->x[j], t = (double)r->labels[j];
        both += x * t;
        missed += (1.0 - x) * t;
        wrong += x * (1.0 - t);
    }
    double whole = both + alpha * missed + beta * wrong + (double)a->p2;
    double scale = (double)r->scale / (whole * whole);
    for (int64_t j = 0; j < a->columns && r->dx != NULL; j++) {
        double t = (double)r->labels[j], grows = t - alpha * t + beta * (1.0 - t);
        r->dx[j] = (float)(scale * (both * grows - t * whole));
    }
    return 1.0 - both / whole;
}

/* Zhang, Sabuncu, "Generalized Cross Entropy Loss ...", 2018. */
double mb_cpu_loss_generalized(const mb_loss_row_t *r)
{
    double q = (double)r->args->p0, p = (double)r->x[r->label];
    for (int64_t j = 0; j < r->args->columns && r->dx != NULL; j++)
        r->dx[j] = 0.0f;
    if (r->dx != NULL)
        r->dx[r->label] = (float)(-(double)r->scale * pow(p, q - 1.0));
    return (1.0 - pow(p, q)) / q;
}
