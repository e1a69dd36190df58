/* Scores of each column, and their averages: R2 of targets, F of classes. Source:
 * keras/src/metrics/regression_metrics.py, f_score_metrics.py. */
#include <math.h>
#include <string.h>

#include "model/metrics/class.h"

#define EPSILON 1e-7 /* Keras' */

static mb_status_t run(const mb_metric_t *metric, mb_exec_t *exec, const mb_metric_batch_t *batch,
                       double *states)
{
    mb_column_metric_args_t args = {.type = batch->type,
                                    .kind = metric->of.columns.kind,
                                    .rows = batch->samples * metric->rows,
                                    .valid = batch->valid * metric->rows,
                                    .columns = metric->columns,
                                    .threshold = metric->of.columns.threshold,
                                    .x = batch->x,
                                    .labels = mb_metric_labels(metric, batch),
                                    .weights = batch->weights,
                                    .sums = states};
    return mb_run_column_metric(exec, &args);
}

static const mb_metric_family_t family = {.run = run};

/* What the device summed for column J, or for all of them (MICRO). */
typedef struct {
    double s[4];
} sums_t;

static sums_t sums_of(const mb_metric_t *metric, const double *states, int64_t j)
{
    sums_t sums;
    for (int k = 0; k < 4; k++)
        sums.s[k] = states[k * metric->columns + j];
    return sums;
}

/* How much of a target's variance around its mean there is, and R2. */
typedef struct {
    double variance, score;
} r2_t;

static r2_t r2_of(const sums_t *sums)
{
    double sum = sums->s[0], squares = sums->s[1], residual = sums->s[2], count = sums->s[3];
    r2_t r2 = {.variance = squares - sum * (sum / count)};
    r2.score = 1.0 - residual / r2.variance;
    r2.score = isinf(r2.score) ? 0.0 : r2.score;
    return r2;
}

/* Not for more regressors than there are samples to explain: Keras warns, and leaves it out. */
static double adjusted(const mb_metric_t *metric, const double *states, double score)
{
    double samples = states[4 * metric->columns] * (double)metric->label_columns;
    double regressors = (double)metric->of.columns.regressors;
    if (!(regressors > 0) || regressors >= samples - 1.0)
        return score;
    return 1.0 - (1.0 - score) * (samples - 1.0) / (samples - regressors - 1.0);
}

static void finish_r2(const mb_metric_t *metric, const double *states, double *values)
{
    double scores = 0.0, weighted = 0.0, variance = 0.0;
    mb_average_t average = metric->of.columns.average;
    for (int64_t j = 0; j < metric->columns; j++) {
        sums_t sums = sums_of(metric, states, j);
        r2_t r2 = r2_of(&sums);
        scores += r2.score;
        weighted += r2.variance * r2.score;
        variance += r2.variance;
        if (average == MB_AVERAGE_NONE)
            values[j] = adjusted(metric, states, r2.score);
    }
    if (average == MB_AVERAGE_NONE)
        return;
    double score =
        average == MB_AVERAGE_WEIGHTED ? weighted / variance : scores / (double)metric->columns;
    values[0] = adjusted(metric, states, score);
}

static double f_of(const mb_metric_t *metric, const sums_t *sums)
{
    double tp = sums->s[0], fp = sums->s[1], fn = sums->s[2];
    double square = metric->of.columns.beta * metric->of.columns.beta;
    double precision = tp / (tp + fp + EPSILON), recall = tp / (tp + fn + EPSILON);
    return (1.0 + square) * (precision * recall / (square * precision + recall + EPSILON));
}

static double f_of_all(const mb_metric_t *metric, const double *states)
{
    sums_t all = {{0}};
    for (int64_t j = 0; j < metric->columns; j++) {
        sums_t own = sums_of(metric, states, j);
        for (int k = 0; k < 4; k++)
            all.s[k] += own.s[k];
    }
    return f_of(metric, &all);
}

static double support_of(const mb_metric_t *metric, const double *states)
{
    double support = 0.0;
    for (int64_t j = 0; j < metric->columns; j++)
        support += states[3 * metric->columns + j];
    return support + EPSILON;
}

static void finish_f(const mb_metric_t *metric, const double *states, double *values)
{
    mb_average_t average = metric->of.columns.average;
    double sum = 0.0, support = support_of(metric, states);
    for (int64_t j = 0; j < metric->columns; j++) {
        sums_t sums = sums_of(metric, states, j);
        double score = f_of(metric, &sums);
        sum += average == MB_AVERAGE_WEIGHTED ? score * (sums.s[3] / support)
                                              : score / (double)metric->columns;
        if (average == MB_AVERAGE_NONE)
            values[j] = score;
    }
    if (average != MB_AVERAGE_NONE)
        values[0] = average == MB_AVERAGE_MICRO ? f_of_all(metric, states) : sum;
}

typedef struct {
    const char *name;
    mb_average_t average;
} average_t;

/* OTHERWISE: where the key is absent; null is no average. */
static mb_status_t take_average(mb_config_t *config, const char *key, const average_t *known,
                                mb_average_t otherwise, mb_metric_t *metric)
{
    const json_t *value = mb_config_take(config, key);
    mb_average_t *average = &metric->of.columns.average;
    *average = value == NULL ? otherwise : MB_AVERAGE_NONE;
    if (json_is_string(value)) {
        while (known->name != NULL && strcmp(known->name, json_string_value(value)) != 0)
            known++;
        *average = known->average;
    }
    if (value != NULL && !json_is_null(value) && *average == MB_AVERAGE_NONE)
        return mb_error_set(MB_ERR_UNSUPPORTED,
                            "%s: key '%s' is none of the averages that Keras has", config->where,
                            key);
    metric->listed = *average == MB_AVERAGE_NONE;
    metric->n_values = metric->listed ? metric->columns : 1;
    return MB_OK;
}

static mb_status_t parse_r2(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    static const average_t averages[] = {{"uniform_average", MB_AVERAGE_UNIFORM},
                                         {"variance_weighted_average", MB_AVERAGE_WEIGHTED},
                                         {NULL, MB_AVERAGE_NONE}};
    (void)arena;
    metric->states = 4 * metric->columns + 1;
    metric->of.columns.kind = MB_COLUMN_MOMENTS;
    MB_TRY(mb_metric_needs_vector(config, metric));
    MB_TRY(take_average(config, "class_aggregation", averages, MB_AVERAGE_UNIFORM, metric));
    return mb_config_int_or(config, "num_regressors", 0, INT64_MAX, 0,
                            &metric->of.columns.regressors);
}

static mb_status_t take_beta(mb_config_t *config, mb_metric_t *metric)
{
    double *beta = &metric->of.columns.beta;
    *beta = 1.0;
    if (metric->class_->kind == 1) /* F1Score has no such key */
        return MB_OK;
    MB_TRY(mb_config_real_or(config, "beta", 1.0, beta));
    return *beta > 0.0 ? MB_OK
                       : mb_error_set(MB_ERR_ARGUMENT, "%s: key 'beta' is %g, it must be above 0",
                                      config->where, *beta);
}

static mb_status_t take_threshold(mb_config_t *config, mb_metric_t *metric)
{
    double threshold;
    bool given = mb_config_has(config, "threshold");
    MB_TRY(mb_config_real_or(config, "threshold", 1.0, &threshold));
    if (!(threshold > 0.0 && threshold <= 1.0))
        return mb_error_set(MB_ERR_ARGUMENT,
                            "%s: key 'threshold' is %g, it must lie above 0 and up to 1",
                            config->where, threshold);
    metric->of.columns.kind = given ? MB_COLUMN_ABOVE : MB_COLUMN_LARGEST;
    metric->of.columns.threshold = (float)threshold;
    return MB_OK;
}

static mb_status_t parse_f(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    static const average_t averages[] = {{"micro", MB_AVERAGE_MICRO},
                                         {"macro", MB_AVERAGE_UNIFORM},
                                         {"weighted", MB_AVERAGE_WEIGHTED},
                                         {NULL, MB_AVERAGE_NONE}};
    (void)arena;
    metric->states = 4 * metric->columns + 1;
    MB_TRY(mb_metric_needs_vector(config, metric));
    MB_TRY(take_average(config, "average", averages, MB_AVERAGE_NONE, metric));
    MB_TRY(take_beta(config, metric));
    return take_threshold(config, metric);
}

#define COLUMNS(CLASS, NAME, STRING, PARSE, FINISH, KIND)                                          \
    {                                                                                              \
        .size = sizeof(mb_metric_class_t), .class_name = CLASS, .name = NAME, .names = {STRING},   \
        .family = &family, .parse = PARSE, .finish = FINISH, .kind = KIND                          \
    }

const mb_metric_class_t mb_metric_column_classes[] = {
    COLUMNS("R2Score", "r2_score", "r2_score", parse_r2, finish_r2, 0),
    COLUMNS("F1Score", "f1_score", "f1_score", parse_f, finish_f, 1),
    COLUMNS("FBetaScore", "fbeta_score", "f_beta_score", parse_f, finish_f, 2),
    {.class_name = NULL},
};
