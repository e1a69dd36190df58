/* See preset_net.h. */
#include "model/preset_net.h"

#include <stdio.h>

typedef mb_preset_tensor_t tensor_t;

mb_preset_name_t mb_preset_next(mb_preset_net_t *net, const char *base)
{
    mb_preset_name_t name;
    snprintf(name.text, sizeof(name.text), "%s_%d", base, ++net->made);
    return name;
}

tensor_t mb_preset_add_layer(mb_preset_net_t *net, const char *class_name, json_t *config,
                             const tensor_t *a, const tensor_t *b, mb_shape_t output)
{
    mb_preset_call_t call = {.class_name = class_name,
                             .config = config,
                             .n_inputs = (a != NULL) + (b != NULL),
                             .inputs = {a, b},
                             .merge = b != NULL};
    return mb_preset_call(&net->builder, &call, output, "float32");
}

tensor_t mb_preset_convolve(mb_preset_net_t *net, const tensor_t *x, mb_preset_window_t window)
{
    mb_shape_t output = x->shape;
    mb_preset_name_t name = mb_preset_next(net, window.transposed     ? "conv2d_transpose"
                                                : window.filters == 0 ? "depthwise_conv2d"
                                                                      : "conv2d");
    for (int i = 0; i < 2; i++)
        output.dim[i] = window.transposed ? output.dim[i] * window.stride
                                          : (output.dim[i] + window.stride - 1) / window.stride;
    output.dim[2] = window.filters == 0 ? x->shape.dim[2] : window.filters;
    return mb_preset_add_layer(net,
                               window.transposed     ? "Conv2DTranspose"
                               : window.filters == 0 ? "DepthwiseConv2D"
                                                     : "Conv2D",
                               mb_preset_window2d(name.text, &window), x, NULL, output);
}

tensor_t mb_preset_add_image(mb_preset_net_t *net, const mb_shape_t *input)
{
    json_t *config = mb_preset_input("input_layer", input, "float32");
    return mb_preset_add_layer(net, "InputLayer", config, NULL, NULL, *input);
}

mb_status_t mb_preset_image(const mb_preset_settings_t *settings, mb_shape_t *input)
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

mb_status_t mb_preset_filters(const mb_preset_settings_t *settings, int *count, int64_t *filters)
{
    MB_TRY(mb_preset_list_of(settings, "filters", ',', count, filters));
    return *count > 0 ? MB_OK : mb_preset_refuse(settings, "filters", "at least one is wanted");
}

mb_status_t mb_preset_finish(mb_preset_net_t *net, const tensor_t *output, json_t **out)
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

tensor_t mb_preset_normalize(mb_preset_net_t *net, const tensor_t *x)
{
    mb_preset_name_t name = mb_preset_next(net, "batch_normalization");
    return mb_preset_add_layer(net, "BatchNormalization", mb_preset_batch_normalization(name.text),
                               x, NULL, x->shape);
}

tensor_t mb_preset_convolve_normalized(mb_preset_net_t *net, const tensor_t *x,
                                       mb_preset_window_t window)
{
    tensor_t y = mb_preset_convolve(net, x, window);
    return mb_preset_normalize(net, &y);
}

/* Means of the channels, and logits. */
tensor_t mb_preset_classify(mb_preset_net_t *net, const tensor_t *x, int64_t classes)
{
    mb_shape_t channels = {1, {x->shape.dim[2]}}, logits = {1, {classes}};
    tensor_t means = mb_preset_add_layer(
        net, "GlobalAveragePooling2D", mb_preset_global_average_pooling("global_average_pooling2d"),
        x, NULL, channels);
    return mb_preset_add_layer(net, "Dense", mb_preset_dense("dense", classes, "linear", true),
                               &means, NULL, logits);
}
