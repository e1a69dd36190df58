/* Operations as Keras 2 writes them: layers of class TFOpLambda and SlicingOpLambda, named by
 * TensorFlow's function, with its arguments in the call. They are rewritten to the form of Keras 3
 * (graph_arguments.c, model/layers/operators.h) before they are read. */
#include "model/graph_private.h"

#include <string.h>

#include "model/known.h"

#define MOST_NAMES 4

typedef struct {
    const char *function, *class_name;
    const char *arguments[MOST_NAMES]; /* behind the first, in the operation's order */
    struct {
        const char *from, *to;
    } settings[MOST_NAMES]; /* arguments that are the operation's config, and their names there */
    const char *config;     /* what TensorFlow's defaults are where they differ */
} lambda_t;

#define UNARY(function, class_name)                                                                \
    {                                                                                              \
        function, class_name, {NULL}, {{NULL, NULL}}, NULL                                         \
    }
#define BINARY(function, class_name)                                                               \
    {                                                                                              \
        function, class_name, {"y"}, {{NULL, NULL}}, NULL                                          \
    }
#define REDUCTION(function, class_name)                                                            \
    {                                                                                              \
        function, class_name, {NULL}, {{"axis", "axis"}, {"keepdims", "keepdims"}}, NULL           \
    }
#define SET(function, class_name, from, to)                                                        \
    {                                                                                              \
        function, class_name, {NULL}, {{from, to}}, NULL                                           \
    }

static const lambda_t lambdas[] = {
    BINARY("__operators__.add", "Add"),
    BINARY("math.add", "Add"),
    BINARY("math.subtract", "Subtract"),
    BINARY("math.multiply", "Multiply"),
    BINARY("math.truediv", "TrueDivide"),
    BINARY("math.divide", "TrueDivide"),
    BINARY("math.floordiv", "FloorDivide"),
    BINARY("math.pow", "Power"),
    BINARY("math.floormod", "Mod"),
    BINARY("math.maximum", "Maximum"),
    BINARY("math.minimum", "Minimum"),
    BINARY("math.equal", "Equal"),
    BINARY("math.not_equal", "NotEqual"),
    BINARY("math.less", "Less"),
    BINARY("math.less_equal", "LessEqual"),
    BINARY("math.greater", "Greater"),
    BINARY("math.greater_equal", "GreaterEqual"),
    UNARY("math.negative", "Negative"),
    UNARY("math.abs", "Absolute"),
    UNARY("math.sign", "Sign"),
    UNARY("math.square", "Square"),
    UNARY("math.sqrt", "Sqrt"),
    UNARY("math.rsqrt", "Rsqrt"),
    UNARY("math.reciprocal", "Reciprocal"),
    UNARY("math.exp", "Exp"),
    UNARY("math.expm1", "Expm1"),
    UNARY("math.log", "Log"),
    UNARY("math.log1p", "Log1p"),
    UNARY("math.sin", "Sin"),
    UNARY("math.cos", "Cos"),
    UNARY("math.tanh", "Tanh"),
    UNARY("math.erf", "Erf"),
    UNARY("math.sigmoid", "Sigmoid"),
    UNARY("math.softplus", "Softplus"),
    UNARY("nn.relu", "Relu"),
    UNARY("nn.sigmoid", "Sigmoid"),
    UNARY("nn.silu", "Silu"),
    UNARY("nn.selu", "Selu"),
    UNARY("nn.elu", "Elu"),
    UNARY("nn.softplus", "Softplus"),
    UNARY("nn.softsign", "Softsign"),
    SET("nn.leaky_relu", "LeakyRelu", "alpha", "negative_slope"),
    SET("nn.softmax", "Softmax", "axis", "axis"),
    {"nn.gelu", "Gelu", {NULL}, {{"approximate", "approximate"}}, "{\"approximate\": false}"},
    REDUCTION("math.reduce_sum", "Sum"),
    REDUCTION("math.reduce_mean", "Mean"),
    REDUCTION("math.reduce_max", "Max"),
    REDUCTION("math.reduce_min", "Min"),
    REDUCTION("math.reduce_variance", "Var"),
    REDUCTION("math.reduce_std", "Std"),
    REDUCTION("math.reduce_logsumexp", "Logsumexp"),
    {"linalg.matmul", "Matmul", {"b"}, {{NULL, NULL}}, NULL},
    SET("concat", "Concatenate", "axis", "axis"),
    {"stack", "Stack", {NULL}, {{"axis", "axis"}}, "{\"axis\": 0}"},
    {"split",
     "Split",
     {NULL},
     {{"num_or_size_splits", "num_or_size_splits"}, {"axis", "axis"}},
     NULL},
    {"unstack", "Unstack", {NULL}, {{"num", "num"}, {"axis", "axis"}}, NULL},
    SET("reshape", "Reshape", "shape", "newshape"),
    SET("transpose", "Transpose", "perm", "axes"),
    SET("compat.v1.transpose", "Transpose", "perm", "axes"),
    SET("expand_dims", "ExpandDims", "axis", "axis"),
    SET("squeeze", "Squeeze", "axis", "axis"),
    SET("compat.v1.squeeze", "Squeeze", "axis", "axis"),
    SET("tile", "Tile", "multiples", "repeats"),
    SET("reverse", "Flip", "axis", "axis"),
    SET("broadcast_to", "BroadcastTo", "shape", "shape"),
    {"repeat", "Repeat", {NULL}, {{"repeats", "repeats"}, {"axis", "axis"}}, NULL},
    {"clip_by_value",
     "Clip",
     {NULL},
     {{"clip_value_min", "x_min"}, {"clip_value_max", "x_max"}},
     NULL},
    {"__operators__.getitem", "GetItem", {"slice_spec"}, {{NULL, NULL}}, NULL},
};
enum { N_LAMBDAS = sizeof lambdas / sizeof lambdas[0] };

static const char *function_at(size_t index)
{
    return index < N_LAMBDAS ? lambdas[index].function : NULL;
}

const mb_known_t mb_known_lambdas = {"function", "operations", function_at};

bool mb_is_lambda(const char *class_name)
{
    return strcmp(class_name, "TFOpLambda") == 0 || strcmp(class_name, "SlicingOpLambda") == 0;
}

static const lambda_t *find(const char *function)
{
    for (size_t i = 0; function != NULL && i < N_LAMBDAS; i++) {
        if (strcmp(lambdas[i].function, function) == 0)
            return &lambdas[i];
    }
    return NULL;
}

/* ---- the call: [[layer, call, output, {arguments}], ...] */

static bool is_tensor(const json_t *value)
{
    return json_is_array(value) && json_array_size(value) >= 3 &&
           json_is_string(json_array_get(value, 0)) && json_is_integer(json_array_get(value, 1));
}

static json_t *tensor_of(const json_t *value)
{
    return json_pack("{s:s, s:{s:[O, O, O]}}", "class_name", "__keras_tensor__", "config",
                     "keras_history", json_array_get(value, 0), json_array_get(value, 1),
                     json_array_get(value, 2));
}

static json_t *slice_of(const json_t *value)
{
    return json_pack("{s:s, s:O}", "class_name", "__slice__", "config", value);
}

/* Keras 2 writes the constant that stands first as ["_CONSTANT_VALUE", -1, constant, ...]. */
static json_t *argument_of(const json_t *value)
{
    const char *name = json_string_value(json_array_get(value, 0));
    if (json_is_array(value) && name != NULL && strcmp(name, "_CONSTANT_VALUE") == 0)
        return json_deep_copy(json_array_get(value, 2));
    if (is_tensor(value))
        return tensor_of(value);
    if (json_is_object(value) && json_object_get(value, "start") != NULL)
        return slice_of(value);
    if (!json_is_array(value))
        return json_deep_copy(value);
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(value); i++)
        json_array_append_new(list, argument_of(json_array_get(value, i)));
    return list;
}

/* Several tensors are a list that is the first argument. */
static json_t *first_argument(const json_t *node)
{
    json_t *list = argument_of(node);
    if (is_tensor(node) || json_array_size(list) != 1)
        return list;
    json_t *only = json_incref(json_array_get(list, 0));
    json_decref(list);
    return only;
}

static const json_t *keywords_of(const json_t *node)
{
    return is_tensor(node) ? json_array_get(node, 3) : json_array_get(json_array_get(node, 0), 3);
}

/* Without effect: null, and false (conjugate, transpose_a, ...). */
static bool says_nothing(const json_t *value)
{
    return json_is_null(value) || json_is_false(value);
}

static bool is_known(const lambda_t *lambda, const char *key)
{
    bool known = strcmp(key, "name") == 0;
    for (int i = 0; i < MOST_NAMES; i++) {
        const char *argument = lambda->arguments[i], *setting = lambda->settings[i].from;
        known = known || (argument != NULL && strcmp(argument, key) == 0) ||
                (setting != NULL && strcmp(setting, key) == 0);
    }
    return known;
}

/* What is neither an argument nor a setting, but says something. */
static const char *unknown_keyword(const lambda_t *lambda, const json_t *keywords)
{
    json_t *all = (json_t *)(uintptr_t)keywords;
    for (void *at = json_object_iter(all); at != NULL; at = json_object_iter_next(all, at)) {
        if (!says_nothing(json_object_iter_value(at)) &&
            !is_known(lambda, json_object_iter_key(at)))
            return json_object_iter_key(at);
    }
    return NULL;
}

static json_t *node_of(const lambda_t *lambda, const json_t *node)
{
    const json_t *keywords = keywords_of(node);
    json_t *arguments = json_array();
    json_array_append_new(arguments, first_argument(node));
    for (int i = 0; i < MOST_NAMES && lambda->arguments[i] != NULL; i++)
        json_array_append_new(arguments,
                              argument_of(json_object_get(keywords, lambda->arguments[i])));
    return json_pack("{s:o, s:{}}", "args", arguments, "kwargs");
}

/* ---- the config: settings of the call, which must be the same in all of them */

static json_t *config_of(const lambda_t *lambda, const json_t *keywords, const char *name)
{
    json_t *config = lambda->config != NULL ? json_loads(lambda->config, 0, NULL) : json_object();
    json_object_set_new(config, "name", json_string(name));
    for (int i = 0; i < MOST_NAMES && lambda->settings[i].from != NULL; i++) {
        json_t *value = json_object_get(keywords, lambda->settings[i].from);
        if (value != NULL)
            json_object_set(config, lambda->settings[i].to, value);
    }
    return config;
}

static mb_status_t keep(mb_reader_t *reader, json_t *value)
{
    if (value == NULL || json_array_append_new(reader->kept, value) != 0)
        return mb_error_memory("an operation", 0);
    return MB_OK;
}

static mb_status_t rewrite(mb_reader_t *reader, const lambda_t *lambda, mb_module_t *module,
                           const json_t **config)
{
    json_t *nodes = json_array(), *only = NULL;
    MB_TRY(keep(reader, nodes));
    for (size_t i = 0; i < json_array_size(module->inbound); i++) {
        const json_t *node = json_array_get(module->inbound, i);
        const char *unknown = unknown_keyword(lambda, keywords_of(node));
        json_t *settings = config_of(lambda, keywords_of(node), module->name);
        MB_TRY(keep(reader, settings));
        if (unknown != NULL || (only != NULL && !json_equal(only, settings)))
            return mb_error_set(MB_ERR_UNSUPPORTED, "operation '%s' (%s): argument '%s' %s",
                                module->path, lambda->function, unknown == NULL ? "axis" : unknown,
                                unknown == NULL ? "differs from call to call" : "is not obeyed");
        only = settings;
        json_array_append_new(nodes, node_of(lambda, node));
    }
    module->class_name = lambda->class_name;
    module->inbound = nodes;
    module->operation = true;
    *config = only;
    return MB_OK;
}

mb_status_t mb_lambda_rewrite(mb_reader_t *reader, mb_module_t *module, const json_t **config)
{
    const char *function = json_string_value(json_object_get(*config, "function"));
    const lambda_t *lambda = find(function);
    char hint[MB_KNOWN_HINT];
    if (lambda == NULL)
        return mb_error_set(
            MB_ERR_UNSUPPORTED,
            "'%s' calls TensorFlow's %s, which is not known%s; a layer may do the "
            "same",
            module->path, function == NULL ? "?" : function,
            mb_known_hint(&mb_known_lambdas, function == NULL ? "" : function, hint));
    if (json_array_size(module->inbound) == 0)
        return mb_error_set(MB_ERR_FORMAT, "operation '%s' is never called", module->path);
    return rewrite(reader, lambda, module, config);
}
