/* Activations by Keras' names, and as the layer objects that Keras allows in their place. */
#include "model/activation.h"

#include <math.h>
#include <string.h>

#include "model/known.h"
#include "model/layers/layers.h"

typedef struct {
    const char *name;
    mb_act_t act;
    double p0, p1, p2;
} named_t;

static const named_t named[] = {
    {"linear", MB_ACT_LINEAR, 0, 0, 0},
    {"relu", MB_ACT_RELU, 0, 0, 0},
    {"relu6", MB_ACT_RELU_GENERAL, 0, 6, 0},
    {"leaky_relu", MB_ACT_RELU_GENERAL, 0.2, INFINITY, 0},
    {"tanh", MB_ACT_TANH, 0, 0, 0},
    {"sigmoid", MB_ACT_SIGMOID, 0, 0, 0},
    {"gelu", MB_ACT_GELU, 0, 0, 0},
    {"silu", MB_ACT_SILU, 0, 0, 0},
    {"swish", MB_ACT_SILU, 0, 0, 0},
    {"elu", MB_ACT_ELU, 1, 0, 0},
    {"selu", MB_ACT_SELU, 0, 0, 0},
    {"softplus", MB_ACT_SOFTPLUS, 0, 0, 0},
    {"softsign", MB_ACT_SOFTSIGN, 0, 0, 0},
    {"exponential", MB_ACT_EXPONENTIAL, 0, 0, 0},
    {"hard_sigmoid", MB_ACT_HARD_SIGMOID, 1.0 / 6.0, 0, 0},
    {"sparse_sigmoid", MB_ACT_HARD_SIGMOID, 0.5, 0, 0},
    {"hard_silu", MB_ACT_HARD_SILU, 0, 0, 0},
    {"hard_swish", MB_ACT_HARD_SILU, 0, 0, 0},
    {"hard_tanh", MB_ACT_HARD_TANH, 0, 0, 0},
    {"celu", MB_ACT_CELU, 1, 0, 0},
    {"squareplus", MB_ACT_SQUAREPLUS, 4, 0, 0},
    {"sparse_plus", MB_ACT_SPARSE_PLUS, 0, 0, 0},
    {"mish", MB_ACT_MISH, 0, 0, 0},
    {"log_sigmoid", MB_ACT_LOG_SIGMOID, 0, 0, 0},
    {"tanh_shrink", MB_ACT_TANH_SHRINK, 0, 0, 0},
    {"soft_shrink", MB_ACT_SOFT_SHRINK, 0.5, 0, 0},
    {"hard_shrink", MB_ACT_HARD_SHRINK, 0.5, 0, 0},
};
#define N_NAMED (sizeof(named) / sizeof(named[0]))

/* Keras' own that are refused, and why. */
static const struct {
    const char *name, *why;
} refused[] = {
    {"threshold", "it takes a threshold and a value, which a config cannot give; call "
                  "keras.ops.threshold, which mbrun takes"},
    {"glu", "it halves the last dimension, for which Keras records the wrong shape here; use the "
            "layer Activation or keras.ops.glu"},
    {"sparsemax", "what Keras computes for it is not sparsemax where more than one element is left "
                  "(its threshold adds up sums of sums); use softmax"},
};

/* What the derivative reads, by the contract of the device's operation (device/ops.h). */
static void set_act(mb_activation_t *out, mb_act_t act, double p0, double p1, double p2)
{
    *out = (mb_activation_t){.act = act, .p0 = (float)p0, .p1 = (float)p1, .p2 = (float)p2};
    out->needs_output = mb_act_from_value(act) && act != MB_ACT_LINEAR;
    out->needs_input = !mb_act_from_value(act);
}

static void set_softmax(mb_activation_t *out, bool logarithm)
{
    *out = (mb_activation_t){.softmax = true, .logarithm = logarithm, .needs_output = true};
}

static const char *activation_name(size_t index)
{
    static const char *const of_rows[] = {"softmax", "log_softmax", NULL};
    return index < N_NAMED ? named[index].name : of_rows[index - N_NAMED];
}

const mb_known_t mb_known_activations = {"activation", "activations", activation_name};

static mb_status_t refuse(const char *where, const char *name)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (strcmp(refused[i].name, name) == 0)
            return mb_error_set(MB_ERR_UNSUPPORTED, "%s: activation '%s' is refused: %s", where,
                                name, refused[i].why);
    }
    return mb_known_refuse(&mb_known_activations, MB_ERR_UNSUPPORTED, where, name);
}

static mb_status_t find(const char *where, const char *name, mb_activation_t *out)
{
    bool logarithm = strcmp(name, "log_softmax") == 0;
    if (logarithm || strcmp(name, "softmax") == 0) {
        set_softmax(out, logarithm);
        return MB_OK;
    }
    for (size_t i = 0; i < N_NAMED; i++) {
        if (strcmp(named[i].name, name) == 0) {
            set_act(out, named[i].act, named[i].p0, named[i].p1, named[i].p2);
            return MB_OK;
        }
    }
    return refuse(where, name);
}

/* Keras itself refuses negative values. A max_value below the threshold would make the function
 * that Keras computes differ from the one it documents. */
static mb_status_t take_relu(mb_config_t *config, mb_activation_t *out)
{
    double slope, high, threshold;
    MB_TRY(mb_config_scalar_or(config, "negative_slope", 0.0, &slope));
    MB_TRY(mb_config_scalar_or(config, "max_value", INFINITY, &high));
    MB_TRY(mb_config_scalar_or(config, "threshold", 0.0, &threshold));
    if (slope < 0.0 || threshold < 0.0 || high < threshold)
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: negative_slope %g, threshold %g and max_value %g do not make a "
                            "ReLU: slope and threshold must not be negative, nor max_value below "
                            "the threshold",
                            config->where, slope, threshold, high);
    bool plain = !(slope > 0.0) && !(threshold > 0.0) && isinf(high);
    set_act(out, plain ? MB_ACT_RELU : MB_ACT_RELU_GENERAL, slope, high, threshold);
    return MB_OK;
}

/* Keras 2 called the slope alpha. */
static mb_status_t take_leaky_relu(mb_config_t *config, mb_activation_t *out)
{
    double alpha, slope;
    MB_TRY(mb_config_scalar_or(config, "alpha", 0.3, &alpha));
    MB_TRY(mb_config_scalar_or(config, "negative_slope", alpha, &slope));
    if (slope < 0.0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: negative_slope %g is negative", config->where,
                            slope);
    set_act(out, MB_ACT_RELU_GENERAL, slope, INFINITY, 0.0);
    return MB_OK;
}

static mb_status_t take_elu(mb_config_t *config, mb_activation_t *out)
{
    double alpha;
    MB_TRY(mb_config_scalar_or(config, "alpha", 1.0, &alpha));
    set_act(out, MB_ACT_ELU, alpha, 0.0, 0.0);
    return MB_OK;
}

/* Keras 2's: x where it is above theta. */
static mb_status_t take_thresholded_relu(mb_config_t *config, mb_activation_t *out)
{
    double theta;
    MB_TRY(mb_config_scalar_or(config, "theta", 1.0, &theta));
    if (theta < 0.0)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'theta' is %g, it must not be negative",
                            config->where, theta);
    set_act(out, MB_ACT_THRESHOLD, theta, 0.0, 0.0);
    return MB_OK;
}

mb_status_t mb_activation_take(mb_config_t *config, const char *class_name, mb_activation_t *out,
                               mb_axes_t *axes)
{
    static const struct {
        const char *name;
        mb_status_t (*take)(mb_config_t *config, mb_activation_t *out);
    } layers[] = {{"ReLU", take_relu},
                  {"LeakyReLU", take_leaky_relu},
                  {"ELU", take_elu},
                  {"ThresholdedReLU", take_thresholded_relu}};
    *axes = (mb_axes_t){1, {-1}};
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        if (strcmp(layers[i].name, class_name) == 0)
            return layers[i].take(config, out);
    }
    if (strcmp(class_name, "Softmax") != 0)
        return refuse(config->where, class_name);
    set_softmax(out, false);
    return mb_axes_take(config, axes);
}

/* Short strings and Keras 3's dtype policy objects alike. */
static mb_status_t take_dtype(mb_config_t *config)
{
    const json_t *value = mb_config_take(config, "dtype");
    if (json_is_object(value))
        value = json_object_get(json_object_get(value, "config"), "name");
    if (value == NULL || json_is_null(value))
        return MB_OK;
    if (json_is_string(value) && strcmp(json_string_value(value), "float32") == 0)
        return MB_OK;
    return mb_error_set(MB_ERR_UNSUPPORTED, "%s: the activation's dtype must be float32",
                        config->where);
}

static mb_status_t parse_object(const char *where, const char *class_name, const json_t *object,
                                mb_activation_t *out)
{
    mb_config_t config;
    mb_axes_t axes;
    MB_TRY(mb_config_open(&config, object, "%s: activation %s", where, class_name));
    MB_TRY(mb_activation_take(&config, class_name, out, &axes));
    if (axes.n != 1 || axes.axis[0] != -1)
        return mb_error_set(MB_ERR_UNSUPPORTED, "%s: only axis -1 is obeyed", config.where);
    mb_config_ignore(&config, "name");
    mb_config_ignore(&config, "trainable");
    MB_TRY(take_dtype(&config));
    return mb_config_finish(&config);
}

mb_status_t mb_activation_parse(const json_t *value, const char *where, mb_activation_t *out)
{
    const char *name;
    const json_t *object;
    if (value == NULL || json_is_null(value)) {
        set_act(out, MB_ACT_LINEAR, 0.0, 0.0, 0.0);
        return MB_OK;
    }
    MB_TRY(mb_config_object(value, where, &name, &object));
    if (object == NULL)
        return find(where, name, out);
    return parse_object(where, name, object, out);
}

mb_status_t mb_activation_take_key(mb_config_t *config, const char *key, mb_activation_t *out)
{
    MB_TRY(mb_activation_parse(mb_config_take(config, key), config->where, out));
    if (config->keras2 && out->act == MB_ACT_HARD_SIGMOID)
        out->p0 = 0.2f;
    return MB_OK;
}

bool mb_activation_is_linear(const mb_activation_t *activation)
{
    return !activation->softmax && activation->act == MB_ACT_LINEAR;
}

mb_status_t mb_activation_forward(const mb_activation_t *activation, mb_exec_t *exec,
                                  mb_dtype_t type, int64_t rows, int64_t columns, const void *x,
                                  void *y)
{
    if (activation->softmax) {
        mb_softmax_forward_args_t args = {.type = type,
                                          .rows = rows,
                                          .columns = columns,
                                          .x = x,
                                          .y = y,
                                          .logarithm = activation->logarithm};
        return mb_run_softmax_forward(exec, &args);
    }
    mb_act_forward_args_t args = {.type = type,
                                  .count = rows * columns,
                                  .act = activation->act,
                                  .p0 = activation->p0,
                                  .p1 = activation->p1,
                                  .p2 = activation->p2,
                                  .x = x,
                                  .y = y};
    return mb_run_act_forward(exec, &args);
}

mb_status_t mb_activation_backward(const mb_activation_t *activation, mb_exec_t *exec,
                                   mb_dtype_t type, int64_t rows, int64_t columns, const void *x,
                                   const void *y, const void *dy, void *dx)
{
    if (activation->softmax) {
        mb_softmax_backward_args_t args = {.type = type,
                                           .rows = rows,
                                           .columns = columns,
                                           .y = y,
                                           .dy = dy,
                                           .dx = dx,
                                           .logarithm = activation->logarithm};
        return mb_run_softmax_backward(exec, &args);
    }
    mb_act_backward_args_t args = {.type = type,
                                   .count = rows * columns,
                                   .act = activation->act,
                                   .p0 = activation->p0,
                                   .p1 = activation->p1,
                                   .p2 = activation->p2,
                                   .x = x,
                                   .y = y,
                                   .dy = dy,
                                   .dx = dx};
    return mb_run_act_backward(exec, &args);
}
