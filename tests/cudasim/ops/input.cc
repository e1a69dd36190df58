/* What is done to a model's inputs: categories, and images that are moved at random. */
#include "cudasim/ops/bench.h"

namespace
{

void digitize(bench &bench, mb_dtype_t type)
{
    mb_digitize_args_t args = {};
    args.type = type;
    args.count = bench.some_count();
    args.n = bench.integer(0, 40);
    args.x =
        bench.given(type, args.count, [&](int64_t) { return 0.5 * (double)bench.integer(-9, 9); });
    args.boundaries =
        bench.given(MB_F32, args.n, [&](int64_t i) { return 0.25 * (double)i - 4.0; });
    args.y = bench.written(MB_I32, args.count);
    bench.describe("%lld among %lld", (long long)args.count, (long long)args.n);
    bench.run(MB_OP_DIGITIZE, args, {});
}

void lookup(bench &bench, mb_dtype_t)
{
    mb_lookup_args_t args = {};
    args.count = bench.some_count();
    args.n = bench.integer(0, 40);
    args.rule = (mb_others_t)bench.integer(0, MB_OTHERS_KEYED);
    args.first = (int32_t)bench.integer(0, 2);
    args.others = (int32_t)bench.integer(1, 1000);
    args.salt[0] = (uint64_t)bench.integer(0, 1 << 30);
    args.salt[1] = (uint64_t)bench.integer(0, 1 << 30);
    int64_t most = bench.coin() ? 50 : INT32_MAX;
    args.x = bench.given(MB_I32, args.count, [&](int64_t) { return bench.integer(-most, most); });
    args.keys = bench.given(MB_I32, args.n, [&](int64_t i) { return 3 * i - 40; });
    args.values = bench.given(MB_I32, args.n, [&](int64_t) { return bench.integer(0, 99); });
    args.y = bench.written(MB_I32, args.count);
    bench.describe("%lld among %lld, rule %d", (long long)args.count, (long long)args.n, args.rule);
    bench.run(MB_OP_LOOKUP, args, {});
}

void encode(bench &bench, mb_dtype_t type)
{
    mb_encode_args_t args = {};
    args.type = type;
    args.rows = bench.integer(0, 70);
    args.columns = bench.integer(1, 9);
    args.depth = bench.some_columns();
    args.counts = bench.coin();
    args.x = bench.given(MB_I32, args.rows * args.columns,
                         [&](int64_t) { return bench.integer(-1, args.depth); });
    bench.complete(MB_OP_ENCODE, &args);
    bench.describe("%lld x %lld to %lld, counts %d", (long long)args.rows, (long long)args.columns,
                   (long long)args.depth, args.counts);
    bench.run(MB_OP_ENCODE, args, {});
}

/* Sines and cosines may round otherwise, and are multiplied by up to half the image's size. */
void draw(bench &bench, mb_dtype_t type)
{
    mb_draw_args_t args = {};
    args.type = type;
    args.draw = (mb_draw_t)bench.integer(0, MB_DRAW_WINDOW);
    args.tied = bench.coin();
    args.samples = bench.integer(0, 600);
    for (int i = 0; i < 2; i++) {
        args.flips[i] = bench.coin();
        args.out[i] = bench.integer(1, 20);
        args.in[i] = args.out[i] + bench.integer(0, 20);
        args.low[i] = (float)bench.uniform(-1, 1);
        args.high[i] = args.low[i] + (float)bench.uniform(0, 1);
    }
    args.random = {(uint64_t)bench.integer(0, 1 << 30), MB_RANDOM_AUGMENT,
                   (uint32_t)bench.integer(0, 99), (uint32_t)bench.integer(0, 999), 7};
    if (args.draw == MB_DRAW_NUMBER)
        args.y = bench.written(type, args.samples);
    else
        args.transforms = bench.written(MB_F32, args.samples * MB_TRANSFORM);
    bench.describe("draw %d of %lld", args.draw, (long long)args.samples);
    bench.run(MB_OP_DRAW, args, {2 * EPSILON, 40 * EPSILON, 0});
}

/* Four products each; the other way round one of each element of the result at most. */
void affine(bench &bench, mb_dtype_t type)
{
    mb_affine_args_t args = {};
    args.type = type;
    args.outside = (mb_outside_t)bench.integer(0, MB_OUTSIDE_REFLECT);
    args.nearest = bench.coin();
    args.transposed = bench.coin();
    args.value = (float)bench.uniform(-1, 1);
    args.samples = bench.integer(0, 3);
    args.planes = bench.integer(1, 3);
    args.inner = bench.integer(1, 9);
    for (int i = 0; i < 2; i++) {
        args.in[i] = bench.integer(1, 12);
        args.out[i] = bench.integer(1, 12);
    }
    args.transforms = bench.given(MB_F32, args.samples * MB_TRANSFORM, [&](int64_t i) {
        return bench.uniform(-1.5, 1.5) * (i % 3 == 2 ? 8 : 1);
    });
    bench.complete(MB_OP_AFFINE, &args);
    bench.describe("%lld x %lld of %lld x %lld x %lld to %lld x %lld, outside %d, nearest %d, "
                   "transposed %d",
                   (long long)args.samples, (long long)args.planes, (long long)args.in[0],
                   (long long)args.in[1], (long long)args.inner, (long long)args.out[0],
                   (long long)args.out[1], args.outside, args.nearest, args.transposed);
    bench.run(
        MB_OP_AFFINE, args,
        {2 * EPSILON, args.transposed ? 2 * sum_bound(args.out[0] * args.out[1]) : 8 * EPSILON, 0});
}

} // namespace

const test input_tests[] = {{"digitize", "ranges agree", true, 1, digitize},
                            {"lookup", "lists and hashes agree", false, 1, lookup},
                            {"encode", "counts agree", true, 1, encode},
                            {"draw", "random transforms agree", true, 1, draw},
                            {"affine", "images through transforms agree", true, 1, affine},
                            {}};
