/* Conv1DTranspose to Conv3DTranspose: y = act(z + b), where z is what the gradient of a convolution
 * over y gives for x. So forward is that convolution's backward operation, and the gradient of x
 * its forward one; Keras' kernel [..., filters, channels] is as the convolution wants it. With e =
 * (size - 1) dilation + 1, stride s and output padding p (Keras'
 * _convert_conv_transpose_padding_args_from_keras_to_jax), n positions give
 *
 *     valid    out = (n - 1) s + e + p, p = max(s - e, 0) if not given; nothing cropped
 *     same     out = n s, or (n - 1) s + e % 2 + p if p is given; of (n - 1) s + e positions and
 *              zeros behind, those from e - 1 - min(ceil(l / 2), e - 1) on, where
 *              l = e - 2 + s, or e - 2 + e % 2 + p */
#include "model/layers/conv.h"

#include <inttypes.h>

enum { NOT_GIVEN = -1 };

typedef struct {
    mb_conv_t conv; /* first */
    int64_t output_padding[MB_MAX_SPATIAL];
} transposed_t;

static mb_status_t infer(mb_call_t *call);
static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list);
static mb_status_t forward(const mb_run_t *run);
static mb_status_t backward_input(const mb_run_t *run);
static mb_status_t backward_weights(const mb_run_t *run);
static void cost(const mb_call_t *call, mb_cost_t *out);

static const mb_layer_class_t layer = {.infer = infer,
                                       .declare = declare,
                                       .check = mb_conv_check,
                                       .memory = mb_conv_memory,
                                       .forward = forward,
                                       .backward_input = backward_input,
                                       .backward_weights = backward_weights,
                                       .cost = cost};

static mb_status_t take_output_padding(mb_config_t *config, transposed_t *transposed)
{
    const mb_window_config_t *window = &transposed->conv.window;
    int first = MB_MAX_SPATIAL - window->spatial;
    for (int i = 0; i < MB_MAX_SPATIAL; i++)
        transposed->output_padding[i] = NOT_GIVEN;
    if (mb_config_has(config, "output_padding"))
        MB_TRY(mb_config_ints(config, "output_padding", window->spatial, 0,
                              transposed->output_padding + first));
    mb_config_take(config, "output_padding");
    for (int i = first; i < MB_MAX_SPATIAL; i++) {
        if (transposed->output_padding[i] >= window->stride[i])
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: key 'output_padding' is %" PRId64
                                ", it must be less than the stride, %" PRId64,
                                config->where, transposed->output_padding[i], window->stride[i]);
    }
    return MB_OK;
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, int spatial, void **out)
{
    transposed_t *transposed = MB_ARENA_NEW(arena, transposed_t);
    if (transposed == NULL)
        return mb_error_memory("a layer", sizeof(*transposed));
    mb_conv_t *conv = &transposed->conv;
    MB_TRY(mb_channels_take(config, &layer, &conv->channels));
    MB_TRY(mb_config_int(config, "filters", 1, MB_LAYER_MAX_SIZE, &conv->filters));
    MB_TRY(mb_window_take(config, "kernel_size", spatial, false, false, &conv->window));
    MB_TRY(take_output_padding(config, transposed));
    MB_TRY(mb_config_only(config, "groups", "1"));
    *out = transposed;
    return mb_conv_take(config, "kernel", "kernel", conv);
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

static const transposed_t *transposed_of(const mb_call_t *call)
{
    return call->layer->config;
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The axis of the convolution from y, whose size is `in`, to x, of N positions. What its padding
 * behind lacks for x's last position is what the padding of y adds. */
static mb_window_axis_t axis_of(const transposed_t *transposed, int axis, int64_t n)
{
    const mb_window_config_t *window = &transposed->conv.window;
    int64_t s = window->stride[axis], given = transposed->output_padding[axis];
    int64_t e = (window->size[axis] - 1) * window->dilation[axis] + 1;
    mb_window_axis_t out = {0, n, window->size[axis], s, window->dilation[axis], 0, 0};
    if (window->padding == MB_PADDING_VALID) {
        out.in = (n - 1) * s + e + (given == NOT_GIVEN ? max_of(s - e, 0) : given);
        return out;
    }
    int64_t length = e - 2 + (given == NOT_GIVEN ? s : e % 2 + given);
    int64_t before = min_of(length / 2 + length % 2, e - 1);
    out.in = given == NOT_GIVEN ? n * s : (n - 1) * s + e % 2 + given;
    out.pad_before = e - 1 - before;
    out.pad_after = max_of(e - 1 - (length - before), 0);
    return out;
}

static mb_status_t infer(mb_call_t *call)
{
    const transposed_t *transposed = transposed_of(call);
    int spatial = transposed->conv.window.spatial;
    MB_TRY(mb_call_expect_rank(call, spatial + 1));
    mb_call_keep_shape(call);
    call->output.dim[spatial] = transposed->conv.filters;
    for (int i = 0; i < spatial; i++) {
        int64_t n = call->inputs[0].dim[i];
        if (n != MB_OPEN)
            call->output.dim[i] = axis_of(transposed, i + MB_MAX_SPATIAL - spatial, n).in;
        if (n != MB_OPEN && call->output.dim[i] < 1)
            return mb_call_error(call, MB_ERR_SHAPE, "nothing is left of its output");
    }
    return MB_OK;
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    mb_conv_t *conv = call->layer->config;
    MB_TRY(mb_call_take_width(call, 0, &conv->width));
    MB_TRY(mb_conv_add_kernel(list, &conv->kernel, &conv->window, conv->filters, conv->width));
    return mb_conv_add_bias(list, conv, conv->filters);
}

static mb_window_t geometry_of(const mb_run_t *run)
{
    const transposed_t *transposed = transposed_of(run->call);
    int spatial = transposed->conv.window.spatial, missing = MB_MAX_SPATIAL - spatial;
    mb_window_t window = {.samples = run->samples,
                          .channels_in = transposed->conv.filters,
                          .channels_out = transposed->conv.width,
                          .groups = 1};
    for (int i = spatial == MB_MAX_SPATIAL ? 0 : 1; i < MB_MAX_SPATIAL; i++) {
        mb_window_axis_t one = {1, 1, 1, 1, 1, 0, 0};
        if (i >= missing)
            one = axis_of(transposed, i, run->call->inputs[0].dim[i - missing]);
        mb_window_put_axis(&window, i, &one);
    }
    return window;
}

static mb_status_t forward(const mb_run_t *run)
{
    const mb_conv_t *conv = &transposed_of(run->call)->conv;
    mb_conv_backward_input_args_t args = {.type = mb_run_type(run),
                                          .window = geometry_of(run),
                                          .dy = mb_run_input(run, 0),
                                          .w = mb_run_param(run, MB_CONV_KERNEL),
                                          .dx = mb_activated_target(&conv->activation, run),
                                          .bias = conv->use_bias ? mb_run_param(run, MB_CONV_BIAS)
                                                                 : NULL};
    MB_TRY(mb_run_conv_backward_input(run->exec, &args));
    return mb_activated_forward(&conv->activation, run);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const mb_conv_t *conv = &transposed_of(run->call)->conv;
    MB_TRY(mb_activated_backward(&conv->activation, run));
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    mb_conv_forward_args_t args = {.type = mb_run_type(run),
                                   .window = geometry_of(run),
                                   .x = mb_activated_gradient(&conv->activation, run),
                                   .w = mb_run_param(run, MB_CONV_KERNEL),
                                   .y = mb_run_grad_input(run, 0)};
    return mb_run_conv_forward(run->exec, &args);
}

static mb_status_t bias_gradient(const mb_run_t *run)
{
    const mb_conv_t *conv = &transposed_of(run->call)->conv;
    mb_column_sum_args_t args = {.type = mb_run_type(run),
                                 .rows = run->samples * mb_shape_rows(&run->call->output),
                                 .columns = conv->filters,
                                 .accumulate = run->accumulate,
                                 .a = mb_activated_gradient(&conv->activation, run),
                                 .sum = mb_run_grad_param(run, MB_CONV_BIAS)};
    return mb_run_column_sum(run->exec, &args);
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    const mb_conv_t *conv = &transposed_of(run->call)->conv;
    if (!mb_run_wants_param(run, MB_CONV_KERNEL))
        return MB_OK;
    mb_conv_backward_weights_args_t args = {.type = mb_run_type(run),
                                            .window = geometry_of(run),
                                            .accumulate = run->accumulate,
                                            .x = mb_activated_gradient(&conv->activation, run),
                                            .dy = mb_run_input(run, 0),
                                            .dw = mb_run_grad_param(run, MB_CONV_KERNEL)};
    MB_TRY(mb_run_conv_backward_weights(run->exec, &args));
    return conv->use_bias ? bias_gradient(run) : MB_OK;
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    const mb_conv_t *conv = &transposed_of(call)->conv;
    double flops = 2.0 * mb_window_positions(&conv->window) * (double)conv->filters *
                   (double)mb_shape_elements(&call->inputs[0]);
    *out = (mb_cost_t){flops, flops, flops};
}

MB_CHANNELS_WEIGHTED_CLASS(conv1d_transpose, "Conv1DTranspose", parse_1d);
MB_CHANNELS_WEIGHTED_CLASS(conv2d_transpose, "Conv2DTranspose", parse_2d);
MB_CHANNELS_WEIGHTED_CLASS(conv3d_transpose, "Conv3DTranspose", parse_3d);
