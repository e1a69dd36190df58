/* DepthwiseConv1D and DepthwiseConv2D: each channel has `depth_multiplier` kernels of its own.
 * Keras' kernel [..., channels, multiplier] is that of a convolution in as many groups as channels,
 * [..., 1, channels * multiplier], as it lies in memory. */
#include "model/layers/conv.h"

static mb_status_t infer(mb_call_t *call);
static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list);

static const mb_layer_class_t layer = {.infer = infer,
                                       .declare = declare,
                                       .check = mb_conv_check,
                                       .memory = mb_conv_memory,
                                       .forward = mb_conv_forward,
                                       .backward_input = mb_conv_backward_input,
                                       .backward_weights = mb_conv_backward_weights,
                                       .cost = mb_conv_cost};

/* Keras 2 writes groups, which its layer has no use for. */
static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, int spatial, void **out)
{
    mb_conv_t *conv = MB_ARENA_NEW(arena, mb_conv_t);
    if (conv == NULL)
        return mb_error_memory("a layer", sizeof(*conv));
    MB_TRY(mb_channels_take(config, &layer, &conv->channels));
    MB_TRY(mb_window_take(config, "kernel_size", spatial, false, false, &conv->window));
    MB_TRY(
        mb_config_int_or(config, "depth_multiplier", 1, MB_LAYER_MAX_SIZE, 1, &conv->multiplier));
    mb_config_ignore(config, "groups");
    *out = conv;
    return mb_conv_take(config, "depthwise", "kernel", conv);
}

static mb_status_t parse_1d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 1, out);
}

static mb_status_t parse_2d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 2, out);
}

static mb_status_t infer(mb_call_t *call)
{
    const mb_conv_t *conv = call->layer->config;
    int64_t channels = mb_shape_columns(&call->inputs[0]);
    return mb_window_infer(&conv->window, call,
                           channels == MB_OPEN ? MB_OPEN : channels * conv->multiplier);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    mb_conv_t *conv = call->layer->config;
    MB_TRY(mb_call_take_width(call, 0, &conv->width));
    MB_TRY(mb_conv_add_kernel(list, &conv->kernel, &conv->window, conv->width, conv->multiplier));
    return mb_conv_add_bias(list, conv, conv->width * conv->multiplier);
}

MB_CHANNELS_WEIGHTED_CLASS(depthwise_conv1d, "DepthwiseConv1D", parse_1d);
MB_CHANNELS_WEIGHTED_CLASS(depthwise_conv2d, "DepthwiseConv2D", parse_2d);
