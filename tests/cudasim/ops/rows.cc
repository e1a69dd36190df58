/* Operations along rows or down columns that are no normalization: softmax, sums, embeddings. */
#include "cudasim/ops/bench.h"

#include <cmath>

namespace
{

/* Few rows where they are longer than a warp or a block takes at once. */
void some_rows(bench &bench, int64_t *rows, int64_t *columns)
{
    *rows = bench.integer(0, 20);
    *columns = bench.some_columns();
    if (bench.one_in(8)) {
        *rows = bench.integer(1, 3);
        *columns = bench.coin() ? bench.integer(2049, 4000) : bench.integer(8193, 9000);
    }
    bench.describe("%lld x %lld", (long long)*rows, (long long)*columns);
}

double some_input(bench &bench, bool special, int64_t i)
{
    if (special && i % 7 == 3)
        return -INFINITY;
    return special && i % 1001 == 40 ? NAN : bench.uniform(-20, 20);
}

/* x - max(x), down to -40, is rounded by up to 40 EPSILON, and so is exp of it, relatively; exp has
 * 3 ulp on one side and 2 on the other. A block's sum of positive terms has up to 36 + 8 additions
 * one after another, whose errors are random: 16 EPSILON. The fast exp of narrow elements errs by
 * 2 + 1.173 * 40 ulp more (CUDA C++ Programming Guide, "Intrinsic Functions"). */
tolerance of_softmax(mb_dtype_t type)
{
    return {(40 + 10 + 16 + (type == MB_F32 ? 0 : 2 * 49)) * EPSILON, 0, 0};
}

void softmax(bench &bench, mb_dtype_t type)
{
    mb_softmax_forward_args_t args = {};
    args.type = type;
    some_rows(bench, &args.rows, &args.columns);
    bool special = bench.coin();
    args.x = bench.given(type, args.rows * args.columns,
                         [&](int64_t i) { return some_input(bench, special, i); });
    bench.complete(MB_OP_SOFTMAX_FORWARD, &args);
    bench.run(MB_OP_SOFTMAX_FORWARD, args, of_softmax(type));
}

/* dy - sum(y dy) has terms below 2 and up to 36 + 8 additions on the device, so it errs by less
 * than 2 (16 + 2) EPSILON, times y, which is below 2 / columns. */
void softmax_gradient(bench &bench, mb_dtype_t type)
{
    mb_softmax_backward_args_t args = {};
    args.type = type;
    some_rows(bench, &args.rows, &args.columns);
    double most = 2.0 / (double)args.columns;
    args.y = bench.given(type, args.rows * args.columns, 0, most);
    bench.complete(MB_OP_SOFTMAX_BACKWARD, &args);
    bench.run(MB_OP_SOFTMAX_BACKWARD, args, {2 * EPSILON, 36 * EPSILON * most, 0});
}

/* x - max(x) and the logarithm are rounded as their values, below 40 and 10, and their difference
 * is; the sum errs as for softmax, relatively, which the logarithm makes absolute. */
void log_softmax(bench &bench, mb_dtype_t type)
{
    mb_softmax_forward_args_t args = {};
    args.type = type;
    args.logarithm = true;
    some_rows(bench, &args.rows, &args.columns);
    args.x = bench.given(type, args.rows * args.columns, -20, 20);
    bench.complete(MB_OP_SOFTMAX_FORWARD, &args);
    bench.run(MB_OP_SOFTMAX_FORWARD, args,
              {2 * EPSILON, of_softmax(type).relative + 100 * EPSILON, 0});
}

/* exp(y) errs by 5 ulp, 2 + 1.173 * 10 more for narrow elements; the sum of dy as column sums do.
 */
void log_softmax_gradient(bench &bench, mb_dtype_t type)
{
    mb_softmax_backward_args_t args = {};
    args.type = type;
    args.logarithm = true;
    some_rows(bench, &args.rows, &args.columns);
    args.y = bench.given(type, args.rows * args.columns, -10, 0);
    bench.complete(MB_OP_SOFTMAX_BACKWARD, &args);
    double sum = 4 * sqrt((double)args.columns / 3);
    bench.run(MB_OP_SOFTMAX_BACKWARD, args,
              {2 * EPSILON,
               sum_bound(args.columns) + (10 + (type == MB_F32 ? 0 : 2 * 14)) * EPSILON * sum +
                   4 * EPSILON,
               0});
}

void column_sum(bench &bench, mb_dtype_t type)
{
    mb_column_sum_args_t args = {};
    args.type = type;
    args.rows = bench.coin() ? bench.integer(0, 60) : bench.integer(100, 3000);
    args.columns = bench.some_columns();
    args.accumulate = bench.coin();
    args.a = bench.given(type, args.rows * args.columns, -1, 1.5);
    args.sum = bench.changed(MB_F32, args.columns, -1, 1);
    bench.describe("%lld x %lld, accumulate %d", (long long)args.rows, (long long)args.columns,
                   args.accumulate);
    bench.run(MB_OP_COLUMN_SUM, args, {2 * EPSILON, 1.5 * sum_bound(args.rows), 0});
}

/* Sums of positive terms in double: N roundings of 2^-53 in random directions, on both sides. */
void sum(bench &bench, mb_dtype_t type)
{
    mb_sum_args_t args = {};
    args.type = type;
    args.count = bench.one_in(3) ? bench.integer(60000, 200000) : bench.some_count();
    args.absolute = bench.coin();
    args.accumulate = bench.coin();
    args.out = bench.changed(MB_F64, 1, 0, 1);
    bench.complete(MB_OP_SUM, &args);
    bench.describe("%lld elements, absolute %d, accumulate %d", (long long)args.count,
                   args.absolute, args.accumulate);
    bench.run(MB_OP_SUM, args, {4 * 0x1p-53 * sqrt((double)args.count + 1), 0, 0});
}

double some_id(bench &bench, int skew, int64_t vocabulary)
{
    if (skew == 0)
        return (double)bench.integer(0, vocabulary - 1);
    if (skew == 1 && bench.coin())
        return (double)(vocabulary - 1);
    return floor((double)vocabulary * pow(bench.uniform(0, 1), 4));
}

/* Gradients of rows that occur often are added in the order of the ids: the same bits. */
void embedding(bench &bench, mb_dtype_t type)
{
    mb_embedding_forward_args_t args = {};
    args.type = type;
    args.count = bench.coin() ? bench.integer(0, 40) : bench.integer(1, 3000);
    args.vocabulary = bench.coin() ? bench.integer(1, 20) : bench.integer(200, 700);
    args.width = bench.coin() ? bench.integer(1, 40) : 4 * bench.integer(1, 40);
    int skew = (int)bench.integer(0, 2);
    args.ids = bench.given(MB_I32, args.count,
                           [&](int64_t) { return some_id(bench, skew, args.vocabulary); });
    args.table = bench.given(MB_F32, args.vocabulary * args.width, -1, 1);
    bench.complete(MB_OP_EMBEDDING_FORWARD, &args);
    bench.describe("%lld of %lld x %lld", (long long)args.count, (long long)args.vocabulary,
                   (long long)args.width);
    bench.run(MB_OP_EMBEDDING_FORWARD, args, {});

    mb_embedding_backward_args_t back = {};
    back.type = type;
    back.count = args.count;
    back.vocabulary = args.vocabulary;
    back.width = args.width;
    back.accumulate = bench.coin();
    back.ids = args.ids;
    back.dtable = bench.changed(MB_F32, args.vocabulary * args.width, -1, 1);
    bench.complete(MB_OP_EMBEDDING_BACKWARD, &back);
    bench.run(MB_OP_EMBEDDING_BACKWARD, back, {});
}

} // namespace

const test row_tests[] = {
    {"softmax", "softmax agrees", true, 1, softmax},
    {"softmax_gradient", "gradients of softmax agree", true, 1, softmax_gradient},
    {"log_softmax", "logarithms of softmax agree", true, 1, log_softmax},
    {"log_softmax_gradient", "their gradients agree", true, 1, log_softmax_gradient},
    {"column_sum", "column sums agree", true, 1, column_sum},
    {"sum", "sums of squares and magnitudes agree", true, 1, sum},
    {"embedding", "embeddings and their gradients agree", true, 1, embedding},
    {}};
