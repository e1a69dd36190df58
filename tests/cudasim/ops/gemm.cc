/* Matrix products: every transposition, leading dimensions, bias, accumulation, and nothing to sum.
 * Products of narrow elements are exact in float; sums are in another order than the CPU's. */
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

} // namespace

const test gemm_tests[] = {{"gemm", "matrix products agree", true, 1, gemm}, {}};
