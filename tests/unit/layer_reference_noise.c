/* What layers of noise compute, number by number; see layer_reference.h. */
#include "unit/layer_reference.h"

#include <math.h>

static uint32_t word(const layer_fixture_t *f, uint32_t purpose, int64_t sample, int64_t element)
{
    mb_random_key_t key = f->random;
    key.purpose = purpose;
    return mb_random_word(&key, (uint32_t)sample, (uint32_t)element);
}

/* Element I of a sample's place in the noise, which has 1 along axes whose truth->noise is 1. */
static int64_t noise_element(const truth_t *t, const mb_shape_t *shape, int64_t i)
{
    int64_t element = 0, step = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        if (t->noise[d] != 1) {
            element += i % shape->dim[d] * step;
            step *= shape->dim[d];
        }
        i /= shape->dim[d];
    }
    return element;
}

/* One mask for all samples is drawn at position 0. */
static bool is_kept(const truth_t *t, const layer_fixture_t *f, int64_t sample, int64_t i)
{
    layer_fixture_t at = *f;
    if (t->for_samples)
        at.random.position = 0;
    int64_t element = noise_element(t, &f->call->output, i);
    uint32_t of = word(&at, MB_RANDOM_DROPOUT, t->for_samples ? 0 : sample, element);
    return mb_random_unit(of) >= (float)t->dropout;
}

void true_noise_shape(const truth_t *t, const layer_fixture_t *f, double *const *x,
                      double *const *w, double *y)
{
    (void)w;
    int64_t elements = mb_shape_elements(&f->call->output);
    for (int64_t i = 0; i < f->samples * elements; i++)
        y[i] = is_kept(t, f, i / elements, i % elements) ? x[0][i] / (1 - t->dropout) : 0;
}

void true_alpha_dropout(const truth_t *t, const layer_fixture_t *f, double *const *x,
                        double *const *w, double *y)
{
    (void)w;
    double dropped = -1.6732632423543772 * 1.0507009873554805;
    double a = pow((1 - t->dropout) * (1 + t->dropout * dropped * dropped), -0.5);
    double b = -a * dropped * t->dropout;
    int64_t elements = mb_shape_elements(&f->call->output);
    for (int64_t i = 0; i < f->samples * elements; i++)
        y[i] = a * (is_kept(t, f, i / elements, i % elements) ? x[0][i] : dropped) + b;
}

static double normal(const layer_fixture_t *f, int64_t sample, int64_t element)
{
    int64_t pair = element / 2 * 2;
    double u = ((double)(word(f, MB_RANDOM_NOISE, sample, pair) >> 8) + 1) * 0x1p-24;
    double turns = (double)(word(f, MB_RANDOM_NOISE, sample, pair + 1) >> 8) * 0x1p-24;
    double angle = 4 * acos(0) * turns;
    return sqrt(-2 * log(u)) * (element == pair ? cos(angle) : sin(angle));
}

void true_gaussian_noise(const truth_t *t, const layer_fixture_t *f, double *const *x,
                         double *const *w, double *y)
{
    (void)w;
    int64_t elements = mb_shape_elements(&f->call->output);
    for (int64_t i = 0; i < f->samples * elements; i++)
        y[i] = x[0][i] + t->deviation * normal(f, i / elements, i % elements);
}

void true_gaussian_dropout(const truth_t *t, const layer_fixture_t *f, double *const *x,
                           double *const *w, double *y)
{
    (void)w;
    double deviation = sqrt(t->dropout / (1 - t->dropout));
    int64_t elements = mb_shape_elements(&f->call->output);
    for (int64_t i = 0; i < f->samples * elements; i++)
        y[i] = x[0][i] * (1 + deviation * normal(f, i / elements, i % elements));
}
