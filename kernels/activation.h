/* Activation functions and their derivatives, for kernels that have elements at hand. The functions
 * are Keras' (keras/src/activations). */
#ifndef MB_KERNELS_ACTIVATION_H
#define MB_KERNELS_ACTIVATION_H

#include "approximate.h"

namespace
{

constexpr float SELU_ALPHA = 1.6732632423543772f, SELU_SCALE = 1.0507009873554805f;
constexpr float SQRT_HALF = 0.70710678118654752f;
constexpr float INV_SQRT_2PI = 0.39894228040143268f, SQRT_2_OVER_PI = 0.79788456080286536f;

struct parameters {
    float p0, p1, p2;
};

/* What a function's derivative is computed from: its argument or its result. */
struct from_x {
    static constexpr bool needs_y = false;
};
struct from_y {
    static constexpr bool needs_y = true;
};

template <typename T> struct relu : from_y {
    static __device__ float forward(float x, parameters)
    {
        return x > 0.0f || x != x ? x : 0.0f;
    }
    static __device__ float derivative(float y, parameters)
    {
        return y > 0.0f ? 1.0f : 0.0f;
    }
};

template <typename T> struct relu_general : from_x {
    static __device__ float forward(float x, parameters p)
    {
        float low = x > p.p2 ? x : p.p0 * (x - p.p2);
        return x >= p.p1 ? p.p1 : low;
    }
    /* Where pieces meet as on the CPU (src/device/cpu/activation.c). */
    static __device__ float derivative(float x, parameters p)
    {
        float at_threshold = p.p2 == 0.0f && p.p1 == INFINITY ? p.p0 : 0.0f;
        float at_maximum = p.p2 == 0.0f && p.p1 == 6.0f ? 0.0f : 0.5f;
        float low = x > p.p2 ? 1.0f : x == p.p2 ? at_threshold : p.p0;
        return x > p.p1 ? 0.0f : x == p.p1 ? at_maximum : low;
    }
};

template <typename T> struct hyperbolic : from_y {
    static __device__ float forward(float x, parameters)
    {
        return tanhf(x);
    }
    static __device__ float derivative(float y, parameters)
    {
        return 1.0f - y * y;
    }
};

template <typename T> __device__ inline float sigmoid_of(float x)
{
    return mb_quotient<T>(1.0f, 1.0f + mb_exp<T>(-x));
}

template <typename T> struct sigmoid : from_y {
    static __device__ float forward(float x, parameters)
    {
        return sigmoid_of<T>(x);
    }
    static __device__ float derivative(float y, parameters)
    {
        return y * (1.0f - y);
    }
};

template <typename T> struct gelu : from_x {
    static __device__ float forward(float x, parameters)
    {
        return x * 0.5f * (1.0f + erff(x * SQRT_HALF));
    }
    static __device__ float derivative(float x, parameters)
    {
        float density = INV_SQRT_2PI * mb_exp<T>(-0.5f * x * x);
        return 0.5f * (1.0f + erff(x * SQRT_HALF)) + x * density;
    }
};

template <typename T> struct gelu_tanh : from_x {
    static __device__ float inner(float x)
    {
        return SQRT_2_OVER_PI * (x + 0.044715f * x * x * x);
    }
    static __device__ float forward(float x, parameters)
    {
        return 0.5f * x * (1.0f + tanhf(inner(x)));
    }
    static __device__ float derivative(float x, parameters)
    {
        float t = tanhf(inner(x));
        float slope = SQRT_2_OVER_PI * (1.0f + 3.0f * 0.044715f * x * x);
        return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * slope;
    }
};

template <typename T> struct silu : from_x {
    static __device__ float forward(float x, parameters)
    {
        return mb_quotient<T>(x, 1.0f + mb_exp<T>(-x));
    }
    static __device__ float derivative(float x, parameters)
    {
        float s = sigmoid_of<T>(x);
        return s * (1.0f + x * (1.0f - s));
    }
};

template <typename T> struct elu : from_x {
    static __device__ float forward(float x, parameters p)
    {
        return x > 0.0f ? x : p.p0 * expm1f(x);
    }
    static __device__ float derivative(float x, parameters p)
    {
        return x > 0.0f ? 1.0f : p.p0 * mb_exp<T>(x);
    }
};

template <typename T> struct selu : from_x {
    static __device__ float forward(float x, parameters)
    {
        return SELU_SCALE * (x > 0.0f ? x : SELU_ALPHA * expm1f(x));
    }
    static __device__ float derivative(float x, parameters)
    {
        return SELU_SCALE * (x > 0.0f ? 1.0f : SELU_ALPHA * mb_exp<T>(x));
    }
};

template <typename T> struct softplus : from_x {
    static __device__ float forward(float x, parameters)
    {
        return (x > 0.0f ? x : 0.0f) + log1pf(mb_exp<T>(-fabsf(x)));
    }
    static __device__ float derivative(float x, parameters)
    {
        return sigmoid_of<T>(x);
    }
};

template <typename T> struct softsign : from_x {
    static __device__ float forward(float x, parameters)
    {
        return mb_quotient<T>(x, 1.0f + fabsf(x));
    }
    static __device__ float derivative(float x, parameters)
    {
        float d = 1.0f + fabsf(x);
        return mb_quotient<T>(1.0f, d * d);
    }
};

template <typename T> struct exponential : from_y {
    static __device__ float forward(float x, parameters)
    {
        return mb_exp<T>(x);
    }
    static __device__ float derivative(float y, parameters)
    {
        return y;
    }
};

template <typename T> struct hard_sigmoid : from_y {
    static __device__ float forward(float x, parameters p)
    {
        float y = p.p0 * x + 0.5f;
        return y < 0.0f ? 0.0f : y > 1.0f ? 1.0f : y;
    }
    static __device__ float derivative(float y, parameters p)
    {
        return y > 0.0f && y < 1.0f ? p.p0 : 0.0f;
    }
};

template <typename T> struct hard_silu : from_x {
    static __device__ float forward(float x, parameters)
    {
        float gate = x * (1.0f / 6.0f) + 0.5f;
        return x * (gate < 0.0f ? 0.0f : gate > 1.0f ? 1.0f : gate);
    }
    static __device__ float derivative(float x, parameters)
    {
        return x >= 3.0f ? 1.0f : x <= -3.0f ? 0.0f : x * (1.0f / 3.0f) + 0.5f;
    }
};

template <typename T> struct hard_tanh : from_x {
    static __device__ float forward(float x, parameters)
    {
        return x < -1.0f ? -1.0f : x > 1.0f ? 1.0f : x;
    }
    static __device__ float derivative(float x, parameters)
    {
        return fabsf(x) <= 1.0f ? 1.0f : 0.0f;
    }
};

template <typename T> struct celu : from_x {
    static __device__ float forward(float x, parameters p)
    {
        return x > 0.0f ? x : p.p0 * expm1f(x / p.p0);
    }
    static __device__ float derivative(float x, parameters p)
    {
        return x > 0.0f ? 1.0f : mb_exp<T>(x / p.p0);
    }
};

template <typename T> struct squareplus : from_x {
    static __device__ float forward(float x, parameters p)
    {
        return 0.5f * (x + sqrtf(x * x + p.p0));
    }
    static __device__ float derivative(float x, parameters p)
    {
        return 0.5f + 0.5f * mb_quotient<T>(x, sqrtf(x * x + p.p0));
    }
};

template <typename T> struct sparse_plus : from_x {
    static __device__ float forward(float x, parameters)
    {
        return x >= 1.0f ? x : x <= -1.0f ? 0.0f : 0.25f * (x + 1.0f) * (x + 1.0f);
    }
    static __device__ float derivative(float x, parameters)
    {
        return x >= 1.0f ? 1.0f : x <= -1.0f ? 0.0f : 0.5f * (x + 1.0f);
    }
};

/* tanh(log(1 + e^x)) = n / (n + d) with n = e^2x + 2 e^x and d = 2, or both times e^-2x. */
template <typename T> struct mish : from_x {
    static __device__ void parts(float x, float *n, float *d, float *sigmoid)
    {
        float e = mb_exp<T>(-fabsf(x)), s = mb_quotient<T>(1.0f, 1.0f + e);
        *n = x > 0.0f ? 1.0f + 2.0f * e : e * (e + 2.0f);
        *d = x > 0.0f ? 2.0f * e * e : 2.0f;
        *sigmoid = x > 0.0f ? s : e * s;
    }
    static __device__ float forward(float x, parameters)
    {
        float n, d, sigmoid;
        parts(x, &n, &d, &sigmoid);
        return x * mb_quotient<T>(n, n + d);
    }
    /* t + x sigmoid(x) (1 - t^2), where 1 - t^2 = d (2 n + d) / (n + d)^2 loses nothing. */
    static __device__ float derivative(float x, parameters)
    {
        float n, d, sigmoid;
        parts(x, &n, &d, &sigmoid);
        float whole = n + d;
        return mb_quotient<T>(n, whole) +
               x * sigmoid * mb_quotient<T>(d * (n + whole), whole * whole);
    }
};

template <typename T> struct log_sigmoid : from_x {
    static __device__ float forward(float x, parameters p)
    {
        return -softplus<T>::forward(-x, p);
    }
    static __device__ float derivative(float x, parameters)
    {
        return sigmoid_of<T>(-x);
    }
};

template <typename T> struct tanh_shrink : from_x {
    static __device__ float forward(float x, parameters)
    {
        return x - tanhf(x);
    }
    static __device__ float derivative(float x, parameters)
    {
        float t = tanhf(x);
        return t * t;
    }
};

struct shrink : from_x {
    static __device__ float derivative(float x, parameters p)
    {
        return fabsf(x) > p.p0 ? 1.0f : 0.0f;
    }
};

template <typename T> struct soft_shrink : shrink {
    static __device__ float forward(float x, parameters p)
    {
        return x > p.p0 ? x - p.p0 : x < -p.p0 ? x + p.p0 : x != x ? x : 0.0f;
    }
};

template <typename T> struct hard_shrink : shrink {
    static __device__ float forward(float x, parameters p)
    {
        return fabsf(x) > p.p0 || x != x ? x : 0.0f;
    }
};

template <typename T> struct threshold : from_x {
    static __device__ float forward(float x, parameters p)
    {
        return x > p.p0 || x != x ? x : p.p1;
    }
    static __device__ float derivative(float x, parameters p)
    {
        return x > p.p0 ? 1.0f : 0.0f;
    }
};

#define MB_ACT_FUNCTIONS(X)                                                                        \
    X(RELU, relu)                                                                                  \
    X(RELU_GENERAL, relu_general)                                                                  \
    X(TANH, hyperbolic)                                                                            \
    X(SIGMOID, sigmoid)                                                                            \
    X(GELU, gelu)                                                                                  \
    X(GELU_TANH, gelu_tanh)                                                                        \
    X(SILU, silu)                                                                                  \
    X(ELU, elu)                                                                                    \
    X(SELU, selu)                                                                                  \
    X(SOFTPLUS, softplus)                                                                          \
    X(SOFTSIGN, softsign)                                                                          \
    X(EXPONENTIAL, exponential)                                                                    \
    X(HARD_SIGMOID, hard_sigmoid)                                                                  \
    X(HARD_SILU, hard_silu)                                                                        \
    X(HARD_TANH, hard_tanh)                                                                        \
    X(CELU, celu)                                                                                  \
    X(SQUAREPLUS, squareplus)                                                                      \
    X(SPARSE_PLUS, sparse_plus)                                                                    \
    X(MISH, mish)                                                                                  \
    X(LOG_SIGMOID, log_sigmoid)                                                                    \
    X(TANH_SHRINK, tanh_shrink)                                                                    \
    X(SOFT_SHRINK, soft_shrink)                                                                    \
    X(HARD_SHRINK, hard_shrink)                                                                    \
    X(THRESHOLD, threshold)

} // namespace

#endif
