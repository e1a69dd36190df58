/* SeparableConv1D and SeparableConv2D: a depthwise convolution, with the window, and a convolution
 * of one position behind it,
 *     m = depthwise(x, D)    z = m P + b    y = act(z)
 * m stands in the saved block behind z, and dm in the carry behind dz. */
#include "model/layers/conv.h"

typedef struct {
    mb_conv_t conv; /* first; its kernel is the depthwise one */
    mb_param_spec_t pointwise;
} separable_t;

enum { DEPTHWISE, POINTWISE, BIAS };

static mb_status_t infer(mb_call_t *call);
static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list);
static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out);
static mb_status_t forward(const mb_run_t *run);
static mb_status_t backward_input(const mb_run_t *run);
static mb_status_t backward_weights(const mb_run_t *run);
static void cost(const mb_call_t *call, mb_cost_t *out);

static const mb_layer_class_t layer = {.infer = infer,
                                       .declare = declare,
                                       .check = mb_conv_check,
                                       .memory = memory,
                                       .forward = forward,
                                       .backward_input = backward_input,
                                       .backward_weights = backward_weights,
                                       .cost = cost};

/* Keras 2 writes what its layer inherits and has no use for. */
static void ignore_inherited(mb_config_t *config)
{
    mb_config_ignore(config, "groups");
    mb_config_ignore(config, "kernel_initializer");
    mb_config_ignore(config, "kernel_regularizer");
    mb_config_ignore(config, "kernel_constraint");
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, int spatial, void **out)
{
    separable_t *separable = MB_ARENA_NEW(arena, separable_t);
    if (separable == NULL)
        return mb_error_memory("a layer", sizeof(*separable));
    mb_conv_t *conv = &separable->conv;
    MB_TRY(mb_channels_take(config, &layer, &conv->channels));
    MB_TRY(mb_config_int(config, "filters", 1, MB_LAYER_MAX_SIZE, &conv->filters));
    MB_TRY(mb_window_take(config, "kernel_size", spatial, false, false, &conv->window));
    MB_TRY(
        mb_config_int_or(config, "depth_multiplier", 1, MB_LAYER_MAX_SIZE, 1, &conv->multiplier));
    MB_TRY(mb_conv_take(config, "depthwise", "depthwise_kernel", conv));
    MB_TRY(mb_layer_take_param(config, "pointwise", "glorot_uniform", "pointwise_kernel", true,
                               &separable->pointwise));
    separable->pointwise.operand = true;
    separable->pointwise.view = MB_VIEW_LAST;
    ignore_inherited(config);
    *out = separable;
    return MB_OK;
}

static mb_status_t parse_1d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 1, out);
}

static mb_status_t parse_2d(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse(config, arena, 2, out);
}

static const separable_t *separable_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    const mb_conv_t *conv = &separable_of(call)->conv;
    return mb_window_infer(&conv->window, call, conv->filters);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    separable_t *separable = call->layer->config;
    mb_conv_t *conv = &separable->conv;
    mb_window_config_t one = {
        conv->window.spatial, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, MB_PADDING_VALID};
    MB_TRY(mb_call_take_width(call, 0, &conv->width));
    MB_TRY(mb_conv_add_kernel(list, &conv->kernel, &conv->window, conv->width, conv->multiplier));
    MB_TRY(mb_conv_add_kernel(list, &separable->pointwise, &one, conv->width * conv->multiplier,
                              conv->filters));
    return mb_conv_add_bias(list, conv, conv->filters);
}

/* The product behind the depthwise convolution. */
static mb_linear_t pointwise_of(const mb_call_t *call, int64_t samples)
{
    const mb_conv_t *conv = &separable_of(call)->conv;
    return (mb_linear_t){samples * mb_shape_rows(&call->output), conv->width * conv->multiplier,
                         conv->filters};
}

static size_t middle_bytes(const mb_call_t *call, int64_t samples)
{
    mb_linear_t linear = pointwise_of(call, samples);
    return (size_t)(linear.rows * linear.in) * mb_dtype_bytes(call->output_type);
}

/* Where m stands in the saved block, and dm in the carry. */
typedef struct {
    size_t saved, carry;
} middle_t;

static size_t aligned(size_t bytes)
{
    size_t at = 0;
    mb_block_add(&at, (int64_t)bytes, MB_U8);
    return at;
}

static middle_t middle_of(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    mb_activated_memory(&separable_of(call)->conv.activation, call, samples, out);
    return (middle_t){aligned(out->saved_bytes), aligned(out->carry_bytes)};
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    middle_t middle = middle_of(call, samples, out);
    size_t bytes = middle_bytes(call, samples);
    out->saved_bytes = middle.saved + bytes;
    out->carry_bytes = middle.carry + bytes;
    out->keeps_input[0] = call->layer->trainable;
}

static void *middle(const mb_run_t *run)
{
    mb_memory_t memory;
    return mb_bytes_at(run->saved, middle_of(run->call, run->samples, &memory).saved);
}

static void *middle_gradient(const mb_run_t *run)
{
    mb_memory_t memory;
    return mb_bytes_at(run->carry, middle_of(run->call, run->samples, &memory).carry);
}

static mb_window_t geometry_of(const mb_run_t *run)
{
    const mb_conv_t *conv = &separable_of(run->call)->conv;
    mb_window_t geometry = mb_window_geometry(&conv->window, run->call, run->samples);
    geometry.groups = geometry.channels_in;
    geometry.channels_out = geometry.channels_in * conv->multiplier;
    return geometry;
}

static int bias_of(const mb_run_t *run)
{
    return separable_of(run->call)->conv.use_bias ? BIAS : MB_NO_PARAM;
}

static mb_status_t forward(const mb_run_t *run)
{
    const mb_activation_t *activation = &separable_of(run->call)->conv.activation;
    mb_linear_t linear = pointwise_of(run->call, run->samples);
    mb_conv_forward_args_t args = {.type = mb_run_type(run),
                                   .window = geometry_of(run),
                                   .x = mb_run_input(run, 0),
                                   .w = mb_run_param(run, DEPTHWISE),
                                   .y = middle(run)};
    MB_TRY(mb_run_conv_forward(run->exec, &args));
    return mb_linear_activated(run, &linear, POINTWISE, bias_of(run), activation, args.y);
}

/* dm is for both backward calls. */
static mb_status_t backward_input(const mb_run_t *run)
{
    const mb_activation_t *activation = &separable_of(run->call)->conv.activation;
    mb_linear_t linear = pointwise_of(run->call, run->samples);
    void *dm = middle_gradient(run);
    MB_TRY(mb_activated_backward(activation, run));
    MB_TRY(mb_linear_backward_input(run, &linear, POINTWISE, false,
                                    mb_activated_gradient(activation, run), dm));
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    mb_conv_backward_input_args_t args = {.type = mb_run_type(run),
                                          .window = geometry_of(run),
                                          .dy = dm,
                                          .w = mb_run_param(run, DEPTHWISE),
                                          .dx = mb_run_grad_input(run, 0)};
    return mb_run_conv_backward_input(run->exec, &args);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    const mb_activation_t *activation = &separable_of(run->call)->conv.activation;
    mb_linear_t linear = pointwise_of(run->call, run->samples);
    if (!mb_run_wants_param(run, DEPTHWISE))
        return MB_OK;
    mb_conv_backward_weights_args_t args = {.type = mb_run_type(run),
                                            .window = geometry_of(run),
                                            .accumulate = run->accumulate,
                                            .x = mb_run_input(run, 0),
                                            .dy = middle_gradient(run),
                                            .dw = mb_run_grad_param(run, DEPTHWISE)};
    MB_TRY(mb_run_conv_backward_weights(run->exec, &args));
    return mb_linear_backward_weights(run, &linear, POINTWISE, bias_of(run), middle(run),
                                      mb_activated_gradient(activation, run));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    mb_linear_t linear = pointwise_of(call, 1);
    double middle = (double)linear.rows * (double)linear.in;
    double flops =
        2.0 * middle * (mb_window_positions(&separable_of(call)->conv.window) + (double)linear.out);
    *out = (mb_cost_t){flops, flops, flops};
}

MB_CHANNELS_WEIGHTED_CLASS(separable_conv1d, "SeparableConv1D", parse_1d);
MB_CHANNELS_WEIGHTED_CLASS(separable_conv2d, "SeparableConv2D", parse_2d);
