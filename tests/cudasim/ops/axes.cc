/* What works along one axis: copies between views, pooling over regions, resampling. */
#include "cudasim/ops/bench.h"

#include <utility>

namespace
{

constexpr int AXES = MB_VIEW_AXES;

/* Strides of an array whose axes lie in ORDER, with or without gaps; its size. */
int64_t some_strides(bench &bench, const int64_t *size, const int *order, int64_t *stride)
{
    int64_t step = 1;
    bool gaps = bench.coin();
    for (int i = AXES - 1; i >= 0; i--) {
        stride[order[i]] = step;
        step *= size[order[i]];
        step += gaps ? bench.integer(0, 3) : 0;
    }
    return step;
}

/* Long innermost axes of what is read and written make transposes. */
void copy_view(bench &bench, mb_dtype_t type)
{
    mb_copy_view_args_t args = {};
    int from_order[AXES], to_order[AXES];
    args.type = type;
    for (int i = 0; i < AXES; i++) {
        from_order[i] = to_order[i] = i;
        args.size[i] = bench.one_in(3) ? 1 : bench.integer(i == 0 ? 0 : 1, i < 3 ? 4 : 70);
    }
    for (int i = AXES - 1; i > 0; i--)
        std::swap(from_order[i], from_order[bench.integer(0, i)]);
    int64_t from = some_strides(bench, args.size, from_order, args.from_stride);
    int64_t to = some_strides(bench, args.size, to_order, args.to_stride);
    args.from = bench.given(type, from + 1, -1, 1);
    args.to = bench.changed(type, to + 1, -1, 1);
    bench.describe("%lld x %lld x %lld x %lld x %lld", (long long)args.size[0],
                   (long long)args.size[1], (long long)args.size[2], (long long)args.size[3],
                   (long long)args.size[4]);
    bench.run(MB_OP_COPY_VIEW, args, {});
}

/* Ties, so that the first of them matters. */
void region_pool(bench &bench, mb_dtype_t type)
{
    mb_region_pool_forward_args_t args = {};
    args.type = type;
    args.outer = bench.integer(0, 4);
    args.in = bench.integer(1, 30);
    args.out = bench.integer(1, 40);
    args.inner = bench.some_columns();
    args.average = bench.coin();
    args.x = bench.given(type, args.outer * args.in * args.inner,
                         [&](int64_t) { return bench.integer(-3, 3); });
    bench.complete(MB_OP_REGION_POOL_FORWARD, &args);
    bench.describe("%lld of %lld x %lld to %lld, average %d", (long long)args.outer,
                   (long long)args.in, (long long)args.inner, (long long)args.out, args.average);
    int64_t rows = args.in / args.out + 2;
    tolerance exact = {}, mean = {2 * EPSILON, sum_bound(rows) / (double)rows, 0};
    bench.run(MB_OP_REGION_POOL_FORWARD, args, args.average ? mean : exact);

    mb_region_pool_backward_args_t back = {};
    back.type = type;
    back.outer = args.outer;
    back.in = args.in;
    back.out = args.out;
    back.inner = args.inner;
    back.average = args.average;
    back.x = args.x;
    back.y = args.y;
    bench.complete(MB_OP_REGION_POOL_BACKWARD, &back);
    if (back.average)
        back.x = back.y = nullptr;
    bench.run(MB_OP_REGION_POOL_BACKWARD, back,
              {2 * EPSILON, sum_bound(args.out / args.in + 2), 0});
}

/* Both sides take weights from the same code, but the device's sine may round otherwise: another
 * EPSILON of each weight. */
void resample(bench &bench, mb_dtype_t type)
{
    mb_resample_args_t args = {};
    args.type = type;
    args.filter = (mb_filter_t)bench.integer(0, MB_FILTER_COUNT - 1);
    args.antialias = bench.coin();
    args.transposed = bench.coin();
    args.outer = bench.integer(0, 4);
    args.in = bench.integer(1, 30);
    args.out = bench.integer(1, 60);
    args.inner = bench.some_columns();
    bench.complete(MB_OP_RESAMPLE, &args);
    bench.describe("%lld of %lld x %lld to %lld, filter %d, antialias %d, transposed %d",
                   (long long)args.outer, (long long)args.in, (long long)args.inner,
                   (long long)args.out, args.filter, args.antialias, args.transposed);
    int64_t longer = args.in > args.out ? args.in : args.out;
    int64_t terms = 12 * (longer / (args.in < args.out ? args.in : args.out) + 1);
    bench.run(MB_OP_RESAMPLE, args, {2 * EPSILON, sum_bound(terms) + EPSILON * (double)terms, 0});
}

} // namespace

const test axis_tests[] = {
    {"copy_view", "copies between views agree", true, 1, copy_view},
    {"region_pool", "pooling over regions and its gradients agree", true, 1, region_pool},
    {"resample", "resampling agrees", true, 1, resample},
    {}};
