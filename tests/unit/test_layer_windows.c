/* Layers over images and volumes, in both data formats, against one plain loop nest each in double:
 * outputs directly, gradients against central differences of it. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit/layer_fixture.h"

#define D 3 /* spatial dimensions at most */

typedef struct case_t case_t;
typedef void (*reference_t)(const case_t *test, const layer_fixture_t *f, double *const *w,
                            const double *x, double *y);

struct case_t {
    const char *what, *class_name, *config;
    reference_t reference;
    mb_shape_t shape; /* channels last; of the first ones the channels come first */
    bool first;
    int64_t size[D], stride[D], dilation[D]; /* 0: 1 */
    int64_t groups, multiplier;              /* 0: 1 */
    int64_t before[D]; /* padding in front; what is cropped there; of transposed ones likewise */
    bool average, no_bias, tanh_, is_box_of_input;
};

static int64_t one_if_none(int64_t n)
{
    return n == 0 ? 1 : n;
}

/* A tensor of a call: its spatial dimensions, and where its numbers are. */
typedef struct {
    int spatial;
    int64_t dim[D], channels, positions;
    bool first;
} image_t;

static image_t image_of(const mb_shape_t *shape, bool first)
{
    image_t image = {shape->rank - 1, {1, 1, 1}, 0, 1, first};
    for (int i = 0; i < image.spatial; i++) {
        image.dim[i] = shape->dim[i + (first ? 1 : 0)];
        image.positions *= image.dim[i];
    }
    image.channels = shape->dim[first ? 0 : shape->rank - 1];
    return image;
}

static void coordinates(const image_t *image, int64_t position, int64_t *at)
{
    for (int i = D - 1; i >= 0; i--) {
        at[i] = position % image->dim[i];
        position /= image->dim[i];
    }
}

/* -1 outside. */
static int64_t position_of(const image_t *image, const int64_t *at)
{
    int64_t position = 0;
    for (int i = 0; i < D; i++) {
        if (at[i] < 0 || at[i] >= image->dim[i])
            return -1;
        position = position * image->dim[i] + at[i];
    }
    return position;
}

static int64_t element(const image_t *image, int64_t sample, int64_t position, int64_t channel)
{
    int64_t first = sample * image->positions * image->channels;
    return image->first ? first + channel * image->positions + position
                        : first + position * image->channels + channel;
}

static image_t kernel_of(const case_t *test)
{
    image_t kernel = {0, {1, 1, 1}, 0, 1, false};
    for (int i = 0; i < D; i++) {
        kernel.dim[i] = one_if_none(test->size[i]);
        kernel.positions *= kernel.dim[i];
    }
    return kernel;
}

/* Where tap TAP of the window of position OUT is. */
static int64_t under(const case_t *test, const image_t *in, const int64_t *out,
                     const image_t *kernel, int64_t tap)
{
    int64_t at[D];
    coordinates(kernel, tap, at);
    for (int i = 0; i < D; i++)
        at[i] = out[i] * one_if_none(test->stride[i]) - test->before[i] +
                at[i] * one_if_none(test->dilation[i]);
    return position_of(in, at);
}

static void finish(const case_t *test, const image_t *out, int64_t samples, const double *bias,
                   double *y)
{
    for (int64_t s = 0; s < samples; s++)
        for (int64_t p = 0; p < out->positions; p++)
            for (int64_t c = 0; c < out->channels; c++) {
                double *value = &y[element(out, s, p, c)];
                *value += test->no_bias ? 0.0 : bias[c];
                *value = test->tanh_ ? tanh(*value) : *value;
            }
}

/* y += conv(x, w) with w [taps, channels / groups, outputs]. */
static void convolve(const case_t *test, const image_t *in, const image_t *out, int64_t groups,
                     int64_t samples, const double *w, const double *x, double *y)
{
    image_t kernel = kernel_of(test);
    int64_t depth = in->channels / groups, width = out->channels / groups, at[D];
    for (int64_t s = 0; s < samples; s++)
        for (int64_t p = 0; p < out->positions; p++)
            for (int64_t o = 0; o < out->channels; o++)
                for (int64_t tap = 0; tap < kernel.positions; tap++) {
                    coordinates(out, p, at);
                    int64_t from = under(test, in, at, &kernel, tap);
                    for (int64_t c = 0; from >= 0 && c < depth; c++)
                        y[element(out, s, p, o)] += x[element(in, s, from, o / width * depth + c)] *
                                                    w[(tap * depth + c) * out->channels + o];
                }
}

static void true_conv(const case_t *test, const layer_fixture_t *f, double *const *w,
                      const double *x, double *y)
{
    image_t in = image_of(&f->call->inputs[0], test->first);
    image_t out = image_of(&f->call->output, test->first);
    int64_t groups = test->multiplier > 0 ? in.channels : one_if_none(test->groups);
    convolve(test, &in, &out, groups, f->samples, w[0], x, y);
    finish(test, &out, f->samples, w[1], y);
}

static void true_separable(const case_t *test, const layer_fixture_t *f, double *const *w,
                           const double *x, double *y)
{
    image_t in = image_of(&f->call->inputs[0], test->first);
    image_t out = image_of(&f->call->output, test->first), middle = out;
    middle.channels = in.channels * test->multiplier;
    double *m = calloc((size_t)(f->samples * middle.positions * middle.channels), sizeof(double));
    convolve(test, &in, &middle, in.channels, f->samples, w[0], x, m);
    for (int64_t s = 0; s < f->samples; s++)
        for (int64_t p = 0; p < out.positions; p++)
            for (int64_t o = 0; o < out.channels; o++)
                for (int64_t c = 0; c < middle.channels; c++)
                    y[element(&out, s, p, o)] +=
                        m[element(&middle, s, p, c)] * w[1][c * out.channels + o];
    finish(test, &out, f->samples, w[2], y);
    free(m);
}

/* Every input position lays its kernel over the output, which `before` positions are cropped of. */
static void true_transposed(const case_t *test, const layer_fixture_t *f, double *const *w,
                            const double *x, double *y)
{
    image_t in = image_of(&f->call->inputs[0], test->first);
    image_t out = image_of(&f->call->output, test->first), kernel = kernel_of(test);
    int64_t at[D];
    for (int64_t s = 0; s < f->samples; s++)
        for (int64_t p = 0; p < in.positions; p++)
            for (int64_t tap = 0; tap < kernel.positions; tap++) {
                coordinates(&in, p, at);
                int64_t onto = under(test, &out, at, &kernel, tap);
                for (int64_t o = 0; onto >= 0 && o < out.channels; o++)
                    for (int64_t c = 0; c < in.channels; c++)
                        y[element(&out, s, onto, o)] +=
                            x[element(&in, s, p, c)] *
                            w[0][(tap * out.channels + o) * in.channels + c];
            }
    finish(test, &out, f->samples, w[1], y);
}

static void true_pool(const case_t *test, const layer_fixture_t *f, double *const *w,
                      const double *x, double *y)
{
    (void)w;
    image_t in = image_of(&f->call->inputs[0], test->first);
    image_t out = image_of(&f->call->output, test->first), kernel = kernel_of(test);
    int64_t at[D];
    for (int64_t i = 0; i < f->samples * out.positions * out.channels; i++) {
        int64_t s = i / (out.positions * out.channels), p = i / out.channels % out.positions;
        double sum = 0.0, largest = -INFINITY, count = 0.0;
        coordinates(&out, p, at);
        for (int64_t tap = 0; tap < kernel.positions; tap++) {
            int64_t from = under(test, &in, at, &kernel, tap);
            if (from < 0)
                continue;
            double value = x[element(&in, s, from, i % out.channels)];
            sum += value;
            largest = fmax(largest, value);
            count += 1.0;
        }
        y[element(&out, s, p, i % out.channels)] = test->average ? sum / count : largest;
    }
}

/* The regions of position `p`; the whole image where the output has no positions. */
static void true_regions(const case_t *test, const layer_fixture_t *f, double *const *w,
                         const double *x, double *y)
{
    (void)w;
    image_t in = image_of(&f->call->inputs[0], test->first), out = in;
    bool flat = f->call->output.rank == 1;
    int64_t at[D], from[D];
    if (flat)
        out = (image_t){0, {1, 1, 1}, in.channels, 1, false};
    else
        out = image_of(&f->call->output, test->first);
    for (int64_t i = 0; i < f->samples * out.positions * out.channels; i++) {
        int64_t s = i / (out.positions * out.channels), p = i / out.channels % out.positions;
        double sum = 0.0, largest = -INFINITY, count = 0.0;
        coordinates(&out, p, at);
        for (int64_t q = 0; q < in.positions; q++) {
            bool inside = true;
            coordinates(&in, q, from);
            for (int d = 0; d < D; d++)
                inside = inside && from[d] >= at[d] * in.dim[d] / out.dim[d] &&
                         from[d] * out.dim[d] < (at[d] + 1) * in.dim[d];
            if (!inside)
                continue;
            double value = x[element(&in, s, q, i % out.channels)];
            sum += value;
            largest = fmax(largest, value);
            count += 1.0;
        }
        y[element(&out, s, p, i % out.channels)] = test->average ? sum / count : largest;
    }
}

/* Cropping and padding: the same position, `before` further along. */
static void true_box(const case_t *test, const layer_fixture_t *f, double *const *w,
                     const double *x, double *y)
{
    (void)w;
    image_t in = image_of(&f->call->inputs[0], test->first);
    image_t out = image_of(&f->call->output, test->first);
    int64_t at[D];
    for (int64_t s = 0; s < f->samples; s++)
        for (int64_t p = 0; p < out.positions; p++) {
            coordinates(&out, p, at);
            for (int d = 0; d < D; d++)
                at[d] += test->is_box_of_input ? test->before[d] : -test->before[d];
            int64_t from = position_of(&in, at);
            for (int64_t c = 0; c < in.channels; c++)
                y[element(&out, s, p, c)] = from < 0 ? 0.0 : x[element(&in, s, from, c)];
        }
}

/* A product of weights along the dimensions: nearest, or linear between centres of pixels with
 * those at the border repeated. */
static double weight_of(bool nearest, int64_t j, int64_t i, int64_t in, int64_t out)
{
    double at = ((double)j + 0.5) * (double)in / (double)out - 0.5;
    if (nearest)
        return i == (2 * j + 1) * in / (2 * out) ? 1.0 : 0.0;
    at = fmin(fmax(at, 0.0), (double)(in - 1));
    return fmax(0.0, 1.0 - fabs(at - (double)i));
}

static void true_resize(const case_t *test, const layer_fixture_t *f, double *const *w,
                        const double *x, double *y)
{
    (void)w;
    image_t in = image_of(&f->call->inputs[0], test->first);
    image_t out = image_of(&f->call->output, test->first);
    int64_t at[D], from[D];
    for (int64_t s = 0; s < f->samples; s++)
        for (int64_t p = 0; p < out.positions; p++)
            for (int64_t q = 0; q < in.positions; q++) {
                double weight = 1.0;
                coordinates(&out, p, at);
                coordinates(&in, q, from);
                for (int d = 0; d < D; d++)
                    weight *= weight_of(!test->average, at[d], from[d], in.dim[d], out.dim[d]);
                for (int64_t c = 0; weight > 0.0 && c < in.channels; c++)
                    y[element(&out, s, p, c)] += weight * x[element(&in, s, q, c)];
            }
}

#define SHAPE(rank, ...)                                                                           \
    {                                                                                              \
        rank,                                                                                      \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define FIRST "\"data_format\": \"channels_first\", "

/* clang-format off */
static const case_t cases[] = {
    {"conv1d, channels first", "Conv1D", FIRST "\"filters\": 3, \"kernel_size\": 3, \"padding\": \"causal\", \"activation\": \"tanh\"",
     true_conv, SHAPE(2, 6, 2), .first = true, .size = {3}, .before = {2}, .tanh_ = true},
    {"conv2d, channels first", "Conv2D", FIRST "\"filters\": 4, \"kernel_size\": [2, 3], \"strides\": [2, 1], \"groups\": 2",
     true_conv, SHAPE(3, 5, 4, 4), .first = true, .size = {2, 3}, .stride = {2, 1}, .groups = 2},
    {"conv2d of single taps, rows left over", "Conv2D", "\"filters\": 3, \"kernel_size\": 1, \"strides\": 2",
     true_conv, SHAPE(3, 8, 8, 3), .size = {1, 1}, .stride = {2, 2}},
    {"conv3d", "Conv3D", "\"filters\": 3, \"kernel_size\": [2, 3, 2], \"strides\": [1, 2, 1], \"padding\": \"same\"",
     true_conv, SHAPE(4, 3, 4, 3, 2), .size = {2, 3, 2}, .stride = {1, 2, 1}, .before = {0, 0, 0}},
    {"conv3d dilated in groups, channels first", "Conv3D",
     FIRST "\"filters\": 4, \"kernel_size\": 2, \"dilation_rate\": [2, 1, 1], \"groups\": 2, \"activation\": \"tanh\", \"use_bias\": false",
     true_conv, SHAPE(4, 4, 3, 2, 4), .first = true, .size = {2, 2, 2}, .dilation = {2, 1, 1}, .groups = 2, .tanh_ = true, .no_bias = true},
    {"depthwise 1d", "DepthwiseConv1D", "\"kernel_size\": 3, \"depth_multiplier\": 2, \"padding\": \"same\"",
     true_conv, SHAPE(2, 6, 3), .size = {3}, .multiplier = 2, .before = {1}},
    {"depthwise 2d", "DepthwiseConv2D", "\"kernel_size\": 3, \"strides\": 2, \"padding\": \"same\", \"activation\": \"tanh\"",
     true_conv, SHAPE(3, 5, 6, 3), .size = {3, 3}, .stride = {2, 2}, .multiplier = 1, .before = {1, 0}, .tanh_ = true},
    {"depthwise 2d of many channels", "DepthwiseConv2D", "\"kernel_size\": 3, \"padding\": \"same\", \"use_bias\": false",
     true_conv, SHAPE(3, 3, 4, 35), .size = {3, 3}, .multiplier = 1, .before = {1, 1}, .no_bias = true},
    {"depthwise 2d, channels first", "DepthwiseConv2D", FIRST "\"kernel_size\": [2, 3], \"depth_multiplier\": 3, \"dilation_rate\": [1, 2]",
     true_conv, SHAPE(3, 3, 6, 2), .first = true, .size = {2, 3}, .dilation = {1, 2}, .multiplier = 3},
    {"separable 1d", "SeparableConv1D", "\"filters\": 3, \"kernel_size\": 3, \"depth_multiplier\": 2, \"activation\": \"tanh\"",
     true_separable, SHAPE(2, 6, 2), .size = {3}, .multiplier = 2, .tanh_ = true},
    {"separable 2d", "SeparableConv2D", "\"filters\": 4, \"kernel_size\": 3, \"strides\": 2, \"padding\": \"same\"",
     true_separable, SHAPE(3, 5, 5, 3), .size = {3, 3}, .stride = {2, 2}, .multiplier = 1, .before = {1, 1}},
    {"separable 2d, channels first", "SeparableConv2D", FIRST "\"filters\": 2, \"kernel_size\": 2, \"use_bias\": false, \"depth_multiplier\": 2, \"activation\": \"tanh\"",
     true_separable, SHAPE(3, 3, 4, 3), .first = true, .size = {2, 2}, .multiplier = 2, .tanh_ = true, .no_bias = true},
    {"transposed 1d", "Conv1DTranspose", "\"filters\": 3, \"kernel_size\": 2, \"strides\": 3",
     true_transposed, SHAPE(2, 4, 2), .size = {2}, .stride = {3}},
    {"transposed 2d, valid", "Conv2DTranspose", "\"filters\": 2, \"kernel_size\": 3, \"strides\": 2, \"output_padding\": [1, 0], \"activation\": \"tanh\"",
     true_transposed, SHAPE(3, 3, 2, 4), .size = {3, 3}, .stride = {2, 2}, .tanh_ = true},
    {"transposed 2d, same", "Conv2DTranspose", "\"filters\": 3, \"kernel_size\": 4, \"strides\": 2, \"padding\": \"same\"",
     true_transposed, SHAPE(3, 3, 2, 2), .size = {4, 4}, .stride = {2, 2}, .before = {1, 1}},
    {"transposed 2d, larger strides than kernels", "Conv2DTranspose", "\"filters\": 2, \"kernel_size\": 1, \"strides\": 3, \"padding\": \"same\", \"output_padding\": 2",
     true_transposed, SHAPE(3, 3, 2, 3), .size = {1, 1}, .stride = {3, 3}},
    {"transposed 2d dilated, channels first", "Conv2DTranspose", FIRST "\"filters\": 2, \"kernel_size\": 2, \"dilation_rate\": 2, \"use_bias\": false",
     true_transposed, SHAPE(3, 3, 2, 3), .first = true, .size = {2, 2}, .dilation = {2, 2}, .no_bias = true},
    {"transposed 3d", "Conv3DTranspose", "\"filters\": 2, \"kernel_size\": 2, \"strides\": [2, 1, 2]",
     true_transposed, SHAPE(4, 2, 3, 2, 3), .size = {2, 2, 2}, .stride = {2, 1, 2}},
    {"max pooling 1d, channels first", "MaxPooling1D", FIRST "\"pool_size\": 2", true_pool, SHAPE(2, 7, 3), .first = true, .size = {2}, .stride = {2}},
    {"average pooling 2d, channels first", "AveragePooling2D", FIRST "\"pool_size\": [2, 3], \"strides\": 2, \"padding\": \"same\"",
     true_pool, SHAPE(3, 4, 5, 2), .first = true, .size = {2, 3}, .stride = {2, 2}, .before = {0, 1}, .average = true},
    {"max pooling 3d", "MaxPooling3D", "\"pool_size\": [2, 2, 3], \"strides\": [1, 2, 2], \"padding\": \"same\"",
     true_pool, SHAPE(4, 3, 4, 5, 2), .size = {2, 2, 3}, .stride = {1, 2, 2}, .before = {0, 0, 1}},
    {"average pooling 3d", "AveragePooling3D", "\"pool_size\": 2", true_pool, SHAPE(4, 3, 4, 5, 3), .size = {2, 2, 2}, .stride = {2, 2, 2}, .average = true},
    {"average pooling 3d, channels first", "AveragePooling3D", FIRST "\"pool_size\": 3, \"strides\": 2, \"padding\": \"same\"",
     true_pool, SHAPE(4, 3, 4, 3, 2), .first = true, .size = {3, 3, 3}, .stride = {2, 2, 2}, .before = {1, 0, 1}, .average = true},
    {"global max pooling 3d", "GlobalMaxPooling3D", "", true_regions, SHAPE(4, 2, 3, 2, 3), .size = {0}},
    {"global average pooling 3d kept, channels first", "GlobalAveragePooling3D", FIRST "\"keepdims\": true", true_regions,
     SHAPE(4, 2, 3, 2, 3), .first = true, .average = true},
    {"global max pooling 2d, channels first", "GlobalMaxPooling2D", FIRST "\"keepdims\": false", true_regions, SHAPE(3, 3, 2, 4), .first = true},
    {"adaptive max pooling 1d", "AdaptiveMaxPooling1D", "\"output_size\": 3", true_regions, SHAPE(2, 7, 3), .size = {0}},
    {"adaptive average pooling 2d", "AdaptiveAveragePooling2D", "\"output_size\": [3, 5]", true_regions, SHAPE(3, 5, 5, 3), .average = true},
    {"adaptive average pooling 2d, channels first", "AdaptiveAveragePooling2D", FIRST "\"output_size\": [2, 4]", true_regions, SHAPE(3, 5, 3, 2),
     .first = true, .average = true},
    {"adaptive max pooling 3d", "AdaptiveMaxPooling3D", "\"output_size\": [2, 3, 2]", true_regions, SHAPE(4, 3, 4, 3, 2), .size = {0}},
    {"cropping 1d", "Cropping1D", "\"cropping\": [2, 1]", true_box, SHAPE(2, 6, 3), .before = {2}, .is_box_of_input = true},
    {"cropping 2d", "Cropping2D", "\"cropping\": [[1, 0], [0, 2]]", true_box, SHAPE(3, 4, 5, 2), .before = {1, 0}, .is_box_of_input = true},
    {"cropping 3d, channels first", "Cropping3D", FIRST "\"cropping\": [1, 0, 1]", true_box, SHAPE(4, 4, 2, 3, 2), .first = true,
     .before = {1, 0, 1}, .is_box_of_input = true},
    {"padding 1d", "ZeroPadding1D", "\"padding\": [1, 2]", true_box, SHAPE(2, 4, 3), .before = {1}},
    {"padding 2d, channels first", "ZeroPadding2D", FIRST "\"padding\": [[0, 1], [2, 1]]", true_box, SHAPE(3, 3, 4, 2), .first = true, .before = {0, 2}},
    {"padding 3d", "ZeroPadding3D", "\"padding\": [[1, 0], 2, [0, 1]]", true_box, SHAPE(4, 2, 3, 2, 2), .before = {1, 2, 0}},
    {"up-sampling 1d", "UpSampling1D", "\"size\": 3", true_resize, SHAPE(2, 4, 3), .size = {0}},
    {"up-sampling 2d, nearest", "UpSampling2D", "\"size\": [2, 3]", true_resize, SHAPE(3, 3, 4, 2), .size = {0}},
    {"up-sampling 2d, linear, channels first", "UpSampling2D", FIRST "\"size\": [2, 3], \"interpolation\": \"bilinear\"", true_resize, SHAPE(3, 3, 4, 2),
     .first = true, .average = true},
    {"up-sampling 3d", "UpSampling3D", "\"size\": [2, 1, 2]", true_resize, SHAPE(4, 2, 3, 2, 2), .size = {0}},
    {"resizing down and up", "Resizing", "\"height\": 3, \"width\": 7", true_resize, SHAPE(3, 5, 4, 2), .average = true},
    {"resizing by the nearest", "Resizing", "\"height\": 5, \"width\": 3, \"interpolation\": \"nearest\"", true_resize, SHAPE(3, 3, 4, 2), .size = {0}},
    {"resizing to the same size", "Resizing", "\"height\": 3, \"width\": 4, \"interpolation\": \"bicubic\"", true_resize, SHAPE(3, 3, 4, 2), .average = true},
};
/* clang-format on */
#define N_CASES ((int)(sizeof(cases) / sizeof(cases[0])))

typedef struct {
    const case_t *test;
    layer_fixture_t *f;
    double *x, *w[MB_MAX_LAYER_PARAMS], *y;
} problem_t;

static double *doubles(const float *values, int64_t count)
{
    double *out = calloc((size_t)count + 1, sizeof(*out));
    ck_assert_ptr_nonnull(out);
    for (int64_t i = 0; i < count; i++)
        out[i] = (double)values[i];
    return out;
}

static mb_shape_t shape_of(const case_t *test)
{
    mb_shape_t shape = test->shape;
    for (int i = 1; test->first && i < shape.rank; i++)
        shape.dim[i] = test->shape.dim[i - 1];
    if (test->first)
        shape.dim[0] = test->shape.dim[shape.rank - 1];
    return shape;
}

static problem_t problem_open(const case_t *test, const char *device)
{
    mb_shape_t shape = shape_of(test);
    char *model = layer_model_text(test->class_name, test->config, "", 1, &shape, false);
    problem_t p = {.test = test, .f = layer_open(device, model, 2)};
    free(model);
    layer_fill(p.f, 0);
    p.x = doubles(p.f->host_inputs[0], layer_input_elements(p.f, 0));
    for (int i = 0; i < p.f->layer->n_params; i++)
        p.w[i] = doubles(p.f->host_params[i], layer_param_elements(p.f, i));
    p.y = calloc((size_t)layer_output_elements(p.f), sizeof(double));
    return p;
}

static void problem_close(problem_t *p)
{
    for (int i = 0; i < MB_MAX_LAYER_PARAMS; i++)
        free(p->w[i]);
    free(p->x);
    free(p->y);
    layer_close(p->f);
}

static double objective(problem_t *p)
{
    double sum = 0;
    memset(p->y, 0, (size_t)layer_output_elements(p->f) * sizeof(double));
    p->test->reference(p->test, p->f, p->w, p->x, p->y);
    for (int64_t i = 0; i < layer_output_elements(p->f); i++)
        sum += p->y[i] * (double)p->f->host_grad_output[i];
    return sum;
}

/* Central differences with step h are off by h^2/6 f''' + 1e-16 f/h: under 1e-9 here. */
static double difference(problem_t *p, double *value)
{
    const double h = 1e-5;
    double kept = *value;
    *value = kept + h;
    double above = objective(p);
    *value = kept - h;
    double below = objective(p);
    *value = kept;
    return (above - below) / (2 * h);
}

/* Each value comes out of at most 200 float operations in a row on numbers that stay below SCALE:
 * an error of half a unit in the last place each, 2^-24. */
static void expect_near(const case_t *test, const char *what, int64_t index, double found,
                        double wanted)
{
    double tolerance = 200 * 0x1p-24 * fmax(1, fabs(wanted));
    ck_assert_msg(fabs(found - wanted) <= tolerance, "%s: %s[%d] is %.9g, not %.9g (tolerance %g)",
                  test->what, what, (int)index, found, wanted, tolerance);
}

static void expect_gradients(problem_t *p, const char *what, const float *found, double *values,
                             int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        expect_near(p->test, what, i, (double)found[i], difference(p, &values[i]));
}

static void check_case(const case_t *test, const char *device)
{
    problem_t p = problem_open(test, device);
    layer_fixture_t *f = p.f;
    layer_forward(f);
    objective(&p);
    for (int64_t i = 0; i < layer_output_elements(f); i++)
        expect_near(test, "output", i, (double)f->host_output[i], p.y[i]);
    layer_backward_input(f, true);
    expect_gradients(&p, "input gradient", f->host_grad_inputs[0], p.x, layer_input_elements(f, 0));
    layer_backward_weights(f, false);
    for (int i = 0; i < f->layer->n_params; i++)
        expect_gradients(&p, "weight gradient", f->host_grad_params[i], p.w[i],
                         layer_param_elements(f, i));
    problem_close(&p);
}

START_TEST(layer_agrees_with_plain_loops)
{
    for (int d = 0; d < layer_n_devices(); d++)
        check_case(&cases[_i], layer_device(d));
}
END_TEST

/* What the second backward call makes must not depend on whether the first was asked for dx, and
 * adds where it accumulates. */
static void check_weights(const case_t *test, const char *device)
{
    problem_t p = problem_open(test, device);
    layer_fixture_t *f = p.f;
    float *kept[MB_MAX_LAYER_PARAMS] = {NULL};
    layer_forward(f);
    layer_backward_input(f, true);
    layer_backward_weights(f, false);
    for (int i = 0; i < f->layer->n_params; i++) {
        size_t bytes = (size_t)layer_param_elements(f, i) * sizeof(float);
        kept[i] = malloc(bytes);
        memcpy(kept[i], f->host_grad_params[i], bytes);
    }
    layer_forward(f);
    layer_backward_input(f, false);
    layer_backward_weights(f, false);
    for (int i = 0; i < f->layer->n_params; i++)
        ck_assert_mem_eq(kept[i], f->host_grad_params[i],
                         (size_t)layer_param_elements(f, i) * sizeof(float));
    layer_backward_weights(f, true);
    for (int i = 0; i < f->layer->n_params; i++) {
        for (int64_t j = 0; j < layer_param_elements(f, i); j++)
            expect_near(test, "accumulated gradient", j, (double)f->host_grad_params[i][j],
                        2.0 * (double)kept[i][j]);
        free(kept[i]);
    }
    problem_close(&p);
}

START_TEST(weight_gradients_stand_alone_and_accumulate)
{
    for (int d = 0; d < layer_n_devices(); d++)
        check_weights(&cases[_i], layer_device(d));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("layer windows");
    TCase *t = tcase_create("cases");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, layer_agrees_with_plain_loops, 0, N_CASES);
    tcase_add_loop_test(t, weight_gradients_stand_alone_and_accumulate, 0, N_CASES);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
