/* True and false positives and negatives, precision and recall, at one threshold or at several.
 * Source: keras/src/metrics/confusion_metrics.py. */
#include "model/metrics/confusion.h"

typedef enum {
    TRUE_POSITIVES,
    FALSE_POSITIVES,
    TRUE_NEGATIVES,
    FALSE_NEGATIVES,
    PRECISION,
    RECALL
} kind_t;

static double value_of(kind_t kind, const mb_confusion_t *c)
{
    switch (kind) {
    case TRUE_POSITIVES:
        return c->tp;
    case FALSE_POSITIVES:
        return c->fp;
    case TRUE_NEGATIVES:
        return c->tn;
    case FALSE_NEGATIVES:
        return c->fn;
    case PRECISION:
        return mb_metric_share(c->tp, c->tp + c->fp);
    default:
        return mb_metric_share(c->tp, c->tp + c->fn);
    }
}

static void finish(const mb_metric_t *metric, const double *states, double *values)
{
    for (int64_t i = 0; i < metric->n_values; i++) {
        mb_confusion_t at = mb_confusion_at(metric, states, metric->of.counts.place[i]);
        values[i] = value_of((kind_t)metric->class_->kind, &at);
    }
}

static mb_status_t take_thresholds(mb_config_t *config, mb_arena_t *arena, double otherwise,
                                   mb_metric_t *metric)
{
    int64_t n = 1;
    double *values;
    MB_TRY(mb_metric_take_reals(config, "thresholds", arena, &n, &values));
    for (int64_t i = 0; values != NULL && i < n; i++) {
        if (!(values[i] >= 0.0 && values[i] <= 1.0))
            return mb_error_set(MB_ERR_ARGUMENT,
                                "%s: key 'thresholds' has %g, thresholds lie from 0 to 1",
                                config->where, values[i]);
    }
    if (n < 1)
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key 'thresholds' is empty", config->where);
    metric->n_values = n;
    metric->listed = n > 1;
    return mb_metric_set_thresholds(metric, arena, n, values != NULL ? values : &otherwise, 1);
}

static mb_status_t parse_counts(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    MB_TRY(mb_metric_needs_alike(config, metric));
    metric->of.counts.column = -1;
    return take_thresholds(config, arena, 0.5, metric);
}

/* What is not among the k largest Keras sets to -1e10, and the threshold is that. */
static mb_status_t parse_shares(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    MB_TRY(mb_metric_needs_alike(config, metric));
    MB_TRY(mb_metric_take_class_id(config, metric));
    MB_TRY(mb_config_int_or(config, "top_k", 1, metric->columns, 0, &metric->of.counts.top_k));
    return take_thresholds(config, arena, metric->of.counts.top_k > 0 ? -1e10 : 0.5, metric);
}

#define COUNTS(CLASS, NAME, KIND, PARSE)                                                           \
    {                                                                                              \
        .size = sizeof(mb_metric_class_t), .class_name = CLASS, .name = NAME, .names = {NAME},     \
        .family = &mb_metric_counts_family, .parse = PARSE, .finish = finish, .kind = KIND         \
    }

const mb_metric_class_t mb_metric_confusion_classes[] = {
    COUNTS("TruePositives", "true_positives", TRUE_POSITIVES, parse_counts),
    COUNTS("FalsePositives", "false_positives", FALSE_POSITIVES, parse_counts),
    COUNTS("TrueNegatives", "true_negatives", TRUE_NEGATIVES, parse_counts),
    COUNTS("FalseNegatives", "false_negatives", FALSE_NEGATIVES, parse_counts),
    COUNTS("Precision", "precision", PRECISION, parse_shares),
    COUNTS("Recall", "recall", RECALL, parse_shares),
    {.class_name = NULL},
};
