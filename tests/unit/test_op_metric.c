/* What metrics add up, against plain loops in double that follow the formulas of keras/src/losses
 * and keras/src/metrics one whole matrix at a time. */
#include <string.h>
#include "support/op_check.h"

enum { MOST_COLUMNS = 80 };

/* Double arithmetic on both sides: each element takes some ten roundings of 2^-53, a row as many
 * more as it has columns, and the sum as many as there are rows: for 80 columns and 40 rows below
 * 200. */
static const double bound = 200 * 0x1p-53;

typedef struct {
    mb_labels_t labels;
    const float *weights;
    int64_t rows, valid, columns;
    const float *x;
} data_t;

static double label_of(const data_t *d, int64_t i, int64_t j)
{
    int64_t at = d->labels.columns == 1 ? i : i * d->columns + j;
    return d->labels.whole ? (double)((const int32_t *)d->labels.values)[at]
                           : (double)((const float *)d->labels.values)[at];
}

static double weight_of(const data_t *d, int64_t i)
{
    return d->weights == NULL ? 1.0 : (double)d->weights[i];
}

static float *some_weights(op_t *op, int64_t rows)
{
    return op_integer(op, 0, 1) ? op_random(op, rows, 0, 3) : NULL;
}

/* LOW to HIGH, in steps of an eighth, so that numbers meet. */
static float *eighths(op_t *op, int64_t count, int64_t low, int64_t high)
{
    float *values = op_floats(op, count);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)op_integer(op, 8 * low, 8 * high) / 8;
    return values;
}

static data_t some_data(op_t *op, int64_t low, int64_t high)
{
    static const int64_t widths[] = {1, 2, 5, 17, MOST_COLUMNS};
    data_t d = {.rows = op_integer(op, 1, 40), .columns = widths[op_integer(op, 0, 4)]};
    d.valid = d.rows - op_integer(op, 0, d.rows > 3 ? 3 : 0);
    d.x = eighths(op, d.rows * d.columns, low, high);
    d.weights = some_weights(op, d.rows);
    return d;
}

/* Classes in int32 or float, one a row. */
static void give_classes(op_t *op, data_t *d, int64_t classes)
{
    d->labels.columns = 1;
    d->labels.whole = op_integer(op, 0, 1) == 1;
    int32_t *whole = op_labels(op, d->rows, (int32_t)classes);
    float *real = op_floats(op, d->rows);
    for (int64_t i = 0; i < d->rows; i++)
        real[i] = (float)whole[i];
    d->labels.values = d->labels.whole ? (const void *)whole : real;
}

static void give_labels(op_t *op, data_t *d, int64_t low, int64_t high)
{
    d->labels = (mb_labels_t){.columns = d->columns,
                              .values = eighths(op, d->rows * d->columns, low, high)};
}

/* ---- rows */

static double clip(double value, double low, double high)
{
    return fmin(fmax(value, low), high);
}

static double smoothed(const mb_row_metric_args_t *a, double t, double uniform)
{
    double smoothing = (double)a->label_smoothing;
    return t * (1.0 - smoothing) + smoothing * uniform;
}

static double element(const mb_row_metric_args_t *a, double x, double t)
{
    double p = clip(x, 1e-7, (double)(float)(1.0 - 1e-7)), s = smoothed(a, t, 0.5);
    switch (a->kind) {
    case MB_ROW_SQUARED:
        return pow(t - x, 2.0);
    case MB_ROW_ABSOLUTE:
        return fabs(t - x);
    case MB_ROW_PERCENTAGE:
        return 100.0 * fabs((t - x) / fmax(fabs(t), 1e-7));
    case MB_ROW_LOGARITHMIC:
        return pow(log(fmax(x, 1e-7) + 1.0) - log(fmax(t, 1e-7) + 1.0), 2.0);
    case MB_ROW_LOG_COSH:
        return log(cosh(x - t));
    case MB_ROW_POISSON:
        return x - t * log(x + 1e-7);
    case MB_ROW_HINGE:
        return fmax(1.0 - t * x, 0.0);
    case MB_ROW_SQUARED_HINGE:
        return pow(fmax(1.0 - t * x, 0.0), 2.0);
    case MB_ROW_EQUAL:
        return x >= t && x <= t ? 1.0 : 0.0;
    case MB_ROW_BINARY:
        return fabs((x > (double)a->threshold ? 1.0 : 0.0) - t) > 0 ? 0.0 : 1.0;
    case MB_ROW_BINARY_LOGITS:
        return -s * log(1.0 / (1.0 + exp(-x))) - (1.0 - s) * log(1.0 / (1.0 + exp(x)));
    case MB_ROW_BINARY_PROBABILITY:
        return -s * log(p) - (1.0 - s) * log(1.0 - p);
    default:
        return NAN;
    }
}

typedef struct {
    double x[MOST_COLUMNS], t[MOST_COLUMNS];
    int64_t n;
} line_t;

static double sum_of(const double *values, int64_t n)
{
    double sum = 0.0;
    for (int64_t j = 0; j < n; j++)
        sum += values[j];
    return sum;
}

static double product(const double *a, const double *b, int64_t n)
{
    double sum = 0.0;
    for (int64_t j = 0; j < n; j++)
        sum += a[j] * b[j];
    return sum;
}

static double correlation(const line_t *l, bool concordance)
{
    double n = (double)l->n, mx = sum_of(l->x, l->n) / n, mt = sum_of(l->t, l->n) / n;
    double x[MOST_COLUMNS], t[MOST_COLUMNS];
    for (int64_t j = 0; j < l->n; j++) {
        x[j] = l->x[j] - mx;
        t[j] = l->t[j] - mt;
    }
    double vx = product(x, x, l->n) / n, vt = product(t, t, l->n) / n;
    double both = product(x, t, l->n) / n;
    return concordance ? 2.0 * both / (vx + vt + pow(mx - mt, 2.0) + 1e-7) : both / sqrt(vx * vt);
}

static int64_t largest_at(const double *values, int64_t n)
{
    int64_t best = 0;
    for (int64_t j = 1; j < n; j++)
        best = values[j] > values[best] ? j : best;
    return best;
}

/* Softmax or shares of the sum, each clipped as Keras clips it. */
static double log_probability(const line_t *l, int64_t j, bool logits)
{
    double sum = 0.0;
    for (int64_t k = 0; k < l->n; k++)
        sum += logits ? exp(l->x[k]) : l->x[k];
    return logits ? l->x[j] - log(sum)
                  : log(clip(l->x[j] / sum, 1e-7, (double)(float)(1.0 - 1e-7)));
}

static double crossentropy(const mb_row_metric_args_t *a, const line_t *l, bool logits)
{
    double loss = 0.0;
    for (int64_t j = 0; j < l->n; j++)
        loss -= smoothed(a, l->t[j], 1.0 / (double)l->n) * log_probability(l, j, logits);
    return loss;
}

static double divergence(const line_t *l)
{
    double sum = 0.0;
    for (int64_t j = 0; j < l->n; j++) {
        double t = clip(l->t[j], 1e-7, 1.0);
        sum += t * (log(t) - log(clip(l->x[j], 1e-7, 1.0)));
    }
    return sum;
}

static double margin(const line_t *l)
{
    double outside = -INFINITY;
    for (int64_t j = 0; j < l->n; j++)
        outside = fmax(outside, (1.0 - l->t[j]) * l->x[j]);
    return fmax(outside - product(l->x, l->t, l->n) + 1.0, 0.0);
}

static double rank_of(const line_t *l, int64_t right)
{
    double larger = 0.0;
    for (int64_t j = 0; j < l->n; j++)
        larger += l->x[j] > l->x[right];
    return larger;
}

static bool among(const line_t *l, int64_t k, double id)
{
    bool found = false;
    for (int64_t j = 0; j < l->n && j < k; j++)
        found = found || !(l->x[j] < id || l->x[j] > id);
    return found;
}

static double row_value(const mb_row_metric_args_t *a, const line_t *l)
{
    int64_t right = a->labels.columns == 1 ? (int64_t)l->t[0] : largest_at(l->t, l->n);
    double lengths = fmax(sqrt(product(l->x, l->x, l->n)), 1e-7) *
                     fmax(sqrt(product(l->t, l->t, a->labels.columns)), 1e-7);
    switch (a->kind) {
    case MB_ROW_KL:
        return divergence(l);
    case MB_ROW_COSINE:
        return product(l->x, l->t, l->n) / lengths;
    case MB_ROW_PEARSON:
        return correlation(l, false);
    case MB_ROW_CONCORDANCE:
        return correlation(l, true);
    case MB_ROW_CATEGORICAL_HINGE:
        return margin(l);
    case MB_ROW_SOFTMAX:
    case MB_ROW_PROBABILITY:
        return crossentropy(a, l, a->kind == MB_ROW_SOFTMAX);
    case MB_ROW_SPARSE_SOFTMAX:
    case MB_ROW_SPARSE_PROBABILITY:
        return -log_probability(l, right, a->kind == MB_ROW_SPARSE_SOFTMAX);
    case MB_ROW_CLASS:
        return largest_at(l->x, l->n) == right ? 1.0 : 0.0;
    case MB_ROW_TOP_K:
        return rank_of(l, right) < (double)a->k ? 1.0 : 0.0;
    case MB_ROW_SORTED_IDS:
        return among(l, a->k, l->t[0]) ? 1.0 : 0.0;
    default:
        break;
    }
    double sum = 0.0;
    for (int64_t j = 0; j < l->n; j++)
        sum += element(a, l->x[j], l->t[j]);
    return sum / (double)l->n;
}

static void add_row(const mb_row_metric_args_t *a, const data_t *d, int64_t i, double sums[4],
                    double *magnitude)
{
    line_t l = {.n = d->columns};
    double weight = weight_of(d, i);
    for (int64_t j = 0; j < d->columns; j++) {
        l.x[j] = (double)d->x[i * d->columns + j];
        l.t[j] = label_of(d, i, j);
    }
    bool ignored = a->has_ignore && !(l.t[0] < a->ignore_label || l.t[0] > a->ignore_label);
    if (ignored) {
        sums[1] += d->weights == NULL ? 1.0 : 0.0;
        return;
    }
    double value = row_value(a, &l);
    sums[0] += weight * value;
    sums[1] += weight;
    *magnitude += weight * fabs(value);
    if (a->kind != MB_ROW_HINGE && a->kind != MB_ROW_SQUARED_HINGE)
        return;
    for (int64_t j = 0; j < a->labels.columns; j++)
        sums[3] += (l.t[j] < 0 || l.t[j] > 0) && (l.t[j] < 1 || l.t[j] > 1) ? 1.0 : 0.0;
    for (int64_t j = 0; j < l.n; j++)
        l.t[j] = 2.0 * l.t[j] - 1.0;
    sums[2] += weight * row_value(a, &l);
}

static bool wants_class(mb_row_kind_t kind)
{
    return kind == MB_ROW_SPARSE_SOFTMAX || kind == MB_ROW_SPARSE_PROBABILITY ||
           kind == MB_ROW_SORTED_IDS;
}

static bool wants_shares(mb_row_kind_t kind)
{
    return kind == MB_ROW_PROBABILITY || kind == MB_ROW_SPARSE_PROBABILITY ||
           kind == MB_ROW_BINARY_PROBABILITY || kind == MB_ROW_POISSON;
}

/* Sums of x are no zero, and correlations have a spread. */
static void settle(op_t *op, data_t *d, mb_row_kind_t kind)
{
    if (wants_shares(kind))
        d->x = op_random(op, d->rows * d->columns, 0.05, 0.95);
    if (kind != MB_ROW_PEARSON)
        return;
    d->columns = d->columns < 3 ? 5 : d->columns;
    d->x = op_random(op, d->rows * d->columns, -2, 2);
}

static mb_row_metric_args_t some_rows(op_t *op, mb_row_kind_t kind, data_t *d)
{
    *d = some_data(op, -2, 2);
    settle(op, d, kind);
    bool bits = kind == MB_ROW_HINGE || kind == MB_ROW_SQUARED_HINGE || kind == MB_ROW_BINARY;
    bool either = kind <= MB_ROW_POISSON || kind == MB_ROW_CLASS || kind == MB_ROW_TOP_K;
    if (wants_class(kind) || (either && op_integer(op, 0, 1)))
        give_classes(op, d, d->columns);
    else
        give_labels(op, d, bits ? 0 : -1, 1);
    mb_row_metric_args_t a = {.kind = kind,
                              .rows = d->rows,
                              .valid = d->valid,
                              .columns = d->columns,
                              .k = op_integer(op, 1, 4),
                              .threshold = 0.25f,
                              .label_smoothing = op_integer(op, 0, 1) ? 0.25f : 0.0f,
                              .ignore_label = 1,
                              .x = d->x,
                              .labels = d->labels,
                              .weights = d->weights,
                              .sums = op_doubles(op, MB_ROW_SUMS)};
    a.has_ignore = wants_class(kind) && op_integer(op, 0, 1);
    return a;
}

/* log(cosh) as written here loses what cosh(d) is above 1, and differences of logarithms and
 * squares cancel: not more than a thousandth of them is left for steps of an eighth. */
START_TEST(rows_are_valued_as_keras_does)
{
    op_t op;
    data_t d;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_row_metric_args_t a = some_rows(&op, (mb_row_kind_t)(_i % MB_ROW_COUNT), &d);
    double want[MB_ROW_SUMS] = {5, 6, 7, 8}, magnitude = 0;
    memcpy(a.sums, want, sizeof want);
    for (int64_t i = 0; i < a.valid; i++)
        add_row(&a, &d, i, want, &magnitude);
    OP_RUN(&op, ROW_METRIC, &a);
    for (int k = 0; k < MB_ROW_SUMS; k++)
        ck_assert_msg(fabs(a.sums[k] - want[k]) <= 1000 * bound * (10 + magnitude),
                      "kind %d, sum %d: %.17g, not %.17g", (int)a.kind, k, a.sums[k], want[k]);
    op_close(&op);
}
END_TEST

START_TEST(a_nan_is_seen)
{
    op_t op;
    data_t d;
    op_open(&op, 2, 9);
    for (int kind = 0; kind < MB_ROW_EQUAL; kind++) {
        mb_row_metric_args_t a = some_rows(&op, (mb_row_kind_t)kind, &d);
        a.valid = a.rows;
        ((float *)(uintptr_t)d.x)[0] = NAN;
        OP_RUN(&op, ROW_METRIC, &a);
        ck_assert_msg(isnan(a.sums[0]), "kind %d", kind);
        op_close(&op);
        op_open(&op, 2, (uint64_t)kind + 10);
    }
    op_close(&op);
}
END_TEST

/* ---- thresholds */

/* The place among the row's elements from the largest on, the first of equal ones first. */
static int64_t place_of(const data_t *d, int64_t i, int64_t j)
{
    const float *x = d->x + i * d->columns;
    int64_t place = 0;
    for (int64_t k = 0; k < d->columns; k++)
        place += x[k] > x[j] || (x[k] >= x[j] && k < j);
    return place;
}

/* Keras' buckets: thresholds 0 ... b are exceeded. */
static bool exceeds(const mb_threshold_counts_args_t *a, float x, int64_t threshold)
{
    float value = a->logits ? (float)(1.0 / (1.0 + exp(-(double)x))) : x;
    if (!a->even)
        return value > a->thresholds[threshold];
    float clipped = fminf(fmaxf(value, 0.0f), 1.0f);
    float bucket = ceilf(clipped * (float)(a->n - 1)) - 1.0f;
    bucket = a->above_first ? fmaxf(bucket, 0.0f) : bucket;
    return (float)threshold <= bucket;
}

static double counted(const mb_threshold_counts_args_t *a, const data_t *d, int64_t group,
                      bool positive, int64_t threshold)
{
    double sum = 0.0;
    for (int64_t i = 0; i < a->valid; i++) {
        for (int64_t j = 0; j < a->columns; j++) {
            bool here = (!a->apart || j == group) && (a->column < 0 || j == a->column);
            bool counts = a->top_k == 0 || place_of(d, i, j) < a->top_k;
            bool labelled = label_of(d, i, j) < 0 || label_of(d, i, j) > 0;
            double column = a->column_weights == NULL ? 1.0 : (double)a->column_weights[j];
            if (here && labelled == positive &&
                (threshold < 0 || (counts && exceeds(a, d->x[i * a->columns + j], threshold))))
                sum += weight_of(d, i) * column;
        }
    }
    return sum;
}

static mb_threshold_counts_args_t some_counts(op_t *op, data_t *d)
{
    *d = some_data(op, -1, 2);
    give_labels(op, d, 0, 1);
    float *labels = (float *)(uintptr_t)d->labels.values;
    for (int64_t i = 0; i < d->rows * d->columns; i++)
        labels[i] = labels[i] < 0.5f ? 0.0f : labels[i];
    mb_threshold_counts_args_t a = {.rows = d->rows,
                                    .valid = d->valid,
                                    .columns = d->columns,
                                    .apart = op_integer(op, 0, 1),
                                    .logits = op_integer(op, 0, 3) == 0,
                                    .even = op_integer(op, 0, 1),
                                    .above_first = op_integer(op, 0, 1),
                                    .column = op_integer(op, 0, 2) == 0 ? d->columns / 2 : -1,
                                    .top_k = op_integer(op, 0, 1) * (d->columns + 1) / 2,
                                    .n = op_integer(op, 1, 12),
                                    .x = d->x,
                                    .labels = d->labels,
                                    .weights = d->weights};
    a.n = a.even && a.n < 2 ? 2 : a.n;
    float *thresholds = op_floats(op, a.n);
    for (int64_t i = 0; i < a.n; i++)
        thresholds[i] = (float)i * 0.125f;
    a.thresholds = a.even ? NULL : thresholds;
    a.column_weights = op_integer(op, 0, 1) ? op_random(op, a.columns, 0, 2) : NULL;
    a.counts = op_doubles(op, (a.apart ? a.columns : 1) * 2 * (a.n + 1));
    return a;
}

/* Weights are multiplied in float32; logits are in steps that are far from thresholds but for zero,
 * whose sigmoid is exact. */
START_TEST(elements_are_counted_at_every_threshold)
{
    op_t op;
    data_t d;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_threshold_counts_args_t a = some_counts(&op, &d);
    OP_RUN(&op, THRESHOLD_COUNTS, &a);
    for (int64_t g = 0; g < (a.apart ? a.columns : 1); g++) {
        for (int positive = 0; positive < 2; positive++) {
            const double *cells = a.counts + (2 * g + positive) * (a.n + 1);
            double sum = 0.0;
            for (int64_t b = a.n; b >= 0; b--) {
                sum += cells[b];
                double want = counted(&a, &d, g, positive == 1, b - 1);
                ck_assert_msg(fabs(sum - want) <= 2 * OP_EPSILON * want, "%d, %lld: %.9g, not %.9g",
                              positive, (long long)b, sum, want);
            }
        }
    }
    op_close(&op);
}
END_TEST

/* ---- columns */

static bool is_predicted(const mb_column_metric_args_t *a, const data_t *d, int64_t i, int64_t j)
{
    const float *x = d->x + i * d->columns;
    if (a->kind == MB_COLUMN_ABOVE)
        return x[j] > a->threshold;
    bool largest = fabsf(x[j]) > 1e-9f;
    for (int64_t k = 0; k < d->columns; k++)
        largest = largest && x[j] >= x[k];
    return largest;
}

static void column_sums(const mb_column_metric_args_t *a, const data_t *d, int64_t j, double s[4])
{
    for (int64_t i = 0; i < a->valid; i++) {
        double x = (double)d->x[i * d->columns + j], t = label_of(d, i, j), w = weight_of(d, i);
        double p = a->kind != MB_COLUMN_MOMENTS && is_predicted(a, d, i, j) ? 1.0 : 0.0;
        bool moments = a->kind == MB_COLUMN_MOMENTS;
        s[0] += w * (moments ? t : p * t);
        s[1] += w * (moments ? t * t : p * (1.0 - t));
        s[2] += w * (moments ? pow(t - x, 2.0) : (1.0 - p) * t);
        s[3] += w * (moments ? 1.0 : t);
    }
}

START_TEST(columns_are_summed_by_themselves)
{
    op_t op;
    op_open(&op, 2, (uint64_t)_i + 1);
    data_t d = some_data(&op, -2, 2);
    if (op_integer(&op, 0, 1))
        give_labels(&op, &d, -1, 1);
    else
        give_classes(&op, &d, 3);
    mb_column_metric_args_t a = {.kind = (mb_column_kind_t)(_i % 3),
                                 .rows = d.rows,
                                 .valid = d.valid,
                                 .columns = d.columns,
                                 .threshold = 0.25f,
                                 .x = d.x,
                                 .labels = d.labels,
                                 .weights = d.weights,
                                 .sums = op_doubles(&op, 4 * d.columns + 1)};
    OP_RUN(&op, COLUMN_METRIC, &a);
    for (int64_t j = 0; j < a.columns; j++) {
        double want[4] = {0};
        column_sums(&a, &d, j, want);
        for (int k = 0; k < 4; k++)
            ck_assert_double_eq_tol(a.sums[k * a.columns + j], want[k], bound * 1000);
    }
    ck_assert_double_eq(a.sums[4 * a.columns], (double)a.valid);
    op_close(&op);
}
END_TEST

/* ---- classes */

static int64_t class_of(const mb_class_counts_args_t *a, double value)
{
    double seen = a->whole ? trunc(value) : value;
    return seen >= 0 && seen < (double)a->classes ? (int64_t)seen : -1;
}

static void give_confusion(const mb_class_counts_args_t *a, const data_t *d, double *matrix)
{
    for (int64_t i = 0; i < a->valid; i++) {
        line_t l = {.n = d->columns};
        for (int64_t j = 0; j < d->columns; j++) {
            l.x[j] = (double)d->x[i * d->columns + j];
            l.t[j] = label_of(d, i, j);
        }
        double t = a->label_is == MB_CLASS_LARGEST ? (double)largest_at(l.t, l.n) : l.t[0];
        double x = a->x_is == MB_CLASS_LARGEST ? (double)largest_at(l.x, l.n)
                   : a->x_is == MB_CLASS_ABOVE ? (l.x[0] >= (double)a->threshold ? 1.0 : 0.0)
                                               : l.x[0];
        double seen = a->whole ? trunc(t) : t, w = weight_of(d, i / a->per_weight);
        int64_t right = class_of(a, t), found = class_of(a, x);
        if (a->has_ignore && !(seen < a->ignore_label || seen > a->ignore_label))
            continue;
        if (right >= 0 && found >= 0)
            matrix[right * a->classes + found] += a->whole ? trunc(w) : w;
    }
}

static mb_class_counts_args_t some_classes(op_t *op, data_t *d)
{
    *d = some_data(op, -1, 5);
    mb_class_of_t x_is = (mb_class_of_t)op_integer(op, 0, 2);
    if (x_is != MB_CLASS_LARGEST)
        d->columns = 1;
    bool dense = op_integer(op, 0, 1) == 1;
    if (dense)
        give_labels(op, d, -1, 5);
    else
        give_classes(op, d, 6);
    mb_class_counts_args_t a = {.rows = d->rows,
                                .valid = d->valid,
                                .columns = d->columns,
                                .classes = x_is == MB_CLASS_ABOVE ? 2 : op_integer(op, 1, 5),
                                .x_is = x_is,
                                .label_is = dense ? MB_CLASS_LARGEST : MB_CLASS_VALUE,
                                .whole = op_integer(op, 0, 1),
                                .has_ignore = op_integer(op, 0, 1),
                                .ignore_label = 1,
                                .threshold = 0.5f,
                                .per_weight = op_integer(op, 1, 3),
                                .x = d->x,
                                .labels = d->labels,
                                .weights = d->weights};
    a.counts = op_doubles(op, 3 * a.classes);
    return a;
}

START_TEST(classes_are_counted_as_a_confusion_matrix_would)
{
    op_t op;
    data_t d;
    op_open(&op, 2, (uint64_t)_i + 1);
    mb_class_counts_args_t a = some_classes(&op, &d);
    double matrix[36] = {0};
    give_confusion(&a, &d, matrix);
    OP_RUN(&op, CLASS_COUNTS, &a);
    for (int64_t c = 0; c < a.classes; c++) {
        double right = 0, found = 0;
        for (int64_t k = 0; k < a.classes; k++) {
            right += matrix[c * a.classes + k];
            found += matrix[k * a.classes + c];
        }
        ck_assert_double_eq_tol(a.counts[c], right, bound * 100);
        ck_assert_double_eq_tol(a.counts[a.classes + c], found, bound * 100);
        ck_assert_double_eq_tol(a.counts[2 * a.classes + c], matrix[c * a.classes + c],
                                bound * 100);
    }
    op_close(&op);
}
END_TEST

/* Many rows, so that there are many tiles. */
static uint64_t digest_on(int threads)
{
    op_t op;
    op_open(&op, threads, 77);
    data_t d = {.rows = 20000, .valid = 19991, .columns = 3};
    d.x = op_random(&op, d.rows * d.columns, 0, 1);
    d.weights = op_random(&op, d.rows, 0, 1);
    give_labels(&op, &d, 0, 1);
    mb_row_metric_args_t rows = {.kind = MB_ROW_KL, .rows = d.rows, .valid = d.valid, .columns = 3};
    rows.x = d.x;
    rows.labels = d.labels;
    rows.weights = d.weights;
    rows.sums = op_doubles(&op, MB_ROW_SUMS);
    mb_threshold_counts_args_t counts = {.rows = d.rows, .valid = d.valid, .columns = 3};
    counts.even = true;
    counts.n = 20;
    counts.column = -1;
    counts.x = d.x;
    counts.labels = d.labels;
    counts.weights = d.weights;
    counts.counts = op_doubles(&op, 2 * 21);
    OP_RUN(&op, ROW_METRIC, &rows);
    OP_RUN(&op, THRESHOLD_COUNTS, &counts);
    uint64_t digest = op_digest(&op);
    op_close(&op);
    return digest;
}

START_TEST(sums_do_not_depend_on_threads)
{
    uint64_t alone = digest_on(1);
    ck_assert(digest_on(2) == alone && digest_on(7) == alone);
}
END_TEST

static void refuse(op_t *op, mb_op_t which, const void *args, size_t bytes)
{
    ck_assert_int_ne(op_try(op, which, args, bytes), MB_OK);
}

START_TEST(what_does_not_fit_is_refused)
{
    op_t op;
    data_t d;
    op_open(&op, 1, 1);
    mb_row_metric_args_t rows = some_rows(&op, MB_ROW_SQUARED, &d);
    rows.labels.columns = rows.columns + 2;
    refuse(&op, MB_OP_ROW_METRIC, &rows, sizeof rows);
    rows = some_rows(&op, MB_ROW_SQUARED, &d);
    rows.kind = MB_ROW_COUNT;
    refuse(&op, MB_OP_ROW_METRIC, &rows, sizeof rows);
    mb_threshold_counts_args_t counts = some_counts(&op, &d);
    counts.top_k = counts.columns + 1;
    refuse(&op, MB_OP_THRESHOLD_COUNTS, &counts, sizeof counts);
    mb_class_counts_args_t classes = some_classes(&op, &d);
    classes.per_weight = 0;
    refuse(&op, MB_OP_CLASS_COUNTS, &classes, sizeof classes);
    op_close(&op);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("op_metric");
    TCase *t = tcase_create("metric");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, rows_are_valued_as_keras_does, 0, 8 * MB_ROW_COUNT);
    tcase_add_test(t, a_nan_is_seen);
    tcase_add_loop_test(t, elements_are_counted_at_every_threshold, 0, 60);
    tcase_add_loop_test(t, columns_are_summed_by_themselves, 0, 30);
    tcase_add_loop_test(t, classes_are_counted_as_a_confusion_matrix_would, 0, 60);
    tcase_add_test(t, sums_do_not_depend_on_threads);
    tcase_add_test(t, what_does_not_fit_is_refused);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return op_main(suite());
}
