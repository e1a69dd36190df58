/* One step of LSTM at the places of images: forward, then backward from what the CPU's forward
 * wrote; and the step in front of the first. */
#include "cudasim/ops/bench.h"

namespace
{

mb_lstm_step_t some_step(bench &bench)
{
    static const mb_act_t gates[] = {MB_ACT_SIGMOID, MB_ACT_HARD_SIGMOID, MB_ACT_SOFTPLUS};
    mb_lstm_step_t s = {};
    s.samples = bench.one_in(10) ? 0 : bench.integer(1, 9);
    s.steps = bench.integer(1, 4);
    s.places = bench.integer(1, 90);
    s.units = bench.integer(1, 20);
    int64_t step = bench.integer(-1, s.steps - 1);
    bool backwards = bench.coin();
    auto position = [&](int64_t of) {
        return of < 0 || of >= s.steps ? -1 : backwards ? s.steps - 1 - of : of;
    };
    s.earlier = position(step - 1);
    s.position = position(step);
    s.later = position(step + 1);
    s.masked = bench.one_in(3);
    s.skips = bench.coin();
    s.blank = bench.coin();
    s.act = {bench.coin() ? MB_ACT_TANH : MB_ACT_SOFTSIGN, 0, 0, 0};
    s.gate = {bench.one_of(gates), 0.2f, 0, 0};
    bench.describe(
        "%lld samples, %lld places, %lld units, step %lld of %lld%s%s%s, functions %d, %d",
        (long long)s.samples, (long long)s.places, (long long)s.units, (long long)step,
        (long long)s.steps, backwards ? " backwards" : "", s.masked ? ", masked" : "",
        s.skips && s.blank ? ", skips and blank"
        : s.skips          ? ", skips"
                           : "",
        s.act.act, s.gate.act);
    return s;
}

/* Some 40 roundings of values of at most 8; of narrow elements those of what is kept and read
 * besides, through slopes and products of at most 4. */
double of_step(mb_dtype_t type)
{
    return 320 * EPSILON + (type == MB_F32 ? 0 : 32 * rounding_of(type));
}

/* Beside what the step is told by null pointers. */
template <typename Args> void leave_some(bench &bench, Args *args)
{
    if (bench.coin())
        args->before[0] = args->before[1] = nullptr;
}

void backward(bench &bench, const mb_lstm_step_forward_args_t &f)
{
    mb_lstm_step_backward_args_t args = {};
    int64_t states = f.step.samples * f.step.places * f.step.units;
    double bound = of_step(f.type);
    args.type = f.type;
    args.step = f.step;
    args.masks = f.masks;
    args.gates = f.gates;
    args.states = f.states;
    args.ldh = f.ldh;
    args.carried = bench.changed(MB_F32, states, -1, 1);
    bench.allow(args.carried, {2 * EPSILON, bound, 0});
    if (f.step.skips) {
        args.present = f.present;
        args.dheld = bench.changed(MB_F32, states, -1, 1);
        bench.allow(args.dheld, {2 * EPSILON, bound, 0});
    }
    bench.complete(MB_OP_LSTM_STEP_BACKWARD, &args);
    leave_some(bench, &args);
    if (f.step.later < 0)
        args.dfactor = nullptr;
    if (bench.coin())
        args.dh = args.dc = nullptr;
    if (f.step.later >= 0 || bench.coin())
        args.dlast = nullptr;
    if (f.step.position >= 0)
        args.dbefore[0] = args.dbefore[1] = nullptr;
    else
        args.dproduct = nullptr;
    bench.run(MB_OP_LSTM_STEP_BACKWARD, args, {2 * EPSILON, bound, 0});
}

void lstm_step(bench &bench, mb_dtype_t type)
{
    mb_lstm_step_forward_args_t args = {};
    const mb_lstm_step_t &s = args.step = some_step(bench);
    int64_t states = s.samples * s.places * s.units;
    double bound = of_step(type);
    args.type = type;
    args.ldh = s.places * s.units * bench.integer(1, 3);
    args.states = bench.changed(MB_F32, s.steps * states, -1, 1);
    bench.allow(args.states, {2 * EPSILON, bound, 0});
    if (s.masked)
        args.masks = bench.given(MB_F32, 4 * states, 0, 2);
    if (s.skips)
        args.present = bench.given(type, s.samples * s.steps,
                                   [&](int64_t) { return bench.one_in(3) ? 0.0 : 1.0; });
    bench.complete(MB_OP_LSTM_STEP_FORWARD, &args);
    leave_some(bench, &args);
    if (s.position < 0)
        args.c = nullptr;
    if (s.later < 0)
        args.factor = nullptr;
    if (bench.coin())
        args.product = nullptr;
    if (bench.run(MB_OP_LSTM_STEP_FORWARD, args, {2 * EPSILON, bound, 0}))
        backward(bench, args);
}

} // namespace

const test lstm_step_tests[] = {
    {"lstm_step", "steps of LSTM at places and their gradients agree", true, 2, lstm_step}, {}};
