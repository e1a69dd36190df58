/* Metrics that are a mean of rows' values: Keras' MeanMetricWrapper and what is made of it. The
 * mean over samples of means over a sample's rows is the mean over all rows, since samples have as
 * many. It alone looks at an output's mask. */
#include <math.h>

#include "model/metrics/class.h"

static mb_status_t run(const mb_metric_t *metric, mb_exec_t *exec, const mb_metric_batch_t *batch,
                       double *states)
{
    const mb_metric_rows_t *of = &metric->of.rows;
    mb_row_metric_args_t args = {.type = batch->type,
                                 .kind = of->kind,
                                 .rows = batch->samples * metric->rows,
                                 .valid = batch->valid * metric->rows,
                                 .columns = metric->columns,
                                 .k = of->k,
                                 .threshold = of->threshold,
                                 .label_smoothing = of->label_smoothing,
                                 .has_ignore = of->has_ignore,
                                 .ignore_label = of->ignore_label,
                                 .x = batch->x,
                                 .labels = mb_metric_labels(metric, batch),
                                 .weights = batch->weights,
                                 .sums = states};
    return mb_run_row_metric(exec, &args);
}

static const mb_metric_family_t family = {.run = run};

bool mb_metric_heeds_mask(const mb_metric_t *metric)
{
    return metric->class_->family == &family && !metric->of.rows.root;
}

static void finish(const mb_metric_t *metric, const double *states, double *values)
{
    double mean = mb_metric_share(states[0], states[1]);
    values[0] = metric->of.rows.root ? sqrt(mean) : mean;
}

/* Keras takes labels for bits if all of a batch are 0 or 1; here all of the data must be. */
static void finish_hinge(const mb_metric_t *metric, const double *states, double *values)
{
    bool bits = !(states[3] > 0);
    (void)metric;
    values[0] = mb_metric_share(states[bits ? 2 : 0], states[1]);
}

static void set_kind(mb_metric_t *metric, mb_row_kind_t kind)
{
    metric->states = MB_ROW_SUMS;
    metric->n_values = 1;
    metric->of.rows.kind = kind;
}

static mb_row_kind_t kind_of(const mb_metric_t *metric)
{
    return (mb_row_kind_t)metric->class_->kind;
}

static mb_status_t parse_plain(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    (void)config;
    (void)arena;
    set_kind(metric, kind_of(metric));
    return MB_OK;
}

static mb_status_t parse_root(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    metric->of.rows.root = true;
    return parse_plain(config, arena, metric);
}

static mb_status_t parse_over_axis(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    MB_TRY(parse_plain(config, arena, metric));
    return mb_metric_take_axis(config, metric);
}

static mb_status_t take_real(mb_config_t *config, const char *key, double otherwise, float *out)
{
    double value;
    MB_TRY(mb_config_real_or(config, key, otherwise, &value));
    *out = (float)value;
    return MB_OK;
}

static mb_status_t parse_binary(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    MB_TRY(parse_plain(config, arena, metric));
    return take_real(config, "threshold", 0.5, &metric->of.rows.threshold);
}

static mb_status_t take_smoothing(mb_config_t *config, mb_metric_t *metric)
{
    MB_TRY(take_real(config, "label_smoothing", 0.0, &metric->of.rows.label_smoothing));
    float smoothing = metric->of.rows.label_smoothing;
    return smoothing >= 0.0f && smoothing <= 1.0f
               ? MB_OK
               : mb_error_set(MB_ERR_ARGUMENT, "%s: key 'label_smoothing' must lie from 0 to 1",
                              config->where);
}

/* The kinds of logits stand in front of those of probabilities. */
static mb_status_t take_logits(mb_config_t *config, mb_metric_t *metric)
{
    bool logits;
    MB_TRY(mb_config_bool_or(config, "from_logits", false, &logits));
    set_kind(metric, (mb_row_kind_t)(metric->class_->kind + (logits ? 0 : 1)));
    return mb_metric_take_axis(config, metric);
}

static mb_status_t parse_crossentropy(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    (void)arena;
    MB_TRY(mb_metric_needs_alike(config, metric));
    MB_TRY(take_logits(config, metric));
    return take_smoothing(config, metric);
}

static mb_status_t needs_class(const mb_config_t *config, const mb_metric_t *metric)
{
    if (metric->whole_labels)
        return MB_OK;
    return mb_metric_refuse(config, "they take labels of different form");
}

/* One number for each class. */
static mb_status_t needs_distribution(const mb_config_t *config, const mb_metric_t *metric)
{
    if (metric->whole_labels)
        return mb_metric_refuse(config, "they take labels of different form");
    if (metric->columns == 1)
        return mb_metric_refuse(config, "an output of one column has no classes");
    return MB_OK;
}

static mb_status_t parse_sparse_crossentropy(mb_config_t *config, mb_arena_t *arena,
                                             mb_metric_t *metric)
{
    (void)arena;
    MB_TRY(needs_class(config, metric));
    MB_TRY(take_logits(config, metric));
    return mb_metric_take_ignore(config, &metric->of.rows.has_ignore,
                                 &metric->of.rows.ignore_label);
}

static mb_status_t parse_class(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    MB_TRY(needs_distribution(config, metric));
    return parse_plain(config, arena, metric);
}

static mb_status_t parse_sparse_class(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    MB_TRY(needs_class(config, metric));
    return parse_plain(config, arena, metric);
}

static mb_status_t take_k(mb_config_t *config, mb_metric_t *metric)
{
    return mb_config_int_or(config, "k", 1, INT32_MAX, 5, &metric->of.rows.k);
}

static mb_status_t parse_top_k(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    MB_TRY(parse_class(config, arena, metric));
    return take_k(config, metric);
}

static mb_status_t parse_sparse_top_k(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    bool sorted;
    (void)arena;
    MB_TRY(needs_class(config, metric));
    MB_TRY(mb_config_bool_or(config, "from_sorted_ids", false, &sorted));
    set_kind(metric, sorted ? MB_ROW_SORTED_IDS : MB_ROW_TOP_K);
    return take_k(config, metric);
}

#define ROWS(CLASS, NAME, KIND, PARSE, FINISH, ...)                                                \
    {                                                                                              \
        .size = sizeof(mb_metric_class_t), .class_name = CLASS, .name = NAME,                      \
        .names = {__VA_ARGS__}, .family = &family, .parse = PARSE, .finish = FINISH,               \
        .kind = MB_ROW_##KIND                                                                      \
    }

const mb_metric_class_t mb_metric_row_classes[] = {
    ROWS("MeanSquaredError", "mean_squared_error", SQUARED, parse_plain, finish,
         "mean_squared_error", "mse", "MSE"),
    ROWS("RootMeanSquaredError", "root_mean_squared_error", SQUARED, parse_root, finish,
         "root_mean_squared_error"),
    ROWS("MeanAbsoluteError", "mean_absolute_error", ABSOLUTE, parse_plain, finish,
         "mean_absolute_error", "mae", "MAE"),
    ROWS("MeanAbsolutePercentageError", "mean_absolute_percentage_error", PERCENTAGE, parse_plain,
         finish, "mean_absolute_percentage_error", "mape", "MAPE"),
    ROWS("MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", LOGARITHMIC, parse_plain,
         finish, "mean_squared_logarithmic_error", "msle", "MSLE"),
    ROWS("CosineSimilarity", "cosine_similarity", COSINE, parse_over_axis, finish,
         "cosine_similarity", "cosine_proximity"),
    ROWS("LogCoshError", "logcosh", LOG_COSH, parse_plain, finish, "log_cosh_error", "log_cosh",
         "logcosh"),
    ROWS("PearsonCorrelation", "pearson_correlation", PEARSON, parse_over_axis, finish,
         "pearson_correlation"),
    ROWS("ConcordanceCorrelation", "concordance_correlation", CONCORDANCE, parse_over_axis, finish,
         "concordance_correlation"),
    ROWS("Accuracy", "accuracy", EQUAL, parse_plain, finish, NULL),
    ROWS("BinaryAccuracy", "binary_accuracy", BINARY, parse_binary, finish, "binary_accuracy"),
    ROWS("CategoricalAccuracy", "categorical_accuracy", CLASS, parse_class, finish,
         "categorical_accuracy"),
    ROWS("SparseCategoricalAccuracy", "sparse_categorical_accuracy", CLASS, parse_sparse_class,
         finish, "sparse_categorical_accuracy"),
    ROWS("TopKCategoricalAccuracy", "top_k_categorical_accuracy", TOP_K, parse_top_k, finish,
         "top_k_categorical_accuracy"),
    ROWS("SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy", TOP_K,
         parse_sparse_top_k, finish, "sparse_top_k_categorical_accuracy"),
    ROWS("BinaryCrossentropy", "binary_crossentropy", BINARY_LOGITS, parse_crossentropy, finish,
         "binary_crossentropy", "bce", "BCE"),
    ROWS("CategoricalCrossentropy", "categorical_crossentropy", SOFTMAX, parse_crossentropy, finish,
         "categorical_crossentropy"),
    ROWS("SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", SPARSE_SOFTMAX,
         parse_sparse_crossentropy, finish, "sparse_categorical_crossentropy"),
    ROWS("KLDivergence", "kl_divergence", KL, parse_plain, finish, "kl_divergence", "kld", "KLD",
         "kullback_leibler_divergence"),
    ROWS("Poisson", "poisson", POISSON, parse_plain, finish, "poisson"),
    ROWS("Hinge", "hinge", HINGE, parse_plain, finish_hinge, "hinge"),
    ROWS("SquaredHinge", "squared_hinge", SQUARED_HINGE, parse_plain, finish_hinge,
         "squared_hinge"),
    ROWS("CategoricalHinge", "categorical_hinge", CATEGORICAL_HINGE, parse_plain, finish,
         "categorical_hinge"),
    {.class_name = NULL},
};
