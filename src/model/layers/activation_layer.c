/* Layers that are an activation and nothing else: Activation, ReLU, LeakyReLU, ELU, Softmax and
 * Keras 2's ThresholdedReLU. */
#include "model/layers/activation_layer.h"
#include "model/layers/glu.h"
#include "model/layers/softmax_axes.h"
#include "model/layers/softmax_mask.h"

#include <string.h>

static mb_status_t create(mb_arena_t *arena, mb_activation_call_t **out)
{
    *out = MB_ARENA_NEW(arena, mb_activation_call_t);
    if (*out == NULL)
        return mb_error_memory("a layer", sizeof(**out));
    (*out)->axes = (mb_axes_t){1, {-1}};
    return MB_OK;
}

static mb_status_t parse_activation(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_activation_call_t *layer;
    const json_t *name = mb_config_take(config, "activation");
    MB_TRY(create(arena, &layer));
    *out = layer;
    layer->gated = json_is_string(name) && strcmp(json_string_value(name), "glu") == 0;
    return layer->gated ? MB_OK : mb_activation_take_key(config, "activation", &layer->activation);
}

static mb_status_t parse_named(mb_config_t *config, mb_arena_t *arena, const char *name, void **out)
{
    mb_activation_call_t *layer;
    MB_TRY(create(arena, &layer));
    *out = layer;
    return mb_activation_take(config, name, &layer->activation, &layer->axes);
}

static mb_status_t parse_relu(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse_named(config, arena, "ReLU", out);
}

static mb_status_t parse_leaky_relu(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse_named(config, arena, "LeakyReLU", out);
}

static mb_status_t parse_elu(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse_named(config, arena, "ELU", out);
}

static mb_status_t parse_softmax(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse_named(config, arena, "Softmax", out);
}

static mb_status_t parse_thresholded_relu(mb_config_t *config, mb_arena_t *arena, void **out)
{
    return parse_named(config, arena, "ThresholdedReLU", out);
}

static const mb_activation_call_t *layer_of(const mb_call_t *call)
{
    return call->layer->config;
}

static uint32_t axes_of(const mb_call_t *call)
{
    return mb_axes_bits(&layer_of(call)->axes, call);
}

mb_status_t mb_activation_call_infer(mb_call_t *call)
{
    const mb_activation_call_t *layer = layer_of(call);
    uint32_t axes;
    MB_TRY(mb_call_infer_same(call));
    if (call->masks[0] > 0)
        MB_TRY(mb_softmax_mask_check(call));
    if (!layer->activation.softmax && !layer->gated)
        return MB_OK;
    MB_TRY(mb_axes_check(&layer->axes, call, &axes));
    return layer->gated ? mb_glu_infer(call, axes) : MB_OK;
}

/* Along the last axis the activation's own operation serves. */
static bool by_views(const mb_call_t *call)
{
    return layer_of(call)->activation.softmax && axes_of(call) != UINT32_C(1)
                                                                      << call->inputs[0].rank;
}

void mb_activation_call_memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){.keeps_input = {layer_of(call)->activation.needs_input},
                         .keeps_output = layer_of(call)->activation.needs_output};
    if (layer_of(call)->gated)
        out->keeps_input[0] = true;
    if (by_views(call))
        out->saved_bytes = mb_softmax_saved(call, axes_of(call), samples);
    if (call->masks[0] > 0)
        mb_softmax_mask_memory(call, samples, out);
}

static unsigned relus(const mb_call_t *call)
{
    const mb_activation_call_t *layer = layer_of(call);
    bool relu = !layer->gated && !layer->activation.softmax && layer->activation.act == MB_ACT_RELU;
    return relu ? MB_RELU_ALL | MB_RELU_LAST : 0;
}

static mb_status_t forward(const mb_run_t *run)
{
    const mb_activation_t *activation = &layer_of(run->call)->activation;
    const mb_shape_t *shape = &run->call->output;
    if (layer_of(run->call)->gated)
        return mb_glu_forward(run, axes_of(run->call));
    if (by_views(run->call))
        return mb_softmax_forward(run, axes_of(run->call), activation->logarithm);
    return mb_activation_forward(activation, run->exec, mb_run_type(run),
                                 run->samples * mb_shape_rows(shape), mb_shape_columns(shape),
                                 mb_run_input(run, 0), run->output);
}

mb_status_t mb_activation_call_forward(const mb_run_t *run)
{
    mb_masked_softmax_t masked;
    if (run->call->masks[0] == 0)
        return forward(run);
    MB_TRY(mb_softmax_mask_enter(run, &masked));
    MB_TRY(forward(&masked.run));
    return mb_softmax_mask_leave(run, &masked);
}

/* With a mask too: the output is 0 where it hides, and with it the gradient. */
mb_status_t mb_activation_call_backward(const mb_run_t *run)
{
    const mb_activation_t linear = {.act = MB_ACT_LINEAR};
    const mb_activation_t *activation = run->is_cut ? &linear : &layer_of(run->call)->activation;
    const mb_shape_t *shape = &run->call->output;
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    if (layer_of(run->call)->gated)
        return mb_glu_backward(run, axes_of(run->call));
    if (by_views(run->call))
        return mb_softmax_backward(run, axes_of(run->call), activation->logarithm);
    return mb_activation_backward(
        activation, run->exec, mb_run_type(run), run->samples * mb_shape_rows(shape),
        mb_shape_columns(shape), activation->needs_input ? mb_run_input(run, 0) : NULL,
        activation->needs_output ? run->output : NULL, run->grad_output, mb_run_grad_input(run, 0));
}

/* A transcendental costs about as much as a dozen multiplications. */
void mb_activation_call_cost(const mb_call_t *call, mb_cost_t *out)
{
    const mb_activation_t *activation = &layer_of(call)->activation;
    bool plain = !activation->softmax && activation->act <= MB_ACT_RELU_GENERAL;
    double flops = (plain ? 4.0 : 16.0) * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){flops, flops, 0.0};
}

#define ACTIVATION_CLASS(symbol, keras, parser, ...)                                               \
    const mb_layer_class_t mb_layer_##symbol = {.size = sizeof(mb_layer_class_t),                  \
                                                .name = keras,                                     \
                                                .parse = parser,                                   \
                                                .infer = mb_activation_call_infer,                 \
                                                .memory = mb_activation_call_memory,               \
                                                .forward = mb_activation_call_forward,             \
                                                .backward_input = mb_activation_call_backward,     \
                                                .cost = mb_activation_call_cost,                   \
                                                .relus = relus,                                    \
                                                __VA_ARGS__}

ACTIVATION_CLASS(activation, "Activation", parse_activation, .mask = mb_mask_passes);
ACTIVATION_CLASS(relu, "ReLU", parse_relu, .mask = mb_mask_passes);
ACTIVATION_CLASS(leaky_relu, "LeakyReLU", parse_leaky_relu, .mask = mb_mask_passes);
ACTIVATION_CLASS(elu, "ELU", parse_elu, .mask = mb_mask_passes);
ACTIVATION_CLASS(softmax, "Softmax", parse_softmax, .mask = mb_mask_passes,
                 .takes_masks = MB_TAKES_MASKS);
ACTIVATION_CLASS(thresholded_relu, "ThresholdedReLU", parse_thresholded_relu,
                 .mask = mb_mask_passes);
