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
