/* Convolutions: forward, and both gradients over the same window. Products of narrow elements are
 * exact in float; sums are in another order than the CPU's. */
#include "cudasim/ops/bench.h"
#include "cudasim/ops/window.h"

namespace
{

int64_t taps_of(const mb_window_t &w)
{
    return mb_window_taps(&w);
}

void forward(bench &bench, mb_dtype_t type, const mb_window_t &window)
{
    mb_conv_forward_args_t args = {};
    args.type = type;
    args.window = window;
    bench.complete(MB_OP_CONV_FORWARD, &args);
    if (bench.coin())
        args.bias = nullptr;
    int64_t terms = taps_of(window) * window.channels_in / window.groups + 1;
    bench.run(MB_OP_CONV_FORWARD, args, {2 * EPSILON, sum_bound(terms), 0});
}

void backward_input(bench &bench, mb_dtype_t type, const mb_window_t &window)
{
    mb_conv_backward_input_args_t args = {};
    args.type = type;
    args.window = window;
    bench.complete(MB_OP_CONV_BACKWARD_INPUT, &args);
    if (bench.coin())
        args.bias = nullptr;
    int64_t terms = taps_of(window) * window.channels_out / window.groups + 1;
    bench.run(MB_OP_CONV_BACKWARD_INPUT, args, {2 * EPSILON, sum_bound(terms), 0});
}

void backward_weights(bench &bench, mb_dtype_t type, const mb_window_t &window)
{
    mb_conv_backward_weights_args_t args = {};
    args.type = type;
    args.window = window;
    args.accumulate = bench.coin();
    int64_t weights = taps_of(window) * window.channels_in / window.groups * window.channels_out;
    args.dw = bench.changed(MB_F32, weights, -1, 1);
    if (bench.coin())
        args.dbias = bench.changed(MB_F32, window.channels_out, -1, 1);
    bench.complete(MB_OP_CONV_BACKWARD_WEIGHTS, &args);
    int64_t terms = window.samples * mb_window_out(&window) + 1;
    bench.run(MB_OP_CONV_BACKWARD_WEIGHTS, args, {2 * EPSILON, sum_bound(terms), 0});
}

void conv(bench &bench, mb_dtype_t type)
{
    mb_window_t window = some_window(bench);
    describe_window(bench, window, "");
    forward(bench, type, window);
    backward_input(bench, type, window);
    backward_weights(bench, type, window);
}

void volume_conv(bench &bench, mb_dtype_t type)
{
    mb_window_t window = some_volume(bench);
    describe_window(bench, window, ", of volumes");
    forward(bench, type, window);
    backward_input(bench, type, window);
    backward_weights(bench, type, window);
}

/* So many positions and channels that grids wrap and sums are split among blocks. */
void large_conv(bench &bench, mb_dtype_t type)
{
    mb_window_t window = some_large_window(bench);
    describe_window(bench, window, "");
    forward(bench, type, window);
    backward_input(bench, type, window);
    backward_weights(bench, type, window);
}

} // namespace

const test conv_tests[] = {
    {"conv", "convolutions and their gradients agree", true, 2, conv},
    {"volume_conv", "convolutions of volumes and their gradients agree", true, 2, volume_conv},
    {"large_conv", "large convolutions and their gradients agree", true, 40, large_conv},
    {}};
