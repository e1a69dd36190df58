/* What Conv and DepthwiseConv compute, channels last: a depthwise one is a convolution in as many
 * groups as the input has channels. */
#include "model/layers/conv.h"

static const mb_conv_t *conv_of(const mb_call_t *call)
{
    return call->layer->config;
}

static int64_t groups_of(const mb_call_t *call)
{
    const mb_conv_t *conv = conv_of(call);
    return conv->multiplier > 0 ? mb_shape_columns(&call->inputs[0]) : conv->groups;
}

mb_status_t mb_conv_check(const mb_call_t *call)
{
    return mb_call_check_width(call, 0, conv_of(call)->width);
}

void mb_conv_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    mb_activated_memory(&conv_of(call)->activation, call, samples, out);
    out->keeps_input[0] = call->layer->trainable;
}

static mb_window_t geometry_of(const mb_run_t *run)
{
    const mb_conv_t *conv = conv_of(run->call);
    mb_window_t geometry = mb_window_geometry(&conv->window, run->call, run->samples);
    geometry.groups = groups_of(run->call);
    return geometry;
}

static mb_status_t observe(const mb_run_t *run, mb_window_t window)
{
    const mb_observer_t *observer = run->observer;
    window.samples = run->valid;
    if (observer == NULL || run->exec->planning || run->valid == 0)
        return MB_OK;
    return observer->window(observer->user, run, MB_CONV_KERNEL, &window, mb_run_input(run, 0));
}

static mb_status_t convolve(const mb_run_t *run)
{
    const mb_conv_t *conv = conv_of(run->call);
    const mb_matrix_t *stored = mb_run_stored(run, MB_CONV_KERNEL);
    mb_conv_forward_args_t args = {.type = mb_run_type(run),
                                   .window = geometry_of(run),
                                   .x = mb_run_input(run, 0),
                                   .w = mb_run_param(run, MB_CONV_KERNEL),
                                   .bias = conv->use_bias ? mb_run_param(run, MB_CONV_BIAS) : NULL,
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

mb_status_t mb_conv_forward(const mb_run_t *run)
{
    MB_TRY(observe(run, geometry_of(run)));
    MB_TRY(convolve(run));
    return mb_activated_forward(&conv_of(run->call)->activation, run);
}

mb_status_t mb_conv_backward_input(const mb_run_t *run)
{
    const mb_conv_t *conv = conv_of(run->call);
    MB_TRY(mb_activated_backward(&conv->activation, run));
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    mb_conv_backward_input_args_t args = {.type = mb_run_type(run),
                                          .window = geometry_of(run),
                                          .dy = mb_activated_gradient(&conv->activation, run),
                                          .w = mb_run_param(run, MB_CONV_KERNEL),
                                          .dx = mb_run_grad_input(run, 0)};
    return mb_run_conv_backward_input(run->exec, &args);
}

/* One operation makes both gradients. Both are wanted or neither: a layer is frozen as a whole. */
mb_status_t mb_conv_backward_weights(const mb_run_t *run)
{
    const mb_conv_t *conv = conv_of(run->call);
    if (!mb_run_wants_param(run, MB_CONV_KERNEL))
        return MB_OK;
    mb_conv_backward_weights_args_t args = {
        .type = mb_run_type(run),
        .window = geometry_of(run),
        .accumulate = run->accumulate,
        .x = mb_run_input(run, 0),
        .dy = mb_activated_gradient(&conv->activation, run),
        .dw = mb_run_grad_param(run, MB_CONV_KERNEL),
        .dbias = conv->use_bias ? mb_run_grad_param(run, MB_CONV_BIAS) : NULL};
    return mb_run_conv_backward_weights(run->exec, &args);
}

void mb_conv_cost(const mb_call_t *call, mb_cost_t *out)
{
    const mb_conv_t *conv = conv_of(call);
    double taps = mb_window_positions(&conv->window) * (double)mb_shape_columns(&call->inputs[0]) /
                  (double)groups_of(call);
    double flops = 2.0 * taps * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){flops, flops, flops};
}
