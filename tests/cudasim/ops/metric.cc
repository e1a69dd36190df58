/* What metrics add up. */
#include "bench.h"

#include <cmath>

namespace
{

struct labelled {
    int64_t rows, valid, columns;
    place x;
    mb_labels_t labels;
    const float *weights;
};

/* Numbers in eighths meet each other and thresholds. */
double eighth(bench &bench, int64_t low, int64_t high)
{
    return (double)bench.integer(8 * low, 8 * high) / 8;
}

labelled some_rows(bench &bench, mb_dtype_t type, int64_t low, int64_t high, bool exact)
{
    labelled d = {};
    d.columns = bench.one_in(12) ? bench.integer(4097, 4200) : bench.some_columns();
    d.rows = d.columns > 1000 ? bench.integer(1, 3) : bench.integer(0, 600);
    d.valid = bench.coin() ? d.rows : bench.integer(0, d.rows);
    d.x = bench.given(type, d.rows * d.columns, [&](int64_t) {
        return exact ? eighth(bench, low, high) : bench.uniform((double)low, (double)high);
    });
    if (bench.coin())
        d.weights = bench.given(MB_F32, d.rows, 0, 2);
    return d;
}

/* One a row, in either type, or one for each element. */
void give_classes(bench &bench, labelled *d, int64_t classes)
{
    bool whole = bench.coin();
    place values = bench.given(whole ? MB_I32 : MB_F32, d->rows,
                               [&](int64_t) { return bench.integer(0, classes - 1); });
    d->labels = {values, 1, whole};
}

void give_labels(bench &bench, labelled *d, int64_t low, int64_t high)
{
    place values = bench.given(MB_F32, d->rows * d->columns,
                               [&](int64_t) { return eighth(bench, low, high); });
    d->labels = {values, d->columns, false};
}

bool wants_class(mb_row_kind_t kind)
{
    return kind == MB_ROW_SPARSE_SOFTMAX || kind == MB_ROW_SPARSE_PROBABILITY ||
           kind == MB_ROW_SORTED_IDS;
}

bool wants_shares(mb_row_kind_t kind)
{
    return kind == MB_ROW_PROBABILITY || kind == MB_ROW_SPARSE_PROBABILITY ||
           kind == MB_ROW_BINARY_PROBABILITY || kind == MB_ROW_POISSON;
}

bool is_softmax(mb_row_kind_t kind)
{
    return kind == MB_ROW_SOFTMAX || kind == MB_ROW_SPARSE_SOFTMAX;
}

/* Both add in double, in other orders: 2^-53 for each of up to 4200 elements of a row and 600 rows,
 * of the sum where it is a large one of percentages, otherwise of terms that are up to a thousand
 * where they cancel. The sum of a
 * softmax's exponentials is float32: its logarithm is off by its relative error, as in a loss
 * (loss.cc), and labels are multiplied with that, which add up to no more than the row has. */
tolerance of_rows(const mb_row_metric_args_t &args)
{
    if (!is_softmax(args.kind))
        return {2 * 4800 * 0x1p-53, 1000.0 * 4800 * 0x1p-53 * (double)(args.rows + 1), 0};
    double error = (16 + 10 + 16 + (args.type == MB_F32 ? 0 : 42)) * EPSILON;
    double labels = args.kind == MB_ROW_SOFTMAX ? (double)args.columns : 1;
    return {0, 2 * error * labels * (double)(args.rows + 1), 0};
}

void one_row_metric(bench &bench, mb_dtype_t type)
{
    mb_row_metric_args_t args = {};
    args.type = type;
    args.kind = (mb_row_kind_t)bench.integer(0, MB_ROW_COUNT - 1);
    bool shares = wants_shares(args.kind);
    labelled d = some_rows(bench, type, shares ? 0 : -2, shares ? 1 : 2, !shares);
    bool either = args.kind <= MB_ROW_POISSON || args.kind == MB_ROW_CLASS;
    if (wants_class(args.kind) || (either && bench.coin()))
        give_classes(bench, &d, d.columns);
    else
        give_labels(bench, &d, bench.coin() ? 0 : -1, 1);
    args.rows = d.rows;
    args.valid = d.valid;
    args.columns = d.columns;
    args.k = bench.integer(1, 4);
    args.threshold = 0.25f;
    args.label_smoothing = bench.coin() ? 0 : 0.1f;
    args.has_ignore = wants_class(args.kind) && bench.coin();
    args.x = d.x;
    args.labels = d.labels;
    args.weights = d.weights;
    args.sums = bench.changed(MB_F64, MB_ROW_SUMS, 0, 1);
    bench.describe("kind %d, %lld (%lld) x %lld, labels of %lld", (int)args.kind,
                   (long long)args.rows, (long long)args.valid, (long long)args.columns,
                   (long long)args.labels.columns);
    bench.run(MB_OP_ROW_METRIC, args, of_rows(args));
}

/* There are many kinds. */
void row_metric(bench &bench, mb_dtype_t type)
{
    for (int i = 0; i < 4; i++)
        one_row_metric(bench, type);
}

/* The same counts; sums of weights are of up to 600 x 4200 doubles. */
tolerance of_weights(const float *weights, const float *more, int64_t count)
{
    return {weights == nullptr && more == nullptr ? 0 : (double)(2 * count + 2) * 0x1p-53, 0, 0};
}

void threshold_counts(bench &bench, mb_dtype_t type)
{
    mb_threshold_counts_args_t args = {};
    labelled d = some_rows(bench, type, -1, 2, true);
    give_labels(bench, &d, 0, 1);
    args.type = type;
    args.rows = d.rows;
    args.valid = d.valid;
    args.columns = d.columns;
    args.apart = d.columns < 100 && bench.coin();
    args.logits = bench.one_in(3);
    args.even = bench.coin();
    args.above_first = bench.coin();
    args.column = bench.one_in(3) ? d.columns / 2 : -1;
    args.top_k = bench.coin() ? bench.integer(0, d.columns < 6 ? d.columns : 6) : 0;
    args.n = bench.one_in(5) ? bench.integer(2, 300) : bench.integer(2, 12);
    /* A sigmoid that errs in its last bit must not meet a threshold: eighths of x give none of
     * these but for 0, where it is a half on both. */
    if (!args.even)
        args.thresholds = bench.given(MB_F32, args.n, [&](int64_t i) { return (double)i * 0.125; });
    else if (args.logits)
        args.n = 9;
    if (bench.coin())
        args.column_weights = bench.given(MB_F32, d.columns, 0, 2);
    args.x = d.x;
    args.labels = d.labels;
    args.weights = d.weights;
    int64_t cells = (args.apart ? args.columns : 1) * 2 * (args.n + 1);
    args.counts = bench.changed(MB_F64, cells, [](int64_t) { return 3; });
    bench.describe("%lld (%lld) x %lld, apart %d, logits %d, even %d, column %lld, top %lld, %lld "
                   "thresholds",
                   (long long)args.rows, (long long)args.valid, (long long)args.columns, args.apart,
                   args.logits, args.even, (long long)args.column, (long long)args.top_k,
                   (long long)args.n);
    bench.run(MB_OP_THRESHOLD_COUNTS, args,
              of_weights(args.weights, args.column_weights, args.rows * args.columns));
}

void column_metric(bench &bench, mb_dtype_t type)
{
    mb_column_metric_args_t args = {};
    labelled d = some_rows(bench, type, -2, 2, true);
    if (bench.coin())
        give_labels(bench, &d, -1, 1);
    else
        give_classes(bench, &d, 3);
    args.type = type;
    args.kind = (mb_column_kind_t)bench.integer(0, 2);
    args.rows = d.rows;
    args.valid = d.valid;
    args.columns = d.columns;
    args.threshold = 0.25f;
    args.x = d.x;
    args.labels = d.labels;
    args.weights = d.weights;
    args.sums = bench.changed(MB_F64, 4 * args.columns + 1, 0, 1);
    bench.describe("kind %d, %lld (%lld) x %lld", (int)args.kind, (long long)args.rows,
                   (long long)args.valid, (long long)args.columns);
    /* Terms of up to 2 (2 + 2)^2 cancel. */
    bench.run(MB_OP_COLUMN_METRIC, args,
              {0, 32.0 * (double)(args.rows + 4) * (double)(args.rows + 4) * 0x1p-53, 0});
}

void class_counts(bench &bench, mb_dtype_t type)
{
    mb_class_counts_args_t args = {};
    labelled d = some_rows(bench, type, -1, 5, true);
    args.x_is = (mb_class_of_t)bench.integer(0, 2);
    args.columns = args.x_is == MB_CLASS_LARGEST ? d.columns : 1;
    d.columns = args.columns;
    args.label_is = bench.coin() ? MB_CLASS_LARGEST : MB_CLASS_VALUE;
    if (args.label_is == MB_CLASS_LARGEST)
        give_labels(bench, &d, -1, 5);
    else
        give_classes(bench, &d, 6);
    args.type = type;
    args.rows = d.rows;
    args.valid = d.valid;
    args.classes = bench.one_in(4) ? bench.integer(1, 400) : bench.integer(1, 6);
    args.whole = bench.coin();
    args.has_ignore = bench.coin();
    args.ignore_label = 1;
    args.threshold = 0.5f;
    args.per_weight = bench.integer(1, 3);
    args.x = d.x;
    args.labels = d.labels;
    args.weights = d.weights;
    args.counts = bench.changed(MB_F64, 3 * args.classes, [](int64_t) { return 3; });
    bench.describe("%lld (%lld) x %lld, %lld classes, x %d, label %d", (long long)args.rows,
                   (long long)args.valid, (long long)args.columns, (long long)args.classes,
                   (int)args.x_is, (int)args.label_is);
    bench.run(MB_OP_CLASS_COUNTS, args, of_weights(args.weights, nullptr, args.rows));
}

} // namespace

const test metric_tests[] = {
    {"row_metric", "values of rows agree", true, 1, row_metric},
    {"threshold_counts", "counts at thresholds agree", true, 1, threshold_counts},
    {"column_metric", "sums of columns agree", true, 1, column_metric},
    {"class_counts", "counts of classes agree", true, 1, class_counts},
    {}};
