/* Matrix products: every transposition, leading dimensions, bias, accumulation, and nothing to sum;
 * and what stands behind the sums. Products of narrow elements are exact in float; sums are in
 * another order than the CPU's. */
#include "cudasim/ops/bench.h"

namespace
{

int64_t some_size(bench &bench)
{
    static const int64_t sizes[] = {1, 2, 3, 8, 16, 17, 31, 64, 65};
    return bench.coin() ? bench.one_of(sizes) : bench.integer(0, 90);
}

mb_gemm_args_t some_product(bench &bench, mb_dtype_t type)
{
    mb_gemm_args_t args = {};
    args.type = type;
    args.wide = bench.coin();
    args.m = some_size(bench);
    args.n = some_size(bench);
    args.k = bench.one_in(8) ? 0 : bench.one_in(8) ? bench.integer(500, 2000) : some_size(bench);
    args.transpose_a = bench.coin();
    args.transpose_b = bench.coin();
    args.accumulate = bench.coin();
    int64_t apart = bench.coin() ? 0 : 8;
    args.lda = (args.transpose_a ? args.m : args.k) + apart;
    args.ldb = (args.transpose_b ? args.k : args.n) + apart;
    args.ldc = args.n + (bench.coin() ? 0 : apart);
    bool bias = !args.accumulate && bench.coin();
    bench.describe("%lld x %lld x %lld, apart by %lld %lld %lld, transposed %d %d, wide %d, "
                   "accumulate %d, bias %d",
                   (long long)args.m, (long long)args.n, (long long)args.k, (long long)args.lda,
                   (long long)args.ldb, (long long)args.ldc, args.transpose_a, args.transpose_b,
                   args.wide, args.accumulate, bias);
    mb_dtype_t type_of_c = args.wide ? MB_F32 : type;
    args.c = bench.changed(type_of_c, args.m == 0 ? 0 : args.m * args.ldc, -1, 1);
    place offset = bench.given(type_of_c, args.n, -1, 1);
    args.bias = offset;
    bench.complete(MB_OP_GEMM, &args);
    if (!bias)
        args.bias = nullptr;
    return args;
}

void gemm(bench &bench, mb_dtype_t type)
{
    mb_gemm_args_t args = some_product(bench, type);
    bench.run(MB_OP_GEMM, args, {2 * EPSILON, sum_bound(args.k + 1), 0});
}

mb_gemm_args_t some_contiguous(bench &bench, mb_dtype_t type)
{
    mb_gemm_args_t args = {};
    args.type = type;
    args.m = some_size(bench);
    args.n = some_size(bench);
    args.k = bench.one_in(8) ? 0 : some_size(bench);
    args.transpose_a = bench.coin();
    args.lda = args.transpose_a ? args.m : args.k;
    args.ldb = args.ldc = args.n;
    return args;
}

/* Of the functions tried, |f'| <= 1.13; |x f'(x)| is at most 1.3 |f(x)| for x > 0 and 0.5 for other
 * x. CUDA may round the sum, once, before it takes the function, and each side rounds the result:
 * 3.3 roundings of the element, and half a one. Error functions and exponentials agree to 4 units
 * relative to the argument, which is at most k + 1. Relu and rounding may change places. */
struct tolerance activated(mb_dtype_t type, mb_act_t act, int64_t k)
{
    if (act == MB_ACT_RELU)
        return {2 * EPSILON, sum_bound(k + 1), 0};
    double u = rounding_of(type), of_argument = 4 * EPSILON * static_cast<double>(k + 1);
    return {3.3 * u, 1.13 * sum_bound(k + 1) + 0.5 * u + of_argument, 0};
}

void gemm_activated(bench &bench, mb_dtype_t type)
{
    static const mb_act_t acts[] = {MB_ACT_RELU, MB_ACT_GELU_TANH, MB_ACT_GELU, MB_ACT_TANH,
                                    MB_ACT_SILU};
    mb_gemm_args_t args = some_contiguous(bench, type);
    args.wide = bench.one_in(4);
    args.act = bench.one_of(acts);
    bool bias = bench.coin(), pre = bench.coin();
    bench.describe("%lld x %lld x %lld, transposed %d, wide %d, function %d, bias %d, its input %d",
                   (long long)args.m, (long long)args.n, (long long)args.k, args.transpose_a,
                   args.wide, args.act, bias, pre);
    mb_dtype_t type_of_c = args.wide ? MB_F32 : type;
    place offset = bench.given(type_of_c, args.n, -1, 1);
    place before = bench.written(type_of_c, args.m * args.n);
    args.bias = offset;
    args.pre = before;
    args.c = bench.written(type_of_c, args.m * args.n);
    bench.complete(MB_OP_GEMM, &args);
    if (!bias)
        args.bias = nullptr;
    if (!pre)
        args.pre = nullptr;
    bench.allow(args.c, activated(type_of_c, args.act, args.k));
    bench.run(MB_OP_GEMM, args, {2 * EPSILON, sum_bound(args.k + 1), 0});
}

/* A float sum of k numbers in [-1, 1]: its partial sums are sqrt(3) times those of products, and
 * the CPU's are double, so that sum_bound is 1.15 of half of what it may be apart. */
void gemm_with_bias_gradient(bench &bench, mb_dtype_t type)
{
    mb_gemm_args_t args = some_contiguous(bench, type);
    args.wide = true;
    args.m += args.m == 0;
    args.lda += args.transpose_a && args.lda == 0;
    args.accumulate = bench.coin();
    bench.describe("%lld x %lld x %lld, transposed %d, accumulate %d", (long long)args.m,
                   (long long)args.n, (long long)args.k, args.transpose_a, args.accumulate);
    args.c = bench.changed(MB_F32, args.m * args.n, -1, 1);
    args.dbias = bench.changed(MB_F32, args.n, -1, 1);
    bench.complete(MB_OP_GEMM, &args);
    bench.allow(args.dbias, {2 * EPSILON, 2 * sum_bound(args.k + 1), 0});
    bench.run(MB_OP_GEMM, args, {2 * EPSILON, sum_bound(args.k + 1), 0});
}

} // namespace

const test gemm_tests[] = {
    {"gemm", "matrix products agree", true, 1, gemm},
    {"gemm_activated", "activated products agree", true, 1, gemm_activated},
    {"gemm_bias_gradient", "products with sums of columns agree", true, 1, gemm_with_bias_gradient},
    {}};
