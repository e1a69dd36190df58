/* What layers along any axes of a sample compute; see layer_reference.h. Elements that an axis, or
 * several, runs through make a group; truth->noise has 1 along these axes. */
#include "unit/layer_reference.h"

#include <math.h>

/* Whether elements I and J of a sample of SHAPE belong to one group. */
static bool together(const truth_t *t, const mb_shape_t *shape, int64_t i, int64_t j)
{
    bool so = true;
    for (int d = shape->rank - 1; d >= 0; d--) {
        so = so && (t->noise[d] == 1 || i % shape->dim[d] == j % shape->dim[d]);
        i /= shape->dim[d];
        j /= shape->dim[d];
    }
    return so;
}

void true_softmax_axes(const truth_t *t, const layer_fixture_t *f, double *const *x,
                       double *const *w, double *y)
{
    (void)w;
    const mb_shape_t *shape = &f->call->output;
    int64_t elements = mb_shape_elements(shape);
    for (int64_t k = 0; k < f->samples * elements; k++) {
        const double *sample = x[0] + k / elements * elements;
        double sum = 0;
        for (int64_t j = 0; j < elements; j++)
            sum += together(t, shape, k % elements, j) ? exp(sample[j]) : 0;
        y[k] = exp(x[0][k]) / sum;
    }
}

void true_glu(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
              double *y)
{
    (void)w;
    int64_t half = f->call->output.dim[t->axis], inner = 1;
    for (int d = t->axis + 1; d < f->call->output.rank; d++)
        inner *= f->call->output.dim[d];
    int64_t run = half * inner, all = f->samples * mb_shape_elements(&f->call->output);
    for (int64_t i = 0; i < all; i++) {
        const double *at = x[0] + i / run * 2 * run + i % run;
        y[i] = at[0] / (1 + exp(-at[run]));
    }
}

/* alpha has one element along axes whose truth->noise is 1. */
void true_prelu(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                double *y)
{
    const mb_shape_t *shape = &f->call->output;
    int64_t elements = mb_shape_elements(shape);
    for (int64_t k = 0; k < f->samples * elements; k++) {
        int64_t i = k % elements, place = 0, step = 1;
        for (int d = shape->rank - 1; d >= 0; d--) {
            place += t->noise[d] == 1 ? 0 : i % shape->dim[d] * step;
            step *= t->noise[d] == 1 ? 1 : shape->dim[d];
            i /= shape->dim[d];
        }
        y[k] = x[0][k] > 0 ? x[0][k] : x[0][k] * w[0][place];
    }
}

/* ---- normalization */

/* The place of element I among those that only axes of the group tell apart. */
static int64_t place_in_group(const truth_t *t, const mb_shape_t *shape, int64_t i)
{
    int64_t place = 0, step = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        place += t->noise[d] == 1 ? i % shape->dim[d] * step : 0;
        step *= t->noise[d] == 1 ? shape->dim[d] : 1;
        i /= shape->dim[d];
    }
    return place;
}

typedef bool (*together_t)(const truth_t *t, const mb_shape_t *shape, int64_t i, int64_t j);

/* (x - mean) / sqrt(variance + epsilon) within its group, or x in place of the difference, or of
 * it and the mean square in place of the variance. */
static double normalised(const truth_t *t, const mb_shape_t *shape, const double *x, int64_t i,
                         together_t is_together)
{
    int64_t elements = mb_shape_elements(shape), count = 0;
    double mean = 0, variance = 0;
    for (int64_t j = 0; j < elements; j++) {
        count += is_together(t, shape, i, j);
        mean += is_together(t, shape, i, j) && !t->rms ? x[j] : 0;
    }
    mean /= (double)count;
    for (int64_t j = 0; j < elements; j++)
        variance += is_together(t, shape, i, j) ? pow(x[j] - mean, 2) / (double)count : 0;
    return (x[i] - (t->rms_scaling ? 0 : mean)) / sqrt(variance + t->epsilon);
}

static double scaled(const truth_t *t, double *const *w, int64_t place, double value)
{
    double gamma = t->no_scale ? 1 : w[0][place];
    return value * gamma +
           (t->no_center || t->rms || t->rms_scaling ? 0 : w[t->no_scale ? 0 : 1][place]);
}

void true_norm_axes(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                    double *y)
{
    const mb_shape_t *shape = &f->call->output;
    int64_t elements = mb_shape_elements(shape);
    for (int64_t k = 0; k < f->samples * elements; k++) {
        const double *sample = x[0] + k / elements * elements;
        double value = normalised(t, shape, sample, k % elements, together);
        y[k] = scaled(t, w, place_in_group(t, shape, k % elements), value);
    }
}

static int64_t channel_of(const truth_t *t, const mb_shape_t *shape, int64_t i)
{
    for (int d = shape->rank - 1; d > t->axis; d--)
        i /= shape->dim[d];
    return i % shape->dim[t->axis];
}

static bool in_one_group(const truth_t *t, const mb_shape_t *shape, int64_t i, int64_t j)
{
    int64_t size = shape->dim[t->axis] / t->groups;
    return channel_of(t, shape, i) / size == channel_of(t, shape, j) / size;
}

void true_group_norm(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                     double *y)
{
    const mb_shape_t *shape = &f->call->output;
    int64_t elements = mb_shape_elements(shape);
    for (int64_t k = 0; k < f->samples * elements; k++) {
        const double *sample = x[0] + k / elements * elements;
        double value = normalised(t, shape, sample, k % elements, in_one_group);
        y[k] = scaled(t, w, channel_of(t, shape, k % elements), value);
    }
}

void true_unit_norm(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                    double *y)
{
    (void)w;
    const mb_shape_t *shape = &f->call->output;
    int64_t elements = mb_shape_elements(shape);
    for (int64_t k = 0; k < f->samples * elements; k++) {
        const double *sample = x[0] + k / elements * elements;
        double sum = 0;
        for (int64_t j = 0; j < elements; j++)
            sum += together(t, shape, k % elements, j) ? sample[j] * sample[j] : 0;
        y[k] = x[0][k] / sqrt(sum);
    }
}

/* Batch normalization along any axis, by the samples that count. */
void true_batchnorm_axis(const truth_t *t, const layer_fixture_t *f, double *const *x,
                         double *const *w, double *y)
{
    const mb_shape_t *shape = &f->call->output;
    int64_t elements = mb_shape_elements(shape), all = f->samples * elements;
    int64_t valid = f->valid * elements, count = valid / shape->dim[t->axis];
    for (int64_t k = 0; k < all; k++) {
        int64_t c = channel_of(t, shape, k % elements);
        double mean = 0, variance = 0;
        for (int64_t j = 0; j < valid; j++)
            mean += channel_of(t, shape, j % elements) == c ? x[0][j] / (double)count : 0;
        for (int64_t j = 0; j < valid; j++)
            variance += channel_of(t, shape, j % elements) == c
                            ? pow(x[0][j] - mean, 2) / (double)count
                            : 0;
        if (t->frozen) {
            mean = w[2][c];
            variance = w[3][c];
        }
        y[k] = scaled(t, w, c, (x[0][k] - mean) / sqrt(variance + t->epsilon));
    }
}
