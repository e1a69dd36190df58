/* Recurrent cells forward, then backward from what the CPU's forward saved.
 *
 * Narrow elements: the device rounds the states at each step before it multiplies them by U, the
 * CPU only where they are written. */
#include "cudasim/ops/bench.h"

#include <cmath>

namespace
{

mb_function_t some_function(bench &bench, bool gate)
{
    static const mb_act_t acts[] = {MB_ACT_TANH, MB_ACT_SOFTSIGN, MB_ACT_LINEAR};
    static const mb_act_t gates[] = {MB_ACT_SIGMOID, MB_ACT_SIGMOID, MB_ACT_HARD_SIGMOID,
                                     MB_ACT_SOFTPLUS};
    return {gate              ? bench.one_of(gates)
            : bench.one_in(2) ? MB_ACT_TANH
                              : bench.one_of(acts),
            0.2f, 0, 0};
}

mb_rnn_t some_shape(bench &bench)
{
    mb_rnn_t r = {};
    r.cell = (mb_cell_t)bench.integer(MB_CELL_SIMPLE, MB_CELL_GRU_BEFORE);
    r.backwards = bench.coin();
    r.last_only = bench.coin();
    r.reversed = bench.coin();
    r.masked = bench.one_in(3);
    r.skips = bench.coin();
    r.blank = bench.coin();
    r.samples = bench.one_in(10) ? 0 : bench.integer(1, 70);
    r.steps = bench.integer(1, 6);
    r.units = bench.integer(1, 40);
    r.ldy = r.units + (bench.coin() ? 0 : bench.integer(1, 40));
    r.act = some_function(bench, false);
    r.gate = some_function(bench, true);
    bench.describe(
        "cell %d, %lld samples, %lld steps, %lld units in rows of %lld, functions %d and "
        "%d%s%s%s%s%s%s",
        r.cell, (long long)r.samples, (long long)r.steps, (long long)r.units, (long long)r.ldy,
        r.act.act, r.gate.act, r.backwards ? ", backwards" : "", r.last_only ? ", last only" : "",
        r.reversed ? ", reversed" : "", r.masked ? ", masked" : "", r.skips ? ", skips" : "",
        r.blank ? ", blank" : "");
    return r;
}

/* A step makes a sum of `units` products below 2 / units each (the masks), and some 40 roundings of
 * values of at most 4; narrow ones of the states and of the gradients besides. An error goes on
 * from step to step by the sum of |U|, at most 2, and by the cell's own way, at most 1. */
double of_steps(const mb_rnn_t &r, mb_dtype_t type)
{
    double rounded = type == MB_F32 ? 0 : 4 * rounding_of(type);
    double each = 4 * sum_bound(r.units) / (double)r.units + 160 * EPSILON + rounded;
    return each * (pow(2, (double)r.steps) - 1) * 2;
}

/* Which states there are: h, and c of LSTM alone; all of them, or none. */
template <typename T> void leave_some(bench &bench, const mb_rnn_t &r, T **states)
{
    if (r.cell != MB_CELL_LSTM)
        states[1] = nullptr;
    if (bench.coin())
        states[0] = states[1] = nullptr;
}

void backward(bench &bench, const mb_rnn_forward_args_t &f)
{
    const mb_rnn_t &r = f.rnn;
    mb_rnn_backward_args_t args = {};
    args.type = f.type;
    args.rnn = r;
    args.u = f.u;
    args.masks = f.masks;
    args.gates = f.gates;
    args.states = f.states;
    args.present = f.present;
    bench.complete(MB_OP_RNN_BACKWARD, &args);
    leave_some(bench, r, args.dafter);
    leave_some(bench, r, args.dbefore);
    for (int i = 0; i < 2; i++)
        args.before[i] = f.before[i];
    double bound = of_steps(r, f.type);
    bench.run(MB_OP_RNN_BACKWARD, args, {2 * EPSILON, 4 * bound, 4 * bound});
}

void recurrent(bench &bench, mb_dtype_t type)
{
    mb_rnn_forward_args_t args = {};
    const mb_rnn_t &r = args.rnn = some_shape(bench);
    int64_t gates = mb_rnn_gates(r.cell), states = r.samples * r.steps * r.units;
    double most = 1.0 / (double)r.units, bound = of_steps(r, type);
    args.type = type;
    args.u = bench.given(type, gates * r.units * r.units, -most, most);
    args.gates = bench.changed(MB_F32, mb_rnn_kept(r.cell) * states, -1, 1);
    bench.allow(args.gates, {2 * EPSILON, bound, 0});
    if (r.masked)
        args.masks = bench.given(MB_F32, r.samples * gates * r.units, 0, 2);
    if (r.skips)
        args.present =
            bench.given(type, r.samples * r.steps, [&](int64_t) { return bench.coin() ? 1 : 0; });
    if (r.cell == MB_CELL_GRU && bench.coin())
        args.bias = bench.given(MB_F32, gates * r.units, -1, 1);
    if (r.cell != MB_CELL_SIMPLE) {
        args.states = bench.written(MB_F32, states);
        bench.allow(args.states, {2 * EPSILON, bound, 0});
    }
    bench.complete(MB_OP_RNN_FORWARD, &args);
    leave_some(bench, r, args.before);
    leave_some(bench, r, args.after);
    if (bench.run(MB_OP_RNN_FORWARD, args, {2 * EPSILON, bound, 0}))
        backward(bench, args);
}

} // namespace

const test recurrent_tests[] = {
    {"recurrent", "recurrent cells and their gradients agree", true, 2, recurrent}, {}};
