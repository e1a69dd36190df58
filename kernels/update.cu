/* One step of an optimizer over a parameter. Every element is computed by itself with each
 * operation rounded by itself (no fused multiply-add), so that a part of a parameter gets the bits
 * that the whole would give it, and those of the CPU. 16 bytes of each operand at a time; bound by
 * memory. The rules are Keras 3's (keras/src/optimizers). */
#include "runs.h"

namespace
{

constexpr int THREADS = 256;

struct step {
    float *w, *s0, *s1, *s2;
    const float *g;
    float scale, low, high; /* the gradient is scaled, then clipped */
    float lr, decay, momentum, epsilon, alpha;
    float rho, one_minus_rho, one_minus_beta1, one_minus_beta2;
    bool nesterov;
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

__device__ inline float clipped(const step &t, float g)
{
    g = times(g, t.scale);
    g = g < t.low ? t.low : g;
    return g > t.high ? t.high : g;
}

/* What a rule sees of an element: the weight after its decay, the clipped gradient, and the moments
 * it keeps. It returns the new weight. */
struct element {
    float w, g, s0, s1, s2;
};

/* The moments that a rule keeps. */
template <bool S0, bool S1, bool S2> struct keeps {
    static constexpr bool s0 = S0, s1 = S1, s2 = S2;
};

struct sgd : keeps<false, false, false> {
    __device__ float operator()(const step &t, element &e) const
    {
        return minus(e.w, times(t.lr, e.g));
    }
};

struct sgd_momentum : keeps<true, false, false> {
    __device__ float operator()(const step &t, element &e) const
    {
        float change = times(e.g, t.lr);
        e.s0 = minus(times(e.s0, t.momentum), change);
        return plus(e.w, t.nesterov ? minus(times(e.s0, t.momentum), change) : e.s0);
    }
};

template <bool CENTERED, bool MOMENTUM> struct rmsprop : keeps<true, CENTERED, MOMENTUM> {
    __device__ float operator()(const step &t, element &e) const
    {
        e.s0 = plus(times(t.rho, e.s0), times(t.one_minus_rho, times(e.g, e.g)));
        float d = e.s0;
        if (CENTERED) {
            e.s1 = plus(times(t.rho, e.s1), times(t.one_minus_rho, e.g));
            d = minus(e.s0, times(e.s1, e.s1));
        }
        float change = __fdiv_rn(times(t.lr, e.g), __fsqrt_rn(plus(d, t.epsilon)));
        if (MOMENTUM) {
            change = plus(times(t.momentum, e.s2), change);
            e.s2 = change;
        }
        return minus(e.w, change);
    }
};

template <bool AMSGRAD> struct adam : keeps<true, true, AMSGRAD> {
    __device__ float operator()(const step &t, element &e) const
    {
        e.s0 = plus(e.s0, times(minus(e.g, e.s0), t.one_minus_beta1));
        e.s1 = plus(e.s1, times(minus(times(e.g, e.g), e.s1), t.one_minus_beta2));
        float second = e.s1;
        if (AMSGRAD) {
            second = e.s2 > second ? e.s2 : second;
            e.s2 = second;
        }
        return minus(e.w, __fdiv_rn(times(e.s0, t.alpha), plus(__fsqrt_rn(second), t.epsilon)));
    }
};

template <int N, bool KEPT>
__device__ inline void load_moment(const float *s, int64_t i, float (&out)[N])
{
    if constexpr (KEPT)
        mb_load_pack(s + i, out);
}

template <int N, bool KEPT>
__device__ inline void store_moment(float *s, int64_t i, const float (&in)[N])
{
    if constexpr (KEPT)
        mb_store_pack(s + i, in);
}

template <typename RULE, int N> __device__ inline void step_run(const step &t, int64_t i)
{
    RULE rule;
    float w[N], g[N], s0[N] = {}, s1[N] = {}, s2[N] = {};
    mb_load_pack(t.w + i, w);
    mb_load_pack(t.g + i, g);
    load_moment<N, RULE::s0>(t.s0, i, s0);
    load_moment<N, RULE::s1>(t.s1, i, s1);
    load_moment<N, RULE::s2>(t.s2, i, s2);
#pragma unroll
    for (int k = 0; k < N; k++) {
        element e = {minus(w[k], times(w[k], t.decay)), clipped(t, g[k]), s0[k], s1[k], s2[k]};
        w[k] = rule(t, e);
        s0[k] = e.s0;
        s1[k] = e.s1;
        s2[k] = e.s2;
    }
    mb_store_pack(t.w + i, w);
    store_moment<N, RULE::s0>(t.s0, i, s0);
    store_moment<N, RULE::s1>(t.s1, i, s1);
    store_moment<N, RULE::s2>(t.s2, i, s2);
}

template <typename RULE>
__global__ void __launch_bounds__(THREADS) update_kernel(int64_t runs, int64_t count, step t)
{
    mb_each_run<mb_width<float>>(
        runs, count, [&](int64_t i, auto run) { step_run<RULE, decltype(run)::value>(t, i); });
}

step step_of(const mb_update_args_t &a)
{
    step t = {};
    t.w = a.w, t.s0 = a.s0, t.s1 = a.s1, t.s2 = a.s2, t.g = a.g;
    t.scale = a.grad_scale;
    t.low = a.clip_value > 0.0f ? -a.clip_value : -INFINITY;
    t.high = a.clip_value > 0.0f ? a.clip_value : INFINITY;
    t.lr = a.lr;
    t.decay = a.weight_decay * a.lr;
    t.momentum = a.momentum;
    t.epsilon = a.epsilon;
    t.alpha = a.alpha;
    t.rho = (float)a.rho;
    t.one_minus_rho = (float)(1.0 - a.rho);
    t.one_minus_beta1 = (float)(1.0 - a.beta1);
    t.one_minus_beta2 = (float)(1.0 - a.beta2);
    t.nesterov = a.nesterov;
    return t;
}

template <typename RULE> mb_status_t update(mb_exec_t *exec, const mb_update_args_t &a)
{
    constexpr int W = mb_width<float>;
    int64_t runs = mb_cuda_runs(a.count, W, a.w, a.g, a.s0, a.s1, a.s2);
    MB_LAUNCH((update_kernel<RULE>), mb_cuda_run_blocks(runs, a.count, W, THREADS), THREADS, 0,
              mb_cuda_stream(exec), runs, a.count, step_of(a));
    return mb_cuda_launched(MB_OP_UPDATE);
}

mb_status_t update_rmsprop(mb_exec_t *exec, const mb_update_args_t &a)
{
    if (a.centered)
        return a.momentum == 0.0f ? update<rmsprop<true, false>>(exec, a)
                                  : update<rmsprop<true, true>>(exec, a);
    return a.momentum == 0.0f ? update<rmsprop<false, false>>(exec, a)
                              : update<rmsprop<false, true>>(exec, a);
}

} // namespace

extern "C" mb_status_t mb_cuda_update(mb_exec_t *exec, const mb_update_args_t *args)
{
    const mb_update_args_t &a = *args;
    if (a.count < 0)
        return mb_cuda_refuse(MB_OP_UPDATE, "negative count");
    if (a.rule != MB_RULE_SGD && a.rule != MB_RULE_RMSPROP && a.rule != MB_RULE_ADAM)
        return mb_cuda_refuse(MB_OP_UPDATE, "unknown rule");
    if (exec->planning || a.count == 0)
        return MB_OK;
    if (a.rule == MB_RULE_SGD)
        return a.momentum == 0.0f ? update<sgd>(exec, a) : update<sgd_momentum>(exec, a);
    if (a.rule == MB_RULE_RMSPROP)
        return update_rmsprop(exec, a);
    return a.amsgrad ? update<adam<true>>(exec, a) : update<adam<false>>(exec, a);
}
