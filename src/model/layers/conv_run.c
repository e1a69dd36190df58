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

static mb_status_t convolve_stored(const mb_run_t *run, const mb_matrix_t *stored, void *y)
{
    const mb_conv_t *conv = conv_of(run->call);
    mb_stored_conv_args_t args = {.type = mb_run_type(run),
                                  .window = geometry_of(run),
                                  .integer = run->integer,
                                  .x = mb_run_input(run, 0),
                                  .bias = conv->use_bias ? mb_run_param(run, MB_CONV_BIAS) : NULL,
                                  .w = *stored,
                                  .y = y};
    return mb_run_stored_conv(run->exec, &args);
}

/* y = act(conv(x)); PRE: NULL, or where what act is applied to is kept. */
static mb_status_t convolve(const mb_run_t *run, mb_function_t act, void *pre, void *y)
{
    const mb_conv_t *conv = conv_of(run->call);
    mb_conv_forward_args_t args = {.type = mb_run_type(run),
                                   .window = geometry_of(run),
                                   .x = mb_run_input(run, 0),
                                   .w = mb_run_param(run, MB_CONV_KERNEL),
                                   .bias = conv->use_bias ? mb_run_param(run, MB_CONV_BIAS) : NULL,
                                   .y = y,
                                   .act = act,
                                   .pre = pre};
    return mb_run_conv_forward(run->exec, &args);
}

mb_status_t mb_conv_forward(const mb_run_t *run)
{
    const mb_activation_t *a = &conv_of(run->call)->activation;
    const mb_matrix_t *stored = mb_run_stored(run, MB_CONV_KERNEL);
    void *target = mb_activated_target(a, run);
    MB_TRY(observe(run, geometry_of(run)));
    if (stored == NULL && !a->softmax)
        return convolve(run, (mb_function_t){a->act, a->p0, a->p1, a->p2},
                        a->needs_input ? run->saved : NULL, run->output);
    if (stored != NULL)
        MB_TRY(convolve_stored(run, stored, target));
    else
        MB_TRY(convolve(run, (mb_function_t){.act = MB_ACT_LINEAR}, NULL, target));
    return mb_activated_forward(a, run);
}

mb_status_t mb_conv_forward_with_tail(const mb_run_t *run, const mb_tail_t *tail)
{
    const mb_matrix_t *stored = mb_run_stored(run, MB_CONV_KERNEL);
    mb_act_forward_args_t relu = {.type = mb_run_type(run),
                                  .count = run->samples * mb_shape_elements(&run->call->output),
                                  .act = MB_ACT_RELU,
                                  .x = tail->y,
                                  .y = tail->y};
    MB_TRY(observe(run, geometry_of(run)));
    if (stored == NULL)
        return convolve(run, (mb_function_t){.act = MB_ACT_RELU}, NULL, tail->y);
    MB_TRY(convolve_stored(run, stored, tail->y));
    return mb_run_act_forward(run->exec, &relu);
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
                                          .dx = mb_run_grad_input(run, 0),
                                          .cut = run->cuts_input ? mb_run_input(run, 0) : NULL};
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
