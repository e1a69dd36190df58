/* Activation functions and their derivatives, element by element, for the instruction set of the
 * file that includes this. The functions are Keras' (keras/src/activations). */
#include "device/cpu/vmath.h"

#define SELU_ALPHA 1.6732632423543772f
#define SELU_SCALE 1.0507009873554805f
#define SQRT_HALF 0.70710678118654752f
#define INV_SQRT_2PI 0.39894228040143268f
#define SQRT_2_OVER_PI 0.79788456080286536f

#define P const mb_activation_parameters_t *p
#define UNUSED (void)p

MB_V_INLINE float relu(float x, P)
{
    UNUSED;
    return x > 0.0f || x != x ? x : 0.0f;
}
MB_V_INLINE float relu_general(float x, P)
{
    float low = x > p->p2 ? x : p->p0 * (x - p->p2);
    return x >= p->p1 ? p->p1 : low;
}
MB_V_INLINE float act_tanh(float x, P)
{
    UNUSED;
    return mb_v_tanh(x);
}
MB_V_INLINE float sigmoid(float x, P)
{
    UNUSED;
    return mb_v_sigmoid(x);
}
MB_V_INLINE float gelu(float x, P)
{
    UNUSED;
    return x * 0.5f * (1.0f + mb_v_erf(x * SQRT_HALF));
}
/* (1 + tanh u) / 2 is the sigmoid of 2 u, which takes one exponential and no cases; for large
 * negative x it is small without a difference of large numbers. */
MB_V_INLINE float gelu_tanh(float x, P)
{
    UNUSED;
    float u = SQRT_2_OVER_PI * (x + 0.044715f * x * x * x);
    return x / (1.0f + mb_v_exp(-2.0f * u));
}
MB_V_INLINE float silu(float x, P)
{
    UNUSED;
    return x / (1.0f + mb_v_exp(-x));
}
MB_V_INLINE float elu(float x, P)
{
    float negative = p->p0 * mb_v_expm1(x > 0.0f ? 0.0f : x);
    return x > 0.0f ? x : negative;
}
MB_V_INLINE float selu(float x, P)
{
    UNUSED;
    float negative = SELU_ALPHA * mb_v_expm1(x > 0.0f ? 0.0f : x);
    return SELU_SCALE * (x > 0.0f ? x : negative);
}
MB_V_INLINE float softplus(float x, P)
{
    UNUSED;
    return (x > 0.0f ? x : 0.0f) + mb_v_log1p(mb_v_exp(-mb_v_abs(x)));
}
MB_V_INLINE float softsign(float x, P)
{
    UNUSED;
    return x / (1.0f + mb_v_abs(x));
}
MB_V_INLINE float exponential(float x, P)
{
    UNUSED;
    return mb_v_exp(x);
}
MB_V_INLINE float hard_sigmoid(float x, P)
{
    float y = p->p0 * x + 0.5f;
    return y < 0.0f ? 0.0f : y > 1.0f ? 1.0f : y;
}
MB_V_INLINE float hard_silu(float x, P)
{
    UNUSED;
    float gate = x * (1.0f / 6.0f) + 0.5f;
    return x * (gate < 0.0f ? 0.0f : gate > 1.0f ? 1.0f : gate);
}
MB_V_INLINE float hard_tanh(float x, P)
{
    UNUSED;
    return x < -1.0f ? -1.0f : x > 1.0f ? 1.0f : x;
}
MB_V_INLINE float celu(float x, P)
{
    float negative = p->p0 * mb_v_expm1((x > 0.0f ? 0.0f : x) / p->p0);
    return x > 0.0f ? x : negative;
}
MB_V_INLINE float squareplus(float x, P)
{
    return 0.5f * (x + sqrtf(x * x + p->p0));
}
MB_V_INLINE float sparse_plus(float x, P)
{
    UNUSED;
    float between = 0.25f * (x + 1.0f) * (x + 1.0f);
    return x >= 1.0f ? x : x <= -1.0f ? 0.0f : between;
}
/* tanh(log(1 + e^x)) = n / (n + d) with n = e^2x + 2 e^x and d = 2, or both times e^-2x. */
typedef struct {
    float n, d, sigmoid;
} mish_t;
MB_V_INLINE mish_t mish_of(float x)
{
    float e = mb_v_exp(-mb_v_abs(x)), s = 1.0f / (1.0f + e);
    float n = x > 0.0f ? 1.0f + 2.0f * e : e * (e + 2.0f);
    return (mish_t){n, x > 0.0f ? 2.0f * e * e : 2.0f, x > 0.0f ? s : e * s};
}
MB_V_INLINE float mish(float x, P)
{
    UNUSED;
    mish_t m = mish_of(x);
    return x * (m.n / (m.n + m.d));
}
MB_V_INLINE float log_sigmoid(float x, P)
{
    return -softplus(-x, p);
}
MB_V_INLINE float tanh_shrink(float x, P)
{
    UNUSED;
    return x - mb_v_tanh(x);
}
MB_V_INLINE float soft_shrink(float x, P)
{
    return x > p->p0 ? x - p->p0 : x < -p->p0 ? x + p->p0 : x != x ? x : 0.0f;
}
MB_V_INLINE float hard_shrink(float x, P)
{
    return mb_v_abs(x) > p->p0 || x != x ? x : 0.0f;
}
MB_V_INLINE float threshold(float x, P)
{
    return x > p->p0 || x != x ? x : p->p1;
}

/* Derivatives from the input x or the result y, whichever the name says. */
MB_V_INLINE float relu_from_y(float y, P)
{
    UNUSED;
    return y > 0.0f ? 1.0f : 0.0f;
}
/* Where two pieces meet there is no derivative. Keras takes the slope at 0 for leaky_relu (but on
 * JAX 1), and 0 at any other threshold, as its sum of two relus has none there; at 6 none, which is
 * relu6, and at any other maximum half of it. Points like these are not rare: 0 follows from zeros
 * and biases that are not trained yet. */
MB_V_INLINE float relu_general_from_x(float x, P)
{
    float at_threshold = p->p2 == 0.0f && p->p1 == INFINITY ? p->p0 : 0.0f;
    float at_maximum = p->p2 == 0.0f && p->p1 == 6.0f ? 0.0f : 0.5f;
    float low = x > p->p2 ? 1.0f : x == p->p2 ? at_threshold : p->p0;
    return x > p->p1 ? 0.0f : x == p->p1 ? at_maximum : low;
}
MB_V_INLINE float tanh_from_y(float y, P)
{
    UNUSED;
    return 1.0f - y * y;
}
MB_V_INLINE float sigmoid_from_y(float y, P)
{
    UNUSED;
    return y * (1.0f - y);
}
MB_V_INLINE float gelu_from_x(float x, P)
{
    UNUSED;
    float phi = INV_SQRT_2PI * mb_v_exp(-0.5f * x * x);
    return 0.5f * (1.0f + mb_v_erf(x * SQRT_HALF)) + x * phi;
}
MB_V_INLINE float gelu_tanh_from_x(float x, P)
{
    UNUSED;
    float u = 2.0f * SQRT_2_OVER_PI * (x + 0.044715f * x * x * x);
    float e = mb_v_exp(-fabsf(u)), large = 1.0f / (1.0f + e);
    /* Not 1 - large: what that is off by, inner and x make up to 56 times larger. */
    float small = e * large;
    float inner = SQRT_2_OVER_PI * (1.0f + 3.0f * 0.044715f * x * x);
    return (u < 0.0f ? small : large) + 2.0f * x * small * large * inner;
}
MB_V_INLINE float silu_from_x(float x, P)
{
    UNUSED;
    float s = mb_v_sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}
MB_V_INLINE float elu_from_x(float x, P)
{
    float negative = p->p0 * mb_v_exp(x > 0.0f ? 0.0f : x);
    return x > 0.0f ? 1.0f : negative;
}
MB_V_INLINE float selu_from_x(float x, P)
{
    UNUSED;
    float negative = SELU_ALPHA * mb_v_exp(x > 0.0f ? 0.0f : x);
    return SELU_SCALE * (x > 0.0f ? 1.0f : negative);
}
MB_V_INLINE float softplus_from_x(float x, P)
{
    UNUSED;
    return mb_v_sigmoid(x);
}
MB_V_INLINE float softsign_from_x(float x, P)
{
    UNUSED;
    float d = 1.0f + mb_v_abs(x);
    return 1.0f / (d * d);
}
MB_V_INLINE float exponential_from_y(float y, P)
{
    UNUSED;
    return y;
}
MB_V_INLINE float hard_sigmoid_from_y(float y, P)
{
    return y > 0.0f && y < 1.0f ? p->p0 : 0.0f;
}
MB_V_INLINE float hard_silu_from_x(float x, P)
{
    UNUSED;
    float between = x * (1.0f / 3.0f) + 0.5f;
    return x >= 3.0f ? 1.0f : x <= -3.0f ? 0.0f : between;
}
MB_V_INLINE float hard_tanh_from_x(float x, P)
{
    UNUSED;
    return mb_v_abs(x) <= 1.0f ? 1.0f : 0.0f;
}
MB_V_INLINE float celu_from_x(float x, P)
{
    float negative = mb_v_exp((x > 0.0f ? 0.0f : x) / p->p0);
    return x > 0.0f ? 1.0f : negative;
}
MB_V_INLINE float squareplus_from_x(float x, P)
{
    return 0.5f + 0.5f * x / sqrtf(x * x + p->p0);
}
MB_V_INLINE float sparse_plus_from_x(float x, P)
{
    UNUSED;
    float between = 0.5f * (x + 1.0f);
    return x >= 1.0f ? 1.0f : x <= -1.0f ? 0.0f : between;
}
/* t + x sigmoid(x) (1 - t^2), where 1 - t^2 = d (2 n + d) / (n + d)^2 loses nothing. */
MB_V_INLINE float mish_from_x(float x, P)
{
    UNUSED;
    mish_t m = mish_of(x);
    float whole = m.n + m.d;
    return m.n / whole + x * m.sigmoid * (m.d * (m.n + whole) / (whole * whole));
}
MB_V_INLINE float log_sigmoid_from_x(float x, P)
{
    UNUSED;
    return mb_v_sigmoid(-x);
}
MB_V_INLINE float tanh_shrink_from_x(float x, P)
{
    UNUSED;
    float t = mb_v_tanh(x);
    return t * t;
}
MB_V_INLINE float shrink_from_x(float x, P)
{
    return mb_v_abs(x) > p->p0 ? 1.0f : 0.0f;
}
MB_V_INLINE float threshold_from_x(float x, P)
{
    return x > p->p0 ? 1.0f : 0.0f;
}

/* In place is allowed: an element is read before it is written. */
#define FORWARD(name)                                                                              \
    static void name##_forward(const float *x, float *y, const mb_cpu_runs_t *runs, P)             \
    {                                                                                              \
        for (int64_t row = 0; row < runs->rows; row++) {                                           \
            int64_t from = runs->first + row * runs->ld, to = from + runs->columns;                \
            _Pragma("omp simd") for (int64_t i = from; i < to; i++) y[i] = name(x[i], p);          \
        }                                                                                          \
    }
#define BACKWARD(name)                                                                             \
    static void name##_backward(const float *value, const float *dy, float *dx, int64_t count, P)  \
    {                                                                                              \
        _Pragma("omp simd") for (int64_t i = 0; i < count; i++) dx[i] = dy[i] * name(value[i], p); \
    }

FORWARD(relu)
FORWARD(relu_general)
FORWARD(act_tanh)
FORWARD(sigmoid)
FORWARD(gelu)
FORWARD(gelu_tanh)
FORWARD(silu)
FORWARD(elu)
FORWARD(selu)
FORWARD(softplus)
FORWARD(softsign)
FORWARD(exponential)
FORWARD(hard_sigmoid)
FORWARD(hard_silu)
FORWARD(hard_tanh)
FORWARD(celu)
FORWARD(squareplus)
FORWARD(sparse_plus)
FORWARD(mish)
FORWARD(log_sigmoid)
FORWARD(tanh_shrink)
FORWARD(soft_shrink)
FORWARD(hard_shrink)
FORWARD(threshold)
BACKWARD(relu_from_y)
BACKWARD(relu_general_from_x)
BACKWARD(tanh_from_y)
BACKWARD(sigmoid_from_y)
BACKWARD(gelu_from_x)
BACKWARD(gelu_tanh_from_x)
BACKWARD(silu_from_x)
BACKWARD(elu_from_x)
BACKWARD(selu_from_x)
BACKWARD(softplus_from_x)
BACKWARD(softsign_from_x)
BACKWARD(exponential_from_y)
BACKWARD(hard_sigmoid_from_y)
BACKWARD(hard_silu_from_x)
BACKWARD(hard_tanh_from_x)
BACKWARD(celu_from_x)
BACKWARD(squareplus_from_x)
BACKWARD(sparse_plus_from_x)
BACKWARD(mish_from_x)
BACKWARD(log_sigmoid_from_x)
BACKWARD(tanh_shrink_from_x)
BACKWARD(threshold_from_x)
BACKWARD(shrink_from_x)

static const mb_activation_kernels_t functions[MB_ACT_COUNT] = {
    [MB_ACT_RELU] = {relu_forward, relu_from_y_backward},
    [MB_ACT_RELU_GENERAL] = {relu_general_forward, relu_general_from_x_backward},
    [MB_ACT_TANH] = {act_tanh_forward, tanh_from_y_backward},
    [MB_ACT_SIGMOID] = {sigmoid_forward, sigmoid_from_y_backward},
    [MB_ACT_GELU] = {gelu_forward, gelu_from_x_backward},
    [MB_ACT_GELU_TANH] = {gelu_tanh_forward, gelu_tanh_from_x_backward},
    [MB_ACT_SILU] = {silu_forward, silu_from_x_backward},
    [MB_ACT_ELU] = {elu_forward, elu_from_x_backward},
    [MB_ACT_SELU] = {selu_forward, selu_from_x_backward},
    [MB_ACT_SOFTPLUS] = {softplus_forward, softplus_from_x_backward},
    [MB_ACT_SOFTSIGN] = {softsign_forward, softsign_from_x_backward},
    [MB_ACT_EXPONENTIAL] = {exponential_forward, exponential_from_y_backward},
    [MB_ACT_HARD_SIGMOID] = {hard_sigmoid_forward, hard_sigmoid_from_y_backward},
    [MB_ACT_HARD_SILU] = {hard_silu_forward, hard_silu_from_x_backward},
    [MB_ACT_HARD_TANH] = {hard_tanh_forward, hard_tanh_from_x_backward},
    [MB_ACT_CELU] = {celu_forward, celu_from_x_backward},
    [MB_ACT_SQUAREPLUS] = {squareplus_forward, squareplus_from_x_backward},
    [MB_ACT_SPARSE_PLUS] = {sparse_plus_forward, sparse_plus_from_x_backward},
    [MB_ACT_MISH] = {mish_forward, mish_from_x_backward},
    [MB_ACT_LOG_SIGMOID] = {log_sigmoid_forward, log_sigmoid_from_x_backward},
    [MB_ACT_TANH_SHRINK] = {tanh_shrink_forward, tanh_shrink_from_x_backward},
    [MB_ACT_SOFT_SHRINK] = {soft_shrink_forward, shrink_from_x_backward},
    [MB_ACT_HARD_SHRINK] = {hard_shrink_forward, shrink_from_x_backward},
    [MB_ACT_THRESHOLD] = {threshold_forward, threshold_from_x_backward},
};
