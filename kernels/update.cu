/* One step of an optimizer over all tensors of a table, in one launch. Every element is computed by
 * itself with each operation rounded by itself (no fused multiply-add), so that a part of a
 * parameter gets the bits that the whole would give it, and those of the CPU. A tile is shared by a
 * few blocks, so that small models fill the device too; 16 bytes of each operand at a time; bound
 * by memory. The rules are Keras 3's (keras/src/optimizers). */
#include "table.h"

namespace
{

constexpr int THREADS = 256;
constexpr int64_t BLOCKS = 8; /* of a tile */
constexpr int64_t BLOCK = MB_TENSOR_TILE / BLOCKS;

struct step {
    float low, high; /* the gradient is scaled, then clipped */
    float lr, momentum, epsilon, alpha;
    float rho, one_minus_rho, one_minus_beta1, one_minus_beta2;
    bool nesterov;
};

/* The same of one tensor. */
struct part : step {
    float *w, *s0, *s1, *s2;
    const float *g;
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

__device__ inline float clipped(const part &t, float g)
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

template <typename RULE, int N> __device__ inline void step_run(const part &t, int64_t i)
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

__device__ inline part part_of(const step &t, const mb_tensor_t &tensor, const float *scale)
{
    part p;
    static_cast<step &>(p) = t;
    p.w = tensor.w, p.s0 = tensor.s0, p.s1 = tensor.s1, p.s2 = tensor.s2, p.g = tensor.g;
    p.scale = scale == NULL ? 1.0f : scale[tensor.place];
    p.decay = times(tensor.weight_decay, t.lr);
    return p;
}

template <typename RULE>
__global__ void __launch_bounds__(THREADS)
    update_kernel(mb_table_t table, const float *scale, step t)
{
    const mb_tensor_t &tensor = mb_find_tensor(table, blockIdx.x / BLOCKS);
    int64_t first = (blockIdx.x - tensor.first_tile * BLOCKS) * BLOCK, end = first + BLOCK;
    part p = part_of(t, tensor, scale);
    mb_each_run_of_tile<mb_width<float>, THREADS>(
        mb_aligned(p.w, p.g, p.s0, p.s1, p.s2), first, end < tensor.count ? end : tensor.count,
        [&](int64_t i, auto run) { step_run<RULE, decltype(run)::value>(p, i); });
}

step step_of(const mb_update_args_t &a)
{
    step t = {};
    t.low = a.clip_value > 0.0f ? -a.clip_value : -INFINITY;
    t.high = a.clip_value > 0.0f ? a.clip_value : INFINITY;
    t.lr = a.lr;
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
    MB_LAUNCH((update_kernel<RULE>), (unsigned)(a.table.tiles * BLOCKS), THREADS, 0,
              mb_cuda_stream(exec), a.table, a.scale, step_of(a));
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
    if (a.table.n < 0 || a.table.tiles < 0)
        return mb_cuda_refuse(MB_OP_UPDATE, "negative count");
    if (a.rule != MB_RULE_SGD && a.rule != MB_RULE_RMSPROP && a.rule != MB_RULE_ADAM)
        return mb_cuda_refuse(MB_OP_UPDATE, "unknown rule");
    if (exec->planning || a.table.tiles == 0)
        return MB_OK;
    if (a.rule == MB_RULE_SGD)
        return a.momentum == 0.0f ? update<sgd>(exec, a) : update<sgd_momentum>(exec, a);
    if (a.rule == MB_RULE_RMSPROP)
        return update_rmsprop(exec, a);
    return a.amsgrad ? update<adam<true>>(exec, a) : update<adam<false>>(exec, a);
}
