/* Layers that masks of their inputs choose numbers for, as Keras' own lines have it. See
 * layer_reference.h. */
#include "unit/layer_reference.h"

#include <math.h>

/* The element of an input that output element K is made of: shapes of as many axes, broadcast. */
static int64_t element_of(const mb_shape_t *from, const mb_shape_t *output, int64_t k)
{
    int64_t at = 0, step = 1;
    for (int d = output->rank - 1; d >= 0; d--) {
        at += (from->dim[d] == 1 ? 0 : k % output->dim[d]) * step;
        step *= from->dim[d];
        k /= output->dim[d];
    }
    return at + k * step;
}

static bool masked(const layer_fixture_t *f, int input)
{
    return f->call->masks[input] > 0;
}

/* Whether the input's element counts. */
static bool counts(const layer_fixture_t *f, double *const *x, int input, int64_t element)
{
    int64_t columns = mb_shape_columns(&f->call->inputs[input]);
    return !masked(f, input) || x[f->call->masks[input]][element / columns] != 0;
}

static double product_of(const layer_fixture_t *f, double *const *x, int64_t k)
{
    double product = 1;
    bool any = false, all = true;
    for (int i = 0; i < mb_call_arguments(f->call); i++) {
        int64_t at = element_of(&f->call->inputs[i], &f->call->output, k);
        bool here = counts(f, x, i, at);
        product *= here ? x[i][at] : 1;
        any = any || here;
        all = all && masked(f, i);
    }
    return all && !any ? 0 : product;
}

static double extreme_of(const truth_t *t, const layer_fixture_t *f, double *const *x, int64_t k)
{
    int64_t at = element_of(&f->call->inputs[0], &f->call->output, k);
    double output = x[0][at];
    bool has_mask = masked(f, 0), any = counts(f, x, 0, at);
    for (int i = 1; i < mb_call_arguments(f->call); i++) {
        at = element_of(&f->call->inputs[i], &f->call->output, k);
        bool here = counts(f, x, i, at);
        double value = here ? x[i][at] : output;
        output = has_mask && !any ? value : output;
        has_mask = has_mask && masked(f, i);
        any = any || here;
        output = t->merging == TRUE_LARGEST ? fmax(output, value) : fmin(output, value);
    }
    return output;
}

void true_masked_merge(const truth_t *t, const layer_fixture_t *f, double *const *x,
                       double *const *w, double *y)
{
    (void)w;
    for (int64_t k = 0; k < layer_output_elements(f); k++)
        y[k] = t->merging == TRUE_PRODUCT ? product_of(f, x, k) : extreme_of(t, f, x, k);
}

/* ---- batch normalization */

static int64_t channel_of(const truth_t *t, const mb_shape_t *shape, int64_t k)
{
    for (int d = shape->rank - 1; d > t->axis; d--)
        k /= shape->dim[d];
    return k % shape->dim[t->axis];
}

typedef struct {
    double sum, squares, count;
} sums_t;

/* Whether both have statistics of their own: which may be those of a step. */
static bool is_apart(const truth_t *t, const mb_shape_t *shape, int64_t i, int64_t j)
{
    int64_t elements = mb_shape_elements(shape), step = elements / shape->dim[0];
    return t->by_steps && i % elements / step != j % elements / step;
}

/* Of the channel of element K: of x - MEAN. */
static sums_t sums_of(const truth_t *t, const layer_fixture_t *f, double *const *x, int64_t k,
                      double mean)
{
    const mb_shape_t *shape = &f->call->output;
    int64_t valid = f->valid * mb_shape_elements(shape);
    sums_t s = {0};
    for (int64_t j = 0; j < valid; j++) {
        if (channel_of(t, shape, j) != channel_of(t, shape, k) || is_apart(t, shape, j, k) ||
            !counts(f, x, 0, j))
            continue;
        s.sum += x[0][j] - mean;
        s.squares += (x[0][j] - mean) * (x[0][j] - mean);
        s.count += 1;
    }
    return s;
}

void true_masked_batchnorm(const truth_t *t, const layer_fixture_t *f, double *const *x,
                           double *const *w, double *y)
{
    const mb_shape_t *shape = &f->call->output;
    for (int64_t k = 0; k < layer_output_elements(f); k++) {
        int64_t c = channel_of(t, shape, k);
        sums_t s = sums_of(t, f, x, k, 0);
        double mean = s.sum / (s.count + 1e-7);
        double variance = sums_of(t, f, x, k, mean).squares / (s.count + 1e-7);
        y[k] = (x[0][k] - mean) / sqrt(variance + t->epsilon) * w[0][c] + w[1][c];
    }
}
