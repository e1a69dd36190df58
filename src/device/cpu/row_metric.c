/* Metrics that are a mean of rows' values, a block of rows a tile. The arithmetic is that of
 * keras/src/losses/losses.py and keras/src/metrics, in double from the elements on. */
#include <math.h>
#include "device/cpu/labels.h"

static const double tiny = 1e-7;                      /* Keras' epsilon */
static const double nearly_one = (float)(1.0 - 1e-7); /* rounded as Keras' clip rounds it */

typedef struct {
    const mb_row_metric_args_t *args;
    const float *x;
    int64_t row;
} row_t;

static double input(const row_t *r, int64_t j)
{
    return (double)r->x[j];
}

static double label(const row_t *r, int64_t j)
{
    return (double)mb_label_at(&r->args->labels, r->row, j);
}

/* Unlike fmax, a NaN stays one. */
static double at_least(double low, double value)
{
    return value < low ? low : value;
}

static double clip(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

/* Towards UNIFORM, as Keras smooths labels. */
static double smoothed(const row_t *r, int64_t j, double uniform)
{
    double smoothing = (double)r->args->label_smoothing;
    return label(r, j) * (1.0 - smoothing) + smoothing * uniform;
}

/* One element of the kinds that are means over columns. */

static double squared(const row_t *r, int64_t j)
{
    double d = input(r, j) - label(r, j);
    return d * d;
}

static double absolute(const row_t *r, int64_t j)
{
    return fabs(input(r, j) - label(r, j));
}

static double percentage(const row_t *r, int64_t j)
{
    return 100.0 * absolute(r, j) / at_least(tiny, fabs(label(r, j)));
}

static double logarithmic(const row_t *r, int64_t j)
{
    double d = log1p(at_least(tiny, input(r, j))) - log1p(at_least(tiny, label(r, j)));
    return d * d;
}

static double log_cosh(const row_t *r, int64_t j)
{
    double d = absolute(r, j);
    return d + log1p(exp(-2.0 * d)) - log(2.0);
}

static double poisson(const row_t *r, int64_t j)
{
    return input(r, j) - label(r, j) * log(input(r, j) + tiny);
}

static double hinge_of(double x, double t)
{
    return at_least(0.0, 1.0 - t * x);
}

static double hinge(const row_t *r, int64_t j)
{
    return hinge_of(input(r, j), label(r, j));
}

static double squared_hinge(const row_t *r, int64_t j)
{
    return hinge(r, j) * hinge(r, j);
}

static double equal(const row_t *r, int64_t j)
{
    return r->x[j] == mb_label_at(&r->args->labels, r->row, j) ? 1.0 : 0.0;
}

static double binary(const row_t *r, int64_t j)
{
    float found = r->x[j] > r->args->threshold ? 1.0f : 0.0f;
    return found == mb_label_at(&r->args->labels, r->row, j) ? 1.0 : 0.0;
}

static double binary_logits(const row_t *r, int64_t j)
{
    double t = smoothed(r, j, 0.5), x = input(r, j);
    return (x > 0.0 ? x : 0.0) - x * t + log1p(exp(-fabs(x)));
}

static double binary_probability(const row_t *r, int64_t j)
{
    double t = smoothed(r, j, 0.5), q = clip(input(r, j), tiny, nearly_one);
    return -t * log(q) - (1.0 - t) * log1p(-q);
}

static double (*const elements[MB_ROW_COUNT])(const row_t *, int64_t) = {
    [MB_ROW_SQUARED] = squared,
    [MB_ROW_ABSOLUTE] = absolute,
    [MB_ROW_PERCENTAGE] = percentage,
    [MB_ROW_LOGARITHMIC] = logarithmic,
    [MB_ROW_LOG_COSH] = log_cosh,
    [MB_ROW_POISSON] = poisson,
    [MB_ROW_HINGE] = hinge,
    [MB_ROW_SQUARED_HINGE] = squared_hinge,
    [MB_ROW_EQUAL] = equal,
    [MB_ROW_BINARY] = binary,
    [MB_ROW_BINARY_LOGITS] = binary_logits,
    [MB_ROW_BINARY_PROBABILITY] = binary_probability,
};

static double mean_of(const row_t *r, double (*element)(const row_t *, int64_t))
{
    double sum = 0.0;
    for (int64_t j = 0; j < r->args->columns; j++)
        sum += element(r, j);
    return sum / (double)r->args->columns;
}

/* The kinds that look at the row as a whole. */

static double kl(const row_t *r)
{
    double sum = 0.0;
    for (int64_t j = 0; j < r->args->columns; j++) {
        double t = clip(label(r, j), tiny, 1.0), x = clip(input(r, j), tiny, 1.0);
        sum += t * log(t / x);
    }
    return sum;
}

/* A label that all columns share is a vector of one element. */
static double cosine(const row_t *r)
{
    double product = 0.0, xx = 0.0, tt = 0.0;
    for (int64_t j = 0; j < r->args->columns; j++) {
        product += input(r, j) * label(r, j);
        xx += input(r, j) * input(r, j);
    }
    for (int64_t j = 0; j < r->args->labels.columns; j++)
        tt += label(r, j) * label(r, j);
    return product / (at_least(tiny, sqrt(xx)) * at_least(tiny, sqrt(tt)));
}

typedef struct {
    double mean_x, mean_t, var_x, var_t, covariance;
} moments_t;

static moments_t moments_of(const row_t *r)
{
    moments_t m = {.mean_x = mean_of(r, input), .mean_t = mean_of(r, label)};
    for (int64_t j = 0; j < r->args->columns; j++) {
        double dx = input(r, j) - m.mean_x, dt = label(r, j) - m.mean_t;
        m.var_x += dx * dx / (double)r->args->columns;
        m.var_t += dt * dt / (double)r->args->columns;
        m.covariance += dx * dt / (double)r->args->columns;
    }
    return m;
}

static double pearson(const row_t *r)
{
    moments_t m = moments_of(r);
    return m.covariance / sqrt(m.var_x * m.var_t);
}

static double concordance(const row_t *r)
{
    moments_t m = moments_of(r);
    double apart = m.mean_x - m.mean_t;
    return 2.0 * m.covariance / (m.var_x + m.var_t + apart * apart + tiny);
}

static double categorical_hinge(const row_t *r)
{
    double inside = 0.0, outside = -INFINITY;
    for (int64_t j = 0; j < r->args->columns; j++) {
        inside += label(r, j) * input(r, j);
        outside = at_least(outside, (1.0 - label(r, j)) * input(r, j));
    }
    return at_least(0.0, outside - inside + 1.0);
}

static double log_sum_exp(const row_t *r)
{
    double largest = input(r, mb_first_largest(r->x, r->args->columns)), sum = 0.0;
    for (int64_t j = 0; j < r->args->columns; j++)
        sum += exp(input(r, j) - largest);
    return largest + log(sum);
}

static double softmax(const row_t *r)
{
    double log_sum = log_sum_exp(r), loss = 0.0, uniform = 1.0 / (double)r->args->columns;
    for (int64_t j = 0; j < r->args->columns; j++)
        loss -= smoothed(r, j, uniform) * (input(r, j) - log_sum);
    return loss;
}

static double sum_of(const row_t *r)
{
    return mean_of(r, input) * (double)r->args->columns;
}

static double probability(const row_t *r)
{
    double sum = sum_of(r), loss = 0.0, uniform = 1.0 / (double)r->args->columns;
    for (int64_t j = 0; j < r->args->columns; j++)
        loss -= smoothed(r, j, uniform) * log(clip(input(r, j) / sum, tiny, nearly_one));
    return loss;
}

/* The column of the right class; -1: there is none. */
static int64_t right_class(const row_t *r)
{
    const mb_labels_t *labels = &r->args->labels;
    int64_t right = labels->columns == 1 ? mb_label_class(labels, r->row)
                                         : mb_first_largest_label(labels, r->row);
    return right >= 0 && right < r->args->columns ? right : -1;
}

/* As a one-hot vector of no class, a label outside has no loss. */
static double sparse_softmax(const row_t *r)
{
    int64_t right = right_class(r);
    return right < 0 ? 0.0 : log_sum_exp(r) - input(r, right);
}

static double sparse_probability(const row_t *r)
{
    int64_t right = right_class(r);
    return right < 0 ? 0.0 : -log(clip(input(r, right) / sum_of(r), tiny, nearly_one));
}

static double class_found(const row_t *r)
{
    return mb_first_largest(r->x, r->args->columns) == right_class(r) ? 1.0 : 0.0;
}

static double top_k(const row_t *r)
{
    int64_t right = right_class(r), larger = 0;
    if (right < 0)
        return 0.0;
    for (int64_t j = 0; j < r->args->columns; j++)
        larger += r->x[j] > r->x[right] ? 1 : 0;
    return larger < r->args->k ? 1.0 : 0.0;
}

static double sorted_ids(const row_t *r)
{
    bool found = false;
    for (int64_t j = 0; j < r->args->columns && j < r->args->k; j++)
        found = found || r->x[j] == mb_label_at(&r->args->labels, r->row, 0);
    return found ? 1.0 : 0.0;
}

static double (*const wholes[MB_ROW_COUNT])(const row_t *) = {
    [MB_ROW_KL] = kl,
    [MB_ROW_COSINE] = cosine,
    [MB_ROW_PEARSON] = pearson,
    [MB_ROW_CONCORDANCE] = concordance,
    [MB_ROW_CATEGORICAL_HINGE] = categorical_hinge,
    [MB_ROW_SOFTMAX] = softmax,
    [MB_ROW_PROBABILITY] = probability,
    [MB_ROW_SPARSE_SOFTMAX] = sparse_softmax,
    [MB_ROW_SPARSE_PROBABILITY] = sparse_probability,
    [MB_ROW_CLASS] = class_found,
    [MB_ROW_TOP_K] = top_k,
    [MB_ROW_SORTED_IDS] = sorted_ids,
};

/* With labels 0 and 1 taken for -1 and 1, and how many labels are neither. */
static void add_hinge(const row_t *r, double weight, double *sums)
{
    double sum = 0.0;
    for (int64_t j = 0; j < r->args->columns; j++) {
        double h = hinge_of(input(r, j), 2.0 * label(r, j) - 1.0);
        sum += r->args->kind == MB_ROW_HINGE ? h : h * h;
    }
    sums[2] += weight * sum / (double)r->args->columns;
    for (int64_t j = 0; j < r->args->labels.columns; j++)
        sums[3] += label(r, j) == 0.0 || label(r, j) == 1.0 ? 0.0 : 1.0;
}

static void add_row(const mb_row_metric_args_t *a, int64_t i, double *sums)
{
    row_t row = {.args = a, .x = mb_in(a->x) + i * a->columns, .row = i};
    double weight = mb_weight_at(a->weights, i);
    if (a->has_ignore && mb_label_class(&a->labels, i) == a->ignore_label) {
        sums[1] += a->weights == NULL ? weight : 0.0;
        return;
    }
    double value =
        elements[a->kind] != NULL ? mean_of(&row, elements[a->kind]) : wholes[a->kind](&row);
    sums[0] += weight * value;
    sums[1] += weight;
    if (a->kind == MB_ROW_HINGE || a->kind == MB_ROW_SQUARED_HINGE)
        add_hinge(&row, weight, sums);
}

typedef struct {
    const mb_row_metric_args_t *args;
    int64_t block;
    double *partial; /* [tiles][MB_ROW_SUMS] */
} metric_t;

static void metric_tile(void *context, int64_t tile, int thread)
{
    (void)thread;
    const metric_t *m = context;
    mb_span_t rows = mb_span(tile, m->block, m->args->valid);
    double *sums = m->partial + tile * MB_ROW_SUMS;
    for (int k = 0; k < MB_ROW_SUMS; k++)
        sums[k] = 0.0;
    for (int64_t i = rows.begin; i < rows.end; i++)
        add_row(m->args, i, sums);
}

mb_status_t mb_cpu_row_metric(mb_exec_t *exec, const mb_row_metric_args_t *args)
{
    MB_CPU_CHECK(MB_OP_ROW_METRIC, (unsigned)args->kind < MB_ROW_COUNT, "unknown metric");
    MB_CPU_CHECK(MB_OP_ROW_METRIC,
                 args->valid >= 0 && args->valid <= args->rows && args->columns >= 1 &&
                     mb_labels_fit(&args->labels, args->columns),
                 "rows without columns or with other labels, or more valid rows than rows");
    metric_t m = {.args = args, .block = mb_rows_block(args->columns, 2048)};
    mb_workspace_t workspace;
    /* Planned for all rows: how many are valid changes from step to step. */
    size_t most = (size_t)(MB_ROW_SUMS * mb_ceil_div(args->rows, m.block));
    MB_TRY(mb_cpu_workspace(exec, MB_OP_ROW_METRIC, sizeof(double) * most, 0, &workspace));
    if (exec->planning)
        return MB_OK;
    m.partial = (double *)(void *)workspace.shared;
    int64_t tiles = mb_ceil_div(args->valid, m.block);
    mb_cpu_tiles(exec, tiles, metric_tile, &m);
    for (int64_t tile = 0; tile < tiles; tile++) {
        for (int k = 0; k < MB_ROW_SUMS; k++)
            args->sums[k] += m.partial[tile * MB_ROW_SUMS + k];
    }
    return MB_OK;
}
