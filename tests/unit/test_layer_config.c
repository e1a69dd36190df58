/* What layers read from a model file: both dialects of Keras, every refusal by name, and the shapes
 * and parameters that follow. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "model/known.h"
#include "unit/layer_fixture.h"

#define SHAPE(rank, ...)                                                                           \
    {                                                                                              \
        rank,                                                                                      \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

typedef struct {
    const char *class_name, *config, *kwargs;
    int n_inputs;
    mb_shape_t shapes[3];
    bool integer;
    mb_status_t status;
    const char *message; /* a part of it that names the cause */
} refusal_t;

/* clang-format off */
static const refusal_t refusals[] = {
    {"Dense", "\"units\": 0", "", 1, {SHAPE(1, 4)}, false, MB_ERR_ARGUMENT, "'units'"},
    {"Dense", "", "", 1, {SHAPE(1, 4)}, false, MB_ERR_FORMAT, "'units'"},
    {"Dense", "\"units\": 3, \"unit\": 3", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "'unit'"},
    {"Dense", "\"units\": 3, \"activation\": \"rleu\"", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "'relu'"},
    {"Dense", "\"units\": 3, \"activation\": \"glu\"", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "halves"},
    {"Dense", "\"units\": 3, \"activation\": \"threshold\"", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "keras.ops.threshold"},
    {"Activation", "\"activation\": \"sparsemax\"", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "sums of sums"},
    {"Activation", "\"activation\": \"glu\"", "", 1, {SHAPE(2, 4, 5)}, false, MB_ERR_SHAPE, "odd"},
    {"PReLU", "\"shared_axes\": [0]", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_UNSUPPORTED, "'shared_axes'"},
    {"PReLU", "\"shared_axes\": [3]", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_SHAPE, "'shared_axes'"},
    {"PReLU", "\"shared_axes\": \"1\"", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_UNSUPPORTED, "'shared_axes'"},
    {"PReLU", "\"alpha\": 0.3", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_UNSUPPORTED, "'alpha'"},
    {"ThresholdedReLU", "\"theta\": -0.3", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_ARGUMENT, "'theta'"},
    {"Softmax", "\"axis\": [1, 1]", "", 1, {SHAPE(2, 4, 5)}, false, MB_ERR_SHAPE, "stands twice"},
    {"Softmax", "\"axis\": [1, 0]", "", 1, {SHAPE(2, 4, 5)}, false, MB_ERR_SHAPE, "axis 0"},
    {"Dense", "\"units\": 3, \"activation\": {\"class_name\": \"PReLU\", \"config\": {}}", "", 1, {SHAPE(1, 4)}, false,
     MB_ERR_UNSUPPORTED, "'PReLU'"},
    {"Dense", "\"units\": 3, \"activation\": {\"class_name\": \"ReLU\", \"config\": {\"slope\": 1}}", "", 1, {SHAPE(1, 4)}, false,
     MB_ERR_UNSUPPORTED, "'slope'"},
    {"Dense", "\"units\": 3, \"activation\": {\"class_name\": \"Softmax\", \"config\": {\"axis\": 1}}", "", 1, {SHAPE(1, 4)}, false,
     MB_ERR_UNSUPPORTED, "axis"},
    {"Dense", "\"units\": 3, \"activation\": {\"class_name\": \"ReLU\", \"config\": {\"dtype\": \"float16\"}}", "", 1, {SHAPE(1, 4)},
     false, MB_ERR_UNSUPPORTED, "float32"},
    {"Dense", "\"units\": 3, \"lora_rank\": 4", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "'lora_rank'"},
    {"Dense", "\"units\": 3", "", 2, {SHAPE(1, 4), SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "takes 1"},
    {"Conv2D", "\"filters\": 3, \"kernel_size\": [3]", "", 1, {SHAPE(3, 8, 8, 1)}, false, MB_ERR_FORMAT, "'kernel_size'"},
    {"Conv2D", "\"filters\": 3", "", 1, {SHAPE(3, 8, 8, 1)}, false, MB_ERR_FORMAT, "'kernel_size'"},
    {"Conv2D", "\"filters\": 3, \"kernel_size\": 3, \"data_format\": \"channels_middle\"", "", 1, {SHAPE(3, 8, 8, 1)}, false,
     MB_ERR_UNSUPPORTED, "'data_format'"},
    {"Conv2D", "\"filters\": 3, \"kernel_size\": 3, \"padding\": \"causal\"", "", 1, {SHAPE(3, 8, 8, 1)}, false,
     MB_ERR_UNSUPPORTED, "'padding'"},
    {"Conv2D", "\"filters\": 3, \"kernel_size\": 3, \"groups\": 2", "", 1, {SHAPE(3, 8, 8, 2)}, false, MB_ERR_ARGUMENT, "groups"},
    {"Conv2D", "\"filters\": 4, \"kernel_size\": 3, \"groups\": 2", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_SHAPE, "3 channels"},
    {"Conv2D", "\"filters\": 4, \"kernel_size\": 9", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_SHAPE, "larger than its input"},
    {"Conv2D", "\"filters\": 4, \"kernel_size\": 0", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_ARGUMENT, "'kernel_size'"},
    {"Conv2D", "\"filters\": 4, \"kernel_size\": 100000", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_UNSUPPORTED, "'kernel_size'"},
    {"Conv2D", "\"filters\": 4, \"kernel_size\": 3", "", 1, {SHAPE(2, 8, 3)}, false, MB_ERR_SHAPE, "(8, 3)"},
    {"Conv1D", "\"filters\": 4, \"kernel_size\": 3", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_SHAPE, "(8, 8, 3)"},
    {"MaxPooling2D", "\"pool_size\": 2, \"dilation_rate\": 2", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_UNSUPPORTED,
     "'dilation_rate'"},
    {"MaxPooling1D", "\"pool_size\": 2, \"padding\": \"causal\"", "", 1, {SHAPE(2, 8, 3)}, false, MB_ERR_UNSUPPORTED, "'padding'"},
    {"GlobalAveragePooling2D", "\"data_format\": \"first\"", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_UNSUPPORTED,
     "'data_format'"},
    {"Conv3D", "\"filters\": 4, \"kernel_size\": 3", "", 1, {SHAPE(4, 2, 8, 8, 3)}, false, MB_ERR_SHAPE, "larger than its input"},
    {"Conv2D", "\"filters\": 4, \"kernel_size\": 5, \"data_format\": \"channels_first\"", "", 1, {SHAPE(3, 8, 8, 3)}, false,
     MB_ERR_SHAPE, "larger than its input"},
    {"Conv2D", "\"filters\": 4, \"kernel_size\": 3, \"activation\": \"softmax\", \"data_format\": \"channels_first\"", "", 1,
     {SHAPE(3, 8, 8, 3)}, false, MB_ERR_UNSUPPORTED, "'activation' is softmax"},
    {"DepthwiseConv2D", "\"kernel_size\": 3, \"depth_multiplier\": 0", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_ARGUMENT,
     "'depth_multiplier'"},
    {"DepthwiseConv2D", "\"kernel_size\": 3, \"filters\": 4", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_UNSUPPORTED, "'filters'"},
    {"DepthwiseConv1D", "\"kernel_size\": 3, \"padding\": \"causal\"", "", 1, {SHAPE(2, 8, 3)}, false, MB_ERR_UNSUPPORTED,
     "'padding'"},
    {"SeparableConv2D", "\"kernel_size\": 3", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_FORMAT, "'filters'"},
    {"SeparableConv1D", "\"filters\": 3, \"kernel_size\": 3, \"lora_rank\": 2", "", 1, {SHAPE(2, 8, 3)}, false, MB_ERR_UNSUPPORTED,
     "'lora_rank'"},
    {"Conv2DTranspose", "\"filters\": 3, \"kernel_size\": 3, \"strides\": 2, \"output_padding\": [0, 2]", "", 1,
     {SHAPE(3, 8, 8, 3)}, false, MB_ERR_ARGUMENT, "'output_padding' is 2"},
    {"Conv2DTranspose", "\"filters\": 3, \"kernel_size\": 3, \"groups\": 2", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_UNSUPPORTED,
     "'groups'"},
    {"AdaptiveMaxPooling1D", "", "", 1, {SHAPE(2, 8, 3)}, false, MB_ERR_FORMAT, "'output_size'"},
    {"AdaptiveAveragePooling2D", "\"output_size\": [2, 0]", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_ARGUMENT, "'output_size'"},
    {"UpSampling2D", "\"size\": 2, \"interpolation\": \"area\"", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_UNSUPPORTED,
     "'interpolation' is \"area\""},
    {"UpSampling3D", "\"size\": 2, \"interpolation\": \"bilinear\"", "", 1, {SHAPE(4, 2, 8, 8, 3)}, false, MB_ERR_UNSUPPORTED,
     "'interpolation'"},
    {"Resizing", "\"height\": 3, \"width\": 4, \"crop_to_aspect_ratio\": true", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_UNSUPPORTED,
     "'crop_to_aspect_ratio'"},
    {"Resizing", "\"height\": 3, \"width\": 4, \"pad_to_aspect_ratio\": true", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_UNSUPPORTED,
     "'pad_to_aspect_ratio'"},
    {"ZeroPadding2D", "\"padding\": [[1, 2]]", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_FORMAT, "'padding'"},
    {"ZeroPadding2D", "\"padding\": [[1, -2], 0]", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_ARGUMENT, "'padding'"},
    {"Cropping2D", "\"cropping\": [[1, 2], [4, 4]]", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_SHAPE, "none would be left"},
    {"GlobalMaxPooling1D", "", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_SHAPE, "2 dimensions"},
    {"Flatten", "\"data_format\": \"channels_first\"", "", 1, {SHAPE(3, 8, 8, 3)}, false, MB_ERR_UNSUPPORTED, "'data_format'"},
    {"Reshape", "\"target_shape\": [5, -1]", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_SHAPE, "reshaped to (5, ?)"},
    {"Reshape", "\"target_shape\": [2, 5]", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_SHAPE, "reshaped to (2, 5)"},
    {"Reshape", "\"target_shape\": [-1, -1]", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_ARGUMENT, "'target_shape'"},
    {"Reshape", "\"target_shape\": [0, -1]", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_ARGUMENT, "'target_shape'"},
    {"Reshape", "", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_FORMAT, "'target_shape'"},
    {"Cropping1D", "\"cropping\": [2, 2]", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_SHAPE, "none would be left"},
    {"Cropping1D", "\"cropping\": [-1, 2]", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_ARGUMENT, "'cropping'"},
    {"ReLU", "\"negative_slope\": -0.5", "", 1, {SHAPE(1, 4)}, false, MB_ERR_ARGUMENT, "negative_slope"},
    {"ReLU", "\"max_value\": 1.0, \"threshold\": 2.0", "", 1, {SHAPE(1, 4)}, false, MB_ERR_ARGUMENT, "max_value"},
    {"ReLU", "\"negative_slope\": \"0.5\"", "", 1, {SHAPE(1, 4)}, false, MB_ERR_FORMAT, "'negative_slope'"},
    {"LeakyReLU", "\"alpha\": -1", "", 1, {SHAPE(1, 4)}, false, MB_ERR_ARGUMENT, "negative"},
    {"Softmax", "\"axis\": 3", "", 1, {SHAPE(2, 4, 5)}, false, MB_ERR_SHAPE, "axis 3"},
    {"Softmax", "\"axis\": []", "", 1, {SHAPE(2, 4, 5)}, false, MB_ERR_FORMAT, "'axis'"},
    {"Add", "", "", 2, {SHAPE(1, 4), SHAPE(1, 5)}, false, MB_ERR_SHAPE, "(4,) and (5,)"},
    {"Add", "", "", 2, {SHAPE(2, 4, 4), SHAPE(2, 3, 4)}, false, MB_ERR_SHAPE, "broadcast"},
    {"Multiply", "\"axis\": 1", "", 2, {SHAPE(1, 4), SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "'axis'"},
    {"Multiply", "", "", 2, {SHAPE(1, 4), SHAPE(2, 4, 3)}, false, MB_ERR_SHAPE, "(4, 3)"},
    {"Concatenate", "\"axis\": 0", "", 2, {SHAPE(1, 4), SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "axis 0"},
    {"Concatenate", "\"axis\": -2", "", 2, {SHAPE(1, 4), SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "axis -2"},
    {"Concatenate", "\"axis\": -1", "", 2, {SHAPE(2, 3, 4), SHAPE(2, 2, 4)}, false, MB_ERR_SHAPE, "cannot be joined"},
    {"Dropout", "\"rate\": 1.5", "", 1, {SHAPE(1, 4)}, false, MB_ERR_ARGUMENT, "'rate'"},
    {"Dropout", "\"rate\": 0.5, \"noise_shape\": [null, 3]", "", 1, {SHAPE(1, 4)}, false, MB_ERR_SHAPE, "'noise_shape' has (3,)"},
    {"Dropout", "\"rate\": 0.5, \"noise_shape\": [4]", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "'noise_shape'"},
    {"Dropout", "\"rate\": 0.5, \"noise_shape\": [8, 4]", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "null or 1"},
    {"Dropout", "\"rate\": 0.5, \"noise_shape\": [null, 0]", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "positive"},
    {"SpatialDropout1D", "\"rate\": 0.5, \"data_format\": \"channels_first\"", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_UNSUPPORTED,
     "'data_format'"},
    {"SpatialDropout2D", "\"rate\": 0.5, \"data_format\": \"first\"", "", 1, {SHAPE(3, 4, 4, 3)}, false, MB_ERR_UNSUPPORTED,
     "'data_format'"},
    {"SpatialDropout2D", "\"rate\": 0.5", "", 1, {SHAPE(2, 4, 3)}, false, MB_ERR_SHAPE, "3 dimensions"},
    {"SpatialDropout3D", "\"rate\": 0.5, \"noise_shape\": null", "", 1, {SHAPE(4, 2, 4, 4, 3)}, false, MB_ERR_UNSUPPORTED,
     "'noise_shape'"},
    {"AlphaDropout", "\"rate\": 1", "", 1, {SHAPE(1, 4)}, false, MB_ERR_ARGUMENT, "'rate'"},
    {"AlphaDropout", "\"rate\": 0.2, \"noise_shape\": \"4\"", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "'noise_shape'"},
    {"GaussianDropout", "\"rate\": 1", "", 1, {SHAPE(1, 4)}, false, MB_ERR_ARGUMENT, "'rate'"},
    {"GaussianNoise", "\"stddev\": -0.1", "", 1, {SHAPE(1, 4)}, false, MB_ERR_ARGUMENT, "'stddev'"},
    {"GaussianNoise", "", "", 1, {SHAPE(1, 4)}, false, MB_ERR_FORMAT, "'stddev'"},
    {"ActivityRegularization", "\"l1\": -0.1", "", 1, {SHAPE(1, 4)}, false, MB_ERR_ARGUMENT, "'l1'"},
    {"BatchNormalization", "\"axis\": 0", "", 1, {SHAPE(3, 4, 4, 2)}, false, MB_ERR_SHAPE, "'axis'"},
    {"BatchNormalization", "\"axis\": 5", "", 1, {SHAPE(3, 4, 4, 2)}, false, MB_ERR_SHAPE, "'axis'"},
    {"BatchNormalization", "\"axis\": [1, 2]", "", 1, {SHAPE(3, 4, 4, 2)}, false, MB_ERR_FORMAT, "'axis'"},
    {"BatchNormalization", "\"renorm_momentum\": 0.5, \"renorm\": true", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "'renorm'"},
    {"BatchNormalization", "\"virtual_batch_size\": 2", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "'virtual_batch_size'"},
    {"BatchNormalization", "\"synchronized\": true", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "'synchronized'"},
    {"BatchNormalization", "\"renorm\": true", "", 1, {SHAPE(1, 4)}, false, MB_ERR_UNSUPPORTED, "'renorm'"},
    {"LayerNormalization", "\"axis\": [0]", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_SHAPE, "'axis'"},
    {"LayerNormalization", "\"axis\": [1, -2]", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_SHAPE, "stands twice"},
    {"LayerNormalization", "\"axis\": \"1\"", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_FORMAT, "'axis'"},
    {"RMSNormalization", "\"center\": true", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'center'"},
    {"RMSNormalization", "\"axis\": 3", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_SHAPE, "'axis'"},
    {"GroupNormalization", "\"groups\": 0", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_ARGUMENT, "'groups'"},
    {"GroupNormalization", "", "", 1, {SHAPE(2, 4, 48)}, false, MB_ERR_SHAPE, "48 channels"},
    {"GroupNormalization", "\"groups\": 2, \"axis\": 0", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_SHAPE, "'axis'"},
    {"GroupNormalization", "\"groups\": 2, \"axis\": 0.5", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_FORMAT, "'axis'"},
    {"UnitNormalization", "\"axis\": 4", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_SHAPE, "'axis'"},
    {"UnitNormalization", "\"order\": 1", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'order'"},
    {"SpectralNormalization", "\"power_iterations\": 1", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "wrapped layer"},
    {"Masking", "\"mask_value\": [1, 2]", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_FORMAT, "'mask_value'"},
    {"TimeDistributed", "\"layer\": {\"class_name\": \"Masking\", \"config\": {}}", "", 1, {SHAPE(3, 2, 4, 2)}, false, MB_ERR_UNSUPPORTED,
     "without TimeDistributed"},
    {"Attention", "\"score_mode\": \"product\"", "", 2, {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'score_mode'"},
    {"Attention", "\"dropout\": 1.0", "", 2, {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false, MB_ERR_ARGUMENT, "'dropout'"},
    {"Attention", "", "\"return_attention_scores\": true", 2, {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED,
     "'return_attention_scores'"},
    {"AdditiveAttention", "", "", 2, {SHAPE(2, 4, 2), SHAPE(2, 4, 3)}, false, MB_ERR_SHAPE, "of one width"},
    {"GroupQueryAttention", "\"head_dim\": 2, \"num_query_heads\": 3, \"num_key_value_heads\": 2", "", 2,
     {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false, MB_ERR_ARGUMENT, "'num_key_value_heads'"},
    {"GroupQueryAttention", "\"head_dim\": 2, \"num_query_heads\": 2, \"num_key_value_heads\": 2, \"use_gate\": true", "", 2,
     {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'use_gate'"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_SHAPE, "found 1 input"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2", "", 2, {SHAPE(1, 2), SHAPE(1, 2)}, false,
     MB_ERR_SHAPE, "positions x width"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2, \"attention_axes\": 2", "", 2, {SHAPE(3, 2, 4, 2), SHAPE(3, 3, 4, 2)},
     false, MB_ERR_SHAPE, "not attended"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2, \"attention_axes\": [2, 1]", "", 2,
     {SHAPE(3, 2, 4, 2), SHAPE(3, 2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'attention_axes'"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2", "\"use_causal_mask\": true", 2,
     {SHAPE(3, 2, 4, 2), SHAPE(3, 2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'use_causal_mask'"},
    {"GroupQueryAttention", "\"head_dim\": 3, \"num_query_heads\": 4, \"num_key_value_heads\": 2", "", 2,
     {SHAPE(3, 2, 4, 2), SHAPE(3, 2, 4, 2)}, false, MB_ERR_SHAPE, "positions x width"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2", "", 3, {SHAPE(2, 4, 2), SHAPE(2, 5, 2), SHAPE(2, 4, 2)}, false,
     MB_ERR_SHAPE, "same number of positions"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2, \"dropout\": 1.0", "", 2, {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false,
     MB_ERR_ARGUMENT, "'dropout'"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2, \"attention_axes\": [2]", "", 2, {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'attention_axes'"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2, \"use_gate\": true", "", 2, {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'use_gate'"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2, \"sliding_window\": 3", "", 2, {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'sliding_window'"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2, \"output_shape\": [2, 3]", "", 2, {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false,
     MB_ERR_FORMAT, "'output_shape'"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2, \"activity_regularizer\": \"l2\"", "", 2,
     {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'activity_regularizer'"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2", "\"return_attention_scores\": true", 2,
     {SHAPE(2, 4, 2), SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'return_attention_scores'"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 2", "\"attention_mask\": [[1]]", 2, {SHAPE(2, 4, 2), SHAPE(2, 4, 2)},
     false, MB_ERR_UNSUPPORTED, "attention_mask"},
    {"LSTM", "", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_FORMAT, "'units'"},
    {"LSTM", "\"units\": 3", "", 1, {SHAPE(1, 4)}, false, MB_ERR_SHAPE, "steps x width"},
    {"LSTM", "\"units\": 3, \"return_state\": 7", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_FORMAT, "'return_state'"},
    {"LSTM", "\"units\": 3", "", 3, {SHAPE(2, 4, 2), SHAPE(1, 3), SHAPE(1, 2)}, false, MB_ERR_SHAPE, "initial state 1 must be (3,)"},
    {"ConvLSTM2D", "\"filters\": 3", "", 1, {SHAPE(4, 2, 8, 8, 1)}, false, MB_ERR_FORMAT, "'kernel_size'"},
    {"ConvLSTM2D", "\"kernel_size\": 3", "", 1, {SHAPE(4, 2, 8, 8, 1)}, false, MB_ERR_FORMAT, "'filters'"},
    {"ConvLSTM2D", "\"filters\": 3, \"kernel_size\": 3", "", 1, {SHAPE(3, 8, 8, 1)}, false, MB_ERR_SHAPE, "steps of images"},
    {"ConvLSTM2D", "\"filters\": 3, \"kernel_size\": 9", "", 1, {SHAPE(4, 2, 8, 8, 1)}, false, MB_ERR_SHAPE, "window"},
    {"ConvLSTM2D", "\"filters\": 3, \"kernel_size\": 3, \"strides\": 2, \"dilation_rate\": 2", "", 1, {SHAPE(4, 2, 8, 8, 1)}, false,
     MB_ERR_ARGUMENT, "'dilation_rate'"},
    {"ConvLSTM2D", "\"filters\": 3, \"kernel_size\": 3, \"padding\": \"causal\"", "", 1, {SHAPE(4, 2, 8, 8, 1)}, false,
     MB_ERR_UNSUPPORTED, "'padding'"},
    {"ConvLSTM2D", "\"filters\": 3, \"kernel_size\": 3, \"stateful\": true", "", 1, {SHAPE(4, 2, 8, 8, 1)}, false,
     MB_ERR_UNSUPPORTED, "'stateful'"},
    {"ConvLSTM2D", "\"filters\": 3, \"kernel_size\": 3, \"implementation\": 1", "", 1, {SHAPE(4, 2, 8, 8, 1)}, false,
     MB_ERR_UNSUPPORTED, "'implementation'"},
    {"ConvLSTM2D", "\"filters\": 3, \"kernel_size\": 3", "", 3, {SHAPE(4, 2, 8, 8, 1), SHAPE(3, 6, 6, 3), SHAPE(3, 6, 6, 2)}, false,
     MB_ERR_SHAPE, "initial state 1"},
    {"LSTM", "\"units\": 3, \"stateful\": true", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'stateful'"},
    {"LSTM", "\"units\": 3, \"time_major\": true", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'time_major'"},
    {"LSTM", "\"units\": 3, \"activation\": \"softmax\"", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "softmax"},
    {"LSTM", "\"units\": 3, \"reset_after\": true", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'reset_after'"},
    {"LSTM", "\"units\": 3, \"implementation\": 3", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_ARGUMENT, "'implementation'"},
    {"LSTM", "\"units\": 3", "", 2, {SHAPE(2, 4, 2), SHAPE(1, 3)}, false, MB_ERR_SHAPE, "2 initial states"},
    {"GRU", "\"units\": 3, \"unit_forget_bias\": true", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'unit_forget_bias'"},
    {"SimpleRNN", "\"units\": 3, \"recurrent_activation\": \"relu\"", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED,
     "'recurrent_activation'"},
    {"RNN", "", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'cell'"},
    {"RNN", "\"cell\": {\"class_name\": \"StackedRNNCells\", \"config\": {}}", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED,
     "'cells'"},
    {"RNN", "\"cell\": {\"class_name\": \"StackedRNNCells\", \"config\": {\"cells\": [{\"class_name\": \"PeepholeCell\", "
     "\"config\": {}}]}}", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'PeepholeCell'"},
    {"RNN", "\"cell\": {\"class_name\": \"StackedRNNCells\", \"config\": {\"reverse_state_order\": true, \"cells\": []}}", "", 1,
     {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'reverse_state_order'"},
    {"RNN", "\"cell\": {\"class_name\": \"GRUCell\", \"config\": {\"units\": 2, \"unroll\": true}}", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'unroll'"},
    {"RNN", "\"cell\": {\"class_name\": \"GRUCell\", \"config\": {\"units\": 2, \"trainable\": false}}", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'trainable'"},
    {"RNN", "\"dtype\": \"float32\", \"cell\": {\"class_name\": \"GRUCell\", \"config\": {\"units\": 2, \"dtype\": \"mixed_float16\"}}", "", 1,
     {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'dtype'"},
    {"Bidirectional", "\"merge_mode\": \"max\", \"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}", "", 1, {SHAPE(2, 4, 2)},
     false, MB_ERR_UNSUPPORTED, "'merge_mode'"},
    {"Bidirectional", "\"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}, \"backward_layer\": {\"class_name\": \"RNN\", "
     "\"config\": {\"go_backwards\": true, \"cell\": {\"class_name\": \"StackedRNNCells\", \"config\": {\"cells\": [{\"class_name\": "
     "\"LSTMCell\", \"config\": {\"units\": 2}}]}}}}", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_ARGUMENT, "both be stacks of cells"},
    {"Bidirectional", "\"layer\": {\"class_name\": \"Dense\", \"config\": {\"units\": 2}}", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'Dense'"},
    {"Bidirectional", "\"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 2, \"activity_regularizer\": \"l2\"}}", "", 1,
     {SHAPE(2, 4, 2)}, false, MB_ERR_UNSUPPORTED, "'activity_regularizer'"},
    {"Bidirectional", "\"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}, \"backward_layer\": {\"class_name\": \"LSTM\", "
     "\"config\": {\"units\": 2}}", "", 1, {SHAPE(2, 4, 2)}, false, MB_ERR_ARGUMENT, "opposite directions"},
    {"Bidirectional", "\"merge_mode\": \"sum\", \"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}, \"backward_layer\": "
     "{\"class_name\": \"LSTM\", \"config\": {\"units\": 3, \"go_backwards\": true}}", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_ARGUMENT, "number of units"},
    {"EinsumDense", "\"equation\": \"abc,cd\", \"output_shape\": 5", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_ARGUMENT, "'equation'"},
    {"EinsumDense", "\"equation\": \"...abc,cd->abd...\", \"output_shape\": 5", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_ARGUMENT, "'equation'"},
    {"EinsumDense", "\"equation\": \"abc,cd->abd\", \"output_shape\": [5]", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_SHAPE, "'output_shape' has 1"},
    {"EinsumDense", "\"equation\": \"abc,cd->abd\", \"output_shape\": [null, null]", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_SHAPE, "axis 'd'"},
    {"EinsumDense", "\"equation\": \"abc,cd->abd\", \"output_shape\": [3, 5]", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_SHAPE, "axis 'b' has 3"},
    {"EinsumDense", "\"equation\": \"abc,acd->abd\", \"output_shape\": [null, 5]", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "mixes the samples"},
    {"EinsumDense", "\"equation\": \"abc,cd->bd\", \"output_shape\": [5]", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "mixes the samples"},
    {"EinsumDense", "\"equation\": \"abc,cd->abe\", \"output_shape\": [null, 5]", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_ARGUMENT, "no operand has"},
    {"EinsumDense", "\"equation\": \"abc,cd->abd\", \"output_shape\": [null, 5], \"bias_axes\": \"x\"", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_ARGUMENT, "'bias_axes' has 'x'"},
    {"EinsumDense", "\"equation\": \"abc,cd->abd\", \"output_shape\": [null, 5], \"lora_rank\": 2", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'lora_rank'"},
    {"EinsumDense", "\"equation\": \"abc,cd->abd\", \"output_shape\": [null, 5]", "", 1, {SHAPE(1, 4)}, false,
     MB_ERR_ARGUMENT, "has 3 axes there, and 2"},
    {"ReversibleEmbedding", "\"input_dim\": 4, \"output_dim\": 2, \"reverse_dtype\": \"int8\"", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_UNSUPPORTED, "'reverse_dtype'"},
    {"ReversibleEmbedding", "\"input_dim\": 4, \"output_dim\": 2, \"logit_soft_cap\": 0.0", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_ARGUMENT, "'logit_soft_cap'"},
    {"ReversibleEmbedding", "\"input_dim\": 4, \"output_dim\": 2", "\"reverse\": true", 1, {SHAPE(1, 4)}, false,
     MB_ERR_SHAPE, "last dimension is 2"},
    {"Lambda", "\"function\": \"f\"", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "keras.ops"},
    {"TimeDistributed", "\"layer\": null", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'layer'"},
    {"TimeDistributed", "\"layer\": {\"class_name\": \"Dnse\", \"config\": {\"units\": 2}}", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'Dense'"},
    {"TimeDistributed", "\"layer\": {\"class_name\": \"Dense\", \"config\": {\"units\": 2, \"unit\": 3}}", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'unit'"},
    {"TimeDistributed", "\"layer\": {\"class_name\": \"MultiHeadAttention\", \"config\": {\"num_heads\": 2, \"key_dim\": 2}}", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "several tensors"},
    {"TimeDistributed", "\"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 2, \"stateful\": true}}", "", 1, {SHAPE(3, 3, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'stateful'"},
    {"Bidirectional", "\"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 2, \"stateful\": true}}", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'stateful'"},
    {"TimeDistributed", "\"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_SHAPE, "steps x width"},
    {"TimeDistributed", "\"dtype\": {\"class_name\": \"DTypePolicy\", \"config\": {\"name\": \"float32\"}}, \"layer\": {\"class_name\": \"Dense\", \"config\": {\"units\": 2, \"dtype\": {\"class_name\": \"DTypePolicy\", \"config\": {\"name\": \"mixed_float16\"}}}}", "", 1, {SHAPE(2, 4, 2)},
     false, MB_ERR_UNSUPPORTED, "key 'dtype' differs"},
    {"Normalization", "\"axis\": 0", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "that of the samples"},
    {"Normalization", "\"axis\": [3]", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_SHAPE, "none of the 3 axes"},
    {"Normalization", "\"mean\": [1, 2]", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_ARGUMENT, "'variance'"},
    {"Normalization", "\"mean\": [1, 2, 3], \"variance\": [1, 2, 3]", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_SHAPE, "'mean' has shape (3,)"},
    {"Normalization", "\"mean\": [1, [2]], \"variance\": [1, 2]", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_FORMAT, "'mean'"},
    {"Discretization", "\"num_bins\": 4, \"bin_boundaries\": null", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'bin_boundaries' is null"},
    {"Discretization", "\"bin_boundaries\": [1.0, 0.5]", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_ARGUMENT, "ascending"},
    {"Discretization", "\"bin_boundaries\": [1.0], \"output_mode\": \"count\"", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "one dimension"},
    {"Discretization", "\"bin_boundaries\": [1.0], \"sparse\": true", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_UNSUPPORTED, "'sparse'"},
    {"CategoryEncoding", "\"num_tokens\": 0", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_ARGUMENT, "'num_tokens'"},
    {"CategoryEncoding", "\"num_tokens\": 3, \"output_mode\": \"int\"", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_ARGUMENT, "'output_mode'"},
    {"Hashing", "\"num_bins\": 3, \"mask_value\": \"none\"", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_UNSUPPORTED, "'mask_value'"},
    {"Hashing", "\"num_bins\": 3, \"salt\": \"x\"", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_FORMAT, "'salt'"},
    {"Hashing", "\"num_bins\": 3, \"output_mode\": \"tf_idf\"", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_ARGUMENT, "'output_mode'"},
    {"IntegerLookup", "\"vocabulary\": null", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_UNSUPPORTED, "'vocabulary' is not a list"},
    {"IntegerLookup", "\"vocabulary\": \"words.txt\"", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_UNSUPPORTED, "name of a file"},
    {"IntegerLookup", "\"vocabulary\": [5, 7, 5]", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_ARGUMENT, "has 5 twice"},
    {"IntegerLookup", "\"vocabulary\": [5, 7], \"num_oov_indices\": 0", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_UNSUPPORTED, "'num_oov_indices'"},
    {"IntegerLookup", "\"vocabulary\": [5, 7], \"oov_method\": \"md5\"", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_ARGUMENT, "'oov_method'"},
    {"IntegerLookup", "\"vocabulary\": [5, 7], \"max_tokens\": 2", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_ARGUMENT, "'max_tokens'"},
    {"IntegerLookup", "\"vocabulary\": [5, 7], \"output_mode\": \"tf_idf\"", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_ARGUMENT, "'idf_weights'"},
    {"IntegerLookup", "\"vocabulary\": [5, 7], \"invert\": true, \"output_mode\": \"count\"", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_ARGUMENT, "'output_mode'"},
    {"StringLookup", "\"vocabulary\": [\"cat\", \"dog\"]", "", 1, {SHAPE(1, 4)}, true,
     MB_ERR_UNSUPPORTED, "mbrun data"},
    {"CenterCrop", "\"height\": 0, \"width\": 3", "", 1, {SHAPE(3, 8, 8, 3)}, false,
     MB_ERR_ARGUMENT, "'height'"},
    {"CenterCrop", "\"height\": 2, \"width\": 3", "", 1, {SHAPE(2, 4, 2)}, false,
     MB_ERR_SHAPE, "3 dimensions"},
    {"RandomCrop", "\"height\": 2, \"width\": 3, \"data_format\": \"last\"", "", 1, {SHAPE(3, 8, 8, 3)}, false,
     MB_ERR_ARGUMENT, "'data_format'"},
    {"RandomFlip", "\"mode\": \"diagonal\"", "", 1, {SHAPE(3, 8, 8, 3)}, false,
     MB_ERR_ARGUMENT, "'mode'"},
    {"RandomRotation", "\"factor\": [0.1, 0.2, 0.3]", "", 1, {SHAPE(3, 8, 8, 3)}, false,
     MB_ERR_FORMAT, "'factor'"},
    {"RandomRotation", "\"factor\": 0.1, \"fill_mode\": \"mirror\"", "", 1, {SHAPE(3, 8, 8, 3)}, false,
     MB_ERR_ARGUMENT, "'fill_mode'"},
    {"RandomTranslation", "\"height_factor\": 0.1", "", 1, {SHAPE(3, 8, 8, 3)}, false,
     MB_ERR_FORMAT, "'width_factor'"},
    {"RandomZoom", "\"height_factor\": 0.1, \"interpolation\": \"bicubic\"", "", 1, {SHAPE(3, 8, 8, 3)}, false,
     MB_ERR_ARGUMENT, "'interpolation'"},
    {"RandomContrast", "\"factor\": 0.1, \"factors\": 1", "", 1, {SHAPE(3, 8, 8, 3)}, false,
     MB_ERR_UNSUPPORTED, "'factors'"},
    {"RandomBrightness", "\"factor\": \"much\"", "", 1, {SHAPE(3, 8, 8, 3)}, false,
     MB_ERR_FORMAT, "'factor'"},
};

typedef struct {
    const char *class_name, *config;
    int n_inputs;
    mb_shape_t shapes[3];
    bool integer;
    const char *output;
    const char *params; /* "name shape fan_in fan_out, ..." */
} shape_case_t;

/* Shapes by Keras; fans by its compute_fans, for attention by EinsumDense's input and output axes. */
static const shape_case_t shape_cases[] = {
    {"Dense", "\"units\": 3, \"kernel_initializer\": {\"class_name\": \"GlorotUniform\", \"config\": {\"seed\": null}}, "
     "\"bias_initializer\": {\"class_name\": \"Zeros\", \"config\": {}}", 1, {SHAPE(2, 5, 4)}, false, "(5, 3)",
     "kernel (4, 3) 4 3, bias (3,) 3 3"},
    {"Conv1D", "\"filters\": 6, \"kernel_size\": [3], \"groups\": 2, \"data_format\": \"channels_last\"", 1, {SHAPE(2, 9, 4)}, false,
     "(7, 6)", "kernel (3, 2, 6) 6 18, bias (6,) 6 6"},
    {"Conv1D", "\"filters\": 6, \"kernel_size\": 4, \"padding\": \"same\", \"strides\": 2", 1, {SHAPE(2, 9, 4)}, false, "(5, 6)",
     "kernel (4, 4, 6) 16 24, bias (6,) 6 6"},
    {"Conv1D", "\"filters\": 6, \"kernel_size\": 4, \"padding\": \"causal\", \"strides\": 2", 1, {SHAPE(2, 8, 4)}, false, "(4, 6)",
     "kernel (4, 4, 6) 16 24, bias (6,) 6 6"},
    {"Conv2D", "\"filters\": 6, \"kernel_size\": [3, 2], \"dilation_rate\": [2, 1]", 1, {SHAPE(3, 9, 8, 4)}, false, "(5, 7, 6)",
     "kernel (3, 2, 4, 6) 24 36, bias (6,) 6 6"},
    {"Conv3D", "\"filters\": 6, \"kernel_size\": [1, 3, 2], \"groups\": 2", 1, {SHAPE(4, 3, 9, 8, 4)}, false, "(3, 7, 7, 6)",
     "kernel (1, 3, 2, 2, 6) 12 36, bias (6,) 6 6"},
    {"Conv2D", "\"filters\": 6, \"kernel_size\": 3, \"data_format\": \"channels_first\"", 1, {SHAPE(3, 4, 9, 8)}, false, "(6, 7, 6)",
     "kernel (3, 3, 4, 6) 36 54, bias (6,) 6 6"},
    {"DepthwiseConv2D", "\"kernel_size\": 3, \"depth_multiplier\": 2, \"groups\": 1", 1, {SHAPE(3, 9, 8, 4)}, false, "(7, 6, 8)",
     "kernel (3, 3, 4, 2) 36 18, bias (8,) 8 8"},
    {"SeparableConv1D", "\"filters\": 6, \"kernel_size\": 3, \"depth_multiplier\": 2, \"kernel_initializer\": null, \"groups\": 1", 1,
     {SHAPE(2, 9, 4)}, false, "(7, 6)", "depthwise_kernel (3, 4, 2) 12 6, pointwise_kernel (1, 8, 6) 8 6, bias (6,) 6 6"},
    {"Conv2DTranspose", "\"filters\": 6, \"kernel_size\": [3, 2], \"strides\": 2, \"output_padding\": null", 1, {SHAPE(3, 4, 5, 3)}, false,
     "(9, 10, 6)", "kernel (3, 2, 6, 3) 36 18, bias (6,) 6 6"},
    {"Conv1DTranspose", "\"filters\": 6, \"kernel_size\": 3, \"strides\": 2, \"padding\": \"same\", \"output_padding\": 0", 1,
     {SHAPE(2, 4, 3)}, false, "(7, 6)", "kernel (3, 6, 3) 18 9, bias (6,) 6 6"},
    {"AveragePooling3D", "\"pool_size\": 2, \"data_format\": \"channels_first\"", 1, {SHAPE(4, 4, 9, 8, 2)}, false, "(4, 4, 4, 1)", ""},
    {"GlobalMaxPooling3D", "\"keepdims\": true, \"data_format\": \"channels_first\"", 1, {SHAPE(4, 4, 9, 8, 2)}, false, "(4, 1, 1, 1)",
     ""},
    {"AdaptiveAveragePooling2D", "\"output_size\": [3, 20]", 1, {SHAPE(3, 9, 8, 4)}, false, "(3, 20, 4)", ""},
    {"UpSampling2D", "\"size\": [2, 3], \"interpolation\": \"lanczos3\"", 1, {SHAPE(3, 9, 8, 4)}, false, "(18, 24, 4)", ""},
    {"UpSampling3D", "", 1, {SHAPE(4, 1, 9, 8, 4)}, false, "(2, 18, 16, 4)", ""},
    {"Resizing", "\"height\": 3, \"width\": 7, \"fill_mode\": \"constant\", \"fill_value\": 0.0", 1, {SHAPE(3, 9, 8, 4)}, false,
     "(3, 7, 4)", ""},
    {"ZeroPadding2D", "\"padding\": [[1, 2], 3]", 1, {SHAPE(3, 9, 8, 4)}, false, "(12, 14, 4)", ""},
    {"Cropping3D", "\"cropping\": 1", 1, {SHAPE(4, 3, 9, 8, 4)}, false, "(1, 7, 6, 4)", ""},
    {"MaxPooling2D", "\"pool_size\": [2, 2], \"padding\": \"valid\", \"strides\": [2, 2]", 1, {SHAPE(3, 9, 8, 4)}, false,
     "(4, 4, 4)", ""},
    {"AveragePooling1D", "\"pool_size\": 3, \"padding\": \"same\"", 1, {SHAPE(2, 10, 4)}, false, "(4, 4)", ""},
    {"GlobalMaxPooling2D", "\"keepdims\": true", 1, {SHAPE(3, 9, 8, 4)}, false, "(1, 1, 4)", ""},
    {"GlobalAveragePooling1D", "", 1, {SHAPE(2, 9, 4)}, false, "(4,)", ""},
    {"Flatten", "", 1, {SHAPE(3, 2, 3, 4)}, false, "(24,)", ""},
    {"Reshape", "\"target_shape\": [4, -1, 2]", 1, {SHAPE(3, 2, 3, 4)}, false, "(4, 3, 2)", ""},
    {"Concatenate", "\"axis\": 2", 3, {SHAPE(2, 3, 4), SHAPE(2, 3, 1), SHAPE(2, 3, 2)}, false, "(3, 7)", ""},
    {"Cropping1D", "\"cropping\": 1", 1, {SHAPE(2, 9, 4)}, false, "(7, 4)", ""},
    {"BatchNormalization", "\"axis\": [2], \"momentum\": 0.9, \"epsilon\": 0.001, \"virtual_batch_size\": null", 1, {SHAPE(2, 9, 4)},
     false, "(9, 4)", "gamma (4,) 4 4, beta (4,) 4 4, moving_mean (4,) 4 4, moving_variance (4,) 4 4"},
    {"BatchNormalization", "\"scale\": false, \"center\": false", 1, {SHAPE(1, 4)}, false, "(4,)",
     "moving_mean (4,) 4 4, moving_variance (4,) 4 4"},
    {"LayerNormalization", "\"axis\": [-1]", 1, {SHAPE(2, 9, 4)}, false, "(9, 4)", "gamma (4,) 4 4, beta (4,) 4 4"},
    {"Embedding", "\"input_dim\": 11, \"output_dim\": 4, \"input_length\": 9, \"mask_zero\": false", 1, {SHAPE(1, 9)}, true, "(9, 4)",
     "embeddings (11, 4) 11 4"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 3, \"value_dim\": 4, \"output_shape\": [7], \"flash_attention\": null", 3,
     {SHAPE(2, 5, 6), SHAPE(2, 8, 9), SHAPE(2, 8, 10)}, false, "(5, 7)",
     "query/kernel (6, 2, 3) 6 6, query/bias (2, 3) 2 3, key/kernel (10, 2, 3) 10 6, key/bias (2, 3) 2 3, "
     "value/kernel (9, 2, 4) 9 8, value/bias (2, 4) 2 4, attention_output/kernel (2, 4, 7) 8 7, attention_output/bias (7,) 7 7"},
    {"MultiHeadAttention", "\"num_heads\": 2, \"key_dim\": 3, \"attention_axes\": [-3], \"use_bias\": false", 2,
     {SHAPE(3, 5, 4, 6), SHAPE(3, 8, 4, 9)}, false, "(5, 4, 6)",
     "query/kernel (6, 2, 3) 6 6, key/kernel (9, 2, 3) 9 6, value/kernel (9, 2, 3) 9 6, attention_output/kernel (2, 3, 6) 6 6"},
    {"GroupQueryAttention", "\"head_dim\": 3, \"num_query_heads\": 4, \"num_key_value_heads\": 2, \"use_bias\": false, \"seed\": 1", 2,
     {SHAPE(2, 5, 6), SHAPE(2, 8, 6)}, false, "(5, 6)",
     "query/kernel (6, 4, 3) 6 12, key/kernel (6, 2, 3) 6 6, value/kernel (6, 2, 3) 6 6, attention_output/kernel (4, 3, 6) 12 6"},
    {"Attention", "\"use_scale\": true, \"score_mode\": \"concat\", \"dropout\": 0.1, \"seed\": 3", 3,
     {SHAPE(2, 5, 6), SHAPE(2, 8, 9), SHAPE(2, 8, 6)}, false, "(5, 9)", "scale () 1 1, concat_score_weight () 1 1"},
    {"AdditiveAttention", "\"dropout\": 0.1", 2, {SHAPE(2, 5, 6), SHAPE(2, 8, 6)}, false, "(5, 6)", "scale (6,) 6 6"},
    {"Masking", "\"mask_value\": -1", 1, {SHAPE(2, 5, 6)}, false, "(5, 6)", ""},
    {"SimpleRNN", "\"units\": 3, \"use_bias\": false, \"implementation\": 1", 1, {SHAPE(2, 4, 2)}, false, "(3,)",
     "simple_rnn_cell/kernel (2, 3) 2 3, simple_rnn_cell/recurrent_kernel (3, 3) 3 3"},
    {"LSTM", "\"units\": 3, \"return_sequences\": true, \"zero_output_for_mask\": true, \"unit_forget_bias\": false, "
     "\"recurrent_initializer\": {\"class_name\": \"Orthogonal\", \"config\": {\"seed\": null, \"gain\": 1.0}}", 1,
     {SHAPE(2, 4, 2)}, false, "(4, 3)",
     "lstm_cell/kernel (2, 12) 2 12, lstm_cell/recurrent_kernel (3, 12) 3 12, lstm_cell/bias (12,) 12 12"},
    {"RNN", "\"cell\": {\"class_name\": \"StackedRNNCells\", \"config\": {\"name\": \"cells\", \"cells\": ["
     "{\"class_name\": \"GRUCell\", \"config\": {\"name\": \"one\", \"units\": 3}}, "
     "{\"class_name\": \"SimpleRNNCell\", \"config\": {\"units\": 2, \"use_bias\": false}}]}}", 1, {SHAPE(2, 4, 2)}, false, "(2,)",
     "cells/one/kernel (2, 9) 2 9, cells/one/recurrent_kernel (3, 9) 3 9, cells/one/bias (2, 9) 2 9, "
     "cells/simple_rnn_cell/kernel (3, 2) 3 2, cells/simple_rnn_cell/recurrent_kernel (2, 2) 2 2"},
    {"LSTM", "\"units\": 3, \"return_sequences\": true, \"return_state\": true", 3, {SHAPE(2, 4, 2), SHAPE(1, 3), SHAPE(1, 3)},
     false, "(4, 3)", ""},
    {"Bidirectional", "\"layer\": {\"class_name\": \"RNN\", \"config\": {\"name\": \"r\", \"cell\": {\"class_name\": \"StackedRNNCells\", "
     "\"config\": {\"name\": \"s\", \"cells\": [{\"class_name\": \"SimpleRNNCell\", \"config\": {\"name\": \"a\", \"units\": 3, \"use_bias\": "
     "false}}, {\"class_name\": \"SimpleRNNCell\", \"config\": {\"name\": \"b\", \"units\": 2, \"use_bias\": false}}]}}}}", 1,
     {SHAPE(2, 4, 5)}, false, "(4,)",
     "forward_r/s/a/kernel (5, 3) 5 3, forward_r/s/a/recurrent_kernel (3, 3) 3 3, forward_r/s/b/kernel (3, 2) 3 2, "
     "forward_r/s/b/recurrent_kernel (2, 2) 2 2, backward_r/s/a/kernel (5, 3) 5 3, backward_r/s/a/recurrent_kernel (3, 3) 3 3, "
     "backward_r/s/b/kernel (3, 2) 3 2, backward_r/s/b/recurrent_kernel (2, 2) 2 2"},
    {"Bidirectional", "\"merge_mode\": null, \"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": 3, \"return_state\": true}}",
     3, {SHAPE(2, 4, 2), SHAPE(1, 3), SHAPE(1, 3)}, false, "(3,)", ""},
    {"ConvLSTM1D", "\"filters\": 3, \"kernel_size\": 2, \"use_bias\": false, \"dilation_rate\": 2, \"unroll\": true", 1,
     {SHAPE(3, 4, 7, 2)}, false, "(5, 3)", "conv_lstm_cell/kernel (2, 2, 12) 4 24, conv_lstm_cell/recurrent_kernel (2, 3, 12) 6 24"},
    {"ConvLSTM2D", "\"filters\": 3, \"kernel_size\": [3, 2], \"strides\": 2, \"padding\": \"same\", \"return_sequences\": true, "
     "\"data_format\": \"channels_first\", \"unit_forget_bias\": false, \"seed\": 4, \"dropout\": 0.1, \"recurrent_dropout\": 0.2", 1,
     {SHAPE(4, 5, 2, 8, 6)}, false, "(5, 3, 4, 3)",
     "conv_lstm_cell/kernel (3, 2, 2, 12) 12 72, conv_lstm_cell/recurrent_kernel (3, 2, 3, 12) 18 72, conv_lstm_cell/bias (12,) 12 12"},
    {"ConvLSTM3D", "\"filters\": 1, \"kernel_size\": 2, \"return_state\": true, \"go_backwards\": true", 1, {SHAPE(5, 2, 3, 4, 5, 2)}, false,
     "(2, 3, 4, 1)", ""},
    {"GRU", "\"units\": 3", 1, {SHAPE(2, 4, 2)}, false, "(3,)",
     "gru_cell/kernel (2, 9) 2 9, gru_cell/recurrent_kernel (3, 9) 3 9, gru_cell/bias (2, 9) 2 9"},
    {"GRU", "\"units\": 3, \"reset_after\": false", 1, {SHAPE(2, 4, 2)}, false, "(3,)",
     "gru_cell/kernel (2, 9) 2 9, gru_cell/recurrent_kernel (3, 9) 3 9, gru_cell/bias (9,) 9 9"},
    {"RNN", "\"cell\": {\"class_name\": \"SimpleRNNCell\", \"config\": {\"name\": \"mine\", \"units\": 3}}", 1, {SHAPE(2, 4, 2)}, false,
     "(3,)", "mine/kernel (2, 3) 2 3, mine/recurrent_kernel (3, 3) 3 3, mine/bias (3,) 3 3"},
    {"Bidirectional", "\"layer\": {\"class_name\": \"SimpleRNN\", \"config\": {\"name\": \"forward_l\", \"units\": 3}}, "
     "\"backward_layer\": {\"class_name\": \"SimpleRNN\", \"config\": {\"name\": \"other\", \"units\": 2, \"go_backwards\": true, "
     "\"use_bias\": false}}", 1, {SHAPE(2, 4, 2)}, false, "(5,)",
     "forward_l/simple_rnn_cell/kernel (2, 3) 2 3, forward_l/simple_rnn_cell/recurrent_kernel (3, 3) 3 3, "
     "forward_l/simple_rnn_cell/bias (3,) 3 3, other/simple_rnn_cell/kernel (2, 2) 2 2, "
     "other/simple_rnn_cell/recurrent_kernel (2, 2) 2 2"},
    {"Bidirectional", "\"merge_mode\": \"ave\", \"layer\": {\"class_name\": \"GRU\", \"config\": {\"name\": \"g\", \"units\": 3, "
     "\"return_sequences\": true, \"use_bias\": false}}, \"backward_layer\": null", 1, {SHAPE(2, 4, 2)}, false, "(4, 3)",
     "forward_g/gru_cell/kernel (2, 9) 2 9, forward_g/gru_cell/recurrent_kernel (3, 9) 3 9, "
     "backward_g/gru_cell/kernel (2, 9) 2 9, backward_g/gru_cell/recurrent_kernel (3, 9) 3 9"},
    {"EinsumDense", "\"equation\": \"abcd,cde->abe\", \"output_shape\": [null, 7], \"bias_axes\": \"be\"", 1, {SHAPE(3, 4, 2, 3)}, false,
     "(4, 7)", "kernel (2, 3, 7) 6 7, bias (4, 7) 4 7"},
    {"EinsumDense", "\"equation\": \"...x,xyz->...yz\", \"output_shape\": [2, 7], \"bias_axes\": \"y\"", 1, {SHAPE(2, 4, 3)}, false,
     "(4, 2, 7)", "kernel (3, 2, 7) 3 14, bias (2, 1) 2 1"},
    {"EinsumDense", "\"equation\": \"ab...,bc->ac...\", \"output_shape\": 7, \"bias_axes\": \"c\"", 1, {SHAPE(2, 4, 3)}, false,
     "(7, 3)", "kernel (4, 7) 4 7, bias (7, 1) 7 1"},
    {"ReversibleEmbedding", "\"input_dim\": 11, \"output_dim\": 4, \"tie_weights\": false, \"reverse_dtype\": null", 1, {SHAPE(1, 9)},
     true, "(9, 4)", "embeddings (11, 4) 11 4, reverse_embeddings (4, 11) 4 11"},
    {"TimeDistributed", "\"layer\": {\"class_name\": \"TimeDistributed\", \"config\": {\"name\": \"t\", \"layer\": {\"class_name\": "
     "\"Dense\", \"config\": {\"name\": \"d\", \"units\": 3}}}}", 1, {SHAPE(3, 5, 6, 4)}, false, "(5, 6, 3)",
     "t/d/kernel (4, 3) 4 3, t/d/bias (3,) 3 3"},
    {"TimeDistributed", "\"dtype\": {\"class_name\": \"DTypePolicy\", \"config\": {\"name\": \"float32\"}, \"shared_object_id\": 1}, \"layer\": {\"class_name\": "
     "\"Dense\", \"config\": {\"name\": \"d\", \"units\": 3, \"dtype\": {\"class_name\": \"DTypePolicy\", \"config\": {\"name\": \"float32\"}}}}", 1, {SHAPE(2, 6, 4)},
     false, "(6, 3)", "d/kernel (4, 3) 4 3, d/bias (3,) 3 3"},
    {"Normalization", "\"axis\": [1, -1], \"invert\": true, \"mean\": null, \"variance\": null", 1, {SHAPE(3, 5, 6, 4)}, false,
     "(5, 6, 4)", "mean (5, 4) 0 0, variance (5, 4) 0 0, count () 0 0"},
    {"Discretization", "\"bin_boundaries\": [0.0, 1.0], \"output_mode\": \"one_hot\", \"num_bins\": 3, \"epsilon\": 0.1", 1,
     {SHAPE(2, 5, 1)}, false, "(5, 3)", ""},
    {"CategoryEncoding", "\"num_tokens\": 6, \"output_mode\": \"one_hot\"", 1, {SHAPE(1, 5)}, true, "(5, 6)", ""},
    {"Hashing", "\"num_bins\": 6, \"dtype\": \"int64\", \"output_mode\": \"count\"", 1, {SHAPE(1, 5)}, true, "(6,)", ""},
    {"IntegerLookup", "\"vocabulary\": [4, 5], \"dtype\": \"int64\", \"num_oov_indices\": 2, \"output_mode\": \"multi_hot\"", 1,
     {SHAPE(1, 5)}, true, "(4,)", ""},
    {"CenterCrop", "\"height\": 3, \"width\": 9, \"data_format\": \"channels_first\"", 1, {SHAPE(3, 4, 9, 8)}, false, "(4, 3, 9)", ""},
    {"RandomCrop", "\"height\": 3, \"width\": 4, \"seed\": 7", 1, {SHAPE(3, 9, 8, 4)}, false, "(3, 4, 4)", ""},
};
/* clang-format on */

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

START_TEST(layer_refuses_what_it_cannot_obey_and_names_it)
{
    const refusal_t *c = &refusals[_i];
    char *model =
        layer_model_text(c->class_name, c->config, c->kwargs, c->n_inputs, c->shapes, c->integer);
    mb_graph_t *graph = NULL;
    mb_status_t status = mb_graph_create(model, "a test", &graph);
    if (status == MB_OK)
        status = mb_graph_bind(graph, NULL);
    const char *message = mb_error_get();
    ck_assert_msg(status == c->status, "%s {%s}: status %d, not %d: %s", c->class_name, c->config,
                  (int)status, (int)c->status, message);
    ck_assert_msg(strstr(message, c->message) != NULL, "'%s' does not say %s", message, c->message);
    ck_assert_msg(strstr(message, "'it'") != NULL, "'%s' does not name the layer", message);
    mb_graph_destroy(graph);
    free(model);
}
END_TEST

static void describe_params(const mb_graph_t *graph, const mb_layer_t *layer, mb_str_t *text)
{
    for (int i = 0; i < layer->n_params; i++) {
        const mb_param_t *param = &graph->params[layer->params[i]];
        char shape[MB_SHAPE_TEXT];
        mb_str_addf(text, "%s%s %s %d %d", i == 0 ? "" : ", ", param->name,
                    mb_shape_text(&param->shape, shape, sizeof(shape)), (int)param->fan_in,
                    (int)param->fan_out);
    }
}

START_TEST(layer_infers_the_shapes_and_parameters_that_keras_has)
{
    const shape_case_t *c = &shape_cases[_i];
    char *model =
        layer_model_text(c->class_name, c->config, "", c->n_inputs, c->shapes, c->integer);
    mb_graph_t *graph = NULL;
    char shape[MB_SHAPE_TEXT];
    mb_str_t params = {0};
    mb_str_add(&params, "");
    ck_assert_msg(mb_graph_create(model, "a test", &graph) == MB_OK, "%s", mb_error_get());
    ck_assert_msg(mb_graph_bind(graph, NULL) == MB_OK, "%s", mb_error_get());
    const mb_call_t *call = &graph->nodes[graph->n_nodes - 1].call;
    ck_assert_str_eq(mb_shape_text(&call->output, shape, sizeof(shape)), c->output);
    describe_params(graph, call->layer, &params);
    ck_assert_str_eq(params.text == NULL ? "" : params.text, c->params);
    mb_str_free(&params);
    mb_graph_destroy(graph);
    free(model);
}
END_TEST

START_TEST(registry_finds_each_class_by_the_name_it_lists)
{
    size_t count = 0;
    for (const char *name; (name = mb_known_layers.name(count)) != NULL; count++) {
        const mb_layer_class_t *class_ = mb_layer_class_find(name);
        ck_assert_msg(class_ != NULL, "%s is listed and not found", name);
        ck_assert_str_eq(class_->name, name);
        ck_assert_uint_eq(class_->size, sizeof(mb_layer_class_t));
        ck_assert_msg(class_->declare == NULL || class_->backward_weights != NULL ||
                          strcmp(name, "Normalization") == 0, /* none of its weights trains */
                      "%s has weights and no gradients of them", name);
    }
    ck_assert_uint_gt(count, 20);
    ck_assert_ptr_null(mb_layer_class_find("dense"));
}
END_TEST

/* A call of a layer on samples of a shape and type, by its class alone. */
static mb_status_t infer_alone(const char *class_name, const char *inside, mb_shape_t shape,
                               mb_dtype_t type, mb_call_t *call)
{
    mb_layer_t layer = {.name = "it", .path = "it", .trainable = true};
    mb_arena_t *arena = mb_arena_create();
    char text[128];
    mb_config_t config;
    snprintf(text, sizeof(text), "{%s}", inside);
    json_t *json = json_loads(text, 0, NULL);
    layer.class_ = mb_layer_class_find(class_name);
    *call = (mb_call_t){.layer = &layer, .n_inputs = 1};
    call->inputs[0] = shape;
    call->input_types[0] = type;
    mb_status_t status = mb_config_open(&config, json, "layer 'it'");
    if (status == MB_OK)
        status = layer.class_->parse(&config, arena, &layer.config);
    if (status == MB_OK)
        status = layer.class_->infer(call);
    call->layer = NULL;
    json_decref(json);
    mb_arena_destroy(arena);
    return status;
}

START_TEST(layers_refuse_inputs_of_the_wrong_type)
{
    mb_shape_t shape = {1, {4}};
    mb_call_t call;
    ck_assert_int_eq(infer_alone("Dense", "\"units\": 3", shape, MB_I32, &call),
                     MB_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "input 0 is int32"));
    ck_assert_int_eq(
        infer_alone("Embedding", "\"input_dim\": 3, \"output_dim\": 2", shape, MB_F32, &call),
        MB_ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(mb_error_get(), "float32"));
    ck_assert_int_eq(infer_alone("Flatten", "", shape, MB_I32, &call), MB_OK);
    ck_assert_int_eq(call.output_type, MB_I32);
}
END_TEST

/* Two inputs of widths 4 and 5 through one Dense layer. */
START_TEST(further_call_of_a_layer_must_fit_its_weights)
{
#define INPUT(name, width)                                                                         \
    "{\"class_name\": \"InputLayer\", \"config\": {\"batch_shape\": [null, " width                 \
    "], \"name\": \"" name "\"}, \"name\": \"" name "\", \"inbound_nodes\": []},"
    static const char model[] =
        "{\"class_name\": \"Functional\", \"config\": {\"name\": \"m\", \"layers\": [" INPUT("a",
                                                                                             "4")
            INPUT("b",
                  "5") "{\"class_name\": \"Dense\", \"config\": {\"name\": \"it\", \"units\": 2}, "
                       "\"name\": \"it\", \"inbound_nodes\": [[[\"a\", 0, 0, {}]], [[\"b\", 0, 0, "
                       "{}]]]}], \"input_layers\": [[\"a\", 0, 0], [\"b\", 0, 0]], "
                       "\"output_layers\": [[\"it\", 0, 0], [\"it\", 1, 0]]}}";
#undef INPUT
    mb_graph_t *graph = NULL;
    ck_assert_msg(mb_graph_create(model, "a test", &graph) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(mb_graph_bind(graph, NULL), MB_ERR_SHAPE);
    ck_assert_msg(strstr(mb_error_get(), "last dimension is 4, another call gives (5,)") != NULL,
                  "%s", mb_error_get());
    mb_graph_destroy(graph);
}
END_TEST

/* Ids from a lookup, turned into another shape, for a table of ROWS rows. */
static mb_status_t bind_lookup(int rows, mb_graph_t **graph)
{
    static const char model[] =
        "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"m\", \"layers\": ["
        "{\"class_name\": \"InputLayer\", \"config\": {\"batch_shape\": [null, 4], \"dtype\": "
        "\"int64\", \"name\": \"in\"}},"
        "{\"class_name\": \"IntegerLookup\", \"config\": {\"name\": \"words\", \"vocabulary\": "
        "[5, 7, 9], \"mask_token\": 0}},"
        "{\"class_name\": \"Reshape\", \"config\": {\"name\": \"r\", \"target_shape\": [2, 2]}},"
        "{\"class_name\": \"Embedding\", \"config\": {\"name\": \"table\", \"input_dim\": %d, "
        "\"output_dim\": 2}}]}}";
    char text[1024];
    snprintf(text, sizeof(text), model, rows);
    ck_assert_msg(mb_graph_create(text, "a test", graph) == MB_OK, "%s", mb_error_get());
    return mb_graph_bind(*graph, NULL);
}

START_TEST(a_table_must_have_a_row_for_each_id_that_it_may_be_given)
{
    mb_graph_t *graph = NULL;
    ck_assert_msg(bind_lookup(5, &graph) == MB_OK, "%s", mb_error_get());
    ck_assert_int_eq(graph->nodes[graph->inputs[0]].call.output_type, MB_I32);
    mb_graph_destroy(graph);
    ck_assert_int_eq(bind_lookup(4, &graph), MB_ERR_SHAPE);
    ck_assert_msg(strstr(mb_error_get(), "'words'") != NULL &&
                      strstr(mb_error_get(), "up to 4") != NULL &&
                      strstr(mb_error_get(), "4 rows") != NULL,
                  "%s", mb_error_get());
    mb_graph_destroy(graph);
}
END_TEST

/* A shape of all open positions stays open, and what does not depend on it is known. */
START_TEST(open_dimensions_pass_through_inference)
{
    static const struct {
        const char *class_name;
        const char *config;
        const char *output;
    } open[] = {
        {"Dense", "\"units\": 3", "(?, 3)"},
        {"Conv1D", "\"filters\": 3, \"kernel_size\": 5", "(?, 3)"},
        {"MaxPooling1D", "\"pool_size\": 2", "(?, 4)"},
        {"DepthwiseConv1D", "\"kernel_size\": 3, \"depth_multiplier\": 3", "(?, 12)"},
        {"Conv1DTranspose", "\"filters\": 3, \"kernel_size\": 3", "(?, 3)"},
        {"AdaptiveMaxPooling1D", "\"output_size\": 5", "(5, 4)"},
        {"UpSampling1D", "\"size\": 5", "(?, 4)"},
        {"ZeroPadding1D", "\"padding\": 2", "(?, 4)"},
        {"GlobalMaxPooling1D", "", "(4,)"},
        {"Flatten", "", "(?,)"},
        {"Cropping1D", "\"cropping\": 2", "(?, 4)"},
        {"LayerNormalization", "", "(?, 4)"},
        {"LSTM", "\"units\": 3", "(3,)"},
        {"GRU", "\"units\": 3, \"return_sequences\": true", "(?, 3)"},
    };
    for (int i = 0; i < COUNT(open); i++) {
        mb_call_t call;
        char shape[MB_SHAPE_TEXT];
        mb_status_t status = infer_alone(open[i].class_name, open[i].config,
                                         (mb_shape_t){2, {MB_OPEN, 4}}, MB_F32, &call);
        ck_assert_msg(status == MB_OK, "%s", mb_error_get());
        ck_assert_str_eq(mb_shape_text(&call.output, shape, sizeof(shape)), open[i].output);
    }
}
END_TEST

/* What a hard_sigmoid makes of 1 in a model whose input has its shape under KEY. */
static float hard_sigmoid_of_one(const char *class_name, const char *config, const char *key)
{
    mb_shape_t shape = {2, {1, 1}};
    char *model = layer_model_text(class_name, config, "", 1, &shape, false);
    mb_str_t text = {0};
    char *at = strstr(model, "\"batch_shape\"");
    ck_assert_ptr_nonnull(at);
    *at = '\0';
    mb_str_addf(&text, "%s\"%s\"%s", model, key, at + strlen("\"batch_shape\""));
    layer_fixture_t *f = layer_open("cpu", text.text, 1);
    ((float *)f->host_inputs[0])[0] = 1;
    for (int i = 0; i < f->layer->n_params; i++)
        f->host_params[i][0] = 1;
    layer_forward(f);
    float found = f->host_output[0];
    layer_close(f);
    mb_str_free(&text);
    free(model);
    return found;
}

/* clip(0.2 x + 0.5) and clip(x / 6 + 0.5) */
START_TEST(hard_sigmoid_is_that_of_the_keras_that_wrote_the_model)
{
    static const char *const classes[][2] = {
        {"Activation", "\"activation\": \"hard_sigmoid\""},
        {"SimpleRNN", "\"units\": 1, \"use_bias\": false, \"activation\": \"hard_sigmoid\""},
        {"Bidirectional",
         "\"layer\": {\"class_name\": \"SimpleRNN\", \"config\": {\"units\": 1, \"use_bias\": "
         "false, \"activation\": \"hard_sigmoid\"}}"}};
    for (int i = 0; i < COUNT(classes); i++) {
        float two = hard_sigmoid_of_one(classes[i][0], classes[i][1], "batch_input_shape");
        float three = hard_sigmoid_of_one(classes[i][0], classes[i][1], "batch_shape");
        ck_assert_float_eq_tol(two, 0.7F, 1e-6F);
        ck_assert_float_eq_tol(three, 1.0F / 6 + 0.5F, 1e-6F);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("layer configurations");
    TCase *t = tcase_create("configurations");
    tcase_add_loop_test(t, layer_refuses_what_it_cannot_obey_and_names_it, 0, COUNT(refusals));
    tcase_add_loop_test(t, layer_infers_the_shapes_and_parameters_that_keras_has, 0,
                        COUNT(shape_cases));
    tcase_add_test(t, registry_finds_each_class_by_the_name_it_lists);
    tcase_add_test(t, hard_sigmoid_is_that_of_the_keras_that_wrote_the_model);
    tcase_add_test(t, further_call_of_a_layer_must_fit_its_weights);
    tcase_add_test(t, layers_refuse_inputs_of_the_wrong_type);
    tcase_add_test(t, a_table_must_have_a_row_for_each_id_that_it_may_be_given);
    tcase_add_test(t, open_dimensions_pass_through_inference);
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
