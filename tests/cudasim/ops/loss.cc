/* Losses with their gradients, and accuracy. */
#include "cudasim/ops/bench.h"

#include <cmath>

namespace
{

bool is_sparse(mb_loss_kind_t kind)
{
    return kind == MB_LOSS_SPARSE_SOFTMAX || kind == MB_LOSS_SPARSE_PROBABILITY;
}

bool is_probability(mb_loss_kind_t kind)
{
    return kind == MB_LOSS_SPARSE_PROBABILITY || kind == MB_LOSS_PROBABILITY ||
           kind == MB_LOSS_BINARY_PROBABILITY;
}

bool is_distance(mb_loss_kind_t kind)
{
    return kind == MB_LOSS_SQUARED || kind == MB_LOSS_ABSOLUTE;
}

void some_shape(bench &bench, mb_loss_args_t *args)
{
    args->rows = bench.integer(1, 40);
    args->columns = bench.some_columns();
    if (bench.one_in(8)) {
        args->rows = bench.integer(1, 3);
        args->columns = bench.coin() ? bench.integer(2049, 4000) : bench.integer(8193, 9000);
    } else if (bench.one_in(10)) {
        args->rows = bench.integer(3000, 6000);
        args->columns = bench.integer(1, 4);
    }
    args->valid = bench.coin() ? args->rows : bench.integer(0, args->rows);
    bench.describe("kind %d, %lld (%lld) x %lld, smoothing %g, ignore %d", args->kind,
                   (long long)args->rows, (long long)args->valid, (long long)args->columns,
                   args->label_smoothing, args->has_ignore);
}

double some_input(bench &bench, mb_loss_kind_t kind)
{
    if (is_probability(kind))
        return bench.one_in(31) ? (double)bench.integer(0, 1) : bench.uniform(0.02, 0.98);
    return is_distance(kind) ? bench.uniform(-2, 2) : bench.uniform(-8, 8);
}

place some_labels(bench &bench, const mb_loss_args_t &args)
{
    if (is_sparse(args.kind))
        return bench.given(MB_I32, args.rows, [&](int64_t) {
            return args.has_ignore && bench.one_in(4) ? -1 : bench.integer(0, args.columns - 1);
        });
    double low = is_distance(args.kind) ? -2 : 0;
    return bench.given(MB_F32, args.rows * args.columns, low, low == 0 ? 1 : 2);
}

/* A probability of logits errs as softmax does (rows.cc), where x - max(x) is down to -16:
 * 16 + 10 + 16 EPSILON, and the fast exp's 2 (2 + 1.173 * 16) for narrow elements; labels are taken
 * off it, and what is left is scaled: as much of the largest gradient, which is near scale. Losses
 * of rows have terms of up to 16 with the same errors. */
void set_tolerance(bench &bench, const mb_loss_args_t &args, tolerance *gradient)
{
    double error = (16 + 10 + 16 + (args.type == MB_F32 ? 0 : 42)) * EPSILON;
    *gradient = {error, 0, error};
    bench.allow(args.sum, {error, 16 * error * sqrt((double)args.rows), 0});
}

void loss(bench &bench, mb_dtype_t type)
{
    mb_loss_args_t args = {};
    args.type = type;
    args.kind = (mb_loss_kind_t)bench.integer(0, MB_LOSS_COUNT - 1);
    args.scale = 0.37f;
    args.label_smoothing = bench.coin() ? 0 : 0.1f;
    args.has_ignore = bench.coin();
    args.ignore_label = -1;
    some_shape(bench, &args);
    bool in_place = bench.coin();
    int64_t count = args.rows * args.columns, nan = bench.one_in(8) ? count / 2 : -1;
    auto value = [&](int64_t i) { return i == nan ? NAN : some_input(bench, args.kind); };
    place x = in_place ? bench.changed(type, count, value) : bench.given(type, count, value);
    args.x = x;
    if (in_place)
        args.dx = x;
    else if (bench.coin())
        args.dx = bench.written(type, count);
    args.labels = some_labels(bench, args);
    args.sum = bench.changed(MB_F64, 1, 0, 1);
    tolerance gradient;
    set_tolerance(bench, args, &gradient);
    bench.run(MB_OP_LOSS, args, gradient);
}

double some_score(bench &bench, bool nan)
{
    if (nan && bench.one_in(13))
        return NAN;
    return bench.one_in(10) ? -0.0 : (double)bench.integer(-2, 2);
}

/* Whole numbers are exact; shares of columns are doubles, 2^-53 for each row and its sum. */
void accuracy(bench &bench, mb_dtype_t type)
{
    mb_accuracy_args_t args = {};
    args.type = type;
    args.rows = bench.integer(0, 60);
    args.columns = bench.one_in(10) ? bench.integer(2049, 9000) : bench.some_columns();
    if (args.columns > 2000)
        args.rows = bench.integer(1, 3);
    args.valid = bench.coin() ? args.rows : bench.integer(0, args.rows);
    args.sparse = bench.coin();
    args.binary = !args.sparse && bench.coin();
    args.threshold = 0.5f;
    bool nan = bench.coin();
    args.x = bench.given(type, args.rows * args.columns,
                         [&](int64_t) { return some_score(bench, nan); });
    int64_t most = args.columns < 3 ? args.columns - 1 : 2;
    args.labels = bench.given(args.sparse ? MB_I32 : MB_F32,
                              args.sparse ? args.rows : args.rows * args.columns,
                              [&](int64_t) { return bench.integer(0, args.sparse ? most : 1); });
    args.count = bench.changed(MB_F64, 1, [](int64_t) { return 3; });
    bench.describe("%lld (%lld) x %lld, sparse %d, binary %d", (long long)args.rows,
                   (long long)args.valid, (long long)args.columns, args.sparse, args.binary);
    bench.run(MB_OP_ACCURACY, args, {args.binary ? 2 * 60 * 0x1p-53 : 0, 0, 0});
}

} // namespace

const test loss_tests[] = {{"loss", "losses and their gradients agree", true, 1, loss},
                           {"accuracy", "accuracy agrees", true, 1, accuracy},
                           {}};
