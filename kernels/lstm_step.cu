/* One step of LSTM at every place of an image (device/ops.h): a thread to an element of the states.
 * Bound by memory: each element of the gates is read and written once a step. */
#include "functions.h"

namespace
{

constexpr int THREADS = 256;

/* An element of the states: of a sample's place, in arrays of one step and of all. */
struct element {
    const mb_lstm_step_t &s;
    int64_t row, unit; /* the row counts the places of all samples */

    __device__ int64_t here(int64_t count, int64_t which) const
    {
        return (row * count + which) * s.units + unit;
    }
    __device__ int64_t at(int64_t count, int64_t which, int64_t position) const
    {
        int64_t sample = row / s.places, place = row % s.places;
        return (((sample * s.steps + position) * s.places + place) * count + which) * s.units +
               unit;
    }
    __device__ int64_t spaced(int64_t ld) const
    {
        return row / s.places * ld + row % s.places * s.units + unit;
    }
    __device__ const mb_function_t &function(int64_t gate) const
    {
        return gate == 2 ? s.act : s.gate;
    }
};

__device__ inline int64_t factors_of(const mb_lstm_step_t &s)
{
    return s.masked ? 4 : 1;
}

template <typename T> __device__ inline float load_or_zero(const void *array, int64_t i)
{
    return array == nullptr ? 0.0f : mb_load((const T *)array, i);
}

template <typename F> __device__ inline void each_element(const mb_lstm_step_t &s, F body)
{
    for (int64_t i = mb_first(); i < s.samples * s.places * s.units; i += mb_stride())
        body(element{s, i / s.units, i % s.units});
}

template <typename T>
__device__ inline float carry_before(const element &e, const void *given, const float *states)
{
    return e.s.earlier >= 0 ? states[e.at(1, 0, e.s.earlier)]
                            : load_or_zero<T>(given, e.here(1, 0));
}

template <typename T> __device__ inline bool is_present(const element &e, const void *present)
{
    int64_t sample = e.row / e.s.places;
    return !e.s.skips || mb_load((const T *)present, sample * e.s.steps + e.s.position) != 0.0f;
}

/* ---- forward */

/* The gate's function, and what is kept of it. */
template <typename T>
__device__ inline float gate(const mb_lstm_step_forward_args_t &a, const element &e, int64_t g)
{
    int64_t at = e.at(4, g, e.s.position);
    float z = mb_load((const T *)a.gates, at) + load_or_zero<T>(a.product, e.here(4, g));
    float value = value_of(e.function(g), z);
    mb_store((T *)a.gates, at, keeps_value(e.function(g)) ? value : z);
    return value;
}

template <typename T>
__device__ inline void put_carry(const mb_lstm_step_forward_args_t &a, const element &e, float c)
{
    a.states[e.at(1, 0, e.s.position)] = c;
    if (a.c != nullptr)
        mb_store((T *)a.c, e.here(1, 0), c);
}

template <typename T>
__device__ inline float cell(const mb_lstm_step_forward_args_t &a, const element &e)
{
    float i = gate<T>(a, e, 0), f = gate<T>(a, e, 1), candidate = gate<T>(a, e, 2);
    float o = gate<T>(a, e, 3);
    float c = f * carry_before<T>(e, a.before[1], a.states) + i * candidate;
    put_carry<T>(a, e, c);
    return o * value_of(e.s.act, c);
}

/* The state h behind the step; one that is not there leaves it as it is. */
template <typename T>
__device__ inline float state(const mb_lstm_step_forward_args_t &a, const element &e, bool present)
{
    if (e.s.position < 0)
        return load_or_zero<T>(a.before[0], e.here(1, 0));
    if (present)
        return cell<T>(a, e);
    put_carry<T>(a, e, carry_before<T>(e, a.before[1], a.states));
    return mb_load((const T *)a.held, e.here(1, 0));
}

/* What U is multiplied by at the next step. */
template <typename T>
__device__ inline void hand_on(const mb_lstm_step_forward_args_t &a, const element &e, float h)
{
    int64_t factors = factors_of(e.s);
    for (int64_t i = 0; i < factors; i++) {
        float factor = e.s.masked ? h * a.masks[e.here(4, i)] : h;
        mb_store((T *)a.previous, e.at(factors, i, e.s.later), factor);
        if (a.factor != nullptr)
            mb_store((T *)a.factor, e.here(factors, i), factor);
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS) forward_kernel(const mb_lstm_step_forward_args_t a)
{
    each_element(a.step, [&](const element &e) {
        bool present = e.s.position < 0 || is_present<T>(e, a.present);
        float h = state<T>(a, e, present);
        if (a.step.skips)
            mb_store((T *)a.held, e.here(1, 0), h);
        if (a.h != nullptr)
            mb_store((T *)a.h, e.spaced(a.ldh), present || !a.step.blank ? h : 0.0f);
        if (a.step.later >= 0)
            hand_on<T>(a, e, h);
    });
}

/* ---- backward */

template <typename T>
__device__ inline float arriving(const mb_lstm_step_backward_args_t &a, const element &e,
                                 bool present)
{
    int64_t factors = factors_of(e.s);
    bool wanted = a.dh != nullptr && (present || !e.s.blank);
    float sum = wanted ? mb_load((const T *)a.dh, e.spaced(a.ldh)) : 0.0f;
    sum += load_or_zero<T>(a.dlast, e.here(1, 0));
    if (e.s.skips && e.s.later >= 0)
        sum += a.dheld[e.here(1, 0)];
    for (int64_t i = 0; i < factors && a.dfactor != nullptr; i++) {
        float d = mb_load((const T *)a.dfactor, e.here(factors, i));
        sum += e.s.masked ? d * a.masks[e.here(4, i)] : d;
    }
    return sum;
}

/* A gate backward: what is kept of it, its value, and where its gradient goes. */
template <typename T> struct gate_back {
    const mb_lstm_step_backward_args_t &a;
    const element &e;
    int64_t g, at;
    float kept;

    __device__ gate_back(const mb_lstm_step_backward_args_t &args, const element &of, int64_t gate)
        : a(args), e(of), g(gate), at(of.at(4, gate, of.s.position)),
          kept(mb_load((const T *)args.gates, at))
    {
    }
    __device__ float value() const
    {
        return keeps_value(e.function(g)) ? kept : value_of(e.function(g), kept);
    }
    __device__ void write(float dvalue) const
    {
        float d = dvalue * slope_of(e.function(g), kept);
        mb_store((T *)a.dgates, at, d);
        mb_store((T *)a.dproduct, e.here(4, g), d);
    }
};

/* Of c, without what comes through h. */
template <typename T>
__device__ inline float arriving_carry(const mb_lstm_step_backward_args_t &a, const element &e)
{
    float dc = e.s.later < 0 ? 0.0f : a.carried[e.here(1, 0)];
    return dc + load_or_zero<T>(a.dc, e.here(1, 0));
}

/* A step that is not there hands on the gradients of the states, and has none of its gates. */
template <typename T>
__device__ inline void kept_back(const mb_lstm_step_backward_args_t &a, const element &e, float dh)
{
    a.carried[e.here(1, 0)] = arriving_carry<T>(a, e);
    a.dheld[e.here(1, 0)] = dh;
    for (int64_t g = 0; g < 4; g++) {
        mb_store((T *)a.dgates, e.at(4, g, e.s.position), 0.0f);
        mb_store((T *)a.dproduct, e.here(4, g), 0.0f);
    }
}

template <typename T>
__device__ inline void cell_back(const mb_lstm_step_backward_args_t &a, const element &e, float dh)
{
    gate_back<T> i(a, e, 0), f(a, e, 1), candidate(a, e, 2), o(a, e, 3);
    float c = a.states[e.at(1, 0, e.s.position)], value = value_of(e.s.act, c);
    float dc = arriving_carry<T>(a, e);
    dc += dh * o.value() * slope_of(e.s.act, keeps_value(e.s.act) ? value : c);
    i.write(dc * candidate.value());
    f.write(dc * carry_before<T>(e, a.before[1], a.states));
    candidate.write(dc * i.value());
    o.write(dh * value);
    a.carried[e.here(1, 0)] = dc * f.value();
}

template <typename T>
__device__ inline void leave(const mb_lstm_step_backward_args_t &a, const element &e, float dh)
{
    if (a.dbefore[0] != nullptr)
        mb_store((T *)a.dbefore[0], e.here(1, 0), dh);
    if (a.dbefore[1] != nullptr)
        mb_store((T *)a.dbefore[1], e.here(1, 0), a.carried[e.here(1, 0)]);
}

template <typename T>
__global__ void __launch_bounds__(THREADS) backward_kernel(const mb_lstm_step_backward_args_t a)
{
    each_element(a.step, [&](const element &e) {
        bool present = e.s.position < 0 || is_present<T>(e, a.present);
        float dh = arriving<T>(a, e, present);
        if (e.s.position < 0)
            leave<T>(a, e, dh);
        else if (!present)
            kept_back<T>(a, e, dh);
        else
            cell_back<T>(a, e, dh);
        if (e.s.skips && e.s.position >= 0 && present)
            a.dheld[e.here(1, 0)] = 0.0f;
    });
}

/* ---- the host's side */

mb_status_t check(mb_op_t op, const mb_lstm_step_t &s, int64_t ldh)
{
    if (s.samples < 0 || s.steps < 1 || s.places < 1 || s.units < 1)
        return mb_cuda_refuse(op, "no steps, places or units");
    if (ldh < s.places * s.units)
        return mb_cuda_refuse(op, "samples of h overlap");
    return s.position < s.steps && s.later < s.steps
               ? MB_OK
               : mb_cuda_refuse(op, "a position behind the last");
}

int64_t elements_of(const mb_lstm_step_t &s)
{
    return s.samples * s.places * s.units;
}

template <typename T> mb_status_t forward(mb_exec_t *exec, const mb_lstm_step_forward_args_t &a)
{
    int64_t all = elements_of(a.step);
    if (exec->planning || all == 0)
        return MB_OK;
    MB_LAUNCH((forward_kernel<T>), mb_cuda_blocks(all, THREADS), THREADS, 0, mb_cuda_stream(exec),
              a);
    return mb_cuda_launched(MB_OP_LSTM_STEP_FORWARD);
}

template <typename T> mb_status_t backward(mb_exec_t *exec, const mb_lstm_step_backward_args_t &a)
{
    int64_t all = elements_of(a.step);
    if (exec->planning || all == 0)
        return MB_OK;
    MB_LAUNCH((backward_kernel<T>), mb_cuda_blocks(all, THREADS), THREADS, 0, mb_cuda_stream(exec),
              a);
    return mb_cuda_launched(MB_OP_LSTM_STEP_BACKWARD);
}

} // namespace

extern "C" mb_status_t mb_cuda_lstm_step_forward(mb_exec_t *exec,
                                                 const mb_lstm_step_forward_args_t *args)
{
    MB_TRY(check(MB_OP_LSTM_STEP_FORWARD, args->step, args->ldh));
    MB_CUDA_TYPED(MB_OP_LSTM_STEP_FORWARD, args->type, return forward<T>(exec, *args));
}

extern "C" mb_status_t mb_cuda_lstm_step_backward(mb_exec_t *exec,
                                                  const mb_lstm_step_backward_args_t *args)
{
    MB_TRY(check(MB_OP_LSTM_STEP_BACKWARD, args->step, args->ldh));
    MB_CUDA_TYPED(MB_OP_LSTM_STEP_BACKWARD, args->type, return backward<T>(exec, *args));
}
