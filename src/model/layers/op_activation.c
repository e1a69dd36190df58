/* keras.ops.nn and keras.activations: activations over a tensor. Those with parameters take them
 * from the config under the names of their functions; softmax and its logarithm run over any axes.
 */
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
    (*setting)->axes = (mb_axes_t){1, {-1}};
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
#define PARSE_WITH(symbol, name, key, otherwise)                                                   \
    static mb_status_t parse_##symbol(mb_config_t *config, mb_arena_t *arena, void **out)          \
    {                                                                                              \
        mb_activation_call_t *setting;                                                             \
        double value;                                                                              \
        MB_TRY(create(config, arena, name, out, &setting));                                        \
        MB_TRY(mb_config_real_or(config, key, otherwise, &value));                                 \
        setting->activation.p0 = (float)value;                                                     \
        return MB_OK;                                                                              \
    }
PARSE(relu, "relu")
PARSE(relu6, "relu6")
PARSE(sigmoid, "sigmoid")
PARSE(softplus, "softplus")
PARSE(softsign, "softsign")
PARSE(silu, "silu")
PARSE(selu, "selu")
PARSE(mish, "mish")
PARSE(hard_sigmoid, "hard_sigmoid")
PARSE(sparse_sigmoid, "sparse_sigmoid")
PARSE(log_sigmoid, "log_sigmoid")
PARSE(hard_silu, "hard_silu")
PARSE(hard_tanh, "hard_tanh")
PARSE(tanh_shrink, "tanh_shrink")
PARSE(sparse_plus, "sparse_plus")
PARSE(sparsemax, "sparsemax")
PARSE_WITH(elu, "elu", "alpha", 1.0)
PARSE_WITH(celu, "celu", "alpha", 1.0)
PARSE_WITH(leaky_relu, "leaky_relu", "negative_slope", 0.2)
PARSE_WITH(squareplus, "squareplus", "b", 4.0)
PARSE_WITH(soft_shrink, "soft_shrink", "threshold", 0.5)
PARSE_WITH(hard_shrink, "hard_shrink", "threshold", 0.5)

static mb_status_t parse_gelu(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_activation_call_t *setting;
    bool approximate;
    MB_TRY(create(config, arena, "gelu", out, &setting));
    MB_TRY(mb_config_bool_or(config, "approximate", true, &approximate));
    setting->activation.act = approximate ? MB_ACT_GELU_TANH : MB_ACT_GELU;
    return MB_OK;
}

static mb_status_t parse_threshold(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_activation_call_t *setting;
    double threshold, otherwise;
    MB_TRY(create(config, arena, "relu", out, &setting));
    MB_TRY(mb_config_real(config, "threshold", &threshold));
    MB_TRY(mb_config_real(config, "default_value", &otherwise));
    setting->activation = (mb_activation_t){.act = MB_ACT_THRESHOLD,
                                            .p0 = (float)threshold,
                                            .p1 = (float)otherwise,
                                            .needs_input = true};
    return MB_OK;
}

/* keras.activations.relu of a tensor: the layer's keys. */
static mb_status_t parse_general_relu(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_activation_call_t *setting;
    MB_TRY(create(config, arena, "relu", out, &setting));
    return mb_activation_take(config, "ReLU", &setting->activation, &setting->axes);
}

static mb_status_t parse_softmax(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_activation_call_t *setting;
    MB_TRY(create(config, arena, "softmax", out, &setting));
    return mb_axes_take(config, &setting->axes);
}

static mb_status_t parse_log_softmax(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_activation_call_t *setting;
    MB_TRY(create(config, arena, "log_softmax", out, &setting));
    return mb_axes_take(config, &setting->axes);
}

static mb_status_t parse_glu(mb_config_t *config, mb_arena_t *arena, void **out)
{
    mb_activation_call_t *setting;
    MB_TRY(create(config, arena, "linear", out, &setting));
    setting->gated = true;
    MB_TRY(mb_axes_take(config, &setting->axes));
    if (setting->axes.n == 1)
        return MB_OK;
    return mb_error_set(MB_ERR_FORMAT, "%s: key 'axis' must be one integer", config->where);
}

#define CLASS(keras, symbol)                                                                       \
    {                                                                                              \
        .size = sizeof(mb_layer_class_t), .name = keras, .parse = parse_##symbol,                  \
        .parse_call = mb_arguments_are_inputs, .infer = mb_activation_call_infer,                  \
        .memory = mb_activation_call_memory, .forward = mb_activation_call_forward,                \
        .backward_input = mb_activation_call_backward, .cost = mb_activation_call_cost             \
    }

static const mb_layer_class_t classes[] = {
    CLASS("Relu", relu),
    CLASS("Relu6", relu6),
    CLASS("Sigmoid", sigmoid),
    CLASS("SparseSigmoid", sparse_sigmoid),
    CLASS("Softplus", softplus),
    CLASS("Softsign", softsign),
    CLASS("SoftShrink", soft_shrink),
    CLASS("SparsePlus", sparse_plus),
    CLASS("Silu", silu),
    CLASS("Swish", silu),
    CLASS("Squareplus", squareplus),
    CLASS("LogSigmoid", log_sigmoid),
    CLASS("LeakyRelu", leaky_relu),
    CLASS("HardSigmoid", hard_sigmoid),
    CLASS("HardSilu", hard_silu),
    CLASS("Elu", elu),
    CLASS("Selu", selu),
    CLASS("Gelu", gelu),
    CLASS("Celu", celu),
    CLASS("Glu", glu),
    CLASS("TanhShrink", tanh_shrink),
    CLASS("HardTanh", hard_tanh),
    CLASS("HardShrink", hard_shrink),
    CLASS("Threshold", threshold),
    CLASS("Softmax", softmax),
    CLASS("LogSoftmax", log_softmax),
    CLASS("Sparsemax", sparsemax),
    CLASS("ReLU", general_relu),
    CLASS("Mish", mish),
};

const mb_layer_class_t *mb_operators_activation(size_t index)
{
    return index < sizeof classes / sizeof classes[0] ? &classes[index] : NULL;
}
