/* Dense: y = act(x W + b) over the last axis; samples and positions together are the rows. */
#include "model/layers/layers.h"

typedef struct {
    int64_t units;
    int64_t width; /* of the inputs its kernel was declared for */
    bool use_bias;
    mb_activation_t activation;
    mb_param_spec_t kernel, bias;
} dense_t;

enum { KERNEL, BIAS };

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, void **out)
{
    dense_t *dense = MB_ARENA_NEW(arena, dense_t);
    if (dense == NULL)
        return mb_error_memory("a layer", sizeof(*dense));
    MB_TRY(mb_config_int(config, "units", 1, MB_LAYER_MAX_SIZE, &dense->units));
    MB_TRY(mb_config_bool_or(config, "use_bias", true, &dense->use_bias));
    MB_TRY(mb_activation_take_key(config, "activation", &dense->activation));
    MB_TRY(mb_layer_take_param(config, "kernel", "glorot_uniform", "kernel", true, &dense->kernel));
    MB_TRY(mb_layer_take_param(config, "bias", "zeros", "bias", true, &dense->bias));
    dense->kernel.view = MB_VIEW_FIRST;
    dense->kernel.operand = dense->bias.operand = true;
    MB_TRY(mb_config_only(config, "quantization_config", "null"));
    MB_TRY(mb_config_only(config, "lora_rank", "null"));
    MB_TRY(mb_config_only(config, "lora_alpha", "null"));
    *out = dense;
    return MB_OK;
}

static dense_t *dense_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t infer(mb_call_t *call)
{
    MB_TRY(mb_call_infer_same(call));
    if (call->output.rank == 0)
        return mb_call_error(call, MB_ERR_SHAPE, "takes samples of at least one dimension");
    call->output.dim[call->output.rank - 1] = dense_of(call)->units;
    return MB_OK;
}

static mb_status_t declare(const mb_call_t *call, mb_param_list_t *list)
{
    dense_t *dense = dense_of(call);
    MB_TRY(mb_call_take_width(call, 0, &dense->width));
    MB_TRY(
        mb_layer_add_param(list, &dense->kernel, &(mb_shape_t){2, {dense->width, dense->units}}));
    if (dense->use_bias)
        MB_TRY(mb_layer_add_param(list, &dense->bias, &(mb_shape_t){1, {dense->units}}));
    return MB_OK;
}

static mb_status_t check(const mb_call_t *call)
{
    return mb_call_check_width(call, 0, dense_of(call)->width);
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    mb_activated_memory(&dense_of(call)->activation, call, samples, out);
    out->keeps_input[0] = call->layer->trainable;
}

static mb_linear_t linear_of(const mb_run_t *run)
{
    const dense_t *dense = dense_of(run->call);
    return (mb_linear_t){run->samples * mb_shape_rows(&run->call->output), dense->width,
                         dense->units};
}

static int bias_of(const dense_t *dense)
{
    return dense->use_bias ? BIAS : MB_NO_PARAM;
}

static mb_status_t forward(const mb_run_t *run)
{
    const dense_t *dense = dense_of(run->call);
    mb_linear_t linear = linear_of(run);
    return mb_linear_activated(run, &linear, KERNEL, bias_of(dense), &dense->activation,
                               mb_run_input(run, 0));
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const dense_t *dense = dense_of(run->call);
    mb_linear_t linear = linear_of(run);
    MB_TRY(mb_activated_backward(&dense->activation, run));
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    return mb_linear_backward_input(run, &linear, KERNEL, false,
                                    mb_activated_gradient(&dense->activation, run),
                                    mb_run_grad_input(run, 0));
}

static mb_status_t backward_weights(const mb_run_t *run)
{
    const dense_t *dense = dense_of(run->call);
    mb_linear_t linear = linear_of(run);
    return mb_linear_backward_weights(run, &linear, KERNEL, bias_of(dense), mb_run_input(run, 0),
                                      mb_activated_gradient(&dense->activation, run));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops =
        2.0 * (double)mb_shape_elements(&call->output) * (double)mb_shape_columns(&call->inputs[0]);
    *out = (mb_cost_t){flops, flops, flops};
}

const mb_layer_class_t mb_layer_dense = {.size = sizeof(mb_layer_class_t),
                                         .name = "Dense",
                                         .parse = parse,
                                         .infer = infer,
                                         .declare = declare,
                                         .check = check,
                                         .memory = memory,
                                         .forward = forward,
                                         .backward_input = backward_input,
                                         .backward_weights = backward_weights,
                                         .cost = cost,
                                         .mask = mb_mask_passes};
