/* The presets over images that are no chain of layers: unet (Ronneberger et al. 2015: two
 * convolutions a level, down by pooling and up by transposed convolutions, each level beside the
 * one that comes up), mobilenet (Sandler et al. 2018: blocks that widen, convolve each channel
 * by itself and narrow again, with a shortcut where shapes allow) and resnet (He et al. 2016,
 * section 4.2: blocks of two convolutions, and a 1x1 convolution in the shortcut where shapes
 * change). */
#include "model/preset_layers.h"
#include "model/preset_models.h"

#include <stdio.h>

typedef mb_preset_tensor_t tensor_t;

typedef struct {
    mb_preset_builder_t builder;
    int made; /* layers: each name ends with its number */
} net_t;

typedef struct {
    char text[32];
} name_t;

static name_t name_next(net_t *net, const char *base)
{
    name_t name;
    snprintf(name.text, sizeof(name.text), "%s_%d", base, ++net->made);
    return name;
}

static tensor_t append(net_t *net, const char *class_name, json_t *config, const tensor_t *a,
                       const tensor_t *b, mb_shape_t output)
{
    mb_preset_call_t call = {.class_name = class_name,
                             .config = config,
                             .n_inputs = (a != NULL) + (b != NULL),
                             .inputs = {a, b},
                             .merge = b != NULL};
    return mb_preset_call(&net->builder, &call, output, "float32");
}

static tensor_t convolve(net_t *net, const tensor_t *x, mb_preset_window_t window)
{
    mb_shape_t output = x->shape;
    name_t name = name_next(net, window.transposed     ? "conv2d_transpose"
                                 : window.filters == 0 ? "depthwise_conv2d"
                                                       : "conv2d");
    for (int i = 0; i < 2; i++)
        output.dim[i] = window.transposed ? output.dim[i] * window.stride
                                          : (output.dim[i] + window.stride - 1) / window.stride;
    output.dim[2] = window.filters == 0 ? x->shape.dim[2] : window.filters;
    return append(net,
                  window.transposed     ? "Conv2DTranspose"
                  : window.filters == 0 ? "DepthwiseConv2D"
                                        : "Conv2D",
                  mb_preset_window2d(name.text, &window), x, NULL, output);
}

static tensor_t append_image(net_t *net, const mb_shape_t *input)
{
    json_t *config = mb_preset_input("input_layer", input, "float32");
    return append(net, "InputLayer", config, NULL, NULL, *input);
}

static mb_status_t read_image(const mb_preset_settings_t *settings, mb_shape_t *input)
{
    int64_t sizes[MB_PRESET_MAX_LIST];
    MB_TRY(mb_preset_list_of(settings, "input", 'x', &input->rank, sizes));
    if (input->rank != 3)
        return mb_preset_refuse(settings, "input",
                                "height x width x channels is wanted, as in 32x32x3");
    for (int i = 0; i < 3; i++)
        input->dim[i] = sizes[i];
    return MB_OK;
}

static mb_status_t read_filters(const mb_preset_settings_t *settings, int *count, int64_t *filters)
{
    MB_TRY(mb_preset_list_of(settings, "filters", ',', count, filters));
    return *count > 0 ? MB_OK : mb_preset_refuse(settings, "filters", "at least one is wanted");
}

static mb_status_t finish(net_t *net, const tensor_t *output, json_t **out)
{
    json_t *model = NULL;
    if (!net->builder.failed)
        model =
            json_pack("{s:s, s:{s:s, s:b, s:O, s:[[sii]], s:[[sii]]}}", "class_name", "Functional",
                      "config", "name", "functional", "trainable", 1, "layers", net->builder.layers,
                      "input_layers", "input_layer", 0, 0, "output_layers", output->layer, 0, 0);
    json_decref(net->builder.layers);
    if (model == NULL)
        return mb_error_memory("a preset", 1);
    *out = model;
    return MB_OK;
}

/* ---- unet */

static tensor_t convolve_twice(net_t *net, const tensor_t *x, int64_t filters)
{
    mb_preset_window_t window = {filters, 3, 1, "relu", true, false};
    tensor_t once = convolve(net, x, window);
    return convolve(net, &once, window);
}

static tensor_t pool(net_t *net, const tensor_t *x)
{
    mb_shape_t output = {3, {x->shape.dim[0] / 2, x->shape.dim[1] / 2, x->shape.dim[2]}};
    name_t name = name_next(net, "max_pooling2d");
    return append(net, "MaxPooling2D", mb_preset_max_pooling2d(name.text), x, NULL, output);
}

static tensor_t join(net_t *net, const tensor_t *a, const tensor_t *b)
{
    mb_shape_t output = a->shape;
    name_t name = name_next(net, "concatenate");
    output.dim[2] += b->shape.dim[2];
    return append(net, "Concatenate", mb_preset_concatenate(name.text), a, b, output);
}

static tensor_t append_unet(net_t *net, tensor_t x, int levels, const int64_t *filters)
{
    tensor_t level[MB_PRESET_MAX_LIST];
    for (int i = 0; i < levels; i++) {
        level[i] = convolve_twice(net, &x, filters[i]);
        x = i + 1 < levels ? pool(net, &level[i]) : level[i];
    }
    for (int i = levels - 2; i >= 0; i--) {
        tensor_t up =
            convolve(net, &x, (mb_preset_window_t){filters[i], 2, 2, "linear", true, true});
        tensor_t both = join(net, &level[i], &up);
        x = convolve_twice(net, &both, filters[i]);
    }
    return x;
}

mb_status_t mb_preset_unet(const mb_preset_settings_t *settings, json_t **out)
{
    mb_shape_t input = {0};
    int levels;
    int64_t filters[MB_PRESET_MAX_LIST], classes;
    MB_TRY(read_image(settings, &input));
    MB_TRY(read_filters(settings, &levels, filters));
    MB_TRY(mb_preset_int(settings, "classes", 2, &classes));
    if (levels > 30)
        return mb_preset_refuse(settings, "filters", "at most 30 levels are written");
    int64_t multiple = INT64_C(1) << (levels - 1);
    char wanted[96];
    snprintf(wanted, sizeof(wanted),
             "each entry of filters but one halves the image: multiples of %lld are wanted",
             (long long)multiple);
    if (input.dim[0] % multiple != 0 || input.dim[1] % multiple != 0)
        return mb_preset_refuse(settings, "input", wanted);
    net_t net = {.builder = {.layers = json_array()}};
    tensor_t x = append_image(&net, &input);
    x = append_unet(&net, x, levels, filters);
    x = convolve(&net, &x, (mb_preset_window_t){classes, 1, 1, "linear", true, false});
    return finish(&net, &x, out);
}

/* ---- mobilenet */

static tensor_t normalize(net_t *net, const tensor_t *x)
{
    name_t name = name_next(net, "batch_normalization");
    return append(net, "BatchNormalization", mb_preset_batch_normalization(name.text), x, NULL,
                  x->shape);
}

static tensor_t normalized(net_t *net, const tensor_t *x, mb_preset_window_t window)
{
    tensor_t y = convolve(net, x, window);
    return normalize(net, &y);
}

static tensor_t activated(net_t *net, const tensor_t *x, int64_t filters, int64_t size,
                          int64_t stride)
{
    tensor_t y =
        normalized(net, x, (mb_preset_window_t){filters, size, stride, "linear", false, false});
    name_t name = name_next(net, "re_lu");
    return append(net, "ReLU", mb_preset_relu(name.text, 6.0), &y, NULL, y.shape);
}

static tensor_t append_block(net_t *net, const tensor_t *x, int64_t filters, int64_t expansion,
                             int64_t stride)
{
    tensor_t y = activated(net, x, expansion * x->shape.dim[2], 1, 1);
    y = activated(net, &y, 0, 3, stride);
    y = normalized(net, &y, (mb_preset_window_t){filters, 1, 1, "linear", false, false});
    if (stride != 1 || x->shape.dim[2] != filters)
        return y;
    name_t name = name_next(net, "add");
    return append(net, "Add", mb_preset_add(name.text), x, &y, y.shape);
}

/* Means of the channels, and logits. */
static tensor_t classify(net_t *net, const tensor_t *x, int64_t classes)
{
    mb_shape_t channels = {1, {x->shape.dim[2]}}, logits = {1, {classes}};
    tensor_t means =
        append(net, "GlobalAveragePooling2D",
               mb_preset_global_average_pooling2d("global_average_pooling2d"), x, NULL, channels);
    return append(net, "Dense", mb_preset_dense("dense", classes, "linear", true), &means, NULL,
                  logits);
}

static tensor_t append_head(net_t *net, tensor_t x, int64_t classes)
{
    enum { HEAD = 4 }; /* times the last block's width, as 1280 is 320 */
    x = activated(net, &x, HEAD * x.shape.dim[2], 1, 1);
    return classify(net, &x, classes);
}

mb_status_t mb_preset_mobilenet(const mb_preset_settings_t *settings, json_t **out)
{
    mb_shape_t input = {0};
    int stages;
    int64_t filters[MB_PRESET_MAX_LIST], repeat, expansion, classes;
    MB_TRY(read_image(settings, &input));
    MB_TRY(read_filters(settings, &stages, filters));
    MB_TRY(mb_preset_int(settings, "repeat", 1, &repeat));
    MB_TRY(mb_preset_int(settings, "expansion", 1, &expansion));
    MB_TRY(mb_preset_int(settings, "classes", 2, &classes));
    if (repeat > 100)
        return mb_preset_refuse(settings, "repeat", "at most 100 are written");
    net_t net = {.builder = {.layers = json_array()}};
    tensor_t x = append_image(&net, &input);
    x = activated(&net, &x, filters[0], 3, 1);
    for (int i = 0; i < stages; i++)
        for (int64_t block = 0; block < repeat; block++)
            x = append_block(&net, &x, filters[i], expansion, i > 0 && block == 0 ? 2 : 1);
    x = append_head(&net, x, classes);
    return finish(&net, &x, out);
}

/* ---- resnet */

static tensor_t rectified(net_t *net, const tensor_t *x)
{
    name_t name = name_next(net, "activation");
    return append(net, "Activation", mb_preset_activation(name.text, "relu"), x, NULL, x->shape);
}

static tensor_t stem(net_t *net, const tensor_t *x, int64_t filters, int64_t stride)
{
    tensor_t y =
        normalized(net, x, (mb_preset_window_t){filters, 3, stride, "linear", false, false});
    return rectified(net, &y);
}

/* The layers of both ways in turn, as Keras sorts them (by their distance from the output, then in
 * the order of the sum's inputs): it loads weights in that order. */
static tensor_t append_residual(net_t *net, const tensor_t *x, int64_t filters, int64_t stride)
{
    bool same = stride == 1 && x->shape.dim[2] == filters;
    mb_preset_window_t second = {filters, 3, 1, "linear", false, false};
    mb_preset_window_t projection = {filters, 1, stride, "linear", false, false};
    tensor_t y = stem(net, x, filters, stride);
    tensor_t shortcut = same ? *x : convolve(net, x, projection);
    y = convolve(net, &y, second);
    shortcut = same ? *x : normalize(net, &shortcut);
    y = normalize(net, &y);
    name_t name = name_next(net, "add");
    tensor_t sum = append(net, "Add", mb_preset_add(name.text), &shortcut, &y, y.shape);
    return rectified(net, &sum);
}

mb_status_t mb_preset_resnet(const mb_preset_settings_t *settings, json_t **out)
{
    mb_shape_t input = {0};
    int stages;
    int64_t filters[MB_PRESET_MAX_LIST], repeat, classes;
    MB_TRY(read_image(settings, &input));
    MB_TRY(read_filters(settings, &stages, filters));
    MB_TRY(mb_preset_int(settings, "repeat", 1, &repeat));
    MB_TRY(mb_preset_int(settings, "classes", 2, &classes));
    if (repeat > 100)
        return mb_preset_refuse(settings, "repeat", "at most 100 are written");
    net_t net = {.builder = {.layers = json_array()}};
    tensor_t x = append_image(&net, &input);
    x = stem(&net, &x, filters[0], 1);
    for (int i = 0; i < stages; i++)
        for (int64_t block = 0; block < repeat; block++)
            x = append_residual(&net, &x, filters[i], i > 0 && block == 0 ? 2 : 1);
    x = classify(&net, &x, classes);
    return finish(&net, &x, out);
}
