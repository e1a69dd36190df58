/* The best of one rate over the thresholds at which another reaches what is wanted. Source:
 * keras/src/metrics/confusion_metrics.py, SensitivitySpecificityBase. */
#include "model/metrics/confusion.h"

typedef enum { SENSITIVITY, SPECIFICITY, PRECISION } rate_t;

typedef struct {
    const char *key; /* of the wanted rate */
    rate_t wanted, best;
} pair_t;

static const pair_t pairs[] = {
    {"specificity", SPECIFICITY, SENSITIVITY},
    {"sensitivity", SENSITIVITY, SPECIFICITY},
    {"recall", SENSITIVITY, PRECISION},
    {"precision", PRECISION, SENSITIVITY},
};

static double rate_of(rate_t rate, const mb_confusion_t *c)
{
    if (rate == SENSITIVITY)
        return mb_metric_share(c->tp, c->tp + c->fn);
    if (rate == SPECIFICITY)
        return mb_metric_share(c->tn, c->tn + c->fp);
    return mb_metric_share(c->tp, c->tp + c->fp);
}

/* Keras compares in float32: a rate that is what is wanted but for its rounding reaches it. */
static void finish(const mb_metric_t *metric, const double *states, double *values)
{
    const pair_t *pair = &pairs[metric->class_->kind];
    mb_confusions_t c = mb_confusions_start(metric, states, 0);
    values[0] = 0.0;
    while (c.at > 0) {
        mb_confusions_step(&c);
        double best = rate_of(pair->best, &c.now);
        if ((float)rate_of(pair->wanted, &c.now) >= (float)metric->of.counts.wanted &&
            best > values[0])
            values[0] = best;
    }
}

static mb_status_t parse(mb_config_t *config, mb_arena_t *arena, mb_metric_t *metric)
{
    static const double half = 0.5;
    const char *key = pairs[metric->class_->kind].key;
    double *wanted = &metric->of.counts.wanted;
    int64_t n;
    MB_TRY(mb_metric_needs_alike(config, metric));
    MB_TRY(mb_config_real(config, key, wanted));
    MB_TRY(mb_config_int_or(config, "num_thresholds", 1, INT32_MAX / 2, 200, &n));
    MB_TRY(mb_metric_take_class_id(config, metric));
    if (!(*wanted >= 0.0 && *wanted <= 1.0))
        return mb_error_set(MB_ERR_ARGUMENT, "%s: key '%s' is %g, it must lie from 0 to 1",
                            config->where, key, *wanted);
    metric->n_values = 1;
    return mb_metric_set_thresholds(metric, arena, n, n == 1 ? &half : NULL, 1);
}

#define REACHING(CLASS, NAME, KIND)                                                                \
    {                                                                                              \
        .size = sizeof(mb_metric_class_t), .class_name = CLASS, .name = NAME, .names = {NAME},     \
        .family = &mb_metric_counts_family, .parse = parse, .finish = finish, .kind = KIND         \
    }

const mb_metric_class_t mb_metric_reaching_classes[] = {
    REACHING("SensitivityAtSpecificity", "sensitivity_at_specificity", 0),
    REACHING("SpecificityAtSensitivity", "specificity_at_sensitivity", 1),
    REACHING("PrecisionAtRecall", "precision_at_recall", 2),
    REACHING("RecallAtPrecision", "recall_at_precision", 3),
    {.class_name = NULL},
};
