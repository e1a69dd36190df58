/* The rules of an update, one element at a time (device/ops.h states them). Each operation is
 * rounded by itself (no fused multiply-add), so that a part of a parameter gets the bits that the
 * whole would give it, and those of the CPU. The rules are Keras 3's (keras/src/optimizers). */
#ifndef MB_KERNELS_UPDATE_RULES_H
#define MB_KERNELS_UPDATE_RULES_H

#include "table.h"

namespace
{

struct step {
    float low, high; /* the gradient is scaled, then clipped */
    float lr, momentum, epsilon, alpha;
    float rho, beta1, beta2, one_minus_rho, one_minus_beta1, one_minus_beta2;
    float correction0, correction1, correction2, ahead, now;
    float power, l1, l2, shrinkage;
    bool nesterov, overwrites;
};

/* The same of one tensor. */
struct part : step {
    float *w, *g, *s0, *s1, *s2;
    float scale, decay;
};

__device__ inline float plus(float a, float b)
{
    return __fadd_rn(a, b);
}
__device__ inline float minus(float a, float b)
{
    return __fsub_rn(a, b);
}
__device__ inline float times(float a, float b)
{
    return __fmul_rn(a, b);
}
__device__ inline float over(float a, float b)
{
    return __fdiv_rn(a, b);
}
__device__ inline float root(float a)
{
    return __fsqrt_rn(a);
}

__device__ inline float clipped(const part &t, float g)
{
    g = times(g, t.scale);
    g = g < t.low ? t.low : g;
    return g > t.high ? t.high : g;
}

/* What a rule sees of an element, and changes: the weight, after its decay where the rule decays,
 * the clipped gradient, and the moments it keeps. */
struct element {
    float w, g, s0, s1, s2;
};

/* What a rule does to weights and to gradients, and the moments that it keeps. */
enum touch { NONE, READ, WRITTEN };
template <bool S0, bool S1 = false, bool S2 = false, touch W = WRITTEN, touch G = READ,
          bool DECAYS = true>
struct keeps {
    static constexpr bool s0 = S0, s1 = S1, s2 = S2, decays = DECAYS;
    static constexpr touch w = W, g = G;
};
template <bool S0, bool S1 = false, bool S2 = false>
using directs = keeps<S0, S1, S2, WRITTEN, WRITTEN>;

__device__ inline void average_gradient(const step &t, element &e)
{
    e.s0 = plus(e.s0, times(minus(e.g, e.s0), t.one_minus_beta1));
}
__device__ inline void average_square(const step &t, element &e)
{
    e.s1 = plus(e.s1, times(minus(times(e.g, e.g), e.s1), t.one_minus_beta2));
}
/* Of X into what was BEFORE. */
__device__ inline float averaged(const step &t, float before, float x)
{
    return plus(times(t.rho, before), times(t.one_minus_rho, x));
}

struct sgd : keeps<false> {
    __device__ void operator()(const step &t, element &e) const
    {
        e.w = minus(e.w, times(t.lr, e.g));
    }
};

struct sgd_momentum : keeps<true> {
    __device__ void operator()(const step &t, element &e) const
    {
        float change = times(e.g, t.lr);
        e.s0 = minus(times(e.s0, t.momentum), change);
        e.w = plus(e.w, t.nesterov ? minus(times(e.s0, t.momentum), change) : e.s0);
    }
};

struct lion : keeps<true> {
    __device__ void operator()(const step &t, element &e) const
    {
        float sum = plus(times(e.s0, t.beta1), times(e.g, t.one_minus_beta1));
        float sign = sum > 0.0f ? 1.0f : sum < 0.0f ? -1.0f : sum;
        e.w = minus(e.w, times(t.lr, sign));
        e.s0 = plus(times(e.s0, t.beta2), times(e.g, t.one_minus_beta2));
    }
};

struct muon : directs<true> {
    __device__ void operator()(const step &t, element &e) const
    {
        e.s0 = plus(e.s0, minus(e.g, times(e.s0, t.one_minus_rho)));
        e.g = t.nesterov ? plus(e.g, times(t.rho, e.s0)) : e.s0;
    }
};

template <bool CENTERED, bool MOMENTUM> struct rmsprop : keeps<true, CENTERED, MOMENTUM> {
    __device__ void operator()(const step &t, element &e) const
    {
        e.s0 = averaged(t, e.s0, times(e.g, e.g));
        float d = e.s0;
        if (CENTERED) {
            e.s1 = averaged(t, e.s1, e.g);
            d = minus(e.s0, times(e.s1, e.s1));
        }
        float change = over(times(t.lr, e.g), root(plus(d, t.epsilon)));
        if (MOMENTUM) {
            change = plus(times(t.momentum, e.s2), change);
            e.s2 = change;
        }
        e.w = minus(e.w, change);
    }
};

struct adagrad : keeps<true> {
    __device__ void operator()(const step &t, element &e) const
    {
        e.s0 = plus(e.s0, times(e.g, e.g));
        e.w = minus(e.w, over(times(t.lr, e.g), root(plus(e.s0, t.epsilon))));
    }
};

struct adadelta : keeps<true, true> {
    __device__ void operator()(const step &t, element &e) const
    {
        e.s0 = averaged(t, e.s0, times(e.g, e.g));
        float change = times(root(plus(e.s1, t.epsilon)), e.g);
        change = over(change, root(plus(e.s0, t.epsilon)));
        e.s1 = averaged(t, e.s1, times(change, change));
        e.w = minus(e.w, times(t.lr, change));
    }
};

struct adafactor : directs<false, false, true> {
    __device__ void operator()(const step &t, element &e) const
    {
        e.s2 = averaged(t, e.s2, plus(times(e.g, e.g), t.epsilon));
        e.g = over(e.g, root(e.s2));
    }
};

template <bool AMSGRAD> struct adam : keeps<true, true, AMSGRAD> {
    __device__ void operator()(const step &t, element &e) const
    {
        average_gradient(t, e);
        average_square(t, e);
        float second = e.s1;
        if (AMSGRAD) {
            second = e.s2 > second ? e.s2 : second;
            e.s2 = second;
        }
        e.w = minus(e.w, over(times(e.s0, t.alpha), plus(root(second), t.epsilon)));
    }
};

struct adamax : keeps<true, true> {
    __device__ void operator()(const step &t, element &e) const
    {
        float size = fabsf(e.g), fallen = times(t.beta2, e.s1);
        average_gradient(t, e);
        e.s1 = fallen > size ? fallen : size;
        float divisor = times(t.correction1, plus(e.s1, t.epsilon));
        e.w = minus(e.w, over(times(t.lr, e.s0), divisor));
    }
};

struct nadam : keeps<true, true> {
    __device__ void operator()(const step &t, element &e) const
    {
        average_gradient(t, e);
        average_square(t, e);
        float mean =
            plus(over(times(t.ahead, e.s0), t.correction1), over(times(t.now, e.g), t.correction0));
        float divisor = plus(root(over(e.s1, t.correction2)), t.epsilon);
        e.w = minus(e.w, over(times(mean, t.lr), divisor));
    }
};

struct lamb : directs<true, true> {
    __device__ void operator()(const step &t, element &e) const
    {
        average_gradient(t, e);
        average_square(t, e);
        float divisor = plus(root(over(e.s1, t.correction2)), t.epsilon);
        e.g = over(over(e.s0, t.correction1), divisor);
    }
};

/* The weight lies between s0, which takes the steps, and the mean of all that s0 was. */
struct schedule_free : keeps<true, true> {
    __device__ void operator()(const step &t, element &e) const
    {
        average_square(t, e);
        float mean = over(minus(e.w, times(t.one_minus_beta1, e.s0)), t.beta1);
        float divisor = plus(root(over(e.s1, t.correction2)), t.epsilon);
        e.s0 = minus(e.s0, over(times(t.alpha, e.g), divisor));
        mean = plus(times(t.ahead, mean), times(t.now, e.s0));
        e.w = plus(times(t.one_minus_beta1, e.s0), times(t.beta1, mean));
    }
};

/* ROOT: the power is 1/2, as it nearly always is; others are taken in double, where libraries
 * hardly ever differ once it is rounded to float. */
template <bool ROOT> struct ftrl : keeps<true, true> {
    __device__ static float power(const step &t, float x)
    {
        return ROOT ? root(x) : (float)pow((double)x, (double)t.power);
    }
    __device__ void operator()(const step &t, element &e) const
    {
        float squares = plus(e.s0, times(e.g, e.g)), after = power(t, squares);
        float moved = times(over(minus(after, power(t, e.s0)), t.lr), e.w);
        e.s1 = plus(e.s1, minus(plus(e.g, times(t.shrinkage, e.w)), moved));
        e.s0 = squares;
        float bounded = e.s1 < -t.l1 ? -t.l1 : e.s1 > t.l1 ? t.l1 : e.s1;
        e.w = over(minus(bounded, e.s1), plus(over(after, t.lr), t.l2));
    }
};

struct plain : directs<false> {
    __device__ void operator()(const step &, element &) const
    {
    }
};

struct straight : keeps<false, false, false, WRITTEN, READ, false> {
    __device__ void operator()(const step &, element &e) const
    {
        e.w = minus(e.w, e.g);
    }
};

struct accumulate : keeps<true, false, false, NONE, READ, false> {
    __device__ void operator()(const step &, element &e) const
    {
        e.s0 = plus(e.s0, e.g);
    }
};

struct release : keeps<true, false, false, NONE, WRITTEN, false> {
    __device__ void operator()(const step &t, element &e) const
    {
        e.g = over(plus(e.g, e.s0), t.alpha);
        e.s0 = 0.0f;
    }
};

struct average : keeps<true, false, false, WRITTEN, NONE, false> {
    __device__ void operator()(const step &t, element &e) const
    {
        e.s0 = averaged(t, e.s0, e.w);
        e.w = t.overwrites ? e.s0 : e.w;
    }
};

} // namespace

#endif
