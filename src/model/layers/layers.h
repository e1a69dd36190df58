/* What the layer files share: the built-in classes, and short helpers over calls and runs. */
#ifndef MB_MODEL_LAYERS_LAYERS_H
#define MB_MODEL_LAYERS_LAYERS_H

#include "model/activation.h"
#include "model/initializer.h"
#include "model/layer.h"

#define MB_LAYER_LIST(X)                                                                           \
    X(dense, "Dense")                                                                              \
    X(einsum_dense, "EinsumDense")                                                                 \
    X(conv1d, "Conv1D")                                                                            \
    X(conv2d, "Conv2D")                                                                            \
    X(conv3d, "Conv3D")                                                                            \
    X(depthwise_conv1d, "DepthwiseConv1D")                                                         \
    X(depthwise_conv2d, "DepthwiseConv2D")                                                         \
    X(separable_conv1d, "SeparableConv1D")                                                         \
    X(separable_conv2d, "SeparableConv2D")                                                         \
    X(conv1d_transpose, "Conv1DTranspose")                                                         \
    X(conv2d_transpose, "Conv2DTranspose")                                                         \
    X(conv3d_transpose, "Conv3DTranspose")                                                         \
    X(max_pooling1d, "MaxPooling1D")                                                               \
    X(max_pooling2d, "MaxPooling2D")                                                               \
    X(max_pooling3d, "MaxPooling3D")                                                               \
    X(average_pooling1d, "AveragePooling1D")                                                       \
    X(average_pooling2d, "AveragePooling2D")                                                       \
    X(average_pooling3d, "AveragePooling3D")                                                       \
    X(global_max_pooling1d, "GlobalMaxPooling1D")                                                  \
    X(global_max_pooling2d, "GlobalMaxPooling2D")                                                  \
    X(global_max_pooling3d, "GlobalMaxPooling3D")                                                  \
    X(global_average_pooling1d, "GlobalAveragePooling1D")                                          \
    X(global_average_pooling2d, "GlobalAveragePooling2D")                                          \
    X(global_average_pooling3d, "GlobalAveragePooling3D")                                          \
    X(adaptive_max_pooling1d, "AdaptiveMaxPooling1D")                                              \
    X(adaptive_max_pooling2d, "AdaptiveMaxPooling2D")                                              \
    X(adaptive_max_pooling3d, "AdaptiveMaxPooling3D")                                              \
    X(adaptive_average_pooling1d, "AdaptiveAveragePooling1D")                                      \
    X(adaptive_average_pooling2d, "AdaptiveAveragePooling2D")                                      \
    X(adaptive_average_pooling3d, "AdaptiveAveragePooling3D")                                      \
    X(flatten, "Flatten")                                                                          \
    X(reshape, "Reshape")                                                                          \
    X(identity, "Identity")                                                                        \
    X(cropping1d, "Cropping1D")                                                                    \
    X(cropping2d, "Cropping2D")                                                                    \
    X(cropping3d, "Cropping3D")                                                                    \
    X(zero_padding1d, "ZeroPadding1D")                                                             \
    X(zero_padding2d, "ZeroPadding2D")                                                             \
    X(zero_padding3d, "ZeroPadding3D")                                                             \
    X(up_sampling1d, "UpSampling1D")                                                               \
    X(up_sampling2d, "UpSampling2D")                                                               \
    X(up_sampling3d, "UpSampling3D")                                                               \
    X(resizing, "Resizing")                                                                        \
    X(activation, "Activation")                                                                    \
    X(relu, "ReLU")                                                                                \
    X(leaky_relu, "LeakyReLU")                                                                     \
    X(elu, "ELU")                                                                                  \
    X(prelu, "PReLU")                                                                              \
    X(thresholded_relu, "ThresholdedReLU")                                                         \
    X(softmax, "Softmax")                                                                          \
    X(add, "Add")                                                                                  \
    X(subtract, "Subtract")                                                                        \
    X(multiply, "Multiply")                                                                        \
    X(average, "Average")                                                                          \
    X(maximum, "Maximum")                                                                          \
    X(minimum, "Minimum")                                                                          \
    X(permute, "Permute")                                                                          \
    X(repeat_vector, "RepeatVector")                                                               \
    X(rescaling, "Rescaling")                                                                      \
    X(normalization, "Normalization")                                                              \
    X(discretization, "Discretization")                                                            \
    X(category_encoding, "CategoryEncoding")                                                       \
    X(hashing, "Hashing")                                                                          \
    X(integer_lookup, "IntegerLookup")                                                             \
    X(string_lookup, "StringLookup")                                                               \
    X(center_crop, "CenterCrop")                                                                   \
    X(random_crop, "RandomCrop")                                                                   \
    X(random_flip, "RandomFlip")                                                                   \
    X(random_translation, "RandomTranslation")                                                     \
    X(random_rotation, "RandomRotation")                                                           \
    X(random_zoom, "RandomZoom")                                                                   \
    X(random_contrast, "RandomContrast")                                                           \
    X(random_brightness, "RandomBrightness")                                                       \
    X(dot, "Dot")                                                                                  \
    X(concatenate, "Concatenate")                                                                  \
    X(dropout, "Dropout")                                                                          \
    X(spatial_dropout1d, "SpatialDropout1D")                                                       \
    X(spatial_dropout2d, "SpatialDropout2D")                                                       \
    X(spatial_dropout3d, "SpatialDropout3D")                                                       \
    X(alpha_dropout, "AlphaDropout")                                                               \
    X(gaussian_dropout, "GaussianDropout")                                                         \
    X(gaussian_noise, "GaussianNoise")                                                             \
    X(activity_regularization, "ActivityRegularization")                                           \
    X(batch_normalization, "BatchNormalization")                                                   \
    X(layer_normalization, "LayerNormalization")                                                   \
    X(masking, "Masking")                                                                          \
    X(rms_normalization, "RMSNormalization")                                                       \
    X(group_normalization, "GroupNormalization")                                                   \
    X(unit_normalization, "UnitNormalization")                                                     \
    X(embedding, "Embedding")                                                                      \
    X(reversible_embedding, "ReversibleEmbedding")                                                 \
    X(multi_head_attention, "MultiHeadAttention")                                                  \
    X(grouped_query_attention, "GroupedQueryAttention")                                            \
    X(group_query_attention, "GroupQueryAttention")                                                \
    X(attention, "Attention")                                                                      \
    X(additive_attention, "AdditiveAttention")                                                     \
    X(simple_rnn, "SimpleRNN")                                                                     \
    X(lstm, "LSTM")                                                                                \
    X(gru, "GRU")                                                                                  \
    X(rnn, "RNN")                                                                                  \
    X(conv_lstm1d, "ConvLSTM1D")                                                                   \
    X(conv_lstm2d, "ConvLSTM2D")                                                                   \
    X(conv_lstm3d, "ConvLSTM3D")                                                                   \
    X(bidirectional, "Bidirectional")                                                              \
    X(time_distributed, "TimeDistributed")

#define MB_LAYER_DECLARE(name, keras) extern const mb_layer_class_t mb_layer_##name;
MB_LAYER_LIST(MB_LAYER_DECLARE)
#undef MB_LAYER_DECLARE

/* Sizes given by a model stay below this, so that products of four of them fit. */
#define MB_LAYER_MAX_SIZE 0x7FFFFFFF
#define MB_LAYER_MAX_WINDOW 0x7FFF

/* BASE + OFFSET bytes, or elements of a type. At plan time there is no base, and NULL stays NULL.
 */
void *mb_bytes_at(void *base, size_t offset);
const void *mb_elements_at(const void *base, mb_dtype_t type, int64_t offset);

/* Lays arrays into one block, each at a multiple of 64 bytes: returns the offset of one of COUNT
 * elements and moves *BYTES past it. */
size_t mb_block_add(size_t *bytes, int64_t count, mb_dtype_t type);

/* The last dimension, and the product of those before it; 1 without dimensions. */
int64_t mb_shape_columns(const mb_shape_t *shape);
int64_t mb_shape_rows(const mb_shape_t *shape);
/* The product of dimensions FROM to TO - 1; open if one of them is. MB_ERR_SHAPE past 2^62. */
mb_status_t mb_call_product(const mb_call_t *call, const mb_shape_t *shape, int from, int to,
                            int64_t *out);

/* An error that names the call's layer. */
mb_status_t mb_call_error(const mb_call_t *call, mb_status_t status, const char *format, ...)
    MB_PRINTF(3, 4);
/* Inputs that are no masks. */
int mb_call_arguments(const mb_call_t *call);
/* N_INPUTS of these, all of a float type. */
mb_status_t mb_call_expect(const mb_call_t *call, int n_inputs);
/* The same for one input of RANK dimensions. */
mb_status_t mb_call_expect_rank(const mb_call_t *call, int rank);
/* The last dimension of an input, which parameters are declared for: it must be known, and later
 * calls must have the same. */
mb_status_t mb_call_take_width(const mb_call_t *call, int input, int64_t *out);
mb_status_t mb_call_check_width(const mb_call_t *call, int input, int64_t width);
/* The output is shaped and typed as the first input. */
void mb_call_keep_shape(mb_call_t *call);
/* infer of a layer of one float input that changes no shape. */
mb_status_t mb_call_infer_same(mb_call_t *call);
/* memory of a layer whose backward reads only the output's gradient. */
void mb_call_keeps_nothing(const mb_call_t *call, int64_t samples, mb_memory_t *out);

/* Rules for masks that need no look at the call. */
mb_mask_rule_t mb_mask_passes(const mb_call_t *call);
mb_mask_rule_t mb_mask_either(const mb_call_t *call);

/* What the call's activations and their gradients are of. */
static inline mb_dtype_t mb_run_type(const mb_run_t *run)
{
    return run->call->output_type;
}
/* Arrays of a run may be missing at plan time. */
const void *mb_run_input(const mb_run_t *run, int input);
void *mb_run_param(const mb_run_t *run, int param);
/* The parameter in float32, also where it is an operand of another type. */
float *mb_run_value(const mb_run_t *run, int param);
/* What the parameter is kept as; NULL: float32. */
const mb_matrix_t *mb_run_stored(const mb_run_t *run, int param);
/* What is kept from the batch before. */
void *mb_run_state(const mb_run_t *run, int state);
void *mb_run_grad_input(const mb_run_t *run, int input);
float *mb_run_grad_param(const mb_run_t *run, int param);
/* Whether a gradient is to be computed; at plan time all are. */
bool mb_run_wants_input(const mb_run_t *run, int input);
bool mb_run_wants_param(const mb_run_t *run, int param);
/* Copies ELEMENTS 4-byte elements a sample. */
mb_status_t mb_run_copy(const mb_run_t *run, int64_t elements, const void *from, void *to);
/* Copies as many elements as the output has, of type FROM, to those of type TO. */
mb_status_t mb_run_cast(const mb_run_t *run, mb_dtype_t from, const void *x, mb_dtype_t to,
                        void *y);
/* backward_input where input 0 gets the output's gradient as it is. */
mb_status_t mb_run_pass_gradient(const mb_run_t *run);

/* y = act(z) behind a layer's own arithmetic. The layer writes z where mb_activated_target says and
 * then calls mb_activated_forward; mb_activated_backward gives dz, through the carry unless the
 * activation is linear, in both backward calls (only backward_input computes it). z is the only
 * thing in the saved block, dz the only one in the carry. */
void mb_activated_memory(const mb_activation_t *activation, const mb_call_t *call, int64_t samples,
                         mb_memory_t *out);
void *mb_activated_target(const mb_activation_t *activation, const mb_run_t *run);
mb_status_t mb_activated_forward(const mb_activation_t *activation, const mb_run_t *run);
mb_status_t mb_activated_backward(const mb_activation_t *activation, const mb_run_t *run);
const void *mb_activated_gradient(const mb_activation_t *activation, const mb_run_t *run);

/* y = x W + b with x [rows, in], W [in, out]. KERNEL and BIAS are indices of the layer's
 * parameters. */
#define MB_NO_PARAM (-1)
typedef struct {
    int64_t rows, in, out;
} mb_linear_t;

mb_status_t mb_linear_forward(const mb_run_t *run, const mb_linear_t *linear, int kernel, int bias,
                              const void *x, void *y);
/* y = act(x W + b) into the run's output, with what mb_activated_backward reads; in one operation
 * where the function is elementwise and the kernel is not stored. */
mb_status_t mb_linear_activated(const mb_run_t *run, const mb_linear_t *linear, int kernel,
                                int bias, const mb_activation_t *activation, const void *x);
/* dx (+)= dy W^T */
mb_status_t mb_linear_backward_input(const mb_run_t *run, const mb_linear_t *linear, int kernel,
                                     bool accumulate, const void *dy, void *dx);
/* dW (+)= x^T dy, db (+)= the column sums of dy, where they are wanted */
mb_status_t mb_linear_backward_weights(const mb_run_t *run, const mb_linear_t *linear, int kernel,
                                       int bias, const void *x, const void *dy);

/* Numbers in lists that are nested alike, or one number: rank 0. */
#define MB_LAYER_MAX_NUMBERS (1 << 24)
typedef struct {
    mb_shape_t shape;
    int64_t n;
    double *values; /* NULL: the key is absent or null */
} mb_numbers_t;
/* As Keras writes a number, lists, an array of NumPy or a constant tensor; false and true are 0 and
 * 1. Leaves out->values NULL where it is nothing of these. */
mb_status_t mb_numbers_read(const json_t *value, mb_arena_t *arena, mb_numbers_t *out);
mb_status_t mb_layer_take_numbers(mb_config_t *config, const char *key, mb_arena_t *arena,
                                  mb_numbers_t *out);
/* VALUES as elements of a float type. */
void mb_numbers_put(mb_dtype_t type, const double *values, int64_t n, void *out);

/* A number that Keras 2 may have written as an array of one, or Keras 3 as a numpy object. */
mb_status_t mb_config_scalar_or(mb_config_t *config, const char *key, double otherwise,
                                double *out);
/* Takes "axis": an integer or a list of one; absent: -1. */
mb_status_t mb_layer_take_axis(mb_config_t *config, int64_t *out);
/* Takes "<prefix>_initializer" and its kin into SPEC and names it. */
mb_status_t mb_layer_take_param(mb_config_t *config, const char *prefix, const char *otherwise,
                                const char *name, bool weight, mb_param_spec_t *spec);
/* Declares SPEC with a shape and the fans that follow from it (Keras' compute_fans). */
mb_status_t mb_layer_add_param(mb_param_list_t *list, const mb_param_spec_t *spec,
                               const mb_shape_t *shape);

#endif
