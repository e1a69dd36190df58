/* Layers as Keras 3 serializes them, put one after the other into a model's config.
 *
 * Keys that came after Keras 3.4 and stand at their defaults are left out, so that every later
 * version loads the file. A failure (memory) is kept in the builder and reported at the end. */
#ifndef MB_MODEL_PRESET_LAYERS_H
#define MB_MODEL_PRESET_LAYERS_H

#include <jansson.h>
#include "base/types.h"

typedef struct {
    json_t *layers;
    bool failed;
} mb_preset_builder_t;

/* A tensor of a functional model: the layer that writes it, and its shape with the sample axis. */
typedef struct {
    char layer[32];
    const char *dtype;
    mb_shape_t shape; /* of a sample */
} mb_preset_tensor_t;

/* [null, 28, 28, 1]; a new reference. */
json_t *mb_preset_batch_shape(const mb_shape_t *sample);

/* Configs, new references; a NULL name cannot be packed and fails the builder. */
json_t *mb_preset_input(const char *name, const mb_shape_t *sample, const char *dtype);
json_t *mb_preset_dense(const char *name, int64_t units, const char *activation, bool use_bias);
json_t *mb_preset_conv2d(const char *name, int64_t filters, const char *activation, bool use_bias);
/* Of Conv2D (filters above 0), DepthwiseConv2D (filters 0) and Conv2DTranspose (transposed): a
 * square window, padding "same". */
typedef struct {
    int64_t filters, size, stride;
    const char *activation;
    bool use_bias, transposed;
} mb_preset_window_t;
json_t *mb_preset_window2d(const char *name, const mb_preset_window_t *window);
json_t *mb_preset_max_pooling2d(const char *name);
/* Of GlobalAveragePooling in any number of dimensions. */
json_t *mb_preset_global_average_pooling(const char *name);
json_t *mb_preset_reshape(const char *name, const mb_shape_t *shape);
/* AXES axes of a sample, which Keras counts from 1. */
json_t *mb_preset_permute(const char *name, int axes, const int *order);
/* With a normally distributed bias, as positions begin. */
json_t *mb_preset_einsum_dense(const char *name, const char *equation, const char *bias_axes,
                               const mb_shape_t *output);
json_t *mb_preset_relu(const char *name, double max_value);
json_t *mb_preset_concatenate(const char *name);
json_t *mb_preset_flatten(const char *name);
json_t *mb_preset_activation(const char *name, const char *activation);
json_t *mb_preset_dropout(const char *name, double rate);
json_t *mb_preset_add(const char *name);
json_t *mb_preset_batch_normalization(const char *name);
json_t *mb_preset_layer_normalization(const char *name, double epsilon);
json_t *mb_preset_embedding(const char *name, int64_t vocabulary, int64_t width);
json_t *mb_preset_lstm_layer(const char *name, int64_t units, bool sequences, bool backwards,
                             double dropout);
/* Takes the references of both layers' configs, which are of CLASS_NAME. */
json_t *mb_preset_bidirectional(const char *name, const char *class_name, json_t *forward,
                                json_t *backward);
json_t *mb_preset_attention(const char *name, int64_t heads, int64_t key_dim, double dropout);

/* Appends CONFIG (its reference is taken) as a layer of a Sequential model. */
void mb_preset_append(mb_preset_builder_t *builder, const char *class_name, json_t *config);

/* A call in a functional model: a single list of tensors as first argument for MERGE, otherwise
 * positional arguments; KWARGS may be NULL (its reference is taken). */
typedef struct {
    const char *class_name;
    json_t *config;
    int n_inputs;
    const mb_preset_tensor_t *inputs[2];
    bool merge;
    json_t *kwargs;
} mb_preset_call_t;
mb_preset_tensor_t mb_preset_call(mb_preset_builder_t *builder, const mb_preset_call_t *call,
                                  mb_shape_t output, const char *dtype);

/* Of all layers so far, matrices and embeddings begin normally distributed around 0. */
void mb_preset_begin_normal(mb_preset_builder_t *builder, double deviation);

#endif
