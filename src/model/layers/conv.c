/* Conv1D and Conv2D: y = act(conv(x, W) + b), channels last, with groups. */
#include "model/layers/window.h"

#include <inttypes.h>

typedef struct {
    mb_window_config_t window;
    int64_t filters, groups;
    int64_t channels; /* of the inputs its kernel was declared for */
    bool use_bias;
    mb_activation_t activation;
    mb_param_spec_t kernel, bias;
} conv_t;

enum { KERNEL, BIAS };

static mb_status_t check_groups(const mb_config_t *config, const conv_t *conv)
{
    if (conv->filters % conv->groups == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_ARGUMENT,
                        "%s: %" PRId64 " filters cannot be divided into %" PRId64 " groups",
                        config->where, conv->filters, conv->groups);
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, int spatial, void **out)
{
    conv_t *conv = MB_ARENA_NEW(arena, conv_t);
    if (conv == NULL)
        return mb_error_memory("a layer", sizeof(*conv));
    MB_TRY(mb_config_int(config, "filters", 1, MB_LAYER_MAX_SIZE, &conv->filters));
    MB_TRY(mb_window_take(config, "kernel_size", spatial, false, &conv->window));
    MB_TRY(mb_config_int_or(config, "groups", 1, MB_LAYER_MAX_SIZE, 1, &conv->groups));
    MB_TRY(mb_config_bool_or(config, "use_bias", true, &conv->use_bias));
    MB_TRY(mb_activation_parse(mb_config_take(config, "activation"), config->where,
                               &conv->activation));
    MB_TRY(mb_layer_take_param(config, "kernel", "glorot_uniform", "kernel", true, &conv->kernel));
    MB_TRY(mb_layer_take_param(config, "bias", "zeros", "bias", true, &conv->bias));
    conv->kernel.view = MB_VIEW_LAST;
    conv->kernel.operand = conv->bias.operand = true;
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

static conv_t *conv_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    return mb_window_infer(&conv_of(call)->window, call, conv_of(call)->filters);
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    conv_t *conv = conv_of(call);
    const int64_t *size = conv->window.size;
    MB_TRY(mb_call_take_width(call, 0, &conv->channels));
    if (conv->channels % conv->groups != 0)
        return mb_call_error(call, MB_ERR_SHAPE,
                             "%" PRId64 " channels cannot be divided into %" PRId64 " groups",
                             conv->channels, conv->groups);
    int64_t depth = conv->channels / conv->groups;
    mb_shape_t shape = conv->window.spatial == 1
                           ? (mb_shape_t){3, {size[1], depth, conv->filters}}
                           : (mb_shape_t){4, {size[0], size[1], depth, conv->filters}};
    MB_TRY(mb_layer_add_param(list, &conv->kernel, &shape));
    if (conv->use_bias)
        MB_TRY(mb_layer_add_param(list, &conv->bias, &(mb_shape_t){1, {conv->filters}}));
    return MB_OK;
}

static mb_status_t check(const mb_call_t *call)
{
    return mb_call_check_width(call, 0, conv_of(call)->channels);
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    mb_activated_memory(&conv_of(call)->activation, call, samples, out);
    out->keeps_input[0] = call->layer->trainable;
}

static mb_window_t geometry_of(const mb_run_t *run)
{
    const conv_t *conv = conv_of(run->call);
    mb_window_t geometry = mb_window_geometry(&conv->window, run->call, run->samples);
    geometry.groups = conv->groups;
    return geometry;
}

static mb_status_t observe(const mb_run_t *run, mb_window_t window)
{
    const mb_observer_t *observer = run->observer;
    window.samples = run->valid;
    if (observer == NULL || run->exec->planning || run->valid == 0)
        return MB_OK;
    return observer->window(observer->user, run, KERNEL, &window, mb_run_input(run, 0));
}

static mb_status_t convolve(const mb_run_t *run)
{
    const conv_t *conv = conv_of(run->call);
    const mb_matrix_t *stored = mb_run_stored(run, KERNEL);
    mb_conv_forward_args_t args = {.type = mb_run_type(run),
                                   .window = geometry_of(run),
                                   .x = mb_run_input(run, 0),
                                   .w = mb_run_param(run, KERNEL),
                                   .bias = conv->use_bias ? mb_run_param(run, BIAS) : NULL,
                                   .y = mb_activated_target(&conv->activation, run)};
    if (stored == NULL)
        return mb_run_conv_forward(run->exec, &args);
    mb_stored_conv_args_t stored_args = {.type = mb_run_type(run),
                                         .window = args.window,
                                         .integer = run->integer,
                                         .x = args.x,
                                         .bias = args.bias,
                                         .w = *stored,
                                         .y = args.y};
    return mb_run_stored_conv(run->exec, &stored_args);
}

static mb_status_t forward(const mb_run_t *run)
{
    MB_TRY(observe(run, geometry_of(run)));
    MB_TRY(convolve(run));
    return mb_activated_forward(&conv_of(run->call)->activation, run);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const conv_t *conv = conv_of(run->call);
    MB_TRY(mb_activated_backward(&conv->activation, run));
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    mb_conv_backward_input_args_t args = {.type = mb_run_type(run),
                                          .window = geometry_of(run),
                                          .dy = mb_activated_gradient(&conv->activation, run),
                                          .w = mb_run_param(run, KERNEL),
                                          .dx = mb_run_grad_input(run, 0)};
    return mb_run_conv_backward_input(run->exec, &args);
}

/* One operation makes both gradients. Both are wanted or neither: a layer is frozen as a whole. */
static mb_status_t backward_weights(const mb_run_t *run)
{
    const conv_t *conv = conv_of(run->call);
    if (!mb_run_wants_param(run, KERNEL))
        return MB_OK;
    mb_conv_backward_weights_args_t args = {.type = mb_run_type(run),
                                            .window = geometry_of(run),
                                            .accumulate = run->accumulate,
                                            .x = mb_run_input(run, 0),
                                            .dy = mb_activated_gradient(&conv->activation, run),
                                            .dw = mb_run_grad_param(run, KERNEL),
                                            .dbias = conv->use_bias ? mb_run_grad_param(run, BIAS)
                                                                    : NULL};
    return mb_run_conv_backward_weights(run->exec, &args);
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    const conv_t *conv = conv_of(call);
    double taps = (double)(conv->window.size[0] * conv->window.size[1]) *
                  (double)mb_shape_columns(&call->inputs[0]) / (double)conv->groups;
    double flops = 2.0 * taps * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){flops, flops, flops};
}

const mb_layer_class_t mb_layer_conv1d = {.size = sizeof(mb_layer_class_t),
                                          .name = "Conv1D",
                                          .parse = parse_1d,
                                          .infer = infer,
                                          .declare = declare,
                                          .check = check,
                                          .memory = memory,
                                          .forward = forward,
                                          .backward_input = backward_input,
                                          .backward_weights = backward_weights,
                                          .cost = cost};

const mb_layer_class_t mb_layer_conv2d = {.size = sizeof(mb_layer_class_t),
                                          .name = "Conv2D",
                                          .parse = parse_2d,
                                          .infer = infer,
                                          .declare = declare,
                                          .check = check,
                                          .memory = memory,
                                          .forward = forward,
                                          .backward_input = backward_input,
                                          .backward_weights = backward_weights,
                                          .cost = cost};
