/* ConvLSTM2D, channels last, each sum written as its formula. See layer_reference.h. */
#include "unit/layer_reference.h"

#include <string.h>

enum { MOST = 128 }; /* states of a sample */

typedef struct {
    const truth_t *t;
    const layer_fixture_t *f;
    int64_t in[2], out[2], before[2]; /* before: padding of the input */
    int64_t steps, channels, filters, sample;
    const double *x; /* of the sample */
    double *const *w;
    double h[MOST], c[MOST]; /* before the step */
} images_t;

static int64_t or_one(int64_t value)
{
    return value == 0 ? 1 : value;
}

static images_t images_of(const truth_t *t, const layer_fixture_t *f)
{
    const mb_shape_t *shape = &f->call->inputs[0];
    images_t im = {.t = t, .f = f, .steps = shape->dim[0], .channels = shape->dim[3]};
    im.filters = t->units;
    for (int d = 0; d < 2; d++) {
        int64_t n = shape->dim[d + 1], stride = or_one(t->stride[d]);
        int64_t extent = (t->kernel[d] - 1) * or_one(t->dilation[d]) + 1;
        bool same = t->padding == TRUE_SAME;
        im.in[d] = n;
        im.out[d] = same ? (n + stride - 1) / stride : (n - extent) / stride + 1;
        int64_t total = (im.out[d] - 1) * stride + extent - n;
        im.before[d] = same && total > 0 ? total / 2 : 0;
    }
    return im;
}

/* Gate GATE's filter O at I, J from the image of the input. */
static double from_input(const images_t *im, int64_t position, int64_t i, int64_t j, int64_t gate,
                         int64_t o)
{
    const truth_t *t = im->t;
    int64_t column = gate * im->filters + o;
    double sum = t->no_bias ? 0 : im->w[2][column];
    for (int64_t a = 0; a < t->kernel[0]; a++)
        for (int64_t b = 0; b < t->kernel[1]; b++)
            for (int64_t ch = 0; ch < im->channels; ch++) {
                int64_t y = i * or_one(t->stride[0]) + a * or_one(t->dilation[0]) - im->before[0];
                int64_t x = j * or_one(t->stride[1]) + b * or_one(t->dilation[1]) - im->before[1];
                if (y < 0 || y >= im->in[0] || x < 0 || x >= im->in[1])
                    continue;
                int64_t pixel = y * im->in[1] + x;
                double kept =
                    t->dropout > 0
                        ? reference_keep(im->f, MB_RANDOM_RECURRENT_INPUT, t->dropout, im->sample,
                                         (pixel * 4 + gate) * im->channels + ch)
                        : 1;
                int64_t at = position * im->in[0] * im->in[1] + pixel;
                int64_t weight = (a * t->kernel[1] + b) * im->channels + ch;
                sum += im->x[at * im->channels + ch] * kept *
                       im->w[0][weight * 4 * im->filters + column];
            }
    return sum;
}

/* The same from the image of the states. */
static double from_states(const images_t *im, int64_t i, int64_t j, int64_t gate, int64_t o)
{
    const truth_t *t = im->t;
    double sum = 0;
    for (int64_t a = 0; a < t->kernel[0]; a++)
        for (int64_t b = 0; b < t->kernel[1]; b++)
            for (int64_t ch = 0; ch < im->filters; ch++) {
                int64_t y = i + a - (t->kernel[0] - 1) / 2, x = j + b - (t->kernel[1] - 1) / 2;
                if (y < 0 || y >= im->out[0] || x < 0 || x >= im->out[1])
                    continue;
                int64_t place = y * im->out[1] + x;
                double kept =
                    t->recurrent_dropout > 0
                        ? reference_keep(im->f, MB_RANDOM_RECURRENT_STATE, t->recurrent_dropout,
                                         im->sample, (place * 4 + gate) * im->filters + ch)
                        : 1;
                int64_t weight = (a * t->kernel[1] + b) * im->filters + ch;
                sum += im->h[place * im->filters + ch] * kept *
                       im->w[1][weight * 4 * im->filters + gate * im->filters + o];
            }
    return sum;
}

/* By the mask, if there is one. */
static bool is_present(const images_t *im, double *const *inputs, int64_t position)
{
    int mask = im->f->call->masks[0];
    return mask == 0 || inputs[mask][im->sample * im->steps + position] != 0;
}

static void run_step(images_t *im, int64_t position)
{
    truth_t gate = {.activation = im->t->gate};
    double h[MOST];
    for (int64_t k = 0; k < im->out[0] * im->out[1] * im->filters; k++) {
        int64_t o = k % im->filters, place = k / im->filters, z = 0;
        int64_t i = place / im->out[1], j = place % im->out[1];
        double value[4];
        for (z = 0; z < 4; z++)
            value[z] =
                reference_activate(z == 2 ? im->t : &gate, from_input(im, position, i, j, z, o) +
                                                               from_states(im, i, j, z, o));
        im->c[k] = value[1] * im->c[k] + value[0] * value[2];
        h[k] = value[3] * reference_activate(im->t, im->c[k]);
    }
    memcpy(im->h, h, sizeof h);
}

void true_conv_lstm(const truth_t *t, const layer_fixture_t *f, double *const *x, double *const *w,
                    double *y)
{
    images_t im = images_of(t, f);
    int64_t n = im.out[0] * im.out[1] * im.filters;
    size_t bytes = sizeof(double) * (size_t)n;
    im.w = w;
    for (im.sample = 0; im.sample < f->samples; im.sample++) {
        memset(im.h, 0, sizeof im.h);
        memset(im.c, 0, sizeof im.c);
        if (mb_call_arguments(f->call) > 1) {
            memcpy(im.h, x[1] + im.sample * n, bytes);
            memcpy(im.c, x[2] + im.sample * n, bytes);
        }
        im.x = x[0] + im.sample * im.steps * im.in[0] * im.in[1] * im.channels;
        for (int64_t step = 0; step < im.steps; step++) {
            int64_t position = t->backwards ? im.steps - 1 - step : step;
            bool present = is_present(&im, x, position);
            if (present)
                run_step(&im, position);
            if (t->sequences || step == im.steps - 1) {
                memcpy(y, im.h, bytes);
                if (!present && t->blank)
                    memset(y, 0, bytes);
                y += n;
            }
        }
        if (t->states) {
            memcpy(y, im.h, bytes);
            memcpy(y + n, im.c, bytes);
            y += 2 * n;
        }
    }
}
