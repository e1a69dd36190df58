/* Conv1D, Conv2D and Conv3D: y = act(conv(x, W) + b), with groups; their config, shapes and
 * parameters. */
#include "model/layers/conv.h"

#include <inttypes.h>

static mb_status_t check_groups(const mb_config_t *config, const mb_conv_t *conv)
{
    if (conv->filters % conv->groups == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: %" PRId64 " filters cannot be divided into %" PRId64 " groups",
                        config->where, conv->filters, conv->groups);
}

/* Keras takes softmax over the last dimension in either format. */
static mb_status_t check_softmax(const mb_config_t *config, const mb_conv_t *conv)
{
    if (!conv->channels.first || !conv->activation.softmax)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED,
                        "%s: key 'activation' is softmax, which with channels_first runs along the "
                        "width; put a Softmax layer with the axis that is meant behind this one",
                        config->where);
}

mb_status_t mb_conv_take(mb_config_t *config, const char *prefix, const char *name, mb_conv_t *out)
{
    MB_TRY(mb_config_bool_or(config, "use_bias", true, &out->use_bias));
    MB_TRY(mb_activation_take_key(config, "activation", &out->activation));
    MB_TRY(check_softmax(config, out));
    MB_TRY(mb_layer_take_param(config, prefix, "glorot_uniform", name, true, &out->kernel));
    MB_TRY(mb_layer_take_param(config, "bias", "zeros", "bias", true, &out->bias));
    out->kernel.operand = out->bias.operand = true;
    return MB_OK;
}

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

/* Kernels of volumes are read by no stored operation. */
static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, int spatial, void **out)
{
    mb_conv_t *conv = MB_ARENA_NEW(arena, mb_conv_t);
    if (conv == NULL)
        return mb_error_memory("a layer", sizeof(*conv));
    MB_TRY(mb_channels_take(config, &layer, &conv->channels));
    MB_TRY(mb_config_int(config, "filters", 1, MB_LAYER_MAX_SIZE, &conv->filters));
    MB_TRY(mb_window_take(config, "kernel_size", spatial, false, spatial == 1, &conv->window));
    MB_TRY(mb_config_int_or(config, "groups", 1, MB_LAYER_MAX_SIZE, 1, &conv->groups));
    MB_TRY(mb_conv_take(config, "kernel", "kernel", conv));
    if (spatial < MB_MAX_SPATIAL)
        conv->kernel.view = MB_VIEW_LAST;
    MB_TRY(mb_config_only(config, "lora_rank", "null"));
    MB_TRY(mb_config_only(config, "lora_alpha", "null"));
    *out = conv;
    return check_groups(config, conv);
}

static mb_status_t parse_1d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 1, out);
}

static mb_status_t parse_2d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 2, out);
}

static mb_status_t parse_3d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 3, out);
}

static mb_status_t infer(mb_call_t *call)
{
    const mb_conv_t *conv = call->layer->config;
    return mb_window_infer(&conv->window, call, conv->filters);
}

mb_status_t mb_conv_add_kernel(mb_param_list_t *list, const mb_param_spec_t *spec,
                               const mb_window_config_t *window, int64_t rows, int64_t columns)
{
    mb_shape_t shape = {window->spatial + 2, {0}};
    for (int i = 0; i < window->spatial; i++)
        shape.dim[i] = window->size[i + MB_MAX_SPATIAL - window->spatial];
    shape.dim[window->spatial] = rows;
    shape.dim[window->spatial + 1] = columns;
    return mb_layer_add_param(list, spec, &shape);
}

mb_status_t mb_conv_add_bias(mb_param_list_t *list, const mb_conv_t *conv, int64_t channels)
{
    if (!conv->use_bias)
        return MB_OK;
    return mb_layer_add_param(list, &conv->bias, &(mb_shape_t){1, {channels}});
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    mb_conv_t *conv = call->layer->config;
    MB_TRY(mb_call_take_width(call, 0, &conv->width));
    if (conv->width % conv->groups != 0)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "%" PRId64 " channels cannot be divided into %" PRId64 " groups",
                             conv->width, conv->groups);
    MB_TRY(mb_conv_add_kernel(list, &conv->kernel, &conv->window, conv->width / conv->groups,
                              conv->filters));
    return mb_conv_add_bias(list, conv, conv->filters);
}

/* With channels first what a call is given is transposed behind it and in front of it. */
static unsigned relus(const mb_call_t *call)
{
    const mb_conv_t *conv = call->layer->config;
    bool relu = !conv->activation.softmax && conv->activation.act == MB_ACT_RELU;
    return conv->channels.first ? 0 : relu ? MB_RELU_LAST | MB_RELU_CUTS : MB_RELU_CUTS;
}

static mb_tail_kind_t tail(const mb_call_t *call)
{
    const mb_conv_t *conv = call->layer->config;
    bool plain = !conv->channels.first && mb_activation_is_linear(&conv->activation);
    return plain ? MB_TAIL_RELU : MB_TAIL_NONE;
}

#define CONV_CLASS(symbol, keras, parser)                                                          \
    MB_CHANNELS_WEIGHTED_CLASS(symbol, keras, parser, .relus = relus, .tail = tail,                \
                               .forward_with_tail = mb_conv_forward_with_tail)

CONV_CLASS(conv1d, "Conv1D", parse_1d);
CONV_CLASS(conv2d, "Conv2D", parse_2d);
CONV_CLASS(conv3d, "Conv3D", parse_3d);
