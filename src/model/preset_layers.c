/* Serialized layers; see preset_layers.h. */
#include "model/preset_layers.h"

#include <stdio.h>

static json_t *parse(const char *text)
{
    return json_loads(text, 0, NULL);
}

static json_t *policy(void)
{
    return parse("{\"module\": \"keras\", \"class_name\": \"DTypePolicy\", "
                 "\"config\": {\"name\": \"float32\"}, \"registered_name\": null}");
}

static json_t *initializer(const char *class_name, json_t *config)
{
    return json_pack("{s:s, s:s, s:o, s:n}", "module", "keras.initializers", "class_name",
                     class_name, "config", config, "registered_name");
}

static json_t *glorot(void)
{
    return initializer("GlorotUniform", json_pack("{s:n}", "seed"));
}

static json_t *normal(double deviation)
{
    return initializer("RandomNormal",
                       json_pack("{s:f, s:f, s:n}", "mean", 0.0, "stddev", deviation, "seed"));
}

static json_t *zeros(void)
{
    return initializer("Zeros", json_object());
}

static json_t *ones(void)
{
    return initializer("Ones", json_object());
}

/* What every layer's config begins with, then the keys of OWN (its reference is taken). */
static json_t *with_base(const char *name, json_t *own)
{
    json_t *config = json_pack("{s:s, s:b, s:o}", "name", name, "trainable", 1, "dtype", policy());
    if (json_object_update(config, own) != 0) {
        json_decref(config);
        config = NULL;
    }
    json_decref(own);
    return config;
}

json_t *mb_preset_batch_shape(const mb_shape_t *sample)
{
    json_t *shape = json_pack("[n]");
    for (int i = 0; i < sample->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)sample->dim[i]));
    return shape;
}

json_t *mb_preset_input(const char *name, const mb_shape_t *sample, const char *dtype)
{
    return json_pack("{s:o, s:s, s:b, s:s}", "batch_shape", mb_preset_batch_shape(sample), "dtype",
                     dtype, "sparse", 0, "name", name);
}

json_t *mb_preset_dense(const char *name, int64_t units, const char *activation, bool use_bias)
{
    return with_base(name, json_pack("{s:I, s:s, s:b, s:o, s:o, s:n, s:n, s:n, s:n}", "units",
                                     (json_int_t)units, "activation", activation, "use_bias",
                                     (int)use_bias, "kernel_initializer", glorot(),
                                     "bias_initializer", zeros(), "kernel_regularizer",
                                     "bias_regularizer", "kernel_constraint", "bias_constraint"));
}

json_t *mb_preset_conv2d(const char *name, int64_t filters, const char *activation, bool use_bias)
{
    return with_base(
        name,
        json_pack("{s:I, s:[ii], s:[ii], s:s, s:s, s:[ii], s:i, s:s, s:b, s:o, s:o, s:n, "
                  "s:n, s:n, s:n, s:n}",
                  "filters", (json_int_t)filters, "kernel_size", 3, 3, "strides", 1, 1, "padding",
                  "same", "data_format", "channels_last", "dilation_rate", 1, 1, "groups", 1,
                  "activation", activation, "use_bias", (int)use_bias, "kernel_initializer",
                  glorot(), "bias_initializer", zeros(), "kernel_regularizer", "bias_regularizer",
                  "activity_regularizer", "kernel_constraint", "bias_constraint"));
}

/* Keys that one of the three kinds has alone. */
static json_t *own_keys(const mb_preset_window_t *window)
{
    if (window->filters == 0)
        return json_pack("{s:i, s:o, s:n, s:n}", "depth_multiplier", 1, "depthwise_initializer",
                         glorot(), "depthwise_regularizer", "depthwise_constraint");
    json_t *own =
        json_pack("{s:I, s:o, s:n, s:n}", "filters", (json_int_t)window->filters,
                  "kernel_initializer", glorot(), "kernel_regularizer", "kernel_constraint");
    if (window->transposed)
        json_object_set_new(own, "output_padding", json_null());
    else
        json_object_set_new(own, "groups", json_integer(1));
    return own;
}

json_t *mb_preset_window2d(const char *name, const mb_preset_window_t *window)
{
    json_int_t size = window->size, stride = window->stride;
    json_t *own = own_keys(window);
    json_t *config = with_base(
        name, json_pack("{s:[II], s:[II], s:s, s:s, s:[ii], s:s, s:b, s:o, s:n, s:n, s:n}",
                        "kernel_size", size, size, "strides", stride, stride, "padding", "same",
                        "data_format", "channels_last", "dilation_rate", 1, 1, "activation",
                        window->activation, "use_bias", (int)window->use_bias, "bias_initializer",
                        zeros(), "bias_regularizer", "activity_regularizer", "bias_constraint"));
    if (json_object_update(config, own) != 0) {
        json_decref(config);
        config = NULL;
    }
    json_decref(own);
    return config;
}

json_t *mb_preset_global_average_pooling(const char *name)
{
    return with_base(name, json_pack("{s:s, s:b}", "data_format", "channels_last", "keepdims", 0));
}

static json_t *sizes(const mb_shape_t *shape)
{
    json_t *list = json_array();
    for (int i = 0; i < shape->rank; i++)
        json_array_append_new(list, json_integer((json_int_t)shape->dim[i]));
    return list;
}

json_t *mb_preset_reshape(const char *name, const mb_shape_t *shape)
{
    return with_base(name, json_pack("{s:o}", "target_shape", sizes(shape)));
}

json_t *mb_preset_permute(const char *name, int axes, const int *order)
{
    mb_shape_t dims = {.rank = axes};
    for (int i = 0; i < axes; i++)
        dims.dim[i] = order[i];
    return with_base(name, json_pack("{s:o}", "dims", sizes(&dims)));
}

json_t *mb_preset_einsum_dense(const char *name, const char *equation, const char *bias_axes,
                               const mb_shape_t *output)
{
    return with_base(
        name, json_pack("{s:s, s:o, s:s, s:s, s:o, s:o, s:n, s:n, s:n, s:n, s:n}", "equation",
                        equation, "output_shape", sizes(output), "activation", "linear",
                        "bias_axes", bias_axes, "kernel_initializer", glorot(), "bias_initializer",
                        normal(0.02), "kernel_regularizer", "bias_regularizer",
                        "activity_regularizer", "kernel_constraint", "bias_constraint"));
}

json_t *mb_preset_relu(const char *name, double max_value)
{
    return with_base(name, json_pack("{s:f, s:f, s:f}", "max_value", max_value, "negative_slope",
                                     0.0, "threshold", 0.0));
}

json_t *mb_preset_concatenate(const char *name)
{
    return with_base(name, json_pack("{s:i}", "axis", -1));
}

json_t *mb_preset_max_pooling2d(const char *name)
{
    return with_base(name, json_pack("{s:[ii], s:s, s:[ii], s:s}", "pool_size", 2, 2, "padding",
                                     "valid", "strides", 2, 2, "data_format", "channels_last"));
}

json_t *mb_preset_flatten(const char *name)
{
    return with_base(name, json_pack("{s:s}", "data_format", "channels_last"));
}

json_t *mb_preset_activation(const char *name, const char *activation)
{
    return with_base(name, json_pack("{s:s}", "activation", activation));
}

json_t *mb_preset_dropout(const char *name, double rate)
{
    return with_base(name, json_pack("{s:f, s:n, s:n}", "rate", rate, "seed", "noise_shape"));
}

json_t *mb_preset_add(const char *name)
{
    return with_base(name, json_object());
}

json_t *mb_preset_batch_normalization(const char *name)
{
    return with_base(
        name, json_pack("{s:i, s:f, s:f, s:b, s:b, s:o, s:o, s:o, s:o, s:n, s:n, s:n, s:n, s:b}",
                        "axis", -1, "momentum", 0.99, "epsilon", 0.001, "center", 1, "scale", 1,
                        "beta_initializer", zeros(), "gamma_initializer", ones(),
                        "moving_mean_initializer", zeros(), "moving_variance_initializer", ones(),
                        "beta_regularizer", "gamma_regularizer", "beta_constraint",
                        "gamma_constraint", "synchronized", 0));
}

json_t *mb_preset_layer_normalization(const char *name, double epsilon)
{
    return with_base(name,
                     json_pack("{s:[i], s:f, s:b, s:b, s:o, s:o, s:n, s:n, s:n, s:n}", "axis", -1,
                               "epsilon", epsilon, "center", 1, "scale", 1, "beta_initializer",
                               zeros(), "gamma_initializer", ones(), "beta_regularizer",
                               "gamma_regularizer", "beta_constraint", "gamma_constraint"));
}

json_t *mb_preset_embedding(const char *name, int64_t vocabulary, int64_t width)
{
    json_t *uniform = json_pack("{s:n, s:f, s:f}", "seed", "minval", -0.05, "maxval", 0.05);
    return with_base(
        name, json_pack("{s:I, s:I, s:o, s:n, s:n, s:n, s:b}", "input_dim", (json_int_t)vocabulary,
                        "output_dim", (json_int_t)width, "embeddings_initializer",
                        initializer("RandomUniform", uniform), "embeddings_regularizer",
                        "activity_regularizer", "embeddings_constraint", "mask_zero", 0));
}

static json_t *orthogonal(void)
{
    return initializer("Orthogonal", json_pack("{s:n, s:f}", "seed", "gain", 1.0));
}

json_t *mb_preset_lstm_layer(const char *name, int64_t units, bool sequences, bool backwards,
                             double dropout)
{
    json_t *loop = json_pack("{s:b, s:b, s:b, s:b, s:b, s:b}", "return_sequences", (int)sequences,
                             "return_state", 0, "go_backwards", (int)backwards, "stateful", 0,
                             "unroll", 0, "zero_output_for_mask", 0);
    json_t *cell = json_pack(
        "{s:I, s:s, s:s, s:b, s:b, s:o, s:o, s:o, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:f, s:f, "
        "s:n}",
        "units", (json_int_t)units, "activation", "tanh", "recurrent_activation", "sigmoid",
        "use_bias", 1, "unit_forget_bias", 1, "kernel_initializer", glorot(),
        "recurrent_initializer", orthogonal(), "bias_initializer", zeros(), "kernel_regularizer",
        "recurrent_regularizer", "bias_regularizer", "activity_regularizer", "kernel_constraint",
        "recurrent_constraint", "bias_constraint", "dropout", dropout, "recurrent_dropout", 0.0,
        "seed");
    if (json_object_update(loop, cell) != 0) {
        json_decref(loop);
        loop = NULL;
    }
    json_decref(cell);
    return with_base(name, loop);
}

json_t *mb_preset_bidirectional(const char *name, const char *class_name, json_t *forward,
                                json_t *backward)
{
    return with_base(name,
                     json_pack("{s:s, s:{s:s, s:o}, s:{s:s, s:o}}", "merge_mode", "concat", "layer",
                               "class_name", class_name, "config", forward, "backward_layer",
                               "class_name", class_name, "config", backward));
}

json_t *mb_preset_attention(const char *name, int64_t heads, int64_t key_dim, double dropout)
{
    return with_base(
        name, json_pack("{s:I, s:I, s:I, s:f, s:b, s:n, s:[i], s:o, s:o, s:n, s:n, s:n, s:n, s:n, "
                        "s:n}",
                        "num_heads", (json_int_t)heads, "key_dim", (json_int_t)key_dim, "value_dim",
                        (json_int_t)key_dim, "dropout", dropout, "use_bias", 1, "output_shape",
                        "attention_axes", 1, "kernel_initializer", glorot(), "bias_initializer",
                        zeros(), "kernel_regularizer", "bias_regularizer", "activity_regularizer",
                        "kernel_constraint", "bias_constraint", "seed"));
}

void mb_preset_append(mb_preset_builder_t *builder, const char *class_name, json_t *config)
{
    json_t *layer = json_pack("{s:s, s:o}", "class_name", class_name, "config", config);
    if (json_array_append_new(builder->layers, layer) != 0)
        builder->failed = true;
}

static json_t *tensor(const mb_preset_tensor_t *from)
{
    return json_pack("{s:s, s:{s:o, s:s, s:[sii]}}", "class_name", "__keras_tensor__", "config",
                     "shape", mb_preset_batch_shape(&from->shape), "dtype", from->dtype,
                     "keras_history", from->layer, 0, 0);
}

static json_t *inbound_nodes(const mb_preset_call_t *call)
{
    json_t *args = json_array();
    for (int i = 0; i < call->n_inputs; i++)
        json_array_append_new(args, tensor(call->inputs[i]));
    if (call->n_inputs == 0) {
        json_decref(call->kwargs);
        return args;
    }
    if (call->merge)
        args = json_pack("[o]", args);
    json_t *kwargs = call->kwargs == NULL ? json_object() : call->kwargs;
    return json_pack("[{s:o, s:o}]", "args", args, "kwargs", kwargs);
}

mb_preset_tensor_t mb_preset_call(mb_preset_builder_t *builder, const mb_preset_call_t *call,
                                  mb_shape_t output, const char *dtype)
{
    mb_preset_tensor_t out = {.dtype = dtype, .shape = output};
    const char *name = json_string_value(json_object_get(call->config, "name"));
    snprintf(out.layer, sizeof(out.layer), "%s", name == NULL ? "" : name);
    json_t *layer =
        json_pack("{s:s, s:o, s:s, s:o}", "class_name", call->class_name, "config", call->config,
                  "name", out.layer, "inbound_nodes", inbound_nodes(call));
    if (json_array_append_new(builder->layers, layer) != 0)
        builder->failed = true;
    return out;
}

void mb_preset_begin_normal(mb_preset_builder_t *builder, double deviation)
{
    static const char *const keys[] = {"kernel_initializer", "embeddings_initializer"};
    size_t index;
    json_t *layer;
    json_array_foreach(builder->layers, index, layer)
    {
        json_t *config = json_object_get(layer, "config");
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            if (json_object_get(config, keys[i]) != NULL &&
                json_object_set_new(config, keys[i], normal(deviation)) != 0)
                builder->failed = true;
    }
}
