/* One pass of a rule over all tensors of a table, in one launch. A tile is shared by a few blocks,
 * so that small models fill the device too; 16 bytes of each operand at a time; bound by memory. */
#include "update_rules.h"

namespace
{

constexpr int THREADS = 256;
constexpr int64_t BLOCKS = 8; /* of a tile */
constexpr int64_t BLOCK = MB_TENSOR_TILE / BLOCKS;

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
    float w[N] = {}, g[N] = {}, s0[N] = {}, s1[N] = {}, s2[N] = {};
    load_moment<N, RULE::w != NONE>(t.w, i, w);
    load_moment<N, RULE::g != NONE>(t.g, i, g);
    load_moment<N, RULE::s0>(t.s0, i, s0);
    load_moment<N, RULE::s1>(t.s1, i, s1);
    load_moment<N, RULE::s2>(t.s2, i, s2);
#pragma unroll
    for (int k = 0; k < N; k++) {
        float own = RULE::decays ? minus(w[k], times(w[k], t.decay)) : w[k];
        element e = {own, clipped(t, g[k]), s0[k], s1[k], s2[k]};
        rule(t, e);
        w[k] = e.w;
        g[k] = e.g;
        s0[k] = e.s0;
        s1[k] = e.s1;
        s2[k] = e.s2;
    }
    store_moment<N, RULE::w == WRITTEN>(t.w, i, w);
    store_moment<N, RULE::g == WRITTEN>(t.g, i, g);
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

void put_rates(const mb_update_args_t &a, step *t)
{
    t->rho = (float)a.rho;
    t->beta1 = (float)a.beta1;
    t->beta2 = (float)a.beta2;
    t->one_minus_rho = (float)(1.0 - a.rho);
    t->one_minus_beta1 = (float)(1.0 - a.beta1);
    t->one_minus_beta2 = (float)(1.0 - a.beta2);
}

step step_of(const mb_update_args_t &a)
{
    step t = {};
    put_rates(a, &t);
    t.low = a.clip_value > 0.0f ? -a.clip_value : -INFINITY;
    t.high = a.clip_value > 0.0f ? a.clip_value : INFINITY;
    t.lr = a.lr;
    t.momentum = a.momentum;
    t.epsilon = a.epsilon;
    t.alpha = a.alpha;
    t.correction0 = a.correction0;
    t.correction1 = a.correction1;
    t.correction2 = a.correction2;
    t.ahead = a.ahead;
    t.now = a.now;
    t.power = a.power;
    t.l1 = a.l1;
    t.l2 = a.l2;
    t.shrinkage = 2.0f * a.shrinkage;
    t.nesterov = a.nesterov;
    t.overwrites = a.overwrites;
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

mb_status_t update_adam_family(mb_exec_t *exec, const mb_update_args_t &a)
{
    switch (a.rule) {
    case MB_RULE_ADAM:
        return a.amsgrad ? update<adam<true>>(exec, a) : update<adam<false>>(exec, a);
    case MB_RULE_ADAMAX:
        return update<adamax>(exec, a);
    case MB_RULE_NADAM:
        return update<nadam>(exec, a);
    case MB_RULE_SCHEDULE_FREE:
        return update<schedule_free>(exec, a);
    default:
        return update<lamb>(exec, a);
    }
}

mb_status_t update_squares(mb_exec_t *exec, const mb_update_args_t &a)
{
    switch (a.rule) {
    case MB_RULE_RMSPROP:
        return update_rmsprop(exec, a);
    case MB_RULE_ADAGRAD:
        return update<adagrad>(exec, a);
    case MB_RULE_ADADELTA:
        return update<adadelta>(exec, a);
    default:
        return update<adafactor>(exec, a);
    }
}

mb_status_t update_momentum(mb_exec_t *exec, const mb_update_args_t &a)
{
    switch (a.rule) {
    case MB_RULE_SGD:
        return a.momentum == 0.0f ? update<sgd>(exec, a) : update<sgd_momentum>(exec, a);
    case MB_RULE_LION:
        return update<lion>(exec, a);
    default:
        return update<muon>(exec, a);
    }
}

mb_status_t update_around(mb_exec_t *exec, const mb_update_args_t &a)
{
    switch (a.rule) {
    case MB_RULE_PLAIN:
        return update<plain>(exec, a);
    case MB_RULE_STEP:
        return update<straight>(exec, a);
    case MB_RULE_ACCUMULATE:
        return update<accumulate>(exec, a);
    case MB_RULE_RELEASE:
        return update<release>(exec, a);
    default:
        return update<average>(exec, a);
    }
}

} // namespace

extern "C" mb_status_t mb_cuda_update(mb_exec_t *exec, const mb_update_args_t *args)
{
    const mb_update_args_t &a = *args;
    if (a.table.n < 0 || a.table.tiles < 0)
        return mb_cuda_refuse(MB_OP_UPDATE, "negative count");
    if (a.rule < 0 || a.rule >= MB_RULE_COUNT)
        return mb_cuda_refuse(MB_OP_UPDATE, "unknown rule");
    if (a.copies != NULL)
        return mb_cuda_refuse(MB_OP_UPDATE, "copies for the host, which does not see this memory");
    if (exec->planning || a.table.tiles == 0)
        return MB_OK;
    switch (a.rule) {
    case MB_RULE_SGD:
    case MB_RULE_LION:
    case MB_RULE_MUON:
        return update_momentum(exec, a);
    case MB_RULE_ADAM:
    case MB_RULE_ADAMAX:
    case MB_RULE_NADAM:
    case MB_RULE_LAMB:
    case MB_RULE_SCHEDULE_FREE:
        return update_adam_family(exec, a);
    case MB_RULE_FTRL:
        return a.power == 0.5f ? update<ftrl<true>>(exec, a) : update<ftrl<false>>(exec, a);
    case MB_RULE_RMSPROP:
    case MB_RULE_ADAGRAD:
    case MB_RULE_ADADELTA:
    case MB_RULE_ADAFACTOR:
        return update_squares(exec, a);
    default:
        return update_around(exec, a);
    }
}
