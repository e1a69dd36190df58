/* Pooling over windows and over all positions, forward and then backward over the same input. */
#include "cudasim/ops/bench.h"

#include <cmath>

namespace
{

/* Ties, and now and then no number. */
double some_input(bench &bench, bool ties, int64_t i)
{
    if (i % 501 == 500)
        return NAN;
    return ties ? (double)bench.integer(-2, 2) : bench.uniform(-1, 1);
}

/* tiled: windows that neither overlap nor leave gaps, which have kernels of their own. */
void some_axis(bench &bench, bool tiled, mb_window_t *w, int i)
{
    w->kernel[i] = bench.integer(1, 4);
    w->stride[i] = tiled ? w->kernel[i] : bench.integer(1, 4);
    w->dilation[i] = tiled || bench.coin() ? 1 : bench.integer(1, 3);
    int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
    w->pad_before[i] = tiled || bench.coin() ? 0 : bench.integer(0, reach - 1);
    w->pad_after[i] = tiled || bench.coin() ? 0 : bench.integer(0, reach - 1);
    w->out[i] = bench.integer(1, 5);
    int64_t rest = tiled || bench.coin() ? 0 : bench.integer(0, w->stride[i] - 1);
    int64_t in = (w->out[i] - 1) * w->stride[i] + reach - w->pad_before[i] - w->pad_after[i] + rest;
    w->in[i] = in < 1 ? 1 : in;
}

mb_window_t some_window(bench &bench)
{
    mb_window_t w = {};
    w.samples = bench.integer(0, 3);
    w.channels_in = bench.coin() ? bench.integer(1, 40) : 8 * bench.integer(1, 5);
    w.channels_out = w.channels_in;
    w.groups = 1;
    bool tiled = bench.one_in(4);
    some_axis(bench, tiled, &w, 0);
    some_axis(bench, tiled, &w, 1);
    if (bench.one_in(5)) {
        w.in[0] = w.out[0] = w.kernel[0] = w.stride[0] = w.dilation[0] = 1;
        w.pad_before[0] = w.pad_after[0] = 0;
    }
    return w;
}

void describe(bench &bench, const mb_window_t &w, bool average)
{
    bench.describe("%lld of %lld x %lld x %lld to %lld x %lld, kernel %lld %lld, stride %lld %lld, "
                   "dilation %lld %lld, padding %lld %lld, average %d",
                   (long long)w.samples, (long long)w.in[0], (long long)w.in[1],
                   (long long)w.channels_in, (long long)w.out[0], (long long)w.out[1],
                   (long long)w.kernel[0], (long long)w.kernel[1], (long long)w.stride[0],
                   (long long)w.stride[1], (long long)w.dilation[0], (long long)w.dilation[1],
                   (long long)w.pad_before[0], (long long)w.pad_before[1], average);
}

/* A mean's sum errs by sum_bound(taps) in any order, and is divided by their number. A gradient is
 * the sum over up to as many windows. */
void pool(bench &bench, mb_dtype_t type)
{
    mb_pool_forward_args_t args = {};
    args.type = type;
    args.window = some_window(bench);
    args.average = bench.coin();
    int64_t taps = args.window.kernel[0] * args.window.kernel[1];
    bool ties = bench.coin();
    int64_t inputs = args.window.samples * args.window.in[0] * args.window.in[1];
    args.x = bench.given(type, inputs * args.window.channels_in,
                         [&](int64_t i) { return some_input(bench, ties, i); });
    bench.complete(MB_OP_POOL_FORWARD, &args);
    describe(bench, args.window, args.average);
    tolerance exact = {}, mean = {2 * EPSILON, sum_bound(taps) / (double)taps, 0};
    bench.run(MB_OP_POOL_FORWARD, args, args.average ? mean : exact);

    mb_pool_backward_args_t back = {};
    back.type = type;
    back.window = args.window;
    back.average = args.average;
    back.x = args.x;
    back.y = args.y;
    bench.complete(MB_OP_POOL_BACKWARD, &back);
    if (back.average)
        back.x = back.y = nullptr;
    bench.run(MB_OP_POOL_BACKWARD, back, {2 * EPSILON, sum_bound(taps), 0});
}

/* As above, and the gradient is one product, of the same factors on both sides. */
void global_pool(bench &bench, mb_dtype_t type)
{
    mb_global_pool_forward_args_t args = {};
    args.type = type;
    args.samples = bench.integer(0, 4);
    args.positions = bench.coin() ? bench.integer(1, 30) : bench.integer(1, 600);
    args.channels = bench.some_columns();
    args.average = bench.coin();
    bool ties = bench.coin();
    args.x = bench.given(type, args.samples * args.positions * args.channels,
                         [&](int64_t i) { return some_input(bench, ties, i); });
    bench.complete(MB_OP_GLOBAL_POOL_FORWARD, &args);
    bench.describe("%lld x %lld x %lld, average %d", (long long)args.samples,
                   (long long)args.positions, (long long)args.channels, args.average);
    double positions = (double)args.positions;
    tolerance exact = {};
    tolerance mean = {2 * EPSILON, 2 * sum_bound(args.positions) / positions, 0};
    bench.run(MB_OP_GLOBAL_POOL_FORWARD, args, args.average ? mean : exact);

    mb_global_pool_backward_args_t back = {};
    back.type = type;
    back.samples = args.samples;
    back.positions = args.positions;
    back.channels = args.channels;
    back.average = args.average;
    back.x = args.x;
    back.y = args.y;
    bench.complete(MB_OP_GLOBAL_POOL_BACKWARD, &back);
    if (back.average)
        back.x = back.y = nullptr;
    bench.run(MB_OP_GLOBAL_POOL_BACKWARD, back, {});
}

} // namespace

const test pool_tests[] = {
    {"pool", "pooling and its gradients agree", true, 1, pool},
    {"global_pool", "global pooling and its gradients agree", true, 2, global_pool},
    {}};
