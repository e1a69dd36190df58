/* keras.ops.nn: activations over a tensor. Those with parameters take them from the config under
 * the names of their functions; softmax and its logarithm run over any axis. */
#include "model/layers/operators.h"
#include "model/layers/softmax_axes.h"
#include "model/layers/softmax_axes.h"

typedef struct {
    mb_activation_t activation;
    bool softmax, logarithm;
    int64_t axis;
} setting_t;

static const setting_t *setting_of(const mb_call_t *call)
{
    return call->layer->config;
}

static mb_status_t create(mb_config_t *config, mb_arena_t *arena, const char *name, void **out,
                          setting_t **setting)
{
    json_t *text = json_string(name);
    *setting = MB_ARENA_NEW(arena, setting_t);
    if (*setting == NULL || text == NULL)
        return mb_error_memory("an operation", sizeof **setting);
    *out = *setting;
    (*setting)->axis = -1;
    mb_status_t status = mb_activation_parse(text, config->where, &(*setting)->activation);
    json_decref(text);
    return status;
}

#define PARSE(symbol, name)                                                                        \
    static mb_status_t parse_##symbol(mb_config_t *config, mb_arena_t *arena, void **out)          \
    {                                                                                              \
        setting_t *setting;                                                                        \
        return create(config, arena, name, out, &setting);                                         \
    }
#define PARSE_WITH(symbol, name, key, otherwise, member)                                           \
    static mb_status_t parse_##symbol(mb_config_t *config, mb_arena_t *arena, void **out)          \
    {                                                                                              \
        setting_t *setting;                                                                        \
        double value;                                                                              \
        MB_TRY(create(config, arena, name, out, &setting));                                        \
        MB_TRY(mb_config_real_or(config, key, otherwise, &value));                                 \
        setting->activation.member = (float)value;                                                 \
        return MB_OK;                                                                              \
    }
PARSE(relu, "relu")
PARSE(sigmoid, "sigmoid")
PARSE(softplus, "softplus")
PARSE(softsign, "softsign")
PARSE(silu, "silu")
PARSE(selu, "selu")
PARSE_WITH(elu, "elu", "alpha", 1.0, p0)
PARSE_WITH(leaky_relu, "leaky_relu", "negative_slope", 0.2, p0)

static mb_status_t parse_gelu(mb_config_t *config, mb_arena_t *arena, void **out)
{
    setting_t *setting;
    bool approximate;
    MB_TRY(create(config, arena, "gelu", out, &setting));
    MB_TRY(mb_config_bool_or(config, "approximate", true, &approximate));
    setting->activation.act = approximate ? MB_ACT_GELU_TANH : MB_ACT_GELU;
    return MB_OK;
}

static mb_status_t parse_softmax(mb_config_t *config, mb_arena_t *arena, void **out)
{
    setting_t *setting;
    MB_TRY(create(config, arena, "softmax", out, &setting));
    setting->softmax = true;
    return mb_config_int_or(config, "axis", -MB_MAX_RANK, MB_MAX_RANK, -1, &setting->axis);
}

static mb_status_t parse_log_softmax(mb_config_t *config, mb_arena_t *arena, void **out)
{
    MB_TRY(parse_softmax(config, arena, out));
    ((setting_t *)*out)->logarithm = true;
    return MB_OK;
}

static int axis_of(const mb_call_t *call)
{
    int64_t axis = setting_of(call)->axis;
    return (int)(axis < 0 ? axis + call->inputs[0].rank + 1 : axis);
}

static mb_status_t infer(mb_call_t *call)
{
    int axis;
    MB_TRY(mb_call_infer_same(call));
    if (!setting_of(call)->softmax)
        return MB_OK;
    return mb_call_take_axis(call, setting_of(call)->axis, call->inputs[0].rank + 1, &axis);
}

/* Along the last axis the activation's own operation serves. */
static bool by_views(const mb_call_t *call)
{
    const setting_t *setting = setting_of(call);
    return setting->softmax && (setting->logarithm || axis_of(call) != call->inputs[0].rank);
}

static void memory(const mb_call_t *call, int64_t samples, mb_memory_t *out)
{
    *out = (mb_memory_t){.keeps_input = {setting_of(call)->activation.needs_input},
                         .keeps_output = setting_of(call)->activation.needs_output};
    if (by_views(call))
        out->saved_bytes = mb_softmax_saved(call, axis_of(call), samples);
}

static mb_status_t forward(const mb_run_t *run)
{
    const setting_t *setting = setting_of(run->call);
    const mb_shape_t *shape = &run->call->output;
    if (by_views(run->call))
        return mb_softmax_forward(run, axis_of(run->call), setting->logarithm);
    return mb_activation_forward(&setting->activation, run->exec, mb_run_type(run),
                                 run->samples * mb_shape_rows(shape), mb_shape_columns(shape),
                                 mb_run_input(run, 0), run->output);
}

static mb_status_t backward_input(const mb_run_t *run)
{
    const setting_t *setting = setting_of(run->call);
    const mb_activation_t *activation = &setting->activation;
    const mb_shape_t *shape = &run->call->output;
    if (!mb_run_wants_input(run, 0))
        return MB_OK;
    if (by_views(run->call))
        return mb_softmax_backward(run, axis_of(run->call), setting->logarithm);
    return mb_activation_backward(
        activation, run->exec, mb_run_type(run), run->samples * mb_shape_rows(shape),
        mb_shape_columns(shape), activation->needs_input ? mb_run_input(run, 0) : NULL,
        activation->needs_output ? run->output : NULL, run->grad_output, mb_run_grad_input(run, 0));
}

static void cost(const mb_call_t *call, mb_cost_t *out)
{
    double flops = 16.0 * (double)mb_shape_elements(&call->output);
    *out = (mb_cost_t){flops, flops, 0.0};
}

#define CLASS(keras, symbol)                                                                       \
    {                                                                                              \
        .size = sizeof(mb_layer_class_t), .name = keras, .parse = parse_##symbol,                  \
        .parse_call = mb_arguments_are_inputs, .infer = infer, .memory = memory,                   \
        .forward = forward, .backward_input = backward_input, .cost = cost                         \
    }

static const mb_layer_class_t classes[] = {
    CLASS("Relu", relu),         CLASS("Sigmoid", sigmoid), CLASS("Softplus", softplus),
    CLASS("Softsign", softsign), CLASS("Silu", silu),       CLASS("Swish", silu),
    CLASS("Selu", selu),         CLASS("Elu", elu),         CLASS("LeakyRelu", leaky_relu),
    CLASS("Gelu", gelu),         CLASS("Softmax", softmax), CLASS("LogSoftmax", log_softmax),
};

const mb_layer_class_t *mb_operators_activation(size_t index)
{
    return index < sizeof classes / sizeof classes[0] ? &classes[index] : NULL;
}
