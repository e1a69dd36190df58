/* Batch and layer normalization. Inputs are up to 4 and have a deviation near 1; the added epsilon
 * of 0.1 keeps 1 / deviation below 3.2 where few rows happen to be close together, so that
 * tolerances can be stated; gamma is up to 2. */
#include "cudasim/ops/bench.h"

namespace
{

struct shape {
    int64_t rows, valid, columns;
    bool gamma, beta, accumulate;
    double center;
};

void describe(bench &bench, const shape &s, bool flag)
{
    bench.describe("%lld (%lld) x %lld, gamma %d, beta %d, %s %d", (long long)s.rows,
                   (long long)s.valid, (long long)s.columns, s.gamma, s.beta, "training or rms",
                   flag);
}

shape some_shape(bench &bench)
{
    shape s = {};
    s.columns = bench.some_columns();
    s.gamma = bench.coin();
    s.beta = bench.coin();
    s.accumulate = bench.coin();
    s.center = bench.uniform(-3, 3);
    return s;
}

shape some_batch(bench &bench)
{
    shape s = some_shape(bench);
    s.rows = bench.coin() ? bench.integer(1, 60) : bench.integer(100, 1500);
    s.valid = bench.coin() ? s.rows : bench.integer(0, s.rows);
    return s;
}

shape some_layer(bench &bench)
{
    shape s = some_shape(bench);
    s.rows = bench.coin() ? bench.integer(0, 12) : bench.integer(50, 400);
    if (bench.one_in(8)) {
        s.rows = bench.integer(1, 3);
        s.columns = bench.coin() ? bench.integer(2049, 4000) : bench.integer(8193, 9000);
    }
    s.valid = s.rows;
    return s;
}

place inputs(bench &bench, const shape &s, mb_dtype_t type)
{
    return bench.given(type, s.rows * s.columns, s.center - 1, s.center + 1);
}

/* Saved statistics that belong to inputs(): normalized inputs are below 2.4. */
place means(bench &bench, const shape &s, int64_t count)
{
    return bench.given(MB_F32, count, s.center - 0.2, s.center + 0.2);
}

place deviations(bench &bench, int64_t count)
{
    return bench.given(MB_F32, count, 0.5, 2);
}

/* What each operation over rows has; batches have channels, layers columns. */
template <typename Args> Args some_args(mb_dtype_t type, const shape &s)
{
    Args args = {};
    args.type = type;
    args.rows = s.rows;
    return args;
}

template <typename Args> Args batch_args(bench &bench, mb_dtype_t type, const shape &s)
{
    Args args = some_args<Args>(type, s);
    args.valid = s.valid;
    args.channels = s.columns;
    args.x = inputs(bench, s, type);
    return args;
}

template <typename Args> Args layer_args(bench &bench, mb_dtype_t type, const shape &s)
{
    Args args = some_args<Args>(type, s);
    args.columns = s.columns;
    args.rms = bench.coin();
    args.x = inputs(bench, s, type);
    return args;
}

template <typename Args> void give_gamma(bench &bench, const shape &s, Args *args)
{
    if (s.gamma)
        args->gamma = bench.given(MB_F32, s.columns, -1, 2);
}

template <typename Args> void give_weights(bench &bench, const shape &s, Args *args)
{
    give_gamma(bench, s, args);
    if (s.beta)
        args->beta = bench.given(MB_F32, s.columns, -1, 1);
}

/* COUNT: channels, or rows. */
template <typename Args>
void give_statistics(bench &bench, const shape &s, int64_t count, Args *args)
{
    args->mean = means(bench, s, count);
    args->rstd = deviations(bench, count);
}

template <typename Args> void take_gradients(bench &bench, const shape &s, Args *args)
{
    args->accumulate = s.accumulate;
    if (s.gamma)
        args->dgamma = bench.changed(MB_F32, s.columns, -1, 1);
    if (s.beta)
        args->dbeta = bench.changed(MB_F32, s.columns, -1, 1);
}

/* Zeros and ones, one for each row or element; or all that are given are of no use. */
template <typename Args> void hide_some(bench &bench, const shape &s, mb_dtype_t type, Args *args)
{
    bool none = bench.one_in(10);
    if (bench.coin())
        return;
    args->masks = bench.coin() ? 1 : s.columns;
    args->mask = bench.given(type, s.rows * args->masks,
                             [&](int64_t) { return none || bench.one_in(3) ? 0.0 : 1.0; });
}

/* Statistics are in double on both sides, so mean and rstd are an ulp apart at most. In y the
 * mean's ulp counts 4 * 3.2 * 2 times, and there are three roundings of terms below
 * 5 * 3.2 * 2 + 1. */
const tolerance batch_forward = {8 * EPSILON, (2 * 26 + 3 * 33) * EPSILON, 0};

void batchnorm(bench &bench, mb_dtype_t type)
{
    shape s = some_batch(bench);
    auto args = batch_args<mb_batchnorm_forward_args_t>(bench, type, s);
    args.training = bench.coin();
    args.epsilon = 0.1f;
    give_weights(bench, s, &args);
    args.moving_mean = bench.given(MB_F32, s.columns, -1, 1);
    args.moving_variance = bench.given(MB_F32, s.columns, 0.1, 2);
    if (args.training || bench.coin()) {
        args.mean = bench.written(MB_F32, s.columns);
        args.rstd = bench.written(MB_F32, s.columns);
    }
    hide_some(bench, s, type, &args);
    bool counts = args.training && args.masks > 0;
    if (counts) {
        args.counts = bench.written(MB_F32, s.columns);
        bench.allow(args.counts, {});
    }
    if (args.training && bench.coin()) {
        args.sums = bench.changed(MB_F64, (counts ? 3 : 2) * s.columns, 0, 1);
        /* 1500 additions of up to 16 in double. */
        bench.allow(args.sums, {0, 0, 1500 * 0x1p-53});
    }
    bench.complete(MB_OP_BATCHNORM_FORWARD, &args);
    describe(bench, s, args.training);
    bench.run(MB_OP_BATCHNORM_FORWARD, args, batch_forward);
}

/* dx = rstd (g - mean(g) - xhat mean(g xhat)), g = dy gamma: some ten roundings of terms that are
 * seldom over 8. */
const tolerance backward_input = {4 * EPSILON, 80 * EPSILON, 0};

void batchnorm_gradient(bench &bench, mb_dtype_t type)
{
    shape s = some_batch(bench);
    auto args = batch_args<mb_batchnorm_backward_input_args_t>(bench, type, s);
    args.training = bench.coin();
    give_gamma(bench, s, &args);
    give_statistics(bench, s, s.columns, &args);
    hide_some(bench, s, type, &args);
    if (args.masks > 0) /* half of the rows, lest the means of few be large */
        args.counts = bench.given(MB_F32, s.columns, (double)s.rows / 2, (double)s.rows);
    bench.complete(MB_OP_BATCHNORM_BACKWARD_INPUT, &args);
    describe(bench, s, args.training);
    bench.run(MB_OP_BATCHNORM_BACKWARD_INPUT, args, backward_input);
}

/* Sums over rows of dy times what is below 2.4, and of dy. */
tolerance of_weights(const shape &s)
{
    return {2 * EPSILON, 2.4 * sum_bound(s.valid), 0};
}

void batchnorm_weights(bench &bench, mb_dtype_t type)
{
    shape s = some_batch(bench);
    auto args = batch_args<mb_batchnorm_backward_weights_args_t>(bench, type, s);
    give_statistics(bench, s, s.columns, &args);
    take_gradients(bench, s, &args);
    bench.complete(MB_OP_BATCHNORM_BACKWARD_WEIGHTS, &args);
    describe(bench, s, s.accumulate);
    bench.run(MB_OP_BATCHNORM_BACKWARD_WEIGHTS, args, of_weights(s));
}

/* Column by column, and step by step as the CPU: the same bits. */
void batchnorm_update(bench &bench, mb_dtype_t)
{
    mb_batchnorm_update_args_t args = {};
    args.channels = bench.some_columns();
    args.count = bench.one_in(4) ? 0 : 12;
    args.momentum = 0.99;
    args.masked = bench.coin();
    args.sums = bench.given(MB_F64, 3 * args.channels, [&](int64_t i) {
        return i < args.channels       ? bench.uniform(-10, 10)
               : i < 2 * args.channels ? bench.uniform(20, 60)
                                       : (double)bench.integer(5, 12);
    });
    args.moving_mean = bench.changed(MB_F32, args.channels, -1, 1);
    args.moving_variance = bench.changed(MB_F32, args.channels, 0, 1);
    bench.describe("%lld channels", (long long)args.channels);
    bench.run(MB_OP_BATCHNORM_UPDATE, args, {});
}

/* The device sums rows in float: up to 36 + 8 additions one after another, whose random errors
 * leave the mean within 16 EPSILON of 4; that counts 3.2 * 2 times in y. */
const tolerance layer_forward = {32 * EPSILON, 16 * 4 * 6.4 * EPSILON, 0};

void layernorm(bench &bench, mb_dtype_t type)
{
    shape s = some_layer(bench);
    auto args = layer_args<mb_layernorm_forward_args_t>(bench, type, s);
    args.epsilon = 0.1f;
    give_weights(bench, s, &args);
    args.mean = bench.written(MB_F32, s.rows);
    args.rstd = bench.written(MB_F32, s.rows);
    bench.complete(MB_OP_LAYERNORM_FORWARD, &args);
    describe(bench, s, args.rms);
    bench.run(MB_OP_LAYERNORM_FORWARD, args, layer_forward);
}

/* One addition is rounded alike on both sides, so the sum has the CPU's bits, and what is said of
 * x holds for it: numbers of up to 4, with a deviation near 1. */
void layernorm_of_sum(bench &bench, mb_dtype_t type)
{
    shape s = some_layer(bench);
    auto args = layer_args<mb_layernorm_forward_args_t>(bench, type, s);
    args.adds = true;
    args.x = bench.given(type, s.rows * s.columns, s.center - 0.5, s.center + 0.5);
    args.residual = bench.given(type, s.rows * s.columns, -0.5, 0.5);
    args.epsilon = 0.1f;
    give_weights(bench, s, &args);
    args.sum = bench.written(type, s.rows * s.columns);
    args.mean = bench.written(MB_F32, s.rows);
    args.rstd = bench.written(MB_F32, s.rows);
    bench.allow(args.sum, {});
    bench.complete(MB_OP_LAYERNORM_FORWARD, &args);
    describe(bench, s, args.rms);
    bench.run(MB_OP_LAYERNORM_FORWARD, args, layer_forward);
}

void layernorm_gradient(bench &bench, mb_dtype_t type)
{
    shape s = some_layer(bench);
    auto args = layer_args<mb_layernorm_backward_input_args_t>(bench, type, s);
    give_gamma(bench, s, &args);
    give_statistics(bench, s, s.rows, &args);
    bench.complete(MB_OP_LAYERNORM_BACKWARD_INPUT, &args);
    describe(bench, s, args.rms);
    bench.run(MB_OP_LAYERNORM_BACKWARD_INPUT, args, backward_input);
}

void layernorm_weights(bench &bench, mb_dtype_t type)
{
    shape s = some_layer(bench);
    auto args = layer_args<mb_layernorm_backward_weights_args_t>(bench, type, s);
    give_statistics(bench, s, s.rows, &args);
    take_gradients(bench, s, &args);
    bench.complete(MB_OP_LAYERNORM_BACKWARD_WEIGHTS, &args);
    describe(bench, s, args.rms);
    bench.run(MB_OP_LAYERNORM_BACKWARD_WEIGHTS, args, of_weights(s));
}

} // namespace

const test norm_tests[] = {
    {"batchnorm", "batch normalization agrees", true, 2, batchnorm},
    {"batchnorm_gradient", "gradients of batch normalization agree", true, 2, batchnorm_gradient},
    {"batchnorm_weights", "weights' gradients of batch normalization agree", true, 2,
     batchnorm_weights},
    {"batchnorm_update", "moving statistics agree", false, 1, batchnorm_update},
    {"layernorm", "layer normalization agrees", true, 2, layernorm},
    {"layernorm_of_sum", "layer normalization of a sum agrees", true, 2, layernorm_of_sum},
    {"layernorm_gradient", "gradients of layer normalization agree", true, 2, layernorm_gradient},
    {"layernorm_weights", "weights' gradients of layer normalization agree", true, 2,
     layernorm_weights},
    {}};
