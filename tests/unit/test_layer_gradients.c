/* Every layer against its double-precision reference: outputs directly, gradients against central
 * differences of the reference. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "unit/layer_reference.h"

typedef struct {
    const char *what, *class_name, *config, *kwargs;
    int64_t samples, valid; /* valid 0: all */
    int n_inputs;
    mb_shape_t shapes[8];
    int64_t vocabulary; /* above 0: int32 inputs below it */
    reference_t reference;
    truth_t truth;
} case_t;

#define SHAPE(rank, ...)                                                                           \
    {                                                                                              \
        rank,                                                                                      \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

#define LSTM_OF(units)                                                                             \
    "\"units\": " units ", \"activation\": \"tanh\", \"recurrent_activation\": \"sigmoid\""

/* clang-format off */
static const case_t cases[] = {
    {"dense", "Dense", "\"units\": 5", "", 3, 0, 1, {SHAPE(1, 7)}, 0, true_dense, {0}},
    {"dense without bias on positions", "Dense", "\"units\": 3, \"use_bias\": false, \"activation\": \"relu\"", "",
     2, 0, 1, {SHAPE(3, 2, 3, 5)}, 0, true_dense, {.no_bias = true, .activation = "relu"}},
    {"dense gelu", "Dense", "\"units\": 4, \"activation\": \"gelu\"", "", 3, 0, 1, {SHAPE(2, 2, 6)}, 0, true_dense,
     {.activation = "gelu"}},
    {"dense tanh", "Dense", "\"units\": 4, \"activation\": \"tanh\"", "", 3, 0, 1, {SHAPE(1, 6)}, 0, true_dense,
     {.activation = "tanh"}},
    {"dense softmax", "Dense", "\"units\": 6, \"activation\": \"softmax\"", "", 3, 0, 1, {SHAPE(1, 5)}, 0, true_dense,
     {.activation = "softmax"}},
    {"dense leaky object", "Dense",
     "\"units\": 4, \"activation\": {\"module\": \"keras.layers\", \"class_name\": \"LeakyReLU\", \"config\": "
     "{\"name\": \"l\", \"trainable\": true, \"dtype\": \"float32\", \"negative_slope\": 0.25}, \"registered_name\": null}", "",
     3, 0, 1, {SHAPE(1, 5)}, 0, true_dense, {.activation = "relu_general", .p0 = 0.25, .p1 = INFINITY}},
    {"dense frozen", "Dense", "\"units\": 4, \"activation\": \"gelu\", \"trainable\": false", "", 3, 0, 1, {SHAPE(1, 6)}, 0,
     true_dense, {.activation = "gelu"}},
    {"conv1d frozen", "Conv1D", "\"filters\": 4, \"kernel_size\": [3], \"trainable\": false", "", 2, 0, 1, {SHAPE(2, 9, 3)}, 0,
     true_conv, {.spatial = 1, .kernel = {1, 3}}},
    {"attention frozen", "MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 3, \"trainable\": false", "", 2, 0, 2,
     {SHAPE(2, 4, 5), SHAPE(2, 4, 5)}, 0, true_attention, {.heads = 2, .key_dim = 3, .value_dim = 3}},
    {"conv1d valid", "Conv1D", "\"filters\": 4, \"kernel_size\": [3]", "", 2, 0, 1, {SHAPE(2, 9, 3)}, 0, true_conv,
     {.spatial = 1, .kernel = {1, 3}}},
    {"conv1d causal dilated", "Conv1D",
     "\"filters\": 3, \"kernel_size\": 3, \"padding\": \"causal\", \"dilation_rate\": [2], \"activation\": \"relu\"", "",
     2, 0, 1, {SHAPE(2, 8, 2)}, 0, true_conv,
     {.spatial = 1, .kernel = {1, 3}, .dilation = {1, 2}, .padding = TRUE_CAUSAL, .activation = "relu"}},
    {"conv1d same strided", "Conv1D", "\"filters\": 2, \"kernel_size\": 4, \"strides\": 3, \"padding\": \"same\"", "",
     2, 0, 1, {SHAPE(2, 11, 3)}, 0, true_conv,
     {.spatial = 1, .kernel = {1, 4}, .stride = {1, 3}, .padding = TRUE_SAME}},
    {"conv1d causal strided in groups", "Conv1D",
     "\"filters\": 4, \"kernel_size\": 3, \"strides\": 2, \"padding\": \"causal\", \"groups\": 2, \"use_bias\": false", "",
     2, 0, 1, {SHAPE(2, 7, 4)}, 0, true_conv,
     {.spatial = 1, .kernel = {1, 3}, .stride = {1, 2}, .padding = TRUE_CAUSAL, .groups = 2, .no_bias = true}},
    {"conv2d valid strided", "Conv2D", "\"filters\": 3, \"kernel_size\": [3, 2], \"strides\": [2, 1]", "", 2, 0, 1,
     {SHAPE(3, 7, 5, 2)}, 0, true_conv, {.spatial = 2, .kernel = {3, 2}, .stride = {2, 1}}},
    {"conv2d same dilated gelu", "Conv2D",
     "\"filters\": 3, \"kernel_size\": 3, \"padding\": \"same\", \"dilation_rate\": [1, 2], \"activation\": \"gelu\"", "",
     1, 0, 1, {SHAPE(3, 5, 7, 3)}, 0, true_conv,
     {.spatial = 2, .kernel = {3, 3}, .dilation = {1, 2}, .padding = TRUE_SAME, .activation = "gelu"}},
    {"conv2d same strided in groups", "Conv2D",
     "\"filters\": 6, \"kernel_size\": [2, 4], \"strides\": 2, \"padding\": \"same\", \"groups\": 3, \"activation\": \"softmax\"", "",
     2, 0, 1, {SHAPE(3, 5, 6, 3)}, 0, true_conv,
     {.spatial = 2, .kernel = {2, 4}, .stride = {2, 2}, .padding = TRUE_SAME, .groups = 3, .activation = "softmax"}},
    {"conv2d depthwise by groups", "Conv2D", "\"filters\": 4, \"kernel_size\": 3, \"groups\": 4, \"use_bias\": false", "",
     2, 0, 1, {SHAPE(3, 4, 5, 4)}, 0, true_conv, {.spatial = 2, .kernel = {3, 3}, .groups = 4, .no_bias = true}},
    {"max pooling 1d", "MaxPooling1D", "\"pool_size\": [2]", "", 2, 0, 1, {SHAPE(2, 7, 3)}, 0, true_pool,
     {.spatial = 1, .kernel = {1, 2}, .stride = {1, 2}}},
    {"max pooling 1d same overlapping", "MaxPooling1D", "\"pool_size\": 3, \"strides\": 2, \"padding\": \"same\"", "", 2, 0, 1,
     {SHAPE(2, 8, 3)}, 0, true_pool, {.spatial = 1, .kernel = {1, 3}, .stride = {1, 2}, .padding = TRUE_SAME}},
    {"max pooling 2d", "MaxPooling2D", "\"pool_size\": [3, 2], \"strides\": [2, 2], \"padding\": \"same\"", "", 2, 0, 1,
     {SHAPE(3, 5, 7, 2)}, 0, true_pool, {.spatial = 2, .kernel = {3, 2}, .stride = {2, 2}, .padding = TRUE_SAME}},
    {"average pooling 1d same", "AveragePooling1D", "\"pool_size\": 4, \"strides\": 3, \"padding\": \"same\"", "", 2, 0, 1,
     {SHAPE(2, 8, 3)}, 0, true_pool,
     {.spatial = 1, .kernel = {1, 4}, .stride = {1, 3}, .padding = TRUE_SAME, .average = true}},
    {"average pooling 2d", "AveragePooling2D", "\"pool_size\": [2, 3], \"strides\": null", "", 2, 0, 1,
     {SHAPE(3, 5, 7, 3)}, 0, true_pool, {.spatial = 2, .kernel = {2, 3}, .stride = {2, 3}, .average = true}},
    {"global max pooling 1d", "GlobalMaxPooling1D", "", "", 3, 0, 1, {SHAPE(2, 5, 3)}, 0, true_global_pool, {0}},
    {"global max pooling 2d keepdims", "GlobalMaxPooling2D", "\"keepdims\": true", "", 2, 0, 1, {SHAPE(3, 3, 4, 5)}, 0,
     true_global_pool, {0}},
    {"global average pooling 1d keepdims", "GlobalAveragePooling1D", "\"keepdims\": true", "", 2, 0, 1, {SHAPE(2, 5, 3)}, 0,
     true_global_pool, {.average = true}},
    {"global average pooling 2d", "GlobalAveragePooling2D", "\"data_format\": \"channels_last\"", "", 3, 0, 1,
     {SHAPE(3, 3, 4, 5)}, 0, true_global_pool, {.average = true}},
    {"flatten", "Flatten", "", "", 3, 0, 1, {SHAPE(3, 2, 3, 4)}, 0, true_activation, {0}},
    {"reshape", "Reshape", "\"target_shape\": [3, -1]", "", 3, 0, 1, {SHAPE(3, 2, 3, 4)}, 0, true_activation, {0}},
    {"identity", "Identity", "", "", 3, 0, 1, {SHAPE(2, 2, 3)}, 0, true_activation, {0}},
    {"cropping 1d", "Cropping1D", "\"cropping\": [2, 1]", "", 3, 0, 1, {SHAPE(2, 6, 3)}, 0, true_cropping,
     {.front = 2, .back = 1}},
    {"cropping 1d at the front only", "Cropping1D", "\"cropping\": [1, 0]", "", 3, 0, 1, {SHAPE(2, 4, 5)}, 0, true_cropping,
     {.front = 1}},
#define ACT(name) {"activation " name, "Activation", "\"activation\": \"" name "\"", "", 2, 0, 1, {SHAPE(2, 3, 5)}, 0, \
                   true_activation, {.activation = name, .p0 = 1}}
    ACT("linear"), ACT("relu"), ACT("tanh"), ACT("sigmoid"), ACT("gelu"), ACT("silu"), ACT("elu"), ACT("selu"),
    ACT("softplus"), ACT("softsign"), ACT("exponential"), ACT("softmax"), ACT("hard_sigmoid"), ACT("log_softmax"),
    ACT("sparse_sigmoid"), ACT("hard_silu"), ACT("hard_tanh"), ACT("celu"), ACT("squareplus"), ACT("sparse_plus"), ACT("mish"),
    ACT("log_sigmoid"), ACT("tanh_shrink"), ACT("soft_shrink"), ACT("hard_shrink"),
    {"activation glu", "Activation", "\"activation\": \"glu\"", "", 2, 0, 1, {SHAPE(2, 3, 6)}, 0, true_glu, {.axis = 1}},
    {"dense log_softmax", "Dense", "\"units\": 6, \"activation\": \"log_softmax\"", "", 3, 0, 1, {SHAPE(1, 5)}, 0, true_dense,
     {.activation = "log_softmax"}},
    {"dense mish", "Dense", "\"units\": 6, \"activation\": \"mish\"", "", 3, 0, 1, {SHAPE(1, 5)}, 0, true_dense,
     {.activation = "mish"}},
    {"softmax of two axes", "Softmax", "\"axis\": [1, -1]", "", 2, 0, 1, {SHAPE(3, 3, 2, 4)}, 0, true_softmax_axes,
     {.noise = {1, 0, 1}}},
    {"softmax of all axes", "Softmax", "\"axis\": [1, 2]", "", 2, 0, 1, {SHAPE(2, 3, 4)}, 0, true_softmax_axes, {.noise = {1, 1}}},
    {"softmax of the first axis", "Softmax", "\"axis\": 1", "", 2, 0, 1, {SHAPE(2, 3, 4)}, 0, true_softmax_axes, {.noise = {1}}},
    {"thresholded relu by keras 2", "ThresholdedReLU", "\"theta\": [0.3]", "", 2, 0, 1, {SHAPE(2, 3, 5)}, 0, true_activation,
     {.activation = "thresholded_relu", .p0 = 0.3}},
    {"prelu", "PReLU", "\"shared_axes\": null", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0, true_prelu, {0}},
    {"prelu of vectors", "PReLU", "", "", 3, 0, 1, {SHAPE(1, 5)}, 0, true_prelu, {0}},
    {"prelu shared over positions", "PReLU", "\"shared_axes\": [1, 2]", "", 3, 2, 1, {SHAPE(3, 2, 3, 4)}, 0, true_prelu,
     {.noise = {1, 1}}},
    {"prelu shared over channels", "PReLU", "\"shared_axes\": 3, \"alpha_regularizer\": null, \"alpha_constraint\": null", "", 3, 0, 1,
     {SHAPE(3, 2, 3, 4)}, 0, true_prelu, {.noise = {0, 0, 1}}},
    {"prelu with one alpha", "PReLU", "\"shared_axes\": [1, 2]", "", 1, 0, 1, {SHAPE(2, 3, 4)}, 0, true_prelu, {.noise = {1, 1}}},
    {"prelu frozen", "PReLU", "\"trainable\": false", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0, true_prelu, {0}},
    {"activation leaky_relu", "Activation", "\"activation\": \"leaky_relu\"", "", 2, 0, 1, {SHAPE(1, 9)}, 0, true_activation,
     {.activation = "relu_general", .p0 = 0.2, .p1 = INFINITY}},
    {"activation relu6", "Activation", "\"activation\": \"relu6\"", "", 2, 0, 1, {SHAPE(1, 9)}, 0, true_activation,
     {.activation = "relu_general", .p1 = 6}},
    {"relu", "ReLU", "\"max_value\": null, \"negative_slope\": 0.0, \"threshold\": 0.0", "", 2, 0, 1, {SHAPE(2, 3, 5)}, 0,
     true_activation, {.activation = "relu"}},
    {"relu with all its keys", "ReLU", "\"max_value\": 0.7, \"negative_slope\": [0.1], \"threshold\": 0.2", "", 4, 0, 1,
     {SHAPE(2, 3, 5)}, 0, true_activation, {.activation = "relu_general", .p0 = 0.1, .p1 = 0.7, .p2 = 0.2}},
    {"leaky relu by keras 2", "LeakyReLU", "\"alpha\": {\"class_name\": \"__numpy__\", \"config\": {\"value\": 0.3, \"dtype\": \"float32\"}}",
     "", 2, 0, 1, {SHAPE(1, 9)}, 0, true_activation, {.activation = "relu_general", .p0 = 0.3, .p1 = INFINITY}},
    {"elu", "ELU", "\"alpha\": 0.5", "", 2, 0, 1, {SHAPE(1, 9)}, 0, true_activation, {.activation = "elu", .p0 = 0.5}},
    {"softmax layer", "Softmax", "\"axis\": -1", "", 2, 0, 1, {SHAPE(2, 3, 5)}, 0, true_activation, {.activation = "softmax"}},
    {"add of one", "Add", "", "", 2, 0, 1, {SHAPE(1, 5)}, 0, true_add, {0}},
    {"add of two", "Add", "", "", 2, 0, 2, {SHAPE(2, 3, 5), SHAPE(2, 3, 5)}, 0, true_add, {0}},
    {"add of three", "Add", "", "", 2, 0, 3, {SHAPE(1, 5), SHAPE(1, 5), SHAPE(1, 5)}, 0, true_add, {0}},
    {"multiply of one", "Multiply", "", "", 2, 0, 1, {SHAPE(1, 5)}, 0, true_multiply, {0}},
    {"multiply of two", "Multiply", "", "", 2, 0, 2, {SHAPE(2, 3, 5), SHAPE(2, 3, 5)}, 0, true_multiply, {0}},
    {"multiply of three", "Multiply", "", "", 2, 0, 3, {SHAPE(1, 5), SHAPE(1, 5), SHAPE(1, 5)}, 0, true_multiply, {0}},
    {"concatenate last axis", "Concatenate", "\"axis\": -1", "", 2, 0, 3,
     {SHAPE(2, 3, 2), SHAPE(2, 3, 1), SHAPE(2, 3, 4)}, 0, true_concatenate, {.axis = 1}},
    {"concatenate first axis", "Concatenate", "\"axis\": 1", "", 3, 0, 2, {SHAPE(3, 2, 3, 2), SHAPE(3, 1, 3, 2)}, 0,
     true_concatenate, {.axis = 0}},
    {"concatenate middle axis", "Concatenate", "\"axis\": -2", "", 3, 0, 2, {SHAPE(3, 2, 3, 2), SHAPE(3, 2, 1, 2)}, 0,
     true_concatenate, {.axis = 1}},
    {"dropout", "Dropout", "\"rate\": 0.4, \"seed\": null, \"noise_shape\": null", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0, true_dropout,
     {.dropout = 0.4}},
    {"dropout of channels", "Dropout", "\"rate\": 0.4, \"noise_shape\": [null, 1, 1, 5]", "", 3, 0, 1, {SHAPE(3, 2, 3, 5)}, 0,
     true_noise_shape, {.dropout = 0.4, .noise = {1, 1}}},
    {"dropout of rows", "Dropout", "\"rate\": 0.4, \"noise_shape\": [null, null, 1]", "", 3, 0, 1, {SHAPE(2, 6, 5)}, 0,
     true_noise_shape, {.dropout = 0.4, .noise = {0, 1}}},
    {"dropout of a middle axis", "Dropout", "\"rate\": 0.4, \"noise_shape\": [null, 1, 4, 1]", "", 3, 0, 1, {SHAPE(3, 2, 4, 5)}, 0,
     true_noise_shape, {.dropout = 0.4, .noise = {1, 0, 1}}},
    {"dropout alike in all samples", "Dropout", "\"rate\": 0.4, \"noise_shape\": [1, null, 5]", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0,
     true_noise_shape, {.dropout = 0.4, .for_samples = true}},
    {"spatial dropout 1d", "SpatialDropout1D", "\"rate\": 0.4, \"seed\": 3", "", 3, 0, 1, {SHAPE(2, 3, 9)}, 0, true_noise_shape,
     {.dropout = 0.4, .noise = {1}}},
    {"spatial dropout 2d", "SpatialDropout2D", "\"rate\": 0.4, \"data_format\": \"channels_last\"", "", 3, 0, 1,
     {SHAPE(3, 2, 3, 9)}, 0, true_noise_shape, {.dropout = 0.4, .noise = {1, 1}}},
    {"spatial dropout 2d, channels first", "SpatialDropout2D", "\"rate\": 0.4, \"data_format\": \"channels_first\"", "", 3, 0, 1,
     {SHAPE(3, 9, 2, 3)}, 0, true_noise_shape, {.dropout = 0.4, .noise = {0, 1, 1}}},
    {"spatial dropout 3d", "SpatialDropout3D", "\"rate\": 0.4", "", 3, 0, 1, {SHAPE(4, 2, 2, 3, 5)}, 0, true_noise_shape,
     {.dropout = 0.4, .noise = {1, 1, 1}}},
    {"alpha dropout", "AlphaDropout", "\"rate\": 0.3, \"seed\": null, \"noise_shape\": null", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0,
     true_alpha_dropout, {.dropout = 0.3}},
    {"alpha dropout of rows", "AlphaDropout", "\"rate\": 0.3, \"noise_shape\": [null, null, 1]", "", 3, 0, 1, {SHAPE(2, 6, 5)}, 0,
     true_alpha_dropout, {.dropout = 0.3, .noise = {0, 1}}},
    {"gaussian noise", "GaussianNoise", "\"stddev\": 0.7, \"seed\": 1", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0, true_gaussian_noise,
     {.deviation = 0.7}},
    {"gaussian dropout", "GaussianDropout", "\"rate\": 0.3, \"seed\": 1", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0,
     true_gaussian_dropout, {.dropout = 0.3}},
    {"activity regularization", "ActivityRegularization", "\"l1\": 0.1, \"l2\": [0.2]", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0,
     true_activation, {0}},
    {"dropout of nothing", "Dropout", "\"rate\": 0, \"seed\": 4", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0, true_activation, {0}},
    {"batch normalization", "BatchNormalization", "\"axis\": -1, \"momentum\": 0.9, \"epsilon\": 0.001", "", 5, 0, 1,
     {SHAPE(1, 6)}, 0, true_batchnorm, {.epsilon = 1e-3}},
    {"batch normalization of images by keras 2", "BatchNormalization", "\"axis\": [3], \"epsilon\": 0.01", "", 3, 0, 1,
     {SHAPE(3, 2, 3, 4)}, 0, true_batchnorm, {.epsilon = 1e-2}},
    {"batch normalization with samples that do not count", "BatchNormalization", "\"axis\": -1", "", 5, 3, 1,
     {SHAPE(2, 2, 4)}, 0, true_batchnorm, {.epsilon = 1e-3}},
    {"batch normalization without scale", "BatchNormalization", "\"scale\": false", "", 4, 0, 1, {SHAPE(2, 2, 4)}, 0,
     true_batchnorm, {.epsilon = 1e-3, .no_scale = true}},
    {"batch normalization without center", "BatchNormalization", "\"center\": false", "", 4, 0, 1, {SHAPE(2, 2, 4)}, 0,
     true_batchnorm, {.epsilon = 1e-3, .no_center = true}},
    {"batch normalization, frozen", "BatchNormalization", "\"trainable\": false", "", 4, 3, 1, {SHAPE(2, 2, 4)}, 0,
     true_batchnorm, {.epsilon = 1e-3, .frozen = true}},
    {"layer normalization", "LayerNormalization", "\"axis\": [-1], \"rms_scaling\": false", "", 3, 0, 1, {SHAPE(2, 2, 7)}, 0,
     true_layernorm, {.epsilon = 1e-3}},
    {"layer normalization bare", "LayerNormalization", "\"axis\": [2], \"center\": false, \"scale\": false, \"epsilon\": 1e-5", "",
     3, 0, 1, {SHAPE(2, 2, 7)}, 0, true_layernorm, {.epsilon = 1e-5, .no_center = true, .no_scale = true}},
    {"layer normalization without scale", "LayerNormalization", "\"axis\": 1, \"scale\": false", "", 3, 0, 1, {SHAPE(1, 5)}, 0,
     true_layernorm, {.epsilon = 1e-3, .no_scale = true}},
    {"batch normalization of the first axis", "BatchNormalization", "\"axis\": 1", "", 3, 0, 1, {SHAPE(3, 4, 2, 3)}, 0,
     true_batchnorm_axis, {.epsilon = 1e-3}},
    {"batch normalization of a middle axis", "BatchNormalization", "\"axis\": -2, \"epsilon\": 0.01", "", 5, 3, 1, {SHAPE(3, 2, 4, 3)}, 0,
     true_batchnorm_axis, {.axis = 1, .epsilon = 1e-2}},
    {"batch normalization of the first axis, frozen", "BatchNormalization", "\"axis\": 1, \"trainable\": false", "", 3, 0, 1,
     {SHAPE(2, 4, 3)}, 0, true_batchnorm_axis, {.epsilon = 1e-3, .frozen = true}},
    {"layer normalization of the last two axes", "LayerNormalization", "\"axis\": [-1, -2]", "", 3, 0, 1, {SHAPE(3, 2, 3, 4)}, 0,
     true_norm_axes, {.epsilon = 1e-3, .noise = {0, 1, 1}}},
    {"layer normalization of all axes", "LayerNormalization", "\"axis\": [1, 2], \"center\": false", "", 3, 0, 1, {SHAPE(2, 3, 4)}, 0,
     true_norm_axes, {.epsilon = 1e-3, .noise = {1, 1}, .no_center = true}},
    {"layer normalization of the first axis", "LayerNormalization", "\"axis\": 1", "", 3, 0, 1, {SHAPE(3, 5, 2, 3)}, 0,
     true_norm_axes, {.epsilon = 1e-3, .noise = {1}}},
    {"layer normalization of two axes apart", "LayerNormalization", "\"axis\": [3, 1], \"scale\": false", "", 3, 0, 1,
     {SHAPE(3, 3, 2, 4)}, 0, true_norm_axes, {.epsilon = 1e-3, .noise = {1, 0, 1}, .no_scale = true}},
    {"layer normalization of every other axis", "LayerNormalization", "\"axis\": [1, 3, 5]", "", 2, 0, 1, {SHAPE(5, 2, 2, 3, 2, 2)}, 0,
     true_norm_axes, {.epsilon = 1e-3, .noise = {1, 0, 1, 0, 1}}},
    {"layer normalization of the first axis, frozen", "LayerNormalization", "\"axis\": 1, \"trainable\": false", "", 3, 0, 1,
     {SHAPE(2, 5, 3)}, 0, true_norm_axes, {.epsilon = 1e-3, .noise = {1}}},
    {"layer normalization with rms scaling", "LayerNormalization", "\"rms_scaling\": true, \"scale\": false", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0,
     true_norm_axes, {.epsilon = 1e-3, .noise = {0, 1}, .rms_scaling = true}},
    {"layer normalization of the first axis with rms scaling", "LayerNormalization", "\"rms_scaling\": true, \"axis\": 1", "", 3, 0, 1,
     {SHAPE(2, 5, 3)}, 0, true_norm_axes, {.epsilon = 1e-3, .noise = {1}, .rms_scaling = true}},
    {"rms normalization", "RMSNormalization", "", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0, true_norm_axes,
     {.epsilon = 1e-6, .noise = {0, 1}, .rms = true}},
    {"rms normalization of two axes apart", "RMSNormalization", "\"axis\": [1, 3], \"epsilon\": 0.01", "", 3, 0, 1, {SHAPE(3, 3, 2, 4)}, 0,
     true_norm_axes, {.epsilon = 1e-2, .noise = {1, 0, 1}, .rms = true}},
    {"group normalization of vectors", "GroupNormalization", "\"groups\": 2", "", 3, 0, 1, {SHAPE(1, 6)}, 0, true_group_norm,
     {.groups = 2, .epsilon = 1e-3}},
    {"group normalization of images", "GroupNormalization", "\"groups\": 3, \"epsilon\": 0.01", "", 3, 2, 1, {SHAPE(3, 2, 3, 6)}, 0,
     true_group_norm, {.axis = 2, .groups = 3, .epsilon = 1e-2}},
    {"group normalization, channels first", "GroupNormalization", "\"groups\": 2, \"axis\": 1", "", 3, 0, 1, {SHAPE(3, 6, 2, 3)}, 0,
     true_group_norm, {.groups = 2, .epsilon = 1e-3}},
    {"group normalization of a middle axis", "GroupNormalization", "\"groups\": 2, \"axis\": -2, \"center\": false", "", 3, 0, 1,
     {SHAPE(3, 2, 4, 3)}, 0, true_group_norm, {.axis = 1, .groups = 2, .epsilon = 1e-3, .no_center = true}},
    {"normalization of each channel", "GroupNormalization", "\"groups\": -1, \"scale\": false", "", 3, 0, 1, {SHAPE(2, 5, 3)}, 0,
     true_group_norm, {.axis = 1, .groups = 3, .epsilon = 1e-3, .no_scale = true}},
    {"group normalization with one group, bare", "GroupNormalization", "\"groups\": 1, \"scale\": false, \"center\": false", "", 3, 0, 1,
     {SHAPE(2, 5, 3)}, 0, true_group_norm, {.axis = 1, .groups = 1, .epsilon = 1e-3, .no_scale = true, .no_center = true}},
    {"group normalization frozen", "GroupNormalization", "\"groups\": 3, \"trainable\": false", "", 3, 0, 1, {SHAPE(2, 5, 6)}, 0,
     true_group_norm, {.axis = 1, .groups = 3, .epsilon = 1e-3}},
    {"unit normalization", "UnitNormalization", "", "", 3, 0, 1, {SHAPE(2, 3, 5)}, 0, true_unit_norm, {.noise = {0, 1}}},
    {"unit normalization of two axes apart", "UnitNormalization", "\"axis\": [1, -1]", "", 3, 0, 1, {SHAPE(3, 3, 2, 4)}, 0,
     true_unit_norm, {.noise = {1, 0, 1}}},
    {"unit normalization of all axes", "UnitNormalization", "\"axis\": [1, 2]", "", 3, 0, 1, {SHAPE(2, 3, 2)}, 0, true_unit_norm,
     {.noise = {1, 1}}},
    {"embedding", "Embedding", "\"input_dim\": 7, \"output_dim\": 3", "", 3, 0, 1, {SHAPE(1, 6)}, 7, true_embedding, {0}},
    {"attention of one tensor to itself", "MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 3", "", 2, 0, 2,
     {SHAPE(2, 4, 5), SHAPE(2, 4, 5)}, 0, true_attention, {.heads = 2, .key_dim = 3, .value_dim = 3}},
    {"causal attention", "MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 3, \"value_dim\": 4, \"attention_axes\": [1]",
     "\"use_causal_mask\": true", 2, 0, 2, {SHAPE(2, 5, 6), SHAPE(2, 5, 6)}, 0, true_attention,
     {.heads = 2, .key_dim = 3, .value_dim = 4, .causal = true}},
    {"attention of three tensors", "MultiHeadAttention",
     "\"num_heads\": 3, \"key_dim\": 2, \"value_dim\": 5, \"output_shape\": 7, \"use_bias\": false", "", 2, 0, 3,
     {SHAPE(2, 4, 5), SHAPE(2, 6, 3), SHAPE(2, 6, 4)}, 0, true_attention,
     {.heads = 3, .key_dim = 2, .value_dim = 5, .no_bias = true}},
    {"attention with dropout", "MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 3, \"dropout\": 0.3", "", 2, 0, 2,
     {SHAPE(2, 4, 5), SHAPE(2, 4, 5)}, 0, true_attention, {.heads = 2, .key_dim = 3, .value_dim = 3, .dropout = 0.3}},
    {"scores that are products", "Attention", "", "", 2, 0, 2, {SHAPE(2, 4, 5), SHAPE(2, 6, 5)}, 0, true_scores, {.no_scale = true}},
    {"scaled scores of three tensors", "Attention", "\"use_scale\": true, \"dropout\": 0.3", "", 2, 0, 3,
     {SHAPE(2, 4, 5), SHAPE(2, 6, 3), SHAPE(2, 6, 5)}, 0, true_scores, {.dropout = 0.3}},
    {"causal scores that are sums", "Attention", "\"use_scale\": true, \"score_mode\": \"concat\"", "\"use_causal_mask\": true", 2, 0, 2,
     {SHAPE(2, 5, 3), SHAPE(2, 5, 3)}, 0, true_scores, {.causal = true, .scores = TRUE_CONCAT}},
    {"additive attention", "AdditiveAttention", "", "", 2, 0, 3, {SHAPE(2, 4, 3), SHAPE(2, 6, 2), SHAPE(2, 6, 3)}, 0, true_scores,
     {.scores = TRUE_ADDITIVE}},
    {"additive attention with dropout and no scale", "AdditiveAttention", "\"use_scale\": false, \"dropout\": 0.3", "", 2, 0, 2,
     {SHAPE(2, 4, 3), SHAPE(2, 6, 3)}, 0, true_scores, {.no_scale = true, .dropout = 0.3, .scores = TRUE_ADDITIVE}},
    {"grouped attention, a group of one", "GroupQueryAttention",
     "\"head_dim\": 3, \"num_query_heads\": 2, \"num_key_value_heads\": 2", "", 2, 0, 2, {SHAPE(2, 4, 5), SHAPE(2, 6, 5)}, 0,
     true_attention, {.heads = 2, .key_dim = 3, .value_dim = 3}},
    {"simple rnn", "SimpleRNN", "\"units\": 4, \"activation\": \"tanh\"", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_SIMPLE, .units = 4, .activation = "tanh"}},
    {"simple rnn with all its keys", "SimpleRNN",
     "\"units\": 3, \"activation\": \"silu\", \"use_bias\": false, \"return_sequences\": true, \"go_backwards\": true, \"unroll\": true, "
     "\"dropout\": 0.3, \"recurrent_dropout\": 0.4, \"return_state\": false, \"stateful\": false", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0,
     true_recurrent, {.cell = MB_CELL_SIMPLE, .units = 3, .activation = "silu", .no_bias = true, .backwards = true,
     .dropout = 0.3, .recurrent_dropout = 0.4}},
    {"lstm", "LSTM", LSTM_OF("5"), "", 6, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 5, .activation = "tanh", .gate = "sigmoid"}},
    {"lstm with the defaults of absent keys", "LSTM", "\"units\": 2", "", 2, 0, 1, {SHAPE(2, 3, 2)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 2, .activation = "tanh", .gate = "sigmoid"}},
    {"lstm with null functions", "LSTM", "\"units\": 2, \"activation\": null, \"recurrent_activation\": null", "", 2, 0, 1,
     {SHAPE(2, 3, 2)}, 0, true_recurrent, {.cell = MB_CELL_LSTM, .units = 2}},
    {"lstm sequences without bias backwards", "LSTM", LSTM_OF("3") ", \"return_sequences\": true, \"use_bias\": false, "
     "\"go_backwards\": true", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid", .no_bias = true, .backwards = true}},
    {"lstm of other functions", "LSTM", "\"units\": 3, \"activation\": \"softsign\", \"recurrent_activation\": \"hard_sigmoid\", "
     "\"return_sequences\": true", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "softsign", .gate = "hard_sigmoid"}},
    {"lstm with dropout", "LSTM", LSTM_OF("3") ", \"dropout\": 0.4, \"seed\": 5", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid", .dropout = 0.4}},
    {"lstm with dropout gate by gate", "LSTM", LSTM_OF("3") ", \"dropout\": 0.4, \"implementation\": 1", "", 3, 0, 1,
     {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid", .dropout = 0.4, .apart = true}},
    {"lstm with both dropouts", "LSTM", LSTM_OF("3") ", \"dropout\": 0.4, \"recurrent_dropout\": 0.3", "", 3, 0, 1,
     {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid", .dropout = 0.4, .recurrent_dropout = 0.3,
      .apart = true}},
    {"lstm whose rates of one do nothing", "LSTM", LSTM_OF("3") ", \"dropout\": 1.0, \"recurrent_dropout\": 1.0", "", 3, 0, 1,
     {SHAPE(2, 4, 3)}, 0, true_recurrent, {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid"}},
    {"lstm frozen", "LSTM", LSTM_OF("3") ", \"trainable\": false", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid"}},
    {"gru", "GRU", LSTM_OF("5"), "", 6, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_GRU, .units = 5, .activation = "tanh", .gate = "sigmoid"}},
    {"gru sequences without bias backwards", "GRU", LSTM_OF("3") ", \"return_sequences\": true, \"use_bias\": false, "
     "\"go_backwards\": true", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_GRU, .units = 3, .activation = "tanh", .gate = "sigmoid", .no_bias = true, .backwards = true}},
    {"gru with both dropouts", "GRU", LSTM_OF("3") ", \"dropout\": 0.4, \"recurrent_dropout\": 0.3", "", 3, 0, 1,
     {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_GRU, .units = 3, .activation = "tanh", .gate = "sigmoid", .dropout = 0.4, .recurrent_dropout = 0.3,
      .apart = true}},
    {"gru that resets before", "GRU", LSTM_OF("3") ", \"return_sequences\": true, \"reset_after\": false", "", 3, 0, 1,
     {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_GRU_BEFORE, .units = 3, .activation = "tanh", .gate = "sigmoid"}},
    {"gru of other functions that resets before with dropouts", "GRU",
     "\"units\": 3, \"activation\": \"gelu\", \"recurrent_activation\": \"silu\", \"reset_after\": false, \"dropout\": 0.2, "
     "\"recurrent_dropout\": 0.3", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_GRU_BEFORE, .units = 3, .activation = "gelu", .gate = "silu", .dropout = 0.2, .recurrent_dropout = 0.3,
      .apart = true}},
    {"rnn over a cell", "RNN", "\"return_sequences\": true, \"cell\": {\"class_name\": \"GRUCell\", \"config\": {\"name\": \"mine\", "
     LSTM_OF("3") "}}", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_GRU, .units = 3, .activation = "tanh", .gate = "sigmoid"}},
    {"bidirectional lstm", "Bidirectional", "\"layer\": {\"class_name\": \"LSTM\", \"config\": {\"name\": \"l\", "
     LSTM_OF("3") ", \"return_sequences\": true}}", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid", .merge = "concat"}},
    {"bidirectional gru, last steps, with dropout", "Bidirectional", "\"layer\": {\"class_name\": \"GRU\", \"config\": {"
     LSTM_OF("3") ", \"dropout\": 0.4, \"recurrent_dropout\": 0.3}}", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_GRU, .units = 3, .activation = "tanh", .gate = "sigmoid", .merge = "concat", .dropout = 0.4,
      .recurrent_dropout = 0.3, .apart = true}},
#define CELL_OF(kind, name, more) "{\"class_name\": \"" kind "\", \"config\": {\"name\": \"" name "\", " LSTM_OF("3") more "}}"
#define STACK_OF(kind, more) "\"cell\": {\"class_name\": \"StackedRNNCells\", \"config\": {\"cells\": [" \
    CELL_OF(kind, "one", more) ", " CELL_OF(kind, "two", more) "]}}"
    {"stack of lstm cells", "RNN", STACK_OF("LSTMCell", ""), "", 3, 0, 1, {SHAPE(2, 4, 2)}, 0, true_stack,
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid"}},
    {"stack of gru cells backwards with both dropouts", "RNN", "\"go_backwards\": true, \"return_sequences\": true, "
     STACK_OF("GRUCell", ", \"dropout\": 0.4, \"recurrent_dropout\": 0.3"), "", 3, 0, 1, {SHAPE(2, 4, 2)}, 0, true_stack,
     {.cell = MB_CELL_GRU, .units = 3, .activation = "tanh", .gate = "sigmoid", .backwards = true, .sequences = true, .apart = true,
      .dropout = 0.4, .recurrent_dropout = 0.3}},
    {"stacks both ways, summed, with both dropouts", "Bidirectional", "\"merge_mode\": \"sum\", \"layer\": {\"class_name\": \"RNN\", "
     "\"config\": {\"return_sequences\": true, " STACK_OF("LSTMCell", ", \"dropout\": 0.4, \"recurrent_dropout\": 0.3") "}}", "",
     3, 0, 1, {SHAPE(2, 4, 2)}, 0, true_stack,
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid", .sequences = true, .apart = true, .dropout = 0.4,
      .recurrent_dropout = 0.3, .merge = "sum"}},
    {"last outputs of stacks both ways", "Bidirectional", "\"layer\": {\"class_name\": \"RNN\", \"config\": {"
     STACK_OF("GRUCell", "") "}}", "", 3, 0, 1, {SHAPE(2, 4, 2)}, 0, true_stack,
     {.cell = MB_CELL_GRU, .units = 3, .activation = "tanh", .gate = "sigmoid", .merge = "concat"}},
    {"lstm from states to states", "LSTM", LSTM_OF("3") ", \"return_sequences\": true, \"return_state\": true", "", 3, 0, 3,
     {SHAPE(2, 4, 3), SHAPE(1, 3), SHAPE(1, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid", .sequences = true, .states = true}},
    {"lstm from states with both dropouts backwards", "LSTM", LSTM_OF("3") ", \"dropout\": 0.4, \"recurrent_dropout\": 0.3, "
     "\"go_backwards\": true", "", 3, 0, 3, {SHAPE(2, 4, 3), SHAPE(1, 3), SHAPE(1, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid", .dropout = 0.4, .recurrent_dropout = 0.3,
      .apart = true, .backwards = true}},
    {"gru from states to states", "GRU", LSTM_OF("3") ", \"return_state\": true", "", 3, 0, 2,
     {SHAPE(2, 4, 3), SHAPE(1, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_GRU, .units = 3, .activation = "tanh", .gate = "sigmoid", .states = true}},
    {"gru that resets before from states", "GRU", LSTM_OF("3") ", \"return_sequences\": true, \"reset_after\": false, "
     "\"recurrent_dropout\": 0.3", "", 3, 0, 2, {SHAPE(2, 4, 3), SHAPE(1, 3)}, 0, true_recurrent,
     {.cell = MB_CELL_GRU_BEFORE, .units = 3, .activation = "tanh", .gate = "sigmoid", .recurrent_dropout = 0.3, .apart = true}},
    {"bidirectional average from states to states", "Bidirectional", "\"merge_mode\": \"ave\", \"layer\": {\"class_name\": \"LSTM\", "
     "\"config\": {\"name\": \"l\", " LSTM_OF("2") ", \"return_sequences\": true, \"return_state\": true}}", "", 3, 0, 5,
     {SHAPE(2, 4, 3), SHAPE(1, 2), SHAPE(1, 2), SHAPE(1, 2), SHAPE(1, 2)}, 0, true_recurrent,
     {.cell = MB_CELL_LSTM, .units = 2, .activation = "tanh", .gate = "sigmoid", .merge = "ave", .sequences = true,
      .states = true}},
#define CONV_LSTM_OF(filters, size) "\"filters\": " filters ", \"kernel_size\": " size ", " \
    "\"activation\": \"tanh\", \"recurrent_activation\": \"sigmoid\""
    {"convolutional lstm", "ConvLSTM2D", CONV_LSTM_OF("2", "[2, 3]"), "", 2, 0, 1, {SHAPE(4, 3, 4, 4, 2)}, 0, true_conv_lstm,
     {.units = 2, .kernel = {2, 3}, .activation = "tanh", .gate = "sigmoid"}},
    {"convolutional lstm from states to states backwards", "ConvLSTM2D", CONV_LSTM_OF("2", "2") ", \"padding\": \"same\", "
     "\"strides\": 2, \"return_sequences\": true, \"return_state\": true, \"go_backwards\": true", "", 2, 0, 3,
     {SHAPE(4, 3, 4, 3, 2), SHAPE(3, 2, 2, 2), SHAPE(3, 2, 2, 2)}, 0, true_conv_lstm,
     {.units = 2, .kernel = {2, 2}, .stride = {2, 2}, .padding = TRUE_SAME, .activation = "tanh", .gate = "sigmoid",
      .backwards = true, .sequences = true, .states = true}},
    {"convolutional lstm with both dropouts, dilated", "ConvLSTM2D", CONV_LSTM_OF("2", "2") ", \"dilation_rate\": 2, \"use_bias\": false, "
     "\"dropout\": 0.4, \"recurrent_dropout\": 0.3, \"return_sequences\": true", "", 2, 0, 1, {SHAPE(4, 3, 4, 4, 2)}, 0, true_conv_lstm,
     {.units = 2, .kernel = {2, 2}, .dilation = {2, 2}, .no_bias = true, .activation = "tanh", .gate = "sigmoid", .dropout = 0.4,
      .recurrent_dropout = 0.3, .sequences = true}},
    {"convolutional lstm that skips steps", "ConvLSTM2D", CONV_LSTM_OF("2", "2") ", \"return_sequences\": true", "", 3, 0, 2,
     {SHAPE(4, 3, 3, 4, 2), SHAPE(1, 3)}, 0, true_conv_lstm,
     {.units = 2, .kernel = {2, 2}, .activation = "tanh", .gate = "sigmoid", .sequences = true, .n_masks = 1}},
    {"convolutional lstm that skips steps from states to states backwards, blank", "ConvLSTM2D", CONV_LSTM_OF("2", "2")
     ", \"padding\": \"same\", \"strides\": 2, \"return_sequences\": true, \"return_state\": true, \"go_backwards\": true, "
     "\"zero_output_for_mask\": true", "", 4, 0, 4,
     {SHAPE(4, 3, 4, 3, 2), SHAPE(3, 2, 2, 2), SHAPE(3, 2, 2, 2), SHAPE(1, 3)}, 0, true_conv_lstm,
     {.units = 2, .kernel = {2, 2}, .stride = {2, 2}, .padding = TRUE_SAME, .activation = "tanh", .gate = "sigmoid",
      .backwards = true, .sequences = true, .states = true, .blank = true, .n_masks = 1}},
    {"convolutional lstm that skips steps with both dropouts, the last output, blank", "ConvLSTM2D", CONV_LSTM_OF("2", "2")
     ", \"dropout\": 0.4, \"recurrent_dropout\": 0.3, \"zero_output_for_mask\": true", "", 4, 0, 2,
     {SHAPE(4, 3, 3, 3, 2), SHAPE(1, 3)}, 0, true_conv_lstm,
     {.units = 2, .kernel = {2, 2}, .activation = "tanh", .gate = "sigmoid", .dropout = 0.4, .recurrent_dropout = 0.3,
      .blank = true, .n_masks = 1}},
#define STEPS_OF "\"layer\": {\"class_name\": \"BatchNormalization\", \"config\": {\"epsilon\": 0.05}}"
    {"batch normalization step by step", "TimeDistributed", STEPS_OF, "", 5, 4, 1, {SHAPE(3, 3, 2, 3)}, 0, true_masked_batchnorm,
     {.axis = 2, .epsilon = 0.05, .by_steps = true}},
    {"batch normalization step by step, masked", "TimeDistributed", STEPS_OF, "", 5, 4, 2, {SHAPE(2, 3, 4), SHAPE(1, 3)}, 0,
     true_masked_batchnorm, {.axis = 1, .epsilon = 0.05, .by_steps = true, .n_masks = 1}},
#define SPREAD(what, axes, ...) \
    {"attention over " what, "MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 3, \"value_dim\": 2" axes, "", 2, 0, 2, \
     {SHAPE(3, 2, 3, 4), SHAPE(3, 2, 3, 3)}, 0, true_attention_axes, {.heads = 2, .key_dim = 3, .value_dim = 2, .noise = __VA_ARGS__}}
    SPREAD("rows and columns", "", {1, 1}),
    SPREAD("columns, row by row", ", \"attention_axes\": 2", {0, 1}),
    SPREAD("rows, column by column", ", \"attention_axes\": [1]", {1, 0}),
    {"masked multiply of three that broadcast", "Multiply", "", "", 3, 0, 6,
     {SHAPE(2, 3, 4), SHAPE(2, 3, 1), SHAPE(2, 1, 4), SHAPE(1, 3), SHAPE(1, 3), SHAPE(1, 1)}, 0, true_masked_merge, {.n_masks = 3}},
    {"masked multiply beside one without", "Multiply", "", "", 3, 0, 3, {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(1, 3)}, 0,
     true_masked_merge, {.n_masks = 1}},
    {"masked maximum of two", "Maximum", "", "", 3, 0, 4, {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(1, 3), SHAPE(1, 3)}, 0,
     true_masked_merge, {.merging = TRUE_LARGEST, .n_masks = 2}},
    {"masked maximum of four that broadcast", "Maximum", "", "", 3, 0, 8,
     {SHAPE(2, 3, 4), SHAPE(2, 3, 1), SHAPE(2, 1, 4), SHAPE(2, 3, 4), SHAPE(1, 3), SHAPE(1, 3), SHAPE(1, 1), SHAPE(1, 3)}, 0,
     true_masked_merge, {.merging = TRUE_LARGEST, .n_masks = 4}},
    {"masked minimum beside two without", "Minimum", "", "", 3, 0, 4,
     {SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(2, 3, 4), SHAPE(1, 3)}, 0, true_masked_merge, {.merging = TRUE_SMALLEST, .n_masks = 1}},
    {"masked batch normalization", "BatchNormalization", "\"epsilon\": 0.05", "", 5, 4, 2, {SHAPE(2, 4, 3), SHAPE(1, 4)}, 0,
     true_masked_batchnorm, {.axis = 1, .epsilon = 0.05, .n_masks = 1}},
    {"masked batch normalization of images", "BatchNormalization", "\"epsilon\": 0.05", "", 3, 0, 2,
     {SHAPE(3, 2, 3, 5), SHAPE(2, 2, 3)}, 0, true_masked_batchnorm, {.axis = 2, .epsilon = 0.05, .n_masks = 1}},
    {"masked batch normalization of the first axis", "BatchNormalization", "\"axis\": 1, \"epsilon\": 0.05", "", 5, 4, 2,
     {SHAPE(2, 4, 3), SHAPE(1, 4)}, 0, true_masked_batchnorm, {.axis = 0, .epsilon = 0.05, .n_masks = 1}},
    {"masked batch normalization of an axis behind which all are one", "BatchNormalization",
     "\"axis\": 1, \"epsilon\": 0.05", "", 5, 4, 2, {SHAPE(2, 4, 1), SHAPE(1, 4)}, 0, true_masked_batchnorm,
     {.axis = 0, .epsilon = 0.05, .n_masks = 1}},
#define BOTH(mode, more, ...) \
    {"bidirectional " mode more, "Bidirectional", "\"merge_mode\": \"" mode "\", \"layer\": {\"class_name\": \"LSTM\", \"config\": {" \
     LSTM_OF("3") more "}}", "", 3, 0, 1, {SHAPE(2, 4, 3)}, 0, true_recurrent, \
     {.cell = MB_CELL_LSTM, .units = 3, .activation = "tanh", .gate = "sigmoid", .merge = mode, __VA_ARGS__}}
    BOTH("sum", "", .causal = false), BOTH("ave", ", \"return_sequences\": true", .causal = false),
    BOTH("mul", ", \"return_sequences\": true", .causal = false), BOTH("mul", ", \"dropout\": 0.4", .dropout = 0.4),
    BOTH("sum", ", \"return_sequences\": true, \"go_backwards\": true", .backwards = true),
};
/* clang-format on */
#define N_CASES ((int)(sizeof(cases) / sizeof(cases[0])))

typedef struct {
    const case_t *test;
    layer_fixture_t *f;
    double *inputs[MB_MAX_INPUTS], *params[MB_MAX_LAYER_PARAMS], *output;
} problem_t;

static double *doubles(const float *values, const int32_t *ids, int64_t count)
{
    double *out = calloc((size_t)count + 1, sizeof(*out));
    ck_assert_ptr_nonnull(out);
    for (int64_t i = 0; i < count; i++)
        out[i] = ids != NULL ? (double)ids[i] : (double)values[i];
    return out;
}

/* Moving variances must not be negative. */
static void make_variance_positive(layer_fixture_t *f)
{
    for (int i = 0; i < f->layer->n_params; i++) {
        if (strcmp(f->graph->params[f->layer->params[i]].name, "moving_variance") != 0)
            continue;
        for (int64_t j = 0; j < layer_param_elements(f, i); j++)
            f->host_params[i][j] = 1.0f + 0.5f * f->host_params[i][j];
    }
}

static problem_t problem_open(const case_t *test, const char *device)
{
    char *model = layer_masked_text(test->class_name, test->config, test->kwargs, test->n_inputs,
                                    test->truth.n_masks, test->shapes, test->vocabulary > 0);
    problem_t p = {.test = test, .f = layer_open(device, model, test->samples)};
    free(model);
    if (test->valid > 0)
        p.f->valid = test->valid;
    layer_fill(p.f, test->vocabulary);
    make_variance_positive(p.f);
    /* What does not count has no gradient. */
    int64_t counted = layer_output_elements(p.f) / p.f->samples * p.f->valid;
    for (int64_t i = counted; i < layer_output_elements(p.f); i++)
        p.f->host_grad_output[i] = 0.0f;
    for (int i = 0; i < test->n_inputs; i++)
        p.inputs[i] =
            doubles(p.f->host_inputs[i], test->vocabulary > 0 ? p.f->host_inputs[i] : NULL,
                    layer_input_elements(p.f, i));
    for (int i = 0; i < p.f->layer->n_params; i++)
        p.params[i] = doubles(p.f->host_params[i], NULL, layer_param_elements(p.f, i));
    p.output = calloc((size_t)layer_output_elements(p.f), sizeof(double));
    return p;
}

static void problem_close(problem_t *p)
{
    for (int i = 0; i < MB_MAX_INPUTS; i++)
        free(p->inputs[i]);
    for (int i = 0; i < MB_MAX_LAYER_PARAMS; i++)
        free(p->params[i]);
    free(p->output);
    layer_close(p->f);
}

static double objective(problem_t *p)
{
    double sum = 0;
    p->test->reference(&p->test->truth, p->f, p->inputs, p->params, p->output);
    for (int64_t i = 0; i < layer_output_elements(p->f); i++)
        sum += p->output[i] * (double)p->f->host_grad_output[i];
    return sum;
}

/* Central differences with step h are off by h^2/6 f''' + 1e-16 f/h: under 1e-9 here. */
static double difference(problem_t *p, double *value)
{
    const double h = 1e-5;
    double kept = *value;
    *value = kept + h;
    double above = objective(p);
    *value = kept - h;
    double below = objective(p);
    *value = kept;
    return (above - below) / (2 * h);
}

/* Each value comes out of at most 400 float operations in a row on numbers that stay below SCALE:
 * an error of half a unit in the last place each, 2^-24. */
static void expect_near(const case_t *test, const char *what, int64_t index, double found,
                        double wanted, double scale)
{
    double tolerance = 400 * 0x1p-24 * fmax(1, scale);
    ck_assert_msg(fabs(found - wanted) <= tolerance, "%s: %s[%d] is %.9g, not %.9g (tolerance %g)",
                  test->what, what, (int)index, found, wanted, tolerance);
}

static void expect_gradients(problem_t *p, const char *what, const float *found, double *values,
                             int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        double wanted = difference(p, &values[i]);
        expect_near(p->test, what, i, (double)found[i], wanted, fabs(wanted));
    }
}

static bool is_trained(const layer_fixture_t *f, int param)
{
    return f->graph->params[f->layer->params[param]].trainable;
}

static void check_case(const case_t *test, const char *device)
{
    problem_t p = problem_open(test, device);
    layer_fixture_t *f = p.f;
    layer_forward(f);
    objective(&p);
    for (int64_t i = 0; i < layer_output_elements(f); i++)
        expect_near(test, "output", i, (double)f->host_output[i], p.output[i], fabs(p.output[i]));
    layer_backward_input(f, true);
    for (int i = 0; i < test->n_inputs - test->truth.n_masks && test->vocabulary == 0; i++)
        expect_gradients(&p, "input gradient", f->host_grad_inputs[i], p.inputs[i],
                         layer_input_elements(f, i));
    layer_backward_weights(f, false);
    for (int i = 0; i < f->layer->n_params; i++) {
        if (is_trained(f, i))
            expect_gradients(&p, "weight gradient", f->host_grad_params[i], p.params[i],
                             layer_param_elements(f, i));
    }
    problem_close(&p);
}

START_TEST(layer_agrees_with_its_double_precision_reference)
{
    for (int d = 0; d < layer_n_devices(); d++)
        check_case(&cases[_i], layer_device(d));
}
END_TEST

/* What the second backward call makes must not depend on whether the first was asked for dx. */
static void check_split(const case_t *test, const char *device)
{
    problem_t p = problem_open(test, device);
    layer_fixture_t *f = p.f;
    float *kept[MB_MAX_LAYER_PARAMS] = {NULL};
    layer_forward(f);
    layer_backward_input(f, true);
    layer_backward_weights(f, false);
    for (int i = 0; i < f->layer->n_params; i++) {
        size_t bytes = (size_t)layer_param_elements(f, i) * sizeof(float);
        kept[i] = malloc(bytes);
        memcpy(kept[i], f->host_grad_params[i], bytes);
    }
    layer_forward(f);
    layer_backward_input(f, false);
    layer_backward_weights(f, false);
    for (int i = 0; i < f->layer->n_params; i++) {
        if (is_trained(f, i))
            ck_assert_mem_eq(kept[i], f->host_grad_params[i],
                             (size_t)layer_param_elements(f, i) * sizeof(float));
        free(kept[i]);
    }
    problem_close(&p);
}

START_TEST(weight_gradients_have_the_same_bits_when_no_input_gradient_is_wanted)
{
    for (int d = 0; d < layer_n_devices(); d++)
        check_split(&cases[_i], layer_device(d));
}
END_TEST

static void check_accumulation(const case_t *test, const char *device)
{
    problem_t p = problem_open(test, device);
    layer_fixture_t *f = p.f;
    float *kept[MB_MAX_LAYER_PARAMS] = {NULL};
    layer_forward(f);
    layer_backward_input(f, true);
    layer_backward_weights(f, false);
    for (int i = 0; i < f->layer->n_params; i++) {
        kept[i] = calloc((size_t)layer_param_elements(f, i), sizeof(float));
        for (int64_t j = 0; j < layer_param_elements(f, i); j++) {
            kept[i][j] = f->host_grad_params[i][j];
            f->host_grad_params[i][j] = (float)layer_uniform(301, j);
        }
    }
    layer_backward_weights(f, true);
    for (int i = 0; i < f->layer->n_params; i++) {
        for (int64_t j = 0; is_trained(f, i) && j < layer_param_elements(f, i); j++) {
            double wanted = (double)kept[i][j] + (double)(float)layer_uniform(301, j);
            expect_near(test, "accumulated gradient", j, (double)f->host_grad_params[i][j], wanted,
                        fabs((double)kept[i][j]));
        }
        free(kept[i]);
    }
    problem_close(&p);
}

START_TEST(weight_gradients_add_to_what_is_there_when_accumulating)
{
    for (int d = 0; d < layer_n_devices(); d++)
        check_accumulation(&cases[_i], layer_device(d));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("layer gradients");
    TCase *t = tcase_create("cases");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, layer_agrees_with_its_double_precision_reference, 0, N_CASES);
    tcase_add_loop_test(t, weight_gradients_have_the_same_bits_when_no_input_gradient_is_wanted, 0,
                        N_CASES);
    tcase_add_loop_test(t, weight_gradients_add_to_what_is_there_when_accumulating, 0, N_CASES);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *r = srunner_create(suite());
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed == 0 ? 0 : 1;
}
