/* Losses with their gradients, and accuracy. */
#include "cudasim/ops/bench.h"

#include <cmath>

namespace
{

bool is_probability(mb_loss_kind_t kind)
{
    switch (kind) {
    case MB_LOSS_SPARSE_PROBABILITY:
    case MB_LOSS_PROBABILITY:
    case MB_LOSS_BINARY_PROBABILITY:
    case MB_LOSS_BINARY_FOCAL_PROBABILITY:
    case MB_LOSS_FOCAL_PROBABILITY:
    case MB_LOSS_DIVERGENCE:
    case MB_LOSS_OVERLAP:
        return true;
    default:
        return false;
    }
}

/* Where a number of zero is none. */
bool is_positive(mb_loss_kind_t kind)
{
    return kind == MB_LOSS_POISSON || kind == MB_LOSS_GENERALIZED;
}

bool is_hinge(mb_loss_kind_t kind)
{
    return kind == MB_LOSS_HINGE || kind == MB_LOSS_SQUARED_HINGE;
}

bool is_distance(mb_loss_kind_t kind)
{
    switch (kind) {
    case MB_LOSS_SQUARED:
    case MB_LOSS_ABSOLUTE:
    case MB_LOSS_PERCENTAGE:
    case MB_LOSS_SQUARED_LOG:
    case MB_LOSS_HUBER:
    case MB_LOSS_LOG_COSH:
    case MB_LOSS_COSINE:
        return true;
    default:
        return is_hinge(kind);
    }
}

void some_parameters(bench &bench, mb_loss_args_t *args)
{
    const float gammas[] = {0, 1, 1.5f, 2};
    bool focal =
        args->kind >= MB_LOSS_BINARY_FOCAL_LOGITS && args->kind <= MB_LOSS_FOCAL_PROBABILITY;
    args->p0 = focal ? bench.one_of(gammas) : (float)bench.uniform(0.2, 0.9);
    args->p1 = (float)bench.uniform(0.2, 0.9);
    args->p2 = args->kind == MB_LOSS_OVERLAP ? 1e-7f : 1 - args->p1;
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
    if (is_positive(kind))
        return bench.uniform(0.02, 2);
    if (kind == MB_LOSS_COSINE)
        return bench.coin() ? bench.uniform(0.5, 2) : bench.uniform(-2, -0.5);
    return is_distance(kind) ? bench.uniform(-2, 2) : bench.uniform(-8, 8);
}

double some_label(bench &bench, mb_loss_kind_t kind)
{
    if (is_hinge(kind) || kind == MB_LOSS_CATEGORICAL_HINGE)
        return (double)bench.integer(is_hinge(kind) ? -1 : 0, 1);
    if (kind == MB_LOSS_PERCENTAGE)
        return bench.coin() ? bench.uniform(0.5, 2) : bench.uniform(-2, -0.5);
    return is_distance(kind) ? bench.uniform(-2, 2) : bench.uniform(0, 1);
}

place some_labels(bench &bench, const mb_loss_args_t &args)
{
    if (mb_loss_is_sparse(args.kind))
        return bench.given(MB_I32, args.rows, [&](int64_t) {
            return args.has_ignore && bench.one_in(4) ? -1 : bench.integer(0, args.columns - 1);
        });
    return bench.given(MB_F32, args.rows * args.columns,
                       [&](int64_t) { return some_label(bench, args.kind); });
}

place some_weights(bench &bench, const mb_loss_args_t &args)
{
    return bench.given(MB_F32, args.rows,
                       [&](int64_t) { return bench.one_in(4) ? 0 : bench.uniform(0, 2); });
}

/* A probability of logits errs as softmax does (rows.cc), where x - max(x) is down to -16:
 * 16 + 10 + 16 EPSILON, and the fast exp's 2 (2 + 1.173 * 16) for narrow elements; labels are taken
 * off it, and what is left is scaled: as much of the largest gradient, which is near scale. Losses
 * of rows have terms of up to 16, of percentages up to 800, with the same errors, and weights of up
 * to 2. The gradient of a cosine is a difference of terms of up to 2 scale / |x|, where |x| is 0.5
 * at least, and may be zero. */
void set_tolerance(bench &bench, const mb_loss_args_t &args, tolerance *gradient)
{
    double error = (16 + 10 + 16 + (args.type == MB_F32 ? 0 : 42)) * EPSILON;
    *gradient = {error, args.kind == MB_LOSS_COSINE ? 4 * error : 0, error};
    double term = args.kind == MB_LOSS_PERCENTAGE ? 2 * 800 : 2 * 16;
    bench.allow(args.sum, {error, term * error * sqrt((double)args.rows), 0});
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
    some_parameters(bench, &args);
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
    if (bench.coin())
        args.weights = some_weights(bench, args);
    args.sum = bench.changed(MB_F64, 1, 0, 1);
    tolerance gradient;
    set_tolerance(bench, args, &gradient);
    bench.run(MB_OP_LOSS, args, gradient);
}

/* Rows of length about one, at most 1.3. */
place some_embeddings(bench &bench, mb_dtype_t type, bool in_place, const mb_circle_args_t &args)
{
    double length = 1.3 / sqrt((double)args.columns);
    auto value = [&](int64_t) { return bench.uniform(-length, length); };
    int64_t count = args.rows * args.columns;
    return in_place ? bench.changed(type, count, value) : bench.given(type, count, value);
}

/* What stands in an exponential errs by the distance's error, the roundings of a sum of products
 * of up to 1.7 on either side, times its slope of up to 2.7 gamma, and by four roundings of itself,
 * up to 8 gamma; exponentials, logarithms and their sums by 32. A row's gradient has its own terms,
 * whose weights add up to 2, and of each other row's one of 1 at most, three such errors each. */
void allow_circle(bench &bench, const mb_circle_args_t &args, tolerance *gradient)
{
    double gamma = (double)args.gamma, valid = (double)args.valid;
    double distance = 1.7 * ((double)args.columns / 32 + 8);
    double error = EPSILON * (gamma * (2.7 * distance + 4 * 8) + 32);
    double factor = args.averages ? valid : 1;
    double slope = 2.7 * gamma * 1.3 / sqrt((double)args.columns);
    gradient->absolute = (double)args.scale * factor * (2 + 2 * valid) * slope * 3 * error;
    bench.allow(args.sum, {8 * EPSILON, factor * valid * 3 * error, 0});
}

void circle(bench &bench, mb_dtype_t type)
{
    const float gammas[] = {1, 16, 80};
    mb_circle_args_t args = {};
    args.type = type;
    bool many = bench.one_in(16);
    args.rows = many ? bench.integer(257, 270) : bench.integer(0, 24);
    args.valid = bench.coin() ? args.rows : bench.integer(0, args.rows);
    args.columns = many ? bench.integer(1, 4) : bench.integer(1, 100);
    args.scale = 0.37f;
    args.gamma = bench.one_of(gammas);
    args.margin = bench.coin() ? 0.4f : 0.25f;
    args.removes_itself = bench.coin();
    args.averages = bench.coin();
    bool in_place = bench.coin();
    place x = some_embeddings(bench, type, in_place, args);
    args.x = x;
    if (in_place)
        args.dx = x;
    else if (bench.coin())
        args.dx = bench.written(type, args.rows * args.columns);
    int64_t kinds = bench.integer(0, 6);
    args.labels = bench.given(MB_I32, args.rows, [&](int64_t) { return bench.integer(-1, kinds); });
    args.sum = bench.changed(MB_F64, 1, 0, 1);
    bench.describe("%lld (%lld) x %lld, gamma %g, itself %d, averages %d", (long long)args.rows,
                   (long long)args.valid, (long long)args.columns, (double)args.gamma,
                   !args.removes_itself, args.averages);
    tolerance gradient;
    allow_circle(bench, args, &gradient);
    bench.run(MB_OP_CIRCLE, args, gradient);
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
                           {"circle", "circle losses agree", true, 2, circle},
                           {"accuracy", "accuracy agrees", true, 1, accuracy},
                           {}};
