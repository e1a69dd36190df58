/* The operations of a device and their arguments.
 *
 * Row-major, contiguous unless said otherwise. What is declared void * holds elements of the first
 * member's `type` (float32, bfloat16 or float16; zero is float32): activations, their gradients and
 * the weights they are multiplied by. Everything is computed in float32 (sums in double where they
 * are double) and rounded once, to nearest, ties to even, where it is written. Sizes are element
 * counts. "(+)=": adds to what is there when accumulate is set. Reductions run in an order fixed by
 * shape. Rows that do not count (samples past the end of the data) come last: `valid` counts the
 * leading ones that do. */
#ifndef MB_DEVICE_OPS_H
#define MB_DEVICE_OPS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/error.h"
#include "base/philox.h"
#include "base/types.h"
#include "device/map_functions.h"
#include "device/matrix.h"

typedef enum {
    MB_ACT_LINEAR = 0,
    MB_ACT_RELU,         /* max(x, 0) */
    MB_ACT_RELU_GENERAL, /* Keras ReLU: x >= max_value: max_value; x > threshold: x; else
                            negative_slope * (x - threshold) */
    MB_ACT_TANH,
    MB_ACT_SIGMOID,
    MB_ACT_GELU,      /* x Phi(x), by erf: Keras' default approximate=False */
    MB_ACT_GELU_TANH, /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    MB_ACT_SILU,
    MB_ACT_ELU, /* alpha in p0 */
    MB_ACT_SELU,
    MB_ACT_SOFTPLUS,
    MB_ACT_SOFTSIGN,
    MB_ACT_EXPONENTIAL,
    MB_ACT_HARD_SIGMOID, /* p0 x + 0.5 between 0 and 1 */
    MB_ACT_HARD_SILU,    /* x (x / 6 + 0.5 between 0 and 1) */
    MB_ACT_HARD_TANH,    /* x between -1 and 1 */
    MB_ACT_CELU,         /* max(x, 0) + p0 expm1(min(x, 0) / p0) */
    MB_ACT_SQUAREPLUS,   /* (x + sqrt(x^2 + p0)) / 2 */
    MB_ACT_SPARSE_PLUS,  /* x past 1, 0 below -1, (x + 1)^2 / 4 between them */
    MB_ACT_MISH,         /* x tanh(log(1 + e^x)) */
    MB_ACT_LOG_SIGMOID,
    MB_ACT_TANH_SHRINK, /* x - tanh(x) */
    MB_ACT_SOFT_SHRINK, /* x, p0 nearer to 0; 0 where it lies within p0 of it */
    MB_ACT_HARD_SHRINK, /* x, 0 where it lies within p0 of 0 */
    MB_ACT_THRESHOLD,   /* x past p0, else p1 */
    MB_ACT_COUNT
} mb_act_t;

/* Whether the derivative is computed from the function's value; else from its argument. */
static inline bool mb_act_from_value(mb_act_t act)
{
    return act == MB_ACT_LINEAR || act == MB_ACT_RELU || act == MB_ACT_TANH ||
           act == MB_ACT_SIGMOID || act == MB_ACT_EXPONENTIAL || act == MB_ACT_HARD_SIGMOID;
}

typedef struct {
    mb_act_t act;
    float p0, p1, p2;
} mb_function_t;

/* C[m,n] = act(A[m,k] B[k,n] (+ bias[n])), or C += A B if accumulate. A is stored [k,m] when
 * transpose_a, B [n,k] when transpose_b. Leading dimensions in elements.
 *
 * act is any elementwise function, with its parameters as in act_forward; the rows of C stand side
 * by side then (ldc == n), and nothing is accumulated. pre, of C's type, gets what act is applied
 * to, where its derivative reads that. The CPU takes act of the float32 sum. So does CUDA if
 * cuBLASLt has act for a product of the shape: RELU without pre, GELU_TANH (with pre if n is a
 * multiple of 8), C not wide. Otherwise it takes act of the sum as C's type holds it.
 *
 * dbias[n] (+)= the sums of B's columns: beside the gradient of a kernel, x^T dy, that of the bias.
 * Of wide products with B [k,n], ldb == n, and neither bias nor act. */
typedef struct {
    mb_dtype_t type;
    bool wide; /* c is float32 (and bias and pre, if there are any): gradients of weights */
    int64_t m, n, k;
    bool transpose_a, transpose_b, accumulate;
    int64_t lda, ldb, ldc;
    const void *a, *b, *bias; /* bias may be NULL; not together with accumulate */
    void *c;
    mb_act_t act;
    float p0, p1, p2;
    void *pre;    /* NULL: not wanted; not with LINEAR */
    float *dbias; /* NULL: not wanted */
    bool inside;  /* operands may begin inside other arrays, at any element; else their addresses
                     are multiples of 16 */
} mb_gemm_args_t;

/* Whether a product of this shape may be asked for dbias. */
static inline bool mb_gemm_sums_columns(const mb_gemm_args_t *args)
{
    return args->wide && args->m > 0 && !args->transpose_b && args->ldb == args->n &&
           args->act == MB_ACT_LINEAR;
}

/* One dimension of a window. */
typedef struct {
    int64_t in, out, kernel, stride, dilation, pad_before, pad_after;
} mb_window_axis_t;

/* Geometry of convolution and pooling: channels last, two spatial dimensions (one-dimensional ones
 * have height 1). Explicit padding; Keras' "same" puts the odd one behind. Convolutions of volumes
 * have a third dimension in front of the two; its kernel is 0 where there is none, as in all that
 * is no convolution of floats. */
typedef struct {
    int64_t samples, channels_in, channels_out, groups;
    int64_t in[2], out[2], kernel[2], stride[2], dilation[2], pad_before[2], pad_after[2];
    mb_window_axis_t depth;
} mb_window_t;

static inline bool mb_window_is_volume(const mb_window_t *w)
{
    return w->depth.kernel > 0;
}

/* Positions of a sample's input and output, and of the kernel. */
static inline int64_t mb_window_in(const mb_window_t *w)
{
    return w->in[0] * w->in[1] * (mb_window_is_volume(w) ? w->depth.in : 1);
}

static inline int64_t mb_window_out(const mb_window_t *w)
{
    return w->out[0] * w->out[1] * (mb_window_is_volume(w) ? w->depth.out : 1);
}

static inline int64_t mb_window_taps(const mb_window_t *w)
{
    return w->kernel[0] * w->kernel[1] * (mb_window_is_volume(w) ? w->depth.kernel : 1);
}

typedef struct { /* y[n,oh,ow,co] = conv(x[n,ih,iw,ci], w[kh,kw,ci/groups,co]) + bias[co] */
    mb_dtype_t type;
    mb_window_t window;
    const void *x, *w, *bias;
    void *y;
    mb_function_t
        act;   /* then y = act(y), any elementwise function, which the CPU takes of float32 */
    void *pre; /* gets what act is applied to; NULL: not wanted; not with LINEAR */
} mb_conv_forward_args_t;

typedef struct { /* dx (+ bias[ci], NULL: none): also what a transposed convolution computes */
    mb_dtype_t type;
    mb_window_t window;
    const void *dy, *w;
    void *dx;
    const void *bias;
    const void
        *cut; /* x, where that is a relu's output: dx is multiplied by its slope; else NULL */
} mb_conv_backward_input_args_t;

typedef struct { /* dw (+)=, dbias (+)= (NULL: none) */
    mb_dtype_t type;
    mb_window_t window;
    bool accumulate;
    const void *x, *dy;
    float *dw, *dbias;
} mb_conv_backward_weights_args_t;

typedef struct { /* max, or mean over the positions inside the input */
    mb_dtype_t type;
    mb_window_t window; /* channels_out == channels_in */
    bool average;
    const void *x;
    void *y;
} mb_pool_forward_args_t;

typedef struct { /* max: to the first largest of each window */
    mb_dtype_t type;
    mb_window_t window;
    bool average;
    const void *x, *y, *dy;
    void *dx;
    bool cuts; /* max: x is a relu's output, and dx is multiplied by its slope */
} mb_pool_backward_args_t;

typedef struct { /* y[s,c] = max or mean over p of x[s,p,c] */
    mb_dtype_t type;
    int64_t samples, positions, channels;
    bool average;
    const void *x;
    void *y;
} mb_global_pool_forward_args_t;

typedef struct { /* max: shared equally by equal largest ones, as Keras' amax does */
    mb_dtype_t type;
    int64_t samples, positions, channels;
    bool average;
    const void *x, *y, *dy;
    void *dx;
} mb_global_pool_backward_args_t;

/* Pooling over the middle axis of x[outer, in, inner] in `out` regions of nearly equal lengths:
 * region j goes from floor(j in / out) to ceil((j + 1) in / out), as Keras' adaptive pooling has
 * them. */
typedef struct { /* y[outer, out, inner]: max or mean */
    mb_dtype_t type;
    int64_t outer, in, out, inner;
    bool average;
    const void *x;
    void *y;
} mb_region_pool_forward_args_t;

typedef struct { /* max: to the first largest of each region */
    mb_dtype_t type;
    int64_t outer, in, out, inner;
    bool average;
    const void *x, *y, *dy;
    void *dx;
} mb_region_pool_backward_args_t;

/* Resampling of the middle axis: y = M x with a matrix M[out, in] that follows from the filter k of
 * radius r (jax.image.resize, which Keras' layers are defined by):
 *     M[j, i] = k((s_j - i) / scale) / (their sum over i),   s_j = (j + 1/2) in / out - 1/2
 * with scale 1, or in / out where that is larger and antialias is set. NEAREST takes
 * floor((j + 1/2) in / out).
 * transposed: y = M^T x, from [outer, out, inner] to [outer, in, inner]. */
typedef enum {
    MB_FILTER_NEAREST = 0,
    MB_FILTER_LINEAR,   /* 1 - |x|, r = 1 */
    MB_FILTER_CUBIC,    /* Keys' cubic, a = -1/2, r = 2 */
    MB_FILTER_LANCZOS3, /* sinc(x) sinc(x / r), r = 3 */
    MB_FILTER_LANCZOS5,
    MB_FILTER_COUNT
} mb_filter_t;

typedef struct {
    mb_dtype_t type;
    mb_filter_t filter;
    bool antialias, transposed;
    int64_t outer, in, out, inner;
    const void *x;
    void *y;
} mb_resample_args_t;

typedef struct { /* y = act(x), in place allowed */
    mb_dtype_t type;
    int64_t count;
    mb_act_t act;
    float p0, p1,
        p2; /* of mb_act_t; RELU_GENERAL: negative_slope, max_value (INFINITY), threshold */
    const void *x;
    void *y;
} mb_act_forward_args_t;

typedef struct { /* dx = dy act'(x), in place on dy allowed. x may be NULL where the derivative
                    needs only y (mb_act_from_value), y where it needs only x. */
    mb_dtype_t type;
    int64_t count;
    mb_act_t act;
    float p0, p1, p2;
    const void *x, *y, *dy;
    void *dx;
} mb_act_backward_args_t;

typedef struct { /* over the last axis */
    mb_dtype_t type;
    int64_t rows, columns;
    const void *x;
    void *y;
    bool logarithm; /* of it */
} mb_softmax_forward_args_t;

typedef struct { /* dx = y (dy - sum(y dy)); of the logarithm dx = dy - exp(y) sum(dy) */
    mb_dtype_t type;
    int64_t rows, columns;
    const void *y, *dy;
    void *dx;
    bool logarithm;
} mb_softmax_backward_args_t;

typedef struct { /* y = a + b, in place allowed */
    mb_dtype_t type;
    int64_t count;
    const void *a, *b;
    void *y;
} mb_add_args_t;

typedef struct {
    mb_dtype_t type;
    int64_t count;
    const void *a, *b;
    void *y;
} mb_multiply_args_t;

/* Elementwise functions over strided, broadcast operands, and reductions of them:
 *
 *     y[k] (+)= scale * reduction over r of f(a[k, r], b[k, r], c[k, r])
 *
 * over `axes` axes of `dim` elements, of which the last `reduced` are reduced (none: no reduction).
 * stride[i][d] is how far input i steps along axis d, in elements; 0 repeats it. y_stride names the
 * kept axes only, and no two elements of y lie in one place. An input that is a constant has its
 * bit in `constants` and neither address nor strides. Sums and products are taken in double, in the
 * order of r within pieces of a size fixed by shape; the largest of values with a NaN is NaN. With
 * COPY and without a reduction, elements of any 4 bytes pass unchanged where type is float32. y may
 * be an input where every element of it is read only for itself. Weights among the inputs and
 * gradients of weights are float32, and have their bits in `wide`. */
typedef enum {
#define MB_MAP_ENUM(NAME, inputs, value) MB_MAP_##NAME,
    MB_MAP_LIST(MB_MAP_ENUM)
#undef MB_MAP_ENUM
        MB_MAP_COUNT
} mb_map_t;

typedef enum { MB_REDUCE_SUM = 0, MB_REDUCE_PRODUCT, MB_REDUCE_MAX, MB_REDUCE_MIN } mb_reduction_t;

#define MB_MAP_AXES 9 /* the samples and MB_MAX_RANK more */
#define MB_MAP_WIDE_Y (1 << MB_MAP_INPUTS)

typedef struct {
    mb_dtype_t type;
    mb_map_t function;
    mb_reduction_t reduction;
    bool accumulate;
    uint8_t constants; /* bit i: input i is constant[i] */
    uint8_t wide;      /* bit i: input i is float32; MB_MAP_WIDE_Y: y is */
    int32_t axes, reduced;
    float constant[MB_MAP_INPUTS];
    double scale; /* 1 for largest and smallest values */
    int64_t dim[MB_MAP_AXES], y_stride[MB_MAP_AXES];
    int64_t stride[MB_MAP_INPUTS][MB_MAP_AXES];
    const void *x[MB_MAP_INPUTS];
    void *y;
} mb_map_args_t;

int mb_map_inputs(mb_map_t function);
const char *mb_map_name(mb_map_t function);
/* Elements of y; how many are reduced to each. */
int64_t mb_map_kept(const mb_map_args_t *args);
int64_t mb_map_reduced(const mb_map_args_t *args);
/* What is wrong with the arguments; NULL: nothing. */
const char *mb_map_fault(const mb_map_args_t *args);

typedef struct { /* y = a + b in double */
    int64_t count;
    const double *a, *b;
    double *y;
} mb_add_f64_args_t;

typedef struct { /* rows of `columns` elements, of any type, from one leading dimension to another
                  */
    mb_dtype_t type;
    int64_t rows, columns, ld_from, ld_to;
    const void *from;
    void *to;
} mb_copy_rows_args_t;

/* to[i . to_stride] = from[i . from_stride] for all i below size, elements of any type: between
 * views of arrays (transposes, parts of larger ones). Axes in the order of `to`, the last one the
 * innermost; those that are not needed have size 1. Nothing overlaps. */
#define MB_VIEW_AXES 5

typedef struct {
    mb_dtype_t type;
    int64_t size[MB_VIEW_AXES], from_stride[MB_VIEW_AXES], to_stride[MB_VIEW_AXES];
    const void *from;
    void *to;
} mb_copy_view_args_t;

typedef struct { /* y[i] = x[i], which is `from`: float32, bfloat16, float16 or int32; not in place
                  */
    mb_dtype_t type, from;
    int64_t count;
    const void *x;
    void *y;
} mb_convert_args_t;

typedef struct { /* y[i] = value */
    mb_dtype_t type;
    int64_t count;
    float value;
    void *y;
} mb_fill_args_t;

typedef struct { /* bytes of zero; any type */
    int64_t bytes;
    void *y;
} mb_zero_args_t;

typedef struct { /* sum[n] (+)= sum over m of a[m,n] */
    mb_dtype_t type;
    int64_t rows, columns;
    bool accumulate;
    const void *a;
    float *sum;
} mb_column_sum_args_t;

/* Batch normalization over the last axis. Training: mean and biased variance of the first
 * `valid` rows normalise all rows; mean[c] and rstd[c] are saved for backward, and
 * sums += { sum of x, sum of x^2 } of the valid rows in double ([2,channels]) so that moving
 * statistics of the whole global batch can be merged by addition. Inference: mean and variance are
 * given; mean and rstd are written when not NULL, for a frozen layer's backward. gamma and beta may
 * be NULL (1, 0).
 *
 * A mask leaves out of the statistics what has zero there; counts[c] is saved besides, sums are
 * [3,channels], the last of what counts, and everything is divided by MB_BATCHNORM_EPSILON more
 * (keras/src/layers/normalization/batch_normalization.py, _moments). */
#define MB_BATCHNORM_EPSILON 1e-7
typedef struct {
    mb_dtype_t type;
    int64_t rows, valid, channels;
    bool training;
    float epsilon;
    const void *x;
    const float *gamma, *beta;
    const float *moving_mean, *moving_variance; /* inference */
    void *y;                                    /* mean, rstd: NULL allowed in inference */
    float *mean, *rstd;
    double *sums;  /* training; NULL: not wanted */
    int64_t masks; /* values of the mask in a row: 0: there is none; 1; or as many as channels */
    const void *mask;
    float *counts; /* [channels] */
    /* Behind the normalization, with the bits of operations of their own: + residual, NULL: none;
     * then act, LINEAR or RELU. y may be residual. */
    const void *residual;
    mb_act_t act;
} mb_batchnorm_forward_args_t;

/* Where the mask's value of an element stands. */
static inline int64_t mb_batchnorm_mask_at(int64_t masks, int64_t row, int64_t channel)
{
    return masks == 1 ? row : row * masks + channel;
}

typedef struct { /* rows past valid get dx = 0. training: through the statistics; otherwise (a
                    frozen layer) the statistics are constants. */
    mb_dtype_t type;
    int64_t rows, valid, channels;
    bool training;
    const void *x, *dy;
    const float *gamma, *mean, *rstd;
    void *dx;      /* NULL: only the sums are wanted */
    int64_t masks; /* as in forward */
    const void *mask;
    const float *counts;
    double *sums; /* [2,channels] for backward_weights, of dy and dy xhat; NULL: not wanted */
} mb_batchnorm_backward_input_args_t;

typedef struct { /* dgamma (+)=, dbeta (+)=; either may be NULL */
    mb_dtype_t type;
    int64_t rows, valid, channels;
    bool accumulate;
    const void *x, *dy;
    const float *mean, *rstd;
    float *dgamma, *dbeta;
    const double *sums; /* what backward_input of the same wrote, which a device need not use; NULL:
                           nothing */
} mb_batchnorm_backward_weights_args_t;

typedef struct { /* moving = momentum moving + (1 - momentum) statistic, from sums over count rows;
                    count 0: unchanged. momentum in double: Keras takes 1 - momentum before it
                    rounds to float */
    int64_t channels;
    double count;
    double momentum;
    const double *sums;
    float *moving_mean, *moving_variance;
    bool masked; /* each channel counts by itself, in sums */
} mb_batchnorm_update_args_t;

/* Layer normalization over the last axis; rms: no mean is taken off. Saved: mean[rows], rstd[rows].
 * gamma and beta may be NULL. adds: sum = x + residual is written and, as it was rounded there,
 * normalised instead of x: the bits of an add and a normalization of its result. What is written
 * overlaps nothing that is read. */
typedef struct {
    mb_dtype_t type;
    int64_t rows, columns;
    bool rms, adds;
    float epsilon;
    const void *x, *residual; /* residual, sum: where it adds */
    const float *gamma, *beta;
    void *sum, *y;
    float *mean, *rstd;
} mb_layernorm_forward_args_t;

typedef struct {
    mb_dtype_t type;
    int64_t rows, columns;
    bool rms;
    const void *x, *dy;
    const float *gamma, *mean, *rstd;
    void *dx;
} mb_layernorm_backward_input_args_t;

typedef struct {
    mb_dtype_t type;
    int64_t rows, columns;
    bool rms, accumulate;
    const void *x, *dy;
    const float *mean, *rstd;
    float *dgamma, *dbeta; /* either may be NULL */
} mb_layernorm_backward_weights_args_t;

typedef struct { /* y[i,:] = table[ids[i],:]; ids are checked when the data is read */
    mb_dtype_t type;
    int64_t count, vocabulary, width;
    const int32_t *ids;
    const float *table;
    void *y;
} mb_embedding_forward_args_t;

typedef struct { /* dtable (+)=, contributions in the order of i */
    mb_dtype_t type;
    int64_t count, vocabulary, width;
    bool accumulate;
    const int32_t *ids;
    const void *dy;
    float *dtable;
} mb_embedding_backward_args_t;

/* Scaled dot-product attention. q[s,tq,h,d], k[s,tk,h,d], v[s,tk,h,dv], out[s,tq,h,dv].
 * causal: query i sees keys 0..i. log_sum[s,h,tq] is saved for backward. Dropout on the
 * probabilities when rate > 0 (numbers from random, element = (head * tq + i) * tk + j).
 *
 * mask[s,masks,tq,tk], masks 1 or h (0: there is none): query i sees only keys j where it is not
 * zero. A query may see none; `blind` says what its probabilities are, and its log_sum is infinite:
 * above zero with NOTHING, else below. */
typedef enum {
    MB_BLIND_NOTHING = 0, /* 0 */
    MB_BLIND_CONSTANT,    /* 1 / tk for every key, whatever the scores are */
    MB_BLIND_LEVEL        /* the same with the gradient of scores that are all alike */
} mb_blind_t;

typedef struct {
    mb_dtype_t type;
    int64_t samples, heads, tq, tk, d, dv;
    float scale, dropout_rate;
    bool causal;
    mb_random_key_t random;
    const void *q, *k, *v;
    void *out;
    float *log_sum;
    const void *mask;
    int64_t masks;
    mb_blind_t blind;
} mb_attention_forward_args_t;

typedef struct {
    mb_dtype_t type;
    int64_t samples, heads, tq, tk, d, dv;
    float scale, dropout_rate;
    bool causal;
    mb_random_key_t random;
    const void *q, *k, *v, *out, *dout;
    const float *log_sum;
    void *dq, *dk, *dv_;
    const void *mask;
    int64_t masks;
    mb_blind_t blind;
} mb_attention_backward_args_t;

typedef struct { /* y = keep ? x / (1 - rate) : 0; the same call on dy gives dx */
    mb_dtype_t type;
    int64_t samples, elements; /* elements a sample, or a repeat of it */
    float rate;
    mb_random_key_t random;
    const void *x;
    void *y;
    int64_t repeats; /* a sample is so many runs of elements, all with the numbers of the first; 0:
                        one */
} mb_dropout_args_t;

static inline int64_t mb_dropout_runs(const mb_dropout_args_t *args)
{
    return args->repeats > 1 ? args->samples * args->repeats : args->samples;
}

/* y[s, i] = mean + deviation z with z normally distributed, by Box and Muller's transform (1958) of
 * the two words of the pair of elements that i belongs to. */
typedef struct {
    mb_dtype_t type;
    int64_t samples, elements; /* elements a sample, 2^32 at most */
    float mean, deviation;
    mb_random_key_t random;
    void *y;
} mb_normal_args_t;

/* Recurrent cells. At each step a gate g has z_g = (what the input gives it) + (h' U)_g, where h',
 * c' are the states before the step, zero at the first, and the functions are act and gate:
 *
 * SIMPLE      h = act(z_0)
 * LSTM        c = gate(z_1) c' + gate(z_0) act(z_2),  h = gate(z_3) act(c)
 *             (Hochreiter and Schmidhuber, 1997; with the forget gate of Gers and others, 2000)
 * GRU         h = u h' + (1 - u) act(z_2), u = gate(z_0), r = gate(z_1); z_2 has r (h' U)_2 for its
 *             second part, and bias is added to h' U
 * GRU_BEFORE  the same with ((r h') U)_2 for that part, and no bias (Cho and others, 2014)
 *
 * The gates stand in Keras' order. With masks each gate has (h' mask_g) U_g.
 *
 * Where it skips, a step whose `present` is zero leaves the states as they are; its row of y is
 * their h, or zero if blank. */
typedef enum { MB_CELL_SIMPLE = 0, MB_CELL_LSTM, MB_CELL_GRU, MB_CELL_GRU_BEFORE } mb_cell_t;

typedef struct {
    mb_cell_t cell;
    bool backwards; /* steps from the last position to the first */
    bool last_only; /* y is of the last step: [samples, units] */
    bool reversed;  /* y's rows begin with the last step's; else with the first's */
    bool masked;
    bool skips, blank;
    int64_t samples, steps, units;
    int64_t ldy; /* elements from row to row of y and dy */
    mb_function_t act, gate;
} mb_rnn_t;

static inline int64_t mb_rnn_gates(mb_cell_t cell)
{
    return cell == MB_CELL_SIMPLE ? 1 : cell == MB_CELL_LSTM ? 4 : 3;
}

/* Values of `units` that each position keeps for backward: a gate's function, or z where its
 * derivative is computed from that; behind the three of GRU (h' U)_2 with its bias. */
static inline int64_t mb_rnn_kept(mb_cell_t cell)
{
    return cell == MB_CELL_GRU ? 4 : mb_rnn_gates(cell);
}

/* U is multiplied by one matrix for all gates, or by one for each of these many groups. */
static inline int64_t mb_rnn_parts(const mb_rnn_t *rnn)
{
    return rnn->masked ? mb_rnn_gates(rnn->cell) : rnn->cell == MB_CELL_GRU_BEFORE ? 2 : 1;
}

/* The gates of a part: all, or one each, or the first two of three. */
static inline int64_t mb_rnn_part_first(const mb_rnn_t *rnn, int64_t part)
{
    return rnn->masked ? part : 2 * part;
}

static inline int64_t mb_rnn_part_gates(const mb_rnn_t *rnn, int64_t part)
{
    return rnn->masked ? 1 : mb_rnn_parts(rnn) == 1 ? mb_rnn_gates(rnn->cell) : 2 - part;
}

/* The position of a step, and the row of y that it writes. */
static inline int64_t mb_rnn_position(const mb_rnn_t *rnn, int64_t step)
{
    return rnn->backwards ? rnn->steps - 1 - step : step;
}

static inline int64_t mb_rnn_row(const mb_rnn_t *rnn, int64_t sample, int64_t step)
{
    int64_t row = rnn->reversed ? rnn->steps - 1 - step : step;
    return rnn->last_only ? sample : sample * rnn->steps + row;
}

/* Rows of y. */
static inline int64_t mb_rnn_rows(const mb_rnn_t *rnn)
{
    return rnn->last_only ? rnn->samples : rnn->samples * rnn->steps;
}

typedef struct {
    mb_dtype_t type;
    mb_rnn_t rnn;
    const void *u;       /* [units, gates, units] */
    const float *bias;   /* GRU: [gates, units]; NULL: none */
    const float *masks;  /* [samples, gates, units], where masked */
    const void *present; /* [samples, steps], where it skips */
    float *gates;   /* [samples, steps, kept, units]: what the input gives the gates, in front; then
                       what is kept */
    float *states;  /* [samples, steps, units]: c of LSTM, h of GRU; not for SIMPLE */
    void *previous; /* [parts, samples, steps, units]: what U was multiplied by */
    void *y;
    const void *before[2]; /* [samples, units]: h' of the first step, and c' of LSTM; NULL: zero */
    void *after[2];        /* the same behind the last step; NULL: not wanted */
} mb_rnn_forward_args_t;

typedef struct {
    mb_dtype_t type;
    mb_rnn_t rnn;
    const void *u;
    const float *masks, *gates, *states;
    const void *present;
    const void *dy;
    void *dgates;                      /* [samples, steps, gates, units]: of what the input gave */
    void *drecurrent;                  /* GRU: the same of h' U, where it differs */
    const void *before[2], *dafter[2]; /* dafter: NULL: zero */
    void *dbefore[2];                  /* NULL: not wanted */
} mb_rnn_backward_args_t;

/* One step of LSTM (above) whose products with U another operation makes, a convolution, and whose
 * states stand at each of the `places` of an image. Each gate has a product of its own where the
 * states are masked, of all of h' mask_g, and else one for all. There is a step in front of the
 * first, at no position, which only hands on the states that are given, and behind the last there
 * is none. Where it skips, a step whose `present` is zero leaves a sample's states as they are; h
 * is the state's, or zero if blank. */
typedef struct {
    int64_t samples, steps, places, units;
    int64_t earlier, position, later; /* of the step before, of this, of the next; -1: none */
    bool masked;
    bool skips, blank;
    mb_function_t act, gate;
} mb_lstm_step_t;

/* How often a place's states stand in what U is multiplied by. */
static inline int64_t mb_lstm_factors(const mb_lstm_step_t *step)
{
    return step->masked ? 4 : 1;
}

/* The first of the units of a place that has COUNT times units, in an array of all steps. */
static inline int64_t mb_lstm_at(const mb_lstm_step_t *step, int64_t count, int64_t sample,
                                 int64_t position, int64_t place)
{
    return ((sample * step->steps + position) * step->places + place) * count * step->units;
}

typedef struct {
    mb_dtype_t type;
    mb_lstm_step_t step;
    const void *before[2]; /* [samples, places, units]: h' and c' of the first step; NULL: zero */
    const void *product;   /* [samples, places, 4, units]; NULL: zero */
    const float *masks;    /* [samples, places, 4, units], where masked */
    void *gates;    /* [samples, steps, places, 4, units]: what the input gives the gates; then what
                       mb_act_from_value says of their functions */
    float *states;  /* [samples, steps, places, units]: c */
    void *previous; /* [samples, steps, places, factors, units]: what U is multiplied by later */
    void *factor;   /* [samples, places, factors, units]: the same; NULL where there is no next */
    void *h;        /* [samples, places, units]; NULL: not wanted */
    void *c;
    int64_t ldh;         /* elements from sample to sample of h */
    const void *present; /* [samples, steps], where it skips */
    void *held;          /* [samples, places, units], where it skips: the states h */
} mb_lstm_step_forward_args_t;

typedef struct {
    mb_dtype_t type;
    mb_lstm_step_t step;
    const void *before[2];
    const void *dfactor; /* of the factor of the next step; NULL: zero */
    const void *dh, *dc; /* [samples, places, units], of what was written besides; NULL: zero */
    const void *dlast;   /* the same of the state h; NULL: zero */
    int64_t ldh;         /* elements from sample to sample of dh */
    const void *present;
    float *dheld; /* [samples, places, units], where it skips: of the states h that a step left */
    const float *masks;
    const void *gates;
    const float *states;
    float *carried;   /* [samples, places, units]: the gradient of c from step to step */
    void *dgates;     /* [samples, steps, places, 4, units] */
    void *dproduct;   /* [samples, places, 4, units]: the same; NULL at no position */
    void *dbefore[2]; /* at no position: of the states given; NULL: not wanted */
} mb_lstm_step_backward_args_t;

/* Losses. Each adds the sum over the valid rows of the row's loss to *sum (double, on the device)
 * and, when dx is given, writes dx = scale * d(loss of the row)/dx (zero past valid). A row is what
 * Keras computes one loss value for: the last axis. x, t: an element and its label, e: 1e-7; means
 * and sums run over the columns. Source: keras/src/losses/losses.py. */
typedef enum {
    MB_LOSS_SPARSE_SOFTMAX = 0, /* labels int32; x: logits */
    MB_LOSS_SPARSE_PROBABILITY, /* labels int32; x: probabilities, clipped to [1e-7, 1 - 1e-7] after
                                   division by their sum, as Keras does */
    MB_LOSS_SOFTMAX,            /* labels float [rows, columns]; logits */
    MB_LOSS_PROBABILITY,
    MB_LOSS_BINARY_LOGITS, /* mean over columns */
    MB_LOSS_BINARY_PROBABILITY,
    MB_LOSS_SQUARED,     /* mean over columns of (y - x)^2 */
    MB_LOSS_ABSOLUTE,    /* mean over columns of |y - x| */
    MB_LOSS_PERCENTAGE,  /* mean of 100 |t - x| / max(|t|, e) */
    MB_LOSS_SQUARED_LOG, /* mean of (log(max(x, e) + 1) - log(max(t, e) + 1))^2 */
    MB_LOSS_HUBER,       /* mean of d^2 / 2 where |d| <= p0, else p0 |d| - p0^2 / 2; d = x - t */
    MB_LOSS_LOG_COSH,    /* mean of log(cosh(x - t)) */
    MB_LOSS_POISSON,     /* mean of x - t log(x + e) */
    MB_LOSS_DIVERGENCE,  /* sum of t log(t / x), both clipped to [e, 1] */
    MB_LOSS_HINGE,       /* mean of max(1 - t x, 0); a label 0 counts as -1 */
    MB_LOSS_SQUARED_HINGE,
    MB_LOSS_BINARY_FOCAL_LOGITS, /* mean of w u^p0 times the binary cross-entropy of x and t, where
                                    u = t (1 - x) + (1 - t) x, w = t p1 + (1 - t) p2 */
    MB_LOSS_BINARY_FOCAL_PROBABILITY,
    MB_LOSS_FOCAL_LOGITS, /* sum of -p1 t (1 - q)^p0 log(q), q: x as in PROBABILITY */
    MB_LOSS_FOCAL_PROBABILITY,
    MB_LOSS_CATEGORICAL_HINGE, /* max(1 + max((1 - t) x) - sum(t x), 0) */
    MB_LOSS_COSINE,            /* -sum(t x) / (|t| |x|), no norm below e */
    MB_LOSS_OVERLAP, /* 1 - I / (I + p0 sum(t (1 - x)) + p1 sum(x (1 - t)) + p2), I = sum(t x) */
    MB_LOSS_GENERALIZED, /* labels int32: (1 - x^p0) / p0 of the label's x */
    MB_LOSS_COUNT
} mb_loss_kind_t;

/* Whether labels are int32 [rows]. */
static inline bool mb_loss_is_sparse(mb_loss_kind_t kind)
{
    return kind == MB_LOSS_SPARSE_SOFTMAX || kind == MB_LOSS_SPARSE_PROBABILITY ||
           kind == MB_LOSS_GENERALIZED;
}

typedef struct {
    mb_dtype_t type;
    mb_loss_kind_t kind;
    int64_t rows, valid, columns;
    float scale;
    float label_smoothing;
    float p0, p1, p2; /* as the kind says */
    bool has_ignore;  /* sparse: rows with this label have loss and gradient zero */
    int32_t ignore_label;
    const void *x;
    const void *labels;   /* int32 or float */
    const float *weights; /* [rows] of each row's loss and gradient, zero: the row does not count;
                             NULL: all one */
    void *dx;             /* NULL: evaluation */
    double *sum;
} mb_loss_args_t;

/* Circle loss (Sun et al., arXiv 2002.10857): each valid row against all of them. Of two rows of
 * distance d = max(1 - x_i x_j, 0), to a row of
 *
 *     its own label  a = -gamma max(margin + d, 0) (margin - d), itself not where removes_itself
 *     another one    a = gamma max(1 + margin - d, 0) (1 - margin - d)
 *
 * and the row's loss is softplus(log(sum(exp(a)) over the first) + log(sum(exp(a)) over the
 * second)). Rows whose loss is 0 in float32 do not count (those without either kind of rows among
 * them): averages: losses and gradients, scale (d loss)/dx, are multiplied by valid / those that
 * count. */
typedef struct {
    mb_dtype_t type;
    int64_t rows, valid, columns;
    float scale, gamma, margin;
    bool removes_itself, averages;
    const void *x;
    const int32_t *labels; /* [rows] */
    void *dx;              /* may be x; NULL: evaluation */
    double *sum;           /* += */
} mb_circle_args_t;

typedef struct { /* *count += valid rows whose largest x (the first) is the label: int32 labels, or
                    the largest of float labels; binary: columns matched (x > threshold) / columns
                  */
    mb_dtype_t type;
    int64_t rows, valid, columns;
    bool sparse, binary;
    float threshold;
    const void *x;
    const void *labels;
    double *count;
} mb_accuracy_args_t;

/* Metrics: what Keras' metrics add up (keras/src/metrics), over the valid rows, in double and in an
 * order fixed by shape. */
typedef struct {
    const void *values; /* [rows, columns]: int32 where whole, otherwise float */
    int64_t columns;    /* x's, or 1: each column of x meets the row's one label */
    bool whole;
} mb_labels_t;

/* A row's value; x is what was predicted and t the label. */
typedef enum {
    /* means over the columns of: */
    MB_ROW_SQUARED = 0,        /* (x - t)^2 */
    MB_ROW_ABSOLUTE,           /* |x - t| */
    MB_ROW_PERCENTAGE,         /* 100 |x - t| / max(|t|, 1e-7) */
    MB_ROW_LOGARITHMIC,        /* (log(max(x, 1e-7) + 1) - log(max(t, 1e-7) + 1))^2 */
    MB_ROW_LOG_COSH,           /* log(cosh(x - t)) */
    MB_ROW_POISSON,            /* x - t log(x + 1e-7) */
    MB_ROW_HINGE,              /* max(1 - t x, 0) */
    MB_ROW_SQUARED_HINGE,      /* the same squared */
    MB_ROW_EQUAL,              /* x == t */
    MB_ROW_BINARY,             /* (x > threshold) == t */
    MB_ROW_BINARY_LOGITS,      /* as the losses of these names */
    MB_ROW_BINARY_PROBABILITY, /* */
    /* of the row as a whole: */
    MB_ROW_KL,                 /* sum of t log(t / x), both in [1e-7, 1] */
    MB_ROW_COSINE,             /* of the angle; lengths are at least 1e-7 */
    MB_ROW_PEARSON,            /* correlation */
    MB_ROW_CONCORDANCE,        /* 2 cov / (var x + var t + (mean x - mean t)^2 + 1e-7) */
    MB_ROW_CATEGORICAL_HINGE,  /* max(max((1 - t) x) - sum(t x) + 1, 0) */
    MB_ROW_SOFTMAX,            /* as the losses of these names */
    MB_ROW_PROBABILITY,        /* */
    MB_ROW_SPARSE_SOFTMAX,     /* */
    MB_ROW_SPARSE_PROBABILITY, /* */
    MB_ROW_CLASS,      /* the first largest x is at the label: t, or at the first largest t */
    MB_ROW_TOP_K,      /* fewer than k columns of x are larger than that at the label */
    MB_ROW_SORTED_IDS, /* t is one of the first k x */
    MB_ROW_COUNT
} mb_row_kind_t;

/* sums += { w value, w, w value with labels 2 t - 1 (hinges), labels that are neither 0 nor 1 }.
 * A row with the label that is ignored has value 0, and w 0 where weights are given. */
#define MB_ROW_SUMS 4
typedef struct {
    mb_dtype_t type;
    mb_row_kind_t kind;
    int64_t rows, valid, columns, k;
    float threshold, label_smoothing;
    bool has_ignore;
    int32_t ignore_label;
    const void *x;
    mb_labels_t labels;
    const float *weights; /* [rows]; NULL: all one */
    double *sums;         /* [MB_ROW_SUMS] */
} mb_row_metric_args_t;

/* counts[group][label is not 0][b] += w of the elements that exceed b of the n thresholds. w is the
 * row's weight times the column's. */
typedef struct {
    mb_dtype_t type;
    int64_t rows, valid, columns;
    bool apart;       /* a group for each column; otherwise one for all */
    bool logits;      /* the sigmoid of x is compared */
    bool even;        /* the thresholds are i / (n - 1) and b = ceil(clip(x, 0, 1) (n - 1)) */
    bool above_first; /* even: each x exceeds the first one */
    int64_t column;   /* only this one counts; -1: all do */
    int64_t top_k;    /* x past the k largest of its row exceeds none (the first of equal ones is
                         the larger); 0: all do */
    int64_t n;
    const float *thresholds;     /* [n] ascending; even: NULL */
    const float *column_weights; /* [columns]; NULL: all one */
    const void *x;
    mb_labels_t labels;   /* of as many columns */
    const float *weights; /* [rows]; NULL: all one */
    double *counts;       /* [groups][2][n + 1] */
} mb_threshold_counts_args_t;

/* sums[4][columns] += w times: of MOMENTS { t, t^2, (t - x)^2, 1 }; otherwise, p being 1 where x is
 * predicted and 0 elsewhere, { p t, p (1 - t), (1 - p) t, t }. ABOVE: predicted is x > threshold;
 * LARGEST: the row's largest x, each of equal ones, where |x| > 1e-9. sums[4 columns] += rows. */
typedef enum { MB_COLUMN_MOMENTS = 0, MB_COLUMN_ABOVE, MB_COLUMN_LARGEST } mb_column_kind_t;

typedef struct {
    mb_dtype_t type;
    mb_column_kind_t kind;
    int64_t rows, valid, columns;
    float threshold;
    const void *x;
    mb_labels_t labels;
    const float *weights; /* [rows]; NULL: all one */
    double *sums;         /* [4 columns + 1] */
} mb_column_metric_args_t;

/* counts[3][classes] += w of the rows whose label is the class, whose x is it, and that both are. A
 * row with a class outside, or with the label that is ignored, does not count. */
typedef enum {
    MB_CLASS_VALUE = 0, /* the one column's value, cut to an integer */
    MB_CLASS_ABOVE,     /* 1 where the one column is threshold or more */
    MB_CLASS_LARGEST    /* the first largest column */
} mb_class_of_t;

typedef struct {
    mb_dtype_t type;
    int64_t rows, valid, columns, classes;
    mb_class_of_t x_is, label_is; /* of labels: VALUE or LARGEST */
    bool whole; /* values and weights are cut to integers before they are compared or added */
    bool has_ignore;
    int32_t ignore_label;
    float threshold;
    int64_t per_weight; /* rows that a weight is for */
    const void *x;
    mb_labels_t labels;   /* of x's columns or 1 */
    const float *weights; /* [rows / per_weight]; NULL: all one */
    double *counts;       /* [3][classes] */
} mb_class_counts_args_t;

/* Sums for norms and regularizers: *out = (or +=) over tiles of 65536 elements in tile order, in
 * double: sum x^2 or sum |x|. What is planned for a count serves smaller ones. */
typedef struct {
    mb_dtype_t type;
    int64_t count;
    bool absolute, accumulate;
    const void *x;
    double *out;
} mb_sum_args_t;

typedef struct { /* g += l1 sign(w) + 2 l2 w; what is planned for a count serves smaller ones */
    mb_dtype_t type;
    int64_t count;
    float l1, l2;
    const void *w;
    void *g;
} mb_regularize_args_t;

/* A table of trained tensors, for what is done to all of them at once. It stands in device memory
 * and is made once (device/table.h): addresses do not change while a run lasts.
 *
 *     tensor     |   a   | b |      c      |     elements of each are cut into tiles of its own;
 *     tile       | 0 | 1 | 2 | 3 | 4 | 5 |       first_tile: 0, 2, 3 */
#define MB_TENSOR_TILE 65536 /* elements */

typedef struct {
    float *w, *g;
    float *s0, *s1, *s2; /* moments; NULL where the rule keeps none */
    int64_t count;
    int64_t first_tile;
    float weight_decay; /* 0: none */
    int32_t place;      /* where vectors of norms and of scales have this tensor's */
} mb_tensor_t;

typedef struct {
    const mb_tensor_t *tensors; /* [n] */
    int64_t n;
    int64_t tiles; /* of all tensors */
} mb_table_t;

/* Where a tensor goes, too, as a pass leaves it: [count] each on 64 bytes; NULL: nowhere. */
typedef struct {
    float *w, *s0, *s1, *s2;
    int not_finite; /* becomes 1 where w is copied and holds a NaN or an infinity */
} mb_tensor_copy_t;

typedef struct { /* out[place] = sum of g^2, tile by tile as in mb_sum_args_t, of each tensor */
    mb_table_t table;
    double *out;
} mb_norms_args_t;

/* What clipping by norm multiplies gradients by, from their squared norms: for each by itself clip
 * / max(norm, clip); for all together clip min(1 / norm, 1 / clip) of the norm over all n, added in
 * order, and NaN where that is not finite (keras/src/optimizers/base_optimizer.py). */
typedef struct {
    int64_t n;
    bool global;
    float clip;
    const double *squares; /* [n] */
    float *scale;          /* [n] */
} mb_clip_args_t;

typedef struct { /* x[i] /= divisor */
    mb_dtype_t type;
    int64_t count;
    float divisor;
    void *x;
} mb_divide_args_t;

/* One pass over all elements of the tensors of a table, by a rule. First g' = clip(g *
 * scale[place], -clip_value, clip_value) (scale NULL: 1; clip_value <= 0: none), then w -=
 * weight_decay * lr * w, then the rule, in float32 and in Keras 3's order (steps count from 1; what
 * is not named stays):
 *
 * SGD        w -= lr g'; with momentum s0 = momentum s0 - lr g',
 *            w += nesterov ? momentum s0 - lr g' : s0
 * RMSPROP    s0 = rho s0 + (1-rho) g'^2, d = s0; centered: s1 = rho s1 + (1-rho) g', d = s0 - s1^2;
 *            step = lr g' / sqrt(d + epsilon); with momentum step = s2 = momentum s2 + step;
 *            w -= step
 * ADAM       s0 += (g' - s0)(1-beta1), s1 += (g'^2 - s1)(1-beta2), d = s1; amsgrad: d = s2 =
 *            max(s2, s1); w -= s0 alpha / (sqrt(d) + epsilon),
 *            alpha = lr sqrt(1 - beta2^step) / (1 - beta1^step)
 * ADAGRAD    s0 += g'^2; w -= lr g' / sqrt(s0 + epsilon)
 * ADADELTA   s0 = rho s0 + (1-rho) g'^2; d = g' sqrt(s1 + epsilon) / sqrt(s0 + epsilon);
 *            s1 = rho s1 + (1-rho) d^2; w -= lr d
 * ADAMAX     s0 += (g' - s0)(1-beta1); s1 = max(beta2 s1, |g'|);
 *            w -= lr s0 / (correction1 (s1 + epsilon)), correction1 = 1 - beta1^step
 * NADAM      s0, s1 as ADAM; w -= lr (ahead s0 / correction1 + now g' / correction0) /
 *            (sqrt(s1 / correction2) + epsilon)
 * FTRL       a = s0 + g'^2; s1 += g' + 2 shrinkage w - (a^power - s0^power) / lr w;
 *            w = (clip(s1, -l1, l1) - s1) / (a^power / lr + l2); s0 = a
 * LION       w -= lr sign(beta1 s0 + (1-beta1) g'); s0 = beta2 s0 + (1-beta2) g'
 * SCHEDULE_FREE  s1 as ADAM; x = (w - (1-beta1) s0) / beta1; s0 -= alpha g' /
 *            (sqrt(s1 / correction2) + epsilon); x = ahead x + now s0; w = (1-beta1) s0 + beta1 x
 *
 * Rules whose step depends on a whole tensor leave its direction in g, and take no step:
 *
 * LAMB       s0, s1 as ADAM; g = (s0 / correction1) / (sqrt(s1 / correction2) + epsilon)
 * ADAFACTOR  s2 = rho s2 + (1-rho)(g'^2 + epsilon); g = g' / sqrt(s2): of vectors
 * MUON       s0 += g' - (1-rho) s0; g = nesterov ? g' + rho s0 : s0
 * PLAIN      g = g'
 *
 * The others change no weight by its decay:
 *
 * STEP       w -= g'
 * ACCUMULATE s0 += g'
 * RELEASE    g = (g' + s0) / alpha, the steps that are in s0 and this one; s0 = 0
 * AVERAGE    s0 = rho s0 + (1-rho) w; overwrites: w = s0 */
typedef enum {
    MB_RULE_SGD = 0,
    MB_RULE_RMSPROP,
    MB_RULE_ADAM,
    MB_RULE_ADAGRAD,
    MB_RULE_ADADELTA,
    MB_RULE_ADAMAX,
    MB_RULE_NADAM,
    MB_RULE_FTRL,
    MB_RULE_LION,
    MB_RULE_SCHEDULE_FREE,
    MB_RULE_LAMB,
    MB_RULE_ADAFACTOR,
    MB_RULE_MUON,
    MB_RULE_PLAIN,
    MB_RULE_STEP,
    MB_RULE_ACCUMULATE,
    MB_RULE_RELEASE,
    MB_RULE_AVERAGE,
    MB_RULE_COUNT
} mb_rule_t;

/* Whether a rule takes the decay off the weight first. */
static inline bool mb_rule_decays(mb_rule_t rule)
{
    return rule < MB_RULE_STEP;
}

typedef struct {
    mb_rule_t rule;
    bool nesterov, centered, amsgrad, overwrites;
    float lr, momentum, epsilon;
    /* Double, never cast to float: Keras takes 1 - beta in double and rounds the difference (float
     * 1 - 0.999f is off by 1.3e-5); where it takes the difference in float, the caller rounds. */
    double rho, beta1, beta2;
    float
        alpha; /* ADAM: computed by the caller, in float32 as Keras does (powf of the float beta) */
    float correction0, correction1, correction2;
    float ahead, now;               /* SCHEDULE_FREE: 1 - 1 / step and 1 / step */
    float power, l1, l2, shrinkage; /* power: 0 or more */
    float clip_value;
    mb_table_t table;
    const float *scale;       /* by place */
    mb_tensor_copy_t *copies; /* by place; NULL: none. Of a device whose memory the host sees */
} mb_update_args_t;

/* What a tensor's direction (in g) is multiplied by, from its squared norm u and that of the
 * weight, w, over `count` elements; by place. You et al., arXiv 1904.00962; Shazeer, Stern, arXiv
 * 1804.04235; Keller Jordan's Muon.
 * LAMB       lr sqrt(w) / sqrt(u); lr where either is zero
 * ADAFACTOR  lr max(epsilon, sqrt(w / count)) / max(1, sqrt(u / count) / threshold)
 * MUON       1 / (sqrt(u) + epsilon) */
typedef enum { MB_TRUST_LAMB = 0, MB_TRUST_ADAFACTOR, MB_TRUST_MUON } mb_trust_t;

typedef struct {
    mb_trust_t trust;
    float lr, epsilon, threshold;
    mb_table_t table;
    const double *directions, *weights; /* squared norms; MUON looks at no weights */
    float *scale;
} mb_trust_args_t;

/* Adafactor's direction of a tensor seen as `matrices` matrices [rows, columns]. Means are taken in
 * double, of s = g^2 + epsilon:
 * row[matrix, rows] = rho row + (1-rho) (mean of s over columns); column[matrix, columns] the same
 * over rows; velocity = row / (mean of row over rows) * column; g = g / sqrt(velocity), and 0 where
 * g is: of a row and a column of zeros the velocity underflows, and Keras goes on with 0 / 0. */
typedef struct {
    int64_t matrices, rows, columns;
    float rho, epsilon;
    float *g, *row, *column, *velocity;
} mb_factor_args_t;

/* y = (p * scale) a + q b, in place allowed; scale NULL: 1; b NULL: none. */
typedef struct {
    int64_t count;
    float p, q;
    const float *scale; /* one number */
    const float *a, *b;
    float *y;
} mb_combine_args_t;

/* Constraints, over a weight seen as [outer, axis, inner]: the norm runs over axis.
 * MAXNORM: w *= clip(n, 0, high) / (1e-7 + n). UNITNORM: w /= 1e-7 + n. NONNEG: w = max(w, 0).
 * MINMAX: w *= (rate clip(n, low, high) + (1 - rate) n) / (1e-7 + n). */
typedef enum {
    MB_LIMIT_MAXNORM = 0,
    MB_LIMIT_UNITNORM,
    MB_LIMIT_NONNEG,
    MB_LIMIT_MINMAX
} mb_limit_t;

typedef struct {
    mb_limit_t limit;
    int64_t outer, axis, inner;
    float low, high, rate;
    float *w;
} mb_constrain_args_t;

/* Operations on weights as they are stored (matrix.h).
 *
 * integer: where the matrix is I8 with one scale for each column or for all, and MB_INTEGER_ROWS
 * rows or more flow, each row of a (each sample of a convolution's x) is quantized to 8 bits
 * between its smallest and its largest value (zero among them), the products are summed in whole
 * numbers, and scaled once. The same integers on any processor. A row with a number that is not
 * finite gives NaN. Otherwise activations stay float32 and the weights are decoded as they are
 * read, but for MB_INTEGER_ROWS rows or more times BF16 without scales on a processor that
 * multiplies bf16 itself: there the activations are rounded to bf16 (nearest, ties to even) and the
 * sums are float32. */
#define MB_INTEGER_ROWS 16

typedef struct { /* c[m,n] = a[m,k] B (+ bias[n]), k = b.rows, n = b.columns */
    mb_dtype_t type;
    int64_t m, lda, ldc;
    bool integer;
    const void *a;
    const float *bias;
    mb_matrix_t b;
    void *c;
} mb_stored_gemm_args_t;

typedef struct { /* as conv_forward; w: rows kh kw ci/groups, columns co. Kernels with few of either
                    (for each group) run in floats always. */
    mb_dtype_t type;
    mb_window_t window;
    bool integer;
    const void *x;
    const float *bias;
    mb_matrix_t w;
    void *y;
} mb_stored_conv_args_t;

typedef struct { /* y[i,:] = row ids[i] of the table */
    mb_dtype_t type;
    int64_t count;
    const int32_t *ids;
    mb_matrix_t table;
    void *y;
} mb_stored_lookup_args_t;

typedef struct { /* y = x rounded as `format` would store it (nearest, I8 or I4 with scales; the
                    matrix's pointers are not used): symmetric, scale = largest magnitude of the
                    block / 127 or 7, exactly as quant/encode.h does it. In place allowed. */
    mb_dtype_t type;
    mb_matrix_t format;
    const float *x;
    void *y;
} mb_fake_quantize_args_t;

typedef struct { /* y[oh,ow,kh,kw,ci]: what each position of ONE sample's window sees, zero in the
                    padding. window.samples == 1, window.groups == 1 */
    mb_window_t window;
    const float *x;
    float *y;
} mb_patches_args_t;

typedef struct { /* y[i] = how many of the boundaries are at most x[i]: all of them where it is no
                    number */
    mb_dtype_t type;
    int64_t count, n;
    const void *x;
    const float *boundaries; /* [n] ascending */
    int32_t *y;
} mb_digitize_args_t;

/* y[i] is the value of the key that x[i] is, or FIRST and, of `others` places, what the rule says:
 *     ONE      none
 *     MODULO   x mod others, which is not negative
 *     HASH     FarmHash64 of x in decimals, mod others (device/naming.h)
 *     KEYED    SipHash64 of the same with a salt */
typedef enum { MB_OTHERS_ONE = 0, MB_OTHERS_MODULO, MB_OTHERS_HASH, MB_OTHERS_KEYED } mb_others_t;

typedef struct {
    int64_t count, n;
    mb_others_t rule;
    int32_t first, others;
    uint64_t salt[2];
    const int32_t *x;
    const int32_t *keys, *values; /* [n], keys ascending */
    int32_t *y;
} mb_lookup_args_t;

typedef struct { /* y[r, d] = how many of the columns of x[r] are d; not counting: 1 for any number
                    of them */
    mb_dtype_t type;
    int64_t rows, columns, depth;
    bool counts;
    const int32_t *x;
    void *y;
} mb_encode_args_t;

/* Random numbers of each sample, u0 and u1: elements 0 and 1 of its own. NUMBER: y[s] = low[0] +
 * (high[0] - low[0]) u0. Otherwise how images are moved (mb_affine_args_t), with r and c drawn
 * likewise from low[0] to high[0] and from low[1] to high[1] (tied: c is r):
 *     FLIP    rows, columns are turned round where `flips` says so and u0, u1 <= 1/2 (tied: u0
 * both) SHIFT   by r rows and c columns, in parts of the image TURN    by r full turns about the
 * middle ZOOM    what is seen is r times as high and c times as wide, with the same middle WINDOW
 * from row floor(u0 (in - out + 1)), column floor(u1 (in - out + 1)): of sample 0, for all */
typedef enum {
    MB_DRAW_NUMBER = 0,
    MB_DRAW_FLIP,
    MB_DRAW_SHIFT,
    MB_DRAW_TURN,
    MB_DRAW_ZOOM,
    MB_DRAW_WINDOW
} mb_draw_t;

typedef struct {
    mb_dtype_t type;
    mb_draw_t draw;
    bool tied, flips[2];
    int64_t samples, in[2], out[2];
    float low[2], high[2];
    mb_random_key_t random;
    void *y;           /* NUMBER: [samples] */
    float *transforms; /* else: [samples, MB_TRANSFORM] */
} mb_draw_args_t;

/* Images seen through a transform {a0, a1, a2, b0, b1, b2}: what stands at row y and column x of
 * the result is what the input has at row b0 x + b1 y + b2 and column a0 x + a1 y + a2, which is
 * taken from the nearest place (halves away from zero) or between the four around it. Places
 * outside have `value`, or what stands
 *     NEAREST   at the nearest one inside
 *     WRAP      where the image is repeated                        a b c d | a b c d | a b c d
 *     REFLECT   where it is turned round each time                 d c b a | a b c d | d c b a
 * x[samples, planes, in, inner] gives y[samples, planes, out, inner]. transposed: the other way
 * round, the gradient of x from that of y. Source: keras.ops.image.affine_transform. */
#define MB_TRANSFORM 6
typedef enum {
    MB_OUTSIDE_VALUE = 0,
    MB_OUTSIDE_NEAREST,
    MB_OUTSIDE_WRAP,
    MB_OUTSIDE_REFLECT
} mb_outside_t;

typedef struct {
    mb_dtype_t type;
    mb_outside_t outside;
    bool nearest, transposed;
    float value;
    int64_t samples, planes, in[2], out[2], inner;
    const float *transforms; /* [samples, MB_TRANSFORM] */
    const void *x;
    void *y;
} mb_affine_args_t;

/* A function of the program's own over tiles of rows: what a plugin computes that no other
 * operation does (mb/plugin.h). Only devices that compute in the host's memory have it.
 *
 * reads and writes are [rows, columns], float32 for the function whatever the type; a read of 0
 * columns is one array for all rows, and one whose bit is in `wide` has elements of any 4 bytes.
 * Sums begin at zero in every tile; they are taken together in the order of the tiles, in double,
 * and go to sums[i] (+)=. total: one number more, which is always added to. */
#define MB_HOST_READS 6
#define MB_HOST_WRITES 2
#define MB_HOST_SUMS 2

typedef struct {
    const struct mb_host_args *args; /* of the whole operation */
    int64_t rows, valid;             /* of the tile; the leading rows that count */
    const void *reads[MB_HOST_READS];
    float *writes[MB_HOST_WRITES]; /* NULL: not wanted */
    double *sums[MB_HOST_SUMS];    /* [sum_columns] */
    double total;                  /* what the tile adds to total */
} mb_host_tile_t;

typedef struct mb_host_args {
    mb_dtype_t type;
    void (*function)(mb_host_tile_t *tile); /* of the tile's rows alone, on any thread */
    const void *user, *settings;            /* for it; live until the stream is done with them */
    float scale;                            /* for it */
    int64_t rows, valid;
    uint8_t wide;
    bool accumulate;
    int32_t n_reads, n_writes, n_sums;
    int64_t read_columns[MB_HOST_READS], write_columns[MB_HOST_WRITES], sum_columns[MB_HOST_SUMS];
    const void *reads[MB_HOST_READS];
    void *writes[MB_HOST_WRITES];
    float *sums[MB_HOST_SUMS];
    double *total; /* NULL: none */
} mb_host_args_t;

#define MB_OP_LIST(X)                                                                              \
    X(GEMM, gemm)                                                                                  \
    X(CONV_FORWARD, conv_forward)                                                                  \
    X(CONV_BACKWARD_INPUT, conv_backward_input)                                                    \
    X(CONV_BACKWARD_WEIGHTS, conv_backward_weights)                                                \
    X(POOL_FORWARD, pool_forward)                                                                  \
    X(POOL_BACKWARD, pool_backward)                                                                \
    X(GLOBAL_POOL_FORWARD, global_pool_forward)                                                    \
    X(GLOBAL_POOL_BACKWARD, global_pool_backward)                                                  \
    X(REGION_POOL_FORWARD, region_pool_forward)                                                    \
    X(REGION_POOL_BACKWARD, region_pool_backward)                                                  \
    X(RESAMPLE, resample)                                                                          \
    X(ACT_FORWARD, act_forward)                                                                    \
    X(ACT_BACKWARD, act_backward)                                                                  \
    X(SOFTMAX_FORWARD, softmax_forward)                                                            \
    X(SOFTMAX_BACKWARD, softmax_backward)                                                          \
    X(ADD, add)                                                                                    \
    X(MULTIPLY, multiply)                                                                          \
    X(ADD_F64, add_f64)                                                                            \
    X(COPY_ROWS, copy_rows)                                                                        \
    X(COPY_VIEW, copy_view)                                                                        \
    X(CONVERT, convert)                                                                            \
    X(FILL, fill)                                                                                  \
    X(ZERO, zero)                                                                                  \
    X(COLUMN_SUM, column_sum)                                                                      \
    X(BATCHNORM_FORWARD, batchnorm_forward)                                                        \
    X(BATCHNORM_BACKWARD_INPUT, batchnorm_backward_input)                                          \
    X(BATCHNORM_BACKWARD_WEIGHTS, batchnorm_backward_weights)                                      \
    X(BATCHNORM_UPDATE, batchnorm_update)                                                          \
    X(LAYERNORM_FORWARD, layernorm_forward)                                                        \
    X(LAYERNORM_BACKWARD_INPUT, layernorm_backward_input)                                          \
    X(LAYERNORM_BACKWARD_WEIGHTS, layernorm_backward_weights)                                      \
    X(EMBEDDING_FORWARD, embedding_forward)                                                        \
    X(EMBEDDING_BACKWARD, embedding_backward)                                                      \
    X(ATTENTION_FORWARD, attention_forward)                                                        \
    X(ATTENTION_BACKWARD, attention_backward)                                                      \
    X(DROPOUT, dropout)                                                                            \
    X(NORMAL, normal)                                                                              \
    X(RNN_FORWARD, rnn_forward)                                                                    \
    X(RNN_BACKWARD, rnn_backward)                                                                  \
    X(LSTM_STEP_FORWARD, lstm_step_forward)                                                        \
    X(LSTM_STEP_BACKWARD, lstm_step_backward)                                                      \
    X(LOSS, loss)                                                                                  \
    X(CIRCLE, circle)                                                                              \
    X(ACCURACY, accuracy)                                                                          \
    X(ROW_METRIC, row_metric)                                                                      \
    X(THRESHOLD_COUNTS, threshold_counts)                                                          \
    X(COLUMN_METRIC, column_metric)                                                                \
    X(CLASS_COUNTS, class_counts)                                                                  \
    X(SUM, sum)                                                                                    \
    X(NORMS, norms)                                                                                \
    X(CLIP, clip)                                                                                  \
    X(DIVIDE, divide)                                                                              \
    X(REGULARIZE, regularize)                                                                      \
    X(UPDATE, update)                                                                              \
    X(TRUST, trust)                                                                                \
    X(FACTOR, factor)                                                                              \
    X(COMBINE, combine)                                                                            \
    X(CONSTRAIN, constrain)                                                                        \
    X(STORED_GEMM, stored_gemm)                                                                    \
    X(STORED_CONV, stored_conv)                                                                    \
    X(STORED_LOOKUP, stored_lookup)                                                                \
    X(FAKE_QUANTIZE, fake_quantize)                                                                \
    X(PATCHES, patches)                                                                            \
    X(MAP, map)                                                                                    \
    X(DIGITIZE, digitize)                                                                          \
    X(LOOKUP, lookup)                                                                              \
    X(ENCODE, encode)                                                                              \
    X(DRAW, draw)                                                                                  \
    X(AFFINE, affine)                                                                              \
    X(HOST, host)

typedef enum {
#define MB_OP_ENUM(NAME, name) MB_OP_##NAME,
    MB_OP_LIST(MB_OP_ENUM)
#undef MB_OP_ENUM
        MB_OP_COUNT
} mb_op_t;

const char *mb_op_name(mb_op_t op);

/* mb_run_gemm(exec, &args) and so on: typed ways to exec->device->class_->run. */
#define MB_OP_DECLARE(NAME, name)                                                                  \
    mb_status_t mb_run_##name(struct mb_exec *exec, const mb_##name##_args_t *args);
struct mb_exec;
MB_OP_LIST(MB_OP_DECLARE)
#undef MB_OP_DECLARE

#endif
