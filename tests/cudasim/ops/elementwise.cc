/* Operations on each element by itself, and copies. All but the activations round as the CPU does,
 * step by step, so they give the same bits. */
#include "cudasim/ops/bench.h"

#include <cmath>

namespace
{

template <typename Args> Args of_count(bench &bench, mb_dtype_t type)
{
    Args args = {};
    args.type = type;
    args.count = bench.some_count();
    bench.describe("%lld elements", (long long)args.count);
    return args;
}

void add(bench &bench, mb_dtype_t type)
{
    mb_add_args_t args = of_count<mb_add_args_t>(bench, type);
    bench.complete(MB_OP_ADD, &args, -2, 2);
    bench.run(MB_OP_ADD, args, {});
}

void multiply(bench &bench, mb_dtype_t type)
{
    mb_multiply_args_t args = of_count<mb_multiply_args_t>(bench, type);
    bench.complete(MB_OP_MULTIPLY, &args, -2, 2);
    bench.run(MB_OP_MULTIPLY, args, {});
}

/* Slices of micro-batches begin anywhere. */
void add_in_place(bench &bench, mb_dtype_t type)
{
    mb_add_args_t args = of_count<mb_add_args_t>(bench, type);
    int64_t bytes = (int64_t)mb_dtype_bytes(type), first = bench.integer(0, 3);
    place sum = bench.changed(type, args.count + 4, -1, 1);
    place added = bench.given(type, args.count + 4, -1, 1);
    args.a = args.y = bench::behind(sum, first * bytes);
    args.b = bench::behind(added, bench.integer(0, 3) * bytes);
    bench.run(MB_OP_ADD, args, {});
}

void add_f64(bench &bench, mb_dtype_t)
{
    mb_add_f64_args_t args = {};
    args.count = bench.some_count();
    args.a = bench.given(MB_F64, args.count, -1, 1);
    args.b = bench.given(MB_F64, args.count, -1, 1);
    args.y = bench.written(MB_F64, args.count);
    bench.run(MB_OP_ADD_F64, args, {});
}

void fill(bench &bench, mb_dtype_t type)
{
    mb_fill_args_t args = of_count<mb_fill_args_t>(bench, type);
    args.value = (float)bench.uniform(-1, 1);
    bench.complete(MB_OP_FILL, &args);
    bench.run(MB_OP_FILL, args, {});
}

void zero(bench &bench, mb_dtype_t type)
{
    int64_t count = bench.some_count();
    mb_zero_args_t args = {};
    args.bytes = count * (int64_t)mb_dtype_bytes(type);
    args.y = bench.written(type, count);
    bench.describe("%lld bytes", (long long)args.bytes);
    bench.run(MB_OP_ZERO, args, {});
}

void convert(bench &bench, mb_dtype_t type)
{
    static const mb_dtype_t types[] = {MB_F32, MB_BF16, MB_F16, MB_I32};
    mb_convert_args_t args = of_count<mb_convert_args_t>(bench, type);
    args.from = bench.one_of(types);
    double most = args.from == MB_I32 ? 0x1p31 - 1 : 2; /* but where float16 ends */
    most = args.from == MB_I32 && type == MB_F16 ? 60000 : most;
    args.x = bench.given(args.from, args.count, -most, most);
    args.y = bench.written(type, args.count);
    bench.run(MB_OP_CONVERT, args, {});
}

/* Wide, aligned rows are copied in pieces of 16 bytes, others element by element. */
void copy_rows(bench &bench, mb_dtype_t type)
{
    int64_t unit = bench.coin() ? 8 : 1, bytes = (int64_t)mb_dtype_bytes(type);
    mb_copy_rows_args_t args = {};
    args.type = type;
    args.rows = bench.one_in(4) ? 1 : bench.integer(0, 40);
    args.columns = unit * bench.integer(0, 100);
    args.ld_from = args.columns + (bench.coin() ? 0 : unit * bench.integer(0, 9));
    args.ld_to = args.columns + (bench.coin() ? 0 : unit * bench.integer(0, 9));
    int64_t from = bench.coin() ? 0 : unit * bench.integer(0, 5);
    int64_t to = bench.coin() ? 0 : unit * bench.integer(0, 5);
    args.from =
        bench::behind(bench.given(type, args.rows * args.ld_from + from + 1, -1, 1), from * bytes);
    args.to =
        bench::behind(bench.changed(type, args.rows * args.ld_to + to + 1, -1, 1), to * bytes);
    bench.describe("%lld x %lld, %lld to %lld apart, at %lld to %lld", (long long)args.rows,
                   (long long)args.columns, (long long)args.ld_from, (long long)args.ld_to,
                   (long long)from, (long long)to);
    bench.run(MB_OP_COPY_ROWS, args, {});
}

void dropout(bench &bench, mb_dtype_t type)
{
    mb_dropout_args_t args = {};
    args.type = type;
    args.samples = bench.integer(0, 5);
    args.elements = bench.coin() ? bench.integer(0, 100) : 4 * bench.integer(1, 600);
    args.repeats = bench.coin() ? 0 : bench.integer(1, 4);
    args.rate = bench.one_in(7) ? 1 : bench.one_in(7) ? 0 : (float)bench.uniform(0, 1);
    args.random = {(uint64_t)bench.integer(0, INT64_MAX - 1), MB_RANDOM_DROPOUT,
                   (uint32_t)bench.integer(0, 1000), (uint32_t)bench.integer(0, UINT32_MAX),
                   (uint32_t)bench.integer(0, 1 << 20)};
    bench.complete(MB_OP_DROPOUT, &args);
    bench.describe("%lld x %lld x %lld at rate %g", (long long)args.samples,
                   (long long)args.repeats, (long long)args.elements, args.rate);
    bench.run(MB_OP_DROPOUT, args, {});
}

/* The logarithm errs by 3 ulp on one side and 1 on the other, the sine and the cosine by 3 and 1 of
 * numbers up to 1, and the radius is 5.8 at most; sums round on top. */
void normal(bench &bench, mb_dtype_t type)
{
    mb_normal_args_t args = {};
    args.type = type;
    args.samples = bench.integer(0, 5);
    args.elements = bench.integer(0, bench.coin() ? 100 : 5000);
    args.mean = (float)bench.uniform(-1, 1);
    args.deviation = (float)bench.uniform(0, 2);
    args.random = {(uint64_t)bench.integer(0, INT64_MAX - 1), MB_RANDOM_NOISE,
                   (uint32_t)bench.integer(0, 1000), (uint32_t)bench.integer(0, UINT32_MAX),
                   (uint32_t)bench.integer(0, 1 << 20)};
    args.y = bench.written(type, args.samples * args.elements);
    bench.describe("%lld x %lld", (long long)args.samples, (long long)args.elements);
    bench.run(MB_OP_NORMAL, args, {0, 2 * 5.8 * 16 * EPSILON + 4 * EPSILON, 0});
}

void regularize(bench &bench, mb_dtype_t type)
{
    mb_regularize_args_t args = of_count<mb_regularize_args_t>(bench, type);
    args.l1 = 0.01f;
    args.l2 = 0.03f;
    bench.complete(MB_OP_REGULARIZE, &args);
    bench.run(MB_OP_REGULARIZE, args, {});
}

/* Functions of the CPU are within 3 ulp (vmath.h), the device's within 2 (CUDA C++ Programming
 * Guide, "Mathematical Functions"); a product or two with values of up to 6 makes at most 6 times
 * that and their own roundings. For narrow elements the processor's approximations have errors of
 * a few 2^-22, and twice that where exp's argument is 6. */
tolerance of_activation(mb_dtype_t type)
{
    double error = type == MB_F32 ? 5 * 2 * EPSILON : 8 * 0x1p-22;
    return {error, error, 0};
}

double activation_input(bench &bench, mb_act_t act, mb_dtype_t type, bool extreme, int64_t i)
{
    static const double values[] = {0,    -0.0,  1e30, -1e30, 88, -88, 100, -100,
                                    1e-6, -1e-6, 20,   -20,   5,  -5,  3};
    bool grows = act == MB_ACT_EXPONENTIAL || act == MB_ACT_GELU_TANH;
    if (extreme && !grows && type == MB_F32 && i < 15)
        return values[i];
    return bench.uniform(-6, 6);
}

template <typename Args> Args of_activation_shape(bench &bench, mb_dtype_t type)
{
    Args args = of_count<Args>(bench, type);
    args.act = (mb_act_t)bench.integer(0, MB_ACT_COUNT - 1);
    args.p0 = (float)bench.uniform(0.1, 1.5);
    args.p1 = bench.coin() ? INFINITY : 3.0f;
    args.p2 = bench.coin() ? 0 : (float)bench.uniform(-1, 1);
    bool extreme = bench.coin();
    args.x = bench.given(type, args.count, [&](int64_t i) {
        return activation_input(bench, args.act, type, extreme, i);
    });
    bench.describe("activation %d, %lld elements", args.act, (long long)args.count);
    return args;
}

void activation(bench &bench, mb_dtype_t type)
{
    mb_act_forward_args_t args = of_activation_shape<mb_act_forward_args_t>(bench, type);
    bench.complete(MB_OP_ACT_FORWARD, &args);
    bench.run(MB_OP_ACT_FORWARD, args, of_activation(type));
}

void activation_gradient(bench &bench, mb_dtype_t type)
{
    mb_act_backward_args_t args = of_activation_shape<mb_act_backward_args_t>(bench, type);
    double low = args.act == MB_ACT_RELU ? -1 : 0;
    args.y = bench.given(type, args.count, low, 1);
    bench.complete(MB_OP_ACT_BACKWARD, &args);
    if (bench.coin())
        args.dx = bench.changed(type, args.count, -1, 1), args.dy = args.dx;
    bench.run(MB_OP_ACT_BACKWARD, args, of_activation(type));
}

} // namespace

const test elementwise_tests[] = {
    {"add", "sums agree", true, 1, add},
    {"multiply", "products agree", true, 1, multiply},
    {"add_in_place", "sums in place at any address agree", true, 1, add_in_place},
    {"add_f64", "sums of doubles agree", false, 1, add_f64},
    {"fill", "filling agrees", true, 1, fill},
    {"zero", "zeroing agrees", true, 1, zero},
    {"convert", "conversion agrees", true, 1, convert},
    {"copy_rows", "copies of rows agree", true, 1, copy_rows},
    {"dropout", "dropout agrees", true, 1, dropout},
    {"normal", "normal numbers agree", true, 1, normal},
    {"regularize", "regularizers agree", true, 1, regularize},
    {"activation", "activations agree", true, 1, activation},
    {"activation_gradient", "gradients of activations agree", true, 1, activation_gradient},
    {}};
