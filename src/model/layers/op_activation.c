/* keras.ops.nn: activations over a tensor. Those with parameters take them from the config under
 * the names of their functions; softmax and its logarithm run over any axis. */
#include "model/layers/activation_layer.h"
#include "model/layers/operators.h"

static mb_status_t create(mb_config_t *config, mb_arena_t *arena, const char *name, void **out,
                          mb_activation_call_t **setting)
{
    json_t *text = json_string(name);
    *setting = MB_ARENA_NEW(arena, mb_activation_call_t);
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
        mb_activation_call_t *setting;                                                             \
        return create(config, arena, name, out, &setting);                                         \
    }
#define PARSE_WITH(symbol, name, key, otherwise, member)                                           \
    static mb_status_t parse_##symbol(mb_config_t *config, mb_arena_t *arena, void **out)          \
    {                                                                                              \
        mb_activation_call_t *setting;                                                             \
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
    mb_activation_call_t *setting;
    bool approximate;
    MB_TRY(create(config, arena, "gelu", out, &setting));
    MB_TRY(mb_config_bool_or(config, "approximate", true, &approximate));
    setting->activation.act = approximate ? MB_ACT_GELU_TANH : MB_ACT_GELU;
    return MB_OK;
}

static mb_status_t parse_softmax(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_activation_call_t *setting;
    MB_TRY(create(config, arena, "softmax", out, &setting));
    return mb_config_int_or(config, "axis", -MB_MAX_RANK, MB_MAX_RANK, -1, &setting->axis);
}

static mb_status_t parse_log_softmax(mb_config_t *config, mb_arena_t *arena, void **out)
{
    MB_TRY(parse_softmax(config, arena, out));
    ((mb_activation_call_t *)*out)->logarithm = true;
    return MB_OK;
}

#define CLASS(keras, symbol)                                                                       \
    {                                                                                              \
        .size = sizeof(mb_layer_class_t), .name = keras, .parse = parse_##symbol,                  \
        .parse_call = mb_arguments_are_inputs, .infer = mb_activation_call_infer,                  \
        .memory = mb_activation_call_memory, .forward = mb_activation_call_forward,                \
        .backward_input = mb_activation_call_backward, .cost = mb_activation_call_cost             \
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
